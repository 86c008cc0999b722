/* Logins: a browser's session (an opaque token in a cookie) or a family of access tokens, looked up for each request.
 *
 * What was found is kept for a while in memory, whole with the user's roles, and dropped at once when this process
 * changes a user, a role or a session (sessions_forget): rights that were taken away are gone with the next request. A
 * session ends after a time without use, and after a longest time in any case. Last use is written at most once a
 * minute and never waited for. Thread-safe. A look that misses the memory reads the database: not on the loop. */
#pragma once
#include "auth/auth.h"
#include "auth/opaque.h"
#include "store/user.h"

#define SESSION_WORD "nms_"
struct session_rules {
    int64_t idle_ns, longest_ns;
};
struct session_place { /* where a login comes from, for people */
    const char *address, *agent;
};
struct sessions;
struct sessions *sessions_new(mem *ctx, struct store *s, const struct session_rules *rules);
const struct session_rules *sessions_rules(const struct sessions *s);
/* Inside a transaction: a browser's session for a user. *ret_id in ctx. */
MUST_USE enum rc session_begin_tx(mem *ctx, struct sessions *s, struct store_tx *tx, const char *user_id,
                                  const struct session_place *place, int64_t now_ns, struct opaque *ret,
                                  const char **ret_id, struct err *err);
/* Who has this token. RC_DENIED: no such session, or it has ended. Texts in ctx. */
MUST_USE enum rc session_check(mem *ctx, struct sessions *s, struct str token, int64_t now_ns, struct principal *ret,
                               struct err *err);
/* The same by the id of a session, which must come from a verified access token. */
MUST_USE enum rc session_check_id(mem *ctx, struct sessions *s, const char *id, int64_t now_ns, struct principal *ret,
                                  struct err *err);
/* A user, role, session or key has changed. */
void sessions_forget(struct sessions *s);
