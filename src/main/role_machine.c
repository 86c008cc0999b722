/* Role "machine": one look at the machine, written down for the server. Started by the keeper, ends at once. */
#include "base/log.h"
#include "main/role.h"
#include "ops/machine.h"
#include <stdlib.h>

int role_machine(int argc, char **argv)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err = {0};
    log_open("machine", LOG_INFO);
    if (argc != 4)
        return 2;
    enum rc rc = machine_look(ctx, argv[2], argv[3], &err);
    if (rc != RC_OK)
        log_err(&err, "what was seen of the machine could not be written down");
    return rc_exit_code(rc);
}
