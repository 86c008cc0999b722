/* Contract: a record is touched only on failure, holds bounded well-formed text, and may be NULL; one table speaks for
 * a code everywhere. */
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>

START_TEST(set_starts_anew)
{
    struct err err = {.detail = "old", .hint = "old"};
    ck_assert_int_eq(err_set(&err, RC_NOT_FOUND, "No task %d", 7), RC_NOT_FOUND);
    ck_assert_int_eq(err.rc, RC_NOT_FOUND);
    ck_assert_str_eq(err.sentence, "No task 7");
    ck_assert_str_eq(err.detail, "");
    ck_assert_str_eq(err.hint, "");
    ck_assert_int_eq(err_detail(&err, "%s", "seen"), RC_NOT_FOUND);
    ck_assert_int_eq(err_hint(&err, "do %s", "this"), RC_NOT_FOUND);
    ck_assert_int_eq(err_context(&err, "Reading %s", "x"), RC_NOT_FOUND);
    ck_assert_str_eq(err.sentence, "Reading x: No task 7");
    ck_assert_str_eq(err.detail, "seen");
    ck_assert_str_eq(err.hint, "do this");
}
END_TEST

START_TEST(null_is_allowed)
{
    ck_assert_int_eq(err_set(NULL, RC_LIMIT, "x"), RC_LIMIT);
    ck_assert_int_eq(err_sys(NULL, ENOENT, "x"), RC_NOT_FOUND);
    ck_assert_int_eq(err_context(NULL, "x"), RC_BUG);
}
END_TEST

START_TEST(errno_maps)
{
    static const struct {
        int errnum;
        enum rc rc;
    } cases[] = {{ENOENT, RC_NOT_FOUND}, {EACCES, RC_DENIED}, {EPERM, RC_DENIED},
                 {ENOSPC, RC_LIMIT},     {EDQUOT, RC_LIMIT},  {EIO, RC_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        ck_assert_int_eq(err_sys(&err, cases[i].errnum, "Cannot open %s", "f"), cases[i].rc);
        ck_assert_str_eq(err.sentence, "Cannot open f");
        ck_assert(err.detail[0]);
    }
}
END_TEST

START_TEST(text_is_cut_at_a_character_and_well_formed)
{
    struct err err = {0};
    char words[1200] = "x"; /* odd offset, so that the cut falls inside a two-byte character */
    for (size_t i = 1; i + 2 < sizeof words; i += 2)
        memcpy(words + i, "\xc3\xa4", 3);
    err_set(&err, RC_INVALID, "%s", words);
    ck_assert(str_utf8(str_of(err.sentence)));
    ck_assert_uint_ge(strlen(err.sentence), sizeof err.sentence - 3);
    err_set(&err, RC_INVALID, "a%sb", "\xff");
    ck_assert_str_eq(err.sentence, "a\xef\xbf\xbd"
                                   "b");
}
END_TEST

START_TEST(arguments_may_be_fields_of_the_record)
{
    struct err err = {0};
    err_set(&err, RC_IO, "inner");
    err_set(&err, RC_UPSTREAM, "outer of %s", err.sentence);
    ck_assert_str_eq(err.sentence, "outer of inner");
}
END_TEST

START_TEST(table_is_whole)
{
    for (enum rc rc = RC_OK; rc <= RC_BUG; rc++) {
        ck_assert_int_eq(rc_find(rc_name(rc)), rc);
        ck_assert_int_ge(rc_http_status(rc), 200);
        ck_assert_int_le(rc_log_level(rc), LOG_ERROR);
        ck_assert((rc_exit_code(rc) == 0) == (rc == RC_OK));
    }
    ck_assert_int_eq(rc_find("nonsense"), RC_BUG);
    ck_assert_str_eq(rc_name((enum rc)99), "bug");
    ck_assert_int_eq(rc_http_status(RC_NOT_FOUND), 404);
    ck_assert_int_eq(rc_exit_code(RC_INVALID), 2);
    ck_assert_int_eq(rc_exit_code(RC_LIMIT), 8);
    ck_assert_int_eq(rc_exit_code(RC_UNAVAILABLE), 9);
    ck_assert_int_eq(rc_exit_code(RC_CANCELLED), 130);
    ck_assert(rc_retryable(RC_TIMEOUT) && !rc_retryable(RC_DENIED));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("all");
    suite_add_tcase(s, t);
    tcase_add_test(t, set_starts_anew);
    tcase_add_test(t, null_is_allowed);
    tcase_add_test(t, errno_maps);
    tcase_add_test(t, text_is_cut_at_a_character_and_well_formed);
    tcase_add_test(t, arguments_may_be_fields_of_the_record);
    tcase_add_test(t, table_is_whole);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
