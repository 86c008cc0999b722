/* Decisions about trials. Not here: how an attempt waits for them (finish.c), when they are looked for (the server). */
#include "flow/trial.h"
#include "base/clock.h"
#include "base/id.h"
#include "flow/board_room.h"
#include "store/books.h"

enum standing {
    UNDER_WAY, /* works, waits for its turn, or for a person who was asked for leave or has paused it */
    RESTS,     /* at a limit, stuck, in need of something: goes on only when somebody does something about it */
    PASSED,
    OVER,
};

static enum standing standing_of(const struct task *t)
{
    static const struct {
        const char *state, *reason;
    } waiting[] = {{"needs_you", "approval"}, {"paused", "user"}, {"paused", "approval_expired"}};
    if (task_state_final(t->state))
        return OVER;
    if (board_state_is(t, "paused") && strcmp(t->reason, "trial") == 0)
        return PASSED;
    for (size_t i = 0; i < sizeof waiting / sizeof *waiting; i++)
        if (board_state_is(t, waiting[i].state) && strcmp(t->reason, waiting[i].reason) == 0)
            return UNDER_WAY;
    return board_state_is(t, "paused") || board_state_is(t, "needs_you") ? RESTS : UNDER_WAY;
}

static size_t standing_count(const struct task *attempts, size_t n, enum standing s)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += standing_of(&attempts[i]) == s;
    return found;
}

/* ---- who wins ---- */

static bool earlier(const struct task *a, const struct task *b)
{
    return a->changed_ns != b->changed_ns ? a->changed_ns < b->changed_ns : a->attempt < b->attempt;
}

static bool cheaper(const struct task *a, const struct trial_cost *cost_a, const struct task *b,
                    const struct trial_cost *cost_b)
{
    if (cost_a->known != cost_b->known)
        return cost_a->known;
    if (cost_a->known && cost_a->money != cost_b->money)
        return cost_a->money < cost_b->money;
    if (a->iteration != b->iteration)
        return a->iteration < b->iteration;
    return earlier(a, b);
}

int trial_winner(const struct trial *t, const struct task *attempts, const struct trial_cost *costs, size_t n)
{
    bool first = strcmp(t->rule, "first") == 0;
    int best = -1;
    if (!first && standing_count(attempts, n, UNDER_WAY) > 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (standing_of(&attempts[i]) != PASSED)
            continue;
        if (best < 0 || (first ? earlier(&attempts[i], &attempts[best])
                               : cheaper(&attempts[i], &costs[i], &attempts[best], &costs[best])))
            best = (int)i;
    }
    return best;
}

/* ---- making one ---- */

static bool same_text(struct json a, struct json b, const char *member)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *x = json_z(tmp, json_get(a, member), ""), *y = json_z(tmp, json_get(b, member), "");
    return strcmp(x, y) == 0;
}

static bool has_check(struct json spec)
{
    for (struct json_iter it = json_iter(json_get(spec, "checks")); json_next(&it);)
        if (json_bool(json_get(it.value, "required"), true))
            return true;
    return false;
}

static enum rc attempts_check(struct json list, struct err *err)
{
    static const char *const common[] = {"text", "repo", "git_dir", "base"};
    size_t n = json_type(list) == JSON_ARRAY ? json_len(list) : 0;
    if (n < 2 || n > TRIAL_ATTEMPTS_MAX)
        return err_set(err, RC_INVALID, "a trial has 2 to %d attempts", TRIAL_ATTEMPTS_MAX);
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        for (size_t i = 0; i < sizeof common / sizeof *common; i++)
            if (!same_text(json_at(list, 0), it.value, common[i]))
                return err_set(err, RC_INVALID, "the attempts of a trial have the same %s", common[i]);
        struct json limits = json_get(it.value, "limits"), first = json_get(json_at(list, 0), "limits");
        if (!same_text(first, limits, "money") || !same_text(first, limits, "currency") ||
            json_int(json_get(first, "tokens"), 0) != json_int(json_get(limits, "tokens"), 0))
            return err_set(err, RC_INVALID,
                           "limits of money and tokens are those of all attempts together: give each the same ones");
        if (!has_check(it.value)) {
            err_set(err, RC_INVALID, "a trial needs a check that says which attempt has passed");
            return err_hint(err, "name one with --check 'make test', or in nightmill.yaml");
        }
    }
    return RC_OK;
}

struct making {
    mem *ctx;
    struct trial *trial;
    struct json specs;
    struct task *attempts;
    size_t n;
};

static enum rc making_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct making *m = arg;
    enum rc rc = trial_insert(tx, m->trial, err);
    for (size_t i = 0; rc == RC_OK && i < m->n; i++)
        rc = board_task_put(m->ctx, tx, json_at(m->specs, i), &m->attempts[i], err);
    return rc;
}

/* The first ones have what does not divide. */
static int64_t share_of(int64_t all, size_t n, size_t i)
{
    return all / (int64_t)n + ((int64_t)i < all % (int64_t)n);
}

static enum rc shares_give(struct making *m, struct err *err)
{
    struct trial *t = m->trial;
    size_t n = m->n;
    t->limit_money = m->attempts[0].limit_money;
    t->limit_tokens = m->attempts[0].limit_tokens;
    if ((t->limit_money >= 0 && t->limit_money < (pico)n) || (t->limit_tokens > 0 && t->limit_tokens < (int64_t)n))
        return err_set(err, RC_INVALID, "the limit is too small to be shared by %zu attempts", n);
    for (size_t i = 0; i < n; i++) {
        if (t->limit_money >= 0)
            m->attempts[i].limit_money = share_of(t->limit_money, n, i);
        if (t->limit_tokens > 0)
            m->attempts[i].limit_tokens = share_of(t->limit_tokens, n, i);
    }
    return RC_OK;
}

enum rc trial_create(mem *ctx, const struct board *b, struct json body, struct trial *ret, struct err *err)
{
    struct json rule = json_get(body, "rule"), specs = json_get(body, "attempts");
    if (!json_eqz(rule, "first") && !json_eqz(rule, "cheapest"))
        return err_set(err, RC_INVALID, "the rule of a trial is \"first\" or \"cheapest\"");
    enum rc rc = attempts_check(specs, err);
    if (rc != RC_OK)
        return rc;
    struct making m = {.ctx = ctx, .trial = ret, .specs = specs, .n = json_len(specs)};
    m.attempts = mem_array(ctx, struct task, m.n);
    *ret = (struct trial){.id = id_new(ctx, 7), .rule = json_z(ctx, rule, ""), .open = true};
    for (size_t i = 0; rc == RC_OK && i < m.n; i++) {
        rc = board_task_make(ctx, b, json_at(specs, i), &m.attempts[i], err);
        m.attempts[i].trial = ret->id;
        m.attempts[i].attempt = (int64_t)i + 1;
    }
    if (rc != RC_OK)
        return err_context(err, "attempt");
    ret->title = m.attempts[0].title;
    ret->repo = m.attempts[0].repo;
    ret->currency = m.attempts[0].currency;
    ret->created_ns = m.attempts[0].created_ns;
    rc = shares_give(&m, err);
    return rc == RC_OK ? store_write(b->store, making_tx, &m, err) : rc;
}

/* ---- deciding ---- */

struct settling {
    mem *ctx;
    const struct board *board;
    struct books *books;
    const char *id;
    struct board_told *told; /* room for TRIAL_ATTEMPTS_MAX */
    size_t told_n;
    const char *stopped[TRIAL_ATTEMPTS_MAX]; /* whose HOME nobody wipes */
    size_t stopped_n;
};

/* "codex with gpt-5" */
static const char *attempt_label(mem *ctx, const struct task *t)
{
    bool own = strcmp(t->agent, AGENT_BUILT_IN) == 0;
    return mem_printf(ctx, "%s%s%s", own ? "builtin" : t->agent, *t->model ? " with " : "", t->model);
}

static enum rc decided_note(mem *ctx, struct store_tx *tx, const char *trial, const struct task *t, bool won,
                            const char *words, struct err *err)
{
    struct board_note n;
    board_note_begin(&n, ctx);
    jo_kz(&n.o, "trial", trial);
    jo_kb(&n.o, "won", won);
    jo_kz(&n.o, "words", words);
    return board_note_append(&n, tx, t->id, "trial.decided", "system", err);
}

/* The runner of a loser is told; without one the row says it. */
static enum rc loser_end(struct settling *s, struct store_tx *tx, struct task *t, const char *words, struct err *err)
{
    struct board_note n;
    enum rc rc = decided_note(s->ctx, tx, s->id, t, false, words, err);
    if (rc != RC_OK)
        return rc;
    if (!board_at_work(t)) {
        s->stopped[s->stopped_n++] = t->id;
        return board_state_set(s->ctx, tx, t, "stopped", "trial", words, err);
    }
    board_note_begin(&n, s->ctx);
    jo_kz(&n.o, "verb", "yield");
    jo_kz(&n.o, "words", words);
    rc = board_note_append(&n, tx, t->id, "control", "system", err);
    s->told[s->told_n++] = (struct board_told){t->id, mem_printf(s->ctx, "{\"control\":%.*s}", (int)n.b.n, n.b.p)};
    return rc;
}

static const char *lost_words(mem *ctx, const struct task *winner)
{
    return mem_printf(ctx, "another attempt won: %s (%s)", winner->id, attempt_label(ctx, winner));
}

static enum rc decide(struct settling *s, struct store_tx *tx, struct task *attempts, size_t n, size_t winner,
                      const char *why, struct err *err)
{
    struct task *w = &attempts[winner];
    enum rc rc = trial_decide(tx, s->id, w->id, clock_wall_ns(), err);
    if (rc == RC_OK)
        rc = decided_note(s->ctx, tx, s->id, w, true, why, err);
    if (rc == RC_OK)
        rc = board_state_set(s->ctx, tx, w, "queued", "", "won its trial; waits to be delivered", err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (i != winner && standing_of(&attempts[i]) != OVER)
            rc = loser_end(s, tx, &attempts[i], lost_words(s->ctx, w), err);
    return rc;
}

/* ---- sharing out ---- */

static bool at_its_share(const struct task *t)
{
    return board_state_is(t, "paused") &&
           (strcmp(t->reason, "limit_money") == 0 || strcmp(t->reason, "limit_tokens") == 0);
}

static bool takes(const struct task *t)
{
    return standing_of(t) == UNDER_WAY || at_its_share(t);
}

/* Takes off what is left of the share of one that asks no more. */
static enum rc share_free(struct store_tx *tx, const struct trial *t, struct task *a, pico *money, int64_t *tokens,
                          struct err *err)
{
    struct trial_cost cost;
    enum rc rc = trial_cost(tx, a->id, t->currency, &cost, err);
    if (rc != RC_OK)
        return rc;
    bool known = cost.known || cost.requests == 0;
    int64_t least = cost.tokens > 0 ? cost.tokens : 1; /* 0 would be no limit */
    bool moved = false;
    if (t->limit_money >= 0 && known && a->limit_money > cost.money) {
        *money = money_add(*money, a->limit_money - cost.money);
        a->limit_money = cost.money;
        moved = true;
    }
    if (t->limit_tokens > 0 && a->limit_tokens > least) {
        *tokens += a->limit_tokens - least;
        a->limit_tokens = least;
        moved = true;
    }
    return moved ? task_update(tx, a, err) : RC_OK;
}

static enum rc share_add(struct settling *s, struct store_tx *tx, struct task *a, pico money, int64_t tokens,
                         struct err *err)
{
    struct board_note n;
    struct task now;
    a->limit_money += a->limit_money >= 0 ? money : 0;
    a->limit_tokens += a->limit_tokens > 0 ? tokens : 0;
    enum rc rc = task_update(tx, a, err);
    board_note_begin(&n, s->ctx);
    jo_kz(&n.o, "money", a->limit_money >= 0 ? money_exact(s->ctx, a->limit_money, 2) : NULL);
    jo_ki(&n.o, "tokens", a->limit_tokens);
    jo_kz(&n.o, "currency", a->currency);
    jo_kz(&n.o, "words", "another attempt has ended: what it left of the trial's limit was shared out");
    if (rc == RC_OK)
        rc = board_note_append(&n, tx, a->id, "trial.share", "system", err);
    if (rc != RC_OK || !at_its_share(a) || !(strcmp(a->reason, "limit_money") == 0 ? money : tokens))
        return rc;
    return board_resume_put(s->ctx, tx, a->id, (struct json){0}, &now, err);
}

/* *ret_shared: attempts have more than before. */
static enum rc share_out(struct settling *s, struct store_tx *tx, const struct trial *t, struct task *attempts,
                         size_t n, bool *ret_shared, struct err *err)
{
    pico money = 0;
    int64_t tokens = 0;
    size_t takers = 0, at = 0;
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n; i++)
        takers += takes(&attempts[i]);
    for (size_t i = 0; rc == RC_OK && takers && i < n; i++) {
        enum standing is = standing_of(&attempts[i]);
        if (is == OVER || is == PASSED)
            rc = share_free(tx, t, &attempts[i], &money, &tokens, err);
    }
    *ret_shared = money > 0 || tokens > 0;
    for (size_t i = 0; rc == RC_OK && *ret_shared && i < n; i++) {
        if (!takes(&attempts[i]))
            continue;
        rc = share_add(s, tx, &attempts[i], share_of(money, takers, at), share_of(tokens, takers, at), err);
        at++;
    }
    return rc;
}

static bool limited(const struct trial *t)
{
    return t->limit_money >= 0 || t->limit_tokens > 0;
}

static enum rc costs_read(struct settling *s, struct store_tx *tx, const struct trial *t, const struct task *attempts,
                          size_t n, struct trial_cost **ret, struct err *err)
{
    enum rc rc = RC_OK;
    *ret = mem_array(s->ctx, struct trial_cost, n);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = trial_cost(tx, attempts[i].id, t->currency, &(*ret)[i], err);
    return rc;
}

static const char *won_words(mem *ctx, const struct trial *t, const struct trial_cost *cost)
{
    if (strcmp(t->rule, "first") == 0)
        return "the first attempt that passed";
    return cost->known ? mem_printf(ctx, "the cheapest attempt that passed: %s %s", money_exact(ctx, cost->money, 2),
                                    t->currency)
                       : "the best attempt that passed; what it cost is not known";
}

static enum rc settle_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct settling *s = arg;
    struct trial t;
    struct task *attempts;
    struct trial_cost *costs;
    size_t n;
    bool shared = false;
    enum rc rc = trial_find_tx(s->ctx, tx, s->id, &t, err);
    if (rc != RC_OK || !t.open || t.winner)
        return rc;
    rc = task_attempts_tx(s->ctx, tx, s->id, &attempts, &n, err);
    if (rc == RC_OK)
        rc = books_apply(s->books, tx, err); /* what was spent is read from rows */
    bool first = strcmp(t.rule, "first") == 0;
    if (rc == RC_OK && limited(&t) && (!first || standing_count(attempts, n, PASSED) == 0))
        rc = share_out(s, tx, &t, attempts, n, &shared, err);
    if (rc == RC_OK && shared) /* somebody may go on: rows have changed */
        rc = task_attempts_tx(s->ctx, tx, s->id, &attempts, &n, err);
    if (rc == RC_OK)
        rc = costs_read(s, tx, &t, attempts, n, &costs, err);
    if (rc != RC_OK)
        return rc;
    int winner = trial_winner(&t, attempts, costs, n);
    if (winner >= 0)
        return decide(s, tx, attempts, n, (size_t)winner, won_words(s->ctx, &t, &costs[winner]), err);
    return standing_count(attempts, n, OVER) == n ? trial_open_set(tx, s->id, false, err) : RC_OK;
}

/* Whether anything could come of a look: most of the time attempts just work. */
static bool worth_a_look(const struct trial *t, const struct task *attempts, size_t n)
{
    return standing_count(attempts, n, PASSED) > 0 || standing_count(attempts, n, OVER) == n ||
           (limited(t) && standing_count(attempts, n, OVER) > 0);
}

enum rc trials_settle(mem *ctx, const struct board *b, struct books *books, struct board_told **ret_told, size_t *ret_n,
                      struct err *err)
{
    struct trial *open;
    size_t n;
    *ret_told = NULL;
    *ret_n = 0;
    enum rc rc = trial_list_open(ctx, b->store, &open, &n, err);
    if (rc != RC_OK || !n)
        return rc;
    *ret_told = mem_array(ctx, struct board_told, n * TRIAL_ATTEMPTS_MAX);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct task *attempts;
        size_t count;
        rc = task_attempts(ctx, b->store, open[i].id, &attempts, &count, err);
        if (rc != RC_OK || !worth_a_look(&open[i], attempts, count))
            continue;
        struct settling s = {.ctx = ctx, .board = b, .books = books, .id = open[i].id, .told = *ret_told + *ret_n};
        rc = store_write(b->store, settle_tx, &s, err);
        if (rc != RC_OK)
            break;
        *ret_n += s.told_n;
        for (size_t k = 0; k < s.stopped_n; k++)
            board_home_wipe(b, s.stopped[k]);
    }
    return rc;
}

/* ---- what is done to single attempts ---- */

enum rc trial_late(mem *ctx, struct store_tx *tx, struct task *t, struct err *err)
{
    struct trial trial;
    struct task winner;
    bool rests = board_state_is(t, "paused") || board_state_is(t, "needs_you");
    if (!t->trial || !*t->trial || !rests)
        return RC_OK;
    enum rc rc = trial_find_tx(ctx, tx, t->trial, &trial, err);
    if (rc != RC_OK || !trial.winner || strcmp(trial.winner, t->id) == 0)
        return rc;
    rc = task_find_tx(ctx, tx, trial.winner, &winner, err);
    return rc == RC_OK ? board_state_set(ctx, tx, t, "stopped", "trial", lost_words(ctx, &winner), err) : rc;
}

enum rc trial_resumes(mem *ctx, struct store_tx *tx, const struct task *t, struct err *err)
{
    struct trial trial;
    if (!*t->trial)
        return RC_OK;
    if (standing_of(t) == PASSED) {
        err_set(err, RC_CONFLICT, "task %s has passed and waits for the other attempts of its trial", t->id);
        return err_hint(err, "stop them to have it delivered: nightmill show %s lists them", t->trial);
    }
    enum rc rc = trial_find_tx(ctx, tx, t->trial, &trial, err);
    if (rc != RC_OK || (trial.winner && strcmp(trial.winner, t->id) == 0))
        return rc;
    if (trial.winner) {
        err_set(err, RC_CONFLICT, "another attempt of its trial has won: %s", trial.winner);
        return err_hint(err, "look at its work with: nightmill diff %s", t->id);
    }
    return trial_open_set(tx, t->trial, true, err);
}

/* A person gave this attempt more (or less): so has the trial. */
enum rc trial_limits_moved(mem *ctx, struct store_tx *tx, const struct task *before, const struct task *after,
                           struct err *err)
{
    struct trial t;
    if (!*after->trial || (before->limit_money == after->limit_money && before->limit_tokens == after->limit_tokens))
        return RC_OK;
    enum rc rc = trial_find_tx(ctx, tx, after->trial, &t, err);
    if (rc != RC_OK)
        return rc;
    if (t.limit_money < 0 && after->limit_money >= 0)
        return err_set(err, RC_INVALID, "trial %s has no limit of money that could be changed", t.id);
    if (t.limit_tokens == 0 && after->limit_tokens > 0)
        return err_set(err, RC_INVALID, "trial %s has no limit of tokens that could be changed", t.id);
    if (t.limit_tokens > 0 && after->limit_tokens == 0)
        return err_set(err, RC_INVALID, "the tokens of an attempt have a limit, as its trial has");
    if (t.limit_money >= 0)
        t.limit_money = money_add(t.limit_money, after->limit_money - before->limit_money);
    if (t.limit_tokens > 0)
        t.limit_tokens += after->limit_tokens - before->limit_tokens;
    return trial_limits_set(tx, t.id, t.limit_money, t.limit_tokens, err);
}

/* ---- what is done to all of them ---- */

struct ordering {
    struct settling s;
    const char *verb;
    struct json wish;
    size_t done;
};

static bool order_fits(const struct task *t, const char *verb)
{
    if (strcmp(verb, "stop") == 0)
        return !task_state_final(t->state);
    return board_at_work(t) || board_state_is(t, "queued");
}

static enum rc order_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct ordering *o = arg;
    struct task *attempts, after;
    struct trial t;
    size_t n;
    enum rc rc = trial_find_tx(o->s.ctx, tx, o->s.id, &t, err);
    if (rc == RC_OK)
        rc = task_attempts_tx(o->s.ctx, tx, o->s.id, &attempts, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        char *tell;
        if (!order_fits(&attempts[i], o->verb))
            continue;
        rc = board_order_put(o->s.ctx, tx, attempts[i].id, o->verb, &after, &tell, err);
        if (rc != RC_OK)
            break;
        o->done++;
        o->s.told[o->s.told_n++] = (struct board_told){attempts[i].id, tell};
        if (task_state_final(after.state))
            o->s.stopped[o->s.stopped_n++] = attempts[i].id;
    }
    if (rc == RC_OK && !o->done)
        rc = err_set(err, RC_CONFLICT, "trial %s has no attempt that could be %s", t.id,
                     strcmp(o->verb, "stop") == 0 ? "stopped" : "paused");
    return rc;
}

enum rc trial_order(mem *ctx, const struct board *b, const char *id, const char *verb, struct board_told **ret_told,
                    size_t *ret_n, struct err *err)
{
    struct ordering o = {.s = {.ctx = ctx, .board = b, .id = id}, .verb = verb};
    o.s.told = mem_array(ctx, struct board_told, TRIAL_ATTEMPTS_MAX);
    enum rc rc = store_write(b->store, order_tx, &o, err);
    for (size_t i = 0; rc == RC_OK && i < o.s.stopped_n; i++)
        board_home_wipe(b, o.s.stopped[i]);
    *ret_told = o.s.told;
    *ret_n = rc == RC_OK ? o.s.told_n : 0;
    return rc;
}

static bool resume_fits(const struct trial *t, const struct task *a)
{
    bool rests = board_state_is(a, "paused") || board_state_is(a, "needs_you") || board_state_is(a, "failed");
    if (t->winner)
        return rests && strcmp(t->winner, a->id) == 0;
    return rests && standing_of(a) != PASSED && strcmp(a->reason, "approval") != 0;
}

/* New totals for all together: what is added goes to those that go on. */
static enum rc totals_move(struct ordering *o, struct store_tx *tx, struct trial *t, struct task *attempts, size_t n,
                           size_t takers, struct err *err)
{
    const char *money = json_z(o->s.ctx, json_get(o->wish, "money"), NULL);
    pico all = t->limit_money;
    int64_t tokens = json_int(json_get(o->wish, "tokens"), t->limit_tokens);
    if (money && money_parse(str_of(money), &all, err) != RC_OK)
        return err_context(err, "budget");
    if ((money && t->limit_money < 0) || (tokens > 0 && t->limit_tokens == 0))
        return err_set(err, RC_INVALID, "trial %s has no such limit", t->id);
    if (all < t->limit_money || tokens < t->limit_tokens)
        return err_set(err, RC_INVALID, "the limits of a trial can be raised, not lowered");
    pico more = all - t->limit_money;
    int64_t more_tokens = tokens - t->limit_tokens;
    enum rc rc = more || more_tokens ? trial_limits_set(tx, t->id, all, tokens, err) : RC_OK;
    for (size_t i = 0, at = 0; rc == RC_OK && (more || more_tokens) && i < n; i++) {
        if (!resume_fits(t, &attempts[i]))
            continue;
        attempts[i].limit_money += attempts[i].limit_money >= 0 ? share_of(more, takers, at) : 0;
        attempts[i].limit_tokens += attempts[i].limit_tokens > 0 ? share_of(more_tokens, takers, at) : 0;
        at++;
        rc = task_update(tx, &attempts[i], err);
    }
    return rc;
}

/* What is said of each attempt: without the totals. */
static struct json wish_of_each(mem *ctx, struct json wish)
{
    struct buf b;
    struct json_out o;
    struct json each = {0};
    buf_init(&b, ctx, 1u << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    for (struct json_iter it = json_iter(wish); json_next(&it);)
        if (!str_eqz(it.key_raw, "money") && !str_eqz(it.key_raw, "tokens"))
            jo_kraw(&o, str_dup(ctx, it.key_raw), json_raw(it.value));
    jo_end_obj(&o);
    return json_parse(ctx, buf_view(&b), &each, NULL) == RC_OK ? each : (struct json){0};
}

static enum rc resume_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct ordering *o = arg;
    struct task *attempts, after;
    struct trial t;
    size_t n, takers = 0;
    enum rc rc = trial_find_tx(o->s.ctx, tx, o->s.id, &t, err);
    if (rc == RC_OK)
        rc = task_attempts_tx(o->s.ctx, tx, o->s.id, &attempts, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        takers += resume_fits(&t, &attempts[i]);
    if (rc == RC_OK && !takers)
        rc = err_set(err, RC_CONFLICT, "trial %s has no attempt that could go on", t.id);
    if (rc == RC_OK)
        rc = totals_move(o, tx, &t, attempts, n, takers, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (resume_fits(&t, &attempts[i]))
            rc = board_resume_put(o->s.ctx, tx, attempts[i].id, wish_of_each(o->s.ctx, o->wish), &after, err);
    return rc;
}

enum rc trial_resume(mem *ctx, const struct board *b, const char *id, struct json wish, struct err *err)
{
    struct ordering o = {.s = {.ctx = ctx, .board = b, .id = id}, .wish = wish};
    return store_write(b->store, resume_tx, &o, err);
}

/* ---- what is shown ---- */

/* The attempt that says most about a trial without a winner, by what a person can do about it. */
static const struct task *telling(const struct task *attempts, size_t n)
{
    static const char *const order[] = {"working", "checking", "queued",   "needs_you",
                                        "paused",  "failed",   "unproven", "stopped"};
    for (size_t s = 0; s < sizeof order / sizeof *order; s++)
        for (size_t i = 0; i < n; i++)
            if (board_state_is(&attempts[i], order[s]) && standing_of(&attempts[i]) != PASSED)
                return &attempts[i];
    return &attempts[0];
}

struct trial_state trial_state_of(mem *ctx, const struct trial *t, const struct task *attempts, size_t n)
{
    size_t passed = standing_count(attempts, n, PASSED), over = standing_count(attempts, n, OVER);
    for (size_t i = 0; t->winner && i < n; i++) {
        const struct task *w = &attempts[i];
        if (strcmp(w->id, t->winner) == 0)
            return (struct trial_state){
                w->state, w->reason,
                mem_printf(ctx, "attempt %lld won (%s): %s", (long long)w->attempt, attempt_label(ctx, w), w->words)};
    }
    if (!n)
        return (struct trial_state){"failed", "", "has no attempts"};
    const struct task *a = telling(attempts, n);
    if (over == n)
        return (struct trial_state){a->state, a->reason, mem_printf(ctx, "none of the %zu attempts passed", n)};
    if (passed && standing_count(attempts, n, UNDER_WAY) == 0) /* is about to be decided */
        return (struct trial_state){"working", "", "is being decided"};
    return (struct trial_state){
        a->state, a->reason,
        mem_printf(ctx, "%zu of %zu attempts under way, %zu passed, %zu ended", n - passed - over, n, passed, over)};
}

void trial_json(mem *ctx, const struct trial *t, const struct task *attempts, size_t n, struct json_out *o)
{
    struct trial_state s = trial_state_of(ctx, t, attempts, n);
    jo_obj(o);
    jo_kz(o, "id", t->id);
    jo_ki(o, "number", t->number);
    jo_kz(o, "title", t->title);
    jo_kz(o, "repo", t->repo);
    jo_kz(o, "rule", t->rule);
    jo_kz(o, "state", s.state);
    jo_kz(o, "reason", s.reason);
    jo_kz(o, "words", s.words);
    jo_kz(o, "winner", t->winner);
    jo_kz(o, "created_at", clock_rfc3339(ctx, t->created_ns));
    jo_kz(o, "decided_at", t->decided_ns ? clock_rfc3339(ctx, t->decided_ns) : NULL);
    jo_key(o, "limits");
    jo_obj(o);
    jo_kz(o, "money", t->limit_money >= 0 ? money_exact(ctx, t->limit_money, 2) : NULL);
    jo_ki(o, "tokens", t->limit_tokens);
    jo_kz(o, "currency", t->currency);
    jo_end_obj(o);
}
