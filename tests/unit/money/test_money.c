/* Contract of money/money.h: text and amounts agree exactly both ways, arithmetic never wraps, a bound is never below a
 * cost that the request could have caused, and nothing that overflowed is admitted. */
#include "base/clock.h"
#include "money/money.h"
#include <check.h>

/* Repeatable pseudo-random numbers (xorshift64*): a failure must happen again. */
static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
static uint64_t any(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}
static int64_t upto(int64_t most)
{
    return most == INT64_MAX ? (int64_t)(any() >> 1) : (int64_t)(any() % (uint64_t)(most + 1));
}

START_TEST(test_parse)
{
    static const struct {
        const char *text;
        pico v;
    } good[] = {
        {"0", 0},
        {"2", 2 * PICO_PER_UNIT},
        {"2.00", 2 * PICO_PER_UNIT},
        {"0002", 2 * PICO_PER_UNIT},
        {"0.000000000001", 1},
        {"0.5", PICO_PER_UNIT / 2},
        {"12.345678901234", INT64_C(12345678901234)},
        {"9223372", INT64_C(9223372) * PICO_PER_UNIT},
        {"9223372.036854775806", INT64_MAX - 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        pico v = -7;
        ck_assert_int_eq(money_parse(str_of(good[i].text), &v, NULL), RC_OK);
        ck_assert_int_eq(v, good[i].v);
    }
    static const char *const bad[] = {"",    ".",    ".5",   "2.",    "-1", "+1", " 1",  "1 ",  "1,5",
                                      "1e3", "0x10", "1..2", "1.2.3", "$2", "2$", "NaN", "inf", "0.0000000000001",
                                      "１",  "--",   "1_000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pico v = -7;
        struct err err = {0};
        ck_assert_msg(money_parse(str_of(bad[i]), &v, &err) == RC_INVALID, "%s", bad[i]);
        ck_assert_int_eq(v, -7);
        ck_assert(err.sentence[0] && err.hint[0]);
    }
    static const char *const large[] = {"9223373", "9223372.036854775807", "9223372.036854775808",
                                        "99999999999999999999999999999999999999", "18446744.073709551616"};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        pico v = -7;
        ck_assert_msg(money_parse(str_of(large[i]), &v, NULL) == RC_LIMIT, "%s", large[i]);
        ck_assert_int_eq(v, -7);
    }
    pico v;
    ck_assert_int_eq(money_parse(str_n("1\0", 2), &v, NULL), RC_INVALID);
}
END_TEST

START_TEST(test_exact)
{
    CLEANUP_MEM mem *ctx = mem_root();
    ck_assert_str_eq(money_exact(ctx, 2 * PICO_PER_UNIT, 2), "2.00");
    ck_assert_str_eq(money_exact(ctx, 2 * PICO_PER_UNIT, 0), "2");
    ck_assert_str_eq(money_exact(ctx, INT64_C(3100000000), 2), "0.0031");
    ck_assert_str_eq(money_exact(ctx, 1, 2), "0.000000000001");
    ck_assert_str_eq(money_exact(ctx, 0, 12), "0.000000000000");
    ck_assert_str_eq(money_exact(ctx, 0, 99), "0.000000000000");
    ck_assert_str_eq(money_exact(ctx, -PICO_PER_UNIT, 2), "-1.00");
    ck_assert_str_eq(money_exact(ctx, INT64_MAX, 2), "9223372.036854775807");
    ck_assert_str_eq(money_exact(ctx, INT64_MIN, 2), "-9223372.036854775808");
    for (int i = 0; i < 20000; i++) { /* every amount is written so that reading it gives the amount */
        pico v = upto(INT64_MAX - 1) >> upto(62), back = -1;
        ck_assert_int_eq(money_parse(str_of(money_exact(ctx, v, (int)upto(12))), &back, NULL), RC_OK);
        ck_assert_int_eq(back, v);
    }
}
END_TEST

START_TEST(test_show)
{
    static const struct {
        pico v;
        const char *currency, *text;
    } cases[] = {
        {0, "USD", "$0.00"},
        {INT64_C(420000000000), "USD", "$0.42"},
        {INT64_C(420000000000), "EUR", "0.42 EUR"},
        {INT64_C(420000000001), "USD", "$0.43"},
        {INT64_C(3100000000), "USD", "$0.0031"},
        {INT64_C(3123400000), "USD", "$0.003124"}, /* four digits, up */
        {INT64_C(3123000000), "USD", "$0.003123"},
        {INT64_C(9999900000), "USD", "$0.01"},
        {INT64_C(10000000000), "USD", "$0.01"},
        {1, "USD", "$0.000000000001"},
        {12345, "USD", "$0.00000001235"},
        {1001, "USD", "$0.000000001001"},
        {-INT64_C(420000000001), "USD", "-$0.43"},
        {INT64_MAX, "USD", "$9223372.04"},
        {INT64_MIN, "EUR", "-9223372.04 EUR"},
    };
    CLEANUP_MEM mem *ctx = mem_root();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(money_show(ctx, cases[i].v, cases[i].currency), cases[i].text);
}
END_TEST

START_TEST(test_saturation)
{
    ck_assert_int_eq(money_add(1, 2), 3);
    ck_assert_int_eq(money_add(INT64_MAX, 1), INT64_MAX);
    ck_assert_int_eq(money_add(INT64_MAX, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(money_add(INT64_MIN, -1), INT64_MIN);
    ck_assert_int_eq(money_mul(3, 4), 12);
    ck_assert_int_eq(money_mul(INT64_MAX, 0), 0);
    ck_assert_int_eq(money_mul(INT64_MAX, 2), INT64_MAX);
    ck_assert_int_eq(money_mul(3, -1), INT64_MAX);
    ck_assert_int_eq(money_mul(-3, 1), INT64_MAX);
}
END_TEST

static const struct price tiered = {.model = "m",
                                    .currency = "USD",
                                    .base = {3000000, 300000, 3750000, 6000000, 15000000},
                                    .above = {6000000, 600000, 7500000, 12000000, 22500000},
                                    .above_tokens = 200000};

START_TEST(test_cost)
{
    struct usage u = {
        .input = 1000, .cache_read = 2000, .cache_write = 300, .cache_write_1h = 40, .output = 500, .reasoning = 400};
    ck_assert_int_eq(price_cost(&tiered, &u), INT64_C(1000) * 3000000 + INT64_C(2000) * 300000 +
                                                  INT64_C(300) * 3750000 + INT64_C(40) * 6000000 +
                                                  INT64_C(500) * 15000000);
    /* The whole prompt, cache included, decides on the tier, and the whole request moves. */
    struct usage at = {.input = 10, .cache_read = 199990, .output = 1};
    ck_assert_int_eq(price_cost(&tiered, &at), INT64_C(10) * 3000000 + INT64_C(199990) * 300000 + 15000000);
    struct usage over = {.input = 11, .cache_read = 199990, .output = 1};
    ck_assert_int_eq(price_cost(&tiered, &over), INT64_C(11) * 6000000 + INT64_C(199990) * 600000 + 22500000);
    struct usage unknown = {.input = 10, .output = -1};
    ck_assert_int_eq(price_cost(&tiered, &unknown), INT64_MAX);
    struct usage huge = {.input = INT64_MAX, .cache_read = INT64_MAX, .output = INT64_MAX};
    ck_assert_int_eq(price_cost(&tiered, &huge), INT64_MAX);
    struct usage none = {0};
    ck_assert_int_eq(price_cost(&tiered, &none), 0);
}
END_TEST

static struct rates rates_any(pico most)
{
    return (struct rates){upto(most), upto(most), upto(most), upto(most), upto(most)};
}

/* A usage whose prompt has at most `prompt` tokens and whose output at most `output`. */
static struct usage usage_any(int64_t prompt, int64_t output)
{
    struct usage u = {0};
    int64_t total = upto(prompt);
    u.input = upto(total);
    u.cache_read = upto(total - u.input);
    u.cache_write = upto(total - u.input - u.cache_read);
    u.cache_write_1h = total - u.input - u.cache_read - u.cache_write;
    u.output = upto(output);
    u.reasoning = upto(u.output);
    return u;
}

START_TEST(test_bound_is_above_every_cost)
{
    static const pico most[] = {0, 1, 1000, 100000000, INT64_MAX / 1000, INT64_MAX};
    static const int64_t sizes[] = {0, 1, 1000, 300000, INT64_C(1) << 40, INT64_MAX - PRICE_ADDED_TOKENS};
    for (int i = 0; i < 30000; i++) {
        pico top = most[upto(5)];
        struct price p = {.base = rates_any(top), .above = rates_any(top), .above_tokens = upto(1) ? upto(400000) : 0};
        int64_t bytes = upto(sizes[upto(5)]), output = upto(sizes[upto(5)]);
        struct usage u = usage_any(bytes + PRICE_ADDED_TOKENS, output);
        pico bound = price_bound(&p, bytes, output);
        ck_assert_int_ge(bound, price_cost(&p, &u));
        /* Monotone: more bytes or more output are never cheaper. */
        ck_assert_int_ge(price_bound(&p, money_add(bytes, upto(1000)), money_add(output, upto(1000))), bound);
    }
}
END_TEST

START_TEST(test_affordable_is_the_largest_that_fits)
{
    static const pico most[] = {0, 1, 1000, 100000000, INT64_MAX / 1000, INT64_MAX};
    static const pico rooms[] = {0, 1000, PICO_PER_UNIT, 1000 * PICO_PER_UNIT, INT64_MAX - 1, INT64_MAX};
    for (int i = 0; i < 30000; i++) {
        pico top = most[upto(5)], room = upto(rooms[upto(5)]);
        struct price p = {.base = rates_any(top), .above = rates_any(top), .above_tokens = upto(1) ? upto(400000) : 0};
        int64_t bytes = upto(1 << upto(30)), n = price_affordable_output(&p, bytes, room);
        if (n < 0) {
            pico input = price_bound(&p, bytes, 0);
            ck_assert(input > room || input == INT64_MAX);
            continue;
        }
        ck_assert_int_le(price_bound(&p, bytes, n), room);
        ck_assert_int_lt(price_bound(&p, bytes, n), INT64_MAX);
        if (n < INT64_MAX)
            ck_assert(price_bound(&p, bytes, n + 1) > room || price_bound(&p, bytes, n + 1) == INT64_MAX);
    }
    struct price dear = {.base = {INT64_MAX, 0, 0, 0, 1}};
    ck_assert_int_eq(price_affordable_output(&dear, 10, INT64_MAX),
                     -1); /* an overflow never fits, not even in all there is */
    ck_assert_int_eq(price_affordable_output(&tiered, 10, -1), -1);
    ck_assert_int_eq(price_affordable_output(&tiered, -1, INT64_MAX), -1);
    ck_assert_int_eq(price_bound(&tiered, -1, 1), INT64_MAX);
    ck_assert_int_eq(price_bound(&tiered, 1, -1), INT64_MAX);
    struct price local = {.model = "local"};
    ck_assert_int_eq(price_affordable_output(&local, 1 << 20, 0), INT64_MAX);
}
END_TEST

START_TEST(test_builtin_rows)
{
    CLEANUP_MEM mem *ctx = mem_root();
    size_t n;
    const struct price *rows = price_builtin(&n);
    ck_assert_uint_gt(n, 20);
    for (size_t i = 0; i < n; i++) {
        const struct price *p = &rows[i];
        const struct rates *tiers[] = {&p->base, &p->above};
        for (int t = 0; t < (p->above_tokens ? 2 : 1); t++) {
            const struct rates *r = tiers[t];
            ck_assert_msg(r->input > 0 && r->cache_read > 0 && r->cache_read < r->input, "%s", p->model);
            ck_assert_msg(r->output >= r->input && r->output <= 20 * r->input, "%s", p->model);
            if (strncmp(p->model, "claude-", 7) == 0) { /* published multiples */
                ck_assert_int_eq(r->cache_read * 10, r->input);
                ck_assert_int_eq(r->cache_write * 4, r->input * 5);
                ck_assert_int_eq(r->cache_write_1h, r->input * 2);
            } else {
                ck_assert_int_eq(r->cache_write, r->input);
                ck_assert_int_eq(r->cache_write_1h, r->input);
            }
        }
        ck_assert_msg(p->above_tokens == 0 || (p->above.input > p->base.input && p->above.output > p->base.output),
                      "%s", p->model);
        ck_assert_str_eq(p->currency, "USD");
        ck_assert_msg(strstr(p->source, "20"), "%s", p->model);
        ck_assert_int_gt(p->from_ns, INT64_C(1700000000000000000));
        ck_assert_int_lt(p->from_ns, INT64_C(1780000000000000000));
        ck_assert_int_eq(p->from_ns % (INT64_C(86400) * 1000000000), 0);
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(rows[k].model, p->model);
        if (strcmp(p->model, "claude-sonnet-4-5") == 0) {
            ck_assert_int_eq(p->base.input, 3000000);
            ck_assert_int_eq(p->base.output, 15000000);
            ck_assert_int_eq(p->above.output, 22500000);
            ck_assert_int_eq(p->above_tokens, 200000);
            ck_assert_str_eq(clock_rfc3339(ctx, p->from_ns), "2025-09-29T00:00:00.000Z");
        }
        if (strcmp(p->model, "gpt-4o") == 0)
            ck_assert_str_eq(clock_rfc3339(ctx, p->from_ns), "2024-10-02T00:00:00.000Z");
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("money");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_parse);
    tcase_add_test(tc, test_exact);
    tcase_add_test(tc, test_show);
    tcase_add_test(tc, test_saturation);
    tcase_add_test(tc, test_cost);
    tcase_add_test(tc, test_bound_is_above_every_cost);
    tcase_add_test(tc, test_affordable_is_the_largest_that_fits);
    tcase_add_test(tc, test_builtin_rows);
    Suite *s = suite_create("money");
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
