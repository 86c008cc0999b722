/* The line's two queues over one polled socket; promises in line.h. Not here: listening, connecting again. */
#include "os/line.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE  65536
#define WRITE_MOST 65536 /* a descriptor marks a byte: what is written at once ends before the next one */

struct passing {
    struct passing *next;
    uint64_t at; /* byte of the stream that it rides with */
    int fd;
};
struct line {
    struct line_spec spec;
    uv_poll_t poll;
    uv_async_t wake; /* output, or an end, that came up inside a call */
    struct buf out;
    size_t sent;         /* bytes of out that are written */
    uint64_t sent_total; /* of the stream */
    struct passing *first, **last;
    struct frame_reader in;
    int fds[LINE_FDS_MAX];
    size_t fd_count;
    int watched, open_handles;
    bool closed, broken;
};

static void handle_closed(uv_handle_t *h)
{
    struct line *l = h->data;
    if (--l->open_handles == 0)
        mem_free(l);
}

void line_close(struct line *l)
{
    if (!l || l->closed)
        return;
    l->closed = true;
    uv_close((uv_handle_t *)&l->poll, handle_closed);
    uv_close((uv_handle_t *)&l->wake, handle_closed);
    close(l->spec.fd);
    for (size_t i = 0; i < l->fd_count; i++)
        close(l->fds[i]);
    for (struct passing *p = l->first; p; p = p->next)
        close(p->fd);
}

static void line_lost(struct line *l)
{
    if (l->closed)
        return;
    struct line_spec spec = l->spec;
    line_close(l);
    spec.on_gone(spec.arg);
}

static void poll_ready(uv_poll_t *poll, int status, int events);

static void line_watch(struct line *l)
{
    int events = UV_READABLE | (l->out.n > l->sent ? UV_WRITABLE : 0);
    if (l->closed || events == l->watched)
        return;
    l->watched = events;
    uv_poll_start(&l->poll, events, poll_ready);
}

/* ---- sending ---- */

static ssize_t piece_send(struct line *l, size_t n, int fd)
{
    struct iovec iov = {.iov_base = l->out.p + l->sent, .iov_len = n};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t done;
    do
        done = sendmsg(l->spec.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (done < 0 && errno == EINTR);
    return done;
}

static void line_flush(struct line *l)
{
    while (l->out.n > l->sent) {
        struct passing *p = l->first;
        bool here = p && p->at == l->sent_total;
        size_t n = l->out.n - l->sent;
        uint64_t until = here ? (p->next ? p->next->at - l->sent_total : n) : p ? p->at - l->sent_total : n;
        if (n > until)
            n = (size_t)until;
        if (n > WRITE_MOST)
            n = WRITE_MOST;
        ssize_t done = piece_send(l, n, here ? p->fd : -1);
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (done < 0) {
            l->broken = true;
            uv_async_send(&l->wake);
            return;
        }
        if (here) {
            l->first = p->next;
            if (!l->first)
                l->last = &l->first;
            close(p->fd);
            mem_free(p);
        }
        l->sent += (size_t)done;
        l->sent_total += (uint64_t)done;
    }
    if (l->sent == l->out.n) {
        buf_done(&l->out);
        buf_init(&l->out, l, 2 * LINE_OUT_MAX);
        l->sent = 0;
    } else if (l->sent > l->out.n / 2) {
        buf_drop(&l->out, l->sent);
        l->sent = 0;
    }
    line_watch(l);
}

bool line_send(struct line *l, struct str payload, int fd)
{
    uint64_t at = l->sent_total + (l->out.n - l->sent);
    size_t had = l->out.n;
    if (l->closed || l->broken || payload.n + 4 > LINE_OUT_MAX - (l->out.n - l->sent) ||
        frame_write(&l->out, payload, NULL) != RC_OK) {
        if (had < l->out.n)
            l->out.n = had;
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (fd >= 0) {
        struct passing *p = mem_new(l, struct passing);
        p->at = at;
        p->fd = fd;
        *l->last = p;
        l->last = &p->next;
    }
    uv_async_send(&l->wake);
    return true;
}

size_t line_backlog(const struct line *l)
{
    return l->out.n - l->sent;
}

static void woken(uv_async_t *wake)
{
    struct line *l = wake->data;
    if (l->broken)
        line_lost(l);
    else if (!l->closed)
        line_flush(l);
}

/* ---- receiving ---- */

int line_fd_take(struct line *l)
{
    if (!l->fd_count)
        return -1;
    int fd = l->fds[0];
    memmove(l->fds, l->fds + 1, --l->fd_count * sizeof *l->fds);
    return fd;
}

/* false: too many. */
static bool fds_keep(struct line *l, struct msghdr *msg)
{
    bool fine = !(msg->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (l->fd_count < LINE_FDS_MAX)
                l->fds[l->fd_count++] = fd;
            else {
                close(fd);
                fine = false;
            }
        }
    }
    return fine;
}

static void frames_give(struct line *l)
{
    struct str frame;
    enum rc rc;
    while (!l->closed && (rc = frame_take(&l->in, &frame, NULL)) != RC_AGAIN) {
        if (rc != RC_OK) {
            line_lost(l);
            return;
        }
        l->spec.on_frame(l->spec.arg, frame);
    }
}

static void line_read(struct line *l)
{
    static char bytes[READ_SIZE]; /* one loop a process reads lines */
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FRAME_FDS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(l->spec.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0 || !fds_keep(l, &msg) || frame_feed(&l->in, bytes, (size_t)n, NULL) != RC_OK) {
        line_lost(l);
        return;
    }
    frames_give(l);
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
    struct line *l = poll->data;
    if (l->closed)
        return;
    if (status < 0) {
        line_lost(l);
        return;
    }
    if (events & UV_READABLE)
        line_read(l);
    if (!l->closed && (events & UV_WRITABLE))
        line_flush(l);
}

struct line *line_new(const struct line_spec *spec)
{
    struct line *l = mem_new(NULL, struct line);
    l->spec = *spec;
    l->last = &l->first;
    buf_init(&l->out, l, 2 * LINE_OUT_MAX);
    frame_reader_init(&l->in, l);
    uv_poll_init(spec->loop, &l->poll, spec->fd);
    uv_async_init(spec->loop, &l->wake, woken);
    l->poll.data = l->wake.data = l;
    l->open_handles = 2;
    line_watch(l);
    return l;
}
