/* A model server that costs next to nothing, to measure what stands in front of it: one thread, epoll, answers made
 * beforehand.
 *
 *   upstream      listens on 127.0.0.1, prints "listening PORT", serves until its input ends
 *
 * Any POST is answered as OpenAI Chat Completions: with "stream":true in its body by events, else by one document of
 * about 1 KB. Words in the body choose the stream: events=N (200), pace=MS between events (0: all at once). Each event
 * holds the monotonic time at which it was made, in nanoseconds: "t":"00000000000000000000". Not for hostile input. */
#include <errno.h>
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

#define CONNS  4096
#define IN_MAX (64 << 10)
#define BATCH  32 /* events in one write when nothing paces them */

struct conn {
    int fd;
    char in[IN_MAX];
    size_t in_n;
    char out[BATCH * 400 + 1024]; /* what could not be written yet */
    size_t out_n, out_at;
    int64_t events_left; /* of the stream under way; -1: none */
    int64_t pace_ns, next_ns;
};
static struct conn *conns[CONNS]; /* by descriptor */
static struct conn *paced[CONNS];
static size_t paced_n;
static int ep;
static char whole[2048];
static size_t whole_n;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void whole_make(void)
{
    char text[601], body[1400];
    memset(text, 'w', sizeof text - 1);
    text[sizeof text - 1] = 0;
    int n = snprintf(body, sizeof body,
                     "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1767225600,\"model\":"
                     "\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
                     "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":200,"
                     "\"completion_tokens\":150,\"total_tokens\":350,\"prompt_tokens_details\":{\"cached_tokens\":0},"
                     "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}",
                     text);
    whole_n =
        (size_t)snprintf(whole, sizeof whole,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body);
}

static void conn_close(struct conn *c)
{
    for (size_t i = 0; i < paced_n; i++)
        if (paced[i] == c)
            paced[i--] = paced[--paced_n];
    conns[c->fd] = NULL;
    close(c->fd);
    free(c);
}

/* False: the connection is gone. */
static bool conn_flush(struct conn *c)
{
    while (c->out_at < c->out_n) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.fd = c->fd};
            epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
            return true;
        }
        if (n <= 0) {
            conn_close(c);
            return false;
        }
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_n = 0;
    return true;
}

static void put_chunk(struct conn *c, const char *text, int n)
{
    c->out_n += (size_t)sprintf(c->out + c->out_n, "%x\r\n%.*s\r\n", (unsigned)n, n, text);
}

static void put_event(struct conn *c)
{
    char event[400];
    int n = snprintf(event, sizeof event,
                     "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,"
                     "\"model\":\"bench\",\"t\":\"%020lld\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                     "\"word \"},\"finish_reason\":null}]}\n\n",
                     (long long)now_ns());
    put_chunk(c, event, n);
}

static void put_end(struct conn *c)
{
    static const char finish[] =
        "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":"
        "\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    static const char usage[] =
        "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":"
        "\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":200,\"total_tokens\":400}}"
        "\n\n";
    put_chunk(c, finish, sizeof finish - 1);
    put_chunk(c, usage, sizeof usage - 1);
    put_chunk(c, "data: [DONE]\n\n", 14);
    c->out_n += (size_t)sprintf(c->out + c->out_n, "0\r\n\r\n");
}

/* Writes on while there is room. False: the connection is gone. */
static bool conn_stream(struct conn *c)
{
    while (c->events_left >= 0 && c->out_n == 0) {
        int64_t batch = c->pace_ns ? 1 : BATCH;
        for (; batch > 0 && c->events_left > 0; batch--, c->events_left--)
            put_event(c);
        if (c->events_left == 0) {
            put_end(c);
            c->events_left = -1;
            for (size_t i = 0; i < paced_n; i++)
                if (paced[i] == c)
                    paced[i--] = paced[--paced_n];
        }
        if (!conn_flush(c))
            return false;
        if (c->pace_ns)
            break;
    }
    return true;
}

static int64_t word(const char *body, const char *name, int64_t standard)
{
    const char *at = strstr(body, name);
    return at ? atoll(at + strlen(name)) : standard;
}

/* Answers one request whose body is a string. False: the connection is gone. */
static bool conn_answer(struct conn *c, const char *body)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    if (!strstr(body, "\"stream\":true")) {
        memcpy(c->out + c->out_n, whole, whole_n);
        c->out_n += whole_n;
        return conn_flush(c);
    }
    c->events_left = word(body, "events=", 200);
    c->pace_ns = word(body, "pace=", 0) * 1000000;
    memcpy(c->out, head, sizeof head - 1);
    c->out_n = sizeof head - 1;
    put_event(c); /* the first event travels with the head */
    c->events_left--;
    if (!conn_flush(c))
        return false;
    if (c->pace_ns) {
        c->next_ns = now_ns() + c->pace_ns;
        paced[paced_n++] = c;
        return true;
    }
    return conn_stream(c);
}

static void conn_read(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, sizeof c->in - 1 - c->in_n, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            conn_close(c);
        return;
    }
    c->in_n += (size_t)n;
    while (c->events_left < 0) {
        c->in[c->in_n] = 0;
        char *end = strstr(c->in, "\r\n\r\n");
        char *length = strcasestr(c->in, "content-length:");
        size_t body_n = length && (!end || length < end) ? (size_t)atoll(length + 15) : 0;
        if (!end || (size_t)(end + 4 - c->in) + body_n > c->in_n)
            return;
        char *body = end + 4, kept = body[body_n];
        body[body_n] = 0;
        size_t used = (size_t)(body - c->in) + body_n;
        if (!conn_answer(c, body))
            return;
        body[body_n] = kept;
        c->in_n -= used;
        memmove(c->in, c->in + used, c->in_n);
    }
}

static void conn_accept(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= CONNS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *c = conns[fd] = calloc(1, sizeof *c);
        *c = (struct conn){.fd = fd, .events_left = -1};
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    }
}

/* Milliseconds until the next paced event; -1: there is none. */
static int paced_run(void)
{
    int64_t now = now_ns(), next = INT64_MAX;
    for (size_t i = 0; i < paced_n; i++) {
        struct conn *c = paced[i];
        if (c->next_ns <= now) {
            c->next_ns += c->pace_ns;
            size_t before = paced_n;
            conn_stream(c);
            if (paced_n != before) { /* it ended or is gone, and the last one took its place */
                i--;
                continue;
            }
        }
        if (c->next_ns < next)
            next = c->next_ns;
    }
    return next == INT64_MAX ? -1 : next <= now ? 0 : (int)((next - now) / 1000000) + 1;
}

int main(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t a_n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || ep < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &a_n) != 0) {
        perror("upstream");
        return 1;
    }
    whole_make();
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = STDIN_FILENO;
    epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &e);
    printf("listening %u\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[256];
        int n = epoll_wait(ep, ready, 256, paced_run());
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == STDIN_FILENO)
                return 0;
            if (fd == listener) {
                conn_accept(listener);
                continue;
            }
            struct conn *c = conns[fd];
            if (c && (ready[i].events & EPOLLOUT)) {
                struct epoll_event in = {.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(ep, EPOLL_CTL_MOD, fd, &in);
                if (!conn_flush(c) || (!c->pace_ns && !conn_stream(c)))
                    continue;
            }
            if (c && (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                conn_read(c);
        }
    }
}
