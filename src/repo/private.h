/* Private to src/repo: the private repository of a workspace.
 *
 *     <task>/work           files, no .git
 *     <task>/git            repository: HEAD detached at the base, index, objects borrowed by alternates
 *     <task>/git/nightmill  written last: the base commit; without it the workspace is not complete
 *     <task>/aside          what was moved out of the way
 *
 * Its configuration is ours alone, so nothing in the tree can name a program that exists: .gitattributes may ask for
 * filters and drivers, none is defined. info/attributes wins over every .gitattributes and says that no byte changes
 * between a file and its blob. */
#pragma once
#include "repo/repo.h"

/* Makes or rewrites everything but index, objects and references. Idempotent. */
MUST_USE enum rc private_make(const char *git_dir, const struct repo_facts *repo, const char *base, struct err *err);
/* Takes away the locks of a git that was killed; only while no git can be at work in it. */
void private_unlock(const char *git_dir);
/* Gives every file below dir that is not uid:gid to it, when we may; refreshes the index when some had to be given. */
MUST_USE enum rc private_own(const char *git_dir, const char *dir, uid_t uid, gid_t gid, struct err *err);
/* Brings files and index of a workspace that stands exactly at commit `from` to commit `to`, new files as uid:gid.
 * False: it did not, and some of it may be done. */
bool shift_files(const char *git_dir, const char *work, const char *from, const char *to, uid_t uid, gid_t gid);
