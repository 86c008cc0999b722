/* Escaping by target, and shapes of text shared by all faces. Results belong to ctx. */
#pragma once
#include "base/buf.h"

/* For a terminal: control bytes (all C0 but LF and TAB, DEL, C1, bidirectional overrides) become visible escapes such
 * as \x1b; malformed UTF-8 becomes U+FFFD. Nothing that an agent wrote reaches a terminal without this. */
char *text_terminal(mem *ctx, struct str s);
char *text_terminal_line(mem *ctx, struct str s, size_t max_chars); /* one line: LF and TAB too; cut with "..." */
char *text_shell(mem *ctx, struct str s);                           /* one single-quoted POSIX shell word */
char *text_html(mem *ctx, struct str s);
/* A field of a CSV file (RFC 4180), quoted where needed; one that a spreadsheet would take for a formula gets an
 * apostrophe in front. */
char *text_csv(mem *ctx, struct str s);
char *text_url(mem *ctx, struct str s);    /* percent-encoded component (RFC 3986 unreserved kept) */
char *text_base64(mem *ctx, struct str s); /* RFC 4648 section 4, with padding */
bool text_base64_read(mem *ctx, struct str s, struct str *ret); /* that form alone */
/* Head and tail of a long text with a visible mark between them that counts the bytes left out; at most max bytes. */
char *text_middle(mem *ctx, struct str s, size_t max);
/* Lower-case words joined by '-', ASCII letters and digits only, at most max bytes, "task" when nothing is left. */
char *text_slug(mem *ctx, struct str s, size_t max);
char *text_duration(mem *ctx, int64_t seconds);               /* "1 h 02 min", "3 min 20 s", "45 s" */
bool text_duration_parse(struct str s, int64_t *ret_seconds); /* "90", "90s", "15m", "2h", "1h30m", "7d" */
bool text_size_parse(struct str s, int64_t *ret_bytes);       /* "4096", "64k", "10MiB", "2G"; powers of 1024 */
/* The name nearest to a mistyped word (insert, delete, replace, swap of neighbours; at most a third of it wrong), or
 * NULL. Case does not count. */
const char *text_nearest(struct str word, const char *const *names, size_t n);
/* Path against a glob: '?' and '*' stop at '/', "**" crosses it, [..] classes, a pattern without '/' matches the base
 * name at any depth, a trailing '/' matches everything below. Bytes, case-sensitive. Linear memory, bounded time. */
bool text_glob(struct str pattern, struct str path);
