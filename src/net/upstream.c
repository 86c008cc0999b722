/* Requests to model servers: what http_client.c leaves to its callers. The URL is taken apart, the lines that every
 * request has are added, an answer that came packed is unpacked. Not here: retries, what answers mean, server-sent
 * events. */
#include "net/upstream.h"
#include "base/pool.h"
#include "base/text.h"
#include "net/http_client.h"
#include "net/http_parse.h"
#include "net/tls_client.h"
#include "net/unpack.h"
#include "net/url.h"
#include <sys/queue.h>

enum { CONNECT_DEFAULT_MS = 30000, LINES_OWN = 4 };

struct upstream_pool { /* belongs to the client, and goes with it */
    struct http_client *client;
    struct tls_trust *trust; /* made with the first https request */
    TAILQ_HEAD(, upstream_call) calls;
    bool closed;
};

struct upstream_call { /* a tree of its own: callbacks may close the pool */
    struct upstream_pool *pool;
    TAILQ_ENTRY(upstream_call) in_calls;
    struct upstream_spec spec; /* callbacks and arg alone */
    struct http_call *http;
    char *origin; /* for words */
    bool asked_packed;
    struct unpack *unpack;
    struct str piece; /* unpacked, and refused by the caller so far */
    size_t skip;      /* bytes of the body that come again and are unpacked already */
    bool unreadable;
    int busy; /* callbacks on the stack */
    bool dead;
};

static void call_free(struct upstream_call *c)
{
    if (!c->busy)
        mem_free(c);
}

static void call_bury(struct upstream_call *c)
{
    c->dead = true;
    TAILQ_REMOVE(&c->pool->calls, c, in_calls);
}

static void call_end(struct upstream_call *c, enum rc rc, const struct err *err)
{
    call_bury(c);
    c->busy++;
    c->spec.on_end(c->spec.arg, rc, err);
    c->busy--;
    call_free(c);
}

static void call_unreadable(struct upstream_call *c)
{
    struct err err = {0};
    err_set(&err, RC_UPSTREAM, "%s answered in an encoding that nobody asked for and that cannot be read.", c->origin);
    http_call_cancel(c->http);
    call_end(c, RC_UPSTREAM, &err);
}

/* --- the answer ------------------------------------------------------------------------------------------------------
 */

static void up_head(void *arg, int status, struct str headers)
{
    struct upstream_call *c = arg;
    struct str encoding;
    if (!c->asked_packed && http_block_find(headers, "content-encoding", &encoding) && encoding.n &&
        !str_ieq(encoding, STR("identity"))) {
        c->unpack = unpack_new(c, encoding);
        c->unreadable = !c->unpack;
    }
    if (!c->spec.on_head)
        return;
    c->busy++;
    c->spec.on_head(c->spec.arg, status, headers);
    c->busy--;
    if (c->dead)
        call_free(c);
}

/* What the caller refuses comes again, with the packed bytes that it was made of: those are passed over then. */
static bool body_unpack(struct upstream_call *c, struct str bytes)
{
    struct str in = str_sub(bytes, c->skip, bytes.n);
    while (!c->dead) {
        if (!c->piece.n && unpack_take(c->unpack, &in, &c->piece, NULL) != RC_OK) {
            c->unreadable = true;
            return true;
        }
        if (!c->piece.n)
            break;
        c->skip = bytes.n - in.n;
        if (!c->spec.on_body(c->spec.arg, c->piece))
            return false;
        c->piece = STR("");
    }
    c->skip = 0;
    return true;
}

static bool up_body(void *arg, struct str bytes)
{
    struct upstream_call *c = arg;
    bool taken = true;
    c->busy++;
    if (c->unpack)
        taken = body_unpack(c, bytes);
    else if (!c->unreadable)
        taken = c->spec.on_body(c->spec.arg, bytes);
    c->busy--;
    if (c->dead)
        call_free(c);
    else if (c->unreadable)
        call_unreadable(c);
    return taken;
}

static void up_end(void *arg, enum rc rc, const struct err *err)
{
    struct upstream_call *c = arg;
    struct err cut = {0};
    if (rc == RC_OK && c->unpack && !unpack_whole(c->unpack)) {
        rc = err_set(&cut, RC_UPSTREAM, "%s broke off in the middle of its answer.", c->origin);
        err = &cut;
    }
    call_end(c, rc, err);
}

/* --- the request -----------------------------------------------------------------------------------------------------
 */

static bool has_line(const char *const *headers, const char *name)
{
    size_t n = strlen(name);
    for (; headers && *headers; headers++)
        if (strncasecmp(*headers, name, n) == 0 && (*headers)[n] == ':')
            return true;
    return false;
}

/* The caller's lines, and those that every request has. */
static const char *const *lines_make(mem *ctx, const struct upstream_spec *spec, const struct url *url)
{
    size_t n = 0;
    while (spec->headers && spec->headers[n])
        n++;
    const char **lines = mem_array(ctx, const char *, n + LINES_OWN + 1);
    size_t at = 0;
    if (!has_line(spec->headers, "User-Agent"))
        lines[at++] = "User-Agent: nightmill/" NIGHTMILL_VERSION;
    if (!has_line(spec->headers, "Accept"))
        lines[at++] = "Accept: */*";
    if (!has_line(spec->headers, "Accept-Encoding"))
        lines[at++] = "Accept-Encoding: identity";
    if (url->user && !has_line(spec->headers, "Authorization"))
        lines[at++] = mem_printf(ctx, "Authorization: Basic %s", text_base64(ctx, str_of(url->user)));
    if (n)
        memcpy(lines + at, spec->headers, n * sizeof *lines);
    return lines;
}

static enum rc trust_get(struct upstream_pool *p, struct tls_trust **ret, struct err *err)
{
    enum rc rc = p->trust ? RC_OK : tls_trust_new(p, NULL, &p->trust, err);
    *ret = p->trust;
    return rc;
}

enum rc upstream_start(struct upstream_pool *p, const struct upstream_spec *spec, struct upstream_call **ret,
                       struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_pool(MEM_SCRATCH);
    struct url url;
    struct tls_trust *trust = NULL;
    if (p->closed)
        return err_set(err, RC_CONFLICT, "The pool of connections is closed.");
    enum rc rc = url_parse(tmp, spec->url, &url, err);
    if (rc == RC_OK && url.tls)
        rc = trust_get(p, &trust, err);
    if (rc != RC_OK)
        return rc;
    struct upstream_call *c = mem_new_pooled(NULL, struct upstream_call, 2, 128);
    c->pool = p;
    c->spec = *spec;
    c->piece = STR("");
    c->asked_packed = has_line(spec->headers, "Accept-Encoding");
    c->origin = mem_printf(c, "%s://%s:%u", url.tls ? "https" : "http", url.host, url.port);
    struct http_call_spec http = {.host = url.host,
                                  .port = url.port,
                                  .trust = trust,
                                  .method = spec->method,
                                  .target = url.target,
                                  .headers = lines_make(tmp, spec, &url),
                                  .body = spec->body,
                                  .connect_ms = spec->connect_ms > 0 ? spec->connect_ms : CONNECT_DEFAULT_MS,
                                  .head_ms = spec->first_byte_ms,
                                  .idle_ms = spec->idle_ms,
                                  .on_head = up_head,
                                  .on_body = up_body,
                                  .on_end = up_end,
                                  .arg = c};
    rc = http_call_start(p->client, &http, &c->http, err);
    if (rc != RC_OK) {
        mem_free(c);
        return rc;
    }
    TAILQ_INSERT_TAIL(&p->calls, c, in_calls);
    *ret = c;
    return RC_OK;
}

void upstream_resume(struct upstream_call *c)
{
    if (!c->dead)
        http_call_resume(c->http);
}

void upstream_cancel(struct upstream_call *c)
{
    if (c->dead)
        return;
    http_call_cancel(c->http);
    call_bury(c);
    call_free(c);
}

size_t upstream_pool_calls(const struct upstream_pool *p)
{
    return http_client_calls(p->client);
}

enum rc upstream_pool_new(mem *ctx, uv_loop_t *loop, struct upstream_pool **ret, struct err *err)
{
    struct http_client *client;
    (void)ctx; /* handles close after the caller's context may be gone */
    enum rc rc = http_client_new(loop, &client, err);
    if (rc != RC_OK)
        return rc;
    struct upstream_pool *p = mem_new(client, struct upstream_pool);
    p->client = client;
    TAILQ_INIT(&p->calls);
    *ret = p;
    return RC_OK;
}

void upstream_pool_close(struct upstream_pool *p)
{
    struct upstream_call *c;
    if (p->closed)
        return;
    p->closed = true;
    while ((c = TAILQ_FIRST(&p->calls)))
        upstream_cancel(c);
    http_client_close(p->client);
}
