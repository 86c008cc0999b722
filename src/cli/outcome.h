/* Where a task stands, for people: its state in words, the bill, and what to type next; and the exit status that says
 * it to programs. */
#pragma once
#include "base/json.h"
#include "cli/screen.h"

/* 0 done, 6 unproven, 7 a person is needed, 8 a limit was reached, 130 stopped, 1 failed; -1: still at work. */
int outcome_status(struct json task);
bool outcome_rests(struct json task); /* nothing goes on by itself */
/* The end of `run` and the head of `show`. `task`: GET /api/v1/tasks/ID. `ledger` may be JSON_NONE. */
void outcome_summary(struct json task, struct json ledger, const struct screen *screen, struct buf *out);
/* "working", "needs you", in its colour. In ctx. */
const char *state_shown(mem *ctx, struct json task, const struct screen *screen);
