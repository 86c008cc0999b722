/* Following a task until it rests: its events as lines, one status line on a terminal, Ctrl-C.
 *
 * A daemon that is killed is waited for or started again, and the stream goes on behind the last event seen; one that
 * was stopped on purpose is not started again. Leaving never stops the task unless the person says so. */
#pragma once
#include "cli/session.h"

/* From behind event `after` on. Prints the summary (or the JSON document) at the end. Returns the exit status. */
int follow_task(struct cli *cli, const char *id, int64_t after);
/* Blocks SIGINT and SIGTERM for follow_task, so that none is lost between the request and the following. */
void follow_prepare(void);
