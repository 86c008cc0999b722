/* Frames with descriptors on a stream socket between our own processes: 4 bytes length (big-endian, of the payload),
 * then the payload (JSON text, at most FRAME_MAX bytes). Descriptors ride with the first byte (SCM_RIGHTS), at most
 * FRAME_FDS. Blocking calls for small processes; the server reads the same format on its loop with frame_reader. A
 * stream that broke the format once cannot be used further: close it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#define FRAME_MAX (8u << 20)
#define FRAME_FDS 4
/* RC_LIMIT: too large; RC_UNAVAILABLE: the peer is gone. The descriptors stay the caller's. Waits when the socket is
 * full, also when it is non-blocking. */
MUST_USE enum rc frame_send(int sock, struct str payload, const int *fds, int fd_count, struct err *err);
/* timeout_ms < 0: wait. RC_TIMEOUT: nothing began; RC_UNAVAILABLE: the peer closed, or stopped in the middle for 60 s;
 * RC_INVALID: it breaks the format. Payload in ctx, NUL-terminated; received descriptors are close-on-exec. ret_fds:
 * room for FRAME_FDS, or NULL to have descriptors closed. */
MUST_USE enum rc frame_recv(mem *ctx, int sock, int timeout_ms, struct str *ret, int *ret_fds, int *ret_fd_count,
                            struct err *err);

struct frame_reader {
    struct buf in;
    size_t taken; /* bytes at the front that earlier frames used */
};
void frame_reader_init(struct frame_reader *r, mem *ctx);
/* Feed bytes (at most 1 MiB at a time), then take frames until RC_AGAIN. RC_INVALID: the peer breaks the format. The
 * view is valid until the next feed. */
MUST_USE enum rc frame_feed(struct frame_reader *r, const void *p, size_t n, struct err *err);
MUST_USE enum rc frame_take(struct frame_reader *r, struct str *ret, struct err *err);
/* The same format for writers that have a buffer of their own (a loop): length and payload, appended. */
MUST_USE enum rc frame_write(struct buf *out, struct str payload, struct err *err);
