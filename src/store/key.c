/* Rows of user keys. */
#include "store/key.h"
#include "base/id.h"
#include "store/store_private.h"

#define WORDS_MAX  100
#define MODELS_MAX 8192

#define COLUMNS                                                                                                         \
    "id, prefix, hash, name, access, models, project, organisation, user_name, requests_per_minute, tokens_per_minute," \
    " streams, created_ns, expires_ns, last_used_ns, revoked_ns, account"
static const struct db_column columns[] = {
    DB_COLUMN(user_key, id, DB_TEXT),
    DB_COLUMN(user_key, prefix, DB_TEXT),
    DB_COLUMN(user_key, hash, DB_BYTES),
    DB_COLUMN(user_key, name, DB_TEXT),
    DB_COLUMN(user_key, access, DB_TEXT),
    DB_COLUMN(user_key, models, DB_TEXT),
    DB_COLUMN(user_key, project, DB_TEXT),
    DB_COLUMN(user_key, organisation, DB_TEXT),
    DB_COLUMN(user_key, user, DB_TEXT),
    DB_COLUMN(user_key, requests_per_minute, DB_INT64),
    DB_COLUMN(user_key, tokens_per_minute, DB_INT64),
    DB_COLUMN(user_key, streams, DB_INT64),
    DB_COLUMN(user_key, created_ns, DB_INT64),
    DB_COLUMN(user_key, expires_ns, DB_INT64),
    DB_COLUMN(user_key, last_used_ns, DB_INT64),
    DB_COLUMN(user_key, revoked_ns, DB_INT64),
    DB_COLUMN(user_key, account, DB_TEXT),
};
static const struct db_shape shape = DB_SHAPE(user_key, columns);

static bool words_valid(const char *z, size_t least)
{
    size_t n = z ? strlen(z) : 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)z[i] < ' ' || z[i] == 0x7f)
            return false;
    return z && n >= least && n <= WORDS_MAX && str_utf8(str_of(z));
}

static bool globs_valid(const char *text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json list;
    if (!text || strlen(text) > MODELS_MAX || json_parse(tmp, str_of(text), &list, NULL) != RC_OK ||
        json_type(list) != JSON_ARRAY)
        return false;
    for (struct json_iter it = json_iter(list); json_next(&it);)
        if (!words_valid(json_z(tmp, it.value, NULL), 1))
            return false;
    return true;
}

static enum rc user_key_check(const struct user_key *k, struct err *err)
{
    enum rc rc = id_check(k->id, "key", err);
    if (rc)
        return rc;
    if (!id_valid(str_of(k->prefix), 8) || k->hash.n != HASH_SHA256)
        return err_set(err, RC_INVALID, "a key has a prefix of 8 characters and a hash of %d bytes", HASH_SHA256);
    if (!words_valid(k->name, 1))
        return err_set(err, RC_INVALID, "a key's name has 1 to %d bytes and no control characters", WORDS_MAX);
    if (!words_valid(k->project, 0) || !words_valid(k->organisation, 0) || !words_valid(k->user, 0))
        return err_set(err, RC_INVALID,
                       "project, organisation and user have at most %d bytes and no control characters", WORDS_MAX);
    if (!globs_valid(k->models))
        return err_set(err, RC_INVALID, "the models of a key are names or patterns, at most %d bytes in all",
                       MODELS_MAX);
    if (strcmp(k->access, "read") != 0 && strcmp(k->access, "use") != 0 && strcmp(k->access, "admin") != 0)
        return err_set(err, RC_INVALID, "the access of a key is read, use or admin");
    if (k->requests_per_minute < 0 || k->tokens_per_minute < 0 || k->streams < 0)
        return err_set(err, RC_INVALID, "limits of a key are numbers, 0 for none");
    return RC_OK;
}

enum rc user_key_insert(struct store_tx *tx, const struct user_key *k, struct err *err)
{
    DB_SQL(sql, "INSERT INTO user_key (" COLUMNS
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)");
    enum rc rc = user_key_check(k, err);
    return rc ? rc : db_exec(tx->c, &sql, DB_ROW(&shape, k), NULL, err);
}

static enum rc user_key_missing(struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no such key");
    err_hint(err, "nightmill key ls lists them");
    return RC_NOT_FOUND;
}

enum rc user_key_by_prefix(mem *ctx, struct store *s, const char *prefix, struct user_key *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_key WHERE prefix = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(prefix)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? user_key_missing(err) : rc;
}

enum rc user_key_find(mem *ctx, struct store *s, const char *id, struct user_key *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_key WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? user_key_missing(err) : rc;
}

enum rc user_key_list(mem *ctx, struct store *s, const char *project, struct user_key **ret, size_t *ret_n,
                      struct err *err)
{
    DB_SQL(sql_all, "SELECT " COLUMNS " FROM user_key ORDER BY created_ns DESC, id");
    DB_SQL(sql_one, "SELECT " COLUMNS " FROM user_key WHERE project = $1 ORDER BY created_ns DESC, id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return project ? db_all(ctx, c, &sql_one, DB_ARGS(db_text(project)), &shape, ret, ret_n, err)
                   : db_all(ctx, c, &sql_all, DB_NONE, &shape, ret, ret_n, err);
}

enum rc user_key_revoke(struct store_tx *tx, const char *id, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE user_key SET revoked_ns = CASE WHEN revoked_ns = 0 THEN $2 ELSE revoked_ns END WHERE id = $1");
    int64_t changed = 0;
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_int(now_ns)), &changed, err);
    return rc || changed ? rc : user_key_missing(err);
}

enum rc user_key_revoke_of(struct store_tx *tx, const char *account, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE user_key SET revoked_ns = $2 WHERE account = $1 AND account <> '' AND revoked_ns = 0");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(account), db_int(now_ns)), NULL, err);
}

enum rc user_key_used(struct store_tx *tx, const char *id, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE user_key SET last_used_ns = $2 WHERE id = $1 AND last_used_ns < $2");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_int(now_ns)), NULL, err);
}
