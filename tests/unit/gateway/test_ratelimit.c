/* Contract, as properties over random histories: in any stretch of time no more is admitted than the limit and what
 * flows in meanwhile; the wait that is told is enough and not a nanosecond less; a refusal charges nothing; what is
 * given back admits no more than if it had never been charged; the table stays bounded and forgets nobody who owes. */
#include "gateway/ratelimit.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)

static uint64_t state;
static uint64_t chance(uint64_t below) /* xorshift64, the same in every run */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

struct taken {
    int64_t at, tokens;
};

static enum rc take(struct ratelimit *r, const struct ratelimit_rule *rule, int64_t tokens, int64_t now,
                    struct ratelimit_ticket *t, struct ratelimit_verdict *v)
{
    struct err err = {0};
    enum rc rc = ratelimit_take(r, "aaaaaa1", rule, tokens, false, now, t, v, &err);
    ck_assert_int_eq(rc == RC_OK, v->refused_by == RATELIMIT_NONE);
    ck_assert(rc == RC_OK || (rc == RC_LIMIT && err.sentence[0] && err.hint[0]));
    return rc;
}

/* Every stretch [i, j] of what was admitted keeps to limit * (1 + length / 60 s). */
static void bounded(const struct taken *list, size_t n, int64_t limit, bool tokens)
{
    for (size_t i = 0; i < n; i++) {
        int64_t sum = 0;
        for (size_t j = i; j < n; j++) {
            sum += tokens ? list[j].tokens : 1;
            double most = (double)limit * (1.0 + (double)(list[j].at - list[i].at) / (double)MINUTE);
            ck_assert_msg((double)sum <= most + 1e-6, "%lld in %lld ns, limit %lld", (long long)sum,
                          (long long)(list[j].at - list[i].at), (long long)limit);
        }
    }
}

START_TEST(no_stretch_of_time_holds_more_than_the_limit)
{
    enum { MOST = 600 };
    static struct taken list[MOST];
    for (int round = 0; round < 40; round++) {
        state = 0x9e3779b97f4a7c15u + (uint64_t)round;
        mem *ctx = mem_root();
        struct ratelimit *r = ratelimit_new(ctx, 8);
        struct ratelimit_rule rule = {.requests_per_minute = (int64_t)chance(100) + 1,
                                      .tokens_per_minute = (int64_t)chance(100000) + 1};
        int64_t now = (int64_t)chance(1u << 30);
        size_t n = 0;
        for (int i = 0; i < MOST; i++) {
            struct ratelimit_ticket t;
            struct ratelimit_verdict v;
            int64_t tokens = (int64_t)chance((uint64_t)rule.tokens_per_minute / 3 + 2);
            now += (int64_t)chance(i % 50 ? 3 * SECOND : 200 * SECOND);
            if (take(r, &rule, tokens, now, &t, &v) == RC_OK)
                list[n++] = (struct taken){now, tokens};
        }
        ck_assert_uint_gt(n, 0);
        bounded(list, n, rule.requests_per_minute, false);
        bounded(list, n, rule.tokens_per_minute, true);
        mem_free(ctx);
    }
}
END_TEST

START_TEST(the_wait_that_is_told_is_exact)
{
    for (int round = 0; round < 200; round++) {
        state = 77 + (uint64_t)round;
        mem *ctx = mem_root();
        struct ratelimit *r = ratelimit_new(ctx, 8);
        struct ratelimit_rule rule = {.requests_per_minute = (int64_t)chance(50) + 1,
                                      .tokens_per_minute = (int64_t)chance(9973) + 7};
        int64_t now = 1;
        for (int i = 0; i < 100; i++) {
            struct ratelimit_ticket t;
            struct ratelimit_verdict v, again;
            int64_t tokens = (int64_t)chance((uint64_t)rule.tokens_per_minute) + 1;
            if (take(r, &rule, tokens, now, &t, &v) == RC_OK)
                continue;
            ck_assert_int_gt(v.retry_after_ns, 0);
            ck_assert_int_eq(take(r, &rule, tokens, now + v.retry_after_ns - 1, &t, &again), RC_LIMIT);
            now += v.retry_after_ns;
            ck_assert_int_eq(take(r, &rule, tokens, now, &t, &again), RC_OK);
        }
        mem_free(ctx);
    }
}
END_TEST

START_TEST(a_minutes_worth_at_once_then_none)
{
    mem *ctx = mem_root();
    struct ratelimit *r = ratelimit_new(ctx, 8);
    struct ratelimit_rule rule = {.requests_per_minute = 7};
    struct ratelimit_ticket t;
    struct ratelimit_verdict v;
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(take(r, &rule, 0, 5, &t, &v), RC_OK);
        ck_assert_int_eq(v.requests_left, 6 - i);
    }
    ck_assert_int_eq(take(r, &rule, 0, 5, &t, &v), RC_LIMIT);
    ck_assert_int_eq(v.refused_by, RATELIMIT_REQUESTS);
    ck_assert_int_eq(v.retry_after_ns, MINUTE / 7 + 1);
    mem_free(ctx);
}
END_TEST

START_TEST(what_can_never_fit_is_told)
{
    mem *ctx = mem_root();
    struct ratelimit *r = ratelimit_new(ctx, 8);
    struct ratelimit_rule rule = {.tokens_per_minute = 1000};
    struct ratelimit_ticket t;
    struct ratelimit_verdict v;
    ck_assert_int_eq(take(r, &rule, 1001, 5, &t, &v), RC_LIMIT);
    ck_assert_int_eq(v.retry_after_ns, -1);
    ck_assert_int_eq(take(r, &rule, INT64_MAX, 5, &t, &v), RC_LIMIT);
    ck_assert_int_eq(take(r, &rule, 1000, 5, &t, &v), RC_OK); /* the refusals charged nothing */
    mem_free(ctx);
}
END_TEST

/* The same history twice: once charged by a bound and corrected, once charged by the truth. The first never admits what
 * the second would not. */
START_TEST(giving_back_admits_no_more_than_the_truth_would)
{
    for (int round = 0; round < 100; round++) {
        enum { MOST = 200 };
        static struct taken list[MOST];
        state = 4242 + (uint64_t)round;
        mem *ctx = mem_root();
        struct ratelimit *r = ratelimit_new(ctx, 8);
        struct ratelimit_rule rule = {.tokens_per_minute = (int64_t)chance(10000) + 100};
        int64_t now = 1;
        size_t n = 0;
        struct ratelimit_ticket open[MOST];
        int64_t truth[MOST];
        size_t open_n = 0;
        for (int i = 0; i < MOST; i++) {
            struct ratelimit_verdict v;
            int64_t bound = (int64_t)chance((uint64_t)rule.tokens_per_minute) + 1;
            now += (int64_t)chance(i % 20 ? 5 * SECOND : 90 * SECOND);
            if (open_n && chance(3)) { /* one that is under way ends */
                size_t at = chance(open_n);
                ratelimit_end(r, &open[at], truth[at], now);
                ratelimit_end(r, &open[at], truth[at], now); /* a second time: nothing */
                open[at] = open[--open_n];
                truth[at] = truth[open_n];
            }
            if (take(r, &rule, bound, now, &open[open_n], &v) != RC_OK)
                continue;
            truth[open_n] = (int64_t)chance((uint64_t)bound + 1);
            list[n++] = (struct taken){now, truth[open_n++]};
        }
        bounded(list, n, rule.tokens_per_minute, true);
        mem_free(ctx);
    }
}
END_TEST

START_TEST(giving_back_makes_room_at_once)
{
    mem *ctx = mem_root();
    struct ratelimit *r = ratelimit_new(ctx, 8);
    struct ratelimit_rule rule = {.tokens_per_minute = 1000};
    struct ratelimit_ticket t, other;
    struct ratelimit_verdict v;
    ck_assert_int_eq(take(r, &rule, 1000, 5, &t, &v), RC_OK);
    ck_assert_int_eq(take(r, &rule, 900, 5, &other, &v), RC_LIMIT);
    ratelimit_end(r, &t, 100, 5);
    ck_assert_int_eq(take(r, &rule, 900, 5, &other, &v), RC_OK);
    ratelimit_end(r, &other, -1, 5); /* unknown: stays charged */
    ck_assert_int_eq(take(r, &rule, 1, 5, &t, &v), RC_LIMIT);
    mem_free(ctx);
}
END_TEST

START_TEST(streams_are_counted)
{
    mem *ctx = mem_root();
    struct ratelimit *r = ratelimit_new(ctx, 8);
    struct ratelimit_rule rule = {.streams = 2};
    struct ratelimit_ticket t[3];
    struct ratelimit_verdict v;
    ck_assert_int_eq(ratelimit_take(r, "a", &rule, 0, true, 1, &t[0], &v, NULL), RC_OK);
    ck_assert_int_eq(ratelimit_take(r, "a", &rule, 0, true, 1, &t[1], &v, NULL), RC_OK);
    ck_assert_int_eq(ratelimit_take(r, "a", &rule, 0, true, 1, &t[2], &v, NULL), RC_LIMIT);
    ck_assert_int_eq(v.refused_by, RATELIMIT_STREAMS);
    ck_assert_int_eq(ratelimit_take(r, "a", &rule, 0, false, 1, &t[2], &v, NULL), RC_OK);
    ck_assert_int_eq(ratelimit_take(r, "b", &rule, 0, true, 1, &t[2], &v, NULL), RC_OK);
    ratelimit_end(r, &t[0], 0, 1);
    ck_assert_int_eq(ratelimit_take(r, "a", &rule, 0, true, 1, &t[2], &v, NULL), RC_OK);
    mem_free(ctx);
}
END_TEST

START_TEST(no_limit_takes_no_place)
{
    mem *ctx = mem_root();
    struct ratelimit *r = ratelimit_new(ctx, 8);
    struct ratelimit_rule rule = {0};
    struct ratelimit_ticket t;
    struct ratelimit_verdict v;
    ck_assert_int_eq(ratelimit_take(r, "a", &rule, 1000000, true, 1, &t, &v, NULL), RC_OK);
    ck_assert_uint_eq(ratelimit_keys(r), 0);
    ratelimit_end(r, &t, 5, 1);
    mem_free(ctx);
}
END_TEST

START_TEST(the_table_is_bounded_and_forgets_only_who_owes_nothing)
{
    mem *ctx = mem_root();
    struct ratelimit *r = ratelimit_new(ctx, 4);
    struct ratelimit_rule rule = {.requests_per_minute = 1};
    struct ratelimit_ticket t;
    struct ratelimit_verdict v;
    char id[16];
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "key%d", i);
        ck_assert_int_eq(ratelimit_take(r, id, &rule, 0, false, i, &t, &v, NULL), RC_OK);
    }
    ck_assert_int_eq(ratelimit_take(r, "key9", &rule, 0, false, 5, &t, &v, NULL), RC_LIMIT);
    ck_assert_int_eq(v.refused_by, RATELIMIT_TABLE);
    ck_assert_int_eq(ratelimit_take(r, "key9", &rule, 0, false, MINUTE, &t, &v, NULL), RC_OK); /* key0 is paid off */
    ck_assert_uint_eq(ratelimit_keys(r), 4);
    ck_assert_int_eq(ratelimit_take(r, "key3", &rule, 0, false, MINUTE, &t, &v, NULL), RC_LIMIT);
    ck_assert_int_eq(v.refused_by, RATELIMIT_REQUESTS);
    mem_free(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate limits");
    TCase *tc = tcase_create("properties");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, no_stretch_of_time_holds_more_than_the_limit);
    tcase_add_test(tc, the_wait_that_is_told_is_exact);
    tcase_add_test(tc, a_minutes_worth_at_once_then_none);
    tcase_add_test(tc, what_can_never_fit_is_told);
    tcase_add_test(tc, giving_back_admits_no_more_than_the_truth_would);
    tcase_add_test(tc, giving_back_makes_room_at_once);
    tcase_add_test(tc, streams_are_counted);
    tcase_add_test(tc, no_limit_takes_no_place);
    tcase_add_test(tc, the_table_is_bounded_and_forgets_only_who_owes_nothing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
