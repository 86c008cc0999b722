/* Completion scripts. Options and commands are written into them; names of tasks are asked for with `ls --ids`, which
 * does not start a daemon. */
#include "cli/command.h"

static bool completes_task(const struct command *c)
{
    return c->arguments && c->arguments->name && c->arguments->complete == COMPLETE_TASK;
}

static void options_list(struct buf *out, const struct option *o)
{
    for (; o && o->name; o++)
        buf_printf(out, " --%s", o->name);
}

static void choices_list(struct buf *out, const char *choices)
{
    struct str rest = str_of(choices), one;
    while (str_next(&rest, '|', &one))
        buf_printf(out, " %.*s", STR_FMT(one));
}

/* Words that may stand where the first argument stands, space before each. */
static void words_list(struct buf *out, const struct command *c)
{
    size_t n;
    const struct command *const *all = commands_all(&n);
    if (c->arguments && c->arguments->choices)
        choices_list(out, c->arguments->choices);
    if (c->arguments && c->arguments->name && c->arguments->complete == COMPLETE_COMMAND)
        for (size_t i = 0; i < n; i++)
            buf_printf(out, " %s", all[i]->name);
}

/* --- bash -------------------------------------------------------------------------------------------------------- */

static void bash_values(struct buf *out, const struct command *c)
{
    const struct option *tables[] = {c->options, options_common};
    for (size_t t = 0; t < 2; t++) {
        for (const struct option *o = tables[t]; o && o->name; o++) {
            if (o->kind == OPTION_SWITCH)
                continue;
            buf_printf(out, "        %s:--%s) COMPREPLY=($(compgen ", c->name, o->name);
            if (o->choices) {
                buf_z(out, "-W '");
                choices_list(out, o->choices);
                buf_z(out, "'");
            } else {
                buf_z(out, "-f");
            }
            buf_z(out, " -- \"$cur\")); return ;;\n");
        }
    }
}

static void bash_write(struct buf *out)
{
    size_t n;
    const struct command *const *all = commands_all(&n);
    buf_z(out,
          "# bash completion for nightmill\n"
          "_nightmill() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, " %s", all[i]->name);
    buf_z(out, "' -- \"$cur\"))\n        return\n    fi\n    case $command:$prev in\n");
    for (size_t i = 0; i < n; i++)
        bash_values(out, all[i]);
    buf_z(out, "    esac\n    case $command in\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "        %s) words='", all[i]->name);
        words_list(out, all[i]);
        options_list(out, all[i]->options);
        options_list(out, options_common);
        buf_z(out, "'");
        if (completes_task(all[i]))
            buf_z(out, "; [ \"$COMP_CWORD\" -eq 2 ] && words+=\" $(nightmill ls --ids 2>/dev/null)\"");
        buf_z(out, " ;;\n");
    }
    buf_z(
        out,
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _nightmill nightmill\n");
}

/* --- zsh --------------------------------------------------------------------------------------------------------- */

/* Inside single quotes of an _arguments specification: quotes, brackets and colons mean something. */
static void zsh_words(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_z(out, "'\\''");
        else {
            if (strchr("[]:\\", *text))
                buf_char(out, '\\');
            buf_char(out, *text);
        }
    }
}

static void zsh_options(struct buf *out, const struct option *o)
{
    for (; o && o->name; o++) {
        buf_printf(out, "                '%s--%s%s[", o->repeat ? "*" : "", o->name, o->argument ? "=" : "");
        zsh_words(out, o->help);
        buf_z(out, "]");
        if (o->argument) {
            buf_printf(out, ":%s:", o->argument);
            if (o->choices) {
                buf_z(out, "(");
                choices_list(out, o->choices);
                buf_z(out, ")");
            } else {
                buf_z(out, "_files");
            }
        }
        buf_z(out, "' \\\n");
    }
}

static void zsh_write(struct buf *out)
{
    size_t n;
    const struct command *const *all = commands_all(&n);
    buf_z(out,
          "#compdef nightmill\n# zsh completion for nightmill\n"
          "_nightmill_tasks() { local -a ids; ids=(${(f)\"$(nightmill ls --ids 2>/dev/null)\"}); compadd -a ids }\n"
          "_nightmill() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "        '%s:", all[i]->name);
        zsh_words(out, all[i]->summary);
        buf_z(out, "'\n");
    }
    buf_z(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
               "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    for (size_t i = 0; i < n; i++) {
        const struct argument *a = all[i]->arguments;
        buf_printf(out, "        %s)\n            _arguments \\\n", all[i]->name);
        zsh_options(out, all[i]->options);
        zsh_options(out, options_common);
        if (a && a->name && completes_task(all[i])) {
            buf_z(out, "                '1:task:_nightmill_tasks' \\\n");
        } else if (a && a->name && (a->choices || a->complete == COMPLETE_COMMAND)) {
            buf_printf(out, "                '1:%s:(", a->name);
            words_list(out, all[i]);
            buf_z(out, ")' \\\n");
        }
        buf_z(out, "                '*::argument:_default' ;;\n");
    }
    buf_z(out, "    esac\n}\n_nightmill \"$@\"\n");
}

/* --- fish -------------------------------------------------------------------------------------------------------- */

static void fish_quoted(struct buf *out, const char *text)
{
    buf_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_char(out, '\\');
        buf_char(out, *text);
    }
    buf_char(out, '\'');
}

static void fish_options(struct buf *out, const char *condition, const struct option *o)
{
    for (; o && o->name; o++) {
        buf_printf(out, "complete -c nightmill -n '%s' -l %s", condition, o->name);
        if (o->letter)
            buf_printf(out, " -s %c", o->letter);
        if (o->argument)
            buf_z(out, " -r");
        if (o->choices) {
            buf_z(out, " -f -a '");
            choices_list(out, o->choices);
            buf_char(out, '\'');
        }
        buf_z(out, " -d ");
        fish_quoted(out, o->help);
        buf_char(out, '\n');
    }
}

static void fish_write(struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n;
    const struct command *const *all = commands_all(&n);
    buf_z(out, "# fish completion for nightmill\ncomplete -c nightmill -f\n");
    for (size_t i = 0; i < n; i++) {
        const char *condition = mem_printf(tmp, "__fish_seen_subcommand_from %s", all[i]->name);
        struct buf words;
        buf_init(&words, tmp, 65536);
        words_list(&words, all[i]);
        buf_printf(out, "complete -c nightmill -n __fish_use_subcommand -a %s -d ", all[i]->name);
        fish_quoted(out, all[i]->summary);
        buf_char(out, '\n');
        fish_options(out, condition, all[i]->options);
        if (completes_task(all[i]))
            buf_printf(out, "complete -c nightmill -n '%s' -a '(nightmill ls --ids 2>/dev/null)'\n", condition);
        if (words.n)
            buf_printf(out, "complete -c nightmill -n '%s' -a '%s'\n", condition, buf_view(&words).p);
    }
    fish_options(out, "not __fish_use_subcommand", options_common);
}

enum rc help_completion(struct buf *out, const char *shell, struct err *err)
{
    static const struct {
        const char *name;
        void (*write)(struct buf *out);
    } shells[] = {{"bash", bash_write}, {"zsh", zsh_write}, {"fish", fish_write}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].name, shell))
            continue;
        shells[i].write(out);
        return RC_OK;
    }
    return err_set(err, RC_INVALID, "There is completion for bash, zsh and fish, not for %s", shell);
}
