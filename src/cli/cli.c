/* Finds the command, takes the call apart, runs it. */
#include "cli/cli.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/session.h"
#include <stdlib.h>
#include <unistd.h>

static const char *color_wish(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            return "never";
    return "auto";
}

/* --json counts for errors too, also for those of the call itself. */
static bool json_wish(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--json"))
            return true;
    return false;
}

static int overview(struct cli *cli)
{
    struct buf b;
    buf_init(&b, cli->ctx, 1 << 20);
    help_overview(&b);
    cli_answer(cli, buf_view(&b));
    return EXIT_DONE;
}

static int command_unknown(struct cli *cli, const char *name)
{
    struct err err = {0};
    const char *near = command_nearest(name);
    err_set(&err, RC_INVALID, "There is no command \"%s\"", text_terminal_line(cli->ctx, str_of(name), 60));
    if (near)
        err_hint(&err, "Did you mean: nightmill %s", near);
    else
        err_hint(&err, "nightmill help lists the commands.");
    return cli_fail(cli, &err);
}

/* A daemon that this command starts reads the same file, from another folder. */
static void config_name(const char *config)
{
    char *absolute = realpath(config, NULL);
    setenv("NIGHTMILL_CONFIG", absolute ? absolute : config, 1);
    free(absolute);
}

static int command_run(struct cli *cli, const struct command *command, int count, char **words)
{
    struct err err = {0};
    if (call_parse(cli->ctx, command, count, words, &cli->call, &err) != RC_OK)
        return cli_fail_as(cli, &err, EXIT_USAGE);
    cli->json = call_has(&cli->call, "json");
    const char *color = call_value(&cli->call, "color"), *config = call_value(&cli->call, "config");
    if (color) {
        screen_init(&cli->out, STDOUT_FILENO, color);
        screen_init(&cli->err, STDERR_FILENO, color);
    }
    if (config)
        config_name(config);
    if (call_has(&cli->call, "help")) {
        struct buf b;
        buf_init(&b, cli->ctx, 1 << 20);
        help_command(&b, command);
        cli_answer(cli, buf_view(&b));
        return EXIT_DONE;
    }
    return command->run(cli);
}

int cli_main(int argc, char **argv)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct cli cli = {.ctx = ctx, .json = json_wish(argc, argv)};
    log_open("nightmill", LOG_ERROR);
    screen_init(&cli.out, STDOUT_FILENO, color_wish(argc, argv));
    screen_init(&cli.err, STDERR_FILENO, color_wish(argc, argv));
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return overview(&cli);
    const char *name = !strcmp(argv[1], "--version") || !strcmp(argv[1], "-V") ? "version" : argv[1];
    const struct command *command = command_find(name);
    return command ? command_run(&cli, command, argc - 2, argv + 2) : command_unknown(&cli, name);
}
