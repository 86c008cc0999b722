/* Making a task's workspace: plainly, or from a spare that was made before it was needed.
 *
 * A workspace is complete when the file git/nightmill is there; it is written last. Whatever a crash leaves without it
 * is thrown away and made again: at that time nobody has worked in it. A spare is a whole workspace (files, private
 * repository, index) of some commit of the same repository, for the same owner. Taking it is a rename, so two tasks
 * never get the same one, and bringing it from its commit to the base costs only what differs.
 * Not here: snapshots (snapshot.c), what the private repository consists of (private.c). */
#include "base/id.h"
#include "os/path.h"
#include "repo/export.h"
#include "repo/git.h"
#include "repo/private.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READY_MAX = 256,
    ABOUT_MAX = 3 * PATH_MAX,
    NOTES_EACH = 20, /* submodules named one by one */
    SPARES_MAX = 8,
};

static char spare_cache[PATH_MAX]; /* empty: no spares */
static size_t spares_wanted = 1;

void workspace_set_cache(const char *dir)
{
    size_t n = dir ? strlen(dir) : 0;
    BUG_ON(n >= sizeof spare_cache);
    if (n)
        memcpy(spare_cache, dir, n);
    spare_cache[n] = '\0';
}

void workspace_set_spares(size_t n)
{
    spares_wanted = n < 1 ? 1 : n > SPARES_MAX ? SPARES_MAX : n;
}

/* One workspace in the making; all paths in ctx. */
struct making {
    mem *ctx;
    const struct repo_facts *repo;
    const char *base;
    uid_t uid;
    gid_t gid;
    const char *work, *git_dir, *index, *ready, *links;
    struct repo_entry *entries;
    size_t n;
};

static void making_init(struct making *m, mem *ctx, const char *folder, const struct repo_facts *repo, const char *base,
                        uid_t uid, gid_t gid)
{
    *m = (struct making){.ctx = ctx,
                         .repo = repo,
                         .base = base,
                         .uid = uid,
                         .gid = gid,
                         .work = mem_printf(ctx, "%s/work", folder),
                         .git_dir = mem_printf(ctx, "%s/git", folder),
                         .index = mem_printf(ctx, "%s/git/index", folder),
                         .ready = mem_printf(ctx, "%s/git/nightmill", folder),
                         .links = mem_printf(ctx, "%s/git/nightmill-submodules", folder)};
}

/* ---- Plainly ---- */

static enum rc index_make(struct making *m, const struct file_stamp *stamps, struct err *err)
{
    struct git g = {.git_dir = m->git_dir, .writes = true, .timeout_ms = GIT_LONG_MS};
    enum rc rc = git_do(m->ctx, &g, "read the base commit", GIT_ARGS("read-tree", m->base), NULL, err);
    if (rc != RC_OK)
        return rc;
    rc = index_stamp(m->index, m->entries, m->n, stamps, err);
    struct proc_result res;
    g.work_tree = m->work;
    if (rc == RC_OK) /* git computes the checksum that we left out */
        return git_do(m->ctx, &g, "write the index", GIT_ARGS("update-index", "--force-write-index"), NULL, err);
    if (rc != RC_INVALID)
        return rc;
    /* An index of another form: git looks at all files itself, which only takes longer. */
    return git_run(m->ctx, &g, GIT_ARGS("update-index", "-q", "--refresh"), &res, err);
}

/* Paths of submodules, NUL-separated, beside the index: a snapshot says when one is not empty any more. */
static enum rc links_write(struct making *m, struct err *err)
{
    struct buf b;
    buf_init(&b, m->ctx, GIT_BIG_OUT);
    for (size_t i = 0; i < m->n; i++)
        if (m->entries[i].mode == 0160000)
            buf_add(&b, m->entries[i].path, strlen(m->entries[i].path) + 1);
    if (b.n == 0)
        return unlink(m->links) < 0 && errno != ENOENT ? err_sys(err, errno, "Could not remove %s", m->links) : RC_OK;
    return path_write_durable(m->links, buf_view(&b), 0644, err);
}

static enum rc make_plain(struct making *m, struct err *err)
{
    enum rc rc = private_make(m->git_dir, m->repo, m->base, err);
    if (rc == RC_OK)
        rc = repo_list(m->ctx, m->git_dir, m->base, &m->entries, &m->n, err);
    if (rc == RC_OK && mkdir(m->work, 0755) < 0)
        rc = err_sys(err, errno, "Could not make the folder %s", m->work);
    struct file_stamp *stamps = rc == RC_OK ? mem_array(m->ctx, struct file_stamp, m->n + 1) : NULL;
    if (rc == RC_OK)
        rc = export_files(m->git_dir, m->entries, m->n, m->work, m->uid, m->gid, stamps, err);
    if (rc == RC_OK)
        rc = index_make(m, stamps, err);
    return rc == RC_OK ? links_write(m, err) : rc;
}

/* ---- Spares ---- */

/* FNV-1a: names a folder; `about` inside says what it really is. */
static uint64_t fingerprint(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

/* What a spare must be to fit: everything but its commit. */
static const char *spare_kind(const struct making *m)
{
    return mem_printf(m->ctx, "%u %u %zu\n%s\n", (unsigned)m->uid, (unsigned)m->gid, strlen(m->base), m->repo->git_dir);
}

static const char *spare_path(const struct making *m, const char *kind, size_t number)
{
    return mem_printf(m->ctx, "%s/spare-%016llx.%zu", spare_cache, (unsigned long long)fingerprint(kind), number);
}

/* Commit of a spare that fits but for it, in ctx; NULL: there is none at this place. */
static const char *spare_commit(const struct making *m, const char *place, const char *kind)
{
    struct str about;
    if (path_slurp(m->ctx, mem_printf(m->ctx, "%s/about", place), ABOUT_MAX, &about, NULL) != RC_OK ||
        !str_starts(about, str_of(kind)))
        return NULL;
    const char *commit = str_dup(m->ctx, str_trim(str_sub(about, strlen(kind), about.n)));
    return git_is_oid(commit) ? commit : NULL;
}

/* Takes a spare, rather one of the base than another; its commit, or NULL. Two tasks never get the same: a rename has
 * one winner. */
static const char *spare_take(const struct making *m, const char *kind, const char *taken)
{
    for (int exact = 1; exact >= 0; exact--)
        for (size_t i = 0; i < SPARES_MAX; i++) {
            const char *place = spare_path(m, kind, i), *commit = spare_commit(m, place, kind);
            if (commit && (!exact || strcmp(commit, m->base) == 0) && rename(place, taken) == 0)
                return commit;
        }
    return NULL;
}

/* Brings a workspace whose files and index are those of commit `from` to the base. */
static enum rc make_update(struct making *m, const char *from, struct err *err)
{
    enum rc rc = private_make(m->git_dir, m->repo, m->base, err);
    if (rc != RC_OK || strcmp(from, m->base) == 0 || shift_files(m->git_dir, m->work, from, m->base, m->uid, m->gid))
        return rc;
    struct git g = {.git_dir = m->git_dir, .work_tree = m->work, .writes = true, .timeout_ms = GIT_LONG_MS};
    rc = git_do(m->ctx, &g, "bring the workspace to the base commit", GIT_ARGS("read-tree", "-m", "-u", from, m->base),
                NULL, err);
    if (rc == RC_OK)
        rc = private_own(m->git_dir, m->work, m->uid, m->gid, err);
    if (rc == RC_OK)
        rc = repo_list(m->ctx, m->git_dir, m->base, &m->entries, &m->n, err);
    return rc == RC_OK ? links_write(m, err) : rc;
}

/* Whether the workspace now is a spare brought to the base. Anything odd about a spare is no error: there is the plain
 * way, and what was taken is removed with the rest. */
static bool make_from_spare(struct making *m, const char *task_dir)
{
    if (!spare_cache[0])
        return false;
    const char *taken = mem_printf(m->ctx, "%s/spare", task_dir), *commit = spare_take(m, spare_kind(m), taken);
    return commit && rename(mem_printf(m->ctx, "%s/work", taken), m->work) == 0 &&
           rename(mem_printf(m->ctx, "%s/git", taken), m->git_dir) == 0 && make_update(m, commit, NULL) == RC_OK &&
           path_remove_tree(taken, NULL) == RC_OK;
}

static enum rc spare_make(struct making *m, const char *fresh, const char *kind, const char *place, struct err *err)
{
    enum rc rc = path_remove_tree(fresh, err);
    if (rc == RC_OK)
        rc = path_mkdirs(fresh, 0755, err);
    if (rc == RC_OK)
        rc = make_plain(m, err);
    if (rc == RC_OK)
        rc = path_write_durable(mem_printf(m->ctx, "%s/about", fresh),
                                str_of(mem_printf(m->ctx, "%s%s\n", kind, m->base)), 0644, err);
    if (rc == RC_OK)
        rc = path_remove_tree(place, err); /* of no use to anybody */
    if (rc == RC_OK && rename(fresh, place) < 0)
        rc = err_sys(err, errno, "Could not put the spare workspace in its place");
    return rc;
}

enum rc workspace_stock(const struct repo_facts *repo, const char *base, uid_t uid, gid_t gid, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct making m;
    if (!spare_cache[0])
        return RC_OK;
    if (!git_is_oid(base))
        return err_set(err, RC_INVALID, "\"%s\" is not a commit id", git_show(tmp, base));
    making_init(&m, tmp, "", repo, base, uid, gid);
    const char *kind = spare_kind(&m), *place = NULL;
    for (size_t i = 0; i < spares_wanted && !place; i++) {
        const char *at = spare_path(&m, kind, i);
        place = spare_commit(&m, at, kind) ? NULL : at;
    }
    if (!place)
        return RC_OK;
    const char *fresh = mem_printf(tmp, "%s.new", place);
    making_init(&m, tmp, fresh, repo, base, uid, gid);
    enum rc rc = path_mkdirs(spare_cache, 0700, err);
    CLEANUP_FD int lock = -1;
    if (rc == RC_OK)
        rc = path_lock(mem_printf(tmp, "%s.lock", place), &lock, NULL, err);
    if (rc == RC_CONFLICT)
        return RC_OK; /* somebody else is making it */
    if (rc != RC_OK || spare_commit(&m, place, kind))
        return rc;
    mode_t mask = umask(022);
    rc = spare_make(&m, fresh, kind, place, err);
    umask(mask);
    if (rc != RC_OK && path_remove_tree(fresh, NULL) != RC_OK)
        err_detail(err, "%s could not be removed.", fresh);
    return rc;
}

/* ---- Opening ---- */

enum rc repo_borrow(mem *ctx, const char *dir, const struct repo_facts *repo, const char **ret_git_dir, struct err *err)
{
    mode_t mask = umask(022);
    const char *git_dir = mem_printf(ctx, "%s/git", dir);
    enum rc rc = private_make(git_dir, repo, repo->head, err);
    umask(mask);
    *ret_git_dir = git_dir;
    return rc;
}

static void notes_links(const struct making *m, struct buf *notes)
{
    struct str text, path;
    size_t n = 0;
    if (!notes || path_slurp(m->ctx, m->links, GIT_BIG_OUT, &text, NULL) != RC_OK)
        return;
    while (str_next(&text, '\0', &path) && path.n)
        if (++n <= NOTES_EACH)
            buf_printf(notes, "The submodule %s is left empty.\n", git_show(m->ctx, str_dup(m->ctx, path)));
    if (n > NOTES_EACH)
        buf_printf(notes, "%zu more submodules are left empty.\n", n - NOTES_EACH);
}

static bool is_dir(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* RC_OK: it is complete; RC_NOT_FOUND: it has to be made. */
static enum rc ready_check(const struct making *m, struct err *err)
{
    struct str text;
    enum rc rc = path_slurp(m->ctx, m->ready, READY_MAX, &text, err);
    if (rc != RC_OK)
        return rc;
    if (!str_eqz(str_trim(text), m->base))
        return err_set(err, RC_CONFLICT, "The workspace %s was made for another base commit", m->work);
    if (!is_dir(m->work)) {
        err_set(err, RC_CONFLICT, "The files of the workspace %s are gone", m->work);
        err_hint(err, "The commits of its iterations are in %s.", m->git_dir);
        return RC_CONFLICT;
    }
    private_unlock(m->git_dir);
    return RC_OK;
}

static enum rc make_clear(const struct making *m, const char *task_dir, struct err *err)
{
    enum rc rc = path_remove_tree(m->work, err);
    if (rc == RC_OK)
        rc = path_remove_tree(m->git_dir, err);
    return rc == RC_OK ? path_remove_tree(mem_printf(m->ctx, "%s/spare", task_dir), err) : rc;
}

static enum rc make_whole(struct making *m, const char *task_dir, struct err *err)
{
    enum rc rc = path_mkdirs(task_dir, 0755, err);
    if (rc == RC_OK)
        rc = make_clear(m, task_dir, err);
    if (rc == RC_OK && !make_from_spare(m, task_dir)) {
        rc = make_clear(m, task_dir, err); /* what is left of a spare that did not fit */
        if (rc == RC_OK)
            rc = make_plain(m, err);
    }
    return rc == RC_OK ? path_write_durable(m->ready, str_of(mem_printf(m->ctx, "%s\n", m->base)), 0644, err) : rc;
}

enum rc workspace_open(mem *ctx, const char *task_dir, const struct repo_facts *repo, const char *base, uid_t uid,
                       gid_t gid, struct workspace *ret, struct buf *notes, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct making m;
    struct err why;
    if (!git_is_oid(base))
        return err_set(err, RC_INVALID, "\"%s\" is not a commit id", git_show(tmp, base ? base : ""));
    making_init(&m, tmp, task_dir, repo, base, uid, gid);
    mode_t mask = umask(022); /* another user reads the files and the history */
    enum rc rc = ready_check(&m, &why);
    if (rc == RC_NOT_FOUND)
        rc = make_whole(&m, task_dir, err);
    else if (rc != RC_OK && err)
        *err = why;
    umask(mask);
    if (rc != RC_OK)
        return rc;
    notes_links(&m, notes);
    *ret = (struct workspace){.dir = mem_str(ctx, m.work),
                              .git_dir = mem_str(ctx, m.git_dir),
                              .base = mem_str(ctx, base),
                              .source_git_dir = mem_str(ctx, repo->git_dir)};
    return RC_OK;
}
