/* WebSocket client (RFC 6455) over a Unix socket, for commands: one connection, driven by the caller's poll.
 *
 * Frames are libwslay's, as on the server's side (ws.h). Pings are answered. Sending waits until the socket takes the
 * bytes. Threads: one. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct ws_client;
struct ws_client_spec {
    const char *unix_socket, *path; /* path: with query, as sent */
    const char *protocol;
    int timeout_ms; /* for the handshake */
    /* A whole message; the bytes live until it returns. No other function here may be called inside but
     * ws_client_send. */
    void (*on_message)(void *arg, bool text, struct str bytes);
    void *arg;
};
/* RC_UNAVAILABLE: nobody listens. When the server answers otherwise than 101: RC_UPSTREAM with *ret_status and
 * *ret_body (in ctx), else *ret_status is 0. */
MUST_USE enum rc ws_client_open(mem *ctx, const struct ws_client_spec *spec, struct ws_client **ret, int *ret_status,
                                struct str *ret_body, struct err *err);
int ws_client_fd(const struct ws_client *c); /* to be polled for reading */
/* Takes what is there. RC_UNAVAILABLE: the connection has ended (ws_client_code says how). */
MUST_USE enum rc ws_client_read(struct ws_client *c, struct err *err);
MUST_USE enum rc ws_client_send(struct ws_client *c, bool text, struct str bytes, struct err *err);
int ws_client_code(const struct ws_client *c);          /* of the server's close; 1006: it left without one */
struct ws_client *ws_client_close(struct ws_client *c); /* NULL is fine; returns NULL */
