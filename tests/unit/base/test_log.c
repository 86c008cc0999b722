/* Contract: a log line is one line, bounded, free of control bytes and of secrets. Names are random and checkable,
 * times are written in UTC. */
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static mem *ctx;
static int pipe_out, stderr_kept;

/* Standard error goes to a pipe while a test runs. */
static void begin(void)
{
    int ends[2];
    ctx = mem_root();
    ck_assert_int_eq(pipe(ends), 0);
    stderr_kept = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pipe_out = ends[0];
    log_open("tester", LOG_INFO);
}

static void finish(void)
{
    close(pipe_out);
    dup2(stderr_kept, STDERR_FILENO);
    close(stderr_kept);
    ctx = mem_free(ctx);
}

static char *logged(void)
{
    char *text = mem_zalloc(ctx, 16384);
    dup2(stderr_kept, STDERR_FILENO); /* closes the writing end: the read ends */
    size_t n = 0;
    for (ssize_t got; (got = read(pipe_out, text + n, 16383 - n)) > 0;)
        n += (size_t)got;
    return text;
}

START_TEST(line_has_parts)
{
    log_debug("not wanted");
    log_warn("hello %d\nagain \x1b[1m", 5);
    struct str text = str_of(logged());
    ck_assert(str_ends(text, STR(" warn tester hello 5\\nagain \\x1b[1m\n")));
    ck_assert(text.p[10] == 'T' && text.p[23] == 'Z');
    ck_assert(!memchr(text.p, '\n', text.n - 1));
}
END_TEST

START_TEST(secrets_are_censored)
{
    log_censor("short");
    log_censor("sk-12345678");
    log_censor("sk-12345678-longer");
    log_info("key sk-12345678-longer and sk-12345678, short");
    ck_assert(str_ends(str_of(logged()), STR("key [censored] and [censored], short\n")));
}
END_TEST

START_TEST(censored_secrets_have_a_bound_and_can_be_dropped)
{
    char secret[32];
    int n = 0;
    do
        snprintf(secret, sizeof secret, "secret-number-%d.", n);
    while (log_censor(secret) && ++n < 5000);
    ck_assert_int_eq(n, 1024);
    ck_assert(log_censor("secret-number-7.")); /* known already */
    log_censor_drop("secret-number-7.");
    log_censor_drop("secret-number-7.");
    ck_assert(log_censor("another-secret"));
    ck_assert(!log_censor("one-too-many"));
    log_info("secret-number-7. secret-number-8. secret-number-1023. another-secret");
    ck_assert(str_ends(str_of(logged()), STR(" secret-number-7. [censored] [censored] [censored]\n")));
}
END_TEST

START_TEST(line_is_bounded)
{
    char *longest = mem_zalloc(ctx, 9001);
    memset(longest, 'x', 9000);
    log_info("%s", longest);
    char *text = logged();
    ck_assert_uint_eq(strlen(text), 4096);
    ck_assert_int_eq(text[4095], '\n');
}
END_TEST

START_TEST(err_is_logged_with_its_level)
{
    struct err err;
    err_set(&err, RC_IO, "Cannot write");
    err_detail(&err, "disk full");
    err_hint(&err, "Make room.");
    log_err(&err, "saving");
    ck_assert(str_ends(str_of(logged()), STR(" error tester saving: Cannot write (disk full) Hint: Make room.\n")));
}
END_TEST

START_TEST(ids_are_random_and_valid)
{
    char *a = id_new(ctx, 26), *b = id_new(ctx, 26);
    ck_assert_str_ne(a, b);
    ck_assert(id_valid(str_of(a), 26) && id_valid(str_of(b), 26));
    ck_assert(!id_valid(str_of(a), 25) && !id_valid(STR("l"), 1) && !id_valid(STR("A"), 1) && !id_valid(STR("\0"), 1));
    ck_assert(id_valid(str_of(id_new(ctx, 0)), 0));
    char *first = id_new_ordered(ctx, 20), *later;
    ck_assert(id_valid(str_of(first), 20));
    do /* the clock may stand for a millisecond */
        later = id_new_ordered(ctx, 20);
    while (strncmp(first, later, ID_TIME) == 0);
    ck_assert_str_lt(first, later);
    ck_assert_str_ne(first + ID_TIME, later + ID_TIME);
}
END_TEST

START_TEST(times_are_utc)
{
    ck_assert_str_eq(clock_rfc3339(ctx, 0), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(clock_rfc3339(ctx, INT64_C(1777863721234567890)), "2026-05-04T03:02:01.234Z");
    ck_assert_str_eq(clock_rfc3339(ctx, -1), "1969-12-31T23:59:59.999Z");
    int64_t before = clock_mono_ns();
    ck_assert_int_ge(clock_mono_ns(), before);
    ck_assert_int_gt(clock_wall_ns(), INT64_C(1700000000000000000));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, line_has_parts);
    tcase_add_test(t, secrets_are_censored);
    tcase_add_test(t, censored_secrets_have_a_bound_and_can_be_dropped);
    tcase_add_test(t, line_is_bounded);
    tcase_add_test(t, err_is_logged_with_its_level);
    tcase_add_test(t, ids_are_random_and_valid);
    tcase_add_test(t, times_are_utc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
