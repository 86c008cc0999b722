/* Rows of logins: sessions, refresh tokens, tickets, keys that sign. */
#include "store/store_private.h"
#include "store/user.h"

#define COLUMNS "id, hash, user_id, kind, key_id, address, agent, created_ns, seen_ns, expires_ns"
static const struct db_column columns[] = {
    DB_COLUMN(session, id, DB_TEXT),       DB_COLUMN(session, hash, DB_BYTES),
    DB_COLUMN(session, user_id, DB_TEXT),  DB_COLUMN(session, kind, DB_TEXT),
    DB_COLUMN(session, key_id, DB_TEXT),   DB_COLUMN(session, address, DB_TEXT),
    DB_COLUMN(session, agent, DB_TEXT),    DB_COLUMN(session, created_ns, DB_INT64),
    DB_COLUMN(session, seen_ns, DB_INT64), DB_COLUMN(session, expires_ns, DB_INT64)};
static const struct db_shape shape = DB_SHAPE(session, columns);

static const struct db_column refresh_columns[] = {
    DB_COLUMN(refresh_row, hash, DB_BYTES), DB_COLUMN(refresh_row, session_id, DB_TEXT),
    DB_COLUMN(refresh_row, created_ns, DB_INT64), DB_COLUMN(refresh_row, used_ns, DB_INT64),
    DB_COLUMN(refresh_row, expires_ns, DB_INT64)};
static const struct db_shape refresh_shape = DB_SHAPE(refresh_row, refresh_columns);

static const struct db_column ticket_columns[] = {
    DB_COLUMN(ticket, hash, DB_BYTES), DB_COLUMN(ticket, kind, DB_TEXT), DB_COLUMN(ticket, user_id, DB_TEXT),
    DB_COLUMN(ticket, created_ns, DB_INT64), DB_COLUMN(ticket, expires_ns, DB_INT64)};
static const struct db_shape ticket_shape = DB_SHAPE(ticket, ticket_columns);

static const struct db_column key_columns[] = {
    DB_COLUMN(signing_key, id, DB_TEXT), DB_COLUMN(signing_key, public_key, DB_BYTES),
    DB_COLUMN(signing_key, box, DB_BYTES), DB_COLUMN(signing_key, created_ns, DB_INT64)};
static const struct db_shape key_shape = DB_SHAPE(signing_key, key_columns);

static struct db_arg hash_arg(const uint8_t hash[HASH_SHA256])
{
    return db_bytes(str_n((const char *)hash, HASH_SHA256));
}

static enum rc session_missing(struct err *err)
{
    return err_set(err, RC_NOT_FOUND, "there is no such session");
}

enum rc session_insert(struct store_tx *tx, const struct session *n, struct err *err)
{
    DB_SQL(sql, "INSERT INTO session (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    return db_exec(tx->c, &sql, DB_ROW(&shape, n), NULL, err);
}

enum rc session_by_hash(mem *ctx, struct store *s, const uint8_t hash[HASH_SHA256], struct session *ret,
                        struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM session WHERE hash = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(hash_arg(hash)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? session_missing(err) : rc;
}

enum rc session_find(mem *ctx, struct store *s, const char *id, struct session *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM session WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? session_missing(err) : rc;
}

enum rc session_list(mem *ctx, struct store *s, const char *user_id, struct session **ret, size_t *ret_n,
                     struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM session WHERE user_id = $1 ORDER BY created_ns DESC, id LIMIT 1000");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(user_id)), &shape, ret, ret_n, err);
}

enum rc session_seen(struct store_tx *tx, const char *id, int64_t now_ns, int64_t expires_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE session SET seen_ns = $2, expires_ns = $3 WHERE id = $1 AND seen_ns < $2");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_int(now_ns), db_int(expires_ns)), NULL, err);
}

enum rc session_remove(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql_tokens, "DELETE FROM refresh_token WHERE session_id = $1");
    DB_SQL(sql, "DELETE FROM session WHERE id = $1");
    enum rc rc = db_exec(tx->c, &sql_tokens, DB_ARGS(db_text(id)), NULL, err);
    return rc ? rc : db_exec(tx->c, &sql, DB_ARGS(db_text(id)), NULL, err);
}

enum rc session_remove_of(struct store_tx *tx, const char *user_id, const char *but, struct err *err)
{
    DB_SQL(sql_tokens, "DELETE FROM refresh_token WHERE session_id IN"
                       " (SELECT id FROM session WHERE user_id = $1 AND id <> $2)");
    DB_SQL(sql, "DELETE FROM session WHERE user_id = $1 AND id <> $2");
    enum rc rc = db_exec(tx->c, &sql_tokens, DB_ARGS(db_text(user_id), db_text(but)), NULL, err);
    return rc ? rc : db_exec(tx->c, &sql, DB_ARGS(db_text(user_id), db_text(but)), NULL, err);
}

enum rc session_expire(struct store_tx *tx, int64_t now_ns, struct err *err)
{
    DB_SQL(sql_tokens, "DELETE FROM refresh_token WHERE expires_ns <= $1 OR session_id IN"
                       " (SELECT id FROM session WHERE expires_ns <= $1)");
    DB_SQL(sql_sessions, "DELETE FROM session WHERE expires_ns <= $1");
    DB_SQL(sql_tickets, "DELETE FROM ticket WHERE expires_ns <= $1");
    enum rc rc = db_exec(tx->c, &sql_tokens, DB_ARGS(db_int(now_ns)), NULL, err);
    if (!rc)
        rc = db_exec(tx->c, &sql_sessions, DB_ARGS(db_int(now_ns)), NULL, err);
    return rc ? rc : db_exec(tx->c, &sql_tickets, DB_ARGS(db_int(now_ns)), NULL, err);
}

enum rc refresh_insert(struct store_tx *tx, const struct refresh_row *r, struct err *err)
{
    DB_SQL(sql, "INSERT INTO refresh_token (hash, session_id, created_ns, used_ns, expires_ns)"
                " VALUES ($1, $2, $3, $4, $5)");
    return db_exec(tx->c, &sql, DB_ROW(&refresh_shape, r), NULL, err);
}

enum rc refresh_find_tx(mem *ctx, struct store_tx *tx, const uint8_t hash[HASH_SHA256], struct refresh_row *ret,
                        struct err *err)
{
    DB_SQL(sql, "SELECT hash, session_id, created_ns, used_ns, expires_ns FROM refresh_token WHERE hash = $1");
    return db_one(ctx, tx->c, &sql, DB_ARGS(hash_arg(hash)), &refresh_shape, ret, err);
}

enum rc refresh_used(struct store_tx *tx, const uint8_t hash[HASH_SHA256], int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE refresh_token SET used_ns = $2 WHERE hash = $1 AND used_ns = 0");
    return db_exec(tx->c, &sql, DB_ARGS(hash_arg(hash), db_int(now_ns)), NULL, err);
}

enum rc ticket_insert(struct store_tx *tx, const struct ticket *t, struct err *err)
{
    DB_SQL(sql_former, "DELETE FROM ticket WHERE kind = $1 AND user_id = $2");
    DB_SQL(sql, "INSERT INTO ticket (hash, kind, user_id, created_ns, expires_ns) VALUES ($1, $2, $3, $4, $5)");
    enum rc rc = db_exec(tx->c, &sql_former, DB_ARGS(db_text(t->kind), db_text(t->user_id)), NULL, err);
    return rc ? rc : db_exec(tx->c, &sql, DB_ROW(&ticket_shape, t), NULL, err);
}

enum rc ticket_take(mem *ctx, struct store_tx *tx, const uint8_t hash[HASH_SHA256], struct ticket *ret, struct err *err)
{
    DB_SQL(sql, "DELETE FROM ticket WHERE hash = $1 RETURNING hash, kind, user_id, created_ns, expires_ns");
    return db_one(ctx, tx->c, &sql, DB_ARGS(hash_arg(hash)), &ticket_shape, ret, err);
}

enum rc ticket_find(mem *ctx, struct store *s, const uint8_t hash[HASH_SHA256], struct ticket *ret, struct err *err)
{
    DB_SQL(sql, "SELECT hash, kind, user_id, created_ns, expires_ns FROM ticket WHERE hash = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_one(ctx, c, &sql, DB_ARGS(hash_arg(hash)), &ticket_shape, ret, err);
}

enum rc signing_key_insert(struct store_tx *tx, const struct signing_key *k, struct err *err)
{
    DB_SQL(sql, "INSERT INTO signing_key (id, public_key, box, created_ns) VALUES ($1, $2, $3, $4)");
    return db_exec(tx->c, &sql, DB_ROW(&key_shape, k), NULL, err);
}

enum rc signing_key_list(mem *ctx, struct store *s, struct signing_key **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT id, public_key, box, created_ns FROM signing_key ORDER BY created_ns DESC, id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &key_shape, ret, ret_n, err);
}

enum rc signing_key_remove(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql, "DELETE FROM signing_key WHERE id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id)), NULL, err);
}
