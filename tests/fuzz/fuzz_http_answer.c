/* What a model server says, before any dialect: heads of answers, packed bodies; and the URL that names it. What must
 * hold: nothing is read beyond the input, a verdict over a prefix is the verdict over everything longer, a head that is
 * taken has one way to end, a body unpacks the same in any pieces. */
#include "net/http_parse.h"
#include "net/unpack.h"
#include "net/url.h"

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)

enum { UNPACKED_MOST = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly n bytes, so that the sanitizer sees a read behind them. */
static struct str exact(mem *ctx, struct str in, size_t n)
{
    return str_n(memcpy(mem_zalloc(ctx, n ? n : 1), in.p, n), n);
}

static void check_head(mem *ctx, struct str in, size_t cut)
{
    size_t whole = 0, length = 0, scanned = 0, again = 0;
    struct http_answer_head h;
    enum rc rc = http_answer_head_find(in, &whole, &length, NULL);
    enum rc first = http_answer_head_find(exact(ctx, in, cut), &scanned, &again, NULL);
    if (first == RC_AGAIN)
        first = http_answer_head_find(in, &scanned, &again, NULL);
    MUST(first == rc && (rc != RC_OK || (again == length && length <= in.n)));
    if (rc != RC_OK || http_answer_head_parse(exact(ctx, in, length), &h, NULL) != RC_OK)
        return;
    MUST(h.status >= 100 && h.status < 600 && h.content_length >= -1 && !(h.chunked && h.content_length >= 0));
    MUST(h.fields.n <= length && !(h.chunked && h.minor_version == 0));
}

static enum rc unpack(mem *ctx, const char *encoding, struct str in, size_t step, struct buf *out)
{
    struct unpack *u = unpack_new(ctx, str_of(encoding));
    enum rc rc = RC_OK;
    buf_init(out, ctx, UNPACKED_MOST);
    for (size_t at = 0; at < in.n && rc == RC_OK; at += step) {
        struct str part = exact(ctx, str_sub(in, at, step), str_sub(in, at, step).n), piece = STR("");
        do
            rc = unpack_take(u, &part, &piece, NULL);
        while (rc == RC_OK && piece.n && buf_str(out, piece));
        if (piece.n)
            break; /* the cap */
        MUST(rc != RC_OK || part.n == 0);
    }
    return rc;
}

static void check_body(mem *ctx, const char *encoding, struct str in, size_t step)
{
    struct buf whole, pieces;
    enum rc rc = unpack(ctx, encoding, in, in.n, &whole);
    enum rc again = unpack(ctx, encoding, in, step, &pieces);
    if (!whole.overflow && !pieces.overflow && rc == RC_OK)
        MUST(again == RC_OK && str_eq(buf_view(&whole), buf_view(&pieces)));
}

static void check_url(mem *ctx, struct str in)
{
    struct url u;
    if (url_parse(ctx, mem_strn(ctx, in.p, in.n), &u, NULL) != RC_OK)
        return;
    MUST(u.host[0] && u.port && (u.target[0] == '/'));
    for (const char *c = u.target; *c; c++)
        MUST((unsigned char)*c > ' ' && (unsigned char)*c < 127);
    for (const char *c = u.host; *c; c++)
        MUST(!strchr("/?#@[] \\%", *c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    if (size < 1)
        return 0;
    struct str in = exact(ctx, str_n((const char *)data + 1, size - 1), size - 1);
    size_t cut = in.n ? data[0] % in.n : 0;
    check_head(ctx, in, cut);
    check_body(ctx, "gzip", in, cut + 1);
    check_body(ctx, "deflate", in, cut + 1);
    check_url(ctx, in);
    return 0;
}
