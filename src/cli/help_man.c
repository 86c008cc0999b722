/* The man page nightmill(1), in man(7) macros. */
#include "cli/command.h"
#include "conf/setting.h"

/* Text as roff takes it literally: no request at a line's start, no escape, minus signs that can be copied. */
static void roff_add(struct buf *out, const char *text)
{
    bool start = !out->n || out->p[out->n - 1] == '\n';
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            buf_z(out, "\\&");
        if (*text == '\\')
            buf_z(out, "\\e");
        else if (*text == '-')
            buf_z(out, "\\-");
        else if (*text == '"')
            buf_z(out, "\\(dq");
        else
            buf_char(out, *text);
        start = *text == '\n';
    }
}

static void roff_line(struct buf *out, const char *text)
{
    roff_add(out, text);
    buf_char(out, '\n');
}

/* A term and its meaning. */
static void roff_term(struct buf *out, const char *term, const char *words)
{
    buf_z(out, ".TP\n\\fB");
    roff_add(out, term);
    buf_z(out, "\\fR\n");
    roff_line(out, words);
}

static void roff_options(mem *ctx, struct buf *out, const struct option *o)
{
    for (; o && o->name; o++) {
        char letter[3] = {'-', o->letter, '\0'};
        const char *term = mem_printf(ctx, "%s%s--%s%s%s", o->letter ? letter : "", o->letter ? ", " : "", o->name,
                                      o->argument ? " " : "", o->argument ? o->argument : "");
        roff_term(out, term,
                  mem_printf(ctx, "%s%s%s%s.", o->help, o->choices ? "; one of " : "", o->choices ? o->choices : "",
                             o->repeat ? "; may be repeated" : ""));
    }
}

static void roff_command(mem *ctx, struct buf *out, const struct command *c)
{
    buf_z(out, ".SS ");
    roff_line(out, command_usage(ctx, c));
    roff_line(out, mem_printf(ctx, "%s.", c->summary));
    if (c->details) {
        buf_z(out, ".PP\n");
        roff_line(out, c->details);
    }
    for (const struct argument *a = c->arguments; a && a->name; a++)
        roff_term(out, a->name, mem_printf(ctx, "%s.", a->help));
    roff_options(ctx, out, c->options);
    for (const struct example *e = c->examples; e && e->line; e++) {
        buf_z(out, ".PP\n.EX\n");
        roff_line(out, e->line);
        buf_z(out, ".EE\n");
        roff_line(out, e->words);
    }
}

static void roff_status(struct buf *out, int status, const char *words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    roff_term(out, mem_printf(tmp, "%d", status), mem_printf(tmp, "%s.", words));
}

static void roff_settings(mem *ctx, struct buf *out)
{
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    for (size_t i = 0; i < n; i++) {
        const char *standard = *rows[i].standard ? mem_printf(ctx, " Default: %s.", rows[i].standard) : "";
        roff_term(out, rows[i].name,
                  mem_printf(ctx, "%s%s Environment: %s.", rows[i].help, standard, setting_env_name(ctx, &rows[i])));
    }
}

void help_man(struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n;
    const struct command *const *all = commands_all(&n);
    buf_printf(out, ".TH NIGHTMILL 1 \"\" \"nightmill %s\" \"User commands\"\n", NIGHTMILL_VERSION);
    buf_z(out, ".SH NAME\nnightmill \\- makes a described change and proves it by the project\\(aqs own checks\n"
               ".SH SYNOPSIS\n.B nightmill\n.I COMMAND\n[options]\n.SH DESCRIPTION\n");
    roff_line(out,
              "A person describes a change; coding agents work in a sandbox in a loop until the project's own checks "
              "pass where the agent cannot reach them; the change is committed and its cost is shown.");
    buf_z(out, ".PP\n");
    roff_line(out,
              "The first command starts a daemon in the background; all commands are its clients. It is the only owner "
              "of the database and the only road to the model. Tasks go on when a command ends.");
    buf_z(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < n; i++)
        roff_command(tmp, out, all[i]);
    buf_z(out, ".SH OPTIONS OF ALL COMMANDS\n");
    roff_options(tmp, out, options_common);
    buf_z(out, ".SH EXIT STATUS\n");
    help_statuses(out, roff_status);
    buf_z(out, ".SH SETTINGS\n");
    roff_line(out, "Of rising precedence: default, file, environment, --set.");
    roff_settings(tmp, out);
    buf_z(out, ".SH FILES\n");
    roff_term(out, "~/.config/nightmill/config.yaml, /etc/nightmill/config.yaml", "Settings of a user; of root.");
    roff_term(out, "nightmill.yaml",
              "What a project says about itself: checks, setup, protected paths, hooks, limits.");
    buf_z(out, ".SH ENVIRONMENT\n");
    roff_term(out, "ANTHROPIC_API_KEY, OPENAI_API_KEY, NIGHTMILL_MODEL_KEY",
              "Keys of model servers. They are handed to the daemon, which keeps them in memory.");
    roff_term(out, "NIGHTMILL_MODEL_URL", "Address of an OpenAI-compatible server.");
    roff_term(out, "NIGHTMILL_CONFIG", "The file of settings to read.");
    roff_term(out, "NO_COLOR", "No colours.");
}
