/* The most that a request can take, in tokens and at a price, and the output cap that a limit affords. */
#include "money/money.h"

/* Input tokens with what a provider adds; INT64_MAX when a member is out of range. */
static int64_t demand_input(const struct demand *d)
{
    if (d->bytes < 0 || d->more < 0)
        return INT64_MAX;
    return money_add(money_add(d->bytes, d->more), PRICE_ADDED_TOKENS);
}

static int64_t demand_answers(const struct demand *d)
{
    return d->answers > 0 ? d->answers : 1;
}

int64_t demand_tokens(const struct demand *d)
{
    if (d->output < 0 || d->answers < 0)
        return INT64_MAX;
    return money_add(demand_input(d), money_mul(d->output, demand_answers(d)));
}

/* The largest cap up to `most` for which fixed + rate x answers x cap <= room. INT64_MAX may be a saturated sum: it
 * fits nothing but a limit that does not exist, which is INT64_MAX itself and is not asked here. */
static int64_t output_within(int64_t fixed, int64_t rate, int64_t answers, int64_t most, int64_t room)
{
    if (fixed < 0 || rate < 0 || most < 0 || room < 0 || fixed == INT64_MAX || fixed > room)
        return -1;
    int64_t each = money_mul(rate, answers);
    if (each == 0 || most == 0)
        return most;
    int64_t cap = (room - fixed) / each;
    if (cap > 0 && money_add(fixed, money_mul(each, cap)) == INT64_MAX)
        cap--;
    return cap < most ? cap : most;
}

int64_t demand_output_within(const struct demand *d, int64_t room)
{
    return d->answers < 0 ? -1 : output_within(demand_input(d), 1, demand_answers(d), d->output, room);
}

/* What does not depend on the output cap. */
static pico candidate_fixed(const struct candidate *c, const struct demand *d)
{
    if (d->more < 0 || d->bytes < 0 || d->answers < 0 || c->extras < 0)
        return INT64_MAX;
    return money_add(price_bound(c->price, money_add(d->bytes, d->more), 0), c->extras);
}

pico candidate_bound(const struct candidate *c, const struct demand *d)
{
    return d->output < 0 ? INT64_MAX
                         : money_add(candidate_fixed(c, d),
                                     money_mul(money_mul(price_output_rate(c->price), demand_answers(d)), d->output));
}

int64_t candidate_output_within(const struct candidate *c, const struct demand *d, pico room)
{
    return output_within(candidate_fixed(c, d), price_output_rate(c->price), demand_answers(d), d->output, room);
}
