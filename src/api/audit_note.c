/* What a call of a route leaves in the audit log: every change does, every reading of a secret, and every refusal to
 * somebody who is known, or who showed a key that holds no longer.
 *
 * The row goes into the transaction of the handler's first write, else it is written before the answer. What was sent
 * is noted by names; values only where they can be no secret. Refusals have a measure (auth/refusals.h). In the same
 * transaction the live stream is told what has changed (`tells` of the register). */
#include "api/server_room.h"
#include "base/clock.h"
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

static bool changes(const struct route *r)
{
    return strcmp(r->method, "GET") != 0;
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
    if (!r->after && !changes(c->route))
        r->after = str_utf8_clean(c->ctx, str_sub(c->query, 0, NOTE_MOST)); /* what was asked for */
    else if (!r->after)
        r->after = body_tells(c->route) ? body_note(c->ctx, c->json) : "";
    r->outcome = outcome;
}

/* ---- what the stream is told ---- */

void route_tell(struct route_call *c, const char *id, const char *project)
{
    c->told_id = mem_str(c->ctx, id);
    c->told_project = mem_str(c->ctx, project);
}

static const char *told_project(struct route_call *c)
{
    const char *asked = json_z(c->ctx, json_get(c->json, "project"), NULL);
    return c->told_project    ? c->told_project
           : asked            ? asked
           : c->query_project ? c->query_project
                              : c->principal.project;
}

static enum rc change_tell_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct route_call *c = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "thing", c->route->tells);
    jo_kz(&o, "id", c->told_id ? c->told_id : c->audit.object ? c->audit.object : "");
    jo_kz(&o, "project", told_project(c));
    jo_kz(&o, "user", c->told_user ? c->told_user : c->principal.user_id ? c->principal.user_id : "");
    jo_kz(&o, "action", c->audit.action);
    jo_end_obj(&o);
    struct event e = {.time_ns = clock_wall_ns(),
                      .type = mem_printf(tmp, "%s.changed", c->route->tells),
                      .actor = "user",
                      .data = buf_view(&b).p};
    return event_tell(tx, "system", &e, err);
}

/* ---- rows of calls ---- */

static struct refusals *measure(const struct route_call *c)
{
    return c->server->refusals;
}

/* Whether a row about a refusal may be written: for whom, and not too often. */
static bool refusal_let(const struct route_call *c)
{
    char network[NETWORK_TEXT];
    const struct principal *p = &c->principal;
    const char *name = p->user_id ? p->user : p->name ? p->name : "";
    attempts_network(c->address, network);
    return refusals_let(measure(c), p->by == CAME_UNKNOWN ? network : name, p->by == CAME_UNKNOWN, clock_mono_ns());
}

/* A reading that leaves a row: each, or the first one of this thing in a sitting. */
static bool reading_noted(const struct route_call *c)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct principal *p = &c->principal;
    const char *what = mem_printf(tmp, "%s %s", c->route->pattern, c->param ? c->param : "");
    if (c->route->audited == AUDITED_EACH)
        return true;
    return c->route->audited == AUDITED_SITTING &&
           refusals_first(measure(c), p->user_id ? p->user : p->name, what, clock_mono_ns());
}

void audit_begin(struct route_call *c)
{
    if (!changes(c->route) && !reading_noted(c))
        return;
    row_fill(c, "done");
    c->rider.audit = c->server->audit;
    c->rider.row = &c->audit;
    c->rider.also = c->route->tells ? change_tell_tx : NULL;
    c->rider.also_arg = c;
    audit_ride(&c->rider);
}

static enum rc row_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct route_call *c = arg;
    enum rc rc = audit_append(tx, c->server->audit, &c->audit, err);
    return rc || !c->rider.also ? rc : change_tell_tx(tx, c, err);
}

/* The row of what went well and has none yet. What was changed in further transactions is told again, so that nobody
 * who was told by the first one keeps what was there in between. */
static enum rc done_note(struct route_call *c)
{
    struct err err = {0};
    enum rc rc = RC_OK;
    if (!c->rider.ride.taken)
        rc = store_write(c->server->store, row_tx, c, &err);
    else if (c->rider.ride.later && c->rider.also)
        rc = store_write(c->server->store, change_tell_tx, c, &err);
    if (rc == RC_OK)
        return RC_OK;
    log_err(&err, "a row of the audit log could not be written");
    c->err = err;
    return err_context(&c->err, "it was done, but could not be written into the audit log");
}

/* What failed is noted when it was refused, or when something had been changed before it failed. */
enum rc audit_end(struct route_call *c, enum rc rc)
{
    struct err err = {0};
    bool rides = c->rider.row != NULL, taken = rides && c->rider.ride.taken;
    store_ride(NULL);
    if (rc == RC_OK)
        return rides ? done_note(c) : RC_OK;
    if (c->audit_skipped || (!taken && (rc != RC_DENIED || !refusal_let(c))))
        return rc;
    if (!rides)
        row_fill(c, "");
    c->audit.outcome = rc_name(rc);
    if (audit_write(c->server->audit, &c->audit, &err) != RC_OK)
        log_err(&err, "a row of the audit log could not be written");
    return rc;
}

void audit_skip(struct route_call *c)
{
    store_ride(NULL);
    c->rider.row = NULL;
    c->audit_skipped = true;
}

void audit_now(struct route_call *c, const char *outcome)
{
    struct err err = {0};
    row_fill(c, outcome);
    if (audit_write(c->server->audit, &c->audit, &err) != RC_OK)
        log_err(&err, "a row of the audit log could not be written");
}

enum rc audit_read(struct route_call *c)
{
    if (!reading_noted(c))
        return RC_OK;
    row_fill(c, "done");
    return audit_write(c->server->audit, &c->audit, &c->err);
}

void audit_failed(struct route_call *c, enum rc rc)
{
    row_fill(c, rc_name(rc));
    audit_write_later(c->server->audit, &c->audit);
}

void audit_asked(struct route_call *c)
{
    if (!changes(c->route))
        return;
    row_fill(c, "asked");
    audit_write_later(c->server->audit, &c->audit);
}

void audit_refused(struct route_call *c)
{
    if (!c->route || !refusal_let(c))
        return;
    row_fill(c, "denied");
    audit_write_later(c->server->audit, &c->audit);
}

void audit_untold(struct server *s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t n = refusals_untold(s->refusals, clock_mono_ns());
    struct err err = {0};
    if (!n)
        return;
    struct audit_row row = {.actor = "",
                            .actor_kind = principal_by_name(CAME_UNKNOWN),
                            .credential = "",
                            .address = "",
                            .action = "refusals",
                            .object = "",
                            .before = "",
                            .after = mem_printf(tmp, "{\"not_written\":%lld}", (long long)n),
                            .outcome = "denied"};
    if (audit_write(s->audit, &row, &err) != RC_OK)
        log_err(&err, "a row of the audit log could not be written");
}
