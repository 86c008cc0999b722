/* Named agents: their configurations, in versions. */
#include "agent/backend.h"
#include "agent/install.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include "store/configuration.h"
#include <stdlib.h>

static const char *project_of(struct route_call *c)
{
    const char *project = route_query(c, "project");
    return project ? project : "";
}

static void row_json(struct route_call *c, const struct agent_configuration *a)
{
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "name", a->name);
    jo_kz(o, "project", a->project);
    jo_ki(o, "version", a->version);
    jo_kraw(o, "configuration", str_of(a->configuration));
    jo_kz(o, "created_at", clock_rfc3339(c->ctx, a->created_ns));
    jo_kb(o, "retired", a->retired);
    jo_end_obj(o);
}

static enum rc agents_list(struct route_call *c)
{
    struct agent_configuration *rows;
    size_t n;
    const char *name = route_query(c, "name");
    enum rc rc = configuration_list(c->ctx, c->server->store, project_of(c), name, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "agents");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        row_json(c, &rows[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- what can be run ---- */

/* Where programs lie is for those who may put them there. */
static enum rc agents_available(struct route_call *c)
{
    bool places = principal_may(&c->principal, ACCESS_ADMIN, NULL) == RC_OK;
    enum rc rc = RC_OK;
    jo_obj(&c->out);
    jo_key(&c->out, "agents");
    jo_arr(&c->out);
    for (const struct backend *const *b = backends; rc == RC_OK && *b; b++) {
        struct install_place place;
        rc = install_find(c->ctx, c->server->place->data_dir, getenv("PATH"), *b, &place, &c->err);
        if (rc != RC_OK)
            break;
        place.outside = places ? place.outside : NULL;
        install_json(&c->out, *b, &place);
    }
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return rc;
}

/* ---- setting ---- */

static bool built_in(const char *name)
{
    return strcmp(name, "builtin") == 0 || strcmp(name, "native") == 0 || strcmp(name, "nightmill") == 0;
}

static enum rc choice_check(mem *ctx, struct json v, const char *member, const char *const *words, struct err *err)
{
    const char *all = "", *said = json_z(ctx, v, NULL);
    if (!json_is(v))
        return RC_OK;
    for (; *words; words++) {
        if (said && strcmp(said, *words) == 0)
            return RC_OK;
        all = mem_printf(ctx, "%s%s%s", all, *all ? ", " : "", *words);
    }
    return err_set(err, RC_INVALID, "%s of an agent is one of %s", member, all);
}

/* Written anew member by member, so that equal configurations are equal texts. */
static enum rc configuration_read(struct route_call *c, struct str *ret)
{
    static const char *const texts[] = {"agent",  "model", "instructions", "approval", "command",
                                        "folder", "input", "output",       "url"};
    static const char *const approvals[] = {"full", "edits", "ask", NULL},
                             *const inputs[] = {"stdin", "argument", NULL}, *const outputs[] = {"text", "lines", NULL};
    struct json in = c->json, arguments = json_get(in, "arguments");
    struct buf *b = mem_new(c->ctx, struct buf);
    struct json_out o;
    const char *agent = json_z(c->ctx, json_get(in, "agent"), NULL);
    if (json_type(in) != JSON_OBJECT || !agent || (!built_in(agent) && !backend_find(agent))) {
        err_set(&c->err, RC_INVALID, "a named agent says which agent it is, such as codex or builtin");
        return err_hint(&c->err, "list those that there are: nightmill agent ls --all");
    }
    for (struct json_iter it = json_iter(in); json_next(&it);) {
        bool known = str_eqz(it.key_raw, "arguments");
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            known |= str_eqz(it.key_raw, texts[i]);
        if (!known)
            return err_set(&c->err, RC_INVALID, "the configuration of an agent has no member %.*s",
                           it.key_raw.n < 40 ? (int)it.key_raw.n : 40, it.key_raw.p);
    }
    enum rc rc = choice_check(c->ctx, json_get(in, "approval"), "approval", approvals, &c->err);
    if (rc == RC_OK)
        rc = choice_check(c->ctx, json_get(in, "input"), "input", inputs, &c->err);
    if (rc == RC_OK)
        rc = choice_check(c->ctx, json_get(in, "output"), "output", outputs, &c->err);
    if (rc != RC_OK)
        return rc;
    buf_init(b, c->ctx, 1 << 20);
    json_out_init(&o, b);
    jo_obj(&o);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json v = json_get(in, texts[i]);
        if (!json_is(v))
            continue;
        if (!json_z(c->ctx, v, NULL))
            return err_set(&c->err, RC_INVALID, "%s of an agent is a text", texts[i]);
        jo_kz(&o, texts[i], json_z(c->ctx, v, ""));
    }
    if (json_len(arguments)) {
        jo_key(&o, "arguments");
        jo_arr(&o);
        for (struct json_iter it = json_iter(arguments); json_next(&it);) {
            if (!json_z(c->ctx, it.value, NULL))
                return err_set(&c->err, RC_INVALID, "arguments of an agent are a list of texts");
            jo_z(&o, json_z(c->ctx, it.value, ""));
        }
        jo_end_arr(&o);
    }
    jo_end_obj(&o);
    *ret = buf_view(b);
    return RC_OK;
}

struct putting {
    const char *project, *name;
    struct str json;
    int64_t version;
    bool fresh;
};
static enum rc put_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct putting *p = arg;
    return configuration_put(tx, p->project, p->name, p->json, clock_wall_ns(), &p->version, &p->fresh, err);
}

static enum rc agent_put(struct route_call *c)
{
    struct putting p = {.project = project_of(c), .name = c->param};
    struct agent_configuration row;
    if (built_in(p.name) || backend_find(p.name))
        return err_set(&c->err, RC_CONFLICT, "%s is the name of an agent already; give yours another one", p.name);
    enum rc rc = configuration_read(c, &p.json);
    if (rc == RC_OK)
        rc = store_write(c->server->store, put_tx, &p, &c->err);
    if (rc == RC_OK)
        rc = configuration_find(c->ctx, c->server->store, p.project, p.name, p.version, &row, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = p.fresh ? 201 : 200;
    row_json(c, &row);
    return RC_OK;
}

static enum rc retire_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct putting *p = arg;
    return configuration_retire(tx, p->project, p->name, err);
}

static enum rc agent_delete(struct route_call *c)
{
    struct putting p = {.project = project_of(c), .name = c->param};
    enum rc rc = store_write(c->server->store, retire_tx, &p, &c->err);
    c->status = 204;
    return rc;
}

const struct route route_agents_list = {"GET", "/api/v1/agents",        "named agents with their versions", agents_list,
                                        NULL,  .query = "name project", .gives = "AgentConfigurations"};
const struct route route_agents_available = {"GET",
                                             "/api/v1/agents/available",
                                             "coding agents that can be run, and which of them are here",
                                             agents_available,
                                             NULL,
                                             .access = ACCESS_READ,
                                             .narrow = NARROW_SHARED,
                                             .gives = "AvailableAgents"};
const struct route route_agent_put = {"PUT",
                                      "/api/v1/agents/:id",
                                      "set up a named agent: a new version where it differs",
                                      agent_put,
                                      NULL,
                                      .query = "project",
                                      .takes = "AgentSetting",
                                      .gives = "AgentConfiguration",
                                      .tells = "agent"};
const struct route route_agent_delete = {
    "DELETE",           "/api/v1/agents/:id", "remove a named agent; its versions are kept", agent_delete, NULL,
    .query = "project", .tells = "agent"};
