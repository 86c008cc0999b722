/* Qwen Code (`qwen -o stream-json`, Chat Completions). Lines as Claude Code's: system, assistant, user, result. Pinned
 * to 0.15.10, the newest that runs on Node.js 20. After a refused request it ends with 0, is_error false and the words
 * of the error as its answer; the usage in result counts a resumed session from its beginning, the one in assistant
 * lines does not. A signal to the started process leaves its child running: the whole group must go. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "assistant",
     .each = "message.content",
     .each_when = "type=text&text^=[API Error",
     .kind = BACKEND_ERROR,
     .text = "text"},
    {.type = "assistant",
     .each = "message.content",
     .each_when = "type=text&text!^=[API Error",
     .kind = BACKEND_SAID,
     .text = "text"},
    {.type = "assistant",
     .each = "message.content",
     .each_when = "type=tool_use",
     .kind = BACKEND_TOOL_STARTED,
     .id = "id",
     .name = "name",
     .text = "input"},
    {.type = "user",
     .each = "message.content",
     .each_when = "type=tool_result",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "tool_use_id",
     .text = "content",
     .failed = "is_error=true"},
    {.type = "result",
     .each = "permission_denials",
     .kind = BACKEND_TOOL_REFUSED,
     .id = "tool_use_id",
     .name = "tool_name",
     .text = "tool_input"},
    {.type = "result",
     .kind = BACKEND_ENDED,
     .text = "result|error.message|subtype",
     .failed = "is_error=true or result^=[API Error"},
};
static const struct counting countings[] = {
    {.type = "assistant",
     .input = "message.usage.input_tokens",
     .cached = "message.usage.cache_read_input_tokens",
     .output = "message.usage.output_tokens",
     .total = "message.usage.total_tokens",
     .add = true},
};
static const struct backend_words words = {
    .type = "type", .session = "session_id", READINGS(readings), COUNTINGS(countings)};

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"-o", "stream-json", "--auth-type", "openai", "-m", NULL};
    (void)err;
    plan_args(d, fixed);
    plan_arg(d, ask->model);
    plan_arg(d, "--approval-mode");
    plan_arg(d, ask->approval == BACKEND_FULL ? "yolo" : "auto-edit");
    if (!plan_resume(d, ask, "--resume"))
        plan_session(d, ask, "--session-id");
    plan_args(d, ask->extra_arguments);
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_kraw(o, "privacy", STR("{\"usageStatisticsEnabled\":false}"));
    jo_kraw(o, "telemetry", STR("{\"enabled\":false}"));
    jo_kraw(o, "general", STR("{\"enableAutoUpdate\":false,\"disableAutoUpdate\":true}"));
    jo_key(o, "mcpServers");
    plan_servers(o, ask, NULL);
    jo_end_obj(o);
    plan_file(d, ".qwen/settings.json", str_of(plan_json_text(o)));
    plan_env(d, "QWEN_CODE_NO_RELAUNCH", "true");
    plan_env(d, "OPENAI_MODEL", ask->model);
    plan_env_fixed(d, "OPENAI_BASE_URL", plan_url(d, ask));
    plan_env_fixed(d, "OPENAI_API_KEY", ask->key);
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
static const char *const deaf[] = {"SIGINT", "SIGTERM", NULL};
const struct backend backend_qwen = {
    .name = "qwen",
    .title = "Qwen Code",
    .package = "@qwen-code/qwen-code",
    .version = "0.15.10",
    .licence = "unknown",
    .node = 20,
    .program = "qwen",
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
    .deaf = deaf,
    .proxy_blind = true,
    .words = &words,
    .plan = plan,
};
