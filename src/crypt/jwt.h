/* Signed assertions: a JWT (RFC 7519) in compact form, signed with RS256 (RFC 7515, RFC 7518: RSASSA-PKCS1-v1_5 with
 * SHA-256), for others; and signed with EdDSA over Ed25519 (RFC 8037), for ourselves, with a reader that takes nothing
 * else. The signature of the same text with the same key is always the same. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* header and claims: JSON objects. key_pem: a private RSA key (PKCS#8 or PKCS#1) of 2048 bits or more. In ctx.
 * RC_INVALID: it is none; the words never hold any of it. */
MUST_USE enum rc jwt_rs256(mem *ctx, struct str header, struct str claims, const char *key_pem, char **ret,
                           struct err *err);
/* Base64 for addresses (RFC 4648 section 5), without padding. In ctx. */
char *base64url(mem *ctx, struct str bytes);

/* Access tokens (after RFC 9068 and RFC 8725): the header has alg EdDSA, typ at+jwt and the kid of a key of ours, and
 * nothing else, so nothing in a token chooses how it is checked. */
#define JWT_PUBLIC 32
#define JWT_SECRET 64
#define JWT_MOST   4096 /* bytes */
void jwt_key_new(uint8_t ret_public[JWT_PUBLIC], uint8_t ret_secret[JWT_SECRET]);
/* kid: letters and digits. claims: a JSON object. In ctx. */
char *jwt_eddsa(mem *ctx, const char *kid, struct str claims, const uint8_t secret[JWT_SECRET]);
/* The kid of what may be such a token, in ctx; NULL: it is none. Nothing is trusted yet. */
const char *jwt_kid(mem *ctx, struct str token);
/* The claims of a token that this key signed, in ctx. False: anything is wrong. */
bool jwt_eddsa_open(mem *ctx, struct str token, const uint8_t public_key[JWT_PUBLIC], struct str *ret_claims);
