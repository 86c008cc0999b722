/* Approvals: asked once, answered once. Time running out is an outcome of its own and never consent. */
#include "base/id.h"
#include "store/store_private.h"

#define COLUMNS "id, task_id, gate, sequence, subject, outcome, answer, answered_by, asked_ns, answered_ns, expires_ns"
static const struct db_column approval_columns[] = {
    DB_COLUMN(approval, id, DB_TEXT),          DB_COLUMN(approval, task_id, DB_TEXT),
    DB_COLUMN(approval, gate, DB_TEXT),        DB_COLUMN(approval, sequence, DB_INT64),
    DB_COLUMN(approval, subject, DB_TEXT),     DB_COLUMN(approval, outcome, DB_TEXT),
    DB_COLUMN(approval, answer, DB_TEXT_NULL), DB_COLUMN(approval, answered_by, DB_TEXT_NULL),
    DB_COLUMN(approval, asked_ns, DB_INT64),   DB_COLUMN(approval, answered_ns, DB_INT64),
    DB_COLUMN(approval, expires_ns, DB_INT64),
};
static const struct db_shape approval_shape = DB_SHAPE(approval, approval_columns);

enum rc approval_insert(struct store_tx *tx, const struct approval *a, bool *ret_new, struct err *err)
{
    DB_SQL(sql, "INSERT INTO approval (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
                " ON CONFLICT (task_id, sequence) DO NOTHING");
    if (!a->id || !id_valid(str_of(a->id), 7))
        return err_set(err, RC_INVALID, "An approval needs an identifier of 7 characters.");
    int64_t changed = 0;
    enum rc rc = task_need(tx, a->task_id, err);
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ROW(&approval_shape, a), &changed, err);
    if (rc == RC_CONFLICT)
        err_set(err, rc, "There is an approval %s already.", a->id);
    *ret_new = changed > 0;
    return rc;
}

static enum rc missing(const char *id, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "There is no approval %.16s.", id);
    err_hint(err, "See what waits for an answer with: nightmill ls");
    return RC_NOT_FOUND;
}

static enum rc find(mem *ctx, struct db_conn *c, const char *id, struct approval *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM approval WHERE id = $1");
    enum rc rc = id_check(id, "approval", err);
    if (rc)
        return rc;
    rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &approval_shape, ret, err);
    return rc == RC_NOT_FOUND ? missing(id, err) : rc;
}

enum rc approval_find(mem *ctx, struct store *s, const char *id, struct approval *ret, struct err *err)
{
    DB_READER struct db_conn *c = db_reader(s->db);
    return find(ctx, c, id, ret, err);
}

enum rc approval_of_task(mem *ctx, struct store *s, const char *task_id, struct approval **ret, size_t *ret_n,
                         struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM approval WHERE task_id = $1 ORDER BY sequence");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(task_id)), &approval_shape, ret, ret_n, err);
}

enum rc approval_waiting(mem *ctx, struct store *s, struct approval **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM approval WHERE outcome = 'waiting' ORDER BY asked_ns");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &approval_shape, ret, ret_n, err);
}

/* Why the row did not take the answer. */
static enum rc refused(struct store_tx *tx, const char *id, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct approval a = {0};
    enum rc rc = find(tmp, tx->c, id, &a, err);
    if (rc)
        return rc;
    if (strcmp(a.outcome, "waiting") == 0 || strcmp(a.outcome, "expired") == 0) {
        err_set(err, RC_CONFLICT, "Approval %s has expired.", id);
        err_hint(err, "Resume the task to be asked again: nightmill resume %s", a.task_id);
        return RC_CONFLICT;
    }
    return err_set(err, RC_CONFLICT, "Approval %s was already %s%s%.60s.", id, a.outcome, a.answered_by ? " by " : "",
                   a.answered_by ? a.answered_by : "");
}

enum rc approval_answer(struct store_tx *tx, const char *id, const char *outcome, const char *answer, const char *by,
                        int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE approval SET outcome = $2, answer = $3, answered_by = $4, answered_ns = $5 WHERE id = $1"
                " AND outcome = 'waiting' AND ($2 <> 'approved' OR expires_ns = 0 OR expires_ns > $5)");
    enum rc rc = id_check(id, "approval", err);
    if (rc)
        return rc;
    if (strcmp(outcome, "approved") != 0 && strcmp(outcome, "refused") != 0 && strcmp(outcome, "expired") != 0)
        return err_set(err, RC_INVALID, "An approval is approved, refused or expired, not '%.40s'.", outcome);
    int64_t changed = 0;
    rc = db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_text(outcome), db_text(answer), db_text(by), db_int(now_ns)),
                 &changed, err);
    return rc || changed ? rc : refused(tx, id, err);
}

enum rc approval_close(struct store_tx *tx, const char *task_id, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "UPDATE approval SET outcome = 'expired', answered_by = 'system', answered_ns = $2 WHERE task_id = $1"
                " AND outcome = 'waiting'");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(task_id), db_int(now_ns)), NULL, err);
}
