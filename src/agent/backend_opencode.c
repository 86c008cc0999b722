/* opencode (`opencode run --format json`, Chat Completions). Lines: step_start, tool_use, text, step_finish, error,
 * each with sessionID. Run with 1.18.33. Its own request for a title is avoided by giving one. The last step ends with
 * reason "stop"; there is no other end. It retries a failing server without end: the run's limits stop it. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "text", .kind = BACKEND_SAID, .text = "part.text"},
    {.type = "tool_use",
     .kind = BACKEND_TOOL_STARTED,
     .id = "part.callID",
     .name = "part.tool",
     .text = "part.state.input"},
    {.type = "tool_use",
     .when = "part.state.status=completed|error",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "part.callID",
     .name = "part.tool",
     .text = "part.state.output|part.state.error",
     .failed = "part.state.status=error"},
    {.type = "error", .kind = BACKEND_ERROR, .text = "error.data.message|error.message|error.name"},
    {.type = "step_finish",
     .when = "part.reason!=tool-calls",
     .kind = BACKEND_ENDED,
     .text = "part.reason",
     .failed = "part.reason=error|content-filter"},
};
static const struct counting countings[] = {
    {.type = "step_finish",
     .input = "part.tokens.input",
     .cached = "part.tokens.cache.read",
     .written = "part.tokens.cache.write",
     .output = "part.tokens.output",
     .reasoning = "part.tokens.reasoning",
     .apart = true,
     .add = true},
};
static const char *const refusals[] = {"The user rejected permission", "rule which prevents you from using", NULL};
static const struct backend_words words = {
    .type = "type", .session = "sessionID", READINGS(readings), COUNTINGS(countings), .refusals = refusals};

static void write_provider(struct json_out *o, const struct backend_draft *d, const struct backend_ask *ask)
{
    jo_key(o, "provider");
    jo_obj(o);
    jo_key(o, "nightmill");
    jo_obj(o);
    jo_kz(o, "npm", "@ai-sdk/openai-compatible");
    jo_key(o, "options");
    jo_obj(o);
    jo_kz(o, "baseURL", plan_url(d, ask));
    jo_kz(o, "apiKey", ask->key);
    jo_end_obj(o);
    jo_key(o, "models");
    jo_obj(o);
    jo_key(o, ask->model);
    jo_obj(o);
    jo_key(o, "limit");
    jo_obj(o);
    jo_ki(o, "context", plan_context(ask));
    jo_ki(o, "output", plan_output(ask));
    for (int i = 0; i < 5; i++)
        jo_end_obj(o);
}

static void write_servers(struct json_out *o, const struct backend_ask *ask)
{
    jo_key(o, "mcp");
    jo_obj(o);
    for (size_t i = 0; i < ask->server_count; i++) {
        jo_key(o, ask->servers[i].name);
        jo_obj(o);
        jo_kz(o, "type", "local");
        jo_kb(o, "enabled", true);
        jo_key(o, "command");
        jo_arr(o);
        for (const char *const *a = ask->servers[i].argv; *a; a++)
            jo_z(o, *a);
        jo_end_arr(o);
        jo_key(o, "environment");
        plan_server_env(o, &ask->servers[i]);
        jo_end_obj(o);
    }
    jo_end_obj(o);
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const quiet[] = {"OPENCODE_DISABLE_MODELS_FETCH",
                                        "1",
                                        "OPENCODE_DISABLE_AUTOUPDATE",
                                        "1",
                                        "OPENCODE_DISABLE_LSP_DOWNLOAD",
                                        "1",
                                        "OPENCODE_DISABLE_SHARE",
                                        "1",
                                        NULL};
    (void)err;
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_kz(o, "share", "disabled");
    jo_kb(o, "autoupdate", false);
    if (ask->approval == BACKEND_EDITS)
        jo_kraw(o, "permission", STR("{\"edit\":\"allow\",\"bash\":\"deny\",\"webfetch\":\"deny\"}"));
    write_provider(o, d, ask);
    write_servers(o, ask);
    jo_end_obj(o);
    plan_file(d, ".config/opencode/opencode.json", str_of(plan_json_text(o)));
    plan_arg(d, "run");
    plan_arg(d, "--format");
    plan_arg(d, "json");
    if (ask->approval == BACKEND_FULL)
        plan_arg(d, "--auto");
    plan_arg(d, "-m");
    plan_argf(d, "nightmill/%s", ask->model);
    if (!plan_resume(d, ask, "--session")) {
        plan_arg(d, "--title");
        plan_arg(d, "nightmill");
    }
    plan_args(d, ask->extra_arguments);
    plan_switches(d, quiet);
    plan_env_fixed(d, "OPENCODE_CONFIG", plan_home(d, ask, ".config/opencode/opencode.json"));
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
static const char *const places[] = {"opencode-linux-%a-baseline/bin/opencode", "opencode-linux-%a/bin/opencode", NULL};
static const char *const hosts[] = {"(the npm registry)", NULL};
const struct backend backend_opencode = {
    .name = "opencode",
    .title = "opencode",
    .package = "opencode-ai",
    .version = "1.18.33",
    .licence = "MIT",
    .program = "opencode",
    .places = places,
    .version_arguments = version,
    .wire = "chat",
    .base_v1 = true,
    .input = BACKEND_BY_STDIN,
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
