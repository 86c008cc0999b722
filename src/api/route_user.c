/* Users: listed, made, changed, given roles in projects, removed. For admins of the whole installation; what concerns
 * owners is for owners. The last owner stays. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/key.h"

static void roles_json(struct json_out *o, const char *user_id, const struct user_role *roles, size_t n)
{
    jo_arr(o);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(roles[i].user_id, user_id) != 0)
            continue;
        jo_obj(o);
        jo_kz(o, "project", roles[i].project);
        jo_kz(o, "role", roles[i].role);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static char *user_version(mem *ctx, const struct user *u, const struct user_role *roles, size_t n)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    buf_printf(&b, "%s\n%s\n%s\n%d", u->name, u->role, u->subject, u->disabled_ns != 0);
    for (size_t i = 0; i < n; i++)
        if (strcmp(roles[i].user_id, u->id) == 0)
            buf_printf(&b, "\n%s %s", roles[i].role, roles[i].project);
    return version_of(ctx, buf_view(&b).p);
}

static void user_json(struct route_call *c, const struct user *u, const struct user_role *roles, size_t n,
                      const struct opaque *ticket, int64_t now_ns)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "id", u->id);
    jo_kz(o, "name", u->name);
    jo_kz(o, "kind", u->kind);
    jo_kz(o, "role", u->role);
    jo_key(o, "projects");
    roles_json(o, u->id, roles, n);
    jo_kz(o, "subject", u->subject);
    jo_kb(o, "disabled", u->disabled_ns != 0);
    jo_kb(o, "has_password", *u->password != '\0');
    jo_kz(o, "created_at", clock_rfc3339(c->ctx, u->created_ns));
    jo_kz(o, "seen_at", u->seen_ns ? clock_rfc3339(c->ctx, u->seen_ns) : NULL);
    jo_kz(o, "version", user_version(c->ctx, u, roles, n));
    if (ticket) {
        jo_key(o, "setup");
        ticket_json(c, ticket, now_ns);
    }
    jo_end_obj(o);
}

/* By id, or by name (no name has 7 characters that are an id's and is looked for as one first). */
static enum rc user_named(struct route_call *c, struct user *ret)
{
    enum rc rc = user_find(c->ctx, c->server->store, c->param, ret, &c->err);
    return rc == RC_NOT_FOUND ? user_by_name(c->ctx, c->server->store, c->param, ret, &c->err) : rc;
}

static enum rc version_now(struct route_call *c, const char **ret)
{
    struct user u;
    struct user_role *roles;
    size_t n = 0;
    enum rc rc = user_named(c, &u);
    rc = rc ? rc : user_role_list(c->ctx, c->server->store, u.id, &roles, &n, &c->err);
    *ret = rc ? NULL : user_version(c->ctx, &u, roles, n);
    return rc;
}

static enum rc user_answer(struct route_call *c, const struct user *u, const struct opaque *ticket, int64_t now_ns)
{
    struct user_role *roles;
    size_t n = 0;
    enum rc rc = user_role_list(c->ctx, c->server->store, u->id, &roles, &n, &c->err);
    if (rc == RC_OK)
        user_json(c, u, roles, n, ticket, now_ns);
    return rc;
}

static enum rc users_list(struct route_call *c)
{
    struct user *rows;
    struct user_role *roles;
    size_t n = 0, role_n = 0;
    enum rc rc = user_list(c->ctx, c->server->store, &rows, &n, &c->err);
    if (rc == RC_OK)
        rc = user_role_list(c->ctx, c->server->store, NULL, &roles, &role_n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "users");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        user_json(c, &rows[i], roles, role_n, NULL, 0);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc user_show(struct route_call *c)
{
    struct user u;
    enum rc rc = user_named(c, &u);
    return rc ? rc : user_answer(c, &u, NULL, 0);
}

/* Nobody gives more than he has, and only owners touch owners. */
static enum rc may_touch(struct route_call *c, const char *role)
{
    if (strcmp(role, "owner") != 0 || principal_may(&c->principal, ACCESS_OWNER, NULL) == RC_OK)
        return RC_OK;
    err_set(&c->err, RC_DENIED, "owners are made and changed by owners");
    return err_hint(&c->err, "log in as an owner, or run it as the user of the daemon");
}

struct user_input {
    const char *name, *kind, *role, *subject;
};
static const struct json_bind input_table[] = {
    BIND(user_input, name, BIND_STR, true, 1, 1000),
    BIND(user_input, kind, BIND_STR, false, 0, 16),
    BIND(user_input, role, BIND_STR, false, 0, 16),
    BIND(user_input, subject, BIND_STR, false, 0, 1000),
};

struct making {
    struct user *user;
    struct ticket *ticket; /* NULL: a service account has no password */
};

static enum rc user_make_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct making *m = arg;
    enum rc rc = user_insert(tx, m->user, err);
    return rc || !m->ticket ? rc : ticket_insert(tx, m->ticket, err);
}

static enum rc user_create(struct route_call *c)
{
    struct user_input in = {.kind = "person", .role = "", .subject = ""};
    struct opaque token;
    int64_t now = clock_wall_ns();
    enum rc rc = json_bind(c->ctx, c->json, input_table, sizeof input_table / sizeof *input_table, true, &in, &c->err);
    if (rc == RC_OK && strcmp(in.kind, "person") != 0 && strcmp(in.kind, "service") != 0)
        rc = err_set(&c->err, RC_INVALID, "the kind of a user is person or service");
    if (rc == RC_OK)
        rc = may_touch(c, in.role);
    if (rc != RC_OK)
        return rc;
    bool person = strcmp(in.kind, "person") == 0;
    struct user u = {.id = id_new(c->ctx, 7),
                     .name = in.name,
                     .kind = in.kind,
                     .role = in.role,
                     .password = "",
                     .subject = in.subject,
                     .created_ns = now,
                     .changed_ns = now};
    opaque_new(TICKET_WORD, &token);
    struct ticket t = {.hash = str_n((const char *)token.hash, HASH_SHA256),
                       .kind = "password",
                       .user_id = u.id,
                       .created_ns = now,
                       .expires_ns = now + TICKET_HOLDS};
    struct making making = {&u, person ? &t : NULL};
    rc = store_write(c->server->store, user_make_tx, &making, &c->err);
    if (rc == RC_OK) {
        c->status = 201;
        rc = user_answer(c, &u, person ? &token : NULL, now);
    }
    opaque_wipe(&token);
    return rc;
}

struct changing {
    struct user *user;
    bool disable, owner_before;
    int64_t now_ns;
};

static enum rc user_change_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct changing *ch = arg;
    int64_t others = 0;
    enum rc rc = RC_OK;
    bool owner_after = strcmp(ch->user->role, "owner") == 0 && !ch->user->disabled_ns;
    if (ch->owner_before && !owner_after)
        rc = user_owners_tx(tx, ch->user->id, &others, err);
    if (rc == RC_OK && ch->owner_before && !owner_after && !others) {
        err_set(err, RC_CONFLICT, "the last owner stays one");
        return err_hint(err, "make another user an owner first");
    }
    if (rc == RC_OK)
        rc = user_update(tx, ch->user, err);
    if (rc == RC_OK && ch->user->disabled_ns)
        rc = session_remove_of(tx, ch->user->id, "", err);
    return rc;
}

static enum rc user_patch(struct route_call *c)
{
    struct user u;
    struct json name = json_get(c->json, "name"), role = json_get(c->json, "role"),
                subject = json_get(c->json, "subject"), disabled = json_get(c->json, "disabled");
    enum rc rc = user_named(c, &u);
    if (rc == RC_OK)
        rc = may_touch(c, u.role);
    if (rc != RC_OK)
        return rc;
    const char *before = mem_printf(c->ctx, "{\"role\":\"%s\",\"subject\":\"%s\",\"disabled\":%s}", u.role,
                                    *u.subject ? "(set)" : "", u.disabled_ns ? "true" : "false");
    struct changing ch = {.user = &u, .owner_before = strcmp(u.role, "owner") == 0 && !u.disabled_ns};
    u.name = json_z(c->ctx, name, u.name);
    u.role = json_z(c->ctx, role, u.role);
    u.subject = json_z(c->ctx, subject, u.subject);
    u.changed_ns = clock_wall_ns();
    if (json_is(disabled))
        u.disabled_ns = !json_bool(disabled, false) ? 0 : u.disabled_ns ? u.disabled_ns : u.changed_ns;
    rc = may_touch(c, u.role);
    route_audit(c, u.name, before, NULL);
    if (rc == RC_OK)
        rc = store_write(c->server->store, user_change_tx, &ch, &c->err);
    sessions_forget(c->server->sessions);
    return rc ? rc : user_answer(c, &u, NULL, 0);
}

struct removing {
    const struct user *user;
    int64_t now_ns;
};

static enum rc user_remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct removing *r = arg;
    int64_t others = 0;
    enum rc rc = user_owners_tx(tx, r->user->id, &others, err);
    if (rc == RC_OK && strcmp(r->user->role, "owner") == 0 && !others)
        return err_set(err, RC_CONFLICT, "the last owner stays one");
    if (rc == RC_OK)
        rc = user_key_revoke_of(tx, r->user->id, r->now_ns, err);
    return rc ? rc : user_remove(tx, r->user->id, err);
}

static enum rc user_delete(struct route_call *c)
{
    struct user u;
    enum rc rc = user_named(c, &u);
    if (rc == RC_OK)
        rc = may_touch(c, u.role);
    if (rc == RC_OK)
        route_audit(c, u.name, mem_printf(c->ctx, "{\"role\":\"%s\"}", u.role), NULL);
    struct removing job = {&u, clock_wall_ns()};
    if (rc == RC_OK)
        rc = store_write(c->server->store, user_remove_tx, &job, &c->err);
    sessions_forget(c->server->sessions);
    auth_forget_all(c->server->auth);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_kz(&c->out, "removed", u.id);
    jo_end_obj(&c->out);
    return RC_OK;
}

struct role_input {
    const char *project, *role;
};
static const struct json_bind role_table[] = {
    BIND(role_input, project, BIND_STR, true, 1, 4096),
    BIND(role_input, role, BIND_STR, true, 0, 16),
};

static enum rc role_put_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return user_role_put(tx, arg, err);
}

static enum rc user_role_set(struct route_call *c)
{
    struct role_input in = {0};
    struct user u;
    enum rc rc = json_bind(c->ctx, c->json, role_table, sizeof role_table / sizeof *role_table, true, &in, &c->err);
    if (rc == RC_OK)
        rc = user_named(c, &u);
    if (rc != RC_OK)
        return rc;
    route_audit(c, u.name, NULL, NULL);
    struct user_role row = {u.id, in.project, in.role};
    rc = store_write(c->server->store, role_put_tx, &row, &c->err);
    sessions_forget(c->server->sessions);
    return rc ? rc : user_answer(c, &u, NULL, 0);
}

static enum rc user_reset(struct route_call *c)
{
    struct user u;
    struct opaque t;
    int64_t now = clock_wall_ns();
    enum rc rc = user_named(c, &u);
    if (rc == RC_OK)
        rc = may_touch(c, u.role);
    if (rc == RC_OK && strcmp(u.kind, "person") != 0)
        rc = err_set(&c->err, RC_INVALID, "a service account has no password: give it a key");
    if (rc == RC_OK && u.disabled_ns)
        rc = err_set(&c->err, RC_CONFLICT, "the user %s is disabled", u.name);
    if (rc == RC_OK)
        route_audit(c, u.name, NULL, NULL);
    if (rc == RC_OK)
        rc = account_ticket(&c->server->accounts, "password", u.id, now, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    ticket_json(c, &t, now);
    opaque_wipe(&t);
    return RC_OK;
}

const struct route route_users_list = {.method = "GET",
                                       .pattern = "/api/v1/users",
                                       .summary = "users with their roles, by name",
                                       .handle = users_list,
                                       .access = ACCESS_ADMIN,
                                       .gives = "Users"};
const struct route route_user_create = {.method = "POST",
                                        .pattern = "/api/v1/users",
                                        .summary = "make a user; a person sets a password by the link",
                                        .handle = user_create,
                                        .access = ACCESS_ADMIN,
                                        .takes = "UserInput",
                                        .gives = "User",
                                        .tells = "user"};
const struct route route_user_show = {.method = "GET",
                                      .pattern = "/api/v1/users/:id",
                                      .summary = "one user, by id or name",
                                      .handle = user_show,
                                      .access = ACCESS_ADMIN,
                                      .gives = "User"};
const struct route route_user_patch = {.method = "PATCH",
                                       .pattern = "/api/v1/users/:id",
                                       .summary = "change a user; what is not given stays",
                                       .handle = user_patch,
                                       .access = ACCESS_ADMIN,
                                       .takes = "UserChange",
                                       .gives = "User",
                                       .tells = "user",
                                       .version = version_now};
const struct route route_user_delete = {.method = "DELETE",
                                        .pattern = "/api/v1/users/:id",
                                        .summary = "remove a user; its sessions and keys end",
                                        .handle = user_delete,
                                        .access = ACCESS_ADMIN,
                                        .gives = "Removed",
                                        .tells = "user",
                                        .version = version_now};
const struct route route_user_role_set = {.method = "PUT",
                                          .pattern = "/api/v1/users/:id/roles",
                                          .summary = "give a role in a project, or with \"\" take it away",
                                          .handle = user_role_set,
                                          .access = ACCESS_ADMIN,
                                          .takes = "ProjectRole",
                                          .gives = "User",
                                          .tells = "user",
                                          .version = version_now};
const struct route route_user_reset = {.method = "POST",
                                       .pattern = "/api/v1/users/:id/reset",
                                       .summary = "a link by which the user sets a new password",
                                       .handle = user_reset,
                                       .access = ACCESS_ADMIN,
                                       .gives = "Ticket",
                                       .tells = "user"};
