/* Prices: importing a price file into the dated rows, and finding the price of a target that has several names. The
 * rows themselves are in store.h. */
#pragma once
#include "money/price_import.h"
#include "store/store.h"

enum price_outcome {
    PRICE_NEW,
    PRICE_CHANGED,
    PRICE_UNCHANGED,
    PRICE_BY_HAND, /* the operator set the price in force: kept */
    PRICE_REFUSED, /* absurd */
};
const char *price_outcome_name(enum price_outcome o); /* "new", "changed", "unchanged", "by_hand", "refused" */
struct price_change {
    enum price_outcome outcome;
    const char *reason;  /* of a refusal, else NULL */
    struct price now;    /* id 0 unless it was inserted */
    struct price before; /* in force until now; model NULL: none */
};
struct price_import {
    const struct price_file *file;
    const char *source; /* "litellm prices.json sha256:..."; begins with the format's name */
    int64_t now_ns;
    bool force;                   /* absurd prices and those set by hand are replaced too */
    bool dry;                     /* tells what would be done and changes nothing */
    mem *ctx;                     /* for the results */
    struct price_change *changes; /* result, in the file's order */
    size_t n;
};
/* A store_fn over struct price_import: one transaction, all of the file or nothing. Of the dates of a model the one in
 * force holds from now on, later ones from their day; earlier ones are history and stay out. A file that was imported
 * before changes nothing. */
MUST_USE enum rc price_import(struct store_tx *tx, void *job, struct err *err);

/* The price in force under the first of the names that has one. RC_NOT_FOUND speaks of `shown`. Rows that were asked
 * for are kept in memory until prices change; RC_AGAIN: the database would have to be read, and `wait` is false. */
MUST_USE enum rc price_find_named(mem *ctx, struct store *s, const char *const *names, size_t n, const char *shown,
                                  int64_t at_ns, bool wait, struct price *ret, struct err *err);
/* For store.c: what is kept of prices; belongs to ctx. */
struct price_memory;
struct price_memory *price_memory_new(mem *ctx);
void price_memory_forget(struct price_memory *m); /* prices changed */
