/* The agent's context, built anew from git and the journal at every iteration: task, plan, notes, what changed since
 * the base, how the last check went, what people said. */
#include "base/text.h"
#include "flow/foreign.h"
#include "net/client.h"

#define FILES_SHOWN 60
#define DIFF_MAX    (24u << 10)
#define NOTES_MAX   (16u << 10)

static void add_inputs(mem *ctx, struct run *run, struct buf *b)
{
    for (size_t i = 0; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "input.taken") == 0 && json_eqz(json_get(e->json, "type"), "hint.added"))
            buf_printf(b, "\nThe person you work for says:\n%s\n", json_z(ctx, json_path(e->json, "data.text"), ""));
    }
}

static void add_notes(mem *ctx, struct run *run, struct buf *b)
{
    struct buf notes;
    buf_init(&notes, ctx, NOTES_MAX * 4);
    for (size_t i = 0; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "agent.note") == 0)
            buf_printf(&notes, "- %s\n", json_z(ctx, json_get(e->json, "text"), ""));
        else if (strcmp(e->type, "iteration.finished") == 0)
            buf_printf(&notes, "- iteration %lld: %s\n", (long long)json_int(json_get(e->json, "iteration"), 0),
                       json_z(ctx, json_get(e->json, "words"), ""));
    }
    if (notes.n)
        buf_printf(b, "\n## Notes so far\n%s", text_middle(ctx, buf_view(&notes), NOTES_MAX));
}

static void add_changes(mem *ctx, struct run *run, struct buf *b)
{
    const struct journal_entry *last = journal_last(run->journal, "iteration.committed", 0, NULL);
    if (!last)
        return;
    const char *commit = json_z(ctx, json_get(last->json, "commit"), NULL);
    struct repo_change *changes = NULL;
    size_t n = 0;
    struct str diff;
    if (!commit || repo_changes(ctx, run->work.git_dir, run->work.base, commit, &changes, &n, NULL) != RC_OK)
        return;
    buf_printf(b, "\n## What you changed since the base (%zu files)\n", n);
    for (size_t i = 0; i < n && i < FILES_SHOWN; i++)
        buf_printf(b, "%c %s (+%lld -%lld)\n", changes[i].status, text_terminal_line(ctx, str_of(changes[i].path), 300),
                   (long long)changes[i].added, (long long)changes[i].removed);
    if (n > FILES_SHOWN)
        buf_printf(b, "... and %zu more files\n", n - FILES_SHOWN);
    if (n && repo_diff(ctx, run->work.git_dir, run->work.base, commit, NULL, DIFF_MAX, &diff, NULL) == RC_OK)
        buf_printf(b, "\n```diff\n%s\n```\n", str_utf8_clean(ctx, diff));
}

static void add_last_result(mem *ctx, struct run *run, struct buf *b)
{
    const struct journal_entry *done = journal_last(run->journal, "iteration.finished", 0, NULL);
    if (!done)
        return;
    const char *feedback = json_z(ctx, json_get(done->json, "feedback"), "");
    if (*feedback)
        buf_printf(b, "\n## Result of iteration %lld\n%s\n", (long long)json_int(json_get(done->json, "iteration"), 0),
                   feedback);
}

/* ---- what a foreign agent is told besides: it has no other instructions of ours ---- */

/* A document of the daemon's; JSON_NONE when there is none. */
static struct json ask_daemon(mem *ctx, struct run *run, const char *path)
{
    struct client_answer answer = {0};
    struct json root = {0};
    struct client_spec spec = {.unix_socket = run->place->api_socket,
                               .method = "GET",
                               .url = mem_printf(ctx, "http://localhost%s", path),
                               .max_body = 4u << 20,
                               .timeout_ms = 10000,
                               .cancel_fd = -1};
    if (client_call(ctx, &spec, &answer, NULL) != RC_OK || answer.status != 200 ||
        json_parse(ctx, answer.body, &root, NULL) != RC_OK)
        return (struct json){0};
    return root;
}

/* A line for one limit: how much of it is left. */
static void add_left(mem *ctx, struct buf *b, const char *what, const char *limit, const char *used,
                     const char *currency)
{
    pico most = 0, spent = 0;
    if (money_parse(str_of(limit), &most, NULL) != RC_OK || money_parse(str_of(used), &spent, NULL) != RC_OK)
        return;
    pico left = most > spent ? most - spent : 0;
    buf_printf(b, "- %s: %s %s of %s %s are left\n", what, money_exact(ctx, left, 2), currency, limit, currency);
}

static void add_task_allowance(mem *ctx, struct run *run, struct buf *b)
{
    struct json task = ask_daemon(ctx, run, mem_printf(ctx, "/api/v1/tasks/%s", run->place->task_id));
    struct json limits = json_get(task, "limits"), spent = json_get(task, "spent");
    const char *money = json_z(ctx, json_get(limits, "money"), NULL);
    if (money)
        add_left(ctx, b, "money for this task", money, json_z(ctx, json_get(spent, "total"), "0"),
                 json_z(ctx, json_get(limits, "currency"), ""));
    int64_t tokens = json_int(json_get(limits, "tokens"), 0);
    int64_t used = json_int(json_get(spent, "input"), 0) + json_int(json_get(spent, "cache_read"), 0) +
                   json_int(json_get(spent, "cache_write"), 0) + json_int(json_get(spent, "output"), 0);
    if (tokens > 0)
        buf_printf(b, "- tokens for this task: %lld of %lld are left\n", (long long)(tokens > used ? tokens - used : 0),
                   (long long)tokens);
    if (run->time_limit_s > 0) {
        int64_t left = run->time_limit_s - run_worked_ns(run) / 1000000000;
        buf_printf(b, "- time for this task: %s are left\n", text_duration(ctx, left > 0 ? left : 0));
    }
}

/* Budgets that this run shares with others and that are spoken for already in part. */
static void add_shared_allowance(mem *ctx, struct run *run, struct buf *b)
{
    const char *agent = json_z(ctx, json_path(run->spec, "agent.name"), "");
    const char *repo = json_z(ctx, json_get(run->spec, "repo"), "");
    int shown = 0;
    for (struct json_iter it = json_iter(json_get(ask_daemon(ctx, run, "/api/v1/budgets"), "budgets"));
         shown < 8 && json_next(&it);) {
        const char *scope = json_z(ctx, json_get(it.value, "scope"), "");
        const char *of = json_z(ctx, json_get(it.value, "scope_id"), "");
        const char *money = json_z(ctx, json_get(it.value, "money"), NULL);
        bool ours = (strcmp(scope, "project") == 0 && strcmp(of, repo) == 0) ||
                    (strcmp(scope, "agent") == 0 && strcmp(of, agent) == 0) ||
                    (strcmp(scope, "model") == 0 && strcmp(of, run_model(run)) == 0);
        if (!ours || !money)
            continue;
        shown++;
        add_left(ctx, b,
                 mem_printf(ctx, "budget that every run of this %s shares (%s)", scope,
                            json_z(ctx, json_get(it.value, "window"), "")),
                 money, json_z(ctx, json_get(it.value, "spent"), "0"), json_z(ctx, json_get(it.value, "currency"), ""));
    }
}

static void add_allowance(mem *ctx, struct run *run, struct buf *b)
{
    buf_printf(
        b,
        "\n## How you work here\n"
        "You work alone in a sandbox, in the folder of the project; nobody answers questions. The files that you "
        "leave there are the result: they are judged by checks that you cannot change, what you say about them is "
        "not. There is no network but the model. Do not commit; do not leave programs running.\n"
        "\n## What you may still use\n- iterations: this is %lld of %lld, with at most %lld model requests\n",
        (long long)run->iteration, (long long)run->iteration_limit,
        (long long)setting_int(run->settings, "limits.turns"));
    add_task_allowance(ctx, run, b);
    add_shared_allowance(ctx, run, b);
    buf_printf(b,
               "Model requests cost money, reading files and running commands here does not. Free alternatives first: "
               "look, search and test with the programs that are here before you ask a model, read only what you need, "
               "and stop when the work is done.\n");
    const char *instructions = json_z(ctx, json_get(run->spec, "instructions"), NULL);
    if (instructions && *instructions)
        buf_printf(b, "\n## What the project asks of you\n%s\n", instructions);
}

struct str context_prompt(mem *ctx, struct run *run)
{
    struct buf b;
    buf_init(&b, ctx, 8u << 20);
    buf_printf(&b, "## Task\n%s\n", json_z(ctx, json_get(run->spec, "text"), ""));
    bool any = false;
    for (struct json_iter it = json_iter(json_get(run->spec, "checks")); json_next(&it);) {
        buf_printf(&b, "%s- %s: `%s`%s\n", any ? "" : "\n## Checks that decide, run where you cannot reach them\n",
                   json_z(ctx, json_get(it.value, "name"), ""), json_z(ctx, json_get(it.value, "command"), ""),
                   json_bool(json_get(it.value, "required"), true) ? "" : " (optional)");
        any = true;
    }
    const struct journal_entry *plan = journal_last(run->journal, "plan.made", 0, NULL);
    if (plan)
        buf_printf(&b, "\n## The plan that was agreed\n%s\n", json_z(ctx, json_get(plan->json, "text"), ""));
    add_notes(ctx, run, &b);
    add_changes(ctx, run, &b);
    add_last_result(ctx, run, &b);
    add_inputs(ctx, run, &b);
    if (foreign_backend(run))
        add_allowance(ctx, run, &b);
    return buf_view(&b);
}
