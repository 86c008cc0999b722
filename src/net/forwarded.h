/* Where a request comes from behind reverse proxies.
 *
 * A proxy that stands before the daemon says so in X-Forwarded-For, or in Forwarded (RFC 7239). Anybody can send these
 * fields, so they count only from peers that the operator has named, only the one of the two that the operator has
 * chosen (proxies pass on the other one as a client sent it), and only as far as named proxies wrote them: the entries
 * are read from the right, each was written by the hop to its right, and the first one that is no named proxy is the
 * client. An entry that cannot be read ends the walk: the client is then the last hop that is known. Pure; any thread.
 */
#pragma once
#include "net/http.h"
#include <stdint.h>

enum { FORWARDED_RANGES_MOST = 64, FORWARDED_HOPS_MOST = 32 };
struct forwarded_trust {
    bool rfc7239; /* Forwarded counts, else X-Forwarded-For and X-Forwarded-Proto */
    struct forwarded_range {
        uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
        int bits;
    } ranges[FORWARDED_RANGES_MOST];
    size_t n; /* 0: nobody is believed */
};
/* Adds "127.0.0.1, 10.0.0.0/8, ::1"; "" is nobody. RC_INVALID names the part that is wrong; nothing is added then. */
MUST_USE enum rc forwarded_trust_parse(struct str text, struct forwarded_trust *ret, struct err *err);

struct forwarded {
    char address[46]; /* of the client; that of the peer when it is not believed or says nothing */
    bool https;       /* the client's connection to the first proxy that said so */
};
/* peer: numeric address of the connection, "" for a Unix socket (which is nobody's proxy). */
struct forwarded forwarded_read(const struct forwarded_trust *t, const char *peer, const struct http_field *fields,
                                size_t n);
