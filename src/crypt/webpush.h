/* Web push: messages that only one browser can read (RFC 8291, content coding aes128gcm of RFC 8188) and the signed
 * token by which an application server names itself to push services (VAPID, RFC 8292: JWT with ES256).
 *
 * Keys are P-256 (RFC 7748's older sister; FIPS 186): private ones 32 bytes, public ones as uncompressed points of 65
 * bytes. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum {
    WEBPUSH_PRIVATE = 32,
    WEBPUSH_PUBLIC = 65,
    WEBPUSH_AUTH = 16,
    WEBPUSH_SALT = 16,
    WEBPUSH_TEXT_MOST = 3800 /* push services take bodies of 4096 bytes */
};

struct webpush_key {
    uint8_t secret[WEBPUSH_PRIVATE];
    uint8_t point[WEBPUSH_PUBLIC];
};
void webpush_key_new(struct webpush_key *ret);
/* The point that belongs to the private key of 32 bytes. RC_INVALID: it is none. */
MUST_USE enum rc webpush_key_of(struct str secret, struct webpush_key *ret, struct err *err);
void webpush_key_wipe(struct webpush_key *k);

/* Keys of a subscription, decoded. */
struct webpush_receiver {
    uint8_t point[WEBPUSH_PUBLIC], auth[WEBPUSH_AUTH];
};
/* From base64url without padding, as browsers write them (p256dh, auth). RC_INVALID: sizes, or no point of the curve.
 */
MUST_USE enum rc webpush_receiver_read(const char *p256dh, const char *auth, struct webpush_receiver *ret,
                                       struct err *err);
/* The body of the request, in ctx: one record. */
MUST_USE enum rc webpush_seal(mem *ctx, const struct webpush_receiver *to, struct str text, struct str *ret,
                              struct err *err);
/* The same with a given key and salt instead of fresh ones: for the vectors of the RFC. */
MUST_USE enum rc webpush_seal_with(mem *ctx, const struct webpush_receiver *to, const struct webpush_key *from,
                                   const uint8_t salt[WEBPUSH_SALT], struct str text, struct str *ret, struct err *err);
/* Value of the field Authorization: "vapid t=..., k=..." (RFC 8292 section 3). audience: the origin of the push
 * service; subject: mailto: or https: address of the operator, or "". In ctx. */
MUST_USE enum rc webpush_authorization(mem *ctx, const struct webpush_key *k, const char *audience, const char *subject,
                                       int64_t expires_s, char **ret, struct err *err);

/* Base64 for addresses (RFC 4648 section 5) without padding, of exactly `size` bytes. */
bool base64url_read(struct str text, uint8_t *ret, size_t size);
