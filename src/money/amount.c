/* Amounts: decimal text to pico-units and back, saturating arithmetic. No rates and no currency conversion here. */
#include "money/money.h"

enum { DECIMALS = 12 };

static bool digit_is(char c)
{
    return c >= '0' && c <= '9';
}

enum rc money_parse(struct str s, pico *ret, struct err *err)
{
    pico v = 0;
    int decimals = -1; /* -1: before the point */
    bool over = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && decimals < 0 && i > 0 && i + 1 < s.n) {
            decimals = 0;
            continue;
        }
        if (!digit_is(s.p[i]) || decimals == DECIMALS)
            goto malformed;
        decimals += decimals >= 0;
        over = over || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.p[i] - '0', &v);
    }
    if (s.n == 0)
        goto malformed;
    for (int i = decimals < 0 ? 0 : decimals; i < DECIMALS; i++)
        over = over || __builtin_mul_overflow(v, 10, &v);
    if (over || v == INT64_MAX) {
        err_set(err, RC_LIMIT, "The amount \"%.*s\" is too large", (int)str_utf8_cut(s, 40), s.p);
        err_hint(err, "The largest amount is 9223372.");
        return RC_LIMIT;
    }
    *ret = v;
    return RC_OK;
malformed:
    err_set(err, RC_INVALID, "\"%.*s\" is not an amount of money", (int)str_utf8_cut(s, 40), s.p);
    err_hint(err, "Write digits with at most 12 decimals, such as 2 or 0.50.");
    return RC_INVALID;
}

/* Magnitude as an unsigned number: INT64_MIN has no positive twin. */
static uint64_t magnitude(pico v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static char *decimal(mem *ctx, bool negative, uint64_t v, int least)
{
    char places[DECIMALS + 1];
    uint64_t rest = v % (uint64_t)PICO_PER_UNIT;
    for (int i = DECIMALS - 1; i >= 0; i--, rest /= 10)
        places[i] = (char)('0' + rest % 10);
    int n = DECIMALS;
    while (n > least && places[n - 1] == '0')
        n--;
    return mem_printf(ctx, "%s%llu%s%.*s", negative ? "-" : "", (unsigned long long)(v / (uint64_t)PICO_PER_UNIT),
                      n ? "." : "", n, places);
}

char *money_exact(mem *ctx, pico v, int decimals)
{
    int least = decimals < 0 ? 0 : decimals > DECIMALS ? DECIMALS : decimals;
    return decimal(ctx, v < 0, magnitude(v), least);
}

char *money_show(mem *ctx, pico v, const char *currency)
{
    const uint64_t cent = (uint64_t)PICO_PER_UNIT / 100;
    uint64_t m = magnitude(v), step = cent;
    if (m < cent) /* four significant digits: the step is a thousandth of the leading digit's place, at least one */
        for (step = cent / 10; step > 1 && m / step == 0;)
            step /= 10;
    if (m < cent)
        step = step > 1000 ? step / 1000 : 1;
    m = (m / step + (m % step != 0)) * step; /* below 2^63 + 10^10: no overflow */
    const char *number = decimal(ctx, false, m, 2);
    const char *sign = v < 0 ? "-" : "";
    if (currency && strcmp(currency, "USD") == 0)
        return mem_printf(ctx, "%s$%s", sign, number);
    return mem_printf(ctx, "%s%s %s", sign, number, currency ? currency : "");
}

pico money_add(pico a, pico b)
{
    pico sum;
    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

pico money_mul(pico price, int64_t count)
{
    pico product;
    if (price < 0 || count < 0 || __builtin_mul_overflow(price, count, &product))
        return INT64_MAX;
    return product;
}

bool currency_valid(const char *code)
{
    bool upper = code && strlen(code) == 3;
    for (int i = 0; upper && i < 3; i++)
        upper = code[i] >= 'A' && code[i] <= 'Z';
    return upper;
}
