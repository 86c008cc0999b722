/* Track records of agents, as JSON. */
#include "api/route_rows.h"
#include "store/agent_record.h"

#define RUNS_FEW 5 /* fewer ended runs than this say little */

static const struct {
    const char *name;
    enum record_by by;
} groupings[] = {
    {"agent", RECORD_BY_AGENT}, {"version", RECORD_BY_VERSION}, {"model", RECORD_BY_MODEL}, {"kind", RECORD_BY_KIND}};

static enum rc by_read(struct route_call *c, const char **ret_name, enum record_by *ret, struct err *err)
{
    const char *name = route_query(c, "by");
    *ret_name = name ? name : groupings[0].name;
    for (size_t i = 0; i < sizeof groupings / sizeof *groupings; i++) {
        if (strcmp(groupings[i].name, *ret_name) == 0) {
            *ret = groupings[i].by;
            return RC_OK;
        }
    }
    err_set(err, RC_INVALID, "the records of agents cannot be grouped by \"%.40s\"", name);
    return err_hint(err, "agent, version, model or kind");
}

static enum rc filter_read(struct route_call *c, struct record_filter *ret)
{
    const char *own = c->principal.project, *since = route_query(c, "since");
    int64_t since_s = 0;
    ret->project = route_query(c, "project");
    if (own && *own && ret->project && principal_project(&c->principal, ret->project, &c->err) != RC_OK)
        return c->err.rc;
    if (own && *own) /* a key of one project sees that one alone */
        ret->project = own;
    if (since && !str_int(str_of(since), 0, INT64_MAX / 1000000000, &since_s))
        return err_set(&c->err, RC_INVALID, "since is a time in seconds since 1970");
    ret->since_ns = since_s * 1000000000;
    const char *assigned = route_query(c, "assigned");
    ret->assigned = assigned && strcmp(assigned, "1") == 0;
    return RC_OK;
}

/* Whether the name is one of those asked for: separated by commas; NULL: any. */
static bool wanted(const char *names, const char *agent)
{
    struct str rest = str_of(names), name;
    if (!names || !*names)
        return true;
    while (str_next(&rest, ',', &name))
        if (str_eqz(name, agent))
            return true;
    return false;
}

static void cost_write(struct route_call *c, const struct record_cost *cost)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "currency", cost->currency);
    jo_ki(o, "tasks", cost->tasks);
    jo_kz(o, "total", money_exact(c->ctx, cost->total, 2));
    jo_kz(o, "median", money_exact(c->ctx, cost->median, 2));
    jo_kz(o, "per_done", cost->per_done >= 0 ? money_exact(c->ctx, cost->per_done, 2) : NULL);
    jo_end_obj(o);
}

static void record_write(struct route_call *c, const struct agent_record *a)
{
    struct json_out *o = &c->out;
    int64_t share = a->ended ? a->done * 1000 / a->ended : 0;
    const struct {
        const char *key;
        int64_t value;
    } figures[] = {{"runs", a->runs},
                   {"done", a->done},
                   {"unproven", a->unproven},
                   {"failed", a->failed},
                   {"stopped", a->stopped},
                   {"limited", a->limited},
                   {"open", a->open},
                   {"undone", a->undone},
                   {"ended", a->ended},
                   {"worked_median_ns", a->worked_median_ns},
                   {"iterations_median", a->iterations_median},
                   {"requests", a->requests},
                   {"unpriced", a->unpriced},
                   {"kept", a->kept},
                   {"input", a->usage.input},
                   {"cache_read", a->usage.cache_read},
                   {"cache_write", a->usage.cache_write + a->usage.cache_write_1h},
                   {"output", a->usage.output},
                   {"reasoning", a->usage.reasoning}};
    jo_obj(o);
    jo_kz(o, "agent", a->agent);
    jo_kz(o, "version", a->version);
    jo_kz(o, "model", a->model);
    jo_kz(o, "kind", a->kind);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        jo_ki(o, figures[i].key, figures[i].value);
    jo_kz(o, "share_done",
          a->ended ? mem_printf(c->ctx, "%lld.%03lld", (long long)(share / 1000), (long long)(share % 1000)) : NULL);
    jo_kb(o, "few", a->ended < RUNS_FEW);
    jo_key(o, "costs");
    jo_arr(o);
    for (size_t i = 0; i < a->cost_count; i++)
        cost_write(c, &a->costs[i]);
    jo_end_arr(o);
    jo_end_obj(o);
}

static enum rc agents_record(struct route_call *c)
{
    struct record_filter filter = {0};
    struct agent_record *records;
    enum record_by by = 0;
    const char *by_name, *agents = route_query(c, "agent");
    size_t n;
    enum rc rc = by_read(c, &by_name, &by, &c->err);
    rc = rc ? rc : filter_read(c, &filter);
    rc = rc ? rc : books_sync(c->server->books, &c->err);
    rc = rc ? rc : agent_records(c->ctx, c->server->store, &filter, by, &records, &n, &c->err);
    if (rc)
        return rc;
    jo_obj(&c->out);
    jo_kz(&c->out, "by", by_name);
    jo_key(&c->out, "records");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        if (wanted(agents, records[i].agent))
            record_write(c, &records[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

const struct route route_agents_record = {"GET",
                                          "/api/v1/agents/record",
                                          "how the tasks of each agent ended, what they cost and how long they took",
                                          agents_record,
                                          NULL,
                                          .access = ACCESS_READ,
                                          .narrow = NARROW_ONE,
                                          .query = "by agent project since assigned",
                                          .gives = "AgentRecords"};
