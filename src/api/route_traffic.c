/* Traffic of the egress proxy: listed, shown; what people say about hosts; listeners opened by hand. */
#include "api/proxy_link.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include "store/traffic.h"

#define SECOND_NS INT64_C(1000000000)

/* ---- rows ---- */

/* Members; the object is the caller's. */
static void traffic_json(struct route_call *c, const struct traffic *t)
{
    struct json_out *o = &c->out;
    const struct {
        const char *name, *value;
    } texts[] = {{"task", t->task},       {"project", t->project}, {"agent", t->agent},    {"phase", t->phase},
                 {"host", t->host},       {"scheme", t->scheme},   {"method", t->method},  {"path", t->path},
                 {"verdict", t->verdict}, {"reason", t->reason},   {"address", t->address}};
    jo_ki(o, "number", t->number);
    jo_kz(o, "time", clock_rfc3339(c->ctx, t->time_ns));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        jo_kz(o, texts[i].name, texts[i].value);
    jo_ki(o, "port", t->port);
    jo_ki(o, "status", t->status);
    jo_ki(o, "bytes_up", t->bytes_up);
    jo_ki(o, "bytes_down", t->bytes_down);
    jo_key(o, "first_byte_ms");
    if (t->first_byte_ms < 0)
        jo_null(o);
    else
        jo_int(o, t->first_byte_ms);
    jo_ki(o, "ms", t->ms);
}

static void text_json(struct json_out *o, const char *name, bool kept, const char *text)
{
    jo_kz(o, name, kept ? text : NULL);
}

static enum rc texts_json(struct route_call *c, int64_t number)
{
    struct traffic_texts t;
    enum rc rc = traffic_texts_get(c->ctx, c->server->store, number, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    text_json(&c->out, "request_head", t.has_head, t.request_head);
    text_json(&c->out, "answer_head", t.has_head, t.answer_head);
    text_json(&c->out, "request_body", t.has_body, t.request_body);
    text_json(&c->out, "answer_body", t.has_body, t.answer_body);
    jo_kb(&c->out, "cut", t.cut);
    return RC_OK;
}

static enum rc query_number(struct route_call *c, const char *name, int64_t most, int64_t *ret)
{
    const char *text = route_query(c, name);
    *ret = 0;
    if (!text || str_int(str_of(text), 0, most, ret))
        return RC_OK;
    return err_set(&c->err, RC_INVALID, "%s is a whole number from 0 to %lld", name, (long long)most);
}

static enum rc filter_read(struct route_call *c, struct traffic_filter *f)
{
    const char *own = c->principal.project, *order = route_query(c, "order");
    *f = (struct traffic_filter){.task = route_query(c, "task"),
                                 .project = *own ? own : route_query(c, "project"),
                                 .host = route_query(c, "host"),
                                 .verdict = route_query(c, "verdict"),
                                 .phase = route_query(c, "phase"),
                                 .method = route_query(c, "method"),
                                 .text = route_query(c, "text"),
                                 .before = c->query_before,
                                 .limit = c->query_limit ? c->query_limit : 50};
    if (order && strcmp(order, "oldest") != 0 && strcmp(order, "newest") != 0)
        return err_set(&c->err, RC_INVALID, "order is newest or oldest");
    if (f->text && strlen(f->text) > 200)
        return err_set(&c->err, RC_INVALID, "text has at most 200 bytes");
    f->oldest_first = order && strcmp(order, "oldest") == 0;
    if (f->oldest_first)
        f->before = c->query_after;
    enum rc rc = query_number(c, "status", 599, &f->status);
    if (rc == RC_OK)
        rc = query_number(c, "since", INT64_MAX / SECOND_NS, &f->since_ns);
    if (rc == RC_OK)
        rc = query_number(c, "until", INT64_MAX / SECOND_NS, &f->until_ns);
    f->since_ns *= SECOND_NS;
    f->until_ns *= SECOND_NS;
    if (f->limit > TRAFFIC_LIST_MAX)
        f->limit = TRAFFIC_LIST_MAX;
    return rc;
}

/* Heads and bodies are the owner's business, as those of model requests are. */
static enum rc texts_wanted(struct route_call *c, bool *ret)
{
    const char *texts = route_query(c, "texts");
    *ret = texts && strcmp(texts, "true") == 0;
    return *ret ? principal_may(&c->principal, ACCESS_ADMIN, &c->err) : RC_OK;
}

static enum rc traffic_get(struct route_call *c)
{
    struct traffic_filter f;
    struct traffic *rows;
    size_t n;
    int64_t next;
    bool texts = false;
    enum rc rc = filter_read(c, &f);
    if (rc == RC_OK)
        rc = texts_wanted(c, &texts);
    if (rc == RC_OK && !texts)
        audit_skip(c); /* rows without what was sent are no secret */
    if (rc == RC_OK)
        rc = traffic_list(c->ctx, c->server->store, &f, &rows, &n, &next, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "traffic");
    jo_arr(&c->out);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        jo_obj(&c->out);
        traffic_json(c, &rows[i]);
        if (texts)
            rc = texts_json(c, rows[i].number);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if (next)
        jo_int(&c->out, next);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    if (rc == RC_OK && c->out_buf.overflow)
        rc = err_set(&c->err, RC_LIMIT, "the texts are too large for one answer; ask with a smaller limit");
    return rc;
}

static enum rc traffic_show(struct route_call *c)
{
    struct traffic t;
    int64_t number;
    if (!str_int(str_of(c->param), 1, INT64_MAX, &number))
        return err_set(&c->err, RC_INVALID, "rows of traffic have numbers");
    enum rc rc = traffic_find(c->ctx, c->server->store, number, &t, &c->err);
    if (rc == RC_OK)
        rc = principal_project(&c->principal, t.project, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    traffic_json(c, &t);
    rc = texts_json(c, number);
    jo_end_obj(&c->out);
    return rc;
}

const struct route route_traffic_list = {
    "GET",
    "/api/v1/traffic",
    "what left sandboxes, newest first",
    traffic_get,
    .access = ACCESS_READ,
    .narrow = NARROW_ONE,
    .audited = AUDITED_EACH,
    .query = "task project host verdict phase method text status since until before after order limit texts",
    .gives = "TrafficList"};
const struct route route_traffic_show = {"GET",
                                         "/api/v1/traffic/:id",
                                         "one exchange with what is kept of it",
                                         traffic_show,
                                         .access = ACCESS_ADMIN,
                                         .narrow = NARROW_ONE,
                                         .audited = AUDITED_SITTING,
                                         .gives = "Traffic"};

/* ---- hosts ---- */

static void host_json(struct route_call *c, const struct egress_host *h)
{
    jo_obj(&c->out);
    jo_kz(&c->out, "project", h->project);
    jo_kz(&c->out, "host", h->host);
    jo_ki(&c->out, "port", h->port);
    jo_kz(&c->out, "verdict", h->verdict);
    jo_kz(&c->out, "said_by", h->said_by);
    jo_kz(&c->out, "said_at", h->said_ns ? clock_rfc3339(c->ctx, h->said_ns) : NULL);
    jo_end_obj(&c->out);
}

static enum rc hosts_list(struct route_call *c)
{
    struct egress_host *rows;
    size_t n;
    const char *own = c->principal.project;
    enum rc rc = egress_host_list(c->ctx, c->server->store, *own ? own : route_query(c, "project"), &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "hosts");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        host_json(c, &rows[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc host_put_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return egress_host_put(tx, arg, err);
}

static enum rc host_remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct egress_host *h = arg;
    return egress_host_remove(tx, h->project, h->host, h->port, err);
}

struct host_input {
    const char *project, *host, *verdict;
};
static const struct json_bind host_table[] = {
    BIND(host_input, project, BIND_STR, false, 0, SCOPE_ID_MAX),
    BIND(host_input, host, BIND_STR, true, 0, 300),
    BIND(host_input, verdict, BIND_STR, true, 0, 16),
};

static enum rc host_write(struct route_call *c, const struct host_input *in, store_fn fn)
{
    struct egress_rule rule;
    enum rc rc = egress_rule_parse(c->ctx, str_of(in->host), &rule, &c->err);
    if (rc == RC_OK)
        rc = principal_project(&c->principal, in->project, &c->err);
    struct egress_host h = {in->project, rule.host, rule.port, in->verdict, "user", clock_wall_ns()};
    if (rc == RC_OK)
        rc = store_write(c->server->store, fn, &h, &c->err);
    if (rc != RC_OK)
        return rc;
    c->egress_hosts = true;
    host_json(c, &h);
    return RC_OK;
}

static enum rc host_put(struct route_call *c)
{
    struct host_input in = {.project = ""};
    enum rc rc = json_bind(c->ctx, c->json, host_table, sizeof host_table / sizeof *host_table, true, &in, &c->err);
    if (rc == RC_OK && strcmp(in.verdict, "allow") != 0 && strcmp(in.verdict, "deny") != 0)
        rc = err_set(&c->err, RC_INVALID, "verdict is allow or deny");
    return rc == RC_OK ? host_write(c, &in, host_put_tx) : rc;
}

static enum rc host_delete(struct route_call *c)
{
    const char *project = route_query(c, "project"), *host = route_query(c, "host");
    if (!host)
        return err_set(&c->err, RC_INVALID, "say which host: host=NAME");
    struct host_input in = {project ? project : "", host, ""};
    return host_write(c, &in, host_remove_tx);
}

const struct route route_egress_hosts = {"GET",
                                         "/api/v1/egress_hosts",
                                         "what people said about hosts",
                                         hosts_list,
                                         .access = ACCESS_READ,
                                         .narrow = NARROW_ONE,
                                         .query = "project",
                                         .gives = "EgressHosts"};
const struct route route_egress_host_put = {"PUT",
                                            "/api/v1/egress_hosts",
                                            "allow or refuse a host to sandboxes",
                                            host_put,
                                            .access = ACCESS_ADMIN,
                                            .narrow = NARROW_ONE,
                                            .takes = "EgressHostInput",
                                            .gives = "EgressHost",
                                            .tells = "egress_host"};
const struct route route_egress_host_delete = {"DELETE",
                                               "/api/v1/egress_hosts",
                                               "forget what was said about a host",
                                               host_delete,
                                               .access = ACCESS_ADMIN,
                                               .narrow = NARROW_ONE,
                                               .query = "project host",
                                               .gives = "EgressHost",
                                               .tells = "egress_host"};

/* ---- listeners by hand; the owner's alone ---- */

static void proxies_on_loop(struct route_call *c)
{
    proxy_json(c->server, &c->out);
    route_answer(c, RC_OK);
}

struct proxy_input {
    const char *project, *task, *phase;
    bool secrets;
};
static const struct json_bind proxy_table[] = {
    BIND(proxy_input, project, BIND_STR, false, 0, SCOPE_ID_MAX),
    BIND(proxy_input, task, BIND_STR, false, 0, 16),
    BIND(proxy_input, phase, BIND_STR, false, 0, 16),
    BIND(proxy_input, secrets, BIND_BOOL, false, 0, 0),
};

static void proxy_post_on_loop(struct route_call *c)
{
    struct proxy_input in = {"", "", "work", false};
    struct proxy_hand hand;
    enum egress_phase phase;
    enum rc rc = c->body.n ? json_parse(c->ctx, c->body, &c->json, &c->err) : RC_OK;
    if (rc == RC_OK && c->body.n)
        rc = json_bind(c->ctx, c->json, proxy_table, sizeof proxy_table / sizeof *proxy_table, true, &in, &c->err);
    if (rc == RC_OK && !egress_phase_find(in.phase, &phase))
        rc = err_set(&c->err, RC_INVALID, "phase is setup or work");
    if (rc == RC_OK)
        rc = proxy_open_hand(c->ctx, c->server, in.project, in.task, phase, in.secrets, &hand, &c->err);
    if (rc == RC_OK) {
        jo_obj(&c->out);
        jo_kz(&c->out, "tag", hand.tag);
        jo_kz(&c->out, "url", hand.url);
        jo_key(&c->out, "environment");
        jo_arr(&c->out);
        for (const char *const *e = hand.environment; *e; e++)
            jo_z(&c->out, *e);
        jo_end_arr(&c->out);
        jo_end_obj(&c->out);
    }
    route_answer(c, rc);
}

static void proxy_delete_on_loop(struct route_call *c)
{
    proxy_close(c->server, c->param);
    jo_obj(&c->out);
    jo_kz(&c->out, "removed", c->param);
    jo_end_obj(&c->out);
    route_answer(c, RC_OK);
}

const struct route route_proxies_list = {"GET",
                                         "/api/v1/proxies",
                                         "the egress proxy and what is open there",
                                         NULL,
                                         proxies_on_loop,
                                         .gives = "Proxies",
                                         .access = ACCESS_ADMIN};
const struct route route_proxy_post = {"POST",
                                       "/api/v1/proxies",
                                       "open a listener of the egress proxy on 127.0.0.1",
                                       NULL,
                                       proxy_post_on_loop,
                                       .takes = "ProxyInput",
                                       .gives = "Proxy",
                                       .access = ACCESS_ADMIN};
const struct route route_proxy_delete = {
    "DELETE",           "/api/v1/proxies/:id", "close a listener of the egress proxy", NULL, proxy_delete_on_loop,
    .gives = "Removed", .access = ACCESS_ADMIN};
