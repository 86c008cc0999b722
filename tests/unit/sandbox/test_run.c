/* Contract of sandbox_open, sandbox_run and sandbox_close in the ordinary case: a command gets its words, environment,
 * folder and input byte for byte; what it says comes back whole or with a visible mark; its end is told as it was;
 * nothing is left when the sandbox is closed. Also without protection (--no-sandbox). */
#include "rig.h"

START_TEST(says_how_it_ended)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    ck_assert(sandbox_alive(sb));
    rig_says(sb, "echo out; echo err >&2", "out\n");
    struct sandbox_result r = rig_shell(sb, "echo out; echo err >&2; exit 3");
    ck_assert_int_eq(r.exit_code, 3);
    ck_assert_int_eq(r.signal, 0);
    ck_assert(str_eqz(r.out, "out\n") && str_eqz(r.err, "err\n"));
    ck_assert(r.out_bytes == 4 && r.err_bytes == 4 && r.elapsed_ns > 0);
    r = rig_shell(sb, "kill -USR1 $$");
    ck_assert_int_eq(r.exit_code, -1);
    ck_assert_int_eq(r.signal, SIGUSR1);
    r = rig_do(sb, (struct sandbox_command){.shell = "echo a; echo b >&2; echo c", .merge = true});
    ck_assert_msg(str_eqz(r.out, "a\nb\nc\n") && r.err.n == 0, "%.*s", STR_FMT(r.out));
    int left = -1;
    ck_assert_ptr_null(sandbox_close(sb, &left));
    ck_assert_int_eq(left, 0);
    rig_end();
}
END_TEST

START_TEST(user_and_folder)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    rig_says(sb, "id -un; id -u; pwd; echo $HOME; echo ~; hostname",
             "agent\n1000\n/workspace\n/tmp/home\n/tmp/home\nnightmill\n");
    rig_says(sb, "touch $HOME/x $TMPDIR/y /workspace/z /dev/shm/s && echo ok", "ok\n");
    rig_says(sb, "echo again > /dev/stderr; echo > /dev/null; head -c 3 /dev/zero | wc -c", "3\n");
    struct sandbox_result r = rig_do(sb, (struct sandbox_command){.shell = "pwd", .cwd = "/usr/lib"});
    ck_assert(str_eqz(r.out, "/usr/lib\n"));
    sandbox_close(sb, NULL);
    sb = rig_open(SANDBOX_VERIFIER);
    rig_says(sb, "id -un; id -u", "verifier\n1001\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(words_are_bytes)
{
    if (!rig_begin(_i))
        return;
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true}};
    const char *env[] = {"ONE=spec", "TWO=spec \xff\n", NULL};
    struct sandbox_spec spec = {.mounts = mounts, .mount_count = 1, .cwd = "/workspace", .env = env};
    struct sandbox *sb = rig_open_spec(&spec);
    const char *argv[] = {"printf", "%s|", "", "a b", "\xff\xfe", "line\nline", "$HOME", NULL};
    struct sandbox_result r = rig_do(sb, (struct sandbox_command){.argv = argv});
    ck_assert_msg(str_eqz(r.out, "|a b|\xff\xfe|line\nline|$HOME|"), "%.*s", STR_FMT(r.out));
    const char *more[] = {"ONE=command", "PATH=/usr/bin", NULL};
    r = rig_do(
        sb, (struct sandbox_command){.shell = "printf '%s|' \"$ONE\" \"$TWO\" $PATH $TERM; env | wc -l", .env = more});
    ck_assert_msg(str_starts(r.out, STR("command|spec \xff\n|/usr/bin|dumb|")), "%.*s", STR_FMT(r.out));
    setenv("MILL_SECRET", "outside", 1);
    rig_says(sb, "echo \"[$MILL_SECRET]\"", "[]\n");
    /* An input larger than any pipe, read to its end. */
    size_t n = 3 << 20;
    char *big = mem_zalloc(ctx, n);
    memset(big, 'x', n);
    r = rig_do(sb, (struct sandbox_command){.shell = "wc -c", .input = str_n(big, n)});
    ck_assert_msg(str_eqz(str_trim(r.out), "3145728"), "%.*s", STR_FMT(r.out));
    rig_says(sb, "wc -c", "0\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(not_started_is_told)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    const char *argv[] = {"no-such-program", NULL};
    struct sandbox_result r = rig_do(sb, (struct sandbox_command){.argv = argv});
    ck_assert(r.could_not_start && r.exit_code == 127);
    ck_assert_msg(memmem(r.err.p, r.err.n, "no-such-program", 15) != NULL, "%.*s", STR_FMT(r.err));
    r = rig_do(sb, (struct sandbox_command){.shell = "true", .cwd = "/workspace/missing"});
    ck_assert(r.could_not_start);
    r = rig_shell(sb, "no-such-program");
    ck_assert(!r.could_not_start && r.exit_code == 127);
    rig_says(sb, "echo still here", "still here\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(long_output_is_cut_in_the_middle)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    int out = open(rig_path("out"), O_RDWR | O_CREAT | O_EXCL, 0600);
    struct sandbox_result r = rig_do(
        sb,
        (struct sandbox_command){.shell = "seq 1 100000; echo end", .keep = 1000, .out_fd = out, .out_max = 300000});
    ck_assert_int_eq(r.exit_code, 0);
    ck_assert_int_eq(r.out_bytes, 588899);
    ck_assert(str_starts(r.out, STR("1\n2\n3\n")) && str_ends(r.out, STR("99999\n100000\nend\n")));
    ck_assert_msg(memmem(r.out.p, r.out.n, "[... 587899 bytes left out ...]", 31) != NULL, "%.*s", STR_FMT(r.out));
    ck_assert(r.out.n < 1100);
    ck_assert_msg(r.flooded, "more than out_max is told");
    ck_assert_int_eq(lseek(out, 0, SEEK_END), 300000);
    /* No mark when all fits; characters are not torn at the cut. */
    r = rig_do(sb, (struct sandbox_command){.shell = "printf 12345678", .keep = 8});
    ck_assert(str_eqz(r.out, "12345678"));
    r = rig_do(sb, (struct sandbox_command){.shell = "printf '\\303\\244\\303\\244\\303\\244\\303\\244\\303\\244'",
                                            .keep = 6});
    ck_assert_msg(str_utf8(r.out) && str_starts(r.out, STR("\303\244\n[... 6 bytes")), "%.*s", STR_FMT(r.out));
    r = rig_do(sb, (struct sandbox_command){.shell = "printf 1234", .keep = 1});
    ck_assert_msg(str_starts(r.out, STR("1\n[... 3 bytes")), "%.*s", STR_FMT(r.out));
    close(out);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

/* Write errors of the file are the caller's business, not the command's. */
START_TEST(full_disk_is_told)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    int full = open("/dev/full", O_WRONLY);
    struct sandbox_command cmd = {
        .shell = "while :; do echo x; done", .timeout_ms = RUN_MS, .cancel_fd = -1, .keep = 100, .out_fd = full};
    struct sandbox_result r;
    ck_assert_int_eq(sandbox_run(ctx, sb, &cmd, &r, &err), RC_LIMIT);
    close(full);
    rig_says(sb, "echo on", "on\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(background_keeps_running_until_close)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    const char *word = rig_word();
    /* The first keeps the pipe open, the second has left session and parent. */
    struct sandbox_result r =
        rig_shell(sb, mem_printf(ctx,
                                 "sleep 3%s & (setsid setsid sleep 4%s </dev/null >/dev/null 2>&1 &); "
                                 "while ! pgrep -f 'sleep 4' >/dev/null; do :; done; echo done",
                                 word, word));
    ck_assert(r.exit_code == 0 && str_eqz(r.out, "done\n"));
    ck_assert_int_ge(rig_processes(word), 2);
    rig_says(sb, "echo next", "next\n");
    ck_assert_int_ge(rig_processes(word), 2);
    int left = 0;
    sandbox_close(sb, &left);
    ck_assert_int_eq(left, 2);
    ck_assert_int_eq(rig_processes(word), 0);
    rig_end();
}
END_TEST

START_TEST(quiet_ends_what_runs)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    const char *word = rig_word();
    /* Also what ignores signals, has left session and parent, and what keeps making more of its kind. */
    struct sandbox_result r =
        rig_shell(sb, mem_printf(ctx,
                                 "(trap '' TERM HUP; setsid setsid sleep 4%s </dev/null >/dev/null 2>&1 &); "
                                 "(while :; do sh -c 'sleep 0.01%s' & sleep 0.02; done </dev/null >/dev/null 2>&1 &); "
                                 "while ! pgrep -f 'sleep 4' >/dev/null; do :; done; echo done",
                                 word, word));
    ck_assert(r.exit_code == 0 && str_eqz(r.out, "done\n"));
    ck_assert(rig_becomes(word, 2));
    ck_assert_msg(sandbox_quiet(sb, &err) == RC_OK, "%s", err.sentence);
    ck_assert_int_eq(rig_processes(word), 0);
    ck_assert_int_eq(sandbox_quiet(sb, &err), RC_OK);
    rig_says(sb, "echo next", "next\n"); /* the sandbox itself lives on */
    int left = -1;
    sandbox_close(sb, &left);
    ck_assert_int_eq(left, 0);
    rig_end();
}
END_TEST

START_TEST(timeout_and_cancel)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    struct sandbox_result r =
        rig_do(sb, (struct sandbox_command){.shell = "echo before; sleep 1000", .timeout_ms = 300});
    ck_assert(r.timed_out && r.signal == SIGTERM && str_eqz(r.out, "before\n"));
    /* Deaf to TERM, and so are its children. */
    r = rig_do(sb, (struct sandbox_command){.shell = "trap '' TERM; sleep 1000; sleep 1000", .timeout_ms = 300});
    ck_assert(r.timed_out && r.signal == SIGKILL);
    /* Stopped processes end too. */
    r = rig_do(sb, (struct sandbox_command){.shell = "kill -STOP $$; sleep 1000", .timeout_ms = 300});
    ck_assert(r.timed_out && r.signal != 0);
    int p[2];
    ck_assert_int_eq(pipe(p), 0);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    struct sandbox_command cmd = {
        .shell = "sleep 1000", .timeout_ms = -1, .cancel_fd = p[0], .keep = 100, .out_fd = -1};
    ck_assert_int_eq(sandbox_run(ctx, sb, &cmd, &r, &err), RC_CANCELLED);
    ck_assert_int_eq(r.signal, SIGTERM);
    close(p[0]);
    close(p[1]);
    rig_says(sb, "echo next", "next\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(mounts_as_asked)
{
    if (!rig_begin(_i))
        return;
    /* The sources' folder is closed to everybody else, as a home often is. */
    mkdir(rig_path("home"), 0700);
    mkdir(rig_path("home/tree"), 0755);
    mkdir(rig_path("home/tree/.git"), 0755);
    rig_text(rig_path("home/tree/.git/config"), "config\n");
    rig_text(rig_path("home/file"), "file\n");
    ck_assert_int_eq(sandbox_give(rig_path("home/tree"), SANDBOX_AGENT, &err), RC_OK);
    struct sandbox_mount mounts[] = {{rig_path("home/tree"), "/workspace", true},
                                     {rig_path("home/tree/.git"), "/workspace/.git", false},
                                     {rig_path("home/file"), "/opt/x/file", false}};
    struct sandbox_spec spec = {.mounts = mounts, .mount_count = 3, .cwd = "/workspace"};
    struct sandbox *sb = rig_open_spec(&spec);
    rig_says(sb, "cat .git/config /opt/x/file; echo new > new; cat new", "config\nfile\nnew\n");
    rig_refuses(sb, "echo x > .git/config");
    rig_refuses(sb, "rm -f .git/config");
    rig_refuses(sb, "mv .git moved");
    rig_refuses(sb, "touch .git/new");
    rig_refuses(sb, "echo x > /opt/x/file");
    rig_refuses(sb, "touch /opt/y");
    sandbox_close(sb, NULL);
    /* What ran there put a link in the way: a mount must not be led elsewhere. */
    sb = rig_open_spec(&spec);
    rig_says(sb, "mkdir deep && ln -s /tmp deep/link && ln -s ../deep sub && echo ok", "ok\n");
    sandbox_close(sb, NULL);
    const char *const led[] = {"/workspace/deep/link", "/workspace/deep/link/x", "/workspace//sub/y"};
    for (size_t i = 0; i < 3; i++) {
        mounts[2].target = led[i];
        enum rc denied = sandbox_open(ctx, &spec, START_MS, &sb, &err);
        ck_assert_msg(denied == RC_DENIED && strstr(err.sentence, led[i]), "%s: %s", led[i], err.sentence);
    }
    mounts[2].source = rig_path("missing");
    enum rc rc = sandbox_open(ctx, &spec, START_MS, &sb, &err);
    ck_assert_msg(rc != RC_OK && strstr(err.sentence, "could not be started") &&
                      (strstr(err.sentence, "missing") || strstr(err.detail, "missing")),
                  "%s | %s", err.sentence, err.detail);
    mounts[2] = (struct sandbox_mount){rig_path("home/file"), "/opt/../etc/passwd", false};
    ck_assert_int_eq(sandbox_open(ctx, &spec, START_MS, &sb, &err), RC_INVALID);
    mounts[2].target = "relative";
    ck_assert_int_eq(sandbox_open(ctx, &spec, START_MS, &sb, &err), RC_INVALID);
    rig_end();
}
END_TEST

START_TEST(probe_has_words)
{
    if (!rig_begin(_i))
        return;
    const struct sandbox_probe *p = sandbox_probe();
    ck_assert(p->works && p->rung_words[0] && p->bwrap_version[0] && p->limits_words[0]);
    ck_assert(p == sandbox_probe());
    ck_assert((p->next_rung[0] == '\0') == (p->rung == RUNG_REAL_UID));
    uid_t agent, verifier;
    gid_t gid;
    sandbox_owner(SANDBOX_AGENT, &agent, &gid);
    sandbox_owner(SANDBOX_VERIFIER, &verifier, &gid);
    ck_assert((agent != verifier) == (p->rung > RUNG_NAMESPACE_UID));
    rig_end();
}
END_TEST

/* ---- without protection ---- */

/* Only what came from here ends; the machine around it goes on. */
START_TEST(plain_quiet)
{
    if (!rig_begin(_i))
        return;
    pid_t bystander = fork();
    if (bystander == 0) {
        pause();
        _exit(0);
    }
    struct sandbox *sb = rig_open_plain();
    const char *word = rig_word();
    rig_shell(sb, mem_printf(ctx, "setsid setsid sleep 4%s </dev/null >/dev/null 2>&1 & sleep 0.1", word));
    ck_assert_msg(sandbox_quiet(sb, &err) == RC_OK, "%s", err.sentence);
    ck_assert_int_eq(rig_processes(word), 0);
    ck_assert_int_eq(kill(bystander, 0), 0);
    ck_assert_int_eq(waitpid(bystander, NULL, WNOHANG), 0);
    kill(bystander, SIGKILL);
    waitpid(bystander, NULL, 0);
    rig_says(sb, "echo next", "next\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(plain_runs_in_the_first_writable_mount)
{
    if (!rig_begin(_i))
        return;
    mkdir(rig_path("work/sub"), 0755);
    struct sandbox *sb = rig_open_plain();
    rig_says(sb, "pwd", mem_printf(ctx, "%s/work\n", rig_dir));
    struct sandbox_result r = rig_do(sb, (struct sandbox_command){.shell = "pwd", .cwd = "/workspace/sub"});
    ck_assert_msg(str_eqz(r.out, mem_printf(ctx, "%s/work/sub\n", rig_dir)), "%.*s", STR_FMT(r.out));
    rig_says(sb, "touch $HOME/x $TMPDIR/y x && echo ok", "ok\n");
    r = rig_do(sb, (struct sandbox_command){.shell = "echo $TMPDIR"});
    char *tmp = str_dup(ctx, str_trim(r.out));
    struct sandbox_result hung = rig_do(sb, (struct sandbox_command){.shell = "sleep 1000", .timeout_ms = 200});
    ck_assert(hung.timed_out);
    sandbox_close(sb, NULL);
    ck_assert_int_lt(access(tmp, F_OK), 0);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("run");
    TCase *t = tcase_create("run");
    tcase_set_timeout(t, 100);
    RIG(t, says_how_it_ended);
    RIG(t, user_and_folder);
    RIG(t, words_are_bytes);
    RIG(t, not_started_is_told);
    RIG(t, long_output_is_cut_in_the_middle);
    RIG(t, full_disk_is_told);
    RIG(t, background_keeps_running_until_close);
    RIG(t, quiet_ends_what_runs);
    RIG(t, timeout_and_cancel);
    RIG(t, mounts_as_asked);
    RIG(t, probe_has_words);
    RIG(t, plain_runs_in_the_first_writable_mount);
    RIG(t, plain_quiet);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
