/* User keys: made, listed, revoked. A key of a project sees and makes keys of that project alone, with no more than it
 * may itself. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/id.h"

#define SECOND_NS INT64_C(1000000000)

static void when_json(struct route_call *c, const char *name, int64_t ns)
{
    jo_kz(&c->out, name, ns ? clock_rfc3339(c->ctx, ns) : NULL);
}

/* token: of a new key, shown this once; else NULL. */
static void key_json(struct route_call *c, const struct user_key *k, const char *token)
{
    struct json_out *o = &c->out;
    int64_t now = clock_wall_ns();
    jo_obj(o);
    jo_kz(o, "id", k->id);
    if (token)
        jo_kz(o, "key", token);
    jo_kz(o, "prefix", mem_printf(c->ctx, "nm_%s", k->prefix));
    jo_kz(o, "name", k->name);
    jo_kz(o, "state", k->revoked_ns ? "revoked" : k->expires_ns && k->expires_ns <= now ? "expired" : "active");
    jo_kz(o, "access", k->access);
    jo_kraw(o, "models", str_of(k->models));
    jo_kz(o, "project", k->project);
    jo_kz(o, "organisation", k->organisation);
    jo_kz(o, "user", k->user);
    jo_kz(o, "account", k->account && *k->account ? k->account : NULL);
    jo_ki(o, "requests_per_minute", k->requests_per_minute);
    jo_ki(o, "tokens_per_minute", k->tokens_per_minute);
    jo_ki(o, "streams", k->streams);
    when_json(c, "created_at", k->created_ns);
    when_json(c, "expires_at", k->expires_ns);
    when_json(c, "last_used_at", k->last_used_ns);
    when_json(c, "revoked_at", k->revoked_ns);
    jo_end_obj(o);
}

static enum rc keys_list(struct route_call *c)
{
    struct user_key *rows;
    size_t n;
    const char *own = c->principal.project, *project = *own ? own : route_query(c, "project");
    enum rc rc = user_key_list(c->ctx, c->server->store, project, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "keys");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        key_json(c, &rows[i], NULL);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

struct key_input {
    const char *name, *access, *project, *organisation, *user, *account;
    const char **models;
    int64_t expires_s, requests_per_minute, tokens_per_minute, streams;
};
#define LIMIT_MOST INT64_C(1000000000000)
static const struct json_bind key_table[] = {
    BIND(key_input, name, BIND_STR, true, 0, 100),
    BIND(key_input, access, BIND_STR, false, 0, 16),
    BIND(key_input, project, BIND_STR, false, 0, 100),
    BIND(key_input, organisation, BIND_STR, false, 0, 100),
    BIND(key_input, user, BIND_STR, false, 0, 100),
    BIND(key_input, account, BIND_STR, false, 0, 100),
    BIND(key_input, models, BIND_STRV, false, 0, 0),
    BIND(key_input, expires_s, BIND_INT, false, 1, INT64_C(3153600000)),
    BIND(key_input, requests_per_minute, BIND_INT, false, 0, LIMIT_MOST),
    BIND(key_input, tokens_per_minute, BIND_INT, false, 0, LIMIT_MOST),
    BIND(key_input, streams, BIND_INT, false, 0, LIMIT_MOST),
};

/* Nobody gives away more than he has. */
static enum rc input_narrow(struct route_call *c, struct key_input *in)
{
    const struct principal *p = &c->principal;
    if (!*in->project)
        in->project = p->project;
    if (!*in->organisation || *p->project)
        in->organisation = p->organisation;
    enum rc rc = principal_project(p, in->project, &c->err);
    if (rc != RC_OK)
        return err_set(&c->err, RC_DENIED, "this key makes keys of the project %s alone", p->project);
    if (!in->models || !in->models[0])
        in->models = (const char **)(uintptr_t)p->models;
    for (const char *const *m = in->models; m && *m && rc == RC_OK; m++)
        rc = principal_model(p, *m, &c->err);
    return rc;
}

/* The user whose key it will be, by id or name: one's own, or for admins of the whole any. */
static enum rc input_account(struct route_call *c, struct key_input *in)
{
    struct user u;
    if (!*in->account)
        return RC_OK;
    enum rc rc = user_find(c->ctx, c->server->store, in->account, &u, &c->err);
    if (rc == RC_NOT_FOUND)
        rc = user_by_name(c->ctx, c->server->store, in->account, &u, &c->err);
    if (rc != RC_OK)
        return rc;
    bool own = c->principal.user_id && strcmp(c->principal.user_id, u.id) == 0;
    if (!own && (c->principal.project[0] || (strcmp(u.role, "owner") == 0 && c->principal.access != ACCESS_OWNER)))
        return err_set(&c->err, RC_DENIED, "keys of the user %s are made by that user and by admins", u.name);
    in->account = u.id;
    if (!*in->user)
        in->user = u.name;
    return RC_OK;
}

static const char *models_json(mem *ctx, const char *const *models)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 65536);
    json_out_init(&o, &b);
    jo_arr(&o);
    for (; models && *models; models++)
        jo_z(&o, *models);
    jo_end_arr(&o);
    return buf_view(&b).p;
}

static enum rc insert_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return user_key_insert(tx, arg, err);
}

static enum rc key_create(struct route_call *c)
{
    struct key_input in = {.access = "use", .project = "", .organisation = "", .user = "", .account = ""};
    struct token token;
    enum rc rc = json_bind(c->ctx, c->json, key_table, sizeof key_table / sizeof *key_table, true, &in, &c->err);
    if (rc == RC_OK && access_find(in.access) == ACCESS_NONE)
        rc = err_set(&c->err, RC_INVALID, "the access of a key is read, use or admin");
    if (rc == RC_OK)
        rc = input_narrow(c, &in);
    if (rc == RC_OK)
        rc = input_account(c, &in);
    if (rc != RC_OK)
        return rc;
    token_new(&token);
    int64_t now = clock_wall_ns();
    struct user_key k = {.id = id_new(c->ctx, 7),
                         .prefix = token.prefix,
                         .hash = str_n((const char *)token.hash, sizeof token.hash),
                         .name = in.name,
                         .access = in.access,
                         .models = models_json(c->ctx, in.models),
                         .project = in.project,
                         .organisation = in.organisation,
                         .user = in.user,
                         .account = in.account,
                         .requests_per_minute = in.requests_per_minute,
                         .tokens_per_minute = in.tokens_per_minute,
                         .streams = in.streams,
                         .created_ns = now,
                         .expires_ns = in.expires_s ? now + in.expires_s * SECOND_NS : 0};
    rc = store_write(c->server->store, insert_tx, &k, &c->err);
    if (rc == RC_OK) {
        c->status = 201;
        key_json(c, &k, token.text);
    }
    explicit_bzero(&token, sizeof token);
    return rc;
}

struct revoking {
    const char *id;
    int64_t now_ns;
};

static enum rc revoke_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct revoking *r = arg;
    return user_key_revoke(tx, r->id, r->now_ns, err);
}

/* By its id, or by its prefix with or without nm_. */
static enum rc key_named(struct route_call *c, struct user_key *ret)
{
    const char *name = strncmp(c->param, "nm_", 3) == 0 ? c->param + 3 : c->param;
    enum rc rc = strlen(name) == TOKEN_PREFIX ? user_key_by_prefix(c->ctx, c->server->store, name, ret, &c->err)
                                              : user_key_find(c->ctx, c->server->store, name, ret, &c->err);
    return rc != RC_OK ? rc : principal_project(&c->principal, ret->project, &c->err);
}

static enum rc key_revoke(struct route_call *c)
{
    struct user_key k;
    enum rc rc = key_named(c, &k);
    if (rc != RC_OK)
        return rc;
    struct revoking job = {.id = k.id, .now_ns = clock_wall_ns()};
    rc = store_write(c->server->store, revoke_tx, &job, &c->err);
    auth_forget(c->server->auth, k.id);
    sessions_forget(c->server->sessions);
    if (rc == RC_OK)
        rc = user_key_find(c->ctx, c->server->store, k.id, &k, &c->err);
    if (rc == RC_OK)
        key_json(c, &k, NULL);
    return rc;
}

const struct route route_keys_list = {"GET",
                                      "/api/v1/keys",
                                      "user keys, newest first",
                                      keys_list,
                                      NULL,
                                      .access = ACCESS_ADMIN,
                                      .narrow = NARROW_ONE,
                                      .query = "project",
                                      .gives = "UserKeys"};
const struct route route_key_create = {"POST",
                                       "/api/v1/keys",
                                       "make a user key; it is shown this once",
                                       key_create,
                                       NULL,
                                       .access = ACCESS_ADMIN,
                                       .narrow = NARROW_ONE,
                                       .takes = "UserKeyInput",
                                       .gives = "UserKey",
                                       .tells = "key",
                                       .creates = true,
                                       .shows_secret = true};
const struct route route_key_revoke = {
    "DELETE",      "/api/v1/keys/:id",     "revoke a user key at once", key_revoke,
    NULL,          .access = ACCESS_ADMIN, .narrow = NARROW_ONE,        .gives = "UserKey",
    .tells = "key"};
