/* Growing bytes with a cap given at birth.
 *
 * A buffer that would pass its cap takes nothing more, remembers `overflow` and loses nothing that it already has. The
 * memory belongs to the context given to buf_init; p is always NUL-terminated (or NULL while empty and unused). */
#pragma once
#include "base/str.h"

struct buf {
    mem *ctx;
    char *p;
    size_t n;   /* bytes in use, without the NUL */
    size_t cap; /* bytes allocated */
    size_t max; /* most bytes that may be in use */
    bool overflow;
};
void buf_init(struct buf *b, mem *ctx, size_t max);
void buf_done(struct buf *b);                         /* frees; ready for buf_init */
void buf_clear(struct buf *b);                        /* empties, keeps the memory, clears overflow */
bool buf_add(struct buf *b, const void *p, size_t n); /* all or nothing; false on overflow */
bool buf_str(struct buf *b, struct str s);
bool buf_z(struct buf *b, const char *z);
bool buf_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n);     /* takes n bytes off the front */
char *buf_reserve(struct buf *b, size_t n); /* room for n bytes at the end, or NULL; then advance b->n yourself */
/* After writing n bytes where buf_reserve said: counts them and puts the NUL back. */
static inline void buf_advance(struct buf *b, size_t n)
{
    b->n += n;
    b->p[b->n] = '\0';
}
char *buf_take(struct buf *b, mem *ctx); /* the text as a string owned by ctx; the buffer is empty after */
static inline struct str buf_view(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}
