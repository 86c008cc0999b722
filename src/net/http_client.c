/* The client half of HTTP/1.1; the promises are in http_client.h. Heads are read by http_answer_head.c, chunks by
 * http_chunked.c, sockets and TLS are conn.h's, names resolve.h's. Not here: URLs, redirects, what answers mean,
 * content encodings.
 *
 * A call takes a kept connection or makes one, address by address; writes its request; reads the answer; and gives the
 * connection back when both ended in order. Whatever ends a call goes through call_bury. A call's memory goes when the
 * last of its callbacks has returned. */
#include "net/http_client.h"
#include "base/pool.h"
#include "net/conn.h"
#include "net/http_parse.h"
#include "net/resolve.h"
#include "net/tls_client.h"
#include "net/tls_conn.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/queue.h>

enum {
    STALL_MS = 60000,       /* a server that takes nothing of a request for this long is gone */
    GRACE_MS = 20,          /* see call_expire */
    TIMER_LEAST_MS = 5,     /* deadlines closer together than this share one pass over the calls */
    ADDRESS_MOST_MS = 2000, /* for one address while there are others */
    PIECE = 64 << 10,       /* of a request, written at a time */
    SCRATCH_MOST = 1 << 20, /* more than one read can hold */
    SCRATCH_KEPT = 128 << 10,
    PENDING_MOST = 64 << 20,
    CALL_PIECES = 12, /* of a usual call; its request, when that is short */
    CALL_POOL = 3 << 10,
};

struct http_conn {
    struct conn conn; /* first: see conn.h */
    struct http_client *client;
    TAILQ_ENTRY(http_conn) in_idle; /* newest first */
    bool idle;
    bool used; /* has brought a whole answer */
    char *key;
    struct http_call *call; /* NULL: at rest, or closing */
};

enum phase {
    CALL_FINDING, /* waits for addresses */
    CALL_CONNECTING,
    CALL_FAILED, /* told on the next turn: `why` */
    CALL_HEAD,
    CALL_LENGTH,
    CALL_CHUNKS,
    CALL_TO_END,
    CALL_TUNNEL,
};

struct http_call {
    struct http_client *client;
    TAILQ_ENTRY(http_call) in_calls;
    struct http_call_spec spec; /* its texts are not the caller's any more: see request, key, origin, host */
    char *key, *origin, *host;
    struct str request; /* head and body */
    size_t written;     /* of it, to the connection */
    struct buf pending; /* streamed bytes that wait for the connection */
    int64_t send_left;  /* of a streamed body with a length; -1: chunked */
    bool send_ended;
    enum phase phase;
    struct resolve_ask *ask;
    struct resolve_address *addresses;
    size_t address_count, address_next;
    struct http_conn *hc;
    uint64_t taken_before; /* see handed */
    bool head_only;        /* HEAD: the answer has no body */
    bool repeatable, again, answered;
    struct buf head;
    size_t scanned;
    bool keep_alive;
    uint64_t left;
    struct http_chunked chunks;
    bool paused, resumed;
    int64_t connect_until, slice_until, head_until, idle_until, grace_until; /* loop time; 0: none */
    int busy;                                                                /* callbacks on the stack */
    bool dead;                                                               /* nobody is told anything more */
    char why[200];
};

struct http_client {
    uv_loop_t *loop;
    struct conn_hub hub;
    struct resolver *resolver;
    uv_timer_t timer;
    uv_idle_t turn; /* active while calls wait in CALL_FAILED */
    int64_t timer_at;
    int open_handles; /* timer, turn, resolver */
    TAILQ_HEAD(, http_call) calls;
    TAILQ_HEAD(idle_list, http_conn) idle;
    size_t live, idle_count;
    struct buf scratch; /* pieces of chunks of one read, joined */
    bool closing;
};

static int64_t client_now(const struct http_client *cl)
{
    return (int64_t)uv_now(cl->loop);
}

/* --- connections at rest -------------------------------------------------------------------------------------------
 */

static void conn_unrest(struct http_conn *hc)
{
    if (!hc->idle)
        return;
    TAILQ_REMOVE(&hc->client->idle, hc, in_idle);
    hc->client->idle_count--;
    hc->idle = false;
}

static void hc_drop(struct http_conn *hc)
{
    conn_unrest(hc);
    hc->call = NULL;
    conn_drop(&hc->conn);
}

static void hc_rest(struct http_conn *hc)
{
    struct http_client *cl = hc->client;
    if (cl->closing || hc->conn.state != CONN_OPEN || hc->conn.broken) {
        hc_drop(hc);
        return;
    }
    hc->call = NULL;
    hc->idle = hc->used = true;
    TAILQ_INSERT_HEAD(&cl->idle, hc, in_idle);
    cl->idle_count++;
    conn_deadline(&hc->conn, HTTP_CLIENT_IDLE_MS);
    if (cl->idle_count > HTTP_CLIENT_IDLE_MAX)
        hc_drop(TAILQ_LAST(&cl->idle, idle_list));
}

/* The server may have closed it, or said something out of turn, since the loop last looked. */
static bool hc_fresh(const struct http_conn *hc)
{
    char byte;
    return hc->conn.state == CONN_OPEN && !hc->conn.broken &&
           recv(hc->conn.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static struct http_conn *hc_take(struct http_client *cl, const char *key)
{
    struct http_conn *hc, *next;
    for (hc = TAILQ_FIRST(&cl->idle); hc; hc = next) {
        next = TAILQ_NEXT(hc, in_idle);
        if (strcmp(hc->key, key) != 0)
            continue;
        if (hc_fresh(hc)) {
            conn_unrest(hc);
            conn_deadline(&hc->conn, -1);
            return hc;
        }
        hc_drop(hc);
    }
    return NULL;
}

/* --- the end of a call ---------------------------------------------------------------------------------------------
 */

static void call_free(struct http_call *c)
{
    if (!c->busy)
        mem_free(c);
}

static void call_detach(struct http_call *c, bool keep)
{
    struct http_conn *hc = c->hc;
    c->hc = NULL;
    if (hc && keep)
        hc_rest(hc);
    else if (hc)
        hc_drop(hc);
}

static void call_bury(struct http_call *c, bool keep)
{
    if (c->dead)
        return;
    c->dead = true;
    c->client->live--;
    TAILQ_REMOVE(&c->client->calls, c, in_calls);
    if (c->ask)
        resolve_cancel(c->ask);
    c->ask = NULL;
    call_detach(c, keep);
}

static void call_end(struct http_call *c, enum rc rc, const struct err *err, bool keep)
{
    if (c->dead)
        return;
    call_bury(c, keep);
    c->busy++;
    c->spec.on_end(c->spec.arg, rc, rc == RC_OK ? NULL : err);
    c->busy--;
    call_free(c);
}

static void call_fail(struct http_call *c, enum rc rc, const char *sentence, const char *why)
{
    struct err err = {0};
    err_set(&err, rc, sentence, c->origin);
    if (why && *why)
        err_detail(&err, "%s", why);
    call_end(c, rc, &err, false);
}

/* A byte of the request is, or may be, on its way. */
static bool handed(const struct http_call *c)
{
    return c->hc && c->hc->conn.taken > c->taken_before;
}

/* --- deadlines: one timer, armed for the earliest; a pass over the calls when it fires -------------------------------
 */

static int64_t earlier(int64_t a, int64_t b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

static int64_t call_until(const struct http_call *c)
{
    if (c->grace_until)
        return c->grace_until;
    if (c->phase <= CALL_CONNECTING)
        return earlier(earlier(c->connect_until, c->head_until), c->slice_until);
    return c->phase == CALL_FAILED ? 0 : c->phase == CALL_HEAD ? c->head_until : c->idle_until;
}

static void timer_fired(uv_timer_t *timer);

static void timer_arm(struct http_client *cl, int64_t at)
{
    if (!at || (cl->timer_at && cl->timer_at <= at) || cl->closing)
        return;
    int64_t wait = at - client_now(cl);
    cl->timer_at = at;
    uv_timer_start(&cl->timer, timer_fired, wait > TIMER_LEAST_MS ? (uint64_t)wait : TIMER_LEAST_MS, 0);
}

static int64_t call_at(const struct http_call *c, int ms)
{
    return ms > 0 ? client_now(c->client) + ms : 0;
}

static void call_heard(struct http_call *c)
{
    c->grace_until = 0;
    c->idle_until = c->paused || c->phase == CALL_TUNNEL ? 0 : call_at(c, c->spec.idle_ms);
    timer_arm(c->client, c->idle_until);
}

static void call_next_address(struct http_call *c);

static void call_expired(struct http_call *c)
{
    struct err err = {0};
    int64_t now = client_now(c->client);
    bool passed = (c->connect_until && c->connect_until <= now) || (c->head_until && c->head_until <= now);
    if (c->phase == CALL_CONNECTING && !passed) {
        c->grace_until = 0;
        snprintf(c->why, sizeof c->why, "an address did not answer");
        call_detach(c, false);
        call_next_address(c);
    } else if (c->phase <= CALL_CONNECTING || (c->phase == CALL_HEAD && !handed(c))) {
        call_fail(c, RC_UNAVAILABLE, "%s could not be reached in time.", c->why);
    } else if (c->phase == CALL_HEAD) {
        err_set(&err, RC_TIMEOUT, "%s did not begin to answer within %d ms.", c->origin, c->spec.head_ms);
        call_end(c, RC_TIMEOUT, &err, false);
    } else {
        err_set(&err, RC_TIMEOUT, "%s sent nothing more for %d ms.", c->origin, c->spec.idle_ms);
        call_end(c, RC_TIMEOUT, &err, false);
    }
}

/* After a standstill of the whole process (stopped, starved) timers come before the bytes that are waiting: those are
 * read first. True: the call has ended, or begun something else. */
static bool call_expire(struct http_call *c)
{
    int64_t now = client_now(c->client), until = call_until(c);
    if (!until || until > now)
        return false;
    if (!c->grace_until) {
        c->grace_until = now + GRACE_MS;
        return false;
    }
    call_expired(c);
    return true;
}

/* Callbacks may end any call: after each the list is looked at anew. */
static void timer_fired(uv_timer_t *timer)
{
    struct http_client *cl = timer->data;
    struct http_call *c = TAILQ_FIRST(&cl->calls);
    int64_t next = 0;
    cl->timer_at = 0;
    while (c)
        c = call_expire(c) ? TAILQ_FIRST(&cl->calls) : TAILQ_NEXT(c, in_calls);
    TAILQ_FOREACH(c, &cl->calls, in_calls)
    next = earlier(next, call_until(c));
    timer_arm(cl, next);
}

/* --- failures that are found inside a call of the header: told on the next turn
 * --------------------------------------- */

static void turn_run(uv_idle_t *turn)
{
    struct http_client *cl = turn->data;
    struct http_call *c = TAILQ_FIRST(&cl->calls);
    uv_idle_stop(turn);
    while (c) {
        if (c->phase != CALL_FAILED) {
            c = TAILQ_NEXT(c, in_calls);
            continue;
        }
        call_fail(c, RC_UNAVAILABLE, "%s cannot be reached.", c->why);
        c = TAILQ_FIRST(&cl->calls);
    }
}

static void call_fail_later(struct http_call *c)
{
    c->phase = CALL_FAILED;
    uv_idle_start(&c->client->turn, turn_run);
}

/* --- connecting ------------------------------------------------------------------------------------------------------
 */

static const struct conn_kind kind;

static bool call_connect(struct http_call *c, const struct resolve_address *to)
{
    struct err err = {0};
    struct http_conn *hc = mem_new(c->client, struct http_conn);
    hc->client = c->client;
    if (conn_connect(&hc->conn, &c->client->hub, (const struct sockaddr *)&to->sa, to->n, &kind, &err) != RC_OK) {
        snprintf(c->why, sizeof c->why, "%.190s", err.detail);
        mem_free(hc);
        return false;
    }
    if (c->spec.trust && tls_attach_client(c->spec.trust, &hc->conn, c->host, &err) != RC_OK) {
        snprintf(c->why, sizeof c->why, "%.190s", err.sentence);
        hc_drop(hc);
        return false;
    }
    hc->key = mem_str(hc, c->key);
    hc->call = c;
    c->hc = hc;
    return true;
}

static void port_set(struct resolve_address *a, uint16_t port)
{
    if (a->sa.ss_family == AF_INET)
        ((struct sockaddr_in *)&a->sa)->sin_port = htons(port);
    else if (a->sa.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(port);
}

static void call_next_address(struct http_call *c)
{
    c->phase = CALL_CONNECTING;
    while (c->address_next < c->address_count) {
        const struct resolve_address *to = &c->addresses[c->address_next++];
        bool last = c->address_next == c->address_count;
        if (!call_connect(c, to))
            continue;
        c->slice_until = last ? 0 : call_at(c, ADDRESS_MOST_MS);
        timer_arm(c->client, call_until(c));
        return;
    }
    call_fail_later(c);
}

static void call_addressed(struct http_call *c, const struct resolved *found)
{
    if (!found->n) {
        snprintf(c->why, sizeof c->why, "the name could not be resolved: %s", found->why ? found->why : "no address");
        call_fail_later(c);
        return;
    }
    mem_free(c->addresses);
    c->addresses = mem_array(c, struct resolve_address, found->n);
    memcpy(c->addresses, found->addresses, found->n * sizeof *c->addresses);
    c->address_count = found->n;
    c->address_next = 0;
    for (size_t i = 0; i < found->n; i++)
        port_set(&c->addresses[i], c->spec.port);
    call_next_address(c);
}

static void call_resolved(void *arg, const struct resolved *found)
{
    struct http_call *c = arg;
    c->ask = NULL;
    call_addressed(c, found);
}

static void call_find(struct http_call *c)
{
    const struct resolved *now;
    c->phase = CALL_FINDING;
    if (c->spec.address) { /* copied into addresses[0] */
        c->address_next = 0;
        call_next_address(c);
    } else if (resolve_start(c->client->resolver, c->host, call_resolved, c, &now, &c->ask)) {
        call_addressed(c, now);
    }
}

/* --- writing ---------------------------------------------------------------------------------------------------------
 */

static bool is_writable(const struct http_call *c)
{
    return c->hc && c->phase >= CALL_HEAD;
}

static void call_write(struct http_call *c)
{
    struct conn *conn = &c->hc->conn;
    while (c->written < c->request.n && conn_backlog(conn) <= CONN_HIGH) {
        struct str piece = str_sub(c->request, c->written, PIECE);
        conn_write(conn, piece);
        c->written += piece.n;
    }
    if (c->written == c->request.n && c->pending.n) {
        conn_write(conn, buf_view(&c->pending));
        buf_done(&c->pending);
        buf_init(&c->pending, c, PENDING_MOST);
    }
}

static void call_put(struct http_call *c, struct str bytes)
{
    if (is_writable(c) && c->written == c->request.n && !c->pending.n)
        conn_write(&c->hc->conn, bytes);
    else
        (void)!buf_str(&c->pending, bytes);
}

void http_call_send(struct http_call *c, struct str bytes)
{
    char size[24];
    if (c->dead || !bytes.n || (c->send_ended && c->phase != CALL_TUNNEL))
        return;
    if (c->phase == CALL_TUNNEL) {
        call_put(c, bytes);
    } else if (c->send_left < 0) {
        call_put(c, str_n(size, (size_t)snprintf(size, sizeof size, "%zx\r\n", bytes.n)));
        call_put(c, bytes);
        call_put(c, STR("\r\n"));
    } else {
        bytes = str_sub(bytes, 0, (size_t)c->send_left); /* more would be taken for another request */
        c->send_left -= (int64_t)bytes.n;
        call_put(c, bytes);
    }
}

void http_call_send_end(struct http_call *c)
{
    if (c->dead || c->send_ended || c->phase == CALL_TUNNEL)
        return;
    c->send_ended = true;
    if (c->spec.streamed && c->send_left < 0)
        call_put(c, STR("0\r\n\r\n"));
}

size_t http_call_backlog(const struct http_call *c)
{
    size_t n = c->pending.n + (c->request.n - c->written);
    return c->dead ? HTTP_HIGH_WATER + 1 : n + (c->hc ? conn_backlog(&c->hc->conn) : 0);
}

static bool request_whole(const struct http_call *c)
{
    return c->written == c->request.n && !c->pending.n && conn_backlog(&c->hc->conn) == 0 &&
           (!c->spec.streamed || (c->send_ended && c->send_left <= 0));
}

static void call_attach(struct http_call *c, struct http_conn *hc)
{
    hc->call = c;
    c->hc = hc;
    c->phase = CALL_HEAD;
    c->slice_until = c->connect_until = c->grace_until = 0;
    c->taken_before = hc->conn.taken;
    call_write(c);
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */

static void call_whole(struct http_call *c, struct str rest)
{
    bool keep = c->keep_alive && !rest.n && request_whole(c);
    call_end(c, RC_OK, NULL, keep);
}

/* False: paused, or the call is over. */
static bool call_deliver(struct http_call *c, struct str piece)
{
    c->resumed = false;
    bool taken = !c->spec.on_body || c->spec.on_body(c->spec.arg, piece);
    if (c->dead)
        return false;
    c->paused = !taken && !c->resumed;
    call_heard(c);
    if (c->paused)
        conn_hold(&c->hc->conn, true);
    else if (!taken)
        conn_wake(&c->hc->conn);
    return taken;
}

static bool length_take(struct http_call *c, struct str *rest)
{
    struct str piece = c->phase == CALL_LENGTH ? str_sub(*rest, 0, c->left) : *rest;
    if (!piece.n || !call_deliver(c, piece))
        return false;
    *rest = str_sub(*rest, piece.n, rest->n);
    if (c->phase != CALL_LENGTH)
        return false;
    c->left -= piece.n;
    if (c->left == 0)
        call_whole(c, *rest);
    return false;
}

/* The pieces of one read go on together. When they are refused, the decoder goes back to before them. */
static bool chunks_take(struct http_call *c, struct str *rest)
{
    struct buf *joined = &c->client->scratch;
    struct http_chunked before = c->chunks;
    struct str in = *rest, piece, all = STR("");
    struct err why = {0};
    enum rc rc;
    bool ended = false;
    buf_clear(joined);
    while ((rc = http_chunked_take(&c->chunks, &in, &piece, &why)) == RC_OK && !ended) {
        ended = !piece.n && c->chunks.state == CHUNK_END;
        if (ended)
            break;
        if (all.n && !joined->n)
            BUG_ON(!buf_str(joined, all));
        if (all.n)
            BUG_ON(!buf_str(joined, piece));
        all = joined->n ? buf_view(joined) : piece;
    }
    if (all.n && !call_deliver(c, all)) {
        if (!c->dead)
            c->chunks = before;
        return false;
    }
    *rest = in;
    if (joined->cap > SCRATCH_KEPT) {
        buf_done(joined);
        buf_init(joined, c->client, SCRATCH_MOST);
    }
    if (rc != RC_OK && rc != RC_AGAIN)
        call_fail(c, RC_UPSTREAM, "%s broke off in the middle of its answer.", why.sentence);
    else if (ended)
        call_whole(c, *rest);
    return false;
}

static void request_forget(struct http_call *c)
{
    if (c->written < c->request.n || !c->request.n)
        return;
    mem_free((char *)c->request.p);
    c->request = STR("");
    c->written = 0;
}

/* The final head is there. True: go on with the body. */
static bool head_judge(struct http_call *c, const struct http_answer_head *h, struct str rest)
{
    bool bodiless = c->head_only || h->status == 204 || h->status == 304;
    c->keep_alive = h->keep_alive;
    c->left = h->content_length > 0 ? (uint64_t)h->content_length : 0;
    c->phase = h->status == 101         ? CALL_TUNNEL
               : h->chunked             ? CALL_CHUNKS
               : h->content_length >= 0 ? CALL_LENGTH
                                        : CALL_TO_END;
    if (c->phase == CALL_TO_END && !bodiless)
        c->keep_alive = false;
    request_forget(c);
    call_heard(c);
    if (c->spec.on_head)
        c->spec.on_head(c->spec.arg, h->status, h->fields);
    if (c->dead)
        return false;
    if (bodiless || (c->phase == CALL_LENGTH && !c->left)) {
        call_whole(c, rest);
        return false;
    }
    return true;
}

static bool head_broken(struct http_call *c, enum rc rc, const char *why)
{
    if (rc == RC_LIMIT)
        call_fail(c, RC_LIMIT, "The answer of %s has a head that is too large.", why);
    else
        call_fail(c, RC_UPSTREAM, "%s gave an answer that cannot be read.", why);
    return false;
}

/* One head off the front of rest. True: there may be more to do. */
static bool head_take(struct http_call *c, struct str *rest)
{
    struct http_answer_head h;
    struct err why = {0};
    size_t length = 0, before = c->head.n;
    c->answered = c->answered || rest->n;
    if (before && !buf_str(&c->head, *rest))
        return head_broken(c, RC_LIMIT, NULL);
    struct str in = before ? buf_view(&c->head) : *rest;
    enum rc rc = http_answer_head_find(in, &c->scanned, &length, &why);
    if ((rc == RC_AGAIN && in.n >= HTTP_CLIENT_HEAD_MAX) || length > HTTP_CLIENT_HEAD_MAX)
        return head_broken(c, RC_LIMIT, NULL);
    if (rc == RC_AGAIN) {
        if (!before)
            buf_add(&c->head, in.p, in.n);
        *rest = STR("");
        return false;
    }
    if (rc == RC_OK)
        rc = http_answer_head_parse(str_sub(in, 0, length), &h, &why);
    if (rc == RC_OK && h.status == 101 && !c->spec.upgrade)
        rc = err_set(&why, RC_INVALID, "it switched protocols unasked");
    if (rc != RC_OK)
        return head_broken(c, rc, why.sentence);
    *rest = str_sub(*rest, length - before, rest->n);
    c->scanned = 0;
    bool more;
    if (h.status < 200 && h.status != 101) {
        if (c->spec.on_interim)
            c->spec.on_interim(c->spec.arg, h.status, h.fields);
        more = !c->dead;
    } else {
        more = head_judge(c, &h, *rest);
    }
    if (!c->dead)
        buf_clear(&c->head);
    return more;
}

static bool call_take(struct http_call *c, struct str *rest)
{
    switch (c->phase) {
    case CALL_HEAD:
        return rest->n && head_take(c, rest);
    case CALL_LENGTH:
    case CALL_TO_END:
    case CALL_TUNNEL:
        return length_take(c, rest);
    case CALL_CHUNKS:
        return chunks_take(c, rest);
    default:
        return false;
    }
}

static bool call_retry(struct http_call *c);

static size_t hc_bytes(struct conn *conn, struct str bytes)
{
    struct http_conn *hc = (struct http_conn *)conn;
    struct http_call *c = hc->call;
    struct str rest = bytes;
    if (!c) { /* nobody asked */
        if (bytes.n)
            hc_drop(hc);
        return bytes.n;
    }
    if (c->paused)
        return 0;
    if (bytes.n && c->phase == CALL_HEAD && !handed(c)) { /* left over from an earlier answer */
        if (!call_retry(c))
            call_fail(c, RC_UNAVAILABLE, "%s cannot be reached.", "it spoke before it was asked");
        return bytes.n;
    }
    c->busy++;
    while (call_take(c, &rest) && !c->dead)
        ;
    c->busy--;
    if (c->dead)
        call_free(c);
    return bytes.n - rest.n;
}

/* --- other events of a connection
 * -------------------------------------------------------------------------------------- */

static void hc_ready(struct conn *conn)
{
    struct http_conn *hc = (struct http_conn *)conn;
    struct http_call *c = hc->call;
    if (!c)
        return;
    if (!c->spec.address && c->address_next > 1) {
        struct resolve_address a = c->addresses[c->address_next - 1];
        port_set(&a, 0);
        resolve_prefer(c->client->resolver, c->host, (struct sockaddr *)&a.sa, a.n);
    }
    call_attach(c, hc);
    timer_arm(c->client, c->head_until);
}

static void hc_drained(struct conn *conn)
{
    struct http_call *c = ((struct http_conn *)conn)->call;
    if (!c || !is_writable(c))
        return;
    call_write(c);
    if (c->spec.on_drained && conn_backlog(conn) <= CONN_HIGH)
        c->spec.on_drained(c->spec.arg);
}

static void hc_deadline(struct conn *conn)
{
    struct http_conn *hc = (struct http_conn *)conn;
    if (hc->idle)
        hc_drop(hc);
}

/* On a new connection, if that is safe: see http_client.h. */
static bool call_retry(struct http_call *c)
{
    bool safe = !handed(c) || c->repeatable;
    if (!c->hc->used || c->again || c->answered || !safe || (c->spec.streamed && handed(c)) || !c->request.n)
        return false;
    if (c->spec.streamed && c->written == c->request.n)
        return false; /* pieces of the body went with it */
    call_detach(c, false);
    c->again = true;
    c->written = 0;
    c->connect_until = call_at(c, c->spec.connect_ms);
    call_find(c);
    return true;
}

static const char *conn_why(struct http_call *c)
{
    const struct conn *conn = &c->hc->conn;
    const char *tls = tls_problem(conn);
    snprintf(c->why, sizeof c->why, "%s",
             tls            ? tls
             : conn->error  ? strerror(conn->error)
             : c->answered  ? "the connection ended in the middle"
             : !c->answered ? "the connection ended before the first byte of an answer"
                            : "");
    return c->why;
}

static void call_gone(struct http_call *c)
{
    const char *why = conn_why(c);
    bool well = c->hc->conn.ended_well;
    if (c->phase == CALL_CONNECTING) {
        bool tls = tls_problem(&c->hc->conn) || !c->hc->conn.connecting;
        call_detach(c, false);
        if (tls)
            call_fail(c, RC_UNAVAILABLE, "%s cannot be reached.", why);
        else
            call_next_address(c);
    } else if (c->phase == CALL_HEAD && call_retry(c)) {
        return;
    } else if (c->phase == CALL_HEAD && !handed(c)) {
        call_fail(c, RC_UNAVAILABLE, "%s cannot be reached.", why);
    } else if (c->phase == CALL_HEAD) {
        call_fail(c, RC_UPSTREAM, "%s closed the connection without an answer.", why);
    } else if ((c->phase == CALL_TO_END || c->phase == CALL_TUNNEL) && well) {
        call_end(c, RC_OK, NULL, false);
    } else {
        call_fail(c, RC_UPSTREAM, "%s broke off in the middle of its answer.", why);
    }
}

static void hc_gone(struct conn *conn)
{
    struct http_conn *hc = (struct http_conn *)conn;
    if (hc->call)
        call_gone(hc->call);
    else
        conn_unrest(hc);
}

static const struct conn_kind kind = {
    .on_bytes = hc_bytes,
    .on_deadline = hc_deadline,
    .on_drained = hc_drained,
    .on_gone = hc_gone,
    .on_ready = hc_ready,
};

/* --- starting
 * ---------------------------------------------------------------------------------------------------------- */

static const char *line_find(const char *const *headers, const char *name)
{
    size_t n = strlen(name);
    for (; headers && *headers; headers++)
        if (strncasecmp(*headers, name, n) == 0 && (*headers)[n] == ':')
            return *headers + n + 1;
    return NULL;
}

static bool is_printable(const char *z)
{
    for (; *z; z++)
        if ((unsigned char)*z <= ' ' || *z == 127)
            return false;
    return true;
}

static enum rc spec_check(const struct http_call_spec *s, struct err *err)
{
    if (!s->method || !http_is_token(str_of(s->method)))
        return err_set(err, RC_INVALID, "A request needs a method.");
    if (!s->target || !*s->target || !is_printable(s->target))
        return err_set(err, RC_INVALID, "The target of a request is malformed.");
    if (!s->host || !*s->host || !is_printable(s->host) || strpbrk(s->host, "/?#@[]\\") || !s->port)
        return err_set(err, RC_INVALID, "The host of a request is malformed.");
    if (s->address && s->address_n > sizeof(struct sockaddr_storage))
        return err_set(err, RC_INVALID, "The address of a request is malformed.");
    for (const char *const *h = s->headers; h && *h; h++)
        if (!http_is_line(str_of(*h)))
            return err_set(err, RC_INVALID, "A header line of the request is malformed.");
    return RC_OK;
}

/* Where a streamed body ends must be said once. */
static enum rc streamed_check(struct http_call *c, const struct http_call_spec *s, struct err *err)
{
    const char *length = line_find(s->headers, "Content-Length");
    const char *encoding = line_find(s->headers, "Transfer-Encoding");
    c->send_left = -1;
    if (!s->streamed)
        return RC_OK;
    if (length && !encoding && str_int(str_trim(str_of(length)), 0, INT64_MAX, &c->send_left))
        return RC_OK;
    if (encoding && !length && str_ieq(str_trim(str_of(encoding)), STR("chunked")))
        return RC_OK;
    return err_set(err, RC_INVALID, "A streamed request needs a Content-Length, or Transfer-Encoding: chunked.");
}

static bool default_port(const struct http_call_spec *s)
{
    return s->port == (s->trust ? 443 : 80);
}

static void origin_make(struct http_call *c, const struct http_call_spec *s)
{
    bool v6 = strchr(s->host, ':') != NULL;
    const char *authority = mem_printf(c, "%s%s%s", v6 ? "[" : "", s->host, v6 ? "]" : "");
    if (!default_port(s))
        authority = mem_printf(c, "%s:%u", authority, s->port);
    c->host = mem_str(c, s->host);
    c->origin = mem_printf(c, "%s://%s", s->trust ? "https" : "http", authority);
    struct buf key;
    buf_init(&key, c, 4096);
    buf_printf(&key, "%s %u %p %p ", s->host, s->port, (const void *)s->trust, s->group);
    for (size_t i = 0; s->address && i < s->address_n; i++)
        buf_printf(&key, "%02x", ((const unsigned char *)s->address)[i]);
    c->key = buf_take(&key, c);
}

static void request_make(struct http_call *c, const struct http_call_spec *s)
{
    struct buf b;
    bool lengthy =
        s->body.n || strcmp(s->method, "POST") == 0 || strcmp(s->method, "PUT") == 0 || strcmp(s->method, "PATCH") == 0;
    buf_init(&b, c, SIZE_MAX / 4);
    (void)buf_reserve(&b, 512 + s->body.n);
    buf_z(&b, s->method);
    buf_char(&b, ' ');
    buf_z(&b, s->target);
    buf_z(&b, " HTTP/1.1\r\n");
    if (!line_find(s->headers, "Host")) {
        buf_z(&b, "Host: ");
        buf_z(&b, strstr(c->origin, "://") + 3);
        buf_z(&b, "\r\n");
    }
    for (const char *const *h = s->headers; h && *h; h++) {
        buf_z(&b, *h);
        buf_z(&b, "\r\n");
    }
    if (lengthy && !s->streamed && !line_find(s->headers, "Content-Length"))
        buf_printf(&b, "Content-Length: %zu\r\n", s->body.n);
    buf_z(&b, "\r\n");
    if (!s->streamed)
        buf_str(&b, s->body);
    c->request.n = b.n;
    c->request.p = buf_take(&b, c);
}

enum rc http_call_start(struct http_client *cl, const struct http_call_spec *spec, struct http_call **ret,
                        struct err *err)
{
    if (cl->closing)
        return err_set(err, RC_CONFLICT, "The pool of connections is closed.");
    enum rc rc = spec_check(spec, err);
    if (rc != RC_OK)
        return rc;
    struct http_call *c = mem_new_pooled(cl, struct http_call, CALL_PIECES, CALL_POOL);
    rc = streamed_check(c, spec, err);
    if (rc != RC_OK) {
        mem_free(c);
        return rc;
    }
    c->client = cl;
    c->spec = *spec;
    c->head_only = strcmp(spec->method, "HEAD") == 0;
    c->repeatable = (c->head_only || strcmp(spec->method, "GET") == 0) && !spec->body.n && !spec->streamed;
    origin_make(c, spec);
    request_make(c, spec);
    buf_init(&c->head, c, HTTP_CLIENT_HEAD_MAX + CONN_IN_MAX + 2 * PIECE);
    buf_init(&c->pending, c, PENDING_MOST);
    if (spec->address) {
        c->addresses = mem_array(c, struct resolve_address, 1);
        memcpy(&c->addresses[0].sa, spec->address, spec->address_n);
        c->addresses[0].n = spec->address_n;
        c->address_count = 1;
        c->spec.address = (struct sockaddr *)&c->addresses[0].sa;
    }
    TAILQ_INSERT_TAIL(&cl->calls, c, in_calls);
    cl->live++;
    c->head_until = call_at(c, spec->head_ms);
    *ret = c;
    struct http_conn *hc = hc_take(cl, c->key);
    if (hc) {
        call_attach(c, hc);
        timer_arm(cl, c->head_until);
        return RC_OK;
    }
    c->connect_until = call_at(c, spec->connect_ms);
    timer_arm(cl, earlier(c->connect_until, c->head_until));
    call_find(c);
    return RC_OK;
}

void http_call_resume(struct http_call *c)
{
    c->resumed = true;
    if (c->dead || !c->paused)
        return;
    c->paused = false;
    call_heard(c);
    conn_hold(&c->hc->conn, false);
}

void http_call_cancel(struct http_call *c)
{
    if (c->dead)
        return;
    struct http_conn *hc = c->hc;
    if (hc && c->phase == CALL_TUNNEL) { /* what was sent still goes out */
        c->hc = NULL;
        hc->call = NULL;
        conn_finish(&hc->conn);
    }
    call_bury(c, false);
    call_free(c);
}

/* --- the client
 * ---------------------------------------------------------------------------------------------------------- */

size_t http_client_calls(const struct http_client *cl)
{
    return cl->live;
}

static void client_settle(struct http_client *cl)
{
    if (!cl->closing)
        return;
    if (cl->hub.count == 0)
        conn_hub_close(&cl->hub);
    if (cl->open_handles == 0 && cl->hub.open_handles == 0)
        mem_free(cl);
}

static void client_count(struct conn_hub *hub)
{
    client_settle((struct http_client *)(void *)((char *)hub - offsetof(struct http_client, hub)));
}

static void handle_closed(uv_handle_t *handle)
{
    struct http_client *cl = handle->data;
    cl->open_handles--;
    client_settle(cl);
}

static void resolver_closed(void *arg)
{
    struct http_client *cl = arg;
    cl->open_handles--;
    client_settle(cl);
}

enum rc http_client_new(uv_loop_t *loop, struct http_client **ret, struct err *err)
{
    struct http_client *cl = mem_new(NULL, struct http_client);
    enum rc rc = conn_hub_open(&cl->hub, loop, STALL_MS, err);
    if (rc != RC_OK) {
        mem_free(cl);
        return rc;
    }
    cl->loop = loop;
    cl->hub.on_count = client_count;
    TAILQ_INIT(&cl->calls);
    TAILQ_INIT(&cl->idle);
    buf_init(&cl->scratch, cl, SCRATCH_MOST);
    cl->resolver = resolver_new(cl, loop);
    uv_timer_init(loop, &cl->timer);
    uv_idle_init(loop, &cl->turn);
    cl->timer.data = cl->turn.data = cl;
    cl->open_handles = 3;
    *ret = cl;
    return RC_OK;
}

static void conn_close_each(struct conn *conn)
{
    hc_drop((struct http_conn *)conn);
}

void http_client_close(struct http_client *cl)
{
    struct http_call *c;
    if (cl->closing)
        return;
    cl->closing = true;
    while ((c = TAILQ_FIRST(&cl->calls)))
        http_call_cancel(c);
    conn_hub_each(&cl->hub, conn_close_each);
    resolver_close(cl->resolver, resolver_closed, cl);
    uv_close((uv_handle_t *)&cl->timer, handle_closed);
    uv_close((uv_handle_t *)&cl->turn, handle_closed);
    if (cl->hub.count == 0)
        conn_hub_close(&cl->hub);
}
