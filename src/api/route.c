/* Routing: finds the row, runs its handler on a pool thread, answers. Errors are problem documents (RFC 9457). */
#include "api/proxy_link.h"
#include "api/server_room.h"
#include "api/settings_line.h"
#include "base/log.h"
#include "crypt/hash.h"
#include "flow/trial.h"

#define OUT_MAX       (256u << 20)
#define BODY_STRANGER (16u << 10)

static bool pattern_match(mem *ctx, struct str pattern, struct str path, const char **ret_param)
{
    struct str want, have;
    for (;;) {
        bool a = str_next(&pattern, '/', &want), b = str_next(&path, '/', &have);
        if (!a || !b)
            return a == b;
        if (str_eqz(want, ":id")) {
            if (!have.n || have.n > 64)
                return false;
            *ret_param = str_dup(ctx, have);
        } else if (!str_eq(want, have)) {
            return false;
        }
    }
}

void route_call_free(struct route_call *c)
{
    mem_free(c->ctx);
}

static void problem_json(const struct err *err, enum rc rc, int status, struct json_out *o)
{
    jo_obj(o);
    jo_kz(o, "type", "about:blank");
    jo_kz(o, "title", err->sentence[0] ? err->sentence : "something failed");
    jo_ki(o, "status", status);
    if (err->detail[0])
        jo_kz(o, "detail", err->detail);
    if (err->hint[0])
        jo_kz(o, "hint", err->hint);
    jo_kz(o, "code", rc_name(rc));
    jo_end_obj(o);
}

void route_line(struct route_call *c, const char *line)
{
    size_t n = 0;
    while (c->lines[n])
        n++;
    BUG_ON(n + 1 >= sizeof c->lines / sizeof *c->lines);
    c->lines[n] = line;
}

void route_answer(struct route_call *c, enum rc rc)
{
    if (rc != RC_OK) {
        c->status = c->route || !c->allow ? (c->failed_status ? c->failed_status : rc_http_status(rc)) : 405;
        buf_clear(&c->out_buf);
        json_out_init(&c->out, &c->out_buf);
        problem_json(&c->err, rc, c->status, &c->out);
    }
    if (rc == RC_OK && c->etag)
        route_line(c, mem_printf(c->ctx, "ETag: %s", c->etag));
    if (c->status == 405)
        route_line(c, c->allow);
    route_line(c, "X-Content-Type-Options: nosniff");
    route_line(c, "Cache-Control: no-store");
    if (c->request)
        http_answer_whole(c->request, c->status, rc == RC_OK ? "application/json" : "application/problem+json",
                          buf_view(&c->out_buf), c->lines);
    route_call_free(c);
}

/* What is unchanged is not sent again (RFC 9110, section 13.1.2). A weak tag: equal for all that matters. */
static void etag_make(struct route_call *c)
{
    char hex[HASH_SHA256_HEX];
    if (!c->etag) {
        hash_sha256_hex(buf_view(&c->out_buf), hex);
        c->etag = mem_printf(c->ctx, "W/\"%.24s\"", hex);
    }
    struct str rest = str_of(c->if_none_match), one;
    while (str_next(&rest, ',', &one)) {
        one = str_trim(one);
        if (!str_eqz(one, c->etag) && !(str_starts(str_of(c->etag), STR("W/")) && str_eqz(one, c->etag + 2)))
            continue;
        c->status = 304;
        buf_clear(&c->out_buf);
        return;
    }
}

static void call_work(void *arg)
{
    struct route_call *c = arg;
    if (c->body.n)
        c->err.rc = json_parse(c->ctx, c->body, &c->json, &c->err);
    if (!c->body.n || c->err.rc == RC_OK)
        c->err.rc = permission_narrow(c);
    if (c->err.rc == RC_OK) {
        audit_begin(c);
        bool once = c->route->creates && *c->idempotency_key && c->body.n;
        c->err.rc = version_handle(c, once ? idempotency_handle : c->route->handle);
        c->err.rc = audit_end(c, c->err.rc);
    } else if (c->err.rc == RC_DENIED || c->hidden) {
        audit_refused(c);
    }
    if (c->err.rc == RC_OK)
        c->err.rc = permission_kept(c);
    if (c->err.rc == RC_OK && strcmp(c->route->method, "GET") == 0 && c->status == 200)
        etag_make(c);
}

static void call_done(void *arg)
{
    struct route_call *c = arg;
    struct server *s = c->server;
    enum rc rc = c->err.rc;
    if (rc == RC_OK) {
        if (c->tell)
            runners_tell(s, c->tell_task, str_of(c->tell));
        for (size_t i = 0; i < c->told_count; i++)
            runners_tell(s, c->told[i].task_id, str_of(c->told[i].frame));
        if (json_is(c->credentials)) {
            CLEANUP_MEM mem *tmp = mem_root();
            credentials_take(s, c->credentials);
            keeper_line_send(s, credentials_frame(tmp, s));
            c->secret = true;
        }
        if (c->record_policies)
            recorder_policies_changed(s->recorder);
        if (c->egress_hosts)
            proxy_hosts_changed(s);
        if (c->settings_changed)
            settings_changed(s);
        if (c->start)
            runners_start(s, c->param);
        if (c->schedule)
            runners_schedule(s);
    } else if (rc == RC_BUG || rc == RC_IO) {
        log_err(&c->err, c->route->pattern);
    }
    if (c->secret && c->body.n)
        explicit_bzero((char *)(uintptr_t)c->body.p, c->body.n);
    route_answer(c, rc);
}

static void call_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static struct route_call *call_new(struct server *s, struct http_request *r)
{
    mem *ctx = mem_root();
    struct route_call *c = mem_new(ctx, struct route_call);
    c->ctx = ctx;
    c->server = s;
    c->request = r;
    c->status = 200;
    c->principal = (struct principal){.name = "", .project = "", .organisation = "", .user = ""};
    c->address = mem_str(ctx, r->peer.address);
    c->agent = str_utf8_clean(ctx, http_header(r, "user-agent"));
    c->secure = identity_secure(r);
    c->cookie_name = identity_cookie_name(ctx, r, c->secure);
    buf_init(&c->out_buf, ctx, OUT_MAX);
    json_out_init(&c->out, &c->out_buf);
    return c;
}

static bool query_int(struct route_call *c, const char *name, int64_t standard, int64_t *ret)
{
    const char *text = http_query(c->request, name);
    *ret = standard;
    return !text || str_int(str_of(text), 0, INT64_MAX, ret);
}

/* A request that could be somebody's has a body that is worth reading. Who it is shows later. (Whoever can connect to
 * the Unix socket is the daemon's own user: its folder and its mode see to that.) */
size_t routes_body_limit(void *server, const struct http_request *r)
{
    (void)server;
    return identity_shown(r).kind != SHOWN_NOTHING ? REQUEST_BODY_MOST : BODY_STRANGER;
}

/* Also where nothing is: strangers learn nothing about paths. */
static void call_unauthorized(struct route_call *c)
{
    static const char *const challenge[] = {"WWW-Authenticate: Bearer", NULL};
    if (!c->err.sentence[0]) {
        err_set(&c->err, RC_DENIED, "who asks is not known");
        err_hint(&c->err,
                 "over TCP a request needs a login or a key (nightmill key create NAME); commands on this machine use "
                 "the Unix socket");
    }
    problem_json(&c->err, RC_DENIED, 401, &c->out);
    http_answer_whole(c->request, 401, "application/problem+json", buf_view(&c->out_buf), challenge);
    route_call_free(c);
}

static void route_find(struct route_call *c, const struct http_request *r)
{
    for (size_t i = 0; i < route_count && !c->route; i++) {
        if (!pattern_match(c->ctx, str_of(routes[i]->pattern), r->path, &c->param))
            continue;
        c->allow = c->allow ? mem_printf(c->ctx, "%s, %s", c->allow, routes[i]->method)
                            : mem_printf(c->ctx, "Allow: %s", routes[i]->method);
        if (str_eqz(r->method, routes[i]->method))
            c->route = routes[i];
    }
}

/* What the route wants of who asks, and of the query. */
static enum rc call_check(struct route_call *c)
{
    if (!c->route)
        return err_set(&c->err, c->allow ? RC_INVALID : RC_NOT_FOUND,
                       c->allow ? "this path does not answer to this method" : "there is nothing at this path");
    c->query_project = mem_str(c->ctx, http_query(c->request, "project"));
    enum rc rc = permission_check(c);
    if (rc != RC_OK)
        return rc;
    if (!query_int(c, "before", 0, &c->query_before) || !query_int(c, "limit", 0, &c->query_limit) ||
        !query_int(c, "after", 0, &c->query_after))
        return err_set(&c->err, RC_INVALID, "before, after and limit are whole numbers");
    return RC_OK;
}

static void narrow_work(void *arg)
{
    struct route_call *c = arg;
    c->err.rc = permission_narrow(c);
    if (c->err.rc == RC_DENIED || c->hidden)
        audit_refused(c);
}

/* A handler that also runs on a thread of the pool is noted there. */
static void loop_begin(struct route_call *c)
{
    if (!c->route->handle)
        audit_asked(c);
    c->route->on_loop(c);
}

static void narrow_done(void *arg)
{
    struct route_call *c = arg;
    if (!c->request)
        route_call_free(c);
    else if (c->err.rc != RC_OK)
        route_answer(c, c->err.rc);
    else
        loop_begin(c);
}

/* What hashes passwords has a lane of its own, with little room for one address. */
void route_run(struct route_call *c, bool slow)
{
    struct server *s = c->server;
    c->request->user = c;
    http_on_gone(c->request, call_gone);
    if (!slow) {
        loop_offload(&s->loop, call_work, call_done, c);
    } else if (!lane_offload(s->lane, c->address, call_work, call_done, c)) {
        route_line(c, "Retry-After: 2");
        route_answer(c, err_set(&c->err, RC_LIMIT, "too many logins at once: try again in 2 s"));
    }
}

/* Loop: it is known who asks. */
static void call_proceed(struct route_call *c)
{
    struct http_request *r = c->request;
    struct server *s = c->server;
    enum rc rc = call_check(c);
    if (rc == RC_DENIED || c->hidden)
        audit_refused(c);
    if (rc != RC_OK) {
        route_answer(c, rc);
        return;
    }
    c->query = str_n(mem_strn(c->ctx, r->query.p, r->query.n), r->query.n);
    c->if_match = str_dup(c->ctx, http_header(r, "If-Match"));
    c->if_none_match = str_dup(c->ctx, http_header(r, "If-None-Match"));
    c->idempotency_key = str_dup(c->ctx, http_header(r, "Idempotency-Key"));
    c->query_state = mem_str(c->ctx, http_query(r, "state"));
    c->query_repo = mem_str(c->ctx, http_query(r, "repo"));
    c->body = str_n(mem_strn(c->ctx, r->body.p, r->body.n), r->body.n);
    if (c->param)
        c->runner_pid = runners_pid(s, c->param);
    if (c->route->on_loop && permission_waits(c)) {
        r->user = c;
        http_on_gone(r, call_gone);
        loop_offload(&s->loop, narrow_work, narrow_done, c);
    } else if (c->route->on_loop) {
        loop_begin(c);
    } else {
        route_run(c, c->route->slow);
    }
}

static void call_identify(void *arg)
{
    struct route_call *c = arg;
    c->err.rc = identity_check(c->ctx, c->server, &c->shown, &c->principal, &c->err);
    explicit_bzero((char *)(uintptr_t)c->shown.text.p, c->shown.text.n);
    /* A login that has ended is everyday; a key or certificate that opens nothing is worth a look. */
    bool guessed = c->shown.kind == SHOWN_KEY || c->shown.kind == SHOWN_CERTIFICATE;
    if (c->err.rc == RC_DENIED && guessed && !(c->route && c->route->open))
        audit_refused(c);
    if (c->err.rc == RC_DENIED && c->route && c->route->open) { /* it is answered to anybody */
        c->err = (struct err){0};
        c->principal = (struct principal){.name = "", .project = "", .organisation = "", .user = ""};
    }
}

static void call_identified(void *arg)
{
    struct route_call *c = arg;
    if (!c->request)
        route_call_free(c);
    else if (c->err.rc == RC_DENIED)
        call_unauthorized(c);
    else if (c->err.rc != RC_OK)
        route_answer(c, c->err.rc);
    else
        call_proceed(c);
}

const char *route_query(struct route_call *c, const char *name)
{
    struct http_request query = {.ctx = c->ctx, .query = c->query};
    return http_query(&query, name);
}

void routes_handle(void *server, struct http_request *r)
{
    struct server *s = server;
    if (gateway_handle(s->gateway, r) || page_handle(s, r))
        return;
    struct route_call *c = call_new(s, r);
    struct shown shown = identity_shown(r);
    route_find(c, r);
    bool open = c->route && c->route->open, looks = !open || c->route->known;
    if (crossing_check(r, shown.kind == SHOWN_COOKIE && looks, open && c->route->logs_in, &c->err) != RC_OK) {
        audit_refused(c);
        route_answer(c, RC_DENIED);
    } else if (!looks || (open && shown.kind == SHOWN_NOTHING)) {
        call_proceed(c);
    } else if (shown.kind == SHOWN_SOCKET) {
        c->principal = principal_owner();
        call_proceed(c);
    } else if (shown.kind == SHOWN_NOTHING) {
        call_unauthorized(c);
    } else {
        c->shown = (struct shown){shown.kind, str_of(str_dup(c->ctx, shown.text))};
        r->user = c;
        http_on_gone(r, call_gone);
        loop_offload(&s->loop, call_identify, call_identified, c);
    }
}
