/* Track records: how the tasks of each agent ended, what they cost and how long they took. Read from the rows of tasks
 * and of the ledger; nothing is counted twice or kept apart, so a record is true as soon as the books are in the tables
 * (books_sync).
 *
 * Money, time and iterations are those of ended tasks (done, unproven, failed, stopped): one that goes on would make
 * its agent look cheap. Tasks whose requests were answered from a recording are left out. Money is never converted:
 * each currency has sums of its own. A median of an even number is the middle of the two in the middle, rounded down.
 */
#pragma once
#include "store/store.h"

#define RECORD_TASKS_MOST 50000 /* the newest tasks that are looked at */

enum record_by { RECORD_BY_AGENT, RECORD_BY_VERSION, RECORD_BY_MODEL, RECORD_BY_KIND };
struct record_filter {
    const char *project; /* NULL: any */
    int64_t since_ns;    /* made at this time or later */
    bool assigned;       /* only those whose agent or model was drawn at random */
};
struct record_cost {
    const char *currency;
    int64_t tasks; /* ended ones that spent in it; one without any request spent nothing in its own */
    pico total, median;
    pico per_done; /* total over the done tasks of the record; -1: none is done */
};
struct agent_record {
    const char *agent; /* "" where it is not known */
    const char *version, *model,
        *kind;    /* beside the agent, where records are by it; else NULL. version: of the program,
                     after that of its configuration where it had one: "careful@3, 0.169.0" */
    int64_t runs; /* all tasks; the sum of the next six */
    int64_t done, unproven, failed, stopped;
    int64_t limited; /* they rest at a limit */
    int64_t open;    /* they go on, or wait */
    int64_t undone;  /* of the done: taken back by somebody */
    int64_t ended;   /* done, unproven, failed, stopped */
    /* Of the ended ones: */
    int64_t worked_median_ns, iterations_median;
    int64_t requests, unpriced, kept; /* kept: their usage stayed unknown, so that the cost lacks them */
    struct usage usage;
    struct record_cost *costs;
    size_t cost_count;
};
/* In the order of their names. */
MUST_USE enum rc agent_records(mem *ctx, struct store *s, const struct record_filter *f, enum record_by by,
                               struct agent_record **ret, size_t *ret_n, struct err *err);
