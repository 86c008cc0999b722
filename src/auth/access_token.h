/* Access tokens and refresh tokens for programs.
 *
 * An access token is a JWT (crypt/jwt.h) that holds ten minutes. It names a session, which is looked up for each
 * request: what was ended or taken away is gone at once, the ten minutes are only the most that a stolen one holds
 * without its refresh token. A refresh token is opaque and works once: using it gives the next one. Used again within
 * 15 seconds (two tabs, a lost answer) it gives the same next one; later it is taken for stolen, and the whole family
 * ends. Keys that sign are made anew each month; former ones stay valid for what they have signed. Thread-safe. */
#pragma once
#include "auth/account.h"
#include "auth/account_key.h"

#define ACCESS_TOKEN_HOLDS (600 * INT64_C(1000000000)) /* ns */
#define REFRESH_GRACE      (15 * INT64_C(1000000000))
#define REFRESH_WORD       "nmr_"
struct access_tokens;
struct access_tokens *access_tokens_new(mem *ctx, struct store *s, struct sessions *sessions, struct account_key *key);
struct token_pair {
    const char *access;    /* in ctx */
    struct opaque refresh; /* text "" when there is none; wipe it */
    const char *session_id;
    bool stolen; /* with RC_DENIED: a used one came again, its family has ended */
};
/* For a user whose password was checked: a new family. */
MUST_USE enum rc access_token_begin(mem *ctx, struct access_tokens *t, const char *user_id,
                                    const struct session_place *place, int64_t now_ns, struct token_pair *ret,
                                    struct err *err);
/* For the holder of a key: it ends with the key, and after ten minutes; no refresh token. */
MUST_USE enum rc access_token_of_key(mem *ctx, struct access_tokens *t, const struct principal *who,
                                     const struct session_place *place, int64_t now_ns, struct token_pair *ret,
                                     struct err *err);
MUST_USE enum rc access_token_refresh(mem *ctx, struct access_tokens *t, struct str refresh, int64_t now_ns,
                                      struct token_pair *ret, struct err *err);
/* Who has it. RC_DENIED. Reads the database when it must. */
MUST_USE enum rc access_token_check(mem *ctx, struct access_tokens *t, struct str token, int64_t now_ns,
                                    struct principal *ret, struct err *err);
bool access_token_is(struct str text); /* has the shape of one: three parts */
