/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104) through OpenSSL. */
#include "crypt/hash.h"
#include "base/err.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

/* Looked up once: EVP_sha256() is looked up anew at each use, which costs more than a short text's hash. */
static EVP_MD *sha256;

static void sha256_fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    BUG_ON(!sha256);
}

void hash_sha256(struct str s, uint8_t ret[HASH_SHA256])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned n = 0;
    pthread_once(&once, sha256_fetch);
    int ok = EVP_Digest(s.p ? s.p : "", s.n, ret, &n, sha256, NULL);
    BUG_ON(ok != 1 || n != HASH_SHA256);
}

void hash_sha256_hex(struct str s, char ret[HASH_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t raw[HASH_SHA256];
    hash_sha256(s, raw);
    for (size_t i = 0; i < HASH_SHA256; i++) {
        ret[2 * i] = digits[raw[i] >> 4];
        ret[2 * i + 1] = digits[raw[i] & 15];
    }
    ret[HASH_SHA256_HEX - 1] = '\0';
}

void hash_hmac_sha256(struct str key, struct str text, uint8_t ret[HASH_SHA256])
{
    unsigned n = 0;
    BUG_ON(!HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)text.p, text.n, ret, &n) || n != HASH_SHA256);
}

bool hash_same(const uint8_t a[HASH_SHA256], const uint8_t b[HASH_SHA256])
{
    return CRYPTO_memcmp(a, b, HASH_SHA256) == 0;
}
