/* The thread behind link.h: one connection, one outgoing queue, reconnection. */
#include "flow/link.h"
#include "base/clock.h"
#include "os/frame.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RECONNECT_MS 200

struct outgoing {
    int64_t origin;
    struct str frame;
    struct outgoing *next;
};

enum listen_state {
    LISTEN_NONE,
    LISTEN_WANTED,
    LISTEN_SENT,
    LISTEN_THERE,
    LISTEN_REFUSED,
    LISTEN_LEAVING,
    LISTEN_LEFT
};
/* What is to be listened at, guarded by the link's lock. */
struct listening {
    enum listen_state state;
    struct link_listen spec; /* with copies of ours */
    int64_t id;
    bool again; /* another connection than the first has it: counts are not whole */
    mem *ctx;   /* of `said` */
    struct link_listened said;
    const char *problem;
    enum rc code;
};

struct link {
    const char *socket_path, *task_id, *token;
    pthread_t thread;
    bool thread_runs, quit;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int sock;     /* owned by the thread once it runs */
    int wake_fd;  /* main -> thread */
    int order_fd; /* thread -> main; readable while there is an order */
    int cut_fd;   /* the same, while the agent may ask no more */
    int input_fd; /* the same, while there are inputs */
    enum link_order order;
    char order_words[256]; /* that came with it */
    int64_t deadline_ns;
    int64_t acked; /* guarded, like everything below */
    bool connected;
    struct outgoing *first, **last; /* not acknowledged yet, in order of origin */
    struct outgoing *unsent;        /* first that was not sent on this connection */
    struct listening listening;
    int64_t leave_id;  /* listener that the server is to be told the end of; 0: none */
    struct buf inputs; /* JSON values joined by ',' */
    mem *inputs_ctx;
};

/* Held by the thread whenever it is not waiting: a fork of the main thread (sandboxes, git) then never catches it in
 * the middle of an allocation, whose locks the child would inherit. */
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;

static void busy_hold(void)
{
    pthread_mutex_lock(&busy);
}

static void busy_release(void)
{
    pthread_mutex_unlock(&busy);
}

static int unix_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* Connects and exchanges hello and welcome; the welcome's text in ctx. */
static enum rc link_greet(struct link *l, mem *ctx, int *ret_fd, struct json *ret_welcome, struct err *err)
{
    CLEANUP_FD int fd = unix_connect(l->socket_path);
    if (fd < 0)
        return err_set(err, RC_UNAVAILABLE, "the daemon does not answer at %s", l->socket_path);
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 4096);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "hello");
    jo_obj(&o);
    jo_kz(&o, "task", l->task_id);
    jo_kz(&o, "token", l->token);
    jo_ki(&o, "pid", getpid());
    jo_end_obj(&o);
    jo_end_obj(&o);
    struct str answer;
    struct json root;
    enum rc rc = frame_send(fd, buf_view(&b), NULL, 0, err);
    if (rc == RC_OK)
        rc = frame_recv(ctx, fd, 10000, &answer, NULL, NULL, err);
    if (rc == RC_OK)
        rc = json_parse(ctx, answer, &root, err);
    if (rc != RC_OK)
        return rc;
    struct json refused = json_get(root, "refused");
    if (json_is(refused)) {
        enum rc why = rc_find(json_z(ctx, json_get(refused, "code"), "bug"));
        return err_set(err, why, "%s", json_z(ctx, json_get(refused, "title"), "the daemon refused this runner"));
    }
    *ret_welcome = json_get(root, "welcome");
    if (json_type(*ret_welcome) != JSON_OBJECT)
        return err_set(err, RC_UPSTREAM, "the daemon's welcome makes no sense");
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

static void event_raise(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN)
        bug_at(__FILE__, __LINE__, "eventfd: %d", errno);
}

static void link_give_order(struct link *l, enum link_order order, struct json words)
{
    bool over = order == LINK_STOP || (order == LINK_YIELD && l->order != LINK_STOP);
    if (l->order == LINK_NONE || over) {
        CLEANUP_MEM mem *tmp = mem_root();
        l->order = order;
        snprintf(l->order_words, sizeof l->order_words, "%s", json_z(tmp, words, ""));
    }
    event_raise(l->order_fd);
}

static void link_acked(struct link *l, int64_t upto)
{
    if (upto > l->acked)
        l->acked = upto;
    while (l->first && l->first->origin <= l->acked) {
        struct outgoing *gone = l->first;
        l->first = gone->next;
        if (l->unsent == gone)
            l->unsent = gone->next;
        if (!l->first)
            l->last = &l->first;
        mem_free(gone);
    }
    pthread_cond_broadcast(&l->changed);
}

static void link_add_input(struct link *l, struct str value)
{
    if (l->inputs.n)
        buf_char(&l->inputs, ',');
    buf_str(&l->inputs, value);
    event_raise(l->input_fd);
}

static enum link_order order_read(struct json verb)
{
    return json_eqz(verb, "stop")     ? LINK_STOP
           : json_eqz(verb, "pause")  ? LINK_PAUSE
           : json_eqz(verb, "detach") ? LINK_DETACH
           : json_eqz(verb, "yield")  ? LINK_YIELD
                                      : LINK_NONE;
}

static void listening_said(struct listening *at, struct json said)
{
    at->ctx = at->ctx ? at->ctx : mem_root();
    const char *limit = json_z(at->ctx, json_get(said, "limit"), "");
    at->said = (struct link_listened){.requests = at->again ? -1 : json_int(json_get(said, "requests"), -1),
                                      .rc = rc_find(json_z(at->ctx, json_get(said, "rc"), "ok")),
                                      .refused = json_bool(json_get(said, "refused"), false),
                                      .limit = *limit ? limit : NULL,
                                      .title = json_z(at->ctx, json_get(said, "title"), ""),
                                      .hint = json_z(at->ctx, json_get(said, "hint"), ""),
                                      .retry_after_s = json_int(json_get(said, "retry_after_s"), -1)};
}

/* Words about the listener. Those about an earlier one come too late and are ignored. */
static void link_handle_listening(struct link *l, struct json root)
{
    struct listening *at = &l->listening;
    struct json listening = json_get(root, "listening"), cut = json_get(root, "cut"),
                left = json_get(root, "unlistened");
    struct json any = json_is(listening) ? listening : json_is(cut) ? cut : left;
    if (!json_is(any) || json_int(json_get(any, "id"), -1) != at->id || at->state == LISTEN_NONE)
        return;
    if (json_is(listening) && at->state == LISTEN_SENT) {
        at->ctx = at->ctx ? at->ctx : mem_root();
        at->problem = json_z(at->ctx, json_get(listening, "problem"), NULL);
        at->code = rc_find(json_z(at->ctx, json_get(listening, "code"), "bug"));
        at->state = at->problem ? LISTEN_REFUSED : LISTEN_THERE;
    } else if (json_is(cut)) {
        listening_said(at, cut);
        event_raise(l->cut_fd);
    } else if (json_is(left) && at->state == LISTEN_LEAVING) {
        if (json_is(json_get(left, "rc"))) /* else the server knows nothing of it */
            listening_said(at, left);
        at->state = LISTEN_LEFT;
    }
    pthread_cond_broadcast(&l->changed);
}

static void link_handle(struct link *l, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (json_parse(tmp, text, &root, NULL) != RC_OK)
        return;
    if (json_is(json_get(root, "ack")))
        link_acked(l, json_int(json_get(root, "ack"), 0));
    if (json_is(json_get(root, "input")))
        link_add_input(l, json_raw(json_get(root, "input")));
    link_handle_listening(l, root);
    enum link_order order = order_read(json_path(root, "control.verb"));
    if (order != LINK_NONE)
        link_give_order(l, order, json_path(root, "control.words"));
}

static void link_drop(struct link *l)
{
    if (l->sock >= 0)
        close(l->sock);
    l->sock = -1;
    l->connected = false;
    l->unsent = l->first;
    l->leave_id = 0; /* it ends with the connection */
    if (l->listening.state == LISTEN_SENT || l->listening.state == LISTEN_THERE) {
        l->listening.state = LISTEN_WANTED; /* the next server is told anew */
        l->listening.again = true;
    } else if (l->listening.state == LISTEN_LEAVING) {
        l->listening.state = LISTEN_LEFT;
    }
    pthread_cond_broadcast(&l->changed);
}

/* Called without the lock; inputs that came with the welcome are events that this runner may not have seen. */
static void link_reconnect(struct link *l)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json welcome;
    int fd = -1;
    if (link_greet(l, tmp, &fd, &welcome, NULL) != RC_OK)
        return;
    pthread_mutex_lock(&l->lock);
    l->sock = fd;
    l->connected = true;
    link_acked(l, json_int(json_get(welcome, "acked"), 0));
    l->unsent = l->first;
    for (struct json_iter it = json_iter(json_get(welcome, "inputs")); json_next(&it);)
        link_add_input(l, json_raw(it.value));
    if (order_read(json_get(welcome, "order")) != LINK_NONE)
        link_give_order(l, order_read(json_get(welcome, "order")), json_get(welcome, "order_words"));
    pthread_mutex_unlock(&l->lock);
}

static struct str listening_frame(mem *ctx, const struct listening *at)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, FRAME_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "listen");
    jo_obj(&o);
    jo_ki(&o, "id", at->id);
    jo_ki(&o, "iteration", at->spec.iteration);
    jo_ki(&o, "requests", at->spec.requests);
    jo_kb(&o, "key", at->spec.key);
    jo_kb(&o, "gateway", at->spec.gateway >= 0);
    if (at->spec.proxy >= 0)
        jo_kraw(&o, "proxy", at->spec.egress);
    jo_end_obj(&o);
    jo_end_obj(&o);
    return buf_view(&b);
}

static int descriptor_copy(int fd)
{
    return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
}

static void listening_close(struct listening *at)
{
    if (at->spec.gateway >= 0)
        close(at->spec.gateway);
    if (at->spec.proxy >= 0)
        close(at->spec.proxy);
    mem_free(at->ctx);
    *at = (struct listening){.spec = {.gateway = -1, .proxy = -1}};
}

/* With the lock, which it gives up while it writes. False: the connection is broken. */
static bool listening_send(struct link *l)
{
    struct listening *at = &l->listening;
    bool ok = true;
    if (l->leave_id) {
        char text[64];
        int n = snprintf(text, sizeof text, "{\"unlisten\":{\"id\":%lld}}", (long long)l->leave_id);
        l->leave_id = 0;
        pthread_mutex_unlock(&l->lock);
        ok = frame_send(l->sock, str_n(text, (size_t)n), NULL, 0, NULL) == RC_OK;
        pthread_mutex_lock(&l->lock);
    }
    if (!ok || at->state != LISTEN_WANTED)
        return ok;
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text = listening_frame(tmp, at);
    int fds[2], n = 0;
    const int own[2] = {at->spec.gateway, at->spec.proxy};
    for (int i = 0; i < 2; i++) /* copies: the main thread may close its own meanwhile */
        if ((fds[n] = descriptor_copy(own[i])) >= 0)
            n++;
    at->state = LISTEN_SENT;
    pthread_mutex_unlock(&l->lock);
    ok = frame_send(l->sock, text, fds, n, NULL) == RC_OK;
    while (n > 0)
        close(fds[--n]);
    pthread_mutex_lock(&l->lock);
    return ok;
}

static void link_send_pending(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    if (!listening_send(l))
        link_drop(l);
    while (l->sock >= 0 && l->unsent) {
        struct outgoing *o = l->unsent;
        /* The entry cannot go while it is unsent on this connection: only an acknowledgement frees it, and that is read
         * by this thread. */
        pthread_mutex_unlock(&l->lock);
        bool ok = frame_send(l->sock, o->frame, NULL, 0, NULL) == RC_OK;
        pthread_mutex_lock(&l->lock);
        if (!ok) {
            link_drop(l);
            break;
        }
        l->unsent = o->next;
    }
    pthread_mutex_unlock(&l->lock);
}

static bool link_read(struct link *l, struct frame_reader *in)
{
    char bytes[16384];
    ssize_t got = recv(l->sock, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0 || frame_feed(in, bytes, (size_t)got, NULL) != RC_OK)
        return false;
    for (;;) {
        struct str frame;
        enum rc rc = frame_take(in, &frame, NULL);
        if (rc == RC_AGAIN)
            return true;
        if (rc != RC_OK)
            return false;
        pthread_mutex_lock(&l->lock);
        link_handle(l, frame);
        pthread_mutex_unlock(&l->lock);
    }
}

static int link_poll_ms(struct link *l)
{
    int ms = l->sock < 0 ? RECONNECT_MS : 60000;
    pthread_mutex_lock(&l->lock);
    if (l->deadline_ns) {
        int64_t left = (l->deadline_ns - clock_mono_ns()) / 1000000 + 1;
        if (left <= 0) {
            l->deadline_ns = 0;
            link_give_order(l, LINK_TIME_UP, (struct json){0});
        } else if (left < ms) {
            ms = (int)left;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return ms;
}

static void *link_main(void *arg)
{
    struct link *l = arg;
    mem *ctx = mem_root();
    struct frame_reader in;
    frame_reader_init(&in, ctx);
    for (;;) {
        pthread_mutex_lock(&l->lock);
        bool quit = l->quit;
        pthread_mutex_unlock(&l->lock);
        if (quit)
            break;
        busy_hold();
        if (l->sock < 0) {
            link_reconnect(l);
            mem_free(ctx);
            ctx = mem_root();
            frame_reader_init(&in, ctx);
        }
        if (l->sock >= 0)
            link_send_pending(l);
        struct pollfd fds[2] = {{.fd = l->wake_fd, .events = POLLIN}, {.fd = l->sock, .events = POLLIN}};
        int wait_ms = link_poll_ms(l);
        busy_release();
        if (poll(fds, l->sock < 0 ? 1 : 2, wait_ms) < 0)
            continue;
        uint64_t drained;
        if (fds[0].revents && read(l->wake_fd, &drained, sizeof drained) < 0)
            continue;
        busy_hold();
        if (l->sock >= 0 && fds[1].revents && !link_read(l, &in)) {
            pthread_mutex_lock(&l->lock);
            link_drop(l);
            pthread_mutex_unlock(&l->lock);
        }
        busy_release();
    }
    mem_free(ctx);
    return NULL;
}

static void link_wake(struct link *l)
{
    event_raise(l->wake_fd);
}

static int link_destructor(struct link *l)
{
    if (l->thread_runs) {
        pthread_mutex_lock(&l->lock);
        l->quit = true;
        pthread_mutex_unlock(&l->lock);
        link_wake(l);
        pthread_join(l->thread, NULL);
    }
    while (l->first) {
        struct outgoing *o = l->first;
        l->first = o->next;
        mem_free(o);
    }
    mem_free(l->inputs_ctx);
    listening_close(&l->listening);
    if (l->sock >= 0)
        close(l->sock);
    close(l->wake_fd);
    close(l->order_fd);
    close(l->cut_fd);
    close(l->input_fd);
    return 0;
}

enum rc link_open(mem *ctx, const char *socket_path, const char *task_id, const char *token, int timeout_ms,
                  struct link **ret, struct link_welcome *ret_welcome, struct err *err)
{
    struct link *l = mem_new(ctx, struct link);
    l->socket_path = mem_str(l, socket_path);
    l->task_id = mem_str(l, task_id);
    l->token = mem_str(l, token);
    l->sock = -1;
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->cut_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->input_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_ON(l->wake_fd < 0 || l->order_fd < 0 || l->cut_fd < 0 || l->input_fd < 0);
    l->listening.spec.gateway = l->listening.spec.proxy = -1;
    l->inputs_ctx = mem_root();
    buf_init(&l->inputs, l->inputs_ctx, 16u << 20);
    talloc_set_destructor(l, link_destructor);

    struct json welcome;
    int64_t give_up = clock_mono_ms() + timeout_ms;
    enum rc rc;
    while ((rc = link_greet(l, l, &l->sock, &welcome, err)) == RC_UNAVAILABLE && clock_mono_ms() < give_up)
        poll(NULL, 0, RECONNECT_MS);
    if (rc != RC_OK) {
        mem_free(l);
        return rc;
    }
    l->connected = true;
    l->acked = json_int(json_get(welcome, "acked"), 0);
    if (order_read(json_get(welcome, "order")) != LINK_NONE)
        link_give_order(l, order_read(json_get(welcome, "order")), json_get(welcome, "order_words"));
    *ret_welcome = (struct link_welcome){
        .acked = l->acked,
        .job = json_z(l, json_get(welcome, "job"), "run"),
        .task = json_get(welcome, "task"),
        .spec = json_get(welcome, "spec"),
        .inputs = json_get(welcome, "inputs"),
    };
    static bool guarded;
    if (!guarded)
        guarded = pthread_atfork(busy_hold, busy_release, busy_release) == 0;
    if (!guarded || pthread_create(&l->thread, NULL, link_main, l) != 0) {
        mem_free(l);
        return err_set(err, RC_UNAVAILABLE, "could not start a thread");
    }
    l->thread_runs = true;
    *ret = l;
    return RC_OK;
}

void link_send(struct link *l, const struct journal_entry *e)
{
    struct outgoing *out = mem_new(NULL, struct outgoing); /* a tree of its own: it changes threads */
    struct buf b;
    struct json_out o;
    buf_init(&b, out, FRAME_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "event");
    jo_obj(&o);
    jo_ki(&o, "origin", e->origin);
    jo_ki(&o, "time", e->time_ns);
    jo_kz(&o, "type", e->type);
    jo_kz(&o, "actor", e->actor);
    jo_kraw(&o, "data", e->data);
    jo_end_obj(&o);
    jo_end_obj(&o);
    if (b.overflow) { /* larger than a frame: the event says so, the journal keeps the whole */
        buf_clear(&b);
        buf_printf(
            &b,
            "{\"event\":{\"origin\":%lld,\"time\":%lld,\"type\":\"%s\",\"actor\":\"%s\",\"data\":{\"left_out_bytes\":%zu}}}",
            (long long)e->origin, (long long)e->time_ns, e->type, e->actor, e->data.n);
    }
    out->origin = e->origin;
    out->frame = buf_view(&b);
    pthread_mutex_lock(&l->lock);
    if (e->origin <= l->acked) {
        pthread_mutex_unlock(&l->lock);
        mem_free(out);
        return;
    }
    *l->last = out;
    l->last = &out->next;
    if (!l->unsent)
        l->unsent = out;
    pthread_mutex_unlock(&l->lock);
    link_wake(l);
}

enum rc link_flush(struct link *l, int64_t origin, int timeout_ms, struct err *err)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&l->lock);
    int why = 0;
    while (l->acked < origin && why == 0)
        why = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    bool done = l->acked >= origin;
    pthread_mutex_unlock(&l->lock);
    return done ? RC_OK : err_set(err, RC_TIMEOUT, "the daemon has not taken the events of task %s yet", l->task_id);
}

int link_order_fd(const struct link *l)
{
    return l->order_fd;
}

enum link_order link_order(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    enum link_order order = l->order;
    pthread_mutex_unlock(&l->lock);
    return order;
}

char *link_order_words(struct link *l, mem *ctx)
{
    pthread_mutex_lock(&l->lock);
    char *words = l->order_words[0] ? mem_str(ctx, l->order_words) : NULL;
    pthread_mutex_unlock(&l->lock);
    return words;
}

void link_set_deadline(struct link *l, int64_t mono_ns)
{
    pthread_mutex_lock(&l->lock);
    l->deadline_ns = mono_ns;
    pthread_mutex_unlock(&l->lock);
    link_wake(l);
}

bool link_connected(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    bool yes = l->connected;
    pthread_mutex_unlock(&l->lock);
    return yes;
}

char *link_take_inputs(struct link *l, mem *ctx)
{
    char *text = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->inputs.n) {
        text = mem_printf(ctx, "[%.*s]", (int)l->inputs.n, l->inputs.p);
        buf_clear(&l->inputs);
    }
    uint64_t drained;
    if (read(l->input_fd, &drained, sizeof drained) < 0 && errno != EAGAIN)
        bug_at(__FILE__, __LINE__, "eventfd: %d", errno);
    pthread_mutex_unlock(&l->lock);
    return text;
}

int link_input_fd(const struct link *l)
{
    return l->input_fd;
}

/* With the lock: waits until the listener's state is none of these. False: the time is over. */
static bool listening_wait(struct link *l, enum listen_state a, enum listen_state b, int timeout_ms)
{
    struct timespec until;
    int why = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while ((l->listening.state == a || l->listening.state == b) && why == 0)
        why = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    return l->listening.state != a && l->listening.state != b;
}

enum rc link_listen(struct link *l, const struct link_listen *spec, int timeout_ms, struct err *err)
{
    static int64_t last_id;
    struct listening *at = &l->listening;
    CLEANUP_FD int gateway = descriptor_copy(spec->gateway);
    CLEANUP_FD int proxy = descriptor_copy(spec->proxy);
    if ((spec->gateway >= 0 && gateway < 0) || (spec->proxy >= 0 && proxy < 0))
        return err_sys(err, errno, "could not keep the sandbox's listeners");
    pthread_mutex_lock(&l->lock);
    BUG_ON(at->state != LISTEN_NONE);
    *at = (struct listening){.state = LISTEN_WANTED, .spec = *spec, .id = ++last_id, .ctx = mem_root()};
    at->spec.gateway = fd_take(&gateway);
    at->spec.proxy = fd_take(&proxy);
    at->spec.egress = str_of(str_dup(at->ctx, spec->egress));
    at->said = (struct link_listened){.requests = -1, .rc = RC_OK, .title = "", .hint = "", .retry_after_s = -1};
    link_wake(l);
    bool told = listening_wait(l, LISTEN_WANTED, LISTEN_SENT, timeout_ms);
    enum rc rc = !told ? err_set(err, RC_UNAVAILABLE, "the daemon does not take the sandbox's listener")
                 : at->state == LISTEN_REFUSED
                     ? err_set(err, at->code, "the daemon cannot answer in the sandbox: %s", at->problem)
                     : RC_OK;
    pthread_mutex_unlock(&l->lock);
    if (rc != RC_OK)
        link_unlisten(l, NULL, 0, NULL);
    return rc;
}

int link_cut_fd(const struct link *l)
{
    return l->cut_fd;
}

void link_unlisten(struct link *l, mem *ctx, int timeout_ms, struct link_listened *ret)
{
    struct listening *at = &l->listening;
    uint64_t drained;
    pthread_mutex_lock(&l->lock);
    l->leave_id = at->id;
    link_wake(l);
    if (at->state == LISTEN_THERE || at->state == LISTEN_SENT) {
        at->state = LISTEN_LEAVING;
        (void)!listening_wait(l, LISTEN_LEAVING, LISTEN_LEAVING, timeout_ms);
    }
    if (ret) {
        *ret = at->said;
        ret->limit = at->said.limit ? mem_str(ctx, at->said.limit) : NULL;
        ret->title = mem_str(ctx, at->said.title);
        ret->hint = mem_str(ctx, at->said.hint);
        if (at->again)
            ret->requests = -1;
    }
    listening_close(at);
    pthread_mutex_unlock(&l->lock);
    if (read(l->cut_fd, &drained, sizeof drained) < 0 && errno != EAGAIN)
        bug_at(__FILE__, __LINE__, "eventfd: %d", errno);
}

struct link *link_close(struct link *l)
{
    return mem_free(l);
}
