/* Contract: whatever bytes come in, what goes out is safe for its target and no larger than promised. */
#include "base/text.h"
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

START_TEST(terminal_shows_controls)
{
    ck_assert_str_eq(text_terminal(ctx, STR("a\tb\nc")), "a\tb\nc");
    ck_assert_str_eq(text_terminal(ctx, STR("\x1b[31mred\x07")), "\\x1b[31mred\\x07");
    ck_assert_str_eq(text_terminal(ctx, STR("a\r\nb\rc")), "a\nb\\x0dc");
    ck_assert_str_eq(text_terminal(ctx, STR("\x7f\xc2\x9b\0")), "\\x7f\\x9b\\x00");
    ck_assert_str_eq(text_terminal(ctx, STR("x\xe2\x80\xae"
                                            "y\xe2\x81\xa6\xf3\xa0\x81\x81")),
                     "x\\u{202e}y\\u{2066}\\u{e0041}");
    ck_assert_str_eq(text_terminal(ctx, STR("\xff\xc3\xa4")), "\xef\xbf\xbd\xc3\xa4");
}
END_TEST

START_TEST(terminal_line_is_one_line_and_cut)
{
    ck_assert_str_eq(text_terminal_line(ctx, STR("a\nb\tc"), 99), "a\\nb\\tc");
    ck_assert_str_eq(text_terminal_line(ctx, STR("abcdef"), 6), "abcdef");
    ck_assert_str_eq(text_terminal_line(ctx, STR("abcdefg"), 6), "abc...");
    ck_assert_str_eq(text_terminal_line(ctx, STR("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"), 4), "\xc3\xa4...");
    ck_assert_str_eq(text_terminal_line(ctx, STR("ab\x1b"), 5), "ab...");
    ck_assert_str_eq(text_terminal_line(ctx, STR("abcdef"), 2), "..");
    ck_assert_str_eq(text_terminal_line(ctx, STR("abcdef"), 0), "");
}
END_TEST

START_TEST(escapes_by_target)
{
    ck_assert_str_eq(text_shell(ctx, STR("it's $(x)\0y")), "'it'\\''s $(x)y'");
    ck_assert_str_eq(text_shell(ctx, STR("")), "''");
    ck_assert_str_eq(text_html(ctx, STR("<a href=\"x\">'&\xff")), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\xef\xbf\xbd");
    ck_assert_str_eq(text_url(ctx, STR("a-Z_0.~ /\xc3\xa4%")), "a-Z_0.~%20%2F%C3%A4%25");
    ck_assert_str_eq(text_url(ctx, STR("\0")), "%00");
}
END_TEST

START_TEST(middle_keeps_both_ends)
{
    ck_assert_str_eq(text_middle(ctx, STR("short"), 5), "short");
    char *text = mem_zalloc(ctx, 10001);
    memset(text, 'x', 10000);
    memcpy(text, "HEAD", 4);
    memcpy(text + 9996, "TAIL", 4);
    char *cut = text_middle(ctx, str_of(text), 1000);
    ck_assert_uint_le(strlen(cut), 1000);
    ck_assert_uint_ge(strlen(cut), 990);
    ck_assert(str_starts(str_of(cut), STR("HEADx")) && str_ends(str_of(cut), STR("xTAIL")));
    const char *mark = strstr(cut, "[... ");
    ck_assert_ptr_nonnull(mark);
    size_t kept = (size_t)(mark - 1 - cut) + strlen(strstr(cut, "...]\n") + 5);
    ck_assert_int_eq(atoi(mark + 5), (int)(10000 - kept));
    for (size_t max = 0; max < 200; max++) { /* characters stay whole, the cap holds */
        struct str umlauts =
            STR("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
        cut = text_middle(ctx, umlauts, max);
        ck_assert_uint_le(strlen(cut), max);
        ck_assert(str_utf8(str_of(cut)));
    }
}
END_TEST

START_TEST(slug_is_a_branch_name)
{
    ck_assert_str_eq(text_slug(ctx, STR("Add the --json  Flag!"), 40), "add-the-json-flag");
    ck_assert_str_eq(text_slug(ctx, STR("  ..  "), 40), "task");
    ck_assert_str_eq(text_slug(ctx, STR("\xc3\xa4\xc3\xb6"), 40), "task");
    ck_assert_str_eq(text_slug(ctx, STR("one two three"), 9), "one-two");
    ck_assert_str_eq(text_slug(ctx, STR("one two three"), 7), "one-two");
    ck_assert_str_eq(text_slug(ctx, STR("incomprehensibilities"), 6), "incomp");
    ck_assert_str_eq(text_slug(ctx, STR("a b"), 1), "a");
}
END_TEST

START_TEST(durations)
{
    ck_assert_str_eq(text_duration(ctx, 45), "45 s");
    ck_assert_str_eq(text_duration(ctx, 200), "3 min 20 s");
    ck_assert_str_eq(text_duration(ctx, 3725), "1 h 02 min");
    ck_assert_str_eq(text_duration(ctx, 97200), "1 d 03 h");
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {{"90", 90},
                 {"90s", 90},
                 {"15m", 900},
                 {"2h", 7200},
                 {"1h30m", 5400},
                 {"7d", 604800},
                 {"0", 0},
                 {"", -1},
                 {"m", -1},
                 {"1h30", -1},
                 {"30m1h", -1},
                 {"1m1m", -1},
                 {"-5", -1},
                 {"1.5h", -1},
                 {"1 h", -1},
                 {"5w", -1},
                 {"9223372036854775807d", -1},
                 {"99999999999999999999", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = -7;
        bool ok = text_duration_parse(str_of(cases[i].text), &seconds);
        ck_assert_msg(ok == (cases[i].seconds >= 0) && (!ok || seconds == cases[i].seconds), "%s", cases[i].text);
    }
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } cases[] = {{"4096", 4096},
                 {"64k", 65536},
                 {"10MiB", 10 << 20},
                 {"2G", INT64_C(2) << 30},
                 {"1T", INT64_C(1) << 40},
                 {"5b", 5},
                 {"1kb", 1024},
                 {"", -1},
                 {"k", -1},
                 {"1x", -1},
                 {"1iB", -1},
                 {"1kk", -1},
                 {"-1", -1},
                 {"9223372036854775807k", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t bytes = -7;
        bool ok = text_size_parse(str_of(cases[i].text), &bytes);
        ck_assert_msg(ok == (cases[i].bytes >= 0) && (!ok || bytes == cases[i].bytes), "%s", cases[i].text);
    }
}
END_TEST

START_TEST(nearest_name)
{
    static const char *const names[] = {"attach", "approve", "config", "log", "ls"};
    ck_assert_str_eq(text_nearest(STR("atach"), names, 5), "attach");
    ck_assert_str_eq(text_nearest(STR("CONFIG"), names, 5), "config");
    ck_assert_str_eq(text_nearest(STR("aprpove"), names, 5), "approve");
    ck_assert_str_eq(text_nearest(STR("lg"), names, 5), "log");
    ck_assert_ptr_null(text_nearest(STR("zebra"), names, 5));
    ck_assert_ptr_null(text_nearest(STR(""), names, 5));
    char *longest = mem_zalloc(ctx, 1001);
    memset(longest, 'a', 1000);
    ck_assert_ptr_null(text_nearest(str_of(longest), names, 5));
}
END_TEST

START_TEST(globs)
{
    static const struct {
        const char *pattern, *path;
        bool match;
    } cases[] = {
        {"*.c", "a.c", true},
        {"*.c", "src/deep/a.c", true},
        {"*.c", "a.c/b", false},
        {"src/*.c", "src/a.c", true},
        {"src/*.c", "src/x/a.c", false},
        {"src/*.c", "lib/src/a.c", false},
        {"src/**/*.c", "src/a.c", true},
        {"src/**/*.c", "src/x/y/a.c", true},
        {"**/test_*.py", "test_a.py", true},
        {"**/test_*.py", "a/b/test_a.py", true},
        {"**/test_*.py", "a/mytest_a.py", false},
        {"docs/**", "docs/a/b", true},
        {"docs/**", "docs", false},
        {"build/", "build/x", true},
        {"build/", "a/build/x/y", true},
        {"build/", "build", false},
        {"a/build/", "x/a/build/y", false},
        {"/Makefile", "Makefile", true},
        {"/Makefile", "sub/Makefile", false},
        {"Makefile", "sub/Makefile", true},
        {"?.c", "a.c", true},
        {"a?b", "a/b", false},
        {"[a-c].x", "b.x", true},
        {"[!a-c].x", "b.x", false},
        {"[^a-c].x", "d.x", true},
        {"a[!x]b", "a/b", false},
        {"[]x]", "]", true},
        {"[a-]", "-", true},
        {"[x", "[x", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {".github/workflows/**", ".github/workflows/ci.yml", true},
        {"", "", false},
        {"/", "a", false},
        {"*", "a/b", true},
        {"***", "a/b", true},
        {"a**b", "a/x/b", true},
        {"A", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(text_glob(str_of(cases[i].pattern), str_of(cases[i].path)) == cases[i].match, "%s against %s",
                      cases[i].pattern, cases[i].path);
}
END_TEST

/* A matcher that backtracks needs longer than the universe for this one. */
START_TEST(glob_time_is_bounded)
{
    char *pattern = mem_zalloc(ctx, 401), *path = mem_zalloc(ctx, 2001);
    for (size_t i = 0; i < 400; i += 2)
        memcpy(pattern + i, "*a", 2);
    memset(path, 'a', 1999);
    path[1999] = 'b';
    ck_assert(!text_glob(str_of(pattern), str_of(path)));
}
END_TEST

START_TEST(base64_there_and_back)
{
    static const char *const rows[][2] = {/* RFC 4648 section 10 */
                                          {"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zm8=", "Zm-_", "Zm9 ", "=g==", "Z=g="};
    struct str back;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_str_eq(text_base64(ctx, str_of(rows[i][0])), rows[i][1]);
        ck_assert(text_base64_read(ctx, str_of(rows[i][1]), &back));
        ck_assert(str_eqz(back, rows[i][0]));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!text_base64_read(ctx, str_of(wrong[i]), &back), "%s", wrong[i]);
    ck_assert_str_eq(text_base64(ctx, STR("\xff\xfe\xfd")), "//79");
    ck_assert(text_base64_read(ctx, STR("//79"), &back) && str_eq(back, STR("\xff\xfe\xfd")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, terminal_shows_controls);
    tcase_add_test(t, terminal_line_is_one_line_and_cut);
    tcase_add_test(t, escapes_by_target);
    tcase_add_test(t, middle_keeps_both_ends);
    tcase_add_test(t, slug_is_a_branch_name);
    tcase_add_test(t, durations);
    tcase_add_test(t, sizes);
    tcase_add_test(t, base64_there_and_back);
    tcase_add_test(t, nearest_name);
    tcase_add_test(t, globs);
    tcase_add_test(t, glob_time_is_bounded);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
