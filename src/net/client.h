/* Blocking HTTP client for commands and runners: talks to the daemon's Unix socket, or to a URL through
 * libcurl.
 *
 * One connection a call. http and https only, no redirects, no proxy from the environment, no compression. Threads:
 * any, each call is on its own. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <sys/socket.h>

struct client_answer {
    int status;
    struct str headers; /* raw block ("Name: value\r\n"...), in ctx */
    struct str body;    /* in ctx; empty when on_body took it */
};
struct client_spec {
    const char *unix_socket;    /* path, or NULL for TCP */
    const char *method, *url;   /* with unix_socket: "http://localhost/path" */
    const char *const *headers; /* lines, NULL-terminated, or NULL */
    struct str body;
    size_t max_body; /* cap of the collected body: RC_LIMIT; 0: 64 MiB */
    int timeout_ms;  /* whole exchange; <= 0: none */
    /* Streams the body instead of collecting it (only for status 200-299); return false to stop: RC_CANCELLED. May be
     * NULL. */
    bool (*on_body)(void *arg, struct str bytes);
    /* Whether an address may be connected to, asked before each is dialled, so that the address that was judged is the
     * one that is connected to; *ret_why (static) says why not: RC_DENIED. NULL: every one. Not for Unix sockets. */
    bool (*allow)(void *arg, const struct sockaddr *sa, const char **ret_why);
    void *arg;
    int cancel_fd; /* readable: RC_CANCELLED at once; -1: none (0 is standard input!) */
};
/* RC_UNAVAILABLE: nobody listens or the connection broke before an answer; RC_UPSTREAM: it broke in the middle;
 * RC_TIMEOUT; RC_CANCELLED; RC_LIMIT; RC_INVALID: the spec is wrong. Any HTTP status is RC_OK. On failure *ret holds
 * what had come (status 0: nothing). */
MUST_USE enum rc client_call(mem *ctx, const struct client_spec *spec, struct client_answer *ret, struct err *err);
