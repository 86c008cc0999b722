/* nightmill resume: a task that was paused, has failed or needs you goes on, perhaps with other limits. */
#include "cli/order.h"

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to go on with", .complete = COMPLETE_TASK},
    {0},
};
static const struct option options[] = {
    {.name = "iterations",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000,
     .help = "most iterations, in all"},
    {.name = "budget", .kind = OPTION_MONEY, .argument = "AMOUNT", .help = "most money, in all"},
    {.name = "time",
     .kind = OPTION_DURATION,
     .argument = "DURATION",
     .min = 1,
     .max = 31536000,
     .help = "most working time, in all"},
    {.name = "tokens",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000000000000,
     .help = "most tokens, in all"},
    {.name = "model", .kind = OPTION_TEXT, .argument = "NAME", .help = "another model of the same server"},
    {.name = "allow-check-changes",
     .kind = OPTION_TEXT,
     .argument = "GLOB",
     .repeat = true,
     .help = "protected files that the change may touch"},
    OPTION_ATTACH,
    {0},
};
static const struct example examples[] = {
    {"nightmill resume 7xk3m2q --budget 5.00", "goes on where it was, for at most 5.00 in all"},
    {"nightmill resume 7xk3m2q --allow-check-changes tests/test_report.py",
     "accepts the change of that protected file"},
    {0},
};

static int run(struct cli *cli)
{
    const struct call *call = &cli->call;
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 1 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    if (call_has(call, "iterations"))
        jo_ki(&o, "iterations", call_number(call, "iterations", 0));
    if (call_has(call, "budget"))
        jo_kz(&o, "money", call_value(call, "budget"));
    if (call_has(call, "time"))
        jo_ki(&o, "time_s", call_number(call, "time", 0));
    if (call_has(call, "tokens"))
        jo_ki(&o, "tokens", call_number(call, "tokens", 0));
    if (call_has(call, "model"))
        jo_kz(&o, "model", call_value(call, "model"));
    if (call_has(call, "allow-check-changes")) {
        jo_key(&o, "allow_check_changes");
        jo_arr(&o);
        for (const char *const *v = call_values(cli->ctx, call, "allow-check-changes"); *v; v++)
            jo_z(&o, *v);
        jo_end_arr(&o);
    }
    jo_end_obj(&o);
    return order_task(cli, call_argument(call, 0), "resume", buf_view(&b));
}

const struct command command_resume = {
    .name = "resume",
    .summary = "go on with a task, with other limits if wanted",
    .details = "Limits are totals of the whole task. The task goes on in the background unless --attach is given.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
