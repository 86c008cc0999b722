/* Reading commits, trees and blobs of any repository, private or the user's. Plumbing commands that only look at
 * objects: no index, no work tree, no attributes. Not here: writing. */
#include "repo/git.h"
#include "repo/repo.h"
#include <stdlib.h>

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

/* "100644 blob <oid>\t<path>" */
static bool entry_parse(mem *ctx, struct str line, struct repo_entry *ret)
{
    long tab = str_find(line, STR("\t"));
    struct str head = tab < 0 ? line : str_sub(line, 0, (size_t)tab), mode, type, oid;
    if (tab < 0 || !str_next(&head, ' ', &mode) || !str_next(&head, ' ', &type) || !str_next(&head, ' ', &oid))
        return false;
    char *end;
    char *digits = str_dup(ctx, mode);
    ret->mode = (unsigned)strtoul(digits, &end, 8);
    ret->oid = str_dup(ctx, oid);
    ret->path = str_dup(ctx, str_sub(line, (size_t)tab + 1, line.n));
    return *end == '\0' && git_is_oid(ret->oid) && ret->path[0];
}

static size_t count_records(struct str s)
{
    size_t n = 0;
    for (const char *p = s.p, *end = s.p + s.n; p < end && (p = memchr(p, '\0', (size_t)(end - p))); p++)
        n++;
    return n;
}

enum rc repo_list(mem *ctx, const char *git_dir, const char *treeish, struct repo_entry **ret, size_t *ret_n,
                  struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .max_out = GIT_BIG_OUT, .timeout_ms = GIT_LONG_MS};
    struct str out, line;
    enum rc rc = git_name_check(treeish, err);
    if (rc == RC_OK)
        rc = git_do(tmp, &g, "list the files of a tree", GIT_ARGS("ls-tree", "-r", "-z", "--full-tree", treeish), &out,
                    err);
    if (rc != RC_OK)
        return rc;
    size_t n = 0, most = count_records(out);
    struct repo_entry *v = mem_array(ctx, struct repo_entry, most + 1);
    while (n < most && str_next(&out, '\0', &line))
        if (!entry_parse(v, line, &v[n++])) {
            mem_free(v);
            return err_set(err, RC_IO, "git lists a file that cannot be understood");
        }
    *ret = v;
    *ret_n = n;
    return RC_OK;
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

/* ":100644 100755 <oid> <oid> M" and the path that follows. */
static bool change_parse(mem *ctx, struct str head, struct str path, struct repo_change *ret)
{
    struct str piece = {0};
    for (int i = 0; i < 5; i++)
        if (!str_next(&head, ' ', &piece))
            return false;
    if (piece.n == 0 || !strchr("AMDT", piece.p[0]) || path.n == 0)
        return false;
    *ret = (struct repo_change){.path = str_dup(ctx, path), .status = piece.p[0]};
    return true;
}

/* "12\t3\tpath", or "-\t-\tpath" for a binary file. */
static bool numbers_parse(struct str line, int64_t *ret_added, int64_t *ret_removed, struct str *ret_path)
{
    struct str added, removed;
    if (!str_next(&line, '\t', &added) || !str_next(&line, '\t', &removed))
        return false;
    *ret_path = line;
    if (str_eqz(added, "-")) {
        *ret_added = *ret_removed = -1;
        return true;
    }
    return str_int(added, 0, INT64_MAX, ret_added) && str_int(removed, 0, INT64_MAX, ret_removed);
}

/* Raw records come first, then the numbers in the same order (a path may be missing among them). */
static bool changes_parse(mem *ctx, struct str out, struct repo_change *v, size_t *ret_n)
{
    struct str piece, path;
    size_t n = 0, at = 0;
    while (str_next(&out, '\0', &piece) && piece.n) {
        if (piece.p[0] == ':') {
            if (!str_next(&out, '\0', &path) || !change_parse(ctx, piece, path, &v[n++]))
                return false;
            continue;
        }
        int64_t added, removed;
        if (!numbers_parse(piece, &added, &removed, &path))
            return false;
        while (at < n && !str_eqz(path, v[at].path))
            at++;
        if (at == n)
            return false;
        v[at].added = added;
        v[at].removed = removed;
    }
    *ret_n = n;
    return true;
}

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
    struct repo_change *v = mem_array(ctx, struct repo_change, count_records(out) + 1);
    if (!changes_parse(v, out, v, ret_n)) {
        mem_free(v);
        return err_set(err, RC_IO, "git names a change that cannot be understood");
    }
    *ret = v;
    return RC_OK;
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
