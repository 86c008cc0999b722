/* Exchanges: the record of model requests as rows. One row of metadata for each request and the pieces of its bodies.
 * Written by the gateway's recorder (gateway/record.h), read by faces; bodies are redacted before they get here.
 *
 * A body is a row of pieces in order, each compressed by itself (zlib, RFC 1950), so that a crash in mid-stream leaves
 * what was written. Retention is by field: bodies go first, metadata later. Reads: any thread. */
#pragma once
#include "store/store.h"

enum record_keep { RECORD_NONE, RECORD_METADATA, RECORD_FULL };
const char *record_keep_name(enum record_keep); /* "none", "metadata", "full" */
bool record_keep_find(const char *name, enum record_keep *ret);

/* What is kept, and how long. */
struct record_policy {
    const char *project; /* "" for that of the settings */
    enum record_keep keep;
    int64_t days_metadata, days_bodies; /* 0: kept for good */
    int64_t body_max;                   /* bytes of one body before compression; the rest is not kept */
};
/* The row of a project: written or replaced, removed (RC_NOT_FOUND), all of them by name. RC_INVALID. */
MUST_USE enum rc record_policy_set(struct store_tx *tx, const struct record_policy *p, struct err *err);
MUST_USE enum rc record_policy_remove(struct store_tx *tx, const char *project, struct err *err);
MUST_USE enum rc record_policy_list(mem *ctx, struct store *s, struct record_policy **ret, size_t *ret_n,
                                    struct err *err);

struct exchange {
    int64_t number;  /* order of writing, unique; 0: not written yet */
    const char *id;  /* of the request, unique */
    int64_t time_ns; /* when it came */
    struct spender spender;
    const char *dialect, *endpoint;
    const char *model; /* asked for */
    const char *client;
    bool stream;
    const char *state;   /* open done incomplete */
    int64_t status;      /* HTTP; 0: the client left before */
    const char *outcome; /* served cached replayed refused failed cancelled; "" while open */
    const char *provider, *model_served, *content_type;
    bool usage_known;
    struct usage usage;
    pico cost;
    const char *currency; /* "": no price was known */
    bool cache_hit;
    int64_t first_byte_ms; /* -1: none */
    int64_t ms;            /* -1: not ended */
    const char *words;
    const char *attempts;     /* JSON array: {"provider","model","status","code","first_byte_ms","ms","words"} */
    const char *request_hash; /* SHA-256 of the request's body, hexadecimal; "" when it was not read */
    int64_t request_bytes, answer_bytes;    /* as sent, not as kept */
    const char *request_body, *answer_body; /* "" (not kept), whole, cut, expired */
};
/* Inserts (number 0; sets it) or replaces the row. RC_CONFLICT: the id is taken. */
MUST_USE enum rc exchange_put(struct store_tx *tx, struct exchange *x, struct err *err);
enum exchange_side { EXCHANGE_REQUEST, EXCHANGE_ANSWER, EXCHANGE_SIDES };
/* The next piece (1..) of a body; packed by exchange_pack. */
MUST_USE enum rc exchange_piece_put(struct store_tx *tx, int64_t number, enum exchange_side side, int64_t piece,
                                    int64_t bytes, struct str packed, struct err *err);
#define EXCHANGE_PIECE_MAX (256u << 10)               /* bytes of a piece before compression */
struct str exchange_pack(mem *ctx, struct str bytes); /* any thread; at most EXCHANGE_PIECE_MAX bytes */

/* At start: what a crash left open is incomplete. */
MUST_USE enum rc exchange_mark_incomplete(struct store_tx *tx, int64_t *ret_n, struct err *err);

struct exchange_filter { /* NULL: any */
    const char *task, *key, *project, *model, *provider, *outcome, *state;
    int64_t status;             /* 0: any; 4 and 5 stand for the classes 4xx and 5xx */
    int64_t since_ns, until_ns; /* 0: any; until is not included */
    int64_t before;             /* numbers below; 0: from the newest */
    int64_t limit;              /* at most EXCHANGE_LIST_MAX */
    bool oldest_first;          /* then `before` is `after` */
};
#define EXCHANGE_LIST_MAX 1000
MUST_USE enum rc exchange_list(mem *ctx, struct store *s, const struct exchange_filter *f, struct exchange **ret,
                               size_t *ret_n, struct err *err); /* newest first */
MUST_USE enum rc exchange_find(mem *ctx, struct store *s, const char *id, struct exchange *ret, struct err *err);
/* The kept body, as far as it was written; at most `most` bytes, the rest is left out (*ret_cut, may be NULL). RC_IO: a
 * piece is damaged. */
MUST_USE enum rc exchange_body(mem *ctx, struct store *s, int64_t number, enum exchange_side side, size_t most,
                               struct str *ret, bool *ret_cut, struct err *err);

/* Removes up to `most` rows' bodies and up to `most` rows that are past the policy's days. A policy without a project
 * goes for all projects that have none of their own. *ret_n: what was removed; call again while it is not 0. */
MUST_USE enum rc exchange_expire(struct store_tx *tx, const struct record_policy *p, int64_t now_ns, int64_t most,
                                 int64_t *ret_n, struct err *err);
