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
