/* Rows of trials, and what their attempts cost. */
#include "store/trial.h"
#include "base/id.h"
#include "store/store_private.h"

#define COLUMNS "id, title, repo, rule, currency, limit_money, limit_tokens, winner, open, created_ns, decided_ns"
static const struct db_column columns[] = {
    DB_COLUMN(trial, id, DB_TEXT),
    DB_COLUMN(trial, title, DB_TEXT),
    DB_COLUMN(trial, repo, DB_TEXT),
    DB_COLUMN(trial, rule, DB_TEXT),
    DB_COLUMN(trial, currency, DB_TEXT),
    DB_COLUMN(trial, limit_money, DB_INT64),
    DB_COLUMN(trial, limit_tokens, DB_INT64),
    DB_COLUMN(trial, winner, DB_TEXT_NULL),
    DB_COLUMN(trial, open, DB_BOOL),
    DB_COLUMN(trial, created_ns, DB_INT64),
    DB_COLUMN(trial, decided_ns, DB_INT64),
    DB_COLUMN(trial, number, DB_INT64),
};
#define INSERTED 11
static const struct db_shape shape = DB_SHAPE(trial, columns);
static const struct db_shape insert_shape = DB_SHAPE_HEAD(trial, columns, INSERTED);

enum rc trial_insert(struct store_tx *tx, struct trial *t, struct err *err)
{
    DB_SQL(sql,
           "INSERT INTO trial (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING number");
    enum rc rc = id_check(t->id, "trial", err);
    return rc ? rc : db_one_int(tx->c, &sql, DB_ROW(&insert_shape, t), &t->number, err);
}

static enum rc missing(const char *id, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no trial %.16s", id);
    return err_hint(err, "nightmill ls lists the tasks and the trials that they belong to");
}

static enum rc find(mem *ctx, struct db_conn *c, const char *id, struct trial *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", number FROM trial WHERE id = $1");
    enum rc rc = id_check(id, "trial", err);
    if (rc)
        return rc;
    rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? missing(id, err) : rc;
}

enum rc trial_find(mem *ctx, struct store *s, const char *id, struct trial *ret, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(s->db);
    return find(ctx, c, id, ret, err);
}

enum rc trial_find_tx(mem *ctx, struct store_tx *tx, const char *id, struct trial *ret, struct err *err)
{
    return find(ctx, tx->c, id, ret, err);
}

enum rc trial_list(mem *ctx, struct store *s, int64_t before, int64_t limit, struct trial **ret, size_t *ret_n,
                   struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", number FROM trial WHERE number < $1 ORDER BY number DESC LIMIT $2");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_int(before > 0 ? before : INT64_MAX), db_int(limit > 0 ? limit : 0)), &shape,
                  ret, ret_n, err);
}

enum rc trial_list_open(mem *ctx, struct store *s, struct trial **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", number FROM trial WHERE open = 1 ORDER BY number");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &shape, ret, ret_n, err);
}

enum rc trial_decide(struct store_tx *tx, const char *id, const char *winner, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE trial SET winner = $2, decided_ns = $3, open = 0 WHERE id = $1 AND winner IS NULL");
    int64_t changed = 0;
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_text(winner), db_int(now_ns)), &changed, err);
    return rc || changed ? rc : err_set(err, RC_CONFLICT, "trial %.16s was decided already", id);
}

enum rc trial_open_set(struct store_tx *tx, const char *id, bool open, struct err *err)
{
    DB_SQL(sql, "UPDATE trial SET open = $2 WHERE id = $1 AND open <> $2 AND winner IS NULL");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_int(open)), NULL, err);
}

enum rc trial_limits_set(struct store_tx *tx, const char *id, pico money, int64_t tokens, struct err *err)
{
    DB_SQL(sql, "UPDATE trial SET limit_money = $2, limit_tokens = $3 WHERE id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_int(money), db_int(tokens)), NULL, err);
}

/* ---- what attempts cost ---- */

struct cost_row {
    int64_t hold_id, price_id, cost, tokens;
    const char *currency;
};
static const struct db_column cost_columns[] = {
    DB_COLUMN(cost_row, hold_id, DB_INT64), DB_COLUMN(cost_row, price_id, DB_INT64),
    DB_COLUMN(cost_row, cost, DB_INT64),    DB_COLUMN(cost_row, tokens, DB_INT64),
    DB_COLUMN(cost_row, currency, DB_TEXT),
};
static const struct db_shape cost_shape = DB_SHAPE(cost_row, cost_columns);

static void cost_add(struct store_tx *tx, const struct cost_row *r, const char *currency, struct trial_cost *ret)
{
    struct ratio rate;
    ret->tokens = money_add(ret->tokens, r->tokens);
    if (r->price_id == 0) {
        ret->known = false;
    } else if (!r->cost || strcmp(r->currency, currency) == 0) {
        ret->money = money_add(ret->money, r->cost);
    } else if (hold_rate_find(tx, r->hold_id, r->currency, currency, &rate, NULL) == RC_OK) {
        ret->money = money_add(ret->money, money_convert(r->cost, rate));
    } else {
        ret->known = false;
    }
}

enum rc trial_cost(struct store_tx *tx, const char *task_id, const char *currency, struct trial_cost *ret,
                   struct err *err)
{
    DB_SQL(sql_settled, "SELECT hold_id, price_id, cost, input + cache_read + cache_write + cache_write_1h + output"
                        " AS tokens, currency FROM ledger WHERE task_id = $1");
    DB_SQL(sql_held, "SELECT id, price_id, amount, tokens, currency FROM hold"
                     " WHERE task_id = $1 AND state IN ('open', 'kept')");
    CLEANUP_MEM mem *tmp = mem_root();
    struct cost_row *rows, *held;
    size_t n, n_held;
    enum rc rc = db_all(tmp, tx->c, &sql_settled, DB_ARGS(db_text(task_id)), &cost_shape, &rows, &n, err);
    if (!rc)
        rc = db_all(tmp, tx->c, &sql_held, DB_ARGS(db_text(task_id)), &cost_shape, &held, &n_held, err);
    if (rc)
        return rc;
    *ret = (struct trial_cost){.known = n + n_held > 0, .requests = (int64_t)n};
    for (size_t i = 0; i < n; i++)
        cost_add(tx, &rows[i], currency, ret);
    for (size_t i = 0; i < n_held; i++)
        cost_add(tx, &held[i], currency, ret);
    return RC_OK;
}
