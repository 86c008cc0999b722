/* URLs of servers, strictly: what is not plain is refused rather than guessed at. */
#include "net/url.h"
#include "net/http_parse.h"
#include <ctype.h>

static bool is_host(const char *p, size_t n, bool v6)
{
    for (size_t i = 0; i < n; i++)
        if (!(isalnum((unsigned char)p[i]) && (unsigned char)p[i] < 128) && !strchr(v6 ? ":." : "-._", p[i]))
            return false;
    return n > 0 && n < 256;
}

static bool port_read(struct str text, struct url *u)
{
    int64_t port;
    if (!text.n) /* "host:" is allowed, and says nothing */
        return true;
    if (!str_int(text, 1, 65535, &port))
        return false;
    u->port = (uint16_t)port;
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static bool host_read(mem *ctx, struct str text, struct url *u)
{
    const char *close = text.n && text.p[0] == '[' ? memchr(text.p, ']', text.n) : NULL;
    bool v6 = text.n && text.p[0] == '[';
    const char *colon = close ? close + 1 : memchr(text.p, ':', text.n), *end = text.p + text.n;
    if (v6 && (!close || (close + 1 < end && close[1] != ':')))
        return false;
    const char *host = v6 ? text.p + 1 : text.p;
    size_t n = (size_t)((v6 ? close : colon ? colon : end) - host);
    if (!is_host(host, n, v6))
        return false;
    char *copy = mem_strn(ctx, host, n);
    for (char *c = copy; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 32) : *c;
    u->host = copy;
    return !colon || colon >= end || port_read(str_n(colon + 1, (size_t)(end - colon) - 1), u);
}

static bool user_read(mem *ctx, struct str text, struct url *u)
{
    struct str user;
    if (!http_percent_decode(ctx, text, false, &user))
        return false;
    u->user = mem_printf(ctx, "%.*s%s", STR_FMT(user), memchr(user.p, ':', user.n) ? "" : ":");
    return true;
}

static bool read_all(mem *ctx, const char *text, struct url *u)
{
    static const struct str plain = {"http://", 7}, tls = {"https://", 8};
    struct str all = str_of(text), rest;
    for (size_t i = 0; i < all.n; i++)
        if ((unsigned char)all.p[i] <= ' ' || (unsigned char)all.p[i] >= 127)
            return false;
    u->tls = str_ieq(str_sub(all, 0, tls.n), tls);
    if (!u->tls && !str_ieq(str_sub(all, 0, plain.n), plain))
        return false;
    u->port = u->tls ? 443 : 80;
    rest = str_sub(all, u->tls ? tls.n : plain.n, all.n);
    size_t authority = strcspn(rest.p, "/?#");
    struct str path = str_sub(rest, authority, rest.n), host = str_sub(rest, 0, authority);
    size_t at = host.n;
    while (at && host.p[at - 1] != '@')
        at--;
    if (at && !user_read(ctx, str_sub(host, 0, at - 1), u))
        return false;
    path = str_sub(path, 0, strcspn(path.p, "#"));
    u->target = mem_printf(ctx, "%s%.*s", path.n && path.p[0] == '/' ? "" : "/", STR_FMT(path));
    return host_read(ctx, str_sub(host, at, host.n), u);
}

enum rc url_parse(mem *ctx, const char *text, struct url *ret, struct err *err)
{
    *ret = (struct url){0};
    if (!text || !read_all(ctx, text, ret))
        return err_set(err, RC_INVALID, "A server's address is not an http or https URL.");
    return RC_OK;
}
