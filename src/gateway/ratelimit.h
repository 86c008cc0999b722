/* Rate limits per key: requests a minute, tokens a minute, streams at once.
 *
 * The generic cell rate algorithm (ITU-T I.371) in exact integers: each limit is a debt that leaks by the limit each
 * minute, and admits a burst of one minute's worth. In any stretch of W seconds at most limit * (1 + W / 60)
 * units are admitted. A request is admitted by all three limits or charged by none. Tokens are charged by an upper
 * bound and given back when the truth is known. The table is bounded: a key whose limits are full again is forgotten
 * first, and when all places are in use an unknown key is refused. The clock is an argument (monotonic
 * nanoseconds); threads whose clocks are a moment apart are fine. Threads: any; one lock, held for the arithmetic. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct ratelimit;
struct ratelimit *ratelimit_new(mem *ctx, size_t most_keys);

struct ratelimit_rule { /* 0: no limit */
    int64_t requests_per_minute, tokens_per_minute, streams;
};
enum ratelimit_kind { RATELIMIT_NONE, RATELIMIT_REQUESTS, RATELIMIT_TOKENS, RATELIMIT_STREAMS, RATELIMIT_TABLE };
const char *ratelimit_kind_words(enum ratelimit_kind k); /* "requests a minute" */
struct ratelimit_ticket {                                /* what was charged; given back with ratelimit_end */
    char id[40];
    uint64_t serial;
    int64_t token_units, token_position;
    bool stream, taken;
};
struct ratelimit_verdict {
    enum ratelimit_kind refused_by; /* RATELIMIT_NONE: admitted */
    int64_t retry_after_ns;         /* when the same request would be admitted; -1: never, it is larger than the limit;
                                       0: not known (streams) */
    int64_t requests_left, tokens_left; /* after this request; -1: no limit */
};
/* id: the key's, at most 39 bytes. tokens: upper bound of the request. RC_LIMIT with words and the seconds to wait. */
MUST_USE enum rc ratelimit_take(struct ratelimit *r, const char *id, const struct ratelimit_rule *rule, int64_t tokens,
                                bool stream, int64_t now_ns, struct ratelimit_ticket *ret_ticket,
                                struct ratelimit_verdict *ret, struct err *err);
/* The request ended; `tokens` were used (at most as charged; -1: unknown, nothing is given back). Once per ticket. */
void ratelimit_end(struct ratelimit *r, struct ratelimit_ticket *ticket, int64_t tokens, int64_t now_ns);
size_t ratelimit_keys(struct ratelimit *r); /* places in use */
