/* The frame reader under any bytes: the same frames come out in any pieces, none is longer than announced, and a broken
 * stream never yields another frame. */
#include "os/frame.h"

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc read_all(mem *ctx, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
    struct frame_reader r;
    struct str got;
    enum rc rc = RC_AGAIN;
    frame_reader_init(&r, ctx);
    buf_init(out, ctx, 1 << 20);
    for (size_t at = 0; at < size && rc == RC_AGAIN; at += step) {
        MUST(frame_feed(&r, data + at, size - at < step ? size - at : step, NULL) == RC_OK);
        while ((rc = frame_take(&r, &got, NULL)) == RC_OK)
            MUST(got.n <= size && frame_write(out, got, NULL) == RC_OK);
    }
    if (rc == RC_INVALID)
        MUST(frame_take(&r, &got, NULL) == RC_INVALID);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf whole, pieces;
    if (size > 1 << 16)
        return 0;
    enum rc a = read_all(ctx, data, size, size ? size : 1, &whole);
    enum rc b = read_all(ctx, data, size, 1 + size / 7, &pieces);
    MUST(a == b && str_eq(buf_view(&whole), buf_view(&pieces)));
    /* Frames written again are the bytes that were read. */
    MUST(whole.n <= size && (whole.n == 0 || memcmp(whole.p, data, whole.n) == 0));
    return 0;
}
