/* The record of model requests: who asked what when, which attempts were made, what came back, what it cost; and, where
 * the policy says so, the bytes of both bodies.
 *
 * A record is begun when a request is read and ended when it is answered. Its row reaches the disk while the request is
 * under way (at the first recorder_tick after it began), bodies in pieces as they stream; a crash leaves what was
 * there, and the next start marks it incomplete. Everything that is written passes one sink first: the redactor
 * (redact.h), which knows the secrets given to recorder_secret and the shapes of keys. Bodies are cut at a cap,
 * compressed, and dropped when writing cannot keep up; metadata is not. What is kept and how long is a policy: of the
 * settings, or a row of the project (store/exchange.h).
 *
 * Recording never delays nor fails a request: bytes are copied where they come; redaction and compression run on a
 * thread of its own, writing on the writer thread, many records in one transaction. An error there is logged once and
 * loses the record. Threads: any; one record is used by one thread at a time. */
#pragma once
#include "store/exchange.h"
#include "store/store.h"

struct recorder;
struct recorder_spec {
    struct store *store;
    struct record_policy policy; /* of the settings; project is ignored */
    int64_t batch_ms;            /* records of so long are written together */
};
/* Marks what a crash left open as incomplete, reads the policies of projects. Belongs to ctx. */
struct recorder *recorder_new(mem *ctx, const struct recorder_spec *spec);
/* Writes what is there and waits for it; records that are still under way are written as incomplete and must not be
 * used any more, nor by another thread. Before the store closes. NULL is fine; returns NULL. */
struct recorder *recorder_free(struct recorder *r);
void recorder_tick(struct recorder *r); /* about once a second: writes what waits of requests under way */
/* Waits until what was recorded before stands in the database. Any thread but a loop's and the writer's. */
void recorder_sync(struct recorder *r);
void recorder_policies_changed(struct recorder *r); /* a row of record_policy was written */
/* Removes what is past its days, of the standard policy and of those of projects, in small transactions. Any thread
 * that may wait. *ret_n counts bodies and rows. */
MUST_USE enum rc record_expire(struct store *s, const struct record_policy *standard, int64_t now_ns, int64_t *ret_n,
                               struct err *err);
/* A known secret: provider keys, run tokens, user keys as they are seen. Cheap when it is known already. Texts of fewer
 * than REDACT_SECRET_MIN bytes are no secrets. Of more than REDACT_SECRETS_MAX the oldest is forgotten. */
void recorder_secret(struct recorder *r, struct str secret);

struct record;
struct record_start {
    const char *id;  /* the request's, unique */
    int64_t time_ns; /* wall clock */
    const struct spender *spender;
    const char *dialect;  /* of the client: "chat", "responses", "messages", "gemini" */
    const char *endpoint; /* kind: "generate", "count", "embed", "models" */
    const char *model;    /* asked for, as the client wrote it */
    const char *client;   /* address, or "run" */
    bool stream;
    bool whole; /* kept in full whatever the policy says: the task is being recorded */
};
/* NULL when the policy keeps nothing; all functions take NULL. Strings are copied. */
struct record *record_begin(struct recorder *r, const struct record_start *start);
/* The body as the client sent it, once. */
void record_request(struct record *rec, struct str body);

struct record_attempt {
    const char *provider, *upstream; /* id of the provider; model name sent to it */
    int status;                      /* HTTP; 0: none came */
    enum rc rc;                      /* how it ended */
    int64_t first_byte_ms;           /* -1: no byte came */
    int64_t ms;                      /* whole */
    const char *words;               /* why it failed; "" or NULL */
};
void record_attempt(struct record *rec, const struct record_attempt *attempt); /* in order; the first 32 are kept */
/* Bytes of the body as they are sent to the client, any number of times. */
void record_answer(struct record *rec, struct str bytes);

struct record_end {
    int status;           /* HTTP status that the client got; 0: it left before */
    const char *outcome;  /* "served", "cached", "replayed", "refused", "failed", "cancelled" */
    const char *provider; /* that served; NULL: none */
    const char *model;    /* that served, as configured; NULL */
    const char *content_type;
    bool usage_known;
    struct usage usage;
    pico cost;
    const char *currency; /* NULL or "": no price is known */
    bool cache_hit;
    int64_t first_byte_ms; /* to the client, from the start; -1: none */
    int64_t ms;
    const char *words; /* one sentence; NULL or "" */
};
/* Frees the record. */
void record_end(struct record *rec, const struct record_end *end);
