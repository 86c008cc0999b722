/* Child processes. Only small processes may start children at will (keeper, runner, client commands). The server starts
 * nothing but git, to read the repositories of tasks, without before_exec: such a child is made by vfork(2), which
 * copies no page tables (a fork of a large process halts it for 58-171 ms).
 *
 * A child gets exactly the descriptors named here (everything else is closed), the environment named here, default
 * signal dispositions and an empty signal mask, and (with die_with_parent) SIGKILL when the thread that started it
 * ends. Threads: any that lives longer than the child. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <sys/types.h>

struct proc_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in the PATH of env when it has no '/' */
    const char *const *env;  /* NULL-terminated "NAME=value"; NULL: empty environment */
    const char *cwd;         /* NULL: unchanged */
    int fds[144];            /* child's descriptor i is our fds[i]; -1: closed, except 0-2, which get /dev/null */
    int fd_count;
    bool new_session; /* setsid */
    bool die_with_parent;
    /* Runs in the child just before exec, when descriptors, session and folder are set; async-signal-safe code only;
     * non-zero aborts the start, errno then is the reason. May be NULL. */
    int (*before_exec)(void *arg);
    void *arg;
};
/* Starts; *ret_pidfd (close-on-exec) becomes readable when the child ends; may be NULL. A failed exec is reported here.
 */
MUST_USE enum rc proc_start(const struct proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *err);

struct proc_result {
    int exit_code; /* 0-255, or -1 when ended by a signal */
    int signal;    /* 0 or the signal */
    bool timed_out, cancelled,
        flooded;         /* flooded: more output than asked for; the rest was dropped, the child went on */
    struct str out, err; /* in ctx */
};
/* Runs to the end: feeds `input`, collects up to max_out bytes of each stream. timeout_ms < 0: none. cancel_fd:
 * readable ends the child (-1: none). Descriptors 0-2 that spec->fds names are left as they are (no feeding, no
 * collecting). When the child has ended, reading stops 200 ms later even if a grandchild holds the pipes. On timeout
 * and cancel the child's process group is ended (TERM, 2 s, KILL): set new_session. RC_OK also when the child failed:
 * look at the result. */
MUST_USE enum rc proc_run(mem *ctx, struct proc_spec *spec, struct str input, size_t max_out, int timeout_ms,
                          int cancel_fd, struct proc_result *ret, struct err *err);
/* Path of this program (readlink of /proc/self/exe), in ctx. */
const char *proc_self(mem *ctx);
