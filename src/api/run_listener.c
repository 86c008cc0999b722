/* The listeners of the runs' sandboxes: each run has an HTTP server of its own, with its own caps, so that what one
 * agent does to its gateway is nobody else's business. Whoever connects there is inside that run's sandbox.
 *
 * Nothing but the gateway answers there. Not here: how the descriptors come (runners.c), what the gateway does with a
 * guest (gateway/gateway.h). */
#include "api/server_room.h"
#include "base/log.h"
#include "net/address.h"

enum {
    CONNECTIONS = 256,     /* of one run; more wait in the listener's queue, and then find it full */
    BODY_MOST = 64 << 20,  /* of one request */
    BODIES_MOST = 96 << 20 /* of all that the run has under way */
};

struct run_listener {
    mem *ctx;
    struct server *server;
    const char *task_id;
    int64_t id;
    struct gateway_guest guest;
    int64_t left, most; /* most 0: any number */
    int64_t asked;      /* requests for answers that have ended */
    bool cut;           /* the run was told that it may ask no more */
    struct run_listener_state last;
    struct http_server *http;
    struct http_hosts hosts;
};

static void guest_request(void *arg, struct http_request *r)
{
    struct run_listener *l = arg;
    const char *why;
    if (!http_hosts_allow(&l->hosts, r, &why))
        http_answer_whole(r, 403, "text/plain", str_of(why), NULL);
    else if (!gateway_handle_guest(l->server->gateway, r, &l->guest))
        http_answer_whole(r, 404, "application/json",
                          STR("{\"error\":{\"type\":\"not_found_error\",\"message\":\"models answer here, and nothing "
                              "else\"}}"),
                          NULL);
}

static void listener_done(void *arg)
{
    struct run_listener *l = arg;
    mem_free(l->ctx);
}

struct run_listener *run_listener_close(struct run_listener *l)
{
    if (l)
        http_server_stop(l->http, 0, listener_done, l);
    return NULL;
}

enum rc run_listener_open(struct server *s, const char *task_id, struct json listen, int fd, struct run_listener **ret,
                          struct err *err)
{
    CLEANUP_FD int mine = fd;
    mem *ctx = mem_root();
    struct run_listener *l = mem_new(ctx, struct run_listener);
    *l = (struct run_listener){.ctx = ctx,
                               .server = s,
                               .task_id = mem_str(ctx, task_id),
                               .id = json_int(json_get(listen, "id"), 0),
                               .most = json_int(json_get(listen, "requests"), 0)};
    l->left = l->most;
    l->guest = (struct gateway_guest){.task_id = l->task_id,
                                      .key = json_bool(json_get(listen, "key"), true),
                                      .iteration = json_int(json_get(listen, "iteration"), 0),
                                      .listening = l->id,
                                      .left = l->most > 0 ? &l->left : NULL};
    struct http_server_spec spec = {.loop = &s->uv,
                                    .max_body = BODY_MOST,
                                    .max_bodies = BODIES_MOST,
                                    .max_connections = CONNECTIONS,
                                    .on_request = guest_request,
                                    .arg = l};
    struct address a;
    enum rc rc = address_of_fd(mine, &a, err);
    if (rc == RC_OK)
        rc = http_server_new(ctx, &spec, &l->http, err);
    if (rc != RC_OK) {
        mem_free(ctx);
        return rc;
    }
    l->hosts = (struct http_hosts){.address = "127.0.0.1", .port = address_port((struct sockaddr *)&a.sa)};
    rc = http_server_listen_fd(l->http, fd_take(&mine), err);
    if (rc != RC_OK) {
        run_listener_close(l);
        return rc;
    }
    *ret = l;
    return RC_OK;
}

bool run_listener_ended(struct run_listener *l, const struct gateway_guest_end *e)
{
    if (e->listening != l->id || !e->generate)
        return false;
    l->asked++;
    mem_free((void *)(uintptr_t)l->last.title);
    mem_free((void *)(uintptr_t)l->last.hint);
    l->last = (struct run_listener_state){.rc = e->rc, .refused = e->refused, .retry_after_s = e->retry_after_s};
    snprintf(l->last.limit, sizeof l->last.limit, "%s", e->limit ? e->limit : "");
    if (e->rc != RC_OK) {
        l->last.title = mem_str(l->ctx, e->sentence);
        l->last.hint = mem_str(l->ctx, e->hint);
    }
    bool first = e->limit && !l->cut;
    l->cut = l->cut || e->limit;
    return first;
}

void run_listener_json(const struct run_listener *l, struct json_out *o)
{
    jo_ki(o, "id", l->id);
    jo_ki(o, "requests", l->most > 0 ? l->most - l->left : l->asked); /* those let in; else those that have ended */
    jo_kz(o, "rc", rc_name(l->last.rc));
    jo_kb(o, "refused", l->last.refused);
    jo_kz(o, "limit", l->last.limit);
    jo_kz(o, "title", l->last.title ? l->last.title : "");
    jo_kz(o, "hint", l->last.hint ? l->last.hint : "");
    jo_ki(o, "retry_after_s", l->last.retry_after_s);
}
