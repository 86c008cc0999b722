/* A queue, a thread, and the loop's mailbox for the way back. */
#include "os/lane.h"
#include "base/err.h"
#include <pthread.h>
#include <string.h>

struct piece {
    struct lane *lane;
    char origin[64];
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    struct piece *next;
};
struct lane {
    struct loop *loop;
    size_t most, most_of_one;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct piece *first, **last; /* under the lock; the first is being worked on */
    size_t n;
};

static void piece_done(void *arg)
{
    struct piece *p = arg;
    p->done(p->arg);
    mem_free(p);
}

static void *lane_run(void *arg)
{
    struct lane *l = arg;
    for (;;) {
        pthread_mutex_lock(&l->lock);
        while (!l->first)
            pthread_cond_wait(&l->filled, &l->lock);
        struct piece *p = l->first;
        pthread_mutex_unlock(&l->lock);
        p->work(p->arg);
        pthread_mutex_lock(&l->lock);
        l->first = p->next;
        if (!l->first)
            l->last = &l->first;
        l->n--;
        pthread_mutex_unlock(&l->lock);
        loop_post(l->loop, piece_done, p);
    }
    return NULL;
}

struct lane *lane_new(mem *ctx, struct loop *loop, size_t most, size_t most_of_one)
{
    struct lane *l = mem_new(ctx, struct lane);
    *l = (struct lane){.loop = loop, .most = most, .most_of_one = most_of_one};
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    BUG_ON(pthread_create(&l->thread, NULL, lane_run, l) != 0);
    pthread_detach(l->thread);
    return l;
}

bool lane_offload(struct lane *l, const char *origin, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct piece *p = mem_new(NULL, struct piece);
    size_t same = 0;
    *p = (struct piece){.lane = l, .work = work, .done = done, .arg = arg};
    memcpy(p->origin, origin, strnlen(origin, sizeof p->origin - 1));
    pthread_mutex_lock(&l->lock);
    for (const struct piece *q = l->first; q; q = q->next)
        same += strcmp(q->origin, p->origin) == 0;
    bool room = l->n < l->most && same < l->most_of_one;
    if (room) {
        *l->last = p;
        l->last = &p->next;
        l->n++;
        pthread_cond_signal(&l->filled);
    }
    pthread_mutex_unlock(&l->lock);
    if (!room)
        mem_free(p);
    return room;
}
