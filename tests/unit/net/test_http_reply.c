/* Contract: heads of answers are read as RFC 9112 says, in any pieces; what two parsers could read differently is
 * refused. */
#include "net/http_reply.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;

static void begin(void)
{
    ctx = mem_root();
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static const struct {
    const char *text, *method;
    enum http_reply_body body;
    int64_t length;
    bool keep_alive;
} good[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", REPLY_LENGTH, 5, true},
    {"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", "GET", REPLY_LENGTH, 5, true},
    {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", "GET", REPLY_LENGTH, 5, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n", "GET", REPLY_LENGTH, 5, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", "GET", REPLY_LENGTH, 5, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", REPLY_NONE, 5, true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", REPLY_NONE, 5, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "GET", REPLY_NONE, 0, true},
    {"HTTP/1.1 100 Continue\r\n\r\n", "POST", REPLY_NONE, 0, true},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "GET", REPLY_SWITCH, 0, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", REPLY_CHUNKED, 0, true},
    {"HTTP/1.1 200 OK\r\n\r\n", "GET", REPLY_CLOSE, 0, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", REPLY_LENGTH, 5, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", "GET", REPLY_LENGTH, 5, true},
};

START_TEST(read_right)
{
    struct http_reply r;
    struct err err = {0};
    size_t n;
    struct str text = str_of(good[_i].text);
    for (size_t cut = 0; cut < text.n; cut++)
        ck_assert_int_eq(http_reply_parse(ctx, str_n(text.p, cut), str_of(good[_i].method), &r, &n, &err), RC_AGAIN);
    ck_assert_msg(http_reply_parse(ctx, text, str_of(good[_i].method), &r, &n, &err) == RC_OK, "%s", err.sentence);
    ck_assert_uint_eq(n, text.n);
    ck_assert_int_eq(r.body, good[_i].body);
    ck_assert_int_eq(r.length, good[_i].length);
    ck_assert_int_eq(r.keep_alive, good[_i].keep_alive);
}
END_TEST

static const char *const bad[] = {
    "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
    "HTTP/1.1 99 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 20x OK\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
};

START_TEST(refused)
{
    struct http_reply r;
    struct err err = {0};
    size_t n;
    enum rc rc = http_reply_parse(ctx, str_of(bad[_i]), STR("GET"), &r, &n, &err);
    ck_assert_msg(rc == RC_INVALID, "taken: %s", bad[_i]);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(too_much)
{
    struct http_reply r;
    size_t n;
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    buf_z(&b, "HTTP/1.1 200 OK\r\n");
    while (b.n < 70000)
        buf_z(&b,
              "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
              "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
              "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
              "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n");
    ck_assert_int_eq(http_reply_parse(ctx, buf_view(&b), STR("GET"), &r, &n, NULL), RC_LIMIT);
    buf_clear(&b);
    buf_z(&b, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i <= HTTP_REPLY_FIELDS_MOST; i++)
        buf_z(&b, "A: b\r\n");
    buf_z(&b, "\r\n");
    ck_assert_int_eq(http_reply_parse(ctx, buf_view(&b), STR("GET"), &r, &n, NULL), RC_LIMIT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_reply");
    TCase *t = tcase_create("http_reply");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_loop_test(t, read_right, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(t, refused, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, too_much);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
