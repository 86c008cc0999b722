/* nightmill ledger: what was spent, row by row or in sums. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/session.h"

#define PAGE 1000
static const struct option options[] = {
    {.name = "by",
     .kind = OPTION_CHOICE,
     .argument = "WHAT",
     .choices = "project|task|agent|model|key|user|provider|organisation|day|total",
     .help = "sums of all rows that belong together, in place of the rows"},
    {.name = "project", .kind = OPTION_TEXT, .argument = "NAME", .help = "of this project alone"},
    {.name = "task", .kind = OPTION_TEXT, .argument = "ID", .help = "of this task alone"},
    {.name = "agent", .kind = OPTION_TEXT, .argument = "NAME", .help = "of this agent alone"},
    {.name = "model", .kind = OPTION_TEXT, .argument = "NAME", .help = "of this model alone"},
    {.name = "key", .kind = OPTION_TEXT, .argument = "ID", .help = "of this user key alone"},
    {.name = "user", .kind = OPTION_TEXT, .argument = "NAME", .help = "of this user alone"},
    {.name = "provider", .kind = OPTION_TEXT, .argument = "NAME", .help = "of this provider alone"},
    {.name = "last",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 3153600000,
     .help = "only so far back, such as 30d"},
    {.name = "zone",
     .kind = OPTION_TEXT,
     .argument = "ZONE",
     .help = "whose days, such as Europe/Berlin; else the setting money.zone"},
    {.name = "limit",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000000,
     .help = "at most so many lines; else 100"},
    {.name = "csv", .help = "comma-separated values with a head line"},
    {0},
};
static const struct example examples[] = {
    {"nightmill ledger --by project --last 30d", "what each project spent in 30 days"},
    {"nightmill ledger --by day --zone Europe/Berlin --csv", "days as a file for a spreadsheet"},
    {0},
};

static char *ledger_path(struct cli *cli, int64_t limit, const char *cursor)
{
    static const char *const names[] = {"by", "project", "task", "agent", "model", "key", "user", "provider", "zone"};
    char *path = mem_printf(cli->ctx, "/api/v1/ledger?limit=%lld%s", (long long)limit, cursor);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (call_has(&cli->call, names[i]))
            path = mem_printf(cli->ctx, "%s&%s=%s", path, names[i],
                              text_url(cli->ctx, str_of(call_value(&cli->call, names[i]))));
    int64_t back = call_number(&cli->call, "last", 0);
    if (back) {
        int64_t since = clock_wall_ns() / 1000000000 - back;
        path = mem_printf(cli->ctx, "%s&since=%lld", path, (long long)(since > 0 ? since : 0));
    }
    return path;
}

static void csv_line(mem *ctx, struct json row, bool head, struct buf *b)
{
    bool first = true;
    for (struct json_iter it = json_iter(row); head && json_next(&it);) {
        buf_printf(b, "%s%.*s", first ? "" : ",", STR_FMT(it.key_raw));
        first = false;
    }
    if (head)
        buf_z(b, "\r\n");
    first = true;
    for (struct json_iter it = json_iter(row); json_next(&it); first = false) {
        if (!first)
            buf_z(b, ",");
        if (json_type(it.value) == JSON_STRING)
            buf_z(b, text_csv(ctx, json_str(ctx, it.value)));
        else if (json_is(it.value))
            buf_str(b, json_raw(it.value));
    }
    buf_z(b, "\r\n");
}

static const char *cost_words(mem *ctx, struct json row)
{
    const char *cost =
        amount_shown(ctx, json_z(ctx, json_get(row, "cost"), NULL), shown_line(ctx, row, "currency", 10));
    const char *primary = shown_line(ctx, row, "primary", 10);
    if (!cost || !*primary || !strcmp(primary, shown_line(ctx, row, "currency", 10)))
        return cost ? cost : "cost unknown";
    const char *rate = shown_line(ctx, row, "rate", 40);
    const char *there = amount_shown(ctx, json_z(ctx, json_get(row, "cost_primary"), NULL), primary);
    if (!there)
        return mem_printf(ctx, "%s (no rate to %s)", cost, primary);
    return mem_printf(ctx, "%s = %s at %s", cost, there, rate);
}

static void row_line(struct cli *cli, struct json row, const char *by, struct buf *b)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *name = by ? shown_line(tmp, row, by, 100) : shown_line(tmp, row, "time", 40);
    int64_t input = json_int(json_get(row, "input"), 0) + json_int(json_get(row, "cache_read"), 0) +
                    json_int(json_get(row, "cache_write"), 0) + json_int(json_get(row, "cache_write_1h"), 0);
    const char *second = by ? mem_printf(tmp, "%s requests", count_shown(tmp, json_int(json_get(row, "requests"), 0)))
                            : shown_line(tmp, row, "model", 60);
    buf_printf(b, cli->out.live ? "%-28s  %-22s  in %-12s out %-10s  %s\n" : "%s\t%s\t%s\t%s\t%s\n", *name ? name : "-",
               second, count_shown(tmp, input), count_shown(tmp, json_int(json_get(row, "output"), 0)),
               cost_words(tmp, row));
}

/* Pages until there are enough lines or none is left. */
static enum rc pages(struct cli *cli, struct buf *b, size_t *ret_n, struct err *err)
{
    const char *by = call_value(&cli->call, "by"), *cursor = "";
    int64_t left = call_number(&cli->call, "limit", 100);
    bool csv = call_has(&cli->call, "csv");
    while (left > 0) {
        struct json answer;
        enum rc rc = cli_ask(cli, "GET", ledger_path(cli, left < PAGE ? left : PAGE, cursor), STR(""), &answer, err);
        if (rc)
            return rc;
        for (struct json_iter it = json_iter(json_get(answer, by ? "groups" : "rows")); json_next(&it); left--) {
            if (csv)
                csv_line(cli->ctx, it.value, *ret_n == 0, b);
            else
                row_line(cli, it.value, by, b);
            (*ret_n)++;
        }
        int64_t next = json_int(json_get(answer, "next"), -1);
        if (next < 0)
            break;
        cursor = mem_printf(cli->ctx, "&%s=%lld", by ? "skip" : "before", (long long)next);
    }
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json answer;
    struct buf b;
    size_t n = 0;
    if (cli->json) {
        int64_t limit = call_number(&cli->call, "limit", 100);
        if (cli_ask(cli, "GET", ledger_path(cli, limit < PAGE ? limit : PAGE, ""), STR(""), &answer, &err) != RC_OK)
            return cli_fail(cli, &err);
        cli_document(cli, "ledger", json_raw(answer), -1);
        return EXIT_DONE;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    if (pages(cli, &b, &n, &err) != RC_OK)
        return cli_fail(cli, &err);
    if (!n)
        cli_say(cli, "Nothing was spent.");
    cli_answer(cli, buf_view(&b));
    return EXIT_DONE;
}

const struct command command_ledger = {
    .name = "ledger",
    .summary = "show what was spent, by project, model, day and so on",
    .details = "Costs are exact, in the currency of their price; beside it stands the primary currency (setting "
               "money.currency) at the rate of now, with the rate. With --json one page of at most 1000.",
    .options = options,
    .examples = examples,
    .run = run,
};
