/* The head of a request (RFC 9112 sections 2 to 6), strictly.
 *
 * A pure function over bytes: it keeps no state, so that it can be fuzzed and tested alone. Lines are judged from the
 * first to the last and only when whole, so that a verdict over a prefix is also the verdict over everything longer.
 * Where the RFC lets a recipient be lenient (bare LF, folded lines, repeated Content-Length, white space), this one
 * refuses: two parsers in a row that disagree about where a message ends are how requests are smuggled.
 * Not here: bodies (http_chunked.c), the meaning of the target (http_target.c). */
#include "net/http_parse.h"

enum byte_class { IN_VALUE = 1, IN_TARGET = 2, IN_TOKEN = 4, IN_HOST = 8 };
/* One letter a byte keeps the table readable: V value; R value and target; K value and token; T value, target and
 * token; H value, target and host; A all of them. Bytes from 0x80 may stand in values only. */
#define V IN_VALUE
#define R (IN_VALUE | IN_TARGET)
#define K (IN_VALUE | IN_TOKEN)
#define T (IN_VALUE | IN_TARGET | IN_TOKEN)
#define H (IN_VALUE | IN_TARGET | IN_HOST)
#define A (IN_VALUE | IN_TARGET | IN_TOKEN | IN_HOST)
/* clang-format off */
static const unsigned char byte_classes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0, /* HTAB is the one control byte allowed */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    V, T, V, K, T, A, T, T, R, R, T, T, R, A, A, R, /*   ! " # $ % & ' ( ) * + , - . / */
    A, A, A, A, A, A, A, A, A, A, H, R, V, R, V, R, /* 0-9 : ; < = > ? */
    R, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, /* @ A-O */
    A, A, A, A, A, A, A, A, A, A, A, H, V, H, K, A, /* P-Z [ \ ] ^ _ */
    K, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, /* ` a-o */
    A, A, A, A, A, A, A, A, A, A, A, V, K, V, A, 0, /* p-z { | } ~ DEL */
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
};
/* clang-format on */
#undef V
#undef R
#undef K
#undef T
#undef H
#undef A

static bool all_of(struct str s, enum byte_class class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(byte_classes[(unsigned char)s.p[i]] & class))
            return false;
    return true;
}

bool http_is_token(struct str s)
{
    return s.n > 0 && all_of(s, IN_TOKEN);
}

bool http_is_value(struct str s)
{
    return all_of(s, IN_VALUE);
}

bool http_is_line(struct str line)
{
    const char *colon = memchr(line.p, ':', line.n);
    return colon && http_is_token(str_n(line.p, (size_t)(colon - line.p))) && http_is_value(line);
}

struct scan {
    struct str in;
    size_t at;
    struct http_head *head;
    struct http_field fields[HTTP_MAX_FIELDS];
    struct err *err;
    bool has_host, has_connection_close;
};

static enum rc refuse(struct scan *s, int status, const char *why)
{
    s->head->refuse_status = status;
    bool limit = status == 413 || status == 414 || status == 431;
    return err_set(s->err, limit ? RC_LIMIT : RC_INVALID, "The request's head is refused: %s.", why);
}

/* Takes the next line without its CRLF. A line that is not whole yet is RC_AGAIN as long as it may still fit. */
static enum rc line_take(struct scan *s, size_t max, int too_long, struct str *ret)
{
    *ret = STR("");
    size_t room = HTTP_MAX_HEAD - s->at;
    size_t most = max + 2 < room ? max + 2 : room; /* bytes that the line may have with its CRLF */
    if (most == room)
        too_long = 431;
    size_t left = s->in.n - s->at, look = left < most ? left : most;
    const char *start = s->in.p + s->at;
    const char *lf = look ? memchr(start, '\n', look) : NULL;
    if (!lf)
        return left >= most ? refuse(s, too_long, "a line is too long") : RC_AGAIN;
    if (lf == start || lf[-1] != '\r')
        return refuse(s, 400, "a line does not end with CR LF");
    *ret = str_n(start, (size_t)(lf - start) - 1);
    s->at += ret->n + 2;
    return RC_OK;
}

/* The RFC names exactly two spaces. Everything that is not a target character, such as a third one, is refused. */
static enum rc request_line_read(struct scan *s, struct str line)
{
    struct str rest = line, version;
    if (!str_next(&rest, ' ', &s->head->method) || !http_is_token(s->head->method))
        return refuse(s, 400, "the method is malformed");
    if (s->head->method.n > HTTP_MAX_METHOD)
        return refuse(s, 501, "the method is unknown");
    if (!str_next(&rest, ' ', &s->head->target) || s->head->target.n == 0 || !all_of(s->head->target, IN_TARGET))
        return refuse(s, 400, "the target is malformed");
    version = rest;
    bool shaped = version.n == 8 && memcmp(version.p, "HTTP/", 5) == 0 && version.p[5] >= '0' && version.p[5] <= '9' &&
                  version.p[6] == '.' && version.p[7] >= '0' && version.p[7] <= '9';
    if (!shaped)
        return refuse(s, 400, "the version is malformed");
    if (version.p[5] != '1' || version.p[7] > '1')
        return refuse(s, 505, "only HTTP/1.0 and HTTP/1.1 are spoken");
    s->head->minor_version = version.p[7] - '0';
    return RC_OK;
}

static enum rc host_read(struct scan *s, struct str value)
{
    if (s->has_host)
        return refuse(s, 400, "there is more than one Host");
    s->has_host = true;
    return all_of(value, IN_HOST) ? RC_OK : refuse(s, 400, "the Host is malformed");
}

static enum rc length_read(struct scan *s, struct str value)
{
    if (s->head->content_length >= 0)
        return refuse(s, 400, "there is more than one Content-Length");
    if (value.n == 0)
        return refuse(s, 400, "the Content-Length is empty");
    int64_t length = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return refuse(s, 400, "the Content-Length is not a plain number");
        if (length > INT64_MAX / 16)
            return refuse(s, 413, "the Content-Length is beyond all bounds");
        length = length * 10 + (value.p[i] - '0');
    }
    s->head->content_length = length;
    return RC_OK;
}

static enum rc encoding_read(struct scan *s, struct str value)
{
    if (s->head->chunked)
        return refuse(s, 400, "there is more than one Transfer-Encoding");
    if (!str_ieq(value, STR("chunked")))
        return refuse(s, 501, "of the transfer encodings only chunked is known");
    s->head->chunked = true;
    return RC_OK;
}

static enum rc connection_read(struct scan *s, struct str value)
{
    struct str rest = value, word;
    while (str_next(&rest, ',', &word))
        if (str_ieq(str_trim(word), STR("close")))
            s->has_connection_close = true;
    return RC_OK;
}

static enum rc expect_read(struct scan *s, struct str value)
{
    if (!str_ieq(value, STR("100-continue")))
        return refuse(s, 417, "the expectation is unknown");
    s->head->expect_continue = true;
    return RC_OK;
}

/* The fields that decide about framing. All others are only kept. */
static const struct {
    struct str name;
    enum rc (*read)(struct scan *s, struct str value);
} known_fields[] = {
    {{"host", 4}, host_read},
    {{"content-length", 14}, length_read},
    {{"transfer-encoding", 17}, encoding_read},
    {{"connection", 10}, connection_read},
    {{"expect", 6}, expect_read},
};

static struct str blanks_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_n(s.p + 1, s.n - 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static enum rc field_read(struct scan *s, struct str line)
{
    if (s->head->field_count == HTTP_MAX_FIELDS)
        return refuse(s, 431, "there are too many fields");
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(s, 400, "a field is folded over lines");
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return refuse(s, 400, "a field has no colon");
    struct http_field f = {.name = str_n(line.p, (size_t)(colon - line.p))};
    f.value = str_n(colon + 1, line.n - f.name.n - 1);
    if (!http_is_token(f.name))
        return refuse(s, 400, "a field's name is malformed");
    if (!http_is_value(f.value))
        return refuse(s, 400, "a field's value holds a control byte");
    f.value = blanks_trim(f.value);
    s->fields[s->head->field_count++] = f;
    for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++)
        if (str_ieq(f.name, known_fields[i].name))
            return known_fields[i].read(s, f.value);
    return RC_OK;
}

/* What can be judged only when all fields are known. */
static enum rc head_judge(struct scan *s)
{
    struct http_head *h = s->head;
    if (h->chunked && h->content_length >= 0)
        return refuse(s, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (h->chunked && h->minor_version == 0)
        return refuse(s, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (!s->has_host && h->minor_version > 0)
        return refuse(s, 400, "the Host is missing");
    h->keep_alive = h->minor_version > 0 && !s->has_connection_close;
    return RC_OK;
}

static enum rc head_scan(struct scan *s)
{
    struct str line;
    /* RFC 9112 section 2.2: an empty line before the request line is passed over, one only. */
    if (s->in.n >= 1 && s->in.p[0] == '\r') {
        if (s->in.n == 1)
            return RC_AGAIN;
        if (s->in.p[1] != '\n')
            return refuse(s, 400, "a line does not end with CR LF");
        s->at = 2;
    }
    enum rc rc = line_take(s, HTTP_MAX_LINE, 414, &line);
    if (rc == RC_OK)
        rc = request_line_read(s, line);
    while (rc == RC_OK) {
        rc = line_take(s, HTTP_MAX_HEAD, 431, &line);
        if (rc == RC_OK && line.n == 0)
            return head_judge(s);
        if (rc == RC_OK)
            rc = field_read(s, line);
    }
    return rc;
}

/* The head's bytes are copied once; all views then point into that copy. */
static void head_keep(mem *ctx, struct scan *s)
{
    struct http_head *h = s->head;
    char *copy = mem_strn(ctx, s->in.p, s->at);
    h->method.p = copy + (h->method.p - s->in.p);
    h->target.p = copy + (h->target.p - s->in.p);
    h->fields = mem_array(ctx, struct http_field, h->field_count ? h->field_count : 1);
    for (size_t i = 0; i < h->field_count; i++) {
        struct http_field f = s->fields[i];
        h->fields[i].name = str_n(copy + (f.name.p - s->in.p), f.name.n);
        h->fields[i].value = str_n(copy + (f.value.p - s->in.p), f.value.n);
    }
}

enum rc http_head_parse(mem *ctx, struct str in, struct http_head *ret, size_t *ret_length, struct err *err)
{
    struct scan s;
    s.in = in;
    s.at = 0;
    s.head = ret;
    s.err = err;
    s.has_host = s.has_connection_close = false;
    *ret = (struct http_head){.content_length = -1};
    *ret_length = 0;
    enum rc rc = head_scan(&s);
    if (rc == RC_OK) {
        head_keep(ctx, &s);
        *ret_length = s.at;
    } else {
        *ret = (struct http_head){.content_length = -1, .refuse_status = ret->refuse_status};
    }
    return rc;
}
