/* Opening and closing sandboxes. */
#include "sandbox/sandbox.h"
#include "base/clock.h"
#include "base/log.h"
#include "os/frame.h"
#include "os/path.h"
#include "os/proc.h"
#include "os/seccomp.h"
#include "sandbox/disk.h"
#include "sandbox/init_image.h"
#include "sandbox/launch.h"
#include "sandbox/room.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    END_DEADLINE_MS = 10000,  /* after KILL; a process in an uninterruptible wait may outlast it */
    COUNT_DEADLINE_MS = 3000, /* a fork bomb may keep init from answering */
    OWN_PROCESSES = 2,        /* bubblewrap and init, in the control group with the rest */
    START_PROCESSES = 3,      /* and the guard of the start */
    LOG_TEXT_MAX = 600,       /* of what bubblewrap said */
    UID_BASE_DEFAULT = 64810,
};

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static const struct sandbox_limits limits_default = {
    .memory_bytes = 4LL << 30, .processes = 512, .cpu_seconds = 3600, .file_bytes = 4LL << 30, .tmp_bytes = 1LL << 30};

static uid_t uid_base = UID_BASE_DEFAULT;

void sandbox_set_uid_base(uid_t base)
{
    uid_base = base;
}

uid_t room_uid_base(void)
{
    return uid_base;
}

/* ---- environment and paths ---- */

static size_t name_length(const char *entry)
{
    return strcspn(entry, "=");
}

static bool same_name(const char *a, const char *b)
{
    size_t n = name_length(a);
    return n == name_length(b) && memcmp(a, b, n) == 0;
}

const char *const *room_env(mem *ctx, const char *const *const *lists, size_t list_count)
{
    size_t room = 1, n = 0;
    for (size_t i = 0; i < list_count; i++)
        for (const char *const *e = lists[i]; e && *e; e++)
            room++;
    const char **env = mem_array(ctx, const char *, room);
    for (size_t i = 0; i < list_count; i++)
        for (const char *const *e = lists[i]; e && *e; e++) {
            size_t at = 0;
            while (at < n && !same_name(env[at], *e))
                at++;
            env[at] = mem_str(ctx, *e);
            n += at == n;
        }
    return env;
}

static const char *const *base_env(mem *ctx, const struct sandbox *sb, const struct sandbox_spec *spec)
{
    const char *tmp = sb->plain ? sb->plain_tmp : "/tmp";
    const char *const standard[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                    mem_printf(ctx, "HOME=%s/home", tmp),
                                    mem_printf(ctx, "TMPDIR=%s", tmp),
                                    "LANG=C.UTF-8",
                                    "TERM=dumb",
                                    sb->plain                        ? NULL
                                    : spec->user == SANDBOX_VERIFIER ? "USER=verifier"
                                                                     : "USER=agent",
                                    NULL};
    const char *const *lists[] = {standard, spec->env};
    return room_env(ctx, lists, 2);
}

const char *room_path(mem *ctx, const struct sandbox *sb, const char *inside)
{
    const struct sandbox_mount *best = NULL, *first = NULL;
    for (size_t i = 0; i < sb->mount_count; i++) {
        const struct sandbox_mount *m = &sb->mounts[i];
        size_t n = strlen(m->target);
        bool below = strncmp(inside, m->target, n) == 0 && (inside[n] == '/' || inside[n] == '\0');
        if (below && (!best || n > strlen(best->target)))
            best = m;
        if (m->writable && !first)
            first = m;
    }
    if (best)
        return mem_printf(ctx, "%s%s", best->source, inside + strlen(best->target));
    return mem_str(ctx, first ? first->source : inside);
}

/* ---- messages ---- */

enum rc room_say(struct sandbox *sb, const struct buf *b, const int *fds, int fd_count, struct err *err)
{
    if (b->overflow)
        return err_set(err, RC_LIMIT, "The arguments and the environment of a command are too long");
    if (sb->dead || sb->control < 0)
        return err_set(err, RC_UNAVAILABLE, "The sandbox has ended");
    enum rc rc = frame_send(sb->control, buf_view(b), fds, fd_count, err);
    sb->dead = rc != RC_OK;
    return rc;
}

enum rc room_take(mem *ctx, struct sandbox *sb, int timeout_ms, struct words *ret, int *ret_fds, int *ret_fd_count,
                  struct err *err)
{
    struct str text;
    int fds[FRAME_FDS], fd_count = 0;
    if (sb->dead || sb->control < 0)
        return err_set(err, RC_UNAVAILABLE, "The sandbox has ended");
    enum rc rc = frame_recv(ctx, sb->control, timeout_ms, &text, fds, &fd_count, err);
    if (rc == RC_TIMEOUT)
        return rc;
    if (rc == RC_OK && !words_parse(ctx, text, ret))
        rc = err_set(err, RC_INVALID, "The first process of the sandbox sent a message without sense");
    bool wanted = rc == RC_OK && ret_fds;
    for (int i = 0; i < fd_count && !wanted; i++)
        close(fds[i]);
    if (wanted) {
        memcpy(ret_fds, fds, sizeof fds);
        *ret_fd_count = fd_count;
    }
    sb->dead = rc != RC_OK;
    return rc;
}

/* ---- ending ---- */

static void pidfd_kill(int fd)
{
    if (fd >= 0)
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0u);
}

static bool pidfd_wait(int fd, int64_t until_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        int64_t left = until_ms - clock_mono_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0 || (n < 0 && errno != EINTR))
            return n > 0;
        if (n == 0 && left <= 0)
            return false;
    }
}

/* A start that did not come as far as init's hello: every stage holds the other end of the control socket, so its end
 * is theirs. */
static bool control_wait(int control, int64_t until_ms)
{
    char rest[256];
    struct pollfd p = {.fd = control, .events = POLLIN};
    for (;;) {
        int64_t left = until_ms - clock_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return false;
        ssize_t n = recv(control, rest, sizeof rest, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return true;
    }
}

/* Ends everything inside and waits. The pidfd of init becomes readable only when the kernel has ended and reaped every
 * process of its pid namespace. Also the destructor: frees nothing that the context frees. */
static int sandbox_end(struct sandbox *sb)
{
    int64_t until = clock_mono_ms() + END_DEADLINE_MS;
    bool gone = true;
    if (sb->plain) {
        if (sb->control >= 0)
            close(fd_take(&sb->control)); /* a plain init now ends its descendants and itself */
        gone = sb->outer_fd < 0 || pidfd_wait(sb->outer_fd, until);
        if (!gone)
            pidfd_kill(sb->outer_fd);
        until = clock_mono_ms() + END_DEADLINE_MS;
    } else {
        pidfd_kill(sb->init_fd);
        pidfd_kill(sb->outer_fd);
        if (sb->init_fd >= 0)
            gone = pidfd_wait(sb->init_fd, until);
        else if (sb->outer > 0)
            gone = control_wait(sb->control, until);
        if (sb->control >= 0)
            close(fd_take(&sb->control));
    }
    disk_watch_end(sb);
    if (sb->outer > 0 && (sb->outer_fd < 0 || pidfd_wait(sb->outer_fd, until)))
        while (waitpid(sb->outer, NULL, 0) < 0 && errno == EINTR)
            ;
    sb->outer = 0;
    while (sb->listener_count > 0)
        close(sb->listeners[--sb->listener_count]);
    if (sb->init_fd >= 0)
        close(fd_take(&sb->init_fd));
    if (sb->outer_fd >= 0)
        close(fd_take(&sb->outer_fd));
    int64_t left = until - clock_mono_ms();
    gone = cgroup_close(sb->cgroup, left > 100 ? (int)left : 100) && gone;
    sb->cgroup = NULL;
    if (sb->plain_tmp)
        (void)!path_remove_tree(sb->plain_tmp, NULL); /* init does so too, when we are killed */
    if (!gone)
        log_warn("Something in a sandbox outlived its end by %d ms", END_DEADLINE_MS);
    return 0;
}

/* Processes that commands left running. */
static int left_count(struct sandbox *sb)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct words w;
    struct buf b;
    int64_t n, until = clock_mono_ms() + COUNT_DEADLINE_MS;
    buf_init(&b, tmp, 64);
    words_add(&b, "count");
    if (sandbox_alive(sb) && room_say(sb, &b, NULL, 0, NULL) == RC_OK)
        while (room_take(tmp, sb, (int)(until - clock_mono_ms() > 0 ? until - clock_mono_ms() : 0), &w, NULL, NULL,
                         NULL) == RC_OK)
            if (strcmp(w.v[0], "count") == 0 && words_int(&w, 1, 0, INT_MAX, &n))
                return (int)n;
    n = sb->cgroup ? (int64_t)cgroup_list(sb->cgroup, NULL, 0) : 0;
    return n > OWN_PROCESSES ? (int)(n - OWN_PROCESSES) : 0;
}

enum rc sandbox_quiet(struct sandbox *sb, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct words w;
    struct buf b;
    int64_t n, until = clock_mono_ms() + ROOM_FRAME_MS;
    buf_init(&b, tmp, 64);
    words_add(&b, "quiet");
    enum rc rc = room_say(sb, &b, NULL, 0, err);
    while (rc == RC_OK) {
        int64_t left = until - clock_mono_ms();
        rc = room_take(tmp, sb, left > 0 ? (int)left : 0, &w, NULL, NULL, err);
        if (rc == RC_OK && strcmp(w.v[0], "quiet") == 0 && words_int(&w, 1, 0, INT_MAX, &n))
            return n == 0 ? RC_OK
                          : err_set(err, RC_UNAVAILABLE, "%lld processes in the sandbox did not end", (long long)n);
    }
    if (rc != RC_TIMEOUT)
        return rc;
    sb->dead = true;
    return err_set(err, RC_UNAVAILABLE, "The first process of the sandbox did not answer");
}

bool sandbox_hands_over(const struct sandbox *sb)
{
    const struct room_way *way;
    return !sb->plain && room_way(false, &way, NULL) == RC_OK && way->rung == RUNG_SUB_UID;
}

struct sandbox *sandbox_close(struct sandbox *sb, int *ret_left)
{
    if (ret_left)
        *ret_left = sb ? left_count(sb) : 0;
    mem_free(sb); /* sandbox_end is its destructor */
    return NULL;
}

int sandbox_listener(const struct sandbox *sb, size_t i)
{
    BUG_ON(i >= sb->listener_count);
    return sb->listeners[i];
}

uint16_t sandbox_listener_port(const struct sandbox *sb, size_t i)
{
    BUG_ON(i >= sb->listener_count);
    return sb->ports[i];
}

bool sandbox_alive(struct sandbox *sb)
{
    struct pollfd p[] = {{.fd = sb->outer_fd, .events = POLLIN}, {.fd = sb->control, .events = 0}};
    return !sb->dead && sb->outer > 0 && poll(p, 2, 0) >= 0 && !p[0].revents && !(p[1].revents & (POLLHUP | POLLERR));
}

pid_t sandbox_pid(const struct sandbox *sb)
{
    return sb->outer;
}

/* ---- opening ---- */

/* Readers move the offset of the descriptor that they share: each start gets one of its own. */
static int reopen(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The filter is built once for a process and choice. */
static enum rc filter_get(const struct sandbox_spec *spec, int *ret_fd, struct err *err)
{
    static int built[] = {-1, -1, -1, -1};
    struct seccomp_choice choice = {.debug = spec->debug, .namespaces = spec->user_namespaces};
    int *fd = &built[spec->debug + 2 * spec->user_namespaces];
    if (*fd < 0) {
        enum rc rc = seccomp_build(&choice, fd, err);
        if (rc != RC_OK)
            return rc;
    }
    *ret_fd = reopen(*fd);
    return *ret_fd < 0 ? err_sys(err, errno, "Could not open the system call filter again") : RC_OK;
}

/* The first byte, with the sender's process as the kernel tells it. 0: the peer is gone. */
static char hello_take(int control, pid_t *ret_pid)
{
    char byte = 0;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } c;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    ssize_t n;
    do {
        n = recvmsg(control, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        return 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(h), sizeof who);
            *ret_pid = who.pid;
        }
    return byte;
}

/* What bubblewrap or the loader said before it gave up. */
static void said_detail(int log, struct err *err)
{
    char text[LOG_TEXT_MAX + 1];
    ssize_t n = log < 0 ? 0 : pread(log, text, sizeof text - 1, 0);
    struct str said = str_trim(str_n(text, n > 0 ? (size_t)n : 0));
    if (said.n)
        err_detail(err, "%.*s", STR_FMT(said));
}

static enum rc launcher_failure(mem *tmp, struct sandbox *sb, struct err *err)
{
    struct words w;
    enum rc rc = room_take(tmp, sb, ROOM_FRAME_MS, &w, NULL, NULL, err);
    if (rc != RC_OK || w.n < 5)
        return rc != RC_OK ? rc : err_set(err, RC_UNAVAILABLE, "The sandbox could not be started");
    err_set(err, rc_find(w.v[1]), "The sandbox could not be started: %s", w.v[2]);
    err_detail(err, "%s", w.v[3]);
    return err_hint(err, "%s", w.v[4]);
}

/* What init listens at: as many descriptors as there are ports, or the sandbox is of no use. */
static enum rc listeners_take(struct sandbox *sb, const struct words *w, size_t wanted, const int *fds, int fd_count,
                              struct err *err)
{
    int64_t port;
    for (int i = 0; i < fd_count; i++) {
        if ((size_t)i < wanted)
            sb->listeners[sb->listener_count++] = fds[i];
        else
            close(fds[i]);
    }
    for (size_t i = 0; i < wanted; i++) {
        if (!words_int(w, 1 + i, 1, 65535, &port) || i >= sb->listener_count)
            return err_set(err, RC_UNAVAILABLE, "A port of the sandbox's own network could not be listened at");
        sb->ports[i] = (uint16_t)port;
    }
    return RC_OK;
}

/* Waits until init is there. */
static enum rc hello_wait(struct sandbox *sb, const struct sandbox_spec *spec, int log, int deadline_ms,
                          struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t until = clock_mono_ms() + deadline_ms, left;
    struct pollfd p = {.fd = sb->control, .events = POLLIN};
    int n = 0;
    do {
        left = until - clock_mono_ms();
        n = poll(&p, 1, left > 0 ? (int)left : 0);
    } while ((n < 0 && errno == EINTR) || (n == 0 && left > 0));
    if (n <= 0) {
        err_set(err, RC_TIMEOUT, "The sandbox was not ready within %d ms", deadline_ms);
        said_detail(log, err);
        return RC_TIMEOUT;
    }
    const int off = 0;
    char hello = hello_take(sb->control, &sb->init);
    setsockopt(sb->control, SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
    if (hello == ROOM_ERROR)
        return launcher_failure(tmp, sb, err);
    struct words w;
    int fds[FRAME_FDS], fd_count = 0;
    left = until - clock_mono_ms();
    enum rc rc = hello == ROOM_READY ? room_take(tmp, sb, left > 0 ? (int)left : 0, &w, fds, &fd_count, err) : RC_IO;
    if (rc == RC_TIMEOUT)
        return rc;
    if (rc != RC_OK || strcmp(w.v[0], "ready") != 0) {
        err_set(err, RC_UNAVAILABLE, "The sandbox could not be started");
        said_detail(log, err);
        while (rc == RC_OK && fd_count > 0)
            close(fds[--fd_count]);
        return RC_UNAVAILABLE;
    }
    return listeners_take(sb, &w, spec->listen_count, fds, fd_count, err);
}

/* The program of init, to be read or executed, at offset 0. */
static enum rc image_get(int *ret_fd, struct err *err)
{
    static int image = -1;
    const char *named = getenv("NIGHTMILL_INIT");
    if (named && named[0] == '/') {
        *ret_fd = open(named, O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? err_sys(err, errno, "Could not open %s, named by NIGHTMILL_INIT", named) : RC_OK;
    }
    size_t n = (size_t)(nightmill_init_image_end - nightmill_init_image);
    if (image < 0) {
        CLEANUP_FD int fd = memfd_create("nightmill-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
        if (fd < 0 && errno == EINVAL) /* before Linux 6.3 every memory file may be executed */
            fd = memfd_create("nightmill-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || write(fd, nightmill_init_image, n) != (ssize_t)n ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
            return err_sys(err, errno, "Could not hold the program of init in memory");
        (void)fchmod(fd, 0555); /* executed by "plain" */
        image = fd_take(&fd);
    }
    *ret_fd = reopen(image);
    return *ret_fd < 0 ? err_sys(err, errno, "Could not open the program of init again") : RC_OK;
}

static enum rc control_pair(struct sandbox *sb, int *ret_theirs, struct err *err)
{
    int pair[2];
    const int on = 1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "Could not make the control socket of a sandbox");
    sb->control = pair[0];
    *ret_theirs = pair[1];
    if (setsockopt(sb->control, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        return err_sys(err, errno, "Could not prepare the control socket of a sandbox");
    return RC_OK;
}

static struct sandbox_limits limits_fill(const struct sandbox_limits *given)
{
    struct sandbox_limits l = *given;
#define FILL(field) l.field = l.field > 0 ? l.field : limits_default.field
    FILL(memory_bytes);
    FILL(processes);
    FILL(cpu_seconds);
    FILL(file_bytes);
    FILL(tmp_bytes);
#undef FILL
    return l;
}

static enum rc group_open(struct sandbox *sb, const struct room_way *way, const struct sandbox_spec *spec,
                          const struct sandbox_limits *limits, struct err *err)
{
    struct cgroup_limits l = {limits->memory_bytes, limits->processes + START_PROCESSES};
    if (way->place.kind == CGROUP_NONE)
        return RC_OK;
    return cgroup_open(sb, &way->place, spec->label ? spec->label : "sandbox", &l, &sb->cgroup, err);
}

/* While the process starts up, and again for init: bubblewrap may have started it before it was moved itself. Commands
 * come only later, so that nothing of theirs is ever outside. */
static enum rc group_add(struct sandbox *sb, pid_t pid, struct err *err)
{
    int failed = sb->cgroup ? cgroup_add(sb->cgroup, pid) : 0;
    if (failed == 0 || failed == ESRCH) /* gone: whoever waits for it says why */
        return RC_OK;
    return err_sys(err, failed, "Could not move a sandbox into its control group");
}

/* The list is that of the controller into which processes are moved last. */
static bool group_has(const struct sandbox *sb, pid_t pid)
{
    pid_t pids[16];
    size_t n = sb->cgroup ? cgroup_list(sb->cgroup, pids, 16) : 0;
    for (size_t i = 0; i < n && i < 16; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static enum rc open_sealed(struct sandbox *sb, const struct room_way *way, const struct sandbox_spec *spec,
                           int deadline_ms, struct err *err)
{
    CLEANUP_FD int theirs = -1;
    CLEANUP_FD int filter = -1;
    CLEANUP_FD int image = -1;
    CLEANUP_FD int log = memfd_create("log", MFD_CLOEXEC);
    int life[2];
    struct launch l = {.spec = spec,
                       .limits = limits_fill(&spec->limits),
                       .rung = way->rung,
                       .bwrap = way->bwrap,
                       .map = way->map,
                       .disable_userns = way->disable_userns,
                       .own_userns = way->own_userns};
    if (log < 0 || pipe2(life, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not start a sandbox");
    CLEANUP_FD int life_theirs = life[0];
    CLEANUP_FD int life_ours = life[1]; /* closed on every return: the guard then ends a start that failed */
    l.life = life_theirs;
    l.uid = way->rung == RUNG_REAL_UID ? uid_base + (uid_t)spec->user : 1 + (uid_t)spec->user;
    enum rc rc = filter_get(spec, &filter, err);
    if (rc == RC_OK)
        rc = image_get(&image, err);
    if (rc == RC_OK)
        rc = control_pair(sb, &theirs, err);
    if (rc == RC_OK)
        rc = group_open(sb, way, spec, &l.limits, err);
    if (rc != RC_OK)
        return rc;
    l.limit_processes = !sb->cgroup || !way->place.pids;
    l.watch_memory = !sb->cgroup || !way->place.memory;
    l.control = theirs;
    l.log = log;
    l.seccomp = filter;
    l.image = image;
    rc = launch_start(&l, &sb->outer, err);
    if (rc != RC_OK)
        return rc;
    close(fd_take(&theirs));
    sb->outer_fd = (int)syscall(SYS_pidfd_open, sb->outer, 0u);
    if (sb->outer_fd < 0) {
        rc = err_sys(err, errno, "Could not watch a sandbox");
        kill(sb->outer, SIGKILL);
        return rc;
    }
    rc = group_add(sb, sb->outer, err);
    if (rc == RC_OK)
        rc = hello_wait(sb, spec, log, deadline_ms, err);
    /* Mostly it was born there. Each move waits for all processors once, which is the dearest part of a start. */
    if (rc == RC_OK && !group_has(sb, sb->init))
        rc = group_add(sb, sb->init, err);
    if (rc != RC_OK)
        return rc;
    sb->init_fd = sb->init > 0 ? (int)syscall(SYS_pidfd_open, sb->init, 0u) : -1;
    if (sb->init_fd < 0 || !sandbox_alive(sb))
        return err_set(err, RC_UNAVAILABLE, "The first process of the sandbox could not be watched");
    if (write(life_ours, &(char){ROOM_READY}, 1) != 1)
        return err_set(err, RC_UNAVAILABLE, "The guard of the start has gone");
    return disk_watch(sb, spec, way, err);
}

/* For spec->without. The group, where there is one, is only for finding what is left. */
static enum rc open_plain(struct sandbox *sb, const struct room_way *way, const struct sandbox_spec *spec,
                          int deadline_ms, struct err *err)
{
    char tmp[] = "/tmp/nightmill-XXXXXX";
    if (!mkdtemp(tmp))
        return err_sys(err, errno, "Could not make a temporary folder");
    sb->plain_tmp = mem_str(sb, tmp);
    const char *home = mem_printf(sb, "%s/home", tmp);
    if (mkdir(home, 0700) < 0)
        return err_sys(err, errno, "Could not make %s", home);
    struct sandbox_limits limits = limits_fill(&spec->limits);
    CLEANUP_FD int theirs = -1;
    CLEANUP_FD int image = -1;
    enum rc rc = image_get(&image, err);
    if (rc == RC_OK)
        rc = control_pair(sb, &theirs, err);
    if (rc == RC_OK)
        rc = group_open(sb, way, spec, &limits, err);
    if (rc != RC_OK)
        return rc;
    const char *argv[] = {"/proc/self/fd/4", /* the image, by its number in the child */
                          "init",
                          "plain",
                          "0",
                          mem_printf(sb, "%lld", (long long)limits.cpu_seconds),
                          mem_printf(sb, "%lld", (long long)limits.file_bytes),
                          "0",
                          tmp,
                          spec->listen_count > 0 ? "0" : NULL, /* the machine's own ports: whichever are free */
                          spec->listen_count > 1 ? "0" : NULL,
                          NULL};
    struct proc_spec start = {.argv = argv, .fds = {-1, -1, -1, theirs, image}, .fd_count = 5, .new_session = true};
    rc = proc_start(&start, &sb->outer, &sb->outer_fd, err);
    if (rc != RC_OK)
        return rc;
    close(fd_take(&theirs));
    sb->init = sb->outer;
    rc = group_add(sb, sb->outer, err);
    return rc == RC_OK ? hello_wait(sb, spec, -1, deadline_ms, err) : rc;
}

enum rc room_open(mem *ctx, const struct room_way *way, const struct sandbox_spec *spec, int deadline_ms,
                  struct sandbox **ret, struct err *err)
{
    struct sandbox *sb = mem_new(ctx, struct sandbox);
    *sb = (struct sandbox){.control = -1, .outer_fd = -1, .init_fd = -1, .disk_fd = -1, .plain = spec->without};
    talloc_set_destructor(sb, sandbox_end);
    sb->mounts = mem_array(sb, struct sandbox_mount, spec->mount_count);
    sb->mount_count = spec->mount_count;
    for (size_t i = 0; i < spec->mount_count; i++)
        sb->mounts[i] = (struct sandbox_mount){mem_str(sb, spec->mounts[i].source), mem_str(sb, spec->mounts[i].target),
                                               spec->mounts[i].writable};
    enum rc rc = (spec->without ? open_plain : open_sealed)(sb, way, spec, deadline_ms, err);
    if (rc != RC_OK) {
        mem_free(sb);
        return rc;
    }
    sb->env = base_env(sb, sb, spec);
    sb->cwd = mem_str(sb, spec->cwd ? spec->cwd : "/");
    *ret = sb;
    return RC_OK;
}

/* Mount points and sources are ours to name, not to guess: absolute, no ".." (bubblewrap would follow it). */
static enum rc spec_check(const struct sandbox_spec *spec, struct err *err)
{
    if (spec->listen_count > SANDBOX_LISTENERS)
        return err_set(err, RC_INVALID, "A sandbox listens at %d ports at most", SANDBOX_LISTENERS);
    for (size_t i = 0; i < spec->mount_count; i++) {
        const char *both[] = {spec->mounts[i].source, spec->mounts[i].target};
        for (int k = 0; k < 2; k++)
            if (!both[k] || both[k][0] != '/' || strstr(both[k], "/../") || str_ends(str_of(both[k]), STR("/..")) ||
                !both[k][1])
                return err_set(err, RC_INVALID, "A sandbox needs absolute mounts without \"..\", not %s",
                               both[k] ? both[k] : "none");
    }
    if (spec->cwd && spec->cwd[0] != '/')
        return err_set(err, RC_INVALID, "The working folder of a sandbox must be absolute, not %s", spec->cwd);
    return RC_OK;
}

enum rc sandbox_open(mem *ctx, const struct sandbox_spec *spec, int deadline_ms, struct sandbox **ret, struct err *err)
{
    const struct room_way *way;
    enum rc rc = spec_check(spec, err);
    if (rc == RC_OK)
        rc = room_way(spec->without, &way, err);
    return rc == RC_OK ? room_open(ctx, way, spec, deadline_ms, ret, err) : rc;
}
