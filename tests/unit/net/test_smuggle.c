/* Contract: whatever we accept, another parser reads the same way: the same requests with the same bodies, ending at
 * the same bytes. Requests are smuggled where two parsers in a row disagree about that. The judge is http-parser (the
 * one that Node.js had), over a table of smuggling forms and over mutations of good and bad requests. It is not needed
 * to build or run anything else: without it this test is skipped. */
#include "net/http_parse.h"
#include <check.h>
#include <dlfcn.h>
#if __has_include(<http_parser.h>)
#include <http_parser.h>
#define HAS_JUDGE 1
#else
#define HAS_JUDGE 0
#endif

enum { SKIPPED = 77, MESSAGES_MOST = 32 };

#if HAS_JUDGE

struct field {
    struct str name, value;
};
struct message {
    struct str method, target;
    struct field fields[HTTP_MAX_FIELDS];
    size_t field_count;
    struct buf body;
    size_t end; /* offset behind its last byte */
};
struct reading {
    struct message m[MESSAGES_MOST];
    size_t count; /* whole messages */
    bool closes;  /* the last one ends the connection */
    bool refused;
    const char *why;
};

static mem *ctx;

static void begin(void)
{
    ctx = mem_root();
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static struct str blanks_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_sub(s, 1, s.n);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* --- ours, put together as the server does ---------------------------------------------------------------------------
 */

static enum rc body_read(const struct http_head *h, struct str *rest, struct buf *body)
{
    struct http_chunked d = {0};
    struct str piece;
    enum rc rc = RC_OK;
    if (!h->chunked) {
        size_t n = h->content_length > 0 ? (size_t)h->content_length : 0;
        if (n > rest->n)
            return RC_AGAIN;
        buf_str(body, str_sub(*rest, 0, n));
        *rest = str_sub(*rest, n, rest->n);
        return RC_OK;
    }
    while ((rc = http_chunked_take(&d, rest, &piece, NULL)) == RC_OK && piece.n > 0)
        buf_str(body, piece);
    return rc;
}

static void ours_read(struct str in, struct reading *ret)
{
    struct str rest = in, path, query;
    struct err err = {0};
    *ret = (struct reading){0};
    while (rest.n > 0 && !ret->closes && ret->count < MESSAGES_MOST) {
        struct message *m = &ret->m[ret->count];
        struct http_head h;
        size_t length;
        enum rc rc = http_head_parse(ctx, rest, &h, &length, &err);
        if (rc == RC_OK)
            rc = http_target_split(ctx, h.method, h.target, &path, &query, &err);
        buf_init(&m->body, ctx, 1 << 20);
        if (rc == RC_OK) {
            rest = str_sub(rest, length, rest.n);
            rc = body_read(&h, &rest, &m->body);
        }
        ret->refused = rc != RC_OK && rc != RC_AGAIN;
        if (rc != RC_OK)
            return;
        m->method = h.method;
        m->target = h.target;
        m->field_count = h.field_count;
        for (size_t i = 0; i < h.field_count; i++)
            m->fields[i] = (struct field){h.fields[i].name, h.fields[i].value};
        m->end = in.n - rest.n;
        ret->closes = !h.keep_alive;
        ret->count++;
    }
}

/* --- the judge -------------------------------------------------------------------------------------------------------
 */

static struct {
    void (*init)(http_parser *p, enum http_parser_type type);
    size_t (*execute)(http_parser *p, const http_parser_settings *s, const char *data, size_t n);
    const char *(*method)(enum http_method m);
    const char *(*error)(enum http_errno e);
} judge;

static struct reading *judged;
static struct str judged_in;
static bool in_value;
static http_parser_settings settings;

static struct message *judged_now(void)
{
    return judged->count < MESSAGES_MOST ? &judged->m[judged->count] : NULL;
}

/* A text comes in pieces that lie one behind the other. */
static struct str joined(struct str have, const char *at, size_t n)
{
    return have.n ? str_n(have.p, (size_t)(at + n - have.p)) : str_n(at, n);
}

static int judge_begin(http_parser *p)
{
    (void)p;
    if (!judged_now())
        return 1;
    *judged_now() = (struct message){0};
    buf_init(&judged_now()->body, ctx, 1 << 20);
    in_value = false;
    return 0;
}

static int judge_url(http_parser *p, const char *at, size_t n)
{
    (void)p;
    judged_now()->target = joined(judged_now()->target, at, n);
    return 0;
}

static int judge_name(http_parser *p, const char *at, size_t n)
{
    struct message *m = judged_now();
    (void)p;
    if (in_value || m->field_count == 0) {
        if (m->field_count == HTTP_MAX_FIELDS)
            return 1;
        m->fields[m->field_count++] = (struct field){0};
    }
    in_value = false;
    struct field *f = &m->fields[m->field_count - 1];
    f->name = joined(f->name, at, n);
    return 0;
}

static int judge_value(http_parser *p, const char *at, size_t n)
{
    struct message *m = judged_now();
    (void)p;
    in_value = true;
    struct field *f = &m->fields[m->field_count - 1];
    f->value = joined(f->value, at, n);
    return 0;
}

/* Trailers come as fields too; ours drops them. What was there when the head ended is what counts. */
static size_t head_fields;

static int judge_head(http_parser *p)
{
    (void)p;
    head_fields = judged_now()->field_count;
    return 0;
}

static int judge_body(http_parser *p, const char *at, size_t n)
{
    (void)p;
    buf_add(&judged_now()->body, at, n);
    return 0;
}

/* Pausing is how the offset of the end becomes known: execute returns there. */
static int judge_end(http_parser *p)
{
    judged_now()->method = str_of(judge.method((enum http_method)p->method));
    judged_now()->field_count = head_fields;
    p->http_errno = HPE_PAUSED;
    return 0;
}

/* Each message is given to a fresh parser: an upgrade or a closed connection then means nothing beyond it. */
static void judge_read(struct str in, struct reading *ret)
{
    size_t at = 0;
    *ret = (struct reading){0};
    judged = ret;
    judged_in = in;
    while (at < in.n && ret->count < MESSAGES_MOST) {
        http_parser p;
        judge.init(&p, HTTP_REQUEST);
        size_t n = judge.execute(&p, &settings, in.p + at, in.n - at);
        if (p.http_errno != HPE_PAUSED) {
            ret->refused = p.http_errno != HPE_OK;
            ret->why = judge.error((enum http_errno)p.http_errno);
            return;
        }
        at += n;
        ret->m[ret->count++].end = at;
    }
}

static bool judge_load(void)
{
    void *library = dlopen("libhttp_parser.so.2.9", RTLD_NOW);
    if (!library)
        return false;
    *(void **)&judge.init = dlsym(library, "http_parser_init");
    *(void **)&judge.execute = dlsym(library, "http_parser_execute");
    *(void **)&judge.method = dlsym(library, "http_method_str");
    *(void **)&judge.error = dlsym(library, "http_errno_name");
    settings = (http_parser_settings){.on_message_begin = judge_begin,
                                      .on_url = judge_url,
                                      .on_header_field = judge_name,
                                      .on_header_value = judge_value,
                                      .on_headers_complete = judge_head,
                                      .on_body = judge_body,
                                      .on_message_complete = judge_end};
    return judge.init && judge.execute && judge.method && judge.error;
}

/* --- comparing -------------------------------------------------------------------------------------------------------
 */

static const char *difference(const struct message *a, const struct message *b)
{
    if (!str_eq(a->method, b->method))
        return "method";
    if (!str_eq(a->target, b->target))
        return "target";
    if (a->end != b->end)
        return "end";
    if (!str_eq(buf_view(&a->body), buf_view(&b->body)))
        return "body";
    if (a->field_count != b->field_count)
        return "number of fields";
    for (size_t i = 0; i < a->field_count; i++)
        if (!str_eq(a->fields[i].name, b->fields[i].name) ||
            !str_eq(blanks_trim(a->fields[i].value), blanks_trim(b->fields[i].value)))
            return "fields";
    return NULL;
}

/* What the judge refuses it cannot read differently. It does so where we do not: methods that it does not know, names
 * that only begin as a framing field does ("Transfer-Encodings"), a tab behind a length, framing fields among trailers.
 * That is rare, and never so in the table. */
static size_t agreed, beyond;

static void compare(struct str in)
{
    static struct reading ours, theirs;
    ours_read(in, &ours);
    judge_read(in, &theirs);
    for (size_t i = 0; i < ours.count; i++) {
        if (i >= theirs.count && theirs.refused) {
            beyond++;
            return;
        }
        ck_assert_msg(i < theirs.count, "request %zu is accepted, but for the judge it is not whole:\n%.*s", i,
                      STR_FMT(in));
        const char *what = difference(&ours.m[i], &theirs.m[i]);
        ck_assert_msg(!what, "request %zu is read differently (%s):\n%.*s", i, what, STR_FMT(in));
        agreed++;
    }
}

/* --- what is compared ------------------------------------------------------------------------------------------------
 */

#define TEXT(lit)                                                                                                      \
    {                                                                                                                  \
        lit, sizeof(lit) - 1                                                                                           \
    }
#define NEXT "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
static const struct str forms[] = {
    /* good ones: both must take them */
    TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("\r\nGET /a?b=c HTTP/1.1\r\nHost: a:1\r\nAccept: */*\r\n\r\n"),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n00\r\nT: v\r\n\r\n" NEXT),
    TEXT("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX:\r\nY: \t z \t\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.0\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" NEXT),
    TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"),
    TEXT("DELETE /%2e%41 HTTP/1.1\r\nhost:a\r\nX-Y_z.1: \x80\xff\r\n\r\n"),
    /* two lengths, or a length and an encoding */
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\x0b\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00005\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\nX: y\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\rX: y\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\nhello" NEXT),
    /* encodings in disguise */
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b"
         "chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x=y\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nX: \0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTE: chunked\r\n\r\n" NEXT),
    /* chunks */
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell\r\n0\r\n\r\n" NEXT),
    TEXT(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\nx\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\nhello" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT : v\r\n\r\n" NEXT),
    TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n5\r\nhello\r\n0\r\n\r\n" NEXT),
    /* request lines and hosts */
    TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.2\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET / HTTP/01.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET / http/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET /\r\n" NEXT),
    TEXT("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET //b/ HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\n: x\r\nHost: a\r\n\r\n" NEXT),
    TEXT("GET / HTTP/1.1\r\nno colon\r\nHost: a\r\n\r\n" NEXT),
    TEXT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
    TEXT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
};
enum { FORMS = sizeof forms / sizeof *forms, GOOD_FORMS = 11 };

START_TEST(forms_are_read_the_same_way)
{
    static struct reading ours;
    agreed = beyond = 0;
    compare(forms[_i]);
    ck_assert_msg(!beyond, "accepted, but refused by the judge:\n%.*s", STR_FMT(forms[_i]));
    ours_read(forms[_i], &ours);
    ck_assert_msg(_i >= GOOD_FORMS || ours.count > 0, "a good request was refused:\n%.*s", STR_FMT(forms[_i]));
}
END_TEST

/* --- mutations -------------------------------------------------------------------------------------------------------
 */

static uint64_t random_state = 1;

static size_t random_below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(random_state >> 33) % n;
}

static const struct str pieces[] = {
    TEXT("\r\n"),
    TEXT("\n"),
    TEXT("\r"),
    TEXT(" "),
    TEXT("\t"),
    TEXT("\0"),
    TEXT(":"),
    TEXT(","),
    TEXT(";"),
    TEXT("0"),
    TEXT("5"),
    TEXT("-"),
    TEXT("+"),
    TEXT("0x"),
    TEXT("\r\n\r\n"),
    TEXT("0\r\n\r\n"),
    TEXT("\x0b"),
    TEXT("\x7f"),
    TEXT("\x80"),
    TEXT("\""),
    TEXT("chunked"),
    TEXT("identity"),
    TEXT("Content-Length: 5\r\n"),
    TEXT("Content-Length: 0\r\n"),
    TEXT("Transfer-Encoding: chunked\r\n"),
    TEXT("Transfer-Encoding: x\r\n"),
    TEXT("Connection: close\r\n"),
    TEXT("Host: b\r\n"),
    TEXT("HTTP/1.0"),
    TEXT("5\r\nhello\r\n"),
    TEXT(NEXT),
};

static void mutate(struct buf *b, mem *tmp)
{
    struct str old = str_n(mem_strn(tmp, b->p ? b->p : "", b->n), b->n);
    struct str piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
    size_t at = random_below(old.n + 1), cut = 0;
    switch (random_below(4)) {
    case 0: /* a piece more */
        break;
    case 1: /* a piece instead of some bytes */
        cut = random_below(8);
        break;
    case 2: /* some bytes less */
        cut = 1 + random_below(8);
        piece = STR("");
        break;
    default: /* some bytes twice */
        piece = str_sub(old, random_below(old.n + 1), random_below(40));
    }
    buf_clear(b);
    buf_str(b, str_sub(old, 0, at));
    buf_str(b, piece);
    buf_str(b, str_sub(old, at + cut, old.n));
}

START_TEST(mutations_are_read_the_same_way)
{
    enum { ROUNDS = 60000 };
    agreed = beyond = 0;
    random_state = (uint64_t)_i + 1;
    for (int i = 0; i < ROUNDS; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct buf b;
        ctx = mem_free(ctx);
        ctx = mem_root();
        buf_init(&b, tmp, 1 << 16);
        buf_str(&b, forms[random_below(random_below(2) ? FORMS : GOOD_FORMS)]);
        for (size_t n = random_below(5); n > 0; n--)
            mutate(&b, tmp);
        compare(buf_view(&b));
    }
    ck_assert_msg(agreed > ROUNDS / 10, "hardly anything was accepted: %zu", agreed);
    ck_assert_msg(beyond < agreed / 20, "the judge knew too little: %zu of %zu", beyond, agreed);
}
END_TEST

int main(void)
{
    if (!judge_load()) {
        printf("libhttp_parser is not here: nothing to compare with\n");
        return SKIPPED;
    }
    Suite *suite = suite_create("smuggle");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, forms_are_read_the_same_way, 0, FORMS);
    tcase_add_loop_test(t, mutations_are_read_the_same_way, 0, 4);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}

#else
int main(void)
{
    printf("the header of libhttp_parser is not here: nothing to compare with\n");
    return SKIPPED;
}
#endif
