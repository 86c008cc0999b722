/* Role "server": takes the descriptors that the keeper left at their fixed numbers. */
#include "api/server.h"
#include "base/log.h"
#include "main/role.h"
#include "main/role_fds.h"
#include <malloc.h>
#include <stdlib.h>

/* "https://127.0.0.1:8098 problem", see listener_argument. */
static void listener_take(mem *ctx, const char *argument, int fd, struct server_listener *ret)
{
    struct str rest = str_of(argument), url;
    ret->fd = -1;
    if (!str_next(&rest, ' ', &url))
        return;
    ret->url = str_dup(ctx, url);
    ret->problem = str_dup(ctx, rest);
    if (!rest.n)
        ret->fd = fd;
}

/* The C library gives each thread an arena of its own, and each keeps what a burst left in it; and it hands pages back
 * to the system after every large transaction of the writer, which then faults them in again. Two arenas (the loop's
 * and one for all other threads) that keep a little take less memory and no more time: 25 MB instead of 28 after 256
 * connections. */
static void memory_tune(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
}

int role_server(int argc, char **argv)
{
    memory_tune();
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err = {0};
    struct settings *settings = NULL;
    log_open("server", LOG_INFO);
    if (argc < 4 || argc > 4 + ADDRESSES_MOST)
        return 2;
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
                                 .settings = settings};
    for (int i = 0; i < argc - 4; i++)
        listener_take(ctx, argv[4 + i], ROLE_FD_LISTENERS + i, &place.listeners[place.listener_count++]);
    return server_main(&place);
}
