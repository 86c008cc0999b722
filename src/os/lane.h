/* A lane: one thread of its own for work that is heavy in memory or time, one piece after the other, with a bounded
 * queue. What stands in it does not take a thread of the loop's pool, and no more than one piece's memory is used at
 * once. Of the same origin (an address) only a few pieces wait, so that one asker does not fill it.
 *
 * The lane belongs to the loop's thread; `work` runs on the lane's, `done` on the loop's. It lives as long as its
 * process. */
#pragma once
#include "os/loop.h"

struct lane;
struct lane *lane_new(mem *ctx, struct loop *loop, size_t most, size_t most_of_one);
/* False: too many wait, or too many of this origin; nothing is called then. */
bool lane_offload(struct lane *l, const char *origin, void (*work)(void *arg), void (*done)(void *arg), void *arg);
