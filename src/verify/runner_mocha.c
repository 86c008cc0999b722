/* mocha: "  3 passing (5ms)", then "  1 pending" and "  1 failing" where there are any. */
#include "verify/runner.h"

struct mocha {
    struct tally t;
    int64_t since; /* lines since "passing" */
};

static void mocha_line(void *state, struct str s)
{
    struct mocha *m = state;
    int64_t n;
    m->since++;
    if (!scan_z(&s, "  "))
        return;
    scan_blank(&s);
    if (!scan_count(&s, &n))
        return;
    if (scan_z(&s, " passing (") && scan_decimal(&s) && str_ends(s, STR(")"))) {
        tally_add(&m->t, n, 0, 0);
        m->since = 0;
    } else if (m->t.seen && m->since <= 2 && str_eqz(s, " pending")) {
        tally_add(&m->t, 0, 0, n);
    } else if (m->t.seen && m->since <= 3 && str_eqz(s, " failing")) {
        tally_add(&m->t, 0, n, 0);
    }
}

const struct runner runner_mocha = {
    .name = "mocha",
    .state = sizeof(struct mocha),
    .line = mocha_line,
    .tests = javascript_tests,
    .config = javascript_config,
    .canary_files = javascript_canary_files,
    .canary = javascript_canary,
    .fewest = javascript_fewest,
};
