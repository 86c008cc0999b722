/* Fuzz target: the sanitizer of what programs print. Nothing that acts comes out, however the bytes are cut, and what
 * comes out goes through once more unchanged in what it paints. */
#include "base/err.h"
#include "base/escape.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct str pass(mem *ctx, enum escape_level level, struct str in, size_t piece)
{
    struct escape_filter f;
    struct buf out;
    buf_init(&out, ctx, 16 * in.n + 64);
    escape_filter_init(&f, level);
    f.queries = true;
    for (size_t at = 0; at < in.n; at += piece)
        escape_filter_feed(&f, str_sub(in, at, piece), &out);
    escape_filter_end(&f, &out);
    BUG_ON(out.overflow);
    return buf_view(&out);
}

static void look(struct str s, enum escape_level level)
{
    BUG_ON(!str_utf8(s));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        BUG_ON(c == 0x7f || (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0));
        if (c != 0x1b) {
            BUG_ON(c < 0x20 && level == ESCAPE_LINE && c != '\t');
            BUG_ON(c < 0x20 && level != ESCAPE_LINE &&
                   (level == ESCAPE_COLOURS ? c != '\t' && c != '\r' && c != '\n' : c < 7 || c > 15));
            continue;
        }
        unsigned char kind = (unsigned char)s.p[i + 1];
        BUG_ON(kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_');
        BUG_ON((level == ESCAPE_COLOURS || level == ESCAPE_LINE) && kind != '[');
        size_t end = i + 2;
        while (kind == '[' && (s.p[end] < 0x40 || s.p[end] > 0x7e))
            end++;
        BUG_ON(kind == '[' && (s.p[end] == 't' || s.p[end] == 'i'));
        BUG_ON((level == ESCAPE_COLOURS || level == ESCAPE_LINE) && s.p[end] != 'm');
        BUG_ON(level == ESCAPE_SCREEN && kind == '[' && (s.p[end] == 'c' || s.p[end] == 'n'));
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str in = str_n((const char *)data, size < 65536 ? size : 65536);
    for (enum escape_level level = ESCAPE_COLOURS; level <= ESCAPE_LINE; level++) {
        struct str whole = pass(ctx, level, in, in.n + 1);
        look(whole, level);
        BUG_ON(!str_eq(whole, pass(ctx, level, in, 1)) || !str_eq(whole, pass(ctx, level, in, 3)));
        BUG_ON(!str_eq(whole, pass(ctx, level, whole, 7)));
    }
    return 0;
}
