/* Money in integers. One unit is a pico-unit (10^-12) of a named currency (ISO 4217, three upper-case letters); a price per million
 * tokens of 3.00 USD is 3,000,000 pico-USD a token. Range of int64_t: about 9.2 million units of a currency. Additions and products saturate
 * at INT64_MAX, so that an overflow refuses instead of admitting. Estimates and settlements are rounded up. No floats. */
#pragma once
#include "base/err.h"
#include "base/str.h"

typedef int64_t pico;
#define PICO_PER_UNIT INT64_C(1000000000000)

/* "2", "2.00", "0.000000000001", with at most 12 decimals, no sign. RC_INVALID. */
MUST_USE enum rc money_parse(struct str s, pico *ret, struct err *err);
/* Exact decimal, at least `decimals` places, no trailing zeros beyond them: "2.00", "0.0031". */
char *money_exact(mem *ctx, pico v, int decimals);
/* For people: "$0.42", "$0.0031", "0.42 EUR": two decimals from 0.01 up (rounded up), four significant digits below. */
char *money_show(mem *ctx, pico v, const char *currency);
pico money_add(pico a, pico b);
pico money_mul(pico price, int64_t count); /* count >= 0 */

/* Tokens of one model request, in disjoint buckets (gateways: OpenAI counts include cached tokens, Anthropic's do not; reasoning is a
 * part of output). -1 in `output`: usage unknown. */
struct usage {
    int64_t input;          /* uncached input */
    int64_t cache_read;
    int64_t cache_write;    /* 5-minute cache writes */
    int64_t cache_write_1h;
    int64_t output;         /* with reasoning */
    int64_t reasoning;      /* part of output */
};
/* A dated price row, pico-units a token. `above` rates hold for the whole request when its prompt (all input buckets) exceeds above_tokens
 * (0: no such tier). */
struct rates {
    pico input, cache_read, cache_write, cache_write_1h, output;
};
struct price {
    int64_t id;
    const char *model, *currency, *source;
    int64_t from_ns; /* valid from (wall clock) */
    struct rates base, above;
    int64_t above_tokens;
};
pico price_cost(const struct price *p, const struct usage *u);
/* True upper bound of a request: every input byte a token at the dearest input rate of any tier, max_output tokens at the dearest output rate. */
pico price_bound(const struct price *p, int64_t request_bytes, int64_t max_output);
/* Largest output cap that fits `room`, or -1 when the input alone does not. */
int64_t price_affordable_output(const struct price *p, int64_t request_bytes, pico room);
/* Prices that ship with the program, each with its source and date; n in *ret_n. Static memory. */
const struct price *price_builtin(size_t *ret_n);
