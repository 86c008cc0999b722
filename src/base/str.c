/* Views of bytes: comparing, searching, splitting, UTF-8. Not here: anything that formats or escapes (text.h). */
#include "base/str.h"
#include "base/buf.h"

static unsigned char ascii_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

bool str_eqz(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower((unsigned char)a.p[i]) != ascii_lower((unsigned char)b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_n(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_n(s.p + (s.n - suffix.n), suffix.n), suffix);
}

long str_find(struct str s, struct str needle)
{
    if (!needle.n)
        return 0;
    if (!s.n)
        return -1;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? (long)(at - s.p) : -1;
}

long str_ifind(struct str s, struct str needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (str_ieq(str_n(s.p + i, needle.n), needle))
            return (long)i;
    return -1;
}

static bool ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n && ascii_space(s.p[0]))
        s = str_n(s.p + 1, s.n - 1);
    while (s.n && ascii_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_sub(struct str s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return str_n(s.p ? s.p + from : s.p, n);
}

/* "a," has a second, empty piece, and "" has none: a rest that still owes the empty piece points here. Not const: a
 * compiler may let a literal "" share the place of a constant of the same bytes. */
static char piece_owed[1];

bool str_next(struct str *rest, char sep, struct str *ret_piece)
{
    if (!rest->n) {
        bool owed = rest->p == piece_owed;
        *ret_piece = *rest = STR("");
        return owed;
    }
    const char *at = memchr(rest->p, sep, rest->n);
    if (!at) {
        *ret_piece = *rest;
        *rest = STR("");
        return true;
    }
    size_t n = (size_t)(at - rest->p);
    *ret_piece = str_n(rest->p, n);
    *rest = n + 1 < rest->n ? str_n(at + 1, rest->n - n - 1) : str_n(piece_owed, 0);
    return true;
}

bool str_line(struct str *rest, struct str *ret_line)
{
    if (!rest->n) {
        *ret_line = STR("");
        return false;
    }
    const char *at = memchr(rest->p, '\n', rest->n);
    size_t n = at ? (size_t)(at - rest->p) : rest->n;
    struct str line = str_n(rest->p, n);
    *rest = str_sub(*rest, at ? n + 1 : n, rest->n);
    if (at && line.n && line.p[line.n - 1] == '\r')
        line.n--;
    *ret_line = line;
    return true;
}

bool str_int(struct str s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = min < 0 && s.n && s.p[0] == '-';
    if (negative)
        s = str_sub(s, 1, s.n);
    if (!s.n)
        return false;
    int64_t v = 0; /* kept negative: its range is the wider one */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, s.p[i] - '0', &v))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, v, &v))
        return false;
    if (v < min || v > max)
        return false;
    *ret = v;
    return true;
}

char *str_dup(mem *ctx, struct str s)
{
    return mem_strn(ctx, s.p, s.n);
}

/* RFC 3629, table in section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t str_utf8_next(struct str s, uint32_t *ret_char)
{
    if (!s.n)
        return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t c = p[0];
    size_t len;
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    if (c < 0x80) {
        len = 1;
    } else if (c >= 0xc2 && c <= 0xdf) {
        len = 2;
        c &= 0x1f;
    } else if (c >= 0xe0 && c <= 0xef) {
        len = 3;
        low = c == 0xe0 ? 0xa0 : 0x80;
        high = c == 0xed ? 0x9f : 0xbf;
        c &= 0x0f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        len = 4;
        low = c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xf4 ? 0x8f : 0xbf;
        c &= 0x07;
    } else {
        return 0;
    }
    if (len > s.n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (p[i] < low || p[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (ret_char)
        *ret_char = c;
    return len;
}

/* Length of the leading run of ASCII, eight bytes at a time. */
static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;
    for (uint64_t word; i + 8 <= n; i += 8) {
        memcpy(&word, p + i, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < n && !(p[i] & 0x80))
        i++;
    return i;
}

bool str_utf8(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        i += ascii_run(s.p + i, s.n - i);
        if (i == s.n)
            break;
        size_t len = str_utf8_next(str_n(s.p + i, s.n - i), NULL);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

size_t str_utf8_cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s.n;
    for (size_t back = 1; back <= 3 && back <= max; back++) {
        size_t lead = max - back;
        unsigned char c = (unsigned char)s.p[lead];
        if ((c & 0xc0) == 0x80)
            continue;
        /* A sequence that starts before the cut and ends behind it goes; malformed bytes are no sequence. */
        return str_utf8_next(str_sub(s, lead, 4), NULL) > back ? lead : max;
    }
    return max;
}

char *str_utf8_clean(mem *ctx, struct str s)
{
    if (str_utf8(s) && (!s.n || !memchr(s.p, '\0', s.n)))
        return str_dup(ctx, s);
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    while (s.n) {
        uint32_t c;
        size_t len = str_utf8_next(s, &c);
        if (!len)
            buf_str(&b, STR("\xef\xbf\xbd"));
        else if (!c)
            buf_str(&b, STR("\xe2\x90\x80"));
        else
            buf_add(&b, s.p, len);
        s = str_sub(s, len ? len : 1, s.n);
    }
    return buf_take(&b, ctx);
}
