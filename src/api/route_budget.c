/* Budgets and exchange rates. */
#include "api/route_rows.h"
#include "base/clock.h"

static int64_t number(struct route_call *c, const char *name, int64_t otherwise)
{
    return json_int(json_get(c->json, name), otherwise);
}

static const char *word(struct route_call *c, const char *name, const char *otherwise)
{
    return json_z(c->ctx, json_get(c->json, name), otherwise);
}

static void money_member(struct route_call *c, const char *name, pico v)
{
    jo_kz(&c->out, name, v >= 0 ? money_exact(c->ctx, v, 2) : NULL);
}

static void time_member(struct route_call *c, const char *name, int64_t ns)
{
    jo_kz(&c->out, name, ns > 0 && ns != INT64_MAX ? clock_rfc3339(c->ctx, ns) : NULL);
}

static void forecast_json(struct route_call *c, const struct budget_state *s)
{
    struct json_out *o = &c->out;
    struct budget_forecast f;
    jo_key(o, "forecast");
    if (!budget_foresee(s, clock_wall_ns(), &f)) {
        jo_null(o);
        return;
    }
    jo_obj(o);
    money_member(c, "money", f.money);
    jo_key(o, "tokens");
    if (f.tokens >= 0)
        jo_int(o, f.tokens);
    else
        jo_null(o);
    time_member(c, "reached_at", f.reached_ns);
    jo_end_obj(o);
}

static char *budget_version(mem *ctx, const struct budget *b)
{
    return version_of(ctx, mem_printf(ctx, "%lld\n%lld %lld %d %lld %d %d\n%s", (long long)b->id, (long long)b->money,
                                      (long long)b->tokens, b->hard, (long long)b->soft_percent, b->pause,
                                      b->keep_unused, b->zone));
}

/* :id, or the one that the body would change. */
static bool is_asked_for(struct route_call *c, const struct budget *b)
{
    if (c->param)
        return strcmp(mem_printf(c->ctx, "%lld", (long long)b->id), c->param) == 0;
    struct settings *settings = settings_live_take(c->ctx, c->server->live);
    const char *id = word(c, "scope_id", ""), *money = word(c, "money", NULL);
    return strcmp(scope_name(b->scope), word(c, "scope", "")) == 0 && strcmp(b->scope_id ? b->scope_id : "", id) == 0 &&
           strcmp(window_name(b->window), word(c, "window", "total")) == 0 &&
           (!money || strcmp(b->currency, word(c, "currency", setting_text(settings, "money.currency"))) == 0);
}

static enum rc version_now(struct route_call *c, const char **ret)
{
    struct budget_state *list;
    size_t n;
    budgets_list(c->ctx, c->server->budgets, SCOPE_ORGANISATION, NULL, clock_wall_ns(), &list, &n);
    *ret = VERSION_NONE;
    for (size_t i = 0; i < n; i++)
        if (is_asked_for(c, &list[i].budget))
            *ret = budget_version(c->ctx, &list[i].budget);
    return RC_OK;
}

static void budget_json(struct route_call *c, const struct budget_state *s)
{
    struct json_out *o = &c->out;
    const struct budget *b = &s->budget;
    bool money = b->money >= 0;
    jo_obj(o);
    jo_ki(o, "id", b->id);
    jo_kz(o, "version", budget_version(c->ctx, b));
    jo_kz(o, "scope", scope_name(b->scope));
    jo_kz(o, "scope_id", b->scope_id);
    jo_kz(o, "window", window_name(b->window));
    jo_kz(o, "zone", b->zone);
    jo_kz(o, "currency", money ? b->currency : NULL);
    money_member(c, "money", b->money);
    money_member(c, "spent", money ? s->spent : -1);
    money_member(c, "held", money ? s->held : -1);
    money_member(c, "carried", money ? s->carried : -1);
    jo_key(o, "tokens");
    if (b->tokens >= 0)
        jo_int(o, b->tokens);
    else
        jo_null(o);
    jo_ki(o, "spent_tokens", s->spent_tokens);
    jo_ki(o, "held_tokens", s->held_tokens);
    jo_ki(o, "carried_tokens", s->carried_tokens);
    jo_kb(o, "hard", b->hard);
    jo_ki(o, "soft_percent", b->soft_percent);
    jo_kb(o, "pause", b->pause);
    jo_kb(o, "keep_unused", b->keep_unused);
    jo_kz(o, "source", b->source);
    time_member(c, "set_at", b->set_ns);
    time_member(c, "changed_at", b->changed_ns);
    time_member(c, "window_start", s->start_ns);
    time_member(c, "window_end", s->end_ns);
    forecast_json(c, s);
    jo_end_obj(o);
}

static enum rc scope_read(struct route_call *c, const char *name, enum scope *ret)
{
    if (scope_find(name, ret))
        return RC_OK;
    err_set(&c->err, RC_INVALID, "there is no scope \"%.40s\"", name ? name : "");
    return err_hint(&c->err, "all, organisation, project, task, agent, model, key or user");
}

/* A key of one project sees what limits that project and itself, and changes no limits. */
static bool may_see(const struct route_call *c, const struct budget *b)
{
    const struct principal *p = &c->principal;
    if (!p->project || !*p->project)
        return true;
    return (b->scope == SCOPE_PROJECT && strcmp(b->scope_id, p->project) == 0) ||
           (b->scope == SCOPE_KEY && p->key_id && strcmp(b->scope_id, p->key_id) == 0);
}

static enum rc may_change(struct route_call *c)
{
    const char *project = c->principal.project;
    return project && *project
               ? err_set(&c->err, RC_DENIED, "a key of one project changes no budgets and no exchange rates")
               : RC_OK;
}

static enum rc budgets_get(struct route_call *c)
{
    struct budget_state *list;
    size_t n;
    enum scope scope = SCOPE_ORGANISATION;
    const char *name = route_query(c, "scope"), *id = route_query(c, "id");
    if ((name || id) && scope_read(c, name, &scope) != RC_OK)
        return c->err.rc;
    budgets_list(c->ctx, c->server->budgets, scope, id, clock_wall_ns(), &list, &n);
    jo_obj(&c->out);
    jo_key(&c->out, "budgets");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        if (list[i].budget.id && (!name || list[i].budget.scope == scope) && may_see(c, &list[i].budget))
            budget_json(c, &list[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc answer_budget(struct route_call *c, const struct budget *b)
{
    struct budget_state *list;
    size_t n;
    budgets_list(c->ctx, c->server->budgets, b->scope, b->scope_id, clock_wall_ns(), &list, &n);
    for (size_t i = 0; i < n; i++) {
        if (list[i].budget.id == b->id) {
            budget_json(c, &list[i]);
            return RC_OK;
        }
    }
    return err_set(&c->err, RC_NOT_FOUND, "the budget was removed meanwhile");
}

/* Tasks that paused at a budget which they share go on, and pause again where nothing changed for them. */
static enum rc tasks_go_on(struct route_call *c)
{
    int64_t n = 0;
    enum rc rc = board_budgets_changed(&c->server->board, &n, &c->err);
    c->schedule = n > 0;
    return rc;
}

/* Absent: -1. */
static enum rc money_read(struct route_call *c, const char *name, pico *ret)
{
    struct json v = json_get(c->json, name);
    *ret = -1;
    if (!json_is(v))
        return RC_OK;
    if (json_type(v) != JSON_STRING)
        return err_set(&c->err, RC_INVALID, "%s is a decimal in a string, such as \"20.00\"", name);
    return money_parse(json_str(c->ctx, v), ret, &c->err) == RC_OK ? RC_OK : err_context(&c->err, "%s", name);
}

static enum rc tokens_read(struct route_call *c, int64_t *ret)
{
    struct json v = json_get(c->json, "tokens");
    *ret = json_int(v, -1);
    return json_is(v) && *ret < 0 ? err_set(&c->err, RC_INVALID, "tokens is a whole number") : RC_OK;
}

static enum rc budget_post(struct route_call *c)
{
    struct settings *settings = settings_live_take(c->ctx, c->server->live);
    struct budget b = {.scope_id = word(c, "scope_id", NULL),
                       .zone = word(c, "zone", setting_text(settings, "money.zone")),
                       .currency = word(c, "currency", setting_text(settings, "money.currency")),
                       .hard = json_bool(json_get(c->json, "hard"), true),
                       .soft_percent = number(c, "soft_percent", 0),
                       .pause = json_bool(json_get(c->json, "pause"), true),
                       .keep_unused = json_bool(json_get(c->json, "keep_unused"), false),
                       .source = word(c, "source", "operator")};
    if (!window_find(word(c, "window", "total"), &b.window)) {
        err_set(&c->err, RC_INVALID, "there is no window \"%.40s\"", word(c, "window", ""));
        return err_hint(&c->err, "total, day, week, two_weeks or month");
    }
    enum rc rc = may_change(c);
    rc = rc ? rc : scope_read(c, word(c, "scope", NULL), &b.scope);
    rc = rc ? rc : money_read(c, "money", &b.money);
    rc = rc ? rc : tokens_read(c, &b.tokens);
    if (rc == RC_OK)
        route_tell(c, NULL, b.scope == SCOPE_PROJECT ? b.scope_id : "");
    rc = rc ? rc : budgets_set(c->server->budgets, &b, &c->err);
    rc = rc ? rc : tasks_go_on(c);
    c->status = 201;
    return rc ? rc : answer_budget(c, &b);
}

static enum rc id_read(struct route_call *c, int64_t *ret)
{
    return str_int(str_of(c->param), 1, INT64_MAX, ret)
               ? RC_OK
               : err_set(&c->err, RC_INVALID, "a budget is named by its number");
}

static enum rc budget_raise(struct route_call *c)
{
    struct budget b;
    pico money;
    int64_t id, tokens;
    enum rc rc = may_change(c);
    rc = rc ? rc : id_read(c, &id);
    rc = rc ? rc : money_read(c, "money", &money);
    rc = rc ? rc : tokens_read(c, &tokens);
    rc =
        rc ? rc
           : budgets_raise(c->ctx, c->server->budgets, id, money < 0 ? 0 : money, tokens < 0 ? 0 : tokens, &b, &c->err);
    rc = rc ? rc : tasks_go_on(c);
    return rc ? rc : answer_budget(c, &b);
}

static enum rc budget_delete(struct route_call *c)
{
    int64_t id;
    enum rc rc = may_change(c);
    rc = rc ? rc : id_read(c, &id);
    c->status = 204;
    rc = rc ? rc : budgets_remove(c->server->budgets, id, &c->err);
    return rc ? rc : tasks_go_on(c);
}

/* ---- rates ---- */

static void rate_json(struct route_call *c, const struct rate *r)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_ki(o, "id", r->id);
    jo_kz(o, "from", r->from);
    jo_kz(o, "to", r->to);
    jo_kz(o, "rate", money_exact(c->ctx, money_convert(PICO_PER_UNIT, r->ratio), 0));
    jo_kz(o, "ratio", mem_printf(c->ctx, "%lld/%lld", (long long)r->ratio.num, (long long)r->ratio.den));
    jo_kz(o, "since", clock_rfc3339(c->ctx, r->from_ns));
    jo_kz(o, "source", r->source);
    jo_end_obj(o);
}

static enum rc rates_get(struct route_call *c)
{
    struct rate *list;
    size_t n;
    enum rc rc = rate_list(c->ctx, c->server->store, &list, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "rates");
    jo_arr(&c->out);
    for (size_t i = n; i-- > 0;) /* newest first */
        rate_json(c, &list[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc rate_post(struct route_call *c)
{
    struct rate r = {.from = word(c, "from", NULL),
                     .to = word(c, "to", NULL),
                     .from_ns = clock_wall_ns(),
                     .source = word(c, "source", "operator")};
    enum rc rc = may_change(c);
    rc = rc ? rc : ratio_parse(json_str(c->ctx, json_get(c->json, "rate")), &r.ratio, &c->err);
    rc = rc ? rc : budgets_rate_set(c->server->budgets, &r, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    rate_json(c, &r);
    return RC_OK;
}

const struct route route_budgets_list = {"GET",
                                         "/api/v1/budgets",
                                         "budgets with what is spent and held",
                                         budgets_get,
                                         NULL,
                                         .access = ACCESS_READ,
                                         .narrow = NARROW_ONE,
                                         .query = "scope id",
                                         .gives = "Budgets"};
const struct route route_budget_post = {"POST",
                                        "/api/v1/budgets",
                                        "set a budget, or change its limits",
                                        budget_post,
                                        NULL,
                                        .access = ACCESS_ADMIN,
                                        .narrow = NARROW_ONE,
                                        .takes = "BudgetInput",
                                        .gives = "Budget",
                                        .creates = true,
                                        .tells = "budget",
                                        .version = version_now};
const struct route route_budget_raise = {"POST",
                                         "/api/v1/budgets/:id/raise",
                                         "add to the limits of a budget",
                                         budget_raise,
                                         NULL,
                                         .access = ACCESS_ADMIN,
                                         .narrow = NARROW_ONE,
                                         .takes = "BudgetRaise",
                                         .gives = "Budget",
                                         .tells = "budget",
                                         .version = version_now};
const struct route route_budget_delete = {"DELETE",
                                          "/api/v1/budgets/:id",
                                          "remove a budget",
                                          budget_delete,
                                          NULL,
                                          .access = ACCESS_ADMIN,
                                          .narrow = NARROW_ONE,
                                          .tells = "budget",
                                          .version = version_now};
const struct route route_rates_list = {
    "GET", "/api/v1/rates",       "exchange rates, newest first", rates_get,
    NULL,  .access = ACCESS_READ, .narrow = NARROW_ONE,           .gives = "ExchangeRates"};
const struct route route_rate_post = {"POST",
                                      "/api/v1/rates",
                                      "set an exchange rate from now on",
                                      rate_post,
                                      NULL,
                                      .access = ACCESS_ADMIN,
                                      .narrow = NARROW_ONE,
                                      .takes = "ExchangeRateInput",
                                      .gives = "ExchangeRate",
                                      .creates = true,
                                      .tells = "rate"};
