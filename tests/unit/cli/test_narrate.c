/* Contract: events in words: nothing raw of an agent or repository, one table for run and log, nothing for events that
 * nobody reads; tasks in words, with what to type next and the exit status; bills that add up exactly. */
#include "cli/bill.h"
#include "cli/command.h"
#include "cli/narrate.h"
#include "cli/outcome.h"
#include "cli/session.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct screen plain;

static void begin(void)
{
    ctx = mem_root();
    setenv("TZ", "UTC", 1);
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static struct json doc(const char *text)
{
    struct json root;
    struct err err = {0};
    ck_assert_msg(json_parse(ctx, str_of(text), &root, &err) == RC_OK, "%s: %s", text, err.sentence);
    return root;
}

static const char *told(const char *event, enum narrate_detail detail)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    narrate_event(doc(event), detail, &plain, &b);
    return buf_take(&b, ctx);
}

#define EVENT(type, data) "{\"number\":1,\"time\":\"2026-05-04T03:02:01.234Z\",\"type\":\"" type "\",\"data\":" data "}"

static const struct {
    const char *event, *run;
} events[] = {
    {EVENT("iteration.started", "{\"iteration\":2,\"limit\":10}"), "Iteration 2 of 10\n"},
    {EVENT("iteration.started", "{}"), "Iteration 0\n"},
    {EVENT("agent.text", "{\"text\":\"I look.\\nThen more.\"}"), "  agent     I look. ...\n"},
    {EVENT("agent.text", "{\"text\":\"\\u001b[2J\\u009b31m\\u202e\"}"), "  agent     \\x1b[2J\\x9b31m\\u{202e}\n"},
    {EVENT("agent.text", "{\"text\":\"  \"}"), ""},
    {EVENT("tool.finished", "{\"name\":\"run\",\"summary\":\"run make\",\"exit_code\":2}"),
     "  tool      run make (exit 2)\n"},
    {EVENT("tool.finished", "{\"name\":\"write\",\"summary\":\"a.c\",\"exit_code\":null}"), "  tool      write a.c\n"},
    {EVENT("iteration.committed", "{\"files\":1,\"added\":3,\"removed\":0,\"commit\":\"0123456789abcdef\"}"),
     "  changes   1 file, +3 -0 (0123456789ab)\n"},
    {EVENT("iteration.committed", "{\"changed\":false}"), "  changes   none\n"},
    {EVENT("verdict",
           "{\"iteration\":1,\"verdict\":{\"outcome\":\"red\",\"reason\":\"check_failed\",\"words\":\"test failed\","
           "\"proof_words\":\"\",\"runs\":[{\"kind\":\"base\",\"exit_code\":1,\"tail\":\"no\"},"
           "{\"kind\":\"delivered\",\"exit_code\":1,\"tail\":\"one\\ntwo\\n\"}]}}"),
     "  verdict   check_failed: test failed\n            one\n            two\n"},
    {EVENT("verdict",
           "{\"outcome\":\"proven\",\"words\":\"all green\",\"proof_words\":\"3 new tests: red at base, green now\"}"),
     "  verdict   proven: all green\n            3 new tests: red at base, green now\n"},
    {EVENT("backoff", "{\"seconds\":90,\"words\":\"the server is busy\"}"),
     "  waits     1 min 30 s: the server is busy\n"},
    {EVENT("gate.waiting", "{\"approval\":\"abc1234\",\"gate\":\"plan\",\"subject\":\"First.\\nSecond.\"}"),
     "Approval abc1234: the plan\n            First.\n            Second.\n"},
    {EVENT("hook.finished",
           "{\"when\":\"before-done\",\"command\":\"./gate\",\"words\":\"blocks\",\"exit_code\":2,\"output\":\"no\"}"),
     "  hook      before-done: ./gate: blocks\n            no\n"},
    {EVENT("delivered", "{\"words\":\"on branch nightmill/x\"}"), "  delivered on branch nightmill/x\n"},
    {EVENT("model.usage", "{\"input\":1}"), ""},
    {EVENT("some.future.event", "{\"x\":1}"), ""},
    {EVENT("verdict", "null"), "  verdict   : \n"},
    {"{}", ""},
    {"{\"type\":7,\"data\":[]}", ""},
};

START_TEST(events_in_words)
{
    ck_assert_str_eq(told(events[_i].event, NARRATE_RUN), events[_i].run);
}
END_TEST

START_TEST(log_has_times_and_money)
{
    ck_assert_str_eq(
        told(EVENT("model.usage", "{\"model\":\"m\",\"input\":10,\"cache_read\":5,\"cache_write\":0,\"output\":3,"
                                  "\"cost\":\"0.0031\",\"total\":\"0.42\",\"currency\":\"USD\"}"),
             NARRATE_LOG),
        "03:02:01   model     m: in 15, cached 5, out 3; $0.0031 ($0.42 in all)\n");
    ck_assert_str_eq(told(EVENT("model.usage", "{\"model\":\"m\",\"cost\":null}"), NARRATE_LOG),
                     "03:02:01   model     m: in 0, cached 0, out 0; price unknown\n");
}
END_TEST

START_TEST(long_blocks_are_cut)
{
    const char *many = "{\"when\":\"w\",\"command\":\"c\",\"words\":\"x\",\"exit_code\":1,"
                       "\"output\":\"1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9\\n10\\n11\\n12\\n13\\n14\\n\"}";
    const char *words = told(mem_printf(ctx, "{\"type\":\"hook.finished\",\"data\":%s}", many), NARRATE_RUN);
    ck_assert_ptr_nonnull(strstr(words, "(2 lines before)\n            3\n"));
    ck_assert_ptr_nonnull(strstr(words, "            14\n"));
}
END_TEST

START_TEST(times)
{
    ck_assert_int_eq(time_read_ms(STR("1970-01-01T00:00:01.500Z")), 1500);
    ck_assert_int_eq(time_read_ms(STR("2026-05-04T03:02:01.234Z")), INT64_C(1777863721234));
    ck_assert_int_eq(time_read_ms(STR("2026-05-04T03:02:01Z")), INT64_C(1777863721000));
    static const char *const bad[] = {"", "Z", "2026", "2026-05-04T03:02:01", "xxxx-05-04T03:02:01Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(time_read_ms(str_of(bad[i])), -1);
}
END_TEST

static const struct {
    const char *task;
    int status;
    const char *next; /* a line that must be there */
} outcomes[] = {
    {"{\"state\":\"done\",\"branch\":\"nightmill/x\",\"id\":\"abc\"}", 0, "git merge nightmill/x "},
    {"{\"state\":\"done\",\"branch\":\"nightmill/x\",\"applied\":true,\"id\":\"abc\"}", 0, "nightmill undo abc "},
    {"{\"state\":\"unproven\",\"id\":\"abc\"}", 6, "nightmill diff abc "},
    {"{\"state\":\"needs_you\",\"reason\":\"approval\",\"id\":\"abc\",\"approvals\":[{\"id\":\"old\",\"outcome\":\"approved\"},"
     "{\"id\":\"new\",\"outcome\":\"waiting\"}]}",
     7, "nightmill approve new "},
    {"{\"state\":\"needs_you\",\"reason\":\"stuck_same_failure\",\"id\":\"abc\"}", 7, "nightmill hint abc \"...\""},
    {"{\"state\":\"needs_you\",\"reason\":\"price\",\"id\":\"abc\",\"model\":{\"name\":\"it's\"}}", 7,
     "nightmill price set 'it'\\''s' --input"},
    {"{\"state\":\"paused\",\"reason\":\"limit_iterations\",\"iteration_limit\":12,\"id\":\"abc\"}", 8,
     "nightmill resume abc --iterations 24 "},
    {"{\"state\":\"paused\",\"reason\":\"limit_money\",\"id\":\"abc\"}", 8, "nightmill resume abc --budget AMOUNT"},
    {"{\"state\":\"paused\",\"reason\":\"user\",\"id\":\"abc\"}", 7, "nightmill resume abc "},
    {"{\"state\":\"stopped\",\"id\":\"abc\"}", 130, ""},
    {"{\"state\":\"failed\",\"id\":\"abc\"}", 1, "nightmill log abc "},
    {"{\"state\":\"working\",\"id\":\"abc\"}", -1, ""},
    {"{}", -1, ""},
};

START_TEST(outcomes_say_what_to_type)
{
    struct buf b;
    struct json task = doc(outcomes[_i].task), none = {0};
    buf_init(&b, ctx, 1 << 20);
    outcome_summary(task, none, &plain, &b);
    ck_assert_int_eq(outcome_status(task), outcomes[_i].status);
    ck_assert(outcome_rests(task) == (outcomes[_i].status >= 0));
    ck_assert_msg(strstr(b.p, outcomes[_i].next) != NULL, "%s", b.p);
    struct str rest = buf_view(&b), line; /* one blank line would be noise, a tab or escape a danger */
    while (str_line(&rest, &line))
        ck_assert(line.n && !memchr(line.p, '\x1b', line.n));
}
END_TEST

START_TEST(bill_adds_up)
{
    struct buf b;
    struct json ledger = doc(
        "{\"rows\":["
        "{\"iteration\":1,\"model\":\"m\",\"input\":1000,\"cache_read\":500,\"output\":10,\"reasoning\":1,\"cost\":\"0.000000000001\"},"
        "{\"iteration\":1,\"model\":\"m\",\"input\":1000,\"cache_write\":5,\"output\":-1,\"cost\":\"0.000000000002\"},"
        "{\"iteration\":2,\"model\":\"\\u001bm\",\"cost\":null}],"
        "\"spent\":{\"currency\":\"USD\"}}");
    buf_init(&b, ctx, 1 << 20);
    bill_table(ledger, &b);
    ck_assert_ptr_nonnull(strstr(b.p, "2         2,505           500          10           1  $0.000000000003  m\n"));
    ck_assert_ptr_nonnull(strstr(b.p, "unknown  \\x1bm\n"));
    struct json spent =
        doc("{\"total\":\"1.25\",\"held\":\"0.25\",\"currency\":\"USD\",\"input\":1234567,\"requests\":2}");
    ck_assert_str_eq(
        bill_line(ctx, spent, "2.00"),
        "in 1,234,567 (cached 0), out 0 (reasoning 0); $1.25 of $2.00, of which $0.25 is held for answers without figures");
    ck_assert_str_eq(bill_line(ctx, doc("{\"total\":\"0.00\",\"requests\":2,\"unpriced\":2}"), NULL),
                     "in 0 (cached 0), out 0 (reasoning 0); cost unknown");
    ck_assert_str_eq(count_shown(ctx, 999), "999");
    ck_assert_str_eq(count_shown(ctx, -1000), "-1,000");
    ck_assert_ptr_null(amount_shown(ctx, "much", "USD"));
}
END_TEST

START_TEST(json_for_terminals)
{
    struct str raw = STR("{\"a\":\"x\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81\xff\xc3\xa4\"}\n");
    struct str clean = json_printable(ctx, raw);
    ck_assert_str_eq(clean.p, "{\"a\":\"x\\u007f\\u009b\\u202e\\udb40\\udc41?\xc3\xa4\"}\n");
    ck_assert(json_eqz(json_get(doc(clean.p), "a"), "x\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81?\xc3\xa4"));
}
END_TEST

START_TEST(problems_are_read)
{
    struct err err = {0};
    ck_assert_int_eq(
        problem_read(404, STR("{\"title\":\"No such task\",\"code\":\"not_found\",\"hint\":\"look\"}"), &err),
        RC_NOT_FOUND);
    ck_assert_str_eq(err.sentence, "No such task");
    ck_assert_str_eq(err.hint, "look");
    ck_assert_int_eq(problem_read(500, STR("<html>"), &err), RC_UPSTREAM);
    ck_assert_int_eq(problem_read(500, STR("{\"title\":\"x\",\"code\":\"ok\"}"), &err), RC_UPSTREAM);
    ck_assert_int_eq(problem_read(500, STR("{\"title\":\"x\",\"code\":\"nonsense\"}"), &err), RC_BUG);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("narrate");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, events_in_words, 0, sizeof events / sizeof *events);
    tcase_add_test(t, log_has_times_and_money);
    tcase_add_test(t, long_blocks_are_cut);
    tcase_add_test(t, times);
    tcase_add_loop_test(t, outcomes_say_what_to_type, 0, sizeof outcomes / sizeof *outcomes);
    tcase_add_test(t, bill_adds_up);
    tcase_add_test(t, json_for_terminals);
    tcase_add_test(t, problems_are_read);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
