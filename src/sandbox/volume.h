/* Cache volumes: what package managers and compilers keep between runs, so that a second run does not fetch and build
 * everything anew.
 *
 * A volume is a folder <dir>/<project>/<phase>/<kind>, mounted at /cache/<kind> with the variables that point there. It
 * belongs to one project and one phase, and nothing of another project or phase is ever mounted: a program that fills
 * its caches with lies deceives only later programs of the same project and phase. Phase "work" is what agents write.
 * Phase "setup" is written only by setup commands that run on the files of a base commit, before any agent. Checks get
 * no volume at all: a verdict does not rest on what an earlier run has left.
 * A volume that outgrew its cap is emptied when nobody uses it: every tool here takes an empty cache, and none a cache
 * with holes. When all together are over theirs, those used longest ago are emptied first. A sandbox's own limit of
 * disk counts its volumes too.
 * Not here: what a cache holds. Threads: main thread of a small process (files may have to change hands). */
#pragma once
#include "sandbox/sandbox.h"

enum volume_phase { VOLUME_WORK, VOLUME_SETUP };
enum { VOLUME_KINDS = 4 }; /* npm, pip, cargo, ccache */

struct volume_spec {
    const char *dir;     /* <data>/cache */
    const char *project; /* one path component, such as a hash */
    enum volume_phase phase;
    enum sandbox_user user; /* whose files they are: always the same for one phase */
};
/* Volumes in use: until volume_close, or the end of the process. */
struct volumes {
    struct sandbox_mount mounts[VOLUME_KINDS]; /* writable; texts in ctx */
    size_t n;
    const char *const *env; /* NULL-terminated, lasts for ever */
    int locks[VOLUME_KINDS];
};
/* Makes what is missing. Several sandboxes may use the same volumes at once, as the tools themselves allow. Nothing is
 * open on failure. */
MUST_USE enum rc volume_open(mem *ctx, const struct volume_spec *spec, struct volumes *ret, struct err *err);
void volume_close(struct volumes *v); /* all zero is fine */

struct volume_caps {
    int64_t each_bytes;  /* of one volume */
    int64_t total_bytes; /* of all below dir */
    int64_t unused_s;    /* a volume that nobody used for so long is emptied */
};
/* Holds the caps for all volumes below dir; those in use stay as they are. *ret_freed bytes. */
MUST_USE enum rc volume_trim(const char *dir, const struct volume_caps *caps, int64_t *ret_freed, struct err *err);
