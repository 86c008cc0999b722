/* The blocking client: to a URL one libcurl transfer (to a Unix socket: client_unix.c), waited for together with the
 * caller's cancel descriptor. Not here: retries and reconnecting, which are the caller's to decide. */
#include "net/client.h"
#include "base/clock.h"
#include "net/address.h"
#include "net/client_unix.h"
#include "net/easy.h"
#include <poll.h>

enum { BODY_DEFAULT = 64 << 20, WAIT_MOST_MS = 60000 };

struct call {
    const struct client_spec *spec;
    struct easy easy;
    struct buf body;
    bool stopped;            /* on_body said no */
    const char *refused_why; /* the last address that was not allowed */
    char refused[46];
};

static bool call_head(void *owner)
{
    (void)owner;
    return true;
}

static size_t call_body(void *owner, struct str bytes)
{
    struct call *c = owner;
    bool streams = c->spec->on_body && c->easy.status >= 200 && c->easy.status < 300;
    if (!streams)
        return buf_str(&c->body, bytes) ? bytes.n : 0;
    if (c->stopped || !c->spec->on_body(c->spec->arg, bytes)) {
        c->stopped = true;
        return 0;
    }
    return bytes.n;
}

static enum rc call_end(const struct call *c, CURLcode code, struct err *err)
{
    if (c->stopped)
        return err_set(err, RC_CANCELLED, "The request was given up.");
    if (c->body.overflow)
        return err_set(err, RC_LIMIT, "The answer of %s is larger than %zu bytes.", c->easy.origin, c->body.max);
    enum rc rc = easy_judge(&c->easy, code, err);
    if (rc == RC_UNAVAILABLE && c->refused_why)
        return err_set(err, RC_DENIED, "%s is at %s, a %s address, which is not dialled", c->easy.origin, c->refused,
                       c->refused_why);
    if (rc != RC_UPSTREAM || c->easy.head_done)
        return rc;
    if (err)
        err->rc = RC_UNAVAILABLE; /* see client.h: no answer had begun */
    return RC_UNAVAILABLE;
}

/* libcurl has looked the name up and is about to connect. */
static curl_socket_t socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct call *c = arg;
    const char *why = NULL;
    (void)purpose;
    if (c->spec->allow(c->spec->arg, &to->addr, &why))
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    c->refused_why = why ? why : "refused";
    address_host(&to->addr, c->refused);
    return CURL_SOCKET_BAD;
}

static bool multi_ended(CURLM *multi, CURLcode *ret_code)
{
    int left;
    for (CURLMsg *m; (m = curl.multi_info_read(multi, &left));) {
        if (m->msg == CURLMSG_DONE) {
            *ret_code = m->data.result;
            return true;
        }
    }
    return false;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

static enum rc call_drive(struct call *c, CURLM *multi, struct err *err)
{
    const struct client_spec *spec = c->spec;
    int64_t until = spec->timeout_ms > 0 ? clock_mono_ms() + spec->timeout_ms : INT64_MAX;
    for (;;) {
        int running;
        CURLcode code = CURLE_OK;
        if (is_readable(spec->cancel_fd))
            return err_set(err, RC_CANCELLED, "The request was given up.");
        if (curl.multi_perform(multi, &running) != CURLM_OK)
            return err_set(err, RC_BUG, "A request could not be driven.");
        if (multi_ended(multi, &code))
            return call_end(c, code, err);
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return err_set(err, RC_TIMEOUT, "%s gave no whole answer within %d ms.", c->easy.origin, spec->timeout_ms);
        struct curl_waitfd extra = {.fd = spec->cancel_fd, .events = CURL_WAIT_POLLIN};
        curl.multi_poll(multi, &extra, spec->cancel_fd >= 0 ? 1 : 0, left < WAIT_MOST_MS ? (int)left : WAIT_MOST_MS,
                        NULL);
    }
}

enum rc client_call(mem *ctx, const struct client_spec *spec, struct client_answer *ret, struct err *err)
{
    struct call c = {.spec = spec};
    struct easy_spec easy = {spec->method, spec->url, spec->headers, spec->body};
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = (struct client_answer){.headers = STR(""), .body = STR("")};
    if (spec->unix_socket)
        return client_unix_call(ctx, spec, ret, err);
    if (curl_lib_open(err) != RC_OK)
        return RC_UNAVAILABLE;
    buf_init(&c.body, tmp, spec->max_body ? spec->max_body : BODY_DEFAULT);
    c.easy = (struct easy){.curl = curl.easy_init(), .owner = &c, .on_head = call_head, .on_body = call_body};
    CURLM *multi = curl.multi_init();
    BUG_ON(!c.easy.curl || !multi);
    enum rc rc = easy_prepare(tmp, &c.easy, &easy, err);
    if (rc == RC_OK && spec->allow) {
        curl.easy_setopt(c.easy.curl, CURLOPT_OPENSOCKETFUNCTION, socket_open);
        curl.easy_setopt(c.easy.curl, CURLOPT_OPENSOCKETDATA, &c);
    }
    if (rc == RC_OK) {
        BUG_ON(curl.multi_add_handle(multi, c.easy.curl) != CURLM_OK);
        rc = call_drive(&c, multi, err);
        curl.multi_remove_handle(multi, c.easy.curl);
    }
    *ret = (struct client_answer){.status = c.easy.head_done ? c.easy.status : 0};
    ret->headers = str_n(mem_strn(ctx, c.easy.head.p, c.easy.head.n), c.easy.head.n);
    ret->body.n = c.body.n;
    ret->body.p = buf_take(&c.body, ctx);
    curl.easy_cleanup(c.easy.curl);
    curl.multi_cleanup(multi);
    easy_done(&c.easy);
    return rc;
}
