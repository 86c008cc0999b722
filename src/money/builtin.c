/* List prices that ship with the program, in US dollars a million tokens as the providers publish them.
 *
 * A row is here only when its price was public and plain; an operator's own row always wins over these. Prices change:
 * `source` says whose page and when it was read, `from` is the day from which the price held. Dated model names are
 * rows of their own because a request is priced by the name that was asked for. Batch, flex and priority rates are no
 * list prices and are not here. */
#include "money/money.h"

/* Days since 1970-01-01 of a Gregorian date; the year begins in March, so that the leap day is its last. */
#define YEAR(y, m)    ((int64_t)(y) - ((m) <= 2))
#define DAY(m, d)     ((153 * ((m) + ((m) > 2 ? -3 : 9)) + 2) / 5 + (d)-1)
#define DAYS(y, m, d) (YEAR(y, m) * 365 + YEAR(y, m) / 4 - YEAR(y, m) / 100 + YEAR(y, m) / 400 + DAY(m, d) - 719468)
#define NANOSECONDS   (86400 * INT64_C(1000000000))

/* Rates below are integers: thousandths of a dollar a million tokens, which is 1,000 pico-dollars a token.
 * Anthropic: 5-minute cache writes cost 1.25 times the input, 1-hour ones twice, reads a tenth; the same on the tier
 * above a threshold. OpenAI: cached input has a rate of its own, writing to the cache costs nothing extra. */
#define ANTHROPIC(in, out)      (in) * 1000, (in)*100, (in)*1250, (in)*2000, (out)*1000
#define OPENAI(in, cached, out) (in) * 1000, (cached)*1000, (in)*1000, (in)*1000, (out)*1000

#define ROW(name, page, y, m, d, ...)                                                                                  \
    {                                                                                                                  \
        .model = name, .currency = "USD", .source = page, .from_ns = DAYS(y, m, d) * NANOSECONDS, __VA_ARGS__          \
    }
#define A "Anthropic pricing page, as of 2025-11"
#define O "OpenAI pricing page, as of 2025-11"

static const struct price rows[] = {
    ROW("claude-opus-4-5", A, 2025, 11, 24, .base = {ANTHROPIC(5000, 25000)}),
    ROW("claude-opus-4-5-20251101", A, 2025, 11, 24, .base = {ANTHROPIC(5000, 25000)}),
    ROW("claude-opus-4-1", A, 2025, 8, 5, .base = {ANTHROPIC(15000, 75000)}),
    ROW("claude-opus-4-1-20250805", A, 2025, 8, 5, .base = {ANTHROPIC(15000, 75000)}),
    ROW("claude-opus-4-0", A, 2025, 5, 22, .base = {ANTHROPIC(15000, 75000)}),
    ROW("claude-opus-4-20250514", A, 2025, 5, 22, .base = {ANTHROPIC(15000, 75000)}),
    ROW("claude-sonnet-4-5", A, 2025, 9, 29, .base = {ANTHROPIC(3000, 15000)}, .above = {ANTHROPIC(6000, 22500)},
        .above_tokens = 200000),
    ROW("claude-sonnet-4-5-20250929", A, 2025, 9, 29, .base = {ANTHROPIC(3000, 15000)},
        .above = {ANTHROPIC(6000, 22500)}, .above_tokens = 200000),
    ROW("claude-sonnet-4-0", A, 2025, 8, 12, .base = {ANTHROPIC(3000, 15000)}, .above = {ANTHROPIC(6000, 22500)},
        .above_tokens = 200000),
    ROW("claude-sonnet-4-20250514", A, 2025, 8, 12, .base = {ANTHROPIC(3000, 15000)}, .above = {ANTHROPIC(6000, 22500)},
        .above_tokens = 200000),
    ROW("claude-haiku-4-5", A, 2025, 10, 15, .base = {ANTHROPIC(1000, 5000)}),
    ROW("claude-haiku-4-5-20251001", A, 2025, 10, 15, .base = {ANTHROPIC(1000, 5000)}),

    ROW("gpt-5.1", O, 2025, 11, 13, .base = {OPENAI(1250, 125, 10000)}),
    ROW("gpt-5", O, 2025, 8, 7, .base = {OPENAI(1250, 125, 10000)}),
    ROW("gpt-5-2025-08-07", O, 2025, 8, 7, .base = {OPENAI(1250, 125, 10000)}),
    ROW("gpt-5-mini", O, 2025, 8, 7, .base = {OPENAI(250, 25, 2000)}),
    ROW("gpt-5-mini-2025-08-07", O, 2025, 8, 7, .base = {OPENAI(250, 25, 2000)}),
    ROW("gpt-5-nano", O, 2025, 8, 7, .base = {OPENAI(50, 5, 400)}),
    ROW("gpt-5-nano-2025-08-07", O, 2025, 8, 7, .base = {OPENAI(50, 5, 400)}),
    ROW("gpt-4.1", O, 2025, 4, 14, .base = {OPENAI(2000, 500, 8000)}),
    ROW("gpt-4.1-2025-04-14", O, 2025, 4, 14, .base = {OPENAI(2000, 500, 8000)}),
    ROW("gpt-4.1-mini", O, 2025, 4, 14, .base = {OPENAI(400, 100, 1600)}),
    ROW("gpt-4.1-mini-2025-04-14", O, 2025, 4, 14, .base = {OPENAI(400, 100, 1600)}),
    ROW("gpt-4.1-nano", O, 2025, 4, 14, .base = {OPENAI(100, 25, 400)}),
    ROW("gpt-4.1-nano-2025-04-14", O, 2025, 4, 14, .base = {OPENAI(100, 25, 400)}),
    ROW("gpt-4o", O, 2024, 10, 2, .base = {OPENAI(2500, 1250, 10000)}),
    ROW("gpt-4o-2024-11-20", O, 2024, 11, 20, .base = {OPENAI(2500, 1250, 10000)}),
    ROW("gpt-4o-mini", O, 2024, 10, 2, .base = {OPENAI(150, 75, 600)}),
    ROW("gpt-4o-mini-2024-07-18", O, 2024, 10, 2, .base = {OPENAI(150, 75, 600)}),
    ROW("o3", O, 2025, 6, 10, .base = {OPENAI(2000, 500, 8000)}),
    ROW("o3-2025-04-16", O, 2025, 6, 10, .base = {OPENAI(2000, 500, 8000)}),
    ROW("o4-mini", O, 2025, 4, 16, .base = {OPENAI(1100, 275, 4400)}),
    ROW("o4-mini-2025-04-16", O, 2025, 4, 16, .base = {OPENAI(1100, 275, 4400)}),
};

const struct price *price_builtin(size_t *ret_n)
{
    *ret_n = sizeof rows / sizeof rows[0];
    return rows;
}
