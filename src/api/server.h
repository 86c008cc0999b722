/* The server: a main loop with the API, a gateway, the lines of the runners and the schedule; further loops, each with
 * a gateway and nothing else (loops.h); sole owner of the database.
 *
 * It is started by the keeper, which holds the listening sockets, starts runners on request and reports their ends over
 * a socket pair (frames, os/frame.h): server: {"start":{"task"}}  {"credentials":{...}}  {"stop":{}}      keeper:
 * {"started":{"task","pid"}}  {"exited":{"task","pid","status"}}  {"credentials":{...}} When the keeper is gone the
 * server ends. */
#pragma once
#include "base/err.h"
#include "conf/setting.h"
#include "net/address.h"

enum { LOOPS_MOST = 16 };
/* A TCP address of the settings. */
struct server_listener {
    const char *url;     /* "https://127.0.0.1:8098" with the port that it got */
    int fds[LOOPS_MOST]; /* inherited, one a loop; the first -1: the keeper could not have it */
    const char *problem;
};
struct server_place {
    const char *data_dir;
    int keeper_fd, api_fd, link_fd; /* inherited */
    int keeper_pid;
    struct settings *settings;
    size_t loops; /* at least 1 */
    struct server_listener listeners[ADDRESSES_MOST];
    size_t listener_count;
};
/* Runs until it is told to stop; the process's exit code. */
int server_main(const struct server_place *place);
