/* Requests that another page may have had the browser send (cross-site request forgery, hijacked WebSockets).
 *
 * The listener has already refused a Host or an Origin that is not this daemon's (net/host.c). Here it is narrower: a
 * request that a cookie vouches for, or that makes a cookie, must come from a page of exactly the address that it is
 * sent to, and have a content type that no form can send, or the field X-Nightmill. Ports count: a page of another port
 * of this machine is another page, though browsers send it the same cookies. Requests with a key are not looked at:
 * no browser adds a key by itself. */
#include "api/server_room.h"

static bool method_reads(struct str method)
{
    return str_eqz(method, "GET") || str_eqz(method, "HEAD") || str_eqz(method, "OPTIONS");
}

/* "host", "host:80" and "HOST" are the same place for http. */
static struct str authority_bare(struct str authority, bool tls)
{
    struct str standard = tls ? STR(":443") : STR(":80");
    return str_ends(authority, standard) ? str_sub(authority, 0, authority.n - standard.n) : authority;
}

/* The Origin is scheme and authority of the Host. A proxy before the daemon may speak https where the daemon does not.
 */
static bool origin_same(const struct http_request *r, struct str origin)
{
    bool https = str_starts(origin, STR("https://"));
    struct str host = http_header(r, "host"), authority = str_sub(origin, https ? 8 : 7, origin.n);
    if (!https && (r->peer.https || !str_starts(origin, STR("http://"))))
        return false;
    return host.n && str_ieq(authority_bare(authority, https), authority_bare(host, https));
}

static bool content_is_json(const struct http_request *r)
{
    struct str rest = http_header(r, "content-type"), type;
    return str_next(&rest, ';', &type) && str_ieq(str_trim(type), STR("application/json"));
}

/* A header that is there once counts; twice is doubt. */
static size_t header_count(const struct http_request *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->field_count; i++)
        n += str_ieq(r->fields[i].name, str_of(name));
    return n;
}

static enum rc crossing_refused(struct err *err, const char *words)
{
    err_set(err, RC_DENIED, "%s", words);
    return err_hint(err, "pages of this daemon send their own Origin, and application/json or X-Nightmill: 1");
}

enum rc crossing_check(const struct http_request *r, bool cookie, bool opens_session, struct err *err)
{
    struct str origin = http_header(r, "origin"), site = http_header(r, "sec-fetch-site");
    bool upgrade = http_header(r, "upgrade").n > 0, reads = method_reads(r->method);
    bool by_page = origin.n > 0 || site.n > 0; /* only browsers say so */
    if (!cookie && !opens_session)
        return RC_OK;
    if (header_count(r, "origin") > 1 || header_count(r, "sec-fetch-site") > 1)
        return crossing_refused(err, "the request says twice which page it comes from");
    if (origin.n && !origin_same(r, origin))
        return crossing_refused(err, "the request comes from another page");
    if (site.n && !str_eqz(site, "same-origin") && !(reads && !upgrade && str_eqz(site, "none")))
        return crossing_refused(err, "the request comes from another page");
    if (upgrade && !origin.n)
        return crossing_refused(err, "a stream with a cookie needs the Origin of its page");
    if (reads || upgrade)
        return RC_OK;
    if (cookie && !by_page)
        return crossing_refused(err, "a change with a cookie needs the Origin of its page");
    if (!content_is_json(r) && !str_eqz(http_header(r, "x-nightmill"), "1"))
        return crossing_refused(err, "a change by a page needs Content-Type: application/json, or X-Nightmill: 1");
    return RC_OK;
}
