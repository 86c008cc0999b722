/* Probes: one exchange, and the words for what went wrong. */
#include "gateway/probe.h"
#include "base/clock.h"
#include "net/client.h"

enum { PROBE_MS = 20000, BODY_MOST = 8 << 20 };

static enum rc unreachable(const struct provider_view *p, enum rc rc, struct err *err)
{
    struct err cause = err ? *err : (struct err){0};
    err_set(err, RC_UPSTREAM, "the provider %s cannot be reached at %s", p->row.id, p->base_url);
    err_detail(err, "%s", cause.sentence);
    err_hint(err,
             rc == RC_TIMEOUT ? "it did not answer within 20 s; is its address right?"
                              : "is it running, and its address right? nightmill provider add %s --url URL",
             p->row.id);
    return RC_UPSTREAM;
}

/* What the provider said in its own words, with the step that mends it. */
static enum rc refused(const struct provider_view *p, const struct client_answer *a, const char *upstream,
                       struct err *err)
{
    struct llm_failure f;
    llm_failure_read(a->status, a->headers, a->body, clock_wall_ns(), &f);
    enum rc rc = f.rc == RC_OK || f.rc == RC_UNAVAILABLE ? RC_UPSTREAM : f.rc;
    err_set(err, rc, "%s", f.err.sentence[0] ? f.err.sentence : "the provider refuses the request");
    err_detail(err, "%s answered with status %d%s%s", p->row.id, a->status, f.err.detail[0] ? ": " : "", f.err.detail);
    if (a->status == 401 || a->status == 403)
        err_hint(err, "give it a valid key: nightmill provider add %s --key-stdin", p->row.id);
    else if (a->status == 404 && upstream)
        err_hint(err, "nightmill provider test %s lists the models that it has", p->row.id);
    else if (a->status == 404)
        err_hint(err, "is its address right? nightmill provider add %s --url URL", p->row.id);
    else if (f.err.hint[0])
        err_hint(err, "%s", f.err.hint);
    return rc;
}

static enum rc exchange(mem *ctx, const struct provider_view *p, const struct way *way, const char *method,
                        struct str body, const char *upstream, struct probe *ret, struct str *ret_body, struct err *err)
{
    struct client_answer a;
    struct client_spec spec = {.unix_socket = way->socket,
                               .method = method,
                               .url = way->url,
                               .headers = way->headers,
                               .body = body,
                               .max_body = BODY_MOST,
                               .timeout_ms = PROBE_MS,
                               .cancel_fd = -1};
    int64_t began = clock_mono_ms();
    enum rc rc = client_call(ctx, &spec, &a, err);
    ret->latency_ms = clock_mono_ms() - began;
    ret->url = way->url;
    if (rc)
        return unreachable(p, rc, err);
    if (a.status < 200 || a.status > 299)
        return refused(p, &a, upstream, err);
    *ret_body = a.body;
    return RC_OK;
}

/* The account's token shows that key, clock and account are right; models are not listed there. */
static enum rc probe_account(mem *ctx, const struct ways *w, const struct provider_view *p, struct probe *ret,
                             struct err *err)
{
    struct way way;
    int64_t began = clock_mono_ms();
    enum rc rc = way_find(ctx, w, p, LLM_GENERATE, "gemini", false, &way, err);
    ret->latency_ms = clock_mono_ms() - began;
    ret->url = p->base_url;
    return rc;
}

enum rc probe_provider(mem *ctx, const struct ways *w, const struct provider_view *p, struct probe *ret,
                       struct err *err)
{
    struct way way;
    struct str body;
    *ret = (struct probe){0};
    if (p->kind->auth == PROVIDER_ACCOUNT)
        return probe_account(ctx, w, p, ret, err);
    enum rc rc = way_find(ctx, w, p, LLM_MODELS, "", false, &way, err);
    if (!rc)
        rc = exchange(ctx, p, &way, "GET", STR(""), NULL, ret, &body, err);
    return rc ? rc : provider_list_read(ctx, p, body, &ret->models, err);
}

/* Small, and not below what any provider takes: OpenAI's Responses want a cap of 16 at least. */
static struct str question(mem *ctx, const char *model)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "model", model);
    jo_ki(&o, "max_tokens", 16);
    jo_kraw(&o, "messages", STR("[{\"role\":\"user\",\"content\":\"Hi\"}]"));
    jo_end_obj(&o);
    return buf_view(&b);
}

enum rc probe_model(mem *ctx, const char *socket, const struct provider_view *p, const char *upstream,
                    struct probe *ret, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct way way = {.url = "http://localhost/v1/chat/completions", .headers = headers, .socket = socket};
    struct str body;
    struct json root;
    *ret = (struct probe){0};
    const char *name = mem_printf(ctx, "%s/%s", p->row.id, upstream);
    enum rc rc = exchange(ctx, p, &way, "POST", question(ctx, name), upstream, ret, &body, err);
    ret->url = p->base_url;
    if (rc)
        return rc;
    if (json_parse(ctx, body, &root, NULL) != RC_OK || json_type(root) != JSON_OBJECT) {
        err_set(err, RC_UPSTREAM, "the answer of the provider %s is no JSON", p->row.id);
        err_hint(err, "is that the address of a model server? %s", p->base_url);
        return RC_UPSTREAM;
    }
    ret->served = json_z(ctx, json_get(root, "model"), json_z(ctx, json_get(root, "modelVersion"), NULL));
    return RC_OK;
}
