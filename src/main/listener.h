/* The TCP addresses that the keeper holds for the server (settings server.*). The server's end is src/api/listeners.c.
 *
 * Beyond this machine nothing is listened at without TLS; who asks is then decided for every request by the routes,
 * which over TCP offer nothing but their health to a client without a key. */
#pragma once
#include "conf/setting.h"
#include "main/role_fds.h"
#include "net/address.h"

struct listener {
    struct address address;
    int fds[LOOPS_MOST]; /* one for each loop; the first -1: not bound */
    char problem[256];   /* why not */
};
/* Reads the settings; nothing is bound yet. RC_INVALID: an address is wrong, or may not be listened at like this. */
MUST_USE enum rc listeners_plan(const struct settings *set, struct listener ret[ADDRESSES_MOST], size_t *ret_n,
                                struct err *err);
/* Loops of the server: the setting server.loops, with 0 as many as there are processors. */
size_t listeners_loops(const struct settings *set);
/* Binds those that are not bound, each for so many loops. What cannot be had is logged and said in `problem`: the
 * daemon works without. */
void listeners_bind(struct listener *l, size_t n, size_t loops);
/* What the server's command line says of it: "https://127.0.0.1:8098 problem". In ctx. */
char *listener_argument(mem *ctx, const struct listener *l);
