/* The private repository of a workspace. See private.h. Written by hand instead of by `git init`: no templates, and
 * nothing is started. */
#include "repo/private.h"
#include "os/path.h"
#include "repo/git.h"
#include "repo/place.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_MAX = 4 << 20 };

static const char attributes[] = "* -text !eol -ident !filter !working-tree-encoding !diff !merge !whitespace\n";

static const char *config_text(mem *ctx, bool sha256)
{
    return mem_printf(ctx,
                      "[core]\n"
                      "\trepositoryformatversion = %d\n"
                      "\tbare = false\n"
                      "\tfilemode = true\n"
                      "\tsymlinks = true\n"
                      "\tignorecase = false\n"
                      "\tautocrlf = false\n"
                      "\tlogallrefupdates = false\n"
                      "\tsharedrepository = 0644\n" /* another user reads history in the sandbox */
                      "\tbigfilethreshold = 32m\n"  /* above it files are streamed instead of held in memory */
                      "[index]\n"
                      "\tversion = 2\n"
                      "[gc]\n"
                      "\tauto = 0\n"
                      "%s",
                      sha256 ? 1 : 0, sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "");
}

struct writing {
    mem *tmp;
    int root;
    enum rc rc;
    struct err *err;
};

static void put(struct writing *w, const char *name, struct str text)
{
    if (w->rc == RC_OK)
        w->rc = path_write(w->root, name, text, 0644, (uid_t)-1, (gid_t)-1, w->err);
}

/* A path as one line of the alternates file; quoted, with octal escapes, where a plain line would be read differently.
 */
static void alternate_add(struct buf *b, const char *path)
{
    bool plain = path[0] != '"' && path[0] != '#' && !strpbrk(path, "\n\r");
    if (plain) {
        buf_printf(b, "%s\n", path);
        return;
    }
    buf_char(b, '"');
    for (const char *p = path; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
            buf_printf(b, "\\%03o", (unsigned char)*p);
        else
            buf_char(b, *p);
    buf_z(b, "\"\n");
}

static void put_alternates(struct writing *w, const char *common)
{
    const char *const *dirs;
    size_t n;
    struct buf b;
    buf_init(&b, w->tmp, COPY_MAX);
    if (w->rc == RC_OK)
        w->rc = place_objects(w->tmp, common, &dirs, &n, w->err);
    for (size_t i = 0; w->rc == RC_OK && i < n; i++)
        alternate_add(&b, dirs[i]);
    put(w, "objects/info/alternates", buf_view(&b));
}

/* A file of the user's repository that is copied as it is; empty when it is not there or not fit. */
static struct str copy_of(mem *ctx, const char *common, const char *name)
{
    struct str text;
    return path_slurp(ctx, mem_printf(ctx, "%s/%s", common, name), COPY_MAX, &text, NULL) == RC_OK ? text : STR("");
}

enum rc private_make(const char *git_dir, const struct repo_facts *repo, const char *base, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    static const char *const folders[] = {"objects/info", "objects/pack", "refs/heads", "info"};
    struct writing w = {.tmp = tmp, .root = -1, .rc = RC_OK, .err = err};
    for (size_t i = 0; i < sizeof folders / sizeof *folders && w.rc == RC_OK; i++)
        w.rc = path_mkdirs(mem_printf(tmp, "%s/%s", git_dir, folders[i]), 0755, err);
    if (w.rc == RC_OK)
        w.rc = path_open_root(git_dir, &w.root, err);
    if (w.rc != RC_OK)
        return w.rc;
    struct str shallow = copy_of(tmp, repo->git_dir, "shallow"), exclude = copy_of(tmp, repo->git_dir, "info/exclude");
    put(&w, "config", str_of(config_text(tmp, strlen(base) == 64)));
    put(&w, "HEAD", str_of(mem_printf(tmp, "%s\n", base)));
    put(&w, "info/attributes", str_of(attributes));
    put(&w, "info/exclude", str_of(mem_printf(tmp, "%.*s\n/.git/\n" PATH_TEMP_PREFIX "*\n", STR_FMT(exclude))));
    if (shallow.n)
        put(&w, "shallow", shallow);
    else
        unlinkat(w.root, "shallow", 0); /* of a spare that was made when the repository still was shallow */
    put_alternates(&w, repo->git_dir);
    fd_cleanup(&w.root);
    return w.rc;
}

void private_unlock(const char *git_dir)
{
    CLEANUP_MEM mem *tmp = mem_root();
    static const char *const locks[] = {"index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        unlink(mem_printf(tmp, "%s/%s", git_dir, locks[i]));
}

struct giving {
    int root;
    uid_t uid;
    gid_t gid;
    size_t given;
    int failed;
};

static int give_one(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct giving *g = arg;
    (void)kind;
    if (st->st_uid == g->uid && st->st_gid == g->gid)
        return 0;
    if (fchownat(g->root, path, g->uid, g->gid, AT_SYMLINK_NOFOLLOW) < 0 && !(errno == EPERM && geteuid() != 0)) {
        g->failed = errno;
        return -1;
    }
    g->given++;
    return 0;
}

enum rc private_own(const char *git_dir, const char *dir, uid_t uid, gid_t gid, struct err *err)
{
    struct giving give = {
        .root = -1, .uid = uid == (uid_t)-1 ? geteuid() : uid, .gid = gid == (gid_t)-1 ? getegid() : gid};
    if (geteuid() != 0 || (give.uid == 0 && give.gid == 0))
        return RC_OK; /* what we make is ours already, or cannot be given away */
    CLEANUP_FD int root = -1;
    enum rc rc = path_open_root(dir, &root, err);
    give.root = root;
    if (rc == RC_OK)
        rc = path_walk(root, "", give_one, &give, err);
    if (rc == RC_OK && give.failed)
        rc = err_sys(err, give.failed, "Could not hand over the workspace");
    if (rc != RC_OK || !give.given)
        return rc;
    /* A new owner is a new status time, which git would take for a changed file and read it again each time. */
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .work_tree = dir, .writes = true, .timeout_ms = GIT_LONG_MS};
    struct proc_result res;
    return git_run(tmp, &g, GIT_ARGS("update-index", "-q", "--refresh"), &res, err);
}
