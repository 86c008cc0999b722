/* `run --race`: from "codex,claude:MODEL,builtin" to a trial that is started. */
#pragma once
#include "cli/session.h"
#include "ops/prepare.h"

enum { RACE_MOST = 16 };
struct race {
    struct cli *cli;
    struct json specs[RACE_MOST]; /* of each attempt */
    size_t n;
};
/* list: NAME or NAME:MODEL, separated by commas; builtin (also native) is the agent that is part of Nightmill. Each is
 * prepared as a task of its own. */
MUST_USE enum rc race_prepare(struct race *race, const char *list, const struct prepare_wish *wish, struct err *err);
MUST_USE enum rc race_post(struct race *race, bool best, struct json *ret_trial, struct err *err);
