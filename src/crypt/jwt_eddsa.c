/* Access tokens: EdDSA over Ed25519 by libsodium, in one strict form. */
#include "base/json.h"
#include "crypt/jwt.h"
#include <pthread.h>
#include <sodium.h>

_Static_assert(JWT_PUBLIC == crypto_sign_PUBLICKEYBYTES && JWT_SECRET == crypto_sign_SECRETKEYBYTES, "Ed25519");
#define HEADER_MOST 400 /* bytes of base64 */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void library_open(void)
{
    BUG_ON(sodium_init() < 0);
}

void jwt_key_new(uint8_t ret_public[JWT_PUBLIC], uint8_t ret_secret[JWT_SECRET])
{
    pthread_once(&once, library_open);
    BUG_ON(crypto_sign_keypair(ret_public, ret_secret) != 0);
}

char *jwt_eddsa(mem *ctx, const char *kid, struct str claims, const uint8_t secret[JWT_SECRET])
{
    unsigned char signature[crypto_sign_BYTES];
    pthread_once(&once, library_open);
    const char *header = mem_printf(ctx, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid);
    char *text = mem_printf(ctx, "%s.%s", base64url(ctx, str_of(header)), base64url(ctx, claims));
    BUG_ON(crypto_sign_detached(signature, NULL, (const unsigned char *)text, strlen(text), secret) != 0);
    return mem_printf(ctx, "%s.%s", text, base64url(ctx, str_n((const char *)signature, sizeof signature)));
}

/* Without padding, without white space, and in the one spelling that there is for these bytes. */
static bool decode(mem *ctx, struct str text, struct str *ret)
{
    size_t n = 0;
    const char *end = NULL;
    unsigned char *bytes = mem_zalloc(ctx, text.n + 1);
    pthread_once(&once, library_open);
    if (text.n == 0 ||
        sodium_base642bin(bytes, text.n, text.p, text.n, NULL, &n, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING) !=
            0 ||
        end != text.p + text.n)
        return false;
    *ret = str_n((const char *)bytes, n);
    return true;
}

struct parts {
    struct str header, claims, signature, signed_part;
};

static bool split(struct str token, struct parts *ret)
{
    struct str rest = token;
    if (token.n > JWT_MOST || !str_next(&rest, '.', &ret->header) || !str_next(&rest, '.', &ret->claims) ||
        !str_next(&rest, '.', &ret->signature) || str_next(&rest, '.', &(struct str){0}))
        return false;
    ret->signed_part = str_n(token.p, (size_t)(ret->signature.p - token.p) - 1);
    return ret->header.n <= HEADER_MOST;
}

const char *jwt_kid(mem *ctx, struct str token)
{
    struct parts p;
    struct str text;
    struct json header;
    if (!split(token, &p) || !decode(ctx, p.header, &text) || json_parse(ctx, text, &header, NULL) != RC_OK ||
        json_type(header) != JSON_OBJECT || json_len(header) != 3 || !json_eqz(json_get(header, "alg"), "EdDSA") ||
        !json_eqz(json_get(header, "typ"), "at+jwt"))
        return NULL;
    return json_z(ctx, json_get(header, "kid"), NULL);
}

bool jwt_eddsa_open(mem *ctx, struct str token, const uint8_t public_key[JWT_PUBLIC], struct str *ret_claims)
{
    struct parts p;
    struct str signature;
    if (!jwt_kid(ctx, token) || !split(token, &p) || !decode(ctx, p.signature, &signature) ||
        signature.n != crypto_sign_BYTES)
        return false;
    if (crypto_sign_verify_detached((const unsigned char *)signature.p, (const unsigned char *)p.signed_part.p,
                                    p.signed_part.n, public_key) != 0)
        return false;
    return decode(ctx, p.claims, ret_claims);
}
