/* Rows of users and their roles. */
#include "store/user.h"
#include "base/id.h"
#include "store/store_private.h"

#define SUBJECT_MAX 1000
#define PROJECT_MAX 4096

static const char *const roles[] = {"viewer", "member", "admin", "owner"};

#define COLUMNS "id, name, kind, role, password, subject, created_ns, changed_ns, seen_ns, disabled_ns"
static const struct db_column columns[] = {
    DB_COLUMN(user, id, DB_TEXT),          DB_COLUMN(user, name, DB_TEXT),        DB_COLUMN(user, kind, DB_TEXT),
    DB_COLUMN(user, role, DB_TEXT),        DB_COLUMN(user, password, DB_TEXT),    DB_COLUMN(user, subject, DB_TEXT),
    DB_COLUMN(user, created_ns, DB_INT64), DB_COLUMN(user, changed_ns, DB_INT64), DB_COLUMN(user, seen_ns, DB_INT64),
    DB_COLUMN(user, disabled_ns, DB_INT64)};
static const struct db_shape shape = DB_SHAPE(user, columns);

static const struct db_column role_columns[] = {DB_COLUMN(user_role, user_id, DB_TEXT),
                                                DB_COLUMN(user_role, project, DB_TEXT),
                                                DB_COLUMN(user_role, role, DB_TEXT)};
static const struct db_shape role_shape = DB_SHAPE(user_role, role_columns);

bool user_name_valid(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    return n && n <= USER_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-@") == n &&
           strchr("._-@", name[0]) == NULL;
}

bool user_role_valid(const char *role)
{
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0)
            return true;
    return false;
}

static bool text_valid(const char *z, size_t most)
{
    size_t n = z ? strlen(z) : 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)z[i] < ' ' || z[i] == 0x7f)
            return false;
    return z && n <= most && str_utf8(str_of(z));
}

static enum rc user_check(const struct user *u, struct err *err)
{
    enum rc rc = id_check(u->id, "user", err);
    if (rc)
        return rc;
    if (!user_name_valid(u->name))
        return err_set(
            err, RC_INVALID,
            "a user's name has 1 to %d characters of a-z, 0-9 and . _ - @, and begins with a letter or digit",
            USER_NAME_MAX);
    if (*u->role && !user_role_valid(u->role))
        return err_set(err, RC_INVALID, "a role is owner, admin, member or viewer");
    if (!text_valid(u->subject, SUBJECT_MAX))
        return err_set(err, RC_INVALID, "the subject of a certificate has at most %d bytes", SUBJECT_MAX);
    return RC_OK;
}

static enum rc user_missing(struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no such user");
    err_hint(err, "nightmill user ls lists them");
    return RC_NOT_FOUND;
}

static enum rc user_taken(enum rc rc, const struct user *u, struct err *err)
{
    if (rc != RC_CONFLICT)
        return rc;
    err_set(err, RC_CONFLICT, "the name %s, or its certificate, is another user's", u->name);
    return err_hint(err, "nightmill user ls lists them");
}

enum rc user_insert(struct store_tx *tx, const struct user *u, struct err *err)
{
    DB_SQL(sql, "INSERT INTO user_account (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    enum rc rc = user_check(u, err);
    return rc ? rc : user_taken(db_exec(tx->c, &sql, DB_ROW(&shape, u), NULL, err), u, err);
}

enum rc user_update(struct store_tx *tx, const struct user *u, struct err *err)
{
    DB_SQL(sql, "UPDATE user_account SET name = $2, role = $3, password = $4, subject = $5, changed_ns = $6,"
                " seen_ns = $7, disabled_ns = $8 WHERE id = $1");
    int64_t changed = 0;
    enum rc rc = user_check(u, err);
    if (!rc)
        rc = user_taken(
            db_exec(tx->c, &sql,
                    DB_ARGS(db_text(u->id), db_text(u->name), db_text(u->role), db_text(u->password),
                            db_text(u->subject), db_int(u->changed_ns), db_int(u->seen_ns), db_int(u->disabled_ns)),
                    &changed, err),
            u, err);
    return rc || changed ? rc : user_missing(err);
}

enum rc user_remove(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql_roles, "DELETE FROM user_role WHERE user_id = $1");
    DB_SQL(sql_tickets, "DELETE FROM ticket WHERE user_id = $1");
    DB_SQL(sql_user, "DELETE FROM user_account WHERE id = $1");
    int64_t changed = 0;
    enum rc rc = session_remove_of(tx, id, "", err);
    if (!rc)
        rc = db_exec(tx->c, &sql_roles, DB_ARGS(db_text(id)), NULL, err);
    if (!rc)
        rc = db_exec(tx->c, &sql_tickets, DB_ARGS(db_text(id)), NULL, err);
    if (!rc)
        rc = db_exec(tx->c, &sql_user, DB_ARGS(db_text(id)), &changed, err);
    return rc || changed ? rc : user_missing(err);
}

enum rc user_find(mem *ctx, struct store *s, const char *id, struct user *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_account WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? user_missing(err) : rc;
}

enum rc user_find_tx(mem *ctx, struct store_tx *tx, const char *id, struct user *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_account WHERE id = $1");
    enum rc rc = db_one(ctx, tx->c, &sql, DB_ARGS(db_text(id)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? user_missing(err) : rc;
}

enum rc user_by_name(mem *ctx, struct store *s, const char *name, struct user *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_account WHERE name = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(name)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? user_missing(err) : rc;
}

enum rc user_by_subject(mem *ctx, struct store *s, const char *subject, struct user *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_account WHERE subject = $1 AND subject <> ''");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(subject)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? user_missing(err) : rc;
}

enum rc user_list(mem *ctx, struct store *s, struct user **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM user_account ORDER BY name");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &shape, ret, ret_n, err);
}

#define SQL_OWNERS "SELECT count(*) FROM user_account WHERE role = 'owner' AND disabled_ns = 0 AND id <> $1"
enum rc user_owners(struct store *s, const char *but, int64_t *ret, struct err *err)
{
    DB_SQL(sql, SQL_OWNERS);
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_one_int(c, &sql, DB_ARGS(db_text(but ? but : "")), ret, err);
}

enum rc user_owners_tx(struct store_tx *tx, const char *but, int64_t *ret, struct err *err)
{
    DB_SQL(sql, SQL_OWNERS);
    return db_one_int(tx->c, &sql, DB_ARGS(db_text(but ? but : "")), ret, err);
}

enum rc user_seen(struct store_tx *tx, const char *id, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE user_account SET seen_ns = $2 WHERE id = $1 AND seen_ns < $2");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_int(now_ns)), NULL, err);
}

enum rc user_role_put(struct store_tx *tx, const struct user_role *r, struct err *err)
{
    DB_SQL(sql_put, "INSERT INTO user_role (user_id, project, role) VALUES ($1, $2, $3)"
                    " ON CONFLICT (user_id, project) DO UPDATE SET role = excluded.role");
    DB_SQL(sql_remove, "DELETE FROM user_role WHERE user_id = $1 AND project = $2");
    if (!r->project[0] || !text_valid(r->project, PROJECT_MAX))
        return err_set(err, RC_INVALID, "a project is the top folder of a repository, or the name that keys have");
    if (!*r->role)
        return db_exec(tx->c, &sql_remove, DB_ARGS(db_text(r->user_id), db_text(r->project)), NULL, err);
    if (!user_role_valid(r->role) || strcmp(r->role, "owner") == 0)
        return err_set(err, RC_INVALID, "a role in a project is admin, member or viewer");
    return db_exec(tx->c, &sql_put, DB_ROW(&role_shape, r), NULL, err);
}

enum rc user_role_list(mem *ctx, struct store *s, const char *user_id, struct user_role **ret, size_t *ret_n,
                       struct err *err)
{
    DB_SQL(sql_one, "SELECT user_id, project, role FROM user_role WHERE user_id = $1 ORDER BY project");
    DB_SQL(sql_all, "SELECT user_id, project, role FROM user_role ORDER BY user_id, project");
    DB_READER struct db_conn *c = db_reader(s->db);
    return user_id ? db_all(ctx, c, &sql_one, DB_ARGS(db_text(user_id)), &role_shape, ret, ret_n, err)
                   : db_all(ctx, c, &sql_all, DB_NONE, &role_shape, ret, ret_n, err);
}
