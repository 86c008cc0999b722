/* The built-in agent: one conversation of an iteration, tools in the workspace and the sandbox.
 *
 * The caller gives the context (task, notes, changes, last check output) and a road: `ask` sends a request body to the
 * gateway and streams the answer; `record` journals. The agent's own word that it is finished only ends the iteration.
 * Nothing of an answer can crash it: malformed calls, unknown tools, cut streams, empty answers, refusals and over-long
 * contexts are answered or retried.
 *
 * Once only. An iteration that was stopped at any record (crash, pause) is called again with the same spec and goes on
 * where it was: request bytes are the same for the same key, so that the gateway gives the answers that were paid for;
 * calls of tools that were recorded are not made again, their recorded results are used; a command that was begun and
 * not recorded starts again from the tree that the workspace had before it. The spec must be equal in everything that
 * shapes a request: dialect, model, max_output, context_tokens, system_extra, prompt, tool_output_max,
 * command_timeout_s.
 *
 * Records, each exactly once; turns, attempts and calls count from 1:
 * - agent.text: turn, text (cut at 20,000 bytes, then text_bytes), stop, calls, model
 * - agent.note: turn, call, text
 * - tool.started (only of what changes files): turn, call, name, summary, digest; `write`: path, after (SHA-256);
 *   `edit`: path, before, after, result; `run`: tree
 * - tool.again: a command that a crash cut short is run again
 * - tool.finished: turn, call, name, summary, digest, result, is_error; `write`, `edit`: path, after; `run`: exit_code,
 *   tree, elapsed_ns
 * - context.compacted: turn, attempt, reason ("estimate", "refused"), before_tokens, after_tokens, dropped: [{turn,
 * call, name, what, bytes}] Threads: main thread of the runner. */
#pragma once
#include "llm/llm.h"
#include "repo/repo.h"
#include "sandbox/sandbox.h"

enum agent_end {
    AGENT_FINISHED,  /* it called finish, or stopped calling tools */
    AGENT_TURNS,     /* turn limit of the iteration */
    AGENT_CANCELLED, /* also when ask or record said RC_CANCELLED */
    AGENT_LIMIT,     /* the gateway or the provider refused: budget, tokens, credit; err has the words */
    AGENT_FAILED,    /* infrastructure gave up: err (rc_retryable(err.rc): call again after a wait), retry_after_s */
};
struct agent_road {
    /* One request to the gateway. `key` names it within the task ("i<iteration>.t<turn>.a<n>"), so that asking again
     * after a crash gets the same answer without paying twice. Body bytes of status 200 go to `on_bytes` (false: stop
     * reading, the answer makes no sense); those of another status to *ret_error_body (in ctx). Returns RC_OK with the
     * HTTP status and raw header lines, RC_LIMIT when a budget refused, RC_CANCELLED, or what went wrong on the way. An
     * answer that breaks off is RC_OK: the parser sees that it is not complete. */
    enum rc (*ask)(void *arg, mem *ctx, const char *key, const struct llm_dialect *d, struct str body,
                   bool (*on_bytes)(void *p, struct str bytes), void *p, int *ret_status, struct str *ret_headers,
                   struct str *ret_error_body, struct err *err);
    /* Journal: records one finished step (JSON object text); durable when it returns. RC_CANCELLED stops the agent. */
    enum rc (*record)(void *arg, const char *type, struct str json, struct err *err);
    /* What a crash left: the JSON of the n-th (0..) record of `type` in this iteration, or an empty view. */
    struct str (*recall)(void *arg, const char *type, int64_t n);
    /* Whether to stop now (stop, pause); polled between steps. May be NULL. */
    bool (*stopping)(void *arg);
    /* Live text for the operator. May be NULL. */
    void (*on_text)(void *arg, struct str text);
    void *arg;
};
struct agent_spec {
    const struct llm_dialect *dialect;
    const char *model;
    int64_t context_tokens, max_output; /* of the model; context_tokens 0: unknown, compacted only when it is refused */
    int64_t max_turns;
    const char *system_extra; /* project instructions, may be NULL */
    struct str prompt;        /* task, notes, changes, last check output, hints: built by the caller */
    const struct workspace *work;
    struct sandbox *sandbox; /* workspace mounted writable at /workspace; open, nothing runs in it yet */
    const char *log_dir;     /* whole outputs of tools, one file a step; made when missing */
    uid_t uid;               /* owner of files written */
    gid_t gid;
    int cancel_fd; /* -1: none */
    int64_t iteration;
    int64_t command_timeout_s; /* most time of one command */
    size_t tool_output_max;    /* bytes of a tool's output given to the model */
};
struct agent_result {
    enum agent_end end;
    const char *summary;      /* finish's summary or the last text, capped; never evidence */
    const char *const *notes; /* notes taken, NULL-terminated */
    int64_t turns, tool_calls;
    int64_t retry_after_s; /* -1: unknown */
    bool context_too_long;
};
/* RC_OK with *ret filled, also for the ends that name an error: *err then holds its words. Anything else: the journal,
 * the workspace or the program itself failed. *ret's texts are in ctx. */
MUST_USE enum rc agent_iterate(mem *ctx, const struct agent_spec *spec, const struct agent_road *road,
                               struct agent_result *ret, struct err *err);
