/* Whose files are whose: the ids of the two users outside, and handing trees to them and back.
 *
 * Every entry is opened as itself below the root (openat2, no links anywhere) and changed through that descriptor, so
 * that no name can lead the change out of the tree. A regular file with several names may have one outside (a local
 * clone shares its objects with the origin): its contents are copied first and the copy changes hands. */
#include "base/clock.h"
#include "os/path.h"
#include "sandbox/room.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct hand {
    int root;
    uid_t uid;
    gid_t gid;
    bool open_up; /* the owner may read files and change folders: for taking a tree back */
    int failed;   /* errno of the first failure */
    char path[PATH_MAX];
    unsigned copies;
};

static int open_entry(const struct hand *h, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, h->root, path, &how, sizeof how);
}

static bool copy_contents(int from, int to)
{
    char chunk[64 * 1024];
    ssize_t n;
    while ((n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0)) > 0)
        ;
    if (n == 0)
        return true;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return false;
    if (lseek(from, 0, SEEK_SET) < 0 || lseek(to, 0, SEEK_SET) < 0 || ftruncate(to, 0) < 0)
        return false;
    while ((n = read(from, chunk, sizeof chunk)) > 0)
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(to, chunk + done, (size_t)(n - done))) <= 0)
                return false;
    return n == 0;
}

/* Puts a file of one name in the place of one that has several. */
static bool unshare_file(struct hand *h, const char *path, const struct stat *st)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX], name[64];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    snprintf(name, sizeof name, ".nightmill.%d.%u", (int)getpid(), ++h->copies);
    CLEANUP_FD int dir = open_entry(h, folder, O_RDONLY | O_DIRECTORY);
    CLEANUP_FD int from = open_entry(h, path, O_RDONLY | O_NONBLOCK);
    CLEANUP_FD int to = dir < 0 || from < 0 ? -1 : openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return false;
    struct timespec times[] = {st->st_atim, st->st_mtim};
    if (copy_contents(from, to) && fchmod(to, st->st_mode & 0777) == 0 && futimens(to, times) == 0 &&
        renameat(dir, name, dir, slash ? slash + 1 : path) == 0)
        return true;
    int failed = errno;
    unlinkat(dir, name, 0);
    errno = failed;
    return false;
}

/* What the owner of a tree taken back needs to read it and to remove it. */
static mode_t mode_open(const struct stat *st)
{
    return (st->st_mode & 0777) | (S_ISDIR(st->st_mode) ? 0700 : 0400);
}

static bool mode_set(int fd, mode_t mode)
{
    char self[32]; /* fchmod does not take a descriptor opened with O_PATH */
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return chmod(self, mode) == 0;
}

static bool change(struct hand *h, const char *path, const struct stat *st)
{
    bool owner = st->st_uid != h->uid || st->st_gid != h->gid, plain = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
    bool mode = h->open_up && plain && mode_open(st) != (st->st_mode & 07777);
    if (!owner && !mode)
        return true;
    if (S_ISREG(st->st_mode) && st->st_nlink > 1 && !unshare_file(h, path, st) && (errno != EACCES || owner))
        return false; /* EACCES: ours, but closed to ourselves; only its mode changes, and only towards us */
    CLEANUP_FD int fd = open_entry(h, path, O_PATH);
    return fd >= 0 && (!owner || fchownat(fd, "", h->uid, h->gid, AT_EMPTY_PATH) == 0) &&
           (!mode || mode_set(fd, mode_open(st)));
}

static int visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct hand *h = arg;
    (void)kind;
    if (change(h, path, st))
        return 0;
    h->failed = errno;
    snprintf(h->path, sizeof h->path, "%s", path);
    return -1;
}

static enum rc hand_over(const char *dir, uid_t uid, gid_t gid, bool open_up, struct err *err)
{
    struct hand h = {.uid = uid, .gid = gid, .open_up = open_up};
    CLEANUP_FD int root = -1;
    enum rc rc = path_open_root(dir, &root, err);
    if (rc != RC_OK)
        return rc;
    struct stat st;
    h.root = root;
    if (fstat(root, &st) < 0 || !change(&h, ".", &st))
        return err_sys(err, errno, "Could not change the owner of %s", dir);
    rc = path_walk(root, "", visit, &h, err);
    if (rc == RC_OK && h.failed)
        return err_sys(err, h.failed, "Could not change the owner of %s/%s", dir, h.path);
    return rc;
}

/* ---- who ---- */

void sandbox_owner(enum sandbox_user user, uid_t *ret_uid, gid_t *ret_gid)
{
    const struct room_way *way;
    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (room_way(false, &way, NULL) != RC_OK)
        return;
    if (way->rung == RUNG_REAL_UID) {
        *ret_uid = room_uid_base() + (uid_t)user;
        *ret_gid = (gid_t)*ret_uid;
    } else if (way->rung == RUNG_SUB_UID) {
        *ret_uid = way->map.uid + (uid_t)user;
        *ret_gid = way->map.gid + (gid_t)user;
    }
}

/* In a child that is root of a namespace in which both owners are mapped (0: ourselves, 1..: the range). */
static enum rc hand_over_mapped(const struct idmap *map, const char *dir, uid_t inner, bool open_up, struct err *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not start the helper that changes owners");
    CLEANUP_FD int in = p[0];
    CLEANUP_FD int out = p[1];
    pid_t opener = getpid(), pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "Could not start the helper that changes owners");
    if (pid == 0) {
        struct err theirs = {0};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        theirs.rc = getppid() == opener ? idmap_enter(map, &theirs) : RC_CANCELLED;
        if (theirs.rc == RC_OK)
            theirs.rc = hand_over(dir, inner, (gid_t)inner, open_up, &theirs);
        _exit(write(out, &theirs, sizeof theirs) == (ssize_t)sizeof theirs ? 0 : 1);
    }
    close(fd_take(&out));
    struct err theirs;
    ssize_t n;
    do {
        n = read(in, &theirs, sizeof theirs);
    } while (n < 0 && errno == EINTR);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof theirs)
        return err_set(err, RC_IO, "The helper that changes owners ended without an answer");
    if (theirs.rc != RC_OK && err)
        *err = theirs;
    return theirs.rc;
}

enum rc sandbox_give(const char *dir, enum sandbox_user user, struct err *err)
{
    const struct room_way *way;
    enum rc rc = room_way(false, &way, err);
    if (rc != RC_OK)
        return rc;
    if (way->rung == RUNG_SUB_UID)
        return hand_over_mapped(&way->map, dir, 1 + (uid_t)user, false, err);
    uid_t uid;
    gid_t gid;
    sandbox_owner(user, &uid, &gid);
    return hand_over(dir, uid, gid, false, err);
}

enum rc sandbox_take(const char *dir, struct err *err)
{
    const struct room_way *way;
    if (room_way(false, &way, NULL) == RC_OK && way->rung == RUNG_SUB_UID)
        return hand_over_mapped(&way->map, dir, 0, true, err);
    return hand_over(dir, geteuid(), getegid(), true, err);
}
