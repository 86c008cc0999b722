/* The catalogue: providers, models and tiers as they are in force now, merged from rows (src/store), key variables that
 * the daemon knows, and settings; and what a name that a client sent means.
 *
 * A catalogue is an immutable snapshot that any thread may read while it holds a reference. It is made anew when it is
 * asked for after `catalogs_stale`, which whoever changes a row, a key or a setting calls; that reading uses the
 * database, so catalog_ref is not for the loop.
 *
 * A name is looked up in this order: a tier or alias (settings and environment before rows); the id of model rows;
 * "PROVIDER/UPSTREAM" for a provider that exists; a name that begins as the models of a kind do ("claude-...") for a
 * provider of that kind. The first that fits decides. */
#pragma once
#include "gateway/provider.h"
#include "store/model.h"
#include "store/tier.h"

struct catalog_target { /* one upstream that can serve */
    const struct provider_view *provider;
    const struct model *model; /* facts are unknown (0, -1) when there is no row */
    size_t step;               /* place in the chain, 0..: targets of one step are equal, later ones are fallbacks */
};
struct catalog {
    const struct provider_view *providers; /* by id; disabled ones too */
    size_t provider_count;
    const struct model *models; /* by id, provider, upstream */
    size_t model_count;
    const struct tier *tiers;             /* by name, mode, position; with those of the settings in place */
    size_t tier_count, tiers_of_settings; /* the first so many */
};
struct catalogs;
struct catalogs_spec {
    struct store *store;
    /* Whether a key variable is known; any thread. */
    bool (*has_key)(void *arg, const char *variable);
    void *arg;
    /* Chains of the settings: names of models separated by commas; NULL or "": none. By tier: A, B, C. */
    const char *tier_chain[3];
};
struct catalogs *catalogs_new(mem *ctx, const struct catalogs_spec *spec); /* freeing ctx ends it */
void catalogs_stale(struct catalogs *c);                                   /* any thread */
/* RC_AGAIN: it would have to be read, and `wait` is false. */
MUST_USE enum rc catalog_ref(struct catalogs *c, bool wait, const struct catalog **ret, struct err *err);
void catalog_unref(const struct catalog *cat); /* NULL is fine */

const struct provider_view *catalog_provider(const struct catalog *cat, const char *id); /* NULL */
/* The targets that a name stands for, in order, enabled providers only; in ctx, pointing into the catalogue. thinking:
 * the tier's chain of that mode. RC_NOT_FOUND: the name means nothing, with the nearest one; RC_UNAVAILABLE: all that
 * serve it are disabled. */
MUST_USE enum rc catalog_targets(mem *ctx, const struct catalog *cat, const char *name, bool thinking,
                                 struct catalog_target **ret, size_t *ret_n, struct err *err);

/* The names under which the price of a target may stand, the most exact first: PROVIDER/UPSTREAM, KIND/UPSTREAM, the
 * model's id, and the upstream name where the provider is the maker of its models. For price_find_named. In ctx. */
#define CATALOG_PRICE_NAMES 4
size_t catalog_price_names(mem *ctx, const struct catalog_target *t, const char *ret[CATALOG_PRICE_NAMES]);
