/* Cache volumes: what package managers and compilers keep between runs, so that a second run does not fetch and build
 * everything anew.
 *
 * A volume is a folder <dir>/<project>/<phase>/<kind>, mounted at /cache/<kind> with the variables that point there. It
 * belongs to one project and one phase, and nothing of another project or phase is ever mounted: a program that fills
 * its caches with lies deceives only later programs of the same project and phase. Phase "work" is what agents write.
 * Phase "setup" is written only by setup commands that run on the files of a base commit, before any agent. Checks get
 * no volume at all: a verdict does not rest on what an earlier run has left.
 * A volume that outgrew its cap is emptied when nobody uses it: every tool here takes an empty cache, and none a cache
 * with holes. When all together are over theirs, those used longest ago are emptied first.
 * Not here: what a cache holds. Threads: main thread of a small process (sandbox_give); volume_trim: any. */
#pragma once
#include "sandbox/sandbox.h"

enum volume_phase { VOLUME_WORK, VOLUME_SETUP };
enum { VOLUME_KINDS = 4 }; /* npm, pip, cargo, ccache */

struct volume_spec {
    const char *dir;     /* <data>/cache */
    const char *project; /* one path component, such as a hash */
    enum volume_phase phase;
    enum sandbox_user user; /* whose files they are: always the same for one phase */
    int64_t volume_bytes;   /* cap of one volume; 0: 4 GiB */
};
/* Open volumes: in use until volume_close, which NULL is fine for. */
struct volumes {
    struct sandbox_mount mounts[VOLUME_KINDS]; /* writable */
    size_t n;
    const char *const *env; /* NULL-terminated */
    int locks[VOLUME_KINDS];
};
/* Makes what is missing. Several sandboxes may use the same volumes at once, as the tools themselves allow. *ret in
 * ctx. */
MUST_USE enum rc volume_open(mem *ctx, const struct volume_spec *spec, struct volumes *ret, struct err *err);
void volume_close(struct volumes *v);
/* Empties volumes below dir, used longest ago first, until all together have at most max_bytes, and those not used for
 * unused_s; those in use stay. *ret_freed bytes. */
MUST_USE enum rc volume_trim(const char *dir, int64_t max_bytes, int64_t unused_s, int64_t *ret_freed, struct err *err);
