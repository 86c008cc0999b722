/* A table of counters by address, and by address and name. */
#include "auth/attempts.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <uthash.h>

#define SECOND_NS     INT64_C(1000000000)
#define FORGET_NS     (3600 * SECOND_NS)
#define DELAY_MOST_NS (900 * SECOND_NS)
enum { FREE_OF_PAIR = 5, FREE_OF_ADDRESS = 20 };

struct counter {
    char key[128];
    int failures;
    int64_t last_ns;
    UT_hash_handle hh;
};
struct attempts {
    pthread_mutex_t lock;
    struct counter *counters; /* by key, the one that failed longest ago first */
    size_t most;
};

static int attempts_destroy(struct attempts *a)
{
    HASH_CLEAR(hh, a->counters); /* counters are children of a */
    pthread_mutex_destroy(&a->lock);
    return 0;
}

struct attempts *attempts_new(mem *ctx, size_t most)
{
    struct attempts *a = mem_new(ctx, struct attempts);
    a->most = most;
    pthread_mutex_init(&a->lock, NULL);
    talloc_set_destructor(a, attempts_destroy);
    return a;
}

/* One customer has 2^64 IPv6 addresses. */
void attempts_network(const char *address, char ret[NETWORK_TEXT])
{
    struct in6_addr v6;
    snprintf(ret, NETWORK_TEXT, "%s", address);
    if (!strchr(address, ':') || inet_pton(AF_INET6, address, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6))
        return;
    memset(v6.s6_addr + 8, 0, 8);
    (void)inet_ntop(AF_INET6, &v6, ret, NETWORK_TEXT);
}

/* Name NULL: of the address. */
static void key_write(const char *address, const char *name, char ret[128])
{
    char network[NETWORK_TEXT];
    attempts_network(address, network);
    snprintf(ret, 128, "%s%s%.64s", network, name ? " " : "", name ? name : "");
}

static struct counter *counter_find(struct attempts *a, const char *address, const char *name, int64_t now_ns)
{
    char key[128];
    struct counter *c;
    key_write(address, name, key);
    HASH_FIND_STR(a->counters, key, c);
    if (c && now_ns - c->last_ns >= FORGET_NS) {
        HASH_DEL(a->counters, c);
        c = mem_free(c);
    }
    return c;
}

static int64_t counter_wait(const struct counter *c, int free, int64_t now_ns)
{
    if (!c || c->failures < free)
        return 0;
    int over = c->failures - free;
    int64_t delay = over >= 10 ? DELAY_MOST_NS : SECOND_NS << over;
    int64_t left = c->last_ns + (delay < DELAY_MOST_NS ? delay : DELAY_MOST_NS) - now_ns;
    return left > 0 ? left : 0;
}

int64_t attempts_wait(struct attempts *a, const char *address, const char *name, int64_t now_ns)
{
    pthread_mutex_lock(&a->lock);
    int64_t pair = counter_wait(counter_find(a, address, name, now_ns), FREE_OF_PAIR, now_ns);
    int64_t all = counter_wait(counter_find(a, address, NULL, now_ns), FREE_OF_ADDRESS, now_ns);
    pthread_mutex_unlock(&a->lock);
    return pair > all ? pair : all;
}

static void counter_add(struct attempts *a, const char *address, const char *name, int64_t now_ns)
{
    struct counter *c = counter_find(a, address, name, now_ns);
    if (c) {
        HASH_DEL(a->counters, c); /* to the end: the newest */
    } else {
        if (HASH_COUNT(a->counters) >= a->most) {
            struct counter *oldest = a->counters;
            HASH_DEL(a->counters, oldest);
            mem_free(oldest);
        }
        c = mem_new(a, struct counter);
        key_write(address, name, c->key);
    }
    c->failures++;
    c->last_ns = now_ns;
    HASH_ADD_STR(a->counters, key, c);
}

void attempts_failed(struct attempts *a, const char *address, const char *name, int64_t now_ns)
{
    pthread_mutex_lock(&a->lock);
    counter_add(a, address, name, now_ns);
    counter_add(a, address, NULL, now_ns);
    pthread_mutex_unlock(&a->lock);
}

void attempts_succeeded(struct attempts *a, const char *address, const char *name)
{
    char key[128];
    struct counter *c;
    pthread_mutex_lock(&a->lock);
    key_write(address, name, key);
    HASH_FIND_STR(a->counters, key, c);
    if (c) {
        HASH_DEL(a->counters, c);
        mem_free(c);
    }
    pthread_mutex_unlock(&a->lock);
}
