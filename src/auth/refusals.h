/* How many refusals are written into the audit log.
 *
 * Whoever is refused can ask again a thousand times a second; each row costs disk and hides other rows. So rows about
 * refusals have a measure (a bucket of tokens): for each asker, that is a user's or key's name, or the network of the
 * address of a stranger (attempts.h), and for all askers of the same kind. Strangers and those who are known have
 * measures apart: a flood from outside does not hide what somebody inside tries. Nothing is dropped silently: what was
 * not let in is counted, and refusals_untold gives the count for a row of its own.
 *
 * The same table says whether a reading is the first of a sitting. It is bounded; the oldest goes first. Pure: the
 * clock is an argument (monotonic nanoseconds). Thread-safe. */
#pragma once
#include "base/mem.h"
#include <stdint.h>

enum {
    REFUSALS_OF_ONE = 20,         /* at once, of one asker */
    REFUSALS_OF_ONE_EVERY_S = 6,  /* and one more */
    REFUSALS_OF_ALL = 200,        /* at once, of all strangers, or all who are known */
    REFUSALS_OF_ALL_EVERY_S = 2,  /* and one more: 43,200 rows a day at most, about 20 MB */
    REFUSALS_TOLD_EVERY_S = 60,   /* between two rows that tell how many were not written */
    REFUSALS_SITTING_S = 10 * 60, /* readings of the same thing by the same reader are one */
};
struct refusals;
struct refusals *refusals_new(mem *ctx, size_t most);
/* Whether a row is to be written. */
bool refusals_let(struct refusals *r, const char *who, bool stranger, int64_t now_ns);
/* How many were not let in since this was asked last; 0 more often than once in REFUSALS_TOLD_EVERY_S. */
int64_t refusals_untold(struct refusals *r, int64_t now_ns);
/* Whether who has not read it in REFUSALS_SITTING_S. */
bool refusals_first(struct refusals *r, const char *who, const char *what, int64_t now_ns);
