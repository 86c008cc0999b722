/* Requests to model servers on the loop, over http_client.h. One pool per loop; connections are reused.
 *
 * Never blocks the loop. HTTP/1.1, http and https only, no redirects, no proxy from the environment, no compression
 * asked for (a body that comes compressed all the same is unpacked, though its head still says Content-Encoding and the
 * packed length; one in an encoding that cannot be read is RC_UPSTREAM). Callbacks come from the loop only, never from
 * inside a call of this header; inside a callback every call of this header is allowed, on any call of the pool. The
 * process ignores SIGPIPE. Threads: the loop's thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <uv.h>

struct upstream_pool;
/* The pool keeps its own memory: ctx may be freed after upstream_pool_close, while the loop still runs the closing. */
MUST_USE enum rc upstream_pool_new(mem *ctx, uv_loop_t *loop, struct upstream_pool **ret, struct err *err);
void upstream_pool_close(struct upstream_pool *p);         /* cancels everything; handles close on the loop */
size_t upstream_pool_calls(const struct upstream_pool *p); /* started and not yet ended or cancelled */

struct upstream_call;
struct upstream_spec {
    const char *method, *url;
    const char *const *headers; /* lines, NULL-terminated, or NULL */
    struct str body;            /* copied */
    int connect_ms;             /* connect deadline with the name's resolution; <= 0: 30 s */
    int first_byte_ms;          /* from the start to the end of the answer's head; <= 0: none */
    int idle_ms;                /* between bytes of the body, not counted while paused; <= 0: none */
    /* Head complete: status and raw header block ("Name: value\r\n"..., final answer only). May be NULL. */
    void (*on_head)(void *arg, int status, struct str headers);
    /* Body bytes. Return false to pause: then upstream_resume when ready, the same bytes come again. */
    bool (*on_body)(void *arg, struct str bytes);
    /* Exactly once.
     * RC_OK: whole answer, whatever its status.
     * RC_UNAVAILABLE: not a byte of the request was handed to a connection (no address, no connection, no TLS, not in
     *   time): nothing can have been processed or billed, sending again is safe.
     * RC_UPSTREAM: the connection ended after some or all of the request was sent, before or in the middle of the
     *   answer (on_head tells which), or the answer is no HTTP. It may have been processed. This is also how a request
     *   ends that met the server's closing of an idle connection: the two cannot be told apart. The request was sent
     *   once: only GET and HEAD without a body are repeated by this room, on a new connection.
     * RC_TIMEOUT: first byte or idle; it may have been processed.
     * RC_LIMIT: a head beyond 256 KiB.
     * err in words, without secrets (origins, never paths); NULL for RC_OK. Not called after upstream_cancel. The call
     * is gone when it returns. */
    void (*on_end)(void *arg, enum rc rc, const struct err *err);
    void *arg;
};
/* RC_INVALID: the spec is wrong, no callback comes; RC_CONFLICT: the pool is closed. */
MUST_USE enum rc upstream_start(struct upstream_pool *p, const struct upstream_spec *spec, struct upstream_call **ret,
                                struct err *err);
void upstream_resume(struct upstream_call *c); /* without a pause: nothing */
/* No callback after this returns; safe inside the call's own callbacks (in on_end: nothing). */
void upstream_cancel(struct upstream_call *c);
