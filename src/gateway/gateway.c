/* Calls: taken in, put on their way, ended. The steps of the way are in call.h. */
#include "gateway/gateway.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "gateway/call.h"
#include "gateway/replay.h"
#include <unistd.h>

#define RATE_KEYS_MOST 10000
#define CALL_POOL      (16u << 10) /* what a usual call needs, with bodies of a few kilobytes */

struct call_waiter {
    struct call *call;
    struct call_waiter *next;
};

struct gateway_common *gateway_common_new(mem *ctx, size_t cache_bytes, int64_t cache_ms)
{
    struct gateway_common *common = mem_new(ctx, struct gateway_common);
    common->upstreams = upstreams_new(common);
    common->ratelimit = ratelimit_new(common, RATE_KEYS_MOST);
    common->cache = cache_new(common, cache_bytes, cache_ms);
    return common;
}

struct gateway *gateway_new(mem *ctx, const struct gateway_spec *spec)
{
    struct gateway *g = mem_new(ctx, struct gateway);
    g->spec = *spec;
    g->common = spec->common;
    g->replays = replays_new(g);
    settle_open(g);
    return g;
}

void gateway_health(mem *ctx, const struct gateway_common *common, struct upstream_health **ret, size_t *ret_n)
{
    upstreams_list(ctx, common->upstreams, clock_mono_ms(), ret, ret_n);
}

size_t gateway_active(const struct gateway_common *common)
{
    return common->active;
}

static void call_begin(struct call *c);

static void rate_end(struct call *c, int64_t tokens)
{
    if (c->ticket.taken)
        ratelimit_end(c->g->common->ratelimit, &c->ticket, tokens, clock_mono_ns());
}

static void guest_tell(struct call *c)
{
    struct gateway_spec *spec = &c->g->spec;
    bool refused = c->end.outcome && strcmp(c->end.outcome, "refused") == 0;
    bool good = c->end.outcome && !refused && strcmp(c->end.outcome, "failed") != 0;
    struct gateway_guest_end end = {.task_id = c->guest->task_id,
                                    .listening = c->guest->listening,
                                    .status = c->end.status,
                                    .generate = c->endpoint.kind == LLM_GENERATE,
                                    .refused = refused,
                                    .rc = good ? RC_OK : c->err.rc,
                                    .limit = good ? NULL : c->limit,
                                    .sentence = c->err.sentence,
                                    .hint = c->err.hint,
                                    .retry_after_s = c->retry_after_s};
    if (spec->guest_ended)
        spec->guest_ended(spec->arg, &end);
}

static void call_tell(struct call *c)
{
    c->end.ms = clock_mono_ms() - c->began_ms;
    if (!c->end.outcome)
        c->end.outcome = "cancelled";
    metrics_request(c->g->spec.metrics, c->endpoint.dialect->name, c->end.provider, c->end.model, c->end.status);
    record_end(c->record, &c->end);
    c->record = NULL;
    if (c->guest)
        guest_tell(c);
}

void call_free(struct call *c)
{
    struct call_waiter *waiters = c->waiters;
    upstream_leave(c->g->common->upstreams, &c->queued);
    call_tell(c);
    rate_end(c, c->used_tokens);
    for (struct call **at = &c->g->active; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            c->g->common->active--;
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
    catalog_unref(c->catalog);
    mem_free(c->ctx);
}

/* ---- the client ---- */

/* A run comes back for its answer. Anybody else's request is ended at the provider where that ends the bill; else it is
 * read to its usage, without anybody to give it to. */
static void client_gone(struct http_request *r)
{
    struct call *c = r->user;
    struct attempt *a = c->attempt;
    c->client = NULL;
    if (upstream_waits(c->g->common->upstreams, &c->queued)) {
        call_free(c);
    } else if (a && a->sent && a->up && !of_runner(c) && a->target->provider->cancel_stops_bill) {
        attempt_cancel(a);
    } else if (a && a->sent && a->up) {
        if (!of_runner(c))
            c->drain_until_ms = clock_mono_ms() + c->g->spec.drain_ms;
        attempt_resume(c);
    }
}

static void client_drained(struct http_request *r)
{
    attempt_resume(r->user);
}

/* ---- the way of a call ---- */

static void prepare_work(void *arg)
{
    BUG_ON(!call_prepare(arg, true));
}

static bool rate_admit(struct call *c)
{
    struct ratelimit_verdict verdict = {0};
    int64_t tokens = demand_tokens(&c->demand);
    if (of_run(c) || !c->caller.who.key_id)
        return true;
    if (ratelimit_take(c->g->common->ratelimit, c->caller.who.key_id, &c->rule, tokens, c->stream, clock_mono_ns(),
                       &c->ticket, &verdict, &c->err) == RC_OK)
        return true;
    c->status = 429;
    c->code = "rate_limit_exceeded";
    metrics_refusal(c->g->spec.metrics, "rate");
    c->retry_after_s = verdict.retry_after_ns > 0   ? (verdict.retry_after_ns + 999999999) / 1000000000
                       : verdict.retry_after_ns < 0 ? -1
                                                    : 1;
    return false;
}

static bool cache_answer(struct call *c)
{
    static const char *const lines[] = {"X-Nightmill-Cache: hit", "X-Nightmill-Cost: 0.00", "Cache-Control: no-store",
                                        NULL};
    struct str type, body;
    if (!c->cache_key)
        return false;
    bool hit = cache_find(c->ctx, c->g->common->cache, c->cache_key, uv_now(c->g->spec.loop->uv), &type, &body);
    metrics_cache(c->g->spec.metrics, hit);
    if (!hit)
        return false;
    c->end.cache_hit = true;
    answer_whole(c, 200, type.p, body, lines, "cached");
    return true;
}

static void record_open(struct call *c)
{
    static const char *const kinds[] = {[LLM_GENERATE] = "generate",
                                        [LLM_COUNT_TOKENS] = "count",
                                        [LLM_EMBEDDINGS] = "embed",
                                        [LLM_MODELS] = "models",
                                        [LLM_MODEL] = "models"};
    const struct principal *who = &c->caller.who;
    struct spender spender = {.organisation = who->organisation && *who->organisation ? who->organisation : NULL,
                              .project = c->project,
                              .task = c->caller.task_id,
                              .agent = c->agent,
                              .model = c->facts.model,
                              .key = who->key_id,
                              .user = who->user && *who->user ? who->user : NULL};
    struct record_start start = {.id = c->request,
                                 .time_ns = c->began_ns,
                                 .spender = &spender,
                                 .dialect = c->endpoint.dialect->name,
                                 .endpoint = kinds[c->endpoint.kind],
                                 .model = c->facts.model,
                                 .client = c->caller.task_id ? "run" : c->address,
                                 .stream = c->stream,
                                 .whole = c->record_whole};
    if (!c->g->spec.recorder || (!c->caller.task_id && who->access == ACCESS_NONE))
        return;                 /* strangers do not fill the record */
    if (*c->token && !c->guest) /* a guest shows what it likes; what it shows must not vanish from all records */
        recorder_secret(c->g->spec.recorder, str_of(c->token));
    c->record = record_begin(c->g->spec.recorder, &start);
    record_request(c->record, c->body);
}

static void prepared(void *arg)
{
    struct call *c = arg;
    bool forward = c->verdict == CALL_FORWARD;
    record_open(c);
    if (c->verdict == CALL_STORED) {
        answer_stored(c);
    } else if (c->verdict == CALL_ANSWERED) {
        answer_whole(c, 200, c->content_type, buf_view(&c->whole), NULL, "served");
    } else if (forward && cache_answer(c)) {
        forward = false;
    } else if (!forward || !rate_admit(c)) {
        answer_refuse(c);
        forward = false;
    }
    if (forward)
        call_next(c);
    else
        call_free(c);
}

static void queue_ready(void *arg)
{
    call_next(arg);
}

/* The same request of the same run is under way: its answer serves both. */
static bool joins_another(struct call *c)
{
    if (!c->key[0])
        return false;
    for (struct call *other = c->g->active; other; other = other->next) {
        if (strcmp(other->key, c->key) != 0 || strcmp(other->token, c->token) != 0)
            continue;
        struct call_waiter *w = mem_new(other->ctx, struct call_waiter);
        w->call = c;
        w->next = other->waiters;
        other->waiters = w;
        return true;
    }
    return false;
}

static void call_begin(struct call *c)
{
    struct gateway *g = c->g;
    if (joins_another(c))
        return;
    c->next = g->active;
    g->active = c;
    g->common->active++;
    if (c->body.n <= INLINE_MAX && call_prepare(c, false))
        prepared(c);
    else
        loop_offload(g->spec.loop, prepare_work, prepared, c);
}

/* Google's clients may put the key into the query. */
static const char *token_find(mem *ctx, const struct http_request *r)
{
    struct str shown = http_credential(r);
    const char *query = shown.n ? NULL : http_query(r, "key");
    return query ? mem_str(ctx, query) : str_dup(ctx, shown);
}

/* A departed client's answer is not read on for ever. */
void gateway_tick(struct gateway *g)
{
    int64_t now = clock_mono_ms();
    for (struct call *c = g->active; c;) {
        bool late = c->drain_until_ms && c->drain_until_ms < now && c->attempt && c->attempt->up;
        if (late)
            attempt_cancel(c->attempt);
        c = late ? g->active : c->next;
    }
}

static const struct gateway_guest *guest_copy(mem *ctx, const struct gateway_guest *guest)
{
    struct gateway_guest *copy = guest ? mem_new(ctx, struct gateway_guest) : NULL;
    if (!copy)
        return NULL;
    *copy = *guest;
    copy->task_id = mem_str(ctx, guest->task_id);
    copy->left = NULL; /* the caller's, for the moment of the call */
    return copy;
}

/* Whether the guest has requests left; else it has its answer. */
static bool guest_may(struct call *c, const struct gateway_guest *guest)
{
    if (!guest || !guest->left || c->endpoint.kind != LLM_GENERATE || (*guest->left)-- > 0)
        return true;
    *guest->left = 0;
    c->limit = "requests";
    c->status = 402; /* no client tries this one again */
    c->code = "request_limit";
    err_set(&c->err, RC_LIMIT, "the agent has made all the model requests that it may make in one iteration");
    answer_refuse(c);
    call_free(c);
    return false;
}

static bool endpoint_find(mem *ctx, const struct http_request *r, struct llm_endpoint *ret)
{
    struct str target = r->target, path;
    if (!str_next(&target, '?', &path) || !path.n || path.p[0] != '/')
        path = r->path;
    return llm_endpoint_find(ctx, str_dup(ctx, r->method), path, r->query, http_header(r, "anthropic-version").n > 0,
                             ret);
}

/* A request that names itself is a run's: the same one under way is looked for, which only one loop can. */
bool gateway_is_anywhere(const struct http_request *r)
{
    struct llm_endpoint endpoint;
    CLEANUP_MEM mem *tmp = mem_root();
    return !http_header(r, "x-nightmill-call").n && token_is(str_of(token_find(tmp, r))) &&
           endpoint_find(tmp, r, &endpoint);
}

bool gateway_handle(struct gateway *g, struct http_request *r)
{
    return gateway_handle_guest(g, r, NULL);
}

bool gateway_handle_guest(struct gateway *g, struct http_request *r, const struct gateway_guest *guest)
{
    struct llm_endpoint endpoint;
    mem *ctx = mem_pool(CALL_POOL);
    if (!endpoint_find(ctx, r, &endpoint)) {
        mem_free(ctx);
        return false;
    }
    struct call *c = mem_new(ctx, struct call);
    c->ctx = ctx;
    c->g = g;
    c->client = r;
    c->request = mem_printf(ctx, "req_%s", id_new_ordered(ctx, 20));
    c->endpoint = endpoint;
    c->token = token_find(ctx, r);
    c->trusted = r->peer.origin == HTTP_BY_UNIX && (r->peer.uid == geteuid() || r->peer.uid == 0);
    c->body = str_n(mem_strn(ctx, r->body.p, r->body.n), r->body.n);
    c->guest = guest_copy(ctx, guest);
    c->key = guest ? "" : str_dup(ctx, http_header(r, "x-nightmill-call"));
    if (guest)
        c->iteration = guest->iteration;
    else if (!str_int(http_header(r, "x-nightmill-iteration"), 0, INT64_MAX, &c->iteration))
        c->iteration = 0;
    c->began_ns = clock_wall_ns();
    c->began_ms = clock_mono_ms();
    c->end.first_byte_ms = -1;
    c->address = mem_str(ctx, r->peer.address);
    c->retry_after_s = c->used_tokens = -1;
    c->queued.loop = g->spec.loop;
    c->queued.ready = queue_ready;
    c->queued.arg = c;
    buf_init(&c->out, ctx, WHOLE_MAX);
    buf_init(&c->tail, ctx, WHOLE_MAX);
    buf_init(&c->whole, ctx, WHOLE_MAX);
    r->user = c;
    http_on_gone(r, client_gone);
    http_on_drained(r, client_drained);
    if (guest_may(c, guest))
        call_begin(c);
    return true;
}
