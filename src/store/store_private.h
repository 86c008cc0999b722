/* The insides of struct store, shared by the files of this room. */
#pragma once
#include "db/db.h"
#include "store/store.h"

struct task_mark { /* a task id of 7 characters and a NUL, as one comparable number */
    union {
        char id[8];
        uint64_t bits;
    };
};

struct store {
    struct db *db;
    /* Written and read on the writer thread only: the tasks that got events in the group under way. */
    mem *group;
    struct task_mark *marks;
    size_t mark_n, mark_room;
    bool prices_changed; /* in the group under way */
    bool notices_made;   /* in the group under way */
    struct price_memory *prices;
    /* Set by store_on_commit before the first write. */
    void (*on_commit)(void *arg, const char *const *task_ids, size_t n);
    void *on_commit_arg;
    void (*on_notice)(void *arg); /* set by store_on_notice */
    void *on_notice_arg;
};
struct store_tx {
    struct store *s;
    struct db_conn *c;
};
/* The task gets an event in this transaction. */
void tx_mark(struct store_tx *tx, const char *task_id);

/* Refuses what is no identifier, before it reaches a message. */
MUST_USE enum rc id_check(const char *id, const char *what, struct err *err);
MUST_USE enum rc task_missing(const char *id, struct err *err);
MUST_USE enum rc task_need(struct store_tx *tx, const char *id, struct err *err); /* RC_OK when there is such a task */

MUST_USE enum rc price_insert_builtin(struct store_tx *tx, struct err *err); /* those that are not there yet */
/* For books.c: a hold's columns but its state; its row as it is, with what it must hold to; what is given to the ledger
 * besides the hold. */
extern const struct db_shape hold_shape, ledger_given_shape;
MUST_USE enum rc hold_check(const struct hold *h, struct err *err);
MUST_USE enum rc hold_insert(struct store_tx *tx, struct hold *h, struct err *err);
MUST_USE enum rc ledger_check(const struct ledger_row *row, struct err *err);
/* What rows of ledger_quarter grow by. The writer of many ledger rows keeps one and writes it at the end of its
 * transaction. */
#define QUARTER_SUMS 8
struct quarter_sums {
    struct quarter_sum {
        int64_t quarter; /* of LEDGER_QUARTER_NS since 1970 */
        char currency[4];
        int64_t requests, unpriced, units, rest; /* rest: below one unit, in pico */
    } v[QUARTER_SUMS];
    size_t n;
};
MUST_USE enum rc ledger_insert_of(struct store_tx *tx, const struct hold *h, const struct ledger_row *row,
                                  struct quarter_sums *sums, struct err *err);
MUST_USE enum rc quarter_sums_write(struct store_tx *tx, struct quarter_sums *sums,
                                    struct err *err); /* and empties it */
/* The ledger's row of a hold: who asked is copied from the hold. */
MUST_USE enum rc ledger_insert(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, struct err *err);

/* For the files that read tasks: columns in the order of the shapes (t is task). */
#define TASK_FINAL "('done', 'unproven', 'stopped', 'failed')"
#define TASK_COLUMNS                                                                                                   \
    "id, title, state, reason, words, branch, commit_id, applied, iteration, iteration_limit, changed_ns, started_ns," \
    " ended_ns, worked_ns, limit_time_s, limit_tokens, limit_money, currency, agent_version, model, assigned,"         \
    " repo, created_ns, agent, kind, replayed, trial, attempt, agent_configuration"
#define TASK_READ "t." TASK_COLUMNS ", t.number, last_event"
extern const struct db_shape task_whole_shape, task_brief_shape;
