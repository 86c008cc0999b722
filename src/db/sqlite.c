/* The SQLite driver: connections, statements, errors in words, care for the write-ahead log.
 *
 * WAL with synchronous=FULL: a commit is on the disk when it returns. Automatic checkpoints are off, since they would
 * run inside a commit; the upkeep link does them. Connections are opened without SQLite's own mutexes: each is used by
 * one thread at a time. Owning and judging the file is in sqlite_file.c. */
#include "base/log.h"
#include "db/sqlite_private.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define BUSY_MS     5000
#define WAL_PASSIVE (1 << 20)   /* bytes of log worth a checkpoint while commits go on */
#define WAL_LARGE   (64 << 20)  /* bytes of log that are worth holding the writer up for */
#define VALUE_MAX   (256 << 20) /* bytes of one text or row */

struct statement {
    sqlite3_stmt *s;
    int n;                      /* parameters */
    uint8_t place[DB_ARGS_MAX]; /* SQLite numbers "$2" by first appearance: place of parameter i + 1 */
};

/* ---- errors ---- */

static enum rc damaged(const struct db_engine *e, const char *seen, struct err *err)
{
    err_set(err, RC_IO, "The database %s is damaged.", e->path);
    err_detail(err, "%s", seen);
    err_hint(
        err,
        "Nothing was changed or deleted. Stop Nightmill, copy %s* to a safe place, then put back a backup, or save "
        "what can be read: sqlite3 %s .recover | sqlite3 recovered.db",
        e->path, e->path);
    return RC_IO;
}

static enum rc disk_full(const struct db_engine *e, const char *seen, struct err *err)
{
    err_set(err, RC_LIMIT, "There is no room left to write the database %s.", e->path);
    err_detail(err, "%s", seen);
    err_hint(err, "Free some space in %s and try again; what was acknowledged is safe.", e->dir);
    return RC_LIMIT;
}

static enum rc read_only(const struct db_engine *e, const char *seen, struct err *err)
{
    err_set(err, RC_DENIED, "The database %s cannot be written.", e->path);
    err_detail(err, "%s", seen);
    err_hint(err, "Make the folder %s and the files in it writable for this user, or choose another data folder.",
             e->dir);
    return RC_DENIED;
}

static enum rc held(const struct db_engine *e, const char *seen, struct err *err)
{
    err_set(err, RC_UNAVAILABLE, "Another program holds the database %s.", e->path);
    err_detail(err, "%s", seen);
    err_hint(err, "End the program that has the file open (fuser %s), then try again.", e->path);
    return RC_UNAVAILABLE;
}

static enum rc device(const struct db_engine *e, sqlite3 *h, const char *seen, struct err *err)
{
    int system = h ? sqlite3_system_errno(h) : 0;
    if (system == 0)
        system = errno; /* not recorded when a commit fails; calls that may fail so begin with errno = 0 */
    if (system == ENOSPC || system == EDQUOT || system == EFBIG)
        return disk_full(e, seen, err);
    if (system == EROFS || system == EACCES || system == EPERM)
        return read_only(e, seen, err);
    err_set(err, RC_IO, "The database %s could not be read or written.", e->path);
    err_detail(err, "%s", seen);
    err_hint(err, "Look for disk errors (dmesg) and make a copy of %s before anything else.", e->dir);
    return RC_IO;
}

enum rc sqlite_failed(const struct db_engine *e, sqlite3 *h, int code, const char *doing, struct err *err)
{
    char seen[512];
    snprintf(seen, sizeof seen, "%s [SQLite %d] at: %.200s", h ? sqlite3_errmsg(h) : sqlite3_errstr(code), code, doing);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        bug_at(__FILE__, __LINE__, "out of memory in SQLite");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return damaged(e, seen, err);
    case SQLITE_FULL:
        return disk_full(e, seen, err);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        return read_only(e, seen, err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return held(e, seen, err);
    case SQLITE_IOERR:
        return device(e, h, seen, err);
    case SQLITE_TOOBIG:
        err_set(err, RC_LIMIT, "A value is too large for the database.");
        err_detail(err, "%s", seen);
        return RC_LIMIT;
    case SQLITE_CONSTRAINT: {
        bool taken =
            code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID;
        err_set(err, taken ? RC_CONFLICT : RC_INVALID,
                taken ? "There is such a row already." : "A value is not allowed.");
        err_detail(err, "%s", seen);
        return taken ? RC_CONFLICT : RC_INVALID;
    }
    default:
        err_set(err, RC_BUG, "The database refused a statement.");
        err_detail(err, "%s", seen);
        return RC_BUG;
    }
}

/* ---- connections ---- */

enum rc sqlite_exec(const struct db_engine *e, sqlite3 *h, const char *text, struct err *err)
{
    errno = 0;
    int code = sqlite3_exec(h, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : sqlite_failed(e, h, sqlite3_extended_errcode(h), text, err);
}

enum rc sqlite_number(const struct db_engine *e, sqlite3 *h, const char *text, int64_t *ret, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(h, text, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    *ret = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    enum rc rc = code == SQLITE_ROW || code == SQLITE_DONE ? RC_OK : sqlite_failed(e, h, code, text, err);
    sqlite3_finalize(s);
    return rc;
}

/* The texts that make a connection what its role needs. */
#define SETUP_ALL "PRAGMA wal_autocheckpoint=0; PRAGMA trusted_schema=OFF; "
static const char *const role_setup[] = {
    [DB_ROLE_WRITER] = (SETUP_ALL "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-2048; "
                                  "PRAGMA journal_size_limit=0; PRAGMA temp_store=MEMORY"),
    [DB_ROLE_READER] = (SETUP_ALL "PRAGMA query_only=ON; PRAGMA cache_size=-1024"),
    [DB_ROLE_UPKEEP] = (SETUP_ALL "PRAGMA synchronous=FULL; PRAGMA cache_size=-64"),
};

enum rc sqlite_handle(const struct db_engine *e, enum db_role role, sqlite3 **ret, struct err *err)
{
    sqlite3 *h = NULL;
    int code =
        sqlite3_open_v2(e->path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (code != SQLITE_OK) {
        enum rc rc = sqlite_failed(e, h, code, "open", err);
        sqlite3_close(h);
        return rc;
    }
    sqlite3_extended_result_codes(h, 1);
    sqlite3_busy_timeout(h, BUSY_MS);
    sqlite3_limit(h, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_db_config(h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(h, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(h, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "x" is a name, never a text, as elsewhere */
    enum rc rc = sqlite_exec(e, h, role_setup[role], err);
    if (!rc && e->max_pages > 0 && role == DB_ROLE_WRITER) {
        char text[64];
        snprintf(text, sizeof text, "PRAGMA max_page_count=%lld", (long long)e->max_pages);
        rc = sqlite_exec(e, h, text, err);
    }
    if (rc) {
        sqlite3_close(h);
        return rc;
    }
    *ret = h;
    return RC_OK;
}

static size_t slot_count(void)
{
    return (size_t)(__stop_db_sql - __start_db_sql);
}

static enum rc sqlite_connect(mem *ctx, struct db_engine *e, enum db_role role, struct db_link **ret, struct err *err)
{
    sqlite3 *h = NULL;
    enum rc rc = sqlite_handle(e, role, &h, err);
    if (rc)
        return rc;
    struct db_link *l = mem_new(ctx, struct db_link);
    *l = (struct db_link){.h = h, .engine = e, .cache = mem_array(l, struct statement, slot_count())};
    *ret = l;
    return RC_OK;
}

static void sqlite_disconnect(struct db_link *l)
{
    for (size_t i = 0; i < slot_count(); i++)
        sqlite3_finalize(l->cache[i].s);
    int code = sqlite3_close(l->h);
    BUG_ON(code != SQLITE_OK); /* a statement was left */
}

static enum rc sqlite_script(struct db_link *l, const char *text, struct err *err)
{
    return sqlite_exec(l->engine, l->h, text, err);
}

/* ---- statements ---- */

/* Parameters must be $1..$n, each used. */
static enum rc places_find(struct statement *st, const char *sql, struct err *err)
{
    st->n = sqlite3_bind_parameter_count(st->s);
    for (int i = 0; i < st->n && st->n <= DB_ARGS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "$%d", i + 1);
        int place = sqlite3_bind_parameter_index(st->s, name);
        if (place == 0)
            return err_set(err, RC_BUG, "A statement does not use its parameters $1 to $%d: %.200s", st->n, sql);
        st->place[i] = (uint8_t)place;
    }
    return st->n <= DB_ARGS_MAX ? RC_OK : err_set(err, RC_BUG, "A statement has too many parameters: %.200s", sql);
}

static enum rc statement_get(struct db_link *l, const char *const *sql, struct statement **ret, struct err *err)
{
    BUG_ON(sql < __start_db_sql || sql >= __stop_db_sql);
    struct statement *st = &l->cache[sql - __start_db_sql];
    *ret = st;
    if (st->s)
        return RC_OK;
    const char *rest = "";
    int code = sqlite3_prepare_v3(l->h, *sql, -1, SQLITE_PREPARE_PERSISTENT, &st->s, &rest);
    if (code != SQLITE_OK)
        return sqlite_failed(l->engine, l->h, code, *sql, err);
    enum rc rc =
        *rest ? err_set(err, RC_BUG, "More than one statement in one text: %.200s", *sql) : places_find(st, *sql, err);
    if (rc) {
        sqlite3_finalize(st->s);
        st->s = NULL;
    }
    return rc;
}

static enum rc sqlite_prepare(struct db_link *l, const char *const *sql, struct err *err)
{
    struct statement *st;
    return statement_get(l, sql, &st, err);
}

static int value_bind(sqlite3_stmt *s, int place, struct db_arg v)
{
    switch (v.type) {
    case DB_IS_NULL:
        return sqlite3_bind_null(s, place);
    case DB_IS_INT:
        return sqlite3_bind_int64(s, place, v.i);
    case DB_IS_TEXT:
        return sqlite3_bind_text64(s, place, v.s.p ? v.s.p : "", v.s.n, SQLITE_STATIC, SQLITE_UTF8);
    case DB_IS_BYTES:
        return sqlite3_bind_blob64(s, place, v.s.p ? v.s.p : "", v.s.n, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static int64_t sqlite_end(struct db_link *l)
{
    BUG_ON(!l->running);
    int64_t changed = sqlite3_changes64(l->h);
    sqlite3_reset(l->running->s); /* repeats the error of the step, which was reported */
    sqlite3_clear_bindings(l->running->s);
    l->running = NULL;
    return changed;
}

static enum rc sqlite_start(struct db_link *l, const char *const *sql, const struct db_arg *args, size_t n,
                            struct err *err)
{
    BUG_ON(l->running != NULL);
    struct statement *st;
    enum rc rc = statement_get(l, sql, &st, err);
    if (rc)
        return rc;
    BUG_ON(n != (size_t)st->n);
    l->running = st;
    for (size_t i = 0; i < n; i++) {
        int code = value_bind(st->s, st->place[i], args[i]);
        if (code != SQLITE_OK) {
            rc = sqlite_failed(l->engine, l->h, code, *sql, err);
            sqlite_end(l);
            return rc;
        }
    }
    return RC_OK;
}

static enum rc sqlite_step(struct db_link *l, bool *ret_row, struct err *err)
{
    errno = 0;
    int code = sqlite3_step(l->running->s);
    *ret_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        return RC_OK;
    return sqlite_failed(l->engine, l->h, code, sqlite3_sql(l->running->s), err);
}

static size_t sqlite_columns(struct db_link *l)
{
    return (size_t)sqlite3_column_count(l->running->s);
}

static struct db_arg sqlite_column(struct db_link *l, size_t at)
{
    sqlite3_stmt *s = l->running->s;
    int i = (int)at;
    const char *p;
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
        return db_int(sqlite3_column_int64(s, i));
    case SQLITE_NULL:
        return (struct db_arg){.type = DB_IS_NULL, .s = {"", 0}};
    case SQLITE_BLOB:
        p = sqlite3_column_blob(s, i);
        return db_bytes(str_n(p ? p : "", (size_t)sqlite3_column_bytes(s, i)));
    default:
        p = (const char *)sqlite3_column_text(s, i);
        return (struct db_arg){.type = DB_IS_TEXT, .s = {p ? p : "", (size_t)sqlite3_column_bytes(s, i)}};
    }
}

static bool sqlite_in_transaction(struct db_link *l)
{
    return sqlite3_get_autocommit(l->h) == 0;
}

/* ---- care ---- */

static int64_t wal_size(const struct db_engine *e)
{
    struct stat st;
    return stat(e->wal, &st) == 0 ? st.st_size : 0;
}

/* PASSIVE never waits and holds nobody up. TRUNCATE holds the writer up while it copies what is left, so it comes
 * second, and gives up soon when a reader is in the way. */
static enum rc log_copy(struct db_link *l, bool empty, int patience_ms, struct err *err)
{
    errno = 0;
    int code = sqlite3_wal_checkpoint_v2(l->h, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (code == SQLITE_OK && empty) {
        sqlite3_busy_timeout(l->h, patience_ms);
        code = sqlite3_wal_checkpoint_v2(l->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        sqlite3_busy_timeout(l->h, BUSY_MS);
    }
    sqlite_note(l->engine, code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY);
    return code == SQLITE_OK ? RC_OK : sqlite_failed(l->engine, l->h, code, "checkpoint", err);
}

static enum rc sqlite_upkeep(struct db_link *l, bool idle, bool *ret_rest, struct err *err)
{
    int64_t size = wal_size(l->engine);
    *ret_rest = false;
    if (size == 0) {
        *ret_rest = true;
        return RC_OK;
    }
    if (!idle && size < WAL_PASSIVE)
        return RC_OK;
    enum rc rc = log_copy(l, idle || size > WAL_LARGE, 20, err);
    *ret_rest = !rc && wal_size(l->engine) == 0;
    return rc;
}

static enum rc sqlite_checkpoint(struct db_link *l, struct err *err)
{
    return log_copy(l, true, BUSY_MS, err);
}

enum rc sqlite_check(const struct db_engine *e, sqlite3 *h, const char *pragma, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(h, pragma, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    enum rc rc = RC_OK;
    if (code != SQLITE_ROW) {
        rc = sqlite_failed(e, h, code, pragma, err);
    } else {
        const char *finding = (const char *)sqlite3_column_text(s, 0);
        if (!finding || strcmp(finding, "ok") != 0)
            rc = damaged(e, finding ? finding : "no finding", err);
    }
    sqlite3_finalize(s);
    return rc;
}

static enum rc sqlite_check_all(struct db_link *l, struct err *err)
{
    return sqlite_check(l->engine, l->h, "PRAGMA integrity_check(1)", err);
}

DB_SQL(sql_begin, "BEGIN IMMEDIATE");

const struct db_driver db_sqlite = {
    .name = "sqlite",
    .begin = &sql_begin,
    .migration_table =
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL,"
        " applied_ns INTEGER NOT NULL) STRICT",
    .open = sqlite_open,
    .close = sqlite_close_file,
    .connect = sqlite_connect,
    .disconnect = sqlite_disconnect,
    .script = sqlite_script,
    .prepare = sqlite_prepare,
    .start = sqlite_start,
    .step = sqlite_step,
    .columns = sqlite_columns,
    .column = sqlite_column,
    .end = sqlite_end,
    .in_transaction = sqlite_in_transaction,
    .upkeep = sqlite_upkeep,
    .checkpoint = sqlite_checkpoint,
    .check = sqlite_check_all,
};
