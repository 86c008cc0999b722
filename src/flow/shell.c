/* One terminal session: a loop over the terminal, the sandbox and the line to the server. Promises and frames are in
 * shell.h; what is in the sandbox in shell_room.c, the scrollback in scrollback.c. */
#include "flow/shell.h"
#include "base/clock.h"
#include "base/log.h"
#include "flow/scrollback.h"
#include "flow/shell_room.h"
#include "os/frame.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_MOST = 32 << 10,  /* of the terminal at once */
    RATE_BYTES = 96 << 10, /* output in one RATE_MS: what no screen can show slows its program, not the server */
    RATE_MS = 10,
    INPUT_MOST = 1 << 20, /* typed and not yet taken by the terminal; what is more is lost, as on any terminal */
    AGAIN_MS = 200,       /* between tries to reach the server */
    WORD_MS = 60000,      /* for the rest of a frame */
    LAST_MS = 5000,       /* for the server to hear of the end */
};

struct shell {
    mem *ctx;
    const struct shell_place *place;
    struct scrollback *back;
    int link, signals;
    int64_t alone_ms; /* since when there is no server; 0: there is one */
    int64_t again_ms; /* not to be tried before */
    uint64_t sent, acked;
    char *spec; /* as the server said it: kept for a second room */
    struct json spec_json;
    uint16_t rows, columns;
    int64_t idle_ms, active_ms;
    /* Of the room: */
    bool open;
    struct shell_room room;
    struct sandbox_terminal terminal;
    struct buf typed;
    bool hung_up; /* the terminal has no program any more */
    /* Output in the present interval: */
    int64_t rate_ms;
    size_t rate_used;
    /* The end: */
    bool over;
    int code, signal;
    const char *reason;
    const char *words;
};

/* ---- the line ---- */

static int link_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof a.sun_path)
        return -1;
    memcpy(a.sun_path, path, strlen(path) + 1);
    return connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : fd_take(&fd);
}

static void link_lost(struct shell *s)
{
    if (s->link >= 0)
        close(fd_take(&s->link));
    if (!s->alone_ms)
        s->alone_ms = clock_mono_ms();
}

static void say(struct shell *s, struct str frame)
{
    if (s->link >= 0 && frame_send(s->link, frame, NULL, 0, NULL) != RC_OK)
        link_lost(s);
}

static const char *files_word(const struct shell *s)
{
    return s->room.lock >= 0 ? "writable" : "read-only";
}

static void say_hello(struct shell *s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "shell");
    jo_obj(&o);
    jo_kz(&o, "task", s->place->task_id);
    jo_kz(&o, "session", s->place->session);
    jo_kz(&o, "token", s->place->token);
    jo_ki(&o, "pid", getpid());
    jo_ki(&o, "begin", (int64_t)scrollback_begin(s->back));
    jo_ki(&o, "end", (int64_t)scrollback_end(s->back));
    jo_kb(&o, "ready", s->open);
    jo_kz(&o, "files", files_word(s));
    jo_end_obj(&o);
    jo_end_obj(&o);
    say(s, buf_view(&b));
}

static void link_look(struct shell *s)
{
    if (s->link >= 0 || clock_mono_ms() < s->again_ms)
        return;
    s->again_ms = clock_mono_ms() + AGAIN_MS;
    s->link = link_connect(s->place->link_socket);
    s->sent = s->acked = UINT64_MAX; /* nothing is sent before the welcome says from where */
    say_hello(s);
}

/* What is new goes to the server as far as the window lets it. */
static void output_send(struct shell *s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, READ_MOST + 1);
    while (s->link >= 0 && s->sent < scrollback_end(s->back) && s->sent < s->acked + SHELL_WINDOW) {
        if (s->sent < scrollback_begin(s->back))
            s->sent = scrollback_begin(s->back); /* cannot be: reading waits for the window */
        struct str part = scrollback_view(s->back, s->sent, READ_MOST);
        buf_clear(&b);
        buf_char(&b, 'o');
        buf_str(&b, part);
        s->sent += part.n;
        say(s, buf_view(&b));
    }
}

static void note(struct shell *s, const char *words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    scrollback_add(s->back, str_of(mem_printf(tmp, "\r\n\x1b[0;90m[%s]\x1b[0m\r\n", words)));
}

/* ---- the room ---- */

static void session_over(struct shell *s, const char *reason, const char *words)
{
    if (s->over)
        return;
    s->over = true;
    s->reason = reason;
    s->words = mem_str(s->ctx, words);
}

static void session_failed(struct shell *s, const struct err *err)
{
    session_over(s, "failed", mem_printf(s->ctx, "%s%s%s", err->sentence, err->hint[0] ? ": " : "", err->hint));
}

static enum rc program_start(struct shell *s, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    static const char *const bash[] = {"/bin/bash", "-l", NULL}, *const sh[] = {"/bin/sh", "-l", NULL};
    static const char *const plain[] = {"PS1=$ ", NULL};
    struct sandbox_command cmd = {.argv = bash};
    enum rc rc = sandbox_terminal_start(tmp, s->room.sandbox, &cmd, s->rows, s->columns, &s->terminal, err);
    if (rc == RC_OK || rc == RC_UNAVAILABLE)
        return rc;
    cmd = (struct sandbox_command){.argv = sh, .env = plain};
    return sandbox_terminal_start(tmp, s->room.sandbox, &cmd, s->rows, s->columns, &s->terminal, err);
}

static void room_begin(struct shell *s, bool wish_write)
{
    struct err err = {0};
    mem *ctx = mem_root();
    mem_move(s->ctx, ctx);
    enum rc rc = shell_room_open(ctx, s->place->data_dir, s->place->task_id, s->place->session, s->spec_json,
                                 wish_write, &s->room, &err);
    s->terminal.master = -1;
    if (rc == RC_OK) {
        rc = program_start(s, &err);
        if (rc != RC_OK)
            shell_room_close(&s->room, NULL);
    }
    if (rc != RC_OK) {
        log_err(&err, "a terminal could not be opened");
        session_failed(s, &err);
        return;
    }
    s->open = true;
    s->hung_up = false;
    if (s->room.lock < 0 && wish_write)
        note(s, "the agent has these files now: they are read-only here; copy what you want to change to /tmp");
    CLEANUP_MEM mem *tmp = mem_root();
    say(s, str_of(mem_printf(tmp, "{\"ready\":{\"files\":\"%s\"}}", files_word(s))));
}

static void room_end(struct shell *s)
{
    int left = 0;
    if (!s->open)
        return;
    s->open = false;
    if (s->terminal.master >= 0)
        close(fd_take(&s->terminal.master));
    buf_clear(&s->typed);
    mem *ctx = s->room.ctx;
    shell_room_close(&s->room, &left);
    mem_free(ctx);
    s->room = (struct shell_room){.lock = -1};
}

/* The task goes on: its files are given up, and shown again read-only. */
static void files_yield(struct shell *s)
{
    if (!s->open || s->room.lock < 0)
        return;
    room_end(s);
    note(s, "the task goes on with these files: what ran here was ended, and they are read-only from here on");
    room_begin(s, false);
}

/* ---- what comes ---- */

static void terminal_read(struct shell *s)
{
    char bytes[READ_MOST];
    ssize_t n = read(s->terminal.master, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) { /* EIO: nobody has the terminal open any more */
        s->hung_up = true;
        return;
    }
    s->rate_used += (size_t)n;
    s->active_ms = clock_mono_ms();
    scrollback_add(s->back, str_n(bytes, (size_t)n));
}

static void terminal_write(struct shell *s)
{
    ssize_t n = write(s->terminal.master, s->typed.p, s->typed.n);
    if (n > 0)
        buf_drop(&s->typed, (size_t)n);
    else if (n < 0 && errno != EINTR && errno != EAGAIN)
        buf_clear(&s->typed);
}

static void program_ended(struct shell *s)
{
    struct err err = {0};
    int64_t id;
    int code, number;
    enum rc rc = sandbox_terminal_ended(s->room.sandbox, &id, &code, &number, &err);
    if (rc == RC_OK && id == s->terminal.id) {
        for (int i = 0; i < 64 && !s->hung_up; i++) { /* its last words; what it left running may go on talking */
            struct pollfd p = {.fd = s->terminal.master, .events = POLLIN};
            if (poll(&p, 1, 0) <= 0)
                break;
            terminal_read(s);
        }
        s->code = code;
        s->signal = number;
        session_over(s, "exited", "the shell has ended");
    } else if (rc == RC_LIMIT || rc == RC_UNAVAILABLE) {
        session_failed(s, &err);
    }
}

static void size_take(struct shell *s, struct json size)
{
    s->rows = (uint16_t)json_int(json_get(size, "rows"), s->rows);
    s->columns = (uint16_t)json_int(json_get(size, "columns"), s->columns);
    if (s->open && s->terminal.master >= 0)
        sandbox_terminal_resize(&s->terminal, s->rows, s->columns);
}

static void welcome_take(struct shell *s, struct json welcome)
{
    s->alone_ms = 0;
    s->sent = s->acked = (uint64_t)json_int(json_get(welcome, "from"), 0);
    if (s->sent < scrollback_begin(s->back) || s->sent > scrollback_end(s->back))
        s->sent = s->acked = scrollback_begin(s->back);
    s->idle_ms = json_int(json_get(welcome, "idle_s"), 0) * 1000;
    size_take(s, welcome);
    if (s->open || s->spec)
        return;
    s->spec = str_dup(s->ctx, json_raw(json_get(welcome, "spec")));
    if (json_parse(s->ctx, str_of(s->spec), &s->spec_json, NULL) != RC_OK)
        session_over(s, "failed", "the server's words could not be read");
    else
        room_begin(s, true);
}

static void link_frame(struct shell *s, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (text.n && text.p[0] == 'i') {
        s->active_ms = clock_mono_ms();
        if (s->open && !s->hung_up)
            (void)buf_add(&s->typed, text.p + 1, text.n - 1);
        return;
    }
    if (json_parse(tmp, text, &root, NULL) != RC_OK)
        return;
    if (json_is(json_get(root, "welcome")))
        welcome_take(s, json_get(root, "welcome"));
    if (json_is(json_get(root, "resize")))
        size_take(s, json_get(root, "resize"));
    if (json_is(json_get(root, "ack")))
        s->acked = (uint64_t)json_int(json_get(root, "ack"), (int64_t)s->acked);
    if (json_is(json_get(root, "yield")))
        files_yield(s);
    if (json_is(json_get(root, "end")))
        session_over(s, "ended", "the session was ended");
    if (json_is(json_get(root, "refused")))
        session_over(s, "lost", json_z(tmp, json_path(root, "refused.title"), "the server does not know this session"));
}

static void link_read(struct shell *s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text;
    if (frame_recv(tmp, s->link, WORD_MS, &text, NULL, NULL, NULL) == RC_OK)
        link_frame(s, text);
    else
        link_lost(s);
}

/* ---- the loop ---- */

/* Whether the program may go on talking: the server has taken what it said, or there is none to wait for. */
static bool output_wanted(struct shell *s, int64_t now)
{
    if (now - s->rate_ms >= RATE_MS) {
        s->rate_ms = now;
        s->rate_used = 0;
    }
    if (!s->open || s->hung_up || s->rate_used >= RATE_BYTES)
        return false;
    return s->link < 0 || (s->acked != UINT64_MAX && scrollback_end(s->back) < s->acked + SHELL_WINDOW);
}

static void times_look(struct shell *s, int64_t now)
{
    if (s->idle_ms > 0 && now - s->active_ms >= s->idle_ms)
        session_over(s, "idle", "nothing happened for a long time");
    if (s->alone_ms && now - s->alone_ms >= SHELL_ALONE_MS)
        session_over(s, "lost", "no server came");
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int wait_ms(const struct shell *s, int64_t now)
{
    int64_t ms = 60000;
    if (s->link < 0)
        ms = AGAIN_MS;
    if (s->idle_ms > 0)
        ms = sooner(ms, s->active_ms + s->idle_ms - now);
    if (s->rate_used >= RATE_BYTES)
        ms = sooner(ms, s->rate_ms + RATE_MS - now);
    return ms < 0 ? 0 : (int)ms;
}

static void loop_turn(struct shell *s)
{
    int64_t now = clock_mono_ms();
    link_look(s);
    output_send(s);
    bool wanted = output_wanted(s, now);
    int master = s->open && !s->hung_up && (wanted || s->typed.n) ? s->terminal.master : -1;
    struct pollfd p[] = {
        {.fd = s->signals, .events = POLLIN},
        {.fd = s->link, .events = POLLIN},
        {.fd = s->open ? sandbox_terminal_fd(s->room.sandbox) : -1, .events = POLLIN},
        {.fd = master, .events = (short)((wanted ? POLLIN : 0) | (s->typed.n ? POLLOUT : 0))},
    };
    if (poll(p, 4, wait_ms(s, now)) < 0)
        return;
    if (p[0].revents)
        session_over(s, "ended", "the daemon has ended");
    if (p[3].revents & POLLOUT)
        terminal_write(s);
    if (wanted && (p[3].revents & (POLLIN | POLLHUP | POLLERR)))
        terminal_read(s);
    if (p[2].revents)
        program_ended(s);
    if (p[1].revents)
        link_read(s);
    times_look(s, clock_mono_ms());
}

/* The end is told when everything inside has ended, and after all that was shown. */
static void end_tell(struct shell *s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t until = clock_mono_ms() + LAST_MS;
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "exit");
    jo_obj(&o);
    jo_ki(&o, "code", s->code);
    jo_ki(&o, "signal", s->signal);
    jo_kz(&o, "reason", s->reason);
    jo_kz(&o, "words", s->words);
    jo_end_obj(&o);
    jo_end_obj(&o);
    while (clock_mono_ms() < until) {
        link_look(s);
        output_send(s);
        if (s->link >= 0 && s->sent == scrollback_end(s->back))
            break;
        struct pollfd p = {.fd = s->link, .events = POLLIN};
        if (poll(&p, 1, AGAIN_MS) > 0)
            link_read(s);
    }
    say(s, buf_view(&b));
    if (s->link < 0)
        return;
    shutdown(s->link, SHUT_WR);
    struct pollfd p = {.fd = s->link, .events = POLLIN};
    char bytes[4096];
    while (clock_mono_ms() < until && poll(&p, 1, AGAIN_MS) > 0 && read(s->link, bytes, sizeof bytes) > 0)
        continue;
}

static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int shell_main(const struct shell_place *place)
{
    CLEANUP_MEM mem *ctx = mem_root();
    const char *file = mem_printf(ctx, "%s/tasks/%s/terminal-%s", place->data_dir, place->task_id, place->session);
    struct shell s = {.ctx = ctx,
                      .place = place,
                      .link = -1,
                      .alone_ms = clock_mono_ms(),
                      .active_ms = clock_mono_ms(),
                      .rows = 24,
                      .columns = 80,
                      .room = {.lock = -1},
                      .terminal = {.master = -1},
                      .reason = "lost"};
    CLEANUP_FD int lock = -1;
    if (path_lock(mem_printf(ctx, "%s.lock", file), &lock, NULL, NULL) != RC_OK)
        return SHELL_EXIT_BUSY;
    s.signals = signals_open();
    s.back = scrollback_open(ctx, file, place->scrollback);
    buf_init(&s.typed, ctx, INPUT_MOST);
    if (scrollback_end(s.back) > 0)
        note(&s, "a new session begins");
    while (!s.over)
        loop_turn(&s);
    room_end(&s);
    end_tell(&s);
    return 0;
}
