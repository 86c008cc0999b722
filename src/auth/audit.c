/* Chaining, signing and checking the audit log. */
#include "auth/audit.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "os/path.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD_LATE_NS (60 * INT64_C(1000000000))
enum { HEX = HASH_SHA256_HEX, BATCH = 1000, HEAD_MOST = 1000 };

struct head {
    int64_t count;
    char hash[HEX]; /* of row `count`; of nothing: zeros */
};
struct audit {
    struct store *store;
    struct account_key *key;
    const char *head_file;
    pthread_mutex_t lock;      /* of what follows */
    bool appended;             /* since the head was written */
    bool head_held;            /* the head does not fit the log: it stays as it is */
    pthread_mutex_t head_lock; /* one writes the head at a time; of what follows */
    struct head written;       /* the head as it was read or written last */
    bool written_known;
};

static void hex_write(const uint8_t *raw, char ret[HEX])
{
    for (size_t i = 0; i < HASH_SHA256; i++)
        snprintf(ret + 2 * i, 3, "%02x", raw[i]);
}

/* ---- rows ---- */

static void field_add(struct buf *b, const char *text)
{
    buf_printf(b, "%zu:", strlen(text ? text : ""));
    buf_z(b, text ? text : "");
}

/* Every field with its length, so that no two rows read the same. */
static void row_hash(mem *ctx, const struct audit_row *r, struct str previous, uint8_t ret[HASH_SHA256])
{
    const char *const texts[] = {r->actor,  r->actor_kind, r->credential, r->address, r->action,
                                 r->object, r->before,     r->after,      r->outcome};
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    buf_printf(&b, "nightmill-audit-1 %zu:", previous.n);
    buf_add(&b, previous.p, previous.n);
    buf_printf(&b, "%lld %lld ", (long long)r->number, (long long)r->time_ns);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        field_add(&b, texts[i]);
    hash_sha256(buf_view(&b), ret);
}

static void row_mac(const uint8_t key[HASH_SHA256], int64_t number, const uint8_t hash[HASH_SHA256],
                    uint8_t ret[HASH_SHA256])
{
    char text[32 + HASH_SHA256];
    int n = snprintf(text, 32, "row %lld ", (long long)number);
    memcpy(text + n, hash, HASH_SHA256);
    hash_hmac_sha256(str_n((const char *)key, HASH_SHA256), str_n(text, (size_t)n + HASH_SHA256), ret);
}

static const char *cut(mem *ctx, const char *text, size_t most)
{
    if (!text)
        return "";
    return mem_strn(ctx, text, str_utf8_cut(str_of(text), most));
}

static enum rc head_write(struct audit *a, const struct head *h, struct err *err);

/* Before the first row there is a head that counts none: from then on a head that is gone was taken away. */
static void head_begin(struct audit *a)
{
    struct head none = {.count = 0};
    struct err err = {0};
    memset(none.hash, '0', HEX - 1);
    if (access(a->head_file, F_OK) != 0 && head_write(a, &none, &err) != RC_OK)
        log_err(&err, "the head of the audit log could not be written");
}

enum rc audit_append(struct store_tx *tx, struct audit *a, const struct audit_row *given, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct audit_row row = *given;
    uint8_t key[HASH_SHA256], hash[HASH_SHA256], mac[HASH_SHA256];
    struct str previous;
    struct err why = {0};
    int64_t number;
    enum rc rc = audit_last_tx(tmp, tx, &number, &previous, err);
    if (rc != RC_OK)
        return rc;
    if (number == 0)
        head_begin(a);
    row.number = number + 1;
    row.time_ns = row.time_ns ? row.time_ns : clock_wall_ns();
    const char **texts[] = {&row.actor,  &row.actor_kind, &row.credential, &row.address, &row.action,
                            &row.object, &row.before,     &row.after,      &row.outcome};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = cut(tmp, *texts[i], 4000);
    row_hash(tmp, &row, previous, hash);
    row.hash = str_n((const char *)hash, sizeof hash);
    row.mac = STR("");
    if (account_key_for(a->key, "audit", key, &why) == RC_OK) {
        row_mac(key, row.number, hash, mac);
        row.mac = str_n((const char *)mac, sizeof mac);
    } else {
        log_err(&why, "a row of the audit log is not signed");
    }
    explicit_bzero(key, sizeof key);
    rc = audit_insert(tx, &row, err);
    pthread_mutex_lock(&a->lock);
    a->appended = true;
    pthread_mutex_unlock(&a->lock);
    return rc;
}

struct write_job {
    struct audit *audit;
    const struct audit_row *row;
};

static enum rc write_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct write_job *j = arg;
    return audit_append(tx, j->audit, j->row, err);
}

enum rc audit_write(struct audit *a, const struct audit_row *r, struct err *err)
{
    struct write_job job = {a, r};
    return store_write(a->store, write_tx, &job, err);
}

struct later {
    struct write_job job;
    struct audit_row row;
};

static void later_done(void *arg, enum rc rc, const struct err *err)
{
    if (rc != RC_OK && err)
        log_err(err, "a row of the audit log could not be written");
    mem_free(arg);
}

struct audit_row audit_row_copy(mem *ctx, const struct audit_row *r)
{
    struct audit_row row = *r;
    const char **texts[] = {&row.actor,  &row.actor_kind, &row.credential, &row.address, &row.action,
                            &row.object, &row.before,     &row.after,      &row.outcome};
    row.number = row.time_ns = 0;
    row.hash = row.mac = STR("");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = mem_str(ctx, *texts[i] ? *texts[i] : "");
    return row;
}

void audit_write_later(struct audit *a, const struct audit_row *r)
{
    struct later *l = mem_new(NULL, struct later);
    l->row = audit_row_copy(l, r);
    l->job = (struct write_job){a, &l->row};
    store_write_async(a->store, write_tx, l, later_done);
}

static enum rc ride_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct audit_rider *r = arg;
    enum rc rc = audit_append(tx, r->audit, r->row, err);
    return rc || !r->also ? rc : r->also(tx, r->also_arg, err);
}

void audit_ride(struct audit_rider *r)
{
    r->ride = (struct store_rider){.fn = ride_tx, .arg = r};
    store_ride(&r->ride);
}

/* ---- the head ---- */

static void head_mac(const uint8_t key[HASH_SHA256], const struct head *h, char ret[HEX])
{
    CLEANUP_MEM mem *tmp = mem_root();
    uint8_t mac[HASH_SHA256];
    hash_hmac_sha256(str_n((const char *)key, HASH_SHA256),
                     str_of(mem_printf(tmp, "head %lld %s", (long long)h->count, h->hash)), mac);
    hex_write(mac, ret);
}

/* RC_NOT_FOUND: there is none; RC_INVALID: it was not signed by this installation, or is damaged. */
static enum rc head_read(struct audit *a, struct head *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char text[HEAD_MOST], mac[HEX];
    uint8_t key[HASH_SHA256];
    struct json doc;
    CLEANUP_FD int fd = open(a->head_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set(err, RC_NOT_FOUND, "there is no signed head %s", a->head_file);
    ssize_t n = read(fd, text, sizeof text);
    enum rc rc = account_key_for(a->key, "audit", key, err);
    if (rc != RC_OK)
        return rc;
    if (n > 0 && n < HEAD_MOST && json_parse(tmp, str_n(text, (size_t)n), &doc, NULL) == RC_OK) {
        const char *hash = json_z(tmp, json_get(doc, "hash"), "");
        ret->count = json_int(json_get(doc, "count"), -1);
        snprintf(ret->hash, HEX, "%s", hash);
        head_mac(key, ret, mac);
        if (ret->count >= 0 && strlen(hash) == HEX - 1 && json_eqz(json_get(doc, "mac"), mac))
            return RC_OK;
    }
    return err_set(err, RC_INVALID, "the head %s was not signed by this installation's key", a->head_file);
}

static enum rc head_write(struct audit *a, const struct head *h, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    uint8_t key[HASH_SHA256];
    char mac[HEX];
    enum rc rc = account_key_for(a->key, "audit", key, err);
    if (rc != RC_OK)
        return rc;
    head_mac(key, h, mac);
    explicit_bzero(key, sizeof key);
    char *slash, *dir = mem_str(tmp, a->head_file);
    if ((slash = strrchr(dir, '/'))) {
        *slash = '\0';
        rc = path_mkdirs(dir, 0700, err);
    }
    const char *text =
        mem_printf(tmp, "{\"count\":%lld,\"hash\":\"%s\",\"mac\":\"%s\"}\n", (long long)h->count, h->hash, mac);
    return rc ? rc : path_write_durable(a->head_file, str_of(text), 0600, err);
}

static enum rc head_of_log(struct audit *a, struct head *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str hash;
    enum rc rc = audit_last(tmp, a->store, &ret->count, &hash, err);
    memset(ret->hash, '0', HEX - 1);
    ret->hash[HEX - 1] = '\0';
    if (rc == RC_OK && hash.n == HASH_SHA256)
        hex_write((const uint8_t *)hash.p, ret->hash);
    return rc;
}

/* A head is written each second while rows come. So the rows behind it are those of a moment, before the daemon was
 * killed; rows of a longer time are behind a head that was put back, or that could not be written. */
static bool head_late(int64_t first_ns, int64_t last_ns)
{
    return last_ns - first_ns > HEAD_LATE_NS;
}

static bool head_old(struct audit *a, const struct head *h, int64_t count)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct audit_row *first, *last;
    size_t n = 0, m = 0;
    return count > h->count && audit_after(tmp, a->store, h->count, 1, &first, &n, NULL) == RC_OK && n == 1 &&
           audit_after(tmp, a->store, count - 1, 1, &last, &m, NULL) == RC_OK && m == 1 &&
           head_late(first->time_ns, last->time_ns);
}

/* Whether the log goes on from where the head was signed. */
static bool head_continues(struct audit *a, const struct head *h)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct audit_row *rows;
    size_t n = 0;
    char hash[HEX];
    if (h->count == 0)
        return true;
    if (audit_after(tmp, a->store, h->count - 1, 1, &rows, &n, NULL) != RC_OK || n != 1 || rows[0].number != h->count ||
        rows[0].hash.n != HASH_SHA256)
        return false;
    hex_write((const uint8_t *)rows[0].hash.p, hash);
    return strcmp(hash, h->hash) == 0;
}

static void head_check(struct audit *a)
{
    struct head signed_head = {0}, now;
    struct err err = {0};
    enum rc rc = head_of_log(a, &now, &err);
    if (rc == RC_OK && now.count == 0 && access(a->head_file, F_OK) != 0) {
        a->appended = false; /* a new log: its head comes with its first row */
        return;
    }
    if (rc == RC_OK)
        rc = head_read(a, &signed_head, &err);
    if (rc == RC_OK && !head_continues(a, &signed_head))
        rc = err_set(&err, RC_CONFLICT, "the audit log does not continue what was signed");
    if (rc == RC_OK && head_old(a, &signed_head, now.count))
        rc = err_set(&err, RC_CONFLICT, "the signed head is an older one");
    a->written_known = rc == RC_OK;
    a->written = signed_head;
    a->head_held = rc != RC_OK;
    if (a->head_held)
        log_warn("the head of the audit log is left as it is: %s; look with: nightmill audit verify", err.sentence);
}

struct audit *audit_open(mem *ctx, struct store *s, struct account_key *key, const char *head_file)
{
    struct audit *a = mem_new(ctx, struct audit);
    *a = (struct audit){.store = s, .key = key, .head_file = mem_str(a, head_file), .appended = true};
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->head_lock, NULL);
    head_check(a);
    return a;
}

static void head_hold(struct audit *a)
{
    pthread_mutex_lock(&a->lock);
    a->head_held = true;
    pthread_mutex_unlock(&a->lock);
    log_warn("the audit log does not continue what was signed; its head is left as it is; look with: nightmill audit "
             "verify");
}

static enum rc head_renew(struct audit *a, struct err *err)
{
    struct head now;
    enum rc rc = head_of_log(a, &now, err);
    if (rc == RC_OK && (now.count || access(a->head_file, F_OK) == 0))
        rc = head_write(a, &now, err);
    if (rc == RC_OK) {
        a->written = now;
        a->written_known = true;
    }
    return rc;
}

static void head_follow(struct audit *a)
{
    struct err err = {0};
    pthread_mutex_lock(&a->lock);
    bool due = a->appended && !a->head_held;
    a->appended = false;
    pthread_mutex_unlock(&a->lock);
    if (!due)
        return;
    if (a->written_known && !head_continues(a, &a->written)) { /* somebody wrote into the file under our hands */
        head_hold(a);
        return;
    }
    if (head_renew(a, &err) != RC_OK)
        log_err(&err, "the head of the audit log could not be written");
}

void audit_tick(struct audit *a)
{
    pthread_mutex_lock(&a->head_lock);
    head_follow(a);
    pthread_mutex_unlock(&a->head_lock);
}

enum rc audit_accept(struct audit *a, struct err *err)
{
    pthread_mutex_lock(&a->head_lock);
    enum rc rc = head_renew(a, err);
    pthread_mutex_lock(&a->lock);
    a->head_held = a->head_held && rc != RC_OK;
    pthread_mutex_unlock(&a->lock);
    pthread_mutex_unlock(&a->head_lock);
    return rc;
}

/* ---- checking ---- */

struct checking {
    mem *ctx;
    struct audit *audit;
    struct audit_report *report;
    struct audit_finding *findings;
    uint8_t key[HASH_SHA256];
    bool key_known;
    int64_t number; /* of the row before */
    uint8_t hash[HASH_SHA256];
    size_t hash_n;
    struct head head;
    bool head_known, head_seen;       /* seen: its row is there with its hash */
    int64_t behind_first_ns, last_ns; /* times of the first row behind the head, of the newest one */
    bool unsigned_told, forged_told;
};

static void found(struct checking *c, int64_t number, const char *kind, const char *words)
{
    if (c->report->n == AUDIT_FINDINGS)
        return;
    c->findings[c->report->n++] = (struct audit_finding){number, kind, words};
}

static void mac_check(struct checking *c, const struct audit_row *r, const uint8_t hash[HASH_SHA256])
{
    uint8_t mac[HASH_SHA256];
    if (!c->key_known)
        return;
    row_mac(c->key, r->number, hash, mac);
    if (r->mac.n == 0) {
        if (!c->unsigned_told)
            found(c, r->number, "unsigned",
                  "from this row on rows are not signed: there was no key file, or they were added by somebody else");
        c->unsigned_told = true;
    } else if (r->mac.n != HASH_SHA256 || !hash_same(mac, (const uint8_t *)r->mac.p)) {
        if (!c->forged_told)
            found(
                c, r->number, "forged",
                "from this row on rows were not written by this installation: the log was made anew, or the key file is another");
        c->forged_told = true;
    }
}

/* A row that was changed keeps its stored hash in the chain: what follows is then still checked. */
static void row_check(struct checking *c, const struct audit_row *r)
{
    CLEANUP_MEM mem *tmp = mem_root();
    uint8_t hash[HASH_SHA256];
    char hex[HEX];
    bool whole = r->hash.n == HASH_SHA256;
    if (r->number != c->number + 1)
        found(c, c->number + 1, "missing",
              mem_printf(c->ctx, "rows %lld to %lld are missing", (long long)c->number + 1, (long long)r->number - 1));
    row_hash(tmp, r, str_n((const char *)c->hash, c->hash_n), hash);
    bool same = whole && hash_same(hash, (const uint8_t *)r->hash.p);
    if (!same && r->number == c->number + 1)
        found(c, r->number, "changed", "this row is not as it was written, or does not follow the row before it");
    if (whole)
        memcpy(c->hash, r->hash.p, HASH_SHA256);
    c->hash_n = whole ? HASH_SHA256 : 0;
    mac_check(c, r, whole ? c->hash : hash);
    if (c->head_known && r->number == c->head.count) {
        hex_write(c->hash, hex);
        c->head_seen = strcmp(hex, c->head.hash) == 0;
        if (!c->head_seen)
            found(c, r->number, "rebuilt", "this row is not the one that the signed head names: the log was made anew");
    }
    if (c->head_known && r->number == c->head.count + 1)
        c->behind_first_ns = r->time_ns;
    c->last_ns = r->time_ns;
    c->number = r->number;
}

static void head_compare(struct checking *c)
{
    if (!c->head_known)
        return;
    if (c->head.count > c->number)
        found(c, c->number + 1, "cut",
              mem_printf(
                  c->ctx, "the log ends at row %lld; the signed head counts %lld: rows %lld to %lld were cut off",
                  (long long)c->number, (long long)c->head.count, (long long)c->number + 1, (long long)c->head.count));
    if (c->head.count < c->number && head_late(c->behind_first_ns, c->last_ns))
        found(c, c->head.count + 1, "head",
              "the signed head is an older one: it was put back, or could not be written; from this row on rows may "
              "have been cut off");
    c->report->behind = c->number > c->head.count ? c->number - c->head.count : 0;
}

static void head_load(struct checking *c)
{
    struct err err = {0};
    int64_t count = 0;
    struct str hash;
    enum rc rc = head_read(c->audit, &c->head, &err);
    c->head_known = rc == RC_OK;
    c->report->signed_to = rc == RC_OK ? c->head.count : -1;
    if (rc == RC_OK)
        return;
    bool young = rc == RC_NOT_FOUND && audit_last(c->ctx, c->audit->store, &count, &hash, NULL) == RC_OK && count == 0;
    if (!young) /* a log without a row has no head yet */
        found(c, 0, "head", mem_str(c->ctx, err.sentence));
}

enum rc audit_verify(mem *ctx, struct audit *a, struct audit_report *ret, struct err *err)
{
    struct checking c = {.ctx = ctx, .audit = a, .report = ret};
    enum rc rc = RC_OK;
    size_t n = 1;
    *ret = (struct audit_report){.signed_to = -1};
    ret->findings = c.findings = mem_array(ctx, struct audit_finding, AUDIT_FINDINGS);
    audit_tick(a); /* what was just written is counted */
    c.key_known = account_key_for(a->key, "audit", c.key, NULL) == RC_OK;
    if (!c.key_known)
        found(&c, 0, "head", "the key file cannot be read: signatures were not checked");
    head_load(&c);
    while (rc == RC_OK && n) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct audit_row *rows;
        rc = audit_after(tmp, a->store, c.number, BATCH, &rows, &n, err);
        for (size_t i = 0; rc == RC_OK && i < n; i++, ret->rows++)
            row_check(&c, &rows[i]);
    }
    head_compare(&c);
    explicit_bzero(c.key, sizeof c.key);
    return rc;
}
