/* Contract: the sums that are kept are those of the rows, whatever was created, changed, refused or removed, after a
 * kill at any moment too, and for a database that was made before there were any. No statement of the store walks
 * through all tasks, events, requests or the ledger but those that are named here. */
#include "base/buf.h"
#include "db/db_private.h"
#include "store/exchange.h"
#include "store/key.h"
#include "store/notice.h"
#include "store/store.h"
#include "store/traffic.h"
#include "store/user.h"
#include <check.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct err err;

static void open_store(void)
{
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void close_store(void)
{
    s = store_close(s);
    root = mem_free(root);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_tallies_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_store();
}

static void teardown(void)
{
    char command[128];
    close_store();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* ---- what must be the same ---- */

static sqlite3 *handle(void)
{
    char path[128];
    sqlite3 *h;
    snprintf(path, sizeof path, "%s/nightmill.db", folder);
    ck_assert_int_eq(sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(h, 5000);
    return h;
}

/* The first column of the first row, as a number. */
static int64_t number_of(sqlite3 *h, const char *sql)
{
    sqlite3_stmt *st;
    ck_assert_msg(sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sqlite3_errmsg(h), sql);
    ck_assert_msg(sqlite3_step(st) == SQLITE_ROW, "%s: %s", sqlite3_errmsg(h), sql);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* How many rows only one of two queries has. */
#define DIFFERENT(a, b)                                                                                                \
    "SELECT (SELECT count(*) FROM (" a " EXCEPT " b ")) + (SELECT count(*) FROM (" b " EXCEPT " a "))"
#define SUMS                                                                                                           \
    "count(*), sum(price_id = 0), sum(cost / 1000000000000) + sum(cost % 1000000000000) / 1000000000000,"              \
    " sum(cost % 1000000000000) % 1000000000000"

static void same_as_rows(void)
{
    sqlite3 *h = handle();
    ck_assert_int_eq(number_of(h, DIFFERENT("SELECT repo, agent, state, n FROM task_tally WHERE n > 0",
                                            "SELECT repo, agent, state, count(*) FROM task GROUP BY 1, 2, 3")),
                     0);
    ck_assert_int_eq(
        number_of(h, DIFFERENT("SELECT * FROM ledger_tally",
                               "SELECT task_id, iteration, currency, " SUMS ", sum(input), sum(cache_read),"
                               " sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning)"
                               " FROM ledger WHERE task_id IS NOT NULL GROUP BY 1, 2, 3")),
        0);
    ck_assert_int_eq(
        number_of(h, DIFFERENT("SELECT * FROM ledger_quarter",
                               "SELECT opened_ns / 900000000000, currency, " SUMS " FROM ledger GROUP BY 1, 2")),
        0);
    sqlite3_close(h);
}

/* ---- what happens ---- */

#define TASKS 40
static const char *const repos[] = {"/a", "/b", "/c"}, *const agents[] = {"nightmill", "claude"};

struct deed {
    unsigned seed;
    bool refused; /* everything is undone at the end */
};

static unsigned next(struct deed *d, unsigned below)
{
    d->seed = d->seed * 1103515245 + 12345;
    return (d->seed >> 16) % below;
}

static enum rc pay(struct store_tx *tx, struct deed *d, const char *task, struct err *e)
{
    static const char *const currencies[] = {"USD", "EUR"};
    char request[32];
    bool is_new;
    unsigned number = d->seed;
    snprintf(request, sizeof request, "r%u", number);
    struct hold h = {.spender = {.task = next(d, 5) ? task : NULL, .model = "m"},
                     .request = request,
                     .iteration = 1 + next(d, 3),
                     .price_id = next(d, 4) != 0,
                     .currency = currencies[next(d, 2)],
                     .amount = 10,
                     .tokens = 10,
                     .opened_ns = (int64_t)next(d, 5) * LEDGER_QUARTER_NS + 7};
    struct ledger_row row = {.time_ns = 1,
                             .model_served = "m",
                             .price_id = h.price_id,
                             .currency = h.currency,
                             .usage = {.input = next(d, 100), .cache_read = 3, .output = next(d, 50), .reasoning = 1},
                             .cost = h.price_id ? PICO_PER_UNIT * next(d, 3) + next(d, 1000000) * INT64_C(999999) : 0};
    enum rc rc = hold_open(tx, &h, e);
    return rc ? rc : hold_settle(tx, h.id, &row, &is_new, e);
}

static enum rc happen_once(struct store_tx *tx, struct deed *d, struct err *e)
{
    char id[8];
    CLEANUP_MEM mem *tmp = mem_root();
    struct task t;
    snprintf(id, sizeof id, "aaaaa%02u", next(d, TASKS));
    enum rc rc = task_find_tx(tmp, tx, id, &t, NULL);
    if (rc == RC_NOT_FOUND) {
        t = (struct task){.id = id,
                          .title = "t",
                          .text = "t",
                          .repo = repos[next(d, 3)],
                          .agent = agents[next(d, 2)],
                          .state = "queued",
                          .spec = "{}",
                          .currency = "USD"};
        rc = task_insert(tx, &t, e);
    } else {
        t.state = task_state_name(next(d, TASK_STATES));
        rc = task_update(tx, &t, e);
    }
    for (unsigned i = next(d, 4); !rc && i > 0; i--)
        rc = pay(tx, d, id, e);
    return rc;
}

static enum rc happen(struct store_tx *tx, void *arg, struct err *e)
{
    struct deed *d = arg;
    enum rc rc = RC_OK;
    for (int i = 0; !rc && i < 6; i++)
        rc = happen_once(tx, d, e);
    if (!rc && d->refused)
        rc = err_set(e, RC_CONFLICT, "not this time");
    return rc;
}

static void much_happens(unsigned seed, int n)
{
    for (int i = 0; i < n; i++) {
        struct deed d = {.seed = seed + (unsigned)i * 7919, .refused = i % 5 == 4};
        ck_assert_msg(store_write(s, happen, &d, &err) == (d.refused ? RC_CONFLICT : RC_OK), "%s (%s)", err.sentence,
                      err.detail);
    }
}

START_TEST(sums_are_those_of_the_rows)
{
    much_happens(1, 50);
    same_as_rows();
    int64_t n, counted = 0, counts[TASK_STATES];
    struct task_filter f = {.repo = "/a", .agent = "claude"};
    sqlite3 *h = handle();
    ck_assert(task_count(s, NULL, &n, &err) == RC_OK && n == number_of(h, "SELECT count(*) FROM task") && n > 0);
    ck_assert_int_eq(task_counts(root, s, &f, counts, &err), RC_OK);
    for (size_t i = 0; i < TASK_STATES; i++)
        counted += counts[i];
    ck_assert_int_eq(counted, number_of(h, "SELECT count(*) FROM task WHERE repo = '/a' AND agent = 'claude'"));
    ck_assert_int_gt(counted, 0);
    sqlite3_close(h);
}
END_TEST

START_TEST(rows_that_are_removed_or_moved_are_not_counted)
{
    much_happens(2, 20);
    sqlite3 *h = handle();
    ck_assert_int_eq(sqlite3_exec(h,
                                  "DELETE FROM task_text; UPDATE task SET repo = '/d' WHERE number % 3 = 0;"
                                  " UPDATE task SET agent = 'codex' WHERE number % 4 = 0;"
                                  " DELETE FROM task WHERE number % 2 = 0",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_gt(number_of(h, "SELECT count(*) FROM task_tally WHERE repo = '/d' AND n > 0"), 0);
    sqlite3_close(h);
    same_as_rows();
}
END_TEST

START_TEST(a_kill_loses_nothing_of_one_side_alone)
{
    close_store();
    for (int round = 0; round < 3; round++) {
        int pipes[2];
        char byte;
        ck_assert_int_eq(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0) {
            open_store();
            for (unsigned i = 0; i < 100000; i++) {
                struct deed d = {.seed = (unsigned)round * 100000 + i};
                if (store_write(s, happen, &d, &err) != RC_OK || write(pipes[1], "x", 1) != 1)
                    _exit(1);
            }
            _exit(1);
        }
        close(pipes[1]);
        for (int i = 0; i < 4 + 3 * round; i++)
            ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        int status;
        ck_assert(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
        close(pipes[0]);
        open_store();
        same_as_rows();
        close_store();
    }
    open_store();
}
END_TEST

/* The rows of now in a database without sums, to which the last migration is applied. */
START_TEST(a_database_from_before_gets_them)
{
    much_happens(3, 20);
    close_store();
    sqlite3 *h = handle();
    ck_assert_int_eq(sqlite3_exec(h,
                                  "DROP TRIGGER task_tally_insert; DROP TRIGGER task_tally_update;"
                                  " DROP TRIGGER task_tally_delete; DROP TRIGGER ledger_tally_insert;"
                                  " DROP TABLE task_tally; DROP TABLE ledger_tally; DROP TABLE ledger_quarter;"
                                  " DELETE FROM migration WHERE number >= 15",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_gt(number_of(h, "SELECT count(*) FROM ledger"), 50);
    sqlite3_close(h);
    open_store();
    same_as_rows();
    much_happens(4, 8);
    same_as_rows();
}
END_TEST

/* ---- reading them ---- */

static enum rc pay_much(struct store_tx *tx, void *arg, struct err *e)
{
    struct task t = {.id = "aaaaaa1", .title = "t", .text = "", .repo = "/a", .state = "working", .currency = "USD"};
    struct task_tally_row {
        int64_t iteration, cost, at;
        const char *currency;
    } rows[] = {{1, INT64_MAX, 0, "USD"},
                {1, INT64_MAX, 1, "USD"},
                {2, 5, LEDGER_QUARTER_NS, "USD"},
                {2, 7, LEDGER_QUARTER_NS + 1, "EUR"},
                {2, 9, 3 * LEDGER_QUARTER_NS - 1, "USD"}};
    (void)arg;
    enum rc rc = task_insert(tx, &t, e);
    for (size_t i = 0; !rc && i < sizeof rows / sizeof *rows; i++) {
        char request[8];
        bool is_new;
        snprintf(request, sizeof request, "r%zu", i);
        struct hold h = {.spender = {.task = "aaaaaa1", .model = "m"},
                         .request = request,
                         .iteration = rows[i].iteration,
                         .price_id = 1,
                         .currency = rows[i].currency,
                         .opened_ns = rows[i].at};
        struct ledger_row row = {.model_served = "m",
                                 .price_id = 1,
                                 .currency = rows[i].currency,
                                 .usage = {.input = 6, .output = 2},
                                 .cost = rows[i].cost};
        rc = hold_open(tx, &h, e);
        rc = rc ? rc : hold_settle(tx, h.id, &row, &is_new, e);
    }
    return rc;
}

START_TEST(sums_are_read_by_iteration_and_by_time)
{
    struct ledger_tally *list;
    struct ledger_row *foreign;
    size_t n;
    ck_assert_msg(store_write(s, pay_much, NULL, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    ck_assert(ledger_tallies(root, s, "aaaaaa1", &list, &n, &err) == RC_OK && n == 3);
    ck_assert(list[0].iteration == 1 && list[0].requests == 2 && list[0].cost == INT64_MAX);
    ck_assert(list[0].usage.input == 12 && list[0].usage.output == 4);
    ck_assert(list[1].iteration == 2 && list[1].cost == 7 && strcmp(list[1].currency, "EUR") == 0);
    ck_assert(list[2].iteration == 2 && list[2].cost == 14 && list[2].requests == 2);
    ck_assert(ledger_foreign(root, s, "aaaaaa1", "USD", &foreign, &n, &err) == RC_OK && n == 1);
    ck_assert(foreign[0].cost == 7 && foreign[0].iteration == 2);
    ck_assert(ledger_span(root, s, LEDGER_QUARTER_NS, 2 * LEDGER_QUARTER_NS, &list, &n, &err) == RC_OK && n == 2);
    ck_assert(strcmp(list[0].currency, "EUR") == 0 && list[0].cost == 7 && list[1].cost == 5 && list[1].requests == 1);
    ck_assert(ledger_span(root, s, 5 * LEDGER_QUARTER_NS, 9 * LEDGER_QUARTER_NS, &list, &n, &err) == RC_OK && n == 0);
}
END_TEST

/* ---- plans ---- */

/* A statement is registered when its file is linked: this links every file of the room. */
static void (*volatile const whole_room[])(void) = {
    (void (*)(void))task_find,     (void (*)(void))event_list,      (void (*)(void))hold_open,
    (void (*)(void))price_find,    (void (*)(void))ledger_list,     (void (*)(void))reply_find,
    (void (*)(void))budget_put,    (void (*)(void))task_counts,     (void (*)(void))approval_insert,
    (void (*)(void))user_key_list, (void (*)(void))traffic_expire,  (void (*)(void))idempotency_take,
    (void (*)(void))user_list,     (void (*)(void))exchange_expire, (void (*)(void))notice_list,
};

/* What walks through a table that grows, and why it may. */
static const struct {
    const char *begins, *why;
} walks[] = {
    {"SELECT n FROM event ORDER BY n", "its first step is all of it"},
    {"SELECT t.state, count(*) FROM task t WHERE (instr(lower(t.title)", "a text too short for the index of texts"},
};

static bool may_walk(const char *sql, const char *words)
{
    for (size_t i = 0; i < sizeof walks / sizeof *walks; i++)
        if (strncmp(sql, walks[i].begins, strlen(walks[i].begins)) == 0)
            return true;
    return strstr(words, "USING INDEX hold_live"); /* has those alone that are under way */
}

/* The table behind "SCAN x": a name of the statement may stand for one. */
static bool walked_is_large(const char *sql, const char *words)
{
    static const char *const large[] = {"task", "task_text", "event", "hold", "ledger", "exchange", "reply", "audit"};
    char name[64] = "", as[160];
    if (sscanf(words, "SCAN %63s", name) != 1)
        return false;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        snprintf(as, sizeof as, "%s %s", large[i], name);
        if (strcmp(name, large[i]) == 0 || (strlen(name) <= 2 && strstr(sql, as)))
            return true;
    }
    return false;
}

START_TEST(no_statement_walks_through_a_large_table)
{
    size_t seen = 0;
    struct buf bad;
    sqlite3 *h = handle();
    buf_init(&bad, root, SIZE_MAX);
    ck_assert(whole_room[0] != NULL);
    for (const char *const *sql = __start_db_sql; sql < __stop_db_sql; sql++) {
        sqlite3_stmt *st;
        char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", *sql);
        if (strncmp(*sql, "SELECT", 6) == 0 && sqlite3_prepare_v2(h, text, -1, &st, NULL) == SQLITE_OK) {
            seen++;
            while (sqlite3_step(st) == SQLITE_ROW) {
                const char *words = (const char *)sqlite3_column_text(st, 3);
                if (walked_is_large(*sql, words) && !may_walk(*sql, words))
                    buf_printf(&bad, "%s: %s\n", words, *sql);
            }
            sqlite3_finalize(st);
        }
        sqlite3_free(text);
    }
    sqlite3_close(h);
    ck_assert_uint_ge(seen, 50);
    ck_assert_msg(bad.n == 0, "these walk through a table that grows:\n%s", buf_view(&bad).p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_tallies");
    TCase *tc = tcase_create("store_tallies");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, sums_are_those_of_the_rows);
    tcase_add_test(tc, rows_that_are_removed_or_moved_are_not_counted);
    tcase_add_test(tc, a_kill_loses_nothing_of_one_side_alone);
    tcase_add_test(tc, a_database_from_before_gets_them);
    tcase_add_test(tc, sums_are_read_by_iteration_and_by_time);
    tcase_add_test(tc, no_statement_walks_through_a_large_table);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
