/* nightmill hint: a word to the agent, which it gets with its next iteration. */
#include "base/text.h"
#include "cli/order.h"

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task", .complete = COMPLETE_TASK},
    {.name = "TEXT", .help = "what the agent should know"},
    {0},
};
static const struct option options[] = {OPTION_ATTACH, {0}};
static const struct example examples[] = {
    {"nightmill hint 7xk3m2q \"The parser is in src/report/args.py\"", "a task that was stuck goes on with it"},
    {0},
};

static int run(struct cli *cli)
{
    struct err err = {0};
    struct buf b;
    struct json_out o;
    const char *text = call_argument(&cli->call, 1);
    if (!str_trim(str_of(text)).n || !str_utf8(str_of(text))) {
        err_set(&err, RC_INVALID, "A hint needs words");
        return cli_fail(cli, &err);
    }
    buf_init(&b, cli->ctx, 1 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "text", text);
    jo_end_obj(&o);
    return order_task(cli, call_argument(&cli->call, 0), "hint", buf_view(&b));
}

const struct command command_hint = {
    .name = "hint",
    .summary = "tell the agent of a task something",
    .details = "A task that is stuck goes on with it; one that is at work gets it with its next iteration.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
