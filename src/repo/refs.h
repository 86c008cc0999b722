/* Private to src/repo: references of the user's repository.
 *
 * Several references change in one transaction or not at all, each only from the value that we saw. */
#pragma once
#include "repo/repo.h"

struct ref_change {
    const char *ref;  /* full name */
    const char *to;   /* NULL: delete */
    const char *from; /* value it must have; "": it must not exist; NULL: whatever */
};
/* `reason` and the identity of `repo` go to the reflogs. RC_CONFLICT when a reference is not as expected. */
MUST_USE enum rc refs_change(const struct repo_facts *repo, const char *git_dir, const char *reason,
                             const struct ref_change *changes, size_t n, struct err *err);
/* *ret is NULL when there is no such reference. */
MUST_USE enum rc ref_read(mem *ctx, const char *git_dir, const char *ref, const char **ret, struct err *err);
/* refs/heads/<branch>, checked to be a name that git takes; in ctx. RC_INVALID. */
MUST_USE enum rc ref_of_branch(mem *ctx, const char *git_dir, const char *branch, const char **ret, struct err *err);
/* Who commits here, never NULL. */
const char *committer_name(const struct repo_facts *repo);
const char *committer_email(const struct repo_facts *repo);
