/* Descriptor numbers between keeper and server, and the exit status after which a restart cannot help. The listening
 * TCP sockets are ROLE_FD_LISTENERS and up, one a loop for each further argument of the server's command line that
 * names no problem: address by address, loop by loop. */
#pragma once
#include "api/server.h"
#include "net/address.h"
enum {
    ROLE_FD_KEEPER = 3,
    ROLE_FD_API = 4,
    ROLE_FD_LINK = 5,
    ROLE_FD_LISTENERS = 6,
    ROLE_FDS = ROLE_FD_LISTENERS + ADDRESSES_MOST * LOOPS_MOST
};
enum { ROLE_EXIT_CONFIG = 78 };
