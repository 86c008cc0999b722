/* Rows of the audit log. There is no statement that changes or removes one. */
#include "store/audit.h"
#include "store/store_private.h"

#define COLUMNS                                                                                                        \
    "number, time_ns, actor, actor_kind, credential, address, action, object, text_before, text_after, outcome, hash," \
    " mac"
static const struct db_column columns[] = {
    DB_COLUMN(audit_row, number, DB_INT64),    DB_COLUMN(audit_row, time_ns, DB_INT64),
    DB_COLUMN(audit_row, actor, DB_TEXT),      DB_COLUMN(audit_row, actor_kind, DB_TEXT),
    DB_COLUMN(audit_row, credential, DB_TEXT), DB_COLUMN(audit_row, address, DB_TEXT),
    DB_COLUMN(audit_row, action, DB_TEXT),     DB_COLUMN(audit_row, object, DB_TEXT),
    DB_COLUMN(audit_row, before, DB_TEXT),     DB_COLUMN(audit_row, after, DB_TEXT),
    DB_COLUMN(audit_row, outcome, DB_TEXT),    DB_COLUMN(audit_row, hash, DB_BYTES),
    DB_COLUMN(audit_row, mac, DB_BYTES)};
static const struct db_shape shape = DB_SHAPE(audit_row, columns);

struct last_row {
    int64_t number;
    struct str hash;
};
static const struct db_column last_columns[] = {DB_COLUMN(last_row, number, DB_INT64),
                                                DB_COLUMN(last_row, hash, DB_BYTES)};
static const struct db_shape last_shape = DB_SHAPE(last_row, last_columns);

enum rc audit_insert(struct store_tx *tx, const struct audit_row *r, struct err *err)
{
    DB_SQL(sql, "INSERT INTO audit (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
    return db_exec(tx->c, &sql, DB_ROW(&shape, r), NULL, err);
}

static enum rc last(mem *ctx, struct db_conn *c, int64_t *ret_number, struct str *ret_hash, struct err *err)
{
    DB_SQL(sql, "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1");
    struct last_row row = {0};
    enum rc rc = db_one(ctx, c, &sql, DB_NONE, &last_shape, &row, err);
    *ret_number = row.number;
    *ret_hash = row.hash;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc audit_last_tx(mem *ctx, struct store_tx *tx, int64_t *ret_number, struct str *ret_hash, struct err *err)
{
    return last(ctx, tx->c, ret_number, ret_hash, err);
}

enum rc audit_last(mem *ctx, struct store *s, int64_t *ret_number, struct str *ret_hash, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(s->db);
    return last(ctx, c, ret_number, ret_hash, err);
}

enum rc audit_after(mem *ctx, struct store *s, int64_t after, int64_t limit, struct audit_row **ret, size_t *ret_n,
                    struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM audit WHERE number > $1 ORDER BY number LIMIT $2");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_int(after), db_int(limit)), &shape, ret, ret_n, err);
}

enum rc audit_list(mem *ctx, struct store *s, const struct audit_filter *f, struct audit_row **ret, size_t *ret_n,
                   struct err *err)
{
#define REST                                                                                                           \
    " AND ($3 = '' OR actor = $3) AND ($4 = '' OR action = $4) AND ($5 = '' OR object = $5)"                           \
    " AND ($6 = '' OR outcome = $6) AND time_ns >= $7 AND time_ns < $8 ORDER BY number DESC LIMIT $2"
    DB_SQL(any, "SELECT " COLUMNS " FROM audit WHERE number < $1" REST);
    DB_SQL(of_actor, "SELECT " COLUMNS " FROM audit WHERE number < $1 AND actor = $3" REST);
    DB_SQL(of_action, "SELECT " COLUMNS " FROM audit WHERE number < $1 AND action = $4" REST);
    DB_SQL(of_object, "SELECT " COLUMNS " FROM audit WHERE number < $1 AND object = $5 AND object <> ''" REST);
#undef REST
    const char *const *sql = f->object ? &of_object : f->actor ? &of_actor : f->action ? &of_action : &any;
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, sql,
                  DB_ARGS(db_int(f->before > 0 ? f->before : INT64_MAX), db_int(f->limit),
                          db_text(f->actor ? f->actor : ""), db_text(f->action ? f->action : ""),
                          db_text(f->object ? f->object : ""), db_text(f->outcome ? f->outcome : ""),
                          db_int(f->from_ns), db_int(f->to_ns ? f->to_ns : INT64_MAX)),
                  &shape, ret, ret_n, err);
}
