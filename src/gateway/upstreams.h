/* What is known of the providers at this moment: requests under way, who waits for a place, who rests after a failure.
 * In memory only, by provider id; a restart begins without knowledge. Threads: the loop's thread. */
#pragma once
#include "gateway/provider.h"
#include <sys/queue.h>

struct upstreams;
struct upstreams *upstreams_new(mem *ctx);

struct upstream_place; /* one provider's state */
struct call_queued {   /* member of whoever waits */
    TAILQ_ENTRY(call_queued) entry;
    struct upstream_place *at; /* NULL: does not wait */
    void (*ready)(void *arg);  /* it is its turn: take a place and go on, or leave. On the loop, from upstream_give */
    void *arg;
};

struct upstream_place *upstream_find(struct upstreams *u, const struct provider_view *p);
bool upstream_full(const struct upstream_place *s);               /* as many under way as its row allows */
bool upstream_rests(const struct upstream_place *s, int64_t now); /* after a failure */
int64_t upstream_rest_ends(const struct upstream_place *s);       /* monotonic ms */
/* Requests under way for each unit of weight; smaller is better. */
bool upstream_less_busy(const struct upstream_place *a, int64_t weight_a, const struct upstream_place *b,
                        int64_t weight_b);
void upstream_take(struct upstream_place *s);
void upstream_give(struct upstream_place *s); /* a place is free again: the next in the queue is called */
/* RC_LIMIT: the queue is full. */
MUST_USE enum rc upstream_wait(struct upstream_place *s, struct call_queued *q, struct err *err);
void upstream_leave(struct call_queued *q); /* fine when it does not wait */
/* It failed: rests until then (monotonic ms; at least what its row says from `now`). It answered: well again. */
void upstream_failed(struct upstream_place *s, int64_t now_ms, int64_t retry_after_s);
void upstream_answered(struct upstream_place *s);

struct upstream_health {
    const char *provider;
    size_t active, waiting;
    int64_t requests, failures; /* since the start */
    int64_t rests_ms;           /* still; 0: not */
};
void upstreams_list(mem *ctx, const struct upstreams *u, int64_t now_ms, struct upstream_health **ret, size_t *ret_n);
