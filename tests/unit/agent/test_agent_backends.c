/* Contract of the backends: what is started for each, to the byte (tests/data/agents/NAME/plan.txt; set
 * NIGHTMILL_WRITE_PLANS=1 to write those files anew), what each recorded output comes to, however it is cut into
 * pieces, and how a run's end is judged. */
#include "agent/backend.h"
#include "base/text.h"
#include "os/path.h"
#include <check.h>
#include <signal.h>
#include <stdlib.h>

static mem *ctx;

static void set_up(void)
{
    ctx = mem_root();
}

static void tear_down(void)
{
    ctx = mem_free(ctx);
}

static const char *data_path(const char *agent, const char *file)
{
    const char *source = getenv("NIGHTMILL_SOURCE");
    char *real = realpath(source ? source : ".", NULL);
    const char *path = mem_printf(ctx, "%s/tests/data/agents/%s/%s", real, agent, file);
    free(real);
    return path;
}

/* --- Plans --- */

static const char *const server_argv[] = {"node", "/opt/ev.js", "--say=\"hi\"", NULL};
static const char *const server_env[] = {"EV_MODE=a=b", NULL};
static const struct backend_server servers[] = {{"ev", server_argv, server_env}};
static const char *const custom_argv[] = {"/opt/agent/run", "--fast", NULL};
#define ID "6f1d3c1e-7a35-4c4a-9b53-0d6a9d1c2b11"

static struct backend_ask ask_make(const struct backend *b)
{
    struct backend_ask ask = {.program = "/opt/agent/bin/program",
                              .tool_path = "/opt/agent/node/bin",
                              .prompt = STR("Write hello.txt\nand \"no\" more.\n"),
                              .model = "fake-model",
                              .base_url = "http://127.0.0.1:8700",
                              .key = "placeholder",
                              .session = ID,
                              .home = "/home/agent",
                              .workspace = "/workspace",
                              .iteration = 2,
                              .custom = {.argv = custom_argv, .format = BACKEND_LINES, .url = "http://127.0.0.1:9000"}};
    if (b->servers) {
        ask.servers = servers;
        ask.server_count = 1;
    }
    return ask;
}

static void plan_write(struct buf *b, const struct backend_plan *p)
{
    static const char *const formats[] = {"lines", "whole", "text", "acp"};
    for (const char *const *a = p->argv; *a; a++)
        buf_printf(b, "argument %s\n", *a);
    for (const char *const *e = p->env; *e; e++)
        buf_printf(b, "variable %s\n", *e);
    for (size_t i = 0; i < p->file_count; i++)
        buf_printf(b, "file %s %o %.*s\n", p->files[i].path, (unsigned)p->files[i].mode, STR_FMT(p->files[i].bytes));
    for (const char *const *a = p->service; a && *a; a++)
        buf_printf(b, "service %s\n", *a);
    buf_printf(b, "input %.*s\nfolder %s\nformat %s\nsession %s%s\n", STR_FMT(p->input), p->cwd, formats[p->format],
               p->session ? p->session : "-", p->resumes ? " resumed" : "");
}

static void plan_section(struct buf *b, const char *title, const struct backend *backend, const struct backend_ask *ask)
{
    struct backend_plan plan;
    struct err err = {0};
    enum rc rc = backend_plan(ctx, backend, ask, &plan, &err);
    buf_printf(b, "== %s\n", title);
    if (rc == RC_OK)
        plan_write(b, &plan);
    else
        buf_printf(b, "%s: %s; %s\n", rc_name(rc), err.sentence, err.hint);
}

START_TEST(test_plans)
{
    const struct backend *b = backends[_i];
    struct backend_ask ask = ask_make(b);
    struct buf text;
    buf_init(&text, ctx, 1 << 20);
    plan_section(&text, "start", b, &ask);
    ask.resume = true;
    ask.server_count = 0;
    plan_section(&text, "resume", b, &ask);
    ask.approval = BACKEND_EDITS;
    ask.resume = false;
    ask.session = NULL;
    static const char *const more[] = {"--more", NULL}, *const env[] = {"LANG=C", "MORE=1", NULL};
    ask.extra_arguments = more;
    ask.extra_env = env;
    plan_section(&text, "edits, extras", b, &ask);
    const char *path = data_path(b->name, "plan.txt");
    struct str wanted;
    if (getenv("NIGHTMILL_WRITE_PLANS")) {
        char *dir = mem_strn(ctx, path, strlen(path) - strlen("/plan.txt"));
        ck_assert_int_eq(path_mkdirs(dir, 0755, NULL), RC_OK);
        ck_assert_int_eq(path_write_durable(path, buf_view(&text), 0644, NULL), RC_OK);
    }
    ck_assert_int_eq(path_slurp(ctx, path, 1 << 20, &wanted, NULL), RC_OK);
    struct str is = buf_view(&text), is_line, wanted_line;
    while (str_line(&wanted, &wanted_line)) {
        ck_assert_msg(str_line(&is, &is_line), "%s: nothing where \"%.*s\" should be", b->name, STR_FMT(wanted_line));
        ck_assert_msg(str_eq(is_line, wanted_line), "%s: \"%.*s\" where \"%.*s\" should be", b->name,
                      STR_FMT(str_sub(is_line, 0, 300)), STR_FMT(str_sub(wanted_line, 0, 300)));
    }
    ck_assert_msg(!str_line(&is, &is_line), "%s: \"%.*s\" is too much", b->name, STR_FMT(str_sub(is_line, 0, 300)));
}
END_TEST

static enum rc plan_of(const char *name, const struct backend_ask *ask, struct backend_plan *plan, struct err *err)
{
    return backend_plan(ctx, backend_find(name), ask, plan, err);
}

START_TEST(test_plan_refusals)
{
    struct backend_plan plan;
    struct err err = {0};
    struct backend_ask ask = ask_make(backend_find("pi"));
    ask.approval = BACKEND_ASK;
    ck_assert_int_eq(plan_of("pi", &ask, &plan, &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.hint, "acp"));
    ask.approval = BACKEND_FULL;
    ask.prompt = STR(" \n");
    ck_assert_int_eq(plan_of("pi", &ask, &plan, &err), RC_INVALID);
    ask = ask_make(backend_find("pi"));
    ask.servers = servers;
    ask.server_count = 1;
    ck_assert_int_eq(plan_of("pi", &ask, &plan, &err), RC_INVALID);
    ask = ask_make(backend_find("codex"));
    ask.servers = &(struct backend_server){"a b", server_argv, NULL};
    ck_assert_int_eq(plan_of("codex", &ask, &plan, &err), RC_INVALID);
    ask.server_count = 0;
    ask.model = "--config";
    ck_assert_int_eq(plan_of("codex", &ask, &plan, &err), RC_INVALID);
    ask.model = "m";
    ask.base_url = "https://elsewhere.example";
    ck_assert_int_eq(plan_of("codex", &ask, &plan, &err), RC_BUG);
    ask = ask_make(backend_find("command"));
    ask.custom.argv = NULL;
    ck_assert_int_eq(plan_of("command", &ask, &plan, &err), RC_INVALID);
    ck_assert_int_eq(plan_of("acp", &ask, &plan, &err), RC_INVALID);
    ask.custom.url = "file:///etc/passwd";
    ck_assert_int_eq(plan_of("http", &ask, &plan, &err), RC_INVALID);
}
END_TEST

/* A long prompt goes by standard input and by file, never as an argument. */
START_TEST(test_plan_long_prompt)
{
    char *p = mem_zalloc(ctx, 1 << 20);
    memset(p, 'x', (1 << 20) - 1);
    for (const struct backend *const *b = backends; *b; b++) {
        struct backend_ask ask = ask_make(*b);
        ask.prompt = str_n(p, (1 << 20) - 1);
        ask.custom.input = BACKEND_BY_STDIN;
        struct backend_plan plan;
        struct err err = {0};
        enum rc rc = backend_plan(ctx, *b, &ask, &plan, &err);
        if ((*b)->input == BACKEND_BY_ARGUMENT || strcmp((*b)->name, "http") == 0) {
            ck_assert_int_eq(rc, RC_INVALID);
            continue;
        }
        ck_assert_msg(rc == RC_OK, "%s: %s", (*b)->name, err.sentence);
        for (const char *const *a = plan.argv; *a; a++)
            ck_assert_uint_le(strlen(*a), BACKEND_ARGUMENT_MAX);
    }
    struct backend_ask ask = ask_make(backend_find("cline"));
    struct backend_plan plan;
    ask.prompt = str_n(p, BACKEND_ARGUMENT_MAX - 1);
    ck_assert_int_eq(plan_of("cline", &ask, &plan, NULL), RC_OK);
    ask.prompt = str_n("a\0b", 3);
    ck_assert_int_eq(plan_of("cline", &ask, &plan, NULL), RC_INVALID);
    ask.prompt = STR("--version");
    ck_assert_int_eq(plan_of("cline", &ask, &plan, NULL), RC_OK);
    size_t n = 0;
    while (plan.argv[n])
        n++;
    ck_assert_str_eq(plan.argv[n - 1], " --version");
}
END_TEST

/* A session id comes from an agent's output: one that could be read as anything else is not used. */
START_TEST(test_plan_hostile_session)
{
    static const char *const ids[] = {"--dangerous", "a b", "", "../../etc", "x;y", "\xff", "a\nb"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (const struct backend *const *b = backends; *b; b++) {
            struct backend_ask ask = ask_make(*b);
            ask.session = ids[i];
            ask.resume = true;
            struct backend_plan plan;
            ck_assert_int_eq(backend_plan(ctx, *b, &ask, &plan, NULL), RC_OK);
            for (const char *const *a = plan.argv; *a; a++)
                ck_assert_str_ne(*a, ids[i]);
            if ((*b)->session != BACKEND_SESSION_NONE)
                ck_assert_msg(!plan.resumes, "%s resumes \"%s\"", (*b)->name, ids[i]);
        }
}
END_TEST

START_TEST(test_plan_variables)
{
    static const char *const bad[] = {
        "HOME=/", "ANTHROPIC_API_KEY=x", "ANTHROPIC_BASE_URL=http://x", "=x", "1A=x", "A-B=x", "novalue"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct backend_ask ask = ask_make(backend_find("claude"));
        const char *const env[] = {bad[i], NULL};
        ask.extra_env = env;
        struct backend_plan plan;
        struct err err = {0};
        ck_assert_msg(plan_of("claude", &ask, &plan, &err) == RC_INVALID, "%s", bad[i]);
    }
    struct backend_ask proxied = ask_make(backend_find("pi"));
    struct backend_plan way;
    int seen = 0;
    proxied.proxy_url = "http://127.0.0.1:8701";
    proxied.ca_file = "/etc/nightmill/ca.pem";
    ck_assert_int_eq(plan_of("pi", &proxied, &way, NULL), RC_OK);
    for (const char *const *e = way.env; *e; e++)
        seen += strcmp(*e, "https_proxy=http://127.0.0.1:8701") == 0 ||
                strcmp(*e, "NODE_EXTRA_CA_CERTS=/etc/nightmill/ca.pem") == 0 || strstr(*e, "NO_PROXY=127.0.0.1") == *e;
    ck_assert_int_eq(seen, 3);
    static const char *const other[] = {"HTTPS_PROXY=http://elsewhere", NULL};
    proxied.extra_env = other;
    ck_assert_int_eq(plan_of("pi", &proxied, &way, NULL), RC_INVALID);
    /* Variables of a proxy come from the project's side too; they must not lead an agent away from its model. */
    static const char *const ways[] = {"HTTPS_PROXY=http://p", "http_proxy=http://p", "ALL_PROXY=http://p", NULL};
    for (int blind = 0; blind < 2; blind++) {
        struct backend_ask ask = ask_make(backend_find(blind ? "qwen" : "gemini"));
        struct backend_plan plan;
        int found = 0;
        ask.extra_env = ways;
        ck_assert_int_eq(plan_of(blind ? "qwen" : "gemini", &ask, &plan, NULL), RC_OK);
        for (const char *const *e = plan.env; *e; e++)
            found += strstr(*e, "=http://p") != NULL;
        ck_assert_int_eq(found, blind ? 1 : 3);
    }
}
END_TEST

/* --- Output --- */

struct told {
    struct buf b;
};

static void on_event(void *arg, const struct backend_event *e)
{
    struct told *t = arg;
    ck_assert(str_utf8(e->text));
    ck_assert_uint_le(e->text.n, BACKEND_TEXT_MAX);
    buf_printf(&t->b, "%s%s%s%s %.*s\n", backend_event_name(e->kind), e->failed ? "!" : "", e->name ? " " : "",
               e->name ? e->name : "", e->text.n > 200 ? 200 : (int)e->text.n, e->text.p);
}

static const struct backend_result *read_output(const char *agent, enum backend_format format, struct str bytes,
                                                size_t piece, struct told *t)
{
    buf_init(&t->b, ctx, 1 << 20);
    struct backend_parser *p = backend_parser_new(ctx, backend_find(agent), format, on_event, t);
    for (size_t i = 0; i < bytes.n; i += piece)
        backend_parser_feed(p, bytes.p + i, bytes.n - i < piece ? bytes.n - i : piece);
    return backend_parser_end(p);
}

static const struct output {
    const char *agent, *file;
    const char *session, *text;
    int tools, refused;
    bool failed, ended;
    int64_t input, cached, output; /* input -1: no usage */
    const char *error;
} outputs[] = {
    {"codex", "done.jsonl", "01a1ffbd-af9a-74a1-8d5b-e6e5fad4e1dd", "All is done.", 1, 0, false, true, 10040, 0, 16,
     NULL},
    {"codex", "nothing.jsonl", "*", "There is nothing to do.", 0, 0, false, true, 5002, 0, 6, NULL},
    {"codex", "refused.jsonl", "*", "All is done.", 0, 0, false, true, 10076, 0, 16, NULL},
    {"codex", "wrong_key.jsonl", "*", "", 0, 0, true, true, -1, 0, 0, "unexpected status 401"},
    {"claude", "done.jsonl", ID, "All is done.", 1, 0, false, true, 6255, 0, 39, NULL},
    {"claude", "nothing.jsonl", ID, "There is nothing to do.", 0, 0, false, true, 3115, 0, 15, NULL},
    {"claude", "refused.jsonl", ID, "All is done.", 1, 1, false, true, 6298, 0, 39, NULL},
    {"claude", "wrong_key.jsonl", ID, "*", 0, 0, true, true, 0, 0, 0, "401"},
    {"opencode", "done.jsonl", "ses_e00422beeffe34iiJ6Wbnvq6Df", "All is done.", 1, 0, false, true, 4819, 0, 20, NULL},
    {"opencode", "nothing.jsonl", "*", "There is nothing to do.", 0, 0, false, true, 2400, 0, 6, NULL},
    {"opencode", "wrong_key.jsonl", "*", "", 0, 0, true, false, -1, 0, 0, "the fake was told to fail"},
    {"gemini", "done.jsonl", ID, "All is done.", 1, 0, false, true, 12900, 0, 37, NULL},
    {"gemini", "refused.jsonl", ID, "All is done.", 0, 0, false, true, 6403, 0, 12, NULL},
    {"gemini", "wrong_key.jsonl", ID, "", 0, 0, true, true, 0, 0, 0, "401"},
    {"qwen", "done.jsonl", ID, "All is done.", 1, 0, false, true, 19751, 0, 25, NULL},
    {"qwen", "resumed.jsonl", ID, "All is done.", 1, 0, false, true, 19879, 0, 25, NULL},
    {"qwen", "wrong_key.jsonl", ID, "", 0, 0, true, true, 0, 0, 0, "401"},
    {"continue", "done.jsonl", NULL, "All is done.", 0, 0, false, true, -1, 0, 0, NULL},
    {"continue", "wrong_key.jsonl", NULL, "", 0, 0, false, false, -1, 0, 0, NULL},
    {"pi", "done.jsonl", "01a1ffbd-c213-7941-ae86-5a6ea011979f", "All is done.", 1, 0, false, true, 1198, 0, 15, NULL},
    {"pi", "wrong_key.jsonl", "*", "", 0, 0, true, true, 0, 0, 0, "401 the fake was told to fail"},
    {"copilot", "done.jsonl", ID, "All is done.", 1, 0, false, true, -1, 0, 0, NULL},
    {"copilot", "refused.jsonl", ID, "All is done.", 1, 1, false, true, -1, 0, 0, NULL},
    {"copilot", "wrong_key.jsonl", ID, "", 0, 0, true, true, -1, 0, 0, "HTTP 401"},
    {"cline", "done.jsonl", NULL, "All is done.", 1, 0, false, true, 2174, 0, 18, NULL},
    {"cline", "refused.jsonl", NULL, "All is done.", 1, 1, false, true, 2191, 0, 18, NULL},
    {"cline", "wrong_key.jsonl", NULL, "", 0, 0, true, true, 0, 0, 0, "the fake was told to fail"},
    {"goose", "done.jsonl", NULL, "All is done.", 1, 0, false, true, -1, 0, 0, NULL},
    {"goose", "refused.jsonl", NULL, "I could not do it.", 1, 1, false, true, -1, 0, 0, NULL},
    {"goose", "wrong_key.jsonl", NULL, "", 0, 0, true, false, -1, 0, 0, "Authentication"},
    {"cursor", "done.jsonl", "c6b62c6f-7ead-4fd6-9922-e952131177ff", "All is done.", 1, 0, false, true, -1, 0, 0, NULL},
    {"cursor", "refused.jsonl", "*", "I may not do that.", 1, 1, false, true, -1, 0, 0, NULL},
    {"cursor", "cut.jsonl", "*", "", 0, 0, false, false, -1, 0, 0, NULL},
    {"aider", "done.txt", NULL, "*", 0, 0, false, false, -1, 0, 0, NULL},
    {"autogpt", "done.txt", NULL, "*", 0, 0, false, false, -1, 0, 0, NULL},
    {"langchain", "done.jsonl", NULL, "All is done.", 1, 0, false, true, 220, 40, 14, NULL},
    {"command", "done.jsonl", "s-1", "All is done.", 1, 0, false, true, 220, 50, 14, NULL},
    {"http", "done.json", NULL, "All is done.", 0, 0, false, true, -1, 0, 0, NULL},
    {"http", "wrong_key.json", NULL, "no model answered", 0, 0, true, true, -1, 0, 0, "no model answered"},
};

START_TEST(test_outputs)
{
    const struct output *w = &outputs[_i];
    struct str bytes;
    struct told whole, pieces;
    ck_assert_int_eq(path_slurp(ctx, data_path(w->agent, w->file), 1 << 20, &bytes, NULL), RC_OK);
    enum backend_format f = backend_find(w->agent)->format;
    if (strcmp(w->agent, "command") == 0)
        f = BACKEND_LINES;
    const struct backend_result *r = read_output(w->agent, f, bytes, bytes.n + 1, &whole);
    const char *where = mem_printf(ctx, "%s/%s: %s", w->agent, w->file, buf_view(&whole.b).p);
    if (!w->session)
        ck_assert_msg(!r->session, "%s: session %s", where, r->session);
    else
        ck_assert_msg(r->session && (*w->session == '*' || strcmp(r->session, w->session) == 0), "%s", where);
    ck_assert_msg(*w->text == '*' || str_eqz(r->text, w->text), "%s: text %.*s", where, STR_FMT(r->text));
    ck_assert_msg(r->tools == w->tools && r->refused == w->refused, "%s: tools %lld refused %lld", where,
                  (long long)r->tools, (long long)r->refused);
    ck_assert_msg(r->failed == w->failed && r->ended == w->ended, "%s: failed %d ended %d", where, r->failed, r->ended);
    ck_assert_msg(r->usage.known == (w->input >= 0), "%s: usage %d", where, r->usage.known);
    if (r->usage.known)
        ck_assert_msg(r->usage.input == w->input && r->usage.output == w->output && r->usage.cached == w->cached,
                      "%s: usage %lld %lld %lld", where, (long long)r->usage.input, (long long)r->usage.cached,
                      (long long)r->usage.output);
    if (w->error)
        ck_assert_msg(r->error && strstr(r->error, w->error), "%s: error %s", where, r->error);
    static const size_t sizes[] = {1, 2, 7, 64, 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        read_output(w->agent, f, bytes, sizes[i], &pieces);
        ck_assert_str_eq(buf_view(&pieces.b).p ? buf_view(&pieces.b).p : "", buf_view(&whole.b).p);
    }
}
END_TEST

/* Every agent has a recorded good end, and a plan that is held to the byte. */
START_TEST(test_every_backend_has_data)
{
    for (const struct backend *const *b = backends; *b; b++) {
        if ((*b)->format == BACKEND_ACP)
            continue;
        bool found = false;
        for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
            found |= strcmp(outputs[i].agent, (*b)->name) == 0 && str_starts(str_of(outputs[i].file), STR("done"));
        ck_assert_msg(found, "%s has no recorded output", (*b)->name);
        ck_assert((*b)->plan != NULL);
        ck_assert_msg(!(*b)->package == !(*b)->version, "%s: a package and its version go together", (*b)->name);
        ck_assert_msg((*b)->package || (*b)->source, "%s: nobody knows where it is had", (*b)->name);
    }
}
END_TEST

START_TEST(test_events)
{
    struct str bytes;
    struct told t;
    ck_assert_int_eq(path_slurp(ctx, data_path("claude", "refused.jsonl"), 1 << 20, &bytes, NULL), RC_OK);
    read_output("claude", BACKEND_LINES, bytes, 100, &t);
    ck_assert_str_eq(buf_view(&t.b).p,
                     "session \n"
                     "tool.started Bash printf 'hello\\n' > hello.txt\n"
                     "tool.finished! Output redirection to '/workspace/hello.txt' was blocked. For security, Claude "
                     "Code may only write to files in the allowed working directories for this session: '/workspace'.\n"
                     "text All is done.\n"
                     "usage \n"
                     "tool.refused Bash printf 'hello\\n' > hello.txt\n"
                     "end All is done.\n");
}
END_TEST

/* Cached tokens are a part of the input, whichever way the agent counts; sums are kept, single requests are added. */
START_TEST(test_usage)
{
    static const struct {
        const char *agent, *line;
        int64_t input, cached, output; /* after the line came twice */
    } rows[] = {
        {"claude",
         "{\"type\":\"result\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,"
         "\"cache_creation_input_tokens\":3,\"output_tokens\":2}}",
         18, 5, 2},
        {"codex",
         "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":10,\"cached_input_tokens\":5,\"output_tokens\":2,"
         "\"reasoning_output_tokens\":1}}",
         10, 5, 2},
        {"opencode",
         "{\"type\":\"step_finish\",\"part\":{\"reason\":\"stop\",\"tokens\":{\"input\":10,\"output\":2,\"reasoning\":4,"
         "\"cache\":{\"read\":5,\"write\":3}}}}",
         36, 10, 12},
        {"gemini",
         "{\"type\":\"result\",\"status\":\"success\",\"stats\":{\"total_tokens\":20,\"input_tokens\":10,"
         "\"output_tokens\":2,\"cached\":5}}",
         10, 5, 10},
        {"pi",
         "{\"type\":\"turn_end\",\"message\":{\"usage\":{\"input\":10,\"output\":2,\"cacheRead\":5,\"cacheWrite\":3}}}",
         36, 10, 4},
        {"cline",
         "{\"type\":\"run_result\",\"finishReason\":\"completed\",\"usage\":{\"inputTokens\":10,\"outputTokens\":2,"
         "\"cacheReadTokens\":5}}",
         10, 5, 2},
        {"command", "{\"type\":\"usage\",\"input_tokens\":10,\"cached_tokens\":5,\"output_tokens\":2}", 20, 10, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told t;
        const char *twice = mem_printf(ctx, "%s\n%s\n", rows[i].line, rows[i].line);
        const struct backend_result *r = read_output(rows[i].agent, BACKEND_LINES, str_of(twice), 50, &t);
        ck_assert_msg(r->usage.known && r->usage.input == rows[i].input && r->usage.cached == rows[i].cached &&
                          r->usage.output == rows[i].output,
                      "%s: %lld %lld %lld", rows[i].agent, (long long)r->usage.input, (long long)r->usage.cached,
                      (long long)r->usage.output);
    }
}
END_TEST

START_TEST(test_hostile_output)
{
    struct told t;
    static const char *const lines[] = {
        "",
        "\n\n\n",
        "{",
        "{}",
        "[]",
        "null",
        "{\"type\":5}",
        "{\"type\":\"result\"}",
        "{\"type\":\"assistant\"}",
        "{\"type\":\"assistant\",\"message\":{\"content\":\"text\"}}",
        "{\"type\":\"assistant\",\"message\":{\"content\":[1,null,{\"type\":\"text\"},{\"type\":\"tool_use\"}]}}",
        "{\"type\":\"result\",\"usage\":{\"input_tokens\":-5,\"output_tokens\":1e300}}",
        "{\"type\":\"result\",\"usage\":{\"input_tokens\":99999999999999999999}}",
        "{\"session_id\":\"a\\u0000b\",\"type\":\"x\"}",
        "\x00\x01\x02",
        "\xff\xfe{\"type\":\"result\"}",
        "{\"type\":\"result\",\"result\":\"\\ud83d\\ude00\\u0000\"}"};
    for (const struct backend *const *b = backends; *b; b++)
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            if ((*b)->format != BACKEND_ACP)
                read_output((*b)->name, (*b)->format, str_of(lines[i]), 3, &t);
    /* No session that could not be handed back as one argument. */
    const struct backend_result *r =
        read_output("claude", BACKEND_LINES, STR("{\"session_id\":\"a\\u0000b\"}\n"), 99, &t);
    ck_assert_ptr_null(r->session);
}
END_TEST

START_TEST(test_long_lines)
{
    struct told t;
    struct buf b;
    buf_init(&b, ctx, 64 << 20);
    buf_z(&b, "{\"type\":\"text\",\"text\":\"");
    char *x = mem_zalloc(ctx, 9 << 20);
    memset(x, 'x', (9 << 20) - 1);
    buf_z(&b, x);
    buf_z(&b, "\"}\n{\"type\":\"text\",\"text\":\"");
    buf_add(&b, x, 1 << 20);
    buf_z(&b, "\"}\n{\"type\":\"end\"}\n");
    const struct backend_result *r = read_output("command", BACKEND_LINES, buf_view(&b), 65536, &t);
    ck_assert_int_eq(r->skipped, 1);
    ck_assert_int_eq(r->lines, 3);
    ck_assert(r->ended);
    ck_assert_uint_le(r->text.n, BACKEND_TEXT_MAX);
    ck_assert_int_ge(str_find(buf_view(&t.b), STR("warning")), 0);
    /* Plain text keeps the end. */
    r = read_output("command", BACKEND_TEXT, buf_view(&b), 65536, &t);
    ck_assert(str_ends(r->text, STR("{\"type\":\"end\"}\n")));
    ck_assert_uint_le(r->text.n, BACKEND_TEXT_MAX);
}
END_TEST

/* --- Verdicts --- */

START_TEST(test_verdicts)
{
    const struct backend_result good = {.ended = true}, cut = {0}, refused = {.ended = true, .refused = 2},
                                bad = {.ended = true, .failed = true, .error = "401"};

    const struct {
        struct backend_ending e;
        enum backend_outcome outcome;
        const char *word;
    } rows[] = {
        {{&good, true, .changed = true, .requests = 2}, BACKEND_DONE, "changed files"},
        {{&good, true, .changed = true, .exit_code = 1}, BACKEND_DONE, "changed"},
        {{&good, true, .requests = 2}, BACKEND_NO_CHANGE, "after 2 model requests"},
        {{&good, true, .requests = 0}, BACKEND_NO_CHANGE, "asked no model"},
        {{&good, true, .requests = -1}, BACKEND_NO_CHANGE, "without changing anything"},
        {{&refused, true, .requests = 2}, BACKEND_REFUSED, "2 of its tool calls were refused"},
        {{&refused, true, .changed = true}, BACKEND_DONE, "2 of its tool calls"},
        {{&bad, true, .requests = 1}, BACKEND_FAILED, "401"},
        {{&bad, true, .changed = true}, BACKEND_FAILED, "401"},
        {{&bad, true, .exit_code = 145}, BACKEND_FAILED, "401"},
        {{&cut, true, .requests = 1}, BACKEND_FAILED, "broke off"},
        {{&cut, true, .changed = true}, BACKEND_DONE, "never said"},
        {{&cut, true, .changed = true, .exit_code = 1}, BACKEND_FAILED, "status 1"},
        {{&cut, false, .changed = true}, BACKEND_DONE, "changed"},
        {{&cut, false, .exit_code = 2}, BACKEND_FAILED, "status 2"},
        {{&cut, false, .requests = 1}, BACKEND_NO_CHANGE, "after 1 model request"},
        {{&cut, true, .exit_code = -1, .signal = SIGSEGV, .changed = true}, BACKEND_DIED, "SIGSEGV"},
        {{&cut, true, .exit_code = 137}, BACKEND_DIED, "SIGKILL"},
        {{&good, true, .exit_code = 143, .changed = true}, BACKEND_DONE, "changed"},
        {{&good, true, .exit_code = -1, .signal = SIGKILL}, BACKEND_DIED, "SIGKILL"},
        {{&good, true, .cancelled = true, .exit_code = 0}, BACKEND_CANCELLED, "stopped"},
        {{&good, true, .cancelled = true, .changed = true}, BACKEND_CANCELLED, "stopped"},
        {{&good, true, .timed_out = true, .signal = SIGKILL}, BACKEND_TIMED_OUT, "time"},
        {{NULL, true, .could_not_start = true, .exit_code = 127}, BACKEND_FAILED, "could not be started"},
        {{NULL, true, .requests = -1}, BACKEND_FAILED, "broke off"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *words;
        enum backend_outcome o = backend_judge(ctx, &rows[i].e, &words);
        ck_assert_msg(o == rows[i].outcome, "row %zu: %s (%s)", i, backend_outcome_name(o), words);
        ck_assert_msg(strstr(words, rows[i].word), "row %zu: %s", i, words);
        ck_assert_int_eq(backend_judge(ctx, &rows[i].e, NULL), o);
    }
}
END_TEST

/* What each recorded output is judged to be, with the exit status that came with it. */
START_TEST(test_recorded_verdicts)
{
    static const struct {
        const char *agent, *file;
        int exit_code;
        bool changed;
        enum backend_outcome outcome;
    } rows[] = {
        {"codex", "done.jsonl", 0, true, BACKEND_DONE},
        {"codex", "wrong_key.jsonl", 1, false, BACKEND_FAILED},
        {"codex", "refused.jsonl", 0, false, BACKEND_NO_CHANGE},
        {"claude", "done.jsonl", 0, true, BACKEND_DONE},
        {"claude", "refused.jsonl", 0, false, BACKEND_REFUSED},
        {"claude", "wrong_key.jsonl", 1, false, BACKEND_FAILED},
        {"opencode", "wrong_key.jsonl", 1, false, BACKEND_FAILED},
        {"gemini", "wrong_key.jsonl", 145, false, BACKEND_FAILED},
        {"gemini", "refused.jsonl", 0, false, BACKEND_NO_CHANGE},
        {"qwen", "wrong_key.jsonl", 0, false, BACKEND_FAILED},
        {"continue", "wrong_key.jsonl", 1, false, BACKEND_FAILED},
        {"pi", "wrong_key.jsonl", 0, false, BACKEND_FAILED},
        {"pi", "nothing.jsonl", 0, false, BACKEND_NO_CHANGE},
        {"copilot", "refused.jsonl", 0, false, BACKEND_REFUSED},
        {"copilot", "wrong_key.jsonl", 1, false, BACKEND_FAILED},
        {"cline", "refused.jsonl", 0, false, BACKEND_REFUSED},
        {"cline", "done.jsonl", 0, true, BACKEND_DONE},
        {"cursor", "cut.jsonl", 1, false, BACKEND_FAILED},
        {"cursor", "refused.jsonl", 0, false, BACKEND_REFUSED},
        {"goose", "refused.jsonl", 0, false, BACKEND_REFUSED},
        {"aider", "done.txt", 0, true, BACKEND_DONE},
        {"aider", "done.txt", 0, false, BACKEND_NO_CHANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str bytes;
        struct told t;
        const struct backend *b = backend_find(rows[i].agent);
        ck_assert_int_eq(path_slurp(ctx, data_path(rows[i].agent, rows[i].file), 1 << 20, &bytes, NULL), RC_OK);
        struct backend_ending e = {.said = read_output(b->name, b->format, bytes, 4096, &t),
                                   .end_mark = b->end_mark,
                                   .exit_code = rows[i].exit_code,
                                   .changed = rows[i].changed,
                                   .requests = 2};
        const char *words;
        enum backend_outcome o = backend_judge(ctx, &e, &words);
        ck_assert_msg(o == rows[i].outcome, "%s/%s: %s (%s)", b->name, rows[i].file, backend_outcome_name(o), words);
    }
}
END_TEST

int main(void)
{
    size_t n = 0;
    while (backends[n])
        n++;
    Suite *s = suite_create("agent_backends");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, test_plans, 0, (int)n);
    tcase_add_test(c, test_plan_refusals);
    tcase_add_test(c, test_plan_long_prompt);
    tcase_add_test(c, test_plan_hostile_session);
    tcase_add_test(c, test_plan_variables);
    tcase_add_loop_test(c, test_outputs, 0, (int)(sizeof outputs / sizeof *outputs));
    tcase_add_test(c, test_every_backend_has_data);
    tcase_add_test(c, test_events);
    tcase_add_test(c, test_usage);
    tcase_add_test(c, test_hostile_output);
    tcase_add_test(c, test_long_lines);
    tcase_add_test(c, test_verdicts);
    tcase_add_test(c, test_recorded_verdicts);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
