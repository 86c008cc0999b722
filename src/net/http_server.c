/* Listeners and sessions: from accepted connections to complete requests. Answers are http_answer.c, the grammar is
 * http_head.c and http_chunked.c, sockets are conn.c. Not here: routes, identities, TLS. */
#include "net/address.h"
#include "net/forwarded.h"
#include "net/http_session.h"
#include "net/tls_conn.h"
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_MS = 10000,
    BODY_MS = 30000,
    BODY_RATE = 64, /* bytes a millisecond that buy a body more time: 64 KiB a second */
    IDLE_MS = 75000,
    STALL_MS = 60000,
    MAX_CONNECTIONS = 10000,
    ACCEPTS_PER_EVENT = 64,
    ACCEPT_AGAIN_MS = 100,
    CROWD = 200,
    REQUEST_POOL = 2 << 10, /* a request and its usual head */
};
_Static_assert(HTTP_HIGH_WATER == CONN_HIGH, "one high-water mark");

struct http_listener {
    struct http_listener *next;
    struct http_server *server;
    struct http_listener_spec spec;
    uv_poll_t poll;
    bool is_unix, watching;
};

/* --- sessions -------------------------------------------------------------------------------------------------------
 */

/* Where it comes from, when a proxy that is believed says so. */
static void peer_forwarded(struct http_request *r, const struct http_hosts *hosts)
{
    if (!hosts || !hosts->proxies || !hosts->proxies->n || r->peer.origin != HTTP_BY_TCP)
        return;
    struct forwarded f = forwarded_read(hosts->proxies, r->peer.address, r->fields, r->field_count);
    memcpy(r->peer.address, f.address, sizeof r->peer.address);
    r->peer.https = r->peer.tls || f.https;
}

static void request_new(struct http_session *s, const struct http_head *head, mem *ctx)
{
    struct http_request *r = mem_new(ctx, struct http_request);
    r->ctx = ctx;
    r->method = head->method;
    r->target = head->target;
    r->fields = head->fields;
    r->field_count = head->field_count;
    r->body = STR("");
    r->peer = s->peer;
    r->peer.subject = mem_str(ctx, tls_subject(&s->conn));
    peer_forwarded(r, s->hosts);
    r->answer = mem_new(ctx, struct http_answer);
    r->answer->session = s;
    r->answer->head_only = str_eq(r->method, STR("HEAD"));
    r->answer->delimited = head->minor_version == 0;
    s->request = r;
    s->keep_alive = head->keep_alive;
    s->chunked = head->chunked;
}

static void request_handle(struct http_session *s)
{
    s->phase = HTTP_ANSWER;
    s->request->body = buf_view(&s->body);
    conn_deadline(&s->conn, -1);
    s->handling = true;
    s->server->spec.on_request(s->server->spec.arg, s->request);
    s->handling = false;
}

void session_body_release(struct http_session *s)
{
    s->server->bodies -= s->body_counted;
    s->body_counted = 0;
}

void session_answered(struct http_session *s)
{
    s->request = NULL;
    session_body_release(s);
    if (!s->keep_alive || s->server->stopping || s->unlistened) {
        s->phase = HTTP_CLOSING;
        conn_finish(&s->conn);
        return;
    }
    s->phase = HTTP_HEAD;
    s->begun = false;
    s->scanned = 0;
    conn_deadline(&s->conn, s->server->spec.idle_ms);
    if (!s->handling) /* else the loop in session_bytes goes on by itself */
        conn_wake(&s->conn);
}

static void refuse_err(struct http_session *s, int status, const struct err *err)
{
    session_refuse(s, status, err->sentence);
}

static void body_begin(struct http_session *s, const struct http_head *head, bool more_is_here)
{
    const struct http_server_spec *spec = &s->server->spec;
    size_t max = spec->max_body;
    if (spec->body_limit && spec->body_limit(spec->arg, s->request) < max)
        max = spec->body_limit(spec->arg, s->request);
    buf_init(&s->body, s->request->ctx, max);
    s->body_left = head->content_length;
    s->body_paid_ms = 0;
    s->decoder = (struct http_chunked){0};
    if (head->content_length > 0 && (uint64_t)head->content_length > max) {
        session_refuse(s, 413, "The request's body is too large.");
    } else if (head->chunked || head->content_length > 0) {
        s->phase = HTTP_BODY;
        conn_deadline(&s->conn, s->server->spec.body_ms);
        if (head->expect_continue && head->minor_version > 0 && !more_is_here)
            conn_write(&s->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    } else {
        request_handle(s);
    }
}

/* Whether the head may be complete, or has to be refused: it is not parsed again for every byte of a slow client. A
 * blank line is looked for with and without CR, because the parser refuses the latter. */
static bool head_is_ripe(struct http_session *s, struct str in)
{
    size_t from = s->scanned > 2 ? s->scanned - 2 : 0;
    bool first = s->scanned == 0;
    s->scanned = in.n;
    if (first || in.n >= HTTP_MAX_HEAD || (in.n > HTTP_MAX_LINE && !memchr(in.p, '\n', HTTP_MAX_LINE)))
        return true;
    const char *end = in.p + in.n;
    for (const char *lf = in.p + from; (lf = memchr(lf, '\n', (size_t)(end - lf))); lf++)
        if ((lf + 1 < end && lf[1] == '\n') || (lf + 2 < end && lf[1] == '\r' && lf[2] == '\n'))
            return true;
    return false;
}

/* Nothing of the request is used up here. */
static size_t session_leave(struct http_session *s)
{
    mem_free(s->request->ctx);
    s->request = NULL;
    s->leaving = true;
    conn_leave(&s->conn);
    return 0;
}

static size_t head_take(struct http_session *s, struct str in)
{
    struct http_head head;
    struct err err = {0};
    size_t length = 0;
    if (!s->begun)
        conn_deadline(&s->conn, s->server->spec.head_ms);
    s->begun = true;
    if (!head_is_ripe(s, in))
        return 0;
    mem *ctx = mem_pool(REQUEST_POOL);
    enum rc rc = http_head_parse(ctx, in, &head, &length, &err);
    if (rc != RC_OK) {
        mem_free(ctx);
        if (rc != RC_AGAIN)
            refuse_err(s, head.refuse_status, &err);
        return 0;
    }
    request_new(s, &head, ctx);
    const char *why;
    rc = http_target_split(ctx, head.method, head.target, &s->request->path, &s->request->query, &err);
    if (rc != RC_OK)
        refuse_err(s, 400, &err);
    else if (s->hosts && !http_hosts_allow(s->hosts, s->request, &why))
        session_refuse(s, 403, why);
    else if (s->server->spec.elsewhere && s->server->spec.elsewhere(s->server->spec.arg, s->request))
        length = session_leave(s);
    else
        body_begin(s, &head, length < in.n);
    return length;
}

/* False: the request was refused. */
static bool body_keep(struct http_session *s, struct str piece)
{
    struct http_server *server = s->server;
    if (!s->privileged && server->bodies + piece.n > server->spec.max_bodies) {
        session_refuse(s, 503, "Too many large requests at once: try again later.");
        return false;
    }
    if (!buf_str(&s->body, piece)) {
        session_refuse(s, 413, "The request's body is too large.");
        return false;
    }
    if (!s->privileged) {
        server->bodies += piece.n;
        s->body_counted += piece.n;
    }
    return true;
}

static size_t body_take_sized(struct http_session *s, struct str in)
{
    size_t n = (uint64_t)s->body_left < in.n ? (size_t)s->body_left : in.n;
    if (!body_keep(s, str_n(in.p, n)))
        return in.n;
    s->body_left -= (int64_t)n;
    if (s->body_left == 0)
        request_handle(s);
    return n;
}

static size_t body_take_chunked(struct http_session *s, struct str in)
{
    struct str rest = in, piece;
    struct err err = {0};
    enum rc rc;
    while ((rc = http_chunked_take(&s->decoder, &rest, &piece, &err)) == RC_OK && piece.n > 0) {
        if (!body_keep(s, piece))
            return in.n;
    }
    if (rc == RC_OK)
        request_handle(s);
    else if (rc != RC_AGAIN)
        refuse_err(s, 400, &err);
    return in.n - rest.n;
}

static size_t body_take(struct http_session *s, struct str in)
{
    return s->chunked ? body_take_chunked(s, in) : body_take_sized(s, in);
}

static size_t session_bytes(struct conn *c, struct str bytes)
{
    struct http_session *s = (struct http_session *)c;
    size_t used = 0;
    if (s->unlistened)
        return bytes.n;
    if (s->phase == HTTP_TUNNEL)
        return s->tunnel->on_bytes(s->tunnel_arg, bytes);
    if (s->leaving)
        return 0;
    while (used < bytes.n && c->state == CONN_OPEN && (s->phase == HTTP_HEAD || s->phase == HTTP_BODY)) {
        if (s->phase == HTTP_HEAD && conn_backlog(c) > CONN_HIGH)
            break; /* asks and does not listen: goes on when it has taken some */
        struct str rest = str_n(bytes.p + used, bytes.n - used);
        size_t n = s->phase == HTTP_HEAD ? head_take(s, rest) : body_take(s, rest);
        if (n == 0)
            break;
        used += n;
    }
    return used;
}

static void session_stop_now(struct conn *c);

/* The deadline of a body moves with what has arrived, so that a trickle is cut off and a large upload is not. */
static void session_deadline(struct conn *c)
{
    struct http_session *s = (struct http_session *)c;
    if (s->unlistened) {
        session_stop_now(c);
    } else if (s->phase == HTTP_TUNNEL) {
        s->tunnel->on_deadline(s->tunnel_arg);
    } else if (s->phase == HTTP_BODY) {
        int64_t earned = (int64_t)(s->body.n / BODY_RATE) - s->body_paid_ms;
        s->body_paid_ms += earned;
        if (earned > 0)
            conn_deadline(c, earned);
        else
            session_refuse(s, 408, "The request's body came too slowly.");
    } else if (s->phase == HTTP_HEAD && s->begun) {
        session_refuse(s, 408, "The request's head came too slowly.");
    } else {
        conn_finish(c);
    }
}

static void session_drained(struct conn *c)
{
    struct http_session *s = (struct http_session *)c;
    if (s->phase == HTTP_TUNNEL)
        s->tunnel->on_drained(s->tunnel_arg);
    else if (s->phase == HTTP_ANSWER && s->request->answer->drained)
        s->request->answer->drained(s->request);
    else if (s->phase == HTTP_HEAD)
        conn_wake(c);
}

static void session_gone(struct conn *c)
{
    struct http_session *s = (struct http_session *)c;
    struct http_request *r = s->request;
    bool handled = s->phase == HTTP_ANSWER, tunnel = s->phase == HTTP_TUNNEL;
    s->request = NULL;
    s->phase = HTTP_CLOSING;
    if (tunnel)
        s->tunnel->on_gone(s->tunnel_arg);
    if (!r)
        return;
    struct http_answer *a = r->answer;
    a->session = NULL;
    if (!handled) {
        mem_free(r->ctx);
    } else if (a->gone) {
        a->saying_gone = true;
        a->gone(r);
        a->saying_gone = false;
        if (!r->keep || a->state == ANSWER_ENDED)
            mem_free(r->ctx);
    }
}

struct http_parcel {
    struct conn_parcel conn;
    struct http_peer peer;
    const struct http_hosts *hosts;
    bool privileged;
};

static void session_left(struct conn *c)
{
    struct http_session *s = (struct http_session *)c;
    struct http_parcel *p = mem_new(NULL, struct http_parcel);
    *p = (struct http_parcel){.peer = s->peer, .hosts = s->hosts, .privileged = s->privileged};
    conn_take_apart(c, &p->conn);
    s->phase = HTTP_CLOSING;
    s->server->spec.give(s->server->spec.arg, p);
}

static const struct conn_kind session_kind = {
    .on_bytes = session_bytes,
    .on_deadline = session_deadline,
    .on_drained = session_drained,
    .on_gone = session_gone,
    .on_leave = session_left,
};

/* --- listeners ------------------------------------------------------------------------------------------------------
 */

static void listener_ready(uv_poll_t *poll, int status, int events);

static bool listener_has_room(const struct http_listener *l)
{
    return l->server->hub.count < l->server->spec.max_connections + l->spec.reserve;
}

/* Watches the listeners that may take more clients; none: not even those. */
static void listeners_watch(struct http_server *s, bool none)
{
    for (struct http_listener *l = s->listeners; l; l = l->next) {
        bool on = !none && listener_has_room(l);
        if (l->watching == on)
            continue;
        l->watching = on;
        if (on)
            uv_poll_start(&l->poll, UV_READABLE, listener_ready);
        else
            uv_poll_stop(&l->poll);
    }
}

static void accept_again(uv_timer_t *timer)
{
    listeners_watch(timer->data, false);
}

static unsigned int peer_uid_get(int fd)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 && n == sizeof cred ? cred.uid : HTTP_NO_UID;
}

static void peer_fill(struct http_peer *peer, const struct http_listener *l, int fd, const struct sockaddr *from)
{
    peer->listener = l->spec.tag;
    peer->tls = peer->https = l->spec.tls != NULL;
    if (l->is_unix) {
        peer->origin = HTTP_BY_UNIX;
        peer->uid = peer_uid_get(fd);
        peer->loopback = true;
        return;
    }
    peer->origin = HTTP_BY_TCP;
    peer->uid = HTTP_NO_UID;
    peer->loopback = address_is_loopback(from);
    peer->port = address_port(from);
    address_host(from, peer->address);
}

static int session_free(struct http_session *s)
{
    session_body_release(s);
    return 0;
}

static void session_open(struct http_listener *l, int fd, const struct sockaddr *from)
{
    int one = 1;
    struct http_session *s = mem_new(l->server, struct http_session);
    s->server = l->server;
    s->hosts = l->spec.hosts;
    s->privileged = l->spec.reserve > 0;
    talloc_set_destructor(s, session_free);
    peer_fill(&s->peer, l, fd, from);
    if (!l->is_unix)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (conn_open(&s->conn, &l->server->hub, fd, &session_kind, NULL) != RC_OK) {
        mem_free(s);
        return;
    }
    if (l->spec.tls && tls_attach(l->spec.tls, &s->conn, NULL) != RC_OK) {
        conn_drop(&s->conn);
        return;
    }
    conn_deadline(&s->conn, l->server->spec.head_ms); /* a new connection has to say something soon */
}

static void session_adopt(struct http_server *server, struct http_parcel *p)
{
    struct http_session *s = mem_new(server, struct http_session);
    s->server = server;
    s->hosts = p->hosts;
    s->privileged = p->privileged;
    s->peer = p->peer;
    talloc_set_destructor(s, session_free);
    if (conn_adopt(&s->conn, &server->hub, &p->conn, &session_kind, NULL) != RC_OK)
        mem_free(s);
    else
        conn_deadline(&s->conn, server->spec.head_ms);
}

void http_server_adopt(struct http_server *s, struct http_parcel *p)
{
    if (s->stopping || s->hub.count >= s->spec.max_connections)
        conn_parcel_drop(&p->conn);
    else
        session_adopt(s, p);
    mem_free(p);
}

static bool errno_is_shortage(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

static void listener_ready(uv_poll_t *poll, int status, int events)
{
    struct http_listener *l = poll->data;
    struct http_server *s = l->server;
    (void)events;
    if (status < 0) { /* libuv has stopped this watch */
        l->watching = false;
        uv_timer_start(&s->timer, accept_again, ACCEPT_AGAIN_MS, 0);
    }
    for (int i = 0; i < ACCEPTS_PER_EVENT && l->watching; i++) {
        if (!listener_has_room(l)) {
            listeners_watch(s, false); /* server_count opens it again */
            return;
        }
        struct sockaddr_storage from = {0};
        socklen_t from_length = sizeof from;
        int fd = accept4(l->spec.fd, (struct sockaddr *)&from, &from_length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            session_open(l, fd, (struct sockaddr *)&from);
        } else if (errno_is_shortage(errno)) {
            listeners_watch(s, true);
            uv_timer_start(&s->timer, accept_again, ACCEPT_AGAIN_MS, 0);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } /* else this one client failed: the next */
    }
}

enum rc http_server_listen_fd(struct http_server *s, int fd, struct err *err)
{
    return http_server_listen(s, &(struct http_listener_spec){.fd = fd}, err);
}

enum rc http_server_listen(struct http_server *s, const struct http_listener_spec *spec, struct err *err)
{
    int fd = spec->fd;
    CLEANUP_FD int mine = fd;
    int domain = 0, listening = 0;
    socklen_t n = sizeof domain;
    if (s->stopping)
        return err_set(err, RC_CONFLICT, "The server is stopping.");
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0)
        return err_sys(err, errno, "A listening socket cannot be used.");
    n = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) != 0 || !listening)
        return err_set(err, RC_INVALID, "A descriptor given to the server does not listen.");
    struct http_listener *l = mem_new(s, struct http_listener);
    int bad = uv_poll_init(s->spec.loop, &l->poll, fd);
    if (bad) {
        mem_free(l);
        return err_sys(err, -bad, "A listening socket cannot be watched.");
    }
    l->server = s;
    l->poll.data = l;
    l->spec = *spec;
    l->spec.fd = fd_take(&mine);
    l->is_unix = domain == AF_UNIX;
    l->next = s->listeners;
    s->listeners = l;
    s->open_listeners++;
    l->watching = true;
    uv_poll_start(&l->poll, UV_READABLE, listener_ready);
    return RC_OK;
}

/* --- server ---------------------------------------------------------------------------------------------------------
 */

/* The end comes in three steps: listeners and connections, then the timer and the hub's handles, then `done`. */
static void server_step(struct http_server *s);

static void timer_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    s->timer_open = false;
    server_step(s);
}

static void server_step(struct http_server *s)
{
    if (!s->stopping || s->open_listeners > 0 || s->hub.count > 0)
        return;
    if (!s->stopped) {
        s->stopped = true;
        uv_close((uv_handle_t *)&s->timer, timer_closed);
        conn_hub_close(&s->hub);
    } else if (!s->timer_open && s->hub.open_handles == 0 && s->done) {
        s->done(s->done_arg);
    }
}

/* The C library keeps what connections used for later ones. After a crowd has left it is given back; the few
 * milliseconds that this takes come once a crowd. */
static void memory_give_back(struct http_server *s)
{
    if (s->hub.count > s->crowd)
        s->crowd = s->hub.count;
    if (s->crowd < CROWD || s->hub.count > s->crowd / 64)
        return;
    s->crowd = s->hub.count;
    malloc_trim(0);
}

static void server_count(struct conn_hub *hub)
{
    struct http_server *s = (struct http_server *)(void *)((char *)hub - offsetof(struct http_server, hub));
    memory_give_back(s);
    if (s->stopping)
        server_step(s);
    else
        listeners_watch(s, false);
}

static void listener_closed(uv_handle_t *handle)
{
    struct http_listener *l = handle->data;
    struct http_server *s = l->server;
    mem_free(l);
    s->open_listeners--;
    server_step(s);
}

static void session_stop(struct conn *c)
{
    struct http_session *s = (struct http_session *)c;
    if (s->phase == HTTP_TUNNEL) {
        s->tunnel->on_stop(s->tunnel_arg);
    } else if (s->phase == HTTP_HEAD && !s->begun && conn_backlog(c) == 0) {
        s->phase = HTTP_CLOSING;
        conn_drop(c);
    } else if (s->phase == HTTP_HEAD || s->phase == HTTP_BODY) {
        session_gone(c);
        conn_finish(c);
    }
}

static void session_stop_now(struct conn *c)
{
    session_gone(c);
    conn_drop(c);
}

/* On a turn of its own, as all callbacks. */
static void session_unlisten(struct conn *c)
{
    struct http_session *s = (struct http_session *)c;
    if (s->peer.listener != s->server->unlisten || s->unlistened)
        return;
    s->unlistened = true;
    conn_deadline(c, 0);
}

static void listener_end(struct http_listener *l)
{
    uv_close((uv_handle_t *)&l->poll, listener_closed);
    close(l->spec.fd);
    l->watching = false;
}

void http_server_unlisten(struct http_server *s, const void *tag)
{
    BUG_ON(!tag); /* would end every listener that has none */
    for (struct http_listener **at = &s->listeners, *l; (l = *at);) {
        if (l->spec.tag != tag) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        listener_end(l);
    }
    s->unlisten = tag;
    conn_hub_each(&s->hub, session_unlisten);
}

static void stop_late(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    conn_hub_each(&s->hub, session_stop_now);
}

void http_server_stop(struct http_server *s, int deadline_ms, void (*done)(void *arg), void *arg)
{
    BUG_ON(s->stopping);
    s->stopping = true;
    s->done = done;
    s->done_arg = arg;
    for (struct http_listener *l = s->listeners, *next; l; l = next) {
        next = l->next;
        listener_end(l);
    }
    s->listeners = NULL;
    uv_timer_start(&s->timer, stop_late, deadline_ms > 0 ? (uint64_t)deadline_ms : 0, 0);
    conn_hub_each(&s->hub, session_stop);
    server_step(s);
}

size_t http_server_connections(const struct http_server *s)
{
    return s->hub.count;
}

static int or_default(int given, int otherwise)
{
    return given > 0 ? given : otherwise;
}

enum rc http_server_new(mem *ctx, const struct http_server_spec *spec, struct http_server **ret, struct err *err)
{
    struct http_server *s = mem_new(ctx, struct http_server);
    s->spec = *spec;
    s->spec.head_ms = or_default(spec->head_ms, HEAD_MS);
    s->spec.body_ms = or_default(spec->body_ms, BODY_MS);
    s->spec.idle_ms = or_default(spec->idle_ms, IDLE_MS);
    s->spec.stall_ms = or_default(spec->stall_ms, STALL_MS);
    if (!spec->max_connections)
        s->spec.max_connections = MAX_CONNECTIONS;
    if (!spec->max_bodies)
        s->spec.max_bodies = spec->max_body * 4;
    enum rc rc = conn_hub_open(&s->hub, spec->loop, s->spec.stall_ms, err);
    if (rc != RC_OK) {
        mem_free(s);
        return rc;
    }
    s->hub.on_count = server_count;
    uv_timer_init(spec->loop, &s->timer);
    s->timer.data = s;
    s->timer_open = true;
    *ret = s;
    return RC_OK;
}
