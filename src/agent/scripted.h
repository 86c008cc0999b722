/* A model server with a script, for trying agents out: it answers in every dialect, asks once for the agent's own shell
 * tool to be called, and says that all is done when the result is there. Private to this room.
 *
 * It runs in a process of its own, forked off one with a single thread, and counts into memory that both see. */
#pragma once
#include "base/err.h"
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum { SCRIPTED_HOSTS = 16, SCRIPTED_HOST_MAX = 100 };
struct scripted_counts {
    atomic_llong requests; /* for answers of a model */
    atomic_llong calls;    /* answers that asked for the tool */
    atomic_llong input, output;
    atomic_llong first_ns; /* monotonic, of the first request; 0: none */
    /* What was asked for at the second listener, each once: "host:port" or "host", no control bytes. Read it after the
     * end of whoever asks. */
    char hosts[SCRIPTED_HOSTS][SCRIPTED_HOST_MAX];
};
struct scripted;
/* command: what the agent's shell tool is asked to run. listener: bound and listening; stays the caller's. outside: a
 * second one that is taken for an HTTP proxy: it notes which hosts are asked for and refuses them all; -1: none. */
MUST_USE enum rc scripted_start(int listener, int outside, const char *command, struct scripted **ret, struct err *err);
const struct scripted_counts *scripted_counts(const struct scripted *s);
struct scripted *scripted_stop(struct scripted *s); /* NULL is fine; returns NULL */
