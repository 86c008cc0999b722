/* Contract: a secret is found by each kind of reference and by no other form; a file that others may read is refused at
 * each use; sealed secrets survive a restart with their key file, do not open without it, and are not in the database
 * in plain; replacing one holds at once. */
#include "auth/credential.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct credentials *c;
static const char secret_one[] = "sk-first-secret-0001", secret_two[] = "sk-second-secret-0002";

static void open_all(void)
{
    struct err err = {0};
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    c = credentials_new(root, mem_printf(root, "%s/conf/seal.key", folder));
    ck_assert_int_eq(credentials_load(c, s, NULL), RC_OK);
}

static void close_all(void)
{
    s = store_close(s);
    root = mem_free(root);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_credential_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_all();
}

static void teardown(void)
{
    char command[128];
    close_all();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *get(const char *reference, enum rc expected)
{
    char *value;
    struct err err = {0};
    enum rc rc = credential_get(root, c, reference, &value, &err);
    ck_assert_msg(rc == expected, "%s: %s %s", reference, rc_name(rc), err.sentence);
    ck_assert(!strstr(err.sentence, "sk-") && !strstr(err.hint, "sk-"));
    return value;
}

static const char *file_make(const char *name, const char *text, mode_t mode)
{
    const char *path = mem_printf(root, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
    return mem_printf(root, "file:%s", path);
}

START_TEST(variables_are_found_and_replaced)
{
    get("env:SOME_KEY", RC_DENIED);
    ck_assert_int_eq(credential_set(c, "SOME_KEY", str_of(secret_one), NULL), RC_OK);
    ck_assert_str_eq(get("env:SOME_KEY", RC_OK), secret_one);
    ck_assert(credential_known(c, "SOME_KEY") && !credential_known(c, "OTHER_KEY"));
    ck_assert_int_eq(credential_set(c, "SOME_KEY", str_of(secret_two), NULL), RC_OK);
    ck_assert_str_eq(get("env:SOME_KEY", RC_OK), secret_two);
    ck_assert_int_eq(credential_set(c, "A_KEY", str_of(secret_one), NULL), RC_OK);
    const char *const *names = credential_names(root, c);
    ck_assert_str_eq(names[0], "A_KEY");
    ck_assert_str_eq(names[1], "SOME_KEY");
    ck_assert_ptr_null(names[2]);
}
END_TEST

START_TEST(what_would_break_a_header_is_refused)
{
    static const char *const wrong[] = {"", "two words", "line\r\nX-Evil: 1", "tab\there", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(credential_set(c, "SOME_KEY", str_of(wrong[i]), NULL), RC_INVALID);
    ck_assert_int_eq(credential_set(c, "SOME_KEY", str_n("a\0b", 3), NULL), RC_INVALID);
    ck_assert_int_eq(credential_set(c, "some-key", str_of(secret_one), NULL), RC_INVALID);
    ck_assert_int_eq(credential_seal(c, s, "anthropic", STR("two words"), 1, NULL), RC_INVALID);
}
END_TEST

START_TEST(variables_have_a_bound)
{
    enum rc rc = RC_OK;
    int n = 0;
    for (; rc == RC_OK && n < 1000; n++)
        rc = credential_set(c, mem_printf(root, "KEY_%d", n), str_of(secret_one), NULL);
    ck_assert_int_eq(rc, RC_LIMIT);
    ck_assert_int_eq(credential_set(c, "KEY_0", str_of(secret_two), NULL), RC_OK);
}
END_TEST

START_TEST(other_references_are_refused)
{
    static const char *const wrong[] = {"SOME_KEY", "env:",      "env:lower", "file:relative",
                                        "sealed:",  "sealed:UP", "http://x",  "sealed:../x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        get(wrong[i], RC_INVALID);
    ck_assert_ptr_null(get("", RC_OK));
}
END_TEST

START_TEST(a_file_is_checked_at_each_use)
{
    const char *ref = file_make("key", "sk-first-secret-0001\nsecond line\n", 0600);
    ck_assert_str_eq(get(ref, RC_OK), secret_one);
    file_make("key", "sk-second-secret-0002", 0600);
    ck_assert_str_eq(get(ref, RC_OK), secret_two);
    ck_assert_int_eq(chmod(ref + 5, 0604), 0);
    get(ref, RC_DENIED);
    ck_assert_int_eq(unlink(ref + 5), 0);
    get(ref, RC_DENIED);
    get(mem_printf(root, "file:%s", folder), RC_DENIED);
    get(file_make("empty", "\n", 0600), RC_INVALID);
    ck_assert_str_eq(get(file_make("account", "{\n \"type\": \"service_account\"\n}\n", 0600), RC_OK),
                     "{\n \"type\": \"service_account\"\n}");
}
END_TEST

START_TEST(sealed_secrets_survive_a_restart)
{
    struct err err = {0};
    get("sealed:anthropic", RC_DENIED);
    ck_assert_msg(credential_seal(c, s, "anthropic", str_of(secret_one), 1, &err) == RC_OK, "%s", err.sentence);
    ck_assert_str_eq(get("sealed:anthropic", RC_OK), secret_one);
    close_all();
    open_all();
    ck_assert_str_eq(get("sealed:anthropic", RC_OK), secret_one);
    ck_assert_int_eq(credential_seal(c, s, "anthropic", str_of(secret_two), 2, NULL), RC_OK);
    ck_assert_str_eq(get("sealed:anthropic", RC_OK), secret_two);
    credential_forget(c, "anthropic");
    get("sealed:anthropic", RC_DENIED);
}
END_TEST

START_TEST(without_its_key_file_nothing_opens)
{
    const char *path = mem_printf(root, "%s/conf/seal.key", folder);
    ck_assert_int_eq(credential_seal(c, s, "anthropic", str_of(secret_one), 1, NULL), RC_OK);
    ck_assert_int_eq(rename(path, mem_printf(root, "%s.away", path)), 0);
    close_all();
    open_all();
    get("sealed:anthropic", RC_DENIED);
    /* a new key would leave the box closed for good */
    ck_assert_int_eq(credential_seal(c, s, "openai", str_of(secret_two), 1, NULL), RC_NOT_FOUND);
}
END_TEST

START_TEST(the_database_holds_no_secret)
{
    ck_assert_int_eq(credential_seal(c, s, "anthropic", str_of(secret_one), 1, NULL), RC_OK);
    char command[256];
    snprintf(command, sizeof command, "! grep -rqa '%s' '%s'", secret_one, folder);
    ck_assert_int_eq(system(command), 0);
    close_all();
    ck_assert_int_eq(system(command), 0);
    open_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("credential");
    TCase *tc = tcase_create("references");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, variables_are_found_and_replaced);
    tcase_add_test(tc, what_would_break_a_header_is_refused);
    tcase_add_test(tc, variables_have_a_bound);
    tcase_add_test(tc, other_references_are_refused);
    tcase_add_test(tc, a_file_is_checked_at_each_use);
    tcase_add_test(tc, sealed_secrets_survive_a_restart);
    tcase_add_test(tc, without_its_key_file_nothing_opens);
    tcase_add_test(tc, the_database_holds_no_secret);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
