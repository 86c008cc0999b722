/* What the server does beside the budgets: a soft threshold that was reached is told in the daemon's log and to the
 * task whose request it was; the limits of a task that ended are forgotten. */
#include "api/server_room.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/notice.h"

struct notice_event {
    const char *task, *data;
};

static enum rc event_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct notice_event *n = arg;
    struct event e = {.time_ns = clock_wall_ns(), .type = "budget.soft", .actor = "system", .data = n->data};
    int64_t number;
    bool fresh;
    return event_append(tx, n->task, &e, &number, &fresh, err);
}

static void event_done(void *arg, enum rc rc, const struct err *err)
{
    if (rc != RC_OK)
        log_err(err, "could not tell a task of its budget");
    mem_free(arg);
}

static void event_write(struct store *s, const struct budget_notice *n)
{
    struct notice_event *e = mem_new(NULL, struct notice_event);
    const struct budget *b = &n->budget;
    struct buf data;
    struct json_out o;
    buf_init(&data, e, 65536);
    json_out_init(&o, &data);
    jo_obj(&o);
    jo_ki(&o, "budget", b->id);
    jo_kz(&o, "scope", scope_name(b->scope));
    jo_kz(&o, "scope_id", b->scope_id);
    jo_kz(&o, "window", window_name(b->window));
    jo_kz(&o, "spent", b->money >= 0 ? money_exact(e, n->spent, 2) : NULL);
    jo_kz(&o, "limit", b->money >= 0 ? money_exact(e, b->money, 2) : NULL);
    jo_kz(&o, "currency", b->money >= 0 ? b->currency : NULL);
    jo_ki(&o, "spent_tokens", n->spent_tokens);
    jo_ki(&o, "percent", b->soft_percent);
    jo_end_obj(&o);
    e->task = mem_str(e, n->spender.task);
    e->data = data.p;
    store_write_async(s, event_tx, e, event_done);
}

struct notice_making {
    struct notice notice;
};

static enum rc refused_tx(struct store_tx *tx, void *arg, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct notice_making *m = arg;
    struct notice n = m->notice;
    bool fresh;
    return notice_insert(tmp, tx, &n, &fresh, err);
}

static void refused_done(void *arg, enum rc rc, const struct err *err)
{
    if (rc != RC_OK)
        log_err(err, "could not tell that a budget refuses requests");
    mem_free(arg);
}

/* The key makes it one notice for a window and its limits, also over a restart. Words without names: they go to
 * channels of others. */
static void refused_write(struct store *s, const struct budget_notice *n)
{
    struct notice_making *m = mem_new(NULL, struct notice_making);
    const struct budget *b = &n->budget;
    const char *spent =
        b->money >= 0
            ? mem_printf(m, "%s of %s", money_show(m, n->spent, b->currency), money_show(m, b->money, b->currency))
            : mem_printf(m, "%lld of %lld tokens", (long long)n->spent_tokens, (long long)b->tokens);
    m->notice =
        (struct notice){.key = mem_printf(m, "budget:%lld:%lld:%lld:%lld", (long long)b->id, (long long)n->start_ns,
                                          (long long)b->money, (long long)b->tokens),
                        .level = NOTICE_NOW,
                        .kind = "budget",
                        .task = "",
                        .words = mem_printf(m, "budget %lld (%s, %s) is reached, %s are spent: requests are refused",
                                            (long long)b->id, scope_name(b->scope), window_name(b->window), spent),
                        .time_ns = clock_wall_ns()};
    store_write_async(s, refused_tx, m, refused_done);
}

/* Called under the lock of the budgets: nothing here waits. */
void budget_noticed_tell(void *server, const struct budget_notice *n)
{
    struct server *s = server;
    const struct budget *b = &n->budget;
    if (n->refused) {
        refused_write(s->store, n);
        return;
    }
    log_warn("budget %lld of %s %s: %lld per cent are spent", (long long)b->id, scope_name(b->scope), b->scope_id,
             (long long)b->soft_percent);
    if (n->spender.task)
        event_write(s->store, n);
}

struct forgetting {
    struct budgets *budgets;
    const char *task;
};

static void forget_work(void *arg)
{
    struct forgetting *f = arg;
    budgets_forget_task(f->budgets, f->task);
}

static void forget_done(void *arg)
{
    mem_free(arg);
}

void budget_forget_task(struct server *s, const char *task_id)
{
    struct forgetting *f = mem_new(NULL, struct forgetting);
    f->budgets = s->budgets;
    f->task = mem_str(f, task_id);
    loop_offload(&s->loop, forget_work, forget_done, f);
}
