/* Set-up and end of libcurl transfers; the rules are in easy.h. Waiting and driving are client.c's. */
#include "net/easy.h"
#include "net/http_parse.h"

enum {
    UPLOAD_BYTES = 16 << 10, /* a buffer of each transfer: the least that libcurl takes, instead of 64 KB */
};

/* "HTTP/1.1 200 OK": the digits after the first blank. libcurl has checked the shape. */
static int status_read(struct str line)
{
    const char *blank = memchr(line.p, ' ', line.n);
    int64_t status = 0;
    if (!blank || !str_int(str_sub(line, (size_t)(blank - line.p) + 1, 3), 100, 999, &status))
        return 0;
    return (int)status;
}

/* An answer with two lengths, or a length and an encoding, ends in two places: what is read after it on a kept
 * connection could be taken for the answer to somebody else. */
static bool framing_agrees(struct easy *e, struct str line)
{
    static const struct str length = {"content-length:", 15}, encoding = {"transfer-encoding:", 18};
    e->framings += str_ieq(str_sub(line, 0, length.n), length) || str_ieq(str_sub(line, 0, encoding.n), encoding);
    return e->framings < 2;
}

/* Called a line at a time, for interim answers (1xx) and trailers too. */
static size_t head_line(char *p, size_t size, size_t n, void *arg)
{
    struct easy *e = arg;
    struct str line = str_n(p, size * n), bare = str_trim(line);
    if (e->head_done)
        return line.n;
    if (str_starts(line, STR("HTTP/"))) {
        buf_clear(&e->head);
        e->framings = 0;
        e->status = status_read(line);
        return line.n;
    }
    if (!framing_agrees(e, line))
        return 0;
    if (bare.n > 0)
        return buf_str(&e->head, line) ? line.n : 0;
    if (e->status < 200)
        return line.n;
    e->head_done = true;
    return e->on_head(e->owner) ? line.n : 0;
}

static size_t body_bytes(char *p, size_t size, size_t n, void *arg)
{
    struct easy *e = arg;
    return e->on_body(e->owner, str_n(p, size * n));
}

static bool has_line(const char *const *headers, const char *name)
{
    size_t n = strlen(name);
    for (; headers && *headers; headers++)
        if (strncasecmp(*headers, name, n) == 0 && (*headers)[n] == ':')
            return true;
    return false;
}

static void line_add(struct easy *e, const char *line)
{
    struct curl_slist *more = curl.slist_append(e->lines, line);
    BUG_ON(!more);
    e->lines = more;
}

/* A line without a value ("Name:") tells libcurl to leave its own one out; one that has no value is sent by "Name;". */
static enum rc lines_make(mem *ctx, struct easy *e, const struct easy_spec *spec, struct err *err)
{
    line_add(e, "Expect:");
    if (!has_line(spec->headers, "Accept-Encoding"))
        line_add(e, "Accept-Encoding: identity");
    if (!has_line(spec->headers, "Content-Type"))
        line_add(e, "Content-Type:");
    for (const char *const *h = spec->headers; h && *h; h++) {
        struct str line = str_of(*h);
        if (!http_is_line(line))
            return err_set(err, RC_INVALID, "A header line of the request is malformed.");
        size_t name = strcspn(*h, ":");
        bool empty = str_trim(str_sub(line, name + 1, line.n)).n == 0;
        line_add(e, empty ? mem_printf(ctx, "%.*s;", (int)name, *h) : *h);
    }
    return RC_OK;
}

static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl.url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/* scheme://host:port, without user, password, path and query. */
static enum rc origin_make(mem *ctx, struct easy *e, const struct easy_spec *spec, struct err *err)
{
    CURLU *url = curl.url();
    BUG_ON(!url);
    enum rc rc = RC_OK;
    char *scheme = NULL, *host = NULL, *port = NULL;
    if (curl.url_set(url, CURLUPART_URL, spec->url, 0) == CURLUE_OK) {
        scheme = part_of(url, CURLUPART_SCHEME, 0);
        host = part_of(url, CURLUPART_HOST, 0);
        port = part_of(url, CURLUPART_PORT, 0);
    }
    if (!scheme || !host || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        rc = err_set(err, RC_INVALID, "A server's address is not an http or https URL.");
    else
        e->origin = mem_printf(ctx, "%s://%s%s%s", scheme, host, port ? ":" : "", port ? port : "");
    curl.free(scheme);
    curl.free(host);
    curl.free(port);
    curl.url_cleanup(url);
    return rc;
}

static void method_set(CURL *c, const struct easy_spec *spec)
{
    bool get = strcmp(spec->method, "GET") == 0, post = strcmp(spec->method, "POST") == 0;
    if (strcmp(spec->method, "HEAD") == 0) {
        curl.easy_setopt(c, CURLOPT_NOBODY, 1L);
        return;
    }
    if (spec->body.n > 0 || post) {
        curl.easy_setopt(c, CURLOPT_POST, 1L);
        curl.easy_setopt(c, CURLOPT_POSTFIELDS, spec->body.n ? spec->body.p : "");
        curl.easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body.n);
    } else {
        curl.easy_setopt(c, CURLOPT_HTTPGET, 1L);
    }
    if (!post && (!get || spec->body.n > 0))
        curl.easy_setopt(c, CURLOPT_CUSTOMREQUEST, spec->method);
}

/* libcurl repeats a request by itself when a kept connection ends before a byte of the answer has come: the server may
 * have closed it just then, and may as well have read the request and died of it. A second sending could be billed a
 * second time, so it is refused unless not a byte was handed to the first connection, or the request asks for nothing
 * to be done. Called before each sending. */
static int sending_allow(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct easy *e = arg;
    long sent = 0;
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    curl.easy_getinfo(e->curl, CURLINFO_REQUEST_SIZE, &sent);
    return sent == 0 || e->repeatable ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static void options_set(struct easy *e, const struct easy_spec *spec)
{
    CURL *c = e->curl;
    bool asks_only = strcmp(spec->method, "GET") == 0 || strcmp(spec->method, "HEAD") == 0;
    e->repeatable = asks_only && spec->body.n == 0;
    curl.easy_setopt(c, CURLOPT_URL, spec->url);
    curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl.easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl.easy_setopt(c, CURLOPT_PROXY, "");
    curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(c, CURLOPT_QUICK_EXIT,
                     1L); /* else removing a transfer waits for a resolver that does not answer */
    curl.easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl.easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
    curl.easy_setopt(c, CURLOPT_USERAGENT, "nightmill/" NIGHTMILL_VERSION);
    curl.easy_setopt(c, CURLOPT_ERRORBUFFER, e->words);
    curl.easy_setopt(c, CURLOPT_HTTPHEADER, e->lines);
    curl.easy_setopt(c, CURLOPT_HEADERFUNCTION, head_line);
    curl.easy_setopt(c, CURLOPT_HEADERDATA, e);
    curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, body_bytes);
    curl.easy_setopt(c, CURLOPT_WRITEDATA, e);
    curl.easy_setopt(c, CURLOPT_PRIVATE, e->owner);
    curl.easy_setopt(c, CURLOPT_PREREQFUNCTION, sending_allow);
    curl.easy_setopt(c, CURLOPT_PREREQDATA, e);
    /* Only if the caller has not asked for an encoding, which it then reads itself: some servers compress unasked. */
    if (!has_line(spec->headers, "Accept-Encoding"))
        curl.easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    method_set(c, spec);
}

enum rc easy_prepare(mem *ctx, struct easy *e, const struct easy_spec *spec, struct err *err)
{
    buf_init(&e->head, ctx, EASY_MAX_HEAD);
    if (!spec->method || !http_is_token(str_of(spec->method)) || !spec->url)
        return err_set(err, RC_INVALID, "A request needs a method and a URL.");
    enum rc rc = origin_make(ctx, e, spec, err);
    if (rc == RC_OK)
        rc = lines_make(ctx, e, spec, err);
    if (rc != RC_OK)
        return rc;
    options_set(e, spec);
    return RC_OK;
}

void easy_done(struct easy *e)
{
    curl.slist_free_all(e->lines);
    e->lines = NULL;
    buf_done(&e->head);
}

enum rc easy_judge(const struct easy *e, CURLcode code, struct err *err)
{
    long sent = 0;
    const char *seen = e->words[0] ? e->words : curl.easy_strerror(code);
    if (code == CURLE_OK && e->head_done)
        return RC_OK;
    curl.easy_getinfo(e->curl, CURLINFO_REQUEST_SIZE, &sent);
    /* "Out of memory" is how libcurl calls a line of the head beyond its own cap. */
    if (e->head.overflow || (code == CURLE_OUT_OF_MEMORY && sent > 0 && !e->head_done))
        return err_set(err, RC_LIMIT, "The answer of %s has a head that is too large.", e->origin);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        seen = "the connection ended before the first byte of an answer";
    if (e->framings > 1)
        return err_set(err, RC_UPSTREAM, "%s answered with a head that can be read in two ways.", e->origin);
    if (sent == 0)
        err_set(err, RC_UNAVAILABLE, "%s cannot be reached.", e->origin);
    else if (!e->head_done)
        err_set(err, RC_UPSTREAM, "%s closed the connection without an answer.", e->origin);
    else if (code == CURLE_BAD_CONTENT_ENCODING)
        err_set(err, RC_UPSTREAM, "%s answered in an encoding that nobody asked for and that cannot be read.",
                e->origin);
    else
        err_set(err, RC_UPSTREAM, "%s broke off in the middle of its answer.", e->origin);
    return err_detail(err, "%s", seen);
}
