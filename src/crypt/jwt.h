/* Signed assertions: a JWT (RFC 7519) in compact form, signed with RS256 (RFC 7515, RFC 7518: RSASSA-PKCS1-v1_5 with
 * SHA-256). Making only; nothing here verifies. The signature of the same text with the same key is always the same.
 * Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* header and claims: JSON objects. key_pem: a private RSA key (PKCS#8 or PKCS#1) of 2048 bits or more. In ctx.
 * RC_INVALID: it is none; the words never hold any of it. */
MUST_USE enum rc jwt_rs256(mem *ctx, struct str header, struct str claims, const char *key_pem, char **ret,
                           struct err *err);
/* Base64 for addresses (RFC 4648 section 5), without padding. In ctx. */
char *base64url(mem *ctx, struct str bytes);
