/* nightmill log: the events of a task, in words or as they are. */
#include "cli/events.h"
#include "cli/narrate.h"
#include "cli/tail.h"
#include "ops/place.h"
#include <poll.h>
#include <time.h>

enum { TRIES_MOST = 20 };

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task to read", .complete = COMPLETE_TASK},
    {0},
};
static const struct option options[] = {
    {.name = "follow", .letter = 'f', .help = "wait for new events until the task has ended"},
    {.name = "jsonl", .help = "print each event as one line of JSON"},
    {.name = "after",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 0,
     .max = INT64_MAX,
     .help = "only events with a number above this"},
    {0},
};
static const struct example examples[] = {
    {"nightmill log 7xk3m2q", "everything that happened, one line an event"},
    {"nightmill log -f --jsonl 7xk3m2q", "every event as JSON, as it comes"},
    {0},
};

struct reading {
    struct cli *cli;
    bool jsonl;
    int64_t last;
    struct json_out *list; /* --json: all events in one document */
};

static bool event_print(void *arg, struct json event, struct str raw)
{
    struct reading *r = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    r->last = json_int(json_get(event, "number"), r->last);
    if (r->list) {
        jo_raw(r->list, raw);
        return true;
    }
    if (r->jsonl) {
        cli_answer(r->cli, str_of(mem_printf(tmp, "%s\n", json_printable(tmp, raw).p)));
        return true;
    }
    struct buf b;
    buf_init(&b, tmp, SIZE_MAX);
    narrate_event(event, NARRATE_LOG, &r->cli->out, &b);
    cli_answer(r->cli, buf_view(&b));
    return true;
}

/* One connection of a followed log; true when the stream was ended properly. */
static bool stream_print(struct reading *r, const char *id, struct err *err)
{
    struct cli *cli = r->cli;
    struct tail *t;
    char *query = mem_printf(cli->ctx, "/events?after=%lld&follow=1", (long long)r->last);
    if (tail_open(cli->ctx, place_socket(cli->ctx, cli->settings), task_path(cli, id, query), &t, err) != RC_OK)
        return false;
    enum rc rc = RC_OK;
    while (!rc) {
        struct pollfd fd = {.fd = tail_fd(t), .events = POLLIN};
        struct str line;
        poll(&fd, 1, -1);
        rc = tail_read(t);
        while (tail_line(t, &line)) {
            CLEANUP_MEM mem *tmp = mem_root();
            struct json event;
            if (line.n && json_parse(tmp, line, &event, NULL) == RC_OK)
                event_print(r, event, line);
        }
    }
    int status = 0;
    return tail_close(cli->ctx, t, &status, NULL, err) == RC_OK && status == 200;
}

static enum rc follow(struct reading *r, const char *id, struct err *err)
{
    for (int tries = 0; tries < TRIES_MOST; tries++) {
        int64_t before = r->last;
        if (stream_print(r, id, err))
            return RC_OK;
        if (r->last != before)
            tries = 0;
        if (cli_reach(r->cli, err) != RC_OK)
            return err->rc;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return err_set(err, RC_UNAVAILABLE, "The daemon ends the stream of task %s again and again", id);
}

static enum rc document_print(struct reading *r, const char *id, struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, r->cli->ctx, SIZE_MAX);
    json_out_init(&o, &b);
    r->list = &o;
    jo_obj(&o);
    jo_key(&o, "events");
    jo_arr(&o);
    enum rc rc = events_each(r->cli, id, r->last, event_print, r, err);
    jo_end_arr(&o);
    jo_end_obj(&o);
    if (!rc && b.overflow)
        rc = err_set(err, RC_LIMIT, "The events of task %s are too large for one document; use --jsonl", id);
    if (!rc)
        cli_document(r->cli, "events", buf_view(&b), -1);
    return rc;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    struct reading r = {
        .cli = cli, .jsonl = call_has(&cli->call, "jsonl"), .last = call_number(&cli->call, "after", 0)};
    bool follows = call_has(&cli->call, "follow");
    enum rc rc = cli_task(cli, &task, &err);
    if (!rc && cli->json && follows)
        rc = err_set(&err, RC_INVALID, "--json prints one document; use --jsonl to follow");
    if (rc)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    if (cli->json && !r.jsonl)
        rc = document_print(&r, id, &err);
    else if (follows)
        rc = follow(&r, id, &err);
    else
        rc = events_each(cli, id, r.last, event_print, &r, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_log = {
    .name = "log",
    .summary = "show what happened in a task",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
