/* Finding the approval that is meant, and answering it. */
#include "cli/approval.h"
#include "base/text.h"
#include "cli/follow.h"

/* By its own name, or by that of its task, of which one gate waits at a time. */
static enum rc approval_find(struct cli *cli, const char *name, struct json *ret, struct err *err)
{
    struct json answer;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/approvals?state=waiting", STR(""), &answer, err);
    if (rc)
        return rc;
    for (struct json_iter it = json_iter(json_get(answer, "approvals")); json_next(&it);) {
        if (json_eqz(json_get(it.value, "id"), name) || json_eqz(json_get(it.value, "task"), name)) {
            *ret = it.value;
            return RC_OK;
        }
    }
    err_set(err, RC_NOT_FOUND, "No approval waits under the name \"%s\"",
            text_terminal_line(cli->ctx, str_of(name), 60));
    return err_hint(err, "nightmill ls --state needs_you lists the tasks that wait.");
}

static enum rc answer_send(struct cli *cli, struct json approval, const char *outcome, struct json *ret,
                           struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 1 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "outcome", outcome);
    if (call_argument(&cli->call, 1))
        jo_kz(&o, "answer", call_argument(&cli->call, 1));
    jo_end_obj(&o);
    const char *id = json_z(cli->ctx, json_get(approval, "id"), "");
    char *path = mem_printf(cli->ctx, "/api/v1/approvals/%s", text_url(cli->ctx, str_of(id)));
    return cli_ask(cli, "POST", path, buf_view(&b), ret, err);
}

int approval_decide(struct cli *cli, const char *outcome)
{
    struct err err = {0};
    struct json approval, task, answered;
    enum rc rc = approval_find(cli, call_argument(&cli->call, 0), &approval, &err);
    if (rc)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(approval, "task"), "");
    rc = cli_ask(cli, "GET", task_path(cli, id, ""), STR(""), &task, &err);
    if (!rc)
        rc = cli_hand_over_keys(cli, json_z(cli->ctx, json_path(task, "spec.model.key"), NULL), &err);
    if (!rc && call_has(&cli->call, "attach"))
        follow_prepare();
    if (!rc)
        rc = answer_send(cli, approval, outcome, &answered, &err);
    if (rc)
        return cli_fail(cli, &err);
    if (call_has(&cli->call, "attach"))
        return follow_task(cli, id, json_int(json_get(task, "last_event"), 0));
    if (cli->json)
        cli_document(cli, "approval", json_raw(answered), -1);
    else
        cli_answerf(cli, "%s  the %s is %s\n", shown_line(cli->ctx, approval, "task", 64),
                    shown_line(cli->ctx, approval, "gate", 20), outcome);
    return EXIT_DONE;
}
