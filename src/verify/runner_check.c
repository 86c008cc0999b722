/* Check (C): "100%: Checks: 5, Failures: 0, Errors: 0". There is no safe way to add a test to a C program's text. */
#include "verify/runner.h"

static void check_line(void *state, struct str s)
{
    struct tally *t = state;
    int64_t percent, checks, failures, errors;
    if (!scan_count(&s, &percent) || !scan_z(&s, "%: Checks: ") || !scan_count(&s, &checks) ||
        !scan_z(&s, ", Failures: ") || !scan_count(&s, &failures) || !scan_z(&s, ", Errors: ") ||
        !scan_count(&s, &errors) || s.n)
        return;
    int64_t bad = failures + errors;
    int64_t right = checks ? (checks - bad) * 100 / checks : 100;
    if (bad > checks || percent < right - 1 || percent > right + 1)
        t->broken = true;
    tally_add_total(t, checks, bad <= checks ? checks - bad : 0, bad, 0);
}

/* Headers of C test libraries: a new one of that name, where compilers are told to look, would replace the assertions.
 */
bool c_shadows(const char *path)
{
    static const char *const names[] = {"assert.h",    "check.h",    "unity.h",   "unity_internals.h", "cmocka.h",
                                        "criterion.h", "gtest.h",    "gmock.h",   "catch.hpp",         "doctest.h",
                                        "munit.h",     "greatest.h", "minunit.h", "setjmp.h",          "stdlib.h",
                                        "stdio.h",     "string.h",   NULL};
    static const char *const folders[] = {"/*",         "include/*",  "src/*",          "lib/*", "inc/*",
                                          "**/gtest/*", "**/gmock/*", "**/criterion/*", NULL};
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    for (const char *const *n = names; *n; n++)
        if (strcmp(base, *n) == 0)
            return globs_match(folders, path);
    return false;
}

static const char *const tests[] = {"check_*.c", NULL};

const struct runner runner_check = {
    .name = "check", .state = sizeof(struct tally), .line = check_line, .tests = tests, .shadows = c_shadows};
