/* path_protected and change_protected: which files decide, and are put back. */
#include "verify/private.h"
#include <check.h>

static const char *const extra[] = {"golden/**", "/scripts/bench.sh", NULL};
static const struct check checks[] = {
    {.name = "a", .command = "make test", .defined_in = "build/rules.inc"},
    {.name = "b", .command = "LANG=C sh -e ./tools/check-all.sh --fast"},
    {.name = "c", .command = "./app.py selftest"},
};
static const struct verify_spec spec = {.checks = checks, .check_count = 3, .protect = extra};

static const struct {
    const char *path;
    enum protected_kind kind;
} paths[] = {
    {"src/main.c", PROTECTED_NO},
    {"README.md", PROTECTED_NO},
    {"app.py", PROTECTED_NO}, /* the program under change, though the check runs it */
    {"pkg/types.py", PROTECTED_NO},
    {"src/testing/x.c", PROTECTED_NO},
    {"contest.py", PROTECTED_NO},
    {"latest/x.c", PROTECTED_NO},
    {"docs/Makefile_notes.md", PROTECTED_NO},
    /* the project's own file */
    {"nightmill.yaml", PROTECTED_PROJECT},
    {"sub/nightmill.yaml", PROTECTED_NO},
    /* CI */
    {".github/workflows/ci.yml", PROTECTED_CI},
    {".gitlab-ci.yml", PROTECTED_CI},
    {".ci/run", PROTECTED_CI},
    {"ci/build.sh", PROTECTED_CI},
    {"src/ci/x.c", PROTECTED_NO},
    {".circleci/config.yml", PROTECTED_CI},
    /* what defines a check */
    {"build/rules.inc", PROTECTED_RUNNER},
    {"tools/check-all.sh", PROTECTED_RUNNER},
    {"tools/other.sh", PROTECTED_NO},
    /* runner configuration, some of it ordinary source too */
    {"Makefile", PROTECTED_RUNNER},
    {"sub/Makefile", PROTECTED_RUNNER},
    {"GNUmakefile", PROTECTED_RUNNER},
    {"rules.mk", PROTECTED_RUNNER},
    {"CMakeLists.txt", PROTECTED_RUNNER},
    {"cmake/tests.cmake", PROTECTED_RUNNER},
    {"meson.build", PROTECTED_RUNNER},
    {"package.json", PROTECTED_RUNNER},
    {"packages/a/package.json", PROTECTED_RUNNER},
    {".npmrc", PROTECTED_RUNNER},
    {"node_modules/.bin/jest", PROTECTED_RUNNER},
    {"node_modules", PROTECTED_RUNNER}, /* a link of that name */
    {"jest.config.mjs", PROTECTED_RUNNER},
    {"vitest.config.ts", PROTECTED_RUNNER},
    {".mocharc.yml", PROTECTED_RUNNER},
    {"__mocks__/fs.js", PROTECTED_RUNNER},
    {"conftest.py", PROTECTED_RUNNER},
    {"tests/unit/conftest.py", PROTECTED_RUNNER},
    {"pytest.ini", PROTECTED_RUNNER},
    {"pyproject.toml", PROTECTED_RUNNER},
    {"setup.cfg", PROTECTED_RUNNER},
    {"tox.ini", PROTECTED_RUNNER},
    {"pytest.py", PROTECTED_RUNNER},
    {"pytest/__init__.py", PROTECTED_RUNNER},
    {"sitecustomize.py", PROTECTED_RUNNER},
    {"lib/usercustomize.py", PROTECTED_RUNNER},
    {"x.pth", PROTECTED_RUNNER},
    {"evil.egg-info/entry_points.txt", PROTECTED_RUNNER},
    {"evil-1.0.dist-info/entry_points.txt", PROTECTED_RUNNER},
    {"go.mod", PROTECTED_RUNNER},
    {"vendor/github.com/stretchr/testify/assert/a.go", PROTECTED_RUNNER},
    {"Cargo.toml", PROTECTED_RUNNER},
    {".cargo/config.toml", PROTECTED_RUNNER},
    {"build.rs", PROTECTED_RUNNER},
    {".proverc", PROTECTED_RUNNER},
    /* the operator's own */
    {"golden/a/b.txt", PROTECTED_EXTRA},
    {"scripts/bench.sh", PROTECTED_EXTRA},
    /* tests */
    {"tests/test_a.py", PROTECTED_TEST},
    {"tests/data/big.json", PROTECTED_TEST},
    {"tests", PROTECTED_TEST}, /* a link in the place of the folder */
    {"test_a.py", PROTECTED_TEST},
    {"pkg/a_test.py", PROTECTED_TEST},
    {"pkg/a_test.go", PROTECTED_TEST},
    {"src/a.test.js", PROTECTED_TEST},
    {"src/a.spec.tsx", PROTECTED_TEST},
    {"src/__tests__/a.js", PROTECTED_TEST},
    {"src/__snapshots__/a.snap", PROTECTED_TEST},
    {"t/basic.t", PROTECTED_TEST},
    {"run-tests.sh", PROTECTED_TEST},
    {"test.sh", PROTECTED_TEST},
    {"a.bats", PROTECTED_TEST},
    {"lib/a_spec.rb", PROTECTED_TEST},
    {"test_stack.c", PROTECTED_TEST},
    /* names that would stand in front of the interpreter's own parts */
    {"unittest.py", PROTECTED_SHADOW},
    {"unittest/__init__.py", PROTECTED_SHADOW},
    {"src/argparse.py", PROTECTED_SHADOW},
    {"traceback.cpython-311-x86_64-linux-gnu.so", PROTECTED_SHADOW},
    {"assert.h", PROTECTED_SHADOW},
    {"include/unity.h", PROTECTED_SHADOW},
};

START_TEST(each_path)
{
    enum protected_kind k = path_protected(&spec, paths[_i].path);
    ck_assert_msg(k == paths[_i].kind, "%s: %s", paths[_i].path, protected_name(k));
}
END_TEST

/* New tests are welcome, new runner configuration is not; a module of the project's own may be called like one of the
 * library. */
START_TEST(new_and_old)
{
    static const struct {
        const char *path;
        bool exists;
        enum protected_kind kind;
    } changes[] = {
        {"tests/test_new.py", false, PROTECTED_NO},
        {"tests/test_old.py", true, PROTECTED_TEST},
        {"tests/conftest.py", false, PROTECTED_RUNNER},
        {"conftest.py", true, PROTECTED_RUNNER},
        {"logging.py", true, PROTECTED_NO},
        {"logging.py", false, PROTECTED_SHADOW},
        {"tests/unittest.py", false, PROTECTED_SHADOW},
        {"tests/unittest.py", true, PROTECTED_TEST},
        {"golden/new", false, PROTECTED_EXTRA},
        {"src/new.c", false, PROTECTED_NO},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        enum protected_kind k = change_protected(&spec, changes[i].path, changes[i].exists);
        ck_assert_msg(k == changes[i].kind, "%s, %s: %s", changes[i].path, changes[i].exists ? "old" : "new",
                      protected_name(k));
    }
}
END_TEST

START_TEST(scripts_of_checks)
{
    static const struct {
        const char *command, *script;
    } commands[] = {
        {"./run-checks.sh", "run-checks.sh"},
        {"sh scripts/test.sh -v", "scripts/test.sh"},
        {"bash -eu tools/ci", "tools/ci"},
        {"env A=1 ./verify && true", "verify"},
        {"make all && python3 tools/check.py", "tools/check.py"},
        {"make test", NULL},
        {"./app --selftest", NULL},
        {"python3 spellcheck.py --all", NULL},
        {"./latest.sh", NULL},
        {"/usr/bin/check", NULL},
        {"python3 -m pytest", NULL},
        {"", NULL},
        {"  ;;&&(( ", NULL},
    };
    CLEANUP_MEM mem *tmp = mem_root();
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct check check = {.name = "a", .command = commands[i].command};
        struct verify_spec one = {.checks = &check, .check_count = 1};
        const char *script = command_scripts(tmp, &one)[0];
        ck_assert_msg(!script == !commands[i].script && (!script || strcmp(script, commands[i].script) == 0), "%s: %s",
                      commands[i].command, script ? script : "none");
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("protected");
    TCase *t = tcase_create("protected");
    tcase_add_loop_test(t, each_path, 0, (int)(sizeof paths / sizeof paths[0]));
    tcase_add_test(t, new_and_old);
    tcase_add_test(t, scripts_of_checks);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
