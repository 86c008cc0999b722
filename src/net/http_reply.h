/* The head of an answer (RFC 9112), as strictly as those of requests are read: for clients that stream on the loop.
 *
 * A pure function over bytes. What it refuses would let this program and a client behind it disagree about where the
 * answer ends: bare LF, folded fields, Content-Length with Transfer-Encoding or repeated with another value, codings
 * other than chunked. Caps: line 8 KiB, head 64 KiB, 200 fields. Threads: no state. */
#pragma once
#include "net/http.h"

#define HTTP_REPLY_FIELDS_MOST 200
enum http_reply_body {
    REPLY_NONE,    /* 1xx, 204, 304, answers to HEAD: the head is all */
    REPLY_LENGTH,  /* `length` bytes */
    REPLY_CHUNKED, /* http_chunked_take of net/http_parse.h */
    REPLY_CLOSE,   /* until the peer closes */
    REPLY_SWITCH,  /* 101: what follows is another protocol */
};
struct http_reply {
    int status;
    int minor_version;
    struct str reason; /* may be empty */
    struct http_field *fields;
    size_t field_count;
    enum http_reply_body body;
    int64_t length;
    bool keep_alive;
};
/* Consumes at most one head from `in`; RC_AGAIN when more is needed; RC_INVALID, RC_LIMIT. `method` is that of the
 * request. Fields in ctx. *ret_length bytes belong to the head. */
MUST_USE enum rc http_reply_parse(mem *ctx, struct str in, struct str method, struct http_reply *ret,
                                  size_t *ret_length, struct err *err);
struct str http_reply_field(const struct http_reply *r, const char *name); /* empty when absent */
