/* Contract: the authority is made once and stays; what it signs is believed by who believes it, for that host alone;
 * its key is read by nobody else. */
#include "crypt/certificate.h"
#include "crypt/seal.h"
#include <check.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static mem *ctx;
static char dir[64];

static void begin(void)
{
    ctx = mem_root();
    strcpy(dir, "/tmp/certificate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    struct seal_key made;
    ck_assert_int_eq(seal_key_take(mem_printf(ctx, "%s/seal.key", dir), &made, NULL), RC_OK);
}

static void finish(void)
{
    static const char *const files[] = {"egress/ca.pem",     "egress/ca.key", "egress/ca.key.sealed",
                                        "egress/bundle.pem", "other.pem",     "egress",
                                        "seal.key",          "other.key"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        remove(mem_printf(ctx, "%s/%s", dir, files[i]));
    rmdir(dir);
    ctx = mem_free(ctx);
}

static enum rc open_with(const char *key_file, struct authority **ret, struct err *err)
{
    return authority_open(ctx, mem_printf(ctx, "%s/egress", dir), mem_printf(ctx, "%s/%s", dir, key_file), ret, err);
}

static struct authority *opened(void)
{
    struct authority *a;
    struct err err = {0};
    enum rc rc = open_with("seal.key", &a, &err);
    ck_assert_msg(rc == RC_OK, "%s", err.sentence);
    return a;
}

static bool believed(struct authority *by, X509 *leaf, const char *host, const char *address)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, authority_certificate(by));
    X509_STORE_CTX_init(check, store, leaf, NULL);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(check);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    if (host)
        X509_VERIFY_PARAM_set1_host(param, host, 0);
    if (address)
        X509_VERIFY_PARAM_set1_ip_asc(param, address);
    bool fine = X509_verify_cert(check) == 1;
    X509_STORE_CTX_free(check);
    X509_STORE_free(store);
    return fine;
}

START_TEST(leaves)
{
    struct authority *a = opened();
    X509 *leaf;
    ck_assert_int_eq(authority_sign(a, "api.example.org", false, &leaf, NULL), RC_OK);
    ck_assert(believed(a, leaf, "api.example.org", NULL));
    ck_assert(!believed(a, leaf, "example.org", NULL));
    ck_assert(!believed(a, leaf, "evil.api.example.org", NULL));
    ck_assert_int_eq(X509_check_private_key(leaf, authority_leaf_key(a)), 1);
    X509_free(leaf);
    ck_assert_int_eq(authority_sign(a, "2001:db8::7", true, &leaf, NULL), RC_OK);
    ck_assert(believed(a, leaf, NULL, "2001:db8::7"));
    ck_assert(!believed(a, leaf, NULL, "2001:db8::8"));
    X509_free(leaf);
    char long_name[201] = "";
    for (int i = 0; i < 50; i++)
        strcat(long_name, "aaa.");
    long_name[199] = '\0';
    ck_assert_int_eq(authority_sign(a, long_name, false, &leaf, NULL), RC_OK); /* longer than a common name */
    ck_assert(believed(a, leaf, long_name, NULL));
    X509_free(leaf);
}
END_TEST

START_TEST(stays)
{
    struct authority *a = opened(), *b;
    struct stat st;
    X509 *leaf;
    ck_assert_int_eq(stat(mem_printf(ctx, "%s/egress/ca.key.sealed", dir), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(mem_printf(ctx, "%s/egress", dir), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    ck_assert_int_eq(authority_sign(a, "example.org", false, &leaf, NULL), RC_OK);
    b = opened();
    ck_assert(believed(b, leaf, "example.org", NULL));
    /* Half of it, as after a crash between two writes: made anew. */
    unlink(mem_printf(ctx, "%s/egress/ca.pem", dir));
    b = opened();
    ck_assert(!believed(b, leaf, "example.org", NULL));
    X509_free(leaf);
}
END_TEST

/* A copy of the folder is of no use without the key file, and a wrong one makes no second authority behind one's back.
 */
START_TEST(key_is_sealed)
{
    struct authority *a;
    struct err err = {0};
    struct seal_key other;
    char text[4096] = "";
    opened();
    FILE *f = fopen(mem_printf(ctx, "%s/egress/ca.key.sealed", dir), "r");
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    ck_assert_uint_gt(n, SEAL_OVERHEAD);
    ck_assert_ptr_null(memmem(text, n, "PRIVATE", 7));
    ck_assert_int_eq(open_with("other.key", &a, &err), RC_NOT_FOUND);
    ck_assert_int_eq(seal_key_make(mem_printf(ctx, "%s/other.key", dir), &other, NULL), RC_OK);
    ck_assert_int_eq(open_with("other.key", &a, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.hint, "seal.key"));
    opened();
    chmod(mem_printf(ctx, "%s/seal.key", dir), 0640);
    ck_assert_int_eq(open_with("seal.key", &a, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.hint, "chmod 600"));
}
END_TEST

/* What a version before sealing left: the same authority goes on, its key no longer in plain. */
START_TEST(plain_key_is_sealed)
{
    struct authority *a = opened(), *b;
    struct seal_key seal;
    struct str box, plain;
    char text[4096];
    X509 *leaf;
    const char *sealed = mem_printf(ctx, "%s/egress/ca.key.sealed", dir),
               *old = mem_printf(ctx, "%s/egress/ca.key", dir);
    FILE *f = fopen(sealed, "r");
    box = str_n(text, fread(text, 1, sizeof text, f));
    fclose(f);
    ck_assert_int_eq(seal_key_read(mem_printf(ctx, "%s/seal.key", dir), &seal, NULL), RC_OK);
    ck_assert_int_eq(seal_open(ctx, &seal, "egress authority", box, &plain, NULL), RC_OK);
    f = fopen(old, "w");
    fwrite(plain.p, 1, plain.n, f);
    fclose(f);
    unlink(sealed);
    ck_assert_int_eq(authority_sign(a, "example.org", false, &leaf, NULL), RC_OK);
    b = opened();
    ck_assert(believed(b, leaf, "example.org", NULL));
    ck_assert_int_eq(access(old, F_OK), -1);
    ck_assert_int_eq(access(sealed, F_OK), 0);
    X509_free(leaf);
}
END_TEST

START_TEST(bundle)
{
    struct authority *a = opened();
    const char *other = mem_printf(ctx, "%s/other.pem", dir), *path = mem_printf(ctx, "%s/egress/bundle.pem", dir);
    const char *files[] = {other, "/nonexistent/store.pem", NULL};
    char text[8192] = "";
    FILE *f = fopen(other, "w");
    fputs("the system's", f);
    fclose(f);
    ck_assert_int_eq(authority_bundle(a, path, files, NULL), RC_OK);
    f = fopen(path, "r");
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, f), 0);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "-----END CERTIFICATE-----\nthe system's\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("certificate");
    TCase *t = tcase_create("certificate");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, leaves);
    tcase_add_test(t, stays);
    tcase_add_test(t, key_is_sealed);
    tcase_add_test(t, plain_key_is_sealed);
    tcase_add_test(t, bundle);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
