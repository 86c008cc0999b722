/* The sample's files on the disk. */
#include "ops/sample.h"
#include "base/clock.h"
#include "ops/sample_files.h"
#include "os/path.h"
#include "repo/repo.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROJECTS_MOST = 1000 };

static enum rc files_write(const char *dir, struct err *err)
{
    int root;
    enum rc rc = path_mkdirs(dir, 0755, err);
    if (rc == RC_OK)
        rc = path_open_root(dir, &root, err);
    if (rc != RC_OK)
        return rc;
    for (const struct sample_file *f = sample_files; rc == RC_OK && f->path; f++)
        rc = path_write(root, f->path, str_of(f->text), 0644, (uid_t)-1, (gid_t)-1, err);
    close(root);
    return rc;
}

/* Made beside its place and then moved there, so that a half made one is never taken for a project. */
static enum rc project_make(mem *ctx, const char *dir, struct err *err)
{
    const char *making = mem_printf(ctx, "%s.%ld", dir, (long)gettid());
    struct repo_commit first = {.message = "Report\n",
                                .author_name = "Nightmill",
                                .author_email = "nightmill@localhost",
                                .committer_name = "Nightmill",
                                .committer_email = "nightmill@localhost",
                                .time_s = clock_wall_ns() / 1000000000,
                                .ref = "refs/heads/main"};
    enum rc rc = path_remove_tree(making, err);
    if (rc == RC_OK)
        rc = files_write(making, err);
    if (rc == RC_OK)
        rc = repo_start(ctx, making, &first, err);
    if (rc == RC_OK && rename(making, dir) != 0 && errno != EEXIST && errno != ENOTEMPTY)
        rc = err_sys(err, errno, "could not make the sample project %s", dir);
    /* It did not get there, or somebody else was faster. */
    enum rc gone = access(making, F_OK) == 0 ? path_remove_tree(making, NULL) : RC_OK;
    return rc == RC_OK ? gone : rc;
}

static bool as_made(mem *ctx, const char *dir)
{
    struct repo_facts facts;
    const char *parent;
    return repo_inspect(ctx, dir, &facts, NULL) == RC_OK && !facts.dirty && strcmp(facts.top, dir) == 0 &&
           facts.branch && repo_parent(ctx, facts.git_dir, facts.head, &parent, NULL) == RC_NOT_FOUND;
}

static enum rc project_open(mem *ctx, const char *folder, const char **ret, struct err *err)
{
    for (int i = 1; i <= PROJECTS_MOST; i++) {
        const char *dir = mem_printf(ctx, i == 1 ? "%s/report" : "%s/report-%d", folder, i);
        struct stat st;
        bool there = lstat(dir, &st) == 0;
        *ret = dir;
        if (!there)
            return project_make(ctx, dir, err);
        if (as_made(ctx, dir))
            return RC_OK;
    }
    err_set(err, RC_LIMIT, "there are %d sample projects in %s, all changed", PROJECTS_MOST, folder);
    return err_hint(err, "remove those that are not needed any more");
}

enum rc sample_open(mem *ctx, const char *data_dir, struct sample *ret, struct err *err)
{
    const char *folder = mem_printf(ctx, "%s/sample", data_dir), *real = NULL;
    *ret = (struct sample){.text = sample_text,
                           .check = sample_check,
                           .recording = mem_printf(ctx, "%s/answers.jsonl", folder),
                           .model = {.wire = "chat",
                                     .url = "",
                                     .name = "sample",
                                     .context = 128000,
                                     .max_output = 16384,
                                     .key = "",
                                     .why = "its answers are part of the program; nothing is sent and nothing is paid",
                                     .stronger = ""}};
    enum rc rc = path_mkdirs(folder, 0755, err);
    if (rc == RC_OK)
        rc = path_write_durable(ret->recording, str_of(sample_recording), 0600, err);
    if (rc == RC_OK)
        rc = project_open(ctx, folder, &real, err);
    ret->repo = real;
    return rc;
}
