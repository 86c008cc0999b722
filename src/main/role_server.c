/* Role "server": takes the descriptors that the keeper left at their fixed numbers. */
#include "api/server.h"
#include "base/log.h"
#include "main/role.h"
#include "main/role_fds.h"
#include <malloc.h>
#include <stdlib.h>

/* "https://127.0.0.1:8098 problem", see listener_argument. */
static void listener_take(mem *ctx, const char *argument, int fd, size_t loops, struct server_listener *ret)
{
    struct str rest = str_of(argument), url;
    ret->fds[0] = -1;
    if (!str_next(&rest, ' ', &url))
        return;
    ret->url = str_dup(ctx, url);
    ret->problem = str_dup(ctx, rest);
    for (size_t i = 0; i < loops && !rest.n; i++)
        ret->fds[i] = fd + (int)i;
}

/* The C library gives each thread an arena of its own, and each keeps what a burst left in it; and it hands pages back
 * to the system after every large transaction of the writer, which then faults them in again. An arena a loop and one
 * for all other threads that keep a little take less memory and no more time: 25 MB instead of 28 after 256 connections
 * with one loop. */
static void memory_tune(size_t loops)
{
    mallopt(M_ARENA_MAX, 1 + (int)loops);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
}

int role_server(int argc, char **argv)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err = {0};
    struct settings *settings = NULL;
    log_open("server", LOG_INFO);
    if (argc < 5 || argc > 5 + ADDRESSES_MOST)
        return 2;
    int64_t loops = 1;
    if (!str_int(str_of(argv[4]), 1, LOOPS_MOST, &loops))
        return 2;
    memory_tune((size_t)loops);
    struct settings_source source = {.without_stored = true}; /* the server reads them in the database */
    if (settings_load(ctx, &source, &settings, NULL, &err) != RC_OK) {
        log_err(&err, "the configuration is wrong");
        return ROLE_EXIT_CONFIG;
    }
    struct server_place place = {.data_dir = argv[2],
                                 .keeper_fd = ROLE_FD_KEEPER,
                                 .api_fd = ROLE_FD_API,
                                 .link_fd = ROLE_FD_LINK,
                                 .keeper_pid = atoi(argv[3]),
                                 .settings = settings,
                                 .loops = (size_t)loops};
    for (int i = 0; i < argc - 5; i++)
        listener_take(ctx, argv[5 + i], ROLE_FD_LISTENERS + i * (int)loops, place.loops,
                      &place.listeners[place.listener_count++]);
    return server_main(&place);
}
