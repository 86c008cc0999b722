/* Runs whose model requests are answered from a recording (recording.h): no provider, no key, no network, and nothing
 * to pay. The ledger says so: provider "replay", cost 0. A request that the recording does not have is refused. Which
 * answer comes next is kept in memory for the few runs of late; after a restart of the server the answers that a run
 * had already are found by their call, new ones are taken from the first of their hash on.
 * Those of a script (in order) go on where the ledger says. */
#pragma once
#include "gateway/call.h"

struct replays;                        /* open recordings; any thread */
struct replays *replays_new(mem *ctx); /* freeing ctx ends it */
/* Pool thread; may wait for the disk. Sets c's verdict: CALL_STORED with the answer, or CALL_REFUSED. */
void call_replay(struct call *c, const char *file);
