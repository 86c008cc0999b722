/* GitHub Copilot CLI (`copilot --output-format json`, Chat Completions at a provider of one's own, offline). Lines:
 * assistant.*, tool.execution_*, session.*, result. Run with 1.0.102. It reports no tokens with such a provider, and
 * unpacks 240 MB into its cache in every new home. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "assistant.message", .kind = BACKEND_SAID, .text = "data.content"},
    {.type = "tool.execution_start",
     .kind = BACKEND_TOOL_STARTED,
     .id = "data.toolCallId",
     .name = "data.toolName",
     .text = "data.arguments"},
    {.type = "tool.execution_complete",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "data.toolCallId",
     .name = "data.toolName",
     .text = "data.result.content|data.error.message",
     .failed = "data.success=false"},
    {.type = "tool.execution_complete",
     .when = "data.error.code=denied",
     .kind = BACKEND_TOOL_REFUSED,
     .id = "data.toolCallId",
     .name = "data.toolName",
     .text = "data.error.message"},
    {.type = "session.warning", .kind = BACKEND_WARNING, .text = "data.message"},
    {.type = "session.error", .kind = BACKEND_ERROR, .text = "data.message"},
    {.type = "result", .kind = BACKEND_ENDED, .failed = "exitCode!=0"},
};
static const struct backend_words words = {.type = "type", .session = "sessionId", READINGS(readings)};

static void add_servers(struct backend_draft *d, const struct backend_ask *ask)
{
    if (!ask->server_count)
        return;
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_key(o, "mcpServers");
    jo_obj(o);
    for (size_t i = 0; i < ask->server_count; i++) {
        const struct backend_server *s = &ask->servers[i];
        jo_key(o, s->name);
        jo_obj(o);
        jo_kz(o, "type", "local");
        jo_kz(o, "command", s->argv[0]);
        jo_key(o, "args");
        jo_arr(o);
        for (const char *const *a = s->argv + 1; *a; a++)
            jo_z(o, *a);
        jo_end_arr(o);
        jo_key(o, "env");
        plan_server_env(o, s);
        jo_kraw(o, "tools", STR("[\"*\"]"));
        jo_end_obj(o);
    }
    jo_end_obj(o);
    jo_end_obj(o);
    plan_arg(d, "--additional-mcp-config");
    plan_arg(d, plan_json_text(o));
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    (void)err;
    plan_arg(d, "--output-format");
    plan_arg(d, "json");
    if (ask->approval == BACKEND_FULL)
        plan_arg(d, "--allow-all-tools");
    else {
        plan_arg(d, "--allow-tool");
        plan_arg(d, "write");
    }
    if (!plan_resume(d, ask, "--session-id")) /* names an old one as well as a new one */
        plan_session(d, ask, "--session-id");
    add_servers(d, ask);
    plan_args(d, ask->extra_arguments);
    plan_env(d, "COPILOT_MODEL", ask->model);
    plan_env(d, "COPILOT_OFFLINE", "true");
    plan_env(d, "COPILOT_AUTO_UPDATE", "false");
    plan_env_fixed(d, "COPILOT_PROVIDER_BASE_URL", plan_url(d, ask));
    plan_env_fixed(d, "COPILOT_PROVIDER_API_KEY", ask->key);
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
static const char *const places[] = {"@github/copilot-linux-%a/copilot", NULL};
static const char *const scratch[] = {".cache/copilot", NULL};
static const char *const deaf[] = {"SIGINT", "SIGTERM", NULL};
const struct backend backend_copilot = {
    .name = "copilot",
    .title = "Copilot CLI",
    .package = "@github/copilot",
    .version = "1.0.102",
    .licence = "proprietary",
    .program = "copilot",
    .places = places,
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS),
    .session = BACKEND_SESSION_CHOSEN,
    .resumes = true,
    .servers = true,
    .end_mark = true,
    .scratch = scratch,
    .deaf = deaf,
    .words = &words,
    .plan = plan,
};
