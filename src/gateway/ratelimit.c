/* GCRA over a bounded table of keys, in its form as a leaking debt.
 *
 * A meter holds what is owed. It leaks by the limit L each minute; n more units are admitted when the debt stays at or
 * below L. Amounts are units times the nanoseconds of a minute, so that a nanosecond leaks exactly L: no rounding at
 * all.
 *
 * Giving back. Charges are paid off in the order in which they came. Of a charge that turned out smaller, only what has
 * not been paid off yet may be given back: the rest of it has made nobody wait since, and giving it back would admit
 * more than the limit. `total` counts the units ever charged, so a charge made at total P with n units is the stretch
 * from P to P + n, and what is paid off is total - debt. Giving back counts as paying off at once; for charges before
 * it that errs towards giving back less. */
#include "gateway/ratelimit.h"
#include <pthread.h>
#include <stdio.h>
#include <uthash.h>

#define MINUTE_NS INT64_C(60000000000)
__extension__ typedef __int128 wide; /* products of two 64-bit numbers */

struct meter {
    wide debt;     /* units times MINUTE_NS, at at_ns */
    int64_t at_ns; /* never runs backwards */
    int64_t total; /* units */
};
struct key {
    char id[sizeof((struct ratelimit_ticket *)0)->id];
    struct ratelimit_rule rule; /* of its last request */
    struct meter requests, tokens;
    int64_t streams;
    uint64_t serial; /* of the place: a forgotten key that comes back is another */
    UT_hash_handle hh;
};
struct ratelimit {
    pthread_mutex_t lock;
    struct key *keys; /* the one used longest ago first */
    size_t most;
    uint64_t serial;
};

static int ratelimit_destroy(struct ratelimit *r)
{
    HASH_CLEAR(hh, r->keys);
    pthread_mutex_destroy(&r->lock);
    return 0;
}

struct ratelimit *ratelimit_new(mem *ctx, size_t most_keys)
{
    struct ratelimit *r = mem_new(ctx, struct ratelimit);
    r->most = most_keys;
    BUG_ON(pthread_mutex_init(&r->lock, NULL) != 0);
    talloc_set_destructor(r, ratelimit_destroy);
    return r;
}

size_t ratelimit_keys(struct ratelimit *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = HASH_COUNT(r->keys);
    pthread_mutex_unlock(&r->lock);
    return n;
}

const char *ratelimit_kind_words(enum ratelimit_kind k)
{
    static const char *const words[] = {"", "requests a minute", "tokens a minute", "streams at once", "keys at once"};
    return words[k];
}

/* ---- one meter ---- */

static void meter_leak(struct meter *m, int64_t limit, int64_t now_ns)
{
    if (now_ns <= m->at_ns)
        return;
    wide paid = (wide)(now_ns - m->at_ns) * limit;
    m->debt = paid < m->debt ? m->debt - paid : 0;
    m->at_ns = now_ns;
}

/* Nanoseconds until n units are admitted, rounded up; 0: now; -1: never. */
static int64_t meter_wait(const struct meter *m, int64_t n, int64_t limit)
{
    if (limit <= 0 || n <= 0)
        return 0;
    if (n > limit)
        return -1;
    wide over = m->debt + ((wide)n - limit) * MINUTE_NS;
    return over > 0 ? (int64_t)((over + limit - 1) / limit) : 0;
}

static void meter_charge(struct meter *m, int64_t n, int64_t limit)
{
    if (limit <= 0 || n <= 0)
        return;
    m->debt += (wide)n * MINUTE_NS;
    m->total += n;
}

/* Whole units that would be admitted now; -1: no limit. */
static int64_t meter_left(const struct meter *m, int64_t limit)
{
    wide room = (wide)limit * MINUTE_NS - m->debt;
    return limit <= 0 ? -1 : room <= 0 ? 0 : (int64_t)(room / MINUTE_NS);
}

/* Of the charge of n units made at `position`, `unused` were not used. */
static void meter_give_back(struct meter *m, int64_t position, int64_t n, int64_t unused)
{
    wide paid = (wide)m->total * MINUTE_NS - m->debt, left = (wide)(position + n) * MINUTE_NS - paid;
    wide back = (wide)unused * MINUTE_NS;
    if (left > 0)
        m->debt -= back < left ? back : left;
}

/* ---- the table ---- */

static bool key_idle(struct key *k, int64_t now_ns)
{
    meter_leak(&k->requests, k->rule.requests_per_minute, now_ns);
    meter_leak(&k->tokens, k->rule.tokens_per_minute, now_ns);
    return k->requests.debt == 0 && k->tokens.debt == 0 && k->streams == 0;
}

/* Makes room: a key whose limits are full again is as good as an unknown one. */
static bool key_evict(struct ratelimit *r, int64_t now_ns)
{
    struct key *k, *next;
    HASH_ITER (hh, r->keys, k, next) {
        if (key_idle(k, now_ns)) {
            HASH_DEL(r->keys, k);
            mem_free(k);
            return true;
        }
    }
    return false;
}

/* Found keys move to the end, so that the search for an idle one begins with those used longest ago. */
static struct key *key_of(struct ratelimit *r, const char *id, int64_t now_ns)
{
    struct key *k;
    HASH_FIND_STR(r->keys, id, k);
    if (k) {
        HASH_DEL(r->keys, k);
    } else {
        if (HASH_COUNT(r->keys) >= r->most && !key_evict(r, now_ns))
            return NULL;
        k = mem_new(r, struct key);
        snprintf(k->id, sizeof k->id, "%s", id);
        k->serial = ++r->serial;
    }
    HASH_ADD_STR(r->keys, id, k);
    return k;
}

/* ---- requests ---- */

static enum rc refuse(enum ratelimit_kind kind, int64_t limit, int64_t wait_ns, struct ratelimit_verdict *v,
                      struct err *err)
{
    v->refused_by = kind;
    v->retry_after_ns = wait_ns;
    if (kind == RATELIMIT_TABLE) {
        err_set(err, RC_LIMIT, "more keys are in use at once than their limits can be kept for");
        err_hint(err, "try again in a minute");
        return RC_LIMIT;
    }
    err_set(err, RC_LIMIT, "this key may have %lld %s", (long long)limit, ratelimit_kind_words(kind));
    if (wait_ns < 0)
        err_hint(err, "this request alone is larger: ask for fewer tokens, or make a key with a higher limit");
    else if (kind == RATELIMIT_STREAMS)
        err_hint(err, "wait until one of them has ended");
    else
        err_hint(err, "try again in %lld s", (long long)((wait_ns + 999999999) / 1000000000));
    return RC_LIMIT;
}

static enum rc take_locked(struct ratelimit *r, const char *id, const struct ratelimit_rule *rule, int64_t tokens,
                           bool stream, int64_t now_ns, struct ratelimit_ticket *ret_ticket,
                           struct ratelimit_verdict *ret, struct err *err)
{
    struct key *k = key_of(r, id, now_ns);
    if (!k)
        return refuse(RATELIMIT_TABLE, 0, MINUTE_NS, ret, err);
    k->rule = *rule;
    meter_leak(&k->requests, rule->requests_per_minute, now_ns);
    meter_leak(&k->tokens, rule->tokens_per_minute, now_ns);
    int64_t requests = meter_wait(&k->requests, 1, rule->requests_per_minute);
    int64_t by_tokens = meter_wait(&k->tokens, tokens, rule->tokens_per_minute);
    ret->requests_left = meter_left(&k->requests, rule->requests_per_minute);
    ret->tokens_left = meter_left(&k->tokens, rule->tokens_per_minute);
    if (by_tokens < 0 || by_tokens > requests)
        return refuse(RATELIMIT_TOKENS, rule->tokens_per_minute, by_tokens, ret, err);
    if (requests > 0)
        return refuse(RATELIMIT_REQUESTS, rule->requests_per_minute, requests, ret, err);
    if (stream && rule->streams > 0 && k->streams >= rule->streams)
        return refuse(RATELIMIT_STREAMS, rule->streams, 0, ret, err);
    ret_ticket->token_position = k->tokens.total;
    meter_charge(&k->requests, 1, rule->requests_per_minute);
    meter_charge(&k->tokens, tokens, rule->tokens_per_minute);
    k->streams += stream;
    ret->requests_left = meter_left(&k->requests, rule->requests_per_minute);
    ret->tokens_left = meter_left(&k->tokens, rule->tokens_per_minute);
    ret_ticket->taken = true;
    ret_ticket->stream = stream;
    ret_ticket->serial = k->serial;
    ret_ticket->token_units = rule->tokens_per_minute > 0 && tokens > 0 ? tokens : 0;
    memcpy(ret_ticket->id, k->id, sizeof k->id);
    return RC_OK;
}

enum rc ratelimit_take(struct ratelimit *r, const char *id, const struct ratelimit_rule *rule, int64_t tokens,
                       bool stream, int64_t now_ns, struct ratelimit_ticket *ret_ticket, struct ratelimit_verdict *ret,
                       struct err *err)
{
    *ret_ticket = (struct ratelimit_ticket){0};
    *ret = (struct ratelimit_verdict){.requests_left = -1, .tokens_left = -1};
    if (rule->requests_per_minute <= 0 && rule->tokens_per_minute <= 0 && rule->streams <= 0)
        return RC_OK;
    BUG_ON(strlen(id) >= sizeof ret_ticket->id);
    pthread_mutex_lock(&r->lock);
    enum rc rc = take_locked(r, id, rule, tokens, stream, now_ns, ret_ticket, ret, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static void end_locked(struct ratelimit *r, const struct ratelimit_ticket *ticket, int64_t tokens, int64_t now_ns)
{
    struct key *k;
    HASH_FIND_STR(r->keys, ticket->id, k);
    if (!k || k->serial != ticket->serial)
        return; /* paid off and forgotten since */
    k->streams -= ticket->stream && k->streams > 0;
    meter_leak(&k->tokens, k->rule.tokens_per_minute, now_ns);
    if (tokens >= 0 && tokens < ticket->token_units)
        meter_give_back(&k->tokens, ticket->token_position, ticket->token_units, ticket->token_units - tokens);
}

void ratelimit_end(struct ratelimit *r, struct ratelimit_ticket *ticket, int64_t tokens, int64_t now_ns)
{
    if (!ticket->taken)
        return;
    ticket->taken = false;
    pthread_mutex_lock(&r->lock);
    end_locked(r, ticket, tokens, now_ns);
    pthread_mutex_unlock(&r->lock);
}
