/* Removing what nobody needs any more. */
#include "flow/retention.h"
#include "os/path.h"
#include <unistd.h>

#define PAGE 200

static enum rc task_shrink(mem *ctx, const struct board *b, const char *id, int64_t *n, struct err *err)
{
    static const char *const parts[] = {"work", "git", "out", "verify", "aside"};
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

enum rc retention_run(const struct board *b, int64_t now_ns, int64_t keep_s, int64_t *ret_n, struct err *err)
{
    static const char *const states[] = {"done", "unproven"};
    *ret_n = 0;
    for (size_t s = 0; s < sizeof states / sizeof *states; s++) {
        struct task_filter f = {.state = states[s], .limit = PAGE, .brief = true};
        size_t n;
        do {
            CLEANUP_MEM mem *tmp = mem_root();
            struct task *tasks;
            enum rc rc = task_list(tmp, b->store, &f, &tasks, &n, err);
            for (size_t i = 0; rc == RC_OK && i < n; i++) {
                f.before = tasks[i].number;
                if (tasks[i].commit && tasks[i].ended_ns > 0 && tasks[i].ended_ns < now_ns - keep_s * 1000000000)
                    rc = task_shrink(tmp, b, tasks[i].id, ret_n, err);
            }
            if (rc != RC_OK)
                return rc;
        } while (n == PAGE);
    }
    return RC_OK;
}
