/* Objects with room for their pieces, on talloc's pools: what is allocated below such an object comes out of its own
 * block as long as that lasts, and all of it is given back at once. For lives that are short and many. With the address
 * sanitizer everything is allocated by itself, so that each piece is watched. Beside mem_pool (mem.h), which is a tree
 * of its own. */
#pragma once
#include "base/mem.h"

#define MEM_SCRATCH 800 /* of a mem_pool for a moment: the C library gives such blocks out without a search */

/* As mem_zalloc, with `size` bytes for some `pieces` below it. */
void *mem_zalloc_pooled(mem *ctx, size_t n, size_t pieces, size_t size);
#define mem_new_pooled(ctx, type, pieces, size) ((type *)mem_zalloc_pooled((ctx), sizeof(type), (pieces), (size)))
