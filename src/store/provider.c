/* Rows of providers. Not here: what a kind is (gateway), secrets. */
#include "store/provider.h"
#include "store/sealed.h"
#include "store/store_private.h"

#define URL_MAX     2000
#define HEADERS_MAX 8192
#define DELAY_MAX   (24 * 3600 * 1000)

#define COLUMNS                                                                                                        \
    "id, kind, base_url, credential, dialect, headers, concurrency, queue, weight, cooldown_ms, cancel, connect_ms,"   \
    " first_byte_ms, idle_ms, enabled, created_ns, changed_ns"
static const struct db_column columns[] = {
    DB_COLUMN(provider, id, DB_TEXT),
    DB_COLUMN(provider, kind, DB_TEXT),
    DB_COLUMN(provider, base_url, DB_TEXT),
    DB_COLUMN(provider, credential, DB_TEXT),
    DB_COLUMN(provider, dialect, DB_TEXT),
    DB_COLUMN(provider, headers, DB_TEXT),
    DB_COLUMN(provider, concurrency, DB_INT64),
    DB_COLUMN(provider, queue, DB_INT64),
    DB_COLUMN(provider, weight, DB_INT64),
    DB_COLUMN(provider, cooldown_ms, DB_INT64),
    DB_COLUMN(provider, cancel, DB_INT64),
    DB_COLUMN(provider, connect_ms, DB_INT64),
    DB_COLUMN(provider, first_byte_ms, DB_INT64),
    DB_COLUMN(provider, idle_ms, DB_INT64),
    DB_COLUMN(provider, enabled, DB_BOOL),
    DB_COLUMN(provider, created_ns, DB_INT64),
    DB_COLUMN(provider, changed_ns, DB_INT64),
};
static const struct db_shape shape = DB_SHAPE(provider, columns);

bool provider_id_valid(const char *id)
{
    size_t n = id ? strlen(id) : 0;
    return n > 0 && n <= PROVIDER_ID_MAX && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n &&
           !strchr("._-", id[0]);
}

/* Printable ASCII without blanks, quotes or a fragment: what stands in an address and in a message about it. */
static bool url_valid(const char *url)
{
    struct str u = str_of(url);
    if (!u.n)
        return true;
    if (u.n > URL_MAX || !(str_starts(u, STR("http://")) || str_starts(u, STR("https://"))))
        return false;
    for (size_t i = 0; i < u.n; i++)
        if (u.p[i] <= ' ' || u.p[i] > '~' || strchr("\"<>\\^`{|}#", u.p[i]))
            return false;
    return str_find(u, STR("@")) < 0 && str_find(u, STR("?")) < 0;
}

static enum rc headers_check(const char *text, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (strlen(text) > HEADERS_MAX || json_parse(tmp, str_of(text), &root, NULL) != RC_OK ||
        json_type(root) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "headers are a JSON object of names and values, at most %d bytes", HEADERS_MAX);
    for (struct json_iter it = json_iter(root); json_next(&it);)
        if (json_type(it.value) != JSON_STRING)
            return err_set(err, RC_INVALID, "the value of the header %s is no text",
                           str_utf8_clean(tmp, str_sub(json_iter_key(tmp, &it), 0, 60)));
    return RC_OK;
}

static bool within(int64_t v, int64_t least, int64_t most)
{
    return v >= least && v <= most;
}

static enum rc provider_check(const struct provider *p, struct err *err)
{
    const struct {
        const char *name;
        int64_t v, least, most;
    } numbers[] = {{"concurrency", p->concurrency, 0, 100000},
                   {"queue", p->queue, 0, 100000},
                   {"weight", p->weight, 1, 1000},
                   {"cooldown_ms", p->cooldown_ms, 0, DELAY_MAX},
                   {"cancel", p->cancel, -1, 1},
                   {"connect_ms", p->connect_ms, 0, DELAY_MAX},
                   {"first_byte_ms", p->first_byte_ms, 0, DELAY_MAX},
                   {"idle_ms", p->idle_ms, 0, DELAY_MAX}};
    if (!provider_id_valid(p->id))
        return err_set(err, RC_INVALID, "a provider's name has 1 to %d of a-z, 0-9, '.', '_' and '-'", PROVIDER_ID_MAX);
    if (!url_valid(p->base_url)) {
        err_set(err, RC_INVALID, "the address of the provider %s is not one", p->id);
        err_hint(err, "it begins with http:// or https:// and has no user, query or fragment");
        return RC_INVALID;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!within(numbers[i].v, numbers[i].least, numbers[i].most))
            return err_set(err, RC_INVALID, "%s of a provider is a number from %lld to %lld", numbers[i].name,
                           (long long)numbers[i].least, (long long)numbers[i].most);
    return headers_check(p->headers, err);
}

enum rc provider_put(struct store_tx *tx, const struct provider *p, struct err *err)
{
    DB_SQL(sql, "INSERT INTO provider (" COLUMNS
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
                " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url,"
                " credential = excluded.credential, dialect = excluded.dialect, headers = excluded.headers,"
                " concurrency = excluded.concurrency, queue = excluded.queue, weight = excluded.weight,"
                " cooldown_ms = excluded.cooldown_ms, cancel = excluded.cancel, connect_ms = excluded.connect_ms,"
                " first_byte_ms = excluded.first_byte_ms, idle_ms = excluded.idle_ms, enabled = excluded.enabled,"
                " changed_ns = excluded.changed_ns");
    enum rc rc = provider_check(p, err);
    return rc ? rc : db_exec(tx->c, &sql, DB_ROW(&shape, p), NULL, err);
}

static enum rc provider_missing(const char *id, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no provider row %.64s", id);
    err_hint(err, "nightmill provider ls lists them");
    return RC_NOT_FOUND;
}

enum rc provider_find(mem *ctx, struct store *s, const char *id, struct provider *ret, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM provider WHERE id = $1");
    if (!provider_id_valid(id))
        return provider_missing("of that name", err);
    DB_READER struct db_conn *c = db_reader(s->db);
    enum rc rc = db_one(ctx, c, &sql, DB_ARGS(db_text(id)), &shape, ret, err);
    return rc == RC_NOT_FOUND ? provider_missing(id, err) : rc;
}

enum rc provider_list(mem *ctx, struct store *s, struct provider **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT " COLUMNS " FROM provider ORDER BY id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &shape, ret, ret_n, err);
}

enum rc provider_remove(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql_models, "SELECT count(*) FROM model WHERE provider = $1");
    DB_SQL(sql, "DELETE FROM provider WHERE id = $1");
    int64_t models = 0, changed = 0;
    if (!provider_id_valid(id))
        return provider_missing("of that name", err);
    enum rc rc = db_one_int(tx->c, &sql_models, DB_ARGS(db_text(id)), &models, err);
    if (!rc && models) {
        err_set(err, RC_CONFLICT, "%lld models are served by the provider %s", (long long)models, id);
        err_hint(err, "remove them first: nightmill model rm MODEL --provider %s", id);
        return RC_CONFLICT;
    }
    if (!rc)
        rc = db_exec(tx->c, &sql, DB_ARGS(db_text(id)), &changed, err);
    if (!rc && !changed)
        return provider_missing(id, err);
    return rc ? rc : sealed_remove(tx, id, err);
}
