/* The verdict: steps in order, each of which may decide. What none of them objects to is proven.
 *
 * Nothing here opens a file of the candidate or runs anything itself: trees come from tree.c, runs from run.c. Every
 * step that cannot tell says so in words or decides against the commit; none assumes the good case. */
#include "base/text.h"
#include "os/path.h"
#include "verify/private.h"
#include <stdarg.h>

enum { DIFF_MAX = 64 << 10, FEEDBACK_MAX = 16 << 10, LIST_SHOWN = 8 };

struct subject { /* a check and its runs */
    const struct check *check;
    struct verdict_run *delivered, *sealed, *base; /* sealed is delivered when the trees are equal */
};
struct judge {
    mem *ctx;
    const struct verify_spec *spec;
    struct verdict *v;
    struct trees trees;
    struct bench bench;
    struct subject *subjects;
    size_t n;
    bool decided;
};

static void decide(struct judge *j, enum verdict_outcome outcome, enum verdict_reason reason, const char *fmt, ...)
    PRINTF(4, 5);
static void decide(struct judge *j, enum verdict_outcome outcome, enum verdict_reason reason, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    j->v->words = mem_vprintf(j->ctx, fmt, ap);
    va_end(ap);
    j->v->outcome = outcome;
    j->v->reason = reason;
    j->decided = true;
}

/* ---- feedback for the agent ---- */

static size_t feedback_max(const struct judge *j)
{
    return j->spec->feedback_max ? j->spec->feedback_max : FEEDBACK_MAX;
}

static const char *counts_words(mem *ctx, const struct test_counts *c)
{
    if (!c->framework)
        return "no test counts were recognised";
    const char *unit = c->coarse ? "test programs" : "tests";
    return mem_printf(ctx, "%s: %lld %s, %lld passed, %lld failed, %lld skipped", c->framework, (long long)c->total,
                      unit, (long long)c->passed, (long long)c->failed, (long long)c->skipped);
}

static void feedback_run(struct buf *b, const struct check *check, const struct verdict_run *run, size_t share)
{
    CLEANUP_MEM mem *tmp = mem_root();
    buf_printf(b, "Check \"%s\" (%s): %s; %s.\n", check->name, check->command, run_words(tmp, run),
               counts_words(tmp, &run->counts));
    if (run->tail.n) {
        struct str tail = run->tail;
        if (tail.n > share) {
            size_t cut = tail.n - share;
            while (cut < tail.n && ((unsigned char)tail.p[cut] & 0xc0) == 0x80)
                cut++; /* not inside a character */
            tail = str_sub(tail, cut, tail.n);
        }
        buf_printf(b, "Last output:\n%.*s\n", STR_FMT(tail));
    }
}

static void feedback_set(struct judge *j, struct buf *b)
{
    j->v->feedback = str_of(text_middle(j->ctx, buf_view(b), feedback_max(j)));
}

static const char sealed_advice[] =
    "Tests, their configuration and the files that define the checks are put back to what they were before the task; "
    "the checks must pass then too. Put these files back (new tests may be added) and mend the code instead.\n";
static const char distrust_advice[] =
    "The test run must end by itself after all tests, with the assertions as they are. Something in the changed code "
    "ends it early, replaces assertions or writes results itself: remove that.";

/* What was decided, in words, and what to do. */
static void feedback_words(struct judge *j, const char *advice)
{
    struct buf b;
    buf_init(&b, j->ctx, 1 << 20);
    buf_printf(&b, "%s\n%s\n", j->v->words, advice);
    feedback_set(j, &b);
}

/* ---- steps ---- */

static enum rc step_tree(struct judge *j, struct err *err)
{
    (void)err;
    if (strcmp(j->trees.base, j->trees.candidate) != 0)
        return RC_OK;
    decide(j, VERDICT_NOT_PROVEN, REASON_TREE_UNCHANGED, "nothing was changed");
    feedback_words(j, "The files are the same as before the task. Make the change that was asked for.");
    return RC_OK;
}

static enum rc step_checks(struct judge *j, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < j->n; i++)
        if (j->subjects[i].check->required)
            return RC_OK;
    decide(j, VERDICT_NOT_PROVEN, REASON_NO_CHECK,
           j->n ? "no check is required, so nothing can be proven" : "there is no check, so nothing can be proven");
    return RC_OK;
}

/* Runs a check in a tree unless that has been done. */
static enum rc run_once(struct judge *j, const char *kind, const char *tree, const struct check *check,
                        struct verdict_run **ret, struct err *err)
{
    for (struct verdict_run *r = j->bench.runs; r; r = r->next)
        if (strcmp(r->tree, tree) == 0 && r->check == check->name && !strstr(r->kind, "canary")) {
            *ret = r;
            return RC_OK;
        }
    return bench_run(&j->bench, kind, tree, check, NULL, ret, err);
}

static enum rc subject_base(struct judge *j, struct subject *s, struct err *err)
{
    return s->base ? RC_OK : base_run(&j->bench, j->trees.base, s->check, &s->base, err);
}

static enum verdict_reason run_reason(const struct verdict_run *r)
{
    if (r->could_not_start)
        return REASON_COULD_NOT_START;
    if (r->timed_out)
        return REASON_TIMED_OUT;
    if (r->flooded || (r->garbled && r->exit_code == 0))
        return REASON_UNREADABLE;
    if (r->counts.framework && r->counts.total == 0 && !r->signal)
        return REASON_NO_TESTS;
    return REASON_CHECK_FAILED;
}

static void feedback_red(struct judge *j)
{
    struct buf b;
    buf_init(&b, j->ctx, 1 << 20);
    size_t red = 0;
    for (size_t i = 0; i < j->n; i++)
        red += j->subjects[i].check->required && !run_green(j->subjects[i].delivered);
    for (size_t i = 0; i < j->n; i++)
        if (j->subjects[i].check->required && !run_green(j->subjects[i].delivered))
            feedback_run(&b, j->subjects[i].check, j->subjects[i].delivered, feedback_max(j) * 3 / 4 / red);
    feedback_set(j, &b);
}

/* The candidate as it is. Red sends the loop on; trouble that the base has as well is nothing that an agent can mend.
 */
static enum rc step_delivered(struct judge *j, struct err *err)
{
    struct subject *bad = NULL;
    for (size_t i = 0; i < j->n; i++) {
        struct subject *s = &j->subjects[i];
        enum rc rc = run_once(j, "delivered", j->trees.candidate, s->check, &s->delivered, err);
        if (rc != RC_OK)
            return rc;
        if (!bad && s->check->required && !run_green(s->delivered))
            bad = s;
    }
    if (!bad)
        return RC_OK;
    enum verdict_reason reason = run_reason(bad->delivered);
    const char *words = run_words(j->ctx, bad->delivered), *also = "";
    enum verdict_outcome outcome = VERDICT_RED;
    if (reason == REASON_COULD_NOT_START || reason == REASON_TIMED_OUT || reason == REASON_UNREADABLE) {
        enum rc rc = subject_base(j, bad, err);
        if (rc != RC_OK)
            return rc;
        if (run_reason(bad->base) == reason) {
            outcome = VERDICT_NOT_PROVEN;
            also = "; so it does at the base, before any change";
        }
    }
    if (reason == REASON_NO_TESTS)
        also = "; no tests ran";
    decide(j, outcome, reason, "%s: %s%s", bad->check->name, words, also);
    feedback_red(j);
    return RC_OK;
}

static const char *paths_words(mem *ctx, const char *const *paths)
{
    struct buf b;
    size_t n = 0;
    buf_init(&b, ctx, 64 << 10);
    for (; paths[n]; n++)
        if (n < LIST_SHOWN)
            buf_printf(&b, "%s%s", n ? ", " : "", text_terminal_line(ctx, str_of(paths[n]), 200));
    if (n > LIST_SHOWN)
        buf_printf(&b, " and %zu more", n - LIST_SHOWN);
    return buf_take(&b, ctx);
}

static enum rc step_sealed(struct judge *j, struct err *err)
{
    for (size_t i = 0; i < j->n; i++) {
        struct subject *s = &j->subjects[i];
        if (!s->check->required)
            continue;
        enum rc rc = run_once(j, "sealed", j->trees.sealed, s->check, &s->sealed, err);
        /* New tests may need changes to what the old ones share (a fixture in conftest.py). The old tests on the new
         * code are what counts here; the new ones were green as delivered. */
        if (rc == RC_OK && !run_green(s->sealed) && j->trees.bare)
            rc = run_once(j, "sealed", j->trees.bare, s->check, &s->sealed, err);
        if (rc != RC_OK)
            return rc;
        if (run_green(s->sealed))
            continue;
        decide(j, VERDICT_NOT_PROVEN, REASON_PROTECTED_CHANGED,
               "%s is green only with protected files changed: %s (without those changes: %s)", s->check->name,
               paths_words(j->ctx, j->v->protected_changed), run_words(j->ctx, s->sealed));
        struct buf b;
        buf_init(&b, j->ctx, 1 << 20);
        buf_printf(&b, "%s\n%s", j->v->words, sealed_advice);
        feedback_run(&b, s->check, s->sealed, feedback_max(j) / 2);
        feedback_set(j, &b);
        return RC_OK;
    }
    return RC_OK;
}

/* ---- counts ---- */

/* Tests that the operator's leave covers: what allowed files held at the base and do not hold any more. */
static enum rc allowance(struct judge *j, const char *framework, int64_t *ret, struct err *err)
{
    *ret = 0;
    for (size_t i = 0; i < j->trees.change_count; i++) {
        const struct tree_change *c = &j->trees.changes[i];
        if (!c->allowed || !c->at_base || c->kind != PROTECTED_TEST)
            continue;
        const struct runner *r = runner_find(framework);
        CLEANUP_MEM mem *tmp = mem_root();
        struct str was = {0}, is = {0};
        enum rc rc =
            r && r->fewest ? repo_blob(tmp, j->spec->git_dir, j->trees.base, c->path, 1 << 20, &was, err) : RC_LIMIT;
        if (rc == RC_OK && c->at_candidate)
            rc = repo_blob(tmp, j->spec->git_dir, j->trees.candidate, c->path, 1 << 20, &is, err);
        if (rc == RC_LIMIT)
            continue;
        if (rc != RC_OK)
            return rc;
        int64_t lost = r->fewest(was, framework) - r->fewest(is, framework);
        *ret += lost > 0 ? lost : 0;
    }
    return RC_OK;
}

static enum rc counts_compare(struct judge *j, const struct subject *s, const struct verdict_run *run, struct err *err)
{
    const struct test_counts *now = &run->counts, *then = &s->base->counts;
    const char *name = s->check->name;
    bool known = then->framework && run_ended(s->base), green = run_green(s->base);
    int64_t before = known ? then->total - then->errors : 0, allowed = 0;
    if (!now->framework) {
        if (before > 0)
            decide(j, VERDICT_NOT_PROVEN, REASON_NO_TESTS,
                   "%s ended well, but its output names no tests any more; at the base it named %lld (%s)", name,
                   (long long)before, then->framework);
        return RC_OK;
    }
    if (now->total == now->skipped) {
        decide(j, VERDICT_NOT_PROVEN, REASON_NO_TESTS,
               now->total ? "%s ended well, but all of its tests were skipped (%s)"
                          : "%s ended well, but no tests ran (%s)",
               name, now->framework);
        return RC_OK;
    }
    if (now->failed > (green ? then->failed : 0)) {
        decide(j, VERDICT_RED, REASON_CHECK_FAILED,
               "%s ended with exit status 0, but its output tells of %lld failed tests", name, (long long)now->failed);
        return RC_OK;
    }
    enum rc rc = known ? allowance(j, then->framework, &allowed, err) : RC_OK;
    if (rc != RC_OK || !known)
        return rc;
    if (now->total < before - allowed)
        decide(j, VERDICT_NOT_PROVEN, REASON_FEWER_TESTS, "%s ran fewer tests than at the base: %lld instead of %lld",
               name, (long long)now->total, (long long)before);
    /* A base whose files could not all be read counts too little to compare with. */
    else if (now->skipped > then->skipped && (green || now->total == before))
        decide(j, VERDICT_NOT_PROVEN, REASON_MORE_SKIPPED,
               "%s skipped more tests than at the base: %lld instead of %lld", name, (long long)now->skipped,
               (long long)then->skipped);
    return RC_OK;
}

static enum rc step_counts(struct judge *j, struct err *err)
{
    for (size_t i = 0; i < j->n && !j->decided; i++) {
        struct subject *s = &j->subjects[i];
        if (!s->check->required)
            continue;
        enum rc rc = subject_base(j, s, err);
        if (rc == RC_OK)
            rc = counts_compare(j, s, s->delivered, err);
        if (rc == RC_OK && !j->decided && s->sealed != s->delivered)
            rc = counts_compare(j, s, s->sealed, err);
        if (rc != RC_OK)
            return rc;
        if (j->decided) {
            struct buf b;
            buf_init(&b, j->ctx, 1 << 20);
            buf_printf(
                &b, "%s.\nEvery test that ran before the task must run after it as well, unskipped, and be reported.\n",
                j->v->words);
            feedback_run(&b, s->check, s->delivered, feedback_max(j) / 2);
            feedback_set(j, &b);
        }
    }
    return RC_OK;
}

/* ---- canary ---- */

static bool listed(const char *const *paths, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(paths[i], path) == 0)
            return true;
    return false;
}

/* A test file that told of its failing test at the base must do so now. One file out of several at the base means that
 * the check stops at the first failure, and which is first may have changed. */
static const char *site_missing(const struct canary *c, const struct canary_result *now,
                                const struct canary_result *base)
{
    if (base->judgement != CANARY_TRUSTED || (base->n == 1 && base->sites > 1))
        return NULL;
    for (size_t i = 0; i < base->n; i++)
        if (listed(c->paths, c->sites, base->paths[i]) && !listed(now->paths, now->n, base->paths[i]))
            return base->paths[i];
    return NULL;
}

static const char *const distrust[] = {
    [CANARY_NONE] = "the test files that the base has are gone",
    [CANARY_GREEN] = "it stays green when a test that must fail is added",
    [CANARY_SILENT] = "when a test that must fail is added, nothing in the output shows that it ran",
    [CANARY_PASSED] = "when tests that must fail are added, some of them pass",
    [CANARY_UNUSABLE] = "when a test that must fail is added, it does not end by itself",
};

/* Why the run is not to be trusted, or NULL; *ret_unknown: nothing can be said, in words. */
static const char *canary_objection(struct judge *j, const struct subject *s, const struct canary *c,
                                    const struct canary_result *now, const struct canary_result *base,
                                    const char **ret_unknown)
{
    bool green = run_green(s->base);
    if (now->judgement != CANARY_TRUSTED) {
        bool same_at_base = base->judgement != CANARY_TRUSTED && (green || now->judgement == CANARY_NONE);
        if (!same_at_base)
            return distrust[now->judgement];
        *ret_unknown = now->judgement == CANARY_NONE
                           ? "no test file is known that a failing test could be added to"
                           : "a failing test that is added does not show in this check at the base either";
        return NULL;
    }
    const char *missing = site_missing(c, now, base);
    if (missing)
        return mem_printf(j->ctx, "a test that must fail shows at the base when it is added to %s, but does not now",
                          missing);
    if (now->unbroken && base->judgement == CANARY_TRUSTED && !base->unbroken)
        return mem_printf(j->ctx, "when the tests of the project are made to fail, %lld of them pass all the same",
                          (long long)now->unbroken);
    bool certain = !s->sealed->counts.coarse && !(green && s->base->counts.total < base->fewest);
    if (certain && s->sealed->counts.total < now->fewest)
        return mem_printf(j->ctx, "the test files that ran hold at least %lld tests, but %lld were reported",
                          (long long)now->fewest, (long long)s->sealed->counts.total);
    return NULL;
}

static enum rc canary_subject(struct judge *j, struct subject *s, const char **ret_unknown, struct err *err)
{
    const struct test_counts *counts = &s->sealed->counts;
    if (!counts->framework) {
        *ret_unknown = "no test framework was recognised in its output";
        return RC_OK;
    }
    if (!canary_possible(counts->seen)) {
        *ret_unknown = mem_printf(j->ctx, "no way is known to add a failing test for %s", counts->framework);
        return RC_OK;
    }
    struct canary canary = {.seen = counts->seen};
    struct canary_result base = {0};
    struct verdict_run *run;
    enum rc rc = base_canary(&j->bench, s->base, s->check, counts->seen, &base, err);
    if (rc == RC_OK)
        rc = bench_run(&j->bench, "canary", s->sealed->tree, s->check, &canary, &run, err);
    if (rc != RC_OK)
        return rc;
    struct canary_result now = canary_judge(j->ctx, &canary, run, s->sealed);
    const char *objection = canary_objection(j, s, &canary, &now, &base, ret_unknown);
    if (objection)
        decide(j, VERDICT_NOT_PROVEN, REASON_NOT_TRUSTED, "%s is not trusted: %s", s->check->name, objection);
    return RC_OK;
}

static enum rc step_canary(struct judge *j, struct err *err)
{
    size_t trusted = 0;
    struct buf words;
    buf_init(&words, j->ctx, 64 << 10);
    for (size_t i = 0; i < j->n; i++) {
        struct subject *s = &j->subjects[i];
        const char *why = NULL;
        if (!s->check->required)
            continue;
        enum rc rc = canary_subject(j, s, &why, err);
        if (rc != RC_OK)
            return rc;
        if (j->decided) {
            j->v->canary = "not_trusted";
            j->v->canary_words = j->v->words;
            feedback_words(j, distrust_advice);
            return RC_OK;
        }
        if (why)
            buf_printf(&words, "%s%s: this proof is missing, because %s", words.n ? "; " : "", s->check->name, why);
        else
            buf_printf(&words, "%s%s: goes red when a test that must fail is added", words.n ? "; " : "",
                       s->check->name);
        trusted += why == NULL;
    }
    j->v->canary = trusted ? "trusted" : "unknown_framework";
    j->v->canary_words = buf_take(&words, j->ctx);
    return RC_OK;
}

/* ---- red before green ---- */

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* "3 new tests" or "the new or changed tests". */
static const char *new_words(mem *ctx, const struct subject *s)
{
    const struct test_counts *now = &s->delivered->counts, *then = &s->base->counts;
    int64_t n = now->total - then->total;
    if (!now->framework || !then->framework || !run_green(s->base) || n <= 0 || now->coarse)
        return "new or changed tests";
    return mem_printf(ctx, "%lld new test%s", (long long)n, plural(n));
}

static const char *red_words(mem *ctx, const struct subject *s, const struct verdict_run *red)
{
    const char *what = new_words(ctx, s);
    int64_t n = s->delivered->counts.total - s->base->counts.total;
    int64_t failed = red->counts.failed - (run_green(s->base) ? s->base->counts.failed : 0);
    bool some = what[0] != 'n' && red->counts.framework && !red->counts.errors && failed > 0 && failed < n &&
                red->counts.total >= s->delivered->counts.total;
    if (some)
        return mem_printf(ctx, "%s: %lld of them red at base, all green now", what, (long long)failed);
    return mem_printf(ctx, "%s: red at base, green now", what);
}

static void proof_set(struct judge *j, const char *proof, const char *words)
{
    j->v->proof = proof;
    j->v->proof_words = words;
}

/* No test is new, but the tests that there are may have been red before. */
static void proof_without_new(struct judge *j)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct subject *s = &j->subjects[i];
        if (!s->check->required || run_green(s->base) || !run_ended(s->base))
            continue;
        proof_set(j, "red_before_green",
                  mem_printf(j->ctx, "no new tests; %s was red at base (%s), green now", s->check->name,
                             run_words(j->ctx, s->base)));
        return;
    }
    proof_set(j, "no_new_tests", "no new or changed tests");
}

static enum rc proof_find(struct judge *j, struct err *err)
{
    const char *nothing = NULL, *unknown = NULL;
    for (size_t i = 0; i < j->n; i++) {
        struct subject *s = &j->subjects[i];
        struct verdict_run *red;
        if (!s->check->required)
            continue;
        enum rc rc = run_once(j, "red", j->trees.red, s->check, &red, err);
        if (rc != RC_OK)
            return rc;
        if (run_green(red)) {
            nothing = mem_printf(j->ctx, "%s: green at base too, so they prove nothing", new_words(j->ctx, s));
        } else if (run_ended(red)) {
            proof_set(j, "red_before_green", red_words(j->ctx, s, red));
            return RC_OK;
        } else {
            unknown = mem_printf(j->ctx, "%s: at base the check %s, which shows nothing", new_words(j->ctx, s),
                                 run_words(j->ctx, red));
        }
    }
    if (nothing)
        proof_set(j, "proves_nothing", nothing);
    else
        proof_set(j, "unknown", unknown);
    return RC_OK;
}

static enum rc step_proof(struct judge *j, struct err *err)
{
    if (!j->trees.red) {
        proof_without_new(j);
    } else {
        enum rc rc = proof_find(j, err);
        if (rc != RC_OK)
            return rc;
    }
    if (j->spec->require_proof && strcmp(j->v->proof, "red_before_green") != 0) {
        decide(j, VERDICT_NOT_PROVEN, REASON_NO_PROOF, "the checks are green, but a proof is required: %s",
               j->v->proof_words);
        feedback_words(j, "Add tests that fail without the change and pass with it.");
    }
    return RC_OK;
}

/* ---- the end ---- */

static enum rc step_proven(struct judge *j, struct err *err)
{
    struct buf b;
    (void)err;
    buf_init(&b, j->ctx, 64 << 10);
    for (size_t i = 0; i < j->n; i++) {
        const struct subject *s = &j->subjects[i];
        const struct test_counts *c = &s->delivered->counts;
        const char *sep = b.n ? "; " : "";
        if (!s->check->required && !run_green(s->delivered))
            buf_printf(&b, "%soptional check %s: %s", sep, s->check->name, run_words(j->ctx, s->delivered));
        else if (c->framework)
            buf_printf(&b, "%s%s green (%lld %s)", sep, s->check->name, (long long)c->total,
                       c->coarse ? "test programs" : "tests");
        else
            buf_printf(&b, "%s%s green (tests not counted: no framework was recognised)", sep, s->check->name);
    }
    if (j->v->protected_changed[0])
        buf_printf(&b, "; also without the changes to protected files (%s)",
                   paths_words(j->ctx, j->v->protected_changed));
    if (j->v->allowed_changed[0])
        buf_printf(&b, "; protected files changed with leave: %s", paths_words(j->ctx, j->v->allowed_changed));
    decide(j, VERDICT_PROVEN, REASON_NONE, "%s", buf_take(&b, j->ctx));
    return RC_OK;
}

static enum rc changes_report(struct judge *j, struct err *err)
{
    const struct trees *t = &j->trees;
    const char **changed = mem_array(j->ctx, const char *, t->change_count + 1),
               **allowed = mem_array(j->ctx, const char *, t->change_count + 1);
    size_t changed_n = 0, allowed_n = 0;
    for (size_t i = 0; i < t->change_count; i++) {
        if (t->changes[i].kind == PROTECTED_NO)
            continue;
        if (t->changes[i].allowed)
            allowed[allowed_n++] = t->changes[i].path;
        else
            changed[changed_n++] = t->changes[i].path;
    }
    j->v->protected_changed = changed;
    j->v->allowed_changed = allowed;
    if (!changed_n)
        return RC_OK;
    struct str diff = {0};
    enum rc rc = repo_diff(j->ctx, j->spec->git_dir, t->base, t->candidate, changed, DIFF_MAX, &diff, err);
    if (rc == RC_OK)
        j->v->protected_diff = str_utf8_clean(j->ctx, diff);
    return rc;
}

static enum rc judge_run(struct judge *j, struct err *err)
{
    static enum rc (*const steps[])(struct judge * j, struct err * err) = {
        step_tree, step_checks, step_delivered, step_sealed, step_counts, step_canary, step_proof, step_proven};
    enum rc rc = trees_build(j->ctx, j->spec, &j->trees, err);
    if (rc == RC_OK)
        rc = changes_report(j, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && rc == RC_OK && !j->decided; i++)
        rc = steps[i](j, err);
    return rc;
}

enum rc verify_commit(mem *ctx, const struct verify_spec *spec, struct verdict *ret, struct err *err)
{
    struct err own = {0};
    if (!err)
        err = &own;
    *ret = (struct verdict){
        .words = "", .protected_diff = "", .canary = "", .canary_words = "", .proof = "", .proof_words = ""};
    struct judge j = {.ctx = ctx,
                      .spec = spec,
                      .v = ret,
                      .n = spec->check_count,
                      .subjects = mem_array(ctx, struct subject, spec->check_count + 1)};
    for (size_t i = 0; i < j.n; i++)
        j.subjects[i].check = &spec->checks[i];
    j.bench =
        (struct bench){.ctx = ctx, .spec = spec, .dir = mem_printf(ctx, "%s/%.12s", spec->work_dir, spec->candidate)};
    ret->user_words =
        spec->no_sandbox ? "no sandbox: the checks ran as plain processes of this user" : sandbox_probe()->rung_words;
    enum rc rc = path_mkdirs(j.bench.dir, 0700, err);
    if (rc == RC_OK)
        rc = judge_run(&j, err);
    ret->runs = j.bench.runs;
    if (rc == RC_UNAVAILABLE) {
        decide(&j, VERDICT_NOT_PROVEN, REASON_SANDBOX, "the checks could not be run: %s%s%s", err->sentence,
               err->hint[0] ? ". " : "", err->hint);
        return RC_OK;
    }
    return rc;
}
