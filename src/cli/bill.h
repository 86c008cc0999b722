/* What a task's model requests came to, from the rows of its ledger: by iteration and model, and in all. */
#pragma once
#include "base/json.h"

/* Appends the table; nothing when there was no request. `ledger`: the answer of GET .../ledger. */
void bill_table(struct json ledger, struct buf *out);
/* "in 12,345 (cached 1,000), out 900 (reasoning 0); $0.42 of $2.00": one line without line feed, in ctx. `limit`:
 * decimal string or NULL. */
char *bill_line(mem *ctx, struct json spent, const char *limit);
/* "12,345". In ctx. */
char *count_shown(mem *ctx, int64_t n);
/* "$0.42" of a decimal string, or NULL when it is none. In ctx. */
char *amount_shown(mem *ctx, const char *decimal, const char *currency);
