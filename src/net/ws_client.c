/* The client's side of a WebSocket; promises are in ws_client.h. */
#include "net/ws_client.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/http.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wslay/wslay.h>

enum { HEAD_MOST = 64 << 10, BODY_MOST = 64 << 10, MESSAGE_MOST = 16 << 20, READ_SIZE = 64 << 10, CODE_LEFT = 1006 };

struct ws_client {
    struct ws_client_spec spec;
    int fd;
    wslay_event_context_ptr frames;
    struct buf early; /* came with the head of the answer */
    size_t early_taken;
    bool ended;
};

static int client_free(struct ws_client *c)
{
    if (c->frames)
        wslay_event_context_free(c->frames);
    if (c->fd >= 0)
        close(c->fd);
    return 0;
}

/* ---- the socket ---- */

static enum rc socket_open(const char *path, int *ret, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof a.sun_path)
        return err_sys(err, fd < 0 ? errno : ENAMETOOLONG, "could not make a socket");
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return err_set(err, RC_UNAVAILABLE, "the daemon does not answer");
    *ret = fd_take(&fd);
    return RC_OK;
}

static bool send_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = str_sub(bytes, (size_t)n, bytes.n);
    }
    return true;
}

/* Adds what comes until the deadline. False: nothing came, or the end. */
static bool receive_some(int fd, int64_t until_ms, struct buf *b)
{
    int64_t left = until_ms - clock_mono_ms();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char *room = buf_reserve(b, READ_SIZE);
    if (!room || left <= 0 || poll(&p, 1, (int)left) <= 0)
        return false;
    ssize_t n = recv(fd, room, READ_SIZE, 0);
    if (n <= 0)
        return false;
    buf_advance(b, (size_t)n);
    return true;
}

/* ---- wslay's callbacks ---- */

static ssize_t frames_read(wslay_event_context_ptr frames, uint8_t *to, size_t most, int flags, void *user)
{
    struct ws_client *c = user;
    (void)flags;
    size_t early = c->early.n - c->early_taken;
    if (early) {
        size_t n = early < most ? early : most;
        memcpy(to, c->early.p + c->early_taken, n);
        c->early_taken += n;
        return (ssize_t)n;
    }
    ssize_t n = recv(c->fd, to, most, MSG_DONTWAIT);
    if (n > 0)
        return n;
    wslay_event_set_error(frames, n < 0 && (errno == EAGAIN || errno == EINTR) ? WSLAY_ERR_WOULDBLOCK
                                                                               : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t frames_write(wslay_event_context_ptr frames, const uint8_t *from, size_t n, int flags, void *user)
{
    struct ws_client *c = user;
    (void)flags;
    if (send_all(c->fd, str_n((const char *)from, n)))
        return (ssize_t)n;
    wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int mask_make(wslay_event_context_ptr frames, uint8_t *to, size_t n, void *user)
{
    (void)frames, (void)user;
    return getrandom(to, n, 0) == (ssize_t)n ? 0 : -1;
}

static void message_whole(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *m, void *user)
{
    struct ws_client *c = user;
    (void)frames;
    if (!wslay_is_ctrl_frame(m->opcode))
        c->spec.on_message(c->spec.arg, m->opcode == WSLAY_TEXT_FRAME, str_n((const char *)m->msg, m->msg_length));
}

static const struct wslay_event_callbacks frame_calls = {.recv_callback = frames_read,
                                                         .send_callback = frames_write,
                                                         .genmask_callback = mask_make,
                                                         .on_msg_recv_callback = message_whole};

/* ---- the handshake ---- */

/* The daemon of the same user at its own socket: who answers there is not doubted, so the key's echo is not checked. */
static enum rc handshake(mem *ctx, struct ws_client *c, int *ret_status, struct str *ret_body, struct err *err)
{
    char key[16];
    int64_t until = clock_mono_ms() + c->spec.timeout_ms;
    BUG_ON(getrandom(key, sizeof key, 0) != (ssize_t)sizeof key);
    const char *ask =
        mem_printf(ctx,
                   "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                   c->spec.path, text_base64(ctx, str_n(key, sizeof key)), c->spec.protocol);
    struct str line;
    long end = -1;
    if (!send_all(c->fd, str_of(ask)))
        return err_set(err, RC_UNAVAILABLE, "the daemon does not answer");
    while ((end = str_find(buf_view(&c->early), STR("\r\n\r\n"))) < 0)
        if (!receive_some(c->fd, until, &c->early))
            return err_set(err, RC_UNAVAILABLE, "the daemon does not answer");
    struct str head = str_n(c->early.p, (size_t)end), rest = head;
    int64_t status = 0;
    if (!str_line(&rest, &line) || !str_starts(line, STR("HTTP/1.1 ")) ||
        !str_int(str_sub(line, 9, 3), 100, 599, &status))
        return err_set(err, RC_UPSTREAM, "the daemon's answer could not be read");
    c->early_taken = (size_t)end + 4;
    if (status == 101)
        return RC_OK;
    struct str length;
    int64_t n = 0;
    if (!http_block_find(rest, "content-length", &length) || !str_int(length, 0, BODY_MOST, &n))
        n = 0;
    while (c->early.n - c->early_taken < (size_t)n && receive_some(c->fd, until, &c->early))
        continue;
    *ret_status = (int)status;
    *ret_body = str_of(str_dup(ctx, str_sub(buf_view(&c->early), c->early_taken, (size_t)n)));
    return err_set(err, RC_UPSTREAM, "the daemon refuses with status %d", (int)status);
}

enum rc ws_client_open(mem *ctx, const struct ws_client_spec *spec, struct ws_client **ret, int *ret_status,
                       struct str *ret_body, struct err *err)
{
    struct ws_client *c = mem_new(ctx, struct ws_client);
    c->spec = *spec;
    c->fd = -1;
    *ret_status = 0;
    talloc_set_destructor(c, client_free);
    buf_init(&c->early, c, HEAD_MOST + BODY_MOST + READ_SIZE);
    enum rc rc = socket_open(spec->unix_socket, &c->fd, err);
    if (rc == RC_OK)
        rc = handshake(ctx, c, ret_status, ret_body, err);
    if (rc != RC_OK) {
        mem_free(c);
        return rc;
    }
    BUG_ON(wslay_event_context_client_init(&c->frames, &frame_calls, c) != 0);
    wslay_event_config_set_max_recv_msg_length(c->frames, MESSAGE_MOST);
    *ret = c;
    return RC_OK;
}

int ws_client_fd(const struct ws_client *c)
{
    return c->fd;
}

enum rc ws_client_read(struct ws_client *c, struct err *err)
{
    bool sound = !c->ended && wslay_event_recv(c->frames) == 0 && wslay_event_send(c->frames) == 0;
    if (sound && !wslay_event_get_close_received(c->frames))
        return RC_OK;
    c->ended = true;
    return err_set(err, RC_UNAVAILABLE, "the connection has ended");
}

enum rc ws_client_send(struct ws_client *c, bool text, struct str bytes, struct err *err)
{
    struct wslay_event_msg m = {
        .opcode = text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, .msg = (const uint8_t *)bytes.p, .msg_length = bytes.n};
    if (!c->ended && wslay_event_queue_msg(c->frames, &m) == 0 && wslay_event_send(c->frames) == 0)
        return RC_OK;
    return err_set(err, RC_UNAVAILABLE, "the connection has ended");
}

int ws_client_code(const struct ws_client *c)
{
    return wslay_event_get_close_received(c->frames) ? wslay_event_get_status_code_received(c->frames) : CODE_LEFT;
}

struct ws_client *ws_client_close(struct ws_client *c)
{
    return mem_free(c);
}
