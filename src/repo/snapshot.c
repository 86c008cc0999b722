/* Snapshots of a workspace's files, and the way back to one.
 *
 * An agent wrote these files; all its processes have ended. Before git sees the folder, one pass looks for what git
 * would take for something else: nested repositories (a folder with a .git becomes a link to a commit, its files vanish
 * from the snapshot) and files that are no files. What git then refuses is named, never passed over. Not here: commits.
 */
#include "base/id.h"
#include "os/path.h"
#include "repo/git.h"
#include "repo/private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOUND_MAX = 100000, /* odd things in one workspace; more is an attack */
    NAMED_MAX = 50,     /* of them named in notes, per kind */
};

struct paths {
    mem *ctx;
    const char **v;
    size_t n, room;
};

static void paths_add(struct paths *p, const char *path)
{
    if (p->n == p->room)
        p->v = mem_grow(p->ctx, p->v, (p->room = p->room ? p->room * 2 : 64) * sizeof *p->v);
    p->v[p->n++] = path;
}

/* All of them, each with its NUL. */
static struct str paths_join(mem *ctx, const struct paths *p)
{
    struct buf b;
    buf_init(&b, ctx, GIT_BIG_OUT);
    for (size_t i = 0; i < p->n; i++)
        buf_add(&b, p->v[i], strlen(p->v[i]) + 1);
    return buf_view(&b);
}

static void note_paths(struct buf *notes, const struct paths *p, const char *words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (size_t i = 0; notes && i < p->n && i < NAMED_MAX; i++)
        buf_printf(notes, "%s: %s\n", words, git_show(tmp, p->v[i]));
    if (notes && p->n > NAMED_MAX)
        buf_printf(notes, "%s: %zu more\n", words, p->n - NAMED_MAX);
}

/* ---- The pass ---- */

struct scan {
    mem *ctx;
    int root;
    struct paths pending;  /* folders still to be read; "" is the top */
    struct paths repos;    /* every entry called .git, in whatever case */
    struct paths specials; /* FIFOs, sockets, devices */
    struct paths closed;   /* folders that could not be read */
};

/* Opens a folder; one of ours that is shut gets the bits to be read. */
static DIR *folder_open(const struct scan *s, const char *path)
{
    const char *name = path[0] ? path : ".";
    int fd = openat(s->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == EACCES && fstatat(s->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
        fchmodat(s->root, name, (st.st_mode & 07777) | 0700, 0) == 0)
        fd = openat(s->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        fd_cleanup(&fd);
    return d;
}

static unsigned char entry_type(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type;
    return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? IFTODT(st.st_mode) : DT_REG;
}

/* At the top an empty .git is the mount point of the history that an agent may read while it works. Removing it would
 * take the mount away; git passes over it anyway. */
static bool is_mount_point(int folder, const char *name)
{
    int fd = strcmp(name, ".git") == 0 ? openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int entries = 0;
    if (!d)
        fd_cleanup(&fd);
    while (d && entries < 3 && readdir(d))
        entries++;
    if (d)
        closedir(d);
    return entries == 2; /* "." and ".." */
}

static void scan_entry(struct scan *s, const char *folder, int fd, const struct dirent *e)
{
    bool dot_git = strcasecmp(e->d_name, ".git") == 0;
    unsigned char type = entry_type(fd, e);
    if (!dot_git && (type == DT_REG || type == DT_LNK))
        return;
    if (dot_git && !folder[0] && type == DT_DIR && is_mount_point(fd, e->d_name))
        return;
    const char *path = mem_printf(s->ctx, "%s%s%s", folder, folder[0] ? "/" : "", e->d_name);
    if (dot_git)
        paths_add(&s->repos, path);
    else if (type == DT_DIR)
        paths_add(&s->pending, path);
    else
        paths_add(&s->specials, path);
}

/* A list instead of recursion: depth costs no stack and one descriptor is open at a time. Nobody changes the folder. */
static enum rc scan_run(struct scan *s, struct err *err)
{
    paths_add(&s->pending, "");
    while (s->pending.n) {
        const char *folder = s->pending.v[--s->pending.n];
        DIR *d = folder_open(s, folder);
        if (!d && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
            return err_sys(err, errno, "Could not read the workspace");
        if (!d) {
            paths_add(&s->closed, folder);
            continue;
        }
        for (struct dirent *e; (e = readdir(d));)
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                scan_entry(s, folder, dirfd(d), e);
        closedir(d);
        if (s->repos.n + s->specials.n + s->closed.n > FOUND_MAX)
            return err_set(err, RC_LIMIT, "The workspace holds too many nested repositories or special files");
    }
    return RC_OK;
}

static enum rc scan_open(struct scan *s, mem *ctx, const struct workspace *w, struct err *err)
{
    *s = (struct scan){.ctx = ctx, .root = -1};
    s->pending.ctx = s->repos.ctx = s->specials.ctx = s->closed.ctx = ctx;
    enum rc rc = path_open_root(w->dir, &s->root, err);
    return rc == RC_OK ? scan_run(s, err) : rc;
}

/* ---- Nested repositories ---- */

static struct git workspace_git(const struct workspace *w)
{
    return (struct git){.git_dir = w->git_dir, .work_tree = w->dir, .writes = true, .timeout_ms = GIT_LONG_MS};
}

static const char *parent_of(mem *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_strn(ctx, path, (size_t)(slash - path)) : "";
}

/* Those of the nested repositories that do not lie in an ignored folder. Where git cannot say it, all of them. */
static enum rc repos_seen(mem *ctx, const struct workspace *w, const struct paths *repos, struct paths *ret,
                          struct err *err)
{
    struct paths folders = {.ctx = ctx};
    for (size_t i = 0; i < repos->n; i++) {
        const char *folder = parent_of(ctx, repos->v[i]);
        if (folder[0]) /* "./": a name may begin like a pattern */
            paths_add(&folders, mem_printf(ctx, "./%s", folder));
    }
    struct git g = workspace_git(w);
    struct proc_result res = {.out = STR("")};
    g.input = paths_join(ctx, &folders);
    g.max_out = GIT_BIG_OUT;
    g.pathspecs = true;
    enum rc rc = folders.n ? git_run(ctx, &g, GIT_ARGS("check-ignore", "-z", "--stdin"), &res, err) : RC_OK;
    if (rc != RC_OK)
        return rc;
    /* git gives back the ignored ones of its input, in order. */
    struct str ignored = res.exit_code == 0 && !res.flooded ? res.out : STR(""), next = {0};
    bool more = str_next(&ignored, '\0', &next);
    for (size_t i = 0; i < repos->n; i++) {
        const char *folder = parent_of(ctx, repos->v[i]);
        if (folder[0] && more && str_eqz(str_sub(next, 2, next.n), folder))
            more = str_next(&ignored, '\0', &next);
        else
            paths_add(ret, repos->v[i]);
    }
    return RC_OK;
}

/* Into <task>/aside, under a fresh name. An empty folder is no repository: it just goes. */
static enum rc repo_move(mem *ctx, const struct workspace *w, int root, const char *path, struct paths *moved,
                         struct err *err)
{
    if (unlinkat(root, path, AT_REMOVEDIR) == 0)
        return RC_OK;
    const char *aside = mem_printf(ctx, "%s/aside", parent_of(ctx, w->dir));
    const char *to = mem_printf(ctx, "%s/%s", aside, id_new(ctx, 12));
    enum rc rc = path_mkdirs(aside, 0700, err);
    if (rc == RC_OK && renameat(root, path, AT_FDCWD, to) < 0)
        rc = err_sys(err, errno, "Could not move %s out of the workspace", git_show(ctx, path));
    if (rc == RC_OK)
        paths_add(moved, path);
    return rc;
}

static enum rc repos_move(mem *ctx, const struct workspace *w, const struct scan *s, struct buf *notes, struct err *err)
{
    struct paths seen = {.ctx = ctx}, moved = {.ctx = ctx};
    enum rc rc = s->repos.n ? repos_seen(ctx, w, &s->repos, &seen, err) : RC_OK;
    for (size_t i = 0; rc == RC_OK && i < seen.n; i++)
        rc = repo_move(ctx, w, s->root, seen.v[i], &moved, err);
    note_paths(notes, &moved, "A nested repository was moved aside");
    return rc;
}

/* ---- What git takes in ---- */

/* A file of the index whose place a FIFO took is gone, not unchanged. */
static enum rc specials_leave(mem *ctx, const struct workspace *w, const struct scan *s, struct buf *notes,
                              struct err *err)
{
    if (!s->specials.n)
        return RC_OK;
    struct git g = workspace_git(w);
    g.input = paths_join(ctx, &s->specials);
    note_paths(notes, &s->specials, "Left out, not a regular file");
    return git_do(ctx, &g, "leave special files out of the snapshot",
                  GIT_ARGS("update-index", "-z", "--force-remove", "--stdin"), NULL, err);
}

/* Files that the index does not have as they are, after an add that was not complete. */
static enum rc leftovers(mem *ctx, const struct workspace *w, struct paths *ret, struct err *err)
{
    struct git g = workspace_git(w);
    struct str out, path;
    g.max_out = GIT_BIG_OUT;
    enum rc rc = git_do(ctx, &g, "look for files that were left out",
                        GIT_ARGS("ls-files", "-z", "--others", "--modified", "--exclude-standard"), &out, err);
    while (rc == RC_OK && str_next(&out, '\0', &path) && path.n)
        paths_add(ret, str_dup(ctx, path));
    return rc;
}

/* Files of ours that may not even be read by us. */
static bool files_unlock(int root, const struct paths *p)
{
    bool some = false;
    struct stat st;
    for (size_t i = 0; i < p->n; i++)
        if (faccessat(root, p->v[i], R_OK, AT_EACCESS) < 0 && errno == EACCES &&
            fstatat(root, p->v[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            fchmodat(root, p->v[i], (st.st_mode & 07777) | 0400, 0) == 0)
            some = true;
    return some;
}

static enum rc files_add(mem *ctx, const struct workspace *w, const struct scan *s, struct buf *notes, struct err *err)
{
    struct git g = workspace_git(w);
    struct paths left = {.ctx = ctx};
    struct proc_result res;
    for (int i = 0; i < 2; i++) {
        enum rc rc = git_run(ctx, &g, GIT_ARGS("add", "--all", "--ignore-errors", "."), &res, err);
        if (rc != RC_OK || res.exit_code == 0)
            return rc;
        /* 1: some files could not be taken. Anything else, or a full disk, is no state to go on from. */
        if (res.exit_code != 1 || str_find(res.err, STR("No space left")) >= 0 ||
            str_find(res.err, STR("quota exceeded")) >= 0)
            return git_failed(err, "take a snapshot of the workspace", res.err);
        left.n = 0;
        rc = leftovers(ctx, w, &left, err);
        if (rc != RC_OK || !files_unlock(s->root, &left))
            break;
    }
    note_paths(notes, &left, "Left out, cannot be taken into a commit");
    return RC_OK;
}

/* Submodules are left empty; files that were put there belong to no tree. */
static void note_links(mem *ctx, const struct workspace *w, const struct scan *s, struct buf *notes)
{
    struct str text, piece;
    struct paths filled = {.ctx = ctx};
    if (path_slurp(ctx, mem_printf(ctx, "%s/nightmill-submodules", w->git_dir), GIT_BIG_OUT, &text, NULL) != RC_OK)
        return;
    while (str_next(&text, '\0', &piece) && piece.n) {
        const char *path = str_dup(ctx, piece);
        DIR *d = folder_open(s, path);
        int entries = 0;
        while (d && entries < 3 && readdir(d))
            entries++;
        if (d)
            closedir(d);
        if (entries == 3) /* more than "." and ".." */
            paths_add(&filled, path);
    }
    note_paths(notes, &filled, "Left out, files in a submodule");
}

static enum rc tree_take(mem *ctx, const struct workspace *w, const struct scan *s, const char **ret_tree,
                         struct buf *notes, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = repos_move(tmp, w, s, notes, err);
    if (rc == RC_OK)
        rc = specials_leave(tmp, w, s, notes, err);
    if (rc == RC_OK)
        rc = files_add(tmp, w, s, notes, err);
    if (rc != RC_OK)
        return rc;
    note_paths(notes, &s->closed, "Left out, the folder cannot be read");
    note_links(tmp, w, s, notes);
    struct git g = workspace_git(w);
    return git_line(ctx, &g, "write the snapshot of the workspace", GIT_ARGS("write-tree"), ret_tree, err);
}

enum rc workspace_tree(mem *ctx, const struct workspace *w, const char **ret_tree, struct buf *notes, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct scan s;
    enum rc rc = scan_open(&s, tmp, w, err);
    if (rc == RC_OK)
        rc = tree_take(ctx, w, &s, ret_tree, notes, err);
    fd_cleanup(&s.root);
    return rc;
}

static enum rc tree_put(mem *ctx, const struct workspace *w, const struct scan *s, const char *tree, struct err *err)
{
    struct git g = workspace_git(w);
    struct stat st;
    enum rc rc = fstat(s->root, &st) < 0 ? err_sys(err, errno, "Could not look at the workspace") : RC_OK;
    if (rc == RC_OK)
        rc = repos_move(ctx, w, s, NULL, err);
    for (size_t i = 0; rc == RC_OK && i < s->specials.n; i++)
        if (unlinkat(s->root, s->specials.v[i], 0) < 0 && errno != ENOENT)
            rc = err_sys(err, errno, "Could not remove %s", git_show(ctx, s->specials.v[i]));
    if (rc == RC_OK)
        rc = git_do(ctx, &g, "bring the workspace back", GIT_ARGS("read-tree", "--reset", "-u", tree), NULL, err);
    if (rc == RC_OK)
        rc = git_do(ctx, &g, "remove new files from the workspace", GIT_ARGS("clean", "-ffdq"), NULL, err);
    /* The owner of the top folder is the one that the workspace was made for. */
    return rc == RC_OK ? private_own(w->git_dir, w->dir, st.st_uid, st.st_gid, err) : rc;
}

enum rc workspace_restore(const struct workspace *w, const char *tree, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct scan s;
    enum rc rc = git_name_check(tree, err);
    if (rc != RC_OK)
        return rc;
    rc = scan_open(&s, tmp, w, err);
    if (rc == RC_OK)
        rc = tree_put(tmp, w, &s, tree, err);
    fd_cleanup(&s.root);
    return rc;
}
