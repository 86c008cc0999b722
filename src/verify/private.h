/* What the parts of the verifier share. Private to this room. */
#pragma once
#include "verify/runner.h"

/* ---- definition.c: scripts that a check calls by a name that speaks of checking; NULL-terminated, in ctx ---- */
const char *const *command_scripts(mem *ctx, const struct verify_spec *spec);
/* Those, and what the Makefile or package.json that defines a check calls. */
MUST_USE enum rc definition_scripts(mem *ctx, const struct verify_spec *spec, const char *base, const char *const **ret,
                                    struct err *err);

/* ---- tree.c: what changed, and the trees that follow from it ---- */
struct tree_change {
    const char *path;
    enum protected_kind kind; /* PROTECTED_NO: the agent's to change */
    bool is_test;             /* a test file, new or old, or a source file whose tests at its end changed */
    bool allowed;             /* protected, changed with leave */
    bool at_base, at_candidate;
};
struct trees {
    const char *base, *candidate; /* tree ids */
    const char *sealed;           /* equal to candidate when nothing protected differs */
    const char *bare; /* sealed without the candidate's new test files; NULL: there are none, or sealed is candidate */
    const char *red;  /* base with the candidate's tests; NULL: no new or changed test */
    struct tree_change *changes;
    size_t change_count;
};
/* Ids and paths belong to ctx. */
MUST_USE enum rc trees_build(mem *ctx, const struct verify_spec *spec, struct trees *ret, struct err *err);

/* ---- canary.c: a test that must fail ---- */
struct canary {
    uint32_t seen;     /* frameworks to plant for; set by the caller, the rest is set by canary_plant */
    const char *token; /* begins every name in this canary */
    const char **paths;
    int64_t *fewest; /* tests that each file reports at least when all of it is run */
    int64_t *broken; /* tests of each file itself that were made to fail */
    size_t sites;
};
/* Whether failing tests can be planted for any of these frameworks. */
bool canary_possible(uint32_t seen);
/* Adds failing tests to the files below dir, as far as the frameworks in c->seen know how. */
MUST_USE enum rc canary_plant(mem *ctx, const char *dir, uid_t uid, gid_t gid, struct canary *c, struct err *err);

enum canary_judgement {
    CANARY_TRUSTED,  /* red, and by the planted tests */
    CANARY_NONE,     /* there is no file to plant in */
    CANARY_GREEN,    /* stayed green */
    CANARY_SILENT,   /* red, but nothing shows that a planted test was the reason */
    CANARY_PASSED,   /* red, but planted tests passed: an assertion was replaced */
    CANARY_UNUSABLE, /* the run did not end by itself */
};
struct canary_result {
    enum canary_judgement judgement;
    const char **paths; /* files whose planted tests the output names */
    size_t n;
    size_t sites;     /* files that were planted */
    int64_t fewest;   /* tests that the files in `paths` must have reported in the real run, at least */
    int64_t unbroken; /* of the tests in `paths` that were made to fail, so many passed all the same; 0 is good */
};
/* Holds a run with the canary against the run without. Result in ctx. */
struct canary_result canary_judge(mem *ctx, const struct canary *c, const struct verdict_run *with,
                                  const struct verdict_run *without);

/* ---- run.c: one check in one tree ---- */
struct bench { /* what the runs of one verdict share */
    mem *ctx;  /* of the verdict */
    const struct verify_spec *spec;
    const char *dir; /* for exports and logs; exists */
    int number;      /* of runs so far */
    struct verdict_run *runs, *last;
};
/* Runs a check in a tree; the run joins the list. `canary` (may be NULL) is planted first. RC_UNAVAILABLE: there was no
 * sandbox for it, the words in err; RC_CANCELLED; anything else is git or the disk. */
MUST_USE enum rc bench_run(struct bench *b, const char *kind, const char *tree, const struct check *check,
                           struct canary *canary, struct verdict_run **ret, struct err *err);
void bench_add(struct bench *b, struct verdict_run *run);
/* The whole output of a run, mapped; release it with output_close. Empty when there is none. */
struct str output_open(const struct verdict_run *run);
void output_close(struct str output);
bool run_green(const struct verdict_run *r);
bool run_ended(const struct verdict_run *r); /* by itself, whatever the status */
/* "exit status 1", "ended by signal 9", "timed out after 600 s", ... in ctx. */
const char *run_words(mem *ctx, const struct verdict_run *r);

/* ---- base.c: runs at the base, kept for the next iterations ---- */
MUST_USE enum rc base_run(struct bench *b, const char *tree, const struct check *check, struct verdict_run **ret,
                          struct err *err);
/* The canary at the base, held against `base`: shows what a canary does in this project while nobody lies. */
MUST_USE enum rc base_canary(struct bench *b, const struct verdict_run *base, const struct check *check, uint32_t seen,
                             struct canary_result *ret, struct err *err);

/* ---- verdict_json.c ---- */
void run_json(const struct verdict_run *r, struct json_out *out);
void run_read(mem *ctx, struct json v, struct verdict_run *ret);
