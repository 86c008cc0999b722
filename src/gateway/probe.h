/* Trying a provider out: a real, tiny request, and what it came to. Blocks for up to 20 s; any thread but the loop's.
 */
#pragma once
#include "gateway/way.h"

struct probe {
    int64_t latency_ms;        /* of the whole exchange */
    const char *const *models; /* of a provider that lists them, NULL-terminated; else NULL */
    const char *served;        /* the model as the provider named it in its answer, or NULL */
    const char *url;
};
/* Asks for the list of models; of a service account, for its token. Costs nothing. */
MUST_USE enum rc probe_provider(mem *ctx, const struct ways *w, const struct provider_view *p, struct probe *ret,
                                struct err *err);
/* Asks for 16 tokens at most, as any client does: through the gateway, at the daemon's own Unix socket, so that it is
 * admitted, metered and recorded. Costs what they cost. */
MUST_USE enum rc probe_model(mem *ctx, const char *socket, const struct provider_view *p, const char *upstream,
                             struct probe *ret, struct err *err);
