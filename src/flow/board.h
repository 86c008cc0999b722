/* The board: what may happen to a task, decided against the database. The server calls it for people (through the API)
 * and for runners (their events).
 *
 * Every decision is one transaction: the state and the event that tells of it. Functions run on pool threads and block
 * until their transaction is durable; board_apply runs on the writer thread inside the caller's transaction. */
#pragma once
#include "base/json.h"
#include "store/store.h"

/* Folder of spare workspaces (repo/repo.h) below the data folder. */
#define BOARD_SPARES "spares"

struct board {
    struct store *store;
    const char *data_dir;
};

/* Checks the spec, makes the task's folder with its run token, inserts the task (queued). */
MUST_USE enum rc board_create(mem *ctx, const struct board *b, struct json spec, struct task *ret, struct err *err);
/* Each returns the task as it is after. *ret_tell (may be NULL): what a living runner must be told, a frame's JSON
 * text, or NULL. */
MUST_USE enum rc board_stop(mem *ctx, const struct board *b, const char *id, struct task *ret, char **ret_tell,
                            struct err *err);
MUST_USE enum rc board_pause(mem *ctx, const struct board *b, const char *id, struct task *ret, char **ret_tell,
                             struct err *err);
/* wish: iterations, money, time_s, tokens, model, allow_check_changes (src/api/api.md). */
MUST_USE enum rc board_resume(mem *ctx, const struct board *b, const char *id, struct json wish, struct task *ret,
                              struct err *err);
/* A budget that tasks share was raised or replaced: those that paused at one go on (and pause again where it was
 * another). *ret_n how many. */
MUST_USE enum rc board_budgets_changed(const struct board *b, int64_t *ret_n, struct err *err);
MUST_USE enum rc board_hint(mem *ctx, const struct board *b, const char *id, struct str text, struct task *ret,
                            char **ret_tell, struct err *err);
MUST_USE enum rc board_undo(mem *ctx, const struct board *b, const char *id, struct task *ret, struct err *err);
/* outcome: "approved", "refused" or "expired". The runner of the approval's task is told *ret_tell: with the gate
 * "agent" it waits for the answer; such a one that expires is refused, and the task goes on. */
MUST_USE enum rc board_answer(mem *ctx, const struct board *b, const char *approval_id, const char *outcome,
                              const char *answer, const char *by, struct approval *ret, char **ret_tell,
                              struct err *err);
/* What a living runner is to be told: a frame's JSON text. */
struct board_told {
    const char *task_id;
    char *frame;
};
/* Answers every waiting approval whose time is over with "expired"; how many, and what runners are to be told. */
MUST_USE enum rc board_expire(mem *ctx, const struct board *b, int64_t now_ns, struct board_told **ret, size_t *ret_n,
                              struct err *err);
/* The runner of a task ends again and again: the task fails with these words. */
MUST_USE enum rc board_give_up(mem *ctx, const struct board *b, const char *id, const char *words, struct err *err);

/* A runner's event: appended once, and what it says of the task is put into its row. *ret_final: the task ended with
 * it. */
MUST_USE enum rc board_apply(struct store_tx *tx, const char *task_id, int64_t origin, struct json event,
                             bool *ret_final, struct err *err);
/* What a runner that says hello is told; the frame's JSON text in ctx. RC_DENIED when the token is not the task's. */
MUST_USE enum rc board_welcome(mem *ctx, const struct board *b, const char *task_id, const char *token, char **ret,
                               struct err *err);
/* Whether a token is the run token of a task; constant time in the token. */
MUST_USE enum rc board_token_task(mem *ctx, const struct board *b, const char *token, const char **ret_task_id,
                                  struct err *err);
/* Tasks that should have a runner, oldest first: at work ones, then queued ones. */
struct board_due {
    const char *id;
    bool queued;
};
MUST_USE enum rc board_due(mem *ctx, const struct board *b, struct board_due **ret, size_t *ret_n, struct err *err);
/* The task as the API shows it (src/api/api.md); runner_pid 0: none. */
void board_task_json(mem *ctx, const struct board *b, const struct task *t, int64_t runner_pid, struct json_out *o);
