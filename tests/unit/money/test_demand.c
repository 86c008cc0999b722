/* Contract: the bound of a demand is above every cost that it can come to, at every candidate of a chain; the output
 * cap that a room affords is the largest one; conversions are exact, rounded up and monotone. */
#include "money/money.h"
#include <check.h>
#include <stdlib.h>

static int64_t upto(int64_t most) /* 0 to most */
{
    uint64_t v = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
    return most == INT64_MAX ? (int64_t)(v >> 1) : (int64_t)(v % ((uint64_t)most + 1));
}

static struct rates rates_any(pico most)
{
    return (struct rates){upto(most), upto(most), upto(most), upto(most), upto(most)};
}

static struct price price_any(void)
{
    static const pico most[] = {0, 1, 1000, 100000000, INT64_MAX / 1000, INT64_MAX};
    pico top = most[upto(5)];
    return (struct price){.base = rates_any(top), .above = rates_any(top), .above_tokens = upto(1) ? upto(400000) : 0};
}

static struct demand demand_any(void)
{
    static const int64_t sizes[] = {0, 1, 1000, 300000, INT64_C(1) << 40};
    return (struct demand){.bytes = upto(sizes[upto(4)]),
                           .more = upto(sizes[upto(4)]),
                           .output = upto(sizes[upto(4)]),
                           .answers = upto(8)};
}

START_TEST(the_bound_is_above_every_cost)
{
    for (int i = 0; i < 30000; i++) {
        struct price p = price_any();
        struct demand d = demand_any();
        struct candidate c = {&p, upto(upto(1) ? 1000000 : 0)};
        struct usage u = {0};
        int64_t input = upto(d.bytes + d.more + PRICE_ADDED_TOKENS);
        u.cache_write_1h = upto(input);
        u.input = input - u.cache_write_1h;
        u.output = upto(d.output * (d.answers ? d.answers : 1));
        ck_assert_int_ge(candidate_bound(&c, &d), money_add(price_cost(&p, &u), c.extras));
        ck_assert_int_ge(demand_tokens(&d), input + u.output);
        struct demand more = d;
        more.answers++;
        more.more += upto(1000);
        ck_assert_int_ge(candidate_bound(&c, &more), candidate_bound(&c, &d));
    }
}
END_TEST

START_TEST(the_cap_is_the_largest_that_fits)
{
    static const pico rooms[] = {0, 1000, PICO_PER_UNIT, 1000 * PICO_PER_UNIT, INT64_MAX - 1};
    int cut = 0, refused = 0, whole = 0;
    for (int i = 0; i < 30000; i++) {
        struct price p = price_any();
        struct demand d = demand_any();
        struct candidate c = {&p, upto(upto(1) ? 1000000 : 0)};
        pico room = upto(rooms[upto(4)]);
        int64_t wanted = d.output, cap = candidate_output_within(&c, &d, room);
        d.output = 0;
        if (cap < 0) {
            ck_assert(candidate_bound(&c, &d) > room);
            refused++;
            continue;
        }
        ck_assert_int_le(cap, wanted);
        d.output = cap;
        ck_assert_int_le(candidate_bound(&c, &d), room);
        d.output = cap + 1;
        if (cap < wanted)
            ck_assert(candidate_bound(&c, &d) > room);
        cut += cap < wanted;
        whole += cap == wanted;
        int64_t token_room = upto(1 << 20), tokens;
        d.output = wanted;
        cap = demand_output_within(&d, token_room);
        d.output = cap < 0 ? 0 : cap;
        tokens = demand_tokens(&d);
        ck_assert(cap < 0 ? tokens > token_room : tokens <= token_room);
        d.output = cap + 1;
        ck_assert(cap < 0 || cap == wanted || demand_tokens(&d) > token_room);
    }
    ck_assert(cut > 100 && refused > 100 && whole > 100);
}
END_TEST

START_TEST(nonsense_fits_nothing)
{
    struct price p = {.base = {1, 1, 1, 1, 1}};
    struct candidate c = {.price = &p};
    struct demand bad[] = {{.bytes = -1}, {.more = -1}, {.output = -1}, {.answers = -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(candidate_bound(&c, &bad[i]), INT64_MAX);
        ck_assert_int_eq(demand_tokens(&bad[i]), INT64_MAX);
        ck_assert_int_eq(candidate_output_within(&c, &bad[i], INT64_MAX - 1), -1);
        ck_assert_int_eq(demand_output_within(&bad[i], INT64_MAX - 1), -1);
    }
}
END_TEST

START_TEST(conversion_rounds_up)
{
    struct ratio third = {1, 3}, same = {1, 1}, dear = {RATIO_MAX, 1}, cheap = {1, RATIO_MAX}, bad = {0, 1};
    ck_assert_int_eq(money_convert(9, third), 3);
    ck_assert_int_eq(money_convert(10, third), 4);
    ck_assert_int_eq(money_convert(-10, third), -4);
    ck_assert_int_eq(money_convert(0, dear), 0);
    ck_assert_int_eq(money_convert(INT64_MAX - 1, same), INT64_MAX - 1);
    ck_assert_int_eq(money_convert(INT64_MAX, cheap), INT64_MAX); /* out of range stays so */
    ck_assert_int_eq(money_convert(INT64_MAX - 1, dear), INT64_MAX);
    ck_assert_int_eq(money_convert(INT64_MIN, dear), -INT64_MAX);
    ck_assert_int_eq(money_convert(1, cheap), 1);
    ck_assert_int_eq(money_convert(1, bad), INT64_MAX);
    for (int i = 0; i < 20000; i++) {
        struct ratio r = {1 + upto(RATIO_MAX - 1), 1 + upto(RATIO_MAX - 1)};
        pico a = upto(INT64_MAX - 1), b = upto(a);
        ck_assert_int_le(money_convert(b, r), money_convert(a, r)); /* a cost within its bound stays within it */
        pico sum = money_add(money_convert(b, r), money_convert(a - b, r));
        ck_assert_int_ge(sum, money_convert(a, r));
    }
}
END_TEST

START_TEST(ratios_are_exact)
{
    struct ratio r;
    struct err err;
    ck_assert(ratio_parse(STR("1.0842"), &r, &err) == RC_OK && r.num == 5421 && r.den == 5000);
    ck_assert(ratio_parse(STR("0.000000000001"), &r, &err) == RC_OK && r.num == 1 && r.den == PICO_PER_UNIT);
    ck_assert(ratio_parse(STR("160"), &r, &err) == RC_OK && r.num == 160 && r.den == 1);
    ck_assert_int_eq(ratio_parse(STR("0.00"), &r, &err), RC_INVALID);
    ck_assert_int_eq(ratio_parse(STR("-1"), &r, &err), RC_INVALID);
    ck_assert_int_eq(ratio_parse(STR("1,5"), &r, &err), RC_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("demand");
    TCase *tc = tcase_create("demand");
    tcase_add_test(tc, the_bound_is_above_every_cost);
    tcase_add_test(tc, the_cap_is_the_largest_that_fits);
    tcase_add_test(tc, nonsense_fits_nothing);
    tcase_add_test(tc, conversion_rounds_up);
    tcase_add_test(tc, ratios_are_exact);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
