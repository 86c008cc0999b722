/* What an engine must offer. Internal to this room.
 *
 * A link is one connection; at most one statement runs on it at a time: start, step until no row, end (end also after a
 * failure). Views returned by column live until the next step or end. A link is used by one thread at a time. */
#pragma once
#include "db/db.h"

struct db_engine; /* an owned database */
struct db_link;
enum db_role { DB_ROLE_WRITER, DB_ROLE_READER, DB_ROLE_UPKEEP };

struct db_driver {
    const char *name;
    const char *const *begin;    /* statement that begins a writing transaction */
    const char *migration_table; /* creates the table that records migrations, unless it exists */
    /* Takes ownership, makes the database when missing, refuses what is not ours, checks after an unclean end. */
    enum rc (*open)(mem *ctx, const struct db_config *config, struct db_engine **ret, struct err *err);
    /* All links are closed. `orderly`: nothing was lost; note it for the next start. */
    void (*close)(struct db_engine *e, bool orderly);
    enum rc (*connect)(mem *ctx, struct db_engine *e, enum db_role role, struct db_link **ret, struct err *err);
    void (*disconnect)(struct db_link *l);
    enum rc (*script)(struct db_link *l, const char *text, struct err *err); /* statements without parameters */
    enum rc (*prepare)(struct db_link *l, const char *const *sql, struct err *err);
    enum rc (*start)(struct db_link *l, const char *const *sql, const struct db_arg *args, size_t n, struct err *err);
    enum rc (*step)(struct db_link *l, bool *ret_row, struct err *err);
    size_t (*columns)(struct db_link *l);
    struct db_arg (*column)(struct db_link *l, size_t i);
    int64_t (*end)(struct db_link *l); /* rows changed */
    bool (*in_transaction)(struct db_link *l);
    /* Regular care on the upkeep link. `idle`: no commit for a second. *ret_rest: nothing is left to do until the next
     * commit. */
    enum rc (*upkeep)(struct db_link *l, bool idle, bool *ret_rest, struct err *err);
    enum rc (*checkpoint)(struct db_link *l, struct err *err); /* everything, now */
    enum rc (*check)(struct db_link *l, struct err *err);
};
extern const struct db_driver db_sqlite;

/* One connection as the room sees it. */
struct db_conn {
    struct db *db;
    mem *own;             /* holds this struct and the link */
    struct db_link *link; /* NULL until first used */
    enum db_role role;
    struct db_conn *next; /* free readers */
};
MUST_USE enum rc conn_ready(struct db_conn *c, struct err *err); /* connects when needed */
struct db_conn *conn_new(struct db *db, enum db_role role);
void conn_free(struct db_conn *c);

/* Brings the schema up to date on the writer's link. */
MUST_USE enum rc migrate(struct db_conn *c, const struct db_migration *list, size_t n, struct err *err);

/* All statements of the program: slots in one array. */
extern const char *const __start_db_sql[] __attribute__((weak));
extern const char *const __stop_db_sql[] __attribute__((weak));
