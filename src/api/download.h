/* Answers that are files: read in pieces on the pool as fast as the client takes them, so that a file of any size costs
 * a piece of memory. Always an attachment of an innocent type: no page of ours shows what an agent wrote as it is. */
#pragma once
#include "api/server_room.h"

struct download {
    int fd; /* what is sent; -1 until it is open */
    int64_t size;
    const char *name; /* that the client shall give it; in the call's ctx */
    const char *type;
};
/* Opens a regular file of ours, not through a link. */
MUST_USE enum rc download_file(struct download *d, const char *path, struct err *err);
/* Bytes that no file has, such as what git says. */
MUST_USE enum rc download_bytes(struct download *d, struct str bytes, struct err *err);
/* For on_loop: calls open on a pool thread, then sends the file or the error. Takes c. */
void download_begin(struct route_call *c, enum rc (*open)(struct route_call *c, struct download *d));
