/* Trials: several attempts of one task, each a task of its own (task.trial, task.attempt), of which at most one is
 * delivered. Here are the rows; who wins is decided in flow/trial.h. A winner is set once and never changes. */
#pragma once
#include "store/store.h"

#define TRIAL_ATTEMPTS_MAX 16

struct trial {
    int64_t number; /* order of creation */
    const char *id; /* 7 characters, as a task's */
    const char *title, *repo;
    const char *rule; /* "first": that passes; "cheapest": of those that pass */
    const char *currency;
    pico limit_money;     /* of all attempts together; -1: none */
    int64_t limit_tokens; /* likewise; 0: none */
    const char *winner;   /* task; NULL: not decided */
    bool open;            /* something is to be decided or shared out yet */
    int64_t created_ns, decided_ns;
};
MUST_USE enum rc trial_insert(struct store_tx *tx, struct trial *t, struct err *err); /* sets number */
MUST_USE enum rc trial_find(mem *ctx, struct store *s, const char *id, struct trial *ret, struct err *err);
MUST_USE enum rc trial_find_tx(mem *ctx, struct store_tx *tx, const char *id, struct trial *ret, struct err *err);
/* Newest first, numbers below `before` (0: from the newest). */
MUST_USE enum rc trial_list(mem *ctx, struct store *s, int64_t before, int64_t limit, struct trial **ret, size_t *ret_n,
                            struct err *err);
MUST_USE enum rc trial_list_open(mem *ctx, struct store *s, struct trial **ret, size_t *ret_n, struct err *err);
/* RC_CONFLICT when there is a winner already. */
MUST_USE enum rc trial_decide(struct store_tx *tx, const char *id, const char *winner, int64_t now_ns, struct err *err);
MUST_USE enum rc trial_open_set(struct store_tx *tx, const char *id, bool open, struct err *err);
MUST_USE enum rc trial_limits_set(struct store_tx *tx, const char *id, pico money, int64_t tokens, struct err *err);

/* What an attempt cost, from its ledger rows and what is held for it, in one currency. What was spent in another one is
 * reckoned by the rate that its hold was made with. */
struct trial_cost {
    bool known;       /* false: a request without a price or without a rate, or nothing of it was counted */
    pico money;       /* saturates; an upper bound as long as something is held */
    int64_t tokens;   /* likewise */
    int64_t requests; /* ledger rows */
};
MUST_USE enum rc trial_cost(struct store_tx *tx, const char *task_id, const char *currency, struct trial_cost *ret,
                            struct err *err);
