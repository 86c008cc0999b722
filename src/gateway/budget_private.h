/* Accounts: the budgets as they stand in memory. Shared by the files budget*.c of this room. Everything here is touched
 * with the lock of struct budgets held, but what a comment says otherwise of. */
#pragma once
#include "gateway/budget.h"
#include "gateway/zone.h"
#include "store/books.h"
#include <pthread.h>
#include <uthash.h>

/* Sums of amounts that may each be as large as INT64_MAX: nothing saturates, so that what was added can be taken away
 * again. */
__extension__ typedef __int128 wide;
static inline int64_t wide_clamp(wide v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

struct account {
    mem *own; /* this struct, its strings and its zone */
    struct budget row;
    char currency[4]; /* of row; "" when it does not limit money */
    struct zone *zone;
    struct node *node;
    struct account *next; /* on the same scope */
    int64_t start_ns, end_ns;
    wide spent, held; /* settled and kept; open */
    wide spent_tokens, held_tokens;
    pico carried;
    int64_t carried_tokens;
    int64_t refused_ns; /* start of the window, and its limits, in which somebody was told that it refuses */
    pico refused_money;
    int64_t refused_tokens;
    bool broken; /* a rate is missing, so that what was spent is unknown: refuses everything */
};
struct node { /* one scope id that has accounts */
    UT_hash_handle hh;
    struct account *first;
    size_t count;
    char id[];
};
struct budgets {
    struct store *store;
    struct books *books; /* NULL: rows are written by those who hold */
    pthread_mutex_t lock;
    pthread_mutex_t admin; /* one change of budgets at a time; taken before lock, never on the writer thread */
    struct node *nodes[SCOPES];
    struct reservation *open; /* those under way */
    int64_t now_ns;           /* the latest seen */
    int64_t last_hold;
    /* Rates in order of from_ns and id; the array is replaced as a whole. */
    mem *rates_own;
    const struct rate *rates;
    size_t rate_count;
    void (*on_notice)(void *arg, const struct budget_notice *n);
    void *on_notice_arg;
};

/* budget.c */
/* The latest of all times that were seen. */
int64_t budgets_time(struct budgets *b, int64_t now_ns);
/* Moves the account into the window around now; unused allowance goes with it when it is kept. */
void account_roll(struct budgets *b, struct account *a, int64_t now_ns);
struct account *account_find(struct budgets *b, enum scope scope, const char *id, int64_t row_id);
/* The rate between two currencies, or false. Equal ones are 1/1. */
bool rate_look(const struct budgets *b, const char *from, const char *to, int64_t at_ns, struct frozen_rate *ret);
/* Whether a reservation counts in the account's scope and window. */
bool account_covers(const struct account *a, const struct spender *s, int64_t opened_ns);

/* budget_load.c: from rows to accounts, on the writer thread */
/* A new account for a row, not yet on its scope and empty. Any thread. */
MUST_USE enum rc account_new(const struct budget *row, int64_t now_ns, struct account **ret, struct err *err);
/* With what was spent and held in the window around now, put on its scope in place of `old` (NULL: none); the
 * reservations under way are charged to it. Takes the lock. *ret (may be NULL): the account. */
MUST_USE enum rc account_load(struct budgets *b, struct store_tx *tx, const struct budget *row, int64_t now_ns,
                              struct account *old, struct account **ret, struct err *err);
/* Puts it on its scope, soon in place of another one or not. With the lock. RC_LIMIT when there are too many. */
MUST_USE enum rc account_link(struct budgets *b, struct account *a, bool replaces, struct err *err);
/* Takes it off its scope and off the reservations under way, and frees it. With the lock. */
void account_remove(struct budgets *b, struct account *a);
void account_free(struct account *a);
enum rc rate_missing(const char *from, const char *to, struct err *err);
