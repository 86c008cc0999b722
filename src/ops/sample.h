/* The sample: a small project and a task in it, for whoever has no key of a model yet. Only the model's words are
 * canned: they come from a recording whose answers are given in order (gateway/recording.h), the first attempt is wrong
 * on purpose. Everything else is real: workspace, sandbox, agent, checks, verdict, branch, ledger.
 *
 * The project is a git repository of the user's own to look at, below <data>/sample, made of files that are part of the
 * program; its check needs a shell and nothing else. Threads: one that may wait for the disk and start git. */
#pragma once
#include "base/err.h"
#include "ops/model.h"

struct sample {
    const char *repo;      /* absolute */
    const char *recording; /* absolute */
    const char *text, *check;
    struct model_choice model;
};
/* Makes what is missing: the first of report, report-2, ... that is not there, or is as it was made (one commit, no
 * changes); what people made of the others stays theirs. Paths in ctx. */
MUST_USE enum rc sample_open(mem *ctx, const char *data_dir, struct sample *ret, struct err *err);
