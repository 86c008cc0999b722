/* A LangChain or LangGraph program of one's own (any wire). It reads its prompt from standard input and prints the
 * events of astream_events (version "v2"), one JSON object a line: on_chat_model_end, on_tool_start, on_tool_end,
 * on_tool_error, on_chain_end. From LangChain's reference (python.langchain.com, "Streaming events"), not run here. Its
 * end is the on_chain_end of the outermost chain, whose list of parents is empty. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "on_chat_model_end", .kind = BACKEND_SAID, .text = "data.output.content|data.output.kwargs.content"},
    {.type = "on_tool_start", .kind = BACKEND_TOOL_STARTED, .id = "run_id", .name = "name", .text = "data.input"},
    {.type = "on_tool_end",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "run_id",
     .name = "name",
     .text = "data.output.content|data.output.kwargs.content|data.output",
     .failed = "data.output.status=error or data.output.kwargs.status=error"},
    {.type = "on_tool_error",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "run_id",
     .name = "name",
     .text = "data.error",
     .failed = ""},
    {.type = "on_chain_error", .when = "parent_ids=[]", .kind = BACKEND_ENDED, .text = "data.error", .failed = ""},
    {.type = "on_chain_end", .when = "parent_ids=[]", .kind = BACKEND_ENDED},
};
static const struct counting countings[] = {
    {.type = "on_chat_model_end",
     .input = "data.output.usage_metadata.input_tokens|data.output.kwargs.usage_metadata.input_tokens",
     .cached = "data.output.usage_metadata.input_token_details.cache_read",
     .output = "data.output.usage_metadata.output_tokens|data.output.kwargs.usage_metadata.output_tokens",
     .add = true},
};
static const struct backend_words words = {.type = "event", READINGS(readings), COUNTINGS(countings)};

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    if (!ask->custom.argv || !ask->custom.argv[0]) {
        err_set(err, RC_INVALID, "the agent \"langchain\" needs a program to run");
        return err_hint(err, "set agent.command to the program and its arguments");
    }
    plan_program(d, ask->custom.argv);
    plan_args(d, ask->extra_arguments);
    plan_endpoints(d, ask);
    plan_env(d, "LANGSMITH_TRACING", "false");
    plan_env(d, "LANGCHAIN_TRACING_V2", "false");
    plan_env(d, "PYTHONUNBUFFERED", "1");
    return RC_OK;
}

const struct backend backend_langchain = {
    .name = "langchain",
    .title = "LangChain program",
    .source = "a program of yours (agent.command)",
    .licence = "unknown",
    .wire = "chat",
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_NONE,
    .end_mark = true,
    .words = &words,
    .plan = plan,
};
