/* Any agent that speaks the Agent Client Protocol over stdio (`opencode acp`, `gemini --acp`, `qwen --acp`, `copilot
 * --acp`, `codex-acp`): acp.h holds the conversation, here stands only how the program is started. What the program
 * needs to find its model is in the environment in all dialects; files of its own are the business of its named
 * backend. */
#include "agent/backend_room.h"

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    if (!ask->custom.argv || !ask->custom.argv[0]) {
        err_set(err, RC_INVALID, "the agent \"acp\" needs a program to run");
        return err_hint(err, "set agent.command to the program and its arguments, for example \"opencode acp\"");
    }
    plan_program(d, ask->custom.argv);
    plan_args(d, ask->extra_arguments);
    plan_endpoints(d, ask);
    if (plan_resumes(ask))
        plan_resumed(d);
    return RC_OK;
}

const struct backend backend_acp = {
    .name = "acp",
    .title = "ACP agent",
    .source = "a program of yours (agent.command)",
    .licence = "unknown",
    .wire = "chat",
    .input = BACKEND_BY_FILE, /* by the protocol */
    .format = BACKEND_ACP,
    .approvals = BACKEND_MAY(BACKEND_FULL) | BACKEND_MAY(BACKEND_EDITS) | BACKEND_MAY(BACKEND_ASK),
    .session = BACKEND_SESSION_READ,
    .resumes = true,
    .servers = true,
    .end_mark = true,
    .plan = plan,
};
