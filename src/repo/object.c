/* Reading commits, trees and blobs of any repository, private or the user's. Plumbing commands that only look at
 * objects: no index, no work tree, no attributes. Not here: writing. */
#include "repo/git.h"
#include "repo/parse.h"
#include "repo/repo.h"

enum {
    COMMIT_MAX = 4 << 20,
    PATHS_PER_CALL = 64 * 1024, /* bytes of paths given to one diff-tree */
};

/* ---- Names to ids ---- */

/* *ret_oid for a revision expression; RC_NOT_FOUND when there is none. */
static enum rc rev_parse(mem *ctx, const char *git_dir, const char *expression, const char **ret_oid, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir};
    struct proc_result res;
    enum rc rc =
        git_run(tmp, &g, GIT_ARGS("rev-parse", "--verify", "--quiet", "--end-of-options", expression), &res, err);
    if (rc != RC_OK)
        return rc;
    const char *oid = str_dup(tmp, str_trim(res.out));
    if (res.exit_code == 0 && git_is_oid(oid)) {
        *ret_oid = mem_str(ctx, oid);
        return RC_OK;
    }
    if (res.exit_code != 1 && res.err.n > 0)
        return git_failed(err, mem_printf(tmp, "find %s", git_show(tmp, expression)), res.err);
    return err_set(err, RC_NOT_FOUND, "There is no %s in the repository", git_show(tmp, expression));
}

static enum rc rev_of(mem *ctx, const char *git_dir, const char *name, const char *suffix, const char **ret_oid,
                      struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = git_name_check(name, err);
    return rc == RC_OK ? rev_parse(ctx, git_dir, mem_printf(tmp, "%s%s", name, suffix), ret_oid, err) : rc;
}

enum rc repo_resolve(mem *ctx, const char *git_dir, const char *name, const char **ret_commit, struct err *err)
{
    return rev_of(ctx, git_dir, name, "^{commit}", ret_commit, err);
}

enum rc repo_tree_of(mem *ctx, const char *git_dir, const char *commit, const char **ret_tree, struct err *err)
{
    return rev_of(ctx, git_dir, commit, "^{tree}", ret_tree, err);
}

enum rc repo_parent(mem *ctx, const char *git_dir, const char *commit, const char **ret_commit, struct err *err)
{
    return rev_of(ctx, git_dir, commit, "^1", ret_commit, err);
}

enum rc repo_message(mem *ctx, const char *git_dir, const char *commit, const char **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .max_out = COMMIT_MAX};
    const char *oid;
    struct str text;
    enum rc rc = repo_resolve(tmp, git_dir, commit, &oid, err);
    if (rc == RC_OK)
        rc = git_do(tmp, &g, "read a commit", GIT_ARGS("cat-file", "commit", oid), &text, err);
    if (rc != RC_OK)
        return rc;
    long end = str_find(text, STR("\n\n")); /* headers hold no empty line */
    *ret = str_utf8_clean(ctx, end < 0 ? STR("") : str_sub(text, (size_t)end + 2, text.n));
    return RC_OK;
}

/* ---- Lists ---- */

enum rc repo_list(mem *ctx, const char *git_dir, const char *treeish, struct repo_entry **ret, size_t *ret_n,
                  struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .max_out = GIT_BIG_OUT, .timeout_ms = GIT_LONG_MS};
    struct str out;
    enum rc rc = git_name_check(treeish, err);
    if (rc == RC_OK)
        rc = git_do(tmp, &g, "list the files of a tree", GIT_ARGS("ls-tree", "-r", "-z", "--full-tree", treeish), &out,
                    err);
    if (rc != RC_OK)
        return rc;
    return entries_parse(ctx, out, ret, ret_n) ? RC_OK
                                               : err_set(err, RC_IO, "git lists a file that cannot be understood");
}

static enum rc entry_find(mem *ctx, const char *git_dir, const char *treeish, const char *path, struct repo_entry *ret,
                          struct err *err)
{
    struct git g = {.git_dir = git_dir};
    struct str out, line;
    enum rc rc = git_name_check(treeish, err);
    if (rc == RC_OK && !git_path_allowed(path))
        rc = err_set(err, RC_NOT_FOUND, "There is no file %s", git_show(ctx, path));
    if (rc == RC_OK)
        rc = git_do(ctx, &g, "find a file of a tree", GIT_ARGS("ls-tree", "-z", "--full-tree", treeish, "--", path),
                    &out, err);
    if (rc != RC_OK)
        return rc;
    while (str_next(&out, '\0', &line) && line.n)
        if (entry_parse(ctx, line, ret) && strcmp(ret->path, path) == 0)
            return RC_OK;
    return err_set(err, RC_NOT_FOUND, "There is no file %s", git_show(ctx, path));
}

enum rc repo_blob(mem *ctx, const char *git_dir, const char *treeish, const char *path, size_t max, struct str *ret,
                  struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct repo_entry e;
    struct proc_result res;
    enum rc rc = entry_find(tmp, git_dir, treeish, path, &e, err);
    if (rc != RC_OK)
        return rc;
    if (e.mode == 040000 || e.mode == 0160000)
        return err_set(err, RC_NOT_FOUND, "%s is a folder", git_show(tmp, path));
    struct git g = {.git_dir = git_dir, .max_out = max + 1, .timeout_ms = GIT_LONG_MS};
    mem *own = talloc_new(ctx); /* so that a blob that is too large does not stay with the caller */
    rc = git_run(own, &g, GIT_ARGS("cat-file", "blob", e.oid), &res, err);
    if (rc == RC_OK && res.exit_code != 0)
        rc = git_failed(err, "read a file of a tree", res.err);
    if (rc == RC_OK && res.out.n > max)
        rc = err_set(err, RC_LIMIT, "%s is larger than %zu bytes", git_show(tmp, path), max);
    if (rc != RC_OK) {
        mem_free(own);
        return rc;
    }
    *ret = res.out;
    return RC_OK;
}

/* ---- Differences ---- */

enum rc repo_changes(mem *ctx, const char *git_dir, const char *from, const char *to, struct repo_change **ret,
                     size_t *ret_n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .max_out = GIT_BIG_OUT, .timeout_ms = GIT_LONG_MS};
    struct str out;
    enum rc rc = git_name_check(from, err);
    if (rc == RC_OK)
        rc = git_name_check(to, err);
    if (rc == RC_OK)
        rc = git_do(tmp, &g, "compare two trees",
                    GIT_ARGS("diff-tree", "-r", "-z", "--raw", "--numstat", "--no-abbrev", "--no-renames",
                             "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", from, to, "--"),
                    &out, err);
    if (rc != RC_OK)
        return rc;
    return changes_parse(ctx, out, ret, ret_n) ? RC_OK
                                               : err_set(err, RC_IO, "git names a change that cannot be understood");
}

/* One diff-tree for the paths from paths[*at] on that fit; *at moves on. Text goes to `b`; *ret_cut: there was more. */
static enum rc diff_some(const char *git_dir, const char *from, const char *to, const char *const *paths, size_t *at,
                         struct buf *b, bool *ret_cut, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    static const char *const fixed[] = {"git",
                                        "diff-tree",
                                        "-r",
                                        "-p",
                                        "--no-color",
                                        "--no-renames",
                                        "--no-ext-diff",
                                        "--no-textconv",
                                        "--src-prefix=a/",
                                        "--dst-prefix=b/",
                                        "--ignore-submodules=none",
                                        "--submodule=short"};
    const size_t fixed_n = sizeof fixed / sizeof *fixed;
    size_t count = 0, bytes = 0;
    while (paths && paths[*at + count] && (count == 0 || bytes < PATHS_PER_CALL))
        bytes += strlen(paths[*at + count++]) + 1;
    const char **args = mem_array(tmp, const char *, fixed_n + count + 4);
    memcpy(args, fixed, sizeof fixed);
    size_t n = fixed_n;
    args[n++] = from;
    args[n++] = to;
    args[n++] = "--";
    for (size_t i = 0; i < count; i++)
        args[n++] = paths[(*at)++];
    struct git g = {.git_dir = git_dir, .max_out = b->max - b->n + 1, .timeout_ms = GIT_LONG_MS};
    struct proc_result res;
    enum rc rc = git_run(tmp, &g, args, &res, err);
    if (rc == RC_OK && res.exit_code != 0)
        rc = git_failed(err, "compare two trees", res.err);
    if (rc != RC_OK)
        return rc;
    *ret_cut = res.out.n > b->max - b->n;
    buf_str(b, str_sub(res.out, 0, b->max - b->n));
    return RC_OK;
}

enum rc repo_diff(mem *ctx, const char *git_dir, const char *from, const char *to, const char *const *paths, size_t max,
                  struct str *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    bool cut = false;
    size_t at = 0;
    enum rc rc = git_name_check(from, err);
    if (rc == RC_OK)
        rc = git_name_check(to, err);
    buf_init(&b, tmp, max);
    for (bool more = !paths || paths[0]; rc == RC_OK && !cut && more; more = paths && paths[at])
        rc = diff_some(git_dir, from, to, paths, &at, &b, &cut, err);
    if (rc != RC_OK)
        return rc;
    struct str text = buf_view(&b);
    if (cut) {
        size_t n = text.n;
        while (n > 0 && text.p[n - 1] != '\n')
            n--;
        text.n = n;
    }
    const char *mark = cut ? mem_printf(tmp, "[the diff is longer than %zu bytes and is cut here]\n", max) : "";
    char *all = mem_zalloc(ctx, text.n + strlen(mark) + 1);
    memcpy(all, text.p, text.n);
    memcpy(all + text.n, mark, strlen(mark));
    *ret = str_n(all, text.n + strlen(mark));
    return RC_OK;
}
