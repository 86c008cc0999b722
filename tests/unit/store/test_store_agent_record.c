/* Contract: a track record counts each task once, with money by its currency, medians of the ended ones alone, and
 * leaves out what was answered from a recording; filters and groupings hold; tasks of the version before get their
 * agent from their requests. */
#include "base/id.h"
#include "db/db.h"
#include "store/agent_record.h"
#include "store/store_private.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define UNIT PICO_PER_UNIT
static char folder[64];
static mem *root;
static struct store *s;
static struct err err;

static void open_store(void)
{
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_record_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_store();
}

static void teardown(void)
{
    char command[128];
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

#define WRITE(fn, arg) ck_assert_msg(store_write(s, fn, arg, &err) == RC_OK, "%s (%s)", err.sentence, err.detail)

static enum rc insert(struct store_tx *tx, void *arg, struct err *e)
{
    return task_insert(tx, arg, e);
}

/* A task of that agent which ended in that state. */
static struct task ran(const char *agent, const char *state)
{
    return (struct task){.id = id_new(root, 7),
                         .title = "T",
                         .text = "text",
                         .repo = "/r",
                         .state = state,
                         .spec = "{}",
                         .limit_money = -1,
                         .currency = "USD",
                         .agent = agent,
                         .agent_version = "1.0",
                         .model = "m",
                         .kind = "simple",
                         .iteration = 1,
                         .worked_ns = 1000,
                         .created_ns = 100};
}

static void put(struct task t)
{
    WRITE(insert, &t);
}

struct request {
    const char *task, *currency;
    pico cost;
    int64_t price_id;
    bool keep;
};

static enum rc request(struct store_tx *tx, void *arg, struct err *e)
{
    const struct request *r = arg;
    struct hold h = {.spender = {.project = "/r", .task = r->task, .agent = "codex", .model = "m"},
                     .request = "req",
                     .provider = "p",
                     .dialect = "chat",
                     .price_id = r->price_id,
                     .currency = r->currency,
                     .amount = r->cost,
                     .opened_ns = 100};
    struct ledger_row row = {.time_ns = 200,
                             .model_served = "m",
                             .price_id = r->price_id,
                             .currency = r->currency,
                             .usage = {.input = 10, .cache_read = 20, .output = 3},
                             .cost = r->cost};
    bool fresh;
    h.request = hold_request_of_call(root, r->task, id_new(root, 7));
    enum rc rc = hold_open(tx, &h, e);
    if (rc)
        return rc;
    return r->keep ? hold_close(tx, h.id, "kept", e) : hold_settle(tx, h.id, &row, &fresh, e);
}

static void spend(const char *task, pico cost, const char *currency)
{
    struct request r = {task, currency, cost, 1, false};
    WRITE(request, &r);
}

static struct agent_record *records(const struct record_filter *f, enum record_by by, size_t want)
{
    struct agent_record *list;
    size_t n;
    ck_assert_msg(agent_records(root, s, f, by, &list, &n, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    ck_assert_int_eq((int)n, (int)want);
    return list;
}

static const struct record_filter all;

START_TEST(ends_are_counted_each_once)
{
    static const char *const states[] = {"done", "done", "unproven", "failed", "stopped", "queued", "needs_you"};
    records(&all, RECORD_BY_AGENT, 0);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        put(ran("codex", states[i]));
    struct task undone = ran("codex", "done"), limited = ran("codex", "paused");
    undone.reason = "undone";
    limited.reason = "limit_money";
    put(undone);
    put(limited);
    put(ran("aider", "failed"));
    struct agent_record *a = records(&all, RECORD_BY_AGENT, 2);
    ck_assert_str_eq(a[0].agent, "aider");
    ck_assert_str_eq(a[1].agent, "codex");
    ck_assert(a[0].runs == 1 && a[0].failed == 1 && a[0].done == 0);
    ck_assert(a[1].runs == 9 && a[1].done == 3 && a[1].undone == 1 && a[1].unproven == 1 && a[1].failed == 1);
    ck_assert(a[1].stopped == 1 && a[1].limited == 1 && a[1].open == 2 && a[1].ended == 6);
    ck_assert(!a[1].version && !a[1].model && !a[1].kind);
    ck_assert(a[0].cost_count == 1 && a[0].costs[0].total == 0 && a[0].costs[0].per_done == -1);
}
END_TEST

START_TEST(money_is_summed_by_currency_and_never_mixed)
{
    struct task t[4] = {ran("codex", "done"), ran("codex", "failed"), ran("codex", "done"), ran("codex", "working")};
    for (size_t i = 0; i < 4; i++)
        put(t[i]);
    spend(t[0].id, UNIT, "USD");
    spend(t[0].id, 2 * UNIT + 1, "USD");
    spend(t[0].id, 5 * UNIT, "EUR");
    spend(t[1].id, 6 * UNIT, "USD");
    spend(t[2].id, 4 * UNIT, "USD");
    spend(t[3].id, 1000 * UNIT, "USD"); /* goes on: not yet counted */
    struct agent_record *a = records(&all, RECORD_BY_AGENT, 1);
    ck_assert(a->runs == 4 && a->ended == 3 && a->done == 2 && a->cost_count == 2 && a->requests == 5);
    ck_assert_str_eq(a->costs[0].currency, "EUR");
    ck_assert(a->costs[0].tasks == 1 && a->costs[0].total == 5 * UNIT && a->costs[0].per_done == 5 * UNIT / 2);
    ck_assert_str_eq(a->costs[1].currency, "USD");
    ck_assert(a->costs[1].tasks == 3 && a->costs[1].total == 13 * UNIT + 1 && a->costs[1].median == 4 * UNIT);
    ck_assert(a->costs[1].per_done == (13 * UNIT + 1) / 2);
    ck_assert(a->usage.input == 50 && a->usage.cache_read == 100 && a->usage.output == 15 && a->unpriced == 0);
}
END_TEST

START_TEST(what_is_not_known_of_the_cost_is_told)
{
    struct task t = ran("codex", "done");
    put(t);
    spend(t.id, 3, "EUR");
    struct request kept = {t.id, "USD", 7, 1, true}, unpriced = {t.id, "USD", 0, 0, false};
    WRITE(request, &kept);
    WRITE(request, &unpriced);
    struct agent_record *a = records(&all, RECORD_BY_AGENT, 1);
    ck_assert(a->kept == 1 && a->unpriced == 1 && a->requests == 2);
}
END_TEST

START_TEST(medians_are_those_of_the_ended)
{
    static const int64_t worked[] = {40, 10, 30, 21};
    for (size_t i = 0; i < 4; i++) {
        struct task t = ran("codex", "done");
        t.worked_ns = worked[i];
        t.iteration = (int64_t)i + 1;
        put(t);
    }
    struct task open = ran("codex", "working");
    open.worked_ns = 1000000;
    put(open);
    struct agent_record *a = records(&all, RECORD_BY_AGENT, 1);
    ck_assert_int_eq(a->worked_median_ns, 25); /* 21 and 30 */
    ck_assert_int_eq(a->iterations_median, 2); /* 2 and 3 */
}
END_TEST

START_TEST(filters_and_groupings)
{
    struct task t = ran("codex", "done");
    t.assigned = true;
    put(t);
    t = ran("codex", "done");
    t.repo = "/other";
    t.model = "big";
    t.kind = "complex";
    t.agent_version = "2.0";
    t.created_ns = 500;
    put(t);
    t = ran("codex", "done");
    t.replayed = true;
    t.kind = "medium";
    put(t);
    ck_assert(records(&all, RECORD_BY_AGENT, 1)->runs == 2);
    ck_assert(records(&(struct record_filter){.project = "/other"}, RECORD_BY_AGENT, 1)->runs == 1);
    ck_assert(records(&(struct record_filter){.since_ns = 500}, RECORD_BY_AGENT, 1)->runs == 1);
    ck_assert(records(&(struct record_filter){.since_ns = 100}, RECORD_BY_AGENT, 1)->runs == 2);
    ck_assert(records(&(struct record_filter){.assigned = true}, RECORD_BY_AGENT, 1)->runs == 1);
    records(&(struct record_filter){.project = "/none"}, RECORD_BY_AGENT, 0);
    ck_assert_str_eq(records(&all, RECORD_BY_VERSION, 2)[1].version, "2.0");
    ck_assert_str_eq(records(&all, RECORD_BY_MODEL, 2)[0].model, "big");
    ck_assert_str_eq(records(&all, RECORD_BY_KIND, 2)[0].kind, "complex");
}
END_TEST

static enum rc old_rows(struct db_conn *c, void *arg, struct err *e)
{
    DB_SQL(task, "INSERT INTO task (id, title, repo, state, reason, words, applied, iteration, iteration_limit,"
                 " created_ns, changed_ns, started_ns, ended_ns, worked_ns, limit_time_s, limit_tokens, limit_money,"
                 " currency) VALUES ('aaaaaa1', 't', '/r', 'done', '', '', 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, -1, 'USD'),"
                 " ('aaaaaa2', 't', '/r', 'done', '', '', 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, -1, 'USD'),"
                 " ('aaaaaa3', 't', '/r', 'done', '', '', 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, -1, 'USD')");
    DB_SQL(text, "INSERT INTO task_text (number, text, spec) SELECT number, '', '{}' FROM task");
    DB_SQL(ledger, "INSERT INTO ledger (hold_id, request_id, attempt, task_id, agent, model, provider, dialect,"
                   " iteration, opened_ns, time_ns, model_served, price_id, currency, input, cache_read, cache_write,"
                   " cache_write_1h, output, reasoning, cost)"
                   " VALUES (1, 'r', 1, 'aaaaaa1', 'codex', 'm', 'p', 'chat', 1, 1, 1, 'm', 1, 'USD', 1, 0, 0, 0, 1,"
                   " 0, 9), (2, 'r2', 1, 'aaaaaa2', 'codex', 'm', 'p', 'chat', 1, 1, 1, 'm', -1, 'USD', 1, 0, 0, 0, 1,"
                   " 0, 0)");
    (void)arg;
    enum rc rc = db_exec(c, &task, DB_NONE, NULL, e);
    rc = rc ? rc : db_exec(c, &text, DB_NONE, NULL, e);
    return rc ? rc : db_exec(c, &ledger, DB_NONE, NULL, e);
}

START_TEST(tasks_of_the_version_before_get_their_agent_from_their_requests)
{
    char command[128];
    s = store_close(s);
    snprintf(command, sizeof command, "rm -f '%s'/nightmill.db*", folder);
    ck_assert_int_eq(system(command), 0);
    struct db_config config = {.dir = folder, .name = "nightmill.db", .migration_count = 6};
    size_t n;
    struct db *db;
    config.migrations = db_migrations(&n);
    ck_assert_int_gt((int)n, 6);
    ck_assert_int_eq(db_open(root, &config, &db, &err), RC_OK);
    ck_assert_msg(db_write(db, old_rows, NULL, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    db_close(db);
    mem_free(root);
    open_store();
    struct agent_record *a = records(&all, RECORD_BY_MODEL, 2); /* the second was a replay */
    ck_assert_str_eq(a[0].agent, "");
    ck_assert_str_eq(a[1].agent, "codex");
    ck_assert_str_eq(a[1].model, "m");
    ck_assert(a[0].runs == 1 && a[1].runs == 1 && a[1].costs[0].total == 9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_agent_record");
    TCase *tc = tcase_create("records");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ends_are_counted_each_once);
    tcase_add_test(tc, money_is_summed_by_currency_and_never_mixed);
    tcase_add_test(tc, what_is_not_known_of_the_cost_is_told);
    tcase_add_test(tc, medians_are_those_of_the_ended);
    tcase_add_test(tc, filters_and_groupings);
    tcase_add_test(tc, tasks_of_the_version_before_get_their_agent_from_their_requests);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
