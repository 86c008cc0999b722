/* counts_read: what each framework prints is counted; what contradicts itself, lies or floods is not believed. */
#include "verify/private.h"
#include <check.h>
#include <stdio.h>

struct sample {
    const char *name, *output;
    const char *framework; /* NULL: nothing may be recognised */
    int total, passed, failed, skipped;
};

#define TAP_HEAD "TAP version 13\n"
static const struct sample samples[] = {
    /* pytest */
    {"pytest framed", "collected 4 items\n\n===== 1 failed, 2 passed, 1 skipped in 0.12s =====\n", "pytest", 4, 2, 1,
     1},
    {"pytest bare", "..\n2 passed in 0.01s\n", "pytest", 2, 2, 0, 0},
    {"pytest long", "==== 7 passed, 3 warnings in 65.30s (0:01:05) ====\n", "pytest", 7, 7, 0, 0},
    {"pytest outcomes", "== 1 passed, 1 xfailed, 1 xpassed, 2 deselected, 1 error in 1.00s ==\n", "pytest", 6, 2, 1, 3},
    {"pytest none", "===== no tests ran in 0.00s =====\n", "pytest", 0, 0, 0, 0},
    {"pytest colours", "\033[32m\033[32m\033[1m3 passed\033[0m\033[32m in 0.02s\033[0m\n", "pytest", 3, 3, 0, 0},
    {"pytest subtests", "1 passed, 3 subtests passed in 0.02s\n", "pytest", 1, 1, 0, 0},
    {"pytest twice",
     "== test session starts ==\n== 1 passed in 0.1s ==\n== test session starts ==\n== 2 passed in 0.1s ==\n", "pytest",
     3, 3, 0, 0},
    {"pytest forged last line", "== test session starts ==\n90 passed in 0.01s\n== 1 passed in 0.1s ==\n", NULL},
    {"pytest prose", "5 apples in 3s\nwe passed in 2020\n5 passed\n12 passed in a while\n", NULL},
    {"pytest only warnings", "3 warnings in 0.10s\n", NULL},
    {"pytest negative", "-5 passed in 0.10s\n", NULL},
    {"pytest huge", "99999999999999999999999 passed in 0.10s\n", NULL},
    {"pytest large", "10000001 passed in 0.10s\n", NULL},
    {"pytest sums too large", "9000000 passed in 0.1s\n9000000 passed in 0.1s\n", NULL},
    {"pytest cut off", "===== 3 passed in", NULL},
    /* unittest */
    {"unittest", "....\n-----\nRan 4 tests in 0.001s\n\nOK\n", "unittest", 4, 4, 0, 0},
    {"unittest one", "Ran 1 test in 0.000s\n\nOK\n", "unittest", 1, 1, 0, 0},
    {"unittest failed", "Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=1, skipped=1)\n", "unittest", 5, 2, 2, 1},
    {"unittest skipped", "Ran 3 tests in 0.001s\n\nOK (skipped=2, expected failures=1)\n", "unittest", 3, 0, 0, 3},
    {"unittest subtests count once", "Ran 4 tests in 0.001s\n\nFAILED (failures=9)\n", "unittest", 4, 0, 4, 0},
    {"unittest class set-up", "Ran 0 tests in 0.000s\n\nFAILED (errors=1)\n", "unittest", 1, 0, 1, 0},
    {"unittest none", "Ran 0 tests in 0.000s\n\nNO TESTS RAN\n", "unittest", 0, 0, 0, 0},
    {"unittest none before 3.12", "Ran 0 tests in 0.000s\n\nOK\n", "unittest", 0, 0, 0, 0},
    {"unittest several", "Ran 2 tests in 0.1s\n\nOK\nRan 3 tests in 0.1s\n\nOK\n", "unittest", 5, 5, 0, 0},
    {"unittest ended early", "Ran 3 tests in 0.1s\n", NULL},
    {"unittest OK with failures", "Ran 3 tests in 0.1s\n\nOK (failures=1)\n", NULL},
    {"unittest prose", "Ran three tests in 1s\nOK\n", NULL},
    /* node --test */
    {"node spec",
     "\xe2\x84\xb9 tests 6\n\xe2\x84\xb9 suites 1\n\xe2\x84\xb9 pass 3\n\xe2\x84\xb9 fail 1\n\xe2\x84\xb9 cancelled 0\n"
     "\xe2\x84\xb9 skipped 1\n\xe2\x84\xb9 todo 1\n\xe2\x84\xb9 duration_ms 159.2\n",
     "node", 6, 3, 1, 2},
    {"node tap is not counted twice",
     TAP_HEAD
     "ok 1 - a\nok 2 - b\n1..2\n# tests 2\n# suites 0\n# pass 2\n# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n# duration_ms 5\n",
     "node", 2, 2, 0, 0},
    {"node cancelled", "# tests 2\n# pass 1\n# fail 0\n# cancelled 1\n# skipped 0\n# todo 0\n", "node", 2, 1, 1, 0},
    {"node sums differ", "# tests 9\n# pass 1\n# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n", NULL},
    {"node cut off", "# tests 2\n# pass 2\n# fail 0\n", NULL},
    /* jest, vitest, mocha */
    {"jest",
     "Test Suites: 1 passed, 1 total\nTests:       1 failed, 2 skipped, 1 todo, 3 passed, 7 total\nSnapshots:   0 total\n",
     "jest", 7, 3, 1, 3},
    {"jest sums differ", "Tests:       5 passed, 3 total\n", NULL},
    {"jest no total", "Tests:       5 passed\n", NULL},
    {"vitest", " Test Files  1 passed (1)\n      Tests  1 failed | 3 passed | 1 skipped | 1 todo (6)\n", "vitest", 6, 3,
     1, 2},
    {"vitest none", "      Tests  no tests\n", "vitest", 0, 0, 0, 0},
    {"vitest sums differ", "      Tests  3 passed (4)\n", NULL},
    {"mocha", "\n  3 passing (5ms)\n  1 pending\n  2 failing\n\n", "mocha", 6, 3, 2, 1},
    {"mocha prose", "  3 failing\n  2 pending\n", NULL},
    /* go */
    {"go verbose",
     "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n=== RUN   TestB/x\n    --- FAIL: TestB/x (0.00s)\n--- FAIL: TestB (0.00s)\n"
     "=== RUN   TestC\n--- SKIP: TestC (0.00s)\nFAIL\nFAIL\texample.org/a\t0.002s\n",
     "go", 4, 1, 2, 1},
    {"go verbose, ended early",
     "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\nok  \texample.org/a\t0.002s\n", "go", 2, 1, 1, 0},
    {"go verbose, forged", "=== RUN   TestA\n--- PASS: TestX (0.00s)\n--- PASS: TestA (0.00s)\nok  \ta\t0.002s\n",
     NULL},
    {"go packages",
     "ok  \texample.org/a\t0.002s\nok  \texample.org/b\t(cached)\n?   \texample.org/c\t[no test files]\n", "go", 2, 2,
     0, 0},
    {"go build failed", "# a\n./a.go:1:1: oops\nFAIL\ta [build failed]\nFAIL\n", "go", 1, 0, 1, 0},
    {"go no tests", "ok  \texample.org/a\t0.002s [no tests to run]\n", "go", 0, 0, 0, 0},
    {"go json",
     "{\"Action\":\"start\",\"Package\":\"a\"}\n{\"Action\":\"run\",\"Package\":\"a\",\"Test\":\"TestA\"}\n"
     "{\"Action\":\"output\",\"Package\":\"a\",\"Test\":\"TestA\",\"Output\":\"--- PASS: TestA (0.00s)\\n\"}\n"
     "{\"Action\":\"pass\",\"Package\":\"a\",\"Test\":\"TestA\"}\n{\"Action\":\"skip\",\"Package\":\"a\",\"Test\":\"TestB\"}\n"
     "{\"Action\":\"pass\",\"Package\":\"a\"}\n",
     "go", 2, 1, 0, 1},
    {"go json, not JSON", "{\"Action\":\"pass\",\"Package\":\"a\",\"Test\":\n", NULL},
    /* cargo */
    {"cargo",
     "running 3 tests\ntest a ... ok\ntest result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n",
     "cargo", 5, 1, 1, 3},
    {"cargo several",
     "running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\nrunning 0 tests\n"
     "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
     "cargo", 1, 1, 0, 0},
    {"cargo sums differ",
     "running 1 test\ntest result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", NULL},
    {"cargo ok with failures", "test result: ok. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n", NULL},
    /* TAP */
    {"tap",
     "1..4\nok 1 - a\nnot ok 2 - b\nok 3 # SKIP no\nnot ok 4 - d # TO"
     "DO later\n",
     "tap", 4, 1, 1, 2},
    {"tap plan last", "ok 1\nok 2\n1..2\n", "tap", 2, 2, 0, 0},
    {"tap cut off", "1..5\nok 1\nok 2\n", "tap", 5, 2, 3, 0},
    {"tap bail out", "1..1\nok 1\nBail out!  no database\n", "tap", 2, 1, 1, 0},
    {"tap skip all", "1..0 # SKIP nothing here\n", "tap", 0, 0, 0, 0},
    {"tap streams", "1..1\nok 1\n1..2\nok 1\nok 2\n", "tap", 3, 3, 0, 0},
    {"tap subtests", "    ok 1 - inner\n    1..1\nok 1 - outer\n1..1\n", "tap", 1, 1, 0, 0},
    {"tap plan too large", "1..99999999999\nok 1\n", "tap", 1, 1, 0, 0},
    {"tap plan large", "1..9000000\n1..9000000\nok 1\n", NULL},
    {"tap prose", "ok then\nok  \tpackage\t0.1s elapsed\nnot okay\n", NULL},
    {"tap crlf", "1..1\r\nok 1 - a\r\n", "tap", 1, 1, 0, 0},
    /* prove */
    {"prove",
     "t/a.t .. \nDubious, test returned 1 (wstat 256, 0x100)\nFailed 1/3 subtests \n\t(less 1 skipped subtest: 1 okay)\nt/b.t .. ok\n\n"
     "Test Summary Report\n-------------------\nt/a.t (Wstat: 256 (exited 1) Tests: 3 Failed: 1)\n  Failed test:  2\n"
     "Files=2, Tests=5,  1 wallclock secs ( 0.04 usr)\nResult: FAIL\n",
     "prove", 5, 3, 1, 1},
    {"prove verbose is not counted twice",
     "t/a.t .. \n1..1\nok 1 - a\nok\nAll tests successful.\nFiles=1, Tests=1,  0 wallclock secs\nResult: PASS\n",
     "prove", 1, 1, 0, 0},
    {"prove, script that ended badly",
     "t/a.t .. \nDubious, test returned 2 (wstat 512, 0x200)\nAll 2 subtests passed \n\nTest Summary Report\n"
     "t/a.t (Wstat: 512 (exited 2) Tests: 2 Failed: 0)\n  Non-zero exit status: 2\nFiles=1, Tests=2,  0 wallclock secs\nResult: FAIL\n",
     "prove", 2, 1, 1, 0},
    {"prove, more failed than there are",
     "a.t (Wstat: 0 Tests: 2 Failed: 5)\nFiles=1, Tests=2,  0 wallclock secs\nResult: FAIL\n", NULL},
    {"prove no tests", "Files=1, Tests=0,  0 wallclock secs\nResult: NOTESTS\n", "prove", 0, 0, 0, 0},
    /* ctest */
    {"ctest",
     "2/5 Test #2: b ....***Skipped   0.00 sec\n\n50% tests passed, 2 tests failed out of 4\n\nTotal Test time (real) =   0.04 sec\n\n"
     "The following tests did not run:\n\t  2 - b (Skipped)\n\t  3 - c (Disabled)\n\nThe following tests FAILED:\n\t  4 - d (Not Run)\n",
     "ctest", 5, 1, 2, 2},
    {"ctest good", "100% tests passed, 0 tests failed out of 5\n", "ctest", 5, 5, 0, 0},
    {"ctest none", "No tests were found!!!\n", "ctest", 0, 0, 0, 0},
    {"ctest more failed than there are", "100% tests passed, 9 tests failed out of 5\n", NULL},
    /* meson */
    {"meson",
     "Ok:                 3   \nExpected Fail:      1   \nFail:               1   \nUnexpected Pass:    0   \nSkipped:            1   \nTimeout:            1   \n",
     "meson", 7, 3, 2, 2},
    {"meson prose", "Fail: 3\nSkipped: 4\n", NULL},
    /* Check and Unity */
    {"check", "50%: Checks: 4, Failures: 1, Errors: 1\na.c:3:F:core:x:0: no\n", "check", 4, 2, 2, 0},
    {"check several", "100%: Checks: 2, Failures: 0, Errors: 0\n100%: Checks: 3, Failures: 0, Errors: 0\n", "check", 5,
     5, 0, 0},
    {"check percent lies", "100%: Checks: 4, Failures: 2, Errors: 0\n", NULL},
    {"unity", "-----------------------\n5 Tests 1 Failures 1 Ignored \nFAIL\n", "unity", 5, 3, 1, 1},
    {"unity contradicts itself", "5 Tests 1 Failures 0 Ignored\nOK\n", NULL},
    {"unity more ignored than there are", "5 Tests 0 Failures 9 Ignored\nOK\n", NULL},
    /* JUnit XML */
    {"junit",
     "<?xml version=\"1.0\"?>\n<testsuites><testsuite name=\"a>b\" tests=\"4\"><testcase name=\"1\"/><testcase name=\"2\"><failure message=\"x\"/></testcase>"
     "<testcase name=\"3\"><skipped/></testcase><testcase name=\"4\"><system-out><![CDATA[<testcase/><failure/>]]></system-out></testcase></testsuite></testsuites>",
     "junit", 4, 2, 1, 1},
    {"junit comment", "<testsuite tests='1'><!-- <testcase/> --><testcase><error/></testcase></testsuite>", "junit", 1,
     0, 1, 0},
    {"junit claims tests", "<testsuite tests=\"5\"></testsuite>", NULL},
    {"junit cut off", "<testsuite><testcase name=\"a\"><fail", NULL},
    {"junit other xml", "<html><testcase/></html>", NULL},
    /* several, hostile, empty */
    {"two frameworks add up", "Ran 4 tests in 0.1s\n\nOK\n2 passed in 0.1s\n", "unittest", 6, 6, 0, 0},
    {"a broken one beside a good one", "Tests:       5 passed, 3 total\n2 passed in 0.1s\n", "pytest", 2, 2, 0, 0},
    {"progress bar", "10%\r50%\r2 passed in 0.1s\r\n", "pytest", 2, 2, 0, 0},
    {"unclosed escapes", "\033[\033]\033", NULL},
    {"words only", "all tests passed\nSUCCESS\n", NULL},
    {"empty", "", NULL},
};

START_TEST(each_sample)
{
    const struct sample *s = &samples[_i];
    struct test_counts c;
    bool known = counts_read(str_of(s->output), &c);
    ck_assert_msg(known == (s->framework != NULL), "%s: recognised as %s", s->name,
                  c.framework ? c.framework : "nothing");
    if (!known)
        return;
    ck_assert_msg(strcmp(c.framework, s->framework) == 0, "%s: %s instead of %s", s->name, c.framework, s->framework);
    ck_assert_msg(c.total == s->total && c.passed == s->passed && c.failed == s->failed && c.skipped == s->skipped,
                  "%s: total %d passed %d failed %d skipped %d", s->name, (int)c.total, (int)c.passed, (int)c.failed,
                  (int)c.skipped);
}
END_TEST

/* Coarse counts are marked: they say nothing about single tests. */
START_TEST(coarse_counts)
{
    struct test_counts c;
    ck_assert(counts_read(STR("ok  \ta\t0.1s\n"), &c) && c.coarse);
    ck_assert(counts_read(STR("100% tests passed, 0 tests failed out of 5\n"), &c) && c.coarse);
    ck_assert(counts_read(STR("2 passed in 0.1s\n"), &c) && !c.coarse);
    ck_assert_uint_eq(c.seen, 1u); /* pytest is the first runner */
    ck_assert(counts_read(STR("1 passed, 2 errors in 0.1s\n"), &c) && c.errors == 2);
}
END_TEST

/* Ten megabytes without a line end are stepped over, and what follows is still read. */
START_TEST(long_lines)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n = 10u << 20;
    char *p = mem_array(tmp, char, n + 64);
    memset(p, '1', n);
    struct test_counts c;
    ck_assert(!counts_read(str_n(p, n), &c));
    int more = snprintf(p + n, 64, "\n3 passed in 0.1s\n");
    ck_assert(counts_read(str_n(p, n + (size_t)more), &c) && c.total == 3);
    memset(p, '<', n); /* and for the reader of reports */
    ck_assert(!counts_read(str_n(p, n), &c));
    memset(p, '\033', RUNNER_LINE_MAX);
    ck_assert(!counts_read(str_n(p, RUNNER_LINE_MAX), &c));
}
END_TEST

START_TEST(binary_is_not_text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *p = mem_array(tmp, char, 4096);
    for (size_t i = 0; i < 4096; i++)
        p[i] = (char)(i * 37 % 251);
    ck_assert(!counts_text(str_n(p, 4096)));
    ck_assert(counts_text(STR("plain \033[31mtext\033[0m with caf\xc3\xa9 and one \xff\n")));
    ck_assert(counts_text(STR("")));
    memset(p, 0, 4096);
    ck_assert(!counts_text(str_n(p, 4096)));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("counts");
    TCase *t = tcase_create("counts");
    tcase_add_loop_test(t, each_sample, 0, (int)(sizeof samples / sizeof samples[0]));
    tcase_add_test(t, coarse_counts);
    tcase_add_test(t, long_lines);
    tcase_add_test(t, binary_is_not_text);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
