/* Contract of the two halves together, on one loop, as the gateway uses them: a stream passes whole, a client that
 * reads slowly holds the upstream back, a client that leaves ends the upstream call, an upstream that breaks breaks the
 * answer. */
#include "net/upstream.h"
#include "peer.h"

static struct serving *behind;

struct front {
    struct serving in; /* its loop, thread and listener; the handler is ours */
    struct upstream_pool *pool;
    atomic_int paused, ended, cancelled;
    atomic_size_t most_backlog;
};
static struct front *f;

struct hop {
    struct http_request *r;
    struct upstream_call *call;
    bool paused;
};

static void hop_resume(struct hop *h)
{
    if (h->paused)
        upstream_resume(h->call);
    h->paused = false;
}

static void hop_drained(struct http_request *r)
{
    hop_resume(r->user);
}

static void hop_gone(struct http_request *r)
{
    struct hop *h = r->user;
    upstream_cancel(h->call);
    f->cancelled++;
}

static void hop_head(void *arg, int status, struct str headers)
{
    struct hop *h = arg;
    (void)headers;
    http_answer_begin(h->r, status, "text/event-stream", NULL);
}

static bool hop_body(void *arg, struct str bytes)
{
    struct hop *h = arg;
    size_t backlog = http_answer_backlog(h->r);
    if (backlog > f->most_backlog)
        f->most_backlog = backlog;
    if (backlog > HTTP_HIGH_WATER) {
        h->paused = true;
        f->paused++;
        return false;
    }
    http_answer_chunk(h->r, bytes);
    return true;
}

static void hop_end(void *arg, enum rc rc, const struct err *err)
{
    struct hop *h = arg;
    (void)err;
    f->ended++;
    if (rc == RC_OK)
        http_answer_end(h->r);
    else
        http_answer_abort(h->r);
}

static void forward(void *arg, struct http_request *r)
{
    (void)arg;
    struct hop *h = mem_new(r->ctx, struct hop);
    h->r = r;
    r->user = h;
    struct upstream_spec spec = {.method = "POST",
                                 .url = mem_printf(r->ctx, "%s%.*s", behind->url, STR_FMT(r->target)),
                                 .body = r->body,
                                 .on_head = hop_head,
                                 .on_body = hop_body,
                                 .on_end = hop_end,
                                 .arg = h};
    http_on_gone(r, hop_gone);
    http_on_drained(r, hop_drained);
    ck_assert_int_eq(upstream_start(f->pool, &spec, &h->call, NULL), RC_OK);
}

static void begin(void)
{
    behind = calloc(1, sizeof *behind);
    f = calloc(1, sizeof *f);
    serving_start(behind);
    serving_prepare(&f->in);
    f->in.spec.on_request = forward;
    ck_assert_int_eq(upstream_pool_new(f->in.ctx, &f->in.loop, &f->pool, NULL), RC_OK);
    serving_go(&f->in);
}

static void close_pool(void *arg)
{
    (void)arg;
    upstream_pool_close(f->pool);
}

static void finish(void)
{
    f->in.at_done = close_pool;
    serving_stop(&f->in);
    serving_stop(behind);
    free(f);
    free(behind);
}

#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"

START_TEST(streams_pass)
{
    struct peer p = peer_open(&f->in);
    for (int i = 0; i < 20; i++) {
        struct answer a = peer_ask(&p, POST("/stream?n=50"));
        ck_assert(a.status == 200 && str_ends(a.body, STR("data: 48\n\ndata: 49\n\n")));
        a = peer_ask(&p, POST("/echo"));
        ck_assert(str_eqz(a.body, "body"));
    }
    peer_send(&p, STR(POST("/later") POST("/echo") POST("/stream?n=1")));
    ck_assert(str_eqz(peer_answer(&p, false).body, "/later"));
    ck_assert(str_eqz(peer_answer(&p, false).body, "body"));
    ck_assert(str_eqz(peer_answer(&p, false).body, "data: 0\n\n"));
    ck_assert_uint_eq(serving_connections(behind), 1);
    peer_close(&p);
}
END_TEST

START_TEST(slow_readers_hold_back_both)
{
    behind->flood = 24 << 20;
    struct peer p = peer_open(&f->in);
    peer_send(&p, STR(POST("/flood")));
    EVENTUALLY(f->paused > 0 && behind->most_backlog > HTTP_HIGH_WATER);
    ck_assert_int_eq(f->ended, 0);
    ck_assert_uint_eq(peer_answer(&p, false).body.n, behind->flood);
    ck_assert_msg(f->most_backlog < HTTP_HIGH_WATER + (64 << 10), "%zu bytes were waiting", (size_t)f->most_backlog);
    peer_close(&p);
}
END_TEST

START_TEST(leaving_ends_the_upstream_call)
{
    static const char *const paths[] = {POST("/wait"), POST("/hold"), POST("/flood")};
    behind->flood = 24 << 20;
    for (int i = 0; i < 3; i++) {
        struct peer p = peer_open(&f->in);
        peer_send(&p, str_of(paths[i]));
        EVENTUALLY(behind->requests == i + 1);
        if (i == 2)
            EVENTUALLY(f->paused > 0);
        peer_close(&p);
        EVENTUALLY(behind->gone == i + 1);
        ck_assert_int_eq(f->cancelled, i + 1);
    }
    ck_assert_int_eq(f->ended, 0);
}
END_TEST

START_TEST(a_broken_upstream_breaks_the_answer)
{
    struct peer p = peer_open(&f->in);
    peer_send(&p, STR(POST("/broken")));
    ck_assert(str_ends(peer_rest(&p), STR("\r\n\r\n4\r\nhalf\r\n")));
    peer_close(&p);
    ck_assert_int_eq(f->cancelled, 0);
}
END_TEST

START_TEST(many_streams)
{
    enum { COUNT = 60 };
    struct peer p[COUNT];
    for (int i = 0; i < COUNT; i++) {
        p[i] = peer_open(&f->in);
        peer_send(&p[i], i % 5 ? STR(POST("/stream?n=300")) : STR(POST("/hold")));
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 5)
            ck_assert(str_ends(peer_answer(&p[i], false).body, STR("data: 299\n\n")));
    EVENTUALLY(behind->requests == COUNT);
    for (int i = 0; i < COUNT; i++)
        peer_close(&p[i]);
    EVENTUALLY(behind->gone == COUNT / 5);
    ck_assert_int_eq(f->ended, COUNT - COUNT / 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proxy");
    TCase *t = tcase_create("proxy");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, streams_pass);
    tcase_add_test(t, slow_readers_hold_back_both);
    tcase_add_test(t, leaving_ends_the_upstream_call);
    tcase_add_test(t, a_broken_upstream_breaks_the_answer);
    tcase_add_test(t, many_streams);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
