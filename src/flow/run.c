/* The runner's spine: what is done next is decided from the journal alone, so that a start, a restart and a resume are
 * the same thing. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "flow/board.h"
#include "flow/foreign.h"
#include "net/client.h"
#include "os/path.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define RECORD_MAX (16u << 20)
#define FLUSH_MS   60000
#define ORDER_MS   30000
#define FILES_MS   30000

/* ---- records ---- */

void draft_begin(struct draft *rec)
{
    rec->ctx = mem_root();
    buf_init(&rec->b, rec->ctx, RECORD_MAX);
    json_out_init(&rec->o, &rec->b);
    jo_obj(&rec->o);
}

enum rc draft_end(struct run *run, struct draft *rec, const char *type, const char *actor, struct err *err)
{
    const struct journal_entry *e;
    jo_end_obj(&rec->o);
    enum rc rc = rec->b.overflow ? err_set(err, RC_LIMIT, "the record %s is too large", type)
                                 : journal_append(run->journal, type, actor, buf_view(&rec->b), &e, err);
    mem_free(rec->ctx);
    if (rc == RC_OK)
        link_send(run->link, e);
    return rc;
}

int64_t run_worked_ns(const struct run *run)
{
    return run->worked_ns + clock_mono_ns() - run->started_mono_ns;
}

static bool state_rests(const char *state)
{
    return task_state_final(state) || strcmp(state, "needs_you") == 0 || strcmp(state, "paused") == 0;
}

enum next run_state(struct run *run, const char *state, const char *reason, const char *words, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_kz(&rec.o, "state", state);
    jo_kz(&rec.o, "reason", reason);
    jo_kz(&rec.o, "words", words);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_ki(&rec.o, "iteration_limit", run->iteration_limit);
    jo_ki(&rec.o, "worked_ns", run_worked_ns(run));
    if (draft_end(run, &rec, "task.state", "system", err) != RC_OK)
        return NEXT_FAIL;
    return state_rests(state) ? NEXT_REST : NEXT_GO;
}

/* ---- orders and failures ---- */

enum next run_follow_order(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *ignored;
    switch (link_order(run->link)) {
    case LINK_NONE:
        return NEXT_GO;
    case LINK_DETACH:
        return NEXT_REST;
    case LINK_PAUSE:
        return run_state(run, "paused", "user", "paused by you", err);
    case LINK_TIME_UP: {
        char *words = mem_printf(tmp, "the time limit of %s is reached", text_duration(tmp, run->time_limit_s));
        return run_state(run, "paused", "limit_time", words, err);
    }
    case LINK_STOP:
        if (run_hooks(tmp, run, "on-stop", &ignored, err) == NEXT_FAIL)
            log_err(err, "on-stop hook");
        return run_state(run, "stopped", "user", "stopped by you", err);
    case LINK_YIELD: {
        const char *words = link_order_words(run->link, tmp);
        if (run_hooks(tmp, run, "on-stop", &ignored, err) == NEXT_FAIL)
            log_err(err, "on-stop hook");
        return run_state(run, "stopped", "trial", words ? words : "another attempt won", err);
    }
    }
    return NEXT_FAIL;
}

enum next run_backoff(struct run *run, int64_t retry_after_s, const struct err *why, struct err *err)
{
    int64_t first = setting_int(run->settings, "retry.first"), most = setting_int(run->settings, "retry.most");
    int64_t seconds = first;
    for (int64_t i = 0; i < run->failures && seconds < most; i++)
        seconds *= 2;
    if (seconds > most)
        seconds = most;
    if (retry_after_s >= 0) /* the provider knows better, be it a minute or the hours until a quota is reset */
        seconds = retry_after_s > 7 * 86400 ? 7 * 86400 : retry_after_s < 1 ? 1 : retry_after_s;
    run->failures++;
    CLEANUP_MEM mem *tmp = mem_root();
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "seconds", seconds);
    /* What is behind it, as far as it is one line: what bubblewrap said, say. */
    struct str rest = str_of(why ? why->detail : ""), detail;
    (void)str_line(&rest, &detail);
    jo_kz(&rec.o, "words",
          mem_printf(tmp, "%s%s%.*s; trying again in %s", why ? why->sentence : "something failed",
                     detail.n ? ": " : "", STR_FMT(detail), text_duration(tmp, seconds)));
    if (why && why->hint[0])
        jo_kz(&rec.o, "hint", why->hint);
    struct err no_record = {0};
    if (draft_end(run, &rec, "backoff", "system", &no_record) != RC_OK)
        log_err(&no_record, "could not tell about a wait"); /* a full disk is a reason to wait, not to fail */
    struct pollfd order = {.fd = link_order_fd(run->link), .events = POLLIN};
    int64_t until = clock_mono_ms() + seconds * 1000;
    for (int64_t left; (left = until - clock_mono_ms()) > 0;) {
        if (poll(&order, 1, left > 60000 ? 60000 : (int)left) > 0)
            break;
    }
    return run_follow_order(run, err);
}

enum next run_model_failed(struct run *run, enum rc rc, int64_t retry_after_s, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err why = *err;
    const char *words = why.hint[0] ? mem_printf(tmp, "%s: %s", why.sentence, why.hint) : why.sentence;
    if (run->limit_kind) {
        char *reason = mem_printf(tmp, "limit_%s", run->limit_kind);
        run->limit_kind = NULL;
        if (strcmp(reason, "limit_price") == 0)
            return run_state(run, "needs_you", "price", words, err);
        if (strcmp(reason, "limit_refused") == 0) /* by a budget that does not let tasks go on by themselves */
            return run_state(run, "needs_you", "budget", words, err);
        return run_state(run, "paused", reason, words, err);
    }
    switch (rc) {
    case RC_CANCELLED:
        return run_follow_order(run, err);
    case RC_DENIED:
        return run_state(run, "needs_you", "key", words, err);
    case RC_INVALID:
    case RC_NOT_FOUND:
        return run_state(run, "needs_you", "model", words, err);
    default:
        return run_backoff(run, retry_after_s, &why, err);
    }
}

/* ---- the road to the model ---- */

enum rc run_ask(void *arg, mem *ctx, const char *key, const struct llm_dialect *d, struct str body,
                bool (*on_bytes)(void *p, struct str bytes), void *p, int *ret_status, struct str *ret_headers,
                struct str *ret_error_body, struct err *err)
{
    struct run *run = arg;
    const char *headers[] = {mem_printf(ctx, "Authorization: Bearer %s", run->place->token),
                             "Content-Type: application/json", mem_printf(ctx, "X-Nightmill-Call: %s", key),
                             mem_printf(ctx, "X-Nightmill-Iteration: %lld", (long long)run->iteration), NULL};
    struct client_spec spec = {.unix_socket = run->place->api_socket,
                               .method = "POST",
                               .url = mem_printf(ctx, "http://localhost%s", d->path),
                               .headers = headers,
                               .body = body,
                               .max_body = 1u << 20,
                               .timeout_ms = -1,
                               .on_body = on_bytes,
                               .arg = p,
                               .cancel_fd = link_order_fd(run->link)};
    struct client_answer answer = {0};
    int64_t began = clock_mono_ns();
    /* What was done stands in the database before more is spent, so that the stream tells causes before effects. */
    if (link_flush(run->link, (int64_t)journal_count(run->journal), ORDER_MS, err) != RC_OK)
        return err->rc == RC_TIMEOUT ? err_set(err, RC_UNAVAILABLE, "the daemon does not take events") : err->rc;
    enum rc rc = client_call(ctx, &spec, &answer, err);
    run->model_ns += clock_mono_ns() - began;
    if (rc != RC_OK)
        return rc;
    *ret_status = answer.status;
    *ret_headers = answer.headers;
    *ret_error_body = answer.body;
    struct json problem;
    if (answer.status != 402 || json_parse(ctx, answer.body, &problem, NULL) != RC_OK)
        return RC_OK;
    run->limit_kind = json_z(run->ctx, json_get(problem, "limit"), NULL);
    if (!run->limit_kind)
        return RC_OK; /* the provider's own 402 */
    err_set(err, RC_LIMIT, "%s", json_z(ctx, json_get(problem, "title"), "a limit is reached"));
    err_hint(err, "%s", json_z(ctx, json_get(problem, "hint"), ""));
    return RC_LIMIT;
}

const struct llm_dialect *run_dialect(const struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct llm_dialect *d = llm_dialect_find(json_z(tmp, json_path(run->spec, "model.wire"), "chat"));
    return d ? d : llm_dialect_find("chat");
}

const char *run_model(const struct run *run)
{
    return json_z(run->ctx, json_path(run->spec, "model.name"), "");
}

const char *const *run_strings(struct run *run, const char *key)
{
    struct json list = json_get(run->spec, key);
    const char **v = mem_array(run->ctx, const char *, json_len(list) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);)
        v[n++] = json_z(run->ctx, it.value, "");
    return v;
}

struct sandbox_limits run_sandbox_limits(const struct run *run)
{
    return (struct sandbox_limits){.memory_bytes = setting_int(run->settings, "sandbox.memory"),
                                   .processes = setting_int(run->settings, "sandbox.processes"),
                                   .cpu_seconds = setting_int(run->settings, "sandbox.cpu"),
                                   .file_bytes = setting_int(run->settings, "sandbox.file_size"),
                                   .tmp_bytes = setting_int(run->settings, "sandbox.tmp_size"),
                                   .disk_bytes = setting_int(run->settings, "sandbox.disk"),
                                   .disk_floor = setting_int(run->settings, "sandbox.disk_floor")};
}

/* ---- what people said ---- */

static int64_t inputs_taken(const struct run *run)
{
    const struct journal_entry *last = journal_last(run->journal, "input.taken", 0, NULL);
    return last ? json_int(json_get(last->json, "number"), 0) : 0;
}

static enum rc take_input(struct run *run, struct json event, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t number = json_int(json_get(event, "number"), 0);
    if (number <= inputs_taken(run))
        return RC_OK;
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "number", number);
    jo_kz(&rec.o, "type", json_z(tmp, json_get(event, "type"), ""));
    jo_kraw(&rec.o, "data", json_raw(json_get(event, "data")));
    return draft_end(run, &rec, "input.taken", "system", err);
}

enum rc run_take_inputs(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = RC_OK;
    for (struct json_iter it = json_iter(run->welcome.inputs); rc == RC_OK && json_next(&it);)
        rc = take_input(run, it.value, err);
    run->welcome.inputs = (struct json){0};
    char *text = link_take_inputs(run->link, tmp);
    struct json more;
    if (rc != RC_OK || !text)
        return rc;
    rc = json_parse(tmp, str_of(text), &more, err);
    for (struct json_iter it = json_iter(more); rc == RC_OK && json_next(&it);)
        rc = take_input(run, it.value, err);
    return rc;
}

size_t run_last_input(const struct run *run)
{
    for (size_t i = journal_count(run->journal); i > 0; i--) {
        const struct journal_entry *e = journal_at(run->journal, i - 1);
        struct json type = json_get(e->json, "type");
        if (strcmp(e->type, "input.taken") == 0 && !json_eqz(type, "gate.answered") && !json_eqz(type, "trial.decided"))
            return i;
    }
    return 0;
}

/* ---- the loop ---- */

/* Finds the iteration to work on: the last one, or none yet. Returns its iteration.finished, or NULL while it is open.
 */
static const struct journal_entry *run_locate(struct run *run)
{
    size_t at;
    const struct journal_entry *started = journal_last(run->journal, "iteration.started", 0, &at);
    run->start = started ? at : SIZE_MAX;
    run->iteration = started ? json_int(json_get(started->json, "iteration"), 1) : 1;
    return started ? journal_last(run->journal, "iteration.finished", at, NULL) : NULL;
}

/* Whether the person has allowed more check changes since the last verdict: then the same files are judged again, the
 * agent is not asked. */
static bool run_allowed_more(const struct run *run)
{
    size_t verdict;
    if (!journal_last(run->journal, "verdict", 0, &verdict))
        return false;
    const struct journal_entry *in = journal_last(run->journal, "input.taken", verdict, NULL);
    return in && json_len(json_path(in->json, "data.allow_check_changes")) > 0;
}

/* After a finished iteration: deliver, ask, pause, or go on with the next one. */
static enum next run_decide(struct run *run, const struct journal_entry *finished, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *outcome = json_z(tmp, json_get(finished->json, "outcome"), ""), *reason;
    if (strcmp(outcome, "proven") == 0)
        return run_finish(run, "done", err);
    if (strcmp(outcome, "unproven") == 0)
        return run_finish(run, "unproven", err);
    size_t asked = run_last_input(run);
    const struct journal_entry *v = journal_last(run->journal, "verdict", run->start, NULL);
    bool heard = asked > 0 && journal_at(run->journal, asked - 1)->origin > finished->origin;
    if (v && !heard && json_eqz(json_path(v->json, "verdict.reason"), "protected_changed")) {
        const char *words = mem_printf(
            tmp, "%s; look at it with: nightmill diff %s; then hint, allow (resume --allow-check-changes GLOB) or stop",
            json_z(tmp, json_get(finished->json, "words"), ""), run->place->task_id);
        return run_state(run, "needs_you", "protected_changed", words, err);
    }
    const char *stuck = run_stuck(tmp, run, &reason);
    if (stuck)
        return run_state(run, "needs_you", reason,
                         mem_printf(tmp, "%s; give a hint, use a stronger model (resume --model NAME) or stop", stuck),
                         err);
    if (run->iteration >= run->iteration_limit) {
        const char *words = mem_printf(
            tmp, "the limit of %lld iterations is reached; raise it with: nightmill resume %s --iterations %lld",
            (long long)run->iteration_limit, run->place->task_id, (long long)run->iteration_limit * 2);
        return run_state(run, "paused", "limit_iterations", words, err);
    }
    run->iteration++;
    run->start = SIZE_MAX;
    return NEXT_GO;
}

static enum next run_loop(struct run *run, struct err *err)
{
    enum next next = run_setup(run, err);
    if (next == NEXT_GO)
        next = run_plan(run, err);
    while (next == NEXT_GO) {
        if (run_take_inputs(run, err) != RC_OK)
            return NEXT_FAIL;
        next = run_follow_order(run, err);
        if (next != NEXT_GO)
            return next;
        const struct journal_entry *finished = run_locate(run);
        size_t before = journal_count(run->journal);
        if (finished) {
            bool again = run_allowed_more(run);
            next = run_decide(run, finished, err);
            if (next != NEXT_GO || (run->start != SIZE_MAX && journal_count(run->journal) > before))
                continue; /* rests, or a hook turned the iteration back: look anew */
            run->keep_files = again;
        }
        next = run_iterate(run, err);
    }
    return next;
}

/* Opens everything that the loop stands on. */
static enum rc run_prepare(struct run *run, struct err *err)
{
    struct str settings = json_raw(json_get(run->spec, "settings"));
    enum rc rc = settings_from_json(run->ctx, settings, &run->settings, err);
    if (rc != RC_OK)
        return rc;
    run->iteration_limit = json_int(json_get(run->welcome.task, "iteration_limit"), 10);
    run->time_limit_s = json_int(json_get(run->welcome.task, "limit_time_s"), 0);
    run->worked_ns = json_int(json_get(run->welcome.task, "worked_ns"), 0);
    sandbox_set_uid_base((uid_t)setting_int(run->settings, "sandbox.uid_base"));
    sandbox_owner(SANDBOX_AGENT, &run->uid, &run->gid);
    rc = repo_inspect(run->ctx, json_z(run->ctx, json_get(run->spec, "repo"), ""), &run->repo, err);
    if (rc != RC_OK)
        return rc;
    struct buf notes;
    buf_init(&notes, run->ctx, 65536);
    workspace_set_cache(mem_printf(run->ctx, "%s/" BOARD_SPARES, run->place->data_dir));
    workspace_set_spares((size_t)setting_int(run->settings, "tasks.parallel"));
    rc = workspace_open(run->ctx, run->task_dir, &run->repo, json_z(run->ctx, json_get(run->spec, "base"), ""),
                        run->uid, run->gid, &run->work, &notes, err);
    if (rc == RC_OK && run->time_limit_s > 0)
        link_set_deadline(run->link, run->started_mono_ns + run->time_limit_s * 1000000000 - run->worked_ns);
    return rc;
}

static enum next run_start(struct run *run, struct err *err)
{
    struct draft rec;
    bool resumed = journal_count(run->journal) > 0;
    draft_begin(&rec);
    jo_ki(&rec.o, "pid", getpid());
    jo_kb(&rec.o, "resumed", resumed);
    if (draft_end(run, &rec, "runner.started", "system", err) != RC_OK || run_take_inputs(run, err) != RC_OK)
        return NEXT_FAIL;
    run_locate(run);
    return run_state(run, "working", "", resumed ? "goes on" : "begins", err);
}

/* Whether this process finds a task that rests: the last one was ended after journaling it. Nothing is left but to hand
 * the events over. */
static bool run_rests(const struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct journal_entry *last = journal_last(run->journal, "task.state", 0, NULL);
    if (!last || !state_rests(json_z(tmp, json_get(last->json, "state"), "")))
        return false;
    return last->origin > run->welcome.acked || state_rests(json_z(tmp, json_get(run->welcome.task, "state"), ""));
}

static enum next run_job(struct run *run, struct err *err)
{
    bool undo = strcmp(run->welcome.job, "undo") == 0;
    if (!undo && run_rests(run))
        return NEXT_REST;
    enum rc rc = run_prepare(run, err);
    if (rc == RC_OK && undo)
        return run_undo(run, err);
    enum next next = rc == RC_OK ? run_start(run, err) : NEXT_FAIL;
    return next == NEXT_GO ? run_loop(run, err) : next;
}

/* What this process cannot go on with: told as the task's failure, unless it is the machine's trouble and may pass. */
static int run_failed(struct run *run, struct err *why)
{
    log_err(why, "the task cannot go on");
    if (rc_retryable(why->rc) || why->rc == RC_IO || why->rc == RC_LIMIT)
        return RUNNER_EXIT_FAILED;
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    const char *words = why->hint[0] ? mem_printf(tmp, "%s: %s", why->sentence, why->hint) : why->sentence;
    return run_state(run, "failed", rc_name(why->rc), words, &err) == NEXT_REST ? RUNNER_EXIT_DONE : RUNNER_EXIT_FAILED;
}

static bool run_final(const struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct journal_entry *last = journal_last(run->journal, "task.state", 0, NULL);
    return last && task_state_final(json_z(tmp, json_get(last->json, "state"), ""));
}

/* The task has its end and everything is handed over: makes a workspace of the branch as it is now, so that the next
 * task of this repository begins at once. Nobody waits for it and nothing depends on it. */
static void run_stock(struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    const char *head = NULL;
    if (!run->repo.git_dir || !run_final(run))
        return;
    enum rc rc = repo_resolve(tmp, run->repo.git_dir, "HEAD", &head, &err);
    for (int64_t i = setting_int(run->settings, "tasks.parallel"); rc == RC_OK && i > 0; i--)
        rc = workspace_stock(&run->repo, head, run->uid, run->gid, &err);
    if (rc != RC_OK)
        log_err(&err, "could not make a spare workspace");
}

/* Shells of people may have the files of a task that rested; the server tells them to give them up. */
static enum rc files_claim(const char *task_dir, int *ret_fd, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t until = clock_mono_ms() + FILES_MS;
    CLEANUP_FD int fd =
        open(mem_printf(tmp, "%s/files.lock", task_dir), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "could not take the files of the task");
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (clock_mono_ms() >= until)
            return err_set(err, RC_UNAVAILABLE, "a terminal has the files of the task and does not give them up");
        poll(NULL, 0, 20);
    }
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

int runner_main(const struct runner_place *place)
{
    CLEANUP_MEM mem *ctx = mem_root();
    CLEANUP_FD int lock = -1;
    CLEANUP_FD int files = -1;
    struct err err = {0};
    struct run run = {.ctx = ctx, .place = place, .started_mono_ns = clock_mono_ns(), .start = SIZE_MAX};
    run.task_dir = mem_printf(ctx, "%s/tasks/%s", place->data_dir, place->task_id);
    enum rc rc = path_lock(mem_printf(ctx, "%s/runner.lock", run.task_dir), &lock, NULL, &err);
    if (rc == RC_CONFLICT)
        return RUNNER_EXIT_BUSY;
    if (rc == RC_OK)
        rc = files_claim(run.task_dir, &files, &err);
    if (rc == RC_OK)
        rc = journal_open(ctx, mem_printf(ctx, "%s/journal", run.task_dir), &run.journal, &err);
    if (rc == RC_OK)
        rc = link_open(ctx, place->link_socket, place->task_id, place->token, 30000, &run.link, &run.welcome, &err);
    if (rc != RC_OK) {
        log_err(&err, "could not start");
        return RUNNER_EXIT_FAILED;
    }
    run.spec = run.welcome.spec;
    for (size_t i = 0; i < journal_count(run.journal); i++)
        link_send(run.link, journal_at(run.journal, i));
    int code = run_job(&run, &err) == NEXT_FAIL ? run_failed(&run, &err) : RUNNER_EXIT_DONE;
    if (run_final(&run))
        home_wipe(&run);
    if (link_order(run.link) != LINK_DETACH &&
        link_flush(run.link, (int64_t)journal_count(run.journal), FLUSH_MS, &err) != RC_OK)
        code = RUNNER_EXIT_FAILED;
    bool detached = link_order(run.link) == LINK_DETACH;
    link_close(run.link);
    close(fd_take(&files));
    if (code == RUNNER_EXIT_DONE && !detached) {
        run_stock(&run);
        run_trim(&run);
    }
    return code;
}
