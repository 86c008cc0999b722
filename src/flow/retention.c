/* Removing what nobody needs any more. */
#include "flow/retention.h"
#include "os/path.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PAGE 200

static enum rc task_shrink(mem *ctx, const struct board *b, const char *id, int64_t *n, struct err *err)
{
    static const char *const parts[] = {"work", "git", "out", "verify", "setup", "aside", "home", "log"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *dir = mem_printf(ctx, "%s/tasks/%s/%s", b->data_dir, id, parts[i]);
        if (access(dir, F_OK) != 0)
            continue;
        enum rc rc = path_remove_tree(dir, err);
        if (rc != RC_OK)
            return rc;
        ++*n;
    }
    return RC_OK;
}

/* A spare is whole and lies there until a task takes it by renaming it; so does its removal begin. What is left of a
 * spare that was never finished is as old as its making. */
static enum rc spares_shrink(mem *ctx, const char *dir, int64_t before_ns, int64_t *n, struct err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? RC_OK : err_sys(err, errno, "could not read the folder %s", dir);
    enum rc rc = RC_OK;
    for (struct dirent *e; rc == RC_OK && (e = readdir(d));) {
        struct stat st;
        if (strncmp(e->d_name, "spare-", 6) != 0 || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISDIR(st.st_mode) || st.st_mtim.tv_sec >= before_ns / 1000000000)
            continue;
        const char *old = mem_printf(ctx, "%s/%s", dir, e->d_name), *gone = mem_printf(ctx, "%s/old", dir);
        rc = path_remove_tree(gone, err);
        if (rc == RC_OK && rename(old, gone) == 0) {
            rc = path_remove_tree(gone, err);
            ++*n;
        }
    }
    closedir(d);
    return rc;
}

enum rc retention_run(const struct board *b, int64_t now_ns, int64_t keep_s, int64_t *ret_n, struct err *err)
{
    static const char *const states[] = {"done", "unproven"};
    CLEANUP_MEM mem *ctx = mem_root();
    int64_t before_ns = now_ns - keep_s * 1000000000;
    *ret_n = 0;
    enum rc spares = spares_shrink(ctx, mem_printf(ctx, "%s/" BOARD_SPARES, b->data_dir), before_ns, ret_n, err);
    if (spares != RC_OK)
        return spares;
    for (size_t s = 0; s < sizeof states / sizeof *states; s++) {
        struct task_filter f = {.state = states[s], .limit = PAGE, .brief = true};
        size_t n;
        do {
            CLEANUP_MEM mem *tmp = mem_root();
            struct task *tasks;
            enum rc rc = task_list(tmp, b->store, &f, &tasks, &n, err);
            for (size_t i = 0; rc == RC_OK && i < n; i++) {
                f.before = tasks[i].number;
                if (tasks[i].commit && tasks[i].ended_ns > 0 && tasks[i].ended_ns < before_ns)
                    rc = task_shrink(tmp, b, tasks[i].id, ret_n, err);
            }
            if (rc != RC_OK)
                return rc;
        } while (n == PAGE);
    }
    return RC_OK;
}
