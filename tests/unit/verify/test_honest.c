/* Honest work is proven, and its proof is told as it is. Real git, real sandbox, real frameworks. */
#include "scenario.h"

static const struct scenario scenarios[] = {
    {"new test in an existing file",
     &unittest_project,
     PROVEN,
     "trusted",
     "red_before_green",
     "1 new test: red at base, green now",
     {{"app.py", MORE_PY}, {"tests/test_add.py", TEST_ADD TEST_SUB TEST_MAIN}}},
    {"new test file",
     &unittest_project,
     PROVEN,
     "trusted",
     "red_before_green",
     "red at base, green now",
     {{"app.py", MORE_PY},
      {"tests/test_sub.py",
       "import unittest\n\nimport app\n\n\nclass Sub(unittest.TestCase):\n    def test_sub(self):\n        self.assertEqual(app.sub(3, 2), 1)\n"}}},
    {"refactoring without new tests",
     &unittest_project,
     PROVEN,
     "trusted",
     "no_new_tests",
     "3 tests",
     {{"app.py",
       "def add(first, second):\n    return second + first\n\n\ndef greet(name):\n    return f'hello {name}'\n"}}},
    {"a new test that proves nothing",
     &unittest_project,
     PROVEN,
     "trusted",
     "proves_nothing",
     "green at base too",
     {{"app.py", MORE_PY},
      {"tests/test_add.py", TEST_ADD "\n    def test_more(self):\n        self.assertTrue(True)\n" TEST_MAIN}}},
    {"pytest, new tests",
     &pytest_project,
     PROVEN,
     "trusted",
     "red_before_green",
     "2 new tests: red at base, green now",
     {{"app.py", MORE_PY},
      {"tests/test_sub.py",
       "from app import sub\n\n\ndef test_a():\n    assert sub(3, 2) == 1\n\n\ndef test_b():\n    assert sub(0, 0) == 0\n"}}},
    {"new tests with a new fixture",
     &pytest_project,
     PROVEN,
     "trusted",
     "red_before_green",
     "1 new test: red at base, green now",
     {{"app.py", MORE_PY},
      {"conftest.py", "import pytest\n\n\n@pytest.fixture\ndef three():\n    return 3\n"},
      {"tests/test_sub.py", "from app import sub\n\n\ndef test_a(three):\n    assert sub(three, 2) == 1\n"}}},
    {"node, new tests",
     &node_project,
     PROVEN,
     "trusted",
     "red_before_green",
     "green now",
     {{"app.js", APP_JS "exports.sub = (a, b) => a - b;\n"},
      {"tests/add.test.js", TEST_JS "test('sub', () => { assert.equal(require('../app.js').sub(3, 2), 1); });\n"}}},
    {"shell, refactoring",
     &shell_project,
     PROVEN,
     "trusted",
     "no_new_tests",
     "2 tests",
     {{"app.sh", "#!/bin/sh\nexpr \"$1\" + \"$2\" || :\n", 0755}}},
    {"perl, refactoring",
     &perl_project,
     PROVEN,
     "trusted",
     "no_new_tests",
     "3 tests",
     {{"lib/App.pm", "package App;\nsub add { my ($a, $b) = @_; $a + $b }\n1;\n"}}},
    {"ctest, refactoring",
     &ctest_project,
     PROVEN,
     "trusted",
     "no_new_tests",
     "1 test programs",
     {{"app.sh", "#!/bin/sh\nexpr \"$1\" + \"$2\" || :\n", 0755}}},
    {"meson, refactoring",
     &meson_project,
     PROVEN,
     "trusted",
     "no_new_tests",
     "1 test programs",
     {{"app.sh", "#!/bin/sh\nexpr \"$1\" + \"$2\" || :\n", 0755}}},
    {"tests that were red before",
     &red_project,
     PROVEN,
     NULL,
     "red_before_green",
     "was red at base",
     {{"app.py", APP_PY}}},
    {"an honest change of the configuration",
     &pytest_project,
     PROVEN,
     "trusted",
     NULL,
     "also without the changes to protected files",
     {{"app.py", MORE_PY},
      {"pyproject.toml",
       "[project]\nname = 'a'\nversion = '1'\n\n[tool.pytest.ini_options]\ntestpaths = ['tests']\n"}}},
};

START_TEST(each_scenario)
{
    scenario_run(&scenarios[_i]);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("honest");
    TCase *t = tcase_create("honest");
    tcase_add_loop_test(t, each_scenario, 0, (int)(sizeof scenarios / sizeof scenarios[0]));
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return sample_main(argc, argv, suite);
}
