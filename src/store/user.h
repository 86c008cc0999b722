/* Users: people and service accounts, with a role everywhere, roles in projects, and what they are known by. Also what
 * belongs to a login: sessions, refresh tokens, one-time links (tickets), keys that sign access tokens. Secrets are not
 * here: hashes of them are, and sealed boxes.
 *
 * A user's name is lower-case (a-z 0-9 . _ - @), 1 to 64 bytes, and unique. Reads from any thread, writes in a
 * store_fn.
 */
#pragma once
#include "crypt/hash.h"
#include "store/store.h"

#define USER_NAME_MAX 64
#define SESSION_ID    12 /* characters */
struct user {
    const char *id; /* 7 characters */
    const char *name;
    const char *kind;     /* "person", "service" */
    const char *role;     /* everywhere: "owner", "admin", "member", "viewer"; "": only in projects */
    const char *password; /* argon2id text (crypt/password.h); "": none */
    const char *subject;  /* of its client certificate (RFC 2253); "": none */
    int64_t created_ns, changed_ns, seen_ns, disabled_ns; /* 0: never */
};
bool user_name_valid(const char *name);
bool user_role_valid(const char *role);                                                   /* the four; not "" */
MUST_USE enum rc user_insert(struct store_tx *tx, const struct user *u, struct err *err); /* RC_CONFLICT: the name */
/* All but id, kind and created_ns. RC_NOT_FOUND, RC_CONFLICT. */
MUST_USE enum rc user_update(struct store_tx *tx, const struct user *u, struct err *err);
MUST_USE enum rc user_remove(struct store_tx *tx, const char *id, struct err *err); /* with all that belongs to it */
MUST_USE enum rc user_find(mem *ctx, struct store *s, const char *id, struct user *ret, struct err *err);
MUST_USE enum rc user_find_tx(mem *ctx, struct store_tx *tx, const char *id, struct user *ret, struct err *err);
MUST_USE enum rc user_by_name(mem *ctx, struct store *s, const char *name, struct user *ret, struct err *err);
MUST_USE enum rc user_by_subject(mem *ctx, struct store *s, const char *subject, struct user *ret, struct err *err);
MUST_USE enum rc user_list(mem *ctx, struct store *s, struct user **ret, size_t *ret_n, struct err *err); /* by name */
/* Owners that are not disabled, but for one (NULL: none is left out). */
MUST_USE enum rc user_owners(struct store *s, const char *but, int64_t *ret, struct err *err);
MUST_USE enum rc user_owners_tx(struct store_tx *tx, const char *but, int64_t *ret, struct err *err);
MUST_USE enum rc user_seen(struct store_tx *tx, const char *id, int64_t now_ns, struct err *err);

struct user_role {
    const char *user_id, *project;
    const char *role; /* "admin", "member", "viewer" */
};
/* role "" removes it. */
MUST_USE enum rc user_role_put(struct store_tx *tx, const struct user_role *r, struct err *err);
MUST_USE enum rc user_role_list(mem *ctx, struct store *s, const char *user_id, struct user_role **ret, size_t *ret_n,
                                struct err *err); /* by project; user_id NULL: of all users */

struct session {
    const char *id;
    struct str hash;     /* SHA-256 of its token */
    const char *user_id; /* "": a key without a user */
    const char *kind;    /* "browser", "token" */
    const char *key_id;  /* the key that it came from; "": none */
    const char *address, *agent;
    int64_t created_ns, seen_ns, expires_ns;
};
MUST_USE enum rc session_insert(struct store_tx *tx, const struct session *n, struct err *err);
MUST_USE enum rc session_by_hash(mem *ctx, struct store *s, const uint8_t hash[HASH_SHA256], struct session *ret,
                                 struct err *err);
MUST_USE enum rc session_find(mem *ctx, struct store *s, const char *id, struct session *ret, struct err *err);
MUST_USE enum rc session_list(mem *ctx, struct store *s, const char *user_id, struct session **ret, size_t *ret_n,
                              struct err *err); /* newest first */
MUST_USE enum rc session_seen(struct store_tx *tx, const char *id, int64_t now_ns, int64_t expires_ns, struct err *err);
MUST_USE enum rc session_remove(struct store_tx *tx, const char *id, struct err *err); /* none is no error */
/* Those of a user but for one ("": all). */
MUST_USE enum rc session_remove_of(struct store_tx *tx, const char *user_id, const char *but, struct err *err);
MUST_USE enum rc session_expire(struct store_tx *tx, int64_t now_ns, struct err *err); /* also tokens and tickets */

struct refresh_row {
    struct str hash;
    const char *session_id;
    int64_t created_ns, used_ns, expires_ns;
};
MUST_USE enum rc refresh_insert(struct store_tx *tx, const struct refresh_row *r, struct err *err);
MUST_USE enum rc refresh_find_tx(mem *ctx, struct store_tx *tx, const uint8_t hash[HASH_SHA256],
                                 struct refresh_row *ret, struct err *err); /* RC_NOT_FOUND without words */
MUST_USE enum rc refresh_used(struct store_tx *tx, const uint8_t hash[HASH_SHA256], int64_t now_ns, struct err *err);

struct ticket {
    struct str hash;
    const char *kind;    /* "setup": makes the first owner; "password": sets the password of user_id */
    const char *user_id; /* "" for "setup" */
    int64_t created_ns, expires_ns;
};
/* Those of the same kind and user before it end. */
MUST_USE enum rc ticket_insert(struct store_tx *tx, const struct ticket *t, struct err *err);
/* Takes it out: it works once. RC_NOT_FOUND without words. */
MUST_USE enum rc ticket_take(mem *ctx, struct store_tx *tx, const uint8_t hash[HASH_SHA256], struct ticket *ret,
                             struct err *err);
MUST_USE enum rc ticket_find(mem *ctx, struct store *s, const uint8_t hash[HASH_SHA256], struct ticket *ret,
                             struct err *err); /* RC_NOT_FOUND without words */

struct signing_key {
    const char *id; /* 8 characters: the kid */
    struct str public_key, box;
    int64_t created_ns;
};
MUST_USE enum rc signing_key_insert(struct store_tx *tx, const struct signing_key *k, struct err *err);
MUST_USE enum rc signing_key_list(mem *ctx, struct store *s, struct signing_key **ret, size_t *ret_n,
                                  struct err *err); /* newest first */
MUST_USE enum rc signing_key_remove(struct store_tx *tx, const char *id, struct err *err);
