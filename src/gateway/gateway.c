/* Calls from the client's request to the settled answer. The loop moves bytes; admission.c visits the database. */
#include "gateway/gateway.h"
#include "base/log.h"
#include "gateway/call.h"

#define WHOLE_MAX   (64u << 20)
#define FAILURE_MAX (1u << 20)

struct call_waiter {
    struct call *call;
    struct call_waiter *next;
};

struct gateway {
    struct gateway_spec spec;
    struct call *active;
    size_t count;
};

struct store *gateway_store(struct gateway *g)
{
    return g->spec.store;
}

struct budgets *gateway_budgets(struct gateway *g)
{
    return g->spec.budgets;
}

struct gateway *gateway_new(mem *ctx, const struct gateway_spec *spec)
{
    struct gateway *g = mem_new(ctx, struct gateway);
    g->spec = *spec;
    return g;
}

size_t gateway_active(const struct gateway *g)
{
    return g->count;
}

static void call_begin(struct call *c);

static void call_free(struct call *c)
{
    struct call_waiter *waiters = c->waiters;
    for (struct call **at = &c->g->active; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            c->g->count--;
            break;
        }
    }
    while (waiters) { /* each looks for the stored answer first, and asks anew when there is none */
        struct call *w = waiters->call;
        waiters = waiters->next;
        if (w->client)
            call_begin(w);
        else
            mem_free(w->ctx);
    }
    mem_free(c->ctx);
}

/* ---- answers ---- */

static void call_problem(struct call *c, int status)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, c->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "type", "about:blank");
    jo_kz(&o, "title", c->err.sentence);
    jo_ki(&o, "status", status);
    jo_kz(&o, "detail", c->err.detail);
    jo_kz(&o, "hint", c->err.hint);
    jo_kz(&o, "code", rc_name(c->err.rc));
    if (c->limit)
        jo_kz(&o, "limit", c->limit);
    jo_end_obj(&o);
    if (c->client)
        http_answer_whole(c->client, status, "application/problem+json", buf_view(&b), NULL);
    c->client = NULL;
}

static void client_gone(struct http_request *r)
{
    struct call *c = r->user;
    c->client = NULL;
    if (c->paused) {
        c->paused = false;
        upstream_resume(c->up);
    }
}

static void client_drained(struct http_request *r)
{
    struct call *c = r->user;
    if (c->paused) {
        c->paused = false;
        upstream_resume(c->up);
    }
}

/* ---- the upstream's side ---- */

static const char *header_copy(struct call *c, const char *name)
{
    struct str rest = c->headers, line, key;
    while (str_line(&rest, &line)) {
        struct str value = line;
        if (str_next(&value, ':', &key) && str_ieq(key, str_of(name)))
            return str_dup(c->ctx, str_trim(value));
    }
    return NULL;
}

static void up_head(void *arg, int status, struct str headers)
{
    struct call *c = arg;
    c->status = status;
    c->headers = str_of(str_dup(c->ctx, headers));
    const char *type = header_copy(c, "content-type");
    c->content_type = type ? type : "application/octet-stream";
    if (status != 200)
        return;
    c->parser = llm_parser_new(c->ctx, c->dialect, NULL, NULL);
    if (c->client) {
        http_answer_begin(c->client, 200, c->content_type, NULL);
        c->begun = true;
    }
}

static bool up_body(void *arg, struct str bytes)
{
    struct call *c = arg;
    if (c->status != 200) {
        if (c->whole.n + bytes.n <= FAILURE_MAX)
            buf_str(&c->whole, bytes);
        return true;
    }
    if (c->client && http_answer_backlog(c->client) > HTTP_HIGH_WATER) {
        c->paused = true;
        return false;
    }
    if (!buf_str(&c->whole, bytes) && c->end == RC_OK)
        c->end = err_set(&c->err, RC_LIMIT, "the model's answer is larger than %u MiB", WHOLE_MAX >> 20);
    if (llm_parser_feed(c->parser, bytes.p, bytes.n, &c->err) != RC_OK && c->end == RC_OK)
        c->end = c->err.rc;
    if (c->client)
        http_answer_chunk(c->client, bytes);
    return true;
}

/* Loop: the hold is settled; now the client may know that the answer is whole. */
static void call_settled(void *arg)
{
    struct call *c = arg;
    if (c->settle_rc != RC_OK) {
        log_err(&c->err, "could not settle a model request; its hold stays");
        if (c->client && c->begun)
            http_answer_abort(c->client);
        else if (c->client)
            call_problem(c, rc_http_status(c->settle_rc));
    } else if (c->client && c->begun) {
        if (c->end == RC_OK)
            http_answer_end(c->client);
        else
            http_answer_abort(c->client);
    } else if (c->client && c->status) { /* the provider's own words, with what says when to come again */
        const char *names[] = {"retry-after",
                               "retry-after-ms",
                               "x-ratelimit-reset-requests",
                               "x-ratelimit-reset-tokens",
                               "anthropic-ratelimit-requests-reset",
                               "anthropic-ratelimit-tokens-reset"};
        const char *extra[sizeof names / sizeof *names + 1] = {0};
        size_t n = 0;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const char *value = header_copy(c, names[i]);
            if (value)
                extra[n++] = mem_printf(c->ctx, "%s: %s", names[i], value);
        }
        http_answer_whole(c->client, c->status, c->content_type, buf_view(&c->whole), extra);
    } else if (c->client) {
        call_problem(c, rc_http_status(c->err.rc));
    }
    call_free(c);
}

static void call_settle_job(void *arg)
{
    call_settle(arg);
}

static void up_end(void *arg, enum rc rc, const struct err *err)
{
    struct call *c = arg;
    const struct llm_answer *answer = NULL;
    c->up = NULL;
    if (rc != RC_OK) {
        c->end = rc;
        c->err = *err;
    }
    if (c->parser) {
        struct err why = {0};
        bool stream = !str_starts(str_of(c->content_type), STR("application/json"));
        enum rc parsed = llm_parser_end(c->parser, stream, &answer, &why);
        answer = llm_parser_answer(c->parser);
        if (parsed != RC_OK && c->end == RC_OK) {
            c->end = parsed;
            c->err = why;
        }
        c->usage = answer->usage;
        c->usage_known = answer->usage_known;
        c->model_served = answer->model;
        c->answer_whole = c->end == RC_OK && answer->complete && !answer->failed;
        if (!c->answer_whole && !answer->complete)
            c->usage_known = false; /* a placeholder at the start of a stream is no usage */
    }
    loop_offload(c->g->spec.loop, call_settle_job, call_settled, c);
}

/* The provider's address may be given with or without the "/v1" that every path starts with. */
static const char *call_url(struct call *c)
{
    struct str base = str_of(c->url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (str_ends(base, STR("/v1")))
        base.n -= 3;
    return mem_printf(c->ctx, "%.*s%s", STR_FMT(base), c->dialect->path);
}

static void call_forward(struct call *c)
{
    struct gateway *g = c->g;
    if (!c->client) { /* nobody waits any more and nothing was sent: costs nothing */
        c->end = RC_UNAVAILABLE;
        loop_offload(g->spec.loop, call_settle_job, call_settled, c);
        return;
    }
    const char *secret = *c->key_name ? g->spec.credential(g->spec.arg, c->key_name) : NULL;
    if (*c->key_name && !secret) {
        err_set(&c->err, RC_DENIED, "the daemon does not have the key %s", c->key_name);
        err_hint(&c->err, "export %s and type: nightmill resume %s", c->key_name, c->task_id);
        c->end = RC_UNAVAILABLE; /* nothing was sent */
        loop_offload(g->spec.loop, call_settle_job, call_settled, c);
        return;
    }
    struct upstream_spec up = {.method = "POST",
                               .url = call_url(c),
                               .headers = c->dialect->headers(c->ctx, secret),
                               .body = c->forward,
                               .connect_ms = g->spec.connect_ms,
                               .first_byte_ms = g->spec.first_byte_ms,
                               .idle_ms = g->spec.idle_ms,
                               .on_head = up_head,
                               .on_body = up_body,
                               .on_end = up_end,
                               .arg = c};
    if (upstream_start(g->spec.pool, &up, &c->up, &c->err) != RC_OK) {
        c->end = RC_UNAVAILABLE;
        loop_offload(g->spec.loop, call_settle_job, call_settled, c);
    }
}

static void call_admitted(void *arg)
{
    struct call *c = arg;
    switch (c->verdict) {
    case CALL_FORWARD:
        call_forward(c);
        return;
    case CALL_STORED:
        if (c->client)
            http_answer_whole(c->client, c->stored.status, str_dup(c->ctx, c->stored.content_type), c->stored.body,
                              NULL);
        c->client = NULL;
        break;
    case CALL_REFUSED:
        call_problem(c, c->limit ? 402 : rc_http_status(c->err.rc));
        break;
    }
    call_free(c);
}

static void call_admit_job(void *arg)
{
    call_admit(arg);
}

static void call_begin(struct call *c)
{
    struct gateway *g = c->g;
    for (struct call *other = g->active; other; other = other->next) {
        if (strcmp(other->task_id, c->task_id) != 0 || strcmp(other->key, c->key) != 0)
            continue;
        struct call_waiter *w =
            mem_new(other->ctx, struct call_waiter); /* the same request is under way: its answer serves both */
        w->call = c;
        w->next = other->waiters;
        other->waiters = w;
        return;
    }
    c->next = g->active;
    g->active = c;
    g->count++;
    loop_offload(g->spec.loop, call_admit_job, call_admitted, c);
}

void gateway_handle(struct gateway *g, struct http_request *r, const struct llm_dialect *d, const char *task_id,
                    const char *key, int64_t iteration)
{
    mem *ctx = mem_root();
    struct call *c = mem_new(ctx, struct call);
    c->ctx = ctx;
    c->g = g;
    c->client = r;
    c->dialect = d;
    c->task_id = mem_str(ctx, task_id);
    c->key = mem_str(ctx, key);
    c->iteration = iteration;
    c->body = str_n(mem_strn(ctx, r->body.p, r->body.n), r->body.n);
    buf_init(&c->whole, ctx, WHOLE_MAX);
    r->user = c;
    http_on_gone(r, client_gone);
    http_on_drained(r, client_drained);
    call_begin(c);
}
