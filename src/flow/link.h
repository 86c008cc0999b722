/* The runner's line to the server: a thread of its own that sends journal entries as events, takes acknowledgements and
 * orders, and connects again whenever the server comes back.
 *
 * Everything that is sent stands in the journal first, so a line that is down loses nothing; the server takes each
 * origin once. Frames (os/frame.h), JSON objects: runner: {"hello":{"task","token","pid"}}
 * {"event":{"origin","time","type","actor","data"}} {"listen":{"id","iteration","requests","key","gateway","proxy"}}
 * with descriptors
 * {"unlisten":{"id"}} server: {"welcome":{"acked","job","task","spec","inputs"}}
 * {"ack":N}   {"control":{"verb","words"}}   {"input":{event}} {"listening":{"id","problem","code"}}
 * {"cut":{listener}} {"unlistened":{listener}} Threads: every call is for the main thread; the link's own
 * thread shares state under one lock. */
#pragma once
#include "flow/journal.h"

/* LINK_YIELD: another attempt of its trial won; link_order_words says which. */
enum link_order { LINK_NONE, LINK_STOP, LINK_PAUSE, LINK_DETACH, LINK_TIME_UP, LINK_YIELD };

struct link;
struct link_welcome { /* what the server said last; in the link's memory */
    int64_t acked;    /* journal numbers up to here are in the database */
    const char *job;  /* "run", "undo" */
    struct json task; /* the task object */
    struct json spec;
    struct json inputs; /* events that the server made: hints, answers, changed limits */
};
/* Connects (waiting up to timeout_ms) and says hello. RC_UNAVAILABLE, RC_DENIED (token), RC_CONFLICT (another runner is
 * known). */
MUST_USE enum rc link_open(mem *ctx, const char *socket_path, const char *task_id, const char *token, int timeout_ms,
                           struct link **ret, struct link_welcome *ret_welcome, struct err *err);
void link_send(struct link *l, const struct journal_entry *e); /* copies; entries at or below acked are skipped */
/* Waits until the server has everything up to `origin`; RC_TIMEOUT. */
MUST_USE enum rc link_flush(struct link *l, int64_t origin, int timeout_ms, struct err *err);
/* Readable (and stays so) as soon as there is an order. */
int link_order_fd(const struct link *l);
enum link_order link_order(struct link *l);
char *link_order_words(struct link *l, mem *ctx); /* that came with it, in ctx; NULL: none */
/* Gives the order TIME_UP at this monotonic time (0: never). */
void link_set_deadline(struct link *l, int64_t mono_ns);
bool link_connected(struct link *l);
/* Hints and answers that came while running, as a JSON array text of events, then forgotten; in ctx, NULL when none. */
int link_input_fd(const struct link *l); /* readable while there are such */
char *link_take_inputs(struct link *l, mem *ctx);
/* The listeners of the sandbox that is open: handed to the server now and after every reconnection until link_unlisten.
 * At one of them the gateway of this run answers, at the other the proxy to the outside. The descriptors stay the
 * caller's. One hand-over at a time. */
struct link_listen {
    int gateway, proxy; /* descriptors; -1: there is none */
    int64_t iteration;
    int64_t requests;  /* that the agent may make at the gateway; 0: any number */
    bool key;          /* anybody can connect: only the run's token as key makes a client the run */
    struct str egress; /* JSON object {phase, project, agent, egress, lent, canaries}: what the proxy is to know */
};
MUST_USE enum rc link_listen(struct link *l, const struct link_listen *spec, int timeout_ms, struct err *err);
/* Readable (and stays so until link_unlisten) once the server said that the run has reached a limit. */
int link_cut_fd(const struct link *l);
struct link_listened {
    int64_t requests;         /* that the server counted; -1: not known, it was another one meanwhile */
    enum rc rc;               /* of the last request: RC_OK when it was answered, or there was none */
    bool refused;             /* by the gateway, not by the model's provider */
    const char *limit;        /* reached: "requests", "money", ...; NULL: none */
    const char *title, *hint; /* in ctx */
    int64_t retry_after_s;    /* -1: not known */
};
/* Ends it; *ret by what the server says, or said last. */
void link_unlisten(struct link *l, mem *ctx, int timeout_ms, struct link_listened *ret);
struct link *link_close(struct link *l); /* joins the thread; NULL is fine; returns NULL */
