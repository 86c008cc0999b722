/* Contract: every spelling of a host is judged as the name that is dialled, or refused; no other parser's reading of it
 * can lead anywhere else. Reserved addresses are known as such. */
#include "net/hostname.h"
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

#define TRICK(spelling, canonical)                                                                                     \
    {                                                                                                                  \
        {spelling, sizeof(spelling) - 1}, canonical                                                                    \
    }
/* NULL: refused. */
static const struct {
    struct str spelling;
    const char *canonical;
} tricks[] = {
    TRICK("example.org", "example.org"),
    TRICK("EXAMPLE.org", "example.org"),
    TRICK("eXaMpLe.OrG.", "example.org"),
    TRICK("example.org..", NULL),
    TRICK(".example.org", NULL),
    TRICK("example..org", NULL),
    TRICK(".", NULL),
    TRICK("", NULL),
    TRICK("example.org\0.evil.test", NULL),
    TRICK("example.org\n.evil.test", NULL),
    TRICK("example.org\r\nHost: evil.test", NULL),
    TRICK("example.org\t", NULL),
    TRICK(" example.org", NULL),
    TRICK("example.org ", NULL),
    TRICK("example.org/evil", NULL),
    TRICK("example.org\\evil", NULL),
    TRICK("example.org?evil", NULL),
    TRICK("example.org#evil.test", NULL),
    TRICK("user@example.org", NULL),
    TRICK("example.org@evil.test", NULL),
    TRICK("example.org:pass@evil.test", NULL),
    TRICK("example%2eorg", NULL),
    TRICK("%65xample.org", NULL),
    TRICK("example.org%00.evil.test", NULL),
    TRICK("exämple.org", NULL),
    TRICK("example\xe3\x80\x82org", NULL), /* ideographic full stop, a dot to IDNA */
    TRICK("\xef\xbd\x85xample.org", NULL), /* full-width e */
    TRICK("xn--exmple-cua.org", "xn--exmple-cua.org"),
    TRICK("e\xcc\x81xample.org", NULL),
    TRICK("example.org\xc2\xad", NULL), /* soft hyphen, nothing to IDNA */
    TRICK("-example.org", NULL),
    TRICK("example-.org", NULL),
    TRICK("a_b.example.org", "a_b.example.org"),
    TRICK("127.0.0.1", "127.0.0.1"),
    TRICK("127.0.0.1.", "127.0.0.1"),
    TRICK("127.1", NULL),
    TRICK("127.0.1", NULL),
    TRICK("2130706433", NULL),
    TRICK("0x7f000001", NULL),
    TRICK("0x7f.0.0.1", NULL),
    TRICK("0177.0.0.1", NULL),
    TRICK("127.0.0.01", NULL),
    TRICK("127.0.0.0x1", NULL),
    TRICK("127.0.0.256", NULL),
    TRICK("1.2.3.4.5", NULL),
    TRICK("example.0x7f", NULL),
    TRICK("example.127", NULL),
    TRICK("127.0.0.1.example.org", "127.0.0.1.example.org"),
    TRICK("[::1]", "::1"),
    TRICK("[0:0:0:0:0:0:0:1]", "::1"),
    TRICK("[2001:DB8::7]", "2001:db8::7"),
    TRICK("::1", NULL),
    TRICK("[::ffff:127.0.0.1]", NULL),
    TRICK("[::ffff:7f00:1]", NULL),
    TRICK("[::127.0.0.1]", NULL),
    TRICK("[fe80::1%eth0]", NULL),
    TRICK("[fe80::1%25eth0]", NULL),
    TRICK("[::1", NULL),
    TRICK("[]", NULL),
    TRICK("[127.0.0.1]", NULL),
    TRICK("[::1].example.org", NULL),
    TRICK("localhost", "localhost"),
    TRICK("*", NULL),
    TRICK("*.example.org", NULL),
    TRICK("a.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL), /* 64 letters */
};

START_TEST(spellings)
{
    struct hostname h;
    struct err err = {0};
    enum rc rc = hostname_parse(tricks[_i].spelling, &h, &err);
    if (!tricks[_i].canonical) {
        ck_assert_msg(rc == RC_INVALID, "taken: %.*s as %s", STR_FMT(tricks[_i].spelling), h.text);
        ck_assert_msg(!h.text[0] && err.sentence[0], "a refused host leaves nothing behind");
        return;
    }
    ck_assert_msg(rc == RC_OK, "%.*s: %s", STR_FMT(tricks[_i].spelling), err.sentence);
    ck_assert_str_eq(h.text, tricks[_i].canonical);
}
END_TEST

START_TEST(length)
{
    char long_name[300];
    struct hostname h;
    memset(long_name, 'a', sizeof long_name);
    for (size_t i = 50; i < sizeof long_name; i += 51)
        long_name[i] = '.';
    ck_assert_int_eq(hostname_parse(str_n(long_name, 253), &h, NULL), RC_OK);
    ck_assert_int_eq(hostname_parse(str_n(long_name, 254), &h, NULL), RC_INVALID);
}
END_TEST

static const struct {
    const char *text, *host;
    int port; /* 0: refused; 443 where none is said */
} ports[] = {
    {"example.org", "example.org", 443},
    {"example.org:8443", "example.org", 8443},
    {"[::1]:80", "::1", 80},
    {"example.org:", NULL, 0},
    {"example.org:0", NULL, 0},
    {"example.org:65536", NULL, 0},
    {"example.org:080", NULL, 0},
    {"example.org:+80", NULL, 0},
    {"example.org:80:90", NULL, 0},
    {"example.org:80@evil.test", NULL, 0},
    {":80", NULL, 0},
    {"example.org:99999999999", NULL, 0},
};

START_TEST(with_port)
{
    struct hostname h;
    uint16_t port = 443;
    enum rc rc = hostname_parse_port(str_of(ports[_i].text), &h, &port, NULL);
    if (!ports[_i].port) {
        ck_assert_msg(rc == RC_INVALID, "taken: %s", ports[_i].text);
        return;
    }
    ck_assert_int_eq(rc, RC_OK);
    ck_assert_str_eq(h.text, ports[_i].host);
    ck_assert_uint_eq(port, ports[_i].port);
}
END_TEST

static const struct {
    const char *address;
    bool reserved;
} addresses[] = {
    {"1.1.1.1", false},
    {"8.8.8.8", false},
    {"0.0.0.0", true},
    {"10.0.0.1", true},
    {"100.64.0.1", true},
    {"100.128.0.1", false},
    {"127.0.0.1", true},
    {"127.255.255.254", true},
    {"169.254.169.254", true},
    {"172.15.0.1", false},
    {"172.16.0.1", true},
    {"172.31.255.255", true},
    {"172.32.0.1", false},
    {"192.168.1.1", true},
    {"198.18.0.1", true},
    {"198.20.0.1", false},
    {"224.0.0.1", true},
    {"255.255.255.255", true},
    {"2606:4700::1111", false},
    {"::1", true},
    {"::", true},
    {"::ffff:1.1.1.1", true},
    {"64:ff9b::1.1.1.1", true},
    {"fc00::1", true},
    {"fe80::1", true},
    {"ff02::1", true},
    {"2001:db8::1", true},
    {"2002:7f00:1::", true},
    {"2001::1", true},
    {"4000::1", true},
    {"2a00:1450::1", false},
};

static void address_make(const char *text, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    void *to = ret->ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)ret)->sin6_addr
                                          : (void *)&((struct sockaddr_in *)ret)->sin_addr;
    ck_assert_int_eq(inet_pton(ret->ss_family, text, to), 1);
}

START_TEST(reserved)
{
    struct sockaddr_storage sa;
    address_make(addresses[_i].address, &sa);
    const char *what = address_reserved((const struct sockaddr *)&sa);
    ck_assert_msg((what != NULL) == addresses[_i].reserved, "%s: %s", addresses[_i].address, what ? what : "ordinary");
}
END_TEST

START_TEST(blocks)
{
    struct address_block b;
    struct sockaddr_storage in, out;
    address_make("10.1.2.3", &in);
    address_make("10.1.3.3", &out);
    ck_assert_int_eq(address_block_parse(STR(" 10.1.2.0/24 "), &b, NULL), RC_OK);
    ck_assert(address_block_holds(&b, (const struct sockaddr *)&in));
    ck_assert(!address_block_holds(&b, (const struct sockaddr *)&out));
    ck_assert_int_eq(address_block_parse(STR("10.1.2.3"), &b, NULL), RC_OK);
    ck_assert(address_block_holds(&b, (const struct sockaddr *)&in));
    static const char *const wrong[] = {"", "/8", "10.0.0.0/33", "10.0.0.0/", "example.org", "::1/129", "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(address_block_parse(str_of(wrong[i]), &b, NULL) == RC_INVALID, "taken: %s", wrong[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostname");
    TCase *t = tcase_create("hostname");
    tcase_add_loop_test(t, spellings, 0, sizeof tricks / sizeof *tricks);
    tcase_add_loop_test(t, with_port, 0, sizeof ports / sizeof *ports);
    tcase_add_loop_test(t, reserved, 0, sizeof addresses / sizeof *addresses);
    tcase_add_test(t, length);
    tcase_add_test(t, blocks);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
