/* Who asks: a principal for each request, from a user key, a login (session.h) or the way it came.
 *
 * Keys are looked up by prefix in a bounded cache, then in the database; hashes are compared in constant time. A key
 * that is revoked is refused from the next check on, because the one process that writes keys tells this room
 * (auth_forget). Last use is written at most once a minute and never waited for. Thread-safe. A check that misses the
 * cache reads the database: only where `wait` allows it, which the loop must not. */
#pragma once
#include "store/key.h"

enum access { ACCESS_NONE, ACCESS_READ, ACCESS_USE, ACCESS_ADMIN, ACCESS_OWNER }; /* each includes those before it */
const char *access_name(enum access a);                                           /* "read" */
enum access access_find(const char *name); /* ACCESS_NONE when unknown; "owner" is not to be had by name */

/* Roles of users are the same steps under other names: viewer, member, admin, owner. */
const char *role_name(enum access a);      /* "viewer"; "" for none */
enum access role_access(const char *role); /* ACCESS_NONE when unknown or "" */

enum principal_by { CAME_UNKNOWN, CAME_BY_SOCKET, CAME_BY_KEY, CAME_BY_TOKEN, CAME_BY_SESSION, CAME_BY_CERTIFICATE };
const char *principal_by_name(enum principal_by by); /* "session" */

struct grant { /* a role in one project */
    const char *project;
    enum access access;
};
struct principal {
    enum access access; /* everywhere, or in `project` when that is not "" */
    enum principal_by by;
    const char *user_id;        /* NULL: no user (the owner on the socket, a key of nobody, a run) */
    const char *session_id;     /* of a login; else NULL */
    const struct grant *grants; /* of a user: roles in projects, beside `access` */
    size_t grant_n;
    const char *key_id;                                      /* NULL: no user key */
    const char *name;                                        /* for people: the key's name, "owner" */
    const char *project, *organisation, *user;               /* "": none; a key without a project sees all of them */
    const char *const *models;                               /* globs, NULL-terminated; NULL: any */
    int64_t requests_per_minute, tokens_per_minute, streams; /* 0: no limit */
};
/* The user whose daemon this is, on the Unix socket. */
struct principal principal_owner(void);

/* A user as a principal, without a way that it came by. RC_NOT_FOUND; RC_DENIED: disabled. Texts in ctx. */
MUST_USE enum rc principal_of_user(mem *ctx, struct store *s, const char *user_id, struct principal *ret,
                                   struct err *err);
struct principal principal_copy(mem *ctx, const struct principal *p); /* texts too */
/* What it may do in one project ("": what belongs to none), and the most that it may anywhere. */
enum access principal_at(const struct principal *p, const char *project);
enum access principal_most(const struct principal *p);
bool principal_sees(const struct principal *p, const char *project, enum access needed);
/* Those where it may do so much: NULL for all, else NULL-terminated, in ctx. */
const char *const *principal_projects(mem *ctx, const struct principal *p, enum access needed);
/* Who has a role in one project alone acts there without saying so. */
void principal_settle(struct principal *p);

struct auth;
struct auth *auth_new(mem *ctx, struct store *s); /* freeing it ends it; before the store is closed */
/* RC_DENIED: no key, mistyped, unknown, revoked, expired, each with its words and what to do; RC_AGAIN: the database
 * would have to be read. Texts in ctx. */
MUST_USE enum rc auth_check(mem *ctx, struct auth *a, struct str token, bool wait, int64_t now_ns,
                            struct principal *ret, struct err *err);
/* The patterns of a key's row as a list, in ctx; NULL: any model. What cannot be read allows none. */
const char *const *key_models(mem *ctx, const char *json);
void auth_forget(struct auth *a, const char *key_id); /* after a change of the key */
void auth_forget_all(struct auth *a);                 /* after keys of a user were revoked */

/* RC_DENIED with the access that is missing. */
MUST_USE enum rc principal_may(const struct principal *p, enum access needed, struct err *err);
/* Whether it may see and spend for this project ("": what belongs to none). RC_NOT_FOUND, so that a key does not learn
 * which projects there are. */
MUST_USE enum rc principal_project(const struct principal *p, const char *project, struct err *err);
/* RC_DENIED with the models that it may ask. name: as the client sent it (a model's id, a tier, an alias). */
MUST_USE enum rc principal_model(const struct principal *p, const char *name, struct err *err);
