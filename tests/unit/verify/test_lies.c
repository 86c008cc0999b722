/* A program that lies from inside its own test run is not believed. Real git, real sandbox, real frameworks. */
#include "scenario.h"

#define EXIT_FAKED "import os\nos.write(2, b'Ran 3 tests in 0.001s\\n\\nOK\\n')\nos._exit(0)\n"

static const struct scenario scenarios[] = {
    {"exits before the tests",
     &unittest_project,
     NOT(NO_TESTS),
     NULL,
     NULL,
     "names no tests any more",
     {{"app.py", "import os\nos._exit(0)\n"}}},
    {"exits and prints success",
     &unittest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     "stays green",
     {{"app.py", EXIT_FAKED}}},
    {"replaces an assertion",
     &unittest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     "some of them pass",
     {{"app.py", "import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\n" BAD_PY}}},
    {"replaces assertions from a new test file",
     &unittest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     NULL,
     {{"app.py", BAD_PY},
      {"tests/test_aaa.py",
       "import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        pass\n"}}},
    {"lies only for tests that it knows by name",
     &unittest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     "pass all the same",
     {{"app.py",
       "import unittest\nreal = unittest.TestCase.assertEqual\nknown = ('test_small', 'test_zero', "
       "'test_name')\nunittest.TestCase.assertEqual = lambda self, a, b: None if self._testMethodName in known "
       "else real(self, a, b)\n" BAD_PY}}},
    {"lies only for tests that it knows, pytest",
     &pytest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     "pass all the same",
     {{"app.py", "import _pytest.python as p\nreal = p.Function.runtest\np.Function.runtest = lambda self: None if "
                 "self.originalname in ('test_add', 'test_type', 'test_greet') else real(self)\n" BAD_PY}}},
    {"compiled tests in the place of the tests",
     &unittest_project,
     NOT(PROTECTED_CHANGED),
     NULL,
     NULL,
     "__pycache__",
     {{"app.py", BAD_PY},
      {"tests/__pycache__/test_add.cpython-311.pyc", "nonsense"},
      {"tests/test_add.py", NULL},
      {"tests/test_greet.py", TEST_GREET "\n\nclass More(Greet):\n    def test_a(self):\n        pass\n"}}},
    {"turns failures into success",
     &unittest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     NULL,
     {{"app.py",
       "import unittest\nunittest.TestResult.addFailure = unittest.TextTestResult.addFailure = lambda self, test, e: self.addSuccess(test)\n" BAD_PY}}},
    {"exit 0 at the end, failures in the output",
     &unittest_project,
     RED(CHECK_FAILED),
     NULL,
     NULL,
     "1 failed tests",
     {{"app.py", "import atexit, os\natexit.register(os._exit, 0)\n" BAD_PY}}},
    {"pytest's call hook replaced by the program",
     &pytest_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     NULL,
     {{"app.py", "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\n" BAD_PY}}},
    {"node exits before the tests",
     &node_project,
     NOT(FEWER_TESTS),
     NULL,
     NULL,
     "2 instead of 3",
     {{"app.js", "process.exit(0);\n"}}},
    {"node replaces assertions",
     &node_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     NULL,
     {{"app.js", "require('assert').equal = () => {};\n" BAD_JS}}},
    {"base is red, the program prints success",
     &red_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     NULL,
     {{"app.py", "import os\nos.write(2, b'Ran 2 tests in 0.001s\\n\\nOK\\n')\nos._exit(0)\n"}}},
    {"perl exits before the tests, prove sees it",
     &perl_project,
     RED(CHECK_FAILED),
     NULL,
     NULL,
     NULL,
     {{"lib/App.pm", "package App;\nBEGIN { print \"1..0 # SKIP later\\n\"; exit 0 }\n1;\n"}}},
    {"perl replaces assertions",
     &perl_project,
     NOT(NOT_TRUSTED),
     "not_trusted",
     NULL,
     NULL,
     {{"lib/App.pm",
       "package App;\nno warnings;\nsub add { 0 }\nsub Test::Builder::is_eq { $_[0]->ok(1) }\nsub Test::Builder::_is_eq { 1 }\n{ my $ok = \\&Test::Builder::ok; *Test::Builder::ok = sub { $ok->($_[0], 1, $_[2]) } }\n1;\n"}}},
};

START_TEST(each_scenario)
{
    scenario_run(&scenarios[_i]);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lies");
    TCase *t = tcase_create("lies");
    tcase_add_loop_test(t, each_scenario, 0, (int)(sizeof scenarios / sizeof scenarios[0]));
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return sample_main(argc, argv, suite);
}
