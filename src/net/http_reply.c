/* The head of an answer with its fields apart; what is refused is http_answer_head.c's to say, the one reader of this
 * grammar. Not here: bodies (http_chunked.c). */
#include "net/http_reply.h"
#include "net/http_parse.h"

static enum rc refuse(struct err *err, enum rc rc, const char *why)
{
    return err_set(err, rc, "the answer's head is refused: %s", why);
}

/* RC_AGAIN while the end of the head is not there. The caps come first, so that more bytes never change a verdict. */
static enum rc end_find(struct str in, size_t *ret_length, struct err *err)
{
    struct err why = {0};
    size_t scanned = 0, first = in.n < HTTP_MAX_LINE + 2 ? in.n : HTTP_MAX_LINE + 2;
    struct str head = str_sub(in, 0, HTTP_MAX_HEAD);
    bool too_long = first == HTTP_MAX_LINE + 2 && !memchr(in.p, '\n', first);
    enum rc rc = too_long ? RC_AGAIN : http_answer_head_find(head, &scanned, ret_length, &why);
    if (too_long || (rc == RC_AGAIN && head.n == HTTP_MAX_HEAD))
        return refuse(err, RC_LIMIT, "a line or the whole is too long");
    return rc == RC_OK || rc == RC_AGAIN ? rc : refuse(err, rc, why.sentence);
}

/* RFC 9112, section 6.3. */
static void body_judge(struct http_reply *r, const struct http_answer_head *h, struct str method)
{
    bool none = h->status / 100 == 1 || h->status == 204 || h->status == 304 || str_eq(method, STR("HEAD"));
    r->length = h->content_length >= 0 ? h->content_length : 0;
    r->body = h->status == 101         ? REPLY_SWITCH
              : none                   ? REPLY_NONE
              : h->chunked             ? REPLY_CHUNKED
              : h->content_length >= 0 ? REPLY_LENGTH
                                       : REPLY_CLOSE;
    r->keep_alive = r->body != REPLY_CLOSE && h->keep_alive;
}

/* The lines were judged: each has a colon. */
static enum rc fields_take(mem *ctx, struct str lines, struct http_reply *r, struct err *err)
{
    struct str rest = lines, line;
    size_t count = 0;
    while (str_line(&rest, &line))
        count++;
    if (count > HTTP_REPLY_FIELDS_MOST)
        return refuse(err, RC_LIMIT, "it has too many fields");
    r->fields = mem_array(ctx, struct http_field, count ? count : 1);
    while (str_line(&lines, &line)) {
        size_t colon = (size_t)((const char *)memchr(line.p, ':', line.n) - line.p);
        r->fields[r->field_count++] =
            (struct http_field){str_n(line.p, colon), str_trim(str_sub(line, colon + 1, line.n))};
    }
    return RC_OK;
}

enum rc http_reply_parse(mem *ctx, struct str in, struct str method, struct http_reply *ret, size_t *ret_length,
                         struct err *err)
{
    struct http_answer_head h;
    struct err why = {0};
    struct str line;
    size_t length = 0;
    *ret = (struct http_reply){0};
    *ret_length = 0;
    enum rc rc = end_find(in, &length, err);
    if (rc != RC_OK)
        return rc;
    struct str head = str_n(mem_strn(ctx, in.p, length), length), rest = head;
    rc = http_answer_head_parse(head, &h, &why);
    if (rc != RC_OK)
        return refuse(err, rc, why.sentence);
    (void)str_line(&rest, &line);
    struct http_reply r = {.status = h.status,
                           .minor_version = h.minor_version,
                           .reason = line.n > 13 ? str_sub(line, 13, line.n) : STR("")};
    rc = fields_take(ctx, h.fields, &r, err);
    if (rc != RC_OK)
        return rc;
    body_judge(&r, &h, method);
    *ret = r;
    *ret_length = length;
    return RC_OK;
}

struct str http_reply_field(const struct http_reply *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (str_ieq(r->fields[i].name, str_of(name)))
            return r->fields[i].value;
    return STR("");
}
