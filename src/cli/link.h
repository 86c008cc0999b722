/* Links into the web page of the daemon, as people open them: at which address, and how from another machine. */
#pragma once
#include "cli/session.h"

/* The first address that the daemon listens at, as a browser writes it. RC_UNAVAILABLE: it has none. In cli->ctx. */
MUST_USE enum rc link_address(struct cli *cli, const char **ret, struct err *err);
/* "ssh -L 8098:127.0.0.1:8098 ada@host"; NULL when the address is not one of loopback, which can be reached as it is.
 */
const char *link_ssh(mem *ctx, const char *address);
/* A fresh link that makes the first owner: address and path. RC_CONFLICT: there is an owner. In cli->ctx. */
MUST_USE enum rc link_setup(struct cli *cli, const char **ret_address, const char **ret_link, struct err *err);
/* Says on standard error how a link is used. */
void link_explain(struct cli *cli, const char *address);
