/* Where the files of a task are (task_tree.h). */
#include "api/task_tree.h"
#include "repo/repo.h"
#include <limits.h>
#include <unistd.h>

static enum rc part_dir(struct route_call *c, const char *part, const char **ret)
{
    *ret = mem_printf(c->ctx, "%s/tasks/%s/%s", c->server->board.data_dir, c->param, part);
    if (access(*ret, R_OK) == 0)
        return RC_OK;
    return err_set(&c->err, RC_NOT_FOUND,
                   "the task has no workspace: it has not begun, or its files were cleared away");
}

enum rc task_git_dir(struct route_call *c, const char **ret)
{
    return part_dir(c, "git", ret);
}

enum rc task_work_dir(struct route_call *c, const char **ret)
{
    return part_dir(c, "work", ret);
}

const char *task_base(struct route_call *c, const struct task *t)
{
    struct json spec;
    if (json_parse(c->ctx, str_of(t->spec), &spec, NULL) != RC_OK)
        return "";
    return json_z(c->ctx, json_get(spec, "base"), "");
}

enum rc task_commit(struct route_call *c, const struct task *t, const char *git_dir, int64_t iteration,
                    const char **ret, int64_t *ret_iteration)
{
    *ret_iteration = 0;
    if (!iteration && t->commit && repo_resolve(c->ctx, git_dir, t->commit, ret, NULL) == RC_OK)
        return RC_OK;
    for (int64_t i = iteration ? iteration : t->iteration; i > 0; i--) {
        *ret_iteration = i;
        if (repo_resolve(c->ctx, git_dir, mem_printf(c->ctx, "refs/nightmill/iteration/%lld", (long long)i), ret,
                         NULL) == RC_OK)
            return RC_OK;
        if (iteration)
            return err_set(&c->err, RC_NOT_FOUND, "iteration %lld has left no commit", (long long)iteration);
    }
    return err_set(&c->err, RC_NOT_FOUND, "the task has not changed anything yet");
}

enum rc query_path(struct route_call *c, const char **ret)
{
    const char *path = route_query(c, "path");
    struct str rest = str_of(path), part;
    *ret = path ? path : "";
    bool fine = strlen(*ret) < PATH_MAX && **ret != '/';
    for (const char *p = *ret; *p; p++)
        fine = fine && (unsigned char)*p >= ' ' && *p != 0x7F;
    while (fine && str_next(&rest, '/', &part))
        fine = !str_eqz(part, "..") && !str_eqz(part, ".") && part.n > 0;
    return fine ? RC_OK : err_set(&c->err, RC_INVALID, "path is relative, without . and .. and control bytes");
}

enum rc query_iteration(struct route_call *c, const char *name, int64_t *ret)
{
    const char *text = route_query(c, name);
    *ret = 0;
    if (!text || str_int(str_of(text), 0, 1000000, ret))
        return RC_OK;
    return err_set(&c->err, RC_INVALID, "%s is the number of an iteration", name);
}
