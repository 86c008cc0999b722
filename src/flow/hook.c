/* Operator hooks: commands of nightmill.yaml at before-iteration, after-iteration, before-done and on-stop. They come
 * from the base commit, so they run in the sandbox like everything of the repository, over the workspace, each with a
 * time limit. Exit 0 goes on, 2 blocks (its standard error goes to the agent), anything else warns. */
#include "base/text.h"
#include "flow/run.h"

#define HOOK_KEEP 16384

static enum next hook_record(struct run *run, const char *when, const char *command, int exit_code, const char *words,
                             struct str output, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_kz(&rec.o, "when", when);
    jo_kz(&rec.o, "command", command);
    jo_ki(&rec.o, "exit_code", exit_code);
    jo_kz(&rec.o, "words", words);
    jo_ks(&rec.o, "output", output);
    return draft_end(run, &rec, "hook.finished", "system", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

/* Index of the first hook of this moment that has no entry in the iteration yet. */
static size_t hooks_done(struct run *run, const char *when, const char **ret_blocked, mem *ctx)
{
    size_t n = 0;
    for (size_t i = run->start; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "hook.finished") != 0 || !json_eqz(json_get(e->json, "when"), when))
            continue;
        n++;
        if (json_int(json_get(e->json, "exit_code"), 0) == 2)
            *ret_blocked = json_z(ctx, json_get(e->json, "output"), "");
    }
    return n;
}

static enum next hook_run(mem *ctx, struct run *run, const char *when, struct json hook, struct err *err)
{
    const char *command = json_z(ctx, json_get(hook, "command"), "");
    int64_t timeout_s = json_int(json_get(hook, "timeout_s"), setting_int(run->settings, "hooks.timeout"));
    char iteration[32];
    snprintf(iteration, sizeof iteration, "%lld", (long long)run->iteration);
    const char *env[] = {mem_printf(ctx, "NIGHTMILL_TASK=%s", run->place->task_id),
                         mem_printf(ctx, "NIGHTMILL_ITERATION=%s", iteration),
                         mem_printf(ctx, "NIGHTMILL_HOOK=%s", when), NULL};
    struct sandbox *sb = NULL;
    struct sandbox_result res = {0};
    enum rc rc = run_open_sandbox(ctx, run, when, &sb, err);
    if (rc == RC_OK) {
        struct sandbox_command cmd = {.shell = command,
                                      .env = env,
                                      .timeout_ms = (int)(timeout_s * 1000),
                                      .cancel_fd = strcmp(when, "on-stop") == 0 ? -1 : link_order_fd(run->link),
                                      .keep = HOOK_KEEP,
                                      .out_fd = -1};
        rc = sandbox_run(ctx, sb, &cmd, &res, err);
    }
    sandbox_close(sb, NULL);
    if (rc == RC_CANCELLED)
        return run_follow_order(run, err);
    if (rc != RC_OK)
        return NEXT_FAIL;
    run->outside_ns += res.elapsed_ns;
    const char *words = res.timed_out         ? "ran out of time: a warning"
                        : res.could_not_start ? "could not be started: a warning"
                        : res.exit_code == 0  ? "goes on"
                        : res.exit_code == 2  ? "blocks"
                                              : "warns";
    struct str said = str_trim(res.err).n ? res.err : res.out;
    return hook_record(run, when, command, res.timed_out || res.could_not_start ? 124 : res.exit_code, words,
                       str_of(str_utf8_clean(ctx, said)), err);
}

enum next run_hooks(mem *ctx, struct run *run, const char *when, const char **ret_blocked, struct err *err)
{
    *ret_blocked = NULL;
    size_t done = hooks_done(run, when, ret_blocked, ctx), n = 0;
    for (struct json_iter it = json_iter(json_get(run->spec, "hooks")); json_next(&it) && !*ret_blocked;) {
        if (!json_eqz(json_get(it.value, "when"), when) || n++ < done)
            continue;
        enum next next = hook_run(ctx, run, when, it.value, err);
        if (next != NEXT_GO)
            return next;
        hooks_done(run, when, ret_blocked, ctx);
    }
    return NEXT_GO;
}
