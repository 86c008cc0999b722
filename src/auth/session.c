/* Sessions in memory and in the database. */
#include "auth/session.h"
#include "base/id.h"
#include "store/key.h"
#include <pthread.h>
#include <uthash.h>

enum { CACHE_MOST = 4096, KEY = HASH_SHA256 };
#define USED_EVERY_NS (60 * INT64_C(1000000000))

struct entry { /* a tree of its own */
    uint8_t key[KEY];
    struct principal who;
    int64_t created_ns, seen_ns, expires_ns;
    bool browser;
    UT_hash_handle hh;
};
struct sessions {
    struct store *store;
    struct session_rules rules;
    pthread_mutex_t lock;
    struct entry *entries; /* the oldest first */
    uint64_t epoch;
};

static void entries_drop(struct sessions *s)
{
    struct entry *e, *next;
    HASH_ITER (hh, s->entries, e, next) {
        HASH_DEL(s->entries, e);
        mem_free(e);
    }
}

static int sessions_destroy(struct sessions *s)
{
    entries_drop(s);
    pthread_mutex_destroy(&s->lock);
    return 0;
}

struct sessions *sessions_new(mem *ctx, struct store *store, const struct session_rules *rules)
{
    struct sessions *s = mem_new(ctx, struct sessions);
    s->store = store;
    s->rules = *rules;
    s->epoch = 1;
    pthread_mutex_init(&s->lock, NULL);
    talloc_set_destructor(s, sessions_destroy);
    return s;
}

const struct session_rules *sessions_rules(const struct sessions *s)
{
    return &s->rules;
}

void sessions_forget(struct sessions *s)
{
    pthread_mutex_lock(&s->lock);
    s->epoch++;
    entries_drop(s);
    pthread_mutex_unlock(&s->lock);
}

enum rc session_begin_tx(mem *ctx, struct sessions *s, struct store_tx *tx, const char *user_id,
                         const struct session_place *place, int64_t now_ns, struct opaque *ret, const char **ret_id,
                         struct err *err)
{
    opaque_new(SESSION_WORD, ret);
    struct session row = {.id = id_new(ctx, SESSION_ID),
                          .hash = str_n((const char *)ret->hash, HASH_SHA256),
                          .user_id = user_id,
                          .kind = "browser",
                          .key_id = "",
                          .address = place->address,
                          .agent = mem_strn(ctx, place->agent, str_utf8_cut(str_of(place->agent), 200)),
                          .created_ns = now_ns,
                          .seen_ns = now_ns,
                          .expires_ns = now_ns + s->rules.idle_ns};
    *ret_id = row.id;
    return session_insert(tx, &row, err);
}

/* ---- last use ---- */

struct used {
    char id[SESSION_ID + 1], user_id[8];
    int64_t now_ns, expires_ns;
};

static enum rc used_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct used *u = arg;
    enum rc rc = session_seen(tx, u->id, u->now_ns, u->expires_ns, err);
    return rc || !u->user_id[0] ? rc : user_seen(tx, u->user_id, u->now_ns, err);
}

static void used_done(void *arg, enum rc rc, const struct err *err)
{
    (void)rc, (void)err; /* the next use writes it again */
    mem_free(arg);
}

/* With the lock held. NULL: nothing is due. */
static struct used *entry_used(struct sessions *s, struct entry *e, int64_t now_ns)
{
    if (now_ns - e->seen_ns < USED_EVERY_NS)
        return NULL;
    struct used *u = mem_new(NULL, struct used);
    e->seen_ns = now_ns;
    if (e->browser) { /* a family's end moves with its refresh tokens */
        int64_t idle = now_ns + s->rules.idle_ns, last = e->created_ns + s->rules.longest_ns;
        e->expires_ns = idle < last ? idle : last;
    }
    memcpy(u->id, e->who.session_id, SESSION_ID);
    if (e->who.user_id)
        memcpy(u->user_id, e->who.user_id, sizeof u->user_id - 1);
    u->now_ns = now_ns;
    u->expires_ns = e->expires_ns;
    return u;
}

/* ---- looking ---- */

static enum rc session_gone(struct err *err)
{
    err_set(err, RC_DENIED, "this login has ended");
    return err_hint(err, "log in again");
}

/* The session of a key without a user has the key's rights. */
static enum rc key_principal(mem *ctx, struct store *store, const char *key_id, int64_t now_ns, struct principal *ret,
                             struct err *err)
{
    struct user_key k;
    enum rc rc = user_key_find(ctx, store, key_id, &k, err);
    if (rc == RC_OK && (k.revoked_ns || (k.expires_ns && now_ns >= k.expires_ns)))
        rc = RC_NOT_FOUND;
    if (rc != RC_OK || (ret->user_id && strcmp(k.account, ret->user_id) != 0))
        return rc == RC_NOT_FOUND || rc == RC_OK ? session_gone(err) : rc;
    struct principal user = *ret;
    enum access key = access_find(k.access), most = key;
    if (user.user_id)
        most = *k.project ? principal_at(&user, k.project) : user.access;
    ret->access = most < key ? most : key;
    ret->project = k.project;
    ret->grants = NULL;
    ret->grant_n = 0;
    ret->key_id = k.id;
    ret->name = k.name;
    ret->user = k.user;
    ret->organisation = k.organisation;
    ret->requests_per_minute = k.requests_per_minute;
    ret->tokens_per_minute = k.tokens_per_minute;
    ret->streams = k.streams;
    ret->models = key_models(ctx, k.models);
    return ret->access == ACCESS_NONE ? session_gone(err) : RC_OK;
}

static enum rc entry_load(struct sessions *s, const struct session *row, int64_t now_ns, struct entry **ret,
                          struct err *err)
{
    struct entry *e = mem_new(NULL, struct entry);
    enum rc rc = RC_OK;
    if (*row->user_id)
        rc = principal_of_user(e, s->store, row->user_id, &e->who, err);
    if (rc == RC_OK && *row->key_id)
        rc = key_principal(e, s->store, row->key_id, now_ns, &e->who, err);
    if (rc == RC_OK && !*row->user_id && !*row->key_id)
        rc = session_gone(err);
    if (rc != RC_OK) {
        mem_free(e);
        return rc == RC_NOT_FOUND ? session_gone(err) : rc;
    }
    e->who.session_id = mem_str(e, row->id);
    e->browser = strcmp(row->kind, "browser") == 0;
    e->who.by = e->browser ? CAME_BY_SESSION : CAME_BY_TOKEN;
    e->created_ns = row->created_ns;
    e->seen_ns = row->seen_ns;
    e->expires_ns = row->expires_ns;
    *ret = e;
    return RC_OK;
}

/* From memory. RC_AGAIN: the database knows. */
static enum rc memory_check(mem *ctx, struct sessions *s, const uint8_t key[KEY], int64_t now_ns, struct principal *ret,
                            uint64_t *ret_epoch)
{
    struct entry *e;
    struct used *due = NULL;
    enum rc rc = RC_AGAIN;
    pthread_mutex_lock(&s->lock);
    *ret_epoch = s->epoch;
    HASH_FIND(hh, s->entries, key, KEY, e);
    if (e && now_ns >= e->expires_ns) { /* its end may have moved: the row knows */
        HASH_DEL(s->entries, e);
        mem_free(e);
    } else if (e) {
        *ret = principal_copy(ctx, &e->who);
        due = entry_used(s, e, now_ns);
        rc = RC_OK;
    }
    pthread_mutex_unlock(&s->lock);
    if (due)
        store_write_async(s->store, used_tx, due, used_done);
    return rc;
}

static enum rc row_check(mem *ctx, struct sessions *s, const uint8_t key[KEY], const struct session *row,
                         uint64_t epoch, int64_t now_ns, struct principal *ret, struct err *err)
{
    struct entry *e = NULL, *there;
    if (now_ns >= row->expires_ns)
        return session_gone(err);
    enum rc rc = entry_load(s, row, now_ns, &e, err);
    if (rc != RC_OK)
        return rc;
    *ret = principal_copy(ctx, &e->who);
    memcpy(e->key, key, KEY);
    pthread_mutex_lock(&s->lock);
    HASH_FIND(hh, s->entries, e->key, KEY, there);
    bool keep = !there && epoch == s->epoch; /* what was read before a change is not kept */
    if (keep && HASH_COUNT(s->entries) >= CACHE_MOST) {
        struct entry *oldest = s->entries;
        HASH_DEL(s->entries, oldest);
        mem_free(oldest);
    }
    if (keep)
        HASH_ADD(hh, s->entries, key, KEY, e);
    pthread_mutex_unlock(&s->lock);
    if (!keep)
        mem_free(e);
    return RC_OK;
}

enum rc session_check(mem *ctx, struct sessions *s, struct str token, int64_t now_ns, struct principal *ret,
                      struct err *err)
{
    struct opaque o;
    struct session row;
    uint64_t epoch;
    if (!opaque_read(SESSION_WORD, token, &o))
        return session_gone(err);
    enum rc rc = memory_check(ctx, s, o.hash, now_ns, ret, &epoch);
    if (rc == RC_AGAIN) {
        rc = session_by_hash(ctx, s->store, o.hash, &row, err);
        rc = rc == RC_NOT_FOUND ? session_gone(err)
             : rc               ? rc
                                : row_check(ctx, s, o.hash, &row, epoch, now_ns, ret, err);
    }
    opaque_wipe(&o);
    return rc;
}

enum rc session_check_id(mem *ctx, struct sessions *s, const char *id, int64_t now_ns, struct principal *ret,
                         struct err *err)
{
    uint8_t key[KEY] = {0}; /* no hash begins with so many zeros behind an id's letters */
    struct session row;
    uint64_t epoch;
    if (!id_valid(str_of(id), SESSION_ID))
        return session_gone(err);
    memcpy(key, id, SESSION_ID);
    enum rc rc = memory_check(ctx, s, key, now_ns, ret, &epoch);
    if (rc != RC_AGAIN)
        return rc;
    rc = session_find(ctx, s->store, id, &row, err);
    return rc == RC_NOT_FOUND || (!rc && strcmp(row.kind, "token") != 0) ? session_gone(err)
           : rc                                                          ? rc
                : row_check(ctx, s, key, &row, epoch, now_ns, ret, err);
}
