/* What a command that starts the daemon says about its settings: --set NAME=VALUE and --ui-dir. The daemon reads its
 * settings itself, so they are handed over in its environment, for this start alone. */
#pragma once
#include "cli/session.h"

#define STARTING_OPTIONS                                                                                               \
    {                                                                                                                  \
        .name = "ui-dir", .kind = OPTION_TEXT, .argument = "DIR",                                                      \
        .help = "serve the built web page of this folder (ui/dist) instead of the one in the program, for this start"  \
    }

/* After cli_settings, before the daemon is started. RC_INVALID: no page is there; RC_CONFLICT: `running`, so --ui-dir
 * comes too late. */
MUST_USE enum rc starting_hand_over(struct cli *cli, bool running, struct err *err);
