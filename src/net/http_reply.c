/* Reading the head of an answer; http_reply.h says what is refused. Not here: bodies (http_chunked.c). */
#include "net/http_reply.h"
#include "net/http_parse.h"

struct scan {
    struct str in;
    size_t at;
    struct http_field fields[HTTP_REPLY_FIELDS_MOST];
    struct http_reply *reply;
    int64_t length; /* -1: none said */
    bool chunked, close, keep;
    struct err *err;
};

static enum rc refuse(struct scan *s, enum rc rc, const char *why)
{
    return err_set(s->err, rc, "the answer's head is refused: %s", why);
}

static enum rc line_take(struct scan *s, size_t most, struct str *ret)
{
    size_t left = s->in.n - s->at, room = HTTP_MAX_HEAD - s->at;
    if (room > most + 2)
        room = most + 2;
    const char *start = s->in.p + s->at, *lf = memchr(start, '\n', left < room ? left : room);
    if (!lf)
        return left >= room ? refuse(s, RC_LIMIT, "a line or the whole is too long") : RC_AGAIN;
    if (lf == start || lf[-1] != '\r')
        return refuse(s, RC_INVALID, "a line does not end with CR LF");
    *ret = str_n(start, (size_t)(lf - start) - 1);
    s->at += ret->n + 2;
    return RC_OK;
}

static enum rc status_read(struct scan *s, struct str line)
{
    int64_t status;
    bool shaped = line.n >= 12 && memcmp(line.p, "HTTP/1.", 7) == 0 && (line.p[7] == '0' || line.p[7] == '1') &&
                  line.p[8] == ' ' && (line.n == 12 || line.p[12] == ' ');
    if (!shaped || !str_int(str_sub(line, 9, 3), 100, 599, &status))
        return refuse(s, RC_INVALID, "its first line is malformed");
    s->reply->status = (int)status;
    s->reply->minor_version = line.p[7] - '0';
    s->reply->reason = line.n > 13 ? str_sub(line, 13, line.n) : STR("");
    return http_is_value(s->reply->reason) ? RC_OK : refuse(s, RC_INVALID, "its first line holds a control byte");
}

static enum rc length_read(struct scan *s, struct str value)
{
    int64_t length;
    if (!value.n || value.p[0] == '-' || value.p[0] == '+' || !str_int(value, 0, INT64_MAX / 16, &length))
        return refuse(s, RC_INVALID, "its Content-Length is no plain number");
    if (s->length >= 0 && s->length != length)
        return refuse(s, RC_INVALID, "it has two Content-Lengths");
    s->length = length;
    return RC_OK;
}

static enum rc coding_read(struct scan *s, struct str value)
{
    if (s->chunked || !str_ieq(value, STR("chunked")))
        return refuse(s, RC_INVALID, "of the transfer codings only chunked is known");
    s->chunked = true;
    return RC_OK;
}

static enum rc connection_read(struct scan *s, struct str value)
{
    struct str rest = value, word;
    while (str_next(&rest, ',', &word)) {
        s->close |= str_ieq(str_trim(word), STR("close"));
        s->keep |= str_ieq(str_trim(word), STR("keep-alive"));
    }
    return RC_OK;
}

static const struct {
    struct str name;
    enum rc (*read)(struct scan *s, struct str value);
} known[] = {
    {{"content-length", 14}, length_read},
    {{"transfer-encoding", 17}, coding_read},
    {{"connection", 10}, connection_read},
};

static enum rc field_read(struct scan *s, struct str line)
{
    if (s->reply->field_count == HTTP_REPLY_FIELDS_MOST)
        return refuse(s, RC_LIMIT, "it has too many fields");
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return refuse(s, RC_INVALID, "a field has no colon");
    struct http_field f = {str_n(line.p, (size_t)(colon - line.p)),
                           str_n(colon + 1, line.n - (size_t)(colon - line.p) - 1)};
    if (!http_is_token(f.name) || !http_is_value(f.value))
        return refuse(s, RC_INVALID, "a field is malformed");
    f.value = str_trim(f.value);
    s->fields[s->reply->field_count++] = f;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_ieq(f.name, known[i].name))
            return known[i].read(s, f.value);
    return RC_OK;
}

/* RFC 9112, section 6.3. */
static enum rc body_judge(struct scan *s, struct str method)
{
    struct http_reply *r = s->reply;
    if (s->chunked && (s->length >= 0 || r->minor_version == 0))
        return refuse(s, RC_INVALID,
                      "Content-Length and Transfer-Encoding exclude each other, and HTTP/1.0 has no coding");
    bool none = r->status / 100 == 1 || r->status == 204 || r->status == 304 || str_eq(method, STR("HEAD"));
    r->length = s->length >= 0 ? s->length : 0;
    r->body = r->status == 101 ? REPLY_SWITCH
              : none           ? REPLY_NONE
              : s->chunked     ? REPLY_CHUNKED
              : s->length >= 0 ? REPLY_LENGTH
                               : REPLY_CLOSE;
    r->keep_alive = r->body != REPLY_CLOSE && !s->close && (r->minor_version == 1 || s->keep);
    return RC_OK;
}

static enum rc head_scan(struct scan *s, struct str method)
{
    struct str line = {0};
    enum rc rc = line_take(s, HTTP_MAX_LINE, &line);
    if (rc == RC_OK)
        rc = status_read(s, line);
    while (rc == RC_OK) {
        rc = line_take(s, HTTP_MAX_HEAD, &line);
        if (rc == RC_OK && !line.n)
            return body_judge(s, method);
        if (rc == RC_OK)
            rc = field_read(s, line);
    }
    return rc;
}

enum rc http_reply_parse(mem *ctx, struct str in, struct str method, struct http_reply *ret, size_t *ret_length,
                         struct err *err)
{
    struct scan s;
    s.in = in;
    s.at = 0;
    s.reply = ret;
    s.length = -1;
    s.chunked = s.close = s.keep = false;
    s.err = err;
    *ret = (struct http_reply){0};
    *ret_length = 0;
    enum rc rc = head_scan(&s, method);
    if (rc != RC_OK) {
        *ret = (struct http_reply){0};
        return rc;
    }
    const char *copy = mem_strn(ctx, in.p, s.at);
    ret->reason.p = ret->reason.n ? copy + (ret->reason.p - in.p) : "";
    ret->fields = mem_array(ctx, struct http_field, ret->field_count ? ret->field_count : 1);
    for (size_t i = 0; i < ret->field_count; i++) {
        ret->fields[i].name = str_n(copy + (s.fields[i].name.p - in.p), s.fields[i].name.n);
        ret->fields[i].value = str_n(copy + (s.fields[i].value.p - in.p), s.fields[i].value.n);
    }
    *ret_length = s.at;
    return RC_OK;
}

struct str http_reply_field(const struct http_reply *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (str_ieq(r->fields[i].name, str_of(name)))
            return r->fields[i].value;
    return STR("");
}
