/* What usage costs, and the most that a request can cost before it is sent. The prices that ship are in builtin.c. */
#include "money/money.h"

static pico max2(pico a, pico b)
{
    return a > b ? a : b;
}

static pico input_dearest(const struct rates *r)
{
    return max2(max2(r->input, r->cache_read), max2(r->cache_write, r->cache_write_1h));
}

static pico input_rate(const struct price *p)
{
    pico base = input_dearest(&p->base);
    return p->above_tokens > 0 ? max2(base, input_dearest(&p->above)) : base;
}

pico price_output_rate(const struct price *p)
{
    return p->above_tokens > 0 ? max2(p->base.output, p->above.output) : p->base.output;
}

pico price_cost(const struct price *p, const struct usage *u)
{
    int64_t prompt = 0, buckets[] = {u->input, u->cache_read, u->cache_write, u->cache_write_1h};
    for (size_t i = 0; i < 4; i++) {
        if (buckets[i] < 0)
            return INT64_MAX;
        prompt = money_add(prompt, buckets[i]);
    }
    const struct rates *r = p->above_tokens > 0 && prompt > p->above_tokens ? &p->above : &p->base;
    pico rates[] = {r->input, r->cache_read, r->cache_write, r->cache_write_1h};
    pico cost = money_mul(r->output, u->output);
    for (size_t i = 0; i < 4; i++)
        cost = money_add(cost, money_mul(rates[i], buckets[i]));
    return cost;
}

static pico input_bound(const struct price *p, int64_t request_bytes)
{
    if (request_bytes < 0)
        return INT64_MAX;
    return money_mul(input_rate(p), money_add(request_bytes, PRICE_ADDED_TOKENS));
}

pico price_bound(const struct price *p, int64_t request_bytes, int64_t max_output)
{
    return money_add(input_bound(p, request_bytes), money_mul(price_output_rate(p), max_output));
}

int64_t price_affordable_output(const struct price *p, int64_t request_bytes, pico room)
{
    pico input = input_bound(p, request_bytes), rate = price_output_rate(p);
    /* A bound of INT64_MAX may be a saturated one: it fits nothing. */
    if (room < 0 || rate < 0 || input == INT64_MAX || input > room)
        return -1;
    if (rate == 0)
        return INT64_MAX;
    int64_t tokens = (room - input) / rate;
    return room == INT64_MAX && tokens > 0 && money_add(input, money_mul(rate, tokens)) == INT64_MAX ? tokens - 1
                                                                                                     : tokens;
}
