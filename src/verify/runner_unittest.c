/* unittest: "Ran 4 tests in 0.001s", then "OK (skipped=1)" or "FAILED (failures=1, errors=2)". */
#include "verify/runner.h"

enum { END_WITHIN = 50 /* lines between the two, where other output may have slipped in */ };

struct unittest {
    struct tally t;
    bool ran;
    int64_t total, lines;
};

static bool ran_take(struct str s, int64_t *ret)
{
    return scan_z(&s, "Ran ") && scan_count(&s, ret) && (scan_z(&s, " tests in ") || scan_z(&s, " test in ")) &&
           scan_decimal(&s) && scan_z(&s, "s") && !s.n;
}

static bool details_take(struct str s, int64_t *failed, int64_t *skipped)
{
    if (!s.n)
        return true;
    if (!scan_z(&s, " ("))
        return false;
    do {
        int64_t n;
        bool fails = scan_z(&s, "failures=") || scan_z(&s, "errors=") || scan_z(&s, "unexpected successes=");
        if (!fails && !scan_z(&s, "skipped=") && !scan_z(&s, "expected failures="))
            return false;
        if (!scan_count(&s, &n))
            return false;
        *(fails ? failed : skipped) += n;
    } while (scan_z(&s, ", "));
    return str_eqz(s, ")");
}

static void unittest_line(void *state, struct str line)
{
    struct unittest *u = state;
    int64_t total, failed = 0, skipped = 0;
    struct str s = line;
    if (ran_take(line, &total)) {
        u->t.broken |= u->ran; /* the first one never ended */
        u->ran = true;
        u->total = total;
        u->lines = 0;
        return;
    }
    if (!u->ran || ++u->lines > END_WITHIN)
        return;
    bool ok = scan_z(&s, "OK");
    if (!ok && !scan_z(&s, "FAILED") && !scan_z(&s, "NO TESTS RAN"))
        return;
    if (!details_take(s, &failed, &skipped))
        return;
    u->ran = false;
    if (ok && failed)
        u->t.broken = true;
    /* A test with failing subtests is one test that may count as several failures; a failing class set-up is a failure
     * without a test; a skipped module is a skip without a test. */
    if (u->total && failed) {
        int64_t most = u->total > skipped ? u->total - skipped : 1;
        failed = failed < most ? failed : most;
    }
    if (!u->total)
        u->t.errors += failed;
    int64_t passed = u->total - failed - skipped;
    tally_add(&u->t, passed > 0 ? passed : 0, failed, skipped);
}

static void unittest_end(void *state)
{
    struct unittest *u = state;
    u->t.broken |= u->ran;
}

const struct runner runner_unittest = {
    .name = "unittest",
    .state = sizeof(struct unittest),
    .line = unittest_line,
    .end = unittest_end,
    .tests = python_tests,
    .config = python_config,
    .shadows = python_shadows,
    .canary_files = python_canary_files,
    .canary = python_canary,
    .fewest = python_fewest,
};
