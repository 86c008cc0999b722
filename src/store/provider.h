/* Providers: model servers that requests may be sent to, as rows.
 *
 * A row says how one server is reached; what is the same for every server of its kind (standard address, variable of
 * the key, header that carries it) is the kind's descriptor (src/gateway/provider.h). Empty texts and -1 mean "as the
 * kind says". A provider without any row exists when the key variable of its kind is known to the daemon; a row of the
 * same id replaces that one. The row never holds a key, only a reference to one:
 *   env:NAME     a key variable known to the daemon (its environment, or handed over by a client)
 *   file:/PATH   first line of a file of mode 0600, read and checked at each use
 *   sealed:ID    the sealed store (src/store/sealed.h)
 * Reads from any thread, writes in a store_fn. Results are in ctx. */
#pragma once
#include "store/store.h"

#define PROVIDER_ID_MAX 64

struct provider {
    const char *id;         /* a-z 0-9 . _ -, begins with a letter or digit */
    const char *kind;       /* name in src/gateway/providers.def */
    const char *base_url;   /* without a path below the version; "" the kind's */
    const char *credential; /* reference as above; "" the kind's variable, or none where the kind needs none */
    const char *dialect;    /* "" the kind's */
    const char *headers;    /* extra header lines as a JSON object {"Name":"value"} */
    int64_t concurrency;    /* requests under way at once; 0: no bound */
    int64_t queue;          /* requests that may wait for a place; beyond them 503 */
    int64_t weight;         /* share among equal upstreams, 1 to 1000 */
    int64_t cooldown_ms;    /* rest after failures */
    int64_t cancel;         /* does a cancelled request stop the bill: 1 yes, 0 no, -1 as the kind says */
    int64_t connect_ms, first_byte_ms, idle_ms; /* deadlines; 0: those of the settings */
    bool enabled;
    int64_t created_ns, changed_ns;
};
/* What a new row has unless it says otherwise. */
#define PROVIDER_STANDARD                                                                                              \
    {                                                                                                                  \
        .id = "", .kind = "", .base_url = "", .credential = "", .dialect = "", .headers = "{}", .queue = 256,          \
        .weight = 100, .cooldown_ms = 30000, .cancel = -1, .enabled = true                                             \
    }

bool provider_id_valid(const char *id);
/* Adds the row or replaces the one of the same id (created_ns stays). RC_INVALID names the member that is wrong; that
 * the kind exists is the caller's to check. */
MUST_USE enum rc provider_put(struct store_tx *tx, const struct provider *p, struct err *err);
MUST_USE enum rc provider_find(mem *ctx, struct store *s, const char *id, struct provider *ret,
                               struct err *err); /* RC_NOT_FOUND */
MUST_USE enum rc provider_list(mem *ctx, struct store *s, struct provider **ret, size_t *ret_n,
                               struct err *err); /* by id */
/* RC_NOT_FOUND; RC_CONFLICT while models are served by it. Its sealed secret is removed with it. */
MUST_USE enum rc provider_remove(struct store_tx *tx, const char *id, struct err *err);
