/* The audit log: listed, checked, accepted. */
#include "api/route_rows.h"
#include "base/clock.h"

#define SECOND_NS INT64_C(1000000000)
enum { LIMIT = 50, LIMIT_MOST = 1000 };

static void row_json(struct route_call *c, const struct audit_row *r)
{
    struct json_out *o = &c->out;
    char hex[2 * HASH_SHA256 + 1] = "";
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < r->hash.n && i < HASH_SHA256; i++) {
        hex[2 * i] = digits[(uint8_t)r->hash.p[i] >> 4];
        hex[2 * i + 1] = digits[(uint8_t)r->hash.p[i] & 15];
    }
    jo_obj(o);
    jo_ki(o, "number", r->number);
    jo_kz(o, "time", clock_rfc3339(c->ctx, r->time_ns));
    jo_kz(o, "actor", r->actor);
    jo_kz(o, "actor_kind", r->actor_kind);
    jo_kz(o, "credential", r->credential);
    jo_kz(o, "address", r->address);
    jo_kz(o, "action", r->action);
    jo_kz(o, "object", r->object);
    jo_kz(o, "before", r->before);
    jo_kz(o, "after", r->after);
    jo_kz(o, "outcome", r->outcome);
    jo_kz(o, "hash", hex);
    jo_end_obj(o);
}

static int64_t when(struct route_call *c, const char *name)
{
    const char *text = route_query(c, name);
    int64_t seconds = 0;
    return text && str_int(str_of(text), 0, INT64_MAX / SECOND_NS, &seconds) ? seconds * SECOND_NS : 0;
}

static enum rc audit_show(struct route_call *c)
{
    struct audit_row *rows;
    size_t n = 0;
    struct audit_filter f = {.actor = route_query(c, "actor"),
                             .action = route_query(c, "action"),
                             .object = route_query(c, "object"),
                             .outcome = route_query(c, "outcome"),
                             .from_ns = when(c, "since"),
                             .to_ns = when(c, "until"),
                             .before = c->query_before,
                             .limit = c->query_limit ? c->query_limit : LIMIT};
    if (f.limit > LIMIT_MOST)
        f.limit = LIMIT_MOST;
    enum rc rc = audit_list(c->ctx, c->server->store, &f, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "entries");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        row_json(c, &rows[i]);
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if ((int64_t)n == f.limit)
        jo_int(&c->out, rows[n - 1].number);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc audit_check(struct route_call *c)
{
    struct audit_report report;
    struct json_out *o = &c->out;
    enum rc rc = audit_verify(c->ctx, c->server->audit, &report, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(o);
    jo_kb(o, "ok", report.n == 0);
    jo_ki(o, "rows", report.rows);
    jo_key(o, "signed_to");
    if (report.signed_to < 0)
        jo_null(o);
    else
        jo_int(o, report.signed_to);
    jo_ki(o, "behind", report.behind);
    jo_key(o, "findings");
    jo_arr(o);
    for (size_t i = 0; i < report.n; i++) {
        jo_obj(o);
        jo_ki(o, "number", report.findings[i].number);
        jo_kz(o, "kind", report.findings[i].kind);
        jo_kz(o, "words", report.findings[i].words);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
    return RC_OK;
}

/* The row about it comes after the head: it is the first of what goes on. */
static enum rc audit_take(struct route_call *c)
{
    enum rc rc = audit_accept(c->server->audit, &c->err);
    c->status = rc ? c->status : 204;
    return rc;
}

const struct route route_audit_list = {.method = "GET",
                                       .pattern = "/api/v1/audit",
                                       .summary = "who did what, newest first",
                                       .handle = audit_show,
                                       .access = ACCESS_ADMIN,
                                       .audited = AUDITED_SITTING,
                                       .query = "actor action object outcome since until limit before",
                                       .gives = "AuditEntries"};
const struct route route_audit_verify = {.method = "GET",
                                         .pattern = "/api/v1/audit/verify",
                                         .summary = "hold the audit log against its chain, its signatures and its head",
                                         .handle = audit_check,
                                         .access = ACCESS_ADMIN,
                                         .gives = "AuditReport"};
const struct route route_audit_accept = {.method = "POST",
                                         .pattern = "/api/v1/audit/accept",
                                         .summary = "sign the audit log as it is, after something was found",
                                         .handle = audit_take};
