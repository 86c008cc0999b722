/* What is known of the providers at this moment: requests under way, who waits for a place, who rests after a failure.
 * In memory only, by provider id; a restart begins without knowledge. One for all loops: the bounds of a provider's row
 * hold for the whole daemon.
 *
 * Threads: any. A choice among places is made and carried out between upstreams_lock and upstreams_unlock, so that what
 * was free is still free when it is taken; the functions of the choice are called there and nowhere else. */
#pragma once
#include "gateway/provider.h"
#include "os/loop.h"
#include <sys/queue.h>

struct upstreams;
struct upstreams *upstreams_new(mem *ctx);

struct upstream_place; /* one provider's state */
struct upstream_turn;
struct call_queued { /* member of whoever waits */
    struct loop *loop;
    void (*ready)(void *arg); /* it is its turn, on its loop: choose, or leave. A place is kept for it until then */
    void *arg;
    /* upstreams.c: */
    TAILQ_ENTRY(call_queued) entry;
    struct upstream_place *at;   /* waits there; NULL: does not */
    struct upstream_place *kept; /* its turn has come: holds a place there */
    struct upstream_turn *turn;  /* the letter that says so, on its way */
};

/* ---- the choice ---- */
void upstreams_lock(struct upstreams *u);
void upstreams_unlock(struct upstreams *u);
struct upstream_place *upstream_find(struct upstreams *u, const struct provider_view *p);
bool upstream_full(const struct upstream_place *s);               /* as many under way as its row allows */
bool upstream_rests(const struct upstream_place *s, int64_t now); /* after a failure */
int64_t upstream_rest_ends(const struct upstream_place *s);       /* monotonic ms */
/* Requests under way for each unit of weight; smaller is better. */
bool upstream_less_busy(const struct upstream_place *a, int64_t weight_a, const struct upstream_place *b,
                        int64_t weight_b);
void upstream_take(struct upstream_place *s);
/* RC_LIMIT: the queue is full. */
MUST_USE enum rc upstream_wait(struct upstream_place *s, struct call_queued *q, struct err *err);
/* Frees the place that was kept for q, and returns it (NULL: none was), so that q itself may choose it now;
 * upstream_next after the choice calls whoever is next, in case that it did not. */
struct upstream_place *upstream_turn_take(struct call_queued *q);
void upstream_next(struct upstream_place *s); /* NULL is fine */

/* ---- the rest locks by itself ---- */
void upstream_give(struct upstream_place *s); /* a place is free again: the next in the queue is called, soon */
bool upstream_waits(struct upstreams *u, const struct call_queued *q); /* for a place, or for its turn to be told */
/* On q's loop; fine when it does not wait. What was kept for it goes to the next. */
void upstream_leave(struct upstreams *u, struct call_queued *q);
/* It failed: rests until then (monotonic ms; at least what its row says from `now`). It answered: well again. */
void upstream_failed(struct upstream_place *s, int64_t now_ms, int64_t retry_after_s);
void upstream_answered(struct upstream_place *s);

struct upstream_health {
    const char *provider;
    size_t active, waiting;
    int64_t requests, failures; /* since the start */
    int64_t rests_ms;           /* still; 0: not */
};
void upstreams_list(mem *ctx, struct upstreams *u, int64_t now_ms, struct upstream_health **ret, size_t *ret_n);
