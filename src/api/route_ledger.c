/* The whole ledger: rows, or sums by who asked, as JSON or CSV. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/text.h"
#include "gateway/zone.h"

#define ROWS_MOST 1000
#define DAYS_MOST 366
#define DAY_NS    (INT64_C(86400) * 1000000000)

struct ledger_ask {
    struct ledger_filter filter;
    enum ledger_by by;
    bool rows, days;
    const char *by_name, *primary;
    enum ledger_by stack;   /* within days */
    const char *stack_name; /* NULL: whole days */
    struct zone *zone;
    const char *zone_name;
    int64_t limit, skip;
};

static const struct {
    const char *name;
    enum ledger_by by;
} groupings[] = {{"organisation", BY_ORGANISATION},
                 {"project", BY_PROJECT},
                 {"task", BY_TASK},
                 {"agent", BY_AGENT},
                 {"model", BY_MODEL},
                 {"key", BY_KEY},
                 {"user", BY_USER},
                 {"provider", BY_PROVIDER},
                 {"total", BY_NONE},
                 {"day", BY_NONE}};

static enum rc by_find(struct route_call *c, const char *name, enum ledger_by *ret)
{
    for (size_t i = 0; i < sizeof groupings / sizeof *groupings; i++) {
        if (strcmp(groupings[i].name, name) == 0) {
            *ret = groupings[i].by;
            return RC_OK;
        }
    }
    err_set(&c->err, RC_INVALID, "the ledger cannot be grouped by \"%.40s\"", name);
    return err_hint(&c->err, "project, task, agent, model, key, user, provider, organisation, day or total");
}

static enum rc by_read(struct route_call *c, struct ledger_ask *a)
{
    a->by_name = route_query(c, "by");
    a->stack_name = route_query(c, "stack");
    a->rows = !a->by_name;
    a->days = a->by_name && strcmp(a->by_name, "day") == 0;
    enum rc rc = a->rows ? RC_OK : by_find(c, a->by_name, &a->by);
    if (rc || !a->stack_name)
        return rc;
    rc = by_find(c, a->stack_name, &a->stack);
    if (rc == RC_OK && (!a->days || a->stack == BY_NONE)) {
        err_set(&c->err, RC_INVALID, "only days are told apart once more, by what is no day");
        return err_hint(&c->err, "by=day&stack=model");
    }
    return rc;
}

static enum rc seconds_read(struct route_call *c, const char *name, int64_t otherwise, int64_t *ret_ns)
{
    const char *text = route_query(c, name);
    int64_t s;
    *ret_ns = otherwise;
    if (!text)
        return RC_OK;
    if (!str_int(str_of(text), 0, INT64_MAX / 1000000000, &s))
        return err_set(&c->err, RC_INVALID, "%s is a time in seconds since 1970", name);
    *ret_ns = s * 1000000000;
    return RC_OK;
}

static enum rc ask_read(struct route_call *c, struct ledger_ask *a)
{
    struct settings *settings = settings_live_take(c->ctx, c->server->live);
    const char *zone = route_query(c, "zone"), *skip = route_query(c, "skip");
    struct spender *who = &a->filter.who;
    const struct {
        const char *name, **at;
    } members[] = {{"organisation", &who->organisation},
                   {"project", &who->project},
                   {"task", &who->task},
                   {"agent", &who->agent},
                   {"model", &who->model},
                   {"key", &who->key},
                   {"user", &who->user},
                   {"provider", &a->filter.provider}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        *members[i].at = route_query(c, members[i].name);
    const char *own = c->principal.project; /* a key of one project sees that one alone */
    if (own && *own && who->project && principal_project(&c->principal, who->project, &c->err) != RC_OK)
        return c->err.rc;
    if (own && *own)
        who->project = own;
    a->zone_name = zone ? zone : setting_text(settings, "money.zone");
    a->primary = setting_text(settings, "money.currency");
    a->limit = c->query_limit > 0 && c->query_limit < ROWS_MOST ? c->query_limit : c->query_limit ? ROWS_MOST : 100;
    if (skip && !str_int(str_of(skip), 0, INT64_MAX, &a->skip))
        return err_set(&c->err, RC_INVALID, "skip is a whole number");
    enum rc rc = by_read(c, a);
    rc = rc ? rc : seconds_read(c, "since", 0, &a->filter.from_ns);
    rc = rc ? rc : seconds_read(c, "until", 0, &a->filter.to_ns);
    return rc ? rc : zone_open(c->ctx, a->zone_name, &a->zone, &c->err);
}

/* ---- rows ---- */

/* One table says the columns of both forms. */
struct cell {
    const char *name, *text; /* name NULL: no such column; text NULL: the number */
    int64_t number;
    bool none; /* null, an empty cell */
};
#define CELLS_MOST 24

static void cells_json(struct json_out *o, const struct cell *cells, size_t n)
{
    jo_obj(o);
    for (size_t i = 0; i < n; i++) {
        if (!cells[i].name)
            continue;
        if (cells[i].text || cells[i].none)
            jo_kz(o, cells[i].name, cells[i].none ? NULL : cells[i].text);
        else
            jo_ki(o, cells[i].name, cells[i].number);
    }
    jo_end_obj(o);
}

static void cells_csv(mem *ctx, struct buf *b, const struct cell *cells, size_t n, bool head)
{
    for (size_t i = 0; head && i < n; i++)
        if (cells[i].name)
            buf_printf(b, "%s%s", i ? "," : "", cells[i].name);
    if (head)
        buf_z(b, "\r\n");
    for (size_t i = 0; i < n; i++) {
        if (!cells[i].name)
            continue;
        if (i)
            buf_z(b, ",");
        if (cells[i].text && !cells[i].none)
            buf_z(b, text_csv(ctx, str_of(cells[i].text)));
        else if (!cells[i].none)
            buf_printf(b, "%lld", (long long)cells[i].number);
    }
    buf_z(b, "\r\n");
}

struct sink {
    struct route_call *c;
    bool csv, any;
};

static void sink_put(struct sink *s, const struct cell *cells, size_t n)
{
    if (s->csv)
        cells_csv(s->c->ctx, &s->c->out_buf, cells, n, !s->any);
    else
        cells_json(&s->c->out, cells, n);
    s->any = true;
}

static struct cell text_cell(const char *name, const char *text)
{
    return (struct cell){.name = name, .text = text, .none = !text};
}

static void row_put(struct sink *s, const struct ledger_row *r)
{
    mem *ctx = s->c->ctx;
    const struct cell cells[] = {
        {.name = "number", .number = r->hold_id},
        text_cell("time", clock_rfc3339(ctx, r->opened_ns)),
        text_cell("request", r->request),
        {.name = "attempt", .number = r->attempt},
        text_cell("organisation", r->spender.organisation),
        text_cell("project", r->spender.project),
        text_cell("task", r->spender.task),
        text_cell("agent", r->spender.agent),
        text_cell("model", r->spender.model),
        text_cell("key", r->spender.key),
        text_cell("user", r->spender.user),
        text_cell("provider", r->provider),
        text_cell("model_served", r->model_served),
        {.name = "input", .number = r->usage.input},
        {.name = "cache_read", .number = r->usage.cache_read},
        {.name = "cache_write", .number = r->usage.cache_write},
        {.name = "cache_write_1h", .number = r->usage.cache_write_1h},
        {.name = "output", .number = r->usage.output},
        {.name = "reasoning", .number = r->usage.reasoning},
        text_cell("cost", r->price_id ? money_exact(ctx, r->cost, 2) : NULL),
        text_cell("currency", r->currency),
        {.name = "price_id", .number = r->price_id},
    };
    sink_put(s, cells, sizeof cells / sizeof *cells);
}

/* In the primary currency at the rate of now, which is shown. `day` is NULL but for what days are told apart by. */
static void group_put(struct sink *s, const struct ledger_ask *a, const char *day, const struct ledger_group *g)
{
    mem *ctx = s->c->ctx;
    struct frozen_rate rate;
    bool known = currency_valid(g->currency) &&
                 budgets_rate(s->c->server->budgets, g->currency, a->primary, clock_wall_ns(), &rate, NULL) == RC_OK;
    const struct cell cells[] = {
        text_cell(a->by_name, day ? day : g->name),
        text_cell(a->stack_name, g->name),
        {.name = "requests", .number = g->requests},
        {.name = "unpriced", .number = g->unpriced},
        {.name = "input", .number = g->usage.input},
        {.name = "cache_read", .number = g->usage.cache_read},
        {.name = "cache_write", .number = money_add(g->usage.cache_write, g->usage.cache_write_1h)},
        {.name = "output", .number = g->usage.output},
        {.name = "reasoning", .number = g->usage.reasoning},
        text_cell("cost", money_exact(ctx, g->cost, 2)),
        text_cell("currency", g->currency),
        text_cell("cost_primary", known ? money_exact(ctx, money_convert(g->cost, rate.ratio), 2) : NULL),
        text_cell("primary", a->primary),
        text_cell("rate", known ? money_exact(ctx, money_convert(PICO_PER_UNIT, rate.ratio), 0) : NULL),
        {.name = "rate_id", .number = known ? rate.rate_id : 0},
    };
    sink_put(s, cells, sizeof cells / sizeof *cells);
}

static enum rc rows_put(struct sink *s, const struct ledger_ask *a, int64_t *ret_next)
{
    struct route_call *c = s->c;
    struct ledger_row *rows;
    size_t n;
    enum rc rc = ledger_rows(c->ctx, c->server->store, &a->filter, c->query_before, a->limit, &rows, &n, &c->err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        row_put(s, &rows[i]);
    if (rc == RC_OK && (int64_t)n == a->limit)
        *ret_next = rows[n - 1].hold_id;
    return rc;
}

static enum rc groups_put(struct sink *s, const struct ledger_ask *a, int64_t *ret_next)
{
    struct route_call *c = s->c;
    struct ledger_group *groups;
    size_t n;
    enum rc rc = ledger_groups(c->ctx, c->server->store, &a->filter, a->by, a->skip, a->limit, &groups, &n, &c->err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        group_put(s, a, NULL, &groups[i]);
    if (rc == RC_OK && (int64_t)n == a->limit)
        *ret_next = a->skip + a->limit;
    return rc;
}

/* Days of the zone, newest first, from the last one of the time asked for; days without requests are left out. */
static enum rc days_put(struct sink *s, const struct ledger_ask *a, int64_t *ret_next)
{
    struct route_call *c = s->c;
    int64_t until = a->filter.to_ns ? a->filter.to_ns : clock_wall_ns() + 1, days = a->limit;
    int64_t first = a->filter.from_ns, start, end = until;
    days = days < DAYS_MOST ? days : DAYS_MOST;
    if (!first)
        first = until - DAYS_MOST * DAY_NS;
    enum rc rc = RC_OK;
    for (int64_t i = 0; rc == RC_OK && end > first; i++, end = start) {
        int64_t day_end;
        struct ledger_group *groups;
        size_t n;
        zone_window(a->zone, WINDOW_DAY, end - 1, &start, &day_end);
        if (i < a->skip)
            continue;
        if (i == a->skip + days) {
            *ret_next = i;
            break;
        }
        struct ledger_filter f = a->filter;
        f.from_ns = start > first ? start : first;
        f.to_ns = end;
        rc = ledger_groups(c->ctx, c->server->store, &f, a->stack, 0, ROWS_MOST, &groups, &n, &c->err);
        for (size_t k = 0; rc == RC_OK && k < n; k++)
            group_put(s, a, zone_date(c->ctx, a->zone, f.from_ns), &groups[k]);
    }
    return rc;
}

static enum rc ledger_write(struct route_call *c, bool csv)
{
    struct ledger_ask a = {0};
    struct sink s = {.c = c, .csv = csv};
    int64_t next = -1;
    enum rc rc = ask_read(c, &a);
    if (rc == RC_OK)
        rc = books_sync(c->server->books, &c->err);
    if (rc != RC_OK)
        return rc;
    if (!csv) {
        jo_obj(&c->out);
        jo_kz(&c->out, "by", a.by_name);
        jo_kz(&c->out, "zone", a.zone_name);
        jo_key(&c->out, a.rows ? "rows" : "groups");
        jo_arr(&c->out);
    }
    rc = a.rows ? rows_put(&s, &a, &next) : a.days ? days_put(&s, &a, &next) : groups_put(&s, &a, &next);
    if (rc != RC_OK || csv)
        return rc;
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if (next >= 0)
        jo_int(&c->out, next);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- the answer, which is not always JSON ---- */

static bool wants_csv(struct route_call *c)
{
    const char *format = route_query(c, "format");
    return format && strcmp(format, "csv") == 0;
}

static void ledger_work(void *arg)
{
    struct route_call *c = arg;
    c->err.rc = ledger_write(c, wants_csv(c));
}

static void ledger_done(void *arg)
{
    struct route_call *c = arg;
    if (c->err.rc != RC_OK || !c->request || !wants_csv(c)) {
        route_answer(c, c->err.rc);
        return;
    }
    http_answer_whole(c->request, 200, "text/csv; charset=utf-8; header=present", buf_view(&c->out_buf), NULL);
    route_call_free(c);
}

static void ledger_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static void ledger_on_loop(struct route_call *c)
{
    c->request->user = c;
    http_on_gone(c->request, ledger_gone);
    loop_offload(&c->server->loop, ledger_work, ledger_done, c);
}

const struct route route_ledger = {
    "GET",
    "/api/v1/ledger",
    "settled model requests, newest first, or sums by who asked",
    NULL,
    ledger_on_loop,
    .access = ACCESS_READ,
    .narrow = NARROW_ONE,
    .query =
        "by stack organisation project task agent model key user provider since until zone before limit skip format",
    .gives = "Ledger"};
