/* verify_commit: every typed reason, setup, optional checks, leave to change, reports, cancelling, what is kept, and
 * the way through JSON. Detection of checks. Real git, real sandbox. */
#include "projects.h"
#include <fcntl.h>
#include <signal.h>

struct asked {
    mem *ctx;
    struct sample s;
    struct check checks[3];
    struct verify_spec spec;
    struct verdict v;
    struct err err;
};

static void ask_new(struct asked *a, const struct project *p, const struct file *change)
{
    memset(a, 0, sizeof *a);
    a->ctx = mem_root();
    a->s = sample_new(a->ctx, p, change);
    a->checks[0] = (struct check){.name = "test", .command = p->command, .timeout_s = 60, .required = true};
    a->spec = sample_spec(a->ctx, &a->s, a->checks, 1);
}

static void ask(struct asked *a, enum verdict_outcome outcome, enum verdict_reason reason, const char *words)
{
    enum rc rc = verify_commit(a->ctx, &a->spec, &a->v, &a->err);
    ck_assert_msg(rc == RC_OK, "%s %s", a->err.sentence, a->err.detail);
    const char *told = verdict_told(a->ctx, &a->v);
    ck_assert_msg(a->v.outcome == outcome && a->v.reason == reason, "%s", told);
    ck_assert_msg(!words || strstr(a->v.words, words), "%s", told);
}

static size_t runs_of(const struct verdict *v, const char *kind)
{
    size_t n = 0;
    for (const struct verdict_run *r = v->runs; r; r = r->next)
        n += strcmp(r->kind, kind) == 0;
    return n;
}

static const struct file better[] = {{"app.py", MORE_PY}, {0}};
static const struct file worse[] = {{"app.py", BAD_PY}, {0}};

#define NEED(program)                                                                                                  \
    if (!sample_program(program)) {                                                                                    \
        printf("skipped: %s is not installed\n", program);                                                             \
        return;                                                                                                        \
    }

START_TEST(no_check)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.spec.check_count = 0;
    ask(&a, VERDICT_NOT_PROVEN, REASON_NO_CHECK, "there is no check");
    a.spec.check_count = 1;
    a.checks[0].required = false;
    ask(&a, VERDICT_NOT_PROVEN, REASON_NO_CHECK, "no check is required");
    ck_assert_ptr_null(a.v.runs);
    mem_free(a.ctx);
}
END_TEST

/* A check that nobody could start is nobody's fault; one that the change broke is the agent's to mend. */
START_TEST(could_not_start)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.checks[0].command = "no-such-program --test";
    ask(&a, VERDICT_NOT_PROVEN, REASON_COULD_NOT_START, "at the base");
    mem_free(a.ctx);

    struct project p = unittest_project;
    p.files[4] = (struct file){"tools/start", "#!/bin/sh\necho 1..1\necho ok 1 - a\n", 0755};
    const struct file gone[] = {{"app.py", MORE_PY}, {"tools/start", NULL}, {0}};
    ask_new(&a, &p, gone);
    a.checks[0].command = "./tools/start";
    ask(&a, VERDICT_RED, REASON_COULD_NOT_START, "exit status 127");
    ck_assert(a.v.feedback.n > 0);
    mem_free(a.ctx);
}
END_TEST

START_TEST(timed_out)
{
    struct asked a;
    const struct file hangs[] = {{"app.py", "while True:\n    pass\n"}, {0}};
    ask_new(&a, &unittest_project, hangs);
    a.checks[0].timeout_s = 3;
    ask(&a, VERDICT_RED, REASON_TIMED_OUT, "timed out after 3 s");
    mem_free(a.ctx);

    ask_new(&a, &unittest_project, better);
    a.checks[0] = (struct check){.name = "test", .command = "sleep 100", .timeout_s = 1, .required = true};
    ask(&a, VERDICT_NOT_PROVEN, REASON_TIMED_OUT, "at the base");
    mem_free(a.ctx);
}
END_TEST

START_TEST(no_tests)
{
    struct asked a;
    const struct file none[] = {{"app.py", MORE_PY}, {"tests/test_add.py", NULL}, {"tests/test_greet.py", NULL}, {0}};
    NEED("pytest");
    ask_new(&a, &pytest_project, none);
    ask(&a, VERDICT_RED, REASON_NO_TESTS, "no tests ran"); /* pytest itself says exit status 5 */
    mem_free(a.ctx);
}
END_TEST

START_TEST(unreadable)
{
    struct asked a;
    const struct file noise[] = {{"app.py", "import os\nos.write(1, bytes(range(256)) * 400)\n" MORE_PY}, {0}};
    ask_new(&a, &unittest_project, noise);
    ask(&a, VERDICT_RED, REASON_UNREADABLE, "no text");
    ck_assert(str_utf8(a.v.feedback));
    mem_free(a.ctx);

    const struct file flood[] = {{"app.py", "import os\nwhile True:\n    os.write(1, b'x' * 65536)\n"}, {0}};
    ask_new(&a, &unittest_project, flood);
    ask(&a, VERDICT_RED, REASON_UNREADABLE, "printed too much");
    ck_assert(a.v.feedback.n < 100000);
    mem_free(a.ctx);
}
END_TEST

START_TEST(proof_required)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.spec.require_proof = true;
    ask(&a, VERDICT_NOT_PROVEN, REASON_NO_PROOF, "no new or changed tests");
    mem_free(a.ctx);

    const struct file proof[] = {{"app.py", MORE_PY}, {"tests/test_add.py", TEST_ADD TEST_SUB TEST_MAIN}, {0}};
    ask_new(&a, &unittest_project, proof);
    a.spec.require_proof = true;
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    mem_free(a.ctx);
}
END_TEST

/* The operator's leave: those files stay as delivered, tests that they lose are not missed, and the verdict says so. */
START_TEST(leave_to_change)
{
    struct asked a;
    const char *const allowed[] = {"tests/test_greet.py", NULL};
    const struct file change[] = {{"app.py", "def add(a, b):\n    return a + b\n"}, {"tests/test_greet.py", NULL}, {0}};
    ask_new(&a, &unittest_project, change);
    ask(&a, VERDICT_NOT_PROVEN, REASON_PROTECTED_CHANGED, "tests/test_greet.py");
    a.spec.allow_changes = allowed;
    ask(&a, VERDICT_PROVEN, REASON_NONE, "changed with leave: tests/test_greet.py");
    ck_assert_str_eq(a.v.allowed_changed[0], "tests/test_greet.py");
    ck_assert_ptr_null(a.v.allowed_changed[1]);
    ck_assert_ptr_null(a.v.protected_changed[0]);
    mem_free(a.ctx);

    const struct file more[] = {
        {"app.py", "def add(a, b):\n    return a + b\n"},
        {"tests/test_greet.py", NULL},
        {"tests/test_add.py",
         "import unittest\n\nimport app\n\n\nclass Add(unittest.TestCase):\n    def test_small(self):\n        self.assertEqual(app.add(1, 2), 3)\n"},
        {0}};
    ask_new(&a, &unittest_project, more); /* leave for one file is none for another */
    a.spec.allow_changes = allowed;
    ask(&a, VERDICT_NOT_PROVEN, REASON_FEWER_TESTS, NULL);
    mem_free(a.ctx);
}
END_TEST

/* Globs of the project protect more, and what a Makefile calls by the name of a check belongs to the check. */
START_TEST(protected_by_others)
{
    struct asked a;
    const char *const globs[] = {"data/**", NULL};
    struct project p = {
        .name = "data",
        .command = "make test",
        .files = {{"Makefile", "test:\n\t@python3 tools/check.py\n"},
                  {"tools/check.py",
                   "import app\nassert open('data/want').read() == app.say()\nprint('1..1\\nok 1 - same')\n"},
                  {"data/want", "hello"},
                  {"app.py", "def say():\n    return 'hello'\n"}}};
    const struct file bent[] = {{"app.py", "def say():\n    return 'bye'\n"}, {"data/want", "bye"}, {0}};
    p.files[0].text = "test:\n\t@PYTHONPATH=. python3 tools/check.py\n";
    ask_new(&a, &p, bent);
    a.checks[0].defined_in = "Makefile";
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    a.spec.protect = globs;
    ask(&a, VERDICT_NOT_PROVEN, REASON_PROTECTED_CHANGED, "data/want");
    mem_free(a.ctx);

    const struct file script[] = {
        {"app.py", "def say():\n    return 'bye'\n"}, {"tools/check.py", "print('1..1\\nok 1 - same')\n"}, {0}};
    ask_new(&a, &p, script);
    a.checks[0].defined_in = "Makefile";
    ask(&a, VERDICT_NOT_PROVEN, REASON_PROTECTED_CHANGED, "tools/check.py");
    mem_free(a.ctx);
}
END_TEST

START_TEST(several_checks)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.checks[1] = (struct check){.name = "lint", .command = "echo bad; exit 3", .timeout_s = 10};
    a.spec.check_count = 2;
    ask(&a, VERDICT_PROVEN, REASON_NONE, "optional check lint: exit status 3");
    a.checks[1].required = true;
    ask(&a, VERDICT_RED, REASON_CHECK_FAILED, "lint: exit status 3");
    ck_assert(str_find(a.v.feedback, STR("bad")) >= 0);
    ck_assert(str_find(a.v.feedback, STR("Check \"test\"")) < 0);
    a.checks[1].command = "test -f app.py"; /* quiet and green: nothing more is claimed than is known */
    ask(&a, VERDICT_PROVEN, REASON_NONE, "lint green (tests not counted");
    ck_assert_str_eq(a.v.canary, "trusted");
    ck_assert_ptr_nonnull(strstr(a.v.canary_words, "lint: this proof is missing"));
    mem_free(a.ctx);
}
END_TEST

START_TEST(unknown_framework)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.checks[0].command = "python3 -c 'import app; assert app.add(1, 2) == 3'";
    ask(&a, VERDICT_PROVEN, REASON_NONE, "no framework was recognised");
    ck_assert_str_eq(a.v.canary, "unknown_framework");
    ck_assert_ptr_nonnull(strstr(a.v.canary_words, "this proof is missing"));
    mem_free(a.ctx);
}
END_TEST

/* Setup runs before the check in the same sandbox; what it prints is not counted; when it fails, the check could not
 * start. */
START_TEST(setup_commands)
{
    struct asked a;
    const char *const good[] = {"echo 99 passed in 0.1s > made; cat made", "test -f made", NULL};
    const char *const bad[] = {"true", "echo no network; exit 4", NULL};
    ask_new(&a, &unittest_project, better);
    a.spec.setup = good;
    a.checks[0].command = "test -f made && make test";
    ask(&a, VERDICT_PROVEN, REASON_NONE, "3 tests");
    a.spec.setup = bad;
    ask(&a, VERDICT_NOT_PROVEN, REASON_COULD_NOT_START, "at the base");
    ck_assert(str_find(a.v.feedback, STR("no network")) >= 0);
    mem_free(a.ctx);
}
END_TEST

/* Reports are read where the output says nothing, and only when the run wrote them. */
START_TEST(junit_reports)
{
    struct asked a;
    struct project p = {
        .name = "report",
        .command = "sh make-report",
        .files = {
            {"make-report",
             "mkdir -p reports; echo '<testsuite><testcase name=\"a\"/><testcase name=\"b\"/></testsuite>' > reports/a.xml\n"},
            {"old/junit.xml", "<testsuite><testcase/><testcase/><testcase/></testsuite>"},
            {"app", "1\n"}}};
    const struct file change[] = {{"app", "2\n"}, {0}};
    ask_new(&a, &p, change);
    ask(&a, VERDICT_PROVEN, REASON_NONE, "2 tests");
    ck_assert_str_eq(a.v.runs->counts.framework, "junit");
    mem_free(a.ctx);

    const struct file links[] = {
        {"make-report",
         "mkdir reports; ln -s /etc/passwd reports/a.xml; ln -s ../old reports/more; mkfifo reports/b.xml\n"},
        {0}};
    ask_new(&a, &p, links); /* nothing is followed out of the folder, and nothing blocks */
    ask(&a, VERDICT_NOT_PROVEN, REASON_NO_TESTS, NULL);
    mem_free(a.ctx);
}
END_TEST

/* Equal trees are run once; the base is run once for all verdicts. */
START_TEST(runs_are_kept)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.spec.cache_dir = mem_printf(a.ctx, "%s.cache", a.s.work_dir);
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    ck_assert_uint_eq(runs_of(&a.v, "delivered"), 1);
    ck_assert_uint_eq(runs_of(&a.v, "sealed"), 0);
    ck_assert_uint_eq(runs_of(&a.v, "base"), 1);
    ck_assert_uint_eq(runs_of(&a.v, "base-canary"), 1);
    ck_assert_uint_eq(runs_of(&a.v, "canary"), 1);
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    ck_assert_uint_eq(runs_of(&a.v, "base-canary"), 0);
    ck_assert_uint_eq(runs_of(&a.v, "base"), 1); /* shown, from the cache */
    for (const struct verdict_run *r = a.v.runs; r; r = r->next)
        ck_assert_msg(strcmp(r->kind, "base") != 0 || (!r->log && r->counts.total == 3), "%s", r->kind);
    const char *const setup[] = {"true", NULL};
    a.spec.setup = setup; /* another setup is another base */
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    ck_assert_uint_eq(runs_of(&a.v, "base-canary"), 1);
    mem_free(a.ctx);
}
END_TEST

START_TEST(damaged_cache)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.spec.cache_dir = mem_printf(a.ctx, "%s.cache", a.s.work_dir);
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    CLEANUP_MEM mem *tmp = mem_root();
    const char *sh[] = {"sh", "-c", "for f in \"$0\"/*; do echo '{\"key\": 1' > \"$f\"; done", a.spec.cache_dir, NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct proc_spec damage = {.argv = sh, .env = env, .new_session = true};
    struct proc_result r;
    ck_assert(proc_run(tmp, &damage, STR(""), 1000, 10000, -1, &r, NULL) == RC_OK && r.exit_code == 0);
    ask(&a, VERDICT_PROVEN, REASON_NONE, NULL);
    ck_assert_uint_eq(runs_of(&a.v, "base-canary"), 1);
    mem_free(a.ctx);
}
END_TEST

START_TEST(cancelled)
{
    struct asked a;
    int p[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq((int)write(p[1], "x", 1), 1);
    ask_new(&a, &unittest_project, better);
    a.spec.cancel_fd = p[0];
    ck_assert(verify_commit(a.ctx, &a.spec, &a.v, &a.err) == RC_CANCELLED);
    close(p[0]);
    close(p[1]);
    ck_assert_int_ne(access(mem_printf(a.ctx, "%s/%.12s/tree", a.s.work_dir, a.s.candidate), F_OK), 0);
    mem_free(a.ctx);
}
END_TEST

/* Trouble with the sandbox is no verdict about the commit. */
START_TEST(sandbox_trouble)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    setenv("NIGHTMILL_PROGRAM", "/nonexistent/nightmill", 1);
    setenv("PATH", "/nonexistent", 1);
    a.spec.limits.tmp_bytes = -1;
    enum rc rc = verify_commit(a.ctx, &a.spec, &a.v, &a.err);
    if (rc == RC_OK && a.v.outcome == VERDICT_PROVEN) { /* this sandbox needs neither */
        printf("skipped: nothing here keeps the sandbox from starting\n");
    } else if (rc == RC_OK) {
        ck_assert_msg(a.v.reason == REASON_SANDBOX, "%s", verdict_told(a.ctx, &a.v));
        ck_assert(a.v.outcome == VERDICT_NOT_PROVEN && a.v.words[0]);
    }
    mem_free(a.ctx);
}
END_TEST

START_TEST(without_sandbox)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.spec.no_sandbox = true;
    ask(&a, VERDICT_PROVEN, REASON_NONE, "3 tests");
    ck_assert_ptr_nonnull(strstr(a.v.user_words, "no sandbox"));
    mem_free(a.ctx);
}
END_TEST

/* Wrong names are errors, not verdicts. */
START_TEST(errors)
{
    struct asked a;
    ask_new(&a, &unittest_project, better);
    a.spec.candidate = "0123456789012345678901234567890123456789";
    ck_assert(verify_commit(a.ctx, &a.spec, &a.v, &a.err) != RC_OK);
    ck_assert(a.err.sentence[0]);
    mem_free(a.ctx);
}
END_TEST

START_TEST(through_json)
{
    struct asked a;
    ask_new(&a, &unittest_project, worse);
    ask(&a, VERDICT_RED, REASON_CHECK_FAILED, NULL);
    ck_assert(str_find(a.v.feedback, STR("AssertionError")) >= 0);
    ck_assert(str_find(a.v.feedback, STR("unittest: 3 tests")) >= 0);
    struct verdict back;
    const char *text = verdict_text(a.ctx, &a.v);
    ck_assert(verdict_read(a.ctx, str_of(text), &back, &a.err) == RC_OK);
    ck_assert_str_eq(verdict_text(a.ctx, &back), text);
    ck_assert(back.outcome == VERDICT_RED && back.reason == REASON_CHECK_FAILED && back.runs && !back.runs->next);
    ck_assert_int_eq(back.runs->counts.failed, 1);
    ck_assert(verdict_read(a.ctx, STR("[]"), &back, &a.err) == RC_INVALID);
    ck_assert(verdict_read(a.ctx, STR("{\"runs\": 3, \"outcome\": [], \"protected_changed\": {\"a\": 1}}"), &back,
                           &a.err) == RC_OK);
    ck_assert(back.outcome == VERDICT_NOT_PROVEN && !back.runs && !back.protected_changed[0]);
    mem_free(a.ctx);
}
END_TEST

/* Feedback keeps to its size whatever the check prints. */
START_TEST(feedback_is_capped)
{
    struct asked a;
    const struct file loud[] = {{"app.py", "print('caf\xc3\xa9 ' * 100000)\nraise SystemExit(1)\n"}, {0}};
    ask_new(&a, &unittest_project, loud);
    a.spec.feedback_max = 1000;
    ask(&a, VERDICT_RED, REASON_CHECK_FAILED, NULL);
    ck_assert_uint_le(a.v.feedback.n, 1000);
    ck_assert(str_utf8(a.v.feedback));
    mem_free(a.ctx);
}
END_TEST

/* ---- detection ---- */

static const struct {
    const char *name;
    struct file files[5];
    const char *commands[3]; /* the first is required */
    const char *defined_in;
} projects[] = {
    {"make test", {{"Makefile", "all:\n\ntest: all\n\ttrue\n"}}, {"make test"}, "Makefile"},
    {"make check", {{"Makefile", ".PHONY: check\nlint check:: all\n\ttrue\n"}}, {"make check"}, "Makefile"},
    {"the file that make reads", {{"GNUmakefile", "check:\n"}, {"Makefile", "test:\n"}}, {"make check"}, "GNUmakefile"},
    {"no target", {{"Makefile", "test := 1\n# test:\n\ttest: x\nlatest:\n"}}, {NULL}, NULL},
    {"npm", {{"package.json", "{\"scripts\": {\"test\": \"jest\"}}"}}, {"npm test"}, "package.json"},
    {"npm's default",
     {{"package.json", "{\"scripts\": {\"test\": \"echo \\\"Error: no test specified\\\" && exit 1\"}}"}},
     {NULL},
     NULL},
    {"npm, broken file", {{"package.json", "{"}}, {NULL}, NULL},
    {"pytest by configuration",
     {{"pyproject.toml", "[tool.pytest.ini_options]\n"}},
     {"python3 -m pytest"},
     "pyproject.toml"},
    {"pytest by its tests", {{"tests/test_a.py", "def test_a():\n    pass\n"}}, {"python3 -m pytest"}, NULL},
    {"unittest",
     {{"tests/test_a.py", "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"}},
     {"python3 -m unittest discover -s 'tests'"},
     NULL},
    {"unittest in a package",
     {{"tests/__init__.py", ""},
      {"tests/test_a.py", "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"}},
     {"python3 -m unittest discover -s 'tests' -t ."},
     NULL},
    {"cargo", {{"Cargo.toml", "[package]\n"}}, {"cargo test"}, "Cargo.toml"},
    {"go", {{"go.mod", "module a\n"}}, {"go test ./..."}, "go.mod"},
    {"ctest",
     {{"CMakeLists.txt", "project(a)\nenable_testing()\n"}},
     {"cmake -S . -B .nightmill-build && cmake --build .nightmill-build && ctest --test-dir .nightmill-build --output-on-failure"},
     "CMakeLists.txt"},
    {"meson",
     {{"meson.build", "project('a')\nsubdir('t')\n"}, {"t/meson.build", "test('a', x)\n"}},
     {"meson setup .nightmill-build && meson test -C .nightmill-build --print-errorlogs"},
     "meson.build"},
    {"best first",
     {{"Makefile", "test:\n"}, {"package.json", "{\"scripts\": {\"test\": \"jest\"}}"}},
     {"make test", "npm test"},
     "Makefile"},
    {"nothing", {{"README", "x\n"}}, {NULL}, NULL},
};

START_TEST(detect)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct project p = {.name = "detect"};
    memcpy(p.files, projects[_i].files, sizeof projects[_i].files);
    struct sample s = sample_new(ctx, &p, NULL);
    struct check *checks;
    size_t n = 0, want = 0;
    struct err err = {0};
    ck_assert(check_detect(ctx, s.git_dir, s.base, &checks, &n, &err) == RC_OK);
    while (projects[_i].commands[want])
        want++;
    ck_assert_msg(n == want, "%s: %zu checks", projects[_i].name, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(strcmp(checks[i].command, projects[_i].commands[i]) == 0, "%s: %s", projects[_i].name,
                      checks[i].command);
        ck_assert(checks[i].required == (i == 0) && checks[i].timeout_s > 0);
        ck_assert(strncmp(checks[i].origin, "found: ", 7) == 0);
    }
    if (n && projects[_i].defined_in)
        ck_assert_str_eq(checks[0].defined_in, projects[_i].defined_in);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("verdict");
    TCase *t = tcase_create("verdict");
    tcase_add_test(t, no_check);
    tcase_add_test(t, could_not_start);
    tcase_add_test(t, timed_out);
    tcase_add_test(t, no_tests);
    tcase_add_test(t, unreadable);
    tcase_add_test(t, proof_required);
    tcase_add_test(t, leave_to_change);
    tcase_add_test(t, protected_by_others);
    tcase_add_test(t, several_checks);
    tcase_add_test(t, unknown_framework);
    tcase_add_test(t, setup_commands);
    tcase_add_test(t, junit_reports);
    tcase_add_test(t, runs_are_kept);
    tcase_add_test(t, damaged_cache);
    tcase_add_test(t, cancelled);
    tcase_add_test(t, sandbox_trouble);
    tcase_add_test(t, without_sandbox);
    tcase_add_test(t, errors);
    tcase_add_test(t, through_json);
    tcase_add_test(t, feedback_is_capped);
    tcase_add_loop_test(t, detect, 0, (int)(sizeof projects / sizeof projects[0]));
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return sample_main(argc, argv, suite);
}
