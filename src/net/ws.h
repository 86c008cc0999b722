/* WebSocket server (RFC 6455) on connections of the HTTP server.
 *
 * A handler that gets a request with `Upgrade: websocket` may take it by ws_accept; from then on messages come and go.
 * Frames are parsed by libwslay: masks, reserved bits, opcodes, lengths, fragments and UTF-8 are checked, and what is
 * wrong is answered with a close frame of the right code. Pings of the peer are answered; ours go out when nothing came
 * for ping_ms, and a peer that says nothing at all for another ping_ms is gone. No extensions, so no compression.
 * Host and Origin are checked by the listener's rules as for any request (http.h, struct http_hosts); who asks is the
 * handler's business before it accepts.
 *
 * No callback comes from inside a call of this header. Threads: the loop's thread. */
#pragma once
#include "net/http.h"

struct ws;
struct ws_spec {
    const char *protocol; /* subprotocol to agree on when the client offers it (else ws_accept refuses); NULL: none */
    size_t max_message;   /* 0: 1 MiB; beyond it the connection ends with 1009 */
    int ping_ms;          /* 0: 30 s */
    /* A whole message; the bytes live until it returns. A text is well-formed UTF-8. */
    void (*on_message)(void *arg, struct ws *ws, bool text, struct str bytes);
    void (*on_drained)(void *arg, struct ws *ws); /* as http_on_drained; may be NULL */
    /* Exactly once, whoever ended it: ws is gone when it returns. code: as in RFC 6455 section 7.4; 1005: the peer
     * closed and gave none; 1006: it left without closing. */
    void (*on_gone)(void *arg, struct ws *ws, int code);
    void *arg;
};
bool ws_wanted(const struct http_request *r); /* asks for an upgrade to WebSocket; the handshake may still be wrong */
/* Answers 101 and takes the connection; r is freed. RC_INVALID: the handshake is wrong (answer 400); r is as before.
 * RC_UNAVAILABLE: the client is gone already. */
MUST_USE enum rc ws_accept(struct http_request *r, const struct ws_spec *spec, struct ws **ret, struct err *err);
void ws_send(struct ws *ws, bool text, struct str bytes); /* copied; a text must be well-formed UTF-8 */
/* As http_answer_backlog: stop producing above HTTP_HIGH_WATER, go on when on_drained is called. */
size_t ws_backlog(const struct ws *ws);
/* Says goodbye; on_gone comes when the peer has answered or a deadline has passed. No message comes any more. reason:
 * at most 123 bytes of UTF-8. */
void ws_close(struct ws *ws, int code, const char *reason);
