/* The disk limit of a sandbox: a small forked process that looks at the free space of the file systems below its
 * writable mounts, counts what lies in them when that fell, and ends the sandbox when it is too much.
 *
 * Why a process and not a quota: project quotas exist only where the file system was made and mounted for them, which
 * no usual installation is; this works everywhere. Why a process and not a thread: with subordinate uids only a process
 * in their namespace can read every folder, and a thread cannot enter one.
 * The room between two looks: what a disk takes in TICK_MS, which the floor must be larger than. Space of files that
 * have no name any more is not counted, but missed on the file system: the floor holds for it.
 * Not here: /tmp (memory with a size of its own), single files (RLIMIT_FSIZE). */
#include "sandbox/disk.h"
#include "base/clock.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TICK_MS = 200,
    COUNT_EACH_MS = 10000, /* also when the free space has not fallen: somebody else may have given some back */
    REST = 4,              /* a count is followed by so many times its own time without one, */
    REST_LONG = 20,        /* and so many when nothing urges */
    DEPTH_MAX = 1000,      /* folders in folders; each holds a descriptor while it is read */
    ROOTS_MAX = 32,
    FILES_FLOOR = 1000, /* names that a file system must have left */
    COUNT_DEADLINE_MS = 60000,
};

struct watch {
    int roots[ROOTS_MAX];
    size_t n;
    int64_t limit, floor;
    bool remap; /* counting needs the namespace of subordinate ids */
    struct idmap map;
    int init_fd, report_fd;
    pid_t opener;
};

/* ---- counting ---- */

/* A shut folder of ours is opened up, as a snapshot would do. */
static DIR *folder_open(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int failed = errno;
    if (!d && fd >= 0)
        close(fd);
    errno = failed;
    return d;
}

static int64_t entry_bytes(const struct stat *st)
{
    int64_t bytes = (int64_t)st->st_blocks * 512;
    return S_ISDIR(st->st_mode) || st->st_nlink < 2 ? bytes : bytes / (int64_t)st->st_nlink;
}

/* Bytes in use below a folder; INT64_MAX when it is nested too deep. What vanishes meanwhile counts nothing. */
static int64_t tree_bytes(int root)
{
    static DIR *levels[DEPTH_MAX];
    int depth = 0;
    int64_t sum = 0;
    levels[0] = folder_open(root, ".");
    if (!levels[0])
        return 0;
    while (depth >= 0) {
        DIR *d = levels[depth];
        struct dirent *e = readdir(d);
        struct stat st;
        if (!e) {
            closedir(d);
            depth--;
            continue;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        sum += entry_bytes(&st);
        DIR *below = S_ISDIR(st.st_mode) ? folder_open(dirfd(d), e->d_name) : NULL;
        if (!below && errno != EMFILE)
            continue;
        if (!below || depth + 1 == DEPTH_MAX) {
            if (below)
                closedir(below);
            while (depth >= 0)
                closedir(levels[depth--]);
            return INT64_MAX;
        }
        levels[++depth] = below;
    }
    return sum;
}

static int64_t roots_bytes(const struct watch *w)
{
    int64_t sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        int64_t bytes = tree_bytes(w->roots[i]);
        if (bytes == INT64_MAX)
            return bytes;
        sum += bytes;
    }
    return sum;
}

/* In a child of its own, which enters the namespace where every file of the sandbox may be read. -1: it could not. */
static int64_t roots_bytes_mapped(const struct watch *w)
{
    int p[2];
    int64_t sum = -1;
    if (pipe2(p, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sum = idmap_enter(&w->map, NULL) == RC_OK ? roots_bytes(w) : -1;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(write(p[1], &sum, sizeof sum) == (ssize_t)sizeof sum ? 0 : 1);
    }
    close(p[1]);
    struct pollfd answer = {.fd = p[0], .events = POLLIN};
    if (pid < 0 || poll(&answer, 1, COUNT_DEADLINE_MS) <= 0 || read(p[0], &sum, sizeof sum) != (ssize_t)sizeof sum)
        sum = -1;
    close(p[0]);
    if (pid > 0)
        kill(pid, SIGKILL);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return sum;
}

int64_t disk_usage(const char *dir)
{
    const struct room_way *way;
    struct watch w = {.n = 1};
    w.roots[0] = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (w.roots[0] < 0)
        return errno == ENOENT ? 0 : -1;
    w.remap = room_way(false, &way, NULL) == RC_OK && way->rung == RUNG_SUB_UID;
    if (w.remap)
        w.map = way->map;
    int64_t bytes = w.remap ? roots_bytes_mapped(&w) : roots_bytes(&w);
    close(w.roots[0]);
    return bytes;
}

/* ---- watching ---- */

struct space {
    int64_t free;  /* of the file system that has least */
    int64_t files; /* names left; INT64_MAX: it does not count them */
};

static struct space space_now(const struct watch *w)
{
    struct space s = {INT64_MAX, INT64_MAX};
    for (size_t i = 0; i < w->n; i++) {
        struct statvfs v;
        if (fstatvfs(w->roots[i], &v) < 0)
            continue;
        int64_t bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
        s.free = bytes < s.free ? bytes : s.free;
        if (v.f_files > 0 && (int64_t)v.f_favail < s.files)
            s.files = (int64_t)v.f_favail;
    }
    return s;
}

static void watch_report(const struct watch *w, enum disk_why why, int64_t used, int64_t free)
{
    struct disk_report r = {why, used, free, w->limit, w->floor};
    (void)!write(w->report_fd, &r, sizeof r); /* first: who sees the end finds the reason */
    syscall(SYS_pidfd_send_signal, w->init_fd, SIGKILL, NULL, 0u);
    _exit(0);
}

static _Noreturn void watch_main(const struct watch *w)
{
    int64_t used = -1, free_then = 0, counted_ms = 0, took_ms = 0;
    struct pollfd end = {.fd = w->init_fd, .events = POLLIN};
    for (;;) {
        struct space s = space_now(w);
        int64_t now = clock_mono_ms(), since = now - counted_ms;
        if (w->floor > 0 && s.free < w->floor)
            watch_report(w, DISK_FLOOR, used, s.free);
        if (w->floor > 0 && s.files < FILES_FLOOR)
            watch_report(w, DISK_FILES, used, s.free);
        /* Nothing can have grown by more than the file system has lost, as long as nobody gives space back. */
        bool urges = used >= 0 && free_then - s.free > w->limit - used;
        bool due =
            used < 0 || (urges && since >= took_ms * REST) || (since >= COUNT_EACH_MS && since >= took_ms * REST_LONG);
        if (w->limit > 0 && due) {
            used = w->remap ? roots_bytes_mapped(w) : roots_bytes(w);
            counted_ms = clock_mono_ms();
            took_ms = counted_ms - now;
            free_then = s.free;
            if (used > w->limit)
                watch_report(w, used == INT64_MAX ? DISK_DEPTH : DISK_LIMIT, used, s.free);
            used = used < 0 ? 0 : used;
        }
        if (poll(&end, 1, TICK_MS) > 0 || getppid() != w->opener)
            _exit(0);
    }
}

/* The mounts that can grow: by their sources, each once. */
static enum rc roots_open(const struct sandbox_spec *spec, struct watch *w, struct err *err)
{
    struct stat known[ROOTS_MAX], st;
    for (size_t i = 0; i < spec->mount_count; i++) {
        if (!spec->mounts[i].writable)
            continue;
        if (w->n == ROOTS_MAX)
            return err_set(err, RC_LIMIT, "A sandbox takes at most %d writable mounts", ROOTS_MAX);
        int fd = open(spec->mounts[i].source, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
            if (fd >= 0)
                close(fd);
            return err_sys(err, errno, "%s cannot be watched", spec->mounts[i].source);
        }
        size_t k = 0;
        while (k < w->n && (known[k].st_dev != st.st_dev || known[k].st_ino != st.st_ino))
            k++;
        if (k < w->n || !S_ISDIR(st.st_mode)) {
            close(fd);
            continue;
        }
        known[w->n] = st;
        w->roots[w->n++] = fd;
    }
    return RC_OK;
}

/* In the child: nothing of the opener's stays open but what is needed. */
static _Noreturn void watch_begin(struct watch *w)
{
    int keep = 3;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != w->opener)
        _exit(0);
    struct sigaction sa = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* deaf to the terminal */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Above all others first, then down to their places. */
    int *mine[ROOTS_MAX + 2], n = 0;
    for (size_t i = 0; i < w->n; i++)
        mine[n++] = &w->roots[i];
    mine[n++] = &w->init_fd;
    mine[n++] = &w->report_fd;
    for (int i = 0; i < n; i++)
        if ((*mine[i] = fcntl(*mine[i], F_DUPFD_CLOEXEC, 200)) < 0)
            _exit(1);
    for (int i = 0; i < n; i++)
        if ((*mine[i] = dup3(*mine[i], keep++, O_CLOEXEC)) < 0)
            _exit(1);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (nothing < 0 || dup2(nothing, i) < 0)
            _exit(1);
    syscall(SYS_close_range, (unsigned)keep, ~0u, 0u);
    watch_main(w);
}

enum rc disk_watch(struct sandbox *sb, const struct sandbox_spec *spec, const struct room_way *way, struct err *err)
{
    struct watch w = {.limit = spec->limits.disk_bytes,
                      .floor = spec->limits.disk_floor,
                      .init_fd = sb->init_fd,
                      .remap = way->rung == RUNG_SUB_UID,
                      .map = way->map,
                      .opener = getpid()};
    int p[2];
    if (w.limit <= 0 && w.floor <= 0)
        return RC_OK;
    enum rc rc = roots_open(spec, &w, err);
    if (rc == RC_OK && w.n > 0 && pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        rc = err_sys(err, errno, "Could not watch the disk for a sandbox");
    if (rc == RC_OK && w.n > 0) {
        w.report_fd = p[1];
        sb->disk_fd = p[0];
        sigset_t all, before;
        sigfillset(&all); /* no handler of the opener may run in the child */
        sigprocmask(SIG_SETMASK, &all, &before);
        pid_t pid = fork();
        if (pid == 0)
            watch_begin(&w);
        int failed = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(p[1]);
        sb->disk_pid = pid > 0 ? pid : 0;
        if (pid < 0)
            rc = err_sys(err, failed, "Could not start the process that watches the disk for a sandbox");
    }
    for (size_t i = 0; i < w.n; i++)
        close(w.roots[i]);
    return rc;
}

void disk_watch_end(struct sandbox *sb)
{
    if (sb->disk_pid > 0) {
        kill(sb->disk_pid, SIGKILL);
        while (waitpid(sb->disk_pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    sb->disk_pid = 0;
    if (sb->disk_fd >= 0)
        close(fd_take(&sb->disk_fd));
}

/* "3.2 GiB", in a place of its own. */
static const char *size_words(char words[32], int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(words, 32, "%.*f %s", unit ? 1 : 0, value, units[unit]);
    return words;
}

bool sandbox_disk_over(struct sandbox *sb, struct err *err)
{
    struct disk_report *r = &sb->disk;
    char have[32], at[32];
    if (sb->disk_fd >= 0 && r->why == DISK_FINE && read(sb->disk_fd, r, sizeof *r) != (ssize_t)sizeof *r)
        r->why = DISK_FINE;
    switch (r->why) {
    case DISK_FINE:
        return false;
    case DISK_LIMIT:
        err_set(err, RC_LIMIT, "The files of the sandbox take %s on the disk, and its limit is %s",
                size_words(have, r->used), size_words(at, r->limit));
        err_hint(err, "Have the task write less, or raise the setting sandbox.disk.");
        break;
    case DISK_DEPTH:
        err_set(err, RC_LIMIT, "The folders in the sandbox are nested more than %d deep", DEPTH_MAX - 1);
        err_hint(err, "Have the task write less.");
        break;
    case DISK_FLOOR:
        err_set(err, RC_LIMIT, "The disk has %s left, and %s must stay free", size_words(have, r->free),
                size_words(at, r->floor));
        err_hint(err, "Make room on the disk, or lower the setting sandbox.disk_floor.");
        break;
    case DISK_FILES:
        err_set(err, RC_LIMIT, "The file system has room for fewer than %d more files", FILES_FLOOR);
        err_hint(err, "Remove files that nobody needs.");
        break;
    }
    return true;
}
