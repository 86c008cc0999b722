/* Goose (`goose run --output-format stream-json`, Chat Completions). Lines: message (content: text, toolRequest,
 * toolResponse), notification, error, complete. From its documentation and source, not run here. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.type = "message",
     .when = "message.role=assistant",
     .each = "message.content",
     .each_when = "type=text",
     .kind = BACKEND_SAID,
     .text = "text",
     .partial = true},
    {.type = "message",
     .each = "message.content",
     .each_when = "type=toolRequest",
     .kind = BACKEND_TOOL_STARTED,
     .id = "id",
     .name = "toolCall.value.name",
     .text = "toolCall.value.arguments"},
    {.type = "message",
     .each = "message.content",
     .each_when = "type=toolResponse",
     .kind = BACKEND_TOOL_FINISHED,
     .id = "id",
     .text = "toolResult.value.content|toolResult.value|toolResult.error",
     .failed = "toolResult.status=error or toolResult.value.isError=true"},
    {.type = "error", .kind = BACKEND_ERROR, .text = "error"},
    {.type = "complete", .kind = BACKEND_ENDED},
};
static const char *const refusals[] = {"declined to run this tool", "denied by", NULL};
static const struct backend_words words = {.type = "type", READINGS(readings), .refusals = refusals};

/* extensions: of config.yaml; the tools of its own developer extension are needed for anything to be done. */
static const char *config(struct backend_draft *d, const struct backend_ask *ask)
{
    struct json_out *o = plan_json(d); /* JSON is YAML */
    jo_obj(o);
    jo_key(o, "extensions");
    jo_obj(o);
    jo_kraw(o, "developer", STR("{\"enabled\":true,\"type\":\"builtin\",\"name\":\"developer\",\"timeout\":300}"));
    for (size_t i = 0; i < ask->server_count; i++) {
        const struct backend_server *s = &ask->servers[i];
        jo_key(o, s->name);
        jo_obj(o);
        jo_kb(o, "enabled", true);
        jo_kz(o, "type", "stdio");
        jo_kz(o, "name", s->name);
        jo_kz(o, "cmd", s->argv[0]);
        jo_key(o, "args");
        jo_arr(o);
        for (const char *const *a = s->argv + 1; *a; a++)
            jo_z(o, *a);
        jo_end_arr(o);
        jo_key(o, "envs");
        plan_server_env(o, s);
        jo_ki(o, "timeout", 300);
        jo_end_obj(o);
    }
    jo_end_obj(o);
    jo_end_obj(o);
    return plan_json_text(o);
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const quiet[] = {"GOOSE_MODE",
                                        "auto",
                                        "GOOSE_PROVIDER",
                                        "openai",
                                        "GOOSE_DISABLE_KEYRING",
                                        "1",
                                        "GOOSE_TELEMETRY_ENABLED",
                                        "false",
                                        "GOOSE_TELEMETRY_OFF",
                                        "1",
                                        NULL};
    (void)err;
    plan_file(d, ".config/goose/config.yaml", str_of(config(d, ask)));
    plan_arg(d, "run");
    plan_arg(d, "--output-format");
    plan_arg(d, "stream-json");
    plan_arg(d, "--name");
    plan_arg(d, "nightmill");
    if (ask->resume) {
        plan_arg(d, "--resume");
        plan_resumed(d);
    }
    plan_args(d, ask->extra_arguments);
    plan_arg(d, "--instructions");
    plan_arg(d, "-");
    plan_switches(d, quiet);
    plan_env(d, "GOOSE_MODEL", ask->model);
    plan_env_fixed(d, "OPENAI_HOST", plan_url(d, ask));
    plan_env_fixed(d, "OPENAI_API_KEY", ask->key);
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
const struct backend backend_goose = {
    .name = "goose",
    .title = "Goose",
    .source = "the releases of block/goose",
    .licence = "Apache-2.0",
    .program = "goose",
    .version_arguments = version,
    .wire = "chat",
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_LINES,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_NONE,
    .resumes = true,
    .servers = true,
    .end_mark = true,
    .words = &words,
    .plan = plan,
};
