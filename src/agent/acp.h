/* Agent Client Protocol over stdio, the client's side: JSON-RPC 2.0, one message a line (agentclientprotocol.com,
 * protocol version 1). A state machine without I/O: it takes what the agent printed and gives what is to be written to
 * its standard input.
 *
 * initialize, then session/new (or session/load when a session is resumed and the agent can), session/set_mode when the
 * agent starts in a mode that may not write, then session/prompt. session/update becomes events. A permission question
 * (session/request_permission) is answered at once when everything is allowed, else it is given to the caller, who
 * answers when somebody decided. Other requests of the agent (fs/, terminal/ and its own) are answered with "method not
 * found", unknown notifications are ignored. The agent does not end by itself after the prompt: when acp_finished,
 * close its standard input, wait a moment, then end the sandbox. Threads: one. */
#pragma once
#include "agent/backend.h"

struct acp;
/* Its texts must outlive the conversation. */
struct acp_spec {
    const char *cwd; /* workspace inside */
    struct str prompt;
    const char *session; /* to resume, or NULL */
    const struct backend_server *servers;
    size_t server_count;
    enum backend_approval approval; /* BACKEND_FULL: questions are answered with yes by the machine; BACKEND_EDITS: only
                                       those of kind edit, read, search, think */
};
struct acp_question {
    const char *id;     /* for acp_answer */
    const char *title;  /* what it wants to do */
    const char *kind;   /* "execute", "edit", ...; may be NULL */
    struct str details; /* JSON of the call, as it stands */
};
/* on_question is called with each question that a person must answer; may be NULL: then those are refused. */
struct acp *acp_new(mem *ctx, const struct acp_spec *spec,
                    void (*on_event)(void *arg, const struct backend_event *event),
                    void (*on_question)(void *arg, const struct acp_question *question), void *arg);
void acp_feed(struct acp *a, const void *bytes, size_t n);
/* What to write to the agent now; empty: nothing. Taken off with acp_wrote (also in parts). */
struct str acp_output(const struct acp *a);
void acp_wrote(struct acp *a, size_t n);
/* false: no such open question. */
bool acp_answer(struct acp *a, const char *id, bool allow);
/* Asks the agent to stop (session/cancel); open questions are answered as cancelled. */
void acp_cancel(struct acp *a);
bool acp_finished(const struct acp *a);              /* the prompt was answered, or the protocol failed */
const struct backend_result *acp_end(struct acp *a); /* no more output; valid as long as a */
struct acp *acp_free(struct acp *a);
