/* nightmill ls: the tasks, newest first. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/narrate.h"
#include "cli/outcome.h"
#include "cli/session.h"

static const struct option options[] = {
    {.name = "state",
     .kind = OPTION_CHOICE,
     .argument = "STATE",
     .choices = "active|queued|working|checking|needs_you|paused|done|unproven|stopped|failed",
     .help = "only tasks in this state"},
    {.name = "limit",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000,
     .help = "at most so many; else 50"},
    {.name = "ids", .help = "names of tasks alone, one a line; starts no daemon"},
    {0},
};
static const struct example examples[] = {
    {"nightmill ls --state needs_you", "lists the tasks that wait for you"},
    {0},
};

static char *list_path(struct cli *cli)
{
    const char *state = call_value(&cli->call, "state");
    return mem_printf(cli->ctx, "/api/v1/tasks?limit=%lld%s%s", (long long)call_number(&cli->call, "limit", 50),
                      state ? "&state=" : "", state ? state : "");
}

/* For completion: quick, and silent when there is nothing to tell. */
static int ids_print(struct cli *cli)
{
    struct json answer;
    struct buf b;
    buf_init(&b, cli->ctx, 1 << 20);
    if (cli_peek(cli, list_path(cli), 500, &answer, NULL) != RC_OK)
        return EXIT_DONE;
    for (struct json_iter it = json_iter(json_get(answer, "tasks")); json_next(&it);)
        buf_printf(&b, "%s\n", shown_line(cli->ctx, it.value, "id", 64));
    cli_answer(cli, buf_view(&b));
    return EXIT_DONE;
}

static const char *changed_shown(mem *ctx, struct json task)
{
    int64_t ms = time_read_ms(json_str(ctx, json_get(task, "changed_at")));
    int64_t age = ms < 0 ? 0 : (clock_wall_ns() / 1000000 - ms) / 1000;
    return mem_printf(ctx, "%s ago", text_duration(ctx, age));
}

/* A table on a terminal; lines of fields separated by tabs in a pipe. */
static void task_line(struct cli *cli, struct json task, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *id = shown_line(tmp, task, "id", 64), *title = shown_line(tmp, task, "title", 200);
    long long iteration = (long long)json_int(json_get(task, "iteration"), 0);
    long long limit = (long long)json_int(json_get(task, "iteration_limit"), 0);
    if (json_is(json_get(task, "trial"))) { /* which of how it stands, in front: attempts have the same title */
        const char *won = json_eqz(json_get(task, "reason"), "trial") && json_eqz(json_get(task, "state"), "stopped")
                              ? ", another won"
                              : "";
        title = mem_printf(tmp, "[trial %s, attempt %lld%s] %s", shown_line(tmp, task, "trial", 16),
                           (long long)json_int(json_get(task, "attempt"), 0), won, title);
    }
    const char *loop = mem_printf(tmp, "%lld/%lld", iteration, limit);
    if (!cli->out.live) {
        buf_printf(out, "%s\t%s\t%s\t%s\t%s\n", id, shown_line(tmp, task, "state", 20), loop,
                   shown_line(tmp, task, "changed_at", 40), title);
        return;
    }
    struct screen plain = {0};
    const char *state = state_shown(tmp, task, &plain);
    int pad = 9 - (int)strlen(state), room = screen_columns(&cli->out) - 46;
    buf_printf(out, "%-8s  %s%*s  %7s  %14s  %s\n", id, state_shown(tmp, task, &cli->out), pad > 0 ? pad : 0, "", loop,
               changed_shown(tmp, task), text_terminal_line(tmp, str_of(title), room > 20 ? (size_t)room : 20));
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json answer;
    if (call_has(&cli->call, "ids"))
        return ids_print(cli);
    if (cli_ask(cli, "GET", list_path(cli), STR(""), &answer, &err) != RC_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        cli_document(cli, "tasks", json_raw(answer), -1);
        return EXIT_DONE;
    }
    struct buf b;
    buf_init(&b, cli->ctx, SIZE_MAX);
    for (struct json_iter it = json_iter(json_get(answer, "tasks")); json_next(&it);)
        task_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No tasks. Start one: nightmill run \"what is to be changed\" --check 'make test'");
    cli_answer(cli, buf_view(&b));
    return EXIT_DONE;
}

const struct command command_ls = {
    .name = "ls",
    .summary = "list tasks, newest first",
    .options = options,
    .examples = examples,
    .run = run,
};
