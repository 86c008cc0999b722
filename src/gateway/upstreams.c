/* Providers at work. See upstreams.h. Not here: which target a request takes (attempt.c). */
#include "gateway/upstreams.h"
#include <uthash.h>

struct upstream_place {
    const char *id;
    size_t active, waiting;
    int64_t concurrency, queue, cooldown_ms; /* of the row, as last seen */
    int64_t rest_until_ms, requests, failures;
    TAILQ_HEAD(, call_queued) line;
    UT_hash_handle hh;
};
struct upstreams {
    struct upstream_place *places;
};

#define REST_MOST_S 3600 /* a provider's own wish is followed no longer than this */

static int upstreams_end(struct upstreams *u)
{
    HASH_CLEAR(hh, u->places);
    return 0;
}

struct upstreams *upstreams_new(mem *ctx)
{
    struct upstreams *u = mem_new(ctx, struct upstreams);
    talloc_set_destructor(u, upstreams_end);
    return u;
}

struct upstream_place *upstream_find(struct upstreams *u, const struct provider_view *p)
{
    struct upstream_place *s;
    HASH_FIND_STR(u->places, p->row.id, s);
    if (!s) {
        s = mem_new(u, struct upstream_place);
        s->id = mem_str(s, p->row.id);
        TAILQ_INIT(&s->line);
        HASH_ADD_KEYPTR(hh, u->places, s->id, strlen(s->id), s);
    }
    s->concurrency = p->row.concurrency;
    s->queue = p->row.queue;
    s->cooldown_ms = p->row.cooldown_ms;
    return s;
}

bool upstream_full(const struct upstream_place *s)
{
    return s->concurrency > 0 && s->active >= (size_t)s->concurrency;
}

bool upstream_rests(const struct upstream_place *s, int64_t now)
{
    return s->rest_until_ms > now;
}

int64_t upstream_rest_ends(const struct upstream_place *s)
{
    return s->rest_until_ms;
}

bool upstream_less_busy(const struct upstream_place *a, int64_t weight_a, const struct upstream_place *b,
                        int64_t weight_b)
{
    uint64_t load_a = (uint64_t)a->active * (uint64_t)weight_b;
    uint64_t load_b = (uint64_t)b->active * (uint64_t)weight_a;
    if (load_a != load_b)
        return load_a < load_b;
    /* Equally busy, as when all are idle: what each has served so far keeps to the weights. */
    return (uint64_t)a->requests * (uint64_t)weight_b < (uint64_t)b->requests * (uint64_t)weight_a;
}

void upstream_take(struct upstream_place *s)
{
    s->active++;
    s->requests++;
}

void upstream_give(struct upstream_place *s)
{
    s->active--;
    struct call_queued *first = TAILQ_FIRST(&s->line);
    if (!first || upstream_full(s))
        return;
    upstream_leave(first);
    first->ready(first->arg);
}

enum rc upstream_wait(struct upstream_place *s, struct call_queued *q, struct err *err)
{
    if (s->waiting >= (size_t)s->queue) {
        err_set(err, RC_LIMIT, "the provider %s has %zu requests under way and %zu waiting", s->id, s->active,
                s->waiting);
        return err_hint(err, "try again later, or raise its concurrency or queue: nightmill provider add %s ...",
                        s->id);
    }
    TAILQ_INSERT_TAIL(&s->line, q, entry);
    q->at = s;
    s->waiting++;
    return RC_OK;
}

void upstream_leave(struct call_queued *q)
{
    if (!q->at)
        return;
    TAILQ_REMOVE(&q->at->line, q, entry);
    q->at->waiting--;
    q->at = NULL;
}

void upstream_failed(struct upstream_place *s, int64_t now_ms, int64_t retry_after_s)
{
    int64_t rest = s->cooldown_ms;
    if (retry_after_s > REST_MOST_S)
        retry_after_s = REST_MOST_S;
    if (retry_after_s >= 0 && retry_after_s * 1000 > rest)
        rest = retry_after_s * 1000;
    s->failures++;
    if (now_ms + rest > s->rest_until_ms)
        s->rest_until_ms = now_ms + rest;
}

void upstream_answered(struct upstream_place *s)
{
    s->rest_until_ms = 0;
}

void upstreams_list(mem *ctx, const struct upstreams *u, int64_t now_ms, struct upstream_health **ret, size_t *ret_n)
{
    size_t n = 0;
    *ret = mem_array(ctx, struct upstream_health, HASH_COUNT(u->places) + 1);
    for (const struct upstream_place *s = u->places; s; s = s->hh.next)
        (*ret)[n++] = (struct upstream_health){.provider = mem_str(ctx, s->id),
                                               .active = s->active,
                                               .waiting = s->waiting,
                                               .requests = s->requests,
                                               .failures = s->failures,
                                               .rests_ms = s->rest_until_ms > now_ms ? s->rest_until_ms - now_ms : 0};
    *ret_n = n;
}
