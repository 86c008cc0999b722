/* One HTTP/1.1 exchange over a Unix socket, blocking, waited for together with the caller's cancel descriptor.
 *
 * The peer is our own daemon of the same user: the reader is strict and capped, but knows no more of RFC 9112 than
 * answers need: interim answers, Content-Length, chunked, an end by closing. Not here: retries. */
#include "net/client_unix.h"
#include "base/clock.h"
#include "net/http_parse.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD_MAX = 256 << 10, BODY_DEFAULT = 64 << 20, PIECE = 64 << 10, BUSY_MS = 10 };

enum phase { PHASE_HEAD, PHASE_LENGTH, PHASE_CHUNKS, PHASE_TO_END, PHASE_WHOLE };
struct exchange {
    const struct client_spec *spec;
    int fd;
    int64_t until;
    struct buf out; /* what is still to be sent */
    struct buf in;  /* what was not yet read as head or body */
    struct buf body;
    enum phase phase;
    int status;
    struct str headers; /* in the caller's context */
    uint64_t left;
    struct http_chunked chunks;
    bool ended; /* the peer's last byte was read */
    struct err *err;
};

/* RC_OK: something is ready; events as poll's. */
static enum rc exchange_wait(struct exchange *x, short events, int most_ms)
{
    struct pollfd fds[] = {{.fd = x->fd, .events = events}, {.fd = x->spec->cancel_fd, .events = POLLIN}};
    for (;;) {
        int64_t left = x->until - clock_mono_ms();
        if (left <= 0)
            return err_set(x->err, RC_TIMEOUT, "%s gave no whole answer within %d ms.", x->spec->unix_socket,
                           x->spec->timeout_ms);
        int n = poll(fds, 2, left < most_ms ? (int)left : most_ms);
        if (n < 0 && errno != EINTR)
            return err_sys(x->err, errno, "Could not wait for %s", x->spec->unix_socket);
        if (n > 0 && fds[1].revents)
            return err_set(x->err, RC_CANCELLED, "The request was given up.");
        if (n >= 0)
            return RC_OK;
    }
}

static enum rc exchange_connect(struct exchange *x)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = strlen(x->spec->unix_socket);
    if (n >= sizeof to.sun_path)
        return err_set(x->err, RC_INVALID, "The socket's path is too long: %s.", x->spec->unix_socket);
    memcpy(to.sun_path, x->spec->unix_socket, n + 1);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (x->fd < 0)
        return err_sys(x->err, errno, "Could not make a socket");
    for (;;) {
        enum rc rc = exchange_wait(x, 0, 0); /* a cancel that is there already comes first */
        if (rc != RC_OK)
            return rc;
        if (connect(x->fd, (struct sockaddr *)&to, sizeof to) == 0)
            return RC_OK;
        if (errno != EAGAIN && errno != EINTR) { /* EAGAIN: the listener's queue is full */
            err_set(x->err, RC_UNAVAILABLE, "%s cannot be reached.", x->spec->unix_socket);
            return err_detail(x->err, "%s", strerror(errno));
        }
        struct pollfd cancel = {.fd = x->spec->cancel_fd, .events = POLLIN};
        poll(&cancel, 1, BUSY_MS);
    }
}

/* Path and query of "http://localhost/path". */
static enum rc target_read(const struct client_spec *spec, struct str *ret, struct err *err)
{
    static const char scheme[] = "http://";
    struct str url = str_of(spec->url ? spec->url : "");
    if (!spec->method || !http_is_token(str_of(spec->method)))
        return err_set(err, RC_INVALID, "A request needs a method.");
    const char *slash = str_starts(url, str_of(scheme)) ? strchr(url.p + sizeof scheme - 1, '/') : NULL;
    for (size_t i = 0; slash && i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 127)
            slash = NULL;
    if (!slash)
        return err_set(err, RC_INVALID, "A server's address is not an http URL.");
    *ret = str_of(slash);
    return RC_OK;
}

static enum rc request_write(struct exchange *x)
{
    const struct client_spec *spec = x->spec;
    struct str target = STR("");
    enum rc rc = target_read(spec, &target, x->err);
    if (rc != RC_OK)
        return rc;
    buf_printf(&x->out, "%s %.*s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", spec->method, STR_FMT(target));
    if (spec->body.n || strcmp(spec->method, "GET") != 0)
        buf_printf(&x->out, "Content-Length: %zu\r\n", spec->body.n);
    for (const char *const *h = spec->headers; h && *h; h++) {
        if (!http_is_line(str_of(*h)))
            return err_set(x->err, RC_INVALID, "A header line of the request is malformed.");
        buf_printf(&x->out, "%s\r\n", *h);
    }
    buf_z(&x->out, "\r\n");
    buf_str(&x->out, spec->body);
    return RC_OK;
}

/* ---- the answer ---- */

static enum rc nonsense(struct exchange *x, const char *what)
{
    return err_set(x->err, RC_UPSTREAM, "%s gave an answer that cannot be read: %s.", x->spec->unix_socket, what);
}

static enum rc framing_read(struct exchange *x)
{
    struct str value;
    int64_t length;
    if (x->status == 204 || x->status == 304 || strcmp(x->spec->method, "HEAD") == 0) {
        x->phase = PHASE_WHOLE;
    } else if (http_block_find(x->headers, "transfer-encoding", &value)) {
        if (!str_ieq(value, STR("chunked")))
            return nonsense(x, "an unknown transfer encoding");
        x->phase = PHASE_CHUNKS;
    } else if (http_block_find(x->headers, "content-length", &value)) {
        if (!str_int(value, 0, INT64_MAX, &length))
            return nonsense(x, "a wrong Content-Length");
        x->left = (uint64_t)length;
        x->phase = length ? PHASE_LENGTH : PHASE_WHOLE;
    } else {
        x->phase = PHASE_TO_END;
    }
    return RC_OK;
}

/* RC_AGAIN: the head is not whole yet. Interim answers (1xx) are passed over. */
static enum rc head_read(mem *ctx, struct exchange *x)
{
    for (;;) {
        struct str all = buf_view(&x->in), line;
        long end = str_find(all, STR("\r\n\r\n"));
        if (end < 0)
            return all.n < HEAD_MAX ? RC_AGAIN
                                    : err_set(x->err, RC_LIMIT, "The answer of %s has a head that is too large.",
                                              x->spec->unix_socket);
        struct str head = str_n(all.p, (size_t)end + 2);
        int64_t status = 0;
        str_line(&head, &line);
        if (line.n < 12 || !str_starts(line, STR("HTTP/1.")) || !str_int(str_sub(line, 9, 3), 100, 599, &status))
            return nonsense(x, "no HTTP/1 status line");
        if (status >= 200) {
            x->status = (int)status;
            x->headers = str_n(mem_strn(ctx, head.p, head.n), head.n);
            buf_drop(&x->in, (size_t)end + 4);
            return framing_read(x);
        }
        buf_drop(&x->in, (size_t)end + 4);
    }
}

static enum rc piece_take(struct exchange *x, struct str piece)
{
    if (!piece.n)
        return RC_OK;
    if (x->spec->on_body && x->status >= 200 && x->status < 300)
        return x->spec->on_body(x->spec->arg, piece) ? RC_OK
                                                     : err_set(x->err, RC_CANCELLED, "The request was given up.");
    return buf_str(&x->body, piece) ? RC_OK
                                    : err_set(x->err, RC_LIMIT, "The answer of %s is larger than %zu bytes.",
                                              x->spec->unix_socket, x->body.max);
}

static enum rc chunks_read(struct exchange *x)
{
    struct str in = buf_view(&x->in), piece;
    for (;;) {
        enum rc rc = http_chunked_take(&x->chunks, &in, &piece, x->err);
        if (rc == RC_AGAIN)
            break;
        if (rc != RC_OK)
            return rc == RC_INVALID ? nonsense(x, "malformed chunks") : rc;
        if (x->chunks.state == CHUNK_END && !piece.n) {
            x->phase = PHASE_WHOLE;
            break;
        }
        rc = piece_take(x, piece);
        if (rc != RC_OK)
            return rc;
    }
    buf_clear(&x->in);
    return RC_OK;
}

static enum rc body_read(struct exchange *x)
{
    enum rc rc = RC_OK;
    struct str in = buf_view(&x->in);
    if (x->phase == PHASE_CHUNKS)
        return chunks_read(x);
    if (x->phase == PHASE_LENGTH) {
        in.n = in.n < x->left ? in.n : (size_t)x->left;
        rc = piece_take(x, in);
        x->left -= in.n;
        if (rc == RC_OK && x->left == 0)
            x->phase = PHASE_WHOLE;
    } else if (x->phase == PHASE_TO_END) {
        rc = piece_take(x, in);
        if (rc == RC_OK && x->ended)
            x->phase = PHASE_WHOLE;
    }
    buf_clear(&x->in);
    return rc;
}

/* What the socket gives and takes now. */
static enum rc exchange_move(struct exchange *x)
{
    if (x->out.n) {
        ssize_t n = send(x->fd, x->out.p, x->out.n, MSG_NOSIGNAL);
        if (n > 0)
            buf_drop(&x->out, (size_t)n);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            buf_clear(&x->out); /* an answer may be there all the same */
    }
    char *room = buf_reserve(&x->in, PIECE);
    if (!room)
        return RC_OK;
    ssize_t n = read(x->fd, room, PIECE);
    if (n > 0)
        buf_advance(&x->in, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        x->ended = true;
    return RC_OK;
}

static enum rc exchange_run(mem *ctx, struct exchange *x)
{
    while (x->phase != PHASE_WHOLE) {
        if (x->ended) {
            const char *how =
                x->status ? "%s broke off in the middle of its answer." : "%s closed the connection without an answer.";
            return err_set(x->err, x->status ? RC_UPSTREAM : RC_UNAVAILABLE, how, x->spec->unix_socket);
        }
        enum rc rc = exchange_wait(x, x->out.n ? POLLIN | POLLOUT : POLLIN, 60000);
        if (rc == RC_OK)
            rc = exchange_move(x);
        if (rc == RC_OK && x->phase == PHASE_HEAD)
            rc = head_read(ctx, x);
        if (rc == RC_OK && x->phase != PHASE_HEAD && x->phase != PHASE_WHOLE)
            rc = body_read(x);
        if (rc != RC_OK && rc != RC_AGAIN)
            return rc;
    }
    return RC_OK;
}

enum rc client_unix_call(mem *ctx, const struct client_spec *spec, struct client_answer *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct exchange x = {.spec = spec,
                         .fd = -1,
                         .until = spec->timeout_ms > 0 ? clock_mono_ms() + spec->timeout_ms : INT64_MAX,
                         .headers = STR(""),
                         .err = err};
    buf_init(&x.out, tmp, SIZE_MAX / 4);
    buf_init(&x.in, tmp, HEAD_MAX + PIECE);
    buf_init(&x.body, tmp, spec->max_body ? spec->max_body : BODY_DEFAULT);
    enum rc rc = request_write(&x);
    if (rc == RC_OK)
        rc = exchange_connect(&x);
    if (rc == RC_OK)
        rc = exchange_run(ctx, &x);
    if (x.fd >= 0)
        close(x.fd);
    *ret = (struct client_answer){.status = x.status, .headers = x.headers};
    ret->body.n = x.body.n;
    ret->body.p = buf_take(&x.body, ctx);
    return rc;
}
