/* Heads of messages as they go on: hop-by-hop fields left out, framing said anew, secrets put in for placeholders.
 * Pure functions over parsed heads; private to this room, and its tests' and fuzzers'. */
#pragma once
#include "net/http_parse.h"
#include "net/http_reply.h"
#include "proxy/policy.h"
#include "redact/sentinel.h"

/* How the body of a message goes on. */
enum body_way {
    BODY_NONE,
    BODY_PLAIN,  /* as it is: Content-Length, or until the end of the connection */
    BODY_CHUNKS, /* chunk framing as it came, checked */
    BODY_CHUNK,  /* plain bytes into chunks of our own */
    BODY_UNCHUNK /* the reverse, to HTTP/1.0 */
};

/* What a request asks for, judged by its spelling alone. */
enum ask_form { ASK_CONNECT, ASK_ABSOLUTE, ASK_ORIGIN };
struct ask {
    enum ask_form form;
    struct hostname host; /* of CONNECT and absolute form */
    uint16_t port;
    struct str path; /* origin form: what goes to the server; "" for CONNECT */
};
/* RC_INVALID: neither form, or Host is another host than the target. inside (with port): the host of the connection
 * that the request came on: only origin form is right there, and Host must be it. NULL: on the plain listener. */
MUST_USE enum rc head_ask(const struct http_head *h, const struct hostname *inside, uint16_t inside_port,
                          struct ask *ret, struct err *err);

struct str head_field(const struct http_field *fields, size_t n, const char *name); /* the first; empty when absent */
/* A request to switch to WebSocket (RFC 6455, section 4.1); other upgrades are not offered to servers. */
bool head_is_websocket(const struct http_head *h);

/* Puts the values of bound secrets where their placeholders stand, also inside Basic credentials; then says which
 * watched string is still there: an index of the run's sentinel, or -1. */
struct swap {
    const struct policy *policy;
    const struct sentinel *watch; /* may be NULL */
    const struct hostname *host;
    uint16_t port;
};
int swap_text(mem *ctx, const struct swap *s, unsigned place, struct str text, struct str *ret);
int swap_authorization(mem *ctx, const struct swap *s, struct str value, struct str *ret);

/* The request's head for the server, appended. length: of the body when it was put together anew, else -1. *ret_found:
 * as swap_text, the worst of all fields. */
void head_request(mem *ctx, const struct http_head *h, const struct ask *ask, const struct swap *s, bool websocket,
                  int64_t length, struct buf *out, int *ret_found);
/* The answer's head for the client, appended. */
void head_answer(const struct http_reply *r, enum body_way way, bool keep_alive, int client_minor, struct buf *out);
/* Fields as text for the record, a line each. */
void head_text(const struct http_field *fields, size_t n, struct buf *out);
