/* Control groups for what a sandbox holds: memory and number of processes, and a second way to find and end everything.
 *
 * cgroup_place_find looks for a folder of the cgroup tree in which this process may make groups of its own: version 2
 * where memory and pids are delegated, else version 1 where both can be made (in practice: as root), else none. One
 * group is made for each sandbox; its name holds the process that made it and that process's start time and pid
 * namespace, so that cgroup_sweep can tell what a killed one left behind. Not here: CPU and IO shares. Threads: any,
 * each object used by one. Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. */
#pragma once
#include "base/err.h"
#include "base/mem.h"
#include <stdint.h>
#include <sys/types.h>

enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };
struct cgroup_place {
    enum cgroup_kind kind;
    const char *memory; /* folder to make groups in; NULL: this controller is not to be had here */
    const char *pids;   /* the same folder as memory in version 2 */
    char words[96];     /* "cgroup v1 memory, pids", "no cgroup" */
    char why[256];      /* what stood in the way of version 2 and 1; empty when nothing did */
};
/* `proc` is /proc/self in real life; tests give a folder of their own with `mountinfo` and `cgroup` in it. Makes and
 * removes a group for trial. May move this program's own processes into a leaf group when they are alone in a delegated
 * one (version 2 refuses limits beside processes). Never fails: the place is then CGROUP_NONE. */
void cgroup_place_find(mem *ctx, const char *proc, struct cgroup_place *ret);

struct cgroup_limits { /* 0: none */
    int64_t memory_bytes;
    int64_t processes;
};
struct cgroup;
/* Makes a group. Belongs to ctx; call cgroup_close before ctx is freed, or the folder stays until a sweep. */
MUST_USE enum rc cgroup_open(mem *ctx, const struct cgroup_place *place, const char *label,
                             const struct cgroup_limits *limits, struct cgroup **ret, struct err *err);
/* Moves a process into the group; what it starts later is inside too. 0 or an errno (ESRCH: it has ended). The kernel
 * waits for a grace period here, some 10 ms, when nothing was moved just before: let something else run meanwhile. */
int cgroup_add(const struct cgroup *cg, pid_t pid);
/* Processes inside; with ret_pids (may be NULL) the first `max` of them. */
size_t cgroup_list(const struct cgroup *cg, pid_t *ret_pids, size_t max);
struct cgroup_events {
    int64_t memory_kills;     /* processes that the kernel ended for want of memory */
    int64_t processes_denied; /* starts that the limit refused */
};
struct cgroup_events cgroup_events(const struct cgroup *cg);
/* Ends everything inside (KILL, again and again until the group is empty) and removes the group. False when something
 * was left after timeout_ms. NULL is fine. */
bool cgroup_close(struct cgroup *cg, int timeout_ms);
/* Ends and removes groups whose maker is gone. Returns how many. */
int cgroup_sweep(const struct cgroup_place *place);
