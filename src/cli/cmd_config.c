/* nightmill config: settings with their origin, and what is wrong with them. */
#include "base/text.h"
#include "cli/session.h"
#include <stdio.h>
#include <stdlib.h>

static const struct argument arguments[] = {
    {.name = "VERB",
     .help =
         "show settings, set or unset one, its history, revert a change; check all, the file's path, a table of all",
     .choices = "show|set|unset|history|revert|check|path|docs"},
    {.name = "NAME", .help = "a setting; of show: or a section; of revert: the change's number", .optional = true},
    {.name = "VALUE", .help = "of set: as in the file; - reads it from standard input", .optional = true},
    {0},
};
static const struct example examples[] = {
    {"nightmill config show limits", "the limits, each with its origin"},
    {"nightmill config set limits.turns 80", "for this installation, below file and environment"},
    {"nightmill config history limits.turns", "who changed it, when, from what to what"},
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

/* ---- values in the daemon's database ---- */

static const char *setting_path(mem *ctx, const char *name)
{
    return mem_printf(ctx, "/api/v1/settings/%s", text_url(ctx, str_of(name)));
}

static void setting_told(struct cli *cli, struct json s)
{
    mem *ctx = cli->ctx;
    if (cli->json) {
        cli_document(cli, "setting", json_raw(s), -1);
        return;
    }
    const char *value = json_bool(json_get(s, "secret"), false)
                            ? json_bool(json_get(s, "is_set"), false) ? "(secret)" : ""
                            : shown_line(ctx, s, "value", 300);
    cli_answerf(cli, "%s %s\n", shown_line(ctx, s, "name", 100), *value ? value : "-");
    if (json_bool(json_get(s, "pending"), false))
        cli_say(cli, "It holds from the daemon's next start on: nightmill daemon stop");
    else
        cli_say(cli, "Applies: %s.", shown_line(ctx, s, "applies", 40));
}

/* The first line of standard input, so that a secret stands in no list of processes and no shell's history. */
static enum rc value_given(struct cli *cli, const char **ret, struct err *err)
{
    const char *value = call_argument(&cli->call, 2);
    char line[16385];
    if (!value) {
        err_set(err, RC_INVALID, "To what?");
        return err_hint(err, "nightmill config set NAME VALUE");
    }
    *ret = value;
    if (strcmp(value, "-") != 0)
        return RC_OK;
    if (!fgets(line, sizeof line, stdin))
        return err_set(err, RC_INVALID, "There is no value on standard input");
    *ret = str_dup(cli->ctx, str_trim(str_of(line)));
    explicit_bzero(line, sizeof line);
    return RC_OK;
}

static enum rc name_given(struct cli *cli, const char **ret, struct err *err)
{
    *ret = call_argument(&cli->call, 1);
    if (*ret)
        return RC_OK;
    err_set(err, RC_INVALID, "Which setting?");
    return err_hint(err, "nightmill config show lists them");
}

static enum rc set_value(struct cli *cli, struct err *err)
{
    const char *name, *value = NULL;
    struct buf b;
    struct json_out o;
    struct json answer;
    enum rc rc = name_given(cli, &name, err);
    rc = rc ? rc : value_given(cli, &value, err);
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 1 << 17);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "value", value);
    jo_end_obj(&o);
    rc = cli_ask(cli, "PUT", setting_path(cli->ctx, name), buf_view(&b), &answer, err);
    if (!rc)
        setting_told(cli, answer);
    return rc;
}

static enum rc unset_value(struct cli *cli, struct err *err)
{
    const char *name;
    struct json answer;
    enum rc rc = name_given(cli, &name, err);
    if (!rc)
        rc = cli_ask(cli, "DELETE", setting_path(cli->ctx, name), STR(""), &answer, err);
    if (!rc)
        setting_told(cli, answer);
    return rc;
}

static void change_line(struct cli *cli, struct json c, struct buf *b)
{
    mem *ctx = cli->ctx;
    const char *from = json_is(json_get(c, "from")) ? shown_line(ctx, c, "from", 60) : "default",
               *to = json_is(json_get(c, "to")) ? shown_line(ctx, c, "to", 60) : "default";
    buf_printf(b, cli->out.live ? "%-6lld %-25s %-16s %-27s %s -> %s\n" : "%lld\t%s\t%s\t%s\t%s\t%s\n",
               (long long)json_int(json_get(c, "id"), 0), shown_line(ctx, c, "at", 40), shown_line(ctx, c, "by", 60),
               shown_line(ctx, c, "name", 60), from, to);
}

static enum rc history(struct cli *cli, struct err *err)
{
    const char *name = call_argument(&cli->call, 1), *path = "/api/v1/settings/history";
    struct json answer;
    struct buf b;
    if (name)
        path = mem_printf(cli->ctx, "%s?name=%s", path, text_url(cli->ctx, str_of(name)));
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "setting_history", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "changes")); json_next(&it);)
        change_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "Nothing was changed here. File and environment have no history: nightmill config show");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc revert(struct cli *cli, struct err *err)
{
    const char *number = call_argument(&cli->call, 1);
    int64_t id;
    struct json answer;
    if (!number || !str_int(str_of(number), 1, INT64_MAX, &id)) {
        err_set(err, RC_INVALID, "Which change? Its number");
        return err_hint(err, "nightmill config history lists them");
    }
    enum rc rc = cli_ask(cli, "POST", "/api/v1/settings/revert",
                         str_of(mem_printf(cli->ctx, "{\"id\":%lld}", (long long)id)), &answer, err);
    if (!rc)
        setting_told(cli, answer);
    return rc;
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
    enum rc rc = !strcmp(verb, "show")      ? show(cli, &err)
                 : !strcmp(verb, "set")     ? set_value(cli, &err)
                 : !strcmp(verb, "unset")   ? unset_value(cli, &err)
                 : !strcmp(verb, "history") ? history(cli, &err)
                 : !strcmp(verb, "revert")  ? revert(cli, &err)
                 : !strcmp(verb, "check")   ? check(cli, &status, &err)
                 : !strcmp(verb, "path")    ? path(cli, &err)
                                            : docs(cli);
    return rc ? cli_fail(cli, &err) : status;
}

const struct command command_config = {
    .name = "config",
    .summary = "show, check and change settings",
    .details = "Of rising precedence: default, what was set here or on the web page (in the daemon's database), file, "
               "environment (NIGHTMILL_SECTION_NAME), --set.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};
