/* Contract: on a terminal one status line is rewritten below lines that are only added to, without cursor addressing;
 * in a pipe there is neither status line nor colour. */
#include "cli/screen.h"
#include <check.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static mem *ctx;

static void begin(void)
{
    ctx = mem_root();
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

/* A pseudo-terminal without any translation of what is written. */
static void terminal_open(int *ours, int *theirs, unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    struct termios raw;
    ck_assert_int_eq(openpty(ours, theirs, NULL, NULL, &size), 0);
    tcgetattr(*theirs, &raw);
    cfmakeraw(&raw);
    tcsetattr(*theirs, TCSANOW, &raw);
}

static char *written(int fd)
{
    static char text[4096];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(status_line_stays_below)
{
    int ours, theirs;
    struct screen s;
    terminal_open(&ours, &theirs, 20);
    screen_init(&s, theirs, "auto");
    ck_assert(s.live && s.color);
    screen_write(&s, STR("one\n"));
    ck_assert_str_eq(written(ours), "one\n");
    screen_status(&s, "working");
    ck_assert_str_eq(written(ours), "\r\x1b[Kworking");
    screen_status(&s, "working"); /* nothing new, nothing written */
    ck_assert_str_eq(written(ours), "");
    screen_write(&s, STR("two\n"));
    ck_assert_str_eq(written(ours), "\r\x1b[Ktwo\n\r\x1b[Kworking");
    screen_status(&s, "a line that is longer than the screen");
    ck_assert_str_eq(written(ours), "\r\x1b[Ka line that is l..."); /* one column stays free */
    screen_status(&s, NULL);
    ck_assert_str_eq(written(ours), "\r\x1b[K");
    screen_write(&s, STR("three\n"));
    ck_assert_str_eq(written(ours), "three\n");
    close(ours);
    close(theirs);
}
END_TEST

START_TEST(pipes_are_plain)
{
    int ends[2];
    struct screen s;
    ck_assert_int_eq(pipe(ends), 0);
    screen_init(&s, ends[1], "auto");
    ck_assert(!s.live && !s.color);
    screen_status(&s, "working");
    screen_write(&s, STR("one\n"));
    ck_assert_str_eq(written(ends[0]), "one\n");
    ck_assert_str_eq(screen_paint(ctx, &s, TONE_BAD, "red"), "red");
    screen_init(&s, ends[1], "always");
    ck_assert_str_eq(screen_paint(ctx, &s, TONE_BAD, "red"), "\x1b[31mred\x1b[0m");
    ck_assert_str_eq(screen_paint(ctx, &s, TONE_BAD, ""), "");
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(colours_can_be_refused)
{
    int ours, theirs;
    struct screen s;
    terminal_open(&ours, &theirs, 80);
    setenv("NO_COLOR", "1", 1);
    screen_init(&s, theirs, "auto");
    ck_assert(s.live && !s.color);
    unsetenv("NO_COLOR");
    screen_init(&s, theirs, "never");
    ck_assert(s.live && !s.color);
    setenv("TERM", "dumb", 1);
    screen_init(&s, theirs, "auto");
    ck_assert(!s.live && !s.color);
    close(ours);
    close(theirs);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("screen");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, status_line_stays_below);
    tcase_add_test(t, pipes_are_plain);
    tcase_add_test(t, colours_can_be_refused);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
