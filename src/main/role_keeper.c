/* Role "keeper": the small first process. It holds the listening sockets, starts the server and the runners, restarts
 * the server when it ends, and reports how runners end.
 *
 * It reads and writes no network, has no database and no memory that grows: fixed tables, one scratch context per
 * message. Provider keys
 * that clients handed to the server are kept here as the server sent them, so that a restarted server has them again;
 * they are wiped at the end. Runners are children but not hostages: when the keeper is killed they go on, and say hello
 * to the next server. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "main/listener.h"
#include "main/role.h"
#include "main/role_fds.h"
#include "os/frame.h"
#include "os/path.h"
#include "os/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNNERS_MOST     256
#define TERMINALS_MOST   64
#define CHILDREN_MOST    (RUNNERS_MOST + TERMINALS_MOST)
#define STOP_MS          8000
#define QUICK_MS         10000 /* a server that ends sooner than this did not work */
#define QUICK_MOST       6
#define CREDENTIALS_MOST 65536

struct child {
    pid_t pid; /* 0: free */
    int pidfd;
    char task[16];
    char session[8]; /* of a terminal; "": a runner */
};

static struct {
    const char *data;
    int api_fd, link_fd, signal_fd, lock_fd;
    struct listener listeners[ADDRESSES_MOST];
    size_t listener_count, loops;
    struct child server;
    int line; /* our end of the socket pair, -1 while there is no server */
    int64_t server_began_ms, restart_at_ms;
    int quick_ends;
    struct child proxy;
    struct child machine;                /* looks at the machine, for a second or two */
    char seal_file[4097];                /* for the proxy */
    struct child runners[CHILDREN_MOST]; /* terminals behind the runners */
    char credentials[CREDENTIALS_MOST];
    size_t credentials_length;
    bool stopping;
    int64_t kill_at_ms;
    int exit_code;
} keeper;

/* ---- sockets ---- */

static enum rc socket_listen(mem *ctx, const char *name, int *ret, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *path = mem_printf(ctx, "%s/run/%s", keeper.data, name);
    if (strlen(path) >= sizeof addr.sun_path) {
        err_set(err, RC_INVALID, "the data folder's name is too long for a socket: %s", path);
        return err_hint(err, "choose a shorter one: export NIGHTMILL_DATA_DIR=/some/short/folder");
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, errno, "could not make a socket");
    unlink(path); /* we hold the lock: whatever is there was left by a keeper that is gone */
    mode_t old = umask(0177);
    int bound = bind(fd, (struct sockaddr *)&addr, sizeof addr);
    int why = errno;
    umask(old);
    if (bound < 0)
        return err_sys(err, why, "could not listen at %s", path);
    if (listen(fd, 512) < 0)
        return err_sys(err, errno, "could not listen at %s", path);
    *ret = fd_take(&fd);
    return RC_OK;
}

/* Which addresses are wanted. Settings that cannot be read are the server's to explain. */
static enum rc addresses_plan(mem *ctx, struct err *err)
{
    struct settings_source source = {0};
    struct settings *settings = NULL;
    struct err unheard = {0};
    keeper.loops = 1;
    if (settings_load(ctx, &source, &settings, NULL, &unheard) != RC_OK)
        return RC_OK;
    keeper.loops = listeners_loops(settings);
    snprintf(keeper.seal_file, sizeof keeper.seal_file, "%s", settings_seal_file(ctx, settings));
    return listeners_plan(settings, keeper.listeners, &keeper.listener_count, err);
}

/* ---- children ---- */

static void child_ended(struct child *c)
{
    if (c->pidfd >= 0)
        close(c->pidfd);
    *c = (struct child){.pidfd = -1};
}

static enum rc server_start(struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "could not make a socket pair");
    const char *argv[5 + ADDRESSES_MOST + 1] = {proc_self(tmp), "server", keeper.data, mem_printf(tmp, "%d", getpid()),
                                                mem_printf(tmp, "%zu", keeper.loops)};
    struct proc_spec spec = {.argv = argv, .env = (const char *const *)environ, .fd_count = ROLE_FD_LISTENERS};
    spec.fds[0] = -1;
    spec.fds[1] = spec.fds[2] = STDERR_FILENO;
    spec.fds[ROLE_FD_KEEPER] = pair[1];
    spec.fds[ROLE_FD_API] = keeper.api_fd;
    spec.fds[ROLE_FD_LINK] = keeper.link_fd;
    /* Whoever had an address may have left it meanwhile. */
    listeners_bind(keeper.listeners, keeper.listener_count, keeper.loops);
    for (size_t i = 0; i < keeper.listener_count; i++) {
        const struct listener *l = &keeper.listeners[i];
        for (size_t k = 0; k < keeper.loops; k++)
            spec.fds[spec.fd_count++] = l->fds[0] < 0 ? -1 : l->fds[k];
        argv[5 + i] = listener_argument(tmp, l);
    }
    enum rc rc = proc_start(&spec, &keeper.server.pid, &keeper.server.pidfd, err);
    close(pair[1]);
    if (rc != RC_OK) {
        close(pair[0]);
        return rc;
    }
    keeper.line = pair[0];
    keeper.server_began_ms = clock_mono_ms();
    if (keeper.credentials_length &&
        frame_send(keeper.line, str_n(keeper.credentials, keeper.credentials_length), NULL, 0, err) != RC_OK)
        log_err(err, "could not hand the keys to the new server");
    return RC_OK;
}

static void tell(const char *json)
{
    struct err err = {0};
    if (keeper.line >= 0 && frame_send(keeper.line, str_of(json), NULL, 0, &err) != RC_OK)
        log_err(&err, "could not tell the server");
}

/* The environment of runners and the proxy is built from nothing: no keys, nothing of the person's session but what
 * names the machine.
 */
static const char *const *child_env(mem *ctx)
{
    static const char *const passed[] = {"PATH",
                                         "HOME",
                                         "LANG",
                                         "LC_ALL",
                                         "TZ",
                                         "TMPDIR",
                                         "SSL_CERT_FILE",
                                         "SSL_CERT_DIR",
                                         "NIGHTMILL_TEST_CRASH",
                                         "NIGHTMILL_TEST_CRASH_ONCE",
                                         "ASAN_OPTIONS",
                                         "UBSAN_OPTIONS",
                                         "LSAN_OPTIONS"};
    const char **env = mem_array(ctx, const char *, sizeof passed / sizeof *passed + 1);
    size_t n = 0;
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const char *value = getenv(passed[i]);
        if (value)
            env[n++] = mem_printf(ctx, "%s=%s", passed[i], value);
    }
    return env;
}

static void runner_start(const char *task)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct child *free_one = NULL;
    for (size_t i = 0; i < RUNNERS_MOST; i++) {
        if (keeper.runners[i].pid && strcmp(keeper.runners[i].task, task) == 0)
            return; /* it is there */
        if (!keeper.runners[i].pid && !free_one)
            free_one = &keeper.runners[i];
    }
    const char *argv[] = {proc_self(tmp), "runner", keeper.data, task, NULL};
    struct proc_spec spec = {.argv = argv, .env = child_env(tmp), .fd_count = 3, .new_session = true};
    spec.fds[0] = -1;
    spec.fds[1] = spec.fds[2] = STDERR_FILENO;
    if (!free_one || strlen(task) >= sizeof free_one->task ||
        proc_start(&spec, &free_one->pid, &free_one->pidfd, &err) != RC_OK) {
        log_err(&err, "could not start a runner");
        tell(mem_printf(tmp, "{\"exited\":{\"task\":\"%s\",\"pid\":0,\"status\":75}}", task));
        return;
    }
    memcpy(free_one->task, task, strlen(task) + 1);
    tell(mem_printf(tmp, "{\"started\":{\"task\":\"%s\",\"pid\":%d}}", task, free_one->pid));
}

/* The egress proxy: small, without a network of its own yet, and of no use without this daemon. */
static void proxy_start(void)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    if (keeper.proxy.pid)
        return; /* it is there, and connects by itself */
    const char *argv[] = {proc_self(tmp), "proxy", keeper.data, keeper.seal_file, NULL};
    struct proc_spec spec = {.argv = argv, .env = child_env(tmp), .fd_count = 3, .die_with_parent = true};
    spec.fds[0] = -1;
    spec.fds[1] = spec.fds[2] = STDERR_FILENO;
    if (proc_start(&spec, &keeper.proxy.pid, &keeper.proxy.pidfd, &err) != RC_OK) {
        log_err(&err, "could not start the egress proxy");
        keeper.proxy = (struct child){.pidfd = -1};
        tell("{\"proxy_ended\":{\"pid\":0,\"status\":75}}");
    }
}

static void terminal_told(const char *task, const char *session, pid_t pid, int status)
{
    CLEANUP_MEM mem *tmp = mem_root();
    tell(mem_printf(tmp, "{\"terminal_ended\":{\"task\":\"%s\",\"session\":\"%s\",\"pid\":%d,\"status\":%d}}", task,
                    session, pid, status));
}

/* One terminal session of a task. */
static void terminal_start(const char *task, const char *session, const char *scrollback)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct child *free_one = NULL;
    for (size_t i = RUNNERS_MOST; i < CHILDREN_MOST; i++) {
        struct child *c = &keeper.runners[i];
        if (c->pid && strcmp(c->task, task) == 0 && strcmp(c->session, session) == 0)
            return; /* it is there, and connects by itself */
        if (!c->pid && !free_one)
            free_one = c;
    }
    const char *argv[] = {proc_self(tmp), "terminal", keeper.data, task, session, scrollback, NULL};
    struct proc_spec spec = {.argv = argv, .env = child_env(tmp), .fd_count = 3, .new_session = true};
    spec.fds[0] = -1;
    spec.fds[1] = spec.fds[2] = STDERR_FILENO;
    if (!free_one || strlen(task) >= sizeof free_one->task || strlen(session) >= sizeof free_one->session ||
        proc_start(&spec, &free_one->pid, &free_one->pidfd, &err) != RC_OK) {
        log_err(&err, "could not start a terminal");
        terminal_told(task, session, 0, 75);
        return;
    }
    memcpy(free_one->task, task, strlen(task) + 1);
    memcpy(free_one->session, session, strlen(session) + 1);
}

/* One that did not end by word. */
static void terminal_kill(const char *task, const char *session)
{
    for (size_t i = RUNNERS_MOST; i < CHILDREN_MOST; i++)
        if (keeper.runners[i].pid && strcmp(keeper.runners[i].task, task) == 0 &&
            strcmp(keeper.runners[i].session, session) == 0)
            kill(keeper.runners[i].pid, SIGKILL);
}

/* A look at the machine for the server, which starts nothing itself: what it found is a file (ops/machine.h). */
static void machine_start(int64_t uid_base)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    if (keeper.machine.pid)
        return; /* it is looking */
    const char *argv[] = {proc_self(tmp), "machine", keeper.data, mem_printf(tmp, "%lld", (long long)uid_base), NULL};
    struct proc_spec spec = {.argv = argv, .env = child_env(tmp), .fd_count = 3, .die_with_parent = true};
    spec.fds[0] = -1;
    spec.fds[1] = spec.fds[2] = STDERR_FILENO;
    if (proc_start(&spec, &keeper.machine.pid, &keeper.machine.pidfd, &err) != RC_OK) {
        log_err(&err, "could not look at the machine");
        keeper.machine = (struct child){.pidfd = -1};
    }
}

static void runner_end(const char *task)
{
    for (size_t i = 0; i < RUNNERS_MOST; i++) {
        if (keeper.runners[i].pid && strcmp(keeper.runners[i].task, task) == 0)
            kill(keeper.runners[i].pid, SIGTERM);
    }
}

static void stop_begin(int64_t now)
{
    if (keeper.stopping)
        return;
    keeper.stopping = true;
    keeper.kill_at_ms = now + STOP_MS;
    if (keeper.proxy.pid)
        kill(keeper.proxy.pid, SIGTERM); /* its last rows still find the server */
    if (keeper.server.pid)
        kill(keeper.server.pid, SIGTERM);
}

/* A hang-up means the end to a daemon in the foreground of a terminal; to one without a terminal it is the way in which
 * service managers ask it to read its files again, which here are certificates. */
static void signal_heard(int number, int64_t now)
{
    CLEANUP_FD int terminal = number == SIGHUP ? open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC) : -1;
    if (number != SIGHUP || terminal >= 0)
        stop_begin(now);
    else if (keeper.server.pid)
        kill(keeper.server.pid, SIGHUP);
}

static void runner_reap(struct child *c)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int status;
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (c->session[0]) {
        terminal_told(c->task, c->session, c->pid, code);
        child_ended(c);
        return;
    }
    if (code != 0 && code != 75)
        log_warn("the runner of task %s ended with status %d", c->task, code);
    tell(mem_printf(tmp, "{\"exited\":{\"task\":\"%s\",\"pid\":%d,\"status\":%d}}", c->task, c->pid, code));
    child_ended(c);
}

static void proxy_reap(void)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int status;
    pid_t pid = keeper.proxy.pid;
    if (waitpid(pid, &status, WNOHANG) != pid)
        return;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    child_ended(&keeper.proxy);
    if (!keeper.stopping)
        tell(mem_printf(tmp, "{\"proxy_ended\":{\"pid\":%d,\"status\":%d}}", pid, code));
}

static void machine_reap(void)
{
    int status;
    if (waitpid(keeper.machine.pid, &status, WNOHANG) == keeper.machine.pid)
        child_ended(&keeper.machine);
}

static void server_reap(int64_t now)
{
    int status;
    if (waitpid(keeper.server.pid, &status, WNOHANG) != keeper.server.pid)
        return;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    child_ended(&keeper.server);
    close(keeper.line);
    keeper.line = -1;
    if (keeper.stopping)
        return;
    keeper.quick_ends = now - keeper.server_began_ms < QUICK_MS ? keeper.quick_ends + 1 : 1;
    if ((WIFEXITED(status) && code != 0) || keeper.quick_ends >= QUICK_MOST) {
        /* It said itself that it cannot work (a wrong configuration, a damaged database), or it dies again and again.
         */
        log_error("the server ended with status %d and is not started again", code);
        keeper.exit_code = code ? code : 1;
        stop_begin(now);
        return;
    }
    log_warn("the server ended with status %d: starting another", code);
    keeper.restart_at_ms = now + (keeper.quick_ends == 1 ? 0 : 100 << keeper.quick_ends);
}

static void line_read(int64_t now)
{
    mem *tmp = mem_root();
    struct str text;
    struct json root;
    struct err err = {0};
    if (frame_recv(tmp, keeper.line, 1000, &text, NULL, NULL, &err) == RC_OK &&
        json_parse(tmp, text, &root, &err) == RC_OK) {
        if (json_is(json_get(root, "proxy")) && !keeper.stopping)
            proxy_start();
        struct json machine = json_get(root, "machine");
        if (json_is(machine) && !keeper.stopping)
            machine_start(json_int(json_get(machine, "uid_base"), 0));
        struct json start = json_get(root, "start"), end = json_get(root, "end"), keys = json_get(root, "credentials");
        if (json_is(start) && !keeper.stopping)
            runner_start(json_z(tmp, json_get(start, "task"), ""));
        if (json_is(end))
            runner_end(json_z(tmp, json_get(end, "task"), ""));
        if (json_is(keys) && text.n <= sizeof keeper.credentials) {
            memcpy(keeper.credentials, text.p, text.n);
            keeper.credentials_length = text.n;
            explicit_bzero((char *)text.p, text.n);
        }
        struct json terminal = json_get(root, "terminal"), killed = json_get(root, "terminal_kill");
        if (json_is(terminal) && !keeper.stopping)
            terminal_start(json_z(tmp, json_get(terminal, "task"), ""), json_z(tmp, json_get(terminal, "session"), ""),
                           json_z(tmp, json_get(terminal, "scrollback"), ""));
        if (json_is(killed))
            terminal_kill(json_z(tmp, json_get(killed, "task"), ""), json_z(tmp, json_get(killed, "session"), ""));
        if (json_is(json_get(root, "stop")))
            stop_begin(now);
    }
    mem_free(tmp);
}

/* ---- loop ---- */

/* The proxy counts here too: it is told after the runners, for they use it. */
static bool runners_left(void)
{
    if (keeper.proxy.pid)
        return true;
    for (size_t i = 0; i < CHILDREN_MOST; i++) {
        if (keeper.runners[i].pid)
            return true;
    }
    return false;
}

static void runners_signal(int number)
{
    for (size_t i = 0; i < CHILDREN_MOST; i++) {
        if (keeper.runners[i].pid)
            kill(keeper.runners[i].pid, number);
    }
}

static int loop_wait_ms(int64_t now)
{
    if (keeper.stopping)
        return keeper.kill_at_ms > now ? (int)(keeper.kill_at_ms - now) : 0;
    if (!keeper.server.pid)
        return keeper.restart_at_ms > now ? (int)(keeper.restart_at_ms - now) : 0;
    return -1;
}

static void loop_turn(void)
{
    static struct pollfd fds[5 + CHILDREN_MOST];
    static struct child *whose[5 + CHILDREN_MOST];
    nfds_t n = 0;
    int64_t now = clock_mono_ms();
    fds[n++] = (struct pollfd){.fd = keeper.signal_fd, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = keeper.line, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = keeper.server.pid ? keeper.server.pidfd : -1, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = keeper.proxy.pid ? keeper.proxy.pidfd : -1, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = keeper.machine.pid ? keeper.machine.pidfd : -1, .events = POLLIN};
    for (size_t i = 0; i < CHILDREN_MOST; i++) {
        if (!keeper.runners[i].pid)
            continue;
        whose[n] = &keeper.runners[i];
        fds[n++] = (struct pollfd){.fd = keeper.runners[i].pidfd, .events = POLLIN};
    }
    if (poll(fds, n, loop_wait_ms(now)) < 0 && errno != EINTR)
        bug_at(__FILE__, __LINE__, "poll: %d", errno);
    now = clock_mono_ms();
    struct signalfd_siginfo info;
    if ((fds[0].revents & POLLIN) && read(keeper.signal_fd, &info, sizeof info) == sizeof info)
        signal_heard((int)info.ssi_signo, now);
    if (fds[1].revents & POLLIN)
        line_read(now);
    if (fds[3].revents & POLLIN)
        proxy_reap();
    if (fds[4].revents & POLLIN)
        machine_reap();
    for (nfds_t i = 5; i < n; i++) {
        if (fds[i].revents)
            runner_reap(whose[i]);
    }
    if (fds[2].revents)
        server_reap(now);
    if (keeper.stopping && now >= keeper.kill_at_ms) {
        runners_signal(SIGKILL); /* a journal needs no farewell */
        if (keeper.server.pid)
            kill(keeper.server.pid, SIGKILL);
        if (keeper.proxy.pid)
            kill(keeper.proxy.pid, SIGKILL);
        keeper.kill_at_ms = now + 1000;
    }
}

static int keeper_run(void)
{
    struct err err = {0};
    for (;;) {
        int64_t now = clock_mono_ms();
        if (!keeper.server.pid && !keeper.stopping && now >= keeper.restart_at_ms && server_start(&err) != RC_OK) {
            log_err(&err, "could not start the server");
            keeper.restart_at_ms = now + 1000;
        }
        if (keeper.stopping && !keeper.server.pid) {
            if (!runners_left())
                return keeper.exit_code;
            runners_signal(SIGTERM); /* those that did not hear the server's word */
            if (keeper.proxy.pid)
                kill(keeper.proxy.pid, SIGTERM);
            if (keeper.kill_at_ms > now + 2000)
                keeper.kill_at_ms = now + 2000;
        }
        loop_turn();
    }
}

static enum rc keeper_open(mem *ctx, struct err *err)
{
    const char *run = mem_printf(ctx, "%s/run", keeper.data);
    pid_t holder = 0;
    enum rc rc = path_mkdirs(run, 0700, err);
    if (rc == RC_OK)
        rc = path_lock(mem_printf(ctx, "%s/keeper.lock", run), &keeper.lock_fd, &holder, err);
    if (rc == RC_CONFLICT) {
        err_set(err, RC_CONFLICT, "a daemon is running on %s already (process %d)", keeper.data, holder);
        return err_hint(err, "use it, or stop it with: nightmill daemon stop");
    }
    if (rc == RC_OK)
        rc = addresses_plan(ctx, err);
    if (rc == RC_OK)
        rc = socket_listen(ctx, "nightmill.sock", &keeper.api_fd, err);
    if (rc == RC_OK)
        rc = socket_listen(ctx, "runner.sock", &keeper.link_fd, err);
    if (rc != RC_OK)
        return rc;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    keeper.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    return keeper.signal_fd < 0 ? err_sys(err, errno, "could not watch for signals") : RC_OK;
}

int role_keeper(int argc, char **argv)
{
    mem *ctx = mem_root();
    struct err err = {0};
    log_open("keeper", LOG_INFO);
    if (argc != 3) {
        mem_free(ctx);
        return 2;
    }
    keeper.data = argv[2];
    keeper.line = -1;
    keeper.server.pidfd = keeper.proxy.pidfd = keeper.machine.pidfd = -1;
    enum rc rc = keeper_open(ctx, &err);
    mem_free(ctx); /* the settings above all */
    if (rc != RC_OK) {
        log_err(&err, "the daemon could not start");
        return rc_exit_code(rc);
    }
    log_info("the daemon starts on %s", keeper.data);
    int code = keeper_run();
    explicit_bzero(keeper.credentials, sizeof keeper.credentials);
    log_info("the daemon ends");
    return code;
}
