/* The server's end of the proxy's line: tags, listeners that are handed over again, questions. Rows are
 * proxy_rows.c. */
#include "api/proxy_link.h"
#include "api/proxy_rows.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "os/line.h"
#include "store/traffic.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uthash.h>

#define TAGS_MOST      1024
#define START_AGAIN_MS 1000
#define QUICK_MS       3000
#define QUESTIONS_MOST 256

struct tag {
    const char *name, *task, *project;
    const char *agent;
    int listener;
    bool hand;
    char *url; /* of one opened by hand; else NULL */
    struct egress egress;
    enum egress_phase phase;
    struct proxy_lent *lent;
    size_t lent_count;
    const char **canaries;
    UT_hash_handle hh;
};
struct orphan {
    char tag[PROXY_TAG_MAX + 1];
    int64_t until_ms;
    struct orphan *next;
};
struct question { /* put to people as an approval */
    struct proxy_link *link;
    mem *ctx;
    int64_t id; /* the proxy's */
    const char *tag, *task, *project, *host, *method;
    int64_t port;
    const char *approval;
    const char *outcome; /* NULL: not known */
    const char *words;
    bool busy, dead; /* a pool thread has it; nobody waits any more */
    struct err err;
    enum rc rc;
    struct question *next;
};
struct hosts { /* a tree of its own */
    struct egress_host *rows;
    size_t n;
};
struct proxy_link {
    struct server *server;
    struct tag *tags;
    int listening;
    uv_poll_t accept;
    struct line *line;
    struct proxy_rows *rows; /* of the line at hand */
    int pid;                 /* said by hello; 0: none */
    int64_t asked_ms;
    struct orphan *orphans;
    struct question *questions;
    size_t question_count;
    struct hosts *hosts;
    bool reading_hosts, read_hosts_again;
};

/* ---- what a run may do, as an `open` frame ---- */

static void host_json(struct json_out *o, const char *host, int64_t port, const char *const *methods,
                      const char *verdict)
{
    bool ipv6 = strchr(host, ':') != NULL;
    char text[300];
    snprintf(text, sizeof text, "%s%s%s", ipv6 ? "[" : "", host, ipv6 ? "]" : "");
    jo_obj(o);
    jo_kz(o, "host", text);
    jo_ki(o, "port", port);
    jo_kz(o, "verdict", verdict);
    if (methods) {
        jo_key(o, "methods");
        jo_arr(o);
        for (const char *const *m = methods; *m; m++)
            jo_z(o, *m);
        jo_end_arr(o);
    }
    jo_end_obj(o);
}

/* Every host of a setting; numeric ones also go to `private`, because naming an address allows it. */
static enum rc setting_hosts(mem *ctx, const struct settings *set, const char *name, const char *verdict,
                             struct json_out *o, struct buf *private, struct err *err)
{
    struct str rest = str_of(setting_text(set, name)), piece;
    while (str_next(&rest, ',', &piece)) {
        struct egress_rule r;
        if (!str_trim(piece).n)
            continue;
        enum rc rc = egress_rule_parse(ctx, piece, &r, err);
        if (rc != RC_OK)
            return err_context(err, "%s", name);
        host_json(o, r.host, r.port, NULL, verdict);
        bool numeric = strchr(r.host, ':') || strspn(r.host, "0123456789.") == strlen(r.host);
        if (numeric)
            buf_printf(private, "%s%s", private->n ? "," : "", r.host);
    }
    return RC_OK;
}

static void said_hosts(const struct proxy_link *l, const struct tag *t, const char *verdict, struct json_out *o)
{
    for (size_t i = 0; l->hosts && i < l->hosts->n; i++) {
        const struct egress_host *h = &l->hosts->rows[i];
        if (strcmp(h->verdict, verdict) == 0 && (!*h->project || strcmp(h->project, t->project) == 0))
            host_json(o, h->host, h->port, NULL, verdict);
    }
}

static enum rc rules_json(mem *ctx, const struct proxy_link *l, const struct tag *t, struct json_out *o,
                          struct buf *private, struct err *err)
{
    const struct settings *set = settings_live_take(ctx, l->server->live);
    const char *project = setting_text(set, "egress.project");
    jo_key(o, "rules");
    jo_arr(o);
    said_hosts(l, t, "deny", o);
    enum rc rc = setting_hosts(ctx, set, "egress.tunnel", "tunnel", o, private, err);
    if (rc == RC_OK)
        rc = setting_hosts(ctx, set, "egress.hosts", "allow", o, private, err);
    if (rc == RC_OK && t->phase == EGRESS_SETUP)
        rc = setting_hosts(ctx, set, "egress.setup_hosts", "allow", o, private, err);
    said_hosts(l, t, "allow", o);
    for (size_t i = 0; strcmp(project, "ignore") != 0 && i < t->egress.counts[t->phase]; i++) {
        const struct egress_rule *r = &t->egress.rules[t->phase][i];
        host_json(o, r->host, r->port, r->methods, project);
    }
    jo_end_arr(o);
    return rc;
}

static void private_json(struct json_out *o, struct str list)
{
    struct str piece;
    while (str_next(&list, ',', &piece))
        if (str_trim(piece).n)
            jo_str(o, str_trim(piece));
}

static enum rc resolve_json(const struct settings *set, struct json_out *o, struct err *err)
{
    struct str rest = str_of(setting_text(set, "egress.resolve")), piece, name;
    jo_key(o, "resolve");
    jo_arr(o);
    while (str_next(&rest, ',', &piece)) {
        struct str address = str_trim(piece);
        if (!address.n)
            continue;
        if (!str_next(&address, '=', &name) || !str_trim(address).n)
            return err_set(err, RC_INVALID, "egress.resolve is a list of name=address");
        jo_obj(o);
        jo_ks(o, "host", str_trim(name));
        jo_ks(o, "address", str_trim(address));
        jo_end_obj(o);
    }
    jo_end_arr(o);
    return RC_OK;
}

static const char *placeholder_of(const struct tag *t, const char *name)
{
    for (size_t i = 0; i < t->lent_count; i++)
        if (strcmp(t->lent[i].name, name) == 0)
            return t->lent[i].placeholder;
    return NULL;
}

static enum rc secrets_json(mem *ctx, struct server *s, const struct tag *t, struct json_out *o, struct err *err)
{
    struct egress_secret *secrets;
    size_t n;
    enum rc rc = egress_secrets(ctx, settings_live_take(ctx, s->live), &secrets, &n, err);
    jo_key(o, "secrets");
    jo_arr(o);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const char *placeholder = placeholder_of(t, secrets[i].name), *value;
        if (!placeholder)
            continue;
        value = credentials_find(s, secrets[i].name);
        if (!value) {
            log_warn("the secret %s of egress.secrets is not known to the daemon: its placeholder stays what it is",
                     secrets[i].name);
            continue;
        }
        bool ipv6 = strchr(secrets[i].host.host, ':') != NULL;
        jo_obj(o);
        jo_kz(o, "name", secrets[i].name);
        jo_kz(o, "placeholder", placeholder);
        jo_kz(o, "value", value);
        jo_kz(o, "host", ipv6 ? mem_printf(ctx, "[%s]", secrets[i].host.host) : secrets[i].host.host);
        jo_ki(o, "port", secrets[i].host.port);
        jo_ki(o, "places", secrets[i].places);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    return rc;
}

static enum rc open_json(mem *ctx, struct proxy_link *l, const struct tag *t, struct json_out *o, struct err *err)
{
    struct server *s = l->server;
    const struct settings *set = settings_live_take(ctx, s->live);
    struct buf private;
    buf_init(&private, ctx, 65536);
    buf_z(&private, setting_text(set, "egress.private"));
    jo_obj(o);
    jo_key(o, "open");
    jo_obj(o);
    jo_kz(o, "tag", t->name);
    jo_kz(o, "task", t->task);
    jo_kz(o, "project", t->project);
    jo_kz(o, "agent", t->agent);
    jo_kz(o, "phase", egress_phase_name(t->phase));
    enum rc rc = rules_json(ctx, l, t, o, &private, err);
    jo_key(o, "private");
    jo_arr(o);
    private_json(o, buf_view(&private));
    jo_end_arr(o);
    if (rc == RC_OK)
        rc = resolve_json(set, o, err);
    if (rc == RC_OK)
        rc = secrets_json(ctx, s, t, o, err);
    jo_key(o, "canaries");
    jo_arr(o);
    for (const char **c = t->canaries; c && *c; c++)
        jo_z(o, *c);
    jo_end_arr(o);
    jo_kz(o, "unknown", setting_text(set, "egress.unknown"));
    jo_ki(o, "ask_ms", setting_int(set, "egress.ask_wait") * 1000);
    jo_ki(o, "connections", setting_int(set, "egress.connections"));
    jo_kz(o, "keep", setting_text(set, "traffic.keep"));
    jo_ki(o, "body_max", setting_int(set, "traffic.body_max"));
    jo_kz(o, "upstream_ca", setting_text(set, "egress.upstream_ca"));
    jo_end_obj(o);
    jo_end_obj(o);
    return rc;
}

static enum rc open_send(struct proxy_link *l, const struct tag *t, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, FRAME_MAX);
    json_out_init(&o, &b);
    enum rc rc = open_json(tmp, l, t, &o, err);
    if (rc != RC_OK || !l->line)
        return rc;
    int copy = fcntl(t->listener, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        rc = err_sys(err, errno, "a listener could not be handed over");
    else if (!line_send(l->line, buf_view(&b), copy))
        rc = err_set(err, RC_UNAVAILABLE, "the egress proxy takes nothing more");
    explicit_bzero(b.p, b.n); /* secrets */
    return rc;
}

/* ---- the line ---- */

static void orphan_add(struct proxy_link *l, const char *tag)
{
    struct orphan *o = mem_new(l, struct orphan);
    snprintf(o->tag, sizeof o->tag, "%s", tag);
    o->until_ms = clock_mono_ms() + PROXY_ORPHAN_MS;
    o->next = l->orphans;
    l->orphans = o;
}

static void close_send(struct proxy_link *l, const char *tag)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (l->line)
        line_send(l->line, str_of(mem_printf(tmp, "{\"close\":{\"tag\":\"%s\"}}", tag)), -1);
}

static void questions_drop(struct proxy_link *l);
static void line_forget(struct proxy_link *l);

/* It connects again and sends what was not acknowledged. */
static void rows_broken(void *arg)
{
    struct proxy_link *l = arg;
    line_close(l->line);
    line_forget(l);
}

static void hello(struct proxy_link *l, struct json v)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    l->pid = (int)json_int(json_get(v, "pid"), 0);
    struct proxy_rows_spec spec = {.server = l->server,
                                   .line = l->line,
                                   .origin = json_z(tmp, json_get(v, "id"), ""),
                                   .broken = rows_broken,
                                   .arg = l};
    proxy_rows_free(l->rows);
    l->rows = proxy_rows_new(&spec);
    questions_drop(l); /* it puts those that still wait again */
    for (struct json_iter it = json_iter(json_get(v, "tags")); json_next(&it);) {
        struct tag *t;
        const char *name = json_z(tmp, it.value, "");
        HASH_FIND_STR(l->tags, name, t);
        if (!t && strlen(name) <= PROXY_TAG_MAX)
            orphan_add(l, name);
    }
    for (struct tag *t = l->tags; t; t = t->hh.next)
        if (open_send(l, t, &err) != RC_OK)
            log_err(&err, "the egress of a run could not be opened again");
}

static void question_take(struct proxy_link *l, struct json v);

static void line_frame(void *arg, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct proxy_link *l = arg;
    struct json root;
    if (str_starts(text, STR("{\"rows\":")) && l->rows) {
        proxy_rows_take(l->rows, text);
        return;
    }
    if (json_parse(tmp, text, &root, NULL) != RC_OK)
        return;
    if (json_is(json_get(root, "hello")))
        hello(l, json_get(root, "hello"));
    if (json_is(json_get(root, "question")))
        question_take(l, json_get(root, "question"));
}

static void line_forget(struct proxy_link *l)
{
    l->line = NULL;
    l->pid = 0;
    l->rows = proxy_rows_free(l->rows);
    while (l->orphans) {
        struct orphan *o = l->orphans;
        l->orphans = o->next;
        mem_free(o);
    }
}

static void line_gone(void *arg)
{
    line_forget(arg);
}

static bool peer_is_us(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == geteuid();
}

static void accept_ready(uv_poll_t *poll, int status, int events)
{
    struct proxy_link *l = poll->data;
    (void)status, (void)events;
    int fd = accept4(l->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!peer_is_us(fd)) {
        close(fd);
        return;
    }
    if (l->line) {
        line_close(l->line); /* a new process, quicker than the end of the old line */
        line_forget(l);
    }
    struct line_spec spec = {.loop = &l->server->uv, .fd = fd, .on_frame = line_frame, .on_gone = line_gone, .arg = l};
    l->line = line_new(&spec);
}

static void process_want(struct proxy_link *l)
{
    int64_t now = clock_mono_ms();
    if (l->line || l->server->stopping || !l->tags || now - l->asked_ms < START_AGAIN_MS)
        return;
    l->asked_ms = now;
    keeper_line_send(l->server, STR("{\"proxy\":{}}"));
}

void proxy_line_ended(struct server *s, int pid, int status)
{
    struct proxy_link *l = s->proxy;
    log_warn("the egress proxy (process %d) ended with status %d%s", pid, status,
             l->tags ? ": another one is started" : "");
    if (clock_mono_ms() - l->asked_ms < QUICK_MS)
        l->asked_ms = clock_mono_ms(); /* it ended soon after it began: not again at once */
    process_want(l);
}

/* ---- tags ---- */

static bool tag_valid(const char *name)
{
    size_t n = strlen(name);
    return n && n <= PROXY_TAG_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}

static void tag_free(struct proxy_link *l, struct tag *t)
{
    HASH_DEL(l->tags, t);
    close(t->listener);
    mem_free(t);
}

static enum rc tag_make(struct proxy_link *l, const struct proxy_run *run, int listener, struct tag **ret,
                        struct err *err)
{
    struct tag *t = mem_new(NULL, struct tag);
    size_t n = 0;
    t->name = mem_str(t, run->tag);
    t->task = mem_str(t, run->task ? run->task : "");
    t->project = mem_str(t, run->project ? run->project : "");
    t->agent = mem_str(t, run->agent ? run->agent : "");
    t->phase = run->phase;
    t->listener = listener;
    t->lent = mem_array(t, struct proxy_lent, run->lent_count + 1);
    for (; t->lent_count < run->lent_count; t->lent_count++)
        t->lent[t->lent_count] = (struct proxy_lent){mem_str(t, run->lent[t->lent_count].name),
                                                     mem_str(t, run->lent[t->lent_count].placeholder)};
    while (run->canaries && run->canaries[n])
        n++;
    t->canaries = mem_array(t, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        t->canaries[i] = mem_str(t, run->canaries[i]);
    enum rc rc = RC_OK;
    if (run->egress) { /* by way of its JSON: a deep copy that is checked again */
        CLEANUP_MEM mem *tmp = mem_root();
        struct buf b;
        struct json_out o;
        struct json v;
        buf_init(&b, tmp, FRAME_MAX);
        json_out_init(&o, &b);
        egress_json(&o, run->egress);
        rc = json_parse(tmp, buf_view(&b), &v, err);
        if (rc == RC_OK)
            rc = egress_from_json(t, v, &t->egress, err);
    }
    if (rc == RC_OK && HASH_COUNT(l->tags) >= TAGS_MOST)
        rc = err_set(err, RC_LIMIT, "there are too many sandboxes with a way out");
    if (rc != RC_OK) {
        mem_free(t);
        return rc;
    }
    *ret = t;
    return RC_OK;
}

static enum rc listener_check(int fd, struct err *err)
{
    int listens = 0, domain = 0;
    socklen_t n = sizeof listens, m = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 || !listens ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &m) < 0 || (domain != AF_INET && domain != AF_INET6))
        return err_set(err, RC_INVALID, "this is no listening TCP socket");
    return RC_OK;
}

enum rc proxy_open(struct server *s, const struct proxy_run *run, int listener, struct err *err)
{
    struct proxy_link *l = s->proxy;
    struct tag *t, *old;
    CLEANUP_FD int fd = listener;
    enum rc rc = tag_valid(run->tag) ? listener_check(fd, err)
                                     : err_set(err, RC_INVALID, "the name of an egress listener is malformed");
    if (rc == RC_OK)
        rc = tag_make(l, run, fd, &t, err);
    if (rc != RC_OK)
        return rc;
    rc = open_send(l, t, err); /* checks the settings too when there is no process yet */
    if (rc != RC_OK && rc != RC_UNAVAILABLE) {
        mem_free(t);
        return rc;
    }
    fd_take(&fd);
    HASH_FIND_STR(l->tags, run->tag, old);
    if (old)
        tag_free(l, old);
    HASH_ADD_KEYPTR(hh, l->tags, t->name, strlen(t->name), t);
    for (struct orphan *o = l->orphans; o; o = o->next)
        if (strcmp(o->tag, run->tag) == 0)
            o->tag[0] = '\0';
    process_want(l);
    return RC_OK;
}

void proxy_close(struct server *s, const char *tag)
{
    struct proxy_link *l = s->proxy;
    struct tag *t;
    HASH_FIND_STR(l->tags, tag, t);
    if (!t)
        return;
    close_send(l, tag);
    tag_free(l, t);
}

/* ---- by hand ---- */

static enum rc loopback_listen(int *ret_fd, uint16_t *ret_port, struct err *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 512) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return err_sys(err, errno, "could not listen on 127.0.0.1");
    *ret_port = ntohs(a.sin_port);
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

static enum rc lend_all(mem *ctx, struct server *s, struct proxy_lent **ret, size_t *ret_n, struct err *err)
{
    struct egress_secret *secrets;
    enum rc rc = egress_secrets(ctx, settings_live_take(ctx, s->live), &secrets, ret_n, err);
    *ret = mem_array(ctx, struct proxy_lent, *ret_n + 1);
    for (size_t i = 0; rc == RC_OK && i < *ret_n; i++)
        (*ret)[i] = (struct proxy_lent){secrets[i].name, egress_placeholder_new(ctx)};
    return rc;
}

enum rc proxy_open_hand(mem *ctx, struct server *s, const char *project, const char *task, enum egress_phase phase,
                        bool secrets, struct proxy_hand *ret, struct err *err)
{
    struct proxy_lent *lent = NULL;
    struct tag *t;
    size_t n = 0, have = 0;
    uint16_t port = 0;
    int fd = -1;
    enum rc rc = secrets ? lend_all(ctx, s, &lent, &n, err) : RC_OK;
    if (rc == RC_OK)
        rc = loopback_listen(&fd, &port, err);
    if (rc != RC_OK)
        return rc;
    ret->tag = mem_printf(ctx, "hand.%s", id_new(ctx, 8));
    ret->url = mem_printf(ctx, "http://127.0.0.1:%u", port);
    struct proxy_run run = {
        .tag = ret->tag, .task = task, .project = project, .agent = "", .phase = phase, .lent = lent, .lent_count = n};
    rc = proxy_open(s, &run, fd, err);
    if (rc != RC_OK)
        return rc;
    HASH_FIND_STR(s->proxy->tags, ret->tag, t);
    t->hand = true;
    t->url = mem_str(t, ret->url);
    const char *dir = s->place->data_dir;
    const char *const *usual =
        egress_environment(ctx, ret->url, egress_ca_path(ctx, dir), egress_bundle_path(ctx, dir), NULL);
    while (usual[have])
        have++;
    const char **all = mem_array(ctx, const char *, have + n + 1);
    memcpy(all, usual, have * sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[have + i] = mem_printf(ctx, "%s=%s", lent[i].name, lent[i].placeholder);
    ret->environment = all;
    return RC_OK;
}

void proxy_json(const struct server *s, struct json_out *o)
{
    const struct proxy_link *l = s->proxy;
    jo_obj(o);
    jo_key(o, "pid");
    if (l->pid)
        jo_int(o, l->pid);
    else
        jo_null(o);
    jo_key(o, "open");
    jo_arr(o);
    for (const struct tag *t = l->tags; t; t = t->hh.next) {
        jo_obj(o);
        jo_kz(o, "tag", t->name);
        jo_kz(o, "task", t->task);
        jo_kz(o, "project", t->project);
        jo_kz(o, "phase", egress_phase_name(t->phase));
        jo_kz(o, "url", t->url);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
}

/* ---- questions: a host that nobody allowed yet becomes an approval of its task ---- */

static void question_free(struct question *q)
{
    struct proxy_link *l = q->link;
    struct question **at = &l->questions;
    while (*at && *at != q)
        at = &(*at)->next;
    if (*at) {
        *at = q->next;
        l->question_count--;
    }
    mem_free(q->ctx);
}

static void questions_drop(struct proxy_link *l)
{
    for (struct question *q = l->questions, *next; q; q = next) {
        next = q->next;
        q->dead = true;
        if (!q->busy)
            question_free(q);
    }
}

static void answer_send(struct proxy_link *l, int64_t id, bool allow, const char *words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, 8192);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "answer");
    jo_obj(&o);
    jo_ki(&o, "question", id);
    jo_kb(&o, "allow", allow);
    jo_kz(&o, "words", words);
    jo_end_obj(&o);
    jo_end_obj(&o);
    if (l->line)
        line_send(l->line, buf_view(&b), -1);
}

static enum rc question_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct question *q = arg;
    int64_t now = clock_wall_ns(), number;
    int64_t wait_s = settings_live_int(q->link->server->live, "egress.ask_wait");
    bool fresh;
    q->approval = id_new(q->ctx, 7);
    struct approval a = {.id = q->approval,
                         .task_id = q->task,
                         .gate = "egress",
                         .sequence = -(now / 1000), /* those of runners count upwards from 1 */
                         .subject = mem_printf(q->ctx, "%s %s:%lld", q->method, q->host, (long long)q->port),
                         .outcome = "waiting",
                         .asked_ns = now,
                         .expires_ns = now + wait_s * 1000000000};
    struct buf b;
    struct json_out o;
    buf_init(&b, q->ctx, 8192);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "approval", a.id);
    jo_kz(&o, "gate", a.gate);
    jo_kz(&o, "subject", a.subject);
    jo_ki(&o, "expires_s", wait_s);
    jo_end_obj(&o);
    enum rc rc = approval_insert(tx, &a, &fresh, err);
    struct event e = {.time_ns = now, .type = "gate.waiting", .actor = "agent", .data = b.p};
    return rc == RC_OK ? event_append(tx, q->task, &e, &number, &fresh, err) : rc;
}

static void question_work(void *arg)
{
    struct question *q = arg;
    q->rc = store_write(q->link->server->store, question_tx, q, &q->err);
}

static void question_put_done(void *arg)
{
    struct question *q = arg;
    q->busy = false;
    if (q->rc == RC_OK && !q->dead)
        return;
    if (q->rc != RC_OK) {
        log_err(&q->err, "a question about a host could not be put");
        answer_send(q->link, q->id, false, "the question about the host could not be put");
    }
    question_free(q);
}

static void question_take(struct proxy_link *l, struct json v)
{
    mem *ctx = mem_root();
    struct question *q = mem_new(ctx, struct question);
    struct tag *t;
    q->link = l;
    q->ctx = ctx;
    q->id = json_int(json_get(v, "id"), 0);
    q->tag = json_z(ctx, json_get(v, "tag"), "");
    q->host = json_z(ctx, json_get(v, "host"), "");
    q->method = json_z(ctx, json_get(v, "method"), "");
    q->port = json_int(json_get(v, "port"), 0);
    HASH_FIND_STR(l->tags, q->tag, t);
    if (!t || !*t->task || l->question_count >= QUESTIONS_MOST) {
        answer_send(l, q->id, false,
                    mem_printf(ctx, "%s is not allowed; nightmill traffic allow %s does", q->host, q->host));
        mem_free(ctx);
        return;
    }
    q->task = mem_str(ctx, t->task);
    q->project = mem_str(ctx, t->project);
    q->next = l->questions;
    l->questions = q;
    l->question_count++;
    q->busy = true;
    loop_offload(&l->server->loop, question_work, question_put_done, q);
}

static enum rc allowed_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct question *q = arg;
    struct egress_host h = {.project = q->project,
                            .host = q->host,
                            .port = q->port,
                            .verdict = "allow",
                            .said_by = "approval",
                            .said_ns = clock_wall_ns()};
    return egress_host_put(tx, &h, err);
}

static void question_look(void *arg)
{
    struct question *q = arg;
    struct approval a;
    q->rc = approval_find(q->ctx, q->link->server->store, q->approval, &a, &q->err);
    if (q->rc != RC_OK || strcmp(a.outcome, "waiting") == 0)
        return;
    q->outcome = a.outcome;
    q->words = a.answer && *a.answer ? a.answer : "";
    if (strcmp(a.outcome, "approved") == 0)
        q->rc = store_write(q->link->server->store, allowed_tx, q, &q->err);
}

static void question_looked(void *arg)
{
    struct question *q = arg;
    struct proxy_link *l = q->link;
    q->busy = false;
    if (q->rc != RC_OK)
        log_err(&q->err, "the answer about a host could not be read");
    if (!q->outcome && q->rc == RC_OK && !q->dead)
        return;
    bool allow = q->rc == RC_OK && q->outcome && strcmp(q->outcome, "approved") == 0;
    if (!q->dead)
        answer_send(l, q->id, allow,
                    mem_printf(q->ctx, "%s was refused%s%s", q->host, q->words && *q->words ? ": " : "",
                               q->words ? q->words : ""));
    question_free(q);
    if (allow)
        proxy_hosts_changed(l->server);
}

/* ---- hosts ---- */

struct hosts_job {
    struct proxy_link *link;
    struct hosts *hosts;
    struct err err;
    enum rc rc;
};

static void hosts_read(void *arg)
{
    struct hosts_job *j = arg;
    j->hosts = mem_new(NULL, struct hosts);
    j->rc = egress_host_list(j->hosts, j->link->server->store, NULL, &j->hosts->rows, &j->hosts->n, &j->err);
}

static void hosts_taken(void *arg)
{
    struct hosts_job *j = arg;
    struct proxy_link *l = j->link;
    struct err err = {0};
    l->reading_hosts = false;
    if (j->rc != RC_OK) {
        log_err(&j->err, "what was said about hosts could not be read");
        mem_free(j->hosts);
    } else {
        mem_free(l->hosts);
        l->hosts = j->hosts;
        for (struct tag *t = l->tags; t; t = t->hh.next)
            if (open_send(l, t, &err) != RC_OK)
                log_err(&err, "the egress of a run could not be opened again");
    }
    mem_free(j);
    if (l->read_hosts_again) {
        l->read_hosts_again = false;
        proxy_hosts_changed(l->server);
    }
}

void proxy_hosts_changed(struct server *s)
{
    struct proxy_link *l = s->proxy;
    if (l->reading_hosts) {
        l->read_hosts_again = true;
        return;
    }
    struct hosts_job *j = mem_new(NULL, struct hosts_job);
    j->link = l;
    l->reading_hosts = true;
    loop_offload(&s->loop, hosts_read, hosts_taken, j);
}

/* ---- life ---- */

void proxy_line_tick(struct server *s)
{
    struct proxy_link *l = s->proxy;
    int64_t now = clock_mono_ms();
    process_want(l);
    for (struct orphan **at = &l->orphans; *at;) {
        struct orphan *o = *at;
        if (o->tag[0] && o->until_ms > now) {
            at = &o->next;
            continue;
        }
        if (o->tag[0])
            close_send(l, o->tag);
        *at = o->next;
        mem_free(o);
    }
    for (struct question *q = l->questions; q; q = q->next) {
        if (q->busy || q->dead)
            continue;
        q->busy = true;
        loop_offload(&s->loop, question_look, question_looked, q);
    }
}

static enum rc socket_open(const char *data_dir, int *ret, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/run/proxy.sock", data_dir);
    if (n >= (int)sizeof addr.sun_path)
        return err_set(err, RC_INVALID, "the data folder's name is too long for a socket: %s", data_dir);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, errno, "could not make a socket");
    unlink(addr.sun_path); /* the keeper's lock: there is no other server on this folder */
    mode_t old = umask(0177);
    int bound = bind(fd, (struct sockaddr *)&addr, sizeof addr), why = errno;
    umask(old);
    if (bound < 0 || listen(fd, 16) < 0)
        return err_sys(err, bound < 0 ? why : errno, "could not listen at %s", addr.sun_path);
    *ret = fd_take(&fd);
    return RC_OK;
}

enum rc proxy_line_open(struct server *s, struct err *err)
{
    struct proxy_link *l = mem_new(s->ctx, struct proxy_link);
    l->server = s;
    l->asked_ms = clock_mono_ms() - START_AGAIN_MS;
    s->proxy = l;
    l->hosts = mem_new(NULL, struct hosts);
    enum rc rc = egress_host_list(l->hosts, s->store, NULL, &l->hosts->rows, &l->hosts->n, err);
    struct egress_secret *secrets;
    size_t n;
    if (rc == RC_OK)
        rc = egress_secrets(s->ctx, s->settings, &secrets, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        credentials_refer(s, mem_printf(tmp, "env:%s", secrets[i].name));
    }
    if (rc == RC_OK)
        rc = socket_open(s->place->data_dir, &l->listening, err);
    if (rc != RC_OK)
        return rc;
    uv_poll_init(&s->uv, &l->accept, l->listening);
    l->accept.data = l;
    uv_poll_start(&l->accept, UV_READABLE, accept_ready);
    return RC_OK;
}
