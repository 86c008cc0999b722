/* The register of kinds, and what follows from a row and its kind: headers, addresses, the list of models, a probe. */
#include "gateway/provider.h"
#include "base/text.h"
#include "gateway/vertex.h"

#define PROVIDER(name) extern const struct provider_kind provider_##name;
#include "gateway/providers.def"
#undef PROVIDER
static const struct provider_kind *const kinds[] = {
#define PROVIDER(name) &provider_##name,
#include "gateway/providers.def"
#undef PROVIDER
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const struct provider_kind *const *provider_kinds(size_t *ret_n)
{
    *ret_n = KINDS;
    return kinds;
}

const struct provider_kind *provider_kind_find(const char *name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

size_t provider_key_variables(const char *ret[PROVIDER_VARIABLES_MAX])
{
    size_t n = 0;
    _Static_assert(KINDS <= PROVIDER_VARIABLES_MAX, "room for all variables");
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i]->key_variable)
            ret[n++] = kinds[i]->key_variable;
    return n;
}

enum rc provider_kind_missing(mem *ctx, const char *kind, struct err *err)
{
    char *list = NULL;
    for (size_t i = 0; i < KINDS; i++)
        list = list ? mem_printf(ctx, "%s, %s", list, kinds[i]->name) : mem_str(ctx, kinds[i]->name);
    err_set(err, RC_INVALID, "there is no kind of provider \"%s\"", text_terminal_line(ctx, str_of(kind), 60));
    err_hint(err, "one of %s", list);
    return RC_INVALID;
}

/* A server that speaks another dialect than its kind takes keys and lists models as the one who made that dialect. */
static void manners_of_dialect(struct provider_view *v)
{
    static const struct {
        const char *dialect;
        const struct provider_kind *maker;
    } makers[] = {{"messages", &provider_anthropic}, {"gemini", &provider_gemini}};
    const struct provider_kind *maker = &provider_openai;
    if (v->kind->auth == PROVIDER_ACCOUNT)
        return;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(v->dialect, makers[i].dialect) == 0)
            maker = makers[i].maker;
    v->auth = maker->auth;
    v->lists = maker->lists;
    v->api_version = maker->api_version;
}

enum rc provider_view_make(const struct provider *row, struct provider_view *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct provider_kind *kind = provider_kind_find(row->kind);
    if (!kind)
        return provider_kind_missing(tmp, row->kind, err);
    *ret = (struct provider_view){.row = *row,
                                  .kind = kind,
                                  .base_url = *row->base_url ? row->base_url : kind->base_url,
                                  .credential = row->credential,
                                  .dialect = *row->dialect ? row->dialect : kind->dialect,
                                  .auth = kind->auth,
                                  .lists = kind->lists,
                                  .api_version = kind->api_version,
                                  .cancel_stops_bill = row->cancel < 0 ? kind->cancel_stops_bill : row->cancel > 0};
    if (strcmp(ret->dialect, kind->dialect) != 0)
        manners_of_dialect(ret);
    if (!llm_dialect_find(ret->dialect)) {
        err_set(err, RC_INVALID, "there is no dialect \"%s\"", text_terminal_line(tmp, str_of(ret->dialect), 40));
        err_hint(err, "one of chat, openai, responses, messages, gemini");
        return RC_INVALID;
    }
    if (ret->base_url)
        return RC_OK;
    err_set(err, RC_INVALID, "a provider of the kind %s needs an address", kind->name);
    err_hint(err, "nightmill provider add %s --kind %s --url http://HOST:PORT", row->id, kind->name);
    return RC_INVALID;
}

/* ---- headers ---- */

static bool name_valid(struct str name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, token */
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (!c || !strchr(marks, c)))
            return false;
    }
    return name.n > 0;
}

static bool value_valid(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
            return false;
    return value.p != NULL;
}

/* Those that belong to the connection or carry the key are not the row's to set. */
static bool name_taken(struct str name)
{
    static const char *const taken[] = {
        "host",      "content-length", "transfer-encoding", "connection", "authorization",
        "x-api-key", "x-goog-api-key", "content-type",      "expect",     "te",
        "upgrade",   "accept-encoding"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (str_ieq(name, str_of(taken[i])))
            return true;
    return false;
}

enum rc provider_headers_check(struct str json, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    enum rc rc = json_parse(tmp, json, &root, err);
    for (struct json_iter it = json_iter(root); !rc && json_next(&it);) {
        struct str name = json_iter_key(tmp, &it);
        if (!name_valid(name) || !value_valid(json_str(tmp, it.value)))
            rc = err_set(err, RC_INVALID, "%s is no header that can be sent", text_terminal_line(tmp, name, 60));
        else if (name_taken(name))
            rc = err_set(err, RC_INVALID, "the header %s is not yours to set", text_terminal_line(tmp, name, 60));
    }
    return rc;
}

static const char *key_header(mem *ctx, const struct provider_view *p, const char *key)
{
    switch (p->auth) {
    case PROVIDER_X_API_KEY:
        return mem_printf(ctx, "x-api-key: %s", key);
    case PROVIDER_X_GOOG_API_KEY:
        return mem_printf(ctx, "x-goog-api-key: %s", key);
    case PROVIDER_BEARER:
    case PROVIDER_ACCOUNT:
        break;
    }
    return mem_printf(ctx, "Authorization: Bearer %s", key);
}

enum rc provider_headers(mem *ctx, const struct provider_view *p, const char *key, const char *const **ret,
                         struct err *err)
{
    struct json root = {0};
    bool any = strcmp(p->row.headers, "{}") != 0;
    enum rc rc = any ? provider_headers_check(str_of(p->row.headers), err) : RC_OK;
    if (!rc && any)
        rc = json_parse(ctx, str_of(p->row.headers), &root, err);
    if (!rc && key && (!value_valid(str_of(key)) || strchr(key, ' ')))
        rc = err_set(err, RC_INVALID, "the key of the provider %s has bytes that no header can carry", p->row.id);
    if (rc)
        return rc;
    const char **lines = mem_array(ctx, const char *, json_len(root) + 4);
    size_t n = 0;
    lines[n++] = "Content-Type: application/json";
    if (key)
        lines[n++] = key_header(ctx, p, key);
    if (p->api_version)
        lines[n++] = p->api_version;
    for (struct json_iter it = json_iter(root); json_next(&it);)
        lines[n++] = mem_printf(ctx, "%.*s: %s", STR_FMT(json_iter_key(ctx, &it)), json_z(ctx, it.value, ""));
    *ret = lines;
    return RC_OK;
}

/* ---- addresses ---- */

static struct str base_of(const struct provider_view *p)
{
    struct str base = str_of(p->base_url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (str_ends(base, STR("/v1beta")))
        base.n -= 7;
    else if (str_ends(base, STR("/v1")))
        base.n -= 3;
    return base;
}

char *provider_url(mem *ctx, const struct provider_view *p, enum llm_endpoint_kind kind, const char *upstream,
                   bool stream)
{
    /* A name that came from a client must not climb out of where its dialect puts it. */
    bool climbs = upstream && (strstr(upstream, "../") || strstr(upstream, "/.."));
    const struct llm_dialect *d = climbs ? NULL : llm_dialect_find(p->dialect);
    const char *path = d ? llm_path(ctx, d, kind, upstream, stream) : NULL;
    return path ? mem_printf(ctx, "%.*s%s", STR_FMT(base_of(p)), path) : NULL;
}

char *provider_list_url(mem *ctx, const struct provider_view *p)
{
    struct str base = base_of(p);
    switch (p->lists) {
    case PROVIDER_LISTS_DATA:
        return mem_printf(ctx, "%.*s/v1/models%s", STR_FMT(base), p->auth == PROVIDER_X_API_KEY ? "?limit=1000" : "");
    case PROVIDER_LISTS_MODELS:
        return mem_printf(ctx, "%.*s/v1beta/models?pageSize=1000", STR_FMT(base));
    case PROVIDER_LISTS_NONE:
        break;
    }
    return NULL;
}

enum rc provider_list_read(mem *ctx, const struct provider_view *p, struct str body, const char *const **ret,
                           struct err *err)
{
    struct json root, list;
    bool gemini = p->lists == PROVIDER_LISTS_MODELS;
    if (json_parse(ctx, body, &root, NULL) != RC_OK)
        root = (struct json){0};
    list = json_type(root) == JSON_ARRAY ? root : json_get(root, gemini ? "models" : "data");
    if (json_type(list) != JSON_ARRAY)
        return err_set(err, RC_UPSTREAM, "the answer of the provider %s is no list of models", p->row.id);
    const char **ids = mem_array(ctx, const char *, json_len(list) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        const char *id = json_z(ctx, json_get(it.value, gemini ? "name" : "id"), NULL);
        if (id)
            ids[n++] = gemini && strncmp(id, "models/", 7) == 0 ? id + 7 : id;
    }
    *ret = ids;
    return RC_OK;
}
