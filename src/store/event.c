/* Events: dense numbers from the task's row, append-only.
 *
 * The runner repeats what it does not know to be stored, and sends in order of its journal. So the task's row also
 * holds the highest origin: a greater one is new without a look at the events. */
#include "store/notice.h"
#include "store/store_private.h"

#define DATA_MAX (16 << 20) /* bytes of one event's data */
#define TYPE_MAX 64

static enum rc event_check(const struct event *e, struct err *err)
{
    size_t n = e->data ? strlen(e->data) : 0;
    if (n < 2 || e->data[0] != '{' || e->data[n - 1] != '}')
        return err_set(err, RC_INVALID, "The data of an event is no JSON object.");
    if (n > DATA_MAX)
        return err_set(err, RC_LIMIT, "The data of an event is larger than %d MiB.", DATA_MAX >> 20);
    if (!e->type || !e->type[0] || strlen(e->type) > TYPE_MAX || !e->actor || strlen(e->actor) > TYPE_MAX ||
        e->origin < 0)
        return err_set(err, RC_INVALID, "An event needs a type, an actor and an origin of 0 or more.");
    return RC_OK;
}

/* Where a task's stream stands. */
struct stream {
    int64_t task, last_event, last_origin;
};
static const struct db_column stream_columns[] = {
    DB_COLUMN(stream, task, DB_INT64),
    DB_COLUMN(stream, last_event, DB_INT64),
    DB_COLUMN(stream, last_origin, DB_INT64),
};
static const struct db_shape stream_shape = DB_SHAPE(stream, stream_columns);

static enum rc stream_read(struct store_tx *tx, const char *task_id, struct stream *ret, struct err *err)
{
    DB_SQL(sql, "SELECT number, last_event, last_origin FROM task WHERE id = $1");
    enum rc rc = db_one(NULL, tx->c, &sql, DB_ARGS(db_text(task_id)), &stream_shape, ret, err);
    return rc == RC_NOT_FOUND ? task_missing(task_id, err) : rc;
}

static enum rc origin_find(struct store_tx *tx, const char *task_id, int64_t origin, int64_t *ret, struct err *err)
{
    DB_SQL(sql, "SELECT number FROM event WHERE task_id = $1 AND origin = $2 AND origin > 0");
    return db_one_int(tx->c, &sql, DB_ARGS(db_text(task_id), db_int(origin)), ret, err);
}

/* (Reading and then writing the counters is half the price of UPDATE with RETURNING, and just as safe on the only
 * writer.) */
static enum rc stream_add(struct store_tx *tx, const char *task_id, const struct stream *st, const struct event *e,
                          struct err *err)
{
    DB_SQL(sql, "UPDATE task SET last_event = $2, last_origin = $3 WHERE number = $1");
    DB_SQL(sql_event, "INSERT INTO event (task_id, number, time_ns, type, actor, data, origin)"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7)");
    int64_t number = st->last_event + 1, origin = e->origin > st->last_origin ? e->origin : st->last_origin;
    tx_mark(tx, task_id);
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_int(st->task), db_int(number), db_int(origin)), NULL, err);
    if (rc)
        return rc;
    return db_exec(tx->c, &sql_event,
                   DB_ARGS(db_text(task_id), db_int(number), db_int(e->time_ns), db_text(e->type), db_text(e->actor),
                           db_text(e->data), db_int(e->origin)),
                   NULL, err);
}

enum rc event_append(struct store_tx *tx, const char *task_id, const struct event *e, int64_t *ret_number,
                     bool *ret_new, struct err *err)
{
    struct stream st = {0};
    enum rc rc = id_check(task_id, "task", err);
    if (!rc)
        rc = event_check(e, err);
    if (!rc)
        rc = stream_read(tx, task_id, &st, err);
    if (rc)
        return rc;
    *ret_new = false;
    if (e->origin > 0 && e->origin <= st.last_origin) {
        rc = origin_find(tx, task_id, e->origin, ret_number, err);
        if (rc != RC_NOT_FOUND)
            return rc;
    }
    rc = stream_add(tx, task_id, &st, e, err);
    if (!rc)
        rc = notice_of_event(tx, task_id, e, st.last_event + 1, err);
    *ret_number = st.last_event + 1;
    *ret_new = !rc;
    return rc;
}

static const struct db_column event_columns[] = {
    DB_COLUMN(event, number, DB_INT64), DB_COLUMN(event, time_ns, DB_INT64), DB_COLUMN(event, type, DB_TEXT),
    DB_COLUMN(event, actor, DB_TEXT),   DB_COLUMN(event, data, DB_TEXT),     DB_COLUMN(event, origin, DB_INT64),
};
static const struct db_shape event_shape = DB_SHAPE(event, event_columns);

enum rc event_list(mem *ctx, struct store *s, const char *task_id, int64_t after, int64_t limit, struct event **ret,
                   size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT number, time_ns, type, actor, data, origin FROM event WHERE task_id = $1 AND number > $2"
                " ORDER BY number LIMIT $3");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(task_id), db_int(after), db_int(limit > 0 ? limit : 0)), &event_shape,
                  ret, ret_n, err);
}

enum rc event_marks(mem *ctx, struct store *s, const char *task_id, int64_t after, int64_t limit, struct event **ret,
                    size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT number, time_ns, type, actor, data, origin FROM event WHERE task_id = $1 AND number > $2"
                " AND type IN ('iteration.started', 'agent.finished', 'iteration.committed', 'verdict',"
                " 'iteration.finished', 'delivered') ORDER BY number LIMIT $3");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(task_id), db_int(after), db_int(limit > 0 ? limit : 0)), &event_shape,
                  ret, ret_n, err);
}

/* ---- the stream of everything ---- */

static const char *const topics[] = {"approvals", "money", "settings", "system"};

enum rc event_tell(struct store_tx *tx, const char *topic, const struct event *e, struct err *err)
{
    DB_SQL(sql, "INSERT INTO event (topic, time_ns, type, actor, data, origin) VALUES ($1, $2, $3, $4, $5, 0)");
    bool known = false;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        known = known || strcmp(topics[i], topic) == 0;
    if (!known)
        return err_set(err, RC_BUG, "There is no topic %.40s.", topic);
    enum rc rc = event_check(e, err);
    if (rc)
        return rc;
    tx_mark(tx, "");
    return db_exec(tx->c, &sql,
                   DB_ARGS(db_text(topic), db_int(e->time_ns), db_text(e->type), db_text(e->actor), db_text(e->data)),
                   NULL, err);
}

static const struct db_column row_columns[] = {
    DB_COLUMN(event_row, n, DB_INT64),        DB_COLUMN(event_row, topic, DB_TEXT),
    DB_COLUMN(event_row, task, DB_TEXT),      DB_COLUMN(event_row, project, DB_TEXT),
    DB_COLUMN(event_row, e.number, DB_INT64), DB_COLUMN(event_row, e.time_ns, DB_INT64),
    DB_COLUMN(event_row, e.type, DB_TEXT),    DB_COLUMN(event_row, e.actor, DB_TEXT),
    DB_COLUMN(event_row, e.data, DB_TEXT),    DB_COLUMN(event_row, e.origin, DB_INT64),
    DB_COLUMN(event_row, bytes, DB_INT64),
};
static const struct db_shape row_shape = DB_SHAPE(event_row, row_columns);

enum rc event_all(mem *ctx, struct store *s, int64_t after, int64_t limit, int64_t data_most, struct event_row **ret,
                  size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT e.n, e.topic, e.task_id, t.repo, e.number, e.time_ns, e.type, e.actor,"
                " CASE WHEN length(e.data) > $3 THEN '' ELSE e.data END, e.origin, length(e.data)"
                " FROM event e LEFT JOIN task t ON t.id = e.task_id WHERE e.n > $1 ORDER BY e.n LIMIT $2");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_int(after), db_int(limit > 0 ? limit : 0), db_int(data_most)), &row_shape,
                  ret, ret_n, err);
}

enum rc event_span(struct store *s, int64_t *ret_oldest, int64_t *ret_newest, struct err *err)
{
    DB_SQL(oldest, "SELECT n FROM event ORDER BY n LIMIT 1");
    DB_SQL(newest, "SELECT n FROM event ORDER BY n DESC LIMIT 1");
    DB_READER struct db_conn *c = db_reader(s->db);
    *ret_oldest = *ret_newest = 0;
    enum rc rc = db_one_int(c, &oldest, DB_NONE, ret_oldest, err);
    if (!rc)
        rc = db_one_int(c, &newest, DB_NONE, ret_newest, err);
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc event_last_origin(struct store *s, const char *task_id, int64_t *ret, struct err *err)
{
    DB_SQL(sql, "SELECT last_origin FROM task WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one_int(c, &sql, DB_ARGS(db_text(task_id)), ret, err);
    return rc == RC_NOT_FOUND ? task_missing(task_id, err) : rc;
}
