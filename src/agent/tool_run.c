/* run: a command in the sandbox.
 *
 * What it leaves running is ended, so that its effects are all there when its tree is recorded.
 * A command cannot be made twice on the same files: before it starts, the tree of the workspace is recorded. A process
 * that finds a command begun and not recorded has put that tree back (memory.c) and starts it anew. A command that
 * ended the sandbox or the runner each time is given up after some tries. */
#include "agent/work.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_MOST = 100000, TRIES_MOST = 5 };
static const int64_t LOG_MOST = 64 << 20;

struct run_args {
    const char *command;
    int64_t timeout_s;
};

/* The workspace as a tree; *ret_notes says what was moved aside or left out. */
static enum rc tree_look(struct tool_call *c, const char **ret_tree, struct buf *notes, struct err *err)
{
    struct agent *a = c->agent;
    enum rc rc = RC_OK;
    if (!a->tree)
        rc = workspace_tree(a->ctx, a->spec->work, &a->tree, notes, err);
    *ret_tree = a->tree;
    return rc;
}

/* Records the beginning, or that it begins once more; *ret_give_up after too many times. */
static enum rc beginning_record(struct tool_call *c, struct buf *notes, bool *ret_give_up, struct err *err)
{
    *ret_give_up = false;
    if (!c->started) {
        const char *tree;
        enum rc rc = tree_look(c, &tree, notes, err);
        if (rc)
            return rc;
        struct record *intent = tool_intent_begin(c);
        jo_kz(&intent->o, "tree", tree);
        return tool_intent_end(c, intent, err);
    }
    int tries = 0;
    for (const struct step *s = c->agent->memory.first[MEMORY_AGAIN]; s; s = s->next)
        tries += s->turn == c->turn && s->call == c->number && strcmp(s->digest, c->digest) == 0;
    *ret_give_up = tries >= TRIES_MOST;
    if (*ret_give_up)
        return RC_OK;
    struct record *again = tool_intent_begin(c);
    return entry_end(c->agent, again, MEMORY_AGAIN, err);
}

static void result_write(struct tool_call *c, const struct sandbox_result *r, int64_t timeout_s)
{
    struct buf *out = &c->out;
    if (r->could_not_start)
        buf_z(out, "The command could not be started.\n");
    else if (r->timed_out)
        buf_printf(out, "The command was ended after %lld seconds (its time limit).\n", (long long)timeout_s);
    else if (r->signal)
        buf_printf(out, "The command was ended by signal %d (%s).\n", r->signal, strsignal(r->signal));
    else
        buf_printf(out, "exit code %d\n", r->exit_code);
    if (r->memory_limit)
        buf_z(out, "The memory limit of the sandbox was reached.\n");
    if (r->process_limit)
        buf_z(out, "The limit of processes of the sandbox was reached.\n");
    if (r->flooded)
        buf_printf(out, "It wrote %lld bytes; only the first %lld are kept.\n", (long long)r->out_bytes,
                   (long long)LOG_MOST);
    buf_str(out, r->out);
    c->is_error = r->could_not_start || r->timed_out;
}

static enum rc command_run(struct tool_call *c, const struct run_args *args, struct sandbox_result *ret,
                           struct err *err)
{
    const struct agent_spec *spec = c->agent->spec;
    int64_t most = spec->command_timeout_s > 0 ? spec->command_timeout_s : 600;
    int64_t timeout_s = args->timeout_s && args->timeout_s < most ? args->timeout_s : most;
    CLEANUP_FD int log = open(tool_log_path(c), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (log < 0)
        return err_sys(err, errno, "Could not keep the output of a command in %s", spec->log_dir);
    enum rc rc = files_give(c->agent, err);
    if (rc)
        return rc;
    c->agent->tree = NULL;
    c->agent->noisy = true;
    struct sandbox_command command = {
        .shell = args->command,
        .timeout_ms = timeout_s < INT32_MAX / 1000 ? (int)timeout_s * 1000 : INT32_MAX,
        .cancel_fd = spec->cancel_fd,
        .keep = spec->tool_output_max > 1024 ? spec->tool_output_max - 512 : 512,
        .out_fd = log,
        .out_max = LOG_MOST,
        .merge = true,
    };
    rc = sandbox_run(c->ctx, spec->sandbox, &command, ret, err);
    if (!rc)
        result_write(c, ret, timeout_s);
    c->whole = (size_t)ret->out_bytes + 1;
    return rc;
}

static enum rc run_run(struct tool_call *c, const void *p, struct err *err)
{
    const struct run_args *args = p;
    if (!str_trim(str_of(args->command)).n)
        return tool_refuse(c, "`command` is empty.");
    struct buf notes;
    buf_init(&notes, c->ctx, 65536);
    bool give_up;
    enum rc rc = beginning_record(c, &notes, &give_up, err);
    if (rc)
        return rc;
    if (give_up)
        return tool_refuse(
            c,
            "The command did not end in %d tries: the sandbox or Nightmill ended while it ran. Its effects "
            "were taken back. Do it in another way.",
            TRIES_MOST + 1);
    struct sandbox_result r = {0};
    int64_t began = clock_mono_ns();
    rc = command_run(c, args, &r, err);
    int64_t elapsed = clock_mono_ns() - began;
    const char *tree = NULL;
    rc = rc ? rc : files_take(c->agent, err);
    rc = rc ? rc : tree_look(c, &tree, &notes, err);
    if (rc)
        return rc;
    if (notes.n)
        buf_printf(&c->out, "\n[%s]\n", str_dup(c->ctx, str_trim(buf_view(&notes))));
    jo_ki(&c->rec.o, "exit_code", r.exit_code);
    jo_kz(&c->rec.o, "tree", tree);
    jo_ki(&c->rec.o, "elapsed_ns", elapsed);
    return RC_OK;
}

static const char *run_summary(mem *ctx, const void *p)
{
    return mem_printf(ctx, "run %s", ((const struct run_args *)p)->command);
}

static const struct json_bind run_fields[] = {
    BIND(run_args, command, BIND_STR, true, 0, COMMAND_MOST),
    BIND(run_args, timeout_s, BIND_INT, false, 1, 86400),
};
const struct agent_tool tool_run = {
    .face =
        {"run",
         "Runs a command by /bin/sh in /workspace and answers its exit code and its output (standard error included). "
         "There is no network. What it leaves running is ended with it. Long output is cut in the middle.",
         "{\"type\":\"object\",\"properties\":{"
         "\"command\":{\"type\":\"string\",\"description\":\"Shell command\"},"
         "\"timeout_s\":{\"type\":\"integer\",\"minimum\":1,"
         "\"description\":\"Seconds after which it is ended; the most that is allowed when absent\"}},"
         "\"required\":[\"command\"]}"},
    .fields = run_fields,
    .field_count = sizeof run_fields / sizeof run_fields[0],
    .args_size = sizeof(struct run_args),
    .summary = run_summary,
    .run = run_run,
};
