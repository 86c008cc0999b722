/* Role "init": the first process of a sandbox.
 *
 * It holds the control socket (the only way in), starts commands as words arrive, reaps everything, and ends with the
 * socket, whereupon the kernel ends every process of the pid namespace. It is not dumpable, so that nothing inside can
 * look into it or take its socket; between fork and exec a child is not dumpable either until the socket is closed
 * there. Without a sandbox ("plain") it is an ordinary process that adopts orphans and ends its descendants itself. It
 * allocates for one message at a time. Not here: judging results; the opener does that. */
#include "base/clock.h"
#include "os/frame.h"
#include "os/path.h"
#include "os/proc.h"
#include "sandbox/sandbox.h"
#include "sandbox/words.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    COMMANDS_MAX = 64,        /* running at once */
    FRAME_DEADLINE_MS = 5000, /* a frame that has begun arrives whole */
    WATCH_MS = 250,           /* between looks at the memory in use */
    END_DEADLINE_MS = 8000,   /* plain: ending what is left */
    QUIET_DEADLINE_MS = 3000, /* waiting for what was killed */
    LISTEN_QUEUE = 1024,      /* connections that wait to be accepted outside */
};

struct command {
    int64_t id;
    pid_t pid; /* 0: free; leads its own session and process group */
};
static struct {
    bool plain;
    int64_t processes, cpu_seconds, file_bytes; /* limits of each command; 0: none */
    int64_t memory_bytes;                       /* watched here; 0: not */
    int64_t memory_kills;
    int64_t ports[SANDBOX_LISTENERS]; /* to be listened at */
    int port_count;
    int child_events; /* signalfd of SIGCHLD */
    struct command commands[COMMANDS_MAX];
} self;

static void say(struct buf *b, const int *fds, int fd_count)
{
    /* A peer that is gone is noticed by the main loop. */
    (void)!frame_send(ROOM_CONTROL_FD, buf_view(b), fds, fd_count, NULL);
}

/* ---- processes ---- */

struct process {
    pid_t pid, parent;
    bool zombie;
};

static bool process_read(pid_t pid, struct process *ret)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name before it may hold anything */
    char state;
    int parent;
    if (!after || sscanf(after + 1, " %c %d", &state, &parent) != 2)
        return false;
    *ret = (struct process){pid, parent, state == 'Z' || state == 'X'};
    return true;
}

/* Calls each for every other process that is this sandbox's: all that /proc shows, or our descendants. Returns how many
 * still run. */
static size_t processes_each(void (*each)(pid_t pid))
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct process *all = NULL;
    size_t n = 0, room = 0, count = 0;
    DIR *d = opendir("/proc");
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));) {
        pid_t pid = (pid_t)atoi(e->d_name);
        if (pid <= 0 || pid == getpid())
            continue;
        if (n == room) {
            room = room ? room * 2 : 64;
            all = mem_grow(tmp, all, room * sizeof *all);
        }
        n += process_read(pid, &all[n]);
    }
    closedir(d);
    if (self.plain) {
        /* Marks descendants by giving them us as parent, until a round changes nothing. */
        for (bool changed = true; changed;) {
            changed = false;
            for (size_t i = 0; i < n; i++)
                for (size_t k = 0; all[i].parent != getpid() && k < n; k++)
                    if (all[k].pid == all[i].parent && all[k].parent == getpid()) {
                        all[i].parent = getpid();
                        changed = true;
                    }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (all[i].zombie || (self.plain && all[i].parent != getpid()))
            continue;
        count++;
        if (each)
            each(all[i].pid);
    }
    return count;
}

/* ---- memory ---- */

static int64_t file_pages(pid_t pid)
{
    char path[64], text[128];
    long long resident, shared;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 && sscanf(text, "%*s %lld %lld", &resident, &shared) == 2 ? resident - shared : 0;
}

/* Anonymous memory by fair share (pages shared after a fork are divided), in bytes. Slower than statm. */
static int64_t fair_bytes(pid_t pid)
{
    char path[64], line[256];
    long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pss_Anon: %lld kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

static struct {
    int64_t sum, largest;
    pid_t largest_pid;
} memory;

static void memory_quick(pid_t pid)
{
    memory.sum += file_pages(pid) * sysconf(_SC_PAGESIZE);
}

static void memory_fair(pid_t pid)
{
    int64_t bytes = fair_bytes(pid);
    memory.sum += bytes;
    if (bytes > memory.largest) {
        memory.largest = bytes;
        memory.largest_pid = pid;
    }
}

/* In place of a control group: ends the largest process when all together have too much. Like the kernel's own
 * choice, only later by up to WATCH_MS. */
static void memory_watch(void)
{
    static int64_t last_ms;
    if (clock_mono_ms() - last_ms < WATCH_MS)
        return;
    last_ms = clock_mono_ms();
    memory.sum = 0;
    processes_each(memory_quick);
    if (memory.sum <= self.memory_bytes)
        return;
    memory.sum = memory.largest = memory.largest_pid = 0;
    processes_each(memory_fair);
    if (memory.sum > self.memory_bytes && memory.largest_pid > 1 && kill(memory.largest_pid, SIGKILL) == 0)
        self.memory_kills++;
}

/* ---- commands ---- */

/* In the child just before exec; async-signal-safe. The control socket is closed by now. */
static int limits_take(void *arg)
{
    const struct {
        int resource;
        int64_t value;
    } limits[] = {
        {RLIMIT_NPROC, self.processes},
        {RLIMIT_CPU, self.cpu_seconds},
        {RLIMIT_FSIZE, self.file_bytes},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit now;
        if (limits[i].value <= 0 || getrlimit((__rlimit_resource_t)limits[i].resource, &now) < 0)
            continue;
        rlim_t value = (rlim_t)limits[i].value;
        now.rlim_max = now.rlim_max < value ? now.rlim_max : value;
        now.rlim_cur = now.rlim_max;
        if (setrlimit((__rlimit_resource_t)limits[i].resource, &now) < 0)
            return -1;
    }
    /* When memory runs out, a command ends rather than init or anything outside. /proc/self belongs to root while a
     * process is not dumpable; exec would make it so anyway. */
    prctl(PR_SET_DUMPABLE, 1);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "500", 3);
        close(fd);
    }
    return 0;
}

static struct command *command_find(int64_t id)
{
    for (int i = 0; i < COMMANDS_MAX; i++)
        if (self.commands[i].pid > 0 && self.commands[i].id == id)
            return &self.commands[i];
    return NULL;
}

struct start {
    int64_t id, merge;
    const char *cwd;
    const char **argv, **env;
};

/* Takes "COUNT word.." at *at. */
static bool list_take(mem *ctx, const struct words *w, size_t *at, const char ***ret)
{
    int64_t n;
    if (!words_int(w, *at, 0, (int64_t)w->n, &n) || (size_t)n > w->n - *at - 1)
        return false;
    *ret = mem_array(ctx, const char *, n + 1);
    memcpy(*ret, w->v + *at + 1, (size_t)n * sizeof **ret);
    *at += (size_t)n + 1;
    return true;
}

static bool start_parse(mem *ctx, const struct words *w, struct start *ret)
{
    size_t at = 4;
    if (!words_int(w, 1, 0, INT64_MAX, &ret->id) || !words_int(w, 2, 0, 1, &ret->merge) || w->n < 6)
        return false;
    ret->cwd = w->v[3];
    return list_take(ctx, w, &at, &ret->argv) && list_take(ctx, w, &at, &ret->env) && ret->argv[0] && at == w->n;
}

static void start_failed(int64_t id, const struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 16 * 1024);
    words_add(&b, "failed");
    words_add_int(&b, id);
    words_add(&b, rc_name(err->rc));
    words_add(&b, err->sentence);
    words_add(&b, err->detail);
    say(&b, NULL, 0);
}

/* The pipes are made here, inside, so that they belong to the inner user: a program may open /dev/stderr anew. */
static enum rc start_run(const struct start *s, int input, struct command *c, struct err *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not make a pipe for the output of %s", s->argv[0]);
    CLEANUP_FD int out_read = p[0];
    CLEANUP_FD int out_write = p[1];
    CLEANUP_FD int err_read = -1;
    CLEANUP_FD int err_write = -1;
    if (!s->merge) {
        if (pipe2(p, O_CLOEXEC) < 0)
            return err_sys(err, errno, "Could not make a pipe for the output of %s", s->argv[0]);
        err_read = p[0];
        err_write = p[1];
    }
    struct proc_spec spec = {.argv = s->argv,
                             .env = s->env,
                             .cwd = s->cwd,
                             .fds = {input, out_write, s->merge ? out_write : err_write},
                             .fd_count = 3,
                             .new_session = true,
                             .before_exec = limits_take};
    pid_t pid;
    enum rc rc = proc_start(&spec, &pid, NULL, err);
    if (rc != RC_OK)
        return rc;
    *c = (struct command){s->id, pid};
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 256);
    words_add(&b, "started");
    words_add_int(&b, s->id);
    int fds[] = {out_read, err_read};
    say(&b, fds, s->merge ? 1 : 2);
    return RC_OK;
}

static struct command *command_free(struct err *err)
{
    for (int i = 0; i < COMMANDS_MAX; i++)
        if (self.commands[i].pid == 0)
            return &self.commands[i];
    err_set(err, RC_LIMIT, "%d commands are running in this sandbox already", COMMANDS_MAX);
    return NULL;
}

static void do_start(mem *ctx, const struct words *w, int input)
{
    struct start s;
    struct err err = {0};
    if (!start_parse(ctx, w, &s))
        _exit(2); /* our own opener breaks the format: nothing good can follow */
    struct command *c = command_free(&err);
    enum rc rc = c ? start_run(&s, input, c, &err) : err.rc;
    if (rc != RC_OK)
        start_failed(s.id, &err);
}

/* ---- terminals ---- */

/* In the child just before exec: standard input is the terminal, and the session is new. */
static int terminal_take(void *arg)
{
    return ioctl(0, TIOCSCTTY, 0) < 0 ? -1 : limits_take(arg);
}

/* The terminal is one of this sandbox (its own devpts), so that its name means something inside; only its master leaves
 * it. */
static int terminal_make(const struct winsize *size, int *ret_slave)
{
    CLEANUP_FD int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    const int off = 0;
    *ret_slave = master < 0 || ioctl(master, TIOCSPTLCK, &off) < 0
                     ? -1
                     : ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*ret_slave < 0 || ioctl(*ret_slave, TIOCSWINSZ, size) < 0)
        return -1;
    return fd_take(&master);
}

static enum rc terminal_run(const struct start *s, const struct winsize *size, struct command *c, struct err *err)
{
    CLEANUP_FD int slave = -1;
    CLEANUP_FD int master = terminal_make(size, &slave);
    if (master < 0)
        return err_sys(err, errno, "Could not make a terminal");
    struct proc_spec spec = {.argv = s->argv,
                             .env = s->env,
                             .cwd = s->cwd,
                             .fds = {slave, slave, slave},
                             .fd_count = 3,
                             .new_session = true,
                             .before_exec = terminal_take};
    pid_t pid;
    enum rc rc = proc_start(&spec, &pid, NULL, err);
    if (rc != RC_OK)
        return rc;
    *c = (struct command){s->id, pid};
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 256);
    words_add(&b, "started");
    words_add_int(&b, s->id);
    say(&b, &master, 1);
    return RC_OK;
}

static void do_terminal(mem *ctx, const struct words *w, int input)
{
    struct start s = {0};
    struct err err = {0};
    int64_t rows, columns;
    size_t at = 5;
    (void)input;
    if (w->n < 7 || !words_int(w, 1, 0, INT64_MAX, &s.id) || !words_int(w, 2, 1, UINT16_MAX, &rows) ||
        !words_int(w, 3, 1, UINT16_MAX, &columns) || !list_take(ctx, w, &at, &s.argv) ||
        !list_take(ctx, w, &at, &s.env) || !s.argv[0] || at != w->n)
        _exit(2);
    s.cwd = w->v[4];
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    struct command *c = command_free(&err);
    enum rc rc = c ? terminal_run(&s, &size, c, &err) : err.rc;
    if (rc != RC_OK)
        start_failed(s.id, &err);
}

static void do_signal(mem *ctx, const struct words *w, int input)
{
    int64_t id, sig;
    (void)ctx, (void)input;
    if (!words_int(w, 1, 0, INT64_MAX, &id) || !words_int(w, 2, 1, NSIG - 1, &sig))
        return;
    struct command *c = command_find(id);
    if (c && kill(-c->pid, (int)sig) < 0) /* no group yet, or no more */
        kill(c->pid, (int)sig);
}

static void do_count(mem *ctx, const struct words *w, int input)
{
    struct buf b;
    (void)w, (void)input;
    buf_init(&b, ctx, 256);
    words_add(&b, "count");
    words_add_int(&b, (int64_t)processes_each(NULL));
    say(&b, NULL, 0);
}

static void command_ended(const struct command *c, int status)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 256);
    words_add(&b, "exited");
    words_add_int(&b, c->id);
    words_add_int(&b, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    words_add_int(&b, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    words_add_int(&b, self.memory_kills);
    say(&b, NULL, 0);
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < COMMANDS_MAX; i++)
            if (self.commands[i].pid == pid) {
                command_ended(&self.commands[i], status);
                self.commands[i] = (struct command){0};
            }
}

static void process_kill(pid_t pid)
{
    kill(pid, SIGKILL);
}

/* Ends everything but ourselves and tells how many would not go. In a namespace of our own one call reaches all of them
 * at once, also those that are just being born. */
static void do_quiet(mem *ctx, const struct words *w, int input)
{
    int64_t until = clock_mono_ms() + QUIET_DEADLINE_MS;
    size_t left;
    (void)w, (void)input;
    for (;;) {
        if (self.plain)
            processes_each(process_kill);
        else
            kill(-1, SIGKILL);
        reap();
        left = processes_each(NULL);
        if (!left || clock_mono_ms() >= until)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    struct buf b;
    buf_init(&b, ctx, 256);
    words_add(&b, "quiet");
    words_add_int(&b, (int64_t)left);
    say(&b, NULL, 0);
}

static const struct {
    const char *word;
    void (*run)(mem *ctx, const struct words *w, int input);
} verbs[] = {
    {"start", do_start}, {"terminal", do_terminal}, {"signal", do_signal}, {"count", do_count}, {"quiet", do_quiet}};

/* False when the opener is gone. */
static bool message_take(void)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text;
    struct words w;
    int fds[FRAME_FDS], fd_count = 0;
    if (frame_recv(tmp, ROOM_CONTROL_FD, FRAME_DEADLINE_MS, &text, fds, &fd_count, NULL) != RC_OK)
        return false;
    if (words_parse(tmp, text, &w))
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
            if (strcmp(verbs[i].word, w.v[0]) == 0)
                verbs[i].run(tmp, &w, fd_count > 0 ? fds[0] : -1);
    for (int i = 0; i < fd_count; i++)
        close(fds[i]);
    return true;
}

/* ---- life ---- */

/* Plain: whatever a command has started comes to us when its parent ends, so no child means no descendant. */
static void end_descendants(void)
{
    int64_t until = clock_mono_ms() + END_DEADLINE_MS;
    do {
        processes_each(process_kill);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    } while (clock_mono_ms() < until);
}

static void serve(void)
{
    struct pollfd p[] = {{.fd = ROOM_CONTROL_FD, .events = POLLIN}, {.fd = self.child_events, .events = POLLIN}};
    for (;;) {
        int n = poll(p, 2, self.memory_bytes > 0 ? WATCH_MS : -1);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0 && p[1].revents) {
            struct signalfd_siginfo info;
            (void)!read(self.child_events, &info, sizeof info);
            reap();
        }
        if (n > 0 && p[0].revents && !message_take())
            return;
        if (self.memory_bytes > 0)
            memory_watch();
    }
}

/* Only the control socket stays. */
static bool descriptors_settle(void)
{
    struct stat st;
    if (fstat(ROOM_CONTROL_FD, &st) < 0 || !S_ISSOCK(st.st_mode) || fcntl(ROOM_CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0)
        return false;
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < ROOM_CONTROL_FD; fd++)
        if (nothing < 0 || dup2(nothing, fd) < 0)
            return false;
    return syscall(SYS_close_range, ROOM_CONTROL_FD + 1, ~0u, 0u) == 0;
}

/* MODE PROCESSES CPU FILE MEMORY [TMP] PORT.. */
static bool arguments_take(int argc, char **argv)
{
    int64_t *const numbers[] = {&self.processes, &self.cpu_seconds, &self.file_bytes, &self.memory_bytes};
    self.plain = argc >= 8 && strcmp(argv[2], "plain") == 0;
    int first_port = self.plain ? 8 : 7;
    /* Only in a namespace of our own does "everything" mean the sandbox. */
    if (!self.plain && (argc < 7 || strcmp(argv[2], "sealed") != 0 || getpid() != 1))
        return false;
    for (int i = 0; i < 4; i++)
        if (!str_int(str_of(argv[3 + i]), 0, INT64_MAX, numbers[i]))
            return false;
    self.port_count = argc - first_port;
    if (self.port_count > SANDBOX_LISTENERS)
        return false;
    for (int i = 0; i < self.port_count; i++)
        if (!str_int(str_of(argv[first_port + i]), 0, 65535, &self.ports[i]))
            return false;
    return true;
}

/* A listener of 127.0.0.1 in this network namespace; *ret_port the one that it has. -1: none. */
static int listener_make(int64_t port, int64_t *ret_port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, LISTEN_QUEUE) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &n) == 0) {
        *ret_port = ntohs(a.sin_port);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Nothing of the listeners stays here: only the outside accepts. A port that cannot be had is told as 0. */
static void hello(void)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    int fds[SANDBOX_LISTENERS], n = 0;
    buf_init(&b, tmp, 256);
    words_add(&b, "ready");
    for (int i = 0; i < self.port_count; i++) {
        int64_t port = 0;
        fds[n] = listener_make(self.ports[i], &port);
        n += fds[n] >= 0;
        words_add_int(&b, port);
    }
    if (write(ROOM_CONTROL_FD, &(char){ROOM_READY}, 1) == 1)
        say(&b, fds, n);
    while (n > 0)
        close(fds[--n]);
}

int sandbox_init_main(int argc, char **argv)
{
    if (!arguments_take(argc, argv) || prctl(PR_SET_DUMPABLE, 0) < 0 || !descriptors_settle()) {
        static const char usage[] = "nightmill init is the inside of a sandbox and is started by nightmill itself\n";
        (void)!write(2, usage, sizeof usage - 1);
        return 2;
    }
    /* Ours too, beside bubblewrap's. A plain one is to outlive the opener by the time that it takes to end the rest. */
    if (self.plain ? prctl(PR_SET_CHILD_SUBREAPER, 1) : prctl(PR_SET_PDEATHSIG, SIGKILL))
        return 1;
    umask(022);
    /* The first process of a namespace is deaf to every signal from inside for which it has no handler. */
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    self.child_events = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self.child_events < 0)
        return 1;
    hello();
    serve();
    if (self.plain) {
        end_descendants();
        (void)!path_remove_tree(argv[7], NULL); /* the temporary folder of the commands */
    }
    _exit(0);
}
