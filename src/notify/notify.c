/* The notifier: takes one due delivery after the other, and writes down how each try ended. */
#include "notify/notify.h"
#include "base/clock.h"
#include "base/log.h"
#include "notify/room.h"
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS    INT64_C(1000000000)
#define IDLE_MOST_NS (60 * SECOND_NS)

int64_t notify_delay_s(int64_t attempts)
{
    static const int64_t delays[] = {5, 300, 1800, 7200, 18000, 36000, 50400};
    return attempts >= 1 && attempts <= (int64_t)(sizeof delays / sizeof *delays) ? delays[attempts - 1] : -1;
}

bool notify_clock_read(const char *text, int64_t *ret_minute)
{
    int64_t hour, minute;
    struct str t = str_of(text);
    if (t.n != 5 || t.p[2] != ':' || !str_int(str_sub(t, 0, 2), 0, 23, &hour) ||
        !str_int(str_sub(t, 3, 2), 0, 59, &minute))
        return false;
    *ret_minute = hour * 60 + minute;
    return true;
}

static int notifier_destroy(struct notifier *n)
{
    notifier_stop(n);
    close(n->stop_fd);
    pthread_mutex_destroy(&n->lock);
    pthread_mutex_destroy(&n->key_lock);
    pthread_cond_destroy(&n->poked);
    return 0;
}

struct notifier *notifier_new(mem *ctx, const struct notifier_spec *spec)
{
    struct notifier *n = mem_new(ctx, struct notifier);
    pthread_condattr_t monotonic;
    n->spec = *spec;
    n->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_ON(n->stop_fd < 0);
    pthread_mutex_init(&n->lock, NULL);
    pthread_mutex_init(&n->key_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->poked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    talloc_set_destructor(n, notifier_destroy);
    return n;
}

/* ---- one try ---- */

static const char *title_of(mem *ctx, struct notifier *n, const char *task)
{
    struct task t;
    return *task && task_find(ctx, n->spec.store, task, &t, NULL) == RC_OK ? t.title : "";
}

void notifier_send(struct notifier *n, const struct channel *c, const struct notice *what, int64_t now_ns,
                   struct notify_result *ret)
{
    static const struct {
        const char *kind;
        sender send;
    } senders[] = {{"webhook", webhook_send}, {"push", push_send}, {"email", email_send}};
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t began = clock_mono_ms();
    *ret = (struct notify_result){.outcome = NOTIFY_REFUSED};
    bool told = strcmp(c->kind, "push") != 0; /* a browser's vendor carries no words of a task */
    struct message m = {what, told ? title_of(tmp, n, what->task) : "", now_ns};
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++)
        if (strcmp(senders[i].kind, c->kind) == 0)
            senders[i].send(n, c, &m, ret);
    ret->ms = clock_mono_ms() - began;
}

struct tried {
    struct delivery *delivery;
    struct channel *channel;
    bool remove;
};

static enum rc tried_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct tried *t = arg;
    enum rc rc = delivery_tried(tx, t->delivery, t->channel, err);
    if (rc == RC_OK && t->remove)
        rc = channel_remove(tx, t->channel->id, err);
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static void given_up(struct delivery *d, struct channel *c)
{
    d->state = "failed";
    c->failures++;
    if (c->failures >= NOTIFY_GIVEN_UP_MOST)
        c->enabled = false;
}

/* What a result means to the delivery and its channel. */
static void result_apply(struct tried *t, const struct notify_result *r, int64_t now_ns)
{
    struct delivery *d = t->delivery;
    struct channel *c = t->channel;
    int64_t delay = notify_delay_s(d->attempts + 1);
    d->attempts++;
    d->status = r->status;
    d->words = c->problem = r->words;
    if (r->outcome == NOTIFY_SENT) {
        d->state = "sent";
        d->sent_ns = c->last_ok_ns = now_ns;
        d->words = c->problem = "";
        c->failures = 0;
    } else if (r->outcome == NOTIFY_GONE) {
        d->state = "dropped";
        c->enabled = false;
        t->remove = strcmp(c->kind, "push") == 0;
    } else if (r->outcome == NOTIFY_REFUSED || delay < 0) {
        given_up(d, c);
    } else {
        if (r->retry_after_s > delay)
            delay = r->retry_after_s;
        d->next_ns = now_ns + delay * SECOND_NS;
    }
}

static void result_log(const struct delivery *d, const struct channel *c, const struct notify_result *r)
{
    if (r->outcome != NOTIFY_SENT)
        log_warn("the notification %lld did not arrive at the %s %s (try %lld): %s", (long long)d->notice, c->kind,
                 c->name, (long long)d->attempts, r->words);
}

/* False: how it ended could not be written down. */
static bool deliver(struct notifier *n, struct delivery *d, struct channel *c, const struct notice *what,
                    int64_t now_ns)
{
    struct err err = {0};
    struct notify_result r = {0};
    struct tried t = {.delivery = d, .channel = c};
    if (!c->enabled) {
        d->state = "dropped";
        d->words = "the channel was switched off";
    } else {
        notifier_send(n, c, what, now_ns, &r);
        if (r.outcome != NOTIFY_SENT && atomic_load(&n->stopping))
            return true; /* it was cut off: the next daemon tries it again */
        if (n->spec.sent)
            n->spec.sent(n->spec.arg);
        result_apply(&t, &r, now_ns);
        result_log(d, c, &r);
    }
    if (store_write(n->spec.store, tried_tx, &t, &err) == RC_OK)
        return true;
    log_err(&err, "could not write down how a notification was delivered, so it will be sent again");
    return false;
}

/* ---- threads ---- */

/* Channels that others serve. Under the lock; in ctx. */
static const char *const *busy_list(mem *ctx, const struct notifier *n)
{
    const char **list = mem_array(ctx, const char *, NOTIFY_THREADS + 1);
    size_t used = 0;
    for (size_t i = 0; i < NOTIFY_THREADS; i++)
        if (n->busy[i][0])
            list[used++] = mem_str(ctx, n->busy[i]);
    return list;
}

static size_t busy_add(struct notifier *n, const char *channel)
{
    size_t i = 0;
    while (n->busy[i][0])
        i++;
    snprintf(n->busy[i], sizeof n->busy[i], "%s", channel);
    return i;
}

bool notifier_turn(struct notifier *n, int64_t now_ns, int64_t *ret_next_ns)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct delivery d;
    struct notice what;
    struct channel c;
    size_t slot = 0;
    pthread_mutex_lock(&n->lock); /* the look and the claim are one */
    enum rc rc = delivery_due(tmp, n->spec.store, now_ns, busy_list(tmp, n), &d, &what, &c, ret_next_ns, &err);
    if (rc == RC_OK)
        slot = busy_add(n, c.id);
    pthread_mutex_unlock(&n->lock);
    if (rc != RC_OK && rc != RC_NOT_FOUND) {
        log_err(&err, "could not look for notifications that are due");
        *ret_next_ns = now_ns + IDLE_MOST_NS;
    }
    if (rc != RC_OK)
        return false;
    bool written = deliver(n, &d, &c, &what, now_ns);
    pthread_mutex_lock(&n->lock);
    n->busy[slot][0] = '\0';
    n->poke = written; /* others of this channel may wait */
    pthread_cond_signal(&n->poked);
    pthread_mutex_unlock(&n->lock);
    *ret_next_ns = now_ns + IDLE_MOST_NS; /* a database that takes nothing: not again and again to the same people */
    return written;
}

static void wait_until(struct notifier *n, int64_t left_ns)
{
    struct timespec until;
    if (left_ns > IDLE_MOST_NS) /* the clock may be set meanwhile */
        left_ns = IDLE_MOST_NS;
    int64_t at = clock_mono_ns() + left_ns;
    until.tv_sec = at / SECOND_NS;
    until.tv_nsec = at % SECOND_NS;
    pthread_mutex_lock(&n->lock);
    while (!n->poke && !atomic_load(&n->stopping) && pthread_cond_timedwait(&n->poked, &n->lock, &until) != ETIMEDOUT) {
    }
    n->poke = false;
    pthread_mutex_unlock(&n->lock);
}

static void *thread_run(void *arg)
{
    struct notifier *n = arg;
    while (!atomic_load(&n->stopping)) {
        int64_t now = clock_wall_ns(), next = 0;
        if (!notifier_turn(n, now, &next))
            wait_until(n, next > now ? next - now : 0);
    }
    return NULL;
}

void notifier_start(struct notifier *n)
{
    for (size_t i = 0; i < NOTIFY_THREADS; i++) {
        BUG_ON(pthread_create(&n->threads[i], NULL, thread_run, n) != 0);
        n->thread_count++;
    }
}

void notifier_poke(struct notifier *n)
{
    pthread_mutex_lock(&n->lock);
    n->poke = true;
    pthread_cond_signal(&n->poked);
    pthread_mutex_unlock(&n->lock);
}

void notifier_stop(struct notifier *n)
{
    atomic_store(&n->stopping, true);
    if (eventfd_write(n->stop_fd, 1) < 0)
        log_warn("a notification under way is not cut off");
    pthread_mutex_lock(&n->lock);
    pthread_cond_broadcast(&n->poked);
    pthread_mutex_unlock(&n->lock);
    for (size_t i = 0; i < n->thread_count; i++)
        pthread_join(n->threads[i], NULL);
    n->thread_count = 0;
}
