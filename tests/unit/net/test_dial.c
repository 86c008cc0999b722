/* Contract of net/dial.h: what is connected to is what was judged; addresses are tried in turn; the end is told exactly
 * once, from the loop, and never after a cancel. Names come from the system's file of hosts alone. */
#include "net/dial.h"
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static mem *ctx;
static uv_loop_t uv;
static struct resolver *resolver;
static int listener;
static uint16_t port;

static struct {
    int calls, fd;
    enum rc rc;
    uint16_t port;
    char words[sizeof((struct err *)0)->sentence];
} told;

static void closed(void *arg)
{
    (void)arg;
}

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void begin(void)
{
    ctx = mem_root();
    memset(&told, 0, sizeof told);
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    resolver = resolver_new(ctx, &uv);
    listener = listen_somewhere(&port);
}

static void finish(void)
{
    resolver_close(resolver, closed, NULL);
    ck_assert_int_eq(uv_run(&uv, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(uv_loop_close(&uv), 0); /* no handle of a dial is left */
    close(listener);
    ctx = mem_free(ctx);
}

static void done(void *arg, int fd, const struct sockaddr *at, enum rc rc, const struct err *err)
{
    ck_assert_ptr_eq(arg, &told);
    told.calls++;
    told.fd = fd;
    told.rc = rc;
    told.port = at ? ntohs(((const struct sockaddr_in *)(const void *)at)->sin_port) : 0;
    snprintf(told.words, sizeof told.words, "%s", err ? err->sentence : "");
    uv_stop(&uv);
}

static struct dial_spec to(const char *host, struct hostname *h)
{
    ck_assert_int_eq(hostname_parse(str_of(host), h, NULL), RC_OK);
    return (struct dial_spec){
        .loop = &uv, .resolver = resolver, .host = h, .port = port, .ms = 5000, .done = done, .arg = &told};
}

static void run_to_the_end(const struct dial_spec *spec)
{
    dial_start(spec);
    ck_assert_int_eq(told.calls, 0); /* never from inside */
    uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(told.calls, 1);
}

static int judged;

static bool no_loopback(void *arg, const struct sockaddr *sa, const char **ret_why)
{
    (void)arg;
    judged++;
    *ret_why = address_reserved(sa);
    return !*ret_why;
}

static bool ipv4_alone(void *arg, const struct sockaddr *sa, const char **ret_why)
{
    (void)arg;
    *ret_why = "of another family";
    return sa->sa_family == AF_INET;
}

START_TEST(address)
{
    struct hostname h;
    struct dial_spec spec = to("127.0.0.1", &h);
    run_to_the_end(&spec);
    ck_assert_msg(told.rc == RC_OK, "%s", told.words);
    ck_assert_int_eq(told.port, port);
    ck_assert(fcntl(told.fd, F_GETFL) & O_NONBLOCK);
    close(told.fd);
}
END_TEST

START_TEST(name)
{
    struct hostname h;
    struct dial_spec spec = to("localhost", &h);
    spec.allow = ipv4_alone;                  /* whatever else the name has is passed over */
    for (int again = 0; again < 2; again++) { /* looked up, then known */
        told.calls = 0;
        run_to_the_end(&spec);
        ck_assert_msg(told.rc == RC_OK, "%s", told.words);
        close(told.fd);
    }
}
END_TEST

START_TEST(refused_by_judgement)
{
    struct hostname h;
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    for (size_t i = 0; i < 2; i++) {
        struct dial_spec spec = to(hosts[i], &h);
        spec.allow = no_loopback;
        told.calls = judged = 0;
        run_to_the_end(&spec);
        ck_assert_int_eq(told.rc, RC_DENIED);
        ck_assert_int_eq(told.fd, -1);
        ck_assert_ptr_nonnull(strstr(told.words, "loopback"));
        ck_assert_int_ge(judged, 1);
    }
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    ck_assert_int_lt(accept(listener, (struct sockaddr *)&in, &n), 0); /* nobody came */
}
END_TEST

START_TEST(fixed_stands_for_a_lookup)
{
    struct hostname h;
    struct sockaddr_in fixed = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct dial_spec spec = to("nowhere.invalid", &h);
    spec.fixed = (const struct sockaddr *)&fixed;
    run_to_the_end(&spec);
    ck_assert_int_eq(told.rc, RC_OK);
    close(told.fd);
}
END_TEST

START_TEST(nobody_listens)
{
    struct hostname h;
    struct dial_spec spec = to("127.0.0.1", &h);
    close(listener);
    run_to_the_end(&spec);
    ck_assert_int_eq(told.rc, RC_UNAVAILABLE);
    ck_assert_int_eq(told.fd, -1);
    listener = listen_somewhere(&port);
}
END_TEST

START_TEST(cancelled)
{
    struct hostname h;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "nowhere.invalid"};
    for (size_t i = 0; i < 3; i++) {
        struct dial_spec spec = to(hosts[i], &h);
        struct dial *d = dial_start(&spec);
        for (size_t turn = 0; turn < i; turn++) /* before its first turn, and in the middle */
            uv_run(&uv, UV_RUN_NOWAIT);
        if (!told.calls)
            dial_cancel(d);
        else if (told.fd >= 0)
            close(told.fd);
    }
    int before = told.calls;
    for (int turn = 0; turn < 20; turn++)
        uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_int_eq(told.calls, before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dial");
    TCase *t = tcase_create("dial");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, address);
    tcase_add_test(t, name);
    tcase_add_test(t, refused_by_judgement);
    tcase_add_test(t, fixed_stands_for_a_lookup);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, cancelled);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
