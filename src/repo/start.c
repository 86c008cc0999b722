/* A new repository of the user's. */
#include "repo/git.h"
#include "repo/repo.h"

enum rc repo_start(mem *ctx, const char *dir, const struct repo_commit *first, struct err *err)
{
    const char *tree, *commit, *purpose = "make a git repository";
    struct git init = {.git_dir = mem_printf(ctx, "%s/.git", dir), .writes = true};
    struct git work = init;
    work.work_tree = dir;
    enum rc rc = git_do(ctx, &init, purpose, GIT_ARGS("init", "-q", "-b", "main", "--template="), NULL, err);
    if (rc == RC_OK)
        rc = git_do(ctx, &work, purpose, GIT_ARGS("add", "--all"), NULL, err);
    if (rc == RC_OK)
        rc = git_line(ctx, &work, purpose, GIT_ARGS("write-tree"), &tree, err);
    if (rc != RC_OK)
        return rc;
    struct repo_commit c = *first;
    c.tree = tree;
    return repo_commit(ctx, init.git_dir, &c, &commit, err);
}
