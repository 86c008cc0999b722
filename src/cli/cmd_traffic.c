/* nightmill traffic: what left sandboxes through the egress proxy, and which hosts may be reached. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/narrate.h"
#include "cli/traffic_export.h"
#include <stdlib.h>
#include <unistd.h>

#define TAIL_WAIT_US 500000

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "list exchanges, show one, follow them, export them; say which hosts may be reached; open a listener",
     .choices = "ls|show|tail|export|hosts|allow|deny|forget|open|close"},
    {.name = "WHAT",
     .help = "of show: the number; of export: the file; of allow, deny and forget: the host; of close: the tag",
     .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "task",
     .kind = OPTION_TEXT,
     .argument = "TASK",
     .help = "only those of this task; of open: whose rows and questions they are"},
    {.name = "project",
     .kind = OPTION_TEXT,
     .argument = "PROJECT",
     .help = "only those of this project; of allow, deny, forget and open: for this project"},
    {.name = "host", .kind = OPTION_TEXT, .argument = "HOST", .help = "only those to this host"},
    {.name = "verdict",
     .kind = OPTION_CHOICE,
     .argument = "VERDICT",
     .choices = "allowed|denied|tunnelled|failed|alarm",
     .help = "only those that were judged so"},
    {.name = "phase",
     .kind = OPTION_CHOICE,
     .argument = "PHASE",
     .choices = "setup|work",
     .help = "only those of this phase; of open: the phase whose rules hold, else work"},
    {.name = "method", .kind = OPTION_TEXT, .argument = "METHOD", .help = "only those by this method"},
    {.name = "text",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "only those with this text in host, path, reason, fields or bodies"},
    {.name = "since",
     .kind = OPTION_DURATION,
     .argument = "DURATION",
     .min = 1,
     .max = 315360000,
     .help = "only those of the last 2h, 7d and so on"},
    {.name = "before",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "ls: only those with a number below this"},
    {.name = "after",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 0,
     .max = INT64_MAX,
     .help = "export: only those with a number above this"},
    {.name = "limit",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000,
     .help = "ls: at most so many; else 50"},
    {.name = "jsonl", .help = "export: JSON lines (this is what it does anyhow)"},
    {.name = "har", .help = "export: one HAR 1.2 document"},
    {.name = "texts", .help = "export: with the fields and bodies that are kept"},
    {.name = "elastic",
     .kind = OPTION_TEXT,
     .argument = "URL",
     .help = "export: to the bulk interface of Elasticsearch or OpenSearch there"},
    {.name = "index",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "export: the index there; else nightmill-traffic"},
    {.name = "cursor",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "export: where the number of the last row that arrived there is kept, to go on from"},
    {.name = "authorization-env",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "export: variable with the value of the Authorization header"},
    {.name = "secrets", .help = "open: placeholders of egress.secrets work there, for whoever can connect"},
    {0},
};
static const struct example examples[] = {
    {"nightmill traffic ls --verdict denied --since 1d", "what was refused since yesterday, and why"},
    {"nightmill traffic allow docs.example.org --project /home/ada/shop",
     "its sandboxes may reach this host from now on"},
    {"nightmill traffic export --elastic http://127.0.0.1:9200 --cursor traffic.cursor",
     "ships what is new since the last time"},
    {"eval \"$(nightmill traffic open)\"", "this shell's programs go through the egress proxy"},
    {0},
};

/* ---- lists ---- */

/* "&task=...": what all readers share. */
static char *filter_of(struct cli *cli)
{
    static const char *const names[] = {"task", "project", "host", "verdict", "phase", "method", "text"};
    struct buf b;
    buf_init(&b, cli->ctx, 65536);
    buf_z(&b, "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = call_value(&cli->call, names[i]);
        if (value)
            buf_printf(&b, "&%s=%s", names[i], text_url(cli->ctx, str_of(value)));
    }
    int64_t since = call_number(&cli->call, "since", 0);
    if (since)
        buf_printf(&b, "&since=%lld", (long long)(clock_wall_ns() / 1000000000 - since));
    return b.n ? buf_take(&b, cli->ctx) : mem_str(cli->ctx, "");
}

static const char *where_shown(mem *ctx, struct json row)
{
    const char *scheme = shown_line(ctx, row, "scheme", 8), *host = shown_line(ctx, row, "host", 253);
    int64_t port = json_int(json_get(row, "port"), 0);
    bool usual = (port == 443 && strcmp(scheme, "https") == 0) || (port == 80 && strcmp(scheme, "http") == 0) || !port;
    return usual ? mem_printf(ctx, "%s%s", host, shown_line(ctx, row, "path", 100))
                 : mem_printf(ctx, "%s:%lld%s", host, (long long)port, shown_line(ctx, row, "path", 100));
}

/* A table on a terminal; lines of fields separated by tabs in a pipe. */
static void row_line(struct cli *cli, struct json row, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    long long number = (long long)json_int(json_get(row, "number"), 0),
              ms = (long long)json_int(json_get(row, "ms"), 0);
    long long status = (long long)json_int(json_get(row, "status"), 0);
    const char *verdict = shown_line(tmp, row, "verdict", 12), *reason = shown_line(tmp, row, "reason", 200);
    const char *up = count_shown(tmp, json_int(json_get(row, "bytes_up"), 0));
    const char *down = count_shown(tmp, json_int(json_get(row, "bytes_down"), 0));
    if (!cli->out.live) {
        buf_printf(out, "%lld\t%s\t%s\t%lld\t%s\t%s\t%lld\t%s\t%s\t%s\n", number, shown_line(tmp, row, "time", 40),
                   verdict, status, shown_line(tmp, row, "method", 32), where_shown(tmp, row), ms, up, down, reason);
        return;
    }
    enum tone tone = strcmp(verdict, "alarm") == 0 ? TONE_BAD : strcmp(verdict, "allowed") == 0 ? TONE_GOOD : TONE_CARE;
    buf_printf(out, "%7lld  %s  %s %3lld %6lld ms  %-7s %s%s%s\n", number,
               time_shown(tmp, json_str(tmp, json_get(row, "time")), true),
               screen_paint(tmp, &cli->out, tone, mem_printf(tmp, "%-9s", verdict)), status, ms,
               shown_line(tmp, row, "method", 32), where_shown(tmp, row), *reason ? ": " : "", reason);
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    long long limit = (long long)call_number(&cli->call, "limit", 50);
    int64_t before = call_number(&cli->call, "before", 0);
    const char *path = mem_printf(cli->ctx, "/api/v1/traffic?limit=%lld%s", limit, filter_of(cli));
    do { /* a search looks at many rows at a time, and may find nothing among them */
        enum rc rc =
            cli_ask(cli, "GET", before ? mem_printf(cli->ctx, "%s&before=%lld", path, (long long)before) : path,
                    STR(""), &answer, err);
        if (rc != RC_OK)
            return rc;
        before = json_int(json_get(answer, "next"), 0);
    } while (before && !json_len(json_get(answer, "traffic")));
    if (cli->json) {
        cli_document(cli, "traffic", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    for (struct json_iter it = json_iter(json_get(answer, "traffic")); json_next(&it);)
        row_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No traffic.");
    cli_answer(cli, buf_view(&b));
    if (before)
        cli_say(cli, "There is more: --before %lld", (long long)before);
    return RC_OK;
}

/* One page; *after moves on. */
static enum rc tail_page(struct cli *cli, const char *filter, int64_t *after, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    mem *kept = cli->ctx;
    struct json answer;
    struct buf b;
    cli->ctx = tmp; /* an endless command keeps nothing of a page */
    enum rc rc = cli_ask(
        cli, "GET", mem_printf(tmp, "/api/v1/traffic?order=oldest&limit=200&after=%lld%s", (long long)*after, filter),
        STR(""), &answer, err);
    buf_init(&b, tmp, SIZE_MAX);
    for (struct json_iter it = json_iter(json_get(answer, "traffic")); rc == RC_OK && json_next(&it);) {
        *after = json_int(json_get(it.value, "number"), *after);
        if (cli->json) {
            buf_str(&b, json_printable(tmp, json_raw(it.value)));
            buf_char(&b, '\n');
        } else {
            row_line(cli, it.value, &b);
        }
    }
    if (rc == RC_OK && b.n)
        cli_answer(cli, buf_view(&b));
    cli->ctx = kept;
    return rc;
}

/* From now on, until it is interrupted; with --json a row a line. */
static enum rc tail(struct cli *cli, struct err *err)
{
    struct json answer;
    const char *filter = filter_of(cli);
    enum rc rc = cli_ask(cli, "GET", "/api/v1/traffic?limit=1", STR(""), &answer, err);
    int64_t after = json_int(json_get(json_at(json_get(answer, "traffic"), 0), "number"), 0);
    while (rc == RC_OK) {
        rc = tail_page(cli, filter, &after, err);
        usleep(TAIL_WAIT_US);
    }
    return rc;
}

/* ---- show ---- */

static void part(struct cli *cli, struct json row, const char *member, const char *label, struct buf *out)
{
    const char *text = shown(cli->ctx, row, member);
    if (*text)
        buf_printf(out, "\n%s\n%s\n", screen_paint(cli->ctx, &cli->out, TONE_STRONG, label), text);
}

static enum rc show(struct cli *cli, const char *number, struct err *err)
{
    mem *ctx = cli->ctx;
    struct json r;
    struct buf b;
    enum rc rc =
        cli_ask(cli, "GET", mem_printf(ctx, "/api/v1/traffic/%s", text_url(ctx, str_of(number))), STR(""), &r, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json) {
        cli_document(cli, "traffic_row", json_raw(r), -1);
        return RC_OK;
    }
    buf_init(&b, ctx, SIZE_MAX);
    row_line(cli, r, &b);
    static const char *const members[] = {"task", "project", "agent", "phase", "address", "reason"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *value = shown_line(ctx, r, members[i], 400);
        if (*value)
            buf_printf(&b, "  %s %s\n", screen_paint(ctx, &cli->out, TONE_FAINT, mem_printf(ctx, "%-8s", members[i])),
                       value);
    }
    buf_printf(&b, "  %s %s up, %s down\n", screen_paint(ctx, &cli->out, TONE_FAINT, "bytes   "),
               count_shown(ctx, json_int(json_get(r, "bytes_up"), 0)),
               count_shown(ctx, json_int(json_get(r, "bytes_down"), 0)));
    part(cli, r, "request_head", "request's fields", &b);
    part(cli, r, "request_body", "request's body", &b);
    part(cli, r, "answer_head", "answer's fields", &b);
    part(cli, r, "answer_body", "answer's body", &b);
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* ---- export ---- */

static enum rc export_rows(struct cli *cli, const char *file, struct err *err)
{
    const char *elastic = call_value(&cli->call, "elastic"), *index = call_value(&cli->call, "index");
    const char *variable = call_value(&cli->call, "authorization-env"), *header = NULL;
    struct export_spec spec = {
        .filter = filter_of(cli), .after = call_number(&cli->call, "after", 0), .texts = call_has(&cli->call, "texts")};
    size_t n;
    if (variable && !getenv(variable))
        return err_set(err, RC_INVALID, "the variable %s is not set", variable);
    if (variable)
        header = mem_printf(cli->ctx, "Authorization: %s", getenv(variable));
    if (elastic && (file || call_has(&cli->call, "har")))
        return err_set(err, RC_INVALID, "rows go to a file or to --elastic, not to both");
    struct ship_spec ship = {.url = elastic,
                             .index = index ? index : "nightmill-traffic",
                             .cursor_file = call_value(&cli->call, "cursor"),
                             .header = header};
    enum rc rc =
        elastic ? traffic_ship(cli, &spec, &ship, &n, err)
                : traffic_export(cli, &spec, call_has(&cli->call, "har") ? EXPORT_HAR : EXPORT_JSONL, file, &n, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json && (elastic || file))
        cli_document(cli, "traffic_export", str_of(mem_printf(cli->ctx, "{\"rows\":%zu}", n)), -1);
    else
        cli_say(cli, "%zu rows", n);
    return RC_OK;
}

/* ---- hosts ---- */

static enum rc hosts(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    const char *project = call_value(&cli->call, "project");
    const char *path =
        project ? mem_printf(cli->ctx, "/api/v1/egress_hosts?project=%s", text_url(cli->ctx, str_of(project)))
                : "/api/v1/egress_hosts";
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &answer, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json) {
        cli_document(cli, "egress_hosts", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    for (struct json_iter it = json_iter(json_get(answer, "hosts")); json_next(&it);) {
        const char *whose = shown_line(cli->ctx, it.value, "project", 200);
        long long port = (long long)json_int(json_get(it.value, "port"), 0);
        buf_printf(&b, "%s\t%s%s\t%s\n", shown_line(cli->ctx, it.value, "verdict", 12),
                   shown_line(cli->ctx, it.value, "host", 253), port ? mem_printf(cli->ctx, ":%lld", port) : "",
                   *whose ? whose : "all projects");
    }
    if (!b.n)
        cli_say(cli, "Nothing was said about hosts. The settings egress.hosts and egress.project hold.");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc host_say(struct cli *cli, const char *verb, const char *host, struct err *err)
{
    mem *ctx = cli->ctx;
    const char *project = call_value(&cli->call, "project");
    struct json answer;
    struct buf b;
    struct json_out o;
    enum rc rc;
    if (strcmp(verb, "forget") == 0) {
        rc = cli_ask(cli, "DELETE",
                     mem_printf(ctx, "/api/v1/egress_hosts?host=%s&project=%s", text_url(ctx, str_of(host)),
                                text_url(ctx, str_of(project ? project : ""))),
                     STR(""), &answer, err);
    } else {
        buf_init(&b, ctx, 65536);
        json_out_init(&o, &b);
        jo_obj(&o);
        jo_kz(&o, "host", host);
        jo_kz(&o, "verdict", verb);
        if (project)
            jo_kz(&o, "project", project);
        jo_end_obj(&o);
        rc = cli_ask(cli, "PUT", "/api/v1/egress_hosts", buf_view(&b), &answer, err);
    }
    if (rc == RC_OK && cli->json)
        cli_document(cli, "egress_host", json_raw(answer), -1);
    return rc;
}

/* ---- listeners ---- */

static enum rc open_listener(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b, out;
    struct json_out o;
    const char *project = call_value(&cli->call, "project"), *phase = call_value(&cli->call, "phase");
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    if (project)
        jo_kz(&o, "project", project);
    if (call_value(&cli->call, "task"))
        jo_kz(&o, "task", call_value(&cli->call, "task"));
    if (phase)
        jo_kz(&o, "phase", phase);
    jo_kb(&o, "secrets", call_has(&cli->call, "secrets"));
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "POST", "/api/v1/proxies", buf_view(&b), &answer, err);
    if (rc != RC_OK)
        return rc;
    if (cli->json) {
        cli_document(cli, "proxy", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&out, cli->ctx, 1 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "environment")); json_next(&it);) {
        const char *pair = json_z(cli->ctx, it.value, ""), *value = strchr(pair, '=');
        if (value)
            buf_printf(&out, "export %.*s=%s\n", (int)(value - pair), pair, text_shell(cli->ctx, str_of(value + 1)));
    }
    cli_answer(cli, buf_view(&out));
    cli_say(cli, "It ends with the daemon, or with: nightmill traffic close %s",
            shown_line(cli->ctx, answer, "tag", 64));
    return RC_OK;
}

static enum rc close_listener(struct cli *cli, const char *tag, struct err *err)
{
    struct json answer;
    enum rc rc = cli_ask(cli, "DELETE", mem_printf(cli->ctx, "/api/v1/proxies/%s", text_url(cli->ctx, str_of(tag))),
                         STR(""), &answer, err);
    if (rc == RC_OK && cli->json)
        cli_document(cli, "removed", json_raw(answer), -1);
    return rc;
}

/* ---- verbs ---- */

static enum rc host_verb(struct cli *cli, const char *what, struct err *err)
{
    return host_say(cli, call_argument(&cli->call, 0), what, err);
}

static enum rc list_verb(struct cli *cli, const char *what, struct err *err)
{
    (void)what;
    return list(cli, err);
}

static enum rc tail_verb(struct cli *cli, const char *what, struct err *err)
{
    (void)what;
    return tail(cli, err);
}

static enum rc hosts_verb(struct cli *cli, const char *what, struct err *err)
{
    (void)what;
    return hosts(cli, err);
}

static enum rc open_verb(struct cli *cli, const char *what, struct err *err)
{
    (void)what;
    return open_listener(cli, err);
}

static const struct {
    const char *verb;
    enum rc (*run)(struct cli *cli, const char *what, struct err *err);
    const char *needs; /* what must be said; NULL: nothing */
} verbs[] = {
    {"ls", list_verb, NULL},         {"show", show, "the number"},
    {"tail", tail_verb, NULL},       {"export", export_rows, NULL},
    {"hosts", hosts_verb, NULL},     {"allow", host_verb, "the host"},
    {"deny", host_verb, "the host"}, {"forget", host_verb, "the host"},
    {"open", open_verb, NULL},       {"close", close_listener, "the tag"},
};

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *verb = call_argument(&cli->call, 0), *what = call_argument(&cli->call, 1);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].verb) != 0)
            continue;
        if (verbs[i].needs && (!what || !*what))
            rc = err_set(&err, RC_INVALID, "say %s: nightmill traffic %s ...", verbs[i].needs, verb);
        else
            rc = verbs[i].run(cli, what, &err);
    }
    return rc ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_traffic = {
    .name = "traffic",
    .summary = "show and export what left sandboxes through the egress proxy, say which hosts may be reached",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
