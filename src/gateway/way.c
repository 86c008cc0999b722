/* Putting address, headers and key together; the exchange of a service account's token. */
#include "gateway/way.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/client.h"

enum { EXCHANGE_MS = 15000 };

static enum rc token_exchange(mem *ctx, const struct ways *w, const struct provider_view *p,
                              const struct vertex_account *a, int64_t now_s, char **ret, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    struct client_answer answer;
    char *assertion;
    int64_t seconds;
    enum rc rc = vertex_assertion(ctx, a, now_s, &assertion, err);
    if (rc)
        return rc;
    struct client_spec spec = {.method = "POST",
                               .url = a->token_uri,
                               .headers = headers,
                               .body = vertex_exchange_body(ctx, assertion),
                               .max_body = 1 << 20,
                               .timeout_ms = EXCHANGE_MS,
                               .cancel_fd = -1};
    rc = client_call(ctx, &spec, &answer, err);
    if (rc)
        return err_set(err, RC_UPSTREAM, "Google's token server cannot be reached");
    rc = vertex_token_read(ctx, answer.status, answer.body, ret, &seconds, err);
    if (rc)
        return rc;
    if (!log_censor(*ret))
        return err_set(err, RC_LIMIT, "there is no room for another secret");
    vertex_tokens_put(w->tokens, p->row.id, a->key_id, *ret, now_s + seconds);
    return RC_OK;
}

static enum rc account_way(mem *ctx, const struct ways *w, const struct provider_view *p, const char *upstream,
                           bool stream, const char *account, struct way *way, char **ret_token, struct err *err)
{
    struct vertex_account a;
    int64_t now_s = clock_wall_ns() / 1000000000;
    enum rc rc = vertex_account_read(ctx, str_of(account), &a, err);
    if (rc)
        return rc;
    *ret_token = vertex_tokens_get(ctx, w->tokens, p->row.id, a.key_id, now_s);
    if (!*ret_token)
        rc = token_exchange(ctx, w, p, &a, now_s, ret_token, err);
    explicit_bzero((char *)(uintptr_t)a.key_pem, strlen(a.key_pem));
    way->vertex_claude = vertex_is_claude(upstream);
    way->dialect = llm_dialect_find(way->vertex_claude ? "messages" : "gemini");
    way->url = vertex_url(ctx, p->base_url, a.project, vertex_location(ctx, p->base_url), upstream, stream);
    return rc;
}

bool way_waits(const struct provider_view *p)
{
    return p->kind->auth == PROVIDER_ACCOUNT || credential_waits(p->credential);
}

enum rc way_find(mem *ctx, const struct ways *w, const struct provider_view *p, enum llm_endpoint_kind kind,
                 const char *upstream, bool stream, struct way *ret, struct err *err)
{
    char *secret = NULL;
    *ret = (struct way){.dialect = llm_dialect_find(p->dialect)};
    enum rc rc = credential_get(ctx, w->credentials, p->credential, &secret, err);
    if (rc)
        return rc;
    bool account = p->kind->auth == PROVIDER_ACCOUNT;
    if (account && !secret) {
        err_set(err, RC_DENIED, "the provider %s has no service account", p->row.id);
        err_hint(err, "nightmill provider add %s --kind %s --key-file FILE.json", p->row.id, p->kind->name);
        return RC_DENIED;
    }
    if (account && kind == LLM_GENERATE) {
        char *key = secret;
        rc = account_way(ctx, w, p, upstream, stream, key, ret, &secret, err);
        credential_wipe(key);
    } else if (!account) {
        ret->url = kind == LLM_MODELS ? provider_list_url(ctx, p) : provider_url(ctx, p, kind, upstream, stream);
    }
    if (!rc && !ret->url)
        rc = err_set(err, RC_INVALID, "the provider %s has no such endpoint", p->row.id);
    if (rc)
        return rc;
    ret->secret = secret;
    return provider_headers(ctx, p, secret, &ret->headers, err);
}
