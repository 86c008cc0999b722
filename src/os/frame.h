/* Frames with descriptors on a stream socket between our own processes: 4 bytes length (big-endian, of the payload), then the
 * payload (JSON text, at most FRAME_MAX bytes). Descriptors ride with the first byte (SCM_RIGHTS), at most 4.
 * Blocking calls for small processes; the server reads the same format on its loop with frame_reader. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#define FRAME_MAX (8u << 20)
#define FRAME_FDS 4
MUST_USE enum rc frame_send(int sock, struct str payload, const int *fds, int fd_count, struct err *err);
/* timeout_ms < 0: wait. RC_TIMEOUT: nothing began; RC_UNAVAILABLE: the peer closed. Payload in ctx; received descriptors are close-on-exec. */
MUST_USE enum rc frame_recv(mem *ctx, int sock, int timeout_ms, struct str *ret, int *ret_fds, int *ret_fd_count, struct err *err);

struct frame_reader {
    struct buf in;
};
void frame_reader_init(struct frame_reader *r, mem *ctx);
/* Feed bytes, then take frames until RC_AGAIN. RC_INVALID: the peer breaks the format. The view is valid until the next call. */
MUST_USE enum rc frame_feed(struct frame_reader *r, const void *p, size_t n, struct err *err);
MUST_USE enum rc frame_take(struct frame_reader *r, struct str *ret, struct err *err);
