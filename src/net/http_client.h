/* HTTP/1.1 client (RFC 9112) on the loop: pooled keep-alive connections over conn.h and TLS, streaming both ways with
 * back-pressure.
 *
 * Connections are kept by origin (scheme, name, port, fixed address, trust, group) and used again; one that its server
 * has closed meanwhile is not. Names are looked up on threads of their own (resolve.h), at most one lookup of a name at
 * a time; their addresses are tried one after the other, the one that worked first the next time. TLS: tls_client.h,
 * certificate and name verified, ALPN "http/1.1". No redirects, no proxies, nothing from the environment, no HTTP/2.
 *
 * Strict where leniency would be dangerous: two lengths, a length beside an encoding, an encoding other than chunked,
 * folded lines and bare LF are RC_UPSTREAM; heads of more than HTTP_CLIENT_HEAD_MAX are RC_LIMIT. An answer that ends
 * with its connection is whole only if the connection was closed in order (over TLS: close_notify).
 *
 * A request is sent at most once: when a kept connection ends before a byte of the answer came, a request goes to a new
 * connection only if not a byte of it was handed to the first one, or it is a GET or HEAD without a body.
 *
 * No callback comes from inside a call of this header; inside a callback every call of it is allowed, on any call. All
 * writes of one turn of the loop go out together. The process ignores SIGPIPE. Threads: the loop's thread. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <sys/socket.h>
#include <uv.h>

enum {
    HTTP_CLIENT_HEAD_MAX = 256 << 10,
    HTTP_CLIENT_IDLE_MS = 45000, /* a kept connection is not used after this long: servers close theirs after 60 s */
    HTTP_CLIENT_IDLE_MAX = 256,  /* connections at rest; beyond it the oldest is closed */
};

struct http_client;
MUST_USE enum rc http_client_new(uv_loop_t *loop, struct http_client **ret, struct err *err);
/* Cancels every call and closes every connection; the memory goes when the loop has closed the handles. Call it once.
 */
void http_client_close(struct http_client *c);
size_t http_client_calls(const struct http_client *c); /* started and not yet ended or cancelled */

struct tls_trust;
struct http_call;
/* Everything is copied but `trust` and `group`. */
struct http_call_spec {
    /* Where to. */
    const char *host; /* name or numeric address, without brackets */
    uint16_t port;
    struct tls_trust *trust;        /* tls_client.h: must outlive the client's connections; NULL: no TLS */
    const struct sockaddr *address; /* connect here and nowhere else, without a lookup; `host` is still what TLS
                                     * verifies. NULL: the addresses of `host` */
    socklen_t address_n;
    const void *group; /* connections are shared only by calls of one group; not looked into */
    /* The request. */
    const char *method;
    const char *target;         /* "/path?query" */
    const char *const *headers; /* lines "Name: value", NULL-terminated, or NULL. Sent as they are, in this order, and
                                 * what the client needs itself is added where it is not among them: Host,
                                 * Content-Length (of `body`, unless streamed). RC_INVALID for a malformed line */
    struct str body;
    bool streamed; /* the body comes by http_call_send; its framing field is among `headers`: Content-Length, or
                    * Transfer-Encoding: chunked (then http_call_send makes the chunks). Never repeated */
    bool upgrade;  /* an answer of 101 is taken: on_head says it, then both directions are bytes without framing */
    /* Deadlines in ms; <= 0: none. */
    int connect_ms; /* lookup, connection and TLS together */
    int head_ms;    /* from the start to the end of the answer's head */
    int idle_ms;    /* between bytes of the answer's body, not counted while paused */
    /* All may be NULL but on_end. */
    void (*on_interim)(void *arg, int status, struct str headers); /* an answer of 1xx before the real one */
    /* The final answer's head: raw block of lines "Name: value\r\n"; it lives until on_head returns. */
    void (*on_head)(void *arg, int status, struct str headers);
    /* Bytes of the body without chunk framing, packed as the server packed them. false: pause; the same bytes come
     * again after http_call_resume. */
    bool (*on_body)(void *arg, struct str bytes);
    void (*on_drained)(void *arg); /* the backlog was above HTTP_HIGH_WATER and has fallen */
    /* Exactly once, unless cancelled; the call is gone when it returns.
     * RC_OK: whole answer. RC_UNAVAILABLE: not a byte of the request was handed to a connection, sending again is safe.
     * RC_UPSTREAM: it broke off after that, or is no HTTP. RC_TIMEOUT: head or idle. RC_LIMIT: head too large.
     * err (NULL for RC_OK) names the origin, never path or query; the detail says what was seen. */
    void (*on_end)(void *arg, enum rc rc, const struct err *err);
    void *arg;
};
/* RC_INVALID: the spec is wrong; RC_CONFLICT: the client is closed. Then no callback comes. */
MUST_USE enum rc http_call_start(struct http_client *c, const struct http_call_spec *spec, struct http_call **ret,
                                 struct err *err);
void http_call_send(struct http_call *c, struct str bytes); /* copied; of a streamed body, or after an upgrade */
void http_call_send_end(struct http_call *c);               /* the body is whole; after an upgrade: we say no more */
size_t http_call_backlog(const struct http_call *c);        /* bytes that the server has not taken; see http.h */
void http_call_resume(struct http_call *c);                 /* without a pause: nothing */
/* No callback after this; in on_end: nothing. The connection is closed if the answer was not whole. */
void http_call_cancel(struct http_call *c);
