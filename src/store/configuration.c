/* Rows of agent configurations. */
#include "store/configuration.h"
#include "store/store_private.h"

enum { NAME_MAX_BYTES = 64, JSON_MAX_BYTES = 64 << 10, LIST_MOST = 1000 };

#define COLUMNS "project, name, version, configuration, created_ns, retired"
static const struct db_column columns[] = {
    DB_COLUMN(agent_configuration, project, DB_TEXT),     DB_COLUMN(agent_configuration, name, DB_TEXT),
    DB_COLUMN(agent_configuration, version, DB_INT64),    DB_COLUMN(agent_configuration, configuration, DB_TEXT),
    DB_COLUMN(agent_configuration, created_ns, DB_INT64), DB_COLUMN(agent_configuration, retired, DB_BOOL),
};
static const struct db_shape shape = DB_SHAPE(agent_configuration, columns);

bool configuration_name_valid(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    return n && n <= NAME_MAX_BYTES && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

static enum rc missing(const char *name, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no agent of the name %.64s",
            configuration_name_valid(name) ? name : "that was given");
    return err_hint(err,
                    "nightmill agent set NAME --base AGENT makes one; nightmill agent ls lists those that there are");
}

static enum rc check(const char *name, struct str json, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json v;
    if (!configuration_name_valid(name))
        return err_set(err, RC_INVALID, "the name of an agent must be of letters, digits, '-', '_' and '.', at most %d",
                       NAME_MAX_BYTES);
    if (json.n > JSON_MAX_BYTES)
        return err_set(err, RC_LIMIT, "the configuration of an agent is larger than %d KiB", JSON_MAX_BYTES >> 10);
    if (json_parse(tmp, json, &v, NULL) != RC_OK || json_type(v) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "the configuration of an agent is a JSON object");
    return RC_OK;
}

/* The newest version, whether it is in force or not. */
static enum rc newest(mem *ctx, struct db_conn *c, const char *project, const char *name,
                      struct agent_configuration *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM agent_configuration WHERE project = $1 AND name = $2"
                " ORDER BY version DESC LIMIT 1");
    return db_one(ctx, c, &sql, DB_ARGS(db_text(project), db_text(name)), &shape, ret, err);
}

enum rc configuration_put(struct store_tx *tx, const char *project, const char *name, struct str json, int64_t now_ns,
                          int64_t *ret_version, bool *ret_new, struct err *err)
{
    DB_SQL(sql, "INSERT INTO agent_configuration (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)");
    CLEANUP_MEM mem *tmp = mem_root();
    struct agent_configuration last = {0};
    enum rc rc = check(name, json, err);
    if (rc)
        return rc;
    rc = newest(tmp, tx->c, project, name, &last, err);
    if (rc && rc != RC_NOT_FOUND)
        return rc;
    *ret_version = last.version;
    *ret_new = rc == RC_NOT_FOUND || last.retired || !str_eqz(json, last.configuration);
    if (!*ret_new)
        return RC_OK;
    struct agent_configuration row = {project, name, ++*ret_version, str_dup(tmp, json), now_ns, false};
    return db_exec(tx->c, &sql, DB_ROW(&shape, &row), NULL, err);
}

enum rc configuration_find(mem *ctx, struct store *s, const char *project, const char *name, int64_t version,
                           struct agent_configuration *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM agent_configuration WHERE project = $1 AND name = $2 AND version = $3");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = version
                     ? db_one(ctx, c, &sql, DB_ARGS(db_text(project), db_text(name), db_int(version)), &shape, ret, err)
                     : newest(ctx, c, project, name, ret, err);
    bool gone = rc == RC_OK && !version && ret->retired;
    return rc == RC_NOT_FOUND || gone ? missing(name, err) : rc;
}

enum rc configuration_list(mem *ctx, struct store *s, const char *project, const char *name,
                           struct agent_configuration **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM agent_configuration WHERE project = $1 AND ($2 IS NULL OR name = $2)"
                " ORDER BY name, version DESC LIMIT $3");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(project), db_text(name), db_int(LIST_MOST)), &shape, ret, ret_n, err);
}

enum rc configuration_retire(struct store_tx *tx, const char *project, const char *name, struct err *err)
{
    DB_SQL(sql, "UPDATE agent_configuration SET retired = 1 WHERE project = $1 AND name = $2 AND retired = 0");
    int64_t changed = 0;
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_text(project), db_text(name)), &changed, err);
    return rc || changed ? rc : missing(name, err);
}
