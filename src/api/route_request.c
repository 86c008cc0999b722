/* The record of model requests: listed, shown with attempts and bodies; what is kept of a project's. */
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/exchange.h"

#define BODY_USUAL (1 << 20)
#define BODY_MOST  (64 << 20)
#define SECOND_NS  INT64_C(1000000000)

static void usage_json(struct json_out *o, const struct exchange *x)
{
    jo_key(o, "usage");
    if (!x->usage_known) {
        jo_null(o);
        return;
    }
    jo_obj(o);
    jo_ki(o, "input", x->usage.input);
    jo_ki(o, "cache_read", x->usage.cache_read);
    jo_ki(o, "cache_write", x->usage.cache_write);
    jo_ki(o, "cache_write_1h", x->usage.cache_write_1h);
    jo_ki(o, "output", x->usage.output);
    jo_ki(o, "reasoning", x->usage.reasoning);
    jo_end_obj(o);
}

static void ms_json(struct json_out *o, const char *name, int64_t ms)
{
    jo_key(o, name);
    if (ms < 0)
        jo_null(o);
    else
        jo_int(o, ms);
}

/* Members; the object is the caller's. */
static void exchange_json(struct route_call *c, const struct exchange *x)
{
    struct json_out *o = &c->out;
    struct json attempts;
    jo_ki(o, "number", x->number);
    jo_kz(o, "id", x->id);
    jo_kz(o, "time", clock_rfc3339(c->ctx, x->time_ns));
    const struct {
        const char *name, *value;
    } texts[] = {{"organisation", x->spender.organisation},
                 {"project", x->spender.project},
                 {"task", x->spender.task},
                 {"agent", x->spender.agent},
                 {"key", x->spender.key},
                 {"user", x->spender.user},
                 {"dialect", x->dialect},
                 {"endpoint", x->endpoint},
                 {"model", x->model},
                 {"client", x->client},
                 {"state", x->state},
                 {"outcome", x->outcome},
                 {"provider", x->provider},
                 {"model_served", x->model_served},
                 {"content_type", x->content_type},
                 {"words", x->words},
                 {"request_hash", x->request_hash},
                 {"request_body", x->request_body},
                 {"answer_body", x->answer_body}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        jo_kz(o, texts[i].name, texts[i].value);
    jo_kb(o, "stream", x->stream);
    jo_ki(o, "status", x->status);
    usage_json(o, x);
    jo_kz(o, "cost", *x->currency ? money_exact(c->ctx, x->cost, 2) : NULL);
    jo_kz(o, "currency", *x->currency ? x->currency : NULL);
    jo_kb(o, "cache_hit", x->cache_hit);
    ms_json(o, "first_byte_ms", x->first_byte_ms);
    ms_json(o, "ms", x->ms);
    jo_ki(o, "request_bytes", x->request_bytes);
    jo_ki(o, "answer_bytes", x->answer_bytes);
    bool whole = json_parse(c->ctx, str_of(x->attempts), &attempts, NULL) == RC_OK; /* redaction may have cut into it */
    jo_kraw(o, "attempts", whole ? json_raw(attempts) : STR("[]"));
}

/* A whole number of the query; the standard where it is not given. */
static enum rc query_number(struct route_call *c, const char *name, int64_t standard, int64_t most, int64_t *ret)
{
    const char *text = route_query(c, name);
    *ret = standard;
    if (!text || str_int(str_of(text), 0, most, ret))
        return RC_OK;
    return err_set(&c->err, RC_INVALID, "%s is a whole number from 0 to %lld", name, (long long)most);
}

static enum rc filter_read(struct route_call *c, struct exchange_filter *f)
{
    const char *own = c->principal.project, *order = route_query(c, "order");
    *f = (struct exchange_filter){.task = route_query(c, "task"),
                                  .key = route_query(c, "key"),
                                  .project = *own ? own : route_query(c, "project"),
                                  .model = route_query(c, "model"),
                                  .provider = route_query(c, "provider"),
                                  .outcome = route_query(c, "outcome"),
                                  .state = route_query(c, "state"),
                                  .before = c->query_before,
                                  .limit = c->query_limit ? c->query_limit : 50};
    if (order && strcmp(order, "oldest") != 0 && strcmp(order, "newest") != 0)
        return err_set(&c->err, RC_INVALID, "order is newest or oldest");
    f->oldest_first = order && strcmp(order, "oldest") == 0;
    if (f->oldest_first)
        f->before = c->query_after;
    enum rc rc = query_number(c, "status", 0, 599, &f->status);
    if (rc == RC_OK)
        rc = query_number(c, "since", 0, INT64_MAX / SECOND_NS, &f->since_ns);
    if (rc == RC_OK)
        rc = query_number(c, "until", 0, INT64_MAX / SECOND_NS, &f->until_ns);
    f->since_ns *= SECOND_NS;
    f->until_ns *= SECOND_NS;
    if (f->limit > EXCHANGE_LIST_MAX)
        f->limit = EXCHANGE_LIST_MAX;
    return rc;
}

static enum rc requests_list(struct route_call *c)
{
    struct exchange_filter f;
    struct exchange *rows;
    size_t n;
    enum rc rc = filter_read(c, &f);
    if (rc == RC_OK)
        recorder_sync(c->server->recorder);
    if (rc == RC_OK)
        rc = exchange_list(c->ctx, c->server->store, &f, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "requests");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        jo_obj(&c->out);
        exchange_json(c, &rows[i]);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if ((int64_t)n == f.limit)
        jo_int(&c->out, rows[n - 1].number);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* {"text"} or, where it is no UTF-8, {"base64"}; "cut": there is more. null where nothing is kept. */
static enum rc body_json(struct route_call *c, const struct exchange *x, const char *name, enum exchange_side side,
                         const char *kept, int64_t most)
{
    struct str body;
    bool cut;
    jo_key(&c->out, name);
    if (strcmp(kept, "whole") != 0 && strcmp(kept, "cut") != 0) {
        jo_null(&c->out);
        return RC_OK;
    }
    enum rc rc = exchange_body(c->ctx, c->server->store, x->number, side, (size_t)most, &body, &cut, &c->err);
    if (rc != RC_OK)
        return rc;
    if (cut && str_utf8(str_sub(body, 0, str_utf8_cut(body, body.n))))
        body.n = str_utf8_cut(body, body.n);
    jo_obj(&c->out);
    if (str_utf8(body))
        jo_ks(&c->out, "text", body);
    else
        jo_kz(&c->out, "base64", text_base64(c->ctx, body));
    jo_kb(&c->out, "cut", cut || strcmp(kept, "cut") == 0);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc request_show(struct route_call *c)
{
    struct exchange x;
    int64_t most;
    enum rc rc = query_number(c, "body", BODY_USUAL, BODY_MOST, &most);
    if (rc == RC_OK)
        recorder_sync(c->server->recorder);
    if (rc == RC_OK)
        rc = exchange_find(c->ctx, c->server->store, c->param, &x, &c->err);
    if (rc == RC_OK)
        rc = principal_project(&c->principal, x.spender.project, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    exchange_json(c, &x);
    if (most) {
        rc = body_json(c, &x, "request", EXCHANGE_REQUEST, x.request_body, most);
        if (rc == RC_OK)
            rc = body_json(c, &x, "answer", EXCHANGE_ANSWER, x.answer_body, most);
    }
    jo_end_obj(&c->out);
    if (rc == RC_OK && c->out_buf.overflow)
        rc = err_set(&c->err, RC_LIMIT, "the bodies are too large for one answer; ask with a smaller body=BYTES");
    return rc;
}

/* ---- what is kept of a project's requests ---- */

static void policy_json(struct route_call *c, const struct record_policy *p)
{
    jo_obj(&c->out);
    jo_kz(&c->out, "project", p->project);
    jo_kz(&c->out, "keep", record_keep_name(p->keep));
    jo_ki(&c->out, "days_metadata", p->days_metadata);
    jo_ki(&c->out, "days_bodies", p->days_bodies);
    jo_ki(&c->out, "body_max", p->body_max);
    jo_end_obj(&c->out);
}

static enum rc record_policies_list(struct route_call *c)
{
    struct record_policy *rows;
    size_t n;
    enum rc rc = record_policy_list(c->ctx, c->server->store, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "standard");
    policy_json(c, &c->server->record_policy);
    jo_key(&c->out, "projects");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        if (principal_project(&c->principal, rows[i].project, NULL) == RC_OK)
            policy_json(c, &rows[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

struct policy_input {
    const char *project, *keep;
    int64_t days_metadata, days_bodies, body_max;
};
static const struct json_bind policy_table[] = {
    BIND(policy_input, project, BIND_STR, true, 0, SCOPE_ID_MAX),
    BIND(policy_input, keep, BIND_STR, false, 0, 16),
    BIND(policy_input, days_metadata, BIND_INT, false, 0, 36500),
    BIND(policy_input, days_bodies, BIND_INT, false, 0, 36500),
    BIND(policy_input, body_max, BIND_INT, false, 0, BODY_MOST),
};

static enum rc policy_set_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return record_policy_set(tx, arg, err);
}

static enum rc policy_remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return record_policy_remove(tx, arg, err);
}

static enum rc record_policy_put(struct route_call *c)
{
    const struct record_policy *standard = &c->server->record_policy;
    struct policy_input in = {"", record_keep_name(standard->keep), standard->days_metadata, standard->days_bodies,
                              standard->body_max};
    struct record_policy p;
    enum rc rc =
        json_bind(c->ctx, c->json, policy_table, sizeof policy_table / sizeof *policy_table, true, &in, &c->err);
    if (rc == RC_OK)
        rc = principal_project(&c->principal, in.project, &c->err);
    p = (struct record_policy){in.project, RECORD_NONE, in.days_metadata, in.days_bodies, in.body_max};
    if (rc == RC_OK && !record_keep_find(in.keep, &p.keep))
        rc = err_set(&c->err, RC_INVALID, "keep is none, metadata or full");
    if (rc == RC_OK)
        rc = store_write(c->server->store, policy_set_tx, &p, &c->err);
    if (rc != RC_OK)
        return rc;
    c->record_policies = true;
    policy_json(c, &p);
    return RC_OK;
}

static enum rc record_policy_delete(struct route_call *c)
{
    const char *project = route_query(c, "project");
    if (!project)
        return err_set(&c->err, RC_INVALID, "say whose policy is removed: project=NAME");
    enum rc rc = principal_project(&c->principal, project, &c->err);
    if (rc == RC_OK)
        rc = store_write(c->server->store, policy_remove_tx, (void *)(uintptr_t)project, &c->err);
    if (rc != RC_OK)
        return rc;
    c->record_policies = true;
    policy_json(c, &c->server->record_policy);
    return RC_OK;
}

const struct route route_requests_list = {
    "GET",
    "/api/v1/requests",
    "the record of model requests, newest first",
    requests_list,
    .access = ACCESS_READ,
    .narrow = NARROW_ONE,
    .query = "task key project model provider outcome state status since until before after order limit",
    .gives = "Requests"};
const struct route route_request_show = {
    "GET",           "/api/v1/requests/:id", "one request with its attempts and bodies",
    request_show,    .access = ACCESS_ADMIN, .narrow = NARROW_ONE,
    .query = "body", .gives = "Request",     .audited = AUDITED_SITTING};
const struct route route_record_policies = {"GET",
                                            "/api/v1/record_policies",
                                            "what is kept of requests, by project",
                                            record_policies_list,
                                            .access = ACCESS_READ,
                                            .narrow = NARROW_ONE,
                                            .gives = "RecordPolicies"};
const struct route route_record_policy_put = {"PUT",
                                              "/api/v1/record_policies",
                                              "what is kept of a project's requests",
                                              record_policy_put,
                                              .access = ACCESS_ADMIN,
                                              .narrow = NARROW_ONE,
                                              .takes = "RecordPolicyInput",
                                              .gives = "RecordPolicy",
                                              .tells = "record_policy"};
const struct route route_record_policy_delete = {"DELETE",
                                                 "/api/v1/record_policies",
                                                 "back to what the settings say",
                                                 record_policy_delete,
                                                 .access = ACCESS_ADMIN,
                                                 .narrow = NARROW_ONE,
                                                 .query = "project",
                                                 .gives = "RecordPolicy",
                                                 .tells = "record_policy"};
