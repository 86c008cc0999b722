/* Contract: addresses are read as people write them and nothing is guessed; a taken port is told apart from other
 * failures; the names that a listener answers to are exactly its own, whatever a page in a browser makes of them. */
#include "net/address.h"
#include "net/http.h"
#include <check.h>
#include <netinet/in.h>
#include <unistd.h>

static mem *ctx;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

static const struct {
    const char *text, *shown; /* shown: joined by blanks; NULL: refused */
    bool loopback;            /* of all */
} lists[] = {
    {"127.0.0.1:8098", "127.0.0.1:8098", true},
    {" localhost:1 ", "127.0.0.1:1", true},
    {"[::1]:8098", "[::1]:8098", true},
    {"[0:0:0:0:0:0:0:1]:0", "[::1]:0", true},
    {"127.9.8.7:1", "127.9.8.7:1", true},
    {"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true},
    {"127.0.0.1:1, [::1]:1,http://0.0.0.0:65535", "127.0.0.1:1 [::1]:1 0.0.0.0:65535", false},
    {"https://[::]:443", "[::]:443", false},
    {"128.0.0.1:1", "128.0.0.1:1", false},
    {"off", "", true},
    {"", NULL, false},
    {" ", NULL, false},
    {"127.0.0.1:1,", NULL, false},
    {"127.0.0.1", NULL, false},
    {"8098", NULL, false},
    {":8098", NULL, false},
    {"127.0.0.1:", NULL, false},
    {"127.0.0.1:65536", NULL, false},
    {"127.0.0.1:-1", NULL, false},
    {"127.0.0.1:+1", NULL, false},
    {"127.1:1", NULL, false},
    {"0x7f.0.0.1:1", NULL, false},
    {"::1:8098", NULL, false},
    {"[::1]", NULL, false},
    {"[127.0.0.1]:1", NULL, false},
    {"example.org:1", NULL, false},
    {"ftp://127.0.0.1:1", NULL, false},
    {"off,127.0.0.1:1", NULL, false},
    {"1.1.1.1:1,1.1.1.1:2,1.1.1.1:3,1.1.1.1:4,1.1.1.1:5,1.1.1.1:6,1.1.1.1:7,1.1.1.1:8,1.1.1.1:9", NULL, false},
};

START_TEST(lists_are_read)
{
    struct address got[ADDRESSES_MOST];
    struct buf shown;
    size_t n;
    buf_init(&shown, ctx, 1 << 10);
    enum rc rc = address_list_parse(str_of(lists[_i].text), got, &n, &err);
    if (!lists[_i].shown) {
        ck_assert_msg(rc == RC_INVALID, "\"%s\" was taken", lists[_i].text);
        return;
    }
    ck_assert_msg(rc == RC_OK, "\"%s\": %s", lists[_i].text, err.sentence);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&shown, "%s%s", i ? " " : "", got[i].text);
        ck_assert(address_is_loopback((struct sockaddr *)&got[i].sa) == lists[_i].loopback ||
                  (!lists[_i].loopback && i + 1 < n));
    }
    ck_assert_str_eq(n ? shown.p : "", lists[_i].shown);
}
END_TEST

START_TEST(schemes_are_kept)
{
    struct address got[ADDRESSES_MOST];
    size_t n;
    ck_assert_int_eq(address_list_parse(STR("127.0.0.1:1,HTTP://127.0.0.1:2,https://127.0.0.1:3"), got, &n, &err),
                     RC_OK);
    ck_assert(n == 3 && got[0].scheme == ADDRESS_ANY && got[1].scheme == ADDRESS_HTTP &&
              got[2].scheme == ADDRESS_HTTPS);
}
END_TEST

START_TEST(ports_are_given_and_taken)
{
    static const char *const wanted[] = {"127.0.0.1:0", "[::1]:0"};
    for (int i = 0; i < 2; i++) {
        struct address a[ADDRESSES_MOST], b, seen;
        size_t n;
        int fd, second = -1;
        ck_assert_int_eq(address_list_parse(str_of(wanted[i]), a, &n, &err), RC_OK);
        enum rc rc = address_listen(a, 1, &fd, &err);
        if (rc != RC_OK && i == 1)
            return; /* a machine without IPv6 */
        ck_assert_msg(rc == RC_OK, "%s", err.sentence);
        ck_assert_uint_ne(address_port((struct sockaddr *)&a->sa), 0);
        ck_assert_int_eq(address_of_fd(fd, &seen, &err), RC_OK);
        ck_assert_str_eq(seen.text, a->text);
        b = *a;
        ck_assert_int_eq(address_listen(&b, 1, &second, &err), RC_CONFLICT);
        ck_assert_msg(strstr(err.sentence, a->text), "%s", err.sentence);
        ck_assert_int_eq(second, -1);
        close(fd);
    }
}
END_TEST

/* A listener at 127.0.0.1:8098 that also answers to two further names, and one at a real address. */
static const char *const more[] = {"nightmill.example", "mill.example:443", NULL};
static const struct http_hosts local = {.more = more, .address = "127.0.0.1", .port = 8098};
static const struct http_hosts outer = {.address = "192.0.2.7", .port = 8098};
static const struct http_hosts plain = {.address = "127.0.0.1", .port = 80};
static const char *const unix_more[] = {"nightmill", NULL};
static const struct http_hosts socket_hosts = {.more = unix_more};

static const struct {
    const struct http_hosts *hosts;
    const char *host, *origin; /* NULL: none */
    bool allowed;
} asked[] = {
    {&local, "127.0.0.1:8098", NULL, true},
    {&local, "localhost:8098", NULL, true},
    {&local, "LocalHost:8098", NULL, true},
    {&local, "[::1]:8098", NULL, true},
    {&local, "127.0.0.2:8098", NULL, true},
    {&local, "nightmill.example:8098", NULL, true},
    {&local, "nightmill.example", NULL, true},
    {&local, "mill.example:443", NULL, true},
    {&local, NULL, NULL, false},
    {&local, "", NULL, false},
    {&local, "127.0.0.1", NULL, false},
    {&local, "localhost", NULL, false},
    {&local, "localhost:80", NULL, false},
    {&local, "localhost:", NULL, false},
    {&local, "localhost:8098x", NULL, false},
    {&local, "localhost:08098x", NULL, false},
    {&local, ":8098", NULL, false},
    {&local, "localhost.:8098", NULL, false},
    {&local, "localhost.evil.example:8098", NULL, false},
    {&local, "127.0.0.1.evil.example:8098", NULL, false},
    {&local, "evil.example:8098", NULL, false},
    {&local, "127.1:8098", NULL, false},
    {&local, "0x7f000001:8098", NULL, false},
    {&local, "2130706433:8098", NULL, false},
    {&local, "0.0.0.0:8098", NULL, false},
    {&local, "192.0.2.7:8098", NULL, false},
    {&local, "[::]:8098", NULL, false},
    {&local, "[::1:8098", NULL, false},
    {&local, "::1:8098", NULL, false},
    {&local, "nightmill.example:80", NULL, false},
    {&local, "mill.example", NULL, false},
    {&local, "mill.example:8098", NULL, false},
    {&outer, "192.0.2.7:8098", NULL, true},
    {&outer, "localhost:8098", NULL, true},
    {&outer, "192.0.2.8:8098", NULL, false},
    {&plain, "localhost", NULL, true},
    {&plain, "localhost:80", NULL, true},
    {&plain, "localhost", "http://localhost", true},
    {&plain, "localhost", "https://localhost", false}, /* that is port 443 */
    {&local, "localhost:8098", "http://localhost:8098", true},
    {&local, "127.0.0.1:8098", "http://localhost:8098", true},
    {&local, "localhost:8098", "https://127.0.0.1:8098", true},
    {&local, "localhost:8098", "http://nightmill.example:8098", true},
    {&local, "localhost:8098", "https://mill.example", true},
    {&local, "localhost:8098", "http://localhost", false},
    {&local, "localhost:8098", "http://localhost:3000", false},
    {&local, "localhost:8098", "null", false},
    {&local, "localhost:8098", "", false},
    {&local, "localhost:8098", "localhost:8098", false},
    {&local, "localhost:8098", "http://evil.example", false},
    {&local, "localhost:8098", "http://evil.example:8098", false},
    {&local, "localhost:8098", "http://localhost:8098@evil.example", false},
    {&local, "localhost:8098", "http://localhost:8098.evil.example", false},
    {&local, "localhost:8098", "http://localhost:8098/", false},
    {&local, "localhost:8098", "http://localhost:8098 http://evil.example", false},
    {&local, "localhost:8098", "file://localhost:8098", false},
    {&local, "localhost:8098", "http://", false},
    {&local, "evil.example:8098", "http://evil.example:8098", false},
    {&socket_hosts, "localhost", NULL, true},
    {&socket_hosts, "localhost:1234", NULL, true},
    {&socket_hosts, "nightmill", NULL, true},
    {&socket_hosts, "evil.example", NULL, false},
    {&socket_hosts, "localhost", "http://localhost", false},
};

START_TEST(hosts_and_origins)
{
    struct http_field fields[3] = {{STR("Accept"), STR("x")}};
    struct http_request r = {.ctx = ctx, .fields = fields, .field_count = 1};
    const char *why;
    if (asked[_i].host)
        fields[r.field_count++] = (struct http_field){STR("HOST"), str_of(asked[_i].host)};
    if (asked[_i].origin)
        fields[r.field_count++] = (struct http_field){STR("origin"), str_of(asked[_i].origin)};
    bool allowed = http_hosts_allow(asked[_i].hosts, &r, &why);
    ck_assert_msg(allowed == asked[_i].allowed, "Host \"%s\", Origin \"%s\"", asked[_i].host, asked[_i].origin);
}
END_TEST

START_TEST(one_host_and_good_origins_only)
{
    struct http_field fields[3] = {{STR("Host"), STR("localhost:8098")},
                                   {STR("Origin"), STR("http://localhost:8098")},
                                   {STR("Origin"), STR("http://evil.example")}};
    struct http_request r = {.ctx = ctx, .fields = fields, .field_count = 2};
    const char *why;
    ck_assert(http_hosts_allow(&local, &r, &why));
    r.field_count = 3;
    ck_assert(!http_hosts_allow(&local, &r, &why));
    fields[2] = fields[0];
    ck_assert(!http_hosts_allow(&local, &r, &why));
    r.field_count = 1;
    fields[0].value = STR("localhost"); /* a page on TLS without a port means 443 */
    r.peer.tls = true;
    ck_assert(http_hosts_allow(&(struct http_hosts){.address = "::1", .port = 443}, &r, &why));
}
END_TEST

/* Several sockets of one address are one program's alone, however the next one asks. */
START_TEST(several_sockets_share_an_address)
{
    for (size_t second = 1; second <= 3; second += 2) {
        struct address a[ADDRESSES_MOST], b, seen;
        size_t n;
        int fds[3] = {-1, -1, -1}, other[3] = {-1, -1, -1};
        ck_assert_int_eq(address_list_parse(STR("127.0.0.1:0"), a, &n, &err), RC_OK);
        ck_assert_int_eq(address_listen(a, 3, fds, &err), RC_OK);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(address_of_fd(fds[i], &seen, &err), RC_OK);
            ck_assert_str_eq(seen.text, a->text);
        }
        b = *a;
        ck_assert_int_eq(address_listen(&b, second, other, &err), RC_CONFLICT);
        ck_assert_int_eq(other[0], -1);
        for (int i = 0; i < 3; i++)
            close(fds[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("address");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_loop_test(t, lists_are_read, 0, COUNT(lists));
    tcase_add_test(t, schemes_are_kept);
    tcase_add_test(t, ports_are_given_and_taken);
    tcase_add_test(t, several_sockets_share_an_address);
    tcase_add_loop_test(t, hosts_and_origins, 0, COUNT(asked));
    tcase_add_test(t, one_host_and_good_origins_only);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
