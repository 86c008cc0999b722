/* Rows of changed settings. */
#include "store/setting.h"
#include "store/store_private.h"

#define COLUMNS "id, name, from_value, to_value, changed_by, at_ns, reverts"
static const struct db_column columns[] = {
    DB_COLUMN(setting_change, id, DB_INT64),       DB_COLUMN(setting_change, name, DB_TEXT),
    DB_COLUMN(setting_change, from, DB_TEXT_NULL), DB_COLUMN(setting_change, to, DB_TEXT_NULL),
    DB_COLUMN(setting_change, by, DB_TEXT),        DB_COLUMN(setting_change, at_ns, DB_INT64),
    DB_COLUMN(setting_change, reverts, DB_INT64),
};
static const struct db_shape shape = DB_SHAPE(setting_change, columns);

static enum rc last_of(mem *ctx, struct store_tx *tx, const char *name, struct setting_change *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM setting_change WHERE name = $1 ORDER BY id DESC LIMIT 1");
    enum rc rc = db_one(ctx, tx->c, &sql, DB_ARGS(db_text(name)), &shape, ret, err);
    if (rc == RC_NOT_FOUND)
        *ret = (struct setting_change){.name = name, .by = ""};
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static bool text_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What pages that show settings follow. */
static enum rc change_tell(mem *ctx, struct store_tx *tx, const struct setting_change *c, bool secret, struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 1 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "name", c->name);
    jo_kz(&o, "value", secret ? NULL : c->to);
    jo_ki(&o, "version", c->id);
    jo_kz(&o, "by", c->by);
    jo_end_obj(&o);
    struct event e = {.time_ns = c->at_ns, .type = "setting.changed", .actor = "user", .data = b.p};
    return event_tell(tx, "settings", &e, err);
}

enum rc setting_change_put(mem *ctx, struct store_tx *tx, struct setting_change *c, int64_t expected, bool secret,
                           struct err *err)
{
    DB_SQL(sql, "INSERT INTO setting_change (name, from_value, to_value, changed_by, at_ns, reverts)"
                " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id");
    struct setting_change last;
    enum rc rc = last_of(ctx, tx, c->name, &last, err);
    if (rc)
        return rc;
    if (expected != SETTING_ANY_VERSION && expected != last.id) {
        *c = last;
        return err_set(err, RC_CONFLICT, "%s was changed meanwhile", last.name);
    }
    c->from = last.to;
    c->id = last.id;
    if (!secret && text_same(last.to, c->to))
        return RC_OK;
    rc = db_one_int(tx->c, &sql,
                    DB_ARGS(db_text(c->name), db_text(c->from), db_text(c->to), db_text(c->by), db_int(c->at_ns),
                            db_int(c->reverts)),
                    &c->id, err);
    return rc ? rc : change_tell(ctx, tx, c, secret, err);
}

enum rc setting_last_changes(mem *ctx, struct store *s, struct setting_change **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM setting_change"
                " WHERE id IN (SELECT MAX(id) FROM setting_change GROUP BY name) ORDER BY name");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &shape, ret, ret_n, err);
}

enum rc setting_history(mem *ctx, struct store *s, const char *name, int64_t before, int64_t limit,
                        struct setting_change **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql_all, "SELECT " COLUMNS " FROM setting_change WHERE id < $1 ORDER BY id DESC LIMIT $2");
    DB_SQL(sql_one, "SELECT " COLUMNS " FROM setting_change WHERE id < $1 AND name = $3 ORDER BY id DESC LIMIT $2");
    DB_READER struct db_conn *c = db_reader(s->db);
    int64_t below = before > 0 ? before : INT64_MAX;
    return name
               ? db_all(ctx, c, &sql_one, DB_ARGS(db_int(below), db_int(limit), db_text(name)), &shape, ret, ret_n, err)
               : db_all(ctx, c, &sql_all, DB_ARGS(db_int(below), db_int(limit)), &shape, ret, ret_n, err);
}

enum rc setting_change_find(mem *ctx, struct store *s, int64_t id, struct setting_change *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM setting_change WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_int(id)), &shape, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    err_set(err, RC_NOT_FOUND, "there is no change %lld of a setting", (long long)id);
    err_hint(err, "nightmill config history lists them");
    return RC_NOT_FOUND;
}
