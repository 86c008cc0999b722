/* Contract: answers arrive whole and in order through on_head, on_body and one on_end; every way to fail has its code
 * and words without secrets; cancel, resume, start and close are safe anywhere; a paused call waits without a deadline.
 */
#include "net/upstream.h"
#include "peer.h"
#include <dlfcn.h>
#include <netdb.h>

static mem *ctx;
static uv_loop_t loop;
static struct upstream_pool *pool;
static struct serving *s;
static struct err err;
static bool pool_closed;

static void begin(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
    pool_closed = false;
    s = calloc(1, sizeof *s);
    s->spec.max_body = 4 << 20;
    serving_start(s);
    uv_loop_init(&loop);
    ck_assert_int_eq(upstream_pool_new(ctx, &loop, &pool, &err), RC_OK);
}

static void finish(void)
{
    if (!pool_closed)
        upstream_pool_close(pool);
    mem_free(ctx); /* before the loop has closed the pool's handles */
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    serving_stop(s);
    free(s);
}

enum cancel { NOWHERE, IN_HEAD, IN_BODY };
struct probe {
    struct upstream_call *call;
    int heads, ends, status, bodies;
    struct buf headers, body;
    enum rc rc;
    char words[2048];
    enum cancel cancel;
    int pause_every, resume_ms; /* every n-th piece is refused once; resume_ms < 0: resumed inside on_body */
    bool refused, paused;
    uv_timer_t timer;
    struct probe *other; /* cancelled in on_head */
    void (*at_end)(struct probe *p);
};

static void probe_head(void *arg, int status, struct str headers)
{
    struct probe *p = arg;
    p->heads++;
    p->status = status;
    buf_str(&p->headers, headers);
    if (p->other)
        upstream_cancel(p->other->call);
    if (p->cancel == IN_HEAD)
        upstream_cancel(p->call);
}

static void probe_resume(uv_timer_t *timer)
{
    struct probe *p = timer->data;
    p->paused = false;
    upstream_resume(p->call);
}

static bool probe_body(void *arg, struct str bytes)
{
    struct probe *p = arg;
    ck_assert_msg(p->heads == 1 && p->ends == 0 && !p->paused, "a body at the wrong time");
    if (p->pause_every && p->bodies % p->pause_every == p->pause_every - 1 && !p->refused) {
        p->refused = true;
        if (p->resume_ms < 0) {
            upstream_resume(p->call);
        } else {
            p->paused = true;
            uv_timer_start(&p->timer, probe_resume, (uint64_t)p->resume_ms, 0);
        }
        return false;
    }
    p->refused = false;
    p->bodies++;
    buf_str(&p->body, bytes);
    if (p->cancel == IN_BODY)
        upstream_cancel(p->call);
    return true;
}

static void probe_end(void *arg, enum rc rc, const struct err *e)
{
    struct probe *p = arg;
    p->ends++;
    p->rc = rc;
    ck_assert_int_eq(rc == RC_OK, e == NULL);
    if (e) {
        ck_assert_int_eq(e->rc, rc);
        snprintf(p->words, sizeof p->words, "%s %s", e->sentence, e->detail);
    }
    upstream_cancel(p->call); /* allowed, and nothing */
    if (!uv_is_closing((uv_handle_t *)&p->timer))
        uv_close((uv_handle_t *)&p->timer, NULL);
    if (p->at_end)
        p->at_end(p);
}

static struct probe *probe_new(void)
{
    struct probe *p = mem_new(ctx, struct probe);
    buf_init(&p->headers, ctx, 1 << 20);
    buf_init(&p->body, ctx, 64 << 20);
    return p;
}

static void probe_start(struct probe *p, struct upstream_spec spec)
{
    spec.on_head = probe_head;
    spec.on_body = probe_body;
    spec.on_end = probe_end;
    spec.arg = p;
    if (!spec.method)
        spec.method = "GET";
    uv_timer_init(&loop, &p->timer);
    p->timer.data = p;
    ck_assert_msg(upstream_start(pool, &spec, &p->call, &err) == RC_OK, "%s", err.sentence);
    ck_assert_msg(p->heads + p->ends == 0, "no callback may come from inside upstream_start");
}

static void run_until_ended(struct probe *p)
{
    while (!p->ends)
        uv_run(&loop, UV_RUN_ONCE);
}

/* Lets the loop go on for a while, to see that nothing comes that must not. */
static void nothing(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    *(bool *)timer->data = true;
}

static void run_for(uint64_t ms)
{
    uv_timer_t timer;
    bool over = false;
    uv_timer_init(&loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, nothing, ms, 0);
    while (!over || uv_is_active((uv_handle_t *)&timer))
        uv_run(&loop, UV_RUN_ONCE);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static const char *url(const char *base, const char *path)
{
    return mem_printf(ctx, "%s%s", base, path);
}

static struct probe *ask(const char *u)
{
    struct probe *p = probe_new();
    probe_start(p, (struct upstream_spec){.url = u});
    run_until_ended(p);
    return p;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(whole_answers)
{
    struct probe *p = ask(url(s->url, "/stream?n=3"));
    ck_assert_msg(p->rc == RC_OK, "%s", p->words);
    ck_assert(p->status == 200 && p->heads == 1 && p->ends == 1);
    ck_assert_str_eq(buf_view(&p->body).p, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    ck_assert(str_find(buf_view(&p->headers), STR("Content-Type: text/event-stream\r\n")) >= 0);
    ck_assert_msg(str_find(buf_view(&p->headers), STR("HTTP/")) < 0, "the status line is no header");
    p = ask(url(s->url, "/none"));
    ck_assert(p->rc == RC_OK && p->status == 404);
    ck_assert_str_eq(buf_view(&p->body).p, "/none");
    p = ask(url(s->url, "/empty"));
    ck_assert(p->rc == RC_OK && p->status == 204 && p->body.n == 0);
}
END_TEST

START_TEST(requests_are_plain)
{
    struct probe *p = probe_new();
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    char *large = mem_array(ctx, char, 2000001);
    memset(large, 'x', 2000000);
    probe_start(p, (struct upstream_spec){.method = "POST",
                                          .url = url(s->url, "/show"),
                                          .headers = LINES("Authorization: Bearer k", "X-Empty:"),
                                          .body = str_n(large, 2000000)});
    memset(large, 'y', 2000000);
    run_until_ended(p);
    struct str seen = buf_view(&p->body);
    ck_assert_msg(p->rc == RC_OK, "%s", p->words);
    ck_assert(str_starts(seen, STR("POST /show\n")));
    ck_assert(str_find(seen, STR("Authorization: Bearer k\n")) > 0);
    ck_assert(str_find(seen, STR("X-Empty: \n")) > 0);
    ck_assert(str_find(seen, STR("Accept-Encoding: identity\n")) > 0);
    ck_assert(str_find(seen, STR("Content-Length: 2000000\n")) > 0);
    ck_assert(str_ifind(seen, STR("Expect")) < 0 && str_ifind(seen, STR("urlencoded")) < 0);
    p = probe_new();
    probe_start(p, (struct upstream_spec){.method = "PUT", .url = url(s->url, "/echo"), .body = STR("a\0b")});
    run_until_ended(p);
    ck_assert(p->rc == RC_OK && str_eq(buf_view(&p->body), STR("a\0b")));
    p = probe_new();
    probe_start(p, (struct upstream_spec){.method = "HEAD", .url = url(s->url, "/none")});
    run_until_ended(p);
    ck_assert(p->rc == RC_OK && p->status == 404 && p->body.n == 0);
    p = probe_new();
    probe_start(p, (struct upstream_spec){.method = "DELETE", .url = url(s->url, "/show")});
    run_until_ended(p);
    ck_assert(p->rc == RC_OK && str_starts(buf_view(&p->body), STR("DELETE /show\n")));
}
END_TEST

START_TEST(connections_are_reused)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ask(url(s->url, "/none"))->rc, RC_OK);
    ck_assert_uint_eq(serving_connections(s), 1);
}
END_TEST

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
static const struct {
    const char *what;
    const char *steps[8];
    enum rc rc;
    int status;
    const char *body, *headers;
} scripts[] = {
    {"events in odd pieces",
     {OK_HEAD "Transfer-Encoding: chu", "nked\r\n\r", "\n9\r\nda", "ta: 1\n\n\r\n9\r", "\ndata: 2\n\n\r\n0\r\n",
      "\r\n"},
     RC_OK,
     200,
     "data: 1\n\ndata: 2\n\n",
     NULL},
    {"an error with a body",
     {"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\n", "oops"},
     RC_OK,
     500,
     "oops",
     "Content-Length: 4\r\n"},
    {"interim answers and trailers",
     {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n",
      "1\r\nx\r\n0\r\nC: d\r\n\r\n"},
     RC_OK,
     200,
     "x",
     "A: b\r\nTransfer-Encoding: chunked\r\n"},
    {"an answer that ends with the connection", {"HTTP/1.1 200 OK\r\n\r\n", "all"}, RC_OK, 200, "all", ""},
    {"a redirect is an answer",
     {"HTTP/1.1 302 Found\r\nLocation: /none\r\nContent-Length: 0\r\n\r\n"},
     RC_OK,
     302,
     "",
     NULL},
    {"chunks without an end",
     {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n"},
     RC_UPSTREAM,
     200,
     "abc",
     NULL},
    {"a short body", {OK_HEAD "Content-Length: 10\r\n\r\n", "abc"}, RC_UPSTREAM, 200, "abc", NULL},
    {"a broken chunk", {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "zz\r\n"}, RC_UPSTREAM, 200, "", NULL},
    {"a head without an end", {OK_HEAD}, RC_UPSTREAM, 0, "", NULL},
    {"no answer", {NULL}, RC_UPSTREAM, 0, "", NULL},
    {"HTTP/1.0", {"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", "{}"}, RC_OK, 200, "{}", NULL},
    {"HTTP/1.0 with a length", {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "{}"}, RC_UPSTREAM, 200, "{}", NULL},
    {"a redirect with a body",
     {"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\nmove"},
     RC_OK,
     307,
     "move",
     NULL},
    {"two lengths", {OK_HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "abc"}, RC_UPSTREAM, 0, "", NULL},
    {"a length and an encoding",
     {OK_HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n0\r\n\r\n"},
     RC_UPSTREAM,
     0,
     "",
     NULL},
    {"a negative length", {OK_HEAD "Content-Length: -2\r\n\r\n", "abc"}, RC_UPSTREAM, 0, "", NULL},
    {"an encoding that nobody knows",
     {OK_HEAD "Content-Encoding: rot13\r\nContent-Length: 3\r\n\r\n", "abc"},
     RC_UPSTREAM,
     200,
     "",
     NULL},
    {"packed bytes that are none",
     {OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n", "abc"},
     RC_UPSTREAM,
     200,
     "",
     NULL},
    {"no HTTP", {"hello\r\n\r\n"}, RC_UPSTREAM, 0, "", NULL},
};

START_TEST(answers_by_script)
{
    struct script script;
    script_start(&script, scripts[_i].steps);
    struct probe *p = probe_new();
    probe_start(p, (struct upstream_spec){
                       .method = "POST", .url = url(script.url, "/v1?secret"), .body = STR("{}"), .idle_ms = 20000});
    run_until_ended(p);
    ck_assert_msg(p->rc == scripts[_i].rc, "%s: %s %s", scripts[_i].what, rc_name(p->rc), p->words);
    ck_assert_int_eq(p->status, scripts[_i].status);
    ck_assert_int_eq(p->heads, scripts[_i].status ? 1 : 0);
    ck_assert_str_eq(buf_view(&p->body).p, scripts[_i].body);
    if (scripts[_i].headers)
        ck_assert_str_eq(buf_view(&p->headers).p, scripts[_i].headers);
    ck_assert_msg(!strstr(p->words, "secret"), "%s", p->words);
    ck_assert_int_eq(p->ends, 1);
    script_stop(&script);
}
END_TEST

/* --- kept connections that end ---------------------------------------------------------------------------------------
 */

/* Answers request after request on each connection; closes it instead of answering the die_at-th, or after it. */
struct mortal {
    int fd, die_at, close_after;
    char url[64];
    pthread_t thread;
    atomic_int requests, connections;
};

static void *mortal_run(void *arg)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct mortal *m = arg;
    int fd;
    while ((fd = accept4(m->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        m->connections++;
        while (script_request(fd)) {
            int n = ++m->requests;
            if (n == m->die_at || send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0 || n == m->close_after)
                break;
        }
        close(fd);
    }
    return NULL;
}

static void mortal_start_as(struct mortal *m, void *(*run)(void *arg))
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(m->fd, (struct sockaddr *)&in, n) == 0 && listen(m->fd, 64) == 0);
    getsockname(m->fd, (struct sockaddr *)&in, &n);
    snprintf(m->url, sizeof m->url, "http://127.0.0.1:%u/v1", ntohs(in.sin_port));
    ck_assert_int_eq(pthread_create(&m->thread, NULL, run, m), 0);
}

static void mortal_start(struct mortal *m)
{
    mortal_start_as(m, mortal_run);
}

/* With the pool, whose kept connections it would wait for. */
static void mortal_end(struct mortal *m)
{
    upstream_pool_close(pool);
    pool_closed = true;
    uv_run(&loop, UV_RUN_DEFAULT);
    shutdown(m->fd, SHUT_RDWR);
    pthread_join(m->thread, NULL);
    close(m->fd);
}

static struct probe *post(const char *u, struct str body)
{
    struct probe *p = probe_new();
    probe_start(p, (struct upstream_spec){.method = body.n ? "POST" : "GET", .url = u, .body = body});
    run_until_ended(p);
    return p;
}

/* A model request that was read and not answered may have been billed: it is not sent again by itself. */
START_TEST(a_body_is_sent_once)
{
    struct mortal m = {.die_at = 2};
    mortal_start(&m);
    ck_assert_int_eq(post(m.url, STR("{}"))->rc, RC_OK);
    struct probe *p = post(m.url, STR("{}"));
    ck_assert_msg(p->rc == RC_UPSTREAM && p->heads == 0, "%s %s", rc_name(p->rc), p->words);
    ck_assert_int_eq(m.requests, 2);
    ck_assert_int_eq(post(m.url, STR("{}"))->rc, RC_OK);
    mortal_end(&m);
}
END_TEST

START_TEST(a_question_may_be_asked_again)
{
    struct mortal m = {.die_at = 2};
    mortal_start(&m);
    ck_assert_int_eq(post(m.url, STR(""))->rc, RC_OK);
    struct probe *p = post(m.url, STR(""));
    ck_assert_msg(p->rc == RC_OK && m.requests == 3 && m.connections == 2, "%s %s", rc_name(p->rc), p->words);
    mortal_end(&m);
}
END_TEST

/* A kept connection that is known to have ended is not used. */
START_TEST(ended_connections_are_left)
{
    struct mortal m = {.close_after = 1};
    mortal_start(&m);
    ck_assert_int_eq(post(m.url, STR("{}"))->rc, RC_OK);
    run_for(50);
    struct probe *p = post(m.url, STR("{}"));
    ck_assert_msg(p->rc == RC_OK && m.requests == 2 && m.connections == 2, "%s %s", rc_name(p->rc), p->words);
    mortal_end(&m);
}
END_TEST

START_TEST(an_endless_head)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    buf_z(&b, OK_HEAD);
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "X-%d: %080d\r\n", i, i);
    const char *const steps[] = {buf_view(&b).p, "hold", NULL};
    struct script script;
    script_start(&script, steps);
    struct probe *p = ask(url(script.url, "/"));
    ck_assert_msg(p->rc == RC_LIMIT && p->heads == 0, "%s %s", rc_name(p->rc), p->words);
    script_stop(&script);
}
END_TEST

START_TEST(a_huge_line)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    buf_z(&b, OK_HEAD "X: ");
    for (int i = 0; i < 30000; i++)
        buf_z(&b, "0123456789");
    buf_z(&b, "\r\n\r\n");
    const char *const steps[] = {buf_view(&b).p, "hold", NULL};
    struct script script;
    script_start(&script, steps);
    struct probe *p = ask(url(script.url, "/"));
    ck_assert_msg(p->rc == RC_LIMIT && p->heads == 0, "%s %s", rc_name(p->rc), p->words);
    script_stop(&script);
}
END_TEST

/* Steps are texts, and packed bytes hold NUL: this one is sent by a server of ours. */
static const unsigned char hello_packed[] = {/* "hello\n" by gzip */
                                             0x1f, 0x8b, 0x08, 0,    0, 0,    0,    0,    0x02, 0x03, 0xcb, 0x48, 0xcd,
                                             0xc9, 0xc9, 0xe7, 0x02, 0, 0x20, 0x30, 0x3a, 0x36, 0x06, 0,    0,    0};

static void *packed_run(void *arg)
{
    struct mortal *m = arg;
    int fd = accept4(m->fd, NULL, NULL, SOCK_CLOEXEC);
    char head[200];
    int n = snprintf(head, sizeof head, OK_HEAD "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                     sizeof hello_packed);
    if (script_request(fd)) {
        (void)!send(fd, head, (size_t)n, MSG_NOSIGNAL);
        for (size_t i = 0; i < sizeof hello_packed; i++) {
            (void)!send(fd, hello_packed + i, 1, MSG_NOSIGNAL);
            usleep(1000);
        }
    }
    close(fd);
    return NULL;
}

START_TEST(packed_answers_are_unpacked)
{
    struct mortal m = {0};
    mortal_start_as(&m, packed_run);
    struct probe *p = ask(m.url);
    ck_assert_msg(p->rc == RC_OK && p->status == 200, "%s %s", rc_name(p->rc), p->words);
    ck_assert_str_eq(buf_view(&p->body).p, "hello\n");
    mortal_end(&m);
}
END_TEST

/* TLS that fails: nothing was sent, whatever the reason. */
START_TEST(refused_tls)
{
    static const char *const steps[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", NULL};
    struct script script;
    script_start(&script, steps);
    struct probe *p = probe_new();
    probe_start(p, (struct upstream_spec){.method = "POST",
                                          .url = mem_printf(ctx, "https%s/secret", script.url + 4),
                                          .body = STR("{}"),
                                          .connect_ms = 2000});
    run_until_ended(p);
    ck_assert_msg(p->rc == RC_UNAVAILABLE && p->heads == 0, "%s %s", rc_name(p->rc), p->words);
    ck_assert_msg(!strstr(p->words, "secret"), "%s", p->words);
    upstream_pool_close(pool);
    pool_closed = true;
    uv_run(&loop, UV_RUN_DEFAULT);
    script_stop(&script);
}
END_TEST

/* --- names that nobody answers for -----------------------------------------------------------------------------------
 */

static atomic_bool names_answer;
static atomic_int names_asked;

/* In the place of the C library's, also on the resolver's threads: one name is never answered until the test says so.
 */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "two.example") == 0) { /* nobody listens at the first */
        struct addrinfo *second = NULL;
        int bad = real("127.0.0.2", service, hints, ret);
        bad = bad ? bad : real("127.0.0.1", service, hints, &second);
        if (!bad)
            (*ret)->ai_next = second;
        names_asked++;
        return bad;
    }
    if (node && strcmp(node, "none.example") == 0)
        return EAI_NONAME;
    if (!node || strcmp(node, "never.example") != 0)
        return real(node, service, hints, ret);
    names_asked++;
    while (!names_answer)
        usleep(1000);
    return EAI_AGAIN;
}

/* The resolver answers only when all of this is over: a loop that waits for it would never get there. */
START_TEST(a_name_that_is_never_answered)
{
    struct probe *late = probe_new(), *left = probe_new();
    probe_start(late, (struct upstream_spec){.url = "http://never.example/", .connect_ms = 200});
    probe_start(left, (struct upstream_spec){.url = "http://never.example/", .connect_ms = 60000});
    while (names_asked < 1) /* both wait for one lookup */
        run_for(5);
    ck_assert_int_eq(ask(url(s->url, "/none"))->status, 404); /* others are served meanwhile */
    run_until_ended(late);
    ck_assert_msg(late->rc == RC_UNAVAILABLE, "%s %s", rc_name(late->rc), late->words);
    upstream_cancel(left->call);
    uv_close((uv_handle_t *)&left->timer, NULL);
    ck_assert_int_eq(ask(url(s->url, "/none"))->status, 404);
    struct probe *open = probe_new();
    probe_start(open, (struct upstream_spec){.url = "http://never.example/", .connect_ms = 60000});
    run_for(5);
    ck_assert_int_eq(names_asked, 1);
    uv_close((uv_handle_t *)&open->timer, NULL);
    upstream_pool_close(pool);
    pool_closed = true;
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(left->ends + open->ends, 0);
    names_answer = true;
}
END_TEST

START_TEST(names_are_resolved)
{
    struct probe *p;
    for (int i = 0; i < 3; i++) {
        p = ask(mem_printf(ctx, "http://two.example:%u/show", s->port));
        ck_assert_msg(p->rc == RC_OK, "%s %s", rc_name(p->rc), p->words);
        ck_assert(str_find(buf_view(&p->body), STR("Host: two.example:")) > 0);
    }
    ck_assert(names_asked == 1 && serving_connections(s) == 1);
    p = ask("http://none.example/secret");
    ck_assert_msg(p->rc == RC_UNAVAILABLE && strstr(p->words, "http://none.example "), "%s", p->words);
}
END_TEST

static int closed_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, n), 0);
    getsockname(fd, (struct sockaddr *)&in, &n);
    close(fd);
    return ntohs(in.sin_port);
}

START_TEST(nobody_listens)
{
    int port = closed_port();
    struct probe *p = ask(mem_printf(ctx, "http://user:hidden@127.0.0.1:%d/secret?key=hidden", port));
    ck_assert(p->rc == RC_UNAVAILABLE && p->heads == 0);
    ck_assert_msg(!strstr(p->words, "hidden") && !strstr(p->words, "secret"), "%s", p->words);
    ck_assert_msg(strstr(p->words, mem_printf(ctx, "http://127.0.0.1:%d", port)) != NULL, "%s", p->words);
}
END_TEST

/* A listener whose queue is full lets connecting hang. */
START_TEST(connecting_has_a_deadline)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0), fill[4];
    ck_assert(bind(fd, (struct sockaddr *)&in, n) == 0 && listen(fd, 0) == 0);
    getsockname(fd, (struct sockaddr *)&in, &n);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&in, n);
    }
    struct probe *p = probe_new();
    probe_start(p, (struct upstream_spec){.url = mem_printf(ctx, "http://127.0.0.1:%d/", ntohs(in.sin_port)),
                                          .connect_ms = 100});
    run_until_ended(p);
    ck_assert_msg(p->rc == RC_UNAVAILABLE, "%s %s", rc_name(p->rc), p->words);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
}
END_TEST

START_TEST(silence_has_a_deadline)
{
    struct probe *p = probe_new(), *q = probe_new();
    probe_start(p, (struct upstream_spec){.url = url(s->url, "/wait"), .first_byte_ms = 100, .idle_ms = 20000});
    probe_start(q, (struct upstream_spec){.url = url(s->url, "/hold"), .first_byte_ms = 20000, .idle_ms = 100});
    run_until_ended(p);
    run_until_ended(q);
    ck_assert(p->rc == RC_TIMEOUT && p->heads == 0);
    ck_assert(q->rc == RC_TIMEOUT && q->heads == 1);
    ck_assert_str_eq(buf_view(&q->body).p, "first");
    while (s->gone < 2) /* the connections are closed at once */
        run_for(5);
    ck_assert_uint_eq(upstream_pool_calls(pool), 0);
}
END_TEST

START_TEST(wrong_specs_are_refused)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://a/",    "a/b", "", "http://",
                                       "gopher://a",         "javascript:1"};
    struct upstream_call *call;
    struct upstream_spec spec = {.method = "GET", .on_head = probe_head, .on_body = probe_body, .on_end = probe_end};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        spec.url = urls[i];
        ck_assert_msg(upstream_start(pool, &spec, &call, &err) == RC_INVALID, "%s was taken", urls[i]);
    }
    spec.url = url(s->url, "/show");
    spec.headers = LINES("X: a\r\nY: b");
    ck_assert_int_eq(upstream_start(pool, &spec, &call, &err), RC_INVALID);
    spec.headers = NULL;
    spec.method = "GET / HTTP/1.1\r\nX:";
    ck_assert_int_eq(upstream_start(pool, &spec, &call, &err), RC_INVALID);
    ck_assert_uint_eq(upstream_pool_calls(pool), 0);
}
END_TEST

START_TEST(cancel_in_callbacks)
{
    struct probe *in_head = probe_new(), *in_body = probe_new();
    in_head->cancel = IN_HEAD;
    in_body->cancel = IN_BODY;
    probe_start(in_head, (struct upstream_spec){.url = url(s->url, "/hold")});
    probe_start(in_body, (struct upstream_spec){.url = url(s->url, "/hold")});
    while (s->gone < 2)
        run_for(5);
    ck_assert(in_head->heads == 1 && in_head->bodies == 0 && in_head->ends == 0);
    ck_assert(in_body->heads == 1 && in_body->bodies == 1 && in_body->ends == 0);
    ck_assert_int_eq(ask(url(s->url, "/none"))->rc, RC_OK);
    uv_close((uv_handle_t *)&in_head->timer, NULL);
    uv_close((uv_handle_t *)&in_body->timer, NULL);
}
END_TEST

START_TEST(cancel_at_other_times)
{
    struct probe *before = probe_new(), *waiting = probe_new(), *paused = probe_new();
    probe_start(before, (struct upstream_spec){.url = url(s->url, "/wait")});
    upstream_cancel(before->call);
    probe_start(waiting, (struct upstream_spec){.url = url(s->url, "/wait"), .first_byte_ms = 20000});
    paused->pause_every = 1;
    paused->resume_ms = 60000;
    probe_start(paused, (struct upstream_spec){.url = url(s->url, "/hold")});
    while (s->requests < 2 || !paused->paused)
        run_for(5);
    upstream_cancel(waiting->call);
    upstream_cancel(paused->call);
    while (s->gone < 2)
        run_for(5);
    ck_assert_int_eq(s->requests, 2);
    ck_assert_int_eq(before->ends + waiting->ends + paused->ends, 0);
    ck_assert_uint_eq(upstream_pool_calls(pool), 0);
    uv_close((uv_handle_t *)&before->timer, NULL);
    uv_close((uv_handle_t *)&waiting->timer, NULL);
    uv_close((uv_handle_t *)&paused->timer, NULL);
}
END_TEST

START_TEST(cancel_of_another_call)
{
    struct probe *victim = probe_new(), *p = probe_new();
    probe_start(victim, (struct upstream_spec){.url = url(s->url, "/hold")});
    while (!victim->bodies)
        uv_run(&loop, UV_RUN_ONCE);
    p->other = victim;
    probe_start(p, (struct upstream_spec){.url = url(s->url, "/stream")});
    run_until_ended(p);
    ck_assert_int_eq(p->rc, RC_OK);
    while (s->gone < 1)
        run_for(5);
    ck_assert_int_eq(victim->ends, 0);
    uv_close((uv_handle_t *)&victim->timer, NULL);
}
END_TEST

static struct probe *next;
static void start_next(struct probe *p)
{
    (void)p;
    next = probe_new();
    probe_start(next, (struct upstream_spec){.url = url(s->url, "/none")});
}

static void close_pool(struct probe *p)
{
    (void)p;
    pool_closed = true;
    upstream_pool_close(pool);
    struct upstream_call *call;
    struct upstream_spec spec = {.method = "GET", .url = url(s->url, "/none")};
    ck_assert_int_eq(upstream_start(pool, &spec, &call, &err), RC_CONFLICT);
}

START_TEST(start_and_close_in_callbacks)
{
    struct probe *p = probe_new(), *q = probe_new(), *open = probe_new();
    next = NULL;
    p->at_end = start_next;
    probe_start(p, (struct upstream_spec){.url = url(s->url, "/stream")});
    while (!next || !next->ends)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert(next->rc == RC_OK && next->status == 404);
    probe_start(open, (struct upstream_spec){.url = url(s->url, "/hold")});
    while (!open->bodies)
        uv_run(&loop, UV_RUN_ONCE);
    q->at_end = close_pool;
    probe_start(q, (struct upstream_spec){.url = url(s->url, "/stream")});
    run_until_ended(q);
    uv_close((uv_handle_t *)&open->timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT); /* ends: the pool's handles are closed */
    ck_assert(open->ends == 0 && s->requests == 4);
    EVENTUALLY(s->gone == 1);
}
END_TEST

START_TEST(pause_and_resume)
{
    static const int resumes[] = {0, 1, -1};
    s->flood = 5 << 20;
    for (size_t i = 0; i < 3; i++) {
        struct probe *p = probe_new();
        p->pause_every = 3;
        p->resume_ms = resumes[i];
        probe_start(p, (struct upstream_spec){.url = url(s->url, "/flood"), .idle_ms = 20000});
        run_until_ended(p);
        ck_assert_msg(p->rc == RC_OK, "%s", p->words);
        ck_assert_uint_eq(p->body.n, s->flood);
        for (size_t k = 0; k < p->body.n; k++)
            if (p->body.p[k] != 'f')
                ck_abort_msg("byte %zu is wrong", k);
        buf_done(&p->body);
    }
}
END_TEST

START_TEST(a_pause_holds_the_server_back_and_has_no_deadline)
{
    s->flood = 40 << 20;
    struct probe *p = probe_new();
    p->pause_every = 5;
    p->resume_ms = 60000;
    probe_start(p, (struct upstream_spec){.url = url(s->url, "/flood"), .idle_ms = 1000});
    while (!p->paused)
        uv_run(&loop, UV_RUN_ONCE);
    run_for(1500);
    ck_assert_int_eq(p->ends, 0);
    ck_assert_msg(s->most_backlog > HTTP_HIGH_WATER, "the server could send on");
    p->pause_every = 0;
    uv_timer_stop(&p->timer);
    p->paused = false;
    upstream_resume(p->call);
    run_until_ended(p);
    ck_assert_msg(p->rc == RC_OK && p->body.n == s->flood, "%s %s %zu", rc_name(p->rc), p->words, p->body.n);
}
END_TEST

/* A server that has said all and closed, while the caller is not ready to hear it. */
START_TEST(a_pause_loses_nothing)
{
    static const char *const steps[] = {"HTTP/1.1 200 OK\r\n\r\nfirst", " last", NULL};
    static const char *const chunks[] = {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n5\r\n last\r\n",
                                         "0\r\n\r\n", NULL};
    for (int i = 0; i < 2; i++) {
        struct script script;
        script_start(&script, i ? chunks : steps);
        struct probe *p = probe_new();
        p->pause_every = 1;
        p->resume_ms = 100;
        probe_start(p, (struct upstream_spec){.url = url(script.url, "/")});
        run_until_ended(p);
        ck_assert_msg(p->rc == RC_OK, "%s %s", rc_name(p->rc), p->words);
        ck_assert_str_eq(buf_view(&p->body).p, "first last");
        script_stop(&script);
    }
}
END_TEST

START_TEST(many_at_once)
{
    enum { COUNT = 50 };
    static const char *const paths[] = {"/stream?n=100", "/later", "/echo", "/none"};
    struct probe *p[COUNT];
    for (int i = 0; i < COUNT; i++) {
        p[i] = probe_new();
        p[i]->pause_every = i % 3 ? 0 : 1;
        probe_start(p[i],
                    (struct upstream_spec){
                        .method = "POST", .url = url(s->url, paths[i % 4]), .body = STR("body"), .idle_ms = 20000});
    }
    ck_assert_uint_eq(upstream_pool_calls(pool), COUNT);
    for (int i = 0; i < COUNT; i++) {
        run_until_ended(p[i]);
        ck_assert_msg(p[i]->rc == RC_OK && p[i]->ends == 1, "%d: %s", i, p[i]->words);
        if (i % 4 == 2)
            ck_assert_str_eq(buf_view(&p[i]->body).p, "body");
        if (i % 4 == 0)
            ck_assert(str_ends(buf_view(&p[i]->body), STR("data: 99\n\n")));
    }
    ck_assert_int_eq(s->requests, COUNT);
    ck_assert_uint_eq(upstream_pool_calls(pool), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upstream");
    TCase *t = tcase_create("upstream");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, whole_answers);
    tcase_add_test(t, requests_are_plain);
    tcase_add_test(t, connections_are_reused);
    tcase_add_loop_test(t, answers_by_script, 0, (int)(sizeof scripts / sizeof *scripts));
    tcase_add_test(t, a_body_is_sent_once);
    tcase_add_test(t, a_question_may_be_asked_again);
    tcase_add_test(t, ended_connections_are_left);
    tcase_add_test(t, an_endless_head);
    tcase_add_test(t, a_huge_line);
    tcase_add_test(t, packed_answers_are_unpacked);
    tcase_add_test(t, refused_tls);
    tcase_add_test(t, a_name_that_is_never_answered);
    tcase_add_test(t, names_are_resolved);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, connecting_has_a_deadline);
    tcase_add_test(t, silence_has_a_deadline);
    tcase_add_test(t, wrong_specs_are_refused);
    tcase_add_test(t, cancel_in_callbacks);
    tcase_add_test(t, cancel_at_other_times);
    tcase_add_test(t, cancel_of_another_call);
    tcase_add_test(t, start_and_close_in_callbacks);
    tcase_add_test(t, pause_and_resume);
    tcase_add_test(t, a_pause_holds_the_server_back_and_has_no_deadline);
    tcase_add_test(t, a_pause_loses_nothing);
    tcase_add_test(t, many_at_once);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
