/* The server's end of the socket pair to the keeper. */
#include "api/proxy_link.h"
#include "api/server_room.h"
#include "api/terminals.h"
#include "base/log.h"
#include <arpa/inet.h>

struct frame_write {
    uv_write_t req;
    uint32_t length;
    char bytes[];
};

static void frame_written(uv_write_t *req, int status)
{
    (void)status; /* a broken line shows when reading */
    struct frame_write *w = req->data;
    explicit_bzero(w->bytes, ntohl(w->length));
    mem_free(w);
}

void pipe_send_frame(uv_stream_t *stream, struct str payload)
{
    if (uv_is_closing((uv_handle_t *)stream))
        return;
    struct frame_write *w = mem_zalloc(NULL, sizeof *w + payload.n);
    w->req.data = w;
    w->length = htonl((uint32_t)payload.n);
    memcpy(w->bytes, payload.p, payload.n);
    uv_buf_t bufs[2] = {uv_buf_init((char *)&w->length, sizeof w->length), uv_buf_init(w->bytes, (unsigned)payload.n)};
    if (uv_write(&w->req, stream, bufs, 2, frame_written) != 0)
        mem_free(w);
}

void keeper_line_send(struct server *s, struct str frame)
{
    pipe_send_frame((uv_stream_t *)&s->keeper, frame);
}

static void keeper_frame(struct server *s, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (json_parse(tmp, text, &root, NULL) != RC_OK)
        return;
    struct json started = json_get(root, "started"), exited = json_get(root, "exited");
    if (json_is(started))
        runners_started(s, json_z(tmp, json_get(started, "task"), ""), (int)json_int(json_get(started, "pid"), 0));
    if (json_is(exited))
        runners_exited(s, json_z(tmp, json_get(exited, "task"), ""), (int)json_int(json_get(exited, "pid"), 0),
                       (int)json_int(json_get(exited, "status"), 0));
    struct json terminal = json_get(root, "terminal_ended");
    if (json_is(terminal))
        terminals_ended(s, json_z(tmp, json_get(terminal, "task"), ""), json_z(tmp, json_get(terminal, "session"), ""),
                        (int)json_int(json_get(terminal, "pid"), 0), (int)json_int(json_get(terminal, "status"), 0));
    struct json proxy = json_get(root, "proxy_ended");
    if (json_is(proxy))
        proxy_line_ended(s, (int)json_int(json_get(proxy, "pid"), 0), (int)json_int(json_get(proxy, "status"), 0));
    if (json_is(json_get(root, "credentials")))
        credentials_take(s, json_get(root, "credentials"));
}

static void keeper_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static char bytes[65536]; /* one reader, consumed before the next read */
    (void)h;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void keeper_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct server *s = stream->data;
    struct err err = {0};
    struct str frame;
    if (got == 0)
        return;
    if (got < 0 || frame_feed(&s->keeper_in, buf->base, (size_t)got, &err) != RC_OK) {
        log_warn("the keeper is gone: the server ends");
        uv_stop(&s->uv);
        return;
    }
    while (frame_take(&s->keeper_in, &frame, &err) == RC_OK)
        keeper_frame(s, frame);
}

enum rc keeper_line_open(struct server *s, struct err *err)
{
    frame_reader_init(&s->keeper_in, s->ctx);
    s->keeper.data = s;
    if (uv_pipe_init(&s->uv, &s->keeper, 0) != 0 || uv_pipe_open(&s->keeper, s->place->keeper_fd) != 0 ||
        uv_read_start((uv_stream_t *)&s->keeper, keeper_alloc, keeper_read) != 0)
        return err_set(err, RC_UNAVAILABLE, "the server has no keeper");
    return RC_OK;
}
