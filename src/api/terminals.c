/* Sessions, their lines and their viewers; promises are in terminals.h, the frames of a line in flow/shell.h, the
 * messages of a viewer in api.md. Not here: who may (route_terminal.c), what the agent prints (terminal_agent.c). */
#include "api/terminals.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "conf/live.h"
#include "flow/shell.h"
#include "net/ws.h"
#include "os/line.h"
#include "store/user.h"
#include <unistd.h>
#include <uthash.h>

enum {
    RING = 1 << 20,          /* output of a session that the server has at hand */
    PIECE = 32 << 10,        /* output in one message */
    MESSAGE_MOST = 64 << 10, /* of a viewer */
    TYPED_MOST = 1 << 20,    /* on its way to the shell; what is more is lost, as on any terminal */
    VIEWERS_MOST = 64,       /* of one session */
    RECHECK_MS = 5000,       /* between questions whether who looks still may */
    START_MS = 60000,        /* for a shell to say hello, or to come back */
    RETURN_MS = 5000,        /* after the server's start: shells that outlived the last one say hello */
    STARTS_MOST = 4,
    END_MS = 10000, /* between an order to end, or to give up the files, and force */
};

struct viewer {
    struct viewer *next;
    struct terminal *terminal; /* NULL: it only says goodbye */
    struct ws *ws;
    int64_t number;
    struct principal who;
    const char *project;
    struct audit_row row; /* of the audit log, for its end; texts are the viewer's */
    int64_t joined_ms;
    uint64_t typed; /* bytes */
    int64_t checked_ms;
    bool writable, live, told_end;
    uint64_t at;      /* position of what it gets next */
    uint64_t live_at; /* what comes before was there when it joined */
    int64_t moved_ms; /* when it took something last */
    struct escape_filter filter;
    uint16_t rows, columns; /* of its screen; 0: it did not say */
};

struct terminal {
    struct server *server;
    const char *key, *task_id, *session;
    int64_t since_ns;
    bool agent;
    struct terminal_agent *feed;
    char *ring;
    uint64_t begin, end, acked;
    struct viewer *viewers, *active;
    size_t viewer_count;
    int64_t last_viewer;
    uint16_t rows, columns;
    /* The shell: */
    struct line *line;
    int pid, starts;
    int64_t alone_ms; /* since when there is no line */
    int64_t force_ms; /* when it did not do as it was told; 0: nothing to wait for */
    bool known;       /* it is known where the stream stands */
    bool ready, writable, yielding;
    bool ended;
    char *exit; /* the last message */
    UT_hash_handle hh;
};

struct terminals {
    struct terminal *sessions; /* uthash by key */
    size_t shells;
};

struct terminals *terminals_new(struct server *s)
{
    return mem_new(s->ctx, struct terminals);
}

static struct terminal *terminal_find(struct server *s, const char *task_id, const char *session)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct terminal *t;
    const char *key = mem_printf(tmp, "%s.%s", task_id, session);
    HASH_FIND_STR(s->terminals->sessions, key, t);
    return t;
}

/* ---- words to viewers ---- */

struct words {
    mem *ctx;
    struct buf b;
    struct json_out o;
};

static void words_begin(struct words *w, const char *name)
{
    w->ctx = mem_root();
    buf_init(&w->b, w->ctx, 1 << 20);
    json_out_init(&w->o, &w->b);
    jo_obj(&w->o);
    jo_key(&w->o, name);
    jo_obj(&w->o);
}

static void words_close(struct words *w)
{
    jo_end_obj(&w->o);
    jo_end_obj(&w->o);
}

static void words_end(struct words *w, struct viewer *v)
{
    words_close(w);
    ws_send(v->ws, true, buf_view(&w->b));
    mem_free(w->ctx);
}

static void words_end_all(struct words *w, struct terminal *t)
{
    words_close(w);
    for (struct viewer *v = t->viewers; v; v = v->next)
        ws_send(v->ws, true, buf_view(&w->b));
    mem_free(w->ctx);
}

static void viewers_json(const struct terminal *t, struct json_out *o)
{
    jo_key(o, "viewers");
    jo_arr(o);
    for (const struct viewer *v = t->viewers; v; v = v->next) {
        jo_obj(o);
        jo_ki(o, "viewer", v->number);
        jo_kz(o, "name", v->who.name);
        jo_kb(o, "writable", v->writable);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void viewers_tell(struct terminal *t)
{
    struct buf b;
    struct json_out o;
    CLEANUP_MEM mem *tmp = mem_root();
    buf_init(&b, tmp, 1 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    viewers_json(t, &o);
    jo_end_obj(&o);
    for (struct viewer *v = t->viewers; v; v = v->next)
        ws_send(v->ws, true, buf_view(&b));
}

static void hello_tell(const struct terminal *t, struct viewer *v)
{
    struct words w;
    words_begin(&w, "hello");
    jo_kz(&w.o, "task", t->task_id);
    jo_kz(&w.o, "what", t->agent ? "agent" : "shell");
    jo_kz(&w.o, "session", t->session);
    jo_ki(&w.o, "viewer", v->number);
    jo_kb(&w.o, "writable", v->writable);
    jo_ki(&w.o, "rows", t->rows);
    jo_ki(&w.o, "cols", t->columns);
    jo_ki(&w.o, "scrollback", (int64_t)(t->end - t->begin));
    jo_kz(&w.o, "files", t->ready && t->writable ? "writable" : "read-only");
    viewers_json(t, &w.o);
    words_end(&w, v);
}

static void size_tell(struct terminal *t, struct viewer *only)
{
    struct words w;
    words_begin(&w, "size");
    jo_ki(&w.o, "rows", t->rows);
    jo_ki(&w.o, "cols", t->columns);
    if (only)
        words_end(&w, only);
    else
        words_end_all(&w, t);
}

/* ---- output ---- */

static struct str ring_view(const struct terminal *t, uint64_t from, size_t most)
{
    size_t at = (size_t)(from % RING), n = RING - at;
    if (n > t->end - from)
        n = (size_t)(t->end - from);
    return str_n(t->ring + at, n < most ? n : most);
}

static void ring_add(struct terminal *t, struct str bytes)
{
    for (size_t done = 0; done < bytes.n;) {
        size_t at = (size_t)((t->end + done) % RING), part = RING - at < bytes.n - done ? RING - at : bytes.n - done;
        memcpy(t->ring + at, bytes.p + done, part);
        done += part;
    }
    t->end += bytes.n;
    if (t->end - t->begin > RING)
        t->begin = t->end - RING;
}

static void gap_tell(struct viewer *v, uint64_t bytes)
{
    struct words w;
    words_begin(&w, "gap");
    jo_ki(&w.o, "bytes", (int64_t)bytes);
    words_end(&w, v);
    escape_filter_init(&v->filter, v->filter.level); /* what follows may begin anywhere */
}

static void viewer_live(struct viewer *v)
{
    struct words w;
    v->live = true;
    words_begin(&w, "live");
    words_end(&w, v);
}

static void viewer_end(struct viewer *v)
{
    if (v->told_end)
        return;
    v->told_end = true;
    ws_send(v->ws, true, str_of(v->terminal->exit));
    ws_close(v->ws, 1000, "the session has ended");
}

/* Sends what the viewer lacks, as far as it takes it. */
static void viewer_pump(struct viewer *v)
{
    struct terminal *t = v->terminal;
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 16 * PIECE);
    while (v->at < t->end && ws_backlog(v->ws) <= HTTP_HIGH_WATER) {
        if (v->at < t->begin) {
            gap_tell(v, t->begin - v->at);
            v->at = t->begin;
        }
        size_t most = v->at < v->live_at && v->live_at - v->at < PIECE ? (size_t)(v->live_at - v->at) : PIECE;
        struct str part = ring_view(t, v->at, most);
        buf_clear(&b);
        v->filter.queries = v->live && v == t->active;
        escape_filter_feed(&v->filter, part, &b);
        v->at += part.n;
        v->moved_ms = clock_mono_ms();
        if (b.n)
            ws_send(v->ws, false, buf_view(&b));
        if (!v->live && v->at >= v->live_at)
            viewer_live(v);
    }
    if (!v->live && t->known && v->at >= v->live_at)
        viewer_live(v);
    if (t->ended && v->at == t->end)
        viewer_end(v);
}

static void line_say(struct terminal *t, const char *json)
{
    if (t->line)
        (void)line_send(t->line, str_of(json), -1);
}

/* How far the shell may go on: everything is taken at once, but for the one that types and is a little slow. */
static void output_ack(struct terminal *t)
{
    CLEANUP_MEM mem *tmp = mem_root();
    uint64_t taken = t->end;
    const struct viewer *v = t->active;
    if (v && v->at < taken && clock_mono_ms() - v->moved_ms < TERMINAL_PATIENCE_MS)
        taken = v->at;
    if (taken <= t->acked)
        return;
    t->acked = taken;
    line_say(t, mem_printf(tmp, "{\"ack\":%llu}", (unsigned long long)taken));
}

static void viewers_pump(struct terminal *t)
{
    for (struct viewer *v = t->viewers, *next; v; v = next) {
        next = v->next;
        viewer_pump(v);
    }
    output_ack(t);
}

void terminal_show(struct terminal *t, struct str bytes)
{
    ring_add(t, bytes);
    viewers_pump(t);
}

/* ---- the session's life ---- */

static struct terminal *session_new(struct server *s, const char *task_id, const char *session)
{
    struct terminal *t = mem_new(s->ctx, struct terminal);
    t->server = s;
    t->key = mem_printf(t, "%s.%s", task_id, session);
    t->task_id = mem_str(t, task_id);
    t->session = mem_str(t, session);
    t->agent = t->known = strcmp(session, TERMINAL_AGENT) == 0;
    t->ring = mem_array(t, char, RING);
    t->since_ns = clock_wall_ns();
    t->alone_ms = clock_mono_ms();
    t->rows = 24;
    t->columns = 80;
    s->terminals->shells += !t->agent;
    HASH_ADD_KEYPTR(hh, s->terminals->sessions, t->key, strlen(t->key), t);
    return t;
}

static void session_start(struct terminal *t)
{
    CLEANUP_MEM mem *tmp = mem_root();
    t->starts++;
    keeper_line_send(
        t->server, str_of(mem_printf(tmp, "{\"terminal\":{\"task\":\"%s\",\"session\":\"%s\",\"scrollback\":\"%lld\"}}",
                                     t->task_id, t->session,
                                     (long long)settings_live_int(t->server->live, "terminal.scrollback"))));
}

static void session_free(struct terminal *t)
{
    terminal_agent_close(t->feed);
    mem_free(t);
}

/* No viewer joins it any more; those that it has are told when they have seen everything. */
static void session_end(struct terminal *t, const char *exit)
{
    if (t->ended)
        return;
    t->ended = true;
    t->exit = mem_str(t, exit);
    line_close(t->line);
    t->line = NULL;
    t->server->terminals->shells -= !t->agent;
    HASH_DEL(t->server->terminals->sessions, t);
    viewers_pump(t);
    if (!t->viewers)
        session_free(t);
}

static void session_end_words(struct terminal *t, const char *reason, const char *said)
{
    struct words w;
    words_begin(&w, "exit");
    jo_ki(&w.o, "code", -1);
    jo_ki(&w.o, "signal", 0);
    jo_kz(&w.o, "reason", reason);
    jo_kz(&w.o, "words", said);
    words_close(&w);
    session_end(t, buf_view(&w.b).p);
    mem_free(w.ctx);
}

/* ---- the line to the shell ---- */

static void size_say(struct terminal *t)
{
    CLEANUP_MEM mem *tmp = mem_root();
    line_say(t, mem_printf(tmp, "{\"resize\":{\"rows\":%d,\"columns\":%d}}", t->rows, t->columns));
}

/* A runner is there, and the shell can write: it has to give up the files. */
static void files_look(struct terminal *t)
{
    if (!t->line || !t->ready || !t->writable || t->yielding || !runners_pid(t->server, t->task_id))
        return;
    t->yielding = true;
    t->force_ms = clock_mono_ms() + END_MS;
    line_say(t, "{\"yield\":{}}");
}

static void files_tell(struct terminal *t)
{
    struct words w;
    words_begin(&w, "files");
    jo_kz(&w.o, "state", t->writable ? "writable" : "read-only");
    words_end_all(&w, t);
}

static void ready_take(struct terminal *t, struct json ready)
{
    t->ready = true;
    t->writable = json_eqz(json_get(ready, "files"), "writable");
    t->yielding = false;
    t->force_ms = 0;
    files_tell(t);
    files_look(t);
}

static void line_frame(void *arg, struct str text)
{
    struct terminal *t = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (text.n && text.p[0] == 'o') {
        terminal_show(t, str_sub(text, 1, text.n));
        return;
    }
    if (json_parse(tmp, text, &root, NULL) != RC_OK)
        return;
    if (json_is(json_get(root, "ready")))
        ready_take(t, json_get(root, "ready"));
    if (json_is(json_get(root, "exit")))
        session_end(t, str_dup(tmp, text));
}

static void line_gone(void *arg)
{
    struct terminal *t = arg;
    t->line = NULL;
    t->alone_ms = clock_mono_ms();
}

/* A shell that said hello, while it is looked up who it is. */
struct arrival {
    mem *ctx;
    struct server *server;
    int fd;
    const char *task_id, *session, *token;
    int pid;
    uint64_t begin, end;
    bool ready, writable;
    struct task task;
    enum rc rc;
    struct err err;
};

static void arrival_look(void *arg)
{
    struct arrival *a = arg;
    const char *owner;
    a->rc = board_token_task(a->ctx, &a->server->board, a->token, &owner, &a->err);
    if (a->rc == RC_OK && strcmp(owner, a->task_id) != 0)
        a->rc = err_set(&a->err, RC_DENIED, "the token is another task's");
    if (a->rc == RC_OK)
        a->rc = task_find(a->ctx, a->server->store, a->task_id, &a->task, &a->err);
}

static void arrival_welcome(const struct arrival *a, struct terminal *t, uint64_t from)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, FRAME_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "welcome");
    jo_obj(&o);
    jo_ki(&o, "from", (int64_t)from);
    jo_ki(&o, "rows", t->rows);
    jo_ki(&o, "columns", t->columns);
    jo_ki(&o, "idle_s", settings_live_int(t->server->live, "terminal.idle"));
    jo_kraw(&o, "spec", str_of(a->task.spec));
    jo_end_obj(&o);
    jo_end_obj(&o);
    (void)line_send(t->line, buf_view(&b), -1);
}

static void arrival_refuse(const struct arrival *a, const char *title)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b, frame;
    struct json_out o;
    buf_init(&b, tmp, 65536);
    buf_init(&frame, tmp, 65536 + 4);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "refused");
    jo_obj(&o);
    jo_kz(&o, "title", title);
    jo_end_obj(&o);
    jo_end_obj(&o);
    if (frame_write(&frame, buf_view(&b), NULL) == RC_OK) /* small enough for an empty socket */
        (void)!write(a->fd, frame.p, frame.n);
    close(a->fd);
}

/* Where the stream goes on: what the server has stays where it fits. */
static uint64_t stream_join(struct terminal *t, const struct arrival *a)
{
    if (!t->known || t->end < a->begin || t->end > a->end)
        t->begin = t->end = a->end > RING && a->end - RING > a->begin ? a->end - RING : a->begin;
    for (struct viewer *v = t->viewers; v; v = v->next) {
        if (!v->live)
            v->live_at = a->end;
        if (!v->live || v->at > a->end)
            v->at = t->begin;
    }
    t->known = true;
    t->acked = t->end;
    return t->end;
}

static void arrival_done(void *arg)
{
    struct arrival *a = arg;
    struct server *s = a->server;
    struct terminal *t = a->rc == RC_OK ? terminal_find(s, a->task_id, a->session) : NULL;
    if (a->rc != RC_OK || (t && (t->agent || (t->line && t->pid != a->pid)))) {
        arrival_refuse(a, a->rc != RC_OK ? a->err.sentence : "another process has this session");
        mem_free(a->ctx);
        return;
    }
    if (!t)
        t = session_new(s, a->task_id, a->session); /* of the server before */
    line_close(t->line);
    t->pid = a->pid;
    t->ready = a->ready;
    t->writable = a->writable;
    struct line_spec spec = {.loop = &s->uv, .fd = a->fd, .on_frame = line_frame, .on_gone = line_gone, .arg = t};
    t->line = line_new(&spec);
    arrival_welcome(a, t, stream_join(t, a));
    viewers_pump(t);
    files_look(t);
    mem_free(a->ctx);
}

static bool session_valid(const char *session)
{
    int64_t n;
    return str_int(str_of(session), 1, 99, &n) && session[0] != '0';
}

void terminals_arrived(struct server *s, int fd, struct json hello)
{
    mem *ctx = mem_root();
    struct arrival *a = mem_new(ctx, struct arrival);
    *a = (struct arrival){.ctx = ctx,
                          .server = s,
                          .fd = fd,
                          .task_id = json_z(ctx, json_get(hello, "task"), ""),
                          .session = json_z(ctx, json_get(hello, "session"), ""),
                          .token = json_z(ctx, json_get(hello, "token"), ""),
                          .pid = (int)json_int(json_get(hello, "pid"), 0),
                          .begin = (uint64_t)json_int(json_get(hello, "begin"), 0),
                          .end = (uint64_t)json_int(json_get(hello, "end"), 0),
                          .ready = json_bool(json_get(hello, "ready"), false),
                          .writable = json_eqz(json_get(hello, "files"), "writable")};
    if (fd >= 0 && session_valid(a->session) && a->begin <= a->end) {
        loop_offload(&s->loop, arrival_look, arrival_done, a);
        return;
    }
    if (fd >= 0)
        close(fd);
    mem_free(ctx);
}

void terminals_ended(struct server *s, const char *task_id, const char *session, int pid, int status)
{
    struct terminal *t = terminal_find(s, task_id, session);
    if (!t)
        return;
    if (t->pid && t->pid == pid) {
        session_end_words(t, "lost",
                          "the shell's process has ended unexpectedly; open the terminal again for a new one");
    } else if (!t->pid && status != 75) { /* an earlier one of this name was in the way, or it could not be started */
        if (t->starts < STARTS_MOST)
            session_start(t);
        else
            session_end_words(t, "failed", "the shell could not be started; the daemon's log says why");
    } else if (!t->pid && pid == 0) {
        session_end_words(t, "failed", "the shell could not be started: there are too many processes");
    }
}

void terminals_task_begins(struct server *s, const char *task_id)
{
    for (struct terminal *t = s->terminals->sessions; t; t = t->hh.next)
        if (strcmp(t->task_id, task_id) == 0)
            files_look(t);
}

/* ---- whether who looks still may ---- */

struct recheck {
    mem *ctx;
    struct server *server;
    const char *key, *project;
    int64_t number;
    struct principal who;
    enum access needed;
    bool gone; /* the login has ended, or the access */
};

static bool absent(enum rc rc)
{
    return rc == RC_NOT_FOUND || rc == RC_DENIED;
}

static void recheck_work(void *arg)
{
    struct recheck *r = arg;
    struct store *store = r->server->store;
    int64_t now_ns = clock_wall_ns();
    struct session login;
    struct user_key key;
    struct principal who;
    enum rc rc = r->who.session_id ? session_find(r->ctx, store, r->who.session_id, &login, NULL) : RC_OK;
    r->gone = absent(rc) || (r->who.session_id && rc == RC_OK && login.expires_ns <= now_ns);
    rc = r->who.user_id ? principal_of_user(r->ctx, store, r->who.user_id, &who, NULL) : RC_OK;
    r->gone |= absent(rc) || (r->who.user_id && rc == RC_OK && !principal_sees(&who, r->project, r->needed));
    rc = r->who.key_id ? user_key_find(r->ctx, store, r->who.key_id, &key, NULL) : RC_OK;
    r->gone |= absent(rc) ||
               (r->who.key_id && rc == RC_OK && (key.revoked_ns || (key.expires_ns && key.expires_ns <= now_ns)));
}

static void recheck_done(void *arg)
{
    struct recheck *r = arg;
    struct terminal *t;
    HASH_FIND_STR(r->server->terminals->sessions, r->key, t);
    for (struct viewer *v = t && r->gone ? t->viewers : NULL, *next; v; v = next) {
        next = v->next;
        if (v->number == r->number)
            ws_close(v->ws, 4401, "the login has ended, or it may no more");
    }
    mem_free(r->ctx);
}

static void viewer_recheck(struct viewer *v, int64_t now)
{
    if (now - v->checked_ms < RECHECK_MS || (!v->who.session_id && !v->who.user_id && !v->who.key_id))
        return;
    v->checked_ms = now;
    mem *ctx = mem_root();
    struct recheck *r = mem_new(ctx, struct recheck);
    *r = (struct recheck){.ctx = ctx,
                          .server = v->terminal->server,
                          .key = mem_str(ctx, v->terminal->key),
                          .project = mem_str(ctx, v->project),
                          .number = v->number,
                          .who = principal_copy(ctx, &v->who),
                          .needed = v->writable ? ACCESS_USE : ACCESS_READ};
    loop_offload(&r->server->loop, recheck_work, recheck_done, r);
}

static void session_force(struct terminal *t)
{
    CLEANUP_MEM mem *tmp = mem_root();
    t->force_ms = 0;
    keeper_line_send(t->server, str_of(mem_printf(tmp, "{\"terminal_kill\":{\"task\":\"%s\",\"session\":\"%s\"}}",
                                                  t->task_id, t->session)));
}

static void session_tick(struct terminal *t, int64_t now)
{
    for (struct viewer *v = t->viewers; v; v = v->next)
        viewer_recheck(v, now);
    if (t->agent)
        return;
    output_ack(t); /* patience ends with time */
    files_look(t);
    if (t->force_ms && now >= t->force_ms)
        session_force(t);
    if (!t->line && now - t->alone_ms >= START_MS)
        session_end_words(t, "lost", "the shell's process did not come back");
}

void terminals_tick(struct server *s)
{
    int64_t now = clock_mono_ms();
    struct terminal *t, *next;
    HASH_ITER (hh, s->terminals->sessions, t, next)
        session_tick(t, now);
}

/* ---- viewers ---- */

static void size_take(struct viewer *v)
{
    struct terminal *t = v->terminal;
    if (!v->rows || (v->rows == t->rows && v->columns == t->columns))
        return;
    t->rows = v->rows;
    t->columns = v->columns;
    size_say(t);
    size_tell(t, NULL);
}

static void viewer_acts(struct viewer *v)
{
    v->terminal->active = v;
    size_take(v);
}

static void viewer_types(struct viewer *v, struct str bytes)
{
    struct terminal *t = v->terminal;
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    if (!t->line || line_backlog(t->line) > TYPED_MOST)
        return;
    viewer_acts(v);
    v->typed += bytes.n;
    buf_init(&b, tmp, MESSAGE_MOST + 1);
    buf_char(&b, 'i');
    buf_str(&b, bytes);
    (void)line_send(t->line, buf_view(&b), -1);
}

static void viewer_resizes(struct viewer *v, struct json size)
{
    int64_t rows = json_int(json_get(size, "rows"), 0), columns = json_int(json_get(size, "cols"), 0);
    if (rows < 1 || rows > TERMINAL_ROWS_MOST || columns < 1 || columns > TERMINAL_COLUMNS_MOST)
        return;
    v->rows = (uint16_t)rows;
    v->columns = (uint16_t)columns;
    viewer_acts(v);
}

static void viewer_message(void *arg, struct ws *ws, bool text, struct str bytes)
{
    struct viewer *v = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    (void)ws;
    if (!v->terminal || !v->writable || v->terminal->ended)
        return; /* who only looks has nothing to say */
    if (!text) {
        viewer_types(v, bytes);
        return;
    }
    if (json_parse(tmp, bytes, &root, NULL) != RC_OK) {
        ws_close(v->ws, 1007, "a text message is a JSON object");
        return;
    }
    if (json_is(json_get(root, "resize")))
        viewer_resizes(v, json_get(root, "resize"));
    if (json_is(json_get(root, "end")) && v->terminal->line) {
        v->terminal->force_ms = clock_mono_ms() + END_MS;
        line_say(v->terminal, "{\"end\":{}}");
    }
}

static void viewer_drained(void *arg, struct ws *ws)
{
    struct viewer *v = arg;
    (void)ws;
    if (!v->terminal)
        return;
    viewer_pump(v);
    output_ack(v->terminal);
}

/* What a viewer did is not written down, but how long it looked and how much it typed. */
static void viewer_note(struct viewer *v)
{
    v->row.after = mem_printf(v, "{\"session\":\"%s\",\"seconds\":%lld,\"bytes_typed\":%llu}", v->terminal->session,
                              (long long)(clock_mono_ms() - v->joined_ms) / 1000, (unsigned long long)v->typed);
    v->row.outcome = "closed";
    audit_write_later(v->terminal->server->audit, &v->row);
}

static void viewer_gone(void *arg, struct ws *ws, int code)
{
    struct viewer *v = arg;
    struct terminal *t = v->terminal;
    viewer_note(v);
    (void)ws, (void)code;
    for (struct viewer **at = &t->viewers; *at; at = &(*at)->next)
        if (*at == v) {
            *at = v->next;
            break;
        }
    t->viewer_count--;
    if (t->active == v)
        t->active = NULL;
    mem_free(v);
    if (t->viewers)
        viewers_tell(t);
    else if (t->ended)
        session_free(t);
    else if (t->agent)
        session_end_words(t, "ended", "nobody looks any more");
    else
        output_ack(t);
}

static size_t sessions_of_task(const struct server *s, const char *task_id)
{
    size_t n = 0;
    for (const struct terminal *t = s->terminals->sessions; t; t = t->hh.next)
        n += !t->agent && strcmp(t->task_id, task_id) == 0;
    return n;
}

static enum rc session_get(struct server *s, const struct terminal_wish *wish, struct terminal **ret, struct err *err)
{
    struct terminal *t = terminal_find(s, wish->task_id, wish->session);
    bool agent = strcmp(wish->session, TERMINAL_AGENT) == 0;
    if (t && t->viewer_count >= VIEWERS_MOST)
        return err_set(err, RC_LIMIT, "%d people look at this terminal already", VIEWERS_MOST);
    if (!t && !agent && !session_valid(wish->session))
        return err_set(err, RC_INVALID, "a session is named by a number from 1 to 99");
    if (!t && !agent && !wish->writable && clock_mono_ms() - s->began_mono_ms < RETURN_MS) {
        err_set(err, RC_UNAVAILABLE, "the terminals of the server before are coming back");
        return err_hint(err, "try again in a moment");
    }
    if (!t && !agent && !wish->writable)
        return err_set(err, RC_NOT_FOUND, "nobody has opened this terminal, and you may only watch");
    if (!t && !agent && s->terminals->shells >= (size_t)settings_live_int(s->live, "terminal.most")) {
        err_set(err, RC_LIMIT, "%lld terminals are open already",
                (long long)settings_live_int(s->live, "terminal.most"));
        return err_hint(err, "end one (exit), or raise terminal.most");
    }
    if (!t && !agent &&
        sessions_of_task(s, wish->task_id) >= (size_t)settings_live_int(s->live, "terminal.task_most")) {
        err_set(err, RC_LIMIT, "this task has %lld terminals already",
                (long long)settings_live_int(s->live, "terminal.task_most"));
        return err_hint(err, "join one of them, or raise terminal.task_most");
    }
    *ret = t;
    return RC_OK;
}

enum rc terminal_join(struct server *s, struct http_request *r, const struct terminal_wish *wish, struct err *err)
{
    struct terminal *t = NULL;
    enum rc rc = session_get(s, wish, &t, err);
    if (rc != RC_OK)
        return rc;
    struct viewer *v = mem_new(NULL, struct viewer);
    struct ws_spec spec = {.protocol = TERMINAL_PROTOCOL,
                           .max_message = MESSAGE_MOST,
                           .on_message = viewer_message,
                           .on_drained = viewer_drained,
                           .on_gone = viewer_gone,
                           .arg = v};
    rc = ws_accept(r, &spec, &v->ws, err);
    if (rc != RC_OK) {
        mem_free(v);
        return rc;
    }
    bool fresh = !t;
    if (fresh)
        t = session_new(s, wish->task_id, wish->session);
    v->terminal = t;
    v->number = ++t->last_viewer;
    v->who = principal_copy(v, wish->who);
    v->project = mem_str(v, wish->project);
    v->row = audit_row_copy(v, wish->row);
    v->checked_ms = v->joined_ms = clock_mono_ms();
    v->writable = wish->writable && !t->agent;
    v->at = t->begin;
    v->live_at = t->end;
    v->moved_ms = clock_mono_ms();
    escape_filter_init(&v->filter, t->agent ? ESCAPE_COLOURS : v->writable ? ESCAPE_WORK : ESCAPE_SCREEN);
    v->next = t->viewers;
    t->viewers = v;
    t->viewer_count++;
    hello_tell(t, v);
    if (fresh && t->agent)
        t->feed = terminal_agent_open(s, t, t->task_id);
    else if (fresh)
        session_start(t);
    viewer_pump(v);
    viewers_tell(t);
    return RC_OK;
}

void terminals_list(const struct server *s, const char *task_id, struct json_out *o)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_arr(o);
    for (const struct terminal *t = s->terminals->sessions; t; t = t->hh.next) {
        if (t->agent || strcmp(t->task_id, task_id) != 0)
            continue;
        jo_obj(o);
        jo_kz(o, "session", t->session);
        jo_ki(o, "viewers", (int64_t)t->viewer_count);
        jo_kz(o, "since", clock_rfc3339(tmp, t->since_ns));
        jo_kz(o, "files", t->ready && t->writable ? "writable" : "read-only");
        jo_end_obj(o);
    }
    jo_end_arr(o);
}
