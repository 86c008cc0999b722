/* Requests to model servers: libcurl's socket interface on libuv. Set-up and verdicts are easy.c.
 *
 * libcurl forbids most calls on a multi handle from inside its own callbacks, and curl_easy_pause may call back at
 * once. So adding, resuming and removing a transfer are wishes that are noted on the call and granted in one place, the
 * pool's turn, which runs before the loop waits. Not here: retries, what answers mean, server-sent events. */
#include "net/upstream.h"
#include "net/easy.h"
#include <sys/queue.h>

enum {
    CONNECT_DEFAULT_MS = 30000,
    CONNECTS_KEPT = 256, /* idle and busy connections together; libcurl's default loses keep-alive under load */
    GRACE_MS = 20,       /* see call_late */
    HANDLES_KEPT = 32,   /* easy handles at rest, ready to be used again */
};

enum wish { WISH_NOTHING = 0, WISH_START = 1, WISH_RESUME = 2, WISH_REMOVE = 4 };

struct upstream_call {
    struct upstream_pool *pool;
    TAILQ_ENTRY(upstream_call) in_calls, in_wishing;
    struct upstream_spec spec;
    struct easy easy;
    uv_timer_t timer; /* first byte, then idle */
    unsigned wishes;
    bool added; /* libcurl has it */
    bool dead;  /* cancelled or ended: nobody is told anything more */
    bool paused;
    bool late;  /* the deadline has passed once */
    bool ended; /* on_end is on the stack */
};

struct upstream_socket {
    struct upstream_pool *pool;
    uv_poll_t poll;
    curl_socket_t fd;
};

struct upstream_pool {
    mem *root;
    uv_loop_t *loop;
    CURLM *multi;     /* NULL once torn down */
    uv_timer_t timer; /* libcurl's own */
    uv_idle_t turn;   /* active while calls have wishes */
    int open_handles; /* of libuv: timer, turn, and those of sockets and calls */
    TAILQ_HEAD(, upstream_call) calls, wishing;
    CURL *resting[HANDLES_KEPT];
    size_t resting_count, live;
    bool closing;
};

/* --- handles and memory ----------------------------------------------------------------------------------------------
 */

static void pool_handle_closed(struct upstream_pool *p)
{
    if (--p->open_handles == 0)
        mem_free(p->root);
}

static void own_handle_closed(uv_handle_t *handle)
{
    pool_handle_closed(handle->data);
}

static void call_handle_closed(uv_handle_t *handle)
{
    struct upstream_call *c = handle->data;
    struct upstream_pool *p = c->pool;
    mem_free(c);
    pool_handle_closed(p);
}

static void socket_handle_closed(uv_handle_t *handle)
{
    struct upstream_socket *s = handle->data;
    struct upstream_pool *p = s->pool;
    mem_free(s);
    pool_handle_closed(p);
}

static CURL *easy_take(struct upstream_pool *p)
{
    CURL *c = p->resting_count ? p->resting[--p->resting_count] : curl.easy_init();
    BUG_ON(!c);
    return c;
}

static void easy_rest(struct upstream_pool *p, CURL *c)
{
    if (p->closing || p->resting_count == HANDLES_KEPT) {
        curl.easy_cleanup(c);
        return;
    }
    curl.easy_reset(c);
    p->resting[p->resting_count++] = c;
}

/* --- wishes ----------------------------------------------------------------------------------------------------------
 */

static void pool_turn(uv_idle_t *turn);

static void call_wish(struct upstream_call *c, enum wish wish)
{
    struct upstream_pool *p = c->pool;
    if (!c->wishes)
        TAILQ_INSERT_TAIL(&p->wishing, c, in_wishing);
    c->wishes |= wish;
    uv_idle_start(&p->turn, pool_turn);
}

static void call_unwish(struct upstream_call *c)
{
    if (c->wishes)
        TAILQ_REMOVE(&c->pool->wishing, c, in_wishing);
    c->wishes = WISH_NOTHING;
}

/* Not from inside libcurl. */
static void call_free(struct upstream_call *c)
{
    struct upstream_pool *p = c->pool;
    call_unwish(c);
    if (c->added)
        curl.multi_remove_handle(p->multi, c->easy.curl);
    c->added = false;
    easy_rest(p, c->easy.curl);
    easy_done(&c->easy);
    TAILQ_REMOVE(&p->calls, c, in_calls);
    uv_close((uv_handle_t *)&c->timer, call_handle_closed);
}

static void call_bury(struct upstream_call *c)
{
    if (c->dead)
        return;
    c->dead = true;
    c->pool->live--;
    uv_timer_stop(&c->timer);
}

/* Tells the end. Not from inside libcurl. */
static void call_end(struct upstream_call *c, enum rc rc, const struct err *err)
{
    call_bury(c);
    c->ended = true;
    c->spec.on_end(c->spec.arg, rc, rc == RC_OK ? NULL : err);
    call_free(c);
}

/* --- deadlines -------------------------------------------------------------------------------------------------------
 */

static void call_late(uv_timer_t *timer)
{
    struct upstream_call *c = timer->data;
    struct err err = {0};
    bool idle = c->easy.head_done;
    /* After a standstill of the whole process (stopped, starved) timers come before the bytes that are waiting: those
     * are read first. */
    if (!c->late) {
        c->late = true;
        uv_timer_start(timer, call_late, GRACE_MS, 0);
        return;
    }
    err_set(&err, RC_TIMEOUT, idle ? "%s sent nothing more for %d ms." : "%s did not begin to answer within %d ms.",
            c->easy.origin, idle ? c->spec.idle_ms : c->spec.first_byte_ms);
    call_end(c, RC_TIMEOUT, &err);
}

static void call_wait(struct upstream_call *c, int ms)
{
    c->late = false;
    if (ms > 0)
        uv_timer_start(&c->timer, call_late, (uint64_t)ms, 0);
    else
        uv_timer_stop(&c->timer);
}

/* --- libcurl's callbacks about one transfer: inside libcurl
 * ------------------------------------------------------------- */

static bool call_head(void *owner)
{
    struct upstream_call *c = owner;
    if (c->dead)
        return false;
    call_wait(c, c->spec.idle_ms);
    if (c->spec.on_head)
        c->spec.on_head(c->spec.arg, c->easy.status, buf_view(&c->easy.head));
    return !c->dead;
}

static size_t call_body(void *owner, struct str bytes)
{
    struct upstream_call *c = owner;
    if (c->dead)
        return 0;
    bool taken = c->spec.on_body(c->spec.arg, bytes);
    if (c->dead)
        return 0;
    c->paused = !taken;
    call_wait(c, taken ? c->spec.idle_ms : 0);
    return taken ? bytes.n : CURL_WRITEFUNC_PAUSE;
}

/* --- libcurl on the loop
 * ----------------------------------------------------------------------------------------------- */

static enum rc call_judge(const struct upstream_call *c, CURLcode code, struct err *err)
{
    enum rc rc = easy_judge(&c->easy, code, err);
    if (rc == RC_UNAVAILABLE && code == CURLE_OPERATION_TIMEDOUT)
        err_set(err, rc, "%s could not be reached in time.", c->easy.origin);
    return rc;
}

/* Ends are told here, outside of libcurl; the transfer is taken out of libcurl by call_free before the next is read. */
static void pool_reap(struct upstream_pool *p)
{
    int left;
    for (CURLMsg *m; (m = curl.multi_info_read(p->multi, &left));) {
        struct upstream_call *c = NULL;
        struct err err = {0};
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE || curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c) != CURLE_OK)
            continue;
        if (c->dead)
            call_wish(c, WISH_REMOVE);
        else
            call_end(c, call_judge(c, code, &err), &err);
    }
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
    struct upstream_socket *s = poll->data;
    struct upstream_pool *p = s->pool;
    int what = status < 0 ? CURL_CSELECT_ERR : 0, running;
    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    curl.multi_socket_action(p->multi, s->fd, what, &running);
    pool_reap(p);
}

static void timer_ready(uv_timer_t *timer)
{
    struct upstream_pool *p = timer->data;
    int running;
    curl.multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pool_reap(p);
}

static int timer_wanted(CURLM *multi, long ms, void *arg)
{
    struct upstream_pool *p = arg;
    (void)multi;
    if (ms < 0)
        uv_timer_stop(&p->timer);
    else if (!uv_is_closing((uv_handle_t *)&p->timer))
        uv_timer_start(&p->timer, timer_ready, (uint64_t)ms, 0);
    return 0;
}

static struct upstream_socket *socket_new(struct upstream_pool *p, curl_socket_t fd)
{
    struct upstream_socket *s = mem_new(p, struct upstream_socket);
    s->pool = p;
    s->fd = fd;
    s->poll.data = s;
    if (uv_poll_init_socket(p->loop, &s->poll, fd) != 0)
        return mem_free(s);
    p->open_handles++;
    curl.multi_assign(p->multi, fd, s);
    return s;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct upstream_pool *p = arg;
    struct upstream_socket *s = assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            uv_close((uv_handle_t *)&s->poll, socket_handle_closed);
        curl.multi_assign(p->multi, fd, NULL);
        return 0;
    }
    if (!s && !(s = socket_new(p, fd)))
        return -1;
    uv_poll_start(&s->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  socket_ready);
    return 0;
}

static void call_grant(struct upstream_call *c)
{
    unsigned wishes = c->wishes;
    struct err err = {0};
    call_unwish(c);
    if (c->dead) {
        call_free(c);
        return;
    }
    if (wishes & WISH_START) {
        c->added = curl.multi_add_handle(c->pool->multi, c->easy.curl) == CURLM_OK;
        if (!c->added)
            call_end(c, err_set(&err, RC_UNAVAILABLE, "A request could not be started."), &err);
    } else if ((wishes & WISH_RESUME) && c->paused) {
        c->paused = false;
        call_wait(c, c->spec.idle_ms);
        curl.easy_pause(c->easy.curl, CURLPAUSE_CONT); /* may call call_body at once */
    }
}

static void pool_tear_down(struct upstream_pool *p)
{
    while (p->resting_count)
        curl.easy_cleanup(p->resting[--p->resting_count]);
    curl.multi_cleanup(p->multi);
    p->multi = NULL;
    uv_close((uv_handle_t *)&p->timer, own_handle_closed);
    uv_close((uv_handle_t *)&p->turn, own_handle_closed);
}

static void pool_turn(uv_idle_t *turn)
{
    struct upstream_pool *p = turn->data;
    /* Wishes made meanwhile join the end of the queue; the bound lets the loop have its turn too. */
    for (size_t most = p->live + 64; !TAILQ_EMPTY(&p->wishing) && most > 0; most--)
        call_grant(TAILQ_FIRST(&p->wishing));
    pool_reap(p);
    if (!TAILQ_EMPTY(&p->wishing))
        return;
    uv_idle_stop(turn);
    if (p->closing && TAILQ_EMPTY(&p->calls))
        pool_tear_down(p);
}

/* --- for callers
 * ------------------------------------------------------------------------------------------------------- */

enum rc upstream_start(struct upstream_pool *p, const struct upstream_spec *spec, struct upstream_call **ret,
                       struct err *err)
{
    if (p->closing)
        return err_set(err, RC_CONFLICT, "The pool of connections is closed.");
    struct upstream_call *c = mem_new(p, struct upstream_call);
    c->pool = p;
    c->spec = *spec;
    struct easy_spec easy = {.method = spec->method, .url = spec->url, .headers = spec->headers};
    easy.body = str_n(mem_strn(c, spec->body.p, spec->body.n), spec->body.n);
    c->easy = (struct easy){.curl = easy_take(p), .owner = c, .on_head = call_head, .on_body = call_body};
    enum rc rc = easy_prepare(c, &c->easy, &easy, err);
    if (rc != RC_OK) {
        easy_rest(p, c->easy.curl);
        easy_done(&c->easy);
        mem_free(c);
        return rc;
    }
    curl.easy_setopt(c->easy.curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(spec->connect_ms > 0 ? spec->connect_ms : CONNECT_DEFAULT_MS));
    uv_timer_init(p->loop, &c->timer);
    c->timer.data = c;
    p->open_handles++;
    p->live++;
    TAILQ_INSERT_TAIL(&p->calls, c, in_calls);
    call_wait(c, spec->first_byte_ms);
    call_wish(c, WISH_START);
    *ret = c;
    return RC_OK;
}

void upstream_resume(struct upstream_call *c)
{
    if (!c->dead) /* also inside on_body, before it returns false */
        call_wish(c, WISH_RESUME);
}

void upstream_cancel(struct upstream_call *c)
{
    if (c->ended || c->dead)
        return;
    call_bury(c);
    call_wish(c, WISH_REMOVE);
}

size_t upstream_pool_calls(const struct upstream_pool *p)
{
    return p->live;
}

enum rc upstream_pool_new(mem *ctx, uv_loop_t *loop, struct upstream_pool **ret, struct err *err)
{
    if (curl_lib_open(err) != RC_OK)
        return RC_UNAVAILABLE;
    CURLM *multi = curl.multi_init();
    if (!multi)
        return err_set(err, RC_UNAVAILABLE, "The HTTP client could not be started.");
    mem *root = mem_root();
    struct upstream_pool *p = mem_new(root, struct upstream_pool);
    (void)ctx; /* handles close after the caller's context may be gone */
    p->root = root;
    TAILQ_INIT(&p->calls);
    TAILQ_INIT(&p->wishing);
    p->loop = loop;
    p->multi = multi;
    curl.multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl.multi_setopt(multi, CURLMOPT_SOCKETDATA, p);
    curl.multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl.multi_setopt(multi, CURLMOPT_TIMERDATA, p);
    curl.multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CONNECTS_KEPT);
    uv_timer_init(loop, &p->timer);
    uv_idle_init(loop, &p->turn);
    p->timer.data = p->turn.data = p;
    p->open_handles = 2;
    *ret = p;
    return RC_OK;
}

void upstream_pool_close(struct upstream_pool *p)
{
    struct upstream_call *c;
    if (p->closing)
        return;
    p->closing = true;
    TAILQ_FOREACH(c, &p->calls, in_calls)
    upstream_cancel(c);
    uv_idle_start(&p->turn, pool_turn); /* libcurl may be on the stack: the rest is done there */
}
