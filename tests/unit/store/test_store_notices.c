/* Contract: people are told of a task's state once; a trial is one thing to them: its winner, its end without one, and
 * once what several attempts wait for; what is told, and how it is delivered, is told to the live stream. */
#include "base/clock.h"
#include "store/notice.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct err err;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_notices_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void teardown(void)
{
    char command[128];
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

struct step {
    const char *task, *state, *reason, *gate;
};

static struct task row_of(const struct step *st, const char *trial)
{
    return (struct task){.id = st->task,
                         .title = "T",
                         .text = "T",
                         .repo = "/r",
                         .state = st->state,
                         .reason = st->reason,
                         .words = "",
                         .spec = "{}",
                         .limit_money = -1,
                         .currency = "USD",
                         .agent = "",
                         .agent_version = "",
                         .model = "",
                         .kind = "",
                         .trial = trial,
                         .attempt = st->task[6] - '0'};
}

static enum rc insert_tx(struct store_tx *tx, void *arg, struct err *e)
{
    return task_insert(tx, arg, e);
}

static void task_make(const char *id, const char *trial)
{
    struct step st = {id, "working", "", NULL};
    struct task t = row_of(&st, trial);
    ck_assert_msg(store_write(s, insert_tx, &t, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static enum rc step_tx(struct store_tx *tx, void *arg, struct err *e)
{
    const struct step *st = arg;
    struct task t;
    int64_t number;
    bool fresh;
    const char *data = mem_printf(root, "{\"state\":\"%s\",\"reason\":\"%s\"}", st->state, st->reason);
    struct event gate = {.time_ns = 1, .type = "gate.waiting", .actor = "runner", .data = "{\"gate\":\"plan\"}"},
                 change = {.time_ns = 1, .type = "task.state", .actor = "runner", .data = data};
    enum rc rc = st->gate ? event_append(tx, st->task, &gate, &number, &fresh, e) : RC_OK;
    rc = rc ? rc : task_find_tx(root, tx, st->task, &t, e);
    t.state = st->state;
    t.reason = st->reason;
    rc = rc ? rc : task_update(tx, &t, e);
    return rc ? rc : event_append(tx, st->task, &change, &number, &fresh, e);
}

static void step(const char *task, const char *state, const char *reason)
{
    struct step st = {task, state, reason, strcmp(reason, "approval") == 0 ? "plan" : NULL};
    ck_assert_msg(store_write(s, step_tx, &st, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

/* "kind:task kind:task", the oldest first. */
static const char *told(void)
{
    struct notice *rows;
    size_t n;
    const char *text = "";
    ck_assert_int_eq(notice_list(root, s, 0, 0, 100, &rows, &n, &err), RC_OK);
    while (n-- > 0)
        text = mem_printf(root, "%s%s%s:%s", text, *text ? " " : "", rows[n].kind, rows[n].task);
    return text;
}

START_TEST(a_task_of_its_own_is_told_each_time)
{
    task_make("aaaaaa1", "");
    step("aaaaaa1", "paused", "limit_iterations");
    step("aaaaaa1", "working", "");
    step("aaaaaa1", "failed", "");
    ck_assert_str_eq(told(), "limit:aaaaaa1 task_failed:aaaaaa1");
}
END_TEST

START_TEST(a_race_is_told_once)
{
    for (int i = 1; i <= 3; i++)
        task_make(mem_printf(root, "aaaaaa%d", i), "trialid");
    step("aaaaaa1", "needs_you", "approval");
    step("aaaaaa2", "needs_you", "approval");
    ck_assert_str_eq(told(), "approval:aaaaaa1");
    step("aaaaaa1", "working", "");
    step("aaaaaa2", "working", "");
    step("aaaaaa2", "paused", "limit_money");
    step("aaaaaa3", "paused", "limit_money");
    step("aaaaaa1", "failed", "");
    ck_assert_str_eq(told(), "approval:aaaaaa1 limit:aaaaaa2");
    step("aaaaaa2", "working", ""); /* somebody has answered: the next one is news */
    step("aaaaaa3", "working", "");
    step("aaaaaa3", "paused", "limit_money");
    step("aaaaaa2", "done", "");
    step("aaaaaa3", "failed", "");
    ck_assert_str_eq(told(), "approval:aaaaaa1 limit:aaaaaa2 limit:aaaaaa3 task_done:aaaaaa2");
}
END_TEST

START_TEST(a_race_without_a_winner_is_told_at_its_end)
{
    for (int i = 1; i <= 3; i++)
        task_make(mem_printf(root, "aaaaaa%d", i), "trialid");
    step("aaaaaa1", "failed", "");
    step("aaaaaa2", "stopped", "user");
    ck_assert_str_eq(told(), "");
    step("aaaaaa3", "unproven", "");
    ck_assert_str_eq(told(), "task_done:aaaaaa3");
}
END_TEST

START_TEST(notices_and_deliveries_are_told_to_the_stream)
{
    struct event_row *rows;
    size_t n, seen = 0;
    task_make("aaaaaa1", "");
    step("aaaaaa1", "done", "");
    ck_assert_int_eq(event_all(root, s, 0, 100, 1000, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        seen += strcmp(rows[i].e.type, "notice.changed") == 0;
    ck_assert_uint_eq(seen, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store notices");
    TCase *c = tcase_create("notices");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_task_of_its_own_is_told_each_time);
    tcase_add_test(c, a_race_is_told_once);
    tcase_add_test(c, a_race_without_a_winner_is_told_at_its_end);
    tcase_add_test(c, notices_and_deliveries_are_told_to_the_stream);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
