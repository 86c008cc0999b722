/* Event streams: JSON lines of one task, from any number on, and then as they come. A client that reads slowly is fed
 * from the database at its own pace. */
#include "api/server_room.h"
#include "base/clock.h"

#define PAGE         500
#define HEARTBEAT_MS 15000

struct tail {
    mem *ctx; /* visits pool threads */
    struct server *server;
    struct http_request *request; /* NULL once the client is gone */
    const char *task_id;
    int64_t after, left;
    bool follow, reading, again, blocked;
    int64_t sent_mono_ms;
    /* One page, filled on a pool thread: */
    struct buf page;
    size_t page_events;
    bool final;
    enum rc rc;
    struct err err;
    struct tail *next;
};

void event_json(mem *ctx, const struct event *e, struct json_out *o)
{
    jo_obj(o);
    jo_ki(o, "number", e->number);
    jo_kz(o, "time", clock_rfc3339(ctx, e->time_ns));
    jo_kz(o, "type", e->type);
    jo_kz(o, "actor", e->actor);
    jo_kraw(o, "data", str_of(e->data));
    jo_end_obj(o);
}

static void tail_read(void *arg)
{
    struct tail *t = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct task task;
    struct event *events;
    buf_clear(&t->page);
    t->page_events = 0;
    int64_t want = t->left < PAGE ? t->left : PAGE;
    /* The state first: what comes after a final state is not waited for, what came before it is on the page. */
    t->rc = task_find(tmp, t->server->store, t->task_id, &task, &t->err);
    if (t->rc != RC_OK)
        return;
    t->final = task_state_final(task.state);
    t->rc = event_list(tmp, t->server->store, t->task_id, t->after, want, &events, &t->page_events, &t->err);
    for (size_t i = 0; t->rc == RC_OK && i < t->page_events; i++) {
        struct json_out o;
        json_out_init(&o, &t->page);
        event_json(tmp, &events[i], &o);
        buf_char(&t->page, '\n');
        t->after = events[i].number;
    }
}

static void tail_free(struct tail *t)
{
    for (struct tail **at = &t->server->tails; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    mem_free(t->ctx);
}

static void tail_pump(struct tail *t);

static void tail_page(void *arg)
{
    struct tail *t = arg;
    t->reading = false;
    if (!t->request) {
        tail_free(t);
        return;
    }
    if (t->page.n) {
        http_answer_chunk(t->request, buf_view(&t->page));
        t->sent_mono_ms = clock_mono_ms();
    }
    t->left -= (int64_t)t->page_events;
    bool more = t->page_events == PAGE && t->left > 0;
    if (t->rc != RC_OK || t->left <= 0 || (!more && !t->again && (!t->follow || t->final))) {
        struct http_request *r = t->request;
        t->request = NULL;
        if (t->rc == RC_OK)
            http_answer_end(r);
        else
            http_answer_abort(r);
        tail_free(t);
        return;
    }
    if (more || t->again)
        tail_pump(t);
}

static void tail_pump(struct tail *t)
{
    if (t->reading) {
        t->again = true;
        return;
    }
    if (http_answer_backlog(t->request) > HTTP_HIGH_WATER) {
        t->blocked = true;
        return;
    }
    t->again = false;
    t->blocked = false;
    t->reading = true;
    loop_offload(&t->server->loop, tail_read, tail_page, t);
}

static void tail_gone(struct http_request *r)
{
    struct tail *t = r->user;
    t->request = NULL;
    if (!t->reading)
        tail_free(t);
}

static void tail_drained(struct http_request *r)
{
    struct tail *t = r->user;
    if (t->blocked)
        tail_pump(t);
}

void tail_begin(struct server *s, struct http_request *r, const char *task_id, int64_t after, int64_t limit,
                bool follow)
{
    mem *ctx = mem_root();
    struct tail *t = mem_new(ctx, struct tail);
    t->ctx = ctx;
    t->server = s;
    t->request = r;
    t->task_id = mem_str(ctx, task_id);
    t->after = after;
    t->left = limit > 0 ? limit : INT64_MAX;
    t->follow = follow;
    t->sent_mono_ms = clock_mono_ms();
    buf_init(&t->page, ctx, 512u << 20);
    t->next = s->tails;
    s->tails = t;
    r->user = t;
    http_on_gone(r, tail_gone);
    http_on_drained(r, tail_drained);
    http_answer_begin(r, 200, "application/jsonl", NULL);
    tail_pump(t);
}

void tails_wake(struct server *s, const char *task_id)
{
    int64_t now = clock_mono_ms();
    for (struct tail *t = s->tails, *next; t; t = next) {
        next = t->next;
        if (!t->request)
            continue;
        if (task_id ? strcmp(t->task_id, task_id) == 0 : false) {
            tail_pump(t);
        } else if (!task_id && now - t->sent_mono_ms > HEARTBEAT_MS) {
            http_answer_chunk(t->request, STR("\n"));
            t->sent_mono_ms = now;
        }
    }
}

void tails_close(struct server *s)
{
    for (struct tail *t = s->tails, *next; t; t = next) {
        next = t->next;
        if (!t->request)
            continue;
        struct http_request *r = t->request;
        t->request = NULL;
        http_answer_end(r);
        if (!t->reading)
            tail_free(t);
    }
}
