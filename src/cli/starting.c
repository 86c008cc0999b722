/* Settings of a start. */
#include "cli/starting.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum rc page_folder(struct cli *cli, const char *dir, struct err *err)
{
    char real[PATH_MAX];
    const struct setting_row *row = setting_row_find("server.ui_dir");
    if (!*dir || !realpath(dir, real))
        return err_sys(err, *dir ? errno : ENOENT, "Cannot serve a page from the folder \"%.200s\"", dir);
    if (access(mem_printf(cli->ctx, "%s/index.html", real), R_OK) != 0) {
        err_set(err, RC_INVALID, "There is no page in %.200s: index.html is missing", real);
        return err_hint(err, "build it first (npm run build in ui/) and name its folder: --ui-dir ui/dist");
    }
    setenv(setting_env_name(cli->ctx, row), real, 1);
    return RC_OK;
}

enum rc starting_hand_over(struct cli *cli, bool running, struct err *err)
{
    const char *dir = call_value(&cli->call, "ui-dir");
    if (dir && running) {
        err_set(err, RC_CONFLICT, "The daemon runs already: --ui-dir says what a start of it serves");
        return err_hint(err, "end it first: nightmill daemon stop");
    }
    const char *const *flags = call_values(cli->ctx, &cli->call, "set");
    for (size_t i = 0; !running && flags && flags[i]; i++) { /* checked by cli_settings */
        const char *equals = strchr(flags[i], '=');
        const struct setting_row *row =
            equals ? setting_row_find(mem_strn(cli->ctx, flags[i], (size_t)(equals - flags[i]))) : NULL;
        if (row)
            setenv(setting_env_name(cli->ctx, row), equals + 1, 1);
    }
    return dir ? page_folder(cli, dir, err) : RC_OK;
}
