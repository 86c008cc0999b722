/* Tasks. The long texts (description, specification) stand in a table of their own, so that the row that counts events
 * is short. */
#include "base/id.h"
#include "store/store_private.h"

#define FINAL TASK_FINAL

static const struct {
    const char *name;
    bool final;
} states[] = {
    {"queued", false}, {"working", false}, {"checking", false}, {"needs_you", false}, {"paused", false},
    {"done", true},    {"unproven", true}, {"stopped", true},   {"failed", true},
};

static int state_at(const char *state)
{
    for (int i = 0; state && i < (int)(sizeof states / sizeof states[0]); i++)
        if (strcmp(states[i].name, state) == 0)
            return i;
    return -1;
}

const char *task_state_name(size_t i)
{
    return i < sizeof states / sizeof *states ? states[i].name : "";
}

bool task_state_valid(const char *state)
{
    return state_at(state) >= 0;
}

bool task_state_final(const char *state)
{
    int at = state_at(state);
    return at >= 0 && states[at].final;
}

/* Columns in an order that serves three uses: the first UPDATED are written by task_update (parameter 1 is the id), the
 * first INSERTED by task_insert, the first LISTED are what a brief list reads, all are read by the rest. */
#define UPDATED  21
#define INSERTED 29
#define LISTED   31
#define COLUMNS  TASK_COLUMNS
#define WHOLE    "SELECT " TASK_READ ", text, spec FROM task t JOIN task_text x ON x.number = t.number "
static const struct db_column task_columns[] = {
    DB_COLUMN(task, id, DB_TEXT),
    DB_COLUMN(task, title, DB_TEXT),
    DB_COLUMN(task, state, DB_TEXT),
    DB_COLUMN(task, reason, DB_TEXT),
    DB_COLUMN(task, words, DB_TEXT),
    DB_COLUMN(task, branch, DB_TEXT_NULL),
    DB_COLUMN(task, commit, DB_TEXT_NULL),
    DB_COLUMN(task, applied, DB_BOOL),
    DB_COLUMN(task, iteration, DB_INT64),
    DB_COLUMN(task, iteration_limit, DB_INT64),
    DB_COLUMN(task, changed_ns, DB_INT64),
    DB_COLUMN(task, started_ns, DB_INT64),
    DB_COLUMN(task, ended_ns, DB_INT64),
    DB_COLUMN(task, worked_ns, DB_INT64),
    DB_COLUMN(task, limit_time_s, DB_INT64),
    DB_COLUMN(task, limit_tokens, DB_INT64),
    DB_COLUMN(task, limit_money, DB_INT64),
    DB_COLUMN(task, currency, DB_TEXT),
    DB_COLUMN(task, agent_version, DB_TEXT),
    DB_COLUMN(task, model, DB_TEXT),
    DB_COLUMN(task, assigned, DB_BOOL),
    DB_COLUMN(task, repo, DB_TEXT),
    DB_COLUMN(task, created_ns, DB_INT64),
    DB_COLUMN(task, agent, DB_TEXT),
    DB_COLUMN(task, kind, DB_TEXT),
    DB_COLUMN(task, replayed, DB_BOOL),
    DB_COLUMN(task, trial, DB_TEXT),
    DB_COLUMN(task, attempt, DB_INT64),
    DB_COLUMN(task, configuration, DB_TEXT),
    DB_COLUMN(task, number, DB_INT64),
    DB_COLUMN(task, last_event, DB_INT64),
    DB_COLUMN(task, text, DB_TEXT),
    DB_COLUMN(task, spec, DB_TEXT),
};
const struct db_shape task_whole_shape = DB_SHAPE(task, task_columns);
const struct db_shape task_brief_shape = DB_SHAPE_HEAD(task, task_columns, LISTED);
static const struct db_shape insert_shape = DB_SHAPE_HEAD(task, task_columns, INSERTED);
static const struct db_shape update_shape = DB_SHAPE_HEAD(task, task_columns, UPDATED);

enum rc task_missing(const char *id, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "There is no task %.16s.", id);
    err_hint(err, "See the tasks with: nightmill ls");
    return RC_NOT_FOUND;
}

enum rc task_need(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql, "SELECT number FROM task WHERE id = $1");
    int64_t number;
    enum rc rc = id_check(id, "task", err);
    if (!rc)
        rc = db_one_int(tx->c, &sql, DB_ARGS(db_text(id)), &number, err);
    return rc == RC_NOT_FOUND ? task_missing(id, err) : rc;
}

static enum rc state_check(const char *state, struct err *err)
{
    return task_state_valid(state) ? RC_OK
                                   : err_set(err, RC_INVALID, "There is no task state '%.40s'.", state ? state : "");
}

enum rc task_insert(struct store_tx *tx, struct task *t, struct err *err)
{
    DB_SQL(sql, "INSERT INTO task (" COLUMNS
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
                " $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29) RETURNING number");
    DB_SQL(sql_text, "INSERT INTO task_text (number, text, spec) VALUES ($1, $2, $3)");
    enum rc rc = state_check(t->state, err);
    if (!rc && !(t->id && id_valid(str_of(t->id), 7)))
        rc = err_set(err, RC_INVALID, "A task needs an identifier of 7 characters.");
    t->trial = t->trial ? t->trial : "";
    t->configuration = t->configuration ? t->configuration : "";
    if (!rc)
        rc = db_one_int(tx->c, &sql, DB_ROW(&insert_shape, t), &t->number, err);
    if (rc == RC_CONFLICT)
        return err_set(err, rc, "There is a task %s already.", t->id);
    if (rc)
        return rc;
    DB_SQL(sql_search, "INSERT INTO task_search (rowid, heading, body) VALUES ($1, $2, $3)");
    t->last_event = 0;
    const char *text = t->text ? t->text : "", *spec = t->spec ? t->spec : "";
    rc = db_exec(tx->c, &sql_text, DB_ARGS(db_int(t->number), db_text(text), db_text(spec)), NULL, err);
    if (rc)
        return rc;
    return db_exec(tx->c, &sql_search, DB_ARGS(db_int(t->number), db_text(t->title), db_text(text)), NULL, err);
}

static enum rc find(mem *ctx, struct db_conn *c, const char *id, struct task *ret, struct err *err)
{
    DB_SQL(sql, WHOLE "WHERE t.id = $1");
    enum rc rc = id_check(id, "task", err);
    if (rc) {
        err_hint(err, "See the tasks with: nightmill ls");
        return rc;
    }
    rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &task_whole_shape, ret, err);
    return rc == RC_NOT_FOUND ? task_missing(id, err) : rc;
}

enum rc task_find(mem *ctx, struct store *s, const char *id, struct task *ret, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(s->db);
    return find(ctx, c, id, ret, err);
}

enum rc task_find_tx(mem *ctx, struct store_tx *tx, const char *id, struct task *ret, struct err *err)
{
    return find(ctx, tx->c, id, ret, err);
}

static enum rc attempts(mem *ctx, struct db_conn *c, const char *trial, struct task **ret, size_t *ret_n,
                        struct err *err)
{
    DB_SQL(sql, "SELECT " TASK_READ " FROM task t WHERE t.trial = $1 AND t.trial <> '' ORDER BY t.attempt");
    return db_all(ctx, c, &sql, DB_ARGS(db_text(trial)), &task_brief_shape, ret, ret_n, err);
}

enum rc task_attempts(mem *ctx, struct store *s, const char *trial, struct task **ret, size_t *ret_n, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(s->db);
    return attempts(ctx, c, trial, ret, ret_n, err);
}

enum rc task_attempts_tx(mem *ctx, struct store_tx *tx, const char *trial, struct task **ret, size_t *ret_n,
                         struct err *err)
{
    return attempts(ctx, tx->c, trial, ret, ret_n, err);
}

enum rc task_count(struct store *s, const char *state, int64_t *ret, struct err *err)
{
    DB_SQL(sql_any, "SELECT coalesce(sum(n), 0) FROM task_tally");
    DB_SQL(sql_active, "SELECT coalesce(sum(n), 0) FROM task_tally WHERE state NOT IN " FINAL);
    DB_SQL(sql_state, "SELECT coalesce(sum(n), 0) FROM task_tally WHERE state = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    if (!state)
        return db_one_int(c, &sql_any, DB_NONE, ret, err);
    if (strcmp(state, "active") == 0)
        return db_one_int(c, &sql_active, DB_NONE, ret, err);
    enum rc rc = state_check(state, err);
    return rc ? rc : db_one_int(c, &sql_state, DB_ARGS(db_text(state)), ret, err);
}

enum rc task_update(struct store_tx *tx, const struct task *t, struct err *err)
{
    DB_SQL(
        sql,
        "UPDATE task SET title = $2, state = $3, reason = $4, words = $5, branch = $6, commit_id = $7, applied = $8,"
        " iteration = $9, iteration_limit = $10, changed_ns = $11, started_ns = $12, ended_ns = $13, worked_ns = $14,"
        " limit_time_s = $15, limit_tokens = $16, limit_money = $17, currency = $18, agent_version = $19,"
        " model = $20, assigned = $21 WHERE id = $1");
    DB_SQL(sql_text, "UPDATE task_text SET text = $2, spec = $3 WHERE number = (SELECT number FROM task WHERE id = $1)"
                     " AND (text <> $2 OR spec <> $3)");
    int64_t changed = 0;
    enum rc rc = id_check(t->id, "task", err);
    if (!rc)
        rc = state_check(t->state, err);
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ROW(&update_shape, t), &changed, err);
    if (!rc && changed == 0)
        rc = task_missing(t->id, err);
    if (!rc && t->text && t->spec)
        rc = db_exec(tx->c, &sql_text, DB_ARGS(db_text(t->id), db_text(t->text), db_text(t->spec)), NULL, err);
    if (!rc && task_state_final(t->state))
        rc = reply_drop(tx, t->id, err);
    return rc;
}
