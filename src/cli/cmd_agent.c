/* nightmill agent: the coding agents that Nightmill can run, which of them are here, putting them here, and how they
 * have done; named ones. What has to do with tasks is asked of the daemon. */
#include "agent/selftest.h"
#include "base/text.h"
#include "cli/compare.h"
#include "cli/named.h"
#include "cli/session.h"
#include "ops/place.h"
#include <stdlib.h>

enum { PROBE_MS = 60000, TEST_MS = 180000 };

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "list agents, ask them for their version, install one, try one out, compare how they have done; set up, "
             "show or remove a named one",
     .choices = "ls|probe|install|test|compare|set|show|rm"},
    {.name = "NAME",
     .help = "the agent; of probe: all that are here when it is left out; of compare: any number",
     .optional = true,
     .repeat = true},
    {0},
};
static const struct option options[] = {
    {.name = "all", .help = "ls: also those that are not here"},
    {.name = "by",
     .kind = OPTION_CHOICE,
     .argument = "WHAT",
     .choices = "agent|version|model|kind",
     .help = "compare: each agent, or each with its version, model or kind of task by itself"},
    {.name = "project", .kind = OPTION_TEXT, .argument = "FOLDER", .help = "compare: tasks of this repository alone"},
    {.name = "last",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 3153600000,
     .help = "compare: only tasks begun so far back, such as 30d"},
    {.name = "base", .kind = OPTION_TEXT, .argument = "AGENT", .help = "set: which agent it is: builtin, codex, ..."},
    {.name = "instructions",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "set: what it is told in every iteration, after the project's own"},
    {.name = "arg",
     .kind = OPTION_TEXT,
     .argument = "ARGUMENT",
     .repeat = true,
     .help = "set: a further argument of its program"},
    {.name = "model", .kind = OPTION_TEXT, .argument = "NAME", .help = "set: the model that it asks"},
    {.name = "approval",
     .kind = OPTION_CHOICE,
     .argument = "WHAT",
     .choices = "full|edits|ask",
     .help = "set: what it may do without asking"},
    {.name = "command", .kind = OPTION_TEXT, .argument = "PROGRAM", .help = "set: program of command, http and acp"},
    {.name = "folder", .kind = OPTION_TEXT, .argument = "FOLDER", .help = "set: folder that the program needs"},
    {.name = "input",
     .kind = OPTION_CHOICE,
     .argument = "HOW",
     .choices = "stdin|argument",
     .help = "set: how command gets its prompt"},
    {.name = "output",
     .kind = OPTION_CHOICE,
     .argument = "WHAT",
     .choices = "text|lines",
     .help = "set: what command prints"},
    {.name = "url", .kind = OPTION_TEXT, .argument = "URL", .help = "set: address of the service of http"},
    {.name = "assigned", .help = "compare: only tasks whose agent or model was drawn by run --assign"},
    {0},
};
static const struct example examples[] = {
    {"nightmill agent ls --all", "every agent, whether it is here, its version"},
    {"nightmill agent install pi", "the pinned version, in a folder of its own below the data folder"},
    {"nightmill agent test pi", "a small task against a scripted model: no key, no provider"},
    {"nightmill agent probe", "starts each in a sandbox and asks for its version"},
    {"nightmill agent set careful --base codex --instructions careful.md",
     "a named agent for run --agent careful; each change is a new version"},
    {"nightmill agent compare codex claude --last 30d", "how their tasks of 30 days ended, their cost and time"},
    {0},
};

static enum rc look(struct cli *cli, const struct backend *b, struct install_place *ret, struct err *err)
{
    return install_find(cli->ctx, place_data(cli->ctx, cli->settings), getenv("PATH"), b, ret, err);
}

static enum rc named(struct cli *cli, const struct backend **ret, struct err *err)
{
    const char *name = call_argument(&cli->call, 1);
    if (!name) {
        err_set(err, RC_INVALID, "Name the agent");
        return err_hint(err, "nightmill agent %s NAME; nightmill agent ls --all lists them",
                        call_argument(&cli->call, 0));
    }
    *ret = backend_find(name);
    if (*ret)
        return RC_OK;
    const char *names[64];
    size_t n = 0;
    while (backends[n] && n < 64) {
        names[n] = backends[n]->name;
        n++;
    }
    const char *near = text_nearest(str_of(name), names, n);
    err_set(err, RC_NOT_FOUND, "there is no agent \"%.60s\"", name);
    return near ? err_hint(err, "did you mean %s?", near) : err_hint(err, "nightmill agent ls --all lists them");
}

/* --- ls --- */

static void agent_line(struct cli *cli, const struct backend *b, const struct install_place *p, struct buf *out)
{
    const char *state = p->origin ? p->origin : "not here";
    const char *version = p->version ? p->version : "-";
    const char *where =
        p->outside   ? text_terminal(cli->ctx, str_of(p->outside))
        : p->origin  ? b->source
        : b->package ? mem_printf(cli->ctx, "nightmill agent install %s (%s %s)", b->name, b->package, b->version)
                     : b->source;
    buf_printf(out, cli->out.live ? "%-10s %-10s %-14s %s\n" : "%s\t%s\t%s\t%s\n", b->name, state, version, where);
}

static enum rc list(struct cli *cli, int *status, struct err *err)
{
    struct buf text, data;
    struct json_out o;
    bool all = call_has(&cli->call, "all") || cli->json;
    *status = EXIT_DONE;
    buf_init(&text, cli->ctx, 1 << 20);
    buf_init(&data, cli->ctx, 1 << 20);
    json_out_init(&o, &data);
    jo_obj(&o);
    jo_key(&o, "agents");
    jo_arr(&o);
    size_t hidden = 0;
    for (const struct backend *const *b = backends; *b; b++) {
        struct install_place place;
        enum rc rc = look(cli, *b, &place, err);
        if (rc)
            return rc;
        install_json(&o, *b, &place);
        if (place.origin || all)
            agent_line(cli, *b, &place, &text);
        else
            hidden++;
    }
    jo_end_arr(&o);
    jo_end_obj(&o);
    if (cli->json) {
        cli_document(cli, "agents", buf_view(&data), -1);
        return RC_OK;
    }
    named_lines(cli, &text);
    cli_answer(cli, buf_view(&text));
    if (hidden)
        cli_say(cli, "%zu more are not here: nightmill agent ls --all", hidden);
    return RC_OK;
}

/* --- probe --- */

struct probed {
    const struct backend *backend;
    const char *version;
    struct err err;
};

static void probe_one(struct cli *cli, const struct backend *b, const struct install_place *place, struct probed *ret)
{
    *ret = (struct probed){.backend = b};
    if (install_probe(cli->ctx, b, place, PROBE_MS, &ret->version, &ret->err) != RC_OK)
        ret->version = NULL;
}

static void probed_write(struct json_out *o, const struct probed *p)
{
    jo_obj(o);
    jo_kz(o, "name", p->backend->name);
    jo_kb(o, "works", p->version != NULL);
    jo_kz(o, "version", p->version);
    jo_kz(o, "pinned", p->backend->version);
    if (!p->version) {
        jo_kz(o, "problem", p->err.sentence);
        jo_kz(o, "detail", p->err.detail);
    }
    jo_end_obj(o);
}

static void probed_line(struct cli *cli, const struct probed *p, struct buf *out)
{
    const char *pinned = p->backend->version;
    if (!p->version)
        buf_printf(out, "%-10s %s%s%s\n", p->backend->name, p->err.sentence, p->err.detail[0] ? ": " : "",
                   text_terminal_line(cli->ctx, str_of(p->err.detail), 300));
    else if (pinned && strcmp(p->version, pinned) != 0)
        buf_printf(out, "%-10s %s (Nightmill knows %s)\n", p->backend->name, p->version, pinned);
    else
        buf_printf(out, "%-10s %s\n", p->backend->name, p->version);
}

static enum rc not_here(const struct backend *b, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "%s is not here", b->title);
    return b->package ? err_hint(err, "nightmill agent install %s", b->name) : err_hint(err, "%s", b->source);
}

static enum rc probe(struct cli *cli, int *status, struct err *err)
{
    struct buf text, data;
    struct json_out o;
    const struct backend *only = NULL;
    enum rc rc = call_argument(&cli->call, 1) ? named(cli, &only, err) : RC_OK;
    if (rc)
        return rc;
    *status = EXIT_DONE;
    buf_init(&text, cli->ctx, 1 << 20);
    buf_init(&data, cli->ctx, 1 << 20);
    json_out_init(&o, &data);
    jo_obj(&o);
    jo_key(&o, "agents");
    jo_arr(&o);
    for (const struct backend *const *b = backends; *b; b++) {
        struct install_place place;
        struct probed p;
        if (only && *b != only)
            continue;
        rc = look(cli, *b, &place, err);
        if (rc || (only && !place.origin))
            return rc ? rc : not_here(*b, err);
        if (!only && (!place.origin || !place.outside))
            continue;
        probe_one(cli, *b, &place, &p);
        *status = p.version ? *status : EXIT_FAILED;
        probed_write(&o, &p);
        probed_line(cli, &p, &text);
    }
    jo_end_arr(&o);
    jo_end_obj(&o);
    if (cli->json)
        cli_document(cli, "agents_probed", buf_view(&data), *status);
    else if (!text.n)
        cli_say(cli, "No agent is here. nightmill agent ls --all lists those that could be");
    else
        cli_answer(cli, buf_view(&text));
    return RC_OK;
}

/* --- install --- */

struct progress {
    struct cli *cli;
    size_t fetched;
};

/* npm says a line for each thing that it fetches: what people want to know is that it goes on. */
static void on_line(void *arg, struct str line)
{
    struct progress *p = arg;
    if (str_starts(line, STR("npm http"))) {
        if (++p->fetched % 50 == 0)
            cli_say(p->cli, "%zu fetched", p->fetched);
    } else if (!str_starts(line, STR("npm warn"))) {
        cli_say(p->cli, "%s", text_terminal_line(p->cli->ctx, line, 200));
    }
}

static enum rc install(struct cli *cli, struct err *err)
{
    const struct backend *b;
    struct install_place place;
    enum rc rc = named(cli, &b, err);
    if (rc)
        return rc;
    struct progress progress = {.cli = cli};
    if (b->package)
        cli_say(cli, "Installing %s %s (licence: %s)", b->package, b->version, b->licence);
    rc = install_package(cli->ctx, place_data(cli->ctx, cli->settings), getenv("PATH"), b, -1, on_line, &progress, err);
    if (!rc)
        rc = look(cli, b, &place, err);
    if (rc)
        return rc;
    struct buf out;
    struct json_out o;
    buf_init(&out, cli->ctx, 65536);
    if (cli->json) {
        json_out_init(&o, &out);
        install_json(&o, b, &place);
        cli_document(cli, "agent", buf_view(&out), -1);
        return RC_OK;
    }
    agent_line(cli, b, &place, &out);
    cli_answer(cli, buf_view(&out));
    return RC_OK;
}

/* --- test --- */

static void report_write(struct json_out *o, const struct backend *b, const struct selftest_report *r, bool good)
{
    jo_obj(o);
    jo_kz(o, "name", b->name);
    jo_kb(o, "good", good);
    jo_kb(o, "file_made", r->file_made);
    jo_kz(o, "outcome", backend_outcome_name(r->outcome));
    jo_kz(o, "words", r->words);
    jo_ki(o, "requests", r->requests);
    jo_ki(o, "input_tokens", r->input);
    jo_ki(o, "output_tokens", r->output);
    jo_kb(o, "usage_known", r->usage_known);
    jo_kb(o, "usage_equal", r->usage_equal);
    jo_ki(o, "said_input_tokens", r->said_input);
    jo_ki(o, "said_output_tokens", r->said_output);
    jo_ki(o, "processes_left", r->processes);
    jo_ki(o, "first_request_ms", r->first_ms);
    jo_ki(o, "elapsed_ms", r->all_ms);
    jo_kz(o, "session", r->session);
    install_list_json(o, "hosts", r->hosts);
    jo_kz(o, "last_error_line", r->output_tail);
    jo_end_obj(o);
}

static void report_lines(struct cli *cli, const struct backend *b, const struct selftest_report *r, bool good)
{
    struct buf out;
    buf_init(&out, cli->ctx, 65536);
    buf_printf(&out, "%s %s\n", b->name, good ? "works" : "does not work here");
    buf_printf(&out, "  outcome    %s: %s\n", backend_outcome_name(r->outcome),
               text_terminal_line(cli->ctx, str_of(r->words), 300));
    buf_printf(&out, "  file       %s\n", r->file_made ? "made" : "not made");
    buf_printf(&out, "  requests   %lld, %lld tokens in, %lld out\n", (long long)r->requests, (long long)r->input,
               (long long)r->output);
    if (!r->usage_known)
        buf_z(&out, "  its usage  none is reported; the gateway's is what counts\n");
    else
        buf_printf(&out, "  its usage  %s (%lld in, %lld out)\n", r->usage_equal ? "the same" : "another one",
                   (long long)r->said_input, (long long)r->said_output);
    buf_printf(&out, "  processes  %d left running at its end, none now\n", r->processes);
    buf_z(&out, "  asked for  ");
    for (const char *const *h = r->hosts; *h; h++)
        buf_printf(&out, "%s%s", h == r->hosts ? "" : ", ", *h);
    buf_z(&out, *r->hosts ? " (all refused)\n" : "nothing beside its model\n");
    if (r->first_ms >= 0)
        buf_printf(&out, "  time       %lld ms to the first request, %lld ms in all\n", (long long)r->first_ms,
                   (long long)r->all_ms);
    if (!good && *r->output_tail)
        buf_printf(&out, "  it said    %s\n", text_terminal_line(cli->ctx, str_of(r->output_tail), 300));
    cli_answer(cli, buf_view(&out));
}

static enum rc test(struct cli *cli, int *status, struct err *err)
{
    const struct backend *b;
    struct install_place place;
    struct selftest_report report;
    enum rc rc = named(cli, &b, err);
    if (!rc)
        rc = look(cli, b, &place, err);
    if (!rc && !place.origin)
        rc = not_here(b, err);
    if (!rc)
        rc = selftest_run(cli->ctx, place_data(cli->ctx, cli->settings), b, &place, TEST_MS, &report, err);
    if (rc)
        return rc;
    bool good = report.outcome == BACKEND_DONE && report.file_made && (!report.usage_known || report.usage_equal);
    *status = good ? EXIT_DONE : EXIT_FAILED;
    if (!cli->json) {
        report_lines(cli, b, &report, good);
        return RC_OK;
    }
    struct buf data;
    struct json_out o;
    buf_init(&data, cli->ctx, 65536);
    json_out_init(&o, &data);
    report_write(&o, b, &report, good);
    cli_document(cli, "agent_test", buf_view(&data), *status);
    return RC_OK;
}

/* An option belongs to one verb, and so do several names. */
static enum rc call_fits(struct cli *cli, struct err *err)
{
    static const struct {
        const char *verb, *options[12];
    } owners[] = {
        {"ls", {"all"}},
        {"compare", {"by", "project", "last", "assigned"}},
        {"set", {"base", "instructions", "arg", "model", "approval", "command", "folder", "input", "output", "url"}}};
    const char *verb = call_argument(&cli->call, 0);
    if (call_argument(&cli->call, 2) && strcmp(verb, "compare") != 0)
        return err_set(err, RC_INVALID, "nightmill agent %s takes one agent", verb);
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        for (const char *const *o = owners[i].options; *o && strcmp(verb, owners[i].verb) != 0; o++)
            if (call_has(&cli->call, *o))
                return err_set(err, RC_INVALID, "--%s belongs to nightmill agent %s", *o, owners[i].verb);
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    int status = EXIT_DONE;
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = cli_settings(cli, &err);
    if (!rc)
        rc = call_fits(cli, &err);
    if (rc)
        return cli_fail(cli, &err);
    sandbox_set_uid_base((uid_t)setting_int(cli->settings, "sandbox.uid_base"));
    rc = !strcmp(verb, "ls")        ? list(cli, &status, &err)
         : !strcmp(verb, "probe")   ? probe(cli, &status, &err)
         : !strcmp(verb, "install") ? install(cli, &err)
         : !strcmp(verb, "compare") ? compare_run(cli, &err)
         : !strcmp(verb, "set")     ? named_set(cli, &err)
         : !strcmp(verb, "show")    ? named_show(cli, &err)
         : !strcmp(verb, "rm")      ? named_remove(cli, &err)
                                    : test(cli, &status, &err);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_agent = {
    .name = "agent",
    .summary = "coding agents that can be run: which are here, installing one, trying one out, how they have done",
    .details =
        "An agent is looked for in Nightmill's own folder, then on the PATH. install fetches the version that "
        "Nightmill was tested with by npm, without running install scripts and without changing anything "
        "outside of the data folder. test has the agent write a file in a sandbox whose only way out leads "
        "to a scripted model server: it says whether the file is there, which requests were made, whether the "
        "agent counts the same tokens, what it left running, and which hosts it asked a proxy for (all are refused). "
        "compare shows how the tasks of each agent ended, what they cost, how long they took: money and time are those "
        "of ended tasks; nightmill is the built-in agent; tasks that were answered from a recording are left out. "
        "set gives an agent with a model, instructions and arguments a name of its own, in numbered versions that never "
        "change: a task says which one it had, and compare --by version tells them apart. A project names its own in "
        "nightmill.yaml (agents).",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
