/* nightmill attach: follow a task again. */
#include "cli/follow.h"
#include "cli/trial.h"

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to follow", .complete = COMPLETE_TASK},
    {0},
};
static const struct example examples[] = {
    {"nightmill attach 7xk3m2q", "follows it until it rests; Ctrl-C asks whether to leave it or to stop it"},
    {0},
};

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    const char *name = call_argument(&cli->call, 0);
    if (*name && strlen(name) < 64 && cli_ask(cli, "GET", task_path(cli, name, ""), STR(""), &task, &err) != RC_OK &&
        trial_ask(cli, name, &task, NULL) == RC_OK)
        return trial_follow(cli, name);
    err = (struct err){0};
    if (cli_task(cli, &task, &err) != RC_OK)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    cli_say(cli, "Task %s: %s", id, shown_line(cli->ctx, task, "title", 200));
    return follow_task(cli, id, json_int(json_get(task, "last_event"), 0));
}

const struct command command_attach = {
    .name = "attach",
    .summary = "follow a task until it rests",
    .details = "The exit status is that of run.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
