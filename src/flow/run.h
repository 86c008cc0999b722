/* What the parts of the runner share: the run, its record-keeping, and the steps. Private to this room. */
#pragma once
#include "agent/agent.h"
#include "conf/egress.h"
#include "conf/setting.h"
#include "flow/journal.h"
#include "flow/link.h"
#include "flow/runner.h"
#include "llm/llm.h"
#include "repo/repo.h"
#include "sandbox/sandbox.h"
#include "setup/setup.h"
#include "verify/verify.h"

/* What a sandbox is given for its way to the outside. */
struct run_egress {
    struct egress_secret *secrets; /* the sandbox has the placeholder of each in the variable of its name */
    const char **placeholders;
    size_t secret_count;
    const char *canary; /* looks like a key; an alarm wherever it turns up */
    struct str words;   /* link_listen.egress */
};

struct run {
    mem *ctx;
    const struct runner_place *place;
    const char *task_dir;
    struct journal *journal;
    struct link *link;
    struct link_welcome welcome;
    struct json spec;
    struct settings *settings;
    struct repo_facts repo;
    struct workspace work;
    uid_t uid;
    gid_t gid;
    int64_t iteration_limit, time_limit_s;
    int64_t worked_ns;        /* before this process */
    int64_t started_mono_ns;  /* of this process */
    int64_t waited_ns;        /* of this process, for a person while the agent waited too; not in the worked time */
    const char *limit_kind;   /* what the gateway refused for: "money", "tokens"; or "disk"; NULL */
    bool keep_files;          /* the next iteration judges the files as they are: the person allowed more (then in its
                                 iteration.started) */
    int64_t failures;         /* infrastructure failures in a row */
    struct setup_layer layer; /* that the agent's sandbox has; all zero: none */
    struct volumes volumes;
    /* Setup commands' way to the outside: */
    struct run_egress way;
    const char *way_dir; /* its certificates; NULL: none was made yet */
    bool way_open;       /* the server has the listener */
    /* Of the current iteration: */
    int64_t iteration;
    size_t start;                 /* journal index of its iteration.started */
    int64_t model_ns, outside_ns; /* time spent in the model; in checks, hooks and commands */
};

/* A journal entry under construction: draft_begin, write members with rec.o, then draft_end. */
struct draft {
    mem *ctx;
    struct buf b;
    struct json_out o;
};
void draft_begin(struct draft *rec);
MUST_USE enum rc draft_end(struct run *run, struct draft *rec, const char *type, const char *actor, struct err *err);

/* Steps answer how to go on. */
enum next {
    NEXT_GO,   /* on to the next step */
    NEXT_REST, /* the task rests or is final: leave */
    NEXT_FAIL, /* an error that this process cannot go on with: err */
};
/* Journals a change of state. NEXT_REST when the state rests or is final, NEXT_GO otherwise. */
enum next run_state(struct run *run, const char *state, const char *reason, const char *words, struct err *err);
/* Follows an order (stop, pause, detach, time up). NEXT_GO when there is none. */
enum next run_follow_order(struct run *run, struct err *err);
/* After an infrastructure failure: tells the user, waits (or follows an order), NEXT_GO to try again. */
enum next run_backoff(struct run *run, int64_t retry_after_s, const struct err *why, struct err *err);
/* A request to the model came to nothing (run->limit_kind says when a limit refused it): pauses, asks the person, or
 * waits and goes on, by the kind of failure. */
enum next run_model_failed(struct run *run, enum rc rc, int64_t retry_after_s, struct err *err);
/* Takes what people said since: hints, answers, changed limits. */
MUST_USE enum rc run_take_inputs(struct run *run, struct err *err);
int64_t run_worked_ns(const struct run *run);
/* Journal index after which people have not spoken; stuck counting and protected-change questions start there. */
size_t run_last_input(const struct run *run);
/* Asks the gateway; the shape of agent_road.ask. */
enum rc run_ask(void *arg, mem *ctx, const char *key, const struct llm_dialect *d, struct str body,
                bool (*on_bytes)(void *p, struct str bytes), void *p, int *ret_status, struct str *ret_headers,
                struct str *ret_error_body, struct err *err);
const struct llm_dialect *run_dialect(const struct run *run);
const char *run_model(const struct run *run);
/* NULL-terminated strings of a spec array; in run's memory. */
const char *const *run_strings(struct run *run, const char *key);
struct sandbox_limits run_sandbox_limits(const struct run *run);

/* iterate.c: one iteration from its first missing step to iteration.finished. */
enum next run_iterate(struct run *run, struct err *err);
/* Opens a sandbox of the agent's user over the workspace. */
MUST_USE enum rc run_open_sandbox(mem *ctx, struct run *run, const char *label, struct sandbox **ret, struct err *err);
/* The same with more in it. run_room_closed when it is closed. */
enum { RUN_ROOM_MOUNTS = 16 };
struct run_room {
    const struct sandbox_mount *mounts;
    size_t mount_count;
    uint16_t ports[SANDBOX_LISTENERS]; /* of 127.0.0.1 inside that the outside listens at */
    size_t port_count;
};
MUST_USE enum rc run_open_room(mem *ctx, struct run *run, const char *label, const struct run_room *room,
                               struct sandbox **ret, struct err *err);
void run_room_closed(mem *ctx, struct run *run);

/* layer.c: what setup commands made, and cache volumes. */
enum { RUN_LAYER_MOUNTS = SETUP_ROOTS + VOLUME_KINDS };
/* Before the first iteration: finds or makes the layer of the base. NEXT_REST: a command failed, and a person must look
 * at it. */
enum next run_setup(struct run *run, struct err *err);
/* Before an iteration: the layer that fits the files of this commit, or the one before where there is none. */
MUST_USE enum rc run_layer_follow(struct run *run, const char *commit, struct err *err);
/* How layers are made in this run; in ctx. */
MUST_USE enum rc run_setup_spec(mem *ctx, struct run *run, struct setup_spec *ret, struct err *err);
/* Opens the cache volumes of the agent, once for the process. */
MUST_USE enum rc run_volumes(struct run *run, struct err *err);
/* Mounts for the agent's sandbox, after that of the workspace; returns how many. Variables: run->volumes.env. */
size_t run_layer_mounts(const struct run *run, struct sandbox_mount ret[RUN_LAYER_MOUNTS]);
/* When nobody waits any more: old layers and caches go. */
void run_trim(struct run *run);

/* egress.c: what a sandbox is given for its way to the outside. */
bool run_egress_wanted(const struct run *run, enum egress_phase phase); /* else there is nothing to reach */
MUST_USE enum rc run_egress_make(mem *ctx, struct run *run, enum egress_phase phase, struct run_egress *ret,
                                 struct err *err);
/* The proxy's authority, alone and with the system's: once the listener is handed over. RC_CANCELLED: an order. */
MUST_USE enum rc run_egress_certificates(mem *ctx, const struct run *run, struct str *ret_ca, struct str *ret_bundle,
                                         struct err *err);
/* Variables; ca and bundle are paths inside. */
const char *const *run_egress_environment(mem *ctx, const struct run_egress *e, uint16_t port, const char *ca,
                                          const char *bundle);

/* The way of setup commands, where there is one: put into their spec; left when the layer is made. */
MUST_USE enum rc run_egress_setup(mem *ctx, struct run *run, struct setup_spec *spec, struct err *err);
void run_egress_leave(struct run *run);

/* context.c: the text that the agent is given. */
struct str context_prompt(mem *ctx, struct run *run);

/* stuck.c */
/* A failure without what varies between runs (numbers, times, addresses, temporary paths); hex digest in ctx. */
char *failure_signature(mem *ctx, struct str failure);
/* Whether the run turns in circles; words for the person in ctx. */
const char *run_stuck(mem *ctx, const struct run *run, const char **ret_reason);

/* hook.c: operator hooks of one moment. *ret_blocked: text for the agent when one blocked (exit 2), else NULL; in ctx.
 */
enum next run_hooks(mem *ctx, struct run *run, const char *when, const char **ret_blocked, struct err *err);

/* gate.c: an approval gate. *ret_passed: approved. NEXT_REST while it waits or when it was refused or expired. */
enum next run_gate(struct run *run, const char *gate, size_t since, struct str subject, bool *ret_passed,
                   struct err *err);
enum next run_plan(struct run *run, struct err *err);
/* The answer to the gate that was journaled as `origin`, or JSON_NONE. */
struct json run_gate_answer(const struct run *run, int64_t origin);

/* finish.c: hooks, gate, commit and delivery of a proven (or unproven) candidate; and undo. */
enum next run_finish(struct run *run, const char *state, struct err *err);
enum next run_undo(struct run *run, struct err *err);
