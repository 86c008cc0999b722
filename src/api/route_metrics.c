/* Figures for Prometheus. What is a state and not a count is looked up when it is asked for. */
#include "api/route_rows.h"
#include "gateway/metrics.h"
#include "gateway/upstreams.h"

static void metrics_work(void *arg)
{
    struct route_call *c = arg;
    struct metrics *m = c->server->metrics;
    struct held *held;
    size_t n;
    c->err.rc = books_sync(c->server->books, &c->err);
    if (c->err.rc == RC_OK)
        c->err.rc = hold_held(c->ctx, c->server->store, &held, &n, &c->err);
    if (c->err.rc != RC_OK)
        return;
    metrics_held_none(m);
    for (size_t i = 0; i < n; i++)
        metrics_held(m, held[i].currency, held[i].amount);
    metrics_write(m, &c->out_buf);
}

static void metrics_done(void *arg)
{
    struct route_call *c = arg;
    if (c->err.rc != RC_OK || !c->request) {
        route_answer(c, c->err.rc);
        return;
    }
    http_answer_whole(c->request, 200, METRICS_CONTENT_TYPE, buf_view(&c->out_buf), NULL);
    route_call_free(c);
}

static void metrics_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static void metrics_on_loop(struct route_call *c)
{
    struct server *s = c->server;
    struct upstream_health *health;
    size_t n;
    int64_t waiting = 0;
    gateway_health(c->ctx, s->common, &health, &n);
    for (size_t i = 0; i < n; i++) {
        metrics_upstream(s->metrics, health[i].provider, !health[i].rests_ms, (int64_t)health[i].active);
        waiting += (int64_t)health[i].waiting;
    }
    metrics_active(s->metrics, (int64_t)gateway_active(s->common), waiting);
    c->request->user = c;
    http_on_gone(c->request, metrics_gone);
    loop_offload(&s->loop, metrics_work, metrics_done, c);
}

const struct route route_metrics = {"GET", "/metrics",      "figures for Prometheus",
                                    NULL,  metrics_on_loop, .gives = "text/plain"};
