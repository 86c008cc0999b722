/* Looking up, judging, connecting; the promises are in dial.h. Not here: TLS, reuse of connections. */
#include "net/dial.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct dial {
    struct dial_spec spec;
    struct hostname host;
    struct sockaddr_storage addresses[DIAL_ADDRESSES];
    size_t n, next;
    struct resolve_ask *ask; /* NULL: nothing is being looked up */
    uv_timer_t timer;        /* of the try at hand */
    uv_poll_t poll;
    int fd;
    int64_t until; /* loop time, ms */
    bool polling, ended;
    int open_handles;
    enum rc rc; /* what is said when no address is left */
    struct err err;
};

static socklen_t address_size(const struct sockaddr *sa)
{
    return sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static const struct sockaddr *address_at(const struct dial *d, size_t i)
{
    return (const struct sockaddr *)&d->addresses[i];
}

static void freed_when_closed(struct dial *d)
{
    if (d->ended && !d->open_handles)
        mem_free(d);
}

static void timer_closed(uv_handle_t *h)
{
    struct dial *d = h->data;
    d->open_handles--;
    freed_when_closed(d);
}

/* The poll of one try lives in an object of its own only as long as the dial: tries follow each other, and a new one
 * begins when the handle of the last is closed. */
static void try_next(struct dial *d);

static void poll_closed(uv_handle_t *h)
{
    struct dial *d = h->data;
    d->open_handles--;
    d->polling = false;
    if (d->ended)
        freed_when_closed(d);
    else
        try_next(d);
}

static void dial_end(struct dial *d)
{
    d->ended = true;
    uv_close((uv_handle_t *)&d->timer, timer_closed);
    if (d->polling && !uv_is_closing((uv_handle_t *)&d->poll))
        uv_close((uv_handle_t *)&d->poll, poll_closed);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    if (d->ask)
        resolve_cancel(d->ask);
    d->ask = NULL;
}

static void dial_say(struct dial *d, int fd, const struct sockaddr *at, enum rc rc)
{
    struct dial_spec spec = d->spec;
    struct err err = d->err;
    dial_end(d);
    spec.done(spec.arg, fd, at, rc, rc ? &err : NULL);
}

static void try_failed(struct dial *d, int why)
{
    d->rc = err_sys(&d->err, why, "could not connect to %s", d->host.text);
    d->rc = d->err.rc = RC_UNAVAILABLE;
    if (d->fd >= 0)
        close(d->fd); /* allowed: the poll is closing */
    d->fd = -1;
}

static void try_ready(uv_poll_t *poll, int status, int events)
{
    struct dial *d = poll->data;
    int why = 0;
    socklen_t n = sizeof why;
    (void)events;
    if (d->ended)
        return;
    if (status < 0)
        why = -status;
    else if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &why, &n) < 0)
        why = errno;
    uv_timer_stop(&d->timer);
    uv_close((uv_handle_t *)&d->poll, poll_closed);
    if (why) {
        try_failed(d, why);
        return; /* the next one begins when the handle is closed */
    }
    int fd = d->fd;
    struct sockaddr_storage at = d->addresses[d->next - 1];
    d->fd = -1;
    dial_say(d, fd, (const struct sockaddr *)&at, RC_OK);
}

static void try_late(uv_timer_t *timer)
{
    struct dial *d = timer->data;
    d->rc = err_set(&d->err, RC_TIMEOUT, "%s did not answer in time", d->host.text);
    if ((int64_t)uv_now(d->spec.loop) >= d->until || !d->polling) {
        dial_say(d, -1, NULL, RC_TIMEOUT);
        return;
    }
    uv_close((uv_handle_t *)&d->poll, poll_closed);
    close(d->fd);
    d->fd = -1;
}

/* Begins the connection to one address; false: it failed at once. */
static bool try_start(struct dial *d, const struct sockaddr *sa)
{
    int one = 1;
    d->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0 || (connect(d->fd, sa, address_size(sa)) < 0 && errno != EINPROGRESS)) {
        try_failed(d, errno);
        return false;
    }
    (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int bad = uv_poll_init(d->spec.loop, &d->poll, d->fd);
    if (bad) {
        try_failed(d, -bad);
        return false;
    }
    d->poll.data = d;
    d->open_handles++;
    d->polling = true;
    uv_poll_start(&d->poll, UV_WRITABLE, try_ready);
    int64_t left = d->until - (int64_t)uv_now(d->spec.loop);
    uv_timer_start(&d->timer, try_late, (uint64_t)(left < 1 ? 1 : left < DIAL_TRY_MS ? left : DIAL_TRY_MS), 0);
    return true;
}

static void try_next(struct dial *d)
{
    while (d->next < d->n) {
        const struct sockaddr *sa = address_at(d, d->next++);
        const char *why = "not allowed";
        if (d->spec.allow && !d->spec.allow(d->spec.arg, sa, &why)) {
            if (!d->rc || d->rc == RC_DENIED)
                d->rc = err_set(&d->err, RC_DENIED, "%s has an address that is %s", d->host.text, why);
            continue;
        }
        if (try_start(d, sa))
            return;
    }
    dial_say(d, -1, NULL, d->rc ? d->rc : err_set(&d->err, RC_NOT_FOUND, "%s has no address", d->host.text));
}

static void address_take(struct dial *d, const struct sockaddr *sa, uint16_t port)
{
    if (d->n == DIAL_ADDRESSES || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
        return;
    memcpy(&d->addresses[d->n], sa, address_size(sa));
    if (sa->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)&d->addresses[d->n])->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)&d->addresses[d->n])->sin_port = htons(port);
    d->n++;
}

static void found_take(struct dial *d, const struct resolved *found)
{
    for (size_t i = 0; i < found->n; i++)
        address_take(d, (const struct sockaddr *)&found->addresses[i].sa, d->spec.port);
    if (!found->n)
        d->rc = err_set(&d->err, found->none ? RC_NOT_FOUND : RC_UNAVAILABLE,
                        found->none ? "there is no host %s" : "%s could not be looked up", d->host.text);
}

static void looked_up(void *arg, const struct resolved *found)
{
    struct dial *d = arg;
    d->ask = NULL;
    uv_timer_stop(&d->timer);
    found_take(d, found);
    try_next(d);
}

/* From the loop, so that no callback comes from inside dial_start. */
static void begin(uv_timer_t *timer)
{
    try_next(timer->data);
}

struct dial *dial_start(const struct dial_spec *spec)
{
    struct dial *d = mem_new(NULL, struct dial);
    const struct resolved *now;
    d->spec = *spec;
    d->host = *spec->host;
    d->fd = -1;
    d->until = (int64_t)uv_now(spec->loop) + spec->ms;
    uv_timer_init(spec->loop, &d->timer);
    d->timer.data = d;
    d->open_handles = 1;
    if (spec->fixed)
        address_take(d, spec->fixed, spec->port);
    else if (resolve_start(spec->resolver, d->host.text, looked_up, d, &now, &d->ask))
        found_take(d, now);
    uv_timer_start(&d->timer, d->ask ? try_late : begin, d->ask ? (uint64_t)spec->ms : 0, 0);
    return d;
}

void dial_cancel(struct dial *d)
{
    if (d && !d->ended)
        dial_end(d);
}
