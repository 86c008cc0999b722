/* nightmill provider: which model servers there are, how they are reached, and whether they answer. */
#include "base/text.h"
#include "cli/session.h"
#include "store/provider.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY_MOST = 16384 };

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "add or change a provider, list them, try one out, remove one",
     .choices = "add|ls|test|rm"},
    {.name = "NAME",
     .help = "the provider; a kind (anthropic, openai, ...) tells its address and the rest by itself",
     .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "kind", .kind = OPTION_TEXT, .argument = "KIND", .help = "add: what it is; else as it is named"},
    {.name = "url",
     .kind = OPTION_TEXT,
     .argument = "URL",
     .help = "add: its address, without a path below the version"},
    {.name = "key-stdin", .help = "add: read its key from standard input and seal it"},
    {.name = "key-env", .kind = OPTION_TEXT, .argument = "NAME", .help = "add: its key is in this variable"},
    {.name = "key-file",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "add: its key is in this file of mode 0600, read at each use"},
    {.name = "header",
     .kind = OPTION_TEXT,
     .argument = "NAME:VALUE",
     .repeat = true,
     .help = "add: a further header of each request; all of them are given anew"},
    {.name = "dialect",
     .kind = OPTION_CHOICE,
     .argument = "DIALECT",
     .choices = "chat|openai|responses|messages|gemini",
     .help = "add: what it speaks; else as its kind does"},
    {.name = "concurrency",
     .kind = OPTION_COUNT,
     .argument = "N",
     .max = 100000,
     .help = "add: requests under way at once; 0 for no bound"},
    {.name = "queue", .kind = OPTION_COUNT, .argument = "N", .max = 100000, .help = "add: requests that may wait"},
    {.name = "weight",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000,
     .help = "add: its share among equal upstreams; else 100"},
    {.name = "cooldown",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .max = 86400,
     .help = "add: rest after failures; else 30s"},
    {.name = "enable", .help = "add: switch it on"},
    {.name = "disable", .help = "add: switch it off, keeping what is known of it"},
    {.name = "kinds", .help = "ls: the kinds that there are"},
    {0},
};
static const struct example examples[] = {
    {"nightmill provider add anthropic --key-stdin < key.txt", "keeps its key sealed; nothing else is needed"},
    {"nightmill provider add gpu --kind vllm --url http://10.0.0.5:8000", "a server of your own"},
    {"nightmill provider test gpu", "asks it for its models, at no cost"},
    {0},
};

static const char *provider_path(struct cli *cli, const char *rest)
{
    const char *name = call_argument(&cli->call, 1);
    return mem_printf(cli->ctx, "/api/v1/providers/%s%s", text_url(cli->ctx, str_of(name)), rest);
}

static enum rc name_needed(struct cli *cli, struct err *err)
{
    const char *name = call_argument(&cli->call, 1);
    if (name && provider_id_valid(name))
        return RC_OK;
    if (name) {
        err_set(err, RC_INVALID, "\"%s\" is no name of a provider", text_terminal_line(cli->ctx, str_of(name), 60));
        return err_hint(err, "it has up to %d of a-z, 0-9, '.', '_' and '-'", PROVIDER_ID_MAX);
    }
    err_set(err, RC_INVALID, "Name the provider");
    return err_hint(err, "nightmill provider %s NAME", call_argument(&cli->call, 0));
}

/* ---- add ---- */

/* The first line, or a whole service account. The caller wipes it. */
static enum rc key_read(struct cli *cli, struct str *ret, struct err *err)
{
    char *text = mem_zalloc(cli->ctx, KEY_MOST + 2);
    size_t n = 0;
    ssize_t got = 1;
    if (isatty(STDIN_FILENO))
        cli_say(cli, "Type the key and end it with Ctrl-D; it is shown as you type.");
    while (got > 0 && n <= KEY_MOST) {
        got = read(STDIN_FILENO, text + n, KEY_MOST + 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        return err_sys(err, errno, "Cannot read the key from standard input");
    struct str all = str_trim(str_n(text, n)), line = all;
    if (all.n && all.p[0] != '{')
        str_line(&all, &line);
    *ret = str_trim(line);
    if (ret->n && n <= KEY_MOST)
        return RC_OK;
    explicit_bzero(text, n);
    err_set(err, RC_INVALID, n > KEY_MOST ? "Standard input holds more than a key" : "Standard input holds no key");
    return err_hint(err, "nightmill provider add %s --key-stdin < FILE", call_argument(&cli->call, 1));
}

static enum rc headers_write(struct cli *cli, struct json_out *o, struct err *err)
{
    const char *const *lines = call_values(cli->ctx, &cli->call, "header");
    if (!*lines)
        return RC_OK;
    jo_key(o, "headers");
    jo_obj(o);
    for (; *lines; lines++) {
        struct str rest = str_of(*lines), name;
        if (!str_next(&rest, ':', &name) || name.n == strlen(*lines))
            return err_set(err, RC_INVALID, "A header is given as NAME:VALUE, not \"%s\"",
                           text_terminal_line(cli->ctx, str_of(*lines), 60));
        jo_keyn(o, str_trim(name));
        jo_str(o, str_trim(rest));
    }
    jo_end_obj(o);
    return RC_OK;
}

static enum rc file_absolute(struct cli *cli, const char *file, const char **ret, struct err *err)
{
    *ret = file;
    if (*file == '/')
        return RC_OK;
    char *here = getcwd(NULL, 0);
    if (!here)
        return err_sys(err, errno, "Cannot tell the current folder");
    *ret = mem_printf(cli->ctx, "%s/%s", here, file);
    free(here);
    return RC_OK;
}

static enum rc row_write(struct cli *cli, struct json_out *o, struct err *err)
{
    static const struct {
        const char *option, *member;
    } texts[] = {{"kind", "kind"}, {"url", "url"}, {"key-env", "key_env"}, {"dialect", "dialect"}},
      counts[] = {{"concurrency", "concurrency"}, {"queue", "queue"}, {"weight", "weight"}};
    const struct call *call = &cli->call;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (call_has(call, texts[i].option))
            jo_kz(o, texts[i].member, call_value(call, texts[i].option));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (call_has(call, counts[i].option))
            jo_ki(o, counts[i].member, call_number(call, counts[i].option, 0));
    if (call_has(call, "cooldown"))
        jo_ki(o, "cooldown_ms", call_number(call, "cooldown", 0) * 1000);
    if (call_has(call, "enable") || call_has(call, "disable"))
        jo_kb(o, "enabled", call_has(call, "enable"));
    if (call_has(call, "key-file")) {
        const char *file;
        enum rc rc = file_absolute(cli, call_value(call, "key-file"), &file, err);
        if (rc)
            return rc;
        jo_kz(o, "key_file", file);
    }
    return headers_write(cli, o, err);
}

static void provider_line(struct cli *cli, struct json p, struct buf *b)
{
    mem *ctx = cli->ctx;
    struct json key = json_get(p, "key");
    const char *reference = shown_line(ctx, key, "reference", 100), *problem = shown_line(ctx, key, "problem", 200);
    const char *state = !json_bool(json_get(p, "enabled"), false)   ? "off"
                        : !json_bool(json_get(key, "known"), false) ? "no key"
                                                                    : "ready";
    if (!cli->out.live) {
        buf_printf(b, "%s\t%s\t%s\t%s\t%s\n", shown_line(ctx, p, "id", 64), shown_line(ctx, p, "kind", 64), state,
                   shown_line(ctx, p, "url", 200), *reference ? reference : "-");
        return;
    }
    enum tone tone = strcmp(state, "ready") ? TONE_BAD : TONE_GOOD;
    buf_printf(b, "%-14s %s%*s %-44s %s\n", shown_line(ctx, p, "id", 64), screen_paint(ctx, &cli->out, tone, state),
               8 - (int)strlen(state), "", shown_line(ctx, p, "url", 200), *reference ? reference : "needs no key");
    if (*problem)
        buf_printf(b, "%-14s %s\n", "", problem);
}

static enum rc add(struct cli *cli, struct err *err)
{
    struct buf b;
    struct json_out o;
    struct json answer;
    struct str key = {0};
    enum rc rc = name_needed(cli, err);
    if (!rc && call_has(&cli->call, "enable") && call_has(&cli->call, "disable"))
        rc = err_set(err, RC_INVALID, "Either --enable or --disable");
    if (!rc && call_has(&cli->call, "key-stdin"))
        rc = key_read(cli, &key, err);
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 256 << 10);
    json_out_init(&o, &b);
    jo_obj(&o);
    if (key.n)
        jo_ks(&o, "key", key);
    rc = row_write(cli, &o, err);
    jo_end_obj(&o);
    if (!rc && call_has(&cli->call, "key-env"))
        rc = cli_hand_over_keys(cli, call_value(&cli->call, "key-env"), err);
    if (!rc)
        rc = cli_ask(cli, "PUT", provider_path(cli, ""), buf_view(&b), &answer, err);
    explicit_bzero(b.p, b.n);
    if (key.n)
        explicit_bzero((char *)(uintptr_t)key.p, key.n);
    if (rc)
        return rc;
    buf_clear(&b);
    provider_line(cli, answer, &b);
    if (cli->json)
        cli_document(cli, "provider", json_raw(answer), -1);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* ---- ls, test, rm ---- */

static void kinds_print(struct cli *cli, struct json answer, struct buf *b)
{
    for (struct json_iter it = json_iter(json_get(answer, "kinds")); json_next(&it);) {
        const char *url = shown_line(cli->ctx, it.value, "url", 200);
        buf_printf(b, "%-14s %-24s %-22s %s\n", shown_line(cli->ctx, it.value, "name", 64),
                   shown_line(cli->ctx, it.value, "title", 64), shown_line(cli->ctx, it.value, "key_variable", 64),
                   *url ? url : "(needs --url)");
    }
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/providers", STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "providers", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    if (call_has(&cli->call, "kinds"))
        kinds_print(cli, answer, &b);
    else
        for (struct json_iter it = json_iter(json_get(answer, "providers")); json_next(&it);)
            provider_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No providers. Export ANTHROPIC_API_KEY or OPENAI_API_KEY, or: nightmill provider add NAME");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc test(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    size_t shown_models = 0;
    enum rc rc = name_needed(cli, err);
    if (!rc)
        rc = cli_ask(cli, "POST", provider_path(cli, "/test"), STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "provider_test", json_raw(answer), -1);
        return RC_OK;
    }
    struct json models = json_get(answer, "models");
    buf_init(&b, cli->ctx, 1 << 20);
    buf_printf(&b, "%s answers in %lld ms and has %zu models\n", shown_line(cli->ctx, answer, "provider", 64),
               (long long)json_int(json_get(answer, "latency_ms"), 0), json_len(models));
    for (struct json_iter it = json_iter(models); json_next(&it) && shown_models < 200; shown_models++)
        buf_printf(&b, "  %s\n", text_terminal_line(cli->ctx, json_str(cli->ctx, it.value), 200));
    if (json_len(models) > shown_models)
        buf_printf(&b, "  and %zu more (--json lists all)\n", json_len(models) - shown_models);
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc forget(struct cli *cli, struct err *err)
{
    struct json answer;
    enum rc rc = name_needed(cli, err);
    if (!rc)
        rc = cli_ask(cli, "DELETE", provider_path(cli, ""), STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json)
        cli_document(cli, "provider_removed", json_raw(answer), -1);
    else
        cli_answerf(cli, "removed %s\n", shown_line(cli->ctx, answer, "removed", 64));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = cli_reach_with_keys(cli, &err);
    if (rc)
        return cli_fail(cli, &err);
    rc = !strcmp(verb, "add")    ? add(cli, &err)
         : !strcmp(verb, "ls")   ? list(cli, &err)
         : !strcmp(verb, "test") ? test(cli, &err)
                                 : forget(cli, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_provider = {
    .name = "provider",
    .summary = "say how model servers are reached, and try them out",
    .details =
        "A provider whose key variable is known (ANTHROPIC_API_KEY, OPENAI_API_KEY, ...) needs no entry. add changes "
        "only what is given. A key is kept sealed or where you say, is never shown again, and may be replaced at "
        "any time: the next request has the new one.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
