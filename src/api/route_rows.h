/* The rows of the register of routes (routes.def). Private to this room. */
#pragma once
#include "api/server_room.h"
#define ROUTE(name) extern const struct route route_##name;
#include "api/routes.def"
#undef ROUTE
/* A price as an object, also inside of others. */
struct price;
void price_json(struct route_call *c, const struct price *p);
/* A link's token with its path and end, as an object. */
void ticket_json(struct route_call *c, const struct opaque *t, int64_t now_ns);
/* What a task used (route_task.c): the sums that are kept, the rows in other currencies than its own, and all of it in
 * the task's currency. */
struct task_tallies {
    struct ledger_tally *list;
    size_t n;
    struct ledger_row *foreign;
    size_t foreign_n;
    struct spent spent;
};
MUST_USE enum rc task_tallies_read(struct route_call *c, const struct task *t, struct task_tallies *ret);
/* What an amount in another currency is more (or less) in the task's; 0 when it is the same, or without a rate. */
pico task_amount_moved(struct route_call *c, const struct task *t, pico v, const char *currency, int64_t at_ns);
struct approval;
void approval_json(struct route_call *c, const struct approval *a);
