/* From rows to accounts.
 *
 * Runs on the writer thread inside a job: nothing is settled or kept in the database meanwhile. What counts is then in
 * exactly one of these: a ledger row, a kept hold, or a reservation under way whose end memory has not been told yet
 * (budget.h, step 4). A reservation that has a ledger row already is left to the row; one whose hold is kept already is
 * left to the reservation. */
#include "gateway/budget_private.h"
#include <stdlib.h>

#define FOREIGN_PAGE 4096
#define CARRY_MOST   5000 /* windows to go back: 13 years of days */

/* ---- accounts ---- */

void account_free(struct account *a)
{
    if (a)
        mem_free(a->own);
}

enum rc account_new(const struct budget *row, int64_t now_ns, struct account **ret, struct err *err)
{
    mem *own = mem_root();
    struct account *a = mem_new(own, struct account);
    a->own = own;
    a->row = *row;
    a->row.scope_id = mem_str(own, row->scope_id);
    a->row.zone = mem_str(own, row->zone);
    a->row.currency = mem_str(own, row->currency ? row->currency : "");
    a->row.source = mem_str(own, row->source ? row->source : "");
    if (row->money >= 0)
        memcpy(a->currency, row->currency, 4);
    if (row->window != WINDOW_TOTAL && zone_open(own, row->zone, &a->zone, err) != RC_OK) {
        account_free(a);
        return err->rc;
    }
    zone_window(a->zone, row->window, now_ns, &a->start_ns, &a->end_ns);
    *ret = a;
    return RC_OK;
}

enum rc account_link(struct budgets *b, struct account *a, bool replaces, struct err *err)
{
    struct node *n = NULL;
    HASH_FIND_STR(b->nodes[a->row.scope], a->row.scope_id, n);
    if (n && n->count - replaces >= BUDGETS_PER_SCOPE)
        return err_set(err, RC_LIMIT, "the %s %s has %d budgets already; remove one first", scope_name(a->row.scope),
                       a->row.scope_id, BUDGETS_PER_SCOPE);
    if (!n) {
        size_t length = strlen(a->row.scope_id) + 1;
        n = mem_zalloc(NULL, sizeof *n + length);
        memcpy(n->id, a->row.scope_id, length);
        HASH_ADD_STR(b->nodes[a->row.scope], id, n);
    }
    a->node = n;
    a->next = n->first;
    n->first = a;
    n->count++;
    return RC_OK;
}

static struct charge *charge_find(struct reservation *r, const struct account *a)
{
    for (size_t i = 0; a && i < r->charge_count; i++)
        if (r->charges[i].account == a)
            return &r->charges[i];
    return NULL;
}

static void charge_drop(struct reservation *r, const struct account *a)
{
    struct charge *c = charge_find(r, a);
    if (c)
        *c = r->charges[--r->charge_count];
}

void account_remove(struct budgets *b, struct account *a)
{
    struct node *n = a->node;
    for (struct reservation *r = b->open; r; r = r->next)
        charge_drop(r, a);
    for (struct account **at = &n->first; *at; at = &(*at)->next) {
        if (*at == a) {
            *at = a->next;
            break;
        }
    }
    if (--n->count == 0) {
        HASH_DEL(b->nodes[a->row.scope], n);
        mem_free(n);
    }
    account_free(a);
}

/* ---- sums ---- */

struct tally {
    wide money, tokens;
    struct budget_item *kept;
    size_t kept_n;
};

/* Rates are replaced on this thread only: no lock is needed to read them. */
static enum rc item_money(const struct budgets *b, const struct budget_item *item, const char *currency, pico *ret,
                          struct err *err)
{
    struct frozen_rate rate = {.ratio = item->frozen};
    if (item->amount == 0 || strcmp(item->currency, currency) == 0) {
        *ret = item->amount;
        return RC_OK;
    }
    if (!item->frozen.num &&
        (!currency_valid(item->currency) || !rate_look(b, item->currency, currency, item->opened_ns, &rate)))
        return rate_missing(item->currency, currency, err);
    *ret = money_convert(item->amount, rate.ratio);
    return RC_OK;
}

static enum rc foreign_tally(struct budgets *b, struct store_tx *tx, const struct budget_span *span, struct tally *t,
                             struct err *err)
{
    int64_t after = INT64_MIN;
    for (;;) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct budget_item *items = NULL;
        size_t n = 0;
        enum rc rc = budget_foreign(tmp, tx, span, after, FOREIGN_PAGE, &items, &n, err);
        for (size_t i = 0; rc == RC_OK && i < n; i++) {
            pico v;
            rc = item_money(b, &items[i], span->currency, &v, err);
            if (rc == RC_OK)
                t->money += v;
            after = items[i].hold_id;
        }
        if (rc != RC_OK || n < FOREIGN_PAGE)
            return rc;
    }
}

/* Ledger rows and kept holds of a window. */
static enum rc tally_window(mem *ctx, struct budgets *b, struct store_tx *tx, const struct account *a, int64_t from_ns,
                            int64_t to_ns, struct tally *ret, struct err *err)
{
    struct budget_span span = {a->row.scope, a->row.scope_id, a->currency, from_ns, to_ns};
    int64_t money, tokens;
    *ret = (struct tally){0};
    enum rc rc = budget_sum(tx, &span, &money, &tokens, err);
    if (rc == RC_OK) {
        ret->money = money;
        ret->tokens = tokens;
    }
    if (rc == RC_OK && a->row.money >= 0)
        rc = foreign_tally(b, tx, &span, ret, err);
    if (rc == RC_OK)
        rc = budget_kept(ctx, tx, &span, &ret->kept, &ret->kept_n, err);
    for (size_t i = 0; rc == RC_OK && i < ret->kept_n; i++) {
        struct budget_item *k = &ret->kept[i];
        pico v = 0;
        if (a->row.money >= 0)
            rc = item_money(b, k, a->currency, &v, err);
        k->amount = v; /* from here on in the account's currency */
        ret->money += v;
        ret->tokens += k->tokens;
    }
    return rc;
}

static int64_t left_after(int64_t limit, int64_t carried, wide used)
{
    wide left = limit < 0 ? 0 : (wide)limit + carried - used;
    return left < 0 ? 0 : wide_clamp(left);
}

/* What the windows before leave to the one around now: from the last one whose beginning is on record. */
static enum rc carry_load(struct budgets *b, struct store_tx *tx, struct account *a, int64_t now_ns, struct err *err)
{
    struct budget_carry c = {.budget_id = a->row.id};
    enum rc rc = budget_carry_find(tx, a->row.id, a->start_ns, &c, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    int64_t from = rc == RC_OK ? c.window_ns : a->row.changed_ns < a->start_ns ? a->row.changed_ns : a->start_ns;
    int64_t start, end;
    bool recorded = rc == RC_OK && c.window_ns == a->start_ns;
    zone_window(a->zone, a->row.window, from, &start, &end);
    for (int i = 0; start < a->start_ns && i < CARRY_MOST; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct tally t;
        rc = tally_window(tmp, b, tx, a, start, end, &t, err);
        if (rc != RC_OK)
            return rc;
        c.money = left_after(a->row.money, c.money, t.money);
        c.tokens = left_after(a->row.tokens, c.tokens, t.tokens);
        zone_window(a->zone, a->row.window, end, &start, &end);
    }
    a->carried = c.money;
    a->carried_tokens = c.tokens;
    c.window_ns = a->start_ns;
    c.time_ns = now_ns;
    return recorded ? RC_OK : budget_carry_put(tx, &c, err);
}

/* ---- reservations under way ---- */

/* What a reservation that began before the account was there holds in it. */
static bool charge_money(const struct budgets *b, const struct account *a, const struct reservation *r,
                         struct charge *ret)
{
    struct frozen_rate rate = {.ratio = {1, 1}};
    if (a->row.money < 0 || r->amount == 0)
        return true;
    if (!rate_look(b, r->currency, a->currency, r->opened_ns, &rate))
        return false;
    ret->rate = rate.ratio;
    ret->money = money_convert(r->amount, rate.ratio);
    return true;
}

static enum rc reservations_check(struct budgets *b, struct store_tx *tx, const struct account *a, struct err *err)
{
    enum rc rc = RC_OK;
    for (struct reservation *r = b->open; rc == RC_OK && r; r = r->next) {
        struct charge c;
        if (!account_covers(a, &r->spender, r->opened_ns))
            continue;
        rc = ledger_has(tx, r->hold_id, &r->counted, err);
        if (rc == RC_OK && !r->counted && !charge_money(b, a, r, &c))
            rc = rate_missing(r->currency, a->currency, err);
    }
    return rc;
}

static void reservations_charge(struct budgets *b, struct account *a, const struct account *old, const struct tally *t)
{
    for (struct reservation *r = b->open; r; r = r->next) {
        struct charge c = {.account = a, .window_ns = a->start_ns, .tokens = r->tokens};
        struct charge *before = charge_find(r, old);
        if (!account_covers(a, &r->spender, r->opened_ns) || r->counted)
            continue;
        (void)charge_money(b, a, r, &c);
        if (before && strcmp(old->currency, a->currency) == 0) {
            c.money = before->money;
            c.rate = before->rate;
        }
        for (size_t i = 0; i < t->kept_n; i++) {
            if (t->kept[i].hold_id == r->hold_id) {
                a->spent -= t->kept[i].amount;
                a->spent_tokens -= t->kept[i].tokens;
            }
        }
        a->held += c.money;
        a->held_tokens += c.tokens;
        charge_drop(r, old);
        BUG_ON(r->charge_count == RESERVATION_CHARGES);
        r->charges[r->charge_count++] = c;
    }
}

static enum rc account_publish(struct budgets *b, struct store_tx *tx, struct account *a, struct account *old,
                               const struct tally *t, struct err *err)
{
    pthread_mutex_lock(&b->lock);
    enum rc rc = reservations_check(b, tx, a, err);
    if (rc == RC_OK)
        rc = account_link(b, a, old != NULL, err);
    if (rc == RC_OK) {
        reservations_charge(b, a, old, t);
        if (old)
            account_remove(b, old);
    }
    pthread_mutex_unlock(&b->lock);
    return rc;
}

enum rc account_load(struct budgets *b, struct store_tx *tx, const struct budget *row, int64_t now_ns,
                     struct account *old, struct account **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct account *a;
    struct tally t;
    enum rc rc = account_new(row, now_ns, &a, err);
    if (rc != RC_OK)
        return rc;
    if (row->keep_unused && row->window != WINDOW_TOTAL)
        rc = carry_load(b, tx, a, now_ns, err);
    if (rc == RC_OK)
        rc = tally_window(tmp, b, tx, a, a->start_ns, a->end_ns, &t, err);
    if (rc == RC_OK) {
        a->spent = t.money;
        a->spent_tokens = t.tokens;
        rc = account_publish(b, tx, a, old, &t, err);
    }
    if (rc != RC_OK) {
        account_free(a);
        return rc;
    }
    if (ret)
        *ret = a;
    return RC_OK;
}
