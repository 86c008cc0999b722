/* Hosts that a person is asked about: one question for each host and port of a run, and the requests that wait for its
 * answer, for a bounded time. Not here: who answers, and what is remembered (the server). */
#include "base/json.h"
#include "proxy/room.h"

struct question {
    int64_t id;
    struct run *run;
    struct hostname host;
    uint16_t port;
    const char *method;
    struct flow *flows; /* by next_asking */
    uv_timer_t timer;
    struct question *next;
};

static void question_put(struct question *q)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, 8192);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "question");
    jo_obj(&o);
    jo_ki(&o, "id", q->id);
    jo_kz(&o, "tag", q->run->tag);
    jo_kz(&o, "host", q->host.text);
    jo_ki(&o, "port", q->port);
    jo_kz(&o, "method", q->method);
    jo_end_obj(&o);
    jo_end_obj(&o);
    proxy_send(q->run->proxy, buf_view(&b));
}

static void question_freed(uv_handle_t *h)
{
    mem_free(h->data);
}

/* Ends it first: what goes on may ask the next one. */
static void question_end(struct question *q, bool allow, const char *why)
{
    struct run *run = q->run;
    struct question **at = &run->questions;
    struct flow *f = q->flows;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    run->question_count--;
    uv_close((uv_handle_t *)&q->timer, question_freed);
    for (struct flow *i = f; i; i = i->next_asking)
        i->question = NULL;
    while (f) {
        struct flow *next = f->next_asking;
        f->next_asking = NULL;
        flow_answered(f, allow, why);
        f = next;
    }
}

static void question_late(uv_timer_t *timer)
{
    question_end(timer->data, false, "nobody allowed the host in time");
}

void question_ask(struct flow *f)
{
    struct run *run = f->run;
    struct question *q;
    f->phase = FLOW_ASKING;
    for (q = run->questions; q; q = q->next)
        if (q->port == f->ask.port && strcmp(q->host.text, f->ask.host.text) == 0)
            break;
    if (!q && run->question_count >= QUESTIONS_MOST) {
        flow_refuse(f, 403, "denied", "too many hosts of this run wait for an answer");
        return;
    }
    if (!q) {
        q = mem_new(NULL, struct question);
        q->id = ++run->proxy->last_question;
        q->run = run;
        q->host = f->ask.host;
        q->port = f->ask.port;
        q->method = str_dup(q, f->head.method);
        q->next = run->questions;
        run->questions = q;
        run->question_count++;
        uv_timer_init(&run->proxy->uv, &q->timer);
        q->timer.data = q;
        uv_timer_start(&q->timer, question_late, (uint64_t)(run->policy.ask_ms > 0 ? run->policy.ask_ms : 1), 0);
        question_put(q);
    }
    f->question = q;
    f->next_asking = q->flows;
    q->flows = f;
}

void question_answered(struct run *run, int64_t id, bool allow, const char *words)
{
    for (struct question *q = run->questions; q; q = q->next) {
        if (q->id != id)
            continue;
        policy_answer(run, &run->policy, &q->host, q->port, allow);
        question_end(q, allow, words);
        return;
    }
}

void question_leave(struct flow *f)
{
    if (!f->question)
        return;
    struct flow **at = &f->question->flows;
    while (*at != f)
        at = &(*at)->next_asking;
    *at = f->next_asking;
    f->question = NULL; /* the question stays: its answer counts for the next request */
}

void questions_end(struct run *run)
{
    while (run->questions)
        question_end(run->questions, false, "the run is over");
}

void questions_again(struct proxy *p)
{
    for (struct run *run = p->runs; run; run = run->next)
        for (struct question *q = run->questions; q; q = q->next)
            question_put(q);
}
