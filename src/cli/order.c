/* Orders. */
#include "cli/order.h"
#include "cli/follow.h"
#include "cli/outcome.h"
#include "cli/trial.h"

static void task_say(struct cli *cli, struct json task)
{
    const char *words = shown_line(cli->ctx, task, "words", 400);
    cli_answerf(cli, "%s  %s%s%s\n", shown_line(cli->ctx, task, "id", 64), state_shown(cli->ctx, task, &cli->out),
                *words ? "  " : "", words);
}

/* To all attempts of a trial. */
static int order_trial(struct cli *cli, const char *id, const char *verb, struct str body)
{
    struct err err = {0};
    struct json trial;
    if (call_has(&cli->call, "attach"))
        follow_prepare();
    if (cli_ask(cli, "POST", trial_path(cli, id, mem_printf(cli->ctx, "/%s", verb)), body, &trial, &err) != RC_OK)
        return cli_fail(cli, &err);
    if (call_has(&cli->call, "attach"))
        return trial_follow(cli, id);
    if (cli->json)
        cli_document(cli, "trial", json_raw(trial), -1);
    else
        task_say(cli, trial);
    return EXIT_DONE;
}

int order_task(struct cli *cli, const char *id, const char *verb, struct str body)
{
    struct err err = {0};
    struct json before, task;
    bool attach = call_has(&cli->call, "attach");
    enum rc rc = cli_ask(cli, "GET", task_path(cli, id, ""), STR(""), &before, &err);
    if (rc == RC_NOT_FOUND && trial_ask(cli, id, &task, NULL) == RC_OK)
        return order_trial(cli, id, verb, body);
    if (rc == RC_NOT_FOUND && !err.hint[0])
        err_hint(&err, "nightmill ls lists the tasks.");
    if (!rc)
        rc = cli_hand_over_keys(cli, json_z(cli->ctx, json_path(before, "spec.model.key"), NULL), &err);
    if (!rc && attach)
        follow_prepare();
    if (!rc)
        rc = cli_ask(cli, "POST", task_path(cli, id, mem_printf(cli->ctx, "/%s", verb)), body, &task, &err);
    if (rc)
        return cli_fail(cli, &err);
    if (attach)
        return follow_task(cli, id, json_int(json_get(before, "last_event"), 0));
    if (cli->json)
        cli_document(cli, "task", json_raw(task), -1);
    else
        task_say(cli, task);
    return EXIT_DONE;
}
