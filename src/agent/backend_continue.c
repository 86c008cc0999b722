/* Continue (`cn -p --format json`, Chat Completions). One JSON object at the end; after an error nothing but a line of
 * JSON on standard error and status 1. Run with 1.5.47. The prompt must be an argument; standard input is not read. It
 * names no session, reports no tokens, and resumes only the last session of its home. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.when = "response", .kind = BACKEND_SAID, .text = "response"},
    {.when = "status", .kind = BACKEND_ENDED, .text = "message|error|status", .failed = "status=error"},
};
static const struct backend_words words = {READINGS(readings)};

static void yaml_text(struct buf *b, const struct backend_draft *d, const char *lead, const char *text)
{
    buf_printf(b, "%s%s\n", lead, plan_quoted(d, text)); /* a JSON string is a YAML one */
}

static const char *config(struct backend_draft *d, const struct backend_ask *ask)
{
    struct buf b;
    buf_init(&b, plan_mem(d), 256 * 1024);
    buf_z(&b, "name: nightmill\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: nightmill\n    provider: openai\n");
    yaml_text(&b, d, "    model: ", ask->model);
    yaml_text(&b, d, "    apiBase: ", plan_url(d, ask));
    yaml_text(&b, d, "    apiKey: ", ask->key);
    buf_z(&b, "    roles: [chat, edit, apply]\n    capabilities: [tool_use]\n");
    buf_printf(&b, "    defaultCompletionOptions:\n      contextLength: %lld\n      maxTokens: %lld\n",
               (long long)plan_context(ask), (long long)plan_output(ask));
    buf_z(&b, ask->server_count ? "mcpServers:\n" : "");
    for (size_t i = 0; i < ask->server_count; i++) {
        const struct backend_server *s = &ask->servers[i];
        yaml_text(&b, d, "  - name: ", s->name);
        yaml_text(&b, d, "    command: ", s->argv[0]);
        buf_z(&b, "    args: [");
        for (const char *const *a = s->argv + 1; *a; a++)
            buf_printf(&b, "%s%s", a == s->argv + 1 ? "" : ", ", plan_quoted(d, *a));
        struct json_out *o = plan_json(d);
        plan_server_env(o, s);
        buf_printf(&b, "]\n    env: %s\n", plan_json_text(o));
    }
    return buf_take(&b, plan_mem(d));
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const edits[] = {"--exclude", "Bash",    "--allow",   "Write", "--allow",
                                        "Edit",      "--allow", "MultiEdit", NULL};
    plan_file(d, ".continue/config.yaml", str_of(config(d, ask)));
    plan_arg(d, "-p");
    plan_arg(d, "--format");
    plan_arg(d, "json");
    plan_arg(d, "--config");
    plan_arg(d, plan_home(d, ask, ".continue/config.yaml"));
    if (ask->approval == BACKEND_FULL)
        plan_arg(d, "--auto");
    else
        plan_args(d, edits);
    if (ask->resume) {
        plan_arg(d, "--resume");
        plan_resumed(d);
    }
    plan_args(d, ask->extra_arguments);
    plan_env_fixed(d, "CONTINUE_GLOBAL_DIR", plan_home(d, ask, ".continue"));
    plan_env(d, "CONTINUE_TELEMETRY_ENABLED", "0");
    return plan_prompt_arg(d, ask, err);
}

static const char *const version[] = {"--version", NULL};
static const char *const hosts[] = {"api.continue.dev", NULL};
const struct backend backend_continue = {
    .name = "continue",
    .title = "Continue",
    .package = "@continuedev/cli",
    .version = "1.5.47",
    .licence = "Apache-2.0",
    .node = 20,
    .program = "cn",
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_ARGUMENT,
    .format = BACKEND_WHOLE,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS),
    .session = BACKEND_SESSION_NONE,
    .resumes = true,
    .servers = true,
    .end_mark = true,
    .hosts = hosts,
    .words = &words,
    .plan = plan,
};
