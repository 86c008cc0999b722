/* Tasks: create, list, show, order, hint, resume, undo, events, ledger. */
#include "api/route_rows.h"
#include "base/clock.h"
#include <stdlib.h>

static enum rc answer_task(struct route_call *c, const struct task *t)
{
    board_task_json(c->ctx, &c->server->board, t, c->runner_pid, &c->out);
    return RC_OK;
}

/* A spec that says nothing of settings has those of the server, not the program's defaults. */
static enum rc settings_add(struct route_call *c, struct json *spec)
{
    struct str raw = json_raw(*spec);
    struct buf b;
    struct json_out o;
    if (json_type(*spec) != JSON_OBJECT || !json_len(*spec) || json_is(json_get(*spec, "settings")))
        return RC_OK;
    buf_init(&b, c->ctx, REQUEST_BODY_MOST + 65536);
    buf_str(&b, str_sub(raw, 0, raw.n - 1));
    buf_z(&b, ",\"settings\":");
    json_out_init(&o, &b);
    settings_json(settings_live_take(c->ctx, c->server->live), &o);
    buf_char(&b, '}');
    return json_parse(c->ctx, buf_view(&b), spec, &c->err);
}

static enum rc task_create(struct route_call *c)
{
    struct task t;
    struct json spec = c->json;
    /* A whole spec names programs that run outside of the sandbox: the owner's alone. */
    enum rc rc = wish_is(c) ? wish_prepare(c, &spec) : principal_may(&c->principal, ACCESS_OWNER, &c->err);
    if (rc == RC_OK)
        rc = settings_add(c, &spec);
    if (rc == RC_OK)
        rc = board_create(c->ctx, &c->server->board, spec, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    c->schedule = true;
    return answer_task(c, &t);
}

static void spent_json(struct route_call *c, const struct task *t, const struct spent *s)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "settled", money_exact(c->ctx, s->settled, 2));
    jo_kz(o, "held", money_exact(c->ctx, s->held, 2));
    jo_kz(o, "total", money_exact(c->ctx, money_add(s->settled, s->held), 2));
    jo_kz(o, "currency", t->currency);
    jo_ki(o, "requests", s->requests);
    jo_ki(o, "kept", s->kept);
    jo_ki(o, "unpriced", s->unpriced);
    jo_ki(o, "input", s->usage.input);
    jo_ki(o, "cache_read", s->usage.cache_read);
    jo_ki(o, "cache_write", s->usage.cache_write + s->usage.cache_write_1h);
    jo_ki(o, "output", s->usage.output);
    jo_ki(o, "reasoning", s->usage.reasoning);
    jo_end_obj(o);
}

void approval_json(struct route_call *c, const struct approval *a)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "id", a->id);
    jo_kz(o, "task", a->task_id);
    jo_kz(o, "gate", a->gate);
    jo_kz(o, "outcome", a->outcome);
    jo_kz(o, "subject", a->subject);
    jo_kz(o, "answer", a->answer);
    jo_kz(o, "answered_by", a->answered_by);
    jo_kz(o, "asked_at", clock_rfc3339(c->ctx, a->asked_ns));
    jo_kz(o, "answered_at", a->answered_ns ? clock_rfc3339(c->ctx, a->answered_ns) : NULL);
    jo_kz(o, "expires_at", a->expires_ns ? clock_rfc3339(c->ctx, a->expires_ns) : NULL);
    jo_end_obj(o);
}

/* What an amount in another currency is more (or less) in the task's; 0 when it is the same, or when there is no rate.
 */
pico task_amount_moved(struct route_call *c, const struct task *t, pico v, const char *currency, int64_t at_ns)
{
    struct frozen_rate rate;
    if (!v || strcmp(currency, t->currency) == 0 ||
        budgets_rate(c->server->budgets, currency, t->currency, at_ns, &rate, NULL) != RC_OK)
        return 0;
    return money_convert(v, rate.ratio) - v;
}

/* Sums are taken as the amounts stand; those in other currencies are put right here. */
static enum rc spent_convert(struct route_call *c, const struct task *t, const struct ledger_row *rows, size_t n,
                             struct spent *spent)
{
    struct hold *kept = NULL;
    size_t kept_n = 0;
    int64_t after = 0;
    for (size_t i = 0; i < n; i++)
        spent->settled =
            money_add(spent->settled, task_amount_moved(c, t, rows[i].cost, rows[i].currency, rows[i].opened_ns));
    enum rc rc = RC_OK;
    while (rc == RC_OK && spent->kept > 0) {
        rc = hold_list_kept(c->ctx, c->server->store, after, 1000, &kept, &kept_n, &c->err);
        for (size_t i = 0; rc == RC_OK && i < kept_n; i++, after = kept[i - 1].id)
            if (kept[i].spender.task && strcmp(kept[i].spender.task, t->id) == 0)
                spent->held = money_add(spent->held,
                                        task_amount_moved(c, t, kept[i].amount, kept[i].currency, kept[i].opened_ns));
        if (kept_n < 1000)
            break;
    }
    return rc;
}

enum rc task_tallies_read(struct route_call *c, const struct task *t, struct task_tallies *ret)
{
    *ret = (struct task_tallies){0};
    enum rc rc = books_sync(c->server->books, &c->err);
    if (rc == RC_OK)
        rc = ledger_tallies(c->ctx, c->server->store, t->id, &ret->list, &ret->n, &c->err);
    bool foreign = false;
    for (size_t i = 0; rc == RC_OK && i < ret->n; i++)
        foreign |= strcmp(ret->list[i].currency, t->currency) != 0;
    if (rc == RC_OK && foreign)
        rc = ledger_foreign(c->ctx, c->server->store, t->id, t->currency, &ret->foreign, &ret->foreign_n, &c->err);
    if (rc == RC_OK)
        rc = ledger_spent(c->server->store, t->id, &ret->spent, &c->err);
    return rc == RC_OK ? spent_convert(c, t, ret->foreign, ret->foreign_n, &ret->spent) : rc;
}

static enum rc task_show(struct route_call *c)
{
    struct task t;
    struct approval *approvals;
    struct task_tallies used;
    size_t n;
    enum rc rc = task_find(c->ctx, c->server->store, c->param, &t, &c->err);
    if (rc == RC_OK)
        rc = approval_of_task(c->ctx, c->server->store, c->param, &approvals, &n, &c->err);
    if (rc == RC_OK)
        rc = task_tallies_read(c, &t, &used);
    if (rc != RC_OK)
        return rc;
    board_task_json(c->ctx, &c->server->board, &t, c->runner_pid, &c->out);
    c->out_buf.n--; /* the object is opened again for the members that only this answer has */
    c->out_buf.p[c->out_buf.n] = 0;
    c->out.depth = 1;
    c->out.comma = ~UINT64_C(0);
    jo_key(&c->out, "spent");
    spent_json(c, &t, &used.spent);
    jo_key(&c->out, "approvals");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        approval_json(c, &approvals[i]);
    jo_end_arr(&c->out);
    jo_kraw(&c->out, "spec", str_of(t.spec));
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc task_ledger(struct route_call *c)
{
    struct task t;
    struct task_tallies used;
    struct ledger_row *rows;
    size_t n;
    enum rc rc = task_find(c->ctx, c->server->store, c->param, &t, &c->err);
    if (rc == RC_OK)
        rc = task_tallies_read(c, &t, &used);
    if (rc == RC_OK)
        rc = ledger_list(c->ctx, c->server->store, t.id, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_key(o, "rows");
    jo_arr(o);
    for (size_t i = 0; i < n; i++) {
        const struct usage *u = &rows[i].usage;
        jo_obj(o);
        jo_kz(o, "time", clock_rfc3339(c->ctx, rows[i].time_ns));
        jo_ki(o, "iteration", rows[i].iteration);
        jo_kz(o, "model", rows[i].spender.model);
        jo_kz(o, "model_served", rows[i].model_served);
        jo_ki(o, "input", u->input);
        jo_ki(o, "cache_read", u->cache_read);
        jo_ki(o, "cache_write", u->cache_write);
        jo_ki(o, "cache_write_1h", u->cache_write_1h);
        jo_ki(o, "output", u->output);
        jo_ki(o, "reasoning", u->reasoning);
        jo_kz(o, "cost", rows[i].price_id ? money_exact(c->ctx, rows[i].cost, 2) : NULL);
        jo_kz(o, "currency", rows[i].currency);
        jo_ki(o, "price_id", rows[i].price_id);
        jo_kb(o, "priced", rows[i].price_id != 0);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_key(o, "spent");
    spent_json(c, &t, &used.spent);
    jo_end_obj(o);
    return RC_OK;
}

static enum rc ordered(struct route_call *c, enum rc rc, const struct task *t)
{
    if (rc != RC_OK)
        return rc;
    c->tell_task = c->param;
    c->schedule = true;
    return answer_task(c, t);
}

static enum rc task_stop(struct route_call *c)
{
    struct task t;
    return ordered(c, board_stop(c->ctx, &c->server->board, c->param, &t, &c->tell, &c->err), &t);
}

static enum rc task_pause(struct route_call *c)
{
    struct task t;
    return ordered(c, board_pause(c->ctx, &c->server->board, c->param, &t, &c->tell, &c->err), &t);
}

static enum rc task_resume(struct route_call *c)
{
    struct task t;
    if (json_is(json_get(c->json, "settings")) && principal_may(&c->principal, ACCESS_OWNER, &c->err) != RC_OK)
        return RC_DENIED; /* they reach further than a task */
    return ordered(c, board_resume(c->ctx, &c->server->board, c->param, c->json, &t, &c->err), &t);
}

static enum rc task_hint(struct route_call *c)
{
    struct task t;
    struct str text = json_str(c->ctx, json_get(c->json, "text"));
    return ordered(c, board_hint(c->ctx, &c->server->board, c->param, text, &t, &c->tell, &c->err), &t);
}

static enum rc task_undo(struct route_call *c)
{
    struct task t;
    enum rc rc = board_undo(c->ctx, &c->server->board, c->param, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    c->start = true;
    return answer_task(c, &t);
}

/* The task must be there before a stream is begun, so that a wrong name is an error and not an empty stream. */
static enum rc task_events(struct route_call *c)
{
    struct task t;
    return task_find(c->ctx, c->server->store, c->param, &t, &c->err);
}

static void events_work(void *arg)
{
    struct route_call *c = arg;
    c->err.rc = task_events(c);
}

static void events_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static void events_found(void *arg)
{
    struct route_call *c = arg;
    if (c->err.rc != RC_OK || !c->request) {
        route_answer(c, c->err.rc);
        return;
    }
    const char *follow = http_query(c->request, "follow");
    tail_begin(c->server, c->request, c->param, c->query_after, c->query_limit, follow && strcmp(follow, "1") == 0);
    route_call_free(c);
}

static void events_on_loop(struct route_call *c)
{
    c->request->user = c;
    http_on_gone(c->request, events_gone);
    loop_offload(&c->server->loop, events_work, events_found, c);
}

static enum rc approvals_list(struct route_call *c)
{
    struct approval *rows;
    size_t n;
    const char *const *projects = route_projects(c);
    enum rc rc = approval_waiting(c->ctx, c->server->store, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "approvals");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        struct task t;
        if (projects && (task_find(c->ctx, c->server->store, rows[i].task_id, &t, NULL) != RC_OK ||
                         !principal_sees(&c->principal, t.repo, ACCESS_READ)))
            continue;
        approval_json(c, &rows[i]);
    }
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc approval_post(struct route_call *c)
{
    struct approval a;
    const char *outcome = json_z(c->ctx, json_get(c->json, "outcome"), "");
    if (strcmp(outcome, "approved") != 0 && strcmp(outcome, "refused") != 0)
        return err_set(&c->err, RC_INVALID, "outcome is \"approved\" or \"refused\"");
    enum rc rc = board_answer(c->ctx, &c->server->board, c->param, outcome,
                              json_z(c->ctx, json_get(c->json, "answer"), NULL), route_by(c), &a, &c->tell, &c->err);
    if (rc != RC_OK)
        return rc;
    c->tell_task = a.task_id;
    c->schedule = true;
    approval_json(c, &a);
    return RC_OK;
}

const struct route route_task_create = {
    "POST",          "/api/v1/tasks", "start a task",       task_create,           NULL,
    .takes = "Wish", .gives = "Task", .access = ACCESS_USE, .narrow = NARROW_REPO, .creates = true};
const struct route route_task_show = {"GET",
                                      "/api/v1/tasks/:id",
                                      "one task with what it cost and its approvals",
                                      task_show,
                                      NULL,
                                      .gives = "Task",
                                      .access = ACCESS_READ,
                                      .narrow = NARROW_TASK};
const struct route route_task_events = {"GET",
                                        "/api/v1/tasks/:id/events",
                                        "its events as JSON lines",
                                        NULL,
                                        events_on_loop,
                                        .query = "after limit follow",
                                        .gives = "application/jsonl TaskEvent",
                                        .access = ACCESS_READ,
                                        .narrow = NARROW_TASK};
const struct route route_task_ledger = {"GET",
                                        "/api/v1/tasks/:id/ledger",
                                        "its model requests, each with its cost",
                                        task_ledger,
                                        NULL,
                                        .gives = "TaskLedger",
                                        .access = ACCESS_READ,
                                        .narrow = NARROW_TASK};
const struct route route_task_stop = {"POST",
                                      "/api/v1/tasks/:id/stop",
                                      "stop it",
                                      task_stop,
                                      NULL,
                                      .gives = "Task",
                                      .access = ACCESS_USE,
                                      .narrow = NARROW_TASK};
const struct route route_task_pause = {"POST", "/api/v1/tasks/:id/pause", "pause it",           task_pause,
                                       NULL,   .gives = "Task",           .access = ACCESS_USE, .narrow = NARROW_TASK};
const struct route route_task_resume = {
    "POST",          "/api/v1/tasks/:id/resume", "go on, with other limits", task_resume, NULL, .takes = "Resume",
    .gives = "Task", .access = ACCESS_USE,       .narrow = NARROW_TASK};
const struct route route_task_hint = {
    "POST",          "/api/v1/tasks/:id/hint", "say something to the agent", task_hint, NULL, .takes = "Hint",
    .gives = "Task", .access = ACCESS_USE,     .narrow = NARROW_TASK};
const struct route route_task_undo = {
    "POST", "/api/v1/tasks/:id/undo", "take its delivery back", task_undo,
    NULL,   .gives = "Task",          .access = ACCESS_USE,     .narrow = NARROW_TASK};
const struct route route_approvals_list = {
    "GET", "/api/v1/approvals",  "what waits for an approval", approvals_list,
    NULL,  .gives = "Approvals", .access = ACCESS_READ,        .narrow = NARROW_LIST};
const struct route route_approval_post = {"POST",
                                          "/api/v1/approvals/:id",
                                          "approve or refuse",
                                          approval_post,
                                          NULL,
                                          .takes = "Answer",
                                          .gives = "Approval",
                                          .access = ACCESS_USE,
                                          .narrow = NARROW_APPROVAL};
/* The short forms. */
const struct route route_short_task_create = {
    "POST", "/tasks", "start a task (short form)", task_create, .takes = "TaskSpec", .gives = "Task", .creates = true};
const struct route route_short_task = {"GET",           "/tasks/:id",          "one task (short form)", task_show,
                                       .gives = "Task", .access = ACCESS_READ, .narrow = NARROW_TASK};
const struct route route_short_stop = {"POST",          "/tasks/:id/stop",    "stop a task (short form)", task_stop,
                                       .gives = "Task", .access = ACCESS_USE, .narrow = NARROW_TASK};
