/* The live stream: every event of the installation in one order (store.h, struct event_row), to many viewers, over
 * WebSocket or as server-sent events. Messages are described in docs/stream.md.
 *
 * One thread of its own reads what was committed, once for all viewers, and makes the text of each event once; the
 * newest events stand in a ring in memory. A viewer has a cursor in the order. It is fed from the ring while its
 * connection takes what is written; one that falls behind the ring, or asks from an earlier number, is fed from the
 * database at its own pace. A viewer that takes nothing costs what its connection may hold back (HTTP_HIGH_WATER and
 * one event). Nothing is skipped silently: what cannot be replayed is answered by a `resync`.
 *
 * A stream outlives the request that began it: every 15 s it is looked whether the login or key still holds and what it
 * may see now; a stream without a login ends with 4401.
 *
 * Presence (who looks at what) is of the moment: it has no number and is not kept.
 *
 * Threads: feed_committed any thread; all else the loop of the server. */
#pragma once
#include "api/server_room.h"

struct feed;
/* What `tells` of a route may be; NULL-terminated, in ctx. */
const char *const *feed_things(mem *ctx);
struct feed *feed_open(struct server *s); /* s->store must be open; memory of s->ctx */
void feed_end(struct feed *f);            /* before the store is closed: nothing is read any more */
/* Something was committed: a hint. */
void feed_committed(struct feed *f);
void feed_tick(struct feed *f);                           /* once a second: heartbeats, presence */
void feed_close(struct feed *f);                          /* says goodbye to all viewers */
void feed_json(const struct feed *f, struct json_out *o); /* an object with figures */
