/* What the parts of the verifier share. Private to this room. */
#pragma once
#include "verify/runner.h"

/* ---- protected.c ---- */
/* The script that a command runs, when its name speaks of checking ("./run-checks.sh"); else NULL. */
const char *check_script(mem *ctx, const char *command);

/* ---- tree.c: what changed, and the trees that follow from it ---- */
struct tree_change {
    const char *path;
    enum protected_kind kind; /* PROTECTED_NO: the agent's to change */
    bool is_test;             /* a test file, new or old */
    bool at_base, at_candidate;
    bool allowed;     /* protected, changed with leave */
    bool inline_only; /* a source file whose tests stand at its end: only that part is put back */
};
struct trees {
    const char *base, *candidate; /* tree ids */
    const char *sealed;           /* equal to candidate when nothing protected differs */
    const char *red;              /* base with the candidate's tests; NULL: no new or changed test */
    struct tree_change *changes;
    size_t change_count;
};
/* Ids and paths belong to ctx. */
MUST_USE enum rc trees_build(mem *ctx, const struct verify_spec *spec, struct trees *ret, struct err *err);

/* ---- canary.c: a test that must fail ---- */
struct canary {
    const char *token; /* begins every name in this canary */
    size_t sites;      /* files that have one */
    const char **paths;
    struct str *texts; /* as they were */
};
/* Adds failing tests to the files below dir, as far as the frameworks in `seen` know how. */
MUST_USE enum rc canary_plant(mem *ctx, const char *dir, uint32_t seen, uid_t uid, gid_t gid, struct canary *ret,
                              struct err *err);

enum canary_judgement {
    CANARY_TRUSTED,  /* red, and by the planted tests */
    CANARY_GREEN,    /* stayed green */
    CANARY_SILENT,   /* red, but nothing shows that a planted test was run */
    CANARY_PASSED,   /* red, but planted tests passed: an assertion was replaced */
    CANARY_UNUSABLE, /* the run did not end by itself */
};
struct canary_result {
    enum canary_judgement judgement;
    size_t sites_seen; /* files whose planted tests the output names */
    int64_t fewest;    /* tests that those files must have reported in the real run, at least */
};
/* Holds a run with the canary against the run without. `output` is the whole output of the former. */
struct canary_result canary_judge(const struct canary *c, struct str output, const struct verdict_run *with,
                                  const struct verdict_run *without);

/* ---- run.c: one check in one tree ---- */
struct bench { /* what the runs of one verdict share */
    mem *ctx;  /* of the verdict */
    const struct verify_spec *spec;
    const char *dir; /* for exports and logs */
    int number;      /* of runs so far */
    struct verdict_run *runs, **next;
};
struct run_order {
    const char *kind, *tree;
    const struct check *check;
    struct canary *canary; /* NULL: none */
    uint32_t canary_seen;  /* frameworks to plant for */
};
/* RC_OK with *ret in bench->ctx; the run is added to the list. RC_UNAVAILABLE: no sandbox, the words in err. */
MUST_USE enum rc bench_run(struct bench *b, const struct run_order *order, struct verdict_run **ret, struct err *err);
/* The whole output of a run, mapped; release it with output_close. Empty when there is none. */
struct str output_open(const struct verdict_run *run);
void output_close(struct str output);
bool run_green(const struct verdict_run *r);
/* "exit status 1", "ended by signal 9", "timed out after 600 s", ... in ctx. */
const char *run_words(mem *ctx, const struct verdict_run *r);

/* ---- base.c: the run at the base, kept for the next iterations ---- */
MUST_USE enum rc base_run(struct bench *b, const char *tree, const struct check *check, struct verdict_run **ret,
                          struct err *err);

/* ---- verdict_json.c ---- */
void run_json(const struct verdict_run *r, struct json_out *out);
void run_read(mem *ctx, struct json v, struct verdict_run *ret);
