/* Memory by lifetime: talloc with the failure path taken out. Not here: pools, limits, accounting. */
#include "base/mem.h"
#include "base/err.h"
#include "base/pool.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

_Noreturn static void mem_exhausted(void)
{
    /* No formatting here: it might want memory. */
    static const char words[] = "nightmill: out of memory\n";
    if (write(STDERR_FILENO, words, sizeof words - 1) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}

static void *mem_need(void *p)
{
    if (!p)
        mem_exhausted();
    return p;
}

#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define SANITIZED
#elif defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

mem *mem_root(void)
{
    return mem_need(talloc_new(NULL));
}

mem *mem_pool(size_t size)
{
#ifdef SANITIZED
    (void)size;
    return mem_root();
#else
    return mem_need(talloc_pool(NULL, size));
#endif
}

void *mem_zalloc_pooled(mem *ctx, size_t n, size_t pieces, size_t size)
{
#ifdef SANITIZED
    (void)pieces, (void)size;
    return mem_zalloc(ctx, n);
#else
    return memset(mem_need(_talloc_pooled_object(ctx, n, "pooled", (unsigned)pieces, size)), 0, n);
#endif
}

void *mem_zalloc(mem *ctx, size_t n)
{
    return mem_need(talloc_zero_size(ctx, n));
}

void *mem_zalloc_array(mem *ctx, size_t size, size_t n)
{
    size_t total;
    if (__builtin_mul_overflow(size, n, &total))
        mem_exhausted();
    return mem_zalloc(ctx, total);
}

void *mem_grow(mem *ctx, void *p, size_t n)
{
    BUG_ON(!ctx);
    return mem_need(talloc_realloc_size(ctx, p, n ? n : 1)); /* size 0 would free */
}

char *mem_str(mem *ctx, const char *s)
{
    return s ? mem_strn(ctx, s, strlen(s)) : NULL;
}

char *mem_strn(mem *ctx, const char *s, size_t n)
{
    BUG_ON(!ctx || n == SIZE_MAX);
    char *copy = mem_need(talloc_size(ctx, n + 1));
    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_printf(mem *ctx, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = mem_vprintf(ctx, fmt, ap);
    va_end(ap);
    return s;
}

char *mem_vprintf(mem *ctx, const char *fmt, va_list ap)
{
    BUG_ON(!ctx);
    return mem_need(talloc_vasprintf(ctx, fmt, ap));
}

void *mem_free(void *p)
{
    if (p)
        BUG_ON(talloc_free(p) != 0);
    return NULL;
}

void *mem_move(mem *ctx, void *p)
{
    BUG_ON(!ctx);
    return __extension__ talloc_steal(ctx, p);
}

void mem_cleanup(void *pp)
{
    void **p = pp;
    *p = mem_free(*p);
}

void fd_cleanup(int *fd)
{
    if (*fd < 0)
        return;
    int keep = errno;
    close(*fd);
    errno = keep;
    *fd = -1;
}

int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
