/* A plan: what a task would be, before it is one. */
#include "api/route_rows.h"

static enum rc plan_make(struct route_call *c)
{
    struct json spec;
    enum rc rc = wish_prepare(c, &spec);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_kraw(&c->out, "spec", json_raw(spec));
    jo_end_obj(&c->out);
    return RC_OK;
}

const struct route route_plan_make = {"POST",
                                      "/api/v1/plans",
                                      "what a task would be: its checks, limits, agent and model; nothing is begun",
                                      plan_make,
                                      NULL,
                                      .takes = "Wish",
                                      .gives = "Plan",
                                      .access = ACCESS_USE,
                                      .narrow = NARROW_REPO};
