/* Addresses of names on a loop, without ever holding it up: a lookup runs on a thread of its own, since the system's
 * resolver may take as long as it likes and cannot be told to stop. At most RESOLVE_THREADS run at a time, further ones
 * wait. Numeric addresses and names that were found RESOLVE_KEPT_MS ago at most are told at once. Threads: the loop's
 * thread. */
#pragma once
#include "base/err.h"
#include "base/mem.h"
#include <sys/socket.h>
#include <uv.h>

enum { RESOLVE_THREADS = 16, RESOLVE_KEPT_MS = 60000, RESOLVE_ADDRESSES = 16, RESOLVE_NAMES_MAX = 256 };

struct resolve_address {
    struct sockaddr_storage sa;
    socklen_t n;
};
struct resolved {
    struct resolve_address addresses[RESOLVE_ADDRESSES]; /* in the system's order (RFC 6724); the ports are 0 */
    size_t n;                                            /* 0: failed */
    const char *why;                                     /* of the failure */
    bool none;                                           /* the failure is that there is no such name */
};
struct resolver;
struct resolve_ask;
struct resolver *resolver_new(mem *ctx, uv_loop_t *loop);
/* Drops every question. `closed` comes from the loop, then the resolver is not touched any more; it belongs to ctx. A
 * lookup that is under way ends when it ends and is then forgotten. */
void resolver_close(struct resolver *r, void (*closed)(void *arg), void *arg);
/* True: *ret_now is the answer (borrowed until the next call). False: told(arg) comes later, *ret_ask until then. */
bool resolve_start(struct resolver *r, const char *host, void (*told)(void *arg, const struct resolved *found),
                   void *arg, const struct resolved **ret_now, struct resolve_ask **ret_ask);
void resolve_cancel(struct resolve_ask *ask);
/* This address of the name worked: it is told first as long as the name is kept. */
void resolve_prefer(struct resolver *r, const char *host, const struct sockaddr *sa, socklen_t n);
