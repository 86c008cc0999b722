/* The sanitizer's automaton, after the parser of DEC terminals (https://vt100.net/emu/dec_ansi_parser), cut down to
 * what may pass. A sequence is collected whole and passes whole or not at all. */
#include "base/escape.h"
#include <stdio.h>

enum state {
    GROUND,
    ESCAPE,       /* after ESC */
    INTERMEDIATE, /* ESC and one byte of 0x20-0x2f: a character set */
    SEQUENCE,     /* after ESC [ */
    SKIP,         /* a sequence that is too long, until its end */
    STRING,       /* after ESC ] P X ^ _ until its end */
};

enum {
    NUMBER_MAX = 65535, /* no screen is larger; more is meant to hurt */
    REPEAT_MAX = 1000,  /* of a repeated character: some terminals make room for all of them at once */
    NUMBERS_MAX = 32,
};
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Final bytes of sequences without a marker, by the level from which on they pass. */
static const char finals_screen[] = "@ABCDEFGHIJKLMPSTXZ`abdefgrsu";
static const int modes_screen[] = {7, 12, 25, 47, 1047, 1048, 1049, 2026};
static const int modes_work[] = {1, 9, 1000, 1002, 1003, 1004, 1006, 1015, 2004};
/* Of ESC and one byte: save and restore, index, next line, tab, reverse index, reset. */
static const char escapes_screen[] = "78DEHMc";
static const char escapes_work[] = "=>";
static const char charsets[] = "0B";

void escape_filter_init(struct escape_filter *f, enum escape_level level)
{
    *f = (struct escape_filter){.level = level};
}

/* Text alone and its colours: no move of the cursor. */
static bool of_lines(const struct escape_filter *f)
{
    return f->level == ESCAPE_COLOURS || f->level == ESCAPE_LINE;
}

static bool one_of(const char *list, unsigned char c)
{
    return c && strchr(list, c) != NULL;
}

static bool one_of_modes(const int *list, size_t n, long mode)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == mode)
            return true;
    return false;
}

/* ---- lines ---- */

static void line_end(struct escape_filter *f, struct buf *out)
{
    f->carriage = false;
    if (f->painted)
        buf_z(out, "\x1b[0m");
    f->painted = false;
    buf_add(out, "\r\n", 2);
}

/* Something visible comes: a carriage return before it was one of its own. */
static void carriage_settle(struct escape_filter *f, struct buf *out)
{
    if (f->carriage)
        line_end(f, out);
}

/* ---- colours ---- */

/* How many numbers after 38, 48 or 58 at `i` belong to it; 0: malformed. */
static size_t colour_length(const long *v, size_t n, size_t i)
{
    if (i + 2 < n && v[i + 1] == 5 && v[i + 2] <= 255)
        return 2;
    if (i + 4 < n && v[i + 1] == 2 && v[i + 2] <= 255 && v[i + 3] <= 255 && v[i + 4] <= 255)
        return 4;
    return 0;
}

static bool colour_plain(long v)
{
    return (v >= 0 && v <= 7) || v == 9 || (v >= 21 && v <= 37) || v == 39 || (v >= 40 && v <= 47) || v == 49 ||
           v == 53 || v == 55 || v == 59 || (v >= 90 && v <= 97) || (v >= 100 && v <= 107);
}

/* Writes the numbers that are colours or faces; 8 (concealed) is not. */
static void colours_pass(struct escape_filter *f, const long *v, size_t n, struct buf *out)
{
    char text[NUMBERS_MAX * 6 + 8];
    int at = snprintf(text, sizeof text, "\x1b[");
    bool any = false, on = f->painted;
    for (size_t i = 0; i < n; i++) {
        size_t more = v[i] == 38 || v[i] == 48 || v[i] == 58 ? colour_length(v, n, i) : 0;
        if (v[i] == 38 || v[i] == 48 || v[i] == 58 ? !more : !colour_plain(v[i])) {
            if (v[i] == 38 || v[i] == 48 || v[i] == 58)
                break; /* what follows may be its arguments */
            continue;
        }
        for (size_t k = i; k <= i + more; k++) {
            at += snprintf(text + at, sizeof text - (size_t)at, "%s%ld", any ? ";" : "", v[k]);
            any = true;
        }
        on = v[i] != 0;
        i += more;
    }
    if (!any)
        return;
    if (on && f->level == ESCAPE_COLOURS)
        carriage_settle(f, out); /* they are for what comes after it */
    f->painted = on;
    buf_add(out, text, (size_t)at);
    buf_char(out, 'm');
}

/* ---- sequences ---- */

/* Numbers separated by ; or : (which ITU T.416 wants within a colour); empty counts as 0. */
static bool numbers_read(const unsigned char *p, size_t n, long v[NUMBERS_MAX], size_t *ret_n)
{
    size_t count = 0;
    long value = 0;
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = i < n ? p[i] : ';';
        if (c >= '0' && c <= '9') {
            value = value * 10 + (c - '0');
            if (value > NUMBER_MAX)
                return false;
        } else if (c == ';' || c == ':') {
            if (count == NUMBERS_MAX)
                return false;
            v[count++] = value;
            value = 0;
        } else {
            return false;
        }
    }
    *ret_n = count;
    return true;
}

static bool modes_pass(const struct escape_filter *f, const long *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!one_of_modes(modes_screen, sizeof modes_screen / sizeof *modes_screen, v[i]) &&
            !(f->level == ESCAPE_WORK && one_of_modes(modes_work, sizeof modes_work / sizeof *modes_work, v[i])))
            return false;
    return true;
}

static bool query_passes(const struct escape_filter *f, unsigned char final, unsigned char marker, const long *v,
                         size_t n)
{
    if (f->level != ESCAPE_WORK || !f->queries || n != 1)
        return false;
    return (final == 'c' && v[0] == 0 && (!marker || marker == '>')) ||
           (final == 'n' && !marker && (v[0] == 5 || v[0] == 6));
}

static bool sequence_passes(const struct escape_filter *f, unsigned char final, unsigned char marker,
                            unsigned char between, const long *v, size_t n)
{
    if (between)
        return !marker && n == 1 && ((between == ' ' && final == 'q' && v[0] <= 6) || (between == '!' && final == 'p'));
    if (query_passes(f, final, marker, v, n))
        return true;
    if (marker == '?')
        return ((final == 'h' || final == 'l') && modes_pass(f, v, n)) || ((final == 'J' || final == 'K') && n == 1);
    if (marker)
        return false;
    if (final == 'h' || final == 'l')
        return n == 1 && v[0] == 4; /* insert mode */
    if (final == 'b')
        return n == 1 && v[0] <= REPEAT_MAX;
    return one_of(finals_screen, final);
}

static void sequence_end(struct escape_filter *f, unsigned char final, struct buf *out)
{
    const unsigned char *p = f->sequence;
    size_t n = f->sequence_n, count;
    unsigned char marker = 0, between = 0;
    long v[NUMBERS_MAX];
    f->state = GROUND;
    if (n && p[0] >= '<' && p[0] <= '?') {
        marker = *p++;
        n--;
    }
    if (n && p[n - 1] >= 0x20 && p[n - 1] <= 0x2f)
        between = p[--n];
    if (!numbers_read(p, n, v, &count))
        return;
    if (final == 'm' && !marker && !between) {
        colours_pass(f, v, count, out);
    } else if (!of_lines(f) && sequence_passes(f, final, marker, between, v, count)) {
        buf_add(out, "\x1b[", 2);
        buf_add(out, f->sequence, f->sequence_n);
        buf_char(out, (char) final);
    }
}

/* ---- characters ---- */

static bool char_deceives(uint32_t c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c ||
           c == 0x2028 || c == 0x2029 || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static void picture(unsigned char c, struct buf *out)
{
    char text[3] = {(char)0xe2, (char)0x90, (char)(c == 0x7f ? 0xa1 : 0x80 + c)};
    buf_add(out, text, sizeof text);
}

/* A control byte, wherever it comes. */
static void control(struct escape_filter *f, unsigned char c, struct buf *out)
{
    if (f->level == ESCAPE_LINE) {
        if (c == '\t')
            buf_char(out, '\t');
        else
            picture(c, out);
        return;
    }
    if (f->level == ESCAPE_COLOURS) {
        if (c == '\n')
            line_end(f, out);
        else if (c == '\r')
            f->carriage = true;
        else if (c == '\t') {
            carriage_settle(f, out);
            buf_char(out, '\t');
        }
        return;
    }
    if ((c >= '\b' && c <= '\r') || c == 0x0e || c == 0x0f || (c == 7 && f->level == ESCAPE_WORK))
        buf_char(out, (char)c);
}

static void replacement(struct escape_filter *f, struct buf *out)
{
    carriage_settle(f, out);
    buf_z(out, REPLACEMENT);
}

/* The bytes of `partial` that make no character become one replacement each, as str_utf8_clean has it. */
static void partial_take(struct escape_filter *f, bool more, struct buf *out)
{
    while (f->partial_n) {
        uint32_t c;
        size_t used = str_utf8_next(str_n((const char *)f->partial, f->partial_n), &c);
        unsigned char first = f->partial[0];
        size_t wanted = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;
        if (first >= 0xf5 || first < 0xc2)
            wanted = 1;
        if (!used && more && f->partial_n < wanted) {
            bool fits = true; /* a byte that does not go on a character ends the waiting */
            for (size_t i = 1; i < f->partial_n; i++)
                fits = fits && (f->partial[i] & 0xc0) == 0x80;
            if (fits)
                return;
        }
        if (!used || char_deceives(c)) {
            replacement(f, out);
        } else if (c >= 0xa0) { /* else a C1 control */
            carriage_settle(f, out);
            buf_add(out, f->partial, used);
        } else if (f->level == ESCAPE_LINE) {
            replacement(f, out);
        }
        used = used ? used : 1;
        f->partial_n -= used;
        memmove(f->partial, f->partial + used, f->partial_n);
    }
}

static void escape_byte(struct escape_filter *f, unsigned char c, struct buf *out)
{
    f->state = GROUND;
    if (c == '[') {
        f->state = SEQUENCE;
        f->sequence_n = 0;
    } else if (one_of("]PX^_", c)) {
        f->state = STRING;
        f->string_escape = false;
    } else if (c >= 0x20 && c <= 0x2f) {
        f->state = INTERMEDIATE;
        f->sequence[0] = c;
        f->sequence_n = 1;
    } else if (!of_lines(f) && (one_of(escapes_screen, c) || (f->level == ESCAPE_WORK && one_of(escapes_work, c)))) {
        char text[2] = {0x1b, (char)c};
        buf_add(out, text, 2);
    }
}

static void intermediate_byte(struct escape_filter *f, unsigned char c, struct buf *out)
{
    if (c <= 0x2f) {
        f->sequence_n = 2; /* more than one: none that passes */
        return;
    }
    f->state = GROUND;
    if (!of_lines(f) && f->sequence_n == 1 && one_of("()", f->sequence[0]) && one_of(charsets, c)) {
        char text[3] = {0x1b, (char)f->sequence[0], (char)c};
        buf_add(out, text, 3);
    }
}

static void sequence_byte(struct escape_filter *f, unsigned char c, struct buf *out)
{
    if (c >= 0x40 && c <= 0x7e) {
        if (f->state == SEQUENCE)
            sequence_end(f, c, out);
        f->state = GROUND;
    } else if (f->sequence_n == sizeof f->sequence) {
        f->state = SKIP;
    } else {
        f->sequence[f->sequence_n++] = c;
    }
}

/* A string ends with ST, BEL, CAN or SUB; a line of a log ends it too, lest it swallow all that follows. True: the byte
 * is dealt with. */
static bool string_byte(struct escape_filter *f, unsigned char c)
{
    if (f->string_escape && c != '\\') { /* another sequence began: it ended the string */
        f->string_escape = false;
        f->state = ESCAPE;
        return false;
    }
    if (f->string_escape || c == 7 || c == 0x18 || c == 0x1a)
        f->state = GROUND;
    f->string_escape = c == 0x1b && f->state == STRING;
    if (c == '\n' && of_lines(f)) {
        f->state = GROUND;
        return false;
    }
    return true;
}

static void byte_take(struct escape_filter *f, unsigned char c, struct buf *out)
{
    if (f->state == STRING && string_byte(f, c))
        return;
    if (c >= 0x80) {
        f->state = GROUND; /* in the middle of a sequence it ends it */
        f->partial[f->partial_n++] = c;
        partial_take(f, true, out);
        return;
    }
    partial_take(f, false, out);
    if (c == 0x1b) {
        f->state = ESCAPE;
    } else if (c < 0x20 || c == 0x7f) {
        f->state = GROUND;
        control(f, c, out);
    } else if (f->state == ESCAPE) {
        escape_byte(f, c, out);
    } else if (f->state == INTERMEDIATE) {
        intermediate_byte(f, c, out);
    } else if (f->state == SEQUENCE || f->state == SKIP) {
        sequence_byte(f, c, out);
    } else {
        carriage_settle(f, out);
        buf_char(out, (char)c);
    }
}

void escape_filter_feed(struct escape_filter *f, struct str in, struct buf *out)
{
    size_t i = 0;
    while (i < in.n) {
        size_t from = i; /* mostly it is plain text */
        if (f->state == GROUND && !f->partial_n && !f->carriage)
            while (i < in.n && (unsigned char)in.p[i] >= 0x20 && (unsigned char)in.p[i] < 0x7f)
                i++;
        if (i > from)
            buf_add(out, in.p + from, i - from);
        else
            byte_take(f, (unsigned char)in.p[i++], out);
    }
}

void escape_filter_end(struct escape_filter *f, struct buf *out)
{
    partial_take(f, false, out);
    if (f->level == ESCAPE_COLOURS && (f->carriage || f->painted)) {
        bool line = f->carriage;
        if (f->painted)
            buf_z(out, "\x1b[0m");
        if (line)
            buf_add(out, "\r\n", 2);
    }
    escape_filter_init(f, f->level);
}
