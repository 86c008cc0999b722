/* One request of a client on its way through the gateway, and the places that look after it. Private to this room.
 *
 * A call goes back and forth between the loop and pool threads, never on two at once; only `client` belongs to the loop
 * alone, since the client may leave at any time. The way of a call:
 *   gateway.c   takes it in; finds the same request of a run under way
 *   prepare.c   who asks, what the request is, which targets may serve it, what it may cost at most
 *   attempt.c   loop: one target after the other: place, admission, hold, sending, judging
 *   write.c     the bytes for a target: key, address, translated or spliced body; on the pool where it may wait or
 *               is much work, else on the loop
 *   settle.c    the holds and ledger rows of attempts, with the events and the stored answer
 *   answer.c    loop: what the client gets
 */
#pragma once
#include "gateway/budget.h"
#include "gateway/cache.h"
#include "gateway/gateway.h"
#include "gateway/ratelimit.h"
#include "gateway/upstreams.h"
#include "llm/bridge.h"
#include "llm/embed.h"
#include "llm/request.h"
#include <stdatomic.h>

#define WHOLE_MAX      (64u << 20) /* an answer that is kept or written at once */
#define FAILURE_MAX    (1u << 20)  /* of a failure's body */
#define REQUEST_PREFIX 4           /* length of "req_" */
#define INLINE_MAX     (64u << 10) /* bytes of a body that are read or written anew in well under a millisecond */

struct target { /* one upstream that may serve the request */
    const struct provider_view *provider;
    const char *model;    /* as configured; budgets and ledger know it by this */
    const char *upstream; /* its name there */
    const struct llm_dialect *dialect;
    size_t step;
    int64_t weight, max_output; /* max_output 0: unknown */
    struct price price;
    bool priced, tried;
};

enum call_verdict {
    CALL_REFUSED,  /* err, status, code */
    CALL_ANSWERED, /* `whole` is the answer: a list of models, an estimate */
    CALL_STORED,   /* the run has asked this before */
    CALL_CACHED,
    CALL_FORWARD,
};
enum outcome { OUTCOME_RELEASE, OUTCOME_KEEP, OUTCOME_SETTLE };

struct attempt {
    mem *ctx;
    struct call *call;
    struct target *target;
    struct upstream_place *place; /* taken at the provider; NULL: none */
    int64_t number;
    struct reservation reservation;
    bool reserved;
    /* Written for the target: */
    struct way way; /* with the provider's key */
    struct str body;
    struct upstream_call *up;
    /* The answer: */
    int status;
    struct str head; /* header block */
    struct llm_bridge *bridge;
    struct buf failure; /* body of an answer that is none, or of an embedding */
    bool sent, paused, too_large;
    int64_t began_ms, first_byte_ms;
    /* Its end: */
    enum rc end;
    struct llm_failure why; /* why.err: also what failed on our side */
    enum outcome outcome;
    bool usage_known;
    struct usage usage;
    const char *model_served;
    pico cost;
    bool good;      /* the client has (or will have) the whole answer */
    bool elsewhere; /* another target may do better */
    enum rc settle_rc;
    bool above_hold; /* it cost more than its upper bound: the bound is wrong, an operator must know */
    void (*after_settle)(struct attempt *a);
    /* settle.c: an entry of the books on its way. */
    enum rc (*write_entry)(struct attempt *a);
    void (*after_entry)(struct attempt *a);
    struct attempt *entry_next;
};
struct attempt_queue {
    struct attempt *first, *last;
};

struct call {
    mem *ctx; /* owner of everything here */
    struct gateway *g;
    struct http_request *client; /* NULL once gone */
    const char *request;         /* its id: "req_" and letters and digits */
    struct llm_endpoint endpoint;
    const char *token;                 /* secret */
    const char *address;               /* of the client */
    bool trusted;                      /* came over the Unix socket of the daemon's user */
    struct str body;                   /* as the client sent it */
    const struct gateway_guest *guest; /* came by a listener of a run; NULL: not */
    const char *key;                   /* a run's name for it, or "" */
    int64_t iteration;
    int64_t began_ns;
    /* prepare.c: */
    bool may_wait, must_wait; /* for the database */
    enum call_verdict verdict;
    struct caller caller;
    struct err err;
    int status;       /* of the refusal; 0: by err */
    const char *code; /* machine-readable reason */
    const char *limit;
    int64_t retry_after_s;
    struct reply stored;
    const struct catalog *catalog;
    struct llm_request_facts facts;
    const char *model;           /* by which targets are found: as the client says, or a guest's own */
    struct llm_request *neutral; /* NULL until a target of another family needs it */
    struct llm_embed embed;
    struct target *targets;
    size_t target_count;
    const char *project, *agent, *currency; /* currency: of the task */
    pico limit_money;
    bool record_whole; /* the run is being recorded */
    struct demand demand;
    int64_t least_output;
    const char *cache_key;
    struct ratelimit_ticket ticket;
    struct ratelimit_rule rule;
    /* Under way: */
    struct attempt *attempt;
    int64_t attempts, used_tokens; /* -1: not known */
    bool begun;                    /* the client has bytes */
    bool stream;                   /* the client's answer is a stream */
    struct buf out;                /* from the bridge, on its way to the client */
    struct buf tail;               /* the end of the answer, sent when the cost stands in the ledger */
    struct buf whole;              /* everything that the client got: stored for a run, cached, or written at once */
    const char *content_type;
    int64_t drain_until_ms; /* a departed client's answer is read on until then; 0: somebody waits */
    struct call *next;      /* of the gateway's active calls */
    struct call_waiter *waiters;
    struct call_queued queued; /* waits for a place at a provider */
    /* For the record and the figures: */
    struct record *record;
    struct record_end end;
    int64_t began_ms;
};

/* What the gateways of all loops share. Each of these has a lock of its own. */
struct gateway_common {
    struct upstreams *upstreams;
    struct ratelimit *ratelimit;
    struct cache *cache;
    atomic_size_t active; /* calls under way */
};

struct gateway {
    struct gateway_spec spec;
    struct gateway_common *common;
    struct replays *replays;
    struct call *active;
    /* settle.c: */
    uv_timer_t flush_timer;
    int64_t flush_due_ms; /* on the loop's clock; 0: not armed */
    bool flushing, flush_failing;
    enum rc flush_rc;
    struct err flush_err;
    struct attempt_queue unwritten, unsynced, syncing; /* entries without room; those that wait for the disk */
};

static inline bool of_run(const struct call *c)
{
    return c->caller.task_id != NULL;
}

/* Asked by the runner itself, which comes back for its answer and reads problem documents. */
static inline bool of_runner(const struct call *c)
{
    return of_run(c) && !c->guest;
}

/* prepare.c; any thread that may wait, or may_wait false. False: it would have to wait, nothing is decided. */
MUST_USE bool call_prepare(struct call *c, bool may_wait);
/* write.c; any thread, but one that may wait where way_waits. Fails with why.err; a->elsewhere when another target need
 * not fail for the same reason. */
MUST_USE enum rc attempt_write(struct attempt *a);
/* settle.c; done may be called before these return */
void settle_open(struct gateway *g);
void attempt_hold(struct attempt *a, void (*done)(struct attempt *a));   /* writes the hold; settle_rc */
void attempt_settle(struct attempt *a, void (*done)(struct attempt *a)); /* by its outcome; settle_rc */
/* attempt.c; loop */
void call_next(struct call *c); /* takes the next target, or ends the call */
void attempt_resume(struct call *c);
void attempt_cancel(struct attempt *a); /* nobody waits for it any more */
void attempt_free(struct attempt *a);
const char *attempt_header(struct attempt *a, const char *name); /* of the provider's answer; NULL: absent */
/* answer.c; loop */
void answer_begin(struct call *c);                /* a stream's head */
void answer_bytes(struct call *c, struct buf *b); /* sends what is in b and empties it */
void answer_end(struct call *c);                  /* a good answer: its tail or the whole of it */
void answer_refuse(struct call *c);               /* by err, status, code */
void answer_failure(struct call *c, struct attempt *a);
void answer_stored(struct call *c);
/* An answer in one piece. outcome: as in struct record_end. */
void answer_whole(struct call *c, int status, const char *content_type, struct str body, const char *const *lines,
                  const char *outcome);
/* gateway.c */
void call_free(struct call *c);
