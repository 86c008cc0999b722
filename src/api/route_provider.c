/* Providers: listed, set, removed, tried out. What a key is never leaves; only where it is kept. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "gateway/probe.h"

static struct ways ways_of(const struct server *s)
{
    return (struct ways){s->credentials, s->tokens};
}

/* Whether the key is to be had now, and if not, why. */
static void key_json(struct route_call *c, const struct provider_view *p)
{
    struct json_out *o = &c->out;
    struct err err = {0};
    char *secret = NULL;
    jo_key(o, "key");
    jo_obj(o);
    jo_kz(o, "reference", *p->credential ? p->credential : NULL);
    enum rc rc = credential_get(c->ctx, c->server->credentials, p->credential, &secret, &err);
    bool missing = rc == RC_OK && !secret && p->kind->auth == PROVIDER_ACCOUNT;
    jo_kb(o, "known", rc == RC_OK && !missing);
    if (rc != RC_OK || missing)
        jo_kz(o, "problem", missing ? "no service account is set" : err.sentence);
    jo_end_obj(o);
    credential_wipe(secret);
}

static char *provider_version(mem *ctx, const struct provider *r)
{
    return version_of(ctx, mem_printf(ctx, "%s\n%s\n%s\n%s\n%s\n%lld %lld %lld %lld %lld %lld %lld %lld %d", r->kind,
                                      r->base_url, r->credential, r->dialect, r->headers, (long long)r->concurrency,
                                      (long long)r->queue, (long long)r->weight, (long long)r->cooldown_ms,
                                      (long long)r->cancel, (long long)r->connect_ms, (long long)r->first_byte_ms,
                                      (long long)r->idle_ms, r->enabled));
}

static enum rc version_now(struct route_call *c, const char **ret)
{
    struct provider p;
    enum rc rc = provider_find(c->ctx, c->server->store, c->param, &p, &c->err);
    *ret = rc ? VERSION_NONE : provider_version(c->ctx, &p);
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static void provider_json(struct route_call *c, const struct provider_view *p)
{
    struct json_out *o = &c->out;
    const struct provider *r = &p->row;
    jo_obj(o);
    jo_kz(o, "id", r->id);
    jo_kz(o, "kind", p->kind->name);
    jo_kz(o, "title", p->kind->title);
    jo_kz(o, "url", p->base_url);
    jo_kz(o, "dialect", p->dialect);
    key_json(c, p);
    jo_kraw(o, "headers", str_of(r->headers));
    jo_ki(o, "concurrency", r->concurrency);
    jo_ki(o, "queue", r->queue);
    jo_ki(o, "weight", r->weight);
    jo_ki(o, "cooldown_ms", r->cooldown_ms);
    jo_ki(o, "connect_ms", r->connect_ms);
    jo_ki(o, "first_byte_ms", r->first_byte_ms);
    jo_ki(o, "idle_ms", r->idle_ms);
    jo_kb(o, "cancel_stops_bill", p->cancel_stops_bill);
    jo_kb(o, "enabled", r->enabled);
    jo_kb(o, "implicit", p->implicit);
    jo_kz(o, "version", p->implicit ? VERSION_NONE : provider_version(c->ctx, r));
    jo_kz(o, "changed_at", r->changed_ns ? clock_rfc3339(c->ctx, r->changed_ns) : NULL);
    jo_end_obj(o);
}

static void kinds_json(struct json_out *o)
{
    size_t n;
    const struct provider_kind *const *kinds = provider_kinds(&n);
    jo_arr(o);
    for (size_t i = 0; i < n; i++) {
        jo_obj(o);
        jo_kz(o, "name", kinds[i]->name);
        jo_kz(o, "title", kinds[i]->title);
        jo_kz(o, "url", kinds[i]->base_url);
        jo_kz(o, "key_variable", kinds[i]->key_variable);
        jo_kz(o, "dialect", kinds[i]->dialect);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static enum rc providers_list(struct route_call *c)
{
    const struct catalog *cat;
    enum rc rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "providers");
    jo_arr(&c->out);
    for (size_t i = 0; i < cat->provider_count; i++)
        provider_json(c, &cat->providers[i]);
    jo_end_arr(&c->out);
    jo_key(&c->out, "kinds");
    kinds_json(&c->out);
    jo_end_obj(&c->out);
    catalog_unref(cat);
    return RC_OK;
}

/* ---- setting one ---- */

struct provider_input {
    const char *kind, *url, *key, *key_env, *key_file, *dialect;
    struct json headers;
    int64_t concurrency, queue, weight, cooldown_ms, connect_ms, first_byte_ms, idle_ms;
    bool cancel_stops_bill, enabled;
};
#define COUNT_MOST 100000
#define MS_MOST    (24 * 3600 * 1000)
static const struct json_bind provider_table[] = {
    BIND(provider_input, kind, BIND_STR, false, 0, 64),
    BIND(provider_input, url, BIND_STR, false, 0, 2000),
    BIND(provider_input, key, BIND_STR, false, 0, CREDENTIAL_SECRET_MAX),
    BIND(provider_input, key_env, BIND_STR, false, 0, 100),
    BIND(provider_input, key_file, BIND_STR, false, 0, 4000),
    BIND(provider_input, dialect, BIND_STR, false, 0, 64),
    BIND(provider_input, headers, BIND_JSON, false, 0, 0),
    BIND(provider_input, concurrency, BIND_INT, false, 0, COUNT_MOST),
    BIND(provider_input, queue, BIND_INT, false, 0, COUNT_MOST),
    BIND(provider_input, weight, BIND_INT, false, 1, 1000),
    BIND(provider_input, cooldown_ms, BIND_INT, false, 0, MS_MOST),
    BIND(provider_input, connect_ms, BIND_INT, false, 0, MS_MOST),
    BIND(provider_input, first_byte_ms, BIND_INT, false, 0, MS_MOST),
    BIND(provider_input, idle_ms, BIND_INT, false, 0, MS_MOST),
    BIND(provider_input, cancel_stops_bill, BIND_BOOL, false, 0, 0),
    BIND(provider_input, enabled, BIND_BOOL, false, 0, 0),
};

/* The row as it is, or a new one. *ret_new tells which. */
static enum rc row_start(struct route_call *c, struct provider *p, bool *ret_new)
{
    struct err unwanted;
    enum rc rc = provider_find(c->ctx, c->server->store, c->param, p, &unwanted);
    *ret_new = rc == RC_NOT_FOUND;
    if (rc != RC_NOT_FOUND)
        return rc;
    *p = (struct provider)PROVIDER_STANDARD;
    p->id = c->param;
    p->kind = provider_kind_find(c->param) ? c->param : "";
    p->created_ns = clock_wall_ns();
    return RC_OK;
}

static enum rc reference_make(struct route_call *c, const struct provider_input *in, struct provider *p)
{
    int given = (*in->key != 0) + (*in->key_env != 0) + (*in->key_file != 0);
    if (given > 1)
        return err_set(&c->err, RC_INVALID, "give one of key, key_env and key_file");
    if (*in->key)
        p->credential = mem_printf(c->ctx, "sealed:%s", p->id);
    if (*in->key_env)
        p->credential = mem_printf(c->ctx, "env:%s", in->key_env);
    if (*in->key_file)
        p->credential = mem_printf(c->ctx, "file:%s", in->key_file);
    return credential_reference_check(p->credential, &c->err);
}

static enum rc row_fill(struct route_call *c, const struct provider_input *in, struct provider *p)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct provider_view view;
    p->kind = in->kind;
    p->base_url = in->url;
    p->dialect = in->dialect;
    p->concurrency = in->concurrency;
    p->queue = in->queue;
    p->weight = in->weight;
    p->cooldown_ms = in->cooldown_ms;
    p->connect_ms = in->connect_ms;
    p->first_byte_ms = in->first_byte_ms;
    p->idle_ms = in->idle_ms;
    p->enabled = in->enabled;
    p->changed_ns = clock_wall_ns();
    if (json_is(json_get(c->json, "cancel_stops_bill")))
        p->cancel = in->cancel_stops_bill;
    if (json_type(in->headers) != JSON_NONE)
        p->headers = str_dup(c->ctx, json_raw(in->headers));
    if (!*p->kind) {
        provider_kind_missing(tmp, p->id, &c->err);
        err_set(&c->err, RC_INVALID, "the kind of the provider %s is not told by its name", p->id);
        return err_hint(&c->err, "nightmill provider add %s --kind KIND; nightmill provider ls --kinds lists them",
                        p->id);
    }
    enum rc rc = provider_headers_check(str_of(p->headers), &c->err);
    if (rc == RC_OK)
        rc = provider_view_make(p, &view, &c->err);
    return rc == RC_OK ? reference_make(c, in, p) : rc;
}

static enum rc put_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct provider *p = arg;
    enum rc rc = provider_put(tx, p, err);
    bool sealed = strncmp(p->credential, "sealed:", 7) == 0;
    return rc == RC_OK && !sealed ? sealed_remove(tx, p->id, err) : rc;
}

static enum rc row_answer(struct route_call *c, const char *id)
{
    const struct catalog *cat;
    catalogs_stale(c->server->catalogs);
    enum rc rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    const struct provider_view *p = catalog_provider(cat, id);
    if (p)
        provider_json(c, p);
    catalog_unref(cat);
    return p ? RC_OK : err_set(&c->err, RC_BUG, "the provider %s was stored and is not there", id);
}

static enum rc provider_set(struct route_call *c)
{
    struct provider p;
    bool is_new;
    c->secret = true;
    if (!provider_id_valid(c->param))
        return err_set(&c->err, RC_INVALID, "a provider's name has 1 to %d of a-z, 0-9, '.', '_' and '-'",
                       PROVIDER_ID_MAX);
    enum rc rc = row_start(c, &p, &is_new);
    if (rc != RC_OK)
        return rc;
    struct provider_input in = {.kind = p.kind,
                                .url = p.base_url,
                                .key = "",
                                .key_env = "",
                                .key_file = "",
                                .dialect = p.dialect,
                                .concurrency = p.concurrency,
                                .queue = p.queue,
                                .weight = p.weight,
                                .cooldown_ms = p.cooldown_ms,
                                .connect_ms = p.connect_ms,
                                .first_byte_ms = p.first_byte_ms,
                                .idle_ms = p.idle_ms,
                                .enabled = p.enabled};
    rc = json_bind(c->ctx, c->json, provider_table, sizeof provider_table / sizeof *provider_table, true, &in, &c->err);
    if (rc == RC_OK)
        rc = row_fill(c, &in, &p);
    if (rc == RC_OK && *in.key)
        rc = credential_seal(c->server->credentials, c->server->store, p.id, str_of(in.key), clock_wall_ns(), &c->err);
    explicit_bzero((char *)(uintptr_t)in.key, strlen(in.key));
    if (rc == RC_OK)
        rc = store_write(c->server->store, put_tx, &p, &c->err);
    if (rc != RC_OK)
        return rc;
    credentials_refer(c->server, p.credential);
    if (strncmp(p.credential, "sealed:", 7) != 0)
        credential_forget(c->server->credentials, p.id);
    c->status = is_new ? 201 : 200;
    return row_answer(c, p.id);
}

/* ---- removing and trying ---- */

static enum rc remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return provider_remove(tx, arg, err);
}

static enum rc provider_delete(struct route_call *c)
{
    enum rc rc = store_write(c->server->store, remove_tx, (void *)(uintptr_t)c->param, &c->err);
    if (rc != RC_OK)
        return rc;
    credential_forget(c->server->credentials, c->param);
    catalogs_stale(c->server->catalogs);
    jo_obj(&c->out);
    jo_kz(&c->out, "removed", c->param);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc provider_missing(struct route_call *c)
{
    err_set(&c->err, RC_NOT_FOUND, "there is no provider %s", c->param);
    return err_hint(&c->err, "nightmill provider ls lists them; nightmill provider add adds one");
}

static enum rc provider_test(struct route_call *c)
{
    const struct catalog *cat;
    struct probe probe;
    struct ways ways = ways_of(c->server);
    enum rc rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    const struct provider_view *p = catalog_provider(cat, c->param);
    rc = p ? probe_provider(c->ctx, &ways, p, &probe, &c->err) : provider_missing(c);
    if (rc == RC_OK) {
        struct json_out *o = &c->out;
        jo_obj(o);
        jo_kz(o, "provider", p->row.id);
        jo_kz(o, "url", p->base_url);
        jo_ki(o, "latency_ms", probe.latency_ms);
        jo_key(o, "models");
        jo_arr(o);
        for (const char *const *m = probe.models; m && *m; m++)
            jo_z(o, *m);
        jo_end_arr(o);
        jo_end_obj(o);
    }
    catalog_unref(cat);
    return rc;
}

const struct route route_providers_list = {"GET",
                                           "/api/v1/providers",
                                           "providers and the kinds that there are",
                                           providers_list,
                                           NULL,
                                           .gives = "Providers",
                                           .access = ACCESS_ADMIN};
const struct route route_provider_set = {"PUT",
                                         "/api/v1/providers/:id",
                                         "add a provider or change what is given of it; a key is sealed",
                                         provider_set,
                                         NULL,
                                         .takes = "ProviderInput",
                                         .gives = "Provider",
                                         .access = ACCESS_ADMIN,
                                         .tells = "provider",
                                         .version = version_now};
const struct route route_provider_delete = {"DELETE",
                                            "/api/v1/providers/:id",
                                            "remove a provider and its sealed key",
                                            provider_delete,
                                            NULL,
                                            .gives = "Removed",
                                            .access = ACCESS_ADMIN,
                                            .tells = "provider",
                                            .version = version_now};
const struct route route_provider_test = {"POST",
                                          "/api/v1/providers/:id/test",
                                          "ask a provider for its models, at no cost",
                                          provider_test,
                                          NULL,
                                          .gives = "ProviderTest",
                                          .access = ACCESS_ADMIN};
