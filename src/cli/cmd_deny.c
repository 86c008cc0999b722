/* nightmill deny: refuses at a gate; the task is stopped and delivers nothing. */
#include "cli/approval.h"

static const struct argument arguments[] = {
    {.name = "ID", .help = "an approval, or the task that waits for it", .complete = COMPLETE_TASK},
    {.name = "WORDS", .help = "why", .optional = true},
    {0},
};
static const struct example examples[] = {
    {"nightmill deny 7xk3m2q \"not before the release\"", "the task is stopped; nothing is delivered"},
    {0},
};

static int run(struct cli *cli)
{
    return approval_decide(cli, "refused");
}

const struct command command_deny = {
    .name = "deny",
    .summary = "refuse what a task waits for",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
