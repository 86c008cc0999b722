/* What the client gets. A run's client is our own runner: refusals are problem documents (RFC 9457) that name the
 * limit, a provider's failure comes as the provider said it. Everybody else gets errors in the dialect that was asked
 * in. */
#include "base/clock.h"
#include "gateway/call.h"

/* Lines that every answer of the gateway has. */
static const char *const *answer_lines(struct call *c, size_t room, size_t *ret_n)
{
    const char **lines = mem_array(c->ctx, const char *, room + 8);
    struct attempt *a = c->attempt;
    size_t n = 0;
    lines[n++] = mem_printf(c->ctx, "X-Nightmill-Request: %s", c->request);
    lines[n++] = "Cache-Control: no-store";
    if (a) {
        lines[n++] = mem_printf(c->ctx, "X-Nightmill-Provider: %s", a->target->provider->row.id);
        lines[n++] = mem_printf(c->ctx, "X-Nightmill-Model: %s", a->target->upstream);
        if (a->good && a->outcome == OUTCOME_SETTLE && a->target->priced) /* known once the answer is whole */
            lines[n++] = mem_printf(c->ctx, "X-Nightmill-Cost: %s %s", money_exact(c->ctx, a->cost, 2),
                                    a->target->price.currency);
    }
    *ret_n = n;
    return lines;
}

static void first_byte(struct call *c)
{
    if (c->end.first_byte_ms >= 0)
        return;
    c->end.first_byte_ms = clock_mono_ms() - c->began_ms;
    if (c->attempt)
        metrics_first_byte(c->g->spec.metrics, c->attempt->target->provider->row.id, c->end.first_byte_ms);
}

void answer_whole(struct call *c, int status, const char *content_type, struct str body, const char *const *lines,
                  const char *outcome)
{
    first_byte(c);
    c->end.status = status;
    c->end.outcome = outcome;
    c->end.content_type = mem_str(c->ctx, content_type); /* may be the attempt's, which ends before the record */
    record_answer(c->record, body);
    if (c->client)
        http_answer_whole(c->client, status, content_type, body, lines);
    c->client = NULL;
}

void answer_begin(struct call *c)
{
    first_byte(c);
    c->end.status = 200;
    c->end.content_type = mem_str(c->ctx, llm_bridge_content_type(c->attempt->bridge));
    size_t n;
    const char *const *lines = answer_lines(c, 0, &n);
    c->begun = true;
    if (c->client)
        http_answer_begin(c->client, 200, llm_bridge_content_type(c->attempt->bridge), lines);
}

static bool kept_whole(const struct call *c)
{
    return (of_run(c) && c->key[0]) || c->cache_key;
}

void answer_bytes(struct call *c, struct buf *b)
{
    if (!c->begun)
        answer_begin(c);
    if (kept_whole(c))
        buf_str(&c->whole, buf_view(b));
    record_answer(c->record, buf_view(b));
    if (c->client)
        http_answer_chunk(c->client, buf_view(b));
    buf_clear(b);
}

void answer_end(struct call *c)
{
    if (c->begun) {
        if (c->tail.n)
            answer_bytes(c, &c->tail);
        c->end.outcome = "served";
        if (c->client)
            http_answer_end(c->client);
        c->client = NULL;
    } else {
        size_t n;
        const char *const *lines = answer_lines(c, 0, &n);
        if (kept_whole(c))
            buf_str(&c->whole, buf_view(&c->tail));
        answer_whole(c, 200, c->content_type, buf_view(&c->tail), lines, "served");
    }
    if (c->cache_key && !c->whole.overflow)
        cache_put(c->g->common->cache, c->cache_key, uv_now(c->g->spec.loop->uv), c->content_type, buf_view(&c->whole));
}

static const char *const *refusal_lines(struct call *c)
{
    size_t n;
    const char **lines = (const char **)answer_lines(c, 0, &n);
    if (c->retry_after_s >= 0)
        lines[n++] = mem_printf(c->ctx, "Retry-After: %lld", (long long)c->retry_after_s);
    if (c->status == 401)
        lines[n++] = "WWW-Authenticate: Bearer";
    return lines;
}

static void answer_problem(struct call *c, int status)
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
    answer_whole(c, status, "application/problem+json", buf_view(&b), refusal_lines(c), "refused");
}

void answer_refuse(struct call *c)
{
    int status = c->status ? c->status : rc_http_status(c->err.rc);
    c->end.words = c->err.sentence;
    if (!c->client)
        return;
    if (of_runner(c)) {
        answer_problem(c, c->limit ? 402 : status);
    } else {
        struct buf b;
        buf_init(&b, c->ctx, 65536);
        llm_error_write(c->endpoint.dialect, status, &c->err, c->code, c->retry_after_s, LLM_ERROR_BODY, &b);
        answer_whole(c, status, "application/json", buf_view(&b), refusal_lines(c), "refused");
    }
}

/* The provider's own words, with what says when to come again. */
static void answer_as_said(struct call *c, struct attempt *a)
{
    static const char *const names[] = {"retry-after",
                                        "retry-after-ms",
                                        "x-ratelimit-reset-requests",
                                        "x-ratelimit-reset-tokens",
                                        "anthropic-ratelimit-requests-reset",
                                        "anthropic-ratelimit-tokens-reset"};
    size_t n;
    const char **lines = (const char **)answer_lines(c, sizeof names / sizeof *names, &n);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = attempt_header(a, names[i]);
        if (value)
            lines[n++] = mem_printf(c->ctx, "%s: %s", names[i], value);
    }
    const char *type = attempt_header(a, "content-type");
    answer_whole(c, a->status, type ? type : "application/octet-stream", buf_view(&a->failure), lines, "failed");
}

void answer_failure(struct call *c, struct attempt *a)
{
    if (!c->client)
        return;
    if (c->begun && of_runner(c)) {
        http_answer_abort(c->client); /* the runner asks again; half an answer must not look whole */
    } else if (c->begun) {
        if (c->tail.n) /* the error event */
            answer_bytes(c, &c->tail);
        http_answer_end(c->client);
    } else if (of_runner(c) && a->status >= 400) {
        answer_as_said(c, a);
        return;
    } else {
        c->err = a->why.err;
        c->retry_after_s = a->why.retry_after_s;
        if (!of_runner(c))
            c->status = a->why.rc ? llm_failure_status(&a->why) : 0;
        answer_refuse(c);
        c->end.outcome = "failed";
        return;
    }
    c->end.outcome = "failed";
    c->client = NULL;
}

void answer_stored(struct call *c)
{
    answer_whole(c, c->stored.status, str_dup(c->ctx, c->stored.content_type), c->stored.body, NULL, "replayed");
}
