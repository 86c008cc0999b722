/* Escaping by target and shapes of text. Everything here takes hostile bytes. Not here: globs (glob.c). */
#include "base/text.h"
#include "base/err.h"

#define REPLACEMENT STR("\xef\xbf\xbd")

/* Invisible characters that reorder, hide or break a line: bidirectional controls, line and paragraph separators, tags.
 */
static bool char_deceives(uint32_t c)
{
    return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

/* One character made visible, at most 9 bytes plus NUL. Returns the length. */
static size_t char_shown(struct str s, size_t len, uint32_t c, bool one_line, char out[static 16])
{
    static const char hex[] = "0123456789abcdef";
    bool allowed = (c == '\n' || c == '\t') && !one_line;
    if (len && !allowed && (c < 0x20 || (c >= 0x7f && c < 0xa0))) {
        if (c == '\n' || c == '\t') {
            memcpy(out, c == '\n' ? "\\n" : "\\t", 2);
            return 2;
        }
        memcpy(out, "\\x", 2);
        out[2] = hex[c >> 4];
        out[3] = hex[c & 15];
        return 4;
    }
    if (len && char_deceives(c)) {
        memcpy(out, "\\u{", 3);
        size_t n = 3;
        for (int shift = c > 0xffff ? 16 : 12; shift >= 0; shift -= 4)
            out[n++] = hex[c >> shift & 15];
        out[n++] = '}';
        return n;
    }
    struct str piece = len ? str_n(s.p, len) : REPLACEMENT;
    memcpy(out, piece.p, piece.n);
    return piece.n;
}

char *text_terminal(mem *ctx, struct str s)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    buf_reserve(&b, s.n);
    while (s.n) {
        uint32_t c = 0;
        size_t len = str_utf8_next(s, &c);
        if (c == '\r' && s.n > 1 && s.p[1] == '\n') { /* a DOS line end is a line end */
            s = str_sub(s, 1, s.n);
            continue;
        }
        char shown[16];
        buf_add(&b, shown, char_shown(s, len, c, false, shown));
        s = str_sub(s, len ? len : 1, s.n);
    }
    return buf_take(&b, ctx);
}

char *text_terminal_line(mem *ctx, struct str s, size_t max_chars)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    size_t chars = 0, dots = max_chars < 3 ? max_chars : 3;
    size_t fit = 0; /* bytes of the longest whole part that leaves room for the dots */
    while (s.n) {
        uint32_t c = 0;
        char shown[16];
        size_t len = str_utf8_next(s, &c);
        size_t n = char_shown(s, len, c, true, shown);
        size_t width = !len || shown[0] != '\\' ? 1 : n; /* an escape is ASCII, anything else is one character */
        if (chars + width > max_chars) {
            b.n = fit;
            buf_add(&b, "...", dots);
            break;
        }
        chars += width;
        buf_add(&b, shown, n);
        if (chars + dots <= max_chars)
            fit = b.n;
        s = str_sub(s, len ? len : 1, s.n);
    }
    return buf_take(&b, ctx);
}

char *text_shell(mem *ctx, struct str s)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    buf_char(&b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'')
            buf_str(&b, STR("'\\''"));
        else if (s.p[i]) /* no argument can hold a NUL */
            buf_char(&b, s.p[i]);
    }
    buf_char(&b, '\'');
    return buf_take(&b, ctx);
}

char *text_html(mem *ctx, struct str s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    for (const char *p = str_utf8_clean(tmp, s); *p; p++) {
        switch (*p) {
        case '&':
            buf_str(&b, STR("&amp;"));
            break;
        case '<':
            buf_str(&b, STR("&lt;"));
            break;
        case '>':
            buf_str(&b, STR("&gt;"));
            break;
        case '"':
            buf_str(&b, STR("&quot;"));
            break;
        case '\'':
            buf_str(&b, STR("&#39;"));
            break;
        default:
            buf_char(&b, *p);
        }
    }
    return buf_take(&b, ctx);
}

static bool ascii_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char *text_url(mem *ctx, struct str s)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (ascii_alnum(c) || (c && strchr("-._~", c)))
            buf_char(&b, (char)c);
        else
            buf_printf(&b, "%%%02X", c);
    }
    return buf_take(&b, ctx);
}

char *text_csv(mem *ctx, struct str s)
{
    struct buf b;
    bool formula = s.n && memchr("=+-@\t\r", s.p[0], 6);
    bool quoted = formula;
    for (size_t i = 0; i < s.n; i++)
        quoted = quoted || s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    buf_init(&b, ctx, SIZE_MAX);
    if (quoted)
        buf_char(&b, '"');
    if (formula)
        buf_char(&b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_char(&b, '"');
        buf_char(&b, s.p[i]);
    }
    if (quoted)
        buf_char(&b, '"');
    return buf_take(&b, ctx);
}

/* First byte at or behind `from` that starts a character; the end of s when the last character covers the rest. */
static size_t char_start(struct str s, size_t from)
{
    for (size_t i = from; i < from + 4; i++)
        if (i >= s.n || ((unsigned char)s.p[i] & 0xc0) != 0x80)
            return i;
    return from; /* no sequence is that long: malformed anyway */
}

char *text_middle(mem *ctx, struct str s, size_t max)
{
    if (s.n <= max)
        return str_dup(ctx, s);
    CLEANUP_MEM mem *tmp = mem_root();
    static const char mark_format[] = "\n[... %zu bytes left out ...]\n";
    size_t mark_most = strlen(mem_printf(tmp, mark_format, s.n)); /* what is left out is no longer than the whole */
    if (max < mark_most)
        return str_dup(ctx, str_n(s.p, str_utf8_cut(s, max)));
    size_t room = max - mark_most;
    size_t head = str_utf8_cut(s, room - room / 2), tail = char_start(s, s.n - room / 2);
    struct buf b;
    buf_init(&b, ctx, max);
    buf_add(&b, s.p, head);
    buf_printf(&b, mark_format, tail - head);
    buf_str(&b, str_sub(s, tail, s.n));
    return buf_take(&b, ctx);
}

char *text_slug(mem *ctx, struct str s, size_t max)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    size_t word_end = 0; /* end of the last word that is whole */
    for (size_t i = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : ' ';
        if (ascii_alnum(c)) {
            if (b.n && b.p[b.n - 1] != '-' && b.n == word_end)
                buf_char(&b, '-');
            buf_char(&b, (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
        } else if (b.n && b.n <= max) {
            word_end = b.n;
        }
        if (b.n > max) {
            b.n = word_end ? word_end : max; /* a first word that is too long is cut, others are left out */
            break;
        }
    }
    if (!b.n)
        return mem_strn(ctx, "task", max < 4 ? max : 4);
    buf_advance(&b, 0);
    return buf_take(&b, ctx);
}

char *text_duration(mem *ctx, int64_t seconds)
{
    if (seconds < 0)
        seconds = 0;
    long long s = seconds;
    if (s < 60)
        return mem_printf(ctx, "%lld s", s);
    if (s < 3600)
        return mem_printf(ctx, "%lld min %02lld s", s / 60, s % 60);
    if (s < 86400)
        return mem_printf(ctx, "%lld h %02lld min", s / 3600, s / 60 % 60);
    return mem_printf(ctx, "%lld d %02lld h", s / 86400, s / 3600 % 24);
}

/* Takes the digits off the front of *s; false when there are none or they are too many. */
static bool digits_take(struct str *s, int64_t *ret)
{
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (!str_int(str_n(s->p, n), 0, INT64_MAX, ret))
        return false;
    *s = str_sub(*s, n, s->n);
    return true;
}

bool text_duration_parse(struct str s, int64_t *ret_seconds)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t total = 0, number;
    size_t unit = 0;
    if (str_int(s, 0, INT64_MAX, ret_seconds))
        return true;
    if (!s.n)
        return false;
    while (s.n) {
        if (!digits_take(&s, &number) || !s.n)
            return false;
        while (unit < 4 && units[unit].letter != s.p[0])
            unit++;
        if (unit == 4 || __builtin_mul_overflow(number, units[unit].seconds, &number) ||
            __builtin_add_overflow(total, number, &total))
            return false;
        unit++; /* each unit once, the large ones first */
        s = str_sub(s, 1, s.n);
    }
    *ret_seconds = total;
    return true;
}

bool text_size_parse(struct str s, int64_t *ret_bytes)
{
    static const char units[] = "kmgt";
    int64_t number, factor = 1;
    if (!digits_take(&s, &number))
        return false;
    if (s.n) {
        char letter = (char)(s.p[0] | 0x20);
        const char *at = letter ? strchr(units, letter) : NULL;
        if (at) {
            for (const char *p = units; p <= at; p++)
                factor *= 1024;
            s = str_sub(s, 1, s.n);
        }
        if (!(s.n == 0 || str_ieq(s, STR("b")) || (at && str_ieq(s, STR("ib")))))
            return false;
    }
    return !__builtin_mul_overflow(number, factor, ret_bytes);
}

enum { WORD_MOST = 64 };

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* Optimal string alignment distance: three rows of the usual table. Words of at most WORD_MOST bytes. */
static unsigned word_distance(struct str a, struct str b)
{
    unsigned rows[3][WORD_MOST + 1];
    for (unsigned j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *upup = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            bool same = lower(a.p[i - 1]) == lower(b.p[j - 1]);
            unsigned best = up[j - 1] + !same;
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a.p[i - 1]) == lower(b.p[j - 2]) && lower(a.p[i - 2]) == lower(b.p[j - 1]) &&
                upup[j - 2] + 1 < best)
                best = upup[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a.n % 3][b.n];
}

const char *text_nearest(struct str word, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)word.n / 3 + (word.n % 3 != 0) + 1; /* must be below */
    if (word.n > WORD_MOST)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        struct str name = str_of(names[i]);
        if (!name.n || name.n > WORD_MOST)
            continue;
        unsigned distance = word_distance(word, name);
        if (distance < least && distance < name.n) {
            least = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

/* ---- base64 ---- */

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *text_base64(mem *ctx, struct str s)
{
    char *text = mem_zalloc(ctx, (s.n + 2) / 3 * 4 + 1), *at = text;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (uint8_t)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *at++ = k <= n ? base64_alphabet[v >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

bool text_base64_read(mem *ctx, struct str s, struct str *ret)
{
    char *bytes = mem_zalloc(ctx, s.n / 4 * 3 + 1);
    size_t n = 0;
    if (s.n % 4)
        return false;
    for (size_t i = 0; i < s.n; i += 4) {
        uint32_t v = 0;
        size_t pad = 0;
        for (size_t k = 0; k < 4; k++) {
            char c = s.p[i + k];
            const char *at = c ? strchr(base64_alphabet, c) : NULL;
            bool padding = c == '=' && k >= 2 && i + 4 == s.n;
            if ((!at && !padding) || (at && pad))
                return false;
            pad += padding;
            v = v << 6 | (uint32_t)(at ? at - base64_alphabet : 0);
        }
        if (v & ((1u << 8 * pad) - 1)) /* bits that nothing has */
            return false;
        for (size_t k = 0; k < 3 - pad; k++)
            bytes[n++] = (char)(v >> (16 - 8 * k));
    }
    *ret = str_n(bytes, n);
    return true;
}
