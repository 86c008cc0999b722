/* Lookups on detached threads. A thread and the loop share a `struct lookup` under one lock; a resolver that closes
 * leaves its lookups to their threads. Not here: trying the addresses (dial.c, http_client.c). */
#include "net/resolve.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define NAME_MOST   255
#define STACK_BYTES (512u << 10)

struct resolve_ask {
    TAILQ_ENTRY(resolve_ask) next;
    struct name *name;
    void (*told)(void *arg, const struct resolved *found);
    void *arg;
};

struct name {
    TAILQ_ENTRY(name) next; /* oldest question first */
    struct resolver *r;
    char host[NAME_MOST + 1];
    TAILQ_HEAD(, resolve_ask) asks;
    bool waiting; /* for a thread */
    bool asked;   /* a thread has it */
    bool known;
    int64_t known_ms;
    struct resolved found;
};

struct lookup {
    struct name *name;   /* NULL: nobody waits any more */
    struct lookup *next; /* done ones */
    char host[NAME_MOST + 1];
    struct resolved found;
};

struct resolver {
    uv_loop_t *loop;
    uv_async_t async;
    TAILQ_HEAD(, name) names;
    size_t name_count, threads;
    struct lookup *done; /* under the lock */
    struct lookup *running[RESOLVE_THREADS];
    bool closed; /* under the lock */
    struct resolved now;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* One for the process: taken for moments only. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool numeric_fill(struct resolved *found, const char *host)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    *found = (struct resolved){.n = 1};
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(&found->addresses[0].sa, &in, sizeof in);
        found->addresses[0].n = sizeof in;
    } else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&found->addresses[0].sa, &in6, sizeof in6);
        found->addresses[0].n = sizeof in6;
    } else {
        found->n = 0;
    }
    return found->n > 0;
}

static void found_fill(struct resolved *found, const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int bad = getaddrinfo(host, NULL, &hints, &list);
    found->n = 0;
    found->why = bad ? gai_strerror(bad) : NULL;
    found->none = bad == EAI_NONAME || bad == EAI_NODATA;
    for (struct addrinfo *a = bad ? NULL : list; a && found->n < RESOLVE_ADDRESSES; a = a->ai_next) {
        struct resolve_address *to = &found->addresses[found->n];
        if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) || a->ai_addrlen > sizeof to->sa)
            continue;
        memcpy(&to->sa, a->ai_addr, a->ai_addrlen);
        to->n = a->ai_addrlen;
        found->n++;
    }
    if (!bad)
        freeaddrinfo(list);
    if (!bad && !found->n)
        found->why = "the name has no address";
}

/* A lookup's memory is of no context: it may outlive the resolver, and its thread is not the loop's. */
static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    found_fill(&l->found, l->host);
    pthread_mutex_lock(&lock);
    struct resolver *r = l->name ? l->name->r : NULL;
    if (r) {
        l->next = r->done;
        r->done = l;
        uv_async_send(&r->async);
    }
    pthread_mutex_unlock(&lock);
    if (!r)
        free(l);
    return NULL;
}

static bool thread_begin(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    bool begun = pthread_create(&thread, &attr, lookup_run, l) == 0;
    pthread_attr_destroy(&attr);
    return begun;
}

static struct lookup **slot_find(struct resolver *r, const struct lookup *l)
{
    size_t i = 0;
    while (i < RESOLVE_THREADS && r->running[i] != l)
        i++;
    return i < RESOLVE_THREADS ? &r->running[i] : NULL;
}

static void name_tell(struct name *n)
{
    struct resolve_ask *ask;
    n->waiting = n->asked = false;
    while ((ask = TAILQ_FIRST(&n->asks))) {
        TAILQ_REMOVE(&n->asks, ask, next);
        struct resolved found = n->found; /* the callback may have the name forgotten */
        struct resolve_ask a = *ask;
        mem_free(ask);
        a.told(a.arg, &found);
    }
}

static bool name_begin(struct name *n)
{
    struct resolver *r = n->r;
    struct lookup **slot = slot_find(r, NULL), *l;
    n->waiting = !slot;
    if (!slot)
        return true;
    l = calloc(1, sizeof *l);
    BUG_ON(!l);
    l->name = n;
    memcpy(l->host, n->host, sizeof l->host);
    n->asked = true;
    *slot = l;
    if (thread_begin(l))
        return true;
    *slot = NULL;
    free(l);
    n->asked = false;
    n->found = (struct resolved){.why = "no thread could be started"};
    return false;
}

static void waiting_begin(struct resolver *r)
{
    struct name *n;
    TAILQ_FOREACH(n, &r->names, next)
    {
        if (n->waiting && slot_find(r, NULL) && !name_begin(n)) {
            name_tell(n);
            return; /* the list may be another one */
        }
    }
}

static void lookups_arrived(uv_async_t *async)
{
    struct resolver *r = async->data;
    pthread_mutex_lock(&lock);
    struct lookup *done = r->done;
    r->done = NULL;
    pthread_mutex_unlock(&lock);
    while (done) {
        struct lookup *l = done;
        struct lookup **slot = slot_find(r, l);
        struct name *n = l->name;
        done = l->next;
        if (slot)
            *slot = NULL;
        n->found = l->found;
        n->known = l->found.n > 0;
        n->known_ms = (int64_t)uv_now(r->loop);
        free(l);
        name_tell(n);
    }
    if (!r->closed)
        waiting_begin(r);
}

struct resolver *resolver_new(mem *ctx, uv_loop_t *loop)
{
    struct resolver *r = mem_new(ctx, struct resolver);
    r->loop = loop;
    TAILQ_INIT(&r->names);
    BUG_ON(uv_async_init(loop, &r->async, lookups_arrived) != 0);
    r->async.data = r;
    return r;
}

static void async_closed(uv_handle_t *handle)
{
    struct resolver *r = handle->data;
    r->on_closed(r->on_closed_arg);
}

void resolver_close(struct resolver *r, void (*closed)(void *arg), void *arg)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < RESOLVE_THREADS; i++)
        if (r->running[i])
            r->running[i]->name = NULL;
    struct lookup *done = r->done;
    r->done = NULL;
    r->closed = true;
    pthread_mutex_unlock(&lock);
    while (done) {
        struct lookup *l = done;
        done = l->next;
        free(l);
    }
    r->on_closed = closed;
    r->on_closed_arg = arg;
    uv_close((uv_handle_t *)&r->async, async_closed);
}

static struct name *name_find(struct resolver *r, const char *host)
{
    struct name *n;
    TAILQ_FOREACH(n, &r->names, next)
    if (strcmp(n->host, host) == 0)
        return n;
    return NULL;
}

static bool name_busy(const struct name *n)
{
    return n->waiting || n->asked || !TAILQ_EMPTY(&n->asks);
}

static void name_forget_oldest(struct resolver *r)
{
    struct name *n;
    TAILQ_FOREACH(n, &r->names, next)
    {
        if (name_busy(n))
            continue;
        TAILQ_REMOVE(&r->names, n, next);
        r->name_count--;
        mem_free(n);
        return;
    }
}

static struct name *name_add(struct resolver *r, const char *host)
{
    if (r->name_count >= RESOLVE_NAMES_MAX)
        name_forget_oldest(r);
    struct name *n = mem_new(r, struct name);
    n->r = r;
    snprintf(n->host, sizeof n->host, "%s", host);
    TAILQ_INIT(&n->asks);
    TAILQ_INSERT_TAIL(&r->names, n, next);
    r->name_count++;
    return n;
}

bool resolve_start(struct resolver *r, const char *host, void (*told)(void *arg, const struct resolved *found),
                   void *arg, const struct resolved **ret_now, struct resolve_ask **ret_ask)
{
    *ret_now = &r->now;
    *ret_ask = NULL;
    if (strlen(host) > NAME_MOST) {
        r->now = (struct resolved){.why = "the name is too long"};
        return true;
    }
    if (numeric_fill(&r->now, host))
        return true;
    struct name *n = name_find(r, host);
    if (n && n->known && (int64_t)uv_now(r->loop) - n->known_ms < RESOLVE_KEPT_MS) {
        *ret_now = &n->found;
        return true;
    }
    if (!n)
        n = name_add(r, host);
    if (!n->asked && !n->waiting && !name_begin(n)) {
        *ret_now = &n->found;
        return true;
    }
    struct resolve_ask *ask = mem_new(r, struct resolve_ask);
    *ask = (struct resolve_ask){.name = n, .told = told, .arg = arg};
    TAILQ_INSERT_TAIL(&n->asks, ask, next);
    *ret_ask = ask;
    return false;
}

void resolve_cancel(struct resolve_ask *ask)
{
    TAILQ_REMOVE(&ask->name->asks, ask, next);
    mem_free(ask);
}

void resolve_prefer(struct resolver *r, const char *host, const struct sockaddr *sa, socklen_t length)
{
    struct name *n = name_find(r, host);
    for (size_t i = 1; n && i < n->found.n; i++) {
        struct resolve_address a = n->found.addresses[i];
        if (a.n != length || a.sa.ss_family != sa->sa_family || memcmp(&a.sa, sa, length) != 0)
            continue;
        memmove(&n->found.addresses[1], &n->found.addresses[0], i * sizeof a);
        n->found.addresses[0] = a;
        return;
    }
}
