/* User keys: who may use the gateway, with what access. The token itself is shown once and never stored: the row has
 * its SHA-256 and the prefix that finds the row (src/auth/token.h). A revoked key keeps its row, so that old ledger
 * rows still say whose they were. Empty project and organisation: the whole installation. Reads from any thread, writes
 * in a store_fn. */
#pragma once
#include "crypt/hash.h"
#include "store/store.h"

struct user_key {
    const char *id;     /* 7 characters */
    const char *prefix; /* 8 characters, unique; part of the token and shown in lists */
    struct str hash;    /* SHA-256 of the token, HASH_SHA256 bytes */
    const char *name;   /* for people, 1 to 100 bytes */
    const char *access; /* "read": look at what it cost; "use": ask models too; "admin": change its project too */
    const char *models; /* JSON array of globs over model ids and tiers; "[]": any */
    const char *project, *organisation, *user;
    const char *account;                                      /* id of the user whose key it is; "" or NULL: nobody's */
    int64_t requests_per_minute, tokens_per_minute, streams;  /* 0: no limit */
    int64_t created_ns, expires_ns, last_used_ns, revoked_ns; /* 0: never */
};
MUST_USE enum rc user_key_insert(struct store_tx *tx, const struct user_key *k, struct err *err);
MUST_USE enum rc user_key_by_prefix(mem *ctx, struct store *s, const char *prefix, struct user_key *ret,
                                    struct err *err); /* RC_NOT_FOUND; revoked and expired ones too */
MUST_USE enum rc user_key_find(mem *ctx, struct store *s, const char *id, struct user_key *ret, struct err *err);
/* project NULL: of all; else only those of that project. Newest first. */
MUST_USE enum rc user_key_list(mem *ctx, struct store *s, const char *project, struct user_key **ret, size_t *ret_n,
                               struct err *err);
/* RC_NOT_FOUND; revoking twice is no error and keeps the first time. */
MUST_USE enum rc user_key_revoke(struct store_tx *tx, const char *id, int64_t now_ns, struct err *err);
MUST_USE enum rc user_key_revoke_of(struct store_tx *tx, const char *account, int64_t now_ns, struct err *err);
MUST_USE enum rc user_key_used(struct store_tx *tx, const char *id, int64_t now_ns, struct err *err);
