/* HTTP/1.1 server (RFC 9112) on libuv: listeners, strict parser, deadlines per phase, merged writes, departed clients
 * noticed in every phase.
 *
 * Strict: no obs-fold, no bare LF, no white space before a colon, no Content-Length with Transfer-Encoding, no repeated
 * or signed Content-Length, tokens by table. Caps: request line 8 KiB (414), head 64 KiB and 100 fields (431), body as
 * given (413). Deadlines: head 10 s in all, body 30 s + 1 s per 64 KiB that arrived, idle keep-alive 75 s, a write that
 * makes no progress 60 s. All output of one loop turn is collected per connection and written once.
 *
 * Requests of one connection are handled one after the other, also when the client sends them ahead. HTTP/1.0 clients
 * get their answer and the connection ends. No proxy: CONNECT and targets in absolute form are refused. A client that
 * closes its sending side counts as gone: what was already answered is still delivered.
 *
 * A server is cheap (three handles, no thread), so a listener whose clients need rules of their own gets a server of
 * its own. Threads: everything here belongs to the loop's thread. No callback comes from inside a call of this header.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <uv.h>

struct http_field {
    struct str name, value;
};

/* Where a request came from. What it may do is decided above (src/api/route.c); this room only says what is certain. */
enum http_origin {
    HTTP_BY_UNIX, /* a Unix socket: the kernel vouches for uid */
    HTTP_BY_TCP,  /* TCP, also loopback: anybody on this machine or beyond; only a key or a certificate says who */
};
struct http_peer {
    enum http_origin origin;
    unsigned int uid; /* HTTP_NO_UID unless HTTP_BY_UNIX */
    bool tls;
    bool https;           /* tls, or a proxy that is believed says that the client's connection is (forwarded.h) */
    bool loopback;        /* the peer's address is one of this machine's loopback addresses; true for HTTP_BY_UNIX */
    uint16_t port;        /* the peer's; 0 for HTTP_BY_UNIX */
    char address[46];     /* the client's: "127.0.0.1", "2001:db8::1"; "" for HTTP_BY_UNIX. The peer's own, unless that
                           * is a proxy that is believed */
    const char *subject;  /* of the client's certificate, once verified against the listener's authorities: RFC 2253,
                           * escaped, in r->ctx; else NULL */
    const void *listener; /* as given to http_server_listen: a listener can be the identity of its clients */
};
#define HTTP_NO_UID (~0u)

struct http_request {
    mem *ctx; /* a tree of its own; lives until the answer has ended or the client is gone (see http_on_gone) */
    struct str method; /* "GET" */
    struct str target; /* as sent */
    struct str path; /* percent-decoded path, no query; refused when it holds NUL or ".." segments; "*" for OPTIONS * */
    struct str query; /* raw, without '?' */
    struct http_field *fields;
    size_t field_count;
    struct str body;
    struct http_peer peer;
    struct http_answer *answer;
    void *user; /* the handler's own */
    bool keep;  /* set by the handler before or in `gone`: r stays valid after it, see http_on_gone */
};
struct str http_header(const struct http_request *r, const char *name); /* empty view when absent */
/* The key or token that a client shows: Authorization: Bearer (RFC 6750), else x-api-key or x-goog-api-key, where the
 * SDKs of model providers put it. Empty when there is none. */
struct str http_credential(const struct http_request *r);
/* Decoded value of a query parameter, in r->ctx; NULL when absent or malformed. */
const char *http_query(const struct http_request *r, const char *name);

/* Value of a field in a block of lines "Name: value" (the head of an answer without its first line); false: absent. */
bool http_block_find(struct str block, const char *name, struct str *ret_value);

struct http_server;
struct http_parcel; /* a connection on its way to another loop; belongs to nobody's memory */
struct http_server_spec {
    uv_loop_t *loop;
    size_t max_body;
    /* A complete request. Answer now or later, exactly once. */
    void (*on_request)(void *arg, struct http_request *r);
    void *arg;
    /* Bytes of bodies that all clients together may have the server keep, but for those of listeners with a reserve:
     * further ones get 503. 0: four times max_body. */
    size_t max_bodies;
    /* The head is there and its Host is right, the body is not read: most bytes that it may have, so that who cannot
     * have business here cannot fill the memory either. NULL: max_body for all. */
    size_t (*body_limit)(void *arg, const struct http_request *r);
    /* The head is there and its Host is right: whether the request is the business of another server of this process,
     * on another loop. Then the connection goes there with all that it has: give gets it, soon, and passes it on to
     * http_server_adopt on that loop's thread. NULL: all requests are handled here. */
    bool (*elsewhere)(void *arg, const struct http_request *r);
    void (*give)(void *arg, struct http_parcel *p);
    size_t max_connections;                  /* further ones wait in the listener's queue; 0: 10000 */
    int head_ms, body_ms, idle_ms, stall_ms; /* deadlines; 0: those above */
};
/* The server belongs to ctx, which must live until `done` of http_server_stop was called. */
MUST_USE enum rc http_server_new(mem *ctx, const struct http_server_spec *spec, struct http_server **ret,
                                 struct err *err);

/* The names by which a listener may be called (host.c). Browsers send any page's requests to any address; only Host and
 * Origin tell whom the page meant (DNS rebinding, cross-site requests). So with such rules a request is refused with
 * 403 before any handler sees it when
 * - its Host is not exactly one, is not one of these names, or names another port, or
 * - it has an Origin that is not http or https at one of these names with their port ("null" never is).
 * Names: localhost and loopback addresses, the address that the listener is bound to, and `more`. A Unix socket knows
 * no ports and takes no Origin. */
struct forwarded_trust;
struct http_hosts {
    const char *const *more; /* "name" (with the listener's port, or none) or "name:port"; NULL-terminated, or NULL */
    const char *address;     /* numeric, without brackets, that the listener is bound to; NULL: a Unix socket */
    uint16_t port;
    const struct forwarded_trust *proxies; /* whom to believe where a request comes from; NULL: nobody */
};
/* Whether r's Host and Origin keep to the rules; *ret_why (static) says what does not. */
bool http_hosts_allow(const struct http_hosts *hosts, const struct http_request *r, const char **ret_why);

struct tls_place;
struct http_listener_spec {
    int fd;                         /* bound, listening, stream: Unix or TCP; taken, also on failure */
    struct tls_place *tls;          /* tls.h; must outlive the server; NULL: plain */
    const struct http_hosts *hosts; /* must outlive the server; NULL: Host and Origin are the handler's business */
    const void *tag;                /* becomes http_peer.listener */
    size_t reserve; /* its clients are taken even when there are this many more than max_connections: a crowd of others
                     * cannot keep the owner out */
};
MUST_USE enum rc http_server_listen(struct http_server *s, const struct http_listener_spec *spec, struct err *err);
/* Takes a connection of another loop's server, as if it had been accepted here; the request that was read there comes
 * to on_request. It keeps its listener's rules for Host and Origin, which must outlive this server too. Closed when
 * this server is stopping or has as many connections as it may. */
void http_server_adopt(struct http_server *s, struct http_parcel *p);
/* Ends every listener with this tag, and soon its connections: their clients count as gone. The tag is not looked into,
 * but requests that are kept go on showing it. */
void http_server_unlisten(struct http_server *s, const void *tag);
/* The same as http_server_listen with nothing but a descriptor. */
MUST_USE enum rc http_server_listen_fd(struct http_server *s, int fd, struct err *err);
/* Stops listening and closes connections without a complete request; open answers may end until deadline_ms, then their
 * clients count as gone. Calls done(arg) (may be NULL) once on the loop when nothing is left; the server is not touched
 * after that and may be freed in it. Call it once. */
void http_server_stop(struct http_server *s, int deadline_ms, void (*done)(void *arg), void *arg);
size_t http_server_connections(const struct http_server *s);

/* Answering. All of these are no-ops once the client is gone, except that the last one frees r when it was kept.
 * `extra`: complete header lines "Name: value", NULL-terminated, or NULL; a malformed line is left out. */
void http_answer_whole(struct http_request *r, int status, const char *content_type, struct str body,
                       const char *const *extra); /* r is freed */
void http_answer_begin(struct http_request *r, int status, const char *content_type,
                       const char *const *extra); /* chunked */
void http_answer_chunk(struct http_request *r, struct str bytes);
void http_answer_end(struct http_request *r); /* r is freed */
void http_answer_abort(
    struct http_request *r); /* closes the connection in the middle: the peer sees a broken answer; r is freed */
/* Called at most once, on the loop, when the client leaves before the end (or the server stops without waiting for it).
 * r is freed when it returns, unless r->keep is set. A request that is kept, or has no `gone` at all, stays valid until
 * the handler ends it as usual (whole, end or abort), so that work in another thread may go on using it. */
void http_on_gone(struct http_request *r, void (*gone)(struct http_request *r));
bool http_is_gone(const struct http_request *r);
/* Bytes waiting to be written to this client; callers stop producing above HTTP_HIGH_WATER and go on when `drained` is
 * called, each time that the backlog was above and has fallen to a quarter. A client is dropped at 64 MiB. Above the
 * mark for a client that is gone. */
#define HTTP_HIGH_WATER (256u << 10)
size_t http_answer_backlog(const struct http_request *r);
void http_on_drained(struct http_request *r, void (*drained)(struct http_request *r));
const char *http_reason(int status);

/* The parser alone, for tests and fuzzing. Consumes at most one head from `in`; RC_AGAIN when more is needed.
 * *ret_length bytes belong to the head. Fields in ctx. A verdict over a prefix holds for everything longer. */
struct http_head {
    struct str method, target;
    struct http_field *fields;
    size_t field_count;
    int64_t content_length; /* -1: none */
    bool chunked, keep_alive, expect_continue;
    int minor_version; /* 0 or 1 */
    int refuse_status; /* status to answer with when RC_INVALID or RC_LIMIT */
};
MUST_USE enum rc http_head_parse(mem *ctx, struct str in, struct http_head *ret, size_t *ret_length, struct err *err);
