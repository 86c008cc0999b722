/* Aider (`aider --message-file`, Chat Completions by LiteLLM). Plain text. From its documentation (aider.chat/docs),
 * not run here. Its history lies in HOME, not in the repository; what it read of earlier messages is its way to resume.
 */
#include "agent/backend_room.h"

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"--yes-always",
                                        "--no-auto-commits",
                                        "--no-dirty-commits",
                                        "--no-gitignore",
                                        "--no-check-update",
                                        "--no-show-release-notes",
                                        "--no-pretty",
                                        "--no-stream",
                                        "--no-suggest-shell-commands",
                                        "--no-detect-urls",
                                        "--no-browser",
                                        "--no-show-model-warnings",
                                        "--analytics-disable",
                                        NULL};
    (void)err;
    plan_file(d, ".nightmill/prompt.md", ask->prompt);
    plan_args(d, fixed);
    plan_arg(d, "--model");
    plan_argf(d, "openai/%s", ask->model);
    plan_arg(d, "--weak-model");
    plan_argf(d, "openai/%s", ask->model);
    plan_arg(d, "--chat-history-file");
    plan_arg(d, plan_home(d, ask, ".nightmill/aider.chat.md"));
    plan_arg(d, "--input-history-file");
    plan_arg(d, plan_home(d, ask, ".nightmill/aider.input"));
    if (ask->resume) {
        plan_arg(d, "--restore-chat-history");
        plan_resumed(d);
    }
    plan_args(d, ask->extra_arguments);
    plan_arg(d, "--message-file");
    plan_arg(d, plan_home(d, ask, ".nightmill/prompt.md"));
    plan_env_fixed(d, "OPENAI_API_BASE", plan_url(d, ask));
    plan_env_fixed(d, "OPENAI_API_KEY", ask->key);
    plan_env(d, "AIDER_ANALYTICS_DISABLE", "true");
    plan_env(d, "LITELLM_LOCAL_MODEL_COST_MAP", "True"); /* no fetch of a price list */
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
static const char *const hosts[] = {"us.i.posthog.com", "raw.githubusercontent.com", NULL};
const struct backend backend_aider = {
    .name = "aider",
    .title = "Aider",
    .source = "pipx install aider-chat",
    .licence = "Apache-2.0",
    .program = "aider",
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_FILE,
    .format = BACKEND_TEXT,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_NONE,
    .resumes = true,
    .hosts = hosts,
    .plan = plan,
};
