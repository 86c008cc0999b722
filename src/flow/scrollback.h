/* The last bytes of a terminal, in a file of fixed size that is mapped into memory: they are there again when the
 * process or the machine comes back.
 *
 * Positions count the bytes of the stream since the file was made. Losing power may lose or mix the newest bytes; a
 * file that is not one of these is made anew. Threads: one. */
#pragma once
#include "base/str.h"

struct scrollback;
/* Opens or makes it (mode 0600). Where the disk has no room it is kept in memory alone. Belongs to ctx. */
struct scrollback *scrollback_open(mem *ctx, const char *path, size_t size);
void scrollback_add(struct scrollback *s, struct str bytes);
uint64_t scrollback_begin(const struct scrollback *s); /* of the oldest byte that is there */
uint64_t scrollback_end(const struct scrollback *s);
/* The bytes at `from` as far as they stand together, at most `most`; empty at the end. `from` before the begin counts
 * as the begin. Valid until the next scrollback_add. */
struct str scrollback_view(const struct scrollback *s, uint64_t from, size_t most);
