/* nightmill undo: takes a delivered task back. The work itself is kept. */
#include "base/clock.h"
#include "cli/events.h"
#include <time.h>

enum { UNDO_MS = 120000 };

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the delivered task", .complete = COMPLETE_TASK},
    {0},
};
static const struct example examples[] = {
    {"nightmill undo 7xk3m2q", "removes its branch, or takes its commit off yours"},
    {0},
};

struct undo {
    struct cli *cli;
    int64_t last;
    int status; /* -1: not over yet */
};

static bool event_look(void *arg, struct json event, struct str raw)
{
    struct undo *u = arg;
    struct cli *cli = u->cli;
    struct json data = json_get(event, "data");
    bool undone = json_eqz(json_get(event, "type"), "task.undone");
    (void)raw;
    u->last = json_int(json_get(event, "number"), u->last);
    if (!undone && !json_eqz(json_get(event, "type"), "undo.refused"))
        return true;
    u->status = undone ? EXIT_DONE : EXIT_FAILED;
    if (undone && cli->json) {
        cli_document(cli, "undo", json_raw(data), u->status);
    } else if (undone) {
        cli_answerf(cli, "%s\n", shown_line(cli->ctx, data, "words", 1000));
    } else {
        struct err err = {0};
        err_set(&err, RC_CONFLICT, "%s", shown_line(cli->ctx, data, "words", 400));
        if (json_is(json_get(data, "hint")))
            err_hint(&err, "%s", shown_line(cli->ctx, data, "hint", 400));
        cli_fail(cli, &err);
    }
    return false;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    enum rc rc = cli_task(cli, &task, &err);
    if (rc)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    struct undo u = {.cli = cli, .last = json_int(json_get(task, "last_event"), 0), .status = -1};
    rc = cli_ask(cli, "POST", task_path(cli, id, "/undo"), STR("{}"), NULL, &err);
    int64_t until = clock_mono_ms() + UNDO_MS;
    while (!rc && u.status < 0 && clock_mono_ms() < until) {
        rc = events_each(cli, id, u.last, event_look, &u, &err);
        if (u.status < 0)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    if (!rc && u.status < 0)
        rc = err_set(&err, RC_TIMEOUT, "Undoing task %s has not ended within %d s", id, UNDO_MS / 1000);
    return rc ? cli_fail(cli, &err) : u.status;
}

const struct command command_undo = {
    .name = "undo",
    .summary = "take a delivered task back",
    .details =
        "A branch that was delivered is removed; a commit that was applied is taken off, or reversed by another one "
        "when there is work on top of it. The work stays reachable below refs/nightmill/undone.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
