/* Verdicts by hand. */
#include "ops/judge.h"
#include "base/id.h"
#include "base/log.h"
#include "ops/place.h"
#include "ops/prepare.h"
#include "os/path.h"
#include "repo/repo.h"

struct judging {
    struct repo_facts repo;
    const char *dir, *git_dir;
};

static enum rc judge(mem *ctx, const struct settings *set, const struct judge_wish *w, struct judging *j,
                     struct verdict *ret, const char **ret_commit, const char **ret_base, struct err *err)
{
    struct verify_spec spec = {.git_dir = j->git_dir,
                               .allow_changes = w->allow_check_changes,
                               .require_proof = w->require_proof,
                               .no_sandbox = w->no_sandbox,
                               .work_dir = mem_printf(ctx, "%s/runs", j->dir),
                               .cache_dir = mem_printf(ctx, "%s/cache", place_data(ctx, set)),
                               .feedback_max = (size_t)setting_int(set, "check.feedback"),
                               .limits = {.memory_bytes = setting_int(set, "sandbox.memory"),
                                          .processes = setting_int(set, "sandbox.processes"),
                                          .cpu_seconds = setting_int(set, "sandbox.cpu"),
                                          .file_bytes = setting_int(set, "sandbox.file_size"),
                                          .tmp_bytes = setting_int(set, "sandbox.tmp_size"),
                                          .disk_bytes = setting_int(set, "sandbox.disk"),
                                          .disk_floor = setting_int(set, "sandbox.disk_floor")},
                               .cancel_fd = w->cancel_fd,
                               .on_run = w->on_run,
                               .arg = w->arg};
    struct setup_spec layers = {
        .layers = mem_printf(ctx, "%s/" SETUP_LAYERS "/%s", place_data(ctx, set), setup_project(ctx, j->repo.git_dir)),
        .timeout_s = (int)setting_int(set, "setup.timeout"),
        .start_deadline_ms = (int)setting_int(set, "sandbox.start_deadline") * 1000};
    struct project project;
    struct check *checks;
    enum rc rc = repo_resolve(ctx, j->repo.git_dir, w->commit, ret_commit, err);
    if (rc == RC_OK && w->base)
        rc = repo_resolve(ctx, j->repo.git_dir, w->base, ret_base, err);
    else if (rc == RC_OK && (rc = repo_parent(ctx, j->repo.git_dir, *ret_commit, ret_base, err)) == RC_NOT_FOUND) {
        err_set(err, RC_INVALID, "%.12s is a first commit: there is nothing before it to compare with", *ret_commit);
        err_hint(err, "judge a commit that has a parent, or name a base with --base");
        return RC_INVALID;
    }
    if (rc == RC_OK)
        rc = prepare_checks(ctx, set, j->repo.git_dir, *ret_base, w->checks, &project, &checks, &spec.check_count, err);
    if (rc != RC_OK)
        return rc;
    spec.base = *ret_base;
    spec.candidate = *ret_commit;
    spec.checks = checks;
    spec.setup = project.setup;
    spec.layers = &layers;
    spec.protect = project.protect;
    return verify_commit(ctx, &spec, ret, err);
}

enum rc judge_commit(mem *ctx, const struct settings *set, const struct judge_wish *wish, struct verdict *ret,
                     const char **ret_commit, const char **ret_base, struct err *err)
{
    struct judging j = {.dir = mem_printf(ctx, "%s/judge/%s", place_data(ctx, set), id_new(ctx, 10))};
    sandbox_set_uid_base((uid_t)setting_int(set, "sandbox.uid_base"));
    enum rc rc = repo_inspect(ctx, wish->dir ? wish->dir : ".", &j.repo, err);
    if (rc == RC_OK)
        rc = path_mkdirs(j.dir, 0700, err);
    if (rc == RC_OK)
        rc = repo_borrow(ctx, j.dir, &j.repo, &j.git_dir, err);
    if (rc == RC_OK)
        rc = judge(ctx, set, wish, &j, ret, ret_commit, ret_base, err);
    struct err left = {0};
    if (path_remove_tree(j.dir, &left) != RC_OK)
        log_err(&left, "could not remove the folder of a verdict"); /* the verdict stands all the same */
    return rc;
}
