/* Exchanges: rows and the pieces of their bodies. */
#include "store/exchange.h"
#include "store/store_private.h"
#include <inttypes.h>
#include <zlib.h>

#define DAY_NS INT64_C(86400000000000)

/* ---- rows ---- */

#define INSERTED 37 /* columns but the number */
#define COLUMNS                                                                                                        \
    "id, time_ns, organisation, project, task, agent, key, user_id, dialect, endpoint, model, client, stream, state,"  \
    " status, outcome, provider, model_served, content_type, usage_known, input, cache_read, cache_write,"             \
    " cache_write_1h, output, reasoning, cost, currency, cache_hit, first_byte_ms, ms, words, attempts, request_hash," \
    " request_bytes, answer_bytes, request_body, answer_body"
static const struct db_column exchange_columns[] = {
    DB_COLUMN(exchange, id, DB_TEXT),
    DB_COLUMN(exchange, time_ns, DB_INT64),
    DB_COLUMN(exchange, spender.organisation, DB_TEXT),
    DB_COLUMN(exchange, spender.project, DB_TEXT),
    DB_COLUMN(exchange, spender.task, DB_TEXT),
    DB_COLUMN(exchange, spender.agent, DB_TEXT),
    DB_COLUMN(exchange, spender.key, DB_TEXT),
    DB_COLUMN(exchange, spender.user, DB_TEXT),
    DB_COLUMN(exchange, dialect, DB_TEXT),
    DB_COLUMN(exchange, endpoint, DB_TEXT),
    DB_COLUMN(exchange, model, DB_TEXT),
    DB_COLUMN(exchange, client, DB_TEXT),
    DB_COLUMN(exchange, stream, DB_BOOL),
    DB_COLUMN(exchange, state, DB_TEXT),
    DB_COLUMN(exchange, status, DB_INT64),
    DB_COLUMN(exchange, outcome, DB_TEXT),
    DB_COLUMN(exchange, provider, DB_TEXT),
    DB_COLUMN(exchange, model_served, DB_TEXT),
    DB_COLUMN(exchange, content_type, DB_TEXT),
    DB_COLUMN(exchange, usage_known, DB_BOOL),
    DB_COLUMN(exchange, usage.input, DB_INT64),
    DB_COLUMN(exchange, usage.cache_read, DB_INT64),
    DB_COLUMN(exchange, usage.cache_write, DB_INT64),
    DB_COLUMN(exchange, usage.cache_write_1h, DB_INT64),
    DB_COLUMN(exchange, usage.output, DB_INT64),
    DB_COLUMN(exchange, usage.reasoning, DB_INT64),
    DB_COLUMN(exchange, cost, DB_INT64),
    DB_COLUMN(exchange, currency, DB_TEXT),
    DB_COLUMN(exchange, cache_hit, DB_BOOL),
    DB_COLUMN(exchange, first_byte_ms, DB_INT64),
    DB_COLUMN(exchange, ms, DB_INT64),
    DB_COLUMN(exchange, words, DB_TEXT),
    DB_COLUMN(exchange, attempts, DB_TEXT),
    DB_COLUMN(exchange, request_hash, DB_TEXT),
    DB_COLUMN(exchange, request_bytes, DB_INT64),
    DB_COLUMN(exchange, answer_bytes, DB_INT64),
    DB_COLUMN(exchange, request_body, DB_TEXT),
    DB_COLUMN(exchange, answer_body, DB_TEXT),
    DB_COLUMN(exchange, number, DB_INT64),
};
_Static_assert(sizeof exchange_columns / sizeof *exchange_columns == INSERTED + 2, "all columns and the number");
static const struct db_shape read_shape = DB_SHAPE(exchange, exchange_columns);

enum rc exchange_put(struct store_tx *tx, struct exchange *x, struct err *err)
{
    /* Without RETURNING, for which SQLite opens a table of its own each time. */
    DB_SQL(next, "SELECT coalesce(max(number), 0) + 1 FROM exchange");
    DB_SQL(
        insert,
        "INSERT INTO exchange (" COLUMNS
        ", number) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
        " $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39)");
    DB_SQL(update,
           "UPDATE exchange SET (" COLUMNS
           ") = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,"
           " $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38) WHERE number = $39");
    enum rc rc;
    int64_t changed;
    if (!x->number) {
        rc = db_one_int(tx->c, &next, DB_NONE, &x->number, err);
        if (rc == RC_OK)
            rc = db_exec(tx->c, &insert, DB_ROW(&read_shape, x), NULL, err);
        if (rc != RC_OK)
            x->number = 0;
        return rc;
    }
    rc = db_exec(tx->c, &update, DB_ROW(&read_shape, x), &changed, err);
    return rc || changed ? rc : err_set(err, RC_NOT_FOUND, "there is no request %s any more", x->id);
}

enum rc exchange_mark_incomplete(struct store_tx *tx, int64_t *ret_n, struct err *err)
{
    DB_SQL(sql, "UPDATE exchange SET state = 'incomplete',"
                " answer_body = CASE WHEN answer_body = 'whole' THEN 'cut' ELSE answer_body END WHERE state = 'open'");
    return db_exec(tx->c, &sql, DB_NONE, ret_n, err);
}

#define REST                                                                                                           \
    " AND ($2 = '' OR model = $2 OR model_served = $2) AND ($3 = '' OR provider = $3) AND ($4 = '' OR outcome = $4)"   \
    " AND ($5 = '' OR state = $5) AND ($6 = 0 OR status = $6 OR status / 100 = $6) AND time_ns >= $7 AND time_ns < $8" \
    " AND ($9 = '' OR key = $9) AND ($10 = '' OR project = $10)"
#define SELECT "SELECT " COLUMNS ", number FROM exchange WHERE "
enum rc exchange_list(mem *ctx, struct store *s, const struct exchange_filter *f, struct exchange **ret, size_t *ret_n,
                      struct err *err)
{
    DB_SQL(all, SELECT "number < $1" REST " AND $12 = '' ORDER BY number DESC LIMIT $11");
    DB_SQL(of_task, SELECT "number < $1" REST " AND task = $12 AND task <> '' ORDER BY number DESC LIMIT $11");
    DB_SQL(of_key, SELECT "number < $1" REST " AND key = $9 AND key <> '' AND $12 = '' ORDER BY number DESC LIMIT $11");
    DB_SQL(of_project, SELECT "number < $1" REST
                              " AND project = $10 AND project <> '' AND $12 = '' ORDER BY number DESC LIMIT $11");
    DB_SQL(task_onward, SELECT "number > $1" REST " AND task = $12 AND task <> '' ORDER BY number LIMIT $11");
    DB_SQL(onward, SELECT "number > $1" REST " AND ($12 = '' OR task = $12) ORDER BY number LIMIT $11");
    const char *const *sql = f->task ? &of_task : f->key ? &of_key : f->project ? &of_project : &all;
    if (f->oldest_first)
        sql = f->task ? &task_onward : &onward;
    int64_t limit = f->limit > 0 && f->limit < EXCHANGE_LIST_MAX ? f->limit : EXCHANGE_LIST_MAX;
    int64_t from = f->before || f->oldest_first ? f->before : INT64_MAX;
    struct db_args args =
        DB_ARGS(db_int(from), db_text(f->model ? f->model : ""), db_text(f->provider ? f->provider : ""),
                db_text(f->outcome ? f->outcome : ""), db_text(f->state ? f->state : ""), db_int(f->status),
                db_int(f->since_ns), db_int(f->until_ns ? f->until_ns : INT64_MAX), db_text(f->key ? f->key : ""),
                db_text(f->project ? f->project : ""), db_int(limit), db_text(f->task ? f->task : ""));
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, sql, args, &read_shape, ret, ret_n, err);
}

enum rc exchange_find(mem *ctx, struct store *s, const char *id, struct exchange *ret, struct err *err)
{
    DB_SQL(sql, SELECT "id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &read_shape, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    err_set(err, rc, "there is no record of the request %.100s", id);
    err_hint(err, "list them with: nightmill request ls");
    return rc;
}

/* ---- bodies ---- */

static const char *side_name(enum exchange_side side)
{
    return side == EXCHANGE_REQUEST ? "request" : "answer";
}

struct str exchange_pack(mem *ctx, struct str bytes)
{
    BUG_ON(bytes.n > EXCHANGE_PIECE_MAX);
    uLongf n = compressBound(bytes.n);
    char *packed = mem_zalloc(ctx, n);
    BUG_ON(compress2((Bytef *)packed, &n, (const Bytef *)bytes.p, bytes.n, Z_BEST_SPEED) != Z_OK);
    return str_n(packed, n);
}

enum rc exchange_piece_put(struct store_tx *tx, int64_t number, enum exchange_side side, int64_t piece, int64_t bytes,
                           struct str packed, struct err *err)
{
    DB_SQL(sql, "INSERT INTO exchange_piece (exchange, side, piece, bytes, packed) VALUES ($1, $2, $3, $4, $5)");
    return db_exec(tx->c, &sql,
                   DB_ARGS(db_int(number), db_text(side_name(side)), db_int(piece), db_int(bytes), db_bytes(packed)),
                   NULL, err);
}

struct piece {
    int64_t piece, bytes;
    struct str packed;
};
static const struct db_column piece_columns[] = {DB_COLUMN(piece, piece, DB_INT64), DB_COLUMN(piece, bytes, DB_INT64),
                                                 DB_COLUMN(piece, packed, DB_BYTES)};
static const struct db_shape piece_shape = DB_SHAPE(piece, piece_columns);

static bool piece_unpack(const struct piece *p, struct buf *out)
{
    uLongf n = (uLongf)p->bytes;
    char *room = p->bytes > 0 && p->bytes <= EXCHANGE_PIECE_MAX ? buf_reserve(out, n) : NULL;
    if (!room || uncompress((Bytef *)room, &n, (const Bytef *)p->packed.p, p->packed.n) != Z_OK ||
        n != (uLongf)p->bytes)
        return false;
    buf_advance(out, n);
    return true;
}

enum rc exchange_body(mem *ctx, struct store *s, int64_t number, enum exchange_side side, size_t most, struct str *ret,
                      bool *ret_cut, struct err *err)
{
    DB_SQL(sql, "SELECT piece, bytes, packed FROM exchange_piece WHERE exchange = $1 AND side = $2 AND piece = $3");
    struct buf out;
    enum rc rc = RC_OK;
    buf_init(&out, ctx, most + EXCHANGE_PIECE_MAX);
    DB_READER struct db_conn *c = db_reader(s->db);
    for (int64_t piece = 1; rc == RC_OK && out.n <= most; piece++) { /* one at a time: a body may be large */
        CLEANUP_MEM mem *tmp = mem_root();
        struct piece p = {0};
        rc = db_one(tmp, c, &sql, DB_ARGS(db_int(number), db_text(side_name(side)), db_int(piece)), &piece_shape, &p,
                    err);
        if (rc == RC_OK && !piece_unpack(&p, &out))
            return err_set(err, RC_IO, "piece %" PRId64 " of the %s is damaged in the database", piece,
                           side_name(side));
    }
    if (rc && rc != RC_NOT_FOUND)
        return rc;
    if (ret_cut)
        *ret_cut = out.n > most;
    *ret = str_sub(buf_view(&out), 0, most);
    return RC_OK;
}

/* ---- what is kept ---- */

static const char *const keeps[] = {"none", "metadata", "full"};

const char *record_keep_name(enum record_keep keep)
{
    return keeps[keep];
}

bool record_keep_find(const char *name, enum record_keep *ret)
{
    for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
        if (strcmp(keeps[i], name) == 0) {
            *ret = (enum record_keep)i;
            return true;
        }
    }
    return false;
}

struct policy_row {
    const char *project, *keep;
    int64_t days_metadata, days_bodies, body_max;
};
static const struct db_column policy_columns[] = {
    DB_COLUMN(policy_row, project, DB_TEXT),        DB_COLUMN(policy_row, keep, DB_TEXT),
    DB_COLUMN(policy_row, days_metadata, DB_INT64), DB_COLUMN(policy_row, days_bodies, DB_INT64),
    DB_COLUMN(policy_row, body_max, DB_INT64),
};
static const struct db_shape policy_shape = DB_SHAPE(policy_row, policy_columns);

enum rc record_policy_set(struct store_tx *tx, const struct record_policy *p, struct err *err)
{
    DB_SQL(sql,
           "INSERT INTO record_policy (project, keep, days_metadata, days_bodies, body_max) VALUES ($1, $2, $3, $4,"
           " $5) ON CONFLICT (project) DO UPDATE SET keep = excluded.keep, days_metadata = excluded.days_metadata,"
           " days_bodies = excluded.days_bodies, body_max = excluded.body_max");
    if (!p->project || !p->project[0] || strlen(p->project) > SCOPE_ID_MAX)
        return err_set(err, RC_INVALID, "the name of a project has 1 to %d bytes", SCOPE_ID_MAX);
    if (p->days_metadata < 0 || p->days_bodies < 0 || p->body_max < 0)
        return err_set(err, RC_INVALID, "days and sizes are not negative");
    struct policy_row row = {p->project, record_keep_name(p->keep), p->days_metadata, p->days_bodies, p->body_max};
    return db_exec(tx->c, &sql, DB_ROW(&policy_shape, &row), NULL, err);
}

enum rc record_policy_remove(struct store_tx *tx, const char *project, struct err *err)
{
    DB_SQL(sql, "DELETE FROM record_policy WHERE project = $1");
    int64_t changed;
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_text(project)), &changed, err);
    if (rc || changed)
        return rc;
    return err_set(err, RC_NOT_FOUND, "the project %.100s has no record policy of its own", project);
}

enum rc record_policy_list(mem *ctx, struct store *s, struct record_policy **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT project, keep, days_metadata, days_bodies, body_max FROM record_policy ORDER BY project");
    struct policy_row *rows;
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_all(ctx, c, &sql, DB_NONE, &policy_shape, &rows, ret_n, err);
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct record_policy, *ret_n ? *ret_n : 1);
    for (size_t i = 0; i < *ret_n; i++) {
        (*ret)[i] = (struct record_policy){rows[i].project, RECORD_NONE, rows[i].days_metadata, rows[i].days_bodies,
                                           rows[i].body_max};
        record_keep_find(rows[i].keep, &(*ret)[i].keep);
    }
    return RC_OK;
}

/* ---- retention ---- */

#define OF_POLICY                                                                                                      \
    "((project = $2 AND project <> '') OR ($2 = '' AND NOT EXISTS (SELECT 1 FROM record_policy r WHERE r.project ="    \
    " exchange.project)))"
/* $1 is the time before which they go. */
#define OLD_BODIES                                                                                                     \
    "SELECT number FROM exchange WHERE (request_body IN ('whole', 'cut') OR answer_body IN ('whole', 'cut')) AND"      \
    " time_ns < $1 AND state <> 'open' AND " OF_POLICY " ORDER BY time_ns LIMIT $3"
#define OLD_ROWS                                                                                                       \
    "SELECT number FROM exchange WHERE time_ns < $1 AND state <> 'open' AND " OF_POLICY " ORDER BY time_ns LIMIT $3"

enum rc exchange_expire(struct store_tx *tx, const struct record_policy *p, int64_t now_ns, int64_t most,
                        int64_t *ret_n, struct err *err)
{
    DB_SQL(pieces, "DELETE FROM exchange_piece WHERE exchange IN (" OLD_BODIES ")");
    DB_SQL(bodies,
           "UPDATE exchange SET request_body = CASE WHEN request_body = '' THEN '' ELSE 'expired' END,"
           " answer_body = CASE WHEN answer_body = '' THEN '' ELSE 'expired' END WHERE number IN (" OLD_BODIES ")");
    DB_SQL(row_pieces, "DELETE FROM exchange_piece WHERE exchange IN (" OLD_ROWS ")");
    DB_SQL(rows, "DELETE FROM exchange WHERE number IN (" OLD_ROWS ")");
    int64_t n = 0;
    enum rc rc = RC_OK;
    *ret_n = 0;
    if (p->days_bodies > 0) {
        struct db_args args =
            DB_ARGS(db_int(now_ns - p->days_bodies * DAY_NS), db_text(p->project ? p->project : ""), db_int(most));
        rc = db_exec(tx->c, &pieces, args, NULL, err);
        if (rc == RC_OK)
            rc = db_exec(tx->c, &bodies, args, &n, err);
        *ret_n += n;
    }
    n = 0;
    if (rc == RC_OK && p->days_metadata > 0) {
        struct db_args args =
            DB_ARGS(db_int(now_ns - p->days_metadata * DAY_NS), db_text(p->project ? p->project : ""), db_int(most));
        rc = db_exec(tx->c, &row_pieces, args, NULL, err);
        if (rc == RC_OK)
            rc = db_exec(tx->c, &rows, args, &n, err);
        *ret_n += n;
    }
    return rc;
}
