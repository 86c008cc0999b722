/* Access tokens for programs: by a password, a refresh token or a key. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/log.h"

#define SECOND_NS INT64_C(1000000000)

struct token_input {
    const char *grant, *name, *password, *refresh_token, *key;
};
static const struct json_bind input_table[] = {
    BIND(token_input, grant, BIND_STR, true, 0, 20),       BIND(token_input, name, BIND_STR, false, 0, 1000),
    BIND(token_input, password, BIND_STR, false, 0, 4000), BIND(token_input, refresh_token, BIND_STR, false, 0, 200),
    BIND(token_input, key, BIND_STR, false, 0, 200),
};

static enum rc by_password(struct route_call *c, const struct token_input *in, struct token_pair *ret)
{
    struct login l;
    struct session_place place = {c->address, c->agent};
    int64_t now = clock_wall_ns();
    enum rc rc =
        account_verify(c->ctx, &c->server->accounts, in->name, str_of(in->password), c->address, now, &l, &c->err);
    if (rc == RC_LIMIT && l.retry_ns)
        route_line(c, mem_printf(c->ctx, "Retry-After: %lld", (long long)((l.retry_ns + SECOND_NS - 1) / SECOND_NS)));
    if (rc == RC_OK)
        c->audit.actor = c->audit.object = l.name;
    return rc ? rc : access_token_begin(c->ctx, c->server->access_tokens, l.user_id, &place, now, ret, &c->err);
}

static enum rc by_key(struct route_call *c, const struct token_input *in, struct token_pair *ret)
{
    struct principal who;
    struct session_place place = {c->address, c->agent};
    int64_t now = clock_wall_ns();
    enum rc rc = auth_check(c->ctx, c->server->auth, str_of(in->key), true, now, &who, &c->err);
    if (rc == RC_OK)
        c->audit.actor = c->audit.object = who.name;
    return rc ? rc : access_token_of_key(c->ctx, c->server->access_tokens, &who, &place, now, ret, &c->err);
}

static enum rc token_post(struct route_call *c)
{
    struct token_input in = {.name = "", .password = "", .refresh_token = "", .key = ""};
    struct token_pair pair = {0};
    c->secret = true;
    enum rc rc = json_bind(c->ctx, c->json, input_table, sizeof input_table / sizeof *input_table, true, &in, &c->err);
    if (rc != RC_OK)
        return rc;
    if (strcmp(in.grant, "refresh") == 0)
        audit_skip(c); /* goes on with what was begun: no act of its own, unless it is refused as stolen */
    if (strcmp(in.grant, "password") == 0)
        rc = by_password(c, &in, &pair);
    else if (strcmp(in.grant, "refresh") == 0)
        rc = access_token_refresh(c->ctx, c->server->access_tokens, str_of(in.refresh_token), clock_wall_ns(), &pair,
                                  &c->err);
    else if (strcmp(in.grant, "key") == 0)
        rc = by_key(c, &in, &pair);
    else
        rc = err_set(&c->err, RC_INVALID, "grant is password, refresh or key");
    if (pair.stolen) {
        log_warn("a refresh token came again after its time (%s): its login has ended", c->address);
        route_audit(c, pair.session_id, NULL, "a used refresh token came again; the login has ended");
        audit_now(c, "denied");
    }
    c->failed_status = rc == RC_DENIED ? 401 : 0;
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_kz(&c->out, "access_token", pair.access);
    jo_kz(&c->out, "token_type", "Bearer");
    jo_ki(&c->out, "expires_in", ACCESS_TOKEN_HOLDS / SECOND_NS);
    jo_kz(&c->out, "refresh_token", pair.refresh.text[0] ? pair.refresh.text : NULL);
    jo_end_obj(&c->out);
    opaque_wipe(&pair.refresh);
    return RC_OK;
}

/* Only a password is heavy: many refreshes at once are not held up by the lane's places. */
static void token_on_loop(struct route_call *c)
{
    route_run(c, str_find(c->body, STR("\"password\"")) >= 0);
}

const struct route route_token_post = {.method = "POST",
                                       .pattern = "/api/v1/token",
                                       .summary = "an access token for a password, a refresh token or a key",
                                       .handle = token_post,
                                       .on_loop = token_on_loop,
                                       .open = true,
                                       .logs_in = true,
                                       .takes = "TokenInput",
                                       .gives = "TokenPair",
                                       .tells = "session"};
