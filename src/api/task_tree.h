/* Where the files of a task are: its private repository, its workspace, the commit that a query means. */
#pragma once
#include "api/server_room.h"

/* <task>/git; RC_NOT_FOUND with words when the task has no files (any more). */
MUST_USE enum rc task_git_dir(struct route_call *c, const char **ret);
MUST_USE enum rc task_work_dir(struct route_call *c, const char **ret);
const char *task_base(struct route_call *c, const struct task *t); /* commit id; "" when it is not known */
/* The commit that an iteration left; 0: what was delivered, else the newest that one left. *ret_iteration 0: delivered.
 */
MUST_USE enum rc task_commit(struct route_call *c, const struct task *t, const char *git_dir, int64_t iteration,
                             const char **ret, int64_t *ret_iteration);
/* A path of the query: relative, no "..", no control bytes; "" for the top. RC_INVALID. */
MUST_USE enum rc query_path(struct route_call *c, const char **ret);
MUST_USE enum rc query_iteration(struct route_call *c, const char *name, int64_t *ret); /* 0: not given */
