/* The key of this installation's accounts: it signs the audit log, seals the keys of access tokens and makes refresh
 * tokens. It is in a file of mode 0600 outside of the data folder (a copy of the database forges nothing), made when it
 * is first needed. Without it logins by token end and the audit log cannot be held against it; nothing else is lost.
 * Thread-safe. */
#pragma once
#include "crypt/hash.h"
#include "crypt/seal.h"
#include <pthread.h>

struct account_key {
    const char *file;
    pthread_mutex_t lock;
    bool known;
    struct seal_key key;
};
struct account_key *account_key_new(mem *ctx, const char *file);
/* Reads it, or makes it. Wipe what was given. */
MUST_USE enum rc account_key_get(struct account_key *k, struct seal_key *ret, struct err *err);
/* A key of its own for one purpose. */
MUST_USE enum rc account_key_for(struct account_key *k, const char *purpose, uint8_t ret[HASH_SHA256], struct err *err);
