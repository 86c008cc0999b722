/* nightmill hold: requests whose usage stayed unknown, and what they came to by the provider's own bill. */
#include "cli/bill.h"
#include "cli/session.h"

#define MOST INT64_C(1000000000000)
static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "list those whose usage stayed unknown; say what one was billed for; say that nothing was billed",
     .choices = "ls|settle|release"},
    {.name = "NUMBER", .help = "of settle and release: which one", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "input",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = MOST,
     .help = "settle: tokens read, without those of a cache"},
    {.name = "output",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = MOST,
     .help = "settle: tokens written, with reasoning"},
    {.name = "cache-read",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = MOST,
     .help = "settle: tokens read from a cache"},
    {.name = "cache-write",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = MOST,
     .help = "settle: tokens written into a cache"},
    {0},
};
static const struct example examples[] = {
    {"nightmill hold ls", "what counts as spent because nobody knows what it cost"},
    {"nightmill hold settle 812 --input 1200 --output 340",
     "the provider's bill says so; budgets count it so from now on"},
    {"nightmill hold release 812", "the provider's bill does not know it"},
    {0},
};

static void hold_line(struct cli *cli, struct json h, struct buf *b)
{
    mem *ctx = cli->ctx;
    const char *task = json_z(ctx, json_get(h, "task"), "");
    buf_printf(b, "%-8lld %s  %s  %s of %s%s%s\n", (long long)json_int(json_get(h, "id"), 0),
               shown_line(ctx, h, "opened_at", 40), shown_line(ctx, h, "state", 20),
               amount_shown(ctx, json_z(ctx, json_get(h, "amount"), "0"), json_z(ctx, json_get(h, "currency"), "")),
               shown_line(ctx, h, "model", 100), *task ? "  task " : "", *task ? shown_line(ctx, h, "task", 20) : "");
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json all;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/holds", STR(""), &all, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "holds", json_raw(all), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(all, "holds")); json_next(&it);)
        hold_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "None: what every request used is known.");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static void count_put(struct json_out *o, const struct call *call, const char *option, const char *member)
{
    int64_t n;
    if (call_has(call, option) && str_int(str_of(call_value(call, option)), 0, MOST, &n))
        jo_ki(o, member, n);
}

static enum rc end(struct cli *cli, bool settle, struct err *err)
{
    const struct call *call = &cli->call;
    struct buf body, line;
    struct json_out o;
    struct json made;
    int64_t number;
    if (!call_argument(call, 1) || !str_int(str_of(call_argument(call, 1)), 1, INT64_MAX, &number)) {
        err_set(err, RC_INVALID, "Which one? It needs the number of a hold");
        return err_hint(err, "nightmill hold ls lists them");
    }
    buf_init(&body, cli->ctx, 65536);
    json_out_init(&o, &body);
    jo_obj(&o);
    if (settle) {
        count_put(&o, call, "input", "input");
        count_put(&o, call, "output", "output");
        count_put(&o, call, "cache-read", "cache_read");
        count_put(&o, call, "cache-write", "cache_write");
    }
    jo_end_obj(&o);
    const char *path = mem_printf(cli->ctx, "/api/v1/holds/%lld/%s", (long long)number, settle ? "settle" : "release");
    enum rc rc = cli_ask(cli, "POST", path, buf_view(&body), &made, err);
    if (rc)
        return rc;
    buf_init(&line, cli->ctx, 65536);
    hold_line(cli, made, &line);
    if (cli->json)
        cli_document(cli, "hold", json_raw(made), -1);
    else
        cli_answer(cli, buf_view(&line));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "ls") ? list(cli, &err) : end(cli, !strcmp(verb, "settle"), &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_hold = {
    .name = "hold",
    .summary = "list and settle requests whose usage stayed unknown",
    .details =
        "Before a request is sent, the most that it can cost is held. When a provider does not say what was used "
        "(a stream was cut, the daemon was killed), the hold is kept and counts as spent until somebody says what "
        "the provider billed. The price of the hold's own time decides.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
