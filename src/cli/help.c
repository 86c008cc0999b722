/* Help for people: the overview, one command, Markdown, JSON. The man page is help_man.c, completion help_completion.c.
 */
#include "base/text.h"
#include "cli/command.h"
#include "conf/project.h"

static const struct {
    int status;
    const char *words;
} statuses[] = {
    {EXIT_DONE, "done; for tasks: proven by the checks"},
    {EXIT_FAILED, "failure"},
    {EXIT_USAGE, "wrong usage or input"},
    {EXIT_NOT_GREEN, "finished, checks not green or nothing proven"},
    {EXIT_NEEDS_YOU, "a person is needed"},
    {EXIT_LIMIT, "a limit was reached"},
    {EXIT_UNREACHABLE, "the daemon cannot be reached"},
    {EXIT_CONFIG, "the configuration is wrong (daemon run)"},
    {EXIT_INTERRUPTED, "interrupted or stopped"},
};

void help_overview(struct buf *out)
{
    size_t n;
    const struct command *const *all = commands_all(&n);
    buf_z(out,
          "Nightmill makes a described change in a sandbox, loops until the project's own checks pass where the agent\n"
          "cannot reach them, commits it, and shows what it cost.\n\n"
          "  nightmill run \"Add a --json flag to the report command\" --check 'make test' --budget 2.00\n\n"
          "Commands:\n");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "  %-8s  %s\n", all[i]->name, all[i]->summary);
    buf_z(out, "\nnightmill help COMMAND tells more. Every command has --json.\n");
}

/* "-n, --limit N". */
static char *option_shown(mem *ctx, const struct option *o)
{
    char letter[8] = "";
    if (o->letter)
        letter[0] = '-', letter[1] = o->letter, letter[2] = ',', letter[3] = ' ';
    return mem_printf(ctx, "%s--%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
}

static char *choices_shown(mem *ctx, const struct option *o)
{
    if (!o->choices)
        return mem_str(ctx, "");
    char *words = mem_str(ctx, o->choices);
    for (char *p = words; *p; p++)
        if (*p == '|')
            *p = ',';
    return mem_printf(ctx, " (%s)", words);
}

static void options_add(mem *ctx, struct buf *out, const struct option *o)
{
    for (; o && o->name; o++)
        buf_printf(out, "  %-26s %s%s%s\n", option_shown(ctx, o), o->help, choices_shown(ctx, o),
                   o->repeat ? "; may be repeated" : "");
}

void help_command(struct buf *out, const struct command *c)
{
    CLEANUP_MEM mem *tmp = mem_root();
    buf_printf(out, "nightmill %s: %s\n\nUsage: %s\n", c->name, c->summary, command_usage(tmp, c));
    if (c->examples && c->examples->line)
        buf_z(out, "\nExamples:\n");
    for (const struct example *e = c->examples; e && e->line; e++)
        buf_printf(out, "  %s\n      %s\n", e->line, e->words);
    if (c->details)
        buf_printf(out, "\n%s\n", c->details);
    if (c->arguments && c->arguments->name)
        buf_z(out, "\nArguments:\n");
    for (const struct argument *a = c->arguments; a && a->name; a++)
        buf_printf(out, "  %-26s %s\n", a->name, a->help);
    if (c->options && c->options->name)
        buf_z(out, "\nOptions:\n");
    options_add(tmp, out, c->options);
    buf_z(out, "\nOf all commands:\n");
    options_add(tmp, out, options_common);
}

/* --- Markdown ---------------------------------------------------------------------------------------------------- */

static void markdown_options(mem *ctx, struct buf *out, const struct option *o)
{
    for (; o && o->name; o++)
        buf_printf(out, "- `%s`: %s%s%s\n", option_shown(ctx, o), o->help, choices_shown(ctx, o),
                   o->repeat ? "; may be repeated" : "");
}

static void markdown_command(mem *ctx, struct buf *out, const struct command *c)
{
    buf_printf(out, "\n## nightmill %s\n\n%s.\n\n    %s\n\n", c->name, c->summary, command_usage(ctx, c));
    if (c->details)
        buf_printf(out, "%s\n\n", c->details);
    for (const struct argument *a = c->arguments; a && a->name; a++)
        buf_printf(out, "- `%s`: %s\n", a->name, a->help);
    markdown_options(ctx, out, c->options);
    if (c->examples && c->examples->line)
        buf_z(out, "\nExamples:\n\n");
    for (const struct example *e = c->examples; e && e->line; e++)
        buf_printf(out, "    %s\n        %s\n", e->line, e->words);
}

void help_markdown(struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n;
    const struct command *const *all = commands_all(&n);
    buf_z(out, "# The command line\n\n| command | what it does |\n|---|---|\n");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "| `nightmill %s` | %s |\n", all[i]->name, all[i]->summary);
    buf_z(out, "\nOf all commands:\n\n");
    markdown_options(tmp, out, options_common);
    buf_z(out, "\n| exit status | meaning |\n|---|---|\n");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        buf_printf(out, "| %d | %s |\n", statuses[i].status, statuses[i].words);
    for (size_t i = 0; i < n; i++)
        markdown_command(tmp, out, all[i]);
}

void help_settings(struct buf *out)
{
    buf_z(out, "# Settings\n\n");
    settings_markdown(out);
    buf_z(out, "\n# nightmill.yaml\n\n");
    project_markdown(out);
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

static void json_options(struct json_out *o, const struct option *option)
{
    static const char *const kinds[] = {
        [OPTION_SWITCH] = "switch",   [OPTION_TEXT] = "text",         [OPTION_COUNT] = "count",
        [OPTION_MONEY] = "money",     [OPTION_DURATION] = "duration", [OPTION_CHOICE] = "choice",
        [OPTION_CHOICES] = "choices", [OPTION_FACTOR] = "factor",
    };
    jo_arr(o);
    for (; option && option->name; option++) {
        jo_obj(o);
        jo_kz(o, "name", option->name);
        jo_ks(o, "letter", str_n(&option->letter, option->letter ? 1 : 0));
        jo_kz(o, "kind", kinds[option->kind]);
        jo_kz(o, "argument", option->argument);
        jo_kz(o, "choices", option->choices);
        jo_kb(o, "repeat", option->repeat);
        jo_kz(o, "help", option->help);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void json_command(mem *ctx, struct json_out *o, const struct command *c)
{
    jo_obj(o);
    jo_kz(o, "name", c->name);
    jo_kz(o, "summary", c->summary);
    jo_kz(o, "usage", command_usage(ctx, c));
    jo_kz(o, "details", c->details);
    jo_key(o, "arguments");
    jo_arr(o);
    for (const struct argument *a = c->arguments; a && a->name; a++) {
        jo_obj(o);
        jo_kz(o, "name", a->name);
        jo_kz(o, "help", a->help);
        jo_kb(o, "optional", a->optional);
        jo_kb(o, "repeat", a->repeat);
        jo_kz(o, "choices", a->choices);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_key(o, "options");
    json_options(o, c->options);
    jo_key(o, "examples");
    jo_arr(o);
    for (const struct example *e = c->examples; e && e->line; e++) {
        jo_obj(o);
        jo_kz(o, "line", e->line);
        jo_kz(o, "words", e->words);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
}

void help_json(struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n;
    const struct command *const *all = commands_all(&n);
    struct json_out o;
    json_out_init(&o, out);
    jo_obj(&o);
    jo_kz(&o, "version", NIGHTMILL_VERSION);
    jo_key(&o, "options");
    json_options(&o, options_common);
    jo_key(&o, "exit_statuses");
    jo_arr(&o);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        jo_obj(&o);
        jo_ki(&o, "status", statuses[i].status);
        jo_kz(&o, "meaning", statuses[i].words);
        jo_end_obj(&o);
    }
    jo_end_arr(&o);
    jo_key(&o, "commands");
    jo_arr(&o);
    for (size_t i = 0; i < n; i++)
        json_command(tmp, &o, all[i]);
    jo_end_arr(&o);
    jo_end_obj(&o);
}

void help_statuses(struct buf *out, void (*row)(struct buf *out, int status, const char *words))
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        row(out, statuses[i].status, statuses[i].words);
}
