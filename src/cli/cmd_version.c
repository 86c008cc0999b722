/* nightmill version. */
#include "cli/session.h"

static int run(struct cli *cli)
{
    if (cli->json)
        cli_document(cli, "version", STR("{\"name\":\"nightmill\",\"version\":\"" NIGHTMILL_VERSION "\"}"), -1);
    else
        cli_answerf(cli, "nightmill %s\n", NIGHTMILL_VERSION);
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .summary = "print the version",
    .run = run,
};
