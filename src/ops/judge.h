/* A verdict by hand (`nightmill verify COMMIT`): the same judgement that ends a task, repeated for any commit of a
 * repository. Nothing is written into the repository: the work is done in a private git directory that borrows its
 * objects. Starts git and sandboxes; small processes only. */
#pragma once
#include "conf/setting.h"
#include "verify/verify.h"

struct judge_wish {            /* NULL or false: not given */
    const char *dir;           /* where the command was called */
    const char *commit;        /* any revision */
    const char *base;          /* any revision; NULL: the commit's first parent */
    const char *const *checks; /* commands; NULL: nightmill.yaml at the base, else detection */
    const char *const *allow_check_changes;
    bool require_proof, no_sandbox;
    int cancel_fd; /* -1: none */
    void (*on_run)(void *arg, const char *kind, const char *check, const char *log);
    void *arg;
};
/* *ret_commit and *ret_base are the full ids. Everything in ctx. */
MUST_USE enum rc judge_commit(mem *ctx, const struct settings *set, const struct judge_wish *wish, struct verdict *ret,
                              const char **ret_commit, const char **ret_base, struct err *err);
