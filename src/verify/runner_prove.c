/* prove: "Files=4, Tests=7, ..." and "Result: PASS"; what failed or was skipped stands in "a.t (Wstat: 0 Tests: 3
 * Failed: 1)" and "(less 1 skipped subtest: 1 okay)". Files and canary are those of TAP. */
#include "verify/runner.h"

struct prove {
    struct tally t;
    int64_t failed, skipped, total;
    bool files;
};

static void prove_result(struct prove *p, bool pass)
{
    if (!p->files)
        return;
    p->files = false;
    int64_t failed = p->failed || pass ? p->failed : 1; /* a script that ended badly after good tests */
    int64_t known = failed + p->skipped;
    if (p->skipped > p->total || (pass && failed))
        p->t.broken = true;
    tally_add(&p->t, p->total > known ? p->total - known : 0, failed, p->skipped);
    p->failed = p->skipped = p->total = 0;
}

static void prove_line(void *state, struct str s)
{
    struct prove *p = state;
    int64_t n, of;
    struct str whole = s;
    if (scan_z(&s, "Files=") && scan_count(&s, &n) && scan_z(&s, ", Tests=") && scan_count(&s, &of) &&
        scan_z(&s, ",")) {
        p->files = true;
        p->total = of;
        return;
    }
    long report = str_find(whole, STR(" (Wstat: ")), tests = str_find(whole, STR(" Tests: "));
    if (report > 0 && tests > report) {
        s = str_sub(whole, (size_t)tests + strlen(" Tests: "), whole.n);
        if (scan_count(&s, &of) && scan_z(&s, " Failed: ") && scan_count(&s, &n) && str_eqz(s, ")")) {
            p->t.broken |= n > of;
            p->failed += n;
            return;
        }
    }
    s = str_trim(whole);
    if (scan_z(&s, "(less ") && scan_count(&s, &n) && scan_z(&s, " skipped subtest")) {
        p->skipped += n;
        return;
    }
    if (str_eqz(whole, "Result: PASS") || str_eqz(whole, "Result: NOTESTS"))
        prove_result(p, true);
    else if (str_eqz(whole, "Result: FAIL"))
        prove_result(p, false);
}

static const char *const covers[] = {"tap", NULL};
const struct runner runner_prove = {
    .name = "prove",
    .state = sizeof(struct prove),
    .line = prove_line,
    .nameless = true,
    .covers = covers,
    .canary_files = tap_canary_files,
    .canary = tap_canary,
};
