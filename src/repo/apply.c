/* The user's own files: applying a delivered commit to the branch that is checked out, and taking a delivery back.
 *
 * The order is always: check everything, files and index by one `git read-tree -m -u` (which checks again and changes
 * nothing when it refuses), then the references in one transaction. A crash between the two leaves files and index at
 * the new commit and the branch at the old one; the same call made again recognises this and finishes. The git that
 * moves files outlives us when we are killed. Not here: how commits come into the repository (deliver.c). */
#include "base/clock.h"
#include "os/path.h"
#include "repo/git.h"
#include "repo/place.h"
#include "repo/refs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAMED_MAX = 5, /* paths named in an error */
    MERGE_MAX = 64 << 20,
};

/* The user's work tree. */
struct tree {
    mem *ctx;
    const struct repo_facts *repo;
    struct place place;
    struct git git;       /* with the guard */
    const char *head;     /* commit */
    const char *head_ref; /* refs/heads/..., NULL when detached */
};

static enum rc tree_open(struct tree *t, mem *ctx, const struct repo_facts *repo, struct err *err)
{
    const char *const *guard;
    struct proc_result res;
    *t = (struct tree){.ctx = ctx, .repo = repo};
    enum rc rc = place_find(ctx, repo->top, &t->place, err);
    if (rc == RC_OK)
        rc = git_guard(ctx, t->place.git_dir, &guard, err);
    if (rc == RC_OK)
        rc = repo_resolve(ctx, t->place.git_dir, "HEAD", &t->head, err);
    if (rc != RC_OK)
        return rc;
    t->git = (struct git){.git_dir = t->place.git_dir,
                          .work_tree = t->place.top,
                          .guard = guard,
                          .max_out = GIT_BIG_OUT,
                          .timeout_ms = GIT_LONG_MS,
                          .outlives = true};
    struct git g = {.git_dir = t->place.git_dir};
    rc = git_run(ctx, &g, GIT_ARGS("symbolic-ref", "-q", "HEAD"), &res, err);
    if (rc == RC_OK && res.exit_code == 0)
        t->head_ref = str_dup(ctx, str_trim(res.out));
    return rc;
}

/* ---- Whether files may be moved ---- */

/* Appends a path to a short list; counts all. */
static void name_path(struct buf *b, size_t *n, const char *path)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (++*n <= NAMED_MAX)
        buf_printf(b, "%s%s", *n > 1 ? ", " : "", git_show(tmp, path));
}

static enum rc paths_conflict(const struct buf *b, size_t n, const char *sentence, const char *hint, struct err *err)
{
    err_set(err, RC_CONFLICT, "%s", sentence);
    if (n > NAMED_MAX)
        err_detail(err, "%.*s and %zu more", STR_FMT(buf_view(b)), n - NAMED_MAX);
    else
        err_detail(err, "%.*s", STR_FMT(buf_view(b)));
    err_hint(err, "%s", hint);
    return RC_CONFLICT;
}

/* Whether the index already is `commit`, as after a crash before the references moved. */
static enum rc index_is(const struct tree *t, const char *commit, bool *ret, struct err *err)
{
    struct proc_result res;
    struct git g = t->git;
    g.max_out = 0;
    enum rc rc = git_run(t->ctx, &g,
                         GIT_ARGS("diff-index", "--cached", "--quiet", "--ignore-submodules=none", "--no-ext-diff",
                                  "--no-textconv", commit, "--"),
                         &res, err);
    if (rc == RC_OK && res.exit_code > 1)
        rc = git_failed(err, "compare the index", res.err);
    *ret = res.exit_code == 0;
    return rc;
}

/* Tracked files must be as HEAD has them. *ret_moved: they are as `to` has them instead. */
static enum rc tracked_check(const struct tree *t, const char *to, bool *ret_moved, struct err *err)
{
    struct str out, entry;
    struct buf names;
    size_t staged = 0, changed = 0, named = 0;
    *ret_moved = false;
    enum rc rc = git_do(
        t->ctx, &t->git, "look for changes in the work tree",
        GIT_ARGS("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"),
        &out, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&names, t->ctx, GIT_SMALL_OUT);
    while (str_next(&out, '\0', &entry) && entry.n > 3) {
        staged += entry.p[0] != ' ';
        changed += entry.p[1] != ' ';
        name_path(&names, &named, str_dup(t->ctx, str_sub(entry, 3, entry.n)));
    }
    if (staged && !changed) {
        rc = index_is(t, to, ret_moved, err);
        if (rc != RC_OK || *ret_moved)
            return rc;
    }
    if (named)
        return paths_conflict(&names, named, "The work tree has changes that are not committed",
                              "Commit or stash them (git stash), then try again.", err);
    /* Nothing differs from HEAD; HEAD and `to` can be the same tree. */
    return RC_OK;
}

static bool is_removed(const struct repo_change *changes, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (changes[i].status == 'D' && strcmp(changes[i].path, path) == 0)
            return true;
    return false;
}

/* Whether a file that nobody tracks stands where `path` will be written: at it, at a folder of it, or below it. */
static enum rc in_the_way(const struct tree *t, int root, const char *path, const struct repo_change *changes, size_t n,
                          const char **ret, struct err *err)
{
    struct stat st;
    *ret = NULL;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        const char *folder = mem_strn(t->ctx, path, (size_t)(slash - path));
        if (fstatat(root, folder, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return RC_OK;
        if (S_ISDIR(st.st_mode))
            continue;
        *ret = is_removed(changes, n, folder) ? NULL : folder;
        return RC_OK;
    }
    if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return RC_OK;
    if (!S_ISDIR(st.st_mode)) {
        *ret = path;
        return RC_OK;
    }
    struct str out, first; /* tracked files below it go; others must not */
    enum rc rc = git_do(t->ctx, &t->git, "look for files in the way",
                        GIT_ARGS("ls-files", "-z", "--others", "--", path), &out, err);
    if (rc == RC_OK && str_next(&out, '\0', &first) && first.n)
        *ret = str_dup(t->ctx, first);
    return rc;
}

/* git protects untracked files, but not those that are ignored: we protect both. */
static enum rc untracked_check(const struct tree *t, const char *from, const char *to, struct err *err)
{
    struct repo_change *changes;
    size_t n, named = 0;
    struct buf names;
    CLEANUP_FD int root = -1;
    enum rc rc = repo_changes(t->ctx, t->place.common, from, to, &changes, &n, err);
    if (rc == RC_OK)
        rc = path_open_root(t->place.top, &root, err);
    buf_init(&names, t->ctx, GIT_SMALL_OUT);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const char *found = NULL;
        if (changes[i].status == 'A')
            rc = in_the_way(t, root, changes[i].path, changes, n, &found, err);
        if (rc == RC_OK && found)
            name_path(&names, &named, found);
    }
    if (rc == RC_OK && named)
        return paths_conflict(&names, named, "Files that are not in git would be overwritten",
                              "Move them away, then try again.", err);
    return rc;
}

/* ---- Moving ---- */

/* Brings files and index from HEAD (`from`) to `to`. Nothing is changed when it fails. */
static enum rc files_move(const struct tree *t, const char *from, const char *to, struct err *err)
{
    bool moved;
    enum rc rc = tracked_check(t, to, &moved, err);
    if (rc != RC_OK || moved)
        return rc;
    rc = untracked_check(t, from, to, err);
    if (rc != RC_OK)
        return rc;
    struct git g = t->git;
    g.writes = true;
    /* Refresh first: a file that was touched but not changed would count as changed. */
    struct proc_result res;
    rc = git_run(t->ctx, &g, GIT_ARGS("update-index", "-q", "--refresh"), &res, err);
    if (rc != RC_OK)
        return rc;
    rc = git_run(t->ctx, &g, GIT_ARGS("read-tree", "-m", "-u", from, to), &res, err);
    if (rc == RC_OK && res.exit_code != 0) {
        rc = git_failed(err, "update the files of the work tree", res.err);
        if (rc == RC_IO && err)
            err->rc = rc = RC_CONFLICT;
    }
    return rc;
}

/* References after the files; when they cannot follow, the files go back. */
static enum rc refs_follow(const struct tree *t, const char *reason, const char *from, const char *to,
                           const struct ref_change *changes, size_t n, struct err *err)
{
    enum rc rc = refs_change(t->repo, t->place.git_dir, reason, changes, n, err);
    if (rc == RC_OK)
        return rc;
    struct git g = t->git;
    g.writes = true;
    struct err again;
    if (git_do(t->ctx, &g, "put the files back", GIT_ARGS("read-tree", "-m", "-u", to, from), NULL, &again) != RC_OK)
        err_detail(err, "The files are at %.12s and could not be put back: %s", to, again.detail);
    return rc;
}

enum rc repo_apply(const struct repo_facts *repo, const char *base, const char *commit, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct tree t;
    struct proc_result res;
    if (!git_is_oid(base) || !git_is_oid(commit))
        return err_set(err, RC_INVALID, "Only a commit can be applied to a commit");
    enum rc rc = tree_open(&t, tmp, repo, err);
    if (rc != RC_OK)
        return rc;
    if (!t.head_ref) {
        err_set(err, RC_CONFLICT, "No branch is checked out: HEAD is detached");
        err_hint(err, "Check out a branch (git switch), then merge the delivered one.");
        return RC_CONFLICT;
    }
    if (strcmp(t.head, commit) == 0)
        return RC_OK; /* applied before */
    if (strcmp(t.head, base) != 0) {
        err_set(err, RC_CONFLICT, "The checked-out branch has moved on since the task began");
        err_detail(err, "It is at %.12s, the task began at %.12s.", t.head, base);
        err_hint(err, "Merge the delivered branch: git merge BRANCH");
        return RC_CONFLICT;
    }
    struct git g = {.git_dir = t.place.git_dir};
    rc = git_run(tmp, &g, GIT_ARGS("merge-base", "--is-ancestor", base, commit), &res, err);
    if (rc == RC_OK && res.exit_code != 0)
        rc = err_set(err, RC_CONFLICT, "The commit %.12s does not follow %.12s", commit, base);
    if (rc == RC_OK)
        rc = files_move(&t, base, commit, err);
    if (rc != RC_OK)
        return rc;
    struct ref_change change = {.ref = t.head_ref, .to = commit, .from = base};
    return refs_follow(&t, "nightmill: apply", base, commit, &change, 1, err);
}

/* ---- Undo ---- */

struct undo {
    struct tree tree;
    const char *commit, *branch_ref;
    const char *branch_at;  /* value of the delivered branch, NULL: gone */
    const char *undone_ref; /* refs/nightmill/undone/<task> */
    const char *undone_at;
    const char **ret_words;
    mem *ctx;
};

static bool task_id_fits(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= 100 && id[n] == '\0' && id[0] != '-';
}

/* Whether some work tree has the delivered branch checked out; its folder. */
static enum rc branch_in_use(const struct undo *u, const char **ret, struct err *err)
{
    struct git g = {.git_dir = u->tree.place.git_dir};
    enum rc rc = git_line(u->tree.ctx, &g, "look for work trees",
                          GIT_ARGS("for-each-ref", "--format=%(worktreepath)", u->branch_ref), ret, err);
    if (rc == RC_OK && !(*ret)[0])
        *ret = NULL;
    return rc;
}

static enum rc undo_branch(struct undo *u, struct err *err)
{
    const char *in_use;
    struct ref_change changes[2] = {{.ref = u->undone_ref, .to = u->commit}, {.ref = u->branch_ref, .from = u->commit}};
    if (!u->branch_at && u->undone_at) {
        *u->ret_words = "it had been taken back before";
        return RC_OK;
    }
    if (u->branch_at && strcmp(u->branch_at, u->commit) != 0) {
        err_set(err, RC_CONFLICT, "The branch %s has other commits than the delivered one", u->branch_ref + 11);
        err_hint(err, "Look at it with git log, and take back what you want yourself.");
        return RC_CONFLICT;
    }
    enum rc rc = branch_in_use(u, &in_use, err);
    if (rc == RC_OK && in_use) {
        err_set(err, RC_CONFLICT, "The branch %s is checked out in %s", u->branch_ref + 11, in_use);
        err_hint(err, "Check out another branch there first: git switch -");
        return RC_CONFLICT;
    }
    if (rc == RC_OK)
        rc = refs_change(u->tree.repo, u->tree.place.git_dir, "nightmill: undo", changes, u->branch_at ? 2 : 1, err);
    if (rc == RC_OK)
        *u->ret_words = u->branch_at ? mem_printf(u->ctx, "the branch %s was removed", u->branch_ref + 11)
                                     : mem_printf(u->ctx, "the branch %s was gone already", u->branch_ref + 11);
    return rc;
}

/* Files to `to`, then: the checked-out branch to it, the commit kept, the delivered branch gone if it only names it. */
static enum rc undo_move(struct undo *u, const char *to, struct err *err)
{
    struct tree *t = &u->tree;
    const char *in_use = NULL;
    struct ref_change changes[3] = {{.ref = t->head_ref, .to = to, .from = t->head},
                                    {.ref = u->undone_ref, .to = u->commit}};
    size_t n = 2;
    enum rc rc = files_move(t, t->head, to, err);
    if (rc != RC_OK)
        return rc;
    if (u->branch_at && strcmp(u->branch_at, u->commit) == 0 && strcmp(u->branch_ref, t->head_ref) != 0) {
        rc = branch_in_use(u, &in_use, err);
        if (rc == RC_OK && !in_use)
            changes[n++] = (struct ref_change){.ref = u->branch_ref, .from = u->commit};
    }
    return rc == RC_OK ? refs_follow(t, "nightmill: undo", t->head, to, changes, n, err) : rc;
}

/* ---- A commit that reverses ---- */

struct listing {
    struct repo_entry *v;
    size_t n;
};

static int entry_order(const void *a, const void *b)
{
    return strcmp(((const struct repo_entry *)a)->path, ((const struct repo_entry *)b)->path);
}

static const struct repo_entry *entry_at(const struct listing *l, const char *path)
{
    struct repo_entry key = {.path = path};
    return l->n ? bsearch(&key, l->v, l->n, sizeof *l->v, entry_order) : NULL;
}

static bool entry_same(const struct repo_entry *a, const struct repo_entry *b)
{
    return a && b ? a->mode == b->mode && strcmp(a->oid, b->oid) == 0 : a == b;
}

static bool entry_is_file(const struct repo_entry *e)
{
    return e && (e->mode & S_IFMT) == S_IFREG;
}

static enum rc side_write(const struct undo *u, const char *dir, const char *name, const struct repo_entry *e,
                          struct err *err)
{
    struct git g = {.git_dir = u->tree.place.git_dir, .max_out = MERGE_MAX};
    struct str text;
    mem *ctx = u->tree.ctx;
    enum rc rc = git_do(ctx, &g, "read a file", GIT_ARGS("cat-file", "blob", e->oid), &text, err);
    return rc == RC_OK ? path_write_durable(mem_printf(ctx, "%s/%s", dir, name), text, 0600, err) : rc;
}

/* Three-way: what is there now, minus what the commit did. RC_CONFLICT when lines of both meet. */
static enum rc file_reverse(const struct undo *u, const struct repo_entry *now, const struct repo_entry *after,
                            const struct repo_entry *before, struct repo_edit *ret, struct err *err)
{
    mem *ctx = u->tree.ctx;
    const char *dir;
    struct proc_result res;
    enum rc rc = git_temp_dir(ctx, &dir, err);
    if (rc != RC_OK)
        return rc;
    rc = side_write(u, dir, "now", now, err);
    if (rc == RC_OK)
        rc = side_write(u, dir, "after", after, err);
    if (rc == RC_OK)
        rc = side_write(u, dir, "before", before, err);
    struct git g = {.git_dir = u->tree.place.git_dir, .max_out = MERGE_MAX};
    if (rc == RC_OK)
        rc = git_run(ctx, &g,
                     GIT_ARGS("merge-file", "-p", "-q", mem_printf(ctx, "%s/now", dir),
                              mem_printf(ctx, "%s/after", dir), mem_printf(ctx, "%s/before", dir)),
                     &res, err);
    if (rc == RC_OK && (res.exit_code != 0 || res.flooded))
        rc = RC_CONFLICT;
    if (rc == RC_OK)
        *ret = (struct repo_edit){.path = now->path, .mode = now->mode, .contents = res.out};
    if (path_remove_tree(dir, NULL) != RC_OK && rc == RC_OK)
        rc = err_set(err, RC_IO, "Could not remove the temporary folder %s", dir);
    return rc;
}

/* *ret_edits turn HEAD's tree into one without the commit's changes. */
static enum rc reverse_edits(struct undo *u, const char *parent, struct repo_edit **ret_edits, size_t *ret_n,
                             struct err *err)
{
    mem *ctx = u->tree.ctx;
    const char *git_dir = u->tree.place.common;
    struct listing before, after, now;
    struct repo_change *changes;
    size_t n, count = 0, named = 0;
    struct buf names;
    enum rc rc = repo_list(ctx, git_dir, parent, &before.v, &before.n, err);
    if (rc == RC_OK)
        rc = repo_list(ctx, git_dir, u->commit, &after.v, &after.n, err);
    if (rc == RC_OK)
        rc = repo_list(ctx, git_dir, u->tree.head, &now.v, &now.n, err);
    if (rc == RC_OK)
        rc = repo_changes(ctx, git_dir, parent, u->commit, &changes, &n, err);
    if (rc != RC_OK)
        return rc;
    struct repo_edit *edits = mem_array(ctx, struct repo_edit, n + 1);
    buf_init(&names, ctx, GIT_SMALL_OUT);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const char *path = changes[i].path;
        const struct repo_entry *b = entry_at(&before, path), *a = entry_at(&after, path), *h = entry_at(&now, path);
        if (entry_same(h, b))
            continue;
        if (entry_same(h, a)) {
            edits[count++] = (struct repo_edit){.path = path, .mode = b ? b->mode : 0, .oid = b ? b->oid : NULL};
            continue;
        }
        rc = entry_is_file(b) && entry_is_file(a) && entry_is_file(h) && a->mode == b->mode
                 ? file_reverse(u, h, a, b, &edits[count], err)
                 : RC_CONFLICT;
        if (rc == RC_OK) {
            count++;
        } else if (rc == RC_CONFLICT) {
            name_path(&names, &named, path);
            rc = RC_OK;
        }
    }
    if (rc == RC_OK && named)
        return paths_conflict(&names, named,
                              "Later commits changed the same places, so it cannot be taken back cleanly",
                              "Take it back by hand: git revert COMMIT", err);
    *ret_edits = edits;
    *ret_n = count;
    return rc;
}

static enum rc undo_reverse(struct undo *u, const char *task_id, const char *parent, struct err *err)
{
    struct tree *t = &u->tree;
    struct repo_edit *edits = NULL;
    size_t n = 0;
    const char *message, *tree, *commit, *old_tree;
    enum rc rc = reverse_edits(u, parent, &edits, &n, err);
    if (rc == RC_OK)
        rc = repo_tree_of(t->ctx, t->place.common, t->head, &old_tree, err);
    if (rc == RC_OK)
        rc = repo_tree_edit(t->ctx, t->place.common, old_tree, edits, n, &tree, err);
    if (rc == RC_OK)
        rc = repo_message(t->ctx, t->place.common, u->commit, &message, err);
    if (rc != RC_OK)
        return rc;
    if (strcmp(tree, old_tree) == 0) {
        *u->ret_words = "nothing of it is left to take back";
        struct ref_change kept = {.ref = u->undone_ref, .to = u->commit};
        return refs_change(t->repo, t->place.git_dir, "nightmill: undo", &kept, 1, err);
    }
    struct str rest = str_of(message), subject = {0};
    if (!str_line(&rest, &subject))
        subject = str_of(u->commit);
    struct repo_commit c = {.tree = tree,
                            .parent = t->head,
                            .message = mem_printf(t->ctx,
                                                  "Undo \"%.*s\"\n\nThis takes back commit %s.\n\nNightmill-Task: %s\n",
                                                  STR_FMT(subject), u->commit, task_id),
                            .author_name = committer_name(t->repo),
                            .author_email = committer_email(t->repo),
                            .committer_name = committer_name(t->repo),
                            .committer_email = committer_email(t->repo),
                            .time_s = clock_wall_ns() / 1000000000};
    rc = repo_commit(t->ctx, t->place.common, &c, &commit, err);
    if (rc == RC_OK)
        rc = undo_move(u, commit, err);
    if (rc == RC_OK)
        *u->ret_words =
            mem_printf(u->ctx, "commit %.12s reverses it on %s", commit, t->head_ref + strlen("refs/heads/"));
    return rc;
}

static enum rc undo_applied(struct undo *u, const char *task_id, struct err *err)
{
    struct tree *t = &u->tree;
    const char *parent;
    struct proc_result res;
    bool on_top = strcmp(t->head, u->commit) == 0;
    struct git g = {.git_dir = t->place.git_dir};
    enum rc rc = git_run(t->ctx, &g, GIT_ARGS("merge-base", "--is-ancestor", u->commit, t->head), &res, err);
    if (rc != RC_OK)
        return rc;
    if (u->undone_at && !on_top) {
        *u->ret_words = "it had been taken back before";
        return RC_OK;
    }
    if (!t->head_ref || (res.exit_code != 0 && !on_top)) {
        err_set(err, RC_CONFLICT, "The branch that is checked out does not hold the commit %.12s", u->commit);
        err_hint(err, "Check out the branch that it was applied to (git switch), then try again.");
        return RC_CONFLICT;
    }
    rc = repo_parent(t->ctx, t->place.common, u->commit, &parent, err);
    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_CONFLICT, "The commit %.12s is the first one: there is nothing to go back to",
                       u->commit);
    if (rc != RC_OK)
        return rc;
    if (!on_top)
        return undo_reverse(u, task_id, parent, err);
    rc = undo_move(u, parent, err);
    if (rc == RC_OK)
        *u->ret_words = mem_printf(u->ctx, "%s is at %.12s again", t->head_ref + strlen("refs/heads/"), parent);
    return rc;
}

enum rc repo_undo(mem *ctx, const struct repo_facts *repo, const char *task_id, const char *commit, const char *branch,
                  bool applied, const char **ret_words, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct undo u = {.commit = commit, .ret_words = ret_words, .ctx = ctx};
    const char *found;
    if (!git_is_oid(commit) || !task_id || !task_id_fits(task_id))
        return err_set(err, RC_INVALID, "There is no such delivery");
    enum rc rc = tree_open(&u.tree, tmp, repo, err);
    if (rc == RC_OK)
        rc = repo_resolve(tmp, u.tree.place.git_dir, commit, &found, err);
    if (rc == RC_OK)
        rc = ref_of_branch(tmp, repo->git_dir, branch, &u.branch_ref, err);
    if (rc == RC_OK)
        rc = ref_read(tmp, repo->git_dir, u.branch_ref, &u.branch_at, err);
    u.undone_ref = mem_printf(tmp, "refs/nightmill/undone/%s", task_id);
    if (rc == RC_OK)
        rc = ref_read(tmp, repo->git_dir, u.undone_ref, &u.undone_at, err);
    if (rc == RC_OK && u.undone_at && strcmp(u.undone_at, commit) != 0)
        u.undone_at = NULL; /* of an earlier delivery */
    if (rc != RC_OK)
        return rc;
    return applied ? undo_applied(&u, task_id, err) : undo_branch(&u, err);
}
