/* nightmill model: names that clients may ask for, who serves them, and whether they answer. */
#include "base/text.h"
#include "cli/session.h"

static const struct argument arguments[] = {
    {.name = "VERB", .help = "list models, add one, remove one, ask one for a token", .choices = "ls|add|rm|test"},
    {.name = "NAME", .help = "the model; of test: a tier or an alias as well", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "provider",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "add: who serves it; rm: only this provider's entry"},
    {.name = "upstream",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "add: what it is called there; else the same"},
    {.name = "context", .kind = OPTION_COUNT, .argument = "N", .max = 1000000000, .help = "add: tokens that fit"},
    {.name = "max-output",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = 1000000000,
     .help = "add: tokens that one answer may have"},
    {.name = "abilities",
     .kind = OPTION_CHOICES,
     .argument = "LIST",
     .choices = "tools|images|reasoning|json",
     .help = "add: what it can do"},
    {.name = "weight",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000,
     .help = "add: its share among equal upstreams; else 100"},
    {.name = "thinking", .help = "test: the thinking chain of a tier"},
    {0},
};
static const struct example examples[] = {
    {"nightmill model add qwen --provider gpu --upstream Qwen/Qwen3-Coder", "a name for what a server of yours has"},
    {"nightmill model test A", "asks everything that tier A stands for, 16 tokens each at most"},
    {0},
};

static enum rc name_needed(struct cli *cli, struct err *err)
{
    if (call_argument(&cli->call, 1))
        return RC_OK;
    err_set(err, RC_INVALID, "Name the model");
    return err_hint(err, "nightmill model %s NAME", call_argument(&cli->call, 0));
}

static void model_line(struct cli *cli, struct json m, struct buf *b)
{
    mem *ctx = cli->ctx;
    struct json price = json_get(m, "price");
    const char *words = json_is(price)
                            ? mem_printf(ctx, "in %s out %s %s", shown_line(ctx, price, "input", 40),
                                         shown_line(ctx, price, "output", 40), shown_line(ctx, price, "currency", 10))
                            : "no price";
    const char *state = json_bool(json_get(m, "available"), false) ? words : "its provider is off or gone";
    buf_printf(b, cli->out.live ? "%-28s %-14s %-32s %s\n" : "%s\t%s\t%s\t%s\n", shown_line(ctx, m, "id", 200),
               shown_line(ctx, m, "provider", 64), shown_line(ctx, m, "upstream", 200), state);
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/models", STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "models", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "models")); json_next(&it);)
        model_line(cli, it.value, &b);
    for (struct json_iter it = json_iter(json_get(answer, "by_name")); json_next(&it);)
        cli_say(cli, "%s... is asked at %s without an entry", shown_line(cli->ctx, it.value, "prefix", 64),
                shown_line(cli->ctx, it.value, "provider", 64));
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static void abilities_write(struct json_out *o, const char *list)
{
    struct str rest = str_of(list), one;
    jo_key(o, "abilities");
    jo_arr(o);
    while (str_next(&rest, ',', &one))
        jo_str(o, str_trim(one));
    jo_end_arr(o);
}

static enum rc add(struct cli *cli, struct err *err)
{
    const struct call *call = &cli->call;
    struct buf b;
    struct json_out o;
    struct json answer;
    enum rc rc = name_needed(cli, err);
    if (rc)
        return rc;
    if (!call_has(call, "provider")) {
        err_set(err, RC_INVALID, "A model needs --provider");
        return err_hint(err, "nightmill model add %s --provider NAME; nightmill provider ls lists them",
                        call_argument(call, 1));
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "id", call_argument(call, 1));
    jo_kz(&o, "provider", call_value(call, "provider"));
    if (call_has(call, "upstream"))
        jo_kz(&o, "upstream", call_value(call, "upstream"));
    if (call_has(call, "abilities"))
        abilities_write(&o, call_value(call, "abilities"));
    jo_ki(&o, "context", call_number(call, "context", 0));
    jo_ki(&o, "max_output", call_number(call, "max-output", 0));
    jo_ki(&o, "weight", call_number(call, "weight", 100));
    jo_end_obj(&o);
    rc = cli_ask(cli, "POST", "/api/v1/models", buf_view(&b), &answer, err);
    if (rc)
        return rc;
    buf_clear(&b);
    model_line(cli, answer, &b);
    if (cli->json)
        cli_document(cli, "model", json_raw(answer), -1);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc forget(struct cli *cli, struct err *err)
{
    mem *ctx = cli->ctx;
    struct json answer;
    enum rc rc = name_needed(cli, err);
    if (rc)
        return rc;
    const char *provider = call_value(&cli->call, "provider");
    const char *path = mem_printf(ctx, "/api/v1/models?id=%s%s%s", text_url(ctx, str_of(call_argument(&cli->call, 1))),
                                  provider ? "&provider=" : "", provider ? text_url(ctx, str_of(provider)) : "");
    rc = cli_ask(cli, "DELETE", path, STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json)
        cli_document(cli, "model_removed", json_raw(answer), -1);
    else
        cli_answerf(cli, "removed %s\n", shown_line(ctx, answer, "removed", 200));
    return RC_OK;
}

static bool result_line(struct cli *cli, struct json r, struct buf *b)
{
    mem *ctx = cli->ctx;
    bool ok = json_bool(json_get(r, "ok"), false);
    buf_printf(b, "%s %s at %s: ", screen_paint(ctx, &cli->out, ok ? TONE_GOOD : TONE_BAD, ok ? "ok" : "failed"),
               shown_line(ctx, r, "upstream", 200), shown_line(ctx, r, "provider", 64));
    if (ok) {
        const char *served = shown_line(ctx, r, "served", 200);
        buf_printf(b, "answered in %lld ms%s%s\n", (long long)json_int(json_get(r, "latency_ms"), 0),
                   *served ? ", served as " : "", served);
        return true;
    }
    buf_printf(b, "%s\n", shown_line(ctx, r, "problem", 400));
    if (*shown_line(ctx, r, "detail", 10))
        buf_printf(b, "  %s\n", shown_line(ctx, r, "detail", 800));
    if (*shown_line(ctx, r, "hint", 10))
        buf_printf(b, "  %s %s\n", screen_paint(ctx, &cli->out, TONE_STRONG, "try:"), shown_line(ctx, r, "hint", 400));
    return false;
}

static enum rc test(struct cli *cli, int *ret_status, struct err *err)
{
    struct buf b;
    struct json_out o;
    struct json answer;
    bool all = true;
    enum rc rc = name_needed(cli, err);
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 1 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "model", call_argument(&cli->call, 1));
    jo_kb(&o, "thinking", call_has(&cli->call, "thinking"));
    jo_end_obj(&o);
    rc = cli_ask(cli, "POST", "/api/v1/models/test", buf_view(&b), &answer, err);
    if (rc)
        return rc;
    buf_clear(&b);
    for (struct json_iter it = json_iter(json_get(answer, "results")); json_next(&it);)
        all = result_line(cli, it.value, &b) && all;
    *ret_status = all ? EXIT_DONE : EXIT_FAILED;
    if (cli->json)
        cli_document(cli, "model_test", json_raw(answer), *ret_status);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    int status = EXIT_DONE;
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = cli_reach_with_keys(cli, &err);
    if (rc)
        return cli_fail(cli, &err);
    rc = !strcmp(verb, "ls")    ? list(cli, &err)
         : !strcmp(verb, "add") ? add(cli, &err)
         : !strcmp(verb, "rm")  ? forget(cli, &err)
                                : test(cli, &status, &err);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_model = {
    .name = "model",
    .summary = "name models and who serves them, and try them out",
    .details = "Several entries of one name are equal upstreams: requests are spread over them. PROVIDER/NAME asks a "
               "provider for any of its models without an entry.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
