/* Contract: the filter is a program that the kernel takes, refuses what is listed and nothing that ordinary programs
 * need, and can be built with debuggers allowed. What it stops from inside a real sandbox is tested in
 * tests/unit/sandbox/test_escape.c. */
#include "base/mem.h"
#include "os/seccomp.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The leak sanitizer looks at a process through ptrace, which the filter refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static struct err err;

/* Puts this process under the filter. */
static void under(bool debug)
{
    struct seccomp_choice choice = {.debug = debug};
    int fd;
    struct stat st;
    ck_assert_int_eq(seccomp_build(&choice, &fd, &err), RC_OK);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_msg(st.st_size > 0 && st.st_size % (off_t)sizeof(struct sock_filter) == 0, "%ld bytes", (long)st.st_size);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    ck_assert_msg(write(fd, "x", 1) < 0, "the program can be changed");
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    void *program = malloc((size_t)st.st_size);
    ck_assert_int_eq(read(fd, program, (size_t)st.st_size), st.st_size);
    struct sock_fprog f = {(unsigned short)((size_t)st.st_size / sizeof(struct sock_filter)), program};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f), 0);
    free(program);
    close(fd);
}

static void refused(long got, int errnum)
{
    int seen = errno;
    ck_assert_int_eq(got, -1);
    ck_assert_int_eq(seen, errnum);
}

START_TEST(listed_calls_are_refused)
{
    under(false);
    refused(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0), EPERM);
    refused(syscall(SYS_mount, 0, 0, 0, 0, 0), EPERM);
    refused(syscall(SYS_unshare, CLONE_NEWUSER), EPERM);
    refused(syscall(435 /* clone3 */, 0, 0), ENOSYS);
    refused(syscall(425 /* io_uring_setup */, 0, 0), ENOSYS);
    refused(syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT);
    refused(syscall(SYS_personality, 0x0400000), EPERM);
    struct rlimit limit = {10, 10};
    refused(syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, &limit, NULL), EPERM);
}
END_TEST

START_TEST(ordinary_work_goes_on)
{
    under(false);
    int p[2], status, fd = open("/dev/null", O_RDWR);
    ck_assert(pipe(p) == 0 && fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "echo x | cat >/dev/null && exit 7", (char *)NULL);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

START_TEST(debuggers_when_asked)
{
    under(true);
    ck_assert_int_eq(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0), 0);
    refused(syscall(SYS_mount, 0, 0, 0, 0, 0), EPERM);
    refused(syscall(SYS_process_vm_writev, 0, 0, 0, 0, 0, 0), EPERM);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("seccomp");
    TCase *t = tcase_create("seccomp");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, listed_calls_are_refused);
    tcase_add_test(t, ordinary_work_goes_on);
    tcase_add_test(t, debuggers_when_asked);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(suite());
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? 1 : 0;
}
