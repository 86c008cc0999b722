/* Contract: the score of a task's text chooses class and limit, and the words say why. */
#include "conf/limits.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct settings *set;

static void begin(void)
{
    ctx = mem_root();
    set = settings_default(ctx);
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

#define TWO_HUNDRED                                                                                                    \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                                                               \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                                                               \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                                                               \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    const char *text;
    int score;
    enum task_class task_class;
    int64_t iterations;
    const char *words;
} cases[] = {
    {"Fix the typo", 0, TASK_SIMPLE, 10, "10 iterations: simple task (10)"},
    {"Fix it and add tests", 1, TASK_SIMPLE, 15,
     "15 iterations: simple task (10), times 1.5 because it speaks of tests"},
    {"Use the latest contest data", 0, TASK_SIMPLE, 10, "10 iterations: simple task (10)"},
    {"Recreate nothing", 0, TASK_SIMPLE, 10, "10 iterations: simple task (10)"},
    {"Implement it", 2, TASK_MEDIUM, 60,
     "60 iterations: medium task (30), times 2 because it says implement or create"},
    {"CREATE a test", 3, TASK_MEDIUM, 75,
     "75 iterations: medium task (30), times 2.5 because it says implement or create, speaks of tests"},
    {TWO_HUNDRED, 0, TASK_SIMPLE, 10, "10 iterations: simple task (10)"},
    {TWO_HUNDRED "y", 1, TASK_SIMPLE, 15, "15 iterations: simple task (10), times 1.5 because it is long"},
    {"create tests " TWO_HUNDRED, 4, TASK_COMPLEX, 150,
     "150 iterations: complex task (50), times 3 because it says implement or create, is long, speaks of tests"},
    {"", 0, TASK_SIMPLE, 10, "10 iterations: simple task (10)"},
};

START_TEST(score_chooses)
{
    struct iteration_limit limit;
    iteration_limit_choose(ctx, set, str_of(cases[_i].text), &limit);
    ck_assert_int_eq(limit.score, cases[_i].score);
    ck_assert_int_eq(limit.task_class, cases[_i].task_class);
    ck_assert_int_eq(limit.iterations, cases[_i].iterations);
    ck_assert_str_eq(limit.words, cases[_i].words);
}
END_TEST

START_TEST(settings_count)
{
    struct err err;
    struct iteration_limit limit;
    ck_assert_int_eq(setting_set(set, "limits.iterations_simple", "7", "test", &err), RC_OK);
    iteration_limit_choose(ctx, set, STR("Add tests"), &limit);
    ck_assert_int_eq(limit.iterations, 10); /* 7 x 1.5 rounded down */
    ck_assert_int_eq(setting_set(set, "limits.adaptive", "off", "test", &err), RC_OK);
    iteration_limit_choose(ctx, set, STR("Implement tests"), &limit);
    ck_assert_int_eq(limit.iterations, 30);
    ck_assert_ptr_nonnull(strstr(limit.words, "limits.adaptive is off"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, score_chooses, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(t, settings_count);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
