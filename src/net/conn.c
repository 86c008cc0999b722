/* Sockets on the loop; the promises are in conn.h. Not here: any protocol, filters included. */
#include "net/conn.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 << 10,
    READS_PER_EVENT = 4,    /* then the others have their turn */
    TIMER_GRAIN_MS = 20,    /* deadlines closer together than this share one pass over the connections */
    STANDSTILL_MS = 1000,   /* see timer_fired */
    OUT_FIRST = 900,        /* a block that the C library gives out without a search */
    SEAL_MOST = 64 << 10,   /* output that is turned by a filter at once */
    FILTER_KEPT = 32 << 10, /* what a filter may hold back of earlier input and add to that of one read */
};

static void link_init(struct link *l)
{
    l->prev = l->next = l;
}

static void link_add(struct link *list, struct link *l)
{
    l->prev = list->prev;
    l->next = list;
    list->prev->next = l;
    list->prev = l;
}

static void link_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}

#define CONN_OF(l, member) ((struct conn *)(void *)((char *)(l)-offsetof(struct conn, member)))

static int64_t hub_now(const struct conn_hub *hub)
{
    return (int64_t)uv_now(hub->loop);
}

static size_t out_left(const struct conn *c)
{
    return c->out.n - c->sent;
}

static size_t plain_left(const struct conn *c)
{
    return c->plain.n - c->sealed;
}

size_t conn_backlog(const struct conn *c)
{
    return out_left(c) + plain_left(c);
}

/* --- closing -------------------------------------------------------------------------------------------------------
 */

static void conn_free(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct conn_hub *hub = c->hub;
    link_remove(&c->in_all);
    if (c->filter)
        c->filter->free(c);
    mem_free(c);
    hub->count--;
    hub->on_count(hub);
}

/* A closed connection stays in the list until it is freed, which happens in a phase of the loop of its own: so a walk
 * over the list need not fear what its callbacks do. */
void conn_drop(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    link_remove(&c->in_dirty);
    uv_close((uv_handle_t *)&c->poll, conn_free);
    close(c->fd); /* allowed once the poll is closing */
    c->fd = -1;
    buf_done(&c->out);
    buf_done(&c->plain);
    c->sent = c->sealed = 0;
}

static void conn_say_gone(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_FINISHING;
    c->kind->on_gone(c);
}

static void conn_lost(struct conn *c)
{
    conn_say_gone(c);
    conn_drop(c);
}

/* --- deadlines: one timer a hub, armed for the earliest; a pass over all connections when it fires ------------------
 */

static void timer_fired(uv_timer_t *timer);

static void timer_arm(struct conn_hub *hub, int64_t at)
{
    if (hub->timer_at && hub->timer_at <= at)
        return;
    int64_t wait = at - hub_now(hub);
    hub->timer_at = at;
    uv_timer_start(&hub->timer, timer_fired, wait > TIMER_GRAIN_MS ? (uint64_t)wait : TIMER_GRAIN_MS, 0);
}

static void conn_expire(struct conn *c, int64_t now)
{
    if (c->stall_at && c->stall_at <= now) {
        conn_lost(c);
    } else if (c->deadline && c->deadline <= now) {
        c->deadline = 0;
        if (c->state == CONN_OPEN)
            c->kind->on_deadline(c);
        else
            conn_drop(c);
    }
}

static void timer_fired(uv_timer_t *timer)
{
    struct conn_hub *hub = timer->data;
    int64_t now = hub_now(hub), next = 0, late = now - hub->timer_at;
    hub->timer_at = 0;
    /* A timer this late means that the whole process stood still (stopped, starved): what arrived meanwhile is read
     * first. */
    hub->excused = late > STANDSTILL_MS && !hub->excused;
    if (hub->excused) {
        timer_arm(hub, now + TIMER_GRAIN_MS);
        return;
    }
    for (struct link *l = hub->all.next; l != &hub->all; l = l->next) {
        struct conn *c = CONN_OF(l, in_all);
        if (c->state != CONN_CLOSED)
            conn_expire(c, now);
        if (c->state == CONN_CLOSED)
            continue;
        if (c->deadline && (!next || c->deadline < next))
            next = c->deadline;
        if (c->stall_at && (!next || c->stall_at < next))
            next = c->stall_at;
    }
    if (next)
        timer_arm(hub, next);
}

void conn_deadline(struct conn *c, int64_t ms)
{
    if (c->state == CONN_CLOSED)
        return;
    c->deadline = ms < 0 ? 0 : hub_now(c->hub) + ms;
    if (c->deadline)
        timer_arm(c->hub, c->deadline);
}

/* --- the turn: everything that was put off until just before the loop waits ------------------------------------------
 */

static void turn_run(uv_idle_t *turn);

static void conn_soil(struct conn *c)
{
    if (c->state == CONN_CLOSED || c->in_dirty.next != &c->in_dirty)
        return;
    link_add(&c->hub->dirty, &c->in_dirty);
    uv_idle_start(&c->hub->turn, turn_run);
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static void poll_ready(uv_poll_t *poll, int status, int events);

/* A filter may answer input by itself: that of a peer that reads nothing is left where it is. */
static bool conn_wants_input(const struct conn *c)
{
    return c->state != CONN_OPEN || (!c->held && c->in.n < CONN_IN_MAX && !(c->filter && out_left(c) > CONN_HIGH));
}

/* Once the peer has closed, its hang-up would be reported for ever: only the end of our output is then of interest. */
static void conn_watch(struct conn *c)
{
    int events = 0;
    if (c->state == CONN_CLOSED)
        return;
    bool deaf = c->peer_closed || c->connecting;
    if (!deaf && !(c->held && c->state == CONN_OPEN))
        events |= UV_DISCONNECT;
    if (!deaf && conn_wants_input(c))
        events |= UV_READABLE;
    if (c->full || c->connecting)
        events |= UV_WRITABLE;
    if (events == c->watched)
        return;
    c->watched = events;
    if (events)
        uv_poll_start(&c->poll, events, poll_ready);
    else
        uv_poll_stop(&c->poll);
}

static void conn_drained(struct conn *c)
{
    buf_done(&c->out);
    buf_done(&c->plain);
    c->sent = c->sealed = 0;
    c->stall_at = 0;
    if (c->state != CONN_FINISHING)
        return;
    if (c->peer_closed) {
        conn_drop(c);
        return;
    }
    /* Closing while the peer still sends would reset the connection and could take our last words from it. */
    shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGERING;
    conn_deadline(c, CONN_LINGER_MS);
}

/* Takes what is done off the front, now and then: a long backlog must not be moved again and again. */
static void front_drop(struct buf *b, size_t *done)
{
    if (*done <= b->n / 2 || *done == b->n)
        return;
    buf_drop(b, *done);
    *done = 0;
}

static void conn_break(struct conn *c)
{
    c->broken = true;
    conn_soil(c);
}

/* Has the filter make more output for the socket, when there is none left. */
static void conn_seal(struct conn *c)
{
    size_t n = plain_left(c) < SEAL_MOST ? plain_left(c) : SEAL_MOST;
    if (!c->filter || out_left(c) > 0 || (c->outward && !c->ready))
        return;
    if (n > 0) {
        buf_clear(&c->out);
        c->sent = 0;
        if (!c->filter->seal(c, str_n(c->plain.p + c->sealed, n)))
            conn_break(c);
        c->sealed += n;
        c->taken += n;
        front_drop(&c->plain, &c->sealed);
    } else if (c->state == CONN_FINISHING && !c->farewell) {
        c->farewell = true;
        c->filter->farewell(c);
    }
}

/* Writes what the socket takes. Calls nobody: a failure is remembered and said on the next turn. */
static void conn_flush(struct conn *c)
{
    if (c->broken || c->connecting)
        return;
    c->full = false;
    for (;;) {
        conn_seal(c);
        if (c->broken)
            return;
        if (out_left(c) == 0)
            break;
        ssize_t n = send(c->fd, c->out.p + c->sent, out_left(c), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            c->full = true;
            break;
        }
        if (n < 0) {
            c->error = errno;
            conn_break(c);
            return;
        }
        c->sent += (size_t)n;
        c->taken += c->filter ? 0 : (size_t)n;
        c->stall_at = 0;
    }
    front_drop(&c->out, &c->sent);
    if (conn_backlog(c) > 0 && !c->stall_at) {
        c->stall_at = hub_now(c->hub) + c->hub->stall_ms;
        timer_arm(c->hub, c->stall_at);
    }
    if (c->above && conn_backlog(c) <= CONN_LOW)
        conn_soil(c);
    if (conn_backlog(c) == 0)
        conn_drained(c);
    conn_watch(c);
}

void conn_put(struct conn *c, struct str raw)
{
    if (c->state == CONN_CLOSED || c->broken || raw.n == 0)
        return;
    if (!c->out.p)
        (void)buf_reserve(&c->out, OUT_FIRST);
    if (buf_str(&c->out, raw) && !c->full)
        conn_soil(c);
    else if (c->out.overflow)
        conn_break(c);
}

void conn_write(struct conn *c, struct str bytes)
{
    struct buf *to = c->filter ? &c->plain : &c->out;
    if (c->state != CONN_OPEN || c->broken || bytes.n == 0)
        return;
    if (!to->p)
        (void)buf_reserve(to, OUT_FIRST);
    if (!buf_str(to, bytes)) {
        conn_break(c); /* half an answer must not look like a whole one */
        return;
    }
    if (conn_backlog(c) >= CONN_FLUSH && !c->full)
        conn_flush(c);
    if (conn_backlog(c) > CONN_HIGH)
        c->above = true;
    if (conn_backlog(c) > 0 && !c->full)
        conn_soil(c);
}

void conn_finish(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_FINISHING;
    c->deadline = 0;
    conn_soil(c);
}

void conn_abort(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    conn_flush(c);
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    conn_drop(c);
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

/* Input goes up straight from the read; only what is left over is kept. */
static void conn_offer(struct conn *c, struct str bytes)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->in.n > 0) {
        BUG_ON(!buf_str(&c->in, bytes));
        size_t used = c->kind->on_bytes(c, buf_view(&c->in));
        buf_drop(&c->in, used);
        conn_watch(c);
    } else {
        size_t used = c->kind->on_bytes(c, bytes);
        if (used < bytes.n && c->state == CONN_OPEN)
            buf_add(&c->in, bytes.p + used, bytes.n - used);
    }
    if (c->in.n == 0 || c->state != CONN_OPEN)
        buf_done(&c->in);
}

void conn_wake(struct conn *c)
{
    c->wake = true;
    conn_soil(c);
}

static void conn_ended(struct conn *c)
{
    c->end_waits = c->held && c->state == CONN_OPEN;
    c->peer_closed = true;
    if (c->end_waits)
        return;
    conn_say_gone(c);
    if (conn_backlog(c) == 0 || c->state == CONN_LINGERING)
        conn_drop(c);
}

void conn_pass(struct conn *c, struct str plain)
{
    conn_offer(c, plain);
}

/* Input of the socket, through the filter if there is one. False: no more is wanted. */
static bool conn_feed(struct conn *c, struct str raw)
{
    if (!c->filter || c->state != CONN_OPEN) {
        conn_offer(c, raw);
        return true;
    }
    enum conn_fed fed = c->filter->feed(c, raw);
    c->ended_well |= fed == CONN_FED_END;
    if (fed == CONN_FED_END && c->state != CONN_CLOSED)
        conn_ended(c);
    if (fed == CONN_FED_BROKEN) {
        conn_say_gone(c);
        c->farewell = true; /* what was put is the last word */
        conn_soil(c);
    }
    return fed == CONN_FED;
}

static void conn_read(struct conn *c)
{
    char chunk[READ_SIZE];
    for (int i = 0; i < READS_PER_EVENT && c->state != CONN_CLOSED && conn_wants_input(c); i++) {
        ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0) {
            c->error = errno;
            conn_lost(c);
            return;
        }
        if (n == 0) {
            c->ended_well |= !c->filter;
            conn_ended(c);
            return;
        }
        if (!conn_feed(c, str_n(chunk, (size_t)n)) || (size_t)n < sizeof chunk)
            return;
    }
}

void conn_tell_ready(struct conn *c)
{
    c->ready = true;
    if (c->state == CONN_OPEN)
        c->kind->on_ready(c);
    if (conn_backlog(c) > 0)
        conn_soil(c);
}

static void conn_connected(struct conn *c)
{
    socklen_t n = sizeof c->error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->error, &n) != 0)
        c->error = errno;
    if (c->error) {
        conn_lost(c);
        return;
    }
    c->connecting = false;
    if (!c->filter)
        conn_tell_ready(c);
    else if (out_left(c) > 0)
        conn_soil(c); /* the filter's first words */
    conn_watch(c);
}

/* The socket has an error. What came before it may still be in the kernel. */
static void conn_failed(struct conn *c, int status)
{
    c->watched = 0; /* libuv has stopped the poll */
    if (!c->outward) {
        conn_lost(c);
        return;
    }
    if (!c->held)
        conn_read(c);
    if (status != UV_EBADF && c->state != CONN_CLOSED) { /* not what libuv says for an error of the socket itself */
        conn_lost(c);
        return;
    }
    conn_watch(c);
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (c->connecting) {
        conn_connected(c);
        return;
    }
    if (status < 0) {
        conn_failed(c, status);
        return;
    }
    if (events & UV_READABLE)
        conn_read(c);
    else if (events & UV_DISCONNECT)
        conn_ended(c);
    if (c->state != CONN_CLOSED && (events & UV_WRITABLE))
        conn_flush(c);
    conn_watch(c);
}

static void conn_turn(struct conn *c)
{
    if (c->broken && c->outward && c->state == CONN_OPEN) {
        if (!c->held)
            conn_read(c); /* a server may refuse a request before it has read it, and close */
    } else if (c->broken) {
        conn_lost(c);
        return;
    }
    if (c->wake) {
        c->wake = false;
        conn_offer(c, STR(""));
        if (c->end_waits && !c->held && c->state == CONN_OPEN)
            conn_ended(c);
    }
    if (c->state != CONN_OPEN)
        buf_done(&c->in);
    if (c->state != CONN_CLOSED)
        conn_flush(c);
    if (c->state == CONN_OPEN && c->above && conn_backlog(c) <= CONN_LOW) {
        c->above = false;
        c->kind->on_drained(c);
    }
    if (c->state == CONN_OPEN && c->leaving && !c->broken)
        c->kind->on_leave(c);
}

/* One round: what is soiled meanwhile waits for the next turn, which comes at once because the idle handle stays. */
static void turn_run(uv_idle_t *turn)
{
    struct conn_hub *hub = turn->data;
    struct link batch;
    link_init(&batch);
    while (hub->dirty.next != &hub->dirty) {
        struct link *l = hub->dirty.next;
        link_remove(l);
        link_add(&batch, l);
    }
    while (batch.next != &batch) {
        struct link *l = batch.next;
        link_remove(l);
        conn_turn(CONN_OF(l, in_dirty));
    }
    if (hub->dirty.next == &hub->dirty)
        uv_idle_stop(turn);
}

/* --- opening --------------------------------------------------------------------------------------------------------
 */

enum rc conn_open(struct conn *c, struct conn_hub *hub, int fd, const struct conn_kind *kind, struct err *err)
{
    int bad = uv_poll_init(hub->loop, &c->poll, fd);
    if (bad) {
        close(fd);
        return err_sys(err, -bad, "A connection cannot be watched.");
    }
    c->hub = hub;
    c->fd = fd;
    c->kind = kind;
    c->poll.data = c;
    c->state = CONN_OPEN;
    buf_init(&c->in, c, CONN_IN_MAX + READ_SIZE + FILTER_KEPT);
    buf_init(&c->out, c, CONN_OUT_MAX);
    buf_init(&c->plain, c, CONN_OUT_MAX);
    link_init(&c->in_dirty);
    link_add(&hub->all, &c->in_all);
    hub->count++;
    conn_watch(c);
    return RC_OK;
}

static enum rc outward_fail(struct err *err, int error)
{
    err_set(err, RC_UNAVAILABLE, "A connection could not be begun.");
    return err_detail(err, "%s", strerror(error));
}

enum rc conn_connect(struct conn *c, struct conn_hub *hub, const struct sockaddr *to, socklen_t n,
                     const struct conn_kind *kind, struct err *err)
{
    int one = 1, fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return outward_fail(err, errno);
    if (to->sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (connect(fd, to, n) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return outward_fail(err, error);
    }
    c->outward = c->connecting = true;
    return conn_open(c, hub, fd, kind, err);
}

/* --- from loop to loop -----------------------------------------------------------------------------------------------
 */

void conn_leave(struct conn *c)
{
    c->leaving = true;
    conn_soil(c);
}

static struct str rest_copy(mem *ctx, const struct buf *b, size_t done)
{
    return str_n(mem_strn(ctx, b->p ? b->p + done : "", b->n - done), b->n - done);
}

void conn_take_apart(struct conn *c, struct conn_parcel *ret)
{
    BUG_ON(c->state != CONN_OPEN);
    *ret = (struct conn_parcel){.ctx = mem_root(), .fd = c->fd, .filter = c->filter};
    ret->in = rest_copy(ret->ctx, &c->in, 0);
    ret->out = rest_copy(ret->ctx, &c->out, c->sent);
    ret->plain = rest_copy(ret->ctx, &c->plain, c->sealed);
    if (c->filter) {
        c->filter->leave(c, ret->ctx);
        ret->filter_data = c->filter_data;
    }
    c->filter = NULL;
    c->state = CONN_CLOSED;
    c->fd = -1;
    link_remove(&c->in_dirty);
    uv_close((uv_handle_t *)&c->poll, conn_free); /* and the loop forgets the descriptor at once */
    buf_done(&c->in);
    buf_done(&c->out);
    buf_done(&c->plain);
    c->sent = c->sealed = 0;
}

void conn_parcel_drop(struct conn_parcel *p)
{
    if (p->filter)
        p->filter->drop(p);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->ctx = mem_free(p->ctx);
}

enum rc conn_adopt(struct conn *c, struct conn_hub *hub, struct conn_parcel *p, const struct conn_kind *kind,
                   struct err *err)
{
    int fd = p->fd;
    p->fd = -1; /* conn_open's, also when it fails */
    enum rc rc = conn_open(c, hub, fd, kind, err);
    if (rc != RC_OK) {
        conn_parcel_drop(p);
        return rc;
    }
    if (p->filter) {
        c->filter = p->filter;
        c->filter_data = p->filter_data;
        c->filter->join(c);
    }
    bool all = buf_str(&c->in, p->in) && buf_str(&c->out, p->out) && buf_str(&c->plain, p->plain);
    if (!all) /* more than a connection may keep: it never had so much */
        conn_break(c);
    c->above = conn_backlog(c) > CONN_HIGH;
    p->ctx = mem_free(p->ctx);
    conn_wake(c);
    conn_watch(c);
    return RC_OK;
}

void conn_hold(struct conn *c, bool held)
{
    if (c->held == held || c->state == CONN_CLOSED)
        return;
    c->held = held;
    if (!held)
        conn_wake(c);
    conn_watch(c);
}

void conn_filter_set(struct conn *c, const struct conn_filter *filter, void *data)
{
    c->filter = filter;
    c->filter_data = data;
}

static void hub_handle_closed(uv_handle_t *handle)
{
    struct conn_hub *hub = handle->data;
    if (--hub->open_handles == 0)
        hub->on_count(hub);
}

enum rc conn_hub_open(struct conn_hub *hub, uv_loop_t *loop, int stall_ms, struct err *err)
{
    (void)err; /* neither handle can fail to start today */
    hub->loop = loop;
    hub->stall_ms = stall_ms;
    link_init(&hub->all);
    link_init(&hub->dirty);
    uv_idle_init(loop, &hub->turn);
    uv_timer_init(loop, &hub->timer);
    hub->turn.data = hub->timer.data = hub;
    hub->open_handles = 2;
    return RC_OK;
}

void conn_hub_close(struct conn_hub *hub)
{
    BUG_ON(hub->count > 0);
    if (hub->closing)
        return;
    hub->closing = true;
    uv_close((uv_handle_t *)&hub->turn, hub_handle_closed);
    uv_close((uv_handle_t *)&hub->timer, hub_handle_closed);
}

void conn_hub_each(struct conn_hub *hub, void (*each)(struct conn *c))
{
    for (struct link *l = hub->all.next; l != &hub->all; l = l->next)
        if (CONN_OF(l, in_all)->state != CONN_CLOSED)
            each(CONN_OF(l, in_all));
}
