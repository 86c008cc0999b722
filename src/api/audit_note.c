/* What a call of a route leaves in the audit log: every change does, and every reading of a secret.
 *
 * The row goes into the transaction of the handler's first write, else it is written before the answer. What was sent
 * is noted by names; values only where they can be no secret. */
#include "api/server_room.h"
#include "base/log.h"

enum { NOTE_MOST = 2000, VALUE_MOST = 100 };

/* Members whose texts may stand in the log. Everything else is told by its length. */
static const char *const plain[] = {
    "name",   "role",  "kind",    "project",  "access", "scope", "scope_id", "window",  "zone",       "currency",
    "money",  "host",  "verdict", "outcome",  "model",  "mode",  "provider", "repo",    "from",       "to",
    "rate",   "input", "output",  "keep",     "agent",  "grant", "upstream", "dialect", "iterations", "state",
    "source", "id",    "account", "disabled", "phase",  "task",  "title"};

static bool is_plain(const char *name)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(plain[i], name) == 0)
            return true;
    return false;
}

/* {"name":"ci","access":"use","key":"(52 bytes)"} */
static const char *body_note(mem *ctx, struct json body)
{
    struct buf b;
    struct json_out o;
    if (json_type(body) != JSON_OBJECT)
        return "";
    buf_init(&b, ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    for (struct json_iter it = json_iter(body); json_next(&it) && b.n < NOTE_MOST;) {
        const char *name = str_dup(ctx, json_iter_key(ctx, &it));
        struct str raw = json_raw(it.value);
        enum json_type type = json_type(it.value);
        bool text = type == JSON_STRING && is_plain(name) && raw.n <= VALUE_MOST;
        if (strlen(name) > 64)
            continue;
        if (text || type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE || type == JSON_NULL)
            jo_kraw(&o, name, raw);
        else
            jo_kz(&o, name, mem_printf(ctx, "(%zu bytes)", raw.n));
    }
    jo_end_obj(&o);
    return buf_view(&b).p;
}

void route_audit(struct route_call *c, const char *object, const char *before, const char *after)
{
    if (object)
        c->audit.object = mem_str(c->ctx, object);
    if (before)
        c->audit.before = mem_str(c->ctx, before);
    if (after)
        c->audit.after = mem_str(c->ctx, after);
}

static bool reads(const struct route_call *c)
{
    return strcmp(c->route->method, "GET") == 0 && !c->route->audited;
}

/* Not of passwords, not even how long they are; nor of bodies whose names are not the interface's. */
static bool body_tells(const struct route *r)
{
    return !r->slow && !r->logs_in && strcmp(r->takes ? r->takes : "", "Credentials") != 0;
}

static const char *action_of(const struct route *r)
{
    for (size_t i = 0; i < route_count; i++)
        if (routes[i] == r)
            return route_names[i];
    return r->pattern;
}

static void row_fill(struct route_call *c, const char *outcome)
{
    const struct principal *p = &c->principal;
    struct audit_row *r = &c->audit;
    r->actor = p->user_id ? p->user : p->name ? p->name : "";
    r->actor_kind = principal_by_name(p->by);
    r->credential = p->session_id ? p->session_id : p->key_id ? p->key_id : "";
    r->address = c->address;
    r->action = action_of(c->route);
    if (!r->object)
        r->object = c->param ? c->param : body_tells(c->route) ? json_z(c->ctx, json_get(c->json, "name"), "") : "";
    if (!r->before)
        r->before = "";
    if (!r->after)
        r->after = body_tells(c->route) ? body_note(c->ctx, c->json) : "";
    r->outcome = outcome;
}

void audit_begin(struct route_call *c)
{
    if (reads(c))
        return;
    row_fill(c, "done");
    c->rider.audit = c->server->audit;
    c->rider.row = &c->audit;
    audit_ride(&c->rider);
}

/* What failed is noted when it was refused, or when something had been changed before it failed. */
enum rc audit_end(struct route_call *c, enum rc rc)
{
    struct err err = {0};
    if (!c->rider.row)
        return rc;
    store_ride(NULL);
    bool again = rc != RC_OK && (c->rider.ride.taken || rc == RC_DENIED);
    if (again)
        c->audit.outcome = rc_name(rc);
    if (!again && (rc != RC_OK || c->rider.ride.taken))
        return rc;
    if (audit_write(c->server->audit, &c->audit, &err) == RC_OK)
        return rc;
    log_err(&err, "a row of the audit log could not be written");
    if (rc != RC_OK)
        return rc;
    c->err = err;
    return err_context(&c->err, "it was done, but could not be written into the audit log");
}

void audit_skip(struct route_call *c)
{
    store_ride(NULL);
    c->rider.row = NULL;
}

void audit_now(struct route_call *c, const char *outcome)
{
    struct err err = {0};
    row_fill(c, outcome);
    if (audit_write(c->server->audit, &c->audit, &err) != RC_OK)
        log_err(&err, "a row of the audit log could not be written");
}

void audit_asked(struct route_call *c, const char *outcome)
{
    if (!c->route || reads(c) || c->principal.by == CAME_UNKNOWN)
        return;
    row_fill(c, outcome);
    audit_write_later(c->server->audit, &c->audit);
}
