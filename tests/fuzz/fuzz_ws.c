/* A WebSocket under any bytes, through the real server: a client opens one, sends the input in pieces and leaves. What
 * must hold: nothing is read beyond the input, texts are well-formed, messages keep to the cap, the server's own frames
 * are whole and unmasked, the end is said exactly once. */
#include "http_line.h"
#include "net/ws.h"

enum { MESSAGE_MOST = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int opened, ended;

static void message(void *arg, struct ws *ws, bool text, struct str bytes)
{
    (void)arg;
    MUST(bytes.n <= MESSAGE_MOST);
    MUST(!text || str_utf8(bytes));
    if (bytes.n > 0 && bytes.p[0] == '!')
        ws_close(ws, 1000, "asked for");
    else
        ws_send(ws, text, bytes);
}

static void gone(void *arg, struct ws *ws, int code)
{
    (void)arg, (void)ws;
    MUST(code >= 1000 && code < 5000);
    ended++;
}

static void serve(void *arg, struct http_request *r)
{
    static const struct ws_spec spec = {.max_message = MESSAGE_MOST, .on_message = message, .on_gone = gone};
    struct ws *ws;
    (void)arg;
    MUST(ws_accept(r, &spec, &ws, NULL) == RC_OK);
    opened++;
}

/* What the server sent behind its head: whole frames, FIN set, no mask, no reserved bits; the last may be cut. */
static void check_frames(struct str out)
{
    long head = str_find(out, STR("\r\n\r\n"));
    MUST(str_starts(out, STR("HTTP/1.1 101 ")) && head > 0);
    out = str_sub(out, (size_t)head + 4, out.n);
    while (out.n >= 2) {
        unsigned char first = (unsigned char)out.p[0], second = (unsigned char)out.p[1];
        size_t length = second, at_byte = 2;
        MUST((first & 0xf0) == 0x80 && second < 127);
        if (second == 126 && out.n < 4)
            return;
        if (second == 126) {
            length = (size_t)((unsigned char)out.p[2] << 8 | (unsigned char)out.p[3]);
            at_byte = 4;
        }
        MUST(length <= MESSAGE_MOST);
        out = str_sub(out, at_byte + length, out.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char open_words[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf out;
    if (!line.server)
        line_start(serve, 1000);
    if (size < 1)
        return 0;
    buf_init(&out, ctx, 64 << 20);
    opened = ended = 0;
    struct str in = str_n((const char *)data, size); /* the first byte says in which pieces the others come */
    line_talk(str_n(open_words, sizeof open_words - 1), str_sub(in, 1, in.n), (size_t)data[0] + 1, &out);
    MUST(opened == 1 && ended == 1);
    check_frames(buf_view(&out));
    return 0;
}
