/* Approval gates and the plan that the first of them shows. A gate waits as a row in the database, not as a process:
 * the runner leaves, and the one that is started with the answer goes on here. A refusal ends the task, an expiry
 * pauses it; waiting too long is never consent. */
#include "base/clock.h"
#include "flow/run.h"

#define SUBJECT_MAX (64u << 10)

struct json run_gate_answer(const struct run *run, int64_t origin)
{
    for (size_t i = 0; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        struct json data = json_get(e->json, "data");
        if (strcmp(e->type, "input.taken") == 0 && json_eqz(json_get(e->json, "type"), "gate.answered") &&
            json_int(json_get(data, "sequence"), 0) == origin)
            return data;
    }
    return (struct json){0};
}

static enum next gate_ask(struct run *run, const char *gate, struct str subject, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_kz(&rec.o, "gate", gate);
    jo_ks(&rec.o, "subject", str_sub(subject, 0, str_utf8_cut(subject, SUBJECT_MAX)));
    jo_ki(&rec.o, "expires_s", setting_int(run->settings, "approval.expires"));
    if (draft_end(run, &rec, "gate.waiting", "system", err) != RC_OK)
        return NEXT_FAIL;
    CLEANUP_MEM mem *tmp = mem_root();
    return run_state(run, "needs_you", "approval", mem_printf(tmp, "the %s waits for your approval", gate), err);
}

enum next run_gate(struct run *run, const char *gate, size_t since, struct str subject, bool *ret_passed,
                   struct err *err)
{
    *ret_passed = false;
    bool wanted = false;
    for (struct json_iter it = json_iter(json_get(run->spec, "approve")); json_next(&it);)
        wanted |= json_eqz(it.value, gate);
    if (!wanted) {
        *ret_passed = true;
        return NEXT_GO;
    }
    const struct journal_entry *asked = NULL;
    for (size_t i = since; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "gate.waiting") == 0 && json_eqz(json_get(e->json, "gate"), gate))
            asked = e;
    }
    if (!asked)
        return gate_ask(run, gate, subject, err);
    struct json answer = run_gate_answer(run, asked->origin);
    struct json outcome = json_get(answer, "outcome");
    CLEANUP_MEM mem *tmp = mem_root();
    if (json_eqz(outcome, "approved")) {
        *ret_passed = true;
        return NEXT_GO;
    }
    if (json_eqz(outcome, "refused")) {
        const char *said = json_z(tmp, json_get(answer, "answer"), "");
        return run_state(run, "stopped", "refused",
                         mem_printf(tmp, "the %s was refused%s%s", gate, *said ? ": " : "", said), err);
    }
    if (json_eqz(outcome, "expired")) /* resumed after an expiry: ask again */
        return gate_ask(run, gate, subject, err);
    return run_state(run, "needs_you", "approval", mem_printf(tmp, "the %s waits for your approval", gate), err);
}

static bool plan_bytes(void *arg, struct str bytes)
{
    return llm_parser_feed(arg, bytes.p, bytes.n, NULL) == RC_OK;
}

/* One request for the plan; the text in ctx. *ret_retry_s: how long the provider asks to wait, -1 unknown. */
static enum rc plan_request(mem *ctx, struct run *run, struct str body, char **ret_text, int64_t *ret_retry_s,
                            struct err *err)
{
    const struct llm_dialect *d = run_dialect(run);
    struct llm_parser *parser = llm_parser_new(ctx, d, NULL, NULL);
    const struct llm_answer *answer;
    struct str headers = {0}, refusal = {0};
    int status = 0;
    *ret_retry_s = -1;
    enum rc rc = run_ask(run, ctx, "plan", d, body, plan_bytes, parser, &status, &headers, &refusal, err);
    if (rc != RC_OK)
        return rc;
    if (status != 200) {
        struct llm_failure failure;
        llm_failure_read(status, headers, refusal, clock_wall_ns(), &failure);
        *ret_retry_s = failure.retry_after_s;
        *err = failure.err;
        return failure.retryable ? RC_UPSTREAM : failure.rc;
    }
    rc = llm_parser_end(parser, true, &answer, err);
    if (rc != RC_OK)
        return rc;
    if (!answer->complete || answer->failed)
        return err_set(err, RC_UPSTREAM, "the model's answer broke off: %s",
                       answer->error_message ? answer->error_message : "no end was seen");
    struct buf text;
    buf_init(&text, ctx, SUBJECT_MAX);
    for (struct llm_part *p = answer->message ? answer->message->first : NULL; p; p = p->next) {
        if (p->kind == LLM_TEXT)
            buf_str(&text, p->text);
    }
    if (!str_trim(buf_view(&text)).n)
        return err_set(err, RC_UPSTREAM, "the model gave no plan");
    *ret_text = str_utf8_clean(ctx, buf_view(&text));
    return RC_OK;
}

/* Asks the model for a plan until it gives one, and journals it. */
static enum next plan_make(struct run *run, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct llm_conversation *c = llm_conversation_new(
        tmp,
        "You plan a change to a software project before it is made. Answer with a short plan in plain text: what will be changed and in "
        "which files, what will not be changed, how it will be checked, and at most three open questions. Do not write the code.");
    llm_add_part(c, llm_add_message(c, LLM_USER), LLM_TEXT, context_prompt(tmp, run));
    struct buf body;
    buf_init(&body, tmp, 16u << 20);
    run_dialect(run)->write_request(c, run_model(run), 4096, &body);
    for (;;) {
        CLEANUP_MEM mem *turn = mem_root();
        char *text = NULL;
        int64_t retry_s;
        enum rc rc = plan_request(turn, run, buf_view(&body), &text, &retry_s, err);
        if (rc == RC_OK) {
            struct draft rec;
            draft_begin(&rec);
            jo_kz(&rec.o, "text", text);
            return draft_end(run, &rec, "plan.made", "agent", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
        }
        enum next next = run_model_failed(run, rc, retry_s, err);
        if (next != NEXT_GO)
            return next;
    }
}

enum next run_plan(struct run *run, struct err *err)
{
    bool wanted = false, passed = false;
    for (struct json_iter it = json_iter(json_get(run->spec, "approve")); json_next(&it);)
        wanted |= json_eqz(it.value, "plan");
    if (!wanted)
        return NEXT_GO;
    if (!journal_last(run->journal, "plan.made", 0, NULL)) {
        enum next next = plan_make(run, err);
        if (next != NEXT_GO)
            return next;
    }
    CLEANUP_MEM mem *tmp = mem_root();
    struct str plan = json_str(tmp, json_get(journal_last(run->journal, "plan.made", 0, NULL)->json, "text"));
    return run_gate(run, "plan", 0, plan, &passed, err);
}
