/* The agent's context, built anew from git and the journal at every iteration: task, plan, notes, what changed since
 * the base, how the last check went, what people said. */
#include "base/text.h"
#include "flow/run.h"

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
    return buf_view(&b);
}
