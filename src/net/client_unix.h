/* The blocking client's way to a Unix socket, without libcurl: what a runner and most commands need of HTTP is this
 * much, and loading libcurl would cost each of them 4 MB and 15 ms. Private to this room. */
#pragma once
#include "net/client.h"

/* As client_call; spec->unix_socket is set. */
MUST_USE enum rc client_unix_call(mem *ctx, const struct client_spec *spec, struct client_answer *ret, struct err *err);
