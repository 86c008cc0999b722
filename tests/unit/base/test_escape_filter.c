/* Contract: of what programs print, only what paints comes through, at each level what its list says, and however the
 * stream was cut. */
#include "base/err.h"
#include "base/escape.h"
#include <check.h>
#include <stdio.h>
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

static struct str pass(enum escape_level level, bool queries, struct str in, size_t piece)
{
    struct escape_filter f;
    struct buf out;
    buf_init(&out, ctx, 1 << 20);
    escape_filter_init(&f, level);
    f.queries = queries;
    for (size_t at = 0; at < in.n; at += piece)
        escape_filter_feed(&f, str_sub(in, at, piece), &out);
    escape_filter_end(&f, &out);
    ck_assert(!out.overflow);
    return buf_view(&out);
}

static void expect(enum escape_level level, const char *in, const char *out)
{
    for (size_t piece = 1; piece <= strlen(in) + 1; piece++) {
        struct str got = pass(level, false, str_of(in), piece);
        ck_assert_msg(str_eqz(got, out), "level %d, cut by %zu: %s gives %.*s", level, piece, in + 1, STR_FMT(got));
    }
}

static void expect_all(const char *in, const char *out)
{
    for (enum escape_level level = ESCAPE_COLOURS; level <= ESCAPE_WORK; level++)
        expect(level, in, out);
}

START_TEST(strings_to_the_terminal_never_pass)
{
    static const char *const kinds[] = {"]", "P", "X", "^", "_"};
    static const char *const bodies[] = {"0;title",
                                         "2;title",
                                         "52;c;c2VjcmV0",
                                         "8;;http://evil.example/",
                                         "10;?",
                                         "4;1;?",
                                         "1337;File=inline=1:AAAA",
                                         "777;notify;a;b",
                                         "9;1;x",
                                         "$qm",
                                         "+q544e",
                                         "1$r0m",
                                         "q#0;2;0;0;0",
                                         "tmux;\x1b\x1b]52;c;eA==\x07",
                                         ""};
    static const char *const ends[] = {"\x07", "\x1b\\", "\x18", "\x1a"};
    char in[256];
    for (size_t k = 0; k < 5; k++)
        for (size_t b = 0; b < 15; b++)
            for (size_t e = 0; e < 4; e++) {
                snprintf(in, sizeof in, "a\x1b%s%s%sz", kinds[k], bodies[b], ends[e]);
                for (enum escape_level level = ESCAPE_COLOURS; level <= ESCAPE_WORK; level++)
                    for (size_t piece = 1; piece < 9; piece++) {
                        struct str got = pass(level, true, str_of(in), piece);
                        ck_assert_msg(got.n >= 2 && got.p[0] == 'a' && got.p[got.n - 1] == 'z', "%.*s", STR_FMT(got));
                        ck_assert_msg(!memchr(got.p, 0x1b, got.n) && (b == 13 || !memchr(got.p, 7, got.n)), "%s",
                                      in + 1);
                        ck_assert(str_find(got, STR("52;c")) < 0 || b == 13);
                        ck_assert(str_find(got, STR("evil")) < 0);
                    }
            }
    expect_all("a\x1b]0;never ended", "a");
    expect(ESCAPE_COLOURS, "\x1b]0;swallow\nnext", "\r\nnext"); /* a log goes on with its next line */
}
END_TEST

START_TEST(every_sequence_but_those_on_the_list_is_left_out)
{
    char in[64];
    static const char *const markers[] = {"", "?", ">", "<", "="};
    static const char *const between[] = {"", " ", "!", "$", "'", "\""};
    int passed[3] = {0};
    for (int final = 0x40; final <= 0x7e; final++)
        for (size_t m = 0; m < 5; m++)
            for (size_t b = 0; b < 6; b++)
                for (enum escape_level level = ESCAPE_COLOURS; level <= ESCAPE_WORK; level++) {
                    snprintf(in, sizeof in, "\x1b[%s1%s%c", markers[m], between[b], final);
                    struct str got = pass(level, false, str_of(in), 2);
                    if (!got.n)
                        continue;
                    passed[level]++;
                    ck_assert_msg(level != ESCAPE_COLOURS || final == 'm', "%s", in + 1);
                    ck_assert_msg(!strchr("tiRy{|}~w", final), "%s", in + 1);
                    ck_assert_msg(final != 'c' && final != 'n', "%s", in + 1);
                }
    ck_assert_int_eq(passed[ESCAPE_COLOURS], 1);
    ck_assert_int_gt(passed[ESCAPE_SCREEN], 25);
    ck_assert_int_eq(passed[ESCAPE_WORK], passed[ESCAPE_SCREEN] + 2); /* ?1h and ?1l */
}
END_TEST

START_TEST(colours_pass_and_end_with_their_line)
{
    expect(ESCAPE_COLOURS, "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m");
    expect(ESCAPE_COLOURS, "\x1b[1;38;5;200;48;2;1;2;3mx\ny", "\x1b[1;38;5;200;48;2;1;2;3mx\x1b[0m\r\ny");
    expect(ESCAPE_COLOURS, "\x1b[38:5:200mx\x1b[m", "\x1b[38;5;200mx\x1b[0m");
    expect(ESCAPE_COLOURS, "\x1b[8mhidden", "hidden");
    expect(ESCAPE_COLOURS, "\x1b[1;8;31mx\x1b[0m", "\x1b[1;31mx\x1b[0m");
    expect(ESCAPE_COLOURS, "\x1b[38;5mx", "x");
    expect(ESCAPE_COLOURS, "\x1b[>4;2mx\x1b[?25hy", "xy");
    expect(ESCAPE_COLOURS, "\x1b[31mopen", "\x1b[31mopen\x1b[0m");
    expect(ESCAPE_SCREEN, "\x1b[31ma\nb", "\x1b[31ma\nb");
}
END_TEST

START_TEST(a_log_shows_all_that_was_printed)
{
    expect(ESCAPE_COLOURS, "evil\rgood\n", "evil\r\ngood\r\n");
    expect(ESCAPE_COLOURS, "a\r\nb\n", "a\r\nb\r\n");
    expect(ESCAPE_COLOURS, "a\r\r\nb", "a\r\nb");
    expect(ESCAPE_COLOURS, "10%\r\x1b[32m20%", "10%\r\n\x1b[32m20%\x1b[0m");
    expect(ESCAPE_COLOURS, "evil\b\b\b\bgood", "evilgood");
    expect(ESCAPE_COLOURS,
           "a\x1b[2Jb\x1b[Hc\x1b[1Ad\x1b[2Ke\x1b"
           "7f",
           "abcdef");
    expect(ESCAPE_COLOURS, "\x1b(0lqk\x0e\x0f", "lqk");
    expect(ESCAPE_COLOURS, "end\r", "end\r\n");
}
END_TEST

START_TEST(bytes_that_deceive_are_replaced)
{
    expect_all("a\xc2\x9b"
               "31mb",
               "a31mb");
    expect_all("a\x9b"
               "31mb",
               "a\xef\xbf\xbd"
               "31mb");
    expect_all("a\xe2\x80\xae"
               "b",
               "a\xef\xbf\xbd"
               "b");
    expect_all("\xf3\xa0\x81\x81x", "\xef\xbf\xbdx");
    expect_all("\xc3(", "\xef\xbf\xbd(");
    expect_all("\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa4", "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa4");
    expect_all("\xed\xa0\x80z", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    expect_all("\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect_all("a\x05\x11\x13\x7f\x01z", "az");
    struct str nul = pass(ESCAPE_SCREEN, false, STR("a\0z"), 1);
    ck_assert(str_eqz(nul, "az"));
}
END_TEST

START_TEST(a_screen_is_drawn)
{
    static const char *const drawn[] = {"\x1b[2J\x1b[1;1H",
                                        "\x1b[?1049h\x1b[?25l",
                                        "\x1b[3;20r",
                                        "\x1b[4h",
                                        "\x1b[2 q",
                                        "\x1b"
                                        "7\x1b"
                                        "8\x1bM",
                                        "\x1b(0lqk\x1b(B",
                                        "a\bb\rc\x0e\x0f",
                                        "\x1b[10L\x1b[3P\x1b[5X",
                                        "\x1b[!p",
                                        "\033c",
                                        "\x1b[80b"};
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        expect(ESCAPE_SCREEN, drawn[i], drawn[i]);
        expect(ESCAPE_WORK, drawn[i], drawn[i]);
    }
    expect(ESCAPE_SCREEN, "\x1b[?1000h\x1b[?2004hx\x07\x1b=", "x");
    expect(ESCAPE_WORK, "\x1b[?1000h\x1b[?2004hx\x07\x1b=", "\x1b[?1000h\x1b[?2004hx\x07\x1b=");
    expect(ESCAPE_WORK, "\x1b[99999999bx\x1b[1001b\x1b[70000Cy", "xy");
    expect(ESCAPE_WORK, "\x1b[?1049;5hx", "x");
    expect(ESCAPE_WORK, "\x1b[21t\x1b[22;0t\x1b[5i\x1b#8\x1b%Gx", "x");
}
END_TEST

START_TEST(questions_pass_only_while_they_may)
{
    static const char asked[] = "\x1b[c\x1b[>c\x1b[6n\x1b[5nx";
    ck_assert(str_eqz(pass(ESCAPE_WORK, true, STR("\x1b[c\x1b[>c\x1b[6n\x1b[5nx"), 1), asked));
    ck_assert(str_eqz(pass(ESCAPE_WORK, false, STR("\x1b[c\x1b[>c\x1b[6n\x1b[5nx"), 1), "x"));
    ck_assert(str_eqz(pass(ESCAPE_SCREEN, true, STR("\x1b[c\x1b[>c\x1b[6n\x1b[5nx"), 1), "x"));
    ck_assert(str_eqz(pass(ESCAPE_WORK, true, STR("\x1b[?6n\x1b[15n\x1b[?1$p\x1b[=cx"), 1), "x"));
}
END_TEST

START_TEST(long_sequences_are_left_out_whole)
{
    char in[300];
    memset(in, '1', sizeof in);
    in[0] = 0x1b;
    in[1] = '[';
    memcpy(in + 290, "mrest", 6);
    expect_all(in, "rest");
    for (size_t i = 2; i < 290; i += 2)
        in[i] = ';';
    expect_all(in, "rest");
    expect_all("\x1b[3\x1b[31mx\x1b[0m", "\x1b[31mx\x1b[0m");
    expect(ESCAPE_COLOURS, "\x1b[3\n1mx", "\r\n1mx");
}
END_TEST

/* Random streams of the pieces that sequences are made of: what comes out goes through unchanged, and is the same
 * however it was cut. */
START_TEST(random_streams_come_out_the_same_however_cut)
{
    static const char *const pieces[] = {"\x1b", "[",    "]",    "P",        "31",    "m",    ";",  "?",
                                         "1049", "h",    "\x07", "\x1b\\",   "52;c;", "text", "\r", "\n",
                                         "\b",   "\xc2", "\x9b", "\xe2\x80", "\xae",  "H",    "2J", "\x18",
                                         " q",   "(0",   "c",    "6n",       "t"};
    unsigned seed = 12345;
    for (int round = 0; round < 600; round++) {
        struct buf in;
        buf_init(&in, ctx, 4096);
        for (int i = 0; i < 40; i++) {
            seed = seed * 1103515245u + 12345u;
            buf_z(&in, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        for (enum escape_level level = ESCAPE_COLOURS; level <= ESCAPE_WORK; level++) {
            struct str whole = pass(level, true, buf_view(&in), in.n);
            ck_assert(str_utf8(whole) && str_find(whole, STR("\x1b]")) < 0 && str_find(whole, STR("\x1bP")) < 0);
            ck_assert(str_eq(whole, pass(level, true, buf_view(&in), 1)));
            ck_assert(str_eq(whole, pass(level, true, buf_view(&in), 5)));
            ck_assert(str_eq(whole, pass(level, true, whole, 3)));
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("escape");
    TCase *t = tcase_create("escape");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, strings_to_the_terminal_never_pass);
    tcase_add_test(t, every_sequence_but_those_on_the_list_is_left_out);
    tcase_add_test(t, colours_pass_and_end_with_their_line);
    tcase_add_test(t, a_log_shows_all_that_was_printed);
    tcase_add_test(t, bytes_that_deceive_are_replaced);
    tcase_add_test(t, a_screen_is_drawn);
    tcase_add_test(t, questions_pass_only_while_they_may);
    tcase_add_test(t, long_sequences_are_left_out_whole);
    tcase_add_test(t, random_streams_come_out_the_same_however_cut);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
