/* What stands in an agent's sandbox beside the files: the layer of the setup commands and the project's cache volumes;
 * and the keeping small of both. What a layer is, src/setup/setup.h says; this file says when, and tells about it. */
#include "base/clock.h"
#include "base/log.h"
#include "flow/run.h"
#include "os/path.h"
#include <sys/stat.h>
#include <time.h>

enum { TRIM_EACH_S = 3600 };

static bool without_sandbox(const struct run *run)
{
    return json_bool(json_get(run->spec, "no_sandbox"), false);
}

/* ---- telling ---- */

static void tell_command(void *arg, const char *command, const struct sandbox_result *result)
{
    struct run *run = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct draft rec;
    draft_begin(&rec);
    jo_kz(&rec.o, "command", command);
    if (result) {
        jo_ki(&rec.o, "exit_code", result->exit_code);
        jo_ki(&rec.o, "signal", result->signal);
        jo_kb(&rec.o, "timed_out", result->timed_out);
        jo_ki(&rec.o, "ms", result->elapsed_ns / 1000000);
        jo_kz(&rec.o, "output", str_utf8_clean(tmp, result->out));
    }
    if (draft_end(run, &rec, result ? "setup.finished" : "setup.started", "system", NULL) != RC_OK)
        return; /* progress only; the records that count report a journal that fails */
}

static enum rc tell_layer(struct run *run, const struct setup_layer *l, int64_t began_ns, struct err *err)
{
    const struct journal_entry *last = journal_last(run->journal, "setup.ready", 0, NULL);
    if (last && json_eqz(json_get(last->json, "key"), l->key))
        return RC_OK;
    struct draft rec;
    draft_begin(&rec);
    jo_kz(&rec.o, "key", l->key);
    jo_kb(&rec.o, "made", l->fresh);
    jo_ki(&rec.o, "ms", (clock_mono_ns() - began_ns) / 1000000);
    jo_key(&rec.o, "paths");
    jo_arr(&rec.o);
    for (size_t i = 0; i < l->n; i++)
        jo_z(&rec.o, l->mounts[i].target);
    jo_end_arr(&rec.o);
    jo_kz(&rec.o, "notes", l->notes);
    return draft_end(run, &rec, "setup.ready", "system", err);
}

/* ---- the layer ---- */

enum rc run_setup_spec(mem *ctx, struct run *run, struct setup_spec *ret, struct err *err)
{
    struct volume_spec *v = mem_new(ctx, struct volume_spec);
    const char *project = setup_project(ctx, run->repo.git_dir);
    *v = (struct volume_spec){.dir = mem_printf(ctx, "%s/cache", run->place->data_dir),
                              .project = project,
                              .phase = VOLUME_SETUP,
                              .user = SANDBOX_VERIFIER};
    *ret = (struct setup_spec){.git_dir = run->work.git_dir,
                               .base = run->work.base,
                               .commands = run_strings(run, "setup"),
                               .layers = mem_printf(ctx, "%s/" SETUP_LAYERS "/%s", run->place->data_dir, project),
                               .work_dir = run->task_dir,
                               .volumes = v,
                               .limits = run_sandbox_limits(run),
                               .user_namespaces = setting_bool(run->settings, "sandbox.user_namespaces"),
                               .timeout_s = (int)setting_int(run->settings, "setup.timeout"),
                               .start_deadline_ms = (int)setting_int(run->settings, "sandbox.start_deadline") * 1000,
                               .cancel_fd = link_order_fd(run->link),
                               .on_command = tell_command,
                               .arg = run};
    return run_egress_setup(ctx, run, ret, err);
}

/* Without a sandbox there are no mounts: the commands run in the workspace, once, each known by its record. */
static enum next setup_plain(struct run *run, const char *const *commands, struct err *err)
{
    size_t done = 0;
    for (size_t i = 0; i < journal_count(run->journal); i++)
        done += strcmp(journal_at(run->journal, i)->type, "setup.finished") == 0;
    while (commands[done]) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct sandbox *sb = NULL;
        struct sandbox_result res = {0};
        enum rc rc = run_open_sandbox(tmp, run, "setup", &sb, err);
        struct sandbox_command cmd = {.shell = commands[done],
                                      .timeout_ms = (int)setting_int(run->settings, "setup.timeout") * 1000,
                                      .cancel_fd = link_order_fd(run->link),
                                      .keep = 8192,
                                      .out_fd = -1,
                                      .merge = true};
        if (rc == RC_OK)
            rc = sandbox_run(tmp, sb, &cmd, &res, err);
        sandbox_close(sb, NULL);
        if (rc == RC_CANCELLED)
            return run_follow_order(run, err);
        if (rc == RC_OK) {
            tell_command(run, commands[done++], &res);
            continue;
        }
        enum next next = run_backoff(run, -1, err, err);
        if (next != NEXT_GO)
            return next;
    }
    return NEXT_GO;
}

enum next run_setup(struct run *run, struct err *err)
{
    const char *const *commands = run_strings(run, "setup");
    struct setup_spec spec;
    if (!commands[0])
        return NEXT_GO;
    if (without_sandbox(run))
        return setup_plain(run, commands, err);
    for (;;) {
        int64_t began = clock_mono_ns();
        enum rc rc = run_setup_spec(run->ctx, run, &spec, err);
        if (rc == RC_OK)
            rc = setup_layer(run->ctx, &spec, run->work.base, &run->layer, err);
        run_egress_leave(run);
        run->outside_ns += clock_mono_ns() - began;
        if (rc == RC_CANCELLED)
            return run_follow_order(run, err);
        if (rc == RC_OK && run->layer.failed)
            return run_state(run, "needs_you", "setup", run->layer.words, err);
        if (rc == RC_OK)
            return tell_layer(run, &run->layer, began, err) == RC_OK ? NEXT_GO : NEXT_FAIL;
        enum next next = run_backoff(run, -1, err, err);
        if (next != NEXT_GO)
            return next;
    }
}

enum rc run_layer_follow(struct run *run, const char *commit, struct err *err)
{
    struct setup_spec spec;
    struct setup_layer layer;
    int64_t began = clock_mono_ns();
    if (!run_strings(run, "setup")[0] || without_sandbox(run))
        return RC_OK;
    enum rc rc = run_setup_spec(run->ctx, run, &spec, err);
    if (rc == RC_OK)
        rc = setup_layer(run->ctx, &spec, commit, &layer, err);
    run_egress_leave(run);
    run->outside_ns += clock_mono_ns() - began;
    if (rc != RC_OK || layer.failed) /* the agent's own files do not let it: the verdict tells it so */
        return rc;
    run->layer = layer;
    return tell_layer(run, &layer, began, err);
}

/* ---- the sandbox ---- */

enum rc run_volumes(struct run *run, struct err *err)
{
    if (run->volumes.n || without_sandbox(run))
        return RC_OK;
    struct volume_spec spec = {.dir = mem_printf(run->ctx, "%s/cache", run->place->data_dir),
                               .project = setup_project(run->ctx, run->repo.git_dir),
                               .phase = VOLUME_WORK,
                               .user = SANDBOX_AGENT};
    return volume_open(run->ctx, &spec, &run->volumes, err);
}

size_t run_layer_mounts(const struct run *run, struct sandbox_mount ret[RUN_LAYER_MOUNTS])
{
    size_t n = 0;
    for (size_t i = 0; i < run->volumes.n; i++)
        ret[n++] = run->volumes.mounts[i];
    for (size_t i = 0; i < run->layer.n; i++)
        ret[n++] = run->layer.mounts[i];
    return n;
}

/* ---- keeping small ---- */

/* At most once an hour on this machine. */
static bool trim_due(mem *ctx, const struct run *run)
{
    struct stat st;
    const char *mark = mem_printf(ctx, "%s/cache/trimmed", run->place->data_dir);
    if (stat(mark, &st) == 0 && st.st_mtim.tv_sec > time(NULL) - TRIM_EACH_S && st.st_mtim.tv_sec <= time(NULL))
        return false;
    return path_write_durable(mark, STR(""), 0600, NULL) == RC_OK;
}

void run_trim(struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    int64_t n;
    if (!run->settings || !trim_due(tmp, run))
        return;
    struct volume_caps caps = {.each_bytes = setting_int(run->settings, "cache.volume"),
                               .total_bytes = setting_int(run->settings, "cache.total"),
                               .unused_s = setting_int(run->settings, "cache.unused")};
    volume_close(&run->volumes);
    if (volume_trim(mem_printf(tmp, "%s/cache", run->place->data_dir), &caps, &n, &err) != RC_OK)
        log_err(&err, "could not keep the cache volumes small");
    if (setup_trim(mem_printf(tmp, "%s/" SETUP_LAYERS, run->place->data_dir), time(NULL), caps.unused_s, &n, &err) !=
        RC_OK)
        log_err(&err, "could not remove old layers");
}
