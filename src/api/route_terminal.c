/* The terminals of a task: joining one (WebSocket), and what is open. */
#include "api/terminals.h"

struct joining {
    struct route_call *call;
    const char *project;
    bool agent, watch;
};

static enum rc task_look(struct joining *j, bool *ret_sandbox)
{
    struct route_call *c = j->call;
    struct task t;
    struct json spec;
    enum rc rc = task_find(c->ctx, c->server->store, c->param, &t, &c->err);
    if (rc == RC_OK)
        rc = json_parse(c->ctx, str_of(t.spec), &spec, &c->err);
    if (rc != RC_OK)
        return rc;
    j->project = t.repo;
    *ret_sandbox = !json_bool(json_get(spec, "no_sandbox"), false);
    return RC_OK;
}

static void join_work(void *arg)
{
    struct joining *j = arg;
    struct route_call *c = j->call;
    bool sandbox = false;
    const char *what = route_query(c, "what"), *watch = route_query(c, "watch");
    j->agent = what && strcmp(what, "agent") == 0;
    j->watch = watch && strcmp(watch, "1") == 0;
    c->err.rc = task_look(j, &sandbox);
    if (c->err.rc == RC_OK && what && !j->agent && strcmp(what, "shell") != 0)
        c->err.rc = err_set(&c->err, RC_INVALID, "what is \"shell\" or \"agent\"");
    if (c->err.rc == RC_OK && !j->agent && !sandbox) {
        err_set(&c->err, RC_DENIED, "this task works without a sandbox, so a terminal would be a shell of the machine");
        err_hint(&c->err, "watch what the agent does instead: what=agent");
    }
    if (c->err.rc == RC_OK)
        c->err.rc = audit_read(c);
    else if (c->err.rc == RC_DENIED)
        audit_refused(c);
}

static void join_found(void *arg)
{
    struct joining *j = arg;
    struct route_call *c = j->call;
    if (c->err.rc != RC_OK || !c->request) {
        route_answer(c, c->err.rc);
        return;
    }
    const char *session = route_query(c, "session");
    struct terminal_wish wish = {.task_id = c->param,
                                 .session = j->agent  ? TERMINAL_AGENT
                                            : session ? session
                                                      : "1",
                                 .project = j->project,
                                 .who = &c->principal,
                                 .row = &c->audit,
                                 .writable = !j->watch && principal_sees(&c->principal, j->project, ACCESS_USE)};
    enum rc rc = terminal_join(c->server, c->request, &wish, &c->err);
    if (rc == RC_OK)
        c->request = NULL;
    else
        audit_failed(c, rc);
    route_answer(c, rc);
}

static void join_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static void join_on_loop(struct route_call *c)
{
    struct joining *j = mem_new(c->ctx, struct joining);
    j->call = c;
    c->request->user = c;
    http_on_gone(c->request, join_gone);
    loop_offload(&c->server->loop, join_work, join_found, j);
}

static void list_work(void *arg)
{
    struct route_call *c = arg;
    struct task t;
    c->err.rc = task_find(c->ctx, c->server->store, c->param, &t, &c->err);
}

static void list_found(void *arg)
{
    struct route_call *c = arg;
    if (c->err.rc == RC_OK) {
        jo_obj(&c->out);
        jo_key(&c->out, "terminals");
        terminals_list(c->server, c->param, &c->out);
        jo_end_obj(&c->out);
    }
    route_answer(c, c->err.rc);
}

static void list_on_loop(struct route_call *c)
{
    c->request->user = c;
    http_on_gone(c->request, join_gone);
    loop_offload(&c->server->loop, list_work, list_found, c);
}

const struct route route_task_terminal = {"GET",
                                          "/api/v1/tasks/:id/terminal",
                                          "a shell in its sandbox, or what its agent prints, as a WebSocket",
                                          NULL,
                                          join_on_loop,
                                          .query = "session what watch",
                                          .access = ACCESS_READ,
                                          .audited = AUDITED_EACH,
                                          .narrow = NARROW_TASK};
const struct route route_task_terminals = {
    "GET",        "/api/v1/tasks/:id/terminals", "its terminals that are open", NULL,
    list_on_loop, .access = ACCESS_READ,         .narrow = NARROW_TASK,         .gives = "Terminals"};
