/* Contract of the client of the Agent Client Protocol: what is written to the agent and when, what each recorded agent
 * comes to, who answers questions for permission, and that no message of an agent does harm. */
#include "agent/acp.h"
#include "os/path.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct buf told;
static char *asked; /* the id of the last question */

static void set_up(void)
{
    ctx = mem_root();
    buf_init(&told, ctx, 1 << 20);
    asked = NULL;
}

static void tear_down(void)
{
    ctx = mem_free(ctx);
}

static void on_event(void *arg, const struct backend_event *e)
{
    (void)arg;
    ck_assert(str_utf8(e->text));
    buf_printf(&told, "%s%s%s%s %.*s\n", backend_event_name(e->kind), e->failed ? "!" : "", e->name ? " " : "",
               e->name ? e->name : "", STR_FMT(e->text));
}

static void on_question(void *arg, const struct acp_question *q)
{
    (void)arg;
    asked = mem_str(ctx, q->id);
    buf_printf(&told, "question %s %s\n", q->kind, q->title);
}

static struct acp *start(enum backend_approval approval, const char *session)
{
    static const char *const argv[] = {"node", "ev.js", NULL}, *const env[] = {"A=b=c", NULL};
    static const struct backend_server server = {"ev", argv, env};
    struct acp_spec spec = {.cwd = "/workspace",
                            .prompt = STR("Write \"hello.txt\"\n"),
                            .session = session,
                            .servers = &server,
                            .server_count = 1,
                            .approval = approval};
    return acp_new(ctx, &spec, on_event, on_question, NULL);
}

/* What was written since the last time. */
static const char *written(struct acp *a)
{
    const char *text = str_dup(ctx, acp_output(a));
    acp_wrote(a, acp_output(a).n);
    return text;
}

static void say(struct acp *a, const char *line)
{
    acp_feed(a, line, strlen(line));
    acp_feed(a, "\n", 1);
}

#define INIT_OK                                                                                                        \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":1,\"agentCapabilities\":{\"loadSession\":true}}}"
#define SESSION_OK "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"sessionId\":\"s1\"}}"
#define UPDATE(u)                                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\",\"update\":" u "}}"
#define ASK(id, kind)                                                                                                  \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"session/request_permission\",\"params\":{\"sessionId\":\"s1\","   \
    "\"toolCall\":{\"toolCallId\":\"t" kind "\",\"title\":\"do it\",\"kind\":\"" kind                                  \
    "\",\"rawInput\":{\"command\":\"make\"}},\"options\":[{\"optionId\":\"aa\",\"kind\":\"allow_always\"},"            \
    "{\"optionId\":\"ao\",\"kind\":\"allow_once\"},{\"optionId\":\"ro\",\"kind\":\"reject_once\"}]}}"

static struct acp *prompted(enum backend_approval approval)
{
    struct acp *a = start(approval, NULL);
    say(a, INIT_OK);
    say(a, SESSION_OK);
    written(a);
    return a;
}

START_TEST(test_conversation)
{
    struct acp *a = start(BACKEND_FULL, NULL);
    const char *text = written(a);
    ck_assert_ptr_nonnull(strstr(text, "\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1"));
    ck_assert_uint_eq(strlen(text) - 1, strcspn(text, "\n")); /* one line */
    say(a, "a banner");
    say(a, INIT_OK);
    ck_assert_str_eq(written(a),
                     "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session/new\",\"params\":{\"cwd\":\"/workspace\","
                     "\"mcpServers\":[{\"name\":\"ev\",\"command\":\"node\",\"args\":[\"ev.js\"],\"env\":[{\"name\":"
                     "\"A\",\"value\":\"b=c\"}]}]}}\n");
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"sessionId\":\"s1\",\"modes\":{\"currentModeId\":\"read-only\","
           "\"availableModes\":[{\"id\":\"read-only\"},{\"id\":\"auto\"},{\"id\":\"full-access\"}]}}}");
    ck_assert_str_eq(written(a), "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"session/set_mode\",\"params\":{"
                                 "\"sessionId\":\"s1\",\"modeId\":\"full-access\"}}\n");
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":4,\"error\":{\"code\":-1,\"message\":\"no\"}}");
    ck_assert_str_eq(written(a),
                     "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"session/prompt\",\"params\":{\"sessionId\":"
                     "\"s1\",\"prompt\":[{\"type\":\"text\",\"text\":\"Write \\\"hello.txt\\\"\\n\"}]}}\n");
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":\"x\\n\",\"method\":\"craft/thing\",\"params\":{}}");
    ck_assert_str_eq(written(a),
                     "{\"jsonrpc\":\"2.0\",\"id\":\"x\\n\",\"error\":{\"code\":-32601,\"message\":\"method not "
                     "found\"}}\n");
    ck_assert(!acp_finished(a));
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":10,"
           "\"outputTokens\":2}}}");
    ck_assert(acp_finished(a));
    const struct backend_result *r = acp_end(a);
    ck_assert_str_eq(r->session, "s1");
    ck_assert(r->ended && !r->failed && r->usage.known);
    ck_assert_int_eq(r->usage.input, 10);
    ck_assert_str_eq(buf_view(&told).p, "session \nwarning no\nusage \nend end_turn\n");
    acp_free(a);
}
END_TEST

START_TEST(test_resume)
{
    struct acp *a = start(BACKEND_FULL, "old");
    written(a);
    say(a, INIT_OK);
    ck_assert_ptr_nonnull(strstr(written(a), "\"id\":3,\"method\":\"session/load\",\"params\":{\"sessionId\":\"old\""));
    say(a, UPDATE("{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\"before\"}}"));
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":null}");
    ck_assert_ptr_nonnull(strstr(written(a), "\"session/prompt\",\"params\":{\"sessionId\":\"old\""));
    ck_assert_ptr_null(strstr(buf_view(&told).p, "before"));
    acp_free(a);
    /* Gone: begun anew. */
    a = start(BACKEND_FULL, "old");
    say(a, INIT_OK);
    written(a);
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":1,\"message\":\"not found\"}}");
    ck_assert_ptr_nonnull(strstr(written(a), "session/new"));
    acp_free(a);
    /* The agent cannot load. */
    a = start(BACKEND_FULL, "old");
    written(a);
    say(a, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":1}}");
    ck_assert_ptr_nonnull(strstr(written(a), "session/new"));
    acp_free(a);
}
END_TEST

START_TEST(test_permissions)
{
    struct acp *a = prompted(BACKEND_FULL);
    say(a, ASK("7", "execute"));
    ck_assert_str_eq(written(a), "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"outcome\":{\"outcome\":\"selected\","
                                 "\"optionId\":\"aa\"}}}\n");
    ck_assert_ptr_null(asked);
    ck_assert_ptr_nonnull(strstr(buf_view(&told).p, "tool.started execute make\n"));
    acp_free(a);

    a = prompted(BACKEND_EDITS);
    say(a, ASK("8", "edit"));
    ck_assert_ptr_nonnull(strstr(written(a), "\"ao\""));
    ck_assert_ptr_null(asked);
    say(a, ASK("\"nine\"", "execute"));
    ck_assert_str_eq(written(a), "");
    ck_assert_str_eq(asked, "\"nine\"");
    ck_assert(!acp_answer(a, "10", true));
    ck_assert(acp_answer(a, asked, false));
    ck_assert_str_eq(written(a), "{\"jsonrpc\":\"2.0\",\"id\":\"nine\",\"result\":{\"outcome\":{\"outcome\":"
                                 "\"selected\",\"optionId\":\"ro\"}}}\n");
    ck_assert(!acp_answer(a, asked, true)); /* once */
    ck_assert_int_eq(acp_end(a)->refused, 1);
    acp_free(a);

    a = prompted(BACKEND_ASK);
    say(a, ASK("1", "edit"));
    ck_assert(acp_answer(a, asked, true));
    ck_assert_ptr_nonnull(strstr(written(a), "\"ao\""));
    say(a, ASK("2", "execute"));
    acp_cancel(a);
    const char *text = written(a);
    ck_assert_ptr_nonnull(strstr(text, "\"id\":2,\"result\":{\"outcome\":{\"outcome\":\"cancelled\"}}"));
    ck_assert_ptr_nonnull(strstr(text, "\"method\":\"session/cancel\",\"params\":{\"sessionId\":\"s1\"}"));
    say(a, ASK("3", "execute")); /* too late */
    ck_assert_ptr_nonnull(strstr(written(a), "\"id\":3,\"result\":{\"outcome\":{\"outcome\":\"cancelled\"}}"));
    acp_free(a);

    struct acp_spec spec = {.cwd = "/workspace", .prompt = STR("x"), .approval = BACKEND_ASK};
    a = acp_new(ctx, &spec, on_event, NULL, NULL); /* nobody to ask */
    say(a, INIT_OK);
    say(a, SESSION_OK);
    written(a);
    say(a, ASK("4", "execute"));
    ck_assert_ptr_nonnull(strstr(written(a), "\"ro\""));
    acp_free(a);
}
END_TEST

START_TEST(test_many_questions)
{
    struct acp *a = prompted(BACKEND_ASK);
    for (int i = 0; i < 200; i++)
        say(a, mem_printf(ctx,
                          "{\"id\":%d,\"method\":\"session/request_permission\",\"params\":{\"toolCall\":{"
                          "\"toolCallId\":\"t%d\"},\"options\":[{\"optionId\":\"a\",\"kind\":\"allow_once\"}]}}",
                          i + 100, i));
    int cancelled = 0;
    struct str text = str_of(written(a)), line;
    while (str_line(&text, &line))
        cancelled += str_find(line, STR("cancelled")) >= 0;
    ck_assert_int_eq(cancelled, 200 - 64);
    acp_free(a);
}
END_TEST

START_TEST(test_failures)
{
    static const struct {
        const char *lines[3], *words;
    } rows[] = {
        {{"{\"id\":1,\"error\":{\"code\":-32000,\"message\":\"Authentication required\",\"data\":\"log in\"}}"},
         "Authentication required: log in"},
        {{"{\"id\":1,\"result\":{\"protocolVersion\":2}}"}, "another version"},
        {{INIT_OK, "{\"id\":2,\"result\":{}}"}, "without naming it"},
        {{INIT_OK, "{\"id\":2,\"error\":{\"message\":\"no model\"}}"}, "no model"},
        {{INIT_OK, SESSION_OK, "{\"id\":5,\"result\":{\"stopReason\":\"refusal\"}}"}, "refusal"},
        {{INIT_OK, SESSION_OK, "{\"id\":5,\"error\":{\"message\":\"401 wrong key\"}}"}, "401 wrong key"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct acp *a = start(BACKEND_FULL, NULL);
        for (size_t n = 0; n < 3 && rows[i].lines[n]; n++)
            say(a, rows[i].lines[n]);
        ck_assert_msg(acp_finished(a), "row %zu", i);
        const struct backend_result *r = acp_end(a);
        ck_assert_msg(r->failed && r->ended && strstr(r->error, rows[i].words), "row %zu: %s", i, r->error);
        acp_free(a);
    }
    struct acp *a = prompted(BACKEND_FULL); /* it just ends */
    ck_assert(!acp_end(a)->ended);
    acp_free(a);
}
END_TEST

START_TEST(test_nonsense)
{
    static const char *const lines[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"id\":1}",
        "{\"id\":5,\"result\":{}}",
        "{\"method\":5}",
        "{\"id\":{},\"method\":\"x\"}",
        "{\"id\":1.5,\"method\":\"x\"}",
        "{\"method\":\"session/update\"}",
        UPDATE("5"),
        UPDATE("{}"),
        UPDATE("{\"sessionUpdate\":\"tool_call\"}"),
        UPDATE("{\"sessionUpdate\":\"tool_call\",\"toolCallId\":5}"),
        UPDATE("{\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"x\",\"status\":\"completed\",\"content\":5}"),
        "{\"id\":9,\"method\":\"session/request_permission\"}",
        "{\"id\":9,\"method\":\"session/request_permission\",\"params\":{\"options\":[5,{},{\"kind\":\"allow_once\"}]}}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct acp *a = start(BACKEND_ASK, NULL);
        say(a, lines[i]);
        acp_free(a);
        a = prompted(BACKEND_ASK);
        say(a, lines[i]);
        acp_end(a);
        acp_free(a);
    }
    struct acp *a = prompted(BACKEND_FULL);
    char *x = mem_zalloc(ctx, 9 << 20);
    memset(x, 'x', (9 << 20) - 1);
    say(a, x);
    say(a, "{\"id\":5,\"result\":{\"stopReason\":\"end_turn\"}}");
    ck_assert(acp_finished(a));
    ck_assert_ptr_nonnull(strstr(buf_view(&told).p, "longer than 8 MiB"));
    acp_free(a);
}
END_TEST

/* Agents as they were recorded; their answers come whatever is written, so the order alone matters. */
static const struct recorded {
    const char *agent, *events;
    int64_t input; /* -1: no usage */
} recorded[] = {
    {"opencode",
     "session \ntool.started execute printf 'hello\\n' > hello.txt\ntool.finished execute (no output)\n"
     "text All is done.\nend end_turn\n",
     -1},
    {"gemini",
     "session \ntool.started execute printf 'hello\\n' > hello.txt\ntool.finished execute \ntext All is done.\n"
     "end end_turn\n",
     -1},
    {"qwen", NULL, 19748},
    {"copilot",
     "session \ntool.started execute printf 'hello\\n' > hello.txt\n"
     "tool.finished execute \n<shellId: 0 completed with exit code 0>\ntext All is done.\nusage \nend end_turn\n",
     10988},
};

START_TEST(test_recorded)
{
    const struct recorded *w = &recorded[_i];
    const char *source = getenv("NIGHTMILL_SOURCE");
    char *real = realpath(source ? source : ".", NULL);
    struct str text, line;
    ck_assert_int_eq(
        path_slurp(ctx, mem_printf(ctx, "%s/tests/data/agents/acp/%s.jsonl", real, w->agent), 1 << 20, &text, NULL),
        RC_OK);
    free(real);
    struct acp *a = start(BACKEND_ASK, NULL);
    while (str_line(&text, &line)) {
        say(a, str_dup(ctx, line));
        if (asked)
            ck_assert(acp_answer(a, asked, true));
        asked = NULL;
    }
    const struct backend_result *r = acp_end(a);
    const char *events = buf_view(&told).p;
    char *q = strstr(events, "question ");
    ck_assert_msg(q != NULL, "%s", events);
    memmove(q, strchr(q, '\n') + 1, strlen(strchr(q, '\n') + 1) + 1);
    if (w->events)
        ck_assert_str_eq(events, w->events);
    ck_assert(acp_finished(a) && r->ended && !r->failed);
    ck_assert_int_eq(r->tools, 1);
    ck_assert(str_eqz(r->text, "All is done."));
    ck_assert_int_eq(r->usage.known ? r->usage.input : -1, w->input);
    acp_free(a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("agent_acp");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, test_conversation);
    tcase_add_test(c, test_resume);
    tcase_add_test(c, test_permissions);
    tcase_add_test(c, test_many_questions);
    tcase_add_test(c, test_failures);
    tcase_add_test(c, test_nonsense);
    tcase_add_loop_test(c, test_recorded, 0, (int)(sizeof recorded / sizeof *recorded));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
