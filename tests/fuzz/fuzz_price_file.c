/* Fuzz target: price files of others, and the decimals in them. What is taken is a whole, sorted list of prices that
 * can be billed by. */
#include "money/price_import.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void rates_sound(const struct rates *r)
{
    BUG_ON(r->input < 0 || r->cache_read < 0 || r->cache_write < 0 || r->cache_write_1h < 0 || r->output < 0);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str text = str_n((const char *)data, size);
    struct price_file f;
    struct err err = {0};
    pico v = -1;
    if (price_decimal(text, -6, &v, &err) == RC_OK)
        BUG_ON(v < 0 || v == INT64_MAX);
    if (price_file_read(ctx, text, &f, &err) != RC_OK)
        return 0;
    BUG_ON(!f.format);
    for (size_t i = 0; i < f.n; i++) {
        const struct price *p = &f.prices[i];
        BUG_ON(!p->model[0] || strlen(p->model) > 200 || !currency_valid(p->currency));
        BUG_ON(i && strcmp(p[-1].model, p->model) > 0);
        BUG_ON(p->base.input == 0 && p->base.output == 0);
        rates_sound(&p->base);
        rates_sound(&p->above);
        (void)price_absurd(ctx, p, i ? p - 1 : NULL);
    }
    for (size_t i = 0; i < f.skipped_n; i++)
        BUG_ON(!f.skipped[i].model || !f.skipped[i].reason);
    return 0;
}
