/* Fuzz target: requests from one dialect to another. The first byte chooses both. What is written is JSON that the
 * gateway can read, and read again it is written the same way. */
#include "llm/request.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    size_t n;
    const struct llm_dialect *const *dialects = llm_dialects(&n);
    if (!size)
        return 0;
    const struct llm_dialect *in = dialects[data[0] % n], *out = dialects[data[0] / 16 % n];
    struct str body = str_n((const char *)data + 1, size - 1);
    struct llm_request *r = NULL, *again = NULL;
    struct err err = {0};
    struct buf first, second;
    buf_init(&first, ctx, 16u << 20);
    buf_init(&second, ctx, 16u << 20);
    if (llm_request_decode(ctx, in, "m", true, body, &r, &err) != RC_OK) {
        BUG_ON(!err.sentence[0]);
        return 0;
    }
    (void)llm_count_estimate(r);
    if (llm_request_encode(r, out, "m", 100, true, &first, &err) != RC_OK) {
        BUG_ON(!err.sentence[0]);
        return 0;
    }
    struct llm_request_facts facts;
    BUG_ON(llm_request_read(ctx, out, "m", true, buf_view(&first), &facts, &err) != RC_OK);
    BUG_ON(facts.max_output != 100 || !facts.stream);
    if (llm_request_decode(ctx, out, "m", true, buf_view(&first), &again, &err) != RC_OK)
        return 0; /* a conversation of reasoning alone is empty elsewhere */
    if (llm_request_encode(again, out, "m", 100, true, &second, &err) != RC_OK)
        return 0;
    struct buf third;
    buf_init(&third, ctx, 16u << 20);
    again = NULL;
    BUG_ON(llm_request_decode(ctx, out, "m", true, buf_view(&second), &again, &err) != RC_OK);
    BUG_ON(llm_request_encode(again, out, "m", 100, true, &third, &err) != RC_OK);
    BUG_ON(!str_eq(buf_view(&second), buf_view(&third)));
    return 0;
}
