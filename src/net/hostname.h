/* Names of hosts as they are judged and dialled: one parser for rules, for what clients ask for and for what is looked
 * up, so that no two parts of the program can understand a spelling differently.
 *
 * A host is a DNS name of letters, digits, '-' and '_' (RFC 1123, and what is in use), or a numeric address: IPv4 as
 * four plain decimal numbers, IPv6 in brackets. The result is canonical: lower case, without a trailing dot, addresses
 * as inet_ntop writes them. Everything that other parsers might read as something else is refused: NUL and control
 * bytes, blanks, percent-escapes, user information, names beyond ASCII (an IDN is written as xn--...), zone ids,
 * octal, hexadecimal and short forms of IPv4 (any name whose last part is a number), addresses of IPv4 inside IPv6.
 * Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <sys/socket.h>

enum hostname_kind { HOSTNAME_DNS, HOSTNAME_IPV4, HOSTNAME_IPV6 };
struct hostname {
    enum hostname_kind kind;
    char text[256];      /* canonical, without brackets */
    uint8_t address[16]; /* of the two others, network order */
};
/* A host alone. RC_INVALID says why. */
MUST_USE enum rc hostname_parse(struct str text, struct hostname *ret, struct err *err);
/* "host" or "host:port"; *ret_port is otherwise left as it is. */
MUST_USE enum rc hostname_parse_port(struct str text, struct hostname *ret, uint16_t *ret_port, struct err *err);
/* The host with brackets where it needs them, and the port unless it is `standard`; room: 300 bytes. */
void hostname_show(const struct hostname *h, uint16_t port, uint16_t standard, char *ret);

/* A block of addresses: "10.0.0.0/8", "192.0.2.1", "fd00::/8". */
struct address_block {
    int family; /* AF_INET, AF_INET6 */
    uint8_t bytes[16];
    int bits;
};
MUST_USE enum rc address_block_parse(struct str text, struct address_block *ret, struct err *err);
bool address_block_holds(const struct address_block *b, const struct sockaddr *sa);
/* What an address is reserved for ("private", "loopback", "link-local", ...: IANA's special-purpose registries, and all
 * of IPv6 that is no global unicast); NULL: it is an ordinary address of the internet. */
const char *address_reserved(const struct sockaddr *sa);
