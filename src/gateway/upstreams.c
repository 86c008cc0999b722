/* Providers at work. See upstreams.h. Not here: which target a request takes (attempt.c). */
#include "gateway/upstreams.h"
#include <pthread.h>
#include <uthash.h>

struct upstream_place {
    struct upstreams *all;
    const char *id;
    size_t active, waiting;
    int64_t concurrency, queue, cooldown_ms; /* of the row, as last seen */
    int64_t rest_until_ms, requests, failures;
    TAILQ_HEAD(, call_queued) line;
    UT_hash_handle hh;
};
struct upstreams {
    pthread_mutex_t lock;
    struct upstream_place *places;
};
/* A letter to the loop of whoever has its turn; it may have left before the letter arrives. */
struct upstream_turn {
    struct call_queued *q; /* NULL: it has left; its loop's */
};

#define REST_MOST_S 3600 /* a provider's own wish is followed no longer than this */

static int upstreams_end(struct upstreams *u)
{
    HASH_CLEAR(hh, u->places);
    pthread_mutex_destroy(&u->lock);
    return 0;
}

struct upstreams *upstreams_new(mem *ctx)
{
    struct upstreams *u = mem_new(ctx, struct upstreams);
    BUG_ON(pthread_mutex_init(&u->lock, NULL) != 0);
    talloc_set_destructor(u, upstreams_end);
    return u;
}

void upstreams_lock(struct upstreams *u)
{
    pthread_mutex_lock(&u->lock);
}

void upstreams_unlock(struct upstreams *u)
{
    pthread_mutex_unlock(&u->lock);
}

struct upstream_place *upstream_find(struct upstreams *u, const struct provider_view *p)
{
    struct upstream_place *s;
    HASH_FIND_STR(u->places, p->row.id, s);
    if (!s) {
        s = mem_new(u, struct upstream_place);
        s->all = u;
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

static void turn_arrived(void *arg)
{
    struct upstream_turn *t = arg;
    struct call_queued *q = t->q;
    mem_free(t);
    if (!q)
        return;
    q->turn = NULL;
    q->ready(q->arg);
}

void upstream_next(struct upstream_place *s)
{
    struct call_queued *q;
    while (s && !upstream_full(s) && (q = TAILQ_FIRST(&s->line))) {
        TAILQ_REMOVE(&s->line, q, entry);
        s->waiting--;
        s->active++; /* kept for it: nobody who comes meanwhile gets before it */
        q->at = NULL;
        q->kept = s;
        q->turn = mem_new(NULL, struct upstream_turn);
        q->turn->q = q;
        loop_post(q->loop, turn_arrived, q->turn);
    }
}

struct upstream_place *upstream_turn_take(struct call_queued *q)
{
    struct upstream_place *s = q->kept;
    q->kept = NULL;
    if (s)
        s->active--;
    return s;
}

void upstream_give(struct upstream_place *s)
{
    pthread_mutex_lock(&s->all->lock);
    s->active--;
    upstream_next(s);
    pthread_mutex_unlock(&s->all->lock);
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

bool upstream_waits(struct upstreams *u, const struct call_queued *q)
{
    pthread_mutex_lock(&u->lock);
    bool waits = q->at || q->kept;
    pthread_mutex_unlock(&u->lock);
    return waits;
}

void upstream_leave(struct upstreams *u, struct call_queued *q)
{
    pthread_mutex_lock(&u->lock);
    if (q->at) {
        TAILQ_REMOVE(&q->at->line, q, entry);
        q->at->waiting--;
        q->at = NULL;
    }
    if (q->turn)
        q->turn->q = NULL;
    q->turn = NULL;
    upstream_next(upstream_turn_take(q));
    pthread_mutex_unlock(&u->lock);
}

void upstream_failed(struct upstream_place *s, int64_t now_ms, int64_t retry_after_s)
{
    if (retry_after_s > REST_MOST_S)
        retry_after_s = REST_MOST_S;
    pthread_mutex_lock(&s->all->lock);
    int64_t rest = s->cooldown_ms;
    if (retry_after_s >= 0 && retry_after_s * 1000 > rest)
        rest = retry_after_s * 1000;
    s->failures++;
    if (now_ms + rest > s->rest_until_ms)
        s->rest_until_ms = now_ms + rest;
    pthread_mutex_unlock(&s->all->lock);
}

void upstream_answered(struct upstream_place *s)
{
    pthread_mutex_lock(&s->all->lock);
    s->rest_until_ms = 0;
    pthread_mutex_unlock(&s->all->lock);
}

void upstreams_list(mem *ctx, struct upstreams *u, int64_t now_ms, struct upstream_health **ret, size_t *ret_n)
{
    size_t n = 0;
    pthread_mutex_lock(&u->lock);
    *ret = mem_array(ctx, struct upstream_health, HASH_COUNT(u->places) + 1);
    for (const struct upstream_place *s = u->places; s; s = s->hh.next)
        (*ret)[n++] = (struct upstream_health){.provider = mem_str(ctx, s->id),
                                               .active = s->active,
                                               .waiting = s->waiting,
                                               .requests = s->requests,
                                               .failures = s->failures,
                                               .rests_ms = s->rest_until_ms > now_ms ? s->rest_until_ms - now_ms : 0};
    pthread_mutex_unlock(&u->lock);
    *ret_n = n;
}
