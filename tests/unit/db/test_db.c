/* Contract of the SQL door: parameters go by their numbers, shapes carry every kind of value, jobs share commits and
 * fail alone, a lost transaction fails all of its jobs, readers cannot write, closing runs what is queued. */
#include "db/db.h"
#include <check.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct db_migration steps[] = {
    {1, "first",
     "CREATE TABLE thing (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (name <> 'bad')) STRICT;"
     "CREATE TABLE kinds (a INTEGER NOT NULL, b INTEGER NOT NULL, c INTEGER NOT NULL, d TEXT NOT NULL, e TEXT,"
     " f TEXT NOT NULL, g BLOB NOT NULL) STRICT"},
};
static char folder[64];
static mem *root;
static struct db *db;
static int64_t max_pages;
static int readers;

static void db_open_or_fail(void)
{
    struct err err = {0};
    struct db_config config = {.dir = folder,
                               .name = "t.db",
                               .migrations = steps,
                               .migration_count = 1,
                               .readers = readers,
                               .max_pages = max_pages};
    ck_assert_msg(db_open(root, &config, &db, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_db_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    db_open_or_fail();
}

static void teardown(void)
{
    char command[128];
    db = db_close(db);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void reopen(void)
{
    db = db_close(db);
    db_open_or_fail();
}

static int64_t count(void)
{
    DB_SQL(sql, "SELECT count(*) FROM thing");
    int64_t n = -1;
    DB_READER struct db_conn *c = db_reader(db);
    ck_assert_int_eq(db_one_int(c, &sql, DB_NONE, &n, NULL), RC_OK);
    return n;
}

/* A job that adds a row, and perhaps fails after that. */
struct add {
    const char *name;
    size_t pad; /* bytes that the name is lengthened by */
    bool fail;
    enum rc rc; /* what done was told */
    struct err err;
    sem_t *hold, *told;
};

static enum rc add(struct db_conn *c, void *arg, struct err *err)
{
    DB_SQL(sql, "INSERT INTO thing (name) VALUES ($1)");
    struct add *a = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    if (a->hold)
        sem_wait(a->hold);
    const char *name = a->pad ? mem_printf(tmp, "%s%0*d", a->name, (int)a->pad, 0) : a->name;
    enum rc rc = name ? db_exec(c, &sql, DB_ARGS(db_text(name)), NULL, err) : RC_OK;
    return rc ? rc : a->fail ? err_set(err, RC_DENIED, "as asked") : RC_OK;
}

static void added(void *arg, enum rc rc, const struct err *err)
{
    struct add *a = arg;
    a->rc = rc;
    if (err)
        a->err = *err;
    sem_post(a->told);
}

static enum rc add_now(const char *name, struct err *err)
{
    struct add a = {.name = name};
    return db_write(db, add, &a, err);
}

START_TEST(parameters_go_by_number)
{
    DB_SQL(minus, "SELECT $2 - $1");
    DB_SQL(twice, "SELECT $1 * 100 + $2 * 10 + $1");
    DB_READER struct db_conn *c = db_reader(db);
    int64_t n = 0;
    ck_assert_int_eq(db_one_int(c, &minus, DB_ARGS(db_int(1), db_int(10)), &n, NULL), RC_OK);
    ck_assert_int_eq(n, 9);
    ck_assert_int_eq(db_one_int(c, &twice, DB_ARGS(db_int(4), db_int(7)), &n, NULL), RC_OK);
    ck_assert_int_eq(n, 474);
}
END_TEST

START_TEST(wrong_statements_are_named)
{
    DB_SQL(gap, "SELECT $1 + $3");
    DB_SQL(two, "SELECT 1; SELECT 2");
    DB_SQL(unknown, "SELECT nothing FROM nowhere");
    const char *const *wrong[] = {&gap, &two, &unknown};
    size_t n = 0;
    struct err err = {0};
    int64_t value;
    for (int i = 0; i < 3; i++) {
        DB_READER struct db_conn *c = db_reader(db);
        ck_assert_int_eq(db_one_int(c, wrong[i], DB_NONE, &value, &err), RC_BUG);
    }
    ck_assert_int_eq(db_check_statements(db, &n, &err), RC_BUG);
}
END_TEST

struct kinds {
    int64_t a;
    int b;
    bool c;
    const char *d, *e;
    struct str f, g;
};
static const struct db_column kinds_columns[] = {
    DB_COLUMN(kinds, a, DB_INT64), DB_COLUMN(kinds, b, DB_INT),       DB_COLUMN(kinds, c, DB_BOOL),
    DB_COLUMN(kinds, d, DB_TEXT),  DB_COLUMN(kinds, e, DB_TEXT_NULL), DB_COLUMN(kinds, f, DB_TEXT_STR),
    DB_COLUMN(kinds, g, DB_BYTES),
};
static const struct db_shape kinds_shape = DB_SHAPE(kinds, kinds_columns);

static enum rc kinds_add(struct db_conn *c, void *arg, struct err *err)
{
    DB_SQL(sql, "INSERT INTO kinds VALUES ($1, $2, $3, $4, $5, $6, $7)");
    return db_exec(c, &sql, DB_ROW(&kinds_shape, arg), NULL, err);
}

START_TEST(shapes_carry_every_kind)
{
    DB_SQL(sql, "SELECT * FROM kinds ORDER BY a DESC");
    struct kinds in[] = {
        {INT64_MAX, -5, true, "text", "more", STR("with\0nul"), STR("\0\xff\x80")},
        {INT64_MIN, 7, false, NULL, NULL, STR(""), {NULL, 0}},
    };
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(db_write(db, kinds_add, &in[i], NULL), RC_OK);
    DB_READER struct db_conn *c = db_reader(db);
    struct kinds *out = NULL, first;
    size_t n = 0;
    ck_assert_int_eq(db_all(root, c, &sql, DB_NONE, &kinds_shape, &out, &n, NULL), RC_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert(out[0].a == INT64_MAX && out[0].b == -5 && out[0].c);
    ck_assert_str_eq(out[0].d, "text");
    ck_assert_str_eq(out[0].e, "more");
    ck_assert(str_eq(out[0].f, in[0].f) && str_eq(out[0].g, in[0].g));
    ck_assert(out[1].a == INT64_MIN && out[1].b == 7 && !out[1].c);
    ck_assert_str_eq(out[1].d, ""); /* DB_TEXT is never NULL */
    ck_assert_ptr_null(out[1].e);
    ck_assert(out[1].f.n == 0 && out[1].g.n == 0);
    ck_assert_int_eq(db_one(root, c, &sql, DB_NONE, &kinds_shape, &first, NULL), RC_OK);
    ck_assert(str_eq(first.g, in[0].g));
}
END_TEST

static enum rc many_add(struct db_conn *c, void *arg, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (int i = 0; i < *(int *)arg; i++) {
        size_t n = i % 100 == 0 ? 70000 : (size_t)(i % 37);
        char *text = mem_zalloc(tmp, n + 1);
        memset(text, 'a' + i % 26, n);
        struct kinds row = {.a = i, .d = text, .e = i % 3 ? "x" : NULL};
        enum rc rc = kinds_add(c, &row, err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

START_TEST(long_lists_keep_every_text)
{
    DB_SQL(sql, "SELECT * FROM kinds ORDER BY a");
    int rows = 1500;
    ck_assert_int_eq(db_write(db, many_add, &rows, NULL), RC_OK);
    DB_READER struct db_conn *c = db_reader(db);
    CLEANUP_MEM mem *tmp = mem_root();
    struct kinds *out = NULL;
    size_t n = 0;
    ck_assert_int_eq(db_all(tmp, c, &sql, DB_NONE, &kinds_shape, &out, &n, NULL), RC_OK);
    ck_assert_uint_eq(n, 1500);
    for (int i = 0; i < 1500; i++) {
        size_t length = i % 100 == 0 ? 70000 : (size_t)(i % 37);
        ck_assert_uint_eq(strlen(out[i].d), length);
        ck_assert(length == 0 || (out[i].d[0] == 'a' + i % 26 && out[i].d[length - 1] == 'a' + i % 26));
        ck_assert((out[i].e == NULL) == (i % 3 == 0));
    }
}
END_TEST

START_TEST(constraints_have_their_codes)
{
    struct err err = {0};
    ck_assert_int_eq(add_now("one", &err), RC_OK);
    ck_assert_int_eq(add_now("one", &err), RC_CONFLICT);
    ck_assert_int_eq(add_now("bad", &err), RC_INVALID);
    int64_t value = 5;
    DB_SQL(none, "SELECT n FROM thing WHERE name = 'none'");
    DB_READER struct db_conn *c = db_reader(db);
    err.sentence[0] = '\0';
    ck_assert_int_eq(db_one_int(c, &none, DB_NONE, &value, &err), RC_NOT_FOUND);
    ck_assert_str_eq(err.sentence, "");
}
END_TEST

START_TEST(readers_cannot_write)
{
    DB_SQL(sql, "INSERT INTO thing (name) VALUES ('sneaked')");
    {
        DB_READER struct db_conn *c = db_reader(db);
        ck_assert_int_eq(db_exec(c, &sql, DB_NONE, NULL, NULL), RC_DENIED); /* without a record the code is the same */
    }
    ck_assert_int_eq(count(), 0);
}
END_TEST

/* The first job holds the writer until all the others are queued, so that they meet in groups. */
START_TEST(failing_jobs_are_undone_alone)
{
    enum { JOBS = 600 };
    static struct add jobs[JOBS];
    static char names[JOBS][16];
    sem_t hold, told;
    sem_init(&hold, 0, 0);
    sem_init(&told, 0, 0);
    struct add blocker = {.hold = &hold, .told = &told};
    db_write_async(db, add, &blocker, added);
    for (int i = 0; i < JOBS; i++) {
        snprintf(names[i], sizeof names[i], "job %d", i);
        jobs[i] = (struct add){.name = names[i], .fail = i % 3 == 0, .told = &told};
        db_write_async(db, add, &jobs[i], added);
    }
    ck_assert_uint_ge(db_backlog(db), JOBS);
    sem_post(&hold);
    for (int i = 0; i < JOBS + 1; i++)
        sem_wait(&told);
    for (int i = 0; i < JOBS; i++) {
        ck_assert_int_eq(jobs[i].rc, i % 3 == 0 ? RC_DENIED : RC_OK);
        ck_assert_str_eq(jobs[i].err.sentence, i % 3 == 0 ? "as asked" : "");
    }
    ck_assert_int_eq(count(), JOBS * 2 / 3);
    struct db_figures f;
    db_figures(db, &f);
    ck_assert_int_eq(f.jobs, JOBS + 1);
    ck_assert_int_eq(f.failed_jobs, JOBS / 3);
    ck_assert_int_lt(f.groups, f.jobs); /* commits were shared */
    ck_assert_int_eq(f.lost_groups, 0);
}
END_TEST

START_TEST(lost_transaction_fails_its_whole_group)
{
    db = db_close(db);
    max_pages = 64;
    db_open_or_fail();
    sem_t hold, told;
    sem_init(&hold, 0, 0);
    sem_init(&told, 0, 0);
    struct add blocker = {.hold = &hold, .told = &told};
    struct add small = {.name = "small", .told = &told}, large = {.name = "large", .pad = 1 << 20, .told = &told};
    db_write_async(db, add, &blocker, added);
    db_write_async(db, add, &small, added);
    db_write_async(db, add, &large, added);
    sem_post(&hold);
    for (int i = 0; i < 3; i++)
        sem_wait(&told);
    ck_assert_int_eq(large.rc, RC_LIMIT);
    ck_assert_ptr_nonnull(strstr(large.err.sentence, "no room"));
    ck_assert_ptr_nonnull(strstr(large.err.hint, "Free some space"));
    struct db_figures f;
    db_figures(db, &f);
    /* The engine may keep the transaction (the statement alone is undone) or lose it: told and stored must agree. */
    ck_assert(small.rc == RC_OK || (small.rc == RC_LIMIT && f.lost_groups > 0));
    ck_assert_int_eq(count(), small.rc == RC_OK);
    ck_assert_int_eq(add_now("afterwards", NULL), RC_OK);
    ck_assert_int_eq(count(), small.rc == RC_OK ? 2 : 1);
}
END_TEST

static void on_group(void *arg, bool committed)
{
    int *groups = arg;
    groups[committed]++;
}

/* A commit that fails: a constraint that is checked only there. */
static enum rc break_commit(struct db_conn *c, void *arg, struct err *err)
{
    DB_SQL(parent, "CREATE TABLE IF NOT EXISTS parent (id INTEGER PRIMARY KEY)");
    DB_SQL(child, "CREATE TABLE IF NOT EXISTS child (p INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)");
    DB_SQL(orphan, "INSERT INTO child VALUES (1)");
    (void)arg;
    enum rc rc = db_exec(c, &parent, DB_NONE, NULL, err);
    if (!rc)
        rc = db_exec(c, &child, DB_NONE, NULL, err);
    return rc ? rc : db_exec(c, &orphan, DB_NONE, NULL, err);
}

START_TEST(failed_commit_fails_its_group)
{
    int groups[2] = {0, 0};
    struct err err = {0};
    db_on_group(db, on_group, groups);
    ck_assert_int_ne(db_write(db, break_commit, NULL, &err), RC_OK);
    ck_assert_int_eq(groups[false], 1);
    ck_assert_int_eq(groups[true], 0);
    ck_assert_int_eq(add_now("after", &err), RC_OK);
    ck_assert_int_eq(groups[true], 1);
    ck_assert_int_eq(count(), 1);
}
END_TEST

START_TEST(closing_runs_what_is_queued)
{
    sem_t hold, told;
    sem_init(&hold, 0, 0);
    sem_init(&told, 0, 0);
    struct add jobs[50], blocker = {.hold = &hold, .told = &told};
    char names[50][16];
    db_write_async(db, add, &blocker, added);
    for (int i = 0; i < 50; i++) {
        snprintf(names[i], sizeof names[i], "job %d", i);
        jobs[i] = (struct add){.name = names[i], .told = &told};
        db_write_async(db, add, &jobs[i], added);
    }
    sem_post(&hold);
    reopen();
    ck_assert_int_eq(count(), 50);
    int n = 0;
    sem_getvalue(&told, &n);
    ck_assert_int_eq(n, 51);
}
END_TEST

static void *read_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        ck_assert_int_ge(count(), 0);
    return NULL;
}

static void *write_often(void *arg)
{
    for (int i = 0; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d of %d", i, *(int *)arg);
        ck_assert_int_eq(add_now(name, NULL), RC_OK);
    }
    return NULL;
}

START_TEST(more_threads_than_readers)
{
    pthread_t threads[16];
    int writers[4] = {0, 1, 2, 3};
    db = db_close(db);
    readers = 2;
    db_open_or_fail();
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, i < 4 ? write_often : read_often, i < 4 ? &writers[i] : NULL), 0);
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(count(), 200);
}
END_TEST

/* What makes a commit durable and cheap is a setting of the connection; losing one shows only when the power fails. */
static enum rc settings_read(struct db_conn *c, void *arg, struct err *err)
{
    DB_SQL(synchronous, "PRAGMA synchronous");
    DB_SQL(automatic, "PRAGMA wal_autocheckpoint");
    DB_SQL(references, "PRAGMA foreign_keys");
    int64_t *ret = arg;
    enum rc rc = db_one_int(c, &synchronous, DB_NONE, &ret[0], err);
    if (!rc)
        rc = db_one_int(c, &automatic, DB_NONE, &ret[1], err);
    return rc ? rc : db_one_int(c, &references, DB_NONE, &ret[2], err);
}

START_TEST(commits_are_durable)
{
    int64_t settings[3] = {-1, -1, -1};
    ck_assert_int_eq(db_write(db, settings_read, settings, NULL), RC_OK);
    ck_assert_int_eq(settings[0], 2); /* FULL */
    ck_assert_int_eq(settings[1], 0);
    ck_assert_int_eq(settings[2], 1);
}
END_TEST

static int64_t log_size(void)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/t.db-wal", folder);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

START_TEST(log_is_emptied)
{
    ck_assert_int_eq(add_now("one", NULL), RC_OK);
    ck_assert_int_gt(log_size(), 0);
    ck_assert_int_eq(db_checkpoint(db, NULL), RC_OK);
    ck_assert_int_eq(log_size(), 0);
    ck_assert_int_eq(add_now("two", NULL), RC_OK);
    while (log_size() > 0) /* by the upkeep thread, when nobody writes; the test's own time limit ends this */
        usleep(20000);
    ck_assert_int_eq(count(), 2);
    ck_assert_int_eq(db_check(db, NULL), RC_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("db");
    TCase *tc = tcase_create("db");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, parameters_go_by_number);
    tcase_add_test(tc, wrong_statements_are_named);
    tcase_add_test(tc, shapes_carry_every_kind);
    tcase_add_test(tc, long_lists_keep_every_text);
    tcase_add_test(tc, constraints_have_their_codes);
    tcase_add_test(tc, readers_cannot_write);
    tcase_add_test(tc, failing_jobs_are_undone_alone);
    tcase_add_test(tc, lost_transaction_fails_its_whole_group);
    tcase_add_test(tc, failed_commit_fails_its_group);
    tcase_add_test(tc, closing_runs_what_is_queued);
    tcase_add_test(tc, more_threads_than_readers);
    tcase_add_test(tc, commits_are_durable);
    tcase_add_test(tc, log_is_emptied);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
