/* Claude Code (`claude -p`, Anthropic Messages). Lines: system, assistant, user, result. Run with 2.1.197. On a refused
 * key `subtype` still says success and only `is_error` tells; the usage in assistant lines is a placeholder, the one in
 * result counts. Refused calls are listed in result.permission_denials. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "assistant", .each = "message.content", .each_when = "type=text", .kind = BACKEND_SAID, .text = "text"},
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
    {.type = "result", .kind = BACKEND_ENDED, .text = "result|errors|subtype", .failed = "is_error=true"},
};
static const struct counting countings[] = {
    {.type = "result",
     .input = "usage.input_tokens",
     .cached = "usage.cache_read_input_tokens",
     .written = "usage.cache_creation_input_tokens",
     .output = "usage.output_tokens",
     .apart = true},
};
static const struct backend_words words = {
    .type = "type", .session = "session_id", READINGS(readings), COUNTINGS(countings)};

static void add_servers(struct backend_draft *d, const struct backend_ask *ask)
{
    plan_arg(d, "--strict-mcp-config"); /* none but these, whatever the repository says */
    if (!ask->server_count)
        return;
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_key(o, "mcpServers");
    plan_servers(o, ask, "stdio");
    jo_end_obj(o);
    plan_file(d, ".claude/nightmill-mcp.json", str_of(plan_json_text(o)));
    plan_arg(d, "--mcp-config");
    plan_arg(d, plan_home(d, ask, ".claude/nightmill-mcp.json"));
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"-p", "--output-format", "stream-json", "--verbose", NULL};
    static const char *const quiet[] = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
                                        "1",
                                        "DISABLE_TELEMETRY",
                                        "1",
                                        "DISABLE_ERROR_REPORTING",
                                        "1",
                                        "DISABLE_AUTOUPDATER",
                                        "1",
                                        "CLAUDE_CODE_MAX_RETRIES",
                                        "1",
                                        "IS_SANDBOX",
                                        "1", /* else refused to root */
                                        NULL};
    (void)err;
    plan_args(d, fixed);
    plan_arg(d, "--model");
    plan_arg(d, ask->model);
    if (!plan_resume(d, ask, "--resume"))
        plan_session(d, ask, "--session-id");
    add_servers(d, ask);
    if (ask->approval == BACKEND_FULL)
        plan_arg(d, "--dangerously-skip-permissions");
    else {
        plan_arg(d, "--permission-mode");
        plan_arg(d, "acceptEdits");
    }
    plan_args(d, ask->extra_arguments);
    plan_switches(d, quiet);
    plan_env(d, "ANTHROPIC_SMALL_FAST_MODEL", ask->model); /* side requests ask the same model */
    plan_env(d, "ANTHROPIC_DEFAULT_HAIKU_MODEL", ask->model);
    plan_env_fixed(d, "ANTHROPIC_BASE_URL", plan_url(d, ask));
    plan_env_fixed(d, "ANTHROPIC_API_KEY", ask->key);
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
static const char *const places[] = {"@anthropic-ai/claude-code-linux-%a/claude", NULL};
const struct backend backend_claude = {
    .name = "claude",
    .title = "Claude Code",
    .package = "@anthropic-ai/claude-code",
    .version = "2.1.197",
    .licence = "proprietary",
    .program = "claude",
    .places = places,
    .version_arguments = version,
    .wire = "messages",
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
