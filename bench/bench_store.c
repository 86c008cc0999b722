/* What the store costs: durable events a second, as ratio to SQLite doing the same rows by hand, and lists of tasks.
 *
 *   bench_store [FOLDER]   works in a new folder below FOLDER (/var/tmp) and removes it
 *
 * Prints one line a figure: name, median of the rounds, unit, and a remark, separated by tabs. Rounds of what is
 * compared alternate, since the disk and the neighbours change from second to second. */
#include "base/clock.h"
#include "os/path.h"
#include "store/store.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 7
#define EVENTS 20000
#define GROUP  256
#ifndef TASKS
#define TASKS 10000
#endif

static const char *const task_ids[] = {"aaaaaa1", "aaaaaa2", "aaaaaa3", "aaaaaa4"};
static char data[301]; /* a JSON object */

static void need(bool ok, const char *what, const struct err *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench_store: %s: %s %s\n", what, err ? err->sentence : "", err ? err->detail : "");
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, compare);
    return v[n / 2];
}

static double seconds_since(int64_t start)
{
    return (double)(clock_mono_ns() - start) / 1e9;
}

/* ---- tasks ---- */

static enum rc tasks_make(struct store_tx *tx, void *arg, struct err *err)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    static const char *const states[] = {"done", "done", "done", "unproven", "stopped", "failed", "paused", "queued"};
    char id[8] = "b000000", text[600], spec[1500];
    memset(text, 't', sizeof text - 1);
    memset(spec, 's', sizeof spec - 1);
    text[sizeof text - 1] = spec[sizeof spec - 1] = '\0';
    for (int i = 0; i < *(int *)arg; i++) {
        for (int at = 6, rest = i; at > 0; at--, rest /= 32)
            id[at] = alphabet[rest % 32];
        struct task t = {.id = id,
                         .title = "Add a flag to the command",
                         .text = text,
                         .repo = "/home/someone/project",
                         .state = states[i % 8],
                         .reason = "",
                         .words = "It is as it is.",
                         .spec = spec,
                         .created_ns = i,
                         .limit_money = -1,
                         .currency = "USD"};
        enum rc rc = task_insert(tx, &t, err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static enum rc writers_make(struct store_tx *tx, void *arg, struct err *err)
{
    (void)arg;
    for (size_t i = 0; i < 4; i++) {
        struct task t = {.id = task_ids[i], .title = "t", .text = "t", .repo = "/r", .state = "working", .spec = "{}"};
        enum rc rc = task_insert(tx, &t, err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static void bench_lists(struct store *s)
{
    static const struct {
        const char *name, *unit;
        struct task_filter filter;
    } lists[] = {
        {"list_10000_brief", "ms", {.limit = TASKS, .brief = true}},
        {"list_10000_whole", "ms", {.limit = TASKS}},
        {"list_50_newest", "ms", {.limit = 50, .brief = true}},
        {"list_50_active", "ms", {.limit = 50, .state = "active", .brief = true}},
        {"list_50_failed_of_repo",
         "ms",
         {.limit = 50, .state = "failed", .repo = "/home/someone/project", .brief = true}},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        double took[ROUNDS];
        size_t n = 0;
        for (int round = 0; round < ROUNDS; round++) {
            CLEANUP_MEM mem *tmp = mem_root();
            struct task *list;
            struct err err = {0};
            int64_t start = clock_mono_ns();
            need(task_list(tmp, s, &lists[i].filter, &list, &n, &err) == RC_OK, lists[i].name, &err);
            took[round] = seconds_since(start) * 1000;
        }
        printf("%s\t%.2f\t%s\t%zu of %d tasks\n", lists[i].name, median(took, ROUNDS), lists[i].unit, n, TASKS);
    }
}

/* ---- events ---- */

/* One event is one job, as when runners report; the writer groups them. */
struct flight {
    pthread_mutex_t lock;
    pthread_cond_t landed;
    int left, failed;
};
struct report {
    struct flight *flight;
    const char *task;
    int64_t origin;
    int count;
};

static enum rc report_write(struct store_tx *tx, void *arg, struct err *err)
{
    struct report *r = arg;
    for (int i = 0; i < r->count; i++) {
        struct event e = {.time_ns = 1, .type = "agent.text", .actor = "agent", .data = data, .origin = r->origin + i};
        int64_t number;
        bool is_new;
        enum rc rc = event_append(tx, r->task, &e, &number, &is_new, err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static void report_done(void *arg, enum rc rc, const struct err *err)
{
    struct report *r = arg;
    (void)err;
    pthread_mutex_lock(&r->flight->lock);
    r->flight->failed += rc != RC_OK;
    if (--r->flight->left == 0)
        pthread_cond_signal(&r->flight->landed);
    pthread_mutex_unlock(&r->flight->lock);
}

/* Events a second until the last is acknowledged. */
static double store_round(struct store *s, int round, int per_job)
{
    int jobs = EVENTS / per_job;
    struct report *reports = calloc((size_t)jobs, sizeof *reports);
    struct flight flight = {.lock = PTHREAD_MUTEX_INITIALIZER, .landed = PTHREAD_COND_INITIALIZER, .left = jobs};
    int64_t start = clock_mono_ns();
    for (int i = 0; i < jobs; i++) {
        reports[i] = (struct report){.flight = &flight,
                                     .task = task_ids[i % 4],
                                     .count = per_job,
                                     .origin = 1 + (int64_t)round * EVENTS + (int64_t)(i / 4) * per_job};
        store_write_async(s, report_write, &reports[i], report_done);
    }
    pthread_mutex_lock(&flight.lock);
    while (flight.left > 0)
        pthread_cond_wait(&flight.landed, &flight.lock);
    pthread_mutex_unlock(&flight.lock);
    double took = seconds_since(start);
    need(flight.failed == 0, "events", NULL);
    free(reports);
    return EVENTS / took;
}

/* The yardstick: the same table and indexes, nothing else, groups of the same size. */
static double raw_round(sqlite3 *h, int round)
{
    sqlite3_stmt *insert = NULL;
    char *failed = NULL;
    sqlite3_prepare_v2(h,
                       "INSERT INTO event (task_id, number, time_ns, type, actor, data, origin)"
                       " VALUES (?, ?, 1, 'agent.text', 'agent', ?, ?)",
                       -1, &insert, NULL);
    int64_t start = clock_mono_ns();
    for (int i = 0; i < EVENTS; i++) {
        if (i % GROUP == 0)
            sqlite3_exec(h, i ? "COMMIT; BEGIN IMMEDIATE" : "BEGIN IMMEDIATE", NULL, NULL, &failed);
        int64_t number = 1 + (int64_t)round * EVENTS + i / 4;
        sqlite3_bind_text(insert, 1, task_ids[i % 4], -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 2, number);
        sqlite3_bind_text(insert, 3, data, -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 4, number);
        need(sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK && !failed, sqlite3_errmsg(h),
             NULL);
    }
    sqlite3_exec(h, "COMMIT", NULL, NULL, &failed);
    double took = seconds_since(start);
    need(!failed, "commit", NULL);
    sqlite3_finalize(insert);
    sqlite3_wal_checkpoint_v2(h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return EVENTS / took;
}

static sqlite3 *raw_open(const char *path)
{
    sqlite3 *h = NULL;
    need(
        sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
                SQLITE_OK &&
            sqlite3_exec(h,
                         "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                         "CREATE TABLE event (task_id TEXT NOT NULL, number INTEGER NOT NULL, time_ns INTEGER NOT NULL,"
                         " type TEXT NOT NULL, actor TEXT NOT NULL, data TEXT NOT NULL, origin INTEGER NOT NULL,"
                         " PRIMARY KEY (task_id, number)) STRICT;"
                         "CREATE UNIQUE INDEX event_origin ON event (task_id, origin) WHERE origin > 0",
                         NULL, NULL, NULL) == SQLITE_OK,
        "the database to compare with", NULL);
    return h;
}

static void bench_events(struct store *s, sqlite3 *raw)
{
    double single[ROUNDS], hundred[ROUNDS], by_hand[ROUNDS];
    int round = 0;
    for (int i = 0; i < ROUNDS; i++) {
        by_hand[i] = raw_round(raw, i);
        single[i] = store_round(s, round++, 1);
        hundred[i] = store_round(s, round++, 100);
        need(store_checkpoint(s, NULL) == RC_OK, "checkpoint", NULL);
    }
    double base = median(by_hand, ROUNDS), one = median(single, ROUNDS), many = median(hundred, ROUNDS);
    printf("events_raw_sqlite\t%.0f\tper s\tby hand, durable, transactions of %d rows of 300 bytes\n", base, GROUP);
    printf("events_durable\t%.0f\tper s\tone event a job, grouped by the writer; %.2f of raw\n", one, one / base);
    printf("events_durable_batch\t%.0f\tper s\t100 events a job; %.2f of raw\n", many, many / base);
}

static void bench_latency(struct store *s)
{
    static double took[500];
    for (int i = 0; i < 500; i++) {
        struct report r = {.task = task_ids[0], .origin = 1000000000 + i, .count = 1};
        int64_t start = clock_mono_ns();
        need(store_write(s, report_write, &r, NULL) == RC_OK, "event", NULL);
        took[i] = seconds_since(start) * 1000;
    }
    double middle = median(took, 500);
    printf("event_acknowledged\t%.3f\tms\tone waiter; 99 of 100 within %.3f\n", middle, took[494]);
}

int main(int argc, char **argv)
{
    CLEANUP_MEM mem *root = mem_root();
    struct err err = {0};
    struct store *s = NULL;
    char *folder = mem_printf(root, "%s/bench_store_XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    int tasks = TASKS;
    need(mkdtemp(folder) != NULL, folder, NULL);
    memset(data, 'x', sizeof data - 1);
    memcpy(data, "{\"text\":\"", 9);
    memcpy(data + sizeof data - 3, "\"}", 2);
    need(store_open(root, folder, &s, &err) == RC_OK, "open", &err);
    need(store_write(s, tasks_make, &tasks, &err) == RC_OK, "tasks", &err);
    need(store_write(s, writers_make, NULL, &err) == RC_OK, "tasks", &err);
    sqlite3 *raw = raw_open(mem_printf(root, "%s/raw.db", folder));
    bench_lists(s);
    bench_events(s, raw);
    bench_latency(s);
    sqlite3_close(raw);
    s = store_close(s);
    int64_t start = clock_mono_ns();
    need(store_open(root, folder, &s, &err) == RC_OK, "open", &err);
    printf("store_open\t%.2f\tms\tafter an orderly end, %d tasks, %d events\n", seconds_since(start) * 1000, TASKS,
           2 * ROUNDS * EVENTS);
    s = store_close(s);
    need(unlink(mem_printf(root, "%s/nightmill.db.clean", folder)) == 0, "the note of an orderly end", NULL);
    start = clock_mono_ns();
    need(store_open(root, folder, &s, &err) == RC_OK, "open", &err);
    printf("store_open_checked\t%.0f\tms\tthe same after an unclean end: all pages are checked\n",
           seconds_since(start) * 1000);
    store_close(s);
    need(path_remove_tree(folder, &err) == RC_OK, "cleaning", &err);
    return 0;
}
