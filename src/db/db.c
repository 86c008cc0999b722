/* Opening and closing, the pool of readers, and the calls that run one statement.
 *
 * No engine is known here: see driver.h. */
#include "db/db_private.h"
#include <signal.h>

#define TEXT_BLOCK 65536 /* rows of a list share blocks of this size for their texts */

void thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(ret, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    BUG_ON(e != 0);
    pthread_setname_np(*ret, name);
}

/* ---- connections ---- */

struct db_conn *conn_new(struct db *db, enum db_role role)
{
    mem *own = mem_root();
    struct db_conn *c = mem_new(own, struct db_conn);
    *c = (struct db_conn){.db = db, .own = own, .role = role};
    return c;
}

enum rc conn_ready(struct db_conn *c, struct err *err)
{
    return c->link ? RC_OK : c->db->driver->connect(c->own, c->db->engine, c->role, &c->link, err);
}

void conn_free(struct db_conn *c)
{
    if (!c)
        return;
    if (c->link)
        c->db->driver->disconnect(c->link);
    mem_free(c->own);
}

struct db_conn *db_reader(struct db *db)
{
    pthread_mutex_lock(&db->pool_lock);
    while (!db->free_readers && db->readers >= db->readers_max)
        pthread_cond_wait(&db->pool_free, &db->pool_lock);
    struct db_conn *c = db->free_readers;
    if (c)
        db->free_readers = c->next;
    else
        db->readers++;
    db->readers_out++;
    pthread_mutex_unlock(&db->pool_lock);
    return c ? c : conn_new(db, DB_ROLE_READER);
}

void db_reader_done(struct db_conn **pc)
{
    struct db_conn *c = *pc;
    if (!c)
        return;
    struct db *db = c->db;
    pthread_mutex_lock(&db->pool_lock);
    c->next = db->free_readers;
    db->free_readers = c;
    db->readers_out--;
    pthread_cond_broadcast(&db->pool_free);
    pthread_mutex_unlock(&db->pool_lock);
    *pc = NULL;
}

/* ---- parameters and rows ---- */

static struct db_arg arg_of_field(const void *field, enum db_kind kind)
{
    switch (kind) {
    case DB_INT64:
        return db_int(*(const int64_t *)field);
    case DB_INT:
        return db_int(*(const int *)field);
    case DB_BOOL:
        return db_int(*(const bool *)field);
    case DB_TEXT: {
        const char *z = *(const char *const *)field;
        return db_text(z ? z : "");
    }
    case DB_TEXT_NULL:
        return db_text(*(const char *const *)field);
    case DB_TEXT_STR:
        return (struct db_arg){.type = DB_IS_TEXT, .s = *(const struct str *)field};
    case DB_BYTES:
        return db_bytes(*(const struct str *)field);
    }
    bug_at(__FILE__, __LINE__, "unknown kind of column %d", (int)kind);
}

static enum rc statement_start(struct db_conn *c, const char *const *sql, struct db_args args, struct err *err)
{
    enum rc rc = conn_ready(c, err);
    if (rc)
        return rc;
    const struct db_driver *d = c->db->driver;
    if (!args.shape)
        return d->start(c->link, sql, args.v, args.n, err);
    struct db_arg v[DB_ARGS_MAX];
    const struct db_shape *shape = args.shape;
    BUG_ON(shape->n > DB_ARGS_MAX);
    for (size_t i = 0; i < shape->n; i++)
        v[i] = arg_of_field((const char *)args.row + shape->columns[i].offset, shape->columns[i].kind);
    return d->start(c->link, sql, v, shape->n, err);
}

/* Bytes that live as long as `owner`; short ones share blocks, so that a row does not cost an allocation for each text.
 */
struct texts {
    mem *owner;
    char *p;
    size_t left, block;
};

static const char *texts_add(struct texts *t, struct str s)
{
    if (s.n >= t->left) {
        size_t n = s.n + 1 > t->block ? s.n + 1 : t->block;
        char *p = talloc_array(t->owner, char, n);
        BUG_ON(!p);
        if (n > t->block) { /* one of its own; the block goes on */
            memcpy(p, s.p, s.n);
            p[s.n] = '\0';
            return p;
        }
        t->p = p;
        t->left = n;
    }
    char *p = t->p;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    t->p += s.n + 1;
    t->left -= s.n + 1;
    return p;
}

static void field_set(void *field, enum db_kind kind, struct db_arg v, struct texts *texts)
{
    switch (kind) {
    case DB_INT64:
        *(int64_t *)field = v.i;
        return;
    case DB_INT:
        *(int *)field = (int)v.i;
        return;
    case DB_BOOL:
        *(bool *)field = v.i != 0;
        return;
    case DB_TEXT:
        *(const char **)field = texts_add(texts, v.s);
        return;
    case DB_TEXT_NULL:
        *(const char **)field = v.type == DB_IS_NULL ? NULL : texts_add(texts, v.s);
        return;
    case DB_TEXT_STR:
    case DB_BYTES:
        *(struct str *)field = str_n(texts_add(texts, v.s), v.s.n);
        return;
    }
    bug_at(__FILE__, __LINE__, "unknown kind of column %d", (int)kind);
}

static void row_read(struct db_conn *c, const struct db_shape *shape, void *row, struct texts *texts)
{
    const struct db_driver *d = c->db->driver;
    BUG_ON(d->columns(c->link) != shape->n);
    for (size_t i = 0; i < shape->n; i++)
        field_set((char *)row + shape->columns[i].offset, shape->columns[i].kind, d->column(c->link, i), texts);
}

/* ---- one statement ---- */

enum rc db_exec(struct db_conn *c, const char *const *sql, struct db_args args, int64_t *ret_changed, struct err *err)
{
    enum rc rc = statement_start(c, sql, args, err);
    if (rc)
        return rc;
    bool row = true;
    while (!rc && row)
        rc = c->db->driver->step(c->link, &row, err);
    int64_t changed = c->db->driver->end(c->link);
    if (ret_changed)
        *ret_changed = rc ? 0 : changed;
    return rc;
}

/* Takes the first row and runs on to the end, so that a statement with RETURNING has its full effect. */
static enum rc first_row(mem *ctx, struct db_conn *c, const struct db_shape *shape, void *ret, struct err *err)
{
    const struct db_driver *d = c->db->driver;
    bool row = false;
    enum rc rc = d->step(c->link, &row, err);
    if (rc)
        return rc;
    if (!row)
        return RC_NOT_FOUND;
    if (shape) {
        struct texts texts = {.owner = ctx, .block = 0};
        row_read(c, shape, ret, &texts);
    } else {
        *(int64_t *)ret = d->column(c->link, 0).i;
    }
    while (!rc && row)
        rc = d->step(c->link, &row, err);
    return rc;
}

enum rc db_one(mem *ctx, struct db_conn *c, const char *const *sql, struct db_args args, const struct db_shape *shape,
               void *ret, struct err *err)
{
    enum rc rc = statement_start(c, sql, args, err);
    if (rc)
        return rc;
    rc = first_row(ctx, c, shape, ret, err);
    c->db->driver->end(c->link);
    return rc;
}

enum rc db_one_int(struct db_conn *c, const char *const *sql, struct db_args args, int64_t *ret, struct err *err)
{
    return db_one(NULL, c, sql, args, NULL, ret, err);
}

enum rc db_all(mem *ctx, struct db_conn *c, const char *const *sql, struct db_args args, const struct db_shape *shape,
               void *ret, size_t *ret_n, struct err *err)
{
    enum rc rc = statement_start(c, sql, args, err);
    if (rc)
        return rc;
    char *rows = NULL;
    size_t n = 0, room = 0;
    struct texts texts = {.block = 1024};
    for (;;) {
        bool row = false;
        rc = c->db->driver->step(c->link, &row, err);
        if (rc || !row)
            break;
        if (n == room) {
            room = room ? room * 2 : 8;
            rows = mem_grow(ctx, rows, room * shape->size);
            texts.owner = rows; /* children follow the array when it moves */
            texts.block = room >= 512 ? TEXT_BLOCK : 128 * room;
        }
        memset(rows + n * shape->size, 0, shape->size);
        row_read(c, shape, rows + n * shape->size, &texts);
        n++;
    }
    c->db->driver->end(c->link);
    if (rc) {
        mem_free(rows);
        return rc;
    }
    *(char **)ret = rows;
    *ret_n = n;
    return RC_OK;
}

/* ---- open and close ---- */

static void pool_close(struct db *db)
{
    pthread_mutex_lock(&db->pool_lock);
    while (db->readers_out > 0)
        pthread_cond_wait(&db->pool_free, &db->pool_lock);
    while (db->free_readers) {
        struct db_conn *c = db->free_readers;
        db->free_readers = c->next;
        conn_free(c);
    }
    pthread_mutex_unlock(&db->pool_lock);
}

static int db_destroy(struct db *db)
{
    if (db->writer_runs)
        writer_stop(db);
    if (db->upkeeper_runs)
        upkeep_stop(db);
    if (db->engine) {
        pool_close(db);
        bool orderly = db_checkpoint(db, NULL) == RC_OK;
        conn_free(db->upkeep_conn);
        conn_free(db->conn);
        db->driver->close(db->engine, orderly);
    }
    pthread_mutex_destroy(&db->lock);
    pthread_mutex_destroy(&db->pool_lock);
    pthread_mutex_destroy(&db->upkeep_lock);
    pthread_mutex_destroy(&db->upkeep_link);
    pthread_cond_destroy(&db->work);
    pthread_cond_destroy(&db->pool_free);
    pthread_cond_destroy(&db->upkeep_wake);
    return 0;
}

static void db_init(struct db *db, const struct db_config *config)
{
    db->driver = &db_sqlite;
    db->last = &db->first;
    db->readers_max = config->readers > 0 ? config->readers : 8;
    pthread_mutex_init(&db->lock, NULL);
    pthread_mutex_init(&db->pool_lock, NULL);
    pthread_mutex_init(&db->upkeep_lock, NULL);
    pthread_mutex_init(&db->upkeep_link, NULL);
    pthread_cond_init(&db->work, NULL);
    pthread_cond_init(&db->pool_free, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&db->upkeep_wake, &mono);
    pthread_condattr_destroy(&mono);
    talloc_set_destructor(db, db_destroy);
}

enum rc db_open(mem *ctx, const struct db_config *config, struct db **ret, struct err *err)
{
    struct db *db = mem_new(ctx, struct db);
    db_init(db, config);
    enum rc rc = db->driver->open(db, config, &db->engine, err);
    if (!rc) {
        db->conn = conn_new(db, DB_ROLE_WRITER);
        db->upkeep_conn = conn_new(db, DB_ROLE_UPKEEP);
        rc = conn_ready(db->conn, err);
    }
    if (!rc)
        rc = migrate(db->conn, config->migrations, config->migration_count, err);
    if (rc) {
        mem_free(db);
        return rc;
    }
    writer_start(db);
    upkeep_start(db);
    *ret = db;
    return RC_OK;
}

struct db *db_close(struct db *db)
{
    return mem_free(db);
}

enum rc db_check_statements(struct db *db, size_t *ret_n, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(db);
    enum rc rc = conn_ready(c, err);
    *ret_n = 0;
    for (const char *const *sql = __start_db_sql; !rc && sql < __stop_db_sql; sql++) {
        rc = db->driver->prepare(c->link, sql, err);
        *ret_n += !rc;
    }
    return rc;
}

enum rc db_check(struct db *db, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(db);
    enum rc rc = conn_ready(c, err);
    return rc ? rc : db->driver->check(c->link, err);
}
