/* nightmill config: settings with their origin, and what is wrong with them. */
#include "base/text.h"
#include "cli/session.h"
#include <stdlib.h>

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "show settings, check them, print the file's path or a table of all",
     .choices = "show|check|path|docs"},
    {.name = "NAME", .help = "of show: a setting or section", .optional = true},
    {0},
};
static const struct example examples[] = {
    {"nightmill config show limits", "the limits, each with its origin"},
    {"nightmill config check", "everything that is wrong, with line and column"},
    {0},
};

/* "limits" or "limits.turns". */
static bool row_wanted(const char *name, const struct setting_row *row)
{
    size_t n = name ? strlen(name) : 0;
    return !name || !strcmp(name, row->name) || (!strncmp(name, row->name, n) && row->name[n] == '.');
}

static void row_json(struct cli *cli, struct json_out *o, const struct setting_row *row)
{
    mem *ctx = cli->ctx;
    jo_obj(o);
    jo_kz(o, "name", row->name);
    jo_kz(o, "value", setting_shown(ctx, cli->settings, row));
    jo_kz(o, "origin", setting_origin(cli->settings, row));
    jo_kz(o, "type", setting_type_name(row->type));
    jo_kz(o, "range", setting_range_words(ctx, row));
    jo_kz(o, "default", row->standard);
    jo_kz(o, "applies", setting_when_words(row->when));
    jo_kz(o, "environment", setting_env_name(ctx, row));
    jo_kz(o, "help", row->help);
    jo_end_obj(o);
}

static void row_print(struct cli *cli, struct buf *b, const struct setting_row *row)
{
    mem *ctx = cli->ctx;
    const char *value = text_terminal_line(ctx, str_of(setting_shown(ctx, cli->settings, row)), 200);
    const char *origin = text_terminal_line(ctx, str_of(setting_origin(cli->settings, row)), 200);
    enum tone tone = strcmp(origin, "default") ? TONE_PLAIN : TONE_FAINT;
    buf_printf(b, "%-27s %-24s %s\n", row->name, *value ? value : "-", screen_paint(ctx, &cli->out, tone, origin));
}

static enum rc show(struct cli *cli, struct err *err)
{
    const char *name = call_argument(&cli->call, 1);
    size_t n, shown_rows = 0;
    const struct setting_row *rows = settings_rows(&n);
    struct buf b;
    struct json_out o;
    enum rc rc = cli_settings(cli, err);
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 1 << 20);
    json_out_init(&o, &b);
    if (cli->json)
        jo_arr(&o);
    for (size_t i = 0; i < n; i++) {
        if (!row_wanted(name, &rows[i]))
            continue;
        shown_rows++;
        if (cli->json)
            row_json(cli, &o, &rows[i]);
        else
            row_print(cli, &b, &rows[i]);
    }
    if (!shown_rows)
        return err_set(err, RC_INVALID, "There is no setting or section \"%s\"",
                       text_terminal_line(cli->ctx, str_of(name), 60));
    if (cli->json)
        jo_end_arr(&o);
    if (cli->json)
        cli_document(cli, "settings", buf_view(&b), -1);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc check(struct cli *cli, int *ret_status, struct err *err)
{
    struct settings *set;
    struct setting_problem *problems;
    struct settings_source source = {.flags = call_values(cli->ctx, &cli->call, "set")};
    enum rc rc = settings_load(cli->ctx, &source, &set, &problems, err);
    if (rc && !set)
        return rc;
    *ret_status = rc ? EXIT_USAGE : EXIT_DONE;
    struct buf b;
    struct json_out o;
    bool exists;
    const char *file = settings_file(set, &exists);
    buf_init(&b, cli->ctx, 4 << 20);
    json_out_init(&o, &b);
    if (cli->json) {
        jo_obj(&o);
        jo_kz(&o, "file", file);
        jo_kb(&o, "exists", exists);
        jo_key(&o, "problems");
        jo_arr(&o);
    }
    for (; problems; problems = problems->next) {
        if (cli->json)
            jo_z(&o, problems->sentence);
        else
            buf_printf(&b, "%s\n", text_terminal(cli->ctx, str_of(problems->sentence)));
    }
    if (cli->json) {
        jo_end_arr(&o);
        jo_end_obj(&o);
        cli_document(cli, "config_check", buf_view(&b), *ret_status);
    } else if (rc) {
        screen_write(&cli->err, buf_view(&b));
    } else {
        cli_answerf(cli, "%s: %s\n", text_terminal(cli->ctx, str_of(file)),
                    exists ? "in order" : "not there; all defaults");
    }
    return RC_OK;
}

static enum rc path(struct cli *cli, struct err *err)
{
    bool exists;
    enum rc rc = cli_settings(cli, err);
    if (rc)
        return rc;
    const char *file = settings_file(cli->settings, &exists);
    struct buf b;
    struct json_out o;
    if (!cli->json) {
        cli_answerf(cli, "%s\n", text_terminal(cli->ctx, str_of(file)));
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "file", file);
    jo_kb(&o, "exists", exists);
    jo_end_obj(&o);
    cli_document(cli, "config_path", buf_view(&b), -1);
    return RC_OK;
}

/* The register as Markdown, for documents. */
static enum rc docs(struct cli *cli)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 1 << 20);
    settings_markdown(&b);
    if (!cli->json) {
        cli_answer(cli, buf_view(&b));
        return RC_OK;
    }
    struct str text = buf_view(&b);
    struct buf quoted;
    buf_init(&quoted, cli->ctx, 4 << 20);
    json_out_init(&o, &quoted);
    jo_obj(&o);
    jo_ks(&o, "markdown", text);
    jo_end_obj(&o);
    cli_document(cli, "config_docs", buf_view(&quoted), -1);
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    int status = EXIT_DONE;
    const char *verb = call_argument(&cli->call, 0);
    enum rc rc = !strcmp(verb, "show")    ? show(cli, &err)
                 : !strcmp(verb, "check") ? check(cli, &status, &err)
                 : !strcmp(verb, "path")  ? path(cli, &err)
                                          : docs(cli);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_config = {
    .name = "config",
    .summary = "show and check settings",
    .details = "Of rising precedence: default, file, environment (NIGHTMILL_SECTION_NAME), --set.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
