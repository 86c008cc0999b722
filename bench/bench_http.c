/* A tiny server on the net room, for load generators, and what its connections cost in memory.
 *
 *   bench_http [PORT [CERTIFICATE KEY]]   listens on 127.0.0.1 (0: any free port), prints "listening PORT", serves
 * until its input ends; with a certificate: https bench_http memory [N]                 N idle clients of each sort and
 * 20 that stop reading a stream of 26 MB, against a server in a process of its own: its resident memory before, with,
 * and after them
 *
 *   /health       a fixed small answer
 *   /sse?n=200    n server-sent events, all produced in one turn of the loop
 *   /idle         one event, then silence until the client leaves
 *   /large        26 MB, as fast as the client takes it
 *   /ws           a WebSocket that echoes */
#include "net/tls.h"
#include "net/ws.h"
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 26 << 20, STALLED = 20, IDLE = 5000 };

/* --- the server ------------------------------------------------------------------------------------------------------
 */

static void gone(struct http_request *r)
{
    (void)r; /* all there is belongs to the request, which goes now */
}

static void serve_events(struct http_request *r, int64_t count, bool and_end)
{
    static const char event[] = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"},\"index\":0}]}\n\n";
    http_on_gone(r, gone);
    http_answer_begin(r, 200, "text/event-stream", NULL);
    for (int64_t i = 0; i < count; i++)
        http_answer_chunk(r, str_n(event, sizeof event - 1));
    if (and_end)
        http_answer_end(r);
}

struct large {
    size_t left;
};

static void large_produce(struct http_request *r)
{
    static char block[16384];
    struct large *l = r->user;
    while (l->left > 0 && http_answer_backlog(r) <= HTTP_HIGH_WATER) {
        size_t n = l->left < sizeof block ? l->left : sizeof block;
        http_answer_chunk(r, str_n(block, n));
        l->left -= n;
    }
    if (l->left == 0)
        http_answer_end(r);
}

static void serve_large(struct http_request *r)
{
    struct large *l = mem_new(r->ctx, struct large);
    l->left = LARGE;
    r->user = l;
    http_on_gone(r, gone);
    http_on_drained(r, large_produce);
    http_answer_begin(r, 200, "application/octet-stream", NULL);
    large_produce(r);
}

static void ws_message(void *arg, struct ws *ws, bool text, struct str bytes)
{
    (void)arg;
    ws_send(ws, text, bytes);
}

static void ws_gone(void *arg, struct ws *ws, int code)
{
    (void)arg, (void)ws, (void)code;
}

static void serve_ws(struct http_request *r)
{
    static const struct ws_spec spec = {.on_message = ws_message, .on_gone = ws_gone};
    struct err err = {0};
    struct ws *ws;
    if (ws_accept(r, &spec, &ws, &err) != RC_OK)
        http_answer_whole(r, 400, "text/plain", str_of(err.sentence), NULL);
}

static void serve(void *arg, struct http_request *r)
{
    (void)arg;
    int64_t count = 200;
    if (str_eqz(r->path, "/health")) {
        http_answer_whole(r, 200, "application/json", STR("{\"status\":\"ok\"}\n"), NULL);
    } else if (str_eqz(r->path, "/sse")) {
        if (!str_int(str_of(http_query(r, "n")), 0, 100000, &count))
            count = 200;
        serve_events(r, count, true);
    } else if (str_eqz(r->path, "/idle")) {
        serve_events(r, 1, false);
    } else if (str_eqz(r->path, "/large")) {
        serve_large(r);
    } else if (str_eqz(r->path, "/ws")) {
        serve_ws(r);
    } else {
        http_answer_whole(r, 404, "text/plain", STR("not here\n"), NULL);
    }
}

static int listen_on(uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        perror("bench_http");
        return -1;
    }
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void input_ready(uv_poll_t *poll, int status, int events)
{
    char drop[256];
    (void)status, (void)events;
    if (read(STDIN_FILENO, drop, sizeof drop) > 0)
        return;
    uv_close((uv_handle_t *)poll, NULL);
    http_server_stop(poll->data, 0, NULL, NULL);
}

/* Serves until standard input ends. */
static int server_run(int fd, const struct tls_spec *tls)
{
    mem *root = mem_root();
    struct err err = {0};
    struct http_server *server;
    struct http_listener_spec listener = {.fd = fd};
    uv_loop_t loop;
    uv_poll_t input;
    uv_loop_init(&loop);
    struct http_server_spec spec = {.loop = &loop, .max_body = 1 << 20, .on_request = serve};
    if (fd < 0 || (tls && tls_place_new(root, tls, &listener.tls, &err) != RC_OK) ||
        http_server_new(root, &spec, &server, &err) != RC_OK || http_server_listen(server, &listener, &err) != RC_OK) {
        fprintf(stderr, "bench_http: %s\n", err.sentence);
        return 1;
    }
    if (uv_poll_init(&loop, &input, STDIN_FILENO) == 0) { /* a file or /dev/null cannot be watched: then for ever */
        input.data = server;
        uv_poll_start(&input, UV_READABLE, input_ready);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    mem_free(root);
    return 0;
}

/* --- memory ----------------------------------------------------------------------------------------------------------
 */

static long rss_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static bool client_open(uint16_t port, const char *request, int *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *ret = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return *ret >= 0 && connect(*ret, (struct sockaddr *)&a, sizeof a) == 0 &&
           send(*ret, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request);
}

/* The first bytes of an answer are there, so the server has done its part. */
static bool client_heard(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 20000) == 1;
}

static bool clients_measure(const char *what, pid_t server, uint16_t port, const char *request, int n)
{
    int *fds = calloc((size_t)n, sizeof *fds), opened = 0;
    long before = rss_kib(server);
    while (opened < n && client_open(port, request, &fds[opened]))
        opened++;
    for (int i = 0; i < opened; i++)
        if (!client_heard(fds[i]))
            fprintf(stderr, "bench_http: client %d was not answered\n", i);
    usleep(300000); /* what the loop still has to do */
    long with = rss_kib(server);
    for (int i = 0; i < opened; i++)
        close(fds[i]);
    usleep(500000);
    long after = rss_kib(server);
    printf("%s\t%.1f\tMB\t%d clients, %.1f KB each; before them %.1f MB, after them %.1f MB\n", what,
           (double)with / 1024, opened, (double)(with - before) / (opened ? opened : 1), (double)before / 1024,
           (double)after / 1024);
    free(fds);
    return opened == n;
}

static int memory_measure(int n)
{
    struct rlimit most;
    uint16_t port;
    int fd = listen_on(0, &port), line[2], status;
    if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
        most.rlim_cur = most.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &most);
        if (most.rlim_cur < (rlim_t)n + 64)
            n = (int)most.rlim_cur - 64;
    }
    if (fd < 0 || pipe(line) != 0)
        return 1;
    pid_t server = fork();
    if (server == 0) {
        dup2(line[0], STDIN_FILENO);
        close(line[1]);
        close(line[0]);
        _exit(server_run(fd, NULL));
    }
    close(fd);
    close(line[0]);
    static const char sse[] = "GET /idle HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char ws[] = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    static const char idle[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char large[] = "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    bool good = clients_measure("http_first", server, port, idle, 100);
    good &= clients_measure("http_stalled", server, port, large, STALLED);
    good &= clients_measure("http_idle_keep_alive", server, port, idle, n);
    good &= clients_measure("http_idle_sse", server, port, sse, n);
    good &= clients_measure("http_idle_ws", server, port, ws, n);
    close(line[1]);
    waitpid(server, &status, 0);
    return good && status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int64_t wanted = 0;
    uint16_t port;
    if (argc > 1 && strcmp(argv[1], "memory") == 0) {
        if (argc > 2 && !str_int(str_of(argv[2]), 1, 100000, &wanted))
            return 2;
        return memory_measure(wanted ? (int)wanted : IDLE);
    }
    if ((argc > 1 && !str_int(str_of(argv[1]), 0, 65535, &wanted)) || argc == 3 || argc > 4)
        return 2;
    struct tls_spec tls = {.certificate = argc > 3 ? argv[2] : NULL, .key = argc > 3 ? argv[3] : NULL};
    int fd = listen_on((uint16_t)wanted, &port);
    if (fd < 0)
        return 1;
    printf("listening %u\n", port);
    fflush(stdout);
    return server_run(fd, argc > 3 ? &tls : NULL);
}
