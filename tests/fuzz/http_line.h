/* What the fuzz targets share that talk to the real HTTP server: one server a process, and a client that sends its
 * input in pieces, takes what comes and leaves. */
#pragma once
#include "net/http.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)

static struct {
    uv_loop_t loop;
    struct http_server *server;
    struct sockaddr_un at; /* abstract: no file is left behind */
    socklen_t at_length;
} line;

static void line_start(void (*serve)(void *arg, struct http_request *r), size_t max_body)
{
    struct http_server_spec spec = {.loop = &line.loop, .max_body = max_body, .on_request = serve};
    line.at.sun_family = AF_UNIX;
    int n = snprintf(line.at.sun_path + 1, sizeof line.at.sun_path - 1, "nightmill-fuzz-%d", getpid());
    line.at_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&line.at, line.at_length) == 0 && listen(fd, 8) == 0);
    MUST(uv_loop_init(&line.loop) == 0 && http_server_new(mem_root(), &spec, &line.server, NULL) == RC_OK);
    MUST(http_server_listen_fd(line.server, fd, NULL) == RC_OK);
}

static void line_turn(int fd, struct buf *out)
{
    char block[65536];
    uv_run(&line.loop, UV_RUN_NOWAIT);
    for (ssize_t n; (n = recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0;)
        buf_add(out, block, (size_t)n);
}

/* Sends `first` at once and `rest` in pieces of `step` bytes; *out is what the server said. Afterwards nothing of the
 * connection is left. */
static void line_talk(struct str first, struct str rest, size_t step, struct buf *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&line.at, line.at_length) == 0);
    if (first.n)
        MUST(send(fd, first.p, first.n, MSG_NOSIGNAL) == (ssize_t)first.n);
    for (size_t i = 0; i < rest.n; i += step) {
        size_t n = rest.n - i < step ? rest.n - i : step;
        if (send(fd, rest.p + i, n, MSG_NOSIGNAL) < 0)
            break;
        line_turn(fd, out);
    }
    line_turn(fd, out);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 1000 && http_server_connections(line.server) > 0; i++)
        line_turn(fd, out);
    line_turn(fd, out);
    close(fd);
    MUST(http_server_connections(line.server) == 0);
}
