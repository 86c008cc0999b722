/* AutoGPT, the classic command line (`autogpt run --continuous`, Chat Completions). Plain text. From its documentation,
 * not run here. It works in a folder of its own unless it is told otherwise, and goes on without end unless it is
 * limited. */
#include "agent/backend_room.h"

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"--continuous", "--continuous-limit", "50",
                                        "--skip-news",  "--skip-reprompt",    "--ai-name",
                                        "nightmill",    "--ai-role",          NULL};
    plan_arg(d, "run");
    plan_args(d, fixed);
    plan_arg(d, "a programmer who changes the files of the current folder");
    plan_args(d, ask->extra_arguments);
    plan_arg(d, "--ai-task");
    enum rc rc = plan_prompt_arg(d, ask, err);
    plan_env(d, "SMART_LLM", ask->model);
    plan_env(d, "FAST_LLM", ask->model);
    plan_env(d, "TELEMETRY_OPT_IN", "false");
    plan_env(d, "RESTRICT_TO_WORKSPACE", "False");
    plan_env(d, "EXECUTE_LOCAL_COMMANDS", "True");
    plan_env(d, "FILE_STORAGE_BACKEND", "local");
    plan_env(d, "WORKSPACE_DIR", ask->workspace);
    plan_env_fixed(d, "OPENAI_API_BASE_URL", plan_url(d, ask));
    plan_env_fixed(d, "OPENAI_API_KEY", ask->key);
    return rc;
}

static const char *const version[] = {"--version", NULL};
const struct backend backend_autogpt = {
    .name = "autogpt",
    .title = "AutoGPT",
    .source = "the classic folder of Significant-Gravitas/AutoGPT",
    .licence = "MIT",
    .program = "autogpt",
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_ARGUMENT,
    .format = BACKEND_TEXT,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_NONE,
    .plan = plan,
};
