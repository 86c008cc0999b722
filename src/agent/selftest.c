/* The hello task: an empty repository, one call of the agent's shell tool, one file. */
#include "agent/selftest.h"
#include "agent/scripted.h"
#include "base/clock.h"
#include "base/text.h"
#include "os/path.h"
#include "os/proc.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOME_INSIDE "/home/agent"
#define WORK_INSIDE "/workspace"
#define COMMAND     "printf 'hello\\n' > hello.txt"
#define PROMPT      "Write a file hello.txt that holds one line: hello\n"

enum { SELFTEST_PORT = 18098, SELFTEST_PROXY_PORT, OPEN_MS = 20000, TAIL = 8192 };

struct selftest {
    mem *ctx;
    const struct backend *backend;
    const struct install_place *place;
    const char *work, *home;
    struct sandbox *sb;
    struct scripted *server;
    struct backend_plan plan;
    struct backend_parser *parser;
    struct buf errors;
    struct sandbox_result res;
};

static bool on_output(void *arg, bool error, struct str bytes)
{
    struct selftest *t = arg;
    if (!error) {
        backend_parser_feed(t->parser, bytes.p, bytes.n);
        return true;
    }
    bytes = bytes.n > TAIL ? str_sub(bytes, bytes.n - TAIL, TAIL) : bytes;
    if (t->errors.n + bytes.n > TAIL)
        buf_drop(&t->errors, t->errors.n + bytes.n - TAIL);
    buf_str(&t->errors, bytes);
    return true;
}

/* A UUID, version 4 (RFC 9562). */
static const char *uuid_make(mem *ctx)
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        memset(b, 7, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    return mem_printf(ctx, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                      b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static enum rc plan_make(struct selftest *t, struct err *err)
{
    struct backend_ask ask = {
        .program = t->place->program,
        .tool_path = t->place->tool_path,
        .prompt = STR(PROMPT),
        .model = strcmp(t->backend->name, "gemini") == 0 ? "gemini-2.5-pro" : "scripted", /* it knows its own alone */
        .context_tokens = 128000,
        .output_tokens = 8192,
        .base_url = mem_printf(t->ctx, "http://127.0.0.1:%u", sandbox_listener_port(t->sb, 0)),
        .key = "nightmill-test",
        .session = t->backend->session == BACKEND_SESSION_CHOSEN ? uuid_make(t->ctx) : NULL,
        .home = HOME_INSIDE,
        .workspace = WORK_INSIDE,
        .iteration = 1,
        .proxy_url = mem_printf(t->ctx, "http://127.0.0.1:%u", sandbox_listener_port(t->sb, 1))};
    return backend_plan(t->ctx, t->backend, &ask, &t->plan, err);
}

static enum rc files_put(struct selftest *t, struct err *err)
{
    CLEANUP_FD int root = -1;
    uid_t uid;
    gid_t gid;
    sandbox_owner(SANDBOX_AGENT, &uid, &gid);
    enum rc rc = path_open_root(t->home, &root, err);
    for (size_t i = 0; rc == RC_OK && i < t->plan.file_count; i++)
        rc = path_write(root, t->plan.files[i].path, t->plan.files[i].bytes, t->plan.files[i].mode, (uid_t)-1,
                        (gid_t)-1, err);
    if (rc == RC_OK)
        rc = sandbox_give(t->home, SANDBOX_AGENT, err);
    return rc == RC_OK ? sandbox_give(t->work, SANDBOX_AGENT, err) : rc;
}

/* Some agents want a repository. Without git on the machine they get a plain folder. */
static void repository_make(const struct selftest *t)
{
    const char *argv[] = {"git", "init", "-q", t->work, NULL};
    const char *env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
                         "HOME=/nonexistent", NULL};
    struct proc_spec spec = {.argv = argv, .env = env, .new_session = true, .die_with_parent = true};
    struct proc_result res;
    (void)!proc_run(t->ctx, &spec, STR(""), 4096, 20000, -1, &res, NULL);
}

static enum rc room_open(struct selftest *t, struct err *err)
{
    struct sandbox_mount mounts[4] = {{t->work, WORK_INSIDE, true}, {t->home, HOME_INSIDE, true}};
    size_t n = 2;
    for (size_t i = 0; i < t->place->mount_count; i++)
        mounts[n++] = t->place->mounts[i];
    struct sandbox_spec spec = {.user = SANDBOX_AGENT,
                                .mounts = mounts,
                                .mount_count = n,
                                .cwd = WORK_INSIDE,
                                .label = "agent-test",
                                .listen = {SELFTEST_PORT, SELFTEST_PROXY_PORT},
                                .listen_count = 2};
    return sandbox_open(t->ctx, &spec, OPEN_MS, &t->sb, err);
}

static enum rc program_run(struct selftest *t, int timeout_ms, struct err *err)
{
    struct sandbox_command cmd = {.argv = t->plan.argv,
                                  .cwd = t->plan.cwd,
                                  .env = t->plan.env,
                                  .input = t->plan.input,
                                  .timeout_ms = timeout_ms,
                                  .cancel_fd = -1,
                                  .keep = 4096,
                                  .out_fd = -1,
                                  .on_output = on_output,
                                  .arg = t};
    t->parser = backend_parser_new(t->ctx, t->backend, t->plan.format, NULL, NULL);
    buf_init(&t->errors, t->ctx, TAIL);
    return sandbox_run(t->ctx, t->sb, &cmd, &t->res, err);
}

static bool hello_made(const struct selftest *t)
{
    struct str text;
    return path_slurp(t->ctx, mem_printf(t->ctx, "%s/hello.txt", t->work), 100, &text, NULL) == RC_OK &&
           str_eq(text, STR("hello\n"));
}

static const char *last_line(mem *ctx, struct str text)
{
    struct str line, last = STR("");
    while (str_line(&text, &line))
        last = str_trim(line).n ? str_trim(line) : last;
    return text_terminal_line(ctx, last, 300);
}

static const char *const *hosts_copy(mem *ctx, const struct scripted_counts *c)
{
    const char **hosts = mem_array(ctx, const char *, SCRIPTED_HOSTS + 1);
    for (size_t i = 0; i < SCRIPTED_HOSTS && c->hosts[i][0]; i++)
        hosts[i] = mem_strn(hosts, c->hosts[i], strnlen(c->hosts[i], SCRIPTED_HOST_MAX));
    return hosts;
}

static void report_fill(struct selftest *t, int64_t began_ns, struct selftest_report *ret)
{
    const struct scripted_counts *c = scripted_counts(t->server);
    backend_parser_errors(t->parser, buf_view(&t->errors));
    const struct backend_result *said = backend_parser_end(t->parser);
    int64_t first = atomic_load(&c->first_ns);
    ret->requests = atomic_load(&c->requests);
    ret->input = atomic_load(&c->input);
    ret->output = atomic_load(&c->output);
    ret->first_ms = first ? (first - began_ns) / 1000000 : -1;
    ret->all_ms = t->res.elapsed_ns / 1000000;
    ret->file_made = hello_made(t);
    ret->usage_known = said->usage.known;
    ret->said_input = said->usage.input;
    ret->said_output = said->usage.output;
    ret->usage_equal = said->usage.known && said->usage.input == ret->input && said->usage.output == ret->output;
    ret->session = said->session ? mem_str(t->ctx, said->session) : NULL;
    ret->hosts = hosts_copy(t->ctx, c);
    ret->output_tail = last_line(t->ctx, buf_view(&t->errors));
    struct backend_ending e = {.said = said,
                               .end_mark = t->backend->end_mark,
                               .exit_code = t->res.exit_code,
                               .signal = t->res.signal,
                               .could_not_start = t->res.could_not_start,
                               .timed_out = t->res.timed_out,
                               .changed = ret->file_made,
                               .requests = ret->requests};
    ret->outcome = backend_judge(t->ctx, &e, &ret->words);
}

static enum rc selftest_in(struct selftest *t, int timeout_ms, struct selftest_report *ret, struct err *err)
{
    if (mkdir(t->work, 0755) < 0 || mkdir(t->home, 0700) < 0)
        return err_sys(err, errno, "could not make %s", t->work);
    repository_make(t);
    enum rc rc = room_open(t, err);
    if (rc == RC_OK)
        rc = scripted_start(sandbox_listener(t->sb, 0), sandbox_listener(t->sb, 1), COMMAND, &t->server, err);
    if (rc == RC_OK)
        rc = plan_make(t, err);
    if (rc == RC_OK)
        rc = files_put(t, err);
    int64_t began = clock_mono_ns();
    if (rc == RC_OK)
        rc = program_run(t, timeout_ms, err);
    t->sb = sandbox_close(t->sb, &ret->processes);
    struct err later = {0};
    enum rc after = sandbox_take(t->home, &later) ? RC_IO : sandbox_take(t->work, &later);
    if (rc == RC_OK && after == RC_OK)
        report_fill(t, began, ret);
    t->server = scripted_stop(t->server);
    if (rc == RC_OK && after != RC_OK)
        *err = later;
    return rc != RC_OK ? rc : after;
}

enum rc selftest_run(mem *ctx, const char *data_dir, const struct backend *backend, const struct install_place *place,
                     int timeout_ms, struct selftest_report *ret, struct err *err)
{
    *ret = (struct selftest_report){.words = "", .output_tail = ""};
    if (!backend->package && strcmp(place->origin ? place->origin : "", "path") != 0) {
        err_set(err, RC_INVALID, "%s has no program of its own that could be tried", backend->title);
        return err_hint(err, "try it by a task: nightmill run --agent %s", backend->name);
    }
    if (!backend->wire || strcmp(backend->name, "http") == 0) {
        err_set(err, RC_INVALID, "%s asks no model at an address of ours, so it cannot be tried here", backend->title);
        return err_hint(err, "try it by a task: nightmill run --agent %s", backend->name);
    }
    struct selftest t = {.ctx = ctx, .backend = backend, .place = place};
    char *dir = mem_printf(ctx, "%s/agents/.test-XXXXXX", data_dir);
    enum rc rc = path_mkdirs(mem_printf(ctx, "%s/agents", data_dir), 0755, err);
    if (rc)
        return rc;
    if (!mkdtemp(dir))
        return err_sys(err, errno, "could not make a folder in %s", data_dir);
    t.work = mem_printf(ctx, "%s/work", dir);
    t.home = mem_printf(ctx, "%s/home", dir);
    rc = selftest_in(&t, timeout_ms, ret, err);
    struct err later = {0};
    enum rc gone = path_remove_tree(dir, &later);
    if (rc == RC_OK && gone != RC_OK)
        *err = later;
    return rc != RC_OK ? rc : gone;
}
