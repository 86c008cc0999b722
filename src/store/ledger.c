/* The ledger: what was used and what it cost, append-only.
 *
 * Sums of money are taken in two parts (whole units and the rest), neither of which can leave the range of an integer,
 * and put together with saturation: a sum too large for pico refuses instead of failing or wrapping. */
#include "store/store_private.h"

#define FROM_HOLD                                                                                                      \
    "request_id, attempt, organisation, project, task_id, agent, model, key_id, user_id, dialect, iteration, opened_ns"
#define GIVEN                                                                                                          \
    "provider, time_ns, model_served, price_id, currency, input, cache_read, cache_write, cache_write_1h, output,"     \
    " reasoning, cost"
static const struct db_column ledger_columns[] = {
    DB_COLUMN(ledger_row, hold_id, DB_INT64),
    DB_COLUMN(ledger_row, provider, DB_TEXT),
    DB_COLUMN(ledger_row, time_ns, DB_INT64),
    DB_COLUMN(ledger_row, model_served, DB_TEXT),
    DB_COLUMN(ledger_row, price_id, DB_INT64),
    DB_COLUMN(ledger_row, currency, DB_TEXT),
    DB_COLUMN(ledger_row, usage.input, DB_INT64),
    DB_COLUMN(ledger_row, usage.cache_read, DB_INT64),
    DB_COLUMN(ledger_row, usage.cache_write, DB_INT64),
    DB_COLUMN(ledger_row, usage.cache_write_1h, DB_INT64),
    DB_COLUMN(ledger_row, usage.output, DB_INT64),
    DB_COLUMN(ledger_row, usage.reasoning, DB_INT64),
    DB_COLUMN(ledger_row, cost, DB_INT64),
    DB_COLUMN(ledger_row, request, DB_TEXT),
    DB_COLUMN(ledger_row, attempt, DB_INT64),
    DB_COLUMN(ledger_row, spender.organisation, DB_TEXT_NULL),
    DB_COLUMN(ledger_row, spender.project, DB_TEXT_NULL),
    DB_COLUMN(ledger_row, spender.task, DB_TEXT_NULL),
    DB_COLUMN(ledger_row, spender.agent, DB_TEXT_NULL),
    DB_COLUMN(ledger_row, spender.model, DB_TEXT),
    DB_COLUMN(ledger_row, spender.key, DB_TEXT_NULL),
    DB_COLUMN(ledger_row, spender.user, DB_TEXT_NULL),
    DB_COLUMN(ledger_row, dialect, DB_TEXT),
    DB_COLUMN(ledger_row, iteration, DB_INT64),
    DB_COLUMN(ledger_row, opened_ns, DB_INT64),
};
const struct db_shape ledger_given_shape = DB_SHAPE_HEAD(ledger_row, ledger_columns, 13);
static const struct db_shape read_shape = DB_SHAPE(ledger_row, ledger_columns);

/* ---- what a quarter of an hour cost ---- */

#define QUARTER_ADDED                                                                                                  \
    " ON CONFLICT (quarter, currency) DO UPDATE SET requests = requests + excluded.requests,"                          \
    " unpriced = unpriced + excluded.unpriced,"                                                                        \
    " cost_units = cost_units + excluded.cost_units + (cost_rest + excluded.cost_rest) / 1000000000000,"               \
    " cost_rest = (cost_rest + excluded.cost_rest) % 1000000000000"
_Static_assert(LEDGER_QUARTER_NS == 900000000000, "the migration and the statement below count in these");

static enum rc quarter_add(struct store_tx *tx, int64_t hold_id, struct err *err)
{
    DB_SQL(sql, "INSERT INTO ledger_quarter (quarter, currency, requests, unpriced, cost_units, cost_rest)"
                " SELECT opened_ns / 900000000000, currency, 1, price_id = 0, cost / 1000000000000,"
                " cost % 1000000000000 FROM ledger WHERE hold_id = $1" QUARTER_ADDED);
    return db_exec(tx->c, &sql, DB_ARGS(db_int(hold_id)), NULL, err);
}

enum rc quarter_sums_write(struct store_tx *tx, struct quarter_sums *sums, struct err *err)
{
    DB_SQL(sql, "INSERT INTO ledger_quarter (quarter, currency, requests, unpriced, cost_units, cost_rest)"
                " VALUES ($1, $2, $3, $4, $5, $6)" QUARTER_ADDED);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < sums->n && !rc; i++) {
        const struct quarter_sum *q = &sums->v[i];
        rc = db_exec(tx->c, &sql,
                     DB_ARGS(db_int(q->quarter), db_text(q->currency), db_int(q->requests), db_int(q->unpriced),
                             db_int(q->units), db_int(q->rest)),
                     NULL, err);
    }
    sums->n = 0;
    return rc;
}

static enum rc quarter_sums_add(struct store_tx *tx, struct quarter_sums *sums, const struct ledger_row *row,
                                struct err *err)
{
    int64_t quarter = row->opened_ns / LEDGER_QUARTER_NS;
    struct quarter_sum *q = sums->v, *end = sums->v + sums->n;
    while (q < end && (q->quarter != quarter || !str_eqz(str_of(q->currency), row->currency)))
        q++;
    if (q == end) {
        enum rc rc = sums->n == QUARTER_SUMS ? quarter_sums_write(tx, sums, err) : RC_OK;
        if (rc)
            return rc;
        q = &sums->v[sums->n++];
        *q = (struct quarter_sum){.quarter = quarter};
        (void)snprintf(q->currency, sizeof q->currency, "%s", row->currency);
    }
    q->requests++;
    q->unpriced += row->price_id == 0;
    q->units += row->cost / PICO_PER_UNIT;
    q->rest += row->cost % PICO_PER_UNIT;
    q->units += q->rest / PICO_PER_UNIT;
    q->rest %= PICO_PER_UNIT;
    return RC_OK;
}

/* ---- rows ---- */

/* A provider that is not given stays that of the hold. */
enum rc ledger_insert(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, struct err *err)
{
    DB_SQL(sql,
           "INSERT INTO ledger (hold_id, " GIVEN ", " FROM_HOLD ")"
           " SELECT id, CASE WHEN $2 = '' THEN provider ELSE $2 END, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
           " " FROM_HOLD " FROM hold WHERE id = $1");
    struct ledger_row r = *row;
    r.hold_id = hold_id;
    enum rc rc = db_exec(tx->c, &sql, DB_ROW(&ledger_given_shape, &r), NULL, err);
    return rc ? rc : quarter_add(tx, hold_id, err);
}

enum rc ledger_insert_of(struct store_tx *tx, const struct hold *h, const struct ledger_row *row,
                         struct quarter_sums *sums, struct err *err)
{
    DB_SQL(sql, "INSERT INTO ledger (hold_id, " GIVEN ", " FROM_HOLD
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
                " $21, $22, $23, $24, $25)");
    struct ledger_row r = *row;
    r.hold_id = h->id;
    r.provider = r.provider && *r.provider ? r.provider : h->provider;
    r.request = h->request;
    r.attempt = h->attempt;
    r.spender = h->spender;
    r.dialect = h->dialect;
    r.iteration = h->iteration;
    r.opened_ns = h->opened_ns;
    enum rc rc = db_exec(tx->c, &sql, DB_ROW(&read_shape, &r), NULL, err);
    return rc ? rc : quarter_sums_add(tx, sums, &r, err);
}

enum rc ledger_list(mem *ctx, struct store *s, const char *task_id, struct ledger_row **ret, size_t *ret_n,
                    struct err *err)
{
    DB_SQL(sql, "SELECT hold_id, " GIVEN ", " FROM_HOLD " FROM ledger WHERE task_id = $1 ORDER BY hold_id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(task_id)), &read_shape, ret, ret_n, err);
}

enum rc ledger_foreign(mem *ctx, struct store *s, const char *task_id, const char *currency, struct ledger_row **ret,
                       size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT hold_id, " GIVEN ", " FROM_HOLD
                " FROM ledger WHERE task_id = $1 AND currency <> $2 ORDER BY hold_id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(task_id), db_text(currency)), &read_shape, ret, ret_n, err);
}

enum rc ledger_has(struct store_tx *tx, int64_t hold_id, bool *ret, struct err *err)
{
    DB_SQL(sql, "SELECT count(*) FROM ledger WHERE hold_id = $1");
    int64_t n = 0;
    enum rc rc = db_one_int(tx->c, &sql, DB_ARGS(db_int(hold_id)), &n, err);
    *ret = n > 0;
    return rc;
}

/* ---- sums ---- */

/* What is settled is read from the tally that is kept with the ledger (migration 0015): a few rows an iteration,
 * however many requests there were. 1000000000000 is PICO_PER_UNIT. */
#define USED                                                                                                           \
    "(SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(unpriced), 0) AS unpriced,"                          \
    " coalesce(sum(cost_units), 0) AS cost_units, coalesce(sum(cost_rest), 0) AS cost_rest,"                           \
    " coalesce(sum(input), 0) AS input, coalesce(sum(cache_read), 0) AS cache_read,"                                   \
    " coalesce(sum(cache_write), 0) AS cache_write, coalesce(sum(cache_write_1h), 0) AS cache_write_1h,"               \
    " coalesce(sum(output), 0) AS output, coalesce(sum(reasoning), 0) AS reasoning"                                    \
    " FROM ledger_tally WHERE task_id = $1)"
#define HELD                                                                                                           \
    "(SELECT coalesce(sum(amount / 1000000000000), 0) AS held_units,"                                                  \
    " coalesce(sum(amount % 1000000000000), 0) AS held_rest,"                                                          \
    " coalesce(sum(CASE WHEN state = 'kept' THEN 1 ELSE 0 END), 0) AS kept"                                            \
    " FROM hold WHERE task_id = $1 AND state IN ('open', 'kept'))"
struct sums {
    int64_t cost_units, cost_rest, held_units, held_rest, requests, unpriced, kept;
    struct usage usage;
};
static const struct db_column sums_columns[] = {
    DB_COLUMN(sums, cost_units, DB_INT64),
    DB_COLUMN(sums, cost_rest, DB_INT64),
    DB_COLUMN(sums, held_units, DB_INT64),
    DB_COLUMN(sums, held_rest, DB_INT64),
    DB_COLUMN(sums, requests, DB_INT64),
    DB_COLUMN(sums, unpriced, DB_INT64),
    DB_COLUMN(sums, kept, DB_INT64),
    DB_COLUMN(sums, usage.input, DB_INT64),
    DB_COLUMN(sums, usage.cache_read, DB_INT64),
    DB_COLUMN(sums, usage.cache_write, DB_INT64),
    DB_COLUMN(sums, usage.cache_write_1h, DB_INT64),
    DB_COLUMN(sums, usage.output, DB_INT64),
    DB_COLUMN(sums, usage.reasoning, DB_INT64),
};
static const struct db_shape sums_shape = DB_SHAPE(sums, sums_columns);

static pico money_whole(int64_t units, int64_t rest)
{
    return money_add(money_mul(PICO_PER_UNIT, units), rest);
}

/* One statement, so that a hold that settles meanwhile is seen on one side and not on none. */
static enum rc spent_read(struct db_conn *c, const char *task_id, struct spent *ret, struct err *err)
{
    DB_SQL(
        sql,
        "SELECT cost_units, cost_rest, held_units, held_rest, requests, unpriced, kept, input, cache_read, cache_write,"
        " cache_write_1h, output, reasoning FROM " USED " used CROSS JOIN " HELD " held");
    struct sums sums = {0};
    enum rc rc = db_one(NULL, c, &sql, DB_ARGS(db_text(task_id)), &sums_shape, &sums, err);
    if (rc)
        return rc;
    *ret = (struct spent){.settled = money_whole(sums.cost_units, sums.cost_rest),
                          .held = money_whole(sums.held_units, sums.held_rest),
                          .requests = sums.requests,
                          .kept = sums.kept,
                          .unpriced = sums.unpriced,
                          .usage = sums.usage};
    return RC_OK;
}

enum rc ledger_spent(struct store *s, const char *task_id, struct spent *ret, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(s->db);
    return spent_read(c, task_id, ret, err);
}

enum rc ledger_spent_tx(struct store_tx *tx, const char *task_id, struct spent *ret, struct err *err)
{
    return spent_read(tx->c, task_id, ret, err);
}

struct tally_row {
    struct ledger_tally t;
    int64_t units, rest;
};
static const struct db_column tally_columns[] = {
    DB_COLUMN(tally_row, t.iteration, DB_INT64),
    DB_COLUMN(tally_row, t.currency, DB_TEXT),
    DB_COLUMN(tally_row, t.requests, DB_INT64),
    DB_COLUMN(tally_row, t.unpriced, DB_INT64),
    DB_COLUMN(tally_row, units, DB_INT64),
    DB_COLUMN(tally_row, rest, DB_INT64),
    DB_COLUMN(tally_row, t.usage.input, DB_INT64),
    DB_COLUMN(tally_row, t.usage.cache_read, DB_INT64),
    DB_COLUMN(tally_row, t.usage.cache_write, DB_INT64),
    DB_COLUMN(tally_row, t.usage.cache_write_1h, DB_INT64),
    DB_COLUMN(tally_row, t.usage.output, DB_INT64),
    DB_COLUMN(tally_row, t.usage.reasoning, DB_INT64),
};
static const struct db_shape tally_shape = DB_SHAPE(tally_row, tally_columns);

enum rc ledger_tallies(mem *ctx, struct store *s, const char *task_id, struct ledger_tally **ret, size_t *ret_n,
                       struct err *err)
{
    DB_SQL(sql, "SELECT iteration, currency, requests, unpriced, cost_units, cost_rest, input, cache_read, cache_write,"
                " cache_write_1h, output, reasoning FROM ledger_tally WHERE task_id = $1 ORDER BY iteration, currency");
    struct tally_row *rows = NULL;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_all(ctx, c, &sql, DB_ARGS(db_text(task_id)), &tally_shape, &rows, ret_n, err);
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct ledger_tally, *ret_n);
    for (size_t i = 0; i < *ret_n; i++) {
        (*ret)[i] = rows[i].t;
        (*ret)[i].cost = money_whole(rows[i].units, rows[i].rest);
    }
    return RC_OK;
}

static const struct db_column quarter_columns[] = {
    DB_COLUMN(tally_row, t.currency, DB_TEXT), DB_COLUMN(tally_row, t.requests, DB_INT64),
    DB_COLUMN(tally_row, t.unpriced, DB_INT64), DB_COLUMN(tally_row, units, DB_INT64),
    DB_COLUMN(tally_row, rest, DB_INT64)};
static const struct db_shape quarter_shape = DB_SHAPE(tally_row, quarter_columns);

enum rc ledger_span(mem *ctx, struct store *s, int64_t from_ns, int64_t to_ns, struct ledger_tally **ret, size_t *ret_n,
                    struct err *err)
{
    DB_SQL(sql, "SELECT currency, sum(requests), sum(unpriced), sum(cost_units), sum(cost_rest) FROM ledger_quarter"
                " WHERE quarter >= $1 AND quarter < $2 GROUP BY currency ORDER BY currency");
    struct tally_row *rows = NULL;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_all(ctx, c, &sql, DB_ARGS(db_int(from_ns / LEDGER_QUARTER_NS), db_int(to_ns / LEDGER_QUARTER_NS)),
                        &quarter_shape, &rows, ret_n, err);
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct ledger_tally, *ret_n);
    for (size_t i = 0; i < *ret_n; i++) {
        (*ret)[i] = rows[i].t;
        (*ret)[i].cost = money_whole(rows[i].units, rows[i].rest);
    }
    return RC_OK;
}

/* ---- the whole ledger ---- */

/* $1 to $10 of every statement over the whole ledger. */
#define FILTER                                                                                                         \
    " WHERE opened_ns >= $1 AND opened_ns < $2 AND ($3 IS NULL OR organisation = $3) AND ($4 IS NULL OR project = $4)" \
    " AND ($5 IS NULL OR task_id = $5) AND ($6 IS NULL OR agent = $6) AND ($7 IS NULL OR model = $7)"                  \
    " AND ($8 IS NULL OR key_id = $8) AND ($9 IS NULL OR user_id = $9) AND ($10 IS NULL OR provider = $10)"
#define FILTER_ARGS(f)                                                                                                 \
    db_int((f)->from_ns), db_int((f)->to_ns ? (f)->to_ns : INT64_MAX), db_text((f)->who.organisation),                 \
        db_text((f)->who.project), db_text((f)->who.task), db_text((f)->who.agent), db_text((f)->who.model),           \
        db_text((f)->who.key), db_text((f)->who.user), db_text((f)->provider)

enum rc ledger_rows(mem *ctx, struct store *s, const struct ledger_filter *f, int64_t before, int64_t limit,
                    struct ledger_row **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT hold_id, " GIVEN ", " FROM_HOLD " FROM ledger" FILTER
                " AND hold_id < $11 ORDER BY hold_id DESC LIMIT $12");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(FILTER_ARGS(f), db_int(before > 0 ? before : INT64_MAX), db_int(limit)),
                  &read_shape, ret, ret_n, err);
}

struct group_row {
    struct ledger_group g;
    int64_t units, rest;
};
static const struct db_column group_columns[] = {
    DB_COLUMN(group_row, g.name, DB_TEXT),
    DB_COLUMN(group_row, g.currency, DB_TEXT),
    DB_COLUMN(group_row, g.requests, DB_INT64),
    DB_COLUMN(group_row, g.unpriced, DB_INT64),
    DB_COLUMN(group_row, units, DB_INT64),
    DB_COLUMN(group_row, rest, DB_INT64),
    DB_COLUMN(group_row, g.usage.input, DB_INT64),
    DB_COLUMN(group_row, g.usage.cache_read, DB_INT64),
    DB_COLUMN(group_row, g.usage.cache_write, DB_INT64),
    DB_COLUMN(group_row, g.usage.cache_write_1h, DB_INT64),
    DB_COLUMN(group_row, g.usage.output, DB_INT64),
    DB_COLUMN(group_row, g.usage.reasoning, DB_INT64),
};
static const struct db_shape group_shape = DB_SHAPE(group_row, group_columns);

/* The numbers are those of enum ledger_by. */
enum rc ledger_groups(mem *ctx, struct store *s, const struct ledger_filter *f, enum ledger_by by, int64_t skip,
                      int64_t limit, struct ledger_group **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT coalesce(CASE $11 WHEN 1 THEN project WHEN 2 THEN task_id WHEN 3 THEN agent WHEN 4 THEN model"
                " WHEN 5 THEN key_id WHEN 6 THEN user_id WHEN 7 THEN provider WHEN 8 THEN organisation ELSE '' END, '')"
                " AS name, currency, count(*), sum(CASE WHEN price_id = 0 THEN 1 ELSE 0 END),"
                " sum(cost / 1000000000000), sum(cost % 1000000000000), sum(input), sum(cache_read), sum(cache_write),"
                " sum(cache_write_1h), sum(output), sum(reasoning) FROM ledger" FILTER
                " GROUP BY name, currency ORDER BY name, currency LIMIT $12 OFFSET $13");
    CLEANUP_MEM mem *tmp = mem_root();
    struct group_row *rows = NULL;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_all(tmp, c, &sql, DB_ARGS(FILTER_ARGS(f), db_int(by), db_int(limit), db_int(skip)), &group_shape,
                        &rows, ret_n, err);
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct ledger_group, *ret_n);
    for (size_t i = 0; i < *ret_n; i++) {
        (*ret)[i] = rows[i].g;
        (*ret)[i].name = mem_str(ctx, rows[i].g.name);
        (*ret)[i].currency = mem_str(ctx, rows[i].g.currency);
        (*ret)[i].cost = money_whole(rows[i].units, rows[i].rest);
    }
    return RC_OK;
}

/* ---- what counts in a budget's window ---- */

/* Tasks have an index; all other scopes are found by the time. Numbers are those of enum scope. */
#define OF_TASK " task_id = $1 AND opened_ns >= $2 AND opened_ns < $3"
#define OF_SCOPE                                                                                                        \
    " opened_ns >= $2 AND opened_ns < $3 AND (CASE $4 WHEN 0 THEN organisation WHEN 1 THEN project WHEN 2 THEN task_id" \
    " WHEN 3 THEN agent WHEN 4 THEN model WHEN 5 THEN key_id WHEN 6 THEN user_id ELSE 'all' END) = $1"
#define SPAN_ARGS(span)                                                                                                \
    db_text((span)->scope_id), db_int((span)->from_ns), db_int((span)->to_ns), db_int((span)->scope),                  \
        db_text((span)->currency)

struct span_sum {
    int64_t units, rest, tokens;
};
static const struct db_column span_columns[] = {
    DB_COLUMN(span_sum, units, DB_INT64), DB_COLUMN(span_sum, rest, DB_INT64), DB_COLUMN(span_sum, tokens, DB_INT64)};
static const struct db_shape span_shape = DB_SHAPE(span_sum, span_columns);

#define SPAN_SUMS                                                                                                      \
    "SELECT coalesce(sum(CASE WHEN currency = $5 THEN cost / 1000000000000 ELSE 0 END), 0),"                           \
    " coalesce(sum(CASE WHEN currency = $5 THEN cost % 1000000000000 ELSE 0 END), 0),"                                 \
    " coalesce(sum(input + cache_read + cache_write + cache_write_1h + output), 0) FROM ledger WHERE $4 >= 0 AND"

enum rc budget_sum(struct store_tx *tx, const struct budget_span *span, pico *ret_money, int64_t *ret_tokens,
                   struct err *err)
{
    DB_SQL(sql_task, SPAN_SUMS OF_TASK);
    DB_SQL(sql, SPAN_SUMS OF_SCOPE);
    struct span_sum sum = {0};
    enum rc rc = db_one(NULL, tx->c, span->scope == SCOPE_TASK ? &sql_task : &sql, DB_ARGS(SPAN_ARGS(span)),
                        &span_shape, &sum, err);
    *ret_money = money_whole(sum.units, sum.rest);
    *ret_tokens = sum.tokens;
    return rc;
}

static const struct db_column item_columns[] = {
    DB_COLUMN(budget_item, hold_id, DB_INT64),    DB_COLUMN(budget_item, currency, DB_TEXT),
    DB_COLUMN(budget_item, amount, DB_INT64),     DB_COLUMN(budget_item, tokens, DB_INT64),
    DB_COLUMN(budget_item, opened_ns, DB_INT64),  DB_COLUMN(budget_item, frozen.num, DB_INT64),
    DB_COLUMN(budget_item, frozen.den, DB_INT64),
};
static const struct db_shape item_shape = DB_SHAPE(budget_item, item_columns);

#define FOREIGN                                                                                                        \
    "SELECT l.hold_id, currency, cost, 0, opened_ns, coalesce(r.num, 0), coalesce(r.den, 0) FROM ledger l"             \
    " LEFT JOIN hold_rate r ON r.hold_id = l.hold_id AND r.from_currency = l.currency AND r.to_currency = $5"          \
    " WHERE $4 >= 0 AND l.hold_id > $6 AND currency <> $5 AND cost > 0 AND"

enum rc budget_foreign(mem *ctx, struct store_tx *tx, const struct budget_span *span, int64_t after, int64_t limit,
                       struct budget_item **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql_task, FOREIGN OF_TASK " ORDER BY l.hold_id LIMIT $7");
    DB_SQL(sql, FOREIGN OF_SCOPE " ORDER BY l.hold_id LIMIT $7");
    return db_all(ctx, tx->c, span->scope == SCOPE_TASK ? &sql_task : &sql,
                  DB_ARGS(SPAN_ARGS(span), db_int(after), db_int(limit)), &item_shape, ret, ret_n, err);
}

#define KEPT                                                                                                           \
    "SELECT h.id, currency, amount, tokens, opened_ns, coalesce(r.num, 0), coalesce(r.den, 0) FROM hold h"             \
    " LEFT JOIN hold_rate r ON r.hold_id = h.id AND r.from_currency = h.currency AND r.to_currency = $5"               \
    " WHERE $4 >= 0 AND state IN ('open', 'kept') AND state = 'kept' AND"

enum rc budget_kept(mem *ctx, struct store_tx *tx, const struct budget_span *span, struct budget_item **ret,
                    size_t *ret_n, struct err *err)
{
    DB_SQL(sql_task, KEPT OF_TASK " ORDER BY h.id");
    DB_SQL(sql, KEPT OF_SCOPE " ORDER BY h.id + 0"); /* not by the key, which would read all holds that ever were */
    return db_all(ctx, tx->c, span->scope == SCOPE_TASK ? &sql_task : &sql, DB_ARGS(SPAN_ARGS(span)), &item_shape, ret,
                  ret_n, err);
}
