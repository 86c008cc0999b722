/* Making commits and trees. Objects that are written are complete before anything refers to them; names of people and
 * dates come from the caller, so that the same call makes the same commit. Not here: work trees. */
#include "os/path.h"
#include "repo/git.h"
#include "repo/repo.h"

/* ---- Commits ---- */

/* git refuses an identity that is empty once it has stripped these off both ends. */
static bool name_is_crud(const char *s)
{
    return s[strspn(s, " .,:;<>\"\\'")] == '\0';
}

static const char *identity_clean(mem *ctx, const char *name, const char *otherwise)
{
    char *copy = str_utf8_clean(ctx, str_of(name)), *to = copy;
    for (const char *p = copy; *p; p++)
        if ((unsigned char)*p >= ' ' && *p != 0x7f && *p != '<' && *p != '>')
            *to++ = *p;
    *to = '\0';
    return name_is_crud(copy) ? otherwise : copy;
}

static enum rc ref_set(const char *git_dir, const char *ref, const char *commit, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .writes = true};
    if (strncmp(ref, "refs/", 5) != 0)
        return err_set(err, RC_INVALID, "%s is not the name of a reference", git_show(tmp, ref));
    return git_do(tmp, &g, mem_printf(tmp, "set %s", git_show(tmp, ref)),
                  GIT_ARGS("update-ref", "--no-deref", ref, commit), NULL, err);
}

enum rc repo_commit(mem *ctx, const char *git_dir, const struct repo_commit *c, const char **ret_commit,
                    struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (!git_is_oid(c->tree) || (c->parent && !git_is_oid(c->parent)) || c->time_s < 0)
        return err_set(err, RC_INVALID, "A commit needs a tree, a parent and a time");
    const char *env[] = {
        mem_printf(tmp, "GIT_AUTHOR_NAME=%s", identity_clean(tmp, c->author_name, "unknown")),
        mem_printf(tmp, "GIT_AUTHOR_EMAIL=%s", identity_clean(tmp, c->author_email, "unknown")),
        mem_printf(tmp, "GIT_AUTHOR_DATE=@%lld +0000", (long long)c->time_s),
        mem_printf(tmp, "GIT_COMMITTER_NAME=%s", identity_clean(tmp, c->committer_name, "unknown")),
        mem_printf(tmp, "GIT_COMMITTER_EMAIL=%s", identity_clean(tmp, c->committer_email, "unknown")),
        mem_printf(tmp, "GIT_COMMITTER_DATE=@%lld +0000", (long long)c->time_s),
        NULL,
    };
    size_t n = strlen(c->message);
    const char *end = n && c->message[n - 1] == '\n' ? "" : "\n";
    struct git g = {
        .git_dir = git_dir, .env = env, .input = str_of(mem_printf(tmp, "%s%s", c->message, end)), .writes = true};
    const char *const *args =
        c->parent ? GIT_ARGS("commit-tree", c->tree, "-p", c->parent) : GIT_ARGS("commit-tree", c->tree);
    const char *oid;
    enum rc rc = git_line(tmp, &g, "write a commit", args, &oid, err);
    if (rc == RC_OK && !git_is_oid(oid))
        rc = err_set(err, RC_IO, "git gave no name for a commit");
    if (rc == RC_OK && c->ref)
        rc = ref_set(git_dir, c->ref, oid, err);
    if (rc == RC_OK)
        *ret_commit = mem_str(ctx, oid);
    return rc;
}

/* ---- Trees ---- */

static enum rc blob_write(mem *ctx, const char *git_dir, struct str contents, const char **ret_oid, struct err *err)
{
    struct git g = {.git_dir = git_dir, .input = contents, .writes = true, .timeout_ms = GIT_LONG_MS};
    return git_line(ctx, &g, "write a file into the repository",
                    GIT_ARGS("hash-object", "-w", "--no-filters", "--stdin"), ret_oid, err);
}

/* Lines for update-index --index-info. */
static enum rc edits_lines(mem *ctx, const char *git_dir, size_t oid_chars, const struct repo_edit *edits, size_t n,
                           struct buf *lines, struct err *err)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    for (size_t i = 0; i < n; i++) {
        const struct repo_edit *e = &edits[i];
        if (!e->path || !git_path_allowed(e->path)) /* git would pass it over and be content */
            return err_set(err, RC_INVALID, "A tree cannot hold a file of this name: %s",
                           git_show(ctx, e->path ? e->path : ""));
        const char *oid = e->mode == 0 ? mem_strn(ctx, zeros, oid_chars) : e->oid;
        enum rc rc = RC_OK;
        if (!oid)
            rc = blob_write(ctx, git_dir, e->contents, &oid, err);
        if (rc != RC_OK)
            return rc;
        if (!git_is_oid(oid))
            return err_set(err, RC_INVALID, "\"%s\" is not the id of a file", git_show(ctx, oid));
        buf_printf(lines, "%o %s\t%s", e->mode, oid, e->path);
        buf_char(lines, '\0');
    }
    return lines->overflow ? err_set(err, RC_LIMIT, "There are too many files to change in a tree") : RC_OK;
}

/* In a throw-away index: git knows how files and folders of one name displace each other. */
static enum rc tree_build(mem *ctx, const char *git_dir, const char *tree, const char *index, struct str lines,
                          const char **ret_tree, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir, .index = index, .writes = true, .timeout_ms = GIT_LONG_MS};
    enum rc rc = git_do(tmp, &g, "read a tree", GIT_ARGS("read-tree", tree), NULL, err);
    if (rc != RC_OK)
        return rc;
    g.input = lines;
    rc = lines.n ? git_do(tmp, &g, "change a tree", GIT_ARGS("update-index", "-z", "--index-info"), NULL, err) : RC_OK;
    g.input = STR("");
    return rc == RC_OK ? git_line(ctx, &g, "write a tree", GIT_ARGS("write-tree"), ret_tree, err) : rc;
}

enum rc repo_tree_edit(mem *ctx, const char *git_dir, const char *tree, const struct repo_edit *edits, size_t n,
                       const char **ret_tree, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf lines;
    const char *base, *dir = NULL;
    enum rc rc = repo_tree_of(tmp, git_dir, tree, &base, err);
    buf_init(&lines, tmp, GIT_BIG_OUT);
    if (rc == RC_OK)
        rc = edits_lines(tmp, git_dir, strlen(base), edits, n, &lines, err);
    if (rc == RC_OK)
        rc = git_temp_dir(tmp, &dir, err);
    if (rc == RC_OK)
        rc = tree_build(ctx, git_dir, base, mem_printf(tmp, "%s/index", dir), buf_view(&lines), ret_tree, err);
    if (dir && path_remove_tree(dir, NULL) != RC_OK && rc == RC_OK)
        rc = err_set(err, RC_IO, "Could not remove the temporary folder %s", dir);
    return rc;
}
