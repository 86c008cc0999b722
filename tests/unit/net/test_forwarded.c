/* Contract: what proxies say of a client counts only from named peers, only in the chosen field, and only as far as
 * named proxies wrote it; whatever a client writes itself never becomes its address; what cannot be read ends the walk
 * at the last hop that is known. */
#include "net/forwarded.h"
#include <check.h>
#include <stdio.h>

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
static struct err err;

static struct forwarded_trust trust_of(const char *text, bool rfc7239)
{
    struct forwarded_trust t = {.rfc7239 = rfc7239};
    ck_assert_msg(forwarded_trust_parse(str_of(text), &t, &err) == RC_OK, "%s", err.sentence);
    return t;
}

static const struct {
    const char *trust, *peer, *said[3], *client;
} lists[] = {
    {"", "192.0.2.9", {"203.0.113.7"}, "192.0.2.9"},
    {"127.0.0.1", "192.0.2.9", {"203.0.113.7"}, "192.0.2.9"},
    {"127.0.0.1", "127.0.0.1", {NULL}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"203.0.113.7"}, "203.0.113.7"},
    {"127.0.0.1", "127.0.0.1", {"  203.0.113.7  "}, "203.0.113.7"},
    /* the client has sent the first entry itself */
    {"127.0.0.1", "127.0.0.1", {"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
    {"127.0.0.1", "127.0.0.1", {"127.0.0.1, 203.0.113.7"}, "203.0.113.7"},
    {"127.0.0.1", "127.0.0.1", {"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
    /* two proxies */
    {"127.0.0.1,10.0.0.0/8", "127.0.0.1", {"203.0.113.7, 10.1.2.3"}, "203.0.113.7"},
    {"127.0.0.1,10.0.0.0/8", "127.0.0.1", {"198.51.100.1, 203.0.113.7, 10.1.2.3"}, "203.0.113.7"},
    {"127.0.0.1", "127.0.0.1", {"203.0.113.7, 10.1.2.3"}, "10.1.2.3"},
    {"127.0.0.1,10.0.0.0/8", "127.0.0.1", {"10.9.9.9, 10.1.2.3"}, "10.9.9.9"},
    /* what cannot be read */
    {"127.0.0.1,10.0.0.0/8", "127.0.0.1", {"203.0.113.7, unknown, 10.1.2.3"}, "10.1.2.3"},
    {"127.0.0.1", "127.0.0.1", {"unknown"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {""}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"203.0.113.7,"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"203.0.113.7, \"10.0.0.1"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"0x7f.1"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"203.0.113.700"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"fe80::1%eth0"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"localhost"}, "127.0.0.1"},
    /* ports, IPv6, mapped addresses */
    {"127.0.0.1", "127.0.0.1", {"203.0.113.7:4711"}, "203.0.113.7"},
    {"127.0.0.1", "127.0.0.1", {"203.0.113.7:471100"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"2001:DB8::7"}, "2001:db8::7"},
    {"127.0.0.1", "127.0.0.1", {"[2001:db8::7]:443"}, "2001:db8::7"},
    {"127.0.0.1", "127.0.0.1", {"[2001:db8::7"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"[203.0.113.7]"}, "127.0.0.1"},
    {"127.0.0.1", "127.0.0.1", {"::ffff:203.0.113.7"}, "203.0.113.7"},
    {"127.0.0.1", "::ffff:127.0.0.1", {"203.0.113.7"}, "203.0.113.7"},
    {"::1, 2001:db8:5::/48", "2001:db8:5:6::1", {"203.0.113.7"}, "203.0.113.7"},
    {"2001:db8:5::/49", "2001:db8:5:8000::1", {"203.0.113.7"}, "2001:db8:5:8000::1"},
    {"192.0.2.128/25", "192.0.2.127", {"203.0.113.7"}, "192.0.2.127"},
    {"192.0.2.128/25", "192.0.2.129", {"203.0.113.7"}, "203.0.113.7"},
    {"0.0.0.0/0", "192.0.2.1", {"203.0.113.7"}, "203.0.113.7"},
    {"0.0.0.0/0", "2001:db8::1", {"203.0.113.7"}, "2001:db8::1"},
    {"127.0.0.1", "", {"203.0.113.7"}, ""},
};

START_TEST(x_forwarded_for)
{
    struct http_field fields[6];
    size_t n = 1;
    struct forwarded_trust t = trust_of(lists[_i].trust, false);
    fields[0] = (struct http_field){STR("Forwarded"), STR("for=198.51.100.99")}; /* a client's: it does not count */
    for (size_t i = 0; i < 3 && lists[_i].said[i]; i++)
        fields[n++] =
            (struct http_field){i ? STR("X-Forwarded-For") : STR("x-forwarded-for"), str_of(lists[_i].said[i])};
    fields[n++] = (struct http_field){STR("Forwarded"), STR("for=198.51.100.98")};
    ck_assert_str_eq(forwarded_read(&t, lists[_i].peer, fields, n).address, lists[_i].client);
}
END_TEST

static const struct {
    const char *said[3], *client;
    bool https;
} elements[] = {
    {{"for=203.0.113.7"}, "203.0.113.7", false},
    {{"For=\"[2001:db8:cafe::17]:4711\";proto=https;by=203.0.113.43"}, "2001:db8:cafe::17", true},
    {{"for=198.51.100.1;proto=https, for=203.0.113.7;proto=http"}, "203.0.113.7", false},
    {{"for=198.51.100.1", "for=203.0.113.7; proto=https"}, "203.0.113.7", true},
    {{"for=203.0.113.7, for=10.0.0.2"}, "203.0.113.7", false},
    {{"for=203.0.113.7;proto=https, for=10.0.0.2;proto=http"}, "203.0.113.7", true},
    {{"for=_hidden, for=10.0.0.2"}, "10.0.0.2", false},
    {{"for=unknown"}, "127.0.0.1", false},
    {{"for=203.0.113.7;for=198.51.100.1"}, "127.0.0.1", false},
    {{"by=203.0.113.7"}, "127.0.0.1", false},
    {{"for=\"203.0.113.7, for=198.51.100.1"}, "127.0.0.1", false},
    {{"for=\"a\\\",for=198.51.100.1\""}, "127.0.0.1", false},
    {{"for=2001:db8::1"}, "2001:db8::1", false}, /* not as the RFC has it, but as some proxies write it */
    {{"for=\"203.0.113.7:_port\""}, "127.0.0.1", false},
    {{NULL}, "127.0.0.1", false},
};

START_TEST(forwarded)
{
    struct http_field fields[6];
    size_t n = 1;
    struct forwarded_trust t = trust_of("127.0.0.1, 10.0.0.0/8", true);
    fields[0] = (struct http_field){STR("X-Forwarded-For"), STR("198.51.100.99")};
    for (size_t i = 0; i < 3 && elements[_i].said[i]; i++)
        fields[n++] = (struct http_field){STR("Forwarded"), str_of(elements[_i].said[i])};
    fields[n++] = (struct http_field){STR("X-Forwarded-Proto"), STR("https")};
    struct forwarded f = forwarded_read(&t, "127.0.0.1", fields, n);
    ck_assert_str_eq(f.address, elements[_i].client);
    ck_assert_int_eq(f.https, elements[_i].https);
}
END_TEST

START_TEST(the_scheme_is_the_proxys_word)
{
    struct forwarded_trust t = trust_of("127.0.0.1", false);
    struct http_field said[] = {{STR("X-Forwarded-Proto"), STR("http, https")}};
    ck_assert(forwarded_read(&t, "127.0.0.1", said, 1).https);
    ck_assert(!forwarded_read(&t, "192.0.2.1", said, 1).https);
    said[0].value = STR("https, http");
    ck_assert(!forwarded_read(&t, "127.0.0.1", said, 1).https);
}
END_TEST

START_TEST(a_long_list_costs_no_more_than_its_end)
{
    char text[8192] = "198.51.100.1";
    struct forwarded_trust t = trust_of("10.0.0.0/8", false);
    for (size_t n = strlen(text); n < sizeof text - 20; n = strlen(text))
        snprintf(text + n, sizeof text - n, ",10.0.0.1");
    struct http_field field = {STR("X-Forwarded-For"), str_of(text)};
    ck_assert_str_eq(forwarded_read(&t, "10.0.0.9", &field, 1).address, "10.0.0.1");
}
END_TEST

START_TEST(wrong_lists_are_refused_whole)
{
    static const char *const wrong[] = {"proxy.example", "10.0.0.0/33",       "::/129", "10.0.0.0/", "10.0.0.0/-1",
                                        "10.0.0/8",      "10.0.0.1 10.0.0.2", "*",      "/8",        "10.0.0.1,x"};
    struct forwarded_trust t = {.n = 0};
    ck_assert_int_eq(forwarded_trust_parse(str_of(wrong[_i]), &t, &err), RC_INVALID);
    ck_assert_uint_eq(t.n, 0);
    ck_assert_int_eq(forwarded_trust_parse(STR(" , "), &t, &err), RC_OK);
    ck_assert_uint_eq(t.n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forwarded");
    TCase *c = tcase_create("forwarded");
    tcase_add_loop_test(c, x_forwarded_for, 0, COUNT(lists));
    tcase_add_loop_test(c, forwarded, 0, COUNT(elements));
    tcase_add_test(c, the_scheme_is_the_proxys_word);
    tcase_add_test(c, a_long_list_costs_no_more_than_its_end);
    tcase_add_loop_test(c, wrong_lists_are_refused_whole, 0, 10);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
