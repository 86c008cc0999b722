/* Private to src/repo: where the parts of a user's repository lie.
 *
 * Found by our own eyes instead of git's, so that neither core.worktree nor a bare repository planted in a folder
 * decides what we work on: the work tree is the folder that holds the .git that was found. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct place {
    const char *top;     /* work tree, real path */
    const char *git_dir; /* of this work tree: index, HEAD */
    const char *common;  /* objects, refs, configuration; differs from git_dir in a linked work tree */
};
/* RC_INVALID with a hint: no repository, bare, or inside a .git folder. */
MUST_USE enum rc place_find(mem *ctx, const char *dir, struct place *ret, struct err *err);
/* Object folders that a repository borrows from, itself first, absolute, in ctx. */
MUST_USE enum rc place_objects(mem *ctx, const char *common, const char *const **ret, size_t *ret_n, struct err *err);
