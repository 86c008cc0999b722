/* Fuzz target: error answers of model servers. Headers end at the first empty line, the body follows. */
#include "llm/llm.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (!size)
        return 0;
    struct str all = str_n((const char *)data + 1, size - 1);
    long cut = str_find(all, STR("\r\n\r\n"));
    struct str headers = cut >= 0 ? str_sub(all, 0, (size_t)cut + 2) : (struct str){"", 0};
    struct str body = cut >= 0 ? str_sub(all, (size_t)cut + 4, all.n) : all;
    struct llm_failure failure;
    llm_failure_read(400 + data[0] % 200, headers, body, INT64_C(1800000000000000000), &failure);
    BUG_ON(failure.rc == RC_OK);
    BUG_ON(failure.retry_after_s < -1);
    BUG_ON(!str_utf8(str_of(failure.err.sentence)));
    return 0;
}
