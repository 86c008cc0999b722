/* The rows of Nightmill: tasks, their events, approvals, holds, ledger, prices, replies. The only SQL text of the
 * product is in this room.
 *
 * Reads may be called from any thread (each takes a connection of the pool). Writes are given to the one writer thread,
 * which commits many of them together (group commit, synchronous=FULL); the call returns when its transaction is
 * durable, or *_async calls done(arg, rc, err) on the writer thread. Several writes that belong together go into one
 * function of kind store_fn, which runs on the writer thread inside one transaction: all of it or nothing. What a user
 * may care about becomes an event in the same transaction as the state it describes. Results are in ctx. */
#pragma once
#include "base/json.h"
#include "money/money.h"

struct store;
struct store_tx; /* one transaction on the writer thread */
/* Opens or creates <dir>/nightmill.db (mode 0600), applies migrations. Clear sentences for: read-only folder, full
 * disk, corrupt database (integrity check on an unclean start), a database of a newer program, a second owner. */
MUST_USE enum rc store_open(mem *ctx, const char *dir, struct store **ret, struct err *err);
struct store *store_close(struct store *s); /* waits for writes; checkpoint; NULL is fine; returns NULL */
typedef enum rc (*store_fn)(struct store_tx *tx, void *arg, struct err *err);
MUST_USE enum rc store_write(struct store *s, store_fn fn, void *arg, struct err *err);
/* A further function for the transaction of the next store_write of this thread: it runs after that one's own function
 * succeeded, or both are undone. `taken` tells whether it happened, `later` how many transactions of this thread came
 * after that one. It stays until the next call; NULL: none any more. */
struct store_rider {
    store_fn fn;
    void *arg;
    bool taken;
    int later;
};
void store_ride(struct store_rider *r);
void store_write_async(struct store *s, store_fn fn, void *arg,
                       void (*done)(void *arg, enum rc rc, const struct err *err));
size_t store_backlog(struct store *s); /* writes that wait: a producer slows down when this grows */
/* Called on the writer thread after each commit with the tasks that got events ("" stands for those of no task): a hint
 * for who follows them. One listener. */
void store_on_commit(struct store *s, void (*fn)(void *arg, const char *const *task_ids, size_t n), void *arg);

/* Tasks. */
struct task {
    const char *id;    /* 7 characters, id_new */
    int64_t number;    /* order of creation, unique */
    const char *title; /* first line of the text, cut */
    const char *text;
    const char *repo;            /* top folder */
    const char *state;           /* queued working checking needs_you paused done unproven stopped failed */
    const char *reason;          /* typed, "" when none */
    const char *words;           /* one sentence about the state */
    const char *spec;            /* JSON: everything that the runner needs */
    const char *branch, *commit; /* delivered; NULL before */
    bool applied;
    int64_t iteration, iteration_limit;
    int64_t created_ns, changed_ns, started_ns, ended_ns; /* 0: not yet */
    int64_t worked_ns;                                    /* time in working and checking, for the wall-clock limit */
    int64_t limit_time_s, limit_tokens;                   /* 0: none */
    pico limit_money;                                     /* -1: none */
    const char *currency;
    const char *agent;         /* who works: "nightmill" is the built-in one; "" where it is not known */
    const char *agent_version; /* as it said when it was last started; "" where it is not known */
    const char *model;         /* as configured */
    const char *kind;          /* simple, medium, complex; "" where it was not told */
    bool assigned;             /* agent or model was drawn at random, and is still the drawn one */
    bool replayed;             /* its model requests are answered from a recording */
    const char *trial;         /* of which it is an attempt (store/trial.h); "" none */
    int64_t attempt;           /* 1.. within the trial */
    const char *configuration; /* of its agent (store/configuration.h), "name@version"; "" none */
    int64_t last_event;
};
bool task_state_valid(const char *state);
bool task_state_final(const char *state);
MUST_USE enum rc task_insert(struct store_tx *tx, struct task *t,
                             struct err *err); /* sets number; event task.created is the caller's */
/* id exactly. RC_NOT_FOUND with the hint to `nightmill ls`. */
MUST_USE enum rc task_find(mem *ctx, struct store *s, const char *id, struct task *ret, struct err *err);
MUST_USE enum rc task_find_tx(mem *ctx, struct store_tx *tx, const char *id, struct task *ret, struct err *err);
struct task_filter {
    const char *state; /* NULL: any; "active": not final; several separated by commas */
    const char *repo;  /* NULL: any */
    const char *agent; /* NULL: any */
    const char *text;  /* NULL: any; else part of its title or text, in any case, or the beginning of its id */
    int64_t before;    /* numbers below; 0: from the newest */
    int64_t limit;
    bool brief; /* leaves text and spec NULL: quick lists; task_update then keeps the stored ones */
};
MUST_USE enum rc task_list(mem *ctx, struct store *s, const struct task_filter *f, struct task **ret, size_t *ret_n,
                           struct err *err); /* newest first */
/* How many in each state, of those that the filter takes (but for its state, before and limit). In the order of
 * task_state_name. */
#define TASK_STATES 9
const char *task_state_name(size_t i);
MUST_USE enum rc task_counts(mem *ctx, struct store *s, const struct task_filter *f, int64_t ret[TASK_STATES],
                             struct err *err);
/* Tasks that go on only when a person decides: those that need somebody, and those that rest at a limit. */
MUST_USE enum rc task_count_waiting(struct store *s, int64_t *ret, struct err *err);
/* The attempts of a trial in their order, brief. */
MUST_USE enum rc task_attempts(mem *ctx, struct store *s, const char *trial, struct task **ret, size_t *ret_n,
                               struct err *err);
MUST_USE enum rc task_attempts_tx(mem *ctx, struct store_tx *tx, const char *trial, struct task **ret, size_t *ret_n,
                                  struct err *err);
MUST_USE enum rc task_count(struct store *s, const char *state, int64_t *ret, struct err *err);
MUST_USE enum rc task_update(struct store_tx *tx, const struct task *t,
                             struct err *err); /* all mutable columns; RC_NOT_FOUND */

/* Events: numbered 1.. per task, append-only. */
struct event {
    int64_t number;
    int64_t time_ns;
    const char *type;  /* "iteration.started" */
    const char *actor; /* "system", "agent", "user" */
    const char *data;  /* JSON object */
    int64_t origin;    /* the runner's journal number, 0: made by the server */
};
/* Appends; the number is given. A repeated origin (> 0) of the same task is not an error: *ret_number is that of the
 * first and *ret_new false. */
MUST_USE enum rc event_append(struct store_tx *tx, const char *task_id, const struct event *e, int64_t *ret_number,
                              bool *ret_new, struct err *err);
MUST_USE enum rc event_list(mem *ctx, struct store *s, const char *task_id, int64_t after, int64_t limit,
                            struct event **ret, size_t *ret_n, struct err *err);
/* Of those that tell how iterations went alone: iteration.started, agent.finished, iteration.committed, verdict,
 * iteration.finished, delivered. Quick also where the agent said much. */
MUST_USE enum rc event_marks(mem *ctx, struct store *s, const char *task_id, int64_t after, int64_t limit,
                             struct event **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc event_last_origin(struct store *s, const char *task_id, int64_t *ret, struct err *err);

/* All events of the installation stand in one order, that of their commits: n, 1.. without gaps. A reader that saw n
 * has missed nothing before it. Events of no task have a topic instead: approvals, money, settings, system. */
struct event_row {
    int64_t n;
    const char *topic;   /* "task" for a task's */
    const char *task;    /* "" when it belongs to none */
    const char *project; /* the task's repository; "" */
    struct event e;      /* number 0 when it belongs to no task; data "" when it is longer than was asked for */
    int64_t bytes;       /* of its data, in characters */
};
/* Appends an event of no task (topic, not "task"); number and origin are not looked at. */
MUST_USE enum rc event_tell(struct store_tx *tx, const char *topic, const struct event *e, struct err *err);
MUST_USE enum rc event_all(mem *ctx, struct store *s, int64_t after, int64_t limit, int64_t data_most,
                           struct event_row **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc event_span(struct store *s, int64_t *ret_oldest, int64_t *ret_newest, struct err *err); /* 0: none */

/* Answers of creations, by the client's Idempotency-Key (at most 255 bytes). `who`: the principal's own space of keys.
 */
#define IDEMPOTENCY_HOURS 24
struct idempotency {
    const char *who, *key;
    const char *hash; /* of what was asked */
    int64_t status;   /* 0: it is under way, or was when a crash came */
    const char *body; /* JSON */
    int64_t time_ns;
};
/* Takes the key for this request: *ret_new. Otherwise *ret is what is known of it, in ctx. Forgets what is older than
 * IDEMPOTENCY_HOURS. */
MUST_USE enum rc idempotency_take(mem *ctx, struct store *s, const struct idempotency *i, bool *ret_new,
                                  struct idempotency *ret, struct err *err);
MUST_USE enum rc idempotency_put(struct store_tx *tx, const struct idempotency *i, struct err *err); /* its answer */
MUST_USE enum rc idempotency_drop(struct store *s, const struct idempotency *i, struct err *err);    /* it failed */

/* Approvals: three outcomes; waiting is not one. */
struct approval {
    const char *id; /* 7 characters */
    const char *task_id;
    const char *gate;    /* "plan", "commit" */
    int64_t sequence;    /* the runner's journal number that asked: one row per (task, sequence) */
    const char *subject; /* what is to be approved, text */
    const char *outcome; /* waiting approved refused expired */
    const char *answer;  /* words given with it, or NULL */
    const char *answered_by;
    int64_t asked_ns, answered_ns, expires_ns;
};
MUST_USE enum rc approval_insert(struct store_tx *tx, const struct approval *a, bool *ret_new, struct err *err);
MUST_USE enum rc approval_find(mem *ctx, struct store *s, const char *id, struct approval *ret, struct err *err);
MUST_USE enum rc approval_of_task(mem *ctx, struct store *s, const char *task_id, struct approval **ret, size_t *ret_n,
                                  struct err *err);
MUST_USE enum rc approval_waiting(mem *ctx, struct store *s, struct approval **ret, size_t *ret_n, struct err *err);
/* The task has ended: what still waits for an answer of it expires. */
MUST_USE enum rc approval_close(struct store_tx *tx, const char *task_id, int64_t now_ns, struct err *err);
/* RC_CONFLICT when it has an outcome already. */
MUST_USE enum rc approval_answer(struct store_tx *tx, const char *id, const char *outcome, const char *answer,
                                 const char *by, int64_t now_ns, struct err *err);

/* Who asks. Budgets, holds and ledger rows know a request by these; NULL where one does not apply. SCOPE_ALL is all
 * that the installation spends: it is no member, each request belongs to it, and its id is SCOPE_ALL_ID. */
enum scope {
    SCOPE_ORGANISATION,
    SCOPE_PROJECT,
    SCOPE_TASK,
    SCOPE_AGENT,
    SCOPE_MODEL,
    SCOPE_KEY,
    SCOPE_USER,
    SCOPE_ALL,
    SCOPES
};
#define SCOPE_ALL_ID "all"
struct spender {
    const char *organisation, *project, *task, *agent, *model, *key, *user;
};
#define SCOPE_ID_MAX 200            /* bytes */
const char *scope_name(enum scope); /* "organisation", ... */
bool scope_find(const char *name, enum scope *ret);
const char *spender_id(const struct spender *s, enum scope scope); /* NULL: does not apply */

/* Budgets: one row for each (scope, id, window, currency). The gateway's budgets (gateway/budget.h) hold to them; set
 * them there, so that they take effect. */
enum window { WINDOW_TOTAL, WINDOW_DAY, WINDOW_WEEK, WINDOW_TWO_WEEKS, WINDOW_MONTH, WINDOWS };
const char *window_name(enum window); /* "total", "day", "week", "two_weeks", "month" */
bool window_find(const char *name, enum window *ret);
struct budget {
    int64_t id;
    enum scope scope;
    const char *scope_id;
    enum window window;
    const char *zone;     /* IANA name: whose calendar */
    const char *currency; /* "" when only tokens are limited */
    pico money;           /* -1: no limit of money */
    int64_t tokens;       /* -1: no limit of tokens */
    bool hard;            /* refuses; else it only tells */
    int64_t soft_percent; /* tells when so much of it is spent; 0: never */
    bool pause;           /* a hard one: a task that reaches it pauses; else its requests are refused */
    bool keep_unused;     /* what is left of a window is added to the next */
    const char *source;   /* who set it */
    int64_t set_ns;       /* when it was first set */
    int64_t changed_ns;
    int64_t noticed_ns; /* start of the window for which it told */
};
/* Exchange rates: dated rows that are never changed. One unit of `from` is num/den units of `to`. */
struct rate {
    int64_t id;
    const char *from, *to;
    struct ratio ratio;
    int64_t from_ns; /* valid from */
    const char *source;
};

/* One conversion that a request needs, as it was when its hold was made. */
struct frozen_rate {
    char from[4], to[4];
    struct ratio ratio;
    int64_t rate_id; /* the row of the rate, which may name the other direction */
};

#define PRICE_OF_NOTHING (-1) /* price_id of a request that was played back from a recording: it costs nothing */
/* Money: holds and ledger. A model request is one attempt: hold first, settle or keep. What may be held is decided by
 * the gateway's budgets; here is what they are rebuilt from. */
struct hold {
    int64_t id; /* given by the gateway's budgets; 0 for hold_open: the next one, which it sets */
    struct spender spender;
    const char *request; /* its id; a run's: hold_request_of_call */
    int64_t attempt;     /* 1..; 0 for hold_open: the next free one of the request, which it sets */
    int64_t iteration;
    const char *provider, *dialect; /* "" when not known */
    int64_t price_id;               /* 0: no price is known */
    const char *currency;           /* of the price; of the task when none is known */
    pico amount;                    /* upper bound */
    int64_t tokens;                 /* upper bound of tokens */
    const char *state;              /* open settled released kept (kept: usage unknown, counts as spent) */
    int64_t opened_ns;              /* decides in which window of a budget it counts, also later as a ledger row */
    const struct frozen_rate *rates;
    size_t rate_count; /* stored by hold_open; not read back */
};
/* The request id of a call that a run names. In ctx. */
const char *hold_request_of_call(mem *ctx, const char *task_id, const char *call);
/* Inserts the row. RC_CONFLICT when this attempt of the request was made already. */
MUST_USE enum rc hold_open(struct store_tx *tx, struct hold *h, struct err *err);
MUST_USE enum rc hold_find(mem *ctx, struct store *s, int64_t id, struct hold *ret, struct err *err);
/* Those whose usage stayed unknown, oldest first, after a hold id. */
MUST_USE enum rc hold_list_kept(mem *ctx, struct store *s, int64_t after, int64_t limit, struct hold **ret,
                                size_t *ret_n, struct err *err);
/* A rate that the hold was made with. RC_NOT_FOUND when it needed none. */
MUST_USE enum rc hold_rate_find(struct store_tx *tx, int64_t hold_id, const char *from, const char *to,
                                struct ratio *ret, struct err *err);
MUST_USE enum rc hold_last_id(struct store *s, int64_t *ret, struct err *err); /* 0: there is none */
struct held {                                                                  /* of open and kept holds */
    const char *currency;                                                      /* "" where no price was known */
    pico amount;                                                               /* saturates */
    int64_t holds;
};
MUST_USE enum rc hold_held(mem *ctx, struct store *s, struct held **ret, size_t *ret_n,
                           struct err *err); /* by currency */
struct ledger_row {
    /* Taken from the hold: */
    int64_t hold_id;
    struct spender spender; /* model: as configured */
    const char *request;
    int64_t attempt;
    const char *provider, *dialect;
    int64_t iteration;
    int64_t opened_ns;
    /* Given when it is settled: */
    int64_t time_ns;
    const char *model_served; /* as the provider named it */
    int64_t price_id;
    const char *currency;
    struct usage usage;
    pico cost;
};
int64_t usage_tokens(const struct usage *u); /* all of them, saturating */
/* Settles an open hold exactly once: a hold that is settled already gives RC_OK and changes nothing (*ret_new false).
 */
MUST_USE enum rc hold_settle(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, bool *ret_new,
                             struct err *err);
MUST_USE enum rc hold_close(struct store_tx *tx, int64_t hold_id, const char *state,
                            struct err *err); /* "released" or "kept" */
/* A kept one whose usage became known: settled, or released when row is NULL. RC_CONFLICT when it is not kept. The
 * gateway's budgets_reconcile does this and counts anew. */
MUST_USE enum rc hold_reconcile(struct store_tx *tx, int64_t hold_id, const struct ledger_row *row, struct err *err);
MUST_USE enum rc hold_keep_open_ones(struct store_tx *tx, int64_t *ret_n,
                                     struct err *err); /* at start: what a crash left open is kept */
MUST_USE enum rc ledger_list(mem *ctx, struct store *s, const char *task_id, struct ledger_row **ret, size_t *ret_n,
                             struct err *err);
/* Those in another currency. */
MUST_USE enum rc ledger_foreign(mem *ctx, struct store *s, const char *task_id, const char *currency,
                                struct ledger_row **ret, size_t *ret_n, struct err *err);
/* Sums that are kept with the ledger: how long reading them takes does not depend on how many requests there were. */
struct ledger_tally {
    int64_t iteration;
    const char *currency;
    int64_t requests, unpriced;
    pico cost;
    struct usage usage;
};
/* Of a task, one for each iteration and currency. */
MUST_USE enum rc ledger_tallies(mem *ctx, struct store *s, const char *task_id, struct ledger_tally **ret,
                                size_t *ret_n, struct err *err);
/* Of everything that was opened in a span of time, one for each currency, without tokens. Both ends are whole quarters
 * of an hour, as every day of every time zone begins and ends with one. */
#define LEDGER_QUARTER_NS (INT64_C(900) * 1000000000)
MUST_USE enum rc ledger_span(mem *ctx, struct store *s, int64_t from_ns, int64_t to_ns, struct ledger_tally **ret,
                             size_t *ret_n, struct err *err);
struct spent {              /* of a task */
    pico settled, held;     /* held: open and kept holds */
    int64_t requests, kept; /* ledger rows; holds whose usage stayed unknown */
    int64_t unpriced;       /* of the ledger rows: those with price_id 0 */
    struct usage usage;
};
/* Money of all currencies is added up as it stands: use it where there is one. */
MUST_USE enum rc ledger_spent(struct store *s, const char *task_id, struct spent *ret, struct err *err);
MUST_USE enum rc ledger_spent_tx(struct store_tx *tx, const char *task_id, struct spent *ret, struct err *err);

/* The whole ledger: rows of a time, an exact value for each member of `who` that is not NULL. */
struct ledger_filter {
    int64_t from_ns, to_ns; /* opened_ns from (inclusive) to (exclusive); to_ns 0: no end */
    struct spender who;
    const char *provider; /* NULL: any */
};
/* Newest first, hold ids below `before` (0: from the newest). */
MUST_USE enum rc ledger_rows(mem *ctx, struct store *s, const struct ledger_filter *f, int64_t before, int64_t limit,
                             struct ledger_row **ret, size_t *ret_n, struct err *err);
enum ledger_by {
    BY_NONE, /* one group of all */
    BY_PROJECT,
    BY_TASK,
    BY_AGENT,
    BY_MODEL,
    BY_KEY,
    BY_USER,
    BY_PROVIDER,
    BY_ORGANISATION
};
struct ledger_group {
    const char *name;     /* "" where rows have none */
    const char *currency; /* one group for each currency */
    pico cost;
    int64_t requests, unpriced;
    struct usage usage;
};
/* By name and currency, in their order; `skip` groups are left out before. */
MUST_USE enum rc ledger_groups(mem *ctx, struct store *s, const struct ledger_filter *f, enum ledger_by by,
                               int64_t skip, int64_t limit, struct ledger_group **ret, size_t *ret_n, struct err *err);

/* What counts in a budget's window, for the gateway's budgets. On the writer thread: nothing is settled meanwhile. */
struct budget_span {
    enum scope scope;
    const char *scope_id;
    const char *currency;   /* the budget's */
    int64_t from_ns, to_ns; /* opened_ns from (inclusive) to (exclusive) */
};
struct budget_item { /* a ledger row in another currency, or a kept hold */
    int64_t hold_id;
    const char *currency;
    pico amount;
    int64_t tokens, opened_ns;
    struct ratio frozen; /* into the budget's currency; 0/0 when none was frozen */
};
/* Ledger rows: money of those in the budget's currency, tokens of all. */
MUST_USE enum rc budget_sum(struct store_tx *tx, const struct budget_span *span, pico *ret_money, int64_t *ret_tokens,
                            struct err *err);
/* Ledger rows with a cost in another currency, by hold id, after one. */
MUST_USE enum rc budget_foreign(mem *ctx, struct store_tx *tx, const struct budget_span *span, int64_t after,
                                int64_t limit, struct budget_item **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc budget_kept(mem *ctx, struct store_tx *tx, const struct budget_span *span, struct budget_item **ret,
                             size_t *ret_n, struct err *err);
MUST_USE enum rc ledger_has(struct store_tx *tx, int64_t hold_id, bool *ret, struct err *err);

/* Inserts the row, or gives the one of (scope, id, window, currency) other limits; sets id and set_ns. */
MUST_USE enum rc budget_put(struct store_tx *tx, struct budget *b, struct err *err);
MUST_USE enum rc budget_remove(struct store_tx *tx, int64_t id, struct err *err); /* RC_NOT_FOUND */
MUST_USE enum rc budget_noticed(struct store_tx *tx, int64_t id, int64_t window_ns, struct err *err);
MUST_USE enum rc budget_all(mem *ctx, struct store *s, struct budget **ret, size_t *ret_n, struct err *err);
/* Allowance of windows before, one row for the window that it enters. */
struct budget_carry {
    int64_t budget_id, window_ns;
    pico money;
    int64_t tokens, time_ns;
};
MUST_USE enum rc budget_carry_put(struct store_tx *tx, const struct budget_carry *c,
                                  struct err *err); /* the first one stays */
/* The latest at or before a window. RC_NOT_FOUND. */
MUST_USE enum rc budget_carry_find(struct store_tx *tx, int64_t budget_id, int64_t window_ns, struct budget_carry *ret,
                                   struct err *err);

MUST_USE enum rc rate_insert(struct store_tx *tx, struct rate *r, struct err *err); /* sets id */
MUST_USE enum rc rate_list(mem *ctx, struct store *s, struct rate **ret, size_t *ret_n,
                           struct err *err); /* by from_ns, then id */

/* Prices: dated rows. Built-in ones are inserted at open with source "built-in: ..." unless an equal row is there. */
MUST_USE enum rc price_insert(struct store_tx *tx, struct price *p, struct err *err); /* sets id */
/* The row in force for the model at a time: the newest from_ns <= at_ns; an operator's row wins over a built-in one.
 * RC_NOT_FOUND with the command that sets one. */
MUST_USE enum rc price_find(mem *ctx, struct store *s, const char *model, int64_t at_ns, struct price *ret,
                            struct err *err);
MUST_USE enum rc price_get(mem *ctx, struct store *s, int64_t id, struct price *ret, struct err *err);
MUST_USE enum rc price_list(mem *ctx, struct store *s, struct price **ret, size_t *ret_n, struct err *err);

/* Replies: the whole answer of a model request by (task, key), so that asking again after a crash costs nothing. Only
 * complete answers are kept; removed when the task is final. */
struct reply {
    int status;
    struct str content_type, body;
};
MUST_USE enum rc reply_put(struct store_tx *tx, const char *task_id, const char *key, const struct reply *r,
                           struct err *err);
MUST_USE enum rc reply_find(mem *ctx, struct store *s, const char *task_id, const char *key, struct reply *ret,
                            struct err *err); /* RC_NOT_FOUND */
MUST_USE enum rc reply_drop(struct store_tx *tx, const char *task_id, struct err *err);

/* Bench and tests. */
MUST_USE enum rc store_checkpoint(struct store *s, struct err *err);
struct db;
struct db *store_db(struct store *s);
