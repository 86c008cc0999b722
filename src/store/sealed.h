/* Sealed secrets: boxes of src/crypt/seal.h by id. What is in them is known only to who holds the key file; this room
 * sees bytes. */
#pragma once
#include "store/store.h"

struct sealed {
    const char *id; /* as a provider's id */
    struct str box;
    int64_t created_ns, changed_ns;
};
MUST_USE enum rc sealed_put(struct store_tx *tx, const char *id, struct str box, int64_t now_ns, struct err *err);
MUST_USE enum rc sealed_list(mem *ctx, struct store *s, struct sealed **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc sealed_remove(struct store_tx *tx, const char *id, struct err *err); /* none is no error */
