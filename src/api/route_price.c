/* Prices: listed, set by hand, imported from the files of others. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "store/price.h"

enum { SHOWN_OF_A_REASON = 5 };

static void rates_json(struct route_call *c, const struct rates *r)
{
    const struct {
        const char *name;
        pico rate;
    } rates[] = {{"input", r->input},
                 {"cache_read", r->cache_read},
                 {"cache_write", r->cache_write},
                 {"cache_write_1h", r->cache_write_1h},
                 {"output", r->output}};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        jo_kz(&c->out, rates[i].name, money_exact(c->ctx, money_mul(rates[i].rate, 1000000), 2));
}

void price_json(struct route_call *c, const struct price *p)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_ki(o, "id", p->id);
    jo_kz(o, "model", p->model);
    jo_kz(o, "currency", p->currency);
    jo_kz(o, "source", p->source);
    jo_kz(o, "from", clock_rfc3339(c->ctx, p->from_ns));
    rates_json(c, &p->base);
    jo_ki(o, "above_tokens", p->above_tokens);
    if (p->above_tokens) {
        jo_key(o, "above");
        jo_obj(o);
        rates_json(c, &p->above);
        jo_end_obj(o);
    }
    jo_end_obj(o);
}

static enum rc prices_list(struct route_call *c)
{
    struct price *rows;
    size_t n;
    const char *model = route_query(c, "model");
    bool in_force = route_query(c, "in_force") != NULL;
    int64_t now = clock_wall_ns();
    enum rc rc = price_list(c->ctx, c->server->store, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "prices");
    jo_arr(&c->out);
    const char *last = "";
    for (size_t i = 0; i < n; i++) { /* by model, the one in force first of those that hold already */
        bool covered = strcmp(rows[i].model, last) == 0;
        if ((model && strcmp(model, rows[i].model) != 0) || (in_force && (covered || rows[i].from_ns > now)))
            continue;
        last = rows[i].model;
        price_json(c, &rows[i]);
    }
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- by hand ---- */

/* A decimal per million tokens as pico-units a token, rounded up. */
static enum rc rate_read(struct route_call *c, const char *name, pico otherwise, pico *ret)
{
    const char *text = json_z(c->ctx, json_get(c->json, name), NULL);
    pico per_million;
    *ret = otherwise;
    if (!text)
        return RC_OK;
    enum rc rc = money_parse(str_of(text), &per_million, &c->err);
    if (rc != RC_OK)
        return err_context(&c->err, "%s", name);
    *ret = per_million / 1000000 + (per_million % 1000000 != 0);
    return RC_OK;
}

static enum rc price_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return price_insert(tx, arg, err);
}

static enum rc price_post(struct route_call *c)
{
    struct price p = {.model = json_z(c->ctx, json_get(c->json, "model"), NULL),
                      .currency = json_z(c->ctx, json_get(c->json, "currency"), "USD"),
                      .source = json_z(c->ctx, json_get(c->json, "source"), "operator"),
                      .from_ns = clock_wall_ns()};
    if (!p.model || !*p.model || !json_is(json_get(c->json, "input")) || !json_is(json_get(c->json, "output")))
        return err_set(&c->err, RC_INVALID, "a price has a model, an input and an output, decimals per million tokens");
    if (!currency_valid(p.currency))
        return err_set(&c->err, RC_INVALID, "a currency is three capital letters, such as USD");
    enum rc rc = rate_read(c, "input", 0, &p.base.input);
    if (rc == RC_OK)
        rc = rate_read(c, "output", 0, &p.base.output);
    if (rc == RC_OK)
        rc = rate_read(c, "cache_read", p.base.input, &p.base.cache_read);
    if (rc == RC_OK)
        rc = rate_read(c, "cache_write", p.base.input, &p.base.cache_write);
    if (rc == RC_OK)
        rc = rate_read(c, "cache_write_1h", p.base.cache_write, &p.base.cache_write_1h);
    p.above = p.base;
    if (rc == RC_OK)
        rc = store_write(c->server->store, price_tx, &p, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    price_json(c, &p);
    return RC_OK;
}

/* ---- from a file ---- */

static void counts_json(struct json_out *o, const struct price_import *job)
{
    int64_t counts[PRICE_REFUSED + 1] = {0};
    for (size_t i = 0; i < job->n; i++)
        counts[job->changes[i].outcome]++;
    jo_key(o, "counts");
    jo_obj(o);
    for (int i = 0; i <= PRICE_REFUSED; i++)
        jo_ki(o, price_outcome_name((enum price_outcome)i), counts[i]);
    jo_ki(o, "skipped", (int64_t)job->file->skipped_n);
    jo_end_obj(o);
}

static void change_json(struct route_call *c, const struct price_change *ch)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "outcome", price_outcome_name(ch->outcome));
    if (ch->reason)
        jo_kz(o, "reason", ch->reason);
    jo_key(o, "price");
    price_json(c, &ch->now);
    jo_key(o, "before");
    if (ch->before.model)
        price_json(c, &ch->before);
    else
        jo_null(o);
    jo_end_obj(o);
}

/* By reason, with how many and the first few. The reasons are few and static. */
static void skipped_json(struct json_out *o, const struct price_file *f)
{
    jo_key(o, "skipped");
    jo_arr(o);
    for (size_t i = 0; i < f->skipped_n; i++) {
        int64_t count = 0;
        bool first = true;
        for (size_t j = 0; j < i && first; j++)
            first = f->skipped[j].reason != f->skipped[i].reason;
        if (!first)
            continue;
        jo_obj(o);
        jo_kz(o, "reason", f->skipped[i].reason);
        jo_key(o, "models");
        jo_arr(o);
        for (size_t j = i; j < f->skipped_n; j++)
            if (f->skipped[j].reason == f->skipped[i].reason && count++ < SHOWN_OF_A_REASON)
                jo_z(o, f->skipped[j].model);
        jo_end_arr(o);
        jo_ki(o, "count", count);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void import_json(struct route_call *c, const struct price_import *job)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "format", job->file->format);
    jo_kz(o, "source", job->source);
    jo_kb(o, "dry_run", job->dry);
    counts_json(o, job);
    jo_key(o, "changes");
    jo_arr(o);
    for (size_t i = 0; i < job->n; i++)
        if (job->changes[i].outcome != PRICE_UNCHANGED)
            change_json(c, &job->changes[i]);
    jo_end_arr(o);
    skipped_json(o, job->file);
    jo_end_obj(o);
}

static bool asked(struct route_call *c, const char *name)
{
    const char *value = route_query(c, name);
    return value && strcmp(value, "1") == 0;
}

/* The body is the file itself, so that its hash is the one that sha256sum shows. */
static enum rc prices_import(struct route_call *c)
{
    struct price_file file;
    char hash[HASH_SHA256_HEX];
    const char *name = route_query(c, "source");
    enum rc rc = price_file_read(c->ctx, c->body, &file, &c->err);
    if (rc != RC_OK)
        return rc;
    hash_sha256_hex(c->body, hash);
    struct price_import job = {
        .file = &file,
        .source = mem_printf(c->ctx, "%s %s sha256:%s", file.format,
                             name && *name ? text_terminal_line(c->ctx, str_of(name), 100) : "file", hash),
        .now_ns = clock_wall_ns(),
        .force = asked(c, "force"),
        .dry = asked(c, "dry_run"),
        .ctx = c->ctx};
    rc = store_write(c->server->store, price_import, &job, &c->err);
    if (rc == RC_OK)
        import_json(c, &job);
    return rc;
}

const struct route route_prices_list = {"GET",
                                        "/api/v1/prices",
                                        "prices of models",
                                        prices_list,
                                        NULL,
                                        .access = ACCESS_READ,
                                        .narrow = NARROW_SHARED,
                                        .query = "model in_force",
                                        .gives = "Prices"};
const struct route route_price_post = {
    "POST",           "/api/v1/prices", "set a price from now on", price_post,      NULL, .takes = "PriceInput",
    .gives = "Price", .creates = true,  .access = ACCESS_ADMIN,    .tells = "price"};
const struct route route_prices_import = {"POST",
                                          "/api/v1/prices/import",
                                          "import a price file of genai-prices or LiteLLM",
                                          prices_import,
                                          NULL,
                                          .query = "source force dry_run",
                                          .takes = "PriceFile",
                                          .gives = "PriceImport",
                                          .access = ACCESS_ADMIN,
                                          .tells = "price"};
