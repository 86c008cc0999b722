/* Starting programs and waiting for them.
 *
 * A child must not inherit anything by accident: descriptors, signals and environment are exactly what the caller
 * names. Everything that can fail or allocate is done before fork(2); between fork and exec only async-signal-safe
 * calls are made, and a failure there travels back through a close-on-exec pipe, so that a start that failed is an
 * error of proc_start and never a child that ends with 127. Not here: terminals, sandboxes, restarting. */
#include "os/proc.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROC_FDS = (int)(sizeof(((struct proc_spec *)0)->fds) / sizeof(int)),
    TERM_GRACE_MS = 2000, /* between TERM and KILL */
    DRAIN_GRACE_MS = 200, /* a grandchild may hold our pipes open for ever: after the child's end we wait this long */
    COPY_CHUNK = 64 * 1024,
};

/* What the child could not do. */
enum start_step { STEP_FDS, STEP_SESSION, STEP_CWD, STEP_BEFORE_EXEC, STEP_EXEC };
static const char *const step_words[] = {
    [STEP_FDS] = "arrange the descriptors of",
    [STEP_SESSION] = "make a session for",
    [STEP_CWD] = "enter the working folder of",
    [STEP_BEFORE_EXEC] = "prepare the start of",
    [STEP_EXEC] = "run",
};
struct start_failure {
    int step;
    int errnum;
};

static const char *env_find(const char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

/* The file to execute. Relative entries of PATH are skipped: they would mean a folder that strangers may fill. */
static enum rc program_find(mem *ctx, const struct proc_spec *spec, const char **ret, struct err *err)
{
    const char *name = spec->argv[0];
    if (strchr(name, '/')) {
        *ret = name;
        return RC_OK;
    }
    const char *path = env_find(spec->env, "PATH");
    struct str rest = str_of(path ? path : "/usr/local/bin:/usr/bin:/bin"), dir;
    while (name[0] && str_next(&rest, ':', &dir)) {
        if (dir.n == 0 || dir.p[0] != '/')
            continue;
        char *file = mem_printf(ctx, "%.*s/%s", STR_FMT(dir), name);
        struct stat st;
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0) {
            *ret = file;
            return RC_OK;
        }
        mem_free(file);
    }
    err_set(err, RC_NOT_FOUND, "The program %s was not found", name);
    err_detail(err, "Looked in %s", path ? path : "the standard folders");
    return RC_NOT_FOUND;
}

static void fds_close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
        return;
    struct rlimit lim;
    int end = getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 65536 ? (int)lim.rlim_cur : 65536;
    for (int fd = first; fd < end; fd++)
        close(fd);
}

/* Puts our descriptors at the child's numbers. Sources and targets may overlap, so all sources first move above every
 * target. The failure pipe ends up right above the last target; returns its new number, or -1. */
static int fds_arrange(const struct proc_spec *spec, int failure_fd)
{
    int count = spec->fd_count < 3 ? 3 : spec->fd_count;
    int moved[PROC_FDS];
    int pipe_at = fcntl(failure_fd, F_DUPFD_CLOEXEC, count + 1);
    if (pipe_at < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        int from = i < spec->fd_count ? spec->fds[i] : -1;
        moved[i] = -1;
        if (from < 0 && i < 3) {
            int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
            moved[i] = null_fd < 0 ? -1 : fcntl(null_fd, F_DUPFD_CLOEXEC, count + 1);
        } else if (from >= 0) {
            moved[i] = fcntl(from, F_DUPFD_CLOEXEC, count + 1);
        } else {
            continue;
        }
        if (moved[i] < 0)
            return -1;
    }
    for (int i = 0; i < count; i++) {
        if (moved[i] < 0)
            close(i);
        else if (dup2(moved[i], i) < 0)
            return -1;
    }
    if (dup3(pipe_at, count, O_CLOEXEC) < 0)
        return -1;
    fds_close_from(count + 1);
    return count;
}

static void signals_default(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &sa, NULL); /* fails for KILL, STOP and those of libc: fine */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whether the process that started us is gone: then nobody holds the other end of the failure pipe. getppid() would not
 * do, since it is 0 for the first process of a pid namespace. */
static bool parent_gone(int failure_fd)
{
    struct pollfd p = {.fd = failure_fd};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/* The child's part, async-signal-safe. */
static _Noreturn void child_main(const struct proc_spec *spec, const char *program, int failure_fd)
{
    static char *const no_env[] = {NULL};
    struct start_failure f = {.step = STEP_FDS};
    int fd = fds_arrange(spec, failure_fd);
    if (fd < 0) {
        fd = failure_fd;
        goto fail;
    }
    f.step = STEP_SESSION;
    if (spec->new_session && setsid() < 0)
        goto fail;
    f.step = STEP_CWD;
    if (spec->cwd && chdir(spec->cwd) < 0)
        goto fail;
    f.step = STEP_BEFORE_EXEC;
    errno = 0;
    signals_default();
    if (spec->before_exec && spec->before_exec(spec->arg) != 0)
        goto fail;
    /* After before_exec, because a change of uid clears it. */
    if (spec->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            goto fail;
        if (parent_gone(fd))
            _exit(127);
    }
    f.step = STEP_EXEC;
    execve(program, (char *const *)spec->argv, spec->env ? (char *const *)spec->env : no_env);
fail:
    f.errnum = errno;
    ssize_t n;
    do {
        n = write(fd, &f, sizeof f);
    } while (n < 0 && errno == EINTR);
    _exit(127);
}

/* Waits until exec has closed the pipe or a failure has come through it. */
static bool start_failed(int fd, struct start_failure *ret)
{
    ssize_t n;
    do {
        n = read(fd, ret, sizeof *ret);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret;
}

static int child_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* When nothing of the caller's is to run in the child, it borrows our memory until exec (this thread alone waits),
 * which is quick however large the process is: child_main() changes nothing that we look at afterwards. (A function of
 * its own, so that no variable lives in a register across vfork.) */
static __attribute__((noinline)) pid_t child_make(const struct proc_spec *spec, const char *program, int failure_in,
                                                  int failure_out)
{
    pid_t pid = spec->before_exec ? fork() : vfork();
    if (pid == 0) {
        close(failure_in); /* else parent_gone() would see our own copy */
        child_main(spec, program, failure_out);
    }
    return pid;
}

enum rc proc_start(const struct proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
    BUG_ON(!spec->argv || !spec->argv[0] || spec->fd_count < 0 || spec->fd_count > PROC_FDS);
    CLEANUP_MEM mem *tmp = mem_root();
    const char *program;
    enum rc rc = program_find(tmp, spec, &program, err);
    if (rc != RC_OK)
        return rc;
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not start %s", spec->argv[0]);
    CLEANUP_FD int failure_in = pipe_fds[0];
    CLEANUP_FD int failure_out = pipe_fds[1];

    /* No handler of ours may run in the child between fork and signals_default(). */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = child_make(spec, program, failure_in, failure_out);
    int fork_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return err_sys(err, fork_errno, "Could not start %s", spec->argv[0]);

    close(fd_take(&failure_out));
    struct start_failure f = {0};
    if (start_failed(failure_in, &f)) {
        child_wait(pid);
        int step = f.step >= 0 && f.step <= STEP_EXEC ? f.step : STEP_EXEC;
        return err_sys(err, f.errnum ? f.errnum : EPERM, "Could not %s %s", step_words[step], spec->argv[0]);
    }
    if (ret_pidfd) {
        *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
        if (*ret_pidfd < 0) {
            rc = err_sys(err, errno, "Could not watch %s", spec->argv[0]);
            kill(pid, SIGKILL);
            child_wait(pid);
            return rc;
        }
    }
    *ret_pid = pid;
    return RC_OK;
}

/* One run in progress. */
struct run {
    const struct proc_spec *spec;
    pid_t pid;
    int pidfd, in_fd, out_fd, err_fd; /* -1: closed */
    struct str input;
    struct buf out, err;
    int64_t deadline_ms; /* INT64_MAX: none */
    int64_t kill_ms;     /* when TERM becomes KILL */
    int64_t drain_ms;    /* when reading stops after the child's end */
    bool ending, killed, ended;
    struct proc_result *ret;
};

/* To the whole group when the child leads one. Safe while the child has not been waited for: its number is not reused.
 */
static void run_signal(const struct run *r, int sig)
{
    kill(r->spec->new_session ? -r->pid : r->pid, sig);
}

static void run_end(struct run *r, int64_t now)
{
    if (r->ending || r->ended)
        return;
    r->ending = true;
    r->kill_ms = now + TERM_GRACE_MS;
    run_signal(r, SIGTERM);
}

static void run_feed(struct run *r)
{
    size_t n = r->input.n < COPY_CHUNK ? r->input.n : COPY_CHUNK;
    ssize_t done = write(r->in_fd, r->input.p, n);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (done > 0)
        r->input = str_sub(r->input, (size_t)done, r->input.n);
    if (done < 0 || r->input.n == 0) /* EPIPE: the child does not want the rest */
        close(fd_take(&r->in_fd));
}

static void run_collect(struct run *r, int *fd, struct buf *into)
{
    char chunk[COPY_CHUNK];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close(fd_take(fd));
        return;
    }
    size_t room = into->max - into->n, fits = (size_t)n < room ? (size_t)n : room;
    buf_add(into, chunk, fits);
    if (fits < (size_t)n)
        r->ret->flooded = true;
}

/* Milliseconds until the next thing that a clock decides, -1 for none. */
static int run_patience(const struct run *r, int64_t now)
{
    int64_t at = r->ended ? r->drain_ms : r->ending ? r->kill_ms : r->deadline_ms;
    if (r->ending && r->killed && !r->ended)
        return -1;
    if (at == INT64_MAX)
        return -1;
    return at <= now ? 0 : at - now > INT_MAX ? INT_MAX : (int)(at - now);
}

static void run_clock(struct run *r, int64_t now)
{
    if (r->ended)
        return;
    if (r->ending && !r->killed && now >= r->kill_ms) {
        r->killed = true;
        run_signal(r, SIGKILL);
    } else if (!r->ending && now >= r->deadline_ms) {
        r->ret->timed_out = true;
        run_end(r, now);
    }
}

static void run_ended(struct run *r, int64_t now)
{
    r->ended = true;
    r->drain_ms = now + DRAIN_GRACE_MS;
    if (r->ending && r->spec->new_session)
        run_signal(r, SIGKILL); /* what the child left behind in its group */
    if (r->in_fd >= 0)
        close(fd_take(&r->in_fd));
}

static void run_loop(struct run *r, int cancel_fd)
{
    for (;;) {
        int64_t now = clock_mono_ms();
        run_clock(r, now);
        if (r->ended && ((r->out_fd < 0 && r->err_fd < 0) || now >= r->drain_ms))
            return;
        struct pollfd p[] = {
            {.fd = r->ended ? -1 : r->pidfd, .events = POLLIN},
            {.fd = r->in_fd, .events = POLLOUT},
            {.fd = r->out_fd, .events = POLLIN},
            {.fd = r->err_fd, .events = POLLIN},
            {.fd = r->ending ? -1 : cancel_fd, .events = POLLIN},
        };
        if (poll(p, sizeof p / sizeof *p, run_patience(r, now)) <= 0)
            continue; /* a signal, or the clock */
        if (p[1].revents)
            run_feed(r);
        if (p[2].revents)
            run_collect(r, &r->out_fd, &r->out);
        if (p[3].revents)
            run_collect(r, &r->err_fd, &r->err);
        now = clock_mono_ms();
        if (p[4].revents) {
            r->ret->cancelled = !r->ended;
            run_end(r, now);
        }
        if (p[0].revents)
            run_ended(r, now);
    }
}

/* Our end of a pipe does not block; the child's does. */
static bool pipe_make(int *ret_ours, int *ret_childs, bool child_reads)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return false;
    *ret_ours = child_reads ? p[1] : p[0];
    *ret_childs = child_reads ? p[0] : p[1];
    return fcntl(*ret_ours, F_SETFL, O_NONBLOCK) == 0;
}

/* Writing to a child that went away must not end us: SIGPIPE is held back, and taken off again if we caused it. */
struct pipe_guard {
    sigset_t before;
    bool was_pending;
};
static void pipe_guard_enter(struct pipe_guard *g)
{
    sigset_t pending, add;
    sigpending(&pending);
    g->was_pending = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&add);
    sigaddset(&add, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &add, &g->before);
}
static void pipe_guard_leave(const struct pipe_guard *g)
{
    sigset_t only;
    struct timespec zero = {0};
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    if (!g->was_pending)
        while (sigtimedwait(&only, NULL, &zero) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &g->before, NULL);
}

static bool fd_wanted(const struct proc_spec *spec, int i)
{
    return i >= spec->fd_count || spec->fds[i] < 0;
}

enum rc proc_run(mem *ctx, struct proc_spec *given, struct str input, size_t max_out, int timeout_ms, int cancel_fd,
                 struct proc_result *ret, struct err *err)
{
    struct proc_spec spec = *given;
    for (int i = spec.fd_count; i < 3; i++)
        spec.fds[i] = -1;
    spec.fd_count = spec.fd_count < 3 ? 3 : spec.fd_count;
    *ret = (struct proc_result){.exit_code = -1};
    struct run r = {.spec = &spec, .pidfd = -1, .in_fd = -1, .out_fd = -1, .err_fd = -1, .input = input, .ret = ret};
    int child_in = -1, child_out = -1, child_err = -1;
    enum rc rc = RC_OK;
    if ((input.n > 0 && fd_wanted(&spec, 0) && !pipe_make(&r.in_fd, &child_in, true)) ||
        (fd_wanted(&spec, 1) && !pipe_make(&r.out_fd, &child_out, false)) ||
        (fd_wanted(&spec, 2) && !pipe_make(&r.err_fd, &child_err, false)))
        rc = err_sys(err, errno, "Could not start %s", spec.argv[0]);
    if (rc == RC_OK) {
        spec.fds[0] = fd_wanted(&spec, 0) ? child_in : spec.fds[0];
        spec.fds[1] = fd_wanted(&spec, 1) ? child_out : spec.fds[1];
        spec.fds[2] = fd_wanted(&spec, 2) ? child_err : spec.fds[2];
        rc = proc_start(&spec, &r.pid, &r.pidfd, err);
    }
    fd_cleanup(&child_in);
    fd_cleanup(&child_out);
    fd_cleanup(&child_err);
    if (rc == RC_OK) {
        buf_init(&r.out, ctx, max_out);
        buf_init(&r.err, ctx, max_out);
        r.deadline_ms = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
        struct pipe_guard guard;
        pipe_guard_enter(&guard);
        run_loop(&r, cancel_fd);
        int status = child_wait(r.pid);
        pipe_guard_leave(&guard);
        ret->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        ret->out = buf_view(&r.out); /* the bytes belong to ctx, so the buffers may go */
        ret->err = buf_view(&r.err);
    }
    fd_cleanup(&r.pidfd);
    fd_cleanup(&r.in_fd);
    fd_cleanup(&r.out_fd);
    fd_cleanup(&r.err_fd);
    return rc;
}

const char *proc_self(mem *ctx)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    BUG_ON(n <= 0);
    return mem_strn(ctx, path, (size_t)n);
}
