/* A TCP connection to a host by name: looked up once, every address judged before it is dialled, tried in the order of
 * the answer. The address that was judged is the address that is connected to: nothing is looked up twice.
 *
 * Names are looked up by the resolver (net/resolve.h). Threads: the loop's. Callbacks come from the loop, never from
 * inside dial_start. */
#pragma once
#include "net/hostname.h"
#include "net/resolve.h"
#include <uv.h>

#define DIAL_ADDRESSES 6     /* of an answer that are tried */
#define DIAL_TRY_MS    10000 /* for one address; the whole has the caller's time */

struct dial;
struct dial_spec {
    uv_loop_t *loop;
    struct resolver *resolver;   /* of that loop */
    const struct hostname *host; /* copied */
    uint16_t port;
    const struct sockaddr *fixed; /* instead of a lookup; copied; NULL: none */
    int ms;                       /* for everything */
    /* Whether this address may be dialled; *ret_why (static) says why not. NULL: every one. */
    bool (*allow)(void *arg, const struct sockaddr *sa, const char **ret_why);
    /* Exactly once, unless cancelled. RC_OK: fd is connected, non-blocking, the callee's, `at` its address. Else fd is
     * -1: RC_NOT_FOUND (no such name), RC_DENIED (no address of it may be dialled), RC_TIMEOUT, RC_UNAVAILABLE. */
    void (*done)(void *arg, int fd, const struct sockaddr *at, enum rc rc, const struct err *err);
    void *arg;
};
struct dial *dial_start(const struct dial_spec *spec);
void dial_cancel(struct dial *d); /* no callback after this */
