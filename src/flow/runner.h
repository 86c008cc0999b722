/* The runner: the process that drives one task through the loop.
 *
 * Straight-line, blocking code. Each step is journaled before the next begins (journal.h), so that a runner that starts
 * after a crash, a pause or an answer finds the first step without an entry and goes on there. The runner holds no key
 * and no database: it asks models through the daemon's gateway and reports events over its link. It ends when the task
 * rests (needs you, paused) or is final; the server starts another one when there is something to do. */
#pragma once
#include "base/err.h"

struct runner_place {
    const char *data_dir; /* absolute */
    const char *task_id;
    const char *token;       /* of this run: for the link and the gateway */
    const char *link_socket; /* <data>/run/runner.sock */
    const char *api_socket;  /* <data>/run/nightmill.sock */
};
enum {
    RUNNER_EXIT_DONE = 0,   /* the task rests or is final, all events are in the database */
    RUNNER_EXIT_FAILED = 1, /* could not go on; start again later */
    RUNNER_EXIT_BUSY = 75,  /* another runner has this task */
};
int runner_main(const struct runner_place *place);
