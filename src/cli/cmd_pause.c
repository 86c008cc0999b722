/* nightmill pause: pause a task. */
#include "cli/order.h"

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to pause", .complete = COMPLETE_TASK},
    {0},
};
static const struct example examples[] = {
    {"nightmill pause 7xk3m2q", "the task waits until nightmill resume"},
    {0},
};

static int run(struct cli *cli)
{
    return order_task(cli, call_argument(&cli->call, 0), "pause", STR("{}"));
}

const struct command command_pause = {
    .name = "pause",
    .summary = "pause a task",
    .details = "The task stops at a recorded point and goes on there with nightmill resume.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
