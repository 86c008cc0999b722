/* nightmill doctor: what is in order and what is not, each with its evidence and the line that mends it. */
#include "base/text.h"
#include "cli/daemon.h"
#include "cli/session.h"
#include "ops/place.h"
#include "ops/preflight.h"
#include "ops/prepare.h"
#include <unistd.h>

static const struct option options[] = {
    {.name = "check", .kind = OPTION_TEXT, .argument = "COMMAND", .repeat = true, .help = "judge this check too"},
    {.name = "model", .kind = OPTION_TEXT, .argument = "NAME", .help = "judge this model"},
    {0},
};
static const struct example examples[] = {
    {"nightmill doctor", "this machine, and the project if this folder is in one"},
    {0},
};

static void row_error(mem *ctx, struct preflight *p, const char *name, enum preflight_grade grade,
                      const struct err *err)
{
    const char *evidence =
        err->detail[0] ? mem_printf(ctx, "%s (%s)", err->sentence, err->detail) : mem_str(ctx, err->sentence);
    preflight_add(p, name, grade, evidence, err->hint[0] ? mem_str(ctx, err->hint) : NULL);
}

static void look_settings(struct cli *cli, struct preflight *p)
{
    bool exists;
    const char *file = settings_file(cli->settings, &exists);
    preflight_add(p, "settings", PREFLIGHT_OK,
                  exists ? file : mem_printf(cli->ctx, "%s is not there: all defaults", file), NULL);
}

static void look_daemon(struct cli *cli, struct preflight *p)
{
    struct json health;
    const char *data = place_data(cli->ctx, cli->settings);
    if (!daemon_answers(cli->ctx, data, 3000, &health)) {
        preflight_add(p, "daemon", PREFLIGHT_OK, "not running; the first command that needs it starts it", NULL);
        return;
    }
    const char *version = shown_line(cli->ctx, health, "version", 40);
    bool same = !strcmp(version, NIGHTMILL_VERSION);
    preflight_add(
        p, "daemon", same ? PREFLIGHT_OK : PREFLIGHT_WARN,
        mem_printf(cli->ctx, "version %s, process %lld", version, (long long)json_int(json_get(health, "pid"), 0)),
        same ? NULL : "nightmill daemon stop (the next command starts this version; tasks go on)");
}

/* What the daemon sees of itself and of the machine, when it runs: the same rows that the web page shows. */
static bool look_health(struct cli *cli, struct preflight *p)
{
    struct json health;
    mem *ctx = cli->ctx;
    if (cli_peek(cli, "/api/v1/health?fresh=1", 15000, &health, NULL) != RC_OK)
        return false;
    for (struct json_iter it = json_iter(json_get(health, "findings")); json_next(&it);)
        preflight_add(p, shown_line(ctx, it.value, "name", 40),
                      preflight_grade_find(shown_line(ctx, it.value, "grade", 20)),
                      shown_line(ctx, it.value, "evidence", 500),
                      json_is(json_get(it.value, "mend")) ? shown_line(ctx, it.value, "mend", 500) : NULL);
    return true;
}

/* The project of this folder, as a run would see it. Outside of one only the machine is judged. */
static void look_project(struct cli *cli, struct preflight *p)
{
    mem *ctx = cli->ctx;
    struct err err = {0};
    struct str text;
    struct json spec;
    struct prepare_wish wish = {.dir = ".",
                                .text = "doctor",
                                .checks = call_values(ctx, &cli->call, "check"),
                                .model = call_value(&cli->call, "model")};
    if (prepare_task(ctx, cli->settings, &wish, &text, &err) != RC_OK || json_parse(ctx, text, &spec, &err) != RC_OK)
        row_error(ctx, p, "run", PREFLIGHT_WARN, &err);
    else
        preflight_run(ctx, cli->settings, spec, p);
}

static void rows_print(struct cli *cli, const struct preflight *p)
{
    static const enum tone tones[] = {[PREFLIGHT_OK] = TONE_GOOD,
                                      [PREFLIGHT_NOTE] = TONE_PLAIN,
                                      [PREFLIGHT_WARN] = TONE_CARE,
                                      [PREFLIGHT_FAIL] = TONE_BAD};
    mem *ctx = cli->ctx;
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    for (size_t i = 0; i < p->n; i++) {
        const struct preflight_row *row = &p->rows[i];
        const char *grade = mem_printf(ctx, "%-7s", preflight_grade_name(row->grade));
        buf_printf(&b, "%s  %-12s %s\n", screen_paint(ctx, &cli->out, tones[row->grade], grade), row->name,
                   text_terminal(ctx, str_of(row->evidence)));
        if (row->mend)
            buf_printf(&b, "         %-12s %s\n", "", text_terminal(ctx, str_of(row->mend)));
    }
    cli_answer(cli, buf_view(&b));
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct preflight p = {0};
    if (cli_settings(cli, &err) != RC_OK)
        return cli_fail(cli, &err);
    look_settings(cli, &p);
    look_daemon(cli, &p);
    if (!look_health(cli, &p))
        preflight_machine(cli->ctx, cli->settings, &p);
    look_project(cli, &p);
    if (!cli->json) {
        rows_print(cli, &p);
        return p.failed ? EXIT_FAILED : EXIT_DONE;
    }
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 1 << 20);
    json_out_init(&o, &b);
    preflight_json(&p, &o);
    cli_document(cli, "doctor", buf_view(&b), p.failed ? EXIT_FAILED : EXIT_DONE);
    return p.failed ? EXIT_FAILED : EXIT_DONE;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "check this machine and this project",
    .details = "Shows what is looked at before each run. The exit status is 1 when something failed.",
    .options = options,
    .examples = examples,
    .run = run,
};
