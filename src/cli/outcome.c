/* Outcomes of tasks. */
#include "cli/outcome.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/session.h"

static const struct state {
    const char *name, *shown;
    enum tone tone;
    int status; /* -1: at work */
} states[] = {
    {"queued", "queued", TONE_PLAIN, -1},
    {"working", "working", TONE_PLAIN, -1},
    {"checking", "checking", TONE_PLAIN, -1},
    {"needs_you", "needs you", TONE_CARE, EXIT_NEEDS_YOU},
    {"paused", "paused", TONE_CARE, EXIT_NEEDS_YOU},
    {"done", "done", TONE_GOOD, EXIT_DONE},
    {"unproven", "unproven", TONE_CARE, EXIT_NOT_GREEN},
    {"stopped", "stopped", TONE_CARE, EXIT_INTERRUPTED},
    {"failed", "failed", TONE_BAD, EXIT_FAILED},
};

static const struct state *state_of(struct json task)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (json_eqz(json_get(task, "state"), states[i].name))
            return &states[i];
    return &states[0];
}

static bool reason_is_limit(struct json task)
{
    CLEANUP_MEM mem *tmp = mem_root();
    return str_starts(str_of(json_z(tmp, json_get(task, "reason"), "")), STR("limit_"));
}

int outcome_status(struct json task)
{
    const struct state *s = state_of(task);
    return !strcmp(s->name, "paused") && reason_is_limit(task) ? EXIT_LIMIT : s->status;
}

bool outcome_rests(struct json task)
{
    return state_of(task)->status >= 0;
}

const char *state_shown(mem *ctx, struct json task, const struct screen *screen)
{
    return screen_paint(ctx, screen, state_of(task)->tone, state_of(task)->shown);
}

/* What to type next. %I: the task, %A: its waiting approval, %B: its branch, %M: its model, %N: more iterations. "*" is
 * any reason; all rows that fit are shown. */
static const struct step {
    const char *state, *reason, *line, *words;
} steps[] = {
    {"done", "*", "nightmill diff %I", "look at the change"},
    {"done", "applied", "nightmill undo %I", "take it back"},
    {"done", "branch", "git merge %B", "take it over"},
    {"done", "branch", "nightmill undo %I", "throw the branch away"},
    {"unproven", "*", "nightmill diff %I", "look at the change; no check has judged it"},
    {"unproven", "branch", "git merge %B", "take it over"},
    {"needs_you", "approval", "nightmill approve %A", "go on"},
    {"needs_you", "approval", "nightmill deny %A \"why\"", "stop here"},
    {"needs_you", "stuck_same_failure", "nightmill hint %I \"...\"", "give it a hint"},
    {"needs_you", "stuck_same_failure", "nightmill resume %I --model NAME", "use a stronger model"},
    {"needs_you", "stuck_same_failure", "nightmill stop %I", "stop"},
    {"needs_you", "stuck_no_change", "nightmill hint %I \"...\"", "give it a hint"},
    {"needs_you", "stuck_no_change", "nightmill resume %I --model NAME", "use a stronger model"},
    {"needs_you", "stuck_no_change", "nightmill stop %I", "stop"},
    {"needs_you", "protected_changed", "nightmill diff %I", "look at the change"},
    {"needs_you", "protected_changed", "nightmill resume %I --allow-check-changes 'GLOB'", "allow it"},
    {"needs_you", "protected_changed", "nightmill hint %I \"...\"", "ask for another way"},
    {"needs_you", "protected_changed", "nightmill stop %I", "stop"},
    {"needs_you", "agent_blocked", "nightmill hint %I \"...\"", "answer it"},
    {"needs_you", "budget", "nightmill budget ls", "raise the one that is used up"},
    {"needs_you", "budget", "nightmill resume %I", "go on then"},
    {"needs_you", "price", "nightmill price set %M --input 3.00 --output 15.00", "set its price"},
    {"needs_you", "price", "nightmill resume %I", "go on then"},
    {"needs_you", "key", "nightmill resume %I", "go on, with a valid key in the environment"},
    {"needs_you", "key_missing", "nightmill resume %I", "go on, with the key in the environment"},
    {"needs_you", "model", "nightmill resume %I --model NAME", "use another model"},
    {"needs_you", "agent_missing", "nightmill resume %I", "go on when the agent is installed"},
    {"needs_you", "agent", "nightmill config show agent.*", "see how the agent is set up"},
    {"needs_you", "agent", "nightmill resume %I", "go on then"},
    {"needs_you", "setup", "nightmill resume %I", "try the setup commands again"},
    {"needs_you", "setup", "nightmill log %I", "read what they printed"},
    {"needs_you", "*", "nightmill log %I", "read what happened"},
    {"paused", "limit_iterations", "nightmill resume %I --iterations %N", "go on with a higher limit"},
    {"paused", "limit_money", "nightmill resume %I --budget AMOUNT", "go on with a higher limit"},
    {"paused", "limit_budget", "nightmill budget ls", "raise the one that is used up: the task goes on by itself"},
    {"paused", "limit_tokens", "nightmill resume %I --tokens N", "go on with a higher limit"},
    {"paused", "limit_time", "nightmill resume %I --time 2h", "go on with a higher limit"},
    {"paused", "limit_disk", "nightmill resume %I", "go on, once its folder or the disk has room again"},
    {"paused", "trial", "nightmill diff %I", "look at its work; it is delivered if it wins its trial"},
    {"stopped", "trial", "nightmill diff %I", "look at its work"},
    {"stopped", "trial", "nightmill diff %I | git apply", "take it over all the same"},
    {"paused", "user", "nightmill resume %I", "go on"},
    {"paused", "approval_expired", "nightmill resume %I", "ask again"},
    {"paused", "delivery", "nightmill resume %I", "try to deliver again"},
    {"paused", "*", "nightmill log %I", "read what happened"},
    {"failed", "*", "nightmill log %I", "read what happened"},
    {"failed", "*", "nightmill resume %I", "try again"},
};

static const char *waiting_approval(mem *ctx, struct json task)
{
    for (struct json_iter it = json_iter(json_get(task, "approvals")); json_next(&it);)
        if (json_eqz(json_get(it.value, "outcome"), "waiting"))
            return shown_line(ctx, it.value, "id", 64);
    return shown_line(ctx, task, "id", 64);
}

static const char *step_line(mem *ctx, struct json task, const char *line)
{
    struct buf b;
    buf_init(&b, ctx, 65536);
    for (; *line; line++) {
        if (*line != '%' || !line[1]) {
            buf_char(&b, *line);
            continue;
        }
        switch (*++line) {
        case 'I':
            buf_z(&b, shown_line(ctx, task, "id", 64));
            break;
        case 'A':
            buf_z(&b, waiting_approval(ctx, task));
            break;
        case 'B':
            buf_z(&b, shown_line(ctx, task, "branch", 200));
            break;
        case 'M':
            buf_z(&b, text_shell(ctx, str_of(shown_line(ctx, json_get(task, "model"), "name", 200))));
            break;
        case 'N':
            buf_printf(&b, "%lld", (long long)json_int(json_get(task, "iteration_limit"), 10) * 2);
            break;
        }
    }
    return buf_take(&b, ctx);
}

static bool step_fits(const struct step *s, struct json task)
{
    bool applied = json_bool(json_get(task, "applied"), false), branch = json_is(json_get(task, "branch"));
    if (strcmp(s->state, state_of(task)->name))
        return false;
    if (!strcmp(s->reason, "*"))
        return true;
    if (!strcmp(s->reason, "applied"))
        return applied;
    if (!strcmp(s->reason, "branch"))
        return branch && !applied;
    return json_eqz(json_get(task, "reason"), s->reason);
}

static void steps_add(mem *ctx, struct json task, const struct screen *screen, struct buf *out)
{
    size_t width = 0, n = 0;
    const char *lines[sizeof steps / sizeof *steps];
    const char *words[sizeof steps / sizeof *steps];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!step_fits(&steps[i], task))
            continue;
        lines[n] = step_line(ctx, task, steps[i].line);
        words[n] = steps[i].words;
        if (strlen(lines[n]) > width)
            width = strlen(lines[n]);
        n++;
    }
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "  %s   %s\n", mem_printf(ctx, "%-*s", (int)(width < 70 ? width : 70), lines[i]),
                   screen_paint(ctx, screen, TONE_FAINT, words[i]));
}

void outcome_summary(struct json task, struct json ledger, const struct screen *screen, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *words = shown(tmp, task, "words"), *branch = shown_line(tmp, task, "branch", 200);
    const char *limit = json_z(tmp, json_path(task, "limits.money"), NULL);
    long long iteration = (long long)json_int(json_get(task, "iteration"), 0);
    buf_printf(out, "%s  %s  %s\n", state_shown(tmp, task, screen), shown_line(tmp, task, "id", 64),
               screen_paint(tmp, screen, TONE_STRONG, shown_line(tmp, task, "title", 120)));
    if (*words)
        buf_printf(out, "  %s\n", words);
    if (*branch)
        buf_printf(out, "  branch %s, commit %.12s%s\n", branch, shown_line(tmp, task, "commit", 64),
                   json_bool(json_get(task, "applied"), false) ? ", applied to your branch" : "");
    buf_printf(out, "  %lld of %lld iterations, %s of work\n", iteration,
               (long long)json_int(json_get(task, "iteration_limit"), 0),
               text_duration(tmp, json_int(json_get(task, "worked_s"), 0)));
    if (json_is(json_get(task, "spent")))
        buf_printf(out, "  tokens %s\n", bill_line(tmp, json_get(task, "spent"), limit));
    bill_table(ledger, out);
    steps_add(tmp, task, screen, out);
}
