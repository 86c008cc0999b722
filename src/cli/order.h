/* Orders to a task: one POST, one line about where the task stands then, and perhaps following it. */
#pragma once
#include "cli/session.h"

/* body: JSON object. With the option --attach the task is followed afterwards. Returns the exit status. */
int order_task(struct cli *cli, const char *id, const char *verb, struct str body);
/* The row of the option --attach, for tables. */
#define OPTION_ATTACH                                                                                                  \
    {                                                                                                                  \
        .name = "attach", .letter = 'a', .help = "follow the task afterwards"                                          \
    }
