/* Contract: a task and its events are written together; numbers are dense from 1 for each task; a repeated origin is
 * not new; what a failed transaction did is gone; the listener hears of tasks with events, once for each group; all of
 * it is there after reopening. */
#include "base/clock.h"
#include "store/store.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static char folder[64];
static mem *root;
static struct store *s;

static struct task sample(const char *id)
{
    return (struct task){.id = id,
                         .title = "Add a flag",
                         .text = "Add a flag\nto the command",
                         .repo = "/home/u/project",
                         .state = "queued",
                         .reason = "",
                         .words = "Waits for its turn.",
                         .spec = "{\"checks\":[]}",
                         .iteration_limit = 10,
                         .created_ns = clock_wall_ns(),
                         .changed_ns = clock_wall_ns(),
                         .limit_money = -1,
                         .currency = "USD"};
}

static void open_store(void)
{
    struct err err = {0};
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_store_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_store();
}

static void close_store(void)
{
    s = store_close(s);
    root = mem_free(root);
}

static void teardown(void)
{
    char command[128];
    close_store();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static enum rc insert_task(struct store_tx *tx, void *arg, struct err *err)
{
    return task_insert(tx, arg, err);
}

static void add_task(const char *id)
{
    struct task t = sample(id);
    struct err err = {0};
    ck_assert_msg(store_write(s, insert_task, &t, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

struct append {
    const char *task;
    int64_t origin, number;
    int count;
    bool is_new, fail;
};

static enum rc append(struct store_tx *tx, void *arg, struct err *err)
{
    struct append *a = arg;
    struct event e = {
        .time_ns = 7, .type = "iteration.started", .actor = "system", .data = "{\"n\":1}", .origin = a->origin};
    for (int i = 0; i < (a->count ? a->count : 1); i++) {
        enum rc rc = event_append(tx, a->task, &e, &a->number, &a->is_new, err);
        if (rc)
            return rc;
        e.origin += e.origin > 0;
    }
    return a->fail ? err_set(err, RC_CONFLICT, "as asked") : RC_OK;
}

static struct append written(struct append a)
{
    struct err err = {0};
    ck_assert_msg(store_write(s, append, &a, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    return a;
}

static size_t listed(const char *task, int64_t after, int64_t limit, struct event **ret)
{
    size_t n = 0;
    ck_assert_int_eq(event_list(root, s, task, after, limit, ret, &n, NULL), RC_OK);
    return n;
}

START_TEST(numbers_are_dense)
{
    add_task("aaaaaa1");
    add_task("aaaaaa2");
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(written((struct append){.task = "aaaaaa1"}).number, i);
        ck_assert_int_eq(written((struct append){.task = "aaaaaa2"}).number, i);
    }
    struct event *list;
    ck_assert_uint_eq(listed("aaaaaa1", 0, 100, &list), 3);
    ck_assert_int_eq(list[2].number, 3);
    ck_assert_str_eq(list[2].data, "{\"n\":1}");
    ck_assert_uint_eq(listed("aaaaaa1", 1, 1, &list), 1);
    ck_assert_int_eq(list[0].number, 2);
    ck_assert_uint_eq(listed("aaaaaa1", 3, 10, &list), 0);
    struct task t;
    ck_assert_int_eq(task_find(root, s, "aaaaaa1", &t, NULL), RC_OK);
    ck_assert_int_eq(t.last_event, 3);
}
END_TEST

START_TEST(origin_is_stored_once)
{
    add_task("aaaaaa1");
    int64_t last = -1;
    ck_assert_int_eq(event_last_origin(s, "aaaaaa1", &last, NULL), RC_OK);
    ck_assert_int_eq(last, 0);
    struct append a = written((struct append){.task = "aaaaaa1", .origin = 5});
    ck_assert(a.is_new && a.number == 1);
    a = written((struct append){.task = "aaaaaa1", .origin = 5});
    ck_assert(!a.is_new && a.number == 1);
    a = written((struct append){.task = "aaaaaa1", .origin = 9});
    ck_assert(a.is_new && a.number == 2);
    a = written((struct append){.task = "aaaaaa1", .origin = 7}); /* below the highest, but not there */
    ck_assert(a.is_new && a.number == 3);
    a = written((struct append){.task = "aaaaaa1", .origin = 7});
    ck_assert(!a.is_new && a.number == 3);
    ck_assert_int_eq(event_last_origin(s, "aaaaaa1", &last, NULL), RC_OK);
    ck_assert_int_eq(last, 9);
    struct err err = {0};
    ck_assert_int_eq(event_last_origin(s, "aaaaaa9", &last, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "nightmill ls"));
}
END_TEST

START_TEST(failed_transaction_leaves_nothing)
{
    add_task("aaaaaa1");
    struct append a = {.task = "aaaaaa1", .origin = 1, .count = 20, .fail = true};
    struct err err = {0};
    ck_assert_int_eq(store_write(s, append, &a, &err), RC_CONFLICT);
    ck_assert_str_eq(err.sentence, "as asked");
    struct event *list;
    ck_assert_uint_eq(listed("aaaaaa1", 0, 100, &list), 0);
    a = written((struct append){.task = "aaaaaa1", .origin = 1});
    ck_assert(a.is_new && a.number == 1);
}
END_TEST

START_TEST(bad_events_are_refused)
{
    add_task("aaaaaa1");
    struct append a = {.task = "aaaaaa9"};
    struct err err = {0};
    ck_assert_int_eq(store_write(s, append, &a, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.sentence, "aaaaaa9"));
    a.task = "'; DROP TABLE event; --";
    ck_assert_int_eq(store_write(s, append, &a, &err), RC_NOT_FOUND);
    ck_assert_ptr_null(strstr(err.sentence, "DROP"));
}
END_TEST

/* Runs on the writer thread. */
struct heard {
    pthread_mutex_t lock;
    int a, b, calls;
};

static void hear(void *arg, const char *const *ids, size_t n)
{
    struct heard *h = arg;
    pthread_mutex_lock(&h->lock);
    h->calls++;
    for (size_t i = 0; i < n; i++) {
        h->a += strcmp(ids[i], "aaaaaa1") == 0;
        h->b += strcmp(ids[i], "aaaaaa2") == 0;
    }
    pthread_mutex_unlock(&h->lock);
}

START_TEST(listener_hears_of_committed_events)
{
    struct heard h = {.lock = PTHREAD_MUTEX_INITIALIZER};
    store_on_commit(s, hear, &h);
    add_task("aaaaaa1");
    add_task("aaaaaa2");
    struct append failing = {.task = "aaaaaa2", .fail = true};
    ck_assert_int_eq(store_write(s, append, &failing, NULL), RC_CONFLICT);
    written((struct append){.task = "aaaaaa1", .count = 50});
    pthread_mutex_lock(&h.lock);
    ck_assert_int_eq(h.a, 1); /* heard before the writer was told */
    ck_assert_int_eq(h.b, 0);
    pthread_mutex_unlock(&h.lock);
}
END_TEST

START_TEST(all_is_there_after_reopening)
{
    add_task("aaaaaa1");
    written((struct append){.task = "aaaaaa1", .origin = 1, .count = 1000});
    close_store();
    open_store();
    struct event *list;
    ck_assert_uint_eq(listed("aaaaaa1", 0, 5000, &list), 1000);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(list[i].number, i + 1);
    struct append a = written((struct append){.task = "aaaaaa1", .origin = 1000});
    ck_assert(!a.is_new && a.number == 1000);
}
END_TEST

/* Asynchronous writes from several threads: each is told exactly once, numbers stay dense. */
struct told {
    pthread_mutex_t lock;
    pthread_cond_t all;
    int ok, other;
};
struct shot {
    struct append a;
    struct told *told;
};

static enum rc shoot(struct store_tx *tx, void *arg, struct err *err)
{
    return append(tx, &((struct shot *)arg)->a, err);
}

static void tell(void *arg, enum rc rc, const struct err *err)
{
    struct shot *shot = arg;
    struct told *told = shot->told;
    ck_assert((rc == RC_OK) == (err == NULL));
    pthread_mutex_lock(&told->lock);
    if (rc == RC_OK)
        told->ok++;
    else
        told->other++;
    pthread_cond_signal(&told->all);
    pthread_mutex_unlock(&told->lock);
    free(shot);
}

static void *shooter(void *arg)
{
    for (int i = 0; i < 500; i++) {
        struct shot *shot = calloc(1, sizeof *shot);
        *shot = (struct shot){.a = {.task = "aaaaaa1", .fail = i % 10 == 0}, .told = arg};
        store_write_async(s, shoot, shot, tell);
    }
    return NULL;
}

START_TEST(asynchronous_writes_are_told_once)
{
    add_task("aaaaaa1");
    struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, shooter, &told), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&told.lock);
    while (told.ok + told.other < 2000)
        pthread_cond_wait(&told.all, &told.lock);
    ck_assert_int_eq(told.ok, 1800);
    ck_assert_int_eq(told.other, 200);
    pthread_mutex_unlock(&told.lock);
    struct event *list;
    ck_assert_uint_eq(listed("aaaaaa1", 0, 5000, &list), 1800);
    ck_assert_int_eq(list[1799].number, 1800);
}
END_TEST

static enum rc tell_topic(struct store_tx *tx, void *arg, struct err *err)
{
    struct event e = {.time_ns = 9, .type = "setting.changed", .actor = "user", .data = "{}"};
    return event_tell(tx, arg, &e, err);
}

/* One order for all, without gaps, also where a transaction was undone in between. */
START_TEST(everything_has_one_order)
{
    struct err err = {0};
    struct event_row *rows;
    size_t n;
    int64_t oldest, newest;
    char settings[] = "settings", weather[] = "weather";
    ck_assert_int_eq(event_span(s, &oldest, &newest, &err), RC_OK);
    ck_assert(oldest == 0 && newest == 0);
    add_task("aaaaaa1");
    add_task("aaaaaa2");
    written((struct append){.task = "aaaaaa1", .count = 2});
    ck_assert_int_eq(store_write(s, append, &(struct append){.task = "aaaaaa2", .fail = true}, &err), RC_CONFLICT);
    ck_assert_int_eq(store_write(s, tell_topic, settings, &err), RC_OK);
    ck_assert_int_eq(store_write(s, tell_topic, weather, &err), RC_BUG);
    written((struct append){.task = "aaaaaa2", .count = 1});
    ck_assert_int_eq(event_all(root, s, 0, 100, 3, &rows, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 4);
    static const char *const topics[] = {"task", "task", "settings", "task"};
    static const char *const tasks[] = {"aaaaaa1", "aaaaaa1", "", "aaaaaa2"};
    static const int64_t numbers[] = {1, 2, 0, 1};
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(rows[i].n, (int64_t)i + 1);
        ck_assert_str_eq(rows[i].topic, topics[i]);
        ck_assert_str_eq(rows[i].task, tasks[i]);
        ck_assert_int_eq(rows[i].e.number, numbers[i]);
    }
    ck_assert_str_eq(rows[0].e.data, ""); /* longer than was asked for */
    ck_assert_int_eq(rows[0].bytes, 7);
    ck_assert_str_eq(rows[2].e.data, "{}");
    ck_assert_int_eq(event_all(root, s, 3, 100, 100, &rows, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(event_span(s, &oldest, &newest, &err), RC_OK);
    ck_assert(oldest == 1 && newest == 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store events");
    TCase *tc = tcase_create("events");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, numbers_are_dense);
    tcase_add_test(tc, origin_is_stored_once);
    tcase_add_test(tc, failed_transaction_leaves_nothing);
    tcase_add_test(tc, bad_events_are_refused);
    tcase_add_test(tc, everything_has_one_order);
    tcase_add_test(tc, listener_hears_of_committed_events);
    tcase_add_test(tc, all_is_there_after_reopening);
    tcase_add_test(tc, asynchronous_writes_are_told_once);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
