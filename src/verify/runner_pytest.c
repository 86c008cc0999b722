/* pytest: the last line, "1 failed, 2 passed, 1 skipped in 0.03s", with or without the frame of '='. */
#include "verify/runner.h"

struct pytest {
    struct tally t;
    int64_t starts, ends; /* "test session starts" lines and last lines */
};

enum column { PASSED, FAILED, SKIPPED, ERRORS, NOTHING };
static const struct {
    const char *word;
    enum column column;
} words[] = {
    {"passed", PASSED},   {"failed", FAILED},    {"skipped", SKIPPED}, {"xfailed", SKIPPED},
    {"xpassed", PASSED},  {"error", ERRORS},     {"errors", ERRORS},   {"deselected", SKIPPED},
    {"warning", NOTHING}, {"warnings", NOTHING}, {"rerun", NOTHING},
};

static bool item_take(struct str *s, int64_t sums[], bool *tests)
{
    int64_t n;
    struct str word;
    if (!scan_count(s, &n) || !scan_z(s, " ") || !scan_word(s, &word))
        return false;
    if (str_eqz(word, "subtests") && scan_z(s, " ") && scan_word(s, &word))
        return true; /* parts of tests that are counted already */
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_eqz(word, words[i].word)) {
            sums[words[i].column] += n;
            *tests |= words[i].column != NOTHING;
            return true;
        }
    return false;
}

static struct str frame_strip(struct str line)
{
    while (line.n && (line.p[0] == '=' || line.p[0] == ' '))
        line = str_sub(line, 1, line.n);
    while (line.n && (line.p[line.n - 1] == '=' || line.p[line.n - 1] == ' '))
        line.n--;
    return line;
}

static void pytest_line(void *state, struct str line)
{
    struct pytest *p = state;
    bool framed = line.n && line.p[0] == '=';
    struct str s = frame_strip(line);
    int64_t sums[NOTHING + 1] = {0};
    bool tests = false;
    if (framed && str_eqz(s, "test session starts")) {
        p->starts++;
        return;
    }
    if (scan_z(&s, "no tests ran in ")) {
        tests = scan_decimal(&s) && scan_z(&s, "s");
    } else {
        do
            if (!item_take(&s, sums, &tests))
                return;
        while (scan_z(&s, ", "));
        if (!scan_z(&s, " in ") || !scan_decimal(&s) || !scan_z(&s, "s"))
            return;
    }
    if (!tests || (s.n && !str_starts(s, STR(" ("))))
        return;
    p->ends++;
    p->t.errors += sums[ERRORS];
    tally_add(&p->t, sums[PASSED], sums[FAILED] + sums[ERRORS], sums[SKIPPED]);
}

/* Where sessions are announced, each has one last line: more of them were not written by pytest. */
static void pytest_end(void *state)
{
    struct pytest *p = state;
    if (p->starts && p->ends != p->starts)
        p->t.broken = true;
}

const struct runner runner_pytest = {
    .name = "pytest",
    .state = sizeof(struct pytest),
    .line = pytest_line,
    .end = pytest_end,
    .tests = python_tests,
    .config = python_config,
    .shadows = python_shadows,
    .canary_files = python_canary_files,
    .canary = python_canary,
    .fewest = python_fewest,
};
