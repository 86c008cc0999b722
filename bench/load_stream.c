/* Viewers of the live stream and what makes events for them, measured: one thread, epoll.
 *
 *   load_stream PORT HEADERS TASK VIEWERS EVENTS COMMITS     HEADERS: lines for each request, with CR LF; may be empty
 *
 * VIEWERS WebSockets to 127.0.0.1 subscribe to the TASK; then EVENTS hints are given to it, one at a time: the next
 * when all viewers have had the one before. COMMITS is the file of commit_clock.c. Prints one line of words: viewers
 * events lost (messages that did not come within 5 s), then in microseconds
 *
 *   delay_p50 delay_p99 delay_max   from the commit to the return of the read that brought the event to a viewer
 *   whole_p50 whole_p99             from the time in the event, taken before its transaction and cut to milliseconds
 *   answer_p50 answer_p99           from the request to its answer
 *   spread_p50 spread_p99           from the first viewer that had an event to the last
 *
 * The commit of an event is the first one that ended after the event's time. */
#include "commit_clock.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS   5000000000LL
#define BYTES     (64 << 10)
#define TEXT_MOST 2000

struct viewer {
    int fd;
    bool open, subscribed;
    size_t events;
    char bytes[BYTES];
    size_t n;
};
struct samples {
    int64_t *ns;
    size_t n, room;
};
static struct samples delay, whole, answer, spread;
static const struct commit_clock *commits;
static struct viewer *viewers;
static size_t viewer_n, had;
static int64_t first_ns, last_ns; /* of the event under way */

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sample(struct samples *s, int64_t ns)
{
    if (s->n == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->ns = realloc(s->ns, s->room * sizeof *s->ns);
        if (!s->ns)
            abort();
    }
    s->ns[s->n++] = ns;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double part(struct samples *s, double p)
{
    if (!s->n)
        return -1;
    qsort(s->ns, s->n, sizeof *s->ns, by_size);
    return (double)s->ns[(size_t)((double)(s->n - 1) * p)] / 1000;
}

static void fail(const char *what)
{
    fprintf(stderr, "load_stream: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connected(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void put(int fd, const void *p, size_t n)
{
    if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
        fail("send");
}

/* A frame of a client, with a mask of zeros. */
static void frame_send(int fd, int opcode, const char *text)
{
    size_t n = strlen(text);
    unsigned char frame[8 + 256] = {(unsigned char)(0x80 | opcode)};
    size_t at = 2;
    frame[1] = (unsigned char)(0x80 | (n < 126 ? n : 126));
    if (n >= 126) {
        frame[at++] = (unsigned char)(n >> 8);
        frame[at++] = (unsigned char)n;
    }
    at += 4;
    memcpy(frame + at, text, n);
    put(fd, frame, at + n);
}

/* The time in a message, "2026-01-05T09:00:00.123Z". */
static int64_t time_of(const char *text)
{
    struct tm tm = {0};
    int ms = 0;
    const char *at = strstr(text, "\"time\":\"");
    if (!at || sscanf(at + 8, "%d-%d-%dT%d:%d:%d.%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                      &tm.tm_sec, &ms) != 7)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return timegm(&tm) * 1000000000LL + ms * 1000000LL;
}

/* When the event of a time was committed: the oldest commit after it. */
static int64_t commit_after(int64_t ns)
{
    uint64_t n = atomic_load(&commits->n), at = n;
    while (at > 0 && n - at < COMMIT_CLOCK_TIMES - 1 && commits->ns[(at - 1) % COMMIT_CLOCK_TIMES] > ns)
        at--;
    if (at == n) {
        fprintf(stderr, "load_stream: an event came before its commit\n");
        exit(1);
    }
    return commits->ns[at % COMMIT_CLOCK_TIMES];
}

static void message_take(struct viewer *v, const char *text, int64_t now)
{
    if (strstr(text, "\"subscribed\":{"))
        v->subscribed = true;
    if (!strstr(text, "\"type\":\"hint.added\""))
        return;
    v->events++;
    had++;
    int64_t time = time_of(text);
    sample(&whole, now - time);
    sample(&delay, now - commit_after(time));
    first_ns = first_ns ? first_ns : now;
    last_ns = now;
}

/* Whole frames out of the buffer. */
static void frames_take(struct viewer *v, int64_t now)
{
    size_t at = 0;
    for (;;) {
        const unsigned char *p = (const unsigned char *)v->bytes + at;
        size_t left = v->n - at, head = 2, n;
        static char text[BYTES + 1];
        if (left < 2 || ((p[1] & 0x7f) == 126 && left < 4) || (p[1] & 0x7f) == 127)
            break;
        n = p[1] & 0x7f;
        if (n == 126) {
            n = (size_t)p[2] << 8 | p[3];
            head = 4;
        }
        if (left < head + n)
            break;
        memcpy(text, p + head, n);
        text[n] = 0;
        if ((p[0] & 0x0f) == 1)
            message_take(v, text, now);
        else if ((p[0] & 0x0f) == 9)
            frame_send(v->fd, 10, "");
        at += head + n;
    }
    memmove(v->bytes, v->bytes + at, v->n - at);
    v->n -= at;
}

static void viewer_read(struct viewer *v)
{
    ssize_t got = recv(v->fd, v->bytes + v->n, sizeof v->bytes - v->n, MSG_DONTWAIT);
    int64_t now = wall_ns();
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("a viewer was left");
    v->n += (size_t)got;
    if (!v->open) {
        char *end = memmem(v->bytes, v->n, "\r\n\r\n", 4);
        if (!end)
            return;
        if (strncmp(v->bytes, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "load_stream: %.*s\n", (int)v->n, v->bytes);
            exit(1);
        }
        v->open = true;
        v->n -= (size_t)(end + 4 - v->bytes);
        memmove(v->bytes, end + 4, v->n);
    }
    frames_take(v, now);
}

/* Reads what comes to viewers and, unless it is -1, to the one that asks. Returns true when that one got something. */
static bool turn(int ep, int asker, int ms)
{
    struct epoll_event ready[256];
    bool asked = false;
    int n = epoll_wait(ep, ready, 256, ms);
    for (int i = 0; i < n; i++) {
        if (ready[i].data.ptr)
            viewer_read(ready[i].data.ptr);
        else
            asked = asker >= 0;
    }
    return asked;
}

static void open_all(int ep, uint16_t port, const char *headers, const char *task)
{
    char request[4096], wish[128];
    int len =
        snprintf(request, sizeof request,
                 "GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                 "Sec-WebSocket-Protocol: nightmill.stream.v1\r\n%s\r\n",
                 port, headers);
    snprintf(wish, sizeof wish, "{\"subscribe\":{\"topics\":[\"task:%.40s\"]}}", task);
    for (size_t i = 0; i < viewer_n; i++) {
        struct viewer *v = &viewers[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = v};
        v->fd = connected(port);
        put(v->fd, request, (size_t)len);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, v->fd, &e) != 0)
            fail("epoll");
        int64_t until = wall_ns() + WAIT_NS;
        while (!v->open && wall_ns() < until)
            turn(ep, -1, 100);
        frame_send(v->fd, 1, wish);
        while (!v->subscribed && wall_ns() < until)
            turn(ep, -1, 100);
        if (!v->subscribed)
            fail("no subscription");
    }
}

static void hint(int ep, int fd, uint16_t port, const char *headers, const char *task, size_t number)
{
    char request[4096], body[TEXT_MOST], bytes[BYTES];
    int body_n = snprintf(body, sizeof body, "{\"text\":\"hint %zu\"}", number);
    int len =
        snprintf(request, sizeof request,
                 "POST /api/v1/tasks/%.40s/hint HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                 "%sContent-Length: %d\r\n\r\n%s",
                 task, port, headers, body_n, body);
    bool answered = false;
    int64_t began = wall_ns(), until = began + WAIT_NS;
    had = 0;
    first_ns = last_ns = 0;
    put(fd, request, (size_t)len);
    while ((!answered || had < viewer_n) && wall_ns() < until) {
        if (!turn(ep, fd, 100) || answered)
            continue;
        ssize_t got = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
        if (got <= 0)
            fail("no answer");
        bytes[got] = 0;
        if (strncmp(bytes, "HTTP/1.1 200", 12) != 0) {
            fprintf(stderr, "load_stream: %s\n", bytes);
            exit(1);
        }
        sample(&answer, wall_ns() - began);
        answered = true; /* it is shorter than what one read takes */
    }
    if (had)
        sample(&spread, last_ns - first_ns);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return fprintf(stderr, "usage: load_stream PORT HEADERS TASK VIEWERS EVENTS COMMITS\n"), 2;
    uint16_t port = (uint16_t)atoi(argv[1]);
    size_t events = (size_t)atoi(argv[5]), lost = 0;
    viewer_n = (size_t)atoi(argv[4]);
    viewers = calloc(viewer_n, sizeof *viewers);
    int clock_fd = open(argv[6], O_RDONLY | O_CLOEXEC);
    void *map = clock_fd >= 0 ? mmap(NULL, sizeof *commits, PROT_READ, MAP_SHARED, clock_fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED)
        fail(argv[6]);
    commits = map;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    open_all(ep, port, argv[2], argv[3]);
    int asker = connected(port);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, asker, &e) != 0)
        fail("epoll");
    for (size_t i = 0; i < events; i++)
        hint(ep, asker, port, argv[2], argv[3], i);
    for (size_t i = 0; i < viewer_n; i++)
        lost += events - viewers[i].events;
    printf("viewers %zu events %zu lost %zu delay_p50 %.1f delay_p99 %.1f delay_max %.1f whole_p50 %.1f whole_p99 %.1f"
           " answer_p50 %.1f answer_p99 %.1f spread_p50 %.1f spread_p99 %.1f\n",
           viewer_n, events, lost, part(&delay, 0.5), part(&delay, 0.99), part(&delay, 1), part(&whole, 0.5),
           part(&whole, 0.99), part(&answer, 0.5), part(&answer, 0.99), part(&spread, 0.5), part(&spread, 0.99));
    return 0;
}
