/* When notifications are looked after. The digest is made once a day of its zone, at its time or as soon after it as
 * the daemon runs; a day on which there is nothing to tell gets a silent notice, so that it is not looked at again. */
#include "api/notify_line.h"
#include "base/clock.h"
#include "base/log.h"
#include "flow/journal.h"
#include "gateway/zone.h"

#define SECOND_NS    INT64_C(1000000000)
#define DAY_S        86400
#define DIGEST_TICKS 15
#define SPAN_MOST_S  (7 * DAY_S) /* of one digest, when the daemon did not run for long */
#define EXPIRE_MOST  1000
#define SPENT_MOST   8 /* projects that a digest names */
#define GROUPS_MOST  500

static void notice_made(void *arg)
{
    notifier_poke(arg);
}

static void delivery_sent(void *arg)
{
    (void)arg;
    crash_point("notify");
}

void notify_open(struct server *s)
{
    struct notifier_spec spec = {
        .store = s->store, .credentials = s->credentials, .live = s->live, .sent = delivery_sent};
    s->notifier = notifier_new(s->ctx, &spec);
    store_on_notice(s->store, notice_made, s->notifier);
}

void notify_start(struct server *s)
{
    notifier_start(s->notifier);
}

void notify_close(struct server *s)
{
    if (s->notifier)
        notifier_stop(s->notifier);
}

/* ---- the digest ---- */

/* "; spent: $1.20 in shop, 0.40 EUR in mill". A project is named by its folder. */
static void money_words(mem *ctx, const struct ledger_group *spent, size_t n, struct buf *b)
{
    size_t told = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        const char *slash = strrchr(spent[i].name, '/');
        if (spent[i].cost <= 0)
            continue;
        if (told == SPENT_MOST) {
            left++;
            continue;
        }
        buf_printf(b, "%s%s",
                   told++ ? ", "
                   : b->n ? "; spent: "
                          : "spent: ",
                   money_show(ctx, spent[i].cost, spent[i].currency));
        if (*spent[i].name)
            buf_printf(b, " in %.40s", slash && slash[1] ? slash + 1 : spent[i].name);
    }
    if (left)
        buf_printf(b, " and %zu more", left);
}

static const char *digest_words(mem *ctx, const struct digest *d, const struct ledger_group *spent, size_t spent_n)
{
    struct buf b;
    const struct {
        int64_t n;
        const char *words;
    } parts[] = {{d->done, "done"}, {d->unproven, "without a proof"}, {d->failed, "failed"}};
    buf_init(&b, ctx, 1000);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].n)
            buf_printf(&b, "%s%lld %s", b.n ? ", " : "tasks: ", (long long)parts[i].n, parts[i].words);
    if (d->waiting)
        buf_printf(&b, "%s%lld %s", b.n ? "; " : "", (long long)d->waiting,
                   d->waiting == 1 ? "task needs you" : "tasks need you");
    money_words(ctx, spent, spent_n, &b);
    if (!b.n)
        buf_z(&b, "nothing to tell");
    return buf_view(&b).p;
}

static enum rc digest_tx(struct store_tx *tx, void *arg, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    bool fresh;
    struct notice n = *(struct notice *)arg;
    return notice_insert(tmp, tx, &n, &fresh, err);
}

static enum rc digest_write(mem *ctx, struct server *s, const char *key, int64_t last_ns, int64_t now_ns,
                            struct err *err)
{
    struct digest d = {0};
    int64_t from_ns = last_ns > now_ns - SPAN_MOST_S * SECOND_NS ? last_ns : now_ns - SPAN_MOST_S * SECOND_NS;
    struct ledger_filter filter = {.from_ns = from_ns, .to_ns = now_ns};
    struct ledger_group *spent = NULL;
    size_t spent_n = 0;
    int64_t cost = 0;
    enum rc rc = notice_digest(s->store, from_ns, now_ns, &d, err);
    rc = rc ? rc : books_sync(s->books, err);
    rc = rc ? rc : ledger_groups(ctx, s->store, &filter, BY_PROJECT, 0, GROUPS_MOST, &spent, &spent_n, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < spent_n; i++)
        cost |= spent[i].cost;
    bool news = last_ns && (d.done || d.unproven || d.failed || d.waiting || cost); /* not on the first day of all */
    struct notice n = {.key = key,
                       .level = news ? NOTICE_DIGEST : NOTICE_SILENT,
                       .kind = "digest",
                       .task = "",
                       .words = digest_words(ctx, &d, spent, spent_n),
                       .time_ns = now_ns};
    return store_write(s->store, digest_tx, &n, err);
}

enum rc digest_make(struct server *s, int64_t now_ns, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct settings *set = settings_live_take(tmp, s->live);
    const char *name = setting_text(set, "notify.digest_zone");
    int64_t minute, last_ns, now_s = now_ns / SECOND_NS;
    struct zone *zone;
    if (!notify_clock_read(setting_text(set, "notify.digest_at"), &minute))
        return RC_OK;
    enum rc rc = zone_open(tmp, *name ? name : setting_text(set, "money.zone"), &zone, err);
    if (rc == RC_OK)
        rc = notice_last(s->store, "digest", &last_ns, err);
    if (rc != RC_OK)
        return rc;
    int64_t local_s = now_s + zone_offset(zone, now_s);
    const char *today = zone_date(tmp, zone, now_ns);
    bool made = last_ns && strcmp(zone_date(tmp, zone, last_ns), today) == 0;
    if (made || local_s % DAY_S / 60 < minute)
        return RC_OK;
    return digest_write(tmp, s, mem_printf(tmp, "digest:%s", today), last_ns, now_ns, err);
}

static void digest_work(void *arg)
{
    struct server *s = arg;
    struct err err = {0};
    if (digest_make(s, clock_wall_ns(), &err) != RC_OK)
        log_err(&err, "the digest of the day could not be made");
}

static void digest_done(void *arg)
{
    (void)arg;
}

void notify_tick(struct server *s)
{
    if (s->ticks % DIGEST_TICKS == 1 && !s->stopping)
        loop_offload(&s->loop, digest_work, digest_done, s);
}

/* ---- retention ---- */

struct expiring {
    int64_t before_ns, removed;
};

static enum rc expire_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct expiring *e = arg;
    return notice_expire(tx, e->before_ns, EXPIRE_MOST, &e->removed, err);
}

void notify_expire(struct server *s)
{
    struct err err = {0};
    struct expiring e = {.before_ns = clock_wall_ns() - settings_live_int(s->live, "notify.keep") * SECOND_NS};
    do {
        e.removed = 0;
        if (store_write(s->store, expire_tx, &e, &err) != RC_OK)
            log_err(&err, "could not remove notifications that are past their time");
    } while (e.removed == EXPIRE_MOST);
}
