/* Shared by the two files of the SQLite driver. */
#pragma once
#include "db/driver.h"
#include <sqlite3.h>

struct db_engine {
    const char *dir;
    const char *path;  /* the database file */
    const char *wal;   /* its write-ahead log */
    const char *clean; /* note of an orderly end */
    const char *left;  /* note of how the file stands while it is open */
    const char *boot;  /* of the kernel; "": not known */
    int lock;          /* held while we own the file */
    int64_t max_pages; /* 0: no cap */
};
struct db_link {
    sqlite3 *h;
    const struct db_engine *engine;
    struct statement *cache; /* one for each slot of db_sql */
    struct statement *running;
};
/* Puts an engine's code into words. `doing` is for the detail. */
enum rc sqlite_failed(const struct db_engine *e, sqlite3 *h, int code, const char *doing, struct err *err);
enum rc sqlite_exec(const struct db_engine *e, sqlite3 *h, const char *text, struct err *err);
/* First column of the first row of `text` as a number. */
enum rc sqlite_number(const struct db_engine *e, sqlite3 *h, const char *text, int64_t *ret, struct err *err);
enum rc sqlite_handle(const struct db_engine *e, enum db_role role, sqlite3 **ret, struct err *err);
enum rc sqlite_check(const struct db_engine *e, sqlite3 *h, const char *pragma, struct err *err);

/* sqlite_file.c */
/* Notes how the file stands: after a checkpoint, so that the next start knows it even after a kill. Unless it failed.
 */
void sqlite_note(const struct db_engine *e, bool sound);
enum rc sqlite_open(mem *ctx, const struct db_config *config, struct db_engine **ret, struct err *err);
void sqlite_close_file(struct db_engine *e, bool orderly);
