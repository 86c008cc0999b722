/* Budgets and what was carried over between their windows: rows. */
#include "store/store_private.h"
#include <inttypes.h>

/* A budget with words in place of numbers, as its row has them. */
struct row {
    const char *scope, *window;
    struct budget b;
};
#define COLUMNS                                                                                                        \
    "scope, scope_id, period, zone, currency, money, tokens, hard, soft_percent, pause, keep_unused, source, set_ns,"  \
    " changed_ns, noticed_ns"
static const struct db_column row_columns[] = {
    DB_COLUMN(row, scope, DB_TEXT),           DB_COLUMN(row, b.scope_id, DB_TEXT),
    DB_COLUMN(row, window, DB_TEXT),          DB_COLUMN(row, b.zone, DB_TEXT),
    DB_COLUMN(row, b.currency, DB_TEXT),      DB_COLUMN(row, b.money, DB_INT64),
    DB_COLUMN(row, b.tokens, DB_INT64),       DB_COLUMN(row, b.hard, DB_BOOL),
    DB_COLUMN(row, b.soft_percent, DB_INT64), DB_COLUMN(row, b.pause, DB_BOOL),
    DB_COLUMN(row, b.keep_unused, DB_BOOL),   DB_COLUMN(row, b.source, DB_TEXT),
    DB_COLUMN(row, b.set_ns, DB_INT64),       DB_COLUMN(row, b.changed_ns, DB_INT64),
    DB_COLUMN(row, b.noticed_ns, DB_INT64),   DB_COLUMN(row, b.id, DB_INT64),
};
static const struct db_shape put_shape = DB_SHAPE_HEAD(row, row_columns, 15);
static const struct db_shape read_shape = DB_SHAPE(row, row_columns);

static enum rc budget_check(const struct budget *b, struct err *err)
{
    if (!b->scope_id || !b->scope_id[0] || strlen(b->scope_id) > SCOPE_ID_MAX)
        return err_set(err, RC_INVALID, "A budget needs the name of its %s, at most %d bytes.", scope_name(b->scope),
                       SCOPE_ID_MAX);
    if (b->money < 0 && b->tokens < 0)
        return err_set(err, RC_INVALID, "A budget limits money, tokens or both.");
    if (b->money < -1 || b->tokens < -1 || b->money == INT64_MAX || b->tokens == INT64_MAX)
        return err_set(err, RC_INVALID, "The limit of a budget is out of range.");
    if (b->money >= 0 ? !currency_valid(b->currency) : b->currency && b->currency[0])
        return err_set(err, RC_INVALID,
                       "The currency of a budget is three capital letters such as USD; a budget of"
                       " tokens alone has none.");
    if (b->soft_percent < 0 || b->soft_percent > 100)
        return err_set(err, RC_INVALID, "The soft threshold of a budget is 1 to 100 per cent, or 0 for none.");
    if (!b->hard && !b->soft_percent)
        return err_set(err, RC_INVALID, "A budget that is not hard needs a soft threshold: else it does nothing.");
    return RC_OK;
}

enum rc budget_put(struct store_tx *tx, struct budget *b, struct err *err)
{
    DB_SQL(sql,
           "INSERT INTO budget (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
           " ON CONFLICT (scope, scope_id, period, currency) DO UPDATE SET zone = excluded.zone,"
           " money = excluded.money, tokens = excluded.tokens, hard = excluded.hard,"
           " soft_percent = excluded.soft_percent, pause = excluded.pause, keep_unused = excluded.keep_unused,"
           " source = excluded.source, changed_ns = excluded.changed_ns, noticed_ns = excluded.noticed_ns"
           " RETURNING id");
    DB_SQL(sql_set, "SELECT set_ns FROM budget WHERE id = $1");
    struct row row = {.scope = scope_name(b->scope), .window = window_name(b->window), .b = *b};
    enum rc rc = budget_check(b, err);
    if (!rc)
        rc = db_one_int(tx->c, &sql, DB_ROW(&put_shape, &row), &b->id, err);
    return rc ? rc : db_one_int(tx->c, &sql_set, DB_ARGS(db_int(b->id)), &b->set_ns, err);
}

enum rc budget_remove(struct store_tx *tx, int64_t id, struct err *err)
{
    DB_SQL(sql_carry, "DELETE FROM budget_carry WHERE budget_id = $1");
    DB_SQL(sql, "DELETE FROM budget WHERE id = $1");
    int64_t n = 0;
    enum rc rc = db_exec(tx->c, &sql_carry, DB_ARGS(db_int(id)), NULL, err);
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ARGS(db_int(id)), &n, err);
    return !rc && n == 0 ? err_set(err, RC_NOT_FOUND, "There is no budget %" PRId64 ".", id) : rc;
}

enum rc budget_noticed(struct store_tx *tx, int64_t id, int64_t window_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE budget SET noticed_ns = $2 WHERE id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_int(id), db_int(window_ns)), NULL, err);
}

enum rc budget_all(mem *ctx, struct store *s, struct budget **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id FROM budget ORDER BY scope, scope_id, period, currency");
    struct row *rows = NULL;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_all(ctx, c, &sql, DB_NONE, &read_shape, &rows, ret_n, err);
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct budget, *ret_n);
    for (size_t i = 0; i < *ret_n; i++) {
        struct budget *b = &(*ret)[i];
        *b = rows[i].b;
        if (!scope_find(rows[i].scope, &b->scope) || !window_find(rows[i].window, &b->window))
            return err_set(err, RC_BUG, "A budget's row has an unknown scope or window.");
    }
    return RC_OK;
}

/* ---- what was carried over ---- */

static const struct db_column carry_columns[] = {
    DB_COLUMN(budget_carry, budget_id, DB_INT64), DB_COLUMN(budget_carry, window_ns, DB_INT64),
    DB_COLUMN(budget_carry, money, DB_INT64),     DB_COLUMN(budget_carry, tokens, DB_INT64),
    DB_COLUMN(budget_carry, time_ns, DB_INT64),
};
static const struct db_shape carry_shape = DB_SHAPE(budget_carry, carry_columns);

enum rc budget_carry_put(struct store_tx *tx, const struct budget_carry *c, struct err *err)
{
    DB_SQL(sql, "INSERT INTO budget_carry (budget_id, window_ns, money, tokens, time_ns)"
                " SELECT $1, $2, $3, $4, $5 FROM budget WHERE id = $1 ON CONFLICT DO NOTHING");
    return db_exec(tx->c, &sql, DB_ROW(&carry_shape, c), NULL, err);
}

enum rc budget_carry_find(struct store_tx *tx, int64_t budget_id, int64_t window_ns, struct budget_carry *ret,
                          struct err *err)
{
    DB_SQL(sql, "SELECT budget_id, window_ns, money, tokens, time_ns FROM budget_carry"
                " WHERE budget_id = $1 AND window_ns <= $2 ORDER BY window_ns DESC LIMIT 1");
    return db_one(NULL, tx->c, &sql, DB_ARGS(db_int(budget_id), db_int(window_ns)), &carry_shape, ret, err);
}
