/* A client's connection: CONNECT and absolute form, what is judged before anything is dialled, the request's way to the
 * server. The server's side and the answer are relay.c. A flow is the client's connection; it is freed with it. */
#include "base/clock.h"
#include "base/log.h"
#include "net/tls_conn.h"
#include "proxy/room.h"

static struct str method_of(const struct flow *f)
{
    return f->head.method;
}

/* ---- the end ---- */

static void exchange_forget(struct flow *f)
{
    f->head = (struct http_head){0};
    f->ask = (struct ask){0};
    f->request = f->answer = (struct body){0};
    f->websocket = f->tunnel = f->head_sent = f->body_began = f->redialled = f->anew = false;
    f->gathered = f->head_out = (struct buf){0}; /* their memory was the row's */
    f->watched = f->watched_framing = 0;
}

static void flow_leave(struct flow *f)
{
    question_leave(f);
    dial_cancel(f->dial);
    f->dial = NULL;
    server_let_go(f, true);
    row_end(f->run, &f->x);
    f->phase = FLOW_OVER;
    run_connection_ended(f->run);
}

void flow_end(struct flow *f)
{
    if (f->phase == FLOW_OVER)
        return;
    flow_leave(f);
    conn_drop(&f->client);
}

/* ---- saying no ---- */

static void refusal_put(struct flow *f, int status, const char *why)
{
    CLEANUP_MEM mem *tmp = mem_root();
    bool head_only = str_eq(method_of(f), STR("HEAD"));
    const char *words = mem_printf(tmp, "Nightmill's egress proxy: %s\n", why);
    conn_write(&f->client, str_of(mem_printf(tmp,
                                             "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                             "Content-Length: %zu\r\nX-Nightmill-Egress: refused\r\n"
                                             "Connection: close\r\n\r\n%s",
                                             status, http_reason(status), strlen(words), head_only ? "" : words)));
}

/* The row stands even where the head could not be read. */
static void row_need(struct flow *f)
{
    if (f->x.ctx)
        return;
    row_begin(f->run, &f->x);
    f->x.host = f->inside ? f->host : (struct hostname){0};
    f->x.port = f->inside ? f->port : 0;
    f->x.scheme = f->inside ? "https" : "http";
}

void flow_refuse(struct flow *f, int status, const char *verdict, const char *why)
{
    if (f->phase == FLOW_OVER)
        return;
    bool can_say = !f->head_sent && f->phase != FLOW_HANDSHAKE && f->phase != FLOW_RAW;
    row_need(f);
    f->x.verdict = verdict;
    f->x.reason = mem_str(f->x.ctx, why);
    if (can_say) {
        f->x.status = status;
        refusal_put(f, status, why);
    }
    flow_leave(f);
    if (can_say)
        conn_finish(&f->client);
    else
        conn_abort(&f->client, true); /* half an answer must not look like a whole one */
}

static void flow_alarm(struct flow *f, int found)
{
    const struct policy *p = &f->run->policy;
    bool canary = (size_t)found >= p->secret_count;
    const char *why =
        canary ? "a canary was about to leave the sandbox"
               : mem_printf(f->x.ctx, "the placeholder of %s was sent where it is not put in", p->secrets[found].name);
    log_warn("alarm of %s: %s, to %s", f->run->tag, why, f->x.host.text);
    flow_refuse(f, 403, "alarm", why);
}

/* ---- the request goes out ---- */

static struct swap flow_swap(const struct flow *f)
{
    return (struct swap){&f->run->policy, f->run->watch, &f->ask.host, f->ask.port};
}

static bool body_takes_secrets(const struct flow *f)
{
    const struct policy *p = &f->run->policy;
    for (size_t i = 0; i < p->secret_count; i++)
        if ((p->secrets[i].places & SECRET_IN_BODY) && secret_bound(&p->secrets[i], &f->ask.host, f->ask.port))
            return true;
    return false;
}

/* The head is made before anything is dialled, so that what it gives away is judged first. false: refused. */
static bool head_make(struct flow *f, int64_t length)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct swap swap = flow_swap(f);
    int found;
    buf_done(&f->head_out);
    buf_init(&f->head_out, f->x.ctx, 4 * HTTP_MAX_HEAD);
    head_request(tmp, &f->head, &f->ask, &swap, f->websocket, length, &f->head_out, &found);
    if (found >= 0)
        flow_alarm(f, found);
    else if (f->head_out.overflow)
        flow_refuse(f, 431, "denied", "the request's head is too long");
    return found < 0 && !f->head_out.overflow;
}

static void request_start(struct flow *f)
{
    f->phase = FLOW_DIALLING;
    server_reach(f);
}

static void gathered_done(struct flow *f)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct swap swap = flow_swap(f);
    struct str text;
    int found = swap_text(tmp, &swap, SECRET_IN_BODY, buf_view(&f->gathered), &text);
    if (found >= 0) {
        flow_alarm(f, found);
        return;
    }
    struct buf whole;
    buf_init(&whole, f->x.ctx, 16u << 20);
    buf_str(&whole, text);
    buf_done(&f->gathered);
    f->gathered = whole;
    f->anew = true;
    f->request.done = true;
    if (head_make(f, (int64_t)f->gathered.n))
        request_start(f);
}

static size_t body_gather(struct flow *f, struct str bytes)
{
    struct body *b = &f->request;
    struct str rest = bytes, piece;
    while (!b->done && rest.n) {
        if (b->way == BODY_PLAIN) {
            piece = str_sub(rest, 0, (uint64_t)b->left < rest.n ? (size_t)b->left : rest.n);
            rest = str_sub(rest, piece.n, rest.n);
            b->left -= (int64_t)piece.n;
            b->done = b->left == 0;
        } else {
            enum rc rc = http_chunked_take(&b->chunked, &rest, &piece, NULL);
            if (rc == RC_AGAIN)
                break;
            if (rc != RC_OK) {
                flow_refuse(f, 400, "denied", "the request's body is malformed");
                return bytes.n;
            }
            b->done = b->chunked.state == CHUNK_END;
        }
        f->x.up += (int64_t)piece.n;
        row_keep(f->run, &f->x, &f->x.request_body, piece);
        if (!buf_str(&f->gathered, piece)) {
            flow_refuse(f, 413, "denied", "a body into which secrets are put may have at most 1 MiB");
            return bytes.n;
        }
    }
    if (b->done)
        gathered_done(f);
    return bytes.n - rest.n;
}

/* ---- the request is judged ---- */

static void request_go(struct flow *f)
{
    f->x.verdict = "allowed";
    if (f->ask.form == ASK_CONNECT) {
        request_start(f);
    } else if (!f->request.done && body_takes_secrets(f)) {
        f->phase = FLOW_GATHER;
        buf_init(&f->gathered, f->x.ctx, SWAP_BODY_MOST);
        if (f->head.expect_continue)
            conn_write(&f->client, STR("HTTP/1.1 100 Continue\r\n\r\n"));
        conn_wake(&f->client);
    } else if (head_make(f, -1)) {
        request_start(f);
    }
}

void flow_answered(struct flow *f, bool allow, const char *why)
{
    if (!allow)
        flow_refuse(f, 403, "denied", why);
    else
        request_go(f);
}

static void request_judge(struct flow *f)
{
    const char *why;
    bool connect = f->ask.form == ASK_CONNECT;
    char *method = str_dup(f->x.ctx, f->head.method);
    enum verdict v = policy_judge(f->x.ctx, &f->run->policy, &f->ask.host, f->ask.port, connect ? NULL : method, &why);
    if (record_full(f->run->proxy))
        flow_refuse(f, 503, "denied", "the record of earlier requests cannot be written");
    else if (v == VERDICT_DENY)
        flow_refuse(f, 403, "denied", mem_printf(f->x.ctx, "%s: %s", f->ask.host.text, why));
    else if (v == VERDICT_TUNNEL && !connect)
        flow_refuse(f, 403, "denied", "the host is reached by tunnel only");
    else if (v == VERDICT_ASK)
        question_ask(f);
    else {
        f->tunnel = v == VERDICT_TUNNEL;
        request_go(f);
    }
}

static void bodies_plan(struct flow *f)
{
    const struct http_head *h = &f->head;
    f->request = (struct body){.way = h->chunked              ? BODY_CHUNKS
                                      : h->content_length > 0 ? BODY_PLAIN
                                                              : BODY_NONE,
                               .left = h->content_length};
    f->request.done = f->request.way == BODY_NONE;
}

static void row_note(struct flow *f)
{
    struct row *x = &f->x;
    x->method = f->head.method;
    x->host = f->ask.host;
    x->port = f->ask.port;
    x->path = f->ask.path;
    x->scheme = f->ask.form == ASK_ABSOLUTE ? "http" : "https";
    if (f->run->keep != KEEP_NONE)
        head_text(f->head.fields, f->head.field_count, &x->request_head);
    x->request_coding = head_field(f->head.fields, f->head.field_count, "content-encoding");
}

static void request_begin(struct flow *f)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    enum rc rc = head_ask(&f->head, f->inside ? &f->host : NULL, f->port, &f->ask, &err);
    conn_deadline(&f->client, -1);
    f->begun = false;
    row_note(f);
    if (rc != RC_OK) {
        f->x.host = f->inside ? f->host : f->ask.host;
        f->x.port = f->inside ? f->port : f->ask.port;
        flow_refuse(f, 400, "denied", err.hint[0] ? mem_printf(tmp, "%s; %s", err.sentence, err.hint) : err.sentence);
        return;
    }
    f->keep_alive = f->head.keep_alive;
    f->websocket = head_is_websocket(&f->head);
    bodies_plan(f);
    request_judge(f);
}

static size_t head_read(struct flow *f, struct str bytes)
{
    struct err err = {0};
    size_t n;
    if (!bytes.n)
        return 0;
    if (!f->begun) {
        f->begun = true;
        conn_deadline(&f->client, HEAD_MS);
    }
    if (!f->x.ctx)
        row_begin(f->run, &f->x);
    enum rc rc = http_head_parse(f->x.ctx, bytes, &f->head, &n, &err);
    if (rc == RC_OK) {
        request_begin(f);
        return n;
    }
    if (rc == RC_AGAIN)
        return 0;
    f->x.host = f->inside ? f->host : (struct hostname){0};
    f->x.port = f->inside ? f->port : 0;
    flow_refuse(f, f->head.refuse_status ? f->head.refuse_status : 400, "denied", err.sentence);
    return bytes.n;
}

/* ---- the server is there ---- */

static void client_ready(struct conn *c)
{
    struct flow *f = (struct flow *)(void *)c;
    f->phase = FLOW_HEAD;
    f->inside = true;
    conn_deadline(c, REST_MS);
}

/* The client's TLS begins behind our 200; bytes that it sent ahead belong to it. */
static void client_secure(struct flow *f)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    SSL *ssl;
    f->host = f->ask.host;
    f->port = f->ask.port;
    enum rc rc = identity_accept(f->run->proxy, &f->host, &f->wrong_name, &ssl, &err);
    if (rc != RC_OK) {
        flow_refuse(f, 500, "failed", err.sentence);
        return;
    }
    mem_free(f->x.ctx); /* no row: each request inside has one */
    f->x = (struct row){0};
    exchange_forget(f);
    f->phase = FLOW_HANDSHAKE;
    conn_write(&f->client, STR("HTTP/1.1 200 Connection established\r\n\r\n"));
    struct str early = str_of("");
    if (f->client.in.n)
        early = str_n(mem_strn(tmp, f->client.in.p, f->client.in.n), f->client.in.n);
    buf_drop(&f->client.in, f->client.in.n);
    rc = tls_attach_ssl(&f->client, ssl, client_ready, &err);
    if (rc != RC_OK) {
        flow_end(f);
        return;
    }
    conn_deadline(&f->client, HANDSHAKE_MS);
    if (early.n && f->client.filter->feed(&f->client, early) != CONN_FED)
        flow_end(f);
}

static void tunnel_begin(struct flow *f)
{
    f->phase = FLOW_RAW;
    f->keep_alive = false;
    f->x.verdict = "tunnelled";
    f->x.scheme = "tcp";
    f->x.status = 200;
    f->head_sent = true;
    conn_write(&f->client, STR("HTTP/1.1 200 Connection established\r\n\r\n"));
    conn_wake(&f->client);
}

void flow_server_ready(struct flow *f)
{
    if (f->ask.form == ASK_CONNECT && f->tunnel) {
        tunnel_begin(f);
        return;
    }
    if (f->ask.form == ASK_CONNECT) {
        client_secure(f);
        return;
    }
    f->phase = FLOW_RELAY;
    f->server->exchanges++;
    conn_deadline(&f->server->conn, ANSWER_MS);
    conn_write(&f->server->conn, buf_view(&f->head_out));
    if (f->anew)
        conn_write(&f->server->conn, buf_view(&f->gathered));
    conn_wake(&f->client);
}

void flow_server_failed(struct flow *f, enum rc rc, const char *why)
{
    bool denied = rc == RC_DENIED;
    flow_refuse(f, denied ? 403 : rc == RC_TIMEOUT ? 504 : 502, denied ? "denied" : "failed", why);
}

void flow_exchange_done(struct flow *f)
{
    row_end(f->run, &f->x);
    bool again = f->keep_alive && f->request.done;
    exchange_forget(f);
    if (!again) {
        flow_leave(f);
        conn_finish(&f->client);
        return;
    }
    f->phase = FLOW_HEAD;
    conn_deadline(&f->client, REST_MS);
    if (f->client.in.n)
        conn_wake(&f->client);
}

/* ---- the client's connection ---- */

static bool body_watch(struct flow *f, uint32_t *state, struct str bytes)
{
    int found = f->run->watch ? sentinel_feed(f->run->watch, state, bytes) : -1;
    if (found < 0)
        return true;
    flow_alarm(f, found);
    return false;
}

static size_t request_more(struct flow *f, struct str bytes)
{
    if (f->request.done || !bytes.n || conn_backlog(&f->server->conn) > CONN_HIGH)
        return 0;
    f->body_began = true;
    return body_pass(f, &f->request, &f->server->conn, bytes, true);
}

static size_t raw_more(struct flow *f, struct str bytes)
{
    if (!bytes.n || conn_backlog(&f->server->conn) > CONN_HIGH)
        return 0;
    f->x.up += (int64_t)bytes.n;
    if (!f->tunnel && !body_watch(f, &f->watched, bytes))
        return bytes.n;
    conn_write(&f->server->conn, bytes);
    return bytes.n;
}

static size_t client_bytes(struct conn *c, struct str bytes)
{
    struct flow *f = (struct flow *)(void *)c;
    switch (f->phase) {
    case FLOW_HEAD:
        return head_read(f, bytes);
    case FLOW_GATHER:
        return body_gather(f, bytes);
    case FLOW_RELAY:
        return request_more(f, bytes);
    case FLOW_RAW:
        return raw_more(f, bytes);
    case FLOW_OVER:
        return bytes.n;
    case FLOW_ASKING:
    case FLOW_DIALLING:
    case FLOW_HANDSHAKE:
        break;
    }
    return 0; /* later */
}

static void client_late(struct conn *c)
{
    struct flow *f = (struct flow *)(void *)c;
    if (f->phase == FLOW_HEAD && f->begun)
        flow_refuse(f, 408, "failed", "the request's head did not come in time");
    else
        flow_end(f);
}

static void client_drained(struct conn *c)
{
    struct flow *f = (struct flow *)(void *)c;
    if (f->server)
        conn_wake(&f->server->conn);
}

/* A handshake that failed is worth a row: a pinned certificate, another name, no TLS at all. */
static void client_gone(struct conn *c)
{
    struct flow *f = (struct flow *)(void *)c;
    CLEANUP_MEM mem *tmp = mem_root();
    if (f->phase == FLOW_OVER)
        return;
    if (f->phase == FLOW_HANDSHAKE) {
        const char *why = tls_problem(c);
        row_need(f);
        f->x.host = f->host;
        f->x.port = f->port;
        f->x.scheme = "https";
        f->x.method = STR("CONNECT");
        f->x.verdict = f->wrong_name ? "denied" : "failed";
        f->x.reason = f->wrong_name ? "the TLS server name is not that of CONNECT"
                                    : mem_str(f->x.ctx, mem_printf(tmp, "the client's TLS failed: %s",
                                                                   why ? why : "it left or spoke no TLS"));
    } else if (f->x.ctx && f->phase == FLOW_HEAD) {
        mem_free(f->x.ctx); /* a head that never came whole */
        f->x = (struct row){0};
    } else if (f->x.ctx && f->phase != FLOW_RAW) {
        f->x.verdict = "failed";
        f->x.reason = "the client left before the end";
    }
    flow_leave(f);
}

const struct conn_kind flow_kind = {
    .on_bytes = client_bytes,
    .on_deadline = client_late,
    .on_drained = client_drained,
    .on_gone = client_gone,
};

/* ---- bodies ---- */

/* What the decoder takes is passed on as it stands, framing included: it was checked byte by byte. */
static size_t chunks_pass(struct flow *f, struct body *b, struct conn *to, struct str bytes, bool of_request)
{
    struct row *x = &f->x;
    struct buf *kept = of_request ? &x->request_body : &x->answer_body;
    struct str rest = bytes, piece;
    enum rc rc = RC_OK;
    while (rc == RC_OK && b->chunked.state != CHUNK_END && rest.n) {
        rc = http_chunked_take(&b->chunked, &rest, &piece, NULL);
        *(of_request ? &x->up : &x->down) += (int64_t)piece.n;
        row_keep(f->run, x, kept, piece);
        if (of_request && piece.n && !body_watch(f, &f->watched, piece))
            return bytes.n;
        if (b->way == BODY_UNCHUNK)
            conn_write(to, piece);
    }
    if (rc != RC_OK && rc != RC_AGAIN) {
        flow_refuse(f, of_request ? 400 : 502, of_request ? "denied" : "failed", "a chunked body is malformed");
        return bytes.n;
    }
    struct str taken = str_n(bytes.p, bytes.n - rest.n);
    if (of_request && !body_watch(f, &f->watched_framing, taken))
        return bytes.n; /* in a trailer or an extension */
    if (b->way == BODY_CHUNKS)
        conn_write(to, taken);
    b->done = b->chunked.state == CHUNK_END;
    return bytes.n - rest.n;
}

static size_t plain_pass(struct flow *f, struct body *b, struct conn *to, struct str bytes, bool of_request)
{
    struct row *x = &f->x;
    struct str piece = bytes;
    if (b->left >= 0 && (uint64_t)b->left < piece.n)
        piece.n = (size_t)b->left;
    *(of_request ? &x->up : &x->down) += (int64_t)piece.n;
    row_keep(f->run, x, of_request ? &x->request_body : &x->answer_body, piece);
    if (of_request && !body_watch(f, &f->watched, piece))
        return bytes.n;
    if (b->way == BODY_CHUNK && piece.n) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", piece.n);
        conn_write(to, str_n(size, (size_t)n));
        conn_write(to, piece);
        conn_write(to, STR("\r\n"));
    } else {
        conn_write(to, piece);
    }
    if (b->left >= 0) {
        b->left -= (int64_t)piece.n;
        b->done = b->left == 0;
    }
    return piece.n;
}

size_t body_pass(struct flow *f, struct body *b, struct conn *to, struct str bytes, bool of_request)
{
    bool chunks = b->way == BODY_CHUNKS || b->way == BODY_UNCHUNK;
    return (chunks ? chunks_pass : plain_pass)(f, b, to, bytes, of_request);
}
