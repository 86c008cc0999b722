/* pi (`pi -p --mode json`, Chat Completions). Lines: session, turn_start, message_*, tool_execution_*, turn_end,
 * agent_end. Run with 0.74.2. It ends with 0 after every error: only stopReason tells. It never asks before a tool. Its
 * message_update lines repeat the whole message each time and are not read. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "session", .kind = BACKEND_SESSION_KNOWN, .id = "id"},
    {.type = "message_end",
     .when = "message.role=assistant&message.stopReason!=error",
     .each = "message.content",
     .each_when = "type=text",
     .kind = BACKEND_SAID,
     .text = "text"},
    {.type = "tool_execution_start",
     .kind = BACKEND_TOOL_STARTED,
     .id = "toolCallId",
     .name = "toolName",
     .text = "args"},
    {.type = "tool_execution_end",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "toolCallId",
     .name = "toolName",
     .text = "result.content",
     .failed = "isError=true"},
    {.type = "turn_end",
     .when = "message.stopReason=error|aborted",
     .kind = BACKEND_ERROR,
     .text = "message.errorMessage|message.stopReason"},
    {.type = "agent_end", .kind = BACKEND_ENDED},
};
static const struct counting countings[] = {
    {.type = "turn_end",
     .input = "message.usage.input",
     .cached = "message.usage.cacheRead",
     .written = "message.usage.cacheWrite",
     .output = "message.usage.output",
     .apart = true,
     .add = true},
};
static const struct backend_words words = {.type = "type", READINGS(readings), COUNTINGS(countings)};

static void write_model(struct json_out *o, const struct backend_ask *ask)
{
    jo_key(o, "models");
    jo_arr(o);
    jo_obj(o);
    jo_kz(o, "id", ask->model);
    jo_kz(o, "name", ask->model);
    jo_kb(o, "reasoning", false);
    jo_kraw(o, "input", STR("[\"text\"]"));
    jo_kraw(o, "cost", STR("{\"input\":0,\"output\":0,\"cacheRead\":0,\"cacheWrite\":0}"));
    jo_ki(o, "contextWindow", plan_context(ask));
    jo_ki(o, "maxTokens", plan_output(ask));
    jo_end_obj(o);
    jo_end_arr(o);
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"-p", "--mode", "json", "--provider", "nightmill", "--model", NULL};
    static const char *const quiet[] = {"PI_OFFLINE", "1", "PI_SKIP_VERSION_CHECK", "1", "PI_TELEMETRY", "0", NULL};
    (void)err;
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_key(o, "providers");
    jo_obj(o);
    jo_key(o, "nightmill");
    jo_obj(o);
    jo_kz(o, "baseUrl", plan_url(d, ask));
    jo_kz(o, "api", "openai-completions");
    jo_kz(o, "apiKey", ask->key);
    write_model(o, ask);
    jo_end_obj(o);
    jo_end_obj(o);
    jo_end_obj(o);
    plan_file(d, ".pi/agent/models.json", str_of(plan_json_text(o)));
    plan_file(d, ".pi/agent/settings.json", STR("{\"retry\":{\"enabled\":true,\"maxRetries\":1}}"));
    plan_args(d, fixed);
    plan_arg(d, ask->model);
    if (ask->approval == BACKEND_EDITS) {
        plan_arg(d, "--tools");
        plan_arg(d, "read,edit,write,grep,find,ls");
    }
    plan_resume(d, ask, "--session");
    plan_args(d, ask->extra_arguments);
    plan_switches(d, quiet);
    plan_env_fixed(d, "PI_CODING_AGENT_DIR", plan_home(d, ask, ".pi/agent"));
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
const struct backend backend_pi = {
    .name = "pi",
    .title = "pi",
    .package = "@earendil-works/pi-coding-agent",
    .version = "0.74.2",
    .licence = "MIT",
    .node = 20,
    .program = "pi",
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS),
    .session = BACKEND_SESSION_READ,
    .resumes = true,
    .end_mark = true,
    .words = &words,
    .plan = plan,
};
