/* What commands made in a folder: beside the files of a tree, told apart by whether git ignores it. */
#include "os/path.h"
#include "repo/git.h"
#include "repo/repo.h"

enum { EXTRA_MAX = 200000 }; /* names of one kind; more is no list that anybody could use */

static enum rc names_take(mem *ctx, const struct git *g, const char *const *args, const char *const **ret,
                          size_t *ret_n, struct err *err)
{
    struct str out, name;
    const char **v = NULL;
    size_t n = 0, room = 0;
    enum rc rc = git_do(ctx, g, "look for what was made", args, &out, err);
    while (rc == RC_OK && str_next(&out, '\0', &name) && name.n) {
        if (n == EXTRA_MAX)
            return err_set(err, RC_LIMIT, "More than %d files were made beside those of the commit", EXTRA_MAX);
        if (n == room)
            v = mem_grow(ctx, v, (room = room ? room * 2 : 64) * sizeof *v);
        v[n++] = str_dup(ctx, name);
    }
    *ret = v;
    *ret_n = n;
    return rc;
}

/* git names a folder of which everything happens to be ignored before what is in it: the folder itself is not meant. */
static void parents_drop(const char *const *names, size_t *n)
{
    const char **v = (const char **)(uintptr_t)names;
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        size_t len = strlen(v[i]);
        bool parent = v[i][len - 1] == '/' && i + 1 < *n && strncmp(v[i + 1], v[i], len) == 0;
        if (!parent)
            v[kept++] = v[i];
    }
    *n = kept;
}

enum rc repo_extra(mem *ctx, const char *git_dir, const char *treeish, const char *dir, struct repo_extra *ret,
                   struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *folder = NULL;
    *ret = (struct repo_extra){0};
    enum rc rc = git_name_check(treeish, err);
    if (rc == RC_OK)
        rc = git_temp_dir(tmp, &folder, err);
    struct git g = {.git_dir = git_dir, .writes = true, .timeout_ms = GIT_LONG_MS, .max_out = GIT_BIG_OUT};
    g.index = folder ? mem_printf(tmp, "%s/index", folder) : NULL;
    if (rc == RC_OK)
        rc = git_do(tmp, &g, "read the commit", GIT_ARGS("read-tree", treeish), NULL, err);
    g.work_tree = dir;
    if (rc == RC_OK)
        rc = names_take(ctx, &g,
                        GIT_ARGS("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"),
                        &ret->ignored, &ret->ignored_count, err);
    parents_drop(ret->ignored, &ret->ignored_count);
    if (rc == RC_OK)
        rc = names_take(
            ctx, &g,
            GIT_ARGS("ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory"),
            &ret->others, &ret->other_count, err);
    if (rc == RC_OK)
        rc = names_take(ctx, &g, GIT_ARGS("ls-files", "-z", "--modified"), &ret->changed, &ret->changed_count, err);
    if (folder && path_remove_tree(folder, NULL) != RC_OK && rc == RC_OK)
        rc = err_set(err, RC_IO, "Could not remove the temporary folder %s", folder);
    return rc;
}
