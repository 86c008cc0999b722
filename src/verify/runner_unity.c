/* Unity (C): "5 Tests 0 Failures 1 Ignored", then "OK" or "FAIL". */
#include "verify/runner.h"

struct unity {
    struct tally t;
    bool open;
    int64_t tests, failures, ignored;
};

static void unity_line(void *state, struct str s)
{
    struct unity *u = state;
    int64_t tests, failures, ignored;
    struct str line = str_trim(s);
    if (scan_count(&s, &tests) && scan_z(&s, " Tests ") && scan_count(&s, &failures) && scan_z(&s, " Failures ") &&
        scan_count(&s, &ignored) && (scan_z(&s, " Ignored")) && !str_trim(s).n) {
        u->open = true;
        u->tests = tests;
        u->failures = failures;
        u->ignored = ignored;
        return;
    }
    if (!u->open || !line.n)
        return;
    u->open = false;
    bool ok = str_eqz(line, "OK");
    if (!ok && !str_eqz(line, "FAIL"))
        return;
    int64_t passed = u->tests - u->failures - u->ignored;
    u->t.broken |= ok != (u->failures == 0) || passed < 0;
    tally_add(&u->t, passed < 0 ? 0 : passed, u->failures, u->ignored);
}

const struct runner runner_unity = {.name = "unity", .state = sizeof(struct unity), .line = unity_line};
