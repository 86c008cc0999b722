/* The launcher: a forked child of the opener that becomes bubblewrap.
 *
 * It sets limits, puts the mount sources where the inner user can reach them, becomes that
 * user as far as the rung allows, and executes bubblewrap, which executes init. It is forked and not re-executed: the
 * opener is a small process, and loading this program's libraries once more would cost more than the rest of the start.
 */
#pragma once
#include "sandbox/idmap.h"
#include "sandbox/sandbox.h"

struct launch {
    const struct sandbox_spec *spec;
    struct sandbox_limits limits; /* no zeros */
    enum sandbox_rung rung;       /* not RUNG_NONE */
    const char *bwrap;
    struct idmap map;     /* RUNG_SUB_UID */
    uid_t uid;            /* RUNG_REAL_UID: becomes this; RUNG_SUB_UID: this one in the namespace */
    bool own_userns;      /* RUNG_REAL_UID: root makes the user namespace, where others may not (see room.h) */
    bool limit_processes; /* no control group counts them */
    bool watch_memory;    /* no control group limits it: init watches */
    bool disable_userns;  /* bubblewrap knows --disable-userns */
    int control, log, seccomp, image; /* the child's ends (the image of init is read); they stay the caller's */
    int life; /* read end of a pipe whose other end only the opener has: a byte says that init is there, its end that
                 the start is over */
};
enum { LAUNCH_AGENT_UID = 1000, LAUNCH_VERIFIER_UID = 1001 }; /* as seen inside */

MUST_USE enum rc launch_start(const struct launch *l, pid_t *ret_pid, struct err *err);

/* Arguments of a program, growing. */
struct args {
    mem *ctx;
    const char **v; /* NULL-terminated */
    size_t n, room;
};
void args_add(struct args *a, ...) __attribute__((sentinel));
/* What of the machine's system is shown inside: /usr and its links, the harmless part of /etc, /proc, /dev, /tmp. Opens
 * descriptors for bubblewrap to read (not close-on-exec). */
MUST_USE enum rc system_args(struct args *a, enum sandbox_user user, int64_t tmp_bytes, struct err *err);
