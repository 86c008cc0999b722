/* Families of figures, each a table of rows by their labels. Values of labels are shared texts, so that a row is found
 * by their addresses; a table that is full ends in the row "other". */
#include "gateway/metrics.h"
#include "base/err.h"
#include <inttypes.h>
#include <pthread.h>
#include <uthash.h>

#define VALUES_MOST 200  /* of one label */
#define VALUE_MOST  64   /* bytes */
#define ROWS_MOST   4000 /* of one family: combinations of labels; beyond it all labels are "other" */
#define LABELS_MOST 4

enum kind { COUNTER, GAUGE, HISTOGRAM, MONEY_COUNTER, MONEY_GAUGE };
enum family_name {
    REQUESTS,
    ATTEMPTS,
    TOKENS,
    MONEY,
    FIRST_BYTE,
    REFUSALS,
    CACHE,
    ACTIVE,
    QUEUED,
    HELD,
    UPSTREAM_UP,
    UPSTREAM_ACTIVE,
    FAMILIES
};
static const struct family {
    const char *name;
    enum kind kind;
    const char *help;
    const char *labels[LABELS_MOST];
} families[FAMILIES] = {
    [REQUESTS] = {"nightmill_requests_total",
                  COUNTER,
                  "Model requests answered.",
                  {"dialect", "provider", "model", "status"}},
    [ATTEMPTS] = {"nightmill_attempts_total", COUNTER, "Attempts at upstreams by outcome.", {"provider", "code"}},
    [TOKENS] = {"nightmill_tokens_total", COUNTER, "Tokens as providers report them.", {"model", "kind"}},
    [MONEY] = {"nightmill_cost_total", MONEY_COUNTER, "Settled cost in units of the currency.", {"currency"}},
    [FIRST_BYTE] = {"nightmill_first_byte_seconds",
                    HISTOGRAM,
                    "Time from a request to the first byte of its answer.",
                    {"provider"}},
    [REFUSALS] = {"nightmill_refusals_total", COUNTER, "Requests refused by Nightmill itself.", {"kind"}},
    [CACHE] = {"nightmill_cache_total", COUNTER, "Requests that looked into the response cache.", {"result"}},
    [ACTIVE] = {"nightmill_requests_active", GAUGE, "Model requests under way.", {0}},
    [QUEUED] = {"nightmill_requests_queued", GAUGE, "Model requests that wait for an upstream.", {0}},
    [HELD] = {"nightmill_held", MONEY_GAUGE, "Money of open and kept holds in units of the currency.", {"currency"}},
    [UPSTREAM_UP] = {"nightmill_upstream_up", GAUGE, "1: the upstream is used; 0: cool-down or off.", {"provider"}},
    [UPSTREAM_ACTIVE] = {"nightmill_upstream_active", GAUGE, "Attempts under way at the upstream.", {"provider"}},
};

/* Upper bounds in milliseconds; a last bucket has all. */
static const int64_t bounds_ms[] = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000};
static const char *const bounds_text[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
                                          "1",     "2.5",  "5",     "10",   "30",  "60",   "120"};
#define BOUNDS (sizeof bounds_ms / sizeof *bounds_ms)
_Static_assert(BOUNDS == sizeof bounds_text / sizeof *bounds_text, "each bound has its text");

struct row {
    const char *values[LABELS_MOST]; /* shared */
    int64_t value, rest;             /* money: whole units and pico-units below one; histogram: count and sum in ms */
    int64_t *buckets;                /* BOUNDS, each with those below it */
    UT_hash_handle hh;
};
struct label { /* values that were seen */
    const char *values[VALUES_MOST];
    size_t n;
};
struct table {
    struct row *rows; /* in order of their first count */
    struct label labels[LABELS_MOST];
};
struct metrics {
    pthread_mutex_t lock;
    struct table tables[FAMILIES];
};

static int metrics_done(struct metrics *m)
{
    for (int i = 0; i < FAMILIES; i++)
        HASH_CLEAR(hh, m->tables[i].rows); /* the rows are talloc's */
    pthread_mutex_destroy(&m->lock);
    return 0;
}

struct metrics *metrics_new(mem *ctx)
{
    struct metrics *m = mem_new(ctx, struct metrics);
    pthread_mutex_init(&m->lock, NULL);
    talloc_set_destructor(m, metrics_done);
    return m;
}

/* ---- rows ---- */

static const char other[] = "other";

static const char *value_shared(struct metrics *m, struct label *l, const char *text)
{
    if (!text || !*text)
        text = "none";
    struct str s = str_of(text);
    s.n = str_utf8_cut(s, VALUE_MOST);
    for (size_t i = 0; i < l->n; i++)
        if (str_eqz(s, l->values[i]))
            return l->values[i];
    if (l->n == VALUES_MOST || !str_utf8(s))
        return other;
    return l->values[l->n++] = str_dup(m, s);
}

static struct row *row_find(struct table *t, const char *const values[LABELS_MOST])
{
    struct row *row;
    HASH_FIND(hh, t->rows, values, sizeof row->values, row);
    return row;
}

static struct row *row_of(struct metrics *m, enum family_name name, const char *const values[LABELS_MOST])
{
    struct table *t = &m->tables[name];
    const char *shared[LABELS_MOST] = {0};
    for (size_t i = 0; i < LABELS_MOST && families[name].labels[i]; i++)
        shared[i] = value_shared(m, &t->labels[i], values[i]);
    struct row *row = row_find(t, shared);
    if (!row && HASH_COUNT(t->rows) >= ROWS_MOST) {
        for (size_t i = 0; i < LABELS_MOST && shared[i]; i++)
            shared[i] = other;
        row = row_find(t, shared);
    }
    if (row)
        return row;
    row = mem_new(m, struct row);
    memcpy(row->values, shared, sizeof shared);
    if (families[name].kind == HISTOGRAM)
        row->buckets = mem_array(m, int64_t, BOUNDS);
    HASH_ADD(hh, t->rows, values, sizeof row->values, row);
    return row;
}
#define ROW(m, family, ...) row_of(m, family, (const char *const[LABELS_MOST]){__VA_ARGS__})

static void add(struct metrics *m, enum family_name family, int64_t n, const char *a, const char *b, const char *c,
                const char *d)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    ROW(m, family, a, b, c, d)->value += n;
    pthread_mutex_unlock(&m->lock);
}

static void set(struct metrics *m, enum family_name family, int64_t n, int64_t rest, const char *a)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    struct row *row = ROW(m, family, a, NULL, NULL, NULL);
    row->value = n;
    row->rest = rest;
    pthread_mutex_unlock(&m->lock);
}

/* ---- what happens ---- */

void metrics_request(struct metrics *m, const char *dialect, const char *provider, const char *model, int status)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    add(m, REQUESTS, 1, dialect, provider, model, status < 0 || status > 599 ? "other" : classes[status / 100]);
}

void metrics_attempt(struct metrics *m, const char *provider, enum rc rc)
{
    add(m, ATTEMPTS, 1, provider, rc_name(rc), NULL, NULL);
}

void metrics_usage(struct metrics *m, const char *model, const struct usage *u)
{
    const struct {
        const char *kind;
        int64_t n;
    } counts[] = {{"input", u->input},
                  {"cache_read", u->cache_read},
                  {"cache_write", u->cache_write},
                  {"cache_write_1h", u->cache_write_1h},
                  {"output", u->output},
                  {"reasoning", u->reasoning}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n > 0)
            add(m, TOKENS, counts[i].n, model, counts[i].kind, NULL, NULL);
}

void metrics_money(struct metrics *m, const char *currency, pico cost)
{
    if (!m || cost <= 0)
        return;
    pthread_mutex_lock(&m->lock);
    struct row *row = ROW(m, MONEY, currency, NULL, NULL, NULL);
    row->rest += cost % PICO_PER_UNIT;
    row->value += cost / PICO_PER_UNIT + row->rest / PICO_PER_UNIT;
    row->rest %= PICO_PER_UNIT;
    pthread_mutex_unlock(&m->lock);
}

void metrics_first_byte(struct metrics *m, const char *provider, int64_t ms)
{
    if (!m || ms < 0)
        return;
    pthread_mutex_lock(&m->lock);
    struct row *row = ROW(m, FIRST_BYTE, provider, NULL, NULL, NULL);
    row->value++;
    row->rest += ms;
    for (size_t i = BOUNDS; i-- > 0 && ms <= bounds_ms[i];)
        row->buckets[i]++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_refusal(struct metrics *m, const char *kind)
{
    add(m, REFUSALS, 1, kind, NULL, NULL, NULL);
}

void metrics_cache(struct metrics *m, bool hit)
{
    add(m, CACHE, 1, hit ? "hit" : "miss", NULL, NULL, NULL);
}

void metrics_active(struct metrics *m, int64_t requests, int64_t queued)
{
    set(m, ACTIVE, requests, 0, NULL);
    set(m, QUEUED, queued, 0, NULL);
}

void metrics_held_none(struct metrics *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    for (struct row *row = m->tables[HELD].rows; row; row = row->hh.next)
        row->value = row->rest = 0;
    pthread_mutex_unlock(&m->lock);
}

void metrics_held(struct metrics *m, const char *currency, pico amount)
{
    set(m, HELD, amount / PICO_PER_UNIT, amount % PICO_PER_UNIT, currency);
}

void metrics_upstream(struct metrics *m, const char *provider, bool up, int64_t active)
{
    set(m, UPSTREAM_UP, up, 0, provider);
    set(m, UPSTREAM_ACTIVE, active, 0, provider);
}

/* ---- the page ---- */

/* Escaped as the format asks: backslash, quote, line feed. */
static void value_write(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\\' || *c == '"')
            buf_char(out, '\\');
        if (*c == '\n')
            buf_z(out, "\\n");
        else
            buf_char(out, *c);
    }
}

static void labels_write(struct buf *out, const struct family *f, const struct row *row, const char *le)
{
    const char *before = "{";
    for (size_t i = 0; i < LABELS_MOST && f->labels[i]; i++, before = ",") {
        buf_printf(out, "%s%s=\"", before, f->labels[i]);
        value_write(out, row->values[i]);
        buf_char(out, '"');
    }
    if (le) {
        buf_printf(out, "%sle=\"%s\"", before, le);
        before = ",";
    }
    if (*before == ',')
        buf_char(out, '}');
}

/* Thousandths or pico-units below one, without trailing zeros. */
static void decimal_write(struct buf *out, int64_t whole, int64_t rest, int digits)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%0*" PRId64, digits, rest);
    while (n && text[n - 1] == '0')
        n--;
    buf_printf(out, "%" PRId64 "%s%.*s\n", whole, n ? "." : "", n, text);
}

static void histogram_write(struct buf *out, const struct family *f, const struct row *row)
{
    for (size_t i = 0; i <= BOUNDS; i++) {
        buf_printf(out, "%s_bucket", f->name);
        labels_write(out, f, row, i < BOUNDS ? bounds_text[i] : "+Inf");
        buf_printf(out, " %" PRId64 "\n", i < BOUNDS ? row->buckets[i] : row->value);
    }
    buf_printf(out, "%s_sum", f->name);
    labels_write(out, f, row, NULL);
    buf_char(out, ' ');
    decimal_write(out, row->rest / 1000, row->rest % 1000, 3);
    buf_printf(out, "%s_count", f->name);
    labels_write(out, f, row, NULL);
    buf_printf(out, " %" PRId64 "\n", row->value);
}

static void row_write(struct buf *out, const struct family *f, const struct row *row)
{
    if (f->kind == HISTOGRAM) {
        histogram_write(out, f, row);
        return;
    }
    buf_z(out, f->name);
    labels_write(out, f, row, NULL);
    buf_char(out, ' ');
    if (f->kind == MONEY_COUNTER || f->kind == MONEY_GAUGE)
        decimal_write(out, row->value, row->rest, 12);
    else
        buf_printf(out, "%" PRId64 "\n", row->value);
}

void metrics_write(struct metrics *m, struct buf *out)
{
    static const char *const types[] = {[COUNTER] = "counter",
                                        [GAUGE] = "gauge",
                                        [HISTOGRAM] = "histogram",
                                        [MONEY_COUNTER] = "counter",
                                        [MONEY_GAUGE] = "gauge"};
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < FAMILIES; i++) {
        const struct table *t = &m->tables[i];
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].help, families[i].name,
                   types[families[i].kind]);
        for (const struct row *row = t->rows; row; row = row->hh.next)
            row_write(out, &families[i], row);
    }
    pthread_mutex_unlock(&m->lock);
}
