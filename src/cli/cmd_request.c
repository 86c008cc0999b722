/* nightmill request: the record of model requests, listed, shown, and a task's as a file to be played back. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/narrate.h"
#include "cli/recording.h"

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "list requests, show one, write a task's as a recording, or say what is kept",
     .choices = "ls|show|export|policy"},
    {.name = "ID", .help = "of show: the request; of export: the task; of policy: the project", .optional = true},
    {.name = "FILE", .help = "of export: the file to write", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "task", .kind = OPTION_TEXT, .argument = "TASK", .help = "ls: only those of this task"},
    {.name = "key", .kind = OPTION_TEXT, .argument = "KEY", .help = "ls: only those of this user key, by its id"},
    {.name = "project", .kind = OPTION_TEXT, .argument = "PROJECT", .help = "ls: only those of this project"},
    {.name = "model",
     .kind = OPTION_TEXT,
     .argument = "MODEL",
     .help = "ls: only those that asked for or got this model"},
    {.name = "provider", .kind = OPTION_TEXT, .argument = "PROVIDER", .help = "ls: only those that it served"},
    {.name = "outcome",
     .kind = OPTION_CHOICE,
     .argument = "OUTCOME",
     .choices = "served|cached|replayed|refused|failed|cancelled",
     .help = "ls: only those that ended so"},
    {.name = "since",
     .kind = OPTION_DURATION,
     .argument = "DURATION",
     .min = 1,
     .max = 315360000,
     .help = "ls: only those of the last 2h, 7d and so on"},
    {.name = "before",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "ls: only those with a number below this"},
    {.name = "limit",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000,
     .help = "ls: at most so many; else 50"},
    {.name = "keep",
     .kind = OPTION_CHOICE,
     .argument = "WHAT",
     .choices = "none|metadata|full|standard",
     .help = "policy: what is kept of the project's requests; standard: as the settings say"},
    {.name = "days-metadata",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 0,
     .max = 36500,
     .help = "policy: days that metadata is kept; 0: for good"},
    {.name = "days-bodies",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 0,
     .max = 36500,
     .help = "policy: days that bodies are kept; 0: for good"},
    {.name = "body", .help = "show: also what was sent and answered, as far as it is kept"},
    {0},
};
static const struct example examples[] = {
    {"nightmill request ls --outcome failed --since 1d", "what failed since yesterday"},
    {"nightmill request show 4kq8z1m0c2xv --body", "one request with its attempts and both bodies"},
    {"nightmill request policy /home/ada/shop --keep full --days-bodies 3",
     "keeps both bodies of its requests for three days"},
    {"nightmill request export 7xk3m2q run.jsonl", "a recording for nightmill run --replay"},
    {0},
};

/* ---- ls ---- */

static char *list_path(struct cli *cli)
{
    static const char *const names[] = {"task", "key", "project", "model", "provider", "outcome"};
    struct buf b;
    buf_init(&b, cli->ctx, 65536);
    buf_printf(&b, "/api/v1/requests?limit=%lld", (long long)call_number(&cli->call, "limit", 50));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = call_value(&cli->call, names[i]);
        if (value)
            buf_printf(&b, "&%s=%s", names[i], text_url(cli->ctx, str_of(value)));
    }
    int64_t since = call_number(&cli->call, "since", 0), before = call_number(&cli->call, "before", 0);
    if (since)
        buf_printf(&b, "&since=%lld", (long long)(clock_wall_ns() / 1000000000 - since));
    if (before)
        buf_printf(&b, "&before=%lld", (long long)before);
    return buf_take(&b, cli->ctx);
}

static const char *ms_shown(mem *ctx, struct json ms)
{
    int64_t n = json_int(ms, -1);
    if (n < 0)
        return "-";
    return n < 1000 ? mem_printf(ctx, "%lld ms", (long long)n)
                    : mem_printf(ctx, "%lld.%lld s", (long long)(n / 1000), (long long)(n % 1000 / 100));
}

static const char *cost_shown(mem *ctx, struct json request)
{
    const char *cost =
        amount_shown(ctx, json_z(ctx, json_get(request, "cost"), NULL), json_z(ctx, json_get(request, "currency"), ""));
    return cost ? cost : "-";
}

static const char *model_shown(mem *ctx, struct json request)
{
    const char *asked = shown_line(ctx, request, "model", 60), *served = shown_line(ctx, request, "model_served", 60);
    return *served && strcmp(asked, served) ? mem_printf(ctx, "%s -> %s", asked, served) : asked;
}

static const char *outcome_shown(mem *ctx, struct json request)
{
    const char *outcome = shown_line(ctx, request, "outcome", 20);
    return *outcome ? outcome : shown_line(ctx, request, "state", 20);
}

/* A table on a terminal; lines of fields separated by tabs in a pipe. */
static void request_line(struct cli *cli, struct json request, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *id = shown_line(tmp, request, "id", 64), *outcome = outcome_shown(tmp, request);
    long long status = (long long)json_int(json_get(request, "status"), 0);
    if (!cli->out.live) {
        buf_printf(out, "%s\t%s\t%s\t%lld\t%s\t%s\t%s\t%s\n", id, shown_line(tmp, request, "time", 40), outcome, status,
                   shown_line(tmp, request, "provider", 60), model_shown(tmp, request),
                   ms_shown(tmp, json_get(request, "ms")), cost_shown(tmp, request));
        return;
    }
    buf_printf(out, "%-14s  %s  %-9s %3lld  %8s  %9s  %s\n", id,
               time_shown(tmp, json_str(tmp, json_get(request, "time")), true), outcome, status,
               ms_shown(tmp, json_get(request, "ms")), cost_shown(tmp, request), model_shown(tmp, request));
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", list_path(cli), STR(""), &answer, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json) {
        cli_document(cli, "requests", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    for (struct json_iter it = json_iter(json_get(answer, "requests")); json_next(&it);)
        request_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No requests. The setting record.keep says what is kept.");
    cli_answer(cli, buf_view(&b));
    if (json_is(json_get(answer, "next")))
        cli_say(cli, "There are more: --before %lld", (long long)json_int(json_get(answer, "next"), 0));
    return RC_OK;
}

/* ---- show ---- */

static void row(struct cli *cli, struct buf *out, const char *label, const char *words)
{
    if (*words)
        buf_printf(out, "  %s %s\n",
                   screen_paint(cli->ctx, &cli->out, TONE_FAINT, mem_printf(cli->ctx, "%-10s", label)), words);
}

static const char *who_shown(mem *ctx, struct json request)
{
    static const char *const names[] = {"task", "agent", "key", "user", "project", "organisation"};
    struct buf b;
    buf_init(&b, ctx, 4096);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = shown_line(ctx, request, names[i], 80);
        if (*value)
            buf_printf(&b, "%s%s %s", b.n ? ", " : "", names[i], value);
    }
    return b.n ? b.p : "the owner";
}

static const char *tokens_shown(mem *ctx, struct json usage)
{
    if (!json_is(usage))
        return "unknown";
    const char *cached = count_shown(ctx, json_int(json_get(usage, "cache_read"), 0));
    int64_t written = json_int(json_get(usage, "cache_write"), 0) + json_int(json_get(usage, "cache_write_1h"), 0);
    return mem_printf(ctx, "in %s, from cache %s, to cache %s, out %s (reasoning %s)",
                      count_shown(ctx, json_int(json_get(usage, "input"), 0)), cached, count_shown(ctx, written),
                      count_shown(ctx, json_int(json_get(usage, "output"), 0)),
                      count_shown(ctx, json_int(json_get(usage, "reasoning"), 0)));
}

static const char *kept_shown(mem *ctx, struct json request, const char *body, const char *bytes)
{
    const char *kept = shown_line(ctx, request, body, 20);
    return mem_printf(ctx, "%s bytes, %s", count_shown(ctx, json_int(json_get(request, bytes), 0)),
                      !*kept                     ? "not kept"
                      : !strcmp(kept, "whole")   ? "kept"
                      : !strcmp(kept, "expired") ? "no longer kept"
                                                 : "the beginning is kept");
}

static void attempts_add(struct cli *cli, struct json request, struct buf *out)
{
    mem *ctx = cli->ctx;
    int n = 0;
    for (struct json_iter it = json_iter(json_get(request, "attempts")); json_next(&it);) {
        const char *words = shown_line(ctx, it.value, "words", 400);
        row(cli, out, mem_printf(ctx, "attempt %d", ++n),
            mem_printf(ctx, "%s %s: %lld %s, first byte %s, whole %s%s%s", shown_line(ctx, it.value, "provider", 60),
                       shown_line(ctx, it.value, "model", 60), (long long)json_int(json_get(it.value, "status"), 0),
                       shown_line(ctx, it.value, "code", 20), ms_shown(ctx, json_get(it.value, "first_byte_ms")),
                       ms_shown(ctx, json_get(it.value, "ms")), *words ? ": " : "", words));
    }
}

static void body_add(struct cli *cli, const char *label, struct json body, struct buf *out)
{
    mem *ctx = cli->ctx;
    if (!json_is(body))
        return;
    const char *text =
        json_is(json_get(body, "base64")) ? "(no text; --json has it as base64)" : shown(ctx, body, "text");
    buf_printf(out, "\n%s%s\n%s\n", screen_paint(ctx, &cli->out, TONE_STRONG, label),
               json_bool(json_get(body, "cut"), false) ? " (the rest is left out)" : "", text);
}

static enum rc show(struct cli *cli, const char *id, struct err *err)
{
    mem *ctx = cli->ctx;
    struct json r;
    struct buf b;
    bool bodies = call_has(&cli->call, "body");
    const char *path = mem_printf(ctx, "/api/v1/requests/%s%s", text_url(ctx, str_of(id)), bodies ? "" : "?body=0");
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &r, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json) {
        cli_document(cli, "request", json_raw(r), -1);
        return RC_OK;
    }
    buf_init(&b, ctx, SIZE_MAX);
    buf_printf(&b, "%s  %s\n", screen_paint(ctx, &cli->out, TONE_STRONG, shown_line(ctx, r, "id", 64)),
               time_shown(ctx, json_str(ctx, json_get(r, "time")), true));
    row(cli, &b, "by", who_shown(ctx, r));
    row(cli, &b, "asked",
        mem_printf(ctx, "%s: %s as %s%s, from %s", shown_line(ctx, r, "endpoint", 20), model_shown(ctx, r),
                   shown_line(ctx, r, "dialect", 20), json_bool(json_get(r, "stream"), false) ? ", streamed" : "",
                   shown_line(ctx, r, "client", 60)));
    row(cli, &b, "outcome",
        mem_printf(ctx, "%s, %lld, first byte %s, whole %s%s", outcome_shown(ctx, r),
                   (long long)json_int(json_get(r, "status"), 0), ms_shown(ctx, json_get(r, "first_byte_ms")),
                   ms_shown(ctx, json_get(r, "ms")),
                   json_bool(json_get(r, "cache_hit"), false) ? ", from the cache" : ""));
    row(cli, &b, "words", shown_line(ctx, r, "words", 1000));
    row(cli, &b, "provider", shown_line(ctx, r, "provider", 60));
    row(cli, &b, "tokens", tokens_shown(ctx, json_get(r, "usage")));
    row(cli, &b, "cost", cost_shown(ctx, r));
    attempts_add(cli, r, &b);
    row(cli, &b, "request", kept_shown(ctx, r, "request_body", "request_bytes"));
    row(cli, &b, "answer", kept_shown(ctx, r, "answer_body", "answer_bytes"));
    body_add(cli, "request", json_get(r, "request"), &b);
    body_add(cli, "answer", json_get(r, "answer"), &b);
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* ---- export ---- */

static enum rc export(struct cli *cli, const char *task, const char *file, struct err *err) {
    size_t n; enum rc rc = recording_export(cli, task, file, &n, err); if (rc != RC_OK) return rc;
    if (cli->json) cli_document(cli, "recording", str_of(mem_printf(cli->ctx, "{\"requests\":%zu}", n)), -1);
    else cli_say(cli, "%s: %zu requests", file, n);
    return RC_OK;
}

/* ---- policy ---- */

static void policy_line(struct json policy, const char *name, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    buf_printf(out, "%s: %s, metadata %lld days, bodies %lld days, at most %s bytes each\n", name,
               shown_line(tmp, policy, "keep", 20), (long long)json_int(json_get(policy, "days_metadata"), 0),
               (long long)json_int(json_get(policy, "days_bodies"), 0),
               count_shown(tmp, json_int(json_get(policy, "body_max"), 0)));
}

static enum rc policy_send(struct cli *cli, const char *project, struct err *err)
{
    static const char *const numbers[][2] = {{"days-metadata", "days_metadata"}, {"days-bodies", "days_bodies"}};
    const char *keep = call_value(&cli->call, "keep");
    struct buf b;
    struct json_out o;
    if (keep && !strcmp(keep, "standard"))
        return cli_ask(cli, "DELETE",
                       mem_printf(cli->ctx, "/api/v1/record_policies?project=%s", text_url(cli->ctx, str_of(project))),
                       STR(""), NULL, err);
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "project", project);
    if (keep)
        jo_kz(&o, "keep", keep);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (call_has(&cli->call, numbers[i][0]))
            jo_ki(&o, numbers[i][1], call_number(&cli->call, numbers[i][0], 0));
    jo_end_obj(&o);
    return cli_ask(cli, "PUT", "/api/v1/record_policies", buf_view(&b), NULL, err);
}

/* Sets what was said, and shows what holds now. */
static enum rc policy(struct cli *cli, const char *project, struct err *err)
{
    struct json answer;
    struct buf b;
    bool said =
        call_has(&cli->call, "keep") || call_has(&cli->call, "days-metadata") || call_has(&cli->call, "days-bodies");
    enum rc rc = RC_OK;
    if (said && !project)
        return err_set(err, RC_INVALID, "say which project: nightmill request policy PROJECT --keep WHAT");
    if (said)
        rc = policy_send(cli, project, err);
    if (rc == RC_OK)
        rc = cli_ask(cli, "GET", "/api/v1/record_policies", STR(""), &answer, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json) {
        cli_document(cli, "record_policies", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    policy_line(json_get(answer, "standard"), "all others", &b);
    for (struct json_iter it = json_iter(json_get(answer, "projects")); json_next(&it);)
        policy_line(it.value, shown_line(cli->ctx, it.value, "project", 200), &b);
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0), *id = call_argument(&cli->call, 1),
               *file = call_argument(&cli->call, 2);
    enum rc rc;
    if (!strcmp(verb, "ls"))
        rc = list(cli, &err);
    else if (!strcmp(verb, "policy"))
        rc = policy(cli, id, &err);
    else if (!id || !*id || strlen(id) > 64)
        rc = err_set(&err, RC_INVALID, "say which %s: nightmill request %s ID",
                     strcmp(verb, "show") ? "task" : "request", verb);
    else if (!strcmp(verb, "show"))
        rc = show(cli, id, &err);
    else if (!file)
        rc = err_set(&err, RC_INVALID, "say which file: nightmill request export TASK FILE");
    else
        rc = export(cli, id, file, &err);
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_request = {
    .name = "request",
    .summary = "show the record of model requests, export a task's, say what is kept",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
