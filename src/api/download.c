/* Files sent in pieces (download.h). */
#include "api/download.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE (128 << 10)

struct sending {
    struct route_call *call; /* owns this */
    enum rc (*open)(struct route_call *c, struct download *d);
    struct download d;
    bool begun, reading, blocked;
    int64_t at;
    char *piece;
    ssize_t n;
};

enum rc download_file(struct download *d, const char *path, struct err *err)
{
    struct stat st;
    d->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (d->fd < 0 || fstat(d->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_sys(err, d->fd < 0 ? errno : EINVAL, "the file could not be opened");
    return RC_OK;
}

enum rc download_bytes(struct download *d, struct str bytes, struct err *err)
{
    d->fd = memfd_create("download", MFD_CLOEXEC);
    d->size = (int64_t)bytes.n;
    for (size_t done = 0; d->fd >= 0 && done < bytes.n;) {
        ssize_t n = write(d->fd, bytes.p + done, bytes.n - done);
        if (n <= 0)
            return err_sys(err, errno, "the file could not be sent");
        done += (size_t)n;
    }
    return d->fd < 0 ? err_sys(err, errno, "the file could not be sent") : RC_OK;
}

static void sending_end(struct sending *s)
{
    if (s->d.fd >= 0)
        close(s->d.fd);
    route_call_free(s->call);
}

static void pump(struct sending *s);

static void piece_read(void *arg)
{
    struct sending *s = arg;
    int64_t left = s->d.size - s->at;
    do {
        s->n = pread(s->d.fd, s->piece, left < PIECE ? (size_t)left : PIECE, (off_t)s->at);
    } while (s->n < 0 && errno == EINTR);
}

static void piece_done(void *arg)
{
    struct sending *s = arg;
    struct http_request *r = s->call->request;
    s->reading = false;
    if (!r) {
        sending_end(s);
        return;
    }
    if (s->n <= 0) { /* shorter than it was: the client sees a broken answer */
        s->call->request = NULL;
        http_answer_abort(r);
        sending_end(s);
        return;
    }
    http_answer_chunk(r, str_n(s->piece, (size_t)s->n));
    s->at += s->n;
    pump(s);
}

static void pump(struct sending *s)
{
    struct http_request *r = s->call->request;
    if (s->at >= s->d.size) {
        s->call->request = NULL;
        http_answer_end(r);
        sending_end(s);
        return;
    }
    s->blocked = http_answer_backlog(r) > HTTP_HIGH_WATER;
    if (s->blocked)
        return;
    s->reading = true;
    loop_offload(&s->call->server->loop, piece_read, piece_done, s);
}

static void drained(struct http_request *r)
{
    struct sending *s = r->user;
    if (s->blocked && !s->reading)
        pump(s);
}

static void gone(struct http_request *r)
{
    struct sending *s = r->user;
    s->call->request = NULL;
    if (!s->reading)
        sending_end(s);
}

/* A name that cannot break out of its quotes. */
static const char *safe_name(mem *ctx, const char *name)
{
    char *safe = mem_str(ctx, name);
    for (char *p = safe; *p; p++)
        if (!((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '.' ||
              *p == '-' || *p == '_'))
            *p = '_';
    return safe;
}

static void open_work(void *arg)
{
    struct sending *s = arg;
    struct route_call *c = s->call;
    c->err.rc = s->open(c, &s->d);
    if (c->err.rc == RC_OK)
        c->err.rc = audit_read(c);
}

static void open_done(void *arg)
{
    struct sending *s = arg;
    struct route_call *c = s->call;
    s->reading = false;
    if (c->err.rc != RC_OK || !c->request) {
        if (s->d.fd >= 0)
            close(s->d.fd);
        if (c->request)
            route_answer(c, c->err.rc);
        else
            route_call_free(c);
        return;
    }
    const char *const lines[] = {
        mem_printf(c->ctx, "Content-Disposition: attachment; filename=\"%s\"", safe_name(c->ctx, s->d.name)),
        "X-Content-Type-Options: nosniff", "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; sandbox", NULL};
    s->piece = mem_zalloc(c->ctx, PIECE);
    http_on_drained(c->request, drained);
    http_answer_begin(c->request, 200, s->d.type, lines);
    pump(s);
}

void download_begin(struct route_call *c, enum rc (*open)(struct route_call *c, struct download *d))
{
    struct sending *s = mem_new(c->ctx, struct sending);
    s->call = c;
    s->open = open;
    s->d.fd = -1;
    s->reading = true;
    c->request->user = s;
    http_on_gone(c->request, gone);
    loop_offload(&c->server->loop, open_work, open_done, s);
}
