/* An agent behind HTTP: POST /api/execute {"prompt","context","iteration","mode"} is answered with
 * {"exit_code","output","completed"}.
 *
 * It is asked by curl inside the sandbox, body on standard input, so that nothing outside the sandbox speaks to it. The
 * service is a program that the sandbox starts first (custom.argv, listening on 127.0.0.1), which then sees the
 * workspace; or one elsewhere (custom.url alone), reached through the egress proxy by its rules. curl waits until the
 * service listens. `context` says where things are: {"workspace","model","base_url","api_key"}. */
#include "agent/backend_room.h"

static const struct reading readings[] = {
    {.when = "output", .kind = BACKEND_SAID, .text = "output"},
    {.when = "error", .kind = BACKEND_ERROR, .text = "error.message|error"},
    {.when = "exit_code", .kind = BACKEND_ENDED, .text = "output", .failed = "exit_code!=0"},
};
static const struct backend_words words = {READINGS(readings)};

static const char *body(struct backend_draft *d, const struct backend_ask *ask)
{
    struct json_out *o = plan_json(d);
    jo_obj(o);
    jo_ks(o, "prompt", ask->prompt);
    jo_key(o, "context");
    jo_obj(o);
    jo_kz(o, "workspace", ask->workspace);
    jo_kz(o, "model", ask->model);
    jo_kz(o, "base_url", ask->base_url);
    jo_kz(o, "api_key", ask->key);
    jo_end_obj(o);
    jo_ki(o, "iteration", ask->iteration);
    jo_kz(o, "mode", "execute");
    jo_end_obj(o);
    return o->b->overflow ? NULL : plan_json_text(o);
}

static const char *address(struct backend_draft *d, const char *url)
{
    const char *rest = strstr(url, "://");
    rest = rest ? strchr(rest + 3, '/') : NULL;
    if (rest && rest[1])
        return url;
    return mem_printf(plan_mem(d), "%.*s/api/execute", rest ? (int)(rest - url) : (int)strlen(url), url);
}

static enum rc plan(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    static const char *const fixed[] = {"-q", /* no .curlrc */
                                        "--silent",
                                        "--show-error",
                                        "--fail-with-body",
                                        "--max-redirs",
                                        "0",
                                        "--retry",
                                        "60",
                                        "--retry-delay",
                                        "1",
                                        "--retry-connrefused",
                                        "--retry-max-time",
                                        "60",
                                        "--header",
                                        "Content-Type: application/json",
                                        "--data-binary",
                                        "@-",
                                        NULL};
    const char *url = ask->custom.url;
    if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || strpbrk(url, " \t\r\n")) {
        err_set(err, RC_INVALID, "the agent \"http\" needs the address of its service");
        return err_hint(err, "set agent.url, for example http://127.0.0.1:8700");
    }
    const char *text = body(d, ask);
    if (!text)
        return err_set(err, RC_INVALID, "the prompt is too long for the agent \"http\"");
    plan_args(d, fixed);
    plan_args(d, ask->extra_arguments);
    plan_arg(d, "--url");
    plan_arg(d, address(d, url));
    plan_input(d, str_of(text));
    plan_endpoints(d, ask);
    plan_service(d, ask->custom.argv);
    return RC_OK;
}

static const char *const version[] = {"--version", NULL};
const struct backend backend_http = {
    .name = "http",
    .title = "HTTP agent",
    .source = "a service of yours (agent.url), asked by curl",
    .licence = "unknown",
    .program = "curl",
    .version_arguments = version,
    .wire = "chat",
    .input = BACKEND_BY_STDIN,
    .format = BACKEND_WHOLE,
    .approvals = BACKEND_MAY(BACKEND_FULL),
    .session = BACKEND_SESSION_NONE,
    .end_mark = true,
    .words = &words,
    .plan = plan,
};
