/* Fuzz target: an upstream's bytes on their way to a client. The first three bytes choose the dialects, the shapes and
 * the pieces. What is written anew can always be read by the client; a failure never looks like an end. */
#include "llm/bridge.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    size_t n;
    const struct llm_dialect *const *dialects = llm_dialects(&n);
    if (size < 3)
        return 0;
    struct llm_bridge_spec spec = {.client = dialects[data[0] % n],
                                   .upstream = dialects[data[0] / 16 % n],
                                   .client_stream = data[1] & 1,
                                   .upstream_stream = data[1] & 2,
                                   .hide_usage = data[1] & 4,
                                   .id = "z",
                                   .created_s = 1};
    spec.client_array = data[1] & 8 && spec.client_stream && strcmp(spec.client->family, "gemini") == 0;
    size_t step = data[2] ? data[2] : size;
    struct llm_bridge *b = llm_bridge_new(ctx, &spec);
    struct buf out;
    struct err err = {0};
    const struct llm_answer *answer;
    enum rc rc = RC_OK;
    buf_init(&out, ctx, 64u << 20);
    for (size_t at = 3; at < size && rc == RC_OK; at += step)
        rc = llm_bridge_feed(b, data + at, size - at < step ? size - at : step, &out, &err);
    enum rc end = llm_bridge_end(b, &out, &answer, &err);
    BUG_ON(rc != RC_OK && end == RC_OK);
    BUG_ON(llm_bridge_begun(b) != (out.n > 0));
    if (!out.n || llm_same_family(spec.client, spec.upstream))
        return 0;
    struct llm_parser *p = llm_parser_new(ctx, spec.client, NULL, NULL);
    const struct llm_answer *read;
    BUG_ON(llm_parser_feed(p, out.p, out.n, &err) != RC_OK);
    BUG_ON(llm_parser_end(p, spec.client_stream, &read, &err) != RC_OK);
    BUG_ON(read->complete != (end == RC_OK));
    return 0;
}
