/* Migrations: forward-only, numbered, one transaction each, recorded with the SHA-256 of their text.
 *
 * A record that differs from the program's text means that a released step was edited, so that nobody knows what the
 * schema is: refused. */
#include "base/clock.h"
#include "crypt/hash.h"
#include "db/db_private.h"
#include <inttypes.h>

struct recorded {
    int64_t number;
    const char *name, *hash;
};
static const struct db_column recorded_columns[] = {
    DB_COLUMN(recorded, number, DB_INT64),
    DB_COLUMN(recorded, name, DB_TEXT),
    DB_COLUMN(recorded, hash, DB_TEXT),
};
static const struct db_shape recorded_shape = DB_SHAPE(recorded, recorded_columns);

static enum rc record_check(const struct recorded *r, const struct db_migration *m, int64_t expected, struct err *err)
{
    char hash[HASH_SHA256_HEX];
    if (r->number != expected)
        return err_set(err, RC_CONFLICT, "The database records migration %" PRId64 " where %" PRId64 " was expected.",
                       r->number, expected);
    hash_sha256_hex(str_of(m->text), hash);
    if (strcmp(hash, r->hash) == 0)
        return RC_OK;
    err_set(err, RC_CONFLICT, "Migration %" PRId64 " (%s) differs from the one that made this database.", m->number,
            m->name);
    err_detail(err, "recorded %.64s, in this program %s", r->hash, hash);
    err_hint(err, "Use the program that made the database, or another data folder; nothing was changed.");
    return RC_CONFLICT;
}

static enum rc too_new(const struct recorded *last, size_t known, struct err *err)
{
    err_set(err, RC_CONFLICT,
            "The database was made by a newer Nightmill: it is at migration %" PRId64 ", this program knows %zu.",
            last->number, known);
    err_hint(err, "Update Nightmill, or choose another data folder; nothing was changed.");
    return RC_CONFLICT;
}

static enum rc step_body(struct db_conn *c, const struct db_migration *m, struct err *err)
{
    DB_SQL(sql, "INSERT INTO migration (number, name, hash, applied_ns) VALUES ($1, $2, $3, $4)");
    char hash[HASH_SHA256_HEX];
    hash_sha256_hex(str_of(m->text), hash);
    enum rc rc = c->db->driver->script(c->link, m->text, err);
    if (rc)
        return rc;
    return db_exec(c, &sql, DB_ARGS(db_int(m->number), db_text(m->name), db_text(hash), db_int(clock_wall_ns())), NULL,
                   err);
}

static enum rc step_apply(struct db_conn *c, const struct db_migration *m, struct err *err)
{
    DB_SQL(sql_commit, "COMMIT");
    DB_SQL(sql_rollback, "ROLLBACK");
    const struct db_driver *d = c->db->driver;
    enum rc rc = db_exec(c, d->begin, DB_NONE, NULL, err);
    if (!rc)
        rc = step_body(c, m, err);
    if (!rc)
        rc = db_exec(c, &sql_commit, DB_NONE, NULL, err);
    if (rc && d->in_transaction(c->link) && db_exec(c, &sql_rollback, DB_NONE, NULL, NULL))
        rc = err_set(err, RC_IO, "A failed migration could not be undone.");
    if (rc)
        err_context(err, "Migration %" PRId64 " (%s)", m->number, m->name);
    return rc;
}

enum rc migrate(struct db_conn *c, const struct db_migration *list, size_t n, struct err *err)
{
    DB_SQL(sql, "SELECT number, name, hash FROM migration ORDER BY number");
    CLEANUP_MEM mem *tmp = mem_root();
    struct recorded *done = NULL;
    size_t done_n = 0;
    enum rc rc = c->db->driver->script(c->link, c->db->driver->migration_table, err);
    if (!rc)
        rc = db_all(tmp, c, &sql, DB_NONE, &recorded_shape, &done, &done_n, err);
    if (!rc && done_n > n)
        return too_new(&done[done_n - 1], n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        BUG_ON(list[i].number != (int64_t)i + 1);
        rc = i < done_n ? record_check(&done[i], &list[i], (int64_t)i + 1, err) : step_apply(c, &list[i], err);
    }
    return rc;
}
