/* What the parts of the server share. Private to this room. Everything belongs to the loop's thread unless it says
 * otherwise. */
#pragma once
#include "api/server.h"
#include "auth/auth.h"
#include "auth/credential.h"
#include "auth/token.h"
#include "conf/live.h"
#include "flow/board.h"
#include "gateway/budget.h"
#include "gateway/catalog.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/record.h"
#include "gateway/way.h"
#include "net/http.h"
#include "os/frame.h"
#include "os/loop.h"

struct listeners;  /* listeners.c */
struct runner;     /* runners.c */
struct tail;       /* tail.c */
struct feed;       /* feed.h */
struct proxy_link; /* proxy_link.c */
struct trial_told; /* flow/trial.h */

struct server {
    mem *ctx;
    const struct server_place *place; /* its settings: what file and environment say; s->settings for all */
    const struct settings *settings;  /* as they were at the start, with those of the database */
    struct settings_live *live;       /* as they are now; any thread */
    uv_mutex_t settings_lock;         /* one refresh at a time (settings_line.h) */
    bool settings_unwritten;          /* the last refresh could not be written down for the command line */
    uv_loop_t uv;
    struct loop loop;
    struct board board; /* any thread */
    struct store *store;
    struct books *books;     /* any thread */
    struct budgets *budgets; /* any thread */
    struct http_server *http;
    struct listeners *listeners;
    struct upstream_pool *pool;
    struct gateway *gateway;
    struct metrics *metrics;         /* any thread */
    struct auth *auth;               /* any thread */
    struct credentials *credentials; /* any thread */
    struct catalogs *catalogs;       /* any thread */
    struct vertex_tokens *tokens;    /* any thread */
    char *lent;                      /* what credentials_find gave last */
    struct recorder *recorder;
    struct record_policy record_policy; /* of the settings */
    uv_pipe_t keeper, link;
    struct frame_reader keeper_in;
    uv_timer_t tick;
    uint64_t ticks;
    uv_signal_t term, intr, hup;
    struct runner *runners; /* uthash by task id */
    struct tail *tails;
    struct feed *feed; /* the live stream; this loop's */
    struct proxy_link *proxy;
    bool scheduling, schedule_again, stopping;
    int64_t started_ns, began_mono_ms;
    size_t parallel;
};

/* server.c */
void server_stop(struct server *s, bool for_good); /* for_good: the keeper too */

/* listeners.c */
/* Raises the limit of open descriptors as far as it goes; how many connections then are good. */
size_t listeners_room(void);
MUST_USE enum rc listeners_open(struct server *s, struct err *err);
void listeners_reload(struct server *s); /* certificates and keys */
void listeners_json(const struct server *s, struct json_out *o);

/* runners.c */
MUST_USE enum rc runners_open(struct server *s, struct err *err); /* listens for runners */
void runners_close(struct server *s);
void runners_tell(struct server *s, const char *task_id,
                  struct str frame); /* nothing when the runner is not connected */
void runners_tell_all(struct server *s, struct str frame);
void runners_started(struct server *s, const char *task_id, int pid);
void runners_exited(struct server *s, const char *task_id, int pid, int status);
void runners_schedule(struct server *s);                      /* soon: starts what is due */
void runners_start(struct server *s, const char *task_id);    /* now, for a task that is not at work (undo) */
int runners_pid(const struct server *s, const char *task_id); /* 0: none */
void runners_list(const struct server *s, struct json_out *o);

void runners_guest_ended(void *server, const struct gateway_guest_end *e); /* for the gateway */

/* run_listener.c: where the agent of one run finds the gateway. */
struct run_listener;
struct run_listener_state { /* of the last request for an answer that has ended */
    enum rc rc;
    bool refused;
    char limit[16];
    const char *title, *hint; /* NULL: none */
    int64_t retry_after_s;
};
/* listen: the runner's words about it (flow/link.h). fd is taken, also on failure. */
MUST_USE enum rc run_listener_open(struct server *s, const char *task_id, struct json listen, int fd,
                                   struct run_listener **ret, struct err *err);
struct run_listener *run_listener_close(struct run_listener *l); /* its clients count as gone; returns NULL */
/* Takes note of a request that ended here. True: the run has reached a limit, for the first time. */
bool run_listener_ended(struct run_listener *l, const struct gateway_guest_end *e);
void run_listener_json(const struct run_listener *l,
                       struct json_out *o); /* members: what it is and how the last went */

/* keeper_line.c */
MUST_USE enum rc keeper_line_open(struct server *s, struct err *err);
void keeper_line_send(struct server *s, struct str frame);
/* Writes a frame to any of our pipes; the bytes are copied. */
void pipe_send_frame(uv_stream_t *stream, struct str payload);

/* budget_notice.c */
void budget_noticed_tell(void *server, const struct budget_notice *n); /* any thread */
void budget_forget_task(struct server *s, const char *task_id);

/* tail.c */
void tail_begin(struct server *s, struct http_request *r, const char *task_id, int64_t after, int64_t limit,
                bool follow);
void tails_wake(struct server *s, const char *task_id); /* new events of a task */
void tails_close(struct server *s);
void event_json(mem *ctx, const struct event *e, struct json_out *o);

/* credentials.c */
/* Takes members {"NAME":"value"}; names are those of environment variables. */
void credentials_take(struct server *s, struct json members);
const char *credentials_find(void *server, const char *name); /* valid until the next call; the loop's */
bool credentials_has(void *server, const char *name);         /* any thread */
void credentials_from_environment(struct server *s);
/* A provider's row names a variable: it is taken from the environment unless a client gave it. Any thread. */
void credentials_refer(struct server *s, const char *reference);
struct str credentials_frame(mem *ctx, const struct server *s);
void credentials_wipe(struct server *s);

/* identity.c */
/* For the gateway: the holder of a user key, a run by its token, or (trusted, without a token) the daemon's user. */
MUST_USE enum rc gateway_identity(void *server, mem *ctx, const char *token, bool trusted, bool wait,
                                  struct caller *ret, struct err *err);
/* The user key in a request's headers (Authorization, x-api-key, x-goog-api-key), or empty. On the Unix socket only
 * what looks like a user key counts: other tokens there are those of runs. Borrowed from r. */
struct str identity_token(const struct http_request *r);
/* Any thread but the loop's. RC_DENIED is a 401: who asks is not known. */
MUST_USE enum rc identity_check(mem *ctx, struct server *s, const char *token, struct principal *ret, struct err *err);

/* route_page.c */
bool page_handle(struct server *s, struct http_request *r); /* answers what is for the web page; false: it is not */

/* route.c */
struct route_call {
    mem *ctx; /* its own tree: visits a pool thread */
    struct server *server;
    struct http_request *request; /* NULL once the client is gone; only the loop touches it */
    const struct route *route;
    const char *param;          /* the :id of the pattern */
    struct principal principal; /* who asks */
    const char *token;          /* the user key that came with it, until it is checked; NULL: none */
    const char *allow;          /* the path has routes, perhaps by another method: a header line; else NULL */
    struct str query;           /* raw: route_query */
    const char *if_match;       /* the header, or "" */
    const char *etag;           /* of the answer, with its quotes; NULL: none */
    int failed_status;          /* of a problem; 0: as its code says */
    const char *query_state, *query_repo;
    int64_t query_before, query_limit, query_after;
    struct str body;
    struct json json;    /* parsed body; JSON_NONE when empty */
    struct json_out out; /* the answer */
    struct buf out_buf;
    int status;
    int runner_pid; /* of the task named by param, taken on the loop beforehand */
    struct err err;
    /* Done on the loop afterwards: */
    char *tell; /* frame for the runner of tell_task */
    const char *tell_task;
    struct trial_told *told; /* frames for the runners of other tasks */
    size_t told_count;
    bool schedule, start;    /* start: a runner for param, now */
    struct json credentials; /* to be taken */
    bool secret;             /* the body holds a secret: wiped afterwards */
    bool record_policies;    /* what is to be recorded of projects has changed */
    bool egress_hosts;       /* what people said about hosts has changed */
    bool settings_changed;   /* and the server's own were refreshed */
};
struct route {
    const char *method, *pattern, *summary;
    enum rc (*handle)(struct route_call *c); /* pool thread; the error in c->err */
    void (*on_loop)(struct route_call *c);   /* instead of handle: answers itself, owns c */
    bool open;                               /* needs no authority: answered to anybody who can connect */
    enum access access; /* that the asker needs; 0: the owner's alone. A handler narrows to the asker's project */
    /* For its description (openapi.h): */
    const char *query;         /* names of parameters in schemas.def, separated by blanks */
    const char *takes, *gives; /* schemas of schemas.def, or a media type; NULL: no body, any JSON */
};
#define REQUEST_BODY_MOST (64u << 20)
void routes_handle(void *server, struct http_request *r);
/* Decoded value of a query parameter, in c->ctx; NULL when absent or malformed. Any thread. */
const char *route_query(struct route_call *c, const char *name);
size_t routes_body_limit(void *server, const struct http_request *r);
void route_call_free(struct route_call *c);
/* Sends c's answer (or its error as a problem) and frees it. */
void route_answer(struct route_call *c, enum rc rc);
extern const struct route *const routes[];
extern const char *const route_names[]; /* as in routes.def */
extern const size_t route_count;
