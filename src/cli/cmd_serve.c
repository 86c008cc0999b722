/* nightmill serve: the daemon in the foreground, with its address and, before there is an owner, the link that makes
 * one. */
#include "base/clock.h"
#include "cli/daemon.h"
#include "cli/link.h"
#include "cli/starting.h"
#include "ops/place.h"
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 30000 };

static const struct option options[] = {STARTING_OPTIONS, {0}};
static const struct example examples[] = {
    {"nightmill serve", "prints the address and the setup link; Ctrl+C ends it"},
    {"nightmill serve --set server.address=0.0.0.0:8443 --set server.tls_certificate=/etc/nightmill/cert.pem",
     "for others too"},
    {"nightmill serve --ui-dir ui/dist", "with a web page that is being worked on"},
    {0},
};

/* Where it is, and the link while there is no owner. */
static enum rc tell(struct cli *cli, struct err *err)
{
    struct json session;
    const char *address, *link;
    enum rc rc = link_address(cli, &address, err);
    if (!rc)
        rc = cli_ask(cli, "GET", "/api/v1/session", STR(""), &session, err);
    if (rc)
        return rc;
    cli_say(cli, "Nightmill is at %s", address);
    if (!json_bool(json_get(session, "setup_needed"), false)) {
        const char *ssh = link_ssh(cli->ctx, address);
        if (ssh)
            cli_say(cli, "From another machine, first there: %s", ssh);
        return RC_OK;
    }
    rc = link_setup(cli, &address, &link, err);
    if (rc)
        return rc == RC_CONFLICT ? RC_OK : rc;
    cli_say(cli, "Make the first owner here: %s", link);
    link_explain(cli, address);
    return RC_OK;
}

static bool daemon_wait(mem *ctx, const char *data)
{
    int64_t until = clock_mono_ms() + READY_MS;
    while (!daemon_answers(ctx, data, 1000, NULL)) {
        if (clock_mono_ms() > until)
            return false;
        poll(NULL, 0, 50);
    }
    return true;
}

/* A process beside the daemon, nobody's child, that waits for it and tells. The daemon itself takes this process's
 * place, so that whoever started it sees its end. */
static void tell_later(struct cli *cli, const char *data)
{
    struct err err = {0};
    pid_t pid = fork();
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (pid != 0)
        return;
    if (fork() == 0 && daemon_wait(cli->ctx, data) && tell(cli, &err) != RC_OK)
        cli_fail(cli, &err);
    _exit(0);
}

static int run(struct cli *cli)
{
    struct err err = {0};
    enum rc rc = cli_settings(cli, &err);
    if (rc)
        return cli_fail_as(cli, &err, EXIT_CONFIG);
    const char *data = place_data(cli->ctx, cli->settings);
    bool running = daemon_answers(cli->ctx, data, 1000, NULL);
    rc = starting_hand_over(cli, running, &err);
    if (rc)
        return cli_fail(cli, &err);
    if (running) {
        cli_say(cli, "The daemon runs already on %s.", data);
        rc = tell(cli, &err);
    } else {
        tell_later(cli, data);
        rc = daemon_become(cli->ctx, data, &err);
    }
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_serve = {
    .name = "serve",
    .summary = "run the daemon in the foreground and say where its web page is",
    .details = "Logs go to standard error. At the first start there is a link that makes the owner; it works once, for "
               "30 minutes. A daemon that is there already is left as it is.",
    .options = options,
    .examples = examples,
    .run = run,
};
