/* A tiny server on the net room, for a load generator: what the HTTP layer costs without anything behind it.
 *
 *   bench_http [PORT]   listens on 127.0.0.1 (0: any free port), prints "listening PORT", serves until its input ends
 *
 *   /health       a fixed small answer
 *   /sse?n=200    n server-sent events, all produced in one turn of the loop
 *   /idle         one event, then silence until the client leaves */
#include "net/http.h"
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve_events(struct http_request *r, int64_t count, bool and_end)
{
    static const char event[] = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"},\"index\":0}]}\n\n";
    http_answer_begin(r, 200, "text/event-stream", NULL);
    for (int64_t i = 0; i < count; i++)
        http_answer_chunk(r, str_n(event, sizeof event - 1));
    if (and_end)
        http_answer_end(r);
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

int main(int argc, char **argv)
{
    mem *root = mem_root();
    struct err err = {0};
    struct http_server *server;
    uv_loop_t loop;
    uv_poll_t input;
    int64_t wanted = 0;
    uint16_t port;
    if (argc > 1 && !str_int(str_of(argv[1]), 0, 65535, &wanted))
        return 2;
    int fd = listen_on((uint16_t)wanted, &port);
    uv_loop_init(&loop);
    struct http_server_spec spec = {.loop = &loop, .max_body = 1 << 20, .on_request = serve};
    if (fd < 0 || http_server_new(root, &spec, &server, &err) != RC_OK ||
        http_server_listen_fd(server, fd, &err) != RC_OK) {
        fprintf(stderr, "bench_http: %s\n", err.sentence);
        return 1;
    }
    printf("listening %u\n", port);
    fflush(stdout);
    if (uv_poll_init(&loop, &input, STDIN_FILENO) == 0) { /* a file or /dev/null cannot be watched: then for ever */
        input.data = server;
        uv_poll_start(&input, UV_READABLE, input_ready);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    mem_free(root);
    return 0;
}
