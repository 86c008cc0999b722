/* RS256 by OpenSSL's EVP interface. */
#include "crypt/jwt.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define KEY_BITS_LEAST 2048

char *base64url(mem *ctx, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *text = mem_zalloc(ctx, bytes.n / 3 * 4 + 5), *to = text;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t have = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t v = 0;
        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (j < have ? (unsigned char)bytes.p[i + j] : 0);
        for (size_t j = 0; j <= have; j++)
            *to++ = digits[v >> (18 - 6 * j) & 63];
    }
    return text;
}

/* A key under a password is refused: nobody is there to type one. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static EVP_PKEY *key_read(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    if (key && (EVP_PKEY_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_bits(key) < KEY_BITS_LEAST)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static char *sign(mem *ctx, EVP_PKEY *key, struct str text)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t n = (size_t)EVP_PKEY_size(key);
    unsigned char *signature = mem_zalloc(ctx, n);
    bool ok = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(md, signature, &n, (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(md);
    return ok ? base64url(ctx, str_n((const char *)signature, n)) : NULL;
}

enum rc jwt_rs256(mem *ctx, struct str header, struct str claims, const char *key_pem, char **ret, struct err *err)
{
    char *signed_part = mem_printf(ctx, "%s.%s", base64url(ctx, header), base64url(ctx, claims));
    EVP_PKEY *key = key_read(key_pem);
    char *signature = key ? sign(ctx, key, str_of(signed_part)) : NULL;
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (!signature)
        return err_set(err, RC_INVALID, "that is no private RSA key of at least %d bits", KEY_BITS_LEAST);
    *ret = mem_printf(ctx, "%s.%s", signed_part, signature);
    return RC_OK;
}
