/* Fuzz target: escaping and small parsers of text. What is meant for a terminal must hold no control byte. */
#include "base/err.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void clean(const char *z, bool one_line)
{
    struct str s = str_of(z);
    BUG_ON(!str_utf8(s));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        BUG_ON(c == 0x7f || (c < 0x20 && (one_line || (c != '\n' && c != '\t'))));
        BUG_ON(c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0); /* C1 */
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str s = str_n((const char *)data, size), pattern, path = s;
    int64_t n;
    clean(text_terminal(ctx, s), false);
    clean(text_terminal_line(ctx, s, 40), true);
    (void)text_shell(ctx, s);
    (void)text_html(ctx, s);
    (void)text_url(ctx, s);
    BUG_ON(strlen(text_middle(ctx, s, 100)) > 100 && !memchr(data, 0, size));
    BUG_ON(strlen(text_slug(ctx, s, 20)) > 20);
    BUG_ON(!str_utf8(str_of(str_utf8_clean(ctx, s))));
    BUG_ON(str_utf8_cut(s, 17) > 17);
    (void)text_duration_parse(s, &n);
    (void)text_size_parse(s, &n);
    if (str_next(&path, '\n', &pattern))
        (void)text_glob(pattern, path);
    return 0;
}
