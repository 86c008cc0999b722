/* See cache.h. */
#include "gateway/cache.h"
#include "base/buf.h"
#include "base/err.h"
#include <pthread.h>
#include <sys/queue.h>
#include <uthash.h>

struct entry { /* a tree of its own */
    char *key, *content_type;
    struct str body;
    int64_t until_ms;
    int copying; /* threads that read it; the last one frees an entry that was dropped meanwhile */
    bool dropped;
    TAILQ_ENTRY(entry) used;
    UT_hash_handle hh;
};
struct cache {
    pthread_mutex_t lock;
    size_t most, bytes;
    int64_t keep_ms;
    struct entry *entries;
    TAILQ_HEAD(uses, entry) uses; /* least recently used first */
};

static size_t entry_size(const struct entry *e)
{
    return sizeof *e + HASH_SHA256_HEX + e->body.n;
}

static void entry_drop(struct cache *c, struct entry *e)
{
    c->bytes -= entry_size(e);
    TAILQ_REMOVE(&c->uses, e, used);
    HASH_DEL(c->entries, e);
    e->dropped = true;
    if (!e->copying)
        mem_free(e);
}

static int cache_end(struct cache *c)
{
    while (!TAILQ_EMPTY(&c->uses))
        entry_drop(c, TAILQ_FIRST(&c->uses));
    pthread_mutex_destroy(&c->lock);
    return 0;
}

struct cache *cache_new(mem *ctx, size_t most_bytes, int64_t keep_ms)
{
    struct cache *c = mem_new(ctx, struct cache);
    c->most = most_bytes;
    c->keep_ms = keep_ms;
    TAILQ_INIT(&c->uses);
    BUG_ON(pthread_mutex_init(&c->lock, NULL) != 0);
    talloc_set_destructor(c, cache_end);
    return c;
}

const char *cache_key(mem *ctx, const char *tenant, struct str address, struct str body)
{
    struct buf b;
    char *hex = mem_zalloc(ctx, HASH_SHA256_HEX);
    buf_init(&b, ctx, SIZE_MAX / 2);
    buf_printf(&b, "%zu:%s %zu:", strlen(tenant), tenant, address.n); /* lengths: no two requests give the same text */
    buf_str(&b, address);
    buf_str(&b, body);
    hash_sha256_hex(buf_view(&b), hex);
    buf_done(&b);
    return hex;
}

/* Marked as being copied; NULL: not there, or too old. */
static struct entry *entry_hold(struct cache *c, const char *key, int64_t now_ms)
{
    struct entry *e;
    HASH_FIND_STR(c->entries, key, e);
    if (!e)
        return NULL;
    if (e->until_ms <= now_ms) {
        entry_drop(c, e);
        return NULL;
    }
    TAILQ_REMOVE(&c->uses, e, used);
    TAILQ_INSERT_TAIL(&c->uses, e, used);
    e->copying++;
    return e;
}

bool cache_find(mem *ctx, struct cache *c, const char *key, int64_t now_ms, struct str *ret_content_type,
                struct str *ret_body)
{
    pthread_mutex_lock(&c->lock);
    struct entry *e = entry_hold(c, key, now_ms);
    pthread_mutex_unlock(&c->lock);
    if (!e)
        return false;
    *ret_content_type = str_of(mem_str(ctx, e->content_type));
    *ret_body = str_n(mem_strn(ctx, e->body.p, e->body.n), e->body.n);
    pthread_mutex_lock(&c->lock);
    bool last = --e->copying == 0 && e->dropped;
    pthread_mutex_unlock(&c->lock);
    if (last)
        mem_free(e);
    return true;
}

void cache_put(struct cache *c, const char *key, int64_t now_ms, const char *content_type, struct str body)
{
    struct entry *old;
    if (c->keep_ms <= 0 || body.n > c->most / 4) /* one answer must not push all others out */
        return;
    struct entry *e = mem_new(NULL, struct entry);
    e->key = mem_str(e, key);
    e->content_type = mem_str(e, content_type);
    e->body = str_n(mem_strn(e, body.p, body.n), body.n);
    e->until_ms = now_ms + c->keep_ms;
    pthread_mutex_lock(&c->lock);
    HASH_FIND_STR(c->entries, key, old);
    if (old)
        entry_drop(c, old);
    HASH_ADD_KEYPTR(hh, c->entries, e->key, strlen(e->key), e);
    TAILQ_INSERT_TAIL(&c->uses, e, used);
    c->bytes += entry_size(e);
    while (c->bytes > c->most)
        entry_drop(c, TAILQ_FIRST(&c->uses));
    pthread_mutex_unlock(&c->lock);
}

size_t cache_bytes(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return n;
}
