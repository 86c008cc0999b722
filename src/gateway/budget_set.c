/* Budgets as people change them, rates, reconciliation, and the start.
 *
 * A change is one job on the writer thread: the row, and the account in memory at the same moment of the ledger. When
 * the commit fails afterwards, what was done in memory is taken back. */
#include "base/clock.h"
#include "gateway/budget_private.h"
#include <inttypes.h>
#include <stdlib.h>

/* ---- setting ---- */

/* Limits as they were, to be put back. */
struct limits {
    pico money;
    int64_t tokens, soft_percent, noticed_ns, changed_ns;
    bool hard, pause, keep_unused;
};

static struct limits limits_of(const struct budget *row)
{
    return (struct limits){row->money,      row->tokens, row->soft_percent, row->noticed_ns,
                           row->changed_ns, row->hard,   row->pause,        row->keep_unused};
}

static void limits_put(struct account *a, const struct limits *l)
{
    a->row.money = l->money;
    a->row.tokens = l->tokens;
    a->row.soft_percent = l->soft_percent;
    a->row.noticed_ns = l->noticed_ns;
    a->row.changed_ns = l->changed_ns;
    a->row.hard = l->hard;
    a->row.pause = l->pause;
    a->row.keep_unused = l->keep_unused;
    if (!l->keep_unused)
        a->carried = a->carried_tokens = 0;
}

struct change {
    struct budgets *b;
    struct budget *row; /* id 0 and no row of its own: the limits of a task */
    int64_t now_ns;
    /* What was done: */
    struct account *account;
    bool made;     /* account is new, */
    bool replaced; /* in place of another one; one that was there had these: */
    struct limits before;
    pico carried;
    int64_t carried_tokens;
};

static bool is_of_task(const struct change *c)
{
    return c->row->id == 0 && c->row->source == NULL;
}

/* The account of the same (scope, id, window, currency); a task's limits are found by having no row. */
static struct account *account_same(struct budgets *b, const struct budget *row, bool of_task)
{
    struct node *n = NULL;
    HASH_FIND_STR(b->nodes[row->scope], row->scope_id, n);
    for (struct account *a = n ? n->first : NULL; a; a = a->next) {
        if (of_task ? a->row.id == 0
                    : a->row.id != 0 && a->row.window == row->window && strcmp(a->row.currency, row->currency) == 0)
            return a;
    }
    return NULL;
}

/* Whether only limits differ, so that nothing has to be counted. */
static bool only_limits(const struct account *a, const struct budget *row)
{
    return !a->broken && strcmp(a->row.zone, row->zone) == 0 && strcmp(a->row.currency, row->currency) == 0;
}

/* Runs a change on the writer thread. What ends meanwhile waits: it would be neither in the rows that are counted nor
 * under way in memory. */
static enum rc rows_write(struct budgets *b, store_fn fn, void *arg, struct err *err)
{
    books_freeze(b->books);
    enum rc rc = store_write(b->store, fn, arg, err);
    books_thaw(b->books);
    return rc;
}

static enum rc change_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct change *c = arg;
    struct budgets *b = c->b;
    bool of_task = is_of_task(c);
    enum rc rc = books_apply(b->books, tx, err);
    if (rc != RC_OK)
        return rc;
    pthread_mutex_lock(&b->lock);
    c->now_ns = budgets_time(b, c->now_ns);
    struct account *old = account_same(b, c->row, of_task);
    c->replaced = old != NULL;
    if (old) {
        account_roll(b, old, c->now_ns);
        c->before = limits_of(&old->row);
        c->carried = old->carried;
        c->carried_tokens = old->carried_tokens;
    }
    pthread_mutex_unlock(&b->lock);
    rc = of_task ? RC_OK : budget_put(tx, c->row, err);
    if (rc != RC_OK)
        return rc;
    if (!old || !only_limits(old, c->row)) {
        rc = account_load(b, tx, c->row, c->now_ns, old, &c->account, err);
        c->made = rc == RC_OK;
        return rc;
    }
    struct limits limits = limits_of(c->row);
    pthread_mutex_lock(&b->lock);
    c->account = old;
    limits_put(old, &limits);
    if (c->row->source)
        old->row.source = mem_str(old->own, c->row->source);
    pthread_mutex_unlock(&b->lock);
    return RC_OK;
}

/* A budget that is still a row must not vanish from memory: one that was replaced stays, with the limits of before. */
static void change_undo(struct change *c)
{
    if (!c->account)
        return;
    pthread_mutex_lock(&c->b->lock);
    if (c->made && !c->replaced) {
        account_remove(c->b, c->account);
    } else {
        limits_put(c->account, &c->before);
        c->account->carried = c->carried;
        c->account->carried_tokens = c->carried_tokens;
    }
    pthread_mutex_unlock(&c->b->lock);
}

/* With the admin lock. */
static enum rc change_make(struct change *c, struct err *err)
{
    enum rc rc = rows_write(c->b, change_tx, c, err);
    if (rc != RC_OK)
        change_undo(c);
    return rc;
}

static enum rc budget_names_check(struct budget *row, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct zone *z;
    if (row->scope == SCOPE_ALL)
        row->scope_id = SCOPE_ALL_ID;
    const char *id = row->scope_id;
    if (!id || !id[0] || strlen(id) > SCOPE_ID_MAX || !str_utf8(str_of(id)))
        return err_set(err, RC_INVALID, "a budget needs the name of its %s, at most %d bytes", scope_name(row->scope),
                       SCOPE_ID_MAX);
    for (const char *p = id; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(err, RC_INVALID, "the name of a %s has no control characters", scope_name(row->scope));
    row->currency = row->money >= 0 ? row->currency : "";
    row->zone = row->zone && row->zone[0] ? row->zone : "UTC";
    row->source = row->source ? row->source : "operator";
    return zone_open(tmp, row->zone, &z, err);
}

static enum rc set_locked(struct budgets *b, struct budget *budget, struct err *err)
{
    struct budget row = *budget; /* its id says nothing: the row is found by what it limits */
    enum rc rc = budget_names_check(&row, err);
    if (rc != RC_OK)
        return rc;
    row.id = 0;
    row.set_ns = row.changed_ns = clock_wall_ns();
    row.noticed_ns = 0;
    struct change c = {.b = b, .row = &row, .now_ns = row.changed_ns};
    rc = change_make(&c, err);
    if (rc == RC_OK) {
        budget->id = row.id;
        budget->set_ns = row.set_ns;
        budget->changed_ns = row.changed_ns;
    }
    return rc;
}

enum rc budgets_set(struct budgets *b, struct budget *budget, struct err *err)
{
    pthread_mutex_lock(&b->admin);
    enum rc rc = set_locked(b, budget, err);
    pthread_mutex_unlock(&b->admin);
    return rc;
}

/* The account of a row, by its id. With the lock. */
static struct account *account_of_row(struct budgets *b, int64_t id)
{
    for (int i = 0; i < SCOPES; i++)
        for (struct node *n = b->nodes[i]; n; n = n->hh.next)
            for (struct account *a = n->first; a; a = a->next)
                if (a->row.id == id && id != 0)
                    return a;
    return NULL;
}

static void budget_copy(mem *ctx, const struct budget *from, struct budget *to)
{
    *to = *from;
    to->scope_id = mem_str(ctx, from->scope_id);
    to->zone = mem_str(ctx, from->zone);
    to->currency = mem_str(ctx, from->currency);
    to->source = mem_str(ctx, from->source);
}

static enum rc budget_missing(int64_t id, struct err *err)
{
    err_set(err, RC_NOT_FOUND, "there is no budget %" PRId64, id);
    return err_hint(err, "list them with: nightmill budget ls");
}

static enum rc raise_locked(mem *ctx, struct budgets *b, int64_t id, pico money, int64_t tokens, struct budget *ret,
                            struct err *err)
{
    pthread_mutex_lock(&b->lock);
    struct account *a = account_of_row(b, id);
    if (a)
        budget_copy(ctx, &a->row, ret);
    pthread_mutex_unlock(&b->lock);
    if (!a)
        return budget_missing(id, err);
    if (money < 0 || tokens < 0 || (money == 0 && tokens == 0))
        return err_set(err, RC_INVALID, "a budget is raised by an amount above 0");
    if ((money > 0 && ret->money < 0) || (tokens > 0 && ret->tokens < 0))
        return err_set(err, RC_INVALID, "budget %" PRId64 " does not limit %s", id,
                       money > 0 && ret->money < 0 ? "money" : "tokens");
    if (money > 0)
        ret->money = money_add(ret->money, money);
    if (tokens > 0)
        ret->tokens = money_add(ret->tokens, tokens);
    return set_locked(b, ret, err);
}

enum rc budgets_raise(mem *ctx, struct budgets *b, int64_t id, pico money, int64_t tokens, struct budget *ret,
                      struct err *err)
{
    pthread_mutex_lock(&b->admin);
    enum rc rc = raise_locked(ctx, b, id, money, tokens, ret, err);
    pthread_mutex_unlock(&b->admin);
    return rc;
}

static enum rc remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return budget_remove(tx, *(int64_t *)arg, err);
}

enum rc budgets_remove(struct budgets *b, int64_t id, struct err *err)
{
    pthread_mutex_lock(&b->admin);
    enum rc rc = store_write(b->store, remove_tx, &id, err);
    if (rc == RC_NOT_FOUND)
        rc = budget_missing(id, err);
    if (rc == RC_OK) {
        pthread_mutex_lock(&b->lock);
        struct account *a = account_of_row(b, id);
        if (a)
            account_remove(b, a);
        pthread_mutex_unlock(&b->lock);
    }
    pthread_mutex_unlock(&b->admin);
    return rc;
}

/* ---- the limits of a task ---- */

static struct account *task_account(struct budgets *b, const char *task_id)
{
    return account_find(b, SCOPE_TASK, task_id, 0);
}

void budgets_forget_task(struct budgets *b, const char *task_id)
{
    pthread_mutex_lock(&b->admin);
    pthread_mutex_lock(&b->lock);
    struct account *a = task_account(b, task_id);
    if (a)
        account_remove(b, a);
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_unlock(&b->admin);
}

enum rc budgets_task(struct budgets *b, const char *task_id, pico money, int64_t tokens, const char *currency,
                     struct err *err)
{
    struct budget row = {.scope = SCOPE_TASK,
                         .scope_id = task_id,
                         .window = WINDOW_TOTAL,
                         .zone = "UTC",
                         .currency = money >= 0 ? currency : "",
                         .money = money >= 0 ? money : -1,
                         .tokens = tokens > 0 ? tokens : -1,
                         .hard = true,
                         .pause = true};
    pthread_mutex_lock(&b->lock);
    const struct account *a = task_account(b, task_id);
    bool none = row.money < 0 && row.tokens < 0;
    bool same = a ? a->row.money == row.money && a->row.tokens == row.tokens && only_limits(a, &row) : none;
    pthread_mutex_unlock(&b->lock);
    if (same)
        return RC_OK;
    if (none) {
        budgets_forget_task(b, task_id);
        return RC_OK;
    }
    if (row.money >= 0 && !currency_valid(currency))
        return err_set(err, RC_INVALID, "the currency of a budget is three capital letters, such as USD");
    pthread_mutex_lock(&b->admin);
    struct change c = {.b = b, .row = &row, .now_ns = clock_wall_ns()};
    enum rc rc = change_make(&c, err);
    pthread_mutex_unlock(&b->admin);
    return rc;
}

/* ---- listing ---- */

static int state_order(const void *x, const void *y)
{
    const struct budget_state *a = x, *b = y;
    return (a->budget.id > b->budget.id) - (a->budget.id < b->budget.id);
}

static void state_fill(mem *ctx, const struct account *a, struct budget_state *s)
{
    budget_copy(ctx, &a->row, &s->budget);
    s->start_ns = a->start_ns;
    s->end_ns = a->end_ns;
    s->spent = wide_clamp(a->spent);
    s->held = wide_clamp(a->held);
    s->carried = a->carried;
    s->spent_tokens = wide_clamp(a->spent_tokens);
    s->held_tokens = wide_clamp(a->held_tokens);
    s->carried_tokens = a->carried_tokens;
}

void budgets_list(mem *ctx, struct budgets *b, enum scope scope, const char *id, int64_t now_ns,
                  struct budget_state **ret, size_t *ret_n)
{
    size_t n = 0, room = 0;
    pthread_mutex_lock(&b->lock);
    int64_t now = budgets_time(b, now_ns);
    for (int i = 0; i < SCOPES; i++)
        for (struct node *node = b->nodes[i]; node; node = node->hh.next)
            room += node->count;
    *ret = mem_array(ctx, struct budget_state, room);
    for (int i = 0; i < SCOPES; i++) {
        for (struct node *node = b->nodes[i]; node; node = node->hh.next) {
            for (struct account *a = node->first; a; a = a->next) {
                if (id ? a->row.scope != scope || strcmp(node->id, id) != 0 : a->row.id == 0)
                    continue;
                account_roll(b, a, now);
                state_fill(ctx, a, &(*ret)[n++]);
            }
        }
    }
    pthread_mutex_unlock(&b->lock);
    qsort(*ret, n, sizeof **ret, state_order);
    *ret_n = n;
}

/* ---- what comes ---- */

#define FORECAST_EARLY 24 /* before the 24th part of a window has passed a line through it says nothing */

static int64_t share(int64_t v, int64_t of, int64_t by)
{
    return wide_clamp((wide)v * of / by);
}

/* When a line through `used` meets the limit; INT64_MAX: it is reached already, or never. */
static int64_t meets_ns(const struct budget_state *s, int64_t used, int64_t limit, int64_t elapsed)
{
    if (limit < 0 || used <= 0 || used >= limit)
        return INT64_MAX;
    int64_t way = share(elapsed, limit, used);
    return way > INT64_MAX - s->start_ns ? INT64_MAX : s->start_ns + way;
}

bool budget_foresee(const struct budget_state *s, int64_t now_ns, struct budget_forecast *ret)
{
    if (s->budget.window == WINDOW_TOTAL || now_ns <= s->start_ns || now_ns >= s->end_ns)
        return false;
    int64_t length = s->end_ns - s->start_ns, elapsed = now_ns - s->start_ns;
    if (elapsed < length / FORECAST_EARLY)
        return false;
    pico used = money_add(s->spent, s->held);
    int64_t tokens = money_add(s->spent_tokens, s->held_tokens);
    bool money = s->budget.money >= 0, counted = s->budget.tokens >= 0;
    int64_t by_money = meets_ns(s, used, money ? money_add(s->budget.money, s->carried) : -1, elapsed);
    int64_t by_tokens = meets_ns(s, tokens, counted ? money_add(s->budget.tokens, s->carried_tokens) : -1, elapsed);
    int64_t at = by_money < by_tokens ? by_money : by_tokens;
    *ret = (struct budget_forecast){.money = money ? share(used, length, elapsed) : -1,
                                    .tokens = counted ? share(tokens, length, elapsed) : -1,
                                    .reached_ns = at < s->end_ns ? at : 0};
    return true;
}

/* ---- rates ---- */

struct rate_change {
    struct budgets *b;
    struct rate *rate;
    mem *old_own;
    const struct rate *old;
    size_t old_n;
    bool made;
};

static int rate_order(const void *x, const void *y)
{
    const struct rate *a = x, *b = y;
    return a->from_ns != b->from_ns ? (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns)
                                    : (a->id > b->id) - (a->id < b->id);
}

static void rate_copy(mem *ctx, const struct rate *from, struct rate *to)
{
    *to = *from;
    to->from = mem_str(ctx, from->from);
    to->to = mem_str(ctx, from->to);
    to->source = mem_str(ctx, from->source);
}

/* The list with one more row, in place of the old one. */
static void rates_replace(struct budgets *b, const struct rate *more)
{
    mem *own = mem_root();
    struct rate *list = mem_array(own, struct rate, b->rate_count + 1);
    for (size_t i = 0; i < b->rate_count; i++)
        rate_copy(own, &b->rates[i], &list[i]);
    rate_copy(own, more, &list[b->rate_count]);
    qsort(list, b->rate_count + 1, sizeof *list, rate_order);
    pthread_mutex_lock(&b->lock);
    b->rates_own = own;
    b->rates = list;
    b->rate_count++;
    pthread_mutex_unlock(&b->lock);
}

/* Accounts that waited for a rate may now know what was spent. */
static enum rc broken_load(struct budgets *b, struct store_tx *tx, int64_t now_ns, struct err *err)
{
    for (int i = 0; i < SCOPES; i++) {
        for (struct node *n = b->nodes[i], *next; n; n = next) {
            next = n->hh.next;
            for (struct account *a = n->first, *after; a; a = after) {
                after = a->next;
                enum rc rc = a->broken ? account_load(b, tx, &a->row, now_ns, a, NULL, err) : RC_OK;
                if (rc != RC_OK && rc != RC_CONFLICT)
                    return rc;
            }
        }
    }
    return RC_OK;
}

static enum rc rate_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct rate_change *c = arg;
    struct budgets *b = c->b;
    enum rc rc = books_apply(b->books, tx, err);
    if (rc == RC_OK)
        rc = rate_insert(tx, c->rate, err);
    if (rc != RC_OK)
        return rc;
    c->old_own = b->rates_own;
    c->old = b->rates;
    c->old_n = b->rate_count;
    c->made = true;
    rates_replace(b, c->rate);
    return broken_load(b, tx, b->now_ns, err);
}

enum rc budgets_rate_set(struct budgets *b, struct rate *rate, struct err *err)
{
    struct rate_change c = {.b = b, .rate = rate};
    pthread_mutex_lock(&b->admin);
    enum rc rc = rows_write(b, rate_tx, &c, err);
    pthread_mutex_lock(&b->lock);
    mem *unused = c.made ? c.old_own : NULL;
    if (c.made && rc != RC_OK) {
        unused = b->rates_own;
        b->rates_own = c.old_own;
        b->rates = c.old;
        b->rate_count = c.old_n;
    }
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_unlock(&b->admin);
    mem_free(unused);
    return rc;
}

enum rc budgets_rate(struct budgets *b, const char *from, const char *to, int64_t at_ns, struct frozen_rate *ret,
                     struct err *err)
{
    if (!currency_valid(from) || !currency_valid(to))
        return err_set(err, RC_INVALID, "a currency is three capital letters, such as USD");
    pthread_mutex_lock(&b->lock);
    bool found = rate_look(b, from, to, at_ns, ret);
    pthread_mutex_unlock(&b->lock);
    return found ? RC_OK : rate_missing(from, to, err);
}

/* ---- reconciliation ---- */

#define DELTAS_MOST (SCOPES * BUDGETS_PER_SCOPE)
struct reconcile {
    struct budgets *b;
    struct hold hold;
    const struct ledger_row *row;
    struct delta {
        struct account *account;
        int64_t window_ns;
        wide money, tokens;
    } deltas[DELTAS_MOST];
    size_t n;
    bool applied;
};

/* An amount of the hold's as the account counts it. */
static enum rc hold_money(struct budgets *b, struct store_tx *tx, const struct hold *h, pico v, const char *from,
                          const struct account *a, wide *ret, struct err *err)
{
    struct frozen_rate rate;
    *ret = 0;
    if (a->row.money < 0 || v == 0)
        return RC_OK;
    enum rc rc = hold_rate_find(tx, h->id, from, a->currency, &rate.ratio, err);
    if (rc == RC_NOT_FOUND)
        rc = rate_look(b, from, a->currency, h->opened_ns, &rate) ? RC_OK : rate_missing(from, a->currency, err);
    if (rc == RC_OK)
        *ret = money_convert(v, rate.ratio);
    return rc;
}

static enum rc delta_make(struct reconcile *x, struct store_tx *tx, struct account *a, struct err *err)
{
    struct delta *d = &x->deltas[x->n];
    wide before, after = 0;
    enum rc rc = hold_money(x->b, tx, &x->hold, x->hold.amount, x->hold.currency, a, &before, err);
    if (rc == RC_OK && x->row)
        rc = hold_money(x->b, tx, &x->hold, x->row->cost, x->row->currency, a, &after, err);
    *d = (struct delta){a, a->start_ns, after - before,
                        (wide)(x->row ? usage_tokens(&x->row->usage) : 0) - x->hold.tokens};
    x->n += rc == RC_OK;
    return rc;
}

static void deltas_apply(struct reconcile *x, int sign)
{
    pthread_mutex_lock(&x->b->lock);
    for (size_t i = 0; i < x->n; i++) {
        struct delta *d = &x->deltas[i];
        if (d->account->start_ns != d->window_ns)
            continue;
        d->account->spent += sign * d->money;
        d->account->spent_tokens += sign * d->tokens;
    }
    pthread_mutex_unlock(&x->b->lock);
}

static enum rc reconcile_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct reconcile *x = arg;
    enum rc rc = books_apply(x->b->books, tx, err);
    if (rc == RC_OK)
        rc = hold_reconcile(tx, x->hold.id, x->row, err);
    for (int i = 0; rc == RC_OK && i < SCOPES; i++) {
        struct node *n = NULL;
        const char *id = spender_id(&x->hold.spender, (enum scope)i);
        pthread_mutex_lock(&x->b->lock); /* the map; the accounts stay: changes take the admin lock */
        if (id)
            HASH_FIND_STR(x->b->nodes[i], id, n);
        pthread_mutex_unlock(&x->b->lock);
        for (struct account *a = n ? n->first : NULL; rc == RC_OK && a; a = a->next)
            if (account_covers(a, &x->hold.spender, x->hold.opened_ns))
                rc = delta_make(x, tx, a, err);
    }
    if (rc == RC_OK) {
        deltas_apply(x, 1);
        x->applied = true;
    }
    return rc;
}

enum rc budgets_reconcile(struct budgets *b, int64_t hold_id, const struct ledger_row *row, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct reconcile *x = mem_new(tmp, struct reconcile);
    x->b = b;
    x->row = row;
    enum rc rc = b->books ? books_sync(b->books, err) : RC_OK;
    if (rc == RC_OK)
        rc = hold_find(tmp, b->store, hold_id, &x->hold, err);
    if (rc != RC_OK)
        return rc;
    pthread_mutex_lock(&b->admin);
    rc = rows_write(b, reconcile_tx, x, err);
    if (rc != RC_OK && x->applied)
        deltas_apply(x, -1);
    pthread_mutex_unlock(&b->admin);
    return rc;
}

/* ---- the start ---- */

struct opening {
    struct budgets *b;
    struct budget *rows;
    size_t n;
    int64_t kept;
};

static enum rc open_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct opening *o = arg;
    struct budgets *b = o->b;
    enum rc rc = hold_keep_open_ones(tx, &o->kept, err);
    for (size_t i = 0; rc == RC_OK && i < o->n; i++) {
        rc = account_load(b, tx, &o->rows[i], b->now_ns, NULL, NULL, err);
        if (rc == RC_CONFLICT) { /* no rate: it refuses until there is one, and the rest of the house works */
            struct account *a;
            rc = account_new(&o->rows[i], b->now_ns, &a, err);
            if (rc == RC_OK) {
                a->broken = true;
                rc = account_link(b, a, false, err);
            }
        }
        if (rc != RC_OK)
            err_context(err, "budget %" PRId64, o->rows[i].id);
    }
    return rc;
}

static int budgets_destroy(struct budgets *b)
{
    for (int i = 0; i < SCOPES; i++)
        while (b->nodes[i])
            account_remove(b, b->nodes[i]->first);
    mem_free(b->rates_own);
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->admin);
    return 0;
}

enum rc budgets_open(mem *ctx, struct store *store, struct books *books, int64_t *ret_kept, struct budgets **ret,
                     struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct budgets *b = mem_new(ctx, struct budgets);
    struct opening o = {.b = b};
    struct rate *rates = NULL;
    b->store = store;
    b->books = books;
    b->now_ns = clock_wall_ns();
    b->rates_own = mem_root();
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->admin, NULL);
    talloc_set_destructor(b, budgets_destroy);
    enum rc rc = hold_last_id(store, &b->last_hold, err);
    if (rc == RC_OK)
        rc = rate_list(b->rates_own, store, &rates, &b->rate_count, err);
    b->rates = rates;
    if (rc == RC_OK)
        rc = budget_all(tmp, store, &o.rows, &o.n, err);
    if (rc == RC_OK)
        rc = store_write(store, open_tx, &o, err);
    if (rc != RC_OK) {
        mem_free(b);
        return rc;
    }
    if (ret_kept)
        *ret_kept = o.kept;
    *ret = b;
    return RC_OK;
}

void budgets_on_notice(struct budgets *b, void (*fn)(void *arg, const struct budget_notice *n), void *arg)
{
    b->on_notice = fn;
    b->on_notice_arg = arg;
}
