/* Idempotency keys (draft-ietf-httpapi-idempotency-key-header): what a creation answered, for a day. */
#include "store/store_private.h"

#define HOUR_NS (INT64_C(3600) * 1000000000)

static const struct db_column columns[] = {
    DB_COLUMN(idempotency, who, DB_TEXT),  DB_COLUMN(idempotency, key, DB_TEXT),
    DB_COLUMN(idempotency, hash, DB_TEXT), DB_COLUMN(idempotency, status, DB_INT64),
    DB_COLUMN(idempotency, body, DB_TEXT), DB_COLUMN(idempotency, time_ns, DB_INT64),
};
static const struct db_shape shape = DB_SHAPE(idempotency, columns);

struct taking {
    mem *ctx;
    const struct idempotency *asked;
    struct idempotency *ret;
    bool fresh;
};

static enum rc take(struct store_tx *tx, void *arg, struct err *err)
{
    DB_SQL(sql_forget, "DELETE FROM idempotency WHERE time_ns < $1");
    DB_SQL(sql_find, "SELECT who, key, hash, status, body, time_ns FROM idempotency WHERE who = $1 AND key = $2");
    DB_SQL(sql_take, "INSERT INTO idempotency (who, key, hash, status, body, time_ns) VALUES ($1, $2, $3, 0, '', $4)");
    struct taking *t = arg;
    const struct idempotency *i = t->asked;
    enum rc rc = db_exec(tx->c, &sql_forget, DB_ARGS(db_int(i->time_ns - IDEMPOTENCY_HOURS * HOUR_NS)), NULL, err);
    if (rc)
        return rc;
    rc = db_one(t->ctx, tx->c, &sql_find, DB_ARGS(db_text(i->who), db_text(i->key)), &shape, t->ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    t->fresh = true;
    return db_exec(tx->c, &sql_take, DB_ARGS(db_text(i->who), db_text(i->key), db_text(i->hash), db_int(i->time_ns)),
                   NULL, err);
}

enum rc idempotency_take(mem *ctx, struct store *s, const struct idempotency *i, bool *ret_new, struct idempotency *ret,
                         struct err *err)
{
    struct taking t = {.ctx = ctx, .asked = i, .ret = ret};
    enum rc rc = store_write(s, take, &t, err);
    *ret_new = t.fresh;
    return rc;
}

enum rc idempotency_put(struct store_tx *tx, const struct idempotency *i, struct err *err)
{
    DB_SQL(sql, "UPDATE idempotency SET status = $3, body = $4 WHERE who = $1 AND key = $2");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(i->who), db_text(i->key), db_int(i->status), db_text(i->body)), NULL,
                   err);
}

static enum rc drop(struct store_tx *tx, void *arg, struct err *err)
{
    DB_SQL(sql, "DELETE FROM idempotency WHERE who = $1 AND key = $2 AND status = 0");
    const struct idempotency *i = arg;
    return db_exec(tx->c, &sql, DB_ARGS(db_text(i->who), db_text(i->key)), NULL, err);
}

enum rc idempotency_drop(struct store *s, const struct idempotency *i, struct err *err)
{
    return store_write(s, drop, (void *)(uintptr_t)i, err);
}
