/* Runners: their lines to the server, and the schedule that says which tasks have one.
 * A task has at most one runner: the runner's own lock file sees to that even when this table is wrong after a restart.
 */
#include "api/proxy_link.h"
#include "api/server_room.h"
#include "api/terminals.h"
#include "base/clock.h"
#include "base/log.h"
#include "flow/trial.h"
#include <fcntl.h>
#include <uthash.h>

#define GRACE_MS      3000  /* after the server's start: runners that outlived the last one say hello */
#define STARTING_MS   30000 /* a runner that was started and never said hello */
#define FAILURES_MOST 8
#define WAIT_MOST_MS  60000

struct runner_line;
struct runner {
    const char *task_id;
    int pid;                  /* of the one that is connected */
    struct runner_line *line; /* NULL: not connected */
    /* A start was asked for and its end is not reported yet. It need not be the one that is connected: where an older
     * one outlived the last keeper, the new one finds the task locked and ends. */
    bool wanted;
    bool again;      /* to be started once more when the one that was started has ended */
    bool leaving;    /* has closed its line: its work is handed over, it takes no place among the tasks at work */
    int started_pid; /* 0: not known yet */
    int64_t started_mono_ms, not_before_mono_ms;
    int failures; /* ends in a row without a new event in between */
    /* Of the sandbox that is open; end with the line: */
    int64_t listening;             /* the runner's number of it; 0: none */
    struct run_listener *listener; /* the gateway; NULL: not there */
    bool proxied;                  /* the egress proxy has a listener there */
    enum egress_phase phase;
    UT_hash_handle hh;
};

/* One connection. Batches of events go to the writer thread one after the other; what arrives meanwhile waits in
 * `events`. */
struct runner_line {
    uv_pipe_t pipe;
    mem *ctx;
    struct server *server;
    struct runner *runner; /* NULL before hello */
    struct frame_reader in;
    struct buf events; /* frames as a JSON array without brackets */
    bool closing, closed, writing, greeting, paused;
    /* The batch under way: */
    struct buf batch;
    int64_t acked;
    bool final;
    struct err err;
    enum rc rc;
    /* Hello: */
    const char *task_id, *token;
    int pid;
    char *welcome;
};

#define EVENTS_MAX (32u << 20)

static struct runner *runner_get(struct server *s, const char *task_id)
{
    struct runner *r;
    HASH_FIND_STR(s->runners, task_id, r);
    if (!r) {
        r = mem_new(s->ctx, struct runner);
        r->task_id = mem_str(r, task_id);
        HASH_ADD_KEYPTR(hh, s->runners, r->task_id, strlen(r->task_id), r);
    }
    return r;
}

static void runner_forget(struct server *s, struct runner *r)
{
    HASH_DEL(s->runners, r);
    mem_free(r);
}

int runners_pid(const struct server *s, const char *task_id)
{
    struct runner *r;
    HASH_FIND_STR(s->runners, task_id, r);
    return !r ? 0 : r->line ? r->pid : r->wanted ? r->started_pid : 0;
}

void runners_list(const struct server *s, struct json_out *o)
{
    jo_arr(o);
    for (struct runner *r = s->runners; r; r = r->hh.next) {
        if (!r->wanted && !r->line)
            continue;
        jo_obj(o);
        jo_kz(o, "task", r->task_id);
        jo_ki(o, "pid", r->line ? r->pid : r->started_pid);
        jo_kb(o, "connected", r->line != NULL);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

void runners_sandboxes(const struct server *s, struct json_out *o)
{
    jo_arr(o);
    for (struct runner *r = s->runners; r; r = r->hh.next) {
        if (!r->wanted && !r->line)
            continue;
        bool open = r->line && r->listening;
        jo_obj(o);
        jo_kz(o, "task", r->task_id);
        jo_ki(o, "runner_pid", r->line ? r->pid : r->started_pid);
        jo_kb(o, "connected", r->line != NULL);
        jo_kz(o, "phase", open ? egress_phase_name(r->phase) : NULL);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

/* ---- lines ---- */

static void line_free_when_done(struct runner_line *l)
{
    if (l->closed && !l->writing && !l->greeting)
        mem_free(l->ctx);
}

static void line_closed(uv_handle_t *h)
{
    struct runner_line *l = h->data;
    l->closed = true;
    line_free_when_done(l);
}

static void runner_unlisten(struct server *s, struct runner *r);

static void line_close(struct runner_line *l)
{
    if (l->closing)
        return;
    l->closing = true;
    if (l->runner && l->runner->line == l) {
        l->runner->line = NULL;
        l->runner->leaving = true;
        runner_unlisten(l->server, l->runner);
    }
    uv_close((uv_handle_t *)&l->pipe, line_closed);
}

static enum rc batch_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct runner_line *l = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct json list;
    enum rc rc = json_parse(tmp, buf_view(&l->batch), &list, err);
    l->final = false;
    for (struct json_iter it = json_iter(list); rc == RC_OK && json_next(&it);) {
        bool final;
        l->acked = json_int(json_get(it.value, "origin"), 0);
        rc = board_apply(tx, l->task_id, l->acked, it.value, &final, err);
        l->final |= final;
    }
    return rc;
}

static void batch_start(struct runner_line *l);

static void batch_done_on_loop(void *arg)
{
    struct runner_line *l = arg;
    l->writing = false;
    if (l->closing) {
        line_free_when_done(l);
        return;
    }
    if (l->rc != RC_OK) {
        log_err(&l->err, "could not take a runner's events");
        line_close(l); /* it connects again and sends what was not acknowledged */
        return;
    }
    char text[64];
    int n = snprintf(text, sizeof text, "{\"ack\":%lld}", (long long)l->acked);
    pipe_send_frame((uv_stream_t *)&l->pipe, str_n(text, (size_t)n));
    if (l->runner)
        l->runner->failures = 0;
    if (l->final)
        budget_forget_task(l->server, l->task_id);
    batch_start(l);
}

static void batch_done(void *arg, enum rc rc, const struct err *err)
{
    struct runner_line *l = arg;
    l->rc = rc;
    if (err)
        l->err = *err;
    loop_post(&l->server->loop, batch_done_on_loop, l);
}

static void line_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf);
static void line_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void batch_start(struct runner_line *l)
{
    if (l->writing || !l->events.n || l->closing)
        return;
    buf_clear(&l->batch);
    buf_char(&l->batch, '[');
    buf_str(&l->batch, buf_view(&l->events));
    buf_char(&l->batch, ']');
    buf_clear(&l->events);
    l->writing = true;
    store_write_async(l->server->store, batch_tx, l, batch_done);
    if (l->paused) {
        l->paused = false;
        uv_read_start((uv_stream_t *)&l->pipe, line_alloc, line_read);
    }
}

static void welcome_make(void *arg)
{
    struct runner_line *l = arg;
    l->rc = board_welcome(l->ctx, &l->server->board, l->task_id, l->token, &l->welcome, &l->err);
}

static void line_refuse(struct runner_line *l, const struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, l->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "refused");
    jo_obj(&o);
    jo_kz(&o, "code", rc_name(err->rc));
    jo_kz(&o, "title", err->sentence);
    jo_end_obj(&o);
    jo_end_obj(&o);
    pipe_send_frame((uv_stream_t *)&l->pipe, buf_view(&b));
    line_close(l);
}

static void welcome_made(void *arg)
{
    struct runner_line *l = arg;
    struct server *s = l->server;
    l->greeting = false;
    if (l->closing) {
        line_free_when_done(l);
        return;
    }
    if (l->rc != RC_OK) {
        line_refuse(l, &l->err);
        return;
    }
    struct runner *r = runner_get(s, l->task_id);
    if (r->line)
        line_close(r->line); /* the same runner, quicker than the end of its old line */
    r->line = l;
    r->leaving = false;
    r->pid = l->pid;
    l->runner = r;
    pipe_send_frame((uv_stream_t *)&l->pipe, str_of(l->welcome));
    if (s->stopping)
        pipe_send_frame((uv_stream_t *)&l->pipe, STR("{\"control\":{\"verb\":\"detach\"}}"));
}

/* ---- listeners of sandboxes ---- */

static void handle_freed(uv_handle_t *h)
{
    mem_free(h->data);
}

/* A descriptor that came with the frame at hand; they come in the order of their frames. -1: none, or no socket. */
static int line_fd_take(struct runner_line *l)
{
    int fd = -1;
    if (uv_pipe_pending_count(&l->pipe) == 0 || uv_pipe_pending_type(&l->pipe) != UV_TCP)
        return -1;
    uv_tcp_t *got = mem_new(NULL, uv_tcp_t);
    got->data = got;
    uv_os_fd_t own;
    uv_tcp_init(&l->server->uv, got);
    if (uv_accept((uv_stream_t *)&l->pipe, (uv_stream_t *)got) == 0 && uv_fileno((uv_handle_t *)got, &own) == 0)
        fd = fcntl(own, F_DUPFD_CLOEXEC, 0);
    uv_close((uv_handle_t *)got, handle_freed);
    return fd;
}

/* {"word":{members of the listener, or of what is wrong}} */
static void line_say_listener(struct runner_line *l, const char *word, int64_t id, const struct run_listener *listener,
                              const struct err *problem)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, word);
    jo_obj(&o);
    if (listener)
        run_listener_json(listener, &o);
    else
        jo_ki(&o, "id", id);
    if (problem) {
        jo_kz(&o, "problem", problem->sentence);
        jo_kz(&o, "code", rc_name(problem->rc));
    }
    jo_end_obj(&o);
    jo_end_obj(&o);
    pipe_send_frame((uv_stream_t *)&l->pipe, buf_view(&b));
}

static const char *egress_tag(mem *ctx, const struct runner *r)
{
    return mem_printf(ctx, "%s.%s", r->task_id, egress_phase_name(r->phase));
}

static void runner_unlisten(struct server *s, struct runner *r)
{
    CLEANUP_MEM mem *tmp = mem_root();
    r->listener = run_listener_close(r->listener);
    if (r->proxied)
        proxy_close(s, egress_tag(tmp, r));
    r->proxied = false;
    r->listening = 0;
}

/* proxy: {phase, project, agent, egress, lent, canaries}. fd is taken. */
static enum rc runner_egress_open(struct server *s, struct runner *r, struct json proxy, int fd, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int mine = fd;
    struct egress asked = {0};
    struct json lent = json_get(proxy, "lent"), canaries = json_get(proxy, "canaries");
    struct proxy_lent *lends = mem_array(tmp, struct proxy_lent, json_len(lent) + 1);
    const char **alarms = mem_array(tmp, const char *, json_len(canaries) + 1);
    size_t n_lent = 0, n_alarms = 0;
    if (!egress_phase_find(json_z(tmp, json_get(proxy, "phase"), ""), &r->phase))
        return err_set(err, RC_INVALID, "the runner names no phase of the outside");
    if (json_is(json_get(proxy, "egress")) && egress_from_json(tmp, json_get(proxy, "egress"), &asked, err) != RC_OK)
        return err->rc;
    for (struct json_iter it = json_iter(lent); json_next(&it);)
        lends[n_lent++] = (struct proxy_lent){json_z(tmp, json_get(it.value, "name"), ""),
                                              json_z(tmp, json_get(it.value, "placeholder"), "")};
    for (struct json_iter it = json_iter(canaries); json_next(&it);)
        alarms[n_alarms++] = json_z(tmp, it.value, "");
    struct proxy_run run = {.tag = egress_tag(tmp, r),
                            .task = r->task_id,
                            .project = json_z(tmp, json_get(proxy, "project"), ""),
                            .agent = json_z(tmp, json_get(proxy, "agent"), ""),
                            .phase = r->phase,
                            .egress = &asked,
                            .lent = lends,
                            .lent_count = n_lent,
                            .canaries = alarms};
    enum rc rc = proxy_open(s, &run, fd_take(&mine), err);
    r->proxied = rc == RC_OK;
    return rc;
}

static void line_listen(struct runner_line *l, struct json listen)
{
    struct runner *r = l->runner;
    struct err err = {0};
    enum rc rc = RC_OK;
    struct json proxy = json_get(listen, "proxy");
    bool wants_gateway = json_bool(json_get(listen, "gateway"), false), wants_proxy = json_is(proxy);
    CLEANUP_FD int gateway_fd = wants_gateway ? line_fd_take(l) : -1;
    CLEANUP_FD int proxy_fd = wants_proxy ? line_fd_take(l) : -1;
    runner_unlisten(l->server, r);
    r->listening = json_int(json_get(listen, "id"), 0);
    if ((wants_gateway && gateway_fd < 0) || (wants_proxy && proxy_fd < 0))
        rc = err_set(&err, RC_INVALID, "no listening socket came with the runner's words");
    if (rc == RC_OK && wants_gateway)
        rc = run_listener_open(l->server, l->task_id, listen, fd_take(&gateway_fd), &r->listener, &err);
    if (rc == RC_OK && wants_proxy)
        rc = runner_egress_open(l->server, r, proxy, fd_take(&proxy_fd), &err);
    if (rc != RC_OK)
        log_err(&err, "the listeners of a run");
    line_say_listener(l, "listening", r->listening, NULL, rc == RC_OK ? NULL : &err);
    if (rc != RC_OK)
        runner_unlisten(l->server, r);
}

static void line_unlisten(struct runner_line *l, struct json unlisten)
{
    struct runner *r = l->runner;
    int64_t id = json_int(json_get(unlisten, "id"), 0);
    bool ours = r->listening && r->listening == id;
    line_say_listener(l, "unlistened", id, ours ? r->listener : NULL, NULL);
    if (ours)
        runner_unlisten(l->server, r);
}

void runners_guest_ended(void *server, const struct gateway_guest_end *e)
{
    struct server *s = server;
    struct runner *r;
    HASH_FIND_STR(s->runners, e->task_id, r);
    if (r && r->line && r->listener && run_listener_ended(r->listener, e))
        line_say_listener(r->line, "cut", e->listening, r->listener, NULL);
}

static void line_frame(struct runner_line *l, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (json_parse(tmp, text, &root, NULL) != RC_OK) {
        line_close(l);
        return;
    }
    struct json hello = json_get(root, "hello"), event = json_get(root, "event");
    if (json_is(hello) && !l->task_id) {
        l->task_id = json_z(l->ctx, json_get(hello, "task"), "");
        l->token = json_z(l->ctx, json_get(hello, "token"), "");
        l->pid = (int)json_int(json_get(hello, "pid"), 0);
        l->greeting = true;
        loop_offload(&l->server->loop, welcome_make, welcome_made, l);
    } else if (json_is(json_get(root, "shell")) && !l->task_id) {
        uv_os_fd_t fd; /* a line of another kind: nothing else was read of it, for the shell waits for its welcome */
        terminals_arrived(l->server, uv_fileno((uv_handle_t *)&l->pipe, &fd) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1,
                          json_get(root, "shell"));
        line_close(l);
    } else if (json_is(event) && l->runner) {
        if (l->events.n)
            buf_char(&l->events, ',');
        buf_str(&l->events, json_raw(event));
        if (l->events.n > EVENTS_MAX / 2 && !l->paused) {
            l->paused = true;
            uv_read_stop((uv_stream_t *)&l->pipe);
        }
        batch_start(l);
    } else if (l->runner && json_is(json_get(root, "listen"))) {
        line_listen(l, json_get(root, "listen"));
    } else if (l->runner && json_is(json_get(root, "unlisten"))) {
        line_unlisten(l, json_get(root, "unlisten"));
    } else {
        line_close(l);
    }
}

static void line_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static char bytes[65536];
    (void)h;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void line_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct runner_line *l = stream->data;
    struct str frame;
    if (got == 0)
        return;
    if (got < 0 || frame_feed(&l->in, buf->base, (size_t)got, NULL) != RC_OK) {
        line_close(l);
        return;
    }
    enum rc rc;
    while (!l->closing && (rc = frame_take(&l->in, &frame, NULL)) != RC_AGAIN) {
        if (rc != RC_OK) {
            line_close(l);
            return;
        }
        line_frame(l, frame);
    }
}

static void line_arrived(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    if (status < 0)
        return;
    mem *ctx = mem_root();
    struct runner_line *l = mem_new(ctx, struct runner_line);
    l->ctx = ctx;
    l->server = s;
    l->pipe.data = l;
    frame_reader_init(&l->in, ctx);
    buf_init(&l->events, ctx, EVENTS_MAX + FRAME_MAX);
    buf_init(&l->batch, ctx, EVENTS_MAX + FRAME_MAX + 2);
    uv_pipe_init(&s->uv, &l->pipe, 1); /* descriptors come with frames */
    if (uv_accept(listener, (uv_stream_t *)&l->pipe) != 0 ||
        uv_read_start((uv_stream_t *)&l->pipe, line_alloc, line_read) != 0)
        line_close(l);
}

enum rc runners_open(struct server *s, struct err *err)
{
    s->link.data = s;
    if (uv_pipe_init(&s->uv, &s->link, 0) != 0 || uv_pipe_open(&s->link, s->place->link_fd) != 0 ||
        uv_listen((uv_stream_t *)&s->link, 128, line_arrived) != 0)
        return err_set(err, RC_UNAVAILABLE, "could not listen for runners");
    return RC_OK;
}

void runners_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->link, NULL);
    for (struct runner *r = s->runners; r; r = r->hh.next) {
        if (r->line)
            line_close(r->line);
    }
}

void runners_tell(struct server *s, const char *task_id, struct str frame)
{
    struct runner *r;
    HASH_FIND_STR(s->runners, task_id, r);
    if (r && r->line)
        pipe_send_frame((uv_stream_t *)&r->line->pipe, frame);
}

void runners_tell_all(struct server *s, struct str frame)
{
    for (struct runner *r = s->runners; r; r = r->hh.next) {
        if (r->line)
            pipe_send_frame((uv_stream_t *)&r->line->pipe, frame);
    }
}

/* ---- schedule ---- */

struct giving_up_job {
    mem *ctx;
    struct server *server;
    const char *task_id;
    char *words;
};

static void give_up_work(void *arg)
{
    struct giving_up_job *g = arg;
    struct err err = {0};
    if (board_give_up(g->ctx, &g->server->board, g->task_id, g->words, &err) != RC_OK)
        log_err(&err, "could not fail a task");
}

static void give_up_done(void *arg)
{
    struct giving_up_job *g = arg;
    mem_free(g->ctx);
}

static void runner_give_up(struct server *s, const char *task_id, int status)
{
    mem *ctx = mem_root();
    struct giving_up_job *g = mem_new(ctx, struct giving_up_job);
    g->ctx = ctx;
    g->server = s;
    g->task_id = mem_str(ctx, task_id);
    g->words = mem_printf(
        ctx,
        "the runner ended %d times in a row without getting on (last status %d); its log is in the daemon's log: nightmill daemon status shows where; nightmill resume %s tries again",
        FAILURES_MOST, status, task_id);
    loop_offload(&s->loop, give_up_work, give_up_done, g);
}

void runners_started(struct server *s, const char *task_id, int pid)
{
    struct runner *r = runner_get(s, task_id);
    r->started_pid = pid;
    r->wanted = true;
    if (!r->started_mono_ms)
        r->started_mono_ms = clock_mono_ms();
}

void runners_exited(struct server *s, const char *task_id, int pid, int status)
{
    struct runner *r;
    HASH_FIND_STR(s->runners, task_id, r);
    if (!r || (pid && r->started_pid && r->started_pid != pid))
        return;
    r->wanted = false;
    r->started_pid = 0;
    bool another = r->line && r->pid != pid; /* works on; the one that ended had nothing to do */
    if (r->again) {
        runners_start(s, task_id);
        return;
    }
    if (status == 0 && !r->line) {
        runner_forget(s, r);
    } else if (status != 0 && !another) {
        int64_t wait = 250;
        r->failures++;
        for (int i = 1; i < r->failures && wait < WAIT_MOST_MS; i++)
            wait *= 2;
        r->not_before_mono_ms = clock_mono_ms() + wait;
        if (r->failures >= FAILURES_MOST) {
            runner_give_up(s, task_id, status);
            if (!r->line)
                runner_forget(s, r);
        }
    }
    runners_schedule(s);
}

struct schedule_job {
    mem *ctx;
    struct server *server;
    struct board_due *due;
    size_t n;
    struct board_told *told, *expired;
    size_t told_n, expired_n;
    struct err err;
    enum rc rc;
};

static void schedule_work(void *arg)
{
    struct schedule_job *j = arg;
    j->rc = board_expire(j->ctx, &j->server->board, clock_wall_ns(), &j->expired, &j->expired_n, &j->err);
    if (j->rc == RC_OK)
        j->rc = trials_settle(j->ctx, &j->server->board, j->server->books, &j->told, &j->told_n, &j->err);
    if (j->rc == RC_OK)
        j->rc = board_due(j->ctx, &j->server->board, &j->due, &j->n, &j->err);
}

void runners_start(struct server *s, const char *task_id)
{
    struct runner *r = runner_get(s, task_id);
    CLEANUP_MEM mem *tmp = mem_root();
    r->again = r->wanted;
    if (r->again) {
        /* It has said good-bye and only makes a spare workspace: that is given up. */
        if (r->leaving)
            keeper_line_send(s, str_of(mem_printf(tmp, "{\"end\":{\"task\":\"%s\"}}", task_id)));
        return;
    }
    r->wanted = true;
    r->leaving = false;
    r->started_pid = 0;
    r->started_mono_ms = clock_mono_ms();
    keeper_line_send(s, str_of(mem_printf(tmp, "{\"start\":{\"task\":\"%s\"}}", task_id)));
    terminals_task_begins(s, task_id);
}

/* Takes a place among the tasks at work. One whose task waits for a person (its agent waits with it) does not. */
static bool runner_busy(const struct runner *r, const struct schedule_job *j)
{
    if (!r->line)
        return r->wanted && !r->leaving;
    for (size_t i = 0; i < j->n; i++)
        if (strcmp(j->due[i].id, r->task_id) == 0)
            return true;
    return j->rc != RC_OK;
}

static void schedule_done(void *arg)
{
    struct schedule_job *j = arg;
    struct server *s = j->server;
    int64_t now = clock_mono_ms();
    bool grace = now - s->began_mono_ms < GRACE_MS;
    size_t busy = 0;
    s->scheduling = false;
    if (j->rc != RC_OK)
        log_err(&j->err, "could not look for due tasks");
    for (size_t i = 0; i < j->expired_n; i++)
        runners_tell(s, j->expired[i].task_id, str_of(j->expired[i].frame));
    for (size_t i = 0; i < j->told_n; i++)
        runners_tell(s, j->told[i].task_id, str_of(j->told[i].frame));
    for (struct runner *r = s->runners; r; r = r->hh.next)
        busy += runner_busy(r, j);
    for (size_t i = 0; i < j->n && !s->stopping; i++) {
        struct runner *r;
        HASH_FIND_STR(s->runners, j->due[i].id, r);
        if (r && (r->line || (r->wanted && now - r->started_mono_ms < STARTING_MS) || now < r->not_before_mono_ms))
            continue;
        if (!j->due[i].queued && grace && !r)
            continue; /* its runner may have outlived the last server */
        if (j->due[i].queued && busy >= s->parallel)
            break;
        busy++;
        runners_start(s, j->due[i].id);
    }
    mem_free(j->ctx);
    if (s->schedule_again) {
        s->schedule_again = false;
        runners_schedule(s);
    }
}

void runners_schedule(struct server *s)
{
    if (s->stopping)
        return;
    if (s->scheduling) {
        s->schedule_again = true;
        return;
    }
    s->scheduling = true;
    mem *ctx = mem_root();
    struct schedule_job *j = mem_new(ctx, struct schedule_job);
    j->ctx = ctx;
    j->server = s;
    loop_offload(&s->loop, schedule_work, schedule_done, j);
}
