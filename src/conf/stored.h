/* Settings that were set over the API or by `nightmill config set`. The database has them (store/setting.h); so that
 * the keeper and the command line see the same values without it, the server writes them to <data>/settings.json
 * after each change and at its start. The file is derived: the server never reads it.
 *
 * They stand between default and file: what file, environment or a flag says wins. A stored value that the register
 * does not take any more (a newer program with a narrower range) is left out, never a reason not to start.
 * Threads: no state. */
#pragma once
#include "conf/setting.h"

struct setting_stored {
    const char *name, *value;
    const char *by; /* who set it */
    int64_t at_ns;
};
/* Overlays them where nothing but the default speaks; returns how many were left out because they are wrong. */
size_t settings_stored_apply(struct settings *set, const struct setting_stored *rows, size_t n);
char *settings_stored_path(mem *ctx, const char *data_dir);
MUST_USE enum rc settings_stored_write(const char *path, const struct setting_stored *rows, size_t n, struct err *err);
/* None when the file is not there. RC_INVALID: it is not what was written. In ctx. */
MUST_USE enum rc settings_stored_read(mem *ctx, const char *path, struct setting_stored **ret, size_t *ret_n,
                                      struct err *err);
