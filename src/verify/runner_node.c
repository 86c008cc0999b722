/* node --test: the closing block, "# tests 5" ... "# todo 0" (tap) or the same lines after an "i" sign (spec). */
#include "verify/runner.h"

enum { TESTS, SUITES, PASS, FAIL, CANCELLED, SKIPPED, LATER, KEYS };
static const char *const keys[KEYS] = {"tests", "suites", "pass", "fail", "cancelled", "skipped", "todo"};

struct node {
    struct tally t;
    unsigned have; /* bits of keys in the block that is being read */
    int64_t value[KEYS];
};

static void node_line(void *state, struct str s)
{
    struct node *n = state;
    int64_t v;
    struct str word;
    if ((!scan_z(&s, "# ") && !scan_z(&s, "\xe2\x84\xb9 ")) || !scan_word(&s, &word) || !scan_z(&s, " ") ||
        !scan_count(&s, &v) || s.n)
        return;
    for (unsigned i = 0; i < KEYS; i++) {
        if (!str_eqz(word, keys[i]))
            continue;
        if (i == TESTS)
            n->have = 0;
        n->have |= 1u << i;
        n->value[i] = v;
    }
    unsigned all = ((1u << KEYS) - 1) & ~(1u << SUITES); /* older versions name no suites */
    if ((n->have & all) != all)
        return;
    n->have = 0;
    tally_add_total(&n->t, n->value[TESTS], n->value[PASS], n->value[FAIL] + n->value[CANCELLED],
                    n->value[SKIPPED] + n->value[LATER]);
}

static const char *const covers[] = {"tap", NULL};

const struct runner runner_node = {
    .name = "node",
    .state = sizeof(struct node),
    .line = node_line,
    .covers = covers,
    .tests = javascript_tests,
    .config = javascript_config,
    .canary_files = javascript_canary_files,
    .canary = javascript_canary,
    .fewest = javascript_fewest,
};
