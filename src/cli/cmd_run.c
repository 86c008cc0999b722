/* nightmill run: from a sentence to a task that is followed to its end. What is to be done, and by which limits, is
 * decided by prepare_task and shown before it begins. */
#include "agent/install.h"
#include "base/text.h"
#include "cli/bill.h"
#include "cli/follow.h"
#include "cli/named.h"
#include "cli/race.h"
#include "cli/recording.h"
#include "cli/trial.h"
#include "ops/place.h"
#include "ops/preflight.h"
#include "ops/prepare.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { TEXT_MOST = 256 << 10, DRAW_MOST = 64 };

static const struct argument arguments[] = {
    {.name = "TEXT", .help = "the change, in words; - reads it from standard input"},
    {0},
};
static const struct option options[] = {
    {.name = "check", .kind = OPTION_TEXT, .argument = "COMMAND", .repeat = true, .help = "command that must pass"},
    {.name = "budget", .kind = OPTION_MONEY, .argument = "AMOUNT", .help = "most money, such as 2.00"},
    {.name = "iterations", .kind = OPTION_COUNT, .argument = "N", .min = 1, .max = 1000, .help = "most iterations"},
    {.name = "time",
     .kind = OPTION_DURATION,
     .argument = "DURATION",
     .min = 1,
     .max = 31536000,
     .help = "most working time, such as 90, 15m or 2h"},
    {.name = "tokens",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 1000000000000,
     .help = "most tokens, in and out"},
    {.name = "model", .kind = OPTION_TEXT, .argument = "NAME", .help = "model to ask"},
    {.name = "agent",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "who works: builtin, codex, claude, ... or a named one; nightmill agent ls shows them"},
    {.name = "assign",
     .kind = OPTION_CHOICE,
     .argument = "HOW",
     .choices = "random",
     .help = "draw one of the names given to --agent or --model, separated by commas, each with the same probability"},
    {.name = "race",
     .kind = OPTION_TEXT,
     .argument = "ATTEMPTS",
     .help =
         "several attempts side by side, such as codex,claude,builtin or builtin:MODEL,builtin:OTHER; the first that "
         "passes is delivered, the others are stopped and kept; --budget and --tokens are for all together, --time "
         "and --iterations for each"},
    {.name = "best", .help = "with --race: all run to their end, the cheapest that passed is delivered"},
    {.name = "approve",
     .kind = OPTION_CHOICES,
     .argument = "GATES",
     .choices = "plan|commit",
     .help = "wait for an approval there"},
    {.name = "allow-check-changes",
     .kind = OPTION_TEXT,
     .argument = "GLOB",
     .repeat = true,
     .help = "protected files that the change may touch"},
    {.name = "apply", .help = "fast-forward the current branch when it is proven"},
    {.name = "require-proof", .help = "new tests must be red at the base and green now"},
    {.name = "no-sandbox", .help = "run without any protection"},
    {.name = "record",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "write all model requests and answers to a file at the end"},
    {.name = "replay",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "answer all model requests from such a file; nothing is sent"},
    {.name = "detach", .letter = 'd', .help = "start it and return at once"},
    {0},
};
static const struct example examples[] = {
    {"nightmill run \"Add a --json flag to the report command\" --check 'make test' --budget 2.00",
     "works until make test passes, for at most two units of the currency"},
    {"nightmill run \"Implement #12\" --approve plan,commit",
     "shows the plan first and the change before it is committed"},
    {"nightmill run \"Fix the flaky test\" --agent codex,claude,builtin --assign random",
     "one of the three works, drawn at random; nightmill agent compare --assigned shows how they do"},
    {"nightmill run \"Fix the flaky test\" --race codex,claude,builtin --budget 3.00",
     "all three try; the first whose change passes the check is delivered; 3.00 for all of them together"},
    {"nightmill run - --detach < task.txt", "reads the task from a file and returns"},
    {0},
};

/* The task's text: the argument, or standard input. */
static enum rc text_read(struct cli *cli, const char **ret, struct err *err)
{
    const char *text = call_argument(&cli->call, 0);
    *ret = text;
    if (strcmp(text, "-"))
        return RC_OK;
    struct buf b;
    buf_init(&b, cli->ctx, TEXT_MOST);
    for (;;) {
        char bytes[4096];
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "Cannot read standard input");
        if (!n)
            break;
        if (memchr(bytes, '\0', (size_t)n) || !buf_add(&b, bytes, (size_t)n))
            return err_set(err, RC_INVALID, "The task's text must be text of at most %d KiB", TEXT_MOST >> 10);
    }
    *ret = buf_take(&b, cli->ctx);
    return RC_OK;
}

static bool gateway_serves(void *arg, const char *model)
{
    struct cli *cli = arg;
    struct json ignored;
    const char *path = mem_printf(cli->ctx, "/v1/models/%s", text_url(cli->ctx, str_of(model)));
    return cli_ask(cli, "GET", path, STR(""), &ignored, NULL) == RC_OK;
}

/* Better said here than by a task that waits. The daemon knows the same agents. */
static enum rc agent_here(struct cli *cli, const struct backend *backend, struct err *err)
{
    struct install_place place;
    enum rc rc = install_find(cli->ctx, place_data(cli->ctx, cli->settings), getenv("PATH"), backend, &place, err);
    if (rc != RC_OK || place.origin)
        return rc;
    err_set(err, RC_NOT_FOUND, "the agent %s is not installed", backend->name);
    return backend->package ? err_hint(err, "install it with: nightmill agent install %s", backend->name)
                            : err_hint(err, "it comes from %s; it must be on the PATH", backend->source);
}

/* ---- --assign ---- */

/* Every name could be drawn, so every name must be good. */
static enum rc agent_may(struct cli *cli, const char **name, struct err *err)
{
    if (strcmp(*name, "builtin") == 0)
        *name = "nightmill"; /* as the ledger calls it */
    if (strcmp(*name, "nightmill") == 0)
        return RC_OK;
    const struct backend *backend = backend_find(*name);
    if (backend)
        return agent_here(cli, backend, err);
    err_set(err, RC_NOT_FOUND, "there is no agent %s", text_terminal_line(cli->ctx, str_of(*name), 64));
    return err_hint(err, "list those that there are: nightmill agent ls");
}

static enum rc model_may(struct cli *cli, const char **name, struct err *err)
{
    struct model_choice ignored;
    struct model_known known = {.key = model_key_in_environment, .gateway = gateway_serves, .arg = cli};
    return model_choose(cli->ctx, cli->settings, *name, &known, &ignored, err);
}

/* NULL-terminated in *ret. */
static enum rc names_read(struct cli *cli, const char *of, const char *list, const char ***ret, size_t *ret_n,
                          struct err *err)
{
    struct str rest = str_of(list), piece;
    const char **names = mem_array(cli->ctx, const char *, DRAW_MOST + 1);
    size_t n = 0;
    while (str_next(&rest, ',', &piece)) {
        if (n == DRAW_MOST)
            return err_set(err, RC_LIMIT, "at most %d names can be drawn from", DRAW_MOST);
        names[n] = str_dup(cli->ctx, str_trim(piece));
        if (!*names[n])
            return err_set(err, RC_INVALID, "--%s has an empty name", of);
        enum rc rc = strcmp(of, "agent") == 0 ? agent_may(cli, &names[n], err) : model_may(cli, &names[n], err);
        if (rc)
            return rc;
        for (size_t i = 0; i < n; i++)
            if (strcmp(names[i], names[n]) == 0)
                return err_set(err, RC_INVALID, "--%s names %s twice", of,
                               text_terminal_line(cli->ctx, str_of(names[n]), 64));
        n++;
    }
    *ret = names;
    *ret_n = n;
    return RC_OK;
}

/* Below n, each with the same probability: numbers beyond the largest multiple of n are thrown away. */
static size_t draw_number(size_t n)
{
    uint32_t v, most = UINT32_MAX - UINT32_MAX % (uint32_t)n;
    do
        BUG_ON(getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v);
    while (v >= most);
    return v % n;
}

/* Of agent and model, whichever has several names; the drawn ones become the wish. */
static enum rc draws_make(struct cli *cli, struct prepare_wish *wish, struct draw *draws, struct err *err)
{
    const struct {
        const char *of, **wish;
    } kinds[] = {{"agent", &wish->agent}, {"model", &wish->model}};
    if (!call_has(&cli->call, "assign"))
        return RC_OK;
    if (call_has(&cli->call, "replay"))
        return err_set(err, RC_INVALID,
                       "a recording was made by one agent and one model: --assign does not go with --replay");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char **names = NULL;
        size_t n = 0;
        if (!*kinds[i].wish)
            continue;
        enum rc rc = names_read(cli, kinds[i].of, *kinds[i].wish, &names, &n, err);
        if (rc)
            return rc;
        if (n < 2)
            continue;
        *kinds[i].wish = names[draw_number(n)];
        draws[wish->draw_count++] = (struct draw){.of = kinds[i].of, .drawn = *kinds[i].wish, .from = names};
    }
    wish->draws = draws;
    if (wish->draw_count)
        return RC_OK;
    err_set(err, RC_INVALID, "--assign needs several names to draw from");
    return err_hint(err, "separate them by commas, such as --agent codex,claude,builtin --assign random");
}

static enum rc wish_read(struct cli *cli, struct prepare_wish *ret, struct err *err)
{
    const struct call *call = &cli->call;
    *ret = (struct prepare_wish){.dir = ".",
                                 .checks = call_values(cli->ctx, call, "check"),
                                 .budget = call_value(call, "budget"),
                                 .iterations = call_number(call, "iterations", 0),
                                 .time_s = call_number(call, "time", 0),
                                 .tokens = call_number(call, "tokens", 0),
                                 .model = call_value(call, "model"),
                                 .agent = call_value(call, "agent"),
                                 .approve = call_value(call, "approve"),
                                 .allow_check_changes = call_values(cli->ctx, call, "allow-check-changes"),
                                 .apply = call_has(call, "apply"),
                                 .require_proof = call_has(call, "require-proof"),
                                 .no_sandbox = call_has(call, "no-sandbox"),
                                 .record = call_has(call, "record"),
                                 .named = named_find,
                                 .gateway = gateway_serves,
                                 .arg = cli};
    return text_read(cli, &ret->text, err);
}

static enum rc spec_make(struct cli *cli, struct json *ret, struct err *err)
{
    struct str spec;
    struct prepare_wish wish;
    struct model_choice recorded;
    struct draw draws[2];
    const char *file = call_value(&cli->call, "replay");
    enum rc rc = wish_read(cli, &wish, err);
    if (!rc)
        rc = draws_make(cli, &wish, draws, err);
    if (!rc && file) {
        wish.recorded = &recorded;
        rc = recording_open(cli, file, &wish.replay, &recorded, err);
    }
    if (!rc)
        rc = prepare_task(cli->ctx, cli->settings, &wish, &spec, err);
    return rc ? rc : json_parse(cli->ctx, spec, ret, err);
}

/* An unknown one is refused by the daemon. */
static enum rc agent_check(struct cli *cli, struct json spec, struct err *err)
{
    const char *name = json_z(cli->ctx, json_path(spec, "agent.name"), NULL);
    const struct backend *backend = name ? backend_find(name) : NULL;
    return backend ? agent_here(cli, backend, err) : RC_OK;
}

/* The first row that forbids to begin. Without a sandbox, its row does not. */
static enum rc preflight_judge(struct cli *cli, const struct preflight *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct preflight_row *row = &p->rows[i];
        if (row->grade != PREFLIGHT_FAIL || (!strcmp(row->name, "sandbox") && call_has(&cli->call, "no-sandbox")))
            continue;
        struct preflight one = {.rows = {*row}, .n = 1, .failed = true};
        return preflight_verdict(&one, err);
    }
    return RC_OK;
}

static void line_say(struct cli *cli, const char *label, const char *words)
{
    const char *padded = mem_printf(cli->ctx, "%-9s", label);
    if (!cli->json)
        screen_write(&cli->err,
                     str_of(mem_printf(cli->ctx, "  %s %s\n", screen_paint(cli->ctx, &cli->err, TONE_FAINT, padded),
                                       text_terminal_line(cli->ctx, str_of(words), 400))));
}

static void preflight_say(struct cli *cli, const struct preflight *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct preflight_row *row = &p->rows[i];
        bool told = !strcmp(row->name, "check"); /* that there is none stands in the notes of the spec */
        if (told || (row->grade != PREFLIGHT_WARN && row->grade != PREFLIGHT_NOTE))
            continue;
        line_say(cli, "note",
                 mem_printf(cli->ctx, "%s: %s%s%s", row->name, row->evidence, row->mend ? "; " : "",
                            row->mend ? row->mend : ""));
    }
}

/* What was chosen and why, before anything begins. */
static void spec_say(struct cli *cli, struct json spec, const char *id)
{
    mem *ctx = cli->ctx;
    struct json limits = json_get(spec, "limits");
    const char *currency = json_z(ctx, json_get(limits, "currency"), "USD");
    const char *budget = amount_shown(ctx, json_z(ctx, json_get(limits, "money"), NULL), currency);
    int64_t time_s = json_int(json_get(limits, "time_s"), 0), tokens = json_int(json_get(limits, "tokens"), 0);
    cli_say(cli, "Task %s: %s", id, shown_line(ctx, spec, "text", 200));
    for (struct json_iter it = json_iter(json_get(spec, "checks")); json_next(&it);)
        line_say(cli, "check",
                 mem_printf(ctx, "%s (%s%s)", shown_line(ctx, it.value, "command", 200),
                            shown_line(ctx, it.value, "origin", 100),
                            json_bool(json_get(it.value, "required"), true) ? "" : ", not required"));
    line_say(cli, "limits",
             mem_printf(ctx, "%s%s%s%s%s%s%s", shown_line(ctx, limits, "iterations_words", 300), budget ? "; " : "",
                        budget ? budget : "", time_s ? "; " : "", time_s ? text_duration(ctx, time_s) : "",
                        tokens ? "; tokens " : "", tokens ? count_shown(ctx, tokens) : ""));
    line_say(cli, "model",
             mem_printf(ctx, "%s at %s (%s)", shown_line(ctx, json_get(spec, "model"), "name", 100),
                        json_eqz(json_path(spec, "model.url"), "")
                            ? "whoever serves it"
                            : shown_line(ctx, json_get(spec, "model"), "url", 100),
                        shown_line(ctx, json_get(spec, "model"), "why", 100)));
    if (json_is(json_get(spec, "agent")))
        line_say(cli, "agent", shown_line(ctx, json_get(spec, "agent"), "name", 100));
    const struct backend *backend = backend_find(json_z(ctx, json_path(spec, "agent.name"), ""));
    if (backend && !backend->servers && json_len(json_get(spec, "mcp")))
        line_say(cli, "note",
                 mem_printf(ctx, "%s takes no MCP servers: those of the project are not started", backend->title));
    for (struct json_iter it = json_iter(json_get(spec, "assignment")); json_next(&it);)
        line_say(cli, "drawn",
                 mem_printf(ctx, "%s %s, with probability %s", shown_line(ctx, it.value, "of", 10),
                            shown_line(ctx, it.value, "drawn", 100), shown_line(ctx, it.value, "probability", 10)));
    for (struct json_iter it = json_iter(json_get(spec, "allow_check_changes")); json_next(&it);)
        line_say(cli, "allowed", mem_printf(ctx, "changes of protected files: %s", json_z(ctx, it.value, "")));
    if (json_bool(json_get(spec, "no_sandbox"), false))
        line_say(cli, "note", "no sandbox: the agent's commands run as you, with all that you may do");
    for (struct json_iter it = json_iter(json_get(spec, "notes")); json_next(&it);)
        line_say(cli, "note", json_z(ctx, it.value, ""));
}

/* Everything that must be there before anything begins. */
static enum rc machine_ready(struct cli *cli, struct err *err)
{
    struct preflight machine = {0};
    enum rc rc = cli_settings(cli, err);
    if (rc)
        return rc;
    preflight_machine(cli->ctx, cli->settings, &machine);
    rc = preflight_judge(cli, &machine, err);
    return rc ? rc : cli_reach(cli, err);
}

static enum rc spec_ready(struct cli *cli, struct json spec, struct preflight *run, struct err *err)
{
    enum rc rc = agent_check(cli, spec, err);
    if (!rc)
        rc = cli_hand_over_keys(cli, json_z(cli->ctx, json_path(spec, "model.key"), NULL), err);
    if (rc)
        return rc;
    preflight_run(cli->ctx, cli->settings, spec, run);
    return preflight_judge(cli, run, err);
}

/* Everything up to the task in the database. */
static enum rc task_begin(struct cli *cli, struct json *ret_task, struct err *err)
{
    struct json spec;
    struct preflight run = {0};
    enum rc rc = machine_ready(cli, err);
    if (!rc)
        rc = spec_make(cli, &spec, err); /* the daemon is there: its gateway may know the model */
    if (!rc)
        rc = spec_ready(cli, spec, &run, err);
    if (rc)
        return rc;
    follow_prepare(); /* from here on Ctrl-C asks */
    rc = cli_ask(cli, "POST", "/api/v1/tasks", json_raw(spec), ret_task, err);
    if (rc)
        return rc;
    spec_say(cli, spec, json_z(cli->ctx, json_get(*ret_task, "id"), ""));
    preflight_say(cli, &run);
    return RC_OK;
}

/* ---- --race ---- */

static enum rc race_fits(struct cli *cli, struct err *err)
{
    static const char *const others[] = {"agent", "model", "assign", "record", "replay"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (call_has(&cli->call, others[i]))
            return err_set(err, RC_INVALID, "--race names agents and models itself: --%s does not go with it",
                           others[i]);
    return RC_OK;
}

static enum rc race_start(struct cli *cli, struct json *ret_trial, struct err *err)
{
    struct race race = {.cli = cli};
    struct prepare_wish wish;
    struct preflight run = {0};
    enum rc rc = race_fits(cli, err);
    if (!rc)
        rc = machine_ready(cli, err);
    if (!rc)
        rc = wish_read(cli, &wish, err);
    if (!rc)
        rc = race_prepare(&race, call_value(&cli->call, "race"), &wish, err);
    for (size_t i = 0; !rc && i < race.n; i++)
        rc = spec_ready(cli, race.specs[i], &run, err);
    if (rc)
        return rc;
    follow_prepare();
    rc = race_post(&race, call_has(&cli->call, "best"), ret_trial, err);
    if (rc)
        return rc;
    spec_say(cli, race.specs[0], json_z(cli->ctx, json_get(*ret_trial, "id"), ""));
    for (struct json_iter it = json_iter(json_get(*ret_trial, "attempts")); json_next(&it);)
        line_say(cli, "attempt",
                 mem_printf(cli->ctx, "%s: %s", shown_line(cli->ctx, it.value, "id", 16),
                            attempt_label(cli->ctx, it.value)));
    if ((int64_t)race.n > setting_int(cli->settings, "tasks.parallel"))
        line_say(cli, "note",
                 mem_printf(cli->ctx,
                            "%lld tasks work at a time (tasks.parallel): the other attempts wait for their turn",
                            (long long)setting_int(cli->settings, "tasks.parallel")));
    preflight_say(cli, &run);
    return RC_OK;
}

static int race_run(struct cli *cli)
{
    struct err err = {0};
    struct json trial;
    if (race_start(cli, &trial, &err) != RC_OK)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(trial, "id"), "");
    if (!call_has(&cli->call, "detach"))
        return trial_follow(cli, id);
    if (cli->json)
        cli_document(cli, "trial", json_raw(trial), EXIT_DONE);
    else
        cli_answerf(cli, "%s\n", text_terminal_line(cli->ctx, str_of(id), 64));
    return EXIT_DONE;
}

/* Also of a task that failed: its requests may be what is looked for. One that was left goes on. */
static int record_write(struct cli *cli, const char *id, int status)
{
    struct err err = {0};
    struct json task;
    size_t n;
    const char *file = call_value(&cli->call, "record");
    if (!file)
        return status;
    enum rc rc = cli_ask(cli, "GET", task_path(cli, id, ""), STR(""), &task, &err);
    if (rc == RC_OK && !json_is(json_get(task, "ended_at")))
        cli_say(cli, "The task has not ended; write the recording later: nightmill request export %s %s", id, file);
    else if (rc == RC_OK)
        rc = recording_export(cli, id, file, &n, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err);
    return status;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    if (call_has(&cli->call, "race"))
        return race_run(cli);
    if (call_has(&cli->call, "best")) {
        err_set(&err, RC_INVALID, "--best belongs to --race");
        return cli_fail(cli, &err);
    }
    if (task_begin(cli, &task, &err) != RC_OK)
        return cli_fail(cli, &err);
    const char *id = json_z(cli->ctx, json_get(task, "id"), "");
    if (!call_has(&cli->call, "detach"))
        return record_write(cli, id, follow_task(cli, id, 0));
    if (cli->json)
        cli_document(cli, "task", json_raw(task), EXIT_DONE);
    else
        cli_answerf(cli, "%s\n", text_terminal_line(cli->ctx, str_of(id), 64));
    return EXIT_DONE;
}

const struct command command_run = {
    .name = "run",
    .summary = "make a described change and prove it",
    .details =
        "The checks are those of --check, else of nightmill.yaml, else the one that the project offers. The task works in "
        "a folder of its own; your checkout is untouched. Ctrl-C asks whether to leave it or to stop it.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
