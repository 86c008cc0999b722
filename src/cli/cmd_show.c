/* nightmill show: one task, what it cost, what can be done next. */
#include "base/text.h"
#include "cli/bill.h"
#include "cli/events.h"
#include "cli/narrate.h"
#include "cli/outcome.h"
#include "cli/trial.h"

enum { AGENT_EVENTS = 2500 }; /* the newest ones, looked through for the end of the agent */

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to show", .complete = COMPLETE_TASK},
    {0},
};
static const struct example examples[] = {
    {"nightmill show 7xk3m2q", "state, checks, limits, bill, and what to type next"},
    {0},
};

static void row(struct cli *cli, struct buf *out, const char *label, const char *words)
{
    if (*words)
        buf_printf(out, "  %s %s\n",
                   screen_paint(cli->ctx, &cli->out, TONE_FAINT, mem_printf(cli->ctx, "%-10s", label)), words);
}

static void approvals_add(struct cli *cli, struct json task, struct buf *out)
{
    mem *ctx = cli->ctx;
    for (struct json_iter it = json_iter(json_get(task, "approvals")); json_next(&it);) {
        const char *answer = shown_line(ctx, it.value, "answer", 200);
        row(cli, out, "approval",
            mem_printf(ctx, "%s: the %s, %s%s%s", shown_line(ctx, it.value, "id", 64),
                       shown_line(ctx, it.value, "gate", 20), shown_line(ctx, it.value, "outcome", 20),
                       *answer ? ": " : "", answer));
    }
}

static void details_add(struct cli *cli, struct json task, struct buf *out)
{
    mem *ctx = cli->ctx;
    struct json limits = json_get(task, "limits"), model = json_get(task, "model"), spec = json_get(task, "spec");
    const char *text = shown(ctx, task, "text"), *title = shown_line(ctx, task, "title", 120);
    const char *budget = amount_shown(ctx, json_z(ctx, json_get(limits, "money"), NULL),
                                      json_z(ctx, json_get(limits, "currency"), "USD"));
    int64_t time_s = json_int(json_get(limits, "time_s"), 0), tokens = json_int(json_get(limits, "tokens"), 0);
    if (strcmp(text, title))
        row(cli, out, "text", text_terminal_line(ctx, str_of(text), 2000));
    row(cli, out, "repository",
        mem_printf(ctx, "%s at %.12s", shown_line(ctx, task, "repo", 400), shown_line(ctx, task, "base", 64)));
    for (struct json_iter it = json_iter(json_get(task, "checks")); json_next(&it);)
        row(cli, out, "check",
            mem_printf(ctx, "%s: %s (%s)", shown_line(ctx, it.value, "name", 64),
                       shown_line(ctx, it.value, "command", 200), shown_line(ctx, it.value, "origin", 100)));
    row(cli, out, "limits",
        mem_printf(ctx, "%s%s%s%s%s%s%s", shown_line(ctx, json_get(spec, "limits"), "iterations_words", 300),
                   budget ? "; " : "", budget ? budget : "", time_s ? "; " : "",
                   time_s ? text_duration(ctx, time_s) : "", tokens ? "; tokens " : "",
                   tokens ? count_shown(ctx, tokens) : ""));
    row(cli, out, "model",
        mem_printf(ctx, "%s at %s", shown_line(ctx, model, "name", 100), shown_line(ctx, model, "url", 200)));
    for (struct json_iter it = json_iter(json_get(spec, "allow_check_changes")); json_next(&it);)
        row(cli, out, "allowed",
            mem_printf(ctx, "changes of protected files: %s", text_terminal_line(ctx, json_str(ctx, it.value), 200)));
    row(cli, out, "created", time_shown(ctx, json_str(ctx, json_get(task, "created_at")), true));
    row(cli, out, "ended", time_shown(ctx, json_str(ctx, json_get(task, "ended_at")), true));
    if (json_is(json_get(task, "trial")))
        row(cli, out, "trial",
            mem_printf(ctx, "%s, attempt %lld", shown_line(ctx, task, "trial", 16),
                       (long long)json_int(json_get(task, "attempt"), 0)));
    approvals_add(cli, task, out);
}

struct agent_seen {
    mem *ctx;
    const char *end;
};

static bool agent_see(void *arg, struct json event, struct str raw)
{
    struct agent_seen *seen = arg;
    (void)raw;
    if (json_eqz(json_get(event, "type"), "agent.finished"))
        seen->end = agent_end_shown(seen->ctx, json_get(event, "data"));
    return true;
}

/* Somebody else's agent, and how it ended last; of an iteration that has more events than this, only its name. */
static void agent_add(struct cli *cli, struct json task, const char *id, struct buf *out)
{
    struct json name = json_path(task, "spec.agent.name");
    struct agent_seen seen = {.ctx = cli->ctx};
    int64_t from = json_int(json_get(task, "last_event"), 0) - AGENT_EVENTS;
    if (!json_is(name))
        return;
    if (events_each(cli, id, from > 0 ? from : 0, agent_see, &seen, NULL) != RC_OK || !seen.end)
        seen.end = text_terminal_line(cli->ctx, json_str(cli->ctx, name), 64);
    row(cli, out, "agent", seen.end);
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task, ledger;
    struct buf b;
    const char *name = call_argument(&cli->call, 0);
    if (*name && strlen(name) < 64 && cli_ask(cli, "GET", task_path(cli, name, ""), STR(""), &task, &err) != RC_OK &&
        trial_ask(cli, name, &task, NULL) == RC_OK) {
        trial_show(cli, task);
        return EXIT_DONE;
    }
    err = (struct err){0};
    if (cli_task(cli, &task, &err) != RC_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        cli_document(cli, "task", json_raw(task), -1);
        return EXIT_DONE;
    }
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    if (cli_ask(cli, "GET", task_path(cli, id, "/ledger"), STR(""), &ledger, &err) != RC_OK)
        return cli_fail(cli, &err);
    buf_init(&b, cli->ctx, SIZE_MAX);
    outcome_summary(task, ledger, &cli->out, &b);
    details_add(cli, task, &b);
    agent_add(cli, task, id, &b);
    cli_answer(cli, buf_view(&b));
    return EXIT_DONE;
}

const struct command command_show = {
    .name = "show",
    .summary = "show a task: state, checks, limits, bill",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
