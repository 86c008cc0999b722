/* ctest: "50% tests passed, 2 tests failed out of 4" and the list of tests that did not run. Programs are counted. */
#include "verify/runner.h"

struct ctest {
    struct tally t;
    bool listing; /* below "The following tests did not run:" */
    bool open;    /* a summary was read, its list may follow */
};

static bool summary_take(struct str s, int64_t *failed, int64_t *total)
{
    int64_t percent;
    if (!scan_count(&s, &percent) || !scan_z(&s, "% tests passed, ") || !scan_count(&s, failed) ||
        (!scan_z(&s, " tests failed out of ") && !scan_z(&s, " test failed out of ")) || !scan_count(&s, total) || s.n)
        return false;
    return percent <= 100;
}

static void ctest_line(void *state, struct str line)
{
    struct ctest *c = state;
    int64_t failed, total;
    if (str_eqz(line, "No tests were found!!!")) {
        tally_add(&c->t, 0, 0, 0);
        return;
    }
    if (summary_take(line, &failed, &total)) {
        c->open = true;
        c->listing = false;
        tally_add_total(&c->t, total, failed <= total ? total - failed : 0, failed, 0);
        return;
    }
    if (!c->open)
        return;
    if (str_eqz(line, "The following tests did not run:")) {
        c->listing = true;
        return;
    }
    int64_t number;
    struct str s = line;
    scan_blank(&s);
    if (!c->listing || !scan_count(&s, &number) || !scan_z(&s, " - ")) {
        c->listing = c->listing && !line.n;
        return;
    }
    if (str_ends(s, STR("(Disabled)")))
        tally_add(&c->t, 0, 0, 1); /* not among the total */
    else if (c->t.passed > 0 && str_ends(s, STR("(Skipped)"))) {
        c->t.passed--; /* counted as passed above */
        c->t.skipped++;
    }
}

static void ctest_end(void *state)
{
    struct ctest *c = state;
    c->t.coarse = true;
}

static bool ctest_canary(struct canary_site *site, struct str text, struct buf *out)
{
    if (strchr(site->path, '/') || (!text_has_line(text, "enable_testing") && !text_has_line(text, "include(CTest)")))
        return false;
    buf_str(out, text);
    return buf_printf(out, "\nadd_test(NAME %sa COMMAND ${CMAKE_COMMAND} -E false)\n", site->name);
}

static const char *const tests[] = {"*_test.c", "*_test.cc", "*_test.cpp", "*_tests.c",     "*_tests.cc", "*_tests.cpp",
                                    "test_*.c", "test_*.cc", "test_*.cpp", "*_unittest.cc", NULL};
static const char *const canary_files[] = {"/CMakeLists.txt", NULL};
static const char *const config[] = {"CMakeLists.txt",        "*.cmake",      "CMakePresets.json",
                                     "CMakeUserPresets.json", "CTestConfig*", NULL};

const struct runner runner_ctest = {
    .name = "ctest",
    .state = sizeof(struct ctest),
    .line = ctest_line,
    .end = ctest_end,
    .tests = tests,
    .config = config,
    .canary_files = canary_files,
    .canary = ctest_canary,
};
