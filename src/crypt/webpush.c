/* By OpenSSL's EVP interface: ECDH on P-256, HKDF (RFC 5869) of HMAC-SHA256, AES-128-GCM, ECDSA. */
#include "crypt/webpush.h"
#include "base/json.h"
#include "crypt/hash.h"
#include "crypt/jwt.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum { RECORD_SIZE = 4096, HEAD = WEBPUSH_SALT + 4 + 1 + WEBPUSH_PUBLIC, KEY = 16, NONCE = 12, TAG = 16 };

/* ---- keys ---- */

/* Both parts, or the public one alone. NULL: no point of the curve, or they do not belong together. */
static EVP_PKEY *pkey_make(const uint8_t *secret, const uint8_t *point)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *number = secret ? BN_bin2bn(secret, WEBPUSH_PRIVATE, NULL) : NULL;
    BUG_ON(!ctx || !build);
    bool ok = OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
              OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, WEBPUSH_PUBLIC) &&
              (!number || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number));
    OSSL_PARAM *params = ok ? OSSL_PARAM_BLD_to_param(build) : NULL;
    if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, number ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX *check = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (key && (!check || EVP_PKEY_public_check(check) != 1)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(check);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_clear_free(number);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return key;
}

void webpush_key_new(struct webpush_key *ret)
{
    size_t n = 0;
    BIGNUM *secret = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BUG_ON(!key || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret) != 1);
    BUG_ON(BN_bn2binpad(secret, ret->secret, WEBPUSH_PRIVATE) != WEBPUSH_PRIVATE);
    BUG_ON(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, ret->point, WEBPUSH_PUBLIC, &n) !=
               1 ||
           n != WEBPUSH_PUBLIC);
    BN_clear_free(secret);
    EVP_PKEY_free(key);
}

enum rc webpush_key_of(struct str secret, struct webpush_key *ret, struct err *err)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    BIGNUM *number = BN_bin2bn((const uint8_t *)secret.p, (int)secret.n, NULL);
    BUG_ON(!point || !number);
    bool ok = secret.n == WEBPUSH_PRIVATE && !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
              EC_POINT_mul(group, point, number, NULL, NULL, NULL) == 1 &&
              EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, ret->point, WEBPUSH_PUBLIC, NULL) ==
                  WEBPUSH_PUBLIC;
    if (ok)
        memcpy(ret->secret, secret.p, WEBPUSH_PRIVATE);
    BN_clear_free(number);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    ERR_clear_error();
    return ok ? RC_OK : err_set(err, RC_INVALID, "that is no private key of P-256");
}

void webpush_key_wipe(struct webpush_key *k)
{
    explicit_bzero(k, sizeof *k);
}

static int digit_value(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

bool base64url_read(struct str text, uint8_t *ret, size_t size)
{
    uint32_t bits = 0;
    int have = 0;
    size_t n = 0;
    while (text.n && text.p[text.n - 1] == '=') /* some browsers' pages write it with padding */
        text.n--;
    if (text.n != (size * 4 + 2) / 3)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int v = digit_value(text.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[n++] = (uint8_t)(bits >> have);
        }
    }
    return n == size && !(bits & ((1u << have) - 1));
}

enum rc webpush_receiver_read(const char *p256dh, const char *auth, struct webpush_receiver *ret, struct err *err)
{
    if (base64url_read(str_of(p256dh), ret->point, WEBPUSH_PUBLIC) &&
        base64url_read(str_of(auth), ret->auth, WEBPUSH_AUTH)) {
        EVP_PKEY *key = pkey_make(NULL, ret->point);
        EVP_PKEY_free(key);
        if (key)
            return RC_OK;
    }
    return err_set(err, RC_INVALID, "the keys of the subscription are none: p256dh is a point of P-256, auth 16 bytes");
}

/* ---- encryption ---- */

static bool secret_share(const struct webpush_key *from, const uint8_t *point, uint8_t ret[32])
{
    size_t n = 32;
    EVP_PKEY *own = pkey_make(from->secret, from->point), *other = pkey_make(NULL, point);
    EVP_PKEY_CTX *ctx = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
    bool ok = ctx && other && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
              EVP_PKEY_derive(ctx, ret, &n) == 1 && n == 32;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
    ERR_clear_error();
    return ok;
}

/* HKDF of RFC 5869 for one block of output, which is all that is needed here: HMAC(HMAC(salt, input), info || 1). */
static void hkdf(struct str salt, struct str input, struct str info, uint8_t ret[HASH_SHA256])
{
    uint8_t prk[HASH_SHA256], text[256];
    BUG_ON(info.n + 1 > sizeof text);
    hash_hmac_sha256(salt, input, prk);
    memcpy(text, info.p, info.n);
    text[info.n] = 1;
    hash_hmac_sha256(str_n((const char *)prk, sizeof prk), str_n((const char *)text, info.n + 1), ret);
    explicit_bzero(prk, sizeof prk);
}

static struct str bytes_of(const uint8_t *p, size_t n)
{
    return str_n((const char *)p, n);
}

static bool gcm_seal(const uint8_t *key, const uint8_t *nonce, struct str text, uint8_t *ret)
{
    int n = 0, more = 0;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce) == 1 &&
              EVP_EncryptUpdate(c, ret, &n, (const uint8_t *)text.p, (int)text.n) == 1 &&
              EVP_EncryptFinal_ex(c, ret + n, &more) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, ret + text.n) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}

/* Key and nonce by RFC 8291 sections 3.3 and 3.4. */
static void keys_derive(const struct webpush_receiver *to, const struct webpush_key *from, const uint8_t *salt,
                        const uint8_t shared[32], uint8_t key[HASH_SHA256], uint8_t nonce[HASH_SHA256])
{
    static const char words[] = "WebPush: info"; /* with its NUL */
    uint8_t info[sizeof words + 2 * WEBPUSH_PUBLIC], input[HASH_SHA256];
    memcpy(info, words, sizeof words);
    memcpy(info + sizeof words, to->point, WEBPUSH_PUBLIC);
    memcpy(info + sizeof words + WEBPUSH_PUBLIC, from->point, WEBPUSH_PUBLIC);
    hkdf(bytes_of(to->auth, WEBPUSH_AUTH), bytes_of(shared, 32), bytes_of(info, sizeof info), input);
    static const char for_key[] = "Content-Encoding: aes128gcm", for_nonce[] = "Content-Encoding: nonce";
    hkdf(bytes_of(salt, WEBPUSH_SALT), bytes_of(input, sizeof input), str_n(for_key, sizeof for_key), key);
    hkdf(bytes_of(salt, WEBPUSH_SALT), bytes_of(input, sizeof input), str_n(for_nonce, sizeof for_nonce), nonce);
    explicit_bzero(input, sizeof input);
}

enum rc webpush_seal_with(mem *ctx, const struct webpush_receiver *to, const struct webpush_key *from,
                          const uint8_t salt[WEBPUSH_SALT], struct str text, struct str *ret, struct err *err)
{
    uint8_t shared[32], key[HASH_SHA256], nonce[HASH_SHA256];
    if (text.n > WEBPUSH_TEXT_MOST)
        return err_set(err, RC_LIMIT, "a push message has at most %d bytes", WEBPUSH_TEXT_MOST);
    if (!secret_share(from, to->point, shared))
        return err_set(err, RC_INVALID, "the subscription's key is no point of P-256");
    keys_derive(to, from, salt, shared, key, nonce);
    uint8_t *out = mem_zalloc(ctx, HEAD + text.n + 1 + TAG);
    char *padded = mem_strn(ctx, text.p, text.n + 1);
    padded[text.n] = 2; /* the last record's delimiter: no padding follows */
    memcpy(out, salt, WEBPUSH_SALT);
    out[WEBPUSH_SALT + 2] = RECORD_SIZE >> 8;
    out[WEBPUSH_SALT + 4] = WEBPUSH_PUBLIC;
    memcpy(out + HEAD - WEBPUSH_PUBLIC, from->point, WEBPUSH_PUBLIC);
    bool ok = gcm_seal(key, nonce, str_n(padded, text.n + 1), out + HEAD);
    explicit_bzero(shared, sizeof shared);
    explicit_bzero(key, sizeof key);
    mem_free(padded);
    BUG_ON(!ok);
    *ret = bytes_of(out, HEAD + text.n + 1 + TAG);
    return RC_OK;
}

enum rc webpush_seal(mem *ctx, const struct webpush_receiver *to, struct str text, struct str *ret, struct err *err)
{
    struct webpush_key once;
    uint8_t salt[WEBPUSH_SALT];
    webpush_key_new(&once);
    BUG_ON(RAND_bytes(salt, sizeof salt) != 1);
    enum rc rc = webpush_seal_with(ctx, to, &once, salt, text, ret, err);
    webpush_key_wipe(&once);
    return rc;
}

/* ---- VAPID ---- */

/* ES256 (RFC 7518 section 3.4): the two numbers of the signature, 32 bytes each. */
static char *es256_sign(mem *ctx, const struct webpush_key *k, struct str text)
{
    uint8_t der[128], raw[64];
    size_t n = sizeof der;
    EVP_PKEY *key = pkey_make(k->secret, k->point);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    BUG_ON(!key || !md || EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 ||
           EVP_DigestSign(md, der, &n, (const uint8_t *)text.p, text.n) != 1);
    const uint8_t *p = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &p, (long)n);
    BUG_ON(!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, 32) != 32 ||
           BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + 32, 32) != 32);
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return base64url(ctx, bytes_of(raw, sizeof raw));
}

enum rc webpush_authorization(mem *ctx, const struct webpush_key *k, const char *audience, const char *subject,
                              int64_t expires_s, char **ret, struct err *err)
{
    struct buf b;
    struct json_out o;
    bool mail = strncmp(subject, "mailto:", 7) == 0, page = strncmp(subject, "https://", 8) == 0;
    if (*subject && !mail && !page)
        return err_set(err, RC_INVALID, "who sends push messages is named by a mailto: or https: address");
    buf_init(&b, ctx, 4096);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "aud", audience);
    jo_ki(&o, "exp", expires_s);
    if (*subject)
        jo_kz(&o, "sub", subject);
    jo_end_obj(&o);
    char *text = mem_printf(ctx, "%s.%s", base64url(ctx, STR("{\"typ\":\"JWT\",\"alg\":\"ES256\"}")),
                            base64url(ctx, buf_view(&b)));
    *ret = mem_printf(ctx, "vapid t=%s.%s, k=%s", text, es256_sign(ctx, k, str_of(text)),
                      base64url(ctx, bytes_of(k->point, WEBPUSH_PUBLIC)));
    return RC_OK;
}
