/* Addresses to listen at, as people write them: "127.0.0.1:8098", "[::1]:8098", "localhost:8098", several separated by
 * commas, "off" for none. A scheme may stand before one ("http://", "https://"); without it the caller decides. Port 0
 * is any free one.
 *
 * Numeric addresses only, but for "localhost" (127.0.0.1): a name that is looked up could be bound to another address
 * tomorrow. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESSES_MOST = 8 };
enum address_scheme { ADDRESS_ANY, ADDRESS_HTTP, ADDRESS_HTTPS };
struct address {
    struct sockaddr_storage sa;
    socklen_t sa_length;
    enum address_scheme scheme;
    char text[64]; /* "127.0.0.1:8098", "[::1]:8098" */
};
/* RC_INVALID: the sentence names the part that is wrong. */
MUST_USE enum rc address_list_parse(struct str text, struct address *ret, size_t *ret_n, struct err *err);
bool address_is_loopback(const struct sockaddr *sa); /* 127.0.0.0/8, ::1, and the former mapped into IPv6 */
uint16_t address_port(const struct sockaddr *sa);
/* "127.0.0.1", "::1" (room: 46 bytes); "" for other families. */
void address_host(const struct sockaddr *sa, char *ret);
void address_show(struct address *a); /* sets text from sa */
/* n listening, non-blocking sockets at one address, which becomes the one that they got. With several the kernel
 * shares the connections among them by their addresses (SO_REUSEPORT). RC_CONFLICT: somebody else has it, also if that
 * would share it. */
MUST_USE enum rc address_listen(struct address *a, size_t n, int *ret_fds, struct err *err);
/* The address that a listening socket is bound to. RC_INVALID: it is no TCP socket. */
MUST_USE enum rc address_of_fd(int fd, struct address *ret, struct err *err);
