/* Tiers and aliases: names for chains of models, tried in order until one answers.
 *
 * A tier is named A, B or C, an alias anything else that is no model's id. Each may hold a pair of chains: "normal" and
 * "thinking"; where only one is given it serves both. A chain names models by the ids that clients use; what an id
 * means is looked up when a request comes, so a chain may name models that are only known to a provider. Chains of
 * settings and environment (TIER_A_MODEL and so on) override these rows: src/gateway/catalog.h. */
#pragma once
#include "store/store.h"

#define TIER_CHAIN_MAX 16
struct tier {
    const char *name;
    const char *mode; /* "normal", "thinking" */
    int64_t position; /* 0.. */
    const char *model;
};
/* Replaces the chain of (name, mode); n 0 removes it. RC_INVALID: a name or mode that is none, too many, one twice. */
MUST_USE enum rc tier_set(struct store_tx *tx, const char *name, const char *mode, const char *const *models, size_t n,
                          struct err *err);
/* All rows by name, mode, position. */
MUST_USE enum rc tier_rows(mem *ctx, struct store *s, struct tier **ret, size_t *ret_n, struct err *err);
