/* Decisions about tasks. Not here: how a runner does its work (run.c), how orders travel (the server). */
#include "agent/backend.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "flow/board_room.h"
#include "os/path.h"
#include "store/configuration.h"
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX    (256u << 10)
#define TITLE_MAX   120
#define TOKEN_CHARS 40
#define DRAW_MOST   64

/* ---- create ---- */

static const char *token_path(mem *ctx, const struct board *b, const char *id)
{
    return mem_printf(ctx, "%s/tasks/%s/token", b->data_dir, id);
}

/* A token names its task, so that the gateway finds it without a search: "<id>.<random>". */
static enum rc folder_make(mem *ctx, const struct board *b, const char *id, struct err *err)
{
    const char *dir = mem_printf(ctx, "%s/tasks/%s", b->data_dir, id);
    enum rc rc = path_mkdirs(dir, 0700, err);
    if (rc != RC_OK)
        return rc;
    char *token = mem_printf(ctx, "%s.%s", id, id_new(ctx, TOKEN_CHARS));
    return path_write_durable(token_path(ctx, b, id), str_of(token), 0600, err);
}

/* What a draw says must be true of the task: who reckons with probabilities relies on it. */
static enum rc draw_check(struct json spec, struct json draw, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json from = json_get(draw, "from"), drawn = json_get(draw, "drawn");
    bool agent = json_eqz(json_get(draw, "of"), "agent");
    const char *name = json_z(tmp, drawn, ""), *of = agent ? "agent.name" : "model.name";
    size_t n = json_type(from) == JSON_ARRAY ? json_len(from) : 0, found = 0;
    for (struct json_iter it = json_iter(from); n && json_next(&it);)
        found += json_eqz(it.value, name);
    if ((!agent && !json_eqz(json_get(draw, "of"), "model")) || n < 2 || n > DRAW_MOST || found != 1 ||
        !json_eqz(json_get(draw, "probability"), mem_printf(tmp, "1/%zu", n)))
        return err_set(err, RC_INVALID,
                       "an assignment says of what it is (agent or model), from which names, which "
                       "one was drawn and with which probability");
    return strcmp(json_z(tmp, json_path(spec, of), AGENT_BUILT_IN), name) == 0
               ? RC_OK
               : err_set(err, RC_INVALID, "the task's %s is not the one that was drawn", agent ? "agent" : "model");
}

static enum rc assignment_check(struct json spec, struct err *err)
{
    struct json list = json_get(spec, "assignment");
    if (!json_is(list))
        return RC_OK;
    if (json_type(list) != JSON_ARRAY || json_len(list) < 1 || json_len(list) > 2)
        return err_set(err, RC_INVALID, "assignment is a list of one or two draws");
    enum rc rc = RC_OK;
    for (struct json_iter it = json_iter(list); rc == RC_OK && json_next(&it);)
        rc = draw_check(spec, it.value, err);
    return rc;
}

/* A task says by which configuration its agent was set up: the version is one that there is. *ret in ctx, "" none. */
static enum rc configuration_check(mem *ctx, const struct board *b, struct json spec, const char **ret, struct err *err)
{
    struct json said = json_get(spec, "configuration");
    const char *name = json_z(ctx, json_get(said, "name"), ""), *project = json_z(ctx, json_get(said, "project"), "");
    int64_t version = json_int(json_get(said, "version"), 0);
    struct agent_configuration found;
    *ret = "";
    if (!json_is(said))
        return RC_OK;
    if (version < 1 || !configuration_name_valid(name))
        return err_set(err, RC_INVALID, "the configuration of an agent has a name and a version");
    *ret = mem_printf(ctx, "%s@%lld", name, (long long)version);
    return configuration_find(ctx, b->store, project, name, version, &found, err);
}

static enum rc kind_check(struct json spec, struct err *err)
{
    struct json kind = json_get(spec, "kind");
    if (!json_is(kind) || json_eqz(kind, "simple") || json_eqz(kind, "medium") || json_eqz(kind, "complex"))
        return RC_OK;
    return err_set(err, RC_INVALID, "the kind of a task is simple, medium or complex");
}

static enum rc spec_check(struct json spec, struct err *err)
{
    static const char *const needed[] = {"text", "repo", "git_dir", "base"};
    if (json_type(spec) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "a task is a JSON object");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (json_type(json_get(spec, needed[i])) != JSON_STRING)
            return err_set(err, RC_INVALID, "the task has no %s", needed[i]);
    }
    if (json_type(json_path(spec, "model.name")) != JSON_STRING ||
        json_type(json_path(spec, "model.url")) != JSON_STRING)
        return err_set(err, RC_INVALID, "the task names no model");
    CLEANUP_MEM mem *tmp = mem_root();
    const char *agent = json_z(tmp, json_path(spec, "agent.name"), NULL);
    if (json_is(json_get(spec, "agent")) && (!agent || !backend_find(agent))) {
        err_set(err, RC_NOT_FOUND, "there is no agent %s", agent ? text_terminal_line(tmp, str_of(agent), 64) : "");
        return err_hint(err, "list those that there are: nightmill agent ls");
    }
    enum rc rc = assignment_check(spec, err);
    if (rc == RC_OK)
        rc = kind_check(spec, err);
    if (rc != RC_OK)
        return rc;
    struct str text = str_trim(json_str(tmp, json_get(spec, "text")));
    if (!text.n)
        return err_set(err, RC_INVALID, "the task has no text");
    if (text.n > TEXT_MAX)
        return err_set(err, RC_LIMIT, "the task's text is larger than %u KiB", TEXT_MAX >> 10);
    return RC_OK;
}

enum rc board_task_put(mem *ctx, struct store_tx *tx, struct json spec, struct task *t, struct err *err)
{
    enum rc rc = task_insert(tx, t, err);
    if (rc != RC_OK)
        return rc;
    struct board_note n;
    board_note_begin(&n, ctx);
    jo_kz(&n.o, "text", t->text);
    static const char *const members[] = {"repo",   "base",  "branch",  "checks",
                                          "limits", "notes", "approve", "assignment"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        struct json v = json_get(spec, members[i]);
        if (json_is(v))
            jo_kraw(&n.o, members[i], json_raw(v));
    }
    jo_kz(&n.o, "model", t->model);
    jo_kz(&n.o, "agent", t->agent);
    if (*t->configuration)
        jo_kz(&n.o, "configuration", t->configuration);
    if (*t->trial) {
        jo_kz(&n.o, "trial", t->trial);
        jo_ki(&n.o, "attempt", t->attempt);
    }
    rc = board_note_append(&n, tx, t->id, "task.created", "user", err);
    return rc == RC_OK ? board_state_set(ctx, tx, t, "queued", "", "waits for its turn", err) : rc;
}

enum rc board_task_make(mem *ctx, const struct board *b, struct json spec, struct task *ret, struct err *err)
{
    enum rc rc = spec_check(spec, err);
    if (rc != RC_OK)
        return rc;
    struct json limits = json_get(spec, "limits");
    const char *text = json_str(ctx, json_get(spec, "text")).p, *money = json_z(ctx, json_get(limits, "money"), NULL);
    struct str rest = str_trim(str_of(text)), line = rest;
    str_line(&rest, &line);
    *ret = (struct task){.id = id_new(ctx, 7),
                         .title = text_terminal_line(ctx, line, TITLE_MAX),
                         .text = text,
                         .repo = json_z(ctx, json_get(spec, "repo"), ""),
                         .state = "queued",
                         .reason = "",
                         .words = "",
                         .spec = str_dup(ctx, json_raw(spec)),
                         .iteration_limit = json_int(json_get(limits, "iterations"), 10),
                         .created_ns = clock_wall_ns(),
                         .limit_time_s = json_int(json_get(limits, "time_s"), 0),
                         .limit_tokens = json_int(json_get(limits, "tokens"), 0),
                         .limit_money = -1,
                         .currency = json_z(ctx, json_get(limits, "currency"), "USD"),
                         .agent = json_z(ctx, json_path(spec, "agent.name"), AGENT_BUILT_IN),
                         .model = json_z(ctx, json_path(spec, "model.name"), ""),
                         .kind = json_z(ctx, json_get(spec, "kind"), ""),
                         .assigned = json_len(json_get(spec, "assignment")) > 0,
                         .replayed = json_is(json_get(spec, "replay")),
                         .trial = ""};
    ret->changed_ns = ret->created_ns;
    if (ret->iteration_limit < 1 || ret->iteration_limit > 10000 || ret->limit_time_s < 0 || ret->limit_tokens < 0)
        return err_set(err, RC_INVALID, "a limit of the task is out of range");
    if (money && money_parse(str_of(money), &ret->limit_money, err) != RC_OK)
        return err_context(err, "budget");
    rc = configuration_check(ctx, b, spec, &ret->configuration, err);
    return rc != RC_OK ? rc : folder_make(ctx, b, ret->id, err);
}

struct creation {
    mem *ctx;
    struct json spec;
    struct task *task;
};

static enum rc create_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct creation *c = arg;
    return board_task_put(c->ctx, tx, c->spec, c->task, err);
}

enum rc board_create(mem *ctx, const struct board *b, struct json spec, struct task *ret, struct err *err)
{
    enum rc rc = board_task_make(ctx, b, spec, ret, err);
    struct creation c = {ctx, spec, ret};
    return rc == RC_OK ? store_write(b->store, create_tx, &c, err) : rc;
}

/* ---- what people order ---- */

struct decision {
    mem *ctx;
    const char *id;
    struct task *task;
    const char *verb;
    struct json wish;
    struct str text;
    char *tell;
};

static enum rc order_event(struct decision *d, struct store_tx *tx, struct err *err)
{
    struct board_note n;
    board_note_begin(&n, d->ctx);
    jo_kz(&n.o, "verb", d->verb);
    d->tell = mem_printf(d->ctx, "{\"control\":{\"verb\":\"%s\"}}", d->verb);
    return board_note_append(&n, tx, d->id, "control", "user", err);
}

static enum rc order_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct decision *d = arg;
    struct task *t = d->task;
    bool stop = strcmp(d->verb, "stop") == 0;
    enum rc rc = task_find_tx(d->ctx, tx, d->id, t, err);
    if (rc != RC_OK)
        return rc;
    if (task_state_final(t->state))
        return err_set(err, RC_CONFLICT, "task %s has ended already: %s", d->id, t->state);
    rc = order_event(d, tx, err);
    if (rc != RC_OK || board_at_work(t))
        return rc; /* the runner journals what comes of it */
    if (!stop && !board_state_is(t, "queued"))
        return err_set(err, RC_CONFLICT, "task %s rests already: %s", d->id, t->state);
    return board_state_set(d->ctx, tx, t, stop ? "stopped" : "paused", "user",
                           stop ? "stopped by you" : "paused by you", err);
}

enum rc board_order_put(mem *ctx, struct store_tx *tx, const char *id, const char *verb, struct task *ret,
                        char **ret_tell, struct err *err)
{
    struct decision d = {.ctx = ctx, .id = id, .task = ret, .verb = verb};
    enum rc rc = order_tx(tx, &d, err);
    *ret_tell = rc == RC_OK ? d.tell : NULL;
    return rc;
}

void board_home_wipe(const struct board *b, const char *id)
{
    CLEANUP_MEM mem *tmp = mem_root();
    (void)!path_remove_tree(mem_printf(tmp, "%s/tasks/%s/home", b->data_dir, id), NULL);
}

static enum rc board_order(mem *ctx, const struct board *b, const char *id, const char *verb, struct task *ret,
                           char **ret_tell, struct err *err)
{
    struct decision d = {.ctx = ctx, .id = id, .task = ret, .verb = verb};
    enum rc rc = store_write(b->store, order_tx, &d, err);
    if (rc == RC_OK && task_state_final(ret->state)) /* no runner is there to do so */
        board_home_wipe(b, id);
    if (ret_tell)
        *ret_tell = rc == RC_OK ? d.tell : NULL;
    return rc;
}

enum rc board_stop(mem *ctx, const struct board *b, const char *id, struct task *ret, char **ret_tell, struct err *err)
{
    return board_order(ctx, b, id, "stop", ret, ret_tell, err);
}

enum rc board_pause(mem *ctx, const struct board *b, const char *id, struct task *ret, char **ret_tell, struct err *err)
{
    return board_order(ctx, b, id, "pause", ret, ret_tell, err);
}

/* The spec with another model or more allowed check changes. */
static char *spec_changed(mem *ctx, const char *old, struct json wish, struct err *err)
{
    struct json spec;
    if (json_parse(ctx, str_of(old), &spec, err) != RC_OK)
        return NULL;
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, BOARD_EVENT_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    for (struct json_iter it = json_iter(spec); json_next(&it);) {
        if (str_eqz(it.key_raw, "model") && json_is(json_get(wish, "model"))) {
            jo_key(&o, "model");
            jo_obj(&o);
            for (struct json_iter m = json_iter(it.value); json_next(&m);)
                jo_kraw(&o, str_dup(ctx, m.key_raw),
                        json_raw(str_eqz(m.key_raw, "name") ? json_get(wish, "model") : m.value));
            jo_end_obj(&o);
        } else if (str_eqz(it.key_raw, "allow_check_changes") && json_is(json_get(wish, "allow_check_changes"))) {
            jo_key(&o, "allow_check_changes");
            jo_arr(&o);
            for (struct json_iter a = json_iter(it.value); json_next(&a);)
                jo_raw(&o, json_raw(a.value));
            for (struct json_iter a = json_iter(json_get(wish, "allow_check_changes")); json_next(&a);)
                jo_raw(&o, json_raw(a.value));
            jo_end_arr(&o);
        } else {
            jo_kraw(&o, str_dup(ctx, it.key_raw), json_raw(it.value));
        }
    }
    jo_end_obj(&o);
    return buf_take(&b, ctx);
}

/* A model that a person took in place of the drawn one belongs to no experiment. */
static void model_change(mem *ctx, struct task *t, const char *model)
{
    struct json spec;
    if (strcmp(t->model, model) == 0)
        return;
    t->model = model;
    if (json_parse(ctx, str_of(t->spec), &spec, NULL) != RC_OK)
        return;
    for (struct json_iter it = json_iter(json_get(spec, "assignment")); json_next(&it);)
        if (json_eqz(json_get(it.value, "of"), "model"))
            t->assigned = false;
}

static enum rc resume_limits(struct decision *d, struct task *t, struct err *err)
{
    struct json w = d->wish;
    const char *money = json_z(d->ctx, json_get(w, "money"), NULL);
    t->iteration_limit = json_int(json_get(w, "iterations"), t->iteration_limit);
    t->limit_time_s = json_int(json_get(w, "time_s"), t->limit_time_s);
    t->limit_tokens = json_int(json_get(w, "tokens"), t->limit_tokens);
    if (t->iteration_limit < 1 || t->iteration_limit > 10000 || t->limit_time_s < 0 || t->limit_tokens < 0)
        return err_set(err, RC_INVALID, "a limit is out of range");
    if (money && money_parse(str_of(money), &t->limit_money, err) != RC_OK)
        return err_context(err, "budget");
    struct json model = json_get(w, "model"), allow = json_get(w, "allow_check_changes");
    if ((json_is(model) && json_type(model) != JSON_STRING) || (json_is(allow) && json_type(allow) != JSON_ARRAY))
        return err_set(err, RC_INVALID, "model is a name, allow_check_changes a list of globs");
    for (struct json_iter it = json_iter(allow); json_next(&it);) {
        if (json_type(it.value) != JSON_STRING)
            return err_set(err, RC_INVALID, "allow_check_changes is a list of globs");
    }
    if (json_is(model))
        model_change(d->ctx, t, json_z(d->ctx, model, ""));
    if (json_is(model) || json_is(allow)) {
        t->spec = spec_changed(d->ctx, t->spec, w, err);
        if (!t->spec)
            return err ? err->rc : RC_BUG;
    }
    return RC_OK;
}

static enum rc resume_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct decision *d = arg;
    struct task *t = d->task;
    enum rc rc = task_find_tx(d->ctx, tx, d->id, t, err);
    if (rc != RC_OK)
        return rc;
    if (!board_state_is(t, "paused") && !board_state_is(t, "needs_you") && !board_state_is(t, "failed")) {
        err_set(err, RC_CONFLICT, "task %s cannot be resumed: it is %s", d->id, t->state);
        return err_hint(err, "%s",
                        task_state_final(t->state) ? "start a new one with: nightmill run" : "it is at work already");
    }
    if (strcmp(t->reason, "approval") == 0) {
        err_set(err, RC_CONFLICT, "task %s waits for an approval", d->id);
        return err_hint(err, "answer it with: nightmill approve ID or nightmill deny ID (nightmill show %s lists them)",
                        d->id);
    }
    struct task before = *t;
    rc = trial_resumes(d->ctx, tx, t, err);
    if (rc == RC_OK)
        rc = resume_limits(d, t, err);
    if (rc == RC_OK)
        rc = trial_limits_moved(d->ctx, tx, &before, t, err);
    if (rc != RC_OK)
        return rc;
    t->ended_ns = 0;
    struct board_note n;
    board_note_begin(&n, d->ctx);
    jo_ki(&n.o, "iterations", t->iteration_limit);
    jo_ki(&n.o, "time_s", t->limit_time_s);
    jo_ki(&n.o, "tokens", t->limit_tokens);
    jo_kz(&n.o, "money", t->limit_money >= 0 ? money_exact(d->ctx, t->limit_money, 2) : NULL);
    jo_kz(&n.o, "model", json_z(d->ctx, json_get(d->wish, "model"), NULL));
    if (json_is(json_get(d->wish, "allow_check_changes")))
        jo_kraw(&n.o, "allow_check_changes", json_raw(json_get(d->wish, "allow_check_changes")));
    rc = board_note_append(&n, tx, d->id, "task.resumed", "user", err);
    return rc == RC_OK ? board_state_set(d->ctx, tx, t, "queued", "", "waits for its turn", err) : rc;
}

enum rc board_resume_put(mem *ctx, struct store_tx *tx, const char *id, struct json wish, struct task *ret,
                         struct err *err)
{
    struct decision d = {.ctx = ctx, .id = id, .task = ret, .wish = wish};
    return resume_tx(tx, &d, err);
}

enum rc board_resume(mem *ctx, const struct board *b, const char *id, struct json wish, struct task *ret,
                     struct err *err)
{
    struct decision d = {.ctx = ctx, .id = id, .task = ret, .wish = wish};
    return store_write(b->store, resume_tx, &d, err);
}

enum rc board_budgets_changed(const struct board *b, int64_t *ret_n, struct err *err)
{
    struct task_filter f = {.state = "paused", .limit = 1000, .brief = true};
    enum rc rc = RC_OK;
    size_t n;
    *ret_n = 0;
    do {
        CLEANUP_MEM mem *tmp = mem_root();
        struct task *tasks, now;
        rc = task_list(tmp, b->store, &f, &tasks, &n, err);
        for (size_t i = 0; rc == RC_OK && i < n; i++) {
            f.before = tasks[i].number;
            if (strcmp(tasks[i].reason, "limit_budget") != 0)
                continue;
            rc = board_resume(tmp, b, tasks[i].id, (struct json){0}, &now, err);
            *ret_n += rc == RC_OK;
            if (rc == RC_CONFLICT)
                rc = RC_OK; /* a person was quicker */
        }
    } while (rc == RC_OK && n == (size_t)f.limit);
    return rc;
}

/* A hint answers a question; a limit is not a question, it waits for a resume. */
static bool hint_resumes(const struct task *t)
{
    return board_state_is(t, "needs_you") && strcmp(t->reason, "approval") != 0;
}

static enum rc hint_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct decision *d = arg;
    struct task *t = d->task;
    enum rc rc = task_find_tx(d->ctx, tx, d->id, t, err);
    if (rc != RC_OK)
        return rc;
    if (task_state_final(t->state))
        return err_set(err, RC_CONFLICT, "task %s has ended already: %s", d->id, t->state);
    struct board_note n;
    board_note_begin(&n, d->ctx);
    jo_ks(&n.o, "text", d->text);
    jo_end_obj(&n.o);
    struct event e = {.time_ns = clock_wall_ns(), .type = "hint.added", .actor = "user", .data = n.b.p};
    int64_t number;
    bool fresh;
    rc = event_append(tx, d->id, &e, &number, &fresh, err);
    if (rc != RC_OK)
        return rc;
    d->tell = mem_printf(d->ctx, "{\"input\":{\"number\":%lld,\"type\":\"hint.added\",\"data\":%s}}", (long long)number,
                         n.b.p);
    rc = task_find_tx(d->ctx, tx, d->id, t, err);
    return rc == RC_OK && hint_resumes(t) ? board_state_set(d->ctx, tx, t, "queued", "", "waits for its turn", err)
                                          : rc;
}

enum rc board_hint(mem *ctx, const struct board *b, const char *id, struct str text, struct task *ret, char **ret_tell,
                   struct err *err)
{
    struct decision d = {.ctx = ctx, .id = id, .task = ret, .text = text};
    if (!str_trim(text).n)
        return err_set(err, RC_INVALID, "the hint is empty");
    if (text.n > TEXT_MAX)
        return err_set(err, RC_LIMIT, "the hint is larger than %u KiB", TEXT_MAX >> 10);
    enum rc rc = store_write(b->store, hint_tx, &d, err);
    *ret_tell = rc == RC_OK ? d.tell : NULL;
    return rc;
}

static enum rc undo_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct decision *d = arg;
    struct task *t = d->task;
    enum rc rc = task_find_tx(d->ctx, tx, d->id, t, err);
    if (rc != RC_OK)
        return rc;
    if (!t->commit || !task_state_final(t->state))
        return err_set(err, RC_CONFLICT, "task %s has delivered nothing that could be taken back", d->id);
    if (strcmp(t->reason, "undone") == 0)
        return err_set(err, RC_CONFLICT, "task %s was taken back already", d->id);
    struct board_note n;
    board_note_begin(&n, d->ctx);
    return board_note_append(&n, tx, d->id, "undo.requested", "user", err);
}

enum rc board_undo(mem *ctx, const struct board *b, const char *id, struct task *ret, struct err *err)
{
    struct decision d = {.ctx = ctx, .id = id, .task = ret};
    return store_write(b->store, undo_tx, &d, err);
}

/* ---- approvals ---- */

struct answering {
    mem *ctx;
    struct approval *approval;
    const char *outcome, *answer, *by;
    char *tell;
};

static enum rc answer_note(struct answering *a, struct store_tx *tx, struct err *err)
{
    struct approval *p = a->approval;
    struct board_note n;
    int64_t number;
    bool fresh;
    board_note_begin(&n, a->ctx);
    jo_kz(&n.o, "approval", p->id);
    jo_kz(&n.o, "gate", p->gate);
    jo_ki(&n.o, "sequence", p->sequence);
    jo_kz(&n.o, "outcome", a->outcome);
    jo_kz(&n.o, "answer", a->answer);
    jo_kz(&n.o, "by", a->by);
    jo_end_obj(&n.o);
    struct event e = {.time_ns = clock_wall_ns(),
                      .type = "gate.answered",
                      .actor = strcmp(a->outcome, "expired") == 0 ? "system" : "user",
                      .data = n.b.p};
    enum rc rc = event_append(tx, p->task_id, &e, &number, &fresh, err);
    a->tell = mem_printf(a->ctx, "{\"input\":{\"number\":%lld,\"type\":\"gate.answered\",\"data\":%s}}",
                         (long long)number, n.b.p);
    return rc;
}

static enum rc answer_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct answering *a = arg;
    struct approval *p = a->approval;
    struct task t;
    int64_t now = clock_wall_ns();
    enum rc rc = approval_answer(tx, p->id, a->outcome, a->answer, a->by, now, err);
    if (rc == RC_OK)
        rc = answer_note(a, tx, err);
    if (rc == RC_OK)
        rc = task_find_tx(a->ctx, tx, p->task_id, &t, err);
    if (rc != RC_OK || task_state_final(t.state) || strcmp(t.reason, "approval") != 0)
        return rc;
    if (strcmp(a->outcome, "expired") == 0 && strcmp(p->gate, "agent") != 0)
        return board_state_set(a->ctx, tx, &t, "paused", "approval_expired",
                               "nobody answered in time; resume asks again", err);
    return board_state_set(a->ctx, tx, &t, "queued", "", "waits for its turn", err);
}

enum rc board_answer(mem *ctx, const struct board *b, const char *approval_id, const char *outcome, const char *answer,
                     const char *by, struct approval *ret, char **ret_tell, struct err *err)
{
    if (strcmp(outcome, "approved") != 0 && strcmp(outcome, "refused") != 0 && strcmp(outcome, "expired") != 0)
        return err_set(err, RC_INVALID, "an approval is approved or refused");
    struct answering a = {ctx, ret, outcome, answer, by, NULL};
    enum rc rc = approval_find(ctx, b->store, approval_id, ret, err);
    if (rc == RC_OK)
        rc = store_write(b->store, answer_tx, &a, err);
    if (rc == RC_OK && ret_tell)
        *ret_tell = a.tell;
    return rc == RC_OK ? approval_find(ctx, b->store, approval_id, ret, err) : rc;
}

enum rc board_expire(mem *ctx, const struct board *b, int64_t now_ns, struct board_told **ret, size_t *ret_n,
                     struct err *err)
{
    struct approval *waiting, answered;
    size_t n;
    *ret_n = 0;
    enum rc rc = approval_waiting(ctx, b->store, &waiting, &n, err);
    *ret = rc == RC_OK ? mem_array(ctx, struct board_told, n + 1) : NULL;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        char *tell = NULL;
        if (waiting[i].expires_ns == 0 || waiting[i].expires_ns > now_ns)
            continue;
        rc = board_answer(ctx, b, waiting[i].id, "expired", NULL, "system", &answered, &tell, err);
        if (rc == RC_CONFLICT)
            rc = RC_OK; /* somebody was quicker */
        else if (rc == RC_OK)
            (*ret)[(*ret_n)++] = (struct board_told){waiting[i].task_id, tell};
    }
    return rc;
}

/* ---- runners ---- */

struct giving_up {
    mem *ctx;
    const char *id, *words;
};

static enum rc give_up_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct giving_up *g = arg;
    struct task t;
    enum rc rc = task_find_tx(g->ctx, tx, g->id, &t, err);
    if (rc != RC_OK || task_state_final(t.state))
        return rc;
    return board_state_set(g->ctx, tx, &t, "failed", "runner", g->words, err);
}

enum rc board_give_up(mem *ctx, const struct board *b, const char *id, const char *words, struct err *err)
{
    struct giving_up g = {ctx, id, words};
    return store_write(b->store, give_up_tx, &g, err);
}

static enum rc apply_state(mem *ctx, struct store_tx *tx, struct task *t, struct json data, struct err *err)
{
    const char *state = json_z(ctx, json_get(data, "state"), "");
    if (!task_state_valid(state))
        return err_set(err, RC_INVALID, "a runner named the unknown state %s", state);
    t->state = state;
    t->reason = json_z(ctx, json_get(data, "reason"), "");
    t->words = json_z(ctx, json_get(data, "words"), "");
    t->iteration = json_int(json_get(data, "iteration"), t->iteration);
    t->worked_ns = json_int(json_get(data, "worked_ns"), t->worked_ns);
    t->changed_ns = clock_wall_ns();
    if (!t->started_ns)
        t->started_ns = t->changed_ns;
    t->ended_ns = task_state_final(state) ? t->changed_ns : 0;
    enum rc rc = task_update(tx, t, err);
    if (rc == RC_OK && t->ended_ns)
        rc = approval_close(tx, t->id, t->changed_ns, err);
    if (rc == RC_OK && t->ended_ns)
        return reply_drop(tx, t->id, err);
    return rc == RC_OK ? trial_late(ctx, tx, t, err) : rc;
}

static enum rc apply_agent(mem *ctx, struct store_tx *tx, struct task *t, struct json data, struct err *err)
{
    const char *version = json_z(ctx, json_get(data, "version"), NULL);
    if (!version)
        return RC_OK;
    t->agent_version = text_terminal_line(ctx, str_of(version), 64);
    return task_update(tx, t, err);
}

static enum rc apply_delivered(mem *ctx, struct store_tx *tx, struct task *t, struct json data, struct err *err)
{
    t->branch = json_z(ctx, json_get(data, "branch"), NULL);
    t->commit = json_z(ctx, json_get(data, "commit"), NULL);
    t->applied = json_bool(json_get(data, "applied"), false);
    return task_update(tx, t, err);
}

static enum rc apply_undone(mem *ctx, struct store_tx *tx, struct task *t, struct json data, struct err *err)
{
    t->reason = "undone";
    t->words = json_z(ctx, json_get(data, "words"), "taken back");
    t->changed_ns = clock_wall_ns();
    return task_update(tx, t, err);
}

static enum rc apply_gate(mem *ctx, struct store_tx *tx, const char *task_id, int64_t origin, const char *approval_id,
                          struct json data, struct err *err)
{
    bool fresh;
    int64_t now = clock_wall_ns(), life_s = json_int(json_get(data, "expires_s"), 0);
    struct approval a = {.id = approval_id,
                         .task_id = task_id,
                         .gate = json_z(ctx, json_get(data, "gate"), ""),
                         .sequence = origin,
                         .subject = json_z(ctx, json_get(data, "subject"), ""),
                         .outcome = "waiting",
                         .asked_ns = now,
                         .expires_ns = life_s > 0 ? now + life_s * 1000000000 : 0};
    return approval_insert(tx, &a, &fresh, err);
}

/* What an event says of its task; the row is read after the event was appended, so that its last number is right. */
static const struct {
    const char *type;
    enum rc (*apply)(mem *ctx, struct store_tx *tx, struct task *t, struct json data, struct err *err);
} effects[] = {{"task.state", apply_state},
               {"agent.started", apply_agent},
               {"delivered", apply_delivered},
               {"task.undone", apply_undone}};

enum rc board_apply(struct store_tx *tx, const char *task_id, int64_t origin, struct json event, bool *ret_final,
                    struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *type = json_z(tmp, json_get(event, "type"), ""),
               *actor = json_z(tmp, json_get(event, "actor"), "system");
    struct json data = json_get(event, "data");
    *ret_final = false;
    if (!*type || json_type(data) != JSON_OBJECT || origin < 1)
        return err_set(err, RC_INVALID, "a runner's event makes no sense");
    const char *text = str_dup(tmp, json_raw(data)), *approval_id = NULL;
    bool gate = strcmp(type, "gate.waiting") == 0;
    if (gate) { /* the name to answer by is given here and shown with the event */
        approval_id = id_new(tmp, 7);
        text = mem_printf(tmp, "{\"approval\":\"%s\",%s", approval_id, text + 1);
    }
    struct event e = {.time_ns = json_int(json_get(event, "time"), 0),
                      .type = type,
                      .actor = strcmp(actor, "agent") == 0 ? "agent" : "system",
                      .data = text,
                      .origin = origin};
    int64_t number;
    bool fresh;
    enum rc rc = event_append(tx, task_id, &e, &number, &fresh, err);
    if (rc != RC_OK || !fresh)
        return rc;
    if (gate)
        return apply_gate(tmp, tx, task_id, origin, approval_id, data, err);
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++) {
        struct task t;
        if (strcmp(type, effects[i].type) != 0)
            continue;
        rc = task_find_tx(tmp, tx, task_id, &t, err);
        if (rc == RC_OK)
            rc = effects[i].apply(tmp, tx, &t, data, err);
        *ret_final = rc == RC_OK && task_state_final(t.state);
        break;
    }
    return rc;
}

enum rc board_token_task(mem *ctx, const struct board *b, const char *token, const char **ret_task_id, struct err *err)
{
    struct str rest = str_of(token), id, right;
    if (!str_next(&rest, '.', &id) || !id_valid(id, 7) || rest.n != TOKEN_CHARS)
        return err_set(err, RC_DENIED, "this is not the token of a run");
    const char *task_id = str_dup(ctx, id);
    if (path_slurp(ctx, token_path(ctx, b, task_id), 256, &right, NULL) != RC_OK)
        return err_set(err, RC_DENIED, "this is not the token of a run");
    unsigned differ = right.n != strlen(token);
    for (size_t i = 0; !differ && i < right.n; i++)
        differ |= (unsigned char)(right.p[i] ^ token[i]);
    if (differ)
        return err_set(err, RC_DENIED, "this is not the token of a run");
    *ret_task_id = task_id;
    return RC_OK;
}

/* Inputs, and an order or an undo that nobody has carried out yet, are read from the events. */
struct pending {
    const char *order, *words;
    bool undo;
};

static enum rc pending_read(mem *ctx, const struct board *b, const char *task_id, struct pending *ret,
                            struct json_out *inputs, struct err *err)
{
    static const char *const kinds[] = {"hint.added", "gate.answered", "task.resumed", "trial.decided"};
    struct event *events;
    size_t n = 0;
    int64_t after = 0;
    *ret = (struct pending){0};
    do {
        enum rc rc = event_list(ctx, b->store, task_id, after, 1000, &events, &n, err);
        if (rc != RC_OK)
            return rc;
        for (size_t i = 0; i < n; i++) {
            struct event *e = &events[i];
            struct json data;
            after = e->number;
            if (e->origin == 0) {
                for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
                    if (strcmp(e->type, kinds[k]) != 0)
                        continue;
                    jo_obj(inputs);
                    jo_ki(inputs, "number", e->number);
                    jo_kz(inputs, "type", e->type);
                    jo_kraw(inputs, "data", str_of(e->data));
                    jo_end_obj(inputs);
                }
            }
            if (strcmp(e->type, "control") == 0 && json_parse(ctx, str_of(e->data), &data, NULL) == RC_OK)
                *ret = (struct pending){json_z(ctx, json_get(data, "verb"), NULL),
                                        json_z(ctx, json_get(data, "words"), NULL), ret->undo};
            else if (strcmp(e->type, "task.state") == 0 && json_parse(ctx, str_of(e->data), &data, NULL) == RC_OK &&
                     !json_eqz(json_get(data, "state"), "working") && !json_eqz(json_get(data, "state"), "checking"))
                ret->order = NULL; /* it rested since */
            else if (strcmp(e->type, "undo.requested") == 0)
                ret->undo = true;
            else if (strcmp(e->type, "task.undone") == 0 || strcmp(e->type, "undo.refused") == 0)
                ret->undo = false;
        }
    } while (n == 1000);
    return RC_OK;
}

enum rc board_welcome(mem *ctx, const struct board *b, const char *task_id, const char *token, char **ret,
                      struct err *err)
{
    const char *owner;
    struct task t;
    struct pending p;
    struct buf text, inputs;
    struct json_out o, in;
    int64_t acked;
    enum rc rc = board_token_task(ctx, b, token, &owner, err);
    if (rc == RC_OK && strcmp(owner, task_id) != 0)
        rc = err_set(err, RC_DENIED, "the token is another task's");
    if (rc == RC_OK)
        rc = task_find(ctx, b->store, task_id, &t, err);
    if (rc == RC_OK)
        rc = event_last_origin(b->store, task_id, &acked, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&inputs, ctx, 4u << 20);
    json_out_init(&in, &inputs);
    jo_arr(&in);
    rc = pending_read(ctx, b, task_id, &p, &in, err);
    if (rc != RC_OK)
        return rc;
    jo_end_arr(&in);
    buf_init(&text, ctx, BOARD_EVENT_MAX);
    json_out_init(&o, &text);
    jo_obj(&o);
    jo_key(&o, "welcome");
    jo_obj(&o);
    jo_ki(&o, "acked", acked);
    jo_kz(&o, "job", p.undo ? "undo" : "run");
    jo_kz(&o, "order", p.order);
    jo_kz(&o, "order_words", p.words);
    jo_key(&o, "task");
    board_task_json(ctx, b, &t, 0, &o);
    jo_kraw(&o, "spec", str_of(t.spec));
    jo_kraw(&o, "inputs", buf_view(&inputs));
    jo_end_obj(&o);
    jo_end_obj(&o);
    *ret = buf_take(&text, ctx);
    return RC_OK;
}

enum rc board_due(mem *ctx, const struct board *b, struct board_due **ret, size_t *ret_n, struct err *err)
{
    static const char *const states[] = {"working", "checking", "queued"};
    struct board_due *due = NULL;
    size_t n = 0;
    for (size_t s = 0; s < 3; s++) {
        struct task *tasks;
        size_t got;
        struct task_filter f = {.state = states[s], .limit = 1000, .brief = true};
        enum rc rc = task_list(ctx, b->store, &f, &tasks, &got, err);
        if (rc != RC_OK)
            return rc;
        due = mem_grow(ctx, due, (n + got + 1) * sizeof *due);
        for (size_t i = got; i > 0; i--)
            due[n++] = (struct board_due){tasks[i - 1].id, s == 2};
    }
    *ret = due;
    *ret_n = n;
    return RC_OK;
}
