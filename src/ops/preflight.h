/* Pre-flight: what must be in order before the daemon starts and before each run; `doctor` shows the same rows. Each
 * row has a name, a grade, evidence and the line that mends it. */
#pragma once
#include "base/json.h"
#include "conf/setting.h"

enum preflight_grade { PREFLIGHT_OK, PREFLIGHT_NOTE, PREFLIGHT_WARN, PREFLIGHT_FAIL };
struct preflight_row {
    const char *name; /* "git", "sandbox", "disk", "data folder", "model", "check", "price", "limits" */
    enum preflight_grade grade;
    const char *evidence; /* "git 2.39.5" */
    const char *mend;     /* the line that mends it, or NULL */
};
struct preflight {
    struct preflight_row rows[64];
    size_t n;
    bool failed;
};
struct settings;
/* Rows of the machine: git, sandbox (rung, limits, how to reach the next), disk, data folder, run folder. Everything in
 * ctx. */
void preflight_machine(mem *ctx, const struct settings *set, struct preflight *p);
/* Rows of one run: the repository, model reachable (one cheap request without cost: GET of the models route),
 * credential present, price under a budget, check runnable (its program is there). `spec` as of prepare_task. */
void preflight_run(mem *ctx, const struct settings *set, struct json spec, struct preflight *p);
const char *preflight_grade_name(enum preflight_grade grade); /* "ok", "note", "warning", "failed" */
enum preflight_grade preflight_grade_find(const char *name);  /* PREFLIGHT_WARN when unknown */
/* Borrows the texts; a row for which there is no room any more is left out. */
void preflight_add(struct preflight *p, const char *name, enum preflight_grade grade, const char *evidence,
                   const char *mend);
void preflight_json(const struct preflight *p, struct json_out *out);
/* First failed row as an error. RC_OK when none failed. */
MUST_USE enum rc preflight_verdict(const struct preflight *p, struct err *err);
