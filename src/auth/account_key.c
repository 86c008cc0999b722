/* Reading or making the key file, once. */
#include "auth/account_key.h"

static int account_key_destroy(struct account_key *k)
{
    seal_key_wipe(&k->key);
    pthread_mutex_destroy(&k->lock);
    return 0;
}

struct account_key *account_key_new(mem *ctx, const char *file)
{
    struct account_key *k = mem_new(ctx, struct account_key);
    k->file = mem_str(k, file);
    pthread_mutex_init(&k->lock, NULL);
    talloc_set_destructor(k, account_key_destroy);
    return k;
}

static enum rc key_take(const char *file, struct seal_key *ret, struct err *err)
{
    enum rc rc = seal_key_read(file, ret, err);
    if (rc == RC_NOT_FOUND)
        rc = seal_key_make(file, ret, err);
    return rc == RC_CONFLICT ? seal_key_read(file, ret, err) : rc; /* somebody was faster */
}

enum rc account_key_get(struct account_key *k, struct seal_key *ret, struct err *err)
{
    enum rc rc = RC_OK;
    pthread_mutex_lock(&k->lock);
    if (!k->known)
        rc = key_take(k->file, &k->key, err);
    k->known = rc == RC_OK;
    if (rc == RC_OK)
        *ret = k->key;
    pthread_mutex_unlock(&k->lock);
    return rc;
}

enum rc account_key_for(struct account_key *k, const char *purpose, uint8_t ret[HASH_SHA256], struct err *err)
{
    struct seal_key key;
    enum rc rc = account_key_get(k, &key, err);
    if (rc != RC_OK)
        return rc;
    hash_hmac_sha256(str_n((const char *)key.bytes, SEAL_KEY), str_of(purpose), ret);
    seal_key_wipe(&key);
    return RC_OK;
}
