/* Viewers of the live stream: WebSocket (subprotocol nightmill.stream.v1) and server-sent events (WHATWG HTML, section
 * 9.2), what they say, presence. Not here: which events they get (feed.c). */
#include "api/feed_room.h"
#include "api/route_rows.h"
#include "base/clock.h"

#define PROTOCOL        "nightmill.stream.v1"
#define MESSAGE_MOST    (16 << 10)
#define PRESENCE_TICK   20  /* changes that are told in one second */
#define PRESENCE_VIEWED 200 /* viewers in one snapshot */
#define CODE_MANY       4429

/* ---- writing ---- */

size_t viewer_backlog(const struct feed_viewer *v)
{
    return v->ws ? ws_backlog(v->ws) : v->request ? http_answer_backlog(v->request) : SIZE_MAX;
}

void viewer_send(struct feed_viewer *v, struct str text, int64_t n)
{
    v->sent_ms = clock_mono_ms();
    if (v->ws) {
        ws_send(v->ws, true, text);
    } else if (v->request) {
        char id[40];
        int len = n ? snprintf(id, sizeof id, "id: %lld\ndata: ", (long long)n) : snprintf(id, sizeof id, "data: ");
        CLEANUP_MEM mem *tmp = mem_root(); /* one chunk for the whole of it */
        struct buf b;
        buf_init(&b, tmp, SIZE_MAX);
        buf_add(&b, id, (size_t)len);
        buf_str(&b, text);
        buf_z(&b, "\n\n");
        http_answer_chunk(v->request, buf_view(&b));
    }
}

static void send_json(struct feed_viewer *v, struct buf *b)
{
    viewer_send(v, buf_view(b), 0);
}

#define MESSAGE(b, o)                                                                                                  \
    CLEANUP_MEM mem *tmp = mem_root();                                                                                 \
    struct buf b;                                                                                                      \
    struct json_out o;                                                                                                 \
    buf_init(&b, tmp, SIZE_MAX);                                                                                       \
    json_out_init(&o, &b);                                                                                             \
    jo_obj(&o)

void viewer_heartbeat(struct feed_viewer *v)
{
    MESSAGE(b, o);
    jo_key(&o, "heartbeat");
    jo_obj(&o);
    jo_ki(&o, "n", v->begun ? v->at : feed_newest(v->feed, v));
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
}

void viewer_gap(struct feed_viewer *v)
{
    MESSAGE(b, o);
    jo_key(&o, "gap");
    jo_obj(&o);
    jo_ki(&o, "from", v->at + 1);
    jo_ki(&o, "to", v->feed->base);
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
}

static void say_error(struct feed_viewer *v, const char *words, const char *hint)
{
    MESSAGE(b, o);
    jo_key(&o, "error");
    jo_obj(&o);
    jo_kz(&o, "words", words);
    jo_kz(&o, "hint", hint);
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
}

static void hello(struct feed_viewer *v)
{
    MESSAGE(b, o);
    jo_key(&o, "hello");
    jo_obj(&o);
    jo_kz(&o, "build", NIGHTMILL_VERSION);
    jo_ki(&o, "now", feed_newest(v->feed, v));
    jo_ki(&o, "heartbeat_s", FEED_HEARTBEAT_S);
    jo_kz(&o, "client", mem_printf(tmp, "c%lld", (long long)v->id));
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
}

/* ---- topics ---- */

static const struct {
    const char *name;
    unsigned bit;
    bool whole; /* of the whole installation: not for who sees one project */
} topics[] = {
    {"tasks", FEED_TASKS, false},
    {"approvals", FEED_APPROVALS, false},
    {"money", FEED_MONEY, false},
    {"settings", FEED_SETTINGS, true},
    {"system", FEED_SYSTEM, true},
    {"presence", FEED_PRESENCE, true},
    {"access", FEED_ACCESS, false},
    {"models", FEED_MODELS, false},
    {"notifications", FEED_NOTIFICATIONS, true},
};

static bool topic_add(const struct feed_viewer *v, struct str name, struct feed_wish *wish, const char **ret_why)
{
    if (str_starts(name, STR("task:"))) {
        uint64_t bits = feed_task_bits(str_sub(name, 5, SIZE_MAX));
        *ret_why = bits ? "more tasks at a time than a stream takes" : "a task's topic is task:ID";
        if (!bits || wish->task_n == FEED_TASKS_MOST)
            return false;
        wish->tasks[wish->task_n++] = bits;
        return true;
    }
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        if (!str_eqz(name, topics[i].name))
            continue;
        *ret_why = "this topic is the whole installation's, and you see some projects alone";
        if (topics[i].whole && !principal_sees(&v->principal, "", ACCESS_READ))
            return false;
        wish->topics |= topics[i].bit;
        return true;
    }
    *ret_why = "there is no such topic";
    return false;
}

static void topics_json(const struct feed_wish *w, const struct feed_wish *more, struct json_out *o)
{
    jo_key(o, "topics");
    jo_arr(o);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if ((w->topics | (more ? more->topics : 0)) & topics[i].bit)
            jo_z(o, topics[i].name);
    for (const struct feed_wish *one = w; one; one = one == w ? more : NULL) {
        for (size_t i = 0; i < one->task_n; i++) {
            char text[16] = "task:";
            memcpy(text + 5, &one->tasks[i], 8);
            jo_z(o, text);
        }
    }
    jo_end_arr(o);
}

static void subscribed(struct feed_viewer *v, int64_t since)
{
    MESSAGE(b, o);
    jo_key(&o, "subscribed");
    jo_obj(&o);
    topics_json(&v->wish, v->replaying ? &v->more : NULL, &o);
    jo_ki(&o, "since", since);
    jo_ki(&o, "now", feed_newest(v->feed, v));
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
}

static void resync(struct feed_viewer *v, const struct feed_wish *w, const char *why)
{
    MESSAGE(b, o);
    jo_key(&o, "resync");
    jo_obj(&o);
    topics_json(w, NULL, &o);
    jo_ki(&o, "n", feed_newest(v->feed, v));
    jo_kz(&o, "why", why);
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
    v->feed->resyncs++;
}

/* Why what came after `since` cannot be replayed; NULL: it can. */
static const char *replay_refused(const struct feed_viewer *v, int64_t since)
{
    int64_t newest = feed_newest(v->feed, v);
    if (since > newest)
        return "unknown"; /* another database, or one that was put back */
    if (since + 1 < v->feed->oldest)
        return "too_old";
    return newest - since > FEED_REPLAY_MOST ? "too_many" : NULL;
}

static void presence_snapshot(struct feed_viewer *v);

/* since -1: from now on. */
static void subscribe(struct feed_viewer *v, const struct feed_wish *more, int64_t since)
{
    int64_t newest = feed_newest(v->feed, v), from = since < 0 ? newest : since;
    const char *why = since < 0 ? NULL : replay_refused(v, since);
    bool first = !v->begun, presence = more->topics & FEED_PRESENCE;
    if (why)
        from = newest;
    if (first) {
        v->begun = true;
        v->wish = *more;
        v->at = from;
    } else {
        v->more = *more;
        v->replaying = true; /* also when there is nothing to replay: the topics join when that shows */
        v->replay_at = from < v->at ? from : v->at;
        v->replay_to = v->at;
    }
    subscribed(v, from);
    if (why)
        resync(v, more, why);
    if (presence)
        presence_snapshot(v);
    feed_pump(v);
}

static void topics_read(struct feed_viewer *v, struct json names, struct feed_wish *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = (struct feed_wish){0};
    for (struct json_iter it = json_iter(names); json_next(&it);) {
        const char *why = NULL;
        struct str name = json_str(tmp, it.value);
        if (!topic_add(v, name, ret, &why))
            say_error(
                v, mem_printf(tmp, "%.80s: %s", json_z(tmp, it.value, "a topic"), why),
                "topics are tasks, task:ID, approvals, money, settings, system, access, models, notifications and presence");
    }
}

static void on_subscribe(struct feed_viewer *v, struct json m)
{
    struct feed_wish more;
    int64_t since = json_int(json_get(m, "since"), -1);
    if (v->replaying) {
        say_error(v, "the subscription before is still being replayed", "subscribe again when its events have come");
        return;
    }
    topics_read(v, json_get(m, "topics"), &more);
    if (more.topics || more.task_n)
        subscribe(v, &more, since);
}

static void on_unsubscribe(struct feed_viewer *v, struct json m)
{
    struct feed_wish less;
    topics_read(v, json_get(m, "topics"), &less);
    v->wish.topics &= ~less.topics;
    v->more.topics &= ~less.topics;
    for (size_t i = 0; i < less.task_n; i++)
        for (struct feed_wish *w = &v->wish; w; w = w == &v->wish ? &v->more : NULL)
            for (size_t k = 0; k < w->task_n; k++)
                if (w->tasks[k] == less.tasks[i])
                    w->tasks[k--] = w->tasks[--w->task_n];
    subscribed(v, v->at);
}

/* ---- presence ---- */

static void who_json(const struct feed_viewer *v, const char *where, mem *tmp, struct json_out *o)
{
    jo_obj(o);
    jo_kz(o, "client", mem_printf(tmp, "c%lld", (long long)v->id));
    jo_kz(o, "user", v->user);
    jo_kz(o, "at", where);
    jo_kz(o, "since", clock_rfc3339(tmp, v->where_ns));
    jo_end_obj(o);
}

static void presence_snapshot(struct feed_viewer *v)
{
    size_t n = 0;
    MESSAGE(b, o);
    jo_key(&o, "presence");
    jo_obj(&o);
    jo_key(&o, "viewers");
    jo_arr(&o);
    for (const struct feed_viewer *other = v->feed->viewers; other && n < PRESENCE_VIEWED; other = other->next) {
        if (*other->where && !other->closing) {
            who_json(other, other->where, tmp, &o);
            n++;
        }
    }
    jo_end_arr(&o);
    jo_end_obj(&o);
    jo_end_obj(&o);
    v->presence_lost = false;
    send_json(v, &b);
}

static void presence_tell(const struct feed_viewer *of, const char *event, const char *where)
{
    MESSAGE(b, o);
    jo_kz(&o, "topic", "presence");
    jo_kz(&o, "event", event);
    jo_kz(&o, "type", mem_printf(tmp, "presence.%s", event + strlen("collaborator_")));
    jo_kz(&o, "time", clock_rfc3339(tmp, clock_wall_ns()));
    jo_key(&o, "data");
    who_json(of, where, tmp, &o);
    jo_end_obj(&o);
    for (struct feed_viewer *v = of->feed->viewers; v; v = v->next) {
        if (!(v->wish.topics & FEED_PRESENCE) || v->closing)
            continue;
        if (viewer_backlog(v) > HTTP_HIGH_WATER / 4)
            v->presence_lost = true;
        else
            send_json(v, &b);
    }
}

/* Changes are told once a second, so that somebody who goes through a list is not told at every step. */
void presence_tick(struct feed *f)
{
    int told = 0;
    for (struct feed_viewer *v = f->viewers; v; v = v->next) {
        if (v->presence_lost && !v->closing && viewer_backlog(v) <= HTTP_HIGH_WATER / 4)
            presence_snapshot(v);
        if (strcmp(v->where, v->before) == 0 || v->closing || told++ >= PRESENCE_TICK)
            continue;
        presence_tell(v,
                      !*v->before  ? "collaborator_joined"
                      : !*v->where ? "collaborator_left"
                                   : "collaborator_moved",
                      *v->where ? v->where : v->before);
        snprintf(v->before, sizeof v->before, "%s", v->where);
    }
}

void presence_left(struct feed_viewer *v)
{
    if (*v->before)
        presence_tell(v, "collaborator_left", v->before);
    *v->before = *v->where = 0;
}

static void on_presence(struct feed_viewer *v, struct json m)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *at = json_z(tmp, json_get(m, "at"), "");
    bool fine = strlen(at) < sizeof v->where;
    for (const char *p = at; *p; p++)
        fine = fine && *p > ' ' && *p < 0x7F;
    if (!fine) {
        say_error(v, "a place is printable and has at most 95 bytes", "for example task:ID");
        return;
    }
    snprintf(v->where, sizeof v->where, "%s", at);
    v->where_ns = clock_wall_ns();
}

/* ---- messages ---- */

static void on_ping(struct feed_viewer *v, struct json m)
{
    MESSAGE(b, o);
    jo_key(&o, "pong");
    jo_obj(&o);
    jo_kz(&o, "id", json_z(tmp, json_get(m, "id"), ""));
    jo_ki(&o, "n", v->begun ? v->at : feed_newest(v->feed, v));
    jo_end_obj(&o);
    jo_end_obj(&o);
    send_json(v, &b);
}

static void on_message(void *arg, struct ws *ws, bool text, struct str bytes)
{
    static const struct {
        const char *name;
        void (*take)(struct feed_viewer *v, struct json m);
    } verbs[] = {
        {"subscribe", on_subscribe}, {"unsubscribe", on_unsubscribe}, {"presence", on_presence}, {"ping", on_ping}};
    struct feed_viewer *v = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct json m;
    (void)ws;
    if (v->closing)
        return;
    if (text && json_parse(tmp, bytes, &m, NULL) == RC_OK) {
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
            if (json_type(json_get(m, verbs[i].name)) == JSON_OBJECT) {
                verbs[i].take(v, json_get(m, verbs[i].name));
                return;
            }
        }
    }
    say_error(v, "the message was not understood", "send {\"subscribe\":{\"topics\":[\"tasks\"]}}");
}

/* ---- life ---- */

void viewer_unlink(struct feed_viewer *v)
{
    struct feed *f = v->feed;
    v->closing = true;
    if (v->reading)
        return; /* its job comes back to it */
    for (struct feed_viewer **at = &f->viewers; *at; at = &(*at)->next) {
        if (*at == v) {
            *at = v->next;
            f->viewer_n--;
            break;
        }
    }
    if (f->turn == v)
        f->turn = v->next;
    presence_left(v);
    mem_free(v->ctx);
}

void viewer_end(struct feed_viewer *v, int code, const char *reason)
{
    if (v->closing)
        return;
    v->closing = true;
    if (v->ws) {
        ws_close(v->ws, code, reason);
    } else if (v->request) {
        struct http_request *r = v->request;
        v->request = NULL;
        http_answer_end(r);
        viewer_unlink(v);
    }
}

static void ws_is_gone(void *arg, struct ws *ws, int code)
{
    struct feed_viewer *v = arg;
    (void)ws, (void)code;
    v->ws = NULL;
    viewer_unlink(v);
}

static void ws_is_drained(void *arg, struct ws *ws)
{
    (void)ws;
    feed_pump(arg);
}

static void request_gone(struct http_request *r)
{
    struct feed_viewer *v = r->user;
    v->request = NULL;
    viewer_unlink(v);
}

static void request_drained(struct http_request *r)
{
    feed_pump(r->user);
}

static struct feed_viewer *viewer_new(struct feed *f, const struct principal *p, int64_t now)
{
    mem *ctx = mem_root();
    struct feed_viewer *v = mem_new(ctx, struct feed_viewer);
    v->ctx = ctx;
    v->feed = f;
    v->id = ++f->last_id;
    v->user = mem_str(ctx, p->user && *p->user ? p->user : p->name ? p->name : "");
    v->principal = principal_copy(ctx, p);
    v->now = now;
    v->sent_ms = v->checked_ms = clock_mono_ms();
    return v;
}

static void viewer_link(struct feed_viewer *v)
{
    v->next = v->feed->viewers;
    v->feed->viewers = v;
    v->feed->viewer_n++;
    feed_start(v->feed, v->now);
}

/* ---- the route ---- */

struct opening {
    struct route_call *call;
    int64_t oldest, newest;
};

static bool sse_wanted(const struct http_request *r)
{
    return str_ifind(http_header(r, "Accept"), STR("text/event-stream")) >= 0;
}

static enum rc open_ws(struct route_call *c, const struct opening *o)
{
    struct feed *f = c->server->feed;
    struct feed_viewer *v = viewer_new(f, &c->principal, o->newest);
    struct ws_spec spec = {.protocol = PROTOCOL,
                           .max_message = MESSAGE_MOST,
                           .on_message = on_message,
                           .on_drained = ws_is_drained,
                           .on_gone = ws_is_gone,
                           .arg = v};
    enum rc rc = ws_accept(c->request, &spec, &v->ws, &c->err);
    if (rc != RC_OK) {
        mem_free(v->ctx);
        return rc;
    }
    c->request = NULL;
    viewer_link(v);
    hello(v);
    if (f->viewer_n > FEED_VIEWERS_MOST)
        viewer_end(v, CODE_MANY, "too many streams are open");
    return RC_OK;
}

static enum rc open_sse(struct route_call *c, const struct opening *o)
{
    static const char *const lines[] = {"Cache-Control: no-store", "X-Accel-Buffering: no", NULL};
    struct feed *f = c->server->feed;
    const char *names = route_query(c, "topics"), *since = route_query(c, "since"), *why = NULL;
    struct str last = http_header(c->request, "Last-Event-ID"), rest = str_of(names), name;
    struct feed_wish wish = {0};
    int64_t from = -1;
    if (f->viewer_n >= FEED_VIEWERS_MOST)
        return err_set(&c->err, RC_UNAVAILABLE, "too many streams are open");
    if ((last.n && !str_int(last, 0, INT64_MAX, &from)) ||
        (!last.n && since && !str_int(str_of(since), 0, INT64_MAX, &from)))
        return err_set(&c->err, RC_INVALID, "since is the number of an event");
    struct feed_viewer *v = viewer_new(f, &c->principal, o->newest);
    while (str_next(&rest, ',', &name)) {
        if (topic_add(v, name, &wish, &why))
            continue;
        err_set(&c->err, RC_INVALID, "%.*s: %s", (int)(name.n < 80 ? name.n : 80), name.p, why);
        mem_free(v->ctx);
        return c->err.rc;
    }
    if (!wish.topics && !wish.task_n) {
        mem_free(v->ctx);
        err_set(&c->err, RC_INVALID, "no topic was named");
        return err_hint(&c->err, "ask for /api/v1/stream?topics=tasks");
    }
    v->request = c->request;
    v->request->user = v;
    c->request = NULL;
    http_on_gone(v->request, request_gone);
    http_on_drained(v->request, request_drained);
    http_answer_begin(v->request, 200, "text/event-stream", lines);
    viewer_link(v);
    hello(v);
    subscribe(v, &wish, from);
    return RC_OK;
}

static void span_read(void *arg)
{
    struct opening *o = arg;
    o->call->err.rc = event_span(o->call->server->store, &o->oldest, &o->newest, &o->call->err);
}

static void span_done(void *arg)
{
    struct opening *o = arg;
    struct route_call *c = o->call;
    enum rc rc = c->err.rc;
    if (rc == RC_OK && c->request) {
        c->server->feed->oldest = o->oldest;
        rc = ws_wanted(c->request) ? open_ws(c, o) : open_sse(c, o);
    }
    if (rc == RC_UNAVAILABLE && !c->err.sentence[0])
        rc = RC_OK; /* it left meanwhile */
    if (rc != RC_OK)
        route_answer(c, rc);
    else
        route_call_free(c);
}

static void stream_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

static void stream_on_loop(struct route_call *c)
{
    if (!ws_wanted(c->request) && !sse_wanted(c->request)) {
        err_set(&c->err, RC_INVALID, "this is a stream");
        err_hint(&c->err,
                 "ask as a WebSocket with the subprotocol " PROTOCOL ", or with the header Accept: text/event-stream");
        route_answer(c, RC_INVALID);
        return;
    }
    struct opening *o = mem_new(c->ctx, struct opening);
    o->call = c;
    c->request->user = c;
    http_on_gone(c->request, stream_gone);
    loop_offload(&c->server->loop, span_read, span_done, o);
}

const struct route route_stream = {"GET",
                                   "/api/v1/stream",
                                   "all events as they come, in one order: WebSocket or server-sent events",
                                   NULL,
                                   stream_on_loop,
                                   .access = ACCESS_READ,
                                   .narrow = NARROW_SHARED, /* each event is held against who asks */
                                   .query = "topics since",
                                   .gives = "text/event-stream StreamEvent"};
