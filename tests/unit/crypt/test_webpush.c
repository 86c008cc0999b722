/* Contract: messages are encrypted exactly as RFC 8291 does it (its own example, section 5 and appendix A, is the
 * judge), fresh ones can be read by the receiver's key alone, and the VAPID token verifies with the key that it names.
 */
#include "base/json.h"
#include "crypt/jwt.h"
#include "crypt/webpush.h"
#include <check.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

static mem *ctx;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

/* RFC 8291 section 5, and the intermediate values of its appendix A. */
static const char text[] = "When I grow up, I want to be a watermelon";
static const char as_private[] = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
static const char as_public[] =
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
static const char ua_public[] =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
static const char auth[] = "BTBZMqHH6r4Tts7J_aSIgg";
static const char salt_text[] = "DGv6ra1nlYgDCS1FRnbzlw";
static const char body[] =
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC"
    "8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

START_TEST(example_of_the_rfc)
{
    uint8_t secret[WEBPUSH_PRIVATE], salt[WEBPUSH_SALT];
    struct webpush_key from;
    struct webpush_receiver to;
    struct str out;
    ck_assert(base64url_read(str_of(as_private), secret, sizeof secret));
    ck_assert(base64url_read(str_of(salt_text), salt, sizeof salt));
    ck_assert_int_eq(webpush_key_of(str_n((const char *)secret, sizeof secret), &from, &err), RC_OK);
    ck_assert_str_eq(base64url(ctx, str_n((const char *)from.point, WEBPUSH_PUBLIC)), as_public);
    ck_assert_int_eq(webpush_receiver_read(ua_public, auth, &to, &err), RC_OK);
    ck_assert_int_eq(webpush_seal_with(ctx, &to, &from, salt, str_of(text), &out, &err), RC_OK);
    ck_assert_str_eq(base64url(ctx, out), body);
}
END_TEST

START_TEST(fresh_ones_differ)
{
    struct webpush_receiver to;
    struct str a, b;
    ck_assert_int_eq(webpush_receiver_read(ua_public, auth, &to, &err), RC_OK);
    ck_assert_int_eq(webpush_seal(ctx, &to, str_of(text), &a, &err), RC_OK);
    ck_assert_int_eq(webpush_seal(ctx, &to, str_of(text), &b, &err), RC_OK);
    ck_assert_uint_eq(a.n, b.n);
    ck_assert(memcmp(a.p, b.p, 16) != 0);
    char *large = mem_zalloc(ctx, WEBPUSH_TEXT_MOST + 1);
    ck_assert_int_eq(webpush_seal(ctx, &to, str_n(large, WEBPUSH_TEXT_MOST), &a, &err), RC_OK);
    ck_assert_uint_le(a.n, 4096);
    ck_assert_int_eq(webpush_seal(ctx, &to, str_n(large, WEBPUSH_TEXT_MOST + 1), &a, &err), RC_LIMIT);
}
END_TEST

START_TEST(keys_that_are_none)
{
    struct webpush_receiver to;
    struct webpush_key k;
    char *moved = mem_str(ctx, ua_public), zero[WEBPUSH_PRIVATE] = {0};
    moved[40] = moved[40] == 'A' ? 'B' : 'A'; /* no point of the curve any more */
    ck_assert_int_eq(webpush_receiver_read(moved, auth, &to, &err), RC_INVALID);
    ck_assert_int_eq(webpush_receiver_read("", auth, &to, &err), RC_INVALID);
    ck_assert_int_eq(webpush_receiver_read(ua_public, "BTBZMqHH6r4Tts7J_aSI", &to, &err), RC_INVALID);
    ck_assert_int_eq(webpush_receiver_read(ua_public, "BTBZMqHH6r4Tts7J+aSIgg", &to, &err), RC_INVALID);
    ck_assert_int_eq(webpush_key_of(str_n(zero, sizeof zero), &k, &err), RC_INVALID);
    ck_assert_int_eq(webpush_key_of(str_n(zero, 5), &k, &err), RC_INVALID);
}
END_TEST

/* Verified by OpenSSL from the key in k= alone. */
static bool token_holds(const char *value, struct str *ret_claims)
{
    struct webpush_key named;
    uint8_t raw[64];
    struct str rest = str_of(value + strlen("vapid t=")), token, header, claims, signature;
    ck_assert(str_next(&rest, ',', &token));
    struct str whole = token;
    ck_assert(str_next(&token, '.', &header) && str_next(&token, '.', &claims));
    signature = token;
    ck_assert(str_starts(rest, STR(" k=")));
    ck_assert(base64url_read(str_sub(rest, 3, rest.n), named.point, WEBPUSH_PUBLIC));
    ck_assert(base64url_read(signature, raw, sizeof raw));
    size_t n = claims.n * 3 / 4;
    uint8_t *plain = mem_zalloc(ctx, n + 1);
    ck_assert(base64url_read(claims, plain, n));
    *ret_claims = str_n((char *)plain, n);
    ECDSA_SIG *s = ECDSA_SIG_new();
    ECDSA_SIG_set0(s, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL));
    uint8_t *der = NULL;
    int der_n = i2d_ECDSA_SIG(s, &der);
    EVP_PKEY *key = EVP_PKEY_new();
    EVP_PKEY *shape = EVP_EC_gen("P-256");
    ck_assert_int_eq(EVP_PKEY_copy_parameters(key, shape), 1);
    ck_assert_int_eq(EVP_PKEY_set1_encoded_public_key(key, named.point, WEBPUSH_PUBLIC), 1);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok =
        EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(md, der, (size_t)der_n, (const uint8_t *)whole.p, (size_t)(signature.p - whole.p) - 1) == 1;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    EVP_PKEY_free(shape);
    OPENSSL_free(der);
    ECDSA_SIG_free(s);
    return ok;
}

START_TEST(token_of_the_sender)
{
    struct webpush_key k;
    char *value;
    struct str claims;
    struct json root;
    for (int i = 0; i < 20; i++) { /* numbers of the signature with leading zeros too, now and then */
        webpush_key_new(&k);
        ck_assert_int_eq(
            webpush_authorization(ctx, &k, "https://push.example", "mailto:ops@example.org", 1453523768, &value, &err),
            RC_OK);
        ck_assert(token_holds(value, &claims));
    }
    ck_assert_int_eq(json_parse(ctx, claims, &root, &err), RC_OK);
    ck_assert(json_eqz(json_get(root, "aud"), "https://push.example"));
    ck_assert(json_eqz(json_get(root, "sub"), "mailto:ops@example.org"));
    ck_assert_int_eq(json_int(json_get(root, "exp"), 0), 1453523768);
    ck_assert_int_eq(webpush_authorization(ctx, &k, "https://push.example", "ops", 1, &value, &err), RC_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("webpush");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, example_of_the_rfc);
    tcase_add_test(t, fresh_ones_differ);
    tcase_add_test(t, keys_that_are_none);
    tcase_add_test(t, token_of_the_sender);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
