/* The file of the books: appending, and making rows of it. What it promises stands in books.h. */
#include "store/books.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/store_private.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC       "NMBOOKS1"
#define STORE_ID    16 /* letters and digits */
#define ENTRY_MAX   16384
#define NULL_LENGTH 65535

struct head { /* of a half */
    char magic[8];
    char store_id[STORE_ID];
    uint64_t first; /* number of its first entry */
    char rest[32];
};
struct frame { /* before each entry; length and crc are of what follows crc */
    uint32_t length, crc;
};
struct entry_head {
    uint64_t seq;
    uint8_t kind;
} __attribute__((packed));
enum kind { KIND_HOLD = 1, KIND_END = 2 };

struct half {
    char *base;
    size_t used;          /* bytes, with the head; sizeof(struct head): empty */
    uint64_t first, last; /* entries; meaningless when empty */
};
struct books {
    struct store *store;
    char store_id[STORE_ID + 1];
    char *map;
    pthread_mutex_t lock;
    struct half halves[2];
    int at;         /* the half that is appended to */
    uint64_t last;  /* entry appended; 0: none ever */
    uint64_t rowed; /* up to here all are committed rows */
    int frozen;
};

struct ending {
    int64_t hold_id;
    const char *state;
    bool has_row;
};
static const struct db_column ending_columns[] = {
    DB_COLUMN(ending, hold_id, DB_INT64),
    DB_COLUMN(ending, state, DB_TEXT),
    DB_COLUMN(ending, has_row, DB_BOOL),
};
static const struct db_shape ending_shape = DB_SHAPE(ending, ending_columns);
static const struct db_column rate_columns[] = {
    DB_COLUMN(frozen_rate, ratio.num, DB_INT64),
    DB_COLUMN(frozen_rate, ratio.den, DB_INT64),
    DB_COLUMN(frozen_rate, rate_id, DB_INT64),
};
static const struct db_shape rate_shape = DB_SHAPE(frozen_rate, rate_columns);

/* ---- fields ---- */

struct packing {
    char *p, *end;
    bool full;
};

static void pack(struct packing *k, const void *bytes, size_t n)
{
    if ((size_t)(k->end - k->p) < n) {
        k->full = true;
        return;
    }
    memcpy(k->p, bytes, n);
    k->p += n;
}

static void pack_int(struct packing *k, int64_t v)
{
    pack(k, &v, sizeof v);
}

static void pack_text(struct packing *k, const char *z)
{
    size_t n = z ? strlen(z) : 0;
    uint16_t length = z ? (uint16_t)n : NULL_LENGTH;
    k->full |= n >= NULL_LENGTH;
    pack(k, &length, sizeof length);
    if (z && !k->full)
        pack(k, z, n + 1);
}

static void pack_row(struct packing *k, const struct db_shape *shape, const void *row)
{
    for (size_t i = 0; i < shape->n; i++) {
        const char *field = (const char *)row + shape->columns[i].offset;
        switch (shape->columns[i].kind) {
        case DB_INT64:
            pack_int(k, *(const int64_t *)field);
            break;
        case DB_INT:
            pack_int(k, *(const int *)field);
            break;
        case DB_BOOL:
            pack_int(k, *(const bool *)field);
            break;
        case DB_TEXT:
        case DB_TEXT_NULL:
            pack_text(k, *(const char *const *)field);
            break;
        default:
            BUG_ON(true);
        }
    }
}

struct unpacking {
    const char *p, *end;
    bool broken;
};

static void unpack(struct unpacking *u, void *ret, size_t n)
{
    if ((size_t)(u->end - u->p) < n) {
        u->broken = true;
        memset(ret, 0, n);
        return;
    }
    memcpy(ret, u->p, n);
    u->p += n;
}

static int64_t unpack_int(struct unpacking *u)
{
    int64_t v;
    unpack(u, &v, sizeof v);
    return v;
}

/* Points into the file: valid until the entry is a committed row. */
static const char *unpack_text(struct unpacking *u)
{
    uint16_t length;
    unpack(u, &length, sizeof length);
    if (u->broken || length == NULL_LENGTH)
        return NULL;
    const char *z = u->p;
    if ((size_t)(u->end - u->p) < (size_t)length + 1 || z[length] != '\0') {
        u->broken = true;
        return NULL;
    }
    u->p += length + 1;
    return z;
}

static void unpack_row(struct unpacking *u, const struct db_shape *shape, void *ret)
{
    for (size_t i = 0; i < shape->n; i++) {
        char *field = (char *)ret + shape->columns[i].offset;
        switch (shape->columns[i].kind) {
        case DB_INT64:
            *(int64_t *)field = unpack_int(u);
            break;
        case DB_INT:
            *(int *)field = (int)unpack_int(u);
            break;
        case DB_BOOL:
            *(bool *)field = unpack_int(u) != 0;
            break;
        case DB_TEXT:
        case DB_TEXT_NULL:
            *(const char **)field = unpack_text(u);
            break;
        default:
            BUG_ON(true);
        }
    }
}

/* ---- appending ---- */

static void half_empty(struct half *h)
{
    h->used = sizeof(struct head);
    h->first = h->last = 0;
}

/* With the lock. Room for an entry of n bytes, or NULL. */
static char *room_find(struct books *b, size_t n)
{
    for (int i = 0; i < 2; i++) {
        struct half *h = &b->halves[b->at];
        bool empty = h->used == sizeof(struct head);
        if (i == 0 ? h->used + n <= BOOKS_HALF : empty) {
            if (empty) {
                struct head head = {.first = b->last + 1};
                memcpy(head.magic, MAGIC, sizeof head.magic);
                memcpy(head.store_id, b->store_id, STORE_ID);
                h->first = head.first;
                memcpy(h->base, &head, sizeof head);
            }
            return h->base + h->used;
        }
        b->at ^= 1;
    }
    b->at ^= 1; /* both are full: the older one is emptied first */
    return NULL;
}

static enum rc append(struct books *b, enum kind kind, const char *fields, size_t n, struct err *err)
{
    struct entry_head head = {.kind = (uint8_t)kind};
    struct frame frame = {.length = (uint32_t)(sizeof head + n)};
    size_t all = sizeof frame + frame.length;
    enum rc rc = RC_OK;
    pthread_mutex_lock(&b->lock);
    char *at = b->frozen && kind == KIND_END ? NULL : room_find(b, all);
    if (!at) {
        rc = err_set(err, RC_AGAIN, "the books wait for the database");
    } else {
        head.seq = b->last + 1;
        memcpy(at + sizeof frame, &head, sizeof head);
        memcpy(at + sizeof frame + sizeof head, fields, n);
        frame.crc = (uint32_t)crc32(0, (const Bytef *)at + sizeof frame, frame.length);
        memcpy(at, &frame, sizeof frame);
        b->halves[b->at].used += all;
        b->last = b->halves[b->at].last = head.seq;
    }
    pthread_mutex_unlock(&b->lock);
    return rc;
}

enum rc books_hold(struct books *b, const struct hold *h, struct err *err)
{
    char fields[ENTRY_MAX];
    struct packing k = {fields, fields + sizeof fields, false};
    enum rc rc = hold_check(h, err);
    if (rc != RC_OK)
        return rc;
    pack_row(&k, &hold_shape, h);
    pack_int(&k, (int64_t)h->rate_count);
    for (size_t i = 0; i < h->rate_count; i++) {
        pack_text(&k, h->rates[i].from);
        pack_text(&k, h->rates[i].to);
        pack_row(&k, &rate_shape, &h->rates[i]);
    }
    if (k.full)
        return err_set(err, RC_INVALID, "the names of a model request are too long");
    return append(b, KIND_HOLD, fields, (size_t)(k.p - fields), err);
}

enum rc books_end(struct books *b, int64_t hold_id, const char *state, const struct ledger_row *row, struct err *err)
{
    char fields[ENTRY_MAX];
    struct packing k = {fields, fields + sizeof fields, false};
    struct ending e = {hold_id, state, row != NULL};
    enum rc rc = row ? ledger_check(row, err) : RC_OK;
    if (rc != RC_OK)
        return rc;
    pack_row(&k, &ending_shape, &e);
    if (row)
        pack_row(&k, &ledger_given_shape, row);
    if (k.full)
        return err_set(err, RC_INVALID, "the names of a model request are too long");
    return append(b, KIND_END, fields, (size_t)(k.p - fields), err);
}

size_t books_pending(struct books *b)
{
    size_t n = 0;
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < 2; i++)
        n += b->halves[i].used - sizeof(struct head);
    pthread_mutex_unlock(&b->lock);
    return n;
}

void books_freeze(struct books *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->frozen++;
    pthread_mutex_unlock(&b->lock);
}

void books_thaw(struct books *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->frozen--;
    pthread_mutex_unlock(&b->lock);
}

/* ---- reading ---- */

struct entry {
    enum kind kind;
    struct hold hold;
    struct frozen_rate *rates;
    struct ending ending;
    struct ledger_row row;
    struct entry *end;       /* of a hold: how it ended, when that stands here too */
    bool taken;              /* of an end: with its hold */
    struct entry *next_same; /* in the table of holds */
};

/* The next whole entry of number `seq` below `end`, or false. */
static bool frame_next(const char **at, const char *end, uint64_t seq, struct unpacking *ret, enum kind *ret_kind)
{
    struct frame frame;
    struct entry_head head;
    if ((size_t)(end - *at) < sizeof frame)
        return false;
    memcpy(&frame, *at, sizeof frame);
    const char *body = *at + sizeof frame;
    if (frame.length < sizeof head || frame.length > ENTRY_MAX + sizeof head || (size_t)(end - body) < frame.length)
        return false;
    if (frame.crc != (uint32_t)crc32(0, (const Bytef *)body, frame.length))
        return false;
    memcpy(&head, body, sizeof head);
    if (head.seq != seq || (head.kind != KIND_HOLD && head.kind != KIND_END))
        return false;
    *ret = (struct unpacking){body + sizeof head, body + frame.length, false};
    *ret_kind = (enum kind)head.kind;
    *at = body + frame.length;
    return true;
}

static void rates_read(mem *ctx, struct unpacking *u, struct entry *ret)
{
    int64_t n = unpack_int(u);
    if (n < 0 || n > ENTRY_MAX) {
        u->broken = true;
        return;
    }
    ret->rates = n ? mem_array(ctx, struct frozen_rate, (size_t)n) : NULL;
    for (int64_t i = 0; i < n && !u->broken; i++) {
        const char *from = unpack_text(u), *to = unpack_text(u);
        snprintf(ret->rates[i].from, sizeof ret->rates[i].from, "%s", from ? from : "");
        snprintf(ret->rates[i].to, sizeof ret->rates[i].to, "%s", to ? to : "");
        unpack_row(u, &rate_shape, &ret->rates[i]);
    }
    ret->hold.rates = ret->rates;
    ret->hold.rate_count = (size_t)n;
}

static bool entry_read(mem *ctx, struct unpacking *u, enum kind kind, struct entry *ret)
{
    *ret = (struct entry){.kind = kind};
    if (kind == KIND_HOLD) {
        unpack_row(u, &hold_shape, &ret->hold);
        rates_read(ctx, u, ret);
    } else {
        unpack_row(u, &ending_shape, &ret->ending);
        if (ret->ending.has_row)
            unpack_row(u, &ledger_given_shape, &ret->row);
    }
    return !u->broken;
}

struct batch {
    mem *ctx;
    struct entry *v;
    size_t n, room;
    uint64_t last;
};

/* The entries of a half after number `after`. */
static void half_read(struct batch *t, const struct half *h, uint64_t after)
{
    const char *at = h->base + sizeof(struct head), *end = h->base + h->used;
    struct unpacking u;
    enum kind kind;
    for (uint64_t seq = h->first; frame_next(&at, end, seq, &u, &kind); seq++) {
        if (seq <= after)
            continue;
        if (t->n == t->room)
            t->v = mem_grow(t->ctx, t->v, (t->room = t->room ? t->room * 2 : 256) * sizeof *t->v);
        if (entry_read(t->ctx, &u, kind, &t->v[t->n]))
            t->n++;
        else
            log_error("entry %" PRIu64 " of the books cannot be read", seq);
        t->last = seq;
    }
}

/* Ends find their holds by number. */
static void ends_join(struct batch *t)
{
    size_t slots = 1;
    while (slots < t->n)
        slots *= 2;
    struct entry **table = mem_array(t->ctx, struct entry *, slots);
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &t->v[i];
        struct entry **slot = &table[(uint64_t)(e->kind == KIND_HOLD ? e->hold.id : e->ending.hold_id) & (slots - 1)];
        if (e->kind == KIND_HOLD) {
            e->next_same = *slot;
            *slot = e;
            continue;
        }
        struct entry *h = *slot;
        while (h && h->hold.id != e->ending.hold_id)
            h = h->next_same;
        if (h && !h->end) {
            h->end = e;
            e->taken = true;
        }
    }
}

/* ---- rows ---- */

static enum rc hold_apply(struct store_tx *tx, struct entry *e, struct quarter_sums *sums, struct err *err)
{
    const struct ending *end = e->end ? &e->end->ending : NULL;
    bool over = end && strcmp(end->state, "kept") != 0; /* nobody asks for it again, but a run for its next attempt */
    bool needed = !over || e->hold.spender.task || e->hold.rate_count;
    e->hold.state = end ? end->state : "open";
    enum rc rc = needed ? hold_insert(tx, &e->hold, err) : RC_OK;
    return !rc && end && end->has_row ? ledger_insert_of(tx, &e->hold, &e->end->row, sums, err) : rc;
}

static enum rc end_apply(struct store_tx *tx, struct entry *e, struct err *err)
{
    bool fresh;
    return e->ending.has_row ? hold_settle(tx, e->ending.hold_id, &e->row, &fresh, err)
                             : hold_close(tx, e->ending.hold_id, e->ending.state, err);
}

static enum rc mark_read(struct store_tx *tx, uint64_t *ret, struct err *err)
{
    DB_SQL(sql, "SELECT seq FROM books WHERE one = 1");
    int64_t seq = 0;
    enum rc rc = db_one_int(tx->c, &sql, DB_NONE, &seq, err);
    *ret = (uint64_t)seq;
    return rc;
}

static enum rc mark_write(struct store_tx *tx, uint64_t seq, struct err *err)
{
    DB_SQL(sql, "UPDATE books SET seq = $1 WHERE one = 1");
    return db_exec(tx->c, &sql, DB_ARGS(db_int((int64_t)seq)), NULL, err);
}

/* One that cannot be a row (its task is gone, its place is taken) must not keep the others from becoming rows. */
static bool only_its_own(enum rc rc)
{
    return rc == RC_CONFLICT || rc == RC_INVALID || rc == RC_NOT_FOUND;
}

static enum rc batch_apply(struct store_tx *tx, struct batch *t, struct err *err)
{
    struct quarter_sums sums = {.n = 0};
    ends_join(t);
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &t->v[i];
        struct err own = {0};
        if (e->taken)
            continue;
        enum rc rc = e->kind == KIND_HOLD ? hold_apply(tx, e, &sums, &own) : end_apply(tx, e, &own);
        if (only_its_own(rc)) {
            log_err(&own, "a model request could not be written into the books");
        } else if (rc != RC_OK) {
            *err = own;
            return rc;
        }
    }
    enum rc rc = quarter_sums_write(tx, &sums, err);
    return rc ? rc : mark_write(tx, t->last, err);
}

static enum rc apply(struct books *b, struct store_tx *tx, uint64_t *ret_last, size_t *ret_n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct batch t = {.ctx = tmp};
    struct half halves[2];
    uint64_t mark;
    enum rc rc = mark_read(tx, &mark, err);
    if (rc != RC_OK)
        return rc;
    pthread_mutex_lock(&b->lock); /* what stands below `used` does not change before it is committed */
    halves[0] = b->halves[b->at ^ 1];
    halves[1] = b->halves[b->at];
    pthread_mutex_unlock(&b->lock);
    t.last = mark;
    for (int i = 0; i < 2; i++)
        half_read(&t, &halves[i], mark);
    *ret_last = t.last;
    if (ret_n)
        *ret_n = t.n;
    return t.last > mark ? batch_apply(tx, &t, err) : RC_OK;
}

enum rc books_apply(struct books *b, struct store_tx *tx, struct err *err)
{
    uint64_t last;
    return b ? apply(b, tx, &last, NULL, err) : RC_OK;
}

/* Writer thread: everything up to `last` is committed. */
static void rowed(struct books *b, uint64_t last)
{
    pthread_mutex_lock(&b->lock);
    if (last > b->rowed)
        b->rowed = last;
    for (int i = 0; i < 2; i++) {
        struct half *h = &b->halves[i];
        if (h->last <= b->rowed)
            half_empty(h);
    }
    pthread_mutex_unlock(&b->lock);
}

struct flush {
    struct books *b;
    uint64_t last;
    size_t n;
    void (*done)(void *arg, enum rc rc, const struct err *err);
    void *arg;
};

static enum rc flush_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct flush *f = arg;
    return apply(f->b, tx, &f->last, &f->n, err);
}

static void flush_done(void *arg, enum rc rc, const struct err *err)
{
    struct flush *f = arg;
    if (rc == RC_OK)
        rowed(f->b, f->last);
    if (f->done)
        f->done(f->arg, rc, err);
    mem_free(f);
}

void books_flush(struct books *b, void (*done)(void *arg, enum rc rc, const struct err *err), void *arg)
{
    struct flush *f = mem_new(NULL, struct flush);
    *f = (struct flush){.b = b, .done = done, .arg = arg};
    store_write_async(b->store, flush_tx, f, flush_done);
}

struct sync {
    sem_t done;
    enum rc rc;
    struct err *err;
};

static void sync_done(void *arg, enum rc rc, const struct err *err)
{
    struct sync *s = arg;
    s->rc = rc;
    if (rc != RC_OK && s->err)
        *s->err = *err;
    sem_post(&s->done);
}

enum rc books_sync(struct books *b, struct err *err)
{
    struct sync s = {.err = err};
    sem_init(&s.done, 0, 0);
    books_flush(b, sync_done, &s);
    while (sem_wait(&s.done) != 0)
        ; /* a signal handler ran */
    sem_destroy(&s.done);
    return s.rc;
}

/* ---- opening ---- */

static enum rc identity_tx(struct store_tx *tx, void *arg, struct err *err)
{
    DB_SQL(sql, "INSERT INTO books (one, store_id, seq) VALUES (1, $1, 0) ON CONFLICT (one) DO NOTHING");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(arg)), NULL, err);
}

struct identity {
    const char *store_id;
    int64_t seq;
};
static const struct db_column identity_columns[] = {
    DB_COLUMN(identity, store_id, DB_TEXT),
    DB_COLUMN(identity, seq, DB_INT64),
};
static const struct db_shape identity_shape = DB_SHAPE(identity, identity_columns);

static enum rc identity_read(struct books *b, struct err *err)
{
    DB_SQL(sql, "SELECT store_id, seq FROM books WHERE one = 1");
    CLEANUP_MEM mem *tmp = mem_root();
    struct identity row;
    enum rc rc = store_write(b->store, identity_tx, id_new(tmp, STORE_ID), err);
    if (rc != RC_OK)
        return rc;
    DB_READER struct db_conn *c = db_reader(b->store->db);
    rc = db_one(tmp, c, &sql, DB_NONE, &identity_shape, &row, err);
    if (rc != RC_OK)
        return rc;
    snprintf(b->store_id, sizeof b->store_id, "%s", row.store_id);
    b->last = b->rowed = (uint64_t)row.seq;
    return RC_OK;
}

/* The end of what can be read of a half, as the last process left it. */
static void half_look(struct books *b, struct half *h)
{
    struct head head;
    struct unpacking u;
    enum kind kind;
    half_empty(h);
    memcpy(&head, h->base, sizeof head);
    if (memcmp(head.magic, MAGIC, sizeof head.magic) != 0 || memcmp(head.store_id, b->store_id, STORE_ID) != 0)
        return;
    const char *at = h->base + sizeof head, *end = h->base + BOOKS_HALF;
    h->first = head.first;
    uint64_t seq = head.first;
    while (frame_next(&at, end, seq, &u, &kind))
        seq++;
    h->used = (size_t)(at - h->base);
    h->last = seq - 1;
    if (seq > h->first && h->last > b->last)
        b->last = h->last;
}

static bool of_another(const struct books *b, const struct half *h)
{
    const struct head *head = (const struct head *)h->base;
    return memcmp(head->magic, MAGIC, sizeof head->magic) == 0 && memcmp(head->store_id, b->store_id, STORE_ID) != 0;
}

static enum rc file_map(struct books *b, const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "could not open %s", path);
    int failed = posix_fallocate(fd, 0, 2 * BOOKS_HALF); /* a full disk must not end the process later */
    if (failed == EOPNOTSUPP || failed == EINVAL)
        failed = ftruncate(fd, 2 * BOOKS_HALF) < 0 ? errno : 0;
    void *map = failed ? MAP_FAILED : mmap(NULL, 2 * BOOKS_HALF, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        failed = failed ? failed : errno;
    close(fd);
    if (failed)
        return err_sys(err, failed, "could not prepare %s", path);
    b->map = map;
    for (int i = 0; i < 2; i++)
        b->halves[i].base = b->map + (size_t)i * BOOKS_HALF;
    return RC_OK;
}

/* Rows of a database that was put in this one's place are nobody's: the file stays, for a person to look at. */
static enum rc file_put_aside(struct books *b, const char *path, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *aside = mem_printf(tmp, "%s.%" PRId64, path, clock_wall_ns() / 1000000000);
    munmap(b->map, 2 * BOOKS_HALF);
    b->map = NULL;
    if (rename(path, aside) < 0)
        return err_sys(err, errno, "could not rename %s", path);
    log_warn("%s belongs to another database; it is kept as %s", path, aside);
    return file_map(b, path, err);
}

static int books_destroy(struct books *b)
{
    struct err err = {0};
    if (b->map && books_pending(b) && books_sync(b, &err) != RC_OK)
        log_err(&err, "the last model requests become rows at the next start");
    if (b->map)
        munmap(b->map, 2 * BOOKS_HALF);
    pthread_mutex_destroy(&b->lock);
    return 0;
}

enum rc books_open(mem *ctx, struct store *s, const char *dir, struct books **ret, int64_t *ret_found, struct err *err)
{
    struct books *b = mem_new(ctx, struct books);
    const char *path = mem_printf(b, "%s/books", dir);
    b->store = s;
    pthread_mutex_init(&b->lock, NULL);
    talloc_set_destructor(b, books_destroy);
    enum rc rc = identity_read(b, err);
    if (rc == RC_OK)
        rc = file_map(b, path, err);
    if (rc == RC_OK && (of_another(b, &b->halves[0]) || of_another(b, &b->halves[1])))
        rc = file_put_aside(b, path, err);
    if (rc == RC_OK) {
        for (int i = 0; i < 2; i++)
            half_look(b, &b->halves[i]);
        b->at = b->halves[1].first > b->halves[0].first;
        struct flush f = {.b = b};
        rc = store_write(s, flush_tx, &f, err);
        if (ret_found)
            *ret_found = (int64_t)f.n;
    }
    if (rc != RC_OK) {
        if (b->map)
            munmap(b->map, 2 * BOOKS_HALF);
        b->map = NULL;
        mem_free(b);
        return rc;
    }
    b->rowed = b->last;
    for (int i = 0; i < 2; i++)
        half_empty(&b->halves[i]);
    *ret = b;
    return RC_OK;
}
