/* Logins of browsers: who am I, log in, log out, the first owner, one's own password and sessions. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/log.h"

#define SECOND_NS INT64_C(1000000000)

static struct session_place place_of(const struct route_call *c)
{
    return (struct session_place){c->address, c->agent};
}

static void grants_json(struct json_out *o, const struct principal *p)
{
    jo_arr(o);
    for (size_t i = 0; i < p->grant_n; i++) {
        jo_obj(o);
        jo_kz(o, "project", p->grants[i].project);
        jo_kz(o, "role", role_name(p->grants[i].access));
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void self_json(struct json_out *o, const struct principal *p)
{
    jo_key(o, "user");
    if (!p->user_id && p->by != CAME_BY_SOCKET) {
        jo_null(o);
        return;
    }
    jo_obj(o);
    jo_kz(o, "id", p->user_id ? p->user_id : "");
    jo_kz(o, "name", p->user_id ? p->user : p->name);
    jo_kz(o, "role", role_name(p->access));
    jo_key(o, "projects");
    grants_json(o, p);
    jo_end_obj(o);
}

/* The routes that it may ask for, of some project at least: so a page shows no more than it may, by the same rows of
 * the register that the server decides by. */
static void may_json(struct route_call *c, const struct principal *p)
{
    jo_key(&c->out, "may");
    jo_arr(&c->out);
    for (size_t i = 0; i < route_count; i++)
        if (permission_may(p, routes[i]))
            jo_z(&c->out, route_names[i]);
    jo_end_arr(&c->out);
}

/* What a page needs to know of who looks at it. */
static enum rc session_json(struct route_call *c, const struct principal *p)
{
    struct json_out *o = &c->out;
    struct session row;
    bool needed = false;
    enum rc rc = account_setup_needed(&c->server->accounts, &needed, &c->err);
    bool session = rc == RC_OK && p->session_id && !session_find(c->ctx, c->server->store, p->session_id, &row, NULL);
    if (rc != RC_OK)
        return rc;
    jo_obj(o);
    jo_kb(o, "setup_needed", needed);
    self_json(o, p);
    jo_kz(o, "access", access_name(principal_most(p)));
    may_json(c, p);
    jo_key(o, "session");
    if (session) {
        jo_obj(o);
        jo_kz(o, "id", row.id);
        jo_kz(o, "created_at", clock_rfc3339(c->ctx, row.created_ns));
        jo_kz(o, "expires_at", clock_rfc3339(c->ctx, row.expires_ns));
        jo_end_obj(o);
    } else {
        jo_null(o);
    }
    jo_kz(o, "build", NIGHTMILL_VERSION);
    jo_end_obj(o);
    return RC_OK;
}

static enum rc session_show(struct route_call *c)
{
    return session_json(c, &c->principal);
}

/* The answer to a login: the cookie, and who it is now. */
static enum rc login_answer(struct route_call *c, struct login *l)
{
    struct principal p;
    int64_t now = clock_wall_ns(), longest = sessions_rules(c->server->sessions)->longest_ns;
    enum rc rc = session_check(c->ctx, c->server->sessions, str_of(l->token.text), now, &p, &c->err);
    if (rc == RC_OK)
        route_line(c, identity_cookie_line(c->ctx, c->cookie_name, c->secure, l->token.text, longest / SECOND_NS));
    opaque_wipe(&l->token);
    return rc ? rc : session_json(c, &p);
}

static void retry_line(struct route_call *c, const struct login *l)
{
    if (c->err.rc == RC_LIMIT && l->retry_ns)
        route_line(c, mem_printf(c->ctx, "Retry-After: %lld", (long long)((l->retry_ns + SECOND_NS - 1) / SECOND_NS)));
}

struct login_input {
    const char *name, *password, *token;
};
static const struct json_bind login_table[] = {
    BIND(login_input, name, BIND_STR, true, 0, 1000),
    BIND(login_input, password, BIND_STR, true, 0, 4000),
};
static const struct json_bind setup_table[] = {
    BIND(login_input, token, BIND_STR, true, 0, 200),
    BIND(login_input, name, BIND_STR, false, 0, 1000),
    BIND(login_input, password, BIND_STR, true, 0, 4000),
};

/* A browser that logs in anew has no use for its former session. */
static enum rc former_end(struct route_call *c)
{
    return c->principal.by == CAME_BY_SESSION ? account_logout(&c->server->accounts, c->principal.session_id, &c->err)
                                              : RC_OK;
}

/* Whose login it is, in the audit log. What names nobody is left out: it may be a password in the wrong field. */
static void name_note(struct route_call *c, const char *name)
{
    struct user u;
    if (user_by_name(c->ctx, c->server->store, name, &u, NULL) != RC_OK)
        return;
    c->audit.actor = c->audit.object = u.name;
    c->told_user = u.id;
}

static enum rc session_post(struct route_call *c)
{
    struct login_input in = {0};
    struct login l = {0};
    struct session_place place = place_of(c);
    c->secret = true;
    enum rc rc = json_bind(c->ctx, c->json, login_table, sizeof login_table / sizeof *login_table, true, &in, &c->err);
    if (rc == RC_OK)
        name_note(c, in.name);
    if (rc == RC_OK)
        rc = account_login(c->ctx, &c->server->accounts, in.name, str_of(in.password), &place, clock_wall_ns(), &l,
                           &c->err);
    if (rc == RC_OK)
        rc = former_end(c);
    retry_line(c, &l);
    c->failed_status = rc == RC_DENIED ? 401 : 0;
    return rc ? rc : login_answer(c, &l);
}

static enum rc session_delete(struct route_call *c)
{
    enum rc rc = RC_OK;
    if (c->principal.session_id)
        rc = account_logout(&c->server->accounts, c->principal.session_id, &c->err);
    route_line(c, identity_cookie_line(c->ctx, c->cookie_name, c->secure, "", 0));
    c->status = 204;
    return rc;
}

static enum rc setup_post(struct route_call *c)
{
    struct login_input in = {.name = ""};
    struct login l = {0};
    struct session_place place = place_of(c);
    c->secret = true;
    enum rc rc = json_bind(c->ctx, c->json, setup_table, sizeof setup_table / sizeof *setup_table, true, &in, &c->err);
    c->audit.actor = "link";
    if (rc == RC_OK && user_name_valid(in.name))
        c->audit.object = in.name;
    if (rc == RC_OK)
        rc = account_setup(c->ctx, &c->server->accounts, str_of(in.token), in.name, str_of(in.password), &place,
                           clock_wall_ns(), &l, &c->err);
    if (rc == RC_DENIED)
        log_warn("a link was refused (%s): %s", *c->address ? c->address : "Unix socket", c->err.sentence);
    c->failed_status = rc == RC_DENIED ? 401 : 0;
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    return login_answer(c, &l);
}

void ticket_json(struct route_call *c, const struct opaque *t, int64_t now_ns)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "token", t->text);
    jo_kz(o, "path", mem_printf(c->ctx, "/setup#%s", t->text));
    jo_kz(o, "expires_at", clock_rfc3339(c->ctx, now_ns + TICKET_HOLDS));
    jo_end_obj(o);
}

static enum rc setup_link(struct route_call *c)
{
    struct opaque t;
    int64_t now = clock_wall_ns();
    enum rc rc = account_ticket(&c->server->accounts, "setup", "", now, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    ticket_json(c, &t, now);
    opaque_wipe(&t);
    return RC_OK;
}

struct password_input {
    const char *old, *password;
};
static const struct json_bind password_table[] = {
    BIND(password_input, old, BIND_STR, true, 0, 4000),
    BIND(password_input, password, BIND_STR, true, 0, 4000),
};

static enum rc password_post(struct route_call *c)
{
    struct password_input in = {0};
    struct login l = {0};
    c->secret = true;
    enum rc rc =
        json_bind(c->ctx, c->json, password_table, sizeof password_table / sizeof *password_table, true, &in, &c->err);
    if (rc == RC_OK && c->principal.by != CAME_BY_SESSION && c->principal.by != CAME_BY_TOKEN)
        rc = err_set(&c->err, RC_DENIED, "a password is changed by its user, after a login");
    if (rc == RC_OK)
        rc = account_password(c->ctx, &c->server->accounts, &c->principal, str_of(in.old), str_of(in.password),
                              c->address, clock_wall_ns(), &l, &c->err);
    retry_line(c, &l);
    c->status = rc ? c->status : 204;
    return rc;
}

/* ---- sessions ---- */

static enum rc sessions_list(struct route_call *c)
{
    struct session *rows;
    size_t n = 0;
    const char *user = route_query(c, "user"), *own = c->principal.user_id;
    bool others = user && (!own || strcmp(user, own) != 0);
    if (others && principal_may(&c->principal, ACCESS_ADMIN, &c->err) != RC_OK)
        return RC_DENIED;
    if (others && c->principal.project[0])
        return err_set(&c->err, RC_DENIED, "a key of one project sees no sessions");
    user = others ? user : own ? own : "";
    enum rc rc = session_list(c->ctx, c->server->store, user, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_key(o, "sessions");
    jo_arr(o);
    for (size_t i = 0; i < n && *user; i++) {
        jo_obj(o);
        jo_kz(o, "id", rows[i].id);
        jo_kz(o, "user", rows[i].user_id);
        jo_kz(o, "kind", rows[i].kind);
        jo_kz(o, "address", rows[i].address);
        jo_kz(o, "agent", rows[i].agent);
        jo_kz(o, "created_at", clock_rfc3339(c->ctx, rows[i].created_ns));
        jo_kz(o, "seen_at", clock_rfc3339(c->ctx, rows[i].seen_ns));
        jo_kz(o, "expires_at", clock_rfc3339(c->ctx, rows[i].expires_ns));
        jo_kb(o, "current", c->principal.session_id && strcmp(rows[i].id, c->principal.session_id) == 0);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
    return RC_OK;
}

static enum rc session_revoke(struct route_call *c)
{
    struct session row;
    const char *own = c->principal.user_id;
    enum rc rc = session_find(c->ctx, c->server->store, c->param, &row, &c->err);
    bool mine = rc == RC_OK && own && strcmp(row.user_id, own) == 0;
    c->told_user = rc == RC_OK ? row.user_id : NULL;
    if (rc == RC_OK && !mine && (c->principal.project[0] || principal_may(&c->principal, ACCESS_ADMIN, NULL) != RC_OK))
        rc = err_set(&c->err, RC_NOT_FOUND, "there is no such session");
    if (rc == RC_OK)
        rc = account_logout(&c->server->accounts, row.id, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_kz(&c->out, "removed", row.id);
    jo_end_obj(&c->out);
    return RC_OK;
}

const struct route route_session_show = {.method = "GET",
                                         .pattern = "/api/v1/session",
                                         .summary = "who asks, and whether an owner is still to be made",
                                         .handle = session_show,
                                         .open = true,
                                         .known = true,
                                         .gives = "SessionState"};
const struct route route_session_post = {.method = "POST",
                                         .pattern = "/api/v1/session",
                                         .summary = "log in; the session is a cookie",
                                         .handle = session_post,
                                         .open = true,
                                         .known = true,
                                         .logs_in = true,
                                         .slow = true,
                                         .takes = "Login",
                                         .gives = "SessionState",
                                         .tells = "session"};
const struct route route_session_delete = {.method = "DELETE",
                                           .pattern = "/api/v1/session",
                                           .summary = "log out",
                                           .handle = session_delete,
                                           .open = true,
                                           .known = true,
                                           .logs_in = true,
                                           .tells = "session"};
const struct route route_setup_post = {.method = "POST",
                                       .pattern = "/api/v1/setup",
                                       .summary = "make the owner, or set a password, by a link; logs in",
                                       .handle = setup_post,
                                       .open = true,
                                       .logs_in = true,
                                       .slow = true,
                                       .takes = "Setup",
                                       .gives = "SessionState",
                                       .tells = "user"};
const struct route route_setup_link = {.method = "POST",
                                       .pattern = "/api/v1/setup_link",
                                       .summary = "a fresh link that makes the first owner; the former one ends",
                                       .handle = setup_link,
                                       .gives = "Ticket"};
const struct route route_password_post = {.method = "POST",
                                          .pattern = "/api/v1/password",
                                          .summary = "change one's own password; other sessions end",
                                          .handle = password_post,
                                          .slow = true,
                                          .narrow = NARROW_OWN,
                                          .takes = "PasswordChange",
                                          .tells = "session"};
const struct route route_sessions_list = {.method = "GET",
                                          .pattern = "/api/v1/sessions",
                                          .summary = "one's own logins, newest first; of another user for admins",
                                          .handle = sessions_list,
                                          .narrow = NARROW_OWN,
                                          .query = "user",
                                          .gives = "Sessions"};
const struct route route_session_revoke = {.method = "DELETE",
                                           .pattern = "/api/v1/sessions/:id",
                                           .summary = "end a login at once",
                                           .handle = session_revoke,
                                           .narrow = NARROW_OWN,
                                           .gives = "Removed",
                                           .tells = "session"};
