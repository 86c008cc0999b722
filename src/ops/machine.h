/* The machine's rows of the pre-flight as a file, because looking starts programs (git, a sandbox on trial), which the
 * server never does: a small process of the keeper's looks, the server reads. */
#pragma once
#include "ops/preflight.h"

/* Looks, and writes <data>/run/machine.json. uid_base: the setting sandbox.uid_base, as text. */
MUST_USE enum rc machine_look(mem *ctx, const char *data_dir, const char *uid_base, struct err *err);
/* The rows that were written last, put behind those of p, and when. RC_NOT_FOUND: nobody has looked yet. In ctx. */
MUST_USE enum rc machine_read(mem *ctx, const char *data_dir, struct preflight *p, int64_t *ret_at_ns, struct err *err);
