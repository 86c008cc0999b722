/* The rules of RFC 9110, section 7.6, for what a proxy passes on; head.h has the contract. Not here: bodies. */
#include "proxy/head.h"
#include "base/text.h"

struct str head_field(const struct http_field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(fields[i].name, str_of(name)))
            return fields[i].value;
    return STR("");
}

/* ---- what is asked ---- */

static bool hosts_same(const struct hostname *a, uint16_t a_port, const struct hostname *b, uint16_t b_port)
{
    return a->kind == b->kind && a_port == b_port && strcmp(a->text, b->text) == 0;
}

/* Host must name what is dialled: a server that serves several names believes Host and not the address. */
static enum rc host_check(const struct http_head *h, const struct hostname *host, uint16_t port, uint16_t standard,
                          struct err *err)
{
    struct str value = head_field(h->fields, h->field_count, "host");
    struct hostname said;
    uint16_t said_port = standard;
    if (!value.n && h->minor_version == 0)
        return RC_OK;
    enum rc rc = hostname_parse_port(value, &said, &said_port, err);
    if (rc == RC_OK && !hosts_same(&said, said_port, host, port))
        rc = err_set(err, RC_INVALID, "Host is %s, but the connection is for %s", said.text, host->text);
    return rc;
}

static enum rc connect_read(const struct http_head *h, struct ask *ret, struct err *err)
{
    ret->form = ASK_CONNECT;
    enum rc rc = hostname_parse_port(h->target, &ret->host, &ret->port, err);
    if (rc == RC_OK && !ret->port)
        rc = err_set(err, RC_INVALID, "CONNECT names no port");
    if (rc == RC_OK && (h->content_length > 0 || h->chunked))
        rc = err_set(err, RC_INVALID, "CONNECT has no body");
    return rc; /* Host means nothing here: clients put the proxy's own name there, and it goes no further */
}

static enum rc absolute_read(const struct http_head *h, struct str rest, struct ask *ret, struct err *err)
{
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?' && rest.p[n] != '#')
        n++;
    ret->form = ASK_ABSOLUTE;
    ret->port = 80;
    ret->path = str_sub(rest, n, rest.n);
    if (!ret->path.n)
        ret->path = str_eq(h->method, STR("OPTIONS")) ? STR("*") : STR("/");
    enum rc rc = hostname_parse_port(str_sub(rest, 0, n), &ret->host, &ret->port, err);
    if (rc == RC_OK && ret->path.p[0] != '/' && ret->path.p[0] != '*')
        rc = err_set(err, RC_INVALID, "the target has no path");
    return rc == RC_OK ? host_check(h, &ret->host, ret->port, 80, err) : rc;
}

enum rc head_ask(const struct http_head *h, const struct hostname *inside, uint16_t inside_port, struct ask *ret,
                 struct err *err)
{
    *ret = (struct ask){.path = STR("")};
    bool connect = str_eq(h->method, STR("CONNECT"));
    if (memchr(h->target.p, '#', h->target.n))
        return err_set(err, RC_INVALID, "the target has a fragment");
    if (!inside && connect)
        return connect_read(h, ret, err);
    if (!inside && h->target.n > 7 && str_ieq(str_sub(h->target, 0, 7), STR("http://")))
        return absolute_read(h, str_sub(h->target, 7, h->target.n), ret, err);
    if (!inside) {
        err_set(err, RC_INVALID, "this is a proxy: it takes CONNECT, and http:// targets in absolute form");
        err_hint(err, "set HTTPS_PROXY and HTTP_PROXY to this address");
        return RC_INVALID;
    }
    bool origin = h->target.p[0] == '/' || (h->target.n == 1 && h->target.p[0] == '*');
    if (connect || !origin)
        return err_set(err, RC_INVALID, "inside a connection only paths are asked for");
    ret->form = ASK_ORIGIN;
    ret->host = *inside;
    ret->port = inside_port;
    ret->path = h->target;
    return host_check(h, inside, inside_port, 443, err);
}

bool head_is_websocket(const struct http_head *h)
{
    return str_ieq(head_field(h->fields, h->field_count, "upgrade"), STR("websocket")) &&
           str_ifind(head_field(h->fields, h->field_count, "connection"), STR("upgrade")) >= 0 &&
           str_eq(h->method, STR("GET"));
}

/* ---- secrets ---- */

static struct str text_replace(mem *ctx, struct str text, struct str what, struct str by)
{
    struct buf b;
    long at;
    if (str_find(text, what) < 0)
        return text;
    buf_init(&b, ctx, 16u << 20);
    while ((at = str_find(text, what)) >= 0) {
        buf_add(&b, text.p, (size_t)at);
        buf_str(&b, by);
        text = str_sub(text, (size_t)at + what.n, text.n);
    }
    buf_str(&b, text);
    return buf_view(&b);
}

int swap_text(mem *ctx, const struct swap *s, unsigned place, struct str text, struct str *ret)
{
    *ret = text;
    if (!s->watch || sentinel_find(s->watch, text) < 0)
        return -1;
    for (size_t i = 0; i < s->policy->secret_count; i++) {
        const struct bound_secret *b = &s->policy->secrets[i];
        if ((b->places & place) && secret_bound(b, s->host, s->port))
            *ret = text_replace(ctx, *ret, b->placeholder, b->value);
    }
    return sentinel_find(s->watch, *ret);
}

/* "Basic dXNlcjpwYXNz" (RFC 7617): the placeholder is inside. */
int swap_authorization(mem *ctx, const struct swap *s, struct str value, struct str *ret)
{
    struct str packed, plain, swapped;
    *ret = value;
    if (!s->watch || !str_ieq(str_sub(value, 0, 6), STR("basic ")))
        return swap_text(ctx, s, SECRET_IN_HEADER, value, ret);
    packed = str_trim(str_sub(value, 6, value.n));
    if (!text_base64_read(ctx, packed, &plain))
        return sentinel_find(s->watch, value);
    int found = swap_text(ctx, s, SECRET_IN_HEADER, plain, &swapped);
    if (swapped.p != plain.p)
        *ret = str_of(mem_printf(ctx, "Basic %s", text_base64(ctx, swapped)));
    return found;
}

/* A value that would break the field's line is not put in at all. */
static int field_swap(mem *ctx, const struct swap *s, const struct http_field *f, struct str *ret)
{
    bool authorization = str_ieq(f->name, STR("authorization"));
    int found =
        authorization ? swap_authorization(ctx, s, f->value, ret) : swap_text(ctx, s, SECRET_IN_HEADER, f->value, ret);
    if (!http_is_value(*ret))
        *ret = f->value;
    return found;
}

/* ---- heads ---- */

static const struct str hop_by_hop[] = {
    {"connection", 10},
    {"keep-alive", 10},
    {"proxy-connection", 16},
    {"proxy-authenticate", 18},
    {"proxy-authorization", 19},
    {"proxy-authentication-info", 25},
    {"transfer-encoding", 17},
    {"upgrade", 7},
    {"te", 2},
};

/* Fields that Connection names belong to this hop too; those that decide about the message are never among them. */
static bool named_by_connection(struct str connection, struct str name)
{
    struct str rest = connection, word;
    if (!connection.n || str_ieq(name, STR("host")) || str_ieq(name, STR("content-length")))
        return false;
    while (str_next(&rest, ',', &word))
        if (str_ieq(str_trim(word), name))
            return true;
    return false;
}

static bool field_stays_here(const struct http_field *f, struct str connection)
{
    for (size_t i = 0; i < sizeof hop_by_hop / sizeof *hop_by_hop; i++)
        if (f->name.n == hop_by_hop[i].n && str_ieq(f->name, hop_by_hop[i]))
            return true;
    return named_by_connection(connection, f->name);
}

static void field_put(struct buf *out, struct str name, struct str value)
{
    buf_str(out, name);
    buf_add(out, ": ", 2);
    buf_str(out, value);
    buf_add(out, "\r\n", 2);
}

void head_request(mem *ctx, const struct http_head *h, const struct ask *ask, const struct swap *s, bool websocket,
                  int64_t length, struct buf *out, int *ret_found)
{
    struct str connection = head_field(h->fields, h->field_count, "connection"), path, value;
    char host[300];
    *ret_found = swap_text(ctx, s, SECRET_IN_QUERY, ask->path, &path);
    buf_str(out, h->method);
    buf_char(out, ' ');
    buf_str(out, path);
    buf_z(out, " HTTP/1.1\r\nHost: ");
    hostname_show(&ask->host, ask->port, ask->form == ASK_ABSOLUTE ? 80 : 443, host);
    buf_z(out, host);
    buf_add(out, "\r\n", 2);
    for (size_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        bool of_old_body = length >= 0 && (str_ieq(f->name, STR("content-length")) || str_ieq(f->name, STR("expect")));
        if (of_old_body || str_ieq(f->name, STR("host")) || field_stays_here(f, connection))
            continue;
        int found = field_swap(ctx, s, f, &value);
        if (found >= 0)
            *ret_found = found;
        field_put(out, f->name, value);
    }
    if (length >= 0)
        buf_printf(out, "Content-Length: %lld\r\n", (long long)length);
    else if (h->chunked)
        buf_z(out, "Transfer-Encoding: chunked\r\n");
    if (str_ieq(head_field(h->fields, h->field_count, "te"), STR("trailers")))
        buf_z(out, "TE: trailers\r\nConnection: TE\r\n");
    if (websocket)
        buf_z(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    buf_add(out, "\r\n", 2);
}

/* Alt-Svc would lead the client to QUIC, which no proxy sees. */
void head_answer(const struct http_reply *r, enum body_way way, bool keep_alive, int client_minor, struct buf *out)
{
    struct str connection = http_reply_field(r, "connection");
    buf_printf(out, "HTTP/1.1 %d %.*s\r\n", r->status, STR_FMT(r->reason));
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *f = &r->fields[i];
        if (field_stays_here(f, connection) || str_ieq(f->name, STR("alt-svc")))
            continue;
        field_put(out, f->name, f->value);
    }
    if (way == BODY_CHUNKS || way == BODY_CHUNK)
        buf_z(out, "Transfer-Encoding: chunked\r\n");
    if (r->body == REPLY_SWITCH)
        buf_z(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    else if (!keep_alive)
        buf_z(out, "Connection: close\r\n");
    else if (client_minor == 0)
        buf_z(out, "Connection: keep-alive\r\n");
    buf_add(out, "\r\n", 2);
}

void head_text(const struct http_field *fields, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        buf_str(out, fields[i].name);
        buf_add(out, ": ", 2);
        buf_str(out, fields[i].value);
        buf_char(out, '\n');
    }
}
