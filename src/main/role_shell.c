/* Role "terminal": one terminal session of a task; finds the run's token and hands over. */
#include "base/log.h"
#include "flow/shell.h"
#include "main/role.h"
#include "os/path.h"

int role_shell(int argc, char **argv)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err = {0};
    struct str token;
    int64_t scrollback;
    log_open("terminal", LOG_INFO);
    if (argc != 6 || !str_int(str_of(argv[5]), 4096, 1 << 30, &scrollback))
        return 2;
    const char *data = argv[2], *task = argv[3];
    if (path_slurp(ctx, mem_printf(ctx, "%s/tasks/%s/token", data, task), 256, &token, &err) != RC_OK) {
        log_err(&err, "could not start");
        return 1;
    }
    struct shell_place place = {.data_dir = data,
                                .task_id = task,
                                .session = argv[4],
                                .token = str_dup(ctx, token),
                                .link_socket = mem_printf(ctx, "%s/run/runner.sock", data),
                                .scrollback = (size_t)scrollback};
    log_censor(place.token);
    return shell_main(&place);
}
