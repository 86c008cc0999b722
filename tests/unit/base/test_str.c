/* Contract: views own nothing and may hold NUL; splitting follows the pieces as a reader counts them; numbers and UTF-8
 * are judged strictly. */
#include "base/err.h"
#include "base/str.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;

static void begin(void)
{
    ctx = mem_root();
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

/* Pieces joined by '|', so that a case fits a line; "-" for none. */
static const char *pieces(const char *text)
{
    struct str rest = str_of(text), piece;
    char *out = NULL;
    for (int i = 0; i < 10 && str_next(&rest, ',', &piece); i++)
        out = out ? mem_printf(ctx, "%s|%.*s", out, STR_FMT(piece)) : mem_printf(ctx, "%.*s", STR_FMT(piece));
    return out ? out : "-";
}

START_TEST(next_counts_pieces)
{
    ck_assert_str_eq(pieces(""), "-");
    ck_assert_str_eq(pieces("a"), "a");
    ck_assert_str_eq(pieces("a,"), "a|");
    ck_assert_str_eq(pieces(",a"), "|a");
    ck_assert_str_eq(pieces(","), "|");
    ck_assert_str_eq(pieces("a,,b"), "a||b");
    struct str rest = STR("a,,"), piece;
    str_next(&rest, ',', &piece);
    ck_assert(str_next(&rest, ',', &piece) && !piece.n);
    ck_assert(str_next(&rest, ',', &piece) && !piece.n);
    ck_assert(!str_next(&rest, ',', &piece));
    ck_assert(!str_next(&rest, ',', &piece));
}
END_TEST

START_TEST(lines_end_with_lf_or_crlf)
{
    struct str rest = STR("a\r\nb\n\nc\r"), line;
    ck_assert(str_line(&rest, &line) && str_eqz(line, "a"));
    ck_assert(str_line(&rest, &line) && str_eqz(line, "b"));
    ck_assert(str_line(&rest, &line) && str_eqz(line, ""));
    ck_assert(str_line(&rest, &line) && str_eqz(line, "c\r"));
    ck_assert(!str_line(&rest, &line));
}
END_TEST

START_TEST(compare_and_search)
{
    ck_assert(str_eq(str_n("a\0b", 3), STR("a\0b")) && !str_eq(str_n("a\0b", 3), STR("a\0c")));
    ck_assert(str_ieq(STR("AbC"), STR("aBc")) && !str_ieq(STR("a["), STR("a{")));
    ck_assert(str_starts(STR("abc"), STR("ab")) && !str_starts(STR("a"), STR("ab")) && str_starts(STR("a"), STR("")));
    ck_assert(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("c"), STR("bc")));
    ck_assert_int_eq(str_find(STR("a\0bc"), STR("bc")), 2);
    ck_assert_int_eq(str_find(STR("abc"), STR("x")), -1);
    ck_assert_int_eq(str_find(STR(""), STR("")), 0);
    ck_assert_int_eq(str_ifind(STR("xxABC"), STR("abc")), 2);
    ck_assert_int_eq(str_ifind(STR("ab"), STR("abc")), -1);
    ck_assert(str_eqz(str_trim(STR(" \t a b\r\n ")), "a b"));
    ck_assert(str_eqz(str_trim(STR("  ")), ""));
    ck_assert(str_eqz(str_sub(STR("abc"), 1, 99), "bc"));
    ck_assert(str_eqz(str_sub(STR("abc"), 9, 1), ""));
}
END_TEST

START_TEST(int_is_strict)
{
    int64_t v = 42;
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1x", "0x1", "1.0", "9223372036854775808"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!str_int(str_of(bad[i]), INT64_MIN, INT64_MAX, &v), "%s", bad[i]);
    ck_assert_int_eq(v, 42);
    ck_assert(str_int(STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &v) && v == INT64_MIN);
    ck_assert(str_int(STR("9223372036854775807"), 0, INT64_MAX, &v) && v == INT64_MAX);
    ck_assert(!str_int(STR("-1"), 0, 10, &v));
    ck_assert(!str_int(STR("11"), 0, 10, &v) && str_int(STR("10"), 0, 10, &v));
}
END_TEST

START_TEST(utf8_is_rfc_3629)
{
    static const char *const good[] = {"",
                                       "plain ascii, longer than eight",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "12345678\xc3\xa4"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "12345678\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(str_utf8(str_of(good[i])), "good %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!str_utf8(str_of(bad[i])), "bad %zu", i);
    uint32_t c = 0;
    ck_assert_uint_eq(str_utf8_next(STR("\xf0\x9f\x98\x80x"), &c), 4);
    ck_assert_uint_eq(c, 0x1f600);
}
END_TEST

START_TEST(cut_keeps_characters_whole)
{
    struct str s = STR("a\xc3\xa4\xf0\x9f\x98\x80z");
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8};
    for (size_t max = 0; max < 10; max++)
        ck_assert_uint_eq(str_utf8_cut(s, max), want[max]);
    ck_assert_uint_eq(str_utf8_cut(STR("\x80\x80\x80\x80\x80\x80"), 5),
                      5); /* no sequence there: nothing to keep whole */
}
END_TEST

START_TEST(clean_makes_text)
{
    ck_assert_str_eq(str_utf8_clean(ctx, STR("ok \xc3\xa4")), "ok \xc3\xa4");
    ck_assert_str_eq(str_utf8_clean(ctx, STR("a\xff\0\xe2\x82")), "a\xef\xbf\xbd\xe2\x90\x80\xef\xbf\xbd\xef\xbf\xbd");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("str");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, next_counts_pieces);
    tcase_add_test(t, lines_end_with_lf_or_crlf);
    tcase_add_test(t, compare_and_search);
    tcase_add_test(t, int_is_strict);
    tcase_add_test(t, utf8_is_rfc_3629);
    tcase_add_test(t, cut_keeps_characters_whole);
    tcase_add_test(t, clean_makes_text);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
