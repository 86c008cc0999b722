/* nightmill notify: where notifications go, whether they arrive. */
#include "base/text.h"
#include "cli/session.h"
#include <stdio.h>

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "list channels, add or remove one, send a test, or show what was told",
     .choices = "ls|add|rm|test|log"},
    {.name = "WHAT", .help = "of add: webhook or email; of rm and test: the channel's id", .optional = true},
    {.name = "TARGET", .help = "of add: the webhook's URL or the mail address", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "name", .kind = OPTION_TEXT, .argument = "NAME", .help = "add: name of the channel"},
    {.name = "level",
     .kind = OPTION_CHOICE,
     .argument = "LEVEL",
     .repeat = true,
     .choices = "now|done|digest",
     .help = "add: what it is told of: now (a person is needed), done, digest"},
    {0},
};
static const struct example examples[] = {
    {"nightmill notify add webhook https://hooks.example.org/nightmill", "the secret for its signatures is shown once"},
    {"nightmill notify add email ada@example.org --level now", "by the server of notify.smtp_server"},
    {"nightmill notify test 0a1b2c3", "what the other side really said"},
    {0},
};

#define CHANNELS "/api/v1/notifications/channels"

static const char *levels_words(mem *ctx, struct json list)
{
    char *words = mem_str(ctx, "");
    for (struct json_iter it = json_iter(list); json_next(&it);)
        words = mem_printf(ctx, "%s%s%s", words, *words ? "," : "", json_z(ctx, it.value, ""));
    return words;
}

static void channel_line(struct cli *cli, struct json c, struct buf *b)
{
    mem *ctx = cli->ctx;
    const char *problem = shown_line(ctx, c, "problem", 200);
    buf_printf(b, cli->out.live ? "%-8s %-8s %-4s %-16s %-20s %s%s%s\n" : "%s\t%s\t%s\t%s\t%s\t%s%s%s\n",
               shown_line(ctx, c, "id", 16), shown_line(ctx, c, "kind", 16),
               json_bool(json_get(c, "enabled"), true) ? "on" : "off", levels_words(ctx, json_get(c, "levels")),
               shown_line(ctx, c, "name", 60), shown_line(ctx, c, "target", 200), *problem ? "  " : "", problem);
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", CHANNELS, STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "channels", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 1 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "channels")); json_next(&it);)
        channel_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "Nobody is told of anything. Make a channel: nightmill notify add webhook URL");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc add(struct cli *cli, struct err *err)
{
    const struct call *call = &cli->call;
    const char *kind = call_argument(call, 1), *target = call_argument(call, 2);
    const char *const *levels = call_values(cli->ctx, call, "level");
    struct buf b;
    struct json_out o;
    struct json answer;
    if (!kind || !target) {
        err_set(err, RC_INVALID, "What, and where does it lead?");
        return err_hint(err, "nightmill notify add webhook URL, or: nightmill notify add email ADDRESS");
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "kind", kind);
    jo_kz(&o, "target", target);
    if (call_has(call, "name"))
        jo_kz(&o, "name", call_value(call, "name"));
    if (*levels) {
        jo_key(&o, "levels");
        jo_arr(&o);
        for (; *levels; levels++)
            jo_z(&o, *levels);
        jo_end_arr(&o);
    }
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "POST", CHANNELS, buf_view(&b), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "channel", json_raw(answer), -1);
        return RC_OK;
    }
    const char *id = shown_line(cli->ctx, answer, "id", 16), *secret = shown_line(cli->ctx, answer, "secret", 200);
    cli_answerf(cli, "%s%s%s\n", id, *secret ? " " : "", secret);
    if (*secret)
        cli_say(cli, "That is the channel and the secret of its signatures, which is shown this once.");
    cli_say(cli, "Does it arrive? nightmill notify test %s", id);
    return RC_OK;
}

static enum rc id_given(struct cli *cli, const char *rest, const char **ret_path, struct err *err)
{
    const char *id = call_argument(&cli->call, 1);
    if (!id) {
        err_set(err, RC_INVALID, "Which channel? Its id");
        return err_hint(err, "nightmill notify ls lists them");
    }
    *ret_path = mem_printf(cli->ctx, CHANNELS "/%s%s", text_url(cli->ctx, str_of(id)), rest);
    return RC_OK;
}

static enum rc remove_one(struct cli *cli, struct err *err)
{
    const char *path = NULL;
    struct json answer;
    enum rc rc = id_given(cli, "", &path, err);
    rc = rc ? rc : cli_ask(cli, "DELETE", path, STR(""), &answer, err);
    if (!rc && cli->json)
        cli_document(cli, "removed", json_raw(answer), -1);
    else if (!rc)
        cli_say(cli, "Removed.");
    return rc;
}

static enum rc test(struct cli *cli, int *ret_status, struct err *err)
{
    const char *path = NULL;
    struct json answer;
    enum rc rc = id_given(cli, "/test", &path, err);
    rc = rc ? rc : cli_ask(cli, "POST", path, STR(""), &answer, err);
    if (rc)
        return rc;
    bool ok = json_bool(json_get(answer, "ok"), false);
    *ret_status = ok ? EXIT_DONE : EXIT_FAILED;
    if (cli->json)
        cli_document(cli, "channel_test", json_raw(answer), *ret_status);
    else
        cli_answerf(cli, "%s: %s (%lld ms)\n", ok ? "it was taken" : "it did not arrive",
                    shown_line(cli->ctx, answer, "words", 400), (long long)json_int(json_get(answer, "ms"), 0));
    return RC_OK;
}

static void notice_lines(struct cli *cli, struct json n, struct buf *b)
{
    mem *ctx = cli->ctx;
    buf_printf(b, cli->out.live ? "%-25s %-7s %s\n" : "%s\t%s\t%s\n", shown_line(ctx, n, "at", 40),
               shown_line(ctx, n, "level", 10), shown_line(ctx, n, "words", 300));
    for (struct json_iter it = json_iter(json_get(n, "deliveries")); json_next(&it);)
        buf_printf(b, "    %s %s, %lld %s %s\n", shown_line(ctx, it.value, "channel", 16),
                   shown_line(ctx, it.value, "state", 16), (long long)json_int(json_get(it.value, "attempts"), 0),
                   json_int(json_get(it.value, "attempts"), 0) == 1 ? "try" : "tries",
                   shown_line(ctx, it.value, "words", 300));
}

static enum rc told(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/notifications", STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "notifications", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "notifications")); json_next(&it);)
        notice_lines(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "Nothing was told yet.");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    int status = EXIT_DONE;
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "ls")     ? list(cli, &err)
                 : !strcmp(verb, "add")  ? add(cli, &err)
                 : !strcmp(verb, "rm")   ? remove_one(cli, &err)
                 : !strcmp(verb, "test") ? test(cli, &status, &err)
                                         : told(cli, &err);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_notify = {
    .name = "notify",
    .summary = "be told when a person is needed or work is done: webhooks, mail",
    .details =
        "A channel gets what its levels say: now (somebody is needed, a limit or budget was reached), done (a task "
        "ended), digest (once a day). Browsers subscribe on the web page. docs/notifications.md says more.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
