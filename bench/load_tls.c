/* Load over TLS for bench_proxy.py: keep-alive connections that each ask for one path again and again, straight to a
 * server or through an HTTP proxy's CONNECT.
 *
 *   load_tls ADDRESS_PORT CONNECT_TO CA_FILE NAME PATH CONNECTIONS SECONDS
 *
 * CONNECT_TO: "host:port" to be reached through the proxy at 127.0.0.1:ADDRESS_PORT, or "-". Prints one line of JSON:
 * requests, seconds, failures, and microseconds until the first byte of the answer: median and p99. Stands on nothing
 * of ours. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MOST 1024
#define SAMPLES_MOST     (1 << 20)

struct client {
    int fd;
    SSL *ssl;
    double asked;
    size_t left; /* of the answer's body */
    char head[4096];
    size_t head_n;
    int in_body;
};
static struct client clients[CONNECTIONS_MOST];
static struct pollfd polls[CONNECTIONS_MOST];
static double samples[SAMPLES_MOST];
static size_t sample_n, requests, failures;
static char request[1024];
static int request_n;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(int port, const char *connect_to)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char text[1024];
    size_t n = 0;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (strcmp(connect_to, "-") == 0)
        return fd;
    int m = snprintf(text, sizeof text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", connect_to, connect_to);
    if (write(fd, text, (size_t)m) != m)
        fail("CONNECT");
    while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4) != 0) {
        if (n == sizeof text - 1 || read(fd, text + n, 1) != 1)
            fail("CONNECT");
        n++;
    }
    if (memcmp(text, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "%.*s", (int)n, text);
        exit(1);
    }
    return fd;
}

static void ask(struct client *c)
{
    c->head_n = 0;
    c->in_body = 0;
    c->asked = now();
    if (SSL_write(c->ssl, request, request_n) != request_n)
        fail("write");
}

static void head_read(struct client *c)
{
    char *end = memmem(c->head, c->head_n, "\r\n\r\n", 4), *length;
    if (!end)
        return;
    *end = '\0';
    length = strcasestr(c->head, "\ncontent-length:");
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || !length)
        failures++;
    c->left = length ? strtoul(length + 16, NULL, 10) : 0;
    c->left -= c->head_n - (size_t)(end + 4 - c->head);
    c->in_body = 1;
}

/* What has come, and the next request when the answer is whole. 0: the connection is gone. */
static int serve(struct client *c)
{
    char piece[65536];
    for (;;) {
        int n = c->in_body ? SSL_read(c->ssl, piece, sizeof piece)
                           : SSL_read(c->ssl, c->head + c->head_n, (int)(sizeof c->head - 1 - c->head_n));
        if (n <= 0)
            return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
        if (c->in_body) {
            c->left -= (size_t)n;
        } else {
            if (!c->head_n && sample_n < SAMPLES_MOST)
                samples[sample_n++] = now() - c->asked;
            c->head_n += (size_t)n;
            head_read(c);
        }
        if (c->in_body && !c->left) {
            requests++;
            ask(c);
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    int port = atoi(argv[1]), n = atoi(argv[6]);
    double seconds = atof(argv[7]);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (n < 1 || n > CONNECTIONS_MOST || SSL_CTX_load_verify_file(ctx, argv[3]) != 1)
        fail("arguments");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    const char *host = strcmp(argv[2], "-") == 0 ? argv[4] : argv[2];
    request_n = snprintf(request, sizeof request,
                         "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load_tls\r\nAccept: */*\r\n\r\n", argv[5], host);
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[i];
        c->fd = dial(port, argv[2]);
        c->ssl = SSL_new(ctx);
        SSL_set_tlsext_host_name(c->ssl, argv[4]);
        SSL_set1_host(c->ssl, argv[4]);
        SSL_set_fd(c->ssl, c->fd);
        if (SSL_connect(c->ssl) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        polls[i] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    }
    double began = now();
    for (int i = 0; i < n; i++)
        ask(&clients[i]);
    while (now() - began < seconds) {
        if (poll(polls, (nfds_t)n, 100) < 0)
            fail("poll");
        for (int i = 0; i < n; i++) {
            if (polls[i].revents && !serve(&clients[i])) {
                failures++;
                polls[i].fd = -1;
            }
        }
    }
    double took = now() - began;
    qsort(samples, sample_n, sizeof *samples, compare);
    printf("{\"requests\":%zu,\"seconds\":%.3f,\"failures\":%zu,\"median_us\":%.1f,\"p99_us\":%.1f}\n", requests, took,
           failures, sample_n ? samples[sample_n / 2] * 1e6 : 0, sample_n ? samples[sample_n * 99 / 100] * 1e6 : 0);
    return 0;
}
