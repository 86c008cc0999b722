/* nightmill agent compare: track records of agents, side by side. */
#pragma once
#include "cli/session.h"

/* The agents named by the call's arguments behind the verb; none: all that have worked. Options by, project, last and
 * assigned. */
MUST_USE enum rc compare_run(struct cli *cli, struct err *err);
