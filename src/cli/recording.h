/* A task's recording on this side: written from the daemon's records of its requests, and what a recording says about
 * the model that was asked. The file's form is that of gateway/recording.h. */
#pragma once
#include "cli/session.h"
#include "ops/model.h"

/* Writes the file anew (mode 0600), whole or not at all. *ret_n: exchanges in it. RC_CONFLICT: requests of the task
 * were not kept whole, with what to do; RC_NOT_FOUND: there are none. */
MUST_USE enum rc recording_export(struct cli *cli, const char *task_id, const char *file, size_t *ret_n,
                                  struct err *err);
/* Reads and checks the file of --replay. *ret_path: absolute; *ret_model: as it was recorded, without a key. */
MUST_USE enum rc recording_open(struct cli *cli, const char *file, const char **ret_path,
                                struct model_choice *ret_model, struct err *err);
