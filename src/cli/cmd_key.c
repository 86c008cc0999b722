/* nightmill key: keys for clients of the gateway. */
#include "base/text.h"
#include "cli/session.h"

static const struct argument arguments[] = {
    {.name = "VERB", .help = "make a key, list keys, revoke one", .choices = "create|ls|revoke"},
    {.name = "NAME", .help = "of create: what it is for; of revoke: its id or prefix", .optional = true},
    {0},
};
#define MOST INT64_C(1000000000000)
static const struct option options[] = {
    {.name = "access",
     .kind = OPTION_CHOICE,
     .argument = "ACCESS",
     .choices = "read|use|admin",
     .help = "create: look at reports, ask models too, or change its project too; else use"},
    {.name = "model",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .repeat = true,
     .help = "create: only this model or tier; * stands for any characters"},
    {.name = "project",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "create: it sees and spends for this project alone; ls: keys of this project"},
    {.name = "organisation", .kind = OPTION_TEXT, .argument = "NAME", .help = "create: whose budgets count too"},
    {.name = "user", .kind = OPTION_TEXT, .argument = "NAME", .help = "create: whose budgets count too"},
    {.name = "account",
     .kind = OPTION_TEXT,
     .argument = "USER",
     .help = "create: a key of this user: it does no more than the user may, and ends with the user"},
    {.name = "expires",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 3153600000,
     .help = "create: it holds so long, such as 30d"},
    {.name = "requests", .kind = OPTION_COUNT, .argument = "N", .max = MOST, .help = "create: requests a minute"},
    {.name = "tokens", .kind = OPTION_COUNT, .argument = "N", .max = MOST, .help = "create: tokens a minute"},
    {.name = "streams", .kind = OPTION_COUNT, .argument = "N", .max = MOST, .help = "create: streams at once"},
    {0},
};
static const struct example examples[] = {
    {"nightmill key create laptop", "a key that may ask any model"},
    {"nightmill key create ci --project shop --model 'claude-haiku-*' --expires 30d --requests 60", "a narrow one"},
    {"nightmill key revoke nm_0a1b2c3d", "ends it at once"},
    {0},
};

static void key_line(struct cli *cli, struct json k, struct buf *b)
{
    mem *ctx = cli->ctx;
    const char *used = shown_line(ctx, k, "last_used_at", 40), *project = shown_line(ctx, k, "project", 100);
    buf_printf(b, cli->out.live ? "%-8s %-12s %-8s %-6s %-16s %-25s %s\n" : "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
               shown_line(ctx, k, "id", 16), shown_line(ctx, k, "prefix", 16), shown_line(ctx, k, "state", 16),
               shown_line(ctx, k, "access", 16), *project ? project : "-", *used ? used : "never used",
               shown_line(ctx, k, "name", 100));
}

static enum rc list(struct cli *cli, struct err *err)
{
    mem *ctx = cli->ctx;
    struct json answer;
    struct buf b;
    const char *project = call_value(&cli->call, "project");
    const char *path =
        project ? mem_printf(ctx, "/api/v1/keys?project=%s", text_url(ctx, str_of(project))) : "/api/v1/keys";
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "keys", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "keys")); json_next(&it);)
        key_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No keys. Make one: nightmill key create NAME");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static void limits_write(const struct call *call, struct json_out *o)
{
    static const struct {
        const char *option, *member;
    } texts[] = {{"access", "access"},
                 {"project", "project"},
                 {"organisation", "organisation"},
                 {"user", "user"},
                 {"account", "account"}},
      counts[] = {{"expires", "expires_s"},
                  {"requests", "requests_per_minute"},
                  {"tokens", "tokens_per_minute"},
                  {"streams", "streams"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (call_has(call, texts[i].option))
            jo_kz(o, texts[i].member, call_value(call, texts[i].option));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (call_has(call, counts[i].option))
            jo_ki(o, counts[i].member, call_number(call, counts[i].option, 0));
}

static enum rc create(struct cli *cli, struct err *err)
{
    const struct call *call = &cli->call;
    struct buf b;
    struct json_out o;
    struct json answer;
    const char *const *models = call_values(cli->ctx, call, "model");
    if (!call_argument(call, 1)) {
        err_set(err, RC_INVALID, "Name the key, so that you know it in the list");
        return err_hint(err, "nightmill key create NAME");
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "name", call_argument(call, 1));
    limits_write(call, &o);
    if (*models) {
        jo_key(&o, "models");
        jo_arr(&o);
        for (; *models; models++)
            jo_z(&o, *models);
        jo_end_arr(&o);
    }
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "POST", "/api/v1/keys", buf_view(&b), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "key", json_raw(answer), -1);
        return RC_OK;
    }
    cli_answerf(cli, "%s\n", shown_line(cli->ctx, answer, "key", 100));
    cli_say(cli, "That is the key %s. It is shown this once; nightmill key revoke %s ends it.",
            shown_line(cli->ctx, answer, "id", 16), shown_line(cli->ctx, answer, "id", 16));
    return RC_OK;
}

static enum rc revoke(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    const char *name = call_argument(&cli->call, 1);
    if (!name) {
        err_set(err, RC_INVALID, "Which key? Its id or its prefix");
        return err_hint(err, "nightmill key ls lists them");
    }
    enum rc rc = cli_ask(cli, "DELETE", mem_printf(cli->ctx, "/api/v1/keys/%s", text_url(cli->ctx, str_of(name))),
                         STR(""), &answer, err);
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 65536);
    key_line(cli, answer, &b);
    if (cli->json)
        cli_document(cli, "key", json_raw(answer), -1);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "create") ? create(cli, &err)
                 : !strcmp(verb, "ls")   ? list(cli, &err)
                                         : revoke(cli, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_key = {
    .name = "key",
    .summary = "make, list and revoke keys for clients of the gateway",
    .details =
        "A client sends its key where its SDK puts keys: Authorization: Bearer, x-api-key or x-goog-api-key. What "
        "is stored is a hash. A revoked key is refused from the next request on.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
