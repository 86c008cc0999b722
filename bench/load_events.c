/* Asks for streams of events and measures them: one thread, epoll.
 *
 *   load_events PORT STREAMS SECONDS REQUEST     REQUEST: file with the bytes of one whole HTTP request
 *
 * Holds STREAMS connections to 127.0.0.1, asks on each again as soon as its stream has ended, begins no stream after
 * SECONDS, and prints one line of words: streams events bad seconds, then in microseconds ttfb_p50 ttfb_p99 (from the
 * request to the first event) delay_p50 delay_p99 (from the time in an event, see upstream.c, to its arrival). Answers
 * must be chunked; a stream is whole when "data: [DONE]" came. */
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct stream {
    int fd;
    enum { HEAD, SIZE, DATA, DATA_END, TRAILER } state;
    char line[2048]; /* of the head, a chunk's size, or the body */
    size_t line_n;
    char size[32];
    size_t size_n;
    size_t left; /* bytes of the chunk */
    int64_t asked_ns;
    bool first, done, bad;
};
struct samples {
    int64_t *ns;
    size_t n, room;
};
static struct samples ttfb, delay;
static char request[64 << 10];
static size_t request_n;
static uint64_t stream_count, event_count, bad_count;
static uint16_t port;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
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

static void stream_ask(struct stream *s)
{
    s->state = HEAD;
    s->line_n = s->size_n = 0;
    s->first = s->done = s->bad = false;
    s->asked_ns = now_ns();
    if (send(s->fd, request, request_n, MSG_NOSIGNAL) != (ssize_t)request_n)
        s->bad = true;
}

static bool stream_open(struct stream *s, int ep)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&a, sizeof a) != 0)
        return false;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    return epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e) == 0;
}

static void stream_line(struct stream *s, int64_t now)
{
    s->line[s->line_n] = 0;
    if (strncmp(s->line, "data:", 5) != 0)
        return;
    if (strstr(s->line, "[DONE]")) {
        s->done = true;
        return;
    }
    event_count++;
    if (!s->first)
        sample(&ttfb, now - s->asked_ns);
    s->first = true;
    const char *t = strstr(s->line, "\"t\":\"");
    if (t)
        sample(&delay, now - atoll(t + 5));
}

static void stream_byte(struct stream *s, char byte, int64_t now)
{
    if (byte == '\n') {
        stream_line(s, now);
        s->line_n = 0;
    } else if (s->line_n < sizeof s->line - 1) {
        s->line[s->line_n++] = byte;
    }
}

/* Takes what came. True when the answer has ended. */
static bool stream_take(struct stream *s, const char *bytes, size_t n, int64_t now)
{
    for (size_t i = 0; i < n; i++) {
        char byte = bytes[i];
        switch (s->state) {
        case HEAD:
            if (byte == '\n' && s->line_n == 0)
                s->state = SIZE;
            if (byte == '\n') {
                s->line[s->line_n] = 0;
                if (strncmp(s->line, "HTTP/1.1 ", 9) == 0 && strncmp(s->line + 9, "200", 3) != 0)
                    s->bad = true;
                s->line_n = 0;
            } else if (byte != '\r' && s->line_n < sizeof s->line - 1) {
                s->line[s->line_n++] = byte;
            }
            break;
        case SIZE:
            if (byte == '\n') {
                s->size[s->size_n] = 0;
                s->left = strtoul(s->size, NULL, 16);
                s->size_n = 0;
                s->state = s->left ? DATA : TRAILER;
            } else if (s->size_n < sizeof s->size - 1) {
                s->size[s->size_n++] = byte;
            }
            break;
        case DATA:
            stream_byte(s, byte, now);
            if (--s->left == 0)
                s->state = DATA_END;
            break;
        case DATA_END:
            if (byte == '\n')
                s->state = SIZE;
            break;
        case TRAILER:
            if (byte == '\n')
                return true;
            break;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fprintf(stderr, "usage: load_events PORT STREAMS SECONDS REQUEST\n"), 2;
    port = (uint16_t)atoi(argv[1]);
    size_t count = (size_t)atoi(argv[2]), open = 0;
    FILE *f = fopen(argv[4], "rb");
    if (!f || (request_n = fread(request, 1, sizeof request, f)) == 0 || request_n == sizeof request)
        return perror(argv[4]), 1;
    fclose(f);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct stream *streams = calloc(count, sizeof *streams);
    int64_t began = now_ns(), until = began + (int64_t)(atof(argv[3]) * 1e9), last = began;
    for (size_t i = 0; i < count; i++, open++) {
        if (!stream_open(&streams[i], ep))
            return perror("load_events"), 1;
        stream_ask(&streams[i]);
    }
    while (open > 0) {
        struct epoll_event ready[256];
        int n = epoll_wait(ep, ready, 256, 20000);
        if (n <= 0) {
            bad_count += open;
            break;
        }
        for (int i = 0; i < n; i++) {
            struct stream *s = ready[i].data.ptr;
            char bytes[64 << 10];
            ssize_t got = recv(s->fd, bytes, sizeof bytes, 0);
            if (got < 0 && errno == EAGAIN)
                continue;
            last = now_ns();
            bool ended = got > 0 && stream_take(s, bytes, (size_t)got, last);
            if (got <= 0)
                s->bad = true;
            if (!ended && !s->bad)
                continue;
            stream_count++;
            bad_count += s->bad || !s->done;
            if (!s->bad && last < until) {
                stream_ask(s);
                continue;
            }
            close(s->fd);
            open--;
        }
    }
    printf("streams %llu events %llu bad %llu seconds %.3f ttfb_p50 %.1f ttfb_p99 %.1f delay_p50 %.1f delay_p99 %.1f\n",
           (unsigned long long)stream_count, (unsigned long long)event_count, (unsigned long long)bad_count,
           (double)(last - began) / 1e9, part(&ttfb, 0.5), part(&ttfb, 0.99), part(&delay, 0.5), part(&delay, 0.99));
    free(streams);
    free(ttfb.ns);
    free(delay.ns);
    return 0;
}
