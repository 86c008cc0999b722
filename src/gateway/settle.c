/* The rows of an attempt: its hold before it is sent, its ledger row with the event and the stored answer at its end.
 * Each is one write of the store; what memory counts (budget.h) follows the rows. */
#include "base/clock.h"
#include "gateway/call.h"

struct writing {
    struct attempt *attempt;
    void (*done)(struct attempt *a);
};

static void writing_done_on_loop(void *arg)
{
    struct writing *w = arg;
    struct attempt *a = w->attempt;
    void (*done)(struct attempt *) = w->done;
    mem_free(w);
    done(a);
}

static void writing_done(void *arg, enum rc rc, const struct err *err)
{
    struct writing *w = arg;
    w->attempt->settle_rc = rc;
    if (rc != RC_OK && err)
        w->attempt->err = *err;
    loop_post(w->attempt->call->g->spec.loop, writing_done_on_loop, w);
}

static void attempt_store(struct attempt *a, store_fn fn, void (*done)(struct attempt *a))
{
    struct writing *w = mem_new(NULL, struct writing);
    *w = (struct writing){a, done};
    store_write_async(a->call->g->spec.store, fn, w, writing_done);
}

/* ---- before ---- */

static enum rc hold_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct attempt *a = ((struct writing *)arg)->attempt;
    struct call *c = a->call;
    struct hold h;
    reservation_hold(&a->reservation, &h);
    bool named = c->caller.task_id && c->key[0];
    h.request = named ? hold_request_of_call(a->ctx, c->caller.task_id, c->key) : c->request;
    h.attempt = 0; /* the next free one: after a crash a run asks again under the same name */
    h.iteration = c->iteration;
    h.provider = a->target->provider->row.id;
    h.dialect = a->target->dialect->name;
    h.price_id = a->target->priced ? a->target->price.id : 0;
    if (!h.currency || !*h.currency)
        h.currency = c->currency ? c->currency : "USD";
    return hold_open(tx, &h, err);
}

void attempt_hold(struct attempt *a, void (*done)(struct attempt *a))
{
    attempt_store(a, hold_tx, done);
}

/* ---- after ---- */

static enum rc usage_event(struct attempt *a, struct store_tx *tx, struct err *err)
{
    struct call *c = a->call;
    struct spent spent;
    struct buf b;
    struct json_out o;
    if (!c->caller.task_id)
        return RC_OK; /* events are those of tasks; other requests are in the ledger alone */
    enum rc rc = ledger_spent_tx(tx, c->caller.task_id, &spent, err);
    if (rc != RC_OK)
        return rc;
    bool known = a->outcome == OUTCOME_SETTLE;
    buf_init(&b, a->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ki(&o, "iteration", c->iteration);
    jo_kz(&o, "model", a->target->model);
    jo_kz(&o, "model_served", a->model_served);
    jo_kz(&o, "provider", a->target->provider->row.id);
    if (known) {
        jo_ki(&o, "input", a->usage.input);
        jo_ki(&o, "cache_read", a->usage.cache_read);
        jo_ki(&o, "cache_write", a->usage.cache_write + a->usage.cache_write_1h);
        jo_ki(&o, "output", a->usage.output);
        jo_ki(&o, "reasoning", a->usage.reasoning);
        jo_kz(&o, "cost", a->target->priced ? money_exact(a->ctx, a->cost, 2) : NULL);
    } else {
        jo_kz(&o, "words", "the provider did not say what was used: the amount held counts as spent");
        jo_kz(&o, "held", money_exact(a->ctx, a->reservation.amount, 2));
    }
    /* Sums are told where all of it is in one currency; else the ledger tells them, with the rates. */
    bool same = !a->target->priced || !c->currency || strcmp(a->target->price.currency, c->currency) == 0;
    jo_kz(&o, "currency", a->target->priced ? a->target->price.currency : c->currency);
    if (same)
        jo_kz(&o, "total", money_exact(a->ctx, money_add(spent.settled, spent.held), 2));
    if (same)
        jo_kz(&o, "limit", c->limit_money >= 0 ? money_exact(a->ctx, c->limit_money, 2) : NULL);
    jo_end_obj(&o);
    struct event e = {
        .time_ns = clock_wall_ns(), .type = known ? "model.usage" : "model.kept", .actor = "system", .data = b.p};
    int64_t number;
    bool fresh;
    return event_append(tx, c->caller.task_id, &e, &number, &fresh, err);
}

static enum rc reply_store(struct attempt *a, struct store_tx *tx, struct err *err)
{
    struct call *c = a->call;
    if (!a->good || !c->caller.task_id || !c->key[0])
        return RC_OK;
    struct buf all;
    buf_init(&all, a->ctx, WHOLE_MAX);
    if (c->whole.overflow || !buf_str(&all, buf_view(&c->whole)) || !buf_str(&all, buf_view(&c->tail)))
        return RC_OK; /* too large to keep: asked again, it costs again */
    struct reply reply = {.status = 200, .content_type = str_of(c->content_type), .body = buf_view(&all)};
    return reply_put(tx, c->caller.task_id, c->key, &reply, err);
}

static enum rc settle_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct attempt *a = ((struct writing *)arg)->attempt;
    int64_t hold = a->reservation.hold_id;
    enum rc rc;
    bool fresh = true;
    if (a->outcome == OUTCOME_RELEASE)
        return hold_close(tx, hold, "released", err);
    if (a->outcome == OUTCOME_KEEP) {
        rc = hold_close(tx, hold, "kept", err);
    } else {
        struct ledger_row row = {.time_ns = clock_wall_ns(),
                                 .model_served = a->model_served ? a->model_served : a->target->upstream,
                                 .price_id = a->target->priced ? a->target->price.id : 0,
                                 .currency = a->target->priced   ? a->target->price.currency
                                             : a->call->currency ? a->call->currency
                                                                 : "USD",
                                 .usage = a->usage,
                                 .cost = a->cost};
        rc = hold_settle(tx, hold, &row, &fresh, err);
    }
    if (rc == RC_OK && fresh)
        rc = usage_event(a, tx, err);
    return rc == RC_OK ? reply_store(a, tx, err) : rc;
}

static void settled(struct attempt *a);

void attempt_settle(struct attempt *a, void (*done)(struct attempt *a))
{
    if (a->outcome == OUTCOME_SETTLE)
        a->cost = a->target->priced ? price_cost(&a->target->price, &a->usage) : 0;
    a->after_settle = done;
    attempt_store(a, settle_tx, settled);
}

/* Memory follows the rows; a write that failed keeps what was held. */
static void settled(struct attempt *a)
{
    struct budgets *b = a->call->g->spec.budgets;
    if (a->settle_rc != RC_OK || a->outcome == OUTCOME_KEEP)
        budgets_keep(b, &a->reservation);
    else if (a->outcome == OUTCOME_RELEASE)
        budgets_release(b, &a->reservation);
    else if (budgets_settle(b, &a->reservation, a->cost, a->target->priced ? a->target->price.currency : "",
                            usage_tokens(&a->usage)))
        a->above_hold = true;
    a->reserved = false;
    a->after_settle(a);
}
