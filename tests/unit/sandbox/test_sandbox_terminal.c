/* Contract: a command on a terminal of the sandbox's own has a terminal as people expect it (a name, a size, job
 * control, signals by key), its end is told with its status, and nothing is left. */
#include "rig.h"
#include <sys/ioctl.h>

static struct sandbox_terminal terminal_of(struct sandbox *sb, const char *const *argv)
{
    struct sandbox_terminal t;
    struct sandbox_command cmd = {.argv = argv};
    static const char *const env[] = {"TERM=xterm", "PS1=> ", NULL};
    cmd.env = env;
    enum rc rc = sandbox_terminal_start(ctx, sb, &cmd, 30, 100, &t, &err);
    ck_assert_msg(rc == RC_OK, "%s | %s", err.sentence, err.detail);
    return t;
}

/* Reads until the words are there. */
static void sees(const struct sandbox_terminal *t, const char *words)
{
    char seen[1 << 16];
    size_t n = 0;
    struct pollfd p = {.fd = t->master, .events = POLLIN};
    while (n < sizeof seen - 1 && poll(&p, 1, START_MS) > 0) {
        ssize_t got = read(t->master, seen + n, sizeof seen - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        if (memmem(seen, n, words, strlen(words)))
            return;
    }
    ck_abort_msg("never saw \"%s\", but: %.*s", words, (int)n, seen);
}

static void types(const struct sandbox_terminal *t, const char *keys)
{
    ck_assert_int_eq(write(t->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static void ends(struct sandbox *sb, const struct sandbox_terminal *t, int code, int number)
{
    struct pollfd p = {.fd = sandbox_terminal_fd(sb), .events = POLLIN};
    int64_t id;
    int got_code, got_number;
    ck_assert_int_eq(poll(&p, 1, START_MS), 1);
    ck_assert_int_eq(sandbox_terminal_ended(sb, &id, &got_code, &got_number, &err), RC_OK);
    ck_assert_int_eq(id, t->id);
    ck_assert_int_eq(got_code, code);
    ck_assert_int_eq(got_number, number);
}

START_TEST(a_shell_is_at_home)
{
    static const char *const sh[] = {"/bin/sh", NULL};
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    struct sandbox_terminal t = terminal_of(sb, sh);
    types(&t, "tty; stty size; cat /proc/self/stat | cut -d' ' -f7 | grep -vc ^0; echo e''nd\n");
    sees(&t, "/dev/pts/0\r\n30 100\r\n1\r\nend");
    sandbox_terminal_resize(&t, 50, 132);
    types(&t, "stty size\n");
    sees(&t, "50 132\r\n");
    types(&t, "sh -c 'echo rea\"\"dy; exec sleep 1000'\n");
    sees(&t, "ready");
    types(&t, "\x03"); /* the terminal makes a signal of it, and forgets what else was typed before it */
    sees(&t, "^C");
    types(&t, "echo by''key\n");
    sees(&t, "bykey\r\n");
    types(&t, "exit 7\n");
    ends(sb, &t, 7, 0);
    close(t.master);
    int left = -1;
    sandbox_close(sb, &left);
    rig_end();
}
END_TEST

START_TEST(what_is_left_running_ends_with_the_sandbox)
{
    static const char *const sh[] = {"/bin/sh", NULL};
    if (!rig_begin(_i))
        return;
    const char *word = rig_word();
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    struct sandbox_terminal t = terminal_of(sb, sh);
    types(&t, mem_printf(ctx, "(trap '' HUP; setsid sh -c 'sleep 1000; : %s' &) ; echo be''gun\n", word));
    sees(&t, "begun");
    ck_assert(rig_becomes(word, 1));
    close(t.master); /* hung up, as when a window is closed */
    sandbox_close(sb, NULL);
    ck_assert(rig_becomes(word, 0));
    rig_end();
}
END_TEST

START_TEST(a_program_that_is_not_there_is_told)
{
    static const char *const nothing[] = {"/no/such/program", NULL};
    struct sandbox_command cmd = {.argv = nothing};
    struct sandbox_terminal t;
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    ck_assert_int_ne(sandbox_terminal_start(ctx, sb, &cmd, 24, 80, &t, &err), RC_OK);
    ck_assert(err.sentence[0]);
    rig_says(sb, "echo goes on", "goes on\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(nobody_types_into_the_terminal_from_inside)
{
    static const char *const sh[] = {"/bin/sh", NULL};
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    struct sandbox_terminal t = terminal_of(sb, sh);
    types(&t, "/opt/attack inside; echo said $?\n");
    sees(&t, "said 0");
    close(t.master);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

/* TIOCSTI puts bytes into the terminal's input as if they were typed. */
static int inside(int argc, char **argv)
{
    (void)argc, (void)argv;
    return ioctl(0, TIOCSTI, "x") < 0 ? 0 : 1;
}

static Suite *suite(void)
{
    Suite *s = suite_create("sandbox_terminal");
    TCase *t = tcase_create("terminal");
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    RIG_ALL(t, a_shell_is_at_home);
    RIG(t, what_is_left_running_ends_with_the_sandbox);
    RIG(t, a_program_that_is_not_there_is_told);
    RIG(t, nobody_types_into_the_terminal_from_inside);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, inside);
}
