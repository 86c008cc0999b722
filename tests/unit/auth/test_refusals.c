/* Contract: refusals are let into the audit log by a measure for each asker and for all of a kind; a flood of strangers
 * does not keep out what is refused to who is known; what was kept out is counted and told; time lets in again; the
 * table stays bounded; readings of one sitting are one. */
#include "auth/refusals.h"
#include <check.h>
#include <stdio.h>

#define SECOND INT64_C(1000000000)
static mem *root;
static struct refusals *r;

static void setup(void)
{
    root = mem_root();
    r = refusals_new(root, 1000);
}

static void teardown(void)
{
    root = mem_free(root);
}

static int let(const char *who, bool stranger, int tries, int64_t now)
{
    int n = 0;
    for (int i = 0; i < tries; i++)
        n += refusals_let(r, who, stranger, now);
    return n;
}

START_TEST(one_asker_has_a_measure)
{
    ck_assert_int_eq(let("192.0.2.1", true, 1000, SECOND), REFUSALS_OF_ONE);
    ck_assert_int_eq(let("192.0.2.2", true, 5, SECOND), 5);
    ck_assert_int_eq(let("192.0.2.1", true, 1000, SECOND + 3 * REFUSALS_OF_ONE_EVERY_S * SECOND), 3);
    ck_assert_int_eq(let("192.0.2.1", true, 1000, 3600 * SECOND), REFUSALS_OF_ONE);
}
END_TEST

START_TEST(a_flood_of_strangers_is_bounded_and_hides_nobody_inside)
{
    char who[32];
    int n = 0;
    for (int i = 0; i < 100000; i++) {
        snprintf(who, sizeof who, "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        n += refusals_let(r, who, true, SECOND);
    }
    ck_assert_int_eq(n, REFUSALS_OF_ALL);
    ck_assert_int_eq(let("ada", false, 3, SECOND), 3);
    ck_assert_int_eq(let("ada", true, 3, SECOND), 0); /* a stranger cannot borrow a name's measure */
}
END_TEST

START_TEST(what_was_kept_out_is_told)
{
    ck_assert_int_eq(refusals_untold(r, SECOND), 0);
    let("192.0.2.1", true, REFUSALS_OF_ONE + 7, SECOND);
    ck_assert_int_eq(refusals_untold(r, SECOND), 7);
    let("192.0.2.1", true, 5, SECOND);
    ck_assert_int_eq(refusals_untold(r, 2 * SECOND), 0); /* not so soon again */
    ck_assert_int_eq(refusals_untold(r, (1 + REFUSALS_TOLD_EVERY_S) * SECOND), 5);
    ck_assert_int_eq(refusals_untold(r, 9999 * SECOND), 0);
}
END_TEST

START_TEST(a_sitting_is_one_reading)
{
    ck_assert(refusals_first(r, "ada", "/api/v1/audit", SECOND));
    ck_assert(!refusals_first(r, "ada", "/api/v1/audit", 2 * SECOND));
    ck_assert(refusals_first(r, "bert", "/api/v1/audit", 2 * SECOND));
    ck_assert(refusals_first(r, "ada", "/api/v1/other", 2 * SECOND));
    ck_assert(refusals_first(r, "ada", "/api/v1/audit", (1 + REFUSALS_SITTING_S) * SECOND));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refusals");
    TCase *c = tcase_create("refusals");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, one_asker_has_a_measure);
    tcase_add_test(c, a_flood_of_strangers_is_bounded_and_hides_nobody_inside);
    tcase_add_test(c, what_was_kept_out_is_told);
    tcase_add_test(c, a_sitting_is_one_reading);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
