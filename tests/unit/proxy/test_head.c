/* Contract: what a request asks for is one host or nothing; hop-by-hop fields stay here; a secret stands where its
 * placeholder stood, for its host and place alone, and every other trace of a watched string is found. */
#include "base/text.h"
#include "proxy/head.h"
#include <check.h>
#include <stdlib.h>

#define PLACEHOLDER "nmph_placeholder123"
#define CANARY      "sk-live-canary000111"

static mem *ctx;
static struct policy policy;
static struct sentinel *watch;

static void begin(void)
{
    ctx = mem_root();
    static struct bound_secret secret;
    secret = (struct bound_secret){
        .name = "TOKEN", .placeholder = STR(PLACEHOLDER), .value = STR("the value"), .places = SECRET_IN_HEADER};
    ck_assert_int_eq(hostname_parse(STR("api.test"), &secret.host.host, NULL), RC_OK);
    policy = (struct policy){.secrets = &secret, .secret_count = 1};
    struct str watched[] = {STR(PLACEHOLDER), STR(CANARY)};
    watch = sentinel_new(ctx, watched, 2);
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static enum rc ask_of(const char *text, const char *inside, struct http_head *head, struct ask *ret)
{
    struct hostname host;
    uint16_t port = 443;
    size_t n;
    ck_assert_msg(http_head_parse(ctx, str_of(text), head, &n, NULL) == RC_OK, "%s", text);
    if (inside)
        ck_assert_int_eq(hostname_parse_port(str_of(inside), &host, &port, NULL), RC_OK);
    return head_ask(head, inside ? &host : NULL, port, ret, NULL);
}

static const struct {
    const char *text, *inside; /* inside NULL: on the plain listener */
    const char *host;          /* NULL: refused */
    uint16_t port;
} asks[] = {
    {"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n", NULL, "api.test", 443},
    {"CONNECT API.test.:8443 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n", NULL, "api.test", 8443},
    {"CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, NULL, 0},
    {"CONNECT api.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", NULL, NULL, 0},
    {"CONNECT user@api.test:443 HTTP/1.1\r\nHost: a\r\n\r\n", NULL, NULL, 0},
    {"CONNECT https://api.test:443 HTTP/1.1\r\nHost: a\r\n\r\n", NULL, NULL, 0},
    {"GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, "api.test", 80},
    {"GET http://api.test:81/x HTTP/1.1\r\nHost: api.test:81\r\n\r\n", NULL, "api.test", 81},
    {"GET http://api.test HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, "api.test", 80},
    {"GET HTTP://api.test/ HTTP/1.1\r\nHost: api.test:80\r\n\r\n", NULL, "api.test", 80},
    {"GET http://api.test/x HTTP/1.0\r\n\r\n", NULL, "api.test", 80},
    {"GET http://api.test/x HTTP/1.1\r\nHost: other.test\r\n\r\n", NULL, NULL, 0},
    {"GET http://api.test/x HTTP/1.1\r\nHost: api.test:81\r\n\r\n", NULL, NULL, 0},
    {"GET http://user@api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, NULL, 0},
    {"GET http://api.test?x HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, NULL, 0},
    {"GET https://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, NULL, 0},
    {"GET ftp://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, NULL, 0},
    {"GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n", NULL, NULL, 0},
    {"GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n", "api.test", "api.test", 443},
    {"GET /x HTTP/1.1\r\nHost: API.TEST.:443\r\n\r\n", "api.test", "api.test", 443},
    {"OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n", "api.test", "api.test", 443},
    {"GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n", "api.test:8443", NULL, 0},
    {"GET /x HTTP/1.1\r\nHost: other.test\r\n\r\n", "api.test", NULL, 0},
    {"GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n", "api.test", NULL, 0},
    {"CONNECT other.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n", "api.test", NULL, 0},
};

START_TEST(asked)
{
    struct http_head head;
    struct ask ask;
    enum rc rc = ask_of(asks[_i].text, asks[_i].inside, &head, &ask);
    if (!asks[_i].host) {
        ck_assert_msg(rc == RC_INVALID, "taken: %s", asks[_i].text);
        return;
    }
    ck_assert_msg(rc == RC_OK, "refused: %s", asks[_i].text);
    ck_assert_str_eq(ask.host.text, asks[_i].host);
    ck_assert_uint_eq(ask.port, asks[_i].port);
}
END_TEST

static const char *passed(const char *fields, const char *host, int *ret_found)
{
    struct http_head head;
    struct ask ask;
    struct buf out;
    const char *text = mem_printf(ctx, "GET /path?q=1 HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, fields);
    ck_assert_int_eq(ask_of(text, host, &head, &ask), RC_OK);
    struct swap swap = {&policy, watch, &ask.host, ask.port};
    buf_init(&out, ctx, 65536);
    head_request(ctx, &head, &ask, &swap, head_is_websocket(&head), -1, &out, ret_found);
    return out.p;
}

START_TEST(hop_by_hop)
{
    int found;
    const char *text =
        passed("Connection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic eA==\r\nX-Mine: 1\r\n"
               "Upgrade: h2c\r\nTE: trailers\r\nX-Other: 2\r\n",
               "api.test", &found);
    ck_assert_int_eq(found, -1);
    ck_assert_str_eq(
        text, "GET /path?q=1 HTTP/1.1\r\nHost: api.test\r\nX-Other: 2\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    text = passed("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n", "api.test", &found);
    ck_assert_ptr_nonnull(strstr(text, "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    text = passed("Connection: close, Host, Content-Length\r\nContent-Length: 0\r\n", "api.test", &found);
    ck_assert_ptr_nonnull(strstr(text, "Content-Length: 0\r\n"));
}
END_TEST

START_TEST(secrets)
{
    int found;
    const char *text = passed("X-Token: " PLACEHOLDER "\r\n", "api.test", &found);
    ck_assert_int_eq(found, -1);
    ck_assert_ptr_nonnull(strstr(text, "X-Token: the value\r\n"));
    const char *packed = text_base64(ctx, STR("me:" PLACEHOLDER));
    text = passed(mem_printf(ctx, "Authorization: Basic %s\r\n", packed), "api.test", &found);
    ck_assert_int_eq(found, -1);
    ck_assert_ptr_nonnull(
        strstr(text, mem_printf(ctx, "Authorization: Basic %s\r\n", text_base64(ctx, STR("me:the value")))));
    passed("X-Token: " PLACEHOLDER "\r\n", "other.test", &found);
    ck_assert_int_eq(found, 0);
    passed(mem_printf(ctx, "Authorization: Basic %s\r\n", packed), "other.test", &found);
    ck_assert_int_eq(found, 0);
    passed(mem_printf(ctx, "X-Token: %s\r\n", packed), "api.test", &found); /* in a form in which it is not put in */
    ck_assert_int_eq(found, 0);
    passed("X-Any: " CANARY "\r\n", "api.test", &found);
    ck_assert_int_eq(found, 1);
}
END_TEST

START_TEST(secrets_in_the_query)
{
    struct hostname host;
    struct str out;
    ck_assert_int_eq(hostname_parse(STR("api.test"), &host, NULL), RC_OK);
    struct swap swap = {&policy, watch, &host, 443};
    ck_assert_int_eq(swap_text(ctx, &swap, SECRET_IN_QUERY, STR("/x?k=" PLACEHOLDER), &out), 0);
    policy.secrets[0].places |= SECRET_IN_QUERY;
    ck_assert_int_eq(swap_text(ctx, &swap, SECRET_IN_QUERY, STR("/x?k=" PLACEHOLDER "&l=" PLACEHOLDER), &out), -1);
    ck_assert(str_eqz(out, "/x?k=the value&l=the value"));
}
END_TEST

START_TEST(answers)
{
    struct http_reply r;
    struct buf out;
    size_t n;
    const char *text =
        "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n"
        "Alt-Svc: h3=\":443\"\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n";
    ck_assert_int_eq(http_reply_parse(ctx, str_of(text), STR("GET"), &r, &n, NULL), RC_OK);
    buf_init(&out, ctx, 65536);
    head_answer(&r, BODY_CHUNKS, true, 1, &out);
    ck_assert_str_eq(out.p,
                     "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    buf_clear(&out);
    head_answer(&r, BODY_UNCHUNK, false, 0, &out);
    ck_assert_str_eq(out.p, "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: close\r\n\r\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("head");
    TCase *t = tcase_create("head");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_loop_test(t, asked, 0, sizeof asks / sizeof *asks);
    tcase_add_test(t, hop_by_hop);
    tcase_add_test(t, secrets);
    tcase_add_test(t, secrets_in_the_query);
    tcase_add_test(t, answers);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
