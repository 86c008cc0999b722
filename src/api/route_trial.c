/* Trials: several attempts of one task. */
#include "api/route_rows.h"
#include "flow/trial.h"

enum { LIST_STANDARD = 50, LIST_MOST = 200 };

static enum rc trial_write(struct route_call *c, const struct trial *t)
{
    struct task *attempts;
    size_t n;
    enum rc rc = task_attempts(c->ctx, c->server->store, t->id, &attempts, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    trial_json(c->ctx, t, attempts, n, &c->out);
    jo_key(&c->out, "attempts");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        board_task_json(c->ctx, &c->server->board, &attempts[i], 0, &c->out);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* The trial that the path names, of a project in which the asker may do this. One of others is told from none by
 * nothing. */
static enum rc trial_seen(struct route_call *c, struct trial *ret)
{
    enum rc rc = trial_find(c->ctx, c->server->store, c->param, ret, &c->err);
    if (rc == RC_OK)
        rc = route_project(c, ret->repo);
    else
        c->narrowed = true; /* nothing is shown */
    if (rc != RC_NOT_FOUND)
        return rc;
    err_set(&c->err, RC_NOT_FOUND, "there is no trial %.16s", c->param);
    return err_hint(&c->err, "nightmill ls lists the tasks and the trials that they belong to");
}

static enum rc trial_answer(struct route_call *c)
{
    struct trial t;
    enum rc rc = trial_find(c->ctx, c->server->store, c->param, &t, &c->err);
    return rc == RC_OK ? trial_write(c, &t) : rc;
}

static bool trial_visible(const char *const *projects, const struct trial *t)
{
    if (!projects)
        return true;
    for (; *projects; projects++)
        if (strcmp(*projects, t->repo) == 0)
            return true;
    return false;
}

static enum rc trial_post(struct route_call *c)
{
    struct trial t;
    enum rc rc = trial_create(c->ctx, &c->server->board, c->json, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    c->schedule = true;
    return trial_write(c, &t);
}

static enum rc trials_list(struct route_call *c)
{
    struct trial *trials;
    size_t n;
    int64_t limit = c->query_limit > 0 ? c->query_limit : LIST_STANDARD;
    const char *const *projects = route_projects(c);
    limit = limit > LIST_MOST ? LIST_MOST : limit;
    enum rc rc = trial_list(c->ctx, c->server->store, c->query_before, limit, &trials, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "trials");
    jo_arr(&c->out);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (trial_visible(projects, &trials[i]))
            rc = trial_write(c, &trials[i]);
    jo_end_arr(&c->out);
    if ((int64_t)n == limit)
        jo_ki(&c->out, "next", trials[n - 1].number);
    else
        jo_kraw(&c->out, "next", STR("null"));
    jo_end_obj(&c->out);
    return rc;
}

static enum rc trial_show(struct route_call *c)
{
    struct trial t;
    enum rc rc = trial_seen(c, &t);
    return rc == RC_OK ? trial_write(c, &t) : rc;
}

static enum rc trial_ordered(struct route_call *c, const char *verb)
{
    struct trial t;
    enum rc rc = trial_seen(c, &t);
    if (rc == RC_OK)
        rc = trial_order(c->ctx, &c->server->board, c->param, verb, &c->told, &c->told_count, &c->err);
    if (rc != RC_OK)
        return rc;
    c->schedule = true;
    return trial_answer(c);
}

static enum rc trial_stop(struct route_call *c)
{
    return trial_ordered(c, "stop");
}

static enum rc trial_pause(struct route_call *c)
{
    return trial_ordered(c, "pause");
}

static enum rc trial_go_on(struct route_call *c)
{
    struct trial t;
    enum rc rc = trial_seen(c, &t);
    if (rc == RC_OK)
        rc = trial_resume(c->ctx, &c->server->board, c->param, c->json, &c->err);
    if (rc != RC_OK)
        return rc;
    c->schedule = true;
    return trial_answer(c);
}

const struct route route_trial_create = {
    "POST",           "/api/v1/trials", "start several attempts of one task", trial_post, NULL, .takes = "TrialSpec",
    .gives = "Trial", .creates = true};
const struct route route_trials_list = {"GET",
                                        "/api/v1/trials",
                                        "list trials, newest first",
                                        trials_list,
                                        NULL,
                                        .query = "before limit",
                                        .gives = "Trials",
                                        .access = ACCESS_READ,
                                        .narrow = NARROW_LIST};
const struct route route_trial_show = {
    "GET", "/api/v1/trials/:id", "one trial with its attempts", trial_show,
    NULL,  .gives = "Trial",     .access = ACCESS_READ,         .narrow = NARROW_LIST};
const struct route route_trial_stop = {
    "POST", "/api/v1/trials/:id/stop", "stop all its attempts", trial_stop,
    NULL,   .gives = "Trial",          .access = ACCESS_USE,    .narrow = NARROW_LIST};
const struct route route_trial_pause = {
    "POST", "/api/v1/trials/:id/pause", "pause its attempts", trial_pause,
    NULL,   .gives = "Trial",           .access = ACCESS_USE, .narrow = NARROW_LIST};
const struct route route_trial_resume = {"POST",
                                         "/api/v1/trials/:id/resume",
                                         "its attempts go on, with other limits",
                                         trial_go_on,
                                         NULL,
                                         .takes = "Resume",
                                         .gives = "Trial",
                                         .access = ACCESS_USE,
                                         .narrow = NARROW_LIST};
