/* The daemon itself and its credentials. */
#include "api/route_rows.h"
#include "base/clock.h"
#include <stdio.h>
#include <unistd.h>

static int64_t rss_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void self_json(struct route_call *c)
{
    jo_kz(&c->out, "version", NIGHTMILL_VERSION);
    jo_ki(&c->out, "pid", getpid());
    jo_ki(&c->out, "keeper_pid", c->server->place->keeper_pid);
    jo_kz(&c->out, "started_at", clock_rfc3339(c->ctx, c->server->started_ns));
}

static void health_on_loop(struct route_call *c)
{
    jo_obj(&c->out);
    jo_kz(&c->out, "status", "ok");
    if (c->request->peer.origin == HTTP_BY_UNIX) /* strangers need no details */
        self_json(c);
    jo_end_obj(&c->out);
    route_answer(c, RC_OK);
}

static void ready_on_loop(struct route_call *c)
{
    if (c->server->stopping) {
        err_set(&c->err, RC_UNAVAILABLE, "the daemon is stopping");
        route_answer(c, RC_UNAVAILABLE);
        return;
    }
    jo_obj(&c->out);
    jo_kz(&c->out, "status", "ready");
    jo_end_obj(&c->out);
    route_answer(c, RC_OK);
}

static enum rc status_counts(struct route_call *c)
{
    static const char *const states[] = {"queued", "working",  "checking", "needs_you", "paused",
                                         "done",   "unproven", "stopped",  "failed"};
    struct approval *waiting;
    size_t n;
    jo_key(&c->out, "tasks");
    jo_obj(&c->out);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        int64_t count;
        enum rc rc = task_count(c->server->store, states[i], &count, &c->err);
        if (rc != RC_OK)
            return rc;
        jo_ki(&c->out, states[i], count);
    }
    jo_end_obj(&c->out);
    enum rc rc = approval_waiting(c->ctx, c->server->store, &waiting, &n, &c->err);
    jo_ki(&c->out, "waiting_approvals", (int64_t)n);
    jo_end_obj(&c->out);
    return rc;
}

static void status_work(void *arg)
{
    struct route_call *c = arg;
    c->err.rc = status_counts(c);
}

static void status_done(void *arg)
{
    struct route_call *c = arg;
    route_answer(c, c->err.rc);
}

static void status_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static void status_on_loop(struct route_call *c)
{
    jo_obj(&c->out);
    self_json(c);
    jo_kz(&c->out, "data_dir", c->server->place->data_dir);
    jo_ki(&c->out, "rss_bytes", rss_bytes());
    jo_ki(&c->out, "model_calls", (int64_t)gateway_active(c->server->common));
    jo_key(&c->out, "addresses");
    listeners_json(c->server, &c->out);
    jo_key(&c->out, "runners");
    runners_list(c->server, &c->out);
    c->request->user = c;
    http_on_gone(c->request, status_gone);
    loop_offload(&c->server->loop, status_work, status_done, c);
}

static void stop_on_loop(struct route_call *c)
{
    struct server *s = c->server;
    jo_obj(&c->out);
    jo_kb(&c->out, "stopping", true);
    jo_end_obj(&c->out);
    route_answer(c, RC_OK);
    server_stop(s, true);
}

static enum rc credentials_put(struct route_call *c)
{
    if (json_type(c->json) != JSON_OBJECT)
        return err_set(&c->err, RC_INVALID, "credentials are a JSON object");
    c->credentials = c->json;
    c->status = 204;
    return RC_OK;
}

const struct route route_health = {"GET",        "/health",        "whether the daemon answers", NULL, health_on_loop,
                                   .open = true, .gives = "Health"};
const struct route route_ready = {
    "GET", "/ready", "whether the daemon takes requests", NULL, ready_on_loop, .open = true, .gives = "Ready"};
const struct route route_status = {"GET",
                                   "/api/v1/status",
                                   "the daemon, its runners and counts",
                                   NULL,
                                   status_on_loop,
                                   .gives = "Status",
                                   .access = ACCESS_READ};
const struct route route_daemon_stop = {"POST", "/api/v1/daemon/stop", "stop the daemon; tasks go on at its next start",
                                        NULL,   stop_on_loop,          .gives = "Stopping"};
const struct route route_credentials_put = {"PUT", "/api/v1/credentials",  "hand over provider keys", credentials_put,
                                            NULL,  .takes = "Credentials", .tells = "provider"};
