/* From a folder and wishes to a task spec: inspects the repository, reads nightmill.yaml at the base commit, finds
 * checks, chooses limits and model. What it chose and why is in the spec, so that it can be shown before the run.
 * Starts git; small processes only. The spec is one JSON object, described in src/api/api.md. */
#pragma once
#include "base/json.h"
#include "conf/project.h"
#include "conf/setting.h"
#include "ops/model.h"
#include "verify/verify.h"

/* A named agent, in one of its versions. */
struct agent_named {
    const char *name, *project; /* project "": of the installation */
    int64_t version;
    struct json configuration; /* src/api/api.md */
};

struct prepare_wish { /* flags; NULL, 0 or false: not given */
    const char *dir;  /* where the command was called; "." */
    const char *text;
    const char *const *checks; /* --check commands, NULL-terminated */
    const char *budget;        /* "2.00" */
    int64_t iterations, time_s, tokens;
    const char *model;
    const char *agent; /* "codex"; "builtin" is the one that is part of Nightmill; or a named one */
    /* --assign: what was drawn at random, and from which names; .agent and .model are the drawn ones. */
    const struct draw {
        const char *of; /* "agent", "model" */
        const char *drawn;
        const char *const *from; /* at least two, NULL-terminated, each once */
    } * draws;                   /* NULL, or draw_count of them */
    size_t draw_count;
    const char *approve; /* "plan,commit" */
    const char *const *allow_check_changes;
    bool apply, require_proof, no_sandbox;
    bool record;        /* all its model requests are kept whole */
    const char *replay; /* a recording that answers them: absolute path; then `recorded` says the model */
    const struct model_choice *recorded;
    /* The named agent, RC_NOT_FOUND when there is none (then the name is an agent's own). `offer` is what the project's
     * file says of it, to be kept as a version, NULL when it says nothing. May be NULL: names are agents' own. */
    enum rc (*named)(void *arg, const char *name, const char *project, const struct project_agent *offer,
                     struct agent_named *ret, struct err *err);
    bool (*gateway)(void *arg, const char *model); /* whether the daemon's gateway serves it; may be NULL */
    void *arg;
};
struct settings;
/* RC_INVALID and friends with one sentence and what to do. *ret_spec is JSON text in ctx. */
MUST_USE enum rc prepare_task(mem *ctx, const struct settings *set, const struct prepare_wish *wish,
                              struct str *ret_spec, struct err *err);

/* The project file and the checks of a base commit: the commands given (NULL-terminated, may be NULL), else
 * nightmill.yaml, else the best one found. None is not an error. In ctx. */
MUST_USE enum rc prepare_checks(mem *ctx, const struct settings *set, const char *git_dir, const char *base,
                                const char *const *given, struct project *ret_project, struct check **ret,
                                size_t *ret_n, struct err *err);
