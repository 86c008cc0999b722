/* Borrowed views of bytes. A view owns nothing, may hold NUL bytes and is not terminated. */
#pragma once
#include "base/mem.h"
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};
#define STR(lit)   ((struct str){"" lit, sizeof(lit) - 1})
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_of(const char *z)
{
    return (struct str){z ? z : "", z ? strlen(z) : 0};
}
static inline struct str str_n(const char *p, size_t n)
{
    return (struct str){p, n};
}
bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *b);
bool str_ieq(struct str a, struct str b); /* ASCII letters in either case */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Offset of the first occurrence, or -1. */
long str_find(struct str s, struct str needle);
long str_ifind(struct str s, struct str needle);
struct str str_trim(struct str s);                       /* ASCII white space off both ends */
struct str str_sub(struct str s, size_t from, size_t n); /* clamped */
/* Takes the next piece before `sep` off *rest; false when *rest is exhausted. An empty input has no piece; "a," has
 * two. */
bool str_next(struct str *rest, char sep, struct str *ret_piece);
/* Takes the next line off *rest, without its LF or CRLF; false at the end. */
bool str_line(struct str *rest, struct str *ret_line);
/* Whole text as a decimal number in the range, no sign unless min < 0, no blanks. */
bool str_int(struct str s, int64_t min, int64_t max, int64_t *ret);
char *str_dup(mem *ctx, struct str s); /* NUL-terminated copy */
bool str_utf8(struct str s);           /* well-formed UTF-8 (RFC 3629) */
/* Bytes of the well-formed UTF-8 sequence that s starts with (1-4) and its code point (NULL: not wanted); 0 when s is
 * empty or malformed there. */
size_t str_utf8_next(struct str s, uint32_t *ret_char);
/* Length of the longest prefix of at most `max` bytes that does not cut a UTF-8 sequence. */
size_t str_utf8_cut(struct str s, size_t max);
/* Copy with every malformed byte replaced by U+FFFD and NUL by U+2400. */
char *str_utf8_clean(mem *ctx, struct str s);
