/* Contract: importing tells what is new, changed and unchanged; importing again changes nothing; what is absurd or was
 * set by hand stays out unless forced; a price of a later day holds from that day; what fails leaves nothing. */
#include "store/price.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW INT64_C(1780000000000000000)
#define DAY (86400 * INT64_C(1000000000))

static char folder[64];
static mem *root;
static struct store *s;

static void setup(void)
{
    struct err err = {0};
    snprintf(folder, sizeof folder, "/tmp/test_prices_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void teardown(void)
{
    char command[128];
    s = store_close(s);
    mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct price row(const char *model, pico in, pico out, int64_t from)
{
    struct rates r = {.input = in, .cache_read = in, .cache_write = in, .cache_write_1h = in, .output = out};
    return (struct price){.model = model, .currency = "USD", .base = r, .above = r, .from_ns = from};
}

static struct price_import done(struct price *prices, size_t n, int64_t now, bool force, bool dry)
{
    static struct price_file f;
    struct err err = {0};
    f = (struct price_file){.format = "litellm", .prices = prices, .n = n};
    struct price_import job = {
        .file = &f, .source = "litellm test sha256:00", .now_ns = now, .force = force, .dry = dry, .ctx = root};
    ck_assert_msg(store_write(s, price_import, &job, &err) == RC_OK, "%s", err.sentence);
    return job;
}

static enum price_outcome outcome(struct price p, int64_t now, bool force)
{
    struct price_import job = done(&p, 1, now, force, false);
    ck_assert_uint_eq(job.n, 1);
    return job.changes[0].outcome;
}

static pico input_at(const char *model, int64_t at)
{
    struct price p;
    return price_find(root, s, model, at, &p, NULL) == RC_OK ? p.base.input : -1;
}

START_TEST(new_changed_unchanged)
{
    ck_assert_int_eq(outcome(row("m", 100, 500, 0), NOW, false), PRICE_NEW);
    ck_assert_int_eq(input_at("m", NOW), 100);
    ck_assert_int_eq(input_at("m", NOW - 1), -1);
    ck_assert_int_eq(outcome(row("m", 100, 500, 0), NOW + 1, false), PRICE_UNCHANGED);
    ck_assert_int_eq(outcome(row("m", 120, 500, 0), NOW + 2, false), PRICE_CHANGED);
    ck_assert_int_eq(input_at("m", NOW + 1), 100); /* what it was stays what it was */
    ck_assert_int_eq(input_at("m", NOW + 2), 120);
    ck_assert_int_eq(outcome(row("m", 120, 500, 0), NOW + 3, false), PRICE_UNCHANGED);
}
END_TEST

START_TEST(a_built_in_price_that_agrees_is_unchanged)
{
    struct price p;
    ck_assert_int_eq(price_find(root, s, "gpt-5", NOW, &p, NULL), RC_OK);
    ck_assert_int_eq(outcome(p, NOW, false), PRICE_UNCHANGED);
    p.base.input += 10000;
    p.base.cache_write += 10000;
    p.base.cache_write_1h += 10000;
    ck_assert_int_eq(outcome(p, NOW, false), PRICE_CHANGED);
    ck_assert_int_eq(input_at("gpt-5", NOW), p.base.input);
}
END_TEST

START_TEST(absurd_ones_need_force)
{
    struct price_import job;
    struct price both[] = {row("good", 100, 500, 0), row("m", 501, 500, 0)};
    ck_assert_int_eq(outcome(row("m", 100, 500, 0), NOW, false), PRICE_NEW);
    job = done(both, 2, NOW + 1, false, false);
    ck_assert_int_eq(job.changes[0].outcome, PRICE_NEW);
    ck_assert_int_eq(job.changes[1].outcome, PRICE_REFUSED);
    ck_assert_ptr_nonnull(strstr(job.changes[1].reason, "input was"));
    ck_assert_int_eq(input_at("m", NOW + 1), 100);
    ck_assert_int_eq(input_at("good", NOW + 1), 100);
    ck_assert_int_eq(outcome(both[1], NOW + 2, true), PRICE_CHANGED);
    ck_assert_int_eq(input_at("m", NOW + 2), 501);
}
END_TEST

static enum rc by_operator(struct store_tx *tx, void *arg, struct err *err)
{
    return price_insert(tx, arg, err);
}

START_TEST(what_was_set_by_hand_stays)
{
    struct price p = row("m", 100, 500, NOW);
    p.source = "operator";
    ck_assert_int_eq(store_write(s, by_operator, &p, NULL), RC_OK);
    ck_assert_int_eq(outcome(row("m", 110, 500, 0), NOW + 1, false), PRICE_BY_HAND);
    ck_assert_int_eq(input_at("m", NOW + 1), 100);
    ck_assert_int_eq(outcome(row("m", 110, 500, 0), NOW + 1, true), PRICE_CHANGED);
    ck_assert_int_eq(input_at("m", NOW + 1), 110);
}
END_TEST

START_TEST(dates_hold_from_their_day)
{
    struct price list[] = {row("m", 300, 500, 0), row("m", 200, 500, NOW - DAY), row("m", 150, 500, NOW + DAY)};
    struct price_import job = done(list, 3, NOW, false, false);
    ck_assert_uint_eq(job.n, 2); /* the first is history */
    ck_assert_int_eq(input_at("m", NOW), 200);
    ck_assert_int_eq(input_at("m", NOW + DAY - 1), 200);
    ck_assert_int_eq(input_at("m", NOW + DAY), 150);
    job = done(list, 3, NOW + 5, false, false);
    ck_assert_int_eq(job.changes[0].outcome, PRICE_UNCHANGED);
    ck_assert_int_eq(job.changes[1].outcome, PRICE_UNCHANGED);
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
    struct price p = row("m", 100, 500, 0);
    struct price_import job = done(&p, 1, NOW, false, true);
    ck_assert_int_eq(job.changes[0].outcome, PRICE_NEW);
    ck_assert_int_eq(input_at("m", NOW + 1), -1);
}
END_TEST

START_TEST(all_of_a_file_or_nothing)
{
    struct price list[] = {row("m", 100, 500, 0), row("n", 100, 500, 0)};
    struct price_file f = {.format = "litellm", .prices = list, .n = 2};
    struct price_import job = {.file = &f, .source = "litellm x", .now_ns = NOW, .ctx = root};
    list[1].currency = "dollars";
    ck_assert_int_eq(store_write(s, price_import, &job, NULL), RC_INVALID);
    ck_assert_int_eq(input_at("m", NOW), -1);
}
END_TEST

START_TEST(the_first_name_that_has_a_price_counts)
{
    static const char *const names[] = {"box/up", "vllm/up", "m"};
    struct price p;
    struct err err = {0};
    ck_assert_int_eq(price_find_named(root, s, names, 3, "m", NOW, true, &p, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "nightmill price set m "));
    outcome(row("m", 100, 500, 0), NOW, false);
    ck_assert_int_eq(price_find_named(root, s, names, 3, "m", NOW, true, &p, NULL), RC_OK);
    ck_assert_int_eq(p.base.input, 100);
    outcome(row("vllm/up", 7, 9, 0), NOW, false);
    ck_assert_int_eq(price_find_named(root, s, names, 3, "m", NOW, true, &p, NULL), RC_OK);
    ck_assert_int_eq(p.base.input, 7);
}
END_TEST

START_TEST(what_is_kept_in_memory_ends_with_its_time)
{
    static const char *const names[] = {"m"};
    struct price p;
    outcome(row("m", 100, 500, 0), NOW, false);
    outcome(row("m", 200, 500, NOW + 1000), NOW, false);
    ck_assert_int_eq(price_find_named(root, s, names, 1, "m", NOW, false, &p, NULL), RC_AGAIN);
    ck_assert_int_eq(price_find_named(root, s, names, 1, "m", NOW, true, &p, NULL), RC_OK);
    ck_assert_int_eq(price_find_named(root, s, names, 1, "m", NOW + 999, false, &p, NULL), RC_OK);
    ck_assert_int_eq(p.base.input, 100);
    ck_assert_str_eq(p.currency, "USD");
    ck_assert_int_eq(price_find_named(root, s, names, 1, "m", NOW + 1000, false, &p, NULL), RC_AGAIN);
    ck_assert_int_eq(price_find_named(root, s, names, 1, "m", NOW + 1000, true, &p, NULL), RC_OK);
    ck_assert_int_eq(p.base.input, 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imported prices");
    TCase *tc = tcase_create("import");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, new_changed_unchanged);
    tcase_add_test(tc, a_built_in_price_that_agrees_is_unchanged);
    tcase_add_test(tc, absurd_ones_need_force);
    tcase_add_test(tc, what_was_set_by_hand_stays);
    tcase_add_test(tc, dates_hold_from_their_day);
    tcase_add_test(tc, a_dry_run_changes_nothing);
    tcase_add_test(tc, all_of_a_file_or_nothing);
    tcase_add_test(tc, the_first_name_that_has_a_price_counts);
    tcase_add_test(tc, what_is_kept_in_memory_ends_with_its_time);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
