/* Any program: the prompt on standard input or as its last argument, output as plain text or as JSON lines in
 * Nightmill's own words. docs/agents.md describes the lines for those who write such a program. Every usual variable
 * for the model's address is set, in all dialects. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "session", .kind = BACKEND_SESSION_KNOWN, .id = "id"},
    {.type = "text", .kind = BACKEND_SAID, .text = "text"},
    {.type = "tool.started", .kind = BACKEND_TOOL_STARTED, .id = "id", .name = "name", .text = "summary|arguments"},
    {.type = "tool.finished",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "id",
     .name = "name",
     .text = "output",
     .failed = "failed=true"},
    {.type = "tool.refused", .kind = BACKEND_TOOL_REFUSED, .id = "id", .name = "name", .text = "summary"},
    {.type = "warning", .kind = BACKEND_WARNING, .text = "text"},
    {.type = "error", .kind = BACKEND_ERROR, .text = "text"},
    {.type = "end", .kind = BACKEND_ENDED, .text = "text", .failed = "failed=true"},
};
static const struct counting countings[] = {
    {.type = "usage", .input = "input_tokens", .cached = "cached_tokens", .output = "output_tokens", .add = true},
};
const struct backend_words backend_own_words = {.type = "type", READINGS(readings), COUNTINGS(countings)};

/* MCP servers, in the shape that most programs read: {"mcpServers":{NAME:{command,args,env}}}. */
static void plan_mcp(struct backend_draft *d, const struct backend_ask *ask)
{
    if (!ask->server_count)
        return;
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_key(o, "mcpServers");
    plan_servers(o, ask, NULL);
    jo_end_obj(o);
    plan_file(d, ".nightmill/mcp.json", str_of(plan_json_text(o)));
    plan_env(d, "NIGHTMILL_MCP_CONFIG", plan_home(d, ask, ".nightmill/mcp.json"));
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    if (!ask->custom.argv || !ask->custom.argv[0]) {
        err_set(err, RC_INVALID, "the agent \"command\" needs a program to run");
        return err_hint(err, "set agent.command to the program and its arguments");
    }
    plan_program(d, ask->custom.argv);
    plan_args(d, ask->extra_arguments);
    plan_endpoints(d, ask);
    plan_mcp(d, ask);
    plan_format(d, ask->custom.format == BACKEND_LINES ? BACKEND_LINES : BACKEND_TEXT);
    plan_env(d, "NIGHTMILL_ITERATION", mem_printf(plan_mem(d), "%lld", (long long)ask->iteration));
    if (plan_resumes(ask)) {
        plan_env(d, "NIGHTMILL_SESSION", ask->session);
        plan_resumed(d);
    }
    if (ask->custom.input == BACKEND_BY_ARGUMENT)
        return plan_prompt_arg(d, ask, err);
    plan_input(d, ask->prompt);
    return RC_OK;
}

const struct backend backend_command = {
    .name = "command",
    .title = "command",
    .source = "a program of yours (agent.command)",
    .licence = "unknown",
    .wire = "chat",
    .input = BACKEND_BY_FILE, /* settled by the ask */
    .format = BACKEND_TEXT,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_READ,
    .resumes = true,
    .servers = true,
    .words = &backend_own_words,
    .plan = plan,
};
