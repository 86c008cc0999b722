/* nightmill replay: a stored run, played back at its own pace or faster. */
#include "cli/events.h"
#include "cli/narrate.h"
#include "cli/outcome.h"
#include <stdlib.h>
#include <time.h>

enum { PAUSE_MOST_MS = 3000 }; /* nobody wants to watch a model think again */

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to play back", .complete = COMPLETE_TASK},
    {0},
};
static const struct option options[] = {
    {.name = "speed", .kind = OPTION_FACTOR, .argument = "FACTOR", .help = "so many times faster; else 1"},
    {0},
};
static const struct example examples[] = {
    {"nightmill replay 7xk3m2q --speed 10", "ten times faster than it was; pauses are at most 3 seconds long"},
    {0},
};

struct replay {
    struct cli *cli;
    double speed;
    int64_t before_ms; /* time of the event before; -1: none */
};

static void pause_for(double ms)
{
    if (ms > PAUSE_MOST_MS)
        ms = PAUSE_MOST_MS;
    if (ms < 1)
        return;
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)ms % 1000 * 1000000}, NULL);
}

static bool event_play(void *arg, struct json event, struct str raw)
{
    struct replay *r = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t ms = time_read_ms(json_str(tmp, json_get(event, "time")));
    if (r->before_ms >= 0 && ms > r->before_ms)
        pause_for((double)(ms - r->before_ms) / r->speed);
    if (ms >= 0)
        r->before_ms = ms;
    if (r->cli->json) {
        cli_answer(r->cli, str_of(mem_printf(tmp, "%s\n", json_printable(tmp, raw).p)));
        return true;
    }
    struct buf b;
    buf_init(&b, tmp, SIZE_MAX);
    narrate_event(event, NARRATE_RUN, &r->cli->out, &b);
    cli_answer(r->cli, buf_view(&b));
    return true;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    const char *speed = call_value(&cli->call, "speed");
    struct replay r = {.cli = cli, .speed = speed ? strtod(speed, NULL) : 1, .before_ms = -1};
    if (cli_task(cli, &task, &err) != RC_OK)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    if (!cli->json)
        cli_answerf(cli, "Task %s: %s\n", shown_line(cli->ctx, task, "id", 64),
                    shown_line(cli->ctx, task, "title", 200));
    if (events_each(cli, id, 0, event_play, &r, &err) != RC_OK)
        return cli_fail(cli, &err);
    if (!cli->json)
        cli_answerf(cli, "%s: %s\n", state_shown(cli->ctx, task, &cli->out), shown_line(cli->ctx, task, "words", 400));
    return EXIT_DONE;
}

const struct command command_replay = {
    .name = "replay",
    .summary = "play a stored run back",
    .details = "With --json each event is one line, at its pace.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
