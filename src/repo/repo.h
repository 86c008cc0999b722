/* Git, driven as a program and hardened: no hooks, fsmonitor, filters, external diff, text conversion, pager, ssh,
 * credential helpers, submodule recursion, signing or configuration of user, system or tree; GIT_* of the caller
 * stripped; names NUL-separated; deadlines; output caps.
 *
 * The user's repository is only read until delivery. A task works in a *workspace*: a folder with the files of the base
 * commit and a private git directory beside it (never inside), which borrows the user's objects (alternates). Every
 * iteration is a commit under refs/nightmill/iteration/N of the private repository. Commits made here are reproducible:
 * author, committer and dates are given by the caller. Threads: main thread of a small process (starts children). Paths
 * absolute. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include <sys/types.h>

/* What the user's repository is. RC_INVALID with one sentence and a hint for: not a repository, bare, empty (no
 * commit); shallow, detached, dirty and submodules are facts, not errors. */
struct repo_facts {
    const char *top;     /* work tree */
    const char *git_dir; /* common git directory */
    const char *head;    /* commit id, 40 or 64 hex digits */
    const char *branch;  /* "main", NULL when detached */
    bool shallow, dirty, submodules;
    const char *user_name, *user_email; /* identity by the user's own configuration, NULL when none */
};
MUST_USE enum rc repo_inspect(mem *ctx, const char *dir, struct repo_facts *ret, struct err *err);
/* Whether a git program is here and new enough (2.31); version text in ctx. */
MUST_USE enum rc repo_git_version(mem *ctx, const char **ret, struct err *err);
MUST_USE enum rc repo_resolve(mem *ctx, const char *git_dir, const char *name, const char **ret_commit,
                              struct err *err); /* any revision to a commit id */

/* Makes <dir>/git, an empty private repository that borrows the user's objects, without a work tree; idempotent.
 * *ret_git_dir in ctx. */
MUST_USE enum rc repo_borrow(mem *ctx, const char *dir, const struct repo_facts *repo, const char **ret_git_dir,
                             struct err *err);

struct workspace {
    const char *dir;            /* <task>/work : files; no .git inside */
    const char *git_dir;        /* <task>/git : private repository */
    const char *base;           /* commit id */
    const char *source_git_dir; /* the user's, read-only */
};
/* Makes the workspace below task_dir, or completes one that a crash left half made (idempotent: a complete one is given
 * back as it is, with what was done in it; RC_CONFLICT when it was made for another base). Files are the blobs byte for
 * byte (no line ends, filters or encodings are applied), 0644 or 0755, and belong to uid/gid; a process without the
 * power to give files away keeps them, and the caller hands them over. *ret in ctx. Problems that are not errors
 * (submodules left empty) go to `notes` (may be NULL) as text lines. A kill at any moment is survived; after a power
 * loss bring the files back with workspace_restore. Ready in well under 150 ms for 5,000 files where a spare is in the
 * cache, else as fast as files can be made. */
MUST_USE enum rc workspace_open(mem *ctx, const char *task_dir, const struct repo_facts *repo, const char *base,
                                uid_t uid, gid_t gid, struct workspace *ret, struct buf *notes, struct err *err);
/* Folder for spare workspaces, on the file system of the tasks; NULL or "": none (the default). Call before the others.
 */
void workspace_set_cache(const char *dir);
/* How many spares of one repository and owner are kept, for tasks that begin together: 1 (the default) to 8. */
void workspace_set_spares(size_t n);
/* Makes a spare workspace of a commit of this repository ready for the next workspace_open (of any base: what differs
 * is updated), unless as many as wanted are there. Makes one at each call. Costs as much as opening one: call it when
 * nobody waits, such as at the end of a task. RC_OK also when there is no cache or another process is making it. */
MUST_USE enum rc workspace_stock(const struct repo_facts *repo, const char *base, uid_t uid, gid_t gid,
                                 struct err *err);
/* Snapshot of the files as a tree id (ignored files stay out). Nested repositories that the agent planted (anything
 * called .git in any case, not below an ignored folder) are moved aside to <task>/aside first, each named in `notes`
 * (may be NULL). FIFOs, sockets, devices, files in submodules and what git or the system refuses are left out and
 * named. Nothing may write in the folder meanwhile. */
MUST_USE enum rc workspace_tree(mem *ctx, const struct workspace *w, const char **ret_tree, struct buf *notes,
                                struct err *err);
/* Brings the files back to a tree (tracked and untracked, not ignored ones). */
MUST_USE enum rc workspace_restore(const struct workspace *w, const char *tree, struct err *err);

/* What stands in a folder beside the files of a tree that were exported to it. Nothing may write there meanwhile. Paths
 * in ctx, NUL-terminated, byte order; a folder of which everything is ignored is one path and ends in "/". */
struct repo_extra {
    const char *const *ignored, *const *others; /* by the folder's own .gitignore files and the repository's exclude */
    size_t ignored_count, other_count;
    const char *const *changed; /* files of the tree that are not as they were */
    size_t changed_count;
};
MUST_USE enum rc repo_extra(mem *ctx, const char *git_dir, const char *treeish, const char *dir, struct repo_extra *ret,
                            struct err *err);

struct repo_commit {
    const char *tree;
    const char *parent; /* NULL: none */
    const char *message;
    const char *author_name, *author_email, *committer_name, *committer_email;
    int64_t time_s;  /* both dates, UTC */
    const char *ref; /* updated to the commit; NULL: none */
};
MUST_USE enum rc repo_commit(mem *ctx, const char *git_dir, const struct repo_commit *c, const char **ret_commit,
                             struct err *err);
/* Makes the folder, which has no .git, a repository whose first commit has all of its files; first->ref is the branch
 * main, first->tree is not read. */
MUST_USE enum rc repo_start(mem *ctx, const char *dir, const struct repo_commit *first, struct err *err);
MUST_USE enum rc repo_tree_of(mem *ctx, const char *git_dir, const char *commit, const char **ret_tree,
                              struct err *err);
MUST_USE enum rc repo_parent(mem *ctx, const char *git_dir, const char *commit, const char **ret_commit,
                             struct err *err);
MUST_USE enum rc repo_message(mem *ctx, const char *git_dir, const char *commit, const char **ret, struct err *err);

/* Files of a tree, byte order. mode is git's (0100644, 0100755, 0120000, 0160000). */
struct repo_entry {
    const char *path, *oid;
    unsigned mode;
};
MUST_USE enum rc repo_list(mem *ctx, const char *git_dir, const char *treeish, struct repo_entry **ret, size_t *ret_n,
                           struct err *err);
MUST_USE enum rc repo_blob(mem *ctx, const char *git_dir, const char *treeish, const char *path, size_t max,
                           struct str *ret, struct err *err); /* RC_NOT_FOUND */
/* Differences between two trees, no rename detection. status 'A','M','D','T'. */
struct repo_change {
    const char *path;
    char status;
    int64_t added, removed; /* lines; -1 for binary */
};
MUST_USE enum rc repo_changes(mem *ctx, const char *git_dir, const char *from, const char *to, struct repo_change **ret,
                              size_t *ret_n, struct err *err);
MUST_USE enum rc repo_diff(mem *ctx, const char *git_dir, const char *from, const char *to, const char *const *paths,
                           size_t max, struct str *ret, struct err *err); /* unified text, cut at max with a mark */

/* Builds a new tree from `tree` with some paths replaced: each edit sets a path to an entry (mode, oid) or removes it
 * (mode 0), or sets it to new contents (oid NULL). No work tree is touched. */
struct repo_edit {
    const char *path;
    unsigned mode;
    const char *oid;
    struct str contents;
};
MUST_USE enum rc repo_tree_edit(mem *ctx, const char *git_dir, const char *tree, const struct repo_edit *edits,
                                size_t n, const char **ret_tree, struct err *err);
/* Writes the files of a tree into a new, empty folder (no .git, no filters; symbolic links as links; submodules as
 * empty folders), owned by uid/gid. */
MUST_USE enum rc repo_export(const char *git_dir, const char *treeish, const char *dir, uid_t uid, gid_t gid,
                             struct err *err);

/* Delivery: brings `commit` from the private repository into the user's and sets refs/heads/<branch>. Idempotent;
 * RC_CONFLICT when the branch exists at another commit. */
MUST_USE enum rc repo_deliver(const struct workspace *w, const struct repo_facts *repo, const char *commit,
                              const char *branch, struct err *err);
/* Fast-forwards the branch that is checked out, files too, when HEAD is `base` and the tree is clean: RC_CONFLICT with
 * the reason otherwise, and nothing is changed. */
MUST_USE enum rc repo_apply(const struct repo_facts *repo, const char *base, const char *commit, struct err *err);
/* Takes a delivery back. Applied and HEAD still is `commit`: the branch and files return to its parent; commits on top:
 * a commit that reverses it is added when that works cleanly. Not applied: the delivered branch is removed if it still
 * is at `commit`. The commit stays reachable under refs/nightmill/undone/<task_id>. *ret_words in ctx says what was
 * done. */
MUST_USE enum rc repo_undo(mem *ctx, const struct repo_facts *repo, const char *task_id, const char *commit,
                           const char *branch, bool applied, const char **ret_words, struct err *err);
