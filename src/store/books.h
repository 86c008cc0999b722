/* The books: holds and their ends, safe at once from the end of this process, rows of the database a moment later.
 *
 * A commit for each model request costs more than everything else that is done for it. So an entry is first appended to
 * a file that is mapped into memory (<data>/books): after that nothing short of a power failure can lose it, and no
 * system call was made. Many entries become rows in one transaction (books_apply), together with the number of the last
 * one (table books); what the file has beyond that number becomes rows at the next start. A hold that was settled or
 * released by then has no row but that of the ledger, unless it is a run's or needed exchange rates.
 *
 * A power failure may take the entries since the last books_flush: whoever must not lose them waits for one.
 *
 * The file: two halves of BOOKS_HALF bytes, used in turns; each begins with a head of 64 bytes (8 bytes "NMBOOKS1", the
 * id of the database, the number of its first entry). An entry: length and CRC-32 (zlib's) of what follows as 4 bytes
 * each, its number as 8, its kind as 1, then its fields: integers as 8 bytes, texts as a length of 2 bytes (65535:
 * NULL), the bytes and a NUL; in the order of the machine's bytes. Reading stops at the first entry that is not whole
 * or out of order. Threads: any, but books_apply, which runs on the writer thread. */
#pragma once
#include "store/store.h"

#define BOOKS_HALF (1u << 20)

struct books;
/* Opens the file, making it when missing (mode 0600, all of it on disk, so that writing cannot fail later), and makes
 * rows of what the last process left; *ret_found (may be NULL) counts those entries. A file of another database is put
 * aside. Belongs to ctx; free it before the store. */
MUST_USE enum rc books_open(mem *ctx, struct store *s, const char *dir, struct books **ret, int64_t *ret_found,
                            struct err *err);

/* Appends a hold. h->id is given; attempt 0: the next free one when it becomes a row. RC_AGAIN: not now (the file is
 * full of what is not written yet, or frozen): again after the next flush. RC_INVALID: it can never be a row. */
MUST_USE enum rc books_hold(struct books *b, const struct hold *h, struct err *err);
/* Appends the end of a hold: "settled" with a row, "released", "kept". Errors as above. */
MUST_USE enum rc books_end(struct books *b, int64_t hold_id, const char *state, const struct ledger_row *row,
                           struct err *err);
size_t books_pending(struct books *b); /* bytes that are not rows yet */
/* Makes rows of all that was appended before. done (may be NULL) is called on the writer thread, when it is durable. */
void books_flush(struct books *b, void (*done)(void *arg, enum rc rc, const struct err *err), void *arg);
/* The same, waiting. Not on the writer thread and not on a loop. */
MUST_USE enum rc books_sync(struct books *b, struct err *err);
/* The same as part of a transaction: its caller sees the rows. NULL is fine. */
MUST_USE enum rc books_apply(struct books *b, struct store_tx *tx, struct err *err);
/* No hold ends until books_thaw (RC_AGAIN), so that what memory and rows count can be compared. NULL is fine. */
void books_freeze(struct books *b);
void books_thaw(struct books *b);
