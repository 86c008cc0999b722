/* The choice of a model server. Not here: asking it for work (gateway). */
#include "ops/model.h"
#include "llm/llm.h"
#include "net/client.h"
#include <stdlib.h>

/* The providers whose keys are looked for, in this order. Model names: the providers' current general-purpose models
 * that have a built-in price. */
static const struct {
    const char *key, *url, *host, *wire, *model;
} providers[] = {
    {"ANTHROPIC_API_KEY", "https://api.anthropic.com", "api.anthropic.com", "messages", "claude-sonnet-4-5"},
    {"OPENAI_API_KEY", "https://api.openai.com", "api.openai.com", "openai", "gpt-5"},
};
#define PROVIDERS (sizeof providers / sizeof *providers)

bool model_key_in_environment(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

static struct str url_host(struct str url)
{
    long scheme = str_find(url, STR("://"));
    struct str rest = scheme < 0 ? url : str_sub(url, (size_t)scheme + 3, url.n), host = {0};
    str_next(&rest, '/', &host);
    rest = host;
    str_next(&rest, ':', &host);
    return host;
}

static enum rc choose_by_url(mem *ctx, const struct settings *set, const char *url, bool (*has_key)(const char *),
                             struct model_choice *m, struct err *err)
{
    struct str u = str_of(url);
    if (!str_starts(u, STR("http://")) && !str_starts(u, STR("https://"))) {
        err_set(err, RC_INVALID, "the model server's address must begin with http:// or https://: %s", url);
        return err_hint(err, "for a server on this machine: export NIGHTMILL_MODEL_URL=http://127.0.0.1:8080");
    }
    m->url = mem_str(ctx, url);
    m->wire = "chat";
    m->key = has_key("NIGHTMILL_MODEL_KEY") ? "NIGHTMILL_MODEL_KEY" : "";
    m->why = mem_printf(ctx, "model.url (%s)", setting_origin(set, setting_row_find("model.url")));
    for (size_t i = 0; i < PROVIDERS; i++) {
        if (!str_eqz(url_host(u), providers[i].host))
            continue;
        m->wire = providers[i].wire;
        m->key = providers[i].key;
        m->name = m->name && *m->name ? m->name : providers[i].model;
    }
    return RC_OK;
}

static enum rc choose_by_key(bool (*has_key)(const char *), struct model_choice *m, mem *ctx, struct err *err)
{
    for (size_t i = 0; i < PROVIDERS; i++) {
        if (!has_key(providers[i].key))
            continue;
        m->url = providers[i].url;
        m->wire = providers[i].wire;
        m->key = providers[i].key;
        m->name = m->name && *m->name ? m->name : providers[i].model;
        m->why = mem_printf(ctx, "%s is set", providers[i].key);
        return RC_OK;
    }
    err_set(err, RC_INVALID, "there is no way to a model");
    return err_hint(
        err,
        "export ANTHROPIC_API_KEY or OPENAI_API_KEY, or NIGHTMILL_MODEL_URL for a server of your own (llama-server, vLLM, Ollama), or add a provider: nightmill provider add");
}

/* A key at hand comes before tier A, which is only the last resort of those who named nothing. */
static bool choose_by_gateway(const struct model_known *known, bool last, struct model_choice *m)
{
    const char *name = m->name && *m->name ? m->name : last ? "A" : NULL;
    if (!known->gateway || !name || !known->gateway(known->arg, name))
        return false;
    m->name = name;
    m->url = m->key = "";
    m->wire = str_starts(str_of(name), STR("claude")) ? "messages" : "chat"; /* the gateway translates */
    m->why = "known to the gateway";
    return true;
}

enum rc model_list(mem *ctx, const struct model_choice *m, const char *key_value, int *ret_status,
                   const char *const **ret_ids, struct err *err)
{
    const struct llm_dialect *d = llm_dialect_find(m->wire);
    struct str base = str_of(m->url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (str_ends(base, STR("/v1")))
        base.n -= 3;
    struct client_spec spec = {.method = "GET",
                               .url = mem_printf(ctx, "%.*s/v1/models", STR_FMT(base)),
                               .headers = d ? d->headers(ctx, key_value) : NULL,
                               .max_body = 4u << 20,
                               .timeout_ms = 10000,
                               .cancel_fd = -1};
    struct client_answer answer;
    struct json root;
    *ret_status = 0;
    *ret_ids = mem_array(ctx, const char *, 1);
    enum rc rc = client_call(ctx, &spec, &answer, err);
    if (rc != RC_OK)
        return rc;
    *ret_status = answer.status;
    if (answer.status != 200 || json_parse(ctx, answer.body, &root, NULL) != RC_OK)
        return RC_OK;
    struct json list = json_get(root, "data");
    const char **ids = mem_array(ctx, const char *, json_len(list) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        const char *id = json_z(ctx, json_get(it.value, "id"), NULL);
        if (id)
            ids[n++] = id;
    }
    *ret_ids = ids;
    return RC_OK;
}

/* A server of one's own usually has one model: it is asked. */
static enum rc name_from_server(mem *ctx, struct model_choice *m, struct err *err)
{
    int status;
    const char *const *ids;
    enum rc rc = model_list(ctx, m, *m->key ? getenv(m->key) : NULL, &status, &ids, err);
    if (rc != RC_OK)
        return err_hint(err, "is the model server running? its address is %s", m->url);
    if (status == 401 || status == 403) {
        err_set(err, RC_DENIED, "%s refuses the key%s%s (status %d)", m->url, *m->key ? " " : "", m->key, status);
        return *m->key ? err_hint(err, "put a valid key into %s", m->key)
                       : err_hint(err, "export NIGHTMILL_MODEL_KEY=...");
    }
    if (!ids[0]) {
        err_set(err, RC_INVALID, "no model is named and the server at %s lists none (status %d)", m->url, status);
        return err_hint(err, "name one: --model NAME, or export NIGHTMILL_MODEL_NAME");
    }
    m->name = ids[0];
    m->why = mem_printf(ctx, "%s; the first model that the server lists", m->why);
    return RC_OK;
}

enum rc model_choose(mem *ctx, const struct settings *set, const char *name, const struct model_known *known,
                     struct model_choice *ret, struct err *err)
{
    const char *url = setting_text(set, "model.url"), *wire = setting_text(set, "model.wire"),
               *key = setting_text(set, "model.key_env");
    *ret = (struct model_choice){.name = name && *name ? name : setting_text(set, "model.name"),
                                 .context = setting_int(set, "model.context"),
                                 .max_output = setting_int(set, "model.max_output"),
                                 .stronger = setting_text(set, "model.stronger")};
    if (!*url && choose_by_gateway(known, false, ret))
        return RC_OK;
    enum rc rc = *url ? choose_by_url(ctx, set, url, known->key, ret, err) : choose_by_key(known->key, ret, ctx, err);
    if (rc != RC_OK && !*url && choose_by_gateway(known, true, ret))
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    if (strcmp(wire, "auto") != 0)
        ret->wire = wire;
    if (*key)
        ret->key = key;
    return ret->name && *ret->name ? RC_OK : name_from_server(ctx, ret, err);
}
