/* Private to src/setup. */
#pragma once
#include "setup/setup.h"

/* What a layer is made for. */
struct layer_key {
    char hex[65];
    bool own;         /* of the tree itself: not the base's */
    const char *tree; /* whose files the commands see: a tree id */
};
/* own: the tree gets a layer of its own even where the base's would do. *ret_files (may be NULL): the files of the
 * tree, for key_collides. In ctx. */
MUST_USE enum rc key_make(mem *ctx, const struct setup_spec *spec, const char *tree, bool own, struct layer_key *ret,
                          struct repo_entry **ret_files, size_t *ret_n, struct err *err);
/* Whether the tree has a file of its own where a layer has something: root "a/b" or "a/b/". */
bool key_collides(const struct repo_entry *files, size_t n, const char *root);

/* Makes the layer in <layers>/<key>, which must not be there; the caller holds its lock. */
MUST_USE enum rc layer_make(mem *ctx, const struct setup_spec *spec, const struct layer_key *key,
                            struct setup_layer *ret, struct err *err);
/* Reads it. RC_NOT_FOUND. */
MUST_USE enum rc layer_read(mem *ctx, const char *layers, const char *key, struct setup_layer *ret, struct err *err);
