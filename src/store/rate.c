/* Exchange rates: dated rows that are never changed. */
#include "store/store_private.h"

static const struct db_column rate_columns[] = {
    DB_COLUMN(rate, from, DB_TEXT),       DB_COLUMN(rate, to, DB_TEXT),       DB_COLUMN(rate, ratio.num, DB_INT64),
    DB_COLUMN(rate, ratio.den, DB_INT64), DB_COLUMN(rate, from_ns, DB_INT64), DB_COLUMN(rate, source, DB_TEXT),
    DB_COLUMN(rate, id, DB_INT64),
};
static const struct db_shape insert_shape = DB_SHAPE_HEAD(rate, rate_columns, 6);
static const struct db_shape read_shape = DB_SHAPE(rate, rate_columns);

enum rc rate_insert(struct store_tx *tx, struct rate *r, struct err *err)
{
    DB_SQL(sql, "INSERT INTO rate (from_currency, to_currency, num, den, from_ns, source)"
                " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id");
    if (!currency_valid(r->from) || !currency_valid(r->to))
        return err_set(err, RC_INVALID, "A currency is three capital letters such as EUR.");
    if (strcmp(r->from, r->to) == 0)
        return err_set(err, RC_INVALID, "A rate is between two currencies.");
    if (r->ratio.num < 1 || r->ratio.num > RATIO_MAX || r->ratio.den < 1 || r->ratio.den > RATIO_MAX)
        return err_set(err, RC_INVALID, "The rate is out of range.");
    return db_one_int(tx->c, &sql, DB_ROW(&insert_shape, r), &r->id, err);
}

enum rc rate_list(mem *ctx, struct store *s, struct rate **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT from_currency, to_currency, num, den, from_ns, source, id FROM rate ORDER BY from_ns, id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &read_shape, ret, ret_n, err);
}
