/* Failed logins, and how long the next one has to wait.
 *
 * Counted apart for each address and for each pair of address and user name, never for a user name alone: so somebody
 * elsewhere cannot lock a user out. Of IPv6 addresses the first 64 bits count. Five failures of a pair (twenty of an
 * address) are free, then each makes the next wait twice as long, from one second to 15 minutes; an hour without
 * failures forgets them. The table is bounded; the oldest goes first. Pure: the clock is an argument (monotonic
 * nanoseconds). Thread-safe. */
#pragma once
#include "base/mem.h"
#include <stdint.h>

struct attempts;
/* What counts of an address: itself, or the first 64 bits of IPv6. */
enum { NETWORK_TEXT = 46 };
void attempts_network(const char *address, char ret[NETWORK_TEXT]);
struct attempts *attempts_new(mem *ctx, size_t most);
/* Nanoseconds until a try is let in; 0: now. */
int64_t attempts_wait(struct attempts *a, const char *address, const char *name, int64_t now_ns);
void attempts_failed(struct attempts *a, const char *address, const char *name, int64_t now_ns);
void attempts_succeeded(struct attempts *a, const char *address, const char *name);
