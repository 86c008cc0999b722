/* Contract: a new token reads back to the same prefix and hash; any changed, missing or added character is told as a
 * typing error; what never was a key is told apart; nothing of a token is repeated in an error. */
#include "auth/token.h"
#include <check.h>

START_TEST(a_token_reads_back)
{
    struct token a, b;
    for (int i = 0; i < 200; i++) {
        token_new(&a);
        ck_assert_uint_eq(strlen(a.text), TOKEN_LENGTH);
        ck_assert(token_is(str_of(a.text)));
        ck_assert_int_eq(token_read(str_of(a.text), &b, NULL), RC_OK);
        ck_assert_str_eq(a.prefix, b.prefix);
        ck_assert_mem_eq(a.hash, b.hash, HASH_SHA256);
        ck_assert_int_eq(strncmp(a.text + 3, a.prefix, TOKEN_PREFIX), 0);
    }
}
END_TEST

START_TEST(every_typing_error_is_found)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz_-ABC ";
    struct token a, b;
    struct err err = {0};
    token_new(&a);
    for (size_t at = 0; at < TOKEN_LENGTH; at++) {
        for (const char *d = digits; *d; d++) {
            char text[TOKEN_LENGTH + 2];
            memcpy(text, a.text, sizeof a.text);
            if (text[at] == *d)
                continue;
            text[at] = *d;
            ck_assert_int_eq(token_read(str_of(text), &b, &err), RC_DENIED);
            ck_assert_ptr_null(strstr(err.sentence, a.prefix));
        }
        ck_assert_int_eq(token_read(str_n(a.text, at), &b, NULL), RC_DENIED);
    }
    for (size_t at = 4; at + 1 < TOKEN_LENGTH; at++) { /* two neighbours swapped */
        char text[TOKEN_LENGTH + 1];
        memcpy(text, a.text, sizeof a.text);
        text[at] = a.text[at + 1];
        text[at + 1] = a.text[at];
        ck_assert_int_eq(token_read(str_of(text), &b, NULL), text[at] == text[at + 1] ? RC_OK : RC_DENIED);
    }
}
END_TEST

START_TEST(what_is_no_key_is_said_so)
{
    struct token t;
    struct err err = {0};
    ck_assert_int_eq(token_read(STR("sk-something-else"), &t, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.sentence, "no key of Nightmill"));
    ck_assert_int_eq(token_read(STR("nm_short"), &t, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.sentence, "mistyped or cut"));
    ck_assert_int_eq(token_read(str_n("", 0), &t, &err), RC_DENIED);
}
END_TEST

START_TEST(two_tokens_differ)
{
    struct token a, b;
    token_new(&a);
    token_new(&b);
    ck_assert_str_ne(a.text, b.text);
    ck_assert_mem_ne(a.hash, b.hash, HASH_SHA256);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("token");
    TCase *tc = tcase_create("texts of keys");
    tcase_add_test(tc, a_token_reads_back);
    tcase_add_test(tc, every_typing_error_is_found);
    tcase_add_test(tc, what_is_no_key_is_said_so);
    tcase_add_test(tc, two_tokens_differ);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
