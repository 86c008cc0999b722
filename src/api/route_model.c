/* Models and tiers: listed, set, removed, tried out. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "gateway/probe.h"
#include "store/price.h"

enum { TARGETS_TRIED = 4 };

/* ---- models ---- */

static void abilities_json(struct json_out *o, int64_t abilities)
{
    jo_key(o, "abilities");
    if (abilities < 0) {
        jo_null(o);
        return;
    }
    jo_arr(o);
    for (int i = 0; model_ability_names[i]; i++)
        if (abilities >> i & 1)
            jo_z(o, model_ability_names[i]);
    jo_end_arr(o);
}

static void price_member(struct route_call *c, const struct catalog_target *t)
{
    const char *names[CATALOG_PRICE_NAMES];
    struct price p;
    size_t n = catalog_price_names(c->ctx, t, names);
    jo_key(&c->out, "price");
    if (price_find_named(c->ctx, c->server->store, names, n, t->model->id, clock_wall_ns(), true, &p, NULL) != RC_OK)
        jo_null(&c->out);
    else
        price_json(c, &p);
}

static void model_json(struct route_call *c, const struct catalog *cat, const struct model *m)
{
    struct json_out *o = &c->out;
    const struct provider_view *p = catalog_provider(cat, m->provider);
    jo_obj(o);
    jo_kz(o, "id", m->id);
    jo_kz(o, "provider", m->provider);
    jo_kz(o, "upstream", m->upstream);
    jo_ki(o, "context", m->context);
    jo_ki(o, "max_output", m->max_output);
    abilities_json(o, m->abilities);
    jo_ki(o, "weight", m->weight);
    jo_kb(o, "available", p && p->row.enabled);
    if (p) {
        struct catalog_target t = {p, m, 0};
        price_member(c, &t);
    }
    jo_end_obj(o);
}

static enum rc models_list(struct route_call *c)
{
    const struct catalog *cat;
    enum rc rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "models");
    jo_arr(&c->out);
    for (size_t i = 0; i < cat->model_count; i++)
        if (principal_model(&c->principal, cat->models[i].id, NULL) == RC_OK)
            model_json(c, cat, &cat->models[i]);
    jo_end_arr(&c->out);
    jo_key(&c->out, "by_name"); /* names that need no row */
    jo_arr(&c->out);
    for (size_t i = 0; i < cat->provider_count; i++) {
        const struct provider_view *p = &cat->providers[i];
        for (const char *const *prefix = p->kind->model_prefixes; prefix && *prefix && p->row.enabled; prefix++) {
            jo_obj(&c->out);
            jo_kz(&c->out, "prefix", *prefix);
            jo_kz(&c->out, "provider", p->row.id);
            jo_end_obj(&c->out);
        }
    }
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    catalog_unref(cat);
    return RC_OK;
}

struct model_input {
    const char *id, *provider, *upstream;
    const char **abilities;
    int64_t context, max_output, weight;
};
#define TOKENS_MOST 1000000000
static const struct json_bind model_table[] = {
    BIND(model_input, id, BIND_STR, true, 0, 200),
    BIND(model_input, provider, BIND_STR, true, 0, PROVIDER_ID_MAX),
    BIND(model_input, upstream, BIND_STR, false, 0, 200),
    BIND(model_input, abilities, BIND_STRV, false, 0, 0),
    BIND(model_input, context, BIND_INT, false, 0, TOKENS_MOST),
    BIND(model_input, max_output, BIND_INT, false, 0, TOKENS_MOST),
    BIND(model_input, weight, BIND_INT, false, 1, 1000),
};

static enum rc abilities_read(struct route_call *c, const char *const *words, int64_t *ret)
{
    *ret = words ? 0 : -1;
    for (; words && *words; words++) {
        int i = 0;
        while (model_ability_names[i] && strcmp(model_ability_names[i], *words) != 0)
            i++;
        if (!model_ability_names[i])
            return err_set(&c->err, RC_INVALID, "abilities are some of tools, images, reasoning, json");
        *ret |= INT64_C(1) << i;
    }
    return RC_OK;
}

static enum rc model_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return model_put(tx, arg, err);
}

static enum rc model_store(struct route_call *c, const struct catalog *cat, struct model *m)
{
    if (!catalog_provider(cat, m->provider)) {
        err_set(&c->err, RC_NOT_FOUND, "there is no provider %s", m->provider);
        return err_hint(&c->err, "nightmill provider add %s, or export the variable of its key", m->provider);
    }
    enum rc rc = store_write(c->server->store, model_tx, m, &c->err);
    if (rc == RC_OK) {
        catalogs_stale(c->server->catalogs);
        c->status = 201;
        model_json(c, cat, m);
    }
    return rc;
}

static enum rc model_post(struct route_call *c)
{
    struct model_input in = {.upstream = "", .weight = 100};
    struct model m = MODEL_STANDARD;
    const struct catalog *cat;
    enum rc rc = json_bind(c->ctx, c->json, model_table, sizeof model_table / sizeof *model_table, true, &in, &c->err);
    if (rc == RC_OK)
        rc = abilities_read(c, in.abilities, &m.abilities);
    if (rc == RC_OK)
        rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    m.id = in.id;
    m.provider = in.provider;
    m.upstream = *in.upstream ? in.upstream : in.id;
    m.context = in.context;
    m.max_output = in.max_output;
    m.weight = in.weight;
    m.created_ns = m.changed_ns = clock_wall_ns();
    rc = model_store(c, cat, &m);
    catalog_unref(cat);
    return rc;
}

struct removing {
    const char *id, *provider;
};

static enum rc remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct removing *r = arg;
    return model_remove(tx, r->id, r->provider, err);
}

static enum rc model_delete(struct route_call *c)
{
    struct removing r = {route_query(c, "id"), route_query(c, "provider")};
    if (!r.id || !*r.id)
        return err_set(&c->err, RC_INVALID, "which model: ?id=NAME, perhaps &provider=NAME");
    enum rc rc = store_write(c->server->store, remove_tx, &r, &c->err);
    if (rc != RC_OK)
        return rc;
    catalogs_stale(c->server->catalogs);
    jo_obj(&c->out);
    jo_kz(&c->out, "removed", r.id);
    jo_end_obj(&c->out);
    return RC_OK;
}

static void result_json(struct route_call *c, const struct catalog_target *t)
{
    struct json_out *o = &c->out;
    const char *socket = mem_printf(c->ctx, "%s/run/nightmill.sock", c->server->place->data_dir);
    struct err err = {0};
    struct probe probe;
    enum rc rc = probe_model(c->ctx, socket, t->provider, t->model->upstream, &probe, &err);
    jo_obj(o);
    jo_kz(o, "provider", t->provider->row.id);
    jo_kz(o, "upstream", t->model->upstream);
    jo_kb(o, "ok", rc == RC_OK);
    jo_ki(o, "latency_ms", probe.latency_ms);
    if (rc == RC_OK) {
        jo_kz(o, "served", probe.served);
    } else {
        jo_kz(o, "problem", err.sentence);
        jo_kz(o, "detail", err.detail);
        jo_kz(o, "hint", err.hint);
        jo_kz(o, "code", rc_name(rc));
    }
    jo_end_obj(o);
}

static enum rc model_test(struct route_call *c)
{
    const struct catalog *cat;
    struct catalog_target *targets;
    size_t n;
    const char *name = json_z(c->ctx, json_get(c->json, "model"), "");
    if (!model_id_valid(name))
        return err_set(&c->err, RC_INVALID, "name a model or a tier: {\"model\":NAME}");
    enum rc rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    rc = catalog_targets(c->ctx, cat, name, json_bool(json_get(c->json, "thinking"), false), &targets, &n, &c->err);
    if (rc == RC_OK) {
        jo_obj(&c->out);
        jo_kz(&c->out, "model", name);
        jo_key(&c->out, "results");
        jo_arr(&c->out);
        for (size_t i = 0; i < n && i < TARGETS_TRIED; i++)
            result_json(c, &targets[i]);
        jo_end_arr(&c->out);
        jo_ki(&c->out, "not_tried", n > TARGETS_TRIED ? (int64_t)n - TARGETS_TRIED : 0);
        jo_end_obj(&c->out);
    }
    catalog_unref(cat);
    return rc;
}

/* ---- tiers ---- */

static bool chain_begins(const struct catalog *cat, size_t i)
{
    const struct tier *t = &cat->tiers[i];
    return i == 0 || strcmp(t[-1].name, t->name) != 0 || strcmp(t[-1].mode, t->mode) != 0;
}

static enum rc tiers_list(struct route_call *c)
{
    struct json_out *o = &c->out;
    const struct catalog *cat;
    enum rc rc = catalog_ref(c->server->catalogs, true, &cat, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(o);
    jo_key(o, "tiers");
    jo_arr(o);
    for (size_t i = 0; i < cat->tier_count; i++) {
        const struct tier *t = &cat->tiers[i];
        if (!chain_begins(cat, i) || principal_model(&c->principal, t->name, NULL) != RC_OK)
            continue;
        jo_obj(o);
        jo_kz(o, "name", t->name);
        jo_kz(o, "mode", t->mode);
        jo_kz(o, "origin", i < cat->tiers_of_settings ? "setting" : "row");
        jo_key(o, "models");
        jo_arr(o);
        for (size_t j = i; j < cat->tier_count && (j == i || !chain_begins(cat, j)); j++)
            jo_z(o, cat->tiers[j].model);
        jo_end_arr(o);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
    catalog_unref(cat);
    return RC_OK;
}

struct tier_input {
    const char *name, *mode;
    const char **models;
};
static const struct json_bind tier_table[] = {
    BIND(tier_input, name, BIND_STR, true, 0, 200),
    BIND(tier_input, mode, BIND_STR, false, 0, 16),
    BIND(tier_input, models, BIND_STRV, true, 0, 0),
};

static enum rc tier_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct tier_input *in = arg;
    size_t n = 0;
    while (in->models[n])
        n++;
    return tier_set(tx, in->name, in->mode, in->models, n, err);
}

static enum rc tier_put(struct route_call *c)
{
    struct tier_input in = {.mode = "normal"};
    enum rc rc = json_bind(c->ctx, c->json, tier_table, sizeof tier_table / sizeof *tier_table, true, &in, &c->err);
    if (rc == RC_OK)
        rc = store_write(c->server->store, tier_tx, &in, &c->err);
    if (rc != RC_OK)
        return rc;
    catalogs_stale(c->server->catalogs);
    return tiers_list(c);
}

const struct route route_models_list = {"GET", "/api/v1/models",      "models and who serves them", models_list,
                                        NULL,  .access = ACCESS_READ, .narrow = NARROW_SHARED,      .gives = "Models"};
const struct route route_model_post = {"POST",
                                       "/api/v1/models",
                                       "add a model or another upstream of it",
                                       model_post,
                                       NULL,
                                       .takes = "ModelInput",
                                       .gives = "Model",
                                       .creates = true,
                                       .access = ACCESS_ADMIN,
                                       .tells = "model"};
const struct route route_model_delete = {"DELETE",
                                         "/api/v1/models",
                                         "remove the rows of a model",
                                         model_delete,
                                         NULL,
                                         .query = "id provider",
                                         .gives = "Removed",
                                         .access = ACCESS_ADMIN,
                                         .tells = "model"};
const struct route route_model_test = {"POST",
                                       "/api/v1/models/test",
                                       "ask all that serve a name for a few tokens",
                                       model_test,
                                       NULL,
                                       .takes = "ModelTestInput",
                                       .gives = "ModelTest",
                                       .access = ACCESS_ADMIN};
const struct route route_tiers_list = {"GET",
                                       "/api/v1/tiers",
                                       "tiers and aliases with their chains",
                                       tiers_list,
                                       NULL,
                                       .access = ACCESS_READ,
                                       .narrow = NARROW_SHARED,
                                       .gives = "Tiers"};
const struct route route_tier_put = {"PUT",
                                     "/api/v1/tiers",
                                     "set the chain of a tier or alias",
                                     tier_put,
                                     NULL,
                                     .takes = "TierInput",
                                     .gives = "Tiers",
                                     .access = ACCESS_ADMIN,
                                     .tells = "tier"};
