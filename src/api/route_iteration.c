/* How the iterations of a task went: their results, checks with the verdict's proof, cost. Read from the events that
 * mark an iteration (store.h, event_marks) and the ledger; a test or a check is never run here. */
#include "api/route_rows.h"
#include "api/task_tree.h"
#include "base/clock.h"
#include "flow/worklog.h"

#define MARKS_PAGE 500
#define LOG_EVENTS 5000 /* of a longer task the log is not made here */
#define LOG_MS     10   /* the log's first lines of iterations are told as far as it is made */
#define LINE_MOST  2000

struct tests {
    int64_t passed, failed, skipped;
};
struct iteration {
    int64_t number, started_ns, ended_ns, first_event, last_event;
    struct json started, committed, verdict, finished; /* the data of its events */
    int64_t verdict_ns;
    pico cost;
    int64_t requests, input, cache_read, cache_write, output;
};
struct story {
    struct task task;
    struct iteration *list;
    size_t n;
};

static struct iteration *iteration_of(struct route_call *c, struct story *s, int64_t number)
{
    for (size_t i = s->n; i-- > 0;)
        if (s->list[i].number == number)
            return &s->list[i];
    if (number < 1)
        return NULL;
    s->list = mem_grow(c->ctx, s->list, (s->n + 1) * sizeof *s->list);
    s->list[s->n] = (struct iteration){.number = number};
    return &s->list[s->n++];
}

static void mark_take(struct route_call *c, struct story *s, const struct event *e)
{
    struct json v;
    if (json_parse(c->ctx, str_of(e->data), &v, NULL) != RC_OK)
        return;
    struct iteration *it = iteration_of(c, s, json_int(json_get(v, "iteration"), 0));
    if (!it)
        return;
    it->last_event = e->number;
    if (strcmp(e->type, "iteration.started") == 0) {
        it->started = v;
        it->started_ns = e->time_ns;
        it->first_event = e->number;
        it->ended_ns = 0;
        it->finished = it->verdict = it->committed = (struct json){0};
    } else if (strcmp(e->type, "iteration.committed") == 0) {
        it->committed = v;
    } else if (strcmp(e->type, "verdict") == 0) {
        it->verdict = json_is(json_get(v, "verdict")) ? json_get(v, "verdict") : v;
        it->verdict_ns = e->time_ns;
    } else if (strcmp(e->type, "iteration.finished") == 0) {
        it->finished = v;
        it->ended_ns = e->time_ns;
    }
}

static enum rc story_read(struct route_call *c, struct story *s)
{
    int64_t after = 0;
    size_t n = MARKS_PAGE;
    enum rc rc = task_find(c->ctx, c->server->store, c->param, &s->task, &c->err);
    while (rc == RC_OK && n == MARKS_PAGE) {
        struct event *events;
        rc = event_marks(c->ctx, c->server->store, c->param, after, MARKS_PAGE, &events, &n, &c->err);
        for (size_t i = 0; rc == RC_OK && i < n; i++) {
            mark_take(c, s, &events[i]);
            after = events[i].number;
        }
    }
    return rc;
}

/* Adds what each iteration cost; in the task's currency. */
static enum rc costs_read(struct route_call *c, struct story *s, struct task_tallies *ret)
{
    enum rc rc = task_tallies_read(c, &s->task, ret);
    for (size_t i = 0; rc == RC_OK && i < ret->n; i++) {
        const struct ledger_tally *t = &ret->list[i];
        struct iteration *it = iteration_of(c, s, t->iteration);
        if (!it)
            continue;
        it->requests += t->requests;
        it->cost = money_add(it->cost, t->cost);
        it->input += t->usage.input;
        it->cache_read += t->usage.cache_read;
        it->cache_write += t->usage.cache_write + t->usage.cache_write_1h;
        it->output += t->usage.output;
    }
    for (size_t i = 0; rc == RC_OK && i < ret->foreign_n; i++) {
        const struct ledger_row *r = &ret->foreign[i];
        struct iteration *it = iteration_of(c, s, r->iteration);
        if (it)
            it->cost = money_add(it->cost, task_amount_moved(c, &s->task, r->cost, r->currency, r->opened_ns));
    }
    return rc;
}

/* ---- iterations ---- */

static bool run_is(struct json run, const char *kind)
{
    return json_eqz(json_get(run, "kind"), kind);
}

static const char *run_status(struct json run)
{
    if (json_bool(json_get(run, "could_not_start"), false))
        return "could_not_start";
    if (json_bool(json_get(run, "timed_out"), false))
        return "timed_out";
    return json_int(json_get(run, "exit_code"), -1) == 0 && json_int(json_get(run, "signal"), 0) == 0 ? "passed"
                                                                                                      : "failed";
}

static struct tests run_tests(struct json run)
{
    struct json counts = json_get(run, "counts");
    return (struct tests){json_int(json_get(counts, "passed"), 0), json_int(json_get(counts, "failed"), 0),
                          json_int(json_get(counts, "skipped"), 0)};
}

static void checks_counts(struct route_call *c, struct json verdict)
{
    int64_t passed = 0, failed = 0;
    struct tests all = {0};
    for (struct json_iter it = json_iter(json_get(verdict, "runs")); json_next(&it);) {
        struct tests t = run_tests(it.value);
        if (!run_is(it.value, "delivered"))
            continue;
        passed += strcmp(run_status(it.value), "passed") == 0;
        failed += strcmp(run_status(it.value), "passed") != 0;
        all.passed += t.passed;
        all.failed += t.failed;
    }
    jo_ki(&c->out, "checks_passed", passed);
    jo_ki(&c->out, "checks_failed", failed);
    jo_ki(&c->out, "tests_passed", all.passed);
    jo_ki(&c->out, "tests_failed", all.failed);
}

/* How many iterations in a row, this one included, ended with the very same failure; 0: with none. */
static int64_t same_failure(struct route_call *c, const struct story *s, size_t i)
{
    const char *mine = json_z(c->ctx, json_get(s->list[i].finished, "signature"), "");
    int64_t n = *mine != 0;
    for (size_t k = i; n && k-- > 0; n++)
        if (strcmp(mine, json_z(c->ctx, json_get(s->list[k].finished, "signature"), "")) != 0)
            break;
    return n;
}

static void time_member(struct route_call *c, const char *name, int64_t ns)
{
    jo_kz(&c->out, name, ns ? clock_rfc3339(c->ctx, ns) : NULL);
}

static void cut_text(struct json_out *o, const char *name, struct str s)
{
    jo_ks(o, name, str_sub(s, 0, str_utf8_cut(s, LINE_MOST)));
}

static void iteration_json(struct route_call *c, const struct story *s, size_t i, const struct worklog *log)
{
    const struct iteration *it = &s->list[i];
    struct json_out *o = &c->out;
    int64_t first, last, end = it->ended_ns ? it->ended_ns : task_state_final(s->task.state) ? 0 : clock_wall_ns();
    jo_obj(o);
    jo_ki(o, "iteration", it->number);
    jo_kz(o, "outcome", json_z(c->ctx, json_get(it->finished, "outcome"), NULL));
    cut_text(o, "words", json_str(c->ctx, json_get(it->finished, "words")));
    cut_text(o, "feedback", json_str(c->ctx, json_get(it->finished, "feedback")));
    time_member(c, "started_at", it->started_ns);
    time_member(c, "ended_at", it->ended_ns);
    jo_ki(o, "ms", it->started_ns && end > it->started_ns ? (end - it->started_ns) / 1000000 : 0);
    jo_kz(o, "commit", json_z(c->ctx, json_get(it->committed, "commit"), NULL));
    jo_ki(o, "files", json_int(json_get(it->committed, "files"), 0));
    jo_ki(o, "added", json_int(json_get(it->committed, "added"), 0));
    jo_ki(o, "removed", json_int(json_get(it->committed, "removed"), 0));
    checks_counts(c, it->verdict);
    jo_kz(o, "cost", money_exact(c->ctx, it->cost, 2));
    jo_kz(o, "currency", s->task.currency);
    jo_ki(o, "requests", it->requests);
    jo_ki(o, "same_failure", same_failure(c, s, i));
    jo_ki(o, "first_event", it->first_event);
    jo_ki(o, "last_event", it->last_event);
    jo_key(o, "log_line");
    if (log && worklog_iteration(log, it->number, &first, &last))
        jo_int(o, first);
    else
        jo_null(o);
    jo_end_obj(o);
}

static enum rc task_iterations(struct route_call *c)
{
    struct story s = {0};
    struct task_tallies used;
    enum rc rc = story_read(c, &s);
    if (rc == RC_OK)
        rc = costs_read(c, &s, &used);
    if (rc != RC_OK)
        return rc;
    struct worklog log;
    bool has_log = worklog_open(c->ctx, &c->server->board, c->param, s.task.last_event > LOG_EVENTS ? 0 : LOG_MS, &log,
                                NULL) == RC_OK;
    jo_obj(&c->out);
    jo_key(&c->out, "iterations");
    jo_arr(&c->out);
    for (size_t i = 0; i < s.n; i++)
        iteration_json(c, &s, i, has_log ? &log : NULL);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    if (has_log)
        worklog_close(&log);
    return RC_OK;
}

/* ---- checks ---- */

static void raw_member(struct json_out *o, const char *name, struct json v, const char *otherwise)
{
    jo_kraw(o, name, json_is(v) ? json_raw(v) : str_of(otherwise));
}

static void run_json_of(struct route_call *c, struct json run, bool tails)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "kind", json_z(c->ctx, json_get(run, "kind"), ""));
    jo_kz(o, "check", json_z(c->ctx, json_get(run, "check"), ""));
    jo_kz(o, "status", run_status(run));
    jo_ki(o, "exit_code", json_int(json_get(run, "exit_code"), -1));
    jo_ki(o, "signal", json_int(json_get(run, "signal"), 0));
    jo_kb(o, "timed_out", json_bool(json_get(run, "timed_out"), false));
    jo_ki(o, "ms", json_int(json_get(run, "elapsed_ns"), 0) / 1000000);
    raw_member(o, "counts", json_get(run, "counts"), "null");
    if (tails)
        raw_member(o, "tail", json_get(run, "tail"), "\"\"");
    jo_end_obj(o);
}

static void sealed_json(struct route_call *c, struct json verdict)
{
    jo_key(&c->out, "sealed");
    for (struct json_iter it = json_iter(json_get(verdict, "runs")); json_next(&it);) {
        if (!run_is(it.value, "sealed"))
            continue;
        run_json_of(c, it.value, false);
        return;
    }
    jo_null(&c->out); /* nothing protected differs: what was delivered is the sealed tree */
}

static void verdict_json_of(struct route_call *c, const struct iteration *i, bool tails)
{
    static const char *const texts[] = {"outcome",     "reason", "words",        "proof",
                                        "proof_words", "canary", "canary_words", "user_words"};
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_ki(o, "iteration", i->number);
    time_member(c, "time", i->verdict_ns);
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        jo_kz(o, texts[k], json_z(c->ctx, json_get(i->verdict, texts[k]), ""));
    raw_member(o, "protected_changed", json_get(i->verdict, "protected_changed"), "[]");
    raw_member(o, "allowed_changed", json_get(i->verdict, "allowed_changed"), "[]");
    if (tails)
        raw_member(o, "protected_diff", json_get(i->verdict, "protected_diff"), "\"\"");
    sealed_json(c, i->verdict);
    jo_key(o, "runs");
    jo_arr(o);
    for (struct json_iter it = json_iter(json_get(i->verdict, "runs")); json_next(&it);)
        run_json_of(c, it.value, tails);
    jo_end_arr(o);
    jo_end_obj(o);
}

static void history_json(struct route_call *c, const struct story *s, const char *check)
{
    jo_key(&c->out, "history");
    jo_arr(&c->out);
    for (size_t i = 0; i < s->n; i++) {
        for (struct json_iter it = json_iter(json_get(s->list[i].verdict, "runs")); json_next(&it);) {
            struct tests t = run_tests(it.value);
            if (!run_is(it.value, "delivered") || !json_eqz(json_get(it.value, "check"), check))
                continue;
            jo_obj(&c->out);
            jo_ki(&c->out, "iteration", s->list[i].number);
            jo_kz(&c->out, "status", run_status(it.value));
            jo_ki(&c->out, "ms", json_int(json_get(it.value, "elapsed_ns"), 0) / 1000000);
            jo_ki(&c->out, "passed", t.passed);
            jo_ki(&c->out, "failed", t.failed);
            jo_ki(&c->out, "skipped", t.skipped);
            jo_end_obj(&c->out);
        }
    }
    jo_end_arr(&c->out);
}

static void checks_json(struct route_call *c, const struct story *s)
{
    struct json spec = {0};
    if (json_parse(c->ctx, str_of(s->task.spec), &spec, NULL) != RC_OK)
        spec = (struct json){0};
    jo_key(&c->out, "checks");
    jo_arr(&c->out);
    for (struct json_iter it = json_iter(json_get(spec, "checks")); json_next(&it);) {
        const char *name = json_z(c->ctx, json_get(it.value, "name"), "");
        jo_obj(&c->out);
        jo_kz(&c->out, "name", name);
        jo_kz(&c->out, "command", json_z(c->ctx, json_get(it.value, "command"), ""));
        jo_kz(&c->out, "origin", json_z(c->ctx, json_get(it.value, "origin"), ""));
        jo_kb(&c->out, "required", json_bool(json_get(it.value, "required"), true));
        history_json(c, s, name);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
}

static enum rc task_checks(struct route_call *c)
{
    struct story s = {0};
    int64_t only;
    enum rc rc = query_iteration(c, "iteration", &only);
    if (rc == RC_OK)
        rc = story_read(c, &s);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    checks_json(c, &s);
    jo_key(&c->out, "verdicts");
    jo_arr(&c->out);
    for (size_t i = 0; i < s.n; i++)
        if (json_is(s.list[i].verdict) && (!only || s.list[i].number == only))
            verdict_json_of(c, &s.list[i], only != 0);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- cost ---- */

static void sums_json(struct route_call *c, const struct iteration *i)
{
    jo_ki(&c->out, "requests", i->requests);
    jo_ki(&c->out, "input", i->input);
    jo_ki(&c->out, "cache_read", i->cache_read);
    jo_ki(&c->out, "cache_write", i->cache_write);
    jo_ki(&c->out, "output", i->output);
    jo_kz(&c->out, "cost", money_exact(c->ctx, i->cost, 2));
}

static void price_member(struct route_call *c, int64_t id)
{
    struct price p;
    jo_key(&c->out, "price");
    if (id <= 0 || price_get(c->ctx, c->server->store, id, &p, NULL) != RC_OK)
        jo_null(&c->out);
    else
        price_json(c, &p);
}

/* The rows of one model as it was served, at one price, are one line. */
static void models_json(struct route_call *c, const struct task *t, const struct ledger_row *rows, size_t n)
{
    bool *done = mem_array(c->ctx, bool, n + 1);
    jo_key(&c->out, "by_model");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        struct iteration sum = {0};
        if (done[i])
            continue;
        for (size_t k = i; k < n; k++) {
            const struct ledger_row *r = &rows[k];
            if (r->price_id != rows[i].price_id || strcmp(r->spender.model, rows[i].spender.model) != 0 ||
                strcmp(r->model_served, rows[i].model_served) != 0)
                continue;
            done[k] = true;
            sum.requests++;
            sum.cost =
                money_add(sum.cost, money_add(r->cost, task_amount_moved(c, t, r->cost, r->currency, r->opened_ns)));
            sum.input += r->usage.input;
            sum.cache_read += r->usage.cache_read;
            sum.cache_write += r->usage.cache_write + r->usage.cache_write_1h;
            sum.output += r->usage.output;
        }
        jo_obj(&c->out);
        jo_kz(&c->out, "model", rows[i].spender.model);
        jo_kz(&c->out, "model_served", rows[i].model_served);
        sums_json(c, &sum);
        price_member(c, rows[i].price_id);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
}

#define LINE_POINTS 500

/* The running sum, thinned to what a chart can show. */
static void line_json(struct route_call *c, const struct task *t, const struct ledger_row *rows, size_t n)
{
    size_t every = n / LINE_POINTS + 1;
    pico sum = 0;
    jo_key(&c->out, "line");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        const struct ledger_row *r = &rows[i];
        sum = money_add(sum, money_add(r->cost, task_amount_moved(c, t, r->cost, r->currency, r->opened_ns)));
        if (i % every != 0 && i + 1 < n)
            continue;
        jo_obj(&c->out);
        jo_kz(&c->out, "time", clock_rfc3339(c->ctx, r->time_ns));
        jo_kz(&c->out, "total", money_exact(c->ctx, sum, 2));
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
}

static enum rc task_cost(struct route_call *c)
{
    struct story s = {0};
    struct task_tallies used;
    struct ledger_row *rows;
    size_t n;
    enum rc rc = task_find(c->ctx, c->server->store, c->param, &s.task, &c->err);
    if (rc == RC_OK)
        rc = costs_read(c, &s, &used);
    if (rc == RC_OK)
        rc = ledger_list(c->ctx, c->server->store, s.task.id, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    const struct spent spent = used.spent;
    jo_obj(&c->out);
    jo_kz(&c->out, "currency", s.task.currency);
    jo_kz(&c->out, "total", money_exact(c->ctx, money_add(spent.settled, spent.held), 2));
    jo_kz(&c->out, "settled", money_exact(c->ctx, spent.settled, 2));
    jo_kz(&c->out, "held", money_exact(c->ctx, spent.held, 2));
    jo_kz(&c->out, "limit", s.task.limit_money >= 0 ? money_exact(c->ctx, s.task.limit_money, 2) : NULL);
    jo_ki(&c->out, "unpriced", spent.unpriced);
    jo_key(&c->out, "by_iteration");
    jo_arr(&c->out);
    for (size_t i = 0; i < s.n; i++) {
        jo_obj(&c->out);
        jo_ki(&c->out, "iteration", s.list[i].number);
        sums_json(c, &s.list[i]);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
    models_json(c, &s.task, rows, n);
    line_json(c, &s.task, rows, n);
    jo_end_obj(&c->out);
    return RC_OK;
}

const struct route route_task_iterations = {"GET",
                                            "/api/v1/tasks/:id/iterations",
                                            "how each of its iterations went",
                                            task_iterations,
                                            .access = ACCESS_READ,
                                            .narrow = NARROW_TASK,
                                            .gives = "TaskIterations"};
const struct route route_task_checks = {"GET",
                                        "/api/v1/tasks/:id/checks",
                                        "its checks over the iterations, and the verdicts with their proof",
                                        task_checks,
                                        .access = ACCESS_READ,
                                        .narrow = NARROW_TASK,
                                        .query = "iteration",
                                        .gives = "TaskChecks"};
const struct route route_task_cost = {"GET",
                                      "/api/v1/tasks/:id/cost",
                                      "what it cost, by iteration and model",
                                      task_cost,
                                      .access = ACCESS_READ,
                                      .narrow = NARROW_TASK,
                                      .gives = "TaskCost"};
