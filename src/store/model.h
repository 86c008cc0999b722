/* Models as clients name them, and who serves each.
 *
 * Several rows of one id are equal upstreams: requests for the id are spread over them by weight and load. `provider`
 * is the id of a provider (with or without a row of its own, src/store/provider.h), `upstream` the name that the
 * provider knows the model by. Facts that are 0 are unknown. Reads from any thread, writes in a store_fn. */
#pragma once
#include "store/store.h"

enum model_ability { MODEL_TOOLS = 1, MODEL_IMAGES = 2, MODEL_REASONING = 4, MODEL_JSON = 8 };
/* The words for them, in order of the bits; NULL-terminated: "tools", "images", "reasoning", "json". */
extern const char *const model_ability_names[];

struct model {
    const char *id;       /* 1 to 200 printable bytes without blanks */
    const char *provider; /* id */
    const char *upstream; /* name there */
    int64_t context;      /* tokens that fit; 0: unknown */
    int64_t max_output;   /* tokens that one answer may have; 0: unknown */
    int64_t abilities;    /* enum model_ability; -1: unknown */
    int64_t weight;       /* 1 to 1000 */
    int64_t created_ns, changed_ns;
};
#define MODEL_STANDARD                                                                                                 \
    {                                                                                                                  \
        .id = "", .provider = "", .upstream = "", .abilities = -1, .weight = 100                                       \
    }
bool model_id_valid(const char *id);
/* Adds the row or replaces the one of the same (id, provider, upstream). RC_INVALID. */
MUST_USE enum rc model_put(struct store_tx *tx, const struct model *m, struct err *err);
/* Rows of one id, or all of them (id NULL), by id, provider, upstream. None is no error. */
MUST_USE enum rc model_rows(mem *ctx, struct store *s, const char *id, struct model **ret, size_t *ret_n,
                            struct err *err);
/* Rows of the id; of one provider alone when it is not NULL. RC_NOT_FOUND when there was none. */
MUST_USE enum rc model_remove(struct store_tx *tx, const char *id, const char *provider, struct err *err);
