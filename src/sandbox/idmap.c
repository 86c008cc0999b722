/* Subordinate ids by newuidmap and newgidmap (subuid(5), user_namespaces(7)). */
#include "sandbox/idmap.h"
#include "os/path.h"
#include "os/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TABLE_MAX = 1 << 20,
    TOOL_DEADLINE_MS = 5000, /* the tools may ask a directory service for the user's name */
};

static bool tool_find(const char *name, char *ret, size_t size)
{
    static const char *const folders[] = {"/usr/bin", "/usr/local/bin", "/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(ret, size, "%s/%s", folders[i], name);
        if (access(ret, X_OK) == 0)
            return true;
    }
    ret[0] = '\0';
    return false;
}

/* The first range of "NAME:START:COUNT" lines that is long enough; NAME may be the number. */
static bool range_find(const char *file, const char *user, int64_t *ret_start, int64_t *ret_count)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text, line;
    char number[16];
    snprintf(number, sizeof number, "%u", (unsigned)geteuid());
    if (path_slurp(tmp, file, TABLE_MAX, &text, NULL) != RC_OK)
        return false;
    while (str_line(&text, &line)) {
        struct str who, start;
        if (!str_next(&line, ':', &who) || !str_next(&line, ':', &start) ||
            (!str_eqz(who, user) && !str_eqz(who, number)))
            continue;
        if (str_int(start, 1, UINT32_MAX - 1, ret_start) &&
            str_int(str_trim(line), IDMAP_NEEDED, UINT32_MAX, ret_count))
            return true;
    }
    return false;
}

enum rc idmap_find(struct idmap *ret, struct err *err)
{
    *ret = (struct idmap){0};
    if (!tool_find("newuidmap", ret->newuidmap, sizeof ret->newuidmap) ||
        !tool_find("newgidmap", ret->newgidmap, sizeof ret->newgidmap)) {
        err_set(err, RC_UNAVAILABLE, "newuidmap and newgidmap are not installed");
        return err_hint(err, "sudo apt-get install uidmap");
    }
    struct passwd *pw = getpwuid(geteuid());
    if (!pw)
        return err_set(err, RC_UNAVAILABLE, "User %u has no name, so it cannot have subordinate ids",
                       (unsigned)geteuid());
    int64_t uid, gid;
    if (!range_find("/etc/subuid", pw->pw_name, &uid, &ret->uids) ||
        !range_find("/etc/subgid", pw->pw_name, &gid, &ret->gids)) {
        err_set(err, RC_UNAVAILABLE, "User %s has no subordinate ids in /etc/subuid and /etc/subgid", pw->pw_name);
        return err_hint(err, "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", pw->pw_name);
    }
    ret->uid = (uid_t)uid;
    ret->gid = (gid_t)gid;
    return RC_OK;
}

static enum rc map_write(const char *tool, pid_t pid, unsigned self, unsigned first, int64_t count, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *argv[] = {tool,
                          mem_printf(tmp, "%d", (int)pid),
                          "0",
                          mem_printf(tmp, "%u", self),
                          "1",
                          "1",
                          mem_printf(tmp, "%u", first),
                          mem_printf(tmp, "%lld", (long long)count),
                          NULL};
    struct proc_spec spec = {.argv = argv, .new_session = true, .die_with_parent = true};
    struct proc_result result;
    enum rc rc = proc_run(tmp, &spec, (struct str){0}, 4096, TOOL_DEADLINE_MS, -1, &result, err);
    if (rc != RC_OK)
        return rc;
    if (result.exit_code == 0)
        return RC_OK;
    err_set(err, RC_UNAVAILABLE, "%s could not map the subordinate ids of this user", tool);
    struct str said = str_trim(result.err);
    return result.timed_out ? err_detail(err, "It did not end within %d ms", TOOL_DEADLINE_MS)
                            : err_detail(err, "%.*s", STR_FMT(said));
}

/* Outside the new namespace: waits until the caller is inside, maps, hands over what went wrong, if anything. */
static _Noreturn void helper_main(const struct idmap *map, pid_t target, int go, int result)
{
    char byte;
    struct err err = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != target || read(go, &byte, 1) != 1)
        _exit(1);
    enum rc rc = map_write(map->newuidmap, target, (unsigned)geteuid(), (unsigned)map->uid, map->uids, &err);
    if (rc == RC_OK)
        rc = map_write(map->newgidmap, target, (unsigned)getegid(), (unsigned)map->gid, map->gids, &err);
    err.rc = rc;
    _exit(write(result, &err, sizeof err) == (ssize_t)sizeof err ? 0 : 1);
}

/* In the caller: into the namespace, then wait for the helper. */
static enum rc enter(int go, int result, struct err *err)
{
    struct err theirs;
    if (unshare(CLONE_NEWUSER) < 0) {
        err_sys(err, errno, "Could not make a user namespace");
        return RC_UNAVAILABLE;
    }
    if (write(go, "g", 1) != 1)
        return err_sys(err, errno, "Could not reach the helper that maps ids");
    ssize_t n;
    do {
        n = read(result, &theirs, sizeof theirs);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof theirs)
        return err_set(err, RC_UNAVAILABLE, "The helper that maps ids ended without an answer");
    if (theirs.rc != RC_OK && err)
        *err = theirs;
    if (theirs.rc != RC_OK)
        return theirs.rc;
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(err, errno, "Could not become the root of the user namespace");
    return RC_OK;
}

enum rc idmap_enter(const struct idmap *map, struct err *err)
{
    int go[2], result[2];
    if (pipe2(go, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not start the helper that maps ids");
    CLEANUP_FD int go_in = go[0];
    CLEANUP_FD int go_out = go[1];
    if (pipe2(result, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not start the helper that maps ids");
    CLEANUP_FD int result_in = result[0];
    CLEANUP_FD int result_out = result[1];
    pid_t self = getpid();
    pid_t helper = fork();
    if (helper < 0)
        return err_sys(err, errno, "Could not start the helper that maps ids");
    if (helper == 0) {
        close(go_out);
        helper_main(map, self, go_in, result_out);
    }
    close(fd_take(&go_in));
    close(fd_take(&result_out));
    enum rc rc = enter(go_out, result_in, err);
    close(fd_take(&go_out));
    while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
        ;
    return rc;
}
