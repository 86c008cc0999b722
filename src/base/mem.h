/* Memory by lifetime, on talloc (https://talloc.samba.org, LGPL-3+).
 *
 * Memory belongs to a context; freeing the context frees all below it. A context is a request, a model turn, a step, a
 * connection, a process. NULL as parent is allowed for mem_zalloc, mem_new and mem_array alone: that
 * object is a tree of its own. Allocation never fails: out of memory ends
 * the process, which is safe because every buffer that strangers fill has a cap.
 * Threads: a context tree is used by one thread at a time; different trees are independent. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>

typedef TALLOC_CTX mem; /* any talloc pointer serves as a context */

mem *mem_root(void); /* a fresh tree of its own, free it with mem_free */
/* A fresh tree whose first `size` bytes are taken at once and given back together: for lives of many small pieces. With
 * the address sanitizer it is a plain root, so that each piece is watched. */
mem *mem_pool(size_t size);
void *mem_zalloc(mem *ctx, size_t n); /* n zero bytes; one block is smaller than 256 MiB (talloc's cap) */
void *mem_zalloc_array(mem *ctx, size_t size, size_t n); /* n times size zero bytes; a product that overflows aborts */
void *mem_grow(mem *ctx, void *p, size_t n);             /* realloc; contents beyond the old size are undefined */
char *mem_str(mem *ctx, const char *s);                  /* copy; NULL gives NULL */
char *mem_strn(mem *ctx, const char *s, size_t n);       /* copy of n bytes plus NUL */
char *mem_printf(mem *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *mem_vprintf(mem *ctx, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void *mem_free(void *p); /* NULL is fine; returns NULL */
#define mem_new(ctx, type)      ((type *)mem_zalloc((ctx), sizeof(type)))
#define mem_array(ctx, type, n) ((type *)mem_zalloc_array((ctx), sizeof(type), (size_t)(n)))
/* Moves p below ctx; returns p. */
void *mem_move(mem *ctx, void *p);

/* A local context that is freed when the scope is left: `CLEANUP_MEM mem *tmp = mem_root();` */
void mem_cleanup(void *pp);
#define CLEANUP_MEM __attribute__((cleanup(mem_cleanup)))
/* A local descriptor that is closed when the scope is left (-1 is fine). */
void fd_cleanup(int *fd);
#define CLEANUP_FD __attribute__((cleanup(fd_cleanup)))
/* Hands the descriptor over: returns it and leaves -1 behind. */
int fd_take(int *fd);
