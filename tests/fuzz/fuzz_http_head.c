/* Fuzz target: the head of an HTTP request. A head that was taken must keep to what the parser promises. */
#include "net/http.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct http_head head = {0};
    struct err err;
    size_t length = 0;
    enum rc rc = http_head_parse(ctx, str_n((const char *)data, size), &head, &length, &err);
    BUG_ON(rc != RC_OK && rc != RC_AGAIN && rc != RC_INVALID && rc != RC_LIMIT);
    if (rc == RC_INVALID || rc == RC_LIMIT)
        BUG_ON(head.refuse_status < 400 || head.refuse_status > 599);
    if (rc != RC_OK)
        return 0;
    BUG_ON(length > size || length == 0);
    BUG_ON(head.field_count > 100 || head.method.n == 0 || head.target.n == 0);
    BUG_ON(head.chunked && head.content_length >= 0);
    for (size_t i = 0; i < head.field_count; i++) {
        BUG_ON(head.fields[i].name.n == 0);
        BUG_ON(memchr(head.fields[i].value.p, '\n', head.fields[i].value.n) != NULL);
        BUG_ON(memchr(head.fields[i].value.p, '\0', head.fields[i].value.n) != NULL);
    }
    return 0;
}
