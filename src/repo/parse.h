/* Private to src/repo: what git prints about trees, as structs. Names are bytes that strangers chose; the rest is
 * git's, and is checked all the same. False: not in the form that is documented. Results in ctx. */
#pragma once
#include "repo/repo.h"

/* `ls-tree -r -z`. */
bool entries_parse(mem *ctx, struct str out, struct repo_entry **ret, size_t *ret_n);
/* One record of it, without its NUL. */
bool entry_parse(mem *ctx, struct str line, struct repo_entry *ret);
/* `diff-tree -r -z --raw --numstat`. */
bool changes_parse(mem *ctx, struct str out, struct repo_change **ret, size_t *ret_n);
