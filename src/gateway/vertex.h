/* Vertex AI: a service account becomes a bearer token; addresses of publisher models.
 *
 * The account is the JSON file that Google hands out (type "service_account"). A JWT signed with its key (RS256, RFC
 * 7515, RFC 7523) is exchanged at its token_uri for a token of about an hour. Everything here is pure but for the
 * signature's own randomness (RS256 has none): no clock, no I/O. The exchange itself (one POST) is the caller's; tokens
 * are kept in struct vertex_tokens until shortly before they end. Sources: Google's OAuth 2.0 for service accounts,
 * Vertex AI REST reference. */
#pragma once
#include "base/json.h"

struct vertex_account {
    const char *project, *email, *key_id, *token_uri;
    const char *key_pem; /* secret */
};
/* RC_INVALID with the member that is missing or wrong; token_uri must be https (http on loopback is taken for tests).
 * Texts in ctx. */
MUST_USE enum rc vertex_account_read(mem *ctx, struct str json, struct vertex_account *ret, struct err *err);
/* Signed assertion for the scope cloud-platform, valid for an hour from now_s. In ctx. RC_INVALID: the key is none. */
MUST_USE enum rc vertex_assertion(mem *ctx, const struct vertex_account *a, int64_t now_s, char **ret, struct err *err);
/* Body (application/x-www-form-urlencoded) of the POST to token_uri. In ctx. */
struct str vertex_exchange_body(mem *ctx, const char *assertion);
/* Reads the answer. *ret_seconds: how long the token holds. RC_DENIED with the server's words, RC_UPSTREAM. In ctx. */
MUST_USE enum rc vertex_token_read(mem *ctx, int status, struct str body, char **ret_token, int64_t *ret_seconds,
                                   struct err *err);
/* Address of a generation request. base: "https://aiplatform.googleapis.com" or of a region; NULL or "": by location
 * ("global" or a region). Models that begin with "claude" are Anthropic's (rawPredict), others Google's
 * (generateContent). In ctx. */
char *vertex_url(mem *ctx, const char *base, const char *project, const char *location, const char *upstream,
                 bool stream);
/* The location that the address of a region names, else "global". In ctx. */
char *vertex_location(mem *ctx, const char *base);
bool vertex_is_claude(const char *upstream); /* then the dialect is "messages", with anthropic_version in the body */
#define VERTEX_ANTHROPIC_VERSION "vertex-2023-10-16"

/* Tokens by provider id. Thread-safe. */
struct vertex_tokens;
struct vertex_tokens *vertex_tokens_new(mem *ctx);
/* A token that still holds for a minute at now_s and was made for this account, in ctx; NULL: exchange one. */
char *vertex_tokens_get(mem *ctx, struct vertex_tokens *t, const char *provider, const char *key_id, int64_t now_s);
void vertex_tokens_put(struct vertex_tokens *t, const char *provider, const char *key_id, const char *token,
                       int64_t until_s);
