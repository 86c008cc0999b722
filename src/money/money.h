/* Money in integers. One unit is a pico-unit (10^-12) of a named currency (ISO 4217, three upper-case letters); a price
 * per million tokens of 3.00 USD is 3,000,000 pico-USD a token. Range of int64_t: about 9.2 million units of a
 * currency. Additions and products saturate at INT64_MAX, so that an overflow refuses instead of admitting: INT64_MAX
 * never fits a limit. Everything here is exact but two things, both rounded up (against the spender): what is converted
 * into another currency, and what is shown to people. No floats. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"

typedef int64_t pico;
#define PICO_PER_UNIT INT64_C(1000000000000)

/* "2", "2.00", "0.000000000001", with at most 12 decimals, digits on both sides of a point, no sign, no blanks.
 * RC_INVALID; RC_LIMIT when it is beyond the range. */
MUST_USE enum rc money_parse(struct str s, pico *ret, struct err *err);
/* Exact decimal, at least `decimals` (0-12) places, no trailing zeros beyond them: "2.00", "0.0031". */
char *money_exact(mem *ctx, pico v, int decimals);
/* For people: "$0.42", "$0.0031", "0.42 EUR": two decimals from 0.01 up, four significant digits below (without
 * trailing zeros); rounded up, away from zero. */
char *money_show(mem *ctx, pico v, const char *currency);
pico money_add(pico a, pico b);
pico money_mul(pico price, int64_t count); /* both >= 0; a negative one gives INT64_MAX */

/* Tokens of one model request, in disjoint buckets (gateways: OpenAI counts include cached tokens, Anthropic's do not;
 * reasoning is a part of output). -1 in `output`: usage unknown. */
struct usage {
    int64_t input; /* uncached input */
    int64_t cache_read;
    int64_t cache_write; /* 5-minute cache writes */
    int64_t cache_write_1h;
    int64_t output;    /* with reasoning */
    int64_t reasoning; /* part of output */
};
/* A dated price row, pico-units a token. `above` rates hold for the whole request when its prompt (all input buckets)
 * exceeds above_tokens (0: no such tier). A provider that does not bill cache writes has the input rate there: it never
 * reports any, and the bound is not raised. */
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
/* Tokens that a provider or a chat template may add to what the request's bytes hold (system text for tool use, role
 * marks, default instructions). Anthropic adds about 350 for tools; templates of open models stay below 300. */
#define PRICE_ADDED_TOKENS 1024

/* Cost of known usage. INT64_MAX when a count is negative (unknown): an unknown cost is never zero. */
pico price_cost(const struct price *p, const struct usage *u);
/* True upper bound of a request: every input byte a token (byte-level vocabularies never make more) and
 * PRICE_ADDED_TOKENS at the dearest input rate of any tier, max_output tokens at the dearest output rate. */
pico price_bound(const struct price *p, int64_t request_bytes, int64_t max_output);
/* Largest output cap whose bound fits `room`, or -1 when the input alone does not. INT64_MAX where output is free. */
int64_t price_affordable_output(const struct price *p, int64_t request_bytes, pico room);
/* The dearest output rate of any tier. */
pico price_output_rate(const struct price *p);
/* Prices that ship with the program, each with its source and date; n in *ret_n. Static memory. */
const struct price *price_builtin(size_t *ret_n);

/* What a request may take at most, before any price. */
struct demand {
    int64_t bytes;   /* of the request's body: each may be a token */
    int64_t more;    /* input tokens that the bytes do not bound (images, files), at the provider's maximum */
    int64_t output;  /* cap on the output of one answer */
    int64_t answers; /* how many answers are asked for ("n"); 0 counts as 1 */
};
/* Upper bound of all its tokens, with PRICE_ADDED_TOKENS; INT64_MAX when a member is negative. */
int64_t demand_tokens(const struct demand *d);
/* Largest output cap of one answer (not above d->output) with which the tokens fit `room`; -1 when the input alone does
 * not. */
int64_t demand_output_within(const struct demand *d, int64_t room);

/* One of the targets that a request may be sent to. */
struct candidate {
    const struct price *price; /* NULL: unknown */
    pico extras;               /* tools at the provider billed by use, at their allowed maximum; the price's currency */
};
/* True upper bound of the demand at this price, as price_bound: input once, output for each answer. */
pico candidate_bound(const struct candidate *c, const struct demand *d);
/* Largest output cap of one answer (not above d->output) whose bound fits `room`; -1 when the rest alone does not. */
int64_t candidate_output_within(const struct candidate *c, const struct demand *d, pico room);

/* An exchange rate as an exact ratio of integers: one unit of `from` is num/den units of `to`. Both 1 to RATIO_MAX. */
#define RATIO_MAX INT64_C(1000000000000000000)
struct ratio {
    int64_t num, den;
};
/* "1.0842" as 5421/5000. RC_INVALID for 0 and for what is no decimal number. */
MUST_USE enum rc ratio_parse(struct str s, struct ratio *ret, struct err *err);
/* Exact in 128 bits, rounded up, saturating; a negative amount is converted as its magnitude, rounded away from zero.
 */
pico money_convert(pico v, struct ratio r);
bool currency_valid(const char *code); /* three capital letters (ISO 4217) */
