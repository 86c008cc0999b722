/* Contract: the chunked decoder takes bodies in any pieces, refuses sloppy framing and caps it; targets are split,
 * decoded and confined; query values decode as forms do. */
#include "net/http_parse.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

/* Feeds `in` in pieces of `step` bytes. *ret_left: bytes behind the end. */
static enum rc decode(struct str in, size_t step, struct buf *ret, size_t *ret_left)
{
    struct http_chunked d = {0};
    size_t at = 0;
    enum rc rc = RC_AGAIN;
    buf_init(ret, ctx, 1 << 20);
    *ret_left = 0;
    while (rc == RC_AGAIN && at < in.n) {
        struct str part = str_sub(in, at, step), piece;
        at += part.n;
        while ((rc = http_chunked_take(&d, &part, &piece, &err)) == RC_OK && piece.n > 0)
            buf_str(ret, piece);
        ck_assert(rc != RC_AGAIN || part.n == 0);
        if (rc == RC_OK)
            *ret_left = part.n + in.n - at;
    }
    return rc;
}

static const struct {
    const char *in, *out, *left;
} good[] = {
    {"0\r\n\r\n", "", ""},
    {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
    {"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /", "hello!", "GET /"},
    {"0005\r\nhello\r\n000\r\n\r\n", "hello", ""},
    {"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""},
    {"5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello", ""},
    {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""},
    {"1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n0\r\n", "x", "0\r\n"},
    {"0\r\nHos: a\r\nHostt: a\r\nContent-Lengt: 1\r\nContent-Lengths: 1\r\n\r\n", "", ""},
};

START_TEST(takes_good_bodies)
{
    struct str in = str_of(good[_i].in);
    for (size_t step = 1; step <= in.n; step++) {
        struct buf out;
        size_t left;
        ck_assert_msg(decode(in, step, &out, &left) == RC_OK, "%d by %zu: %s", _i, step, err.sentence);
        ck_assert(str_eqz(buf_view(&out), good[_i].out));
        ck_assert_uint_eq(left, strlen(good[_i].left));
    }
}
END_TEST

#define BYTES(lit)                                                                                                     \
    {                                                                                                                  \
        "" lit, sizeof(lit) - 1                                                                                        \
    }
static const struct str bad[] = {
    BYTES("\r\n"),
    BYTES("x\r\n"),
    BYTES(" 5\r\nhello\r\n"),
    BYTES("5 \r\nhello\r\n"),
    BYTES("+5\r\nhello\r\n"),
    BYTES("-5\r\nhello\r\n"),
    BYTES("0x5\r\nhello\r\n"),
    BYTES("5\nhello\r\n"),
    BYTES("5\r\rhello\r\n"),
    BYTES("5\r\nhelloX\r\n"),
    BYTES("5\r\nhello\n0\r\n"),
    BYTES("5\r\nhello\rX"),
    BYTES("5\r\nhello0\r\n\r\n"),
    BYTES("5;a\nb\r\nhello\r\n"),
    BYTES("5;a\0b\r\nhello\r\n"),
    BYTES("5,5\r\nhello\r\n"),
    BYTES("1000000000000000\r\n"), /* 16 digits */
    BYTES("FFFFFFFFFFFFFFFFF\r\n"),
    BYTES("0\r\n\n"),
    BYTES("0\r\n\rX"),
    BYTES("0\r\nX\r\n"),
    BYTES("0\r\nX Y: a\r\n"),
    BYTES("0\r\n: a\r\n"),
    BYTES("0\r\n folded: a\r\n"),
    BYTES("0\r\nX: a\nY: b\r\n"),
    BYTES("0\r\nX: a\0\r\n"),
    BYTES("0\r\nContent-Length: 5\r\n\r\n"),
    BYTES("0\r\nA: b\r\ntransfer-ENCODING: chunked\r\n\r\n"),
    BYTES("0\r\nHost: b\r\n\r\n"),
};

START_TEST(refuses_bad_bodies)
{
    for (size_t step = 1; step <= bad[_i].n; step++) {
        struct buf out;
        size_t left;
        ck_assert_msg(decode(bad[_i], step, &out, &left) == RC_INVALID, "%d by %zu was taken", _i, step);
    }
}
END_TEST

START_TEST(framing_is_capped)
{
    struct buf in, out;
    size_t left;
    buf_init(&in, ctx, 1 << 20);
    buf_z(&in, "1;");
    for (int i = 0; i < HTTP_MAX_FRAMING; i++)
        buf_char(&in, 'a');
    buf_z(&in, "\r\nx\r\n0\r\n\r\n");
    ck_assert_int_eq(decode(buf_view(&in), 1000, &out, &left), RC_LIMIT);
    buf_clear(&in);
    for (int i = 0; i < HTTP_MAX_FRAMING / 8; i++) /* many small ones count together */
        buf_z(&in, "1;abcdefghi\r\nx\r\n");
    ck_assert_int_eq(decode(buf_view(&in), 1000, &out, &left), RC_LIMIT);
    buf_clear(&in);
    buf_z(&in, "0\r\n");
    for (int i = 0; i < HTTP_MAX_FRAMING / 8; i++)
        buf_z(&in, "Name: value\r\n");
    ck_assert_int_eq(decode(buf_view(&in), 1000, &out, &left), RC_LIMIT);
}
END_TEST

static const struct {
    const char *method, *target, *path, *query; /* path NULL: refused */
} targets[] = {
    {"GET", "/", "/", ""},
    {"GET", "/a/b?c=d?e", "/a/b", "c=d?e"},
    {"GET", "/a%2Fb%20c%C3%A4", "/a/b c\xc3\xa4", ""},
    {"GET", "/a?%zz", "/a", "%zz"}, /* the query is raw */
    {"GET", "//a//b/", "//a//b/", ""},
    {"GET", "/...", "/...", ""},
    {"GET", "/a..b/..c", "/a..b/..c", ""},
    {"GET", "http://host:1/a?b", NULL, NULL}, /* what is said to a proxy */
    {"GET", "HTTPS://host", NULL, NULL},
    {"GET", "", NULL, NULL},
    {"CONNECT", "/", NULL, NULL},
    {"OPTIONS", "*", "*", ""},
    {"GET", "*", NULL, NULL},
    {"CONNECT", "host:443", NULL, NULL},
    {"GET", "ftp://host/", NULL, NULL},
    {"GET", "http:///a", NULL, NULL},
    {"GET", "a", NULL, NULL},
    {"GET", "/..", NULL, NULL},
    {"GET", "/a/../b", NULL, NULL},
    {"GET", "/a/%2e%2E/b", NULL, NULL},
    {"GET", "/a%2f..", NULL, NULL},
    {"GET", "/%00", NULL, NULL},
    {"GET", "/%", NULL, NULL},
    {"GET", "/%4", NULL, NULL},
    {"GET", "/%4g", NULL, NULL},
    {"GET", "/%-1", NULL, NULL},
};

START_TEST(targets_are_split)
{
    struct str path, query;
    enum rc rc = http_target_split(ctx, str_of(targets[_i].method), str_of(targets[_i].target), &path, &query, &err);
    if (!targets[_i].path) {
        ck_assert_msg(rc == RC_INVALID, "%s was taken", targets[_i].target);
        return;
    }
    ck_assert_msg(rc == RC_OK, "%s: %s", targets[_i].target, err.sentence);
    ck_assert_msg(str_eqz(path, targets[_i].path), "%s: %.*s", targets[_i].target, STR_FMT(path));
    ck_assert(str_eqz(query, targets[_i].query));
}
END_TEST

START_TEST(queries_and_headers)
{
    struct http_field fields[] = {{STR("Accept"), STR("a")}, {STR("accept"), STR("b")}};
    struct http_request r = {.ctx = ctx, .fields = fields, .field_count = 2};
    r.query = STR("a=1&b=x+y%26&&c&d=%zz&e=%00&%61%62=z&a=2&f=");
    ck_assert_str_eq(http_query(&r, "a"), "1");
    ck_assert_str_eq(http_query(&r, "b"), "x y&");
    ck_assert_str_eq(http_query(&r, "c"), "");
    ck_assert_str_eq(http_query(&r, "ab"), "z");
    ck_assert_str_eq(http_query(&r, "f"), "");
    ck_assert_ptr_null(http_query(&r, "d"));
    ck_assert_ptr_null(http_query(&r, "e"));
    ck_assert_ptr_null(http_query(&r, "g"));
    r.query = STR("");
    ck_assert_ptr_null(http_query(&r, "a"));
    ck_assert(str_eqz(http_header(&r, "ACCEPT"), "a"));
    ck_assert_uint_eq(http_header(&r, "Other").n, 0);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
    Suite *s = suite_create("http_body");
    TCase *t = tcase_create("body");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, takes_good_bodies, 0, COUNT(good));
    tcase_add_loop_test(t, refuses_bad_bodies, 0, COUNT(bad));
    tcase_add_test(t, framing_is_capped);
    tcase_add_loop_test(t, targets_are_split, 0, COUNT(targets));
    tcase_add_test(t, queries_and_headers);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
