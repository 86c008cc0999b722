/* Descriptor numbers between keeper and server, and the exit status after which a restart cannot help. */
#pragma once
enum { ROLE_FD_KEEPER = 3, ROLE_FD_API = 4, ROLE_FD_LINK = 5, ROLE_FDS = 6 };
enum { ROLE_EXIT_CONFIG = 78 };
