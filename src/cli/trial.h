/* Trials for people: several attempts of one task, of which at most one is delivered. */
#pragma once
#include "cli/session.h"

/* "/api/v1/trials/ID" and what follows. In cli->ctx. */
const char *trial_path(struct cli *cli, const char *id, const char *rest);
/* Whether the name is a trial's. RC_NOT_FOUND: it is not. */
MUST_USE enum rc trial_ask(struct cli *cli, const char *id, struct json *ret, struct err *err);
/* "codex with gpt-5": who works on an attempt. In ctx. */
const char *attempt_label(mem *ctx, struct json attempt);
/* The end of `run --race` and what `show` shows: the attempts side by side and what can be typed next. Asks for what
 * each cost. Prints it, or the JSON document; returns the exit status of the trial's state. */
int trial_show(struct cli *cli, struct json trial);
/* Follows all attempts until the trial rests, then trial_show. */
int trial_follow(struct cli *cli, const char *id);
