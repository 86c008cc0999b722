/* Contract: requests of a connection are answered whole and in order, sloppy ones are refused and the connection ends,
 * departed clients are noticed in every phase and said once, slow ones are cut off, output is bounded by what producers
 * allow, and a stopping server lets open answers end. */
#include "peer.h"
#include <sys/wait.h>

static struct serving *s;

static void begin(void)
{
    s = calloc(1, sizeof *s);
}

static void finish(void)
{
    free(s);
}

#define GET(path)       "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, len) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " len "\r\n\r\n"
#define CHUNKED(path)   "POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

START_TEST(answers_on_one_connection)
{
    serving_start(s);
    struct peer p = peer_open(s);
    for (int i = 0; i < 3; i++) {
        struct answer a = peer_ask(&p, POST("/echo", "5") "hello");
        ck_assert(a.status == 200 && str_eqz(a.body, "hello") && !a.closes);
        ck_assert(answer_field(&a, "Date").n == strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
    }
    struct answer a = peer_ask(&p, GET("/none?x"));
    ck_assert(a.status == 404 && str_eqz(a.body, "/none"));
    a = peer_ask(&p, "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert(a.status == 404 && str_eqz(answer_field(&a, "Content-Length"), "5"));
    a = peer_ask(&p, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert(a.status == 200 && str_eqz(answer_field(&a, "Transfer-Encoding"), "chunked"));
    a = peer_ask(&p, GET("/empty"));
    ck_assert(a.status == 204 && !answer_field(&a, "Content-Length").n);
    a = peer_ask(&p, GET("/stream?n=4"));
    ck_assert(str_eqz(a.body, "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"));
    a = peer_ask(&p, GET("/later"));
    ck_assert(a.status == 200 && str_eqz(a.body, "/later"));
    a = peer_ask(&p, "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ck_assert(a.status == 404 && a.closes);
    ck_assert_uint_eq(peer_rest(&p).n, 0);
    ck_assert_int_eq(s->uid, (int)getuid());
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(http_1_0_ends_with_the_connection)
{
    serving_start(s);
    struct peer p = peer_open(s);
    struct answer a = peer_ask(&p, "GET /none HTTP/1.0\r\n\r\n");
    ck_assert(a.closes && str_eqz(a.body, "/none"));
    ck_assert_uint_eq(peer_rest(&p).n, 0);
    peer_close(&p);
    p = peer_open(s);
    peer_send(&p, STR("GET /stream?n=1 HTTP/1.0\r\n\r\n"));
    struct str all = peer_rest(&p);
    ck_assert(str_ends(all, STR("\r\n\r\ndata: 0\n\n")) && str_ifind(all, STR("chunked")) < 0);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(fields_cannot_smuggle)
{
    serving_start(s);
    struct peer p = peer_open(s);
    struct answer a = peer_ask(&p, GET("/fields"));
    ck_assert(str_eqz(a.body, "ok") && str_eqz(answer_field(&a, "X-Good"), "1"));
    ck_assert(str_eqz(answer_field(&a, "X-Last"), "2"));
    ck_assert(str_find(a.head, STR("Smuggled")) < 0 && str_find(a.head, STR("Bad")) < 0);
    ck_assert(str_find(a.head, STR("no colon")) < 0 && !answer_field(&a, "Content-Type").n);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

/* A request cut at every place: the server has read the first part before the second is sent. */
START_TEST(every_split_point)
{
    static const char *const requests[] = {
        POST("/echo", "5") "hello",
        CHUNKED("/echo") "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: 1\r\n\r\n",
        "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    };
    serving_start(s);
    struct peer p = peer_open(s);
    for (size_t k = 0; k < 3; k++) {
        struct str r = str_of(requests[k]);
        for (size_t cut = 1; cut < r.n; cut++) {
            peer_send(&p, str_n(r.p, cut));
            peer_settle(&p);
            peer_send(&p, str_sub(r, cut, r.n));
            struct answer a = peer_answer(&p, false);
            ck_assert_msg(a.status == 200 && str_eqz(a.body, "hello"), "cut at %zu", cut);
        }
        for (size_t i = 0; i < r.n; i++) {
            peer_send(&p, str_n(r.p + i, 1));
            peer_settle(&p);
        }
        struct answer a = peer_answer(&p, false);
        ck_assert_msg(a.status == 200 && str_eqz(a.body, "hello"), "byte by byte");
    }
    ck_assert_uint_eq(p.in.n, 0);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(pipelined_requests_keep_their_order)
{
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, STR(GET("/1") POST("/echo", "3") "abc" GET("/later") GET("/2")
                          CHUNKED("/echo") "1\r\nx\r\n0\r\n\r\n" GET("/stream?n=1") GET("/later") GET("/3")));
    static const char *const bodies[] = {"/1", "abc", "/later", "/2", "x", "data: 0\n\n", "/later", "/3"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct answer a = peer_answer(&p, false);
        ck_assert_msg(str_eqz(a.body, bodies[i]), "%zu: %.*s", i, STR_FMT(a.body));
    }
    ck_assert_int_eq(s->requests, 8);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

/* A client that asks and asks and reads nothing is not served on: what waits for it stays small. */
START_TEST(pipelines_are_held_back)
{
    enum { COUNT = 2000, FILL = 8000 };
    serving_start(s);
    struct peer p = peer_open(s);
    char *one = mem_array(p.ctx, char, FILL + 1);
    memset(one, 'a', FILL);
    one = mem_printf(p.ctx, "GET /show HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n", one);
    pid_t asker = fork();
    if (asker == 0) {
        for (int i = 0; i < COUNT; i++)
            peer_send(&p, str_of(one));
        _exit(0);
    }
    int before = -1;
    while (before != s->requests) { /* until nothing moves any more */
        before = s->requests;
        usleep(200000);
    }
    ck_assert_msg(s->requests < COUNT / 4, "%d requests were served into the void", s->requests);
    for (int i = 0; i < COUNT; i++)
        ck_assert(peer_answer(&p, false).body.n > FILL);
    waitpid(asker, NULL, 0);
    ck_assert_int_eq(s->requests, COUNT);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

static const char *const more_hosts[] = {"nightmill.example", NULL};

/* What a page in a browser could send never reaches a handler; neither does what is meant for a proxy. */
START_TEST(hosts_are_checked)
{
    static const struct {
        const char *in;
        int status;
    } asked[] = {
        {"GET /none HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", 404},
        {"GET /none HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", 404},
        {"GET /none HTTP/1.1\r\nHost: nightmill.example:%u\r\n\r\n", 404},
        {"GET /none HTTP/1.1\r\nHost: nightmill.example\r\n\r\n", 404},
        {"GET /none HTTP/1.1\r\nHost: localhost:%u\r\nOrigin: http://localhost:%u\r\n\r\n", 404},
        {"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
        {"GET /none HTTP/1.1\r\nHost: evil.example:%u\r\n\r\n", 403},
        {"GET /none HTTP/1.0\r\n\r\n", 403},
        {"GET /none HTTP/1.1\r\nHost: localhost:%u\r\nOrigin: http://evil.example\r\n\r\n", 403},
        {"GET /none HTTP/1.1\r\nHost: localhost:%u\r\nOrigin: null\r\n\r\n", 403},
        {"POST /echo HTTP/1.1\r\nHost: evil.example:%u\r\nContent-Length: 5\r\n\r\nhello", 403},
        {"GET http://localhost:%u/none HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", 400},
        {"GET http://evil.example/none HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", 400},
        {"CONNECT localhost:%u HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", 400},
        {"CONNECT /none HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", 400},
    };
    struct http_hosts hosts = {.more = more_hosts, .address = "127.0.0.1"};
    s->hosts = &hosts;
    serving_prepare(s);
    serving_listen_first(s);
    hosts.port = s->port;
    serving_run_now(s);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct peer p = peer_open_tcp(s);
        int before = s->requests;
        struct answer a = peer_ask(&p, mem_printf(p.ctx, asked[i].in, s->port, s->port));
        ck_assert_msg(a.status == asked[i].status, "%s: %d", asked[i].in, a.status);
        ck_assert_int_eq(s->requests - before, a.status == 404);
        if (a.status != 404)
            ck_assert(a.closes && peer_rest(&p).n == 0);
        peer_close(&p);
    }
    serving_stop(s);
}
END_TEST

/* More requests ahead than the server is willing to keep: it stops reading and loses none. */
START_TEST(many_pipelined_requests)
{
    enum { COUNT = 5000 };
    serving_start(s);
    struct peer p = peer_open(s);
    struct buf all;
    buf_init(&all, p.ctx, 16 << 20);
    for (int i = 0; i < COUNT; i++)
        buf_printf(&all, "GET /%s%d HTTP/1.1\r\nHost: a\r\nX-Padding: %0100d\r\n\r\n", i % 500 ? "x" : "later?", i, i);
    size_t sent = 0, answered = 0;
    while (answered < COUNT) {
        ssize_t n = sent < all.n ? send(p.fd, all.p + sent, all.n - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        struct answer a = peer_answer(&p, false);
        char *want = mem_printf(p.ctx, answered % 500 ? "/x%zu" : "/later", answered);
        ck_assert_msg(str_eqz(a.body, want), "%zu: %.*s", answered, STR_FMT(a.body));
        answered++;
    }
    peer_close(&p);
    serving_stop(s);
}
END_TEST

#define REFUSED(status, text)                                                                                          \
    {                                                                                                                  \
        status,                                                                                                        \
        {                                                                                                              \
            "" text, sizeof(text) - 1                                                                                  \
        }                                                                                                              \
    }
static const struct {
    int status;
    struct str in;
} refused[] = {
    REFUSED(400,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/x")),
    REFUSED(400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" GET("/x")),
    REFUSED(400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd" GET("/x")),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n" GET("/x")),
    REFUSED(400, "GET / HTTP/1.1\nHost: a\n\n" GET("/x")),
    REFUSED(400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET("/x")),
    REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n" GET("/x")),
    REFUSED(400, "GET /../etc HTTP/1.1\r\nHost: a\r\n\r\n" GET("/x")),
    REFUSED(400, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" GET("/x")),
    REFUSED(501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" GET("/x")),
    REFUSED(505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n" GET("/x")),
    REFUSED(417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\na" GET("/x")),
    REFUSED(413, POST("/echo", "1048577") GET("/x")),
    REFUSED(413, POST("/echo", "99999999999999999999") GET("/x")),
    REFUSED(400, CHUNKED("/echo") "5 \r\nhello\r\n0\r\n\r\n" GET("/x")),
    REFUSED(400, CHUNKED("/echo") "5\r\nhello0\r\n\r\n" GET("/x")),
    REFUSED(400, CHUNKED("/echo") "5\nhello\n0\n\n" GET("/x")),
    REFUSED(400, CHUNKED("/echo") "0\r\nX: a\nContent-Length: 5\r\n\r\n" GET("/x")),
};

START_TEST(refused_requests_end_the_connection)
{
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, refused[_i].in);
    struct answer a = peer_answer(&p, false);
    ck_assert_msg(a.status == refused[_i].status, "%d: %d instead of %d", _i, a.status, refused[_i].status);
    ck_assert(a.closes);
    ck_assert_msg(peer_rest(&p).n == 0, "only one answer may come");
    ck_assert_msg(s->requests == 0, "nothing behind a refused request may reach the handler");
    peer_close(&p);
    serving_stop(s);
}
END_TEST

/* The client still sends when the answer comes: it must be able to read it. */
START_TEST(refusal_is_readable_while_sending)
{
    serving_start(s);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct peer p = peer_open(s);
        char *block = mem_array(p.ctx, char, 100000);
        memset(block, 'b', 100000);
        peer_send(&p, chunked ? STR(CHUNKED("/echo")) : STR(POST("/echo", "2000000")));
        for (int i = 0; i < 20; i++) {
            if (chunked)
                peer_send(&p, STR("186a0\r\n"));
            peer_send(&p, str_n(block, 100000));
            if (chunked)
                peer_send(&p, STR("\r\n"));
        }
        struct answer a = peer_answer(&p, false);
        ck_assert(a.status == 413 && a.closes);
        ck_assert_int_eq(s->requests, 0);
        peer_close(&p);
    }
    serving_stop(s);
}
END_TEST

START_TEST(body_at_the_cap)
{
    s->spec.max_body = 100000;
    serving_start(s);
    struct peer p = peer_open(s);
    char *block = mem_array(p.ctx, char, 100001);
    memset(block, 'b', 100000);
    peer_send(&p, STR(POST("/echo", "100000")));
    peer_send(&p, str_n(block, 100000));
    struct answer a = peer_answer(&p, false);
    ck_assert(a.status == 200 && str_eqz(a.body, block));
    peer_send(&p, STR(CHUNKED("/echo") "186a0\r\n"));
    peer_send(&p, str_n(block, 100000));
    peer_send(&p, STR("\r\n0\r\n\r\n"));
    a = peer_answer(&p, false);
    ck_assert(a.status == 200 && str_eqz(a.body, block));
    peer_close(&p);
    serving_stop(s);
}
END_TEST

static size_t limit_by_path(void *arg, const struct http_request *r)
{
    (void)arg;
    ck_assert(r->peer.origin == HTTP_BY_UNIX && r->body.n == 0);
    return str_eqz(r->path, "/echo") ? 1000 : 10;
}

/* Who asks for what decides how much is read, before anything is. */
START_TEST(limits_by_request)
{
    s->spec.body_limit = limit_by_path;
    serving_start(s);
    struct peer p = peer_open(s);
    ck_assert(str_eqz(peer_ask(&p, POST("/echo", "12") "abcdefghijkl").body, "abcdefghijkl"));
    struct answer a = peer_ask(&p, POST("/other", "12") "abcdefghijkl");
    ck_assert(a.status == 413 && a.closes);
    peer_close(&p);
    p = peer_open(s);
    a = peer_ask(&p, CHUNKED("/other") "c\r\nabcdefghijkl\r\n0\r\n\r\n");
    ck_assert(a.status == 413 && a.closes);
    ck_assert_int_eq(s->requests, 1);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

/* Many large bodies at once do not fill the memory, and the owner's are taken all the same. */
START_TEST(bodies_together_are_capped)
{
    s->spec.max_bodies = 1000;
    s->reserve = 1;
    serving_start(s);
    struct peer first = peer_open_tcp(s), second = peer_open_tcp(s), owner = peer_open(s);
    char body[901];
    memset(body, 'x', 900);
    body[900] = '\0';
    peer_send(&first, STR(POST("/echo", "900")));
    peer_send(&first, str_n(body, 899));
    peer_settle(&first);
    EVENTUALLY(serving_connections(s) == 3);
    struct answer a = peer_ask(&second, mem_printf(second.ctx, CHUNKED("/echo") "384\r\n%s\r\n0\r\n\r\n", body));
    ck_assert(a.status == 503 && a.closes);
    ck_assert_int_eq(peer_ask(&owner, mem_printf(owner.ctx, POST("/echo", "900") "%s", body)).status, 200);
    peer_send(&first, STR("x"));
    ck_assert_int_eq(peer_answer(&first, false).status, 200);
    for (int i = 0; i < 5; i++) { /* what was kept is free again, however it ended */
        peer_close(&second);
        EVENTUALLY(serving_connections(s) == 2);
        second = peer_open_tcp(s);
        ck_assert_int_eq(peer_ask(&second, mem_printf(second.ctx, POST("/echo", "900") "%s", body)).status, 200);
        peer_send(&second, STR(POST("/echo", "900")));
        peer_send(&second, str_n(body, 500));
        peer_settle(&second);
    }
    peer_close(&first);
    peer_close(&second);
    peer_close(&owner);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

START_TEST(continue_is_said)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    serving_start(s);
    struct peer p = peer_open(s);
    struct answer a = peer_ask(&p, head);
    ck_assert_int_eq(a.status, 100);
    a = peer_ask(&p, "ok");
    ck_assert(a.status == 200 && str_eqz(a.body, "ok"));
    char *at_once = mem_printf(p.ctx, "%sok", head);
    a = peer_ask(&p, at_once);
    ck_assert_msg(a.status == 200, "not asked for when the body came along");
    a = peer_ask(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n");
    ck_assert_msg(a.status == 413, "refused before the body is sent");
    peer_close(&p);
    p = peer_open(s);
    peer_send(&p, STR("POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
    peer_settle(&p);
    a = peer_ask(&p, "ok");
    ck_assert_msg(a.status == 200, "HTTP/1.0 knows no interim answers");
    peer_close(&p);
    serving_stop(s);
}
END_TEST

/* --- departures ------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *sent;
    int requests, gone;
} leaving[] = {
    {"", 0, 0},
    {"GET / HT", 0, 0},
    {POST("/echo", "10") "abc", 0, 0},
    {CHUNKED("/echo") "5\r\nab", 0, 0},
    {GET("/stream"), 1, 0},
    {GET("/wait"), 1, 1},
    {GET("/hold"), 1, 1},
    {GET("/hold") GET("/next"), 1, 1},
    {GET("/wait") "GET / HT", 1, 1},
};

START_TEST(leaving_clients_are_noticed)
{
    serving_start(s);
    for (int half = 0; half < 2; half++) {
        s->requests = s->gone = 0;
        struct peer p = peer_open(s);
        peer_send(&p, str_of(leaving[_i].sent));
        peer_settle(&p);
        EVENTUALLY(s->requests == leaving[_i].requests);
        if (half)
            shutdown(p.fd, SHUT_WR);
        else
            close(p.fd);
        EVENTUALLY(serving_connections(s) == 0);
        ck_assert_int_eq(s->gone, leaving[_i].gone);
        ck_assert_int_eq(s->requests, leaving[_i].requests);
        if (half)
            peer_close(&p);
        else
            mem_free(p.ctx);
    }
    serving_stop(s);
}
END_TEST

/* The server keeps no more input while an answer is open; the departure must be seen all the same. */
START_TEST(leaving_behind_a_full_pipeline)
{
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, STR(GET("/wait")));
    EVENTUALLY(s->requests == 1);
    struct buf more;
    buf_init(&more, p.ctx, 1 << 20);
    while (more.n < 600000)
        buf_z(&more, GET("/next"));
    for (size_t sent = 0, quiet = 0; sent < more.n && quiet < 100;) {
        ssize_t n = send(p.fd, more.p + sent, more.n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        usleep(n > 0 ? 0 : 1000);
    }
    int left = 0;
    ioctl(p.fd, SIOCOUTQ, &left);
    ck_assert_msg(left > 0, "the server took everything: its input is not bounded");
    peer_close(&p);
    EVENTUALLY(s->gone == 1);
    EVENTUALLY(serving_connections(s) == 0);
    ck_assert_int_eq(s->requests, 1);
    serving_stop(s);
}
END_TEST

START_TEST(what_was_answered_reaches_a_half_closed_client)
{
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, STR(GET("/none")));
    shutdown(p.fd, SHUT_WR);
    ck_assert(peer_answer(&p, false).status == 404);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(kept_requests_outlive_their_client)
{
    serving_start(s);
    struct peer p = peer_open(s), q = peer_open(s);
    peer_send(&p, STR(GET("/kept")));
    peer_send(&q, STR(GET("/unheard")));
    EVENTUALLY(s->requests == 2);
    peer_close(&p);
    peer_close(&q);
    EVENTUALLY(s->gone == 1);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s); /* the loop ends when both were answered; the sanitizer sees what is freed */
    ck_assert_int_eq(s->gone, 1);
}
END_TEST

START_TEST(aborted_answers_look_broken)
{
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, STR(GET("/broken")));
    struct str all = peer_rest(&p);
    ck_assert(str_ends(all, STR("\r\n\r\n4\r\nhalf\r\n")));
    peer_close(&p);
    p = peer_open(s);
    peer_send(&p, STR(GET("/abort")));
    ck_assert_uint_eq(peer_rest(&p).n, 0);
    peer_close(&p);
    ck_assert_int_eq(s->gone, 0);
    serving_stop(s);
}
END_TEST

/* --- large and wrong requests ----------------------------------------------------------------------------------------
 */

static void repeat(struct buf *b, const char *what, int times)
{
    for (int i = 0; i < times; i++)
        buf_z(b, what);
}

static void many_fields(struct buf *b)
{
    buf_z(b, "GET /x HTTP/1.1\r\nHost: a\r\n");
    repeat(b, "X: y\r\n", 100000);
    buf_z(b, "\r\n");
}

static void long_target(struct buf *b)
{
    buf_z(b, "GET /");
    repeat(b, "0123456789", 7000);
    buf_z(b, " HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void long_field(struct buf *b)
{
    buf_z(b, "GET /x HTTP/1.1\r\nHost: a\r\nX: ");
    repeat(b, "0123456789", 7000);
    buf_z(b, "\r\n\r\n");
}

static void long_name(struct buf *b)
{
    buf_z(b, "GET /x HTTP/1.1\r\nHost: a\r\n");
    repeat(b, "abcdefghij", 7000);
    buf_z(b, ": x\r\n\r\n");
}

static void long_method(struct buf *b)
{
    repeat(b, "ABCDEFGHIJ", 7000);
    buf_z(b, " /x HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void no_line_end(struct buf *b)
{
    repeat(b, "x", 200000);
}

static void only_line_ends(struct buf *b)
{
    repeat(b, "\r\n", 100000);
}

static void endless_extensions(struct buf *b)
{
    buf_z(b, CHUNKED("/echo"));
    repeat(b, "1;0123456789\r\nx\r\n", 10000);
}

static void endless_trailers(struct buf *b)
{
    buf_z(b, CHUNKED("/echo") "0\r\n");
    repeat(b, "X: y\r\n", 100000);
}

static void body_too_long(struct buf *b)
{
    buf_z(b, POST("/later", "5") "hello and more\r\n\r\n");
}

static void other_protocol(struct buf *b)
{
    buf_z(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

static const struct {
    void (*make)(struct buf *b);
    int status, requests;
} attacks[] = {
    {many_fields, 431, 0},      {long_target, 414, 0},   {long_field, 431, 0},     {long_name, 431, 0},
    {long_method, 414, 0},      {no_line_end, 414, 0},   {only_line_ends, 400, 0}, {endless_extensions, 400, 0},
    {endless_trailers, 400, 0}, {body_too_long, 200, 1}, {other_protocol, 505, 0},
};

/* Refused, the connection ends, and the next client is served as ever. */
START_TEST(attacks_are_refused)
{
    serving_start(s);
    struct peer p = peer_open(s), q = peer_open(s);
    struct buf b;
    buf_init(&b, p.ctx, 4 << 20);
    attacks[_i].make(&b);
    peer_send(&p, buf_view(&b));
    struct answer a = peer_answer(&p, false);
    ck_assert_msg(a.status == attacks[_i].status, "attack %d: %d", _i, a.status);
    if (a.status == 200) { /* what came behind the body was no request */
        a = peer_answer(&p, false);
        ck_assert_int_eq(a.status, 400);
    }
    ck_assert(a.closes);
    (void)peer_rest(&p);
    ck_assert_int_eq(s->requests, attacks[_i].requests);
    peer_close(&p);
    ck_assert_int_eq(peer_ask(&q, GET("/none")).status, 404);
    peer_close(&q);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

/* A body that ends before its length: nobody waits for ever, and half a request reaches no handler. */
START_TEST(bodies_that_end_early)
{
    s->spec.body_ms = 200;
    serving_start(s);
    struct peer waits = peer_open(s), leaves = peer_open(s);
    peer_send(&waits, STR(POST("/echo", "50") "hello"));
    peer_send(&leaves, STR(POST("/echo", "50") "hello"));
    shutdown(leaves.fd, SHUT_WR);
    struct answer a = peer_answer(&waits, false);
    ck_assert(a.status == 408 && a.closes);
    ck_assert_uint_eq(peer_rest(&leaves).n, 0);
    ck_assert_int_eq(s->requests, 0);
    peer_close(&waits);
    peer_close(&leaves);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

/* --- slow and silent clients
 * ------------------------------------------------------------------------------------------- */

static bool ended(struct peer *p)
{
    struct pollfd wait = {.fd = p->fd, .events = POLLIN};
    char c;
    return poll(&wait, 1, 0) == 1 && recv(p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* One byte every 20 ms, for ever: an inactivity timer would never end this. */
static struct answer drip(const char *front, const char *byte)
{
    struct peer p = peer_open(s);
    struct answer a = {0};
    struct pollfd wait = {.fd = p.fd, .events = POLLIN};
    peer_send(&p, str_of(front));
    int sent = 0;
    for (; sent < 500 && poll(&wait, 1, 20) == 0; sent++)
        peer_send(&p, str_of(byte));
    ck_assert_msg(sent < 500, "the server waits as long as bytes come");
    a = peer_answer(&p, false);
    a.body = STR("");
    a.head = STR("");
    peer_close(&p);
    return a;
}

START_TEST(slow_drips_are_cut_off)
{
    s->spec.head_ms = s->spec.body_ms = 200;
    serving_start(s);
    struct answer a = drip("GET / HTTP/1.1\r\nX: ", "x");
    ck_assert(a.status == 408 && a.closes);
    a = drip(POST("/echo", "100000"), "x");
    ck_assert(a.status == 408 && a.closes);
    a = drip(CHUNKED("/echo"), "1\r\nx\r\n");
    ck_assert(a.status == 408 && a.closes);
    ck_assert_int_eq(s->requests, 0);
    serving_stop(s);
}
END_TEST

START_TEST(large_bodies_earn_time)
{
    enum { SIZE = 1000000, STEP = 20000 }; /* takes about half a second; body_ms alone would not do */
    s->spec.body_ms = 100;
    serving_start(s);
    struct peer p = peer_open(s);
    char *block = mem_array(p.ctx, char, STEP);
    peer_send(&p, STR(POST("/echo", "1000000")));
    for (int i = 0; i < SIZE / STEP; i++) {
        usleep(10000);
        peer_send(&p, str_n(block, STEP));
    }
    ck_assert_int_eq(peer_answer(&p, false).status, 200);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(silent_clients_are_closed)
{
    s->spec.head_ms = 100;
    s->spec.idle_ms = 150;
    serving_start(s);
    struct peer fresh = peer_open(s), used = peer_open(s);
    ck_assert_int_eq(peer_ask(&used, GET("/none")).status, 404);
    ck_assert_uint_eq(peer_rest(&fresh).n, 0);
    ck_assert_uint_eq(peer_rest(&used).n, 0);
    peer_close(&fresh);
    peer_close(&used);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

/* What arrived while the process stood still did arrive in time, as far as anybody can know. */
START_TEST(standstills_are_no_fault_of_clients)
{
    s->spec.head_ms = 500;
    serving_start(s);
    struct peer p = peer_open(s), q = peer_open(s);
    EVENTUALLY(serving_connections(s) == 2);
    peer_send(&q, STR(GET("/standstill")));
    EVENTUALLY(s->requests == 1);
    peer_send(&p, STR(GET("/none")));
    ck_assert_int_eq(peer_answer(&p, false).status, 404);
    ck_assert_int_eq(peer_answer(&q, false).status, 200);
    peer_close(&p);
    peer_close(&q);
    serving_stop(s);
}
END_TEST

START_TEST(open_answers_have_no_deadline)
{
    s->spec.head_ms = s->spec.body_ms = s->spec.idle_ms = s->spec.stall_ms = 50;
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, STR(GET("/hold")));
    EVENTUALLY(s->requests == 1);
    usleep(300000);
    ck_assert(!ended(&p) && s->gone == 0);
    s->release = true;
    uv_async_send(&s->async);
    ck_assert(str_eqz(peer_answer(&p, false).body, "first last"));
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(producers_are_held_back)
{
    s->flood = 20 << 20;
    serving_start(s);
    struct peer p = peer_open(s);
    peer_send(&p, STR(GET("/flood")));
    EVENTUALLY(s->most_backlog > HTTP_HIGH_WATER); /* the client reads nothing yet */
    ck_assert_int_eq(s->drained, 0);
    struct answer a = peer_answer(&p, false);
    ck_assert_uint_eq(a.body.n, s->flood);
    for (size_t i = 0; i < a.body.n; i++)
        if (a.body.p[i] != 'f')
            ck_abort_msg("byte %zu is wrong", i);
    ck_assert_msg(s->most_backlog < HTTP_HIGH_WATER + 20000, "%zu bytes were waiting", (size_t)s->most_backlog);
    ck_assert_int_gt(s->drained, 0);
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    peer_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(readers_that_stop_are_dropped)
{
    s->flood = 20 << 20;
    s->spec.stall_ms = 200;
    serving_start(s);
    struct peer p = peer_open(s), q = peer_open(s);
    peer_send(&p, STR(GET("/flood")));
    EVENTUALLY(s->gone == 1);
    EVENTUALLY(serving_connections(s) == 1);
    peer_close(&p);
    peer_send(&q, STR(GET("/flood"))); /* leaves with a full backlog */
    EVENTUALLY(s->requests == 2);
    peer_close(&q);
    EVENTUALLY(s->gone == 2);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
    ck_assert_int_eq(s->gone, 2);
}
END_TEST

/* --- the server as a whole
 * ----------------------------------------------------------------------------------------------- */

START_TEST(stopping_lets_answers_end)
{
    serving_start(s);
    struct peer idle = peer_open(s), open = peer_open(s), half = peer_open(s);
    ck_assert_int_eq(peer_ask(&idle, GET("/none")).status, 404);
    peer_send(&half, STR("GET / HT"));
    peer_send(&open, STR(GET("/hold")));
    EVENTUALLY(s->requests == 2);
    peer_settle(&half);
    serving_stop_begin(s, 60000);
    ck_assert_uint_eq(peer_rest(&idle).n, 0);
    ck_assert_uint_eq(peer_rest(&half).n, 0);
    ck_assert_int_eq(s->done, 0);
    s->release = true;
    uv_async_send(&s->async);
    ck_assert(str_eqz(peer_answer(&open, false).body, "first last"));
    ck_assert_uint_eq(peer_rest(&open).n, 0);
    peer_close(&idle);
    peer_close(&half);
    peer_close(&open);
    serving_stop_end(s);
    ck_assert_int_eq(s->gone, 0);
}
END_TEST

START_TEST(stopping_has_a_deadline)
{
    serving_start(s);
    struct peer p = peer_open(s), q = peer_open(s);
    peer_send(&p, STR(GET("/hold")));
    peer_send(&q, STR(GET("/wait")));
    EVENTUALLY(s->requests == 2);
    serving_stop_begin(s, 50);
    serving_stop_end(s);
    ck_assert_int_eq(s->gone, 2);
    (void)peer_rest(&p);
    ck_assert_uint_eq(peer_rest(&q).n, 0);
    peer_close(&p);
    peer_close(&q);
}
END_TEST

START_TEST(connections_are_capped)
{
    s->spec.max_connections = 2;
    serving_start(s);
    struct peer p = peer_open(s), q = peer_open(s), r = peer_open(s);
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    ck_assert_int_eq(peer_ask(&q, GET("/none")).status, 404);
    peer_send(&r, STR(GET("/none")));
    usleep(50000);
    ck_assert_int_eq(s->requests, 2);
    ck_assert_uint_eq(serving_connections(s), 2);
    peer_close(&p);
    ck_assert_int_eq(peer_answer(&r, false).status, 404);
    peer_close(&q);
    peer_close(&r);
    serving_stop(s);
}
END_TEST

/* A listener can be the identity of its clients, and goes with it: none of them is left. */
START_TEST(a_listener_ends_with_its_clients)
{
    serving_start(s);
    struct peer idle = peer_open_tcp(s), open = peer_open_tcp(s), half = peer_open_tcp(s), other = peer_open(s);
    ck_assert_int_eq(peer_ask(&idle, GET("/none")).status, 404);
    peer_send(&open, STR(GET("/hold")));
    peer_send(&half, STR("GET /no"));
    EVENTUALLY(s->requests == 2);
    EVENTUALLY(serving_connections(s) == 4);
    s->unlisten = true;
    uv_async_send(&s->async);
    ck_assert_uint_eq(peer_rest(&idle).n, 0);
    (void)peer_rest(&open);
    ck_assert_uint_eq(peer_rest(&half).n, 0);
    EVENTUALLY(s->gone == 1);
    EVENTUALLY(serving_connections(s) == 1);
    ck_assert_int_eq(peer_ask(&other, GET("/none")).status, 404);
    struct peer late = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_ne(connect(late.fd, (struct sockaddr *)&in, sizeof in), 0);
    close(late.fd);
    peer_close(&idle);
    peer_close(&open);
    peer_close(&half);
    peer_close(&other);
    serving_stop(s);
}
END_TEST

/* Strangers who take every place over TCP do not keep the owner from the Unix socket. */
START_TEST(the_owner_has_places_in_reserve)
{
    s->spec.max_connections = 2;
    s->reserve = 1;
    serving_start(s);
    struct peer p = peer_open_tcp(s), q = peer_open_tcp(s);
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    ck_assert_int_eq(peer_ask(&q, GET("/none")).status, 404);
    struct peer r = peer_open_tcp(s), owner = peer_open(s), second = peer_open(s);
    peer_send(&r, STR(GET("/none")));
    ck_assert_int_eq(peer_ask(&owner, GET("/none")).status, 404);
    peer_send(&second, STR(GET("/none")));
    usleep(50000);
    ck_assert_int_eq(s->requests, 3);
    peer_close(&owner);
    ck_assert_int_eq(peer_answer(&second, false).status, 404);
    peer_close(&p);
    peer_close(&second);
    ck_assert_int_eq(peer_answer(&r, false).status, 404);
    peer_close(&q);
    peer_close(&r);
    serving_stop(s);
}
END_TEST

START_TEST(many_connections_at_once)
{
    enum { COUNT = 300 };
    struct peer p[COUNT];
    serving_start(s);
    for (int i = 0; i < COUNT; i++) {
        p[i] = peer_open(s);
        peer_send(&p[i], i % 2 ? STR(GET("/later")) : STR(GET("/hold")));
    }
    for (int i = 1; i < COUNT; i += 2)
        ck_assert(str_eqz(peer_answer(&p[i], false).body, "/later"));
    EVENTUALLY(s->requests == COUNT);
    for (int i = 0; i < COUNT; i++)
        peer_close(&p[i]);
    EVENTUALLY(s->gone == COUNT / 2);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

START_TEST(listeners_are_checked)
{
    struct http_server *server;
    struct err err = {0};
    uv_loop_t loop;
    mem *ctx = mem_root();
    uv_loop_init(&loop);
    struct http_server_spec spec = {.loop = &loop, .max_body = 1, .on_request = serve};
    ck_assert_int_eq(http_server_new(ctx, &spec, &server, &err), RC_OK);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(http_server_listen_fd(server, fd, &err), RC_INVALID);
    ck_assert_msg(close(fd) != 0 && errno == EBADF, "the descriptor was not taken");
    http_server_stop(server, 0, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    mem_free(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_server");
    TCase *t = tcase_create("server");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, answers_on_one_connection);
    tcase_add_test(t, http_1_0_ends_with_the_connection);
    tcase_add_test(t, fields_cannot_smuggle);
    tcase_add_test(t, every_split_point);
    tcase_add_test(t, pipelined_requests_keep_their_order);
    tcase_add_test(t, many_pipelined_requests);
    tcase_add_test(t, pipelines_are_held_back);
    tcase_add_test(t, hosts_are_checked);
    tcase_add_loop_test(t, refused_requests_end_the_connection, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(t, refusal_is_readable_while_sending);
    tcase_add_loop_test(t, attacks_are_refused, 0, (int)(sizeof attacks / sizeof *attacks));
    tcase_add_test(t, bodies_that_end_early);
    tcase_add_test(t, body_at_the_cap);
    tcase_add_test(t, limits_by_request);
    tcase_add_test(t, bodies_together_are_capped);
    tcase_add_test(t, continue_is_said);
    tcase_add_loop_test(t, leaving_clients_are_noticed, 0, (int)(sizeof leaving / sizeof *leaving));
    tcase_add_test(t, leaving_behind_a_full_pipeline);
    tcase_add_test(t, what_was_answered_reaches_a_half_closed_client);
    tcase_add_test(t, kept_requests_outlive_their_client);
    tcase_add_test(t, aborted_answers_look_broken);
    tcase_add_test(t, slow_drips_are_cut_off);
    tcase_add_test(t, large_bodies_earn_time);
    tcase_add_test(t, silent_clients_are_closed);
    tcase_add_test(t, standstills_are_no_fault_of_clients);
    tcase_add_test(t, open_answers_have_no_deadline);
    tcase_add_test(t, producers_are_held_back);
    tcase_add_test(t, readers_that_stop_are_dropped);
    tcase_add_test(t, stopping_lets_answers_end);
    tcase_add_test(t, stopping_has_a_deadline);
    tcase_add_test(t, connections_are_capped);
    tcase_add_test(t, a_listener_ends_with_its_clients);
    tcase_add_test(t, the_owner_has_places_in_reserve);
    tcase_add_test(t, many_connections_at_once);
    tcase_add_test(t, listeners_are_checked);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
