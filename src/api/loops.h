/* The further loops: threads that answer model requests, so that these may take more than one processor.
 *
 * Each has a libuv loop, an HTTP server at sockets of its own (SO_REUSEPORT: the kernel shares the connections of an
 * address among the loops), a pool of connections to providers and a gateway. What they share with the main loop may be
 * used by any thread: store, books, budgets, keys, catalogue, credentials, recorder, figures, limits. They know nothing
 * of `struct server`: a request that is not a model request with a user key is not handled there at all, but goes to
 * the main loop with its connection before anything but its head was looked at. So routes, streams, runs and their
 * state stay the business of one thread. Threads: all functions are the main loop's. */
#pragma once
#include "base/err.h"
#include "gateway/gateway.h"
#include "net/http.h"

struct loops;
struct loops_spec {
    size_t n; /* without the main loop; 0 is fine */
    struct loop *main_loop;
    struct http_server *main_http;      /* gets what is not theirs */
    const struct gateway_spec *gateway; /* as the main loop's; loop, pool and what belongs to runs are replaced */
    size_t max_connections, max_body;   /* of each */
    /* Opens the addresses of loop `number` (from 1) at its server; ret_tls: what SIGHUP is told to, or NULL. */
    enum rc (*listen)(void *arg, size_t number, mem *ctx, struct http_server *http, struct tls_place **ret_tls,
                      struct err *err);
    void *arg;
};
/* The threads run when it returns. On failure the process has to end. Belongs to ctx. */
MUST_USE enum rc loops_open(mem *ctx, const struct loops_spec *spec, struct loops **ret, struct err *err);
void loops_reload(struct loops *l); /* certificates and keys */
/* As http_server_stop of all of them; done comes on the main loop, also when there are none. */
void loops_stop(struct loops *l, int deadline_ms, void (*done)(void *arg), void *arg);
/* Ends the threads, wherever they are. The main loop runs no more. NULL is fine. */
void loops_end(struct loops *l);
