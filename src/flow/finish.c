/* After the verdict: the operator's last word, one commit by template, delivery into the user's repository; and taking
 * it back. */
#include "base/text.h"
#include "flow/run.h"

#define SUBJECT_MAX 72
#define DIFF_MAX    (48u << 10)

/* First line of the text, cut for a commit's subject. */
static const char *commit_subject(mem *ctx, struct str text)
{
    struct str line;
    while (str_line(&text, &line)) {
        line = str_trim(line);
        if (!line.n)
            continue;
        return text_terminal_line(ctx, line, SUBJECT_MAX);
    }
    return "Change by Nightmill";
}

static void add_proof(mem *ctx, struct json verdict, struct buf *b)
{
    for (struct json_iter it = json_iter(json_get(verdict, "runs")); json_next(&it);) {
        if (!json_eqz(json_get(it.value, "kind"), "delivered") && !json_eqz(json_get(it.value, "kind"), "sealed"))
            continue; /* the others are meant to be red; what they showed is said in words below */
        struct json counts = json_get(it.value, "counts");
        int64_t total = json_int(json_get(counts, "total"), -1);
        buf_printf(b, "- %s, %s: exit %lld", json_z(ctx, json_get(it.value, "check"), ""),
                   json_z(ctx, json_get(it.value, "kind"), ""),
                   (long long)json_int(json_get(it.value, "exit_code"), -1));
        if (json_is(json_get(counts, "framework")) && total >= 0)
            buf_printf(b, ", %lld tests, %lld failed, %lld skipped", (long long)total,
                       (long long)json_int(json_get(counts, "failed"), 0),
                       (long long)json_int(json_get(counts, "skipped"), 0));
        buf_char(b, '\n');
    }
    const char *const words[] = {"proof_words", "canary_words"};
    for (size_t i = 0; i < 2; i++) {
        const char *w = json_z(ctx, json_get(verdict, words[i]), "");
        if (*w)
            buf_printf(b, "- %s\n", w);
    }
}

static const char *commit_message(mem *ctx, struct run *run, const char *state)
{
    struct str text = json_str(ctx, json_get(run->spec, "text"));
    struct json verdict = json_get(journal_last(run->journal, "verdict", 0, NULL)->json, "verdict");
    const struct journal_entry *agent = journal_last(run->journal, "agent.finished", 0, NULL);
    struct str summary = agent ? str_trim(json_str(ctx, json_get(agent->json, "summary"))) : (struct str){0};
    struct buf b;
    buf_init(&b, ctx, 1u << 20);
    buf_printf(&b, "%s\n\n", commit_subject(ctx, text));
    if (summary.n)
        buf_printf(&b, "%s\n\n", text_terminal(ctx, str_sub(summary, 0, str_utf8_cut(summary, 4000))));
    buf_printf(&b, "%s after %lld iteration%s:\n",
               strcmp(state, "done") == 0 ? "Proven" : "Not proven: no check was given;", (long long)run->iteration,
               run->iteration == 1 ? "" : "s");
    add_proof(ctx, verdict, &b);
    buf_printf(&b, "\nNightmill-Task: %s\nNightmill-Backend: native\nNightmill-Model: %s\n", run->place->task_id,
               text_terminal_line(ctx, str_of(run_model(run)), 200));
    return buf_take(&b, ctx);
}

static const char *branch_name(mem *ctx, struct run *run)
{
    return mem_printf(ctx, "nightmill/%s-%s", run->place->task_id,
                      text_slug(ctx, json_str(ctx, json_get(run->spec, "text")), 40));
}

/* One commit on the base with the proven tree; the same bytes whenever it is made again. */
static enum rc delivery_commit(mem *ctx, struct run *run, const char *state, const char **ret, struct err *err)
{
    const struct journal_entry *committed = journal_last(run->journal, "iteration.committed", 0, NULL);
    const struct journal_entry *finished = journal_last(run->journal, "iteration.finished", 0, NULL);
    const char *name = json_z(ctx, json_path(run->spec, "identity.name"), NULL),
               *email = json_z(ctx, json_path(run->spec, "identity.email"), NULL);
    struct repo_commit c = {.tree = json_z(ctx, json_get(committed->json, "tree"), ""),
                            .parent = run->work.base,
                            .message = commit_message(ctx, run, state),
                            .author_name = name && *name ? name : "Nightmill",
                            .author_email = email && *email ? email : "nightmill@localhost",
                            .time_s = finished->time_ns / 1000000000,
                            .ref = "refs/nightmill/delivered"};
    c.committer_name = c.author_name;
    c.committer_email = c.author_email;
    return repo_commit(ctx, run->work.git_dir, &c, ret, err);
}

static enum next deliver(struct run *run, const char *state, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (journal_last(run->journal, "delivered", 0, NULL))
        return NEXT_GO;
    const char *commit, *branch = branch_name(tmp, run), *words;
    enum rc rc = delivery_commit(tmp, run, state, &commit, err);
    if (rc == RC_OK)
        rc = repo_deliver(&run->work, &run->repo, commit, branch, err);
    if (rc != RC_OK) {
        struct err why = *err;
        return run_state(run, "paused", "delivery",
                         mem_printf(tmp, "the work is proven but could not be delivered: %s", why.sentence), err);
    }
    bool applied = false;
    words = mem_printf(tmp, "on branch %s", branch);
    if (json_bool(json_get(run->spec, "apply"), false) && strcmp(state, "done") == 0) {
        struct err why = {0};
        applied = repo_apply(&run->repo, run->work.base, commit, &why) == RC_OK;
        words = applied ? mem_printf(tmp, "applied to %s", run->repo.branch ? run->repo.branch : "HEAD")
                        : mem_printf(tmp, "on branch %s; not applied: %s", branch, why.sentence);
    }
    struct draft rec;
    draft_begin(&rec);
    jo_kz(&rec.o, "branch", branch);
    jo_kz(&rec.o, "commit", commit);
    jo_kb(&rec.o, "applied", applied);
    jo_kz(&rec.o, "words", words);
    return draft_end(run, &rec, "delivered", "system", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

/* A blocked before-done hook turns the iteration into one that is not finished: the next one gets its words. */
static enum next finish_blocked(mem *ctx, struct run *run, const char *said, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_kz(&rec.o, "outcome", "blocked");
    jo_kz(&rec.o, "words", "the before-done hook blocked");
    const char *feedback = mem_printf(ctx, "The before-done hook of the project blocked and says:\n%s", said);
    jo_kz(&rec.o, "feedback", feedback);
    jo_kz(&rec.o, "signature", failure_signature(ctx, str_of(feedback)));
    jo_kb(&rec.o, "changed", true);
    return draft_end(run, &rec, "iteration.finished", "system", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

/* An attempt of a trial is delivered when the board says that it won, and only then: that is journaled before anything
 * is delivered, and said to one attempt alone. */
static enum next finish_trial(struct run *run, const char *state, struct err *err)
{
    if (!json_is(json_get(run->welcome.task, "trial")))
        return NEXT_GO;
    for (size_t i = 0; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "input.taken") == 0 && json_eqz(json_get(e->json, "type"), "trial.decided") &&
            json_bool(json_path(e->json, "data.won"), false))
            return NEXT_GO;
    }
    if (strcmp(state, "done") != 0)
        return run_state(run, state, "no_check", "no check has judged it: it cannot win its trial", err);
    return run_state(run, "paused", "trial", "passed its checks; waits for the decision of its trial", err);
}

enum next run_finish(struct run *run, const char *state, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *blocked;
    bool passed;
    enum next next = run_hooks(tmp, run, "before-done", &blocked, err);
    if (next == NEXT_GO && blocked)
        return finish_blocked(tmp, run, blocked, err);
    if (next == NEXT_GO)
        next = finish_trial(run, state, err);
    if (next != NEXT_GO)
        return next;
    const char *candidate =
        json_z(tmp, json_get(journal_last(run->journal, "iteration.committed", 0, NULL)->json, "commit"), "");
    struct str diff = {0};
    if (repo_diff(tmp, run->work.git_dir, run->work.base, candidate, NULL, DIFF_MAX, &diff, err) != RC_OK)
        return NEXT_FAIL;
    next = run_gate(run, "commit", run->start, str_of(str_utf8_clean(tmp, diff)), &passed, err);
    if (next == NEXT_GO)
        next = deliver(run, state, err);
    if (next != NEXT_GO)
        return next;
    const char *where = json_z(tmp, json_get(journal_last(run->journal, "delivered", 0, NULL)->json, "words"), "");
    const char *said =
        json_z(tmp, json_path(journal_last(run->journal, "verdict", 0, NULL)->json, "verdict.words"), "");
    return run_state(run, state, strcmp(state, "done") == 0 ? "proven" : "no_check",
                     mem_printf(tmp, "%s; %s", said, where), err);
}

enum next run_undo(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct draft rec;
    const struct journal_entry *d = journal_last(run->journal, "delivered", 0, NULL);
    const char *words = NULL;
    struct err why = {0};
    enum rc rc = RC_NOT_FOUND;
    if (d)
        rc = repo_undo(tmp, &run->repo, run->place->task_id, json_z(tmp, json_get(d->json, "commit"), ""),
                       json_z(tmp, json_get(d->json, "branch"), ""), json_bool(json_get(d->json, "applied"), false),
                       &words, &why);
    else
        err_set(&why, RC_NOT_FOUND, "task %s delivered nothing that could be taken back", run->place->task_id);
    draft_begin(&rec);
    jo_kz(&rec.o, "words", rc == RC_OK ? words : why.sentence);
    if (rc != RC_OK)
        jo_kz(&rec.o, "hint", why.hint);
    return draft_end(run, &rec, rc == RC_OK ? "task.undone" : "undo.refused", "system", err) == RC_OK ? NEXT_REST
                                                                                                      : NEXT_FAIL;
}
