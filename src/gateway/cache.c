/* See cache.h. */
#include "gateway/cache.h"
#include "base/buf.h"
#include <sys/queue.h>
#include <uthash.h>

struct entry {
    char *key, *content_type;
    struct str body;
    int64_t until_ms;
    TAILQ_ENTRY(entry) used;
    UT_hash_handle hh;
};
struct cache {
    size_t most, bytes;
    int64_t keep_ms;
    struct entry *entries;
    TAILQ_HEAD(uses, entry) uses; /* least recently used first */
};

static int cache_end(struct cache *c)
{
    HASH_CLEAR(hh, c->entries);
    return 0;
}

struct cache *cache_new(mem *ctx, size_t most_bytes, int64_t keep_ms)
{
    struct cache *c = mem_new(ctx, struct cache);
    c->most = most_bytes;
    c->keep_ms = keep_ms;
    TAILQ_INIT(&c->uses);
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

static size_t entry_size(const struct entry *e)
{
    return sizeof *e + HASH_SHA256_HEX + e->body.n;
}

static void entry_drop(struct cache *c, struct entry *e)
{
    c->bytes -= entry_size(e);
    TAILQ_REMOVE(&c->uses, e, used);
    HASH_DEL(c->entries, e);
    mem_free(e);
}

bool cache_find(mem *ctx, struct cache *c, const char *key, int64_t now_ms, struct str *ret_content_type,
                struct str *ret_body)
{
    struct entry *e;
    HASH_FIND_STR(c->entries, key, e);
    if (!e)
        return false;
    if (e->until_ms <= now_ms) {
        entry_drop(c, e);
        return false;
    }
    TAILQ_REMOVE(&c->uses, e, used);
    TAILQ_INSERT_TAIL(&c->uses, e, used);
    *ret_content_type = str_of(mem_str(ctx, e->content_type));
    *ret_body = str_n(mem_strn(ctx, e->body.p, e->body.n), e->body.n);
    return true;
}

void cache_put(struct cache *c, const char *key, int64_t now_ms, const char *content_type, struct str body)
{
    struct entry *e;
    if (c->keep_ms <= 0 || body.n > c->most / 4) /* one answer must not push all others out */
        return;
    HASH_FIND_STR(c->entries, key, e);
    if (e)
        entry_drop(c, e);
    e = mem_new(c, struct entry);
    e->key = mem_str(e, key);
    e->content_type = mem_str(e, content_type);
    e->body = str_n(mem_strn(e, body.p, body.n), body.n);
    e->until_ms = now_ms + c->keep_ms;
    HASH_ADD_KEYPTR(hh, c->entries, e->key, strlen(e->key), e);
    TAILQ_INSERT_TAIL(&c->uses, e, used);
    c->bytes += entry_size(e);
    while (c->bytes > c->most)
        entry_drop(c, TAILQ_FIRST(&c->uses));
}

size_t cache_bytes(const struct cache *c)
{
    return c->bytes;
}
