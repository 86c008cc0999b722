/* What the files of the board share (board.c, board_note.c, trial.c). Private to this room. Everything that takes a
 * transaction runs on the writer thread. */
#pragma once
#include "flow/board.h"

#define BOARD_EVENT_MAX (16u << 20)
/* As the gateway calls it in the ledger (src/gateway/prepare.c). */
#define AGENT_BUILT_IN "nightmill"

/* An event of the server's own making: begin, write members with note.o, append. */
struct board_note {
    struct buf b;
    struct json_out o;
};
void board_note_begin(struct board_note *n, mem *ctx);
MUST_USE enum rc board_note_append(struct board_note *n, struct store_tx *tx, const char *task_id, const char *type,
                                   const char *actor, struct err *err);
bool board_state_is(const struct task *t, const char *state);
bool board_at_work(const struct task *t); /* a runner journals what comes of an order */
/* The row and its event task.state. */
MUST_USE enum rc board_state_set(mem *ctx, struct store_tx *tx, struct task *t, const char *state, const char *reason,
                                 const char *words, struct err *err);

/* A new task in two steps: the spec is checked and the task's folder made; then its row, queued, with its events. */
MUST_USE enum rc board_task_make(mem *ctx, const struct board *b, struct json spec, struct task *ret, struct err *err);
MUST_USE enum rc board_task_put(mem *ctx, struct store_tx *tx, struct json spec, struct task *t, struct err *err);
/* stop or pause, of one task; *ret the task as it is after. */
MUST_USE enum rc board_order_put(mem *ctx, struct store_tx *tx, const char *id, const char *verb, struct task *ret,
                                 char **ret_tell, struct err *err);
MUST_USE enum rc board_resume_put(mem *ctx, struct store_tx *tx, const char *id, struct json wish, struct task *ret,
                                  struct err *err);
void board_home_wipe(const struct board *b, const char *id); /* of a task that has ended without a runner */

/* trial.c: an attempt whose trial another one has won rests no longer, it is stopped. Called when a state of the
 * task was written. */
MUST_USE enum rc trial_late(mem *ctx, struct store_tx *tx, struct task *t, struct err *err);
/* Whether an attempt may be resumed, and what other limits mean for the trial's own; before they are set. */
MUST_USE enum rc trial_resumes(mem *ctx, struct store_tx *tx, const struct task *t, struct err *err);
MUST_USE enum rc trial_limits_moved(mem *ctx, struct store_tx *tx, const struct task *before, const struct task *after,
                                    struct err *err);
