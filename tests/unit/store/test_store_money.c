/* Contract: a hold is settled at most once; what a crash left open counts as spent; sums saturate instead of wrapping;
 * rows of the version before keep their meaning; the ledger is filtered and grouped by who asked. */
#include "db/db.h"
#include "store/store.h"
#include <check.h>
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

static enum rc insert_tasks(struct store_tx *tx, void *arg, struct err *e)
{
    static const char *const ids[] = {"aaaaaa1", "aaaaaa2"};
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct task t = {
            .id = ids[i], .title = "t", .text = "t", .repo = "/r", .state = "working", .spec = "{}", .currency = "USD"};
        enum rc rc = task_insert(tx, &t, e);
        if (rc)
            return rc;
    }
    return RC_OK;
}

#define WRITE(fn, arg) ck_assert_msg(store_write(s, fn, arg, &err) == RC_OK, "%s (%s)", err.sentence, err.detail)

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_money_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_store();
    WRITE(insert_tasks, NULL);
}

static void teardown(void)
{
    char command[128];
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

struct asked {
    struct hold h;
};

static enum rc open_hold(struct store_tx *tx, void *arg, struct err *e)
{
    struct asked *a = arg;
    return hold_open(tx, &a->h, e);
}

static struct asked ask(const char *task, const char *request, pico amount)
{
    return (struct asked){.h = {.spender = {.task = task, .model = "m"},
                                .request = request,
                                .iteration = 1,
                                .price_id = 1,
                                .currency = "USD",
                                .amount = amount,
                                .tokens = 10}};
}

struct settling {
    int64_t hold;
    struct ledger_row row;
    const char *close; /* "released" or "kept" instead */
    bool is_new;
};

static enum rc settle(struct store_tx *tx, void *arg, struct err *e)
{
    struct settling *x = arg;
    return x->close ? hold_close(tx, x->hold, x->close, e) : hold_settle(tx, x->hold, &x->row, &x->is_new, e);
}

static struct settling settling(const struct hold *h, pico cost)
{
    return (struct settling){.hold = h->id,
                             .row = {.time_ns = 1,
                                     .model_served = "m-1",
                                     .price_id = 1,
                                     .currency = "USD",
                                     .usage = {.input = 5, .output = 3},
                                     .cost = cost}};
}

static struct spent spent(const char *task)
{
    struct spent sum;
    ck_assert_int_eq(ledger_spent(s, task, &sum, &err), RC_OK);
    return sum;
}

START_TEST(hold_is_settled_once)
{
    struct asked a = ask("aaaaaa1", "k1", 40);
    WRITE(open_hold, &a);
    struct settling x = settling(&a.h, 7), again = settling(&a.h, 9), close = {.hold = a.h.id, .close = "kept"};
    WRITE(settle, &x);
    WRITE(settle, &again);
    ck_assert(x.is_new && !again.is_new);
    ck_assert_int_eq(store_write(s, settle, &close, &err), RC_CONFLICT);
    struct ledger_row *rows;
    size_t n;
    ck_assert(ledger_list(root, s, "aaaaaa1", &rows, &n, &err) == RC_OK && n == 1);
    ck_assert(rows[0].cost == 7 && rows[0].hold_id == a.h.id && rows[0].usage.input == 5 && rows[0].usage.output == 3);
    ck_assert_str_eq(rows[0].model_served, "m-1");
    struct asked b = ask("aaaaaa1", "k2", 40);
    WRITE(open_hold, &b);
    close = (struct settling){.hold = b.h.id, .close = "kept"};
    WRITE(settle, &close);
    WRITE(settle, &close); /* the same again is fine */
    x = settling(&b.h, 1);
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_CONFLICT); /* it counts as spent already */
    x.hold = 12345;
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_NOT_FOUND);
}
END_TEST

START_TEST(attempts_are_numbered)
{
    struct asked a = ask("aaaaaa1", "k1", 1), b = a, c = a, other = ask("aaaaaa1", "k2", 1);
    WRITE(open_hold, &a);
    WRITE(open_hold, &b);
    WRITE(open_hold, &other);
    ck_assert(a.h.attempt == 1 && b.h.attempt == 2 && other.h.attempt == 1);
    c.h.attempt = 2;
    ck_assert_int_eq(store_write(s, open_hold, &c, &err), RC_CONFLICT);
    c.h.attempt = 3;
    WRITE(open_hold, &c);
}
END_TEST

START_TEST(bad_requests_are_refused)
{
    struct asked a = ask("aaaaaa9", "k1", 1);
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_NOT_FOUND);
    a = ask("aaaaaa1", "k1", -1);
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_INVALID);
    a = ask("aaaaaa1", "", 1);
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_INVALID);
    a = ask("aaaaaa1", "k1", 1);
    a.h.spender.model = NULL;
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_INVALID);
    a = ask("aaaaaa1", "k1", 1);
    WRITE(open_hold, &a);
    struct settling x = settling(&a.h, 1);
    x.row.usage.output = -1; /* unknown usage cannot be settled */
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_INVALID);
    x.row.usage.output = INT64_MAX;
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_INVALID);
    x = settling(&a.h, -1);
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_INVALID);
    ck_assert_int_eq(spent("aaaaaa1").requests, 0);
}
END_TEST

START_TEST(sums_saturate)
{
    struct asked a = ask("aaaaaa1", "k1", INT64_MAX), b = ask("aaaaaa1", "k2", INT64_MAX - 5);
    WRITE(open_hold, &a);
    ck_assert_int_eq(spent("aaaaaa1").held, INT64_MAX);
    WRITE(open_hold, &b);
    ck_assert_int_eq(spent("aaaaaa1").held, INT64_MAX);
    struct settling x = settling(&a.h, INT64_MAX), y = {.hold = b.h.id, .close = "released"};
    WRITE(settle, &x);
    WRITE(settle, &y);
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == INT64_MAX && sum.held == 0);
    /* Amounts whose parts below a unit add up to more than a unit. */
    struct asked d = ask("aaaaaa2", "k1", PICO_PER_UNIT - 1), e = ask("aaaaaa2", "k2", 3 * PICO_PER_UNIT + 7);
    WRITE(open_hold, &d);
    WRITE(open_hold, &e);
    ck_assert_int_eq(spent("aaaaaa2").held, 4 * PICO_PER_UNIT + 6);
}
END_TEST

/* ---- a crash ---- */

static enum rc keep(struct store_tx *tx, void *arg, struct err *e)
{
    return hold_keep_open_ones(tx, arg, e);
}

START_TEST(what_is_held_is_summed_by_currency)
{
    struct asked holds[] = {ask("aaaaaa1", "k1", 40), ask("aaaaaa2", "k2", 2), ask("aaaaaa1", "k3", 7),
                            ask("aaaaaa1", "k4", INT64_MAX), ask("aaaaaa1", "k5", INT64_MAX)};
    struct held *held;
    size_t n;
    holds[3].h.currency = holds[4].h.currency = "EUR";
    for (size_t i = 0; i < 5; i++)
        WRITE(open_hold, &holds[i]);
    struct settling kept = settling(&holds[0].h, 0), settled = settling(&holds[2].h, 7);
    kept.close = "kept";
    WRITE(settle, &kept);
    WRITE(settle, &settled);
    ck_assert_int_eq(hold_held(root, s, &held, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(held[0].currency, "EUR");
    ck_assert_int_eq(held[0].amount, INT64_MAX);
    ck_assert_str_eq(held[1].currency, "USD");
    ck_assert_int_eq(held[1].amount, 42);
    ck_assert_int_eq(held[1].holds, 2);
}
END_TEST

START_TEST(open_holds_of_a_crash_are_kept)
{
    s = store_close(s);
    pid_t pid = fork();
    if (pid == 0) { /* opens three, settles one, dies */
        mem *own = mem_root();
        if (store_open(own, folder, &s, NULL) != RC_OK)
            _exit(1);
        struct asked a[3];
        for (int i = 0; i < 3; i++) {
            a[i] = ask("aaaaaa1", "k", 30);
            if (store_write(s, open_hold, &a[i], NULL) != RC_OK)
                _exit(2);
        }
        struct settling x = settling(&a[0].h, 5);
        if (store_write(s, settle, &x, NULL) != RC_OK)
            _exit(3);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mem_free(root);
    open_store();
    int64_t kept = -1;
    WRITE(keep, &kept);
    ck_assert_int_eq(kept, 2);
    WRITE(keep, &kept);
    ck_assert_int_eq(kept, 0);
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == 5 && sum.held == 60 && sum.kept == 2);
    struct asked next = ask("aaaaaa1", "k", 35);
    WRITE(open_hold, &next);
    ck_assert_int_eq(next.h.attempt, 4);
}
END_TEST

/* ---- by hand ---- */

static enum rc reconcile(struct store_tx *tx, void *arg, struct err *e)
{
    struct settling *x = arg;
    return hold_reconcile(tx, x->hold, x->close ? NULL : &x->row, e);
}

START_TEST(a_kept_hold_is_settled_by_hand)
{
    struct asked a = ask("aaaaaa1", "k1", 40), b = ask("aaaaaa1", "k2", 50);
    WRITE(open_hold, &a);
    WRITE(open_hold, &b);
    struct settling x = settling(&a.h, 7), y = settling(&b.h, 9), keep_both = {.hold = a.h.id, .close = "kept"};
    ck_assert_int_eq(store_write(s, reconcile, &x, &err), RC_CONFLICT); /* it is still open */
    WRITE(settle, &keep_both);
    keep_both.hold = b.h.id;
    WRITE(settle, &keep_both);
    struct hold *kept;
    size_t n;
    ck_assert(hold_list_kept(root, s, 0, 10, &kept, &n, &err) == RC_OK && n == 2);
    ck_assert(kept[0].id == a.h.id && kept[0].amount == 40 && strcmp(kept[1].request, "k2") == 0);
    WRITE(reconcile, &x);
    y.close = "released";
    WRITE(reconcile, &y);
    ck_assert_int_eq(store_write(s, reconcile, &x, &err), RC_CONFLICT); /* once */
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == 7 && sum.held == 0 && sum.requests == 1 && sum.kept == 0);
    struct hold h;
    ck_assert(hold_find(root, s, a.h.id, &h, &err) == RC_OK && strcmp(h.state, "settled") == 0);
    ck_assert_int_eq(hold_find(root, s, 999, &h, &err), RC_NOT_FOUND);
}
END_TEST

/* ---- the whole ledger ---- */

static void used(const char *project, const char *key, const char *model, const char *currency, pico cost, int64_t at)
{
    static int request;
    char name[32];
    snprintf(name, sizeof name, "r%d", ++request);
    struct asked a = ask(NULL, name, cost);
    a.h.spender = (struct spender){.organisation = "o", .project = project, .key = key, .model = model};
    a.h.provider = "p";
    a.h.dialect = "chat";
    a.h.currency = currency;
    a.h.opened_ns = at;
    WRITE(open_hold, &a);
    struct settling x = settling(&a.h, cost);
    x.row.currency = currency;
    x.row.price_id = cost > 0;
    WRITE(settle, &x);
}

START_TEST(the_ledger_is_filtered_and_grouped)
{
    used("/a", "k1", "m", "USD", PICO_PER_UNIT - 1, 10);
    used("/a", "k1", "m", "USD", 2 * PICO_PER_UNIT + 3, 20);
    used("/a", "k2", "m", "EUR", 5, 30);
    used("/b", NULL, "n", "USD", 0, 40);
    struct ledger_filter all = {0}, early = {.to_ns = 30}, one = {.who = {.key = "k1"}},
                         none = {.who = {.project = "/c"}}, by_provider = {.provider = "p", .from_ns = 40};
    struct ledger_row *rows;
    struct ledger_group *g;
    size_t n;
    ck_assert(ledger_rows(root, s, &all, 0, 10, &rows, &n, &err) == RC_OK && n == 4);
    ck_assert(rows[0].opened_ns == 40 && rows[3].opened_ns == 10 && rows[0].spender.key == NULL);
    ck_assert_str_eq(rows[1].spender.key, "k2");
    ck_assert_str_eq(rows[1].provider, "p");
    ck_assert_str_eq(rows[1].dialect, "chat");
    ck_assert(ledger_rows(root, s, &all, rows[1].hold_id, 1, &rows, &n, &err) == RC_OK && n == 1);
    ck_assert_int_eq(rows[0].opened_ns, 20);
    ck_assert(ledger_rows(root, s, &early, 0, 10, &rows, &n, &err) == RC_OK && n == 2);
    ck_assert(ledger_rows(root, s, &one, 0, 10, &rows, &n, &err) == RC_OK && n == 2);
    ck_assert(ledger_rows(root, s, &none, 0, 10, &rows, &n, &err) == RC_OK && n == 0);
    ck_assert(ledger_rows(root, s, &by_provider, 0, 10, &rows, &n, &err) == RC_OK && n == 1);

    ck_assert(ledger_groups(root, s, &all, BY_PROJECT, 0, 10, &g, &n, &err) == RC_OK && n == 3);
    ck_assert(strcmp(g[0].name, "/a") == 0 && strcmp(g[0].currency, "EUR") == 0 && g[0].cost == 5);
    ck_assert(strcmp(g[1].currency, "USD") == 0 && g[1].cost == 3 * PICO_PER_UNIT + 2 && g[1].requests == 2);
    ck_assert(strcmp(g[2].name, "/b") == 0 && g[2].unpriced == 1 && g[2].usage.input == 5 && g[2].usage.output == 3);
    ck_assert(ledger_groups(root, s, &all, BY_PROJECT, 2, 10, &g, &n, &err) == RC_OK && n == 1);
    ck_assert(ledger_groups(root, s, &all, BY_KEY, 0, 1, &g, &n, &err) == RC_OK && n == 1 && g[0].name[0] == 0);
    ck_assert(ledger_groups(root, s, &all, BY_NONE, 0, 10, &g, &n, &err) == RC_OK && n == 2);
    ck_assert(ledger_groups(root, s, &none, BY_NONE, 0, 10, &g, &n, &err) == RC_OK && n == 0);
    ck_assert(ledger_groups(root, s, &all, BY_MODEL, 0, 10, &g, &n, &err) == RC_OK && n == 3);
    ck_assert(ledger_groups(root, s, &all, BY_PROVIDER, 0, 10, &g, &n, &err) == RC_OK && n == 2);
}
END_TEST

/* ---- a database of the version before ---- */

static enum rc old_rows(struct db_conn *c, void *arg, struct err *e)
{
    DB_SQL(task, "INSERT INTO task (id, title, repo, state, reason, words, applied, iteration, iteration_limit,"
                 " created_ns, changed_ns, started_ns, ended_ns, worked_ns, limit_time_s, limit_tokens, limit_money,"
                 " currency) VALUES ('aaaaaa1', 't', '/r', 'done', '', '', 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 5, 'USD')");
    DB_SQL(hold, "INSERT INTO hold (id, task_id, key, attempt, iteration, model, price_id, currency, amount, tokens,"
                 " state, opened_ns) VALUES (3, 'aaaaaa1', 'k1', 1, 1, 'm', 1, 'USD', 40, 10, 'settled', 100),"
                 " (4, 'aaaaaa1', 'k1', 2, 1, 'm', 1, 'USD', 50, 10, 'kept', 200),"
                 " (5, 'aaaaaa1', 'k2', 1, 1, 'm', 1, 'USD', 60, 10, 'released', 300)");
    DB_SQL(ledger,
           "INSERT INTO ledger (id, hold_id, task_id, iteration, time_ns, model, model_served, price_id, currency,"
           " input, cache_read, cache_write, cache_write_1h, output, reasoning, cost)"
           " VALUES (1, 3, 'aaaaaa1', 1, 150, 'm', 'm-1', 1, 'USD', 5, 1, 2, 3, 4, 0, 7)");
    (void)arg;
    enum rc rc = db_exec(c, &task, DB_NONE, NULL, e);
    rc = rc ? rc : db_exec(c, &hold, DB_NONE, NULL, e);
    return rc ? rc : db_exec(c, &ledger, DB_NONE, NULL, e);
}

START_TEST(rows_of_the_version_before_keep_their_meaning)
{
    char command[128];
    s = store_close(s);
    snprintf(command, sizeof command, "rm -f '%s'/nightmill.db*", folder);
    ck_assert_int_eq(system(command), 0);
    struct db_config config = {.dir = folder, .name = "nightmill.db", .migration_count = 1};
    size_t n;
    struct db *db;
    config.migrations = db_migrations(&n);
    ck_assert_int_gt((int)n, 1);
    ck_assert_int_eq(db_open(root, &config, &db, &err), RC_OK);
    ck_assert_msg(db_write(db, old_rows, NULL, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    db_close(db);
    mem_free(root);
    open_store();
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == 7 && sum.held == 50 && sum.requests == 1 && sum.kept == 1);
    struct ledger_row *rows;
    ck_assert(ledger_list(root, s, "aaaaaa1", &rows, &n, &err) == RC_OK && n == 1);
    ck_assert(rows[0].hold_id == 3 && rows[0].opened_ns == 100 && rows[0].time_ns == 150 && rows[0].iteration == 1);
    ck_assert_str_eq(rows[0].spender.project, "/r");
    ck_assert_str_eq(rows[0].request, hold_request_of_call(root, "aaaaaa1", "k1"));
    struct asked next = ask("aaaaaa1", hold_request_of_call(root, "aaaaaa1", "k1"), 1);
    WRITE(open_hold, &next);
    ck_assert(next.h.attempt == 3 && next.h.id == 6);
    ck_assert_int_eq(db_check(store_db(s), &err), RC_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store money");
    TCase *tc = tcase_create("money");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, hold_is_settled_once);
    tcase_add_test(tc, attempts_are_numbered);
    tcase_add_test(tc, bad_requests_are_refused);
    tcase_add_test(tc, sums_saturate);
    tcase_add_test(tc, what_is_held_is_summed_by_currency);
    tcase_add_test(tc, open_holds_of_a_crash_are_kept);
    tcase_add_test(tc, a_kept_hold_is_settled_by_hand);
    tcase_add_test(tc, the_ledger_is_filtered_and_grouped);
    tcase_add_test(tc, rows_of_the_version_before_keep_their_meaning);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
