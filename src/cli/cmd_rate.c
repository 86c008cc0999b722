/* nightmill rate: exchange rates between the currencies of prices, budgets and reports. */
#include "cli/session.h"

static const struct argument arguments[] = {
    {.name = "VERB", .help = "set a rate from now on, list rates", .choices = "set|ls"},
    {.name = "FROM", .help = "of set: a currency, such as EUR", .optional = true},
    {.name = "TO", .help = "of set: another currency", .optional = true},
    {.name = "RATE", .help = "of set: what one FROM is worth in TO", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "source", .kind = OPTION_TEXT, .argument = "TEXT", .help = "set: where it comes from"},
    {0},
};
static const struct example examples[] = {
    {"nightmill rate set EUR USD 1.0842 --source 'ECB reference rate'", "one EUR is 1.0842 USD from now on"},
    {0},
};

static void rate_line(struct cli *cli, struct json r, struct buf *b)
{
    mem *ctx = cli->ctx;
    buf_printf(b, "1 %s = %s %s since %s  (%s)\n", shown_line(ctx, r, "from", 10), shown_line(ctx, r, "rate", 40),
               shown_line(ctx, r, "to", 10), shown_line(ctx, r, "since", 40), shown_line(ctx, r, "source", 100));
}

static enum rc set(struct cli *cli, struct err *err)
{
    const struct call *call = &cli->call;
    struct buf b;
    struct json_out o;
    struct json made;
    if (!call_argument(call, 3)) {
        err_set(err, RC_INVALID, "A rate needs two currencies and a number");
        return err_hint(err, "nightmill rate set EUR USD 1.0842");
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "from", call_argument(call, 1));
    jo_kz(&o, "to", call_argument(call, 2));
    jo_kz(&o, "rate", call_argument(call, 3));
    if (call_has(call, "source"))
        jo_kz(&o, "source", call_value(call, "source"));
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "POST", "/api/v1/rates", buf_view(&b), &made, err);
    if (rc)
        return rc;
    struct buf line;
    buf_init(&line, cli->ctx, 65536);
    rate_line(cli, made, &line);
    if (cli->json)
        cli_document(cli, "rate", json_raw(made), -1);
    else
        cli_answer(cli, buf_view(&line));
    return RC_OK;
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json all;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/rates", STR(""), &all, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "rates", json_raw(all), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(all, "rates")); json_next(&it);)
        rate_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No rates. Set one: nightmill rate set EUR USD 1.0842");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    enum rc rc = !strcmp(call_argument(&cli->call, 0), "set") ? set(cli, &err) : list(cli, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_rate = {
    .name = "rate",
    .summary = "set and list exchange rates",
    .details = "Rates are kept with their date and source. A request keeps the rates of the moment in which it was "
               "admitted; a row serves both directions.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
