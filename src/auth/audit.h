/* The audit log: who did what to what, when, from where, and how it went.
 *
 * Each row has a hash over itself and the hash of the row before, and a MAC of number and hash with a key that is not
 * in the database. So a changed, inserted or removed row breaks the chain where it happened, and a log that was made
 * anew has no valid MACs. What a chain cannot see is a cut tail: for that a head (count and hash of the newest row,
 * signed) is kept in a file outside of the data folder and brought up to date about once a second. The daemon may end
 * between a row and its head: rows behind the head that carry valid MACs are good and are told apart from tampering. A
 * head is never overwritten by a log that does not continue it.
 *
 * A row is written in the transaction of the change itself where there is one (audit_rider), else before the answer.
 * Thread-safe. */
#pragma once
#include "auth/account_key.h"
#include "store/audit.h"

struct audit;
/* head_file: made with its folders. Opening reads the head and holds it against the newest row. */
struct audit *audit_open(mem *ctx, struct store *s, struct account_key *key, const char *head_file);
/* Appends in a transaction of its own. hash and mac of the row are set here. */
MUST_USE enum rc audit_write(struct audit *a, const struct audit_row *r, struct err *err);
void audit_write_later(struct audit *a, const struct audit_row *r);   /* copies; for the loop: does not wait */
struct audit_row audit_row_copy(mem *ctx, const struct audit_row *r); /* texts too; as it is before it is numbered */
/* The same in a transaction of others. */
MUST_USE enum rc audit_append(struct store_tx *tx, struct audit *a, const struct audit_row *r, struct err *err);
/* Lets the next store_write of this thread append the row in its own transaction, and do `also` (NULL: nothing) with
 * `also_arg`. All must live until store_ride is called again. */
struct audit_rider {
    struct store_rider ride;
    struct audit *audit;
    const struct audit_row *row;
    store_fn also;
    void *also_arg;
};
void audit_ride(struct audit_rider *r);
/* Writes the head when rows have come since. Not on the loop: it waits for the disk. */
void audit_tick(struct audit *a);
/* Takes the log as it is: a new head, whatever the former one said. */
MUST_USE enum rc audit_accept(struct audit *a, struct err *err);

struct audit_finding {
    int64_t number;   /* of the row that it is about; the first one of several */
    const char *kind; /* changed, missing, forged, unsigned, cut, rebuilt, head */
    const char *words;
};
struct audit_report {
    int64_t rows;      /* that there are */
    int64_t signed_to; /* the head's count; -1: there is no head */
    int64_t behind;    /* good rows behind the head: the daemon ended before it wrote one, or just has not yet */
    const struct audit_finding *findings;
    size_t n; /* 0: nothing was tampered with; at most AUDIT_FINDINGS */
};
#define AUDIT_FINDINGS 20
MUST_USE enum rc audit_verify(mem *ctx, struct audit *a, struct audit_report *ret, struct err *err);
