/* Who may do what, and to what: what a row of the register says (access, narrow), held against who asks.
 *
 * A row says the least access that it needs and how it is narrowed to a project. What says nothing is the whole
 * installation's. A task belongs to the project that is its repository's top folder. Whoever may not see a project gets
 * the answer that a wrong name gets. */
#include "api/server_room.h"

static enum access route_needs(const struct route *r)
{
    return r->access ? r->access : ACCESS_OWNER;
}

/* Lacks it everywhere: said in the words of whoever has most. */
static enum rc may_anywhere(struct route_call *c)
{
    struct principal best = c->principal;
    if (best.user_id && principal_most(&best) >= route_needs(c->route))
        return RC_OK;
    best.access = principal_most(&best);
    return principal_may(&best, route_needs(c->route), &c->err);
}

/* The whole installation's: a role or a key of one project is not enough. */
static enum rc may_whole(struct route_call *c)
{
    enum rc rc = principal_may(&c->principal, route_needs(c->route), &c->err);
    if (rc != RC_OK || !c->principal.project[0])
        return rc;
    err_set(&c->err, RC_DENIED, "this belongs to the whole installation, not to the project of this key");
    return err_hint(&c->err, "use a key without a project, or run it as the user of the daemon");
}

/* A handler that knows one project: the one that the query names, or the only one that there is. */
static enum rc may_one(struct route_call *c)
{
    struct principal *p = &c->principal;
    const char *named = c->query_project;
    enum access need = route_needs(c->route);
    if (!p->grant_n || p->access >= need)
        return principal_may(p, need, &c->err);
    const char *const *mine = principal_projects(c->ctx, p, need);
    if (named && principal_at(p, named) == ACCESS_NONE)
        return err_set(&c->err, RC_NOT_FOUND, "there is nothing of that name in your projects");
    if (!named && mine && mine[0] && mine[1])
        return err_set(&c->err, RC_INVALID, "say which project: project=NAME; you have roles in several");
    const char *project = named ? named : mine && mine[0] ? mine[0] : NULL;
    if (project) {
        p->access = principal_at(p, project);
        p->project = project;
    }
    return principal_may(p, need, &c->err);
}

enum rc permission_check(struct route_call *c)
{
    if (c->route->open)
        return RC_OK;
    switch (c->route->narrow) {
    case NARROW_WHOLE:
        return may_whole(c);
    case NARROW_ONE:
        return may_one(c);
    case NARROW_OWN:
        return RC_OK;
    case NARROW_SHARED:
    case NARROW_LIST:
    case NARROW_TASK:
    case NARROW_APPROVAL:
    case NARROW_REPO:
        return may_anywhere(c);
    }
    return err_set(&c->err, RC_BUG, "a route without a rule");
}

bool permission_may(const struct principal *p, const struct route *r)
{
    bool known = p->by != CAME_UNKNOWN;
    if (r->open || !known || r->narrow == NARROW_OWN)
        return r->open || known;
    return (r->narrow == NARROW_WHOLE ? principal_at(p, "") : principal_most(p)) >= route_needs(r);
}

bool permission_waits(const struct route_call *c)
{
    enum route_narrow n = c->route->narrow;
    bool everywhere = !c->principal.project[0] && c->principal.access >= route_needs(c->route);
    return !c->route->open && !everywhere && (n == NARROW_TASK || n == NARROW_APPROVAL || n == NARROW_REPO);
}

enum rc route_project(struct route_call *c, const char *project)
{
    struct principal there = c->principal;
    there.access = principal_at(&c->principal, project);
    c->narrowed = true;
    c->hidden = there.access == ACCESS_NONE;
    if (c->hidden)
        return err_set(&c->err, RC_NOT_FOUND, "there is nothing of that name in your projects");
    return principal_may(&there, route_needs(c->route), &c->err);
}

const char *route_by(const struct route_call *c)
{
    return c->principal.user_id ? c->principal.user : "user";
}

const char *const *route_projects(struct route_call *c)
{
    c->narrowed = true;
    return principal_projects(c->ctx, &c->principal, route_needs(c->route));
}

/* The project of a task that may be seen. */
static enum rc task_project(struct route_call *c, const char *task_id, const char **ret)
{
    struct task t;
    enum rc rc = task_find(c->ctx, c->server->store, task_id, &t, &c->err);
    c->hidden = rc == RC_OK && principal_at(&c->principal, t.repo) == ACCESS_NONE;
    if (c->hidden)
        return RC_NOT_FOUND;
    if (rc == RC_OK)
        *ret = t.repo;
    return rc;
}

/* In the words of the store, so that a thing of others is told from none by nothing. */
static enum rc thing_missing(struct route_call *c)
{
    if (c->route->narrow == NARROW_APPROVAL) {
        err_set(&c->err, RC_NOT_FOUND, "There is no approval %.16s.", c->param);
        return err_hint(&c->err, "nightmill ls shows what waits for an approval");
    }
    err_set(&c->err, RC_NOT_FOUND, "There is no task %.16s.", c->param);
    return err_hint(&c->err, "nightmill ls shows the tasks");
}

enum rc permission_narrow(struct route_call *c)
{
    const char *project = "", *task_id = c->param;
    struct approval a;
    enum rc rc = RC_OK;
    if (!permission_waits(c))
        return RC_OK;
    if (c->route->narrow == NARROW_REPO)
        return route_project(c, json_z(c->ctx, json_get(c->json, "repo"), ""));
    if (c->route->narrow == NARROW_APPROVAL) {
        rc = approval_find(c->ctx, c->server->store, c->param, &a, &c->err);
        task_id = rc == RC_OK ? a.task_id : NULL;
    }
    if (rc == RC_OK)
        rc = task_project(c, task_id, &project);
    if (rc != RC_OK)
        return rc == RC_NOT_FOUND ? thing_missing(c) : rc;
    return route_project(c, project);
}

enum rc permission_kept(struct route_call *c)
{
    bool everywhere = !c->principal.project[0] && c->principal.access >= route_needs(c->route);
    if (c->route->open || c->route->narrow != NARROW_LIST || c->narrowed || everywhere)
        return RC_OK;
    return err_set(&c->err, RC_BUG, "a list was not narrowed to the projects of who asks");
}
