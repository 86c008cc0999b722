/* A child gets exactly what its spec names, failures to start are errors, and runs end when they must. */
#include "base/clock.h"
#include "os/proc.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static struct proc_result res;

static void setup(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
}
static void teardown(void)
{
    mem_free(ctx);
}

#define SH(script) ((const char *const[]){"/bin/sh", "-c", (script), NULL})
#define ENV        ((const char *const[]){"PATH=/usr/bin:/bin", NULL})

static void run_sh(const char *script, struct str input, size_t max, int timeout_ms)
{
    struct proc_spec spec = {.argv = SH(script), .env = ENV, .new_session = true};
    ck_assert_msg(proc_run(ctx, &spec, input, max, timeout_ms, -1, &res, &err) == RC_OK, "%s", err.sentence);
}

START_TEST(output_and_status)
{
    run_sh("cat; echo problem >&2; exit 3", STR("hello\n"), 100, -1);
    ck_assert_int_eq(res.exit_code, 3);
    ck_assert_int_eq(res.signal, 0);
    ck_assert(str_eqz(res.out, "hello\n"));
    ck_assert(str_eqz(res.err, "problem\n"));
    ck_assert(!res.flooded && !res.timed_out && !res.cancelled);
}
END_TEST

START_TEST(signal_is_told)
{
    run_sh("kill -SEGV $$", STR(""), 100, -1);
    ck_assert_int_eq(res.exit_code, -1);
    ck_assert_int_eq(res.signal, SIGSEGV);
}
END_TEST

START_TEST(environment_is_from_nothing)
{
    setenv("GIT_DIR", "/nowhere", 1);
    struct proc_spec spec = {.argv = (const char *const[]){"env", NULL},
                             .env = (const char *const[]){"PATH=/usr/bin:/bin", "A=b", NULL}};
    ck_assert_int_eq(proc_run(ctx, &spec, STR(""), 1000, -1, -1, &res, &err), RC_OK);
    ck_assert(str_eqz(res.out, "PATH=/usr/bin:/bin\nA=b\n"));
    spec = (struct proc_spec){.argv = (const char *const[]){"/usr/bin/env", NULL}};
    ck_assert_int_eq(proc_run(ctx, &spec, STR(""), 1000, -1, -1, &res, &err), RC_OK);
    ck_assert_uint_eq(res.out.n, 0);
}
END_TEST

START_TEST(descriptors_are_exact)
{
    /* Inherited by accident: one without close-on-exec. */
    int leak = open("/dev/zero", O_RDONLY);
    ck_assert_int_ge(leak, 0);
    run_sh("ls /proc/self/fd | grep -v '^3$' | tr '\\n' ' '", STR(""), 1000, -1); /* 3: of ls itself */
    ck_assert(str_eqz(res.out, "0 1 2 "));
    close(leak);
}
END_TEST

START_TEST(descriptors_may_overlap)
{
    /* Sources whose numbers are targets of others: each must arrive where it was named. */
    char text[2][16] = {{0}};
    int p[2][2];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pipe(p[i]), 0);
        for (int j = 0; j < 2; j++) { /* out of the way of the numbers 13 and 14 */
            int high = fcntl(p[i][j], F_DUPFD, 30);
            close(p[i][j]);
            p[i][j] = high;
        }
    }
    ck_assert_int_eq(dup2(p[0][1], 14), 14);
    ck_assert_int_eq(dup2(p[1][1], 13), 13);
    struct proc_spec spec = {.argv = (const char *const[]){"/bin/bash", "-c", "echo three >&13; echo four >&14", NULL},
                             .env = ENV,
                             .fd_count = 15};
    for (int i = 0; i < 15; i++)
        spec.fds[i] = -1;
    spec.fds[13] = 14;
    spec.fds[14] = 13;
    ck_assert_int_eq(proc_run(ctx, &spec, STR(""), 1000, -1, -1, &res, &err), RC_OK);
    ck_assert_int_gt(read(p[0][0], text[0], 15), 0);
    ck_assert_int_gt(read(p[1][0], text[1], 15), 0);
    ck_assert_str_eq(text[0], "three\n");
    ck_assert_str_eq(text[1], "four\n");
}
END_TEST

START_TEST(signals_are_default)
{
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    run_sh("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t'", STR(""), 1000, -1);
    ck_assert(str_eqz(res.out, "SigBlk:0000000000000000SigIgn:0000000000000000"));
}
END_TEST

START_TEST(failed_exec_is_an_error)
{
    pid_t pid = 0;
    struct proc_spec spec = {.argv = (const char *const[]){"/nowhere/program", NULL}};
    ck_assert_int_eq(proc_start(&spec, &pid, NULL, &err), RC_NOT_FOUND);
    spec.argv = (const char *const[]){"nightmill-no-such-program", NULL};
    spec.env = ENV;
    ck_assert_int_eq(proc_start(&spec, &pid, NULL, &err), RC_NOT_FOUND);
    spec.argv = (const char *const[]){"/etc/passwd", NULL};
    ck_assert_int_eq(proc_start(&spec, &pid, NULL, &err), RC_DENIED);
    spec.argv = SH("exit 0");
    spec.cwd = "/nowhere";
    ck_assert_int_eq(proc_start(&spec, &pid, NULL, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.sentence, "working folder"));
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left behind */
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static int refuse(void *arg)
{
    errno = *(int *)arg;
    return 1;
}
START_TEST(before_exec_can_refuse)
{
    int why = ENOSPC;
    pid_t pid;
    struct proc_spec spec = {.argv = SH("exit 0"), .before_exec = refuse, .arg = &why};
    ck_assert_int_eq(proc_start(&spec, &pid, NULL, &err), RC_LIMIT);
}
END_TEST

START_TEST(relative_path_entries_are_not_searched)
{
    char dir[] = "/tmp/test_proc.XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    char *program = mem_printf(ctx, "%s/planted", dir);
    int fd = open(program, O_WRONLY | O_CREAT, 0755);
    ck_assert_int_eq(write(fd, "#!/bin/sh\n", 10), 10);
    close(fd);
    ck_assert_int_eq(chdir(dir), 0);
    struct proc_spec spec = {.argv = (const char *const[]){"planted", NULL},
                             .env = (const char *const[]){"PATH=.::/usr/bin", NULL}};
    pid_t pid;
    ck_assert_int_eq(proc_start(&spec, &pid, NULL, &err), RC_NOT_FOUND);
    unlink(program);
    rmdir(dir);
}
END_TEST

START_TEST(flood_is_cut)
{
    run_sh("head -c 3000000 /dev/zero", STR(""), 1000, -1);
    ck_assert(res.flooded);
    ck_assert_uint_eq(res.out.n, 1000);
    ck_assert_int_eq(res.exit_code, 0); /* the child went on */
}
END_TEST

START_TEST(large_input_and_output_do_not_lock)
{
    char *big = mem_zalloc(ctx, 5000000);
    run_sh("cat", str_n(big, 5000000), 6000000, -1);
    ck_assert_uint_eq(res.out.n, 5000000);
}
END_TEST

START_TEST(input_that_nobody_reads)
{
    char *big = mem_zalloc(ctx, 5000000);
    run_sh("exec <&-; echo gone", str_n(big, 5000000), 100, -1);
    ck_assert(str_eqz(res.out, "gone\n"));
    sigset_t pending;
    sigpending(&pending);
    ck_assert_int_eq(sigismember(&pending, SIGPIPE), 0);
}
END_TEST

START_TEST(timeout_ends_the_group)
{
    run_sh("sleep 100 & echo $!; wait", STR(""), 100, 200);
    ck_assert(res.timed_out);
    int64_t left;
    ck_assert(str_int(str_trim(res.out), 2, 1 << 30, &left));
    for (int i = 0; i < 500 && kill((pid_t)left, 0) == 0; i++)
        usleep(10000);
    ck_assert_int_eq(kill((pid_t)left, 0), -1);
}
END_TEST

START_TEST(timeout_kills_what_ignores_term)
{
    run_sh("trap '' TERM; while :; do sleep 0.05; done", STR(""), 100, 50);
    ck_assert(res.timed_out);
    ck_assert_int_eq(res.signal, SIGKILL);
}
END_TEST

START_TEST(cancel_ends)
{
    int p[2];
    ck_assert_int_eq(pipe(p), 0);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    struct proc_spec spec = {.argv = SH("sleep 100"), .env = ENV, .new_session = true};
    ck_assert_int_eq(proc_run(ctx, &spec, STR(""), 10, -1, p[0], &res, &err), RC_OK);
    ck_assert(res.cancelled && !res.timed_out);
    ck_assert_int_eq(res.signal, SIGTERM);
}
END_TEST

START_TEST(grandchild_with_the_pipe_does_not_hold_us)
{
    run_sh("sleep 60 & echo early $!", STR(""), 100, 30000);
    ck_assert_int_eq(res.exit_code, 0);
    ck_assert(!res.timed_out);
    ck_assert(str_starts(res.out, STR("early ")));
    int64_t left;
    ck_assert(str_int(str_trim(str_sub(res.out, 6, 20)), 2, 1 << 30, &left));
    kill((pid_t)left, SIGKILL);
}
END_TEST

START_TEST(dies_with_parent)
{
    int p[2];
    ck_assert_int_eq(pipe(p), 0);
    pid_t middle = fork();
    if (middle == 0) {
        struct proc_spec spec = {.argv = SH("sleep 100"), .env = ENV, .die_with_parent = true};
        pid_t pid = 0;
        if (proc_start(&spec, &pid, NULL, &err) != RC_OK || write(p[1], &pid, sizeof pid) != sizeof pid)
            _exit(1);
        _exit(0);
    }
    pid_t pid;
    ck_assert_int_eq(read(p[0], &pid, sizeof pid), sizeof pid);
    waitpid(middle, NULL, 0);
    for (int i = 0; i < 500 && kill(pid, 0) == 0; i++)
        usleep(10000);
    ck_assert_int_eq(kill(pid, 0), -1);
}
END_TEST

START_TEST(pidfd_tells_the_end)
{
    struct proc_spec spec = {.argv = SH("exit 0"), .env = ENV};
    pid_t pid;
    int pidfd = -1;
    ck_assert_int_eq(proc_start(&spec, &pid, &pidfd, &err), RC_OK);
    ck_assert(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 20000), 1);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(pidfd);
}
END_TEST

START_TEST(self_is_this_program)
{
    ck_assert_ptr_nonnull(strstr(proc_self(ctx), "test_proc"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proc");
    TCase *t = tcase_create("proc");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, output_and_status);
    tcase_add_test(t, signal_is_told);
    tcase_add_test(t, environment_is_from_nothing);
    tcase_add_test(t, descriptors_are_exact);
    tcase_add_test(t, descriptors_may_overlap);
    tcase_add_test(t, signals_are_default);
    tcase_add_test(t, failed_exec_is_an_error);
    tcase_add_test(t, before_exec_can_refuse);
    tcase_add_test(t, relative_path_entries_are_not_searched);
    tcase_add_test(t, flood_is_cut);
    tcase_add_test(t, large_input_and_output_do_not_lock);
    tcase_add_test(t, input_that_nobody_reads);
    tcase_add_test(t, timeout_ends_the_group);
    tcase_add_test(t, timeout_kills_what_ignores_term);
    tcase_add_test(t, cancel_ends);
    tcase_add_test(t, grandchild_with_the_pipe_does_not_hold_us);
    tcase_add_test(t, dies_with_parent);
    tcase_add_test(t, pidfd_tells_the_end);
    tcase_add_test(t, self_is_this_program);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
