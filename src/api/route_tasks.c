/* All tasks together: the list with its filters, counts, pausing everything, figures of the day; and a question of a
 * task answered without knowing its id. */
#include "api/feed.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include "gateway/zone.h"

#define LIST_USUAL  50
#define LIST_MOST   1000
#define PAUSED_MOST 1000

/* ---- the list ---- */

static int task_newer(const void *a, const void *b)
{
    const struct task *x = a, *y = b;
    return (x->number < y->number) - (x->number > y->number);
}

/* Those of the projects that the asker may see: a list of each, merged by number. */
static enum rc tasks_seen(struct route_call *c, const struct task_filter *f, struct task **ret, size_t *ret_n)
{
    const char *const *projects = route_projects(c);
    enum rc rc = RC_OK;
    *ret = NULL;
    *ret_n = 0;
    if (!projects)
        return task_list(c->ctx, c->server->store, f, ret, ret_n, &c->err);
    for (; *projects && rc == RC_OK; projects++) {
        struct task_filter one = *f;
        struct task *tasks;
        size_t n = 0;
        if (f->repo && strcmp(f->repo, *projects) != 0)
            continue;
        one.repo = *projects;
        rc = task_list(c->ctx, c->server->store, &one, &tasks, &n, &c->err);
        if (rc != RC_OK || !n)
            continue;
        *ret = mem_grow(c->ctx, *ret, (*ret_n + n) * sizeof **ret);
        memcpy(*ret + *ret_n, tasks, n * sizeof *tasks);
        *ret_n += n;
        qsort(*ret, *ret_n, sizeof **ret, task_newer);
        if ((int64_t)*ret_n > f->limit)
            *ret_n = (size_t)f->limit;
    }
    return rc;
}

static struct task_filter filter_of(struct route_call *c)
{
    const char *agent = route_query(c, "agent"), *text = route_query(c, "text");
    return (struct task_filter){.state = c->query_state && *c->query_state ? c->query_state : NULL,
                                .repo = c->query_repo && *c->query_repo ? c->query_repo : NULL,
                                .agent = agent && *agent ? agent : NULL,
                                .text = text && *text ? text : NULL,
                                .before = c->query_before,
                                .brief = true};
}

/* A row of the list: the task, and what it cost so far as the rows of the ledger stand. */
static enum rc row_json(struct route_call *c, const struct task *t)
{
    struct spent spent;
    enum rc rc = ledger_spent(c->server->store, t->id, &spent, &c->err);
    if (rc != RC_OK)
        return rc;
    board_task_json(c->ctx, &c->server->board, t, 0, &c->out);
    c->out_buf.n--; /* the object is opened again for the member that only lists have */
    c->out_buf.p[c->out_buf.n] = 0;
    c->out.depth++;
    c->out.comma |= UINT64_C(1) << c->out.depth;
    jo_key(&c->out, "cost");
    jo_obj(&c->out);
    jo_kz(&c->out, "total", money_exact(c->ctx, money_add(spent.settled, spent.held), 2));
    jo_kz(&c->out, "currency", t->currency);
    jo_end_obj(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc tasks_list(struct route_call *c)
{
    struct task *tasks;
    size_t n;
    struct task_filter f = filter_of(c);
    f.limit = c->query_limit ? c->query_limit : LIST_USUAL;
    if (f.limit > LIST_MOST)
        f.limit = LIST_MOST;
    enum rc rc = tasks_seen(c, &f, &tasks, &n);
    if (rc == RC_INVALID)
        return err_hint(
            &c->err,
            "queued, working, checking, needs_you, paused, done, unproven, stopped, failed (several: with commas) or "
            "active");
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "tasks");
    jo_arr(&c->out);
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = row_json(c, &tasks[i]);
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if ((int64_t)n == f.limit && n)
        jo_int(&c->out, tasks[n - 1].number);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return rc;
}

/* ---- counts ---- */

static enum rc counts_seen(struct route_call *c, int64_t ret[TASK_STATES])
{
    const char *const *projects = route_projects(c);
    struct task_filter f = filter_of(c);
    int64_t one[TASK_STATES];
    enum rc rc = RC_OK;
    if (!projects)
        return task_counts(c->ctx, c->server->store, &f, ret, &c->err);
    memset(ret, 0, TASK_STATES * sizeof *ret);
    for (; *projects && rc == RC_OK; projects++) {
        struct task_filter g = f;
        if (f.repo && strcmp(f.repo, *projects) != 0)
            continue;
        g.repo = *projects;
        rc = task_counts(c->ctx, c->server->store, &g, one, &c->err);
        for (size_t i = 0; rc == RC_OK && i < TASK_STATES; i++)
            ret[i] += one[i];
    }
    return rc;
}

static void counts_json(struct route_call *c, const int64_t counts[TASK_STATES])
{
    int64_t all = 0, active = 0;
    for (size_t i = 0; i < TASK_STATES; i++) {
        all += counts[i];
        active += task_state_final(task_state_name(i)) ? 0 : counts[i];
    }
    jo_ki(&c->out, "all", all);
    jo_ki(&c->out, "active", active);
    jo_key(&c->out, "states");
    jo_obj(&c->out);
    for (size_t i = 0; i < TASK_STATES; i++)
        jo_ki(&c->out, task_state_name(i), counts[i]);
    jo_end_obj(&c->out);
}

static enum rc tasks_counts(struct route_call *c)
{
    int64_t counts[TASK_STATES];
    enum rc rc = counts_seen(c, counts);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    counts_json(c, counts);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- everything at once ---- */

/* What was said to runners goes out when the answer does. */
static void told_add(struct route_call *c, const char *task_id, char *frame)
{
    if (!frame)
        return;
    c->told = mem_grow(c->ctx, c->told, (c->told_count + 1) * sizeof *c->told);
    c->told[c->told_count++] = (struct board_told){task_id, frame};
}

/* A task that came to an end meanwhile is left out, not an error. */
static enum rc all_do(struct route_call *c, const char *states, const char *reason,
                      enum rc (*act)(struct route_call *c, const char *id))
{
    struct task_filter f = {.state = states, .limit = PAUSED_MOST, .brief = true};
    struct task *tasks;
    size_t n;
    enum rc rc = tasks_seen(c, &f, &tasks, &n);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "tasks");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        if (reason && strcmp(tasks[i].reason, reason) != 0)
            continue;
        rc = act(c, tasks[i].id);
        if (rc == RC_OK)
            jo_z(&c->out, tasks[i].id);
        else if (rc != RC_CONFLICT && rc != RC_NOT_FOUND)
            return rc;
    }
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    c->err = (struct err){0};
    c->schedule = true;
    return RC_OK;
}

static enum rc pause_one(struct route_call *c, const char *id)
{
    struct task t;
    char *frame = NULL;
    enum rc rc = board_pause(c->ctx, &c->server->board, id, &t, &frame, &c->err);
    if (rc == RC_OK)
        told_add(c, id, frame);
    return rc;
}

static enum rc resume_one(struct route_call *c, const char *id)
{
    struct task t;
    struct json nothing;
    enum rc rc = json_parse(c->ctx, STR("{}"), &nothing, &c->err);
    return rc == RC_OK ? board_resume(c->ctx, &c->server->board, id, nothing, &t, &c->err) : rc;
}

static enum rc tasks_pause_all(struct route_call *c)
{
    return all_do(c, "queued,working,checking", NULL, pause_one);
}

static enum rc tasks_resume_all(struct route_call *c)
{
    return all_do(c, "paused", "user", resume_one);
}

/* ---- the question of a task ---- */

static enum rc question_answer(struct route_call *c, const char *outcome)
{
    struct approval *rows, a;
    struct task t;
    size_t n = 0, i = 0;
    enum rc rc = task_find(c->ctx, c->server->store, c->param, &t, &c->err);
    if (rc == RC_OK)
        rc = approval_of_task(c->ctx, c->server->store, c->param, &rows, &n, &c->err);
    while (rc == RC_OK && i < n && strcmp(rows[i].outcome, "waiting") != 0)
        i++;
    if (rc == RC_OK && i == n) {
        err_set(&c->err, RC_CONFLICT, "nothing of task %s waits for an answer", c->param);
        return err_hint(&c->err, "it may have been answered already");
    }
    if (rc == RC_OK)
        rc = board_answer(c->ctx, &c->server->board, rows[i].id, outcome,
                          json_z(c->ctx, json_get(c->json, "answer"), NULL), route_by(c), &a, &c->tell, &c->err);
    if (rc != RC_OK)
        return rc;
    c->tell_task = a.task_id;
    c->schedule = true;
    approval_json(c, &a);
    return RC_OK;
}

static enum rc task_approve(struct route_call *c)
{
    return question_answer(c, "approved");
}

static enum rc task_deny(struct route_call *c)
{
    return question_answer(c, "refused");
}

/* ---- figures ---- */

static enum rc today_json(struct route_call *c)
{
    const char *zone_name = setting_text(c->server->settings, "money.zone");
    struct zone *zone;
    struct ledger_tally *sums;
    size_t n = 0;
    int64_t from_ns, to_ns;
    enum rc rc = zone_open(c->ctx, zone_name, &zone, &c->err);
    if (rc != RC_OK)
        return rc;
    zone_window(zone, WINDOW_DAY, clock_wall_ns(), &from_ns, &to_ns);
    rc = ledger_span(c->ctx, c->server->store, from_ns, to_ns, &sums, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_key(&c->out, "today");
    jo_obj(&c->out);
    jo_kz(&c->out, "since", clock_rfc3339(c->ctx, from_ns));
    jo_kz(&c->out, "zone", zone_name);
    jo_key(&c->out, "costs");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        jo_obj(&c->out);
        jo_kz(&c->out, "cost", money_exact(c->ctx, sums[i].cost, 2));
        jo_kz(&c->out, "currency", sums[i].currency);
        jo_ki(&c->out, "requests", sums[i].requests);
        jo_ki(&c->out, "unpriced", sums[i].unpriced);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc stats(struct route_call *c)
{
    struct task_filter all = {0};
    struct approval *waiting;
    int64_t counts[TASK_STATES], need = 0, oldest, newest;
    size_t n;
    enum rc rc = task_counts(c->ctx, c->server->store, &all, counts, &c->err);
    if (rc == RC_OK)
        rc = approval_waiting(c->ctx, c->server->store, &waiting, &n, &c->err);
    if (rc == RC_OK)
        rc = task_count_waiting(c->server->store, &need, &c->err);
    if (rc == RC_OK)
        rc = event_span(c->server->store, &oldest, &newest, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "tasks");
    jo_obj(&c->out);
    counts_json(c, counts);
    jo_end_obj(&c->out);
    jo_ki(&c->out, "waiting_approvals", (int64_t)n);
    jo_ki(&c->out, "need_you", need);
    jo_ki(&c->out, "last_event", newest);
    jo_kz(&c->out, "started_at", clock_rfc3339(c->ctx, c->server->started_ns));
    rc = today_json(c);
    jo_end_obj(&c->out);
    return rc;
}

const struct route route_tasks_list = {"GET",
                                       "/api/v1/tasks",
                                       "list tasks, newest first",
                                       tasks_list,
                                       .query = "state repo agent text before limit",
                                       .gives = "Tasks",
                                       .access = ACCESS_READ,
                                       .narrow = NARROW_LIST};
const struct route route_tasks_counts = {"GET",
                                         "/api/v1/tasks/counts",
                                         "how many tasks are in each state",
                                         tasks_counts,
                                         .query = "repo agent text",
                                         .gives = "TaskCounts",
                                         .access = ACCESS_READ,
                                         .narrow = NARROW_LIST};
const struct route route_tasks_pause_all = {"POST",
                                            "/api/v1/tasks/pause_all",
                                            "pause everything that works or is about to",
                                            tasks_pause_all,
                                            .gives = "TaskIds",
                                            .access = ACCESS_USE,
                                            .narrow = NARROW_LIST};
const struct route route_tasks_resume_all = {"POST",
                                             "/api/v1/tasks/resume_all",
                                             "go on with all that people paused",
                                             tasks_resume_all,
                                             .gives = "TaskIds",
                                             .access = ACCESS_USE,
                                             .narrow = NARROW_LIST};
const struct route route_task_approve = {"POST",
                                         "/api/v1/tasks/:id/approve",
                                         "approve what it waits for",
                                         task_approve,
                                         .takes = "Reason",
                                         .gives = "Approval",
                                         .access = ACCESS_USE,
                                         .narrow = NARROW_TASK};
const struct route route_task_deny = {"POST",
                                      "/api/v1/tasks/:id/deny",
                                      "refuse what it waits for",
                                      task_deny,
                                      .takes = "Reason",
                                      .gives = "Approval",
                                      .access = ACCESS_USE,
                                      .narrow = NARROW_TASK};
const struct route route_stats = {"GET", "/api/v1/stats",  "figures of the installation",
                                  stats, .gives = "Stats", .access = ACCESS_READ};
/* The short forms. */
const struct route route_short_approve = {"POST",
                                          "/tasks/:id/approve",
                                          "approve what a task waits for (short form)",
                                          task_approve,
                                          .takes = "Reason",
                                          .gives = "Approval",
                                          .access = ACCESS_USE,
                                          .narrow = NARROW_TASK};
const struct route route_short_stats = {"GET", "/stats",         "figures of the installation (short form)",
                                        stats, .gives = "Stats", .access = ACCESS_READ};
