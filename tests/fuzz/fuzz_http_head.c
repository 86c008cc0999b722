/* The HTTP grammar under any bytes: heads, targets, chunked bodies. What must hold: nothing is read beyond the input, a
 * verdict over a prefix is the verdict over everything longer, what was taken is within the caps and holds no byte that
 * ends a line, a body decodes the same in any pieces. */
#include "net/http_parse.h"

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly n bytes, so that the sanitizer sees a read behind them. */
static struct str exact(mem *ctx, struct str in, size_t n)
{
    return str_n(memcpy(mem_zalloc(ctx, n ? n : 1), in.p, n), n);
}

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

static void check_taken(mem *ctx, struct str in, const struct http_head *h, size_t length)
{
    struct str path, query;
    MUST(length > 0 && length <= in.n && length <= HTTP_MAX_HEAD);
    MUST(h->field_count <= HTTP_MAX_FIELDS && !(h->chunked && h->content_length >= 0) && h->content_length >= -1);
    MUST(http_is_token(h->method) && is_clean(h->target) && h->target.n > 0);
    for (size_t i = 0; i < h->field_count; i++) {
        MUST(http_is_token(h->fields[i].name) && http_is_value(h->fields[i].value) && is_clean(h->fields[i].value));
        struct str v = h->fields[i].value;
        MUST(!v.n || (v.p[0] != ' ' && v.p[0] != '\t' && v.p[v.n - 1] != ' ' && v.p[v.n - 1] != '\t'));
    }
    if (http_target_split(ctx, h->method, h->target, &path, &query, NULL) == RC_OK) {
        MUST(!memchr(path.p, '\0', path.n) && (path.n > 0));
        MUST(path.p[0] == '/' || str_eqz(path, "*"));
        MUST(str_find(path, STR("/../")) < 0 && !str_ends(path, STR("/..")));
    }
}

static bool same(const struct http_head *a, const struct http_head *b)
{
    if (a->field_count != b->field_count || a->content_length != b->content_length || a->chunked != b->chunked ||
        a->keep_alive != b->keep_alive || !str_eq(a->method, b->method) || !str_eq(a->target, b->target))
        return false;
    for (size_t i = 0; i < a->field_count; i++)
        if (!str_eq(a->fields[i].name, b->fields[i].name) || !str_eq(a->fields[i].value, b->fields[i].value))
            return false;
    return true;
}

static void check_prefix(mem *ctx, struct str in, size_t n, enum rc rc, const struct http_head *whole, size_t length)
{
    struct http_head h;
    size_t got;
    enum rc prefix = http_head_parse(ctx, exact(ctx, in, n), &h, &got, NULL);
    if (rc == RC_OK) {
        MUST(prefix == (n < length ? RC_AGAIN : RC_OK));
        MUST(prefix == RC_AGAIN || (got == length && same(&h, whole)));
    } else if (prefix != RC_AGAIN) {
        MUST(prefix == rc && h.refuse_status == whole->refuse_status);
    }
}

static enum rc decode(mem *ctx, struct str in, size_t step, struct buf *out, size_t *ret_used)
{
    struct http_chunked d = {0};
    enum rc rc = RC_AGAIN;
    size_t at = 0;
    buf_init(out, ctx, 1 << 20);
    while (rc == RC_AGAIN && at < in.n) {
        struct str part = str_sub(in, at, step), piece;
        size_t before = part.n;
        while ((rc = http_chunked_take(&d, &part, &piece, NULL)) == RC_OK && piece.n > 0)
            buf_str(out, piece);
        MUST(rc != RC_AGAIN || part.n == 0);
        at += before - part.n;
    }
    *ret_used = at;
    return rc;
}

static void check_body(mem *ctx, struct str in)
{
    struct buf whole, pieces;
    size_t used_whole, used_pieces;
    enum rc a = decode(ctx, in, in.n ? in.n : 1, &whole, &used_whole);
    enum rc b = decode(ctx, in, 1, &pieces, &used_pieces);
    MUST(a == b && used_whole == used_pieces);
    MUST(str_eq(buf_view(&whole), buf_view(&pieces)) && whole.n <= in.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str in = exact(ctx, str_n((const char *)data, size), size);
    struct http_head h;
    size_t length;
    enum rc rc = http_head_parse(ctx, in, &h, &length, NULL);
    MUST(rc == RC_OK || rc == RC_AGAIN || rc == RC_INVALID || rc == RC_LIMIT);
    MUST((h.refuse_status != 0) == (rc == RC_INVALID || rc == RC_LIMIT));
    if (rc == RC_OK)
        check_taken(ctx, in, &h, length);
    else
        MUST(length == 0 && h.field_count == 0);
    check_prefix(ctx, in, size / 2, rc, &h, length);
    if (size > 0)
        check_prefix(ctx, in, size - 1, rc, &h, length);
    if (rc == RC_OK)
        check_prefix(ctx, in, length - 1, rc, &h, length);
    check_body(ctx, rc == RC_OK ? str_sub(in, length, size) : in);
    return 0;
}
