/* What the egress proxy reads from both sides, under any bytes: names of hosts, heads of answers, what a request asks
 * for and how it goes on. What must hold: a name that is taken is canonical and is taken again as itself; a verdict
 * over a prefix holds for the whole; what is passed on is a head that our own parser takes, for the same host. */
#include "proxy/head.h"
#include <string.h>

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hostname_try(struct str in)
{
    struct hostname a, b;
    char text[300];
    uint16_t port = 443;
    if (hostname_parse_port(in, &a, &port, NULL) != RC_OK) {
        MUST(!a.text[0]);
        return;
    }
    MUST(a.text[0] && port);
    for (const char *c = a.text; *c; c++)
        MUST(strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_:", *c));
    hostname_show(&a, port, 443, text);
    MUST(hostname_parse_port(str_of(text), &b, &port, NULL) == RC_OK && strcmp(a.text, b.text) == 0 &&
         a.kind == b.kind);
}

static void reply_try(mem *ctx, struct str in)
{
    struct http_reply r;
    size_t n, m;
    enum rc rc = http_reply_parse(ctx, in, STR("GET"), &r, &n, NULL);
    enum rc half = http_reply_parse(ctx, str_sub(in, 0, in.n / 2), STR("GET"), &r, &m, NULL);
    MUST(half == RC_AGAIN || half == rc);
    if (rc != RC_OK)
        return;
    struct buf out;
    struct http_reply again;
    MUST(http_reply_parse(ctx, in, STR("GET"), &r, &n, NULL) == RC_OK && n <= in.n && r.length >= 0);
    buf_init(&out, ctx, 4 * HTTP_MAX_HEAD);
    enum body_way way = r.body == REPLY_CHUNKED ? BODY_CHUNKS : r.body == REPLY_CLOSE ? BODY_CHUNK : BODY_NONE;
    head_answer(&r, way, true, 1, &out);
    MUST(out.n &&
         (out.n > HTTP_MAX_HEAD || http_reply_parse(ctx, buf_view(&out), STR("GET"), &again, &m, NULL) == RC_OK));
}

static void request_try(mem *ctx, struct str in, const struct hostname *inside)
{
    struct http_head h, again;
    struct ask ask, same;
    struct buf out;
    size_t n;
    int found;
    if (http_head_parse(ctx, in, &h, &n, NULL) != RC_OK || head_ask(&h, inside, 443, &ask, NULL) != RC_OK)
        return;
    MUST(ask.host.text[0] && ask.port);
    if (ask.form == ASK_CONNECT)
        return;
    static const struct policy none;
    struct swap swap = {&none, NULL, &ask.host, ask.port};
    buf_init(&out, ctx, 4 * HTTP_MAX_HEAD);
    head_request(ctx, &h, &ask, &swap, head_is_websocket(&h), -1, &out, &found);
    MUST(found == -1);
    if (out.n > HTTP_MAX_HEAD || http_head_parse(ctx, buf_view(&out), &again, &n, NULL) != RC_OK)
        return; /* too many fields or too long, now that some are added: the server says so */
    MUST(n == out.n && again.chunked == h.chunked && again.content_length == h.content_length);
    if (ask.form == ASK_ORIGIN)
        MUST(head_ask(&again, &ask.host, ask.port, &same, NULL) == RC_OK && strcmp(same.host.text, ask.host.text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str in = str_n(memcpy(mem_zalloc(ctx, size ? size : 1), data, size), size);
    struct hostname inside;
    if (size > 2 * HTTP_MAX_HEAD)
        return 0;
    MUST(hostname_parse(STR("api.test"), &inside, NULL) == RC_OK);
    hostname_try(in);
    reply_try(ctx, in);
    request_try(ctx, in, NULL);
    request_try(ctx, in, &inside);
    return 0;
}
