/* What a user's repository is. Reads only; the answers are facts for people and for the pre-flight, and `git_dir`,
 * `head` and `top` are what everything later works with. Not here: judging whether a task may run. */
#include "repo/git.h"
#include "repo/place.h"
#include "repo/repo.h"
#include <stdlib.h>

/* HEAD may be unborn, which is an ordinary state of a new repository, or broken. */
static enum rc head_missing(mem *ctx, const struct git *g, const struct place *p, struct str words, struct err *err)
{
    struct proc_result res;
    enum rc rc = git_run(ctx, g, GIT_ARGS("symbolic-ref", "-q", "HEAD"), &res, err);
    if (rc != RC_OK)
        return rc;
    const char *ref = str_dup(ctx, str_trim(res.out));
    if (res.exit_code == 0) {
        rc = git_run(ctx, g, GIT_ARGS("rev-parse", "--verify", "--quiet", "--end-of-options", ref), &res, err);
        if (rc != RC_OK)
            return rc;
        if (res.exit_code != 0) {
            err_set(err, RC_INVALID, "The repository %s has no commit yet", git_show(ctx, p->top));
            err_hint(err, "Make a first commit: git add -A && git commit -m \"Begin\"");
            return RC_INVALID;
        }
    }
    git_failed(err, "find the current commit of the repository", words);
    if (err)
        err->rc = RC_INVALID;
    err_hint(err, "Look at it with: git fsck");
    return RC_INVALID;
}

static enum rc head_read(mem *ctx, const struct place *p, struct repo_facts *ret, struct err *err)
{
    struct git g = {.git_dir = p->git_dir};
    struct proc_result res;
    enum rc rc = git_run(
        ctx, &g, GIT_ARGS("rev-parse", "--is-shallow-repository", "HEAD^{commit}", "--symbolic-full-name", "HEAD"),
        &res, err);
    if (rc != RC_OK)
        return rc;
    if (res.exit_code != 0)
        return head_missing(ctx, &g, p, res.err, err);
    struct str out = res.out, shallow, head, name;
    if (!str_line(&out, &shallow) || !str_line(&out, &head) || !git_is_oid(str_dup(ctx, head)))
        return err_set(err, RC_IO, "git gave no commit for HEAD");
    ret->shallow = str_eqz(shallow, "true");
    ret->head = str_dup(ctx, head);
    ret->branch = NULL;
    if (str_line(&out, &name) && str_starts(name, STR("refs/heads/")))
        ret->branch = str_dup(ctx, str_sub(name, 11, name.n));
    return RC_OK;
}

/* The one read with the user's own configuration: `git config` starts no program. */
static enum rc identity_read(mem *ctx, const struct place *p, struct repo_facts *ret, struct err *err)
{
    static const char *const passed[] = {"HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM",
                                         "GIT_CONFIG_NOSYSTEM"};
    enum { PASSED = sizeof passed / sizeof *passed };
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = p->git_dir};
    struct proc_spec spec;
    git_spec(tmp, &g, GIT_ARGS("config", "--null", "--get-regexp", "^user\\.(name|email)$"), &spec);
    const char *env[PASSED + 4] = {spec.env[0] /* PATH */, "LC_ALL=C", mem_printf(tmp, "GIT_DIR=%s", p->git_dir)};
    for (size_t i = 0, n = 3; i < PASSED; i++)
        if (getenv(passed[i]))
            env[n++] = mem_printf(tmp, "%s=%s", passed[i], getenv(passed[i]));
    spec.env = env;
    struct proc_result res;
    enum rc rc = proc_run(tmp, &spec, STR(""), GIT_SMALL_OUT, GIT_QUICK_MS, -1, &res, err);
    if (rc != RC_OK)
        return rc;
    struct str rest = res.out, entry, key;
    ret->user_name = ret->user_email = NULL;
    while (res.exit_code == 0 && str_next(&rest, '\0', &entry)) {
        struct str value = entry;
        if (!str_line(&value, &key) || value.n == 0) /* the last one counts, as for git */
            continue;
        if (str_eqz(key, "user.name"))
            ret->user_name = str_utf8_clean(ctx, value);
        else if (str_eqz(key, "user.email"))
            ret->user_email = str_utf8_clean(ctx, value);
    }
    return RC_OK;
}

static enum rc bare_check(mem *ctx, const struct place *p, struct err *err)
{
    struct git g = {.git_dir = p->git_dir};
    struct proc_result res;
    if (strcmp(p->git_dir, p->common) != 0) /* a linked work tree of a bare repository is one to work in */
        return RC_OK;
    enum rc rc = git_run(ctx, &g, GIT_ARGS("config", "--type=bool", "--get", "core.bare"), &res, err);
    if (rc != RC_OK)
        return rc;
    if (res.exit_code > 1)
        return git_failed(err, "read the repository's configuration", res.err);
    if (str_eqz(str_trim(res.out), "true")) {
        err_set(err, RC_INVALID, "%s is a bare repository", git_show(ctx, p->top));
        err_hint(err, "Go to a work tree: git clone it, or git worktree add.");
        return RC_INVALID;
    }
    return RC_OK;
}

enum rc repo_inspect(mem *ctx, const char *dir, struct repo_facts *ret, struct err *err)
{
    struct place p;
    const char *const *guard;
    struct str out;
    *ret = (struct repo_facts){0};
    enum rc rc = place_find(ctx, dir, &p, err);
    if (rc == RC_OK)
        rc = bare_check(ctx, &p, err);
    if (rc == RC_OK)
        rc = head_read(ctx, &p, ret, err);
    if (rc == RC_OK)
        rc = git_guard(ctx, p.git_dir, &guard, err);
    if (rc != RC_OK)
        return rc;
    ret->top = p.top;
    ret->git_dir = p.common;
    struct git status = {
        .git_dir = p.git_dir, .work_tree = p.top, .guard = guard, .max_out = GIT_BIG_OUT, .timeout_ms = GIT_LONG_MS};
    CLEANUP_MEM mem *tmp = mem_root();
    rc = git_do(
        tmp, &status, "look for changes in the work tree",
        GIT_ARGS("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"),
        &out, err);
    if (rc != RC_OK)
        return rc;
    ret->dirty = out.n > 0;
    struct git g = {.git_dir = p.git_dir};
    rc = git_do(tmp, &g, "look for submodules",
                GIT_ARGS("ls-tree", "--full-tree", "-z", ret->head, "--", ".gitmodules"), &out, err);
    ret->submodules = rc == RC_OK && out.n > 0;
    return rc == RC_OK ? identity_read(ctx, &p, ret, err) : rc;
}
