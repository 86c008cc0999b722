/* The stored events of a task, in pages. */
#pragma once
#include "cli/session.h"

/* Calls each for every event with a number above `after`; false stops. raw is the line as it came. */
MUST_USE enum rc events_each(struct cli *cli, const char *id, int64_t after,
                             bool (*each)(void *arg, struct json event, struct str raw), void *arg, struct err *err);
