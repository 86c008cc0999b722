/* Contract: a sandbox ends when it is closed, when its start takes too long, when its opener is killed at any moment,
 * and then leaves no process, control group, mount or descriptor behind. */
#include "rig.h"

/* Mounts that are ours: of the launcher's memory, or of something in this test's folder. */
static int mounts_left(void)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    int n = 0;
    while (fgets(line, sizeof line, f))
        n += strstr(line, " nightmill ") != NULL || strstr(line, rig_dir) != NULL;
    fclose(f);
    return n;
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Groups of this very process. */
static int groups_left(void)
{
    FILE *f =
        popen(mem_printf(ctx, "find /sys/fs/cgroup -name 'nightmill-*-%d-*' 2>/dev/null | wc -l", (int)getpid()), "re");
    int n = -1;
    ck_assert(fscanf(f, "%d", &n) == 1);
    pclose(f);
    return n;
}

START_TEST(twenty_leave_nothing)
{
    if (!rig_begin(_i))
        return;
    sandbox_close(rig_open(SANDBOX_AGENT), NULL); /* what is cached, is cached */
    int mounts = mounts_left();                   /* the rig's own, if any */
    int fds = open_fds();
    const char *word = rig_word();
    for (int i = 0; i < 20; i++) {
        struct sandbox *sb = rig_open(i % 2 ? SANDBOX_AGENT : SANDBOX_VERIFIER);
        rig_shell(sb, mem_printf(ctx, "(setsid sleep 5%s &) >/dev/null 2>&1; true", word));
        pid_t outer = sandbox_pid(sb);
        sandbox_close(sb, NULL);
        ck_assert_msg(kill(outer, 0) < 0 && errno == ESRCH, "bubblewrap is left");
    }
    ck_assert_int_eq(rig_processes(word), 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_int_eq(mounts_left(), mounts);
    ck_assert_int_eq(open_fds(), fds);
    ck_assert_int_eq(groups_left(), 0);
    rig_end();
}
END_TEST

/* A program that never says that it is ready, in place of ours. */
START_TEST(start_has_a_deadline)
{
    if (!rig_begin(_i))
        return;
    const char *word = rig_word();
    rig_text(rig_path("hang"), mem_printf(ctx, "#!/bin/sh\nexec sleep 6%s\n", word));
    chmod(rig_path("hang"), 0755);
    setenv("NIGHTMILL_INIT", rig_path("hang"), 1);
    struct sandbox_spec spec = {.cwd = "/"};
    struct sandbox *sb = NULL;
    ck_assert_int_eq(sandbox_open(ctx, &spec, 700, &sb, &err), RC_TIMEOUT);
    ck_assert_int_eq(rig_processes(word), 0);
    /* One that ends at once is not waited for. */
    rig_text(rig_path("gone"), "#!/bin/sh\necho the reason >&2; exit 1\n");
    chmod(rig_path("gone"), 0755);
    setenv("NIGHTMILL_INIT", rig_path("gone"), 1);
    ck_assert_int_eq(sandbox_open(ctx, &spec, 1000000, &sb, &err), RC_UNAVAILABLE);
    ck_assert_msg(strstr(err.detail, "the reason"), "%s | %s", err.sentence, err.detail);
    ck_assert_int_eq(groups_left(), 0);
    rig_end();
}
END_TEST

/* The opener as a process of its own: says by a byte that its command runs, then waits to be killed. */
static pid_t opener_start(const char *line, bool without, int *ret_ready)
{
    int p[2];
    ck_assert_int_eq(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true}};
        struct sandbox_spec spec = {.mounts = mounts, .mount_count = 1, .cwd = "/workspace", .without = without};
        struct sandbox *sb;
        if (sandbox_open(ctx, &spec, START_MS, &sb, &err) != RC_OK || write(p[1], "x", 1) != 1)
            _exit(1);
        struct sandbox_command cmd = {.shell = line, .timeout_ms = -1, .cancel_fd = -1, .out_fd = -1};
        struct sandbox_result r;
        (void)!sandbox_run(ctx, sb, &cmd, &r, &err);
        _exit(0);
    }
    close(p[1]);
    *ret_ready = p[0];
    return pid;
}

static void opener_killed(bool without)
{
    const char *word = rig_word();
    char byte;
    int ready;
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    pid_t opener = opener_start(
        mem_printf(ctx, "(setsid setsid sleep 7%s </dev/null >/dev/null 2>&1 &); trap '' TERM HUP; sleep 8%s; true",
                   word, word),
        without, &ready);
    ck_assert_int_eq(read(ready, &byte, 1), 1);
    ck_assert(rig_becomes(mem_printf(ctx, "7%s", word), 1) && rig_becomes(mem_printf(ctx, "8%s", word), 1));
    kill(opener, SIGKILL);
    waitpid(opener, NULL, 0);
    ck_assert_msg(rig_becomes(word, 0), "%d processes outlive the opener", rig_processes(word));
    close(ready);
}

START_TEST(nothing_outlives_the_opener)
{
    if (!rig_begin(_i))
        return;
    opener_killed(false);
    rig_end();
}
END_TEST

/* Ended in the middle of starting: at many moments, since every stage has to arm itself. */
START_TEST(nothing_outlives_an_opener_that_was_starting)
{
    if (!rig_begin(_i))
        return;
    for (int ms = 0; ms < 60; ms += 4) {
        /* A number in the arguments of bubblewrap and init that nobody else has. */
        int64_t number = (int64_t)getpid() << 20 | (int64_t)(clock_mono_ns() & 0xfffff);
        const char *word = mem_printf(ctx, "%lld", (long long)number);
        pid_t opener = fork();
        if (opener == 0) {
            struct sandbox_spec spec = {.limits = {.file_bytes = number}};
            struct sandbox *sb;
            (void)!sandbox_open(ctx, &spec, START_MS, &sb, &err);
            pause();
        }
        usleep((useconds_t)ms * 1000);
        kill(opener, SIGKILL);
        waitpid(opener, NULL, 0);
        usleep(50000); /* what would be left has come to where it would hang by then */
        ck_assert_msg(rig_becomes(word, 0), "after %d ms something is left", ms);
    }
    rig_end();
}
END_TEST

START_TEST(killed_sandbox_is_noticed)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    pid_t killer = fork();
    if (killer == 0) {
        usleep(300000);
        kill(sandbox_pid(sb), SIGKILL);
        _exit(0);
    }
    struct sandbox_command cmd = {.shell = "sleep 1000", .timeout_ms = -1, .cancel_fd = -1, .out_fd = -1};
    struct sandbox_result r;
    ck_assert_int_eq(sandbox_run(ctx, sb, &cmd, &r, &err), RC_UNAVAILABLE);
    waitpid(killer, NULL, 0);
    ck_assert(!sandbox_alive(sb));
    ck_assert_int_eq(sandbox_run(ctx, sb, &cmd, &r, &err), RC_UNAVAILABLE);
    sandbox_close(sb, NULL);
    int left = -1;
    ck_assert_ptr_null(sandbox_close(NULL, &left));
    ck_assert_int_eq(left, 0);
    rig_end();
}
END_TEST

START_TEST(plain_leaves_nothing)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open_plain();
    const char *word = rig_word();
    rig_shell(sb, mem_printf(ctx,
                             "(setsid setsid sleep 1%s </dev/null >/dev/null 2>&1 &); (sleep 2%s; true) & "
                             "while ! pgrep -f 'sleep 1%s' >/dev/null; do :; done",
                             word, word, word));
    ck_assert_int_ge(rig_processes(word), 2);
    int left = 0;
    sandbox_close(sb, &left);
    ck_assert_int_ge(left, 2);
    ck_assert_int_eq(rig_processes(word), 0);
    ck_assert_int_eq(groups_left(), 0);
    opener_killed(true);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("sandbox_end");
    TCase *t = tcase_create("sandbox_end");
    tcase_set_timeout(t, 100);
    RIG_ALL(t, twenty_leave_nothing);
    RIG_ALL(t, start_has_a_deadline);
    RIG_ALL(t, nothing_outlives_the_opener);
    RIG_ALL(t, nothing_outlives_an_opener_that_was_starting);
    RIG_ALL(t, killed_sandbox_is_noticed);
    RIG(t, plain_leaves_nothing);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
