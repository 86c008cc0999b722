/* Helpers of the net tests: an HTTP server on a thread of its own with handlers of all kinds, and a raw client that
 * sees every byte. Waiting is bounded by 20 s everywhere and never measured. */
#pragma once
#include "net/http_parse.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define EVENTUALLY(cond)                                                                                               \
    do {                                                                                                               \
        int tries_ = 0;                                                                                                \
        while (!(cond) && tries_++ < 20000)                                                                            \
            usleep(1000);                                                                                              \
        ck_assert_msg((cond), "never came true: %s", #cond);                                                           \
    } while (0)

/* --- a server -------------------------------------------------------------------------------------------------------
 */

struct serving {
    mem *ctx;
    char dir[64], path[96], url[64];
    uint16_t port;                  /* of TCP */
    struct tls_place *tls;          /* for TCP */
    const struct http_hosts *hosts; /* for TCP */
    size_t reserve;                 /* for the Unix socket */
    int socket_buffer;              /* of TCP's sockets; 0: the system's */
    struct http_server_spec spec;   /* set what is to differ before serving_start */
    uv_loop_t loop;
    uv_async_t async;
    pthread_t thread;
    struct http_server *server;
    atomic_int stop_ms; /* -1: not yet */
    atomic_int requests, gone, drained, done, uid;
    char who[128]; /* the last client's subject, or "" */
    atomic_bool tls_seen;
    atomic_size_t connections, most_backlog;
    atomic_bool unlisten; /* the TCP listener is to end */
    atomic_bool release;  /* handlers on hold may end */
    struct http_request *held;
    size_t flood; /* bytes that /flood produces */
    void (*at_done)(void *arg);
};

static void serve_gone(struct http_request *r)
{
    struct serving *s = r->user;
    s->gone++;
    if (s->held == r)
        s->held = NULL;
}

struct later {
    uv_timer_t timer;
    struct http_request *r;
};

static void later_free(uv_handle_t *handle)
{
    free(handle->data);
}

static void later_answer(uv_timer_t *timer)
{
    struct later *l = timer->data;
    http_answer_whole(l->r, 200, "text/plain", l->r->path, NULL);
    uv_close((uv_handle_t *)timer, later_free);
}

static void serve_later(struct serving *s, struct http_request *r, uint64_t ms)
{
    struct later *l = calloc(1, sizeof *l);
    l->r = r;
    l->timer.data = l;
    uv_timer_init(&s->loop, &l->timer);
    uv_timer_start(&l->timer, later_answer, ms, 0);
}

struct flood {
    struct serving *serving;
    size_t left;
};

static void flood_gone(struct http_request *r)
{
    ((struct flood *)r->user)->serving->gone++;
}

/* The contract of a producer: stops above the mark, goes on when called. */
static void flood_produce(struct http_request *r)
{
    struct flood *f = r->user;
    char block[10000];
    memset(block, 'f', sizeof block);
    while (f->left > 0 && http_answer_backlog(r) <= HTTP_HIGH_WATER) {
        size_t n = f->left < sizeof block ? f->left : sizeof block;
        http_answer_chunk(r, str_n(block, n));
        f->left -= n;
        if (http_answer_backlog(r) > f->serving->most_backlog)
            f->serving->most_backlog = http_answer_backlog(r);
    }
    if (f->left == 0)
        http_answer_end(r);
}

static void flood_more(struct http_request *r)
{
    ((struct flood *)r->user)->serving->drained++;
    flood_produce(r);
}

static void serve_flood(struct serving *s, struct http_request *r)
{
    struct flood *f = mem_new(r->ctx, struct flood);
    f->serving = s;
    f->left = s->flood;
    r->user = f;
    http_on_gone(r, flood_gone);
    http_on_drained(r, flood_more);
    http_answer_begin(r, 200, "application/octet-stream", NULL);
    flood_produce(r);
}

static void serve_stream(struct http_request *r)
{
    const char *n = http_query(r, "n");
    int count = n ? atoi(n) : 3;
    http_answer_begin(r, 200, "text/event-stream", NULL);
    for (int i = 0; i < count; i++)
        http_answer_chunk(r, str_of(mem_printf(r->ctx, "data: %d\n\n", i)));
    http_answer_chunk(r, STR(""));
    http_answer_end(r);
}

static void serve_hold(struct serving *s, struct http_request *r)
{
    http_on_gone(r, serve_gone);
    s->held = r;
    if (str_eqz(r->path, "/wait"))
        return;
    http_answer_begin(r, 200, "text/plain", NULL);
    http_answer_chunk(r, STR("first"));
}

/* What the server saw: the request line and its fields. */
static void serve_show(struct http_request *r)
{
    struct buf b;
    buf_init(&b, r->ctx, 1 << 20);
    buf_printf(&b, "%.*s %.*s\n", STR_FMT(r->method), STR_FMT(r->target));
    for (size_t i = 0; i < r->field_count; i++)
        buf_printf(&b, "%.*s: %.*s\n", STR_FMT(r->fields[i].name), STR_FMT(r->fields[i].value));
    http_answer_whole(r, 200, "text/plain", buf_view(&b), NULL);
}

static void serve_path(struct serving *s, struct http_request *r)
{
    static const char *const extra[] = {"X-Good: 1", "X-Bad: a\r\nX-Smuggled: 1", "no colon", "X Bad: 1", "X-Last: 2",
                                        NULL};
    if (str_eqz(r->path, "/echo"))
        http_answer_whole(r, 200, "application/octet-stream", r->body, NULL);
    else if (str_eqz(r->path, "/stream"))
        serve_stream(r);
    else if (str_eqz(r->path, "/show"))
        serve_show(r);
    else if (str_eqz(r->path, "/hold") || str_eqz(r->path, "/wait"))
        serve_hold(s, r);
    else if (str_eqz(r->path, "/later"))
        serve_later(s, r, 2);
    else if (str_eqz(r->path, "/kept") || str_eqz(r->path, "/unheard"))
        serve_later(s, r, 100);
    else if (str_eqz(r->path, "/flood"))
        serve_flood(s, r);
    else if (str_eqz(r->path, "/fields"))
        http_answer_whole(r, 200, "text/plain\r\nX-Smuggled: 1", STR("ok"), extra);
    else if (str_eqz(r->path, "/empty"))
        http_answer_whole(r, 204, NULL, STR("never sent"), NULL);
    else if (str_eqz(r->path, "/abort"))
        http_answer_abort(r);
    else if (str_eqz(r->path, "/standstill")) { /* as a stopped process: the loop does nothing for a while */
        usleep(1800000);
        http_answer_whole(r, 200, "text/plain", r->path, NULL);
    } else if (str_eqz(r->path, "/broken")) {
        http_answer_begin(r, 200, "text/plain", NULL);
        http_answer_chunk(r, STR("half"));
        http_answer_abort(r);
    } else {
        http_answer_whole(r, 404, "text/plain", r->path, NULL);
    }
}

static void serve(void *arg, struct http_request *r)
{
    struct serving *s = arg;
    r->user = s;
    s->requests++;
    s->uid = (int)r->peer.uid;
    ck_assert(r->peer.origin == (r->peer.listener ? HTTP_BY_TCP : HTTP_BY_UNIX));
    ck_assert(!r->peer.listener || (r->peer.listener == s->url && strcmp(r->peer.address, "127.0.0.1") == 0));
    ck_assert(r->peer.loopback && (r->peer.port != 0) == (r->peer.origin == HTTP_BY_TCP));
    s->tls_seen = r->peer.tls;
    snprintf(s->who, sizeof s->who, "%s", r->peer.subject ? r->peer.subject : "");
    if (str_eqz(r->path, "/kept")) {
        r->keep = true;
        http_on_gone(r, serve_gone);
    }
    serve_path(s, r);
}

static void serving_done(void *arg)
{
    struct serving *s = arg;
    s->done++;
    if (s->at_done)
        s->at_done(s);
    uv_close((uv_handle_t *)&s->async, NULL);
}

static void serving_told(uv_async_t *async)
{
    struct serving *s = async->data;
    s->connections = http_server_connections(s->server);
    if (s->stop_ms >= 0 && !uv_is_closing((uv_handle_t *)async)) {
        http_server_stop(s->server, s->stop_ms, serving_done, s);
        s->stop_ms = -2;
    }
    if (s->unlisten)
        http_server_unlisten(s->server, s->url);
    s->unlisten = false;
    if (s->release && s->held) {
        http_answer_chunk(s->held, STR(" last"));
        http_answer_end(s->held);
        s->held = NULL;
    }
}

static void *serving_run(void *arg)
{
    struct serving *s = arg;
    uv_run(&s->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void serving_listen(struct serving *s, int domain)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    struct err err;
    int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", s->path);
    struct sockaddr *at = domain == AF_UNIX ? (struct sockaddr *)&un : (struct sockaddr *)&in;
    ck_assert_int_eq(bind(fd, at, domain == AF_UNIX ? sizeof un : sizeof in), 0);
    if (domain == AF_INET && s->socket_buffer) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &s->socket_buffer, sizeof s->socket_buffer);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &s->socket_buffer, sizeof s->socket_buffer);
    }
    ck_assert_int_eq(listen(fd, 512), 0);
    if (domain == AF_INET) {
        getsockname(fd, at, &n);
        s->port = ntohs(in.sin_port);
        snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->port);
    }
    struct http_listener_spec spec = {.fd = fd, .reserve = domain == AF_UNIX ? s->reserve : 0};
    if (domain == AF_INET) {
        spec.tag = s->url; /* any address will do */
        spec.tls = s->tls;
        spec.hosts = s->hosts;
    }
    ck_assert_int_eq(http_server_listen(s->server, &spec, &err), RC_OK);
}

/* In two steps for those who change more of it: everything but the server, then the server and its thread. */
static void serving_prepare(struct serving *s)
{
    s->ctx = mem_root();
    snprintf(s->dir, sizeof s->dir, "/tmp/net-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/sock", s->dir);
    s->stop_ms = -1;
    uv_loop_init(&s->loop);
    uv_async_init(&s->loop, &s->async, serving_told);
    s->async.data = s;
    s->spec.loop = &s->loop;
    s->spec.on_request = serve;
    s->spec.arg = s;
    if (!s->spec.max_body)
        s->spec.max_body = 1 << 20;
}

static void serving_listen_first(struct serving *s)
{
    struct err err;
    ck_assert_int_eq(http_server_new(s->ctx, &s->spec, &s->server, &err), RC_OK);
    serving_listen(s, AF_UNIX);
    serving_listen(s, AF_INET);
}

static void serving_run_now(struct serving *s)
{
    ck_assert_int_eq(pthread_create(&s->thread, NULL, serving_run, s), 0);
}

static void serving_go(struct serving *s)
{
    serving_listen_first(s);
    serving_run_now(s);
}

static UNUSED void serving_start(struct serving *s)
{
    serving_prepare(s);
    serving_go(s);
}

static void serving_stop_begin(struct serving *s, int ms)
{
    s->stop_ms = ms;
    uv_async_send(&s->async);
}

static void serving_stop_end(struct serving *s)
{
    pthread_join(s->thread, NULL);
    ck_assert_int_eq(s->done, 1);
    ck_assert_int_eq(uv_loop_close(&s->loop), 0);
    s->ctx = mem_free(s->ctx);
    unlink(s->path);
    rmdir(s->dir);
}

static UNUSED void serving_stop(struct serving *s)
{
    serving_stop_begin(s, 0);
    serving_stop_end(s);
}

static UNUSED size_t serving_connections(struct serving *s)
{
    s->connections = SIZE_MAX;
    uv_async_send(&s->async);
    EVENTUALLY(s->connections != SIZE_MAX);
    return s->connections;
}

/* --- a raw client ---------------------------------------------------------------------------------------------------
 */

struct peer {
    int fd;
    mem *ctx;
    struct buf in;
    /* What speaks through a layer of its own sets these; the bytes above are then plain. */
    void *layer;
    ssize_t (*layer_read)(struct peer *p, void *to, size_t most);
    ssize_t (*layer_write)(struct peer *p, const void *from, size_t n);
};

struct answer {
    int status;
    struct str head, body;
    bool closes;
};

static UNUSED struct peer peer_open(const struct serving *s)
{
    struct peer p = {.ctx = mem_root()};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", s->path);
    buf_init(&p.in, p.ctx, 128 << 20);
    p.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(p.fd, (struct sockaddr *)&un, sizeof un), 0);
    return p;
}

static UNUSED struct peer peer_open_tcp(const struct serving *s)
{
    struct peer p = {.ctx = mem_root()};
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    buf_init(&p.in, p.ctx, 128 << 20);
    p.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(p.fd, (struct sockaddr *)&in, sizeof in), 0);
    return p;
}

static UNUSED void peer_close(struct peer *p)
{
    close(p->fd);
    p->ctx = mem_free(p->ctx);
}

static UNUSED void peer_send(struct peer *p, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = p->layer ? p->layer_write(p, bytes.p, bytes.n) : send(p->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may have closed: what it answered is what counts */
        bytes = str_n(bytes.p + n, bytes.n - (size_t)n);
    }
}

/* Until the server has read everything that was sent. */
static UNUSED void peer_settle(struct peer *p)
{
    int left = 0;
    EVENTUALLY(ioctl(p->fd, SIOCOUTQ, &left) == 0 && left == 0);
}

/* False at the end of the stream. */
static bool peer_more(struct peer *p)
{
    char block[65536];
    struct pollfd wait = {.fd = p->fd, .events = POLLIN};
    ssize_t n;
    if (p->layer) {
        n = p->layer_read(p, block, sizeof block);
    } else {
        ck_assert_msg(poll(&wait, 1, 20000) == 1, "the server sends nothing more; so far: %.*s",
                      STR_FMT(buf_view(&p->in)));
        n = recv(p->fd, block, sizeof block, 0);
    }
    if (n > 0)
        buf_add(&p->in, block, (size_t)n);
    return n > 0;
}

static UNUSED struct str peer_rest(struct peer *p)
{
    while (peer_more(p))
        ;
    return buf_view(&p->in);
}

static struct str answer_field(const struct answer *a, const char *name)
{
    struct str rest = a->head, line;
    size_t n = strlen(name);
    while (str_line(&rest, &line))
        if (line.n > n && line.p[n] == ':' && str_ieq(str_n(line.p, n), str_of(name)))
            return str_trim(str_sub(line, n + 1, line.n));
    return STR("");
}

static void answer_chunked(struct peer *p, struct answer *a)
{
    struct http_chunked d = {0};
    struct buf body;
    struct str piece;
    buf_init(&body, p->ctx, 128 << 20);
    for (;;) {
        struct str in = buf_view(&p->in);
        size_t before = in.n;
        enum rc rc;
        while ((rc = http_chunked_take(&d, &in, &piece, NULL)) == RC_OK && piece.n > 0)
            buf_str(&body, piece);
        ck_assert(rc == RC_OK || rc == RC_AGAIN);
        buf_drop(&p->in, before - in.n);
        if (rc == RC_OK)
            break;
        ck_assert_msg(peer_more(p), "the answer broke off");
    }
    a->body = buf_view(&body);
}

/* Reads one answer by its own framing. Views live as long as the peer. */
static UNUSED struct answer peer_answer(struct peer *p, bool head_only)
{
    struct answer a = {0};
    long end;
    int64_t length = 0;
    while ((end = str_find(buf_view(&p->in), STR("\r\n\r\n"))) < 0)
        ck_assert_msg(peer_more(p), "closed without an answer: %.*s", STR_FMT(buf_view(&p->in)));
    a.head = str_of(mem_strn(p->ctx, p->in.p, (size_t)end + 2));
    buf_drop(&p->in, (size_t)end + 4);
    ck_assert(str_starts(a.head, STR("HTTP/1.1 ")));
    a.status = atoi(a.head.p + 9);
    a.closes = str_eqz(answer_field(&a, "Connection"), "close");
    if (head_only || a.status < 200 || a.status == 204 || a.status == 304)
        return a;
    if (str_eqz(answer_field(&a, "Transfer-Encoding"), "chunked")) {
        answer_chunked(p, &a);
        return a;
    }
    ck_assert(str_int(answer_field(&a, "Content-Length"), 0, 1 << 30, &length));
    while (p->in.n < (size_t)length)
        ck_assert_msg(peer_more(p), "the body broke off");
    a.body = str_n(mem_strn(p->ctx, p->in.p, (size_t)length), (size_t)length);
    buf_drop(&p->in, (size_t)length);
    return a;
}

static UNUSED struct answer peer_ask(struct peer *p, const char *request)
{
    peer_send(p, str_of(request));
    return peer_answer(p, strncmp(request, "HEAD ", 5) == 0);
}

/* --- a server that plays a script
 * -------------------------------------------------------------------------------------- */

/* Each connection: reads a request (head and sized body), then sends the steps one by one, 5 ms apart, and closes. */
struct script {
    int fd;
    char url[64];
    pthread_t thread;
    const char *const
        *steps; /* NULL-terminated; the step "hold" keeps the connection open until the other side closes */
    atomic_int connections;
};

static bool script_request(int fd)
{
    char in[65536];
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, in + n, sizeof in - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        in[n] = '\0';
        char *end = strstr(in, "\r\n\r\n"), *sized = strcasestr(in, "content-length:");
        if (end && n >= (size_t)(end + 4 - in) + (sized ? (size_t)atol(sized + 15) : 0))
            return true;
    }
}

static void script_play(struct script *s, int fd)
{
    char drop[256];
    if (!script_request(fd))
        return;
    for (const char *const *step = s->steps; *step; step++) {
        if (strcmp(*step, "hold") == 0)
            while (recv(fd, drop, sizeof drop, 0) > 0)
                ;
        else if (send(fd, *step, strlen(*step), MSG_NOSIGNAL) < 0)
            return;
        usleep(5000);
    }
}

static void *script_run(void *arg)
{
    struct script *s = arg;
    int fd;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        s->connections++;
        script_play(s, fd);
        close(fd);
    }
    return NULL;
}

static UNUSED void script_start(struct script *s, const char *const *steps)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    *s = (struct script){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .steps = steps};
    ck_assert(bind(s->fd, (struct sockaddr *)&in, n) == 0 && listen(s->fd, 64) == 0);
    getsockname(s->fd, (struct sockaddr *)&in, &n);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", ntohs(in.sin_port));
    ck_assert_int_eq(pthread_create(&s->thread, NULL, script_run, s), 0);
}

static UNUSED void script_stop(struct script *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}
