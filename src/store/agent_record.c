/* Track records of agents: one statement, then sums and medians in order of the records' names. */
#include "store/agent_record.h"
#include "store/store_private.h"
#include <stdlib.h>

/* A task with what it spent in one currency; those of several have as many rows, one after the other. */
struct record_row {
    int64_t number;
    const char *agent, *version, *configuration, *model, *kind, *state, *reason, *currency;
    int64_t iteration, worked_ns, kept, requests, unpriced, units, rest;
    struct usage usage;
    const char *second; /* what records are by beside the agent; "" for none */
    pico cost;
};
static const struct db_column columns[] = {
    DB_COLUMN(record_row, number, DB_INT64),
    DB_COLUMN(record_row, agent, DB_TEXT),
    DB_COLUMN(record_row, version, DB_TEXT),
    DB_COLUMN(record_row, configuration, DB_TEXT),
    DB_COLUMN(record_row, model, DB_TEXT),
    DB_COLUMN(record_row, kind, DB_TEXT),
    DB_COLUMN(record_row, state, DB_TEXT),
    DB_COLUMN(record_row, reason, DB_TEXT),
    DB_COLUMN(record_row, currency, DB_TEXT),
    DB_COLUMN(record_row, iteration, DB_INT64),
    DB_COLUMN(record_row, worked_ns, DB_INT64),
    DB_COLUMN(record_row, kept, DB_INT64),
    DB_COLUMN(record_row, requests, DB_INT64),
    DB_COLUMN(record_row, unpriced, DB_INT64),
    DB_COLUMN(record_row, units, DB_INT64),
    DB_COLUMN(record_row, rest, DB_INT64),
    DB_COLUMN(record_row, usage.input, DB_INT64),
    DB_COLUMN(record_row, usage.cache_read, DB_INT64),
    DB_COLUMN(record_row, usage.cache_write, DB_INT64),
    DB_COLUMN(record_row, usage.cache_write_1h, DB_INT64),
    DB_COLUMN(record_row, usage.output, DB_INT64),
    DB_COLUMN(record_row, usage.reasoning, DB_INT64),
};
static const struct db_shape shape = DB_SHAPE(record_row, columns);

/* Money in whole units and the rest, as in ledger.c. */
static enum rc rows_read(mem *ctx, struct store *s, const struct record_filter *f, struct record_row **ret,
                         size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT t.number, t.agent, t.agent_version, t.agent_configuration, t.model, t.kind, t.state, t.reason,"
                " coalesce(l.currency, t.currency), t.iteration, t.worked_ns, (SELECT count(*) FROM hold h WHERE"
                " h.task_id = t.id AND h.state IN ('open', 'kept') AND h.state = 'kept'), count(l.hold_id),"
                " coalesce(sum(CASE WHEN l.price_id = 0 THEN 1 ELSE 0 END), 0),"
                " coalesce(sum(l.cost / 1000000000000), 0), coalesce(sum(l.cost % 1000000000000), 0),"
                " coalesce(sum(l.input), 0), coalesce(sum(l.cache_read), 0), coalesce(sum(l.cache_write), 0),"
                " coalesce(sum(l.cache_write_1h), 0), coalesce(sum(l.output), 0), coalesce(sum(l.reasoning), 0)"
                " FROM task t LEFT JOIN ledger l ON l.task_id = t.id WHERE t.created_ns >= $1"
                " AND ($2 IS NULL OR t.repo = $2) AND t.assigned >= $3 AND t.replayed = 0"
                " AND t.number > (SELECT coalesce(max(number), 0) FROM task) - $4"
                " GROUP BY t.number, l.currency ORDER BY t.number");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql,
                  DB_ARGS(db_int(f->since_ns), db_text(f->project), db_int(f->assigned), db_int(RECORD_TASKS_MOST)),
                  &shape, ret, ret_n, err);
}

static int rows_compare(const void *a, const void *b)
{
    const struct record_row *x = a, *y = b;
    int by = strcmp(x->agent, y->agent);
    by = by ? by : strcmp(x->second, y->second);
    by = by ? by : strcmp(x->currency, y->currency);
    return by ? by : (x->number > y->number) - (x->number < y->number);
}

static int int64_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts what it is given. Nothing is negative. */
static int64_t median(int64_t *v, size_t n)
{
    if (!n)
        return 0;
    qsort(v, n, sizeof *v, int64_compare);
    int64_t high = v[n / 2], low = v[(n - 1) / 2];
    return low + (high - low) / 2;
}

static bool row_ended(const struct record_row *r)
{
    return task_state_final(r->state);
}

static void end_count(struct agent_record *a, const struct record_row *r)
{
    const struct {
        const char *state;
        int64_t *count;
    } ends[] = {{"done", &a->done}, {"unproven", &a->unproven}, {"failed", &a->failed}, {"stopped", &a->stopped}};
    a->runs++;
    a->ended += row_ended(r);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (strcmp(r->state, ends[i].state) == 0) {
            ++*ends[i].count;
            a->undone += i == 0 && strcmp(r->reason, "undone") == 0;
            return;
        }
    }
    if (strcmp(r->state, "paused") == 0 && strncmp(r->reason, "limit_", 6) == 0)
        a->limited++;
    else
        a->open++;
}

static void usage_count(struct agent_record *a, const struct record_row *r)
{
    struct usage *u = &a->usage;
    a->requests += r->requests;
    a->unpriced += r->unpriced;
    u->input += r->usage.input;
    u->cache_read += r->usage.cache_read;
    u->cache_write += r->usage.cache_write;
    u->cache_write_1h += r->usage.cache_write_1h;
    u->output += r->usage.output;
    u->reasoning += r->usage.reasoning;
}

/* n rows of one record and one currency, of which every ended one counts. */
static void cost_add(mem *ctx, struct agent_record *a, const struct record_row *rows, size_t n, int64_t *scratch)
{
    struct record_cost c = {.currency = mem_str(ctx, rows->currency)};
    for (size_t i = 0; i < n; i++) {
        if (!row_ended(&rows[i]))
            continue;
        usage_count(a, &rows[i]);
        scratch[c.tasks++] = rows[i].cost;
        c.total = money_add(c.total, rows[i].cost);
    }
    if (!c.tasks)
        return;
    c.median = median(scratch, (size_t)c.tasks);
    a->costs[a->cost_count++] = c;
}

static int number_compare(const void *a, const void *b)
{
    const struct record_row *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* n rows of one record, by currency. They are in another order afterwards. */
static void record_fill(mem *ctx, struct agent_record *a, struct record_row *rows, size_t n, int64_t *scratch)
{
    size_t currencies = 1, ended = 0;
    for (size_t i = 1; i < n; i++)
        currencies += strcmp(rows[i].currency, rows[i - 1].currency) != 0;
    a->costs = mem_array(ctx, struct record_cost, currencies);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && strcmp(rows[end].currency, rows[i].currency) == 0;)
            end++;
        cost_add(ctx, a, rows + i, end - i, scratch);
    }
    /* Each task once, whatever number of currencies it spent. */
    qsort(rows, n, sizeof *rows, number_compare);
    size_t tasks = 0;
    for (size_t i = 0; i < n; i++)
        if (!i || rows[i].number != rows[tasks - 1].number)
            rows[tasks++] = rows[i];
    for (size_t i = 0; i < tasks; i++) {
        end_count(a, &rows[i]);
        if (row_ended(&rows[i])) {
            a->kept += rows[i].kept;
            scratch[ended++] = rows[i].worked_ns;
        }
    }
    a->worked_median_ns = median(scratch, ended);
    ended = 0;
    for (size_t i = 0; i < tasks; i++)
        if (row_ended(&rows[i]))
            scratch[ended++] = rows[i].iteration;
    a->iterations_median = median(scratch, ended);
    for (size_t i = 0; i < a->cost_count; i++)
        a->costs[i].per_done = a->done ? a->costs[i].total / a->done : -1;
}

static bool same_record(const struct record_row *x, const struct record_row *y)
{
    return strcmp(x->agent, y->agent) == 0 && strcmp(x->second, y->second) == 0;
}

/* Of the program, and of the configuration that it had. */
static const char *version_of(mem *ctx, const struct record_row *r)
{
    if (!*r->configuration)
        return r->version;
    return *r->version ? mem_printf(ctx, "%s, %s", r->configuration, r->version) : r->configuration;
}

enum rc agent_records(mem *ctx, struct store *s, const struct record_filter *f, enum record_by by,
                      struct agent_record **ret, size_t *ret_n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct record_row *rows = NULL;
    size_t n = 0, records = 0;
    enum rc rc = rows_read(tmp, s, f, &rows, &n, err);
    *ret = NULL;
    *ret_n = 0;
    if (rc || !n)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct record_row *r = &rows[i];
        r->cost = money_add(money_mul(PICO_PER_UNIT, r->units), r->rest);
        r->second = by == RECORD_BY_VERSION ? version_of(tmp, r)
                    : by == RECORD_BY_MODEL ? r->model
                    : by == RECORD_BY_KIND  ? r->kind
                                            : "";
    }
    qsort(rows, n, sizeof *rows, rows_compare);
    for (size_t i = 0; i < n; i++)
        records += !i || !same_record(&rows[i], &rows[i - 1]);
    *ret = mem_array(ctx, struct agent_record, records);
    int64_t *scratch = mem_array(tmp, int64_t, n);
    for (size_t i = 0, end; i < n; i = end) {
        struct agent_record *a = &(*ret)[(*ret_n)++];
        const char *second = by == RECORD_BY_AGENT ? NULL : mem_str(ctx, rows[i].second);
        a->agent = mem_str(ctx, rows[i].agent);
        *(by == RECORD_BY_VERSION ? &a->version : by == RECORD_BY_MODEL ? &a->model : &a->kind) = second;
        for (end = i + 1; end < n && same_record(&rows[end], &rows[i]);)
            end++;
        record_fill(ctx, a, rows + i, end - i, scratch);
    }
    return RC_OK;
}
