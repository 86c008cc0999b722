/* nightmill help: the faces of the table of commands. */
#include "base/text.h"
#include "cli/session.h"

static const struct argument arguments[] = {
    {.name = "COMMAND", .help = "the command to explain", .optional = true, .complete = COMPLETE_COMMAND},
    {0},
};
static const struct option options[] = {
    {.name = "man", .help = "the man page, as roff"},
    {.name = "completion",
     .kind = OPTION_CHOICE,
     .argument = "SHELL",
     .choices = "bash|zsh|fish",
     .help = "a completion script"},
    {.name = "markdown", .help = "all commands as Markdown"},
    {.name = "settings", .help = "the settings and the keys of nightmill.yaml as Markdown"},
    {0},
};
static const struct example examples[] = {
    {"nightmill help run", "options, examples and exit status of run"},
    {"nightmill help --completion bash > ~/.local/share/bash-completion/completions/nightmill", "completion for bash"},
    {"nightmill help --man | man -l -", "the man page"},
    {0},
};

static enum rc text_make(struct cli *cli, struct buf *out, struct err *err)
{
    const struct call *call = &cli->call;
    const char *name = call_argument(call, 0), *shell = call_value(call, "completion");
    if (shell)
        return help_completion(out, shell, err);
    if (call_has(call, "man"))
        help_man(out);
    else if (call_has(call, "markdown"))
        help_markdown(out);
    else if (call_has(call, "settings"))
        help_settings(out);
    else if (!name)
        help_overview(out);
    else if (command_find(name))
        help_command(out, command_find(name));
    else {
        const char *near = command_nearest(name);
        err_set(err, RC_INVALID, "There is no command \"%s\"", text_terminal_line(cli->ctx, str_of(name), 60));
        return err_hint(err, "%s%s", near ? "Did you mean: nightmill help " : "nightmill help lists the commands.",
                        near ? near : "");
    }
    return RC_OK;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, cli->ctx, 4 << 20);
    if (cli->json) {
        help_json(&b);
        cli_document(cli, "help", buf_view(&b), -1);
        return EXIT_DONE;
    }
    if (text_make(cli, &b, &err) != RC_OK)
        return cli_fail(cli, &err);
    cli_answer(cli, buf_view(&b));
    return EXIT_DONE;
}

const struct command command_help = {
    .name = "help",
    .summary = "explain commands; write man page and completion",
    .details = "With --json the whole table of commands is printed.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
