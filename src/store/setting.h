/* Settings that were set over the API: an append-only history, of which the last change of each name is what holds.
 *
 * The number of a setting's last change is its version (0: it was never set), by which two people who change the same
 * one find out about each other. Values are texts as they are written in a file; NULL is the default. What a value
 * must be is the register's business (conf/setting.h). Reads from any thread, writes in a store_fn. */
#pragma once
#include "store/store.h"

struct setting_change {
    int64_t id;
    const char *name;
    const char *from, *to; /* NULL: the default */
    const char *by;
    int64_t at_ns;
    int64_t reverts; /* the change that this one undoes; 0: none */
};
#define SETTING_ANY_VERSION (-1)
/* Appends c (id and from are set); RC_CONFLICT when the version is another than expected: then *c is the change that
 * came before. A value that is there already is no change: c->id is then the version as it was. A change is
 * told to the stream's topic `settings` (setting.changed, without secrets). Texts of a conflict are in ctx. */
MUST_USE enum rc setting_change_put(mem *ctx, struct store_tx *tx, struct setting_change *c, int64_t expected,
                                    bool secret, struct err *err);
/* The last change of each name, also of those that are back at the default, by name. */
MUST_USE enum rc setting_last_changes(mem *ctx, struct store *s, struct setting_change **ret, size_t *ret_n,
                                      struct err *err);
/* name NULL: of all; before 0: from the newest. Newest first. */
MUST_USE enum rc setting_history(mem *ctx, struct store *s, const char *name, int64_t before, int64_t limit,
                                 struct setting_change **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc setting_change_find(mem *ctx, struct store *s, int64_t id, struct setting_change *ret,
                                     struct err *err); /* RC_NOT_FOUND */
