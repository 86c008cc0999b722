/* Addresses of servers as URLs (RFC 3986), http and https only. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

struct url {
    bool tls;           /* https */
    const char *host;   /* lower case, without brackets */
    uint16_t port;      /* given or the scheme's */
    const char *target; /* path and query, at least "/"; the fragment is left out */
    const char *user;   /* "name:password", decoded; NULL: none */
};
/* *ret in ctx. RC_INVALID, without the URL in the words: it may hold secrets. */
MUST_USE enum rc url_parse(mem *ctx, const char *text, struct url *ret, struct err *err);
