/* Attempts: one target after the other until an answer began.
 *
 * The order of one attempt, and what undoes each step when the next one fails: a place at the provider; admission by
 * the budgets; the durable hold; the bytes; the request; the answer; settlement (rows first, then memory); the place is
 * given back. An attempt whose bill is unknown keeps its hold, and the next one needs its own. Loop thread. */
#include "base/clock.h"
#include "base/log.h"
#include "gateway/call.h"

#define ATTEMPTS_MOST 8

static void attempt_held(struct attempt *a);
static void attempt_over(struct attempt *a);

/* ---- choice of the target ---- */

struct choice {
    struct target *target;
    struct upstream_place *place;
};

/* The least busy of the targets of one step that are well and have a place; `full`: the least busy of those without. */
static void step_choose(struct call *c, size_t step, int64_t now, struct choice *free_one, struct choice *full,
                        struct choice *resting)
{
    for (size_t i = 0; i < c->target_count; i++) {
        struct target *t = &c->targets[i];
        if (t->tried || t->step != step)
            continue;
        struct choice one = {t, upstream_find(c->g->common->upstreams, t->provider)};
        struct choice *best = upstream_full(one.place) ? full : free_one;
        if (upstream_rests(one.place, now)) {
            if (!resting->target || upstream_rest_ends(one.place) < upstream_rest_ends(resting->place))
                *resting = one;
        } else if (!best->target || upstream_less_busy(one.place, t->weight, best->place, best->target->weight)) {
            *best = one;
        }
    }
}

/* RC_OK: ret, its place is taken; RC_AGAIN: the call waits in a queue; RC_LIMIT: all queues are full; RC_NOT_FOUND:
 * none is left. A rest is a reason to go elsewhere, not to refuse: when all rest, the one whose rest ends first is
 * asked. */
static enum rc choose_locked(struct call *c, struct choice *ret, struct err *err)
{
    struct choice resting = {0};
    int64_t now = clock_mono_ms();
    size_t last = 0;
    enum rc rc = RC_NOT_FOUND;
    for (size_t i = 0; i < c->target_count; i++)
        last = c->targets[i].step > last ? c->targets[i].step : last;
    for (size_t step = 0; step <= last; step++) {
        struct choice free_one = {0}, full = {0};
        step_choose(c, step, now, &free_one, &full, &resting);
        if (free_one.target) {
            *ret = free_one;
            return RC_OK;
        }
        if (full.target && (rc = upstream_wait(full.place, &c->queued, err)) == RC_OK)
            return RC_AGAIN;
    }
    if (!resting.target)
        return rc;
    *ret = resting;
    if (!upstream_full(resting.place))
        return RC_OK;
    rc = upstream_wait(resting.place, &c->queued, err);
    return rc == RC_OK ? RC_AGAIN : rc;
}

static enum rc target_choose(struct call *c, struct choice *ret, struct err *err)
{
    upstreams_lock(c->g->common->upstreams);
    struct upstream_place *kept = upstream_turn_take(&c->queued);
    enum rc rc = choose_locked(c, ret, err);
    if (rc == RC_OK)
        upstream_take(ret->place);
    upstream_next(kept);
    upstreams_unlock(c->g->common->upstreams);
    return rc;
}

/* ---- admission ---- */

static enum rc attempt_admit(struct attempt *a, struct refusal *refusal)
{
    struct call *c = a->call;
    struct candidate candidates[CANDIDATES_MAX];
    struct ask ask = {.spender = {.organisation = c->caller.who.organisation && *c->caller.who.organisation
                                                      ? c->caller.who.organisation
                                                      : NULL,
                                  .project = c->project,
                                  .task = c->caller.task_id,
                                  .agent = c->agent,
                                  .model = a->target->model,
                                  .key = c->caller.who.key_id,
                                  .user = c->caller.who.user && *c->caller.who.user ? c->caller.who.user : NULL},
                      .candidates = candidates,
                      .candidate_count = 1,
                      .demand = c->demand,
                      .least_output = c->least_output,
                      .unpriced = c->facts.unpriced};
    candidates[0] = (struct candidate){.price = a->target->priced ? &a->target->price : NULL};
    for (size_t i = 0; i < c->target_count && ask.candidate_count < CANDIDATES_MAX; i++) {
        const struct target *t = &c->targets[i];
        if (!t->tried && t->priced) /* those that may come after it: admitted once, none of them is refused later */
            candidates[ask.candidate_count++] = (struct candidate){.price = &t->price};
    }
    return budgets_admit(c->g->spec.budgets, &ask, clock_wall_ns(), &a->reservation, refusal, &a->why.err);
}

static void refused(struct call *c, const struct refusal *r)
{
    metrics_refusal(c->g->spec.metrics, r->kind == REFUSAL_RATE ? "rate" : r->limit);
    bool used = r->kind == REFUSAL_USED || r->kind == REFUSAL_NEVER;
    c->retry_after_s = r->retry_after_s;
    if (r->kind == REFUSAL_BUSY) { /* a matter of seconds, also for a run: no limit is reached */
        c->code = "budget_busy";
        c->status = 429;
        return;
    }
    c->code = used ? "budget_exceeded" : "price_unknown";
    c->status = 402;
    /* A task's own limit is raised with the task; another budget, which it shares, with the budget, and the task then
     * goes on by itself unless the budget refuses instead of pausing: then a person decides. */
    c->limit = !used || !r->budget_id ? r->limit : r->pause ? "budget" : "refused";
}

/* ---- one attempt ---- */

void attempt_free(struct attempt *a)
{
    struct call *c = a->call;
    struct upstream_place *place = a->place;
    c->attempt = NULL;
    mem_free(a->ctx);
    if (place)
        upstream_give(place);
}

static void call_refused(struct call *c)
{
    answer_refuse(c);
    call_free(c);
}

static bool nobody_waits(const struct call *c)
{
    return !c->client && !of_runner(c);
}

void call_next(struct call *c)
{
    struct choice choice = {0};
    struct refusal refusal = {0};
    if (nobody_waits(c)) {
        call_free(c);
        return;
    }
    enum rc rc = target_choose(c, &choice, &c->err);
    if (rc == RC_AGAIN)
        return; /* the queue calls again */
    if (rc != RC_OK) {
        c->status = 503;
        c->code = "overloaded";
        metrics_refusal(c->g->spec.metrics, "queue");
        c->retry_after_s = 1;
        call_refused(c);
        return;
    }
    struct attempt *a = mem_new(c->ctx, struct attempt);
    a->ctx = a;
    a->call = c;
    a->target = choice.target;
    a->target->tried = true;
    a->number = ++c->attempts;
    a->place = choice.place;
    a->why.retry_after_s = -1;
    buf_init(&a->failure, a, c->endpoint.kind == LLM_GENERATE ? FAILURE_MAX : WHOLE_MAX);
    c->attempt = a;
    if (c->endpoint.kind == LLM_COUNT_TOKENS) { /* costs nothing */
        attempt_held(a);
        return;
    }
    rc = attempt_admit(a, &refusal);
    if (rc != RC_OK) {
        c->err = a->why.err;
        refused(c, &refusal);
        attempt_free(a);
        call_refused(c);
        return;
    }
    a->reserved = true;
    attempt_hold(a, attempt_held);
}

static void attempt_end(struct attempt *a, enum rc rc, enum outcome outcome, bool elsewhere)
{
    a->end = rc;
    a->outcome = outcome;
    a->elsewhere = elsewhere;
    if (a->reserved)
        attempt_settle(a, attempt_over);
    else
        attempt_over(a);
}

static void write_work(void *arg)
{
    struct attempt *a = arg;
    a->end = attempt_write(a);
}

static void attempt_send(struct attempt *a);

static void write_done(void *arg)
{
    struct attempt *a = arg;
    if (a->way.secret && a->call->g->spec.recorder)
        recorder_secret(a->call->g->spec.recorder, str_of(a->way.secret));
    if (a->end != RC_OK)
        attempt_end(a, a->end, OUTCOME_RELEASE, a->elsewhere);
    else if (nobody_waits(a->call))
        attempt_end(a, RC_CANCELLED, OUTCOME_RELEASE, false);
    else
        attempt_send(a);
}

static void attempt_held(struct attempt *a)
{
    if (a->settle_rc != RC_OK) {
        struct call *c = a->call;
        budgets_release(c->g->spec.budgets, &a->reservation);
        a->reserved = false;
        log_err(&a->why.err, "could not write a hold");
        attempt_end(a, a->settle_rc, OUTCOME_RELEASE, false);
        return;
    }
    /* What waits for nothing and is little work is done here: a thread costs more. */
    if (!way_waits(a->target->provider) && a->call->body.n <= INLINE_MAX) {
        write_work(a);
        write_done(a);
    } else {
        loop_offload(a->call->g->spec.loop, write_work, write_done, a);
    }
}

/* ---- the request and its answer ---- */

const char *attempt_header(struct attempt *a, const char *name)
{
    struct str value;
    return http_block_find(a->head, name, &value) ? str_dup(a->ctx, value) : NULL;
}

static void up_head(void *arg, int status, struct str headers)
{
    struct attempt *a = arg;
    struct call *c = a->call;
    a->status = status;
    a->head = str_of(str_dup(a->ctx, headers));
    a->first_byte_ms = clock_mono_ms() - a->began_ms;
    if (status != 200 || c->endpoint.kind != LLM_GENERATE)
        return;
    const char *type = attempt_header(a, "content-type");
    struct llm_bridge_spec spec = {.client = c->endpoint.dialect,
                                   .upstream = a->target->dialect,
                                   .client_stream = c->stream,
                                   .upstream_stream =
                                       c->stream && !(type && str_starts(str_of(type), STR("application/json"))),
                                   .client_array = c->endpoint.array,
                                   .hide_usage = !c->facts.wants_usage,
                                   .model = c->facts.model,
                                   .id = c->request + REQUEST_PREFIX,
                                   .created_s = c->began_ns / 1000000000};
    a->bridge = llm_bridge_new(a->ctx, &spec);
}

static bool up_body(void *arg, struct str bytes)
{
    struct attempt *a = arg;
    struct call *c = a->call;
    if (!a->bridge) {
        a->too_large |= !buf_str(&a->failure, bytes);
        return true;
    }
    if (c->client && http_answer_backlog(c->client) > HTTP_HIGH_WATER) {
        a->paused = true;
        return false;
    }
    enum rc rc = llm_bridge_feed(a->bridge, bytes.p, bytes.n, &c->out, &a->why.err);
    if (rc != RC_OK && a->end == RC_OK)
        a->end = rc;
    if (c->out.n)
        answer_bytes(c, &c->out);
    return true;
}

void attempt_resume(struct call *c)
{
    struct attempt *a = c->attempt;
    if (a && a->paused && a->up) {
        a->paused = false;
        upstream_resume(a->up);
    }
}

/* No provider said why: what we noticed is in why.err. */
static void failure_plain(struct attempt *a, enum rc rc)
{
    a->why.rc = rc;
    a->why.retryable = true;
    a->why.context_too_long = a->why.moved = a->why.quota = false;
    a->why.retry_after_s = -1;
}

/* What the provider said with another status than 200, or what kept it from saying anything. */
static void failure_judge(struct attempt *a, enum rc rc)
{
    if (a->status && a->status != 200) {
        llm_failure_read(a->status, a->head, buf_view(&a->failure), clock_wall_ns(), &a->why);
        a->end = a->why.rc;
        return;
    }
    failure_plain(a, rc);
    a->end = rc;
}

static bool worth_another(const struct llm_failure *f)
{
    return f->retryable || f->quota || f->context_too_long || f->rc == RC_DENIED || f->rc == RC_NOT_FOUND ||
           f->rc == RC_UPSTREAM || f->rc == RC_TIMEOUT || f->rc == RC_UNAVAILABLE || f->rc == RC_LIMIT;
}

static enum outcome usage_outcome(struct attempt *a)
{
    return a->usage_known ? OUTCOME_SETTLE : OUTCOME_KEEP;
}

static void generated_end(struct attempt *a, enum rc rc)
{
    struct call *c = a->call;
    const struct llm_answer *answer = NULL;
    if (rc != RC_OK) {
        failure_judge(a, rc);
        llm_bridge_fail(a->bridge, &a->why, &c->out);
    }
    struct err later; /* the first failure is the one that is told */
    enum rc ended = llm_bridge_end(a->bridge, &c->out, &answer, a->end == RC_OK ? &a->why.err : &later);
    if (a->end == RC_OK)
        a->end = ended;
    a->usage = answer->usage;
    a->usage_known = answer->usage_known && (answer->complete || answer->failed);
    a->model_served = answer->model;
    a->good = a->end == RC_OK && answer->complete && !answer->failed;
    if (!a->good && a->end != RC_OK && !a->why.rc) {
        if (answer->failed)
            llm_answer_failure(answer, &a->why);
        else
            failure_plain(a, a->end);
    }
    c->content_type = llm_bridge_content_type(a->bridge);
    buf_str(&c->tail, buf_view(&c->out));
    buf_clear(&c->out);
    attempt_end(a,
                a->good  ? RC_OK
                : a->end ? a->end
                         : RC_UPSTREAM,
                usage_outcome(a), !c->begun && worth_another(&a->why));
}

static void embedded_end(struct attempt *a)
{
    struct call *c = a->call;
    struct str body = buf_view(&a->failure);
    enum rc rc = RC_OK;
    if (a->too_large)
        rc = err_set(&a->why.err, RC_LIMIT, "the answer is larger than %u MiB", WHOLE_MAX >> 20);
    if (strcmp(a->target->dialect->family, "gemini") == 0) {
        rc = rc ? rc : llm_embed_answer(&c->embed, c->facts.model, body, &c->tail, &a->usage, &a->why.err);
        a->usage_known = rc == RC_OK && a->usage.output >= 0;
    } else {
        a->usage_known = llm_embed_usage(body, &a->usage);
        if (rc == RC_OK)
            buf_str(&c->tail, body);
    }
    c->content_type = "application/json";
    a->good = rc == RC_OK;
    a->why.rc = rc;
    attempt_end(a, rc, usage_outcome(a), rc != RC_OK);
}

static void up_end(void *arg, enum rc rc, const struct err *err)
{
    struct attempt *a = arg;
    struct call *c = a->call;
    a->up = NULL;
    if (rc != RC_OK)
        a->why.err = *err;
    if (a->status != 200) {
        failure_judge(a, rc == RC_OK ? RC_UPSTREAM : rc);
        /* A status is the provider's word that nothing was made; no connection, that nothing was sent. Anything else
         * may have cost something. */
        bool free_of_cost = a->status != 0 || rc == RC_UNAVAILABLE;
        attempt_end(a, a->end, free_of_cost ? OUTCOME_RELEASE : OUTCOME_KEEP, worth_another(&a->why));
    } else if (c->endpoint.kind == LLM_GENERATE) {
        generated_end(a, rc);
    } else if (rc != RC_OK) {
        failure_judge(a, rc);
        attempt_end(a, rc, OUTCOME_KEEP, true);
    } else if (c->endpoint.kind == LLM_EMBEDDINGS) {
        embedded_end(a);
    } else {
        c->content_type = "application/json";
        a->good = buf_str(&c->tail, buf_view(&a->failure));
        attempt_end(a, RC_OK, OUTCOME_RELEASE, false);
    }
}

static void attempt_send(struct attempt *a)
{
    struct call *c = a->call;
    const struct provider *row = &a->target->provider->row;
    const struct gateway_spec *g = &c->g->spec;
    struct upstream_spec up = {.method = "POST",
                               .url = a->way.url,
                               .headers = a->way.headers,
                               .body = a->body,
                               .connect_ms = row->connect_ms > 0 ? (int)row->connect_ms : g->connect_ms,
                               .first_byte_ms = row->first_byte_ms > 0 ? (int)row->first_byte_ms : g->first_byte_ms,
                               .idle_ms = row->idle_ms > 0 ? (int)row->idle_ms : g->idle_ms,
                               .on_head = up_head,
                               .on_body = up_body,
                               .on_end = up_end,
                               .arg = a};
    a->began_ms = clock_mono_ms();
    enum rc rc = upstream_start(g->pool, &up, &a->up, &a->why.err);
    if (rc != RC_OK)
        attempt_end(a, rc, OUTCOME_RELEASE, true);
    else
        a->sent = true;
}

void attempt_cancel(struct attempt *a)
{
    upstream_cancel(a->up);
    a->up = NULL;
    err_set(&a->why.err, RC_CANCELLED, "the client left before the answer was whole");
    if (a->bridge) {
        const struct llm_answer *answer = llm_bridge_answer(a->bridge);
        a->usage = answer->usage;
        a->usage_known = answer->usage_known && answer->complete;
        a->model_served = answer->model;
    }
    attempt_end(a, RC_CANCELLED, usage_outcome(a), false);
}

/* ---- after it ---- */

static void health_tell(struct attempt *a)
{
    if (a->end == RC_CANCELLED || !a->place)
        return;
    if (a->end == RC_OK || a->why.rc == RC_INVALID)
        upstream_answered(a->place);
    else if (a->sent || a->end == RC_DENIED || a->end == RC_UNAVAILABLE)
        upstream_failed(a->place, clock_mono_ms(), a->why.retry_after_s);
}

static bool target_left(const struct call *c)
{
    for (size_t i = 0; i < c->target_count; i++)
        if (!c->targets[i].tried)
            return c->attempts < ATTEMPTS_MOST;
    return false;
}

static void attempt_tell(struct attempt *a)
{
    struct call *c = a->call;
    struct metrics *m = c->g->spec.metrics;
    bool settled = a->outcome == OUTCOME_SETTLE && a->settle_rc == RC_OK;
    struct record_attempt record = {.provider = a->target->provider->row.id,
                                    .upstream = a->target->upstream,
                                    .status = a->status,
                                    .rc = a->end,
                                    .first_byte_ms = a->status ? a->first_byte_ms : -1,
                                    .ms = a->sent ? clock_mono_ms() - a->began_ms : 0,
                                    .words = a->end ? a->why.err.sentence : NULL};
    record_attempt(c->record, &record);
    metrics_attempt(m, record.provider, a->end);
    if (settled) {
        metrics_usage(m, a->target->model, &a->usage);
        if (a->target->priced)
            metrics_money(m, a->target->price.currency, a->cost);
    }
    c->end.provider = mem_str(c->ctx, record.provider);
    c->end.model = a->target->model;
    c->end.usage_known = settled;
    c->end.usage = a->usage;
    c->end.cost = settled ? a->cost : 0;
    c->end.currency = a->target->priced ? a->target->price.currency : NULL;
    if (a->end != RC_OK)
        c->end.words = mem_str(c->ctx, a->why.err.sentence);
}

/* The rows say how the attempt ended; now the next one, or the client's answer. */
static void attempt_over(struct attempt *a)
{
    struct call *c = a->call;
    health_tell(a);
    attempt_tell(a);
    if (a->above_hold)
        log_error("request %s at %s cost %s %s, more than its upper bound of %s: please report this", c->request,
                  a->target->provider->row.id, money_exact(c->ctx, a->cost, 2), a->target->price.currency,
                  money_exact(c->ctx, a->reservation.amount, 2));
    if (a->outcome == OUTCOME_SETTLE)
        c->used_tokens = usage_tokens(&a->usage);
    if (a->settle_rc != RC_OK)
        log_err(&a->why.err, "could not settle a model request; its hold stays");
    bool next = a->elsewhere && !a->good && !c->begun && a->settle_rc == RC_OK && target_left(c) && !nobody_waits(c);
    if (!next && a->good && a->settle_rc == RC_OK)
        answer_end(c);
    else if (!next)
        answer_failure(c, a);
    if (next)
        log_info("request %s: %s failed (%s), trying the next target", c->request, a->target->provider->row.id,
                 a->why.err.sentence);
    attempt_free(a);
    if (next) {
        buf_clear(&c->tail);
        call_next(c);
    } else {
        call_free(c);
    }
}
