/* The parts of the HTTP/1.1 grammar that are pure functions: used by the server, its tests and the fuzz targets.
 *
 * Caps are constants of the protocol's shape; what a deployment may tune is in http.h. Threads: no state. */
#pragma once
#include "net/http.h"

enum {
    HTTP_MAX_LINE = 8 << 10,  /* request line, without CRLF */
    HTTP_MAX_HEAD = 64 << 10, /* whole head, with the empty line */
    HTTP_MAX_FIELDS = 100,
    HTTP_MAX_METHOD = 32,
    HTTP_MAX_FRAMING = 16 << 10, /* chunk extensions and trailers of one body, together */
};

bool http_is_token(struct str s);   /* RFC 9110 token, not empty */
bool http_is_value(struct str s);   /* no control bytes but HTAB */
bool http_is_line(struct str line); /* "Name: value", fit to be sent */

/* Decoder of one chunked body (RFC 9112 section 7.1). Sizes are plain hexadecimal digits, lines end with CRLF,
 * extensions and trailers are checked and dropped; a trailer about framing or the Host is refused. */
enum http_chunk_state {
    CHUNK_SIZE,   /* first digit of a size */
    CHUNK_DIGITS, /* further digits */
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* first byte of a trailer line */
    CHUNK_NAME,
    CHUNK_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_END,
};
struct http_chunked {
    enum http_chunk_state state; /* zero-initialise to begin */
    uint64_t left;               /* data bytes left in this chunk */
    unsigned digits;
    size_t framing;    /* bytes of extensions and trailers so far */
    size_t name_n;     /* letters of a trailer's name so far */
    unsigned name_may; /* which of the refused names it may become */
};
/* Takes bytes off the front of *in until a piece of data was found (RC_OK, view into the input), the body has ended
 * (RC_OK, empty piece, state CHUNK_END; bytes behind it are left) or more is needed (RC_AGAIN, input used up).
 * RC_INVALID: malformed; RC_LIMIT: too much framing. */
MUST_USE enum rc http_chunked_take(struct http_chunked *d, struct str *in, struct str *ret_piece, struct err *err);

/* Splits a target: origin form, or "*" for OPTIONS; never for CONNECT. The path is percent-decoded, in ctx; the query
 * is a view into the target. RC_INVALID: another form, a broken escape, NUL or a ".." segment. */
MUST_USE enum rc http_target_split(mem *ctx, struct str method, struct str target, struct str *ret_path,
                                   struct str *ret_query, struct err *err);
/* Percent-decoding; plus: '+' is a blank (forms). NUL-terminated, in ctx; false when an escape is broken. */
bool http_percent_decode(mem *ctx, struct str s, bool plus, struct str *ret);

/* The head of an answer. The first finds its end: *scanned is 0 at first and kept between calls over a growing `in`;
 * RC_AGAIN: not there yet; RC_INVALID: it can never be one. The second reads a whole one; `fields` is a view of the
 * lines behind the status line. Sentences are bare reasons. */
struct http_answer_head {
    int status, minor_version;
    int64_t content_length; /* -1: none */
    bool chunked;
    bool keep_alive;
    bool close, keep; /* words of Connection */
    struct str fields;
};
MUST_USE enum rc http_answer_head_find(struct str in, size_t *scanned, size_t *ret_length, struct err *err);
MUST_USE enum rc http_answer_head_parse(struct str head, struct http_answer_head *ret, struct err *err);
