/* Named agents: `agent set`, `show` and `rm`, and finding one for a task. */
#pragma once
#include "cli/session.h"
#include "ops/prepare.h"

/* The shape of prepare_wish.named; arg is the struct cli. */
enum rc named_find(void *arg, const char *name, const char *project, const struct project_agent *offer,
                   struct agent_named *ret, struct err *err);
MUST_USE enum rc named_set(struct cli *cli, struct err *err);
MUST_USE enum rc named_show(struct cli *cli, struct err *err);
MUST_USE enum rc named_remove(struct cli *cli, struct err *err);
/* Lines of those that there are, for `agent ls`; nothing without a daemon. */
void named_lines(struct cli *cli, struct buf *out);
