/* Recordings: the model exchanges of a task as a file, and such a file answered from instead of a provider.
 *
 * The file is JSON lines. The first line says what it is:
 * {"nightmill":"recording","version":1,"task","recorded_at","model"}, with the model that the task was to ask. Each
 * further line is one exchange: {"request":HASH,"dialect","status","content_type","body"} or, where the body is not
 * UTF-8, "body_base64" instead. Replay answers the n-th request of a hash with the n-th line of that hash, byte for
 * byte, and further ones with the last; a request that the recording does not have is an error, never a request to a
 * provider. With "order":true in the first line the answers are given in the order of the lines, whatever is asked: for
 * scripts, which nobody recorded (ops/sample.h).
 *
 * The hash is SHA-256 over the request's body without what differs between two runs of the same task: the task's id,
 * and the digits of numbers (durations, dates, process ids in the output of tools): each run of them counts as one.
 * Requests that differ in numbers alone are therefore told apart by their order.
 *
 * What is recorded was redacted (record.h). Threads: a player is used by one thread at a time; the rest has no state.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

#define RECORDING_MAX  (256u << 20) /* bytes of a file */
#define RECORDING_HASH 65           /* hexadecimal digits and the NUL */

void recording_hash(struct str body, const char *task_id, char ret[RECORDING_HASH]); /* task_id: NULL or "" for none */

struct recorded { /* one exchange */
    const char *hash, *dialect, *content_type;
    int status;
    struct str body;
};
/* Appends lines; in the order of the exchanges. false: the cap of the buffer. */
bool recording_write_head(struct buf *out, const char *task_id, const char *recorded_at, struct str model); /* JSON */
bool recording_write(struct buf *out, const struct recorded *r);

struct player;
/* Reads a recording; *ret in ctx with a copy of all it needs. RC_INVALID with the line; RC_LIMIT beyond RECORDING_MAX.
 */
MUST_USE enum rc player_read(mem *ctx, struct str file, struct player **ret, struct err *err);
/* The answer of the next request with this hash; borrowed from the player. RC_NOT_FOUND with words. */
MUST_USE enum rc player_next(struct player *p, const char *hash, struct recorded *ret, struct err *err);
bool player_in_order(const struct player *p);
/* The answer of the n-th request of all (from 0); for those in order. As player_next. */
MUST_USE enum rc player_at(struct player *p, size_t n, struct recorded *ret, struct err *err);
size_t player_count(const struct player *p);      /* exchanges in it */
const char *player_model(const struct player *p); /* JSON object, "{}" where the file has none */
