/* Cline (`cline --json`, Chat Completions). Lines: hook_event, agent_event (with an event inside), run_result. Run with
 * 3.0.65. It ignores SIGTERM and leaves a hub daemon behind, keeps the key in clear text in its home, and cannot resume
 * a session without a terminal. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "agent_event",
     .when = "event.type=content_end&event.contentType=text",
     .kind = BACKEND_SAID,
     .text = "event.text"},
    {.type = "agent_event",
     .when = "event.type=content_start&event.contentType=tool",
     .kind = BACKEND_TOOL_STARTED,
     .id = "event.toolCallId",
     .name = "event.toolName",
     .text = "event.input"},
    {.type = "agent_event",
     .when = "event.type=content_end&event.contentType=tool",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "event.toolCallId",
     .name = "event.toolName",
     .text = "event.error|event.output",
     .failed = "event.error"},
    {.type = "agent_event",
     .when = "event.type=error&event.recoverable=true",
     .kind = BACKEND_WARNING,
     .text = "event.error.message"},
    {.type = "agent_event",
     .when = "event.type=error&event.recoverable!=true",
     .kind = BACKEND_ERROR,
     .text = "event.error.message"},
    {.type = "run_result", .kind = BACKEND_ENDED, .text = "text", .failed = "finishReason!=completed"},
};
static const struct counting countings[] = {
    {.type = "run_result",
     .input = "usage.inputTokens",
     .cached = "usage.cacheReadTokens",
     .output = "usage.outputTokens"},
};
static const char *const refusals[] = {"requires approval", "denied by the user", NULL};
static const struct backend_words words = {
    .type = "type", READINGS(readings), COUNTINGS(countings), .refusals = refusals};

static void write_provider(struct json_out *o, const struct backend_draft *d, const struct backend_ask *ask)
{
    jo_key(o, "settings");
    jo_obj(o);
    jo_kz(o, "provider", "openai-compatible");
    jo_kz(o, "apiKey", ask->key);
    jo_kz(o, "model", ask->model);
    jo_kz(o, "baseUrl", plan_url(d, ask));
    jo_end_obj(o);
    jo_kz(o, "updatedAt", "2026-01-01T00:00:00.000Z");
    jo_kz(o, "tokenSource", "manual");
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_ki(o, "version", 1);
    jo_kz(o, "lastUsedProvider", "openai-compatible");
    jo_kraw(o, "modes", STR("{}"));
    jo_key(o, "providers");
    jo_obj(o);
    jo_key(o, "openai-compatible");
    jo_obj(o);
    write_provider(o, d, ask);
    jo_end_obj(o);
    jo_end_obj(o);
    jo_end_obj(o);
    plan_file(d, ".cline/data/settings/providers.json", str_of(plan_json_text(o)));
    plan_file(d, ".cline/data/settings/global-settings.json",
              STR("{\"telemetryOptOut\":true,\"autoUpdateEnabled\":false}"));
    if (ask->server_count) {
        o = plan_json(d);
        jo_obj(o);
        jo_key(o, "mcpServers");
        plan_servers(o, ask, NULL);
        jo_end_obj(o);
        plan_file(d, ".cline/data/settings/cline_mcp_settings.json", str_of(plan_json_text(o)));
    }
    plan_arg(d, "--json");
    plan_arg(d, "--auto-approve");
    plan_arg(d, "true");
    plan_args(d, ask->extra_arguments);
    return plan_prompt_arg(d, ask, err);
}

static const char *const version[] = {"--version", NULL};
static const char *const places[] = {"@cline/cli-linux-%a/bin/cline", NULL};
static const char *const hosts[] = {"data.cline.bot", NULL};
static const char *const deaf[] = {"SIGTERM", NULL};
const struct backend backend_cline = {
    .name = "cline",
    .title = "Cline",
    .package = "cline",
    .version = "3.0.65",
    .licence = "Apache-2.0",
    .program = "cline",
    .places = places,
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_ARGUMENT,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_NONE,
    .servers = true,
    .end_mark = true,
    .hosts = hosts,
    .deaf = deaf,
    .words = &words,
    .plan = plan,
};
