/* Web push (RFC 8030): a message to one browser through its vendor's service, which learns nothing but that there is
 * one. What is in it says only that a task needs somebody. */
#include "crypt/jwt.h"
#include "net/url.h"
#include "notify/room.h"
#include "store/sealed.h"

#define KEY_ID       "notify.vapid"
#define TOKEN_S      (12 * 3600) /* RFC 8292 allows 24 h */
#define TTL_S        "86400"
#define TOPIC_LENGTH 32

static bool key_sealed(struct notifier *n)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct sealed *rows;
    size_t count;
    if (sealed_list(tmp, n->spec.store, &rows, &count, NULL) != RC_OK)
        return true; /* not known: better no key than another one */
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].id, KEY_ID) == 0)
            return true;
    return false;
}

static enum rc key_read(struct notifier *n, struct webpush_key *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *text;
    uint8_t secret[WEBPUSH_PRIVATE];
    enum rc rc = credential_get(tmp, n->spec.credentials, "sealed:" KEY_ID, &text, err);
    if (rc != RC_OK)
        return rc;
    bool ok = base64url_read(str_of(text), secret, sizeof secret);
    credential_wipe(text);
    rc = ok ? webpush_key_of(str_n((const char *)secret, sizeof secret), ret, err)
            : err_set(err, RC_INVALID, "the sealed key for push services is none");
    explicit_bzero(secret, sizeof secret);
    return rc;
}

static enum rc key_make(struct notifier *n, int64_t now_ns, struct webpush_key *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    webpush_key_new(ret);
    char *text = base64url(tmp, str_n((const char *)ret->secret, WEBPUSH_PRIVATE));
    enum rc rc = credential_seal(n->spec.credentials, n->spec.store, KEY_ID, str_of(text), now_ns, err);
    explicit_bzero(text, strlen(text));
    return rc;
}

enum rc notifier_push_key(struct notifier *n, struct webpush_key *ret, struct err *err)
{
    pthread_mutex_lock(&n->key_lock);
    enum rc rc = key_read(n, ret, err);
    if (rc == RC_DENIED && !key_sealed(n))
        rc = key_make(n, 1, ret, err);
    pthread_mutex_unlock(&n->key_lock);
    return rc;
}

/* "task x needs you", without why. */
static struct str words_short(const char *words)
{
    return str_n(words, strcspn(words, ":"));
}

static struct str text_make(mem *ctx, const struct notice *what)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, WEBPUSH_TEXT_MOST);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "title", "Nightmill");
    jo_ks(&o, "body", words_short(what->words));
    if (*what->task)
        jo_kz(&o, "task", what->task);
    jo_kz(&o, "level", notice_level_name(what->level));
    jo_end_obj(&o);
    return buf_view(&b);
}

static const char *subject_of(mem *ctx, struct notifier *n)
{
    const char *contact = settings_live_text(ctx, n->spec.live, "notify.contact");
    if (!*contact)
        contact = settings_live_text(ctx, n->spec.live, "notify.smtp_from");
    return *contact ? mem_printf(ctx, "mailto:%s", contact) : "";
}

static const char *origin_of(mem *ctx, const struct url *u)
{
    bool usual = u->port == (u->tls ? 443 : 80), numeric = strchr(u->host, ':') != NULL;
    const char *port = usual ? "" : mem_printf(ctx, ":%d", u->port);
    return mem_printf(ctx, "%s://%s%s%s%s", u->tls ? "https" : "http", numeric ? "[" : "", u->host, numeric ? "]" : "",
                      port);
}

static enum rc request_make(mem *ctx, struct notifier *n, const struct channel *c, const struct message *m,
                            struct str *ret_body, char **ret_authorization, struct err *err)
{
    struct webpush_receiver to;
    struct webpush_key key;
    struct url url;
    enum rc rc = webpush_receiver_read(c->p256dh, c->auth, &to, err);
    if (rc == RC_OK)
        rc = url_parse(ctx, c->target, &url, err);
    if (rc == RC_OK)
        rc = webpush_seal(ctx, &to, text_make(ctx, m->what), ret_body, err);
    if (rc == RC_OK)
        rc = notifier_push_key(n, &key, err);
    if (rc != RC_OK)
        return rc;
    rc = webpush_authorization(ctx, &key, origin_of(ctx, &url), subject_of(ctx, n), m->now_ns / 1000000000 + TOKEN_S,
                               ret_authorization, err);
    webpush_key_wipe(&key);
    return rc;
}

void push_send(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct str body;
    char *authorization;
    const char *urgency = m->what->level == NOTICE_NOW ? "high" : m->what->level == NOTICE_DONE ? "normal" : "low";
    if (request_make(tmp, n, c, m, &body, &authorization, &err) != RC_OK) {
        result_error(ret, NOTIFY_REFUSED, &err);
        return;
    }
    const char *const headers[] = {"Content-Type: application/octet-stream",
                                   "Content-Encoding: aes128gcm",
                                   "TTL: " TTL_S,
                                   mem_printf(tmp, "Urgency: %s", urgency),
                                   mem_printf(tmp, "Topic: %.*s", TOPIC_LENGTH, m->what->uid),
                                   mem_printf(tmp, "Authorization: %s", authorization),
                                   NULL};
    struct post p = {c->target, headers, body};
    post_send(n, &p, ret);
}
