/* How a libcurl transfer of the blocking client (client.c) is set up and what its end means. Private to this room.
 *
 * Every transfer: http and https only, HTTP/1.1, no redirects, no proxy and no credentials from the environment, no
 * compression asked for, no "Expect: 100-continue", and a removal that never waits for a slow resolver. Words about
 * failures name the origin (scheme, host, port) only: paths and queries may hold secrets. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "net/curl_lib.h"

enum { EASY_MAX_HEAD = 256 << 10 };

struct easy_spec {
    const char *method, *url;
    const char *const *headers;
    struct str body; /* must live as long as the transfer */
};
struct easy {
    CURL *curl;
    struct curl_slist *lines;
    char *origin;    /* for words */
    struct buf head; /* raw block of the final answer's head */
    int status;      /* of the final answer; 0: not there yet */
    int framings;    /* fields of the head that say where the body ends */
    bool head_done;
    bool repeatable; /* may be sent twice: a request that changes and costs nothing */
    char words[CURL_ERROR_SIZE];
    void *owner;
    /* The final head is complete. false: fail the transfer. */
    bool (*on_head)(void *owner);
    /* libcurl's write callback: bytes taken, or CURL_WRITEFUNC_PAUSE. */
    size_t (*on_body)(void *owner, struct str bytes);
};
/* Sets e->curl (fresh or reset) up; e: zeroed but for curl, owner and callbacks. RC_INVALID: the spec is wrong. */
MUST_USE enum rc easy_prepare(mem *ctx, struct easy *e, const struct easy_spec *spec, struct err *err);
void easy_done(struct easy *e); /* frees what prepare made, not curl */
/* RC_OK for a whole answer; RC_UNAVAILABLE: no request went out; RC_UPSTREAM: it broke off after that; RC_LIMIT: the
 * head is too large. What a callback ended is the owner's to explain before asking here. */
MUST_USE enum rc easy_judge(const struct easy *e, CURLcode code, struct err *err);
