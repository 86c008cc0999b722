/* What users do about themselves: the first owner is made by a link, links set passwords, names and passwords log in.
 *
 * Passwords are hashed here with 64 MiB each: call these on a lane (os/lane.h), one at a time, never on the loop or its
 * pool. Wrong names and wrong passwords get the same words after the same work. Failed tries are counted by address and
 * by address and name (attempts.h). Thread-safe. */
#pragma once
#include "auth/attempts.h"
#include "auth/session.h"

#define TICKET_WORD  "nmt_"
#define TICKET_HOLDS (30 * 60 * INT64_C(1000000000)) /* ns */
struct accounts {
    struct store *store;
    struct sessions *sessions;
    struct attempts *attempts;
};
struct login {
    struct opaque token; /* of a new session; wipe it */
    const char *session_id, *user_id, *name;
    int64_t retry_ns; /* with RC_LIMIT: when to try again */
};
MUST_USE enum rc account_setup_needed(struct accounts *a, bool *ret, struct err *err); /* there is no owner */
/* A new link. kind "setup": RC_CONFLICT when there is an owner; "password": for a user. Former ones end. */
MUST_USE enum rc account_ticket(struct accounts *a, const char *kind, const char *user_id, int64_t now_ns,
                                struct opaque *ret, struct err *err);
/* By a link: makes the owner of that name, or sets the password of the link's user and ends its other logins; logs in.
 * RC_DENIED: the link is used, too old or unknown. */
MUST_USE enum rc account_setup(mem *ctx, struct accounts *a, struct str token, const char *name, struct str password,
                               const struct session_place *place, int64_t now_ns, struct login *ret, struct err *err);
/* A person's name and password. RC_DENIED, RC_LIMIT (too many failures: ret->retry_ns). ret: user and name alone. */
MUST_USE enum rc account_verify(mem *ctx, struct accounts *a, const char *name, struct str password,
                                const char *address, int64_t now_ns, struct login *ret, struct err *err);
/* The same, and a session for it. */
MUST_USE enum rc account_login(mem *ctx, struct accounts *a, const char *name, struct str password,
                               const struct session_place *place, int64_t now_ns, struct login *ret, struct err *err);
MUST_USE enum rc account_logout(struct accounts *a, const char *session_id, struct err *err);
/* A user's own password; ends all logins but this one. RC_DENIED: the old one is wrong. */
MUST_USE enum rc account_password(mem *ctx, struct accounts *a, const struct principal *who, struct str old,
                                  struct str password, const char *address, int64_t now_ns, struct login *ret,
                                  struct err *err);
