/* How the installation is: one sentence, its components, and the findings that `nightmill doctor` shows too; the
 * sandboxes that are open.
 *
 * What starts programs (git, a sandbox on trial) is looked at by a small process of the keeper's (ops/machine.h); what
 * belongs to the loop is taken along from there; the rest is read on a thread of the pool. A look is kept for KEPT_MS,
 * so that no crowd of pages makes work. */
#include "api/proxy_link.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include "crypt/certificate.h"
#include "db/db.h"
#include "gateway/upstreams.h"
#include "ops/machine.h"
#include "os/census.h"
#include "store/notice.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#define SECOND_NS    INT64_C(1000000000)
#define DAY_S        86400
#define KEPT_MS      15000
#define FRESH_MS     2000
#define MACHINE_MS   30000 /* the machine is looked at anew after this long */
#define MACHINE_WAIT 4000
#define CHECK_MOST   (256ll << 20) /* a larger database is not read through while others use it */
#define CHECK_MS     3600000
#define CLOCK_OFF_MS 2000
#define OUT_MOST     (1 << 20)

struct health_memory {
    pthread_mutex_t lock; /* of what is kept */
    pthread_mutex_t looking;
    mem *kept; /* of text */
    struct str text;
    int64_t kept_ms;
    int64_t machine_asked_ms; /* the loop's */
    int64_t checked_ms;       /* the database's pages; 0: never */
    bool damaged;
    char damage[512];
};

/* One look. */
struct look {
    mem *ctx;
    struct server *server;
    struct health_memory *memory;
    bool fresh;
    int64_t asked_ns; /* the machine's look must not be older; 0: whatever there is */
    struct str addresses, runners;
    int proxy_pid;
    struct upstream_health *upstreams;
    size_t upstream_count;
    struct preflight found;
};

void health_open(struct server *s)
{
    s->health = mem_new(s->ctx, struct health_memory);
    pthread_mutex_init(&s->health->lock, NULL);
    pthread_mutex_init(&s->health->looking, NULL);
}

/* ---- rows ---- */

static void row(struct look *l, const char *name, enum preflight_grade grade, const char *mend, const char *fmt, ...)
    PRINTF(5, 6);
static void row(struct look *l, const char *name, enum preflight_grade grade, const char *mend, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    preflight_add(&l->found, name, grade, mem_vprintf(l->ctx, fmt, ap), mend);
    va_end(ap);
}

static void look_machine(struct look *l)
{
    const char *data = l->server->place->data_dir;
    int64_t at_ns = 0, until = clock_mono_ms() + MACHINE_WAIT;
    struct err err = {0};
    for (;;) {
        struct preflight seen = {0};
        enum rc rc = machine_read(l->ctx, data, &seen, &at_ns, &err);
        if (rc == RC_OK && (at_ns >= l->asked_ns || clock_mono_ms() > until)) {
            l->found = seen;
            return;
        }
        if (clock_mono_ms() > until)
            break;
        usleep(20000);
    }
    row(l, "machine", PREFLIGHT_WARN, "nightmill doctor looks by itself when the daemon is stopped",
        "nobody could look at the machine: %s", err.sentence);
}

/* What `doctor` says of the daemon's own version is the client's to add: it compares. */
static void look_version(struct look *l)
{
    row(l, "version", PREFLIGHT_OK, NULL, "%s, process %d, since %s", NIGHTMILL_VERSION, getpid(),
        clock_rfc3339(l->ctx, l->server->started_ns));
}

/* Budgets, keys and signatures have times. A clock that was set shows against the one that only runs. */
static void look_clock(struct look *l)
{
    struct server *s = l->server;
    struct timex t = {0};
    int64_t wall_ms = (clock_wall_ns() - s->started_ns) / 1000000, ran_ms = clock_mono_ms() - s->began_mono_ms,
            off = wall_ms - ran_ms;
    int state = adjtimex(&t);
    if (llabs(off) > CLOCK_OFF_MS)
        row(l, "clock", PREFLIGHT_WARN, "let the machine keep its time: systemctl enable --now systemd-timesyncd",
            "was set by %lld s since the daemon began", (long long)(off / 1000));
    else if (state == TIME_ERROR || (t.status & STA_UNSYNC))
        row(l, "clock", PREFLIGHT_NOTE, "let the machine keep its time: systemctl enable --now systemd-timesyncd",
            "%s; nothing says that it is kept right", clock_rfc3339(l->ctx, clock_wall_ns()));
    else
        row(l, "clock", PREFLIGHT_OK, NULL, "%s, kept right", clock_rfc3339(l->ctx, clock_wall_ns()));
}

static int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void look_database(struct look *l)
{
    struct server *s = l->server;
    struct health_memory *m = l->memory;
    struct err err = {0};
    int64_t now = clock_mono_ms();
    int64_t bytes = file_size(mem_printf(l->ctx, "%s/nightmill.db", s->place->data_dir)),
            log = file_size(mem_printf(l->ctx, "%s/nightmill.db-wal", s->place->data_dir));
    if (bytes <= CHECK_MOST && (!m->checked_ms || now - m->checked_ms > CHECK_MS)) {
        m->damaged = db_check(store_db(s->store), &err) == RC_IO;
        m->checked_ms = now;
        if (m->damaged)
            snprintf(m->damage, sizeof m->damage, "%s", err.sentence);
    }
    if (m->damaged)
        row(l, "database", PREFLIGHT_FAIL, "stop the daemon and put a copy of the data folder in its place", "%s",
            m->damage);
    else
        row(l, "database", PREFLIGHT_OK, NULL, "%.1f MiB and %.1f MiB not yet moved into it, %zu writes wait; %s",
            (double)bytes / (1 << 20), (double)log / (1 << 20), store_backlog(s->store),
            m->checked_ms
                ? mem_printf(l->ctx, "all pages in order %lld min ago", (long long)((now - m->checked_ms) / 60000))
                : "too large to read through beside the work");
}

static void look_providers(struct look *l)
{
    struct err err = {0};
    const struct catalog *cat;
    size_t usable = 0, resting = 0;
    const char *rests = "";
    if (catalog_ref(l->server->catalogs, true, &cat, &err) != RC_OK) {
        row(l, "providers", PREFLIGHT_WARN, NULL, "%s", err.sentence);
        return;
    }
    for (size_t i = 0; i < cat->provider_count; i++)
        usable += cat->providers[i].row.enabled;
    catalog_unref(cat);
    for (size_t i = 0; i < l->upstream_count; i++) {
        if (!l->upstreams[i].rests_ms)
            continue;
        resting++;
        rests = mem_printf(l->ctx, "%s%s%s", rests, *rests ? ", " : "", l->upstreams[i].provider);
    }
    if (!usable)
        row(l, "providers", PREFLIGHT_NOTE, "give one: nightmill provider add NAME --key-stdin, or export its key",
            "none is there, so only models with an address of their own can be asked");
    else if (resting)
        row(l, "providers", resting < usable ? PREFLIGHT_WARN : PREFLIGHT_FAIL, "nightmill provider test NAME",
            "%zu of %zu rest after failures: %s", resting, usable, rests);
    else
        row(l, "providers", PREFLIGHT_OK, NULL, "%zu, none rests", usable);
}

static void look_proxy(struct look *l)
{
    if (l->proxy_pid)
        row(l, "proxy", PREFLIGHT_OK, NULL, "runs as process %d", l->proxy_pid);
    else
        row(l, "proxy", PREFLIGHT_OK, NULL, "not running; it is started when a sandbox may reach hosts");
}

static void look_runners(struct look *l)
{
    struct json root;
    size_t n = 0, lost = 0;
    if (json_parse(l->ctx, l->runners, &root, NULL) != RC_OK)
        return;
    for (struct json_iter it = json_iter(root); json_next(&it); n++)
        lost += !json_bool(json_get(it.value, "connected"), false);
    row(l, "runners", lost ? PREFLIGHT_NOTE : PREFLIGHT_OK, NULL, "%zu at work%s", n,
        lost ? mem_printf(l->ctx, ", %zu not connected (they come by themselves)", lost) : "");
}

static void look_addresses(struct look *l)
{
    struct json root;
    if (json_parse(l->ctx, l->addresses, &root, NULL) != RC_OK)
        return;
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        const char *url = json_z(l->ctx, json_get(it.value, "url"), ""),
                   *problem = json_z(l->ctx, json_get(it.value, "problem"), NULL);
        if (problem)
            row(l, "address", PREFLIGHT_WARN,
                "set server.address to a free one, or to off, then: nightmill daemon stop", "%s: %s", url, problem);
        else
            row(l, "address", PREFLIGHT_OK, NULL, "%s", url);
    }
}

static void look_certificate(struct look *l)
{
    const char *path = setting_text(l->server->settings, "server.tls_certificate");
    struct err err = {0};
    int64_t ends_s, now_s = clock_wall_ns() / SECOND_NS;
    if (!*path)
        return;
    if (certificate_file_ends(path, &ends_s, &err) != RC_OK) {
        row(l, "certificate", PREFLIGHT_FAIL, "put it back, then: kill -HUP of the daemon", "%s", err.sentence);
        return;
    }
    int64_t days = (ends_s - now_s) / DAY_S;
    row(l, "certificate",
        ends_s <= now_s ? PREFLIGHT_FAIL
        : days < 14     ? PREFLIGHT_WARN
                        : PREFLIGHT_OK,
        days < 14 ? "renew it; a new file is taken when the daemon gets SIGHUP" : NULL, "%s ends at %s", path,
        clock_rfc3339(l->ctx, ends_s * SECOND_NS));
}

static void look_notifications(struct look *l)
{
    struct channel *rows;
    size_t n, off = 0;
    const char *first = NULL;
    if (channel_list(l->ctx, l->server->store, &rows, &n, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].enabled && !*rows[i].problem)
            continue;
        if (!*rows[i].problem)
            continue; /* somebody switched it off */
        off++;
        if (!first)
            first = mem_printf(l->ctx, "%s: %s", rows[i].name, rows[i].problem);
    }
    if (off)
        row(l, "notifications", PREFLIGHT_WARN, "nightmill notify test ID, and enable it again on the web page",
            "%zu of %zu channels do not arrive: %s", off, n, first);
    else if (n)
        row(l, "notifications", PREFLIGHT_OK, NULL, "%zu channels", n);
    else
        row(l, "notifications", PREFLIGHT_OK, NULL, "no channel: nobody is told of anything");
}

static void look_settings(struct look *l)
{
    struct settings *now = settings_live_take(l->ctx, l->server->live);
    size_t n, pending = 0;
    bool exists;
    const struct setting_row *rows = settings_rows(&n);
    const char *file = settings_file(now, &exists);
    for (size_t i = 0; i < n; i++)
        pending +=
            rows[i].when == SETTING_DAEMON_START &&
            strcmp(setting_shown(l->ctx, now, &rows[i]), setting_shown(l->ctx, l->server->settings, &rows[i])) != 0;
    uv_mutex_lock(&l->server->settings_lock);
    bool unwritten = l->server->settings_unwritten;
    uv_mutex_unlock(&l->server->settings_lock);
    if (unwritten)
        row(l, "stored settings", PREFLIGHT_FAIL, "make the data folder writable",
            "what is set over the API does not reach the command line");
    else if (pending)
        row(l, "stored settings", PREFLIGHT_NOTE, "nightmill daemon stop (the next command starts it; tasks go on)",
            "%zu wait for the daemon's next start", pending);
    else
        row(l, "stored settings", PREFLIGHT_OK, NULL, "all in force; file: %s%s", file, exists ? "" : " (not there)");
}

/* ---- what is answered ---- */

/* Which rows make a component of the page; a row without a line here is one of its own. */
static const struct {
    const char *row, *component, *title;
} parts[] = {{"sandbox", "sandbox", "Sandbox"},
             {"limits", "sandbox", "Sandbox"},
             {"git", "git", "Git"},
             {"disk", "disk", "Disk"},
             {"data folder", "data", "Data folder"},
             {"machine", "machine", "Machine"},
             {"version", "version", "Version"},
             {"clock", "clock", "Clock"},
             {"database", "database", "Database"},
             {"providers", "providers", "Providers"},
             {"proxy", "proxy", "Egress proxy"},
             {"runners", "runners", "Runners"},
             {"address", "addresses", "Addresses"},
             {"certificate", "certificates", "Certificates"},
             {"notifications", "notifications", "Notifications"},
             {"stored settings", "settings", "Settings"}};
#define PARTS (sizeof parts / sizeof *parts)

static size_t part_of(const struct preflight_row *r)
{
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(parts[i].row, r->name) == 0)
            return i;
    return 0;
}

static void component_json(struct json_out *o, const struct preflight *p, size_t part)
{
    const struct preflight_row *worst = NULL;
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(parts[part_of(&p->rows[i])].component, parts[part].component) == 0 &&
            (!worst || p->rows[i].grade > worst->grade))
            worst = &p->rows[i];
    if (!worst)
        return;
    jo_obj(o);
    jo_kz(o, "name", parts[part].component);
    jo_kz(o, "title", parts[part].title);
    jo_kz(o, "grade", preflight_grade_name(worst->grade));
    jo_kz(o, "words", worst->evidence);
    jo_kz(o, "mend", worst->mend);
    jo_end_obj(o);
}

static void components_json(struct json_out *o, const struct preflight *p)
{
    jo_key(o, "components");
    jo_arr(o);
    for (size_t i = 0; i < PARTS; i++) {
        bool first = true;
        for (size_t j = 0; j < i; j++)
            first = first && strcmp(parts[j].component, parts[i].component) != 0;
        if (first)
            component_json(o, p, i);
    }
    jo_end_arr(o);
}

static void verdict_json(struct look *l, struct json_out *o)
{
    const struct preflight *p = &l->found;
    const struct preflight_row *worst = NULL;
    size_t wrong = 0;
    for (size_t i = 0; i < p->n; i++) {
        wrong += p->rows[i].grade >= PREFLIGHT_WARN;
        if (!worst || p->rows[i].grade > worst->grade)
            worst = &p->rows[i];
    }
    jo_kz(o, "verdict", preflight_grade_name(worst->grade));
    if (!wrong)
        jo_kz(o, "words", "Everything is in order.");
    else
        jo_kz(o, "words",
              mem_printf(l->ctx, "%zu %s attention; first of all %s: %s.", wrong,
                         wrong == 1 ? "thing needs" : "things need", worst->name, worst->evidence));
}

static void look_json(struct look *l, struct json_out *o)
{
    jo_obj(o);
    verdict_json(l, o);
    jo_kz(o, "checked_at", clock_rfc3339(l->ctx, clock_wall_ns()));
    jo_kz(o, "version", NIGHTMILL_VERSION);
    components_json(o, &l->found);
    jo_key(o, "findings");
    jo_arr(o);
    for (size_t i = 0; i < l->found.n; i++) {
        const struct preflight_row *r = &l->found.rows[i];
        jo_obj(o);
        jo_kz(o, "name", r->name);
        jo_kz(o, "grade", preflight_grade_name(r->grade));
        jo_kz(o, "evidence", r->evidence);
        jo_kz(o, "mend", r->mend);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
}

static void look_all(struct look *l)
{
    static void (*const looks[])(struct look *) = {look_machine,     look_version,       look_clock,   look_database,
                                                   look_providers,   look_proxy,         look_runners, look_addresses,
                                                   look_certificate, look_notifications, look_settings};
    struct buf b;
    struct json_out o;
    mem *kept = mem_root();
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        looks[i](l);
    buf_init(&b, kept, OUT_MOST);
    json_out_init(&o, &b);
    look_json(l, &o);
    pthread_mutex_lock(&l->memory->lock);
    mem_free(l->memory->kept);
    l->memory->kept = kept;
    l->memory->text = buf_view(&b);
    l->memory->kept_ms = clock_mono_ms();
    pthread_mutex_unlock(&l->memory->lock);
}

/* What was seen at most so long ago; any age: -1. */
static bool kept_answer(struct route_call *c, struct health_memory *m, int64_t most_ms)
{
    pthread_mutex_lock(&m->lock);
    bool good = m->kept && (most_ms < 0 || clock_mono_ms() - m->kept_ms <= most_ms);
    if (good)
        buf_str(&c->out_buf, m->text);
    pthread_mutex_unlock(&m->lock);
    return good;
}

static struct look *look_of(struct route_call *c)
{
    return (struct look *)(uintptr_t)c->gathered;
}

static void health_work(void *arg)
{
    struct route_call *c = arg;
    struct look *l = look_of(c);
    struct health_memory *m = l->memory;
    int64_t most_ms = l->fresh ? FRESH_MS : KEPT_MS;
    c->err.rc = RC_OK;
    if (kept_answer(c, m, most_ms))
        return;
    /* One looks. The others do not take the threads of the pool for waiting: they are told what was seen before. */
    if (pthread_mutex_trylock(&m->looking) != 0) {
        if (!l->fresh && kept_answer(c, m, -1))
            return;
        pthread_mutex_lock(&m->looking);
    }
    if (!kept_answer(c, m, most_ms)) {
        look_all(l);
        (void)kept_answer(c, m, -1);
    }
    pthread_mutex_unlock(&m->looking);
}

static void work_done(void *arg)
{
    struct route_call *c = arg;
    route_answer(c, c->err.rc);
}

static void work_gone(struct http_request *r)
{
    struct route_call *c = r->user;
    c->request = NULL;
}

/* Asks the keeper for a look at the machine when the last one is old. */
static int64_t machine_ask(struct server *s, bool fresh)
{
    int64_t now = clock_mono_ms(), age = now - s->health->machine_asked_ms;
    if (s->health->machine_asked_ms && age < (fresh ? FRESH_MS : MACHINE_MS))
        return 0;
    CLEANUP_MEM mem *tmp = mem_root();
    bool first = !s->health->machine_asked_ms;
    s->health->machine_asked_ms = now;
    keeper_line_send(s, str_of(mem_printf(tmp, "{\"machine\":{\"uid_base\":%lld}}",
                                          (long long)setting_int(s->settings, "sandbox.uid_base"))));
    return fresh || first ? clock_wall_ns() : 0;
}

static struct str gather(mem *ctx, const struct server *s, void (*write)(const struct server *, struct json_out *))
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, OUT_MOST);
    json_out_init(&o, &b);
    write(s, &o);
    return buf_view(&b);
}

static void health_on_loop(struct route_call *c)
{
    struct server *s = c->server;
    struct look *l = mem_new(c->ctx, struct look);
    struct json proxy;
    const char *fresh = route_query(c, "fresh");
    l->ctx = c->ctx;
    l->server = s;
    l->memory = s->health;
    l->fresh = fresh && strcmp(fresh, "1") == 0;
    l->asked_ns = machine_ask(s, l->fresh);
    l->addresses = gather(c->ctx, s, listeners_json);
    l->runners = gather(c->ctx, s, runners_list);
    if (json_parse(c->ctx, gather(c->ctx, s, proxy_json), &proxy, NULL) == RC_OK)
        l->proxy_pid = (int)json_int(json_get(proxy, "pid"), 0);
    gateway_health(c->ctx, s->common, &l->upstreams, &l->upstream_count);
    c->gathered = l;
    c->request->user = c;
    http_on_gone(c->request, work_gone);
    loop_offload(&s->loop, health_work, work_done, c);
}

/* ---- sandboxes ---- */

static enum rc sandbox_json(struct route_call *c, struct json row_of_loop, const struct census *seen)
{
    const char *id = json_z(c->ctx, json_get(row_of_loop, "task"), "");
    struct task t;
    enum rc rc = task_find(c->ctx, c->server->store, id, &t, &c->err);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    struct json spec;
    bool known = json_parse(c->ctx, str_of(t.spec), &spec, NULL) == RC_OK;
    int64_t limit = known ? json_int(json_get(json_get(spec, "settings"), "sandbox.memory"), 0) : 0;
    jo_obj(&c->out);
    jo_kz(&c->out, "task", id);
    jo_kz(&c->out, "title", t.title);
    jo_kz(&c->out, "repo", t.repo);
    jo_kz(&c->out, "state", t.state);
    jo_kz(&c->out, "phase", json_z(c->ctx, json_get(row_of_loop, "phase"), NULL));
    jo_kb(&c->out, "open", seen->processes > 0);
    jo_kb(&c->out, "connected", json_bool(json_get(row_of_loop, "connected"), false));
    jo_ki(&c->out, "runner_pid", seen->root);
    jo_ki(&c->out, "pids", seen->processes);
    jo_ki(&c->out, "memory_bytes", seen->rss_bytes);
    jo_key(&c->out, "memory_limit");
    if (limit)
        jo_int(&c->out, limit);
    else
        jo_null(&c->out);
    jo_kz(&c->out, "started_at", t.started_ns ? clock_rfc3339(c->ctx, t.started_ns) : NULL);
    jo_end_obj(&c->out);
    return RC_OK;
}

static void sandboxes_work(void *arg)
{
    struct route_call *c = arg;
    const struct str *text = c->gathered;
    struct json root;
    size_t n = 0;
    c->err.rc = json_parse(c->ctx, *text, &root, &c->err);
    if (c->err.rc != RC_OK)
        return;
    struct census *seen = mem_array(c->ctx, struct census, json_len(root) + 1);
    for (struct json_iter it = json_iter(root); json_next(&it);)
        seen[n++].root = (pid_t)json_int(json_get(it.value, "runner_pid"), 0);
    if (n)
        census_take(seen, n);
    n = 0;
    jo_obj(&c->out);
    jo_key(&c->out, "sandboxes");
    jo_arr(&c->out);
    for (struct json_iter it = json_iter(root); json_next(&it) && c->err.rc == RC_OK;)
        c->err.rc = sandbox_json(c, it.value, &seen[n++]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
}

static void sandboxes_on_loop(struct route_call *c)
{
    struct str *text = mem_new(c->ctx, struct str);
    *text = gather(c->ctx, c->server, runners_sandboxes);
    c->gathered = text;
    c->request->user = c;
    http_on_gone(c->request, work_gone);
    loop_offload(&c->server->loop, sandboxes_work, work_done, c);
}

const struct route route_health_report = {"GET",
                                          "/api/v1/health",
                                          "a verdict, the components and the findings of nightmill doctor",
                                          NULL,
                                          health_on_loop,
                                          .access = ACCESS_READ,
                                          .query = "fresh",
                                          .gives = "HealthReport"};
const struct route route_sandboxes_list = {"GET",
                                           "/api/v1/sandboxes",
                                           "runners and the sandboxes that they have open",
                                           NULL,
                                           sandboxes_on_loop,
                                           .access = ACCESS_READ,
                                           .gives = "Sandboxes"};
