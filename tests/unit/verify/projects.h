/* The sample projects: each has two functions and tests for them; and scenarios, which change one of them. Not a test
 * by itself. */
#pragma once
#include "sample.h"

#define APP_PY  "def add(a, b):\n    return a + b\n\n\ndef greet(name):\n    return 'hello ' + name\n"
#define BAD_PY  "def add(a, b):\n    return a - b\n\n\ndef greet(name):\n    return 'hello ' + name\n"
#define MORE_PY APP_PY "\n\ndef sub(a, b):\n    return a - b\n"
#define TEST_ADD                                                                                                                                  \
    "import unittest\n\nimport app\n\n\nclass Add(unittest.TestCase):\n    def test_small(self):\n        self.assertEqual(app.add(1, 2), 3)\n\n" \
    "    def test_zero(self):\n        self.assertEqual(app.add(0, 0), 0)\n"
#define TEST_MAIN "\n\nif __name__ == '__main__':\n    unittest.main()\n"
#define TEST_GREET                                                                                                     \
    "import unittest\n\nimport app\n\n\nclass Greet(unittest.TestCase):\n    def test_name(self):\n        self.assertEqual(app.greet('x'), 'hello x')\n"
#define TEST_SUB "\n    def test_sub(self):\n        self.assertEqual(app.sub(3, 2), 1)\n"

static const struct project unittest_project = {
    .name = "unittest",
    .command = "make test",
    .needs = "python3",
    .files = {{"Makefile", "test:\n\tPYTHONPATH=. python3 -m unittest discover -s tests\n"},
              {"app.py", APP_PY},
              {"tests/test_add.py", TEST_ADD TEST_MAIN},
              {"tests/test_greet.py", TEST_GREET}},
};
static const struct project pytest_project = {
    .name = "pytest",
    .command = "python3 -m pytest -q",
    .needs = "pytest",
    .files =
        {{"pyproject.toml", "[tool.pytest.ini_options]\ntestpaths = ['tests']\n"},
         {"app.py", APP_PY},
         {"tests/test_add.py",
          "import pytest\n\nfrom app import add\n\n\n@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_add(n):\n    assert add(n, 1) == n + 1\n\n\n"
          "def test_type():\n    with pytest.raises(TypeError):\n        add(1, 'x')\n"},
         {"tests/test_greet.py", "from app import greet\n\n\ndef test_greet():\n    assert greet('x') == 'hello x'\n"}},
};
#define APP_JS "exports.add = (a, b) => a + b;\nexports.greet = name => 'hello ' + name;\n"
#define BAD_JS "exports.add = (a, b) => a - b;\nexports.greet = name => 'hello ' + name;\n"
#define TEST_JS                                                                                                             \
    "const test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('../app.js');\n\n" \
    "test('small', () => { assert.equal(add(1, 2), 3); });\ntest('zero', () => { assert.strictEqual(add(0, 0), 0); });\n"
static const struct project node_project = {
    .name = "node",
    .command = "npm test",
    .needs = "npm",
    .files =
        {{"package.json",
          "{\"name\": \"a\", \"version\": \"1.0.0\", \"scripts\": {\"test\": \"node --test tests/\"}}\n"},
         {"app.js", APP_JS},
         {"greet.js", "exports.greet = name => 'hello ' + name;\n"},
         {"tests/add.test.js", TEST_JS},
         {"tests/greet.test.js",
          "const test = require('node:test');\nconst assert = require('node:assert');\nconst { greet } = require('../greet.js');\n\n"
          "test('name', () => { assert.equal(greet('x'), 'hello x'); });\n"}},
};
#define APP_SH "#!/bin/sh\necho $(($1 + $2))\n"
#define TEST_SH                                                                                                        \
    "#!/bin/sh\nset -u\ntmp=$(mktemp -d)\ntrap 'rm -rf \"$tmp\"' EXIT\nbad=0\necho 1..2\n"                             \
    "if [ \"$(./app.sh 1 2)\" = 3 ]; then echo 'ok 1 - small'; else echo 'not ok 1 - small'; bad=1; fi\n"              \
    "if [ \"$(./app.sh 0 0)\" = 0 ]; then echo 'ok 2 - zero'; else echo 'not ok 2 - zero'; bad=1; fi\nexit $bad\n"
static const struct project shell_project = {
    .name = "shell",
    .command = "make check",
    .needs = "make",
    .files = {{"Makefile", "check:\n\tsh tests/add.sh\n"}, {"app.sh", APP_SH, 0755}, {"tests/add.sh", TEST_SH, 0755}},
};
/* The base does not have what its tests ask for: the task is to make them green. */
static const struct project red_project = {
    .name = "red",
    .command = "python3 -m unittest discover -s tests",
    .needs = "python3",
    .files =
        {{"app.py", "def greet(name):\n    return 'hello ' + name\n"},
         {"tests/test_add.py",
          "import unittest\n\nfrom app import add\n\n\nclass Add(unittest.TestCase):\n    def test_small(self):\n        self.assertEqual(add(1, 2), 3)\n\n"
          "    def test_zero(self):\n        self.assertEqual(add(0, 0), 0)\n"}},
};

static const struct project perl_project = {
    .name = "perl",
    .command = "prove -Ilib t",
    .needs = "prove",
    .files =
        {{"lib/App.pm", "package App;\nsub add { return $_[0] + $_[1] }\n1;\n"},
         {"t/add.t",
          "use Test::More tests => 2;\nuse App;\nis(App::add(1, 2), 3, 'small');\nok(App::add(0, 0) == 0, 'zero');\n"},
         {"t/more.t", "use Test::More;\nuse App;\nis(App::add(2, 2), 4);\ndone_testing;\n"}},
};
static const struct project ctest_project = {
    .name = "ctest",
    .command = "cmake -S . -B b && ctest --test-dir b",
    .needs = "ctest",
    .files =
        {{"CMakeLists.txt",
          "cmake_minimum_required(VERSION 3.16)\nproject(a NONE)\nenable_testing()\nadd_test(NAME add COMMAND sh ${CMAKE_SOURCE_DIR}/tests/add.sh)\n"},
         {"app.sh", APP_SH, 0755},
         {"tests/add.sh", "test \"$(sh \"$(dirname \"$0\")/../app.sh\" 1 2)\" = 3\n"}},
};
static const struct project meson_project = {
    .name = "meson",
    .command = "meson setup b && meson test -C b",
    .needs = "meson",
    .files = {{"meson.build", "project('a')\ntest('add', find_program('tests/add.sh'))\n"},
              {"app.sh", APP_SH, 0755},
              {"tests/add.sh", "#!/bin/sh\ntest \"$(sh \"$(dirname \"$0\")/../app.sh\" 1 2)\" = 3\n", 0755}},
};
