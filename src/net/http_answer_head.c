/* The head of an answer (RFC 9112 sections 4 to 6), strictly: the pure half of http_client.c, so that it can be tested
 * and fuzzed alone. Where two readers could disagree about where an answer ends, it is refused. */
#include "net/http_parse.h"

/* End of the first line of `in`, with its LF, or 0. *ret_bad: it ends without CR. */
static size_t line_end(struct str in, bool *ret_bad)
{
    const char *lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
    *ret_bad = lf && (lf == in.p || lf[-1] != '\r');
    return lf ? (size_t)(lf - in.p) + 1 : 0;
}

enum rc http_answer_head_find(struct str in, size_t *scanned, size_t *ret_length, struct err *err)
{
    bool bad;
    size_t n;
    static const char first[] = "HTTP/1.";
    for (size_t i = 0; i < sizeof first - 1 && i < in.n; i++)
        if (in.p[i] != first[i])
            return err_set(err, RC_INVALID, "it is no HTTP/1");
    while ((n = line_end(str_n(in.p + *scanned, in.n - *scanned), &bad)) > 0) {
        if (bad)
            return err_set(err, RC_INVALID, "a line does not end with CR LF");
        *scanned += n;
        if (n == 2) {
            *ret_length = *scanned;
            return RC_OK;
        }
    }
    return RC_AGAIN;
}

static enum rc refuse(struct err *err, const char *why)
{
    return err_set(err, RC_INVALID, "%s", why);
}

/* "HTTP/1.1 200 OK"; the reason and the blank before it may be missing. */
static enum rc status_read(struct str line, struct http_answer_head *h, struct err *err)
{
    int64_t status;
    if (line.n < 12 || !str_starts(line, STR("HTTP/1.")) || (line.p[7] != '0' && line.p[7] != '1') ||
        line.p[8] != ' ' || !str_int(str_sub(line, 9, 3), 100, 599, &status) || (line.n > 12 && line.p[12] != ' ') ||
        !http_is_value(line))
        return refuse(err, "the status line is malformed");
    h->minor_version = line.p[7] - '0';
    h->status = (int)status;
    return RC_OK;
}

/* The same length said twice is one length (RFC 9110, section 8.6); servers do that. */
static enum rc length_read(struct http_answer_head *h, struct str value, struct err *err)
{
    int64_t length = 0;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9')
            return refuse(err, "the Content-Length is no plain number");
    if (!value.n || value.n > 18 || !str_int(value, 0, INT64_MAX, &length))
        return refuse(err, "the Content-Length is no plain number");
    if (h->content_length >= 0 && h->content_length != length)
        return refuse(err, "there is more than one Content-Length");
    h->content_length = length;
    return RC_OK;
}

static enum rc encoding_read(struct http_answer_head *h, struct str value, struct err *err)
{
    if (h->chunked)
        return refuse(err, "there is more than one Transfer-Encoding");
    if (!str_ieq(value, STR("chunked")))
        return refuse(err, "of the transfer encodings only chunked is known");
    h->chunked = true;
    return RC_OK;
}

static void connection_read(struct http_answer_head *h, struct str value)
{
    struct str word;
    while (str_next(&value, ',', &word)) {
        word = str_trim(word);
        h->close |= str_ieq(word, STR("close"));
        h->keep |= str_ieq(word, STR("keep-alive"));
    }
}

static enum rc field_read(struct http_answer_head *h, struct str line, struct err *err)
{
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon || !http_is_line(line))
        return refuse(err, "a field is malformed");
    struct str name = str_n(line.p, (size_t)(colon - line.p));
    struct str value = str_trim(str_sub(line, name.n + 1, line.n));
    if (name.n == 14 && str_ieq(name, STR("content-length")))
        return length_read(h, value, err);
    if (name.n == 17 && str_ieq(name, STR("transfer-encoding")))
        return encoding_read(h, value, err);
    if (name.n == 10 && str_ieq(name, STR("connection")))
        connection_read(h, value);
    return RC_OK;
}

enum rc http_answer_head_parse(struct str head, struct http_answer_head *ret, struct err *err)
{
    struct str rest = head, line;
    *ret = (struct http_answer_head){.content_length = -1};
    (void)str_line(&rest, &line);
    enum rc rc = status_read(line, ret, err);
    ret->fields = rest;
    while (rc == RC_OK && str_line(&rest, &line) && line.n)
        rc = field_read(ret, line, err);
    if (rc == RC_OK)
        ret->fields.n = (size_t)(line.p - ret->fields.p);
    if (rc == RC_OK && ret->chunked && ret->content_length >= 0)
        rc = refuse(err, "Content-Length and Transfer-Encoding exclude each other");
    if (rc == RC_OK && ret->chunked && ret->minor_version == 0)
        rc = refuse(err, "HTTP/1.0 has no Transfer-Encoding");
    ret->keep_alive = !ret->close && (ret->minor_version > 0 || ret->keep);
    return rc;
}
