/* What a model request may cost, and what it did cost: the two database visits of a call. */
#include "base/clock.h"
#include "gateway/call.h"

/* Less than this many output tokens make no useful answer: then the request is refused instead of cut. */
#define OUTPUT_LEAST 256

struct admission {
    struct call *call;
    int64_t want_output;
    int64_t limit_tokens;
    int64_t output;
};

static enum rc refuse(struct call *c, const char *limit)
{
    c->verdict = CALL_REFUSED;
    c->limit = limit;
    return c->err.rc;
}

/* Writer thread: all of the admission in one step, against what is spent at this moment. */
static enum rc admit_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct admission *a = arg;
    struct call *c = a->call;
    struct spent spent;
    enum rc rc = ledger_spent_tx(tx, c->task_id, &spent, err);
    if (rc != RC_OK)
        return rc;
    a->output = a->want_output;
    if (c->priced && c->limit_money >= 0) {
        pico used = money_add(spent.settled, spent.held);
        pico room = used < c->limit_money ? c->limit_money - used : 0;
        int64_t fits = price_affordable_output(&c->price, (int64_t)c->body.n, room);
        if (fits < (a->want_output < OUTPUT_LEAST ? a->want_output : OUTPUT_LEAST)) {
            c->limit = "money";
            err_set(err, RC_LIMIT, "the budget of %s is reached: %s used or held, the next request may cost %s",
                    money_show(c->ctx, c->limit_money, c->currency), money_show(c->ctx, used, c->currency),
                    money_show(c->ctx, price_bound(&c->price, (int64_t)c->body.n, a->want_output), c->currency));
            return err_hint(
                err, "raise it with: nightmill resume %s --budget %s", c->task_id,
                money_exact(c->ctx, money_add(c->limit_money, c->limit_money ? c->limit_money : PICO_PER_UNIT), 2));
        }
        if (fits < a->output)
            a->output = fits;
    }
    c->hold = (struct hold){.task_id = c->task_id,
                            .key = c->key,
                            .iteration = c->iteration,
                            .model = c->model,
                            .price_id = c->priced ? c->price.id : 0,
                            .currency = c->currency,
                            .amount = c->priced ? price_bound(&c->price, (int64_t)c->body.n, a->output) : 0,
                            .tokens = (int64_t)c->body.n + a->output,
                            .state = "open",
                            .opened_ns = clock_wall_ns()};
    rc = hold_open(tx, &c->hold, c->limit_money, a->limit_tokens, err);
    if (rc == RC_LIMIT && !c->limit)
        c->limit = a->limit_tokens > 0 ? "tokens" : "money";
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
    a->want_output = facts.max_output > 0 ? facts.max_output : json_int(json_get(model, "max_output"), 8192);
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
    if (!c->priced && c->limit_money >= 0) {
        refuse(c, "price");
        return;
    }
    if (c->priced && c->limit_money >= 0 && strcmp(c->price.currency, c->currency) != 0) {
        err_set(&c->err, RC_CONFLICT, "the price of %s is in %s, the budget in %s", c->model, c->price.currency,
                c->currency);
        err_hint(&c->err, "set a price in %s with: nightmill config price %s --input N --output N --currency %s",
                 c->currency, c->model, c->currency);
        refuse(c, "price");
        return;
    }
    if (store_write(store, admit_tx, &a, &c->err) != RC_OK)
        return;
    struct llm_splice change = {.max_output = a.output, .ask_usage = true};
    if (llm_request_splice(c->ctx, c->dialect, c->body, &change, &c->forward, &c->err) == RC_OK)
        c->verdict = CALL_FORWARD;
}

/* ---- settlement ---- */

static enum rc usage_event(struct call *c, struct store_tx *tx, pico cost, struct err *err)
{
    struct spent spent;
    struct buf b;
    struct json_out o;
    enum rc rc = ledger_spent_tx(tx, c->task_id, &spent, err);
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
        jo_kz(&o, "held", money_exact(c->ctx, c->hold.amount, 2));
    }
    jo_kz(&o, "total", money_exact(c->ctx, money_add(spent.settled, spent.held), 2));
    jo_kz(&o, "currency", c->currency);
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

static enum rc settle_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct call *c = arg;
    if (c->status != 0 && c->status != 200)
        return hold_close(tx, c->hold.id, "released", err); /* refused by the provider: nothing was made */
    if (c->status == 0 && c->end == RC_UNAVAILABLE)
        return hold_close(tx, c->hold.id, "released", err); /* never left this machine */
    if (!c->usage_known) {
        enum rc rc = hold_close(tx, c->hold.id, "kept", err);
        return rc == RC_OK ? usage_event(c, tx, 0, err) : rc;
    }
    struct ledger_row row = {.hold_id = c->hold.id,
                             .task_id = c->task_id,
                             .iteration = c->iteration,
                             .time_ns = clock_wall_ns(),
                             .model = c->model,
                             .model_served = c->model_served ? c->model_served : c->model,
                             .price_id = c->priced ? c->price.id : 0,
                             .currency = c->currency,
                             .usage = c->usage,
                             .cost = c->priced ? price_cost(&c->price, &c->usage) : 0};
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
    c->settle_rc = store_write(gateway_store(c->g), settle_tx, c, &c->err);
}
