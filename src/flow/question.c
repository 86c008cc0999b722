/* What an agent of the Agent Client Protocol asks a person: an approval of the gate "agent".
 *
 * Other gates wait without a process; here the agent itself waits, in its sandbox, so the runner waits with it. No
 * clock of a limit runs meanwhile. Each question is journaled before it is asked, and its answer before the agent hears
 * it: an answer is used once. When the runner ends with a question open, the agent ends too; the one that is started
 * with the answer begins the agent anew, and an equal question in the same iteration is answered by it. No answer in
 * time is a refusal. */
#include "base/clock.h"
#include "base/text.h"
#include "flow/foreign.h"
#include <poll.h>

enum { SUBJECT_MAX = 64 << 10, TITLE_MAX = 200 };

/* ---- what is asked, in words ---- */

static void lines_add(struct buf *b, const char *mark, struct str text)
{
    struct str line;
    while (str_line(&text, &line))
        buf_printf(b, "%s%.*s\n", mark, STR_FMT(line));
}

/* A change of a file as the agent shows it: the old text and the new one. */
static void change_add(struct buf *b, struct json change)
{
    CLEANUP_MEM mem *tmp = mem_root();
    buf_printf(b, "\n%s\n", json_z(tmp, json_get(change, "path"), ""));
    lines_add(b, "-", json_str(tmp, json_get(change, "oldText")));
    lines_add(b, "+", json_str(tmp, json_get(change, "newText")));
}

static struct str subject_of(mem *ctx, const struct acp_question *q)
{
    struct buf b;
    struct json call;
    buf_init(&b, ctx, SIZE_MAX);
    buf_printf(&b, "%s\n", q->title ? q->title : "");
    if (q->kind)
        buf_printf(&b, "kind: %s\n", q->kind);
    if (json_parse(ctx, q->details, &call, NULL) == RC_OK) {
        for (struct json_iter it = json_iter(json_get(call, "rawInput")); json_next(&it);) {
            struct str text = json_str(ctx, it.value), key = json_iter_key(ctx, &it);
            buf_printf(&b, "%.*s: %.*s\n", STR_FMT(key), STR_FMT(text.p ? text : json_raw(it.value)));
        }
        for (struct json_iter it = json_iter(json_get(call, "content")); json_next(&it);)
            if (json_eqz(json_get(it.value, "type"), "diff"))
                change_add(&b, it.value);
    }
    struct str text = str_of(str_utf8_clean(ctx, buf_view(&b)));
    if (text.n <= SUBJECT_MAX)
        return text;
    size_t cut = str_utf8_cut(text, SUBJECT_MAX - 64);
    return str_of(mem_printf(ctx, "%.*s\n(%zu bytes more)\n", (int)cut, text.p, text.n - cut));
}

/* ---- the journal ---- */

static bool answer_used(const struct run *run, int64_t origin)
{
    for (size_t i = run->start; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "agent.answered") == 0 && json_int(json_get(e->json, "sequence"), 0) == origin)
            return true;
    }
    return false;
}

/* An equal question of this iteration whose answer nobody has heard. */
static const struct journal_entry *asked_before(const struct run *run, struct str subject)
{
    for (size_t i = run->start; i < journal_count(run->journal); i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "gate.waiting") == 0 && json_eqz(json_get(e->json, "gate"), "agent") &&
            str_eq(json_str(tmp, json_get(e->json, "subject")), subject) && !answer_used(run, e->origin))
            return e;
    }
    return NULL;
}

static enum rc question_record(struct run *run, struct str subject, const struct journal_entry **ret, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_kz(&rec.o, "gate", "agent");
    jo_ki(&rec.o, "iteration", run->iteration);
    jo_ks(&rec.o, "subject", subject);
    jo_ki(&rec.o, "expires_s", setting_int(run->settings, "approval.expires"));
    enum rc rc = draft_end(run, &rec, "gate.waiting", "agent", err);
    *ret = rc == RC_OK ? journal_at(run->journal, journal_count(run->journal) - 1) : NULL;
    return rc;
}

static enum rc answer_record(struct run *run, int64_t origin, const char *outcome, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "sequence", origin);
    jo_kz(&rec.o, "outcome", outcome);
    return draft_end(run, &rec, "agent.answered", "system", err);
}

/* ---- waiting ---- */

/* RC_CANCELLED: an order came. */
static enum rc answer_wait(struct run *run, int64_t origin, struct json *ret, struct err *err)
{
    for (;;) {
        if (run_take_inputs(run, err) != RC_OK)
            return err->rc;
        *ret = run_gate_answer(run, origin);
        if (json_is(*ret))
            return RC_OK;
        struct pollfd fds[] = {{.fd = link_order_fd(run->link), .events = POLLIN},
                               {.fd = link_input_fd(run->link), .events = POLLIN}};
        (void)poll(fds, 2, -1);
        if (fds[0].revents)
            return err_set(err, RC_CANCELLED, "an order came before the answer");
    }
}

/* Clocks stand still from here until clocks_go. */
static int64_t clocks_stop(struct run *run)
{
    link_set_deadline(run->link, 0);
    return clock_mono_ns();
}

static void clocks_go(struct run *run, int64_t stopped_ns)
{
    int64_t waited = clock_mono_ns() - stopped_ns;
    run->started_mono_ns += waited;
    run->waited_ns += waited;
    if (run->time_limit_s > 0)
        link_set_deadline(run->link, run->started_mono_ns + run->time_limit_s * 1000000000 - run->worked_ns);
}

static enum rc person_ask(struct run *run, const struct journal_entry *asked, const char *title, struct json *ret,
                          struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (run_state(run, "needs_you", "approval", mem_printf(tmp, "the agent asks: %s", title), err) == NEXT_FAIL)
        return err->rc;
    int64_t stopped_ns = clocks_stop(run);
    enum rc rc = answer_wait(run, asked->origin, ret, err);
    clocks_go(run, stopped_ns);
    if (rc == RC_OK && run_state(run, "working", "", "goes on with the answer", err) == NEXT_FAIL)
        return err->rc;
    return rc;
}

enum rc question_put(struct run *run, const struct acp_question *q, bool *ret_allowed, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str subject = subject_of(tmp, q);
    const char *title = text_terminal_line(tmp, str_of(q->title ? q->title : ""), TITLE_MAX);
    const struct journal_entry *asked = asked_before(run, subject);
    struct json answer = {0};
    enum rc rc = asked ? RC_OK : question_record(run, subject, &asked, err);
    *ret_allowed = false;
    if (rc == RC_OK)
        answer = run_gate_answer(run, asked->origin);
    if (rc == RC_OK && !json_is(answer))
        rc = person_ask(run, asked, title, &answer, err);
    if (rc != RC_OK)
        return rc;
    *ret_allowed = json_eqz(json_get(answer, "outcome"), "approved");
    return answer_record(run, asked->origin, json_z(tmp, json_get(answer, "outcome"), "refused"), err);
}
