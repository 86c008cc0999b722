/* jest: "Tests:       1 failed, 2 skipped, 3 passed, 6 total". */
#include "verify/runner.h"

static void jest_line(void *state, struct str s)
{
    struct tally *t = state;
    int64_t passed = 0, failed = 0, skipped = 0, total = -1;
    if (!scan_z(&s, "Tests:"))
        return;
    scan_blank(&s);
    do {
        int64_t n;
        struct str word;
        if (!scan_count(&s, &n) || !scan_z(&s, " ") || !scan_word(&s, &word))
            return;
        if (str_eqz(word, "passed"))
            passed += n;
        else if (str_eqz(word, "failed"))
            failed += n;
        else if (str_eqz(word, "skipped") || str_eqz(word, "todo"))
            skipped += n;
        else if (str_eqz(word, "total"))
            total = n;
        else
            return;
    } while (scan_z(&s, ", "));
    if (!s.n && total >= 0)
        tally_add_total(t, total, passed, failed, skipped);
}

static const char *const covers[] = {"tap", NULL};

const struct runner runner_jest = {
    .name = "jest",
    .state = sizeof(struct tally),
    .line = jest_line,
    .covers = covers,
    .tests = javascript_tests,
    .config = javascript_config,
    .canary_files = javascript_canary_files,
    .canary = javascript_canary,
    .fewest = javascript_fewest,
};
