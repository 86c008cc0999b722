/* Lines of a log, from any bytes: what comes out is one line of UTF-8 without control bytes but TAB and colour
 * sequences, however it went in. */
#include "flow/worklog.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t colour(const char *p, size_t n)
{
    size_t i = 2;
    if (n < 3 || p[1] != '[')
        return 0;
    while (i < n && p[i] >= '0' && p[i] <= ';')
        i++;
    return i < n && p[i] == 'm' ? i + 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    worklog_clean(&b, str_n((const char *)data, size), 0);
    if (b.n == 0 || b.n > WORKLOG_LINE + 64 || b.p[b.n - 1] != '\n' || !str_utf8(buf_view(&b)))
        abort();
    for (size_t i = 0; i + 1 < b.n;) {
        unsigned char c = (unsigned char)b.p[i];
        size_t skip = c == 0x1B ? colour(b.p + i, b.n - i) : c >= 0x20 || c == '\t' || c == WORKLOG_CUT;
        if (skip == 0 || c == 0x7F || (c == 0xC2 && (unsigned char)b.p[i + 1] < 0xA0))
            abort();
        i += skip;
    }
    return 0;
}
