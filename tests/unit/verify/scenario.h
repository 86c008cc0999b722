/* A scenario: what an agent makes of one of the sample projects, and the verdict that must come of it. Not a test by
 * itself. */
#pragma once
#include "projects.h"

struct scenario {
    const char *name;
    const struct project *project;
    enum verdict_outcome outcome;
    enum verdict_reason reason;
    const char *canary, *proof; /* NULL: not looked at */
    const char *words;          /* part of the words, the proof's words or the diff */
    struct file change[6];
};

#define PROVEN VERDICT_PROVEN, REASON_NONE
#define NOT(r) VERDICT_NOT_PROVEN, REASON_##r
#define RED(r) VERDICT_RED, REASON_##r

/* Judges the change and compares. */
static void scenario_run(const struct scenario *c)
{
    CLEANUP_MEM mem *ctx = mem_root();
    if (!sample_program(c->project->needs)) {
        printf("skipped: %s: %s is not installed\n", c->name, c->project->needs);
        return;
    }
    struct sample s = sample_new(ctx, c->project, c->change);
    struct check check = {.name = "test", .command = c->project->command, .timeout_s = 60, .required = true};
    struct verify_spec spec = sample_spec(ctx, &s, &check, 1);
    struct verdict v;
    struct err err = {0};
    enum rc rc = verify_commit(ctx, &spec, &v, &err);
    ck_assert_msg(rc == RC_OK, "%s: %s %s", c->name, err.sentence, err.detail);
    const char *told = verdict_told(ctx, &v);
    if (getenv("SHOW"))
        printf("== %s\n   %s\n   canary %s: %s\n   proof %s: %s\n", c->name, v.words, v.canary, v.canary_words, v.proof,
               v.proof_words);
    ck_assert_msg(v.outcome == c->outcome && v.reason == c->reason, "%s: %s", c->name, told);
    ck_assert_msg(!c->canary || strcmp(v.canary, c->canary) == 0, "%s: canary: %s", c->name, told);
    ck_assert_msg(!c->proof || strcmp(v.proof, c->proof) == 0, "%s: proof: %s", c->name, told);
    ck_assert_msg(!c->words || strstr(v.words, c->words) || strstr(v.proof_words, c->words), "%s: words: %s", c->name,
                  told);
    ck_assert_msg(v.outcome == VERDICT_PROVEN || v.feedback.n > 0, "%s: feedback: %s", c->name, told);
    if (v.reason == REASON_PROTECTED_CHANGED)
        ck_assert_msg(v.protected_diff[0] != '\0', "%s: diff: %s", c->name, told);
}
