/* Trials: several attempts of one task, of which at most one is delivered.
 *
 * Each attempt is an ordinary task with a workspace, a ledger and a verdict of its own. One that has passed its checks
 * does not deliver: it rests (paused, reason "trial") until the trial is decided, which happens in one transaction of
 * the writer thread: the winner's name is written once and for all, the winner goes on to its delivery (event
 * trial.decided, which its runner journals before it delivers), the others are told to end (order "yield") or, where
 * they rest, are stopped at once; their work is kept. So two attempts that pass in the same instant, and the end of any
 * process at any moment, cannot lead to two deliveries.
 *   first      the first one that passed, in the order in which the database heard of it
 *   cheapest   when all have come to their end: the one that cost least by the ledger. One without a known price never
 *              wins over one with; then fewer iterations, then the earlier one. An attempt at a limit, or one that is
 *              stuck, has come to its end; one that was paused by a person, or asks for an approval, has not.
 * Limits of money and tokens are those of all attempts together: each has a share, the shares never come to more than
 * the limit, and what an attempt that has ended leaves goes to those that work. */
#pragma once
#include "flow/board.h"
#include "store/trial.h"

struct books;
/* body: {rule, attempts:[task spec, ...]} (src/api/api.md). Nothing is made unless all of it can be. */
MUST_USE enum rc trial_create(mem *ctx, const struct board *b, struct json body, struct trial *ret, struct err *err);
/* stop or pause: each attempt to which that still means something. RC_CONFLICT when there is none. */
MUST_USE enum rc trial_order(mem *ctx, const struct board *b, const char *id, const char *verb,
                             struct board_told **ret_told, size_t *ret_n, struct err *err);
/* Attempts that rest or have failed go on; wish as for a task, where money and tokens are of all together. */
MUST_USE enum rc trial_resume(mem *ctx, const struct board *b, const char *id, struct json wish, struct err *err);
/* Decides what can be decided and shares out what is left. Cheap when there is nothing to do. books may be NULL. */
MUST_USE enum rc trials_settle(mem *ctx, const struct board *b, struct books *books, struct board_told **ret_told,
                               size_t *ret_n, struct err *err);

/* The trial as the API shows it, up to its attempts (src/api/api.md): state, reason and words are the winner's, or say
 * what the attempts are about. An open object is left for more members. */
void trial_json(mem *ctx, const struct trial *t, const struct task *attempts, size_t n, struct json_out *o);
/* The state of it all. In ctx. */
struct trial_state {
    const char *state, *reason, *words;
};
struct trial_state trial_state_of(mem *ctx, const struct trial *t, const struct task *attempts, size_t n);
/* Which of its attempts wins now; -1: none yet. Pure: attempts as they are, what each cost (cheapest alone). */
int trial_winner(const struct trial *t, const struct task *attempts, const struct trial_cost *costs, size_t n);
