/* Contract: the head parser takes what RFC 9112 requires, refuses everything that two parsers could understand in two
 * ways, keeps its caps, and its verdict over a prefix holds for everything longer. */
#include "net/http_parse.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct err err;
static struct http_head head;
static size_t length;

static void begin(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static enum rc parse(struct str in)
{
    return http_head_parse(ctx, in, &head, &length, &err);
}

#define HOST "Host: a\r\n"
#define BYTES(lit)                                                                                                     \
    {                                                                                                                  \
        "" lit, sizeof(lit) - 1                                                                                        \
    }
#define GOOD(text, m, t, n, cl, chunk, keep)                                                                           \
    {                                                                                                                  \
        BYTES(text), m, t, n, cl, chunk, keep                                                                          \
    }
static const struct {
    struct str in;
    const char *method, *target;
    size_t fields;
    int64_t content_length;
    bool chunked, keep_alive;
} good[] = {
    GOOD("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", 1, -1, false, true),
    GOOD("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", 1, -1, false, true),
    GOOD("GET / HTTP/1.0\r\n\r\n", "GET", "/", 0, -1, false, false),
    GOOD("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "/", 1, -1, false, false),
    GOOD("GET /a%20b?c=d&e[]=1 HTTP/1.1\r\nhOsT:a:80\r\n\r\n", "GET", "/a%20b?c=d&e[]=1", 1, -1, false, true),
    GOOD("OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "OPTIONS", "*", 1, -1, false, true),
    GOOD("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "http://a/b", 1, -1, false, true),
    GOOD("M-SEARCH / HTTP/1.1\r\nHost:\r\n\r\n", "M-SEARCH", "/", 1, -1, false, true),
    GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST", "/", 2, 0, false, true),
    GOOD("POST / HTTP/1.1\r\n" HOST "content-length:007\r\n\r\n", "POST", "/", 2, 7, false, true),
    GOOD("POST / HTTP/1.1\r\n" HOST "Content-Length: \t 5 \t\r\n\r\n", "POST", "/", 2, 5, false, true),
    GOOD("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", "POST", "/", 2, -1, true, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "GET", "/", 2, -1, false, false),
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: TE , Close\r\n\r\n", "GET", "/", 2, -1, false, false),
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", "GET", "/", 2, -1, false, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "X: \x80\xff\tz\r\n\r\n", "GET", "/", 2, -1, false, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "X:\r\n\r\n", "GET", "/", 2, -1, false, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "!#$%&'*+-.^_`|~09Az: 1\r\n\r\n", "GET", "/", 2, -1, false, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "\r\nGET /next HTTP/1.1\r\n", "GET", "/", 1, -1, false, true),
};

START_TEST(takes_what_is_right)
{
    ck_assert_msg(parse(good[_i].in) == RC_OK, "%d: %s", _i, err.sentence);
    ck_assert(str_eqz(head.method, good[_i].method));
    ck_assert(str_eqz(head.target, good[_i].target));
    ck_assert_uint_eq(head.field_count, good[_i].fields);
    ck_assert_int_eq(head.content_length, good[_i].content_length);
    ck_assert_int_eq(head.chunked, good[_i].chunked);
    ck_assert_int_eq(head.keep_alive, good[_i].keep_alive);
    ck_assert_int_eq(head.refuse_status, 0);
}
END_TEST

#define BAD(status, text)                                                                                              \
    {                                                                                                                  \
        status, BYTES(text)                                                                                            \
    }
#define FIELD(status, text) BAD(status, "POST / HTTP/1.1\r\n" HOST text "\r\n\r\n")
static const struct {
    int status;
    struct str in;
} bad[] = {
    /* Two ways to say where the body ends. */
    FIELD(400, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
    FIELD(400, "Transfer-Encoding: chunked\r\nContent-Length: 5"),
    FIELD(400, "Content-Length: 5\r\nContent-Length: 5"),
    FIELD(400, "Content-Length: 5\r\nContent-Length: 6"),
    FIELD(400, "Content-Length: 5, 5"),
    FIELD(400, "Content-Length: +5"),
    FIELD(400, "Content-Length: -5"),
    FIELD(400, "Content-Length: 0x5"),
    FIELD(400, "Content-Length: 5 5"),
    FIELD(400, "Content-Length: 5;"),
    FIELD(400, "Content-Length:"),
    FIELD(400, "Content-Length: \x35\x00"),
    FIELD(413, "Content-Length: 99999999999999999999"),
    FIELD(413, "Content-Length: 9223372036854775808"),
    FIELD(400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    FIELD(501, "Transfer-Encoding: gzip, chunked"),
    FIELD(501, "Transfer-Encoding: chunked, chunked"),
    FIELD(501, "Transfer-Encoding: chunked, identity"),
    FIELD(501, "Transfer-Encoding: xchunked"),
    FIELD(501, "Transfer-Encoding: \"chunked\""),
    FIELD(501, "Transfer-Encoding:"),
    FIELD(400, "Transfer-Encoding: \x0c"
               "chunked"),
    BAD(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    /* Lines. */
    BAD(400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a\n\n"),
    BAD(400, "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    BAD(400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    FIELD(400, "X: a\r\n folded"),
    FIELD(400, "X: a\r\n\tfolded"),
    FIELD(400, "X: a\r\n "),
    BAD(400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    FIELD(400, "X: a\rY: b"),
    FIELD(400, "X: a\0b"),
    FIELD(400, "X: a\x01"
               "b"),
    FIELD(400, "X: a\x7f"
               "b"),
    /* Names. */
    FIELD(400, "Transfer-Encoding : chunked"),
    FIELD(400, "Transfer-Encoding\t: chunked"),
    FIELD(400, "Content-Length : 5"),
    FIELD(400, ": a"),
    FIELD(400, "X"),
    FIELD(400, "X Y: a"),
    FIELD(400, "X\0: a"),
    FIELD(400, "X\x80: a"),
    FIELD(400, "X(: a"),
    FIELD(400, "X\"Y\": a"),
    /* Request line. */
    BAD(400, "GET /\r\nHost: a\r\n\r\n"),
    BAD(400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    BAD(400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / a HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET /\"a\" HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1x\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/+1.1\r\nHost: a\r\n\r\n"),
    BAD(505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    BAD(505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    BAD(505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    BAD(501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"), /* TLS on the plain port */
    /* Host and expectations. */
    BAD(400, "GET / HTTP/1.1\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    BAD(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    FIELD(417, "Expect: 200-ok"),
    FIELD(417, "Expect: 100-continue, more"),
};

START_TEST(refuses_what_is_wrong)
{
    enum rc rc = parse(bad[_i].in);
    ck_assert_msg(rc == RC_INVALID || rc == RC_LIMIT, "%d was taken: %.*s", _i, STR_FMT(bad[_i].in));
    ck_assert_msg(head.refuse_status == bad[_i].status, "%d: %d instead of %d", _i, head.refuse_status, bad[_i].status);
    ck_assert_int_eq(rc == RC_LIMIT, head.refuse_status == 413);
    ck_assert(err.rc == rc && err.sentence[0]);
    ck_assert_uint_eq(length, 0);
    ck_assert(head.fields == NULL && head.field_count == 0);
}
END_TEST

/* Every prefix of a good head wants more; once a prefix was refused, all longer ones are, with the same status. */
static void check_prefixes(struct str whole, size_t whole_length, int status)
{
    bool refused = false;
    for (size_t n = 0; n <= whole.n; n++) {
        char *exact = malloc(n ? n : 1); /* of exactly this size, so that the sanitizer sees a read beyond it */
        memcpy(exact, whole.p, n);
        mem *tmp = mem_root();
        enum rc rc = http_head_parse(tmp, str_n(exact, n), &head, &length, &err);
        free(exact);
        if (status) {
            ck_assert_msg(rc != RC_OK && (!refused || rc != RC_AGAIN), "a prefix of %zu bytes changed the verdict", n);
            refused = rc != RC_AGAIN;
            ck_assert_int_eq(head.refuse_status, refused ? status : 0);
        } else {
            ck_assert_int_eq(rc, n < whole_length ? RC_AGAIN : RC_OK);
            ck_assert_uint_eq(length, n < whole_length ? 0 : whole_length);
            if (rc == RC_AGAIN)
                ck_assert_uint_eq(talloc_total_blocks(tmp), 1);
        }
        mem_free(tmp);
    }
    if (status)
        ck_assert(refused);
}

START_TEST(prefixes_of_good_heads)
{
    ck_assert_int_eq(parse(good[_i].in), RC_OK);
    check_prefixes(good[_i].in, length, 0);
}
END_TEST

START_TEST(prefixes_of_bad_heads)
{
    check_prefixes(bad[_i].in, 0, bad[_i].status);
}
END_TEST

static struct str repeated(const char *front, char c, size_t n, const char *back)
{
    size_t f = strlen(front), b = strlen(back);
    char *text = mem_array(ctx, char, f + n + b);
    memcpy(text, front, f);
    memset(text + f, c, n);
    memcpy(text + f + n, back, b);
    return str_n(text, f + n + b);
}

START_TEST(caps_of_lines)
{
    const char *tail = " HTTP/1.1\r\n" HOST "\r\n";
    size_t room = HTTP_MAX_LINE - strlen("GET /") - strlen(" HTTP/1.1");
    ck_assert_int_eq(parse(repeated("GET /", 'a', room, tail)), RC_OK);
    ck_assert_int_eq(parse(repeated("GET /", 'a', room + 1, tail)), RC_LIMIT);
    ck_assert_int_eq(head.refuse_status, 414);
    ck_assert_msg(parse(repeated("GET /", 'a', HTTP_MAX_LINE + 2, "")) == RC_LIMIT, "an endless line is refused early");
    ck_assert_int_eq(head.refuse_status, 414);

    const char *front = "GET / HTTP/1.1\r\n" HOST "X: ";
    room = HTTP_MAX_HEAD - strlen(front) - 4;
    ck_assert_int_eq(parse(repeated(front, 'a', room, "\r\n\r\n")), RC_OK);
    ck_assert_uint_eq(length, HTTP_MAX_HEAD);
    ck_assert_int_eq(parse(repeated(front, 'a', room + 1, "\r\n\r\n")), RC_LIMIT);
    ck_assert_int_eq(head.refuse_status, 431);
    ck_assert_int_eq(parse(repeated(front, 'a', 70 << 10, "\r\n\r\n")), RC_LIMIT);
    ck_assert_int_eq(head.refuse_status, 431);
    ck_assert_msg(parse(repeated(front, 'a', room - 1, "\r\n\r\nmore of the next request")) == RC_OK, "%s",
                  err.sentence);
    ck_assert_uint_eq(length, HTTP_MAX_HEAD - 1);
}
END_TEST

START_TEST(caps_of_fields)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    buf_z(&b, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 1; i < HTTP_MAX_FIELDS; i++)
        buf_printf(&b, "X-%d: %d\r\n", i, i);
    size_t before = b.n;
    buf_z(&b, "\r\n");
    ck_assert_int_eq(parse(buf_view(&b)), RC_OK);
    ck_assert_uint_eq(head.field_count, 100);
    ck_assert(str_eqz(head.fields[99].name, "X-99") && str_eqz(head.fields[99].value, "99"));
    b.n = before;
    buf_z(&b, "X: the 101st\r\n");
    ck_assert_int_eq(parse(buf_view(&b)), RC_LIMIT);
    ck_assert_int_eq(head.refuse_status, 431);
}
END_TEST

START_TEST(fields_are_copies)
{
    char text[] = "GET /x HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nA:  b c \r\n\r\n";
    ck_assert_int_eq(parse(str_of(text)), RC_OK);
    memset(text, '#', sizeof text);
    ck_assert(str_eqz(head.target, "/x") && head.expect_continue);
    ck_assert(str_eqz(head.fields[2].name, "A") && str_eqz(head.fields[2].value, "b c"));
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
    Suite *s = suite_create("http_head");
    TCase *t = tcase_create("head");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, takes_what_is_right, 0, COUNT(good));
    tcase_add_loop_test(t, refuses_what_is_wrong, 0, COUNT(bad));
    tcase_add_loop_test(t, prefixes_of_good_heads, 0, COUNT(good));
    tcase_add_loop_test(t, prefixes_of_bad_heads, 0, COUNT(bad));
    tcase_add_test(t, caps_of_lines);
    tcase_add_test(t, caps_of_fields);
    tcase_add_test(t, fields_are_copies);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
