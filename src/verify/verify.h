/* The verdict: whether a commit is proven. Nothing here believes the agent; an exit status taken outside the sandbox
 * decides, and doubt means "not done".
 *
 * Inputs are a private git directory, the base commit and the candidate commit; the agent's folder is never looked at.
 * Each run exports a tree into a fresh folder and a fresh sandbox of the verifier user. Runs, in this order: delivered
 * exactly the candidate's tree; sealed     protected paths put back to the base, protected files that are new
 * (conftest.py, ...) removed; base       the base's tree, for counts to compare with; kept in cache_dir by base tree,
 * check and setup; canary     sealed, plus tests that must fail in every known test file, where the framework is known;
 * the same was done once at the base (base-canary), to know what an honest run looks like in this project; red base
 * code with the candidate's new and changed tests. Equal trees are run once. What this cannot see: a program that knows
 * its test files by heart and lies only while they are unchanged, with the right counts; and checks of a framework that
 * is not recognised, where the verdict says so.
 *
 * Outcomes: PROVEN. RED: a required check is not green on the delivered tree (failed, timed out, could not start,
 * flooded), or says itself that tests failed; the loop goes on. NOT_PROVEN: everything else, also trouble that the base
 * has as well. There is feedback for the agent in all cases but PROVEN, no_check and sandbox. Threads: main thread of a
 * small process. */
#pragma once
#include "base/json.h"
#include "repo/repo.h"
#include "sandbox/sandbox.h"
#include "setup/setup.h"

struct check {
    const char *name;    /* "test" */
    const char *command; /* for /bin/sh -c, in the top folder */
    int timeout_s;
    bool required;
    const char *origin;     /* "--check", "nightmill.yaml", "found: Makefile has a target test" */
    const char *defined_in; /* path of the file that defines it ("Makefile"), protected; or NULL */
};

/* Checks that the base commit offers by itself (make test/check, npm test, pytest, cargo test, go test, ctest, meson
 * test), best first. The first is required; what else there is, is listed as optional. None is no error. */
MUST_USE enum rc check_detect(mem *ctx, const char *git_dir, const char *base, struct check **ret, size_t *ret_n,
                              struct err *err);

/* Counts read from a run's output. Known only when a framework was recognised. */
struct test_counts {
    const char *framework; /* "pytest", "node", "tap", ...; NULL: not recognised. Of several the one with most tests */
    /* total is the sum of the others; skipped holds all that did not count: xfailed, todo, deselected */
    int64_t total, passed, failed, skipped;
    int64_t errors; /* of failed: trouble outside of a test (import, set-up), which need not be a test of its own */
    bool coarse;    /* programs or packages were counted, not single tests */
    uint32_t seen;  /* all frameworks that were recognised, a bit each in the order of runners.def */
};
/* Reads TAP, pytest, unittest, go test, cargo test, node --test, jest, ctest, Check, Unity, JUnit XML from output (or
 * report) bytes. Several suites in one output add up. */
bool counts_read(struct str output, struct test_counts *ret);
/* Whether output is text that a person could read; binary noise is not. */
bool counts_text(struct str output);

enum verdict_outcome { VERDICT_PROVEN, VERDICT_RED, VERDICT_NOT_PROVEN };
/* Typed; the names are stable (JSON). */
enum verdict_reason {
    REASON_NONE,
    REASON_CHECK_FAILED,      /* check_failed: delivered is red; the loop goes on */
    REASON_NO_CHECK,          /* no_check */
    REASON_COULD_NOT_START,   /* could_not_start */
    REASON_TIMED_OUT,         /* timed_out */
    REASON_NO_TESTS,          /* no_tests_ran */
    REASON_FEWER_TESTS,       /* fewer_tests */
    REASON_MORE_SKIPPED,      /* more_skipped */
    REASON_PROTECTED_CHANGED, /* protected_changed: green only with protected files changed */
    REASON_TREE_UNCHANGED,    /* tree_unchanged */
    REASON_UNREADABLE,        /* output_unreadable: flooded or not text */
    REASON_NOT_TRUSTED,       /* not_trusted: a test that must fail did not make it red, or counts disagree */
    REASON_NO_PROOF,          /* no_proof: --require-proof, and no new test was red at the base */
    REASON_SANDBOX,           /* sandbox: infrastructure, not the commit's fault; uses up no iteration */
};
const char *reason_name(enum verdict_reason r);

/* One command in one tree. */
struct verdict_run {
    const char *kind; /* "delivered", "sealed", "base", "base-canary", "canary", "red" */
    const char *check;
    const char *tree;
    int exit_code, signal;
    bool timed_out, flooded, could_not_start;
    bool memory_limit, disk_limit; /* was reached while it ran */
    bool garbled;                  /* what it printed is no text */
    struct test_counts counts;
    int64_t elapsed_ns;
    const char *log; /* file with the whole output */
    struct str tail; /* last part of it, clean UTF-8 */
    struct verdict_run *next;
};
struct verdict {
    enum verdict_outcome outcome;
    enum verdict_reason reason;
    const char *words; /* one sentence for people */
    struct verdict_run *runs;
    const char *const *protected_changed; /* paths, NULL-terminated, may be empty */
    const char *protected_diff;
    const char *const *allowed_changed; /* protected paths changed with the operator's leave */
    const char *canary; /* "trusted", "not_trusted", "unknown_framework" with words; "" when it did not come to it */
    const char *canary_words;
    const char *proof;       /* "red_before_green", "proves_nothing", "no_new_tests", "unknown" */
    const char *proof_words; /* "3 new tests: red at base, green now" */
    struct str feedback;     /* for the agent: what failed, last output, capped */
    const char *user_words;  /* which user the verifier was: the rung */
};
struct verify_spec {
    const char *git_dir;
    const char *base, *candidate; /* commits */
    const struct check *checks;
    size_t check_count;
    const char *const *setup; /* commands before the checks; NULL-terminated */
    /* Where the layers of the setup commands are, and what making one takes: git_dir, base, commands, work_dir and
     * cancel_fd are filled in here. NULL, or no_sandbox: the commands run before each check, in its own place. */
    const struct setup_spec *layers;
    const char *const *protect;       /* globs on top of the built-in ones; NULL-terminated */
    const char *const *allow_changes; /* --allow-check-changes */
    bool require_proof;
    bool no_sandbox;
    const char *work_dir; /* fresh exports and logs go below; also <data>/cache for base counts */
    const char *cache_dir;
    size_t feedback_max;
    struct sandbox_limits limits;
    int cancel_fd;
    /* Progress: called before each run; its output goes to the file `log` as it comes. May be NULL. */
    void (*on_run)(void *arg, const char *kind, const char *check, const char *log);
    void *arg;
};
/* RC_OK with a verdict whatever the commit is worth; an error only when the verdict could not be made (git, disk,
 * cancelled). Verdict in ctx. */
MUST_USE enum rc verify_commit(mem *ctx, const struct verify_spec *spec, struct verdict *ret, struct err *err);
/* The verdict as one JSON object (fields as above; texts capped) and back (for show and replay). Members that are
 * missing or of another type read as empty; RC_INVALID only when the text is no JSON object. Everything read belongs to
 * ctx. */
void verdict_json(const struct verdict *v, struct json_out *out);
MUST_USE enum rc verdict_read(mem *ctx, struct str json, struct verdict *ret, struct err *err);
/* Whether a path is protected, judged by its name: test files, runner configuration, nightmill.yaml, CI files,
 * defined_in, extra globs, and names that would stand in front of the runner or the interpreter's own parts (shadow).
 */
enum protected_kind {
    PROTECTED_NO,
    PROTECTED_TEST,
    PROTECTED_RUNNER,
    PROTECTED_CI,
    PROTECTED_PROJECT,
    PROTECTED_EXTRA,
    PROTECTED_SHADOW
};
enum protected_kind path_protected(const struct verify_spec *spec, const char *path);
/* The same for a change: a new test file is welcome, so a test is protected only where it exists at the base, a shadow
 * only where it does not; everything else is protected either way. */
enum protected_kind change_protected(const struct verify_spec *spec, const char *path, bool exists_at_base);
const char *protected_name(enum protected_kind k); /* "test", "runner", ...; "" for none */
