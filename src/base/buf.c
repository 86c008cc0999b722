/* Growing bytes with a cap. */
#include "base/buf.h"
#include "base/err.h"
#include <stdio.h>

/* talloc refuses blocks of 256 MiB and more; a buffer overflows before that instead of ending the process. */
enum { BUF_MOST = 0x10000000 - 4096, BUF_FIRST = 64 };

void buf_init(struct buf *b, mem *ctx, size_t max)
{
    *b = (struct buf){.ctx = ctx, .max = max < BUF_MOST ? max : BUF_MOST};
}

void buf_done(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){.ctx = b->ctx, .max = b->max};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->overflow = false;
    if (b->p)
        b->p[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->overflow || n > b->max - b->n) {
        b->overflow = true;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap + b->cap / 2;
        if (cap < need)
            cap = need < BUF_FIRST ? BUF_FIRST : need;
        if (cap > b->max + 1)
            cap = b->max + 1;
        b->p = mem_grow(b->ctx, b->p, cap);
        b->cap = cap;
        b->p[b->n] = '\0';
    }
    return b->p + b->n;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
    char *at = buf_reserve(b, n);
    if (!at)
        return false;
    if (n)
        memcpy(at, p, n);
    buf_advance(b, n);
    return true;
}

bool buf_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

bool buf_z(struct buf *b, const char *z)
{
    return buf_str(b, str_of(z));
}

bool buf_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    if (!buf_reserve(b, 0))
        return false;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    if ((size_t)n >= b->cap - b->n) {
        b->p[b->n] = '\0'; /* the cut first try does not count */
        if (!buf_reserve(b, (size_t)n))
            return false;
        va_start(ap, fmt);
        vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);
        va_end(ap);
    }
    b->n += (size_t)n;
    return true;
}

void buf_drop(struct buf *b, size_t n)
{
    if (!b->p)
        return;
    if (n > b->n)
        n = b->n;
    b->n -= n;
    memmove(b->p, b->p + n, b->n + 1);
}

char *buf_take(struct buf *b, mem *ctx)
{
    char *text = b->p ? mem_move(ctx, mem_grow(b->ctx, b->p, b->n + 1)) : mem_strn(ctx, "", 0);
    *b = (struct buf){.ctx = b->ctx, .max = b->max};
    return text;
}
