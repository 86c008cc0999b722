/* Files beneath a root, files of our own, walking and removing trees.
 *
 * Trees are written by agents that may race with us, so no name is checked first and opened later: the kernel resolves
 * beneath a descriptor (openat2) and what was opened is looked at afterwards. Writing through the last link of a path
 * is done by reading the link and resolving its text from the root again, which leaves the judgement to the kernel too.
 * Recursion is bounded in descriptors and stack whatever depth a tree has.
 * Not here: copying trees, globbing, watching. */
#include "os/path.h"
#include "base/id.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    AGAIN_MAX = 128, /* openat2 says EAGAIN when a rename somewhere made its check uncertain */
    LINK_HOPS = 16,  /* links at the end of a path that is written */
    TEMP_TRIES = 16,
    REMOVE_DEPTH = 64, /* deeper folders are moved up first */
    READ_CHUNK = 256 * 1024,
    LOCK_TEXT_TRIES = 50, /* waits of 2 ms for the holder to write its number */
};

/* ---- Opening beneath a descriptor ---- */

static int open_beneath(int root, const char *path, int flags, uint64_t resolve)
{
    flags |= O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY); /* openat2 refuses flags that mean nothing */
    struct open_how how = {.flags = (uint64_t)(unsigned)flags,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve};
    for (int i = 0;; i++) {
        int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || i == AGAIN_MAX || (errno != EAGAIN && errno != EINTR))
            return fd;
    }
}

/* Kernel's words about a path below a root. */
static enum rc beneath_err(struct err *err, int errnum, const char *path)
{
    switch (errnum) {
    case EXDEV:
        return err_set(err, RC_DENIED, "The path %s leads out of the folder", path);
    case ELOOP:
        return err_set(err, RC_DENIED, "The path %s goes through a symbolic link that is not followed", path);
    case ENOTDIR:
        return err_set(err, RC_NOT_FOUND, "The path %s does not exist: a part of it is not a folder", path);
    case ENOENT:
        return err_set(err, RC_NOT_FOUND, "The path %s does not exist", path);
    case ENAMETOOLONG:
        return err_set(err, RC_INVALID, "The path is too long");
    case EISDIR:
        return err_set(err, RC_INVALID, "The path %s is a folder", path);
    case ENXIO:
        return err_set(err, RC_INVALID, "The path %s is not a regular file", path);
    case EAGAIN:
        return err_set(err, RC_CONFLICT, "The path %s is being changed while it is opened", path);
    }
    return err_sys(err, errnum, "Could not open %s", path);
}

static enum rc path_check(const char *path, struct err *err)
{
    if (path[0] == '\0')
        return err_set(err, RC_INVALID, "The path is empty");
    if (strlen(path) >= PATH_MAX)
        return err_set(err, RC_INVALID, "The path is too long");
    if (path[0] == '/') {
        err_set(err, RC_DENIED, "The path %s leads out of the folder", path);
        err_hint(err, "Use a path relative to the folder.");
        return RC_DENIED;
    }
    return RC_OK;
}

static enum rc kind_check(const struct stat *st, const char *path, struct err *err)
{
    if (S_ISREG(st->st_mode))
        return RC_OK;
    if (S_ISDIR(st->st_mode))
        return err_set(err, RC_INVALID, "The path %s is a folder", path);
    return err_set(err, RC_INVALID, "The path %s is not a regular file", path);
}

enum rc path_open_root(const char *dir, int *ret_fd, struct err *err)
{
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "Could not open the folder %s", dir);
    *ret_fd = fd;
    return RC_OK;
}

enum rc path_open_file(int root, const char *path, bool no_links, int *ret_fd, struct stat *ret_st, struct err *err)
{
    enum rc rc = path_check(path, err);
    if (rc != RC_OK)
        return rc;
    uint64_t resolve = no_links ? RESOLVE_NO_SYMLINKS : 0;
    struct stat st;
    /* O_PATH first: merely opening a device can have effects. */
    CLEANUP_FD int probe = open_beneath(root, path, O_PATH, resolve);
    if (probe < 0)
        return beneath_err(err, errno, path);
    if (fstat(probe, &st) < 0)
        return err_sys(err, errno, "Could not look at %s", path);
    rc = kind_check(&st, path, err);
    if (rc != RC_OK)
        return rc;
    /* Without O_NONBLOCK a FIFO that has taken the file's place by now would hold us. */
    CLEANUP_FD int fd = open_beneath(root, path, O_RDONLY | O_NONBLOCK, resolve);
    if (fd < 0)
        return beneath_err(err, errno, path);
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "Could not look at %s", path);
    rc = kind_check(&st, path, err);
    if (rc != RC_OK)
        return rc;
    if (ret_st)
        *ret_st = st;
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

/* ---- Reading ---- */

/* Up to max bytes from the current position. */
static enum rc fd_read(mem *ctx, int fd, size_t expect, size_t max, struct str *ret, struct err *err)
{
    size_t room = (expect < max ? expect : max) + 1, n = 0;
    char *p = talloc_size(ctx, room + 1);
    BUG_ON(!p);
    while (n < max) {
        if (n == room)
            p = mem_grow(ctx, p, (room = room * 2 > READ_CHUNK ? room * 2 : READ_CHUNK) + 1);
        size_t want = max - n < room - n ? max - n : room - n;
        ssize_t got = read(fd, p + n, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            enum rc rc = err_sys(err, errno, "Could not read");
            mem_free(p);
            return rc;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    p[n] = '\0';
    *ret = str_n(p, n);
    return RC_OK;
}

enum rc path_read(mem *ctx, int root, const char *path, size_t max, struct str *ret, int64_t *ret_size, struct err *err)
{
    struct stat st;
    CLEANUP_FD int fd = -1;
    enum rc rc = path_open_file(root, path, false, &fd, &st, err);
    if (rc != RC_OK)
        return rc;
    rc = fd_read(ctx, fd, (size_t)st.st_size, max, ret, err);
    if (rc != RC_OK) {
        err_context(err, "%s", path);
        return rc;
    }
    if (ret_size)
        *ret_size = st.st_size > (int64_t)ret->n ? st.st_size : (int64_t)ret->n;
    return RC_OK;
}

enum rc path_slurp(mem *ctx, const char *path, size_t max, struct str *ret, struct err *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, errno, "Could not open %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "Could not look at %s", path);
    enum rc rc = kind_check(&st, path, err);
    if (rc != RC_OK)
        return rc;
    struct str text = {0};
    /* One byte more tells whether it is larger; sizes of /proc files are 0 and not to be believed. */
    if (st.st_size <= (int64_t)max) {
        rc = fd_read(ctx, fd, (size_t)st.st_size, max + 1, &text, err);
        if (rc != RC_OK) {
            err_context(err, "%s", path);
            return rc;
        }
    }
    if (st.st_size > (int64_t)max || text.n > max) {
        mem_free((void *)text.p);
        return err_set(err, RC_LIMIT, "The file %s is larger than %zu bytes", path, max);
    }
    *ret = text;
    return RC_OK;
}

/* ---- Writing ---- */

static bool fd_write(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = str_sub(s, (size_t)n, s.n);
    }
    return true;
}

/* A file that nobody else has, under a name of our own in `dir`. The name is in ctx. */
static int temp_open(mem *ctx, int dir, const char **ret_name)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        char *name = mem_printf(ctx, PATH_TEMP_PREFIX "%s", id_new(ctx, 10));
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            *ret_name = name;
            return fd;
        }
    }
    return -1;
}

struct new_file {
    struct str contents;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    bool must_own; /* a failing chown is an error */
    bool durable;
};

/* Temporary file, contents, owner, mode, rename. Returns 0 or an errno. */
static int file_replace(int dir, const char *name, const struct new_file *f)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *temp;
    CLEANUP_FD int fd = temp_open(tmp, dir, &temp);
    if (fd < 0)
        return errno;
    int failed = 0;
    if (!fd_write(fd, f->contents))
        failed = errno;
    if (!failed && (f->uid != (uid_t)-1 || f->gid != (gid_t)-1) && fchown(fd, f->uid, f->gid) < 0 && f->must_own)
        failed = errno;
    if (!failed && fchmod(fd, f->mode & 0777) < 0) /* after chown, which clears bits */
        failed = errno;
    if (!failed && f->durable && fsync(fd) < 0)
        failed = errno;
    if (!failed && renameat(dir, temp, dir, name) < 0)
        failed = errno;
    if (failed)
        unlinkat(dir, temp, 0);
    return failed;
}

/* Opens `dir` below root, making what is missing. A dangling link in it stays one: mkdirat does not go through it. */
static enum rc parent_open(int root, const char *dir, uid_t uid, gid_t gid, int *ret_fd, struct err *err)
{
    CLEANUP_FD int fd = open_beneath(root, dir, O_PATH | O_DIRECTORY, 0);
    if (fd < 0 && errno != ENOENT)
        return beneath_err(err, errno, dir);
    if (fd >= 0) {
        *ret_fd = fd_take(&fd);
        return RC_OK;
    }
    CLEANUP_MEM mem *tmp = mem_root();
    char *prefix = mem_str(tmp, dir);
    CLEANUP_FD int above = open_beneath(root, ".", O_PATH | O_DIRECTORY, 0);
    if (above < 0)
        return beneath_err(err, errno, dir);
    for (char *p = prefix, *end; *p; p = end) {
        p += strspn(p, "/");
        end = p + strcspn(p, "/");
        if (end == p)
            break;
        char stop = *end;
        *end = '\0';
        CLEANUP_FD int next = open_beneath(root, prefix, O_PATH | O_DIRECTORY, 0);
        if (next < 0 && errno == ENOENT) {
            /* What we just made is opened again without links before it is handed over: it may have been swapped. */
            if (mkdirat(above, p, 0777) < 0 && errno != EEXIST)
                return err_sys(err, errno, "Could not make the folder %s", prefix);
            CLEANUP_FD int made = open_beneath(above, p, O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
            if (made < 0)
                return beneath_err(err, errno, prefix);
            if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(made, uid, gid) < 0)
                return err_sys(err, errno, "Could not hand over the folder %s", prefix);
            next = open_beneath(root, prefix, O_PATH | O_DIRECTORY, 0);
        }
        if (next < 0)
            return beneath_err(err, errno, prefix);
        close(above);
        above = fd_take(&next);
        *end = stop;
    }
    *ret_fd = fd_take(&above);
    return RC_OK;
}

/* Cuts a path into its folder ("." when there is none) and last name. */
static enum rc path_split(mem *ctx, const char *path, const char **ret_dir, const char **ret_name, struct err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(err, RC_INVALID, "The path %s does not name a file", path);
    *ret_dir = slash ? mem_strn(ctx, path, (size_t)(slash - path)) : ".";
    *ret_name = name;
    return RC_OK;
}

/* What stands at the end of a path: RC_NOT_FOUND, or a regular file (*ret_st), or a link (*ret_link is the path that it
 * leads to, relative to the root again). */
static enum rc end_look(mem *ctx, int parent, const char *dir, const char *name, struct stat *ret_st,
                        const char **ret_link, struct err *err)
{
    char target[PATH_MAX];
    *ret_link = NULL;
    if (fstatat(parent, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? RC_NOT_FOUND : beneath_err(err, errno, name);
    if (!S_ISLNK(ret_st->st_mode))
        return kind_check(ret_st, name, err);
    ssize_t n = readlinkat(parent, name, target, sizeof target);
    if (n < 0)
        return err_sys(err, errno, "Could not read the link %s", name);
    if (n == 0 || n == (ssize_t)sizeof target || target[0] == '/')
        return err_set(err, RC_DENIED, "The link %s leads out of the folder", name);
    const char *to = mem_printf(ctx, "%s/%.*s", dir, (int)n, target);
    if (strlen(to) >= PATH_MAX)
        return err_set(err, RC_INVALID, "The path is too long");
    *ret_link = to;
    return RC_OK;
}

enum rc path_write(int root, const char *path, struct str contents, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = path_check(path, err);
    const char *at = path;
    for (int hop = 0; rc == RC_OK; hop++) {
        if (hop == LINK_HOPS)
            return err_set(err, RC_DENIED, "The path %s goes through too many links", path);
        const char *dir, *name, *link;
        struct stat st;
        rc = path_split(tmp, at, &dir, &name, err);
        if (rc != RC_OK)
            return rc;
        CLEANUP_FD int parent = -1;
        if (hop == 0) {
            rc = parent_open(root, dir, uid, gid, &parent, err);
        } else {
            parent = open_beneath(root, dir, O_PATH | O_DIRECTORY, 0);
            rc = parent < 0 ? beneath_err(err, errno, path) : RC_OK;
        }
        if (rc != RC_OK)
            return rc;
        rc = end_look(tmp, parent, dir, name, &st, &link, err);
        if (rc == RC_OK && link) {
            at = link;
            continue;
        }
        if (rc == RC_NOT_FOUND && hop > 0) {
            err_set(err, RC_DENIED, "The path %s is a link to a file that does not exist", path);
            err_hint(err, "Remove the link first, or write to the place that it names.");
            return RC_DENIED;
        }
        if (rc != RC_OK && rc != RC_NOT_FOUND)
            return rc;
        struct new_file f = {.contents = contents, .mode = mode, .uid = uid, .gid = gid, .must_own = true};
        if (rc == RC_OK) { /* an existing file keeps mode and, where nobody is named and we may, its owner */
            f.mode = st.st_mode;
            f.must_own = uid != (uid_t)-1 || gid != (gid_t)-1;
            f.uid = uid != (uid_t)-1 ? uid : st.st_uid;
            f.gid = gid != (gid_t)-1 ? gid : st.st_gid;
        }
        int failed = file_replace(parent, name, &f);
        return failed ? err_sys(err, failed, "Could not write %s", path) : RC_OK;
    }
    return rc;
}

enum rc path_write_durable(const char *path, struct str contents, mode_t mode, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *dir, *name;
    enum rc rc = path_split(tmp, path, &dir, &name, err);
    if (rc != RC_OK)
        return rc;
    CLEANUP_FD int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "Could not open the folder %s", dir);
    struct new_file f = {.contents = contents, .mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1, .durable = true};
    int failed = file_replace(fd, name, &f);
    if (!failed && fsync(fd) < 0)
        failed = errno;
    return failed ? err_sys(err, failed, "Could not write %s", path) : RC_OK;
}

enum rc path_mkdirs(const char *dir, mode_t mode, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *path = mem_str(tmp, dir);
    if (path[0] != '/')
        return err_set(err, RC_INVALID, "The folder %s is not an absolute path", dir);
    for (char *p = path + 1; *p;) {
        char *end = p + strcspn(p, "/"), stop = *end;
        *end = '\0';
        if (mkdir(path, mode) < 0 && errno != EEXIST) {
            /* Above us there may be folders that we cannot write to, and read-only ones say so before EEXIST. */
            int saved = errno;
            struct stat st;
            if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
                return err_sys(err, saved, "Could not make the folder %s", path);
        }
        *end = stop;
        p = end + strspn(end, "/");
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return err_sys(err, errno, "Could not make the folder %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, RC_CONFLICT, "Could not make the folder %s: a file has that name", path);
    return RC_OK;
}

/* ---- Removing ---- */

struct removal {
    int top;    /* the tree's own folder: deep folders are moved here */
    bool moved; /* something was moved: the top must be emptied again */
    int failed; /* first errno */
    char name[256];
};

static void removal_fail(struct removal *r, const char *name)
{
    if (r->failed)
        return;
    r->failed = errno;
    snprintf(r->name, sizeof r->name, "%s", name);
}

/* A folder of ours that we may not read or change gets the bits for it. Through the descriptor, so that a name swapped
 * for a link cannot point the change elsewhere. */
static void folder_unlock(int parent, const char *name)
{
    char self[64];
    struct stat st;
    CLEANUP_FD int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode) || (st.st_mode & 0700) == 0700)
        return;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (chmod(self, 0700) < 0)
        return; /* the next step says what is wrong */
}

static void folder_empty(struct removal *r, int fd, int depth);

/* Moves a folder that lies too deep to the top, under a name nothing has. */
static void folder_raise(struct removal *r, int parent, const char *name)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *fresh = mem_printf(tmp, PATH_TEMP_PREFIX "%s", id_new(tmp, 10));
    if (renameat(parent, name, r->top, fresh) < 0)
        removal_fail(r, name);
    else
        r->moved = true;
}

static void entry_remove(struct removal *r, int parent, const char *name, unsigned char type, int depth)
{
    if (type != DT_DIR) {
        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
            return;
        if (errno != EISDIR) {
            removal_fail(r, name);
            return;
        }
    }
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return;
    folder_unlock(parent, name);
    if (depth == REMOVE_DEPTH) {
        folder_raise(r, parent, name);
        return;
    }
    CLEANUP_FD int fd =
        open_beneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    if (fd < 0) {
        removal_fail(r, name);
        return;
    }
    bool top = r->top < 0;
    if (top)
        r->top = fd;
    folder_empty(r, fd, depth + 1);
    while (top && r->moved) {
        r->moved = false;
        folder_empty(r, fd, depth + 1);
    }
    if (top)
        r->top = -1;
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        removal_fail(r, name);
}

static void folder_empty(struct removal *r, int fd, int depth)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        removal_fail(r, ".");
        fd_cleanup(&copy);
        return;
    }
    for (struct dirent *e; (errno = 0, e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            entry_remove(r, fd, e->d_name, e->d_type, depth);
    if (errno)
        removal_fail(r, ".");
    closedir(d);
}

enum rc path_remove_tree(const char *path, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *clean = mem_str(tmp, path);
    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--)
        clean[n - 1] = '\0';
    const char *dir, *name;
    enum rc rc = path_split(tmp, clean, &dir, &name, err);
    if (rc != RC_OK)
        return rc;
    CLEANUP_FD int parent = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 && (errno == ENOENT || errno == ENOTDIR))
        return RC_OK;
    if (parent < 0)
        return err_sys(err, errno, "Could not open the folder %s", dir);
    struct removal r = {.top = -1};
    entry_remove(&r, parent, name, DT_UNKNOWN, 0);
    if (!r.failed)
        return RC_OK;
    if (r.failed == EXDEV || r.failed == EBUSY) {
        err_set(err, RC_CONFLICT, "Could not remove %s: something is mounted at %s in it", path, r.name);
        err_hint(err, "Unmount it and try again.");
        return RC_CONFLICT;
    }
    return err_sys(err, r.failed, "Could not remove %s: %s", path, r.name);
}

/* ---- Walking ---- */

struct walk {
    int root;
    int (*visit)(void *arg, const char *path, enum path_kind kind, const struct stat *st);
    void *arg;
    char path[PATH_MAX];
};

static enum path_kind kind_of(mode_t mode)
{
    return S_ISREG(mode) ? PATH_FILE : S_ISDIR(mode) ? PATH_DIR : S_ISLNK(mode) ? PATH_LINK : PATH_OTHER;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted names of a folder, in ctx. */
static enum rc names_read(mem *ctx, int fd, const char ***ret, size_t *ret_n, struct err *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        enum rc rc = err_sys(err, errno, "Could not read a folder");
        fd_cleanup(&copy);
        return rc;
    }
    const char **names = NULL;
    size_t n = 0, room = 0;
    for (struct dirent *e; (errno = 0, e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (n == room)
            names = mem_grow(ctx, names, (room = room ? room * 2 : 32) * sizeof *names);
        names[n++] = mem_str(ctx, e->d_name);
    }
    int failed = errno;
    closedir(d);
    if (failed)
        return err_sys(err, failed, "Could not read a folder");
    if (n)
        qsort(names, n, sizeof *names, name_order);
    *ret = names;
    *ret_n = n;
    return RC_OK;
}

/* Visits what is in the folder w->path (its first `len` bytes). The folder is opened by its path at every level: a
 * descriptor would have to stay open for each level otherwise. *ret_stop: the visitor wants no more. */
static enum rc walk_folder(struct walk *w, size_t len, bool *ret_stop, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char **names = NULL;
    size_t n = 0;
    CLEANUP_FD int fd =
        open_beneath(w->root, len ? w->path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd < 0) /* closed to us, or gone by now: it has been visited itself */
        return errno == EMFILE || errno == ENFILE ? err_sys(err, errno, "Could not open %s", w->path) : RC_OK;
    enum rc rc = names_read(tmp, fd, &names, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n && !*ret_stop; i++) {
        struct stat st;
        if (fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* gone by now */
        size_t name_len = strlen(names[i]), at = len ? len + 1 : 0;
        if (at + name_len >= sizeof w->path)
            continue;
        if (len)
            w->path[len] = '/';
        memcpy(w->path + at, names[i], name_len + 1);
        int then = w->visit(w->arg, w->path, kind_of(st.st_mode), &st);
        *ret_stop = then < 0;
        if (then == 0 && S_ISDIR(st.st_mode)) {
            /* Our descriptor is not needed below, and depth must not cost any. */
            close(fd_take(&fd));
            rc = walk_folder(w, at + name_len, ret_stop, err);
            w->path[len] = '\0';
            if (rc == RC_OK && !*ret_stop && i + 1 < n) {
                fd = open_beneath(w->root, len ? w->path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                                  RESOLVE_NO_SYMLINKS);
                if (fd < 0)
                    break; /* taken away while we were below */
            }
        }
        w->path[len] = '\0';
    }
    return rc;
}

enum rc path_walk(int root, const char *start,
                  int (*visit)(void *arg, const char *path, enum path_kind kind, const struct stat *st), void *arg,
                  struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct walk *w = mem_new(tmp, struct walk); /* a path is too large for the stack of a deep caller */
    bool stop = false;
    size_t len = 0;
    enum rc rc = RC_OK;
    w->root = root;
    w->visit = visit;
    w->arg = arg;
    if (start[0] && strcmp(start, ".") != 0) {
        struct stat st;
        CLEANUP_FD int fd = -1;
        rc = path_check(start, err);
        /* A link at the end is opened itself: openat2 makes this exception for O_PATH with O_NOFOLLOW. */
        if (rc == RC_OK && (fd = open_beneath(root, start, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS)) < 0)
            rc = beneath_err(err, errno, start);
        if (rc == RC_OK && fstat(fd, &st) < 0)
            rc = err_sys(err, errno, "Could not look at %s", start);
        if (rc == RC_OK) {
            len = strlen(start);
            memcpy(w->path, start, len + 1);
            while (len > 1 && w->path[len - 1] == '/')
                w->path[--len] = '\0';
            stop = visit(arg, w->path, kind_of(st.st_mode), &st) != 0 || !S_ISDIR(st.st_mode);
        }
    }
    if (rc == RC_OK && !stop)
        rc = walk_folder(w, len, &stop, err);
    return rc;
}

/* ---- Locks ---- */

/* The number that the holder wrote; it may be about to write it. 0: not known. */
static pid_t holder_read(int fd)
{
    for (int i = 0; i < LOCK_TEXT_TRIES; i++) {
        char text[32];
        int64_t pid;
        ssize_t n = pread(fd, text, sizeof text, 0);
        if (n > 0 && str_int(str_trim(str_n(text, (size_t)n)), 1, INT_MAX, &pid))
            return (pid_t)pid;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return 0;
}

enum rc path_lock(const char *path, int *ret_fd, pid_t *ret_holder, struct err *err)
{
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_sys(err, errno, "Could not open the lock %s", path);
    int got;
    do {
        got = flock(fd, LOCK_EX | LOCK_NB);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno != EWOULDBLOCK)
        return err_sys(err, errno, "Could not take the lock %s", path);
    if (got < 0) {
        pid_t holder = holder_read(fd);
        if (ret_holder)
            *ret_holder = holder;
        err_set(err, RC_CONFLICT, "The lock %s is held by another process", path);
        if (holder)
            err_detail(err, "Process %d holds it.", (int)holder);
        return RC_CONFLICT;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return err_sys(err, errno, "Could not write the lock %s", path);
    *ret_fd = fd_take(&fd);
    return RC_OK;
}
