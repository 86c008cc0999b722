/* Contract: what a delivered task left behind goes after its time and nothing else does: not the work of a task that
 * was not delivered, not that of a young one, not journals; spare workspaces go by their age. */
#include "base/clock.h"
#include "flow/retention.h"
#include "os/path.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY_S  86400
#define DAY_NS (DAY_S * INT64_C(1000000000))

static char dir[64];
static mem *ctx;
static struct board board;
static struct err err;
static int64_t now;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/nightmill-retention-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ctx = mem_root();
    now = clock_wall_ns();
    board.data_dir = dir;
    ck_assert_msg(store_open(ctx, dir, &board.store, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    store_close(board.store);
    mem_free(ctx);
    ck_assert_int_eq(path_remove_tree(dir, &err), RC_OK);
}

static enum rc insert_tx(struct store_tx *tx, void *arg, struct err *e)
{
    struct task *t = arg;
    enum rc rc = task_insert(tx, t, e);
    return rc == RC_OK ? task_update(tx, t, e) : rc;
}

static void task_left(const char *id, const char *state, const char *commit, int64_t days)
{
    struct task t = {.id = id,
                     .title = "t",
                     .text = "t",
                     .repo = "/r",
                     .state = state,
                     .reason = "",
                     .words = "",
                     .spec = "{}",
                     .commit = commit,
                     .branch = commit ? "b" : NULL,
                     .created_ns = now,
                     .ended_ns = now - days * DAY_NS,
                     .limit_money = -1,
                     .currency = "USD"};
    ck_assert_msg(store_write(board.store, insert_tx, &t, &err) == RC_OK, "%s", err.sentence);
    ck_assert_int_eq(path_mkdirs(mem_printf(ctx, "%s/tasks/%s/work/sub", dir, id), 0755, &err), RC_OK);
    ck_assert_int_eq(path_mkdirs(mem_printf(ctx, "%s/tasks/%s/git", dir, id), 0755, &err), RC_OK);
    ck_assert_int_eq(path_write_durable(mem_printf(ctx, "%s/tasks/%s/journal", dir, id), STR("j"), 0600, &err), RC_OK);
}

static void spare_left(const char *name, int64_t days)
{
    const char *path = mem_printf(ctx, "%s/" BOARD_SPARES "/%s", dir, name);
    ck_assert_int_eq(path_mkdirs(mem_printf(ctx, "%s/work", path), 0755, &err), RC_OK);
    struct timespec at[2] = {{.tv_sec = now / 1000000000 - days * DAY_S}, {.tv_sec = now / 1000000000 - days * DAY_S}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, at, 0), 0);
}

static bool there(const char *path)
{
    return access(mem_printf(ctx, "%s/%s", dir, path), F_OK) == 0;
}

START_TEST(tasks_shrink_by_age_and_delivery)
{
    int64_t n;
    task_left("aaaaaa1", "done", "abc", 31);
    task_left("aaaaaa2", "unproven", NULL, 31);
    task_left("aaaaaa3", "done", "abc", 29);
    task_left("aaaaaa4", "stopped", "abc", 31);
    ck_assert_int_eq(retention_run(&board, now, 30 * DAY_S, &n, &err), RC_OK);
    ck_assert_int_eq(n, 2);
    ck_assert(!there("tasks/aaaaaa1/work") && !there("tasks/aaaaaa1/git") && there("tasks/aaaaaa1/journal"));
    ck_assert(there("tasks/aaaaaa2/work") && there("tasks/aaaaaa3/work") && there("tasks/aaaaaa4/work"));
    ck_assert(retention_run(&board, now, 30 * DAY_S, &n, &err) == RC_OK && n == 0);
}
END_TEST

START_TEST(spares_go_by_age)
{
    int64_t n;
    ck_assert_msg(retention_run(&board, now, 30 * DAY_S, &n, &err) == RC_OK && n == 0, "no folder of spares is fine");
    spare_left("spare-1", 31);
    spare_left("spare-2", 29);
    spare_left("spare-3.new", 31);
    spare_left("other", 31);
    ck_assert(retention_run(&board, now, 30 * DAY_S, &n, &err) == RC_OK && n == 2);
    ck_assert(!there(BOARD_SPARES "/spare-1") && !there(BOARD_SPARES "/spare-3.new") && !there(BOARD_SPARES "/old"));
    ck_assert(there(BOARD_SPARES "/spare-2") && there(BOARD_SPARES "/other"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retention");
    TCase *t = tcase_create("retention");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, tasks_shrink_by_age_and_delivery);
    tcase_add_test(t, spares_go_by_age);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
