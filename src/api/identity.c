/* Who sends a request: from the key in its headers, else from the way it came. */
#include "api/server_room.h"
#include "base/clock.h"

struct str identity_token(const struct http_request *r)
{
    struct str token = http_credential(r);
    return token_is(token) || r->peer.origin != HTTP_BY_UNIX ? token : STR("");
}

enum rc identity_check(mem *ctx, struct server *s, const char *token, struct principal *ret, struct err *err)
{
    return auth_check(ctx, s->auth, str_of(token), true, clock_wall_ns(), ret, err);
}

enum rc gateway_identity(void *server, mem *ctx, const char *token, bool trusted, bool wait, struct caller *ret,
                         struct err *err)
{
    struct server *s = server;
    *ret = (struct caller){0};
    if (token_is(str_of(token)))
        return auth_check(ctx, s->auth, str_of(token), wait, clock_wall_ns(), &ret->who, err);
    if (*token && !wait)
        return RC_AGAIN;
    if (*token)
        return board_token_task(ctx, &s->board, token, &ret->task_id, err);
    if (trusted) {
        ret->who = principal_owner();
        return RC_OK;
    }
    err_set(err, RC_DENIED, "who asks is not known");
    return err_hint(err, "send a key as \"Authorization: Bearer nm_...\"; make one with: nightmill key create NAME");
}
