/* Buckets by asker, and one for strangers, one for those who are known. */
#include "auth/refusals.h"
#include "base/str.h"
#include <pthread.h>
#include <stdio.h>
#include <uthash.h>

#define SECOND_NS INT64_C(1000000000)

/* A bucket as the moment when it is full again (GCRA): each row that is let in moves it. */
struct measure {
    char key[160];
    int64_t full_ns; /* when it is full again */
    UT_hash_handle hh;
};
struct refusals {
    pthread_mutex_t lock;
    struct measure *askers; /* by key, the one that was used longest ago first */
    size_t most;
    struct measure all[2]; /* of who is known, of strangers */
    int64_t untold, told_ns;
};

static int refusals_destroy(struct refusals *r)
{
    HASH_CLEAR(hh, r->askers); /* the measures are children of r */
    pthread_mutex_destroy(&r->lock);
    return 0;
}

struct refusals *refusals_new(mem *ctx, size_t most)
{
    struct refusals *r = mem_new(ctx, struct refusals);
    r->most = most;
    r->told_ns = INT64_MIN / 2;
    pthread_mutex_init(&r->lock, NULL);
    talloc_set_destructor(r, refusals_destroy);
    return r;
}

static bool measure_has(const struct measure *m, int burst, int every_s, int64_t now_ns)
{
    return m->full_ns - now_ns <= (burst - 1) * every_s * SECOND_NS;
}

static void measure_take(struct measure *m, int every_s, int64_t now_ns)
{
    m->full_ns = (m->full_ns > now_ns ? m->full_ns : now_ns) + every_s * SECOND_NS;
}

/* That of an asker, made when it is not there; it is the newest now. */
static struct measure *asker_get(struct refusals *r, const char *key, int64_t now_ns, bool *ret_new)
{
    struct measure *m;
    HASH_FIND_STR(r->askers, key, m);
    *ret_new = !m;
    if (m) {
        HASH_DEL(r->askers, m);
    } else {
        if (HASH_COUNT(r->askers) >= r->most) {
            struct measure *oldest = r->askers;
            HASH_DEL(r->askers, oldest);
            mem_free(oldest);
        }
        m = mem_new(r, struct measure);
        snprintf(m->key, sizeof m->key, "%s", key);
        m->full_ns = now_ns;
    }
    HASH_ADD_STR(r->askers, key, m);
    return m;
}

static void key_write(char ret[160], const char *kind, const char *who, const char *what)
{
    snprintf(ret, 160, "%s %.70s %.70s", kind, who, what);
}

bool refusals_let(struct refusals *r, const char *who, bool stranger, int64_t now_ns)
{
    char key[160];
    bool fresh;
    key_write(key, stranger ? "stranger" : "known", who, "");
    pthread_mutex_lock(&r->lock);
    struct measure *one = asker_get(r, key, now_ns, &fresh), *all = &r->all[stranger];
    bool let = measure_has(one, REFUSALS_OF_ONE, REFUSALS_OF_ONE_EVERY_S, now_ns) &&
               measure_has(all, REFUSALS_OF_ALL, REFUSALS_OF_ALL_EVERY_S, now_ns);
    if (let) {
        measure_take(one, REFUSALS_OF_ONE_EVERY_S, now_ns);
        measure_take(all, REFUSALS_OF_ALL_EVERY_S, now_ns);
    } else {
        r->untold++;
    }
    pthread_mutex_unlock(&r->lock);
    return let;
}

int64_t refusals_untold(struct refusals *r, int64_t now_ns)
{
    pthread_mutex_lock(&r->lock);
    bool due = r->untold && now_ns - r->told_ns >= REFUSALS_TOLD_EVERY_S * SECOND_NS;
    int64_t n = due ? r->untold : 0;
    if (due) {
        r->untold = 0;
        r->told_ns = now_ns;
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

bool refusals_first(struct refusals *r, const char *who, const char *what, int64_t now_ns)
{
    char key[160];
    bool fresh;
    key_write(key, "read", who, what);
    pthread_mutex_lock(&r->lock);
    struct measure *m = asker_get(r, key, now_ns, &fresh);
    bool first = fresh || now_ns >= m->full_ns;
    if (first)
        m->full_ns = now_ns + REFUSALS_SITTING_S * SECOND_NS;
    pthread_mutex_unlock(&r->lock);
    return first;
}
