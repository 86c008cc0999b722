/* Price files of others, read into rows. Pure: text in, rows and reasons out; what is stored and what that changes is
 * the caller's (src/store/price.h).
 *
 * Two formats, told apart by their shape:
 *   genai-prices  data.json of pydantic/genai-prices (or the same objects written by its npm package): an array of
 *                 providers with models; decimals in US dollars per million tokens, tiers, dated prices
 *   litellm       model_prices_and_context_window.json: an object by model name; decimals in US dollars a token
 * Numbers are read from their decimal text, exactly, into pico-units a token; one with a finer fraction is rounded up.
 * Only prices that Nightmill can bill by are taken: chat models billed by the token with at most one threshold. All
 * else is left out with a reason. Names: a maker's own model under its bare name ("claude-sonnet-4-5"), a reseller's
 * below the kind of provider ("together/meta-llama/..."). */
#pragma once
#include "base/json.h"
#include "money/money.h"

struct price_skip {
    const char *model;  /* as the file names it */
    const char *reason; /* a few words, of a small set, static */
};
struct price_file {
    const char *format;   /* "genai-prices", "litellm" */
    struct price *prices; /* id 0, source NULL; from_ns 0 unless the file dates the price; sorted by model and date */
    size_t n;
    struct price_skip *skipped;
    size_t skipped_n;
};
/* RC_INVALID: neither format, or no JSON. Results in ctx. */
MUST_USE enum rc price_file_read(mem *ctx, struct str text, struct price_file *ret, struct err *err);

/* A decimal as JSON writes it ("3e-7", "0.00000375", "12.5") times 10^scale, exactly, in pico-units; a rest below one
 * is rounded up. RC_INVALID: no number or negative; RC_LIMIT: beyond the range. */
MUST_USE enum rc price_decimal(struct str number, int scale, pico *ret, struct err *err);

/* Same currency and rates; a tier that does not apply does not count. */
bool price_same(const struct price *a, const struct price *b);
/* What is absurd about a price, by itself (now) or beside the one in force (before, may be NULL); NULL: nothing. In
 * ctx. Rules: a rate that was not zero becomes zero; a rate moves by more than five times either way; cache reads
 * dearer than input; a cache write above four times the input; a rate above 10,000 a million tokens; long prompts
 * cheaper than short ones. */
const char *price_absurd(mem *ctx, const struct price *now, const struct price *before);
