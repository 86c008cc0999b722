/* Contract: of all routes of the register, none is reached by a page of another place with this daemon's cookie: 60
 * pairs of Host and Origin, each held against the listener's rule and the one for cookies. What a key vouches for is
 * left to the listener's rule. */
#include "api/route_rows.h"
#include <check.h>

static mem *root;
static const struct http_hosts hosts = {
    .more = (const char *const[]){"mill.example", NULL}, .address = "127.0.0.1", .port = 8098};

static void setup(void)
{
    root = mem_root();
}

static void teardown(void)
{
    root = mem_free(root);
}

/* own: the page is the one that the request is sent to. reads: a reading without Origin, as an address typed or a fetch
 * of the page itself sends it. */
struct pair {
    const char *host, *origin, *site;
    bool own, reads;
};
#define OWN "http://127.0.0.1:8098"
static const struct pair pairs[] = {
    /* of the page itself */
    {"127.0.0.1:8098", OWN, "same-origin", true, true},
    {"127.0.0.1:8098", OWN, NULL, true, true},
    {"127.0.0.1:8098", NULL, "same-origin", true, true},
    {"localhost:8098", "http://localhost:8098", "same-origin", true, true},
    {"LOCALHOST:8098", "http://localhost:8098", NULL, true, true},
    {"[::1]:8098", "http://[::1]:8098", NULL, true, true},
    {"mill.example", "https://mill.example", "same-origin", true, true},
    {"mill.example", "https://mill.example:443", NULL, false, false}, /* no browser says the usual port */
    {"mill.example:8098", "http://mill.example:8098", "same-origin", true, true},
    /* readings that no page asked for: an address that was typed, a program */
    {"127.0.0.1:8098", NULL, "none", false, true},
    {"127.0.0.1:8098", NULL, NULL, false, true},
    /* other places */
    {"127.0.0.1:8098", "http://evil.example", "cross-site", false, false},
    {"127.0.0.1:8098", "http://evil.example", NULL, false, false},
    {"127.0.0.1:8098", "https://evil.example:8098", NULL, false, false},
    {"127.0.0.1:8098", "null", NULL, false, false},
    {"127.0.0.1:8098", "null", "cross-site", false, false},
    {"127.0.0.1:8098", "", "cross-site", false, false},
    {"127.0.0.1:8098", NULL, "cross-site", false, false},
    {"127.0.0.1:8098", NULL, "same-site", false, false},
    {"127.0.0.1:8098", OWN, "cross-site", false, false},
    {"127.0.0.1:8098", OWN, "same-site", false, false},
    {"127.0.0.1:8098", OWN, "nonsense", false, false},
    /* other ports and names of this machine: same site for cookies, another page all the same */
    {"127.0.0.1:8098", "http://127.0.0.1:3000", "same-site", false, false},
    {"127.0.0.1:8098", "http://127.0.0.1:3000", NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.1", NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.1:80980", NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.1:809", NULL, false, false},
    {"127.0.0.1:8098", "http://localhost:8098", NULL, false, false},
    {"localhost:8098", OWN, NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.2:8098", NULL, false, false},
    {"127.0.0.1:8098", "http://[::1]:8098", NULL, false, false},
    {"127.0.0.1:8098", "http://mill.example:8098", NULL, false, false},
    {"mill.example:8098", OWN, NULL, false, false},
    {"127.0.0.1:8098", "https://127.0.0.1:8099", NULL, false, false},
    /* look-alikes */
    {"127.0.0.1:8098", "http://127.0.0.1:8098.evil.example", NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.1.evil.example:8098", NULL, false, false},
    {"127.0.0.1:8098", "http://evil.example/127.0.0.1:8098", NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.1:8098@evil.example", NULL, false, false},
    {"127.0.0.1:8098", "http://evil.example#127.0.0.1:8098", NULL, false, false},
    {"127.0.0.1:8098", "http://127.0.0.1:8098/", NULL, false, false},
    {"127.0.0.1:8098", OWN " " OWN, NULL, false, false},
    {"127.0.0.1:8098", OWN ", http://evil.example", NULL, false, false},
    {"127.0.0.1:8098", "127.0.0.1:8098", NULL, false, false},
    {"127.0.0.1:8098", "//127.0.0.1:8098", NULL, false, false},
    {"127.0.0.1:8098", "ftp://127.0.0.1:8098", NULL, false, false},
    {"127.0.0.1:8098", "file://", NULL, false, false},
    {"127.0.0.1:8098", "chrome-extension://abcdefghijklmnop", NULL, false, false},
    {"127.0.0.1:8098", "HTTP://127.0.0.1:8098", NULL, false, false},
    {"mill.example", "https://mill.example.evil.example", NULL, false, false},
    {"mill.example", "https://evilmill.example", NULL, false, false},
    {"mill.example", "https://mill.example.", NULL, false, false},
    {"mill.example", "https://mill.example:8443", NULL, false, false},
    /* names that are not ours (rebinding) */
    {"evil.example", "http://evil.example", "same-origin", false, false},
    {"evil.example:8098", "http://evil.example:8098", "same-origin", false, false},
    {"evil.example:8098", NULL, "same-origin", false, false},
    {"evil.example:8098", NULL, NULL, false, false},
    {"127.0.0.1.nip.example:8098", "http://127.0.0.1.nip.example:8098", "same-origin", false, false},
    {"localhost.evil.example:8098", "http://localhost.evil.example:8098", "same-origin", false, false},
    {"127.1:8098", "http://127.1:8098", "same-origin", false, false},
    {"2130706433:8098", "http://2130706433:8098", "same-origin", false, false},
    {"0.0.0.0:8098", "http://0.0.0.0:8098", "same-origin", false, false},
    {"localhost:80", "http://localhost", "same-origin", false, false},
    {"", "http://127.0.0.1:8098", "same-origin", false, false},
    {NULL, OWN, "same-origin", false, false},
};

static struct http_request asking(const char *method, const struct pair *p, const char *type, const char *upgrade)
{
    struct http_field *f = mem_array(root, struct http_field, 6);
    struct http_request r = {.ctx = root, .method = str_of(method), .fields = f, .peer = {.origin = HTTP_BY_TCP}};
    if (p->host)
        f[r.field_count++] = (struct http_field){STR("Host"), str_of(p->host)};
    if (p->origin)
        f[r.field_count++] = (struct http_field){STR("Origin"), str_of(p->origin)};
    if (p->site)
        f[r.field_count++] = (struct http_field){STR("Sec-Fetch-Site"), str_of(p->site)};
    if (type)
        f[r.field_count++] = (struct http_field){STR("Content-Type"), str_of(type)};
    if (upgrade)
        f[r.field_count++] = (struct http_field){STR("Upgrade"), str_of(upgrade)};
    return r;
}

static bool allowed(const struct http_request *r, bool cookie, bool logs_in)
{
    const char *why;
    return http_hosts_allow(&hosts, r, &why) && crossing_check(r, cookie, logs_in, NULL) == RC_OK;
}

START_TEST(no_page_of_another_place_reaches_a_route)
{
    size_t count = sizeof pairs / sizeof *pairs, checked = 0;
    ck_assert_uint_ge(count, 60);
    for (size_t i = 0; i < route_count; i++) {
        bool get = strcmp(routes[i]->method, "GET") == 0;
        for (size_t k = 0; k < count; k++, checked++) {
            struct http_request r = asking(routes[i]->method, &pairs[k], get ? NULL : "application/json", NULL);
            bool expected = get ? pairs[k].own || pairs[k].reads : pairs[k].own;
            ck_assert_msg(allowed(&r, true, routes[i]->logs_in) == expected, "%s %s: Host %s, Origin %s, site %s",
                          routes[i]->method, routes[i]->pattern, pairs[k].host, pairs[k].origin, pairs[k].site);
        }
    }
    ck_assert_uint_ge(checked, 60 * route_count);
}
END_TEST

START_TEST(sockets_need_the_origin_of_their_page)
{
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        struct http_request r = asking("GET", &pairs[k], NULL, "websocket");
        bool expected = pairs[k].own && pairs[k].origin;
        ck_assert_msg(allowed(&r, true, false) == expected, "Host %s, Origin %s, site %s", pairs[k].host,
                      pairs[k].origin, pairs[k].site);
    }
}
END_TEST

/* What a form or an image can send without asking (Fetch, "CORS-safelisted"). */
START_TEST(a_form_cannot_change_anything)
{
    static const char *const types[] = {NULL,
                                        "",
                                        "text/plain",
                                        "text/plain; application/json",
                                        "application/x-www-form-urlencoded",
                                        "multipart/form-data; boundary=x",
                                        "application/jsonp",
                                        "application/json2",
                                        "text/json"};
    struct pair own = {"127.0.0.1:8098", OWN, "same-origin", true, true};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct http_request r = asking("POST", &own, types[i], NULL);
        ck_assert_msg(!allowed(&r, true, false), "%s", types[i]);
        ck_assert_msg(!allowed(&r, false, true), "%s", types[i]);
        ck_assert(allowed(&r, false, false)); /* a key vouches for it */
    }
    struct http_request json = asking("POST", &own, "Application/JSON; charset=utf-8", NULL);
    ck_assert(allowed(&json, true, false));
    struct http_request word = asking("DELETE", &own, NULL, NULL);
    word.fields[word.field_count++] = (struct http_field){STR("X-Nightmill"), STR("1")};
    ck_assert(allowed(&word, true, false));
}
END_TEST

START_TEST(two_origins_are_none)
{
    struct pair own = {"127.0.0.1:8098", OWN, NULL, true, true};
    struct http_request r = asking("POST", &own, "application/json", NULL);
    r.fields[r.field_count++] = (struct http_field){STR("origin"), STR(OWN)};
    ck_assert(!allowed(&r, true, false));
}
END_TEST

START_TEST(a_program_without_a_cookie_may_log_in)
{
    struct pair none = {"127.0.0.1:8098", NULL, NULL, false, false};
    struct http_request r = asking("POST", &none, "application/json", NULL);
    ck_assert(allowed(&r, false, true));
    struct pair foreign = {"127.0.0.1:8098", "http://127.0.0.1:3000", NULL, false, false};
    r = asking("POST", &foreign, "application/json", NULL);
    ck_assert(!allowed(&r, false, true));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crossing");
    TCase *c = tcase_create("crossing");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, no_page_of_another_place_reaches_a_route);
    tcase_add_test(c, sockets_need_the_origin_of_their_page);
    tcase_add_test(c, a_form_cannot_change_anything);
    tcase_add_test(c, two_origins_are_none);
    tcase_add_test(c, a_program_without_a_cookie_may_log_in);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
