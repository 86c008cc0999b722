/* nightmill stop: stop a task for good. */
#include "cli/order.h"

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to stop", .complete = COMPLETE_TASK},
    {0},
};
static const struct example examples[] = {
    {"nightmill stop 7xk3m2q", "ends the task; nothing is delivered"},
    {0},
};

static int run(struct cli *cli)
{
    return order_task(cli, call_argument(&cli->call, 0), "stop", STR("{}"));
}

const struct command command_stop = {
    .name = "stop",
    .summary = "stop a task for good",
    .details = "The agent is ended at once. What it did stays in the task's own repository: nightmill diff shows it.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
