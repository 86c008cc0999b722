/* Named configurations of agents: which agent, its model, instructions and arguments, in numbered versions.
 *
 * A version never changes once it is there, so a task that names one says exactly how its agent was set up. Setting
 * what is in force already makes no new version. Project '' is the installation; those of a project are what its
 * nightmill.yaml says. A name that was removed keeps its versions for the record and goes on counting. */
#pragma once
#include "store/store.h"

struct agent_configuration {
    const char *project, *name;
    int64_t version;
    const char *configuration; /* JSON object: src/api/api.md */
    int64_t created_ns;
    bool retired;
};
/* RC_INVALID: no name (letters, digits, '-', '_', '.', at most 64), or no JSON object of at most 64 KiB. */
MUST_USE enum rc configuration_put(struct store_tx *tx, const char *project, const char *name, struct str json,
                                   int64_t now_ns, int64_t *ret_version, bool *ret_new, struct err *err);
/* version 0: the one in force. RC_NOT_FOUND. */
MUST_USE enum rc configuration_find(mem *ctx, struct store *s, const char *project, const char *name, int64_t version,
                                    struct agent_configuration *ret, struct err *err);
/* By name, newest versions first; name NULL: any. With those that were removed. */
MUST_USE enum rc configuration_list(mem *ctx, struct store *s, const char *project, const char *name,
                                    struct agent_configuration **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc configuration_retire(struct store_tx *tx, const char *project, const char *name,
                                      struct err *err); /* RC_NOT_FOUND */
bool configuration_name_valid(const char *name);
