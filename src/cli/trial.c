/* A trial shown. */
#include "cli/trial.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/outcome.h"

enum { LABEL_MOST = 40 };

const char *trial_path(struct cli *cli, const char *id, const char *rest)
{
    return mem_printf(cli->ctx, "/api/v1/trials/%s%s", text_url(cli->ctx, str_of(id)), rest);
}

enum rc trial_ask(struct cli *cli, const char *id, struct json *ret, struct err *err)
{
    return cli_ask(cli, "GET", trial_path(cli, id, ""), STR(""), ret, err);
}

const char *attempt_label(mem *ctx, struct json attempt)
{
    const char *agent = shown_line(ctx, attempt, "agent", LABEL_MOST),
               *model = shown_line(ctx, json_get(attempt, "model"), "name", LABEL_MOST);
    agent = strcmp(agent, "nightmill") == 0 ? "builtin" : agent;
    return mem_printf(ctx, "%s%s%s", agent, *model ? " with " : "", model);
}

/* What it cost; "-" where a price is missing or nothing was counted. */
static const char *cost_shown(struct cli *cli, struct json task)
{
    struct json spent = json_get(task, "spent");
    const char *total = json_z(cli->ctx, json_get(spent, "total"), NULL);
    const char *shown = amount_shown(cli->ctx, total, json_z(cli->ctx, json_get(spent, "currency"), "USD"));
    bool known = json_int(json_get(spent, "unpriced"), 0) == 0 &&
                 json_int(json_get(spent, "requests"), 0) + json_int(json_get(spent, "kept"), 0) > 0;
    return known && shown ? shown : "-";
}

static enum rc attempts_add(struct cli *cli, struct json trial, struct buf *out, struct err *err)
{
    mem *ctx = cli->ctx;
    const char *winner = json_z(ctx, json_get(trial, "winner"), "");
    for (struct json_iter it = json_iter(json_get(trial, "attempts")); json_next(&it);) {
        struct json task;
        const char *id = json_z(ctx, json_get(it.value, "id"), "");
        enum rc rc = cli_ask(cli, "GET", task_path(cli, id, ""), STR(""), &task, err);
        if (rc)
            return rc;
        const char *words = shown_line(ctx, task, "words", 200);
        bool won = strcmp(id, winner) == 0;
        buf_printf(out, "  %s %-8s %-30s %s  %lld of %lld iterations, %s, %s%s%s\n", won ? "*" : " ",
                   text_terminal_line(ctx, str_of(id), 16), attempt_label(ctx, it.value),
                   state_shown(ctx, task, &cli->out), (long long)json_int(json_get(task, "iteration"), 0),
                   (long long)json_int(json_get(task, "iteration_limit"), 0),
                   text_duration(ctx, json_int(json_get(task, "worked_s"), 0)), cost_shown(cli, task),
                   *words ? "\n             " : "", words);
    }
    return RC_OK;
}

static void steps_add(struct cli *cli, struct json trial, struct buf *out)
{
    mem *ctx = cli->ctx;
    const char *id = shown_line(ctx, trial, "id", 16), *winner = shown_line(ctx, trial, "winner", 16);
    bool done = json_eqz(json_get(trial, "state"), "done"), decided = *winner;
    if (done) {
        buf_printf(out, "  nightmill diff %s   look at what was delivered\n", winner);
        buf_printf(out, "  nightmill undo %s   take it back\n", id);
    } else if (!outcome_rests(trial)) {
        buf_printf(out, "  nightmill attach %s   follow it\n", id);
        buf_printf(out, "  nightmill stop %s   stop all attempts\n", id);
    } else if (json_eqz(json_get(trial, "state"), "paused") || json_eqz(json_get(trial, "state"), "needs_you") ||
               json_eqz(json_get(trial, "state"), "failed")) {
        buf_printf(out, "  nightmill resume %s   go on\n", id);
    }
    if (!decided || done)
        buf_z(out, "  nightmill diff ATTEMPT | git apply   take over the work of another attempt\n");
}

static void limits_add(struct cli *cli, struct json trial, struct buf *out)
{
    struct json limits = json_get(trial, "limits");
    const char *money = amount_shown(cli->ctx, json_z(cli->ctx, json_get(limits, "money"), NULL),
                                     json_z(cli->ctx, json_get(limits, "currency"), "USD"));
    int64_t tokens = json_int(json_get(limits, "tokens"), 0);
    if (money || tokens)
        buf_printf(out, "  for all attempts together: %s%s%s%s\n", money ? money : "", money && tokens ? ", " : "",
                   tokens ? count_shown(cli->ctx, tokens) : "", tokens ? " tokens" : "");
}

int trial_show(struct cli *cli, struct json trial)
{
    struct err err = {0};
    struct buf b;
    mem *ctx = cli->ctx;
    int status = outcome_status(trial);
    if (cli->json) {
        cli_document(cli, "trial", json_raw(trial), status);
        return status;
    }
    buf_init(&b, ctx, SIZE_MAX);
    buf_printf(&b, "%s  %s  %s\n", state_shown(ctx, trial, &cli->out), shown_line(ctx, trial, "id", 16),
               screen_paint(ctx, &cli->out, TONE_STRONG, shown_line(ctx, trial, "title", 120)));
    buf_printf(&b, "  %s\n", shown_line(ctx, trial, "words", 1000));
    limits_add(cli, trial, &b);
    if (attempts_add(cli, trial, &b, &err) != RC_OK)
        return cli_fail(cli, &err);
    steps_add(cli, trial, &b);
    cli_answer(cli, buf_view(&b));
    return status;
}
