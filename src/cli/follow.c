/* Following a task. */
#include "cli/follow.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/daemon.h"
#include "cli/narrate.h"
#include "cli/outcome.h"
#include "cli/tail.h"
#include "ops/place.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,       /* the status line's clock */
    HEARTBEAT_MS = 60000, /* a line, where there is no status line */
    RETURN_MS = 3000,     /* for a daemon that was stopped to come back */
    TRIES_MOST = 20,      /* connections in a row without an event */
};

struct follow {
    struct cli *cli;
    const char *id;
    int64_t after; /* number of the last event seen */
    int signal_fd;
    bool asking; /* "detach or stop?" stands on the screen */
    bool rested; /* an event said that the task rests */
    int leave;   /* exit status to leave with, -1: stay */
    int64_t said_ms;
    /* For the status line: */
    char state[32], total[32], limit[32], currency[8];
    int64_t iteration, iteration_limit, worked_s, since_ms;
};

static void signals_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

void follow_prepare(void)
{
    sigset_t set;
    signals_set(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void field_set(char *field, size_t cap, struct json value)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str s = json_str(tmp, value);
    if (s.p)
        snprintf(field, cap, "%s", text_terminal_line(tmp, s, cap / 2));
}

/* --- status line ------------------------------------------------------------------------------------------------- */

static const char *status_words(mem *ctx, const struct follow *f)
{
    int64_t worked = f->worked_s + (clock_mono_ms() - f->since_ms) / 1000;
    const char *used = amount_shown(ctx, f->total, f->currency), *most = amount_shown(ctx, f->limit, f->currency);
    char *words = mem_printf(ctx, "%s", f->state);
    for (char *p = words; *p; p++)
        if (*p == '_')
            *p = ' ';
    if (f->iteration > 0)
        words =
            mem_printf(ctx, "%s  iteration %lld/%lld", words, (long long)f->iteration, (long long)f->iteration_limit);
    words = mem_printf(ctx, "%s  %s", words, text_duration(ctx, worked));
    if (used)
        words = mem_printf(ctx, "%s  %s%s%s", words, used, most ? "/" : "", most ? most : "");
    return words;
}

static void status_show(struct follow *f)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct cli *cli = f->cli;
    if (cli->json || f->asking)
        return;
    if (cli->err.live) {
        screen_status(&cli->err, status_words(tmp, f));
    } else if (clock_mono_ms() - f->said_ms >= HEARTBEAT_MS) {
        cli_say(cli, "... %s", status_words(tmp, f));
        f->said_ms = clock_mono_ms();
    }
}

/* --- events ------------------------------------------------------------------------------------------------------ */

static void state_take(struct follow *f, struct json data)
{
    field_set(f->state, sizeof f->state, json_get(data, "state"));
    f->iteration = json_int(json_get(data, "iteration"), f->iteration);
    f->iteration_limit = json_int(json_get(data, "iteration_limit"), f->iteration_limit);
    f->rested = outcome_rests(data);
}

static void event_take(struct follow *f, struct str line)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json event;
    if (!str_trim(line).n || json_parse(tmp, line, &event, NULL) != RC_OK)
        return; /* a heartbeat */
    struct json data = json_get(event, "data"), type = json_get(event, "type");
    f->after = json_int(json_get(event, "number"), f->after);
    if (json_eqz(type, "task.state"))
        state_take(f, data);
    if (json_eqz(type, "iteration.started"))
        f->iteration = json_int(json_get(data, "iteration"), f->iteration);
    if (json_eqz(type, "model.usage") || json_eqz(type, "model.kept")) {
        if (json_is(json_get(data, "cost")) || json_is(json_get(data, "held"))) /* else its price is not known */
            field_set(f->total, sizeof f->total, json_get(data, "total"));
        field_set(f->currency, sizeof f->currency, json_get(data, "currency"));
        field_set(f->limit, sizeof f->limit, json_get(data, "limit"));
    }
    if (f->cli->json)
        return;
    struct buf lines;
    buf_init(&lines, tmp, SIZE_MAX);
    narrate_event(event, NARRATE_RUN, &f->cli->err, &lines);
    if (lines.n) {
        screen_write(&f->cli->err, buf_view(&lines));
        f->said_ms = clock_mono_ms();
    }
}

/* --- the person -------------------------------------------------------------------------------------------------- */

static void leave(struct follow *f, int status)
{
    f->leave = status;
    screen_status(&f->cli->err, NULL);
    cli_say(f->cli, "Task %s goes on. Watch it: nightmill attach %s. Stop it: nightmill stop %s.", f->id, f->id, f->id);
}

static void ask(struct follow *f)
{
    screen_status(&f->cli->err, NULL);
    f->asking = true;
    write_all(f->cli->err.fd, STR("\nDetach (d: the task goes on), stop it (s), or keep watching (Enter)? "));
}

static void stop_order(struct follow *f)
{
    struct err err = {0};
    struct cli *cli = f->cli;
    if (cli_ask(cli, "POST", task_path(cli, f->id, "/stop"), STR("{}"), NULL, &err) != RC_OK)
        cli_fail(cli, &err);
}

static void answer_take(struct follow *f)
{
    char line[64];
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    f->asking = false;
    char first = n > 0 ? line[0] : 'd';
    if (first == 'd' || first == 'D')
        leave(f, EXIT_INTERRUPTED);
    else if (first == 's' || first == 'S')
        stop_order(f);
}

static void signal_take(struct follow *f)
{
    struct signalfd_siginfo info;
    if (read(f->signal_fd, &info, sizeof info) != sizeof info)
        return;
    bool terminal = f->cli->err.live && isatty(STDIN_FILENO) && !f->cli->json;
    if (info.ssi_signo != SIGINT)
        leave(f, EXIT_TERMINATED);
    else if (!terminal || f->asking)
        leave(f, EXIT_INTERRUPTED);
    else
        ask(f);
}

/* --- the stream -------------------------------------------------------------------------------------------------- */

/* One connection, until it ends, the task rests or the person leaves. RC_CANCELLED when the stream has ended. */
static enum rc stream_watch(struct follow *f, struct tail *t)
{
    while (f->leave < 0) {
        status_show(f);
        struct pollfd fds[] = {{.fd = f->signal_fd, .events = POLLIN},
                               {.fd = f->asking ? STDIN_FILENO : -1, .events = POLLIN},
                               {.fd = f->asking ? -1 : tail_fd(t), .events = POLLIN}};
        if (poll(fds, 3, TICK_MS) < 0 && errno != EINTR)
            return RC_IO;
        if (fds[0].revents)
            signal_take(f);
        else if (fds[1].revents)
            answer_take(f);
        else if (fds[2].revents) {
            enum rc rc = tail_read(t);
            struct str line;
            while (tail_line(t, &line))
                event_take(f, line);
            if (f->rested)
                return RC_OK;
            if (rc)
                return rc;
        }
    }
    return RC_OK;
}

/* The stream of a task at work was ended properly: the daemon is stopping, on purpose, and is not started again. RC_OK
 * when it has come back by itself, or when the task has ended. *ret_rests says which. */
static enum rc return_wait(struct follow *f, bool *ret_rests, struct err *err)
{
    struct cli *cli = f->cli;
    int64_t until = clock_mono_ms() + RETURN_MS;
    do {
        struct json task;
        if (cli_peek(cli, task_path(cli, f->id, ""), RETURN_MS, &task, NULL) == RC_OK) {
            *ret_rests = outcome_rests(task);
            return RC_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    } while (clock_mono_ms() < until);
    err_set(err, RC_UNAVAILABLE, "The daemon was stopped");
    return err_hint(err, "Task %s goes on when it starts again: nightmill attach %s", f->id, f->id);
}

/* One connection and what its end means. RC_OK: *ret_over says whether there is nothing more to follow. */
static enum rc stream_once(struct follow *f, bool *ret_over, struct err *err)
{
    struct cli *cli = f->cli;
    struct tail *t;
    struct str body;
    struct json task;
    int status = 0;
    char *query = mem_printf(cli->ctx, "/events?after=%lld&follow=1", (long long)f->after);
    enum rc rc = tail_open(cli->ctx, place_socket(cli->ctx, cli->settings), task_path(cli, f->id, query), &t, err);
    if (rc)
        return rc;
    (void)!stream_watch(f, t);
    enum rc end = tail_close(cli->ctx, t, &status, &body, NULL);
    *ret_over = f->leave >= 0;
    if (*ret_over)
        return RC_OK;
    if (f->rested) { /* unless somebody has sent it on meanwhile */
        f->rested = false;
        rc = cli_ask(cli, "GET", task_path(cli, f->id, ""), STR(""), &task, err);
        *ret_over = !rc && outcome_rests(task);
        return rc;
    }
    if (end == RC_OK && status != 200)
        return problem_read(status, body, err);
    if (end == RC_OK)
        return return_wait(f, ret_over, err);
    return cli_reach(cli, err); /* it was killed: wait for it, or start it */
}

static enum rc stream_follow(struct follow *f, struct err *err)
{
    for (int tries = 0; tries < TRIES_MOST; tries++) {
        int64_t seen = f->after;
        bool over = false;
        enum rc rc = stream_once(f, &over, err);
        if (rc || over)
            return rc;
        if (f->after != seen)
            tries = 0;
        nanosleep(&(struct timespec){.tv_nsec = tries < 5 ? 20000000 : 500000000}, NULL);
    }
    return err_set(err, RC_UNAVAILABLE, "The daemon ends the stream of task %s again and again", f->id);
}

/* --- beginning and end ------------------------------------------------------------------------------------------- */

static int end_show(struct follow *f)
{
    struct cli *cli = f->cli;
    struct json task, ledger;
    struct err err = {0};
    struct buf b;
    screen_status(&cli->err, NULL);
    if (cli_ask(cli, "GET", task_path(cli, f->id, ""), STR(""), &task, &err) != RC_OK ||
        cli_ask(cli, "GET", task_path(cli, f->id, "/ledger"), STR(""), &ledger, &err) != RC_OK)
        return cli_fail(cli, &err);
    int status = outcome_status(task);
    if (cli->json) {
        cli_document(cli, "task", json_raw(task), status);
        return status;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    outcome_summary(task, ledger, &cli->out, &b);
    cli_answer(cli, buf_view(&b));
    return status;
}

static enum rc follow_begin(struct follow *f, struct err *err)
{
    struct cli *cli = f->cli;
    struct json task;
    enum rc rc = cli_ask(cli, "GET", task_path(cli, f->id, ""), STR(""), &task, err);
    if (rc)
        return rc;
    field_set(f->state, sizeof f->state, json_get(task, "state"));
    if (json_int(json_path(task, "spent.unpriced"), 0) < json_int(json_path(task, "spent.requests"), 0))
        field_set(f->total, sizeof f->total, json_path(task, "spent.total"));
    field_set(f->currency, sizeof f->currency, json_path(task, "limits.currency"));
    field_set(f->limit, sizeof f->limit, json_path(task, "limits.money"));
    f->iteration = json_int(json_get(task, "iteration"), 0);
    f->iteration_limit = json_int(json_get(task, "iteration_limit"), 0);
    f->worked_s = json_int(json_get(task, "worked_s"), 0);
    sigset_t set;
    signals_set(&set);
    f->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    return f->signal_fd < 0 ? err_sys(err, errno, "Cannot watch for signals") : RC_OK;
}

int follow_task(struct cli *cli, const char *id, int64_t after)
{
    struct err err = {0};
    struct follow f = {.cli = cli, .id = id, .after = after, .signal_fd = -1, .leave = -1};
    f.since_ms = f.said_ms = clock_mono_ms();
    follow_prepare();
    enum rc rc = follow_begin(&f, &err);
    if (!rc)
        rc = stream_follow(&f, &err);
    if (f.signal_fd >= 0)
        close(f.signal_fd);
    if (rc)
        return cli_fail(cli, &err);
    return f.leave >= 0 ? f.leave : end_show(&f);
}
