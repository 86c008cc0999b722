/* Subordinate ids: the range that /etc/subuid and /etc/subgid give to this user, and entering a user namespace in which
 * they are mapped (0 is this user itself, 1.. is the range) with the help of newuidmap(1) and newgidmap(1). */
#pragma once
#include "base/err.h"
#include <stdint.h>
#include <sys/types.h>

enum { IDMAP_NEEDED = 2 }; /* an agent and a verifier */
struct idmap {
    uid_t uid; /* first subordinate id outside */
    gid_t gid;
    int64_t uids, gids;
    char newuidmap[64], newgidmap[64];
};
/* RC_UNAVAILABLE with what is missing and the line that mends it. */
MUST_USE enum rc idmap_find(struct idmap *ret, struct err *err);
/* Puts the calling process, which must have one thread, into such a namespace, as its root. Forks a helper and waits
 * for it. The parent-death signal must be set anew by the caller. */
MUST_USE enum rc idmap_enter(const struct idmap *map, struct err *err);
