/* Kept holds: requests whose usage stayed unknown, so that their bound counts as spent. A person who knows from the
 * provider's own bill what one of them came to says so here. */
#include "api/route_rows.h"
#include "base/clock.h"

#define LIST_MOST 1000

static void hold_json(struct route_call *c, const struct hold *h)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_ki(o, "id", h->id);
    jo_kz(o, "state", h->state);
    jo_kz(o, "request", h->request);
    jo_ki(o, "attempt", h->attempt);
    for (int i = 0; i < SCOPE_ALL; i++)
        jo_kz(o, scope_name((enum scope)i), spender_id(&h->spender, (enum scope)i));
    jo_kz(o, "provider", h->provider);
    jo_ki(o, "iteration", h->iteration);
    jo_kz(o, "currency", h->currency);
    jo_kz(o, "amount", money_exact(c->ctx, h->amount, 2));
    jo_ki(o, "tokens", h->tokens);
    jo_kb(o, "priced", h->price_id != 0);
    jo_kz(o, "opened_at", clock_rfc3339(c->ctx, h->opened_ns));
    jo_end_obj(o);
}

static enum rc holds_get(struct route_call *c)
{
    struct hold *list;
    size_t n;
    int64_t limit = c->query_limit > 0 && c->query_limit < LIST_MOST ? c->query_limit : LIST_MOST;
    enum rc rc = books_sync(c->server->books, &c->err);
    if (rc == RC_OK)
        rc = hold_list_kept(c->ctx, c->server->store, c->query_after > 0 ? c->query_after : 0, limit, &list, &n,
                            &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "holds");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        if (principal_project(&c->principal, list[i].spender.project ? list[i].spender.project : "", NULL) == RC_OK)
            hold_json(c, &list[i]);
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if ((int64_t)n == limit)
        jo_int(&c->out, list[n - 1].id);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc hold_named(struct route_call *c, struct hold *ret)
{
    int64_t id;
    const char *project = c->principal.project;
    if (project && *project)
        return err_set(&c->err, RC_DENIED, "a key of one project settles no holds");
    if (!str_int(str_of(c->param), 1, INT64_MAX, &id))
        return err_set(&c->err, RC_INVALID, "a hold is named by its number");
    enum rc rc = books_sync(c->server->books, &c->err);
    return rc ? rc : hold_find(c->ctx, c->server->store, id, ret, &c->err);
}

/* The price of the hold decides, whatever the price is today. */
static enum rc row_make(struct route_call *c, const struct hold *h, struct ledger_row *ret)
{
    struct {
        const char *name;
        int64_t *count;
    } counts[] = {{"input", &ret->usage.input},
                  {"cache_read", &ret->usage.cache_read},
                  {"cache_write", &ret->usage.cache_write},
                  {"cache_write_1h", &ret->usage.cache_write_1h},
                  {"output", &ret->usage.output},
                  {"reasoning", &ret->usage.reasoning}};
    struct price p;
    bool any = false;
    *ret = (struct ledger_row){.provider = "",
                               .time_ns = clock_wall_ns(),
                               .model_served = h->spender.model,
                               .price_id = h->price_id,
                               .currency = h->currency};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct json v = json_get(c->json, counts[i].name);
        any |= json_is(v);
        *counts[i].count = json_int(v, 0);
        if (json_is(v) && (json_type(v) != JSON_NUMBER || *counts[i].count < 0))
            return err_set(&c->err, RC_INVALID, "%s is a whole number of tokens", counts[i].name);
    }
    if (!any) {
        err_set(&c->err, RC_INVALID, "it is not said what was used");
        return err_hint(&c->err, "give the provider's counts, such as input and output; or release the hold");
    }
    if (!h->price_id)
        return RC_OK;
    enum rc rc = price_get(c->ctx, c->server->store, h->price_id, &p, &c->err);
    if (rc == RC_OK)
        ret->cost = price_cost(&p, &ret->usage);
    return rc;
}

static enum rc hold_end(struct route_call *c, const struct hold *h, const struct ledger_row *row)
{
    struct hold now;
    int64_t n = 0;
    enum rc rc = budgets_reconcile(c->server->budgets, h->id, row, &c->err);
    if (rc == RC_OK)
        rc = board_budgets_changed(&c->server->board, &n, &c->err);
    if (rc == RC_OK)
        rc = hold_find(c->ctx, c->server->store, h->id, &now, &c->err);
    c->schedule = n > 0;
    if (rc == RC_OK)
        hold_json(c, &now);
    return rc;
}

static enum rc hold_settle_post(struct route_call *c)
{
    struct hold h;
    struct ledger_row row;
    enum rc rc = hold_named(c, &h);
    rc = rc ? rc : row_make(c, &h, &row);
    return rc ? rc : hold_end(c, &h, &row);
}

static enum rc hold_release_post(struct route_call *c)
{
    struct hold h;
    enum rc rc = hold_named(c, &h);
    return rc ? rc : hold_end(c, &h, NULL);
}

const struct route route_holds_list = {"GET",
                                       "/api/v1/holds",
                                       "requests whose usage stayed unknown: their bound counts as spent",
                                       holds_get,
                                       NULL,
                                       .access = ACCESS_READ,
                                       .narrow = NARROW_ONE,
                                       .query = "after limit",
                                       .gives = "Holds"};
const struct route route_hold_settle = {"POST",
                                        "/api/v1/holds/:id/settle",
                                        "say what the provider billed for such a request",
                                        hold_settle_post,
                                        NULL,
                                        .access = ACCESS_ADMIN,
                                        .narrow = NARROW_ONE,
                                        .takes = "HoldUsage",
                                        .gives = "Hold",
                                        .tells = "hold"};
const struct route route_hold_release = {"POST",
                                         "/api/v1/holds/:id/release",
                                         "say that the provider billed nothing for such a request",
                                         hold_release_post,
                                         NULL,
                                         .access = ACCESS_ADMIN,
                                         .narrow = NARROW_ONE,
                                         .gives = "Hold",
                                         .tells = "hold"};
