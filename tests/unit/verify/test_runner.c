/* The register of runners, what is read from test files, and where a failing test is put into them. */
#include "base/text.h"
#include "verify/private.h"
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

/* Each runner_*.c has its line in runners.def, and the other way round. */
START_TEST(register_is_complete)
{
    const char *source = getenv("NIGHTMILL_SOURCE");
    char path[4096];
    size_t files = 0, listed = 0;
    snprintf(path, sizeof path, "%s/src/verify", source ? source : ".");
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char name[64];
        if (sscanf(e->d_name, "runner_%63[a-z_].c", name) != 1)
            continue;
        files++;
        ck_assert_msg(runner_find(name) != NULL, "runner_%s.c has no line in runners.def", name);
    }
    closedir(dir);
    while (runners[listed])
        listed++;
    ck_assert_uint_eq(files, listed);
}
END_TEST

/* A runner that is covered exists, one that plants says where, and a reader of single tests has no gaps. */
START_TEST(descriptors_agree)
{
    for (size_t i = 0; runners[i]; i++) {
        const struct runner *r = runners[i];
        for (const char *const *c = r->covers; c && *c; c++)
            ck_assert_ptr_nonnull(runner_find(*c));
        ck_assert_msg(!r->canary == !r->canary_files, "%s", r->name);
        ck_assert_msg(!r->line || r->state >= sizeof(struct tally), "%s", r->name);
        ck_assert_msg(!r->end || r->line, "%s", r->name);
    }
}
END_TEST

static const struct {
    const char *runner, *text;
    int fewest;
} files[] = {
    {"pytest", "def test_a():\n    pass\n\n\nasync def test_b():\n    pass\n", 2},
    {"unittest", "def test_a():\n    pass\n", 0},
    {"unittest",
     "import unittest\nclass A(unittest.TestCase):\n    def test_a(self):\n        pass\n    def helper(self):\n        pass\n    def test_b(self): pass\n",
     2},
    {"pytest",
     "class TestA:\n\tdef test_a(self):\n\t\tdef test_inner(): pass\n\tdef test_b(self): pass\nclass Other:\n    def test_c(self): pass\n",
     2},
    {"pytest", "class TestA:\n    def __init__(self): pass\n    def test_a(self): pass\n", 0},
    {"pytest", "def test_a(): pass\ndef test_a(): pass\n", 1},
    {"pytest", "@pytest.fixture\ndef test_client():\n    return 1\n@mark.slow\ndef test_a(): pass\n", 1},
    {"pytest", "@pytest.fixture(\n    scope='x',\n)\ndef test_client():\n    return 1\n", 0},
    {"pytest", "TEXT = '''\ndef test_in_text(): pass\n'''\nx = [\ndef test_not(): pass\n]\n# def test_c(): pass\n", 0},
    {"pytest", "if X:\n    def test_a(): pass\n", 0},
    {"pytest", "def test_a(): pass\ndel test_a\n", 0},
    {"pytest", "def load_tests(): pass\ndef test_a(): pass\n", 0},
    {"cargo", "#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {}\n    #[test]\n    fn b() {}\n}\n", 2},
    {"cargo", "#[cfg(feature = \"x\")]\nmod tests {\n    #[test]\n    fn a() {}\n}\n", 0},
    {"go",
     "package a\n\nfunc TestA(t *testing.T) {}\nfunc Test_b(t *testing.T) {}\nfunc Testing(t *testing.T) {}\nfunc TestMain(m *testing.M) {}\n",
     2},
    {"go", "//go:build linux\n\nfunc TestA(t *testing.T) {}\n", 0},
    {"node", "test('a', () => {});\nit(\"b\", f);\n  test('inner', f);\ntest(name, f);\n", 2},
    {"node", "const a = `\ntest('no')\n`;\ntest('a', f);\n", 1},
    {"node", "test.only('a', f);\ntest('b', f);\n", 0},
};

START_TEST(fewest_tests)
{
    const struct runner *r = runner_find(files[_i].runner);
    int64_t n = r->fewest(str_of(files[_i].text), r->name);
    ck_assert_msg(n == files[_i].fewest, "case %d (%s): %d", _i, r->name, (int)n);
}
END_TEST

/* A file made to be costly: many classes, many names, many brackets. Memory and time stay in proportion. */
START_TEST(large_files)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 8u << 20);
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "class Test%d:\n    def test_a(self):\n        pass\n", i);
    ck_assert_int_eq(python_fewest(buf_view(&b), "pytest"), 20000);
    buf_clear(&b);
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "def test_%d():\n    pass\n", i);
    ck_assert_int_eq(python_fewest(buf_view(&b), "pytest"), 2000); /* no more in one scope are looked at */
    buf_clear(&b);
    for (int i = 0; i < 200000; i++)
        buf_z(&b, "(\"\x27\x27\x27");
    ck_assert_int_eq(python_fewest(buf_view(&b), "pytest"), 0);
}
END_TEST

/* The short ways through a list of globs say what the long way says. */
START_TEST(globs)
{
    static const char *const list[] = {"Makefile",        "tests/",       "/t/",        "*_test.go",
                                       "/CMakeLists.txt", "*.test.[jt]s", "Makefile.*", "*.egg-info/",
                                       "a/b.c",           "**/x/*y",      "[ab]",       "jest-*.config.*"};
    static const char *const paths[] = {"Makefile",
                                        "a/Makefile",
                                        "Makefile/x",
                                        "tests",
                                        "tests/a",
                                        "x/tests/a/b",
                                        "t/a",
                                        "x/t/a",
                                        "a_test.go",
                                        "x/a_test.go",
                                        "a_test.gox",
                                        "CMakeLists.txt",
                                        "x/CMakeLists.txt",
                                        "a.test.js",
                                        "d/a.test.ts",
                                        "a.test.jsx",
                                        "Makefile.in",
                                        "e.egg-info/p",
                                        "e.egg-info",
                                        "a/b.c",
                                        "x/a/b.c",
                                        "x/y",
                                        "z/x/zy",
                                        "x/z/y",
                                        "a",
                                        "c/b",
                                        "jest-e2e.config.js",
                                        "",
                                        "/"};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        for (size_t k = 0; k < sizeof paths / sizeof paths[0]; k++) {
            const char *const one[] = {list[i], NULL};
            ck_assert_msg(globs_match(one, paths[k]) == text_glob(str_of(list[i]), str_of(paths[k])), "%s, %s", list[i],
                          paths[k]);
        }
}
END_TEST

static const char *planted(mem *ctx, const char *runner, const char *path, const char *text)
{
    struct canary_site site = {.path = path, .name = "xyz", .framework = runner};
    struct buf out;
    buf_init(&out, ctx, 1 << 20);
    return runner_find(runner)->canary(&site, str_of(text), &out) ? buf_take(&out, ctx) : NULL;
}

/* Before what starts the tests, never inside a string, and the file's own text stays. */
START_TEST(python_place)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *text = "S = '''\nif __name__\n'''\nclass A: pass\n\nif __name__ == '__main__':\n    unittest.main()\n";
    const char *out = planted(tmp, "unittest", "test_a.py", text);
    ck_assert_ptr_nonnull(out);
    ck_assert(strncmp(out, text, strlen("S = '''\nif __name__\n'''\nclass A: pass\n")) == 0);
    ck_assert(strstr(out, "class xyzx") < strstr(out, "if __name__ =="));
    ck_assert(strstr(out, "class xyzx") > strstr(out, "class A"));
    ck_assert_ptr_nonnull(planted(tmp, "pytest", "test_a.py", ""));
    ck_assert_ptr_null(planted(tmp, "pytest", "test_a.py", "x = '''\n")); /* open at the end: nowhere to put it */
    ck_assert_ptr_null(strstr(planted(tmp, "pytest", "test_a.py", "x = 1\n"), "pytest.raises"));
    ck_assert_ptr_nonnull(strstr(planted(tmp, "pytest", "test_a.py", "import pytest\n"), "pytest.raises"));
}
END_TEST

START_TEST(javascript_styles)
{
    CLEANUP_MEM mem *tmp = mem_root();
    ck_assert_ptr_nonnull(strstr(planted(tmp, "node", "a.test.js", "const t = require('node:test');\n"),
                                 "const xyzt = require('node:test')"));
    ck_assert_ptr_nonnull(strstr(planted(tmp, "node", "a.test.mjs", "import t from 'node:test';\n"),
                                 "import { test as xyzt } from 'node:test'"));
    ck_assert_ptr_nonnull(
        strstr(planted(tmp, "vitest", "a.test.ts", "import { test } from \"vitest\";\n"), "from 'vitest'"));
    ck_assert_ptr_nonnull(
        strstr(planted(tmp, "jest", "a.test.js", "test('a', () => { expect(1).toBe(1); });\n"), "expect(1).toBe(2)"));
    ck_assert_ptr_null(strstr(planted(tmp, "mocha", "a.test.js", "it('a', () => {});\n"), "expect"));
    ck_assert_ptr_null(planted(tmp, "jest", "a.test.js", "module.exports = 1;\n"));
}
END_TEST

START_TEST(other_places)
{
    CLEANUP_MEM mem *tmp = mem_root();
    ck_assert_ptr_nonnull(
        strstr(planted(tmp, "go", "a_test.go", "package a\nimport \"testing\"\n"), "func Test_xyza(t *testing.T)"));
    ck_assert_ptr_null(planted(tmp, "go", "a_test.go", "package a\n"));
    ck_assert_ptr_nonnull(strstr(planted(tmp, "cargo", "src/lib.rs", "#[test]\nfn a() {}\n"), "assert_eq!(1, 2)"));
    ck_assert_ptr_null(planted(tmp, "cargo", "src/lib.rs", "fn a() {}\n"));
    const char *sh = planted(tmp, "tap", "tests/a.sh", "#!/bin/sh\necho 1..1\n");
    ck_assert(sh && strncmp(sh, "#!/bin/sh\nif [", 14) == 0 && strstr(sh, "echo 1..1"));
    ck_assert_ptr_null(planted(tmp, "tap", "tests/a.sh", "echo 1..1\n"));
    const char *pl = planted(tmp, "prove", "t/a.t", "use Test::More;\nok(1);\ndone_testing;\n__END__\ntext\n");
    ck_assert(pl && strstr(pl, "ok(0") < strstr(pl, "done_testing") && strstr(pl, "ok(1)") < strstr(pl, "ok(0"));
    ck_assert_ptr_nonnull(strstr(planted(tmp, "tap", "a.bats", "@test \"a\" {\n true\n}\n"), "@test \"xyza\""));
    ck_assert_ptr_nonnull(planted(tmp, "ctest", "CMakeLists.txt", "enable_testing()\n"));
    ck_assert_ptr_null(planted(tmp, "ctest", "sub/CMakeLists.txt", "enable_testing()\n"));
    ck_assert_ptr_nonnull(planted(tmp, "meson", "meson.build", "project('a')\n"));
}
END_TEST

START_TEST(inline_tests)
{
    const struct runner *r = runner_find("cargo");
    const char *code = "fn a() {}\n\n", *tests = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n";
    char text[256];
    snprintf(text, sizeof text, "%s%s", code, tests);
    ck_assert_uint_eq(r->inline_tests(str_of(text)), strlen(code));
    ck_assert_uint_eq(r->inline_tests(str_of(code)), strlen(code));
    snprintf(text, sizeof text, "%s%sfn c() {}\n", code, tests); /* code after the tests: one piece */
    ck_assert_uint_eq(r->inline_tests(str_of(text)), strlen(text));
    snprintf(text, sizeof text, "#[cfg(test)]\nuse x;\n%s", code);
    ck_assert_uint_eq(r->inline_tests(str_of(text)), strlen(text));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runner");
    TCase *t = tcase_create("runner");
    tcase_add_test(t, register_is_complete);
    tcase_add_test(t, descriptors_agree);
    tcase_add_loop_test(t, fewest_tests, 0, (int)(sizeof files / sizeof files[0]));
    tcase_add_test(t, large_files);
    tcase_add_test(t, globs);
    tcase_add_test(t, python_place);
    tcase_add_test(t, javascript_styles);
    tcase_add_test(t, other_places);
    tcase_add_test(t, inline_tests);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
