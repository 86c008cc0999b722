/* What is kept how long: workspaces and outputs of tasks that ended and were delivered go after a while; events, bills
 * and journals stay. Work that was not delivered is never removed. Spare workspaces that no task took go too. */
#pragma once
#include "flow/board.h"
/* Pool thread. *ret_n folders removed. */
MUST_USE enum rc retention_run(const struct board *b, int64_t now_ns, int64_t keep_s, int64_t *ret_n, struct err *err);
