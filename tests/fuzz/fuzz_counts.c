/* Fuzz target: counts of tests in a check's output. Numbers that are believed must agree with each other. */
#include "verify/verify.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct test_counts c = {0};
    if (!counts_read(str_n((const char *)data, size), &c))
        return 0;
    BUG_ON(!c.framework);
    BUG_ON(c.total < 0 || c.passed < 0 || c.failed < 0 || c.skipped < 0);
    BUG_ON(c.passed + c.failed + c.skipped != c.total);
    return 0;
}
