/* nightmill budget: limits on what an organisation, project, task, agent, model, key or user may spend. */
#include "base/text.h"
#include "cli/bill.h"
#include "cli/session.h"

static const struct argument arguments[] = {
    {.name = "VERB", .help = "set limits, list, add to limits, remove", .choices = "set|ls|raise|rm"},
    {.name = "SCOPE",
     .help =
         "of set and ls: all (everything that is spent here), organisation, project, task, agent, model, key or user; of "
         "raise and rm: the budget's number",
     .optional = true},
    {.name = "NAME", .help = "of set and ls: which one, such as a project's folder", .optional = true},
    {0},
};
#define MOST INT64_C(1000000000000000)
static const struct option options[] = {
    {.name = "money", .kind = OPTION_MONEY, .argument = "AMOUNT", .help = "set: the limit; raise: what is added"},
    {.name = "tokens",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = MOST,
     .help = "set: the limit of tokens in and out; raise: what is added"},
    {.name = "window",
     .kind = OPTION_CHOICE,
     .argument = "WINDOW",
     .choices = "total|day|week|two_weeks|month",
     .help = "set: how long an allowance lasts; else total"},
    {.name = "zone",
     .kind = OPTION_TEXT,
     .argument = "ZONE",
     .help = "set: whose calendar, such as Europe/Berlin; else the setting money.zone"},
    {.name = "currency",
     .kind = OPTION_TEXT,
     .argument = "CODE",
     .help = "set: its currency; else the setting money.currency"},
    {.name = "soft",
     .kind = OPTION_COUNT,
     .argument = "PERCENT",
     .min = 1,
     .max = 100,
     .help = "set: tell when so much of it is spent"},
    {.name = "tell-only", .help = "set: never refuse, only tell (needs --soft)"},
    {.name = "refuse",
     .help = "set: a task that reaches it asks a person; else it pauses, and goes on when the budget is raised"},
    {.name = "keep-unused", .help = "set: what is left of a window is added to the next"},
    {0},
};
static const struct example examples[] = {
    {"nightmill budget set project /srv/shop --money 200 --window month --zone Europe/Berlin --soft 80",
     "200 a calendar month; told at 80 per cent"},
    {"nightmill budget set all --money 500 --window month", "500 a calendar month for everything that is spent here"},
    {"nightmill budget set user ann --tokens 2000000 --window day", "two million tokens a day"},
    {"nightmill budget raise 3 --money 50", "50 more for budget 3; tasks that paused at it go on"},
    {0},
};

/* "12.30 of 200.00 USD", or tokens. */
static char *used_words(mem *ctx, struct json b)
{
    char *words = mem_str(ctx, "");
    const char *currency = shown_line(ctx, b, "currency", 10);
    if (json_is(json_get(b, "money"))) {
        const char *spent = amount_shown(ctx, json_z(ctx, json_get(b, "spent"), "0"), currency);
        const char *most = amount_shown(ctx, json_z(ctx, json_get(b, "money"), "0"), currency);
        const char *held = json_z(ctx, json_get(b, "held"), "0.00"),
                   *carried = json_z(ctx, json_get(b, "carried"), "0.00");
        words = mem_printf(ctx, "%s of %s", spent ? spent : "?", most ? most : "?");
        if (strcmp(held, "0.00") != 0)
            words = mem_printf(ctx, "%s, %s held", words, amount_shown(ctx, held, currency));
        if (strcmp(carried, "0.00") != 0)
            words = mem_printf(ctx, "%s, %s more from before", words, amount_shown(ctx, carried, currency));
    }
    if (json_is(json_get(b, "tokens")))
        words = mem_printf(ctx, "%s%s%s of %s tokens", words, *words ? "; " : "",
                           count_shown(ctx, json_int(json_get(b, "spent_tokens"), 0)),
                           count_shown(ctx, json_int(json_get(b, "tokens"), 0)));
    return words;
}

static void budget_line(struct cli *cli, struct json b, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *window = shown_line(tmp, b, "window", 20), *until = shown_line(tmp, b, "window_end", 40);
    const char *scope = shown_line(tmp, b, "scope", 20);
    const char *what =
        strcmp(scope, "all") == 0 ? scope : mem_printf(tmp, "%s %s", scope, shown_line(tmp, b, "scope_id", 200));
    const char *kind =
        json_bool(json_get(b, "hard"), true) ? json_bool(json_get(b, "pause"), true) ? "pauses" : "refuses" : "tells";
    const char *reached = shown_line(tmp, json_get(b, "forecast"), "reached_at", 40);
    buf_printf(out, cli->out.live ? "%3lld  %-30s  %-9s  %-7s  %s%s%s" : "%lld\t%s\t%s\t%s\t%s\t%s%s",
               (long long)json_int(json_get(b, "id"), 0), what, window, kind, used_words(tmp, b),
               cli->out.live && *until ? ", until " : "", until);
    buf_printf(out,
               cli->out.live && *reached ? ", at this rate reached %s\n"
               : cli->out.live           ? "%s\n"
                                         : "\t%s\n",
               reached);
}

static enum rc answer(struct cli *cli, struct json budget)
{
    struct buf line;
    if (cli->json) {
        cli_document(cli, "budget", json_raw(budget), -1);
        return RC_OK;
    }
    buf_init(&line, cli->ctx, 65536);
    budget_line(cli, budget, &line);
    cli_answer(cli, buf_view(&line));
    return RC_OK;
}

static enum rc list(struct cli *cli, struct err *err)
{
    mem *ctx = cli->ctx;
    const char *scope = call_argument(&cli->call, 1), *name = call_argument(&cli->call, 2), *path = "/api/v1/budgets";
    struct json all;
    struct buf b;
    if (scope)
        path = mem_printf(ctx, "%s?scope=%s%s%s", path, text_url(ctx, str_of(scope)), name ? "&id=" : "",
                          name ? text_url(ctx, str_of(name)) : "");
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &all, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "budgets", json_raw(all), -1);
        return RC_OK;
    }
    buf_init(&b, ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(all, "budgets")); json_next(&it);)
        budget_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No budgets. Set one: nightmill budget set project FOLDER --money 100 --window month");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static void limits_write(const struct call *call, struct json_out *o)
{
    if (call_has(call, "money"))
        jo_kz(o, "money", call_value(call, "money"));
    if (call_has(call, "tokens"))
        jo_ki(o, "tokens", call_number(call, "tokens", 0));
}

static enum rc set(struct cli *cli, struct err *err)
{
    const struct call *call = &cli->call;
    static const char *const texts[] = {"window", "zone", "currency"};
    struct buf b;
    struct json_out o;
    struct json made;
    const char *scope = call_argument(call, 1), *name = call_argument(call, 2);
    name = !name && scope && strcmp(scope, "all") == 0 ? scope : name;
    if (!name || (!call_has(call, "money") && !call_has(call, "tokens"))) {
        err_set(err, RC_INVALID, "A budget needs a scope, a name, and --money, --tokens or both");
        return err_hint(err, "nightmill budget set project FOLDER --money 100 --window month");
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "scope", scope);
    jo_kz(&o, "scope_id", name);
    limits_write(call, &o);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (call_has(call, texts[i]))
            jo_kz(&o, texts[i], call_value(call, texts[i]));
    jo_kb(&o, "hard", !call_has(call, "tell-only"));
    jo_kb(&o, "pause", !call_has(call, "refuse"));
    jo_kb(&o, "keep_unused", call_has(call, "keep-unused"));
    jo_ki(&o, "soft_percent", call_number(call, "soft", 0));
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "POST", "/api/v1/budgets", buf_view(&b), &made, err);
    return rc ? rc : answer(cli, made);
}

static enum rc number_read(struct cli *cli, const char **ret, struct err *err)
{
    int64_t id;
    *ret = call_argument(&cli->call, 1);
    if (*ret && str_int(str_of(*ret), 1, INT64_MAX, &id))
        return RC_OK;
    err_set(err, RC_INVALID, "Name the budget by its number");
    return err_hint(err, "list them with: nightmill budget ls");
}

static enum rc raise_limits(struct cli *cli, struct err *err)
{
    const char *id;
    struct buf b;
    struct json_out o;
    struct json raised;
    enum rc rc = number_read(cli, &id, err);
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    limits_write(&cli->call, &o);
    jo_end_obj(&o);
    rc = cli_ask(cli, "POST", mem_printf(cli->ctx, "/api/v1/budgets/%s/raise", id), buf_view(&b), &raised, err);
    return rc ? rc : answer(cli, raised);
}

static enum rc take_away(struct cli *cli, struct err *err)
{
    const char *id;
    enum rc rc = number_read(cli, &id, err);
    if (!rc)
        rc = cli_ask(cli, "DELETE", mem_printf(cli->ctx, "/api/v1/budgets/%s", id), STR(""), NULL, err);
    if (!rc && cli->json)
        cli_document(cli, "budget_removed", str_of(mem_printf(cli->ctx, "{\"id\":%s}", id)), -1);
    else if (!rc)
        cli_answerf(cli, "budget %s is removed\n", id);
    return rc;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "set")     ? set(cli, &err)
                 : !strcmp(verb, "raise") ? raise_limits(cli, &err)
                 : !strcmp(verb, "rm")    ? take_away(cli, &err)
                                          : list(cli, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_budget = {
    .name = "budget",
    .summary = "limit what a project, user, key and so on may spend",
    .details =
        "A request is admitted only when all budgets that apply to it have room for the most that it can cost. What "
        "was spent since the window began counts, also from before the budget was set.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
