/* Finding and starting the daemon. */
#include "cli/daemon.h"
#include "base/clock.h"
#include "gateway/provider.h"
#include "net/client.h"
#include "os/path.h"
#include "os/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_MS = 30000,       /* until the daemon answers */
    PROBE_MS = 10000,       /* for an answer of a daemon that listens: it may be starting or busy */
    LOG_MOST = 8 << 20,     /* then the log is moved to daemon.log.1 */
    LOG_READ = 64 << 10,    /* bytes of the log that are looked through for a reason */
    DISK_LEAST = 256 << 10, /* free bytes without which nothing can start */
};

char *daemon_socket(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/run/nightmill.sock", data_dir);
}

char *daemon_log_path(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/log/daemon.log", data_dir);
}

static void wait_ms(int ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        continue;
}

/* RC_OK when it answers; RC_UNAVAILABLE when nobody listens. cancel_fd as in client_call. */
static enum rc health_ask(mem *ctx, const char *data_dir, int timeout_ms, int cancel_fd, struct json *ret_health)
{
    struct client_spec spec = {.unix_socket = daemon_socket(ctx, data_dir),
                               .method = "GET",
                               .url = "http://localhost/health",
                               .max_body = 65536,
                               .timeout_ms = timeout_ms,
                               .cancel_fd = cancel_fd};
    struct client_answer answer;
    struct json health;
    enum rc rc = client_call(ctx, &spec, &answer, NULL);
    if (!rc && (answer.status != 200 || json_parse(ctx, answer.body, &health, NULL) != RC_OK))
        rc = RC_UPSTREAM;
    if (!rc && ret_health)
        *ret_health = health;
    return rc;
}

bool daemon_answers(mem *ctx, const char *data_dir, int timeout_ms, struct json *ret_health)
{
    return health_ask(ctx, data_dir, timeout_ms, -1, ret_health) == RC_OK;
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

struct start {
    mem *ctx;
    const char *data_dir, *key_env;
    off_t log_from; /* size of the log when the keeper was started */
    struct err *err;
};

static enum rc folders_make(struct start *s)
{
    struct statvfs v;
    enum rc rc = path_mkdirs(s->data_dir, 0700, s->err);
    if (!rc)
        rc = path_mkdirs(mem_printf(s->ctx, "%s/run", s->data_dir), 0700, s->err);
    if (!rc)
        rc = path_mkdirs(mem_printf(s->ctx, "%s/log", s->data_dir), 0700, s->err);
    if (!rc && statvfs(s->data_dir, &v) == 0 && v.f_bavail * v.f_frsize < DISK_LEAST)
        rc = err_set(s->err, RC_LIMIT, "No space is left on the disk of %s", s->data_dir);
    if (rc)
        err_hint(s->err,
                 "The data folder is %s; make it writable and give it room, or choose another one: "
                 "export NIGHTMILL_DATA_DIR=/some/folder",
                 s->data_dir);
    return rc;
}

static enum rc log_open_file(struct start *s, int *ret)
{
    const char *path = daemon_log_path(s->ctx, s->data_dir);
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size > LOG_MOST)
        rename(path, mem_printf(s->ctx, "%s.1", path));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(s->err, errno, "Cannot write the log %s", path);
    s->log_from = fstat(fd, &st) == 0 ? st.st_size : 0;
    *ret = fd;
    return RC_OK;
}

static bool env_is_key(const char *entry, const char *key_env)
{
    const char *names[PROVIDER_VARIABLES_MAX];
    size_t n = provider_key_variables(names);
    for (size_t i = 0; i < n; i++)
        if (str_starts(str_of(entry), str_of(names[i])) && entry[strlen(names[i])] == '=')
            return true;
    return key_env && *key_env && str_starts(str_of(entry), str_of(key_env)) && entry[strlen(key_env)] == '=';
}

/* The environment of this process without model keys. */
static const char *const *env_without_keys(mem *ctx, const char *key_env)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    const char **env = mem_array(ctx, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        if (!env_is_key(environ[i], key_env))
            env[kept++] = environ[i];
    return env;
}

static enum rc keeper_start(struct start *s, int *ret_pidfd)
{
    CLEANUP_FD int log = -1;
    enum rc rc = log_open_file(s, &log);
    if (rc)
        return rc;
    const char *const argv[] = {proc_self(s->ctx), "keeper", s->data_dir, NULL};
    struct proc_spec spec = {.argv = argv,
                             .env = env_without_keys(s->ctx, s->key_env),
                             .cwd = "/",
                             .fds = {-1, log, log},
                             .fd_count = 3,
                             .new_session = true};
    pid_t pid;
    return proc_start(&spec, &pid, ret_pidfd, s->err);
}

/* "2026-05-04T03:02:01.234Z error server words" taken apart. */
struct log_line {
    struct str level, role, words;
};

static bool log_line_read(struct str line, struct log_line *ret)
{
    struct str time;
    ret->words = line;
    return str_next(&ret->words, ' ', &time) && str_next(&ret->words, ' ', &ret->level) &&
           str_next(&ret->words, ' ', &ret->role) && ret->words.n > 0;
}

/* Why it ended, from its log: the server's first error, for later ones follow from it; else its last complaint
 * ("purpose: sentence"), which may be less than an error in its own eyes; else the keeper's first error, or its last
 * complaint. */
static struct str log_reason(struct str log)
{
    struct str line, first = {0}, complaint = {0}, keeper = {0};
    while (str_line(&log, &line)) {
        struct log_line l;
        if (!log_line_read(line, &l))
            continue;
        bool server = str_eqz(l.role, "server"), error = str_eqz(l.level, "error");
        if (server && error)
            return l.words;
        if (str_find(l.words, STR(": ")) > 0)
            *(server ? &complaint : &keeper) = l.words;
        if (error && !first.n)
            first = l.words;
    }
    return complaint.n ? complaint : first.n ? first : keeper;
}

static enum rc start_failed(struct start *s)
{
    const char *path = daemon_log_path(s->ctx, s->data_dir);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = mem_zalloc(s->ctx, LOG_READ + 1);
    ssize_t n = fd < 0 ? 0 : pread(fd, text, LOG_READ, s->log_from);
    struct str words = log_reason(str_n(text, n > 0 ? (size_t)n : 0));
    if (!words.n) {
        err_set(s->err, RC_UNAVAILABLE, "The daemon could not start");
        return err_hint(s->err, "Its log is %s.", path);
    }
    struct str known = STR("the daemon could not start: "); /* how the keeper begins */
    if (str_starts(words, known))
        words = str_sub(words, known.n, words.n);
    long hint = str_find(words, STR(" Hint: "));
    struct str said = hint < 0 ? words : str_sub(words, 0, (size_t)hint);
    err_set(s->err, RC_UNAVAILABLE, "The daemon could not start: %.*s", STR_FMT(said));
    if (hint >= 0)
        err_hint(s->err, "%.*s", STR_FMT(str_sub(words, (size_t)hint + 7, words.n)));
    return RC_UNAVAILABLE;
}

/* Waits for an answer until the keeper ends (pidfd; -1: somebody else starts it) or time is up. */
static enum rc answer_wait(struct start *s, int pidfd, int64_t until_ms)
{
    for (int pause = 1; clock_mono_ms() < until_ms; pause = pause < 50 ? pause * 2 : 50) {
        int64_t left = until_ms - clock_mono_ms();
        enum rc rc = health_ask(s->ctx, s->data_dir, left > 0 ? (int)left : 1, pidfd, NULL);
        if (!rc)
            return RC_OK;
        if (rc == RC_CANCELLED)
            return RC_CANCELLED; /* the keeper has ended */
        wait_ms(pause);
    }
    err_set(s->err, RC_UNAVAILABLE, "The daemon did not answer within %d s", START_MS / 1000);
    return err_hint(s->err, "Its log is %s.", daemon_log_path(s->ctx, s->data_dir));
}

/* With the starter's lock held. */
static enum rc start_locked(struct start *s, bool *ret_started)
{
    if (daemon_answers(s->ctx, s->data_dir, PROBE_MS, NULL))
        return RC_OK; /* somebody was faster */
    CLEANUP_FD int pidfd = -1;
    enum rc rc = keeper_start(s, &pidfd);
    if (rc)
        return rc;
    *ret_started = true;
    rc = answer_wait(s, pidfd, clock_mono_ms() + START_MS);
    if (rc != RC_CANCELLED)
        return rc;
    /* It ended. Perhaps because a keeper that another program started holds the folder: that one answers. */
    siginfo_t info;
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    *ret_started = false;
    if (daemon_answers(s->ctx, s->data_dir, 500, NULL))
        return RC_OK;
    return start_failed(s);
}

enum rc daemon_ensure(const char *data_dir, const char *key_env, bool *ret_started, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct start s = {.ctx = tmp, .data_dir = data_dir, .key_env = key_env, .err = err};
    bool started = false;
    if (ret_started)
        *ret_started = false;
    if (daemon_answers(tmp, data_dir, PROBE_MS, NULL))
        return RC_OK;
    enum rc rc = folders_make(&s);
    if (rc)
        return rc;
    int64_t until = clock_mono_ms() + START_MS;
    const char *lock_path = mem_printf(tmp, "%s/run/starter.lock", data_dir);
    for (;;) {
        CLEANUP_FD int lock = -1;
        rc = path_lock(lock_path, &lock, NULL, err);
        if (!rc)
            rc = start_locked(&s, &started);
        if (rc != RC_CONFLICT)
            break;
        if (daemon_answers(tmp, data_dir, 500, NULL))
            return RC_OK;
        if (clock_mono_ms() > until)
            return err_set(err, RC_UNAVAILABLE, "Another command has been starting the daemon for %d s",
                           START_MS / 1000);
        wait_ms(10);
    }
    if (ret_started)
        *ret_started = started;
    return rc;
}

enum rc daemon_wait_end(mem *ctx, const char *data_dir, int timeout_ms, struct err *err)
{
    const char *path = mem_printf(ctx, "%s/run/keeper.lock", data_dir);
    int64_t until = clock_mono_ms() + timeout_ms;
    for (;;) {
        CLEANUP_FD int lock = -1;
        pid_t holder = 0;
        enum rc rc = path_lock(path, &lock, &holder, err);
        if (rc != RC_CONFLICT)
            return rc;
        if (clock_mono_ms() > until)
            return err_set(err, RC_TIMEOUT, "The daemon (process %d) has not ended yet", (int)holder);
        wait_ms(10);
    }
}

enum rc daemon_become(mem *ctx, const char *data_dir, struct err *err)
{
    struct start s = {.ctx = ctx, .data_dir = data_dir, .err = err};
    enum rc rc = folders_make(&s);
    if (rc)
        return rc;
    const char *self = proc_self(ctx);
    char *const argv[] = {mem_str(ctx, self), mem_str(ctx, "keeper"), mem_str(ctx, data_dir), NULL};
    execv(self, argv);
    return err_sys(err, errno, "Cannot run %s", self);
}
