/* The shell: the process of one terminal session of a task. It opens a sandbox like the agent's, runs a shell there on
 * a terminal of the sandbox's own, keeps what was shown, and talks to the server by frames (os/frame.h).
 *
 * The keeper starts it when somebody opens the terminal. It outlives the server and comes back to the next one; it ends
 * with its shell, when it was idle for long, by order, or when no server came for SHELL_ALONE_MS. Everything inside
 * ends with it.
 *
 * Files: the task's workspace. While a runner works on the task they are read-only, so that nothing here changes what
 * is being recorded or judged; while the task rests or has ended they may be written. <task>/files.lock says who has
 * them: shells that write hold it shared, the runner holds it alone. When the task goes on, the server says so
 * ("yield"), what ran here is ended, and the session goes on with the files read-only. There is no network.
 *
 * Frames. A payload that begins with '{' is a JSON object; 'o' and 'i' before bytes: output, input.
 * shell: {"shell":{"task","session","token","pid","begin","end","ready","files"}} first of all: which positions of the
 *        stream are there. o<bytes>. {"ready":{"files":"writable"|"read-only"}}
 *        {"exit":{"code","signal","reason","words"}} last of all
 * server: {"welcome":{"from","spec","rows","columns","idle_s"}}, {"refused":{"title"}}, {"resize":{"rows","columns"}},
 *         {"ack":POSITION} (what lies more than SHELL_WINDOW behind it is not sent yet), i<bytes>, {"yield":{}},
 *         {"end":{}}
 * Threads: main thread of a small process. */
#pragma once
#include "base/err.h"
#include "base/mem.h"

enum {
    SHELL_WINDOW = 256 << 10,
    SHELL_ALONE_MS = 60000,
    SHELL_EXIT_BUSY = 75, /* another process has this session */
};
struct shell_place {
    const char *data_dir, *task_id;
    const char *session; /* "1", ... */
    const char *token;   /* of the task's run */
    const char *link_socket;
    size_t scrollback;
};
/* Returns when the session has ended: the exit status of the process. */
int shell_main(const struct shell_place *place);
