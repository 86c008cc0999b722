/* Contract: the signature is that of Standard Webhooks; tries follow the schedule, by a clock of the test's own, and
 * are given up; what is due waits for its time; a private address is not dialled unless it is allowed; a channel that
 * fails for good is left alone. */
#include "base/id.h"
#include "notify/notify.h"
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define START  (INT64_C(1700000000) * SECOND)

static mem *ctx;
static struct err err;
static char folder[64];
static struct store *store;
static struct credentials *credentials;
static struct settings_live *live;
static struct notifier *notifier;

static void allow(const char *blocks)
{
    struct setting_stored row = {"notify.private", blocks, "test", 0};
    ck_assert_uint_eq(settings_live_store(live, &row, 1), 0);
}

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
    strcpy(folder, "/tmp/nightmill-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(store_open(ctx, folder, &store, &err), RC_OK);
    credentials = credentials_new(ctx, mem_printf(ctx, "%s/seal.key", folder));
    live = settings_live_new(ctx, settings_default(ctx));
    struct notifier_spec spec = {.store = store, .credentials = credentials, .live = live};
    notifier = notifier_new(ctx, &spec);
}

static void finish(void)
{
    notifier = mem_free(notifier);
    store = store_close(store);
    ck_assert_int_eq(system(mem_printf(ctx, "rm -r %s", folder)), 0);
    ctx = mem_free(ctx);
}

static enum rc channel_tx(struct store_tx *tx, void *arg, struct err *e)
{
    return channel_insert(tx, arg, e);
}

static const char *webhook_make(const char *url)
{
    struct channel c = {.id = id_new(ctx, 7),
                        .kind = "webhook",
                        .name = "test",
                        .target = url,
                        .levels = NOTICE_NOW,
                        .p256dh = "",
                        .auth = "",
                        .enabled = true,
                        .user = "owner",
                        .created_ns = START,
                        .problem = ""};
    ck_assert_int_eq(
        credential_seal(credentials, store, notify_secret_id(ctx, c.id), str_of(notify_secret_new(ctx)), START, &err),
        RC_OK);
    ck_assert_int_eq(store_write(store, channel_tx, &c, &err), RC_OK);
    return c.id;
}

static enum rc notice_tx(struct store_tx *tx, void *arg, struct err *e)
{
    bool fresh;
    return notice_insert(ctx, tx, arg, &fresh, e);
}

static int64_t notice_make(const char *key, int64_t level)
{
    struct notice n = {
        .key = key, .level = level, .kind = "question", .task = "", .words = "task x needs you", .time_ns = START};
    ck_assert_int_eq(store_write(store, notice_tx, &n, &err), RC_OK);
    return n.id;
}

static struct delivery delivery_get(int64_t notice)
{
    struct delivery *rows;
    size_t n;
    ck_assert_int_eq(delivery_of_notice(ctx, store, notice, &rows, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 1);
    return rows[0];
}

/* A port on which nobody listens. */
static const char *dead_url(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    getsockname(fd, (struct sockaddr *)&a, &n);
    close(fd);
    return mem_printf(ctx, "http://127.0.0.1:%d/hook", ntohs(a.sin_port));
}

/* Computed with Python's hmac over "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}" and the key; the
 * values are those of the Standard Webhooks specification's reference libraries. */
START_TEST(signature)
{
    char *value;
    struct str body = STR("{\"test\": 2432232314}");
    ck_assert_int_eq(notify_sign(ctx, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                 1614265330, body, &value, &err),
                     RC_OK);
    ck_assert_str_eq(value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    ck_assert_int_eq(notify_sign(ctx, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "x", 1, body, &value, &err), RC_INVALID);
    ck_assert(notify_secret_valid(notify_secret_new(ctx)));
    ck_assert(!notify_secret_valid("whsec_c2hvcnQ="));
}
END_TEST

START_TEST(schedule)
{
    static const int64_t waits[] = {5, 300, 1800, 7200, 18000, 36000, 50400};
    int64_t next, now = START;
    allow("127.0.0.0/8");
    const char *id = webhook_make(dead_url());
    int64_t notice = notice_make("a", NOTICE_NOW);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        ck_assert(notifier_turn(notifier, now, &next));
        ck_assert(!notifier_turn(notifier, now + waits[i] * SECOND - 1, &next)); /* not before its time */
        now += waits[i] * SECOND;
        ck_assert_int_eq(next, now);
        struct delivery d = delivery_get(notice);
        ck_assert_str_eq(d.state, "waiting");
        ck_assert_int_eq(d.attempts, (int64_t)i + 1);
    }
    ck_assert(notifier_turn(notifier, now, &next));
    ck_assert_str_eq(delivery_get(notice).state, "failed");
    ck_assert(!notifier_turn(notifier, now + 999999 * SECOND, &next));
    ck_assert_int_eq(next, INT64_MAX);
    struct channel c;
    ck_assert_int_eq(channel_find(ctx, store, id, &c, &err), RC_OK);
    ck_assert_int_eq(c.failures, 1);
    ck_assert(c.enabled);
    ck_assert(strstr(c.problem, "cannot be reached"));
}
END_TEST

START_TEST(private_addresses)
{
    int64_t next;
    webhook_make(dead_url());
    webhook_make("http://203.0.113.5/plain-to-the-outside");
    int64_t notice = notice_make("a", NOTICE_NOW);
    while (notifier_turn(notifier, START, &next)) {
    }
    struct delivery *rows;
    size_t n;
    ck_assert_int_eq(delivery_of_notice(ctx, store, notice, &rows, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 2);
    for (size_t i = 0; i < n; i++) {
        ck_assert_str_eq(rows[i].state, "failed"); /* at once: trying again would not help */
        ck_assert(strstr(rows[i].words, "not dialled"));
    }
}
END_TEST

START_TEST(a_channel_that_fails_again_and_again_is_left_alone)
{
    int64_t next;
    const char *id = webhook_make("http://10.0.0.1/never");
    for (int i = 0; i < NOTIFY_GIVEN_UP_MOST + 2; i++)
        notice_make(mem_printf(ctx, "%d", i), NOTICE_NOW);
    while (notifier_turn(notifier, START, &next)) {
    }
    struct channel c;
    ck_assert_int_eq(channel_find(ctx, store, id, &c, &err), RC_OK);
    ck_assert(!c.enabled);
    ck_assert_str_eq(delivery_get(1).state, "failed");
    ck_assert_str_eq(delivery_get(NOTIFY_GIVEN_UP_MOST + 2).state, "dropped");
    struct delivery *rows;
    size_t n;
    int64_t later = notice_make("later", NOTICE_NOW);
    ck_assert_int_eq(delivery_of_notice(ctx, store, later, &rows, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(levels_and_repetitions)
{
    struct delivery *rows;
    size_t n;
    webhook_make("https://hooks.example.org/x");
    int64_t done = notice_make("done", NOTICE_DONE);
    ck_assert_int_eq(delivery_of_notice(ctx, store, done, &rows, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 0); /* it is told of what needs somebody alone */
    int64_t first = notice_make("same", NOTICE_NOW);
    notice_make("same", NOTICE_NOW);
    ck_assert_str_eq(delivery_get(first).state, "waiting");
    struct notice *list;
    ck_assert_int_eq(notice_list(ctx, store, 0, 0, 10, &list, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(keys_for_push_services_stay)
{
    struct webpush_key a, b;
    ck_assert_int_eq(notifier_push_key(notifier, &a, &err), RC_OK);
    ck_assert_int_eq(notifier_push_key(notifier, &b, &err), RC_OK);
    ck_assert_mem_eq(a.point, b.point, WEBPUSH_PUBLIC);
    struct credentials *other =
        credentials_new(ctx, mem_printf(ctx, "%s/other.key", folder)); /* the key file is lost */
    struct notifier_spec spec = {.store = store, .credentials = other, .live = live};
    struct notifier *n = notifier_new(ctx, &spec);
    ck_assert_int_eq(notifier_push_key(n, &b, &err), RC_DENIED); /* and not silently another one */
    mem_free(n);
    mem_free(other);
}
END_TEST

START_TEST(small_things)
{
    int64_t minute;
    ck_assert(notify_clock_read("08:30", &minute));
    ck_assert_int_eq(minute, 510);
    ck_assert(!notify_clock_read("24:00", &minute) && !notify_clock_read("8:00", &minute) &&
              !notify_clock_read("08:60", &minute) && !notify_clock_read("", &minute));
    ck_assert_int_eq(notify_target_check("email", "ada@example.org", &err), RC_OK);
    ck_assert_int_eq(notify_target_check("email", "ada@example.org\r\nRCPT TO:<eve@example.org>", &err), RC_INVALID);
    ck_assert_int_eq(notify_target_check("webhook", "https://user:word@example.org/", &err), RC_INVALID);
    ck_assert_int_eq(notify_target_check("webhook", "ftp://example.org/", &err), RC_INVALID);
    ck_assert_int_eq(notify_delay_s(8), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("notify");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    tcase_add_test(t, signature);
    tcase_add_test(t, schedule);
    tcase_add_test(t, private_addresses);
    tcase_add_test(t, a_channel_that_fails_again_and_again_is_left_alone);
    tcase_add_test(t, levels_and_repetitions);
    tcase_add_test(t, keys_for_push_services_stay);
    tcase_add_test(t, small_things);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
