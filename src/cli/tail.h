/* The daemon's event stream on a thread of its own, so that the main thread can watch keys, signals and the clock.
 *
 * The thread owns its memory and hands over raw bytes through a socket pair; everything else happens on the caller's
 * thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct tail;
/* Opens GET path on the socket. Belongs to ctx; end it with tail_close. */
MUST_USE enum rc tail_open(mem *ctx, const char *socket, const char *path, struct tail **ret, struct err *err);
int tail_fd(const struct tail *t); /* readable when there is something to take */
/* Reads what is there. RC_OK: go on; RC_CANCELLED: the stream has ended, tail_close says how. Does not block. */
MUST_USE enum rc tail_read(struct tail *t);
/* The next whole line; the view is valid until the next tail_read. False when there is none yet. */
bool tail_line(struct tail *t, struct str *ret);
/* Ends the stream if it has not ended. RC_OK: the daemon ended it properly; else what went wrong. *ret_status (may be
 * NULL) the HTTP status, *ret_body (may be NULL) the body of one that is not 200, in ctx. */
MUST_USE enum rc tail_close(mem *ctx, struct tail *t, int *ret_status, struct str *ret_body, struct err *err);
