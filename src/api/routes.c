/* The register of routes as a table. */
#include "api/route_rows.h"

const struct route *const routes[] = {
#define ROUTE(name) &route_##name,
#include "api/routes.def"
#undef ROUTE
};
const char *const route_names[] = {
#define ROUTE(name) #name,
#include "api/routes.def"
#undef ROUTE
};
const size_t route_count = sizeof routes / sizeof *routes;
