/* Kinds of providers: what is the same for every server of a kind, one const descriptor per file provider_<kind>.c and
 * a line in providers.def. How one certain server is reached is a row (src/store/provider.h); how its bytes read is a
 * dialect (src/llm/llm.h). Sources: the providers' API references; whether a cancelled request stops the bill is
 * OpenRouter's published list. No I/O here. Threads: no state. */
#pragma once
#include "base/json.h"
#include "llm/endpoint.h"
#include "store/provider.h"

enum provider_auth {
    PROVIDER_BEARER,         /* Authorization: Bearer KEY */
    PROVIDER_X_API_KEY,      /* x-api-key: KEY */
    PROVIDER_X_GOOG_API_KEY, /* x-goog-api-key: KEY */
    PROVIDER_ACCOUNT, /* the key is a service account (JSON); what is sent is a token exchanged for it (vertex.h) */
};
enum provider_lists {                        /* how it lists its models */
                      PROVIDER_LISTS_DATA,   /* GET BASE/v1/models: {"data":[{"id"}]} */
                      PROVIDER_LISTS_MODELS, /* GET BASE/v1beta/models: {"models":[{"name":"models/ID"}]} */
                      PROVIDER_LISTS_NONE,
};
struct provider_kind {
    const char *name;         /* "anthropic"; also the id of the provider that exists without a row */
    const char *title;        /* "Anthropic" */
    const char *base_url;     /* NULL: a row must give one */
    const char *key_variable; /* "ANTHROPIC_API_KEY"; NULL: none is usual */
    bool key_optional;        /* a server of one's own that asks for no key */
    const char *dialect;      /* "messages", "openai", "chat", "gemini" */
    enum provider_auth auth;
    enum provider_lists lists;
    const char *api_version;           /* header line that every request has ("anthropic-version: ..."), or NULL */
    bool cancel_stops_bill;            /* else a request whose client left is drained to its usage */
    const char *const *model_prefixes; /* models that clients may name without any row; NULL-terminated or NULL */
};
const struct provider_kind *const *provider_kinds(size_t *ret_n);
const struct provider_kind *provider_kind_find(const char *name); /* NULL */

/* RC_INVALID with the kinds that there are. */
enum rc provider_kind_missing(mem *ctx, const char *kind, struct err *err);

/* The variables in which keys are looked for; how many there are. */
#define PROVIDER_VARIABLES_MAX 32
size_t provider_key_variables(const char *ret[PROVIDER_VARIABLES_MAX]);

/* A row with every "as the kind says" filled in. */
struct provider_view {
    struct provider row;
    const struct provider_kind *kind;
    const char *base_url, *dialect;
    const char *credential; /* "" where the kind's variable counts and is not known (catalog.h fills it in) */
    /* The kind's; where the row speaks another dialect than its kind, those of that dialect's own provider. */
    enum provider_auth auth;
    enum provider_lists lists;
    const char *api_version;
    bool cancel_stops_bill;
    bool implicit; /* no row: it exists because its key is known */
};
/* RC_INVALID: unknown kind, no address. Texts are the row's or static. */
MUST_USE enum rc provider_view_make(const struct provider *row, struct provider_view *ret, struct err *err);

/* Extra header lines as a row has them: names and values that can be sent and that are the row's to set. RC_INVALID. */
MUST_USE enum rc provider_headers_check(struct str json, struct err *err);
/* Header lines for a request: the key (may be NULL), the version, Content-Type, then the row's own; NULL-terminated, in
 * ctx. RC_INVALID when the key or a line of the row has bytes that would break a header. For PROVIDER_ACCOUNT `key` is
 * the exchanged token. */
MUST_USE enum rc provider_headers(mem *ctx, const struct provider_view *p, const char *key, const char *const **ret,
                                  struct err *err);
/* Address of a request of the provider's dialect (NULL where it has no such thing), and of the list of its models (NULL
 * where it has none). The base address may end in "/", "/v1" or "/v1beta". Not for PROVIDER_ACCOUNT: vertex_url. In
 * ctx.
 */
char *provider_url(mem *ctx, const struct provider_view *p, enum llm_endpoint_kind kind, const char *upstream,
                   bool stream);
char *provider_list_url(mem *ctx, const struct provider_view *p);
/* Ids in the answer of that list, NULL-terminated. RC_UPSTREAM when it is none. */
MUST_USE enum rc provider_list_read(mem *ctx, const struct provider_view *p, struct str body, const char *const **ret,
                                    struct err *err);
