/* Issuing, renewing and checking access tokens. */
#include "auth/access_token.h"
#include "base/id.h"
#include "base/json.h"
#include "crypt/jwt.h"

#define ISSUER    "nightmill"
#define SECOND_NS INT64_C(1000000000)
#define KEY_AGE   (30 * 86400 * SECOND_NS)
enum { KEYS_MOST = 8, KID = 8 };

struct verifier {
    char kid[KID + 1];
    uint8_t public_key[JWT_PUBLIC];
    int64_t created_ns;
};
struct access_tokens {
    struct store *store;
    struct sessions *sessions;
    struct account_key *key;
    pthread_mutex_t lock;            /* of what follows */
    struct verifier keys[KEYS_MOST]; /* the newest first */
    size_t n;
    bool can_sign; /* the newest one's secret is here */
    uint8_t secret[JWT_SECRET];
};

static int tokens_destroy(struct access_tokens *t)
{
    explicit_bzero(t->secret, sizeof t->secret);
    pthread_mutex_destroy(&t->lock);
    return 0;
}

struct access_tokens *access_tokens_new(mem *ctx, struct store *s, struct sessions *sessions, struct account_key *key)
{
    struct access_tokens *t = mem_new(ctx, struct access_tokens);
    t->store = s;
    t->sessions = sessions;
    t->key = key;
    pthread_mutex_init(&t->lock, NULL);
    talloc_set_destructor(t, tokens_destroy);
    return t;
}

bool access_token_is(struct str text)
{
    size_t dots = 0;
    for (size_t i = 0; i < text.n; i++)
        dots += text.p[i] == '.';
    return dots == 2;
}

static enum rc token_refused(struct err *err)
{
    err_set(err, RC_DENIED, "the access token is wrong or has ended");
    return err_hint(err, "get another one with the refresh token: POST /api/v1/token");
}

/* ---- keys that sign; with the lock held ---- */

static const char *purpose_of(mem *ctx, const char *kid)
{
    return mem_printf(ctx, "nightmill signing key %s", kid);
}

static enum rc keys_load(struct access_tokens *t, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct signing_key *rows;
    struct seal_key seal;
    struct str secret;
    size_t n = 0;
    enum rc rc = signing_key_list(tmp, t->store, &rows, &n, err);
    if (rc != RC_OK)
        return rc;
    t->n = 0;
    t->can_sign = false;
    for (size_t i = 0; i < n && t->n < KEYS_MOST; i++) {
        struct verifier *v = &t->keys[t->n];
        if (rows[i].public_key.n != JWT_PUBLIC || strlen(rows[i].id) != KID)
            continue;
        memcpy(v->kid, rows[i].id, KID + 1);
        memcpy(v->public_key, rows[i].public_key.p, JWT_PUBLIC);
        v->created_ns = rows[i].created_ns;
        if (t->n++ != 0 || account_key_get(t->key, &seal, NULL) != RC_OK)
            continue;
        if (seal_open(tmp, &seal, purpose_of(tmp, v->kid), rows[i].box, &secret, NULL) == RC_OK) {
            t->can_sign = secret.n == JWT_SECRET;
            if (t->can_sign)
                memcpy(t->secret, secret.p, JWT_SECRET);
            explicit_bzero((char *)(uintptr_t)secret.p, secret.n);
        }
        seal_key_wipe(&seal);
    }
    return RC_OK;
}

struct new_key {
    struct signing_key row;
    const char *drop[KEYS_MOST]; /* those too old for anything that still holds */
    size_t drop_n;
};

static enum rc key_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct new_key *k = arg;
    enum rc rc = signing_key_insert(tx, &k->row, err);
    for (size_t i = 0; rc == RC_OK && i < k->drop_n; i++)
        rc = signing_key_remove(tx, k->drop[i], err);
    return rc;
}

static enum rc key_make(struct access_tokens *t, int64_t now_ns, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    uint8_t public_key[JWT_PUBLIC], secret[JWT_SECRET];
    struct seal_key seal;
    enum rc rc = account_key_get(t->key, &seal, err);
    if (rc != RC_OK)
        return rc;
    jwt_key_new(public_key, secret);
    struct new_key k = {.row = {.id = id_new(tmp, KID),
                                .public_key = str_n((const char *)public_key, JWT_PUBLIC),
                                .created_ns = now_ns}};
    k.row.box = seal_box(tmp, &seal, purpose_of(tmp, k.row.id), str_n((const char *)secret, JWT_SECRET));
    explicit_bzero(secret, sizeof secret);
    seal_key_wipe(&seal);
    for (size_t i = 0; i < t->n; i++) /* the one before the newest has signed until now at the latest */
        if (i > 0 || now_ns - t->keys[i].created_ns > 2 * KEY_AGE)
            k.drop[k.drop_n++] = t->keys[i].kid;
    rc = store_write(t->store, key_tx, &k, err);
    return rc ? rc : keys_load(t, err);
}

/* The key that signs now: the newest one, unless it is too old or its secret is lost. */
static enum rc key_ready(struct access_tokens *t, int64_t now_ns, struct err *err)
{
    enum rc rc = t->n ? RC_OK : keys_load(t, err);
    if (rc == RC_OK && (!t->n || !t->can_sign || now_ns - t->keys[0].created_ns >= KEY_AGE))
        rc = key_make(t, now_ns, err);
    if (rc == RC_OK && !t->can_sign)
        rc = err_set(err, RC_UNAVAILABLE, "access tokens cannot be signed: the key file cannot be read");
    return rc;
}

static enum rc token_sign(mem *ctx, struct access_tokens *t, const char *subject, const char *session_id,
                          int64_t now_ns, const char **ret, struct err *err)
{
    int64_t now = now_ns / SECOND_NS;
    const char *claims = mem_printf(
        ctx, "{\"iss\":\"" ISSUER "\",\"aud\":\"" ISSUER "\",\"sub\":\"%s\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
        subject, session_id, (long long)now, (long long)(now + ACCESS_TOKEN_HOLDS / SECOND_NS));
    pthread_mutex_lock(&t->lock);
    enum rc rc = key_ready(t, now_ns, err);
    if (rc == RC_OK)
        *ret = jwt_eddsa(ctx, t->keys[0].kid, str_of(claims), t->secret);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/* ---- checking ---- */

static bool verifier_find(struct access_tokens *t, const char *kid, uint8_t ret[JWT_PUBLIC])
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    if (!t->n && keys_load(t, NULL) != RC_OK)
        t->n = 0;
    for (size_t i = 0; i < t->n && !found; i++) {
        found = strcmp(t->keys[i].kid, kid) == 0;
        if (found)
            memcpy(ret, t->keys[i].public_key, JWT_PUBLIC);
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

/* Exactly the claims that are issued, each once; ten minutes at most, of now. */
static bool claims_hold(mem *ctx, struct str text, int64_t now_ns, const char **ret_session)
{
    struct json claims;
    int64_t now = now_ns / SECOND_NS;
    if (json_parse(ctx, text, &claims, NULL) != RC_OK || json_type(claims) != JSON_OBJECT || json_len(claims) != 6 ||
        !json_eqz(json_get(claims, "iss"), ISSUER) || !json_eqz(json_get(claims, "aud"), ISSUER) ||
        json_type(json_get(claims, "sub")) != JSON_STRING)
        return false;
    int64_t issued = json_int(json_get(claims, "iat"), -1), ends = json_int(json_get(claims, "exp"), -1);
    *ret_session = json_z(ctx, json_get(claims, "sid"), NULL);
    return *ret_session && issued > 0 && issued <= now + 5 && ends > now && ends > issued &&
           ends - issued <= ACCESS_TOKEN_HOLDS / SECOND_NS;
}

enum rc access_token_check(mem *ctx, struct access_tokens *t, struct str token, int64_t now_ns, struct principal *ret,
                           struct err *err)
{
    uint8_t public_key[JWT_PUBLIC];
    struct str claims;
    const char *session = NULL, *kid = token.n <= JWT_MOST ? jwt_kid(ctx, token) : NULL;
    if (!kid || !verifier_find(t, kid, public_key) || !jwt_eddsa_open(ctx, token, public_key, &claims) ||
        !claims_hold(ctx, claims, now_ns, &session))
        return token_refused(err);
    return session_check_id(ctx, t->sessions, session, now_ns, ret, err);
}

/* ---- families ---- */

struct begin_job {
    struct session session;
    struct refresh_row refresh; /* hash empty: none */
};

static enum rc begin_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct begin_job *j = arg;
    enum rc rc = session_insert(tx, &j->session, err);
    return rc || !j->refresh.hash.n ? rc : refresh_insert(tx, &j->refresh, err);
}

static struct session session_row(mem *ctx, const struct session_place *place, int64_t now_ns, int64_t expires_ns)
{
    struct opaque nobody; /* a family has no token of its own */
    opaque_new("nmf_", &nobody);
    struct session row = {.id = id_new(ctx, SESSION_ID),
                          .hash = str_n(mem_strn(ctx, (const char *)nobody.hash, HASH_SHA256), HASH_SHA256),
                          .user_id = "",
                          .kind = "token",
                          .key_id = "",
                          .address = place->address,
                          .agent = mem_strn(ctx, place->agent, str_utf8_cut(str_of(place->agent), 200)),
                          .created_ns = now_ns,
                          .seen_ns = now_ns,
                          .expires_ns = expires_ns};
    opaque_wipe(&nobody);
    return row;
}

enum rc access_token_begin(mem *ctx, struct access_tokens *t, const char *user_id, const struct session_place *place,
                           int64_t now_ns, struct token_pair *ret, struct err *err)
{
    int64_t ends = now_ns + sessions_rules(t->sessions)->idle_ns;
    struct begin_job job = {.session = session_row(ctx, place, now_ns, ends)};
    *ret = (struct token_pair){.session_id = job.session.id};
    job.session.user_id = user_id;
    opaque_new(REFRESH_WORD, &ret->refresh);
    job.refresh = (struct refresh_row){.hash = str_n((const char *)ret->refresh.hash, HASH_SHA256),
                                       .session_id = job.session.id,
                                       .created_ns = now_ns,
                                       .expires_ns = ends};
    enum rc rc = token_sign(ctx, t, user_id, job.session.id, now_ns, &ret->access, err);
    return rc ? rc : store_write(t->store, begin_tx, &job, err);
}

enum rc access_token_of_key(mem *ctx, struct access_tokens *t, const struct principal *who,
                            const struct session_place *place, int64_t now_ns, struct token_pair *ret, struct err *err)
{
    struct begin_job job = {.session = session_row(ctx, place, now_ns, now_ns + ACCESS_TOKEN_HOLDS)};
    *ret = (struct token_pair){.session_id = job.session.id};
    job.session.user_id = who->user_id ? who->user_id : "";
    job.session.key_id = who->key_id;
    enum rc rc = token_sign(ctx, t, who->key_id, job.session.id, now_ns, &ret->access, err);
    return rc ? rc : store_write(t->store, begin_tx, &job, err);
}

struct renewal {
    mem *ctx;
    struct access_tokens *tokens;
    struct opaque shown, next;
    int64_t now_ns;
    const char *session_id;
    bool stolen;
};

static enum rc refresh_refused(struct err *err)
{
    err_set(err, RC_DENIED, "the refresh token is unknown or has ended");
    return err_hint(err, "log in again");
}

static enum rc renew_first(struct renewal *r, struct store_tx *tx, const struct refresh_row *row, struct err *err)
{
    struct session session;
    enum rc rc = session_find(r->ctx, r->tokens->store, row->session_id, &session, err);
    if (rc == RC_NOT_FOUND)
        return refresh_refused(err);
    if (rc != RC_OK)
        return rc;
    const struct session_rules *rules = sessions_rules(r->tokens->sessions);
    int64_t idle = r->now_ns + rules->idle_ns, last = session.created_ns + rules->longest_ns;
    struct refresh_row next = {.hash = str_n((const char *)r->next.hash, HASH_SHA256),
                               .session_id = row->session_id,
                               .created_ns = r->now_ns,
                               .expires_ns = idle < last ? idle : last};
    rc = refresh_used(tx, r->shown.hash, r->now_ns, err);
    if (rc == RC_OK)
        rc = refresh_insert(tx, &next, err);
    return rc ? rc : session_seen(tx, row->session_id, r->now_ns, next.expires_ns, err);
}

/* On the writer thread: one after the other, so of many that show the same token the first renews it. */
static enum rc renew_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct renewal *r = arg;
    struct refresh_row row;
    enum rc rc = refresh_find_tx(r->ctx, tx, r->shown.hash, &row, err);
    if (rc == RC_NOT_FOUND || (rc == RC_OK && r->now_ns >= row.expires_ns))
        return refresh_refused(err);
    if (rc != RC_OK)
        return rc;
    r->session_id = row.session_id;
    if (!row.used_ns)
        return renew_first(r, tx, &row, err);
    if (r->now_ns - row.used_ns <= REFRESH_GRACE)
        return RC_OK;
    r->stolen = true;
    return session_remove(tx, row.session_id, err);
}

enum rc access_token_refresh(mem *ctx, struct access_tokens *t, struct str refresh, int64_t now_ns,
                             struct token_pair *ret, struct err *err)
{
    struct renewal r = {.ctx = ctx, .tokens = t, .now_ns = now_ns};
    struct principal who;
    uint8_t key[HASH_SHA256];
    *ret = (struct token_pair){0};
    if (!opaque_read(REFRESH_WORD, refresh, &r.shown))
        return refresh_refused(err);
    enum rc rc = account_key_for(t->key, "refresh", key, err);
    if (rc != RC_OK)
        return rc;
    opaque_next(REFRESH_WORD, key, &r.shown, &r.next);
    explicit_bzero(key, sizeof key);
    rc = store_write(t->store, renew_tx, &r, err);
    opaque_wipe(&r.shown);
    ret->stolen = rc == RC_OK && r.stolen;
    ret->session_id = r.session_id;
    if (ret->stolen) {
        sessions_forget(t->sessions);
        err_set(err, RC_DENIED,
                "this refresh token was used before: somebody else may have it, so this login has ended");
        rc = err_hint(err, "log in again; if it was not you who used it twice, change the password");
    }
    if (rc == RC_OK)
        rc = session_check_id(ctx, t->sessions, r.session_id, now_ns, &who, err);
    if (rc == RC_OK)
        rc = token_sign(ctx, t, who.user_id ? who.user_id : "", r.session_id, now_ns, &ret->access, err);
    if (rc == RC_OK)
        ret->refresh = r.next;
    opaque_wipe(&r.next);
    return rc;
}
