/* Codex (`codex exec`, OpenAI Responses over SSE). Lines: thread.started, turn.*, item.*, error. Run with 0.169.0; a
 * resumed thread counts its tokens from its beginning. In a sandbox that forbids nested user namespaces its own sandbox
 * cannot work, so "full" takes it off; "edits" keeps it (workspace-write). What its own sandbox refused is not in its
 * output. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "item.completed", .when = "item.type=agent_message", .kind = BACKEND_SAID, .text = "item.text"},
    {.type = "item.started",
     .when = "item.type=command_execution",
     .kind = BACKEND_TOOL_STARTED,
     .id = "item.id",
     .name = "=shell",
     .text = "item.command"},
    {.type = "item.completed",
     .when = "item.type=command_execution",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "item.id",
     .name = "=shell",
     .text = "item.aggregated_output",
     .failed = "item.status=failed|declined"},
    {.type = "item.started",
     .when = "item.type=file_change",
     .kind = BACKEND_TOOL_STARTED,
     .id = "item.id",
     .name = "=edit",
     .text = "item.changes"},
    {.type = "item.completed",
     .when = "item.type=file_change",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "item.id",
     .name = "=edit",
     .text = "item.changes",
     .failed = "item.status=failed|declined"},
    {.type = "item.started",
     .when = "item.type=mcp_tool_call",
     .kind = BACKEND_TOOL_STARTED,
     .id = "item.id",
     .name = "item.tool",
     .text = "item.arguments"},
    {.type = "item.completed",
     .when = "item.type=mcp_tool_call",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "item.id",
     .name = "item.tool",
     .text = "item.error.message|item.result.content",
     .failed = "item.status=failed|declined"},
    {.when = "item.status=declined",
     .kind = BACKEND_TOOL_REFUSED,
     .id = "item.id",
     .name = "item.type",
     .text = "item.command|item.changes"},
    {.type = "item.completed", .when = "item.type=error", .kind = BACKEND_WARNING, .text = "item.message"},
    {.type = "error", .kind = BACKEND_ERROR, .text = "message"},
    {.type = "turn.failed", .kind = BACKEND_ENDED, .text = "error.message", .failed = ""},
    {.type = "turn.completed", .kind = BACKEND_ENDED},
};
static const struct counting countings[] = {
    {.type = "turn.completed",
     .input = "usage.input_tokens",
     .cached = "usage.cached_input_tokens",
     .output = "usage.output_tokens"},
};
static const struct backend_words words = {
    .type = "type", .session = "thread_id", READINGS(readings), COUNTINGS(countings)};

/* mcp_servers.NAME={command="...",args=[...],env={...}} as TOML. */
static void add_servers(struct backend_draft *d, const struct backend_ask *ask)
{
    for (size_t i = 0; i < ask->server_count; i++) {
        const struct backend_server *s = &ask->servers[i];
        struct buf b;
        buf_init(&b, plan_mem(d), BACKEND_ARGUMENT_MAX);
        buf_printf(&b, "mcp_servers.%s={command=%s,args=[", s->name, plan_quoted(d, s->argv[0]));
        for (const char *const *a = s->argv + 1; *a; a++)
            buf_printf(&b, "%s%s", a == s->argv + 1 ? "" : ",", plan_quoted(d, *a));
        buf_z(&b, "],env={");
        bool first = true;
        for (const char *const *e = s->env; e && *e; e++) {
            size_t n = strcspn(*e, "=");
            if (!(*e)[n])
                continue;
            buf_printf(&b, "%s%s=%s", first ? "" : ",", plan_quoted(d, mem_strn(plan_mem(d), *e, n)),
                       plan_quoted(d, *e + n + 1));
            first = false;
        }
        buf_z(&b, "}}");
        plan_arg(d, "-c");
        plan_arg(d, buf_view(&b).p);
    }
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"--json", "--skip-git-repo-check",        "--ignore-user-config",
                                        "-c",     "model_provider=\"nightmill\"", NULL};
    /* Neither namespaced nor hosted tools: only a provider of the Responses format could be asked with them. */
    static const char *const quiet[] = {
        "-c", "features.plugins=false",  "-c", "features.multi_agent=false",        "-c", "web_search=\"disabled\"",
        "-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false", NULL};
    (void)err;
    plan_arg(d, "exec");
    plan_resume(d, ask, "resume");
    plan_args(d, fixed);
    plan_arg(d, "-c");
    plan_argf(d, "model=%s", plan_quoted(d, ask->model));
    plan_arg(d, "-c");
    plan_argf(d,
              "model_providers.nightmill={name=\"nightmill\",base_url=%s,env_key=\"NIGHTMILL_AGENT_KEY\","
              "wire_api=\"responses\",request_max_retries=1,stream_max_retries=1}",
              plan_quoted(d, plan_url(d, ask)));
    plan_args(d, quiet);
    add_servers(d, ask);
    if (ask->approval == BACKEND_FULL)
        plan_arg(d, "--dangerously-bypass-approvals-and-sandbox");
    else {
        plan_arg(d, "-c");
        plan_arg(d, "sandbox_mode=\"workspace-write\"");
    }
    plan_args(d, ask->extra_arguments);
    plan_arg(d, "-");
    plan_env_fixed(d, "CODEX_HOME", plan_home(d, ask, ".codex"));
    plan_env_fixed(d, "NIGHTMILL_AGENT_KEY", ask->key);
    plan_file(d, ".codex/.keep", STR(""));
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
static const char *const places[] = {"@openai/codex-linux-%a/vendor/%A-unknown-linux-musl/bin/codex", NULL};
const struct backend backend_codex = {
    .name = "codex",
    .title = "Codex",
    .package = "@openai/codex",
    .version = "0.169.0",
    .licence = "Apache-2.0",
    .program = "codex",
    .places = places,
    .version_arguments = version,
    .wire = "responses",
    .base_v1 = true,
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS),
    .session = BACKEND_SESSION_READ,
    .resumes = true,
    .usage_cumulates = true,
    .servers = true,
    .end_mark = true,
    .words = &words,
    .plan = plan,
};
