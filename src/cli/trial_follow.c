/* Following a trial: the streams of all its attempts, each line with the attempt's name in front. A daemon that is
 * killed is waited for or started again; leaving stops nothing unless the person says so. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/follow.h"
#include "cli/narrate.h"
#include "cli/outcome.h"
#include "cli/tail.h"
#include "cli/trial.h"
#include "ops/place.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 1000, AGAIN_MS = 200, RETURN_MS = 3000, TRIES_MOST = 50, LABEL_MOST = 24, PARTS_MOST = 64 };

struct part { /* an attempt */
    const char *id, *label;
    mem *ctx; /* of the stream */
    struct tail *tail;
    int64_t after;
    bool over; /* its stream will not go on */
    char state[32];
    int64_t iteration;
};
struct watch {
    struct cli *cli;
    const char *id;
    struct part parts[PARTS_MOST];
    size_t n;
    int signal_fd;
    bool asking, look; /* look: a state has changed */
    int leave;         /* exit status to leave with; -1: stay */
    int tries;         /* connections in a row without an event */
};

/* ---- words ---- */

static void part_say(struct watch *w, const struct part *p, struct str lines)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct str line;
    struct screen *screen = &w->cli->err;
    const char *label = screen_paint(tmp, screen, TONE_FAINT, mem_printf(tmp, "%-*s", LABEL_MOST, p->label));
    buf_init(&b, tmp, SIZE_MAX);
    while (str_line(&lines, &line))
        buf_printf(&b, "%s %.*s\n", label, STR_FMT(line));
    screen_write(screen, buf_view(&b));
}

static void status_show(struct watch *w)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct cli *cli = w->cli;
    const char *words = "";
    if (cli->json || w->asking || !cli->err.live)
        return;
    for (size_t i = 0; i < w->n; i++) {
        const struct part *p = &w->parts[i];
        words = mem_printf(tmp, "%s%s%s %s%s", words, i ? "  |  " : "", p->label, p->state,
                           p->iteration ? mem_printf(tmp, " %lld", (long long)p->iteration) : "");
    }
    screen_status(&cli->err, text_terminal_line(tmp, str_of(words), 400));
}

/* ---- events ---- */

static void event_take(struct watch *w, struct part *p, struct str line)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json event;
    if (!str_trim(line).n || json_parse(tmp, line, &event, NULL) != RC_OK)
        return; /* a heartbeat */
    struct json type = json_get(event, "type"), data = json_get(event, "data");
    p->after = json_int(json_get(event, "number"), p->after);
    w->tries = 0;
    if (json_eqz(type, "task.state")) {
        snprintf(p->state, sizeof p->state, "%s", json_z(tmp, json_get(data, "state"), ""));
        p->iteration = json_int(json_get(data, "iteration"), p->iteration);
        w->look = true;
    }
    if (w->cli->json)
        return;
    struct buf lines;
    buf_init(&lines, tmp, SIZE_MAX);
    narrate_event(event, NARRATE_RUN, &w->cli->err, &lines);
    if (lines.n)
        part_say(w, p, buf_view(&lines));
}

/* ---- streams ---- */

static bool has_ended(const struct part *p)
{
    static const char *const final[] = {"done", "unproven", "stopped", "failed"};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        if (strcmp(p->state, final[i]) == 0)
            return true;
    return false;
}

static void part_close(struct part *p, enum rc *ret_end, int *ret_status)
{
    struct str body;
    *ret_end = tail_close(p->ctx, p->tail, ret_status, &body, NULL);
    p->tail = NULL;
    p->ctx = mem_free(p->ctx);
}

static enum rc part_open(struct watch *w, struct part *p, struct err *err)
{
    struct cli *cli = w->cli;
    p->ctx = mem_root();
    const char *path = mem_printf(p->ctx, "/api/v1/tasks/%s/events?after=%lld&follow=1",
                                  text_url(p->ctx, str_of(p->id)), (long long)p->after);
    enum rc rc = tail_open(p->ctx, place_socket(p->ctx, cli->settings), path, &p->tail, err);
    if (rc == RC_OK)
        return rc;
    p->tail = NULL;
    p->ctx = mem_free(p->ctx);
    return rc;
}

/* A stream has ended: the attempt has, or the daemon. */
static enum rc part_ended(struct watch *w, struct part *p, struct err *err)
{
    enum rc end;
    int status = 0;
    struct json task;
    part_close(p, &end, &status);
    w->look = true;
    if (has_ended(p)) {
        p->over = true;
        return RC_OK;
    }
    if (++w->tries > TRIES_MOST)
        return err_set(err, RC_UNAVAILABLE, "The daemon ends the streams of trial %s again and again", w->id);
    if (end != RC_OK) /* it was killed: wait for it, or start it */
        return cli_reach(w->cli, err);
    int64_t until = clock_mono_ms() + RETURN_MS;
    do { /* it is being stopped, on purpose, or it has been started again already */
        if (cli_peek(w->cli, task_path(w->cli, p->id, ""), RETURN_MS, &task, NULL) == RC_OK)
            return RC_OK;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    } while (clock_mono_ms() < until);
    err_set(err, RC_UNAVAILABLE, "The daemon was stopped");
    return err_hint(err, "Trial %s goes on when it starts again: nightmill attach %s", w->id, w->id);
}

static enum rc part_read(struct watch *w, struct part *p, struct err *err)
{
    struct str line;
    enum rc rc = tail_read(p->tail);
    while (tail_line(p->tail, &line))
        event_take(w, p, line);
    return rc ? part_ended(w, p, err) : RC_OK;
}

/* ---- the person ---- */

static void leave(struct watch *w, int status)
{
    w->leave = status;
    screen_status(&w->cli->err, NULL);
    cli_say(w->cli, "Trial %s goes on. Watch it: nightmill attach %s. Stop it: nightmill stop %s.", w->id, w->id,
            w->id);
}

static void signal_take(struct watch *w)
{
    struct signalfd_siginfo info;
    if (read(w->signal_fd, &info, sizeof info) != sizeof info)
        return;
    bool terminal = w->cli->err.live && isatty(STDIN_FILENO) && !w->cli->json;
    if (info.ssi_signo != SIGINT) {
        leave(w, EXIT_TERMINATED);
    } else if (!terminal || w->asking) {
        leave(w, EXIT_INTERRUPTED);
    } else {
        screen_status(&w->cli->err, NULL);
        w->asking = true;
        write_all(w->cli->err.fd, STR("\nDetach (d: the attempts go on), stop them (s), or keep watching (Enter)? "));
    }
}

static void answer_take(struct watch *w)
{
    char line[64];
    struct err err = {0};
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    char first = n > 0 ? line[0] : 'd';
    w->asking = false;
    if (first == 'd' || first == 'D')
        leave(w, EXIT_INTERRUPTED);
    else if ((first == 's' || first == 'S') &&
             cli_ask(w->cli, "POST", trial_path(w->cli, w->id, "/stop"), STR("{}"), NULL, &err) != RC_OK)
        cli_fail(w->cli, &err);
}

/* ---- all together ---- */

/* Nothing goes on any more: it rests, and the losers have ended too. */
static bool trial_over(struct json trial)
{
    if (!outcome_rests(trial))
        return false;
    for (struct json_iter it = json_iter(json_get(trial, "attempts")); json_next(&it);)
        if (!outcome_rests(it.value))
            return false;
    return true;
}

static enum rc streams_open(struct watch *w, struct err *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < w->n; i++) {
        struct part *p = &w->parts[i];
        if (!p->tail && !p->over)
            rc = part_open(w, p, err);
    }
    return rc;
}

static enum rc turn(struct watch *w, struct err *err)
{
    struct pollfd fds[2 + PARTS_MOST] = {{.fd = w->signal_fd, .events = POLLIN},
                                         {.fd = w->asking ? STDIN_FILENO : -1, .events = POLLIN}};
    for (size_t i = 0; i < w->n; i++)
        fds[2 + i] =
            (struct pollfd){.fd = w->asking || !w->parts[i].tail ? -1 : tail_fd(w->parts[i].tail), .events = POLLIN};
    enum rc rc = RC_OK;
    int ready = poll(fds, 2 + w->n, TICK_MS);
    if (ready < 0 && errno != EINTR)
        return err_sys(err, errno, "Cannot watch the attempts");
    if (ready <= 0)
        return RC_OK;
    if (fds[0].revents)
        signal_take(w);
    if (fds[1].revents)
        answer_take(w);
    for (size_t i = 0; rc == RC_OK && i < w->n; i++)
        if (fds[2 + i].revents)
            rc = part_read(w, &w->parts[i], err);
    return rc;
}

static enum rc watch_all(struct watch *w, struct json *ret_trial, struct err *err)
{
    for (enum rc rc = RC_OK; !rc;) {
        rc = streams_open(w, err);
        while (!rc && !w->look && w->leave < 0) {
            status_show(w);
            rc = turn(w, err);
        }
        if (rc || w->leave >= 0)
            return rc;
        w->look = false;
        rc = trial_ask(w->cli, w->id, ret_trial, err);
        if (!rc && trial_over(*ret_trial))
            return RC_OK;
        if (w->tries > 0)
            nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
    }
    return err->rc;
}

static void parts_take(struct watch *w, struct json trial)
{
    for (struct json_iter it = json_iter(json_get(trial, "attempts")); w->n < PARTS_MOST && json_next(&it);) {
        struct part *p = &w->parts[w->n++];
        p->id = json_z(w->cli->ctx, json_get(it.value, "id"), "");
        p->label = text_terminal_line(
            w->cli->ctx,
            str_of(mem_printf(w->cli->ctx, "%lld %s", (long long)json_int(json_get(it.value, "attempt"), 0),
                              attempt_label(w->cli->ctx, it.value))),
            LABEL_MOST);
        snprintf(p->state, sizeof p->state, "%s", json_z(w->cli->ctx, json_get(it.value, "state"), ""));
        p->iteration = json_int(json_get(it.value, "iteration"), 0);
    }
}

int trial_follow(struct cli *cli, const char *id)
{
    struct err err = {0};
    struct json trial;
    sigset_t set;
    struct watch w = {.cli = cli, .id = id, .signal_fd = -1, .leave = -1, .look = true};
    follow_prepare();
    enum rc rc = trial_ask(cli, id, &trial, &err);
    if (!rc) {
        parts_take(&w, trial);
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        w.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
        rc = w.signal_fd < 0 ? err_sys(&err, errno, "Cannot watch for signals") : watch_all(&w, &trial, &err);
    }
    for (size_t i = 0; i < w.n; i++) {
        enum rc end;
        int status;
        if (w.parts[i].tail)
            part_close(&w.parts[i], &end, &status);
    }
    if (w.signal_fd >= 0)
        close(w.signal_fd);
    screen_status(&cli->err, NULL);
    if (rc)
        return cli_fail(cli, &err);
    return w.leave >= 0 ? w.leave : trial_show(cli, trial);
}
