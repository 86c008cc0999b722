/* Raw bytes of programs made into lines of a log: what acts is taken out by the one sanitizer (base/escape.h). */
#include "base/escape.h"
#include "flow/worklog.h"

enum {
    RESERVE = 256, /* more than one byte can bring out: the end of a long sequence of colours */
    GROWTH = 8,    /* bytes that come out for one at most, but for that */
};

/* As much of the line as there is room for; what is left over stays in raw. */
static void line_fill(struct escape_filter *f, struct str *raw, struct buf *out, size_t start)
{
    while (raw->n && out->n - start < WORKLOG_LINE - RESERVE) {
        size_t room = (WORKLOG_LINE - RESERVE - (out->n - start)) / GROWTH;
        size_t n = room < 1 ? 1 : room < raw->n ? room : raw->n;
        escape_filter_feed(f, str_n(raw->p, n), out);
        *raw = str_n(raw->p + n, raw->n - n);
    }
    for (; raw->n && f->partial_n; *raw = str_n(raw->p + 1, raw->n - 1)) /* no character is cut through */
        escape_filter_feed(f, str_n(raw->p, 1), out);
}

void worklog_clean(struct buf *out, struct str raw, size_t more)
{
    struct escape_filter f;
    size_t start = out->n;
    while (raw.n && raw.p[raw.n - 1] == '\r')
        raw.n--;
    const char *last = raw.n ? memrchr(raw.p, '\r', raw.n) : NULL;
    if (last)
        raw = str_n(last + 1, raw.n - (size_t)(last + 1 - raw.p));
    escape_filter_init(&f, ESCAPE_LINE);
    line_fill(&f, &raw, out, start);
    escape_filter_end(&f, out);
    if (raw.n + more)
        buf_printf(out, "%c[%zu bytes are left out]", WORKLOG_CUT, raw.n + more);
    buf_char(out, '\n');
}
