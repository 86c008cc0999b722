/* nightmill tier: names for chains of models. */
#include "base/text.h"
#include "cli/session.h"

static const struct argument arguments[] = {
    {.name = "VERB", .help = "list tiers and aliases, or set the chain of one", .choices = "ls|set"},
    {.name = "NAME", .help = "A, B, C or any other name", .optional = true},
    {.name = "MODEL",
     .help = "its models, tried in this order; none: the chain is removed",
     .optional = true,
     .repeat = true},
    {0},
};
static const struct option options[] = {
    {.name = "thinking", .help = "set: the chain for requests that ask for reasoning"},
    {0},
};
static const struct example examples[] = {
    {"nightmill tier set A claude-opus-4-5 gpt-5.1", "asks the second when the first cannot answer"},
    {"nightmill tier set fast gpu/Qwen3-Coder", "an alias"},
    {0},
};

static void tier_line(struct cli *cli, struct json t, struct buf *b)
{
    mem *ctx = cli->ctx;
    char *chain = NULL;
    for (struct json_iter it = json_iter(json_get(t, "models")); json_next(&it);) {
        const char *name = text_terminal_line(ctx, json_str(ctx, it.value), 200);
        chain = chain ? mem_printf(ctx, "%s, %s", chain, name) : mem_str(ctx, name);
    }
    bool thinking = json_eqz(json_get(t, "mode"), "thinking"), setting = json_eqz(json_get(t, "origin"), "setting");
    buf_printf(b, cli->out.live ? "%-16s %-9s %s%s\n" : "%s\t%s\t%s%s\n", shown_line(ctx, t, "name", 200),
               thinking ? "thinking" : "normal", chain ? chain : "", setting ? "  (set by the daemon's settings)" : "");
}

static enum rc tiers_show(struct cli *cli, struct json answer)
{
    struct buf b;
    buf_init(&b, cli->ctx, 1 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "tiers")); json_next(&it);)
        tier_line(cli, it.value, &b);
    if (cli->json)
        cli_document(cli, "tiers", json_raw(answer), -1);
    else
        cli_answer(cli, buf_view(&b));
    if (!b.n)
        cli_say(cli, "No tiers. Set one: nightmill tier set A MODEL");
    return RC_OK;
}

static enum rc set(struct cli *cli, struct err *err)
{
    const struct call *call = &cli->call;
    struct buf b;
    struct json_out o;
    struct json answer;
    if (!call_argument(call, 1)) {
        err_set(err, RC_INVALID, "Name the tier");
        return err_hint(err, "nightmill tier set A MODEL");
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "name", call_argument(call, 1));
    jo_kz(&o, "mode", call_has(call, "thinking") ? "thinking" : "normal");
    jo_key(&o, "models");
    jo_arr(&o);
    for (size_t i = 2; call_argument(call, i); i++)
        jo_z(&o, call_argument(call, i));
    jo_end_arr(&o);
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "PUT", "/api/v1/tiers", buf_view(&b), &answer, err);
    return rc ? rc : tiers_show(cli, answer);
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json answer;
    enum rc rc;
    if (!strcmp(call_argument(&cli->call, 0), "set")) {
        rc = set(cli, &err);
    } else {
        rc = cli_ask(cli, "GET", "/api/v1/tiers", STR(""), &answer, &err);
        if (!rc)
            rc = tiers_show(cli, answer);
    }
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_tier = {
    .name = "tier",
    .summary = "name chains of models that clients may ask for",
    .details = "A client asks for the tier as for a model. The next of a chain is asked when the one before it fails "
               "before its first byte. TIER_A_MODEL, TIER_B_MODEL and TIER_C_MODEL in the daemon's environment win.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
