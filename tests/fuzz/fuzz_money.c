/* Fuzz target: amounts of money. What parses is written exactly and parses to itself. */
#include "money/money.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err;
    pico v, again;
    if (money_parse(str_n((const char *)data, size), &v, &err) != RC_OK)
        return 0;
    BUG_ON(v < 0);
    BUG_ON(money_parse(str_of(money_exact(ctx, v, 2)), &again, &err) != RC_OK || again != v);
    (void)money_show(ctx, v, "USD");
    (void)money_show(ctx, v, "EUR");
    BUG_ON(money_add(v, v) < v);
    BUG_ON(money_mul(v, 3) < v);
    return 0;
}
