/* Answers: status line, fields and bodies as RFC 9110 and 9112 want them. Reading requests is http_server.c. */
#include "net/http_session.h"
#include <sys/socket.h>
#include <time.h>

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {529, "Overloaded"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static void put(struct http_session *s, struct str bytes)
{
    conn_write(&s->conn, bytes);
}

static void put_z(struct http_session *s, const char *z)
{
    put(s, str_of(z));
}

static void put_number(struct http_session *s, uint64_t n, unsigned base)
{
    char text[24], *at = text + sizeof text;
    do
        *--at = "0123456789abcdef"[n % base];
    while (n /= base);
    put(s, str_n(at, (size_t)(text + sizeof text - at)));
}

/* RFC 9110 section 5.6.7, at most one formatting a second. The names are not the locale's. */
static const char *server_date(struct http_server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec == server->date_at)
        return server->date;
    struct tm t;
    gmtime_r(&now.tv_sec, &t);
    snprintf(server->date, sizeof server->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * t.tm_wday,
             t.tm_mday, months + 3 * t.tm_mon, (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
    server->date_at = now.tv_sec;
    return server->date;
}

static void put_field(struct http_session *s, const char *name, const char *value)
{
    if (!http_is_value(str_of(value)))
        return;
    put_z(s, name);
    put_z(s, value);
    put(s, STR("\r\n"));
}

static void put_head(struct http_session *s, int status, const char *content_type, const char *const *extra)
{
    put(s, STR("HTTP/1.1 "));
    put_number(s, (uint64_t)(status < 100 || status > 999 ? 500 : status), 10);
    put(s, STR(" "));
    put_z(s, http_reason(status));
    put(s, STR("\r\nDate: "));
    put_z(s, server_date(s->server));
    put(s, STR("\r\n"));
    if (content_type)
        put_field(s, "Content-Type: ", content_type);
    for (; extra && *extra; extra++)
        if (http_is_line(str_of(*extra)))
            put_field(s, "", *extra);
    if (!s->keep_alive)
        put(s, STR("Connection: close\r\n"));
}

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static void put_whole(struct http_session *s, int status, const char *content_type, struct str body,
                      const char *const *extra, bool head_only)
{
    put_head(s, status, content_type, extra);
    if (status_has_body(status)) {
        put(s, STR("Content-Length: "));
        put_number(s, body.n, 10);
        put(s, STR("\r\n"));
    }
    put(s, STR("\r\n"));
    if (status_has_body(status) && !head_only)
        put(s, body);
}

void session_refuse(struct http_session *s, int status, const char *why)
{
    CLEANUP_MEM mem *tmp = mem_root();
    s->keep_alive = false;
    s->phase = HTTP_CLOSING;
    session_body_release(s);
    if (s->request)
        s->request = mem_free(s->request->ctx);
    char *text = mem_printf(tmp, "%s\n", why && *why ? why : http_reason(status));
    put_whole(s, status, "text/plain; charset=utf-8", str_of(text), NULL, false);
    conn_finish(&s->conn);
}

/* --- for handlers ---------------------------------------------------------------------------------------------------
 */

/* The handler is through with r. Inside its own gone the request lives a little longer: session_gone frees it. */
static void request_end(struct http_request *r)
{
    struct http_answer *a = r->answer;
    struct http_session *s = a->session;
    a->state = ANSWER_ENDED;
    if (a->saying_gone)
        return;
    mem_free(r->ctx);
    if (s)
        session_answered(s);
}

static struct http_session *answer_session(const struct http_request *r, enum http_answer_state state)
{
    return r->answer->state == state ? r->answer->session : NULL;
}

void http_answer_whole(struct http_request *r, int status, const char *content_type, struct str body,
                       const char *const *extra)
{
    struct http_session *s = answer_session(r, ANSWER_NONE);
    BUG_ON(r->answer->state == ANSWER_STREAMING && r->answer->session);
    if (s && s->server->stopping)
        s->keep_alive = false;
    if (s)
        put_whole(s, status, content_type, body, extra, r->answer->head_only);
    request_end(r);
}

void http_answer_begin(struct http_request *r, int status, const char *content_type, const char *const *extra)
{
    struct http_answer *a = r->answer;
    struct http_session *s = answer_session(r, ANSWER_NONE);
    BUG_ON(a->state != ANSWER_NONE && a->session);
    a->state = ANSWER_STREAMING;
    if (!s)
        return;
    if (s->server->stopping)
        s->keep_alive = false;
    put_head(s, status, content_type, extra);
    if (!status_has_body(status))
        a->head_only = true;
    else if (!a->delimited)
        put(s, STR("Transfer-Encoding: chunked\r\n"));
    put(s, STR("\r\n"));
}

void http_answer_chunk(struct http_request *r, struct str bytes)
{
    struct http_answer *a = r->answer;
    struct http_session *s = answer_session(r, ANSWER_STREAMING);
    if (!s || a->head_only || bytes.n == 0)
        return;
    if (a->delimited) {
        put(s, bytes);
        return;
    }
    put_number(s, bytes.n, 16);
    put(s, STR("\r\n"));
    put(s, bytes);
    put(s, STR("\r\n"));
}

void http_answer_end(struct http_request *r)
{
    struct http_answer *a = r->answer;
    struct http_session *s = answer_session(r, ANSWER_STREAMING);
    BUG_ON(a->state == ANSWER_NONE && a->session);
    if (s && !a->head_only && !a->delimited)
        put(s, STR("0\r\n\r\n"));
    request_end(r);
}

void session_upgrade(struct http_request *r, const char *const *fields, const struct session_tunnel *tunnel, void *arg)
{
    struct http_session *s = r->answer->session;
    BUG_ON(!s || r->answer->state != ANSWER_NONE);
    s->keep_alive = true; /* "Connection: Upgrade" is among the fields */
    put_head(s, 101, NULL, fields);
    put(s, STR("\r\n"));
    r->answer->state = ANSWER_ENDED;
    s->request = mem_free(r->ctx);
    s->phase = HTTP_TUNNEL;
    s->tunnel = tunnel;
    s->tunnel_arg = arg;
    conn_wake(&s->conn); /* the client may have sent more behind its request */
}

/* What was produced so far is sent if the socket takes it at once; the missing end tells the peer. A stream to an
 * HTTP/1.0 client has no end of its own, so there a reset has to say it. */
void http_answer_abort(struct http_request *r)
{
    struct http_answer *a = r->answer;
    struct http_session *s = a->session;
    if (s) {
        s->request = NULL;
        s->phase = HTTP_CLOSING;
        a->session = NULL;
        conn_abort(&s->conn, a->delimited);
    }
    request_end(r);
}

void http_on_gone(struct http_request *r, void (*gone)(struct http_request *r))
{
    r->answer->gone = gone;
}

bool http_is_gone(const struct http_request *r)
{
    return !r->answer->session;
}

/* To a client that is gone, or whose departure is still to be said, nothing is ever written: a producer that goes by
 * the backlog must not go on for ever. */
size_t http_answer_backlog(const struct http_request *r)
{
    const struct http_session *s = r->answer->session;
    return s && !s->conn.broken ? conn_backlog(&s->conn) : HTTP_HIGH_WATER + 1;
}

void http_on_drained(struct http_request *r, void (*drained)(struct http_request *r))
{
    r->answer->drained = drained;
}
