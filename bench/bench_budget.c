/* Measures admission and settlement in memory over five scopes, and an SQLite transaction that does the same, in turns.
 * Prints one line a figure: name, median, unit, remark, separated by tabs. Holds and ledger rows, which go to the disk
 * many at a time, are not in it: see bench_store. */
#include "gateway/budget.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAIRS = 200000, ROWS = 2000, ROUNDS = 5 };

static const struct spender who = {.organisation = "default",
                                   .project = "/srv/projects/one",
                                   .task = "aaaaaa1",
                                   .agent = "nightmill",
                                   .model = "claude-sonnet-4-5",
                                   .key = "k7h3f9a2",
                                   .user = "ann"};
static struct budgets *b;

static void fail(const char *words, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", words, err->sentence);
    exit(1);
}

static void *pairs(void *arg)
{
    static const struct price price = {
        .model = "m", .currency = "USD", .base = {3000000, 300000, 3750000, 6000000, 15000000}};
    struct candidate candidate = {.price = &price};
    struct ask ask = {.spender = who,
                      .candidates = &candidate,
                      .candidate_count = 1,
                      .demand = {.bytes = 18000, .output = 8192},
                      .least_output = 256};
    struct reservation r;
    struct refusal refusal;
    struct err err;
    (void)arg;
    for (int i = 0; i < PAIRS; i++) {
        if (budgets_admit(b, &ask, 0, &r, &refusal, &err) != RC_OK)
            fail("admit", &err);
        budgets_settle(b, &r, 1, "USD", 10);
    }
    return NULL;
}

/* Processor time: on a busy machine the other one measures the neighbours. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static double measure(int threads)
{
    pthread_t t[2];
    int64_t began = cpu_ns();
    for (int i = 0; i < threads; i++)
        pthread_create(&t[i], NULL, pairs, NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    return (double)(cpu_ns() - began) / (PAIRS * threads);
}

static void sql(sqlite3 *db, const char *text)
{
    char *words = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &words) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", text, words);
        exit(1);
    }
}

static void step(sqlite3_stmt *s, int changes, sqlite3 *db)
{
    if (sqlite3_step(s) != SQLITE_DONE || sqlite3_changes(db) != changes)
        exit(1);
    sqlite3_reset(s);
}

/* Two transactions over five rows without a sync: reserve where all fit, settle. */
static double measure_sqlite(sqlite3 *db)
{
    sqlite3_stmt *reserve, *settle, *begin, *commit;
    sqlite3_prepare_v2(db, "UPDATE account SET held = held + 1000 WHERE id <= 5 AND spent + held + 1000 <= most", -1,
                       &reserve, NULL);
    sqlite3_prepare_v2(db, "UPDATE account SET held = held - 1000, spent = spent + 1 WHERE id <= 5", -1, &settle, NULL);
    sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, NULL);
    sqlite3_prepare_v2(db, "COMMIT", -1, &commit, NULL);
    int64_t began = cpu_ns();
    for (int i = 0; i < ROWS; i++) {
        sqlite3_stmt *const body[] = {reserve, settle};
        for (int k = 0; k < 2; k++) {
            sqlite3_step(begin);
            sqlite3_reset(begin);
            step(body[k], 5, db);
            sqlite3_step(commit);
            sqlite3_reset(commit);
        }
    }
    double ns = (double)(cpu_ns() - began) / ROWS;
    sqlite3_stmt *const all[] = {reserve, settle, begin, commit};
    for (int i = 0; i < 4; i++)
        sqlite3_finalize(all[i]);
    return ns;
}

static int number_order(const void *x, const void *y)
{
    const double *a = x, *c = y;
    return (*a > *c) - (*a < *c);
}

static void figure(const char *name, double *ns, const char *words)
{
    qsort(ns, ROUNDS, sizeof *ns, number_order);
    printf("%s\t%.0f\tns\t%s, median of %d, %.0f to %.0f\n", name, ns[ROUNDS / 2], words, ROUNDS, ns[0],
           ns[ROUNDS - 1]);
}

int main(void)
{
    char folder[] = "/var/tmp/bench_budget_XXXXXX", path[64], command[80];
    struct err err = {0};
    struct store *s;
    mem *root = mem_root();
    sqlite3 *db;
    double one[ROUNDS], two[ROUNDS], rows[ROUNDS];
    static const enum scope scopes[] = {SCOPE_ORGANISATION, SCOPE_PROJECT, SCOPE_AGENT, SCOPE_KEY, SCOPE_USER};
    if (!mkdtemp(folder) || store_open(root, folder, &s, &err) != RC_OK ||
        budgets_open(root, s, NULL, NULL, &b, &err) != RC_OK)
        fail("open", &err);
    for (int i = 0; i < 5; i++) {
        struct budget row = {.scope = scopes[i],
                             .scope_id = spender_id(&who, scopes[i]),
                             .window = i % 2 ? WINDOW_DAY : WINDOW_MONTH,
                             .zone = "Europe/Berlin",
                             .currency = "USD",
                             .money = 9000000 * PICO_PER_UNIT,
                             .tokens = -1,
                             .hard = true};
        if (budgets_set(b, &row, &err) != RC_OK)
            fail("set", &err);
    }
    snprintf(path, sizeof path, "%s/compare.db", folder);
    if (sqlite3_open(path, &db) != SQLITE_OK)
        return 1;
    sql(db,
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE account (id INTEGER PRIMARY KEY, spent INTEGER,"
        " held INTEGER, most INTEGER); INSERT INTO account VALUES (1,0,0,9000000000000000),(2,0,0,9000000000000000),(3,0,0,9000000000000000),(4,0,0,9000000000000000),"
        "(5,0,0,9000000000000000)");
    for (int i = 0; i < ROUNDS; i++) {
        one[i] = measure(1);
        two[i] = measure(2);
        rows[i] = measure_sqlite(db);
    }
    figure("budget_reserve_settle", one, "five scopes, one thread, processor time");
    figure("budget_reserve_settle_contended", two, "five scopes, two threads at once, processor time");
    figure("budget_sqlite", rows, "the same in two SQLite transactions without a sync");
    printf("budget_sqlite_ratio\t%.1f\ttimes\tSQLite's figure by ours, one thread\n",
           rows[ROUNDS / 2] / one[ROUNDS / 2]);
    sqlite3_close(db);
    mem_free(b);
    store_close(s);
    mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0;
}
