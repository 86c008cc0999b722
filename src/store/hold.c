/* Holds: what a model request may cost at most is set aside before it is sent.
 *
 * Here are rows only; whether a hold fits its budgets is decided in memory (gateway/budget.h), which counts what was
 * settled and every hold whose outcome is not known (open) or will never be known (kept), and is rebuilt from these
 * rows. */
#include "store/store_private.h"
#include <inttypes.h>

#define COLUMNS                                                                                                        \
    "request_id, attempt, organisation, project, task_id, agent, model, key_id, user_id, provider, dialect,"           \
    " iteration, price_id, currency, amount, tokens, opened_ns"
static const struct db_column hold_columns[] = {
    DB_COLUMN(hold, request, DB_TEXT),
    DB_COLUMN(hold, attempt, DB_INT64),
    DB_COLUMN(hold, spender.organisation, DB_TEXT_NULL),
    DB_COLUMN(hold, spender.project, DB_TEXT_NULL),
    DB_COLUMN(hold, spender.task, DB_TEXT_NULL),
    DB_COLUMN(hold, spender.agent, DB_TEXT_NULL),
    DB_COLUMN(hold, spender.model, DB_TEXT),
    DB_COLUMN(hold, spender.key, DB_TEXT_NULL),
    DB_COLUMN(hold, spender.user, DB_TEXT_NULL),
    DB_COLUMN(hold, provider, DB_TEXT),
    DB_COLUMN(hold, dialect, DB_TEXT),
    DB_COLUMN(hold, iteration, DB_INT64),
    DB_COLUMN(hold, price_id, DB_INT64),
    DB_COLUMN(hold, currency, DB_TEXT),
    DB_COLUMN(hold, amount, DB_INT64),
    DB_COLUMN(hold, tokens, DB_INT64),
    DB_COLUMN(hold, opened_ns, DB_INT64),
    DB_COLUMN(hold, id, DB_INT64),
    DB_COLUMN(hold, state, DB_TEXT),
};
const struct db_shape hold_shape = DB_SHAPE_HEAD(hold, hold_columns, 18);
static const struct db_shape read_shape = DB_SHAPE(hold, hold_columns);

#define TOKENS_MAX INT64_C(1000000000000) /* of one request: beyond any model, and sums stay in range */

const char *hold_request_of_call(mem *ctx, const char *task_id, const char *call)
{
    return mem_printf(ctx, "%s/%s", task_id, call);
}

/* ---- opening ---- */

static enum rc spender_check(const struct spender *s, struct err *err)
{
    for (int i = 0; i < SCOPES; i++) {
        const char *id = spender_id(s, (enum scope)i);
        if (id && strlen(id) > SCOPE_ID_MAX)
            return err_set(err, RC_INVALID, "The name of a %s is at most %d bytes long.", scope_name((enum scope)i),
                           SCOPE_ID_MAX);
    }
    return s->model && s->model[0] ? RC_OK : err_set(err, RC_INVALID, "A hold needs the name of a model.");
}

enum rc hold_check(const struct hold *h, struct err *err)
{
    enum rc rc = spender_check(&h->spender, err);
    if (rc)
        return rc;
    if (!h->request || !h->request[0] || strlen(h->request) > 256 || h->attempt < 0 || h->id < 0)
        return err_set(err, RC_INVALID, "A hold needs the id of a request (at most 256 bytes) and an attempt.");
    if (h->amount < 0 || h->tokens < 0 || h->tokens > TOKENS_MAX)
        return err_set(err, RC_INVALID, "The bound of a request is out of range.");
    return RC_OK;
}

static enum rc rates_insert(struct store_tx *tx, const struct hold *h, struct err *err)
{
    DB_SQL(sql, "INSERT INTO hold_rate (hold_id, from_currency, to_currency, num, den, rate_id)"
                " VALUES ($1, $2, $3, $4, $5, $6)");
    enum rc rc = RC_OK;
    for (size_t i = 0; !rc && i < h->rate_count; i++) {
        const struct frozen_rate *r = &h->rates[i];
        rc = db_exec(tx->c, &sql,
                     DB_ARGS(db_int(h->id), db_text(r->from), db_text(r->to), db_int(r->ratio.num),
                             db_int(r->ratio.den), db_int(r->rate_id)),
                     NULL, err);
    }
    return rc;
}

enum rc hold_insert(struct store_tx *tx, struct hold *h, struct err *err)
{
    DB_SQL(sql_attempt, "SELECT coalesce(max(attempt), 0) + 1 FROM hold WHERE request_id = $1");
    DB_SQL(sql_id, "SELECT coalesce(max(id), 0) + 1 FROM hold");
    DB_SQL(sql, "INSERT INTO hold (" COLUMNS ", id, state)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)");
    enum rc rc = RC_OK;
    if (h->attempt == 0)
        rc = db_one_int(tx->c, &sql_attempt, DB_ARGS(db_text(h->request)), &h->attempt, err);
    if (!rc && h->id == 0)
        rc = db_one_int(tx->c, &sql_id, DB_NONE, &h->id, err);
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ROW(&read_shape, h), NULL, err);
    if (rc == RC_CONFLICT)
        return err_set(err, rc, "Attempt %" PRId64 " of this model request was made already.", h->attempt);
    return rc ? rc : rates_insert(tx, h, err);
}

enum rc hold_open(struct store_tx *tx, struct hold *h, struct err *err)
{
    enum rc rc = h->spender.task ? task_need(tx, h->spender.task, err) : RC_OK;
    h->state = "open";
    if (!rc)
        rc = hold_check(h, err);
    return rc ? rc : hold_insert(tx, h, err);
}

/* ---- reading ---- */

static enum rc hold_missing(int64_t id, struct err *err)
{
    return err_set(err, RC_NOT_FOUND, "There is no hold %" PRId64 ".", id);
}

enum rc hold_find(mem *ctx, struct store *s, int64_t id, struct hold *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id, state FROM hold WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    *ret = (struct hold){0};
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_int(id)), &read_shape, ret, err);
    return rc == RC_NOT_FOUND ? hold_missing(id, err) : rc;
}

enum rc hold_list_kept(mem *ctx, struct store *s, int64_t after, int64_t limit, struct hold **ret, size_t *ret_n,
                       struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id, state FROM hold"
                " WHERE state IN ('open', 'kept') AND state = 'kept' AND id > $1 ORDER BY id LIMIT $2");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_int(after), db_int(limit)), &read_shape, ret, ret_n, err);
}

enum rc hold_last_id(struct store *s, int64_t *ret, struct err *err)
{
    DB_SQL(sql, "SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM hold"
                " UNION ALL SELECT max(hold_id) FROM ledger) last");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_one_int(c, &sql, DB_NONE, ret, err);
}

static const struct db_column ratio_columns[] = {DB_COLUMN(ratio, num, DB_INT64), DB_COLUMN(ratio, den, DB_INT64)};
static const struct db_shape ratio_shape = DB_SHAPE(ratio, ratio_columns);

enum rc hold_rate_find(struct store_tx *tx, int64_t hold_id, const char *from, const char *to, struct ratio *ret,
                       struct err *err)
{
    DB_SQL(sql, "SELECT num, den FROM hold_rate WHERE hold_id = $1 AND from_currency = $2 AND to_currency = $3");
    return db_one(NULL, tx->c, &sql, DB_ARGS(db_int(hold_id), db_text(from), db_text(to)), &ratio_shape, ret, err);
}

/* ---- the end of a hold ---- */

struct hold_now {
    const char *state;
};
static const struct db_column now_columns[] = {DB_COLUMN(hold_now, state, DB_TEXT)};
static const struct db_shape now_shape = DB_SHAPE(hold_now, now_columns);

static enum rc hold_now(mem *ctx, struct store_tx *tx, int64_t id, struct hold_now *ret, struct err *err)
{
    DB_SQL(sql, "SELECT state FROM hold WHERE id = $1");
    enum rc rc = db_one(ctx, tx->c, &sql, DB_ARGS(db_int(id)), &now_shape, ret, err);
    return rc == RC_NOT_FOUND ? hold_missing(id, err) : rc;
}

static enum rc state_set(struct store_tx *tx, int64_t id, const char *state, struct err *err)
{
    DB_SQL(sql, "UPDATE hold SET state = $2 WHERE id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_int(id), db_text(state)), NULL, err);
}

/* Saturating like money: a sum out of range refuses. */
int64_t usage_tokens(const struct usage *u)
{
    return money_add(money_add(money_add(u->input, u->cache_read), money_add(u->cache_write, u->cache_write_1h)),
                     u->output);
}

enum rc ledger_check(const struct ledger_row *row, struct err *err)
{
    const int64_t counts[] = {row->usage.input,          row->usage.cache_read, row->usage.cache_write,
                              row->usage.cache_write_1h, row->usage.output,     row->usage.reasoning};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i] < 0 || counts[i] > TOKENS_MAX)
            return err_set(err, RC_INVALID, "The usage that the model server reported is out of range.");
    return row->cost >= 0 ? RC_OK : err_set(err, RC_INVALID, "A cost is not negative.");
}

static enum rc settle(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, struct err *err)
{
    enum rc rc = ledger_check(row, err);
    if (!rc)
        rc = ledger_insert(tx, hold_id, row, err);
    return rc ? rc : state_set(tx, hold_id, "settled", err);
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
    rc = settle(tx, hold_id, row, err);
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

enum rc hold_reconcile(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct hold_now now = {0};
    enum rc rc = hold_now(tmp, tx, hold_id, &now, err);
    if (!rc && strcmp(now.state, "kept") != 0)
        rc = err_set(err, RC_CONFLICT, "Hold %" PRId64 " is %s: only a kept one is reconciled.", hold_id, now.state);
    if (rc)
        return rc;
    return row ? settle(tx, hold_id, row, err) : state_set(tx, hold_id, "released", err);
}

enum rc hold_keep_open_ones(struct store_tx *tx, int64_t *ret_n, struct err *err)
{
    DB_SQL(sql, "UPDATE hold SET state = 'kept' WHERE state IN ('open', 'kept') AND state = 'open'");
    return db_exec(tx->c, &sql, DB_NONE, ret_n, err);
}

/* As in ledger.c: whole units and the rest apart, so that no sum leaves the range. 1000000000000 is PICO_PER_UNIT. */
struct held_sums {
    const char *currency;
    int64_t units, rest, holds;
};
static const struct db_column held_columns[] = {
    DB_COLUMN(held_sums, currency, DB_TEXT),
    DB_COLUMN(held_sums, units, DB_INT64),
    DB_COLUMN(held_sums, rest, DB_INT64),
    DB_COLUMN(held_sums, holds, DB_INT64),
};
static const struct db_shape held_shape = DB_SHAPE(held_sums, held_columns);

enum rc hold_held(mem *ctx, struct store *s, struct held **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT currency, sum(amount / 1000000000000), sum(amount % 1000000000000), count(*) FROM hold"
                " WHERE state IN ('open', 'kept') GROUP BY currency ORDER BY currency");
    struct held_sums *rows;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_all(ctx, c, &sql, DB_NONE, &held_shape, &rows, ret_n, err);
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct held, *ret_n ? *ret_n : 1);
    for (size_t i = 0; i < *ret_n; i++)
        (*ret)[i] = (struct held){rows[i].currency, money_add(money_mul(PICO_PER_UNIT, rows[i].units), rows[i].rest),
                                  rows[i].holds};
    return RC_OK;
}
