/* Answers of equal requests, in memory: exact, bounded in bytes and time, per tenant. Off unless the operator turns it
 * on. Only whole, good answers are kept; what is looked up is a copy that belongs to the asker. Least recently used
 * ones go first. Threads: any; copies are made outside of its lock. */
#pragma once
#include "base/str.h"
#include "crypt/hash.h"

struct cache;
struct cache *cache_new(mem *ctx, size_t most_bytes, int64_t keep_ms);
/* The key of a request: tenant (key id, project), address and the whole body. HASH_SHA256_HEX - 1 digits, in ctx. */
const char *cache_key(mem *ctx, const char *tenant, struct str address, struct str body);
/* false: not there, or too old. */
bool cache_find(mem *ctx, struct cache *c, const char *key, int64_t now_ms, struct str *ret_content_type,
                struct str *ret_body);
void cache_put(struct cache *c, const char *key, int64_t now_ms, const char *content_type, struct str body);
size_t cache_bytes(struct cache *c);
