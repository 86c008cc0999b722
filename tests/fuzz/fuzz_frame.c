/* Fuzz target: frames between our own processes. The first byte says how many bytes come at once. */
#include "os/frame.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (!size)
        return 0;
    CLEANUP_MEM mem *ctx = mem_root();
    struct frame_reader r;
    struct err err;
    size_t step = data[0] ? data[0] : 1;
    frame_reader_init(&r, ctx);
    for (size_t at = 1; at < size; at += step) {
        struct str frame;
        enum rc rc = frame_feed(&r, data + at, size - at < step ? size - at : step, &err);
        while (rc == RC_OK && (rc = frame_take(&r, &frame, &err)) == RC_OK)
            BUG_ON(frame.n > FRAME_MAX);
        if (rc != RC_OK && rc != RC_AGAIN)
            return 0;
    }
    return 0;
}
