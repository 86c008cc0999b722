/* Gemini CLI (`gemini -o stream-json`, generateContent). Lines: init, message, tool_use, tool_result, error, result.
 * Run with 0.61.0. Without settings.json it ends with 41, without --skip-trust with 55, after a refused request with
 * the HTTP status modulo 256. It counts no reasoning in output_tokens: output is what the total has beyond the input.
 */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "message", .when = "role=assistant&delta=true", .kind = BACKEND_SAID, .text = "content", .partial = true},
    {.type = "message", .when = "role=assistant&delta!=true", .kind = BACKEND_SAID, .text = "content"},
    {.type = "tool_use", .kind = BACKEND_TOOL_STARTED, .id = "tool_id", .name = "tool_name", .text = "parameters"},
    {.type = "tool_result",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "tool_id",
     .text = "output|error.message",
     .failed = "status=error"},
    {.type = "error", .when = "severity=warning", .kind = BACKEND_WARNING, .text = "message"},
    {.type = "error", .when = "severity!=warning", .kind = BACKEND_ERROR, .text = "message"},
    {.type = "result", .kind = BACKEND_ENDED, .text = "error.message|status", .failed = "status!=success"},
};
static const struct counting countings[] = {
    {.type = "result",
     .input = "stats.input_tokens",
     .cached = "stats.cached",
     .output = "stats.output_tokens",
     .total = "stats.total_tokens"},
};
static const char *const refusals[] = {"denied by policy", "Tool execution denied", "requires user confirmation", NULL};
static const struct backend_words words = {
    .type = "type", .session = "session_id", READINGS(readings), COUNTINGS(countings), .refusals = refusals};

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"--skip-trust", "-o", "stream-json", "-m", NULL};
    (void)err;
    plan_args(d, fixed);
    plan_arg(d, ask->model);
    plan_arg(d, "--approval-mode");
    plan_arg(d, ask->approval == BACKEND_FULL ? "yolo" : "auto_edit");
    if (!plan_resume(d, ask, "--resume"))
        plan_session(d, ask, "--session-id");
    plan_args(d, ask->extra_arguments);
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_kraw(o, "security", STR("{\"auth\":{\"selectedType\":\"gemini-api-key\"}}"));
    jo_kraw(o, "privacy", STR("{\"usageStatisticsEnabled\":false}"));
    jo_kraw(o, "telemetry", STR("{\"enabled\":false}"));
    jo_kraw(o, "general", STR("{\"enableAutoUpdate\":false,\"disableAutoUpdate\":true}"));
    jo_key(o, "mcpServers");
    plan_servers(o, ask, NULL);
    jo_end_obj(o);
    plan_file(d, ".gemini/settings.json", str_of(plan_json_text(o)));
    plan_env(d, "GEMINI_CLI_NO_RELAUNCH", "true"); /* no launcher above the real process */
    plan_env(d, "GEMINI_TELEMETRY_ENABLED", "false");
    plan_env_fixed(d, "GOOGLE_GEMINI_BASE_URL", plan_url(d, ask));
    plan_env_fixed(d, "GEMINI_API_KEY", ask->key);
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
const struct backend backend_gemini = {
    .name = "gemini",
    .title = "Gemini CLI",
    .package = "@google/gemini-cli",
    .version = "0.61.0",
    .licence = "Apache-2.0",
    .node = 20,
    .program = "gemini",
    .version_arguments = version,
    .wire = "gemini",
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS),
    .session = BACKEND_SESSION_CHOSEN,
    .resumes = true,
    .servers = true,
    .end_mark = true,
    .words = &words,
    .plan = plan,
};
