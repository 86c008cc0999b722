/* The private HOME of a foreign agent: <task>/home, mounted in its sandbox, kept for its sessions until the task ends.
 * Not here: what stands in it (src/agent/backend.h). */
#include "base/log.h"
#include "flow/foreign.h"
#include "os/path.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const char *home_dir(mem *ctx, const struct run *run)
{
    return mem_printf(ctx, "%s/home", run->task_dir);
}

enum rc home_make(mem *ctx, const struct run *run, const char **ret, struct err *err)
{
    const char *dir = home_dir(ctx, run);
    struct stat st;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, errno, "could not make the agent's home %s", dir);
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, RC_DENIED, "%s is no folder", dir);
    /* Still in the agent's hands: a runner before this one was killed while it worked. */
    if (geteuid() != 0 && st.st_uid != geteuid() && sandbox_take(dir, err) != RC_OK)
        return err->rc;
    /* Ours by birth; the agent's user's where this process may give files away. Elsewhere they are handed over. */
    if (geteuid() == 0 && chown(dir, run->uid, run->gid) < 0)
        return err_sys(err, errno, "could not give the agent its home %s", dir);
    if (chmod(dir, 0700) < 0)
        return err_sys(err, errno, "could not close the agent's home %s to others", dir);
    *ret = dir;
    return RC_OK;
}

static enum rc files_put(const struct run *run, const char *dir, const struct backend_file *files, size_t n,
                         struct err *err)
{
    CLEANUP_FD int root = -1;
    bool root_gives = geteuid() == 0; /* who is not root hands the whole folder over later, or has no other user */
    uid_t uid = root_gives ? run->uid : (uid_t)-1;
    gid_t gid = root_gives ? run->gid : (gid_t)-1;
    enum rc rc = path_open_root(dir, &root, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = path_write(root, files[i].path, files[i].bytes, files[i].mode, uid, gid, err);
    return rc;
}

enum rc home_put(mem *ctx, const struct run *run, const struct backend_file *files, size_t n, bool *ret_anew,
                 struct err *err)
{
    const char *dir = home_dir(ctx, run);
    struct err first = {0};
    *ret_anew = false;
    if (files_put(run, dir, files, n, &first) == RC_OK)
        return RC_OK;
    log_err(&first, "the agent's home is made anew");
    enum rc rc = path_remove_tree(dir, err);
    if (rc == RC_OK)
        rc = home_make(ctx, run, &dir, err);
    if (rc == RC_OK)
        rc = files_put(run, dir, files, n, err);
    *ret_anew = rc == RC_OK;
    return rc;
}

void home_wipe(const struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct stat st;
    const char *dir = home_dir(tmp, run);
    if (lstat(dir, &st) < 0)
        return;
    (void)!sandbox_take(dir, NULL); /* with subordinate uids the files are not ours to remove */
    if (path_remove_tree(dir, &err) != RC_OK)
        log_err(&err, "could not remove the agent's home");
}
