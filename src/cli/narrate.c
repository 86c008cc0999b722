/* Events in words. */
#include "cli/narrate.h"
#include "base/text.h"
#include "cli/session.h"
#include "money/money.h"
#include <time.h>

enum { LINE_MOST = 200, SUBJECT_LINES = 60, TAIL_LINES = 12 };

struct narration {
    mem *ctx;
    const struct screen *screen;
    struct buf *out;
    struct json data;
    const char *stamp; /* before each line of a log */
};

/* --- pieces ------------------------------------------------------------------------------------------------------ */

static const char *line(struct narration *n, const char *member)
{
    return shown_line(n->ctx, n->data, member, LINE_MOST);
}

static long long number(struct narration *n, const char *member)
{
    return (long long)json_int(json_get(n->data, member), 0);
}

/* "  label      words": the label tells lines of one kind apart. */
static void say(struct narration *n, enum tone tone, const char *label, const char *words)
{
    mem *ctx = n->ctx;
    const char *padded = mem_printf(ctx, "%-9s", label);
    buf_printf(n->out, "%s  %s %s\n", n->stamp, screen_paint(ctx, n->screen, TONE_FAINT, padded),
               screen_paint(ctx, n->screen, tone, words));
}

static void head(struct narration *n, enum tone tone, const char *words)
{
    buf_printf(n->out, "%s%s\n", n->stamp, screen_paint(n->ctx, n->screen, tone, words));
}

/* A text of several lines, indented, at most `most` of them from the front or the back. */
static void block(struct narration *n, struct str text, size_t most, bool back)
{
    struct str rest = text, one;
    size_t lines = 0, at = 0;
    while (str_line(&rest, &one))
        lines++;
    size_t skip = back && lines > most ? lines - most : 0;
    if (skip)
        say(n, TONE_FAINT, "", mem_printf(n->ctx, "(%zu lines before)", skip));
    for (rest = text; str_line(&rest, &one) && at < skip + most; at++)
        if (at >= skip)
            say(n, TONE_PLAIN, "", text_terminal_line(n->ctx, one, LINE_MOST));
    if (!back && lines > most)
        say(n, TONE_FAINT, "", mem_printf(n->ctx, "(%zu lines more)", lines - most));
}

static const char *money(struct narration *n, const char *member)
{
    const char *text = json_z(n->ctx, json_get(n->data, member), NULL);
    const char *currency = json_z(n->ctx, json_get(n->data, "currency"), "USD");
    pico amount;
    if (!text || money_parse(str_of(text), &amount, NULL) != RC_OK)
        return NULL;
    return text_terminal_line(n->ctx, str_of(money_show(n->ctx, amount, currency)), 60);
}

/* First line of a text that may be long. */
static const char *first_line(struct narration *n, const char *member)
{
    struct str rest = str_trim(json_str(n->ctx, json_get(n->data, member))), one = rest;
    if (!str_line(&rest, &one))
        return "";
    const char *words = text_terminal_line(n->ctx, one, LINE_MOST);
    return str_trim(rest).n ? mem_printf(n->ctx, "%s ...", words) : words;
}

/* --- one function an event --------------------------------------------------------------------------------------- */

static void on_created(struct narration *n)
{
    head(n, TONE_STRONG, mem_printf(n->ctx, "Task created: %s", first_line(n, "text")));
}

static void on_state(struct narration *n)
{
    const char *state = line(n, "state"), *reason = line(n, "reason"), *words = line(n, "words");
    say(n, TONE_PLAIN, "state",
        mem_printf(n->ctx, "%s%s%s%s%s%s", state, *reason ? " (" : "", reason, *reason ? ")" : "", *words ? ": " : "",
                   words));
}

static void on_runner_started(struct narration *n)
{
    bool resumed = json_bool(json_get(n->data, "resumed"), false);
    say(n, TONE_FAINT, "runner",
        mem_printf(n->ctx, "process %lld %s", number(n, "pid"), resumed ? "goes on" : "begins"));
}

static void on_runner_ended(struct narration *n)
{
    say(n, TONE_FAINT, "runner", mem_printf(n->ctx, "ended %s", line(n, "words")));
}

static void on_iteration_started(struct narration *n)
{
    long long limit = number(n, "limit");
    const char *of = limit > 0 ? mem_printf(n->ctx, " of %lld", limit) : "";
    head(n, TONE_STRONG, mem_printf(n->ctx, "Iteration %lld%s", number(n, "iteration"), of));
}

static void on_agent_text(struct narration *n)
{
    const char *words = first_line(n, "text");
    if (*words)
        say(n, TONE_PLAIN, "agent", words);
}

static void on_note(struct narration *n)
{
    say(n, TONE_PLAIN, "note", first_line(n, "text"));
}

static void on_tool_finished(struct narration *n)
{
    struct json exit_code = json_get(n->data, "exit_code");
    const char *name = line(n, "name"), *summary = line(n, "summary"), *end = "";
    if (json_bool(json_get(n->data, "is_error"), false))
        end = " (refused)";
    if (json_type(exit_code) == JSON_NUMBER && json_int(exit_code, 0) != 0)
        end = mem_printf(n->ctx, " (exit %lld)", (long long)json_int(exit_code, 0));
    bool named = str_starts(str_of(summary), str_of(name));
    say(n, TONE_PLAIN, "tool",
        mem_printf(n->ctx, "%s%s%s%s", named ? "" : name, named || !*summary ? "" : " ", summary, end));
}

static void on_compacted(struct narration *n)
{
    say(n, TONE_FAINT, "context",
        mem_printf(n->ctx, "made shorter: %lld to %lld tokens", number(n, "before_tokens"), number(n, "after_tokens")));
}

static void on_agent_started(struct narration *n)
{
    const char *version = line(n, "version");
    say(n, TONE_FAINT, "agent",
        mem_printf(n->ctx, "%s%s%s begins%s", line(n, "agent"), *version ? " " : "", version,
                   json_bool(json_get(n->data, "resumed"), false) ? " where its session stood" : ""));
}

static void on_agent_trouble(struct narration *n)
{
    const char *words = first_line(n, "text");
    if (*words)
        say(n, TONE_CARE, "agent", words);
}

static void on_agent_interrupted(struct narration *n)
{
    say(n, TONE_FAINT, "agent", mem_printf(n->ctx, "interrupted: %s", line(n, "words")));
}

char *agent_end_shown(mem *ctx, struct json data)
{
    static const struct {
        const char *end, *words;
    } ends[] = {{"done", "came to its end"},
                {"no_change", "came to its end and changed nothing"},
                {"refused", "was refused its tools"},
                {"failed", "failed"},
                {"died", "died"},
                {"timed_out", "ran out of time"},
                {"turns", "used up its model requests"}};
    const char *end = shown_line(ctx, data, "end", 40), *why = shown_line(ctx, data, "words", 400);
    const char *words = end;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(ends[i].end, end) == 0)
            words = ends[i].words;
    bool good = strcmp(end, "done") == 0;
    return mem_printf(ctx, "%s %s%s%s", shown_line(ctx, data, "agent", 64), words, *why && !good ? ": " : "",
                      good ? "" : why);
}

/* A foreign agent's end is Nightmill's judgement; what it says itself stands behind it. */
static void on_foreign_finished(struct narration *n)
{
    const char *summary = first_line(n, "summary");
    say(n, json_eqz(json_get(n->data, "end"), "done") ? TONE_PLAIN : TONE_CARE, "agent",
        mem_printf(n->ctx, "%s%s%s", agent_end_shown(n->ctx, n->data), *summary ? "; it says: " : "", summary));
    if (number(n, "left") > 0)
        say(n, TONE_FAINT, "agent",
            mem_printf(n->ctx, "%lld process%s that it left running ended with it", number(n, "left"),
                       number(n, "left") == 1 ? "" : "es"));
}

static void on_agent_finished(struct narration *n)
{
    if (json_is(json_get(n->data, "agent"))) {
        on_foreign_finished(n);
        return;
    }
    const char *summary = first_line(n, "summary");
    say(n, TONE_PLAIN, "agent",
        mem_printf(n->ctx, "ends after %lld turns%s%s", number(n, "turns"), *summary ? "; it says: " : "", summary));
}

static void on_committed(struct narration *n)
{
    if (!json_bool(json_get(n->data, "changed"), true)) {
        say(n, TONE_CARE, "changes", "none");
        return;
    }
    long long files = number(n, "files");
    say(n, TONE_PLAIN, "changes",
        mem_printf(n->ctx, "%lld file%s, +%lld -%lld (%.12s)", files, files == 1 ? "" : "s", number(n, "added"),
                   number(n, "removed"), line(n, "commit")));
}

static void on_check_started(struct narration *n)
{
    say(n, TONE_FAINT, "check", mem_printf(n->ctx, "%s, %s", line(n, "check"), line(n, "kind")));
}

/* The run whose output explains the verdict: the first that did not end well among those that must. */
static struct json failed_run(struct json verdict)
{
    for (struct json_iter it = json_iter(json_get(verdict, "runs")); json_next(&it);) {
        bool judged =
            json_eqz(json_get(it.value, "kind"), "delivered") || json_eqz(json_get(it.value, "kind"), "sealed");
        if (judged &&
            (json_int(json_get(it.value, "exit_code"), 0) != 0 || json_bool(json_get(it.value, "timed_out"), false)))
            return it.value;
    }
    return (struct json){0};
}

static void on_verdict(struct narration *n)
{
    struct json verdict = json_get(n->data, "verdict");
    if (!json_is(verdict))
        verdict = n->data;
    n->data = verdict;
    bool proven = json_eqz(json_get(verdict, "outcome"), "proven");
    say(n, proven ? TONE_GOOD : TONE_BAD, "verdict",
        mem_printf(n->ctx, "%s: %s", proven ? "proven" : line(n, "reason"), line(n, "words")));
    static const char *const more[] = {"proof_words", "canary_words"};
    for (size_t i = 0; i < 2; i++)
        if (*line(n, more[i]))
            say(n, TONE_PLAIN, "", line(n, more[i]));
    if (!proven)
        block(n, str_trim(json_str(n->ctx, json_get(failed_run(verdict), "tail"))), TAIL_LINES, true);
}

static void on_iteration_finished(struct narration *n)
{
    say(n, TONE_FAINT, "iteration",
        mem_printf(n->ctx, "%lld ended: %s, %s", number(n, "iteration"), line(n, "outcome"), line(n, "words")));
}

static void on_usage(struct narration *n)
{
    const char *cost = money(n, "cost"), *total = money(n, "total");
    say(n, TONE_FAINT, "model",
        mem_printf(n->ctx, "%s: in %lld, cached %lld, out %lld; %s%s%s%s", line(n, "model"),
                   number(n, "input") + number(n, "cache_read") + number(n, "cache_write"), number(n, "cache_read"),
                   number(n, "output"), cost ? cost : "price unknown", total ? " (" : "", total ? total : "",
                   total ? " in all)" : ""));
}

static void on_kept(struct narration *n)
{
    const char *held = money(n, "held");
    say(n, TONE_CARE, "money", mem_printf(n->ctx, "%s%s%s", line(n, "words"), held ? ": " : "", held ? held : ""));
}

static void on_backoff(struct narration *n)
{
    say(n, TONE_CARE, "waits",
        mem_printf(n->ctx, "%s: %s", text_duration(n->ctx, number(n, "seconds")), line(n, "words")));
}

static void on_hook(struct narration *n)
{
    bool good = number(n, "exit_code") == 0;
    say(n, good ? TONE_PLAIN : TONE_CARE, "hook",
        mem_printf(n->ctx, "%s: %s: %s", line(n, "when"), line(n, "command"), line(n, "words")));
    if (!good)
        block(n, str_trim(json_str(n->ctx, json_get(n->data, "output"))), TAIL_LINES, true);
}

static void on_setup(struct narration *n)
{
    bool good = number(n, "exit_code") == 0;
    say(n, good ? TONE_PLAIN : TONE_CARE, "setup",
        mem_printf(n->ctx, "%s: exit %lld", line(n, "command"), number(n, "exit_code")));
    if (!good)
        block(n, str_trim(json_str(n->ctx, json_get(n->data, "output"))), TAIL_LINES, true);
}

static void on_setup_started(struct narration *n)
{
    say(n, TONE_PLAIN, "setup", line(n, "command"));
}

static void on_setup_ready(struct narration *n)
{
    say(n, TONE_PLAIN, "setup",
        mem_printf(n->ctx, "%zu folders %s in %lld ms, read-only for the agent and the checks",
                   json_len(json_get(n->data, "paths")), json_bool(json_get(n->data, "made"), false) ? "made" : "found",
                   number(n, "ms")));
    struct str notes = str_trim(json_str(n->ctx, json_get(n->data, "notes")));
    if (notes.n)
        block(n, notes, TAIL_LINES, true);
}

static void on_gate_waiting(struct narration *n)
{
    bool agent = json_eqz(json_get(n->data, "gate"), "agent");
    head(n, TONE_CARE,
         mem_printf(n->ctx, "Approval %s: the %s%s", line(n, "approval"), line(n, "gate"), agent ? " asks" : ""));
    block(n, json_str(n->ctx, json_get(n->data, "subject")), SUBJECT_LINES, false);
}

static void on_gate_answered(struct narration *n)
{
    const char *answer = line(n, "answer");
    say(n, TONE_PLAIN, "approval",
        mem_printf(n->ctx, "%s: %s%s%s", line(n, "gate"), line(n, "outcome"), *answer ? ": " : "", answer));
}

static void on_delivered(struct narration *n)
{
    say(n, TONE_GOOD, "delivered", line(n, "words"));
}

static void on_undone(struct narration *n)
{
    say(n, TONE_PLAIN, "undone", line(n, "words"));
}

static void on_undo_refused(struct narration *n)
{
    say(n, TONE_CARE, "undo", mem_printf(n->ctx, "refused: %s", line(n, "words")));
}

static void on_hint(struct narration *n)
{
    say(n, TONE_PLAIN, "hint", first_line(n, "text"));
}

static void on_control(struct narration *n)
{
    say(n, TONE_PLAIN, "order", line(n, "verb"));
}

static void on_resumed(struct narration *n)
{
    say(n, TONE_PLAIN, "resumed", mem_printf(n->ctx, "limit %lld iterations", number(n, "iterations")));
}

static void on_trial(struct narration *n)
{
    say(n, json_bool(json_get(n->data, "won"), false) ? TONE_GOOD : TONE_PLAIN, "trial", line(n, "words"));
}

static void on_share(struct narration *n)
{
    const char *all = money(n, "money");
    say(n, TONE_PLAIN, "limit", mem_printf(n->ctx, "%s%s%s", line(n, "words"), all ? ": now " : "", all ? all : ""));
}

static const struct {
    const char *type;
    void (*tell)(struct narration *n);
    bool in_run; /* said while a run is watched, not only in the log */
} tellers[] = {
    {"task.created", on_created, false},
    {"task.state", on_state, false},
    {"task.resumed", on_resumed, true},
    {"runner.started", on_runner_started, false},
    {"runner.ended", on_runner_ended, false},
    {"iteration.started", on_iteration_started, true},
    {"agent.text", on_agent_text, true},
    {"agent.note", on_note, true},
    {"tool.finished", on_tool_finished, true},
    {"context.compacted", on_compacted, false},
    {"agent.started", on_agent_started, true},
    {"agent.warning", on_agent_trouble, true},
    {"agent.error", on_agent_trouble, true},
    {"agent.interrupted", on_agent_interrupted, true},
    {"agent.finished", on_agent_finished, true},
    {"iteration.committed", on_committed, true},
    {"check.started", on_check_started, true},
    {"verdict", on_verdict, true},
    {"iteration.finished", on_iteration_finished, false},
    {"model.usage", on_usage, false},
    {"model.kept", on_kept, true},
    {"backoff", on_backoff, true},
    {"hook.finished", on_hook, true},
    {"setup.started", on_setup_started, true},
    {"setup.finished", on_setup, true},
    {"setup.ready", on_setup_ready, true},
    {"gate.waiting", on_gate_waiting, true},
    {"gate.answered", on_gate_answered, true},
    {"trial.decided", on_trial, true},
    {"trial.share", on_share, true},
    {"delivered", on_delivered, true},
    {"task.undone", on_undone, true},
    {"undo.refused", on_undo_refused, true},
    {"hint.added", on_hint, true},
    {"control", on_control, true},
};

/* --- times ------------------------------------------------------------------------------------------------------- */

static bool digits_read(struct str s, size_t at, size_t n, int *ret)
{
    int64_t v;
    if (at + n > s.n || !str_int(str_sub(s, at, n), 0, 9999, &v))
        return false;
    *ret = (int)v;
    return true;
}

int64_t time_read_ms(struct str s)
{
    struct tm tm = {0};
    int ms = 0;
    if (!digits_read(s, 0, 4, &tm.tm_year) || !digits_read(s, 5, 2, &tm.tm_mon) || !digits_read(s, 8, 2, &tm.tm_mday) ||
        !digits_read(s, 11, 2, &tm.tm_hour) || !digits_read(s, 14, 2, &tm.tm_min) ||
        !digits_read(s, 17, 2, &tm.tm_sec) || !str_ends(s, STR("Z")))
        return -1;
    if (s.n > 20 && s.p[19] == '.' && !digits_read(s, 20, 3, &ms))
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000 + ms;
}

char *time_shown(mem *ctx, struct str rfc3339, bool with_date)
{
    int64_t ms = time_read_ms(rfc3339);
    struct tm tm;
    char words[64];
    time_t t = (time_t)(ms / 1000);
    if (ms < 0 || !localtime_r(&t, &tm) ||
        !strftime(words, sizeof words, with_date ? "%Y-%m-%d %H:%M" : "%H:%M:%S", &tm))
        return mem_str(ctx, "");
    return mem_str(ctx, words);
}

void narrate_event(struct json event, enum narrate_detail detail, const struct screen *screen, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct narration n = {.ctx = tmp, .screen = screen, .out = out, .data = json_get(event, "data"), .stamp = ""};
    if (detail == NARRATE_LOG) {
        const char *time = time_shown(tmp, json_str(tmp, json_get(event, "time")), false);
        n.stamp = mem_printf(tmp, "%s ", screen_paint(tmp, screen, TONE_FAINT, time));
    }
    for (size_t i = 0; i < sizeof tellers / sizeof *tellers; i++) {
        if (json_eqz(json_get(event, "type"), tellers[i].type) && (detail == NARRATE_LOG || tellers[i].in_run)) {
            tellers[i].tell(&n);
            return;
        }
    }
}
