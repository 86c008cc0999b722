/* Fuzz target: what the gateway reads of a request, and the splice of its output cap, which must be readable again. */
#include "llm/llm.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    static const char *const names[] = {"chat", "openai", "responses", "messages", "gemini"};
    struct str body = str_n((const char *)data, size), spliced;
    struct llm_request_facts facts = {0}, after = {0};
    const struct llm_splice change = {.max_output = 1234, .ask_usage = true};
    struct err err;
    for (size_t i = 0; i < 5; i++) {
        const struct llm_dialect *d = llm_dialect_find(names[i]);
        BUG_ON(!d);
        if (llm_request_read(ctx, d, "m", false, body, &facts, &err) != RC_OK)
            continue;
        if (llm_request_splice(ctx, d, body, &change, &spliced, &err) != RC_OK)
            continue;
        BUG_ON(llm_request_read(ctx, d, "m", false, spliced, &after, &err) != RC_OK);
        BUG_ON(after.max_output != 1234);
        BUG_ON(strcmp(after.model, facts.model) != 0 || after.stream != facts.stream);
    }
    return 0;
}
