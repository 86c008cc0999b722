/* Notices and how they are delivered. */
#include "store/notice.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/store_private.h"

#define TEXT_MOST 2000
#define BUSY_MOST 8

static const struct {
    int64_t level;
    const char *name;
} levels[] = {{NOTICE_NOW, "now"}, {NOTICE_DONE, "done"}, {NOTICE_DIGEST, "digest"}};

const char *notice_level_name(int64_t level)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (levels[i].level == level)
            return levels[i].name;
    return "silent";
}

int64_t notice_level_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].name, name) == 0)
            return levels[i].level;
    return NOTICE_SILENT;
}

/* ---- notices ---- */

#define NOTICE_COLUMNS "id, uid, key, level, kind, task, words, time_ns"
static const struct db_column notice_columns[] = {
    DB_COLUMN(notice, id, DB_INT64),    DB_COLUMN(notice, uid, DB_TEXT),      DB_COLUMN(notice, key, DB_TEXT),
    DB_COLUMN(notice, level, DB_INT64), DB_COLUMN(notice, kind, DB_TEXT),     DB_COLUMN(notice, task, DB_TEXT),
    DB_COLUMN(notice, words, DB_TEXT),  DB_COLUMN(notice, time_ns, DB_INT64),
};
static const struct db_shape notice_shape = DB_SHAPE(notice, notice_columns);

/* Pages that show notices and how they were delivered follow this. */
static enum rc notice_tell(struct store_tx *tx, int64_t notice, const char *action, struct err *err)
{
    char data[200];
    snprintf(data, sizeof data,
             "{\"thing\":\"notice\",\"id\":\"%lld\",\"project\":\"\",\"user\":\"\",\"action\":\"%s\"}",
             (long long)notice, action);
    struct event e = {.time_ns = clock_wall_ns(), .type = "notice.changed", .actor = "system", .data = data};
    return event_tell(tx, "system", &e, err);
}

enum rc notice_insert(mem *ctx, struct store_tx *tx, struct notice *n, bool *ret_new, struct err *err)
{
    DB_SQL(sql, "INSERT INTO notice (uid, key, level, kind, task, words, time_ns) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                " ON CONFLICT (key) DO NOTHING RETURNING id");
    DB_SQL(sql_deliver,
           "INSERT INTO delivery (notice, channel, state, attempts, next_ns, sent_ns, status, words)"
           " SELECT $1, id, 'waiting', 0, $2, 0, 0, '' FROM channel WHERE enabled = 1 AND (levels & $3) <> 0");
    n->uid = mem_printf(ctx, "msg_%s", id_new(ctx, 20));
    *ret_new = false;
    enum rc rc = db_one_int(tx->c, &sql,
                            DB_ARGS(db_text(n->uid), db_text(n->key), db_int(n->level), db_text(n->kind),
                                    db_text(n->task), db_text(n->words), db_int(n->time_ns)),
                            &n->id, err);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc)
        return rc;
    *ret_new = true;
    tx->s->notices_made = true;
    rc = db_exec(tx->c, &sql_deliver, DB_ARGS(db_int(n->id), db_int(n->time_ns), db_int(n->level)), NULL, err);
    return rc || n->level == NOTICE_SILENT ? rc : notice_tell(tx, n->id, "made", err);
}

/* What a change of a task's state means to people; the first row that fits. reason NULL: any; "x*": begins so. */
static const struct {
    const char *state, *reason;
    int64_t level; /* silent: nothing is told */
    const char *kind, *words;
} changes[] = {
    {"needs_you", "approval", NOTICE_SILENT, "", ""}, /* gate.waiting tells it */
    {"needs_you", "budget", NOTICE_NOW, "budget", "needs you: a budget is spent"},
    {"needs_you", "price", NOTICE_NOW, "budget", "needs you: the price of its model is not known"},
    {"needs_you", "stuck*", NOTICE_NOW, "stuck", "needs you: it is stuck"},
    {"needs_you", NULL, NOTICE_NOW, "question", "needs you"},
    {"paused", "limit_budget", NOTICE_NOW, "budget", "needs you: a budget is spent"},
    {"paused", "limit_*", NOTICE_NOW, "limit", "needs you: it reached a limit"},
    {"done", "undone", NOTICE_SILENT, "", ""},
    {"done", NULL, NOTICE_DONE, "task_done", "is done"},
    {"unproven", NULL, NOTICE_DONE, "task_done", "has ended, without a proof"},
    {"failed", NULL, NOTICE_DONE, "task_failed", "has failed"},
};

static bool reason_fits(const char *pattern, const char *reason)
{
    size_t n = pattern ? strlen(pattern) : 0;
    return !pattern || (n && pattern[n - 1] == '*' ? strncmp(pattern, reason, n - 1) == 0 : !strcmp(pattern, reason));
}

static void change_tell(mem *ctx, struct json data, struct notice *n)
{
    const char *state = json_z(ctx, json_get(data, "state"), ""), *reason = json_z(ctx, json_get(data, "reason"), "");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        if (strcmp(changes[i].state, state) != 0 || !reason_fits(changes[i].reason, reason))
            continue;
        n->level = changes[i].level;
        n->kind = changes[i].kind;
        n->words = changes[i].words;
        return;
    }
}

/* Of a task that is an attempt of a trial: how its siblings stand. */
struct siblings {
    const char *trial;
    int64_t attempt, alive, done, waiting; /* others: not at their end; done; waiting for the same reason */
};
static const struct db_column siblings_columns[] = {
    DB_COLUMN(siblings, trial, DB_TEXT), DB_COLUMN(siblings, attempt, DB_INT64), DB_COLUMN(siblings, alive, DB_INT64),
    DB_COLUMN(siblings, done, DB_INT64), DB_COLUMN(siblings, waiting, DB_INT64),
};
static const struct db_shape siblings_shape = DB_SHAPE(siblings, siblings_columns);

/* A trial is one thing to people: its winner is told, its end without one is told by the attempt that ends last, and
 * what several attempts wait for is told by the first of them. */
static enum rc trial_apply(mem *ctx, struct store_tx *tx, struct json data, struct notice *n, struct err *err)
{
    DB_SQL(
        sql,
        "SELECT t.trial, t.attempt, (SELECT count(*) FROM task o WHERE o.trial = t.trial AND o.trial <> '' AND o.id <> t.id AND"
        " o.state NOT IN ('done', 'unproven', 'stopped', 'failed')) AS alive,"
        " (SELECT count(*) FROM task o WHERE o.trial = t.trial AND o.trial <> '' AND o.id <> t.id AND o.state = 'done') AS done,"
        " (SELECT count(*) FROM task o WHERE o.trial = t.trial AND o.trial <> '' AND o.id <> t.id AND o.state = $2"
        " AND o.reason = $3) AS waiting FROM task t WHERE t.id = $1 AND t.trial <> ''");
    struct siblings s;
    const char *state = json_z(ctx, json_get(data, "state"), "needs_you"),
               *reason = json_z(ctx, json_get(data, "reason"), "approval");
    enum rc rc =
        db_one(ctx, tx->c, &sql, DB_ARGS(db_text(n->task), db_text(state), db_text(reason)), &siblings_shape, &s, err);
    if (rc)
        return rc == RC_NOT_FOUND ? RC_OK : rc;
    bool won = strcmp(state, "done") == 0, ended = n->level == NOTICE_DONE && strcmp(n->kind, "budget") != 0;
    if ((ended && !won && (s.alive || s.done)) || (n->level == NOTICE_NOW && s.waiting))
        n->level = NOTICE_SILENT;
    n->words = mem_printf(ctx, "%s (attempt %lld of trial %s)", n->words, (long long)s.attempt, s.trial);
    return RC_OK;
}

enum rc notice_of_event(struct store_tx *tx, const char *task_id, const struct event *e, int64_t number,
                        struct err *err)
{
    bool change = strcmp(e->type, "task.state") == 0, gate = strcmp(e->type, "gate.waiting") == 0,
         soft = strcmp(e->type, "budget.soft") == 0, fresh;
    if (!change && !gate && !soft)
        return RC_OK;
    CLEANUP_MEM mem *tmp = mem_root();
    struct notice n = {.task = task_id, .time_ns = e->time_ns};
    struct json data = {0};
    if (gate)
        n = (struct notice){.task = task_id,
                            .time_ns = e->time_ns,
                            .level = NOTICE_NOW,
                            .kind = "approval",
                            .words = "needs you: it waits for an approval"};
    if (soft)
        n = (struct notice){.task = task_id,
                            .time_ns = e->time_ns,
                            .level = NOTICE_DONE,
                            .kind = "budget",
                            .words = "spends a budget whose threshold is reached"};
    if (change && json_parse(tmp, str_of(e->data), &data, NULL) == RC_OK)
        change_tell(tmp, data, &n);
    enum rc rc = n.level ? trial_apply(tmp, tx, data, &n, err) : RC_OK;
    if (rc || !n.level)
        return rc;
    n.key = mem_printf(tmp, "task:%s:%lld", task_id, (long long)number);
    n.words = mem_printf(tmp, "task %s %s", task_id, n.words);
    return notice_insert(tmp, tx, &n, &fresh, err);
}

enum rc notice_list(mem *ctx, struct store *s, int64_t level, int64_t before, int64_t limit, struct notice **ret,
                    size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " NOTICE_COLUMNS " FROM notice WHERE id < $1 AND (level & $2) <> 0 ORDER BY id DESC LIMIT $3");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql,
                  DB_ARGS(db_int(before > 0 ? before : INT64_MAX), db_int(level ? level : NOTICE_ALL), db_int(limit)),
                  &notice_shape, ret, ret_n, err);
}

enum rc notice_expire(struct store_tx *tx, int64_t before_ns, int64_t most, int64_t *ret_n, struct err *err)
{
    DB_SQL(sql_delivery, "DELETE FROM delivery WHERE notice IN"
                         " (SELECT id FROM notice WHERE time_ns < $1 ORDER BY time_ns, id LIMIT $2)");
    DB_SQL(sql_notice,
           "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE time_ns < $1 ORDER BY time_ns, id LIMIT $2)");
    enum rc rc = db_exec(tx->c, &sql_delivery, DB_ARGS(db_int(before_ns), db_int(most)), NULL, err);
    return rc ? rc : db_exec(tx->c, &sql_notice, DB_ARGS(db_int(before_ns), db_int(most)), ret_n, err);
}

enum rc notice_last(struct store *s, const char *kind, int64_t *ret_ns, struct err *err)
{
    DB_SQL(sql, "SELECT MAX(time_ns) FROM notice WHERE kind = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_one_int(c, &sql, DB_ARGS(db_text(kind)), ret_ns, err);
}

static const struct db_column digest_columns[] = {
    DB_COLUMN(digest, done, DB_INT64),
    DB_COLUMN(digest, unproven, DB_INT64),
    DB_COLUMN(digest, failed, DB_INT64),
    DB_COLUMN(digest, waiting, DB_INT64),
};
static const struct db_shape digest_shape = DB_SHAPE(digest, digest_columns);

enum rc notice_digest(struct store *s, int64_t from_ns, int64_t to_ns, struct digest *ret, struct err *err)
{
    DB_SQL(sql,
           "SELECT (SELECT count(*) FROM task WHERE state = 'done' AND ended_ns >= $1 AND ended_ns < $2),"
           " (SELECT count(*) FROM task WHERE state = 'unproven' AND ended_ns >= $1 AND ended_ns < $2),"
           " (SELECT count(*) FROM task WHERE state = 'failed' AND ended_ns >= $1 AND ended_ns < $2),"
           " (SELECT count(*) FROM task WHERE state = 'needs_you' OR (state = 'paused' AND reason LIKE 'limit%'))");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_one(NULL, c, &sql, DB_ARGS(db_int(from_ns), db_int(to_ns)), &digest_shape, ret, err);
}

/* ---- channels ---- */

#define CHANNEL_COLUMNS                                                                                                \
    "id, kind, name, target, levels, p256dh, auth, enabled, user_name, created_ns, last_ok_ns, failures, problem"
static const struct db_column channel_columns[] = {
    DB_COLUMN(channel, id, DB_TEXT),          DB_COLUMN(channel, kind, DB_TEXT),
    DB_COLUMN(channel, name, DB_TEXT),        DB_COLUMN(channel, target, DB_TEXT),
    DB_COLUMN(channel, levels, DB_INT64),     DB_COLUMN(channel, p256dh, DB_TEXT),
    DB_COLUMN(channel, auth, DB_TEXT),        DB_COLUMN(channel, enabled, DB_BOOL),
    DB_COLUMN(channel, user, DB_TEXT),        DB_COLUMN(channel, created_ns, DB_INT64),
    DB_COLUMN(channel, last_ok_ns, DB_INT64), DB_COLUMN(channel, failures, DB_INT64),
    DB_COLUMN(channel, problem, DB_TEXT),
};
static const struct db_shape channel_shape = DB_SHAPE(channel, channel_columns);

static bool text_valid(const char *z, size_t most)
{
    for (const char *p = z; p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return z && *z && strlen(z) <= most && str_utf8(str_of(z));
}

static enum rc channel_check(const struct channel *c, struct err *err)
{
    if (!text_valid(c->name, 100))
        return err_set(err, RC_INVALID, "a channel's name has 1 to 100 bytes and no control characters");
    if (!text_valid(c->target, TEXT_MOST))
        return err_set(err, RC_INVALID, "a channel leads somewhere: an address of at most %d bytes", TEXT_MOST);
    if (c->levels < 1 || c->levels > NOTICE_ALL)
        return err_set(err, RC_INVALID, "a channel is told of at least one of now, done and digest");
    return RC_OK;
}

static enum rc channel_missing(struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no such channel");
    err_hint(err, "nightmill notify ls lists them");
    return RC_NOT_FOUND;
}

enum rc channel_insert(struct store_tx *tx, const struct channel *c, struct err *err)
{
    DB_SQL(sql_count, "SELECT count(*) FROM channel");
    DB_SQL(sql,
           "INSERT INTO channel (" CHANNEL_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
    int64_t count = 0;
    enum rc rc = channel_check(c, err);
    if (!rc)
        rc = db_one_int(tx->c, &sql_count, DB_NONE, &count, err);
    if (!rc && count >= CHANNELS_MOST) {
        err_set(err, RC_LIMIT, "there are %d channels already", CHANNELS_MOST);
        return err_hint(err, "remove some: nightmill notify rm ID");
    }
    return rc ? rc : db_exec(tx->c, &sql, DB_ROW(&channel_shape, c), NULL, err);
}

enum rc channel_update(struct store_tx *tx, const struct channel *c, struct err *err)
{
    DB_SQL(sql,
           "UPDATE channel SET kind = $2, name = $3, target = $4, levels = $5, p256dh = $6, auth = $7, enabled = $8,"
           " user_name = $9, created_ns = $10, last_ok_ns = $11, failures = $12, problem = $13 WHERE id = $1");
    int64_t changed = 0;
    enum rc rc = channel_check(c, err);
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ROW(&channel_shape, c), &changed, err);
    return rc || changed ? rc : channel_missing(err);
}

enum rc channel_remove(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql_drop, "UPDATE delivery SET state = 'dropped' WHERE channel = $1 AND state = 'waiting'");
    DB_SQL(sql, "DELETE FROM channel WHERE id = $1");
    int64_t changed = 0;
    enum rc rc = db_exec(tx->c, &sql_drop, DB_ARGS(db_text(id)), NULL, err);
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ARGS(db_text(id)), &changed, err);
    return rc || changed ? rc : channel_missing(err);
}

enum rc channel_list(mem *ctx, struct store *s, struct channel **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " CHANNEL_COLUMNS " FROM channel ORDER BY created_ns, id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &channel_shape, ret, ret_n, err);
}

enum rc channel_find(mem *ctx, struct store *s, const char *id, struct channel *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " CHANNEL_COLUMNS " FROM channel WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &channel_shape, ret, err);
    return rc == RC_NOT_FOUND ? channel_missing(err) : rc;
}

enum rc channel_by_target(mem *ctx, struct store *s, const char *target, struct channel *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " CHANNEL_COLUMNS " FROM channel WHERE target = $1 AND kind = 'push'");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(target)), &channel_shape, ret, err);
    return rc == RC_NOT_FOUND ? channel_missing(err) : rc;
}

/* ---- deliveries ---- */

#define DELIVERY_COLUMNS "id, notice, channel, state, attempts, next_ns, sent_ns, status, words"
static const struct db_column delivery_columns[] = {
    DB_COLUMN(delivery, id, DB_INT64),       DB_COLUMN(delivery, notice, DB_INT64),
    DB_COLUMN(delivery, channel, DB_TEXT),   DB_COLUMN(delivery, state, DB_TEXT),
    DB_COLUMN(delivery, attempts, DB_INT64), DB_COLUMN(delivery, next_ns, DB_INT64),
    DB_COLUMN(delivery, sent_ns, DB_INT64),  DB_COLUMN(delivery, status, DB_INT64),
    DB_COLUMN(delivery, words, DB_TEXT),
};
static const struct db_shape delivery_shape = DB_SHAPE(delivery, delivery_columns);

enum rc delivery_of_notice(mem *ctx, struct store *s, int64_t notice, struct delivery **ret, size_t *ret_n,
                           struct err *err)
{
    DB_SQL(sql, "SELECT " DELIVERY_COLUMNS " FROM delivery WHERE notice = $1 ORDER BY id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_int(notice)), &delivery_shape, ret, ret_n, err);
}

static enum rc due_find(mem *ctx, struct db_conn *c, int64_t now_ns, const char *const *busy, struct delivery *ret,
                        int64_t *ret_next_ns, struct err *err)
{
    DB_SQL(sql, "SELECT " DELIVERY_COLUMNS " FROM delivery WHERE state = 'waiting' AND next_ns <= $1"
                " AND channel NOT IN ($2, $3, $4, $5, $6, $7, $8, $9) ORDER BY next_ns, id LIMIT 1");
    DB_SQL(sql_next, "SELECT next_ns FROM delivery WHERE state = 'waiting'"
                     " AND channel NOT IN ($1, $2, $3, $4, $5, $6, $7, $8) ORDER BY next_ns, id LIMIT 1");
    const char *b[BUSY_MOST];
    for (size_t i = 0; i < BUSY_MOST; i++)
        b[i] = busy && *busy ? *busy++ : "";
    enum rc rc = db_one(ctx, c, &sql,
                        DB_ARGS(db_int(now_ns), db_text(b[0]), db_text(b[1]), db_text(b[2]), db_text(b[3]),
                                db_text(b[4]), db_text(b[5]), db_text(b[6]), db_text(b[7])),
                        &delivery_shape, ret, err);
    *ret_next_ns = INT64_MAX;
    if (rc != RC_NOT_FOUND)
        return rc;
    rc = db_one_int(c, &sql_next,
                    DB_ARGS(db_text(b[0]), db_text(b[1]), db_text(b[2]), db_text(b[3]), db_text(b[4]), db_text(b[5]),
                            db_text(b[6]), db_text(b[7])),
                    ret_next_ns, err);
    return rc ? rc : RC_NOT_FOUND;
}

enum rc delivery_due(mem *ctx, struct store *s, int64_t now_ns, const char *const *busy, struct delivery *ret,
                     struct notice *ret_notice, struct channel *ret_channel, int64_t *ret_next_ns, struct err *err)
{
    DB_SQL(sql_notice, "SELECT " NOTICE_COLUMNS " FROM notice WHERE id = $1");
    DB_SQL(sql_channel, "SELECT " CHANNEL_COLUMNS " FROM channel WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = due_find(ctx, c, now_ns, busy, ret, ret_next_ns, err);
    if (rc)
        return rc;
    rc = db_one(ctx, c, &sql_notice, DB_ARGS(db_int(ret->notice)), &notice_shape, ret_notice, err);
    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_BUG, "a delivery has no notice");
    if (!rc)
        rc = db_one(ctx, c, &sql_channel, DB_ARGS(db_text(ret->channel)), &channel_shape, ret_channel, err);
    return rc == RC_NOT_FOUND ? err_set(err, RC_BUG, "a delivery has no channel") : rc;
}

enum rc delivery_tried(struct store_tx *tx, const struct delivery *d, const struct channel *c, struct err *err)
{
    DB_SQL(sql, "UPDATE delivery SET state = $2, attempts = $3, next_ns = $4, sent_ns = $5, status = $6, words = $7"
                " WHERE id = $1 AND state = 'waiting'");
    DB_SQL(
        sql_channel,
        "UPDATE channel SET last_ok_ns = $2, failures = $3, enabled = CASE WHEN $4 = 0 THEN 0 ELSE enabled END, problem = $5 WHERE id = $1");
    enum rc rc = db_exec(tx->c, &sql,
                         DB_ARGS(db_int(d->id), db_text(d->state), db_int(d->attempts), db_int(d->next_ns),
                                 db_int(d->sent_ns), db_int(d->status), db_text(d->words)),
                         NULL, err);
    if (rc == RC_OK)
        rc = notice_tell(tx, d->notice, d->state, err);
    return rc ? rc
              : db_exec(tx->c, &sql_channel,
                        DB_ARGS(db_text(c->id), db_int(c->last_ok_ns), db_int(c->failures), db_int(c->enabled),
                                db_text(c->problem)),
                        NULL, err);
}

void store_on_notice(struct store *s, void (*fn)(void *arg), void *arg)
{
    s->on_notice = fn;
    s->on_notice_arg = arg;
}
