/* Which role this process has. Everything else is at home in a room. */
#include "cli/cli.h"
#include "main/role.h"
#include <string.h>

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} roles[] = {
    {"keeper", role_keeper}, {"server", role_server},  {"runner", role_runner},
    {"proxy", role_proxy},   {"terminal", role_shell}, {"machine", role_machine},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(argv[1], roles[i].name) == 0)
            return roles[i].main(argc, argv);
    }
    return cli_main(argc, argv);
}
