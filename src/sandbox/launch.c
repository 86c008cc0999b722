/* The launcher: from a fork of the opener to bubblewrap. */
#include "sandbox/launch.h"
#include "os/frame.h"
#include "sandbox/words.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FD_LOG = 2,
    FD_SECCOMP = ROOM_CONTROL_FD + 1,
    FD_IMAGE,
    FD_LIFE,
    FD_FIRST_FREE,
    FD_ASIDE = 64, /* sources are moved above this before they are put in their places */
    FILES_SOFT = 4096,
    FILES_HARD = 65536,
};
/* A folder that every system has. In the launcher's own mount namespace a small memory covers it. */
#define STAGE "/tmp"

/* What is bound, by the path that bubblewrap is to use. */
struct sources {
    const char **paths; /* one for each mount */
    bool *left_out;     /* optional ones without a place */
    size_t n;
    int userns; /* to be entered by bubblewrap; -1: it makes its own */
};

static bool fd_move(int *fd)
{
    *fd = fcntl(*fd, F_DUPFD, FD_ASIDE);
    return *fd >= 0;
}

/* Exactly: nothing, nothing, log, control, filter. Both outputs are closed to what follows, as nobody would read them.
 */
static bool fds_arrange(const struct launch *l)
{
    int log = l->log, control = l->control, seccomp = l->seccomp, image = l->image, life = l->life;
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || !fd_move(&nothing) || !fd_move(&log) || !fd_move(&control) || !fd_move(&seccomp) ||
        !fd_move(&image) || !fd_move(&life))
        return false;
    return dup2(nothing, 0) == 0 && dup2(nothing, 1) == 1 && dup2(log, FD_LOG) == FD_LOG &&
           dup2(control, ROOM_CONTROL_FD) == ROOM_CONTROL_FD && dup2(seccomp, FD_SECCOMP) == FD_SECCOMP &&
           dup2(image, FD_IMAGE) == FD_IMAGE && dup2(life, FD_LIFE) == FD_LIFE &&
           fcntl(FD_LIFE, F_SETFD, FD_CLOEXEC) == 0 && syscall(SYS_close_range, FD_FIRST_FREE, ~0u, 0u) == 0;
}

static void signals_default(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &sa, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The kernel forgets the parent-death signal at a change of user, so this is called again after each. */
static void die_with(pid_t opener)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != opener)
        _exit(127);
}

/* Never raises a hard limit: that fails in containers even for root. */
static void limit_lower(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return;
    now.rlim_max = now.rlim_max < hard ? now.rlim_max : hard;
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    (void)setrlimit((__rlimit_resource_t)resource, &now);
}

/* Bubblewrap's inner process first waits for its outer one, and does not yet end with it: were the outer killed at that
 * moment, the inner would wait for ever. So a small process watches until init is there, and ends the launcher's group
 * when the opener goes or gives up. It is bubblewrap's child, which reaps it. */
static enum rc guard_start(struct err *err)
{
    pid_t group = getpgrp(), pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "Could not start the process that watches the start of a sandbox");
    if (pid > 0)
        return RC_OK;
    char byte;
    ssize_t n;
    setsid(); /* out of the group, and deaf to the terminal */
    if (dup2(FD_LIFE, 0) != 0 || syscall(SYS_close_range, 1, ~0u, 0u) < 0)
        _exit(1);
    do {
        n = read(0, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        kill(-group, SIGKILL);
    _exit(0);
}

/* ---- where the inner user can reach them ---- */

static bool same_type(int source, const struct stat *target)
{
    struct stat st;
    return fstat(source, &st) == 0 && S_ISDIR(st.st_mode) == S_ISDIR(target->st_mode) &&
           (S_ISDIR(st.st_mode) || S_ISREG(target->st_mode));
}

/* Makes the place of a mount below another one, folder by folder, never through a link. Bubblewrap does so itself where
 * the inner user may; with subordinate ids the outer mount belongs to the opener. */
static enum rc point_make(int outer, const char *rest, int source, struct err *err)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    CLEANUP_FD int at = fcntl(outer, F_DUPFD_CLOEXEC, 0);
    struct str left = str_of(rest), name;
    struct stat st;
    int failed = at < 0 || fstat(source, &st) < 0 ? errno : 0;
    while (!failed && str_next(&left, '/', &name)) {
        char part[NAME_MAX + 1];
        if (!name.n)
            continue;
        if (name.n > NAME_MAX)
            return err_sys(err, ENAMETOOLONG, "Could not make a place for a mount");
        memcpy(part, name.p, name.n);
        part[name.n] = '\0';
        bool last = !left.n;
        int made = !last || S_ISDIR(st.st_mode) ? mkdirat(at, part, 0755) : mknodat(at, part, S_IFREG | 0644, 0);
        if (made < 0 && errno != EEXIST)
            failed = errno;
        if (failed || last)
            break;
        int next = (int)syscall(SYS_openat2, at, part, &how, sizeof how);
        if (next < 0)
            failed = errno;
        else
            close(at);
        at = next < 0 ? at : next;
    }
    return failed ? err_sys(err, failed, "Could not make a place for a mount at %s", rest) : RC_OK;
}

/* What ran in a writable mount before may have put a link where a later mount belongs, which would then cover another
 * place and leave its own open. */
static enum rc nested_check(const struct launch *l, const struct sources *s, const int *fds, struct err *err)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    for (size_t i = 0; i < l->spec->mount_count; i++)
        for (size_t k = 0; k < i; k++) {
            const struct sandbox_mount *inner = &l->spec->mounts[i], *outer = &l->spec->mounts[k];
            size_t n = strlen(outer->target);
            if (!outer->writable || strncmp(inner->target, outer->target, n) != 0 || inner->target[n] != '/')
                continue;
            const char *rest = inner->target + n + strspn(inner->target + n, "/");
            CLEANUP_FD int fd = (int)syscall(SYS_openat2, fds[k], *rest ? rest : ".", &how, sizeof how);
            struct stat st;
            int failed = fd < 0 ? errno : 0;
            bool link = fd >= 0 ? fstat(fd, &st) < 0 || S_ISLNK(st.st_mode) : failed == ELOOP;
            if (inner->optional && (fd >= 0 ? link || !same_type(fds[i], &st) : failed != ENOENT)) {
                s->left_out[i] = true;
                continue;
            }
            if (link)
                return err_set(err, RC_DENIED, "A link stands where %s is to be mounted", inner->target);
            if (fd < 0 && failed != ENOENT)
                return err_sys(err, failed, "Could not look at %s, where something is to be mounted", inner->target);
            enum rc rc = fd < 0 && l->rung == RUNG_SUB_UID ? point_make(fds[k], rest, fds[i], err) : RC_OK;
            if (rc != RC_OK)
                return rc;
        }
    return RC_OK;
}

static enum rc sources_open(mem *ctx, const struct launch *l, const struct sources *s, int **ret, struct err *err)
{
    int *fds = mem_array(ctx, int, s->n);
    for (size_t i = 0; i < s->n; i++) {
        fds[i] = open(s->paths[i], O_PATH | O_CLOEXEC);
        if (fds[i] < 0)
            return err_sys(err, errno, "%s cannot be put into the sandbox", s->paths[i]);
    }
    *ret = fds;
    return nested_check(l, s, fds, err);
}

/* Binds every source below a folder of ours, because the inner user may not be able to pass the folders above it (a
 * home of mode 0700). All are opened first: some may lie below STAGE. */
static enum rc stage(const struct launch *l, mem *ctx, struct sources *s, struct err *err)
{
    if (s->n == 0)
        return RC_OK;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(err, errno, "Could not make a mount namespace");
    int *fds;
    enum rc rc = sources_open(ctx, l, s, &fds, err);
    if (rc != RC_OK)
        return rc;
    if (mount("nightmill", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0)
        return err_sys(err, errno, "Could not mount a memory on %s for the sources of the sandbox", STAGE);
    for (size_t i = 0; i < s->n; i++) {
        char from[32];
        snprintf(from, sizeof from, "/proc/self/fd/%d", fds[i]);
        const char *to = mem_printf(ctx, STAGE "/%zu", i);
        struct stat st;
        if (fstat(fds[i], &st) < 0)
            return err_sys(err, errno, "%s cannot be put into the sandbox", s->paths[i]);
        int made = S_ISDIR(st.st_mode) ? mkdir(to, 0755) : mknod(to, S_IFREG | 0644, 0);
        if (made < 0 || mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
            return err_sys(err, errno, "%s cannot be put into the sandbox", s->paths[i]);
        s->paths[i] = to;
        close(fds[i]);
    }
    return RC_OK;
}

static enum rc become(uid_t uid, gid_t gid, struct err *err)
{
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_sys(err, errno, "Could not become user %u", (unsigned)uid);
    return RC_OK;
}

static unsigned inner_id(const struct launch *l)
{
    return l->spec->user == SANDBOX_VERIFIER ? LAUNCH_VERIFIER_UID : LAUNCH_AGENT_UID;
}

/* In a child: makes a user namespace that belongs to uid, with the capabilities of root, and holds it open. */
static _Noreturn void userns_hold(uid_t uid, int ready)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(uid, uid, uid) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || syscall(SYS_capget, &head, caps) < 0)
        _exit(1);
    for (int i = 0; i < 2; i++)
        caps[i].effective = caps[i].permitted;
    if (syscall(SYS_capset, &head, caps) < 0 || unshare(CLONE_NEWUSER) < 0 || write(ready, "r", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static bool file_put(const char *path, const char *text)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Maps the inner ids and opens the namespace of the holder. -1 and errno. */
static int userns_map(mem *ctx, const struct launch *l, pid_t holder)
{
    const char *proc = mem_printf(ctx, "/proc/%d", (int)holder);
    const char *map = mem_printf(ctx, "%u %u 1", inner_id(l), (unsigned)l->uid);
    if (!file_put(mem_printf(ctx, "%s/uid_map", proc), map) ||
        !file_put(mem_printf(ctx, "%s/setgroups", proc), "deny") || !file_put(mem_printf(ctx, "%s/gid_map", proc), map))
        return -1;
    return open(mem_printf(ctx, "%s/ns/user", proc), O_RDONLY); /* stays open for bubblewrap */
}

/* A user namespace made by root in the name of the user that bubblewrap runs as, who may then enter it. */
static enum rc userns_make(mem *ctx, const struct launch *l, int *ret_fd, struct err *err)
{
    int p[2];
    char byte;
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not make a user namespace");
    CLEANUP_FD int in = p[0];
    CLEANUP_FD int out = p[1];
    pid_t holder = fork();
    if (holder == 0)
        userns_hold(l->uid, out);
    close(fd_take(&out));
    *ret_fd = holder > 0 && read(in, &byte, 1) == 1 ? userns_map(ctx, l, holder) : -1;
    int failed = errno;
    if (holder > 0)
        kill(holder, SIGKILL);
    while (holder > 0 && waitpid(holder, NULL, 0) < 0 && errno == EINTR)
        ;
    return *ret_fd >= 0 ? RC_OK : err_sys(err, failed, "Could not make a user namespace for user %u", (unsigned)l->uid);
}

static enum rc enter_real(const struct launch *l, mem *ctx, struct sources *s, struct err *err)
{
    enum rc rc = l->own_userns ? userns_make(ctx, l, &s->userns, err) : RC_OK;
    if (rc == RC_OK)
        rc = stage(l, ctx, s, err);
    return rc == RC_OK ? become(l->uid, (gid_t)l->uid, err) : rc;
}

static enum rc enter_sub(const struct launch *l, mem *ctx, struct sources *s, struct err *err)
{
    enum rc rc = idmap_enter(&l->map, err);
    if (rc == RC_OK)
        rc = stage(l, ctx, s, err);
    return rc == RC_OK ? become(l->uid, (gid_t)l->uid, err) : rc;
}

static enum rc enter_same(const struct launch *l, mem *ctx, struct sources *s, struct err *err)
{
    int *fds; /* close-on-exec */
    return sources_open(ctx, l, s, &fds, err);
}

static enum rc (*const enter[])(const struct launch *, mem *, struct sources *, struct err *) = {
    [RUNG_NAMESPACE_UID] = enter_same,
    [RUNG_SUB_UID] = enter_sub,
    [RUNG_REAL_UID] = enter_real,
};

/* ---- bubblewrap ---- */

#define INIT_INSIDE "/run/nightmill/init"

static enum rc bwrap_args(const struct launch *l, const struct sources *s, struct args *a, struct err *err)
{
    const char *id = mem_printf(a->ctx, "%u", inner_id(l));
    args_add(a, l->bwrap, NULL);
    if (s->userns >= 0)
        args_add(a, "--userns", mem_printf(a->ctx, "%d", s->userns), NULL);
    else
        args_add(a, "--unshare-user", NULL);
    args_add(a, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--uid", id,
             "--gid", id, "--hostname", "nightmill", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop",
             "ALL", "--clearenv", NULL);
    if (l->disable_userns && s->userns < 0 && !l->spec->user_namespaces)
        args_add(a, "--disable-userns", NULL);
    args_add(a, "--seccomp", mem_printf(a->ctx, "%d", FD_SECCOMP), NULL);
    enum rc rc = system_args(a, l->spec->user, l->limits.tmp_bytes, err);
    if (rc != RC_OK)
        return rc;
    args_add(a, "--dir", "/run/nightmill", "--perms", "0755", "--file", mem_printf(a->ctx, "%d", FD_IMAGE), INIT_INSIDE,
             NULL);
    for (size_t i = 0; i < l->spec->mount_count; i++)
        if (!s->left_out[i])
            args_add(a, l->spec->mounts[i].writable ? "--bind" : "--ro-bind", s->paths[i], l->spec->mounts[i].target,
                     NULL);
    /* Last, when all mount points have been made. */
    args_add(a, "--remount-ro", "/", "--chdir", "/", "--", INIT_INSIDE, "init", "sealed",
             mem_printf(a->ctx, "%lld", l->limit_processes ? (long long)l->limits.processes : 0),
             mem_printf(a->ctx, "%lld", (long long)l->limits.cpu_seconds),
             mem_printf(a->ctx, "%lld", (long long)l->limits.file_bytes),
             mem_printf(a->ctx, "%lld", l->watch_memory ? (long long)l->limits.memory_bytes : 0), NULL);
    for (size_t i = 0; i < l->spec->listen_count; i++)
        args_add(a, mem_printf(a->ctx, "%u", (unsigned)l->spec->listen[i]), NULL);
    return RC_OK;
}

static enum rc launch_prepare(const struct launch *l, pid_t opener, struct args *a, struct err *err)
{
    limit_lower(RLIMIT_CORE, 0, 0);
    limit_lower(RLIMIT_NOFILE, FILES_SOFT, FILES_HARD);
    struct sources s = {
        .paths = mem_array(a->ctx, const char *, l->spec->mount_count), .n = l->spec->mount_count, .userns = -1};
    s.left_out = mem_array(a->ctx, bool, s.n);
    for (size_t i = 0; i < l->spec->mount_count; i++)
        s.paths[i] = l->spec->mounts[i].source;
    enum rc rc = enter[l->rung](l, a->ctx, &s, err);
    if (rc != RC_OK)
        return rc;
    die_with(opener);
    rc = guard_start(err);
    return rc == RC_OK ? bwrap_args(l, &s, a, err) : rc;
}

static void failure_send(const struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 16 * 1024);
    words_add(&b, "error");
    words_add(&b, rc_name(err->rc));
    words_add(&b, err->sentence);
    words_add(&b, err->detail);
    words_add(&b, err->hint);
    if (write(ROOM_CONTROL_FD, &(char){ROOM_ERROR}, 1) == 1)
        (void)!frame_send(ROOM_CONTROL_FD, buf_view(&b), NULL, 0, NULL);
}

static _Noreturn void launch_main(const struct launch *l, pid_t opener)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    struct err err = {0};
    die_with(opener);
    signals_default();
    if (setpgid(0, 0) < 0 || !fds_arrange(l))
        _exit(127);
    struct args a = {.ctx = mem_root()};
    if (launch_prepare(l, opener, &a, &err) == RC_OK) {
        execve(l->bwrap, (char *const *)a.v, (char *const *)env);
        err_sys(&err, errno, "Could not run %s", l->bwrap);
    }
    failure_send(&err);
    _exit(127);
}

enum rc launch_start(const struct launch *l, pid_t *ret_pid, struct err *err)
{
    pid_t opener = getpid();
    /* No handler of the opener may run in the child. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        launch_main(l, opener);
    int fork_errno = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return err_sys(err, fork_errno, "Could not start the launcher of a sandbox");
    *ret_pid = pid;
    return RC_OK;
}
