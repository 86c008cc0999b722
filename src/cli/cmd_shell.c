/* nightmill shell: the terminal of a task, in this one. Keys go there as they are typed; what comes has passed the
 * daemon's sanitizer. Not here: sessions, sizes, who may (src/api/terminals.h). */
#include "base/clock.h"
#include "cli/session.h"
#include "net/ws_client.h"
#include "ops/place.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum {
    OPEN_MS = 20000,
    AGAIN_MS = 300,  /* between tries to come back */
    AWAY_MS = 60000, /* tries until it is given up */
    CLOSED_WELL = 1000,
    READ_MOST = 16 << 10,
};

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task whose sandbox is entered", .complete = COMPLETE_TASK},
    {0},
};
static const struct option options[] = {
    {.name = "session",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "another terminal beside the first",
     .min = 1,
     .max = 99},
    {.name = "read-only", .kind = OPTION_SWITCH, .help = "only to look"},
    {.name = "agent", .kind = OPTION_SWITCH, .help = "what the agent and the checks print, as it comes"},
    {0},
};
static const struct example examples[] = {
    {"nightmill shell 7xk3m2q", "opens or joins its terminal; ~. after Enter leaves it running, exit ends it"},
    {"nightmill shell 7xk3m2q --read-only", "looks on; Ctrl-C leaves"},
    {"nightmill shell 7xk3m2q --agent", "looks over the agent's shoulder"},
    {0},
};

struct shell_view {
    struct cli *cli;
    const char *path;
    struct ws_client *ws;
    bool types;  /* keys go there */
    bool raw;    /* our own terminal hands on every key */
    bool paints; /* standard output is a terminal */
    struct termios before;
    int tty;
    int signals;
    bool line_begins, tilde; /* of what is typed: for ~. */
    bool live;               /* the shell is there: before, keys would be lost */
    bool left, over;
    int status;
    int plain_state; /* of plain_write: 0, 1 after ESC, 2 in a sequence */
};

/* ---- our own terminal ---- */

/* What comes is for a terminal that does nothing by itself; who only looks keeps Ctrl-C. */
static void raw_begin(struct shell_view *v)
{
    struct termios raw;
    int fd = v->types ? STDIN_FILENO : STDOUT_FILENO;
    if (!isatty(fd) || tcgetattr(fd, &v->before) < 0)
        return;
    raw = v->before;
    cfmakeraw(&raw);
    if (!v->types)
        raw.c_lflag |= ISIG;
    v->tty = fd;
    v->raw = tcsetattr(fd, TCSADRAIN, &raw) == 0;
}

/* Modes that a program of the sandbox may have left are taken back. */
static void raw_end(struct shell_view *v)
{
    static const char calm[] =
        "\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m";
    if (!v->raw)
        return;
    if (v->paints)
        write_all(STDOUT_FILENO, str_of(calm));
    tcsetattr(v->tty, TCSADRAIN, &v->before);
    v->raw = false;
}

static void size_send(struct shell_view *v)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct winsize size;
    if (!v->raw || !v->types || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
        return;
    (void)!ws_client_send(
        v->ws, true, str_of(mem_printf(tmp, "{\"resize\":{\"rows\":%d,\"cols\":%d}}", size.ws_row, size.ws_col)), NULL);
}

/* A line of ours among what is shown. */
static void say(struct shell_view *v, const char *words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *text =
        v->paints ? mem_printf(tmp, "\r\n\x1b[90m[%s]\x1b[0m\r\n", words) : mem_printf(tmp, "[%s]\n", words);
    write_all(v->paints ? STDOUT_FILENO : STDERR_FILENO, str_of(text));
}

/* ---- what comes ---- */

/* For a pipe or a file: no sequences, no carriage returns. */
static void plain_write(struct shell_view *v, struct str bytes)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, bytes.n + 1);
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];
        if (v->plain_state == 0 && c == '\x1b')
            v->plain_state = 1;
        else if (v->plain_state == 1)
            v->plain_state = c == '[' || c == '(' || c == ')' ? 2 : 0;
        else if (v->plain_state == 2)
            v->plain_state = (c >= 0x30 && c <= 0x3f) || c == ' ' || c == '!' ? 2 : 0;
        else if ((unsigned char)c >= 0x20 || c == '\n' || c == '\t')
            buf_char(&b, c);
    }
    write_all(STDOUT_FILENO, buf_view(&b));
}

static int exit_status(struct json end, const char *reason)
{
    int64_t code = json_int(json_get(end, "code"), 0), number = json_int(json_get(end, "signal"), 0);
    if (strcmp(reason, "exited") != 0)
        return strcmp(reason, "ended") == 0 || strcmp(reason, "idle") == 0 ? EXIT_DONE : EXIT_FAILED;
    return number ? 128 + (int)number : (int)(code & 0xff);
}

static void message(void *arg, bool text, struct str bytes)
{
    struct shell_view *v = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root, end;
    if (!text) {
        if (v->paints)
            write_all(STDOUT_FILENO, bytes);
        else
            plain_write(v, bytes);
        return;
    }
    if (json_parse(tmp, bytes, &root, NULL) != RC_OK)
        return;
    int64_t gap = json_int(json_path(root, "gap.bytes"), 0);
    if (gap > 0)
        say(v, mem_printf(tmp, "%lld bytes left out: this terminal was too slow for them", (long long)gap));
    struct json hello = json_get(root, "hello");
    if (json_is(hello) && v->types && !json_bool(json_get(hello, "writable"), false)) {
        v->types = false;
        say(v, "you may only look");
    }
    v->live = v->live || json_is(json_get(root, "live"));
    end = json_get(root, "exit");
    if (!json_is(end))
        return;
    v->over = true;
    v->status = exit_status(end, json_z(tmp, json_get(end, "reason"), ""));
    if (!json_eqz(json_get(end, "reason"), "exited"))
        say(v, shown_line(tmp, end, "words", 500));
}

/* ---- what is typed ---- */

/* ~. at the beginning of a line leaves, ~~ is one ~, as with ssh. */
static void keys_send(struct shell_view *v, struct str keys)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 2 * keys.n + 2);
    for (size_t i = 0; i < keys.n; i++) {
        char c = keys.p[i];
        if (v->tilde) {
            v->tilde = false;
            if (c == '.') {
                v->left = true;
                return;
            }
            if (c != '~')
                buf_char(&b, '~');
        } else if (c == '~' && v->line_begins && v->raw) {
            v->tilde = true;
            continue;
        }
        v->line_begins = c == '\r' || c == '\n';
        buf_char(&b, c);
    }
    if (b.n)
        (void)!ws_client_send(v->ws, false, buf_view(&b), NULL);
}

/* False: nothing will come any more. */
static bool keys_read(struct shell_view *v)
{
    char keys[READ_MOST];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n > 0)
        keys_send(v, str_n(keys, (size_t)n));
    else if (n == 0)
        keys_send(v, STR("\x04")); /* the shell there ends as a shell here would */
    return n > 0 || (n < 0 && errno == EINTR);
}

/* ---- the connection ---- */

static enum rc shell_connect(struct shell_view *v, struct err *err)
{
    struct ws_client_spec spec = {.unix_socket = place_socket(v->cli->ctx, v->cli->settings),
                                  .path = v->path,
                                  .protocol = "nightmill.terminal.v1",
                                  .timeout_ms = OPEN_MS,
                                  .on_message = message,
                                  .arg = v};
    int status;
    struct str body;
    enum rc rc = ws_client_open(v->cli->ctx, &spec, &v->ws, &status, &body, err);
    return rc != RC_OK && status ? problem_read(status, body, err) : rc;
}

/* The daemon went away, or is another one now: the session is still there. */
static enum rc shell_return(struct shell_view *v, struct err *err)
{
    int64_t until = clock_mono_ms() + AWAY_MS;
    v->ws = ws_client_close(v->ws);
    v->live = false;
    say(v, "the daemon is away; coming back");
    for (;;) {
        poll(NULL, 0, AGAIN_MS);
        enum rc rc = shell_connect(v, err);
        if (rc == RC_OK) {
            if (v->paints) /* what was shown comes once more */
                write_all(STDOUT_FILENO, STR("\x1b[?1049l\x1b[0m\x1b[H\x1b[2J\x1b[3J"));
            size_send(v);
            return RC_OK;
        }
        if (rc != RC_UNAVAILABLE || clock_mono_ms() >= until)
            return rc;
    }
}

static void signal_take(struct shell_view *v, int number)
{
    if (number == SIGWINCH) {
        size_send(v);
        return;
    }
    v->left = true;
    v->status = number == SIGINT ? EXIT_INTERRUPTED : EXIT_TERMINATED;
}

static enum rc shell_follow(struct shell_view *v, struct err *err)
{
    bool keys = v->types;
    size_send(v);
    while (!v->over && !v->left) {
        struct pollfd p[] = {{.fd = ws_client_fd(v->ws), .events = POLLIN},
                             {.fd = keys && v->types && v->live ? STDIN_FILENO : -1, .events = POLLIN},
                             {.fd = v->signals, .events = POLLIN}};
        struct signalfd_siginfo info;
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return err_sys(err, errno, "could not wait for the terminal");
        if (p[2].revents && read(v->signals, &info, sizeof info) == sizeof info)
            signal_take(v, (int)info.ssi_signo);
        if (p[1].revents)
            keys = keys_read(v);
        if (!p[0].revents || ws_client_read(v->ws, err) == RC_OK || v->over)
            continue;
        int code = ws_client_code(v->ws);
        if (code == CLOSED_WELL)
            return RC_OK;
        enum rc rc =
            code >= 4000 ? err_set(err, RC_DENIED, "the login has ended, or it may no more") : shell_return(v, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    const struct call *call = &cli->call;
    bool agent = call_has(call, "agent"), looks = agent || call_has(call, "read-only");
    if (cli->json)
        return cli_fail_as(cli, (err_set(&err, RC_INVALID, "A terminal has no JSON"), &err), EXIT_USAGE);
    if (cli_task(cli, &task, &err) != RC_OK)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    const char *query = mem_printf(cli->ctx, "/terminal?session=%lld&what=%s&watch=%d",
                                   (long long)call_number(call, "session", 1), agent ? "agent" : "shell", looks);
    struct shell_view v = {.cli = cli,
                           .path = task_path(cli, id, query),
                           .types = !looks,
                           .paints = isatty(STDOUT_FILENO),
                           .line_begins = true,
                           .signals = signals_open()};
    enum rc rc = shell_connect(&v, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err);
    raw_begin(&v);
    rc = shell_follow(&v, &err);
    raw_end(&v);
    ws_client_close(v.ws);
    if (rc != RC_OK)
        return cli_fail(cli, &err);
    if (v.left)
        cli_say(cli, "Left; it goes on. Join it again with: nightmill shell %s", id);
    return v.status;
}

const struct command command_shell = {
    .name = "shell",
    .summary = "open a terminal in a task's sandbox",
    .details =
        "Several people share one terminal. It goes on when it is left, and when the daemon is restarted. While the agent works its files are "
        "read-only in it. The exit status is the shell's; 0 when it was left.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
