/* Answers from recordings. */
#include "gateway/replay.h"
#include "base/clock.h"
#include "gateway/recording.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_MOST 8 /* recordings in memory */

struct replay {
    mem *ctx; /* NULL: free */
    char *task_id, *file;
    struct player *player;
    uint64_t used;
};
struct replays {
    pthread_mutex_t lock;
    struct replay open[OPEN_MOST];
    uint64_t uses;
};

static int replays_done(struct replays *r)
{
    for (size_t i = 0; i < OPEN_MOST; i++)
        mem_free(r->open[i].ctx);
    pthread_mutex_destroy(&r->lock);
    return 0;
}

struct replays *replays_new(mem *ctx)
{
    struct replays *r = mem_new(ctx, struct replays);
    pthread_mutex_init(&r->lock, NULL);
    talloc_set_destructor(r, replays_done);
    return r;
}

static enum rc file_read(mem *ctx, const char *path, struct str *ret, struct err *err)
{
    struct stat st;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in its place must not block */
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(err, errno, "could not read the recording %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, RC_INVALID, "the recording %s is no file", path);
    if (st.st_size > RECORDING_MAX)
        return err_set(err, RC_LIMIT, "the recording %s is larger than %u MiB", path, RECORDING_MAX >> 20);
    char *text = mem_zalloc(ctx, (size_t)st.st_size + 1);
    size_t n = 0;
    while (n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "could not read the recording %s", path);
        if (!got)
            break;
        n += (size_t)got;
    }
    *ret = str_n(text, n);
    return RC_OK;
}

static enum rc replay_open(struct replay *slot, const char *task_id, const char *file, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text;
    mem *ctx = mem_root();
    struct replay new = {.ctx = ctx, .task_id = mem_str(ctx, task_id), .file = mem_str(ctx, file)};
    enum rc rc = file_read(tmp, file, &text, err);
    if (rc == RC_OK)
        rc = player_read(ctx, text, &new.player, err);
    if (rc != RC_OK) {
        mem_free(ctx);
        return rc;
    }
    mem_free(slot->ctx);
    *slot = new;
    return RC_OK;
}

/* The open one of the task, or the place of the one that was not used for longest. */
static struct replay *replay_slot(struct replays *r, const char *task_id, const char *file, bool *ret_open)
{
    struct replay *oldest = &r->open[0];
    for (size_t i = 0; i < OPEN_MOST; i++) {
        struct replay *at = &r->open[i];
        *ret_open = at->ctx && strcmp(at->task_id, task_id) == 0 && strcmp(at->file, file) == 0;
        if (*ret_open)
            return at;
        if (at->used < oldest->used)
            oldest = at;
    }
    return oldest;
}

/* What the ledger has of the task: also after a restart. */
static enum rc answers_given(struct call *c, size_t *ret, struct err *err)
{
    struct spent spent;
    enum rc rc = ledger_spent(c->g->spec.store, c->caller.task_id, &spent, err);
    *ret = rc == RC_OK ? (size_t)spent.requests : 0;
    return rc;
}

static enum rc answer_take(struct call *c, const char *file, struct err *err)
{
    struct replays *r = c->g->replays;
    char hash[RECORDING_HASH];
    struct recorded found;
    bool open;
    size_t given;
    if (answers_given(c, &given, err) != RC_OK)
        return err->rc;
    recording_hash(c->body, c->caller.task_id, hash);
    pthread_mutex_lock(&r->lock);
    struct replay *slot = replay_slot(r, c->caller.task_id, file, &open);
    enum rc rc = open ? RC_OK : replay_open(slot, c->caller.task_id, file, err);
    if (rc == RC_OK) {
        slot->used = ++r->uses;
        rc = player_in_order(slot->player) ? player_at(slot->player, given, &found, err)
                                           : player_next(slot->player, hash, &found, err);
    }
    if (rc == RC_OK)
        c->stored = (struct reply){.status = found.status,
                                   .content_type = str_of(mem_str(c->ctx, found.content_type)),
                                   .body = str_n(mem_strn(c->ctx, found.body.p, found.body.n), found.body.n)};
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* ---- the ledger ---- */

struct booking {
    struct call *call;
    struct reservation *reservation;
};

static enum rc event_book(struct call *c, struct store_tx *tx, struct err *err)
{
    struct spent spent;
    struct buf b;
    struct json_out o;
    int64_t number;
    bool fresh;
    enum rc rc = ledger_spent_tx(tx, c->caller.task_id, &spent, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&b, c->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ki(&o, "iteration", c->iteration);
    jo_kz(&o, "model", c->facts.model);
    jo_kz(&o, "model_served", c->facts.model);
    jo_kz(&o, "provider", "replay");
    static const char *const counts[] = {"input", "cache_read", "cache_write", "output", "reasoning"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        jo_ki(&o, counts[i], 0);
    jo_kz(&o, "cost", "0.00");
    jo_kz(&o, "total", money_exact(c->ctx, money_add(spent.settled, spent.held), 2));
    jo_kz(&o, "currency", c->currency);
    jo_kz(&o, "limit", c->limit_money >= 0 ? money_exact(c->ctx, c->limit_money, 2) : NULL);
    jo_end_obj(&o);
    struct event e = {.time_ns = clock_wall_ns(), .type = "model.usage", .actor = "system", .data = b.p};
    return event_append(tx, c->caller.task_id, &e, &number, &fresh, err);
}

static enum rc book_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct booking *b = arg;
    struct call *c = b->call;
    struct hold h;
    bool fresh;
    reservation_hold(b->reservation, &h);
    h.request = c->key[0] ? hold_request_of_call(c->ctx, c->caller.task_id, c->key) : c->request;
    h.attempt = 0;
    h.iteration = c->iteration;
    h.provider = "replay";
    h.dialect = c->endpoint.dialect->name;
    h.price_id = PRICE_OF_NOTHING;
    h.currency = c->currency;
    struct ledger_row row = {.time_ns = clock_wall_ns(),
                             .model_served = c->facts.model,
                             .price_id = PRICE_OF_NOTHING,
                             .currency = c->currency};
    enum rc rc = hold_open(tx, &h, err);
    if (rc == RC_OK)
        rc = hold_settle(tx, h.id, &row, &fresh, err);
    if (rc == RC_OK)
        rc = event_book(c, tx, err);
    if (rc == RC_OK && c->key[0] && c->stored.status == 200) /* asked again, it is the same answer */
        rc = reply_put(tx, c->caller.task_id, c->key, &c->stored, err);
    return rc;
}

static enum rc book(struct call *c)
{
    struct budgets *b = c->g->spec.budgets;
    struct reservation r;
    struct refusal refusal;
    struct spender spender = {
        .project = c->project, .task = c->caller.task_id, .agent = c->agent, .model = c->facts.model};
    struct bound nothing = {.currency = c->currency};
    enum rc rc = budgets_reserve(b, &spender, &nothing, c->began_ns, &r, &refusal, &c->err);
    if (rc != RC_OK)
        return rc;
    struct booking job = {c, &r};
    rc = store_write(c->g->spec.store, book_tx, &job, &c->err);
    if (rc == RC_OK)
        budgets_settle(b, &r, 0, c->currency, 0);
    else
        budgets_release(b, &r);
    return rc;
}

void call_replay(struct call *c, const char *file)
{
    enum rc rc = answer_take(c, file, &c->err);
    if (rc == RC_OK)
        rc = book(c);
    c->verdict = rc == RC_OK ? CALL_STORED : CALL_REFUSED;
    c->code = rc == RC_NOT_FOUND ? "not_recorded" : NULL;
}
