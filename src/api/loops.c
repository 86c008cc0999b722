/* The further loops; the promises are in loops.h. Not here: addresses (listeners.c), what a model request is
 * (gateway.h). */
#include "api/loops.h"
#include "api/server.h"
#include "base/log.h"
#include "net/tls.h"
#include <pthread.h>
#include <stdio.h>

#define TICK_MS 1000

struct server_loop {
    mem *ctx; /* a tree of its own */
    struct loops *all;
    size_t number;
    uv_loop_t uv;
    struct loop loop;
    struct http_server *http;
    struct upstream_pool *pool;
    struct gateway *gateway;
    struct tls_place *tls; /* NULL: none of its addresses has it */
    uv_timer_t tick;
    uv_thread_t thread;
    int stop_ms;
};

struct loops {
    size_t n;
    struct server_loop *of[LOOPS_MOST];
    struct loop *main_loop;
    struct http_server *main_http; /* touched on the main loop alone */
    size_t running;                /* the main loop's */
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- requests ---- */

static bool is_elsewhere(void *arg, const struct http_request *r)
{
    (void)arg;
    return !gateway_is_anywhere(r);
}

struct gift {
    struct http_server *to;
    struct http_parcel *parcel;
};

static void gift_arrived(void *arg)
{
    struct gift *g = arg;
    http_server_adopt(g->to, g->parcel);
    mem_free(g);
}

static void give(void *arg, struct http_parcel *parcel)
{
    struct server_loop *l = arg;
    struct gift *g = mem_new(NULL, struct gift);
    *g = (struct gift){l->all->main_http, parcel};
    loop_post(l->all->main_loop, gift_arrived, g);
}

static void handle(void *arg, struct http_request *r)
{
    struct server_loop *l = arg;
    if (!gateway_handle(l->gateway, r)) /* is_elsewhere has asked the same before */
        http_answer_whole(r, 404, "text/plain", STR("models answer here, and nothing else"), NULL);
}

/* ---- life ---- */

static void tick(uv_timer_t *timer)
{
    struct server_loop *l = timer->data;
    gateway_tick(l->gateway);
}

static void loop_main(void *arg)
{
    struct server_loop *l = arg;
    char name[16];
    snprintf(name, sizeof name, "loop %zu", l->number + 1);
    (void)pthread_setname_np(pthread_self(), name);
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

static enum rc loop_new(struct loops *all, size_t number, const struct loops_spec *spec, struct err *err)
{
    mem *ctx = mem_root();
    struct server_loop *l = mem_new(ctx, struct server_loop);
    *l = (struct server_loop){.ctx = ctx, .all = all, .number = number};
    BUG_ON(uv_loop_init(&l->uv) != 0);
    loop_open(&l->loop, &l->uv);
    struct http_server_spec http = {.loop = &l->uv,
                                    .max_body = spec->max_body,
                                    .max_connections = spec->max_connections,
                                    .on_request = handle,
                                    .elsewhere = is_elsewhere,
                                    .give = give,
                                    .arg = l};
    enum rc rc = upstream_pool_new(ctx, &l->uv, &l->pool, err);
    if (rc == RC_OK)
        rc = http_server_new(ctx, &http, &l->http, err);
    if (rc != RC_OK)
        return rc;
    struct gateway_spec g = *spec->gateway;
    g.loop = &l->loop;
    g.pool = l->pool;
    g.guest_ended = NULL; /* runs have no business here */
    l->gateway = gateway_new(ctx, &g);
    uv_timer_init(&l->uv, &l->tick);
    l->tick.data = l;
    uv_timer_start(&l->tick, tick, TICK_MS, TICK_MS);
    all->of[all->n++] = l;
    return spec->listen(spec->arg, number, ctx, l->http, &l->tls, err);
}

enum rc loops_open(mem *ctx, const struct loops_spec *spec, struct loops **ret, struct err *err)
{
    struct loops *all = mem_new(ctx, struct loops);
    all->main_loop = spec->main_loop;
    all->main_http = spec->main_http;
    for (size_t i = 1; i <= spec->n; i++) {
        enum rc rc = loop_new(all, i, spec, err);
        if (rc != RC_OK)
            return rc;
    }
    for (size_t i = 0; i < all->n; i++)
        BUG_ON(uv_thread_create(&all->of[i]->thread, loop_main, all->of[i]) != 0);
    all->running = all->n;
    *ret = all;
    return RC_OK;
}

static void reload_arrived(void *arg)
{
    struct server_loop *l = arg;
    if (l->tls)
        tls_place_reload(l->tls);
}

void loops_reload(struct loops *all)
{
    for (size_t i = 0; i < all->n; i++)
        loop_post(&all->of[i]->loop, reload_arrived, all->of[i]);
}

/* ---- the end ---- */

static void all_stopped(void *arg)
{
    struct loops *all = arg;
    all->done(all->done_arg);
}

static void loop_stopped(void *arg)
{
    struct loops *all = arg;
    if (--all->running == 0)
        all_stopped(all);
}

static void http_stopped(void *arg)
{
    struct server_loop *l = arg;
    uv_stop(&l->uv);
    loop_post(l->all->main_loop, loop_stopped, l->all);
}

static void stop_arrived(void *arg)
{
    struct server_loop *l = arg;
    http_server_stop(l->http, l->stop_ms, http_stopped, l);
}

void loops_stop(struct loops *all, int deadline_ms, void (*done)(void *arg), void *arg)
{
    all->done = done;
    all->done_arg = arg;
    if (!all->n)
        loop_post(all->main_loop, all_stopped, all);
    for (size_t i = 0; i < all->n; i++) {
        all->of[i]->stop_ms = deadline_ms;
        loop_post(&all->of[i]->loop, stop_arrived, all->of[i]);
    }
}

static void end_arrived(void *arg)
{
    struct server_loop *l = arg;
    uv_stop(&l->uv);
}

void loops_end(struct loops *all)
{
    for (size_t i = 0; all && i < all->n; i++) {
        loop_post(&all->of[i]->loop, end_arrived, all->of[i]);
        BUG_ON(uv_thread_join(&all->of[i]->thread) != 0);
    }
}
