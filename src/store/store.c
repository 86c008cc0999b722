/* Opening, closing, transactions, and telling the listener which tasks got events. */
#include "base/id.h"
#include "store/price.h"
#include "store/store_private.h"

/* ---- who got events ---- */

void tx_mark(struct store_tx *tx, const char *task_id)
{
    struct store *s = tx->s;
    struct task_mark mark = {.bits = 0};
    memcpy(mark.id, task_id, strnlen(task_id, sizeof mark.id - 1));
    for (size_t i = s->mark_n; i-- > 0;)
        if (s->marks[i].bits == mark.bits)
            return;
    if (s->mark_n == s->mark_room) {
        s->mark_room = s->mark_room ? s->mark_room * 2 : 16;
        s->marks = mem_grow(s->group, s->marks, s->mark_room * sizeof *s->marks);
    }
    s->marks[s->mark_n++] = mark;
}

static void group_ended(void *arg, bool committed)
{
    struct store *s = arg;
    const char *ids[64];
    size_t n = 0;
    for (size_t i = 0; committed && s->on_commit && i < s->mark_n; i++) {
        ids[n++] = s->marks[i].id;
        if (n == sizeof ids / sizeof ids[0] || i + 1 == s->mark_n) {
            s->on_commit(s->on_commit_arg, ids, n);
            n = 0;
        }
    }
    s->mark_n = 0;
    if (s->prices_changed) /* also when the group was lost: forgetting costs little */
        price_memory_forget(s->prices);
    s->prices_changed = false;
    if (committed && s->notices_made && s->on_notice)
        s->on_notice(s->on_notice_arg);
    s->notices_made = false;
}

void store_on_commit(struct store *s, void (*fn)(void *arg, const char *const *task_ids, size_t n), void *arg)
{
    s->on_commit = fn;
    s->on_commit_arg = arg;
}

/* ---- transactions ---- */

struct call {
    struct store *s;
    store_fn fn;
    void *arg;
    void (*done)(void *arg, enum rc rc, const struct err *err);
    mem *own; /* of an asynchronous call */
    struct store_rider *rider;
};
static _Thread_local struct store_rider *rider;

void store_ride(struct store_rider *r)
{
    rider = r;
}

/* A mark that a failed job made is kept when an earlier job of the group made it too; otherwise it goes with the job.
 */
static enum rc call_run(struct db_conn *c, void *arg, struct err *err)
{
    struct call *call = arg;
    struct store_tx tx = {.s = call->s, .c = c};
    size_t marks = call->s->mark_n;
    enum rc rc = call->fn(&tx, call->arg, err);
    if (!rc && call->rider)
        rc = call->rider->fn(&tx, call->rider->arg, err);
    if (rc)
        call->s->mark_n = marks;
    return rc;
}

static void call_done(void *arg, enum rc rc, const struct err *err)
{
    struct call *call = arg;
    if (call->done)
        call->done(call->arg, rc, err);
    mem_free(call->own);
}

enum rc store_write(struct store *s, store_fn fn, void *arg, struct err *err)
{
    struct call call = {.s = s, .fn = fn, .arg = arg, .rider = rider && !rider->taken ? rider : NULL};
    enum rc rc = db_write(s->db, call_run, &call, err);
    if (!rc && call.rider)
        call.rider->taken = true;
    else if (!rc && rider)
        rider->later++;
    return rc;
}

void store_write_async(struct store *s, store_fn fn, void *arg,
                       void (*done)(void *arg, enum rc rc, const struct err *err))
{
    mem *own = mem_root();
    struct call *call = mem_new(own, struct call);
    *call = (struct call){.s = s, .fn = fn, .arg = arg, .done = done, .own = own};
    db_write_async(s->db, call_run, call, call_done);
}

size_t store_backlog(struct store *s)
{
    return db_backlog(s->db);
}

enum rc store_checkpoint(struct store *s, struct err *err)
{
    return db_checkpoint(s->db, err);
}

struct db *store_db(struct store *s)
{
    return s->db;
}

/* ---- open and close ---- */

static enum rc first_rows(struct store_tx *tx, void *arg, struct err *err)
{
    (void)arg;
    return price_insert_builtin(tx, err);
}

static int store_destroy(struct store *s)
{
    s->db = db_close(s->db);
    mem_free(s->group);
    return 0;
}

enum rc store_open(mem *ctx, const char *dir, struct store **ret, struct err *err)
{
    struct db_config config = {.dir = dir, .name = "nightmill.db"};
    config.migrations = db_migrations(&config.migration_count);
    struct store *s = mem_new(ctx, struct store);
    s->group = mem_root();
    s->prices = price_memory_new(s);
    talloc_set_destructor(s, store_destroy);
    enum rc rc = db_open(s, &config, &s->db, err);
    if (!rc) {
        db_on_group(s->db, group_ended, s);
        rc = store_write(s, first_rows, NULL, err);
    }
    if (rc) {
        mem_free(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

struct store *store_close(struct store *s)
{
    return mem_free(s);
}

/* ---- shared by the tables ---- */

enum rc id_check(const char *id, const char *what, struct err *err)
{
    if (id && id_valid(str_of(id), 7))
        return RC_OK;
    return err_set(err, RC_NOT_FOUND, "That is no %s: an identifier has 7 characters.", what);
}
