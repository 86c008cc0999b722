/* The one door to SQL.
 *
 * A database has one writer (a thread of its own), a pool of readers for any thread, and an upkeep thread. Only this
 * room knows the engine: everything engine-specific stands behind struct db_driver (driver.h), of which SQLite is the
 * first; PostgreSQL can be the second. Statements therefore keep to SQL that both understand (parameters $1..$n,
 * RETURNING, ON CONFLICT).
 *
 * Writing: jobs run one after the other on the writer thread, each inside a savepoint, and many jobs share one commit
 * (group commit: when the queue is empty, or after 256 jobs, or after 2 ms). A job that fails is undone alone. When the
 * engine loses the whole transaction (disk full, input/output error), every job of the group fails with that error and
 * none of them happened. A job is acknowledged only after its commit is durable. Jobs are never run twice.
 *
 * Reading: a reader sees what was committed when its statement began. Results are copied into the caller's context.
 *
 * Texts are UTF-8; integers are signed 64-bit; money is an integer. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct db;
struct db_conn; /* the writer inside a job, or a reader; used by one thread at a time */

/* A statement: one literal beside the function that runs it. All of them stand in one section of the program, which
 * makes them countable (a test prepares each) and gives each connection a cache without lookups. Use: DB_SQL(sql,
 * "SELECT ..."); then pass &sql. */
#define DB_SQL(name, text) static const char *const name __attribute__((section("db_sql"), used)) = text

/* Kinds of values. In C: int64_t, int, bool, const char * (NULL is stored as ''), const char * (NULL is SQL's NULL),
 * struct str, struct str. */
enum db_kind { DB_INT64, DB_INT, DB_BOOL, DB_TEXT, DB_TEXT_NULL, DB_TEXT_STR, DB_BYTES };

/* The shape of a struct in column order: reads rows into it and binds it as parameters. */
struct db_column {
    size_t offset;
    enum db_kind kind;
};
#define DB_COLUMN(type, field, kind)                                                                                   \
    {                                                                                                                  \
        offsetof(struct type, field), kind                                                                             \
    }
struct db_shape {
    const struct db_column *columns;
    size_t n;    /* columns in use, at most DB_ARGS_MAX */
    size_t size; /* of the struct */
};
#define DB_SHAPE(type, table)                                                                                          \
    {                                                                                                                  \
        table, sizeof(table) / sizeof(*(table)), sizeof(struct type)                                                   \
    }
/* The first `count` columns of a table only. */
#define DB_SHAPE_HEAD(type, table, count)                                                                              \
    {                                                                                                                  \
        table, count, sizeof(struct type)                                                                              \
    }

/* Parameters: values in a row, or the columns of a struct. Borrowed for the call. */
#define DB_ARGS_MAX 48
enum db_type { DB_IS_NULL, DB_IS_INT, DB_IS_TEXT, DB_IS_BYTES };
struct db_arg {
    enum db_type type;
    int64_t i;
    struct str s;
};
struct db_args {
    const struct db_arg *v; /* or, when NULL: */
    size_t n;
    const struct db_shape *shape;
    const void *row;
};
static inline struct db_arg db_int(int64_t v)
{
    return (struct db_arg){.type = DB_IS_INT, .i = v};
}
static inline struct db_arg db_text(const char *z) /* NULL is SQL's NULL */
{
    return (struct db_arg){.type = z ? DB_IS_TEXT : DB_IS_NULL, .s = str_of(z)};
}
static inline struct db_arg db_bytes(struct str s)
{
    return (struct db_arg){.type = DB_IS_BYTES, .s = s};
}
#define DB_ARGS(...)                                                                                                   \
    ((struct db_args){.v = (const struct db_arg[]){__VA_ARGS__},                                                       \
                      .n = sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg)})
#define DB_ROW(the_shape, the_row) ((struct db_args){.shape = (the_shape), .row = (the_row)})
#define DB_NONE                    ((struct db_args){.n = 0})

/* Errors of statements: RC_CONFLICT (a unique value is taken), RC_INVALID (another constraint), RC_LIMIT (disk full,
 * value too large), RC_DENIED (read-only), RC_UNAVAILABLE (held by another program), RC_IO (damaged, device), RC_BUG
 * (the SQL). */

/* Runs to the end; *ret_changed (may be NULL) counts the rows inserted, changed or deleted. */
MUST_USE enum rc db_exec(struct db_conn *c, const char *const *sql, struct db_args args, int64_t *ret_changed,
                         struct err *err);
/* First row into *ret; texts in ctx. RC_NOT_FOUND when there is none: err stays as it is, only the caller knows what
 * was sought. */
MUST_USE enum rc db_one(mem *ctx, struct db_conn *c, const char *const *sql, struct db_args args,
                        const struct db_shape *shape, void *ret, struct err *err);
/* First column of the first row. RC_NOT_FOUND as above; SQL's NULL gives 0. */
MUST_USE enum rc db_one_int(struct db_conn *c, const char *const *sql, struct db_args args, int64_t *ret,
                            struct err *err);
/* All rows: *ret is an array of the struct (NULL when empty) in ctx, which owns the texts too. */
MUST_USE enum rc db_all(mem *ctx, struct db_conn *c, const char *const *sql, struct db_args args,
                        const struct db_shape *shape, void *ret, size_t *ret_n, struct err *err);

/* A forward-only step of the schema; numbers run from 1 without gaps. The text may hold several statements; each step
 * is one transaction. */
struct db_migration {
    int64_t number;
    const char *name, *text;
};
/* Those of src/db/migrations, built into the program. */
const struct db_migration *db_migrations(size_t *ret_n);

struct db_config {
    const char *dir;  /* made (0700) when missing */
    const char *name; /* file in it: "nightmill.db" (made 0600) */
    const struct db_migration *migrations;
    size_t migration_count;
    int64_t max_pages; /* 0: no cap (tests of a full disk) */
    int readers;       /* most reader connections; 0: 8 */
};
/* Takes sole ownership (a lock beside the file), checks, migrates, starts the threads. When the last owner did not
 * close it in order, or the file changed since, all pages are checked first. Nothing is ever deleted or repaired by
 * itself. Refused in a clear sentence: second owner, read-only folder, full disk, damaged file, file of another
 * program, schema of a newer program, a released migration that changed. Freeing ctx closes too. */
MUST_USE enum rc db_open(mem *ctx, const struct db_config *config, struct db **ret, struct err *err);
struct db *db_close(struct db *db); /* runs what is queued, checkpoints; NULL is fine; returns NULL */

typedef enum rc (*db_job_fn)(struct db_conn *c, void *arg, struct err *err); /* err is never NULL */
typedef void (*db_done_fn)(void *arg, enum rc rc, const struct err *err);    /* err is NULL on success */
/* Waits until the job is durable. Not from inside a job or a done function. */
MUST_USE enum rc db_write(struct db *db, db_job_fn fn, void *arg, struct err *err);
/* Returns at once; done (may be NULL) is called on the writer thread and must be short. Any thread, also inside a job.
 */
void db_write_async(struct db *db, db_job_fn fn, void *arg, db_done_fn done);
size_t db_backlog(struct db *db); /* jobs that wait */
/* Called on the writer thread after each group, before its jobs are acknowledged; committed is false when the group was
 * lost. Set before the first write. */
void db_on_group(struct db *db, void (*fn)(void *arg, bool committed), void *arg);

/* A reader; waits for a free one. Hold it for one answer, not across waits, and never two at a time.
 * DB_READER struct db_conn *c = db_reader(db); gives it back when the scope is left. */
struct db_conn *db_reader(struct db *db);
void db_reader_done(struct db_conn **c);
#define DB_READER __attribute__((cleanup(db_reader_done)))

/* Moves the write-ahead log into the database file and empties it. RC_UNAVAILABLE when a reader keeps it busy. */
MUST_USE enum rc db_checkpoint(struct db *db, struct err *err);

/* For tests and benches. */
struct db_figures {
    int64_t groups, jobs, failed_jobs, lost_groups, checkpoints;
};
void db_figures(struct db *db, struct db_figures *ret);
/* Prepares every statement of the program against the schema; err names the first that is wrong. */
MUST_USE enum rc db_check_statements(struct db *db, size_t *ret_n, struct err *err);
/* A full check of the file. RC_IO with the first finding. */
MUST_USE enum rc db_check(struct db *db, struct err *err);
