/* nightmill price: dated prices of models. */
#include "base/text.h"
#include "cli/session.h"
#include "os/path.h"

enum { FILE_MOST = 32 << 20 };

static const struct argument arguments[] = {
    {.name = "VERB", .help = "list prices, set one, import a price file", .choices = "ls|set|import"},
    {.name = "NAME", .help = "of set: the model; of ls: only this one; of import: the file", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "input", .kind = OPTION_MONEY, .argument = "AMOUNT", .help = "set: a million tokens in"},
    {.name = "output", .kind = OPTION_MONEY, .argument = "AMOUNT", .help = "set: a million tokens out"},
    {.name = "cache-read",
     .kind = OPTION_MONEY,
     .argument = "AMOUNT",
     .help = "set: a million tokens read from the cache; else as input"},
    {.name = "cache-write",
     .kind = OPTION_MONEY,
     .argument = "AMOUNT",
     .help = "set: a million tokens written to the cache; else as input"},
    {.name = "cache-write-1h",
     .kind = OPTION_MONEY,
     .argument = "AMOUNT",
     .help = "set: the same, kept for an hour; else as cache-write"},
    {.name = "currency",
     .kind = OPTION_TEXT,
     .argument = "CODE",
     .help = "set: its currency; else the setting money.currency"},
    {.name = "source", .kind = OPTION_TEXT, .argument = "TEXT", .help = "set: where it comes from"},
    {.name = "all", .help = "ls: also those that no longer hold or do not hold yet"},
    {.name = "force", .help = "import: take absurd prices too, and replace those set by hand"},
    {.name = "dry-run", .help = "import: tell what would change and change nothing"},
    {0},
};
static const struct example examples[] = {
    {"nightmill price set my-model --input 3.00 --output 15.00", "per million tokens, from now on"},
    {"nightmill price import model_prices_and_context_window.json --dry-run", "what LiteLLM's file would change"},
    {0},
};

static void price_line(struct cli *cli, struct json p, struct buf *b)
{
    mem *ctx = cli->ctx;
    buf_printf(b, "%-28s in %-8s out %-8s cached %-8s %s a million tokens  (%s)\n", shown_line(ctx, p, "model", 200),
               shown_line(ctx, p, "input", 40), shown_line(ctx, p, "output", 40), shown_line(ctx, p, "cache_read", 40),
               shown_line(ctx, p, "currency", 10), shown_line(ctx, p, "source", 60));
}

/* ---- set ---- */

static enum rc set(struct cli *cli, struct err *err)
{
    static const struct {
        const char *option, *member;
    } rates[] = {{"input", "input"},
                 {"output", "output"},
                 {"cache-read", "cache_read"},
                 {"cache-write", "cache_write"},
                 {"cache-write-1h", "cache_write_1h"},
                 {"source", "source"}};
    const struct call *call = &cli->call;
    struct buf b;
    struct json_out o;
    struct json answer;
    if (!call_argument(call, 1) || !call_has(call, "input") || !call_has(call, "output")) {
        err_set(err, RC_INVALID, "A price needs a model, --input and --output");
        return err_hint(err, "nightmill price set MODEL --input 3.00 --output 15.00 (per million tokens)");
    }
    enum rc rc = cli_settings(cli, err);
    if (rc)
        return rc;
    const char *currency = call_value(call, "currency");
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "model", call_argument(call, 1));
    jo_kz(&o, "currency", currency ? currency : setting_text(cli->settings, "money.currency"));
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (call_has(call, rates[i].option))
            jo_kz(&o, rates[i].member, call_value(call, rates[i].option));
    jo_end_obj(&o);
    rc = cli_ask(cli, "POST", "/api/v1/prices", buf_view(&b), &answer, err);
    if (rc)
        return rc;
    buf_clear(&b);
    price_line(cli, answer, &b);
    if (cli->json)
        cli_document(cli, "price", json_raw(answer), -1);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* ---- ls ---- */

static enum rc list(struct cli *cli, struct err *err)
{
    mem *ctx = cli->ctx;
    struct json answer;
    struct buf b;
    const char *model = call_argument(&cli->call, 1);
    const char *path = mem_printf(ctx, "/api/v1/prices?%s%s%s", call_has(&cli->call, "all") ? "" : "in_force=1&",
                                  model ? "model=" : "", model ? text_url(ctx, str_of(model)) : "");
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "prices", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, ctx, 64 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "prices")); json_next(&it);)
        price_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No price. Set one: nightmill price set %s --input 3.00 --output 15.00", model ? model : "MODEL");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* ---- import ---- */

static const char *rates_words(mem *ctx, struct json p)
{
    struct json above = json_get(p, "above");
    const char *words =
        mem_printf(ctx, "in %s out %s", shown_line(ctx, p, "input", 40), shown_line(ctx, p, "output", 40));
    if (!json_is(above))
        return words;
    return mem_printf(ctx, "%s, above %lld tokens in %s out %s", words,
                      (long long)json_int(json_get(p, "above_tokens"), 0), shown_line(ctx, above, "input", 40),
                      shown_line(ctx, above, "output", 40));
}

static void change_line(struct cli *cli, struct json change, struct buf *b)
{
    mem *ctx = cli->ctx;
    struct json now = json_get(change, "price"), before = json_get(change, "before");
    const char *outcome = shown_line(ctx, change, "outcome", 20), *reason = shown_line(ctx, change, "reason", 200);
    bool refused = !strcmp(outcome, "refused");
    buf_printf(b, "%s%*s %-36s %s", screen_paint(ctx, &cli->out, refused ? TONE_BAD : TONE_PLAIN, outcome),
               8 - (int)strlen(outcome), "", shown_line(ctx, now, "model", 200), rates_words(ctx, now));
    if (json_is(before))
        buf_printf(b, "  (was %s)", rates_words(ctx, before));
    if (*reason)
        buf_printf(b, "  %s", reason);
    buf_char(b, '\n');
}

static void skipped_lines(struct cli *cli, struct json answer, struct buf *b)
{
    mem *ctx = cli->ctx;
    for (struct json_iter it = json_iter(json_get(answer, "skipped")); json_next(&it);) {
        struct json first = json_at(json_get(it.value, "models"), 0);
        long long count = (long long)json_int(json_get(it.value, "count"), 0);
        buf_printf(b, "skipped  %s%s: %s\n", text_terminal_line(ctx, json_str(ctx, first), 100),
                   count > 1 ? mem_printf(ctx, " and %lld more", count - 1) : "",
                   shown_line(ctx, it.value, "reason", 200));
    }
}

static void import_print(struct cli *cli, struct json answer)
{
    struct json counts = json_get(answer, "counts");
    struct buf b;
    buf_init(&b, cli->ctx, 64 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "changes")); json_next(&it);)
        change_line(cli, it.value, &b);
    skipped_lines(cli, answer, &b);
    buf_printf(&b, "%s", json_bool(json_get(answer, "dry_run"), false) ? "would be: " : "");
    static const char *const names[] = {"new", "changed", "unchanged", "by_hand", "refused", "skipped"};
    static const char *const words[] = {"new", "changed", "unchanged", "set by hand and kept", "refused", "skipped"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        buf_printf(&b, "%s%lld %s", i ? ", " : "", (long long)json_int(json_get(counts, names[i]), 0), words[i]);
    buf_char(&b, '\n');
    cli_answer(cli, buf_view(&b));
}

static enum rc import(struct cli *cli, int *ret_status, struct err *err)
{
    mem *ctx = cli->ctx;
    const char *file = call_argument(&cli->call, 1);
    struct str text;
    struct json answer;
    if (!file) {
        err_set(err, RC_INVALID, "Name the price file");
        return err_hint(err, "nightmill price import FILE: data.json of genai-prices, or LiteLLM's price file");
    }
    enum rc rc = path_slurp(ctx, file, FILE_MOST, &text, err);
    if (rc)
        return rc;
    const char *slash = strrchr(file, '/');
    const char *path = mem_printf(ctx, "/api/v1/prices/import?source=%s&force=%d&dry_run=%d",
                                  text_url(ctx, str_of(slash ? slash + 1 : file)), call_has(&cli->call, "force"),
                                  call_has(&cli->call, "dry-run"));
    rc = text.n ? cli_ask(cli, "POST", path, text, &answer, err)
                : err_set(err, RC_INVALID, "The file %s is empty", text_terminal_line(ctx, str_of(file), 200));
    if (rc)
        return rc;
    int64_t refused = json_int(json_path(answer, "counts.refused"), 0);
    *ret_status = refused ? EXIT_FAILED : EXIT_DONE;
    if (cli->json)
        cli_document(cli, "price_import", json_raw(answer), *ret_status);
    else
        import_print(cli, answer);
    if (refused)
        cli_say(cli, "%lld prices look absurd and were left as they are; --force takes them.", (long long)refused);
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    int status = EXIT_DONE;
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "ls")    ? list(cli, &err)
                 : !strcmp(verb, "set") ? set(cli, &err)
                                        : import(cli, &status, &err);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_price = {
    .name = "price",
    .summary = "list, set and import prices of models",
    .details =
        "Prices are kept with their date and source; costs of past requests do not change. import reads data.json of "
        "pydantic/genai-prices and LiteLLM's model_prices_and_context_window.json, tells what changes, and "
        "leaves out what is absurd beside the price in force.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
