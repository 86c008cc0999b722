/* What the files about foreign agents share: the program of somebody else that works in an iteration's sandbox. Private
 * to this room. */
#pragma once
#include "agent/acp.h"
#include "flow/run.h"

/* The backend of the task's spec; NULL: the built-in agent works. */
const struct backend *foreign_backend(const struct run *run);
/* The agent's part of an iteration: from its start to agent.finished. NEXT_GO: that is journaled. */
enum next foreign_iterate(struct run *run, struct str prompt, struct err *err);

/* --- hearing.c: from what the agent prints to the task's events --- */

struct hearing_tool {
    const char *id, *name, *summary;
    int64_t call;
};
enum { HEARING_TOOLS = 64 };
struct hearing {
    mem *ctx;
    struct run *run;
    const char *agent;
    const char *session;                     /* journaled last; NULL: none */
    struct buf piece;                        /* of a message that comes in pieces */
    struct hearing_tool open[HEARING_TOOLS]; /* a ring: the oldest is forgotten */
    int64_t calls;
    int64_t entries, left_out; /* journaled; not journaled, because there were too many */
    struct backend_usage usage;
    enum rc rc; /* the journal failed: nothing is heard any more */
    struct err err;
};
void hearing_init(struct hearing *h, mem *ctx, struct run *run, const char *agent, const char *session);
void hearing_event(void *hearing, const struct backend_event *e); /* for a parser */
MUST_USE enum rc hearing_end(struct hearing *h, struct err *err); /* no more events */

/* --- dialogue.c: an agent that waits for words on its standard input (ACP) --- */

struct dialogue;
struct dialogue_heart { /* who listens */
    void (*on_event)(void *arg, const struct backend_event *event);
    /* Whether the agent may; blocks until that is known. False in *ret_goes_on: nothing goes on any more. */
    bool (*on_question)(void *arg, const struct acp_question *question, bool *ret_goes_on);
    void *arg;
};
/* The texts of spec must outlive it; *ret in ctx. */
MUST_USE enum rc dialogue_open(mem *ctx, const struct acp_spec *spec, const struct dialogue_heart *heart,
                               struct dialogue **ret, struct err *err);
int dialogue_input(const struct dialogue *d); /* the agent's standard input; stays the dialogue's */
/* False: everything was said and answered; such agents do not end by themselves. */
bool dialogue_heard(struct dialogue *d, struct str bytes);
bool dialogue_finished(const struct dialogue *d);
const struct backend_result *dialogue_end(struct dialogue *d); /* valid as long as its context */

/* --- question.c: what the agent asks a person --- */

/* Waits for the answer. Journaled: the question before it is asked, the answer before it is returned. RC_CANCELLED: an
 * order came first. */
MUST_USE enum rc question_put(struct run *run, const struct acp_question *q, bool *ret_allowed, struct err *err);

/* --- home.c: the agent's private HOME, kept between the iterations of its task --- */

/* Where it is inside of the sandbox. Not below /tmp, where some agents refuse to put programs. */
#define HOME_INSIDE "/home/agent"
const char *home_dir(mem *ctx, const struct run *run);
/* Makes the folder, mode 0700, the agent's user's. */
MUST_USE enum rc home_make(mem *ctx, const struct run *run, const char **ret, struct err *err);
/* Puts the plan's files there. What the agent made of its HOME before is no hindrance: where a file cannot be put, HOME
 * is made anew (*ret_anew; sessions are gone then). */
MUST_USE enum rc home_put(mem *ctx, const struct run *run, const struct backend_file *files, size_t n, bool *ret_anew,
                          struct err *err);
/* When the task has its end. */
void home_wipe(const struct run *run);
