/* A mailbox on uv_async and jobs on uv_queue_work. */
#include "os/loop.h"
#include "base/err.h"

struct loop_letter {
    void (*fn)(void *arg);
    void *arg;
    struct loop_letter *next;
};

static void letters_deliver(struct loop *l)
{
    for (;;) {
        uv_mutex_lock(&l->lock);
        struct loop_letter *letter = l->first;
        if (letter) {
            l->first = letter->next;
            if (!l->first)
                l->last = &l->first;
        }
        uv_mutex_unlock(&l->lock);
        if (!letter)
            return;
        letter->fn(letter->arg);
        mem_free(letter);
    }
}

static void letters_arrived(uv_async_t *async)
{
    letters_deliver(async->data);
}

void loop_open(struct loop *l, uv_loop_t *uv)
{
    *l = (struct loop){.uv = uv};
    l->last = &l->first;
    l->async.data = l;
    BUG_ON(uv_mutex_init(&l->lock) != 0);
    BUG_ON(uv_async_init(uv, &l->async, letters_arrived) != 0);
}

void loop_close(struct loop *l)
{
    letters_deliver(l);
    uv_close((uv_handle_t *)&l->async, NULL);
}

void loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_letter *letter = mem_new(NULL, struct loop_letter); /* a tree of its own: it changes threads */
    letter->fn = fn;
    letter->arg = arg;
    uv_mutex_lock(&l->lock);
    *l->last = letter;
    l->last = &letter->next;
    uv_mutex_unlock(&l->lock);
    uv_async_send(&l->async);
}

struct loop_job {
    uv_work_t req;
    struct loop *loop;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void job_work(uv_work_t *req)
{
    struct loop_job *job = req->data;
    job->work(job->arg);
}

static void job_done(uv_work_t *req, int status)
{
    struct loop_job *job = req->data;
    (void)status; /* jobs are never cancelled */
    job->loop->offloaded--;
    job->done(job->arg);
    mem_free(job);
}

void loop_offload(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct loop_job *job = mem_new(NULL, struct loop_job);
    job->loop = l;
    job->work = work;
    job->done = done;
    job->arg = arg;
    job->req.data = job;
    l->offloaded++;
    BUG_ON(uv_queue_work(l->uv, &job->req, job_work, job_done) != 0);
}
