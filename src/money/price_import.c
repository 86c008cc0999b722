/* Reading price files of others, and what is absurd about a price. Not here: storing them. */
#include "money/price_import.h"
#include <stdlib.h>

__extension__ typedef __int128 wide;

enum { PICO_DIGITS = 12, DIGITS_MOST = 36, EXPONENT_MOST = 400, NUMBER_MOST = 64, NAME_MOST = 200 };

/* ---- decimals ---- */

/* A number's text as digits and a power of ten: 12.5e-7 is 125 and -8. `rest`: digits beyond those kept were not 0. */
struct decimal {
    wide digits;
    int count, power;
    bool rest;
};

static bool digit_is(char c)
{
    return c >= '0' && c <= '9';
}

static void digit_add(struct decimal *d, char c, bool fraction)
{
    if (d->count == DIGITS_MOST) {
        d->rest = d->rest || c != '0';
        d->power += !fraction;
        return;
    }
    d->digits = d->digits * 10 + (c - '0');
    d->count += d->digits > 0;
    d->power -= fraction;
}

/* JSON's grammar without a sign: the document's reader has checked what comes from there. */
static bool decimal_read(struct str s, struct decimal *d)
{
    size_t i = 0;
    int64_t exponent = 0;
    *d = (struct decimal){0};
    if (s.n > NUMBER_MOST || !s.n || !digit_is(s.p[0]))
        return false;
    for (; i < s.n && digit_is(s.p[i]); i++)
        digit_add(d, s.p[i], false);
    if (i < s.n && s.p[i] == '.') {
        if (++i >= s.n || !digit_is(s.p[i]))
            return false;
        for (; i < s.n && digit_is(s.p[i]); i++)
            digit_add(d, s.p[i], true);
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        bool plus = i + 1 < s.n && s.p[i + 1] == '+';
        if (!str_int(str_sub(s, i + 1 + plus, s.n), plus ? 0 : -EXPONENT_MOST, EXPONENT_MOST, &exponent))
            return false;
        i = s.n;
    }
    d->power += (int)exponent;
    return i == s.n;
}

enum rc price_decimal(struct str number, int scale, pico *ret, struct err *err)
{
    struct decimal d;
    if (!decimal_read(number, &d))
        return err_set(err, RC_INVALID, "\"%.*s\" is not a price", (int)str_utf8_cut(number, 40), number.p);
    wide v = d.digits;
    for (d.power += scale + PICO_DIGITS; d.power > 0 && v > 0; d.power--) {
        v *= 10;
        if (v >= INT64_MAX)
            return err_set(err, RC_LIMIT, "\"%.*s\" is too large for a price", (int)number.n, number.p);
    }
    for (; d.power < 0 && v > 0; d.power++) {
        d.rest = d.rest || v % 10;
        v /= 10;
    }
    v += d.rest;
    if (v >= INT64_MAX)
        return err_set(err, RC_LIMIT, "\"%.*s\" is too large for a price", (int)number.n, number.p);
    *ret = (pico)v;
    return RC_OK;
}

/* ---- collecting ---- */

static const char no_kind[] = "its provider is none that Nightmill has a kind for";
static const char no_token_price[] = "it has no price by the token";
static const char free_of_charge[] = "it costs nothing in the file; set it by hand if that is so";
static const char many_steps[] = "its price has more than two steps";
static const char by_request[] = "it is billed by the request too";
static const char other_use[] = "it is no chat, responses or embedding model";
static const char no_number[] = "a price of it is no number";
static const char unknown_unit[] = "it is billed by a unit that Nightmill does not know";
static const char two_prices[] = "the file has two different prices for it";
static const char long_name[] = "its name is too long";

struct reader {
    mem *ctx;
    struct price_file *f;
    size_t price_room, skip_room;
};

static void skip(struct reader *r, const char *model, const char *reason)
{
    struct price_file *f = r->f;
    if (f->skipped_n == r->skip_room) {
        r->skip_room = r->skip_room ? 2 * r->skip_room : 64;
        f->skipped = mem_grow(r->ctx, f->skipped, r->skip_room * sizeof *f->skipped);
    }
    f->skipped[f->skipped_n++] = (struct price_skip){model, reason};
}

static void price_add(struct reader *r, const struct price *p)
{
    struct price_file *f = r->f;
    if (f->n == r->price_room) {
        r->price_room = r->price_room ? 2 * r->price_room : 64;
        f->prices = mem_grow(r->ctx, f->prices, r->price_room * sizeof *f->prices);
    }
    f->prices[f->n++] = *p;
}

static bool rates_same(const struct rates *a, const struct rates *b)
{
    return a->input == b->input && a->cache_read == b->cache_read && a->cache_write == b->cache_write &&
           a->cache_write_1h == b->cache_write_1h && a->output == b->output;
}

bool price_same(const struct price *a, const struct price *b)
{
    return strcmp(a->currency, b->currency) == 0 && rates_same(&a->base, &b->base) &&
           a->above_tokens == b->above_tokens && (!a->above_tokens || rates_same(&a->above, &b->above));
}

static int price_order(const void *pa, const void *pb)
{
    const struct price *a = pa, *b = pb;
    int by_name = strcmp(a->model, b->model);
    return by_name ? by_name : (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns);
}

/* Sorts; of equal ones keeps one, of contradicting ones none. */
static void settle_duplicates(struct reader *r)
{
    struct price_file *f = r->f;
    size_t out = 0;
    if (f->n)
        qsort(f->prices, f->n, sizeof *f->prices, price_order);
    for (size_t i = 0, j; i < f->n; i = j) {
        bool same = true;
        for (j = i + 1; j < f->n && price_order(&f->prices[i], &f->prices[j]) == 0; j++)
            same = same && price_same(&f->prices[i], &f->prices[j]);
        if (same)
            f->prices[out++] = f->prices[i];
        else
            skip(r, f->prices[i].model, two_prices);
    }
    f->n = out;
}

/* Rates as a file gives them: -1 where it says nothing. */
struct raw_rates {
    pico input, cache_read, cache_write, cache_write_1h, output;
};
#define RAW_NONE                                                                                                       \
    {                                                                                                                  \
        -1, -1, -1, -1, -1                                                                                             \
    }

static pico otherwise(pico v, pico other)
{
    return v >= 0 ? v : other;
}

/* a * b / c, rounded up. */
static pico scaled(pico a, pico b, pico c)
{
    wide v = c > 0 ? ((wide)a * b + c - 1) / c : a;
    return v < INT64_MAX ? (pico)v : INT64_MAX - 1;
}

/* What is not said: reading the cache costs as much as input; writing to it too; an hour in it costs twice the input
 * where writing costs extra at all (Anthropic's rule, the only provider that sells it). */
static struct rates base_complete(const struct raw_rates *raw)
{
    struct rates r = {.input = raw->input, .output = raw->output};
    r.cache_read = otherwise(raw->cache_read, r.input);
    r.cache_write = otherwise(raw->cache_write, r.input);
    pico hour = r.cache_write > r.input ? money_mul(r.input, 2) : r.cache_write;
    r.cache_write_1h = otherwise(raw->cache_write_1h, hour > r.cache_write ? hour : r.cache_write);
    return r;
}

/* Above the threshold a rate that is not said rises as the input does, and never falls. */
static struct rates above_complete(const struct raw_rates *raw, const struct rates *base)
{
    pico up = otherwise(raw->input, base->input) > base->input ? raw->input : base->input;
    struct rates r = {.input = otherwise(raw->input, base->input), .output = otherwise(raw->output, base->output)};
    r.cache_read = otherwise(raw->cache_read, scaled(base->cache_read, up, base->input));
    r.cache_write = otherwise(raw->cache_write, scaled(base->cache_write, up, base->input));
    r.cache_write_1h = otherwise(raw->cache_write_1h, scaled(base->cache_write_1h, up, base->input));
    return r;
}

/* NULL, or why the price is not taken. */
static const char *price_build(struct price *p, const struct raw_rates *base, const struct raw_rates *above,
                               int64_t above_tokens)
{
    if (base->input < 0 || base->output < 0)
        return no_token_price;
    if (base->input == 0 && base->output == 0)
        return free_of_charge;
    p->currency = "USD";
    p->base = base_complete(base);
    p->above_tokens = above_tokens;
    p->above = above_tokens ? above_complete(above, &p->base) : p->base;
    return NULL;
}

/* "together/" and the rest of a name behind the file's own prefix. NULL: too long. */
static const char *name_make(mem *ctx, const char *ours, struct str name)
{
    size_t n = strlen(ours) + name.n;
    return n && n <= NAME_MOST && !memchr(name.p, 0, name.n) ? mem_printf(ctx, "%s%.*s", ours, STR_FMT(name)) : NULL;
}

/* ---- LiteLLM ---- */

/* litellm_provider, how its keys begin, and how the price is named here. A provider that ends in '*' is a prefix. */
static const struct {
    const char *provider, *strip, *ours;
} litellm_providers[] = {
    {"anthropic", "anthropic/", ""},
    {"openai", "openai/", ""},
    {"gemini", "gemini/", ""},
    {"deepseek", "deepseek/", ""},
    {"mistral", "mistral/", ""},
    {"together_ai", "together_ai/", "together/"},
    {"openrouter", "openrouter/", "openrouter/"},
    {"groq", "groq/", "groq/"},
    {"vertex_ai*", "vertex_ai/", "vertex/"},
};

static const char *litellm_name(mem *ctx, const char *provider, struct str key, const char **ret_reason)
{
    for (size_t i = 0; i < sizeof litellm_providers / sizeof *litellm_providers; i++) {
        struct str want = str_of(litellm_providers[i].provider), strip = str_of(litellm_providers[i].strip);
        bool prefix = str_ends(want, STR("*"));
        want.n -= prefix;
        if (prefix ? !str_starts(str_of(provider), want) : !str_eqz(want, provider))
            continue;
        if (str_starts(key, strip))
            key = str_sub(key, strip.n, key.n);
        *ret_reason = long_name;
        return name_make(ctx, litellm_providers[i].ours, key);
    }
    *ret_reason = no_kind;
    return NULL;
}

/* Threshold in "..._above_200k_tokens", 0: none, -1: more than one or none that can be read. */
static int64_t litellm_threshold(struct str key, struct str *ret_stem)
{
    int64_t thousands;
    long at = str_find(key, STR("_above_"));
    *ret_stem = key;
    if (!str_ends(key, STR("k_tokens")))
        return 0;
    for (long next = at; next >= 0;) { /* the last one: "_above_1hr_above_200k_tokens" */
        next = str_find(str_sub(key, (size_t)at + 1, key.n), STR("_above_"));
        at = next >= 0 ? at + 1 + next : at;
    }
    if (at < 0)
        return 0;
    *ret_stem = str_sub(key, 0, (size_t)at);
    struct str number = str_sub(key, (size_t)at + 7, key.n);
    number.n -= strlen("k_tokens");
    return str_int(number, 1, 1000000, &thousands) ? thousands * 1000 : -1;
}

static pico *litellm_rate(struct raw_rates *r, struct str stem)
{
    const struct {
        const char *name;
        pico *rate;
    } rows[] = {{"input_cost_per_token", &r->input},
                {"output_cost_per_token", &r->output},
                {"cache_read_input_token_cost", &r->cache_read},
                {"cache_creation_input_token_cost", &r->cache_write},
                {"cache_creation_input_token_cost_above_1hr", &r->cache_write_1h}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eqz(stem, rows[i].name))
            return rows[i].rate;
    return NULL;
}

static bool litellm_mode_known(struct json entry)
{
    struct json mode = json_get(entry, "mode");
    return !json_is(mode) || json_eqz(mode, "chat") || json_eqz(mode, "responses") || json_eqz(mode, "embedding");
}

static bool positive(struct json v)
{
    pico amount;
    return json_type(v) == JSON_NUMBER && (price_decimal(json_raw(v), 0, &amount, NULL) != RC_OK || amount > 0);
}

/* Reasoning that is dearer than other output is a part of it that cannot be told apart beforehand: the dearer counts.
 */
static const char *litellm_rates(struct json entry, struct raw_rates *base, struct raw_rates *above,
                                 int64_t *ret_tokens)
{
    pico reasoning = -1;
    *ret_tokens = 0;
    for (struct json_iter it = json_iter(entry); json_next(&it);) {
        struct str stem;
        int64_t tokens = litellm_threshold(it.key_raw, &stem);
        pico *rate = tokens < 0 ? NULL : litellm_rate(tokens ? above : base, stem);
        if (str_eqz(it.key_raw, "output_cost_per_reasoning_token"))
            rate = &reasoning;
        if (!rate || !json_is(it.value))
            continue;
        if (json_type(it.value) != JSON_NUMBER || price_decimal(json_raw(it.value), 0, rate, NULL) != RC_OK)
            return no_number;
        if (tokens && *ret_tokens && tokens != *ret_tokens)
            return many_steps;
        *ret_tokens = tokens ? tokens : *ret_tokens;
    }
    if (base->output >= 0 && reasoning > base->output)
        base->output = reasoning;
    if (json_eqz(json_get(entry, "mode"), "embedding") && base->output < 0)
        base->output = 0;
    return NULL;
}

static const char *litellm_entry(struct reader *r, struct str key, struct json entry)
{
    struct raw_rates base = RAW_NONE, above = RAW_NONE;
    struct price p = {0};
    const char *reason = NULL;
    int64_t tokens = 0;
    if (json_type(entry) != JSON_OBJECT || !litellm_mode_known(entry))
        return other_use;
    p.model = litellm_name(r->ctx, json_z(r->ctx, json_get(entry, "litellm_provider"), ""), key, &reason);
    if (!p.model)
        return reason;
    if (json_is(json_get(entry, "tiered_pricing")))
        return many_steps;
    if (positive(json_get(entry, "input_cost_per_request")))
        return by_request;
    reason = litellm_rates(entry, &base, &above, &tokens);
    if (!reason)
        reason = price_build(&p, &base, &above, tokens);
    if (!reason)
        price_add(r, &p);
    return reason;
}

static void litellm_read(struct reader *r, struct json root)
{
    r->f->format = "litellm";
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        struct str key = json_iter_key(r->ctx, &it);
        if (str_eqz(key, "sample_spec")) /* the file's own documentation */
            continue;
        const char *reason = litellm_entry(r, key, it.value);
        if (reason)
            skip(r, str_utf8_clean(r->ctx, str_sub(key, 0, NAME_MOST)), reason);
    }
}

/* ---- genai-prices ---- */

static const struct {
    const char *provider, *ours;
} genai_providers[] = {{"anthropic", ""},
                       {"openai", ""},
                       {"google", ""},
                       {"deepseek", ""},
                       {"mistral", ""},
                       {"together", "together/"},
                       {"openrouter", "openrouter/"},
                       {"groq", "groq/"}};

static const char *genai_prefix(struct json provider)
{
    for (size_t i = 0; i < sizeof genai_providers / sizeof *genai_providers; i++)
        if (json_eqz(json_get(provider, "id"), genai_providers[i].provider))
            return genai_providers[i].ours;
    return NULL;
}

/* A number, or {"base":N,"tiers":[{"start":TOKENS,"price":N}]}. */
static const char *genai_rate(struct json v, pico *base, pico *above, int64_t *tokens)
{
    if (json_type(v) == JSON_NUMBER)
        return price_decimal(json_raw(v), -6, base, NULL) == RC_OK ? NULL : no_number;
    struct json list = json_get(v, "tiers"), tier = json_at(list, 0);
    int64_t start = json_int(json_get(tier, "start"), 0);
    if (price_decimal(json_raw(json_get(v, "base")), -6, base, NULL) != RC_OK)
        return no_number;
    if (!json_len(list))
        return NULL;
    if (json_len(list) > 1 || start <= 0 || (*tokens && *tokens != start))
        return many_steps;
    *tokens = start;
    return price_decimal(json_raw(json_get(tier, "price")), -6, above, NULL) == RC_OK ? NULL : no_number;
}

static pico dearer(pico a, pico b)
{
    return a > b ? a : b;
}

/* What is billed beside tokens of text, and refused under a budget by what is asked for, not by the model: tools that
 * run at the provider, sound, pictures. */
static bool genai_besides(struct str key)
{
    return str_ends(key, STR("_searches_kcount")) || str_find(key, STR("audio")) >= 0 ||
           str_find(key, STR("image")) >= 0 || str_find(key, STR("video")) >= 0;
}

/* Reasoning that is dearer than other output counts for all of it, as in LiteLLM's file. */
static const char *genai_rates(struct json prices, struct raw_rates *base, struct raw_rates *above, int64_t *ret_tokens)
{
    static const struct {
        const char *key;
        size_t at;
    } rows[] = {{"input_mtok", offsetof(struct raw_rates, input)},
                {"output_mtok", offsetof(struct raw_rates, output)},
                {"cache_read_mtok", offsetof(struct raw_rates, cache_read)},
                {"cache_write_mtok", offsetof(struct raw_rates, cache_write)},
                {"cache_write_1h_mtok", offsetof(struct raw_rates, cache_write_1h)}};
    pico reasoning = -1, reasoning_above = -1;
    *ret_tokens = 0;
    for (struct json_iter it = json_iter(prices); json_next(&it);) {
        size_t i = 0;
        while (i < sizeof rows / sizeof *rows && !str_eqz(it.key_raw, rows[i].key))
            i++;
        if (i < sizeof rows / sizeof *rows) {
            const char *reason = genai_rate(it.value, (pico *)(void *)((char *)base + rows[i].at),
                                            (pico *)(void *)((char *)above + rows[i].at), ret_tokens);
            if (reason)
                return reason;
        } else if (str_eqz(it.key_raw, "requests_kcount")) {
            return by_request;
        } else if (str_eqz(it.key_raw, "output_reasoning_mtok")) {
            const char *reason = genai_rate(it.value, &reasoning, &reasoning_above, ret_tokens);
            if (reason)
                return reason;
        } else if (!genai_besides(it.key_raw)) {
            return unknown_unit;
        }
    }
    base->output = base->output < 0 ? -1 : dearer(base->output, reasoning);
    above->output = dearer(above->output, reasoning_above);
    return NULL;
}

/* Days since 1970 of a Gregorian date (after Howard Hinnant's days_from_civil). -1: no date. */
static int64_t date_ns(struct str s)
{
    int64_t y, m, d;
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' || !str_int(str_sub(s, 0, 4), 1970, 2200, &y) ||
        !str_int(str_sub(s, 5, 2), 1, 12, &m) || !str_int(str_sub(s, 8, 2), 1, 31, &d))
        return -1;
    y -= m <= 2;
    int64_t era = y / 400, year = y - era * 400, day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t days = era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
    return days * 86400 * INT64_C(1000000000);
}

/* One price for each date. Prices that hold for some hours of the day only: the dearest of the day counts for all. */
struct dated {
    struct raw_rates base, above;
    int64_t from_ns, tokens;
};

static const char *dated_merge(struct dated *into, const struct dated *d)
{
    if (into->tokens != d->tokens)
        return many_steps;
    pico *a = &into->base.input, *c = &into->above.input;
    const pico *b = &d->base.input, *e = &d->above.input;
    for (size_t i = 0; i < sizeof(struct raw_rates) / sizeof(pico); i++) {
        a[i] = dearer(a[i], b[i]);
        c[i] = dearer(c[i], e[i]);
    }
    return NULL;
}

static const char *genai_dated(mem *ctx, struct json prices, struct dated **ret, size_t *ret_n)
{
    bool list = json_type(prices) == JSON_ARRAY;
    size_t n = 0;
    struct dated *out = mem_array(ctx, struct dated, list ? json_len(prices) + 1 : 1);
    for (size_t i = 0; i < (list ? json_len(prices) : 1); i++) {
        struct json item = list ? json_at(prices, i) : prices, when = json_get(item, "constraint");
        struct json start = json_get(when, "start_date");
        struct dated d = {.base = RAW_NONE, .above = RAW_NONE};
        const char *reason = genai_rates(list ? json_get(item, "prices") : item, &d.base, &d.above, &d.tokens);
        if (reason)
            return reason;
        if (list && json_is(start))
            d.from_ns = date_ns(json_str(ctx, start));
        if (d.from_ns < 0)
            return unknown_unit;
        bool hours = list && json_is(when) && !json_is(start);
        reason = hours && n ? dated_merge(&out[n - 1], &d) : NULL;
        if (reason)
            return reason;
        size_t at = 0;
        while (at < n && out[at].from_ns != d.from_ns)
            at++;
        if (!hours || !n) /* of one date the last that the file gives holds */
            out[at] = d;
        n += at == n && (!hours || !n);
    }
    *ret = out;
    *ret_n = n;
    return NULL;
}

static const char *genai_named(struct reader *r, const char *name, struct json prices)
{
    struct dated *dated = NULL;
    size_t n = 0;
    const char *reason = genai_dated(r->ctx, prices, &dated, &n);
    if (!reason && !n)
        reason = no_token_price;
    struct price *built = mem_array(r->ctx, struct price, n + 1);
    for (size_t i = 0; !reason && i < n; i++) {
        built[i] = (struct price){.model = name, .from_ns = dated[i].from_ns};
        if (dated[i].base.output < 0) /* an embedding model: it has no output */
            dated[i].base.output = 0;
        reason = price_build(&built[i], &dated[i].base, &dated[i].above, dated[i].tokens);
    }
    for (size_t i = 0; !reason && i < n; i++)
        price_add(r, &built[i]);
    return reason;
}

/* Under its id, and under the names that the file says mean it exactly. (Names by prefix stay out: a price by a guess
 * is none.) */
static void genai_model(struct reader *r, struct json provider, const char *prefix, struct json model)
{
    struct str id = json_str(r->ctx, json_get(model, "id"));
    /* Google's list has what others make and Vertex AI sells: that is not the maker's price. */
    if (json_eqz(json_get(provider, "id"), "google") && !str_starts(id, STR("gem")) && str_find(id, STR("embed")) < 0)
        prefix = "vertex/";
    struct json match = json_get(model, "match"), any = json_get(match, "or");
    const char *name = name_make(r->ctx, prefix, id);
    const char *reason = name ? genai_named(r, name, json_get(model, "prices")) : long_name;
    if (reason) {
        skip(r, str_utf8_clean(r->ctx, str_sub(id, 0, NAME_MOST)), reason);
        return;
    }
    for (size_t i = 0; i < (json_is(any) ? json_len(any) : 1); i++) {
        struct str alias = json_str(r->ctx, json_get(json_is(any) ? json_at(any, i) : match, "equals"));
        const char *other = alias.n && !str_eq(alias, id) ? name_make(r->ctx, prefix, alias) : NULL;
        reason = other ? genai_named(r, other, json_get(model, "prices")) : NULL;
        if (reason)
            skip(r, other, reason);
    }
}

static void genai_read(struct reader *r, struct json providers)
{
    r->f->format = "genai-prices";
    for (struct json_iter it = json_iter(providers); json_next(&it);) {
        const char *prefix = genai_prefix(it.value);
        struct json models = json_get(it.value, "models");
        for (struct json_iter m = json_iter(models); json_next(&m);) {
            if (prefix)
                genai_model(r, it.value, prefix, m.value);
            else
                skip(r, json_z(r->ctx, json_get(m.value, "id"), "?"), no_kind);
        }
    }
}

/* ---- the file ---- */

enum rc price_file_read(mem *ctx, struct str text, struct price_file *ret, struct err *err)
{
    struct json root;
    struct reader r = {.ctx = ctx, .f = ret};
    *ret = (struct price_file){0};
    enum rc rc = json_parse(ctx, text, &root, err);
    if (rc) {
        err_context(err, "the price file");
        return rc;
    }
    struct json providers = json_type(root) == JSON_OBJECT ? json_get(root, "providers") : root;
    struct json first = json_at(providers, 0);
    bool litellm = false;
    for (struct json_iter it = json_iter(root); !litellm && json_type(root) == JSON_OBJECT && json_next(&it);)
        litellm = json_is(json_get(it.value, "litellm_provider"));
    if (json_type(providers) == JSON_ARRAY && json_is(json_get(first, "models")))
        genai_read(&r, providers);
    else if (litellm)
        litellm_read(&r, root);
    else {
        err_set(err, RC_INVALID, "that is neither a price file of genai-prices nor one of LiteLLM");
        err_hint(err, "data.json of pydantic/genai-prices, or model_prices_and_context_window.json of LiteLLM");
        return RC_INVALID;
    }
    settle_duplicates(&r);
    return RC_OK;
}

/* ---- what cannot be right ---- */

#define RATE_MOST INT64_C(10000000000) /* 10,000 of a currency per million tokens */

static const char *rates_absurd(const struct rates *r)
{
    const pico all[] = {r->input, r->cache_read, r->cache_write, r->cache_write_1h, r->output};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] > RATE_MOST)
            return "a rate is above 10000 per million tokens";
    if (r->cache_read > r->input)
        return "reading the cache costs more than input";
    if (r->cache_write > money_mul(r->input, 4) || r->cache_write_1h > money_mul(r->input, 4))
        return "writing to the cache costs more than four times the input";
    return NULL;
}

static const char *rates_jump(mem *ctx, const struct rates *now, const struct rates *before)
{
    const struct {
        const char *name;
        pico now, before;
    } rows[] = {{"input", now->input, before->input},
                {"output", now->output, before->output},
                {"cache_read", now->cache_read, before->cache_read},
                {"cache_write", now->cache_write, before->cache_write},
                {"cache_write_1h", now->cache_write_1h, before->cache_write_1h}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *was = money_exact(ctx, money_mul(rows[i].before, 1000000), 2);
        const char *is = money_exact(ctx, money_mul(rows[i].now, 1000000), 2);
        if (rows[i].before > 0 && rows[i].now == 0)
            return mem_printf(ctx, "%s was %s and would be 0", rows[i].name, was);
        if (rows[i].now > money_mul(rows[i].before, 5) || rows[i].before > money_mul(rows[i].now, 5))
            return mem_printf(ctx, "%s was %s and would be %s", rows[i].name, was, is);
    }
    return NULL;
}

const char *price_absurd(mem *ctx, const struct price *now, const struct price *before)
{
    const char *words = rates_absurd(&now->base);
    if (!words && now->above_tokens)
        words = rates_absurd(&now->above);
    if (!words && now->above_tokens && (now->above.input < now->base.input || now->above.output < now->base.output))
        words = "long prompts cost less than short ones";
    if (!words && before)
        words = rates_jump(ctx, &now->base, &before->base);
    if (!words && before && now->above_tokens && before->above_tokens)
        words = rates_jump(ctx, &now->above, &before->above);
    return words;
}
