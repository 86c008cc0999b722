/* A workspace brought from one commit to another by what differs between them: its files, its index.
 *
 * git's own way (read-tree -m -u) looks at every file of the workspace and writes the changed ones one by one; this
 * costs with the difference, but for the index, which is one file. Not here: differences that are most of the
 * workspace, submodules; git does those. */
#include "os/path.h"
#include "repo/export.h"
#include "repo/git.h"
#include "repo/private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHIFT_MOST = 2000, SHIFT_OUT = 4 << 20 };

struct shift {
    struct repo_entry *gone, *made; /* a changed file is in both */
    size_t gone_n, made_n;
    struct buf lines; /* for update-index --index-info */
};

static bool octal_take(struct str *s, unsigned *ret)
{
    struct str word;
    *ret = 0;
    if (!str_next(s, ' ', &word) || word.n != 6)
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '7')
            return false;
        *ret = *ret * 8 + (unsigned)(word.p[i] - '0');
    }
    return true;
}

/* ":100644 100755 OID OID M". False: not understood, or not for us. */
static bool record_take(mem *ctx, struct shift *s, struct str head, struct str path)
{
    unsigned before, after;
    struct str old, fresh;
    if (head.n < 2 || head.p[0] != ':')
        return false;
    head = str_sub(head, 1, head.n);
    if (!octal_take(&head, &before) || !octal_take(&head, &after) || !str_next(&head, ' ', &old) ||
        !str_next(&head, ' ', &fresh) || before == 0160000 || after == 0160000)
        return false;
    const char *name = str_dup(ctx, path), *oid = str_dup(ctx, fresh);
    if (!git_path_allowed(name) || !git_is_oid(oid))
        return false;
    if (before)
        s->gone[s->gone_n++] = (struct repo_entry){name, NULL, before};
    if (after)
        s->made[s->made_n++] = (struct repo_entry){name, oid, after};
    buf_printf(&s->lines, "%06o %s\t", after, oid);
    buf_add(&s->lines, name, strlen(name) + 1);
    return true;
}

static bool difference_read(mem *ctx, const char *git_dir, const char *from, const char *to, struct shift *s)
{
    struct git g = {.git_dir = git_dir, .max_out = SHIFT_OUT};
    struct str out, head, path;
    if (git_do(ctx, &g, "compare two commits",
               GIT_ARGS("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", from, to), &out,
               NULL) != RC_OK)
        return false;
    s->gone = mem_array(ctx, struct repo_entry, SHIFT_MOST);
    s->made = mem_array(ctx, struct repo_entry, SHIFT_MOST);
    buf_init(&s->lines, ctx, SHIFT_OUT);
    for (size_t n = 0; out.n; n++)
        if (n == SHIFT_MOST || !str_next(&out, '\0', &head) || !str_next(&out, '\0', &path) ||
            !record_take(ctx, s, head, path))
            return false;
    return !s->lines.overflow;
}

static int folder_at(int root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, path[0] ? path : ".", &how, sizeof how);
}

/* Folders that have become empty go too, as git has none. */
static bool file_remove(mem *ctx, int root, const char *path)
{
    char *rest = mem_str(ctx, path);
    for (int flags = 0;; flags = AT_REMOVEDIR) {
        char *slash = strrchr(rest, '/');
        const char *name = slash ? slash + 1 : rest;
        if (slash)
            *slash = '\0';
        CLEANUP_FD int folder = folder_at(root, slash ? rest : "");
        if (folder < 0)
            return false;
        if (unlinkat(folder, name, flags) < 0)
            return flags && (errno == ENOTEMPTY || errno == EEXIST);
        if (!slash)
            return true;
    }
}

/* The index is changed beside the files: neither needs the other. Without what the system says of the new files; git
 * reads those once, at the next snapshot. */
static pid_t index_start(mem *ctx, const char *git_dir, struct str lines)
{
    struct git g = {.git_dir = git_dir, .writes = true};
    struct proc_spec spec;
    pid_t pid;
    CLEANUP_FD int in = memfd_create("nightmill-index", MFD_CLOEXEC);
    if (in < 0 || write(in, lines.p, lines.n) != (ssize_t)lines.n || lseek(in, 0, SEEK_SET) < 0)
        return -1;
    git_spec(ctx, &g, GIT_ARGS("update-index", "-z", "--index-info"), &spec);
    spec.fds[0] = in;
    spec.fds[1] = spec.fds[2] = -1;
    spec.fd_count = 3;
    return proc_start(&spec, &pid, NULL, NULL) == RC_OK ? pid : -1;
}

static bool index_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool shift_files(const char *git_dir, const char *work, const char *from, const char *to, uid_t uid, gid_t gid)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int root = -1;
    struct shift s = {0};
    if (!difference_read(tmp, git_dir, from, to, &s) || path_open_root(work, &root, NULL) != RC_OK)
        return false;
    if (!s.lines.n)
        return true;
    pid_t index = index_start(tmp, git_dir, buf_view(&s.lines));
    if (index < 0)
        return false;
    bool good = true;
    for (size_t i = 0; i < s.gone_n && good; i++)
        good = file_remove(tmp, root, s.gone[i].path);
    if (good && s.made_n)
        good = export_files(git_dir, s.made, s.made_n, work, uid, gid, NULL, NULL) == RC_OK;
    return index_wait(index) && good;
}
