/* Answers to approval gates: approve and deny. */
#pragma once
#include "cli/session.h"

/* outcome: "approved" or "refused". The call's first argument names an approval or its task, the second is said along.
 * Returns the exit status. */
int approval_decide(struct cli *cli, const char *outcome);
