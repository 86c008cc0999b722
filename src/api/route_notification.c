/* Notifications: what was told and how it was delivered, channels, subscriptions of browsers, the test of a channel. */
#include "api/notify_line.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include "base/id.h"
#include "crypt/jwt.h"
#include "net/url.h"
#include "store/sealed.h"

#define LIST_MOST          200
#define SUBSCRIPTIONS_MOST 20 /* of one user */

/* ---- showing ---- */

static void levels_json(struct json_out *o, int64_t levels)
{
    jo_key(o, "levels");
    jo_arr(o);
    for (int64_t bit = NOTICE_NOW; bit <= NOTICE_DIGEST; bit <<= 1)
        if (levels & bit)
            jo_z(o, notice_level_name(bit));
    jo_end_arr(o);
}

static const char *time_text(struct route_call *c, int64_t ns)
{
    return ns ? clock_rfc3339(c->ctx, ns) : NULL;
}

/* Whoever knows an endpoint of a push service or the address of a chat's webhook may write there: shown is the host. */
static const char *target_shown(mem *ctx, const struct channel *h)
{
    struct url url;
    if (strcmp(h->kind, "email") == 0)
        return h->target;
    if (url_parse(ctx, h->target, &url, NULL) != RC_OK)
        return "";
    return mem_printf(ctx, "%s://%s%s", url.tls ? "https" : "http", url.host,
                      strcmp(url.target, "/") == 0 ? "/" : "/...");
}

static char *channel_version(mem *ctx, const struct channel *h)
{
    return version_of(ctx, mem_printf(ctx, "%s\n%lld\n%d", h->name, (long long)h->levels, h->enabled));
}

static enum rc version_now(struct route_call *c, const char **ret)
{
    struct channel h;
    enum rc rc = channel_find(c->ctx, c->server->store, c->param, &h, &c->err);
    *ret = rc ? NULL : channel_version(c->ctx, &h);
    return rc;
}

static void channel_json(struct route_call *c, const struct channel *h, const char *secret)
{
    jo_obj(&c->out);
    jo_kz(&c->out, "id", h->id);
    jo_kz(&c->out, "kind", h->kind);
    jo_kz(&c->out, "name", h->name);
    jo_kz(&c->out, "target", target_shown(c->ctx, h));
    levels_json(&c->out, h->levels);
    jo_kb(&c->out, "enabled", h->enabled);
    jo_kz(&c->out, "user", h->user);
    jo_kz(&c->out, "created_at", time_text(c, h->created_ns));
    jo_kz(&c->out, "last_ok_at", time_text(c, h->last_ok_ns));
    jo_ki(&c->out, "failures", h->failures);
    jo_kz(&c->out, "problem", *h->problem ? h->problem : NULL);
    jo_kz(&c->out, "version", channel_version(c->ctx, h));
    if (secret)
        jo_kz(&c->out, "secret", secret);
    jo_end_obj(&c->out);
}

static void delivery_json(struct route_call *c, const struct delivery *d)
{
    bool waits = strcmp(d->state, "waiting") == 0;
    jo_obj(&c->out);
    jo_ki(&c->out, "id", d->id);
    jo_kz(&c->out, "channel", d->channel);
    jo_kz(&c->out, "state", d->state);
    jo_ki(&c->out, "attempts", d->attempts);
    jo_kz(&c->out, "next_at", waits ? time_text(c, d->next_ns) : NULL);
    jo_kz(&c->out, "sent_at", time_text(c, d->sent_ns));
    jo_key(&c->out, "status");
    if (d->status)
        jo_int(&c->out, d->status);
    else
        jo_null(&c->out);
    jo_kz(&c->out, "words", *d->words ? d->words : NULL);
    jo_end_obj(&c->out);
}

static enum rc notice_json(struct route_call *c, const struct notice *n)
{
    struct delivery *rows;
    size_t count;
    enum rc rc = delivery_of_notice(c->ctx, c->server->store, n->id, &rows, &count, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_ki(&c->out, "id", n->id);
    jo_kz(&c->out, "level", notice_level_name(n->level));
    jo_kz(&c->out, "kind", n->kind);
    jo_kz(&c->out, "task", *n->task ? n->task : NULL);
    jo_kz(&c->out, "words", n->words);
    jo_kz(&c->out, "at", time_text(c, n->time_ns));
    jo_key(&c->out, "deliveries");
    jo_arr(&c->out);
    for (size_t i = 0; i < count; i++)
        delivery_json(c, &rows[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc notifications_list(struct route_call *c)
{
    const char *name = route_query(c, "level");
    struct notice *rows;
    size_t n;
    int64_t level = notice_level_find(name), limit = c->query_limit ? c->query_limit : 50;
    if (limit > LIST_MOST)
        limit = LIST_MOST;
    if (name && !level)
        return err_set(&c->err, RC_INVALID, "level is now, done or digest");
    enum rc rc = notice_list(c->ctx, c->server->store, level, c->query_before, limit, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "notifications");
    jo_arr(&c->out);
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = notice_json(c, &rows[i]);
    jo_end_arr(&c->out);
    if ((int64_t)n == limit)
        jo_ki(&c->out, "next", rows[n - 1].id);
    else
        jo_kz(&c->out, "next", NULL);
    jo_end_obj(&c->out);
    return rc;
}

static enum rc channels_list(struct route_call *c)
{
    struct channel *rows;
    size_t n;
    enum rc rc = channel_list(c->ctx, c->server->store, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "channels");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        channel_json(c, &rows[i], NULL);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- changing ---- */

static enum rc levels_read(struct route_call *c, int64_t standard, int64_t *ret)
{
    struct json list = json_get(c->json, "levels");
    *ret = standard;
    if (!json_is(list))
        return RC_OK;
    *ret = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        int64_t level = notice_level_find(json_z(c->ctx, it.value, NULL));
        if (!level)
            return err_set(&c->err, RC_INVALID, "levels are now, done and digest");
        *ret |= level;
    }
    return *ret ? RC_OK : err_set(&c->err, RC_INVALID, "levels are at least one of now, done and digest");
}

static enum rc insert_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return channel_insert(tx, arg, err);
}

static enum rc update_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return channel_update(tx, arg, err);
}

static enum rc remove_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct channel *h = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = channel_remove(tx, h->id, err);
    return rc == RC_OK && strcmp(h->kind, "webhook") == 0 ? sealed_remove(tx, notify_secret_id(tmp, h->id), err) : rc;
}

static struct channel channel_new(struct route_call *c, const char *kind, const char *name, const char *target)
{
    return (struct channel){.id = id_new(c->ctx, 7),
                            .kind = kind,
                            .name = name,
                            .target = target,
                            .p256dh = "",
                            .auth = "",
                            .enabled = true,
                            .user = c->principal.name,
                            .created_ns = clock_wall_ns(),
                            .problem = ""};
}

struct channel_input {
    const char *kind, *name, *target, *secret;
    struct json levels;
};
static const struct json_bind channel_table[] = {
    BIND(channel_input, kind, BIND_STR, true, 0, 16),     BIND(channel_input, name, BIND_STR, false, 0, 100),
    BIND(channel_input, target, BIND_STR, true, 0, 2000), BIND(channel_input, secret, BIND_STR, false, 0, 200),
    BIND(channel_input, levels, BIND_JSON, false, 0, 0),
};

static enum rc secret_take(struct route_call *c, const struct channel *h, const char **secret)
{
    bool given = *secret != NULL;
    c->secret = given;
    if (given && !notify_secret_valid(*secret)) {
        err_set(&c->err, RC_INVALID, "the secret of a webhook is whsec_ and base64 of 24 to 64 bytes");
        return err_hint(&c->err, "leave it out: one is made and shown once");
    }
    if (!given)
        *secret = notify_secret_new(c->ctx);
    return credential_seal(c->server->credentials, c->server->store, notify_secret_id(c->ctx, h->id), str_of(*secret),
                           h->created_ns, &c->err);
}

static enum rc channel_create(struct route_call *c)
{
    struct channel_input in = {0};
    enum rc rc =
        json_bind(c->ctx, c->json, channel_table, sizeof channel_table / sizeof *channel_table, true, &in, &c->err);
    if (rc != RC_OK)
        return rc;
    bool webhook = strcmp(in.kind, "webhook") == 0;
    if (!webhook && strcmp(in.kind, "email") != 0)
        return err_set(&c->err, RC_INVALID, "kind is webhook or email; browsers subscribe by themselves");
    if (!webhook && in.secret)
        return err_set(&c->err, RC_INVALID, "only a webhook has a secret");
    struct channel h = channel_new(c, in.kind, in.name ? in.name : in.kind, in.target);
    rc = notify_target_check(in.kind, in.target, &c->err);
    rc = rc ? rc : levels_read(c, NOTICE_NOW | NOTICE_DONE | (webhook ? 0 : NOTICE_DIGEST), &h.levels);
    rc = rc || !webhook ? rc : secret_take(c, &h, &in.secret);
    rc = rc ? rc : store_write(c->server->store, insert_tx, &h, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    channel_json(c, &h, webhook ? in.secret : NULL);
    return RC_OK;
}

static enum rc channel_put(struct route_call *c)
{
    struct channel h;
    enum rc rc = channel_find(c->ctx, c->server->store, c->param, &h, &c->err);
    rc = rc ? rc : levels_read(c, h.levels, &h.levels);
    if (rc != RC_OK)
        return rc;
    h.name = json_z(c->ctx, json_get(c->json, "name"), h.name);
    bool enabled = json_bool(json_get(c->json, "enabled"), h.enabled);
    if (enabled && !h.enabled) { /* a fresh start */
        h.failures = 0;
        h.problem = "";
    }
    h.enabled = enabled;
    rc = store_write(c->server->store, update_tx, &h, &c->err);
    if (rc == RC_OK)
        channel_json(c, &h, NULL);
    return rc;
}

static enum rc removal(struct route_call *c, struct channel *h)
{
    enum rc rc = store_write(c->server->store, remove_tx, h, &c->err);
    if (rc != RC_OK)
        return rc;
    credential_forget(c->server->credentials, notify_secret_id(c->ctx, h->id));
    jo_obj(&c->out);
    jo_kz(&c->out, "removed", h->id);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc channel_delete(struct route_call *c)
{
    struct channel h;
    enum rc rc = channel_find(c->ctx, c->server->store, c->param, &h, &c->err);
    return rc ? rc : removal(c, &h);
}

/* ---- the test ---- */

static enum rc channel_test(struct route_call *c)
{
    struct channel h;
    struct notify_result r;
    int64_t now = clock_wall_ns();
    enum rc rc = channel_find(c->ctx, c->server->store, c->param, &h, &c->err);
    if (rc != RC_OK)
        return rc;
    struct notice n = {.uid = mem_printf(c->ctx, "msg_%s", id_new(c->ctx, 20)),
                       .level = NOTICE_NOW,
                       .kind = "test",
                       .task = "",
                       .words = "this is a test of Nightmill's notifications",
                       .time_ns = now};
    notifier_send(c->server->notifier, &h, &n, now, &r);
    bool sent = r.outcome == NOTIFY_SENT;
    jo_obj(&c->out);
    jo_kz(&c->out, "channel", h.id);
    jo_kb(&c->out, "ok", sent);
    jo_key(&c->out, "status");
    if (r.status)
        jo_int(&c->out, r.status);
    else
        jo_null(&c->out);
    jo_kz(&c->out, "words", r.words);
    jo_ki(&c->out, "ms", r.ms);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* ---- browsers ---- */

static enum rc push_key(struct route_call *c)
{
    struct webpush_key key;
    enum rc rc = notifier_push_key(c->server->notifier, &key, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_kz(&c->out, "key", base64url(c->ctx, str_n((const char *)key.point, WEBPUSH_PUBLIC)));
    jo_end_obj(&c->out);
    webpush_key_wipe(&key);
    return RC_OK;
}

struct subscription {
    const char *endpoint, *device;
    struct json keys, levels, expirationTime;
};
static const struct json_bind subscription_table[] = {
    BIND(subscription, endpoint, BIND_STR, true, 0, 2000),
    BIND(subscription, device, BIND_STR, false, 0, 100),
    BIND(subscription, keys, BIND_JSON, true, 0, 0),
    BIND(subscription, levels, BIND_JSON, false, 0, 0),
    BIND(subscription, expirationTime, BIND_JSON, false, 0, 0), /* of PushSubscription.toJSON() */
};

static enum rc room_check(struct route_call *c)
{
    struct channel *rows;
    size_t n, own = 0;
    enum rc rc = channel_list(c->ctx, c->server->store, &rows, &n, &c->err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        own += strcmp(rows[i].kind, "push") == 0 && strcmp(rows[i].user, c->principal.name) == 0;
    if (rc == RC_OK && own >= SUBSCRIPTIONS_MOST)
        rc = err_set(&c->err, RC_LIMIT, "%s has %d devices already: remove one", c->principal.name, SUBSCRIPTIONS_MOST);
    return rc;
}

/* A browser that subscribes again, with new keys or for another user, replaces what was there. */
static enum rc subscription_create(struct route_call *c)
{
    struct subscription in = {.device = "browser"};
    struct webpush_receiver receiver;
    struct channel old;
    enum rc rc = json_bind(c->ctx, c->json, subscription_table, sizeof subscription_table / sizeof *subscription_table,
                           true, &in, &c->err);
    if (rc != RC_OK)
        return rc;
    struct channel h = channel_new(c, "push", in.device, in.endpoint);
    h.p256dh = json_z(c->ctx, json_get(in.keys, "p256dh"), "");
    h.auth = json_z(c->ctx, json_get(in.keys, "auth"), "");
    rc = webpush_receiver_read(h.p256dh, h.auth, &receiver, &c->err);
    rc = rc ? rc : notify_target_check("push", h.target, &c->err);
    rc = rc ? rc : levels_read(c, NOTICE_NOW | NOTICE_DONE, &h.levels);
    if (rc != RC_OK)
        return rc;
    rc = channel_by_target(c->ctx, c->server->store, h.target, &old, NULL);
    if (rc == RC_OK) {
        h.id = old.id;
        rc = store_write(c->server->store, update_tx, &h, &c->err);
    } else if (rc == RC_NOT_FOUND) {
        rc = room_check(c);
        rc = rc ? rc : store_write(c->server->store, insert_tx, &h, &c->err);
        c->status = 201;
    }
    if (rc == RC_OK)
        channel_json(c, &h, NULL);
    return rc;
}

/* Whoever knows the endpoint is the browser itself; others have the channel's id. */
static enum rc subscription_delete(struct route_call *c)
{
    struct channel h;
    const char *endpoint = json_z(c->ctx, json_get(c->json, "endpoint"), NULL);
    if (!endpoint)
        return err_set(&c->err, RC_INVALID, "endpoint is that of the subscription");
    enum rc rc = channel_by_target(c->ctx, c->server->store, endpoint, &h, &c->err);
    return rc ? rc : removal(c, &h);
}

const struct route route_notifications_list = {"GET",
                                               "/api/v1/notifications",
                                               "what people were told and how it was delivered, newest first",
                                               notifications_list,
                                               .access = ACCESS_READ,
                                               .query = "level before limit",
                                               .gives = "Notifications"};
const struct route route_channels_list = {"GET",
                                          "/api/v1/notifications/channels",
                                          "where notifications go",
                                          channels_list,
                                          .access = ACCESS_READ,
                                          .gives = "Channels"};
const struct route route_channel_create = {"POST",
                                           "/api/v1/notifications/channels",
                                           "a webhook or a mailbox; a webhook's secret is shown this once",
                                           channel_create,
                                           .takes = "ChannelInput",
                                           .access = ACCESS_ADMIN,
                                           .gives = "Channel",
                                           .tells = "channel",
                                           .creates = true,
                                           .shows_secret = true};
const struct route route_channel_put = {"PUT",
                                        "/api/v1/notifications/channels/:id",
                                        "another name, other levels, on or off",
                                        channel_put,
                                        .takes = "ChannelChange",
                                        .access = ACCESS_ADMIN,
                                        .gives = "Channel",
                                        .tells = "channel",
                                        .version = version_now};
const struct route route_channel_delete = {"DELETE",
                                           "/api/v1/notifications/channels/:id",
                                           "remove a channel",
                                           channel_delete,
                                           .access = ACCESS_ADMIN,
                                           .gives = "Removed",
                                           .tells = "channel",
                                           .version = version_now};
const struct route route_channel_test = {"POST",
                                         "/api/v1/notifications/channels/:id/test",
                                         "send a test now, and tell how it went",
                                         channel_test,
                                         .access = ACCESS_ADMIN,
                                         .gives = "ChannelTest"};
const struct route route_push_key = {"GET",
                                     "/api/v1/notifications/push_key",
                                     "the key that browsers subscribe with",
                                     push_key,
                                     .access = ACCESS_READ,
                                     .narrow = NARROW_OWN,
                                     .gives = "PushKey"};
const struct route route_subscription_create = {"POST",
                                                "/api/v1/notifications/subscriptions",
                                                "a browser that is told by web push",
                                                subscription_create,
                                                .access = ACCESS_READ,
                                                .narrow = NARROW_OWN,
                                                .takes = "SubscriptionInput",
                                                .gives = "Channel",
                                                .tells = "channel"};
const struct route route_subscription_delete = {"DELETE",
                                                "/api/v1/notifications/subscriptions",
                                                "a browser that is not told any more",
                                                subscription_delete,
                                                .access = ACCESS_READ,
                                                .narrow = NARROW_OWN,
                                                .takes = "SubscriptionEnd",
                                                .gives = "Removed",
                                                .tells = "channel"};
