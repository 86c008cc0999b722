/* Contracts: an entry is there after a reopen; a line that a crash cut short never happened; any other damage is
 * refused, not guessed; numbers have no gaps; a failure's signature ignores what varies between runs and nothing else.
 */
#include "flow/journal.h"
#include "flow/run.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64], path[96];
static mem *ctx;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/nightmill-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/journal", dir);
    ctx = mem_root();
}

static void teardown(void)
{
    mem_free(ctx);
    unlink(path);
    rmdir(dir);
}

static struct journal *opened(void)
{
    struct journal *j = NULL;
    struct err err = {0};
    ck_assert_msg(journal_open(ctx, path, &j, &err) == RC_OK, "%s", err.sentence);
    return j;
}

static void put(struct journal *j, const char *type, const char *data)
{
    struct err err = {0};
    ck_assert_msg(journal_append(j, type, "system", str_of(data), NULL, &err) == RC_OK, "%s", err.sentence);
}

static void add_raw(const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

START_TEST(entries_survive)
{
    struct journal *j = opened();
    put(j, "a", "{\"n\":1}");
    put(j, "b", "{\"text\":\"line\\nbreak\"}");
    mem_free(j);
    j = opened();
    ck_assert_uint_eq(journal_count(j), 2);
    ck_assert_int_eq(journal_at(j, 1)->origin, 2);
    ck_assert(json_eqz(json_get(journal_at(j, 1)->json, "text"), "line\nbreak"));
    put(j, "a", "{\"n\":3}");
    ck_assert_int_eq(json_int(json_get(journal_last(j, "a", 0, NULL)->json, "n"), 0), 3);
    ck_assert_int_eq(json_int(json_get(journal_nth(j, "a", 0, 0)->json, "n"), 0), 1);
    ck_assert_ptr_null(journal_nth(j, "a", 0, 2));
    ck_assert_ptr_null(journal_last(j, "b", 2, NULL));
}
END_TEST

START_TEST(every_cut_of_the_last_line_is_dropped)
{
    const char *line = "{\"o\":2,\"t\":5,\"k\":\"b\",\"a\":\"agent\",\"d\":{\"x\":\"y\"}}";
    for (size_t cut = 0; cut < strlen(line); cut++) {
        unlink(path);
        struct journal *j = opened();
        put(j, "a", "{}");
        mem_free(j);
        add_raw(str_dup(ctx, str_n(line, cut)));
        j = opened();
        ck_assert_uint_eq(journal_count(j), 1);
        put(j, "c", "{}"); /* and the file goes on as if it had never been */
        mem_free(j);
        j = opened();
        ck_assert_uint_eq(journal_count(j), 2);
        ck_assert_str_eq(journal_at(j, 1)->type, "c");
        mem_free(j);
    }
}
END_TEST

START_TEST(damage_is_refused)
{
    static const char *const bad[] = {
        "not json\n",
        "{\"o\":3,\"t\":1,\"k\":\"b\",\"a\":\"x\",\"d\":{}}\n",
        "{\"o\":2,\"t\":1,\"k\":\"\",\"a\":\"x\",\"d\":{}}\n",
        "{\"o\":2,\"t\":1,\"k\":\"b\",\"a\":\"x\",\"d\":[]}\n",
        "\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        unlink(path);
        struct journal *j = opened();
        put(j, "a", "{}");
        mem_free(j);
        add_raw(bad[i]);
        j = NULL;
        ck_assert_int_ne(journal_open(ctx, path, &j, &err), RC_OK);
        ck_assert_ptr_null(j);
        ck_assert_ptr_nonnull(strstr(err.sentence, path));
    }
}
END_TEST

START_TEST(what_cannot_be_read_back_is_not_written)
{
    struct err err = {0};
    struct journal *j = opened();
    ck_assert_int_ne(journal_append(j, "a", "system", STR("{\"open\":"), NULL, &err), RC_OK);
    ck_assert_int_ne(journal_append(j, "a", "system", STR("[]"), NULL, &err), RC_OK);
    ck_assert_uint_eq(journal_count(j), 0);
    put(j, "a", "{}");
    ck_assert_int_eq(journal_at(j, 0)->origin, 1);
}
END_TEST

static const char *signature(const char *text)
{
    return failure_signature(ctx, str_of(text));
}

START_TEST(signatures)
{
    ck_assert_str_eq(signature("FAILED tests/a.py line 12 in 0.31s at 0x7ffd1"),
                     signature("FAILED  tests/a.py line 99\nin 12.5s at 0xdead1"));
    ck_assert_str_eq(signature("/tmp/x-8s7d/out"), signature("/tmp/x-9q1/out"));
    ck_assert_str_ne(signature("FAILED test_one"), signature("FAILED test_other"));
    ck_assert_str_ne(signature(""), signature("x"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal");
    TCase *t = tcase_create("journal");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, entries_survive);
    tcase_add_test(t, every_cut_of_the_last_line_is_dropped);
    tcase_add_test(t, damage_is_refused);
    tcase_add_test(t, what_cannot_be_read_back_is_not_written);
    tcase_add_test(t, signatures);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
