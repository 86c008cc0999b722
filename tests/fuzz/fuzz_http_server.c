/* The HTTP server under any bytes in any pieces: request after request on one connection, with handlers that answer at
 * once, in pieces, later, never, or break off. What must hold: each request that reaches a handler is ended or told
 * gone exactly once, bodies keep to their cap, what the server says begins as an answer and no input shows in its
 * heads, and nothing is left when the client has gone. */
#include "http_line.h"

enum { BODY_MOST = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int handled, ended;
static struct http_request *held;

static void gone(struct http_request *r)
{
    MUST(http_is_gone(r));
    if (held == r)
        held = NULL;
    ended++;
}

static void answer(struct http_request *r)
{
    ended++;
    if (str_find(r->path, STR("s")) >= 0) {
        http_answer_begin(r, 200, "text/plain", NULL);
        http_answer_chunk(r, r->body);
        http_answer_chunk(r, STR("more"));
        http_answer_end(r);
    } else if (str_find(r->path, STR("a")) >= 0) {
        http_answer_abort(r);
    } else {
        const char *const extra[] = {mem_printf(r->ctx, "X-Path: %.*s", STR_FMT(r->path)), NULL};
        http_answer_whole(r, 200, "text/plain", r->body, extra);
    }
}

/* A request that waits is never answered: its client has to leave. */
static void serve(void *arg, struct http_request *r)
{
    (void)arg;
    handled++;
    MUST(r->body.n <= BODY_MOST && r->path.n > 0 && r->field_count <= 100);
    MUST(r->peer.origin == HTTP_BY_UNIX && r->peer.uid == getuid());
    (void)http_query(r, "q");
    if (str_find(r->path, STR("w")) >= 0) {
        http_on_gone(r, gone);
        held = r;
        return;
    }
    answer(r);
}

/* An answer begins at the start; its head has only lines that the server made. */
static void check_answer(struct str out)
{
    struct str rest = out, one;
    if (out.n == 0)
        return;
    MUST(str_starts(out, STR("HTTP/1.1 ")));
    long end = str_find(out, STR("\r\n\r\n"));
    rest = str_sub(out, 0, end < 0 ? out.n : (size_t)end);
    while (str_line(&rest, &one))
        MUST(one.n == 0 || str_starts(one, STR("HTTP/1.1 ")) || str_starts(one, STR("Date: ")) ||
             str_starts(one, STR("Content-")) || str_starts(one, STR("Connection: ")) ||
             str_starts(one, STR("Transfer-Encoding: ")) || str_starts(one, STR("X-Path: ")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf out;
    if (!line.server)
        line_start(serve, BODY_MOST);
    if (size < 1)
        return 0;
    buf_init(&out, ctx, 64 << 20);
    handled = ended = 0;
    struct str in = str_n((const char *)data, size);
    line_talk(STR(""), str_sub(in, 1, in.n), (size_t)data[0] + 1, &out);
    MUST(handled == ended && !held);
    check_answer(buf_view(&out));
    return 0;
}
