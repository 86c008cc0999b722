/* Role "runner": finds its run token and hands over to the loop. */
#include "base/log.h"
#include "flow/runner.h"
#include "main/role.h"
#include "os/path.h"
#include <signal.h>

int role_runner(int argc, char **argv)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err = {0};
    struct str token;
    log_open("runner", LOG_INFO);
    if (argc != 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    const char *data = argv[2], *task = argv[3];
    if (path_slurp(ctx, mem_printf(ctx, "%s/tasks/%s/token", data, task), 256, &token, &err) != RC_OK) {
        log_err(&err, "could not start");
        return RUNNER_EXIT_FAILED;
    }
    struct runner_place place = {.data_dir = data,
                                 .task_id = task,
                                 .token = str_dup(ctx, token),
                                 .link_socket = mem_printf(ctx, "%s/run/runner.sock", data),
                                 .api_socket = mem_printf(ctx, "%s/run/nightmill.sock", data)};
    log_censor(place.token);
    return runner_main(&place);
}
