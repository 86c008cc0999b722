/* The way to an upstream: address, headers and key of one request to a target.
 *
 * This is the one place where the key of a provider meets a request. Resolving may read a file, and for a service
 * account it may exchange a token (one blocking POST, about once an hour a provider): then not on the loop. What comes
 * out holds the key; it belongs to ctx and goes with the request. Thread-safe. */
#pragma once
#include "auth/credential.h"
#include "gateway/catalog.h"
#include "gateway/vertex.h"

struct ways {
    struct credentials *credentials;
    struct vertex_tokens *tokens;
};
struct way {
    const char *url;
    const char *const *headers; /* lines, NULL-terminated, with Content-Type */
    const struct llm_dialect *dialect;
    const char *socket; /* Unix socket instead of the host of url; NULL from way_find */
    bool vertex_claude; /* the body is of "messages" without "model", with anthropic_version (vertex.h) */
    const char *secret; /* what the headers carry, for redaction; NULL: none */
};
/* Whether way_find for this provider may read a file or ask for a token: then it is not for the loop. */
bool way_waits(const struct provider_view *p);
/* RC_DENIED: the key is not to be had, or Google refuses the account; RC_UPSTREAM: no token came; RC_INVALID: the
 * provider has no such endpoint, or its row cannot be sent. */
MUST_USE enum rc way_find(mem *ctx, const struct ways *w, const struct provider_view *p, enum llm_endpoint_kind kind,
                          const char *upstream, bool stream, struct way *ret, struct err *err);
