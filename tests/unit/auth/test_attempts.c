/* Contract: failures are counted by address and by address and name; waits grow and end; somebody at another address
 * locks nobody out; the table stays bounded; one network of IPv6 is one address. */
#include "auth/attempts.h"
#include <check.h>
#include <stdio.h>

#define SECOND INT64_C(1000000000)
static mem *root;
static struct attempts *a;

static void setup(void)
{
    root = mem_root();
    a = attempts_new(root, 100);
}

static void teardown(void)
{
    root = mem_free(root);
}

START_TEST(waits_grow_and_end)
{
    int64_t now = SECOND, last = 0;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(attempts_wait(a, "192.0.2.1", "ada", now), 0);
        attempts_failed(a, "192.0.2.1", "ada", now);
    }
    for (int i = 0; i < 14; i++) {
        int64_t wait = attempts_wait(a, "192.0.2.1", "ada", now);
        ck_assert_int_gt(wait, 0);
        ck_assert_int_ge(wait, last);
        ck_assert_int_le(wait, 900 * SECOND);
        last = wait;
        now += wait;
        ck_assert_int_eq(attempts_wait(a, "192.0.2.1", "ada", now), 0);
        attempts_failed(a, "192.0.2.1", "ada", now);
    }
    ck_assert_int_eq(last, 900 * SECOND);
    ck_assert_int_eq(attempts_wait(a, "192.0.2.1", "ada", now + 3600 * SECOND), 0);
}
END_TEST

START_TEST(a_stranger_locks_nobody_out)
{
    for (int i = 0; i < 60; i++)
        attempts_failed(a, "198.51.100.7", "ada", SECOND);
    ck_assert_int_gt(attempts_wait(a, "198.51.100.7", "ada", SECOND), 0);
    ck_assert_int_gt(attempts_wait(a, "198.51.100.7", "bert", SECOND), 0); /* the address itself is slow now */
    ck_assert_int_eq(attempts_wait(a, "192.0.2.1", "ada", SECOND), 0);
}
END_TEST

START_TEST(success_forgives_the_pair_alone)
{
    for (int i = 0; i < 10; i++)
        attempts_failed(a, "192.0.2.1", "ada", SECOND);
    attempts_succeeded(a, "192.0.2.1", "bert");
    ck_assert_int_gt(attempts_wait(a, "192.0.2.1", "ada", SECOND), 0);
    attempts_succeeded(a, "192.0.2.1", "ada");
    ck_assert_int_eq(attempts_wait(a, "192.0.2.1", "ada", SECOND), 0);
    for (int i = 0; i < 20; i++) { /* one good account does not buy guesses at others */
        attempts_failed(a, "192.0.2.2", "bert", SECOND);
        attempts_succeeded(a, "192.0.2.2", "bert");
    }
    ck_assert_int_gt(attempts_wait(a, "192.0.2.2", "cleo", SECOND), 0);
}
END_TEST

START_TEST(a_network_of_ipv6_is_one_address)
{
    char address[64];
    for (int i = 0; i < 30; i++) {
        snprintf(address, sizeof address, "2001:db8:1:2::%x", i + 1);
        attempts_failed(a, address, "ada", SECOND);
    }
    ck_assert_int_gt(attempts_wait(a, "2001:db8:1:2:3:4:5:6", "ada", SECOND), 0);
    ck_assert_int_eq(attempts_wait(a, "2001:db8:1:3::1", "ada", SECOND), 0);
    ck_assert_int_eq(attempts_wait(a, "::ffff:192.0.2.1", "ada", SECOND), 0);
}
END_TEST

START_TEST(the_table_is_bounded)
{
    char address[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(address, sizeof address, "10.%d.%d.%d", i / 65536, i / 256 % 256, i % 256);
        attempts_failed(a, address, "ada", SECOND + i);
    }
    ck_assert_uint_lt(talloc_total_blocks(a), 120);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attempts");
    TCase *c = tcase_create("attempts");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, waits_grow_and_end);
    tcase_add_test(c, a_stranger_locks_nobody_out);
    tcase_add_test(c, success_forgives_the_pair_alone);
    tcase_add_test(c, a_network_of_ipv6_is_one_address);
    tcase_add_test(c, the_table_is_bounded);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
