/* Outgoing webhooks with the header names and the signature of Standard Webhooks (https://www.standardwebhooks.com). */
#include "base/clock.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "net/mail.h"
#include "net/url.h"
#include "notify/room.h"
#include <sys/random.h>

#define SECRET_PREFIX "whsec_"
enum { SECRET_LEAST = 24, SECRET_MOST = 64, SECRET_USUAL = 24, BODY_MOST = 16 << 10 };

char *notify_secret_new(mem *ctx)
{
    char raw[SECRET_USUAL];
    BUG_ON(getrandom(raw, sizeof raw, 0) != sizeof raw);
    char *text = mem_printf(ctx, SECRET_PREFIX "%s", text_base64(ctx, str_n(raw, sizeof raw)));
    explicit_bzero(raw, sizeof raw);
    return text;
}

static bool secret_read(mem *ctx, const char *secret, struct str *ret)
{
    struct str s = str_of(secret), prefix = STR(SECRET_PREFIX);
    return str_starts(s, prefix) && text_base64_read(ctx, str_sub(s, prefix.n, s.n), ret) && ret->n >= SECRET_LEAST &&
           ret->n <= SECRET_MOST;
}

bool notify_secret_valid(const char *secret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str raw;
    return secret_read(tmp, secret, &raw);
}

const char *notify_secret_id(mem *ctx, const char *channel_id)
{
    return mem_printf(ctx, "webhook.%s", channel_id);
}

enum rc notify_sign(mem *ctx, const char *secret, const char *id, int64_t time_s, struct str body, char **ret,
                    struct err *err)
{
    uint8_t mac[HASH_SHA256];
    struct str raw;
    if (!secret_read(ctx, secret, &raw))
        return err_set(err, RC_INVALID, "the secret of a webhook is whsec_ and base64 of %d to %d bytes", SECRET_LEAST,
                       SECRET_MOST);
    char *head = mem_printf(ctx, "%s.%lld.", id, (long long)time_s);
    size_t n = strlen(head);
    char *text = mem_zalloc(ctx, n + body.n + 1);
    memcpy(text, head, n);
    memcpy(text + n, body.p, body.n);
    hash_hmac_sha256(raw, str_n(text, n + body.n), mac);
    *ret = mem_printf(ctx, "v1,%s", text_base64(ctx, str_n((const char *)mac, sizeof mac)));
    return RC_OK;
}

static const char *type_of(const struct notice *what)
{
    if (strcmp(what->kind, "digest") == 0 || strcmp(what->kind, "test") == 0)
        return what->kind;
    return what->level == NOTICE_NOW                ? "task.needs_you"
           : strcmp(what->kind, "task_done") == 0   ? "task.done"
           : strcmp(what->kind, "task_failed") == 0 ? "task.failed"
                                                    : "task.budget";
}

struct str notify_webhook_body(mem *ctx, const struct notice *what, const char *title)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, BODY_MOST);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "id", what->uid);
    jo_kz(&o, "type", type_of(what));
    jo_kz(&o, "level", notice_level_name(what->level));
    jo_kz(&o, "kind", what->kind);
    jo_kz(&o, "time", clock_rfc3339(ctx, what->time_ns));
    if (*what->task)
        jo_kz(&o, "task", what->task);
    if (*title)
        jo_kz(&o, "title", title);
    jo_kz(&o, "words", what->words);
    jo_end_obj(&o);
    return buf_view(&b);
}

void webhook_send(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    char *secret = NULL, *signature = NULL;
    int64_t now_s = m->now_ns / 1000000000;
    struct str body = notify_webhook_body(tmp, m->what, m->title);
    enum rc rc = credential_get(tmp, n->spec.credentials, mem_printf(tmp, "sealed:%s", notify_secret_id(tmp, c->id)),
                                &secret, &err);
    if (rc == RC_OK)
        rc = notify_sign(tmp, secret, m->what->uid, now_s, body, &signature, &err);
    if (secret)
        explicit_bzero(secret, strlen(secret));
    if (rc != RC_OK) {
        result_error(ret, NOTIFY_REFUSED, &err);
        return;
    }
    const char *const headers[] = {"Content-Type: application/json", mem_printf(tmp, "webhook-id: %s", m->what->uid),
                                   mem_printf(tmp, "webhook-timestamp: %lld", (long long)now_s),
                                   mem_printf(tmp, "webhook-signature: %s", signature), NULL};
    struct post p = {c->target, headers, body};
    post_send(n, &p, ret);
    if (ret->status == 404) /* a receiver that is being deployed anew; 410 alone says that it is meant */
        ret->outcome = NOTIFY_FAILED;
}

enum rc notify_target_check(const char *kind, const char *target, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct url url;
    if (strcmp(kind, "email") == 0)
        return mail_address_valid(target) ? RC_OK
                                          : err_set(err, RC_INVALID, "a mail goes to one address, as name@example.org");
    enum rc rc = url_parse(tmp, target, &url, err);
    if (rc == RC_OK && (url.user || strlen(target) > 2000))
        rc = err_set(err, RC_INVALID,
                     "the address is an http or https URL of at most 2000 bytes, without user and password");
    return rc;
}
