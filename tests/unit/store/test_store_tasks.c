/* Contract: tasks are kept whole, listed newest first under every filter and never by reading the whole table; states
 * are those of the product. Approvals are asked once and answered once; replies and prices are found as promised; every
 * statement fits the schema. */
#include "base/clock.h"
#include "db/db.h"
#include "store/store.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

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
    snprintf(folder, sizeof folder, "/tmp/test_tasks_XXXXXX");
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

static enum rc update(struct store_tx *tx, void *arg, struct err *e)
{
    return task_update(tx, arg, e);
}

static struct task sample(const char *id)
{
    return (struct task){.id = id,
                         .title = "T",
                         .text = "text of it",
                         .repo = "/r",
                         .state = "queued",
                         .words = "w",
                         .spec = "{}",
                         .limit_money = -1,
                         .currency = "USD"};
}

START_TEST(task_is_kept_whole)
{
    struct task in = {.id = "abcdef1",
                      .title = "Title",
                      .text = "T\n\xc3\xa9",
                      .repo = "/a b",
                      .state = "working",
                      .reason = "why",
                      .words = "words",
                      .spec = "{\"a\":1}",
                      .branch = "nightmill/x",
                      .commit = "c0ffee",
                      .applied = true,
                      .iteration = 3,
                      .iteration_limit = 10,
                      .created_ns = 1,
                      .changed_ns = 2,
                      .started_ns = 3,
                      .ended_ns = 4,
                      .worked_ns = 5,
                      .limit_time_s = 6,
                      .limit_tokens = 7,
                      .limit_money = INT64_MAX,
                      .currency = "EUR",
                      .agent = "codex",
                      .agent_version = "1.2",
                      .model = "m",
                      .kind = "simple",
                      .assigned = true,
                      .replayed = true};
    WRITE(insert, &in);
    ck_assert_int_eq(in.number, 1);
    struct task t;
    ck_assert_int_eq(task_find(root, s, "abcdef1", &t, &err), RC_OK);
    ck_assert_str_eq(t.title, in.title);
    ck_assert_str_eq(t.text, in.text);
    ck_assert_str_eq(t.repo, in.repo);
    ck_assert_str_eq(t.state, in.state);
    ck_assert_str_eq(t.reason, in.reason);
    ck_assert_str_eq(t.words, in.words);
    ck_assert_str_eq(t.spec, in.spec);
    ck_assert_str_eq(t.branch, in.branch);
    ck_assert_str_eq(t.commit, in.commit);
    ck_assert_str_eq(t.currency, in.currency);
    ck_assert_str_eq(t.agent, in.agent);
    ck_assert_str_eq(t.agent_version, in.agent_version);
    ck_assert_str_eq(t.model, in.model);
    ck_assert_str_eq(t.kind, in.kind);
    ck_assert(t.assigned && t.replayed);
    ck_assert(t.applied && t.iteration == 3 && t.iteration_limit == 10 && t.number == 1 && t.last_event == 0);
    ck_assert(t.created_ns == 1 && t.changed_ns == 2 && t.started_ns == 3 && t.ended_ns == 4 && t.worked_ns == 5);
    ck_assert(t.limit_time_s == 6 && t.limit_tokens == 7 && t.limit_money == INT64_MAX);
}
END_TEST

START_TEST(update_changes_what_may_change)
{
    struct task t = sample("abcdef1"), other = sample("abcdef2"), out;
    WRITE(insert, &t);
    WRITE(insert, &other);
    t.state = "paused";
    t.reason = "limit_money";
    t.limit_money = 5;
    t.spec = "{\"b\":2}";
    t.agent_version = "2.0";
    t.model = "stronger";
    t.assigned = true;
    WRITE(update, &t);
    ck_assert_int_eq(task_find(root, s, t.id, &out, NULL), RC_OK);
    ck_assert_str_eq(out.state, "paused");
    ck_assert_str_eq(out.spec, "{\"b\":2}");
    ck_assert_str_eq(out.agent_version, "2.0");
    ck_assert_str_eq(out.model, "stronger");
    ck_assert(out.assigned && !t.replayed);
    ck_assert_ptr_null(out.branch);
    ck_assert_int_eq(out.limit_money, 5);
    t.text = t.spec = NULL; /* as from a brief list: the stored ones stay */
    t.words = "new";
    WRITE(update, &t);
    ck_assert_int_eq(task_find(root, s, t.id, &out, NULL), RC_OK);
    ck_assert_str_eq(out.text, "text of it");
    ck_assert_str_eq(out.words, "new");
    ck_assert_int_eq(task_find(root, s, "abcdef2", &out, NULL), RC_OK);
    ck_assert_str_eq(out.state, "queued");
}
END_TEST

START_TEST(refusals_are_typed)
{
    struct task t = sample("abcdef1"), out;
    WRITE(insert, &t);
    ck_assert_int_eq(store_write(s, insert, &t, &err), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.sentence, "abcdef1"));
    t.state = "dreaming";
    ck_assert_int_eq(store_write(s, update, &t, &err), RC_INVALID);
    t = sample("abcdef9");
    ck_assert_int_eq(store_write(s, update, &t, &err), RC_NOT_FOUND);
    ck_assert_int_eq(task_find(root, s, "abcdef9", &out, &err), RC_NOT_FOUND);
    ck_assert_str_eq(err.hint, "See the tasks with: nightmill ls");
    ck_assert_int_eq(task_find(root, s, "abcdef", &out, &err), RC_NOT_FOUND);
    ck_assert_int_eq(task_find(root, s, "", &out, NULL), RC_NOT_FOUND);
    t.id = "UPPER00";
    t.state = "queued";
    ck_assert_int_eq(store_write(s, insert, &t, &err), RC_INVALID);
}
END_TEST

START_TEST(states_are_known)
{
    static const char *const all[] = {"queued", "working",  "checking", "needs_you", "paused",
                                      "done",   "unproven", "stopped",  "failed"};
    for (int i = 0; i < 9; i++) {
        ck_assert(task_state_valid(all[i]));
        ck_assert_int_eq(task_state_final(all[i]), i >= 5);
    }
    ck_assert(!task_state_valid("active") && !task_state_valid("") && !task_state_valid(NULL) &&
              !task_state_final(NULL));
}
END_TEST

/* 300 tasks: states in turn, two repositories. */
static enum rc insert_many(struct store_tx *tx, void *arg, struct err *e)
{
    static const char *const states[] = {"done", "queued", "failed"};
    (void)arg;
    for (int i = 0; i < 300; i++) {
        char id[8];
        snprintf(id, sizeof id, "a%06d", i);
        struct task t = sample(id);
        t.state = states[i % 3];
        t.repo = i % 2 ? "/odd" : "/even";
        enum rc rc = task_insert(tx, &t, e);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static size_t listed(struct task_filter f, struct task **ret)
{
    size_t n = 0;
    ck_assert_msg(task_list(root, s, &f, ret, &n, &err) == RC_OK, "%s", err.sentence);
    for (size_t i = 1; i < n; i++)
        ck_assert_int_gt((*ret)[i - 1].number, (*ret)[i].number);
    for (size_t i = 0; i < n; i++) {
        struct task *t = &(*ret)[i];
        ck_assert((t->text == NULL) == f.brief && (t->spec == NULL) == f.brief);
        ck_assert(!f.repo || strcmp(t->repo, f.repo) == 0);
        ck_assert(!f.before || t->number < f.before);
        ck_assert(!f.state || strcmp(f.state, t->state) == 0 ||
                  (strcmp(f.state, "active") == 0 && !task_state_final(t->state)));
    }
    return n;
}

START_TEST(lists_obey_their_filters)
{
    struct task *list;
    ck_assert_uint_eq(listed((struct task_filter){.limit = 10}, &list), 0);
    WRITE(insert_many, NULL);
    for (int brief = 0; brief < 2; brief++) {
        ck_assert_uint_eq(listed((struct task_filter){.limit = 1000, .brief = brief}, &list), 300);
        ck_assert_uint_eq(listed((struct task_filter){.limit = 10, .before = 6, .brief = brief}, &list), 5);
        ck_assert_int_eq(list[0].number, 5);
        ck_assert_uint_eq(listed((struct task_filter){.limit = 1000, .state = "active", .brief = brief}, &list), 100);
        ck_assert_uint_eq(listed((struct task_filter){.limit = 1000, .state = "failed", .brief = brief}, &list), 100);
        ck_assert_uint_eq(listed((struct task_filter){.limit = 1000, .repo = "/odd", .brief = brief}, &list), 150);
        ck_assert_uint_eq(listed((struct task_filter){.limit = 1000, .repo = "/none", .brief = brief}, &list), 0);
        ck_assert_uint_eq(
            listed((struct task_filter){.limit = 1000, .repo = "/odd", .state = "done", .brief = brief}, &list), 50);
        ck_assert_uint_eq(
            listed((struct task_filter){.limit = 7, .repo = "/odd", .state = "active", .brief = brief}, &list), 7);
    }
    struct task_filter bad = {.limit = 1, .state = "dreaming"};
    size_t n;
    ck_assert_int_eq(task_list(root, s, &bad, &list, &n, &err), RC_INVALID);
    int64_t count = 0;
    ck_assert(task_count(s, NULL, &count, NULL) == RC_OK && count == 300);
    ck_assert(task_count(s, "active", &count, NULL) == RC_OK && count == 100);
    ck_assert(task_count(s, "done", &count, NULL) == RC_OK && count == 100);
}
END_TEST

/* Whatever the number of tasks, a page costs an index and not a scan. */
START_TEST(lists_use_their_indexes)
{
    DB_SQL(active,
           "EXPLAIN QUERY PLAN SELECT id FROM task t WHERE t.state NOT IN ('done', 'unproven', 'stopped', 'failed')"
           " AND t.number < $1 ORDER BY t.number DESC LIMIT $2");
    DB_SQL(
        state,
        "EXPLAIN QUERY PLAN SELECT id FROM task t WHERE t.state = $3 AND t.number < $1 ORDER BY t.number DESC LIMIT $2");
    DB_SQL(
        repo,
        "EXPLAIN QUERY PLAN SELECT id FROM task t WHERE t.repo = $3 AND t.number < $1 ORDER BY t.number DESC LIMIT $2");
    DB_SQL(events,
           "EXPLAIN QUERY PLAN SELECT data FROM event WHERE task_id = $1 AND number > $2 ORDER BY number LIMIT $3");
    DB_SQL(held, "EXPLAIN QUERY PLAN SELECT sum(amount) FROM hold WHERE task_id = $1 AND state IN ('open', 'kept')");
    DB_SQL(repo_state, "EXPLAIN QUERY PLAN SELECT id FROM task t WHERE t.repo = $3 AND t.state = $4 AND t.number < $1"
                       " ORDER BY t.number DESC LIMIT $2");
    DB_SQL(repo_active,
           "EXPLAIN QUERY PLAN SELECT id FROM task t WHERE t.repo = $3 AND t.state NOT IN ('done', 'unproven',"
           " 'stopped', 'failed') AND t.number < $1 ORDER BY t.number DESC LIMIT $2");
    const struct {
        const char *const *sql;
        int parameters;
        const char *index;
    } plans[] = {{&active, 2, "task_active"},
                 {&state, 3, "task_state"},
                 {&repo, 3, "task_repo "},
                 {&repo_state, 4, "task_repo_state"},
                 {&repo_active, 3, "task_repo_active"},
                 {&events, 3, "sqlite_autoindex_event_1"},
                 {&held, 1, "hold_live"}};
    struct plan {
        int64_t id, parent, unused;
        const char *words;
    };
    static const struct db_column columns[] = {DB_COLUMN(plan, id, DB_INT64), DB_COLUMN(plan, parent, DB_INT64),
                                               DB_COLUMN(plan, unused, DB_INT64), DB_COLUMN(plan, words, DB_TEXT)};
    static const struct db_shape shape = DB_SHAPE(plan, columns);
    WRITE(insert_many, NULL);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        DB_READER struct db_conn *c = db_reader(store_db(s));
        struct db_arg args[4] = {db_int(1000), db_int(10), db_text("x"), db_text("y")};
        struct plan *rows;
        size_t n;
        ck_assert_int_eq(db_all(root, c, plans[i].sql, (struct db_args){.v = args, .n = (size_t)plans[i].parameters},
                                &shape, &rows, &n, &err),
                         RC_OK);
        ck_assert_uint_eq(n, 1); /* no step that sorts */
        ck_assert_msg(strstr(rows[0].words, "SEARCH") && strstr(rows[0].words, plans[i].index), "%s", rows[0].words);
    }
}
END_TEST

/* A statement is registered when its file is linked: this links every file of the room. */
static void (*volatile const whole_room[])(void) = {
    (void (*)(void))store_open,  (void (*)(void))task_find,       (void (*)(void))event_list,
    (void (*)(void))hold_open,   (void (*)(void))approval_insert, (void (*)(void))price_find,
    (void (*)(void))ledger_list, (void (*)(void))reply_find,      (void (*)(void))budget_put,
    (void (*)(void))rate_insert, (void (*)(void))task_counts,     (void (*)(void))idempotency_take,
};

START_TEST(every_statement_fits_the_schema)
{
    size_t n = 0;
    ck_assert(whole_room[0] != NULL);
    ck_assert_msg(db_check_statements(store_db(s), &n, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    ck_assert_uint_ge(n, 50);
}
END_TEST

/* ---- approvals ---- */

struct ask {
    struct approval a;
    bool is_new;
};

static enum rc ask(struct store_tx *tx, void *arg, struct err *e)
{
    struct ask *q = arg;
    return approval_insert(tx, &q->a, &q->is_new, e);
}

struct answer {
    const char *id, *outcome, *words, *by;
    int64_t now;
};

static enum rc answer(struct store_tx *tx, void *arg, struct err *e)
{
    struct answer *a = arg;
    return approval_answer(tx, a->id, a->outcome, a->words, a->by, a->now, e);
}

START_TEST(approvals_are_asked_and_answered_once)
{
    struct task t = sample("abcdef1");
    WRITE(insert, &t);
    struct ask q = {.a = {.id = "qqqqqq1",
                          .task_id = "abcdef1",
                          .gate = "plan",
                          .sequence = 4,
                          .subject = "May I?",
                          .outcome = "waiting",
                          .asked_ns = 10,
                          .expires_ns = 100}};
    WRITE(ask, &q);
    ck_assert(q.is_new);
    struct ask again = q;
    again.a.id = "qqqqqq2"; /* the runner asks the same after a crash */
    WRITE(ask, &again);
    ck_assert(!again.is_new);
    struct approval *list, one;
    size_t n;
    ck_assert(approval_waiting(root, s, &list, &n, &err) == RC_OK && n == 1);
    ck_assert_str_eq(list[0].id, "qqqqqq1");
    struct answer yes = {"qqqqqq1", "approved", "go", "ann", 50}, no = {"qqqqqq1", "refused", NULL, "bob", 51};
    WRITE(answer, &yes);
    ck_assert_int_eq(store_write(s, answer, &no, &err), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.sentence, "already approved by ann"));
    ck_assert_int_eq(approval_find(root, s, "qqqqqq1", &one, &err), RC_OK);
    ck_assert_str_eq(one.outcome, "approved");
    ck_assert_str_eq(one.answer, "go");
    ck_assert_int_eq(one.answered_ns, 50);
    ck_assert(approval_waiting(root, s, &list, &n, &err) == RC_OK && n == 0);
    ck_assert(approval_of_task(root, s, "abcdef1", &list, &n, &err) == RC_OK && n == 1);
    no.id = "qqqqqq9";
    ck_assert_int_eq(store_write(s, answer, &no, &err), RC_NOT_FOUND);
}
END_TEST

START_TEST(time_running_out_is_no_consent)
{
    struct task t = sample("abcdef1");
    WRITE(insert, &t);
    struct ask q = {.a = {.id = "qqqqqq1",
                          .task_id = "abcdef1",
                          .gate = "commit",
                          .sequence = 1,
                          .subject = "s",
                          .outcome = "waiting",
                          .asked_ns = 10,
                          .expires_ns = 100}};
    WRITE(ask, &q);
    struct answer late = {"qqqqqq1", "approved", NULL, "ann", 100};
    ck_assert_int_eq(store_write(s, answer, &late, &err), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.sentence, "expired"));
    struct answer odd = {"qqqqqq1", "waiting", NULL, NULL, 20};
    ck_assert_int_eq(store_write(s, answer, &odd, &err), RC_INVALID);
    struct answer expired = {"qqqqqq1", "expired", NULL, "system", 101};
    WRITE(answer, &expired);
    late.now = 50;
    ck_assert_int_eq(store_write(s, answer, &late, &err), RC_CONFLICT);
    q.a.task_id = "abcdef9";
    ck_assert_int_eq(store_write(s, ask, &q, &err), RC_NOT_FOUND);
}
END_TEST

/* ---- replies ---- */

static enum rc put(struct store_tx *tx, void *arg, struct err *e)
{
    return reply_put(tx, "abcdef1", "k1", arg, e);
}

START_TEST(replies_are_kept_until_the_task_is_final)
{
    struct task t = sample("abcdef1");
    struct reply in = {200, STR("text/event-stream"), STR("data: \0\xff")}, out;
    ck_assert_int_eq(store_write(s, put, &in, &err), RC_NOT_FOUND); /* no such task */
    WRITE(insert, &t);
    ck_assert_int_eq(reply_find(root, s, "abcdef1", "k1", &out, &err), RC_NOT_FOUND);
    WRITE(put, &in);
    ck_assert_int_eq(reply_find(root, s, "abcdef1", "k1", &out, &err), RC_OK);
    ck_assert(out.status == 200 && str_eq(out.body, in.body) && str_eq(out.content_type, in.content_type));
    in.body = STR("later");
    WRITE(put, &in);
    ck_assert(reply_find(root, s, "abcdef1", "k1", &out, &err) == RC_OK && str_eqz(out.body, "later"));
    t.state = "paused";
    WRITE(update, &t);
    ck_assert_int_eq(reply_find(root, s, "abcdef1", "k1", &out, &err), RC_OK);
    t.state = "done";
    WRITE(update, &t);
    ck_assert_int_eq(reply_find(root, s, "abcdef1", "k1", &out, &err), RC_NOT_FOUND);
}
END_TEST

/* ---- prices ---- */

static enum rc set_price(struct store_tx *tx, void *arg, struct err *e)
{
    return price_insert(tx, arg, e);
}

START_TEST(operators_price_wins)
{
    size_t shipped = 0, n = 0, again = 0;
    const struct price *builtin = price_builtin(&shipped);
    struct price *list, found;
    ck_assert(price_list(root, s, &list, &n, &err) == RC_OK && n == shipped);
    ck_assert_int_eq(price_find(root, s, builtin[0].model, INT64_MAX, &found, &err), RC_OK);
    ck_assert_int_eq(strncmp(found.source, "built-in: ", 10), 0);
    struct price own = {
        .model = builtin[0].model, .currency = "EUR", .source = "contract", .from_ns = 1000, .base = {.output = 5}};
    WRITE(set_price, &own);
    struct price older = own;
    older.from_ns = 500;
    older.base.output = 4;
    WRITE(set_price, &older);
    ck_assert_int_eq(price_find(root, s, own.model, INT64_MAX, &found, &err), RC_OK);
    ck_assert(found.id == own.id && found.base.output == 5);
    ck_assert_str_eq(found.currency, "EUR");
    ck_assert(price_find(root, s, own.model, 999, &found, &err) == RC_OK && found.base.output == 4);
    ck_assert_int_eq(price_find(root, s, own.model, 499, &found, &err), RC_NOT_FOUND); /* older than all of them */
    ck_assert(price_get(root, s, own.id, &found, &err) == RC_OK && found.from_ns == 1000);
    s = store_close(s);
    mem_free(root);
    open_store(); /* built-in ones are not added twice */
    ck_assert(price_list(root, s, &list, &again, &err) == RC_OK && again == n + 2);
}
END_TEST

START_TEST(bad_prices_are_refused)
{
    struct price found, good = {.model = "m", .currency = "USD", .source = "me", .from_ns = 1, .base = {.input = 1}};
    struct price bad[5];
    for (int i = 0; i < 5; i++)
        bad[i] = good;
    bad[0].model = "";
    bad[1].currency = "usd";
    bad[2].base.cache_read = -1;
    bad[3].source = "built-in: not at all";
    bad[4].above_tokens = -1;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(store_write(s, set_price, &bad[i], &err), RC_INVALID);
    ck_assert_int_eq(price_find(root, s, "m", 5, &found, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "nightmill"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store tasks");
    TCase *tc = tcase_create("tasks");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, task_is_kept_whole);
    tcase_add_test(tc, update_changes_what_may_change);
    tcase_add_test(tc, refusals_are_typed);
    tcase_add_test(tc, states_are_known);
    tcase_add_test(tc, lists_obey_their_filters);
    tcase_add_test(tc, lists_use_their_indexes);
    tcase_add_test(tc, every_statement_fits_the_schema);
    tcase_add_test(tc, approvals_are_asked_and_answered_once);
    tcase_add_test(tc, time_running_out_is_no_consent);
    tcase_add_test(tc, replies_are_kept_until_the_task_is_final);
    tcase_add_test(tc, operators_price_wins);
    tcase_add_test(tc, bad_prices_are_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
