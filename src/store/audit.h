/* Rows of the audit log: append-only, numbered from 1 without gaps. What chains and signs them is auth/audit.h. */
#pragma once
#include "store/store.h"

struct audit_row {
    int64_t number, time_ns;
    const char *actor;          /* a user's or key's name, "owner" on the Unix socket, "" unknown */
    const char *actor_kind;     /* how it came: socket, key, session, token, certificate, nobody */
    const char *credential;     /* id of the session or key; "" */
    const char *address;        /* "" on the Unix socket */
    const char *action;         /* the route's name: "key_create" */
    const char *object;         /* what it was done to; "" */
    const char *before, *after; /* without secrets; "" */
    const char *outcome;        /* "done", or the name of the error */
    struct str hash, mac;       /* mac: empty when there was no key */
};
MUST_USE enum rc audit_insert(struct store_tx *tx, const struct audit_row *r, struct err *err);
/* Number and hash of the newest row; number 0: there is none. In ctx. */
MUST_USE enum rc audit_last_tx(mem *ctx, struct store_tx *tx, int64_t *ret_number, struct str *ret_hash,
                               struct err *err);
MUST_USE enum rc audit_last(mem *ctx, struct store *s, int64_t *ret_number, struct str *ret_hash, struct err *err);
/* Above a number, oldest first. */
MUST_USE enum rc audit_after(mem *ctx, struct store *s, int64_t after, int64_t limit, struct audit_row **ret,
                             size_t *ret_n, struct err *err);
struct audit_filter { /* NULL: any */
    const char *actor, *action, *object, *outcome;
    int64_t from_ns, to_ns; /* 0: no end */
    int64_t before;         /* numbers below; 0: from the newest */
    int64_t limit;
};
MUST_USE enum rc audit_list(mem *ctx, struct store *s, const struct audit_filter *f, struct audit_row **ret,
                            size_t *ret_n, struct err *err); /* newest first */
