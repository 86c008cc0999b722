/* The server's side of a flow: reaching it, its answer on the way to the client, bytes of tunnels. Why no client of
 * net/http_client.h: framing, trailers and interim answers pass here as they come, and one connection to a server
 * belongs to one of a client, so that nothing of one run can be mixed up with another's. */
#include "base/clock.h"
#include "net/tls_conn.h"
#include "proxy/room.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

static const struct conn_kind server_kind;

/* ---- reaching it ---- */

void server_let_go(struct flow *f, bool at_once)
{
    struct server_side *s = f->server;
    if (!s)
        return;
    f->server = NULL;
    s->flow = NULL;
    if (at_once && f->phase != FLOW_RAW)
        conn_drop(&s->conn);
    else
        conn_finish(&s->conn);
}

static void server_ready(struct conn *c)
{
    struct server_side *s = (struct server_side *)(void *)c;
    s->ready = true;
    conn_deadline(c, -1);
    if (s->flow)
        flow_server_ready(s->flow);
}

static void address_note(struct server_side *s, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, s->address, sizeof s->address);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, s->address, sizeof s->address);
}

static void dialled(void *arg, int fd, const struct sockaddr *at, enum rc rc, const struct err *err)
{
    struct flow *f = arg;
    struct proxy *p = f->run->proxy;
    struct err why = {0};
    SSL *ssl = NULL;
    f->dial = NULL;
    if (rc != RC_OK) {
        flow_server_failed(f, rc, err->sentence);
        return;
    }
    struct server_side *s = mem_new(NULL, struct server_side);
    s->host = f->ask.host;
    s->port = f->ask.port;
    address_note(s, at);
    memcpy(f->x.address, s->address, sizeof f->x.address);
    s->tls = !f->tunnel && f->ask.form != ASK_ABSOLUTE;
    if (conn_open(&s->conn, &p->hub, fd, &server_kind, &why) != RC_OK) {
        mem_free(s);
        flow_server_failed(f, RC_UNAVAILABLE, why.sentence);
        return;
    }
    s->flow = f;
    f->server = s;
    if (!s->tls) {
        server_ready(&s->conn);
        return;
    }
    conn_deadline(&s->conn, CONNECT_MS);
    rc = identity_connect(p, &s->host, &ssl, &why);
    if (rc == RC_OK)
        rc = tls_attach_ssl(&s->conn, ssl, server_ready, &why);
    if (rc != RC_OK)
        flow_server_failed(f, rc, why.sentence);
}

static bool address_judge(void *arg, const struct sockaddr *sa, const char **ret_why)
{
    const struct flow *f = arg;
    return policy_address(&f->run->policy, &f->ask.host, sa, ret_why);
}

void server_reach(struct flow *f)
{
    struct server_side *s = f->server;
    bool tls = !f->tunnel && f->ask.form != ASK_ABSOLUTE;
    if (s && s->ready && s->tls == tls && s->port == f->ask.port && strcmp(s->host.text, f->ask.host.text) == 0) {
        memcpy(f->x.address, s->address, sizeof f->x.address);
        flow_server_ready(f);
        return;
    }
    server_let_go(f, true);
    struct dial_spec spec = {.loop = &f->run->proxy->uv,
                             .resolver = f->run->proxy->resolver,
                             .host = &f->ask.host,
                             .port = f->ask.port,
                             .fixed = policy_pin(&f->run->policy, &f->ask.host),
                             .ms = CONNECT_MS,
                             .allow = address_judge,
                             .done = dialled,
                             .arg = f};
    f->dial = dial_start(&spec);
}

/* ---- the answer ---- */

static enum body_way answer_way(const struct flow *f, enum http_reply_body body)
{
    bool old = f->head.minor_version == 0;
    switch (body) {
    case REPLY_LENGTH:
        return BODY_PLAIN;
    case REPLY_CHUNKED:
        return old ? BODY_UNCHUNK : BODY_CHUNKS;
    case REPLY_CLOSE:
        return old ? BODY_PLAIN : BODY_CHUNK;
    case REPLY_NONE:
    case REPLY_SWITCH:
        break;
    }
    return BODY_NONE;
}

static void answer_note(struct flow *f, const struct http_reply *r)
{
    struct row *x = &f->x;
    x->status = r->status;
    x->first_byte_ms = clock_mono_ms() - x->begun_ms;
    x->answer_coding = http_reply_field(r, "content-encoding");
    if (f->run->keep != KEEP_NONE)
        head_text(r->fields, r->field_count, &x->answer_head);
}

static void answer_final(struct flow *f, const struct http_reply *r)
{
    bool old = f->head.minor_version == 0;
    f->answer = (struct body){.way = answer_way(f, r->body), .left = r->body == REPLY_CLOSE ? -1 : r->length};
    f->answer.done = f->answer.way == BODY_NONE || (r->body == REPLY_LENGTH && !r->length);
    if (old && (r->body == REPLY_CLOSE || r->body == REPLY_CHUNKED))
        f->keep_alive = false;
    if (!f->request.done)
        f->keep_alive = false; /* answered before it was read: the rest is not waited for */
    f->server->keep = r->keep_alive;
    answer_note(f, r);
}

static void answer_done(struct flow *f)
{
    bool keep = f->server && f->server->keep && f->request.done;
    if (f->server)
        conn_deadline(&f->server->conn, -1);
    if (!keep)
        server_let_go(f, true);
    flow_exchange_done(f);
}

/* One head. false: it is not whole yet, or the flow is over. */
static bool answer_head(struct flow *f, struct str *bytes)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct http_reply r;
    struct buf out;
    size_t n;
    enum rc rc = http_reply_parse(f->x.ctx, *bytes, f->head.method, &r, &n, &err);
    if (rc == RC_AGAIN)
        return false;
    if (rc == RC_OK && r.body == REPLY_SWITCH && !f->websocket)
        rc = err_set(&err, RC_INVALID, "the server switches to a protocol that nobody asked for");
    if (rc != RC_OK) {
        flow_server_failed(f, RC_UPSTREAM, err.sentence);
        return false;
    }
    *bytes = str_sub(*bytes, n, bytes->n);
    bool interim = r.status / 100 == 1 && r.body != REPLY_SWITCH;
    if (!interim)
        answer_final(f, &r);
    if (interim && f->head.minor_version == 0)
        return true; /* HTTP/1.0 knows none */
    buf_init(&out, tmp, 4 * HTTP_MAX_HEAD);
    head_answer(&r, f->answer.way, f->keep_alive || interim, f->head.minor_version, &out);
    conn_write(&f->client, buf_view(&out));
    if (interim)
        return true;
    f->head_sent = true;
    if (r.body == REPLY_SWITCH) {
        f->phase = FLOW_RAW;
        f->keep_alive = false;
        conn_deadline(&f->server->conn, -1);
        conn_wake(&f->client);
    } else if (f->answer.done) {
        answer_done(f);
    }
    return true;
}

static size_t answer_more(struct flow *f, struct str bytes)
{
    struct str rest = bytes;
    while (rest.n && f->phase == FLOW_RELAY && !f->head_sent)
        if (!answer_head(f, &rest))
            return f->phase == FLOW_RELAY ? bytes.n - rest.n : bytes.n;
    if (f->phase == FLOW_RELAY && rest.n && f->head_sent) {
        size_t n = body_pass(f, &f->answer, &f->client, rest, false);
        rest = str_sub(rest, n, rest.n);
        if (f->phase == FLOW_RELAY && f->answer.done) {
            if (f->answer.way == BODY_CHUNK)
                conn_write(&f->client, STR("0\r\n\r\n"));
            answer_done(f);
        }
    }
    return bytes.n - rest.n;
}

static size_t raw_more(struct flow *f, struct str bytes)
{
    f->x.down += (int64_t)bytes.n;
    conn_write(&f->client, bytes);
    return bytes.n;
}

/* ---- the connection ---- */

static size_t server_bytes(struct conn *c, struct str bytes)
{
    struct server_side *s = (struct server_side *)(void *)c;
    struct flow *f = s->flow;
    if (!f)
        return bytes.n;
    if (!bytes.n || conn_backlog(&f->client) > CONN_HIGH)
        return 0;
    if (f->phase == FLOW_RELAY) {
        conn_deadline(c, ANSWER_MS);
        size_t n = answer_more(f, bytes);
        if (s->flow && f->phase == FLOW_RAW && n < bytes.n)
            n += raw_more(f, str_sub(bytes, n, bytes.n));
        return n;
    }
    if (f->phase == FLOW_RAW)
        return raw_more(f, bytes);
    server_let_go(f, true); /* words that nobody asked for */
    return bytes.n;
}

static void server_late(struct conn *c)
{
    struct server_side *s = (struct server_side *)(void *)c;
    if (s->flow)
        flow_server_failed(s->flow, RC_TIMEOUT,
                           s->ready ? "the server went on without a word for too long" : "TLS took too long");
    else
        conn_drop(c);
}

static void server_drained(struct conn *c)
{
    struct server_side *s = (struct server_side *)(void *)c;
    if (s->flow)
        conn_wake(&s->flow->client);
}

/* Over TLS an end without close_notify may be anybody's. */
static bool ended_in_order(const struct server_side *s)
{
    const SSL *ssl = tls_ssl(&s->conn);
    return !ssl || (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN);
}

/* A kept connection that its server had closed when the request came: once more, as long as nothing of the request can
 * have been acted upon twice. */
static bool may_redial(const struct flow *f, bool reused)
{
    static const char *const safe[] = {"GET", "HEAD", "OPTIONS"};
    if (!reused || f->redialled || f->body_began || f->anew || f->websocket)
        return false;
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (str_eqz(f->head.method, safe[i]))
            return f->request.way == BODY_NONE;
    return false;
}

static void relay_broken(struct flow *f, struct server_side *s)
{
    bool whole = f->head_sent && f->answer.left < 0 && f->answer.way != BODY_CHUNKS && f->answer.way != BODY_UNCHUNK;
    if (whole && ended_in_order(s)) {
        if (f->answer.way == BODY_CHUNK)
            conn_write(&f->client, STR("0\r\n\r\n"));
        f->answer.done = true;
        flow_exchange_done(f);
    } else if (!f->head_sent && may_redial(f, s->exchanges > 1)) {
        f->redialled = true;
        f->phase = FLOW_DIALLING;
        server_reach(f);
    } else {
        flow_server_failed(f, RC_UPSTREAM,
                           f->head_sent ? "the server ended in the middle of its answer"
                                        : "the server ended without an answer");
    }
}

static void server_gone(struct conn *c)
{
    struct server_side *s = (struct server_side *)(void *)c;
    struct flow *f = s->flow;
    if (!f)
        return;
    /* What it said last and was not passed on yet, because the client is slow: at most CONN_IN_MAX. */
    struct str rest = buf_view(&c->in);
    if (rest.n && f->phase == FLOW_RELAY)
        answer_more(f, rest);
    else if (rest.n && f->phase == FLOW_RAW)
        raw_more(f, rest);
    if (s->flow != f)
        return;
    f->server = NULL;
    s->flow = NULL;
    if (f->phase == FLOW_RELAY) {
        relay_broken(f, s);
    } else if (f->phase == FLOW_RAW) {
        flow_exchange_done(f); /* a tunnel keeps nothing alive */
    } else if (f->phase == FLOW_DIALLING) {
        CLEANUP_MEM mem *tmp = mem_root();
        const char *why = tls_problem(c);
        flow_server_failed(
            f, RC_UPSTREAM,
            mem_printf(tmp, "TLS with %s failed: %s", s->host.text, why ? why : "it closed the connection"));
    }
}

static const struct conn_kind server_kind = {
    .on_bytes = server_bytes,
    .on_deadline = server_late,
    .on_drained = server_drained,
    .on_gone = server_gone,
};
