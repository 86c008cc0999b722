/* Rows of traffic, their texts, what was said about hosts. */
#include "store/traffic.h"
#include "store/store_private.h"

#define DAY_NS INT64_C(86400000000000)

/* ---- rows ---- */

#define COLUMNS                                                                                                        \
    "time_ns, task, project, agent, phase, host, port, scheme, method, path, status, bytes_up, bytes_down,"            \
    " first_byte_ms, ms, verdict, reason, address"
static const struct db_column traffic_columns[] = {
    DB_COLUMN(traffic, time_ns, DB_INT64),    DB_COLUMN(traffic, task, DB_TEXT),
    DB_COLUMN(traffic, project, DB_TEXT),     DB_COLUMN(traffic, agent, DB_TEXT),
    DB_COLUMN(traffic, phase, DB_TEXT),       DB_COLUMN(traffic, host, DB_TEXT),
    DB_COLUMN(traffic, port, DB_INT64),       DB_COLUMN(traffic, scheme, DB_TEXT),
    DB_COLUMN(traffic, method, DB_TEXT),      DB_COLUMN(traffic, path, DB_TEXT),
    DB_COLUMN(traffic, status, DB_INT64),     DB_COLUMN(traffic, bytes_up, DB_INT64),
    DB_COLUMN(traffic, bytes_down, DB_INT64), DB_COLUMN(traffic, first_byte_ms, DB_INT64),
    DB_COLUMN(traffic, ms, DB_INT64),         DB_COLUMN(traffic, verdict, DB_TEXT),
    DB_COLUMN(traffic, reason, DB_TEXT),      DB_COLUMN(traffic, address, DB_TEXT),
    DB_COLUMN(traffic, number, DB_INT64),
};
#define INSERTED 18
static const struct db_shape insert_shape = DB_SHAPE_HEAD(traffic, traffic_columns, INSERTED);
static const struct db_shape read_shape = DB_SHAPE(traffic, traffic_columns);

static enum rc texts_insert(struct store_tx *tx, int64_t number, const struct traffic_texts *t, struct err *err)
{
    DB_SQL(head, "INSERT INTO traffic_head (number, request, answer) VALUES ($1, $2, $3)");
    DB_SQL(body, "INSERT INTO traffic_body (number, request, answer, cut) VALUES ($1, $2, $3, $4)");
    enum rc rc = RC_OK;
    if (*t->request_head || *t->answer_head)
        rc = db_exec(tx->c, &head, DB_ARGS(db_int(number), db_text(t->request_head), db_text(t->answer_head)), NULL,
                     err);
    if (rc == RC_OK && (*t->request_body || *t->answer_body))
        rc = db_exec(tx->c, &body,
                     DB_ARGS(db_int(number), db_text(t->request_body), db_text(t->answer_body), db_int(t->cut)), NULL,
                     err);
    return rc;
}

enum rc traffic_insert(struct store_tx *tx, struct traffic *t, const struct traffic_texts *texts, struct err *err)
{
    DB_SQL(sql, "INSERT INTO traffic (" COLUMNS
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
                " RETURNING number");
    enum rc rc = db_one_int(tx->c, &sql, DB_ROW(&insert_shape, t), &t->number, err);
    return rc == RC_OK ? texts_insert(tx, t->number, texts, err) : rc;
}

enum rc traffic_origin_get(struct store_tx *tx, const char *origin, int64_t *ret_row, struct err *err)
{
    DB_SQL(sql, "SELECT row FROM traffic_origin WHERE origin = $1");
    *ret_row = 0;
    enum rc rc = db_one_int(tx->c, &sql, DB_ARGS(db_text(origin)), ret_row, err);
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc traffic_origin_put(struct store_tx *tx, const char *origin, int64_t row, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "INSERT INTO traffic_origin (origin, row, time_ns) VALUES ($1, $2, $3)"
                " ON CONFLICT (origin) DO UPDATE SET row = excluded.row, time_ns = excluded.time_ns");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(origin), db_int(row), db_int(now_ns)), NULL, err);
}

/* ---- reading ---- */

#define SELECT        "SELECT " COLUMNS ", number FROM traffic t WHERE "
#define LIKES(column) column " LIKE $10 ESCAPE '\\'"
#define REST                                                                                                                                                         \
    " AND ($2 = '' OR task = $2) AND ($3 = '' OR project = $3) AND ($4 = '' OR host = $4)"                                                                           \
    " AND ($5 = '' OR verdict = $5) AND ($6 = '' OR phase = $6) AND ($7 = '' OR method = $7)"                                                                        \
    " AND ($8 = 0 OR status = $8 OR status / 100 = $8) AND time_ns >= $9 AND time_ns < $11"                                                                          \
    " AND ($10 = '' OR " LIKES("host") " OR " LIKES("path") " OR " LIKES("reason") " OR EXISTS (SELECT 1 FROM traffic_head h WHERE h.number = t.number AND (" LIKES( \
        "h.request") " OR " LIKES("h.answer") ")) OR EXISTS (SELECT 1 FROM traffic_body b WHERE b.number = t.number AND (" LIKES("b.request") " OR " LIKES("b.answer") ")))"

/* The pattern of LIKE for a text that is meant as it is. */
static const char *like(mem *ctx, const char *text)
{
    struct buf b;
    if (!text || !*text)
        return "";
    buf_init(&b, ctx, 2 * strlen(text) + 8);
    buf_char(&b, '%');
    for (const char *c = text; *c; c++) {
        if (*c == '%' || *c == '_' || *c == '\\')
            buf_char(&b, '\\');
        buf_char(&b, *c);
    }
    buf_char(&b, '%');
    return buf_take(&b, ctx);
}

static const char *text_of(const char *z)
{
    return z ? z : "";
}

/* Where a search by text stops to look, and goes on when it is asked again. */
static int64_t search_bound(const struct traffic_filter *f, int64_t start)
{
    if (!f->text || !*f->text)
        return f->oldest_first ? INT64_MAX : -1;
    return f->oldest_first ? start + TRAFFIC_SEARCH_MOST : start - TRAFFIC_SEARCH_MOST;
}

enum rc traffic_list(mem *ctx, struct store *s, const struct traffic_filter *f, struct traffic **ret, size_t *ret_n,
                     int64_t *ret_next, struct err *err)
{
    DB_SQL(newest, SELECT "number < $1 AND number > $13" REST " ORDER BY number DESC LIMIT $12");
    DB_SQL(oldest, SELECT "number > $1 AND number < $13" REST " ORDER BY number LIMIT $12");
    DB_SQL(task_newest,
           SELECT "task = $2 AND task <> '' AND number < $1 AND number > $13" REST " ORDER BY number DESC LIMIT $12");
    DB_SQL(task_oldest,
           SELECT "task = $2 AND task <> '' AND number > $1 AND number < $13" REST " ORDER BY number LIMIT $12");
    DB_SQL(last, "SELECT coalesce(max(number), 0) FROM traffic");
    bool task = f->task && *f->task;
    int64_t limit = f->limit > 0 && f->limit < TRAFFIC_LIST_MAX ? f->limit : TRAFFIC_LIST_MAX, top = 0;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one_int(c, &last, DB_NONE, &top, err);
    if (rc != RC_OK)
        return rc;
    int64_t from = f->before || f->oldest_first ? f->before : top + 1, bound = search_bound(f, from);
    struct db_args args =
        DB_ARGS(db_int(from), db_text(text_of(f->task)), db_text(text_of(f->project)), db_text(text_of(f->host)),
                db_text(text_of(f->verdict)), db_text(text_of(f->phase)), db_text(text_of(f->method)),
                db_int(f->status), db_int(f->since_ns), db_text(like(ctx, f->text)),
                db_int(f->until_ns ? f->until_ns : INT64_MAX), db_int(limit), db_int(bound));
    const char *const *sql = f->oldest_first ? (task ? &task_oldest : &oldest) : task ? &task_newest : &newest;
    rc = db_all(ctx, c, sql, args, &read_shape, ret, ret_n, err);
    if (rc != RC_OK)
        return rc;
    bool more = f->oldest_first ? bound <= top : bound > 0;
    *ret_next = (int64_t)*ret_n == limit ? (*ret)[*ret_n - 1].number : !more ? 0 : bound + (f->oldest_first ? -1 : 1);
    return RC_OK;
}

enum rc traffic_find(mem *ctx, struct store *s, int64_t number, struct traffic *ret, struct err *err)
{
    DB_SQL(sql, SELECT "number = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_int(number)), &read_shape, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    err_set(err, rc, "there is no row of traffic with the number %lld", (long long)number);
    return err_hint(err, "list them with: nightmill traffic ls");
}

static const struct db_column head_columns[] = {
    DB_COLUMN(traffic_texts, request_head, DB_TEXT),
    DB_COLUMN(traffic_texts, answer_head, DB_TEXT),
};
static const struct db_shape head_shape = DB_SHAPE(traffic_texts, head_columns);
static const struct db_column body_columns[] = {
    DB_COLUMN(traffic_texts, request_body, DB_TEXT),
    DB_COLUMN(traffic_texts, answer_body, DB_TEXT),
    DB_COLUMN(traffic_texts, cut, DB_BOOL),
};
static const struct db_shape body_shape = DB_SHAPE(traffic_texts, body_columns);

enum rc traffic_texts_get(mem *ctx, struct store *s, int64_t number, struct traffic_texts *ret, struct err *err)
{
    DB_SQL(head, "SELECT request, answer FROM traffic_head WHERE number = $1");
    DB_SQL(body, "SELECT request, answer, cut FROM traffic_body WHERE number = $1");
    *ret = (struct traffic_texts){"", "", "", "", false, false, false};
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &head, DB_ARGS(db_int(number)), &head_shape, ret, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    ret->has_head = rc == RC_OK;
    rc = db_one(ctx, c, &body, DB_ARGS(db_int(number)), &body_shape, ret, err);
    ret->has_body = rc == RC_OK;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* ---- retention ---- */

/* Numbers grow with time, but for exchanges of very different lengths: only the oldest ones are looked at, so that no
 * index over time is needed. */
#define OLD(table)                                                                                                     \
    "SELECT o.number FROM (SELECT number FROM " table " ORDER BY number LIMIT $2) o LEFT JOIN traffic t"               \
    " ON t.number = o.number WHERE t.time_ns IS NULL OR t.time_ns < $1"
enum rc traffic_expire(struct store_tx *tx, int64_t now_ns, int64_t days_rows, int64_t days_heads, int64_t days_bodies,
                       int64_t most, int64_t *ret_n, struct err *err)
{
    DB_SQL(bodies, "DELETE FROM traffic_body WHERE number IN (" OLD("traffic_body") ")");
    DB_SQL(heads, "DELETE FROM traffic_head WHERE number IN (" OLD("traffic_head") ")");
    DB_SQL(rows, "DELETE FROM traffic WHERE number IN (" OLD("traffic") ")");
    DB_SQL(origins, "DELETE FROM traffic_origin WHERE time_ns < $1 - 0 * $2");
    const struct {
        const char *const *sql;
        int64_t days;
    } steps[] = {{&bodies, days_bodies}, {&heads, days_heads}, {&bodies, days_rows},
                 {&heads, days_rows},    {&rows, days_rows},   {&origins, 30}};
    enum rc rc = RC_OK;
    *ret_n = 0;
    for (size_t i = 0; rc == RC_OK && i < sizeof steps / sizeof *steps; i++) {
        int64_t n = 0;
        if (steps[i].days <= 0)
            continue;
        rc = db_exec(tx->c, steps[i].sql, DB_ARGS(db_int(now_ns - steps[i].days * DAY_NS), db_int(most)), &n, err);
        *ret_n += n;
    }
    return rc;
}

/* ---- hosts ---- */

static const struct db_column host_columns[] = {
    DB_COLUMN(egress_host, project, DB_TEXT), DB_COLUMN(egress_host, host, DB_TEXT),
    DB_COLUMN(egress_host, port, DB_INT64),   DB_COLUMN(egress_host, verdict, DB_TEXT),
    DB_COLUMN(egress_host, said_by, DB_TEXT), DB_COLUMN(egress_host, said_ns, DB_INT64),
};
static const struct db_shape host_shape = DB_SHAPE(egress_host, host_columns);

enum rc egress_host_put(struct store_tx *tx, const struct egress_host *h, struct err *err)
{
    DB_SQL(sql,
           "INSERT INTO egress_host (project, host, port, verdict, said_by, said_ns) VALUES ($1, $2, $3, $4, $5, $6)"
           " ON CONFLICT (project, host, port) DO UPDATE SET verdict = excluded.verdict,"
           " said_by = excluded.said_by, said_ns = excluded.said_ns");
    return db_exec(tx->c, &sql, DB_ROW(&host_shape, h), NULL, err);
}

enum rc egress_host_remove(struct store_tx *tx, const char *project, const char *host, int64_t port, struct err *err)
{
    DB_SQL(sql, "DELETE FROM egress_host WHERE project = $1 AND host = $2 AND port = $3");
    int64_t n = 0;
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_text(project), db_text(host), db_int(port)), &n, err);
    return rc || n ? rc : err_set(err, RC_NOT_FOUND, "nothing was said about %s", host);
}

enum rc egress_host_list(mem *ctx, struct store *s, const char *project, struct egress_host **ret, size_t *ret_n,
                         struct err *err)
{
    DB_SQL(sql, "SELECT project, host, port, verdict, said_by, said_ns FROM egress_host"
                " WHERE $1 IS NULL OR project = $1 OR project = '' ORDER BY project DESC, host, port");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_ARGS(db_text(project)), &host_shape, ret, ret_n, err);
}
