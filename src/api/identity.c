/* Who sends a request: from the key or token in its headers, the cookie of a browser, its certificate, else from the
 * way it came. */
#include "api/server_room.h"
#include "base/clock.h"

struct str identity_token(const struct http_request *r)
{
    struct str token = http_credential(r);
    return token_is(token) || r->peer.origin != HTTP_BY_UNIX ? token : STR("");
}

/* ---- cookies ---- */

/* The port of the address that the browser knows: cookies are shared by all ports of a host, so it is in the name. */
static uint16_t host_port(struct str host, bool secure)
{
    int64_t port = secure ? 443 : 80;
    size_t end = host.n;
    while (end > 0 && host.p[end - 1] != ':' && host.p[end - 1] != ']')
        end--;
    if (end > 0 && host.p[end - 1] == ':')
        str_int(str_sub(host, end, host.n), 1, 65535, &port);
    return (uint16_t)port;
}

bool identity_secure(const struct http_request *r)
{
    return r->peer.https || str_starts(http_header(r, "origin"), STR("https://"));
}

char *identity_cookie_name(mem *ctx, const struct http_request *r, bool secure)
{
    return mem_printf(ctx, "%snightmill_%u", secure ? "__Host-" : "", host_port(http_header(r, "host"), secure));
}

char *identity_cookie_line(mem *ctx, const char *name, bool secure, const char *token, int64_t seconds)
{
    return mem_printf(ctx, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s", name, token,
                      (long long)seconds, secure ? "; Secure" : "");
}

/* The value of one cookie; empty when it is not there, or there twice (somebody planted a second one). */
static struct str cookie_find(const struct http_request *r, struct str name)
{
    struct str found = STR("");
    bool any = false;
    for (size_t i = 0; i < r->field_count; i++) {
        struct str rest = r->fields[i].value, pair;
        if (!str_ieq(r->fields[i].name, STR("cookie")))
            continue;
        while (str_next(&rest, ';', &pair)) {
            pair = str_trim(pair);
            if (pair.n <= name.n || pair.p[name.n] != '=' || !str_starts(pair, name))
                continue;
            if (any)
                return STR("");
            any = true;
            found = str_sub(pair, name.n + 1, pair.n);
        }
    }
    return found;
}

/* Behind a proxy that ends TLS the page is https though the connection is not. */
static struct str cookie_token(const struct http_request *r)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str token = cookie_find(r, str_of(identity_cookie_name(tmp, r, true)));
    return token.n || r->peer.tls ? token : cookie_find(r, str_of(identity_cookie_name(tmp, r, false)));
}

/* ---- what is shown ---- */

struct shown identity_shown(const struct http_request *r)
{
    struct str token = identity_token(r);
    if (token.n)
        return (struct shown){token_is(token) ? SHOWN_KEY : SHOWN_ACCESS_TOKEN, token};
    if (r->peer.origin == HTTP_BY_UNIX)
        return (struct shown){SHOWN_SOCKET, STR("")};
    token = cookie_token(r);
    if (token.n)
        return (struct shown){SHOWN_COOKIE, token};
    return r->peer.subject ? (struct shown){SHOWN_CERTIFICATE, str_of(r->peer.subject)}
                           : (struct shown){SHOWN_NOTHING, STR("")};
}

static enum rc certificate_check(mem *ctx, struct server *s, const char *subject, struct principal *ret,
                                 struct err *err)
{
    struct user u;
    enum rc rc = user_by_subject(ctx, s->store, subject, &u, err);
    if (rc == RC_OK)
        rc = principal_of_user(ctx, s->store, u.id, ret, err);
    if (rc == RC_OK)
        ret->by = CAME_BY_CERTIFICATE;
    if (rc != RC_NOT_FOUND)
        return rc;
    err_set(err, RC_DENIED, "the client's certificate is no user's");
    return err_hint(err, "nightmill user add NAME --certificate SUBJECT makes a user of it");
}

enum rc identity_check(mem *ctx, struct server *s, const struct shown *shown, struct principal *ret, struct err *err)
{
    int64_t now = clock_wall_ns();
    switch (shown->kind) {
    case SHOWN_ACCESS_TOKEN:
        if (access_token_is(shown->text))
            return access_token_check(ctx, s->access_tokens, shown->text, now, ret, err);
        return auth_check(ctx, s->auth, shown->text, true, now, ret, err);
    case SHOWN_KEY:
        return auth_check(ctx, s->auth, shown->text, true, now, ret, err);
    case SHOWN_COOKIE:
        return session_check(ctx, s->sessions, shown->text, now, ret, err);
    case SHOWN_CERTIFICATE:
        return certificate_check(ctx, s, str_dup(ctx, shown->text), ret, err);
    case SHOWN_SOCKET:
        *ret = principal_owner();
        return RC_OK;
    case SHOWN_NOTHING:
        break;
    }
    return err_set(err, RC_DENIED, "who asks is not known");
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
    if (access_token_is(str_of(token))) {
        enum rc rc = access_token_check(ctx, s->access_tokens, str_of(token), clock_wall_ns(), &ret->who, err);
        principal_settle(&ret->who);
        return rc;
    }
    if (*token)
        return board_token_task(ctx, &s->board, token, &ret->task_id, err);
    if (trusted) {
        ret->who = principal_owner();
        return RC_OK;
    }
    err_set(err, RC_DENIED, "who asks is not known");
    return err_hint(err, "send a key as \"Authorization: Bearer nm_...\"; make one with: nightmill key create NAME");
}
