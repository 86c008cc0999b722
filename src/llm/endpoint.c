/* Paths of the dialects, both ways. */
#include "llm/endpoint.h"
#include "base/text.h"
#include "llm/wire.h"

static const struct {
    const char *method, *path;
    enum llm_endpoint_kind kind;
    const struct llm_dialect *dialect;
} fixed[] = {
    {"POST", "/v1/chat/completions", LLM_GENERATE, &llm_chat},
    {"POST", "/v1/responses", LLM_GENERATE, &llm_responses},
    {"POST", "/v1/messages", LLM_GENERATE, &llm_messages},
    {"POST", "/v1/messages/count_tokens", LLM_COUNT_TOKENS, &llm_messages},
    {"POST", "/v1/embeddings", LLM_EMBEDDINGS, &llm_chat},
    {"GET", "/v1/models", LLM_MODELS, &llm_chat},
    {"GET", "/v1beta/models", LLM_MODELS, &llm_gemini},
};
static const struct {
    const char *verb;
    enum llm_endpoint_kind kind;
    bool stream;
} verbs[] = {
    {"generateContent", LLM_GENERATE, false},
    {"streamGenerateContent", LLM_GENERATE, true},
    {"countTokens", LLM_COUNT_TOKENS, false},
};

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* A model's name with its percent-escapes resolved; NULL when it is empty, has control bytes, or steps up the path. */
static const char *model_read(mem *ctx, struct str raw)
{
    char *z = mem_zalloc(ctx, raw.n + 1), *at = z;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.n ? hex(raw.p[i + 1]) : -1, low = i + 2 < raw.n ? hex(raw.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c < ' ' || c == 0x7f)
            return NULL;
        *at++ = c;
    }
    return z[0] && !strstr(z, "..") ? z : NULL;
}

static bool has_sse(struct str query)
{
    struct str one;
    while (str_next(&query, '&', &one))
        if (str_eqz(one, "alt=sse"))
            return true;
    return false;
}

/* "/v1beta/models/M:verb", "/v1beta/models/M". */
static bool model_path(mem *ctx, const char *method, struct str rest, struct str query, bool v1, bool anthropic,
                       struct llm_endpoint *ret)
{
    const char *colon = NULL;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] == ':')
            colon = rest.p + i;
    if (strcmp(method, "GET") == 0) {
        ret->kind = LLM_MODEL;
        ret->dialect = !v1 ? &llm_gemini : anthropic ? &llm_messages : &llm_chat;
        ret->model = model_read(ctx, rest);
        return ret->model != NULL;
    }
    if (strcmp(method, "POST") != 0 || !colon)
        return false;
    struct str verb = str_sub(rest, (size_t)(colon - rest.p) + 1, rest.n);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!str_eqz(verb, verbs[i].verb))
            continue;
        *ret = (struct llm_endpoint){.dialect = &llm_gemini, .kind = verbs[i].kind, .stream = verbs[i].stream};
        ret->array = verbs[i].stream && !has_sse(query);
        ret->model = model_read(ctx, str_sub(rest, 0, (size_t)(colon - rest.p)));
        return ret->model != NULL;
    }
    return false;
}

bool llm_endpoint_find(mem *ctx, const char *method, struct str path, struct str query, bool anthropic_version,
                       struct llm_endpoint *ret)
{
    *ret = (struct llm_endpoint){0};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (strcmp(method, fixed[i].method) != 0 || !str_eqz(path, fixed[i].path))
            continue;
        ret->kind = fixed[i].kind;
        ret->dialect = fixed[i].kind == LLM_MODELS && fixed[i].dialect == &llm_chat && anthropic_version
                           ? &llm_messages
                           : fixed[i].dialect;
        return true;
    }
    bool v1 = str_starts(path, STR("/v1/models/")), beta = str_starts(path, STR("/v1beta/models/"));
    if (!v1 && !beta)
        return false;
    struct str rest = str_sub(path, v1 ? 11 : 15, path.n);
    return rest.n <= 512 && model_path(ctx, method, rest, query, v1, anthropic_version, ret);
}

/* Slashes stay: names of tuned models have them. */
static char *model_escape(mem *ctx, const char *model)
{
    struct buf b;
    struct str rest = str_of(model), piece;
    buf_init(&b, ctx, 3 * rest.n + 16);
    if (str_starts(rest, STR("models/")))
        rest = str_sub(rest, 7, rest.n);
    for (bool first = true; str_next(&rest, '/', &piece); first = false) {
        if (!first)
            buf_char(&b, '/');
        buf_z(&b, text_url(b.ctx, piece));
    }
    return b.p ? b.p : mem_str(ctx, "");
}

char *llm_path(mem *ctx, const struct llm_dialect *d, enum llm_endpoint_kind kind, const char *model, bool stream)
{
    if (d != &llm_gemini) {
        switch (kind) {
        case LLM_GENERATE:
            return mem_str(ctx, d->path);
        case LLM_COUNT_TOKENS:
            return d == &llm_messages ? mem_str(ctx, "/v1/messages/count_tokens") : NULL;
        case LLM_EMBEDDINGS:
            return d == &llm_messages ? NULL : mem_str(ctx, "/v1/embeddings");
        case LLM_MODELS:
            return mem_str(ctx, "/v1/models");
        case LLM_MODEL:
            return mem_printf(ctx, "/v1/models/%s", model_escape(ctx, model));
        }
    }
    if (kind == LLM_MODELS)
        return mem_str(ctx, d->path);
    static const char *const suffixes[] = {[LLM_GENERATE] = ":generateContent",
                                           [LLM_COUNT_TOKENS] = ":countTokens",
                                           [LLM_EMBEDDINGS] = ":batchEmbedContents",
                                           [LLM_MODEL] = ""};
    const char *suffix = kind == LLM_GENERATE && stream ? ":streamGenerateContent?alt=sse" : suffixes[kind];
    return mem_printf(ctx, "%s/%s%s", d->path, model_escape(ctx, model), suffix);
}
