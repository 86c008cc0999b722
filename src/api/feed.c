/* The live stream's middle: the reading thread, the ring, the viewers' turns. Not here: what viewers say and how they
 * are written to (feed_viewer.c), what an event looks like (feed_event.c). */
#include "api/feed_room.h"
#include "base/clock.h"
#include "base/log.h"
#include <time.h>

#define READS_MOST   2  /* pages read for slow viewers at a time: the pool serves others too */
#define TURN_VIEWERS 64 /* viewers that get their turn before the loop does something else */
#define IN_FLIGHT    4  /* batches on their way to the loop */
#define RETRY_NS     200000000

/* ---- the reading thread ---- */

struct batch {
    mem *ctx; /* each item is a copy in a context of its own, given to the ring */
    struct feed *feed;
    struct feed_entry *entries;
    size_t n;
};

static void batch_arrived(void *arg);

/* Copies the items out of their page, so that the ring can forget them one by one. */
static void batch_post(struct feed *f, const struct feed_item *items, size_t n)
{
    mem *ctx = mem_root();
    struct batch *b = mem_new(ctx, struct batch);
    *b = (struct batch){.ctx = ctx, .feed = f, .entries = mem_array(ctx, struct feed_entry, n), .n = n};
    for (size_t i = 0; i < n; i++) {
        mem *own = mem_root();
        const struct feed_item *from = &items[i];
        b->entries[i] = (struct feed_entry){.ctx = own, .item = *from};
        b->entries[i].item.project = mem_str(own, from->project);
        b->entries[i].item.user = mem_str(own, from->user);
        b->entries[i].item.text = str_n(mem_strn(own, from->text.p, from->text.n), from->text.n);
    }
    loop_post(&f->server->loop, batch_arrived, b);
}

/* One page; how many events it had. */
static size_t reader_read(struct feed *f, int64_t from)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct feed_item *items;
    size_t n = 0;
    if (feed_page(tmp, f->server->store, from, &items, &n, &err) != RC_OK) {
        log_err(&err, "the live stream could not read events");
        nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
        n = FEED_PAGE; /* again */
        items = NULL;
    }
    pthread_mutex_lock(&f->lock);
    if (n && items) {
        f->from = items[n - 1].n;
        f->in_flight++;
    }
    f->busy = false;
    pthread_mutex_unlock(&f->lock);
    if (n && items)
        batch_post(f, items, n);
    return n;
}

static void *reader_run(void *arg)
{
    struct feed *f = arg;
    for (;;) {
        pthread_mutex_lock(&f->lock);
        while (!f->ending && (!f->woken || f->from < 0 || f->in_flight >= IN_FLIGHT))
            pthread_cond_wait(&f->wake, &f->lock);
        if (f->ending) {
            pthread_mutex_unlock(&f->lock);
            return NULL;
        }
        int64_t from = f->from;
        f->woken = false;
        f->busy = true;
        pthread_mutex_unlock(&f->lock);
        if (reader_read(f, from) == FEED_PAGE)
            feed_committed(f);
    }
}

void feed_committed(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->woken = true;
    if (f->from >= 0)
        pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
}

/* ---- the ring ---- */

static struct feed_entry *ring_at(struct feed *f, size_t i)
{
    return &f->ring[(f->first + i) % FEED_RING];
}

static void ring_forget(struct feed *f)
{
    struct feed_entry *e = ring_at(f, 0);
    f->base = e->item.n;
    f->bytes -= e->item.text.n;
    mem_free(e->ctx);
    f->first = (f->first + 1) % FEED_RING;
    f->n--;
}

static void ring_add(struct feed *f, const struct feed_entry *e)
{
    while (f->n && (f->n == FEED_RING || f->bytes + e->item.text.n > FEED_RING_BYTES))
        ring_forget(f);
    *ring_at(f, f->n) = *e;
    f->n++;
    f->bytes += e->item.text.n;
    f->newest = e->item.n;
}

/* The first item with a number above; f->n when there is none. */
static size_t ring_after(struct feed *f, int64_t n)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ring_at(f, mid)->item.n > n)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

int64_t feed_newest(const struct feed *f, const struct feed_viewer *v)
{
    return f->newest > v->now ? f->newest : v->now;
}

void feed_start(struct feed *f, int64_t newest)
{
    pthread_mutex_lock(&f->lock);
    if (f->from < 0) {
        f->from = newest;
        f->newest = f->base = newest;
        f->woken = true;
        pthread_cond_signal(&f->wake);
    }
    pthread_mutex_unlock(&f->lock);
}

/* ---- feeding one viewer ---- */

struct feed_page_job {
    mem *ctx; /* of its own */
    struct feed_viewer *viewer;
    int64_t after;
    struct feed_item *items;
    size_t n;
    enum rc rc;
    struct err err;
};

bool feed_may_see(const struct principal *p, const struct feed_item *i)
{
    bool whole = principal_sees(p, "", i->needed);
    switch (i->reach) {
    case FEED_PROJECT:
        return principal_sees(p, i->project, i->needed);
    case FEED_WHOLE:
        return whole;
    case FEED_SHARED:
        return principal_most(p) >= i->needed && !p->models; /* a key for some models does not hear of others */
    case FEED_OWN:
        return whole || (p->user_id && strcmp(p->user_id, i->user) == 0);
    }
    return false;
}

static bool may_see(const struct feed_viewer *v, const struct feed_item *i)
{
    return feed_may_see(&v->principal, i);
}

static bool has_room(const struct feed_viewer *v)
{
    return viewer_backlog(v) <= HTTP_HIGH_WATER;
}

static void page_work(void *arg)
{
    struct feed_page_job *j = arg;
    j->rc = feed_page(j->ctx, j->viewer->feed->server->store, j->after, &j->items, &j->n, &j->err);
}

/* Of the topics that joined later: only what the others did not bring already. */
static bool replay_wanted(const struct feed_viewer *v, const struct feed_item *i)
{
    return i->n <= v->replay_to && feed_wanted(&v->more, i) && !feed_wanted(&v->wish, i);
}

static void wish_join(struct feed_wish *to, const struct feed_wish *more)
{
    to->topics |= more->topics;
    for (size_t i = 0; i < more->task_n; i++) {
        bool have = false;
        for (size_t k = 0; k < to->task_n; k++)
            have = have || to->tasks[k] == more->tasks[i];
        if (!have && to->task_n < FEED_TASKS_MOST)
            to->tasks[to->task_n++] = more->tasks[i];
    }
}

static void replay_end(struct feed_viewer *v)
{
    v->replaying = false;
    wish_join(&v->wish, &v->more);
}

/* Sends of a page what the connection takes; the rest is read again when it is due. */
static void page_send(struct feed_viewer *v, const struct feed_page_job *j)
{
    int64_t *at = v->replaying ? &v->replay_at : &v->at;
    for (size_t i = 0; i < j->n && has_room(v); i++) {
        const struct feed_item *item = &j->items[i];
        bool wanted = v->replaying ? replay_wanted(v, item) : feed_wanted(&v->wish, item);
        *at = item->n;
        if (wanted && may_see(v, item)) {
            viewer_send(v, item->text, item->n);
            v->feed->replayed++;
        }
        if (v->replaying && item->n >= v->replay_to)
            break;
    }
    if (v->replaying && (v->replay_at >= v->replay_to || !j->n))
        replay_end(v);
    else if (!v->replaying && !j->n && v->at < v->feed->base)
        v->at = v->feed->base; /* nothing stands between */
}

static void queued_next(struct feed *f);

static void page_done(void *arg)
{
    struct feed_page_job *j = arg;
    struct feed_viewer *v = j->viewer;
    struct feed *f = v->feed;
    f->reads--;
    v->reading = false;
    if (v->closing) {
        viewer_unlink(v);
    } else if (j->rc != RC_OK) {
        log_err(&j->err, "the live stream could not be read for a viewer");
        viewer_end(v, 1011, "the events could not be read; connect again");
    } else {
        page_send(v, j);
        feed_pump(v);
    }
    mem_free(j->ctx);
    queued_next(f);
}

static void page_begin(struct feed_viewer *v)
{
    struct feed *f = v->feed;
    if (f->reads >= READS_MOST) {
        v->queued = true;
        return;
    }
    mem *ctx = mem_root();
    struct feed_page_job *j = mem_new(ctx, struct feed_page_job);
    j->ctx = ctx;
    j->viewer = v;
    j->after = v->replaying ? v->replay_at : v->at;
    v->queued = false;
    v->reading = true;
    f->reads++;
    loop_offload(&f->server->loop, page_work, page_done, j);
}

/* Those who wait the longest stand last in the list of viewers. */
static void queued_next(struct feed *f)
{
    struct feed_viewer *last = NULL;
    if (f->reads >= READS_MOST)
        return;
    for (struct feed_viewer *v = f->viewers; v; v = v->next)
        if (v->queued && !v->closing && (!last || v->sent_ms <= last->sent_ms))
            last = v;
    if (last)
        page_begin(last);
}

void feed_pump(struct feed_viewer *v)
{
    struct feed *f = v->feed;
    if (!v->begun || v->reading || v->closing || !f->newest)
        return;
    if (v->replaying || v->at < f->base) {
        if (!has_room(v))
            return;
        if (!v->replaying && !v->behind)
            viewer_gap(v);
        v->behind = !v->replaying;
        page_begin(v);
        return;
    }
    v->behind = false;
    for (size_t i = ring_after(f, v->at); i < f->n && has_room(v); i++) {
        const struct feed_item *item = &ring_at(f, i)->item;
        v->at = item->n;
        if (feed_wanted(&v->wish, item) && may_see(v, item)) {
            viewer_send(v, item->text, item->n);
            f->sent++;
        }
    }
}

/* ---- turns ---- */

static void turn_some(void *arg)
{
    struct feed *f = arg;
    for (int i = 0; i < TURN_VIEWERS && f->turn; i++) {
        struct feed_viewer *v = f->turn;
        f->turn = v->next;
        feed_pump(v);
    }
    if (!f->turn && f->again) {
        f->again = false;
        f->turn = f->viewers;
    }
    f->turning = f->turn != NULL;
    if (f->turning)
        loop_post(&f->server->loop, turn_some, f);
}

static void turn_all(struct feed *f)
{
    if (f->turning) {
        f->again = true;
        return;
    }
    f->turn = f->viewers;
    f->turning = true;
    turn_some(f);
}

static void batch_arrived(void *arg)
{
    struct batch *b = arg;
    struct feed *f = b->feed;
    for (size_t i = 0; i < b->n; i++) {
        if (b->entries[i].item.n > f->newest)
            ring_add(f, &b->entries[i]);
        else
            mem_free(b->entries[i].ctx);
    }
    mem_free(b->ctx);
    pthread_mutex_lock(&f->lock);
    f->in_flight--;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    turn_all(f);
}

/* ---- life ---- */

struct feed *feed_open(struct server *s)
{
    struct feed *f = mem_new(s->ctx, struct feed);
    f->ctx = s->ctx;
    f->server = s;
    f->from = -1;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    BUG_ON(pthread_create(&f->thread, NULL, reader_run, f) != 0);
    return f;
}

/* Nobody looks: nothing is read until somebody does. What is on its way is dropped when it arrives. */
static void feed_rest(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    bool idle = !f->viewer_n && f->from >= 0 && !f->in_flight && !f->busy;
    if (idle)
        f->from = -1;
    pthread_mutex_unlock(&f->lock);
    if (!idle)
        return;
    while (f->n)
        ring_forget(f);
    f->newest = 0;
}

void feed_tick(struct feed *f)
{
    int64_t now = clock_mono_ms();
    for (struct feed_viewer *v = f->viewers, *next; v; v = next) {
        next = v->next;
        if (!v->closing && now - v->sent_ms > FEED_HEARTBEAT_S * 1000 && has_room(v))
            viewer_heartbeat(v);
        standing_check(v, now);
    }
    presence_tick(f);
    feed_rest(f);
}

void feed_close(struct feed *f)
{
    for (struct feed_viewer *v = f->viewers, *next; v; v = next) {
        next = v->next;
        viewer_end(v, 1001, "the daemon stops; connect again");
    }
}

void feed_end(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
}

void feed_json(const struct feed *f, struct json_out *o)
{
    size_t behind = 0;
    for (const struct feed_viewer *v = f->viewers; v; v = v->next)
        behind += v->behind;
    jo_obj(o);
    jo_ki(o, "viewers", (int64_t)f->viewer_n);
    jo_ki(o, "behind", (int64_t)behind);
    jo_ki(o, "newest", f->newest);
    jo_ki(o, "ring", (int64_t)f->n);
    jo_ki(o, "sent", f->sent);
    jo_ki(o, "replayed", f->replayed);
    jo_ki(o, "resyncs", f->resyncs);
    jo_end_obj(o);
}
