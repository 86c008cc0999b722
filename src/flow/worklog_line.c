/* Raw bytes of programs made into lines of a log (ECMA-48 for control sequences). */
#include "flow/worklog.h"

#define ESC         0x1B
#define SGR_MOST    48
#define REPLACEMENT "\xEF\xBF\xBD"

/* Bytes of the control sequence at the front, whose first byte is ESC; *ret_keep: it sets colours. */
static size_t sequence(struct str s, bool *ret_keep)
{
    size_t i = 2;
    *ret_keep = false;
    if (s.n < 2)
        return 1;
    if (s.p[1] == '[') {
        bool plain = true;
        while (i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x40) {
            plain = plain && ((s.p[i] >= '0' && s.p[i] <= ';'));
            i++;
        }
        if (i == s.n || (unsigned char)s.p[i] < 0x40 || (unsigned char)s.p[i] > 0x7E)
            return i;
        *ret_keep = plain && s.p[i] == 'm' && i < SGR_MOST;
        return i + 1;
    }
    if (strchr("]PX^_", s.p[1])) { /* a string: up to BEL or ST */
        for (; i < s.n; i++) {
            if (s.p[i] == 7)
                return i + 1;
            if (s.p[i] == ESC && i + 1 < s.n && s.p[i + 1] == '\\')
                return i + 2;
        }
        return s.n;
    }
    for (i = 1; i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x30; i++)
        ;
    return i < s.n && (unsigned char)s.p[i] >= 0x30 && (unsigned char)s.p[i] < 0x7F ? i + 1 : i;
}

/* One character or sequence off the front. */
static void piece(struct buf *out, struct str *s)
{
    unsigned char c = (unsigned char)*s->p;
    uint32_t code = 0;
    bool keep = false;
    size_t n = 1;
    if (c == ESC) {
        n = sequence(*s, &keep);
        if (keep)
            buf_add(out, s->p, n);
    } else if (c < 0x20 && c != '\t') {
        char picture[3] = {(char)0xE2, (char)0x90, (char)(0x80 + c)}; /* U+2400: a picture of it */
        buf_add(out, picture, 3);
    } else if (c == 0x7F) {
        buf_z(out, "\xE2\x90\xA1");
    } else {
        n = str_utf8_next(*s, &code);
        if (!n || (code >= 0x80 && code < 0xA0))
            buf_z(out, REPLACEMENT);
        else
            buf_add(out, s->p, n);
        n = n ? n : 1;
    }
    *s = str_n(s->p + n, s->n - n);
}

void worklog_clean(struct buf *out, struct str raw, size_t more)
{
    size_t start = out->n;
    while (raw.n && raw.p[raw.n - 1] == '\r')
        raw.n--;
    const char *last = raw.n ? memrchr(raw.p, '\r', raw.n) : NULL;
    if (last)
        raw = str_n(last + 1, raw.n - (size_t)(last + 1 - raw.p));
    while (raw.n && out->n - start < WORKLOG_LINE - SGR_MOST)
        piece(out, &raw);
    if (raw.n + more)
        buf_printf(out, "%c[%zu bytes are left out]", WORKLOG_CUT, raw.n + more);
    buf_char(out, '\n');
}
