/* nightmill sample: the sample task, from its beginning to its verdict. */
#include "cli/follow.h"

static const struct option options[] = {
    {.name = "detach", .letter = 'd', .kind = OPTION_SWITCH, .help = "print the task's id and return"},
    {0},
};
static const struct example examples[] = {
    {"nightmill sample", "a task that goes red, then green, in less than a minute; no key is needed"},
    {0},
};

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    if (cli_ask(cli, "POST", "/api/v1/sample", STR("{}"), &task, &err) != RC_OK)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    if (call_has(&cli->call, "detach")) {
        if (cli->json)
            cli_document(cli, "task", json_raw(task), -1);
        else
            cli_answerf(cli, "%s\n", id);
        return EXIT_DONE;
    }
    cli_say(cli, "Task %s: %s", id, shown_line(cli->ctx, task, "title", 200));
    cli_say(cli, "  project   %s", shown_line(cli->ctx, task, "repo", 400));
    cli_say(cli, "  model     its words are canned and its first attempt is wrong on purpose; everything else is real");
    return follow_task(cli, id, json_int(json_get(task, "last_event"), 0));
}

const struct command command_sample = {
    .name = "sample",
    .summary = "run the sample task: a small project, without any key",
    .details = "The project stays below the data folder, to look at. The exit status is that of run.",
    .options = options,
    .examples = examples,
    .run = run,
};
