/* vitest: "      Tests  1 failed | 3 passed | 1 skipped (5)". */
#include "verify/runner.h"

static void vitest_line(void *state, struct str s)
{
    struct tally *t = state;
    int64_t passed = 0, failed = 0, skipped = 0, total;
    scan_blank(&s);
    if (!scan_z(&s, "Tests  "))
        return;
    if (str_eqz(s, "no tests")) {
        tally_add(t, 0, 0, 0);
        return;
    }
    do {
        int64_t n;
        if (!scan_count(&s, &n))
            return;
        if (scan_z(&s, " passed") || scan_z(&s, " expected fail"))
            passed += n;
        else if (scan_z(&s, " failed"))
            failed += n;
        else if (scan_z(&s, " skipped") || scan_z(&s, " todo"))
            skipped += n;
        else
            return;
    } while (scan_z(&s, " | "));
    if (scan_z(&s, " (") && scan_count(&s, &total) && str_eqz(s, ")"))
        tally_add_total(t, total, passed, failed, skipped);
}

const struct runner runner_vitest = {
    .name = "vitest",
    .state = sizeof(struct tally),
    .line = vitest_line,
    .tests = javascript_tests,
    .config = javascript_config,
    .canary_files = javascript_canary_files,
    .canary = javascript_canary,
    .fewest = javascript_fewest,
};
