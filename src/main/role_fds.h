/* Descriptor numbers between keeper and server, and the exit status after which a restart cannot help. The listening
 * TCP sockets are ROLE_FD_LISTENERS and up, one for each further argument of the server's command line that names no
 * problem. */
#pragma once
#include "net/address.h"
enum {
    ROLE_FD_KEEPER = 3,
    ROLE_FD_API = 4,
    ROLE_FD_LINK = 5,
    ROLE_FD_LISTENERS = 6,
    ROLE_FDS = ROLE_FD_LISTENERS + ADDRESSES_MOST
};
enum { ROLE_EXIT_CONFIG = 78 };
