/* The bill. Sums are exact: integers of pico-units. */
#include "cli/bill.h"
#include "base/text.h"
#include "money/money.h"

enum { BILL_ROWS = 1000 };

struct bill_row {
    int64_t iteration;
    const char *model;
    int64_t requests, input, cached, output, reasoning, unpriced;
    pico cost;
};

char *count_shown(mem *ctx, int64_t n)
{
    char *plain = mem_printf(ctx, "%lld", (long long)n);
    size_t digits = strlen(plain), signs = n < 0;
    char *shown = mem_zalloc(ctx, digits + digits / 3 + 2), *to = shown;
    for (size_t i = 0; i < digits; i++) {
        if (i > signs && (digits - i) % 3 == 0)
            *to++ = ',';
        *to++ = plain[i];
    }
    return shown;
}

char *amount_shown(mem *ctx, const char *decimal, const char *currency)
{
    pico amount;
    if (!decimal || money_parse(str_of(decimal), &amount, NULL) != RC_OK)
        return NULL;
    return text_terminal_line(ctx, str_of(money_show(ctx, amount, currency)), 60);
}

static int64_t member(struct json row, const char *name)
{
    int64_t n = json_int(json_get(row, name), 0);
    return n > 0 ? n : 0; /* -1: unknown */
}

static struct bill_row *row_of(mem *ctx, struct bill_row *rows, size_t *n, struct json entry)
{
    int64_t iteration = member(entry, "iteration");
    const char *model = json_z(ctx, json_get(entry, "model"), "");
    for (size_t i = 0; i < *n; i++)
        if (rows[i].iteration == iteration && !strcmp(rows[i].model, model))
            return &rows[i];
    if (*n == BILL_ROWS)
        return &rows[BILL_ROWS - 1];
    rows[*n] = (struct bill_row){.iteration = iteration, .model = model};
    return &rows[(*n)++];
}

static void row_add(mem *ctx, struct bill_row *row, struct json entry)
{
    pico cost;
    const char *text = json_z(ctx, json_get(entry, "cost"), NULL);
    int64_t fresh = member(entry, "cache_write") + member(entry, "cache_write_1h");
    row->requests++;
    row->input += member(entry, "input") + member(entry, "cache_read") + fresh;
    row->cached += member(entry, "cache_read");
    row->output += member(entry, "output");
    row->reasoning += member(entry, "reasoning");
    if (text && money_parse(str_of(text), &cost, NULL) == RC_OK)
        row->cost = money_add(row->cost, cost);
    else
        row->unpriced++;
}

void bill_table(struct json ledger, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct bill_row *rows = mem_array(tmp, struct bill_row, BILL_ROWS);
    const char *currency = json_z(tmp, json_path(ledger, "spent.currency"), "USD");
    size_t n = 0;
    for (struct json_iter it = json_iter(json_get(ledger, "rows")); json_next(&it);)
        row_add(tmp, row_of(tmp, rows, &n, it.value), it.value);
    if (!n)
        return;
    buf_printf(out, "  %9s  %8s  %12s  %12s  %10s  %10s  %10s  %s\n", "iteration", "requests", "tokens in", "cached",
               "out", "reasoning", "cost", "model");
    for (size_t i = 0; i < n; i++) {
        const struct bill_row *r = &rows[i];
        const char *cost = r->unpriced == r->requests ? "unknown" : money_show(tmp, r->cost, currency);
        buf_printf(out, "  %9s  %8s  %12s  %12s  %10s  %10s  %10s  %s\n",
                   r->iteration ? count_shown(tmp, r->iteration) : "plan", count_shown(tmp, r->requests),
                   count_shown(tmp, r->input), count_shown(tmp, r->cached), count_shown(tmp, r->output),
                   count_shown(tmp, r->reasoning), text_terminal_line(tmp, str_of(cost), 40),
                   text_terminal_line(tmp, str_of(r->model), 60));
    }
}

char *bill_line(mem *ctx, struct json spent, const char *limit)
{
    const char *currency = json_z(ctx, json_get(spent, "currency"), "USD");
    const char *used = amount_shown(ctx, json_z(ctx, json_get(spent, "total"), NULL), currency);
    const char *held = json_z(ctx, json_get(spent, "held"), "0");
    const char *most = amount_shown(ctx, limit, currency);
    int64_t input = member(spent, "input") + member(spent, "cache_read") + member(spent, "cache_write");
    pico holds = 0;
    bool unknown = member(spent, "unpriced") > 0 && member(spent, "unpriced") == member(spent, "requests");
    if (unknown)
        used = "cost unknown";
    char *words = mem_printf(ctx, "in %s (cached %s), out %s (reasoning %s); %s", count_shown(ctx, input),
                             count_shown(ctx, member(spent, "cache_read")), count_shown(ctx, member(spent, "output")),
                             count_shown(ctx, member(spent, "reasoning")), used ? used : "cost unknown");
    if (most)
        words = mem_printf(ctx, "%s of %s", words, most);
    if (money_parse(str_of(held), &holds, NULL) == RC_OK && holds > 0)
        words = mem_printf(ctx, "%s, of which %s is held for answers without figures", words,
                           amount_shown(ctx, held, currency));
    if (member(spent, "unpriced") && !unknown)
        words = mem_printf(ctx, "%s; %s request%s without a known price", words,
                           count_shown(ctx, member(spent, "unpriced")), member(spent, "unpriced") == 1 ? "" : "s");
    return words;
}
