/* Cursor CLI (`cursor-agent -p --output-format stream-json`). Lines: system, user, assistant, tool_call, result. From
 * its documentation (docs.cursor.com/en/cli/reference/output-format), not run here. It asks models at Cursor's own
 * service alone, so its tokens are not counted at the gateway, and it needs the egress proxy and a key of its own
 * (CURSOR_API_KEY, a secret that the proxy puts in). On failure it ends without a result line. */
#include "agent/backend_room.h"

/* A tool call is an object with one member that is named after the tool. */
#define CALL(key, tool)                                                                                                \
    {.type = "tool_call",                                                                                              \
     .when = "subtype=started&tool_call." key,                                                                         \
     .kind = BACKEND_TOOL_STARTED,                                                                                     \
     .id = "call_id",                                                                                                  \
     .name = "=" tool,                                                                                                 \
     .text = "tool_call." key ".args"},                                                                                \
    {                                                                                                                  \
        .type = "tool_call", .when = "subtype=completed&tool_call." key, .kind = BACKEND_TOOL_FINISHED,                \
        .id = "call_id", .name = "=" tool,                                                                             \
        .text = "tool_call." key ".result.error|tool_call." key ".result.rejected|tool_call." key ".result.success",   \
        .failed = "tool_call." key ".result.error or tool_call." key ".result.rejected"                                \
    }
static const struct reading readings[] = {
    {.type = "assistant", .each = "message.content", .each_when = "type=text", .kind = BACKEND_SAID, .text = "text"},
    CALL("shellToolCall", "shell"),
    CALL("writeToolCall", "write"),
    CALL("editToolCall", "edit"),
    CALL("readToolCall", "read"),
    CALL("deleteToolCall", "delete"),
    CALL("grepToolCall", "grep"),
    CALL("globToolCall", "glob"),
    CALL("lsToolCall", "ls"),
    CALL("mcpToolCall", "mcp"),
    {.type = "tool_call",
     .when = "subtype=completed&tool_call.shellToolCall.result.rejected",
     .kind = BACKEND_TOOL_REFUSED,
     .id = "call_id",
     .name = "=shell",
     .text = "tool_call.shellToolCall.args"},
    {.type = "tool_call",
     .when = "subtype=completed&tool_call.writeToolCall.result.rejected",
     .kind = BACKEND_TOOL_REFUSED,
     .id = "call_id",
     .name = "=write",
     .text = "tool_call.writeToolCall.args"},
    {.type = "result", .kind = BACKEND_ENDED, .text = "result", .failed = "is_error=true"},
};
static const struct backend_words words = {.type = "type", .session = "session_id", READINGS(readings)};

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    plan_arg(d, "-p");
    plan_arg(d, "--output-format");
    plan_arg(d, "stream-json");
    if (ask->model && *ask->model) {
        plan_arg(d, "--model");
        plan_arg(d, ask->model);
    }
    if (ask->approval == BACKEND_FULL)
        plan_arg(d, "--force");
    plan_resume(d, ask, "--resume");
    if (ask->server_count) {
        struct json_out *o = plan_json(d);
        jo_obj(o);
        jo_key(o, "mcpServers");
        plan_servers(o, ask, NULL);
        jo_end_obj(o);
        plan_file(d, ".cursor/mcp.json", str_of(plan_json_text(o)));
        plan_arg(d, "--approve-mcps");
    }
    plan_args(d, ask->extra_arguments);
    return plan_prompt_arg(d, ask, err);
}

static const char *const version[] = {"--version", NULL};
static const char *const hosts[] = {"api2.cursor.sh", "api.cursor.com", "repo42.cursor.sh", NULL};
const struct backend backend_cursor = {
    .name = "cursor",
    .title = "Cursor CLI",
    .source = "cursor.com/cli",
    .licence = "proprietary",
    .program = "cursor-agent",
    .version_arguments = version,
    .input = BACKEND_BY_ARGUMENT,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS),
    .session = BACKEND_SESSION_READ,
    .resumes = true,
    .servers = true,
    .end_mark = true,
    .hosts = hosts,
    .words = &words,
    .plan = plan,
};
