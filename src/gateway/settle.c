/* The rows of an attempt: its hold before it is sent, its ledger row at its end.
 *
 * Both are entries of the books (store/books.h), which are safe at once and become rows every `sync_ms`; with sync_ms 0
 * each waits until it is durable on the disk. What a run's request leaves besides (the event, the stored answer) has no
 * place there: its end is one write of the store. What memory counts (budget.h) follows the books. Loop thread. */
#include "base/clock.h"
#include "base/log.h"
#include "gateway/call.h"

#define AGAIN_MS 5 /* the books are full, or frozen while somebody compares them with memory */

/* ---- entries of the books ---- */

static void flush_arm(struct gateway *g, int64_t ms);

static void queue_put(struct attempt_queue *q, struct attempt *a)
{
    a->entry_next = NULL;
    if (q->first)
        q->last->entry_next = a;
    else
        q->first = a;
    q->last = a;
}

/* Gives the list away, emptied. */
static struct attempt *queue_take(struct attempt_queue *q)
{
    struct attempt *first = q->first;
    q->first = NULL;
    return first;
}

static void entry_done(struct attempt *a, enum rc rc)
{
    a->settle_rc = rc;
    a->after_entry(a);
}

static void entry_put(struct attempt *a)
{
    struct gateway *g = a->call->g;
    enum rc rc = a->write_entry(a);
    if (rc == RC_AGAIN) {
        queue_put(&g->unwritten, a);
        flush_arm(g, AGAIN_MS);
    } else if (rc == RC_OK && g->spec.sync_ms == 0) {
        queue_put(&g->unsynced, a);
        flush_arm(g, 0);
    } else {
        flush_arm(g, g->spec.sync_ms);
        entry_done(a, rc);
    }
}

/* Room came, or is still missing: each tries again, in order. */
static void flush_arrived(void *arg)
{
    struct gateway *g = arg;
    struct attempt *synced = queue_take(&g->syncing), *unwritten = queue_take(&g->unwritten), *next;
    enum rc rc = g->flush_rc;
    g->flushing = false;
    if (rc != RC_OK && !g->flush_failing) /* once: it is tried again ten times a second */
        log_err(&g->flush_err, "could not write model requests into the database; they wait in the books");
    g->flush_failing = rc != RC_OK;
    for (struct attempt *a = synced; a; a = next) {
        next = a->entry_next;
        if (rc != RC_OK)
            a->why.err = g->flush_err;
        entry_done(a, rc);
    }
    for (struct attempt *a = unwritten; a; a = next) {
        next = a->entry_next;
        if (rc == RC_OK) {
            entry_put(a);
        } else {
            a->why.err = g->flush_err;
            entry_done(a, rc);
        }
    }
    if (books_pending(g->spec.books))
        flush_arm(g, g->unsynced.first ? 0 : g->spec.sync_ms ? g->spec.sync_ms : AGAIN_MS);
}

/* Writer thread. */
static void flush_done(void *arg, enum rc rc, const struct err *err)
{
    struct gateway *g = arg;
    g->flush_rc = rc;
    if (rc != RC_OK)
        g->flush_err = *err;
    loop_post(g->spec.loop, flush_arrived, g);
}

static void flush_begin(uv_timer_t *timer)
{
    struct gateway *g = timer->data;
    g->flush_due_ms = 0;
    if (g->flushing)
        return; /* its end looks what came meanwhile */
    g->flushing = true;
    g->syncing.first = queue_take(&g->unsynced);
    books_flush(g->spec.books, flush_done, g);
}

/* At the earliest of the times asked for. */
static void flush_arm(struct gateway *g, int64_t ms)
{
    int64_t due = (int64_t)uv_now(g->spec.loop->uv) + ms;
    if (g->flush_due_ms && g->flush_due_ms <= due)
        return;
    g->flush_due_ms = due;
    uv_timer_start(&g->flush_timer, flush_begin, (uint64_t)ms, 0);
}

void settle_open(struct gateway *g)
{
    uv_timer_init(g->spec.loop->uv, &g->flush_timer);
    uv_unref((uv_handle_t *)&g->flush_timer);
    g->flush_timer.data = g;
}

/* ---- writes of the store ---- */

static void stored_on_loop(void *arg)
{
    struct attempt *a = arg;
    a->after_entry(a);
}

static void stored(void *arg, enum rc rc, const struct err *err)
{
    struct attempt *a = arg;
    a->settle_rc = rc;
    if (rc != RC_OK && err)
        a->why.err = *err;
    loop_post(a->call->g->spec.loop, stored_on_loop, a);
}

/* ---- before ---- */

static enum rc hold_entry(struct attempt *a)
{
    struct call *c = a->call;
    struct hold h;
    reservation_hold(&a->reservation, &h);
    bool named = c->caller.task_id && c->key[0];
    h.request = named ? hold_request_of_call(a->ctx, c->caller.task_id, c->key) : c->request;
    h.attempt = named ? 0 : a->number; /* 0: the next free one; after a crash a run asks again under the same name */
    h.iteration = c->iteration;
    h.provider = a->target->provider->row.id;
    h.dialect = a->target->dialect->name;
    h.price_id = a->target->priced ? a->target->price.id : 0;
    if (!h.currency || !*h.currency)
        h.currency = c->currency ? c->currency : "USD";
    return books_hold(c->g->spec.books, &h, &a->why.err);
}

void attempt_hold(struct attempt *a, void (*done)(struct attempt *a))
{
    a->write_entry = hold_entry;
    a->after_entry = done;
    entry_put(a);
}

/* ---- after ---- */

static const char *const ends[] = {
    [OUTCOME_RELEASE] = "released", [OUTCOME_KEEP] = "kept", [OUTCOME_SETTLE] = "settled"};

static struct ledger_row ledger_row_of(const struct attempt *a)
{
    const struct target *t = a->target;
    const char *asked = a->call->currency ? a->call->currency : "USD";
    return (struct ledger_row){.provider = "", /* that of the hold */
                               .time_ns = clock_wall_ns(),
                               .model_served = a->model_served ? a->model_served : t->upstream,
                               .price_id = t->priced ? t->price.id : 0,
                               .currency = t->priced ? t->price.currency : asked,
                               .usage = a->usage,
                               .cost = a->cost};
}

static enum rc end_entry(struct attempt *a)
{
    struct ledger_row row = ledger_row_of(a);
    return books_end(a->call->g->spec.books, a->reservation.hold_id, ends[a->outcome],
                     a->outcome == OUTCOME_SETTLE ? &row : NULL, &a->why.err);
}

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
    struct attempt *a = arg;
    int64_t hold = a->reservation.hold_id;
    bool fresh = true;
    enum rc rc = books_apply(a->call->g->spec.books, tx, err);
    if (rc == RC_OK && a->outcome == OUTCOME_SETTLE) {
        struct ledger_row row = ledger_row_of(a);
        rc = hold_settle(tx, hold, &row, &fresh, err);
    } else if (rc == RC_OK) {
        rc = hold_close(tx, hold, ends[a->outcome], err);
    }
    if (rc != RC_OK || a->outcome == OUTCOME_RELEASE)
        return rc;
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
    a->after_entry = settled;
    a->write_entry = end_entry;
    if (of_run(a->call))
        store_write_async(a->call->g->spec.store, settle_tx, a, stored);
    else
        entry_put(a);
}

/* Memory follows the books; a write that failed keeps what was held. */
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
