/* How many processes run below given ones, and how much memory they have: one walk over /proc. Threads: any. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct census {
    pid_t root;
    int64_t processes; /* below root, without it */
    int64_t rss_bytes; /* of those, shared pages counted in each */
};
/* Fills processes and rss_bytes of each entry; what cannot be read counts as nothing. At most 32768 processes. */
void census_take(struct census *entries, size_t n);
