/* Contract: nightmill.yaml is read strictly; every slip is one sentence with line and column; nothing in it widens what
 * the operator allowed. */
#include "base/buf.h"
#include "conf/project.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

START_TEST(whole_file)
{
    struct project p;
    const char *text = "checks:\n"
                       "  test: make test\n"
                       "  lint: {command: ruff check ., timeout: 2m, required: false}\n"
                       "setup: [npm ci, 'make deps']\n"
                       "protect:\n  - spec/**\n"
                       "hooks:\n"
                       "  before-done: [./gate.sh, {command: ./slow.sh, timeout: 5m}]\n"
                       "  on-stop:\n    - notify\n"
                       "limits: {iterations: 20, time: 2h, tokens: 2000000, money: 2.00}\n"
                       "agent:\n  name: builtin\n  model: some-model\n  instructions: |\n    Keep it.\n    Small.\n";
    ck_assert_msg(project_parse(ctx, str_of(text), PROJECT_FILE, &p, &err) == RC_OK, "%s", err.sentence);
    ck_assert_uint_eq(p.check_count, 2);
    ck_assert_str_eq(p.checks[0].name, "test");
    ck_assert_str_eq(p.checks[0].command, "make test");
    ck_assert(p.checks[0].required && !p.checks[0].timeout_s);
    ck_assert_str_eq(p.checks[1].command, "ruff check .");
    ck_assert(!p.checks[1].required && p.checks[1].timeout_s == 120);
    ck_assert_str_eq(p.setup[1], "make deps");
    ck_assert_ptr_null(p.setup[2]);
    ck_assert_str_eq(p.protect[0], "spec/**");
    ck_assert_uint_eq(p.hook_count, 3);
    ck_assert_str_eq(p.hooks[1].when, "before-done");
    ck_assert_str_eq(p.hooks[1].command, "./slow.sh");
    ck_assert_int_eq(p.hooks[1].timeout_s, 300);
    ck_assert_str_eq(p.hooks[2].when, "on-stop");
    ck_assert(p.iterations == 20 && p.time_s == 7200 && p.tokens == 2000000 && p.money == INT64_C(2000000000000));
    ck_assert_str_eq(p.model, "some-model");
    ck_assert_str_eq(p.instructions, "Keep it.\nSmall.\n");
}
END_TEST

START_TEST(empty_file_says_nothing)
{
    static const char *const texts[] = {"", "# comment\n", "~\n", "{}\n"};
    for (size_t i = 0; i < 4; i++) {
        struct project p;
        ck_assert_int_eq(project_parse(ctx, str_of(texts[i]), PROJECT_FILE, &p, &err), RC_OK);
        ck_assert(!p.check_count && !p.hook_count && !p.setup[0] && !p.protect[0] && p.money == -1 && !p.agent);
    }
}
END_TEST

START_TEST(agents_and_servers)
{
    struct project p;
    const char *text = "agent: {arguments: [--a, b]}\n"
                       "agents:\n"
                       "  one: {agent: codex, model: m, instructions: 'Do.', arguments: [-x]}\n"
                       "  two: {agent: builtin}\n"
                       "mcp:\n"
                       "  docs: {command: node, args: [server.js, --q], env: {TOKEN: '${T}', B: c=d}}\n";
    ck_assert_msg(project_parse(ctx, str_of(text), PROJECT_FILE, &p, &err) == RC_OK, "%s", err.sentence);
    ck_assert(p.agent_count == 2 && p.server_count == 1);
    ck_assert_str_eq(p.arguments[1], "b");
    ck_assert_str_eq(p.agents[0].name, "one");
    ck_assert_str_eq(p.agents[0].agent, "codex");
    ck_assert_str_eq(p.agents[0].arguments[0], "-x");
    ck_assert(!p.agents[1].model && !p.agents[1].arguments[0]);
    ck_assert_str_eq(p.servers[0].argv[0], "node");
    ck_assert_str_eq(p.servers[0].argv[2], "--q");
    ck_assert_ptr_null(p.servers[0].argv[3]);
    ck_assert_str_eq(p.servers[0].env[0], "TOKEN=${T}");
    ck_assert_str_eq(p.servers[0].env[1], "B=c=d");
}
END_TEST

static const struct {
    const char *text, *sentence;
} slips[] = {
    {"chekcs: {a: b}\n", "nightmill.yaml:1:1: Unknown key \"chekcs\"; did you mean \"checks\"?"},
    {"allow_check_changes: ['*']\n",
     "nightmill.yaml:1:1: Unknown key \"allow_check_changes\"; known are checks, setup, protect, hooks, limits, agent, agents, mcp, egress."},
    {"checks: make\n", "nightmill.yaml:1:9: \"checks\" must be a map from name to command."},
    {"checks: {}\n", "nightmill.yaml:1:9: \"checks\" must be a map from name to command."},
    {"checks:\n  test:\n", "nightmill.yaml:2:8: \"test\" must be a command, or a map with \"command\"."},
    {"checks:\n  test: '  '\n", "nightmill.yaml:2:9: \"test\" must be a command, or a map with \"command\"."},
    {"checks:\n  test: {timeout: 5}\n", "nightmill.yaml:2:3: The check \"test\" has no command."},
    {"checks:\n  test: {comand: x}\n",
     "nightmill.yaml:2:10: Unknown key \"comand\" of a check; did you mean \"command\"?"},
    {"checks:\n  test: {command: x, required: no}\n", "nightmill.yaml:2:32: \"required\" must be true or false."},
    {"checks:\n  test: {command: x, timeout: 0}\n",
     "nightmill.yaml:2:31: \"timeout\" must be a duration such as 90, 15m or 1h30m."},
    {"checks:\n  test: {command: x, timeout: 2d}\n",
     "nightmill.yaml:2:31: \"timeout\" must be a duration of at most 1 d 00 h."},
    {"checks:\n  a/b: x\n",
     "nightmill.yaml:2:3: The name of a check must be of letters, digits, '-', '_' and '.', at most 64."},
    {"checks:\n  --x: x\n",
     "nightmill.yaml:2:3: The name of a check must be of letters, digits, '-', '_' and '.', at most 64."},
    {"setup: npm ci\n", "nightmill.yaml:1:8: \"setup\" must be a list of commands, at most 100."},
    {"setup: [{a: b}]\n", "nightmill.yaml:1:9: An entry must be a command."},
    {"hooks:\n  before-dome: [x]\n",
     "nightmill.yaml:2:3: Unknown key \"before-dome\" of hooks; did you mean \"before-done\"?"},
    {"hooks:\n  on-stop: x\n", "nightmill.yaml:2:12: \"on-stop\" must be a list of commands, at most 100."},
    {"hooks:\n  on-stop: [{timeout: 5}]\n", "nightmill.yaml:2:13: The hook has no command."},
    {"limits: {iterations: 0}\n", "nightmill.yaml:1:22: \"iterations\" must be a whole number from 1 to 1000."},
    {"limits: {money: -2}\n", "nightmill.yaml:1:17: \"money\" must be an amount such as 2.00."},
    {"agents: {a: codex}\n", "nightmill.yaml:1:13: \"a\" must be a map."},
    {"agents: {a: {model: m}}\n", "nightmill.yaml:1:10: The agent \"a\" does not say which agent it is."},
    {"agents: {a: {agent: x, command: y}}\n", "nightmill.yaml:1:24: Unknown key \"command\" of an agent"},
    {"mcp: {a: {args: [b]}}\n", "nightmill.yaml:1:7: The MCP server \"a\" has no command."},
    {"mcp: {a.b: {command: c}}\n", "nightmill.yaml:1:7: The name of an MCP server has no '.'."},
    {"mcp: {a: {command: c, env: {'A B': c}}}\n",
     "nightmill.yaml:1:29: A variable's name is of letters, digits and '_'."},
    {"agent: builtin\n", "nightmill.yaml:1:8: \"agent\" must be a map."},
    {"- a\n", "nightmill.yaml:1:1: The file must be a map with keys such as \"checks\"."},
    {"checks: [\n", "nightmill.yaml:2:1: Not well-formed YAML"},
    {"\"\\e[31m\": 1\n",
     "nightmill.yaml:1:1: Unknown key \"\\x1b[31m\"; known are checks, setup, protect, hooks, limits, agent, agents, mcp, egress."},
};

START_TEST(slip_is_one_sentence)
{
    struct project p;
    ck_assert_int_eq(project_parse(ctx, str_of(slips[_i].text), PROJECT_FILE, &p, &err), RC_INVALID);
    ck_assert_msg(str_starts(str_of(err.sentence), str_of(slips[_i].sentence)), "%s\nwant %s", err.sentence,
                  slips[_i].sentence);
    ck_assert(!p.check_count && !p.hook_count && p.money == -1);
}
END_TEST

START_TEST(docs_name_every_key)
{
    struct buf b;
    buf_init(&b, ctx, 65536);
    project_markdown(&b);
    ck_assert_ptr_nonnull(strstr(b.p, "| `checks.NAME.timeout` |"));
    ck_assert_ptr_nonnull(strstr(b.p, "| `hooks.before-done` |"));
    ck_assert_ptr_null(strstr(b.p, "allow_check_changes"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("project");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, whole_file);
    tcase_add_test(t, empty_file_says_nothing);
    tcase_add_test(t, agents_and_servers);
    tcase_add_loop_test(t, slip_is_one_sentence, 0, sizeof slips / sizeof slips[0]);
    tcase_add_test(t, docs_name_every_key);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
