/* The server's life: opens everything, runs the loop, ends in order. */
#include "api/feed.h"
#include "api/notify_line.h"
#include "api/proxy_link.h"
#include "api/server_room.h"
#include "api/settings_line.h"
#include "api/terminals.h"
#include "base/clock.h"
#include "base/log.h"
#include "flow/journal.h"
#include "flow/retention.h"
#include "store/traffic.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define STOP_MS         3000
#define SECOND_NS       INT64_C(1000000000)
#define TICK_MS         1000
#define RETENTION_TICKS 3600 /* hourly */
#define EXPIRE_MOST     2000 /* of each kind in one transaction: others want to write too */
#define RETENTION_FIRST 60   /* not while starting */

enum { ATTEMPTS_MOST = 8192, REFUSALS_MOST = 8192, LANE_MOST = 32, LANE_MOST_OF_ONE = 4 };

/* Writer thread: hints for tails and the schedule. */
struct commit_hint {
    mem *ctx;
    struct server *server;
    const char **ids;
    size_t n;
};

static void commit_arrived(void *arg)
{
    struct commit_hint *h = arg;
    for (size_t i = 0; i < h->n; i++)
        tails_wake(h->server, h->ids[i]);
    mem_free(h->ctx);
}

static void commit_happened(void *arg, const char *const *ids, size_t n)
{
    struct server *s = arg;
    feed_committed(s->feed);
    mem *ctx = mem_root();
    struct commit_hint *h = mem_new(ctx, struct commit_hint);
    h->ctx = ctx;
    h->server = s;
    h->ids = mem_array(ctx, const char *, n);
    h->n = n;
    for (size_t i = 0; i < n; i++)
        h->ids[i] = mem_str(ctx, ids[i]);
    loop_post(&s->loop, commit_arrived, h);
    crash_point("server");
}

struct expiry {
    int64_t now_ns, rows, heads, bodies, removed;
};

static enum rc traffic_expire_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct expiry *e = arg;
    return traffic_expire(tx, e->now_ns, e->rows, e->heads, e->bodies, EXPIRE_MOST, &e->removed, err);
}

static enum rc session_expire_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return session_expire(tx, *(const int64_t *)arg, err);
}

static void traffic_retention(struct server *s)
{
    struct err err = {0};
    struct expiry e = {.now_ns = clock_wall_ns(),
                       .rows = settings_live_int(s->live, "traffic.days"),
                       .heads = settings_live_int(s->live, "traffic.days_heads"),
                       .bodies = settings_live_int(s->live, "traffic.days_bodies")};
    int64_t all = 0;
    enum rc rc;
    do {
        rc = store_write(s->store, traffic_expire_tx, &e, &err);
        all += e.removed;
    } while (rc == RC_OK && e.removed);
    if (rc != RC_OK)
        log_err(&err, "could not remove rows of traffic that are past their time");
    else if (all)
        log_info("removed %lld rows and texts of traffic past their time", (long long)all);
}

static void retention_work(void *arg)
{
    struct server *s = arg;
    struct err err = {0};
    int64_t n, keep_s = settings_live_int(s->live, "log.retention");
    if (retention_run(&s->board, clock_wall_ns(), keep_s, &n, &err) != RC_OK)
        log_err(&err, "could not remove what is past its time");
    else if (n)
        log_info("removed %lld folders of delivered tasks past their time", (long long)n);
    if (record_expire(s->store, &s->record_policy, clock_wall_ns(), &n, &err) != RC_OK)
        log_err(&err, "could not remove records of requests that are past their time");
    else if (n)
        log_info("removed %lld records and bodies of model requests past their time", (long long)n);
    int64_t now = clock_wall_ns();
    if (store_write(s->store, session_expire_tx, &now, &err) != RC_OK)
        log_err(&err, "could not remove sessions that have ended");
    traffic_retention(s);
    notify_expire(s);
}

static void retention_done(void *arg)
{
    (void)arg;
}

static void audit_head_work(void *arg)
{
    struct server *s = arg;
    audit_untold(s);
    audit_tick(s->audit);
}

static void audit_head_done(void *arg)
{
    struct server *s = arg;
    s->audit_ticking = false;
}

static void tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    if (s->ticks++ % RETENTION_TICKS == RETENTION_FIRST && !s->stopping)
        loop_offload(&s->loop, retention_work, retention_done, s);
    if (!s->audit_ticking) {
        s->audit_ticking = true;
        loop_offload(&s->loop, audit_head_work, audit_head_done, s);
    }
    recorder_tick(s->recorder);
    tails_wake(s, NULL);
    feed_tick(s->feed);
    notify_tick(s);
    proxy_line_tick(s);
    terminals_tick(s);
    gateway_tick(s->gateway);
    runners_schedule(s);
}

static void stopped(void *arg)
{
    struct server *s = arg;
    if (--s->parts == 0)
        uv_stop(&s->uv);
}

void server_stop(struct server *s, bool for_good)
{
    if (s->stopping)
        return;
    s->stopping = true;
    if (for_good)
        keeper_line_send(s, STR("{\"stop\":{}}"));
    runners_tell_all(s, STR("{\"control\":{\"verb\":\"detach\"}}"));
    tails_close(s);
    feed_close(s->feed);
    s->parts = 2;
    loops_stop(s->loops, STOP_MS, stopped, s);
    http_server_stop(s->http, STOP_MS, stopped, s);
}

static void signalled(uv_signal_t *handle, int number)
{
    (void)number;
    server_stop(handle->data, true);
}

static void hung_up(uv_signal_t *handle, int number)
{
    (void)number;
    listeners_reload(handle->data);
}

/* A tier's chain: TIER_A_MODEL as other tools have it, else the setting. */
static const char *tier_chain(const struct server *s, const char *variable, const char *setting)
{
    const char *value = getenv(variable);
    return value && *value ? value : setting_text(s->settings, setting);
}

/* In the folder of the sealing key: outside of the data folder, as that. */
static const char *beside_seal_file(struct server *s, const char *name)
{
    const char *file = settings_seal_file(s->ctx, s->place->settings), *slash = strrchr(file, '/');
    return mem_printf(s->ctx, "%.*s/%s", slash ? (int)(slash - file) : 1, slash ? file : ".", name);
}

/* One for each data folder: several may share the folder of the settings. */
static const char *audit_head_file(struct server *s)
{
    char hex[HASH_SHA256_HEX];
    hash_sha256_hex(str_of(s->place->data_dir), hex);
    return beside_seal_file(s, mem_printf(s->ctx, "audit/%.16s.head", hex));
}

static void accounts_open(struct server *s)
{
    const struct settings *set = s->place->settings;
    struct session_rules rules = {.idle_ns = setting_int(set, "session.idle") * SECOND_NS,
                                  .longest_ns = setting_int(set, "session.longest") * SECOND_NS};
    s->sessions = sessions_new(s->ctx, s->store, &rules);
    s->accounts = (struct accounts){s->store, s->sessions, attempts_new(s->ctx, ATTEMPTS_MOST)};
    s->account_key = account_key_new(s->ctx, beside_seal_file(s, "accounts.key"));
    s->access_tokens = access_tokens_new(s->ctx, s->store, s->sessions, s->account_key);
    s->audit = audit_open(s->ctx, s->store, s->account_key, audit_head_file(s));
    s->refusals = refusals_new(s->ctx, REFUSALS_MOST);
    s->lane = lane_new(s->ctx, &s->loop, LANE_MOST, LANE_MOST_OF_ONE);
}

static enum rc access_open(struct server *s, struct err *err)
{
    struct catalogs_spec spec = {.store = s->store,
                                 .has_key = credentials_has,
                                 .arg = s,
                                 .tier_chain = {tier_chain(s, "TIER_A_MODEL", "tier.a_model"),
                                                tier_chain(s, "TIER_B_MODEL", "tier.b_model"),
                                                tier_chain(s, "TIER_C_MODEL", "tier.c_model")}};
    struct provider *rows;
    size_t n;
    enum rc rc = provider_list(s->ctx, s->store, &rows, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        credentials_refer(s, rows[i].credential);
    if (rc != RC_OK)
        return rc;
    s->auth = auth_new(s->ctx, s->store);
    accounts_open(s);
    s->tokens = vertex_tokens_new(s->ctx);
    s->catalogs = catalogs_new(s->ctx, &spec);
    return credentials_load(s->credentials, s->store, err);
}

static void recorder_open(struct server *s)
{
    const struct settings *set = s->settings;
    s->record_policy = (struct record_policy){.project = "",
                                              .days_metadata = setting_int(set, "record.days_metadata"),
                                              .days_bodies = setting_int(set, "record.days_bodies"),
                                              .body_max = setting_int(set, "record.body_max")};
    BUG_ON(!record_keep_find(setting_text(set, "record.keep"), &s->record_policy.keep));
    struct recorder_spec spec = {
        .store = s->store, .policy = s->record_policy, .batch_ms = setting_int(set, "gateway.sync")};
    s->recorder = recorder_new(s->ctx, &spec);
}

/* What answers: the main loop, and those beside it. */
static enum rc loops_all_open(struct server *s, struct err *err)
{
    enum rc rc = upstream_pool_new(s->ctx, &s->uv, &s->pool, err);
    if (rc != RC_OK)
        return rc;
    const struct settings *set = s->settings;
    struct gateway_spec g = {.loop = &s->loop,
                             .store = s->store,
                             .books = s->books,
                             .pool = s->pool,
                             .budgets = s->budgets,
                             .catalogs = s->catalogs,
                             .credentials = s->credentials,
                             .tokens = s->tokens,
                             .recorder = s->recorder,
                             .metrics = s->metrics,
                             .identify = gateway_identity,
                             .guest_ended = runners_guest_ended,
                             .arg = s,
                             .connect_ms = 15000,
                             .first_byte_ms = (int)setting_int(set, "model.first_byte") * 1000,
                             .idle_ms = (int)setting_int(set, "model.idle") * 1000,
                             .drain_ms = (int)setting_int(set, "gateway.drain") * 1000,
                             .max_output = setting_int(set, "model.max_output"),
                             .cache_ms = setting_int(set, "gateway.cache") * 1000,
                             .sync_ms = setting_int(set, "gateway.sync")};
    size_t room = listeners_room() / s->place->loops;
    s->common = gateway_common_new(s->ctx, (size_t)setting_int(set, "gateway.cache_size"), g.cache_ms);
    g.common = s->common;
    s->gateway = gateway_new(s->ctx, &g);
    struct http_server_spec h = {.loop = &s->uv,
                                 .max_body = REQUEST_BODY_MOST,
                                 .body_limit = routes_body_limit,
                                 .on_request = routes_handle,
                                 .arg = s,
                                 .max_connections = room};
    rc = http_server_new(s->ctx, &h, &s->http, err);
    if (rc == RC_OK)
        rc = listeners_open(s, err);
    struct loops_spec more = {.n = s->place->loops - 1,
                              .main_loop = &s->loop,
                              .main_http = s->http,
                              .gateway = &g,
                              .max_connections = room,
                              .max_body = REQUEST_BODY_MOST,
                              .listen = listeners_open_more,
                              .arg = s};
    if (rc == RC_OK)
        rc = loops_open(s->ctx, &more, &s->loops, err);
    if (rc == RC_OK)
        rc = runners_open(s, err);
    if (rc == RC_OK)
        rc = keeper_line_open(s, err);
    if (rc == RC_OK)
        rc = proxy_line_open(s, err);
    return rc;
}

static enum rc server_open(struct server *s, struct err *err)
{
    int64_t kept, found;
    enum rc rc = store_open(s->ctx, s->place->data_dir, &s->store, err);
    if (rc != RC_OK)
        return rc;
    rc = settings_open(s, err);
    if (rc == RC_OK)
        rc = access_open(s, err);
    if (rc != RC_OK)
        return rc;
    notify_open(s);
    health_open(s);
    s->parallel = (size_t)setting_int(s->settings, "tasks.parallel");
    s->board = (struct board){s->store, s->place->data_dir};
    s->metrics = metrics_new(s->ctx);
    recorder_open(s);
    rc = books_open(s->ctx, s->store, s->place->data_dir, &s->books, &found, err);
    if (rc == RC_OK && found)
        log_info("%lld entries of the books were not rows yet when the last server ended; they are now",
                 (long long)found);
    if (rc == RC_OK)
        rc = budgets_open(s->ctx, s->store, s->books, &kept, &s->budgets, err);
    if (rc == RC_OK)
        budgets_on_notice(s->budgets, budget_noticed_tell, s);
    if (rc == RC_OK && kept)
        log_warn(
            "%lld model requests were under way when the last server ended: what they may have cost counts as spent",
            (long long)kept);
    return rc == RC_OK ? loops_all_open(s, err) : rc;
}

int server_main(const struct server_place *place)
{
    struct err err = {0};
    mem *ctx = mem_root();
    struct server *s = mem_new(ctx, struct server);
    s->ctx = ctx;
    s->place = place;
    s->started_ns = clock_wall_ns();
    s->began_mono_ms = clock_mono_ms();
    signal(SIGPIPE, SIG_IGN);
    BUG_ON(uv_loop_init(&s->uv) != 0);
    BUG_ON(uv_mutex_init(&s->edit_lock) != 0);
    loop_open(&s->loop, &s->uv);
    s->terminals = terminals_new(s);
    s->credentials = credentials_new(s->ctx, settings_seal_file(s->ctx, place->settings));
    credentials_from_environment(s);
    enum rc rc = server_open(s, &err);
    if (rc != RC_OK) {
        log_err(&err, "the server could not start");
        loops_end(s->loops);
        store_close(s->store);
        credentials_wipe(s);
        _exit(rc_exit_code(rc) ? rc_exit_code(rc) : 1); /* as at the end: handles go with the process */
    }
    s->feed = feed_open(s);
    store_on_commit(s->store, commit_happened, s);
    notify_start(s);
    uv_timer_init(&s->uv, &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, tick, 0, TICK_MS);
    uv_signal_init(&s->uv, &s->term);
    uv_signal_init(&s->uv, &s->intr);
    uv_signal_init(&s->uv, &s->hup);
    s->term.data = s->intr.data = s->hup.data = s;
    uv_signal_start(&s->term, signalled, SIGTERM);
    uv_signal_start(&s->intr, signalled, SIGINT);
    uv_signal_start(&s->hup, hung_up, SIGHUP);
    log_info("serving %s", place->data_dir);
    uv_run(&s->uv, UV_RUN_DEFAULT);
    /* The loop has stopped: no callback runs any more. Jobs on pool threads end by themselves; the store waits for its
     * writes. */
    loops_end(s->loops);
    feed_end(s->feed);
    notify_close(s);
    audit_tick(s->audit);
    recorder_free(s->recorder);
    mem_free(s->books);
    store_close(s->store);
    credentials_wipe(s);
    log_info("ended");
    _exit(0); /* handles and pool threads go with the process */
}
