/* Exchange: exact ratios of integers, products of 128 bits, rounding against the spender. */
#include "money/money.h"

/* A product of two 63-bit numbers; both compilers have it, ISO C does not. */
__extension__ typedef unsigned __int128 wide;

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

enum rc ratio_parse(struct str s, struct ratio *ret, struct err *err)
{
    pico v;
    enum rc rc = money_parse(s, &v, err);
    if (rc == RC_OK && v == 0)
        rc = err_set(err, RC_INVALID, "An exchange rate is above 0");
    if (rc != RC_OK)
        return err_hint(err, "Write how much one unit of the first currency is worth in the second, such as 1.0842.");
    int64_t divisor = common_divisor(v, PICO_PER_UNIT);
    *ret = (struct ratio){v / divisor, PICO_PER_UNIT / divisor};
    return RC_OK;
}

pico money_convert(pico v, struct ratio r)
{
    /* INT64_MAX means "out of range" and stays so at every rate. */
    if (r.num < 1 || r.num > RATIO_MAX || r.den < 1 || r.den > RATIO_MAX || v == INT64_MAX)
        return INT64_MAX;
    wide product = (wide)(v < 0 ? 0 - (uint64_t)v : (uint64_t)v) * (uint64_t)r.num;
    wide whole = product / (uint64_t)r.den + (product % (uint64_t)r.den != 0);
    int64_t magnitude = whole > INT64_MAX ? INT64_MAX : (int64_t)whole;
    return v < 0 ? -magnitude : magnitude;
}
