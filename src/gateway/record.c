/* The recorder: copies on the loops, redacts, compresses and writes in batches on a thread of its own.
 *
 * One batch is under way at a time; what comes meanwhile waits and goes with the next, so that a busy gateway pays for
 * few transactions and an idle one writes at once. A record is in one of three places: only in memory (it is young), in
 * the queue, in the batch. Its streams (redact.h) and piece numbers belong to the batch while it is in one; the bytes
 * that arrive then are collected apart.
 *
 * One lock for all of it, held for copies and lists; the thread redacts, writes and frees without it. */
#include "gateway/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/recording.h"
#include "redact/redact.h"
#include <pthread.h>

#define ATTEMPTS_MOST 32
#define BATCH_RECORDS 256
#define RECORD_POOL   2048u       /* what a record without bodies needs */
#define READY_BYTES   (64u << 10) /* of a body that waits: time to write */
#define WAITING_MOST  (64u << 20) /* bytes of all bodies that wait; beyond it bodies are cut */
#define WHOLE_MOST    (64u << 20) /* of a body that is kept for a recording */
#define WORDS_MOST    1024
#define NAME_MOST     200
#define NAMES_KEPT    8

struct side { /* one body */
    mem *waiting_ctx;
    struct buf waiting; /* bytes that no batch has yet; waiting_ctx NULL: none */
    int64_t seen;       /* bytes in all */
    int64_t kept;       /* bytes that were or are waiting */
    bool cut;           /* some are not kept */
    /* Of the batch: */
    mem *ctx; /* a tree of its own: it changes threads */
    struct redact *redact;
    int64_t pieces;
};

struct record {
    mem *ctx;
    struct recorder *r;
    struct record *prev, *next; /* all that are under way */
    struct record *queue_next;
    bool queued, batched, dirty, ended, lost;
    bool full;
    int64_t body_max;
    struct exchange row;
    struct buf attempts; /* JSON array without its end */
    struct json_out attempts_out;
    size_t attempt_count;
    struct side sides[EXCHANGE_SIDES];
};

struct policies { /* of projects */
    mem *ctx;
    struct record_policy *rows;
    size_t n;
};

struct secret {
    char *text;
    size_t n;
    uint64_t used; /* when it was last given, by count */
};

struct name {   /* a short text and what the sink makes of it */
    char *text; /* a tree of its own; NULL: none */
    char *clean;
};

struct recorder {
    struct recorder_spec spec;
    pthread_t thread;
    pthread_mutex_t lock; /* of everything below, and of all records, but where it says otherwise */
    pthread_cond_t given; /* the thread has something to look at */
    pthread_cond_t written;
    struct policies policies;
    bool policies_stale;
    struct record *active;
    struct record *queue, **queue_end;
    size_t queued;
    int64_t due_ns; /* when what is queued is to be written */
    size_t syncs;   /* threads that wait until it is */
    size_t waiting_bytes;
    uint64_t batches; /* written so far */
    bool writing;     /* one is under way */
    struct secret secrets[REDACT_SECRETS_MAX];
    size_t secret_count;
    uint64_t secret_uses;
    bool secrets_changed;
    bool ending;
    struct redactor *redactor;     /* the thread's; NULL before the first batch */
    struct name names[NAMES_KEPT]; /* the thread's: used again while the redactor is the same */
    size_t name_next;
    bool failing; /* the thread's: the last batch could not be written */
};

/* ---- secrets ---- */

static void secret_wipe(struct secret *s)
{
    if (s->text)
        explicit_bzero(s->text, s->n);
    s->text = mem_free(s->text);
}

static void secret_keep(struct recorder *r, struct str secret)
{
    struct secret *oldest = &r->secrets[0];
    for (size_t i = 0; i < r->secret_count; i++) {
        struct secret *s = &r->secrets[i];
        if (s->n == secret.n && memcmp(s->text, secret.p, secret.n) == 0) {
            s->used = ++r->secret_uses;
            return;
        }
        if (s->used < oldest->used)
            oldest = s;
    }
    struct secret *s = r->secret_count < REDACT_SECRETS_MAX ? &r->secrets[r->secret_count++] : oldest;
    secret_wipe(s);
    *s = (struct secret){mem_strn(r, secret.p, secret.n), secret.n, ++r->secret_uses};
    r->secrets_changed = true;
}

void recorder_secret(struct recorder *r, struct str secret)
{
    if (secret.n < REDACT_SECRET_MIN || secret.n > REDACT_SECRET_MAX)
        return;
    pthread_mutex_lock(&r->lock);
    secret_keep(r, secret);
    pthread_mutex_unlock(&r->lock);
}

/* ---- policies of projects ---- */

/* The thread, or the recorder's birth. */
static void policies_read(struct recorder *r)
{
    struct policies now = {.ctx = mem_root()};
    struct err err = {0};
    if (record_policy_list(now.ctx, r->spec.store, &now.rows, &now.n, &err) != RC_OK) { /* those before stay in force */
        log_err(&err, "could not read what is to be recorded of projects");
        mem_free(now.ctx);
        return;
    }
    pthread_mutex_lock(&r->lock);
    struct policies before = r->policies;
    r->policies = now;
    pthread_mutex_unlock(&r->lock);
    mem_free(before.ctx);
}

void recorder_policies_changed(struct recorder *r)
{
    pthread_mutex_lock(&r->lock);
    r->policies_stale = true;
    pthread_cond_signal(&r->given);
    pthread_mutex_unlock(&r->lock);
}

static const struct record_policy *policy_of(const struct recorder *r, const char *project)
{
    for (size_t i = 0; project && *project && i < r->policies.n; i++)
        if (strcmp(r->policies.rows[i].project, project) == 0)
            return &r->policies.rows[i];
    return &r->spec.policy;
}

/* ---- batches ---- */

/* What a batch does for one record. */
struct task_piece {
    enum exchange_side side;
    int64_t piece, bytes;
    struct str packed;
    struct task_piece *next;
};
struct work {
    struct record *rec;
    struct exchange row; /* texts are the record's until they are redacted into the batch */
    bool end;
    struct {
        struct str bytes;
        bool cut;
    } waiting[EXCHANGE_SIDES];
    struct task_piece *first, **last;
    bool lost; /* this row alone could not be written */
};
struct batch {
    mem *ctx;
    struct recorder *r;
    struct work works[BATCH_RECORDS];
    size_t n;
    struct redact_secret *secrets; /* when they changed */
    size_t secret_count;
    bool secrets_changed;
    enum rc rc;
    struct err err, lost_err;
    struct record *gone; /* by `next`: freed with it */
};

static void side_redact_new(struct batch *b, struct side *side)
{
    side->ctx = mem_root();
    side->redact = redact_new(side->ctx, b->r->redactor);
}

static void pieces_add(struct batch *b, struct work *w, enum exchange_side at, struct str bytes)
{
    while (bytes.n) {
        struct str part = str_sub(bytes, 0, EXCHANGE_PIECE_MAX);
        struct task_piece *p = mem_new(b->ctx, struct task_piece);
        *p = (struct task_piece){.side = at,
                                 .piece = ++w->rec->sides[at].pieces,
                                 .bytes = (int64_t)part.n,
                                 .packed = exchange_pack(b->ctx, part)};
        *w->last = p;
        w->last = &p->next;
        bytes = str_sub(bytes, part.n, bytes.n);
    }
}

/* Without the lock: what waits of a body, through the sink, into pieces. A request is there at once, so it ends
 * with its first. */
static void side_work(struct batch *b, struct work *w, enum exchange_side at)
{
    struct side *side = &w->rec->sides[at];
    struct str bytes = w->waiting[at].bytes;
    struct buf out;
    bool end = at == EXCHANGE_REQUEST || w->end;
    if (!bytes.n && !(end && side->redact))
        return;
    if (!side->redact)
        side_redact_new(b, side);
    buf_init(&out, b->ctx, (bytes.n + REDACT_HOLD_MAX) * REDACT_GROWTH);
    redact_feed(side->redact, bytes, &out);
    if (end && w->waiting[at].cut)
        redact_cut(side->redact, &out);
    else if (end)
        redact_end(side->redact, &out);
    if (at == EXCHANGE_REQUEST && bytes.n && !w->waiting[at].cut) {
        char hash[RECORDING_HASH]; /* of the body as it was sent */
        recording_hash(bytes, w->row.spender.task, hash);
        w->row.request_hash = mem_str(b->ctx, hash);
    }
    pieces_add(b, w, at, buf_view(&out));
}

static const char *clean(struct batch *b, const char *text, size_t most)
{
    return text && *text ? redact_text(b->ctx, b->r->redactor, str_of(text), most) : "";
}

/* The same few names come with every request. */
static const char *clean_name(struct batch *b, const char *text)
{
    struct recorder *r = b->r;
    if (!text || !*text || strlen(text) > NAME_MOST)
        return clean(b, text, NAME_MOST);
    for (size_t i = 0; i < NAMES_KEPT; i++)
        if (r->names[i].text && strcmp(r->names[i].text, text) == 0)
            return mem_str(b->ctx, r->names[i].clean);
    struct name *n = &r->names[r->name_next++ % NAMES_KEPT];
    mem_free(n->text);
    n->text = mem_array(NULL, char, strlen(text) + 1);
    memcpy(n->text, text, strlen(text));
    n->clean = redact_text(n->text, r->redactor, str_of(text), NAME_MOST);
    return mem_str(b->ctx, n->clean);
}

static void names_forget(struct recorder *r)
{
    for (size_t i = 0; i < NAMES_KEPT; i++) {
        mem_free(r->names[i].text);
        r->names[i] = (struct name){0};
    }
}

static void batch_work(struct batch *b)
{
    struct recorder *r = b->r;
    if (b->secrets_changed || !r->redactor) {
        names_forget(r);
        redactor_unref(r->redactor);
        r->redactor = redactor_new(b->secrets, b->secret_count);
        for (size_t i = 0; i < b->secret_count; i++)
            explicit_bzero((char *)b->secrets[i].secret.p, b->secrets[i].secret.n);
    }
    for (size_t i = 0; i < b->n; i++) {
        struct work *w = &b->works[i];
        for (int side = 0; side < EXCHANGE_SIDES; side++)
            side_work(b, w, side);
        w->row.model = clean_name(b, w->row.model);
        w->row.model_served = clean_name(b, w->row.model_served);
        w->row.words = clean(b, w->row.words, WORDS_MOST);
        w->row.attempts = clean(b, w->row.attempts, INT32_MAX / REDACT_GROWTH / 2);
    }
}

/* Writer thread, one transaction. A row that cannot be (its id is taken) is lost alone. */
static enum rc batch_store(struct store_tx *tx, void *arg, struct err *err)
{
    struct batch *b = arg;
    for (size_t i = 0; i < b->n; i++) {
        struct work *w = &b->works[i];
        enum rc rc = exchange_put(tx, &w->row, err);
        for (struct task_piece *p = w->first; p && rc == RC_OK; p = p->next)
            rc = exchange_piece_put(tx, w->row.number, p->side, p->piece, p->bytes, p->packed, err);
        if (rc == RC_CONFLICT || rc == RC_INVALID || rc == RC_NOT_FOUND) {
            w->lost = true;
            b->lost_err = *err;
        } else if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

/* Out of the list; the memory goes later, without the lock. */
static void record_unlink(struct record *rec)
{
    if (rec->prev)
        rec->prev->next = rec->next;
    else
        rec->r->active = rec->next;
    if (rec->next)
        rec->next->prev = rec->prev;
    for (int i = 0; i < EXCHANGE_SIDES; i++)
        rec->r->waiting_bytes -= rec->sides[i].waiting_ctx ? rec->sides[i].waiting.n : 0;
}

static void record_free(struct record *rec)
{
    for (int i = 0; i < EXCHANGE_SIDES; i++) {
        mem_free(rec->sides[i].waiting_ctx);
        mem_free(rec->sides[i].ctx);
    }
    mem_free(rec->ctx);
}

static void record_queue(struct record *rec);

static void work_finish(struct batch *b, struct work *w)
{
    struct record *rec = w->rec;
    rec->batched = false;
    rec->lost |= w->lost || b->rc != RC_OK;
    if (!rec->lost) {
        rec->row.number = w->row.number;
        if (w->row.request_hash != rec->row.request_hash)
            rec->row.request_hash = mem_str(rec->ctx, w->row.request_hash);
    }
    if (w->end || (rec->lost && rec->ended)) {
        record_unlink(rec);
        rec->next = b->gone;
        b->gone = rec;
    } else if (rec->ended || rec->sides[EXCHANGE_ANSWER].waiting.n >= READY_BYTES) {
        record_queue(rec);
    }
}

/* The batch is durable, or failed. */
static void batch_finish(struct batch *b)
{
    struct recorder *r = b->r;
    if (b->rc != RC_OK && !r->failing)
        log_err(&b->err, "could not write the record of model requests");
    else if (b->lost_err.rc)
        log_err(&b->lost_err, "could not write the record of a model request");
    r->failing = b->rc != RC_OK;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < b->n; i++)
        work_finish(b, &b->works[i]);
    r->batches++;
    r->writing = false;
    pthread_cond_broadcast(&r->written);
    pthread_mutex_unlock(&r->lock);
    for (struct record *rec = b->gone, *next; rec; rec = next) {
        next = rec->next;
        record_free(rec);
    }
    mem_free(b->ctx);
}

/* Moves what is to be written of a record into the batch. */
static void work_take(struct batch *b, struct record *rec)
{
    struct work *w = &b->works[b->n++];
    rec->queued = false;
    rec->batched = true;
    rec->dirty = false;
    w->rec = rec;
    w->end = rec->ended;
    w->last = &w->first;
    for (int i = 0; i < EXCHANGE_SIDES; i++) {
        struct side *side = &rec->sides[i];
        w->waiting[i].cut = side->cut;
        if (!side->waiting_ctx)
            continue;
        mem_move(b->ctx, side->waiting_ctx);
        w->waiting[i].bytes = buf_view(&side->waiting);
        rec->r->waiting_bytes -= side->waiting.n;
        side->waiting_ctx = NULL;
        side->waiting = (struct buf){0};
    }
    w->row = rec->row;
    w->row.request_bytes = rec->sides[EXCHANGE_REQUEST].seen;
    w->row.answer_bytes = rec->sides[EXCHANGE_ANSWER].seen;
    const char **kept[EXCHANGE_SIDES] = {&w->row.request_body, &w->row.answer_body};
    for (int i = 0; i < EXCHANGE_SIDES; i++)
        *kept[i] = !rec->full || !rec->sides[i].seen ? "" : rec->sides[i].cut ? "cut" : "whole";
    w->row.attempts = mem_printf(b->ctx, "[%.*s]", STR_FMT(buf_view(&rec->attempts)));
}

static void secrets_take(struct batch *b, struct recorder *r)
{
    b->secrets_changed = r->secrets_changed;
    if (!r->secrets_changed)
        return;
    r->secrets_changed = false;
    b->secrets = mem_array(b->ctx, struct redact_secret, r->secret_count + 1);
    b->secret_count = r->secret_count;
    for (size_t i = 0; i < r->secret_count; i++) {
        const struct secret *s = &r->secrets[i];
        b->secrets[i] = (struct redact_secret){"secret", str_n(mem_strn(b->ctx, s->text, s->n), s->n)};
    }
}

static struct batch *batch_take(struct recorder *r)
{
    mem *ctx = mem_root();
    struct batch *b = mem_new(ctx, struct batch);
    b->ctx = ctx;
    b->r = r;
    r->writing = true;
    while (r->queue && b->n < BATCH_RECORDS) {
        struct record *rec = r->queue;
        r->queue = rec->queue_next;
        r->queued--;
        if (!r->queue)
            r->queue_end = &r->queue;
        work_take(b, rec);
    }
    secrets_take(b, r);
    return b;
}

static void batch_write(struct batch *b)
{
    batch_work(b);
    b->rc = store_write(b->r->spec.store, batch_store, b, &b->err);
    batch_finish(b);
}

static bool batch_is_full(const struct recorder *r)
{
    return r->queued >= BATCH_RECORDS || r->waiting_bytes >= READY_BYTES;
}

/* Something is to be written now; else waits, at most until it is. */
static bool batch_is_due(struct recorder *r)
{
    int64_t now = clock_mono_ns();
    if (!r->queue) {
        pthread_cond_wait(&r->given, &r->lock);
        return false;
    }
    if (r->syncs || batch_is_full(r) || now >= r->due_ns)
        return true;
    struct timespec until = {.tv_sec = r->due_ns / 1000000000, .tv_nsec = r->due_ns % 1000000000};
    pthread_cond_timedwait(&r->given, &r->lock, &until);
    return false;
}

static void *recorder_main(void *arg)
{
    struct recorder *r = arg;
    (void)pthread_setname_np(pthread_self(), "recorder");
    pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        struct batch *b = NULL;
        bool stale = r->policies_stale;
        r->policies_stale = false;
        if (!stale && batch_is_due(r))
            b = batch_take(r);
        if (!stale && !b)
            continue;
        pthread_mutex_unlock(&r->lock);
        if (stale)
            policies_read(r);
        if (b)
            batch_write(b);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void queue_put(struct record *rec)
{
    struct recorder *r = rec->r;
    rec->queued = true;
    rec->queue_next = NULL;
    *r->queue_end = rec;
    r->queue_end = &rec->queue_next;
    r->queued++;
}

static void record_queue(struct record *rec)
{
    struct recorder *r = rec->r;
    if (rec->queued || rec->batched)
        return;
    bool first = !r->queue;
    if (first)
        r->due_ns = clock_mono_ns() + r->spec.batch_ms * 1000000;
    queue_put(rec);
    if (first || r->queued == BATCH_RECORDS || r->waiting_bytes >= READY_BYTES)
        pthread_cond_signal(&r->given);
}

/* Under load there is always something queued: what was there before is written after so many batches, and one more
 * for those that ended while they were being written. */
void recorder_sync(struct recorder *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t enough = r->batches + r->queued / BATCH_RECORDS + 3;
    r->syncs++;
    pthread_cond_signal(&r->given);
    while ((r->queue || r->writing) && r->batches < enough)
        pthread_cond_wait(&r->written, &r->lock);
    r->syncs--;
    pthread_mutex_unlock(&r->lock);
}

/* ---- one record ---- */

struct record *record_begin(struct recorder *r, const struct record_start *start)
{
    pthread_mutex_lock(&r->lock);
    struct record_policy policy = *policy_of(r, start->spender->project);
    pthread_mutex_unlock(&r->lock);
    if (policy.keep == RECORD_NONE && !start->whole)
        return NULL;
    mem *ctx = mem_pool(RECORD_POOL);
    struct record *rec = mem_new(ctx, struct record);
    const struct spender *s = start->spender;
    rec->ctx = ctx;
    rec->r = r;
    rec->full = start->whole || policy.keep == RECORD_FULL;
    rec->body_max = start->whole ? WHOLE_MOST : policy.body_max;
    rec->dirty = true;
    rec->row = (struct exchange){.id = mem_str(ctx, start->id),
                                 .time_ns = start->time_ns,
                                 .spender = {.organisation = mem_str(ctx, s->organisation),
                                             .project = mem_str(ctx, s->project),
                                             .task = mem_str(ctx, s->task),
                                             .agent = mem_str(ctx, s->agent),
                                             .key = mem_str(ctx, s->key),
                                             .user = mem_str(ctx, s->user)},
                                 .dialect = mem_str(ctx, start->dialect),
                                 .endpoint = mem_str(ctx, start->endpoint),
                                 .model = mem_str(ctx, start->model),
                                 .client = mem_str(ctx, start->client),
                                 .stream = start->stream,
                                 .state = "open",
                                 .first_byte_ms = -1,
                                 .ms = -1,
                                 .outcome = ""};
    buf_init(&rec->attempts, ctx, 1u << 20);
    json_out_init(&rec->attempts_out, &rec->attempts);
    pthread_mutex_lock(&r->lock);
    rec->next = r->active;
    if (rec->next)
        rec->next->prev = rec;
    r->active = rec;
    pthread_mutex_unlock(&r->lock);
    return rec;
}

/* Bytes of a body wait for the next batch. */
static void side_add(struct record *rec, enum exchange_side at, struct str bytes)
{
    struct side *side = &rec->sides[at];
    side->seen += (int64_t)bytes.n;
    if (!rec->full || rec->lost || side->cut || !bytes.n)
        return;
    struct str fits = str_sub(bytes, 0, (size_t)(rec->body_max - side->kept));
    if (fits.n > WAITING_MOST - rec->r->waiting_bytes)
        fits.n = WAITING_MOST - rec->r->waiting_bytes;
    side->cut = fits.n < bytes.n;
    if (!fits.n)
        return;
    if (!side->waiting_ctx) {
        side->waiting_ctx = mem_root();
        buf_init(&side->waiting, side->waiting_ctx, WAITING_MOST);
    }
    BUG_ON(!buf_str(&side->waiting, fits));
    side->kept += (int64_t)fits.n;
    rec->r->waiting_bytes += fits.n;
    rec->dirty = true;
    if (side->waiting.n >= READY_BYTES)
        record_queue(rec);
}

static void body_add(struct record *rec, enum exchange_side at, struct str bytes)
{
    if (!rec)
        return;
    pthread_mutex_lock(&rec->r->lock);
    side_add(rec, at, bytes);
    pthread_mutex_unlock(&rec->r->lock);
}

void record_request(struct record *rec, struct str body)
{
    body_add(rec, EXCHANGE_REQUEST, body);
}

void record_answer(struct record *rec, struct str bytes)
{
    body_add(rec, EXCHANGE_ANSWER, bytes);
}

static void attempt_add(struct record *rec, const struct record_attempt *a)
{
    struct json_out *o = &rec->attempts_out;
    if (rec->attempt_count++)
        buf_char(&rec->attempts, ',');
    json_out_init(o, &rec->attempts);
    jo_obj(o);
    jo_kz(o, "provider", a->provider);
    jo_kz(o, "model", a->upstream);
    jo_ki(o, "status", a->status);
    jo_kz(o, "code", rc_name(a->rc));
    jo_ki(o, "first_byte_ms", a->first_byte_ms);
    jo_ki(o, "ms", a->ms);
    struct str words = str_of(a->words);
    jo_ks(o, "words", str_sub(words, 0, str_utf8_cut(words, WORDS_MOST)));
    jo_end_obj(o);
    rec->dirty = true;
}

void record_attempt(struct record *rec, const struct record_attempt *a)
{
    if (!rec || rec->attempt_count == ATTEMPTS_MOST)
        return;
    pthread_mutex_lock(&rec->r->lock);
    attempt_add(rec, a);
    pthread_mutex_unlock(&rec->r->lock);
}

static void row_end(struct record *rec, const struct record_end *end)
{
    struct exchange *row = &rec->row;
    row->state = "done";
    row->status = end->status;
    row->outcome = mem_str(rec->ctx, end->outcome);
    row->provider = mem_str(rec->ctx, end->provider);
    row->model_served = mem_str(rec->ctx, end->model);
    row->content_type = mem_str(rec->ctx, end->content_type);
    row->usage_known = end->usage_known;
    row->usage = end->usage;
    row->cost = end->cost;
    row->currency = mem_str(rec->ctx, end->currency);
    row->cache_hit = end->cache_hit;
    row->first_byte_ms = end->first_byte_ms;
    row->ms = end->ms;
    row->words = mem_str(rec->ctx, end->words);
    rec->ended = true;
}

void record_end(struct record *rec, const struct record_end *end)
{
    if (!rec)
        return;
    struct recorder *r = rec->r;
    pthread_mutex_lock(&r->lock);
    row_end(rec, end);
    bool lost = rec->lost && !rec->batched && !rec->queued;
    if (lost)
        record_unlink(rec);
    else
        record_queue(rec);
    pthread_mutex_unlock(&r->lock);
    if (lost)
        record_free(rec);
}

/* ---- the recorder ---- */

static enum rc mark_incomplete(struct store_tx *tx, void *arg, struct err *err)
{
    return exchange_mark_incomplete(tx, arg, err);
}

struct recorder *recorder_new(mem *ctx, const struct recorder_spec *spec)
{
    struct recorder *r = mem_new(ctx, struct recorder);
    struct err err = {0};
    pthread_condattr_t monotonic;
    int64_t n = 0;
    r->spec = *spec;
    r->queue_end = &r->queue;
    r->secrets_changed = true;
    if (store_write(spec->store, mark_incomplete, &n, &err) != RC_OK)
        log_err(&err, "could not mark the records that the last server left open");
    BUG_ON(pthread_mutex_init(&r->lock, NULL) != 0 || pthread_cond_init(&r->written, NULL) != 0);
    BUG_ON(pthread_condattr_init(&monotonic) != 0 || pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
           pthread_cond_init(&r->given, &monotonic) != 0);
    pthread_condattr_destroy(&monotonic);
    policies_read(r);
    BUG_ON(pthread_create(&r->thread, NULL, recorder_main, r) != 0);
    return r;
}

void recorder_tick(struct recorder *r)
{
    pthread_mutex_lock(&r->lock);
    for (struct record *rec = r->active; rec; rec = rec->next)
        if (rec->dirty && !rec->lost)
            record_queue(rec);
    pthread_mutex_unlock(&r->lock);
}

struct recorder *recorder_free(struct recorder *r)
{
    if (!r)
        return NULL;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_signal(&r->given);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    for (struct record *rec = r->active; rec; rec = rec->next) {
        if (!rec->ended) {
            rec->ended = true;
            rec->row.state = "incomplete";
            rec->sides[EXCHANGE_ANSWER].cut |= rec->sides[EXCHANGE_ANSWER].seen > 0;
        }
        if (!rec->queued)
            queue_put(rec);
    }
    while (r->queue)
        batch_write(batch_take(r));
    for (size_t i = 0; i < r->secret_count; i++)
        secret_wipe(&r->secrets[i]);
    names_forget(r);
    redactor_unref(r->redactor);
    mem_free(r->policies.ctx);
    pthread_cond_destroy(&r->written);
    pthread_cond_destroy(&r->given);
    pthread_mutex_destroy(&r->lock);
    return mem_free(r);
}

/* ---- retention ---- */

#define EXPIRE_AT_ONCE 200

struct expiry {
    const struct record_policy *policy;
    int64_t now_ns, n;
};

static enum rc expire_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct expiry *x = arg;
    return exchange_expire(tx, x->policy, x->now_ns, EXPIRE_AT_ONCE, &x->n, err);
}

static enum rc expire_policy(struct store *s, const struct record_policy *p, int64_t now_ns, int64_t *n,
                             struct err *err)
{
    struct expiry x = {.policy = p, .now_ns = now_ns};
    enum rc rc;
    do {
        rc = store_write(s, expire_tx, &x, err);
        *n += rc == RC_OK ? x.n : 0;
    } while (rc == RC_OK && x.n);
    return rc;
}

enum rc record_expire(struct store *s, const struct record_policy *standard, int64_t now_ns, int64_t *ret_n,
                      struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct record_policy *rows;
    size_t n = 0;
    *ret_n = 0;
    enum rc rc = record_policy_list(tmp, s, &rows, &n, err);
    if (rc == RC_OK)
        rc = expire_policy(s, standard, now_ns, ret_n, err);
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = expire_policy(s, &rows[i], now_ns, ret_n, err);
    return rc;
}
