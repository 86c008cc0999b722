/* The ledger: what was used and what it cost, append-only.
 *
 * Sums of money are taken in two parts (whole units and the rest), neither of which can leave the range of an integer,
 * and put together with saturation: a sum too large for pico refuses instead of failing or wrapping. */
#include "store/store_private.h"

#define COLUMNS                                                                                                             \
    "task_id, iteration, time_ns, model, model_served, price_id, currency, input, cache_read, cache_write, cache_write_1h," \
    " output, reasoning, cost"
static const struct db_column ledger_columns[] = {
    DB_COLUMN(ledger_row, task_id, DB_TEXT),
    DB_COLUMN(ledger_row, iteration, DB_INT64),
    DB_COLUMN(ledger_row, time_ns, DB_INT64),
    DB_COLUMN(ledger_row, model, DB_TEXT),
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
    DB_COLUMN(ledger_row, hold_id, DB_INT64),
    DB_COLUMN(ledger_row, id, DB_INT64),
};
static const struct db_shape insert_shape = DB_SHAPE_HEAD(ledger_row, ledger_columns, 15);
static const struct db_shape read_shape = DB_SHAPE(ledger_row, ledger_columns);

enum rc ledger_insert(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, struct err *err)
{
    DB_SQL(sql, "INSERT INTO ledger (" COLUMNS
                ", hold_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
                " $15)");
    struct ledger_row r = *row;
    r.hold_id = hold_id;
    return db_exec(tx->c, &sql, DB_ROW(&insert_shape, &r), NULL, err);
}

enum rc ledger_list(mem *ctx, struct store *s, const char *task_id, struct ledger_row **ret, size_t *ret_n,
                    struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", hold_id, id FROM ledger WHERE task_id = $1 ORDER BY id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(task_id)), &read_shape, ret, ret_n, err);
}

/* ---- sums ---- */

/* 1000000000000 is PICO_PER_UNIT. */
#define USED                                                                                                           \
    "(SELECT count(*) AS requests, coalesce(sum(CASE WHEN price_id = 0 THEN 1 ELSE 0 END), 0) AS unpriced,"            \
    " coalesce(sum(cost / 1000000000000), 0) AS cost_units, coalesce(sum(cost % 1000000000000), 0) AS cost_rest,"      \
    " coalesce(sum(input), 0) AS input, coalesce(sum(cache_read), 0) AS cache_read,"                                   \
    " coalesce(sum(cache_write), 0) AS cache_write, coalesce(sum(cache_write_1h), 0) AS cache_write_1h,"               \
    " coalesce(sum(output), 0) AS output, coalesce(sum(reasoning), 0) AS reasoning"                                    \
    " FROM ledger WHERE task_id = $1)"
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
