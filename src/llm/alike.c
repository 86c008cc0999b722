/* Events that are like the one before but for a piece of text: most of every stream.
 *
 * An event that was read in full and did nothing but grow one part leaves a pattern: its bytes, and where in them the
 * piece stands, and what else may differ without meaning anything (serial numbers, padding). An event that has the same
 * bytes everywhere else is the same JSON with another piece, so it is taken without a parser. Whatever could make the
 * piece anything else than plain text (\u escapes, control bytes, malformed UTF-8) is left to the parser, and so are
 * events that come in several reads. Any event that is read in full ends the pattern. */
#include "llm/wire.h"

enum { PATTERN_MOST = 4 << 10, PIECE_MOST = 64 << 10, DIGITS_MOST = 15 };

void alike_init(struct alike *a, mem *ctx)
{
    *a = (struct alike){0};
    buf_init(&a->bytes, ctx, PATTERN_MOST);
    buf_init(&a->plain, ctx, PIECE_MOST);
}

/* --- learning --- */

static bool is_digits(struct str s)
{
    int64_t n;
    return s.n <= DIGITS_MOST && str_int(s, 0, INT64_MAX, &n) && (s.n == 1 || s.p[0] != '0');
}

void alike_vary(struct alike *a, struct json v, bool is_piece)
{
    struct str raw = json_raw(v);
    if (a->count == ALIKE_PLACES)
        return;
    struct alike_place place = {.text = raw, .kind = is_piece ? ALIKE_PIECE : ALIKE_STRING};
    if (json_type(v) == JSON_STRING)
        place.text = str_sub(raw, 1, raw.n - 2);
    else if (json_type(v) == JSON_NUMBER && !is_piece && is_digits(raw))
        place.kind = ALIKE_DIGITS;
    else
        return;
    size_t at = a->count++;
    for (; at > 0 && a->places[at - 1].text.p > place.text.p; at--)
        a->places[at] = a->places[at - 1];
    a->places[at] = place;
    a->has_piece |= is_piece;
}

void alike_forget(struct alike *a)
{
    a->known = a->has_piece = false;
    a->count = 0;
    a->data = STR("");
}

void alike_event(struct alike *a, struct str data)
{
    for (size_t i = 0; i < a->count; i++) {
        const char *p = a->places[i].text.p;
        if (p < data.p || p + a->places[i].text.n > data.p + data.n) /* of a mended copy */
            a->has_piece = false;
        else
            a->places[i].at = (size_t)(p - data.p);
    }
    if (a->has_piece && data.n <= PATTERN_MOST) {
        buf_clear(&a->bytes);
        a->has_piece = buf_str(&a->bytes, data);
        a->data = buf_view(&a->bytes);
    }
}

/* The data must be the event's last line, so that there is no doubt about where it stands. */
static bool data_find(const struct alike *a, struct str event, size_t *ret_at)
{
    while (event.n && (event.p[event.n - 1] == '\n' || event.p[event.n - 1] == '\r'))
        event.n--;
    *ret_at = event.n - a->data.n;
    return str_ends(event, a->data);
}

void alike_learn(struct alike *a, struct str event, struct draft *grown)
{
    size_t from;
    a->known = a->has_piece && grown && event.n <= PATTERN_MOST && data_find(a, event, &from);
    if (!a->known)
        return;
    for (size_t i = 0; i < a->count; i++)
        a->places[i].at += from;
    buf_clear(&a->bytes);
    buf_str(&a->bytes, event);
    a->draft = grown;
}

/* --- using --- */

static bool is_escaped(char c)
{
    return c && strchr("\"\\/bfnrt", c);
}

/* Length of a string's inside up to its closing quote, or -1. */
static long string_length(struct str in, bool *ret_escapes)
{
    bool wide = false;
    *ret_escapes = false;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (c == '"')
            return i <= PIECE_MOST && (!wide || str_utf8(str_sub(in, 0, i))) ? (long)i : -1;
        if (c < 0x20)
            return -1;
        wide |= c >= 0x80;
        if (c != '\\')
            continue;
        *ret_escapes = true;
        if (++i == in.n || !is_escaped(in.p[i]))
            return -1;
    }
    return -1;
}

static long digits_length(struct str in)
{
    size_t n = 0;
    while (n < in.n && in.p[n] >= '0' && in.p[n] <= '9')
        n++;
    return is_digits(str_sub(in, 0, n)) ? (long)n : -1;
}

static struct str unescape(struct alike *a, struct str s)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    char *at = (buf_clear(&a->plain), buf_reserve(&a->plain, s.n));
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++, n++) {
        const char *known = s.p[i] == '\\' ? strchr(from, s.p[i + 1]) : NULL;
        i += s.p[i] == '\\';
        at[n] = known ? to[known - from] : s.p[i];
    }
    buf_advance(&a->plain, n);
    return buf_view(&a->plain);
}

size_t alike_take(struct alike *a, struct str in, struct str *ret_piece)
{
    size_t at = 0, fixed = 0;
    for (size_t i = 0; a->known && i <= a->count; i++) {
        bool last = i == a->count, escapes = false;
        size_t stop = last ? a->bytes.n : a->places[i].at, n = stop - fixed;
        if (in.n - at < n || memcmp(in.p + at, a->bytes.p + fixed, n) != 0)
            return 0;
        at += n;
        if (last)
            return at;
        struct str rest = str_sub(in, at, in.n);
        long length = a->places[i].kind == ALIKE_DIGITS ? digits_length(rest) : string_length(rest, &escapes);
        if (length < 0)
            return 0;
        struct str value = str_sub(rest, 0, (size_t)length);
        if (a->places[i].kind == ALIKE_PIECE)
            *ret_piece = escapes ? unescape(a, value) : value;
        at += (size_t)length;
        fixed = stop + a->places[i].text.n;
    }
    return 0;
}
