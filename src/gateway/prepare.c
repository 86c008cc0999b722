/* Before a request is admitted: who asks, what is asked, which targets may serve it, and the most that each may cost.
 * Decides nothing about money. What all requests ask for is in memory, so that most are prepared on the loop; where the
 * database must be read, and for a large body, a pool thread does it. Not here: the loop's part (attempt.c). */
#include "base/clock.h"
#include "gateway/call.h"
#include "gateway/replay.h"
#include "gateway/vertex.h"
#include "store/model.h"
#include "store/price.h"

#define OUTPUT_LEAST                                                                                                   \
    256 /* fewer output tokens make no useful answer: then a run's request is refused instead of cut                   \
         */
#define TARGETS_MAX CANDIDATES_MAX

static enum rc refuse(struct call *c, int status, const char *code)
{
    c->verdict = CALL_REFUSED;
    c->status = status;
    c->code = code;
    return c->err.rc;
}

/* ---- lists of models ---- */

struct rows {
    struct call *call;
    struct llm_model_row *v;
    size_t n, room;
};

static void row_add(struct rows *r, struct llm_model_row row)
{
    if (principal_model(&r->call->caller.who, row.id, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].id, row.id) == 0)
            return;
    if (r->n == r->room)
        r->v = mem_grow(r->call->ctx, r->v, (r->room = r->room ? r->room * 2 : 64) * sizeof *r->v);
    r->v[r->n++] = row;
}

static void models_of_catalog(struct rows *rows, const struct catalog *cat)
{
    mem *ctx = rows->call->ctx;
    for (size_t i = 0; i < cat->tier_count; i++)
        row_add(rows, (struct llm_model_row){.id = cat->tiers[i].name, .owner = "nightmill"});
    for (size_t i = 0; i < cat->model_count; i++) {
        const struct model *m = &cat->models[i];
        row_add(rows, (struct llm_model_row){.id = m->id,
                                             .owner = m->provider,
                                             .created_s = m->created_ns / 1000000000,
                                             .context = m->context,
                                             .max_output = m->max_output});
    }
    size_t n = 0;
    const struct price *prices = price_builtin(&n);
    for (size_t i = 0; i < n; i++) { /* names that a provider without rows takes too */
        struct catalog_target *targets;
        size_t found;
        if (catalog_targets(ctx, cat, prices[i].model, false, &targets, &found, NULL) == RC_OK)
            row_add(rows, (struct llm_model_row){.id = prices[i].model, .owner = targets[0].provider->row.id});
    }
}

/* spec: of the run, or none. A run has its own model and no other. */
static enum rc models_answer(struct call *c, struct json spec)
{
    struct rows rows = {.call = c};
    const char *own = json_z(c->ctx, json_path(spec, "model.name"), NULL);
    if (own)
        row_add(&rows, (struct llm_model_row){.id = own, .owner = "nightmill"});
    else
        models_of_catalog(&rows, c->catalog);
    buf_clear(&c->whole);
    c->content_type = "application/json";
    c->verdict = CALL_ANSWERED;
    if (c->endpoint.kind == LLM_MODELS) {
        llm_models_write(c->endpoint.dialect, rows.v, rows.n, &c->whole);
        return RC_OK;
    }
    for (size_t i = 0; i < rows.n; i++) {
        if (c->endpoint.model && strcmp(rows.v[i].id, c->endpoint.model) == 0) {
            llm_model_write(c->endpoint.dialect, &rows.v[i], &c->whole);
            return RC_OK;
        }
    }
    err_set(&c->err, RC_NOT_FOUND, "there is no model %s", c->endpoint.model ? c->endpoint.model : "");
    err_hint(&c->err, "list what there is: nightmill model ls");
    return refuse(c, 404, "model_not_found");
}

/* ---- targets ---- */

static const struct llm_dialect *target_dialect(const struct provider_view *p, const char *upstream)
{
    if (p->kind->auth == PROVIDER_ACCOUNT)
        return llm_dialect_find(vertex_is_claude(upstream) ? "messages" : "gemini");
    return llm_dialect_find(p->dialect);
}

static enum rc price_named(struct call *c, struct target *t, const char *const *names, size_t n)
{
    enum rc rc =
        price_find_named(c->ctx, c->g->spec.store, names, n, t->model, c->began_ns, c->may_wait, &t->price, NULL);
    c->must_wait |= rc == RC_AGAIN;
    return rc;
}

static void target_add(struct call *c, struct target t, const char *const *price_names, size_t n)
{
    if (c->target_count == TARGETS_MAX || !t.dialect)
        return;
    t.priced = price_named(c, &t, price_names, n) == RC_OK;
    c->targets[c->target_count++] = t;
}

/* A run may have an address of its own, from its settings: a provider that is in no catalogue. */
static enum rc targets_of_run(struct call *c, struct json spec)
{
    struct json model = json_get(spec, "model");
    const char *url = json_z(c->ctx, json_get(model, "url"), ""), *key = json_z(c->ctx, json_get(model, "key"), "");
    if (!json_eqz(json_get(model, "name"), c->model) && !json_eqz(json_get(model, "stronger"), c->model)) {
        if (!c->guest)
            return err_set(&c->err, RC_DENIED, "this run may not use the model %s", c->model);
        c->model = json_z(c->ctx, json_get(model, "name"), c->model);
    }
    if (!*url)
        return RC_AGAIN;
    const char *wire = json_z(c->ctx, json_get(model, "wire"), "chat");
    struct provider *row = mem_new(c->ctx, struct provider);
    *row = (struct provider)PROVIDER_STANDARD;
    row->id = "run"; /* its bill says who it was by the model */
    row->kind = strcmp(wire, "messages") == 0 ? "anthropic" : strcmp(wire, "gemini") == 0 ? "gemini" : "compatible";
    row->base_url = url;
    row->credential = *key ? mem_printf(c->ctx, "env:%s", key) : "";
    row->dialect = wire;
    struct provider_view *view = mem_new(c->ctx, struct provider_view);
    enum rc rc = provider_view_make(row, view, &c->err);
    if (rc != RC_OK)
        return rc;
    view->credential = row->credential; /* a server of one's own may need no key where its kind usually does */
    struct target t = {.provider = view,
                       .model = c->model,
                       .upstream = c->model,
                       .dialect = llm_dialect_find(wire),
                       .weight = 100,
                       .max_output = json_int(json_get(model, "max_output"), 0)};
    target_add(c, t, &t.model, 1);
    return RC_OK;
}

static bool name_is_tier(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->catalog->tier_count; i++)
        if (strcmp(c->catalog->tiers[i].name, name) == 0)
            return true;
    return false;
}

static enum rc neutral_make(struct call *c)
{
    if (c->neutral)
        return RC_OK;
    if (c->endpoint.kind == LLM_COUNT_TOKENS)
        return llm_count_decode(c->ctx, c->endpoint.dialect, c->endpoint.model, c->body, &c->neutral, &c->err);
    return llm_request_decode(c->ctx, c->endpoint.dialect, c->endpoint.model, c->endpoint.stream, c->body, &c->neutral,
                              &c->err);
}

/* A tier may hold a pair of chains: the client's wish for reasoning chooses. */
static bool wants_thinking(struct call *c)
{
    if (c->endpoint.kind != LLM_GENERATE || !name_is_tier(c, c->model) || neutral_make(c) != RC_OK)
        return false;
    const struct llm_request *r = c->neutral;
    return r->thinking > 0 || r->thinking == -1 || (r->effort && strcmp(r->effort, "none") != 0);
}

static enum rc targets_of_catalog(struct call *c)
{
    struct catalog_target *found;
    size_t n;
    enum rc rc = catalog_targets(c->ctx, c->catalog, c->model, wants_thinking(c), &found, &n, &c->err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const char *names[CATALOG_PRICE_NAMES];
        size_t count = catalog_price_names(c->ctx, &found[i], names);
        struct target t = {.provider = found[i].provider,
                           .model = found[i].model->id,
                           .upstream = found[i].model->upstream,
                           .dialect = target_dialect(found[i].provider, found[i].model->upstream),
                           .step = found[i].step,
                           .weight = found[i].model->weight * found[i].provider->row.weight,
                           .max_output = found[i].model->max_output};
        target_add(c, t, names, count);
    }
    return rc;
}

/* ---- the bound ---- */

static void demand_raise(struct demand *d, const struct llm_request_facts *f)
{
    int64_t more = f->media * f->media_tokens;
    d->bytes = f->input_bytes > d->bytes ? f->input_bytes : d->bytes;
    d->more = more > d->more ? more : d->more;
    d->answers = f->n > d->answers ? f->n : d->answers;
}

/* A body that is written anew for another family of dialects may be longer than the client's: the bound holds for the
 * longest of all that may be sent. A target that cannot be told this request is left out. */
static enum rc demand_make(struct call *c)
{
    size_t kept = 0;
    struct err why = {0};
    c->demand.answers = 1;
    demand_raise(&c->demand, &c->facts);
    for (size_t i = 0; i < c->target_count; i++) {
        struct target *t = &c->targets[i];
        bool fits = llm_same_family(c->endpoint.dialect, t->dialect);
        if (!fits && neutral_make(c) == RC_OK) {
            struct buf body;
            struct llm_request_facts f;
            buf_init(&body, c->ctx, WHOLE_MAX);
            fits = llm_request_encode(c->neutral, t->dialect, t->upstream, c->demand.output, c->stream, &body, &why) ==
                       RC_OK &&
                   llm_request_read(c->ctx, t->dialect, t->upstream, c->stream, buf_view(&body), &f, &why) == RC_OK;
            if (fits) {
                demand_raise(&c->demand, &f);
                c->facts.unpriced = c->facts.unpriced ? c->facts.unpriced : f.unpriced;
            }
            buf_done(&body);
        } else if (!fits) {
            why = c->err;
        }
        if (fits)
            c->targets[kept++] = *t;
    }
    c->target_count = kept;
    if (kept)
        return RC_OK;
    c->err = why;
    return refuse(c, 400, "unsupported");
}

static void output_choose(struct call *c)
{
    int64_t most = c->targets[0].max_output > 0 ? c->targets[0].max_output : c->g->spec.max_output;
    bool open = c->facts.max_output <= 0;
    c->demand.output = open ? most : c->facts.max_output;
    /* A run's agent takes what it gets; another client that named a cap gets that or a refusal. */
    int64_t least = open || c->caller.task_id ? OUTPUT_LEAST : c->demand.output;
    c->least_output = least < c->demand.output ? least : c->demand.output;
}

/* ---- the whole ---- */

static enum rc task_read(struct call *c, struct json *ret_spec)
{
    struct task task;
    enum rc rc = task_find(c->ctx, c->g->spec.store, c->caller.task_id, &task, &c->err);
    if (rc == RC_OK)
        rc = json_parse(c->ctx, str_of(task.spec), ret_spec, &c->err);
    if (rc != RC_OK)
        return rc;
    c->project = task.repo;
    c->agent = json_z(c->ctx, json_path(*ret_spec, "agent.name"), "nightmill");
    c->currency = task.currency;
    c->limit_money = task.limit_money;
    c->record_whole = json_bool(json_get(*ret_spec, "record"), false);
    return budgets_task(c->g->spec.budgets, c->caller.task_id, task.limit_money, task.limit_tokens, task.currency,
                        &c->err);
}

static enum rc facts_read(struct call *c)
{
    if (c->endpoint.kind == LLM_EMBEDDINGS) {
        enum rc rc = llm_embed_read(c->ctx, c->body, &c->embed, &c->err);
        c->facts = (struct llm_request_facts){
            .model = c->embed.model, .n = 1, .input_bytes = c->embed.input_bytes, .wants_usage = true};
        return rc;
    }
    if (c->endpoint.kind == LLM_COUNT_TOKENS) {
        enum rc rc = neutral_make(c);
        c->facts = (struct llm_request_facts){.model = rc == RC_OK ? c->neutral->model : NULL, .n = 1};
        return rc;
    }
    enum rc rc = llm_request_read(c->ctx, c->endpoint.dialect, c->endpoint.model, c->endpoint.stream, c->body,
                                  &c->facts, &c->err);
    c->stream = c->facts.stream;
    return rc;
}

/* Counting costs nothing: asked of an upstream that speaks the client's dialect, else estimated. */
static enum rc count_answer(struct call *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->target_count; i++)
        if (llm_same_family(c->endpoint.dialect, c->targets[i].dialect) &&
            c->targets[i].provider->kind->auth != PROVIDER_ACCOUNT)
            c->targets[kept++] = c->targets[i];
    c->target_count = kept;
    c->verdict = CALL_FORWARD;
    if (kept)
        return RC_OK;
    llm_count_write(c->endpoint.dialect, llm_count_estimate(c->neutral), &c->whole);
    c->content_type = "application/json";
    c->verdict = CALL_ANSWERED;
    return RC_OK;
}

static enum rc embeddings_bound(struct call *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->target_count; i++)
        if (strcmp(c->targets[i].dialect->family, "messages") != 0 &&
            c->targets[i].provider->kind->auth != PROVIDER_ACCOUNT)
            c->targets[kept++] = c->targets[i];
    c->target_count = kept;
    if (!kept) {
        err_set(&c->err, RC_INVALID, "the provider of %s has no embeddings", c->facts.model);
        return refuse(c, 400, "unsupported");
    }
    c->demand = (struct demand){.bytes = c->facts.input_bytes, .answers = 1};
    c->verdict = CALL_FORWARD;
    return RC_OK;
}

static enum rc targets_find(struct call *c, struct json spec)
{
    enum rc rc;
    c->model = c->facts.model;
    c->targets = mem_array(c->ctx, struct target, TARGETS_MAX);
    c->target_count = 0;
    if (c->caller.task_id)
        rc = targets_of_run(c, spec);
    else
        rc = principal_model(&c->caller.who, c->facts.model, &c->err) == RC_OK ? RC_AGAIN : RC_DENIED;
    if (rc == RC_AGAIN)
        rc = targets_of_catalog(c);
    if (rc != RC_OK)
        return refuse(c, 0, rc == RC_NOT_FOUND ? "model_not_found" : NULL);
    return RC_OK;
}

static enum rc request_prepare(struct call *c, struct json spec)
{
    enum rc rc = facts_read(c);
    if (rc != RC_OK)
        return refuse(c, 400, NULL);
    const char *recording = json_z(c->ctx, json_get(spec, "replay"), NULL);
    if (recording) {
        call_replay(c, recording);
        return c->err.rc;
    }
    rc = targets_find(c, spec);
    if (rc != RC_OK)
        return rc;
    if (c->endpoint.kind == LLM_COUNT_TOKENS)
        return count_answer(c);
    if (c->endpoint.kind == LLM_EMBEDDINGS)
        return embeddings_bound(c);
    output_choose(c);
    rc = demand_make(c);
    if (rc == RC_OK)
        c->verdict = CALL_FORWARD;
    return rc;
}

static enum rc caller_find(struct call *c)
{
    const struct gateway_guest *guest = c->guest;
    const struct gateway_spec *g = &c->g->spec;
    if (guest && !guest->key) {
        c->caller = (struct caller){.task_id = guest->task_id};
        return RC_OK;
    }
    enum rc rc = g->identify(g->arg, c->ctx, c->token, !guest && c->trusted, c->may_wait, &c->caller, &c->err);
    if (rc == RC_OK && guest && (!c->caller.task_id || strcmp(c->caller.task_id, guest->task_id) != 0))
        rc = err_set(&c->err, RC_DENIED, "this address is another run's");
    return rc;
}

static void prepare(struct call *c)
{
    struct gateway_spec *g = &c->g->spec;
    enum rc rc = caller_find(c);
    if (rc == RC_AGAIN || (c->caller.task_id && !c->may_wait)) {
        c->must_wait = true;
        return;
    }
    if (rc != RC_OK) {
        refuse(c, 401, "invalid_api_key");
        return;
    }
    if (!c->caller.task_id && principal_may(&c->caller.who, ACCESS_USE, &c->err) != RC_OK) {
        refuse(c, 403, "permission_denied");
        return;
    }
    struct json spec = {0};
    if (c->caller.task_id && task_read(c, &spec) != RC_OK)
        return;
    if (of_runner(c) && reply_find(c->ctx, g->store, c->caller.task_id, c->key, &c->stored, NULL) == RC_OK) {
        c->verdict = CALL_STORED;
        return;
    }
    const char *organisation = c->caller.who.organisation, *project = c->caller.who.project;
    if (!c->caller.task_id)
        c->project = project && *project ? project : NULL;
    c->rule = (struct ratelimit_rule){c->caller.who.requests_per_minute, c->caller.who.tokens_per_minute,
                                      c->caller.who.streams};
    if (!c->caller.task_id && g->cache_ms > 0)
        c->cache_key =
            cache_key(c->ctx,
                      mem_printf(c->ctx, "%s\n%s\n%s", c->caller.who.key_id ? c->caller.who.key_id : "",
                                 organisation ? organisation : "", c->project ? c->project : ""),
                      str_of(mem_printf(c->ctx, "%s %d %s %d", c->endpoint.dialect->name, (int)c->endpoint.kind,
                                        c->endpoint.model ? c->endpoint.model : "", (int)c->endpoint.stream)),
                      c->body);
    rc = catalog_ref(g->catalogs, c->may_wait, &c->catalog, &c->err);
    c->must_wait |= rc == RC_AGAIN;
    if (rc != RC_OK)
        return;
    if (c->endpoint.kind == LLM_MODELS || c->endpoint.kind == LLM_MODEL)
        (void)!models_answer(c, spec);
    else
        (void)!request_prepare(c, spec);
}

bool call_prepare(struct call *c, bool may_wait)
{
    c->verdict = CALL_REFUSED;
    c->may_wait = may_wait;
    c->must_wait = false;
    prepare(c);
    if (!c->must_wait)
        return true;
    catalog_unref(c->catalog);
    c->catalog = NULL;
    c->err = (struct err){0};
    c->status = 0;
    c->code = NULL;
    return false;
}
