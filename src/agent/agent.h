/* The built-in agent: one conversation of an iteration, tools in the workspace and the sandbox.
 *
 * The caller gives the context (task, notes, changes, last check output) and two roads: `ask` sends a request body to the gateway and streams the answer; `step` journals. The agent's own word that it is finished only
 * ends the iteration. Nothing of an answer can crash it: malformed calls, unknown tools, cut streams, empty answers, refusals and over-long contexts are answered or retried.
 * Threads: main thread of the runner. */
#pragma once
#include "llm/llm.h"
#include "repo/repo.h"
#include "sandbox/sandbox.h"

enum agent_end {
    AGENT_FINISHED,   /* it called finish, or stopped calling tools */
    AGENT_TURNS,      /* turn limit of the iteration */
    AGENT_CANCELLED,
    AGENT_LIMIT,      /* the gateway refused: budget or tokens; err has the words */
    AGENT_FAILED,     /* infrastructure gave up: err, retry_after_s */
};
/* One request to the gateway. `key` names it within the task, so that asking again after a crash gets the same answer without paying twice. Bytes go to `on_bytes`. Returns RC_OK with the HTTP status and headers. */
struct agent_road {
    enum rc (*ask)(void *arg, mem *ctx, const char *key, const struct llm_dialect *d, struct str body, bool (*on_bytes)(void *p, struct str bytes), void *p, int *ret_status, struct str *ret_headers, struct str *ret_error_body, struct err *err);
    /* Journal: records one finished step (JSON object text) under its number; durable when it returns. */
    enum rc (*record)(void *arg, const char *type, struct str json, struct err *err);
    /* What a crash left: the recorded JSON of step `type` number n of this iteration, or an empty view. */
    struct str (*recall)(void *arg, const char *type, int64_t n);
    /* Whether to stop now (stop, pause); polled between steps. */
    bool (*stopping)(void *arg);
    /* Live text for the operator. May be NULL. */
    void (*on_text)(void *arg, struct str text);
    void *arg;
};
struct agent_spec {
    const struct llm_dialect *dialect;
    const char *model;
    int64_t context_tokens, max_output; /* of the model */
    int64_t max_turns;
    const char *system_extra;  /* project instructions, may be NULL */
    struct str prompt;         /* task, notes, changes, last check output, hints: built by the caller */
    const struct workspace *work;
    struct sandbox *sandbox;   /* workspace mounted writable at /workspace */
    const char *log_dir;       /* whole outputs of tools, one file a step */
    uid_t uid;                 /* owner of files written */
    gid_t gid;
    int cancel_fd;
    int64_t iteration;
    int64_t command_timeout_s; /* most time of one command */
    size_t tool_output_max;    /* bytes of a tool's output given to the model */
};
struct agent_result {
    enum agent_end end;
    const char *summary; /* finish's summary or the last text, capped; never evidence */
    const char *const *notes; /* notes taken, NULL-terminated */
    int64_t turns, tool_calls;
    int64_t retry_after_s;
    bool context_too_long;
};
MUST_USE enum rc agent_iterate(mem *ctx, const struct agent_spec *spec, const struct agent_road *road, struct agent_result *ret, struct err *err);
