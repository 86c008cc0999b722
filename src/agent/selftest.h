/* Trying an agent out on this machine: a small task in a sandbox of its own, whose only way out leads to a scripted
 * model server. No key, no provider, no daemon. Threads: main thread of a process with one thread. */
#pragma once
#include "agent/install.h"

struct selftest_report {
    bool file_made;                  /* the task was to write a file by the agent's shell tool */
    bool usage_known;                /* the agent reports tokens */
    bool usage_equal;                /* and they are those of the server */
    int processes;                   /* left running when its main process had ended; all are gone by now */
    int64_t requests;                /* of models */
    int64_t input, output;           /* tokens that the server counted */
    int64_t said_input, said_output; /* that the agent counted */
    int64_t first_ms, all_ms;        /* to the first request (-1: none), to the end */
    enum backend_outcome outcome;
    const char *words;        /* why that outcome */
    const char *session;      /* NULL: none was said */
    const char *const *hosts; /* names that it asked for beside its model, NULL-terminated; all were refused */
    const char *output_tail;  /* of standard error, one line; "" when there was none */
};
/* In ctx. RC_OK whatever the agent did; RC_INVALID for backends without a program of their own; else what kept the test
 * from being made. */
MUST_USE enum rc selftest_run(mem *ctx, const char *data_dir, const struct backend *backend,
                              const struct install_place *place, int timeout_ms, struct selftest_report *ret,
                              struct err *err);
