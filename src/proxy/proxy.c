/* The process: its line to the server, the runs that are open, accepting. What happens on a connection is flow.c. */
#include "proxy/proxy.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "os/path.h"
#include "proxy/room.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_MS    200
#define ACCEPT_MOST 64 /* then the others have their turn */
#define STOP_MS     1000

bool proxy_send(struct proxy *p, struct str frame)
{
    return p->line && line_send(p->line, frame, -1);
}

/* ---- runs ---- */

static void run_freed_when_over(struct run *run)
{
    if (run->closing && !run->handle_open && !run->connections)
        mem_free(run);
}

static int run_free(struct run *run)
{
    redactor_unref(run->redactor);
    for (size_t i = 0; i < run->policy.secret_count; i++)
        explicit_bzero((char *)(uintptr_t)run->policy.secrets[i].value.p, run->policy.secrets[i].value.n);
    return 0;
}

static void run_handle_closed(uv_handle_t *h)
{
    struct run *run = h->data;
    run->handle_open = false;
    run_freed_when_over(run);
}

/* Takes no more; what is under way goes on. */
static void run_retire(struct run *run)
{
    struct proxy *p = run->proxy;
    run->closing = true;
    *(run->prev ? &run->prev->next : &p->runs) = run->next;
    if (run->next)
        run->next->prev = run->prev;
    p->run_count--;
    uv_close((uv_handle_t *)&run->poll, run_handle_closed);
    close(run->fd);
    run->fd = -1;
    questions_end(run);
}

static struct run *ending; /* for run_flow_end alone: conn_hub_each takes no argument */

static void run_flow_end(struct conn *c)
{
    struct flow *f = (struct flow *)(void *)c;
    if (c->kind == &flow_kind && f->run == ending)
        flow_end(f);
}

static void run_close(struct run *run)
{
    run->connections++; /* it must outlive this call */
    run_retire(run);
    ending = run;
    conn_hub_each(&run->proxy->hub, run_flow_end);
    ending = NULL;
    run->connections--;
    run_freed_when_over(run);
}

static struct run *run_find(const struct proxy *p, const char *tag)
{
    for (struct run *run = p->runs; run; run = run->next)
        if (strcmp(run->tag, tag) == 0)
            return run;
    return NULL;
}

static void run_watch(struct run *run);

void run_connection_ended(struct run *run)
{
    run->connections--;
    if (run->closing)
        run_freed_when_over(run);
    else
        run_watch(run);
}

static void flow_open(struct run *run, int fd)
{
    struct err err = {0};
    int one = 1;
    struct flow *f = mem_new(NULL, struct flow);
    f->run = run;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (conn_open(&f->client, &run->proxy->hub, fd, &flow_kind, &err) != RC_OK) {
        log_err(&err, "a connection could not be taken");
        mem_free(f);
        return;
    }
    run->connections++;
    conn_deadline(&f->client, REST_MS);
}

static void run_ready(uv_poll_t *poll, int status, int events)
{
    struct run *run = poll->data;
    (void)status, (void)events;
    for (int i = 0; i < ACCEPT_MOST && run->connections < run->most_connections; i++) {
        int fd = accept4(run->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            break;
        flow_open(run, fd);
    }
    run_watch(run);
}

/* Beyond its connections a run's further ones wait in the listener's queue. */
static void run_watch(struct run *run)
{
    bool wanted = run->connections < run->most_connections;
    if (wanted == run->polling)
        return;
    run->polling = wanted;
    if (wanted)
        uv_poll_start(&run->poll, UV_READABLE, run_ready);
    else
        uv_poll_stop(&run->poll);
}

/* Placeholders first: the index of a finding then says which. Redaction knows them by name too. */
static void run_secrets(struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct policy *p = &run->policy;
    size_t n = p->secret_count + p->canary_count;
    struct str *watched = mem_array(tmp, struct str, n + 1);
    struct redact_secret *hidden = mem_array(tmp, struct redact_secret, p->secret_count + 1);
    for (size_t i = 0; i < p->secret_count; i++) {
        watched[i] = p->secrets[i].placeholder;
        hidden[i] = (struct redact_secret){p->secrets[i].name, p->secrets[i].value};
    }
    for (size_t i = 0; i < p->canary_count; i++)
        watched[p->secret_count + i] = str_of(p->canaries[i]);
    run->watch = sentinel_new(run, watched, n);
    run->redactor = redactor_new(hidden, p->secret_count);
    talloc_set_destructor(run, run_free);
}

static enum keep keep_find(struct json v)
{
    return json_eqz(v, "full") ? KEEP_FULL : json_eqz(v, "none") ? KEEP_NONE : KEEP_METADATA;
}

static enum rc listener_check(int fd, struct err *err)
{
    int listens = 0;
    socklen_t n = sizeof listens;
    if (fd < 0)
        return err_set(err, RC_INVALID, "no listener came with it");
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 || !listens)
        return err_set(err, RC_INVALID, "its socket does not listen");
    return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? err_sys(err, errno, "its socket cannot be used") : RC_OK;
}

static enum rc run_open(struct proxy *p, struct json open, int fd, struct err *err)
{
    struct run *run = mem_new(NULL, struct run);
    run->proxy = p;
    run->fd = fd;
    const struct {
        const char *key, **into;
    } texts[] = {{"tag", &run->tag},
                 {"task", &run->task},
                 {"project", &run->project},
                 {"agent", &run->agent},
                 {"phase", &run->phase}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i].into = json_z(run, json_get(open, texts[i].key), "");
    run->keep = keep_find(json_get(open, "keep"));
    int64_t most = json_int(json_get(open, "connections"), CONNECTIONS_USUAL);
    int64_t body_max = json_int(json_get(open, "body_max"), 0);
    run->most_connections = most > 0 ? (size_t)most : CONNECTIONS_USUAL;
    run->body_max = body_max > 0 ? (size_t)(body_max < (1 << 20) ? body_max : 1 << 20) : 0;
    enum rc rc = policy_read(run, open, &run->policy, err);
    if (rc == RC_OK)
        rc = identity_trust(p, json_z(run, json_get(open, "upstream_ca"), ""), err);
    if (rc == RC_OK && p->run_count >= RUNS_MOST)
        rc = err_set(err, RC_LIMIT, "there are too many runs");
    if (rc == RC_OK && uv_poll_init(&p->uv, &run->poll, fd) != 0)
        rc = err_set(err, RC_IO, "its socket cannot be watched");
    if (rc != RC_OK) {
        mem_free(run);
        return rc;
    }
    run_secrets(run);
    struct run *old = run_find(p, run->tag);
    if (old)
        run_retire(old);
    run->poll.data = run;
    run->handle_open = true;
    run->next = p->runs;
    if (p->runs)
        p->runs->prev = run;
    p->runs = run;
    p->run_count++;
    run_watch(run);
    return RC_OK;
}

/* ---- the line ---- */

static void opened(struct proxy *p, struct json open)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    int fd = line_fd_take(p->line);
    enum rc rc = listener_check(fd, &err);
    if (rc == RC_OK)
        rc = run_open(p, open, fd, &err);
    if (rc == RC_OK)
        return;
    if (fd >= 0)
        close(fd);
    log_err(&err, mem_printf(tmp, "the egress of %s could not be opened", json_z(tmp, json_get(open, "tag"), "?")));
}

static void closed(struct proxy *p, struct json close_)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct run *run = run_find(p, json_z(tmp, json_get(close_, "tag"), ""));
    if (run)
        run_close(run);
}

static void answered(struct proxy *p, struct json answer)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t id = json_int(json_get(answer, "question"), 0);
    bool allow = json_bool(json_get(answer, "allow"), false);
    const char *words = json_z(tmp, json_get(answer, "words"), "the host was refused");
    for (struct run *run = p->runs; run; run = run->next)
        question_answered(run, id, allow, words);
}

static void acked(struct proxy *p, struct json ack)
{
    record_acked(p, json_int(ack, 0));
}

static const struct {
    const char *word;
    void (*take)(struct proxy *p, struct json v);
} words[] = {{"open", opened}, {"close", closed}, {"answer", answered}, {"ack", acked}};

static void line_frame(void *arg, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (json_parse(tmp, text, &root, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (json_is(json_get(root, words[i].word)))
            words[i].take(arg, json_get(root, words[i].word));
}

static void line_gone(void *arg)
{
    struct proxy *p = arg;
    p->line = NULL;
    p->alone_since_ms = clock_mono_ms();
}

static void hello(struct proxy *p)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, FRAME_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "hello");
    jo_obj(&o);
    jo_ki(&o, "pid", getpid());
    jo_kz(&o, "id", p->id);
    jo_key(&o, "tags");
    jo_arr(&o);
    for (struct run *run = p->runs; run; run = run->next)
        jo_z(&o, run->tag);
    jo_end_arr(&o);
    jo_end_obj(&o);
    jo_end_obj(&o);
    proxy_send(p, buf_view(&b));
}

static void line_connect(struct proxy *p)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/run/proxy.sock", p->data_dir);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || n >= (int)sizeof addr.sun_path || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        return;
    struct line_spec spec = {
        .loop = &p->uv, .fd = fd_take(&fd), .on_frame = line_frame, .on_gone = line_gone, .arg = p};
    p->line = line_new(&spec);
    hello(p);
    record_connected(p);
    questions_again(p);
}

static void retry(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    if (!p->line)
        line_connect(p);
    if (!p->line && clock_mono_ms() - p->alone_since_ms > PROXY_ALONE_S * INT64_C(1000)) {
        log_warn("the server stays away: the egress proxy ends");
        uv_stop(&p->uv);
    }
}

/* ---- the process ---- */

static void stop_late(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    if (!p->record.first || !p->line || clock_mono_ms() - p->alone_since_ms > STOP_MS)
        uv_stop(&p->uv);
}

/* Nothing new; the rows of what was cut off still go to the server, if it is there. */
static void signalled(uv_signal_t *handle, int number)
{
    struct proxy *p = handle->data;
    (void)number;
    while (p->runs)
        run_close(p->runs);
    p->alone_since_ms = clock_mono_ms();
    uv_timer_start(&p->retry, stop_late, 10, 10);
}

static void hub_count(struct conn_hub *hub)
{
    (void)hub; /* runs count their connections themselves */
}

/* Secrets are in this memory: no core file, no other process of this user looks in. */
static void process_harden(void)
{
    struct rlimit files;
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static enum rc proxy_open_all(struct proxy *p, const char *seal_file, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = identity_open(p, mem_printf(tmp, "%s/egress", p->data_dir), seal_file, err);
    if (rc == RC_OK)
        rc = conn_hub_open(&p->hub, &p->uv, STALL_MS, err);
    if (rc != RC_OK)
        return rc;
    p->hub.on_count = hub_count;
    p->resolver = resolver_new(p->ctx, &p->uv);
    record_open(p);
    p->id = id_new(p->ctx, 20);
    p->alone_since_ms = clock_mono_ms();
    uv_timer_init(&p->uv, &p->retry);
    uv_signal_init(&p->uv, &p->term);
    uv_signal_init(&p->uv, &p->intr);
    p->retry.data = p->term.data = p->intr.data = p;
    uv_signal_start(&p->term, signalled, SIGTERM);
    uv_signal_start(&p->intr, signalled, SIGINT);
    uv_timer_start(&p->retry, retry, 0, RETRY_MS);
    return RC_OK;
}

int proxy_main(const char *data_dir, const char *seal_file)
{
    struct err err = {0};
    mem *ctx = mem_root();
    struct proxy *p = mem_new(ctx, struct proxy);
    p->ctx = ctx;
    p->data_dir = data_dir;
    process_harden();
    BUG_ON(uv_loop_init(&p->uv) != 0);
    enum rc rc = proxy_open_all(p, seal_file, &err);
    if (rc != RC_OK) {
        log_err(&err, "the egress proxy could not start");
        _exit(rc_exit_code(rc) ? rc_exit_code(rc) : 1);
    }
    log_info("the egress proxy serves %s", data_dir);
    uv_run(&p->uv, UV_RUN_DEFAULT);
    log_info("the egress proxy ends");
    _exit(0); /* handles and pool threads go with the process */
}
