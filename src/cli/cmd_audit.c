/* nightmill audit: who did what; and whether the log is what was written. */
#include "base/text.h"
#include "cli/session.h"

enum { EXPORT_PAGE = 1000 };

static const struct argument arguments[] = {
    {.name = "VERB",
     .help =
         "list the newest rows, hold the log against its signatures, write all rows as JSON lines, sign the log as it "
         "is after something was found",
     .choices = "ls|verify|export|accept"},
    {0},
};
static const struct option options[] = {
    {.name = "actor", .kind = OPTION_TEXT, .argument = "NAME", .help = "ls: by this user or key alone"},
    {.name = "action", .kind = OPTION_TEXT, .argument = "NAME", .help = "ls: this action alone, such as key_create"},
    {.name = "object", .kind = OPTION_TEXT, .argument = "NAME", .help = "ls: done to this alone"},
    {.name = "outcome", .kind = OPTION_TEXT, .argument = "NAME", .help = "ls: with this outcome alone: done, denied"},
    {.name = "limit", .kind = OPTION_COUNT, .argument = "N", .min = 1, .max = 1000, .help = "ls: so many rows (50)"},
    {0},
};
static const struct example examples[] = {
    {"nightmill audit ls --outcome denied", "what was refused"},
    {"nightmill audit verify", "exit status 1 when the log was tampered with, and where"},
    {"nightmill audit export > audit.jsonl", "to keep elsewhere"},
    {0},
};

static void row_line(struct cli *cli, struct json r, struct buf *b)
{
    mem *ctx = cli->ctx;
    const char *actor = shown_line(ctx, r, "actor", 64), *address = shown_line(ctx, r, "address", 64);
    buf_printf(b, cli->out.live ? "%6lld %-24s %-16s %-16s %-20s %-10s %s %s\n" : "%lld\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
               (long long)json_int(json_get(r, "number"), 0), shown_line(ctx, r, "time", 40), *actor ? actor : "-",
               *address ? address : "-", shown_line(ctx, r, "action", 64), shown_line(ctx, r, "outcome", 32),
               shown_line(ctx, r, "object", 200), shown_line(ctx, r, "after", 300));
}

static const char *query_of(struct cli *cli)
{
    static const char *const names[] = {"actor", "action", "object", "outcome"};
    char *query = mem_printf(cli->ctx, "limit=%lld", (long long)call_number(&cli->call, "limit", 50));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (call_has(&cli->call, names[i]))
            query = mem_printf(cli->ctx, "%s&%s=%s", query, names[i],
                               text_url(cli->ctx, str_of(call_value(&cli->call, names[i]))));
    return query;
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", mem_printf(cli->ctx, "/api/v1/audit?%s", query_of(cli)), STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "audit", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "entries")); json_next(&it);)
        row_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No rows.");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc verify(struct cli *cli, int *ret_status, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/audit/verify", STR(""), &answer, err);
    if (rc)
        return rc;
    bool ok = json_bool(json_get(answer, "ok"), false);
    *ret_status = ok ? EXIT_DONE : EXIT_FAILED;
    if (cli->json) {
        cli_document(cli, "audit_report", json_raw(answer), *ret_status);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 1 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "findings")); json_next(&it);)
        buf_printf(&b, "row %lld: %s: %s\n", (long long)json_int(json_get(it.value, "number"), 0),
                   shown_line(cli->ctx, it.value, "kind", 16), shown_line(cli->ctx, it.value, "words", 400));
    if (ok)
        buf_printf(&b, "%lld rows, all as they were written; the signed head counts %lld\n",
                   (long long)json_int(json_get(answer, "rows"), 0),
                   (long long)json_int(json_get(answer, "signed_to"), 0));
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* Newest first, page by page: what comes meanwhile changes nothing. */
static enum rc export_all(struct cli *cli, struct err *err)
{
    enum rc rc = RC_OK;
    int64_t before = 0;
    do {
        struct json answer;
        const char *path =
            before ? mem_printf(cli->ctx, "/api/v1/audit?limit=%d&before=%lld", EXPORT_PAGE, (long long)before)
                   : mem_printf(cli->ctx, "/api/v1/audit?limit=%d", EXPORT_PAGE);
        rc = cli_ask(cli, "GET", path, STR(""), &answer, err);
        if (rc)
            break;
        for (struct json_iter it = json_iter(json_get(answer, "entries")); json_next(&it);)
            cli_answerf(cli, "%.*s\n", STR_FMT(json_printable(cli->ctx, json_raw(it.value))));
        before = json_int(json_get(answer, "next"), 0);
    } while (before > 0);
    return rc;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    int status = EXIT_DONE;
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "ls")       ? list(cli, &err)
                 : !strcmp(verb, "verify") ? verify(cli, &status, &err)
                 : !strcmp(verb, "export") ? export_all(cli, &err)
                                           : cli_ask(cli, "POST", "/api/v1/audit/accept", STR("{}"), NULL, &err);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_audit = {
    .name = "audit",
    .summary = "who did what, and whether the log of it is whole",
    .details =
        "Each row is chained to the one before and signed; a signed head with their count is kept outside of the "
        "data folder. Keep an export elsewhere when the whole machine may fall into wrong hands.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
