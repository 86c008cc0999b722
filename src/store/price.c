/* Prices: dated rows that are never changed. */
#include "store/price.h"
#include "store/store_private.h"
#include <pthread.h>
#include <stdio.h>
#include <uthash.h>

#define KEPT_MOST 4096

#define BUILT_IN "built-in: "
#define COLUMNS                                                                                                        \
    "model, currency, source, from_ns, input, cache_read, cache_write, cache_write_1h, output, above_input,"           \
    " above_cache_read, above_cache_write, above_cache_write_1h, above_output, above_tokens"
static const struct db_column price_columns[] = {
    DB_COLUMN(price, model, DB_TEXT),
    DB_COLUMN(price, currency, DB_TEXT),
    DB_COLUMN(price, source, DB_TEXT),
    DB_COLUMN(price, from_ns, DB_INT64),
    DB_COLUMN(price, base.input, DB_INT64),
    DB_COLUMN(price, base.cache_read, DB_INT64),
    DB_COLUMN(price, base.cache_write, DB_INT64),
    DB_COLUMN(price, base.cache_write_1h, DB_INT64),
    DB_COLUMN(price, base.output, DB_INT64),
    DB_COLUMN(price, above.input, DB_INT64),
    DB_COLUMN(price, above.cache_read, DB_INT64),
    DB_COLUMN(price, above.cache_write, DB_INT64),
    DB_COLUMN(price, above.cache_write_1h, DB_INT64),
    DB_COLUMN(price, above.output, DB_INT64),
    DB_COLUMN(price, above_tokens, DB_INT64),
    DB_COLUMN(price, id, DB_INT64),
};
static const struct db_shape read_shape = DB_SHAPE(price, price_columns);
static const struct db_shape insert_shape = DB_SHAPE_HEAD(price, price_columns, 15);

static bool is_built_in(const char *source)
{
    return strncmp(source, BUILT_IN, strlen(BUILT_IN)) == 0;
}

static enum rc price_check(const struct price *p, struct err *err)
{
    const pico rates[] = {p->base.input,           p->base.cache_read, p->base.cache_write, p->base.cache_write_1h,
                          p->base.output,          p->above.input,     p->above.cache_read, p->above.cache_write,
                          p->above.cache_write_1h, p->above.output,    p->above_tokens};
    if (!p->model || !p->model[0] || strlen(p->model) > 200)
        return err_set(err, RC_INVALID, "A price needs the name of a model, at most 200 bytes.");
    if (!currency_valid(p->currency))
        return err_set(err, RC_INVALID, "The currency of a price is three capital letters such as USD.");
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        if (rates[i] < 0)
            return err_set(err, RC_INVALID, "A price is not negative.");
    return RC_OK;
}

/* built_in is told by the source, which only this program can begin so. */
static enum rc insert(struct store_tx *tx, struct price *p, struct err *err)
{
    DB_SQL(sql, "INSERT INTO price (" COLUMNS
                ", built_in) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
                " CASE WHEN substr($3, 1, 10) = '" BUILT_IN "' THEN 1 ELSE 0 END) RETURNING id");
    tx->s->prices_changed = true;
    return db_one_int(tx->c, &sql, DB_ROW(&insert_shape, p), &p->id, err);
}

enum rc price_insert(struct store_tx *tx, struct price *p, struct err *err)
{
    enum rc rc = price_check(p, err);
    if (!rc && p->source && is_built_in(p->source))
        rc = err_set(err, RC_INVALID, "Only the program's own prices have a source that begins with '" BUILT_IN "'.");
    return rc ? rc : insert(tx, p, err);
}

enum rc price_insert_builtin(struct store_tx *tx, struct err *err)
{
    DB_SQL(
        sql,
        "SELECT id FROM price WHERE built_in = 1 AND model = $1 AND currency = $2 AND source = $3 AND from_ns = $4"
        " AND input = $5 AND cache_read = $6 AND cache_write = $7 AND cache_write_1h = $8 AND output = $9"
        " AND above_input = $10 AND above_cache_read = $11 AND above_cache_write = $12 AND above_cache_write_1h = $13"
        " AND above_output = $14 AND above_tokens = $15");
    size_t n = 0;
    const struct price *list = price_builtin(&n);
    enum rc rc = RC_OK;
    for (size_t i = 0; !rc && i < n; i++) {
        char source[256];
        struct price p = list[i];
        snprintf(source, sizeof source, BUILT_IN "%s", p.source);
        p.source = source;
        rc = db_one_int(tx->c, &sql, DB_ROW(&insert_shape, &p), &p.id, err);
        if (rc == RC_NOT_FOUND)
            rc = insert(tx, &p, err);
    }
    return rc;
}

static enum rc price_missing(const char *model, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "There is no price for the model %.100s.", model);
    err_hint(err, "Set one (per million tokens) with: nightmill price set %.100s --input 3.00 --output 15.00", model);
    return RC_NOT_FOUND;
}

enum rc price_find(mem *ctx, struct store *s, const char *model, int64_t at_ns, struct price *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id FROM price WHERE model = $1 AND from_ns <= $2"
                " ORDER BY built_in, from_ns DESC, id DESC LIMIT 1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(model), db_int(at_ns)), &read_shape, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    return price_missing(model, err);
}

/* ---- in memory ---- */

struct kept {                  /* what a name stands for in a time */
    int64_t from_ns, until_ns; /* from (inclusive) to (exclusive) */
    bool found;
    struct price price;
    UT_hash_handle hh;
    char name[];
};
struct price_memory {
    pthread_mutex_t lock;
    struct kept *rows;
    uint64_t epoch; /* grows with each change: what was read before it is not kept */
};

static void memory_empty(struct price_memory *m)
{
    struct kept *k, *next;
    HASH_ITER (hh, m->rows, k, next) {
        HASH_DEL(m->rows, k);
        mem_free(k);
    }
}

static int memory_destroy(struct price_memory *m)
{
    memory_empty(m);
    pthread_mutex_destroy(&m->lock);
    return 0;
}

struct price_memory *price_memory_new(mem *ctx)
{
    struct price_memory *m = mem_new(ctx, struct price_memory);
    pthread_mutex_init(&m->lock, NULL);
    talloc_set_destructor(m, memory_destroy);
    return m;
}

void price_memory_forget(struct price_memory *m)
{
    pthread_mutex_lock(&m->lock);
    memory_empty(m);
    m->epoch++;
    pthread_mutex_unlock(&m->lock);
}

static void price_copy(mem *ctx, struct price *to, const struct price *from)
{
    *to = *from;
    to->model = mem_str(ctx, from->model);
    to->currency = mem_str(ctx, from->currency);
    to->source = mem_str(ctx, from->source);
}

/* RC_AGAIN: not kept. */
static enum rc memory_find(mem *ctx, struct price_memory *m, const char *name, int64_t at_ns, struct price *ret,
                           uint64_t *ret_epoch)
{
    struct kept *k;
    enum rc rc = RC_AGAIN;
    pthread_mutex_lock(&m->lock);
    *ret_epoch = m->epoch;
    HASH_FIND_STR(m->rows, name, k);
    if (k && at_ns >= k->from_ns && at_ns < k->until_ns) {
        rc = k->found ? RC_OK : RC_NOT_FOUND;
        if (k->found)
            price_copy(ctx, ret, &k->price);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static void memory_put(struct price_memory *m, const char *name, int64_t from_ns, int64_t until_ns,
                       const struct price *price, uint64_t epoch)
{
    size_t length = strlen(name) + 1;
    struct kept *k = mem_zalloc(NULL, sizeof *k + length), *old;
    k->from_ns = from_ns;
    k->until_ns = until_ns;
    k->found = price != NULL;
    if (price)
        price_copy(k, &k->price, price);
    memcpy(k->name, name, length);
    pthread_mutex_lock(&m->lock);
    HASH_FIND_STR(m->rows, name, old);
    if (old) {
        HASH_DEL(m->rows, old);
        mem_free(old);
    }
    if (HASH_COUNT(m->rows) >= KEPT_MOST) /* strangers' names cannot fill it: those that are asked often come back */
        memory_empty(m);
    if (epoch == m->epoch)
        HASH_ADD_STR(m->rows, name, k);
    else
        mem_free(k);
    pthread_mutex_unlock(&m->lock);
}

static enum rc price_look(mem *ctx, struct store *s, const char *name, int64_t at_ns, bool wait, struct price *ret,
                          struct err *err)
{
    DB_SQL(sql, "SELECT coalesce(min(from_ns), $3) FROM price WHERE model = $1 AND from_ns > $2");
    uint64_t epoch;
    int64_t until;
    enum rc rc = memory_find(ctx, s->prices, name, at_ns, ret, &epoch);
    if (rc != RC_AGAIN || !wait)
        return rc;
    rc = price_find(ctx, s, name, at_ns, ret, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    DB_READER struct db_conn *c = db_reader(s->db);
    if (db_one_int(c, &sql, DB_ARGS(db_text(name), db_int(at_ns), db_int(INT64_MAX)), &until, NULL) == RC_OK)
        memory_put(s->prices, name, at_ns, until, rc == RC_OK ? ret : NULL, epoch);
    return rc;
}

enum rc price_find_named(mem *ctx, struct store *s, const char *const *names, size_t n, const char *shown,
                         int64_t at_ns, bool wait, struct price *ret, struct err *err)
{
    enum rc rc = RC_NOT_FOUND;
    for (size_t i = 0; i < n && rc == RC_NOT_FOUND; i++)
        rc = price_look(ctx, s, names[i], at_ns, wait, ret, err);
    return rc == RC_NOT_FOUND ? price_missing(shown, err) : rc;
}

enum rc price_get(mem *ctx, struct store *s, int64_t id, struct price *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id FROM price WHERE id = $1");
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_int(id)), &read_shape, ret, err);
    return rc == RC_NOT_FOUND ? err_set(err, rc, "There is no price row %lld.", (long long)id) : rc;
}

enum rc price_list(mem *ctx, struct store *s, struct price **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id FROM price ORDER BY model, built_in, from_ns DESC, id DESC");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &read_shape, ret, ret_n, err);
}

/* ---- import ---- */

const char *price_outcome_name(enum price_outcome o)
{
    static const char *const names[] = {"new", "changed", "unchanged", "by_hand", "refused"};
    return names[o];
}

/* The row in force at a time; model NULL: none. */
static enum rc in_force(struct price_import *job, struct store_tx *tx, const char *model, int64_t at_ns,
                        struct price *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS ", id FROM price WHERE model = $1 AND from_ns <= $2"
                " ORDER BY built_in, from_ns DESC, id DESC LIMIT 1");
    enum rc rc = db_one(job->ctx, tx->c, &sql, DB_ARGS(db_text(model), db_int(at_ns)), &read_shape, ret, err);
    if (rc == RC_NOT_FOUND)
        ret->model = NULL;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static bool by_hand(const struct price *p)
{
    return !is_built_in(p->source) && strncmp(p->source, "litellm ", 8) != 0 &&
           strncmp(p->source, "genai-prices ", 13) != 0;
}

static void change_judge(struct price_import *job, struct price_change *c)
{
    const struct price *before = c->before.model ? &c->before : NULL;
    c->outcome = before ? PRICE_CHANGED : PRICE_NEW;
    if (before && price_same(before, &c->now))
        c->outcome = PRICE_UNCHANGED;
    else if (before && by_hand(before) && !job->force)
        c->outcome = PRICE_BY_HAND;
    else if (!job->force)
        c->reason = price_absurd(job->ctx, &c->now, before);
    if (c->reason)
        c->outcome = PRICE_REFUSED;
}

/* A price of another currency is another price. */
static enum rc change_make(struct price_import *job, struct store_tx *tx, const struct price *p, struct err *err)
{
    struct price_change *c = &job->changes[job->n];
    *c = (struct price_change){.now = *p};
    c->now.source = job->source;
    c->now.from_ns = p->from_ns > job->now_ns ? p->from_ns : job->now_ns;
    enum rc rc = in_force(job, tx, p->model, c->now.from_ns, &c->before, err);
    if (rc)
        return rc;
    change_judge(job, c);
    job->n++;
    bool takes = c->outcome == PRICE_NEW || c->outcome == PRICE_CHANGED;
    return takes && !job->dry ? price_insert(tx, &c->now, err) : RC_OK;
}

enum rc price_import(struct store_tx *tx, void *arg, struct err *err)
{
    struct price_import *job = arg;
    const struct price_file *f = job->file;
    enum rc rc = RC_OK;
    job->changes = mem_array(job->ctx, struct price_change, f->n + 1);
    job->n = 0;
    for (size_t i = 0; !rc && i < f->n; i++) {
        bool later = i + 1 < f->n && strcmp(f->prices[i + 1].model, f->prices[i].model) == 0 &&
                     f->prices[i + 1].from_ns <= job->now_ns;
        if (!later) /* else the next one is in force already: this one is history */
            rc = change_make(job, tx, &f->prices[i], err);
    }
    return rc;
}
