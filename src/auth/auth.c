/* Principals: looked up, kept for a while, asked what they may do. */
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

static const char *const names[] = {"none", "read", "use", "admin", "owner"};

const char *access_name(enum access a)
{
    return names[a];
}

enum access access_find(const char *name)
{
    for (int i = ACCESS_READ; name && i <= ACCESS_ADMIN; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum access)i;
    return ACCESS_NONE;
}

struct principal principal_owner(void)
{
    return (struct principal){.access = ACCESS_OWNER, .name = "owner", .project = "", .organisation = "", .user = ""};
}

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

static struct user_key key_copy(mem *ctx, const struct user_key *k)
{
    struct user_key copy = *k;
    const char **texts[] = {&copy.id,     &copy.prefix,  &copy.name,         &copy.access,
                            &copy.models, &copy.project, &copy.organisation, &copy.user};
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

static bool hash_same(const uint8_t *a, struct str b)
{
    uint8_t differ = 0;
    for (size_t i = 0; i < HASH_SHA256; i++)
        differ |= (uint8_t)(a[i] ^ (uint8_t)b.p[i]);
    return differ == 0;
}

/* NULL: any model. What cannot be read allows none. */
static const char *const *globs_read(mem *ctx, const char *json)
{
    struct json list;
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

enum rc auth_check(mem *ctx, struct auth *a, struct str text, bool wait, int64_t now_ns, struct principal *ret,
                   struct err *err)
{
    struct token t;
    struct user_key k;
    if (!text.n) {
        err_set(err, RC_DENIED, "this request needs a key");
        err_hint(err, "make one: nightmill key create NAME; send it as: Authorization: Bearer nm_...");
        return RC_DENIED;
    }
    enum rc rc = token_read(text, &t, err);
    if (rc)
        return rc;
    rc = key_load(ctx, a, t.prefix, wait, &k, err);
    bool same = rc == RC_OK && k.hash.n == HASH_SHA256 && hash_same(t.hash, k.hash);
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
    *ret = (struct principal){.access = access_find(k.access),
                              .key_id = k.id,
                              .name = k.name,
                              .project = k.project,
                              .organisation = k.organisation,
                              .user = k.user,
                              .models = globs_read(ctx, k.models),
                              .requests_per_minute = k.requests_per_minute,
                              .tokens_per_minute = k.tokens_per_minute,
                              .streams = k.streams};
    key_used(a, &k, now_ns);
    return RC_OK;
}

/* ---- what it may ---- */

enum rc principal_may(const struct principal *p, enum access needed, struct err *err)
{
    /* What is the owner's belongs to no project: an admin key that has none may do it as well. */
    bool whole = p->access == ACCESS_ADMIN && !p->project[0];
    if (p->access >= needed || (needed == ACCESS_OWNER && whole))
        return RC_OK;
    if (needed == ACCESS_OWNER) {
        err_set(err, RC_DENIED, "this is for the owner and for admin keys without a project");
        err_hint(err, "run it as the user of the daemon, or use such a key");
        return RC_DENIED;
    }
    err_set(err, RC_DENIED, "this needs a key with the access %s; this one has %s", names[needed], names[p->access]);
    err_hint(err, "nightmill key create NAME --access %s", names[needed]);
    return RC_DENIED;
}

enum rc principal_project(const struct principal *p, const char *project, struct err *err)
{
    if (!p->project[0] || strcmp(p->project, project ? project : "") == 0)
        return RC_OK;
    return err_set(err, RC_NOT_FOUND, "there is nothing of that name in the project of this key");
}

/* '*' stands for any bytes, everything else for itself; the whole name must match. (Not a path's glob: a pattern must
 * not reach below a provider that it does not name.) */
static bool pattern_match(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

enum rc principal_model(const struct principal *p, const char *name, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *list = NULL;
    for (const char *const *g = p->models; g && *g; g++) {
        if (pattern_match(*g, name))
            return RC_OK;
        list = list ? mem_printf(tmp, "%s, %s", list, *g) : mem_str(tmp, *g);
    }
    if (!p->models)
        return RC_OK;
    err_set(err, RC_DENIED, "this key may not ask the model %s", text_terminal_line(tmp, str_of(name), 100));
    err_hint(err, "it may ask: %s", list ? list : "none");
    return RC_DENIED;
}
