/* Contract: a box opens with its key and its purpose and with nothing else; no two boxes of one secret are equal; a key
 * file that others may read, or that holds something else, is refused; two makers do not make two keys. */
#include "crypt/seal.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];
static mem *ctx;

static void setup(void)
{
    ctx = mem_root();
    snprintf(folder, sizeof folder, "/tmp/test_seal_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/below/seal.key", folder);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    mem_free(ctx);
}

static struct seal_key key_of(uint8_t fill)
{
    struct seal_key k;
    memset(k.bytes, fill, sizeof k.bytes);
    return k;
}

START_TEST(a_box_opens_with_its_key_and_purpose_alone)
{
    struct seal_key k = key_of(1), other = key_of(2);
    struct str back, secret = STR("a secret of some length"), box = seal_box(ctx, &k, "provider a", secret);
    ck_assert_uint_eq(box.n, secret.n + SEAL_OVERHEAD);
    ck_assert(str_find(box, secret) < 0);
    ck_assert_int_eq(seal_open(ctx, &k, "provider a", box, &back, NULL), RC_OK);
    ck_assert(str_eq(back, secret));
    ck_assert_int_eq(seal_open(ctx, &other, "provider a", box, &back, NULL), RC_DENIED);
    ck_assert_int_eq(seal_open(ctx, &k, "provider b", box, &back, NULL), RC_DENIED);
    ck_assert(!str_eq(seal_box(ctx, &k, "provider a", secret), box));
}
END_TEST

START_TEST(a_damaged_box_does_not_open)
{
    struct seal_key k = key_of(1);
    struct str back, box = seal_box(ctx, &k, "p", STR("secret"));
    for (size_t i = 0; i < box.n; i++) {
        char *copy = mem_strn(ctx, box.p, box.n);
        copy[i] ^= 1;
        ck_assert_int_eq(seal_open(ctx, &k, "p", str_n(copy, box.n), &back, NULL), RC_DENIED);
        ck_assert_int_eq(seal_open(ctx, &k, "p", str_n(box.p, i), &back, NULL), RC_DENIED);
    }
}
END_TEST

START_TEST(an_empty_secret_is_sealed_too)
{
    struct seal_key k = key_of(1);
    struct str back = STR("x"), box = seal_box(ctx, &k, "p", STR(""));
    ck_assert_int_eq(seal_open(ctx, &k, "p", box, &back, NULL), RC_OK);
    ck_assert_uint_eq(back.n, 0);
}
END_TEST

START_TEST(a_key_file_is_made_once_and_read_back)
{
    struct seal_key a, b;
    struct stat st;
    struct err err = {0};
    ck_assert_int_eq(seal_key_read(path, &a, NULL), RC_NOT_FOUND);
    ck_assert_msg(seal_key_make(path, &a, &err) == RC_OK, "%s", err.sentence);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(seal_key_read(path, &b, NULL), RC_OK);
    ck_assert_mem_eq(a.bytes, b.bytes, SEAL_KEY);
    ck_assert_int_eq(seal_key_make(path, &b, NULL), RC_CONFLICT);
    ck_assert_int_eq(seal_key_read(path, &b, NULL), RC_OK);
    ck_assert_mem_eq(a.bytes, b.bytes, SEAL_KEY);
}
END_TEST

START_TEST(a_key_file_that_others_may_read_is_refused)
{
    struct seal_key a;
    struct err err = {0};
    ck_assert_int_eq(seal_key_make(path, &a, NULL), RC_OK);
    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert_int_eq(seal_key_read(path, &a, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.hint, "chmod 600"));
}
END_TEST

START_TEST(a_file_with_something_else_is_no_key)
{
    static const char *const texts[] = {"", "nightmill-seal-1 ", "nightmill-seal-1 00\n",
                                        "something else altogether\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char name[128];
        struct seal_key a;
        snprintf(name, sizeof name, "%s/file%zu", folder, i);
        FILE *f = fopen(name, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(texts[i], f), 0);
        ck_assert_int_eq(fclose(f), 0);
        ck_assert_int_eq(chmod(name, 0600), 0);
        ck_assert_int_eq(seal_key_read(name, &a, NULL), RC_INVALID);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seal");
    TCase *tc = tcase_create("boxes and their key");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_box_opens_with_its_key_and_purpose_alone);
    tcase_add_test(tc, a_damaged_box_does_not_open);
    tcase_add_test(tc, an_empty_secret_is_sealed_too);
    tcase_add_test(tc, a_key_file_is_made_once_and_read_back);
    tcase_add_test(tc, a_key_file_that_others_may_read_is_refused);
    tcase_add_test(tc, a_file_with_something_else_is_no_key);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
