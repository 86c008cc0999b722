/* Keys: looked up, kept for a while, checked. */
#include "auth/auth.h"
#include "auth/token.h"
#include "base/json.h"
#include "base/text.h"
#include <pthread.h>
#include <uthash.h>

enum { CACHE_MOST = 1024 };
#define USED_EVERY_NS (60 * INT64_C(1000000000))

struct entry {
    char prefix[TOKEN_PREFIX + 1];
    struct user_key key; /* texts belong to the entry */
    int64_t written_ns;  /* last use that was written */
    UT_hash_handle hh;
};
struct auth {
    struct store *store;
    pthread_mutex_t lock;
    struct entry *entries; /* by prefix, the oldest first; each a tree of its own */
    uint64_t epoch;        /* grows with each auth_forget: what was read before it is not kept */
};

static void entry_drop(struct auth *a, struct entry *e)
{
    HASH_DEL(a->entries, e);
    mem_free(e);
}

static int auth_destroy(struct auth *a)
{
    struct entry *e, *next;
    HASH_ITER (hh, a->entries, e, next)
        entry_drop(a, e);
    pthread_mutex_destroy(&a->lock);
    return 0;
}

struct auth *auth_new(mem *ctx, struct store *s)
{
    struct auth *a = mem_new(ctx, struct auth);
    a->store = s;
    pthread_mutex_init(&a->lock, NULL);
    talloc_set_destructor(a, auth_destroy);
    return a;
}

void auth_forget(struct auth *a, const char *key_id)
{
    struct entry *e, *next;
    pthread_mutex_lock(&a->lock);
    a->epoch++;
    HASH_ITER (hh, a->entries, e, next) {
        if (strcmp(e->key.id, key_id) == 0)
            entry_drop(a, e);
    }
    pthread_mutex_unlock(&a->lock);
}

void auth_forget_all(struct auth *a)
{
    struct entry *e, *next;
    pthread_mutex_lock(&a->lock);
    a->epoch++;
    HASH_ITER (hh, a->entries, e, next)
        entry_drop(a, e);
    pthread_mutex_unlock(&a->lock);
}

static struct user_key key_copy(mem *ctx, const struct user_key *k)
{
    struct user_key copy = *k;
    const char **texts[] = {&copy.id,      &copy.prefix,       &copy.name, &copy.access, &copy.models,
                            &copy.project, &copy.organisation, &copy.user, &copy.account};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = mem_str(ctx, *texts[i]);
    copy.hash = str_n(mem_strn(ctx, k->hash.p, k->hash.n), k->hash.n);
    return copy;
}

/* The key of a prefix: from the cache, else from the database. */
static enum rc key_load(mem *ctx, struct auth *a, const char *prefix, bool wait, struct user_key *ret, struct err *err)
{
    struct entry *e;
    pthread_mutex_lock(&a->lock);
    uint64_t epoch = a->epoch;
    HASH_FIND_STR(a->entries, prefix, e);
    if (e)
        *ret = key_copy(ctx, &e->key);
    pthread_mutex_unlock(&a->lock);
    if (e)
        return RC_OK;
    if (!wait)
        return RC_AGAIN;
    enum rc rc = user_key_by_prefix(ctx, a->store, prefix, ret, err);
    if (rc)
        return rc;
    e = mem_new(NULL, struct entry);
    memcpy(e->prefix, prefix, TOKEN_PREFIX);
    e->key = key_copy(e, ret);
    e->written_ns = ret->last_used_ns;
    pthread_mutex_lock(&a->lock);
    struct entry *there;
    HASH_FIND_STR(a->entries, e->prefix, there);
    bool keep = !there && epoch == a->epoch;
    if (keep && HASH_COUNT(a->entries) >= CACHE_MOST)
        entry_drop(a, a->entries);
    if (keep)
        HASH_ADD_STR(a->entries, prefix, e);
    pthread_mutex_unlock(&a->lock);
    if (!keep)
        mem_free(e);
    return RC_OK;
}

/* ---- last use ---- */

struct used {
    char id[8];
    int64_t now_ns;
};

static enum rc used_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct used *u = arg;
    return user_key_used(tx, u->id, u->now_ns, err);
}

static void used_done(void *arg, enum rc rc, const struct err *err)
{
    (void)rc, (void)err; /* a figure for people: the next use writes it again */
    mem_free(arg);
}

static void key_used(struct auth *a, const struct user_key *k, int64_t now_ns)
{
    struct entry *e;
    bool due = false;
    pthread_mutex_lock(&a->lock);
    HASH_FIND_STR(a->entries, k->prefix, e);
    if (e && now_ns - e->written_ns >= USED_EVERY_NS) {
        e->written_ns = now_ns;
        due = true;
    }
    pthread_mutex_unlock(&a->lock);
    if (!due)
        return;
    struct used *u = mem_new(NULL, struct used);
    memcpy(u->id, k->id, sizeof u->id - 1);
    u->now_ns = now_ns;
    store_write_async(a->store, used_tx, u, used_done);
}

/* ---- checks ---- */

const char *const *key_models(mem *ctx, const char *json)
{
    struct json list;
    if (strcmp(json, "[]") == 0)
        return NULL;
    if (json_parse(ctx, str_of(json), &list, NULL) != RC_OK || json_type(list) != JSON_ARRAY)
        return mem_array(ctx, const char *, 1);
    if (!json_len(list))
        return NULL;
    const char **globs = mem_array(ctx, const char *, json_len(list) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);)
        globs[n++] = json_z(ctx, it.value, "");
    return globs;
}

/* A key of a user does no more than the user may where the key counts, and nothing once that user is gone. *ret without
 * a user: it is nobody's. */
static enum rc key_account(mem *ctx, struct auth *a, const struct user_key *k, bool wait, struct principal *ret,
                           struct err *err)
{
    *ret = (struct principal){0};
    if (!*k->account)
        return RC_OK;
    if (!wait)
        return RC_AGAIN;
    enum rc rc = principal_of_user(ctx, a->store, k->account, ret, err);
    if (rc == RC_NOT_FOUND || rc == RC_DENIED) {
        err_set(err, RC_DENIED, "the user of the key nm_%s is gone or disabled", k->prefix);
        return err_hint(err, "nightmill user ls shows the users");
    }
    if (rc == RC_OK) /* without a project of its own it reaches what the user reaches everywhere */
        ret->access = *k->project ? principal_at(ret, k->project) : ret->access;
    if (rc == RC_OK && ret->access == ACCESS_OWNER)
        ret->access = ACCESS_ADMIN;
    if (rc == RC_OK && ret->access == ACCESS_NONE)
        return err_set(err, RC_DENIED, "the user of the key nm_%s has no role where the key counts", k->prefix);
    return rc;
}

enum rc auth_check(mem *ctx, struct auth *a, struct str text, bool wait, int64_t now_ns, struct principal *ret,
                   struct err *err)
{
    struct token t;
    struct user_key k;
    struct principal account;
    if (!text.n) {
        err_set(err, RC_DENIED, "this request needs a key");
        err_hint(err, "make one: nightmill key create NAME; send it as: Authorization: Bearer nm_...");
        return RC_DENIED;
    }
    enum rc rc = token_read(text, &t, err);
    if (rc)
        return rc;
    rc = key_load(ctx, a, t.prefix, wait, &k, err);
    bool same = rc == RC_OK && k.hash.n == HASH_SHA256 && hash_same(t.hash, (const uint8_t *)k.hash.p);
    explicit_bzero(&t, sizeof t);
    if (rc && rc != RC_NOT_FOUND)
        return rc;
    if (!same) {
        err_set(err, RC_DENIED, "there is no such key");
        err_hint(err, "nightmill key ls lists the keys by their prefix");
        return RC_DENIED;
    }
    if (k.revoked_ns) {
        err_set(err, RC_DENIED, "the key nm_%s was revoked", k.prefix);
        err_hint(err, "make another: nightmill key create NAME");
        return RC_DENIED;
    }
    if (k.expires_ns && now_ns >= k.expires_ns) {
        err_set(err, RC_DENIED, "the key nm_%s has expired", k.prefix);
        err_hint(err, "make another: nightmill key create NAME");
        return RC_DENIED;
    }
    rc = key_account(ctx, a, &k, wait, &account, err);
    if (rc)
        return rc;
    enum access most = access_find(k.access);
    *ret = (struct principal){.access = account.user_id && account.access < most ? account.access : most,
                              .by = CAME_BY_KEY,
                              .user_id = account.user_id,
                              .key_id = k.id,
                              .name = k.name,
                              .project = k.project,
                              .organisation = k.organisation,
                              .user = k.user,
                              .models = key_models(ctx, k.models),
                              .requests_per_minute = k.requests_per_minute,
                              .tokens_per_minute = k.tokens_per_minute,
                              .streams = k.streams};
    key_used(a, &k, now_ns);
    return RC_OK;
}
