/* HTTP client on the loop: libcurl's multi interface (OpenSSL flavour) driven by libuv. One pool per loop; connections are reused.
 * Never blocks the loop: CURLOPT_QUICK_EXIT, empty Expect, no redirects, http and https only, no proxy from the environment. Threads: the loop's thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <uv.h>

struct upstream_pool;
MUST_USE enum rc upstream_pool_new(mem *ctx, uv_loop_t *loop, struct upstream_pool **ret, struct err *err);
void upstream_pool_close(struct upstream_pool *p); /* cancels everything; handles close on the loop */

struct upstream_call;
struct upstream_spec {
    const char *method, *url;
    const char *const *headers; /* lines, NULL-terminated */
    struct str body;            /* copied */
    int connect_ms;             /* connect deadline */
    int first_byte_ms;          /* to the first byte of the answer; < 0: none */
    int idle_ms;                /* between bytes of the body; < 0: none */
    /* Head complete: status and raw header block ("Name: value\r\n"..., final answer only). */
    void (*on_head)(void *arg, int status, struct str headers);
    /* Body bytes. Return false to pause: then upstream_resume when ready, the same bytes come again. */
    bool (*on_body)(void *arg, struct str bytes);
    /* Exactly once. rc RC_OK: whole answer; RC_UNAVAILABLE: could not connect or nothing was sent; RC_UPSTREAM: broke off; RC_TIMEOUT. err in words, without secrets.
     * Not called after upstream_cancel. */
    void (*on_end)(void *arg, enum rc rc, const struct err *err);
    void *arg;
};
MUST_USE enum rc upstream_start(struct upstream_pool *p, const struct upstream_spec *spec, struct upstream_call **ret, struct err *err);
void upstream_resume(struct upstream_call *c);
void upstream_cancel(struct upstream_call *c); /* no callback after this returns; safe inside the call's own callbacks */
