/* Frames on stream sockets; the format is in frame.h. Not here: what a frame says. */
#include "os/frame.h"
#include "base/clock.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 4, STALL_MS = 60000, FEED_MAX = 1 << 20 };

static void length_put(unsigned char *p, size_t n)
{
    for (int i = 0; i < HEAD; i++)
        p[i] = (unsigned char)(n >> (8 * (HEAD - 1 - i)));
}

static size_t length_get(const void *p)
{
    const unsigned char *b = p;
    return (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
}

/* until: monotonic ms, INT64_MAX for ever. False: the time is over. A hang-up counts as ready: the call then says so.
 */
static bool ready_wait(int sock, short events, int64_t until)
{
    for (;;) {
        struct pollfd p = {.fd = sock, .events = events};
        int64_t left = until - clock_mono_ms();
        if (left < 0)
            left = 0;
        int n = poll(&p, 1, until == INT64_MAX ? -1 : left > STALL_MS ? STALL_MS : (int)left);
        if (n > 0)
            return true;
        if ((n == 0 || errno == EINTR) && clock_mono_ms() < until)
            continue;
        if (n < 0 && errno != EINTR)
            return true; /* the socket itself is bad: the call that follows fails with the reason */
        return false;
    }
}

static bool errno_is_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static enum rc peer_gone(struct err *err)
{
    return err_set(err, RC_UNAVAILABLE, "The other process closed the connection.");
}

/* --- sending --------------------------------------------------------------------------------------------------------
 */

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int) * FRAME_FDS)];
};

static void fds_attach(struct msghdr *m, union control *control, const int *fds, int fd_count)
{
    memset(control, 0, sizeof *control);
    m->msg_control = control->space;
    m->msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fd_count);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fd_count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)fd_count);
}

static void message_advance(struct msghdr *m, size_t n)
{
    m->msg_control = NULL; /* went with the first byte */
    m->msg_controllen = 0;
    while (m->msg_iovlen > 0 && n >= m->msg_iov->iov_len) {
        n -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (m->msg_iovlen > 0) {
        m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
        m->msg_iov->iov_len -= n;
    }
}

enum rc frame_send(int sock, struct str payload, const int *fds, int fd_count, struct err *err)
{
    unsigned char head[HEAD];
    union control control;
    if (payload.n > FRAME_MAX)
        return err_set(err, RC_LIMIT, "A message to another process is too large (%zu bytes).", payload.n);
    BUG_ON(fd_count < 0 || fd_count > FRAME_FDS);
    length_put(head, payload.n);
    struct iovec parts[2] = {{head, HEAD}, {(void *)(uintptr_t)payload.p, payload.n}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = payload.n ? 2 : 1};
    if (fd_count > 0)
        fds_attach(&m, &control, fds, fd_count);
    while (m.msg_iovlen > 0) {
        ssize_t n = sendmsg(sock, &m, MSG_NOSIGNAL);
        if (n >= 0)
            message_advance(&m, (size_t)n);
        else if (errno == EPIPE || errno == ECONNRESET)
            return peer_gone(err);
        else if (!errno_is_wait())
            return err_sys(err, errno, "A message to another process could not be sent.");
        else
            (void)ready_wait(sock, POLLOUT, INT64_MAX);
    }
    return RC_OK;
}

/* --- receiving ------------------------------------------------------------------------------------------------------
 */

struct arrived {
    int fds[FRAME_FDS];
    int count;
};

static void arrived_close(struct arrived *a)
{
    while (a->count > 0)
        close(a->fds[--a->count]);
}

static void arrived_collect(struct msghdr *m, struct arrived *a)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (a->count < FRAME_FDS)
                a->fds[a->count++] = fd;
            else
                close(fd);
        }
    }
}

/* The first bytes of a frame, with whatever rides on them. *ret_n: bytes read, 0 at the end of the stream. */
static enum rc start_recv(int sock, void *p, size_t size, struct arrived *a, size_t *ret_n, struct err *err)
{
    union control control;
    struct iovec part = {p, size};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno_is_wait())
        return RC_AGAIN;
    if (n < 0 && errno == ECONNRESET)
        n = 0;
    if (n < 0)
        return err_sys(err, errno, "A message of another process could not be read.");
    arrived_collect(&m, a);
    *ret_n = (size_t)n;
    if (m.msg_flags & MSG_CTRUNC)
        return err_set(err, RC_INVALID, "Another process sent too many descriptors at once.");
    return RC_OK;
}

/* The rest: until it is all here, or the peer ends or stalls. */
static enum rc rest_recv(int sock, char *p, size_t n, struct err *err)
{
    while (n > 0) {
        ssize_t got = recv(sock, p, n, MSG_DONTWAIT);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (got == 0 || errno == ECONNRESET) {
            return peer_gone(err);
        } else if (!errno_is_wait()) {
            return err_sys(err, errno, "A message of another process could not be read.");
        } else if (!ready_wait(sock, POLLIN, clock_mono_ms() + STALL_MS)) {
            return err_set(err, RC_UNAVAILABLE, "Another process stopped in the middle of a message.");
        }
    }
    return RC_OK;
}

static enum rc length_check(size_t n, struct err *err)
{
    return n <= FRAME_MAX ? RC_OK : err_set(err, RC_INVALID, "Another process announced a message of %zu bytes.", n);
}

static enum rc frame_rest(mem *ctx, int sock, unsigned char *head, size_t have, struct str *ret, struct err *err)
{
    enum rc rc = rest_recv(sock, (char *)head + have, HEAD - have, err);
    size_t n = length_get(head);
    if (rc == RC_OK)
        rc = length_check(n, err);
    if (rc != RC_OK)
        return rc;
    char *payload = mem_array(ctx, char, n + 1);
    rc = rest_recv(sock, payload, n, err);
    if (rc == RC_OK)
        *ret = str_n(payload, n);
    else
        mem_free(payload);
    return rc;
}

enum rc frame_recv(mem *ctx, int sock, int timeout_ms, struct str *ret, int *ret_fds, int *ret_fd_count,
                   struct err *err)
{
    unsigned char head[HEAD];
    struct arrived a = {.count = 0};
    size_t have = 0;
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
    enum rc rc;
    while ((rc = start_recv(sock, head, HEAD, &a, &have, err)) == RC_AGAIN)
        if (!ready_wait(sock, POLLIN, until))
            return err_set(err, RC_TIMEOUT, "Another process said nothing within %d ms.", timeout_ms);
    if (rc == RC_OK && have == 0)
        rc = peer_gone(err);
    if (rc == RC_OK)
        rc = frame_rest(ctx, sock, head, have, ret, err);
    if (rc != RC_OK || !ret_fds)
        arrived_close(&a);
    for (int i = 0; i < a.count; i++)
        ret_fds[i] = a.fds[i];
    if (ret_fd_count)
        *ret_fd_count = a.count;
    return rc;
}

/* --- on a loop ------------------------------------------------------------------------------------------------------
 */

void frame_reader_init(struct frame_reader *r, mem *ctx)
{
    buf_init(&r->in, ctx, HEAD + FRAME_MAX + FEED_MAX);
    r->taken = 0;
}

enum rc frame_feed(struct frame_reader *r, const void *p, size_t n, struct err *err)
{
    if (r->taken == r->in.n)
        buf_done(&r->in); /* one large message must not stay for ever */
    else
        buf_drop(&r->in, r->taken);
    r->taken = 0;
    if (!buf_add(&r->in, p, n))
        return err_set(err, RC_INVALID, "Another process sent more than a message may hold.");
    return RC_OK;
}

enum rc frame_take(struct frame_reader *r, struct str *ret, struct err *err)
{
    size_t left = r->in.n - r->taken;
    if (left < HEAD)
        return RC_AGAIN;
    size_t n = length_get(r->in.p + r->taken);
    enum rc rc = length_check(n, err);
    if (rc != RC_OK)
        return rc;
    if (left - HEAD < n)
        return RC_AGAIN;
    *ret = str_n(r->in.p + r->taken + HEAD, n);
    r->taken += HEAD + n;
    return RC_OK;
}

enum rc frame_write(struct buf *out, struct str payload, struct err *err)
{
    unsigned char head[HEAD];
    if (payload.n > FRAME_MAX)
        return err_set(err, RC_LIMIT, "A message to another process is too large (%zu bytes).", payload.n);
    length_put(head, payload.n);
    if (!buf_reserve(out, HEAD + payload.n))
        return err_set(err, RC_LIMIT, "Too much is waiting to be sent to another process.");
    buf_add(out, head, HEAD);
    buf_str(out, payload);
    return RC_OK;
}
