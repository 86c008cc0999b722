/* Making the catalogue from rows, known keys and settings; looking names up in it. */
#include "gateway/catalog.h"
#include "base/text.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One snapshot: a memory tree of its own that goes with the last reference. */
struct snapshot {
    struct catalog catalog; /* first: a catalogue is a snapshot */
    mem *own;
    atomic_size_t references;
};
struct catalogs {
    pthread_mutex_t lock;
    struct catalogs_spec spec;
    struct snapshot *current;
    bool stale;
};

void catalog_unref(const struct catalog *cat)
{
    struct snapshot *s = (struct snapshot *)(uintptr_t)cat;
    if (s && atomic_fetch_sub(&s->references, 1) == 1)
        mem_free(s->own);
}

static int catalogs_destroy(struct catalogs *c)
{
    catalog_unref(c->current ? &c->current->catalog : NULL);
    pthread_mutex_destroy(&c->lock);
    return 0;
}

struct catalogs *catalogs_new(mem *ctx, const struct catalogs_spec *spec)
{
    struct catalogs *c = mem_new(ctx, struct catalogs);
    c->spec = *spec;
    for (int i = 0; i < 3; i++)
        c->spec.tier_chain[i] = mem_str(c, spec->tier_chain[i]);
    pthread_mutex_init(&c->lock, NULL);
    talloc_set_destructor(c, catalogs_destroy);
    return c;
}

void catalogs_stale(struct catalogs *c)
{
    pthread_mutex_lock(&c->lock);
    c->stale = true;
    pthread_mutex_unlock(&c->lock);
}

/* ---- making one ---- */

static int view_order(const void *a, const void *b)
{
    return strcmp(((const struct provider_view *)a)->row.id, ((const struct provider_view *)b)->row.id);
}

static bool row_there(const struct provider *rows, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].id, id) == 0)
            return true;
    return false;
}

/* The kind's variable stands in where the row names no key; a server that asks for none does without. */
static void credential_fill(const struct catalogs *c, mem *ctx, struct provider_view *v)
{
    const char *variable = v->kind->key_variable;
    bool known = variable && c->spec.has_key(c->spec.arg, variable);
    if (!*v->credential && variable && (known || !v->kind->key_optional))
        v->credential = mem_printf(ctx, "env:%s", variable);
}

static enum rc providers_load(const struct catalogs *c, struct snapshot *s, struct err *err)
{
    struct provider *rows;
    size_t n, kinds_n, out = 0;
    const struct provider_kind *const *kinds = provider_kinds(&kinds_n);
    enum rc rc = provider_list(s->own, c->spec.store, &rows, &n, err);
    if (rc)
        return rc;
    struct provider_view *views = mem_array(s->own, struct provider_view, n + kinds_n);
    for (size_t i = 0; i < n; i++)
        if (provider_view_make(&rows[i], &views[out], NULL) == RC_OK) /* a kind of a newer program: no way to it */
            credential_fill(c, s->own, &views[out++]);
    for (size_t i = 0; i < kinds_n; i++) {
        const struct provider_kind *k = kinds[i];
        struct provider row = PROVIDER_STANDARD;
        if (!k->base_url || !k->key_variable || !c->spec.has_key(c->spec.arg, k->key_variable) ||
            row_there(rows, n, k->name))
            continue;
        row.id = row.kind = k->name;
        rc = provider_view_make(&row, &views[out], err);
        if (rc)
            return rc;
        views[out].implicit = true;
        credential_fill(c, s->own, &views[out++]);
    }
    qsort(views, out, sizeof *views, view_order);
    s->catalog.providers = views;
    s->catalog.provider_count = out;
    return RC_OK;
}

/* Chains of the settings take the place of all rows of their tier. */
static enum rc tiers_load(const struct catalogs *c, struct snapshot *s, struct err *err)
{
    static const char *const names[3] = {"A", "B", "C"};
    struct tier *rows;
    size_t n, out = 0;
    enum rc rc = tier_rows(s->own, c->spec.store, &rows, &n, err);
    if (rc)
        return rc;
    struct tier *tiers = mem_array(s->own, struct tier, n + 3 * (size_t)TIER_CHAIN_MAX);
    for (int i = 0; i < 3; i++) {
        struct str rest = str_of(c->spec.tier_chain[i]), one;
        for (int64_t position = 0; position < TIER_CHAIN_MAX && str_next(&rest, ',', &one);) {
            one = str_trim(one);
            if (one.n)
                tiers[out++] = (struct tier){names[i], "normal", position++, str_dup(s->own, one)};
        }
    }
    size_t from_settings = out;
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        for (size_t j = 0; j < from_settings; j++)
            replaced = replaced || strcmp(tiers[j].name, rows[i].name) == 0;
        if (!replaced)
            tiers[out++] = rows[i];
    }
    s->catalog.tiers = tiers;
    s->catalog.tier_count = out;
    s->catalog.tiers_of_settings = from_settings;
    return RC_OK;
}

static enum rc models_load(const struct catalogs *c, struct snapshot *s, struct err *err)
{
    struct model *rows;
    enum rc rc = model_rows(s->own, c->spec.store, NULL, &rows, &s->catalog.model_count, err);
    if (!rc)
        s->catalog.models = rows;
    return rc;
}

static enum rc snapshot_make(const struct catalogs *c, struct snapshot **ret, struct err *err)
{
    mem *own = mem_root();
    struct snapshot *s = mem_new(own, struct snapshot);
    s->own = own;
    atomic_init(&s->references, 1);
    enum rc rc = providers_load(c, s, err);
    if (!rc)
        rc = models_load(c, s, err);
    if (!rc)
        rc = tiers_load(c, s, err);
    if (rc)
        mem_free(own);
    else
        *ret = s;
    return rc;
}

enum rc catalog_ref(struct catalogs *c, bool wait, const struct catalog **ret, struct err *err)
{
    enum rc rc = RC_OK;
    if (wait)
        pthread_mutex_lock(&c->lock);
    else if (pthread_mutex_trylock(&c->lock) != 0)
        return RC_AGAIN; /* another thread may be reading it */
    if ((!c->current || c->stale) && !wait) {
        rc = RC_AGAIN;
    } else if (!c->current || c->stale) {
        struct snapshot *fresh;
        rc = snapshot_make(c, &fresh, err);
        if (!rc) {
            catalog_unref(c->current ? &c->current->catalog : NULL);
            c->current = fresh;
            c->stale = false;
        }
    }
    if (!rc) {
        atomic_fetch_add(&c->current->references, 1);
        *ret = &c->current->catalog;
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* ---- what a name means ---- */

const struct provider_view *catalog_provider(const struct catalog *cat, const char *id)
{
    struct provider_view key = {.row = {.id = id}};
    return cat->provider_count ? bsearch(&key, cat->providers, cat->provider_count, sizeof *cat->providers, view_order)
                               : NULL;
}

struct search {
    mem *ctx;
    const struct catalog *cat;
    struct catalog_target *targets;
    size_t n;
    bool disabled; /* something fits but is switched off */
};

static void target_add(struct search *s, const struct provider_view *p, const struct model *m, size_t step)
{
    if (!p->row.enabled) {
        s->disabled = true;
        return;
    }
    s->targets = mem_grow(s->ctx, s->targets, (s->n + 1) * sizeof *s->targets);
    s->targets[s->n++] = (struct catalog_target){p, m, step};
}

/* A model that no row tells of. */
static void target_add_unknown(struct search *s, const struct provider_view *p, const char *id, const char *upstream,
                               size_t step)
{
    struct model *m = mem_new(s->ctx, struct model);
    *m = (struct model)MODEL_STANDARD;
    m->id = mem_str(s->ctx, id);
    m->provider = p->row.id;
    m->upstream = mem_str(s->ctx, upstream);
    target_add(s, p, m, step);
}

/* The first model of that id; they are sorted. */
static size_t model_first(const struct catalog *cat, const char *id)
{
    size_t low = 0, high = cat->model_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(cat->models[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool rows_search(struct search *s, const char *name, size_t step)
{
    bool found = false;
    for (size_t i = model_first(s->cat, name); i < s->cat->model_count && !strcmp(s->cat->models[i].id, name); i++) {
        const struct provider_view *p = catalog_provider(s->cat, s->cat->models[i].provider);
        found = true;
        if (p)
            target_add(s, p, &s->cat->models[i], step);
    }
    return found;
}

static bool provider_search(struct search *s, const char *name, size_t step)
{
    const char *slash = strchr(name, '/');
    if (!slash || !slash[1])
        return false;
    const char *id = mem_strn(s->ctx, name, (size_t)(slash - name));
    const struct provider_view *p = catalog_provider(s->cat, id);
    if (p)
        target_add_unknown(s, p, name, slash + 1, step);
    return p != NULL;
}

static bool prefix_fits(const struct provider_kind *kind, const char *name)
{
    for (const char *const *prefix = kind->model_prefixes; prefix && *prefix; prefix++)
        if (strncmp(name, *prefix, strlen(*prefix)) == 0)
            return true;
    return false;
}

/* By the id that the kind has without a row, else the first one of the kind. */
static bool prefix_search(struct search *s, const char *name, size_t step)
{
    const struct provider_view *found = NULL;
    for (size_t i = 0; i < s->cat->provider_count; i++) {
        const struct provider_view *p = &s->cat->providers[i];
        if (!prefix_fits(p->kind, name))
            continue;
        bool better = !found || (p->row.enabled && !found->row.enabled) ||
                      (p->row.enabled == found->row.enabled && strcmp(p->row.id, p->kind->name) == 0);
        if (better)
            found = p;
    }
    if (found)
        target_add_unknown(s, found, name, name, step);
    return found != NULL;
}

static bool model_search(struct search *s, const char *name, size_t step)
{
    return rows_search(s, name, step) || provider_search(s, name, step) || prefix_search(s, name, step);
}

static bool tier_search(struct search *s, const char *name, bool thinking)
{
    const char *want = NULL;
    size_t step = 0;
    for (size_t i = 0; i < s->cat->tier_count; i++) {
        const struct tier *t = &s->cat->tiers[i];
        if (strcmp(t->name, name) == 0 && (!want || strcmp(t->mode, thinking ? "thinking" : "normal") == 0))
            want = t->mode;
    }
    for (size_t i = 0; want && i < s->cat->tier_count; i++) {
        const struct tier *t = &s->cat->tiers[i];
        if (strcmp(t->name, name) == 0 && strcmp(t->mode, want) == 0)
            model_search(s, t->model, step++);
    }
    return want != NULL;
}

static enum rc name_unknown(struct search *s, const char *name, bool tier, struct err *err)
{
    const char **names = mem_array(s->ctx, const char *, s->cat->model_count + s->cat->tier_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < s->cat->model_count; i++)
        names[n++] = s->cat->models[i].id;
    for (size_t i = 0; i < s->cat->tier_count; i++)
        names[n++] = s->cat->tiers[i].name;
    const char *shown = text_terminal_line(s->ctx, str_of(name), 100), *near = text_nearest(str_of(name), names, n);
    err_set(err, RC_NOT_FOUND, tier ? "no provider serves any model of the tier %s" : "no provider serves a model %s",
            shown);
    if (near && !tier)
        err_hint(err, "did you mean %s? nightmill model ls lists what can be asked", near);
    else
        err_hint(err,
                 "nightmill provider ls shows the providers; nightmill model add MODEL --provider NAME adds a model");
    return RC_NOT_FOUND;
}

enum rc catalog_targets(mem *ctx, const struct catalog *cat, const char *name, bool thinking,
                        struct catalog_target **ret, size_t *ret_n, struct err *err)
{
    struct search s = {.ctx = ctx, .cat = cat};
    bool tier = tier_search(&s, name, thinking);
    if (!tier)
        model_search(&s, name, 0);
    *ret = s.targets;
    *ret_n = s.n;
    if (s.n)
        return RC_OK;
    if (!s.disabled)
        return name_unknown(&s, name, tier, err);
    err_set(err, RC_UNAVAILABLE, "all that serve %s are switched off", text_terminal_line(ctx, str_of(name), 100));
    err_hint(err, "nightmill provider ls shows them; nightmill provider add NAME --enable switches one on");
    return RC_UNAVAILABLE;
}

size_t catalog_price_names(mem *ctx, const struct catalog_target *t, const char *ret[CATALOG_PRICE_NAMES])
{
    const struct provider_kind *kind = t->provider->kind;
    size_t n = 0;
    ret[n++] = mem_printf(ctx, "%s/%s", t->provider->row.id, t->model->upstream);
    if (strcmp(t->provider->row.id, kind->name) != 0)
        ret[n++] = mem_printf(ctx, "%s/%s", kind->name, t->model->upstream);
    ret[n++] = t->model->id;
    if (kind->model_prefixes && strcmp(t->model->id, t->model->upstream) != 0)
        ret[n++] = t->model->upstream;
    return n;
}
