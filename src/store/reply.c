/* Whole answers of model requests. */
#include "store/store_private.h"

#define BODY_MAX (64 << 20)
#define KEY_MAX  256

static const struct db_column reply_columns[] = {
    DB_COLUMN(reply, status, DB_INT),
    DB_COLUMN(reply, content_type, DB_TEXT_STR),
    DB_COLUMN(reply, body, DB_BYTES),
};
static const struct db_shape reply_shape = DB_SHAPE(reply, reply_columns);

/* The latest answer counts: it is the one that the asker saw. */
enum rc reply_put(struct store_tx *tx, const char *task_id, const char *key, const struct reply *r, struct err *err)
{
    DB_SQL(sql,
           "INSERT INTO reply (task_id, key, status, content_type, body) VALUES ($1, $2, $3, $4, $5)"
           " ON CONFLICT (task_id, key) DO UPDATE SET status = excluded.status, content_type = excluded.content_type,"
           " body = excluded.body");
    enum rc rc = task_need(tx, task_id, err);
    if (rc)
        return rc;
    if (!key || !key[0] || strlen(key) > KEY_MAX)
        return err_set(err, RC_INVALID, "The key of a model request has 1 to %d bytes.", KEY_MAX);
    if (r->body.n > BODY_MAX)
        return err_set(err, RC_LIMIT, "The answer of the model is larger than %d MiB and is not kept.", BODY_MAX >> 20);
    struct db_arg type = {.type = DB_IS_TEXT, .s = r->content_type};
    return db_exec(tx->c, &sql, DB_ARGS(db_text(task_id), db_text(key), db_int(r->status), type, db_bytes(r->body)),
                   NULL, err);
}

enum rc reply_find(mem *ctx, struct store *s, const char *task_id, const char *key, struct reply *ret, struct err *err)
{
    DB_SQL(sql, "SELECT status, content_type, body FROM reply WHERE task_id = $1 AND key = $2");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(task_id), db_text(key)), &reply_shape, ret, err);
    return rc == RC_NOT_FOUND ? err_set(err, rc, "No answer is kept for this model request.") : rc;
}

enum rc reply_drop(struct store_tx *tx, const char *task_id, struct err *err)
{
    DB_SQL(sql, "DELETE FROM reply WHERE task_id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(task_id)), NULL, err);
}
