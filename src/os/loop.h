/* The loop's glue: a mailbox for other threads and a way to run plain sequential code beside the loop.
 *
 * One struct loop wraps one libuv loop. Nothing that runs on it may take more than a millisecond: what needs the
 * database, a hash or a disk goes through loop_offload to libuv's thread pool. Threads: loop_post may be called from
 * any thread; everything else belongs to the loop's thread. */
#pragma once
#include "base/mem.h"
#include <uv.h>

struct loop {
    uv_loop_t *uv;
    uv_async_t async;
    uv_mutex_t lock;
    struct loop_letter *first, **last;
    size_t offloaded; /* jobs under way */
};
void loop_open(struct loop *l, uv_loop_t *uv);
void loop_close(struct loop *l); /* letters still waiting are delivered first */
/* Runs fn(arg) on the loop, soon, in order of posting. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);
/* Runs work(arg) on a pool thread, then done(arg) on the loop. */
void loop_offload(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg);
