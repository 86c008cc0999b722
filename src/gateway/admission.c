/* What a model request may cost, and what it did cost: the two database visits of a call. */
#include "base/clock.h"
#include "base/log.h"
#include "gateway/call.h"

/* Less than this many output tokens make no useful answer: then the request is refused instead of cut. */
#define OUTPUT_LEAST 256

struct admission {
    struct call *call;
    int64_t limit_tokens;
    struct demand demand;
    const char *unpriced;
    const char *project;
};

static enum rc hold_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct call *c = arg;
    return hold_open(tx, &c->hold, err);
}

/* The run is told to pause by a `limit`; what only has to wait is told to come again. */
static enum rc refused(struct call *c, const struct refusal *f)
{
    if (f->kind == REFUSAL_BUSY)
        c->err.rc = RC_UNAVAILABLE;
    else if (f->pause || f->limit == NULL || strcmp(f->limit, "price") == 0)
        c->limit = f->limit;
    return c->err.rc;
}

static enum rc release_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct call *c = arg;
    return hold_close(tx, c->hold.id, "released", err);
}

/* Memory first, then the row: nothing is sent before both. */
static enum rc admit(struct call *c, const struct admission *a)
{
    struct budgets *b = gateway_budgets(c->g);
    struct refusal refusal;
    struct candidate candidate = {.price = c->priced ? &c->price : NULL};
    struct ask ask = {.spender = {.organisation = "default",
                                  .project = a->project,
                                  .task = c->task_id,
                                  .agent = "nightmill",
                                  .model = c->model},
                      .candidates = &candidate,
                      .candidate_count = 1,
                      .demand = a->demand,
                      .least_output = OUTPUT_LEAST,
                      .unpriced = a->unpriced};
    enum rc rc = budgets_task(b, c->task_id, c->limit_money, a->limit_tokens, c->currency, &c->err);
    if (rc != RC_OK) {
        c->limit = rc == RC_CONFLICT ? "price" : NULL;
        return rc;
    }
    rc = budgets_admit(b, &ask, clock_wall_ns(), &c->reservation, &refusal, &c->err);
    if (rc != RC_OK)
        return refused(c, &refusal);
    reservation_hold(&c->reservation, &c->hold);
    c->hold.request = hold_request_of_call(c->ctx, c->task_id, c->key);
    c->hold.iteration = c->iteration;
    c->hold.dialect = c->dialect->name;
    c->hold.price_id = c->priced ? c->price.id : 0;
    if (!c->priced)
        c->hold.currency = c->currency;
    rc = store_write(gateway_store(c->g), hold_tx, c, &c->err);
    if (rc != RC_OK)
        budgets_release(b, &c->reservation);
    return rc;
}

static enum rc admit_read(struct call *c, struct admission *a)
{
    struct task task;
    struct json spec;
    struct llm_request_facts facts;
    enum rc rc = task_find(c->ctx, gateway_store(c->g), c->task_id, &task, &c->err);
    if (rc == RC_OK)
        rc = json_parse(c->ctx, str_of(task.spec), &spec, &c->err);
    if (rc == RC_OK)
        rc = llm_request_read(c->ctx, c->dialect, NULL, false, c->body, &facts, &c->err);
    if (rc != RC_OK)
        return rc;
    struct json model = json_get(spec, "model");
    c->model = facts.model;
    c->url = json_z(c->ctx, json_get(model, "url"), "");
    c->key_name = json_z(c->ctx, json_get(model, "key"), "");
    c->limit_money = task.limit_money;
    c->currency = task.currency;
    a->limit_tokens = task.limit_tokens;
    a->project = task.repo;
    a->unpriced = facts.unpriced;
    a->demand = (struct demand){.bytes = facts.input_bytes,
                                .more = money_mul(facts.media_tokens, facts.media),
                                .output = facts.max_output > 0 ? facts.max_output
                                                               : json_int(json_get(model, "max_output"), 8192),
                                .answers = facts.n};
    if (!json_eqz(json_get(model, "name"), facts.model) && !json_eqz(json_get(model, "stronger"), facts.model))
        return err_set(&c->err, RC_DENIED, "this run may not use the model %s", facts.model);
    return RC_OK;
}

void call_admit(struct call *c)
{
    struct admission a = {.call = c};
    struct store *store = gateway_store(c->g);
    c->verdict = CALL_REFUSED;
    if (reply_find(c->ctx, store, c->task_id, c->key, &c->stored, NULL) == RC_OK) {
        c->verdict = CALL_STORED;
        return;
    }
    if (admit_read(c, &a) != RC_OK)
        return;
    c->priced = price_find(c->ctx, store, c->model, clock_wall_ns(), &c->price, &c->err) == RC_OK;
    if (admit(c, &a) != RC_OK)
        return;
    struct llm_splice change = {.max_output = c->reservation.output, .ask_usage = true};
    if (llm_request_splice(c->ctx, c->dialect, c->body, &change, &c->forward, &c->err) == RC_OK) {
        c->verdict = CALL_FORWARD;
        return;
    }
    if (store_write(store, release_tx, c, NULL) == RC_OK)
        budgets_release(gateway_budgets(c->g), &c->reservation);
    else
        budgets_keep(gateway_budgets(c->g), &c->reservation);
}

/* ---- settlement ---- */

/* In the currency of the task: as its budget counts it, or as it is when there is no rate. */
static pico call_money(const struct call *c, pico v, const char **ret_currency)
{
    struct frozen_rate rate;
    *ret_currency = c->hold.currency;
    if (strcmp(c->hold.currency, c->currency) == 0 ||
        budgets_rate(gateway_budgets(c->g), c->hold.currency, c->currency, c->hold.opened_ns, &rate, NULL) != RC_OK)
        return v;
    *ret_currency = c->currency;
    return money_convert(v, rate.ratio);
}

/* All that the task used or holds. Where several currencies are mixed, the budget knows: what it holds for this request
 * gives way to what that came to. */
static enum rc task_total(struct call *c, struct store_tx *tx, pico cost, pico *ret, struct err *err)
{
    struct spent spent;
    struct budget_state *states;
    size_t n = 0;
    const char *currency;
    enum rc rc = ledger_spent_tx(tx, c->task_id, &spent, err);
    *ret = rc == RC_OK ? money_add(spent.settled, spent.held) : 0;
    if (rc != RC_OK || strcmp(c->hold.currency, c->currency) == 0)
        return rc;
    budgets_list(c->ctx, gateway_budgets(c->g), SCOPE_TASK, c->task_id, 0, &states, &n);
    if (n && states[0].budget.id == 0 && states[0].budget.money >= 0)
        *ret = money_add(states[0].spent, states[0].held) -
               (c->usage_known ? call_money(c, c->hold.amount, &currency) - cost : 0);
    return RC_OK;
}

static enum rc usage_event(struct call *c, struct store_tx *tx, pico spent, struct err *err)
{
    const char *currency;
    pico cost = call_money(c, spent, &currency), total;
    struct buf b;
    struct json_out o;
    enum rc rc = task_total(c, tx, cost, &total, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&b, c->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ki(&o, "iteration", c->iteration);
    jo_kz(&o, "model", c->model);
    jo_kz(&o, "model_served", c->model_served);
    if (c->usage_known) {
        jo_ki(&o, "input", c->usage.input);
        jo_ki(&o, "cache_read", c->usage.cache_read);
        jo_ki(&o, "cache_write", c->usage.cache_write + c->usage.cache_write_1h);
        jo_ki(&o, "output", c->usage.output);
        jo_ki(&o, "reasoning", c->usage.reasoning);
        jo_kz(&o, "cost", c->priced ? money_exact(c->ctx, cost, 2) : NULL);
    } else {
        jo_kz(&o, "words", "the provider did not say what was used: the amount held counts as spent");
        jo_kz(&o, "held", money_exact(c->ctx, call_money(c, c->hold.amount, &currency), 2));
    }
    jo_kz(&o, "total", money_exact(c->ctx, total, 2));
    jo_kz(&o, "currency", currency);
    jo_kz(&o, "limit", c->limit_money >= 0 ? money_exact(c->ctx, c->limit_money, 2) : NULL);
    jo_end_obj(&o);
    struct event e = {.time_ns = clock_wall_ns(),
                      .type = c->usage_known ? "model.usage" : "model.kept",
                      .actor = "system",
                      .data = b.p};
    int64_t number;
    bool fresh;
    return event_append(tx, c->task_id, &e, &number, &fresh, err);
}

/* What a request came to. */
enum outcome { OUTCOME_NOTHING, OUTCOME_UNKNOWN, OUTCOME_KNOWN };

static enum outcome outcome_of(const struct call *c)
{
    if (c->status != 0 && c->status != 200)
        return OUTCOME_NOTHING; /* refused by the provider: nothing was made */
    if (c->status == 0 && c->end == RC_UNAVAILABLE)
        return OUTCOME_NOTHING; /* never left this machine */
    return c->usage_known ? OUTCOME_KNOWN : OUTCOME_UNKNOWN;
}

static pico call_cost(const struct call *c)
{
    return c->priced ? price_cost(&c->price, &c->usage) : 0;
}

static enum rc settle_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct call *c = arg;
    enum outcome outcome = outcome_of(c);
    if (outcome == OUTCOME_NOTHING)
        return hold_close(tx, c->hold.id, "released", err);
    if (outcome == OUTCOME_UNKNOWN) {
        enum rc rc = hold_close(tx, c->hold.id, "kept", err);
        return rc == RC_OK ? usage_event(c, tx, 0, err) : rc;
    }
    struct ledger_row row = {.time_ns = clock_wall_ns(),
                             .model_served = c->model_served ? c->model_served : c->model,
                             .price_id = c->priced ? c->price.id : 0,
                             .currency = c->hold.currency,
                             .usage = c->usage,
                             .cost = call_cost(c)};
    bool fresh;
    enum rc rc = hold_settle(tx, c->hold.id, &row, &fresh, err);
    if (rc == RC_OK && fresh)
        rc = usage_event(c, tx, row.cost, err);
    if (rc == RC_OK && c->answer_whole) {
        struct reply reply = {
            .status = c->status, .content_type = str_of(c->content_type), .body = buf_view(&c->whole)};
        rc = reply_put(tx, c->task_id, c->key, &reply, err);
    }
    return rc;
}

void call_settle(struct call *c)
{
    struct budgets *b = gateway_budgets(c->g);
    enum outcome outcome = outcome_of(c);
    c->settle_rc = store_write(gateway_store(c->g), settle_tx, c, &c->err);
    if (c->settle_rc != RC_OK || outcome == OUTCOME_UNKNOWN)
        budgets_keep(b, &c->reservation);
    else if (outcome == OUTCOME_NOTHING)
        budgets_release(b, &c->reservation);
    else if (budgets_settle(b, &c->reservation, call_cost(c), NULL, usage_tokens(&c->usage)))
        log_warn("a request to %s came to more than its bound", c->model);
}
