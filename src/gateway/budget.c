/* Admission and settlement in memory. How accounts come from rows: budget_load.c; how people change them:
 * budget_set.c. */
#include "base/clock.h"
#include "gateway/budget_private.h"
#include <inttypes.h>

int64_t budgets_time(struct budgets *b, int64_t now_ns)
{
    if (now_ns > b->now_ns)
        b->now_ns = now_ns;
    return b->now_ns;
}

/* ---- windows ---- */

static enum rc carry_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return budget_carry_put(tx, arg, err);
}

static void carry_done(void *arg, enum rc rc, const struct err *err)
{
    (void)rc; /* a lost row is made again from the ledger at the next start */
    (void)err;
    mem_free(arg);
}

/* What is left of a limit, never below zero. */
static int64_t left_of(int64_t limit, int64_t carried, wide used)
{
    wide left = limit < 0 ? 0 : (wide)limit + carried - used;
    return left < 0 ? 0 : wide_clamp(left);
}

/* Open holds count as spent: what they come to less later stays in their own window. */
static void account_carry(struct budgets *b, struct account *a, int64_t now_ns)
{
    pico money = left_of(a->row.money, a->carried, a->spent + a->held);
    int64_t tokens = left_of(a->row.tokens, a->carried_tokens, a->spent_tokens + a->held_tokens), start, end;
    zone_window(a->zone, a->row.window, a->end_ns, &start, &end);
    while (end <= now_ns) { /* windows in which nothing was asked for */
        money = left_of(a->row.money, money, 0);
        tokens = left_of(a->row.tokens, tokens, 0);
        zone_window(a->zone, a->row.window, end, &start, &end);
    }
    a->carried = money;
    a->carried_tokens = tokens;
    struct budget_carry *row = mem_new(NULL, struct budget_carry);
    *row = (struct budget_carry){a->row.id, start, money, tokens, now_ns};
    store_write_async(b->store, carry_tx, row, carry_done);
}

void account_roll(struct budgets *b, struct account *a, int64_t now_ns)
{
    if (now_ns < a->end_ns)
        return;
    if (a->row.keep_unused)
        account_carry(b, a, now_ns);
    zone_window(a->zone, a->row.window, now_ns, &a->start_ns, &a->end_ns);
    a->spent = a->held = a->spent_tokens = a->held_tokens = 0;
}

/* ---- who is concerned ---- */

static struct node *node_find(struct budgets *b, enum scope scope, const char *id)
{
    struct node *n = NULL;
    if (b->nodes[scope] && id)
        HASH_FIND_STR(b->nodes[scope], id, n);
    return n;
}

struct account *account_find(struct budgets *b, enum scope scope, const char *id, int64_t row_id)
{
    struct node *n = node_find(b, scope, id);
    struct account *a = n ? n->first : NULL;
    while (a && a->row.id != row_id)
        a = a->next;
    return a;
}

bool account_covers(const struct account *a, const struct spender *s, int64_t opened_ns)
{
    const char *id = spender_id(s, a->row.scope);
    return id && strcmp(id, a->row.scope_id) == 0 && opened_ns >= a->start_ns && opened_ns < a->end_ns;
}

/* The accounts of all scopes, each in its window around now. */
static void charges_collect(struct budgets *b, struct reservation *r, int64_t now_ns)
{
    r->charge_count = 0;
    for (int i = 0; i < SCOPES; i++) {
        struct node *n = node_find(b, (enum scope)i, spender_id(&r->spender, (enum scope)i));
        for (struct account *a = n ? n->first : NULL; a; a = a->next) {
            account_roll(b, a, now_ns);
            r->charges[r->charge_count++] = (struct charge){.account = a, .window_ns = a->start_ns};
        }
    }
}

/* ---- rates ---- */

/* Codes have three letters, or none. */
static bool currency_eq(const char *a, const char *b)
{
    return a[0] == b[0] && (!a[0] || (a[1] == b[1] && a[2] == b[2]));
}

/* The newest row of the pair, in whichever direction it was entered: so the way there and back agree. */
bool rate_look(const struct budgets *b, const char *from, const char *to, int64_t at_ns, struct frozen_rate *ret)
{
    *ret = (struct frozen_rate){.ratio = {1, 1}};
    memcpy(ret->from, from, 4);
    memcpy(ret->to, to, 4);
    if (currency_eq(from, to))
        return true;
    for (size_t i = b->rate_count; i-- > 0;) {
        const struct rate *r = &b->rates[i];
        bool there = currency_eq(r->from, from) && currency_eq(r->to, to);
        bool back = currency_eq(r->from, to) && currency_eq(r->to, from);
        if (r->from_ns > at_ns || (!there && !back))
            continue;
        ret->ratio = there ? r->ratio : (struct ratio){r->ratio.den, r->ratio.num};
        ret->rate_id = r->id;
        return true;
    }
    return false;
}

static const struct ratio *frozen(const struct reservation *r, const char *from, const char *to)
{
    static const struct ratio same = {1, 1};
    if (currency_eq(from, to))
        return &same;
    for (size_t i = 0; i < r->rate_count; i++)
        if (currency_eq(r->rates[i].from, from) && currency_eq(r->rates[i].to, to))
            return &r->rates[i].ratio;
    return NULL;
}

/* r is new: nobody else reads its rates yet. */
static bool freeze(struct budgets *b, struct reservation *r, const char *from, const char *to)
{
    if (frozen(r, from, to))
        return true;
    if (r->rate_count == FROZEN_RATES || !rate_look(b, from, to, r->opened_ns, &r->rates[r->rate_count]))
        return false;
    r->rate_count++;
    return true;
}

/* ---- what a request may take ---- */

/* Either an ask, whose output cap can be lowered, or a fixed bound. */
struct wish {
    const struct ask *ask;
    const struct bound *bound;
    bool priced; /* money can be bounded */
};

static size_t wish_count(const struct wish *w)
{
    return w->ask ? w->ask->candidate_count : 1;
}

/* The currency of the i-th price, or NULL. */
static const char *wish_currency(const struct wish *w, size_t i)
{
    if (w->bound)
        return w->bound->currency;
    return w->ask->candidates[i].price ? w->ask->candidates[i].price->currency : NULL;
}

static pico wish_amount(const struct wish *w, size_t i, int64_t output)
{
    if (w->bound)
        return w->bound->amount;
    struct demand d = w->ask->demand;
    d.output = output;
    return candidate_bound(&w->ask->candidates[i], &d);
}

/* The dearest of all prices, in one currency. */
static pico wish_money(const struct wish *w, const struct reservation *r, const char *currency, int64_t output)
{
    pico most = 0;
    for (size_t i = 0; i < wish_count(w); i++) {
        const char *from = wish_currency(w, i);
        if (!from)
            continue;
        const struct ratio *rate = frozen(r, from, currency);
        pico v = rate ? wish_amount(w, i, output) : INT64_MAX;
        if (rate && rate->num != rate->den)
            v = money_convert(v, *rate);
        most = v > most ? v : most;
    }
    return most;
}

static int64_t wish_tokens(const struct wish *w, int64_t output)
{
    if (w->bound)
        return w->bound->tokens;
    struct demand d = w->ask->demand;
    d.output = output;
    return demand_tokens(&d);
}

/* Largest v with ceil(v x rate) <= room. */
static pico room_before(pico room, struct ratio rate)
{
    if (room < 0)
        return -1;
    wide v = (wide)room * rate.den / rate.num;
    return v > INT64_MAX - 1 ? INT64_MAX - 1 : (pico)v;
}

static int64_t wish_output_within(const struct wish *w, const struct reservation *r, const struct account *a, pico room)
{
    int64_t output = w->ask ? w->ask->demand.output : 0;
    if (w->bound)
        return wish_money(w, r, a->currency, 0) <= room ? 0 : -1;
    for (size_t i = 0; i < wish_count(w); i++) {
        const struct ratio *rate = frozen(r, wish_currency(w, i), a->currency);
        int64_t fits = candidate_output_within(&w->ask->candidates[i], &w->ask->demand, room_before(room, *rate));
        output = fits < output ? fits : output;
    }
    return output;
}

static wide account_money(const struct account *a)
{
    return (wide)a->row.money + a->carried;
}

static wide account_tokens(const struct account *a)
{
    return (wide)a->row.tokens + a->carried_tokens;
}

/* Room as a number that arithmetic with INT64_MAX as "too much" can stand. */
static int64_t room_of(wide limit, wide used)
{
    wide room = limit - used;
    return room < 0 ? -1 : room > INT64_MAX - 1 ? INT64_MAX - 1 : (int64_t)room;
}

/* The output cap that the account affords, -1: nothing. */
static int64_t account_output(const struct account *a, const struct wish *w, const struct reservation *r)
{
    int64_t output = w->ask ? w->ask->demand.output : 0;
    if (!a->row.hard)
        return output;
    if (a->row.tokens >= 0) {
        int64_t room = room_of(account_tokens(a), a->spent_tokens + a->held_tokens);
        int64_t fits = w->ask ? demand_output_within(&w->ask->demand, room) : w->bound->tokens <= room ? 0 : -1;
        output = fits < output ? fits : output;
    }
    if (a->row.money >= 0 && output >= 0) {
        int64_t fits = wish_output_within(w, r, a, room_of(account_money(a), a->spent + a->held));
        output = fits < output ? fits : output;
    }
    return output;
}

/* ---- refusals ---- */

static const char *account_words(mem *tmp, const struct account *a)
{
    if (a->row.id == 0)
        return "this task's budget";
    if (a->row.scope == SCOPE_ALL)
        return mem_printf(tmp, "the budget %" PRId64 " of all that is spent here", a->row.id);
    return mem_printf(tmp, "the budget %" PRId64 " of the %s %s", a->row.id, scope_name(a->row.scope), a->row.scope_id);
}

static enum rc raise_hint(mem *tmp, const struct account *a, bool money, int64_t used, int64_t need, struct err *err)
{
    int64_t more = money_add(used, money_add(need, need));
    if (a->row.id == 0 && money)
        return err_hint(err, "raise it with: nightmill resume %s --budget %s", a->row.scope_id,
                        money_exact(tmp, more, 2));
    if (a->row.id == 0)
        return err_hint(err, "raise it with: nightmill resume %s --tokens %" PRId64, a->row.scope_id, more);
    return err_hint(err, "raise it with: nightmill budget raise %" PRId64 " %s", a->row.id,
                    money ? mem_printf(tmp, "--money %s", money_exact(tmp, need, 2))
                          : mem_printf(tmp, "--tokens %" PRId64, need));
}

struct judgement {
    enum refusal_kind kind;
    bool money;
    int64_t need;
};

static enum refusal_kind kind_of(wide limit, wide spent, wide held, int64_t need)
{
    if (need == INT64_MAX || need > limit)
        return REFUSAL_NEVER;
    if (spent + need > limit)
        return REFUSAL_USED;
    return spent + held + need > limit ? REFUSAL_BUSY : REFUSAL_NONE;
}

static struct judgement account_judge(const struct account *a, const struct wish *w, const struct reservation *r,
                                      int64_t least)
{
    struct judgement money = {.money = true}, tokens = {.money = false};
    if (!a->row.hard)
        return tokens;
    if (a->row.money >= 0) {
        money.need = wish_money(w, r, a->currency, least);
        money.kind = kind_of(account_money(a), a->spent, a->held, money.need);
    }
    if (a->row.tokens >= 0) {
        tokens.need = wish_tokens(w, least);
        tokens.kind = kind_of(account_tokens(a), a->spent_tokens, a->held_tokens, tokens.need);
    }
    return tokens.kind > money.kind ? tokens : money;
}

#define BUSY_RETRY_S 1

static void refusal_fill(const struct account *a, struct judgement j, int64_t now_ns, struct refusal *ret)
{
    *ret = (struct refusal){.kind = j.kind,
                            .limit = j.money ? "money" : "tokens",
                            .pause = a->row.pause,
                            .budget_id = a->row.id,
                            .scope = a->row.scope,
                            .retry_after_s = -1};
    if (j.kind == REFUSAL_BUSY)
        ret->retry_after_s = BUSY_RETRY_S;
    if (j.kind == REFUSAL_USED && a->end_ns != INT64_MAX) {
        ret->until_ns = a->end_ns;
        ret->retry_after_s = (a->end_ns - now_ns) / 1000000000 + 1;
    }
}

/* Of two that refuse, the one that refuses longer. */
static bool refusal_is_worse(const struct refusal *a, const struct refusal *than)
{
    if (a->kind != than->kind)
        return a->kind > than->kind;
    int64_t until = a->until_ns ? a->until_ns : INT64_MAX, other = than->until_ns ? than->until_ns : INT64_MAX;
    return a->kind == REFUSAL_USED && until > other;
}

static enum rc refuse_words(const struct account *a, struct judgement j, const struct refusal *f, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t limit = wide_clamp(j.money ? account_money(a) : account_tokens(a));
    int64_t used = wide_clamp(j.money ? a->spent + a->held : a->spent_tokens + a->held_tokens);
    const char *shown[3];
    const int64_t v[3] = {limit, used, j.need};
    for (int i = 0; i < 3; i++)
        shown[i] = j.money ? money_show(tmp, v[i], a->currency) : mem_printf(tmp, "%" PRId64, v[i]);
    const char *why = j.kind == REFUSAL_BUSY    ? "is taken by requests under way"
                      : j.kind == REFUSAL_NEVER ? "is smaller than what this request may take"
                      : f->until_ns             ? "is used up for now"
                                                : "is reached";
    err_set(err, RC_LIMIT, "%s of %s%s %s: %s used or held, the next request may %s %s", account_words(tmp, a),
            shown[0], j.money ? "" : " tokens", why, shown[1], j.money ? "cost" : "take", shown[2]);
    if (f->until_ns)
        err_detail(err, "it is replenished at %s", clock_rfc3339(tmp, f->until_ns));
    return raise_hint(tmp, a, j.money, used, j.need, err);
}

/* A task that is refused pauses and says so; a program gets an answer that its people may never see. Once for each
 * window, and again when the limits are others. */
static void refused_tell(struct budgets *b, struct account *a, const struct spender *who)
{
    bool told = a->refused_ns == a->start_ns && a->refused_money == a->row.money && a->refused_tokens == a->row.tokens;
    if (who->task || told || !b->on_notice)
        return;
    a->refused_ns = a->start_ns;
    a->refused_money = a->row.money;
    a->refused_tokens = a->row.tokens;
    struct budget_notice n = {.refused = true,
                              .budget = a->row,
                              .spender = *who,
                              .spent = wide_clamp(a->spent),
                              .spent_tokens = wide_clamp(a->spent_tokens),
                              .start_ns = a->start_ns,
                              .end_ns = a->end_ns};
    b->on_notice(b->on_notice_arg, &n);
}

static enum rc refuse_limit(struct budgets *b, const struct reservation *r, const struct wish *w, int64_t least,
                            int64_t now_ns, struct refusal *ret, struct err *err)
{
    struct account *worst = NULL;
    struct judgement why = {0};
    for (size_t i = 0; i < r->charge_count; i++) {
        struct refusal f;
        struct judgement j = account_judge(r->charges[i].account, w, r, least);
        refusal_fill(r->charges[i].account, j, now_ns, &f);
        if (j.kind == REFUSAL_NONE || (worst && !refusal_is_worse(&f, ret)))
            continue;
        worst = r->charges[i].account;
        why = j;
        *ret = f;
    }
    BUG_ON(!worst);
    if (ret->kind == REFUSAL_USED)
        refused_tell(b, worst, &r->spender);
    return refuse_words(worst, why, ret, err);
}

static enum rc refuse_price(const struct account *a, const struct wish *w, const char *model, struct refusal *ret,
                            struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *unpriced = w->ask ? w->ask->unpriced : NULL;
    *ret = (struct refusal){REFUSAL_PRICE, "price", a->row.pause, a->row.id, a->row.scope, 0, -1};
    if (unpriced) {
        err_set(err, RC_INVALID,
                "what a request with \"%s\" may cost is not bounded by prices a token, and %s limits it", unpriced,
                account_words(tmp, a));
        return err_hint(err, "leave \"%s\" out, or ask without a budget", unpriced);
    }
    err_set(err, RC_NOT_FOUND, "there is no price for the model %.100s, and %s limits it", model ? model : "",
            account_words(tmp, a));
    return err_hint(err, "set one (per million tokens) with: nightmill price set %.100s --input 3.00 --output 15.00",
                    model ? model : "MODEL");
}

enum rc rate_missing(const char *from, const char *to, struct err *err)
{
    err_set(err, RC_CONFLICT, "there is no exchange rate from %.3s to %.3s", from, to);
    return err_hint(err, "set it with: nightmill rate set %.3s %.3s RATE (one %.3s in %.3s)", from, to, from, to);
}

static enum rc refuse_rate(const struct account *a, const char *from, const char *to, struct refusal *ret,
                           struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = (struct refusal){REFUSAL_RATE, "price", a && a->row.pause, a ? a->row.id : 0, a ? a->row.scope : 0, 0, -1};
    enum rc rc = rate_missing(from, to, err);
    return a ? err_context(err, "%s is in %.3s", account_words(tmp, a), a->currency) : rc;
}

/* Something was spent in a currency that cannot be turned into the budget's: how much of it is left is not known. */
static enum rc refuse_uncounted(const struct account *a, struct refusal *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = (struct refusal){REFUSAL_RATE, "price", a->row.pause, a->row.id, a->row.scope, 0, -1};
    err_set(err, RC_CONFLICT, "%s: part of what was spent is in another currency, and the rate into %.3s is missing",
            account_words(tmp, a), a->currency);
    return err_hint(err, "nightmill ledger shows the currencies; set it with: nightmill rate set CURRENCY %.3s RATE",
                    a->currency);
}

/* ---- admission ---- */

/* Prices and rates: what is needed to count the request in every account. */
static enum rc wish_check(struct budgets *b, struct wish *w, struct reservation *r, struct refusal *ret,
                          struct err *err)
{
    w->priced = !(w->ask && w->ask->unpriced);
    for (size_t i = 0; i < wish_count(w); i++)
        w->priced = w->priced && wish_currency(w, i);
    for (size_t k = 0; k < r->charge_count; k++) {
        const struct account *a = r->charges[k].account;
        if (a->row.money < 0)
            continue;
        if (a->broken)
            return refuse_uncounted(a, ret, err);
        if (!w->priced && a->row.hard)
            return refuse_price(a, w, r->spender.model, ret, err);
        for (size_t i = 0; i < wish_count(w); i++) {
            const char *from = wish_currency(w, i);
            if (from && !freeze(b, r, from, a->currency))
                return refuse_rate(a, from, a->currency, ret, err);
        }
    }
    return RC_OK;
}

/* The hold is in the currency of the first price. Without a rate to it the others are left out: no budget counts them
 * in that currency, each counts in its own. */
static void hold_fill(struct budgets *b, const struct wish *w, struct reservation *r)
{
    const char *currency = wish_currency(w, 0);
    r->currency[0] = '\0';
    r->amount = 0;
    if (!currency)
        return;
    memcpy(r->currency, currency, 4);
    for (size_t i = 0; i < wish_count(w); i++) {
        const char *from = wish_currency(w, i);
        if (!from || !freeze(b, r, from, currency))
            continue;
        pico v = money_convert(wish_amount(w, i, r->output), *frozen(r, from, currency));
        r->amount = v > r->amount ? v : r->amount;
    }
}

static void reservation_link(struct budgets *b, struct reservation *r)
{
    r->open = true;
    r->next = b->open;
    r->back = &b->open;
    if (b->open)
        b->open->back = &r->next;
    b->open = r;
}

static enum rc admit_locked(struct budgets *b, struct wish *w, struct reservation *r, struct refusal *ret,
                            struct err *err)
{
    int64_t wanted = w->ask ? w->ask->demand.output : 0, output = wanted;
    int64_t least = !w->ask ? 0 : w->ask->least_output < wanted ? w->ask->least_output : wanted;
    charges_collect(b, r, r->opened_ns);
    enum rc rc = wish_check(b, w, r, ret, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < r->charge_count && output >= least; i++) {
        int64_t fits = account_output(r->charges[i].account, w, r);
        output = fits < output ? fits : output;
    }
    if (output < least)
        return refuse_limit(b, r, w, least, r->opened_ns, ret, err);
    r->output = output;
    r->tokens = wish_tokens(w, output);
    hold_fill(b, w, r);
    for (size_t i = 0; i < r->charge_count; i++) {
        struct charge *c = &r->charges[i];
        c->money = c->account->row.money >= 0 ? wish_money(w, r, c->account->currency, output) : 0;
        c->tokens = r->tokens;
        c->account->held += c->money;
        c->account->held_tokens += c->tokens;
    }
    r->hold_id = ++b->last_hold;
    reservation_link(b, r);
    return RC_OK;
}

static enum rc admit(struct budgets *b, const struct spender *spender, struct wish *w, int64_t now_ns,
                     struct reservation *r, struct refusal *ret, struct err *err)
{
    ret->kind = REFUSAL_NONE;
    ret->limit = NULL;
    r->open = false;
    r->spender = *spender;
    r->rate_count = 0;
    pthread_mutex_lock(&b->lock);
    r->opened_ns = budgets_time(b, now_ns);
    enum rc rc = admit_locked(b, w, r, ret, err);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

enum rc budgets_admit(struct budgets *b, const struct ask *ask, int64_t now_ns, struct reservation *ret,
                      struct refusal *ret_refusal, struct err *err)
{
    struct wish w = {.ask = ask};
    if (ask->candidate_count < 1 || ask->candidate_count > CANDIDATES_MAX || ask->demand.output < 0 ||
        ask->least_output < 0) {
        *ret_refusal = (struct refusal){.retry_after_s = -1};
        return err_set(err, RC_INVALID, "a model request has 1 to %d targets and a cap of output", CANDIDATES_MAX);
    }
    return admit(b, &ask->spender, &w, now_ns, ret, ret_refusal, err);
}

enum rc budgets_reserve(struct budgets *b, const struct spender *spender, const struct bound *bound, int64_t now_ns,
                        struct reservation *ret, struct refusal *ret_refusal, struct err *err)
{
    struct wish w = {.bound = bound};
    if (bound->amount < 0 || bound->tokens < 0 || (bound->currency && !currency_valid(bound->currency))) {
        *ret_refusal = (struct refusal){.retry_after_s = -1};
        return err_set(err, RC_INVALID, "a bound is not negative and names a currency");
    }
    return admit(b, spender, &w, now_ns, ret, ret_refusal, err);
}

static void room_lower(int64_t room, int64_t id, int64_t *ret, int64_t *ret_id)
{
    if (room >= *ret)
        return;
    *ret = room;
    *ret_id = id;
}

static enum rc room_locked(struct budgets *b, const struct reservation *r, const char *currency, int64_t now_ns,
                           struct room *ret, struct err *err)
{
    *ret = (struct room){INT64_MAX, INT64_MAX, -1, -1};
    for (size_t i = 0; i < r->charge_count; i++) {
        const struct account *a = r->charges[i].account;
        struct frozen_rate rate;
        if (!a->row.hard)
            continue;
        if (a->row.tokens >= 0) {
            int64_t room = room_of(account_tokens(a), a->spent_tokens + a->held_tokens);
            room_lower(room < 0 ? 0 : room, a->row.id, &ret->tokens, &ret->tokens_budget);
        }
        if (a->row.money < 0)
            continue;
        if (a->broken || !rate_look(b, currency, a->currency, now_ns, &rate))
            return rate_missing(currency, a->currency, err);
        pico room = room_of(account_money(a), a->spent + a->held);
        room_lower(room < 0 ? 0 : room_before(room, rate.ratio), a->row.id, &ret->money, &ret->money_budget);
    }
    return RC_OK;
}

enum rc budgets_room(struct budgets *b, const struct spender *spender, const char *currency, int64_t now_ns,
                     struct room *ret, struct err *err)
{
    if (!currency_valid(currency))
        return err_set(err, RC_INVALID, "a currency is three capital letters, such as USD");
    struct reservation r = {.spender = *spender};
    pthread_mutex_lock(&b->lock);
    int64_t now = budgets_time(b, now_ns);
    charges_collect(b, &r, now);
    enum rc rc = room_locked(b, &r, currency, now, ret, err);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

void reservation_hold(const struct reservation *r, struct hold *ret)
{
    *ret = (struct hold){.id = r->hold_id,
                         .spender = r->spender,
                         .currency = r->currency,
                         .amount = r->amount,
                         .tokens = r->tokens,
                         .opened_ns = r->opened_ns,
                         .rates = r->rates,
                         .rate_count = r->rate_count};
}

/* ---- the end of a reservation ---- */

struct outcome {
    bool nothing; /* was used */
    pico cost;
    const char *currency; /* NULL: the bound itself counts */
    int64_t tokens;
};

#define NOTICES_MOST 8 /* of one settlement; those beyond come with the next one */
struct notices {
    mem *own; /* NULL: none */
    struct budget_notice list[NOTICES_MOST];
    size_t n;
};

static bool soft_reached(int64_t limit, wide whole, wide spent, int64_t percent)
{
    return limit >= 0 && spent * 100 >= whole * percent;
}

static void notice_add(struct budgets *b, struct account *a, const struct spender *who, struct notices *list)
{
    if (!a->row.soft_percent || a->row.noticed_ns == a->start_ns || list->n == NOTICES_MOST || !b->on_notice)
        return;
    if (!soft_reached(a->row.money, account_money(a), a->spent, a->row.soft_percent) &&
        !soft_reached(a->row.tokens, account_tokens(a), a->spent_tokens, a->row.soft_percent))
        return;
    a->row.noticed_ns = a->start_ns;
    if (!list->own)
        list->own = mem_root();
    struct budget_notice *n = &list->list[list->n++];
    *n = (struct budget_notice){.budget = a->row,
                                .spender = *who,
                                .spent = wide_clamp(a->spent),
                                .spent_tokens = wide_clamp(a->spent_tokens),
                                .start_ns = a->start_ns,
                                .end_ns = a->end_ns};
    n->budget.scope_id = mem_str(list->own, a->row.scope_id);
    n->budget.zone = mem_str(list->own, a->row.zone);
    n->budget.currency = mem_str(list->own, a->row.currency);
    n->budget.source = mem_str(list->own, a->row.source);
}

struct noticed {
    int64_t id, window_ns;
};

static enum rc noticed_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct noticed *n = arg;
    return budget_noticed(tx, n->id, n->window_ns, err);
}

static void notices_tell(struct budgets *b, struct notices *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct noticed *row = mem_new(NULL, struct noticed);
        *row = (struct noticed){list->list[i].budget.id, list->list[i].start_ns};
        store_write_async(b->store, noticed_tx, row, carry_done);
        b->on_notice(b->on_notice_arg, &list->list[i]);
    }
    mem_free(list->own);
}

/* The money of an outcome as the account counts it; a currency that nobody foresaw costs the whole bound. */
static pico outcome_money(const struct reservation *r, const struct charge *c, const struct outcome *o)
{
    const struct ratio *rate = o->currency ? frozen(r, o->currency, c->account->currency) : NULL;
    if (o->nothing)
        return 0;
    if (!rate && o->currency && currency_eq(o->currency, r->currency) && c->rate.num)
        rate = &c->rate;
    if (!rate)
        return c->money;
    return rate->num == rate->den ? o->cost : money_convert(o->cost, *rate);
}

static bool charge_end(const struct reservation *r, const struct charge *c, const struct outcome *o)
{
    struct account *a = c->account;
    pico money = a->row.money >= 0 ? outcome_money(r, c, o) : 0;
    int64_t tokens = o->tokens < 0 ? c->tokens : o->tokens;
    if (a->start_ns == c->window_ns) { /* else its window is over, and this one knows nothing of it */
        a->held -= c->money;
        a->held_tokens -= c->tokens;
        a->spent += money;
        a->spent_tokens += tokens;
    }
    return money > c->money || tokens > c->tokens;
}

static bool reservation_end(struct budgets *b, struct reservation *r, const struct outcome *o)
{
    struct notices notices;
    bool over = false;
    notices.own = NULL;
    notices.n = 0;
    pthread_mutex_lock(&b->lock);
    if (!r->open) {
        pthread_mutex_unlock(&b->lock);
        return false;
    }
    r->open = false;
    *r->back = r->next;
    if (r->next)
        r->next->back = r->back;
    for (size_t i = 0; i < r->charge_count; i++) {
        struct account *a = r->charges[i].account;
        over |= charge_end(r, &r->charges[i], o);
        if (a->start_ns == r->charges[i].window_ns)
            notice_add(b, a, &r->spender, &notices);
    }
    pthread_mutex_unlock(&b->lock);
    if (notices.n)
        notices_tell(b, &notices);
    return over;
}

bool budgets_settle(struct budgets *b, struct reservation *r, pico cost, const char *currency, int64_t tokens)
{
    struct outcome o = {false, cost < 0 ? INT64_MAX : cost, currency ? currency : r->currency, tokens};
    return reservation_end(b, r, &o);
}

void budgets_release(struct budgets *b, struct reservation *r)
{
    struct outcome o = {.nothing = true};
    reservation_end(b, r, &o);
}

void budgets_keep(struct budgets *b, struct reservation *r)
{
    struct outcome o = {.tokens = -1};
    reservation_end(b, r, &o);
}
