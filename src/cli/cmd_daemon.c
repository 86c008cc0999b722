/* nightmill daemon: the background process that owns the database. */
#include "base/text.h"
#include "cli/daemon.h"
#include "cli/session.h"
#include "cli/starting.h"
#include "ops/place.h"

enum { STOP_MS = 30000 };

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "start it in the background, stop it, show its status, run it in the foreground",
     .choices = "start|stop|status|run"},
    {0},
};
static const struct option options[] = {STARTING_OPTIONS, {0}};
static const struct example examples[] = {
    {"nightmill daemon status", "whether it runs, its tasks and runners"},
    {"nightmill daemon stop", "ends it; tasks that are at work go on at its next start"},
    {"nightmill daemon run", "in the foreground, for a service manager"},
    {0},
};

static const char *data_of(struct cli *cli)
{
    return place_data(cli->ctx, cli->settings);
}

/* The status document, or {"running":false}. */
static void status_print(struct cli *cli, bool running, struct json status, const char *words)
{
    if (cli->json) {
        cli_document(cli, "daemon", running ? json_raw(status) : STR("{\"running\":false}"), -1);
        return;
    }
    cli_answerf(cli, "%s\n", words);
}

static char *pid_words(struct cli *cli, struct json status)
{
    return mem_printf(cli->ctx, "keeper %lld, server %lld", (long long)json_int(json_get(status, "keeper_pid"), 0),
                      (long long)json_int(json_get(status, "pid"), 0));
}

static enum rc start(struct cli *cli, struct err *err)
{
    struct json status;
    bool there = daemon_answers(cli->ctx, data_of(cli), 1000, NULL);
    enum rc rc = cli_reach(cli, err);
    if (!rc)
        rc = cli_ask(cli, "GET", "/api/v1/status", STR(""), &status, err);
    if (!rc)
        status_print(cli, true, status,
                     mem_printf(cli->ctx, "The daemon runs%s (%s).", there ? " already" : "", pid_words(cli, status)));
    return rc;
}

static enum rc stop(struct cli *cli, struct err *err)
{
    struct json health;
    const char *data = data_of(cli);
    if (!daemon_answers(cli->ctx, data, 10000, &health)) {
        status_print(cli, false, health, "The daemon does not run.");
        return RC_OK;
    }
    enum rc rc = cli_ask(cli, "POST", "/api/v1/daemon/stop", STR("{}"), NULL, err);
    if (!rc)
        rc = daemon_wait_end(cli->ctx, data, STOP_MS, err);
    if (!rc)
        status_print(cli, false, health, mem_printf(cli->ctx, "The daemon has ended (%s).", pid_words(cli, health)));
    return rc;
}

static void counts_add(struct cli *cli, struct json status, struct buf *b)
{
    const char *comma = "";
    for (struct json_iter it = json_iter(json_get(status, "tasks")); json_next(&it);) {
        int64_t n = json_int(it.value, 0);
        struct str name = json_iter_key(cli->ctx, &it);
        if (!n)
            continue;
        buf_printf(b, "%s%lld %s", comma, (long long)n, text_terminal_line(cli->ctx, name, 20));
        comma = ", ";
    }
    buf_z(b, *comma ? "\n" : "none\n");
}

static void addresses_add(struct cli *cli, struct json status, struct buf *b)
{
    for (struct json_iter it = json_iter(json_get(status, "addresses")); json_next(&it);) {
        buf_printf(b, "\n  address   %s", shown_line(cli->ctx, it.value, "url", 100));
        if (json_is(json_get(it.value, "problem")))
            buf_printf(b, " is not listened at: %s", shown_line(cli->ctx, it.value, "problem", 300));
    }
}

static enum rc status(struct cli *cli, struct err *err)
{
    struct json status;
    enum rc rc = cli_peek(cli, "/api/v1/status", 10000, &status, err);
    if (rc == RC_UNAVAILABLE) {
        err_set(err, RC_UNAVAILABLE, "The daemon does not run on %s", data_of(cli));
        return err_hint(err, "The first command that needs it starts it, or: nightmill daemon start");
    }
    if (rc)
        return rc;
    struct buf b;
    buf_init(&b, cli->ctx, 1 << 20);
    buf_printf(&b, "The daemon runs (%s), version %s, since %s\n", pid_words(cli, status),
               shown_line(cli->ctx, status, "version", 40), shown_line(cli->ctx, status, "started_at", 40));
    buf_printf(&b, "  data      %s\n  memory    %.1f MiB\n  tasks     ", shown_line(cli->ctx, status, "data_dir", 400),
               (double)json_int(json_get(status, "rss_bytes"), 0) / (1 << 20));
    counts_add(cli, status, &b);
    buf_printf(&b, "  runners   %zu\n  approvals %lld waiting", json_len(json_get(status, "runners")),
               (long long)json_int(json_get(status, "waiting_approvals"), 0));
    addresses_add(cli, status, &b);
    status_print(cli, true, status, buf_view(&b).p);
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0);
    bool foreground = !strcmp(verb, "run");
    enum rc rc = cli_settings(cli, &err);
    if (rc)
        return cli_fail_as(cli, &err, foreground ? EXIT_CONFIG : rc_exit_code(rc));
    if (foreground || !strcmp(verb, "start"))
        rc = starting_hand_over(cli, daemon_answers(cli->ctx, data_of(cli), 1000, NULL), &err);
    else if (call_has(&cli->call, "ui-dir"))
        rc = err_set(&err, RC_INVALID, "--ui-dir is for daemon start and daemon run");
    if (rc)
        return cli_fail(cli, &err);
    rc = foreground               ? daemon_become(cli->ctx, data_of(cli), &err)
         : !strcmp(verb, "start") ? start(cli, &err)
         : !strcmp(verb, "stop")  ? stop(cli, &err)
                                  : status(cli, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_daemon = {
    .name = "daemon",
    .summary = "start, stop and look at the daemon",
    .details = "There is one for each data folder. The first command that needs it starts it.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
