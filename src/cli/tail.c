/* The event stream's thread. */
#include "cli/tail.h"
#include "net/client.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_MOST = 64 << 10, LINE_MOST = 64 << 20 };

struct tail {
    pthread_t thread;
    int ours, theirs; /* socket pair */
    int cancel;       /* eventfd */
    struct buf in;
    size_t taken; /* bytes at the front of `in` that were handed out */
    /* Of the thread, to be read after it was joined: */
    mem *ctx;
    const char *socket, *url;
    enum rc rc;
    struct err err;
    struct client_answer answer;
};

static bool bytes_pass(void *arg, struct str bytes)
{
    struct tail *t = arg;
    while (bytes.n) {
        ssize_t n = send(t->theirs, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false; /* nobody reads any more */
        bytes = str_sub(bytes, (size_t)n, bytes.n);
    }
    return true;
}

static void *tail_run(void *arg)
{
    struct tail *t = arg;
    struct client_spec spec = {.unix_socket = t->socket,
                               .method = "GET",
                               .url = t->url,
                               .max_body = 1 << 20,
                               .on_body = bytes_pass,
                               .arg = t,
                               .cancel_fd = t->cancel};
    t->rc = client_call(t->ctx, &spec, &t->answer, &t->err);
    shutdown(t->theirs, SHUT_RDWR);
    return NULL;
}

enum rc tail_open(mem *ctx, const char *socket, const char *path, struct tail **ret, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "Cannot make a socket pair");
    int cancel = eventfd(0, EFD_CLOEXEC);
    BUG_ON(cancel < 0);
    struct tail *t = mem_new(ctx, struct tail);
    *t = (struct tail){.ours = pair[0], .theirs = pair[1], .cancel = cancel, .ctx = mem_root()};
    t->socket = mem_str(t->ctx, socket);
    t->url = mem_printf(t->ctx, "http://localhost%s", path);
    buf_init(&t->in, t, LINE_MOST);
    /* Signals are the main thread's. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&t->thread, NULL, tail_run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    BUG_ON(failed);
    *ret = t;
    return RC_OK;
}

int tail_fd(const struct tail *t)
{
    return t->ours;
}

enum rc tail_read(struct tail *t)
{
    if (t->taken) {
        buf_drop(&t->in, t->taken);
        t->taken = 0;
    }
    char *at = buf_reserve(&t->in, READ_MOST);
    if (!at)
        return RC_CANCELLED; /* a line without an end */
    ssize_t n = recv(t->ours, at, READ_MOST, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return RC_OK;
    if (n <= 0)
        return RC_CANCELLED;
    buf_advance(&t->in, (size_t)n);
    return RC_OK;
}

bool tail_line(struct tail *t, struct str *ret)
{
    struct str rest = str_sub(buf_view(&t->in), t->taken, t->in.n);
    const char *end = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
    if (!end)
        return false;
    *ret = str_n(rest.p, (size_t)(end - rest.p));
    t->taken += ret->n + 1;
    return true;
}

enum rc tail_close(mem *ctx, struct tail *t, int *ret_status, struct str *ret_body, struct err *err)
{
    uint64_t one = 1;
    BUG_ON(write(t->cancel, &one, sizeof one) != sizeof one);
    shutdown(t->ours, SHUT_RDWR);
    pthread_join(t->thread, NULL);
    close(t->ours);
    close(t->theirs);
    close(t->cancel);
    enum rc rc = t->rc;
    if (rc && err)
        *err = t->err;
    if (ret_status)
        *ret_status = t->answer.status;
    if (ret_body)
        *ret_body = str_n(mem_strn(ctx, t->answer.body.p, t->answer.body.n), t->answer.body.n);
    mem_free(t->ctx);
    mem_free(t);
    return rc;
}
