/* Running one command in a sandbox: its words to init, its output to memory and file, its end. */
#include "base/clock.h"
#include "os/frame.h"
#include "sandbox/room.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CHUNK = 64 * 1024,
    DRAIN_MS = 200,          /* reading goes on after the command's end, for what is still in the pipe */
    TERM_GRACE_MS = 500,     /* between TERM and KILL */
    KILL_GRACE_MS = 5000,    /* after KILL the sandbox itself is given up */
    ARGUMENTS_MAX = 6 << 20, /* below a frame; the kernel's own limit is lower */
};
static const int64_t OUT_MAX_DEFAULT = 64 << 20;

/* The first and the last part of a stream. */
struct kept {
    char *head, *tail; /* tail is a ring */
    size_t head_max, head_n, tail_max, tail_at;
    int64_t total;
};

static void kept_init(struct kept *k, mem *ctx, size_t keep)
{
    *k = (struct kept){.head_max = keep - keep / 2, .tail_max = keep / 2};
    k->head = mem_zalloc(ctx, k->head_max + 1);
    k->tail = mem_zalloc(ctx, k->tail_max + 1);
}

static void kept_add(struct kept *k, const char *p, size_t n)
{
    k->total += (int64_t)n;
    size_t into_head = k->head_max - k->head_n < n ? k->head_max - k->head_n : n;
    memcpy(k->head + k->head_n, p, into_head);
    k->head_n += into_head;
    p += into_head;
    n -= into_head;
    if (n > k->tail_max) { /* only the end can stay */
        p += n - k->tail_max;
        k->tail_at = (k->tail_at + n - k->tail_max) % (k->tail_max ? k->tail_max : 1);
        n = k->tail_max;
    }
    while (n > 0) {
        size_t room = k->tail_max - k->tail_at, part = n < room ? n : room;
        memcpy(k->tail + k->tail_at, p, part);
        k->tail_at = (k->tail_at + part) % k->tail_max;
        p += part;
        n -= part;
    }
}

/* What was kept, with a mark that counts what was not. Characters at the cut are not torn. */
static struct str kept_text(struct kept *k, mem *ctx)
{
    int64_t beyond = k->total - (int64_t)k->head_n;
    struct buf b;
    buf_init(&b, ctx, k->head_max + k->tail_max + 128);
    if (beyond <= (int64_t)k->tail_max) {
        buf_add(&b, k->head, k->head_n);
        buf_add(&b, k->tail, (size_t)beyond);
        return buf_view(&b);
    }
    size_t head_n = str_utf8_cut(str_n(k->head, k->head_n), k->head_n > 0 ? k->head_n - 1 : 0), skip = 0;
    if (str_utf8(str_sub(str_n(k->head, k->head_n), head_n, k->head_n)))
        head_n = k->head_n;
    while (skip < 3 && skip < k->tail_max && (k->tail[(k->tail_at + skip) % k->tail_max] & 0xc0) == 0x80)
        skip++;
    buf_add(&b, k->head, head_n);
    buf_printf(&b, "\n[... %lld bytes left out ...]\n",
               (long long)(k->total - (int64_t)head_n - (int64_t)(k->tail_max - skip)));
    size_t from = k->tail_max ? (k->tail_at + skip) % k->tail_max : 0;
    for (size_t n = k->tail_max - skip; n > 0;) {
        size_t part = k->tail_max - from < n ? k->tail_max - from : n;
        buf_add(&b, k->tail + from, part);
        from = 0;
        n -= part;
    }
    return buf_view(&b);
}

struct running {
    struct sandbox *sb;
    const struct sandbox_command *cmd;
    struct sandbox_result *ret;
    int64_t id;
    int pipes[2]; /* standard output, standard error; -1: at its end */
    struct kept kept[2];
    int64_t written; /* to out_fd */
    int64_t out_max;
    int write_errno;
    int64_t started_ms, deadline_ms, kill_ms, give_up_ms, drain_ms; /* INT64_MAX: not set */
    bool ended, cancelled;
    int64_t memory_kills; /* by init's watch, as told at the end */
};

/* ---- start ---- */

static enum rc input_make(struct str input, int *ret, struct err *err)
{
    *ret = -1;
    if (input.n == 0)
        return RC_OK;
    CLEANUP_FD int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "Could not hold the input of a command");
    for (size_t done = 0; done < input.n;) {
        ssize_t n = write(fd, input.p + done, input.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, errno, "Could not hold the input of a command");
        done += (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "Could not hold the input of a command");
    *ret = fd_take(&fd);
    return RC_OK;
}

static enum rc start_say(mem *tmp, struct running *r, struct err *err)
{
    const struct sandbox_command *cmd = r->cmd;
    const char *const shell[] = {"/bin/sh", "-c", cmd->shell, NULL};
    const char *const *lists[] = {r->sb->env, cmd->env};
    const char *cwd = cmd->cwd ? cmd->cwd : r->sb->cwd;
    struct buf b;
    buf_init(&b, tmp, ARGUMENTS_MAX);
    words_add(&b, "start");
    words_add_int(&b, r->id);
    words_add_int(&b, cmd->merge);
    words_add(&b, r->sb->plain ? room_path(tmp, r->sb, cwd) : cwd);
    words_add_list(&b, cmd->argv ? cmd->argv : shell);
    words_add_list(&b, room_env(tmp, lists, 2));
    if (cmd->input_fd > 0)
        return room_say(r->sb, &b, &cmd->input_fd, 1, err);
    CLEANUP_FD int input = -1;
    enum rc rc = input_make(cmd->input, &input, err);
    return rc == RC_OK ? room_say(r->sb, &b, &input, input >= 0 ? 1 : 0, err) : rc;
}

/* Not started is a result like another: the text goes where the program's own complaint would be. */
static void could_not_start(mem *ctx, struct running *r, const struct words *w)
{
    r->ret->could_not_start = true;
    r->ret->exit_code = 127;
    struct str text = str_of(mem_printf(ctx, "%s%s%s\n", w->n > 3 ? w->v[3] : "not started",
                                        w->n > 4 && w->v[4][0] ? ": " : "", w->n > 4 ? w->v[4] : ""));
    *(r->cmd->merge ? &r->ret->out : &r->ret->err) = text;
    *(r->cmd->merge ? &r->ret->out_bytes : &r->ret->err_bytes) = (int64_t)text.n;
}

/* Waits for init's answer. Ends of earlier commands may come before it. */
static enum rc start_answer(mem *tmp, mem *ctx, struct running *r, struct err *err)
{
    int64_t until = clock_mono_ms() + ROOM_FRAME_MS, id;
    for (;;) {
        struct words w;
        int fds[FRAME_FDS], n = 0;
        int64_t left = until - clock_mono_ms();
        enum rc rc = room_take(tmp, r->sb, left > 0 ? (int)left : 0, &w, fds, &n, err);
        if (rc == RC_TIMEOUT)
            r->sb->dead = true; /* init does little, and nothing inside can stop it */
        if (rc != RC_OK)
            return rc;
        bool ours = words_int(&w, 1, 0, INT64_MAX, &id) && id == r->id;
        if (ours && strcmp(w.v[0], "started") == 0 && n == (r->cmd->merge ? 1 : 2)) {
            for (int i = 0; i < n; i++)
                r->pipes[i] = fds[i];
            return RC_OK;
        }
        for (int i = 0; i < n; i++)
            close(fds[i]);
        if (ours && strcmp(w.v[0], "failed") == 0) {
            could_not_start(ctx, r, &w);
            return RC_OK;
        }
    }
}

/* ---- while it runs ---- */

static void signal_say(struct running *r, int sig)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 128);
    words_add(&b, "signal");
    words_add_int(&b, r->id);
    words_add_int(&b, sig);
    (void)!room_say(r->sb, &b, NULL, 0, NULL);
}

static void begin_end(struct running *r)
{
    if (r->ended || r->kill_ms != INT64_MAX || r->give_up_ms != INT64_MAX)
        return;
    signal_say(r, SIGTERM);
    r->kill_ms = clock_mono_ms() + (r->cmd->grace_ms > 0 ? r->cmd->grace_ms : TERM_GRACE_MS);
}

static void file_write(struct running *r, const char *p, size_t n)
{
    int64_t room = r->out_max - r->written;
    if (r->cmd->out_fd < 0 || r->write_errno || room <= 0)
        return;
    n = (int64_t)n < room ? n : (size_t)room;
    while (n > 0) {
        ssize_t done = write(r->cmd->out_fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            r->write_errno = errno ? errno : EIO;
            begin_end(r);
            return;
        }
        r->written += done;
        p += done;
        n -= (size_t)done;
    }
}

static void pipe_read(struct running *r, int i)
{
    char chunk[CHUNK];
    ssize_t n = read(r->pipes[i], chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(fd_take(&r->pipes[i]));
        return;
    }
    kept_add(&r->kept[i], chunk, (size_t)n);
    file_write(r, chunk, (size_t)n);
    if (r->cmd->on_output && !r->cancelled && !(r->ret->flooded && r->cmd->flood_ends)) {
        int64_t before_ms = clock_mono_ms();
        bool goes_on = r->cmd->on_output(r->cmd->arg, i == 1, str_n(chunk, (size_t)n));
        if (r->deadline_ms != INT64_MAX) /* what the caller takes, perhaps to ask a person, is not the program's time */
            r->deadline_ms += clock_mono_ms() - before_ms;
        if (!goes_on) {
            r->cancelled = true;
            begin_end(r);
        }
    }
    if (!r->ret->flooded && r->kept[0].total + r->kept[1].total > r->out_max) {
        r->ret->flooded = true;
        if (r->cmd->flood_ends)
            begin_end(r);
    }
}

static enum rc message_read(struct running *r, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct words w;
    int64_t id, code, sig;
    enum rc rc = room_take(tmp, r->sb, ROOM_FRAME_MS, &w, NULL, NULL, err);
    if (rc != RC_OK)
        return rc;
    if (strcmp(w.v[0], "exited") != 0 || !words_int(&w, 1, 0, INT64_MAX, &id) || id != r->id ||
        !words_int(&w, 2, -1, 255, &code) || !words_int(&w, 3, 0, NSIG, &sig) ||
        !words_int(&w, 4, 0, INT64_MAX, &r->memory_kills))
        return RC_OK;
    r->ret->exit_code = (int)code;
    r->ret->signal = (int)sig;
    r->ended = true;
    r->drain_ms = clock_mono_ms() + DRAIN_MS;
    return RC_OK;
}

static int64_t next_ms(const struct running *r)
{
    if (r->ended)
        return r->drain_ms;
    int64_t at = r->deadline_ms < r->kill_ms ? r->deadline_ms : r->kill_ms;
    return at < r->give_up_ms ? at : r->give_up_ms;
}

/* What the clock decides. False: KILL did not help, the sandbox is given up. */
static bool clock_look(struct running *r, int64_t now)
{
    if (r->ended)
        return true;
    if (now >= r->deadline_ms) {
        r->deadline_ms = INT64_MAX;
        r->ret->timed_out = true;
        begin_end(r);
    }
    if (now >= r->kill_ms) {
        r->kill_ms = INT64_MAX;
        r->give_up_ms = now + KILL_GRACE_MS;
        signal_say(r, SIGKILL);
    }
    return now < r->give_up_ms;
}

static enum rc pump(struct running *r, struct err *err)
{
    for (;;) {
        int64_t now = clock_mono_ms();
        if (!clock_look(r, now)) {
            r->sb->dead = true;
            return err_set(err, RC_UNAVAILABLE, "A command did not end %d ms after it was killed", KILL_GRACE_MS);
        }
        if (r->ended && ((r->pipes[0] < 0 && r->pipes[1] < 0) || now >= r->drain_ms))
            return RC_OK;
        int64_t at = next_ms(r);
        int wait = at == INT64_MAX ? -1 : at - now > INT_MAX ? INT_MAX : at > now ? (int)(at - now) : 0;
        struct pollfd p[] = {
            {.fd = r->ended ? -1 : r->sb->control, .events = POLLIN},
            {.fd = r->pipes[0], .events = POLLIN},
            {.fd = r->pipes[1], .events = POLLIN},
            {.fd = r->cancelled || r->ended ? -1 : r->cmd->cancel_fd, .events = POLLIN},
        };
        if (poll(p, 4, wait) <= 0)
            continue;
        if (p[1].revents)
            pipe_read(r, 0);
        if (p[2].revents)
            pipe_read(r, 1);
        if (p[3].revents) {
            r->cancelled = true;
            begin_end(r);
        }
        enum rc rc = p[0].revents ? message_read(r, err) : RC_OK;
        if (rc != RC_OK)
            return rc;
    }
}

/* ---- end ---- */

static struct cgroup_events events_now(const struct sandbox *sb)
{
    return sb->cgroup ? cgroup_events(sb->cgroup) : (struct cgroup_events){0};
}

static void limits_look(struct running *r, const struct cgroup_events *before)
{
    struct cgroup_events after = events_now(r->sb);
    r->ret->memory_limit = after.memory_kills > before->memory_kills || r->memory_kills > r->sb->memory_kills;
    r->ret->process_limit = after.processes_denied > before->processes_denied;
    r->sb->memory_kills = r->memory_kills;
}

static enum rc run_started(mem *ctx, struct running *r, struct err *err)
{
    struct cgroup_events before = events_now(r->sb);
    enum rc rc = pump(r, err);
    for (int i = 0; i < 2; i++)
        if (r->pipes[i] >= 0)
            close(fd_take(&r->pipes[i]));
    limits_look(r, &before);
    r->ret->out = kept_text(&r->kept[0], ctx);
    r->ret->err = kept_text(&r->kept[1], ctx);
    r->ret->out_bytes = r->kept[0].total;
    r->ret->err_bytes = r->kept[1].total;
    if (rc != RC_OK && rc != RC_TIMEOUT && r->ret->memory_limit)
        err_detail(err, "The memory limit of the sandbox was reached.");
    if (rc == RC_OK && r->cancelled)
        return err_set(err, RC_CANCELLED, "The command was cancelled");
    if (rc == RC_OK && r->write_errno)
        return err_sys(err, r->write_errno, "The output of a command could not be stored");
    return rc;
}

enum rc sandbox_run(mem *ctx, struct sandbox *sb, const struct sandbox_command *cmd, struct sandbox_result *ret,
                    struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = (struct sandbox_result){.exit_code = -1, .out = STR(""), .err = STR("")};
    struct running r = {.sb = sb,
                        .cmd = cmd,
                        .ret = ret,
                        .id = ++sb->last_id,
                        .pipes = {-1, -1},
                        .out_max = cmd->out_max > 0 ? cmd->out_max : OUT_MAX_DEFAULT,
                        .started_ms = clock_mono_ms(),
                        .kill_ms = INT64_MAX,
                        .give_up_ms = INT64_MAX,
                        .drain_ms = INT64_MAX};
    int64_t started_ns = clock_mono_ns();
    r.deadline_ms = cmd->timeout_ms < 0 ? INT64_MAX : r.started_ms + cmd->timeout_ms;
    kept_init(&r.kept[0], tmp, cmd->keep);
    kept_init(&r.kept[1], tmp, cmd->merge ? 0 : cmd->keep);
    if (!cmd->argv && !cmd->shell)
        return err_set(err, RC_INVALID, "A command needs words or a line for the shell");
    enum rc rc = start_say(tmp, &r, err);
    if (rc == RC_OK)
        rc = start_answer(tmp, ctx, &r, err);
    if (rc == RC_OK && !ret->could_not_start)
        rc = run_started(ctx, &r, err);
    ret->elapsed_ns = clock_mono_ns() - started_ns;
    if (rc == RC_TIMEOUT) { /* of a frame, not of the command */
        sb->dead = true;
        rc = err_set(err, RC_UNAVAILABLE, "The first process of the sandbox did not answer");
    }
    return rc == RC_UNAVAILABLE && sandbox_disk_over(sb, err) ? RC_LIMIT : rc;
}
