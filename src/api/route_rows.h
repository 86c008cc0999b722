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
/* What a task used (route_task.c): rows of the ledger, and their sum in the task's currency. */
MUST_USE enum rc task_ledger_read(struct route_call *c, const struct task *t, struct ledger_row **ret, size_t *ret_n,
                                  struct spent *ret_spent, int64_t *ret_unpriced);
/* What an amount in another currency is more (or less) in the task's; 0 when it is the same, or without a rate. */
pico task_amount_moved(struct route_call *c, const struct task *t, pico v, const char *currency, int64_t at_ns);
struct approval;
void approval_json(struct route_call *c, const struct approval *a);
