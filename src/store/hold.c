/* Holds: what a model request may cost at most is set aside before it is sent.
 *
 * Admission counts what was settled and every hold whose outcome is not known (open) or will never be known (kept). It
 * runs on the one writer thread, inside the transaction that inserts the hold, so that no two requests see the same
 * room. Sums are taken from the rows themselves: there is no total that could drift. */
#include "store/store_private.h"
#include <inttypes.h>

#define COLUMNS "task_id, key, attempt, iteration, model, price_id, currency, amount, tokens, opened_ns"
static const struct db_column hold_columns[] = {
    DB_COLUMN(hold, task_id, DB_TEXT),    DB_COLUMN(hold, key, DB_TEXT),     DB_COLUMN(hold, attempt, DB_INT64),
    DB_COLUMN(hold, iteration, DB_INT64), DB_COLUMN(hold, model, DB_TEXT),   DB_COLUMN(hold, price_id, DB_INT64),
    DB_COLUMN(hold, currency, DB_TEXT),   DB_COLUMN(hold, amount, DB_INT64), DB_COLUMN(hold, tokens, DB_INT64),
    DB_COLUMN(hold, opened_ns, DB_INT64),
};
static const struct db_shape insert_shape = DB_SHAPE(hold, hold_columns);

/* ---- admission ---- */

/* Under a limit all money of a task must be of one currency: sums of two mean nothing. */
static enum rc currency_check(struct store_tx *tx, const struct hold *h, struct err *err)
{
    DB_SQL(
        sql,
        "SELECT (SELECT count(*) FROM task WHERE id = $1 AND currency <> $2 AND currency <> '')"
        " + (SELECT count(*) FROM hold WHERE task_id = $1 AND currency <> $2 AND amount > 0 AND state IN ('open', 'kept'))"
        " + (SELECT count(*) FROM ledger WHERE task_id = $1 AND currency <> $2 AND cost > 0)");
    int64_t other = 0;
    if (h->amount == 0)
        return RC_OK; /* what is free is so in every currency */
    enum rc rc = db_one_int(tx->c, &sql, DB_ARGS(db_text(h->task_id), db_text(h->currency)), &other, err);
    if (rc || other == 0)
        return rc;
    err_set(err, RC_INVALID,
            "The price of %.100s is in %.3s, but this task's budget or spending is in another currency.", h->model,
            h->currency);
    err_hint(err, "Set a price for the model in the currency of the budget, or run the task without a budget.");
    return RC_INVALID;
}

/* Saturating like money: a sum out of range refuses. */
static int64_t usage_tokens(const struct usage *u)
{
    return money_add(money_add(money_add(u->input, u->cache_read), money_add(u->cache_write, u->cache_write_1h)),
                     u->output);
}

static enum rc money_admit(const struct hold *h, const struct spent *spent, pico limit, struct err *err)
{
    pico used = money_add(spent->settled, spent->held);
    if (money_add(used, h->amount) <= limit)
        return RC_OK;
    CLEANUP_MEM mem *tmp = mem_root();
    const char *cur = h->currency;
    err_set(err, RC_LIMIT, "The budget of %s would be passed: %s is used or held, the next request may cost %s.",
            money_show(tmp, limit, cur), money_show(tmp, used, cur), money_show(tmp, h->amount, cur));
    err_detail(err, "settled %s, held %s (%" PRId64 " of unknown usage), asked %s, limit %s %s",
               money_exact(tmp, spent->settled, 2), money_exact(tmp, spent->held, 2), spent->kept,
               money_exact(tmp, h->amount, 2), money_exact(tmp, limit, 2), cur);
    err_hint(err, "Raise it and go on with: nightmill resume %s --budget %s", h->task_id,
             money_exact(tmp, money_add(used, money_add(h->amount, h->amount)), 2));
    return RC_LIMIT;
}

static enum rc tokens_admit(const struct hold *h, int64_t used, int64_t limit, struct err *err)
{
    if (money_add(used, h->tokens) <= limit)
        return RC_OK;
    err_set(err, RC_LIMIT,
            "The limit of %" PRId64 " tokens would be passed: %" PRId64
            " are used or held, the next request may take %" PRId64 ".",
            limit, used, h->tokens);
    err_hint(err, "Raise it and go on with: nightmill resume %s --tokens %" PRId64, h->task_id,
             money_add(used, money_add(h->tokens, h->tokens)));
    return RC_LIMIT;
}

static enum rc admit(struct store_tx *tx, const struct hold *h, pico limit_money, int64_t limit_tokens, struct err *err)
{
    DB_SQL(sql, "SELECT coalesce(sum(tokens), 0) FROM hold WHERE task_id = $1 AND state IN ('open', 'kept')");
    struct spent spent;
    int64_t held_tokens = 0;
    enum rc rc = limit_money >= 0 ? currency_check(tx, h, err) : RC_OK;
    if (!rc)
        rc = ledger_spent_tx(tx, h->task_id, &spent, err);
    if (!rc && limit_money >= 0)
        rc = money_admit(h, &spent, limit_money, err);
    if (!rc && limit_tokens > 0)
        rc = db_one_int(tx->c, &sql, DB_ARGS(db_text(h->task_id)), &held_tokens, err);
    if (!rc && limit_tokens > 0)
        rc = tokens_admit(h, money_add(usage_tokens(&spent.usage), held_tokens), limit_tokens, err);
    return rc;
}

/* ---- life of a hold ---- */

#define TOKENS_MAX INT64_C(1000000000000) /* of one request: beyond any model, and sums stay in range */

static enum rc hold_check(struct store_tx *tx, const struct hold *h, struct err *err)
{
    enum rc rc = task_need(tx, h->task_id, err);
    if (rc)
        return rc;
    if (!h->key || !h->key[0] || strlen(h->key) > 256 || h->attempt < 0)
        return err_set(err, RC_INVALID, "A hold needs the key of a request (at most 256 bytes) and an attempt.");
    if (h->amount < 0 || h->tokens < 0 || h->tokens > TOKENS_MAX)
        return err_set(err, RC_INVALID, "The bound of a request is out of range.");
    return RC_OK;
}

enum rc hold_open(struct store_tx *tx, struct hold *h, pico limit_money, int64_t limit_tokens, struct err *err)
{
    DB_SQL(sql_attempt, "SELECT coalesce(max(attempt), 0) + 1 FROM hold WHERE task_id = $1 AND key = $2");
    DB_SQL(sql, "INSERT INTO hold (" COLUMNS
                ", state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open') RETURNING id");
    enum rc rc = hold_check(tx, h, err);
    if (!rc)
        rc = admit(tx, h, limit_money, limit_tokens, err);
    if (!rc && h->attempt == 0)
        rc = db_one_int(tx->c, &sql_attempt, DB_ARGS(db_text(h->task_id), db_text(h->key)), &h->attempt, err);
    if (!rc)
        rc = db_one_int(tx->c, &sql, DB_ROW(&insert_shape, h), &h->id, err);
    if (rc == RC_CONFLICT)
        return err_set(err, rc, "Attempt %" PRId64 " of this model request was made already.", h->attempt);
    if (!rc)
        h->state = "open";
    return rc;
}

/* The state of a hold and its task. */
struct hold_now {
    const char *task_id, *state;
};
static const struct db_column now_columns[] = {DB_COLUMN(hold_now, task_id, DB_TEXT),
                                               DB_COLUMN(hold_now, state, DB_TEXT)};
static const struct db_shape now_shape = DB_SHAPE(hold_now, now_columns);

static enum rc hold_now(mem *ctx, struct store_tx *tx, int64_t id, struct hold_now *ret, struct err *err)
{
    DB_SQL(sql, "SELECT task_id, state FROM hold WHERE id = $1");
    enum rc rc = db_one(ctx, tx->c, &sql, DB_ARGS(db_int(id)), &now_shape, ret, err);
    return rc == RC_NOT_FOUND ? err_set(err, rc, "There is no hold %" PRId64 ".", id) : rc;
}

static enum rc state_set(struct store_tx *tx, int64_t id, const char *state, struct err *err)
{
    DB_SQL(sql, "UPDATE hold SET state = $2 WHERE id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_int(id), db_text(state)), NULL, err);
}

static enum rc row_check(const struct ledger_row *row, struct err *err)
{
    const int64_t counts[] = {row->usage.input,          row->usage.cache_read, row->usage.cache_write,
                              row->usage.cache_write_1h, row->usage.output,     row->usage.reasoning};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i] < 0 || counts[i] > TOKENS_MAX)
            return err_set(err, RC_INVALID, "The usage that the model server reported is out of range.");
    return row->cost >= 0 ? RC_OK : err_set(err, RC_INVALID, "A cost is not negative.");
}

enum rc hold_settle(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, bool *ret_new, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct hold_now now = {0};
    *ret_new = false;
    enum rc rc = hold_now(tmp, tx, hold_id, &now, err);
    if (rc || strcmp(now.state, "settled") == 0)
        return rc;
    if (strcmp(now.state, "open") != 0)
        return err_set(err, RC_CONFLICT, "Hold %" PRId64 " is %s and cannot be settled.", hold_id, now.state);
    if (!row->task_id || strcmp(row->task_id, now.task_id) != 0)
        return err_set(err, RC_INVALID, "Hold %" PRId64 " belongs to another task.", hold_id);
    rc = row_check(row, err);
    if (!rc)
        rc = ledger_insert(tx, hold_id, row, err);
    if (!rc)
        rc = state_set(tx, hold_id, "settled", err);
    *ret_new = !rc;
    return rc;
}

enum rc hold_close(struct store_tx *tx, int64_t hold_id, const char *state, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct hold_now now = {0};
    if (strcmp(state, "released") != 0 && strcmp(state, "kept") != 0)
        return err_set(err, RC_INVALID, "A hold is released or kept, not '%.40s'.", state);
    enum rc rc = hold_now(tmp, tx, hold_id, &now, err);
    if (rc || strcmp(now.state, state) == 0)
        return rc;
    if (strcmp(now.state, "open") != 0)
        return err_set(err, RC_CONFLICT, "Hold %" PRId64 " is %s and cannot become %s.", hold_id, now.state, state);
    return state_set(tx, hold_id, state, err);
}

enum rc hold_keep_open_ones(struct store_tx *tx, int64_t *ret_n, struct err *err)
{
    DB_SQL(sql, "UPDATE hold SET state = 'kept' WHERE state = 'open'");
    return db_exec(tx->c, &sql, DB_NONE, ret_n, err);
}
