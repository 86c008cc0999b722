/* Budgets that cannot be overspent.
 *
 * All budgets stand in memory behind one mutex; the database has the rows from which they are rebuilt. Admission is one
 * step: for every budget that applies to the spender, spent + held + bound <= limit (with what was carried over); then
 * the bound is held on all of them, or on none and the request is refused. What is held is a true upper bound
 * (candidate_bound); only the output cap is lowered to what is affordable, never the hold of a larger request.
 *
 * The order of things, which makes a crash exact at every point:
 *   1. budgets_admit           memory only, about a microsecond, any thread, also the loop's
 *   2. reservation_hold + books_hold (or hold_open in a write of the store); NOTHING is sent before it is there.
 *                              It failed: budgets_release.
 *   3. books_end, or hold_settle (or hold_close "released"/"kept") together with the events of the step in ONE store
 *      write; repeating it changes nothing
 *   4. after that: budgets_settle / budgets_release / budgets_keep with the same outcome. The
 * write of 3 failed: budgets_keep. Rows first, memory second: between 3 and 4 too much is held, never too little. Steps
 * 4 are idempotent: the first one decides.
 *
 * Windows. A budget counts in calendar windows of its zone (zone.h). A reservation carries the window in which it was
 * opened: settled after the window ended, it touches that window only. Ledger rows keep opened_ns for the same reason.
 * Unused allowance is dropped or kept; kept allowance enters the next window as a row (table budget_carry), with open
 * holds counted as spent. Time never runs backwards here: an earlier `now` than the latest one counts as the latest.
 *
 * Currencies. A budget, a price and a ledger row each name theirs. The hold is in the currency of the first candidate's
 * price; every rate that was needed is frozen in the reservation and in the hold's rows (hold_rate), so that a
 * settlement cannot pass it through a change of rates. Conversions round up. Without a rate the request is refused with
 * the command that sets one.
 *
 * A limit that is soft only tells (budgets_on_notice) when what is spent (settled and kept) reaches the percentage,
 * once a window; a hard one refuses. A request without a known price is refused under a hard budget of money.
 *
 * The limits of a task's own row are budgets of the scope task that have no row in the table budget (id 0): give them
 * with budgets_task before each admission of that task (cheap when nothing changed). */
#pragma once
#include "store/store.h"

struct books;
struct budgets;
/* Rebuilds everything from the rows (books, which are opened before, may be NULL): keeps (as spent) what holds a crash
 * left open, sums the ledger for the windows around now. *ret_kept (may be NULL): how many holds were left open.
 * Belongs to ctx; free it before the store, when no reservation is open any more. */
MUST_USE enum rc budgets_open(mem *ctx, struct store *store, struct books *books, int64_t *ret_kept,
                              struct budgets **ret, struct err *err);

/* ---- admission ---- */

#define CANDIDATES_MAX      16
#define BUDGETS_PER_SCOPE   8 /* budgets on one scope: more are refused */
#define RESERVATION_CHARGES (SCOPES * BUDGETS_PER_SCOPE)

struct ask {
    struct spender spender;             /* strings live as long as the reservation */
    const struct candidate *candidates; /* the chain that the request may take, the first one first */
    size_t candidate_count;             /* 1 to CANDIDATES_MAX; duplicates are fine */
    struct demand demand;               /* output: the cap that is wanted */
    int64_t least_output;               /* below this the answer is useless: refuse instead of lowering the cap */
    const char *unpriced;               /* why prices a token do not bound the request, or NULL: refused under money */
};

enum refusal_kind {
    REFUSAL_NONE,
    REFUSAL_BUSY,  /* it would fit if requests under way come to less than their bound: try again soon */
    REFUSAL_USED,  /* the allowance is used until until_ns (0: for good, until raised) */
    REFUSAL_NEVER, /* not even the whole allowance is enough for this request */
    REFUSAL_PRICE, /* no price is known, or prices do not bound it */
    REFUSAL_RATE,  /* no exchange rate between the price's currency and the budget's */
};
struct refusal {
    enum refusal_kind kind;
    const char *limit; /* "money", "tokens", "price" (also for a rate); static */
    bool pause;        /* the budget says: pause the task; else refuse the request */
    int64_t budget_id; /* 0: the task's own limits */
    enum scope scope;
    int64_t until_ns;
    int64_t retry_after_s; /* -1: trying again does not help */
};
struct account; /* one budget in memory; private */
#define FROZEN_RATES 16
/* One admitted attempt. The caller's memory: it stays where it is until it is settled, released or kept. */
struct reservation {
    int64_t hold_id;   /* of the row that the caller writes */
    int64_t opened_ns; /* write this into the hold */
    struct spender spender;
    char currency[4]; /* "" when no price is known */
    pico amount;      /* of the hold */
    int64_t tokens;
    int64_t output; /* the cap to send */
    struct frozen_rate rates[FROZEN_RATES];
    size_t rate_count;
    /* Private: */
    bool open;
    bool counted;                     /* scratch: has a ledger row already */
    struct reservation *next, **back; /* of those that are open */
    size_t charge_count;
    struct charge {
        struct account *account;
        int64_t window_ns; /* start of the window it counts in */
        pico money;
        int64_t tokens;
        struct ratio rate; /* of a budget that was set meanwhile; 0/0: among `rates` */
    } charges[RESERVATION_CHARGES];
};
/* One step: finds the largest output cap up to the wanted one that all budgets afford, and holds the bound of it on all
 * of them. RC_LIMIT (busy, used, never), RC_NOT_FOUND (price), RC_CONFLICT (rate), with a sentence and the command that
 * helps; *ret_refusal (never NULL) then says the rest. */
MUST_USE enum rc budgets_admit(struct budgets *b, const struct ask *ask, int64_t now_ns, struct reservation *ret,
                               struct refusal *ret_refusal, struct err *err);
/* The same with a bound that the caller computed, in one currency. */
struct bound {
    const char *currency; /* NULL: no price is known; amount is then 0 */
    pico amount;
    int64_t tokens;
};
MUST_USE enum rc budgets_reserve(struct budgets *b, const struct spender *spender, const struct bound *bound,
                                 int64_t now_ns, struct reservation *ret, struct refusal *ret_refusal, struct err *err);
/* The smallest room of all hard budgets that apply: money in the currency (INT64_MAX: no limit), tokens likewise, each
 * with the budget that sets it (id; -1: none). A look, not a promise. RC_CONFLICT without a rate. */
struct room {
    pico money;
    int64_t tokens;
    int64_t money_budget, tokens_budget;
};
MUST_USE enum rc budgets_room(struct budgets *b, const struct spender *spender, const char *currency, int64_t now_ns,
                              struct room *ret, struct err *err);
/* What the hold's row says: id, spender, currency, amount, tokens, opened_ns, rates. The caller adds request, attempt,
 * iteration, provider, dialect, price_id. Borrowed from r. */
void reservation_hold(const struct reservation *r, struct hold *ret);

/* Exactly one of these for each reservation; a second one changes nothing. Any thread. cost is in `currency` (that of
 * the price that applied, one of the candidates'); true when it was above what was held: worth an alarm. */
bool budgets_settle(struct budgets *b, struct reservation *r, pico cost, const char *currency, int64_t tokens);
void budgets_release(struct budgets *b, struct reservation *r); /* nothing was used */
void budgets_keep(struct budgets *b, struct reservation *r);    /* usage unknown: the bound counts as spent */

/* ---- budgets: these block until the row is durable; not on the loop and not on the writer thread ---- */

/* The limits of a task's row (money < 0 and tokens 0: none). Raising takes effect at once. */
MUST_USE enum rc budgets_task(struct budgets *b, const char *task_id, pico money, int64_t tokens, const char *currency,
                              struct err *err);
void budgets_forget_task(struct budgets *b, const char *task_id); /* it is final; fine when unknown */
/* Sets the budget of (scope, id, window, currency): a new one (id is set) or other limits for the one that is there.
 * What was spent and what is under way counts from the window's start, also what was spent before the budget was set.
 */
MUST_USE enum rc budgets_set(struct budgets *b, struct budget *budget, struct err *err);
/* Adds to the limits (0: leave as it is). *ret in ctx. */
MUST_USE enum rc budgets_raise(mem *ctx, struct budgets *b, int64_t id, pico money, int64_t tokens, struct budget *ret,
                               struct err *err);
MUST_USE enum rc budgets_remove(struct budgets *b, int64_t id, struct err *err);
struct budget_state {
    struct budget budget;
    int64_t start_ns, end_ns; /* of the window around now; as zone_window */
    pico spent, held;         /* settled and kept; open */
    pico carried;             /* allowance from windows before */
    int64_t spent_tokens, held_tokens, carried_tokens;
};
/* Of one scope, or (id NULL) of all that have rows. In ctx. */
void budgets_list(mem *ctx, struct budgets *b, enum scope scope, const char *id, int64_t now_ns,
                  struct budget_state **ret, size_t *ret_n);
/* What will be spent when the window ends, if it goes on as it did since the window began: used * length / elapsed with
 * used = spent + held, and when the limit (with what was carried over) is reached at that rate: start + elapsed * limit
 * / used, of money or of tokens, whichever comes first. A plain line: it knows no weekends. */
struct budget_forecast {
    pico money;         /* -1: no limit of money */
    int64_t tokens;     /* -1: no limit of tokens */
    int64_t reached_ns; /* 0: not within this window, or it is reached already */
};
/* False where nothing can be said: a budget without windows, and the first twenty-fourth of a window. */
bool budget_foresee(const struct budget_state *s, int64_t now_ns, struct budget_forecast *ret);
/* A kept hold whose usage became known: settles it by hand (or releases it: row NULL) and counts anew what it counted
 * in. RC_CONFLICT when the hold is not kept. */
MUST_USE enum rc budgets_reconcile(struct budgets *b, int64_t hold_id, const struct ledger_row *row, struct err *err);

/* A dated rate; it holds from rate->from_ns on. Sets the id. */
MUST_USE enum rc budgets_rate_set(struct budgets *b, struct rate *rate, struct err *err);
/* The rate in force at a time, in either direction of a row; equal currencies are 1/1. RC_CONFLICT with the command. */
MUST_USE enum rc budgets_rate(struct budgets *b, const char *from, const char *to, int64_t at_ns,
                              struct frozen_rate *ret, struct err *err);

/* ---- notices ---- */

struct budget_notice { /* what is spent reached the soft threshold */
    bool refused;      /* or: a request of no task was refused for its hard limit, for the first time in the window */
    struct budget budget;
    struct spender spender; /* whose request it was */
    pico spent;
    int64_t spent_tokens, start_ns, end_ns;
};
/* Called on the thread that settled, outside of the lock, once a window for each budget. Must be short. Set at once
 * after budgets_open. */
void budgets_on_notice(struct budgets *b, void (*fn)(void *arg, const struct budget_notice *n), void *arg);
