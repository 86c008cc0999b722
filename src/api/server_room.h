/* What the parts of the server share. Private to this room. Everything belongs to the main loop's thread unless it says
 * otherwise; the further loops (loops.h) do not know this struct, and what they need of it may be used by any thread.
 */
#pragma once
#include "api/loops.h"
#include "api/server.h"
#include "auth/access_token.h"
#include "auth/audit.h"
#include "auth/credential.h"
#include "auth/refusals.h"
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
#include "os/lane.h"
#include "os/loop.h"

struct listeners;  /* listeners.c */
struct runner;     /* runners.c */
struct tail;       /* tail.c */
struct feed;       /* feed.h */
struct proxy_link; /* proxy_link.c */
struct notifier;   /* notify/notify.h */
struct terminals;  /* terminals.h */

struct server {
    mem *ctx;
    const struct server_place *place; /* its settings: what file and environment say; s->settings for all */
    const struct settings *settings;  /* as they were at the start, with those of the database */
    struct settings_live *live;       /* as they are now; any thread */
    uv_mutex_t settings_lock;         /* one refresh at a time (settings_line.h) */
    uv_mutex_t edit_lock;             /* one change of things with versions at a time (version.c) */
    struct health_memory *health;     /* route_health.c; any thread */
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
    struct gateway_common *common; /* any thread */
    struct gateway *gateway;
    struct loops *loops;
    struct metrics *metrics;             /* any thread */
    struct auth *auth;                   /* any thread */
    struct sessions *sessions;           /* any thread */
    struct accounts accounts;            /* any thread */
    struct lane *lane;                   /* passwords are hashed there */
    struct account_key *account_key;     /* any thread */
    struct access_tokens *access_tokens; /* any thread */
    struct audit *audit;                 /* any thread */
    struct refusals *refusals;           /* any thread */
    bool audit_ticking;                  /* its head is being written */
    struct credentials *credentials;     /* any thread */
    struct catalogs *catalogs;           /* any thread */
    struct vertex_tokens *tokens;        /* any thread */
    char *lent;                          /* what credentials_find gave last */
    struct recorder *recorder;           /* any thread */
    struct record_policy record_policy;  /* of the settings */
    uv_pipe_t keeper, link;
    struct frame_reader keeper_in;
    uv_timer_t tick;
    uint64_t ticks;
    uv_signal_t term, intr, hup;
    struct runner *runners; /* uthash by task id */
    struct tail *tails;
    struct notifier *notifier; /* any thread */
    struct feed *feed;         /* the live stream; this loop's */
    struct proxy_link *proxy;
    struct terminals *terminals;
    bool scheduling, schedule_again, stopping;
    int parts; /* of a stop that are not through: the main loop's clients, those of the others */
    int64_t started_ns, began_mono_ms;
    size_t parallel;
};

/* server.c */
void server_stop(struct server *s, bool for_good); /* for_good: the keeper too */

/* listeners.c */
/* Raises the limit of open descriptors as far as it goes; how many connections then are good. */
size_t listeners_room(void);
MUST_USE enum rc listeners_open(struct server *s, struct err *err);
/* The same addresses for another loop, once they are open: see struct loops_spec. */
MUST_USE enum rc listeners_open_more(void *server, size_t number, mem *ctx, struct http_server *http,
                                     struct tls_place **ret_tls, struct err *err);
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
void runners_sandboxes(const struct server *s, struct json_out *o); /* the same, with the sandbox that is open */

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

/* route_health.c */
void health_open(struct server *s);

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
/* What a request shows of who asks; text is borrowed from r. */
struct shown {
    enum { SHOWN_NOTHING, SHOWN_SOCKET, SHOWN_KEY, SHOWN_ACCESS_TOKEN, SHOWN_COOKIE, SHOWN_CERTIFICATE } kind;
    struct str text;
};
struct shown identity_shown(const struct http_request *r);
/* Any thread but the loop's. RC_DENIED is a 401: who asks is not known. */
MUST_USE enum rc identity_check(mem *ctx, struct server *s, const struct shown *shown, struct principal *ret,
                                struct err *err);
bool identity_secure(const struct http_request *r); /* its page is https, perhaps by a proxy before the daemon */
/* The line that gives a browser its session, or (token "", 0 seconds) takes it away. In ctx. */
char *identity_cookie_line(mem *ctx, const char *name, bool secure, const char *token, int64_t seconds);
char *identity_cookie_name(mem *ctx, const struct http_request *r, bool secure);

/* crossing.c */
/* RC_DENIED: another page may have had the browser send it. cookie: a cookie says who asks; opens_session: it will get
 * one. */
MUST_USE enum rc crossing_check(const struct http_request *r, bool cookie, bool opens_session, struct err *err);

/* route_page.c */
bool page_handle(struct server *s, struct http_request *r); /* answers what is for the web page; false: it is not */

/* wish.c: a body of POST /api/v1/tasks or /plans that says what is wished for instead of a whole spec. Pool threads. */
struct route_call;
bool wish_is(const struct route_call *c);
MUST_USE enum rc wish_prepare(struct route_call *c, struct json *ret_spec);

/* idempotency.c */
/* Runs the handler once for all requests with this Idempotency-Key. Pool thread. */
MUST_USE enum rc idempotency_handle(struct route_call *c);

/* route.c */
struct route_call {
    mem *ctx; /* its own tree: visits a pool thread */
    struct server *server;
    struct http_request *request; /* NULL once the client is gone; only the loop touches it */
    const struct route *route;
    const char *param;           /* the :id of the pattern */
    struct principal principal;  /* who asks */
    struct shown shown;          /* what says who asks; its text is in ctx and wiped once it was checked */
    bool narrowed;               /* route_project or route_projects was asked */
    const char *lines[8];        /* further header lines of the answer, NULL-terminated: route_line */
    const char *address, *agent; /* where it comes from, for people; "" on the Unix socket */
    bool secure;                 /* identity_secure */
    const char *cookie_name;     /* that a session of this address has */
    const char *allow;           /* the path has routes, perhaps by another method: a header line; else NULL */
    struct str query;            /* raw: route_query */
    const char *query_state, *query_repo, *query_project;
    struct audit_row audit; /* what will stand in the audit log: audit_note.c */
    struct audit_rider rider;
    bool audit_skipped;
    bool hidden;                                    /* it is not found because who asks may not see it */
    const char *told_id, *told_project, *told_user; /* for the stream; NULL: as the audit log, the body, who asks */
    const void *gathered;                           /* what on_loop took along for the thread of the pool; in ctx */
    const char *if_match;                           /* the header, or "" */
    const char *etag;                               /* of the answer, with its quotes; NULL: a hash of it */
    const char *if_none_match, *idempotency_key;    /* the headers, or "" */
    int failed_status;                              /* of a problem; 0: as its code says */
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
    struct board_told *told; /* frames for the runners of other tasks */
    size_t told_count;
    bool schedule, start;    /* start: a runner for param, now */
    struct json credentials; /* to be taken */
    bool secret;             /* the body holds a secret: wiped afterwards */
    bool record_policies;    /* what is to be recorded of projects has changed */
    bool egress_hosts;       /* what people said about hosts has changed */
    bool settings_changed;   /* and the server's own were refreshed */
};
/* To what a route is narrowed, for who has a role or a key of some projects alone. A task's project is its repo. */
enum route_narrow {
    NARROW_WHOLE,    /* the whole installation's: a role in projects is not enough */
    NARROW_SHARED,   /* everybody's who has the access anywhere: models, prices */
    NARROW_ONE,      /* the handler narrows by principal.project, which is the one that the query names */
    NARROW_LIST,     /* a list over projects: the handler must ask route_projects and keep to it */
    NARROW_TASK,     /* :id is a task; checked before the handler */
    NARROW_APPROVAL, /* :id is an approval of a task; checked before the handler */
    NARROW_REPO,     /* the body's member "repo"; checked before the handler */
    NARROW_OWN,      /* the asker's own things: anybody who is known */
};
struct route {
    const char *method, *pattern, *summary;
    enum rc (*handle)(struct route_call *c); /* pool thread; the error in c->err */
    void (*on_loop)(struct route_call *c);   /* instead of handle: answers itself, owns c */
    bool open;                               /* needs no authority: answered to anybody who can connect */
    bool known;                              /* an open one that looks who asks all the same (principal.by) */
    bool logs_in;                            /* an open one that gives a session: not for pages of others */
    bool creates;                            /* an Idempotency-Key is honoured: asked again, it is not done twice */
    bool shows_secret;                       /* of what creates: its answer is not kept for who asks again */
    bool slow;                               /* handle runs on the lane: it hashes passwords */
    enum access access;                      /* that the asker needs; 0: the owner's alone */
    enum route_narrow narrow;
    /* A GET that shows a secret or what is confidential leaves a row in the audit log, as every change does: each one,
     * or one for a sitting (auth/refusals.h) where a page reads again and again. Its on_loop asks audit_read. */
    enum { AUDITED_NOT, AUDITED_EACH, AUDITED_SITTING } audited;
    /* Of a change that keeps to If-Match: the version that the thing has now; VERSION_NONE: there is none yet. */
    enum rc (*version)(struct route_call *c, const char **ret);
    /* What its change is told as in the live stream (feed_event.c); NULL: what it does tells itself. */
    const char *tells;
    /* For its description (openapi.h): */
    const char *query;         /* names of parameters in schemas.def, separated by blanks */
    const char *takes, *gives; /* schemas of schemas.def, or a media type (with the schema of each line
                                * or event behind a blank); NULL: no body */
};
#define REQUEST_BODY_MOST (64u << 20)
void routes_handle(void *server, struct http_request *r);
/* Decoded value of a query parameter, in c->ctx; NULL when absent or malformed. Any thread. */
const char *route_query(struct route_call *c, const char *name);
size_t routes_body_limit(void *server, const struct http_request *r);
void route_call_free(struct route_call *c);
void route_line(struct route_call *c, const char *line); /* adds a header line to the answer; in c->ctx or static */
/* permission.c. RC_DENIED, RC_NOT_FOUND. */
MUST_USE enum rc permission_check(struct route_call *c); /* before anything is read: the loop's */
/* Whether somebody may ask for a route at all, in some project at least. */
bool permission_may(const struct principal *p, const struct route *r);
bool permission_waits(const struct route_call *c);        /* whether permission_narrow has to read the database */
MUST_USE enum rc permission_narrow(struct route_call *c); /* not the loop's; the body is parsed */
MUST_USE enum rc permission_kept(struct route_call *c);   /* after the handler */
/* audit_note.c */
void audit_begin(struct route_call *c);                       /* before the handler, on its thread */
MUST_USE enum rc audit_end(struct route_call *c, enum rc rc); /* after it; the outcome of the call */
void audit_asked(struct route_call *c);   /* the loop's: a change that on_loop carries out; does not wait */
void audit_refused(struct route_call *c); /* any thread: it does not wait */
/* For on_loop of an audited GET, on a pool thread, before anything is given away: without its row nothing is. */
MUST_USE enum rc audit_read(struct route_call *c);
void audit_failed(struct route_call *c, enum rc rc);       /* it was noted as done and was not; does not wait */
void audit_skip(struct route_call *c);                     /* for handlers: this call leaves no row by itself */
void audit_now(struct route_call *c, const char *outcome); /* for handlers: a row at once */
void audit_untold(struct server *s);                       /* how many refusals were not written; not the loop's */
/* For handlers, before their store_write: what is done to what, from what, to what; no secrets. NULL: nothing to say.
 */
void route_audit(struct route_call *c, const char *object, const char *before, const char *after);
/* For handlers, before their store_write: what the stream is told of `tells`. NULL: as it stands in the audit log, the
 * body and the query. */
void route_tell(struct route_call *c, const char *id, const char *project);
/* version.c */
#define VERSION_NONE "new"
char *version_of(mem *ctx, const char *text); /* of all that can be changed, written as a text; in ctx */
/* Runs the handler, for a route with versions after a look at If-Match (412) and nothing between. Pool thread. */
MUST_USE enum rc version_handle(struct route_call *c, enum rc (*handle)(struct route_call *c));
/* From on_loop: runs `handle` after all, on the lane when it is slow. */
void route_run(struct route_call *c, bool slow);
/* For handlers. Whether who asks may do this in a project (of a task: its repo): RC_NOT_FOUND when it may not even see
 * it. */
MUST_USE enum rc route_project(struct route_call *c, const char *project);
const char *route_by(const struct route_call *c); /* who did it, for events: a user's name; "user" without one */
/* The projects that who asks may do this in: NULL for all, else NULL-terminated (perhaps empty). */
const char *const *route_projects(struct route_call *c);
/* Sends c's answer (or its error as a problem) and frees it. */
void route_answer(struct route_call *c, enum rc rc);
extern const struct route *const routes[];
extern const char *const route_names[]; /* as in routes.def */
extern const size_t route_count;
