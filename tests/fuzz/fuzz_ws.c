/* A WebSocket under any bytes, through the real server: a client opens one, sends the input in pieces and leaves. What
 * must hold: nothing is read beyond the input, texts are well-formed, messages keep to the cap, the server's own frames
 * are whole and unmasked, the end is said exactly once. */
#include "net/ws.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)

enum { MESSAGE_MOST = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct http_server *server;
static struct sockaddr_un at = {.sun_family = AF_UNIX}; /* abstract: no file is left behind */
static socklen_t at_length;
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

static void start(void)
{
    struct http_server_spec spec = {.loop = &loop, .max_body = 1000, .on_request = serve};
    int n = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "nightmill-fuzz-ws-%d", getpid());
    at_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&at, at_length) == 0 && listen(fd, 8) == 0);
    MUST(uv_loop_init(&loop) == 0 && http_server_new(mem_root(), &spec, &server, NULL) == RC_OK);
    MUST(http_server_listen_fd(server, fd, NULL) == RC_OK);
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

static void turn(int fd, struct buf *out)
{
    char block[65536];
    uv_run(&loop, UV_RUN_NOWAIT);
    for (ssize_t n; (n = recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0;)
        buf_add(out, block, (size_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char open_words[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf out;
    if (!server)
        start();
    if (size < 1)
        return 0;
    buf_init(&out, ctx, 64 << 20);
    opened = ended = 0;
    size_t step = (size_t)data[0] + 1; /* the first byte says in which pieces the others come */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&at, at_length) == 0);
    MUST(send(fd, open_words, sizeof open_words - 1, MSG_NOSIGNAL) == (ssize_t)sizeof open_words - 1);
    for (size_t i = 1; i < size; i += step) {
        size_t n = size - i < step ? size - i : step;
        if (send(fd, data + i, n, MSG_NOSIGNAL) < 0)
            break;
        turn(fd, &out);
    }
    turn(fd, &out);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 1000 && http_server_connections(server) > 0; i++)
        turn(fd, &out);
    turn(fd, &out);
    close(fd);
    MUST(http_server_connections(server) == 0);
    MUST(opened == 1 && ended == 1);
    check_frames(buf_view(&out));
    return 0;
}
