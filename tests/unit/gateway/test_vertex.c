/* Contract: an assertion is what Google's page describes, signed so that the account's public key verifies it; accounts
 * that are none, and token servers without TLS, are refused; a token is kept until shortly before it ends and belongs
 * to one account. The key is made here: none is in the tree. */
#include "gateway/vertex.h"
#include <check.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static mem *ctx;
static EVP_PKEY *key;
static char *pem;

static void setup(void)
{
    ctx = mem_root();
    key = EVP_RSA_gen(2048);
    ck_assert_ptr_nonnull(key);
    BIO *out = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    char *text;
    long n = BIO_get_mem_data(out, &text);
    pem = mem_strn(ctx, text, (size_t)n);
    BIO_free(out);
}

static void teardown(void)
{
    EVP_PKEY_free(key);
    mem_free(ctx);
}

static struct str account_json(const char *key_text, const char *uri)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "type", "service_account");
    jo_kz(&o, "project_id", "mill-42");
    jo_kz(&o, "private_key_id", "abc");
    jo_kz(&o, "private_key", key_text);
    jo_kz(&o, "client_email", "mill@mill-42.iam.gserviceaccount.com");
    jo_kz(&o, "token_uri", uri);
    jo_end_obj(&o);
    return buf_view(&b);
}

static struct str unbase64url(struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct buf b;
    uint32_t v = 0;
    int bits = 0;
    buf_init(&b, ctx, 65536);
    for (size_t i = 0; i < s.n; i++) {
        v = v << 6 | (uint32_t)(strchr(digits, s.p[i]) - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_char(&b, (char)(v >> bits & 255));
        }
    }
    return buf_view(&b);
}

START_TEST(an_assertion_is_signed_by_the_accounts_key)
{
    struct vertex_account a;
    struct err err = {0};
    char *jwt;
    ck_assert_msg(vertex_account_read(ctx, account_json(pem, "https://oauth2.googleapis.com/token"), &a, &err) == RC_OK,
                  "%s", err.sentence);
    ck_assert_msg(vertex_assertion(ctx, &a, 1700000000, &jwt, &err) == RC_OK, "%s", err.sentence);
    struct str rest = str_of(jwt), header, claims, signature;
    ck_assert(str_next(&rest, '.', &header) && str_next(&rest, '.', &claims) && str_next(&rest, '.', &signature));
    struct json h, c;
    ck_assert_int_eq(json_parse(ctx, unbase64url(header), &h, NULL), RC_OK);
    ck_assert_int_eq(json_parse(ctx, unbase64url(claims), &c, NULL), RC_OK);
    ck_assert(json_eqz(json_get(h, "alg"), "RS256") && json_eqz(json_get(h, "kid"), "abc"));
    ck_assert(json_eqz(json_get(c, "iss"), "mill@mill-42.iam.gserviceaccount.com"));
    ck_assert(json_eqz(json_get(c, "aud"), "https://oauth2.googleapis.com/token"));
    ck_assert_int_eq(json_int(json_get(c, "iat"), 0), 1700000000);
    ck_assert_int_eq(json_int(json_get(c, "exp"), 0), 1700003600);
    struct str bytes = unbase64url(signature);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ck_assert_int_eq(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key), 1);
    ck_assert_int_eq(EVP_DigestVerify(md, (const unsigned char *)bytes.p, bytes.n, (const unsigned char *)jwt,
                                      (size_t)(signature.p - jwt) - 1),
                     1);
    EVP_MD_CTX_free(md);
    struct str body = vertex_exchange_body(ctx, jwt);
    ck_assert(str_starts(body, STR("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey")));
}
END_TEST

START_TEST(what_is_no_account_is_refused)
{
    struct vertex_account a;
    struct err err = {0};
    char *jwt;
    static const char *const uris[] = {"http://oauth2.example/token", "https://", "ftp://x", "https://a b",
                                       "http://127.0.0.1.evil:1/",    ""};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++)
        ck_assert_msg(vertex_account_read(ctx, account_json(pem, uris[i]), &a, NULL) == RC_INVALID, "%s", uris[i]);
    ck_assert_int_eq(vertex_account_read(ctx, account_json(pem, "http://127.0.0.1:1/t"), &a, NULL), RC_OK);
    ck_assert_int_eq(vertex_account_read(ctx, STR("{\"type\":\"authorized_user\"}"), &a, &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.sentence, "type"));
    ck_assert_int_eq(vertex_account_read(ctx, STR("not json"), &a, NULL), RC_INVALID);
    ck_assert_int_eq(vertex_account_read(ctx, account_json("no key at all", "https://x/t"), &a, NULL), RC_OK);
    ck_assert_int_eq(vertex_assertion(ctx, &a, 1, &jwt, &err), RC_INVALID);
    ck_assert_ptr_null(strstr(err.sentence, "no key at all"));
}
END_TEST

START_TEST(small_keys_and_other_keys_are_refused)
{
    EVP_PKEY *others[] = {EVP_RSA_gen(1024), EVP_EC_gen("P-256")};
    for (size_t i = 0; i < 2; i++) {
        BIO *out = BIO_new(BIO_s_mem());
        struct vertex_account a;
        char *text, *jwt;
        ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(out, others[i], NULL, NULL, 0, NULL, NULL), 1);
        long n = BIO_get_mem_data(out, &text);
        ck_assert_int_eq(
            vertex_account_read(ctx, account_json(mem_strn(ctx, text, (size_t)n), "https://x/t"), &a, NULL), RC_OK);
        ck_assert_int_eq(vertex_assertion(ctx, &a, 1, &jwt, NULL), RC_INVALID);
        BIO_free(out);
        EVP_PKEY_free(others[i]);
    }
}
END_TEST

START_TEST(answers_of_the_token_server_are_read)
{
    char *token;
    int64_t seconds;
    struct err err = {0};
    ck_assert_int_eq(
        vertex_token_read(ctx, 200, STR("{\"access_token\":\"ya29.x\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"),
                          &token, &seconds, NULL),
        RC_OK);
    ck_assert_str_eq(token, "ya29.x");
    ck_assert_int_eq(seconds, 3599);
    ck_assert_int_eq(
        vertex_token_read(ctx, 400, STR("{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT\\u001b\"}"),
                          &token, &seconds, &err),
        RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.detail, "Invalid JWT"));
    ck_assert_ptr_null(strchr(err.detail, 27));
    static const char *const wrong[] = {"",
                                        "{}",
                                        "{\"access_token\":\"\",\"expires_in\":1}",
                                        "{\"access_token\":\"a b\",\"expires_in\":1}",
                                        "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":1}",
                                        "{\"access_token\":\"a\",\"expires_in\":0}",
                                        "{\"access_token\":\"a\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(vertex_token_read(ctx, 200, str_of(wrong[i]), &token, &seconds, NULL), RC_UPSTREAM);
    ck_assert_int_eq(vertex_token_read(ctx, 503, STR("busy"), &token, &seconds, NULL), RC_UPSTREAM);
}
END_TEST

START_TEST(addresses_of_publishers)
{
    ck_assert_str_eq(vertex_url(ctx, "", "p", "global", "gemini-2.5-pro", true),
                     "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/"
                     "gemini-2.5-pro:streamGenerateContent?alt=sse");
    ck_assert_str_eq(vertex_url(ctx, NULL, "p", "europe-west4", "claude-sonnet-4-5@20250929", false),
                     "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/"
                     "anthropic/models/claude-sonnet-4-5%4020250929:rawPredict");
    ck_assert_str_eq(
        vertex_url(ctx, "http://127.0.0.1:5/", "p/../q", "x", "m", false),
        "http://127.0.0.1:5/v1/projects/p%2F..%2Fq/locations/x/publishers/google/models/m:generateContent");
    ck_assert_str_eq(vertex_location(ctx, "https://europe-west4-aiplatform.googleapis.com/"), "europe-west4");
    ck_assert_str_eq(vertex_location(ctx, "https://aiplatform.googleapis.com"), "global");
    ck_assert_str_eq(vertex_location(ctx, "http://127.0.0.1:5"), "global");
}
END_TEST

START_TEST(tokens_are_kept_until_shortly_before_their_end)
{
    struct vertex_tokens *t = vertex_tokens_new(ctx);
    ck_assert_ptr_null(vertex_tokens_get(ctx, t, "v", "k1", 100));
    vertex_tokens_put(t, "v", "k1", "one", 1000);
    ck_assert_str_eq(vertex_tokens_get(ctx, t, "v", "k1", 939), "one");
    ck_assert_ptr_null(vertex_tokens_get(ctx, t, "v", "k1", 940));
    ck_assert_ptr_null(vertex_tokens_get(ctx, t, "v", "k2", 100)); /* the account was changed */
    ck_assert_ptr_null(vertex_tokens_get(ctx, t, "w", "k1", 100));
    vertex_tokens_put(t, "v", "k2", "two", 2000);
    ck_assert_str_eq(vertex_tokens_get(ctx, t, "v", "k2", 100), "two");
    ck_assert_ptr_null(vertex_tokens_get(ctx, t, "v", "k1", 100));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vertex");
    TCase *tc = tcase_create("accounts and addresses");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_assertion_is_signed_by_the_accounts_key);
    tcase_add_test(tc, what_is_no_account_is_refused);
    tcase_add_test(tc, small_keys_and_other_keys_are_refused);
    tcase_add_test(tc, answers_of_the_token_server_are_read);
    tcase_add_test(tc, addresses_of_publishers);
    tcase_add_test(tc, tokens_are_kept_until_shortly_before_their_end);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
