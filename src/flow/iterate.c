/* One iteration: hooks, agent, commit under a private ref, verdict. Each step is skipped when the journal has it
 * already. */
#include "base/clock.h"
#include "base/text.h"
#include "flow/foreign.h"
#include "os/path.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- sandbox ---- */

/* The private repository is readable at /workspace/.git, with the object folders that it borrows from at their own
 * paths. */
static size_t git_mounts(mem *ctx, struct run *run, struct sandbox_mount *mounts, size_t room)
{
    size_t n = 0;
    struct str text, line;
    mounts[n++] = (struct sandbox_mount){run->work.git_dir, "/workspace/.git", false};
    if (path_slurp(ctx, mem_printf(ctx, "%s/objects/info/alternates", run->work.git_dir), 65536, &text, NULL) != RC_OK)
        return n;
    while (n < room && str_line(&text, &line)) {
        const char *folder = str_dup(ctx, line);
        if (line.n && line.p[0] == '/' && access(folder, R_OK) == 0)
            mounts[n++] = (struct sandbox_mount){folder, folder, false};
    }
    return n;
}

enum rc run_open_sandbox(mem *ctx, struct run *run, const char *label, struct sandbox **ret, struct err *err)
{
    return run_open_room(ctx, run, label, &(struct run_room){0}, ret, err);
}

enum rc run_open_room(mem *ctx, struct run *run, const char *label, const struct run_room *room, struct sandbox **ret,
                      struct err *err)
{
    struct sandbox_mount mounts[16 + RUN_LAYER_MOUNTS + RUN_ROOM_MOUNTS] = {{run->work.dir, "/workspace", true}};
    const char *point = mem_printf(ctx, "%s/.git", run->work.dir);
    if (mkdir(point, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "could not prepare the workspace %s", run->work.dir);
    enum rc rc = run_volumes(run, err);
    if (rc != RC_OK)
        return rc;
    size_t n = 1 + git_mounts(ctx, run, mounts + 1, 15);
    n += run_layer_mounts(run, mounts + n);
    BUG_ON(room->mount_count > RUN_ROOM_MOUNTS);
    for (size_t i = 0; i < room->mount_count; i++)
        mounts[n++] = room->mounts[i];
    const char *env[16] = {"GIT_CONFIG_COUNT=1",
                           "GIT_CONFIG_KEY_0=safe.directory",
                           "GIT_CONFIG_VALUE_0=*",
                           "GIT_OPTIONAL_LOCKS=0",
                           "GIT_WORK_TREE=/workspace",
                           "GIT_DIR=/workspace/.git",
                           NULL};
    for (size_t i = 0, at = 6; run->volumes.n && run->volumes.env[i] && at < 15; i++)
        env[at++] = run->volumes.env[i];
    struct sandbox_spec spec = {
        .user = SANDBOX_AGENT,
        .mounts = mounts,
        .mount_count = n,
        .cwd = "/workspace",
        .env = env,
        .listen = {room->ports[0], room->ports[1]},
        .listen_count = room->port_count,
        .limits = run_sandbox_limits(run),
        .user_namespaces = setting_bool(run->settings, "sandbox.user_namespaces"),
        .label = mem_printf(ctx, "%s-%s-%lld", run->place->task_id, label, (long long)run->iteration),
        .without = json_bool(json_get(run->spec, "no_sandbox"), false)};
    return sandbox_open(ctx, &spec, (int)setting_int(run->settings, "sandbox.start_deadline") * 1000, ret, err);
}

void run_room_closed(mem *ctx, struct run *run)
{
    rmdir(mem_printf(ctx, "%s/.git",
                     run->work.dir)); /* only the empty mount point; anything else is the snapshot's business */
}

/* ---- agent ---- */

static enum rc road_record(void *arg, const char *type, struct str json, struct err *err)
{
    struct run *run = arg;
    const struct journal_entry *e;
    enum rc rc = journal_append(run->journal, type, "agent", json, &e, err);
    if (rc == RC_OK) {
        link_send(run->link, e);
        if (strcmp(type, "tool.finished") == 0)
            run->outside_ns += json_int(json_get(e->json, "elapsed_ns"), 0);
    }
    return rc;
}

static struct str road_recall(void *arg, const char *type, int64_t n)
{
    struct run *run = arg;
    const struct journal_entry *e = journal_nth(run->journal, type, run->start, (size_t)n);
    return e ? e->data : (struct str){0};
}

static bool road_stopping(void *arg)
{
    struct run *run = arg;
    return link_order(run->link) != LINK_NONE;
}

static enum next agent_done(struct run *run, const struct agent_result *res, struct err *err)
{
    static const char *const ends[] = {[AGENT_FINISHED] = "finished",
                                       [AGENT_TURNS] = "turns",
                                       [AGENT_CANCELLED] = "cancelled",
                                       [AGENT_LIMIT] = "limit",
                                       [AGENT_FAILED] = "failed"};
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_kz(&rec.o, "end", ends[res->end]);
    jo_kz(&rec.o, "summary", res->summary ? res->summary : "");
    jo_ki(&rec.o, "turns", res->turns);
    jo_ki(&rec.o, "tool_calls", res->tool_calls);
    return draft_end(run, &rec, "agent.finished", "agent", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

static enum rc agent_once(mem *ctx, struct run *run, struct str prompt, struct agent_result *res, struct err *err)
{
    struct sandbox *sb = NULL;
    enum rc rc = run_open_sandbox(ctx, run, "agent", &sb, err);
    if (rc != RC_OK) {
        run_room_closed(ctx, run);
        res->end = AGENT_FAILED;
        res->retry_after_s = -1;
        return rc;
    }
    const char *logs = mem_printf(ctx, "%s/out", run->task_dir);
    rc = path_mkdirs(logs, 0700, err);
    if (rc == RC_OK) {
        struct agent_road road = {
            .ask = run_ask, .record = road_record, .recall = road_recall, .stopping = road_stopping, .arg = run};
        struct agent_spec spec = {.dialect = run_dialect(run),
                                  .model = run_model(run),
                                  .context_tokens = json_int(json_path(run->spec, "model.context"), 128000),
                                  .max_output = json_int(json_path(run->spec, "model.max_output"), 8192),
                                  .max_turns = setting_int(run->settings, "limits.turns"),
                                  .system_extra = json_z(ctx, json_get(run->spec, "instructions"), NULL),
                                  .prompt = prompt,
                                  .work = &run->work,
                                  .sandbox = sb,
                                  .log_dir = logs,
                                  .uid = run->uid,
                                  .gid = run->gid,
                                  .cancel_fd = link_order_fd(run->link),
                                  .iteration = run->iteration,
                                  .command_timeout_s = setting_int(run->settings, "agent.command_timeout"),
                                  .tool_output_max = (size_t)setting_int(run->settings, "agent.tool_output")};
        rc = agent_iterate(ctx, &spec, &road, res, err);
    }
    if (sandbox_disk_over(sb, err)) {
        rc = RC_LIMIT;
        run->limit_kind = "disk";
    }
    int left = 0;
    sandbox_close(sb, &left);
    run_room_closed(ctx, run);
    return rc;
}

static enum next iterate_agent(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (journal_last(run->journal, "agent.finished", run->start, NULL))
        return NEXT_GO;
    /* The prompt is journaled with the start of the iteration, so that a later process asks the model with the same
     * bytes. */
    struct str prompt = json_str(tmp, json_get(journal_at(run->journal, run->start)->json, "prompt"));
    if (json_bool(json_get(journal_at(run->journal, run->start)->json, "keep_files"), false)) {
        struct agent_result kept = {.end = AGENT_FINISHED, .summary = "the files are judged again as they are"};
        return agent_done(run, &kept, err);
    }
    if (foreign_backend(run))
        return foreign_iterate(run, prompt, err);
    for (;;) {
        CLEANUP_MEM mem *turn = mem_root();
        struct agent_result res = {.retry_after_s = -1};
        enum rc rc = agent_once(turn, run, prompt, &res, err);
        enum next next = run_follow_order(run, err);
        if (next != NEXT_GO)
            return next;
        if (rc == RC_OK && (res.end == AGENT_FINISHED || res.end == AGENT_TURNS)) {
            run->failures = 0;
            return agent_done(run, &res, err);
        }
        if (rc == RC_OK)
            rc = err->rc ? err->rc : RC_UPSTREAM;
        if (res.end == AGENT_LIMIT && !run->limit_kind)
            rc = RC_DENIED; /* the provider's own account is empty: no waiting helps */
        next = run_model_failed(run, rc, res.retry_after_s, err);
        if (next != NEXT_GO)
            return next;
    }
}

/* ---- commit ---- */

struct committed {
    const char *commit, *tree;
    bool changed;
    struct repo_change *changes;
    size_t n;
    struct buf notes;
};

/* Commit of the last iteration before this one, or the base. */
static const char *iterate_parent(mem *ctx, const struct run *run)
{
    for (size_t i = run->start; i > 0; i--) {
        const struct journal_entry *e = journal_at(run->journal, i - 1);
        if (strcmp(e->type, "iteration.committed") == 0)
            return json_z(ctx, json_get(e->json, "commit"), run->work.base);
    }
    return run->work.base;
}

/* The same files give the same commit: its dates are those of the iteration's start. */
static enum rc commit_make(mem *ctx, struct run *run, struct committed *ret, struct err *err)
{
    const char *parent = iterate_parent(ctx, run), *parent_tree = NULL;
    struct repo_commit c = {.parent = parent,
                            .message = mem_printf(ctx, "Iteration %lld\n\nNightmill-Task: %s\n",
                                                  (long long)run->iteration, run->place->task_id),
                            .author_name = "Nightmill",
                            .author_email = "nightmill@localhost",
                            .committer_name = "Nightmill",
                            .committer_email = "nightmill@localhost",
                            .time_s = journal_at(run->journal, run->start)->time_ns / 1000000000,
                            .ref = mem_printf(ctx, "refs/nightmill/iteration/%lld", (long long)run->iteration)};
    buf_init(&ret->notes, ctx, 65536);
    enum rc rc = workspace_tree(ctx, &run->work, &ret->tree, &ret->notes, err);
    if (rc == RC_OK)
        rc = repo_tree_of(ctx, run->work.git_dir, parent, &parent_tree, err);
    if (rc != RC_OK)
        return rc;
    c.tree = ret->tree;
    ret->changed = strcmp(ret->tree, parent_tree) != 0;
    rc = repo_commit(ctx, run->work.git_dir, &c, &ret->commit, err);
    return rc == RC_OK ? repo_changes(ctx, run->work.git_dir, parent, ret->commit, &ret->changes, &ret->n, err) : rc;
}

static enum next iterate_commit(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (journal_last(run->journal, "iteration.committed", run->start, NULL))
        return NEXT_GO;
    struct committed done = {0};
    while (commit_make(tmp, run, &done, err) != RC_OK) {
        if (err->rc == RC_BUG || err->rc == RC_INVALID || err->rc == RC_NOT_FOUND)
            return NEXT_FAIL;
        enum next next = run_backoff(run, -1, err, err); /* a full disk, say */
        if (next != NEXT_GO)
            return next;
    }
    int64_t added = 0, removed = 0;
    for (size_t i = 0; i < done.n; i++) {
        added += done.changes[i].added > 0 ? done.changes[i].added : 0;
        removed += done.changes[i].removed > 0 ? done.changes[i].removed : 0;
    }
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_kz(&rec.o, "commit", done.commit);
    jo_kz(&rec.o, "tree", done.tree);
    jo_kb(&rec.o, "changed", done.changed);
    jo_ki(&rec.o, "files", (int64_t)done.n);
    jo_ki(&rec.o, "added", added);
    jo_ki(&rec.o, "removed", removed);
    jo_kz(&rec.o, "notes", str_utf8_clean(tmp, buf_view(&done.notes)));
    return draft_end(run, &rec, "iteration.committed", "system", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

/* ---- verdict ---- */

static void checks_read(mem *ctx, struct run *run, struct check **ret, size_t *ret_n)
{
    struct json list = json_get(run->spec, "checks");
    struct check *checks = mem_array(ctx, struct check, json_len(list) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        checks[n++] = (struct check){.name = json_z(ctx, json_get(it.value, "name"), "check"),
                                     .command = json_z(ctx, json_get(it.value, "command"), ""),
                                     .timeout_s = (int)json_int(json_get(it.value, "timeout_s"), 600),
                                     .required = json_bool(json_get(it.value, "required"), true),
                                     .origin = json_z(ctx, json_get(it.value, "origin"), ""),
                                     .defined_in = json_z(ctx, json_get(it.value, "defined_in"), NULL)};
    }
    *ret = checks;
    *ret_n = n;
}

static void verify_progress(void *arg, const char *kind, const char *check, const char *log)
{
    struct run *run = arg;
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_kz(&rec.o, "kind", kind);
    jo_kz(&rec.o, "check", check);
    jo_kz(&rec.o, "log", log);
    if (draft_end(run, &rec, "check.started", "system", NULL) != RC_OK)
        return; /* progress only; the verdict's own record reports a journal that fails */
}

static enum next iterate_verify(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (journal_last(run->journal, "verdict", run->start, NULL))
        return NEXT_GO;
    const struct journal_entry *committed = journal_last(run->journal, "iteration.committed", run->start, NULL);
    struct verify_spec spec = {.git_dir = run->work.git_dir,
                               .base = run->work.base,
                               .candidate = json_z(tmp, json_get(committed->json, "commit"), ""),
                               .setup = run_strings(run, "setup"),
                               .protect = run_strings(run, "protect"),
                               .allow_changes = run_strings(run, "allow_check_changes"),
                               .require_proof = json_bool(json_get(run->spec, "require_proof"), false),
                               .no_sandbox = json_bool(json_get(run->spec, "no_sandbox"), false),
                               .work_dir = mem_printf(tmp, "%s/verify", run->task_dir),
                               .cache_dir = mem_printf(tmp, "%s/cache", run->place->data_dir),
                               .feedback_max = (size_t)setting_int(run->settings, "check.feedback"),
                               .limits = run_sandbox_limits(run),
                               .cancel_fd = link_order_fd(run->link),
                               .on_run = verify_progress,
                               .arg = run};
    struct check *checks;
    checks_read(tmp, run, &checks, &spec.check_count);
    spec.checks = checks;
    struct setup_spec layers;
    if (run_setup_spec(tmp, run, &layers, err) != RC_OK)
        return NEXT_FAIL;
    layers.on_command = NULL;
    spec.layers = &layers;
    enum next next = run_state(run, "checking", "", "the checks run where the agent cannot reach them", err);
    for (;;) {
        if (next != NEXT_GO)
            return next;
        struct verdict v = {0};
        int64_t began = clock_mono_ns();
        enum rc rc = verify_commit(tmp, &spec, &v, err);
        run_egress_leave(run);
        run->outside_ns += clock_mono_ns() - began;
        if (rc == RC_CANCELLED)
            return run_follow_order(run, err);
        if (rc == RC_OK && v.reason != REASON_SANDBOX) {
            struct draft rec;
            draft_begin(&rec);
            jo_ki(&rec.o, "iteration", run->iteration);
            jo_key(&rec.o, "verdict");
            verdict_json(&v, &rec.o);
            return draft_end(run, &rec, "verdict", "system", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
        }
        if (rc == RC_OK)
            err_set(err, RC_UNAVAILABLE, "the check could not be run: %s", v.words);
        next = run_backoff(run, -1, err, err);
    }
}

/* ---- the whole ---- */

static enum next iterate_begin(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_ki(&rec.o, "limit", run->iteration_limit);
    jo_kb(&rec.o, "keep_files", run->keep_files);
    jo_ks(&rec.o, "prompt", context_prompt(tmp, run));
    run->keep_files = false;
    if (draft_end(run, &rec, "iteration.started", "system", err) != RC_OK)
        return NEXT_FAIL;
    run->start = journal_count(run->journal) - 1;
    return run_state(run, "working", "", "the agent works", err);
}

static enum next iterate_end(struct run *run, const char *outcome, const char *words, struct str feedback, bool changed,
                             int64_t began_ns, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t engine_ns = clock_mono_ns() - began_ns - run->model_ns - run->outside_ns;
    bool good = strcmp(outcome, "proven") == 0 || strcmp(outcome, "unproven") == 0;
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_kz(&rec.o, "outcome", outcome);
    jo_kz(&rec.o, "words", words);
    jo_ks(&rec.o, "feedback", feedback);
    jo_kz(&rec.o, "signature", good ? "" : failure_signature(tmp, feedback));
    jo_kb(&rec.o, "changed", changed);
    jo_ki(&rec.o, "engine_ms", engine_ns > 0 ? engine_ns / 1000000 : 0);
    return draft_end(run, &rec, "iteration.finished", "system", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

static enum next iterate_blocked(mem *ctx, struct run *run, const char *when, const char *said, int64_t began,
                                 struct err *err)
{
    const char *words = mem_printf(ctx, "the %s hook blocked", when);
    return iterate_end(run, "blocked", words,
                       str_of(mem_printf(ctx, "The %s hook of the project blocked and says:\n%s", when, said)), true,
                       began, err);
}

enum next run_iterate(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t began = clock_mono_ns();
    const char *blocked;
    run->model_ns = run->outside_ns = 0;
    enum next next = NEXT_GO;
    if (run->start == SIZE_MAX)
        next = iterate_begin(run, err);
    if (next == NEXT_GO && run_layer_follow(run, iterate_parent(tmp, run), err) != RC_OK)
        next = err->rc == RC_CANCELLED ? run_follow_order(run, err) : run_backoff(run, -1, err, err);
    if (next == NEXT_GO)
        next = run_hooks(tmp, run, "before-iteration", &blocked, err);
    if (next == NEXT_GO && blocked)
        return iterate_blocked(tmp, run, "before-iteration", blocked, began, err);
    if (next == NEXT_GO)
        next = iterate_agent(run, err);
    if (next == NEXT_GO)
        next = run_hooks(tmp, run, "after-iteration", &blocked, err);
    const char *blocked_after = next == NEXT_GO ? blocked : NULL;
    if (next == NEXT_GO)
        next = iterate_commit(run, err);
    if (next == NEXT_GO && blocked_after)
        return iterate_blocked(tmp, run, "after-iteration", blocked_after, began, err);
    if (next == NEXT_GO)
        next = iterate_verify(run, err);
    if (next != NEXT_GO)
        return next;
    struct json v = json_get(journal_last(run->journal, "verdict", run->start, NULL)->json, "verdict");
    struct json reason = json_get(v, "reason");
    bool changed =
        json_bool(json_get(journal_last(run->journal, "iteration.committed", run->start, NULL)->json, "changed"), true);
    const char *outcome = json_eqz(json_get(v, "outcome"), "proven") ? "proven"
                          : json_eqz(reason, "no_check")             ? "unproven"
                          : json_eqz(json_get(v, "outcome"), "red")  ? "red"
                                                                     : "not_proven";
    const char *words = json_z(tmp, json_get(v, "words"), "");
    struct str feedback = json_str(tmp, json_get(v, "feedback"));
    if (strcmp(outcome, "not_proven") == 0 && !feedback.n)
        feedback = str_of(words);
    return iterate_end(run, outcome, words, feedback, changed, began, err);
}
