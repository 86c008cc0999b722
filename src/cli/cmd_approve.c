/* nightmill approve: lets a gate pass. */
#include "cli/approval.h"
#include "cli/order.h"

static const struct argument arguments[] = {
    {.name = "ID", .help = "an approval, or the task that waits for it", .complete = COMPLETE_TASK},
    {.name = "WORDS", .help = "what to say along", .optional = true},
    {0},
};
static const struct option options[] = {OPTION_ATTACH, {0}};
static const struct example examples[] = {
    {"nightmill approve 7xk3m2q", "the task goes on behind the gate"},
    {0},
};

static int run(struct cli *cli)
{
    return approval_decide(cli, "approved");
}

const struct command command_approve = {
    .name = "approve",
    .summary = "approve what a task waits for",
    .details =
        "Hours later and after a restart as well. An approval that nobody answers expires; that is never consent.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
