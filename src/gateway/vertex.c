/* Service accounts and addresses of Vertex AI. Nothing here does I/O. */
#include "gateway/vertex.h"
#include "base/log.h"
#include "base/text.h"
#include "crypt/jwt.h"
#include <pthread.h>

#define SCOPE       "https://www.googleapis.com/auth/cloud-platform"
#define GRANT       "urn:ietf:params:oauth:grant-type:jwt-bearer" /* RFC 7523 */
#define LIFE_S      3600
#define SPARE_S     60
#define TOKEN_MAX   8192
#define LIFE_MOST_S (24 * 3600)
#define HOST_ENDING "aiplatform.googleapis.com"

static enum rc member_missing(const char *member, struct err *err)
{
    err_set(err, RC_INVALID, "the service account has no usable \"%s\"", member);
    err_hint(err, "take the JSON file of the account's key as Google hands it out");
    return RC_INVALID;
}

/* A token endpoint gets the signed assertion: only over TLS, or this machine's own. */
static bool token_uri_valid(const char *uri)
{
    struct str u = str_of(uri);
    for (size_t i = 0; i < u.n; i++)
        if (u.p[i] <= ' ' || u.p[i] > '~')
            return false;
    return (str_starts(u, STR("https://")) && u.n > 8) || str_starts(u, STR("http://127.0.0.1:")) ||
           str_starts(u, STR("http://[::1]:"));
}

enum rc vertex_account_read(mem *ctx, struct str json, struct vertex_account *ret, struct err *err)
{
    struct json root;
    const struct {
        const char *member;
        const char **to;
    } members[] = {{"project_id", &ret->project},
                   {"client_email", &ret->email},
                   {"private_key_id", &ret->key_id},
                   {"token_uri", &ret->token_uri},
                   {"private_key", &ret->key_pem}};
    if (json_parse(ctx, json, &root, NULL) != RC_OK || !json_eqz(json_get(root, "type"), "service_account"))
        return member_missing("type", err);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        *members[i].to = json_z(ctx, json_get(root, members[i].member), "");
        if (!**members[i].to)
            return member_missing(members[i].member, err);
    }
    return token_uri_valid(ret->token_uri) ? RC_OK : member_missing("token_uri", err);
}

enum rc vertex_assertion(mem *ctx, const struct vertex_account *a, int64_t now_s, char **ret, struct err *err)
{
    struct buf header, claims;
    struct json_out o;
    buf_init(&header, ctx, 65536);
    json_out_init(&o, &header);
    jo_obj(&o);
    jo_kz(&o, "alg", "RS256");
    jo_kz(&o, "typ", "JWT");
    jo_kz(&o, "kid", a->key_id);
    jo_end_obj(&o);
    buf_init(&claims, ctx, 65536);
    json_out_init(&o, &claims);
    jo_obj(&o);
    jo_kz(&o, "iss", a->email);
    jo_kz(&o, "scope", SCOPE);
    jo_kz(&o, "aud", a->token_uri);
    jo_ki(&o, "iat", now_s);
    jo_ki(&o, "exp", now_s + LIFE_S);
    jo_end_obj(&o);
    enum rc rc = jwt_rs256(ctx, buf_view(&header), buf_view(&claims), a->key_pem, ret, err);
    if (rc)
        err_context(err, "the service account %s", a->email);
    return rc;
}

struct str vertex_exchange_body(mem *ctx, const char *assertion)
{
    return str_of(mem_printf(ctx, "grant_type=%s&assertion=%s", text_url(ctx, STR(GRANT)), assertion));
}

static bool token_valid(const char *token)
{
    size_t n = strlen(token);
    for (size_t i = 0; i < n; i++)
        if (token[i] <= ' ' || token[i] > '~')
            return false;
    return n > 0 && n <= TOKEN_MAX;
}

enum rc vertex_token_read(mem *ctx, int status, struct str body, char **ret_token, int64_t *ret_seconds,
                          struct err *err)
{
    struct json root;
    if (json_parse(ctx, body, &root, NULL) != RC_OK)
        root = (struct json){0};
    const char *token = json_z(ctx, json_get(root, "access_token"), "");
    int64_t seconds = json_int(json_get(root, "expires_in"), 0);
    if (status == 200 && token_valid(token) && seconds > 0) {
        *ret_token = mem_str(ctx, token);
        *ret_seconds = seconds < LIFE_MOST_S ? seconds : LIFE_MOST_S;
        return RC_OK;
    }
    const char *words = json_z(ctx, json_get(root, "error_description"), json_z(ctx, json_get(root, "error"), ""));
    bool refused = status == 400 || status == 401 || status == 403;
    enum rc rc = refused ? RC_DENIED : RC_UPSTREAM;
    err_set(err, rc,
            refused ? "Google refuses the service account (status %d)"
                    : "Google's token server gave no token (status %d)",
            status);
    if (*words)
        err_detail(err, "%s", text_terminal_line(ctx, str_of(words), 300));
    if (refused)
        err_hint(err, "is its key still active, and the clock of this machine right?");
    return rc;
}

/* ---- addresses ---- */

bool vertex_is_claude(const char *upstream)
{
    return strncmp(upstream, "claude", 6) == 0;
}

char *vertex_location(mem *ctx, const char *base)
{
    struct str host = str_of(base), first;
    long scheme = str_find(host, STR("://"));
    host = scheme < 0 ? host : str_sub(host, (size_t)scheme + 3, host.n);
    if (str_next(&host, '/', &first) && str_ends(first, STR("-" HOST_ENDING)))
        return str_dup(ctx, str_sub(first, 0, first.n - strlen("-" HOST_ENDING)));
    return mem_str(ctx, "global");
}

char *vertex_url(mem *ctx, const char *base, const char *project, const char *location, const char *upstream,
                 bool stream)
{
    bool claude = vertex_is_claude(upstream);
    const char *verb = claude ? (stream ? "streamRawPredict" : "rawPredict")
                              : (stream ? "streamGenerateContent?alt=sse" : "generateContent");
    struct str b = str_of(base);
    while (b.n && b.p[b.n - 1] == '/')
        b.n--;
    if (!b.n && strcmp(location, "global") == 0)
        b = STR("https://" HOST_ENDING);
    else if (!b.n)
        b = str_of(mem_printf(ctx, "https://%s-" HOST_ENDING, text_url(ctx, str_of(location))));
    return mem_printf(ctx, "%.*s/v1/projects/%s/locations/%s/publishers/%s/models/%s:%s", STR_FMT(b),
                      text_url(ctx, str_of(project)), text_url(ctx, str_of(location)), claude ? "anthropic" : "google",
                      text_url(ctx, str_of(upstream)), verb);
}

/* ---- tokens that still hold ---- */

struct kept {
    char *provider, *key_id, *token;
    int64_t until_s;
    struct kept *next;
};
struct vertex_tokens {
    pthread_mutex_t lock;
    struct kept *first;
};

static int kept_destroy(struct kept *k)
{
    if (k->token) {
        log_censor_drop(k->token); /* it has ended, or is about to */
        explicit_bzero(k->token, strlen(k->token));
    }
    return 0;
}

static int tokens_destroy(struct vertex_tokens *t)
{
    for (struct kept *k = t->first, *next; k; k = next) {
        next = k->next;
        mem_free(k);
    }
    pthread_mutex_destroy(&t->lock);
    return 0;
}

struct vertex_tokens *vertex_tokens_new(mem *ctx)
{
    struct vertex_tokens *t = mem_new(ctx, struct vertex_tokens);
    pthread_mutex_init(&t->lock, NULL);
    talloc_set_destructor(t, tokens_destroy);
    return t;
}

static struct kept **kept_at(struct vertex_tokens *t, const char *provider)
{
    struct kept **at = &t->first;
    while (*at && strcmp((*at)->provider, provider) != 0)
        at = &(*at)->next;
    return at;
}

char *vertex_tokens_get(mem *ctx, struct vertex_tokens *t, const char *provider, const char *key_id, int64_t now_s)
{
    pthread_mutex_lock(&t->lock);
    const struct kept *k = *kept_at(t, provider);
    bool holds = k && strcmp(k->key_id, key_id) == 0 && k->until_s - SPARE_S > now_s;
    char *token = holds ? mem_str(ctx, k->token) : NULL;
    pthread_mutex_unlock(&t->lock);
    return token;
}

void vertex_tokens_put(struct vertex_tokens *t, const char *provider, const char *key_id, const char *token,
                       int64_t until_s)
{
    pthread_mutex_lock(&t->lock);
    struct kept **at = kept_at(t, provider), *old = *at;
    struct kept *k = mem_new(NULL, struct kept); /* a tree of its own: several threads come here */
    talloc_set_destructor(k, kept_destroy);
    k->provider = mem_str(k, provider);
    k->key_id = mem_str(k, key_id);
    k->token = mem_str(k, token);
    k->until_s = until_s;
    k->next = old ? old->next : NULL;
    *at = k;
    mem_free(old);
    pthread_mutex_unlock(&t->lock);
}
